package policy_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/writ-registry/writ/internal/canon"
	"github.com/writ-registry/writ/registry"
	"github.com/writ-registry/writ/registry/capability"
	"github.com/writ-registry/writ/registry/cedar"
	"github.com/writ-registry/writ/registry/policy"
	"github.com/writ-registry/writ/registry/registrytest"
)

// activate makes policies hold in the operator's org.
func activate(t testing.TB, h *registrytest.House, text string) registry.PolicySet {
	t.Helper()
	drafted, err := h.DraftPolicies(t.Context(), h.Call(), registry.HouseOrg, text)
	if err != nil {
		t.Fatalf("draft: %v", err)
	}
	out, err := h.ActivatePolicies(t.Context(), h.Call(), registry.HouseOrg, drafted.Value.Version)
	if err != nil {
		t.Fatalf("activate: %v", err)
	}
	return out.Value
}

func put(t testing.TB, h *registrytest.House, typ, id, properties string, parents ...registry.EntityRef) {
	t.Helper()
	if _, err := h.PutEntity(t.Context(), h.Call(), registry.HouseOrg, registry.Entity{Type: typ, ID: id, Properties: []byte(properties), Parents: parents}); err != nil {
		t.Fatal(err)
	}
}

func brief(d policy.Decision) string {
	parts := []string{string(d.Verdict)}
	for _, r := range d.Reasons {
		parts = append(parts, string(r.Code)+"("+r.Detail+")")
	}
	return strings.Join(parts, " ")
}

func shop(t testing.TB, h *registrytest.House) {
	h.Catalogue(t,
		registry.CatalogueAction{Action: "read:invoices", Reversibility: registry.Reversible},
		registry.CatalogueAction{Action: "create:shipment", Reversibility: registry.Compensable, Material: true, CompensatedBy: "cancel:shipment", CompensateIn: 60},
		registry.CatalogueAction{Action: "execute:payment", Reversibility: registry.Irreversible},
	)
}

// TestPoliciesNarrow: an agent's grant is the permit; the org's policies forbid, or
// ask for an approval, and nothing they say widens it.
func TestPoliciesNarrow(t *testing.T) {
	h := registrytest.New(t)
	shop(t, h)
	a := h.NewAgent(t, "a")
	g := a.Grant(t, "read:invoices; create:shipment(weight)")
	pep := h.PEP(t, "erp", []string{"https://erp.example"}, "domain")
	gErp := a.Grant(t, "read:invoices", func(n *registry.NewGrant) { n.Audience = []string{"https://erp.example"} })
	put(t, h, "team", "quarantine", "")
	ask := func(verb, typ, id, args string) string {
		t.Helper()
		d, err := h.PDP.Decide(t.Context(), a.Direct(), a.Ask(t, g, verb, typ, id, args))
		if err != nil {
			t.Fatal(err)
		}
		return brief(d)
	}
	before, err := h.PDP.Decide(t.Context(), a.Direct(), a.Ask(t, g, "read", "invoices", "7", ""))
	if err != nil || before.PolicyDigest != policy.PolicyDigest {
		t.Fatalf("without policies: %v %v", before, err)
	}
	activate(t, h, `
permit(principal, action, resource);
@id("heavy") forbid(principal, action == Action::"create:shipment", resource) when { context.arguments has weight && context.arguments.weight > 500 };
@id("look") @step_up("above 100") forbid(principal, action == Action::"create:shipment", resource) when { context.arguments has weight && context.arguments.weight > 100 };
@id("secret") forbid(principal is Agent, action, resource is invoices) when { resource has secret && resource.secret };
@id("quarantine") forbid(principal in team::"quarantine", action, resource);
@id("erp") forbid(principal, action, resource) when { context.origin.server == "https://erp.example" && context.domain == "payroll" };
`)
	for _, c := range []struct{ verb, typ, id, args, want string }{
		{"read", "invoices", "7", "", "permit"},
		{"create", "shipment", "1", `{"weight":100}`, "permit"},
		{"create", "shipment", "1", `{"weight":101}`, "step_up approval_required(look: above 100)"},
		{"create", "shipment", "1", `{"weight":501}`, "deny policy_forbid(heavy) approval_required(look: above 100)"},
		{"create", "shipment", "1", `{"weight":"501"}`, "deny policy_error(heavy) policy_error(look)"},
		{"execute", "payment", "1", ``, "deny capability_missing(execute:payment) approval_required(execute:payment)"},
	} {
		if got := ask(c.verb, c.typ, c.id, c.args); got != c.want && !(strings.HasPrefix(c.want, "deny capability_missing") && strings.HasPrefix(got, "deny capability_missing")) {
			t.Errorf("%s:%s %s: got %s, want %s", c.verb, c.typ, c.args, got, c.want)
		}
	}
	now, err := h.PDP.Decide(t.Context(), a.Direct(), a.Ask(t, g, "read", "invoices", "7", ""))
	if err != nil || now.PolicyDigest == before.PolicyDigest || now.PolicyDigest == "" {
		t.Errorf("the digest does not change with the policies: %v %v", now, err)
	}
	put(t, h, "invoices", "7", `{"secret":true}`)
	if got := ask("read", "invoices", "7", ""); got != "deny policy_forbid(secret)" {
		t.Errorf("what the org knows of the resource: %s", got)
	}
	if got := ask("read", "invoices", "8", ""); got != "permit" {
		t.Errorf("another resource: %s", got)
	}
	put(t, h, "agent", a.DID, "", registry.EntityRef{Type: "team", ID: "new"})
	put(t, h, "team", "new", "", registry.EntityRef{Type: "team", ID: "quarantine"})
	if got := ask("read", "invoices", "8", ""); got != "deny policy_forbid(quarantine)" {
		t.Errorf("in a group of a group: %s", got)
	}
	if _, err := h.DeleteEntity(t.Context(), h.Call(), registry.HouseOrg, "team", "new"); err != nil {
		t.Fatal(err)
	}
	if got := ask("read", "invoices", "8", ""); got != "permit" {
		t.Errorf("out of the group: %s", got)
	}
	relayed := a.Ask(t, gErp, "read", "invoices", "8", "")
	relayed.Context.Domain = "payroll"
	if d, err := h.PDP.Decide(t.Context(), pep, relayed); err != nil || brief(d) != "deny policy_forbid(erp)" {
		t.Errorf("origin and domain: %s %v", brief(d), err)
	}
	activate(t, h, "")
	if got := ask("create", "shipment", "1", `{"weight":501}`); got != "permit" {
		t.Errorf("the empty set forbids: %s", got)
	}
}

// TestActivation: only what validates is kept, only a policy author activates, and
// where the org separates duties not what he wrote.
func TestActivation(t *testing.T) {
	h := registrytest.New(t)
	shop(t, h)
	ctx := t.Context()
	person := func(roles ...registry.Role) registry.Call {
		t.Helper()
		out, err := h.CreatePrincipal(ctx, h.Call(), registry.NewPrincipal{Org: registry.HouseOrg, Roles: roles})
		if err != nil {
			t.Fatal(err)
		}
		c, err := h.Authenticate(ctx, out.Secret)
		if err != nil {
			t.Fatal(err)
		}
		return registry.Call{Caller: c, Trace: h.Call().Trace}
	}
	author, other, auditor := person(registry.RolePolicyAuthor), person(registry.RolePolicyAuthor), person(registry.RoleAuditor)
	const text = `forbid(principal, action == Action::"read:invoices", resource);`
	var faults cedar.Faults
	if _, err := h.DraftPolicies(ctx, author, "", `forbid(principal, action == Action::"fly:plane", resource);`); !errors.As(err, &faults) {
		t.Errorf("a fault was kept: %v", err)
	}
	if _, err := h.DraftPolicies(ctx, auditor, "", text); !errors.Is(err, registry.Denied) {
		t.Errorf("an auditor wrote policies: %v", err)
	}
	first, err := h.DraftPolicies(ctx, author, "", text)
	if err != nil || first.Value.Version != 1 || first.Value.Active {
		t.Fatalf("%v %v", first, err)
	}
	if _, err := h.SetOrgPolicy(ctx, h.Call(), registry.HouseOrg, registry.OrgPolicy{SeparateDuties: true}); err != nil {
		t.Fatal(err)
	}
	var e *registry.Error
	if _, err := h.ActivatePolicies(ctx, author, "", 1); !errors.As(err, &e) || e.Code != "separate_duties" {
		t.Errorf("the author activated: %v", err)
	}
	if _, err := h.ActivatePolicies(ctx, auditor, "", 1); !errors.Is(err, registry.Denied) {
		t.Errorf("an auditor activated: %v", err)
	}
	out, err := h.ActivatePolicies(ctx, other, "", 1)
	if err != nil || !out.Value.Active || out.Event.CID == "" {
		t.Fatalf("%v %v", out, err)
	}
	if again, err := h.ActivatePolicies(ctx, other, "", 1); err != nil || again.Event.CID != "" {
		t.Errorf("activated twice: %v %v", again, err)
	}
	ev, _, err := h.FindEvent(ctx, h.Operator, out.Event.CID)
	if err != nil {
		t.Fatal(err)
	}
	var artifact struct {
		Body registry.PoliciesActivated `json:"body"`
	}
	if err := canon.UnmarshalOpen(ev.Artifact, &artifact); err != nil || artifact.Body.Digest != first.Value.Digest || artifact.Body.Policies != 1 {
		t.Errorf("%s %v", ev.Artifact, err)
	}
	// What the catalogue no longer has, no version may say any more.
	second, err := h.DraftPolicies(ctx, author, "", text+` forbid(principal, action == Action::"execute:payment", resource);`)
	if err != nil {
		t.Fatal(err)
	}
	h.Catalogue(t, registry.CatalogueAction{Action: "read:invoices", Reversibility: registry.Reversible})
	if _, err := h.ActivatePolicies(ctx, other, "", second.Value.Version); !errors.As(err, &faults) {
		t.Errorf("activated against another catalogue: %v", err)
	}
	list, err := h.ListPolicies(ctx, auditor.Caller, "", registry.Page{})
	if err != nil || len(list) != 2 || list[0].Version != 2 || list[0].Active || !list[1].Active || list[0].Text != "" {
		t.Errorf("%v %v", list, err)
	}
	if got, err := h.FindPolicies(ctx, auditor.Caller, "", 0); err != nil || got.Version != 1 || got.Text != text {
		t.Errorf("the active version: %v %v", got, err)
	}
}

func user(verb, typ, id, who string) policy.Request {
	return policy.Request{SubjectType: "user", Subject: who, Act: capability.Act{Action: verb, Resource: capability.Resource{Type: typ, ID: id}}}
}

// TestAsserted: others than agents need a permit, their stored properties win over
// what the enforcement point says, and nobody passes for one of them who is an agent.
func TestAsserted(t *testing.T) {
	h := registrytest.New(t)
	shop(t, h)
	a := h.NewAgent(t, "a")
	plain := h.PEP(t, "plain", []string{"https://a.example"})
	trusted := h.PEP(t, "trusted", []string{"https://b.example"}, policy.AssertSubject, policy.AssertResource, "domain")
	put(t, h, "user", "alice", `{"grade":3}`, registry.EntityRef{Type: "team", ID: "sales"})
	put(t, h, "team", "sales", ``)
	put(t, h, "invoices", "mine", `{"owner":"bob"}`)
	decide := func(call registry.Call, req policy.Request) string {
		t.Helper()
		d, err := h.PDP.Decide(t.Context(), call, req)
		if err != nil {
			t.Fatal(err)
		}
		if !d.Asserted || (d.Event != nil) != d.Qualified || d.Qualified == (d.Verdict == policy.Permit && req.Act.Resource.Type == "invoices") {
			t.Errorf("%+v", d)
		}
		return brief(d)
	}
	if got := decide(plain, user("read", "invoices", "1", "alice")); got != "deny policy_no_permit(there are no policies)" {
		t.Errorf("without policies: %s", got)
	}
	activate(t, h, `
@id("sales") permit(principal in team::"sales", action, resource);
@id("owner") permit(principal is User, action == Action::"read:invoices", resource) when { resource has owner && resource.owner == principal.id };
@id("grade") permit(principal is User, action == Action::"read:invoices", resource) when { principal has grade && principal.grade > 5 };
@id("nine") forbid(principal is User, action, resource == invoices::"9");
`)
	with := func(req policy.Request, subject, resource string) policy.Request {
		req.Context.Subject, req.Context.Resource = json.RawMessage(subject), json.RawMessage(resource)
		return req
	}
	for name, c := range map[string]struct {
		call registry.Call
		req  policy.Request
		want string
	}{
		"in a group":              {plain, user("read", "invoices", "1", "alice"), "permit"},
		"material":                {plain, user("create", "shipment", "1", "alice"), "permit"},
		"irreversible":            {plain, user("execute", "payment", "1", "alice"), "step_up approval_required(execute:payment)"},
		"forbid wins":             {plain, user("read", "invoices", "9", "alice"), "deny policy_forbid(nine)"},
		"owner":                   {plain, user("read", "invoices", "mine", "bob"), "permit"},
		"nobody":                  {plain, user("read", "invoices", "1", "carol"), "deny policy_no_permit()"},
		"asserted, may not":       {plain, with(user("read", "invoices", "1", "carol"), `{"grade":9}`, ``), "deny policy_no_permit()"},
		"asserted":                {trusted, with(user("read", "invoices", "1", "carol"), `{"grade":9}`, ``), "permit"},
		"asserted resource":       {trusted, with(user("read", "invoices", "1", "carol"), ``, `{"owner":"carol"}`), "permit"},
		"stored wins":             {trusted, with(user("read", "invoices", "mine", "carol"), ``, `{"owner":"carol"}`), "deny policy_no_permit()"},
		"an id of its own choice": {trusted, with(user("read", "invoices", "mine", "carol"), `{"id":"bob"}`, ``), "deny policy_no_permit()"},
		"context, may not":        {plain, func() policy.Request { r := user("read", "invoices", "1", "alice"); r.Context.Domain = "x"; return r }(), "deny context_refused(domain)"},
		"another type": {plain, func() policy.Request {
			r := user("read", "invoices", "1", "alice")
			r.SubjectType = "service"
			return r
		}(), "deny policy_no_permit()"},
		"an agent by its id": {trusted, user("read", "invoices", "1", a.ID), "deny possession_failed(missing: an agent is asked about by its DID, with its proof)"},
	} {
		if got := decide(c.call, c.req); got != c.want {
			t.Errorf("%s: got %s, want %s", name, got, c.want)
		}
	}
	for _, id := range []string{a.DID, a.WebDID, "DID" + a.DID[3:]} {
		d, err := h.PDP.Decide(t.Context(), trusted, user("read", "invoices", "1", id))
		if err != nil || d.Verdict != policy.Deny || d.Asserted {
			t.Errorf("an agent as a user, %s: %+v %v", id, d, err)
		}
	}
	if _, err := h.PDP.Decide(t.Context(), trusted, with(user("read", "invoices", "1", "carol"), `[]`, ``)); !errors.Is(err, registry.Malformed) {
		t.Errorf("properties that are no object: %v", err)
	}
	if d, err := h.PDP.Decide(t.Context(), a.Direct(), user("read", "invoices", "1", "alice")); err != nil || brief(d) != "deny subject_unsupported()" {
		t.Errorf("an agent asks about a user: %s %v", brief(d), err)
	}
	if _, err := h.SetKill(t.Context(), h.Call(), registry.Scope{Kind: registry.ScopeOrg, ID: a.Org}, "drill"); err != nil {
		t.Fatal(err)
	}
	if got := decide(plain, user("read", "invoices", "1", "alice")); got != "deny kill_org(drill)" {
		t.Errorf("stopped: %s", got)
	}
}

// TestAssertedDenialsFold: a repeat is counted; another subject, or an epoch, is not
// a repeat. Who it was is in no artifact.
func TestAssertedDenialsFold(t *testing.T) {
	h := registrytest.New(t)
	shop(t, h)
	pep := h.PEPCall(t)
	decide := func(who string) policy.Decision {
		t.Helper()
		d, err := h.PDP.Decide(t.Context(), pep, user("read", "invoices", "1", who))
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	first, again, other := decide("alice"), decide("alice"), decide("bob")
	if first.Folded || !again.Folded || again.Event.CID != first.Event.CID || other.Folded {
		t.Errorf("%+v %+v %+v", first, again, other)
	}
	put(t, h, "user", "alice", ``)
	if moved := decide("alice"); moved.Folded {
		t.Errorf("%+v", moved)
	}
	ev, disclosed, err := h.FindEvent(t.Context(), h.Operator, first.Event.CID)
	if err != nil || strings.Contains(string(ev.Artifact), "alice") || len(disclosed) != 3 {
		t.Errorf("%s %v %v", ev.Artifact, disclosed, err)
	}
}

// TestPreview: what a set that does not hold would have made of what was decided.
func TestPreview(t *testing.T) {
	h := registrytest.New(t)
	shop(t, h)
	a := h.NewAgent(t, "a")
	g := a.Grant(t, "create:shipment; execute:payment")
	pep := h.PEPCall(t)
	var ids []string
	decide := func(call registry.Call, req policy.Request) {
		t.Helper()
		d, err := h.PDP.Decide(t.Context(), call, req)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, d.ID)
	}
	activate(t, h, `@id("old") forbid(principal, action == Action::"create:shipment", resource) when { context.arguments has weight && context.arguments.weight > 1000 };`)
	for _, args := range []string{`{"weight":1}`, `{"weight":600}`, `{"weight":2000}`} {
		decide(a.Direct(), a.Ask(t, g, "create", "shipment", "1", args))
	}
	decide(a.Direct(), a.Ask(t, g, "execute", "payment", "1", ``))
	decide(pep, user("read", "invoices", "1", "alice"))
	unproven := a.Ask(t, g, "create", "shipment", "1", `{"weight":600}`)
	unproven.Proof = "x"
	decide(pep, unproven)

	set, err := cedar.Parse(`
@id("new") forbid(principal, action == Action::"create:shipment", resource) when { context.arguments has weight && context.arguments.weight > 500 && context.arguments.weight < 1000 };
@id("pay") forbid(principal, action == Action::"execute:payment", resource);
@id("all") permit(principal is User, action, resource);`)
	if err != nil {
		t.Fatal(err)
	}
	got, err := h.PDP.Preview(t.Context(), a.Org, set, registry.Page{Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, c := range got.Changed {
		for i, id := range ids {
			if id == c.Decision {
				lines = append(lines, fmt.Sprintf("%d %s -> %s %d", i, c.Was, c.Would, len(c.Reasons)))
			}
		}
	}
	want := "4 deny -> permit 0; 3 step_up -> deny 1; 2 deny -> permit 0; 1 permit -> deny 1"
	if s := strings.Join(lines, "; "); s != want || got.Examined != 6 || got.Skipped != 0 || got.Verdicts["deny -> permit"] != 2 || got.Next != "" {
		t.Errorf("got %s, want %s\n%+v", s, want, got)
	}
	// Pages meet.
	seen := 0
	for page := (registry.Page{Limit: 2}); ; {
		part, err := h.PDP.Preview(t.Context(), a.Org, set, page)
		if err != nil {
			t.Fatal(err)
		}
		seen += part.Examined
		if part.Next == "" {
			break
		}
		page.After = part.Next
	}
	if seen != got.Examined {
		t.Errorf("%d decisions in pages, %d in one", seen, got.Examined)
	}
}

// TestPoliciesMoveUnderADecision: what was activated or put while a decision was made
// counts for it, whatever was remembered.
func TestPoliciesMoveUnderADecision(t *testing.T) {
	h := registrytest.New(t)
	shop(t, h)
	a := h.NewAgent(t, "a")
	g := a.Grant(t, "create:shipment")
	if d, err := h.PDP.Decide(t.Context(), a.Direct(), a.Ask(t, g, "create", "shipment", "1", ``)); err != nil || d.Verdict != policy.Permit {
		t.Fatalf("%v %v", d, err)
	}
	policy.BetweenJudgementAndCommit(h.PDP, func() { activate(t, h, `@id("late") forbid(principal, action, resource);`) })
	d, err := h.PDP.Decide(t.Context(), a.Direct(), a.Ask(t, g, "create", "shipment", "1", ``))
	if err != nil || brief(d) != "deny policy_forbid(late)" {
		t.Errorf("%s %v", brief(d), err)
	}
}

// TestPoliciesCount: a policy over what an agent was permitted lately. Counting is per
// agent and action, only where it is asked for, and what searches, simulations and
// replays say is what decisions do.
func TestPoliciesCount(t *testing.T) {
	h := registrytest.New(t)
	h.Catalogue(t, invoices...)
	pep := h.PEPCall(t)
	agents := map[string]*registrytest.Agent{"a": h.NewAgent(t, "a"), "b": h.NewAgent(t, "b")}
	grants := map[string]registry.Grant{}
	for name, a := range agents {
		grants[name] = a.Grant(t, "read:invoices; create:shipment")
	}
	ask := func(who, verb, typ string) policy.Decision {
		t.Helper()
		return decide(t, h, pep, agents[who].Ask(t, grants[who], verb, typ, "7", "{}"))
	}
	if d := ask("a", "read", "invoices"); d.Qualified {
		t.Fatalf("nobody asks for counts: %+v", d)
	}
	activate(t, h, `@id("often") forbid (principal is Agent, action == Action::"read:invoices", resource) when { context.counts.hour >= 2 };
@id("daily") forbid (principal is Agent, action == Action::"read:invoices", resource) when { context.counts.day >= 3 };`)
	h.Clock.Add(24*time.Hour - h.Clock.Now().Sub(h.Clock.Now().Truncate(24*time.Hour))) // midnight, UTC
	for name, a := range agents {
		grants[name] = a.Grant(t, "read:invoices; create:shipment")
	}
	may := func(want bool) {
		t.Helper()
		s, err := h.PDP.Simulate(t.Context(), policy.Trial{Agent: agents["a"].Agent, Grant: grants["a"].ID, Act: capability.Act{Action: "read", Resource: capability.Resource{Type: "invoices", ID: "7"}}})
		if err != nil || (s.Verdict == policy.Permit) != want {
			t.Errorf("simulated: %+v, %v", s, err)
		}
		ids := find(t, h, pep, policy.Query{For: policy.Subjects, Request: policy.Request{SubjectType: "agent", Act: capability.Act{Action: "read", Resource: capability.Resource{Type: "invoices", ID: "7"}}}}, 10)
		if slices.Contains(ids, agents["a"].DID) != want {
			t.Errorf("found: %v, want %t", ids, want)
		}
	}
	var made []policy.Decision
	for i := range 2 {
		may(true)
		d := ask("a", "read", "invoices")
		if d.Verdict != policy.Permit || !slices.Contains(d.QualifiedBy, "counted") || d.Event == nil {
			t.Fatalf("permit %d: %+v", i+1, d)
		}
		made = append(made, d)
	}
	may(false)
	third := ask("a", "read", "invoices")
	if brief(third) != "deny policy_forbid(often)" {
		t.Errorf("the third in an hour: %s", brief(third))
	}
	made = append(made, third)
	if d := ask("b", "read", "invoices"); d.Verdict != policy.Permit {
		t.Errorf("another agent: %+v", d)
	}
	if d := ask("a", "create", "shipment"); d.Verdict != policy.Permit {
		t.Errorf("another action: %+v", d)
	}
	h.Clock.Add(time.Hour)
	if d := ask("a", "read", "invoices"); d.Verdict != policy.Permit {
		t.Errorf("in the next hour: %+v", d)
	}
	if d := ask("a", "read", "invoices"); brief(d) != "deny policy_forbid(daily)" {
		t.Errorf("the fourth in a day: %s", brief(d))
	}
	for i, d := range made {
		if r := replay(t, h, d); !r.Same || len(r.Assumed) > 0 {
			t.Errorf("decision %d by what was counted then: %+v", i, r)
		}
	}
	h.Clock.Add(23 * time.Hour)
	grants["a"] = agents["a"].Grant(t, "read:invoices")
	if d := ask("a", "read", "invoices"); d.Verdict != policy.Permit {
		t.Errorf("the next day: %+v", d)
	}
}

// BenchmarkAsserted is an unqualified permit about a user with a stored property, in
// an org with 1 or 1,000 policies.
func BenchmarkAsserted(b *testing.B) {
	for _, n := range []int{1, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			h := registrytest.New(b)
			shop(b, h)
			put(b, h, "user", "alice", `{"grade":7}`)
			text := strings.Repeat(`forbid(principal, action == Action::"execute:payment", resource) when { context.arguments has n && context.arguments.n == 1 };`+"\n", n-1)
			activate(b, h, text+`permit(principal is User, action == Action::"read:invoices", resource) when { principal has grade && principal.grade > 5 };`)
			pep, req, ctx := h.PEPCall(b), user("read", "invoices", "1", "alice"), context.Background()
			b.ReportAllocs()
			for b.Loop() {
				if d, err := h.PDP.Decide(ctx, pep, req); err != nil || d.Verdict != policy.Permit {
					b.Fatal(brief(d), err)
				}
			}
		})
	}
}
