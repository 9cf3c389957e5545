package oidc

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/writ-registry/writ/internal/jose"
)

// clock is a time that a test sets.
type clock struct{ nanos atomic.Int64 }

func (c *clock) now() time.Time          { return time.Unix(0, c.nanos.Load()) }
func (c *clock) advance(d time.Duration) { c.nanos.Add(int64(d)) }

// issuer is an issuer in this process that says what a test wants: also what no
// honest one says.
type issuer struct {
	*httptest.Server
	clock *clock

	mu       sync.Mutex // guards all below
	metadata map[string]any
	keys     []map[string]any
	token    http.HandlerFunc
	asked    map[string]int // by path
	form     url.Values     // what the token endpoint was asked last
	user     string         // and by whom, by HTTP basic authentication
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	i := &issuer{clock: &clock{}, asked: make(map[string]int)}
	i.clock.nanos.Store(time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC).UnixNano())
	i.Server = httptest.NewServer(http.HandlerFunc(i.serve))
	t.Cleanup(i.Close)
	i.metadata = map[string]any{
		"issuer": i.URL, "authorization_endpoint": i.URL + "/authorize", "token_endpoint": i.URL + "/token",
		"jwks_uri": i.URL + "/keys", "code_challenge_methods_supported": []string{"plain", "S256"},
	}
	return i
}

func (i *issuer) serve(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	i.asked[r.URL.Path]++
	metadata, keys, token := maps.Clone(i.metadata), i.keys, i.token
	i.mu.Unlock()
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		reply(w, http.StatusOK, metadata)
	case "/keys":
		reply(w, http.StatusOK, map[string]any{"keys": keys})
	case "/token":
		user, _, _ := r.BasicAuth()
		form := r.FormValue("grant_type") // parses
		i.mu.Lock()
		i.form, i.user = r.PostForm, user
		i.mu.Unlock()
		if form == "" || token == nil {
			reply(w, http.StatusBadRequest, map[string]any{"error": "invalid_request"})
			return
		}
		token(w, r)
	default:
		http.NotFound(w, r)
	}
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(body)
}

// set changes the issuer between requests.
func (i *issuer) set(change func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	change()
}

func (i *issuer) askedFor(path string) int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.asked[path]
}

// gives makes the token endpoint answer with this ID token.
func (i *issuer) gives(idToken string) {
	i.answers(http.StatusOK, map[string]any{
		"access_token": "access", "token_type": "Bearer", "expires_in": 300, "refresh_token": "refresh", "id_token": idToken,
	})
}

func (i *issuer) answers(status int, body any) {
	i.set(func() { i.token = func(w http.ResponseWriter, _ *http.Request) { reply(w, status, body) } })
}

func (i *issuer) client(t *testing.T, change func(*Config)) *Provider {
	t.Helper()
	c := Config{Issuer: i.URL, ClientID: "writ", ClientSecret: "secret of the client", RedirectURL: redirectURL, GroupsClaim: "groups", Now: i.clock.now}
	if change != nil {
		change(&c)
	}
	p, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// claims are those of an honest ID token of now.
func (i *issuer) claims(nonce string) map[string]any {
	now := i.clock.now().Unix()
	return map[string]any{
		"iss": i.URL, "sub": "248289761001", "aud": "writ", "nonce": nonce, "iat": now, "exp": now + 300, "auth_time": now - 5,
		"name": "Jane Doe", "groups": []string{"b", "a", "b"},
	}
}

// signingKey is a key of the issuer, and how it signs.
type signingKey struct {
	kid, alg string
	private  crypto.Signer
}

func newSigningKey(t *testing.T, kid, alg string) signingKey {
	t.Helper()
	var private crypto.Signer
	var err error
	switch alg {
	case "RS256", "PS256":
		private, err = rsa.GenerateKey(rand.Reader, 2048)
	case "ES256":
		private, err = newP256()
	default:
		_, private, err = ed25519.GenerateKey(rand.Reader)
	}
	if err != nil {
		t.Fatal(err)
	}
	return signingKey{kid, alg, private}
}

func (k signingKey) jwk(t *testing.T) map[string]any {
	t.Helper()
	j := map[string]any{"kid": k.kid, "use": "sig", "alg": k.alg}
	switch pub := k.private.Public().(type) {
	case *rsa.PublicKey:
		j["kty"], j["n"], j["e"] = "RSA", jose.EncodeBase64(pub.N.Bytes()), "AQAB"
	case *ecdsa.PublicKey:
		point, err := pub.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		j["kty"], j["crv"], j["x"], j["y"] = "EC", "P-256", jose.EncodeBase64(point[1:33]), jose.EncodeBase64(point[33:])
	case ed25519.PublicKey:
		j["kty"], j["crv"], j["x"] = "OKP", "Ed25519", jose.EncodeBase64(pub)
	}
	return j
}

// sign makes a compact JWS with any header and payload: Go values or JSON texts.
func (k signingKey) sign(t *testing.T, header, payload any) string {
	t.Helper()
	input := part(t, header) + "." + part(t, payload)
	digest := sha256.Sum256([]byte(input))
	var sig []byte
	var err error
	switch private := k.private.(type) {
	case *rsa.PrivateKey:
		if k.alg == "PS256" {
			sig, err = rsa.SignPSS(rand.Reader, private, crypto.SHA256, digest[:], nil)
		} else {
			sig, err = rsa.SignPKCS1v15(rand.Reader, private, crypto.SHA256, digest[:])
		}
	case *ecdsa.PrivateKey:
		r, s, errE := ecdsa.Sign(rand.Reader, private, digest[:])
		err = errE
		if err == nil {
			sig = append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
		}
	case ed25519.PrivateKey:
		sig = ed25519.Sign(private, []byte(input))
	}
	if err != nil {
		t.Fatal(err)
	}
	return input + "." + jose.EncodeBase64(sig)
}

func (k signingKey) header() map[string]any {
	return map[string]any{"alg": k.alg, "kid": k.kid, "typ": "JWT"}
}

func part(t *testing.T, v any) string {
	t.Helper()
	text, ok := v.(string)
	if !ok {
		var b bytes.Buffer
		if err := json.NewEncoder(&b).Encode(v); err != nil {
			t.Fatal(err)
		}
		text = strings.TrimSpace(b.String())
	}
	return jose.EncodeBase64([]byte(text))
}

// begin starts a sign-in and plays the browser: the answer is a good one.
func (i *issuer) begin(t *testing.T, p *Provider) (Flow, url.Values) {
	t.Helper()
	_, flow, err := p.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return flow, url.Values{"state": {flow.State}, "code": {"code"}}
}
