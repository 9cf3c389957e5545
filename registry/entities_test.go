package registry_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"github.com/writ-registry/writ/registry"
	"github.com/writ-registry/writ/registry/registrytest"
)

// TestPutEntities: many entities are one commit, each that changes has an event of
// its own, and the org's epoch moves once.
func TestPutEntities(t *testing.T) {
	h := registrytest.New(t)
	ctx := t.Context()
	epoch := func() (n uint64) {
		t.Helper()
		if err := h.Store.View(ctx, func(tx registry.Tx) (err error) {
			n, err = tx.Epoch(registry.Scope{Kind: registry.ScopeOrg, ID: h.Operator.Org})
			return err
		}); err != nil {
			t.Fatal(err)
		}
		return n
	}
	list := make([]registry.Entity, registry.MaxEntities)
	for i := range list {
		list[i] = registry.Entity{Type: "user", ID: fmt.Sprint(i), Properties: []byte(`{"grade":1}`), Parents: []registry.EntityRef{{Type: "group", ID: "staff"}}}
	}
	put := func(list []registry.Entity) registry.Outcome[registry.EntitiesPut] {
		t.Helper()
		out, err := h.PutEntities(ctx, h.Call(), "", list)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}

	before := epoch()
	if out := put(list); out.Value != (registry.EntitiesPut{Changed: registry.MaxEntities}) || len(out.Events) != registry.MaxEntities {
		t.Fatalf("%+v, %d events", out.Value, len(out.Events))
	}
	if now := epoch(); now != before+1 {
		t.Errorf("the epoch went from %d to %d", before, now)
	}
	before = epoch()
	if out := put(list); out.Value != (registry.EntitiesPut{Unchanged: registry.MaxEntities}) || len(out.Events) != 0 || epoch() != before {
		t.Errorf("the same again: %+v, %d events, epoch %d after %d", out.Value, len(out.Events), epoch(), before)
	}
	list[7].Properties = []byte(`{ "grade" : 1.0 }`) // the same, otherwise written
	list[8].Parents = nil
	out := put(list[5:10])
	if out.Value != (registry.EntitiesPut{Changed: 1, Unchanged: 4}) {
		t.Errorf("%+v", out.Value)
	}
	kept, err := h.FindEntity(ctx, h.Operator, "", "user", "8")
	if err != nil || kept.Parents != nil {
		t.Errorf("%+v, %v", kept, err)
	}
	var of struct {
		Name  string
		Value struct{ ID string }
	}
	if err := h.Store.View(ctx, func(tx registry.Tx) error {
		hidden, err := tx.Disclosures(out.Event.CID)
		if err != nil {
			return err
		}
		of.Name = hidden[0].Name
		return json.Unmarshal(hidden[0].Value, &of.Value)
	}); err != nil || of.Name != "entity" || of.Value.ID != "8" {
		t.Errorf("the event is of %+v, %v", of, err)
	}
}

// TestPutEntitiesRefuses: one fault, and nothing of the list is kept.
func TestPutEntitiesRefuses(t *testing.T) {
	h := registrytest.New(t)
	good := registry.Entity{Type: "user", ID: "alice"}
	for field, list := range map[string][]registry.Entity{
		"/entities":                  make([]registry.Entity, registry.MaxEntities+1),
		"/entities/1":                {good, good},
		"/entities/1/type":           {good, {ID: "bob"}},
		"/entities/1/properties":     {good, {Type: "user", ID: "bob", Properties: []byte(`[]`)}},
		"/entities/2/properties":     {good, {Type: "user", ID: "eve"}, {Type: "user", ID: "bob", Properties: []byte(`{"a":1,"a":2}`)}},
		"/entities/1/parents/0":      {good, {Type: "user", ID: "bob", Parents: []registry.EntityRef{{Type: "user", ID: "bob"}}}},
		"/entities/1/parents/0/type": {good, {Type: "user", ID: "bob", Parents: []registry.EntityRef{{ID: "staff"}}}},
	} {
		_, err := h.PutEntities(t.Context(), h.Call(), "", list)
		var e *registry.Error
		if !errors.As(err, &e) || e.Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
	if _, err := h.PutEntities(t.Context(), h.Call(), "", nil); !errors.Is(err, registry.Malformed) {
		t.Errorf("no entities: %v", err)
	}
	list, err := h.ListEntities(t.Context(), h.Operator, "", "", registry.Page{})
	if err != nil || len(list) > 0 {
		t.Errorf("kept: %v %v", list, err)
	}
}
