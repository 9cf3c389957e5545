package policy_test

import (
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/writ-registry/writ/anchor/tlog"
	"github.com/writ-registry/writ/internal/canon"
	"github.com/writ-registry/writ/registry"
	"github.com/writ-registry/writ/registry/capability"
	"github.com/writ-registry/writ/registry/journal"
	"github.com/writ-registry/writ/registry/policy"
	"github.com/writ-registry/writ/registry/registrytest"
)

var invoices = []registry.CatalogueAction{
	{Action: "read:invoices", Reversibility: registry.Reversible},
	{Action: "create:shipment", Reversibility: registry.Compensable, Material: true, CompensatedBy: "cancel:shipment", CompensateIn: 3600},
	{Action: "execute:payment", Reversibility: registry.Irreversible, Egress: true, Material: true},
}

func codes(d policy.Decision) []policy.Code {
	out := []policy.Code{}
	for _, r := range d.Reasons {
		out = append(out, r.Code)
	}
	return out
}

func decide(t *testing.T, h *registrytest.House, call registry.Call, req policy.Request) policy.Decision {
	t.Helper()
	d, err := h.PDP.Decide(t.Context(), call, req)
	if err != nil {
		t.Fatalf("decide: %v", err)
	}
	return d
}

func TestDecisions(t *testing.T) {
	h := registrytest.New(t)
	h.Catalogue(t, invoices...)
	a := h.NewAgent(t, "invoice-agent")
	g := a.Grant(t, "read:invoices; create:shipment(weight<=500); pay:bills; execute:none")

	d := decide(t, h, a.Direct(), a.Ask(t, g, "read", "invoices", "7", ""))
	if d.Verdict != policy.Permit || d.Qualified || d.Event != nil {
		t.Errorf("a reversible read: %+v", d)
	}
	d = decide(t, h, a.Direct(), a.Ask(t, g, "create", "shipment", "s1", `{"weight":500}`))
	if d.Verdict != policy.Permit || !d.Qualified || d.Event == nil {
		t.Errorf("a material act: %+v", d)
	}
	d = decide(t, h, a.Direct(), a.Ask(t, g, "create", "shipment", "s1", `{"weight":501}`))
	if !slices.Equal(codes(d), []policy.Code{policy.ArgumentRefused}) {
		t.Errorf("over the limit: %+v", d)
	}
	d = decide(t, h, a.Direct(), a.Ask(t, g, "execute", "payment", "p1", `{}`))
	if !slices.Equal(codes(d), []policy.Code{policy.CapabilityNone, policy.ApprovalRequired}) || d.Verdict != policy.Deny {
		t.Errorf("execute:none: %+v", d)
	}
	first := d
	d = decide(t, h, a.Direct(), a.Ask(t, g, "execute", "payment", "p2", `{}`))
	if !d.Folded || d.Event == nil || d.Event.CID != first.Event.CID {
		t.Errorf("a repeated denial must fold into the first: %+v", d)
	}
	d = decide(t, h, a.Direct(), a.Ask(t, g, "pay", "bills", "b1", `{}`))
	if d.Verdict != policy.StepUp {
		t.Errorf("an unknown action is irreversible: %+v", d)
	}
}

// TestProofs is security.md's first rule: the agent signs the act itself.
func TestProofs(t *testing.T) {
	h := registrytest.New(t)
	h.Catalogue(t, invoices...)
	erp := []string{"https://erp.example"}
	a, b := h.NewAgent(t, "a"), h.NewAgent(t, "b")
	g := a.Grant(t, "read:invoices", func(n *registry.NewGrant) { n.Audience = erp })
	pep := h.PEP(t, "gate", erp)
	other := h.PEP(t, "other-gate", []string{"https://crm.example"})

	cases := map[string]struct {
		change func(*policy.Request)
		claims func(*capability.ActionClaims)
		want   string
	}{
		"other arguments":       {change: func(r *policy.Request) { r.Act.Arguments = json.RawMessage(`{"x":1}`) }, want: "wrong_act"},
		"other resource":        {change: func(r *policy.Request) { r.Act.Resource.ID = "8" }, want: "wrong_act"},
		"other task":            {change: func(r *policy.Request) { r.Act.Task = "t" }, want: "wrong_act"},
		"other subject":         {change: func(r *policy.Request) { r.Subject = b.DID }, want: "signature"},
		"no proof":              {change: func(r *policy.Request) { r.Proof = "" }, want: "missing"},
		"garbage":               {change: func(r *policy.Request) { r.Proof = "x" }, want: "malformed"},
		"stale":                 {claims: func(c *capability.ActionClaims) { c.IssuedAt -= 31; c.Expires -= 31 }, want: "stale"},
		"from the future":       {claims: func(c *capability.ActionClaims) { c.IssuedAt += 31; c.Expires += 31 }, want: "stale"},
		"other registry":        {claims: func(c *capability.ActionClaims) { c.PDP = "https://evil.example" }, want: "wrong_pdp"},
		"other resource server": {claims: func(c *capability.ActionClaims) { c.Audience = "https://crm.example" }, want: "wrong_audience"},
		"other token":           {claims: func(c *capability.ActionClaims) { c.TokenHash = canon.Digest([]byte("x")) }, want: "wrong_token"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			claims := c.claims
			if claims == nil {
				claims = func(*capability.ActionClaims) {}
			}
			req := a.Ask(t, g, "read", "invoices", "7", "", claims)
			if c.change != nil {
				c.change(&req)
			}
			_, err := h.PDP.Decide(t.Context(), a.Direct(), req)
			var e *registry.Error
			if !errors.As(err, &e) || e.Kind != registry.Unauthenticated || e.Code != c.want {
				t.Errorf("direct: got %v, want code %s", err, c.want)
			}
			if d := decide(t, h, pep, req); d.Verdict != policy.Deny || codes(d)[0] != policy.PossessionFailed {
				t.Errorf("relayed: %+v", d)
			}
		})
	}
	t.Run("relayed by another enforcement point", func(t *testing.T) {
		if d := decide(t, h, other, a.Ask(t, g, "read", "invoices", "7", "")); d.Verdict != policy.Deny || codes(d)[0] != policy.PossessionFailed {
			t.Errorf("%+v", d)
		}
	})
	t.Run("replay", func(t *testing.T) {
		req := a.Ask(t, g, "read", "invoices", "7", "")
		if d := decide(t, h, pep, req); d.Verdict != policy.Permit {
			t.Fatalf("%+v", d)
		}
		if d := decide(t, h, pep, req); d.Verdict != policy.Permit || !d.Repeated {
			t.Errorf("the same enforcement point repeating itself: %+v", d)
		}
		_, err := h.PDP.Decide(t.Context(), a.Direct(), req)
		var e *registry.Error
		if !errors.As(err, &e) || e.Code != "replayed" {
			t.Errorf("replayed by another: %v", err)
		}
		if _, err := h.SetKill(t.Context(), h.Call(), registry.Scope{Kind: registry.ScopeAgent, ID: a.ID}, "drill"); err != nil {
			t.Fatal(err)
		}
		if d := decide(t, h, pep, req); d.Verdict == policy.Permit {
			t.Errorf("a recorded permit came back after a kill: %+v", d)
		}
	})
}

func TestStopsStop(t *testing.T) {
	for _, kind := range []registry.ScopeKind{registry.ScopeGlobal, registry.ScopeOrg, registry.ScopeAgent, registry.ScopeGrant} {
		t.Run(string(kind), func(t *testing.T) {
			h := registrytest.New(t)
			h.Catalogue(t, invoices...)
			a := h.NewAgent(t, "a")
			g := a.Grant(t, "read:invoices")
			s := registry.Scope{Kind: kind, ID: map[registry.ScopeKind]string{registry.ScopeOrg: a.Org, registry.ScopeAgent: a.ID, registry.ScopeGrant: g.ID}[kind]}
			if _, err := h.SetKill(t.Context(), h.Call(), s, "drill"); err != nil {
				t.Fatal(err)
			}
			if d := decide(t, h, a.Direct(), a.Ask(t, g, "read", "invoices", "7", "")); d.Verdict != policy.Deny || codes(d)[0] != policy.Code("kill_"+string(kind)) {
				t.Errorf("killed: %+v", d)
			}
			if _, err := h.ReleaseKill(t.Context(), h.Call(), s, "drill-over"); err != nil {
				t.Fatal(err)
			}
			if d := decide(t, h, a.Direct(), a.Ask(t, g, "read", "invoices", "7", "")); d.Verdict != policy.Permit {
				t.Errorf("released: %+v", d)
			}
		})
	}
}

// TestKillWinsOverDecisionInFlight: a kill that commits after the judgement and
// before its commit denies, and no permit stands above it in the log.
func TestKillWinsOverDecisionInFlight(t *testing.T) {
	h := registrytest.New(t)
	h.Catalogue(t, invoices...)
	a := h.NewAgent(t, "a")
	g := a.Grant(t, "create:shipment")
	req := a.Ask(t, g, "create", "shipment", "1", `{}`)
	var kill registry.Outcome[registry.Kill]
	policy.BetweenJudgementAndCommit(h.PDP, func() {
		var err error
		if kill, err = h.SetKill(t.Context(), h.Call(), registry.Scope{Kind: registry.ScopeAgent, ID: a.ID}, "drill"); err != nil {
			t.Error(err)
		}
	})
	d := decide(t, h, a.Direct(), req)
	if d.Verdict != policy.Deny || codes(d)[0] != policy.KillAgent {
		t.Fatalf("permit slipped past the kill: %+v", d)
	}
	if d.Event.Index <= kill.Event.Index {
		t.Errorf("decision at %d, kill at %d", d.Event.Index, kill.Event.Index)
	}
}

// TestEvidence re-verifies the whole log from the artifacts.
func TestEvidence(t *testing.T) {
	h := registrytest.New(t)
	h.Catalogue(t, invoices...)
	a := h.NewAgent(t, "a")
	g := a.Grant(t, "read:invoices; create:shipment")
	for range 5 {
		decide(t, h, a.Direct(), a.Ask(t, g, "create", "shipment", "1", `{}`))
	}
	d := decide(t, h, a.Direct(), a.Ask(t, g, "create", "shipment", "1", `{"weight":1.5}`))
	h.Clock.Add(-time.Hour) // the registry's clock never falls: no spent proof revives, no time goes back
	_, err := h.PDP.Decide(t.Context(), a.Direct(), a.Ask(t, g, "create", "shipment", "1", `{}`))
	var refused *registry.Error
	if !errors.As(err, &refused) || refused.Code != "stale" {
		t.Errorf("a proof by a clock that was set back: %v", err)
	}
	if _, err := h.SetKill(t.Context(), h.Call(), registry.Scope{Kind: registry.ScopeAgent, ID: a.ID}, "drill"); err != nil {
		t.Fatal(err)
	}

	events, err := h.ListEvents(t.Context(), h.Operator, "", "", registry.EventFilter{})
	if err != nil {
		t.Fatal(err)
	}
	log := h.DB.Log(registrytest.LogOrigin)
	size, root, err := log.Head(t.Context())
	if err != nil || size != uint64(len(events)) {
		t.Fatalf("size %d, %d events, %v", size, len(events), err)
	}
	prev, last := "", time.Time{}
	for i, ev := range events {
		if err := canon.CheckArtifact(ev.Artifact); err != nil {
			t.Errorf("event %d: %v", i, err)
		}
		var env journal.Envelope
		if err := canon.Unmarshal(ev.Artifact, &env); err != nil {
			t.Fatalf("event %d: %v", i, err)
		}
		id := journal.CID(ev.Artifact)
		if id.String() != ev.CID || env.Prev != prev || env.OrgSeq != uint64(i+1) || ev.Index != uint64(i) || ev.Time.Before(last) {
			t.Errorf("event %d does not continue the sequence: %+v", i, env)
		}
		prev, last = ev.CID, ev.Time
		proof, err := tlog.InclusionProof(t.Context(), log, ev.Index, size)
		if err != nil {
			t.Fatal(err)
		}
		if err := tlog.VerifyInclusion(tlog.LeafHash(id.Bytes()), ev.Index, size, proof, root); err != nil {
			t.Errorf("event %d: %v", i, err)
		}
	}
	ev, dis, err := h.FindEvent(t.Context(), h.Operator, d.Event.CID)
	if err != nil {
		t.Fatal(err)
	}
	var body registry.DecisionMade
	var env journal.Envelope
	if err := errors.Join(canon.Unmarshal(ev.Artifact, &env), canon.Unmarshal(env.Body, &body)); err != nil {
		t.Fatal(err)
	}
	if len(dis) != 4 {
		t.Errorf("%d disclosures, want payload, proof, resource, token", len(dis))
	}
	for _, x := range dis {
		if c, err := x.Commitment(); err != nil || body.Commitments[x.Name] != c {
			t.Errorf("disclosure %s does not open its commitment (%v)", x.Name, err)
		}
	}
}
