package registry_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/writ-registry/writ/internal/jose"
	"github.com/writ-registry/writ/registry"
	"github.com/writ-registry/writ/registry/registrytest"
)

func newcomer(t *testing.T, h *registrytest.House, name string) registry.NewAgent {
	t.Helper()
	key, err := jose.GenerateEd25519()
	if err != nil {
		t.Fatal(err)
	}
	jwk, err := json.Marshal(key.Public().JWK())
	if err != nil {
		t.Fatal(err)
	}
	return registry.NewAgent{Name: name, Org: registry.HouseOrg, AuthorityLevel: 1, JWK: jwk, Possession: h.Possession(t, key, registry.HouseOrg, name)}
}

func eventTypes(t *testing.T, h *registrytest.House, agent string) (types []string) {
	t.Helper()
	list, err := h.ListEvents(t.Context(), h.Operator, "", agent, registry.EventFilter{})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		types = append(types, e.Type)
	}
	return types
}

// TestOnboard: agent, approval and grant are one commit, and so is their failure.
func TestOnboard(t *testing.T) {
	h := registrytest.New(t)
	ctx := t.Context()
	out, err := h.OnboardAgent(ctx, h.Call(), newcomer(t, h, "a"), &registry.NewGrant{Capabilities: "read:x"})
	if err != nil {
		t.Fatal(err)
	}
	a, g := out.Value.Agent, out.Value.Grant
	if a.Status != registry.AgentActive || g == nil || g.Agent != a.ID || g.Token == "" || len(out.Events) != 3 {
		t.Fatalf("%+v", out)
	}
	if out.Events[2].Index != out.Events[0].Index+2 {
		t.Errorf("its events are at %d to %d", out.Events[0].Index, out.Events[2].Index)
	}
	if got := eventTypes(t, h, a.ID); !slices.Equal(got, []string{"agent.requested", "agent.approved", "grant.issued"}) {
		t.Errorf("events: %v", got)
	}
	if stored, err := h.FindAgent(ctx, h.Operator, a.DID); err != nil || stored.Status != registry.AgentActive {
		t.Errorf("stored: %s, %v", stored.Status, err)
	}

	level := 4
	in := newcomer(t, h, "b")
	_, err = h.OnboardAgent(ctx, h.Call(), in, &registry.NewGrant{Capabilities: "read:x", AuthorityLevel: &level})
	var e *registry.Error
	if !errors.As(err, &e) || e.Field != "/grant/authority_level" {
		t.Errorf("a grant above the agent: %v", err)
	}
	if got := names(t, h, registry.AgentQuery{NamePrefix: "b"}); len(got) != 0 {
		t.Error("the agent of a refused grant is there")
	}
	if _, err := h.OnboardAgent(ctx, h.Call(), in, nil); err != nil {
		t.Errorf("the key is free again: %v", err)
	}
	_, err = h.OnboardAgent(ctx, h.Call(), newcomer(t, h, "c"), &registry.NewGrant{Capabilities: "read"})
	if !errors.As(err, &e) || e.Field != "/grant/capabilities" {
		t.Errorf("a malformed grant: %v", err)
	}
	_, err = h.OnboardAgent(ctx, principal(t, h, registry.HouseOrg, registry.RoleAuditor), newcomer(t, h, "d"), nil)
	want(t, "an auditor", err, registry.Denied)
	parent := h.NewAgent(t, "parent", func(n *registry.NewAgent) { n.Spawn = registry.Spawn{Depth: 1, Max: 1} })
	_, err = h.OnboardAgent(ctx, parent.Signed(), newcomer(t, h, "e"), nil)
	want(t, "an agent", err, registry.Denied)
	child := newcomer(t, h, "f")
	child.Parent, child.AuthorityLevel = parent.ID, 0
	if out, err = h.OnboardAgent(ctx, h.Call(), child, &registry.NewGrant{Capabilities: "read:x"}); err != nil || len(out.Events) != 3 {
		t.Errorf("a child: %+v, %v", out, err)
	}

	if _, err := h.SetOrgPolicy(ctx, h.Call(), "", registry.OrgPolicy{SeparateDuties: true}); err != nil {
		t.Fatal(err)
	}
	other := newcomer(t, h, "g")
	other.Sponsor = principal(t, h, registry.HouseOrg, registry.RoleOwner).Caller.ID
	_, err = h.OnboardAgent(ctx, h.Call(), other, nil)
	if !errors.As(err, &e) || e.Code != "separate_duties" {
		t.Errorf("one human for all: %v", err)
	}
}

// TestOffboard: agents end with their grants, page by page, each by its own event.
func TestOffboard(t *testing.T) {
	h := registrytest.New(t)
	ctx, call := t.Context(), h.Call()
	sponsor := principal(t, h, registry.HouseOrg, registry.RoleRegistrar)
	const n = registry.OffboardPage + 5
	refs := make([]string, n)
	for i := range n {
		in := newcomer(t, h, fmt.Sprintf("bot-%03d", i))
		in.Sponsor = sponsor.Caller.ID
		out, err := h.OnboardAgent(ctx, call, in, &registry.NewGrant{Capabilities: "read:x"})
		if err != nil {
			t.Fatal(err)
		}
		refs[i] = []string{out.Value.Agent.ID, out.Value.Agent.DID, out.Value.Agent.WebDID}[i%3]
	}
	keep := h.NewAgent(t, "keep")

	dry, err := h.OffboardAgents(ctx, call, registry.Offboarding{Query: registry.AgentQuery{Sponsor: sponsor.Caller.ID}, DryRun: true})
	if err != nil || dry.Value.Left != n || len(dry.Value.Agents) != registry.OffboardPage || len(dry.Events) != 0 {
		t.Fatalf("dry run: %d and %d, %v", len(dry.Value.Agents), dry.Value.Left, err)
	}
	first, err := h.OffboardAgents(ctx, call, registry.Offboarding{Agents: append(refs, refs[0]), Reason: "project-over"})
	if err != nil || first.Value.Left != 5 || len(first.Value.Agents) != registry.OffboardPage || len(first.Events) != 2*registry.OffboardPage {
		t.Fatalf("first page: %d done, %d left, %d events, %v", len(first.Value.Agents), first.Value.Left, len(first.Events), err)
	}
	second, err := h.OffboardAgents(ctx, call, registry.Offboarding{Query: registry.AgentQuery{NamePrefix: "bot-"}})
	if err != nil || second.Value.Left != 0 || len(second.Value.Agents) != 5 || len(second.Value.Agents[0].Grants) != 1 {
		t.Fatalf("second page: %+v, %v", second.Value, err)
	}
	if again, err := h.OffboardAgents(ctx, call, registry.Offboarding{Agents: refs}); err != nil || len(again.Value.Agents) != 0 || len(again.Events) != 0 {
		t.Errorf("again: %+v, %v", again.Value, err)
	}
	if got := eventTypes(t, h, refs[0]); !slices.Equal(got, []string{"agent.requested", "agent.approved", "grant.issued", "agent.revoked", "grant.revoked"}) {
		t.Errorf("events: %v", got)
	}
	if g, err := h.FindGrant(ctx, h.Operator, first.Value.Agents[7].Grants[0]); err != nil || g.Status != registry.GrantRevoked {
		t.Errorf("a grant of an ended agent: %s, %v", g.Status, err)
	}
	if got := names(t, h, registry.AgentQuery{Capability: "read:x"}); len(got) != 0 {
		t.Errorf("still found by their capabilities: %v", got)
	}

	h.Clock.Add(time.Hour)
	young := h.NewAgent(t, "young")
	idle, err := h.OffboardAgents(ctx, call, registry.Offboarding{Query: registry.AgentQuery{ActedBefore: h.Clock.Now().Add(-time.Minute)}})
	if err != nil || len(idle.Value.Agents) != 1 || idle.Value.Agents[0].ID != keep.ID {
		t.Errorf("idle: %+v, %v", idle.Value, err)
	}
	if a, err := h.FindAgent(ctx, h.Operator, young.ID); err != nil || a.Status != registry.AgentActive {
		t.Errorf("an agent that could not act yet: %s, %v", a.Status, err)
	}
}

func TestOffboardingIsChecked(t *testing.T) {
	h := registrytest.New(t)
	ctx := t.Context()
	a := h.NewAgent(t, "a")
	_, rival := tenant(t, h, "rival")
	for name, in := range map[string]registry.Offboarding{
		"everything": {}, "a filter that is too wide": {Query: registry.AgentQuery{Status: registry.AgentActive}},
		"both": {Agents: []string{a.ID}, Query: registry.AgentQuery{NamePrefix: "a"}}, "no agent": {Agents: []string{"x"}}, "reason": {Agents: []string{a.ID}, Reason: "No More"},
	} {
		_, err := h.OffboardAgents(ctx, h.Call(), in)
		want(t, name, err, registry.Malformed)
	}
	_, err := h.OffboardAgents(ctx, h.Call(), registry.Offboarding{Agents: make([]string, registry.MaxOffboard+1)})
	want(t, "too many", err, registry.TooLarge)
	_, err = h.OffboardAgents(ctx, rival, registry.Offboarding{Agents: []string{a.ID}})
	want(t, "another's agent", err, registry.NotFound)
	_, err = h.OffboardAgents(ctx, rival, registry.Offboarding{Org: registry.HouseOrg, Query: registry.AgentQuery{NamePrefix: "a"}})
	want(t, "another's org", err, registry.NotFound)
	_, err = h.OffboardAgents(ctx, principal(t, h, registry.HouseOrg, registry.RoleAuditor), registry.Offboarding{Agents: []string{a.ID}})
	want(t, "an auditor", err, registry.Denied)
	mixed := []string{a.ID, registry.NewID()}
	_, err = h.OffboardAgents(ctx, h.Call(), registry.Offboarding{Agents: mixed})
	var e *registry.Error
	if !errors.As(err, &e) || e.Kind != registry.NotFound || e.Field != "/agents/1" {
		t.Errorf("one that is not there: %v", err)
	}
	if now, err := h.FindAgent(ctx, h.Operator, a.ID); err != nil || now.Status != registry.AgentActive {
		t.Errorf("the other one: %s, %v", now.Status, err)
	}
}
