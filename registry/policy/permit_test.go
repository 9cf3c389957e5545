package policy_test

import (
	"errors"
	"testing"
	"time"

	"github.com/writ-registry/writ/registry"
	"github.com/writ-registry/writ/registry/capability"
	"github.com/writ-registry/writ/registry/policy"
	"github.com/writ-registry/writ/registry/registrytest"
)

const warehouse = "https://warehouse.example"

// shipper is an agent that may create shipments at the warehouse, and the warehouse's
// enforcement point.
func shipper(t testing.TB) (*registrytest.House, *registrytest.Agent, registry.Grant, registry.Call) {
	t.Helper()
	h := registrytest.New(t)
	h.Catalogue(t, invoices...)
	a := h.NewAgent(t, "shipper")
	g := a.Grant(t, "read:invoices; create:shipment; pay:bills", func(n *registry.NewGrant) { n.Audience = []string{warehouse} })
	return h, a, g, h.PEP(t, "warehouse-gate", []string{warehouse})
}

func askPermit(t testing.TB, a *registrytest.Agent, g registry.Grant, verb, typ string) policy.Request {
	t.Helper()
	req := a.Ask(t, g, verb, typ, "7", `{}`)
	req.Permit = true
	return req
}

func TestPermits(t *testing.T) {
	h, a, g, pep := shipper(t)
	req := askPermit(t, a, g, "create", "shipment")
	d := decide(t, h, pep, req)
	permit, err := capability.ParsePermit(d.Permit)
	if err != nil {
		t.Fatal(err)
	}
	adg, err := req.Act.Digest()
	if err != nil {
		t.Fatal(err)
	}
	check := capability.PermitCheck{
		Key: h.PermitKey.Public(), Now: h.Clock.Now(), Issuer: registrytest.Origin, Audiences: []string{warehouse},
		Subject: a.DID, Thumbprint: a.Thumbprint, ActDigest: adg,
	}
	if err := permit.Verify(check); err != nil {
		t.Error(err)
	}
	c := permit.Claims()
	if c.ID != d.ID || c.Redeem != capability.RedeemOffline || c.Expires-c.IssuedAt != 30 || permit.KeyID() != h.PermitKeyID() {
		t.Errorf("claims %+v under %s", c, permit.KeyID())
	}
	if again := decide(t, h, pep, req); !again.Repeated || again.Permit != d.Permit {
		t.Errorf("the same request again has another permit: %+v", again)
	}

	read := decide(t, h, pep, askPermit(t, a, g, "read", "invoices"))
	if read.Qualified || read.Permit == "" {
		t.Errorf("an unqualified permit: %+v", read)
	}
	if d := decide(t, h, pep, askPermit(t, a, g, "pay", "bills")); d.Verdict != policy.StepUp || d.Permit != "" {
		t.Errorf("a step-up is no permit: %+v", d)
	}
	if d := decide(t, h, pep, a.Ask(t, g, "create", "shipment", "7", `{}`)); d.Permit != "" {
		t.Errorf("nobody asked for a permit: %+v", d)
	}
	// A repeated request whose answer only the memory knows has no second permit.
	req = askPermit(t, a, g, "read", "invoices")
	if d := decide(t, h, pep, req); d.Permit == "" {
		t.Error("no permit")
	}
	if d := decide(t, h, pep, req); !d.Repeated || d.Permit != "" {
		t.Errorf("a repeated unqualified answer: %+v", d)
	}

	list, err := h.ListPermits(t.Context(), h.Operator, "", a.ID, "", registry.Page{})
	if err != nil || len(list) != 1 || list[0].ID != c.ID || list[0].Decision != d.Event.CID || list[0].PEP != pep.Caller.ID {
		t.Errorf("kept permits: %+v (%v)", list, err)
	}
}

// TestPermitEndsWithItsGrant: a permit outlives nothing that it rests on and that ends
// by the clock.
func TestPermitEndsWithItsGrant(t *testing.T) {
	h, a, _, pep := shipper(t)
	g := a.Grant(t, "create:shipment", func(n *registry.NewGrant) {
		n.Audience, n.Expires = []string{warehouse}, h.Clock.Now().Add(10*time.Second)
	})
	permit, err := capability.ParsePermit(decide(t, h, pep, askPermit(t, a, g, "create", "shipment")).Permit)
	if err != nil || permit.Claims().Expires != g.Expires.Unix() {
		t.Errorf("%+v (%v), the grant ends at %d", permit, err, g.Expires.Unix())
	}
}

func TestRedeem(t *testing.T) {
	h, a, g, pep := shipper(t)
	other := h.PEP(t, "other-gate", []string{"https://other.example"})
	ask := func() string { t.Helper(); return decide(t, h, pep, askPermit(t, a, g, "create", "shipment")).Permit }
	refused := func(call registry.Call, permit string, kind registry.Kind, code string) {
		t.Helper()
		_, err := h.RedeemPermit(t.Context(), call, permit)
		var e *registry.Error
		if !errors.As(err, &e) || e.Kind != kind || e.Code != code {
			t.Errorf("got %v, want %s %s", err, kind, code)
		}
	}
	permit := ask()
	refused(other, permit, registry.Denied, string(capability.WrongAudience))
	refused(h.Call(), permit, registry.Denied, "")
	refused(pep, permit[:len(permit)-4]+"AAAA", registry.Denied, string(capability.BadSignature))
	refused(pep, "x", registry.Malformed, "")
	out, err := h.RedeemPermit(t.Context(), pep, permit)
	if err != nil || out.Value.State != registry.PermitRedeemed || out.Event.CID == "" {
		t.Fatalf("%+v (%v)", out, err)
	}
	refused(pep, permit, registry.Conflict, "redeemed")

	late := ask()
	h.Clock.Add(capability.PermitLife)
	refused(pep, late, registry.Denied, string(capability.Stale))
	refused(pep, decide(t, h, pep, askPermit(t, a, g, "read", "invoices")).Permit, registry.Conflict, "redeem_offline")

	// A stop between the decision and its redemption wins, and so does its release:
	// what was decided before is not decided again.
	stopped := ask()
	scope := registry.Scope{Kind: registry.ScopeAgent, ID: a.ID}
	if _, err := h.SetKill(t.Context(), h.Call(), scope, "drill"); err != nil {
		t.Fatal(err)
	}
	refused(pep, stopped, registry.Conflict, "authority_moved")
	if _, err := h.ReleaseKill(t.Context(), h.Call(), scope, "over"); err != nil {
		t.Fatal(err)
	}
	refused(pep, stopped, registry.Conflict, "authority_moved")
}

// TestRedeemOnce: of many that redeem one permit at once, one may act.
func TestRedeemOnce(t *testing.T) {
	h, a, g, pep := shipper(t)
	permit := decide(t, h, pep, askPermit(t, a, g, "create", "shipment")).Permit
	results := make(chan error, 16)
	for range cap(results) {
		go func() { _, err := h.RedeemPermit(t.Context(), pep, permit); results <- err }()
	}
	won := 0
	for range cap(results) {
		if err := <-results; err == nil {
			won++
		} else if !errors.Is(err, registry.Conflict) {
			t.Error(err)
		}
	}
	if won != 1 {
		t.Errorf("redeemed %d times", won)
	}
}
