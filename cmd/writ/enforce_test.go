package main

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/writ-registry/writ/client"
)

const toolCredential = "Bearer the-tool's-own"

// guarded is a tool that an enforcement point guards, and an agent that may use it.
type guarded struct {
	*running
	agent  *client.AgentFile
	signer *client.RequestSigner
	routes client.Routes
	pep    client.PEP
	secret string // the enforcement point's credential
	key    *client.AgentKey

	tool  *httptest.Server
	calls atomic.Int64 // that reached the tool
	last  atomic.Pointer[http.Request]
}

func newGuarded(t testing.TB) *guarded {
	t.Helper()
	g := &guarded{running: start(t, testConfig(t.TempDir()))}
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	raw, err := os.ReadFile("../../examples/nginx/routes.json")
	must(err)
	must(json.Unmarshal(raw, &g.routes))
	g.tool = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.calls.Add(1)
		g.last.Store(r)
		_, _ = io.Copy(w, r.Body)
	}))
	t.Cleanup(g.tool.Close)

	_, err = g.ActivateCatalogue(ctx, "operator", []client.CatalogueAction{
		{Action: "read:invoices", Reversibility: "reversible"},
		{Action: "write:files", Reversibility: "compensable", Material: true, CompensatedBy: "write:files", CompensateIn: 3600},
		{Action: "create:shipment", Reversibility: "compensable", Material: true, CompensatedBy: "cancel:shipment", CompensateIn: 3600},
		{Action: "delete:invoices", Reversibility: "irreversible", Material: true},
	})
	must(err)
	g.key, err = client.GenerateAgentKey()
	must(err)
	jwk := g.key.JWK()
	pep, err := g.RegisterPEP(ctx, client.NewPEP{Name: "gate", Resources: []string{g.routes.Audience, "https://crm.example"}, JWK: &jwk})
	must(err)
	g.pep, g.secret = pep.Value, pep.Secret
	credential := toolCredential
	_, err = g.SetPEPRoutes(ctx, g.pep.ID, client.NewPEPRoutes{Routes: g.routes, Credential: &credential})
	must(err)

	key, err := client.GenerateAgentKey()
	must(err)
	possession, err := key.ProvePossession(g.server.Origin, "operator", "clerk")
	must(err)
	a, err := g.RegisterAgent(ctx, client.NewAgent{Name: "clerk", JWK: key.JWK(), Possession: possession})
	must(err)
	approved, err := g.ApproveAgent(ctx, a.Value.ID)
	must(err)
	g.agent, err = client.NewAgentFile(g.server.Origin, approved.Value, key)
	must(err)
	grant, err := g.IssueGrant(ctx, client.NewGrant{Agent: a.Value.ID, Delegation: 2, Capabilities: "read:invoices; write:files; create:shipment; delete:invoices", Audience: []string{g.routes.Audience, "https://crm.example"}})
	must(err)
	g.agent.Hold(grant.Value)
	g.signer, err = client.NewRequestSigner(g.agent, g.routes)
	must(err)
	return g
}

// request makes a request of the agent's, signed.
func (g *guarded) request(t testing.TB, method, url, body string) *http.Request {
	t.Helper()
	var in io.Reader
	if body != "" {
		in = strings.NewReader(body)
	}
	r, err := http.NewRequestWithContext(t.Context(), method, url, in)
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if err := g.signer.Sign(r); err != nil {
		t.Fatal(err)
	}
	return r
}

// send sends a request and returns the status, and whether it reached the tool.
func (g *guarded) send(t testing.TB, r *http.Request) (res *http.Response, reached bool) {
	t.Helper()
	before := g.calls.Load()
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	return res, g.calls.Load() != before
}

// nginx starts a real one with the example's configuration before the tool.
func (g *guarded) nginx(t testing.TB) string {
	t.Helper()
	bin := findNginx()
	if bin == "" {
		t.Skip("no nginx: scripts/debian.sh installs it where it may")
	}
	// The same without the question, for what that costs.
	open := func(conf string) string {
		return strings.Replace(conf, "\t\tlocation / {", "\t\tlocation /open/ { proxy_pass http://tool; proxy_http_version 1.1; proxy_set_header Connection \"\"; }\n\t\tlocation / {", 1)
	}
	front, stop, err := startNginx(t.Context(), bin, g.server.URL, g.tool.URL, g.secret, open)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	return front
}

// TestNginx: what is not proven, not permitted or not known never reaches the tool,
// and what is reaches it with a credential that the agent never held.
func TestNginx(t *testing.T) {
	g := newGuarded(t)
	front := g.nginx(t)
	stopped := func(name string, r *http.Request, status int, reason string) {
		t.Helper()
		res, reached := g.send(t, r)
		if reached {
			t.Errorf("%s: it reached the tool", name)
		}
		if res.StatusCode != status || res.Header.Get("Writ-Reason") != reason {
			t.Errorf("%s: %d %q, want %d %q", name, res.StatusCode, res.Header.Get("Writ-Reason"), status, reason)
		}
	}
	passes := func(r *http.Request) *http.Request {
		t.Helper()
		res, reached := g.send(t, r)
		if !reached || res.StatusCode != http.StatusOK {
			t.Fatalf("%s %s: %d %s, reached the tool: %v", r.Method, r.URL.Path, res.StatusCode, res.Header.Get("Writ-Reason"), reached)
		}
		return g.last.Load()
	}

	r := g.request(t, "GET", front+"/invoices/7?full=yes", "")
	r.Header.Set("Authorization", "Bearer the-agent's-guess")
	got := passes(r)
	if h := got.Header; h.Get("Authorization") != toolCredential || h.Get("Writ-Agent") != g.agent.DID || h.Get("Writ-Decision") == "" || h.Get("Writ-Token")+h.Get("Writ-Proof") != "" || got.RequestURI != "/invoices/7?full=yes" {
		t.Errorf("the tool got %s with %v", got.RequestURI, h)
	}
	stopped("the same proof again", r, 401, "replayed")
	passes(g.request(t, "PUT", front+"/files/a/b", `{"x":1}`))

	change := func(method, path, body string, f func(*http.Request)) *http.Request {
		r := g.request(t, method, front+path, body)
		f(r)
		return r
	}
	unsigned, err := http.NewRequestWithContext(t.Context(), "GET", front+"/invoices/7", nil)
	if err != nil {
		t.Fatal(err)
	}
	stopped("unproven", unsigned, 401, "missing")
	stopped("another resource than was signed", change("GET", "/invoices/7", "", func(r *http.Request) { r.URL.Path = "/invoices/8" }), 401, "possession_failed")
	stopped("another query than was signed", change("GET", "/invoices/7", "", func(r *http.Request) { r.URL.RawQuery = "all=1" }), 401, "possession_failed")
	stopped("another method than was signed", change("GET", "/invoices/7", "", func(r *http.Request) { r.Method = "DELETE" }), 401, "possession_failed")
	stopped("a body that was not signed", change("GET", "/invoices/7", "", func(r *http.Request) { r.Body, r.ContentLength = io.NopCloser(strings.NewReader("x")), 1 }), 403, "request_unfit")
	stopped("a chunked body that was not signed", change("GET", "/invoices/7", "", func(r *http.Request) { r.Body, r.ContentLength = io.NopCloser(strings.NewReader("x")), -1 }), 403, "request_unfit")
	stopped("a digest that was not signed", change("PUT", "/files/a", `{"x":1}`, func(r *http.Request) {
		r.Header.Set("Content-Digest", "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:")
	}), 401, "possession_failed")
	stopped("a path with dots", change("GET", "/invoices/7", "", func(r *http.Request) { r.URL.Opaque = "//" + r.URL.Host + "/x/../invoices/7" }), 403, "request_unfit")
	stopped("a request that names another", change("GET", "/invoices/7", "", func(r *http.Request) { r.Header.Set("X-Http-Method-Override", "DELETE") }), 403, "ambiguous_request")
	r = change("GET", "/invoices/7", "", func(r *http.Request) {
		r.URL.Path = "/invoices/8"
		r.Header.Set("X-Original-Uri", "/invoices/7")
		r.Header.Set("X-Forwarded-Uri", "/invoices/7")
		r.Header.Set("X-Original-Body", "none")
	})
	stopped("headers that the proxy sets", r, 401, "possession_failed")
	stopped("a body that the proxy does not pass on", g.request(t, "POST", front+"/shipments", `{"weight":1}`), 403, "body_unseen")
	stopped("what cannot be undone", g.request(t, "DELETE", front+"/invoices/7", ""), 403, "approval_required")
	stopped("no route", change("GET", "/invoices/7", "", func(r *http.Request) { r.URL.Path = "/admin" }), 403, "route_unknown")

	elsewhere, err := client.NewRequestSigner(g.agent, client.Routes{Audience: "https://crm.example", Routes: g.routes.Routes})
	if err != nil {
		t.Fatal(err)
	}
	stopped("signed for another resource server of the same point", change("GET", "/invoices/7", "", func(r *http.Request) {
		if err := elsewhere.Sign(r); err != nil {
			t.Fatal(err)
		}
	}), 401, "possession_failed")

	scope := client.Scope{Kind: "agent", ID: g.agent.ID}
	if _, err := g.SetKill(t.Context(), scope, "drill"); err != nil {
		t.Fatal(err)
	}
	stopped("a stopped agent", g.request(t, "GET", front+"/invoices/7", ""), 403, "kill_agent")
	if _, err := g.ReleaseKill(t.Context(), scope, "over"); err != nil {
		t.Fatal(err)
	}
	passes(g.request(t, "GET", front+"/invoices/7", ""))
	g.stop()
	stopped("a registry that is not there", g.request(t, "GET", front+"/invoices/7", ""), 500, "")
}

// BenchmarkNginx measures what the question adds to a call: one client, one call after
// another, to a tool that answers at once. "asked" signs each request anew.
func BenchmarkNginx(b *testing.B) {
	g := newGuarded(b)
	front := g.nginx(b)
	for _, name := range []string{"alone", "asked"} {
		b.Run(name, func(b *testing.B) {
			took := make([]time.Duration, 0, b.N)
			for b.Loop() {
				b.StopTimer()
				r := g.request(b, "GET", front+"/invoices/7", "")
				if r.URL.Path = "/invoices/7"; name == "alone" {
					r.URL.Path = "/open/invoices/7"
				}
				b.StartTimer()
				started := time.Now()
				if res, reached := g.send(b, r); !reached {
					b.Fatal(res.Status)
				}
				took = append(took, time.Since(started))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
		})
	}
}

// guard puts a Guard before a tool of its own, which answers with status.
func (g *guarded) guard(t testing.TB, status int) (*client.Guard, *httptest.Server) {
	t.Helper()
	pep, err := client.New(g.server.URL, g.secret, client.Options{Retries: -1})
	if err != nil {
		t.Fatal(err)
	}
	guard, err := client.NewGuard(client.GuardConfig{Client: pep, Origin: g.server.Origin, Routes: g.routes, Key: g.key, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	front := httptest.NewServer(guard.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.calls.Add(1)
		g.last.Store(r)
		w.WriteHeader(status)
		_, _ = io.Copy(w, r.Body)
	})))
	t.Cleanup(front.Close)
	return guard, front
}

// TestGuard: the middleware before a tool, with a real registry.
func TestGuard(t *testing.T) {
	g := newGuarded(t)
	guard, front := g.guard(t, http.StatusOK)
	failing, broken := g.guard(t, http.StatusBadGateway)
	const body = `{"weight":12.5}`
	r := g.request(t, "POST", front.URL+"/shipments", body)
	if res, reached := g.send(t, r); !reached || res.StatusCode != 200 {
		t.Fatalf("%d", res.StatusCode)
	}
	again := g.request(t, "POST", front.URL+"/shipments", body)
	again.Header = r.Header
	if res, reached := g.send(t, again); reached || res.StatusCode != 401 {
		t.Errorf("the same proof again: %d, reached the tool: %v", res.StatusCode, reached)
	}
	other := g.request(t, "POST", front.URL+"/shipments", `{"weight":9999}`)
	other.Header = g.request(t, "POST", front.URL+"/shipments", body).Header
	other.Header.Del("Content-Digest")
	if res, reached := g.send(t, other); reached || res.StatusCode != 401 {
		t.Errorf("a body that was not signed: %d, reached the tool: %v", res.StatusCode, reached)
	}
	if res, _ := g.send(t, g.request(t, "POST", broken.URL+"/shipments", body)); res.StatusCode != http.StatusBadGateway {
		t.Errorf("a tool that fails: %d", res.StatusCode)
	}
	if res, reached := g.send(t, g.request(t, "DELETE", front.URL+"/invoices/7", "")); reached || res.StatusCode != 403 {
		t.Errorf("what cannot be undone: %d, reached the tool: %v", res.StatusCode, reached)
	}
	guard.Wait()
	failing.Wait()
	states := map[string]int{}
	for p, err := range g.Outcomes(t.Context(), "", g.agent.ID, "") {
		if err != nil {
			t.Fatal(err)
		}
		states[p.State]++
	}
	if states["executed"] != 1 || states["failed"] != 1 || len(states) != 2 {
		t.Errorf("outcomes: %v", states)
	}
	undo, err := client.Collect(g.Undo(t.Context(), g.agent.ID, false), 0)
	if err != nil || len(undo) != 2 || undo[0].By != "cancel:shipment" || undo[0].Resource == nil || undo[0].Resource.ID != "new" {
		t.Errorf("undo: %+v (%v)", undo, err)
	}
	g.stop()
	if res, reached := g.send(t, g.request(t, "GET", front.URL+"/invoices/7", "")); reached || res.StatusCode != 503 {
		t.Errorf("a registry that is not there: %d, reached the tool: %v", res.StatusCode, reached)
	}
}

// TestProxy: an agent that knows nothing of signatures, through the signing proxy and a
// guard to the tool.
func TestProxy(t *testing.T) {
	g := newGuarded(t)
	_, tool := g.guard(t, http.StatusOK)
	path := filepath.Join(t.TempDir(), "clerk.agent.json")
	if err := g.agent.Create(path); err != nil {
		t.Fatal(err)
	}
	o := proxyOptions{agent: path, routes: "../../examples/nginx/routes.json", to: tool.URL}
	handler, err := newSigningProxy(o)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httptest.NewServer(handler)
	defer proxy.Close()
	plain := func(method, path, body string, change ...func(*http.Request)) (*http.Response, bool) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, proxy.URL+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if body != "" {
			r.Header.Set("Content-Type", "application/json")
		}
		for _, f := range change {
			f(r)
		}
		return g.send(t, r)
	}
	for range 2 { // each request has a proof of its own
		if res, reached := plain("POST", "/shipments", `{"weight":1}`); !reached || res.StatusCode != 200 {
			t.Errorf("%d, reached the tool: %v", res.StatusCode, reached)
		}
	}
	if res, reached := plain("GET", "/invoices/a%20b?full=yes", ""); !reached || g.last.Load().RequestURI != "/invoices/a%20b?full=yes" {
		t.Errorf("%d, the tool was asked for %s", res.StatusCode, g.last.Load().RequestURI)
	}
	for name, change := range map[string]func(*http.Request){
		"no route":            func(r *http.Request) { r.URL.Path = "/admin" },
		"a web page":          func(r *http.Request) { r.Header.Set("Origin", "https://evil.example") },
		"a page's navigation": func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") },
		"a rebound name":      func(r *http.Request) { r.Host = "evil.example" },
	} {
		if res, reached := plain("GET", "/invoices/7", "", change); reached || res.StatusCode != 403 {
			t.Errorf("%s: %d, reached the tool: %v", name, res.StatusCode, reached)
		}
	}
	for _, address := range []string{"0.0.0.0:0", ":0", "192.0.2.1:0", "example.com:0"} {
		if l, err := listenLoopback(address, false); err == nil || !strings.Contains(err.Error(), "--force") {
			t.Errorf("it listens on %s: %v, %v", address, l, err)
		}
	}
	for _, to := range []string{"erp.example", "https://erp.example/path", "ftp://erp.example"} {
		if _, err := newSigningProxy(proxyOptions{agent: o.agent, routes: o.routes, to: to}); err == nil {
			t.Errorf("it passes requests on to %s", to)
		}
	}
}

// TestDelegatedCalls: a part of the agent's grant, in the hands of a key that nobody
// registered, goes through the guard, nginx and the signing proxy; more than the part
// does not, nor anything once the agent is stopped.
func TestDelegatedCalls(t *testing.T) {
	g := newGuarded(t)
	key, err := client.GenerateAgentKey()
	if err != nil {
		t.Fatal(err)
	}
	short, err := client.EphemeralAgent(g.server.Origin, key)
	if err != nil {
		t.Fatal(err)
	}
	part, err := g.agent.Attenuate(g.agent.Grants[0], client.Delegate{Key: key.JWK(), Capabilities: "read:invoices; create:shipment(weight<=10)"})
	if err != nil {
		t.Fatal(err)
	}
	short.Keep(part)
	if g.signer, err = client.NewRequestSigner(short, g.routes); err != nil {
		t.Fatal(err)
	}
	guard, tool := g.guard(t, http.StatusOK)
	path := filepath.Join(t.TempDir(), "short.agent.json")
	if err := short.Create(path); err != nil {
		t.Fatal(err)
	}
	handler, err := newSigningProxy(proxyOptions{agent: path, routes: "../../examples/nginx/routes.json", to: tool.URL})
	if err != nil {
		t.Fatal(err)
	}
	proxy := httptest.NewServer(handler)
	defer proxy.Close()

	// The proxy signs for itself.
	unsigned := func(method, path, body string) *http.Request {
		r, err := http.NewRequestWithContext(t.Context(), method, proxy.URL+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		return r
	}
	fronts := map[string]func(method, path, body string) *http.Request{
		"guard": func(method, path, body string) *http.Request { return g.request(t, method, tool.URL+path, body) },
		"proxy": unsigned,
	}
	for name, request := range fronts {
		if res, reached := g.send(t, request("POST", "/shipments", `{"weight":10}`)); !reached || res.StatusCode != 200 {
			t.Errorf("%s: its part: %d, reached the tool: %v", name, res.StatusCode, reached)
		}
		if res, reached := g.send(t, request("POST", "/shipments", `{"weight":11}`)); reached || res.StatusCode != 403 {
			t.Errorf("%s: more than its part: %d, reached the tool: %v", name, res.StatusCode, reached)
		}
	}
	if findNginx() != "" {
		front := g.nginx(t)
		fronts["nginx"] = func(method, path, body string) *http.Request { return g.request(t, method, front+path, body) }
	}
	stop := client.Scope{Kind: "agent", ID: g.agent.ID}
	for name, request := range fronts {
		if res, reached := g.send(t, request("GET", "/invoices/7", "")); !reached || res.StatusCode != 200 {
			t.Errorf("%s: reading: %d %s, reached the tool: %v", name, res.StatusCode, res.Header.Get("Writ-Reason"), reached)
		}
	}
	if _, err := g.SetKill(t.Context(), stop, "drill"); err != nil {
		t.Fatal(err)
	}
	for name, request := range fronts {
		if res, reached := g.send(t, request("GET", "/invoices/7", "")); reached || res.StatusCode != 403 {
			t.Errorf("%s: who delegated is stopped: %d %s, reached the tool: %v", name, res.StatusCode, res.Header.Get("Writ-Reason"), reached)
		}
	}
	guard.Wait()
}

// TestEnforcementCommands: keys, routes, outcomes and what can be undone.
func TestEnforcementCommands(t *testing.T) {
	g := newGuarded(t)
	dir := t.TempDir()
	run := func(args ...string) result {
		t.Helper()
		return writ(t, append(args, "--url", g.server.URL, "--token", g.Token)...)
	}
	key, credential := filepath.Join(dir, "erp.key"), filepath.Join(dir, "credential")
	if err := os.WriteFile(credential, []byte("Bearer other\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	run("pep", "set-key", g.pep.ID, key).want(t, 0, "signs outcomes with")
	first, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	run("pep", "set-key", g.pep.ID, key).want(t, 0)
	if again, err := os.ReadFile(key); err != nil || string(again) != string(first) {
		t.Errorf("the key was made anew (%v)", err)
	}
	if out := run("pep", "set-routes", g.pep.ID, "../../examples/nginx/routes.json", "--credential-file", credential).want(t, 0, "4 routes to", "Authorization"); strings.Contains(out.out, "other") {
		t.Errorf("the credential is shown: %s", out.out)
	}
	_, front := g.guard(t, http.StatusOK)
	if res, _ := g.send(t, g.request(t, "POST", front.URL+"/shipments", `{"weight":1}`)); res.StatusCode != 200 {
		t.Fatalf("%d", res.StatusCode)
	}
	run("outcome", "list", "--agent", g.agent.ID).want(t, 0, "create:shipment", g.routes.Audience)
	run("outcome", "list", "--state", "lapsed").want(t, 0)
	run("agent", "undo", g.agent.DID).want(t, 0, "cancel:shipment", "shipment/new")
	writ(t, "proxy", "--agent", "nowhere", "--routes", "y", "--to", "z").want(t, 1, "nowhere")
}
