package oidc

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/oauth2"

	"github.com/writ-registry/writ/internal/oidc/oidctest"
)

const redirectURL = "http://localhost:1/signed-in" // nobody listens: the browser of the test stops here

// process is an OpenID provider by other people, running for a test.
type process struct{ *oidctest.Provider }

func startProcess(t *testing.T) *process {
	t.Helper()
	return &process{oidctest.Start(t, "testdata/provider", clients()...)}
}

// clients are ours, one for each algorithm, and one without a secret.
func clients() []map[string]any {
	var all []map[string]any
	for _, alg := range append([]string{"HS256"}, Algorithms...) {
		all = append(all, oidctest.Client("writ-"+alg, alg, redirectURL, redirectURL))
	}
	public := map[string]any{"client_id": "writ-public", "token_endpoint_auth_method": "none"}
	for k, v := range all[1] {
		if _, own := public[k]; !own && k != "client_secret" {
			public[k] = v
		}
	}
	return append(all, public)
}

// client is a Provider of the process; change may be nil.
func (p *process) client(t *testing.T, id string, change func(*Config)) *Provider {
	t.Helper()
	c := Config{
		Issuer: p.Issuer, ClientID: id, ClientSecret: oidctest.Secret, RedirectURL: redirectURL,
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

// browse is a person in front of the provider, who comes back with the returned query.
func browse(t *testing.T, start, login string) url.Values {
	t.Helper()
	return oidctest.Browse(t, oidctest.NewBrowser(t), start, login, redirectURL).Query()
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
		want := Identity{Issuer: process.Issuer, Subject: "alice", Name: "Alice Liddell", Groups: []string{"auditors", "registrars"}}
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
	process.Restart(t)
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
	process.Knows(t, map[string]oidctest.Account{"alice": {Name: "Alice Hargreaves", Groups: []string{"auditors"}}})
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
	process.Knows(t, map[string]oidctest.Account{})
	_, err = p.Refresh(t.Context(), third.RefreshToken, "alice")
	wantCode(t, err, CodeGrant)
	_, err = p.Refresh(t.Context(), "no such token", "alice")
	wantCode(t, err, CodeGrant)
}

// TestProcessGone: an issuer that is not there stops sign-in for as long, not longer.
func TestProcessGone(t *testing.T) {
	process := startProcess(t)
	p := process.client(t, "writ-RS256", nil)
	process.Stop()
	_, _, err := p.Begin(t.Context())
	wantCode(t, err, CodeUnavailable)
	process.Restart(t)
	id, err := signIn(t, p, "alice", nil)
	if err != nil {
		t.Fatal(err)
	}
	process.Stop()
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
