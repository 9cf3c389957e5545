package policy_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/writ-registry/writ/internal/canon"
	"github.com/writ-registry/writ/internal/jose"
	"github.com/writ-registry/writ/registry"
	"github.com/writ-registry/writ/registry/capability"
	"github.com/writ-registry/writ/registry/policy"
	"github.com/writ-registry/writ/registry/registrytest"
)

// purse is an agent with budgets.
type purse struct {
	*registrytest.House
	agent *registrytest.Agent
	grant registry.Grant
	gate  registry.Call
}

func newPurse(t *testing.T, budgets ...string) *purse {
	t.Helper()
	return purseOf(t, registrytest.New(t), budgets...)
}

func purseOf(t *testing.T, h *registrytest.House, budgets ...string) *purse {
	t.Helper()
	h.Catalogue(t, append(slices.Clone(invoices), registry.CatalogueAction{Action: "pay:invoice", Reversibility: registry.Reversible})...)
	p := &purse{House: h, agent: h.NewAgent(t, "payer"), gate: h.PEPCall(t)}
	p.grant = p.agent.Grant(t, "pay:invoice; read:invoices; execute:payment", func(n *registry.NewGrant) {
		n.Budgets, n.Delegation = budgets, capability.MaxDepth
	})
	return p
}

func (p *purse) pay(t *testing.T, amount string) policy.Decision {
	t.Helper()
	return decide(t, p.House, p.gate, p.agent.Ask(t, p.grant, "pay", "invoice", "7", `{"amount":`+amount+`}`))
}

// left is what the registry says is left of each budget, by the place of its window.
func (p *purse) left(t *testing.T) map[string]string {
	t.Helper()
	list, err := p.GrantBudgets(t.Context(), p.Operator, p.grant.ID, registry.Page{})
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, b := range list {
		if b.Used.String() == "0" && b.Link != "" || b.Grant != p.grant.ID {
			t.Errorf("balance %+v", b)
		}
		out[b.Place()] = b.Left.String()
	}
	return out
}

func permitted(t *testing.T, d policy.Decision) {
	t.Helper()
	if d.Verdict != policy.Permit || d.Event == nil || !slices.Contains(d.QualifiedBy, "budgeted") {
		t.Fatalf("want a permit that is evidence: %+v", d)
	}
}

func denied(t *testing.T, d policy.Decision, want ...policy.Code) {
	t.Helper()
	if d.Verdict != policy.Deny || !slices.Equal(codes(d), want) {
		t.Fatalf("want %v: %+v", want, d)
	}
}

// TestBudgetIsExact: amounts are decimals, and a budget is spent to the last of it.
func TestBudgetIsExact(t *testing.T) {
	p := newPurse(t, "sum(pay:invoice, amount) <= 0.3")
	for range 3 { // 0.1 + 0.1 + 0.1 > 0.3 in binary fractions
		permitted(t, p.pay(t, "0.1"))
	}
	d := p.pay(t, "0.000001")
	denied(t, d, policy.BudgetExhausted)
	if want := "sum(pay:invoice, amount) <= 0.3: 0 left until " + p.grant.Expires.Format(time.RFC3339); d.Reasons[0].Detail != want {
		t.Errorf("detail %q, want %q", d.Reasons[0].Detail, want)
	}
	permitted(t, p.pay(t, "0"))
	for _, amount := range []string{`"0"`, "null", "-0.1", "0.0000001", "1e30"} {
		denied(t, p.pay(t, amount), policy.BudgetUnmeasured)
	}
	denied(t, decide(t, p.House, p.gate, p.agent.Ask(t, p.grant, "pay", "invoice", "7", "{}")), policy.BudgetUnmeasured)

	// What no budget counts is decided as ever.
	if d := decide(t, p.House, p.gate, p.agent.Ask(t, p.grant, "read", "invoices", "7", "{}")); d.Verdict != policy.Permit || d.Qualified {
		t.Errorf("another action: %+v", d)
	}
	// What is not proven is told nothing of budgets.
	req := p.agent.Ask(t, p.grant, "pay", "invoice", "7", `{"amount":9}`)
	req.Act.Arguments = json.RawMessage(`{"amount":8}`)
	denied(t, decide(t, p.House, p.gate, req), policy.PossessionFailed)
}

// TestBudgetsInEvidence: a permit commits to what it took, and to what was taken.
func TestBudgetsInEvidence(t *testing.T) {
	p := newPurse(t, "count(*) <= 10", "sum(pay:invoice, amount) <= 100 per 1h")
	permitted(t, p.pay(t, "12.5"))
	_, hidden, err := p.FindEvent(t.Context(), p.Operator, p.pay(t, "20").Event.CID)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(hidden, func(d canon.Disclosure) bool { return d.Name == "budgets" })
	if i < 0 {
		t.Fatal("budgets are not disclosed")
	}
	var got []struct {
		registry.Reservation
		Used capability.Amount `json:"used"`
	}
	if err := canon.Unmarshal(hidden[i].Value, &got); err != nil || len(got) != 2 {
		t.Fatalf("%s, %v", hidden[i].Value, err)
	}
	if b := got[1]; b.Budget != "sum(pay:invoice, amount) <= 100 per 1h" || b.Used.String() != "12.5" || b.Amount.String() != "20" || b.End.Sub(b.Begin) != time.Hour {
		t.Errorf("%+v", b)
	}
}

// under gives a key a link of its own under the purse's grant.
func (p *purse) under(t *testing.T, by *jose.PrivateKey, tokens capability.Tokens, n byte, budgets ...string) (capability.Tokens, *jose.PrivateKey) {
	t.Helper()
	key := jose.NewEd25519FromSeed([32]byte{100, n})
	bs, err := capability.ParseBudgets(budgets)
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{House: p.House}
	return r.grow(t, tokens, by, "", key, func(c *capability.GrantClaims) {
		c.Capabilities, c.Budgets = capability.MustParse("pay:invoice"), bs
	}), key
}

func (p *purse) askAs(t *testing.T, tokens capability.Tokens, key *jose.PrivateKey, amount string) policy.Request {
	t.Helper()
	r := &relay{House: p.House}
	return r.askAt(t, registrytest.Origin, tokens, key, "pay", "invoice", `{"amount":`+amount+`}`)
}

// TestChildrenShareABudget: ten children of a 10,000 budget spend 10,000, however many
// ask at once and at whichever process, and whatever a child claims for itself.
func TestChildrenShareABudget(t *testing.T) {
	dir := t.TempDir()
	h := registrytest.Open(t, dir)
	h.Secret = registry.NewSecret(registry.ActorPrincipal)
	if _, err := h.Bootstrap(t.Context(), h.Secret); err != nil {
		t.Fatal(err)
	}
	var err error
	if h.Operator, err = h.Authenticate(t.Context(), h.Secret); err != nil {
		t.Fatal(err)
	}
	p := purseOf(t, h, "sum(pay:invoice, amount) <= 10000 per 24h")
	houses := []*registrytest.House{h, registrytest.Open(t, dir)}

	requests := make([]policy.Request, 64)
	for i := range requests {
		tokens, key := p.under(t, p.agent.Signer, capability.Tokens{p.grant.Token}, byte(i%10), "sum(pay:invoice, amount) <= 1000000")
		requests[i] = p.askAs(t, tokens, key, "400")
	}
	var wg sync.WaitGroup
	decisions := make([]policy.Decision, len(requests))
	for i, req := range requests {
		wg.Go(func() {
			var err error
			if decisions[i], err = houses[i%2].PDP.Decide(t.Context(), p.gate, req); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	permits := 0
	for _, d := range decisions {
		if d.Verdict == policy.Permit {
			permits++
		} else if !slices.Equal(codes(d), []policy.Code{policy.BudgetExhausted}) {
			t.Errorf("%+v", d)
		}
	}
	if left := p.left(t)[" sum(pay:invoice, amount) <= 10000 per 24h"]; permits != 25 || left != "0" {
		t.Errorf("%d permits of 400, %s left of 10000", permits, left)
	}

	// What was spent is spent after a restart, and for a token of a new key.
	again := registrytest.Open(t, dir)
	tokens, key := p.under(t, p.agent.Signer, capability.Tokens{p.grant.Token}, 11)
	d, err := again.PDP.Decide(t.Context(), p.gate, p.askAs(t, tokens, key, "0.01"))
	if err != nil {
		t.Fatal(err)
	}
	denied(t, d, policy.BudgetExhausted)
	p.agent.Rotate(t)
	if p.grant, err = h.FindGrant(t.Context(), h.Operator, p.grant.ID); err != nil {
		t.Fatal(err)
	}
	denied(t, p.pay(t, "0.01"), policy.BudgetExhausted)
}

// TestBudgetOfALink: a holder's own budget bounds what is below it, and nothing beside.
func TestBudgetOfALink(t *testing.T) {
	p := newPurse(t, "count(*) <= 5 per 1h")
	root := capability.Tokens{p.grant.Token}
	middle, key := p.under(t, p.agent.Signer, root, 1, "count(pay:invoice) <= 2", "sum(pay:invoice, amount) <= 1000")
	leaf, below := p.under(t, key, middle, 2)
	other, beside := p.under(t, p.agent.Signer, root, 3)
	permitted(t, decide(t, p.House, p.gate, p.askAs(t, leaf, below, "1")))
	permitted(t, decide(t, p.House, p.gate, p.askAs(t, middle, key, "2")))
	d := decide(t, p.House, p.gate, p.askAs(t, leaf, below, "3"))
	denied(t, d, policy.BudgetExhausted)
	if !strings.HasPrefix(d.Reasons[0].Detail, "link 1 of the chain: count(pay:invoice) <= 2: 0 left") {
		t.Errorf("detail %q", d.Reasons[0].Detail)
	}
	for range 3 {
		permitted(t, decide(t, p.House, p.gate, p.askAs(t, other, beside, "4")))
	}
	denied(t, decide(t, p.House, p.gate, p.askAs(t, other, beside, "5")), policy.BudgetExhausted)
	denied(t, decide(t, p.House, p.gate, p.askAs(t, leaf, below, "6")), policy.BudgetExhausted, policy.BudgetExhausted)

	chain, err := capability.ParseChain(middle)
	if err != nil {
		t.Fatal(err)
	}
	link := chain.Leaf().SigningInputHash()
	left, own := p.left(t), "" // of the grant itself
	for place, want := range map[string]string{own + " count(*) <= 5 per 1h": "0", link + " count(pay:invoice) <= 2": "0", link + " sum(pay:invoice, amount) <= 1000": "997"} {
		if left[place] != want || len(left) != 3 {
			t.Errorf("%s: left %v, want %s", place, left, want)
		}
	}
	// In pages, and for the agent itself.
	var places []string
	for page := (registry.Page{Limit: 1}); ; page.After = places[len(places)-1] {
		list, err := p.GrantBudgets(t.Context(), p.agent.Signed().Caller, p.grant.ID, page)
		if err != nil {
			t.Fatal(err)
		}
		if len(list) == 0 {
			break
		}
		places = append(places, list[0].Place())
	}
	if len(places) != 3 || !slices.IsSorted(places) {
		t.Errorf("pages of one: %q", places)
	}
	stranger := p.NewAgent(t, "stranger")
	if _, err := p.GrantBudgets(t.Context(), stranger.Signed().Caller, p.grant.ID, registry.Page{}); err == nil {
		t.Error("another agent reads them")
	}
}

// TestBudgetWindows: a window that ends gives a new one, and is forgotten once nothing
// can be given back to it.
func TestBudgetWindows(t *testing.T) {
	p := newPurse(t, "count(pay:invoice) <= 1 per 1h", "count(pay:invoice) <= 2")
	permitted(t, p.pay(t, "1"))
	p.Clock.Add(p.grant.NotBefore.Add(time.Hour - time.Second).Sub(p.Clock.Now()))
	d := p.pay(t, "1")
	denied(t, d, policy.BudgetExhausted)
	if want := p.grant.NotBefore.Add(time.Hour).Format(time.RFC3339); !strings.HasSuffix(d.Reasons[0].Detail, "0 left until "+want) {
		t.Errorf("detail %q, want the end %s", d.Reasons[0].Detail, want)
	}
	p.Clock.Add(time.Second)
	permitted(t, p.pay(t, "1"))
	denied(t, p.pay(t, "1"), policy.BudgetExhausted, policy.BudgetExhausted)
	p.Clock.Add(time.Hour)
	denied(t, p.pay(t, "1"), policy.BudgetExhausted)
	if left := p.left(t); left[" count(pay:invoice) <= 1 per 1h"] != "1" || left[" count(pay:invoice) <= 2"] != "0" {
		t.Errorf("left %v", left)
	}

	backend, err := p.DB.Journal(t.Context(), registrytest.LogOrigin)
	if err != nil {
		t.Fatal(err)
	}
	tx, err := backend.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	for after, want := range map[time.Duration]string{time.Hour: "1", 2*time.Hour + time.Second: "0"} {
		err := tx.Nested(func() error {
			if err := tx.Expire(p.grant.NotBefore.Add(after), 100); err != nil {
				return err
			}
			for i, begin := range []time.Time{p.grant.NotBefore, p.grant.NotBefore.Add(time.Hour)} {
				used, err := tx.Reserved(registry.Window{Grant: p.grant.ID, Budget: "count(pay:invoice) <= 1 per 1h", Begin: begin})
				if err != nil || i == 0 && used.String() != want || i == 1 && used.String() != "1" {
					t.Errorf("window %d after %s: %s, %v", i, after, used, err)
				}
			}
			if used, err := tx.Reserved(registry.Window{Grant: p.grant.ID, Budget: "count(pay:invoice) <= 2", Begin: p.grant.NotBefore}); err != nil || used.String() != "2" {
				t.Errorf("for life, after %s: %s, %v", after, used, err)
			}
			return fmt.Errorf("undo")
		})
		if err == nil || err.Error() != "undo" {
			t.Fatal(err)
		}
	}
}

// TestBudgetIsTakenOnce: a repeated request has the recorded answer and takes nothing;
// a decision in flight that another overtakes is made again.
func TestBudgetIsTakenOnce(t *testing.T) {
	p := newPurse(t, "count(*) <= 2")
	req := p.agent.Ask(t, p.grant, "pay", "invoice", "7", "{}")
	permitted(t, decide(t, p.House, p.gate, req))
	for range 3 {
		if d := decide(t, p.House, p.gate, req); d.Verdict != policy.Permit || !d.Repeated {
			t.Errorf("the same request: %+v", d)
		}
	}
	if left := p.left(t)[" count(*) <= 2"]; left != "1" {
		t.Errorf("%s left, want 1", left)
	}
	policy.BetweenJudgementAndCommit(p.PDP, func() { permitted(t, p.pay(t, "1")) })
	denied(t, p.pay(t, "1"), policy.BudgetExhausted)
	// Where nothing is left, too.
	if d := decide(t, p.House, p.gate, req); d.Verdict != policy.Permit || !d.Repeated {
		t.Errorf("the same request: %+v", d)
	}
}

// TestBudgetBeforeHumans: a step-up takes nothing, and no human is asked for what the
// budget does not hold.
func TestBudgetBeforeHumans(t *testing.T) {
	p := newPurse(t, "sum(execute:payment, amount) <= 1000")
	ann := p.Human(t, "", registry.RoleApprover)
	ask := func(amount, approval string) policy.Request {
		req := p.agent.Ask(t, p.grant, "execute", "payment", "p1", `{"amount":`+amount+`}`)
		req.Approval = approval
		return req
	}
	approved := func(amount string) registry.Approval {
		t.Helper()
		req := ask(amount, "")
		d := decide(t, p.House, p.gate, req)
		if d.Verdict != policy.StepUp {
			t.Fatalf("%+v", d)
		}
		a, err := p.RequestFor(t, p.gate, d, req)
		if err != nil {
			t.Fatal(err)
		}
		ann.Approve(t, a)
		return a
	}
	first, second := approved("900"), approved("800")
	if left := p.left(t)[" sum(execute:payment, amount) <= 1000"]; left != "1000" {
		t.Errorf("step-ups took of it: %s left", left)
	}
	permitted(t, decide(t, p.House, p.gate, ask("900", first.ID)))
	d := decide(t, p.House, p.gate, ask("800", second.ID))
	if d.Verdict != policy.Deny || codes(d)[0] != policy.BudgetExhausted {
		t.Errorf("approved, and over the budget: %+v", d)
	}
	d = decide(t, p.House, p.gate, ask("101", ""))
	if d.Verdict != policy.Deny || d.Binding != nil || !slices.Equal(codes(d), []policy.Code{policy.BudgetExhausted, policy.ApprovalRequired}) {
		t.Errorf("a human would be asked: %+v", d)
	}
	// One approved act that overtakes another in flight leaves the other's approval unused.
	third, fourth := approved("60"), approved("50")
	policy.BetweenJudgementAndCommit(p.PDP, func() { permitted(t, decide(t, p.House, p.gate, ask("60", third.ID))) })
	if d := decide(t, p.House, p.gate, ask("50", fourth.ID)); d.Verdict != policy.Deny || codes(d)[0] != policy.BudgetExhausted {
		t.Errorf("%+v", d)
	}
	if left := p.left(t)[" sum(execute:payment, amount) <= 1000"]; left != "40" {
		t.Errorf("%s left, want 40", left)
	}
}

// TestBudgetsEverywhere: what searches find, simulations say and replays repeat knows of
// budgets, and takes nothing of them.
func TestBudgetsEverywhere(t *testing.T) {
	p := newPurse(t, "sum(pay:invoice, amount) <= 100")
	found := func(amount string) bool {
		t.Helper()
		ids := find(t, p.House, p.gate, policy.Query{For: policy.Subjects, Request: policy.Request{SubjectType: "agent", Act: capability.Act{
			Action: "pay", Resource: capability.Resource{Type: "invoice", ID: "7"}, Arguments: json.RawMessage(`{"amount":` + amount + `}`),
		}}}, 10)
		return slices.Contains(ids, p.agent.DID)
	}
	simulated := func(amount string) policy.Simulation {
		t.Helper()
		s, err := p.PDP.Simulate(t.Context(), policy.Trial{Agent: p.agent.Agent, Grant: p.grant.ID, Act: capability.Act{
			Action: "pay", Resource: capability.Resource{Type: "invoice", ID: "7"}, Arguments: json.RawMessage(`{"amount":` + amount + `}`),
		}})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	if !found("100") || found("101") || simulated("100").Verdict != policy.Permit || simulated("101").Verdict != policy.Deny {
		t.Error("a full budget")
	}
	first := p.pay(t, "60")
	permitted(t, first)
	if found("41") || !found("40") || simulated("41").Reasons[0].Code != policy.BudgetExhausted || simulated("40").Verdict != policy.Permit {
		t.Errorf("40 are left; of 41: %+v", simulated("41"))
	}
	second := p.pay(t, "40")
	permitted(t, second)
	third := p.pay(t, "1")
	denied(t, third, policy.BudgetExhausted)
	for i, d := range []policy.Decision{first, second, third} {
		if r := replay(t, p.House, d); !r.Same {
			t.Errorf("decision %d by what was taken then: %+v", i, r)
		}
	}
	if left := p.left(t); len(left) != 1 {
		t.Errorf("left %v", left)
	}
	permitted(t, p.pay(t, "0"))
}
