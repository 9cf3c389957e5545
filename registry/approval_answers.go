package registry

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/writ-registry/writ/internal/canon"
	"github.com/writ-registry/writ/internal/jose"
	"github.com/writ-registry/writ/registry/capability"
)

// glassQuorum is how many humans approve past a rule.
const glassQuorum = 2

// NewAnswer is a human's answer. A yes is signed over the SHA-256 of the statement that
// was shown: by a key of the human's own (Signature), or by a passkey whose challenge it
// is (Assertion). A no needs no signature.
type NewAnswer struct {
	Verdict    string // capability.Approve | capability.Refuse
	Reason     string
	BreakGlass bool            // past the rule: two owners of the org, or operators, with reasons
	Signature  string          // approval+jwt
	Assertion  json.RawMessage // AuthenticationResponseJSON

	by     string
	parsed *capability.Approval
}

// read looks at the shape of an answer.
func (in *NewAnswer) read(c Caller) error {
	in.by = c.ID
	signed := in.Signature != "" || len(in.Assertion) > 0
	switch {
	case c.Kind != ActorPrincipal:
		return Errorf(Denied, "only humans approve")
	case in.Verdict != capability.Approve && in.Verdict != capability.Refuse:
		return Invalid("/verdict", "must be approve or deny")
	case in.Verdict == capability.Approve && !signed:
		return Invalid("/signature", "is required to approve, or an assertion")
	case in.Signature != "" && len(in.Assertion) > 0:
		return Invalid("/assertion", "a signature or an assertion, not both")
	case in.Verdict == capability.Refuse && len(in.Assertion) > 0:
		return Invalid("/assertion", "a passkey signs what is approved; a refusal needs no signature")
	case in.BreakGlass && (in.Verdict != capability.Approve || strings.TrimSpace(in.Reason) == ""):
		return Invalid("/reason", "who approves past the rule says why")
	}
	if err := checkText("/reason", in.Reason, maxText, false); err != nil {
		return err
	}
	if in.Signature == "" {
		return nil
	}
	var err error
	if in.parsed, err = capability.ParseApproval(in.Signature); err != nil {
		return proofError("/signature", err)
	}
	return nil
}

// handle names the authenticator that signed.
func (in *NewAnswer) handle() (string, error) {
	if in.parsed != nil {
		iss := in.parsed.Claims().Issuer
		return iss[strings.LastIndexByte(iss, ':')+1:], nil
	}
	var shown struct {
		ID string `json:"id"`
	}
	if err := canon.UnmarshalOpen(in.Assertion, &shown); err != nil || shown.ID == "" {
		return "", Invalid("/assertion/id", "is no credential id")
	}
	return shown.ID, nil
}

// AnswerApproval records what a human says, and what comes of it.
func (r *Registry) AnswerApproval(ctx context.Context, call Call, id string, in NewAnswer) (Outcome[Approval], error) {
	if err := checkID("/approval", id); err != nil {
		return Outcome[Approval]{}, errNoApproval
	}
	if err := in.read(call.Caller); err != nil {
		return Outcome[Approval]{}, err
	}
	out, err := commitDraft(ctx, r, call, false, func(tx Tx) (Approval, Draft, error) {
		a, err := tx.Approval(id)
		if err == nil {
			err = call.Caller.answers(a, in.BreakGlass)
		}
		now, clockErr := r.clock(tx)
		switch {
		case errors.Is(err, NotFound):
			return a, Draft{}, errNoApproval
		case err != nil || clockErr != nil:
			return a, Draft{}, errors.Join(err, clockErr)
		case a.State != ApprovalPending || a.over(now):
			return a, Draft{}, &Error{Kind: Conflict, Code: "approval_closed", Detail: "it is not pending any more"}
		}
		p, err := tx.Principal(call.Caller.ID)
		if err == nil {
			err = eligible(tx, a, p, in.BreakGlass)
		}
		if err == nil && a.Rule.ReasonRequired && strings.TrimSpace(in.Reason) == "" {
			err = Invalid("/reason", "the rule wants a reason")
		}
		if err == nil && slices.ContainsFunc(a.Answers, func(x Answer) bool { return x.Principal == p.ID }) {
			err = &Error{Kind: Conflict, Code: "answered_already", Detail: "one human answers once"}
		}
		if err != nil {
			return a, Draft{}, err
		}
		return r.answer(tx, a, in, now)
	})
	if err == nil {
		r.waiting.wake(id)
	}
	return out, err
}

// answers lets the humans of the orgs that may approve pass, and for the breaking of
// glass operators; to others there is no such approval.
func (c Caller) answers(a Approval, glass bool) error {
	if c.Kind == ActorPrincipal && (slices.Contains(a.Orgs(), c.Org) || glass && c.Operator()) {
		return nil
	}
	return errNoApproval
}

// eligible says whether a human may approve: active, in the role of the rule by an act
// inside the registry, and not who answers for the agent. It is asked at the answer and
// again when the approval is used.
func eligible(tx Tx, a Approval, p Principal, glass bool) error {
	refuse := func(code, detail string) error { return &Error{Kind: Denied, Code: code, Detail: detail} }
	agent, err := tx.Agent(a.Agent)
	if err != nil {
		return err
	}
	sponsors := []string{agent.Sponsor}
	for _, id := range agent.Ancestors {
		parent, err := tx.Agent(id)
		if err != nil {
			return err
		}
		sponsors = append(sponsors, parent.Sponsor)
	}
	switch {
	case p.Status != PrincipalActive:
		return refuse("approver_suspended", "the human is suspended or has left")
	case slices.Contains(sponsors, p.ID):
		return refuse("approver_sponsor", "who answers for the agent, or for one that it descends from, does not approve its acts")
	case a.By.Kind == ActorPrincipal && a.By.ID == p.ID:
		return refuse("approver_requester", "who asked does not approve")
	case glass && !p.holds(RoleOperator) && (p.Org != a.Org || !p.holds(RoleOwner)):
		return refuse("approver_role", "owners of the org and operators approve past the rule")
	case !glass && !p.holds(a.Rule.Role):
		return refuse("approver_role", "needs the role "+string(a.Rule.Role))
	case !glass && !slices.Contains(a.Orgs(), p.Org):
		return refuse("approver_org", "the rule does not let humans of this org approve")
	}
	return nil
}

func (r *Registry) answer(tx Tx, a Approval, in NewAnswer, now time.Time) (Approval, Draft, error) {
	ans := Answer{Principal: in.by, Verdict: in.Verdict, Reason: in.Reason, BreakGlass: in.BreakGlass, Signature: in.Signature, Time: now}
	_, statement, err := a.StatementOf(in.BreakGlass)
	if err == nil && (in.parsed != nil || len(in.Assertion) > 0) {
		var k Authenticator
		if k, ans.Hash, err = r.signed(tx, a, in, statement); err == nil {
			ans.Authenticator = k.ID
		}
	}
	if err != nil {
		return a, Draft{}, err
	}
	if len(in.Assertion) > 0 {
		ans.Signature = string(in.Assertion)
	}
	a.Answers = append(slices.Clone(a.Answers), ans)
	var d Draft
	switch {
	case in.Verdict == capability.Refuse:
		a.State, a.Answered = ApprovalDenied, now
	default:
		glass := a.count(tx, true)
		if a.Glass = glass >= glassQuorum; a.Glass || a.count(tx, false) >= a.Rule.Quorum {
			a.State, a.Answered = ApprovalApproved, now
			a.Until = now.Add(time.Duration(a.Rule.Lifetime) * time.Second)
		}
	}
	ev, err := a.answered(ans, statement)
	if err != nil {
		return a, d, err
	}
	d.Events = append(d.Events, ev)
	if a.Glass {
		d.Events = append(d.Events, EventDraft{Type: EventGlassBroken, Org: a.Org, Agent: a.Agent, Body: GlassBroken{a.ID, a.DID, a.approvers(tx)}})
	}
	return a, d, r.move(tx, a, ApprovalPending)
}

// answered drafts the event: reason and signature are beside it.
func (a Approval) answered(ans Answer, statement string) (EventDraft, error) {
	body := ApprovalAnswered{
		Approval: a.ID, DID: a.DID, Principal: ans.Principal, Verdict: ans.Verdict, BreakGlass: ans.BreakGlass, State: a.State,
		Authenticator: ans.Authenticator, SignatureHash: ans.Hash, Statement: statement, Commitments: map[string]string{},
	}
	if a.State == ApprovalApproved {
		body.Until = a.Until.Format(TimeFormat)
	}
	ev := EventDraft{Type: EventApprovalAnswered, Org: a.Org, Agent: a.Agent}
	for _, hidden := range []struct{ name, value string }{{"reason", ans.Reason}, {"signature", ans.Signature}} {
		dis, commitment, err := canon.Commit(hidden.name, hidden.value)
		if err != nil {
			return ev, err
		}
		body.Commitments[hidden.name], ev.Disclosures = commitment, append(ev.Disclosures, dis)
	}
	ev.Body = body
	return ev, nil
}

// standing are the answers that approve and count now: of distinct humans who may still
// approve, by authenticators that still count. Under one way to approve, by the rule or
// past it, others do not count. What cannot be read does not count.
func (a Approval) standing(tx Tx, glass bool) (out []Answer) {
	for _, ans := range a.Answers {
		if ans.Verdict != capability.Approve || ans.BreakGlass != glass {
			continue
		}
		p, err := tx.Principal(ans.Principal)
		if err == nil {
			err = eligible(tx, a, p, glass)
		}
		k := Authenticator{State: AuthenticatorActive} // of the answer in hand it was looked at just now
		if err == nil && ans.Authenticator != "" {
			k, err = tx.Authenticator(ans.Authenticator)
		}
		if err == nil && k.State == AuthenticatorActive && !slices.ContainsFunc(out, func(x Answer) bool { return x.Principal == ans.Principal }) {
			out = append(out, ans)
		}
	}
	return out
}

func (a Approval) count(tx Tx, glass bool) int { return len(a.standing(tx, glass)) }

func (a Approval) approvers(tx Tx) (out []string) {
	for _, ans := range a.standing(tx, a.Glass) {
		out = append(out, ans.Principal)
	}
	return out
}

// FindApproval returns an approval to the humans who may see it.
func (r *Registry) FindApproval(ctx context.Context, c Caller, id string) (Approval, error) {
	if err := checkID("/approval", id); err != nil {
		return Approval{}, errNoApproval
	}
	a, err := r.findApproval(ctx, id)
	if err == nil {
		err = c.answers(a, true)
	}
	if err == nil && len(c.Roles) == 0 {
		err = Errorf(Denied, "needs a role")
	}
	if err != nil {
		return Approval{}, err
	}
	return a.seen(r.now()), nil
}

// ListApprovals lists what humans of an org may see, oldest first; an empty state: all.
// What time has ended is shown as expired, also among the pending, until that is recorded.
func (r *Registry) ListApprovals(ctx context.Context, c Caller, orgRef string, state ApprovalState, p Page) ([]Approval, error) {
	if !slices.Contains([]ApprovalState{"", ApprovalPending, ApprovalApproved, ApprovalDenied, ApprovalExpired, ApprovalCancelled, ApprovalConsumed}, state) {
		return nil, Invalid("/state", "must be pending, approved, denied, expired, cancelled or consumed")
	}
	return listIn(ctx, r, c, orgRef, p, func(tx Tx, org string, p Page) ([]Approval, error) {
		if err := c.sees(org); err != nil {
			return nil, err
		}
		list, err := tx.ListApprovals(ApprovalFilter{org, state, p})
		for i, a := range list {
			list[i] = a.seen(r.now())
		}
		return list, err
	})
}

// Why an approval that is shown is not good for the act.
const (
	ApprovalUnknown   = "approval_unknown"
	ApprovalWaits     = "approval_pending"
	ApprovalRefused   = "approval_denied"
	ApprovalMismatch  = "approval_mismatch"
	ApprovalTooOld    = "approval_expired"
	ApprovalUsedUp    = "approval_consumed"
	ApprovalApprovers = "approver_gone"
)

// CheckApproval says why an approval is not good for an act now; "" = it is. It reads
// again whether its humans still may: so it is called in the transaction that uses it.
func CheckApproval(tx Tx, id string, act Binding, now time.Time) (a Approval, code string, err error) {
	if checkID("", id) != nil {
		return a, ApprovalUnknown, nil
	}
	a, err = tx.Approval(id)
	switch {
	case errors.Is(err, NotFound) || err == nil && a.Org != act.Org:
		return a, ApprovalUnknown, nil
	case err != nil:
		return a, "", err
	case !a.Binding.covers(act):
		return a, ApprovalMismatch, nil
	case a.State == ApprovalConsumed:
		return a, ApprovalUsedUp, nil
	case a.State == ApprovalDenied:
		return a, ApprovalRefused, nil
	case a.State == ApprovalExpired || a.State == ApprovalCancelled || a.over(now):
		return a, ApprovalTooOld, nil
	case a.State == ApprovalPending:
		return a, ApprovalWaits, nil
	}
	need := a.Rule.Quorum
	if a.Glass {
		need = glassQuorum
	}
	if a.count(tx, a.Glass) < need {
		return a, ApprovalApprovers, nil
	}
	return a, "", nil
}

// Evidence is what a permit keeps of those who approved it.
type Evidence struct {
	Statement string   `json:"statement"`
	Answers   []Answer `json:"answers"`
	// Keys are those that the answers are signed by, by the id of the authenticator; not
	// those of a kind that only this registry can verify.
	Keys map[string]jose.JWK `json:"keys,omitempty"`
}

// ApprovedBy says whose approval it is, and what they signed.
func (a Approval) ApprovedBy(tx Tx) (approvers []string, signed Evidence, err error) {
	statement, _, err := a.StatementOf(a.Glass)
	signed = Evidence{Statement: string(statement), Answers: a.standing(tx, a.Glass), Keys: map[string]jose.JWK{}}
	for _, ans := range signed.Answers {
		approvers = append(approvers, ans.Principal)
		if k, keyErr := tx.Authenticator(ans.Authenticator); keyErr == nil && k.JWK != nil {
			signed.Keys[k.ID] = *k.JWK
		}
	}
	return approvers, signed, err
}

// ConsumeApproval ends an approval that CheckApproval found good, for a decision, and
// drafts the event. Conflict: another was faster.
func ConsumeApproval(tx Tx, a Approval, decision string, approvers []string) (EventDraft, error) {
	a.State, a.Consumer = ApprovalConsumed, decision
	return EventDraft{Type: EventApprovalConsumed, Org: a.Org, Agent: a.Agent, Body: ApprovalUsed{a.ID, a.DID, decision, approvers}},
		tx.UpdateApproval(a, ApprovalApproved)
}
