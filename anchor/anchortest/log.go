// Package anchortest holds what the adapters of package anchor are tested
// with: the suites [Run] (ledgers) and [RunStore] (journals), an in-memory
// ledger, journal and log that pass them, and decorators that fail on demand.
package anchortest

import (
	"context"
	"fmt"
	"sync"

	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/merkle/testonly"

	"github.com/writ-registry/writ/anchor"
)

// Log is a growing Merkle log in memory. It implements anchor.Log; all of it
// counts as covered by a checkpoint. Safe for concurrent use.
type Log struct {
	mu      sync.Mutex
	tree    *testonly.Tree
	entries [][]byte
}

var _ anchor.Log = (*Log)(nil)

// NewLog returns a log of n entries.
func NewLog(n int) *Log {
	l := &Log{tree: testonly.New(rfc6962.DefaultHasher)}
	l.Append(n)
	return l
}

// Append adds n entries, which depend only on their index.
func (l *Log) Append(n int) { l.append(n, "entry") }

func (l *Log) append(n int, prefix string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for range n {
		e := fmt.Appendf(nil, "%s %d", prefix, len(l.entries))
		l.entries = append(l.entries, e)
		l.tree.AppendData(e)
	}
}

// Fork returns another history: the first shared entries of l and then n other
// ones.
func (l *Log) Fork(shared, n int) *Log {
	l.mu.Lock()
	entries := l.entries[:shared:shared]
	l.mu.Unlock()
	f := &Log{tree: testonly.New(rfc6962.DefaultHasher), entries: entries}
	f.tree.AppendData(entries...)
	f.append(n, "forked entry")
	return f
}

// Newest is Head without a context, for tests.
func (l *Log) Newest() anchor.Head {
	h, _ := l.Head(context.Background())
	return h
}

// Head implements anchor.Log.
func (l *Log) Head(ctx context.Context) (anchor.Head, error) {
	l.mu.Lock()
	size := l.tree.Size()
	l.mu.Unlock()
	if size == 0 {
		return anchor.Head{}, ctx.Err()
	}
	return l.HeadAt(ctx, size)
}

// HeadAt implements anchor.Log.
func (l *Log) HeadAt(ctx context.Context, size uint64) (anchor.Head, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if size > l.tree.Size() {
		return anchor.Head{}, fmt.Errorf("head at size %d of %d: %w", size, l.tree.Size(), anchor.ErrNotIntegrated)
	}
	return anchor.Head{Size: size, Root: [32]byte(l.tree.HashAt(size))}, ctx.Err()
}

// ConsistencyProof implements anchor.Log.
func (l *Log) ConsistencyProof(ctx context.Context, from, to uint64) ([][32]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	path, err := l.tree.ConsistencyProof(from, to)
	if err != nil {
		return nil, err
	}
	out := make([][32]byte, len(path))
	for i, h := range path {
		out[i] = [32]byte(h)
	}
	return out, ctx.Err()
}

// Signed returns the signed head that moves a ledger from prev to the log's
// head at size to: what the Submitter would build.
func (l *Log) Signed(ctx context.Context, s anchor.HeadSigner, logID [32]byte, prev anchor.Head, to uint64) (anchor.SignedHead, error) {
	head, err := l.HeadAt(ctx, to)
	if err != nil {
		return anchor.SignedHead{}, err
	}
	var path [][32]byte
	if prev.Size > 0 && prev.Size < to {
		if path, err = l.ConsistencyProof(ctx, prev.Size, to); err != nil {
			return anchor.SignedHead{}, err
		}
	}
	sig, err := s.SignHead(ctx, logID, head)
	if err != nil {
		return anchor.SignedHead{}, err
	}
	return anchor.SignedHead{LogID: logID, Head: head, HeadKey: s.HeadKey(), Signature: sig, Prev: prev, Proof: path}, nil
}
