package registry_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/writ-registry/writ/registry"
	"github.com/writ-registry/writ/registry/registrytest"
)

// viewed counts what is read of a store.
type viewed struct {
	registry.Store
	n atomic.Int64
}

func (v *viewed) View(ctx context.Context, f func(registry.Tx) error) error {
	v.n.Add(1)
	return v.Store.View(ctx, f)
}

// TestCallersAreRemembered: those that are known, while no authority moves; one that
// is not known is looked up each time, and known once it is made.
func TestCallersAreRemembered(t *testing.T) {
	h := registrytest.New(t)
	store := &viewed{Store: h.Store}
	c := h.Config
	c.Store = store
	r := registry.New(c)
	reads := func(want int64, secret string, kind error) registry.Caller {
		t.Helper()
		before := store.n.Load()
		caller, err := r.Authenticate(t.Context(), secret)
		if !errors.Is(err, kind) || store.n.Load()-before != want {
			t.Errorf("%d reads, %v; want %d and %v", store.n.Load()-before, err, want, kind)
		}
		return caller
	}
	first := reads(1, h.Secret, nil)
	if again := reads(0, h.Secret, nil); again.Actor != first.Actor || !again.Operator() {
		t.Errorf("remembered %+v, was %+v", again, first)
	}
	h.Catalogue(t) // authority moved
	reads(1, h.Secret, nil)
	reads(0, h.Secret, nil)

	const nobody = "writ_principal_nobody"
	reads(1, nobody, registry.Unauthenticated)
	reads(1, nobody, registry.Unauthenticated)
	pep, err := r.RegisterPEP(t.Context(), h.Call(), registry.NewPEP{Org: registry.HouseOrg, Name: "gate", Resources: []string{"https://erp.example"}})
	if err != nil {
		t.Fatal(err)
	}
	reads(1, pep.Secret, nil)
	if gate := reads(0, pep.Secret, nil); gate.PEP == nil || gate.PEP.ID != pep.Value.ID {
		t.Errorf("the enforcement point is remembered as %+v", gate)
	}
}
