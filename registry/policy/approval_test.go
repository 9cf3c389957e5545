package policy_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/writ-registry/writ/internal/canon"
	"github.com/writ-registry/writ/registry"
	"github.com/writ-registry/writ/registry/capability"
	"github.com/writ-registry/writ/registry/policy"
	"github.com/writ-registry/writ/registry/registrytest"
)

// payment is a house with an act that needs a human, and who can approve it.
type payment struct {
	*registrytest.House
	agent *registrytest.Agent
	grant registry.Grant
	gate  registry.Call
	ann   *registrytest.Human
}

const amount = `{"amount":900,"to":"ACME"}`

func openPayment(t *testing.T) *payment {
	h := registrytest.New(t)
	h.Catalogue(t, invoices...)
	p := &payment{House: h, agent: h.NewAgent(t, "payer"), gate: h.PEPCall(t), ann: h.Human(t, "", registry.RoleApprover)}
	p.grant = p.agent.Grant(t, "execute:payment; read:invoices")
	return p
}

func (p *payment) ask(t *testing.T, args, approval string) policy.Request {
	req := p.agent.Ask(t, p.grant, "execute", "payment", "p1", args)
	req.Approval = approval
	return req
}

// request asks for the payment, and then the humans.
func (p *payment) request(t *testing.T) registry.Approval {
	t.Helper()
	req := p.ask(t, amount, "")
	a, err := p.RequestFor(t, p.gate, decide(t, p.House, p.gate, req), req)
	if err != nil {
		t.Fatalf("request: %v", err)
	}
	return a
}

func refusal(t *testing.T, err error, code string) {
	t.Helper()
	var e *registry.Error
	if !errors.As(err, &e) || e.Code != code {
		t.Errorf("got %v, want code %s", err, code)
	}
}

// TestApproval: humans approve one act, once, and the permit says who.
func TestApproval(t *testing.T) {
	p := openPayment(t)
	a := p.request(t)
	var s registry.Statement
	if err := canon.Unmarshal([]byte(a.Statement), &s); err != nil || string(s.Act.Arguments) != amount || s.Justification != "the supplier waits" || s.Agent.Name != "payer" {
		t.Errorf("statement %s (%v)", a.Statement, err)
	}
	if again := p.request(t); again.ID != a.ID {
		t.Errorf("asked for twice: %s and %s", a.ID, again.ID)
	}
	if d := decide(t, p.House, p.gate, p.ask(t, amount, a.ID)); d.Verdict != policy.StepUp || !slices.Equal(codes(d), []policy.Code{policy.ApprovalRequired, policy.ApprovalPending}) {
		t.Errorf("before an answer: %+v", d)
	}
	p.ann.Approve(t, a)
	req := p.ask(t, amount, a.ID)
	d := decide(t, p.House, p.gate, req)
	if d.Verdict != policy.Permit || d.Approval != a.ID || !slices.Contains(d.QualifiedBy, "approval") {
		t.Fatalf("approved: %+v", d)
	}
	ev, dis, err := p.FindEvent(t.Context(), p.Operator, d.Event.CID)
	if err != nil {
		t.Fatal(err)
	}
	var artifact struct {
		Body registry.DecisionMade `json:"body"`
	}
	if err := canon.UnmarshalOpen(ev.Artifact, &artifact); err != nil {
		t.Fatal(err)
	}
	if artifact.Body.Approval != a.ID || !slices.Equal(artifact.Body.Approvers, []string{p.ann.ID}) {
		t.Errorf("the permit names %s by %v", artifact.Body.Approval, artifact.Body.Approvers)
	}
	i := slices.IndexFunc(dis, func(d canon.Disclosure) bool { return d.Name == "approvals" })
	if i < 0 {
		t.Fatal("the signatures are not kept")
	}
	var kept registry.Evidence
	if err := json.Unmarshal(dis[i].Value, &kept); err != nil {
		t.Fatal(err)
	}
	signed, err := capability.ParseApproval(kept.Answers[0].Signature)
	if err == nil {
		err = signed.Verify(capability.ApprovalCheck{Key: p.ann.Signer.Public(), Now: p.Clock.Now(), Origin: registrytest.Origin, Approval: a.ID,
			Statement: canon.Digest([]byte(kept.Statement)), Verdict: capability.Approve})
	}
	if err != nil {
		t.Errorf("what is kept does not verify: %v", err)
	}
	if again := decide(t, p.House, p.gate, req); again.Verdict != policy.Permit || !again.Repeated {
		t.Errorf("the very same request has the recorded answer: %+v", again)
	}
	if d := decide(t, p.House, p.gate, p.ask(t, amount, a.ID)); d.Verdict != policy.StepUp || !slices.Contains(codes(d), policy.ApprovalConsumed) {
		t.Errorf("a second time: %+v", d)
	}
	events, err := p.ListEvents(t.Context(), p.Operator, "", p.agent.ID, registry.EventFilter{})
	if err != nil {
		t.Fatal(err)
	}
	var types []string
	for _, e := range events {
		types = append(types, e.Type)
	}
	want := []string{"agent.requested", "agent.approved", "grant.issued", "decision", "approval.requested", "decision", "decision", "approval.answered", "decision", "approval.consumed", "decision"}
	if diff := cmp.Diff(want, types); diff != "" {
		t.Error(diff)
	}
	if d := decide(t, p.House, p.gate, func() policy.Request {
		r := p.agent.Ask(t, p.grant, "read", "invoices", "7", "")
		r.Approval = a.ID
		return r
	}()); d.Verdict != policy.Permit || len(d.Reasons) != 0 || d.Approval != "" {
		t.Errorf("an approval that nobody needs: %+v", d)
	}
}

// TestApprovalRefused is what an approval is not good for.
func TestApprovalRefused(t *testing.T) {
	steady := func(*testing.T, *payment, registry.Approval, *policy.Request) {}
	for name, c := range map[string]struct {
		change func(*testing.T, *payment, registry.Approval, *policy.Request)
		want   policy.Code
	}{
		"unknown": {func(_ *testing.T, _ *payment, _ registry.Approval, r *policy.Request) { r.Approval = registry.NewID() }, policy.ApprovalUnknown},
		"no id":   {func(_ *testing.T, _ *payment, _ registry.Approval, r *policy.Request) { r.Approval = "x" }, policy.ApprovalUnknown},
		"other arguments": {func(t *testing.T, p *payment, a registry.Approval, r *policy.Request) {
			*r = p.ask(t, `{"amount":901,"to":"ACME"}`, a.ID)
		}, policy.ApprovalMismatch},
		"other resource": {func(t *testing.T, p *payment, a registry.Approval, r *policy.Request) {
			*r = p.agent.Ask(t, p.grant, "execute", "payment", "p2", amount)
			r.Approval = a.ID
		}, policy.ApprovalMismatch},
		"other agent": {func(t *testing.T, p *payment, a registry.Approval, r *policy.Request) {
			b := p.NewAgent(t, "other")
			*r = b.Ask(t, b.Grant(t, "execute:payment"), "execute", "payment", "p1", amount)
			r.Approval = a.ID
		}, policy.ApprovalMismatch},
		"other grant": {func(t *testing.T, p *payment, a registry.Approval, r *policy.Request) {
			*r = p.agent.Ask(t, p.agent.Grant(t, "execute:payment"), "execute", "payment", "p1", amount)
			r.Approval = a.ID
		}, policy.ApprovalMismatch},
		"other resource server": {func(t *testing.T, p *payment, a registry.Approval, r *policy.Request) {
			g := p.agent.Grant(t, "execute:payment", func(n *registry.NewGrant) { n.Audience = []string{"https://erp.example", registrytest.Origin} })
			p.gate = p.PEP(t, "erp", []string{"https://erp.example"})
			*r = p.agent.Ask(t, g, "execute", "payment", "p1", amount)
			r.Approval = a.ID
		}, policy.ApprovalMismatch},
		"after the model was swapped": {func(t *testing.T, p *payment, a registry.Approval, r *policy.Request) {
			part := registry.Component{Kind: "model", Name: "m", Digest: strings.Repeat("ab", 32), Source: registry.SourceSponsor}
			if _, err := p.SetComposition(t.Context(), p.Call(), p.agent.ID, registry.NewComposition{Parts: []registry.Component{part}}); err != nil {
				t.Fatal(err)
			}
		}, policy.ApprovalMismatch},
		"after the catalogue changed": {func(t *testing.T, p *payment, _ registry.Approval, _ *policy.Request) {
			p.Catalogue(t, append(slices.Clone(invoices), registry.CatalogueAction{Action: "zap:disk", Reversibility: registry.Irreversible})...)
		}, policy.ApprovalMismatch},
		"after the policy changed": {func(t *testing.T, p *payment, _ registry.Approval, _ *policy.Request) {
			set, err := p.DraftPolicies(t.Context(), p.Call(), registry.HouseOrg, `forbid(principal, action, resource) when { context has workflow && context.workflow == "closing" };`)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := p.ActivatePolicies(t.Context(), p.Call(), registry.HouseOrg, set.Value.Version); err != nil {
				t.Fatal(err)
			}
		}, policy.ApprovalMismatch},
		"after the rule changed": {func(t *testing.T, p *payment, _ registry.Approval, _ *policy.Request) {
			p.rules(t, registry.ApprovalRule{Quorum: 2, Role: registry.RoleApprover, Lifetime: 60})
		}, policy.ApprovalMismatch},
		"after its time": {func(t *testing.T, p *payment, a registry.Approval, r *policy.Request) {
			p.Clock.Add(15 * time.Minute)
			*r = p.ask(t, amount, a.ID)
		}, policy.ApprovalExpired},
		"approver suspended": {func(t *testing.T, p *payment, _ registry.Approval, _ *policy.Request) {
			if _, err := p.SuspendPrincipal(t.Context(), p.Call(), p.ann.ID, "drill"); err != nil {
				t.Fatal(err)
			}
		}, policy.ApproverGone},
		"approver lost the role": {func(t *testing.T, p *payment, _ registry.Approval, _ *policy.Request) {
			if _, err := p.SetRoles(t.Context(), p.Call(), p.ann.ID, []registry.Role{registry.RoleAuditor}); err != nil {
				t.Fatal(err)
			}
		}, policy.ApproverGone},
		"approver's key was lost": {func(t *testing.T, p *payment, _ registry.Approval, _ *policy.Request) {
			if _, err := p.EndAuthenticator(t.Context(), p.ann.Call(), p.ann.ID, p.ann.Authenticator.ID, "lost"); err != nil {
				t.Fatal(err)
			}
		}, policy.ApproverGone},
		"approver became the sponsor": {func(t *testing.T, p *payment, _ registry.Approval, r *policy.Request) {
			if _, err := p.SetSponsor(t.Context(), p.Call(), p.agent.ID, p.ann.ID); err != nil {
				t.Fatal(err)
			}
		}, policy.ApproverGone},
		"of another org": {func(t *testing.T, p *payment, a registry.Approval, r *policy.Request) {
			if _, err := p.CreateOrg(t.Context(), p.Call(), registry.NewOrg{Name: "beta"}); err != nil {
				t.Fatal(err)
			}
			b := p.NewAgent(t, "mole", func(n *registry.NewAgent) { n.Org = "beta"; n.Sponsor = p.Owner(t, "beta").Caller.ID })
			*r = b.Ask(t, b.Grant(t, "execute:payment"), "execute", "payment", "p1", amount)
			r.Approval = a.ID
		}, policy.ApprovalUnknown},
		"good": {steady, ""},
	} {
		t.Run(name, func(t *testing.T) {
			p := openPayment(t)
			a := p.request(t)
			p.ann.Approve(t, a)
			req := p.ask(t, amount, a.ID)
			c.change(t, p, a, &req)
			d := decide(t, p.House, p.gate, req)
			if c.want == "" {
				if d.Verdict != policy.Permit {
					t.Errorf("%+v", d)
				}
				return
			}
			if !slices.Equal(codes(d), []policy.Code{policy.ApprovalRequired, c.want}) || d.Verdict != policy.StepUp {
				t.Errorf("got %s %v, want %s", d.Verdict, codes(d), c.want)
			}
		})
	}
}

// rules makes rules the org's, by two humans.
func (p *payment) rules(t *testing.T, rules ...registry.ApprovalRule) {
	t.Helper()
	out, err := p.ProposeApprovalRules(t.Context(), p.Owner(t, ""), "", rules)
	if err == nil {
		_, err = p.ActivateApprovalRules(t.Context(), p.Owner(t, ""), "", out.Value.Proposed.Digest)
	}
	if err != nil {
		t.Fatalf("rules: %v", err)
	}
}

// TestAllElseIsJudgedAgain: an approval takes one reason away.
func TestAllElseIsJudgedAgain(t *testing.T) {
	p := openPayment(t)
	a := p.request(t)
	p.ann.Approve(t, a)
	if _, err := p.SetKill(t.Context(), p.Call(), registry.Scope{Kind: registry.ScopeAgent, ID: p.agent.ID}, "drill"); err != nil {
		t.Fatal(err)
	}
	if d := decide(t, p.House, p.gate, p.ask(t, amount, a.ID)); d.Verdict != policy.Deny || !slices.Equal(codes(d), []policy.Code{policy.KillAgent}) {
		t.Errorf("stopped: %+v", d)
	}
	if _, err := p.ReleaseKill(t.Context(), p.Call(), registry.Scope{Kind: registry.ScopeAgent, ID: p.agent.ID}, ""); err != nil {
		t.Fatal(err)
	}
	if d := decide(t, p.House, p.gate, p.ask(t, amount, a.ID)); d.Verdict != policy.Permit {
		t.Errorf("a denial has not used the approval up: %+v", d)
	}
}

// TestApproverSuspendedInFlight: who is suspended between the judgement and the commit
// has not approved.
func TestApproverSuspendedInFlight(t *testing.T) {
	p := openPayment(t)
	a := p.request(t)
	p.ann.Approve(t, a)
	policy.BetweenJudgementAndCommit(p.PDP, func() {
		if _, err := p.EndAuthenticator(t.Context(), p.ann.Call(), p.ann.ID, p.ann.Authenticator.ID, "lost"); err != nil {
			t.Error(err)
		}
	})
	if d := decide(t, p.House, p.gate, p.ask(t, amount, a.ID)); d.Verdict != policy.StepUp || !slices.Contains(codes(d), policy.ApproverGone) {
		t.Errorf("%+v", d)
	}
}

// TestApprovalIsGoodOnce: of twenty who show it at once, one is permitted.
func TestApprovalIsGoodOnce(t *testing.T) {
	p := openPayment(t)
	a := p.request(t)
	p.ann.Approve(t, a)
	var wg sync.WaitGroup
	got := make([]policy.Decision, 20)
	for i := range got {
		req := p.ask(t, amount, a.ID)
		wg.Go(func() {
			var err error
			if got[i], err = p.PDP.Decide(t.Context(), p.gate, req); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	permits := 0
	for _, d := range got {
		if d.Verdict == policy.Permit {
			permits++
		} else if !slices.Contains(codes(d), policy.ApprovalConsumed) {
			t.Errorf("%+v", d)
		}
	}
	if permits != 1 {
		t.Errorf("%d permits", permits)
	}
}

// TestAnswers: who may say yes, and how.
func TestAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		rule *registry.ApprovalRule
		try  func(*testing.T, *payment, registry.Approval) error
		code string
	}{
		"an auditor": {nil, func(t *testing.T, p *payment, a registry.Approval) error {
			_, err := p.Human(t, "", registry.RoleAuditor).Answer(t, a, capability.Approve)
			return err
		}, "approver_role"},
		"an owner who is no approver": {nil, func(t *testing.T, p *payment, a registry.Approval) error {
			_, err := p.Human(t, "", registry.RoleOwner).Answer(t, a, capability.Approve)
			return err
		}, "approver_role"},
		"the sponsor": {nil, func(t *testing.T, p *payment, a registry.Approval) error {
			if _, err := p.SetSponsor(t.Context(), p.Call(), p.agent.ID, p.ann.ID); err != nil {
				t.Fatal(err)
			}
			_, err := p.ann.Answer(t, a, capability.Approve)
			return err
		}, "approver_sponsor"},
		"a parent's sponsor": {nil, func(t *testing.T, p *payment, _ registry.Approval) error {
			if _, err := p.SetSpawn(t.Context(), p.Call(), p.agent.ID, registry.Spawn{Depth: 1, Max: 1}); err != nil {
				t.Fatal(err)
			}
			child := p.agent.Child(t, "child")
			if _, err := p.SetSponsor(t.Context(), p.Call(), p.agent.ID, p.ann.ID); err != nil {
				t.Fatal(err)
			}
			req := child.Ask(t, child.Grant(t, "execute:payment"), "execute", "payment", "p1", amount)
			a, err := p.RequestFor(t, p.gate, decide(t, p.House, p.gate, req), req)
			if err != nil {
				t.Fatal(err)
			}
			_, err = p.ann.Answer(t, a, capability.Approve)
			return err
		}, "approver_sponsor"},
		"a suspended human": {nil, func(t *testing.T, p *payment, a registry.Approval) error {
			in := p.ann.Signed(t, a, capability.Approve, false)
			if _, err := p.SuspendPrincipal(t.Context(), p.Call(), p.ann.ID, "drill"); err != nil {
				t.Fatal(err)
			}
			_, err := p.AnswerApproval(t.Context(), p.ann.Call(), a.ID, in)
			return err
		}, "principal_suspended"},
		"twice by one human": {&registry.ApprovalRule{Quorum: 2, Role: registry.RoleApprover, Lifetime: 60}, func(t *testing.T, p *payment, a registry.Approval) error {
			p.ann.Approve(t, a)
			_, err := p.ann.Answer(t, a, capability.Approve)
			return err
		}, "answered_already"},
		"an agent": {nil, func(t *testing.T, p *payment, a registry.Approval) error {
			_, err := p.AnswerApproval(t.Context(), p.agent.Signed(), a.ID, p.ann.Signed(t, a, capability.Approve, false))
			return err
		}, ""},
		"the enforcement point": {nil, func(t *testing.T, p *payment, a registry.Approval) error {
			_, err := p.AnswerApproval(t.Context(), p.gate, a.ID, p.ann.Signed(t, a, capability.Approve, false))
			return err
		}, ""},
		"unsigned": {nil, func(t *testing.T, p *payment, a registry.Approval) error {
			_, err := p.AnswerApproval(t.Context(), p.ann.Call(), a.ID, registry.NewAnswer{Verdict: capability.Approve})
			return err
		}, ""},
		"another's signature": {nil, func(t *testing.T, p *payment, a registry.Approval) error {
			bob := p.Human(t, "", registry.RoleApprover)
			_, err := p.AnswerApproval(t.Context(), p.ann.Call(), a.ID, bob.Signed(t, a, capability.Approve, false))
			return err
		}, "authenticator_unknown"},
		"a no signed for a yes": {nil, func(t *testing.T, p *payment, a registry.Approval) error {
			in := p.ann.Signed(t, a, capability.Refuse, false)
			in.Verdict = capability.Approve
			_, err := p.AnswerApproval(t.Context(), p.ann.Call(), a.ID, in)
			return err
		}, "signature_wrong_act"},
		"signed for another approval": {nil, func(t *testing.T, p *payment, a registry.Approval) error {
			b := a
			b.ID = registry.NewID()
			_, err := p.AnswerApproval(t.Context(), p.ann.Call(), a.ID, p.ann.Signed(t, b, capability.Approve, false))
			return err
		}, "signature_wrong_act"},
		"signed for another statement": {nil, func(t *testing.T, p *payment, a registry.Approval) error {
			b := a
			b.Digest = canon.Digest([]byte("another"))
			_, err := p.AnswerApproval(t.Context(), p.ann.Call(), a.ID, p.ann.Signed(t, b, capability.Approve, false))
			return err
		}, "signature_wrong_act"},
		"signed too long ago": {nil, func(t *testing.T, p *payment, a registry.Approval) error {
			in := p.ann.Signed(t, a, capability.Approve, false)
			p.Clock.Add(time.Minute)
			_, err := p.AnswerApproval(t.Context(), p.ann.Call(), a.ID, in)
			return err
		}, "signature_stale"},
		"by a key that has ended": {nil, func(t *testing.T, p *payment, a registry.Approval) error {
			if _, err := p.EndAuthenticator(t.Context(), p.ann.Call(), p.ann.ID, p.ann.Authenticator.ID, "lost"); err != nil {
				t.Fatal(err)
			}
			_, err := p.ann.Answer(t, a, capability.Approve)
			return err
		}, "authenticator_ended"},
		"after its time": {nil, func(t *testing.T, p *payment, a registry.Approval) error {
			p.Clock.Add(registry.ApprovalWait)
			_, err := p.ann.Answer(t, a, capability.Approve)
			return err
		}, "approval_closed"},
		"after a no": {&registry.ApprovalRule{Quorum: 2, Role: registry.RoleApprover, Lifetime: 60}, func(t *testing.T, p *payment, a registry.Approval) error {
			if _, err := p.ann.Answer(t, a, capability.Refuse); err != nil {
				t.Fatal(err)
			}
			_, err := p.Human(t, "", registry.RoleApprover).Answer(t, a, capability.Approve)
			return err
		}, "approval_closed"},
	} {
		t.Run(name, func(t *testing.T) {
			p := openPayment(t)
			if c.rule != nil {
				p.rules(t, *c.rule)
			}
			a := p.request(t)
			err := c.try(t, p, a)
			if c.code != "" {
				refusal(t, err, c.code)
			} else if !errors.Is(err, registry.Denied) && !errors.Is(err, registry.Malformed) {
				t.Errorf("got %v", err)
			}
			if d := decide(t, p.House, p.gate, p.ask(t, amount, a.ID)); d.Verdict == policy.Permit {
				t.Errorf("permitted all the same: %+v", d)
			}
		})
	}
}

// TestQuorum counts distinct humans, again when the approval is used.
func TestQuorum(t *testing.T) {
	p := openPayment(t)
	p.rules(t, registry.ApprovalRule{Action: "read:*", Quorum: 1, Role: registry.RoleAuditor, Lifetime: 60},
		registry.ApprovalRule{Action: "*:payment", Reversibility: registry.Irreversible, Quorum: 2, Role: registry.RoleApprover, ReasonRequired: true, Lifetime: 60})
	bob := p.Human(t, "", registry.RoleApprover)
	a := p.request(t)
	if a = p.ann.Approve(t, a); a.State != registry.ApprovalPending {
		t.Errorf("one of two: %s", a.State)
	}
	if d := decide(t, p.House, p.gate, p.ask(t, amount, a.ID)); d.Verdict == policy.Permit {
		t.Errorf("one of two: %+v", d)
	}
	in := bob.Signed(t, a, capability.Approve, false)
	in.Reason = " "
	if _, err := p.AnswerApproval(t.Context(), bob.Call(), a.ID, in); !errors.Is(err, registry.Malformed) {
		t.Errorf("without a reason: %v", err)
	}
	if a = bob.Approve(t, a); a.State != registry.ApprovalApproved {
		t.Errorf("two of two: %s", a.State)
	}
	if _, err := p.SuspendPrincipal(t.Context(), p.Call(), bob.ID, "drill"); err != nil {
		t.Fatal(err)
	}
	if d := decide(t, p.House, p.gate, p.ask(t, amount, a.ID)); !slices.Contains(codes(d), policy.ApproverGone) {
		t.Errorf("one of two left: %+v", d)
	}
	if _, err := p.ResumePrincipal(t.Context(), p.Call(), bob.ID, ""); err != nil {
		t.Fatal(err)
	}
	if d := decide(t, p.House, p.gate, p.ask(t, amount, a.ID)); d.Verdict != policy.Permit {
		t.Errorf("two of two: %+v", d)
	}
}

// TestBreakGlass: two humans approve past a rule whose approvers are away.
func TestBreakGlass(t *testing.T) {
	p := openPayment(t)
	p.rules(t, registry.ApprovalRule{Quorum: 5, Role: registry.RoleApprover, Lifetime: 60})
	a := p.request(t)
	olga, otto := p.Human(t, "", registry.RoleOwner), p.Human(t, "", registry.RoleOwner)
	_, err := p.AnswerApproval(t.Context(), p.ann.Call(), a.ID, p.ann.Signed(t, a, capability.Approve, true))
	refusal(t, err, "approver_role")
	in := olga.Signed(t, a, capability.Approve, false)
	in.BreakGlass = true // but she was shown, and signed, the ordinary statement
	_, err = p.AnswerApproval(t.Context(), olga.Call(), a.ID, in)
	refusal(t, err, "signature_wrong_act")
	for _, who := range []*registrytest.Human{olga, otto} {
		out, err := p.AnswerApproval(t.Context(), who.Call(), a.ID, who.Signed(t, a, capability.Approve, true))
		if err != nil {
			t.Fatal(err)
		}
		a = out.Value
	}
	if a.State != registry.ApprovalApproved || !a.Glass {
		t.Errorf("%+v", a)
	}
	alarms, err := p.ListEvents(t.Context(), p.Operator, "", "", registry.EventFilter{Type: registry.EventGlassBroken})
	if err != nil || len(alarms) != 1 {
		t.Errorf("%d alarms, %v", len(alarms), err)
	}
	if d := decide(t, p.House, p.gate, p.ask(t, amount, a.ID)); d.Verdict != policy.Permit {
		t.Errorf("%+v", d)
	}
}

// TestRequests: whoever was told step_up asks, for that very act, and not without end.
func TestRequests(t *testing.T) {
	p := openPayment(t)
	req := p.ask(t, amount, "")
	d := decide(t, p.House, p.gate, req)
	other := req
	other.Act.Arguments = json.RawMessage(`{"amount":1}`)
	_, err := p.RequestFor(t, p.gate, d, other)
	refusal(t, err, "invalid_denial_binding")
	_, err = p.RequestFor(t, p.PEP(t, "second", []string{registrytest.Origin}), d, req)
	refusal(t, err, "invalid_denial_binding")
	_, err = p.RequestFor(t, p.agent.Signed(), d, req)
	refusal(t, err, "invalid_denial_binding")
	forged := d
	forged.ID = registry.NewID() // signed by the registry for the test, of no recorded decision
	_, err = p.RequestFor(t, p.gate, forged, req)
	refusal(t, err, "invalid_denial_binding")

	mine := p.ask(t, amount, "")
	if a, err := p.RequestFor(t, p.agent.Signed(), decide(t, p.House, p.agent.Direct(), mine), mine); err != nil || a.By.ID != p.agent.ID {
		t.Errorf("the agent for itself: %+v, %v", a, err)
	}
	a := p.request(t)
	if _, err := p.ann.Answer(t, a, capability.Refuse); err != nil {
		t.Fatal(err)
	}
	req = p.ask(t, amount, "")
	_, err = p.RequestFor(t, p.gate, decide(t, p.House, p.gate, req), req)
	refusal(t, err, "approval_cooldown")
	p.Clock.Add(registry.ApprovalCoolDown)
	if b := p.request(t); b.ID == a.ID {
		t.Error("what was refused is open again")
	}

	late := p.ask(t, `{"amount":2}`, "")
	d = decide(t, p.House, p.gate, late)
	p.Clock.Add(registry.BindingLife)
	_, err = p.RequestFor(t, p.gate, d, late)
	refusal(t, err, "expired_denial")

	for i := range registry.MaxPendingOfAgent {
		req := p.ask(t, fmt.Sprintf(`{"amount":%d}`, 10+i), "")
		if _, err = p.RequestFor(t, p.gate, decide(t, p.House, p.gate, req), req); err != nil {
			break
		}
	}
	refusal(t, err, "too_many_pending") // two are open from before
}

// TestExpireApprovals: what nobody answered and what nobody used ends without anybody
// asking, once.
func TestExpireApprovals(t *testing.T) {
	p := openPayment(t)
	unused := p.request(t)
	p.ann.Approve(t, unused)
	other := p.ask(t, `{"amount":1}`, "")
	unanswered, err := p.RequestFor(t, p.gate, decide(t, p.House, p.gate, other), other)
	if err != nil {
		t.Fatal(err)
	}
	ended := func() int {
		t.Helper()
		list, err := p.ListEvents(t.Context(), p.Operator, "", "", registry.EventFilter{Type: registry.EventApprovalExpired})
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	expire := func(limit, left int) {
		t.Helper()
		if n, err := p.ExpireApprovals(t.Context(), limit); err != nil || n != left {
			t.Fatalf("%d left, want %d (%v)", n, left, err)
		}
	}
	expire(10, 0)
	if n := ended(); n != 0 {
		t.Fatalf("%d ended before their time", n)
	}
	p.Clock.Add(registry.ApprovalWait)
	expire(1, 1)
	expire(1, 0)
	expire(1, 0)
	if n := ended(); n != 2 {
		t.Errorf("%d events, want 2", n)
	}
	list, err := p.ListApprovals(t.Context(), p.Operator, "", registry.ApprovalExpired, registry.Page{}) // as it is kept
	if err != nil || len(list) != 2 || list[0].ID != unused.ID || list[1].ID != unanswered.ID {
		t.Errorf("%+v (%v)", list, err)
	}
}

// TestWaiting: who waits for an answer is woken by it.
func TestWaiting(t *testing.T) {
	p := openPayment(t)
	a := p.request(t)
	got := make(chan registry.Approval)
	go func() {
		seen, err := p.TrackApproval(t.Context(), p.gate, a.ID, time.Minute)
		if err != nil {
			t.Error(err)
		}
		got <- seen
	}()
	p.ann.Approve(t, a) // before or after the other waits: it is told either way
	if seen := <-got; seen.State != registry.ApprovalApproved {
		t.Errorf("%s", seen.State)
	}
	if _, err := p.TrackApproval(t.Context(), p.PEP(t, "stranger", []string{"https://crm.example"}), a.ID, 0); !errors.Is(err, registry.NotFound) {
		t.Errorf("a stranger: %v", err)
	}
	p.Clock.Add(time.Hour)
	if seen, err := p.TrackApproval(t.Context(), p.gate, a.ID, time.Minute); err != nil || seen.State != registry.ApprovalExpired {
		t.Errorf("after its time: %s, %v", seen.State, err)
	}
	b := p.request(t)
	if out, err := p.CancelApproval(t.Context(), p.gate, b.ID, "not-needed"); err != nil || out.Value.State != registry.ApprovalCancelled {
		t.Errorf("cancelled: %+v, %v", out.Value, err)
	}
	_, err := p.ann.Answer(t, b, capability.Approve)
	refusal(t, err, "approval_closed")
}

// TestWaitingElsewhere: so is who waits at another process.
func TestWaitingElsewhere(t *testing.T) {
	p := openPayment(t)
	a := p.request(t)
	got := make(chan registry.Approval)
	go func() {
		seen, err := p.TrackApproval(t.Context(), p.gate, a.ID, time.Minute)
		if err != nil {
			t.Error(err)
		}
		got <- seen
	}()
	if _, err := registry.New(p.Config).CancelApproval(t.Context(), p.gate, a.ID, ""); err != nil {
		t.Fatal(err)
	}
	if seen := <-got; seen.State != registry.ApprovalCancelled {
		t.Errorf("%s", seen.State)
	}
}
