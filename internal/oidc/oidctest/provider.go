// Package oidctest runs an OpenID provider by other people (oidc-provider, ADR 0021) for
// tests, and plays the person in front of it.
package oidctest

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

	"github.com/writ-registry/writ/internal/jose"
)

// Secret is that of every client of Client.
const Secret = "a secret: of / a test, 32 bytes long"

// Provider is a running process.
type Provider struct {
	Issuer string

	dir      string
	accounts string // file
	config   map[string]any
	cmd      *exec.Cmd
	stdin    io.Closer
}

// Account is what the provider knows about a person beside the login.
type Account struct {
	Name   string   `json:"name"`
	Groups []string `json:"groups"`
}

// Start runs the provider of dir, internal/oidc/testdata/provider as seen from the test,
// for as long as the test does. It skips the test where that is not installed. Alice is
// in two groups, bob in none.
func Start(t *testing.T, dir string, clients ...map[string]any) *Provider {
	t.Helper()
	if _, err := exec.LookPath("node"); err != nil {
		t.Skip("Node is not installed: the OpenID provider runs on it")
	}
	if _, err := os.Stat(filepath.Join(dir, "node_modules/oidc-provider")); err != nil {
		t.Skip("the OpenID provider is not installed: scripts/oidc/setup.sh installs it")
	}
	p := &Provider{dir: dir, accounts: filepath.Join(t.TempDir(), "accounts.json")}
	p.Knows(t, map[string]Account{"alice": {"Alice Liddell", []string{"auditors", "registrars"}}, "bob": {"Bob", nil}})
	p.config = map[string]any{"port": 0, "accounts": p.accounts, "jwks": newJWKS(t), "clients": clients}
	p.start(t)
	t.Cleanup(p.Stop)
	return p
}

// Client is one with a secret, whose ID tokens are signed with alg and whose people come
// back to redirectURL, and to returnURL after signing out.
func Client(id, alg, redirectURL, returnURL string) map[string]any {
	return map[string]any{
		"client_id": id, "client_secret": Secret, "id_token_signed_response_alg": alg, "require_auth_time": true,
		"redirect_uris": []string{redirectURL}, "post_logout_redirect_uris": []string{returnURL},
		"grant_types": []string{"authorization_code", "refresh_token"}, "response_types": []string{"code"},
	}
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

// Knows replaces what the provider knows about people, by login.
func (p *Provider) Knows(t *testing.T, accounts map[string]Account) {
	t.Helper()
	data, err := json.Marshal(accounts)
	if err == nil {
		err = os.WriteFile(p.accounts, data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func (p *Provider) start(t *testing.T) {
	t.Helper()
	data, err := json.Marshal(p.config)
	if err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(t.TempDir(), "provider.json")
	if err := os.WriteFile(config, data, 0o600); err != nil {
		t.Fatal(err)
	}
	p.cmd = exec.Command("node", filepath.Join(p.dir, "provider.mjs"), config)
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
			p.Issuer = issuer
			go func() { _, _ = io.Copy(io.Discard, stdout) }() // until it ends
			return
		}
	}
	p.Stop()
	t.Fatalf("the provider did not start: %v", p.cmd.Stderr)
}

// Stop ends the process.
func (p *Provider) Stop() {
	p.stdin.Close()  // it ends when its input does
	_ = p.cmd.Wait() // it may have been stopped before
}

// Restart ends the process and starts it at the same issuer with new keys.
func (p *Provider) Restart(t *testing.T) {
	t.Helper()
	p.Stop()
	u, err := url.Parse(p.Issuer)
	if err != nil {
		t.Fatal(err)
	}
	p.config["port"], p.config["jwks"] = json.Number(u.Port()), newJWKS(t)
	p.start(t)
}

// NewBrowser is a browser that nobody has used yet.
func NewBrowser(t *testing.T) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &http.Client{Jar: jar, Timeout: 30 * time.Second}
}

var (
	formAction  = regexp.MustCompile(`<form[^>]* action="([^"]+)"`)
	formPrompt  = regexp.MustCompile(`name="prompt" value="([a-z]+)"`)
	abortAnchor = regexp.MustCompile(`<a href="([^"]+/abort)"`)
)

// Browse is a person at a browser: it goes to start, signs in as login, consents, and
// stops where it is sent to a URL that begins with back, which is not fetched but
// returned. Without a login the person aborts.
func Browse(t *testing.T, browser *http.Client, start, login, back string) *url.URL {
	t.Helper()
	errBack := errors.New("back at the registry")
	var arrived *url.URL
	b := *browser
	b.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
		if strings.HasPrefix(r.URL.String(), back) {
			arrived = r.URL
			return errBack
		}
		return nil
	}
	resp, err := b.Get(start)
	for range 4 {
		if errors.Is(err, errBack) {
			return arrived
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
			resp, err = b.Get(string(abort[1]))
		} else {
			resp, err = b.PostForm(string(action[1]), url.Values{"prompt": {string(prompt[1])}, "login": {login}, "password": {"any"}})
		}
	}
	t.Fatal("the provider asks without end")
	return nil
}
