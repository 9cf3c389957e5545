package hotstate_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/writ-registry/writ/internal/hotstate"
	"github.com/writ-registry/writ/registry"
	"github.com/writ-registry/writ/registry/capability"
	"github.com/writ-registry/writ/registry/policy"
	"github.com/writ-registry/writ/registry/registrytest"
)

// TestNoReplayWhateverRedisDoes decides under load, on Redis, while Redis is
// flushed, killed, paused and restarted, and the catalogue makes the act
// qualified and unqualified by turns. No proof is accepted twice, whichever
// way each of its uses went; nothing is permitted after a kill; and Redis is
// used again when it is back, by the same decision point.
func TestNoReplayWhateverRedisDoes(t *testing.T) {
	s := startRedis(t, false)
	h := registrytest.New(t)
	actions := func(material bool) []registry.CatalogueAction {
		return []registry.CatalogueAction{{Action: "read:invoices", Reversibility: registry.Reversible, Material: material}}
	}
	h.Catalogue(t, actions(false)...)
	a := h.NewAgent(t, "a")
	g := a.Grant(t, "read:invoices")
	pdp := policy.New(h.Journal, registrytest.Origin, registrytest.Key(1).Public(), nil)
	if err := pdp.Remember(t.Context(), s.open(t)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { pdp.Run(ctx) })
	defer running.Wait()
	defer cancel()

	ask := func() policy.Request {
		now := time.Now().Unix()
		return a.Ask(t, g, "read", "invoices", "1", "", func(c *capability.ActionClaims) { c.IssuedAt, c.Expires = now, now+60 })
	}
	decide := func(req policy.Request) bool {
		d, err := pdp.Decide(context.Background(), a.Direct(), req)
		if err != nil && !errors.Is(err, registry.Unauthenticated) && !errors.Is(err, registry.Unavailable) {
			t.Errorf("decide: %v", err)
		}
		return err == nil && d.Verdict == policy.Permit
	}
	type proof struct {
		req     policy.Request
		permits atomic.Int32
	}
	var mu sync.Mutex
	var all []*proof
	var permits, asked atomic.Int64
	use := func(p *proof) {
		if decide(p.req) {
			p.permits.Add(1)
			permits.Add(1)
		}
		asked.Add(1)
	}
	var stop atomic.Bool
	var workers sync.WaitGroup
	for range 6 {
		workers.Go(func() {
			for !stop.Load() {
				p := &proof{req: ask()}
				mu.Lock()
				all = append(all, p)
				old := all[rand.N(len(all))]
				mu.Unlock()
				var both sync.WaitGroup // the same proof at once, and an older one
				both.Go(func() { use(p) })
				both.Go(func() { use(p) })
				use(old)
				both.Wait()
			}
		})
	}
	for i, fault := range []func(){
		func() { s.must(t, "FLUSHALL", "+OK") },
		func() { s.kill(); time.Sleep(100 * time.Millisecond); s.start(t) },
		func() { s.signal(syscall.SIGSTOP); time.Sleep(3 * hotstate.Patience); s.signal(syscall.SIGCONT) },
		func() { s.must(t, "SAVE", "+OK"); s.kill(); s.start(t) },
	} {
		wait(t, func() bool { // in use, with permits in it
			n, err := s.admin("DBSIZE")
			return err == nil && n != ":0" && n != ":1"
		})
		h.Catalogue(t, actions(i%2 == 0)...)
		fault()
		h.Catalogue(t, actions(false)...)
		given, seen := permits.Load(), asked.Load()
		wait(t, func() bool { return permits.Load() > given+50 && asked.Load() > seen+200 })
	}
	stop.Store(true)
	workers.Wait()
	for _, p := range all {
		use(p)
	}
	for n, p := range all {
		if c := p.permits.Load(); c > 1 {
			t.Errorf("proof %d of %d was accepted %d times", n, len(all), c)
		}
	}
	t.Logf("%d proofs, %d uses, %d permits", len(all), asked.Load(), permits.Load())

	before, _ := s.admin("DBSIZE")
	wait(t, func() bool { // recovery: a permit leaves its proof in Redis
		decide(ask())
		n, err := s.admin("DBSIZE")
		return err == nil && len(n) >= len(before) && n != before && !strings.HasPrefix(n, "-")
	})
	if _, err := h.SetKill(t.Context(), h.Call(), registry.Scope{Kind: registry.ScopeAgent, ID: a.ID}, "drill"); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if decide(ask()) {
			t.Error("permitted after the kill")
		}
	}
}
