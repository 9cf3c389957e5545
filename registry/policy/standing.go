package policy

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/writ-registry/writ/registry"
	"github.com/writ-registry/writ/registry/capability"
)

// standing is what the database says of an agent and one of its grants, read in
// one snapshot. Nobody changes it: decisions share it.
type standing struct {
	authority uint64          // registry.Moment's: while it stands, so does all of this
	agent     *registry.Agent // nil: unknown
	grant     *registry.Grant // nil: unknown
	family                    // of the agent

	// Of a chain: the agent of each link, nil where its subject is a key or unknown; the
	// other agents among them, each once; and the hashes of those of its links that are
	// revoked.
	links      []*registry.Agent
	delegators []delegator
	revoked    []string

	org       registry.Org // the agent's
	catalogue registry.Catalogue
	kills     []registry.Kill // those that cover the agent, its ancestors, its org, its grant or everything
	epochs    []registry.Epoch
	fence     uint64 // the epoch of spentScope
	rules     *rules // the org's own; nil without an agent

	// Where the org has policies: the agent and those of the org that delegated to it,
	// as policies see them.
	principals []principal
}

// policyDigest names the rules that decisions on this standing are made by.
func (s *standing) policyDigest() string {
	if s.rules == nil {
		return PolicyDigest
	}
	return s.rules.digest
}

// family is what an agent stands on.
type family struct {
	ancestors []ancestor // nearest first
	sponsor   registry.PrincipalStatus
}

type delegator struct {
	agent *registry.Agent
	family
}

// ancestor is what those below stand on of an agent.
type ancestor struct {
	ID      string
	Status  registry.AgentStatus
	Actions *registry.ActionSet
}

func ancestorOf(a *registry.Agent) ancestor { return ancestor{a.ID, a.Status, a.Actions} }

// standings remembers them. Nothing in it is believed longer than the moment it
// was read at: whatever stops, widens or narrows authority moves an epoch, and
// so Moment.Authority, in the transaction that does it. A commit of this process
// is seen at once, one of another within maxFactAge. What is recorded is checked
// against the count once more, with the log's head locked.
type standings struct {
	byGrant *otter.Cache[standingKey, *standing]
	tenants *otter.Cache[string, *tenant]
	sets    *compiled
}

// standingKey names an agent by a DID of its own and, by the hash of its token, which
// names those above it, what it shows.
type standingKey struct{ did, token string }

// tenant is what an org's agents share; the catalogue may be large.
type tenant struct {
	authority uint64
	org       registry.Org
	catalogue registry.Catalogue
	rules     *rules
}

const (
	maxStandings = 8192 // at some 3 KiB each
	maxTenants   = 256
)

func newStandings() standings {
	return standings{
		otter.Must(&otter.Options[standingKey, *standing]{MaximumSize: maxStandings}),
		otter.Must(&otter.Options[string, *tenant]{MaximumSize: maxTenants}),
		newCompiled(),
	}
}

// of returns the standing of the agent with a DID and of what it shows (nil: nothing
// valid), and the moment it is of.
func (c standings) of(ctx context.Context, store registry.Store, did string, chain *capability.Chain) (*standing, registry.Moment, error) {
	m, err := store.Moment(ctx, maxFactAge/2)
	if err != nil {
		return nil, m, err
	}
	if s, known := c.byGrant.GetIfPresent(keyOf(did, chain)); known && s.authority == m.Authority {
		return s, m, nil
	}
	var s *standing
	read := time.Now()
	err = store.View(ctx, func(tx registry.Tx) error {
		if m, err = tx.Moment(); err == nil {
			s, err = c.in(tx, m, did, chain)
		}
		return err
	})
	if err != nil {
		return nil, m, err
	}
	m.Read = read
	return s, m, nil
}

func keyOf(did string, chain *capability.Chain) standingKey {
	key := standingKey{did: did}
	if chain != nil {
		key.token = chain.Leaf().Hash()
	}
	return key
}

// in is of in one snapshot, which m is of.
func (c standings) in(tx registry.Tx, m registry.Moment, did string, chain *capability.Chain) (*standing, error) {
	key := keyOf(did, chain)
	old, known := c.byGrant.GetIfPresent(key)
	if known && old.authority == m.Authority {
		return old, nil
	}
	s := &standing{}
	if known { // most likely it was another's authority that moved
		*s = *old
		s.authority = m.Authority
		if err := s.readAuthority(tx); err != nil {
			return nil, err
		}
	}
	if !known || !slices.Equal(s.epochs, old.epochs) {
		*s = standing{authority: m.Authority}
		if err := s.read(tx, did, chain, c.tenant); err != nil {
			return nil, err
		}
	}
	if s.complete(chain) {
		c.byGrant.Set(key, s)
	}
	return s, nil
}

// complete reports that nothing is missing that may come without an epoch's move.
func (s *standing) complete(chain *capability.Chain) bool {
	if s.agent == nil || s.grant == nil {
		return false
	}
	for i, a := range s.links {
		if a == nil && !(i > 0 && chain.Links()[i].Ephemeral()) {
			return false
		}
	}
	return true
}

type tenants func(tx registry.Tx, org string, authority uint64) (*tenant, error)

func (s *standing) read(tx registry.Tx, did string, chain *capability.Chain, tenantOf tenants) error {
	var err error
	if chain == nil || !ephemeral(chain) {
		if s.agent, err = agentOf(tx, did); err != nil {
			return err
		}
	}
	if chain != nil {
		if err := s.readChain(tx, did, chain); err != nil {
			return err
		}
	}
	if s.agent != nil {
		t, err := tenantOf(tx, s.agent.Org, s.authority)
		if err != nil {
			return err
		}
		s.org, s.catalogue, s.rules = t.org, t.catalogue, t.rules
		if err := s.readPrincipals(tx); err != nil {
			return err
		}
		if s.family, err = readFamily(tx, s.agent); err != nil {
			return err
		}
	}
	return s.readAuthority(tx)
}

// readChain reads the grant at the root, the agents of the links, and what of them is
// revoked. A change of any of them moves an epoch that readAuthority reads. Where the
// leaf is for a key, the agent is the nearest above that is registered.
func (s *standing) readChain(tx registry.Tx, did string, chain *capability.Chain) error {
	switch g, err := tx.Grant(chain.Root().Claims().ID); {
	case err == nil:
		s.grant = &g
	case !errors.Is(err, registry.NotFound):
		return err
	}
	var err error
	var hashes []string
	for i, link := range chain.Links() {
		var a *registry.Agent
		switch subject := link.Claims().Subject; {
		case i > 0 && link.Ephemeral():
		case subject == did:
			a = s.agent
		default:
			if a, err = agentOf(tx, subject); err != nil {
				return err
			}
		}
		s.links = append(s.links, a)
		if i > 0 {
			hashes = append(hashes, link.SigningInputHash())
		}
		if ephemeral(chain) && !(i > 0 && link.Ephemeral()) {
			s.agent = a
		}
	}
	for _, a := range s.links {
		known := func(d delegator) bool { return d.agent.ID == a.ID }
		if a == nil || s.agent != nil && a.ID == s.agent.ID || slices.ContainsFunc(s.delegators, known) {
			continue
		}
		f, err := readFamily(tx, a)
		if err != nil {
			return err
		}
		s.delegators = append(s.delegators, delegator{a, f})
	}
	if s.grant != nil && len(hashes) > 0 {
		s.revoked, err = tx.RevokedLinks(s.grant.ID, hashes)
	}
	return err
}

func ephemeral(c *capability.Chain) bool { return len(c.Links()) > 1 && c.Leaf().Ephemeral() }

// agentOf returns the agent with a DID; nil: there is none.
func agentOf(tx registry.Tx, did string) (*registry.Agent, error) {
	a, err := tx.AgentByDID(did)
	switch {
	case errors.Is(err, registry.NotFound):
		return nil, nil
	case err != nil:
		return nil, err
	}
	return &a, nil
}

// readFamily reads what an agent stands on. A change of any of them moves an epoch
// that readAuthority reads.
func readFamily(tx registry.Tx, a *registry.Agent) (family, error) {
	var f family
	sponsor, err := tx.Principal(a.Sponsor)
	if err != nil {
		return f, err
	}
	f.sponsor = sponsor.Status
	for _, id := range a.Ancestors {
		above, err := tx.Agent(id)
		if err != nil {
			return f, err
		}
		f.ancestors = append(f.ancestors, ancestorOf(&above))
	}
	return f, nil
}

func (c standings) tenant(tx registry.Tx, org string, authority uint64) (*tenant, error) {
	if have, ok := c.tenants.GetIfPresent(org); ok && have.authority == authority {
		return have, nil
	}
	t := &tenant{authority: authority}
	var err error
	if t.org, err = tx.Org(org); err != nil {
		return nil, err
	}
	if t.catalogue, err = tx.Catalogue(org); err != nil {
		return nil, err
	}
	if t.rules, err = rulesOf(tx, c.sets, org); err != nil {
		return nil, err
	}
	c.tenants.Set(org, t)
	return t, nil
}

// readAuthority reads the epochs and stops of every scope the act falls under.
func (s *standing) readAuthority(tx registry.Tx) error {
	epochs, kills, err := tx.Authority(append(s.scopes(), spentScope))
	if err == nil {
		last := len(epochs) - 1
		s.epochs, s.kills, s.fence = epochs[:last:last], kills, epochs[last].Value
	}
	return err
}

// scopes are those the act falls under, each once: everything, the orgs, the agent and
// its ancestors, those of the agents that delegated to it, and the grant.
func (s *standing) scopes() []registry.Scope {
	scopes := []registry.Scope{{Kind: registry.ScopeGlobal}}
	add := func(kind registry.ScopeKind, id string) {
		if scope := (registry.Scope{Kind: kind, ID: id}); !slices.Contains(scopes, scope) {
			scopes = append(scopes, scope)
		}
	}
	addAgent := func(a *registry.Agent) {
		add(registry.ScopeOrg, a.Org)
		add(registry.ScopeAgent, a.ID)
		for _, id := range a.Ancestors {
			add(registry.ScopeAgent, id)
		}
	}
	if s.agent != nil {
		addAgent(s.agent)
	}
	for _, d := range s.delegators {
		addAgent(d.agent)
	}
	if s.grant != nil {
		add(registry.ScopeGrant, s.grant.ID)
	}
	return scopes
}
