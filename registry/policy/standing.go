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
	catalogue registry.Catalogue
	kills     []registry.Kill // those that cover the agent, its org, its grant or everything
	epochs    []registry.Epoch
	fence     uint64 // the epoch of spentScope
}

// standings remembers them. Nothing in it is believed longer than the moment it
// was read at: whatever stops, widens or narrows authority moves an epoch, and
// so Moment.Authority, in the transaction that does it. A commit of this process
// is seen at once, one of another within maxFactAge. What is recorded is checked
// against the count once more, with the log's head locked.
type standings struct {
	byGrant    *otter.Cache[standingKey, *standing]
	catalogues *otter.Cache[string, *catalogue]
}

type standingKey struct{ did, grant string }

type catalogue struct {
	authority uint64
	registry.Catalogue
}

const (
	maxStandings  = 8192 // at some 3 KiB each
	maxCatalogues = 256
)

func newStandings() standings {
	return standings{
		otter.Must(&otter.Options[standingKey, *standing]{MaximumSize: maxStandings}),
		otter.Must(&otter.Options[string, *catalogue]{MaximumSize: maxCatalogues}),
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
		return s.read(tx, did, grant, c.catalogue)
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

func (s *standing) read(tx registry.Tx, did, grant string, catalogueOf func(tx registry.Tx, org string, authority uint64) (registry.Catalogue, error)) error {
	agent, err := tx.AgentByDID(did)
	switch {
	case err == nil:
		s.agent = &agent
		if s.catalogue, err = catalogueOf(tx, agent.Org, s.authority); err != nil {
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

// catalogue is an org's. Agents share it: it may be large.
func (c standings) catalogue(tx registry.Tx, org string, authority uint64) (registry.Catalogue, error) {
	if have, ok := c.catalogues.GetIfPresent(org); ok && have.authority == authority {
		return have.Catalogue, nil
	}
	cat, err := tx.Catalogue(org)
	if err == nil {
		c.catalogues.Set(org, &catalogue{authority, cat})
	}
	return cat, err
}

// readAuthority reads the epochs and stops of every scope the act falls under.
func (s *standing) readAuthority(tx registry.Tx) error {
	scopes := []registry.Scope{{Kind: registry.ScopeGlobal}}
	if s.agent != nil {
		scopes = append(scopes, registry.Scope{Kind: registry.ScopeOrg, ID: s.agent.Org}, registry.Scope{Kind: registry.ScopeAgent, ID: s.agent.ID})
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
