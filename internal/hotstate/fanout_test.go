package hotstate_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/writ-registry/writ/internal/hotstate"
	"github.com/writ-registry/writ/registry"
	"github.com/writ-registry/writ/registry/journal"
	"github.com/writ-registry/writ/registry/policy"
	"github.com/writ-registry/writ/registry/registrytest"
)

type fanout interface {
	Publish(ctx context.Context, authority uint64) error
	Listen(ctx context.Context, notice func(authority uint64)) error
}

// forever: the moment is read from the database when somebody says so, and
// never because it is old.
const forever = time.Duration(1<<63 - 1)

// TestFanout: two registries at one database. What one stops, the other has
// forgotten as soon as it hears of it; what it did not hear, when it listens
// again; and without any message, before a permit rests on it.
func TestFanout(t *testing.T) {
	t.Run("memory", func(t *testing.T) {
		f := &hotstate.Fanout{}
		testFanout(t, f, f)
	})
	t.Run("redis", func(t *testing.T) {
		s := startRedis(t, false)
		testFanout(t, s.open(t), s.open(t))
	})
	t.Run("redis with TLS", func(t *testing.T) {
		s := startRedis(t, true)
		testFanout(t, s.open(t), s.open(t))
	})
}

func testFanout(t *testing.T, here, there fanout) {
	dir := t.TempDir()
	var publishing sync.WaitGroup
	h := registrytest.Open(t, dir, func(c *journal.Config) {
		c.Moved = func(n uint64) { // never waits
			publishing.Go(func() {
				if err := here.Publish(context.Background(), n); err != nil {
					t.Errorf("publish: %v", err)
				}
			})
		}
	})
	t.Cleanup(publishing.Wait)
	if _, err := h.Bootstrap(t.Context(), "writ_principal_test"); err != nil {
		t.Fatal(err)
	}
	var err error
	if h.Operator, err = h.Authenticate(t.Context(), "writ_principal_test"); err != nil {
		t.Fatal(err)
	}
	h.Catalogue(t, registry.CatalogueAction{Action: "read:invoices", Reversibility: registry.Reversible, Material: true})
	a := h.NewAgent(t, "a")
	g := a.Grant(t, "read:invoices")
	other := registrytest.Open(t, dir)

	kill := func() uint64 {
		t.Helper()
		if _, err := h.SetKill(t.Context(), h.Call(), registry.Scope{Kind: registry.ScopeAgent, ID: a.ID}, "drill"); err != nil {
			t.Fatal(err)
		}
		m, err := h.Journal.Moment(t.Context(), forever)
		if err != nil {
			t.Fatal(err)
		}
		return m.Authority
	}
	release := func() {
		t.Helper()
		if _, err := h.ReleaseKill(t.Context(), h.Call(), registry.Scope{Kind: registry.ScopeAgent, ID: a.ID}, "over"); err != nil {
			t.Fatal(err)
		}
	}
	known := func() uint64 {
		m, err := other.Journal.Moment(t.Context(), forever)
		if err != nil {
			t.Fatal(err)
		}
		return m.Authority
	}
	verdict := func() policy.Verdict {
		d, err := other.PDP.Decide(t.Context(), a.Direct(), a.Ask(t, g, "read", "invoices", "1", ""))
		if err != nil {
			t.Fatal(err)
		}
		return d.Verdict
	}

	// Nobody listens yet. What is remembered is held against the database before
	// it is recorded.
	if v := verdict(); v != policy.Permit {
		t.Fatal(v)
	}
	kill()
	if v := verdict(); v != policy.Deny {
		t.Errorf("after a kill nobody told of: %s", v)
	}
	release()

	for _, round := range []string{"listening", "listening again"} {
		missed := kill() // while nobody listens
		ctx, cancel := context.WithCancel(t.Context())
		heard := make(chan uint64, 64)
		var listening sync.WaitGroup
		listening.Go(func() {
			if err := there.Listen(ctx, func(n uint64) { other.Journal.Notice(n); heard <- n }); err != nil && !errors.Is(err, context.Canceled) {
				t.Errorf("listen: %v", err)
			}
		})
		for known() < missed { // Unknown comes with the subscription
			<-heard
		}
		release()
		for n := kill(); known() < n; {
			<-heard
		}
		if v, err := other.PDP.Verify(t.Context(), a.Direct().Caller, a.Ask(t, g, "read", "invoices", "1", "")); err != nil || v.Active {
			t.Errorf("%s: active after a kill, %v", round, err)
		}
		cancel()
		listening.Wait()
		release()
	}
}

// TestListenOutlivesRedis: a listener hears Unknown when Redis is gone, and goes
// on when it is back.
func TestListenOutlivesRedis(t *testing.T) {
	s := startRedis(t, false)
	r := s.open(t)
	ctx, cancel := context.WithCancel(t.Context())
	heard := make(chan uint64, 1024)
	var listening sync.WaitGroup
	listening.Go(func() { r.Listen(ctx, func(n uint64) { heard <- n }) })
	defer listening.Wait()
	defer cancel()
	until := func(want uint64) {
		t.Helper()
		for end := time.After(30 * time.Second); ; {
			select {
			case n := <-heard:
				if n == want {
					return
				}
			case <-end:
				t.Fatalf("did not hear %d", want)
			}
		}
	}
	publish := func(n uint64) {
		t.Helper()
		if err := r.Publish(t.Context(), n); err != nil {
			t.Fatal(err)
		}
	}
	until(hotstate.Unknown)
	publish(7)
	until(7)
	s.kill()
	until(hotstate.Unknown)
	s.start(t)
	until(hotstate.Unknown)
	for len(heard) > 0 {
		<-heard
	}
	for done := false; !done; { // the subscription that was heard last may be the lost one's end
		publish(8)
		select {
		case n := <-heard:
			done = n == 8
		case <-time.After(time.Second):
		}
	}
}
