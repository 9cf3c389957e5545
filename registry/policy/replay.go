package policy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/writ-registry/writ/internal/canon"
	"github.com/writ-registry/writ/registry"
	"github.com/writ-registry/writ/registry/capability"
	"github.com/writ-registry/writ/registry/cedar"
)

// Replay is what a recorded decision would be by what is known now, and what has
// changed since.
type Replay struct {
	Decision string    `json:"decision"`
	CID      string    `json:"cid"`
	Index    uint64    `json:"index"`
	Time     time.Time `json:"time" doc:"When it was recorded; dates are judged by it"`

	Same bool   `json:"same" doc:"The verdict and all reasons are the same"`
	Then Judged `json:"then" doc:"As recorded"`
	Now  Judged `json:"now" doc:"The same inputs at the same time, by the agents, grants, stops, catalogue and policies of now"`
	// AsRecorded tells a change of policies from all others.
	AsRecorded *Judged     `json:"as_recorded,omitempty" doc:"As now, but by the policies of then; where these are others and are kept"`
	Added      []Explained `json:"added" doc:"Reasons that are new"`
	Gone       []Explained `json:"gone" doc:"Reasons that are not there any more"`

	Policies  *Moved       `json:"policies,omitempty" doc:"Policy digests, where they differ"`
	Catalogue *Moved       `json:"catalogue,omitempty" doc:"Catalogue digests, where they differ: of old catalogues only the digest is kept"`
	Epochs    []EpochMoved `json:"epochs" doc:"Authority that has moved since"`
	Partial   bool         `json:"partial,omitempty" doc:"More was recorded since than was looked at for what moved it"`
	Assumed   []string     `json:"assumed,omitempty" doc:"Inputs that were not recorded: tool, counts (none)"`
}

// Judged is a verdict with its reasons and what it was made by.
type Judged struct {
	Verdict         Verdict     `json:"verdict" enum:"permit,deny,step_up"`
	Observed        bool        `json:"observed,omitempty" doc:"A permit under observation, in spite of the reasons"`
	Reasons         []Explained `json:"reasons"`
	PolicyDigest    string      `json:"policy_digest"`
	CatalogueDigest string      `json:"catalogue_digest"`
}

// Moved is a digest that is another.
type Moved struct {
	Then string `json:"then"`
	Now  string `json:"now"`
}

// EpochMoved is an epoch that has moved, with the events of the org that moved it,
// newest first. What the operator or another org did has none here.
type EpochMoved struct {
	Scope  registry.Scope `json:"scope"`
	Then   uint64         `json:"then"`
	Now    uint64         `json:"now"`
	Events []Mover        `json:"events"`
}

// Mover is an event that moved authority.
type Mover struct {
	Type  string    `json:"type"`
	CID   string    `json:"cid"`
	Index uint64    `json:"index"`
	Time  time.Time `json:"time"`
}

// maxMovers bounds how many events after a decision Replay looks at, in each sequence
// that may say what moved.
const maxMovers = 10_000

func notReplayable(why string) error {
	return &registry.Error{Kind: registry.Conflict, Code: "not_replayable", Detail: "not replayable: " + why}
}

// Replay judges a recorded decision again: the inputs that were preserved, at the
// recorded time, by the standing of now. The proof is held against the key that counted
// then by the order of the log, an approval that the permit used up counts as it did.
// It is no decision: nothing is recorded, consumed or given out. Conflict: the inputs
// are erased, or nothing was proven, so that none were kept.
func (p *PDP) Replay(ctx context.Context, e registry.Event) (Replay, error) {
	var out Replay
	err := p.Store.View(ctx, func(tx registry.Tx) error {
		r, err := readDecision(tx, e)
		if err != nil {
			return err
		}
		if err := r.replayable(); err != nil {
			return err
		}
		again := rehearsal{pdp: p, tx: tx, r: r}
		f, d, err := again.judged(nil)
		if err != nil {
			return err
		}
		out = Replay{
			Decision: r.Decision, CID: e.CID, Index: e.Index, Time: e.Time, Same: r.matches(d),
			Then: Judged{Verdict(r.Verdict), r.Observed, r.explained(), r.PolicyDigest, r.CatalogueDigest}, Now: f.judged(d),
			Added: without(explained(d.Reasons), r.explained()), Gone: without(r.explained(), explained(d.Reasons)), Epochs: []EpochMoved{},
			Assumed: again.assumed,
		}
		if r.CatalogueDigest != f.catalogue.Digest {
			out.Catalogue = &Moved{r.CatalogueDigest, f.catalogue.Digest}
		}
		if r.PolicyDigest != d.PolicyDigest {
			out.Policies = &Moved{r.PolicyDigest, d.PolicyDigest}
			then, err := rulesThen(tx, e.Org, r.PolicyDigest)
			if err != nil && !errors.Is(err, registry.NotFound) {
				return err
			}
			if err == nil {
				f, d, err := again.judged(then)
				if err != nil {
					return err
				}
				j := f.judged(d)
				out.AsRecorded = &j
			}
		}
		out.Epochs, out.Partial, err = moved(ctx, tx, r, f)
		return err
	})
	return out, err
}

func (f *facts) judged(d Decision) Judged {
	return Judged{d.Verdict, d.Observed, explained(d.Reasons), d.PolicyDigest, f.catalogue.Digest}
}

// replayable says why the decision cannot be judged again.
func (r *recorded) replayable() error {
	if len(r.erased) > 0 {
		return notReplayable("erased")
	}
	if r.event.Agent != "" && (r.token == "" || r.proof == "") {
		return notReplayable("nothing was proven, so no token and no proof were kept")
	}
	if r.resource == nil || r.payload == nil || r.event.Agent == "" && r.subject == nil {
		return notReplayable("erased")
	}
	return nil
}

// matches reports whether a judgement is the recorded one.
func (r *recorded) matches(d Decision) bool {
	return Verdict(r.Verdict) == d.Verdict && slices.Equal(r.codes(), codes(d.Reasons))
}

// rulesThen are the rules that a decision's policy digest names.
func rulesThen(tx registry.Tx, org, digest string) (*rules, error) {
	version, text, err := policiesOf(tx, org, digest)
	if err != nil || version == 0 {
		return noRules, err
	}
	set, err := cedar.Parse(text)
	if err != nil {
		return &rules{broken: true, digest: digest}, nil
	}
	return &rules{set: set, digest: digest}, nil
}

// rehearsal judges a recorded decision again, in one snapshot.
type rehearsal struct {
	pdp     *PDP
	tx      registry.Tx
	r       *recorded
	assumed []string
}

// judged judges by rules (nil: those of now). A decision was judged between its begin,
// which its id holds, and its record; where these differ, it is the same if it is at
// either.
func (a *rehearsal) judged(by *rules) (*facts, Decision, error) {
	f, d, err := a.at(a.r.event.Time, by)
	if err != nil || a.r.matches(d) {
		return f, d, err
	}
	begun, ok := registry.IDTime(a.r.Decision)
	if !ok || !begun.Before(a.r.event.Time) {
		return f, d, nil
	}
	early, first, err := a.at(begun, by)
	if err == nil && a.r.matches(first) {
		return early, first, nil
	}
	return f, d, err
}

func (a *rehearsal) at(now time.Time, by *rules) (*facts, Decision, error) {
	f := &facts{now: now, act: a.r.act(), context: a.r.context, proof: possession{}}
	if a.r.PEP != "" {
		pep, err := a.tx.PEP(a.r.PEP)
		if err != nil {
			return f, Decision{}, err
		}
		f.pep = &pep
	}
	if a.r.event.Agent == "" {
		return a.asserted(f, by)
	}
	return a.agents(f, by)
}

// agents judges the act of an agent.
func (a *rehearsal) agents(f *facts, by *rules) (*facts, Decision, error) {
	fail := func(err error) (*facts, Decision, error) { return f, Decision{}, err }
	chain, err := a.pdp.chain(a.r.tokens())
	if err != nil {
		return fail(fmt.Errorf("tokens kept with decision %s: %w", a.r.Decision, err))
	}
	proof, err := capability.ParseAction(a.r.proof)
	if err != nil {
		return fail(fmt.Errorf("proof kept with decision %s: %w", a.r.Decision, err))
	}
	if f.digest, err = f.act.Digest(); err != nil {
		return fail(err)
	}
	f.chain = chain
	m, err := a.tx.Moment()
	if err != nil {
		return fail(err)
	}
	f.standing = &standing{authority: m.Authority}
	if err := f.standing.read(a.tx, proof.Claims().Issuer, chain, a.pdp.standings.tenant); err != nil {
		return fail(err)
	}
	if f.agent == nil || f.agent.ID != a.r.event.Agent {
		return fail(fmt.Errorf("decision %s: the proof kept is not its agent's", a.r.Decision))
	}
	if by != nil {
		f.rules, f.principals = by, nil
		if err := f.readPrincipals(a.tx); err != nil {
			return fail(err)
		}
	}
	f.entry = f.catalogue.Entry(a.r.Action)
	a.assumeTool(f)
	if err := a.prove(f, proof); err != nil {
		return fail(err)
	}
	f.findBudgets()
	for i := range f.budgets { // what was taken of them since is not of that moment
		b := &f.budgets[i]
		at := slices.IndexFunc(a.r.budgets, func(was budgeted) bool { return was.Link == b.Link && was.Budget == b.Budget })
		if at < 0 {
			return fail(fmt.Errorf("decision %s: what was left of the budget %s is not kept", a.r.Decision, b.Budget))
		}
		b.Used = a.r.budgets[at].Used
	}
	switch {
	case a.r.counts != nil:
		f.counts = *a.r.counts
	case f.tallied(): // nobody counted then
		a.assumed = append(a.assumed, "counts")
	}
	if err := f.surround(a.tx); err != nil {
		return fail(err)
	}
	if err := a.approve(f); err != nil {
		return fail(err)
	}
	return f, judge(f), nil
}

// prove holds the proof against the key that counted at the decision's place in the log.
func (a *rehearsal) prove(f *facts, proof *capability.Action) error {
	leaf := f.chain.Leaf()
	key := leaf.Key()
	if !f.ephemeral() {
		held, err := registry.SignerOf(a.tx, *f.agent, a.r.proof)
		if err == nil && !held.CountedAt(a.r.event.Index) {
			f.proof.code, f.proof.detail = string(KeyEnded), "the key did not count, as is known now"
			return nil
		}
		if err == nil {
			key, err = held.JWK.PublicKey()
		}
		if err != nil {
			return err
		}
	}
	audiences := leaf.Claims().Audience
	if f.pep != nil {
		audiences = f.pep.Resources
	}
	c := proof.Claims()
	if err := proof.Verify(capability.ActionCheck{
		Key: key, Now: f.now, PDP: a.pdp.Origin, Subject: c.Issuer, TokenHash: leaf.Hash(), Act: f.act, ActDigest: f.digest, Audiences: audiences,
	}); err != nil {
		f.proof.code, f.proof.detail = code(err), err.Error()
		return nil
	}
	f.proof = possession{action: proof, thumbprint: key.Thumbprint(), jti: c.ID, audience: c.Audience, hash: proof.Hash(), issued: c.IssuedAt, expires: time.Unix(c.Expires, 0)}
	return nil
}

// assumeTool: of what was decided before tools were recorded, the tool that was told is
// known by what was not said of it.
func (a *rehearsal) assumeTool(f *facts) {
	if a.r.told || f.entry.Pin == "" || f.pep == nil || !slices.Contains(f.pep.ContextKeys, "tool") || slices.Contains(a.r.codes(), ToolChanged) {
		return
	}
	f.context.Tool, a.assumed = f.entry.Pin, []string{"tool"}
}

// surround gives the facts the resource as policies see it, in a snapshot.
func (f *facts) surround(tx registry.Tx) error {
	if !f.narrowable() {
		return nil
	}
	return f.place(entitiesOf(tx, f.agent.Org, registry.EntityRef(f.act.Resource)))
}

// approve shows the approval as it was shown: the one that the permit used up is good,
// unless it is for something else now; what stood against another stands.
func (a *rehearsal) approve(f *facts) error {
	if a.r.Approval == "" {
		for _, c := range a.r.codes() {
			if ofApproval(c) && c != ApprovalRequired {
				f.approval = approval{shown: true, code: c}
			}
		}
		return nil
	}
	if f.grant == nil || f.proof.code != "" {
		return nil
	}
	b, err := f.binding()
	if err != nil {
		return err
	}
	record, code, err := registry.CheckApproval(a.tx, a.r.Approval, b, f.now)
	if code == registry.ApprovalUsedUp && record.Consumer == a.r.Decision {
		code = ""
	}
	f.approval = approval{record: record, shown: true, code: Code(code), approvers: a.r.Approvers}
	return err
}

// asserted judges what was asked about a subject that is no agent.
func (a *rehearsal) asserted(f *facts, by *rules) (*facts, Decision, error) {
	org := registry.Scope{Kind: registry.ScopeOrg, ID: a.r.event.Org}
	m, err := a.tx.Moment()
	if err != nil {
		return f, Decision{}, err
	}
	t, err := a.pdp.standings.tenant(a.tx, org.ID, m.Authority)
	if err != nil {
		return f, Decision{}, err
	}
	f.standing = &standing{authority: m.Authority, org: t.org, catalogue: t.catalogue, rules: t.rules}
	if by != nil {
		f.rules = by
	}
	if f.epochs, f.kills, err = a.tx.Authority([]registry.Scope{{Kind: registry.ScopeGlobal}, org}); err != nil {
		return f, Decision{}, err
	}
	f.entry = f.catalogue.Entry(a.r.Action)
	f.context.Subject, f.context.Resource = a.r.subject.Properties, a.r.resource.Properties
	a.assumeTool(f)
	list, groups, err := entitiesOf(a.tx, org.ID, registry.EntityRef{Type: a.r.subject.Type, ID: a.r.subject.ID}, registry.EntityRef(f.act.Resource))
	reasons, err := f.ask(list, groups, err)
	if err != nil {
		return f, Decision{}, err
	}
	return f, judgeAsserted(f, reasons), nil
}

// without returns the reasons of list that are not in other, by their codes and numbers.
func without(list, other []Explained) []Explained {
	left := map[Code]int{}
	for _, r := range other {
		left[r.Code]++
	}
	out := []Explained{}
	for _, r := range list {
		if left[r.Code]--; left[r.Code] < 0 {
			out = append(out, r)
		}
	}
	return out
}

// moved compares the epochs of then with those of now, and finds what moved them.
func moved(ctx context.Context, tx registry.Tx, r *recorded, f *facts) (out []EpochMoved, partial bool, err error) {
	out = []EpochMoved{}
	now := f.namedEpochs()
	agents := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(now)) {
		then, was := r.Epochs[name]
		e := now[name]
		if !was || uint64(then) == e.Value {
			continue
		}
		out = append(out, EpochMoved{Scope: e.Scope, Then: uint64(then), Now: e.Value, Events: []Mover{}})
		switch e.Scope.Kind {
		case registry.ScopeAgent:
			agents[e.Scope.ID] = true
		case registry.ScopeGrant: // its events are those of whom it is of
			agents[f.grant.Agent] = true
		}
	}
	look := func(filter registry.EventFilter) error {
		filter.Newest, filter.Limit = true, registry.MaxPage
		for seen := 0; ; {
			list, err := tx.ListEvents(filter)
			if err = errors.Join(err, ctx.Err()); err != nil {
				return err
			}
			for _, e := range list {
				if e.Index <= r.event.Index {
					return nil
				}
				if err := attribute(out, e, f.grant, filter.Agent == ""); err != nil {
					return err
				}
			}
			if seen += len(list); len(list) < filter.Limit {
				return nil
			}
			if seen >= maxMovers {
				partial = true
				return nil
			}
			filter.After = strconv.FormatUint(list[len(list)-1].Index, 10)
		}
	}
	for id := range agents {
		err = errors.Join(err, look(registry.EventFilter{Org: r.event.Org, Agent: id}))
	}
	if slices.ContainsFunc(out, func(m EpochMoved) bool { return ofOrg(m.Scope) }) {
		err = errors.Join(err, look(registry.EventFilter{Org: r.event.Org}))
	}
	return out, partial, err
}

// ofOrg tells the scopes that an org's sequence says more of than an agent's.
func ofOrg(s registry.Scope) bool {
	return s.Kind == registry.ScopeOrg || s.Kind == registry.ScopeGlobal
}

// attribute adds an event to those scopes that it moved: of the org, or of an agent and
// its grants. g is the grant that the decision rests on.
func attribute(list []EpochMoved, e registry.Event, g *registry.Grant, org bool) error {
	scopes, err := scopesMoved(e)
	if err != nil {
		return err
	}
	if g != nil && g.Agent == e.Agent && (e.Type == registry.EventKeyRotated || e.Type == registry.EventAgentEnrolled) {
		scopes = append(scopes, registry.Scope{Kind: registry.ScopeGrant, ID: g.ID}) // its token is another
	}
	for i := range list {
		if s := list[i].Scope; slices.Contains(scopes, s) && ofOrg(s) == org {
			list[i].Events = append(list[i].Events, Mover{e.Type, e.CID, e.Index, e.Time})
		}
	}
	return nil
}

// movesOrg are the events that move the epoch of an org; those that begin so, too,
// where they end in a dot.
var movesOrg = []string{
	"org.", "principal.", "credential.", "entity.", "trust.", "pep.key_set", "pep.routes_set", "approval_rules.",
	registry.EventCatalogueActivated, registry.EventPoliciesActivated,
}

// scopesMoved are the scopes whose epoch an event moved.
func scopesMoved(e registry.Event) ([]registry.Scope, error) {
	var artifact struct {
		Body struct {
			Scope string `json:"scope"`
			Grant string `json:"grant"`
		} `json:"body"`
	}
	begins := func(prefix string) bool { return strings.HasPrefix(e.Type, prefix) }
	switch {
	case begins("kill."), begins("observation."), e.Type == registry.EventGrantRevoked, e.Type == registry.EventLinkRevoked:
		if err := canon.UnmarshalOpen(e.Artifact, &artifact); err != nil {
			return nil, err
		}
		if artifact.Body.Grant != "" {
			return []registry.Scope{{Kind: registry.ScopeGrant, ID: artifact.Body.Grant}}, nil
		}
		kind, id, _ := strings.Cut(artifact.Body.Scope, ":")
		return []registry.Scope{{Kind: registry.ScopeKind(kind), ID: id}}, nil
	case begins("agent."):
		return []registry.Scope{{Kind: registry.ScopeAgent, ID: e.Agent}}, nil
	case slices.ContainsFunc(movesOrg, begins):
		return []registry.Scope{{Kind: registry.ScopeOrg, ID: e.Org}}, nil
	}
	return nil, nil
}
