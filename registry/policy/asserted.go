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
	"github.com/writ-registry/writ/registry/cedar"
)

// Context keys that let an enforcement point assert properties.
const (
	AssertSubject  = "subject.properties"
	AssertResource = "resource.properties"
)

// isDID: the subject says that it is an agent, so that it must prove it, whatever
// type it is given.
func isDID(id string) bool { return len(id) >= 4 && strings.EqualFold(id[:4], "did:") }

// orgStanding is what decisions of an org about others than agents stand on, read in
// one snapshot. Nobody changes it.
type orgStanding struct {
	*tenant
	authority uint64
	kills     []registry.Kill
	epochs    []registry.Epoch // global, org
}

// orgStanding remembers as standings do, and believes it as long.
func (p *PDP) orgStanding(ctx context.Context, org string) (*orgStanding, registry.Moment, error) {
	m, err := p.Store.Moment(ctx, maxFactAge/2)
	if err != nil {
		return nil, m, err
	}
	old, known := p.orgs.GetIfPresent(org)
	if known && old.authority == m.Authority {
		return old, m, nil
	}
	s := &orgStanding{}
	read := time.Now()
	err = p.Store.View(ctx, func(tx registry.Tx) error {
		if m, err = tx.Moment(); err != nil {
			return err
		}
		*s = orgStanding{authority: m.Authority}
		if s.epochs, s.kills, err = tx.Authority([]registry.Scope{{Kind: registry.ScopeGlobal}, {Kind: registry.ScopeOrg, ID: org}}); err != nil {
			return err
		}
		if known && slices.Equal(s.epochs, old.epochs) { // it was another's authority that moved
			s.tenant = old.tenant
			return nil
		}
		s.tenant, err = p.standings.tenant(tx, org, m.Authority)
		return err
	})
	if err != nil {
		return nil, m, err
	}
	m.Read = read
	p.orgs.Set(org, s)
	return s, m, nil
}

// decideAsserted decides about a subject that is no agent, on the word of an
// enforcement point: what the org's policies permit, and do not forbid. A permit of
// no consequence leaves no event; all else is recorded first.
func (p *PDP) decideAsserted(ctx context.Context, call registry.Call, req Request) (Decision, error) {
	pep := call.Caller.PEP
	if pep == nil {
		return Decision{ID: registry.NewIDAt(p.Now()), Verdict: Deny, Reasons: []Reason{{Code: SubjectUnsupported}}, PolicyDigest: PolicyDigest}, nil
	}
	id := registry.NewIDAt(p.Now())
	for range attempts {
		f, reasons, err := p.assertedFacts(ctx, *pep, req)
		if errors.Is(err, registry.ErrEpochMoved) {
			continue
		} else if err != nil {
			return Decision{}, err
		}
		d := judgeAsserted(f, reasons)
		d.ID = id
		if p.evaluated != nil {
			p.evaluated()
		}
		if !d.Qualified {
			if p.Ready != nil {
				if err := p.Ready(); err != nil {
					return Decision{}, &registry.Error{Kind: registry.Unavailable, Detail: "the registry is not ready to permit anything", Err: err}
				}
			}
			if time.Since(f.read) <= maxFactAge {
				return d, nil
			}
			continue
		}
		d, err = p.recordAsserted(ctx, call, req, f, d)
		if errors.Is(err, registry.ErrEpochMoved) {
			continue
		}
		return d, err
	}
	return Decision{}, registry.Errorf(registry.Unavailable, "authority keeps changing; try again shortly")
}

// assertedFacts gathers the facts of one moment, and what the org's policies say of
// them.
func (p *PDP) assertedFacts(ctx context.Context, pep registry.PEP, req Request) (*facts, []Reason, error) {
	s, m, err := p.orgStanding(ctx, pep.Org)
	if err != nil {
		return nil, nil, err
	}
	f := &facts{
		standing: &standing{authority: s.authority, org: s.org, catalogue: s.catalogue, kills: s.kills, epochs: s.epochs, rules: s.rules},
		now:      p.Now(), read: m.Read, act: req.Act, context: req.Context, pep: &pep,
	}
	if m.Clock.After(f.now) {
		f.now = m.Clock
	}
	f.entry = f.catalogue.Entry(req.Act.Action + ":" + req.Act.Resource.Type)
	list, groups, err := p.entities.of(ctx, p.Store, f.orgEpoch(), registry.EntityRef{Type: req.SubjectType, ID: req.Subject}, registry.EntityRef(req.Act.Resource))
	reasons, err := f.asked(list, groups, err)
	return f, reasons, err
}

// asked is what the org's policies say of a subject and a resource, which are list,
// and in groups; err is that of looking for them.
func (f *facts) asked(list []*entity, groups []*cedar.Entity, err error) ([]Reason, error) {
	switch {
	case errors.Is(err, errGroups):
		return []Reason{{PolicyError, "the subject or resource is in too many groups"}}, nil
	case err != nil:
		return nil, err
	case list[0].agent:
		return []Reason{{PossessionFailed, "missing: an agent is asked about by its DID, with its proof"}}, nil
	case f.rules.broken:
		return []Reason{{PolicyError, "the policies cannot be read"}}, nil
	case f.rules.set == nil:
		return []Reason{{PolicyNoPermit, "there are no policies"}}, nil
	}
	ask := cedar.Request{Principal: list[0].cedar, Resource: list[1].cedar, Groups: groups, Action: f.entry.Action, Context: f.circumstances()}
	if ask.Principal, err = f.asserted(AssertSubject, ask.Principal, f.context.Subject); err != nil {
		return nil, err
	}
	if ask.Resource, err = f.asserted(AssertResource, ask.Resource, f.context.Resource); err != nil {
		return nil, err
	}
	found, err := f.rules.set.Evaluate(ask)
	reasons := narrowed(found, err)
	if err == nil && len(found.Permitted) == 0 {
		reasons = append(reasons, Reason{Code: PolicyNoPermit})
	}
	return inOrder(reasons), nil
}

// asserted adds what the enforcement point says of an entity and the org does not, if
// the point may. If it may not, nothing is said: such points are met in the wild.
func (f *facts) asserted(key string, e *cedar.Entity, properties json.RawMessage) (*cedar.Entity, error) {
	if len(properties) == 0 || !slices.Contains(f.pep.ContextKeys, key) {
		return e, nil
	}
	out, err := e.With(properties)
	if err != nil {
		field, _, _ := strings.Cut(key, ".")
		return nil, registry.Invalid("/"+field+"/properties", "must be a JSON object")
	}
	return out, nil
}

// inOrder puts a demand for approval behind what denies.
func inOrder(reasons []Reason) []Reason {
	slices.SortStableFunc(reasons, func(a, b Reason) int {
		last := func(r Reason) int {
			if r.Code == ApprovalRequired {
				return 1
			}
			return 0
		}
		return last(a) - last(b)
	})
	return reasons
}

// judgeAsserted weighs the facts about a subject that is no agent. It is pure.
func judgeAsserted(f *facts, policies []Reason) Decision {
	d := Decision{Verdict: Permit, Reasons: []Reason{}, PolicyDigest: f.policyDigest(), Epochs: f.epochs, Asserted: true}
	for _, k := range f.kills {
		code := KillGlobal
		if k.Scope.Kind == registry.ScopeOrg {
			code = KillOrg
		}
		d.Reasons = append(d.Reasons, Reason{code, k.Reason})
	}
	for _, c := range [][2]string{{"domain", f.context.Domain}, {"workflow", f.context.Workflow}} {
		if c[1] != "" && !slices.Contains(f.pep.ContextKeys, c[0]) {
			d.Reasons = append(d.Reasons, Reason{ContextRefused, c[0]})
		}
	}
	d.Reasons = slices.Concat(d.Reasons, checkTool(f), policies, checkReversibility(f))
	d.Observed = f.observed(d.Reasons)
	for _, r := range d.Reasons {
		if d.Observed {
			break
		}
		if r.Code != ApprovalRequired {
			d.Verdict = Deny
		} else if d.Verdict == Permit {
			d.Verdict = StepUp
		}
	}
	d.QualifiedBy = qualifiedBy(f, d)
	d.Qualified = len(d.QualifiedBy) > 0
	return d
}

// recordAsserted writes the event of a decision. A denial that was recorded before
// is counted there.
func (p *PDP) recordAsserted(ctx context.Context, call registry.Call, req Request, f *facts, d Decision) (Decision, error) {
	ctx, span := trace.Start(ctx, "record")
	span.Attr("writ.org", f.org.ID)
	draft, err := assertedDraft(call, req, f, d)
	if err != nil {
		span.End(err)
		return Decision{}, err
	}
	fold := ""
	if d.Verdict == Deny {
		fold = assertedFold(req, f, d)
	}
	out := d
	_, err = p.Store.Commit(ctx, registry.Command{Basis: registry.Basis{Epochs: f.epochs, Authority: f.authority}, Run: func(tx registry.Tx) (registry.Draft, error) {
		out = d
		if fold != "" {
			switch first, err := tx.Fold(fold); {
			case err == nil:
				var recorded Decision
				if err := json.Unmarshal(first, &recorded); err != nil {
					return registry.Draft{}, err
				}
				out.ID, out.Event, out.Folded = recorded.ID, recorded.Event, true
				return registry.Draft{}, nil
			case !errors.Is(err, registry.NotFound):
				return registry.Draft{}, err
			}
		}
		return registry.Draft{Events: []registry.EventDraft{draft}, Sequenced: func(tx registry.Tx, refs []registry.EventRef) error {
			out.Event = &refs[0]
			if fold == "" {
				return nil
			}
			raw, err := json.Marshal(out)
			if err != nil {
				return err
			}
			return tx.InsertFold(fold, raw, f.now.Add(foldFor).UnixMilli())
		}}, nil
	}})
	if out.Event != nil {
		span.Attr("writ.event", out.Event.CID)
	}
	span.End(err)
	return out, err
}

// assertedFold names the denials that are one event: same enforcement point,
// subject, action, reasons and authority epochs.
func assertedFold(req Request, f *facts, d Decision) string {
	parts := []string{"asserted", f.pep.ID, req.SubjectType, req.Subject, f.entry.Action, d.PolicyDigest}
	for _, r := range d.Reasons {
		parts = append(parts, string(r.Code))
	}
	for _, e := range f.epochs {
		parts = append(parts, e.Scope.Key(), strconv.FormatUint(e.Value, 10))
	}
	return canon.Digest([]byte(strings.Join(parts, "\x00")))
}

// assertedDraft makes the decision's event: who and what it is about is in
// commitments only.
func assertedDraft(call registry.Call, req Request, f *facts, d Decision) (registry.EventDraft, error) {
	args := req.Act.Arguments
	if len(args) == 0 {
		args = json.RawMessage("{}")
	}
	subject := map[string]any{"type": req.SubjectType, "id": req.Subject}
	resource := map[string]any{"type": req.Act.Resource.Type, "id": req.Act.Resource.ID}
	for _, x := range []struct {
		key  string
		of   map[string]any
		said json.RawMessage
	}{{AssertSubject, subject, req.Context.Subject}, {AssertResource, resource, req.Context.Resource}} {
		if len(x.said) > 0 && slices.Contains(f.pep.ContextKeys, x.key) {
			x.of["properties"] = x.said
		}
	}
	hidden := map[string]any{"subject": subject, "payload": map[string]any{"arguments": args, "task": req.Act.Task}, "resource": resource}
	if x := req.Context.kept(); x != nil {
		hidden["context"] = x
	}
	body := registry.AssertedDecision{
		Decision: d.ID, PEP: f.pep.ID, Action: f.entry.Action, Verdict: string(d.Verdict), Reasons: []string{}, QualifiedBy: append([]string{}, d.QualifiedBy...),
		PolicyDigest: d.PolicyDigest, CatalogueDigest: f.catalogue.Digest, Epochs: map[string]int64{}, Commitments: map[string]string{}, Folds: d.Verdict == Deny, Observed: d.Observed,
	}
	for _, r := range d.Reasons {
		body.Reasons = append(body.Reasons, string(r.Code))
	}
	for _, e := range f.epochs {
		body.Epochs[string(e.Scope.Kind)] = int64(e.Value)
	}
	ev := registry.EventDraft{Type: registry.EventAssertedDecision, Org: f.org.ID, Actor: call.Caller.Actor, Trace: call.Trace}
	for name, value := range hidden {
		dis, commitment, err := canon.Commit(name, value)
		if err != nil {
			return ev, &registry.Error{Kind: registry.Malformed, Detail: "the request cannot be recorded: " + err.Error(), Err: err}
		}
		body.Commitments[name] = commitment
		ev.Disclosures = append(ev.Disclosures, dis)
	}
	var err error
	ev.Body, err = registry.SealBody(body)
	return ev, err
}
