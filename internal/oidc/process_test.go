package oidc

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"io"
	"math/big"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/oauth2"

	"github.com/writ-registry/writ/internal/jose"
)

const redirectURL = "http://localhost:1/signed-in" // nobody listens: the browser of the test stops here

// process is an OpenID provider by other people, running for a test.
type process struct {
	issuer   string
	accounts string // file
	config   map[string]any
	cmd      *exec.Cmd
	stdin    io.Closer
}

type account struct {
	Name   string   `json:"name"`
	Groups []string `json:"groups"`
}

func startProcess(t *testing.T) *process {
	t.Helper()
	if _, err := exec.LookPath("node"); err != nil {
		t.Skip("Node is not installed: the OpenID provider runs on it")
	}
	if _, err := os.Stat("testdata/provider/node_modules/oidc-provider"); err != nil {
		t.Skip("the OpenID provider is not installed: scripts/oidc/setup.sh installs it")
	}
	p := &process{accounts: filepath.Join(t.TempDir(), "accounts.json")}
	p.knows(t, map[string]account{"alice": {"Alice Liddell", []string{"auditors", "registrars"}}, "bob": {"Bob", nil}})
	p.config = map[string]any{"port": 0, "accounts": p.accounts, "jwks": newJWKS(t), "clients": clients()}
	p.start(t)
	t.Cleanup(p.stop)
	return p
}

// clients are ours, one for each algorithm, and one without a secret.
func clients() []map[string]any {
	var all []map[string]any
	for _, alg := range append([]string{"HS256"}, Algorithms...) {
		all = append(all, map[string]any{
			"client_id": "writ-" + alg, "client_secret": "a secret: of / a test, 32 bytes long", "id_token_signed_response_alg": alg, "require_auth_time": true,
			"redirect_uris": []string{redirectURL}, "post_logout_redirect_uris": []string{redirectURL},
			"grant_types": []string{"authorization_code", "refresh_token"}, "response_types": []string{"code"},
		})
	}
	public := map[string]any{"client_id": "writ-public", "token_endpoint_auth_method": "none"}
	for k, v := range all[1] {
		if _, own := public[k]; !own && k != "client_secret" {
			public[k] = v
		}
	}
	return append(all, public)
}

// newJWKS makes a private key for each algorithm, as the process wants them.
func newJWKS(t *testing.T) map[string]any {
	t.Helper()
	r, errR := rsa.GenerateKey(rand.Reader, 2048)
	e, errE := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err := errors.Join(errR, errE); err != nil {
		t.Fatal(err)
	}
	point, errP := e.PublicKey.Bytes()
	scalar, errS := e.Bytes()
	public, private, errD := ed25519.GenerateKey(rand.Reader)
	if err := errors.Join(errP, errS, errD); err != nil {
		t.Fatal(err)
	}
	b64 := jose.EncodeBase64
	number := func(n *big.Int) string { return b64(n.Bytes()) }
	return map[string]any{"keys": []map[string]string{
		{"kty": "RSA", "n": number(r.N), "e": "AQAB", "d": number(r.D), "p": number(r.Primes[0]), "q": number(r.Primes[1]),
			"dp": number(r.Precomputed.Dp), "dq": number(r.Precomputed.Dq), "qi": number(r.Precomputed.Qinv)},
		{"kty": "EC", "crv": "P-256", "x": b64(point[1:33]), "y": b64(point[33:]), "d": b64(scalar)},
		{"kty": "OKP", "crv": "Ed25519", "x": b64(public), "d": b64(private.Seed())},
	}}
}

// knows replaces what the process knows about people.
func (p *process) knows(t *testing.T, accounts map[string]account) {
	t.Helper()
	data, err := json.Marshal(accounts)
	if err == nil {
		err = os.WriteFile(p.accounts, data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func (p *process) start(t *testing.T) {
	t.Helper()
	data, err := json.Marshal(p.config)
	if err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(t.TempDir(), "provider.json")
	if err := os.WriteFile(config, data, 0o600); err != nil {
		t.Fatal(err)
	}
	p.cmd = exec.Command("node", "testdata/provider/provider.mjs", config)
	p.cmd.Stderr = &strings.Builder{}
	stdout, errOut := p.cmd.StdoutPipe()
	stdin, errIn := p.cmd.StdinPipe()
	if err := errors.Join(errOut, errIn, p.cmd.Start()); err != nil {
		t.Fatal(err)
	}
	p.stdin = stdin
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		if issuer, ok := strings.CutPrefix(lines.Text(), "ready "); ok {
			p.issuer = issuer
			go io.Copy(io.Discard, stdout)
			return
		}
	}
	p.stop()
	t.Fatalf("the provider did not start: %v", p.cmd.Stderr)
}

func (p *process) stop() {
	p.stdin.Close() // it ends when its input does
	p.cmd.Wait()
}

// restart ends the process and starts it at the same issuer with new keys.
func (p *process) restart(t *testing.T) {
	t.Helper()
	p.stop()
	u, err := url.Parse(p.issuer)
	if err != nil {
		t.Fatal(err)
	}
	p.config["port"], p.config["jwks"] = json.Number(u.Port()), newJWKS(t)
	p.start(t)
}

// client is a Provider of the process; change may be nil.
func (p *process) client(t *testing.T, id string, change func(*Config)) *Provider {
	t.Helper()
	c := Config{
		Issuer: p.issuer, ClientID: id, ClientSecret: "a secret: of / a test, 32 bytes long", RedirectURL: redirectURL,
		Scopes: []string{"profile", "groups", "offline_access"}, Prompt: "consent", GroupsClaim: "groups",
	}
	if change != nil {
		change(&c)
	}
	provider, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return provider
}

var (
	formAction  = regexp.MustCompile(`<form[^>]* action="([^"]+)"`)
	formPrompt  = regexp.MustCompile(`name="prompt" value="([a-z]+)"`)
	abortAnchor = regexp.MustCompile(`<a href="([^"]+/abort)"`)
)

// browse is a person with a browser: it goes to start, signs in as login, consents,
// and returns the query that it is sent back with. Without a login the person aborts.
func browse(t *testing.T, start, login string) url.Values {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	errBack := errors.New("back at the registry")
	var back *url.URL
	browser := &http.Client{Jar: jar, Timeout: 30 * time.Second, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if strings.HasPrefix(r.URL.String(), redirectURL) {
			back = r.URL
			return errBack
		}
		return nil
	}}
	resp, err := browser.Get(start)
	for range 4 {
		if errors.Is(err, errBack) {
			return back.Query()
		}
		if err != nil {
			t.Fatal(err)
		}
		page, err2 := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err2 != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s: %s, %v", resp.Request.URL, resp.Status, page, err2)
		}
		action, prompt, abort := formAction.FindSubmatch(page), formPrompt.FindSubmatch(page), abortAnchor.FindSubmatch(page)
		if action == nil || prompt == nil || abort == nil {
			t.Fatalf("no form in %s", page)
		}
		if login == "" {
			resp, err = browser.Get(string(abort[1]))
		} else {
			resp, err = browser.PostForm(string(action[1]), url.Values{"prompt": {string(prompt[1])}, "login": {login}, "password": {"any"}})
		}
	}
	t.Fatal("the provider asks without end")
	return nil
}

// signIn is the whole of a sign-in; change, which may be nil, is done to the flow
// while the person is away.
func signIn(t *testing.T, p *Provider, login string, change func(*Flow)) (Identity, error) {
	t.Helper()
	start, flow, err := p.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	answer := browse(t, start, login)
	if change != nil {
		change(&flow)
	}
	return p.Finish(t.Context(), flow, answer)
}

func wantCode(t *testing.T, err error, want Code) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("got %v, want %s", err, want)
	}
}

// TestProcessSignIn: with each algorithm, and without a secret.
func TestProcessSignIn(t *testing.T) {
	process := startProcess(t)
	for _, client := range []string{"writ-RS256", "writ-PS256", "writ-ES256", "writ-EdDSA", "writ-public"} {
		p := process.client(t, client, func(c *Config) {
			if client == "writ-public" {
				c.ClientSecret = ""
			}
		})
		before := time.Now().Add(-time.Second)
		got, err := signIn(t, p, "alice", nil)
		if err != nil {
			t.Errorf("%s: %v", client, err)
			continue
		}
		if got.AuthTime.Before(before) || got.IDTokenExpiry.Before(before) || got.RefreshToken == "" || got.IDToken == "" {
			t.Errorf("%s: at %v until %v, refresh token %q, ID token %q", client, got.AuthTime, got.IDTokenExpiry, got.RefreshToken, got.IDToken)
		}
		got.AuthTime, got.IDTokenExpiry, got.RefreshToken, got.IDToken = time.Time{}, time.Time{}, "", ""
		want := Identity{Issuer: process.issuer, Subject: "alice", Name: "Alice Liddell", Groups: []string{"auditors", "registrars"}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", client, diff)
		}
	}
}

// TestProcessRefused: what a real issuer refuses, or sends and we refuse.
func TestProcessRefused(t *testing.T) {
	process := startProcess(t)
	ours := process.client(t, "writ-ES256", nil)
	other := newSecret()
	for _, c := range []struct {
		name   string
		p      *Provider
		login  string
		change func(*Flow)
		want   Code
	}{
		{"wrong PKCE verifier", ours, "alice", func(f *Flow) { f.Verifier = other }, CodeGrant},
		{"nonce mismatch", ours, "alice", func(f *Flow) { f.Nonce = other }, CodeNonce},
		{"state mismatch", ours, "alice", func(f *Flow) { f.State = other }, CodeState},
		{"the person says no", ours, "", nil, CodeRefused},
		{"signed with our secret", process.client(t, "writ-HS256", nil), "alice", nil, CodeAlg},
		{"wrong client secret", process.client(t, "writ-ES256", func(c *Config) { c.ClientSecret += "!" }), "alice", nil, CodeClient},
	} {
		_, err := signIn(t, c.p, c.login, c.change)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %s", c.name, err, c.want)
		}
	}
}

// TestProcessCodeOnce: a code is good once, whoever presents it.
func TestProcessCodeOnce(t *testing.T) {
	p := startProcess(t).client(t, "writ-RS256", nil)
	start, flow, err := p.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	answer := browse(t, start, "bob")
	if got, err := p.Finish(t.Context(), flow, answer); err != nil || got.Groups != nil {
		t.Fatalf("got groups %v, %v", got.Groups, err)
	}
	_, err = p.Finish(t.Context(), flow, answer)
	wantCode(t, err, CodeGrant)
}

// TestProcessForeignToken: a token of the issuer for another client, or an old one,
// is well signed and not good here.
func TestProcessForeignToken(t *testing.T) {
	process := startProcess(t)
	theirs, err := signIn(t, process.client(t, "writ-ES256", nil), "alice", nil)
	if err != nil {
		t.Fatal(err)
	}
	ask := func(p *Provider) error {
		response := (&oauth2.Token{AccessToken: "of another", TokenType: "Bearer"}).WithExtra(map[string]any{"id_token": theirs.IDToken})
		_, _, err := p.identify(t.Context(), response)
		return err
	}
	wantCode(t, ask(process.client(t, "writ-RS256", nil)), CodeAudience)
	wantCode(t, ask(process.client(t, "writ-ES256", func(c *Config) {
		c.Now = func() time.Time { return theirs.IDTokenExpiry.Add(Skew) }
	})), CodeExpired)
}

// TestProcessNewKeys: an issuer that comes back with new keys is believed without a
// restart of ours, and its old keys are not.
func TestProcessNewKeys(t *testing.T) {
	process := startProcess(t)
	p := process.client(t, "writ-ES256", nil)
	old, err := signIn(t, p, "alice", nil)
	if err != nil {
		t.Fatal(err)
	}
	process.restart(t)
	if _, err := signIn(t, p, "alice", nil); err != nil {
		t.Fatal(err)
	}
	_, err = p.verify(t.Context(), old.IDToken)
	wantCode(t, err, CodeKey)
}

// TestProcessRefresh: groups of now; a person who is gone is gone here too.
func TestProcessRefresh(t *testing.T) {
	process := startProcess(t)
	p := process.client(t, "writ-RS256", nil)
	first, err := signIn(t, p, "alice", nil)
	if err != nil {
		t.Fatal(err)
	}
	process.knows(t, map[string]account{"alice": {"Alice Hargreaves", []string{"auditors"}}})
	second, err := p.Refresh(t.Context(), first.RefreshToken, "alice")
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"auditors"}; second.Name != "Alice Hargreaves" || !cmp.Equal(second.Groups, want) ||
		second.RefreshToken == "" || !second.AuthTime.Equal(first.AuthTime) {
		t.Errorf("got %s in %v at %v", second.Name, second.Groups, second.AuthTime)
	}
	_, err = p.Refresh(t.Context(), second.RefreshToken, "bob")
	wantCode(t, err, CodeSubject)

	third, err := signIn(t, p, "alice", nil)
	if err != nil {
		t.Fatal(err)
	}
	process.knows(t, map[string]account{})
	_, err = p.Refresh(t.Context(), third.RefreshToken, "alice")
	wantCode(t, err, CodeGrant)
	_, err = p.Refresh(t.Context(), "no such token", "alice")
	wantCode(t, err, CodeGrant)
}

// TestProcessGone: an issuer that is not there stops sign-in for as long, not longer.
func TestProcessGone(t *testing.T) {
	process := startProcess(t)
	p := process.client(t, "writ-RS256", nil)
	process.stop()
	_, _, err := p.Begin(t.Context())
	wantCode(t, err, CodeUnavailable)
	process.restart(t)
	id, err := signIn(t, p, "alice", nil)
	if err != nil {
		t.Fatal(err)
	}
	process.stop()
	_, err = p.Refresh(t.Context(), id.RefreshToken, "alice")
	wantCode(t, err, CodeUnavailable)
}

// TestProcessLogout: the issuer takes our way out, and brings the browser back.
func TestProcessLogout(t *testing.T) {
	p := startProcess(t).client(t, "writ-RS256", nil)
	id, err := signIn(t, p, "alice", nil)
	if err != nil {
		t.Fatal(err)
	}
	out, err := p.LogoutURL(t.Context(), id.IDToken, redirectURL)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.Get(out)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	page, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK || !strings.Contains(string(page), "/session/end/confirm") {
		t.Errorf("%s: %s, %v", resp.Status, page, err)
	}
}
