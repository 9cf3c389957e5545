package policy

import (
	"context"
	"errors"
	"slices"

	"github.com/writ-registry/writ/registry"
)

// approval is what is known of the approval that was shown for an act, in one moment.
// It takes away one reason, that a human must approve; all else is judged as ever. A
// permit that rests on it consumes it in its own transaction.
type approval struct {
	record    registry.Approval
	shown     bool
	code      Code // why it is not good; "" = it is
	approvers []string
	signed    registry.Evidence

	lifts bool // it took the reason away
}

// binding is what an approval of the act must be for.
func (f *facts) binding() (registry.Binding, error) {
	composition, err := registry.CompositionDigest(f.agent.Composition)
	if err != nil {
		return registry.Binding{}, err
	}
	b := registry.Binding{
		Org: f.agent.Org, Agent: f.agent.ID, Composition: composition, Action: f.entry.Action, Type: f.act.Resource.Type, ID: f.act.Resource.ID,
		ActDigest: f.digest, Grant: f.grant.ID, TokenHash: f.chain.Leaf().Hash(), Audience: f.proof.audience, Policy: f.policyDigest(), Catalogue: f.catalogue.Digest,
		Rule: f.org.Approvals.For(f.entry).Digest(),
	}
	if f.pep != nil {
		b.PEP = f.pep.ID
	}
	return b, nil
}

// readApproval finds the approval that was shown.
func (p *PDP) readApproval(ctx context.Context, f *facts, id string) error {
	if id == "" || f.agent == nil || f.grant == nil || f.proof.code != "" {
		return nil // nothing was shown, or the verdict is no
	}
	b, err := f.binding()
	if err != nil {
		return err
	}
	f.approval.shown = true
	return p.Store.View(ctx, func(tx registry.Tx) error {
		a, code, err := registry.CheckApproval(tx, id, b, f.now)
		f.approval.record, f.approval.code = a, Code(code)
		if err == nil && code == "" {
			f.approval.approvers, f.approval.signed, err = a.ApprovedBy(tx)
		}
		return err
	})
}

// ofApproval are the reasons for which a human can be asked.
func ofApproval(c Code) bool {
	switch c {
	case ApprovalRequired, ApprovalUnknown, ApprovalPending, ApprovalDenied, ApprovalMismatch, ApprovalExpired, ApprovalConsumed, ApproverGone:
		return true
	}
	return false
}

// checkApproval says why what was shown is not good. Whether it is needed lift decides.
func checkApproval(f *facts) []Reason {
	if f.approval.shown && f.approval.code != "" {
		return []Reason{{Code: f.approval.code}}
	}
	return nil
}

// lift takes away the reason that a human must approve, where humans have. What is said
// of an approval that nobody needs is not said.
func (a *approval) lift(reasons []Reason) []Reason {
	needed := slices.ContainsFunc(reasons, func(r Reason) bool { return r.Code == ApprovalRequired })
	a.lifts = needed && a.shown && a.code == ""
	return slices.DeleteFunc(reasons, func(r Reason) bool {
		return ofApproval(r.Code) && (a.lifts || !needed)
	})
}

// bind says in a step_up what humans can be asked to approve, and in a permit which
// approval it rests on.
func (f *facts) bind(d *Decision) {
	switch {
	case d.Verdict == StepUp:
		if b, err := f.binding(); err == nil { // else nobody can be asked
			d.Binding = &b
		}
	case d.Verdict == Permit && f.approval.lifts:
		d.Approval = f.approval.record.ID
	}
}

// useApproval uses up the approval of a permit: it must be as it was when the act was
// judged. If it is not, the act is judged again. by is the event of the permit.
func (f *facts) useApproval(tx registry.Tx, d Decision, by registry.EventDraft) ([]registry.EventDraft, error) {
	if d.Approval == "" {
		return nil, nil
	}
	b, err := f.binding()
	if err != nil {
		return nil, err
	}
	record, code, err := registry.CheckApproval(tx, d.Approval, b, f.now)
	if err != nil {
		return nil, err
	}
	approvers, _, err := record.ApprovedBy(tx)
	if err != nil {
		return nil, err
	}
	if code != "" || !slices.Equal(approvers, f.approval.approvers) {
		return nil, registry.ErrEpochMoved
	}
	ev, err := registry.ConsumeApproval(tx, record, d.ID, approvers)
	if errors.Is(err, registry.Conflict) {
		err = registry.ErrEpochMoved // another was faster
	}
	ev.Actor, ev.Trace = by.Actor, by.Trace
	return []registry.EventDraft{ev}, err
}
