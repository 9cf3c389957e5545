package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/writ-registry/writ/internal/canon"
)

// Entity is what an org knows of a user, group, resource or agent, for its policies:
// a subject or resource of OpenID AuthZEN by type and id. It gives no authority of
// its own. That of an agent (type agent, id its DID) says which groups it is in.
type Entity struct {
	Type       string          `json:"type"`
	ID         string          `json:"id"`
	Properties json.RawMessage `json:"properties"` // JSON object, canonical
	Parents    []EntityRef     `json:"parents,omitempty"`
	Updated    time.Time       `json:"updated"`
}

// EntityRef names an entity.
type EntityRef struct {
	Type string `json:"type"`
	ID   string `json:"id"`
}

// Place is where the entity stands in the list of all, for Page.After.
func (e Entity) Place() string { return e.Type + "\x00" + e.ID }

// SplitEntityPlace takes a Place apart; "" is before all.
func SplitEntityPlace(s string) (typ, id string, err error) {
	typ, id, ok := strings.Cut(s, "\x00")
	if !ok && s != "" {
		return "", "", Invalid("/cursor", "not a cursor of this list")
	}
	return typ, id, nil
}

// Limits of entities.
const (
	MaxProperties  = 16 << 10
	MaxParents     = 16
	maxEntityID    = 512
	maxEntityTypes = 1000
)

// PutEntity makes what an org knows of an entity anew. Its policy authors and
// registrars may. Decisions in flight are made again.
func (r *Registry) PutEntity(ctx context.Context, call Call, orgRef string, e Entity) (Outcome[Entity], error) {
	e, err := r.readEntity(e)
	if err != nil {
		return Outcome[Entity]{}, err
	}
	return commit(ctx, r, call, false, func(tx Tx) (Entity, *EventDraft, error) {
		org, err := entityOrg(tx, call.Caller, orgRef)
		if err != nil {
			return e, nil, err
		}
		now, ev, err := putEntity(tx, org.ID, e)
		if ev != nil {
			err = errors.Join(err, tx.BumpEpoch(Scope{ScopeOrg, org.ID}))
		}
		return now, ev, err
	})
}

// MaxEntities is how many entities PutEntities takes.
const MaxEntities = 1000

// EntitiesPut says what became of a list of entities.
type EntitiesPut struct {
	Changed   int `json:"changed"`
	Unchanged int `json:"unchanged"` // they were so already
}

// PutEntities is PutEntity for many, all in one commit or none. Others stay as they
// are. Each that changes has an event of its own, in the order of the list: what is
// known of one can be erased without the rest. A fault's field names its place.
func (r *Registry) PutEntities(ctx context.Context, call Call, orgRef string, list []Entity) (Outcome[EntitiesPut], error) {
	var none Outcome[EntitiesPut]
	switch {
	case len(list) == 0:
		return none, Invalid("/entities", "needs at least one item")
	case len(list) > MaxEntities:
		return none, &Error{Kind: TooLarge, Field: "/entities", Detail: fmt.Sprintf("more than %d items", MaxEntities)}
	}
	ready := make([]Entity, len(list))
	seen := make(map[EntityRef]bool, len(list))
	for i, e := range list {
		at := fmt.Sprintf("/entities/%d", i)
		var err error
		if ready[i], err = r.readEntity(e); err != nil {
			return none, within(at, err)
		}
		ref := EntityRef{e.Type, e.ID}
		if seen[ref] {
			return none, Invalid(at, "is named twice")
		}
		seen[ref] = true
	}
	return commitDraft(ctx, r, call, false, func(tx Tx) (out EntitiesPut, d Draft, err error) {
		org, err := entityOrg(tx, call.Caller, orgRef)
		if err != nil {
			return out, d, err
		}
		for _, e := range ready {
			switch _, ev, err := putEntity(tx, org.ID, e); {
			case err != nil:
				return out, d, err
			case ev == nil:
				out.Unchanged++
			default:
				out.Changed, d.Events = out.Changed+1, append(d.Events, *ev)
			}
		}
		if out.Changed > 0 {
			err = tx.BumpEpoch(Scope{ScopeOrg, org.ID})
		}
		return out, d, err
	})
}

// readEntity checks an entity and brings its properties into the one form.
func (r *Registry) readEntity(e Entity) (Entity, error) {
	if err := e.check(); err != nil {
		return e, err
	}
	form, err := canon.Canonical(orEmptyObject(e.Properties))
	if err != nil {
		return e, &Error{Kind: Malformed, Field: "/properties", Detail: err.Error(), Err: err}
	}
	e.Properties, e.Updated = form, r.now()
	return e, nil
}

// putEntity keeps an entity unless the org knows just that of it already: then there
// is no event. The caller moves the org's epoch.
func putEntity(tx Tx, org string, e Entity) (Entity, *EventDraft, error) {
	was, err := tx.Entity(org, e.Type, e.ID)
	switch {
	case err == nil && was.says(e):
		return was, nil, nil
	case err != nil && !errors.Is(err, NotFound):
		return e, nil, err
	}
	ev, err := e.event(EventEntitySet, org)
	return e, ev, errors.Join(err, tx.PutEntity(org, e))
}

// DeleteEntity forgets what an org knows of an entity. Those that are in it stay in
// it by name.
func (r *Registry) DeleteEntity(ctx context.Context, call Call, orgRef, typ, id string) (Outcome[Entity], error) {
	return commit(ctx, r, call, false, func(tx Tx) (Entity, *EventDraft, error) {
		org, err := entityOrg(tx, call.Caller, orgRef)
		if err != nil {
			return Entity{}, nil, err
		}
		e, err := tx.Entity(org.ID, typ, id)
		if err != nil {
			return e, nil, err
		}
		ev, err := e.event(EventEntityRemoved, org.ID)
		return e, ev, errors.Join(err, tx.DeleteEntity(org.ID, typ, id), tx.BumpEpoch(Scope{ScopeOrg, org.ID}))
	})
}

// says: the two say the same of the same.
func (e Entity) says(other Entity) bool {
	return bytes.Equal(e.Properties, other.Properties) && slices.Equal(e.Parents, other.Parents)
}

// event names the entity by a commitment only: it may be a person.
func (e Entity) event(typ, org string) (*EventDraft, error) {
	parents := nonNil(e.Parents)
	dis, commitment, err := canon.Commit("entity", map[string]any{"type": e.Type, "id": e.ID, "properties": e.Properties, "parents": parents})
	if err != nil {
		return nil, err
	}
	return &EventDraft{Type: typ, Org: org, Body: EntityChanged{map[string]string{"entity": commitment}}, Disclosures: []canon.Disclosure{dis}}, nil
}

func entityOrg(tx Tx, c Caller, ref string) (Org, error) {
	org, err := findOrg(tx, c, ref)
	if err == nil {
		err = c.may(org.ID, RolePolicyAuthor, RoleRegistrar)
	}
	return org, err
}

// FindEntity returns what an org knows of an entity.
func (r *Registry) FindEntity(ctx context.Context, c Caller, orgRef, typ, id string) (e Entity, err error) {
	err = r.Store.View(ctx, func(tx Tx) error {
		org, err := findOrg(tx, c, orgRef)
		if err == nil {
			err = c.sees(org.ID)
		}
		if err == nil {
			e, err = tx.Entity(org.ID, typ, id)
		}
		return err
	})
	return e, err
}

// ListEntities lists the entities of an org, of a type or of all.
func (r *Registry) ListEntities(ctx context.Context, c Caller, orgRef, typ string, p Page) ([]Entity, error) {
	return listIn(ctx, r, c, orgRef, p, func(tx Tx, org string, p Page) ([]Entity, error) { return tx.ListEntities(org, typ, p) })
}

func (e Entity) check() error {
	if len(e.Properties) > MaxProperties {
		return &Error{Kind: TooLarge, Field: "/properties", Detail: fmt.Sprintf("longer than %d bytes", MaxProperties)}
	}
	if props := strings.TrimSpace(string(e.Properties)); props != "" && props[0] != '{' {
		return Invalid("/properties", "must be a JSON object")
	}
	if len(e.Parents) > MaxParents {
		return &Error{Kind: TooLarge, Field: "/parents", Detail: fmt.Sprintf("more than %d items", MaxParents)}
	}
	if err := checkEntity("", e.Type, e.ID); err != nil {
		return err
	}
	for i, p := range e.Parents {
		if err := checkEntity(fmt.Sprintf("/parents/%d", i), p.Type, p.ID); err != nil {
			return err
		}
		if p.Type == e.Type && p.ID == e.ID {
			return Invalid(fmt.Sprintf("/parents/%d", i), "is the entity itself")
		}
	}
	return nil
}

func checkEntity(at, typ, id string) error {
	return first(checkText(at+"/type", typ, maxName, true), checkText(at+"/id", id, maxEntityID, true))
}

func orEmptyObject(raw json.RawMessage) json.RawMessage {
	if len(raw) == 0 {
		return json.RawMessage("{}")
	}
	return raw
}
