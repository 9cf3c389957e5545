package hotstate_test

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/writ-registry/writ/internal/hotstate"
	"github.com/writ-registry/writ/registry/policy"
)

// TestSuite is what every store does.
func TestSuite(t *testing.T) {
	t.Run("memory", func(t *testing.T) { suite(t, &hotstate.Memory{}) })
	t.Run("redis", func(t *testing.T) { suite(t, startRedis(t, false).open(t)) })
	t.Run("redis with TLS", func(t *testing.T) { suite(t, startRedis(t, true).open(t)) })
}

func suite(t *testing.T, s policy.Spent) {
	ctx, now := t.Context(), time.Now()
	spend := func(name, key, record string) (string, error) {
		return s.Spend(ctx, name, key, record, now, now.Add(time.Minute))
	}
	if _, err := spend("one", "k", "r"); !errors.Is(err, hotstate.ErrLost) {
		t.Fatalf("before it began: %v", err)
	}
	if err := s.Begin(ctx, "one", now); err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"", "r0", "r0"} {
		if got, err := spend("one", "k", fmt.Sprintf("r%d", i)); got != want || err != nil {
			t.Errorf("spend %d: %q, %v, want %q", i, got, err, want)
		}
	}
	if got, err := spend("one", "other", "r"); got != "" || err != nil {
		t.Errorf("another proof: %q, %v", got, err)
	}
	var firsts atomic.Int32
	var wg sync.WaitGroup
	for i := range 32 {
		wg.Go(func() {
			if got, err := spend("one", "race", fmt.Sprint(i)); err != nil {
				t.Error(err)
			} else if got == "" {
				firsts.Add(1)
			}
		})
	}
	if wg.Wait(); firsts.Load() != 1 {
		t.Errorf("%d of 32 were first", firsts.Load())
	}
	if err := s.Begin(ctx, "two", now); err != nil {
		t.Fatal(err)
	}
	if _, err := spend("one", "new", "r"); !errors.Is(err, hotstate.ErrLost) {
		t.Errorf("under the name of a store that has ended: %v", err)
	}
	if got, err := spend("two", "k", "r"); got != "" || err != nil {
		t.Errorf("a store that begins is empty: %q, %v", got, err)
	}
	// Forgotten after its end, not before.
	if _, err := s.Spend(ctx, "two", "short", "r", now, now.Add(300*time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if got, err := spend("two", "short", "r2"); got != "r" || err != nil {
		t.Errorf("before its end: %q, %v", got, err)
	}
}

func TestMemoryForgets(t *testing.T) {
	m, now := hotstate.SmallMemory(2), time.Now()
	if err := m.Begin(t.Context(), "m", now); err != nil {
		t.Fatal(err)
	}
	spend := func(key string, at time.Duration) (string, error) {
		return m.Spend(t.Context(), "m", key, "r", now.Add(at), now.Add(at+time.Minute))
	}
	for _, key := range []string{"a", "b"} {
		if got, err := spend(key, 0); got != "" || err != nil {
			t.Fatalf("%s: %q, %v", key, got, err)
		}
	}
	if _, err := spend("c", time.Minute); !errors.Is(err, hotstate.ErrFull) {
		t.Errorf("full: %v", err)
	}
	if got, err := spend("a", time.Minute); got != "r" || err != nil {
		t.Errorf("at its very end: %q, %v", got, err)
	}
	if got, err := spend("c", 61*time.Second); got != "" || err != nil {
		t.Errorf("after the end of the others: %q, %v", got, err)
	}
	if _, err := spend("b", 0); err != nil || m.Len() != 2 {
		t.Errorf("by a clock that was set back: %d remembered, %v", m.Len(), err)
	}
}
