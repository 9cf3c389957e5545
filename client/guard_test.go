package client

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/writ-registry/writ/internal/jose"
	"github.com/writ-registry/writ/registry/capability"
)

const testDecision = "0192d4e0-0000-7000-8000-000000000001"

// fakePDP answers as a registry does, or as one that is at fault.
type fakePDP struct {
	*httptest.Server
	key *jose.PrivateKey
	kid string

	mu       sync.Mutex
	asked    []EvaluationRequest            // guarded by mu
	forge    func(*capability.PermitClaims) // changes the next permits; nil: they are right
	sign     *jose.PrivateKey               // signs them; nil: key
	answer   func(*Decision)                // changes the next decisions
	redeem   int                            // status that redemptions get; 0 = 200
	redeemed int
	outcomes []string
}

func newFakePDP(t *testing.T) *fakePDP {
	t.Helper()
	key, err := jose.GenerateEd25519()
	if err != nil {
		t.Fatal(err)
	}
	f := &fakePDP{key: key, kid: "did:web:writ.example#" + key.Public().Multikey()}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/did.json", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{
			"id": "did:web:writ.example", "capabilityInvocation": []string{f.kid},
			"verificationMethod": []any{map[string]string{"id": f.kid, "type": "Multikey", "publicKeyMultibase": key.Public().Multikey()}},
		})
	})
	mux.HandleFunc("POST /access/v1/evaluation", f.evaluate)
	mux.HandleFunc("POST /v1/permits/redeem", func(w http.ResponseWriter, _ *http.Request) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.redeemed++
		if f.redeem != 0 {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(f.redeem)
			fmt.Fprintf(w, `{"status":%d,"code":"authority_moved"}`, f.redeem)
			return
		}
		fmt.Fprint(w, `{"permit":{"id":"x"}}`)
	})
	mux.HandleFunc("POST /v1/permits/{id}/outcome", func(w http.ResponseWriter, r *http.Request) {
		var in struct{ Outcome string }
		_ = json.NewDecoder(r.Body).Decode(&in)
		o, err := capability.ParseOutcome(in.Outcome)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		f.mu.Lock()
		f.outcomes = append(f.outcomes, o.Claims().Outcome+" "+o.Claims().Result)
		f.mu.Unlock()
		fmt.Fprint(w, `{"permit":{"id":"x"}}`)
	})
	f.Server = httptest.NewServer(mux)
	t.Cleanup(f.Close)
	return f
}

func (f *fakePDP) evaluate(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var in EvaluationRequest
	_ = json.NewDecoder(r.Body).Decode(&in)
	f.asked = append(f.asked, in)
	grant, err := capability.ParseGrant(in.Context.Token[0])
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	adg, _ := capability.Act{Action: in.Action.Name, Resource: in.Resource, Arguments: in.Action.Properties, Task: in.Context.Task}.Digest()
	now := time.Now().Unix()
	c := capability.PermitClaims{
		Issuer: f.URL, Audience: testERP, Subject: in.Subject.ID, Confirm: capability.Confirmed{Thumbprint: grant.Key().Thumbprint()}, ActDigest: adg, Epochs: adg,
		Redeem: capability.RedeemOffline, ID: testDecision[:len(testDecision)-3] + fmt.Sprintf("%03d", len(f.asked)), IssuedAt: now, Expires: now + 30,
	}
	d := Decision{Decision: true, Context: DecisionContext{ID: c.ID, Verdict: "permit", Qualified: true}}
	if f.forge != nil {
		f.forge(&c)
	}
	signer := f.key
	if f.sign != nil {
		signer = f.sign
	}
	d.Context.Permit, _ = capability.SignPermit(signer, f.kid, c)
	if f.answer != nil {
		f.answer(&d)
	}
	_ = json.NewEncoder(w).Encode(d)
}

// guardedTool is a handler behind a Guard, with an agent that may use it.
type guardedTool struct {
	*fakePDP
	guard   *Guard
	handler http.Handler
	signer  *RequestSigner
	calls   int
	body    string
	status  int // that the tool answers; 0 = 200
}

func newGuardedTool(t *testing.T, change ...func(*GuardConfig)) *guardedTool {
	t.Helper()
	g := &guardedTool{fakePDP: newFakePDP(t)}
	c, err := New(g.URL, "secret", Options{Retries: -1})
	if err != nil {
		t.Fatal(err)
	}
	routes := Routes{Audience: testERP, Routes: []Route{
		{Method: "GET", Path: "/invoices/{id}", Action: "read:invoices", Resource: "{id}"},
		{Method: "POST", Path: "/shipments", Action: "create:shipment", Resource: "new", Body: BodyJSON},
	}}
	key, err := GenerateAgentKey()
	if err != nil {
		t.Fatal(err)
	}
	cfg := GuardConfig{Client: c, Routes: routes, Key: key, Logger: slog.New(slog.DiscardHandler)}
	for _, f := range change {
		f(&cfg)
	}
	if g.guard, err = NewGuard(cfg); err != nil {
		t.Fatal(err)
	}
	agent := testAgent(t)
	agent.Hold(testGrant(t, agent, "g", "read:invoices; create:shipment", time.Now().Add(time.Hour), testERP))
	if g.signer, err = NewRequestSigner(agent, routes); err != nil {
		t.Fatal(err)
	}
	g.handler = g.guard.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.calls++
		raw, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		g.body = string(raw)
		if a, ok := AdmittedBy(r.Context()); !ok || a.Agent != testDID {
			t.Errorf("admitted as %+v", a)
		}
		if r.Header.Get(HeaderToken)+r.Header.Get(HeaderProof) != "" {
			t.Error("the tool was given the agent's proof")
		}
		if g.status != 0 {
			w.WriteHeader(g.status)
		}
		_, _ = w.Write(raw)
	}))
	return g
}

// request is a signed one, as a server receives it.
func (g *guardedTool) request(t *testing.T, method, target, body string) *http.Request {
	t.Helper()
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	if body == "" {
		r.Body = http.NoBody
	} else {
		r.Header.Set("Content-Type", "application/json")
	}
	if err := g.signer.Sign(r); err != nil {
		t.Fatal(err)
	}
	return r
}

func (g *guardedTool) serve(r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	g.handler.ServeHTTP(w, r)
	return w
}

func (g *guardedTool) stops(t *testing.T, name string, r *http.Request, status int, code string) {
	t.Helper()
	before := g.calls
	w := g.serve(r)
	var p struct{ Code string }
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || w.Code != status || p.Code != code {
		t.Errorf("%s: %d %s (%v), want %d %s", name, w.Code, w.Body, err, status, code)
	}
	if g.calls != before {
		t.Errorf("%s: it reached the tool", name)
	}
}

func TestGuardLetsPass(t *testing.T) {
	g := newGuardedTool(t)
	const body = `{ "weight": 12.50, "to": "B" }`
	if w := g.serve(g.request(t, "POST", "/shipments", body)); w.Code != 200 || g.calls != 1 || g.body != body {
		t.Fatalf("%d %s, %d calls with %q", w.Code, w.Body, g.calls, g.body)
	}
	if got := g.asked[0]; got.Resource.Type != "shipment" || string(got.Action.Properties) != `{"to":"B","weight":12.5}` || !got.Context.Permit {
		t.Errorf("asked %+v", got)
	}
	g.status = 500
	g.serve(g.request(t, "GET", "/invoices/7", ""))
	g.guard.Wait()
	if len(g.outcomes) != 2 || g.outcomes[0] == g.outcomes[1] {
		t.Fatalf("outcomes %q", g.outcomes)
	}
	for _, o := range g.outcomes {
		if !strings.HasPrefix(o, "executed ") && !strings.HasPrefix(o, "failed ") {
			t.Errorf("outcome %q", o)
		}
	}
}

// changing gives other bytes each time it is read to its end.
type changing struct {
	texts  []string
	reader *strings.Reader
}

func (c *changing) Read(p []byte) (int, error) {
	if c.reader == nil {
		c.reader = strings.NewReader(c.texts[0])
	}
	n, err := c.reader.Read(p)
	if errors.Is(err, io.EOF) && len(c.texts) > 1 {
		c.texts, c.reader = c.texts[1:], nil
	}
	return n, err
}

// TestGuardExecutesWhatWasDecided: the body is read once, and the bytes that were part
// of the act are those that the tool gets.
func TestGuardExecutesWhatWasDecided(t *testing.T) {
	g := newGuardedTool(t)
	const first, second = `{"weight":1}`, `{"weight":999}`
	r := g.request(t, "POST", "/shipments", first)
	r.Body = io.NopCloser(&changing{texts: []string{first, second, second}})
	if w := g.serve(r); w.Code != 200 || g.body != first || string(g.asked[0].Action.Properties) != first {
		t.Errorf("%d, asked about %s, executed %s", w.Code, g.asked[0].Action.Properties, g.body)
	}
}

func TestGuardStops(t *testing.T) {
	g := newGuardedTool(t)
	g.guard.MaxBody = 64
	get := func(change ...func(*http.Request)) *http.Request {
		r := g.request(t, "GET", "/invoices/7", "")
		for _, f := range change {
			f(r)
		}
		return r
	}
	g.stops(t, "no proof", get(func(r *http.Request) { r.Header.Del(HeaderProof) }), 401, "missing")
	g.stops(t, "two tokens", get(func(r *http.Request) { r.Header.Add(HeaderToken, "x") }), 403, "ambiguous_request")
	g.stops(t, "a proof that is none", get(func(r *http.Request) { r.Header.Set(HeaderProof, "x") }), 401, "malformed")
	g.stops(t, "a token that is none", get(func(r *http.Request) { r.Header.Set(HeaderToken, "x") }), 401, "malformed")
	g.stops(t, "a request that names another", get(func(r *http.Request) { r.Header.Set("X-HTTP-Method-Override", "DELETE") }), 403, "ambiguous_request")
	g.stops(t, "no route", get(func(r *http.Request) { r.RequestURI = "/admin" }), 403, "route_unknown")
	g.stops(t, "dot segments", get(func(r *http.Request) { r.RequestURI = "/x/../invoices/7" }), 403, "request_unfit")
	g.stops(t, "a body where there is none", get(func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader("x")) }), 403, "request_unfit")
	g.stops(t, "a long body", get(func(r *http.Request) { r.Body = io.NopCloser(bytes.NewReader(make([]byte, 65))) }), 413, "too-large")

	other, err := jose.GenerateEd25519()
	if err != nil {
		t.Fatal(err)
	}
	wrong := strings.Repeat("A", 43)
	for name, forge := range map[string]func(*capability.PermitClaims){
		"of another registry":       func(c *capability.PermitClaims) { c.Issuer = "https://evil.example" },
		"for another audience":      func(c *capability.PermitClaims) { c.Audience = "https://crm.example" },
		"of another agent":          func(c *capability.PermitClaims) { c.Subject = "did:web:other.example" },
		"for another key":           func(c *capability.PermitClaims) { c.Confirm.Thumbprint = wrong },
		"for another act":           func(c *capability.PermitClaims) { c.ActDigest = wrong },
		"of another decision":       func(c *capability.PermitClaims) { c.ID = "0192d4e0-0000-7000-8000-000000000999" },
		"that has expired":          func(c *capability.PermitClaims) { c.IssuedAt -= 60; c.Expires -= 60 },
		"that begins in the future": func(c *capability.PermitClaims) { c.IssuedAt += 60; c.Expires += 60 },
	} {
		g.forge = forge
		g.stops(t, "a permit "+name, get(), 503, "permit")
	}
	g.forge, g.sign = nil, other
	g.stops(t, "a permit that another signed", get(), 503, "permit")
	g.sign = nil
	for name, c := range map[string]struct {
		change func(*Decision)
		status int
		code   string
	}{
		"a denial": {func(d *Decision) {
			d.Decision, d.Context.Verdict, d.Context.Reasons = false, Deny, []Reason{{Code: "kill_agent"}}
		}, 403, "kill_agent"},
		"a step-up":                   {func(d *Decision) { d.Decision, d.Context.Verdict = false, StepUp }, 403, StepUp},
		"an answer against itself":    {func(d *Decision) { d.Context.Verdict = Deny }, 403, Deny},
		"a permit that was not given": {func(d *Decision) { d.Context.Permit = "" }, 503, "no_permit"},
		"a permit that is none":       {func(d *Decision) { d.Context.Permit = "x" }, 503, "permit"},
		"a proof that is another's":   {func(d *Decision) { d.Decision, d.Context.Reasons = false, []Reason{{Code: "possession_failed"}} }, 401, "possession_failed"},
	} {
		g.answer = c.change
		g.stops(t, name, get(), c.status, c.code)
	}
	g.answer = nil
	if w := g.serve(get()); w.Code != 200 {
		t.Fatalf("what is right does not pass either: %d %s", w.Code, w.Body)
	}
	// The registry's recorded answer to a repeated question is no second permission.
	g.forge = func(c *capability.PermitClaims) { c.ID = testDecision }
	g.answer = func(d *Decision) { d.Context.ID = testDecision }
	if w := g.serve(get()); w.Code != 200 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	g.stops(t, "the same permit again", get(), 401, "replayed")
	g.forge, g.answer = nil, nil
	g.Close()
	g.stops(t, "a registry that is not there", get(), 503, "undecided")
	g.guard.Wait()
}

// TestGuardRedeemsOnline: what the permit says is redeemed at the registry is, and
// nowhere else.
func TestGuardRedeemsOnline(t *testing.T) {
	g := newGuardedTool(t)
	g.forge = func(c *capability.PermitClaims) { c.Redeem = capability.RedeemOnline }
	if w := g.serve(g.request(t, "GET", "/invoices/7", "")); w.Code != 200 || g.redeemed != 1 {
		t.Fatalf("%d %s, redeemed %d times", w.Code, w.Body, g.redeemed)
	}
	g.redeem = 409
	g.stops(t, "authority moved", g.request(t, "GET", "/invoices/7", ""), 403, "authority_moved")
	g.redeem = 503
	g.stops(t, "the registry cannot say", g.request(t, "GET", "/invoices/7", ""), 503, "redemption")
	g.guard.Wait()
}

func TestRedemptions(t *testing.T) {
	path := filepath.Join(t.TempDir(), "redeemed")
	file, err := OpenRedemptions(path)
	if err != nil {
		t.Fatal(err)
	}
	soon, past := time.Now().Add(30*time.Second), time.Now().Add(-2*kept)
	for name, r := range map[string]Redemptions{"memory": &MemoryRedemptions{}, "file": file} {
		var won sync.Map
		var all sync.WaitGroup
		for i := range 16 {
			all.Go(func() {
				if r.Redeem("a", soon) == nil {
					won.Store(i, true)
				}
			})
		}
		all.Wait()
		n := 0
		won.Range(func(any, any) bool { n++; return true })
		if n != 1 {
			t.Errorf("%s: used %d times", name, n)
		}
		if err := r.Redeem("b", past); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	if file, err = OpenRedemptions(path); err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := file.Redeem("a", soon); !errors.Is(err, ErrRedeemed) {
		t.Errorf("after a restart: %v", err)
	}
	if n := len(file.memory.until); n != 1 {
		t.Errorf("%d are remembered, what is past should not be", n)
	}
	full := &MemoryRedemptions{Max: 1}
	if err := full.Redeem("a", soon); err != nil {
		t.Error(err)
	}
	if err := full.Redeem("b", soon); err == nil || errors.Is(err, ErrRedeemed) {
		t.Errorf("a store that is full forgot something: %v", err)
	}
}
