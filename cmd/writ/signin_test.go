package main

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/writ-registry/writ/api"
	"github.com/writ-registry/writ/client"
	"github.com/writ-registry/writ/internal/oidc/oidctest"
)

// browser is a person's, at the pages of a registry.
type browser struct {
	*http.Client
	t      *testing.T
	origin string
}

func newBrowser(t *testing.T, r *running) *browser {
	return &browser{oidctest.NewBrowser(t), t, r.server.Origin}
}

// want fetches a path, or a URL, and compares the status and texts of the page that
// the browser ends at.
func (b *browser) want(path string, status int, texts ...string) string {
	b.t.Helper()
	if strings.HasPrefix(path, "/") {
		path = b.origin + path
	}
	resp, err := b.Get(path)
	return b.shows(path, resp, err, status, texts)
}

// send posts a form.
func (b *browser) send(path string, form url.Values, status int, texts ...string) string {
	b.t.Helper()
	resp, err := b.PostForm(b.origin+path, form)
	return b.shows(path, resp, err, status, texts)
}

func (b *browser) shows(what string, resp *http.Response, err error, status int, texts []string) string {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	page, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	if resp.StatusCode != status {
		b.t.Errorf("%s: %s, want %d: %s", what, resp.Status, status, page)
	}
	for _, text := range texts {
		if !strings.Contains(string(page), text) {
			b.t.Errorf("%s does not show %q: %s", what, text, page)
		}
	}
	return string(page)
}

// away begins a sign-in for acme and is somebody at its issuer, until they are sent back
// here.
func (b *browser) away(login string) string {
	b.t.Helper()
	return oidctest.Browse(b.t, b.Client, b.origin+"/ui/login/oidc/acme", login, b.origin+api.CallbackPath).String()
}

var formToken = regexp.MustCompile(`name="form" value="([^"]+)"`)

// people is a registry where people of acme sign in at a real OpenID provider.
func people(t *testing.T) (*running, *oidctest.Provider) {
	t.Helper()
	cfg := testConfig(t.TempDir())
	cfg.IssuerPrivate = "127.0.0.0/8,::1/128"
	r := start(t, cfg)
	idp := oidctest.Start(t, "../../internal/oidc/testdata/provider", oidctest.Client("writ", "ES256", r.server.Origin+api.CallbackPath, r.server.Origin+api.SignedOutPath))
	if _, err := r.CreateOrg(t.Context(), client.NewOrg{Name: "acme"}); err != nil {
		t.Fatal(err)
	}
	owner, err := r.CreatePrincipal(t.Context(), client.NewPrincipal{Org: "acme", Roles: []string{"owner"}})
	if err != nil {
		t.Fatal(err)
	}
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte(oidctest.Secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("WRIT_URL", r.server.URL)
	t.Setenv("WRIT_TOKEN", owner.Secret)
	writ(t, "org", "issuer", "set", "acme", idp.Issuer, "--client-id", "writ", "--client-secret", "@"+secret, "--scope", "profile", "--scope", "groups",
		"--scope", "offline_access", "--prompt", "consent", "--groups-claim", "groups", "--map", "registrars=registrar").want(t, 0, "kept", "event")
	return r, idp
}

// TestSignIn is the whole of a person's visit, with a provider by other people: in, once
// and in that browser only; out by one's own form only; and not at all once suspended.
func TestSignIn(t *testing.T) {
	r, idp := people(t)
	alice := newBrowser(t, r)
	alice.want("/ui/login?org=acme", http.StatusOK, idp.Issuer)
	callback := alice.away("alice")

	newBrowser(t, r).want(callback, http.StatusUnauthorized, "no sign-in is under way in this browser")
	alice.want(callback, http.StatusOK, "signed in for <bdi>acme</bdi>")
	account := alice.want("/ui/account", http.StatusOK, "Alice Liddell", idp.Issuer, "registrar", "this one")
	other := newBrowser(t, r)
	other.Jar = alice.Jar
	other.want(callback, http.StatusUnauthorized, "no sign-in is under way in this browser") // once
	alice.want("/ui/account", http.StatusOK, "Alice Liddell")                                // and does no harm

	form := formToken.FindStringSubmatch(account)
	if form == nil {
		t.Fatalf("no form in %s", account)
	}
	alice.send("/ui/logout", nil, http.StatusForbidden, "not of your session")
	alice.send("/ui/logout", url.Values{"form": {form[1] + "x"}}, http.StatusForbidden, "not of your session")
	alice.want("/ui/account", http.StatusOK, "Alice Liddell")
	alice.send("/ui/logout", url.Values{"form": {form[1]}}, http.StatusOK, "Your session here is over", idp.Issuer+"/session/end")
	alice.want("/ui/account", http.StatusOK, "sign in by credential") // sent to sign in

	// A planted sign-in: the answer of one person in the browser of another, who has
	// begun one, too.
	bob := newBrowser(t, r)
	_ = bob.away("bob")
	bob.want(alice.away("alice"), http.StatusUnauthorized, "The sign-in did not succeed")
	bob.want("/ui/account", http.StatusOK, "sign in by credential")

	alice.want(alice.away("alice"), http.StatusOK, "signed in for <bdi>acme</bdi>")
	id := regexp.MustCompile(`<dt>Id</dt><dd class="id">([^<]+)`).FindStringSubmatch(alice.want("/ui/account", http.StatusOK))
	if id == nil {
		t.Fatal("the account has no id")
	}
	writ(t, "principal", "session", "list", id[1]).want(t, 0)
	writ(t, "principal", "suspend", id[1]).want(t, 0, "suspended")
	alice.want("/ui/account", http.StatusOK, "sign in by credential")
	alice.want(alice.away("alice"), http.StatusUnauthorized, "suspended or has left")
}

// TestSignInSurvivesARestart: the sealed client secret and sessions do; a sign-in under
// way does not.
func TestSignInSurvivesARestart(t *testing.T) {
	r, _ := people(t)
	alice, bob := newBrowser(t, r), newBrowser(t, r)
	alice.want(alice.away("alice"), http.StatusOK, "signed in for")
	callback := bob.away("bob")
	r.stop()
	r = start(t, r.cfg)
	alice.want("/ui/account", http.StatusOK, "Alice Liddell")
	bob.want(callback, http.StatusUnauthorized, "begin again")
	bob.want(bob.away("bob"), http.StatusForbidden, "have no role")
	info, err := os.Stat(filepath.Join(r.cfg.Data, "keys", keySeal+".key"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("key: %v, %v", info.Mode(), err)
	}
}

// TestIssuerInsideIsRefused: an org cannot make the registry ask hosts inside, whatever
// they answer, unless the operator named their network.
func TestIssuerInsideIsRefused(t *testing.T) {
	r := start(t, testConfig(t.TempDir()))
	var asked atomic.Int64
	inside := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	defer inside.Close()
	for _, issuer := range []string{inside.URL, "https" + strings.TrimPrefix(inside.URL, "http"), "https://169.254.169.254"} {
		_, err := r.SetSignInIssuer(t.Context(), "operator", client.NewIssuer{Issuer: issuer, ClientID: "writ"})
		var problem *client.Problem
		if !errors.As(err, &problem) || problem.Code != "issuer_unavailable" {
			t.Errorf("%s: %v", issuer, err)
		}
	}
	if n := asked.Load(); n != 0 {
		t.Errorf("a host inside was asked %d times", n)
	}
}
