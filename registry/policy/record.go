package policy

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/writ-registry/writ/internal/canon"
	"github.com/writ-registry/writ/internal/trace"
	"github.com/writ-registry/writ/registry"
)

// foldFor is how long repeats of a denial fold into its event.
const foldFor = 24 * time.Hour

// record consumes the proof and, where the decision is qualified, writes its
// event, in one transaction. The authority epochs are read again inside it. An
// unqualified permit whose proof the memory has spent needs no transaction: the
// epochs are read again after that.
func (p *PDP) record(ctx context.Context, call registry.Call, req Request, f *facts, d Decision, digest string) (Decision, error) {
	if f.agent == nil {
		// Nobody's act: counted by the caller, never logged.
		d.Qualified, d.QualifiedBy = false, nil
		return d, nil
	}
	u, err := p.spend(ctx, call.Caller, f, d, digest)
	if err != nil {
		return Decision{}, err
	}
	if u.enough {
		if err := p.stands(ctx, f); err != nil {
			return Decision{}, err
		}
		return d, nil
	}
	ctx, span := trace.Start(ctx, "record")
	span.Attr("writ.org", f.agent.Org)
	span.Attr("writ.agent", f.agent.ID)
	out, err := p.commit(ctx, call, req, f, d, digest, u)
	if out.Event != nil {
		span.Attr("writ.event", out.Event.CID)
	}
	span.End(err)
	return out, err
}

func (p *PDP) commit(ctx context.Context, call registry.Call, req Request, f *facts, d Decision, digest string, u use) (Decision, error) {
	draft, err := p.draft(call, req, f, d)
	if err != nil {
		return Decision{}, err
	}
	out := d
	_, err = p.Store.Commit(ctx, registry.Command{Basis: u.basis(f), Run: func(tx registry.Tx) (registry.Draft, error) {
		out = d
		if again, err := repeated(tx, call.Caller, f, d, digest, u); err != nil || again != nil {
			if again != nil {
				out = *again
			}
			return registry.Draft{}, err
		}
		if err := f.reserve(tx, d); err != nil {
			return registry.Draft{}, err
		}
		used, err := f.useApproval(tx, d, draft)
		if err == nil && d.Verdict == Permit && f.tallied() {
			err = tx.CountAct(f.agent.ID, f.entry.Action, f.now)
		}
		if err != nil {
			return registry.Draft{}, err
		}
		fold := f.foldKey(d)
		if fold != "" {
			switch first, err := tx.Fold(fold); {
			case err == nil:
				var recorded Decision
				if err := json.Unmarshal(first, &recorded); err != nil {
					return registry.Draft{}, err
				}
				// The event is the first one's; what is said of this act is its own.
				out.ID, out.Event, out.Folded = recorded.ID, recorded.Event, true
				return registry.Draft{}, f.consume(tx, call.Caller, digest, out)
			case !errors.Is(err, registry.NotFound):
				return registry.Draft{}, err
			}
		}
		dr := registry.Draft{Sequenced: func(tx registry.Tx, refs []registry.EventRef) error {
			if len(refs) > 0 {
				out.Event = &refs[0]
			}
			if fold != "" {
				raw, err := json.Marshal(out)
				if err != nil {
					return err
				}
				if err := tx.InsertFold(fold, raw, f.now.Add(foldFor).UnixMilli()); err != nil {
					return err
				}
			}
			return errors.Join(f.keep(tx, out), f.consume(tx, call.Caller, digest, out))
		}}
		if d.Qualified {
			dr.Events = append([]registry.EventDraft{draft}, used...)
		}
		return dr, nil
	}})
	return out, err
}

// repeated finds an earlier use of the proof. The same caller with the same
// body gets the recorded answer, unless that was a permit and authority has
// moved since; anyone else, and an agent for itself, is refused.
func repeated(tx registry.Tx, c registry.Caller, f *facts, now Decision, digest string, u use) (*Decision, error) {
	if f.proof.code != "" || u.vouched(f) {
		return nil, nil
	}
	use, err := tx.ProofUse(f.proof.thumbprint, f.proof.jti)
	if errors.Is(err, registry.NotFound) {
		return u.unrecorded(c, f, now)
	} else if err != nil {
		return nil, err
	}
	if c.PEP == nil || use.Caller != callerKey(c) || use.Digest != digest {
		return nil, errReplayed
	}
	var d Decision
	if err := json.Unmarshal(use.Answer, &d); err != nil {
		return nil, err
	}
	if d.Verdict == Permit && !slices.Equal(d.Epochs, f.epochs) || d.Observed && !now.Observed {
		return nil, errReplayed
	}
	d.Repeated = true
	return &d, nil
}

// consume spends the proof: (key thumbprint, jti) is unique.
func (f *facts) consume(tx registry.Tx, c registry.Caller, digest string, d Decision) error {
	if f.proof.code != "" {
		return nil // nothing was proven, so nothing is spent
	}
	raw, err := json.Marshal(d)
	if err != nil {
		return err
	}
	// Kept past the proof's own end by the clock skew that verifiers allow.
	err = tx.ConsumeProof(registry.ProofUse{
		Thumbprint: f.proof.thumbprint, JTI: f.proof.jti, Caller: callerKey(c), Digest: digest, Answer: raw,
		Expires: f.proof.expires.Add(2 * time.Minute).UnixMilli(),
	})
	if errors.Is(err, registry.Conflict) {
		return registry.ErrEpochMoved // by another at once: judged again, repeated finds its answer
	}
	return err
}

func callerKey(c registry.Caller) string { return string(c.Kind) + ":" + c.ID }

// foldKey names the denials that are one event: same agent, action, reasons
// and authority epochs. What was not proven folds whatever it asked for, so
// that nobody fills an agent's sequence with acts it never signed.
func (f *facts) foldKey(d Decision) string {
	if d.Verdict != Deny {
		return ""
	}
	parts := []string{f.agent.ID, f.recordedAction(), PolicyDigest}
	for _, r := range d.Reasons {
		parts = append(parts, string(r.Code))
	}
	for _, e := range f.epochs {
		parts = append(parts, e.Scope.Key(), strconv.FormatUint(e.Value, 10))
	}
	return canon.Digest([]byte(strings.Join(parts, "\x00")))
}

func (f *facts) recordedAction() string {
	if f.proof.code != "" {
		return ""
	}
	return f.entry.Action
}

// namedEpochs are the epochs by the names that a decision's event has them under.
func (f *facts) namedEpochs() map[string]registry.Epoch {
	out := make(map[string]registry.Epoch, len(f.epochs))
	ancestors, delegators := 0, 0
	for _, e := range f.epochs {
		name := string(e.Scope.Kind)
		switch {
		case e.Scope.Kind != registry.ScopeAgent || f.agent == nil || e.Scope.ID == f.agent.ID:
		case slices.Contains(f.agent.Ancestors, e.Scope.ID):
			ancestors++
			name = "ancestor_" + strconv.Itoa(ancestors)
		default: // or an ancestor of one
			delegators++
			name = "delegator_" + strconv.Itoa(delegators)
		}
		out[name] = e
	}
	return out
}

// kept is what of the context is kept with a decision; nil: there is none.
func (x Context) kept() map[string]string {
	if x.Domain == "" && x.Workflow == "" && x.Tool == "" {
		return nil
	}
	out := map[string]string{"domain": x.Domain, "workflow": x.Workflow}
	if x.Tool != "" {
		out["tool"] = x.Tool
	}
	return out
}

// draft makes the decision's event: digests and commitments in the artifact,
// what they commit to beside it.
func (p *PDP) draft(call registry.Call, req Request, f *facts, d Decision) (registry.EventDraft, error) {
	args := req.Act.Arguments
	if len(args) == 0 {
		args = json.RawMessage("{}")
	}
	hidden := []struct {
		name  string
		value any
	}{
		{"payload", map[string]any{"arguments": args, "task": req.Act.Task}},
		{"resource", req.Act.Resource},
	}
	if x := req.Context.kept(); x != nil {
		hidden = append(hidden, struct {
			name  string
			value any
		}{"context", x})
	}
	if f.proof.code == "" {
		hidden = append(hidden, struct {
			name  string
			value any
		}{"proof", req.Proof}, struct {
			name  string
			value any
		}{"token", f.chain.Leaf().Raw()})
		if above := f.chain.Above(); len(above) > 0 {
			hidden = append(hidden, struct {
				name  string
				value any
			}{"chain", above})
		}
	}
	if d.Approval != "" {
		hidden = append(hidden, struct {
			name  string
			value any
		}{"approvals", f.approval.signed})
	}
	if len(f.budgets) > 0 {
		hidden = append(hidden, struct {
			name  string
			value any
		}{"budgets", f.budgets})
	}
	if f.tallied() {
		hidden = append(hidden, struct {
			name  string
			value any
		}{"counts", f.counts})
	}
	body := registry.DecisionMade{
		Decision: d.ID, DID: f.agent.DID, ProofHash: f.proof.hash, Audience: f.proof.audience,
		Action: f.recordedAction(), Verdict: string(d.Verdict), Reasons: []string{}, QualifiedBy: append([]string{}, d.QualifiedBy...),
		PolicyDigest: d.PolicyDigest, CatalogueDigest: f.catalogue.Digest, Epochs: map[string]int64{}, Commitments: map[string]string{},
		Folds: d.Verdict == Deny, Approval: d.Approval, Observed: d.Observed,
	}
	if d.Approval != "" {
		body.Approvers = f.approval.approvers
	}
	ev := registry.EventDraft{Type: registry.EventDecision, Org: f.agent.Org, Agent: f.agent.ID, Actor: call.Caller.Actor, Trace: call.Trace}
	if call.Caller.PEP != nil {
		body.PEP = call.Caller.PEP.ID
	} else {
		ev.Actor = registry.Actor{Kind: registry.ActorAgent, ID: f.agent.ID}
	}
	if f.grant != nil {
		body.Grant, body.TokenHash = f.grant.ID, f.grant.TokenHash
		if f.chain != nil && f.grant.Issued(f.chain.Root().Hash()) {
			body.TokenHash = f.chain.Leaf().Hash() // of a chain, or one for an earlier key
		}
	}
	for _, r := range d.Reasons {
		body.Reasons = append(body.Reasons, string(r.Code))
	}
	for name, e := range f.namedEpochs() {
		body.Epochs[name] = int64(e.Value)
	}
	for _, h := range hidden {
		dis, commitment, err := canon.Commit(h.name, h.value)
		if err != nil {
			return ev, err
		}
		body.Commitments[h.name] = commitment
		ev.Disclosures = append(ev.Disclosures, dis)
	}
	var err error
	ev.Body, err = registry.SealBody(body)
	return ev, err
}
