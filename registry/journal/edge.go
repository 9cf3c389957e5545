package journal

import (
	"context"

	"github.com/writ-registry/writ/anchor/tlog"
)

// edge is what Run remembers of the log it wrote last: where its tree and its
// sequences go on. It is a memory of the database and holds for one head.
type edge struct {
	head   Head
	tiles  map[int]tlog.Tile // the newest of each level
	bundle tlog.Bundle
	chains map[string]Link
}

// maxChains bounds the sequences remembered, at some 200 bytes each.
const maxChains = 1 << 15

// edgeAt is the memory where it is of this head, else an empty one.
func (j *Journal) edgeAt(h Head) *edge {
	if j.edge == nil || j.edge.head.Size != h.Size || j.edge.head.Root != h.Root {
		j.edge = &edge{head: h, tiles: map[int]tlog.Tile{}, chains: map[string]Link{}}
	}
	if len(j.edge.chains) > maxChains {
		clear(j.edge.chains)
	}
	return j.edge
}

// keep takes over what a committed batch wrote.
func (e *edge) keep(b *run) {
	e.head = b.head
	for _, t := range b.grown.Tiles {
		e.tiles[t.Level] = t
	}
	if n := len(b.grown.Bundles); n > 0 {
		e.bundle = b.grown.Bundles[n-1]
	}
	for scope, l := range b.chains {
		e.chains[scope] = l
	}
}

// HashTile implements tlog.Reader.
func (b *run) HashTile(ctx context.Context, level int, index uint64) ([]byte, error) {
	if t, ok := b.edge.tiles[level]; ok && t.Index == index {
		return t.Data, nil
	}
	return b.tx.HashTile(ctx, level, index)
}

// EntryBundle implements tlog.Reader.
func (b *run) EntryBundle(ctx context.Context, index uint64) ([]byte, error) {
	if b.edge.bundle.Data != nil && b.edge.bundle.Index == index {
		return b.edge.bundle.Data, nil
	}
	return b.tx.EntryBundle(ctx, index)
}
