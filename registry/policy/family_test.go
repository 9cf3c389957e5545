package policy_test

import (
	"errors"
	"testing"

	"github.com/writ-registry/writ/registry"
	"github.com/writ-registry/writ/registry/policy"
	"github.com/writ-registry/writ/registry/registrytest"
)

// family is an agent that may have children, its child and its grandchild, each
// with a grant.
func family(t *testing.T, h *registrytest.House) (agents []*registrytest.Agent, ask func(i int) policy.Decision) {
	t.Helper()
	parent := h.NewAgent(t, "parent", func(n *registry.NewAgent) { n.Spawn = registry.Spawn{Depth: 2, Max: 2} })
	child := parent.Child(t, "child", func(n *registry.NewAgent) { n.Spawn = registry.Spawn{Depth: 1, Max: 1} })
	agents = []*registrytest.Agent{parent, child, child.Child(t, "grandchild")}
	h.Catalogue(t, registry.CatalogueAction{Action: "read:invoices", Reversibility: registry.Reversible, Material: true})
	grants := make([]registry.Grant, len(agents))
	for i, a := range agents {
		grants[i] = a.Grant(t, "read:invoices")
	}
	return agents, func(i int) policy.Decision {
		t.Helper()
		d, err := h.PDP.Decide(t.Context(), agents[i].Direct(), agents[i].Ask(t, grants[i], "read", "invoices", "7", ""))
		if err != nil {
			t.Fatalf("decide: %v", err)
		}
		return d
	}
}

// Whatever stops an agent stops all that descend from it, at once, and nothing else.
func TestDescendantsStop(t *testing.T) {
	h := registrytest.New(t)
	agents, ask := family(t, h)
	root, child := agents[0], agents[1]
	expect := func(what string, codes ...policy.Code) {
		t.Helper()
		for i, want := range codes {
			d := ask(i)
			if want == "" && d.Verdict != policy.Permit || want != "" && (d.Verdict != policy.Deny || d.Reasons[0].Code != want) {
				t.Errorf("%s: generation %d got %s %v, want %q", what, i, d.Verdict, d.Reasons, want)
			}
		}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	ctx, call := t.Context(), h.Call()
	expect("at first", "", "", "")

	_, err := h.SetKill(ctx, call, registry.Scope{Kind: registry.ScopeAgent, ID: root.ID}, "drill")
	must(err)
	expect("the root is killed", policy.KillAgent, policy.AncestorStopped, policy.AncestorStopped)
	_, err = h.ReleaseKill(ctx, call, registry.Scope{Kind: registry.ScopeAgent, ID: root.ID}, "")
	must(err)
	expect("and released", "", "", "")

	_, err = h.SuspendAgent(ctx, call, child.ID, "drill")
	must(err)
	expect("the child is suspended", "", policy.AgentSuspended, policy.AncestorStopped)
	_, err = h.ResumeAgent(ctx, call, child.ID, "")
	must(err)
	expect("and resumed", "", "", "")

	_, err = h.RevokeAgent(ctx, call, root.ID, "over")
	must(err)
	expect("the root is revoked", policy.AgentRevoked, policy.AncestorStopped, policy.AncestorStopped)
	if _, err := child.TryChild(t, "late"); !errors.Is(err, registry.Conflict) {
		t.Errorf("a child of a stopped agent registered a child: %v", err)
	}
}

// A child has less than its parent in every respect, and no more than so many.
func TestChildrenAreNarrower(t *testing.T) {
	h := registrytest.New(t)
	parent := h.NewAgent(t, "parent", func(n *registry.NewAgent) {
		n.Spawn, n.Role, n.Domains, n.Workflows = registry.Spawn{Depth: 2, Max: 2}, "clerk", []string{"finance", "hr"}, []string{"month-end"}
	})
	fits := func(n *registry.NewAgent) {
		n.Role, n.Domains, n.Workflows, n.AuthorityLevel = "clerk", []string{"hr"}, []string{"month-end"}, 1
	}
	for name, c := range map[string]struct {
		change func(*registry.NewAgent)
		field  string
	}{
		"as deep as the parent": {func(n *registry.NewAgent) { n.Spawn = registry.Spawn{Depth: 2, Max: 1} }, "/spawn/depth"},
		"more children":         {func(n *registry.NewAgent) { n.Spawn = registry.Spawn{Depth: 1, Max: 3} }, "/spawn/max"},
		"higher level":          {func(n *registry.NewAgent) { n.AuthorityLevel = 3 }, "/authority_level"},
		"another role":          {func(n *registry.NewAgent) { n.Role = "treasurer" }, "/role"},
		"another domain":        {func(n *registry.NewAgent) { n.Domains = []string{"hr", "legal"} }, "/domains"},
		"any domain":            {func(n *registry.NewAgent) { n.Domains = nil }, "/domains"},
		"any workflow":          {func(n *registry.NewAgent) { n.Workflows = nil }, "/workflows"},
		"another sponsor":       {func(n *registry.NewAgent) { n.Sponsor = registry.NewID() }, "/sponsor"},
		"of a stranger":         {func(n *registry.NewAgent) { n.Parent = registry.NewID() }, ""},
	} {
		_, err := parent.TryChild(t, "child", fits, c.change)
		var e *registry.Error
		if !errors.As(err, &e) || e.Field != c.field {
			t.Errorf("%s: %v", name, err)
		}
	}
	for range 2 {
		if c := parent.Child(t, "child", fits); c.Status != registry.AgentActive || c.Sponsor != parent.Sponsor || c.Parent != parent.ID {
			t.Errorf("child is %+v", c.Agent)
		}
	}
	var e *registry.Error
	if _, err := parent.TryChild(t, "third", fits); !errors.As(err, &e) || e.Code != "too_many_children" {
		t.Errorf("a third child of two: %v", err)
	}
	middle := h.NewAgent(t, "root", func(n *registry.NewAgent) { n.Spawn = registry.Spawn{Depth: 2, Max: 1} })
	below := middle.Child(t, "below", func(n *registry.NewAgent) { n.Spawn = registry.Spawn{Depth: 1, Max: 1} })
	if _, err := h.SetSpawn(t.Context(), h.Call(), middle.ID, registry.Spawn{Depth: 1, Max: 1}); err != nil {
		t.Fatal(err)
	}
	if _, err := below.TryChild(t, "grandchild"); !errors.As(err, &e) || e.Code != "no_spawn" {
		t.Errorf("a grandchild of an agent that may have children only: %v", err)
	}
	if _, err := h.NewAgent(t, "barren").TryChild(t, "child"); !errors.As(err, &e) || e.Code != "no_spawn" {
		t.Errorf("a child without the right to: %v", err)
	}
}

// The org may say how old a key may be.
func TestKeyAge(t *testing.T) {
	h := registrytest.New(t)
	_, ask := family(t, h)
	if _, err := h.SetOrgPolicy(t.Context(), h.Call(), "", registry.OrgPolicy{MaxKeyAge: 60}); err != nil {
		t.Fatal(err)
	}
	if d := ask(0); d.Verdict != policy.Permit {
		t.Fatalf("a young key: %s %v", d.Verdict, d.Reasons)
	}
	h.Clock.Add(61e9)
	if d := ask(0); d.Verdict != policy.Deny || d.Reasons[0].Code != policy.KeyExpired {
		t.Errorf("an old key: %s %v", d.Verdict, d.Reasons)
	}
}

// Who wants an agent does not approve it, where the org asks for that.
func TestSeparateDuties(t *testing.T) {
	h := registrytest.New(t)
	ctx := t.Context()
	second, err := h.CreatePrincipal(ctx, h.Call(), registry.NewPrincipal{Roles: []registry.Role{registry.RoleRegistrar}})
	if err != nil {
		t.Fatal(err)
	}
	caller, err := h.Authenticate(ctx, second.Secret)
	if err != nil {
		t.Fatal(err)
	}
	a := h.NewAgent(t, "before") // asked for and approved by one
	if _, err := h.SetOrgPolicy(ctx, h.Call(), "", registry.OrgPolicy{SeparateDuties: true}); err != nil {
		t.Fatal(err)
	}
	asked := h.RequestOnly(t, "wanted", func(n *registry.NewAgent) { n.Sponsor = second.Value.ID })
	var e *registry.Error
	if _, err := h.ApproveAgent(ctx, h.Call(), asked.ID); !errors.As(err, &e) || e.Code != "separate_duties" {
		t.Errorf("who asked approved: %v", err)
	}
	call := registry.Call{Caller: caller, Trace: h.Call().Trace}
	if _, err := h.ApproveAgent(ctx, call, asked.ID); !errors.As(err, &e) || e.Code != "separate_duties" {
		t.Errorf("the sponsor approved: %v", err)
	}
	other := h.RequestOnly(t, "other")
	if _, err := h.ApproveAgent(ctx, call, other.ID); err != nil {
		t.Errorf("another approves: %v", err)
	}
	if _, err := h.SuspendAgent(ctx, h.Call(), a.ID, "drill"); err != nil {
		t.Errorf("a stop needs nobody else: %v", err)
	}
}
