package policy_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/writ-registry/writ/registry"
	"github.com/writ-registry/writ/registry/capability"
	"github.com/writ-registry/writ/registry/policy"
	"github.com/writ-registry/writ/registry/registrytest"
)

const erp = "https://erp.example"

// crowd is agents of one org, with grants for one resource server, and what may be
// wrong with each.
type crowd struct {
	*registrytest.House
	gate   registry.Call // guards erp
	agents []*registrytest.Agent
}

func newCrowd(t *testing.T) *crowd {
	h := registrytest.New(t)
	ctx := t.Context()
	h.Catalogue(t,
		registry.CatalogueAction{Action: "read:invoices", Reversibility: registry.Reversible, MinLevel: 1},
		registry.CatalogueAction{Action: "update:invoices", Reversibility: registry.Reversible, Material: true, Domain: "finance"},
		registry.CatalogueAction{Action: "pay:invoices", Reversibility: registry.Irreversible},
		registry.CatalogueAction{Action: "approve:invoices", Reversibility: registry.Reversible},
		registry.CatalogueAction{Action: "read:shipment", Reversibility: registry.Reversible},
	)
	put(t, h, "team", "quarantine", ``)
	put(t, h, "folder", "secret", ``)
	activate(t, h, `
@id("quarantine") forbid(principal in team::"quarantine", action, resource);
@id("nine") forbid(principal, action, resource == invoices::"9");
@id("secret") forbid(principal is Agent, action, resource in folder::"secret") unless { principal.level >= 3 };
@id("four") @step_up("four eyes") forbid(principal, action == Action::"approve:invoices", resource) when { context.origin.server == "https://erp.example" };
@id("ann") permit(principal == User::"ann", action, resource);
`)
	c := &crowd{House: h, gate: h.PEP(t, "gate", []string{erp, "https://shop.example"}, "domain")}
	const caps = "read:invoices; update:invoices(amount<=500); pay:invoices; approve:invoices"
	to := func(servers ...string) func(*registry.NewGrant) {
		return func(n *registry.NewGrant) { n.Audience = servers }
	}
	add := func(a *registrytest.Agent) *registrytest.Agent { c.agents = append(c.agents, a); return a }
	agent := func(name string, change ...func(*registry.NewAgent)) *registrytest.Agent {
		return add(h.NewAgent(t, name, change...))
	}
	must := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	stop := func(kind registry.ScopeKind, id string) {
		must(h.SetKill(ctx, h.Call(), registry.Scope{Kind: kind, ID: id}, "drill"))
	}

	agent("plain").Grant(t, caps, to(erp))
	agent("no-grant")
	agent("elsewhere").Grant(t, caps, to("https://elsewhere.example"))
	agent("at-home").Grant(t, caps)
	agent("two-servers").Grant(t, caps, to("https://elsewhere.example", "https://shop.example", erp))
	agent("narrow").Grant(t, "read:invoices/7*", to(erp))
	agent("taken").Grant(t, "read:invoices; update:invoices; pay:none", to(erp))
	agent("low", func(n *registry.NewAgent) { n.AuthorityLevel = 0 }).Grant(t, caps, to(erp))
	agent("high", func(n *registry.NewAgent) { n.AuthorityLevel = 3 }).Grant(t, caps, to(erp))
	agent("sales", func(n *registry.NewAgent) { n.Domains = []string{"sales"} }).Grant(t, caps, to(erp))

	soon := agent("short")
	soon.Grant(t, caps, to(erp), func(n *registry.NewGrant) { n.Expires = h.Clock.Now().Add(time.Minute) })
	agent("later").Grant(t, caps, to(erp), func(n *registry.NewGrant) { n.NotBefore = h.Clock.Now().Add(time.Hour) })
	two := agent("second-grant")
	must(h.RevokeGrant(ctx, h.Call(), two.Grant(t, caps, to(erp)).ID, "drill"))
	two.Grant(t, caps, to(erp))
	two.Grant(t, "read:invoices", to(erp))
	stop(registry.ScopeGrant, two.Grant(t, caps, to(erp)).ID)
	gone := agent("revoked-grant")
	must(h.RevokeGrant(ctx, h.Call(), gone.Grant(t, caps, to(erp)).ID, "drill"))

	for name, how := range map[string]func(context.Context, registry.Call, string, string) (registry.Outcome[registry.Agent], error){
		"suspended": h.SuspendAgent, "revoked": h.RevokeAgent,
	} {
		a := agent(name)
		a.Grant(t, caps, to(erp))
		must(how(ctx, h.Call(), a.ID, "drill"))
	}
	killed := agent("killed")
	killed.Grant(t, caps, to(erp))
	stop(registry.ScopeAgent, killed.ID)
	rotated := agent("rotated")
	rotated.Grant(t, caps, to(erp))
	rotated.Rotate(t)
	stolen := agent("stolen")
	stolen.Grant(t, caps, to(erp))
	must(h.EndKey(ctx, h.Call(), stolen.ID, stolen.Thumbprint, true, nil, "stolen"))

	parent := agent("parent", func(n *registry.NewAgent) { n.Spawn = registry.Spawn{Depth: 1, Max: 2} })
	add(parent.Child(t, "child")).Grant(t, caps, to(erp))
	must(h.SuspendAgent(ctx, h.Call(), parent.ID, "drill"))
	sponsor := h.Human(t, registry.HouseOrg, registry.RoleRegistrar)
	orphan := agent("orphan")
	orphan.Grant(t, caps, to(erp))
	must(h.SetSponsor(ctx, h.Call(), orphan.ID, sponsor.ID))
	must(h.SuspendPrincipal(ctx, h.Call(), sponsor.ID, "drill"))
	ill := agent("ill")
	ill.Grant(t, caps, to(erp))
	put(t, h, "agent", ill.DID, ``, registry.EntityRef{Type: "team", ID: "quarantine"})

	put(t, h, "invoices", "7", ``)
	put(t, h, "invoices", "71", ``, registry.EntityRef{Type: "folder", ID: "secret"})
	put(t, h, "invoices", "8", ``)
	put(t, h, "invoices", "9", ``)
	h.Clock.Add(2 * time.Minute)
	return c
}

// may reports whether a decision permits an act of an agent, by any grant that it has,
// with its proof.
func (c *crowd) may(t *testing.T, a *registrytest.Agent, verb, typ, id string) bool {
	t.Helper()
	var grants []registry.Grant
	if err := c.Store.View(t.Context(), func(tx registry.Tx) (err error) {
		grants, err = tx.ListGrants(registry.GrantFilter{Agent: a.ID, Page: registry.Page{Limit: 10}})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	for _, g := range grants {
		for _, server := range g.Audience {
			d, err := c.PDP.Decide(t.Context(), c.gate, a.Ask(t, g, verb, typ, id, "", func(claims *capability.ActionClaims) { claims.Audience = server }))
			if err != nil {
				t.Fatal(err)
			}
			if d.Verdict == policy.Permit {
				return true
			}
		}
	}
	return false
}

// find reads all pages of a search, of some results each.
func find(t *testing.T, h *registrytest.House, pep registry.Call, q policy.Query, limit int) (ids []string) {
	t.Helper()
	q.Limit = limit
	for range 10_000 {
		found, err := h.PDP.Search(t.Context(), *pep.Caller.PEP, q)
		if err != nil {
			t.Fatal(err)
		}
		if len(found.IDs) > limit || found.Judged > policy.MaxSearch {
			t.Fatalf("%d found, %d judged, at most %d are wanted", len(found.IDs), found.Judged, limit)
		}
		ids = append(ids, found.IDs...)
		if !found.More {
			return ids
		}
		q.After = found.Next
	}
	t.Fatal("there is no last page")
	return nil
}

// TestSearchIsWhatIsPermitted: what a search for an agent's rights finds is what
// decisions permit, whatever may be wrong with the agent, its grants and the act.
func TestSearchIsWhatIsPermitted(t *testing.T) {
	c := newCrowd(t)
	verbs, ids := []string{"approve", "pay", "read", "update"}, []string{"7", "71", "8", "9"}
	act := func(verb, id string) policy.Request {
		return policy.Request{SubjectType: "agent", Act: capability.Act{Action: verb, Resource: capability.Resource{Type: "invoices", ID: id}}}
	}
	subjects, resources, actions := map[string]bool{}, map[string]bool{}, map[string]bool{}
	permitted := map[string]bool{}
	before := c.events(t)
	for _, limit := range []int{1, 2, 1000} {
		for _, verb := range verbs {
			for _, id := range ids {
				for _, did := range find(t, c.House, c.gate, policy.Query{For: policy.Subjects, Request: act(verb, id)}, limit) {
					key := fmt.Sprint(limit, " ", verb, " ", id, " ", did)
					if subjects[key] {
						t.Errorf("%s is found twice", key)
					}
					subjects[key] = true
				}
			}
			for _, a := range c.agents {
				q := policy.Query{For: policy.Resources, Request: act(verb, "")}
				q.Subject = a.DID
				for _, id := range find(t, c.House, c.gate, q, limit) {
					resources[fmt.Sprint(limit, " ", verb, " ", id, " ", a.DID)] = true
				}
			}
		}
		for _, a := range c.agents {
			for _, id := range ids {
				q := policy.Query{For: policy.Actions, Request: act("", id)}
				q.Subject = a.WebDID // another of its names
				for _, verb := range find(t, c.House, c.gate, q, limit) {
					actions[fmt.Sprint(limit, " ", verb, " ", id, " ", a.DID)] = true
				}
			}
		}
	}
	if now := c.events(t); now != before {
		t.Errorf("searches left %d events", now-before)
	}
	n := 0
	for _, a := range c.agents {
		for _, verb := range verbs {
			for _, id := range ids {
				if c.may(t, a, verb, "invoices", id) {
					n++
					for _, limit := range []int{1, 2, 1000} {
						permitted[fmt.Sprint(limit, " ", verb, " ", id, " ", a.DID)] = true
					}
				}
			}
		}
	}
	if n < 20 || n > len(c.agents)*len(verbs)*len(ids)/2 {
		t.Errorf("%d acts are permitted: the crowd says little", n)
	}
	for name, got := range map[string]map[string]bool{"subjects": subjects, "resources": resources, "actions": actions} {
		if diff := cmp.Diff(permitted, got); diff != "" {
			t.Errorf("%s (-permitted +found)\n%s", name, diff)
		}
	}
}

// events counts what the log has.
func (c *crowd) events(t *testing.T) (n int) {
	t.Helper()
	for after := ""; ; {
		list, err := c.ListEvents(t.Context(), c.Operator, "", "", registry.EventFilter{Page: registry.Page{After: after, Limit: 1000}})
		if err != nil {
			t.Fatal(err)
		}
		n += len(list)
		if len(list) < 1000 {
			return n
		}
		after = fmt.Sprint(list[len(list)-1].Index)
	}
}

// TestSearchNamesWhatItRestsOn: that nobody has proven anything is said of agents only.
func TestSearchNamesWhatItRestsOn(t *testing.T) {
	c := newCrowd(t)
	for name, x := range map[string]struct {
		q        policy.Query
		unproven bool
		want     []string
	}{
		"agents":             {policy.Query{For: policy.Subjects, Request: policy.Request{SubjectType: "agent"}}, true, nil},
		"users":              {policy.Query{For: policy.Subjects, Request: policy.Request{SubjectType: "user"}}, false, []string{"ann"}},
		"actions of a user":  {policy.Query{For: policy.Actions, Request: policy.Request{SubjectType: "user", Subject: "ann"}}, false, []string{"approve", "read", "update"}},
		"a user by a DID":    {policy.Query{For: policy.Actions, Request: policy.Request{SubjectType: "user", Subject: c.agents[0].DID}}, true, []string{"read"}},
		"resources, by name": {policy.Query{For: policy.Resources, Request: policy.Request{SubjectType: "user", Subject: "ann"}}, false, []string{"7", "71", "8"}},
	} {
		t.Run(name, func(t *testing.T) {
			put(t, c.House, "user", "ann", ``)
			put(t, c.House, "user", "bob", ``)
			put(t, c.House, "user", c.agents[0].ID, ``) // nobody passes for an agent
			put(t, c.House, "user", c.agents[0].DID, ``)
			q := x.q
			q.Act.Resource = capability.Resource{Type: "invoices", ID: "7"}
			q.Act.Action, q.Limit = "read", policy.MaxSearch
			found, err := c.PDP.Search(t.Context(), *c.gate.Caller.PEP, q)
			if err != nil || found.Unproven != x.unproven || found.PolicyDigest == "" || found.More {
				t.Errorf("%+v %v", found, err)
			}
			if x.want != nil && !slices.Equal(found.IDs, x.want) || len(found.IDs) == 0 {
				t.Errorf("found %q, want %q", found.IDs, x.want)
			}
		})
	}
}

// TestSearchSeesWhatIsTheEnforcementPoints: one that guards another resource server,
// or is of another org, finds no agent; and a stop is seen by the next search.
func TestSearchSeesWhatIsTheEnforcementPoints(t *testing.T) {
	h := registrytest.New(t)
	ctx := t.Context()
	h.Catalogue(t, registry.CatalogueAction{Action: "read:invoices", Reversibility: registry.Reversible})
	a := h.NewAgent(t, "a")
	a.Grant(t, "read:invoices", func(n *registry.NewGrant) { n.Audience = []string{erp} })
	put(t, h, "invoices", "7", ``)
	gate, next := h.PEP(t, "gate", []string{erp}), h.PEP(t, "next", []string{"https://shop.example"})
	if _, err := h.CreateOrg(ctx, h.Call(), registry.NewOrg{Name: "acme"}); err != nil {
		t.Fatal(err)
	}
	made, err := h.RegisterPEP(ctx, h.Call(), registry.NewPEP{Org: "acme", Name: "foreign", Resources: []string{"https://acme.example"}})
	if err != nil {
		t.Fatal(err)
	}
	foreign := registry.Call{}
	if foreign.Caller, err = h.Authenticate(ctx, made.Secret); err != nil {
		t.Fatal(err)
	}
	act := capability.Act{Action: "read", Resource: capability.Resource{Type: "invoices", ID: "7"}}
	all := func(pep registry.Call) (ids []string) {
		t.Helper()
		for of, want := range map[policy.Target]string{policy.Subjects: a.DID, policy.Resources: "7", policy.Actions: "read"} {
			found := find(t, h, pep, policy.Query{For: of, Request: policy.Request{SubjectType: "agent", Subject: a.DID, Act: act}}, 10)
			if len(found) > 0 && !slices.Equal(found, []string{want}) {
				t.Errorf("%s: %q", of, found)
			}
			ids = append(ids, found...)
		}
		return ids
	}
	if got := all(gate); len(got) != 3 {
		t.Errorf("at its resource server: %q", got)
	}
	for name, pep := range map[string]registry.Call{"of another resource server": next, "of another org": foreign} {
		if got := all(pep); len(got) > 0 {
			t.Errorf("an enforcement point %s finds %q", name, got)
		}
	}
	for _, scope := range []registry.Scope{{Kind: registry.ScopeAgent, ID: a.ID}, {Kind: registry.ScopeOrg, ID: a.Org}, {Kind: registry.ScopeGlobal}} {
		if _, err := h.SetKill(ctx, h.Call(), scope, "drill"); err != nil {
			t.Fatal(err)
		}
		if got := all(gate); len(got) > 0 {
			t.Errorf("%s is stopped, and a search finds %q", scope.Kind, got)
		}
		if _, err := h.ReleaseKill(ctx, h.Call(), scope, ""); err != nil {
			t.Fatal(err)
		}
		if got := all(gate); len(got) != 3 {
			t.Errorf("%s is released, and a search finds %q", scope.Kind, got)
		}
	}
}

// TestSearchPages: what is stored all the while is found once, whatever comes and goes
// beside it, and a page judges so many candidates and no more.
func TestSearchPages(t *testing.T) {
	h := registrytest.New(t)
	ctx := t.Context()
	h.Catalogue(t, registry.CatalogueAction{Action: "read:record", Reversibility: registry.Reversible})
	activate(t, h, `permit(principal is User, action, resource) when { principal has grade && principal.grade > 5 };`)
	const total = 2500
	stable, list := []string{}, []registry.Entity{}
	for i := range total {
		grade := 9
		if i < 1200 {
			grade = 1 // a whole page of candidates that are not permitted
		}
		id := fmt.Sprintf("u%04d", i)
		list = append(list, registry.Entity{Type: "user", ID: id, Properties: fmt.Appendf(nil, `{"grade":%d}`, grade)})
		if grade == 9 {
			stable = append(stable, id)
		}
	}
	for part := range slices.Chunk(list, registry.MaxEntities) {
		if _, err := h.PutEntities(ctx, h.Call(), "", part); err != nil {
			t.Fatal(err)
		}
	}
	pep := h.PEPCall(t)
	q := policy.Query{For: policy.Subjects, Request: user("read", "record", "1", "")}

	q.Limit = policy.MaxSearch
	first, err := h.PDP.Search(ctx, *pep.Caller.PEP, q)
	if err != nil || len(first.IDs) != 0 || !first.More || first.Judged != policy.MaxSearch {
		t.Errorf("the first page: %d found of %d, more: %v, %v", len(first.IDs), first.Judged, first.More, err)
	}
	for _, limit := range []int{policy.MaxSearch, 130, 1300} {
		if got := find(t, h, pep, q, min(limit, policy.MaxSearch)); !slices.Equal(got, stable) {
			t.Errorf("in pages of %d: %d found", limit, len(got))
		}
	}

	// Others come and go while it is read, and what is read stays.
	done := make(chan error, 1)
	moving, stop := context.WithCancel(ctx)
	go func() {
		for i := 0; moving.Err() == nil; i++ {
			id := fmt.Sprintf("u%04d-%d", 97*i%total, i)
			if _, err := h.PutEntity(ctx, h.Call(), "", registry.Entity{Type: "user", ID: id, Properties: []byte(`{"grade":9}`)}); err != nil {
				done <- err
				return
			}
			if _, err := h.DeleteEntity(ctx, h.Call(), "", "user", id); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	got := find(t, h, pep, q, 50)
	stop()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	got = slices.DeleteFunc(got, func(id string) bool { return len(id) > len("u0000") })
	if !slices.Equal(got, stable) {
		t.Errorf("while others came and went: %d found, want %d", len(got), len(stable))
	}

	q.Limit = 0
	if none, err := h.PDP.Search(ctx, *pep.Caller.PEP, q); err != nil || len(none.IDs) != 0 || none.Judged != 0 || !none.More {
		t.Errorf("no results are wanted: %+v %v", none, err)
	}
	gone, leave := context.WithCancel(ctx)
	leave()
	q.Limit = 10
	if _, err := h.PDP.Search(gone, *pep.Caller.PEP, q); !errors.Is(err, registry.Unavailable) || !errors.Is(err, context.Canceled) {
		t.Errorf("the caller went away: %v", err)
	}
	h.PDP.Ready = func() error { return errors.New("full") }
	if _, err := h.PDP.Search(ctx, *pep.Caller.PEP, q); !errors.Is(err, registry.Unavailable) {
		t.Errorf("nothing is permitted now: %v", err)
	}
}
