package api_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/writ-registry/writ/api"
	"github.com/writ-registry/writ/internal/oidc/oidctest"
	"github.com/writ-registry/writ/internal/signin"
	"github.com/writ-registry/writ/registry"
)

// signInParty is the sign-in port with an issuer that knows one answer, over the real
// registry's sessions.
type signInParty struct {
	*registry.Registry
	issuer registry.Issuer
}

func (p *signInParty) Begin(_ context.Context, org, _ string) (redirect, flow string, err error) {
	if org != "operator" {
		return "", "", registry.Errorf(registry.NotFound, "this organization signs nobody in here")
	}
	return p.issuer.URL + "/authorize?state=s", "flow-of-alice", nil
}

func (p *signInParty) Finish(ctx context.Context, trace, flow string, answer url.Values) (string, error) {
	if flow != "flow-of-alice" || answer.Get("state") != "s" || answer.Get("code") != "c" {
		return "", &registry.Error{Kind: registry.Unauthenticated, Code: "flow", Detail: "no sign-in is under way in this browser; begin again"}
	}
	out, err := p.SignIn(ctx, trace, registry.Identified{Issuer: p.issuer, Subject: "alice", Name: "Alice", Roles: []registry.Role{registry.RoleAuditor}})
	return out.Secret, err
}

func (p *signInParty) Visit(ctx context.Context, _, session string) (registry.Visit, error) {
	return p.Registry.Visit(ctx, session)
}

func (p *signInParty) Leave(ctx context.Context, trace, session string) (string, error) {
	return p.issuer.URL + "/end", p.SignOut(ctx, trace, session)
}

// secureOrigin is where the pages are in these tests: under https, cookies are for it only.
const secureOrigin = "https://writ.example"

func openSignIn(t *testing.T) (*world, *signInParty) {
	t.Helper()
	p := &signInParty{}
	w := open(t, func(c *api.Config) { c.Registry.Origin, p.Registry, c.SignIn = secureOrigin, c.Registry, p })
	out, err := w.SetSignInIssuer(t.Context(), w.Call(), "", registry.NewIssuer{URL: "https://idp.example", ClientID: "writ", GroupsClaim: "groups"})
	if err != nil {
		t.Fatal(err)
	}
	p.issuer = out.Value
	return w, p
}

func cookie(name, value string) request { return header("Cookie", "__Host-writ-"+name+"="+value) }

// form makes a request that of a form of a page.
func form(r *http.Request) { r.Header.Set("Content-Type", "application/x-www-form-urlencoded") }

// kept is a cookie as the answer sets it; nil where it does not.
func kept(r reply, name string) *http.Cookie {
	for _, c := range r.Cookies() {
		if c.Name == "__Host-writ-"+name {
			return c
		}
	}
	return nil
}

// signsIn returns the secret of a session that alice has.
func signsIn(t *testing.T, w *world) string {
	t.Helper()
	r := w.do("GET", api.CallbackPath+"?code=c&state=s", nil, cookie("flow", "flow-of-alice"))
	c := kept(r, "session")
	if r.StatusCode != http.StatusSeeOther || c == nil {
		t.Fatalf("%d %s", r.StatusCode, r.body)
	}
	return c.Value
}

// TestSignInPages: who is nobody yet is shown in, and secrets are where script and other
// sites do not reach them.
func TestSignInPages(t *testing.T) {
	w, _ := openSignIn(t)
	for path, want := range map[string]string{
		"/ui/login": "Its short name", "/ui/login?org=operator": "Sign in at https://idp.example", "/ui/login?org=nobody": "Nobody signs in here",
		"/ui/login?org=" + strings.Repeat("a", 5000): "Nobody signs in here", api.SignedOutPath: "Your session here is over",
	} {
		if r := w.do("GET", path, nil); r.StatusCode != 200 || !strings.Contains(string(r.body), want) || r.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%.40s: %d %q, want %q: %s", path, r.StatusCode, r.Header.Get("Cache-Control"), want, r.body)
		}
	}
	if r := w.do("GET", "/ui/", nil); r.StatusCode != http.StatusSeeOther || r.Header.Get("Location") != "/ui/login" {
		t.Errorf("a stranger: %d %q", r.StatusCode, r.Header.Get("Location"))
	}
	if r := w.do("GET", "/ui/login/oidc/nobody", nil); r.StatusCode != http.StatusNotFound {
		t.Errorf("an org without issuer: %d", r.StatusCode)
	}
	r := w.do("GET", "/ui/login/oidc/operator", nil)
	flow := kept(r, "flow")
	if r.StatusCode != http.StatusSeeOther || r.Header.Get("Location") != "https://idp.example/authorize?state=s" || flow == nil ||
		!flow.HttpOnly || !flow.Secure || flow.Path != "/" || flow.Domain != "" || flow.SameSite != http.SameSiteLaxMode || flow.MaxAge != 600 {
		t.Errorf("begin: %d %v %+v", r.StatusCode, r.Header, flow)
	}
	secret := signsIn(t, w)
	if r := w.do("GET", "/ui/account", nil, cookie("session", secret)); r.StatusCode != 200 || !strings.Contains(string(r.body), "Alice") || strings.Contains(string(r.body), secret) {
		t.Errorf("account: %d %s", r.StatusCode, r.body)
	}
}

// TestCallbackRefused: an answer without its browser, twice, or half, signs nobody in and
// ends what was under way.
func TestCallbackRefused(t *testing.T) {
	w, _ := openSignIn(t)
	for name, c := range map[string]struct {
		query  string
		change []request
	}{
		"no cookie":       {"?code=c&state=s", nil},
		"another's":       {"?code=c&state=s", []request{cookie("flow", "flow-of-bob")}},
		"two cookies":     {"?code=c&state=s", []request{header("Cookie", "__Host-writ-flow=flow-of-alice; __Host-writ-flow=flow-of-bob")}},
		"unsafe cookie":   {"?code=c&state=s", []request{header("Cookie", "writ-flow=flow-of-alice")}},
		"another state":   {"?code=c&state=x", []request{cookie("flow", "flow-of-alice")}},
		"nothing":         {"", []request{cookie("flow", "flow-of-alice")}},
		"issuer says no":  {"?error=access_denied&state=s", []request{cookie("flow", "flow-of-alice")}},
		"session instead": {"?code=c&state=s", []request{cookie("session", "flow-of-alice")}},
	} {
		r := w.do("GET", api.CallbackPath+c.query, nil, c.change...)
		flow := kept(r, "flow")
		if r.StatusCode != http.StatusUnauthorized || kept(r, "session") != nil || flow == nil || flow.MaxAge >= 0 || !strings.Contains(string(r.body), "begin again") {
			t.Errorf("%s: %d %v %s", name, r.StatusCode, r.Cookies(), r.body)
		}
		if scheme := r.Header.Get("WWW-Authenticate"); scheme == "" || strings.HasPrefix(scheme, "Basic") {
			t.Errorf("%s: WWW-Authenticate %q has the browser ask for a password", name, scheme)
		}
	}
}

// TestFormsOfOthers: what changes something in a session takes the form of the session's
// own page.
func TestFormsOfOthers(t *testing.T) {
	w, _ := openSignIn(t)
	secret := signsIn(t, w)
	page := string(w.do("GET", "/ui/account", nil, cookie("session", secret)).body)
	_, rest, _ := strings.Cut(page, `name="form" value="`)
	token, _, ok := strings.Cut(rest, `"`)
	if !ok {
		t.Fatalf("no form in %s", page)
	}
	other := signsIn(t, w)
	for name, c := range map[string]struct {
		body   string
		change []request
	}{
		"no token":            {"", []request{cookie("session", secret)}},
		"another token":       {"form=" + token + "x", []request{cookie("session", secret)}},
		"another session's":   {"form=" + token, []request{cookie("session", other)}},
		"from another site":   {"form=" + token, []request{cookie("session", secret), header("Sec-Fetch-Site", "cross-site")}},
		"from another origin": {"form=" + token, []request{cookie("session", secret), header("Origin", "https://evil.example")}},
		"by a credential":     {"form=" + token, []request{func(r *http.Request) { r.SetBasicAuth("any", w.Secret) }}},
	} {
		for _, path := range []string{"/ui/logout", "/ui/account/credential", "/ui/account/session"} {
			if r := w.do("POST", path, c.body, append(c.change, form)...); r.StatusCode != http.StatusForbidden || !strings.Contains(string(r.body), "not of your session") {
				t.Errorf("%s, %s: %d %s", path, name, r.StatusCode, r.body)
			}
		}
	}
	if r := w.do("POST", "/ui/account/credential", "form="+token, cookie("session", secret), form); r.StatusCode != 200 || !strings.Contains(string(r.body), "writ_principal_") {
		t.Errorf("credential: %d %s", r.StatusCode, r.body)
	}
	r := w.do("POST", "/ui/logout", "form="+token, cookie("session", secret), form, header("Origin", secureOrigin))
	if c := kept(r, "session"); r.StatusCode != 200 || c == nil || c.MaxAge >= 0 || !strings.Contains(string(r.body), "https://idp.example/end") {
		t.Errorf("sign out: %d %s", r.StatusCode, r.body)
	}
	if r := w.do("GET", "/ui/account", nil, cookie("session", secret)); r.StatusCode != http.StatusSeeOther {
		t.Errorf("after signing out: %d", r.StatusCode)
	}
}

// TestLostGroup: at a real OpenID provider, a group that is lost takes its role within
// five minutes, and a provider that is gone takes all that groups gave.
func TestLostGroup(t *testing.T) {
	callback := secureOrigin + api.CallbackPath
	idp := oidctest.Start(t, "../internal/oidc/testdata/provider", oidctest.Client("writ", "EdDSA", callback, secureOrigin+api.SignedOutPath))
	w := open(t, func(c *api.Config) {
		c.Registry.Origin = secureOrigin
		c.SignIn = signin.New(signin.Config{Registry: c.Registry, RedirectURL: callback, HTTP: http.DefaultClient, Now: c.Now})
	})
	client := oidctest.Secret
	if _, err := w.SetSignInIssuer(t.Context(), w.Call(), "", registry.NewIssuer{
		URL: idp.Issuer, ClientID: "writ", ClientSecret: &client, Scopes: []string{"profile", "groups", "offline_access"}, Prompt: "consent",
		GroupsClaim: "groups", Mapping: map[string][]registry.Role{"auditors": {registry.RoleAuditor}, "registrars": {registry.RoleRegistrar}},
	}); err != nil {
		t.Fatal(err)
	}
	begun := w.do("GET", "/ui/login/oidc/operator", nil)
	flow := kept(begun, "flow")
	if flow == nil {
		t.Fatalf("%d %s", begun.StatusCode, begun.body)
	}
	answer := oidctest.Browse(t, oidctest.NewBrowser(t), begun.Header.Get("Location"), "alice", callback)
	session := kept(w.do("GET", answer.RequestURI(), nil, cookie("flow", flow.Value)), "session")
	if session == nil {
		t.Fatal("nobody is signed in")
	}
	account := func(status int, roles string) {
		t.Helper()
		r := w.do("GET", "/ui/account", nil, cookie("session", session.Value))
		if r.StatusCode != status || !strings.Contains(string(r.body), roles) {
			t.Errorf("%d, want %d and %q: %s", r.StatusCode, status, roles, r.body)
		}
		// The overview is for those who have a role.
		r = w.do("GET", "/ui/", nil, cookie("session", session.Value))
		if want := map[bool]int{true: http.StatusOK, false: http.StatusForbidden}[strings.Contains(roles, "auditor")]; r.StatusCode != want {
			t.Errorf("overview: %d, want %d", r.StatusCode, want)
		}
	}
	account(http.StatusOK, "registrar, auditor")
	idp.Knows(t, map[string]oidctest.Account{"alice": {Name: "Alice", Groups: []string{"auditors"}}})
	w.Clock.Add(registry.GroupRolesLife)
	account(http.StatusOK, "<dd>auditor</dd>")
	idp.Stop()
	w.Clock.Add(registry.GroupRolesLife + time.Second)
	account(http.StatusOK, "")
}
