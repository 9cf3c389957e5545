//go:build conformance

package journal

import (
	"context"

	"github.com/writ-registry/writ/anchor/tlog"
	"github.com/writ-registry/writ/registry"
)

// AppendRaw makes bytes an entry of the log as they are, with no event behind
// it, and returns its index once it is durable. It waits in the same queue and
// is committed by the same transaction as every command, so that what drives it
// from outside drives the registry's own pipeline.
//
// It exists in the conformance build only: in a registry an entry without an
// event would be evidence of nothing.
func (j *Journal) AppendRaw(ctx context.Context, entry []byte) (index uint64, err error) {
	if len(entry) > tlog.MaxEntry {
		return 0, registry.Errorf(registry.TooLarge, "an entry has at most %d bytes", tlog.MaxEntry)
	}
	_, err = j.wait(&pending{ctx: ctx, done: make(chan struct{}), run: func(b *run) (registry.Commit, error) {
		index = b.head.Size + uint64(len(b.entries))
		b.entries = append(b.entries, entry)
		return registry.Commit{}, nil
	}})
	return index, err
}
