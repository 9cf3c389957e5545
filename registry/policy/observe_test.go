package policy_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/writ-registry/writ/internal/canon"
	"github.com/writ-registry/writ/registry"
	"github.com/writ-registry/writ/registry/capability"
	"github.com/writ-registry/writ/registry/policy"
	"github.com/writ-registry/writ/registry/registrytest"
)

// TestRelaxed places every reason: a new one fails until somebody has said whether
// observation relaxes it.
func TestRelaxed(t *testing.T) {
	relaxed := map[policy.Code]bool{
		policy.KillGlobal: false, policy.KillOrg: false, policy.KillAgent: false, policy.KillGrant: false,
		policy.AgentUnknown: false, policy.AgentNotApproved: false, policy.AgentSuspended: false, policy.AgentRevoked: false,
		policy.AncestorStopped: false, policy.DelegatorStopped: false, policy.SponsorGone: false, policy.PossessionFailed: false,
		policy.GrantUnknown: false, policy.GrantForeign: false, policy.IdentityRefused: false, policy.KeyEnded: false, policy.KeyExpired: false,
		policy.GrantRevoked: false, policy.GrantNotYetValid: false, policy.GrantExpired: false, policy.AudienceRefused: false,
		policy.CapabilityNone: false, policy.CapabilityMissing: true, policy.ArgumentRefused: true,
		policy.DomainRefused: true, policy.WorkflowRefused: true, policy.LevelTooLow: true, policy.ActionRefused: false,
		policy.ContextRefused: false, policy.ToolChanged: false, policy.PolicyForbid: false, policy.PolicyError: false, policy.PolicyNoPermit: true, policy.BudgetExhausted: false, policy.BudgetUnmeasured: false,
		policy.ApprovalRequired: false, policy.SubjectUnsupported: false, policy.ApprovalUnknown: false, policy.ApprovalPending: false,
		policy.ApprovalDenied: false, policy.ApprovalMismatch: false, policy.ApprovalExpired: false, policy.ApprovalConsumed: false, policy.ApproverGone: false,
		policy.IssuerUntrusted: false, policy.IssuerUnknown: false, policy.IssuerAlarmed: false, policy.TrustEnded: false, policy.VouchingRefused: false,
		policy.CeilingExceeded: false, policy.StatusStale: false, policy.GrantSuspended: false, policy.AgentUnresolved: false,
	}
	for code := range policy.Meanings {
		want, placed := relaxed[code]
		if !placed {
			t.Errorf("%s: is it relaxed under observation?", code)
		} else if got := policy.Relaxed(code); got != want {
			t.Errorf("%s: relaxed %v, want %v", code, got, want)
		}
	}
}

// observed is a house with an agent under observation for an hour.
type observed struct {
	*registrytest.House
	agent *registrytest.Agent
	grant registry.Grant
	gate  registry.Call
}

var observable = append(slices.Clone(invoices),
	registry.CatalogueAction{Action: "read:ledger", Reversibility: registry.Reversible, Domain: "finance", Workflow: "close", MinLevel: 3},
	registry.CatalogueAction{Action: "delete:invoices", Reversibility: registry.Reversible})

func openObserved(t *testing.T) *observed {
	t.Helper()
	h := registrytest.New(t)
	h.Catalogue(t, observable...)
	a := h.NewAgent(t, "courier", func(n *registry.NewAgent) { n.Domains, n.Workflows = []string{"logistics"}, []string{"ship"} })
	o := &observed{h, a, a.Grant(t, "create:shipment(weight<=500); read:ledger; delete:none"), h.PEP(t, "gate", []string{registrytest.Origin}, "domain")}
	if _, err := h.ObserveAgent(t.Context(), h.Call(), a.ID, h.Clock.Now().Add(time.Hour), "drill"); err != nil {
		t.Fatal(err)
	}
	return o
}

func (o *observed) ask(t *testing.T, verb, kind, args string) policy.Request {
	return o.agent.Ask(t, o.grant, verb, kind, "7", args)
}

func TestObservation(t *testing.T) {
	o := openObserved(t)
	for name, c := range map[string]struct {
		verb, kind, args string
		change           func(*policy.Request)
		verdict          policy.Verdict
		observed         bool
		reasons          []policy.Code
	}{
		"covered":             {verb: "create", kind: "shipment", args: `{"weight":5}`, verdict: policy.Permit},
		"missing":             {verb: "read", kind: "invoices", verdict: policy.Permit, observed: true, reasons: []policy.Code{policy.CapabilityMissing}},
		"argument":            {verb: "create", kind: "shipment", args: `{"weight":501}`, verdict: policy.Permit, observed: true, reasons: []policy.Code{policy.ArgumentRefused}},
		"domain and workflow": {verb: "read", kind: "ledger", verdict: policy.Permit, observed: true, reasons: []policy.Code{policy.DomainRefused, policy.WorkflowRefused, policy.LevelTooLow}},
		"verb:none":           {verb: "delete", kind: "invoices", verdict: policy.Deny, reasons: []policy.Code{policy.CapabilityNone}},
		"irreversible":        {verb: "execute", kind: "payment", verdict: policy.Deny, reasons: []policy.Code{policy.CapabilityMissing, policy.ApprovalRequired}},
		"unknown action":      {verb: "wipe", kind: "disk", verdict: policy.Deny, reasons: []policy.Code{policy.CapabilityMissing, policy.ApprovalRequired}},
		"asserted context": {verb: "read", kind: "invoices", change: func(r *policy.Request) { r.Context.Workflow = "ship" }, verdict: policy.Deny,
			reasons: []policy.Code{policy.CapabilityMissing, policy.ContextRefused}},
		"no proof": {verb: "read", kind: "invoices", change: func(r *policy.Request) { r.Proof = "" }, verdict: policy.Deny, reasons: []policy.Code{policy.PossessionFailed, policy.CapabilityMissing}},
		"an approval that nobody needs": {verb: "read", kind: "invoices", change: func(r *policy.Request) { r.Approval = registry.NewID() }, verdict: policy.Permit, observed: true,
			reasons: []policy.Code{policy.CapabilityMissing}},
	} {
		t.Run(name, func(t *testing.T) {
			req := o.ask(t, c.verb, c.kind, c.args)
			if c.change != nil {
				c.change(&req)
			}
			d := decide(t, o.House, o.gate, req)
			if d.Verdict != c.verdict || d.Observed != c.observed || !slices.Equal(codes(d), append([]policy.Code{}, c.reasons...)) {
				t.Fatalf("%+v", d)
			}
			if !d.Observed {
				return
			}
			if d.Event == nil || !slices.Contains(d.QualifiedBy, "observed") {
				t.Fatalf("it is no evidence: %+v", d)
			}
			ev, err := o.FindDecision(t.Context(), o.Operator, d.ID)
			if err != nil {
				t.Fatal(err)
			}
			var artifact struct {
				Body registry.DecisionMade `json:"body"`
			}
			if err := canon.UnmarshalOpen(ev.Artifact, &artifact); err != nil || !artifact.Body.Observed || len(artifact.Body.Reasons) != len(c.reasons) {
				t.Errorf("%v %+v", err, artifact.Body)
			}
			if r := replay(t, o.House, d); !r.Same || !r.Now.Observed {
				t.Errorf("replayed: %+v", r)
			}
		})
	}
}

// TestObservationEnds: by the clock, with nothing done about it; and by command.
func TestObservationEnds(t *testing.T) {
	o := openObserved(t)
	req := o.ask(t, "read", "invoices", "")
	req.Permit = true
	o.Clock.Add(59*time.Minute + 50*time.Second)
	req = o.ask(t, "read", "invoices", "")
	req.Permit = true
	d := decide(t, o.House, o.gate, req)
	permit, err := capability.ParsePermit(d.Permit)
	if err != nil || permit.Claims().Expires > o.Clock.Now().Add(10*time.Second).Unix() {
		t.Errorf("its permit outlives the observation: %v %+v", err, d)
	}
	o.Clock.Add(10 * time.Second)
	if again := decide(t, o.House, o.gate, req); again.Verdict != policy.Deny {
		t.Errorf("the answer of before, after the end: %+v", again)
	}
	if d := decide(t, o.House, o.gate, o.ask(t, "read", "invoices", "")); d.Verdict != policy.Deny || d.Observed {
		t.Errorf("after the end: %+v", d)
	}
	if list, err := o.Observations(t.Context(), 10); err != nil || len(list) > 0 {
		t.Errorf("%v, running: %+v", err, list)
	}
	if _, err := o.ObserveAgent(t.Context(), o.Call(), o.agent.DID, o.Clock.Now().Add(time.Hour), "again"); err != nil {
		t.Fatal(err)
	}
	if list, err := o.Observations(t.Context(), 10); err != nil || len(list) != 1 || list[0].Scope != (registry.Scope{Kind: registry.ScopeAgent, ID: o.agent.ID}) || list[0].Reason != "again" {
		t.Errorf("%v, running: %+v", err, list)
	}
	d = decide(t, o.House, o.gate, o.ask(t, "read", "invoices", ""))
	out, err := o.UnobserveAgent(t.Context(), o.Call(), o.agent.ID)
	if err != nil || out.Event.CID == "" || out.Value.Observation != nil {
		t.Fatalf("%v %+v", err, out)
	}
	if d := decide(t, o.House, o.gate, o.ask(t, "read", "invoices", "")); d.Verdict != policy.Deny {
		t.Errorf("ended: %+v", d)
	}
	r := replay(t, o.House, d)
	if r.Same || r.Now.Verdict != policy.Deny || len(r.Epochs) != 1 || r.Epochs[0].Events[0].Type != registry.EventObservationEnded {
		t.Errorf("what was observed, without it: %+v", r)
	}
	if again, err := o.UnobserveAgent(t.Context(), o.Call(), o.agent.ID); err != nil || again.Event.CID != "" {
		t.Errorf("twice: %v %+v", err, again)
	}
}

// TestObservationOfAChain: what was handed on is not widened by who received it.
func TestObservationOfAChain(t *testing.T) {
	r := newRelay(t)
	observe := func(a *registrytest.Agent) {
		if _, err := r.ObserveAgent(t.Context(), r.Call(), a.ID, r.Clock.Now().Add(time.Hour), "drill"); err != nil {
			t.Fatal(err)
		}
	}
	over := func() policy.Decision {
		return decide(t, r.House, r.pep, r.ask(t, r.tokens, r.leaf(), "create", "shipment", `{"weight":101}`))
	}
	observe(r.agents[2])
	observe(r.agents[1])
	if d := over(); d.Verdict != policy.Deny {
		t.Errorf("the root is not observed: %+v", d)
	}
	observe(r.agents[0])
	if d := over(); d.Verdict != policy.Permit || !d.Observed {
		t.Errorf("all are: %+v", d)
	}
	// The leaf speaks first of what it does not cover; the root has said no.
	g := r.agents[0].Grant(t, "create:shipment; read:none", func(n *registry.NewGrant) { n.Audience, n.Delegation = []string{relayed}, 1 })
	tokens := r.grow(t, capability.Tokens{g.Token}, r.agents[0].Signer, r.agents[1].DID, r.agents[1].Signer, func(c *capability.GrantClaims) {
		c.Capabilities, c.MaxDepth = capability.MustParse("create:shipment"), 1
	})
	if d := decide(t, r.House, r.pep, r.ask(t, tokens, r.agents[1].Signer, "read", "invoices", "")); d.Verdict != policy.Deny {
		t.Errorf("verb:none of the root: %+v", d)
	}
}

// TestObservationOfAnOrg covers its agents, and what its policies do not permit others.
func TestObservationOfAnOrg(t *testing.T) {
	h := registrytest.New(t)
	h.Catalogue(t, observable...)
	a := h.NewAgent(t, "courier")
	g := a.Grant(t, "create:shipment")
	gate := h.PEPCall(t)
	act := capability.Act{Action: "read", Resource: capability.Resource{Type: "invoices", ID: "7"}}
	alice := policy.Request{SubjectType: "user", Subject: "alice", Act: act}
	if d := decide(t, h, gate, alice); d.Verdict != policy.Deny {
		t.Fatalf("%+v", d)
	}
	if _, err := h.ObserveOrg(t.Context(), h.Call(), "", h.Clock.Now().Add(time.Hour), "drill"); err != nil {
		t.Fatal(err)
	}
	for name, req := range map[string]policy.Request{"agent": a.Ask(t, g, "read", "invoices", "7", ""), "user": alice} {
		if d := decide(t, h, gate, req); d.Verdict != policy.Permit || !d.Observed || d.Event == nil {
			t.Errorf("%s: %+v", name, d)
		}
	}
	forbid, err := h.DraftPolicies(t.Context(), h.Call(), "", `forbid(principal, action, resource);`)
	if err == nil {
		_, err = h.ActivatePolicies(t.Context(), h.Call(), "", forbid.Value.Version)
	}
	if err != nil {
		t.Fatal(err)
	}
	for name, req := range map[string]policy.Request{"agent": a.Ask(t, g, "read", "invoices", "7", ""), "user": alice} {
		if d := decide(t, h, gate, req); d.Verdict != policy.Deny {
			t.Errorf("%s, forbidden: %+v", name, d)
		}
	}
	if _, err := h.SetKill(t.Context(), h.Call(), registry.Scope{Kind: registry.ScopeGlobal}, "drill"); err != nil {
		t.Fatal(err)
	}
	if d := decide(t, h, gate, alice); d.Verdict != policy.Deny || d.Reasons[0].Code != policy.KillGlobal {
		t.Errorf("stopped: %+v", d)
	}
}

func TestWhoObserves(t *testing.T) {
	h := registrytest.New(t)
	a := h.NewAgent(t, "courier")
	as := func(roles ...registry.Role) registry.Call {
		out, err := h.CreatePrincipal(t.Context(), h.Call(), registry.NewPrincipal{Org: registry.HouseOrg, Roles: roles})
		if err != nil {
			t.Fatal(err)
		}
		c, err := h.Authenticate(t.Context(), out.Secret)
		if err != nil {
			t.Fatal(err)
		}
		return registry.Call{Caller: c, Trace: h.Call().Trace}
	}
	soon := h.Clock.Now().Add(time.Hour)
	for name, c := range map[string]struct {
		call   registry.Call
		agent  error
		all    error
		until  time.Time
		reason string
	}{
		"registrar":     {call: as(registry.RoleRegistrar), all: registry.Denied},
		"policy author": {call: as(registry.RolePolicyAuthor), all: registry.Denied},
		"owner":         {call: as(registry.RoleOwner)},
		"auditor":       {call: as(registry.RoleAuditor), agent: registry.Denied, all: registry.Denied},
		"approver":      {call: as(registry.RoleApprover), agent: registry.Denied, all: registry.Denied},
		"the agent":     {call: a.Signed(), agent: registry.Denied, all: registry.Denied},
		"in the past":   {call: h.Call(), until: h.Clock.Now(), agent: registry.Malformed, all: registry.Malformed},
		"too long":      {call: h.Call(), until: h.Clock.Now().Add(registry.MaxObservation + time.Second), agent: registry.Malformed, all: registry.Malformed},
		"no reason":     {call: h.Call(), reason: "-", agent: registry.Malformed, all: registry.Malformed},
	} {
		t.Run(name, func(t *testing.T) {
			until, reason := soon, "drill"
			if !c.until.IsZero() {
				until = c.until
			}
			if c.reason == "-" {
				reason = ""
			}
			_, err := h.ObserveAgent(t.Context(), c.call, a.ID, until, reason)
			_, err2 := h.ObserveOrg(t.Context(), c.call, "", until, reason)
			for got, want := range map[error]error{err: c.agent, err2: c.all} {
				if !errors.Is(got, want) {
					t.Errorf("got %v, want %v", got, want)
				}
			}
		})
	}
}

func TestCoverage(t *testing.T) {
	o := openObserved(t)
	shapes := []struct{ verb, kind, args string }{
		{"create", "shipment", `{"weight":501,"to":"Oslo"}`}, {"create", "shipment", `{"weight":900.5,"to":"Bergen"}`}, {"create", "shipment", `{"weight":700,"to":"Oslo","box":[1]}`},
		{"read", "ledger", `{}`}, {"read", "invoices", `{"year":2026,"open":true}`}, {"read", "invoices", `{"year":2026,"open":false}`},
	}
	for _, s := range shapes {
		if d := decide(t, o.House, o.gate, o.ask(t, s.verb, s.kind, s.args)); !d.Observed {
			t.Fatalf("%+v", d)
		}
	}
	decide(t, o.House, o.gate, o.ask(t, "create", "shipment", `{"weight":1}`)) // covered
	org, agent, err := o.MayReadDecisions(t.Context(), o.Operator, "", o.agent.DID)
	if err != nil {
		t.Fatal(err)
	}
	c, err := o.PDP.Coverage(t.Context(), org, agent, time.Time{})
	if err != nil || c.Observed != len(shapes) || len(c.Agents) != 1 {
		t.Fatalf("%v %+v", err, c)
	}
	got := c.Agents[0]
	const want = `create:shipment(box, to==Oslo, weight==700); create:shipment(to in [Bergen, Oslo], weight<=900.5, weight>=501); read:invoices(open in [false, true], year==2026); read:ledger()`
	if text := got.Template.Capabilities; text != capability.MustParse(want).String() {
		t.Errorf("got  %s\nwant %s", text, want)
	}
	if l := got.Lacks; got.Template.Domain != "finance" || got.Template.Workflow != "close" || *got.Template.AuthorityLevel != 3 || l.Level != 3 || !slices.Equal(l.Domains, []string{"finance"}) || !slices.Equal(l.Workflows, []string{"close"}) ||
		!slices.Equal(got.Template.Audience, []string{registrytest.Origin}) {
		t.Errorf("%+v", got)
	}
	// It is enough for what was seen, wherever the agent itself is approved.
	g := o.agent.Grant(t, got.Template.Capabilities)
	if _, err := o.UnobserveAgent(t.Context(), o.Call(), o.agent.ID); err != nil {
		t.Fatal(err)
	}
	for _, s := range shapes {
		d := decide(t, o.House, o.gate, o.agent.Ask(t, g, s.verb, s.kind, "7", s.args))
		if slices.Contains(codes(d), policy.CapabilityMissing) || slices.Contains(codes(d), policy.ArgumentRefused) {
			t.Errorf("%s:%s%s: %+v", s.verb, s.kind, s.args, d)
		}
	}
	if c, err := o.PDP.Coverage(t.Context(), org, "", o.Clock.Now().Add(time.Second)); err != nil || c.Observed != 0 || len(c.Agents) != 0 {
		t.Errorf("since later: %v %+v", err, c)
	}
}

func TestSimulate(t *testing.T) {
	o := openObserved(t)
	if _, err := o.UnobserveAgent(t.Context(), o.Call(), o.agent.ID); err != nil {
		t.Fatal(err)
	}
	o.agent.Grant(t, "execute:payment; read:invoices")
	stranger := o.NewAgent(t, "stranger")
	none := stranger.Grant(t, "read:invoices")
	forbid, _, err := o.ValidatePolicies(t.Context(), o.Operator, "", `@id("heavy") forbid(principal is Agent, action, resource) when { context.arguments has weight && context.arguments.weight > 100 };`)
	if err != nil {
		t.Fatal(err)
	}
	size := func() uint64 {
		n, _, err := o.DB.Log(registrytest.LogOrigin).Head(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	before := size()
	for name, c := range map[string]struct {
		verb, kind, args string
		change           func(*policy.Trial)
		verdict          policy.Verdict
		reasons          []policy.Code
		assumed          []string
	}{
		"the best grant": {verb: "read", kind: "invoices", verdict: policy.Permit},
		"step up":        {verb: "execute", kind: "payment", verdict: policy.StepUp, reasons: []policy.Code{policy.ApprovalRequired}},
		"one grant": {verb: "read", kind: "invoices", change: func(t *policy.Trial) { t.Grant = o.grant.ID },
			verdict: policy.Deny, reasons: []policy.Code{policy.CapabilityMissing}},
		"capabilities": {verb: "delete", kind: "invoices", change: func(t *policy.Trial) { t.Capabilities = "delete:invoices" }, verdict: policy.Permit, assumed: []string{"possession", "grant"}},
		"policies": {verb: "create", kind: "shipment", args: `{"weight":101}`, change: func(t *policy.Trial) { t.Policies = forbid },
			verdict: policy.Deny, reasons: []policy.Code{policy.PolicyForbid}},
		"context": {verb: "create", kind: "shipment", args: `{"weight":1}`, change: func(t *policy.Trial) { t.Context.Domain = "logistics" }, verdict: policy.Permit, assumed: []string{"possession", "context"}},
		"an enforcement point": {verb: "create", kind: "shipment", args: `{"weight":1}`, change: func(t *policy.Trial) { t.Context.Workflow, t.PEP = "ship", o.gate.Caller.PEP.ID },
			verdict: policy.Deny, reasons: []policy.Code{policy.ContextRefused}},
		"another resource server": {verb: "read", kind: "invoices", change: func(t *policy.Trial) { t.Audience = "https://erp.example" }, verdict: policy.Deny, reasons: []policy.Code{policy.AudienceRefused, policy.CapabilityMissing}},
	} {
		t.Run(name, func(t *testing.T) {
			trial := policy.Trial{Agent: o.agent.Agent, Act: capability.Act{Action: c.verb, Resource: capability.Resource{Type: c.kind, ID: "7"}, Arguments: json.RawMessage(c.args)}}
			if c.change != nil {
				c.change(&trial)
			}
			s, err := o.PDP.Simulate(t.Context(), trial)
			if c.assumed == nil {
				c.assumed = []string{"possession"}
			}
			if err != nil || s.Verdict != c.verdict || !slices.Equal(reasonCodes(s.Reasons), append([]policy.Code{}, c.reasons...)) || !slices.Equal(s.Assumed, c.assumed) {
				t.Errorf("%v %+v", err, s)
			}
		})
	}
	if _, err := o.PDP.Simulate(t.Context(), policy.Trial{Agent: o.agent.Agent, Act: capability.Act{Action: "read", Resource: capability.Resource{Type: "invoices", ID: "7"}}, Grant: none.ID}); !errors.Is(err, registry.NotFound) {
		t.Errorf("another agent's grant: %v", err)
	}
	if now := size(); now != before {
		t.Errorf("simulations left %d events", now-before)
	}
	if _, err := o.MaySimulate(t.Context(), o.agent.Signed().Caller, o.agent.ID); !errors.Is(err, registry.Denied) {
		t.Errorf("the agent itself: %v", err)
	}
	if _, err := o.CreateOrg(t.Context(), o.Call(), registry.NewOrg{Name: "acme"}); err != nil {
		t.Fatal(err)
	}
	owner := o.Owner(t, "acme").Caller
	_, foreign := o.MaySimulate(t.Context(), owner, o.agent.ID)
	_, unknown := o.MaySimulate(t.Context(), owner, registry.NewID())
	if !errors.Is(foreign, registry.NotFound) || fmt.Sprint(foreign) != fmt.Sprint(unknown) {
		t.Errorf("foreign: %v, unknown: %v", foreign, unknown)
	}
}
