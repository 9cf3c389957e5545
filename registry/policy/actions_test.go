package policy_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/writ-registry/writ/registry"
	"github.com/writ-registry/writ/registry/policy"
	"github.com/writ-registry/writ/registry/registrytest"
)

func hold(t *testing.T, h *registrytest.House, a *registrytest.Agent, actions ...string) {
	t.Helper()
	if _, err := h.SetActions(t.Context(), h.Call(), a.ID, actions); err != nil {
		t.Fatal(err)
	}
}

// TestHeldToActions: an act must be among what its agent, all above it and all who handed
// on what it rests on are held to. All see it at once, also what is remembered.
func TestHeldToActions(t *testing.T) {
	r := newRelay(t)
	parent := r.NewAgent(t, "parent", func(n *registry.NewAgent) { n.Spawn = registry.Spawn{Depth: 2, Max: 1} })
	child := parent.Child(t, "child", func(n *registry.NewAgent) { n.Spawn = registry.Spawn{Depth: 1, Max: 1} })
	grandchild := child.Child(t, "grandchild")
	grant := grandchild.Grant(t, "read:invoices", func(n *registry.NewGrant) { n.Audience = []string{relayed} })
	tokens := r.grow(t, []string{r.grant.Token}, r.agents[0].Signer, grandchild.DID, grandchild.Signer)
	tokens = r.grow(t, tokens, grandchild.Signer, r.agents[2].DID, r.leaf())
	short := r.grow(t, r.tokens, r.leaf(), "", r.short)
	reads := map[string]func() policy.Request{
		"own": func() policy.Request {
			return r.ask(t, []string{grant.Token}, grandchild.Signer, "read", "invoices", "")
		},
		"chain":     func() policy.Request { return r.ask(t, r.tokens, r.leaf(), "read", "invoices", "") },
		"through":   func() policy.Request { return r.ask(t, tokens, r.leaf(), "read", "invoices", "") },
		"ephemeral": func() policy.Request { return r.ask(t, short, r.short, "read", "invoices", "") },
	}
	for name, c := range map[string]struct {
		agent   *registrytest.Agent
		actions []string
		refused []string
	}{
		"among them":          {grandchild, []string{"read:invoices", "create:shipment"}, nil},
		"itself":              {grandchild, []string{"create:shipment"}, []string{"own", "through"}},
		"nothing":             {grandchild, nil, []string{"own", "through"}},
		"another type":        {grandchild, []string{"read:ledger"}, []string{"own", "through"}},
		"unknown":             {grandchild, []string{"wipe:disk"}, []string{"own", "through"}},
		"the parent":          {child, []string{"create:shipment"}, []string{"own", "through"}},
		"the parent's parent": {parent, []string{"create:shipment"}, []string{"own", "through"}},
		"who acts":            {r.agents[2], []string{"create:shipment"}, []string{"chain", "ephemeral", "through"}},
		"who delegated":       {r.agents[1], []string{"create:shipment"}, []string{"chain", "ephemeral"}},
		"who delegated first": {r.agents[0], []string{"create:shipment"}, []string{"chain", "ephemeral", "through"}},
	} {
		t.Run(name, func(t *testing.T) {
			try := func(refused []string) {
				t.Helper()
				for of, ask := range reads {
					d, want := decide(t, r.House, r.pep, ask()), []policy.Code{}
					if slices.Contains(refused, of) {
						want = append(want, policy.ActionRefused)
					}
					if !slices.Equal(codes(d), want) || (d.Verdict == policy.Permit) != (len(want) == 0) {
						t.Errorf("%s: %+v, want %v", of, d, want)
					}
					if len(want) > 0 && len(d.Reasons) > 0 && d.Reasons[0].Detail != "read:invoices" {
						t.Errorf("%s: %q", of, d.Reasons[0].Detail)
					}
				}
			}
			try(nil)
			hold(t, r.House, c.agent, c.actions...)
			try(c.refused)
			if _, err := r.ClearActions(t.Context(), r.Call(), c.agent.ID); err != nil {
				t.Fatal(err)
			}
			try(nil)
		})
	}
}

// TestActionsInFlight: what comes between a judgement and its commit wins.
func TestActionsInFlight(t *testing.T) {
	r := newRelay(t)
	for i, a := range r.agents {
		req := r.ask(t, r.tokens, r.leaf(), "create", "shipment", `{"weight":1}`)
		policy.BetweenJudgementAndCommit(r.PDP, func() { hold(t, r.House, a, "read:invoices") })
		if d := decide(t, r.House, r.pep, req); !slices.Equal(codes(d), []policy.Code{policy.ActionRefused}) {
			t.Errorf("link %d: %+v", i, d)
		}
		if _, err := r.ClearActions(t.Context(), r.Call(), a.ID); err != nil {
			t.Fatal(err)
		}
	}
}

// TestActionsUnderObservation: who is held was said no to, and no human lifts it.
func TestActionsUnderObservation(t *testing.T) {
	o := openObserved(t)
	hold(t, o.House, o.agent, "create:shipment")
	for name, c := range map[string]struct {
		verb, kind string
		want       []policy.Code
	}{
		"not covered":  {"read", "invoices", []policy.Code{policy.CapabilityMissing, policy.ActionRefused}},
		"irreversible": {"execute", "payment", []policy.Code{policy.CapabilityMissing, policy.ActionRefused, policy.ApprovalRequired}},
	} {
		if d := decide(t, o.House, o.gate, o.ask(t, c.verb, c.kind, "")); d.Verdict != policy.Deny || d.Observed || !slices.Equal(codes(d), c.want) {
			t.Errorf("%s: %+v", name, d)
		}
	}
	hold(t, o.House, o.agent, "read:invoices")
	if d := decide(t, o.House, o.gate, o.ask(t, "read", "invoices", "")); d.Verdict != policy.Permit || !d.Observed {
		t.Errorf("among them: %+v", d)
	}
}

func TestSetActions(t *testing.T) {
	h := registrytest.New(t)
	a := h.NewAgent(t, "courier")
	ctx := t.Context()
	out, err := h.SetActions(ctx, h.Call(), a.DID, []string{"read:invoices", "create:shipment", "read:invoices"})
	if err != nil || out.Event.CID == "" || !slices.Equal(*out.Value.Actions, registry.ActionSet{"create:shipment", "read:invoices"}) {
		t.Fatalf("%v %+v", err, out)
	}
	if again, err := h.SetActions(ctx, h.Call(), a.ID, []string{"create:shipment", "read:invoices"}); err != nil || again.Event.CID != "" {
		t.Errorf("twice: %v %+v", err, again)
	}
	if out, err = h.SetActions(ctx, h.Call(), a.ID, nil); err != nil || out.Event.CID == "" {
		t.Fatalf("%v %+v", err, out)
	}
	if got, err := h.FindAgent(ctx, h.Operator, a.ID); err != nil || got.Actions == nil || len(*got.Actions) > 0 {
		t.Errorf("none is not any: %v %+v", err, got.Actions)
	}
	if out, err = h.ClearActions(ctx, h.Call(), a.ID); err != nil || out.Event.CID == "" || out.Value.Actions != nil {
		t.Fatalf("%v %+v", err, out)
	}
	if again, err := h.ClearActions(ctx, h.Call(), a.ID); err != nil || again.Event.CID != "" {
		t.Errorf("cleared twice: %v %+v", err, again)
	}
	many := make([]string, registry.MaxActions+1)
	for name, c := range map[string]struct {
		actions []string
		want    registry.Kind
	}{
		"too many": {many, registry.TooLarge},
		"a verb":   {[]string{"read"}, registry.Malformed},
		"pattern":  {[]string{"read:invoices/*"}, registry.Malformed},
		"argument": {[]string{"read:invoices(year==2026)"}, registry.Malformed},
		"none":     {[]string{"read:none"}, registry.Malformed},
	} {
		if _, err := h.SetActions(ctx, h.Call(), a.ID, c.actions); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %s", name, err, c.want)
		}
	}
	if _, err := h.RevokeAgent(ctx, h.Call(), a.ID, "over"); err != nil {
		t.Fatal(err)
	}
	if _, err := h.SetActions(ctx, h.Call(), a.ID, nil); !errors.Is(err, registry.Revoked) {
		t.Errorf("a revoked agent: %v", err)
	}
}

// TestWhoSetsActions: where duties are separate, who wants the agent may take away only.
func TestWhoSetsActions(t *testing.T) {
	h := registrytest.New(t)
	a := h.NewAgent(t, "courier") // by the operator, who answers for it
	if _, err := h.SetOrgPolicy(t.Context(), h.Call(), registry.HouseOrg, registry.OrgPolicy{SeparateDuties: true}); err != nil {
		t.Fatal(err)
	}
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
	registrar, author := as(registry.RoleRegistrar), as(registry.RolePolicyAuthor)
	read, both := []string{"read:invoices"}, []string{"create:shipment", "read:invoices"}
	for _, c := range []struct {
		name    string
		call    registry.Call
		actions []string // nil: any
		want    error
	}{
		{"an auditor", as(registry.RoleAuditor), read, registry.Denied},
		{"the agent", a.Signed(), read, registry.Denied},
		{"its sponsor narrows", h.Call(), both, nil},
		{"and narrows", h.Call(), read, nil},
		{"its sponsor widens", h.Call(), both, registry.Denied},
		{"its sponsor exchanges", h.Call(), []string{"create:shipment"}, registry.Denied},
		{"its sponsor clears", h.Call(), nil, registry.Denied},
		{"a registrar widens", registrar, both, nil},
		{"a policy author clears", author, nil, nil},
	} {
		var err error
		if c.actions == nil {
			_, err = h.ClearActions(t.Context(), c.call, a.ID)
		} else {
			_, err = h.SetActions(t.Context(), c.call, a.ID, c.actions)
		}
		if !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
	}
}

// TestActionsReplayed: a decision of before is judged by what the agent is held to now.
func TestActionsReplayed(t *testing.T) {
	h := registrytest.New(t)
	h.Catalogue(t, invoices...)
	a := h.NewAgent(t, "courier")
	g := a.Grant(t, "create:shipment")
	d := decide(t, h, a.Direct(), a.Ask(t, g, "create", "shipment", "7", ""))
	hold(t, h, a, "read:invoices")
	h.Clock.Add(time.Second)
	r := replay(t, h, d)
	if r.Same || r.Now.Verdict != policy.Deny || len(r.Epochs) != 1 || r.Epochs[0].Events[0].Type != registry.EventActionsSet {
		t.Errorf("%+v", r)
	}
}
