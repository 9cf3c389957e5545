package oidc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/oauth2"

	"github.com/writ-registry/writ/registry"
)

func TestConfigRefused(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"no issuer":                func(c *Config) { c.Issuer = "" },
		"http":                     func(c *Config) { c.Issuer = "http://issuer.example" },
		"http to a name like ours": func(c *Config) { c.Issuer = "http://localhost.issuer.example" },
		"another scheme":           func(c *Config) { c.Issuer = "ftp://issuer.example" },
		"relative":                 func(c *Config) { c.Issuer = "//issuer.example" },
		"query":                    func(c *Config) { c.Issuer = "https://issuer.example?a=b" },
		"fragment":                 func(c *Config) { c.Issuer = "https://issuer.example#a" },
		"password":                 func(c *Config) { c.Issuer = "https://a:b@issuer.example" },
		"redirect to http":         func(c *Config) { c.RedirectURL = "http://registry.example/signed-in" },
		"no redirect":              func(c *Config) { c.RedirectURL = "" },
		"no client":                func(c *Config) { c.ClientID = "" },
	} {
		c := Config{Issuer: "https://issuer.example", ClientID: "writ", RedirectURL: "https://registry.example/signed-in"}
		if _, err := New(c); err != nil {
			t.Fatal(err)
		}
		change(&c)
		_, err := New(c)
		if !errors.Is(err, CodeConfig) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// TestBegin: what the browser is sent away with.
func TestBegin(t *testing.T) {
	i := newIssuer(t)
	p := i.client(t, func(c *Config) { c.Scopes, c.Prompt = []string{"groups"}, "consent" })
	start, flow, err := p.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, other, err := p.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(start)
	if err != nil {
		t.Fatal(err)
	}
	want := url.Values{
		"response_type": {"code"}, "client_id": {"writ"}, "redirect_uri": {redirectURL}, "scope": {"openid groups"}, "prompt": {"consent"},
		"state": {flow.State}, "nonce": {flow.Nonce},
		"code_challenge": {oauth2.S256ChallengeFromVerifier(flow.Verifier)}, "code_challenge_method": {"S256"},
	}
	if diff := cmp.Diff(want, u.Query()); diff != "" || !strings.HasPrefix(start, i.URL+"/authorize?") {
		t.Errorf("%s: %s", start, diff)
	}
	secrets := []string{flow.State, flow.Nonce, flow.Verifier, other.State, other.Nonce, other.Verifier}
	slices.Sort(secrets)
	if len(slices.Compact(secrets)) != 6 || len(secrets[0]) != 43 {
		t.Error("the secrets are not six times 256 bits")
	}
	if !flow.Expires.Equal(i.clock.now().Add(FlowLife)) || flow.Issuer != i.URL {
		t.Errorf("got %s until %v", flow, flow.Expires)
	}
}

// TestFlowIsKept: a flow outlives a trip through JSON, as in a row or cookie.
func TestFlowIsKept(t *testing.T) {
	tr := newTrial(t, "EdDSA")
	flow, answer := tr.begin(t, tr.p)
	raw, err := json.Marshal(flow)
	var kept Flow
	if err == nil {
		err = json.Unmarshal(raw, &kept)
	}
	if err != nil {
		t.Fatal(err)
	}
	tr.gives(tr.token(t, flow.Nonce, nil))
	if _, err := tr.p.Finish(t.Context(), kept, answer); err != nil {
		t.Error(err)
	}
}

// TestAnswersRefused: what a browser may bring instead of the answer. None of it
// reaches the token endpoint.
func TestAnswersRefused(t *testing.T) {
	tr := newTrial(t, "EdDSA")
	for _, c := range []struct {
		name    string
		change  func(f *Flow, a url.Values)
		promise bool // of the issuer, to name itself
		want    Code
	}{
		{"no state", func(_ *Flow, a url.Values) { a.Del("state") }, false, CodeState},
		{"other state", func(_ *Flow, a url.Values) { a.Set("state", newSecret()) }, false, CodeState},
		{"two states", func(_ *Flow, a url.Values) { a.Add("state", newSecret()) }, false, CodeResponse},
		{"two codes", func(_ *Flow, a url.Values) { a.Add("code", "another") }, false, CodeResponse},
		{"no code", func(_ *Flow, a url.Values) { a.Del("code") }, false, CodeResponse},
		{"long code", func(_ *Flow, a url.Values) { a.Set("code", strings.Repeat("c", maxCodeSize+1)) }, false, CodeSize},
		{"other issuer", func(_ *Flow, a url.Values) { a.Set("iss", "https://issuer.example") }, false, CodeIssuer},
		{"issuer empty", func(_ *Flow, a url.Values) { a.Set("iss", "") }, false, CodeIssuer},
		{"issuer promised and missing", func(*Flow, url.Values) {}, true, CodeIssuer},
		{"refused", func(_ *Flow, a url.Values) { a.Set("error", "access_denied") }, false, CodeRefused},
		{"refused by another issuer", func(_ *Flow, a url.Values) {
			a.Set("error", "access_denied")
			a.Set("iss", "https://issuer.example")
		}, false, CodeIssuer},
		{"no flow", func(f *Flow, a url.Values) { *f = Flow{}; a.Del("state") }, false, CodeFlow},
		{"flow of nothing", func(f *Flow, a url.Values) {
			*f = Flow{Issuer: f.Issuer, Expires: f.Expires}
			a.Set("state", "")
		}, false, CodeFlow},
		{"short secrets", func(f *Flow, a url.Values) { f.State = "AA"; a.Set("state", "AA") }, false, CodeFlow},
		{"flow of another issuer", func(f *Flow, _ url.Values) { f.Issuer = "https://issuer.example" }, false, CodeFlow},
		{"flow that is over", func(f *Flow, _ url.Values) { f.Expires = tr.clock.now() }, false, CodeFlow},
		{"flow that lasts too long", func(f *Flow, _ url.Values) { f.Expires = f.Expires.Add(time.Second) }, false, CodeFlow},
	} {
		tr.set(func() { tr.metadata["authorization_response_iss_parameter_supported"] = c.promise })
		p := tr.client(t, nil)
		flow, answer := tr.begin(t, p)
		c.change(&flow, answer)
		_, err := p.Finish(t.Context(), flow, answer)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %s", c.name, err, c.want)
		}
	}
	if n := tr.askedFor("/token"); n != 0 {
		t.Errorf("the token endpoint was asked %d times", n)
	}
	// The same answer is good where the issuer names itself, and says so.
	tr.set(func() { tr.metadata["authorization_response_iss_parameter_supported"] = true })
	p := tr.client(t, nil)
	flow, answer := tr.begin(t, p)
	answer.Set("iss", tr.URL)
	tr.gives(tr.token(t, flow.Nonce, nil))
	if _, err := p.Finish(t.Context(), flow, answer); err != nil {
		t.Error(err)
	}
}

// TestErrorNames: a text that came through the browser is not shown.
func TestErrorNames(t *testing.T) {
	for _, code := range []string{"<b>", "call +1 555", strings.Repeat("a", 65), "access_denied\n"} {
		if got := errorName(code); strings.Contains(got, code) {
			t.Errorf("shows %q", got)
		}
	}
	if got := errorName("access_denied"); got != "access_denied" {
		t.Errorf("got %q", got)
	}
}

// TestClientAuthentication: in the way the issuer knows, and with the verifier.
func TestClientAuthentication(t *testing.T) {
	for _, c := range []struct {
		methods        any
		secret         string
		user, inParams string
	}{
		{nil, "s", "writ", ""},
		{[]string{"client_secret_post", "client_secret_basic"}, "s", "writ", ""},
		{[]string{"client_secret_post"}, "s", "", "s"},
		{[]string{"client_secret_basic", "none"}, "", "", ""},
	} {
		tr := newTrial(t, "EdDSA")
		tr.set(func() { tr.metadata["token_endpoint_auth_methods_supported"] = c.methods })
		tr.p = tr.client(t, func(config *Config) { config.ClientSecret = c.secret })
		flow, answer := tr.begin(t, tr.p)
		tr.gives(tr.token(t, flow.Nonce, nil))
		if _, err := tr.p.Finish(t.Context(), flow, answer); err != nil {
			t.Fatal(err)
		}
		tr.set(func() {
			if tr.user != c.user || tr.form.Get("client_secret") != c.inParams || tr.form.Get("code_verifier") != flow.Verifier ||
				tr.form.Get("code") != "code" || tr.form.Get("redirect_uri") != redirectURL {
				t.Errorf("%v: got user %q and %v", c.methods, tr.user, tr.form)
			}
		})
	}
}

// TestRefresh: the same person, the token of now.
func TestRefresh(t *testing.T) {
	tr := newTrial(t, "EdDSA")
	anyNonce := newSecret() // of the first sign-in, as some issuers repeat it
	response := func(change func(header, claims map[string]any)) map[string]any {
		return map[string]any{"access_token": "access", "token_type": "Bearer", "id_token": tr.token(t, anyNonce, change)}
	}
	tr.answers(http.StatusOK, response(func(_, c map[string]any) { c["groups"] = []string{"c"} }))
	got, err := tr.p.Refresh(t.Context(), "kept", "248289761001")
	if err != nil || got.RefreshToken != "kept" || !cmp.Equal(got.Groups, []string{"c"}) {
		t.Errorf("got %v, refresh token %q, %v", got.Groups, got.RefreshToken, err)
	}
	tr.set(func() {
		if tr.form.Get("grant_type") != "refresh_token" || tr.form.Get("refresh_token") != "kept" {
			t.Errorf("asked with %v", tr.form)
		}
	})
	rotated := response(nil)
	rotated["refresh_token"] = "new"
	tr.answers(http.StatusOK, rotated)
	if got, err := tr.p.Refresh(t.Context(), "old", "248289761001"); err != nil || got.RefreshToken != "new" {
		t.Errorf("got refresh token %q, %v", got.RefreshToken, err)
	}
	noIDToken := response(nil)
	delete(noIDToken, "id_token")
	for _, c := range []struct {
		name    string
		status  int
		body    any
		subject string
		want    Code
	}{
		{"another person", 200, response(func(_, c map[string]any) { c["sub"] = "another" }), "248289761001", CodeSubject},
		{"an old ID token", 200, response(func(_, c map[string]any) { c["iat"] = tr.clock.now().Add(-time.Hour).Unix() }), "248289761001", CodeIssuedAt},
		{"no ID token", 200, noIDToken, "248289761001", CodeResponse},
		{"over", 400, map[string]any{"error": "invalid_grant"}, "248289761001", CodeGrant},
		{"nobody", 200, response(nil), "", CodeGrant},
	} {
		tr.answers(c.status, c.body)
		_, err := tr.p.Refresh(t.Context(), "token", c.subject)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %s", c.name, err, c.want)
		}
	}
	_, err = tr.p.Refresh(t.Context(), "", "248289761001")
	wantCode(t, err, CodeGrant)
}

// TestMetadataRefused: what an issuer may say about itself that we do not follow.
func TestMetadataRefused(t *testing.T) {
	i := newIssuer(t)
	good := i.metadata
	for _, c := range []struct {
		name, member string
		value        any
		want         Code
	}{
		{"another issuer", "issuer", "https://issuer.example", CodeMetadata},
		{"a slash more", "issuer", i.URL + "/", CodeMetadata},
		{"no authorization endpoint", "authorization_endpoint", nil, CodeMetadata},
		{"script", "authorization_endpoint", "javascript:alert(1)", CodeMetadata},
		{"no token endpoint", "token_endpoint", nil, CodeMetadata},
		{"token endpoint elsewhere over http", "token_endpoint", "http://issuer.example/token", CodeMetadata},
		{"no keys", "jwks_uri", nil, CodeMetadata},
		{"keys in a file", "jwks_uri", "file:///etc/passwd", CodeMetadata},
		{"logout over http", "end_session_endpoint", "http://issuer.example/logout", CodeMetadata},
		{"no S256", "code_challenge_methods_supported", []string{"plain"}, CodeMetadata},
		{"no PKCE", "code_challenge_methods_supported", []string{}, CodeMetadata},
		{"endpoint is a number", "token_endpoint", 7, CodeUnavailable},
	} {
		i.set(func() {
			i.metadata = maps.Clone(good)
			i.metadata[c.member] = c.value
		})
		err := i.client(t, nil).Check(t.Context())
		if !errors.Is(err, c.want) {
			t.Errorf("%s: got %v", c.name, err)
		}
	}
	i.set(func() { i.metadata = good; delete(good, "code_challenge_methods_supported") })
	if err := i.client(t, nil).Check(t.Context()); err != nil {
		t.Errorf("an issuer that does not speak of PKCE: %v", err)
	}
}

// TestPlainHTTPUnderTLS: an https issuer does not send us, or our secret, to http.
func TestPlainHTTPUnderTLS(t *testing.T) {
	var metadata map[string]any
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { reply(w, 200, metadata) }))
	defer s.Close()
	check := func(endpoint string) error {
		metadata = map[string]any{"issuer": s.URL, "authorization_endpoint": s.URL + "/a", "token_endpoint": endpoint, "jwks_uri": s.URL + "/k"}
		p, err := New(Config{Issuer: s.URL, ClientID: "writ", RedirectURL: redirectURL, HTTPClient: s.Client()})
		if err != nil {
			t.Fatal(err)
		}
		return p.Check(t.Context())
	}
	if err := check(s.URL + "/t"); err != nil {
		t.Error(err)
	}
	wantCode(t, check("http://localhost/t"), CodeMetadata)
}

// TestIssuerMisbehaves: answers that redirect, are huge, or never end.
func TestIssuerMisbehaves(t *testing.T) {
	elsewhere := 0
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere++ }))
	defer other.Close()
	for name, answer := range map[string]http.HandlerFunc{
		"redirects": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
		},
		"is huge": func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprintf(w, `{"x":"%s"}`, strings.Repeat("x", answerLimit))
		},
		"is no JSON": func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, strings.Repeat("<html>", 1000)) },
		"fails":      func(w http.ResponseWriter, _ *http.Request) { http.Error(w, strings.Repeat("no ", 1000), 500) },
		"never ends": func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(200)
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		},
	} {
		s := httptest.NewServer(answer)
		p, err := New(Config{Issuer: s.URL, ClientID: "writ", RedirectURL: redirectURL, HTTPClient: &http.Client{Timeout: 200 * time.Millisecond}})
		if err != nil {
			t.Fatal(err)
		}
		err = p.Check(t.Context())
		if !errors.Is(err, CodeUnavailable) || len(err.Error()) > 500 {
			t.Errorf("%s: got %v", name, err)
		}
		// The token endpoint and the keys, which carry what is worth more.
		p.metadata.value = metadata{AuthorizationEndpoint: s.URL, TokenEndpoint: s.URL, JWKSURI: s.URL}
		p.metadata.version, p.metadata.until = 1, p.now().Add(time.Hour)
		_, err = p.Refresh(t.Context(), "token", "subject")
		if !errors.Is(err, CodeUnavailable) && !errors.Is(err, CodeResponse) || len(err.Error()) > 500 {
			t.Errorf("%s: got %v", name, err)
		}
		_, err = p.fetchKeys(t.Context())
		if !errors.Is(err, CodeUnavailable) && !errors.Is(err, CodeMetadata) {
			t.Errorf("%s: got %v", name, err)
		}
		s.Close()
	}
	if elsewhere != 0 {
		t.Errorf("followed %d redirects", elsewhere)
	}
}

// TestIssuerComesLater: one that is not there at the start is found when it is, and
// is not hammered meanwhile.
func TestIssuerComesLater(t *testing.T) {
	tr := newTrial(t, "EdDSA")
	tr.set(func() { tr.metadata["issuer"] = "https://not.there.yet" })
	for range 50 {
		_, _, err := tr.p.Begin(t.Context())
		if !errors.Is(err, CodeMetadata) && !errors.Is(err, CodeUnavailable) {
			t.Fatalf("got %v", err)
		}
	}
	if n := tr.askedFor("/.well-known/openid-configuration"); n != fetchBurst {
		t.Errorf("asked %d times, want %d", n, fetchBurst)
	}
	tr.set(func() { tr.metadata["issuer"] = tr.URL })
	_, _, err := tr.p.Begin(t.Context())
	wantCode(t, err, CodeUnavailable)
	wantCode(t, err, CodeMetadata) // and why
	tr.clock.advance(fetchEvery)
	if _, err := tr.finish(t, func(nonce string) string { return tr.token(t, nonce, nil) }); err != nil {
		t.Error(err)
	}
}

// TestMetadataMoves: what the issuer says is asked again after metadataLife.
func TestMetadataMoves(t *testing.T) {
	i := newIssuer(t)
	p := i.client(t, nil)
	if err := p.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	i.set(func() { i.metadata["authorization_endpoint"] = i.URL + "/moved" })
	i.clock.advance(metadataLife - 1)
	if start, _, err := p.Begin(t.Context()); err != nil || strings.Contains(start, "/moved") {
		t.Errorf("got %s, %v", start, err)
	}
	i.clock.advance(1)
	if start, _, err := p.Begin(t.Context()); err != nil || !strings.Contains(start, "/moved") {
		t.Errorf("got %s, %v", start, err)
	}
}

// TestKeysRotate: a new key is found at once, a withdrawn one ends within keysLife,
// and a key that takes the kid of an old one replaces it.
func TestKeysRotate(t *testing.T) {
	tr := newTrial(t, "EdDSA")
	good := func() error {
		_, err := tr.finish(t, func(nonce string) string { return tr.token(t, nonce, nil) })
		return err
	}
	if err := good(); err != nil {
		t.Fatal(err)
	}
	old := tr.key
	for _, kid := range []string{"k2", "k2"} {
		tr.key = newSigningKey(t, kid, "EdDSA")
		tr.set(func() { tr.keys = []map[string]any{tr.key.jwk(t), old.jwk(t)} })
		if err := good(); err != nil {
			t.Errorf("a new key %s: %v", kid, err)
		}
	}
	tr.set(func() { tr.keys = tr.keys[:1] })
	newest := tr.key
	tr.key = old
	tr.clock.advance(keysLife)
	wantCode(t, good(), CodeKey)
	tr.key = newest
	if err := good(); err != nil {
		t.Error(err)
	}
}

// TestUnknownKeys: tokens that name keys of nobody do not become requests to the
// issuer, and do not stop good tokens.
func TestUnknownKeys(t *testing.T) {
	tr := newTrial(t, "EdDSA")
	bad := func() error {
		_, err := tr.finish(t, func(nonce string) string {
			return tr.token(t, nonce, func(h, _ map[string]any) { h["kid"] = newSecret() })
		})
		return err
	}
	for range 40 {
		wantCode(t, bad(), CodeKey)
	}
	if n := tr.askedFor("/keys"); n != fetchBurst {
		t.Errorf("asked %d times for keys, want %d", n, fetchBurst)
	}
	if _, err := tr.finish(t, func(nonce string) string { return tr.token(t, nonce, nil) }); err != nil {
		t.Error(err)
	}
	tr.clock.advance(fetchEvery)
	for range 5 {
		wantCode(t, bad(), CodeKey)
	}
	if n := tr.askedFor("/keys"); n != fetchBurst+1 {
		t.Errorf("asked %d times for keys, want %d", n, fetchBurst+1)
	}
}

// TestOneFetch: many who wait make one request, and one who leaves does not spoil it
// for the others.
func TestOneFetch(t *testing.T) {
	release, entered := make(chan struct{}), make(chan struct{})
	fetches := 0
	r := &remembered[string]{life: time.Hour, now: time.Now, fetch: func(ctx context.Context) (string, error) {
		fetches++
		close(entered)
		<-release
		return "value", ctx.Err()
	}}
	leaving, leave := context.WithCancel(t.Context())
	left := make(chan error)
	go func() {
		_, _, err := r.get(leaving, 0)
		left <- err
	}()
	<-entered
	leave()
	wantCode(t, <-left, CodeUnavailable)
	var waiting sync.WaitGroup
	for range 20 {
		waiting.Go(func() {
			if v, version, err := r.get(t.Context(), 0); v != "value" || version != 1 || err != nil {
				t.Errorf("got %q, %d, %v", v, version, err)
			}
		})
	}
	close(release)
	waiting.Wait()
	if fetches != 1 {
		t.Errorf("%d fetches", fetches)
	}
}

func TestLogoutURL(t *testing.T) {
	i := newIssuer(t)
	if out, err := i.client(t, nil).LogoutURL(t.Context(), "token", redirectURL); out != "" || err != nil {
		t.Errorf("an issuer without the endpoint: %q, %v", out, err)
	}
	i.set(func() { i.metadata["end_session_endpoint"] = i.URL + "/logout?tenant=7" })
	p := i.client(t, nil)
	for _, c := range []struct{ hint, back, want string }{
		{"", "", "client_id=writ&tenant=7"},
		{"a.b.c", redirectURL, "client_id=writ&id_token_hint=a.b.c&post_logout_redirect_uri=" + url.QueryEscape(redirectURL) + "&tenant=7"},
	} {
		if out, err := p.LogoutURL(t.Context(), c.hint, c.back); out != i.URL+"/logout?"+c.want || err != nil {
			t.Errorf("got %q, %v", out, err)
		}
	}
}

// TestNoSecretsInTexts: what is logged by accident gives nothing away.
func TestNoSecretsInTexts(t *testing.T) {
	tr := newTrial(t, "EdDSA")
	flow, answer := tr.begin(t, tr.p)
	tr.gives(tr.token(t, flow.Nonce, nil))
	id, err := tr.p.Finish(t.Context(), flow, answer)
	if err != nil {
		t.Fatal(err)
	}
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		text := fmt.Sprintf(format+format, flow, id)
		for _, secret := range []string{flow.State, flow.Nonce, flow.Verifier, id.RefreshToken, id.IDToken} {
			if strings.Contains(text, secret) {
				t.Errorf("%s shows %s", format, secret)
			}
		}
	}
}

func TestMapGroups(t *testing.T) {
	mapping := map[string][]registry.Role{
		"staff":  {registry.RoleAuditor},
		"iam":    {registry.RolePolicyAuthor, registry.RoleRegistrar, registry.RoleAuditor},
		"admins": registry.Roles,
		"bosses": {registry.RoleOwner, registry.RoleApprover, registry.RoleOperator, "root"},
	}
	for _, c := range []struct {
		groups []string
		want   []registry.Role
	}{
		{nil, nil},
		{[]string{"unknown"}, nil},
		{[]string{"staff"}, []registry.Role{registry.RoleAuditor}},
		{[]string{"Staff", "staff "}, nil},
		{[]string{"staff", "iam", "staff"}, GroupRoles},
		{[]string{"admins"}, GroupRoles},
		{[]string{"bosses"}, nil},
	} {
		if diff := cmp.Diff(c.want, MapGroups(c.groups, mapping)); diff != "" {
			t.Errorf("%v: %s", c.groups, diff)
		}
	}
	if got := MapGroups([]string{"staff"}, nil); got != nil {
		t.Errorf("without a mapping: %v", got)
	}
	for _, never := range []registry.Role{registry.RoleOwner, registry.RoleApprover, registry.RoleOperator} {
		if slices.Contains(GroupRoles, never) {
			t.Errorf("groups give %s", never)
		}
	}
}
