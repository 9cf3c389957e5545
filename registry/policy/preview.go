package policy

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/writ-registry/writ/registry"
	"github.com/writ-registry/writ/registry/capability"
	"github.com/writ-registry/writ/registry/cedar"
)

// Preview says what a set of policies would have made of recorded decisions.
type Preview struct {
	Examined int            `json:"examined"`
	Skipped  int            `json:"skipped"` // whose inputs are erased
	Verdicts map[string]int `json:"verdicts" doc:"How many became what: 'permit -> deny'"`
	Changed  []Changed      `json:"changed"`        // newest first
	Next     string         `json:"next,omitempty"` // index to go on before; "" where there is no more
}

// Changed is a recorded decision that would have been another.
type Changed struct {
	Decision string    `json:"decision"`
	CID      string    `json:"cid"`
	Index    uint64    `json:"index"`
	Time     time.Time `json:"time"`
	Action   string    `json:"action"`
	Agent    string    `json:"agent,omitempty"` // its id; "" for a subject that an enforcement point asserted
	Was      Verdict   `json:"was"`
	Would    Verdict   `json:"would"`
	Reasons  []Reason  `json:"reasons"` // of the policies
}

// MaxPreview is how many decisions one Preview looks at, at most.
const MaxPreview = 1000

// Preview judges the newest recorded decisions of an org again, by a set of policies
// that need not hold: the part of policies only, on what the decision kept and on
// what is known now of agents, entities and the catalogue. What other checks said
// stands. Repeats that were folded into a decision are not counted, and permits that
// left no event are not seen. The caller has been allowed to.
func (p *PDP) Preview(ctx context.Context, org string, set *cedar.Set, page registry.Page) (Preview, error) {
	if page.Limit < 1 || page.Limit > MaxPreview {
		return Preview{}, registry.Invalid("/limit", "must be 1 to %d", MaxPreview)
	}
	if n, err := strconv.ParseUint(page.After, 10, 47); page.After != "" && (err != nil || strconv.FormatUint(n, 10) != page.After) {
		return Preview{}, registry.Invalid("/before", "must be the index of an event")
	}
	out := Preview{Verdicts: map[string]int{}, Changed: []Changed{}}
	err := p.Store.View(ctx, func(tx registry.Tx) error {
		out = Preview{Verdicts: map[string]int{}, Changed: []Changed{}}
		catalogue, err := tx.Catalogue(org)
		if err != nil {
			return err
		}
		var events []registry.Event
		for _, typ := range []string{registry.EventDecision, registry.EventAssertedDecision} {
			list, err := tx.ListEvents(registry.EventFilter{Org: org, Type: typ, Newest: true, Page: page})
			if err != nil {
				return err
			}
			events = append(events, list...)
		}
		slices.SortFunc(events, func(a, b registry.Event) int { return int(b.Index) - int(a.Index) })
		if len(events) >= page.Limit {
			events = events[:page.Limit]
			out.Next = strconv.FormatUint(events[page.Limit-1].Index, 10)
		}
		past := past{tx: tx, set: set, catalogue: catalogue}
		for _, e := range events {
			if err := ctx.Err(); err != nil {
				return err
			}
			c, err := past.judge(e)
			switch {
			case errors.Is(err, errErased):
				out.Skipped++
				continue
			case err != nil:
				return err
			}
			out.Examined++
			if c.Was != c.Would {
				out.Verdicts[string(c.Was)+" -> "+string(c.Would)]++
				out.Changed = append(out.Changed, c)
			}
		}
		return nil
	})
	return out, err
}

// past judges what was decided.
type past struct {
	tx        registry.Tx
	set       *cedar.Set
	catalogue registry.Catalogue
}

func (p past) judge(e registry.Event) (Changed, error) {
	r, err := readDecision(p.tx, e)
	if err != nil {
		return Changed{}, err
	}
	out := Changed{Decision: r.Decision, CID: e.CID, Index: e.Index, Time: e.Time, Action: r.Action, Agent: e.Agent, Was: Verdict(r.Verdict), Would: Verdict(r.Verdict), Reasons: []Reason{}}
	if was := r.codes(); slices.Contains(was, PossessionFailed) || slices.Contains(was, GrantUnknown) {
		return out, nil // no policy was asked
	}
	req, err := p.request(r)
	if err != nil {
		return out, err
	}
	var found cedar.Result
	if e.Agent != "" {
		found, err = p.set.Narrow(req)
	} else {
		found, err = p.set.Evaluate(req)
	}
	out.Reasons = append(out.Reasons, narrowed(found, err)...)
	if e.Agent == "" && len(found.Permitted) == 0 {
		out.Reasons = append(out.Reasons, Reason{Code: PolicyNoPermit})
	}
	out.Would = Permit
	all := append(r.others(), codes(out.Reasons)...)
	if r.Observed && !slices.ContainsFunc(all, func(c Code) bool { return !Relaxed(c) }) {
		return out, nil // it still would be observed
	}
	for _, code := range all {
		if code != ApprovalRequired {
			out.Would = Deny
		} else if out.Would == Permit {
			out.Would = StepUp
		}
	}
	return out, nil
}

// others are the reasons that no policy gave.
func (r *recorded) others() (out []Code) {
	for _, code := range r.codes() {
		switch code {
		case PolicyForbid, PolicyError, PolicyNoPermit:
		case ApprovalRequired:
			if slices.Contains(r.QualifiedBy, "irreversible") {
				out = append(out, code)
			}
		default:
			out = append(out, code)
		}
	}
	return out
}

func codes(reasons []Reason) []Code {
	out := make([]Code, len(reasons))
	for i, r := range reasons {
		out[i] = r.Code
	}
	return out
}

// request puts together what the policies were, or would have been, asked.
func (p past) request(r *recorded) (req cedar.Request, err error) {
	e, kept := r.event, r.inputs
	if kept.resource == nil || kept.payload == nil || e.Agent == "" && kept.subject == nil || slices.Contains(r.erased, "context") {
		return req, errErased
	}
	entry := p.catalogue.Entry(r.Action)
	f := &facts{standing: &standing{catalogue: p.catalogue}, now: e.Time, entry: entry, context: kept.context,
		act: capability.Act{Arguments: kept.payload.Arguments, Task: kept.payload.Task}, proof: possession{audience: r.Audience}}
	if r.PEP != "" {
		f.pep = &registry.PEP{ID: r.PEP}
	}
	if kept.counts != nil {
		f.counts = *kept.counts
	}
	req = cedar.Request{Action: r.Action, Context: f.circumstances()}
	read := func(ref registry.EntityRef) (*entity, error) { return readEntity(p.tx, e.Org, ref) }
	resource, err := read(registry.EntityRef{Type: kept.resource.Type, ID: kept.resource.ID})
	if err != nil {
		return req, err
	}
	around := []*entity{resource}
	if e.Agent != "" {
		agent, err := p.tx.Agent(e.Agent)
		if err != nil {
			return req, err
		}
		if req.Principal, req.Groups, err = agentEntity(p.tx, &agent); err != nil && !errors.Is(err, errGroups) {
			return req, err
		}
	} else {
		subject, err := read(registry.EntityRef{Type: kept.subject.Type, ID: kept.subject.ID})
		if err != nil {
			return req, err
		}
		around = append(around, subject)
		if req.Principal, err = subject.cedar.With(kept.subject.Properties); err != nil {
			return req, errErased
		}
	}
	if req.Resource, err = resource.cedar.With(kept.resource.Properties); err != nil {
		return req, errErased
	}
	groups, err := groupsOf(read, around...)
	if errors.Is(err, errGroups) {
		err = nil
	}
	req.Groups = append(req.Groups, groups...)
	return req, err
}
