package policy

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/writ-registry/writ/registry"
)

// standing is what the database says of an agent and one of its grants, read in
// one snapshot. Nobody changes it: decisions share it.
type standing struct {
	authority uint64          // registry.Moment's: while it stands, so does all of this
	agent     *registry.Agent // nil: unknown
	grant     *registry.Grant // nil: unknown
	ancestors []ancestor      // of the agent, nearest first
	sponsor   registry.PrincipalStatus
	org       registry.Org // the agent's
	catalogue registry.Catalogue
	kills     []registry.Kill // those that cover the agent, its ancestors, its org, its grant or everything
	epochs    []registry.Epoch
	fence     uint64 // the epoch of spentScope
}

type ancestor struct {
	ID     string
	Status registry.AgentStatus
}

// standings remembers them. Nothing in it is believed longer than the moment it
// was read at: whatever stops, widens or narrows authority moves an epoch, and
// so Moment.Authority, in the transaction that does it. A commit of this process
// is seen at once, one of another within maxFactAge. What is recorded is checked
// against the count once more, with the log's head locked.
type standings struct {
	byGrant *otter.Cache[standingKey, *standing]
	tenants *otter.Cache[string, *tenant]
}

type standingKey struct{ did, grant string }

// tenant is what an org's agents share; the catalogue may be large.
type tenant struct {
	authority uint64
	org       registry.Org
	catalogue registry.Catalogue
}

const (
	maxStandings = 8192 // at some 3 KiB each
	maxTenants   = 256
)

func newStandings() standings {
	return standings{
		otter.Must(&otter.Options[standingKey, *standing]{MaximumSize: maxStandings}),
		otter.Must(&otter.Options[string, *tenant]{MaximumSize: maxTenants}),
	}
}

// of returns the standing of the agent with a DID and of a grant ("" = none), and
// the moment it is of.
func (c standings) of(ctx context.Context, store registry.Store, did, grant string) (*standing, registry.Moment, error) {
	m, err := store.Moment(ctx, maxFactAge/2)
	if err != nil {
		return nil, m, err
	}
	key := standingKey{did, grant}
	old, known := c.byGrant.GetIfPresent(key)
	if known && old.authority == m.Authority {
		return old, m, nil
	}
	s := &standing{}
	read := time.Now()
	err = store.View(ctx, func(tx registry.Tx) error {
		if m, err = tx.Moment(); err != nil {
			return err
		}
		if known { // most likely it was another's authority that moved
			*s = *old
			s.authority = m.Authority
			if err := s.readAuthority(tx); err != nil || slices.Equal(s.epochs, old.epochs) {
				return err
			}
		}
		*s = standing{authority: m.Authority}
		return s.read(tx, did, grant, c.tenant)
	})
	if err != nil {
		return nil, m, err
	}
	m.Read = read
	if s.agent != nil && s.grant != nil {
		c.byGrant.Set(key, s) // what is not there may come without an epoch's move
	}
	return s, m, nil
}

func (s *standing) read(tx registry.Tx, did, grant string, tenantOf func(tx registry.Tx, org string, authority uint64) (*tenant, error)) error {
	agent, err := tx.AgentByDID(did)
	switch {
	case err == nil:
		s.agent = &agent
		if err := s.readFamily(tx, tenantOf); err != nil {
			return err
		}
	case !errors.Is(err, registry.NotFound):
		return err
	}
	if grant != "" {
		g, err := tx.Grant(grant)
		if err == nil {
			s.grant = &g
		} else if !errors.Is(err, registry.NotFound) {
			return err
		}
	}
	return s.readAuthority(tx)
}

// readFamily reads what the agent stands on: its org, sponsor and ancestors. A
// change of any of them moves an epoch that readAuthority reads.
func (s *standing) readFamily(tx registry.Tx, tenantOf func(tx registry.Tx, org string, authority uint64) (*tenant, error)) error {
	t, err := tenantOf(tx, s.agent.Org, s.authority)
	if err != nil {
		return err
	}
	s.org, s.catalogue = t.org, t.catalogue
	sponsor, err := tx.Principal(s.agent.Sponsor)
	if err != nil {
		return err
	}
	s.sponsor = sponsor.Status
	for _, id := range s.agent.Ancestors {
		a, err := tx.Agent(id)
		if err != nil {
			return err
		}
		s.ancestors = append(s.ancestors, ancestor{a.ID, a.Status})
	}
	return nil
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
	c.tenants.Set(org, t)
	return t, nil
}

// readAuthority reads the epochs and stops of every scope the act falls under.
func (s *standing) readAuthority(tx registry.Tx) error {
	scopes := []registry.Scope{{Kind: registry.ScopeGlobal}}
	if s.agent != nil {
		scopes = append(scopes, registry.Scope{Kind: registry.ScopeOrg, ID: s.agent.Org}, registry.Scope{Kind: registry.ScopeAgent, ID: s.agent.ID})
		for _, id := range s.agent.Ancestors {
			scopes = append(scopes, registry.Scope{Kind: registry.ScopeAgent, ID: id})
		}
	}
	if s.grant != nil {
		scopes = append(scopes, registry.Scope{Kind: registry.ScopeGrant, ID: s.grant.ID})
	}
	epochs, kills, err := tx.Authority(append(scopes, spentScope))
	if err == nil {
		last := len(epochs) - 1
		s.epochs, s.kills, s.fence = epochs[:last:last], kills, epochs[last].Value
	}
	return err
}
