package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/writ-registry/writ/client"
)

// issuer is the IAM of an org: a key set over TLS, and tokens.
type issuer struct {
	key  *ecdsa.PrivateKey
	jwks string
	ca   string // file of the CA of its TLS
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	point, err := key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	enc := base64.RawURLEncoding.EncodeToString
	mux := http.NewServeMux()
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"keys":[{"kty":"EC","crv":"P-256","kid":"k","alg":"ES256","use":"sig","x":%q,"y":%q}]}`, enc(point[1:33]), enc(point[33:]))
	})
	srv := httptest.NewTLSServer(mux)
	t.Cleanup(srv.Close)
	ca := &testCA{dir: t.TempDir(), cert: srv.Certificate()}
	return &issuer{key, srv.URL + "/keys", ca.file(t)}
}

// token signs claims; alg none leaves the signature out.
func (i *issuer) token(t *testing.T, alg string, claims map[string]any) string {
	t.Helper()
	enc := base64.RawURLEncoding.EncodeToString
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	signed := enc([]byte(`{"alg":"`+alg+`","kid":"k","typ":"JWT"}`)) + "." + enc(payload)
	sum := sha256.Sum256([]byte(signed))
	r, s, err := ecdsa.Sign(rand.Reader, i.key, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	sig := make([]byte, 64)
	r.FillBytes(sig[:32])
	s.FillBytes(sig[32:])
	return signed + "." + enc(sig)
}

// TestEnrolFourShapes: workloads of Entra ID, Okta, Kubernetes and SPIFFE become
// agents by commands, and tokens that are not theirs do not.
func TestEnrolFourShapes(t *testing.T) {
	iam := newIssuer(t)
	cfg := testConfig(t.TempDir())
	cfg.IssuerPrivate, cfg.IssuerCA = "127.0.0.0/8", iam.ca
	r := start(t, cfg)
	t.Setenv("WRIT_URL", r.server.URL)
	t.Setenv("WRIT_TOKEN", r.Token)
	me, err := r.Whoami(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	const tenant, object = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"
	shapes := map[string]struct {
		issuer, domain string
		claims         map[string]any
	}{
		"entra":      {"https://login.microsoftonline.com/" + tenant + "/v2.0", "", map[string]any{"sub": "x", "tid": tenant, "oid": object, "azp": object, "idtyp": "app", "ver": "2.0"}},
		"okta":       {"https://acme.okta.com/oauth2/default", "", map[string]any{"sub": "client", "cid": "client"}},
		"kubernetes": {"https://k8s.example", "", map[string]any{"sub": "system:serviceaccount:prod:courier", "kubernetes.io": map[string]any{"namespace": "prod", "serviceaccount": map[string]any{"name": "courier", "uid": object}}}},
		"spiffe":     {"", "acme.example", map[string]any{"sub": "spiffe://acme.example/courier"}},
	}
	for kind, shape := range shapes {
		claims := func(change map[string]any) map[string]any {
			out := map[string]any{"aud": r.server.Origin, "iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix()}
			if shape.issuer != "" {
				out["iss"] = shape.issuer
			}
			for _, m := range []map[string]any{shape.claims, change} {
				for name, v := range m {
					out[name] = v
				}
			}
			return out
		}
		match := map[string]any{"attribute": "subject", "equals": shape.claims["sub"]}
		if kind == "entra" {
			match = map[string]any{"attribute": "azp", "equals": object}
		}
		rules, err := json.Marshal([]any{map[string]any{"match": []any{match}, "agent": map[string]any{"name_prefix": kind + "-", "sponsor": me.ID, "approve": true}}})
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(dir, kind+".json")
		if err := os.WriteFile(file, rules, 0o600); err != nil {
			t.Fatal(err)
		}
		writ(t, "enrol", "issuer", "add", "--kind", kind, "--issuer", shape.issuer, "--trust-domain", shape.domain, "--jwks", iam.jwks, file).want(t, 0, kind)
		enrol := func(token string, more ...string) result {
			return writ(t, append([]string{"enrol", "request", "--org", "operator", "--name", kind + "-courier", "--workload-token", token}, more...)...)
		}
		for what, c := range map[string]struct{ token, code string }{
			"alg none":         {iam.token(t, "none", claims(nil)), "token_header"},
			"another audience": {iam.token(t, "ES256", claims(map[string]any{"aud": "https://other.example"})), "token_audience"},
			"expired":          {iam.token(t, "ES256", claims(map[string]any{"iat": time.Now().Add(-2 * time.Hour).Unix(), "exp": time.Now().Add(-time.Hour).Unix()})), "token_time"},
			"another key":      {iam.token(t, "ES256", claims(map[string]any{"cnf": map[string]any{"jkt": "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"}})), "token_bound"},
			"another's":        {newIssuer(t).token(t, "ES256", claims(nil)), "token_signature"},
		} {
			got := enrol(c.token, "--out", filepath.Join(dir, "refused.agent.json"))
			if got.code != 1 || !strings.Contains(got.err, c.code) {
				t.Errorf("%s, %s: %d %s, want %s", kind, what, got.code, got.err, c.code)
			}
		}
		good := iam.token(t, "ES256", claims(nil))
		out := filepath.Join(dir, kind+".agent.json")
		enrol(good, "--out", out).want(t, 0, "active")
		if f, err := client.LoadAgentFile(out); err != nil || f.Name != kind+"-courier" {
			t.Errorf("%s: %v, %v", kind, f, err)
		}
		enrol(good, "--out", filepath.Join(dir, "again.agent.json")).want(t, 1, "token_spent")
	}
	writ(t, "enrol", "issuer", "list").want(t, 0, "entra", "okta", "kubernetes", "spiffe")
}
