package workload

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/writ-registry/writ/internal/jose"
)

var start = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

const (
	audience = "https://registry.example"
	tid      = "11111111-2222-4333-8444-555555555555"
	oid      = "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"
	azp      = "99999999-8888-4777-8666-555555555555"
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// wantCode fails the test unless err is a *Error with code.
func wantCode(t *testing.T, err error, code Code) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || !errors.Is(err, code) {
		t.Errorf("got error %v, want code %s", err, code)
	}
}

// clock is a time that tests move.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// issuer is an OpenID provider over TLS, reached under whatever name it has.
type issuer struct {
	url    string
	client *http.Client

	mu     sync.Mutex
	keys   map[string]crypto.Signer // by kid
	asked  map[string]int           // requests by path
	answer http.HandlerFunc         // instead of the usual answers, if not nil
}

func newIssuer(t *testing.T, url string) *issuer {
	i := &issuer{url: url, keys: map[string]crypto.Signer{}, asked: map[string]int{}}
	server := httptest.NewTLSServer(i)
	t.Cleanup(server.Close)
	transport := server.Client().Transport
	host := strings.TrimPrefix(server.URL, "https://")
	i.client = &http.Client{Timeout: 5 * time.Second, Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		r = r.Clone(r.Context())
		r.URL.Host = host
		return transport.RoundTrip(r)
	})}
	return i
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func (i *issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.asked[r.URL.Path]++
	if i.answer != nil {
		i.answer(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	switch {
	case strings.HasSuffix(r.URL.Path, "/.well-known/openid-configuration"):
		_ = json.NewEncoder(w).Encode(map[string]any{"issuer": i.url, "jwks_uri": "https://keys.example/keys"})
	case r.URL.Path == "/keys":
		var set []map[string]string
		for kid, key := range i.keys {
			set = append(set, jwk(kid, key))
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"keys": set})
	default:
		http.NotFound(w, r)
	}
}

func (i *issuer) set(change func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	change()
}

// requests returns how often the issuer was asked for anything.
func (i *issuer) requests() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	n := 0
	for _, asked := range i.asked {
		n += asked
	}
	return n
}

func jwk(kid string, key crypto.Signer) map[string]string {
	b64 := jose.EncodeBase64
	switch public := key.Public().(type) {
	case ed25519.PublicKey:
		return map[string]string{"kid": kid, "kty": "OKP", "crv": "Ed25519", "x": b64(public)}
	case *rsa.PublicKey:
		return map[string]string{"kid": kid, "kty": "RSA", "n": b64(public.N.Bytes()), "e": "AQAB"}
	case *ecdsa.PublicKey:
		point := must(public.Bytes())[1:]
		return map[string]string{"kid": kid, "kty": "EC", "crv": public.Params().Name, "x": b64(point[:len(point)/2]), "y": b64(point[len(point)/2:])}
	}
	panic("no such key")
}

// sign makes a compact JWS with any header and payload.
func sign(alg string, key crypto.Signer, header, payload map[string]any) string {
	input := jose.EncodeBase64(must(json.Marshal(header))) + "." + jose.EncodeBase64(must(json.Marshal(payload)))
	d256, d384 := sha256.Sum256([]byte(input)), sha512.Sum384([]byte(input))
	var sig []byte
	switch alg {
	case "RS256":
		sig = must(key.Sign(rand.Reader, d256[:], crypto.SHA256))
	case "PS256":
		sig = must(key.Sign(rand.Reader, d256[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}))
	case "ES256", "ES384":
		size, digest := 32, d256[:]
		if alg == "ES384" {
			size, digest = 48, d384[:]
		}
		r, s, err := ecdsa.Sign(rand.Reader, key.(*ecdsa.PrivateKey), digest)
		must(r, err)
		sig = append(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...)
	case "EdDSA":
		sig = must(key.Sign(nil, []byte(input), crypto.Hash(0)))
	}
	return input + "." + jose.EncodeBase64(sig)
}

// with returns a copy of claims with some of them changed; nil removes one.
func with(claims map[string]any, change map[string]any) map[string]any {
	out := maps.Clone(claims)
	for name, value := range change {
		if out[name] = value; value == nil {
			delete(out, name)
		}
	}
	return out
}

// shape is one kind of issuer with a good token of it.
type shape struct {
	config Config
	claims map[string]any
	want   Workload
}

// shapes are the four kinds. Their claims are those of tokens that such issuers give.
func shapes() map[Kind]shape {
	iat, exp := start.Add(-time.Minute).Unix(), start.Add(time.Hour).Unix()
	issued, expires := start.Add(-time.Minute), start.Add(time.Hour)
	all := map[Kind]shape{
		Entra: {
			Config{Kind: Entra, Issuer: "https://login.microsoftonline.com/" + tid + "/v2.0", Audience: azp},
			map[string]any{
				"iss": "https://login.microsoftonline.com/" + tid + "/v2.0", "aud": azp, "iat": iat, "nbf": iat, "exp": exp,
				"aio": "E2NgYA", "azp": azp, "azpacr": "1", "idtyp": "app", "oid": oid, "sub": oid, "tid": tid, "rh": "0.A", "roles": []string{"x"}, "uti": "uti-1", "ver": "2.0",
			},
			Workload{Issuer: "https://login.microsoftonline.com/" + tid + "/v2.0", Subject: oid, ID: "uti-1", Issued: issued,
				Attributes: map[string]string{"tid": tid, "oid": oid, "azp": azp}},
		},
		Okta: {
			Config{Kind: Okta, Issuer: "https://acme.okta.com/oauth2/default", Audience: audience},
			map[string]any{
				"iss": "https://acme.okta.com/oauth2/default", "aud": audience, "iat": iat, "exp": exp,
				"ver": 1, "jti": "AT.1", "cid": "0oa1", "scp": []string{"enrol"}, "sub": "0oa1",
			},
			Workload{Issuer: "https://acme.okta.com/oauth2/default", Subject: "0oa1", ID: "AT.1", Issued: issued, Attributes: map[string]string{"cid": "0oa1"}},
		},
		Kubernetes: {
			Config{Kind: Kubernetes, Issuer: "https://kubernetes.default.svc.cluster.local", JWKS: "https://10.0.0.1:6443/keys", Audience: audience},
			map[string]any{
				"iss": "https://kubernetes.default.svc.cluster.local", "aud": []string{audience}, "iat": iat, "nbf": iat, "exp": exp, "jti": "k-1",
				"kubernetes.io": map[string]any{
					"namespace": "shipping", "serviceaccount": map[string]any{"name": "router", "uid": "sa-uid"},
					"pod": map[string]any{"name": "router-7", "uid": "pod-uid"}, "node": map[string]any{"name": "n1", "uid": "n-uid"}, "warnafter": exp,
				},
				"sub": "system:serviceaccount:shipping:router",
			},
			Workload{Issuer: "https://kubernetes.default.svc.cluster.local", Subject: "system:serviceaccount:shipping:router", ID: "k-1", Issued: issued,
				Attributes: map[string]string{"namespace": "shipping", "serviceaccount": "router", "serviceaccount_uid": "sa-uid", "pod": "router-7", "pod_uid": "pod-uid", "node": "n1"}},
		},
		SPIFFE: {
			Config{Kind: SPIFFE, JWKS: "https://spire.example/keys", TrustDomain: "prod.example", Audience: audience},
			map[string]any{"aud": []string{audience}, "exp": exp, "sub": "spiffe://prod.example/ns/a/sa/b"},
			Workload{Issuer: "spiffe://prod.example", Subject: "spiffe://prod.example/ns/a/sa/b", Attributes: map[string]string{"trust_domain": "prod.example"}},
		},
	}
	for kind, s := range all {
		s.want.Kind, s.want.Expires = kind, expires
		all[kind] = s
	}
	return all
}

var es256 = must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))

var header256 = map[string]any{"alg": "ES256", "kid": "k1", "typ": "JWT"}

// verifierOf returns a verifier of a shape whose issuer has one ES256 key, k1.
func verifierOf(t *testing.T, s shape) (*Verifier, *issuer, *clock) {
	t.Helper()
	i, c := newIssuer(t, s.config.Issuer), &clock{at: start}
	i.keys["k1"] = es256
	v, err := New(s.config, i.client, c.now)
	if err != nil {
		t.Fatal(err)
	}
	return v, i, c
}

// eventually waits until a token is accepted. go-oidc forgets a finished fetch a moment
// after it has told of it, and who asks in between gets the old result once more.
func eventually(t *testing.T, v *Verifier, raw string) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; runtime.Gosched() {
		_, err := v.Verify(context.Background(), raw)
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

func TestVerify(t *testing.T) {
	for kind, s := range shapes() {
		t.Run(string(kind), func(t *testing.T) {
			v, _, _ := verifierOf(t, s)
			raw := sign("ES256", es256, header256, s.claims)
			got, err := v.Verify(context.Background(), raw)
			if err != nil {
				t.Fatal(err)
			}
			sum := sha256.Sum256([]byte(raw[:strings.LastIndex(raw, ".")]))
			s.want.Digest = jose.EncodeBase64(sum[:])
			if diff := cmp.Diff(s.want, got); diff != "" {
				t.Errorf("workload (-want +got):\n%s", diff)
			}
			iss, err := UnverifiedIssuer(raw)
			if want, _ := s.claims["iss"].(string); err != nil || iss != want {
				t.Errorf("UnverifiedIssuer = %q, %v", iss, err)
			}
		})
	}
}

func TestAlgorithms(t *testing.T) {
	rs := must(rsa.GenerateKey(rand.Reader, 2048))
	_, ed, _ := ed25519.GenerateKey(rand.Reader)
	s := shapes()[Okta]
	v, i, _ := verifierOf(t, s)
	keys := map[string]crypto.Signer{"RS256": rs, "PS256": rs, "ES256": es256, "ES384": must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)), "EdDSA": ed}
	i.set(func() {
		for alg, key := range keys {
			i.keys["key of "+alg] = key
		}
	})
	for _, alg := range algorithms {
		raw := sign(alg, keys[alg], map[string]any{"alg": alg, "kid": "key of " + alg}, s.claims)
		if _, err := v.Verify(context.Background(), raw); err != nil {
			t.Errorf("%s: %v", alg, err)
		}
	}
	// A key verifies under its own kind of algorithm only.
	raw := sign("ES256", es256, map[string]any{"alg": "EdDSA", "kid": "k1"}, s.claims)
	_, err := v.Verify(context.Background(), raw)
	wantCode(t, err, BadSignature)
}

// TestRefused: what can be refused without a key is refused before anybody is asked.
func TestRefused(t *testing.T) {
	type claims = map[string]any
	hour := start.Add(time.Hour).Unix()
	other := "11111111-2222-4333-8444-666666666666"
	kubernetes := func(namespace, name, uid string) claims {
		return claims{"kubernetes.io": claims{"namespace": namespace, "serviceaccount": claims{"name": name, "uid": uid}}}
	}
	for _, tt := range []struct {
		name   string
		kind   Kind
		header claims // changes
		claims claims // changes
		code   Code
	}{
		{"alg none", Okta, claims{"alg": "none"}, nil, BadHeader},
		{"alg none in capitals", Okta, claims{"alg": "NONE"}, nil, BadHeader},
		{"HS256", Okta, claims{"alg": "HS256"}, nil, BadHeader},
		{"RS1", Okta, claims{"alg": "RS1"}, nil, BadHeader},
		{"no alg", Okta, claims{"alg": nil}, nil, BadHeader},
		{"EdDSA of a JWT-SVID", SPIFFE, claims{"alg": "EdDSA"}, nil, BadHeader},
		{"no kid", Okta, claims{"kid": nil}, nil, BadHeader},
		{"its own key", Okta, claims{"jwk": claims{"kty": "EC"}}, nil, BadHeader},
		{"where its key is", Okta, claims{"jku": "https://evil.example/keys"}, nil, BadHeader},
		{"its own certificate", Okta, claims{"x5c": []string{"x"}}, nil, BadHeader},
		{"crit", Okta, claims{"crit": []string{"exp"}}, nil, BadHeader},
		{"b64", Okta, claims{"b64": false}, nil, BadHeader},
		{"a logout token", Okta, claims{"typ": "logout+jwt"}, nil, BadHeader},
		{"one of our own", Okta, claims{"typ": "agent-cap+jwt"}, nil, BadHeader},

		{"another issuer", Okta, nil, claims{"iss": "https://evil.okta.com/oauth2/default"}, BadIssuer},
		{"the issuer with a slash", Okta, nil, claims{"iss": "https://acme.okta.com/oauth2/default/"}, BadIssuer},
		{"no issuer", Okta, nil, claims{"iss": nil}, BadIssuer},
		{"an issuer where there is none", SPIFFE, nil, claims{"iss": "https://spire.example"}, BadIssuer},
		{"issuer is no string", Okta, nil, claims{"iss": 1}, Malformed},

		{"another audience", Okta, nil, claims{"aud": "https://other.example"}, BadAudience},
		{"no audience", Okta, nil, claims{"aud": nil}, BadAudience},
		{"empty audience", Okta, nil, claims{"aud": []string{}}, BadAudience},
		{"ours and another", Okta, nil, claims{"aud": []string{audience, "https://other.example"}}, BadAudience},
		{"ours twice", Okta, nil, claims{"aud": []string{audience, audience}}, BadAudience},
		{"ours with a slash", Okta, nil, claims{"aud": audience + "/"}, BadAudience},
		{"audience is a number", Okta, nil, claims{"aud": 1}, Malformed},

		{"expired", Okta, nil, claims{"exp": start.Unix()}, BadTime},
		{"no exp", Okta, nil, claims{"exp": nil}, BadTime},
		{"no exp in a JWT-SVID", SPIFFE, nil, claims{"exp": nil}, BadTime},
		{"no iat", Okta, nil, claims{"iat": nil}, BadTime},
		{"from the future", Okta, nil, claims{"iat": start.Add(Skew + time.Second).Unix()}, BadTime},
		{"not before later", Okta, nil, claims{"nbf": start.Add(Skew + time.Second).Unix()}, BadTime},
		{"valid for a year", Kubernetes, nil, claims{"exp": start.Add(365 * 24 * time.Hour).Unix()}, BadTime},
		{"a JWT-SVID for two days", SPIFFE, nil, claims{"exp": start.Add(48 * time.Hour).Unix()}, BadTime},
		{"exp is a string", Okta, nil, claims{"exp": "1"}, Malformed},
		{"exp is out of range", Okta, nil, claims{"exp": 1e300}, Malformed},

		{"bound in another way", Okta, nil, claims{"cnf": claims{"x5t#S256": "x"}}, NotWorkload},

		{"Entra: version 1", Entra, nil, claims{"ver": "1.0"}, NotWorkload},
		{"Entra: another tenant", Entra, nil, claims{"tid": other}, NotWorkload},
		{"Entra: no tenant", Entra, nil, claims{"tid": nil}, NotWorkload},
		{"Entra: a user", Entra, nil, claims{"idtyp": "user"}, NotWorkload},
		{"Entra: perhaps a user", Entra, nil, claims{"idtyp": nil}, NotWorkload},
		{"Entra: for a user", Entra, nil, claims{"scp": "Files.Read"}, NotWorkload},
		{"Entra: no object", Entra, nil, claims{"oid": nil}, NotWorkload},
		{"Entra: no client", Entra, nil, claims{"azp": nil}, NotWorkload},

		{"Okta: a user", Okta, nil, claims{"sub": "alice@example.com", "uid": "00u1"}, NotWorkload},
		{"Okta: a user called like the client", Okta, nil, claims{"uid": "00u1"}, NotWorkload},
		{"Okta: no client", Okta, nil, claims{"cid": nil, "sub": nil}, NotWorkload},

		{"Kubernetes: legacy", Kubernetes, nil, claims{"kubernetes.io": nil, "kubernetes.io/serviceaccount/namespace": "shipping"}, NotWorkload},
		{"Kubernetes: another account in sub", Kubernetes, nil, claims{"sub": "system:serviceaccount:shipping:admin"}, NotWorkload},
		{"Kubernetes: a node", Kubernetes, nil, claims{"sub": "system:node:n1"}, NotWorkload},
		{"Kubernetes: another namespace", Kubernetes, nil, kubernetes("kube-system", "router", "u"), NotWorkload},
		{"Kubernetes: no uid", Kubernetes, nil, kubernetes("shipping", "router", ""), NotWorkload},
		{"Kubernetes: a colon moved", Kubernetes, nil, with(kubernetes("a:b", "c", "u"), claims{"sub": "system:serviceaccount:a:b:c"}), NotWorkload},

		{"SPIFFE: another trust domain", SPIFFE, nil, claims{"sub": "spiffe://dev.example/a"}, NotWorkload},
		{"SPIFFE: the trust domain itself", SPIFFE, nil, claims{"sub": "spiffe://prod.example"}, NotWorkload},
		{"SPIFFE: no SPIFFE ID", SPIFFE, nil, claims{"sub": "alice"}, NotWorkload},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := shapes()[tt.kind]
			v, i, _ := verifierOf(t, s)
			_, err := v.Verify(context.Background(), sign("ES256", es256, with(header256, tt.header), with(with(s.claims, claims{"exp": hour}), tt.claims)))
			wantCode(t, err, tt.code)
			if n := i.requests(); n != 0 {
				t.Errorf("the issuer was asked %d times", n)
			}
		})
	}
}

func TestMalformed(t *testing.T) {
	s := shapes()[Okta]
	v, i, _ := verifierOf(t, s)
	good := sign("ES256", es256, header256, s.claims)
	parts := strings.Split(good, ".")
	payload := must(jose.DecodeBase64(parts[1]))
	duplicate := jose.EncodeBase64(bytes.Replace(payload, []byte("{"), []byte(`{"aud":"https://registry.example",`), 1))
	for _, tt := range []struct {
		name, raw string
		code      Code
	}{
		{"nothing", "", Malformed},
		{"two parts", parts[0] + "." + parts[1], Malformed},
		{"no signature", parts[0] + "." + parts[1] + ".", Malformed},
		{"four parts", good + ".x", Malformed},
		{"padded", parts[0] + "=." + parts[1] + "." + parts[2], Malformed},
		{"a claim twice", parts[0] + "." + duplicate + "." + parts[2], Malformed},
		{"payload is a list", parts[0] + "." + jose.EncodeBase64([]byte("[]")) + "." + parts[2], Malformed},
		{"header is no JSON", jose.EncodeBase64([]byte("{")) + "." + parts[1] + "." + parts[2], Malformed},
		{"too long", parts[0] + "." + strings.Repeat("A", MaxToken) + "." + parts[2], TooLarge},
	} {
		_, err := v.Verify(context.Background(), tt.raw)
		if err == nil {
			t.Errorf("%s is accepted", tt.name)
			continue
		}
		wantCode(t, err, tt.code)
	}
	if n := i.requests(); n != 0 {
		t.Errorf("the issuer was asked %d times", n)
	}
}

func TestSignature(t *testing.T) {
	s := shapes()[Okta]
	v, i, _ := verifierOf(t, s)
	good := sign("ES256", es256, header256, s.claims)
	parts := strings.Split(good, ".")
	stranger := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	mac := hmac.New(sha256.New, must(es256.PublicKey.Bytes()))
	mac.Write([]byte(parts[0] + "." + parts[1]))
	changed := strings.Split(sign("ES256", es256, header256, with(s.claims, map[string]any{"cid": "0oa2", "sub": "0oa2"})), ".")
	for name, raw := range map[string]string{
		"a stranger's":               sign("ES256", stranger, header256, s.claims),
		"a stranger's key id":        sign("ES256", stranger, with(header256, map[string]any{"kid": "k9"}), s.claims),
		"its payload exchanged":      parts[0] + "." + changed[1] + "." + parts[2],
		"a MAC under the public key": parts[0] + "." + parts[1] + "." + jose.EncodeBase64(mac.Sum(nil)),
		"cut short":                  good[:len(good)-2],
	} {
		_, err := v.Verify(context.Background(), raw)
		if err == nil {
			t.Errorf("%s is accepted", name)
			continue
		}
		wantCode(t, err, BadSignature)
	}
	if _, err := v.Verify(context.Background(), good); err != nil {
		t.Errorf("the good one: %v", err)
	}
	// Strangers' tokens did not make us ask more than once.
	if n := i.requests(); n != 2 {
		t.Errorf("the issuer was asked %d times, want discovery and keys once", n)
	}
}

func TestThumbprint(t *testing.T) {
	s := shapes()[Okta]
	v, _, _ := verifierOf(t, s)
	got, err := v.Verify(context.Background(), sign("ES256", es256, header256, with(s.claims, map[string]any{"cnf": map[string]any{"jkt": "abc"}})))
	if err != nil || got.Thumbprint != "abc" {
		t.Errorf("got %q, %v", got.Thumbprint, err)
	}
}

// TestRotation: a new key is found when it is first used, and a withdrawn one is believed
// for keysLife and no longer.
func TestRotation(t *testing.T) {
	s := shapes()[Okta]
	v, i, c := verifierOf(t, s)
	fresh := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	token := func(kid string, key *ecdsa.PrivateKey) string {
		now := c.now()
		return sign("ES256", key, with(header256, map[string]any{"kid": kid}), with(s.claims, map[string]any{"iat": now.Unix(), "exp": now.Add(time.Hour).Unix()}))
	}
	verify := func(raw string, code Code) {
		t.Helper()
		_, err := v.Verify(context.Background(), raw)
		if code == "" && err != nil {
			t.Error(err)
		} else if code != "" {
			wantCode(t, err, code)
		}
	}
	verify(token("k1", es256), "")
	i.set(func() { i.keys["k2"] = fresh })
	verify(token("k2", fresh), BadSignature) // asked a moment ago
	c.pass(refetch)
	eventually(t, v, token("k2", fresh))
	verify(token("k1", es256), "")
	i.set(func() { delete(i.keys, "k1") })
	c.pass(keysLife)
	verify(token("k1", es256), BadSignature)
	verify(token("k2", fresh), "")
}

// TestUnavailable: an issuer that cannot be asked is no verdict on the token, and the
// next try comes after a while.
func TestUnavailable(t *testing.T) {
	good := func(w http.ResponseWriter, body string) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(body))
	}
	s := shapes()[Okta]
	metadata := `{"issuer":"` + s.config.Issuer + `","jwks_uri":"https://keys.example/keys"}`
	discovery := func(r *http.Request) bool { return strings.Contains(r.URL.Path, ".well-known") }
	for name, answer := range map[string]http.HandlerFunc{
		"down": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) },
		"discovery redirects": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://127.0.0.1/x", http.StatusFound)
		},
		"another issuer": func(w http.ResponseWriter, _ *http.Request) { good(w, strings.Replace(metadata, "acme", "evil", 1)) },
		"no JSON":        func(w http.ResponseWriter, _ *http.Request) { good(w, "<html>") },
		"keys over plain HTTP": func(w http.ResponseWriter, _ *http.Request) {
			good(w, strings.Replace(metadata, "https://keys", "http://keys", 1))
		},
		"huge": func(w http.ResponseWriter, _ *http.Request) { good(w, metadata+strings.Repeat(" ", maxAnswer)) },
		"keys fail": func(w http.ResponseWriter, r *http.Request) {
			if discovery(r) {
				good(w, metadata)
				return
			}
			w.WriteHeader(http.StatusInternalServerError)
		},
		"keys are no JSON": func(w http.ResponseWriter, r *http.Request) {
			if discovery(r) {
				good(w, metadata)
				return
			}
			good(w, "no keys")
		},
		"connection cut": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			v, i, c := verifierOf(t, s)
			i.set(func() { i.answer = answer })
			raw := sign("ES256", es256, header256, s.claims)
			_, err := v.Verify(context.Background(), raw)
			wantCode(t, err, Unavailable)
			asked := i.requests()
			_, err = v.Verify(context.Background(), raw)
			wantCode(t, err, Unavailable)
			if n := i.requests(); n != asked {
				t.Errorf("asked again at once: %d requests, then %d", asked, n)
			}
			i.set(func() { i.answer = nil })
			c.pass(refetch)
			eventually(t, v, raw)
		})
	}
	t.Run("caller is gone", func(t *testing.T) {
		v, _, _ := verifierOf(t, s)
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		// The answer may be there before the caller's leaving is noticed.
		if _, err := v.Verify(ctx, sign("ES256", es256, header256, s.claims)); err != nil {
			wantCode(t, err, Unavailable)
		}
	})
}

// TestTogether: many first tokens at once ask the issuer once.
func TestTogether(t *testing.T) {
	s := shapes()[Okta]
	v, i, _ := verifierOf(t, s)
	raw := sign("ES256", es256, header256, s.claims)
	var all sync.WaitGroup
	for range 32 {
		all.Go(func() {
			if _, err := v.Verify(context.Background(), raw); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := i.requests(); n != 2 {
		t.Errorf("the issuer was asked %d times, want discovery and keys once", n)
	}
}

func TestNewRefused(t *testing.T) {
	entra := "https://login.microsoftonline.com/"
	for name, c := range map[string]Config{
		"no kind":                  {Issuer: "https://a.example", Audience: audience},
		"no audience":              {Kind: Okta, Issuer: "https://a.example"},
		"no issuer":                {Kind: Okta, JWKS: "https://a.example/keys", Audience: audience},
		"plain HTTP":               {Kind: Okta, Issuer: "http://a.example", Audience: audience},
		"issuer with a query":      {Kind: Okta, Issuer: "https://a.example?x", Audience: audience},
		"issuer with a user":       {Kind: Okta, Issuer: "https://u@a.example", Audience: audience},
		"keys over plain HTTP":     {Kind: Kubernetes, Issuer: "https://a.example", JWKS: "http://a.example/keys", Audience: audience},
		"all tenants":              {Kind: Entra, Issuer: entra + "common/v2.0", Audience: azp},
		"all organizations":        {Kind: Entra, Issuer: entra + "organizations/v2.0", Audience: azp},
		"Entra version 1":          {Kind: Entra, Issuer: "https://sts.windows.net/" + tid + "/", Audience: azp},
		"Entra elsewhere":          {Kind: Entra, Issuer: "https://evil.example/" + tid + "/v2.0", Audience: azp},
		"no trust domain":          {Kind: SPIFFE, JWKS: "https://a.example/keys", Audience: audience},
		"bad trust domain":         {Kind: SPIFFE, JWKS: "https://a.example/keys", TrustDomain: "a/b?c", Audience: audience},
		"trust domain with a path": {Kind: SPIFFE, JWKS: "https://a.example/keys", TrustDomain: "a/b", Audience: audience},
		"SPIFFE without keys":      {Kind: SPIFFE, TrustDomain: "a.example", Audience: audience},
		"a trust domain of Okta's": {Kind: Okta, Issuer: "https://a.example", TrustDomain: "a.example", Audience: audience},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := New(c, http.DefaultClient, time.Now)
			wantCode(t, err, BadConfig)
		})
	}
	_, err := New(shapes()[Okta].config, nil, time.Now)
	wantCode(t, err, BadConfig)
}

// FuzzParse: what parses is one spelling of one payload, and is never more than a claim.
func FuzzParse(f *testing.F) {
	for _, s := range shapes() {
		f.Add(sign("ES256", es256, header256, s.claims))
	}
	f.Add("e30.e30.e30")
	f.Fuzz(func(t *testing.T, raw string) {
		p, err := parse(raw, algorithms)
		if err != nil {
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("untyped error %v", err)
			}
			return
		}
		if !strings.HasPrefix(raw, p.signed+".") || !strings.HasSuffix(p.signed, "."+jose.EncodeBase64(p.payload)) {
			t.Fatalf("%q is another spelling of what it signs", raw)
		}
	})
}
