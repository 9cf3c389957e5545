package registry_test

import (
	"cmp"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/writ-registry/writ/internal/route"
	"github.com/writ-registry/writ/registry"
	"github.com/writ-registry/writ/registry/capability"
	"github.com/writ-registry/writ/registry/registrytest"
)

const dock = "https://dock.example"

// permits is an agent at a resource server whose enforcement point has a key.
type permits struct {
	*registrytest.House
	t     *testing.T
	agent *registrytest.Agent
	grant registry.Grant
	args  string // of the acts; "" = none
	pep   registry.Call
}

func newPermits(t *testing.T) *permits {
	t.Helper()
	p := &permits{House: registrytest.New(t), t: t}
	p.Catalogue(t, registry.CatalogueAction{
		Action: "create:shipment", Reversibility: registry.Compensable, Material: true, CompensatedBy: "cancel:shipment", CompensateIn: 3600, OutcomeIn: 60,
	})
	p.agent = p.NewAgent(t, "shipper")
	p.grant = p.agent.Grant(t, "create:shipment", func(n *registry.NewGrant) { n.Audience = []string{dock} })
	p.pep = p.PEP(t, "dock", []string{dock})
	jwk, err := json.Marshal(registrytest.Key(50).Public().JWK())
	if err != nil {
		t.Fatal(err)
	}
	out, err := p.SetPEPKey(t.Context(), p.Call(), p.pep.Caller.ID, jwk)
	if err != nil {
		t.Fatal(err)
	}
	p.pep.Caller.PEP = &out.Value
	return p
}

// permit makes a decision and returns its permit and id.
func (p *permits) permit() (token, id string) {
	p.t.Helper()
	req := p.agent.Ask(p.t, p.grant, "create", "shipment", "s-7", cmp.Or(p.args, `{}`))
	req.Permit = true
	d, err := p.PDP.Decide(p.t.Context(), p.pep, req)
	if err != nil || d.Permit == "" {
		p.t.Fatalf("%+v (%v)", d, err)
	}
	return d.Permit, d.ID
}

func (p *permits) report(id, outcome string, change ...func(*capability.OutcomeClaims)) (registry.Outcome[registry.Permit], error) {
	p.t.Helper()
	c := capability.OutcomeClaims{Audience: registrytest.Origin, Permit: id, Outcome: outcome, IssuedAt: 1}
	for _, f := range change {
		f(&c)
	}
	raw, err := capability.SignOutcome(registrytest.Key(50), c)
	if err != nil {
		p.t.Fatal(err)
	}
	return p.ReportOutcome(p.t.Context(), p.pep, id, raw)
}

func (p *permits) state(id string) registry.PermitState {
	p.t.Helper()
	list, err := p.ListPermits(p.t.Context(), p.Operator, "", p.agent.ID, "", registry.Page{})
	if err != nil {
		p.t.Fatal(err)
	}
	for _, permit := range list {
		if permit.ID == id {
			return permit.State
		}
	}
	p.t.Fatalf("no permit %s", id)
	return ""
}

func (p *permits) settle() {
	p.t.Helper()
	if left, err := p.Settle(p.t.Context(), 10); err != nil || left != 0 {
		p.t.Fatalf("%d left, %v", left, err)
	}
}

func (p *permits) events(kind string) int {
	p.t.Helper()
	list, err := p.ListEvents(p.t.Context(), p.Operator, "", "", registry.EventFilter{Type: kind})
	if err != nil {
		p.t.Fatal(err)
	}
	return len(list)
}

func TestOutcomes(t *testing.T) {
	p := newPermits(t)
	_, id := p.permit()
	out, err := p.report(id, capability.Executed)
	if err != nil || out.Value.State != registry.PermitExecuted || out.Event.CID == "" {
		t.Fatalf("%+v (%v)", out, err)
	}
	if out, err := p.report(id, capability.Executed); err != nil || out.Event.CID != "" {
		t.Errorf("said again: %+v (%v)", out, err)
	}
	var e *registry.Error
	if _, err := p.report(id, capability.NotExecuted); !errors.As(err, &e) || e.Kind != registry.Conflict {
		t.Errorf("what was executed was not: %v", err)
	}
	if out, err := p.report(id, capability.Compensated); err != nil || out.Value.State != registry.PermitCompensated {
		t.Errorf("%+v (%v)", out, err)
	}
	_, id = p.permit()
	if _, err := p.report(id, capability.Executed, func(c *capability.OutcomeClaims) { c.Audience = "https://evil.example" }); !errors.As(err, &e) || e.Code != string(capability.WrongAudience) {
		t.Errorf("for another registry: %v", err)
	}
	if _, err := p.report(id, capability.Executed, func(c *capability.OutcomeClaims) { c.Permit = registry.NewID() }); !errors.As(err, &e) || e.Code != string(capability.WrongAct) {
		t.Errorf("of another permit: %v", err)
	}
	forged, err := capability.SignOutcome(registrytest.Key(51), capability.OutcomeClaims{Audience: registrytest.Origin, Permit: id, Outcome: capability.Executed})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.ReportOutcome(t.Context(), p.pep, id, forged); !errors.As(err, &e) || e.Code != string(capability.BadSignature) {
		t.Errorf("by another key: %v", err)
	}
	keyless := p.PEP(t, "other", []string{"https://other.example"})
	if _, err := p.ReportOutcome(t.Context(), keyless, id, forged); !errors.As(err, &e) || e.Code != "no_key" {
		t.Errorf("by a point without key: %v", err)
	}
	keyless.Caller.PEP.JWK = p.pep.Caller.PEP.JWK // it guards something else
	signed, err := capability.SignOutcome(registrytest.Key(50), capability.OutcomeClaims{Audience: registrytest.Origin, Permit: id, Outcome: capability.Executed})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.ReportOutcome(t.Context(), keyless, id, signed); !errors.Is(err, registry.NotFound) {
		t.Errorf("of another's resource: %v", err)
	}
	if n := p.events(registry.EventOutcomeReported); n != 2 {
		t.Errorf("%d reports are recorded, want 2", n)
	}
}

// TestSilence: an act of which nothing is heard is unknown, once; a report that comes
// late is taken.
func TestSilence(t *testing.T) {
	p := newPermits(t)
	token, redeemed := p.permit()
	if _, err := p.RedeemPermit(t.Context(), p.pep, token); err != nil {
		t.Fatal(err)
	}
	_, issued := p.permit()
	p.Clock.Add(59 * time.Second)
	p.settle()
	if s := p.state(redeemed); s != registry.PermitRedeemed {
		t.Errorf("before its time: %s", s)
	}
	p.Clock.Add(time.Second)
	p.settle()
	if a, b := p.state(redeemed), p.state(issued); a != registry.PermitUnknown || b != registry.PermitIssued {
		t.Errorf("redeemed is %s, issued is %s", a, b)
	}
	p.Clock.Add(capability.PermitLife)
	p.settle()
	p.settle()
	if s := p.state(issued); s != registry.PermitUnknown || p.events(registry.EventOutcomeUnknown) != 2 {
		t.Errorf("issued is %s; %d events", s, p.events(registry.EventOutcomeUnknown))
	}
	if out, err := p.report(issued, capability.Failed); err != nil || out.Value.State != registry.PermitFailed {
		t.Errorf("a late report: %+v (%v)", out, err)
	}
}

// TestWhatIsRedeemedOnline: the life of the permit of an act that cannot be undone.
func TestWhatIsRedeemedOnline(t *testing.T) {
	p := registry.Permit{State: registry.PermitIssued, Redeem: capability.RedeemOnline, Expires: time.Unix(30, 0)}.Await()
	if !p.Due.Equal(p.Expires) {
		t.Errorf("it lapses at %s, it ends at %s", p.Due, p.Expires)
	}
}

func TestUndo(t *testing.T) {
	p := newPermits(t)
	_, done := p.permit()
	_, never := p.permit()
	_, undone := p.permit()
	for id, outcomes := range map[string][]string{done: {capability.Executed}, never: {capability.NotExecuted}, undone: {capability.Executed, capability.Compensated}} {
		for _, o := range outcomes {
			if _, err := p.report(id, o); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := p.SetKill(t.Context(), p.Call(), registry.Scope{Kind: registry.ScopeAgent, ID: p.agent.ID}, "drill"); err != nil {
		t.Fatal(err)
	}
	list, err := p.ListUndo(t.Context(), p.Operator, p.agent.DID, registry.Page{})
	if err != nil || len(list) != 1 || list[0].Permit.ID != done || list[0].By != "cancel:shipment" || list[0].Resource == nil || *list[0].Resource != (capability.Resource{Type: "shipment", ID: "s-7"}) {
		t.Fatalf("%+v (%v)", list, err)
	}
	if want := p.Clock.Now().Add(time.Hour); list[0].Until.After(want) || list[0].Until.Before(want.Add(-time.Minute)) {
		t.Errorf("until %s, want %s", list[0].Until, want)
	}
	p.Clock.Add(time.Hour)
	if list, err := p.ListUndo(t.Context(), p.Operator, p.agent.ID, registry.Page{}); err != nil || len(list) != 0 {
		t.Errorf("after its time: %+v (%v)", list, err)
	}
}

// TestRoutes: who sets a table, and that its credential comes back to nobody but the
// proxy.
func TestRoutes(t *testing.T) {
	p := newPermits(t)
	_, _, err := p.RouterOf(t.Context(), *p.pep.Caller.PEP)
	if !errors.Is(err, registry.NotFound) {
		t.Errorf("before there is a table: %v", err)
	}
	secret := "Bearer s3cret"
	in := registry.NewPEPRoutes{PEP: p.pep.Caller.ID, Credential: &secret}
	in.Table.Audience = dock
	in.Table.Routes = append(in.Table.Routes, route.Route{Method: "GET", Path: "/shipments/{id}", Action: "read:shipment", Resource: "{id}"})
	if _, err := p.SetPEPRoutes(t.Context(), p.pep, in); !errors.Is(err, registry.Denied) {
		t.Errorf("by the enforcement point itself: %v", err)
	}
	out, err := p.SetPEPRoutes(t.Context(), p.Call(), in)
	if err != nil || out.Value.Header != "Authorization" {
		t.Fatalf("%+v (%v)", out, err)
	}
	shown, err := json.Marshal(out.Value)
	if err != nil || strings.Contains(string(shown), "s3cret") {
		t.Errorf("shown: %s (%v)", shown, err)
	}
	_, inject, err := p.RouterOf(t.Context(), *p.pep.Caller.PEP)
	if err != nil || inject != (registry.Injection{Header: "Authorization", Value: secret}) {
		t.Errorf("%+v (%v)", inject, err)
	}
	in.Credential, in.Header = nil, "X-Api-Key" // the one there is
	if _, err := p.SetPEPRoutes(t.Context(), p.Call(), in); err != nil {
		t.Fatal(err)
	}
	if _, inject, err := p.RouterOf(t.Context(), *p.pep.Caller.PEP); err != nil || inject != (registry.Injection{Header: "X-Api-Key", Value: secret}) {
		t.Errorf("after a change: %+v (%v)", inject, err)
	}
	for _, header := range []string{"Content-Length", "Host", "x-api-key", "A B", "Transfer-Encoding"} {
		in.Header = header
		if _, err := p.SetPEPRoutes(t.Context(), p.Call(), in); !errors.Is(err, registry.Malformed) {
			t.Errorf("header %q: %v", header, err)
		}
	}
	none := ""
	in.Credential, in.Header = &none, ""
	if _, err := p.SetPEPRoutes(t.Context(), p.Call(), in); err != nil {
		t.Fatal(err)
	}
	if _, inject, err := p.RouterOf(t.Context(), *p.pep.Caller.PEP); err != nil || inject != (registry.Injection{}) {
		t.Errorf("after it was taken away: %+v (%v)", inject, err)
	}
}
