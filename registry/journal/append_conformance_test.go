//go:build conformance

package journal_test

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"github.com/writ-registry/writ/anchor/tlog"
	"github.com/writ-registry/writ/registry"
	"github.com/writ-registry/writ/registry/journal"
	"github.com/writ-registry/writ/registry/registrytest"
)

// entry reads one entry of the committed log.
func entry(t *testing.T, h *registrytest.House, index uint64) []byte {
	t.Helper()
	bundle, err := h.DB.Log(registrytest.LogOrigin).EntryBundle(t.Context(), index/tlog.TileWidth)
	if err != nil {
		t.Fatal(err)
	}
	entries, err := tlog.ParseBundle(bundle)
	if err != nil {
		t.Fatal(err)
	}
	return entries[index%tlog.TileWidth]
}

// TestConformanceAppendRaw: raw entries and events share one order and one
// commit; a failed commit acknowledges neither.
func TestConformanceAppendRaw(t *testing.T) {
	var f *fault
	h := registrytest.New(t, registrytest.WithBackend(func(b journal.Backend) journal.Backend {
		f = &fault{Backend: b}
		f.mode.Store("")
		return f
	}))
	size, _, err := h.DB.Log(registrytest.LogOrigin).Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	raw := []byte("raw")
	index, err := h.Journal.AppendRaw(t.Context(), raw)
	if err != nil || index != size || !bytes.Equal(entry(t, h, index), raw) {
		t.Fatalf("index %d, want %d, %v", index, size, err)
	}
	out, err := h.Journal.Commit(t.Context(), orgCommand("after"))
	if err != nil || out.Events[0].Index != size+1 {
		t.Fatalf("the next event: %+v, %v", out, err)
	}

	f.mode.Store("lock")
	if _, err := h.Journal.AppendRaw(t.Context(), raw); !errors.Is(err, registry.Unavailable) || f.fired.Load() != 1 {
		t.Errorf("an entry of a failed commit: %v", err)
	}
	if _, err := h.Journal.AppendRaw(t.Context(), make([]byte, tlog.MaxEntry+1)); !errors.Is(err, registry.TooLarge) {
		t.Errorf("an entry too long: %v", err)
	}
	index, err = h.Journal.AppendRaw(t.Context(), nil)
	if err != nil || index != size+2 || len(entry(t, h, index)) != 0 {
		t.Errorf("the empty entry: index %d, %v", index, err)
	}
}

// TestConformanceQueueIsBounded: what does not fit is pushed back at once, what
// waits when the journal ends is answered.
func TestConformanceQueueIsBounded(t *testing.T) {
	j := journal.New(journal.Config{Queue: 1, Ready: func() error { return errBroken }})
	const writers = 8
	answers := make(chan error, writers)
	for range writers {
		go func() {
			_, err := j.AppendRaw(context.Background(), []byte("entry"))
			answers <- err
		}()
	}
	for range writers - 1 { // nothing leaves the queue yet
		if err := <-answers; !errors.Is(err, journal.ErrBusy) {
			t.Errorf("beyond the queue: %v", err)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := j.Run(ended); err != nil {
		t.Fatal(err)
	}
	if err := <-answers; !errors.Is(err, registry.Unavailable) || errors.Is(err, journal.ErrBusy) {
		t.Errorf("the entry in the queue: %v", err)
	}
}
