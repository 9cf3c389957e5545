package policy

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/writ-registry/writ/internal/trace"
	"github.com/writ-registry/writ/registry"
	"github.com/writ-registry/writ/registry/capability"
	"github.com/writ-registry/writ/registry/cedar"
)

// Target is what a search is for.
type Target string

// What there is to search for (OpenID AuthZEN Authorization API 1.0, section 8).
const (
	Subjects  Target = "subject"
	Resources Target = "resource"
	Actions   Target = "action"
)

const (
	// MaxSearch is how many candidates one search judges, and so what it finds, at most.
	MaxSearch = 1000

	// maxSearching is how many searches are under way at once; more wait. Each keeps a
	// snapshot of the database open, of the few that decisions read by.
	maxSearching = 2

	searchChunk   = 100 // candidates that are read at once
	grantsOfAgent = 100 // that are tried for one act of one agent, the oldest
)

// Query asks for what may be put into an act so that it would be permitted now.
type Query struct {
	For Target
	// Of what is searched the type is given; an action has none. Token, Proof, Approval
	// and Permit are not looked at.
	Request
	After string // Found.Next of the page before; "" = from the first
	Limit int    // of what is found, 0 to MaxSearch
}

// Found is one page of what a search finds.
type Found struct {
	IDs  []string // in the order of the search; DIDs of agents, names of actions
	More bool     // there are candidates that were not judged yet,
	Next string   // after this one

	Judged       int  // candidates, an agent as often as it was judged
	Unproven     bool // that the agent proves its act was taken for granted
	PolicyDigest string
}

// Search finds what may be put into an act of the enforcement point's org so that a
// decision about it would now be permit. It permits nothing itself: it is judged as
// a decision is, in one snapshot, but that nobody has proven anything. Of an agent
// that is known by its stored grants the proof is taken for granted (Unproven), and
// only grants for a resource server of the enforcement point are looked at. Nothing is
// recorded and nothing is spent.
//
// Candidates are what indexes know: entities that the org has stored; actions of its
// catalogue; agents of the org that hold a grant for the action. A page ends at
// q.Limit, or when MaxSearch candidates were judged, whatever was found.
func (p *PDP) Search(ctx context.Context, pep registry.PEP, q Query) (out Found, err error) {
	ctx, span := trace.Start(ctx, "search")
	defer func() {
		span.Int("writ.candidates", int64(out.Judged))
		span.End(err)
	}()
	if p.Ready != nil {
		if err := p.Ready(); err != nil {
			return out, &registry.Error{Kind: registry.Unavailable, Detail: "the registry is not ready to permit anything", Err: err}
		}
	}
	select {
	case p.searching <- struct{}{}:
		defer func() { <-p.searching }()
	case <-ctx.Done():
		return out, gone(ctx)
	}
	err = p.Store.View(ctx, func(tx registry.Tx) error {
		s, err := p.search(tx, pep, q)
		if err != nil {
			return err
		}
		out, err = s.page(ctx)
		return err
	})
	return out, err
}

func gone(ctx context.Context) error {
	return &registry.Error{Kind: registry.Unavailable, Detail: "the caller went away", Err: ctx.Err()}
}

// search is a page that is being made. One goroutine owns it.
type search struct {
	*PDP
	tx  registry.Tx
	m   registry.Moment
	now time.Time
	pep registry.PEP
	q   Query
	org *orgStanding

	agents bool // what is searched are agents, or the subject is one
	known  map[registry.EntityRef]*entity
	grants map[string][]registry.Grant // of the agent that is asked about, by verb
	tried  int                         // judgements about the candidate in hand
}

func (p *PDP) search(tx registry.Tx, pep registry.PEP, q Query) (*search, error) {
	m, err := tx.Moment()
	if err != nil {
		return nil, err
	}
	org, err := p.orgIn(tx, m, pep.Org)
	return &search{
		PDP: p, tx: tx, m: m, now: p.clock(m), pep: pep, q: q, org: org, known: map[registry.EntityRef]*entity{}, grants: map[string][]registry.Grant{},
		agents: q.SubjectType == "agent" || q.For != Subjects && isDID(q.Subject),
	}, err
}

// page judges one candidate after the other.
func (s *search) page(ctx context.Context) (Found, error) {
	out := Found{Unproven: s.agents, PolicyDigest: s.org.rules.digest}
	after := s.q.After
	for {
		list, err := s.next(after)
		if err != nil {
			return out, err
		}
		for _, c := range list {
			switch {
			case ctx.Err() != nil:
				return out, gone(ctx)
			case c.place <= after: // an agent that was found by another grant
				continue
			case len(out.IDs) == s.q.Limit || out.Judged >= MaxSearch:
				out.More, out.Next = true, after
				return out, nil
			}
			s.tried = 0
			id, err := s.permitted(c)
			if err != nil {
				return out, err
			}
			out.Judged += max(s.tried, 1)
			after = c.place
			if id != "" {
				out.IDs = append(out.IDs, id)
				after = c.past
			}
		}
		if len(list) < searchChunk {
			return out, nil
		}
	}
}

// candidate may be in the answer.
type candidate struct {
	place string // in the order of the search
	past  string // its last place: an agent has one for each grant
	id    string
	grant *registry.Grant
}

// next reads the candidates after a place.
func (s *search) next(after string) (out []candidate, err error) {
	add := func(id string) { out = append(out, candidate{place: id, past: id, id: id}) }
	typ := s.q.SubjectType
	switch {
	case s.q.For == Actions:
		for _, verb := range s.org.verbs(s.q.Act.Resource.Type) {
			if verb > after && len(out) < searchChunk {
				add(verb)
			}
		}
		return out, nil
	case s.q.For == Resources:
		typ = s.q.Act.Resource.Type
	case s.agents:
		list, err := s.grantsFor(s.q.Act, "", registry.Page{After: after, Limit: searchChunk})
		for i, g := range list {
			out = append(out, candidate{place: g.Place(), past: registry.GrantPlace(g.Agent, "~"), grant: &list[i]})
		}
		return out, err
	}
	list, err := s.tx.ListEntities(s.pep.Org, typ, registry.Page{After: after, Limit: searchChunk})
	for _, e := range list {
		if s.known[registry.EntityRef{Type: e.Type, ID: e.ID}], err = newEntity(s.tx, e); err != nil {
			return nil, err
		}
		add(e.ID)
	}
	return out, err
}

// verbs are those of the catalogue for a type of resource, in order. Of an action that
// it does not have nothing is permitted: it counts as irreversible.
func (s *orgStanding) verbs(typ string) (out []string) {
	for _, a := range s.catalogue.Actions {
		if verb, of, _ := strings.Cut(a.Action, ":"); of == typ {
			out = append(out, verb)
		}
	}
	slices.Sort(out)
	return out
}

// grantsFor reads the grants, of an agent or of any (""), that cover an action.
func (s *search) grantsFor(act capability.Act, agent string, page registry.Page) ([]registry.Grant, error) {
	return s.tx.ListActionGrants(registry.ActionGrants{Org: s.pep.Org, Action: act.Action + ":" + act.Resource.Type, Agent: agent, Now: s.now, Page: page})
}

// permitted judges the act with the candidate in it, and says what the answer calls it;
// "": it is not in it.
func (s *search) permitted(c candidate) (id string, err error) {
	req, ok := s.q.Request, false
	switch s.q.For {
	case Subjects:
		req.Subject = c.id
	case Resources:
		req.Act.Resource.ID = c.id
	case Actions:
		req.Act.Action = c.id
	}
	switch {
	case c.grant != nil:
		return s.byGrant(req, *c.grant)
	case s.agents:
		ok, err = s.agentMay(req)
	default:
		ok, err = s.otherMay(req)
	}
	if err != nil || !ok {
		return "", err
	}
	return c.id, nil
}

// otherMay judges an act of a subject that is no agent.
func (s *search) otherMay(req Request) (bool, error) {
	if isDID(req.Subject) {
		return false, nil // it would have to prove it
	}
	f := s.org.facts(s.now, s.pep, req)
	reasons, err := f.ask(s.entity(registry.EntityRef{Type: req.SubjectType, ID: req.Subject}, registry.EntityRef(req.Act.Resource)))
	return err == nil && judgeAsserted(f, reasons).Verdict == Permit, err
}

// agentMay judges an act of the agent that is asked about, by one grant after another.
func (s *search) agentMay(req Request) (bool, error) {
	grants, read := s.grants[req.Act.Action]
	if !read {
		agent, err := agentOf(s.tx, req.Subject)
		if err == nil && agent != nil && agent.Org == s.pep.Org {
			grants, err = s.grantsFor(req.Act, agent.ID, registry.Page{Limit: grantsOfAgent})
		}
		if err != nil {
			return false, err
		}
		s.grants[req.Act.Action] = grants
	}
	for _, g := range grants {
		if did, err := s.byGrant(req, g); err != nil || did != "" {
			return err == nil, err
		}
	}
	return false, nil
}

// byGrant judges an act by a grant, at each resource server that the enforcement point
// guards. It returns the DID of the agent that may do it; "": none may. The subject ""
// is the grant's.
func (s *search) byGrant(req Request, g registry.Grant) (did string, err error) {
	chain, err := s.chain(capability.Tokens{g.Token})
	if err != nil {
		return "", nil //nolint:nilerr // nobody could act by it
	}
	req.Subject = cmp.Or(req.Subject, chain.Leaf().Claims().Subject)
	for _, server := range g.Audience {
		if !slices.Contains(s.pep.Resources, server) {
			continue
		}
		s.tried++
		f := &facts{now: s.now, act: req.Act, context: req.Context, pep: &s.pep, chain: chain, proof: possession{audience: server}}
		if f.standing, err = s.standings.in(s.tx, s.m, req.Subject, chain); err != nil {
			return "", err
		}
		f.entry = f.catalogue.Entry(req.Act.Action + ":" + req.Act.Resource.Type)
		if f.narrowable() {
			if err := f.place(s.entity(registry.EntityRef(req.Act.Resource))); err != nil {
				return "", err
			}
		}
		f.findBudgets()
		if err := errors.Join(f.readBalances(s.tx), f.tally(s.tx)); err != nil {
			return "", err
		}
		if judge(f).Verdict == Permit {
			return f.agent.DID, nil
		}
	}
	return "", nil
}

// entity reads entities as of does.
func (s *search) entity(refs ...registry.EntityRef) ([]*entity, []*cedar.Entity, error) {
	return collect(func(ref registry.EntityRef) (*entity, error) {
		if e, ok := s.known[ref]; ok {
			return e, nil
		}
		e, err := s.entities.in(s.tx, orgEpoch(s.org.epochs), ref)
		if err == nil {
			s.known[ref] = e
		}
		return e, err
	}, refs)
}
