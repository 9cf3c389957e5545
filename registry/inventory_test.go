package registry_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/writ-registry/writ/registry"
	"github.com/writ-registry/writ/registry/policy"
	"github.com/writ-registry/writ/registry/registrytest"
)

// follow reads the log into the inventory.
func follow(t *testing.T, h *registrytest.House) {
	t.Helper()
	j, err := h.DB.Journal(t.Context(), registrytest.LogOrigin)
	if err != nil {
		t.Fatal(err)
	}
	u := registry.Usage{Store: j.Usage(), Now: h.Clock.Now}
	if err := u.Catch(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// names searches to the end, by pages of one.
func names(t *testing.T, h *registrytest.House, q registry.AgentQuery) []string {
	t.Helper()
	out := []string{}
	for {
		q.Limit = 1
		list, err := h.SearchAgents(t.Context(), h.Operator, "", q)
		if err != nil {
			t.Fatalf("%+v: %v", q, err)
		}
		if len(list) == 0 {
			return out
		}
		out, q.After = append(out, list[0].Name), list[0].Place
	}
}

// TestSearch: every filter finds what it says, alone and with another, page by page.
func TestSearch(t *testing.T) {
	h := registrytest.New(t)
	ctx, call := t.Context(), h.Call()
	h.Catalogue(t, registry.CatalogueAction{Action: "read:invoices", Reversibility: registry.Reversible, Material: true})
	start := h.Clock.Now()
	other := principal(t, h, registry.HouseOrg, registry.RoleRegistrar)
	clerk := h.NewAgent(t, "clerk-1", func(n *registry.NewAgent) { n.Domains, n.Workflows = []string{"finance"}, []string{"q1", "q2"} })
	idle := h.NewAgent(t, "clerk-2", func(n *registry.NewAgent) { n.Domains, n.Sponsor = []string{"finance", "sales"}, other.Caller.ID })
	h.Clock.Add(time.Hour)
	late := h.NewAgent(t, "courier", func(n *registry.NewAgent) { n.Spawn = registry.Spawn{Depth: 1, Max: 2} })
	late.Child(t, "child")
	h.RequestOnly(t, "asker")
	used := clerk.Grant(t, "read:invoices; write:none; write:notes")
	clerk.Grant(t, "read:invoices(a<=1); read:notes")
	idle.Grant(t, "read:notes", func(n *registry.NewGrant) { n.Expires = h.Clock.Now().Add(time.Hour) })
	ended := late.Grant(t, "read:invoices")
	if _, err := h.RevokeGrant(ctx, call, ended.ID, ""); err != nil {
		t.Fatal(err)
	}
	h.Clock.Add(time.Minute)
	act := h.Clock.Now()
	if _, err := h.PDP.Decide(ctx, clerk.Direct(), clerk.Ask(t, used, "read", "invoices", "7", "")); err != nil {
		t.Fatal(err)
	}
	unproven := late.Ask(t, ended, "read", "invoices", "7", "")
	unproven.Proof = "x"
	if _, err := h.PDP.Decide(ctx, h.PEP(t, "gate", []string{registrytest.Origin}), unproven); err != nil {
		t.Fatal(err)
	}
	follow(t, h)
	follow(t, h) // again changes nothing

	for _, c := range []struct {
		name string
		q    registry.AgentQuery
		want string
	}{
		{"all", registry.AgentQuery{}, "clerk-1 clerk-2 courier child asker"},
		{"status", registry.AgentQuery{Status: registry.AgentRequested}, "asker"},
		{"sponsor", registry.AgentQuery{Sponsor: other.Caller.ID}, "clerk-2"},
		{"sponsor and status", registry.AgentQuery{Sponsor: h.Operator.ID, Status: registry.AgentActive}, "clerk-1 courier child"},
		{"domain", registry.AgentQuery{Domain: "finance"}, "clerk-1 clerk-2"},
		{"domain and workflow", registry.AgentQuery{Domain: "finance", Workflow: "q2"}, "clerk-1"},
		{"name", registry.AgentQuery{NamePrefix: "c"}, "child clerk-1 clerk-2 courier"},
		{"name and domain", registry.AgentQuery{NamePrefix: "clerk", Domain: "sales"}, "clerk-2"},
		{"parent", registry.AgentQuery{Parent: late.DID}, "child"},
		{"key now", registry.AgentQuery{Thumbprint: idle.Thumbprint}, "clerk-2"},
		{"capability", registry.AgentQuery{Capability: "read:notes"}, "clerk-1 clerk-2"},
		{"capability by two grants", registry.AgentQuery{Capability: "read:invoices"}, "clerk-1"},
		{"capability that none takes away", registry.AgentQuery{Capability: "write:notes"}, ""},
		{"capability and domain", registry.AgentQuery{Capability: "read:notes", Domain: "sales"}, "clerk-2"},
		{"old keys", registry.AgentQuery{KeyBefore: start.Add(time.Minute)}, "clerk-1 clerk-2"},
		{"old keys, name", registry.AgentQuery{KeyBefore: start.Add(time.Minute), NamePrefix: "clerk-2"}, "clerk-2"},
		{"acted", registry.AgentQuery{ActedSince: act}, "clerk-1"},
		{"acted later", registry.AgentQuery{ActedSince: act.Add(time.Second)}, ""},
		{"idle", registry.AgentQuery{ActedBefore: act}, "clerk-2 courier child asker"},
		{"idle, with a key of then", registry.AgentQuery{ActedBefore: act, KeyBefore: start.Add(time.Minute)}, "clerk-2"},
		{"unused grants", registry.AgentQuery{UnusedSince: act}, "clerk-1 clerk-2"},
		{"unused grants, domain", registry.AgentQuery{UnusedSince: act, Domain: "sales"}, "clerk-2"},
		{"no grant from before", registry.AgentQuery{UnusedSince: start.Add(time.Minute)}, ""},
	} {
		got := names(t, h, c.q)
		if diff := cmp.Diff(strings.Fields(c.want), got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
	list, err := h.SearchAgents(ctx, h.Operator, "", registry.AgentQuery{NamePrefix: "clerk"})
	if err != nil || len(list) != 2 || list[0].LastAct.Before(act) || !list[1].LastAct.IsZero() {
		t.Errorf("last acts: %+v, %v", list, err)
	}

	h.Clock.Add(time.Hour) // the grant of clerk-2 ends
	if got := names(t, h, registry.AgentQuery{Capability: "read:notes"}); !slices.Equal(got, []string{"clerk-1"}) {
		t.Errorf("with an expired grant: %v", got)
	}
	follow(t, h) // forgets it
	if got := names(t, h, registry.AgentQuery{UnusedSince: act}); !slices.Equal(got, []string{"clerk-1"}) {
		t.Errorf("with a forgotten grant: %v", got)
	}
}

func TestSearchIsChecked(t *testing.T) {
	h := registrytest.New(t)
	_, rival := tenant(t, h, "rival")
	a := h.NewAgent(t, "a")
	for name, q := range map[string]registry.AgentQuery{
		"status": {Status: "x"}, "sponsor": {Sponsor: "x"}, "capability": {Capability: "read"}, "domain": {Domain: "A B"}, "name": {NamePrefix: "%"}, "parent": {Parent: "x"},
		"cursor of another list": {KeyBefore: h.Clock.Now(), Page: registry.Page{After: a.ID}},
	} {
		_, err := h.SearchAgents(t.Context(), h.Operator, "", q)
		want(t, name, err, registry.Malformed)
	}
	_, err := h.SearchAgents(t.Context(), rival.Caller, registry.HouseOrg, registry.AgentQuery{})
	want(t, "another's org", err, registry.NotFound)
	_, err = h.SearchAgents(t.Context(), rival.Caller, "", registry.AgentQuery{Parent: a.ID})
	want(t, "another's agent", err, registry.NotFound)
	for _, q := range []registry.AgentQuery{{}, {Thumbprint: a.Thumbprint}, {NamePrefix: "a"}, {ActedBefore: h.Clock.Now().Add(time.Hour)}} {
		if list, err := h.SearchAgents(t.Context(), rival.Caller, "", q); err != nil || len(list) != 0 {
			t.Errorf("a rival finds %v, %v", list, err)
		}
	}
}

// TestUnregistered: who has no agent is counted by who saw it, and only so many.
func TestUnregistered(t *testing.T) {
	h := registrytest.New(t)
	ctx := t.Context()
	seen := registry.Sightings{Store: h.DB, Now: h.Clock.Now}
	h.PDP.Unknown = seen.Saw
	a := h.NewAgent(t, "a")
	g := a.Grant(t, "read:x")
	gate, door := h.PEP(t, "gate", []string{registrytest.Origin}), h.PEP(t, "door", []string{registrytest.Origin})
	stranger := a.Ask(t, g, "read", "x", "1", "")
	stranger.Subject = "did:web:stranger.example"
	decide := func(call registry.Call, req policy.Request) {
		t.Helper()
		if _, err := h.PDP.Decide(ctx, call, req); err != nil {
			t.Fatal(err)
		}
	}
	list := func() []registry.Unregistered {
		t.Helper()
		if err := seen.Flush(ctx); err != nil {
			t.Fatal(err)
		}
		out, err := h.ListUnregistered(ctx, h.Operator, "", registry.Page{Limit: 1000})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	decide(gate, stranger)
	decide(gate, stranger)
	decide(door, stranger)
	decide(gate, a.Ask(t, g, "read", "x", "1", ""))
	if got := list(); len(got) != 2 || got[0].Subject != stranger.Subject || got[0].Count+got[1].Count != 3 {
		t.Errorf("%+v", got)
	}
	h.Clock.Add(time.Minute)
	if _, err := h.PDP.Verify(ctx, gate.Caller, stranger); err != nil {
		t.Fatal(err)
	}
	got := list()
	if got[0].PEP != gate.Caller.ID || got[0].Count != 3 || !got[0].Last.Equal(h.Clock.Now()) || !got[0].First.Before(got[0].Last) {
		t.Errorf("%+v", got)
	}
	if page, err := h.ListUnregistered(ctx, h.Operator, "", registry.Page{Limit: 10, After: got[0].Place()}); err != nil || len(page) != 1 {
		t.Errorf("the second page: %v, %v", page, err)
	}
	h.Clock.Add(time.Minute)
	for i := range registry.MaxUnregistered {
		seen.Saw(*gate.Caller.PEP, fmt.Sprint("did:web:", i))
		if i%4000 == 0 {
			if err := seen.Flush(ctx); err != nil {
				t.Fatal(err)
			}
		}
	}
	seen.Saw(*gate.Caller.PEP, strings.Repeat("x", 513))
	if got := list(); len(got) != 1000 || slices.ContainsFunc(got, func(u registry.Unregistered) bool { return u.Subject == stranger.Subject }) {
		t.Errorf("%d are listed, or the oldest did not make way", len(got))
	}
}
