package policy

import (
	"context"
	"errors"

	"github.com/maypok86/otter/v2"

	"github.com/writ-registry/writ/registry"
	"github.com/writ-registry/writ/registry/cedar"
)

// entity is what an org knows of a subject, resource or group. Decisions share it.
type entity struct {
	cedar   *cedar.Entity
	parents []registry.EntityRef
	agent   bool // its id is that of a registered agent, of whatever org
	weight  uint32
}

// entities remembers them under the org's epoch that they were read at: whoever
// changes one moves it.
type entities struct {
	cache *otter.Cache[entityKey, *entity]
}

type entityKey struct {
	org   string
	epoch uint64
	registry.EntityRef
}

// maxEntityWeight bounds what is remembered, in bytes of properties and some for
// each entity.
const maxEntityWeight = 64 << 20

func newEntities() *entities {
	return &entities{otter.Must(&otter.Options[entityKey, *entity]{
		MaximumWeight: maxEntityWeight, Weigher: func(_ entityKey, e *entity) uint32 { return e.weight },
	})}
}

// of returns entities of an org at an epoch of it, and the groups that they are in,
// the groups of these, and so on. ErrEpochMoved: the org has moved on.
func (c *entities) of(ctx context.Context, store registry.Store, org registry.Epoch, refs ...registry.EntityRef) (list []*entity, groups []*cedar.Entity, err error) {
	errMissing := errors.New("not remembered")
	list, groups, err = collect(func(ref registry.EntityRef) (*entity, error) {
		if e, ok := c.cache.GetIfPresent(entityKey{org.Scope.ID, org.Value, ref}); ok {
			return e, nil
		}
		return nil, errMissing
	}, refs)
	if !errors.Is(err, errMissing) {
		return list, groups, err
	}
	err = store.View(ctx, func(tx registry.Tx) error {
		now, err := tx.Epoch(org.Scope)
		if err != nil {
			return err
		}
		if now != org.Value {
			return registry.ErrEpochMoved
		}
		list, groups, err = collect(func(ref registry.EntityRef) (*entity, error) { return c.in(tx, org, ref) }, refs)
		return err
	})
	if errors.Is(err, registry.ErrEpochMoved) { // by another process: let the next look be a new one
		_, stale := store.Moment(ctx, 0)
		err = errors.Join(err, stale)
	}
	return list, groups, err
}

// collect reads entities and the groups that they are in.
func collect(read func(registry.EntityRef) (*entity, error), refs []registry.EntityRef) (list []*entity, groups []*cedar.Entity, err error) {
	list = make([]*entity, len(refs))
	for i, ref := range refs {
		if list[i], err = read(ref); err != nil {
			return nil, nil, err
		}
	}
	groups, err = groupsOf(read, list...)
	return list, groups, err
}

// entitiesOf reads entities of an org, and the groups that they are in, in a snapshot.
func entitiesOf(tx registry.Tx, org string, refs ...registry.EntityRef) (list []*entity, groups []*cedar.Entity, err error) {
	return collect(func(ref registry.EntityRef) (*entity, error) { return readEntity(tx, org, ref) }, refs)
}

// in returns one in a snapshot that is at the epoch of the org.
func (c *entities) in(tx registry.Tx, org registry.Epoch, ref registry.EntityRef) (*entity, error) {
	key := entityKey{org.Scope.ID, org.Value, ref}
	if e, ok := c.cache.GetIfPresent(key); ok {
		return e, nil
	}
	e, err := readEntity(tx, org.Scope.ID, ref)
	if err == nil {
		c.cache.Set(key, e)
	}
	return e, err
}

// readEntity reads one; what is not there has no properties and is in no group.
func readEntity(tx registry.Tx, org string, ref registry.EntityRef) (*entity, error) {
	e, err := tx.Entity(org, ref.Type, ref.ID)
	if err != nil && !errors.Is(err, registry.NotFound) {
		return nil, err
	}
	e.Type, e.ID = ref.Type, ref.ID
	return newEntity(tx, e)
}

// newEntity makes one of what is stored.
func newEntity(tx registry.Tx, e registry.Entity) (*entity, error) {
	out := &entity{parents: e.Parents, weight: uint32(512 + 4*len(e.Properties) + 128*len(e.Parents))}
	if len(e.ID) == 36 { // else it is no UUID, and no agent's
		if _, err := tx.Agent(e.ID); err == nil {
			out.agent = true
		} else if !errors.Is(err, registry.NotFound) {
			return nil, err
		}
	}
	var err error
	out.cedar, err = cedar.NewEntity(cedar.UID{Type: e.Type, ID: e.ID}, e.Properties, uids(e.Parents))
	return out, err
}

// surround gives the facts the resource as the org's policies see it.
func (p *PDP) surround(ctx context.Context, f *facts) error {
	if !f.narrowable() {
		return nil
	}
	return f.place(p.entities.of(ctx, p.Store, orgEpoch(f.epochs), registry.EntityRef(f.act.Resource)))
}

// narrowable: the org has policies, and they are asked about the act.
func (f *facts) narrowable() bool {
	return f.rules != nil && f.rules.set != nil && f.proof.code == ""
}

// place gives the facts the resource and the groups that it is in. err is that of
// their reading.
func (f *facts) place(list []*entity, groups []*cedar.Entity, err error) error {
	switch {
	case errors.Is(err, errGroups):
		unknown := *f.standing
		unknown.rules = &rules{broken: true, digest: f.rules.digest}
		f.standing = &unknown
		return nil
	case err != nil:
		return err
	}
	f.resource, f.around = list[0].cedar, groups
	return nil
}

func orgEpoch(epochs []registry.Epoch) registry.Epoch {
	for _, e := range epochs {
		if e.Scope.Kind == registry.ScopeOrg {
			return e
		}
	}
	return registry.Epoch{} // of nobody: no org has it
}

// principal is an agent as policies see it, with the groups that it is in.
type principal struct {
	self   *cedar.Entity
	groups []*cedar.Entity
}

// readPrincipals reads those whom the org's policies are asked about.
func (s *standing) readPrincipals(tx registry.Tx) error {
	if s.rules.set == nil {
		return nil
	}
	agents := []*registry.Agent{s.agent}
	for _, d := range s.delegators {
		if d.agent.Org == s.agent.Org {
			agents = append(agents, d.agent)
		}
	}
	for _, a := range agents {
		self, groups, err := agentEntity(tx, a)
		switch {
		case errors.Is(err, errGroups):
			s.rules = &rules{broken: true, digest: s.rules.digest}
			return nil
		case err != nil:
			return err
		}
		s.principals = append(s.principals, principal{self, groups})
	}
	return nil
}

// agentEntity is what policies see of an agent, with the groups that the org has
// put it into and those that these are in.
func agentEntity(tx registry.Tx, a *registry.Agent) (*cedar.Entity, []*cedar.Entity, error) {
	read := func(ref registry.EntityRef) (*entity, error) { return readEntity(tx, a.Org, ref) }
	stored, err := read(registry.EntityRef{Type: "agent", ID: a.DID})
	if err != nil {
		return nil, nil, err
	}
	groups, err := groupsOf(read, stored)
	self := cedar.Agent{
		DID: a.DID, Name: a.Name, Role: a.Role, Org: a.Org, Sponsor: a.Sponsor, Parent: a.Parent,
		Domains: a.Domains, Workflows: a.Workflows, Level: a.AuthorityLevel,
	}
	return self.Entity(uids(stored.parents)), groups, err
}

// maxGroups bounds the groups of the entities of a decision, those of groups
// included. Beyond it nothing is decided by guessing.
const maxGroups = 256

var errGroups = errors.New("in too many groups")

// groupsOf collects the groups that entities are in, the groups of these, and so on.
func groupsOf(read func(registry.EntityRef) (*entity, error), of ...*entity) (out []*cedar.Entity, err error) {
	var seen map[registry.EntityRef]bool
	for len(of) > 0 {
		next := of[0]
		of = of[1:]
		for _, ref := range next.parents {
			if seen[ref] {
				continue
			}
			if seen == nil {
				seen = map[registry.EntityRef]bool{}
			}
			seen[ref] = true
			if len(seen) > maxGroups {
				return nil, errGroups
			}
			group, err := read(ref)
			if err != nil {
				return nil, err
			}
			out, of = append(out, group.cedar), append(of, group)
		}
	}
	return out, nil
}

func uids(refs []registry.EntityRef) []cedar.UID {
	out := make([]cedar.UID, len(refs))
	for i, r := range refs {
		out[i] = cedar.UID(r)
	}
	return out
}
