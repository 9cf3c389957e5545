package policy_test

import (
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/writ-registry/writ/registry"
	"github.com/writ-registry/writ/registry/policy"
	"github.com/writ-registry/writ/registry/registrytest"
)

// replay finds a decision and judges it again.
func replay(t *testing.T, h *registrytest.House, d policy.Decision) policy.Replay {
	t.Helper()
	ev, err := h.FindDecision(t.Context(), h.Operator, d.ID)
	if err != nil {
		t.Fatalf("find decision: %v", err)
	}
	r, err := h.PDP.Replay(t.Context(), ev)
	if err != nil {
		t.Fatalf("replay: %v", err)
	}
	return r
}

func reasonCodes(list []policy.Explained) []policy.Code {
	out := []policy.Code{}
	for _, r := range list {
		out = append(out, r.Code)
	}
	return out
}

// replayAll judges every decision of a house again: where nothing has moved that it rests
// on, it is the same.
func replayAll(t *testing.T, h *registrytest.House) (same int) {
	t.Helper()
	for _, typ := range []string{registry.EventDecision, registry.EventAssertedDecision} {
		events, err := h.ListEvents(t.Context(), h.Operator, "", "", registry.EventFilter{Type: typ, Page: registry.Page{Limit: registry.MaxPage}})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			r, err := h.PDP.Replay(t.Context(), e)
			var refused *registry.Error
			switch {
			case errors.As(err, &refused) && refused.Code == "not_replayable":
			case err != nil:
				t.Errorf("replay of %s: %v", e.CID, err)
			case r.Same:
				same++
			case len(r.Epochs) == 0:
				t.Errorf("nothing moved, and the decision is another: %+v", r)
			}
		}
	}
	return same
}

// TestReplayStands is the property: what rests on nothing that moved is decided alike.
func TestReplayStands(t *testing.T) {
	h := registrytest.New(t)
	h.Catalogue(t, append(slices.Clone(invoices), registry.CatalogueAction{Action: "read:ledger", Reversibility: registry.Reversible, MinLevel: 4, Domain: "finance"})...)
	drafted, err := h.DraftPolicies(t.Context(), h.Call(), registry.HouseOrg, `@id("big") forbid(principal is Agent, action, resource) when { context.arguments has weight && context.arguments.weight > 100 };
@id("ask") @step_up("large") forbid(principal is Agent, action, resource) when { context.arguments has weight && context.arguments.weight > 50 };`)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.ActivatePolicies(t.Context(), h.Call(), registry.HouseOrg, drafted.Value.Version); err != nil {
		t.Fatal(err)
	}
	a := h.NewAgent(t, "courier")
	g := a.Grant(t, "create:shipment; execute:payment; read:ledger; read:invoices(year==2026)")
	for i, ask := range [][3]string{
		{"create", "shipment", `{"weight":5}`}, {"create", "shipment", `{"weight":60}`}, {"create", "shipment", `{"weight":600}`},
		{"execute", "payment", `{"amount":12.5}`}, {"read", "ledger", `{}`}, {"read", "invoices", `{"year":1999}`}, {"delete", "invoices", `{}`},
	} {
		for _, call := range []registry.Call{a.Direct(), h.PEPCall(t)} {
			h.Clock.Add(time.Second)
			decide(t, h, call, a.Ask(t, g, ask[0], ask[1], fmt.Sprint(i), ask[2]))
		}
	}
	decide(t, h, h.PEPCall(t), policy.Request{SubjectType: "user", Subject: "alice", Act: a.Ask(t, g, "read", "ledger", "1", "").Act})
	if same, want := replayAll(t, h), 8; same < want {
		t.Errorf("%d decisions were replayed alike, want %d at least", same, want)
	}
	size, _, err := h.DB.Log(registrytest.LogOrigin).Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	replayAll(t, h)
	if now, _, err := h.DB.Log(registrytest.LogOrigin).Head(t.Context()); err != nil || now != size {
		t.Errorf("replays left events: %d, %d, %v", size, now, err)
	}
}

func TestReplaySaysWhatMoved(t *testing.T) {
	const forbid = `@id("never") forbid(principal is Agent, action, resource);`
	policies := func(t *testing.T, h *registrytest.House, text string) {
		t.Helper()
		drafted, err := h.DraftPolicies(t.Context(), h.Call(), registry.HouseOrg, text)
		if err == nil {
			_, err = h.ActivatePolicies(t.Context(), h.Call(), registry.HouseOrg, drafted.Value.Version)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	type situation struct {
		h *registrytest.House
		a *registrytest.Agent
		g registry.Grant
	}
	cases := map[string]struct {
		move  func(*testing.T, situation)
		same  bool
		added []policy.Code
		scope registry.ScopeKind
		by    string // type of the newest event that moved it
		check func(*testing.T, policy.Replay)
	}{
		"nothing": {move: func(*testing.T, situation) {}, same: true},
		"kill": {move: func(t *testing.T, s situation) {
			if _, err := s.h.SetKill(t.Context(), s.h.Call(), registry.Scope{Kind: registry.ScopeAgent, ID: s.a.ID}, "drill"); err != nil {
				t.Fatal(err)
			}
		}, added: []policy.Code{policy.KillAgent}, scope: registry.ScopeAgent, by: registry.EventKillSet},
		"global kill": {move: func(t *testing.T, s situation) {
			if _, err := s.h.SetKill(t.Context(), s.h.Call(), registry.Scope{Kind: registry.ScopeGlobal}, "drill"); err != nil {
				t.Fatal(err)
			}
		}, added: []policy.Code{policy.KillGlobal}, scope: registry.ScopeGlobal, by: registry.EventKillSet},
		"suspension": {move: func(t *testing.T, s situation) {
			if _, err := s.h.SuspendAgent(t.Context(), s.h.Call(), s.a.ID, "drill"); err != nil {
				t.Fatal(err)
			}
		}, added: []policy.Code{policy.AgentSuspended}, scope: registry.ScopeAgent, by: registry.EventAgentSuspended},
		"revoked grant": {move: func(t *testing.T, s situation) {
			if _, err := s.h.RevokeGrant(t.Context(), s.h.Call(), s.g.ID, "drill"); err != nil {
				t.Fatal(err)
			}
		}, added: []policy.Code{policy.GrantRevoked}, scope: registry.ScopeGrant, by: registry.EventGrantRevoked},
		"new key": {move: func(t *testing.T, s situation) { s.a.Rotate(t) }, same: true, scope: registry.ScopeAgent, by: registry.EventKeyRotated},
		"suspended and resumed": {move: func(t *testing.T, s situation) {
			_, err := s.h.SuspendAgent(t.Context(), s.h.Call(), s.a.ID, "drill")
			_, err2 := s.h.ResumeAgent(t.Context(), s.h.Call(), s.a.ID, "over")
			if err := errors.Join(err, err2); err != nil {
				t.Fatal(err)
			}
		}, same: true, scope: registry.ScopeAgent, by: registry.EventAgentResumed},
		"policies": {move: func(t *testing.T, s situation) { policies(t, s.h, forbid) },
			added: []policy.Code{policy.PolicyForbid}, scope: registry.ScopeOrg, by: registry.EventPoliciesActivated,
			check: func(t *testing.T, r policy.Replay) {
				if r.Policies == nil || r.AsRecorded == nil || r.AsRecorded.Verdict != policy.Permit || r.AsRecorded.PolicyDigest != r.Then.PolicyDigest {
					t.Errorf("by the policies of then it is a permit: %+v", r)
				}
			}},
		"catalogue": {move: func(t *testing.T, s situation) { s.h.Catalogue(t, invoices[0]) },
			added: []policy.Code{policy.ApprovalRequired}, scope: registry.ScopeOrg, by: registry.EventCatalogueActivated,
			check: func(t *testing.T, r policy.Replay) {
				if r.Catalogue == nil || r.Catalogue.Then == r.Catalogue.Now || r.Now.Verdict != policy.StepUp {
					t.Errorf("an action that is not known any more: %+v", r)
				}
			}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			h := registrytest.New(t)
			h.Catalogue(t, invoices...)
			policies(t, h, `@id("never") forbid(principal is Agent, action, resource) when { context.task == "never" };`)
			a := h.NewAgent(t, "courier")
			g := a.Grant(t, "create:shipment")
			d := decide(t, h, h.PEPCall(t), a.Ask(t, g, "create", "shipment", "s1", `{"weight":5}`))
			if d.Verdict != policy.Permit || d.Event == nil {
				t.Fatalf("%+v", d)
			}
			h.Clock.Add(time.Hour)
			c.move(t, situation{h, a, g})
			r := replay(t, h, d)
			if r.Same != c.same || !slices.Equal(reasonCodes(r.Added), append([]policy.Code{}, c.added...)) || len(r.Gone) > 0 {
				t.Errorf("same %v, added %v, gone %v", r.Same, r.Added, r.Gone)
			}
			if c.scope == "" {
				if len(r.Epochs) > 0 {
					t.Errorf("moved: %+v", r.Epochs)
				}
			} else if i := slices.IndexFunc(r.Epochs, func(m policy.EpochMoved) bool { return m.Scope.Kind == c.scope }); i < 0 ||
				r.Epochs[i].Now <= r.Epochs[i].Then || len(r.Epochs[i].Events) == 0 || r.Epochs[i].Events[0].Type != c.by {
				t.Errorf("moved: %+v", r.Epochs)
			}
			if c.check != nil {
				c.check(t, r)
			}
		})
	}
}

func TestReplayOfAChain(t *testing.T) {
	r := newRelay(t)
	short := r.grow(t, r.tokens, r.leaf(), "", r.short)
	of := []policy.Decision{
		decide(t, r.House, r.pep, r.ask(t, r.tokens, r.leaf(), "create", "shipment", `{"weight":100}`)),
		decide(t, r.House, r.pep, r.ask(t, short, r.short, "create", "shipment", `{"weight":1}`)),
	}
	for _, d := range of {
		if again := replay(t, r.House, d); !again.Same || len(again.Epochs) > 0 {
			t.Errorf("%+v", again)
		}
	}
	middle := r.agents[1]
	if _, err := r.SuspendAgent(t.Context(), r.Call(), middle.ID, "drill"); err != nil {
		t.Fatal(err)
	}
	for _, d := range of {
		again := replay(t, r.House, d)
		if diff := cmp.Diff([]policy.Code{policy.DelegatorStopped}, reasonCodes(again.Added)); diff != "" {
			t.Error(diff)
		}
		if len(again.Epochs) != 1 || again.Epochs[0].Scope.ID != middle.ID || again.Epochs[0].Events[0].Type != registry.EventAgentSuspended {
			t.Errorf("%+v", again.Epochs)
		}
	}
	ev, err := r.FindDecision(t.Context(), r.Operator, of[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	e, err := r.PDP.Explanation(t.Context(), ev)
	if err != nil || len(e.Chain) != 3 || e.Chain[1].Subject != middle.DID {
		t.Errorf("%v, who handed on what: %+v", err, e.Chain)
	}
}

// TestReplayOfAnApproval: it was used up by this very decision, and counts.
func TestReplayOfAnApproval(t *testing.T) {
	p := openPayment(t)
	a := p.request(t)
	waiting := decide(t, p.House, p.gate, p.ask(t, amount, a.ID))
	p.ann.Approve(t, a)
	d := decide(t, p.House, p.gate, p.ask(t, amount, a.ID))
	if d.Verdict != policy.Permit {
		t.Fatalf("%+v", d)
	}
	for _, d := range []policy.Decision{waiting, d} {
		if r := replay(t, p.House, d); !r.Same {
			t.Errorf("%+v", r)
		}
	}
	p.Catalogue(t, append(slices.Clone(invoices), registry.CatalogueAction{Action: "read:ledger", Reversibility: registry.Reversible})...)
	if r := replay(t, p.House, d); r.Now.Verdict != policy.StepUp || !slices.Equal(reasonCodes(r.Added), []policy.Code{policy.ApprovalRequired, policy.ApprovalMismatch}) {
		t.Errorf("the approval is bound to the catalogue: %+v", r)
	}
}

// TestReplayOfCompromise: what a key signed is not believed from the place on from which
// it is compromised, whatever was believed then.
func TestReplayOfCompromise(t *testing.T) {
	h := registrytest.New(t)
	h.Catalogue(t, invoices...)
	a := h.NewAgent(t, "courier")
	g := a.Grant(t, "create:shipment")
	d := decide(t, h, h.PEPCall(t), a.Ask(t, g, "create", "shipment", "s1", `{}`))
	if _, err := h.EndKey(t.Context(), h.Call(), a.ID, a.Thumbprint, true, &d.Event.Index, "stolen"); err != nil {
		t.Fatal(err)
	}
	if r := replay(t, h, d); r.Now.Verdict != policy.Deny || r.Now.Reasons[0].Code != policy.PossessionFailed {
		t.Errorf("%+v", r)
	}
}

func TestReplayNeedsInputs(t *testing.T) {
	h := registrytest.New(t)
	h.Catalogue(t, invoices...)
	a := h.NewAgent(t, "courier")
	g := a.Grant(t, "create:shipment")
	d := decide(t, h, h.PEPCall(t), a.Ask(t, g, "create", "shipment", "s1", `{}`))
	unproven := a.Ask(t, g, "create", "shipment", "s1", `{}`)
	unproven.Proof = ""
	u := decide(t, h, h.PEPCall(t), unproven)
	if err := h.DB.Write(t.Context(), func(tx *sql.Tx) error {
		_, err := tx.ExecContext(t.Context(), `DELETE FROM disclosures WHERE place = (SELECT place FROM events WHERE cid = ?)`, d.Event.CID)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]string{d.ID: "not replayable: erased", u.ID: "not replayable: nothing was proven, so no token and no proof were kept"} {
		ev, err := h.FindDecision(t.Context(), h.Operator, id)
		if err != nil {
			t.Fatal(err)
		}
		var e *registry.Error
		if _, err := h.PDP.Replay(t.Context(), ev); !errors.As(err, &e) || e.Kind != registry.Conflict || e.Detail != want {
			t.Errorf("got %v, want %s", err, want)
		}
		x, err := h.PDP.Explanation(t.Context(), ev)
		if err != nil || id == d.ID && (x.Resource != nil || !slices.Equal(x.Erased, []string{"payload", "proof", "resource", "token"})) {
			t.Errorf("%v %+v", err, x)
		}
	}
}

func finding(t *testing.T, h *registrytest.House, c registry.Caller, ref string) error {
	_, err := h.FindDecision(t.Context(), c, ref)
	return err
}

// TestFindDecision: by its id, among thousands of the same millisecond, and by nobody
// whom it does not concern.
func TestFindDecision(t *testing.T) {
	h := registrytest.New(t)
	h.Catalogue(t, invoices...)
	a, other := h.NewAgent(t, "courier"), h.NewAgent(t, "other")
	g := a.Grant(t, "create:shipment; read:invoices")
	pep := h.PEPCall(t)
	var all []policy.Decision
	for i := range 3 {
		h.Clock.Add(time.Hour)
		all = append(all, decide(t, h, pep, a.Ask(t, g, "create", "shipment", fmt.Sprint(i), `{}`)))
		var wg sync.WaitGroup
		for j := range 400 { // 2,400 events, 800 of each millisecond
			wg.Go(func() {
				for _, ref := range []string{"x", "y"} {
					if _, err := h.PutEntity(t.Context(), h.Call(), registry.HouseOrg, registry.Entity{Type: "box", ID: fmt.Sprint(i, j, ref)}); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		all = append(all, decide(t, h, pep, a.Ask(t, g, "create", "shipment", fmt.Sprint(i), `{"last":true}`)))
	}
	if _, err := h.CreateOrg(t.Context(), h.Call(), registry.NewOrg{Name: "acme"}); err != nil {
		t.Fatal(err)
	}
	owner := h.Owner(t, "acme").Caller
	for _, d := range all {
		for name, c := range map[string]registry.Caller{"operator": h.Operator, "agent": a.Signed().Caller} {
			for _, ref := range []string{d.ID, d.Event.CID} {
				if ev, err := h.FindDecision(t.Context(), c, ref); err != nil || ev.CID != d.Event.CID {
					t.Errorf("%s: %s, %v, want %s", name, ev.CID, err, d.Event.CID)
				}
			}
		}
	}
	read := decide(t, h, pep, a.Ask(t, g, "read", "invoices", "7", ""))
	if read.Event != nil {
		t.Fatalf("%+v", read)
	}
	unknown := fmt.Sprint(finding(t, h, h.Operator, registry.NewIDAt(h.Clock.Now())))
	for name, err := range map[string]error{
		"unqualified":         finding(t, h, h.Operator, read.ID),
		"foreign, by id":      finding(t, h, owner, all[0].ID),
		"foreign, by CID":     finding(t, h, owner, all[0].Event.CID),
		"another agent":       finding(t, h, other.Signed().Caller, all[0].ID),
		"another agent's CID": finding(t, h, other.Signed().Caller, all[0].Event.CID),
	} {
		if fmt.Sprint(err) != unknown || !errors.Is(err, registry.NotFound) {
			t.Errorf("%s: %v, and unknown: %s", name, err, unknown)
		}
	}
	if _, err := h.FindDecision(t.Context(), pep.Caller, all[0].ID); !errors.Is(err, registry.Denied) {
		t.Errorf("an enforcement point: %v", err)
	}
}
