package tlog

import (
	"context"
	"fmt"
	"math"

	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
)

// RootAt returns the root of the tree over the first size entries, for any size
// that the stored tiles cover (RFC 6962 section 2.1). It reads at most one tile a
// level. It returns ErrMissing if the log is shorter, ErrInvalid from 2^63 on.
func RootAt(ctx context.Context, r Reader, size uint64) (Hash, error) {
	if size > math.MaxInt64 {
		return Hash{}, fmt.Errorf("%w: size %d", ErrInvalid, size)
	}
	var edge [][]Hash
	for level, n := 0, size; n > 0; level, n = level+1, n>>TileHeight {
		hashes, err := readTile(ctx, r, level, n/TileWidth, int(n%TileWidth))
		if err != nil {
			return Hash{}, err
		}
		edge = append(edge, hashes)
	}
	return foldEdge(edge), nil
}

// InclusionProof returns the proof that the entry at index is in the tree of the
// given size: the audit path of RFC 6962 section 2.1.1, lowest node first, empty
// for a tree of one entry. It returns ErrInvalid unless index < size < 2^63,
// ErrMissing if the stored tiles do not reach size.
func InclusionProof(ctx context.Context, r Reader, index, size uint64) ([]Hash, error) {
	if index >= size || size > math.MaxInt64 {
		return nil, fmt.Errorf("%w: index %d in a tree of size %d", ErrInvalid, index, size)
	}
	nodes, err := proof.Inclusion(index, size)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return assemble(ctx, r, nodes, size)
}

// ConsistencyProof returns the proof that the tree of size1 is a prefix of the
// tree of size2: RFC 6962 section 2.1.2 and RFC 9162 section 2.1.4. It is empty
// if size1 is 0 or equals size2. It returns ErrInvalid unless size1 <= size2 <
// 2^63, ErrMissing if the stored tiles do not reach size2.
func ConsistencyProof(ctx context.Context, r Reader, size1, size2 uint64) ([]Hash, error) {
	if size1 > size2 || size2 > math.MaxInt64 {
		return nil, fmt.Errorf("%w: consistency from size %d to %d", ErrInvalid, size1, size2)
	}
	nodes, err := proof.Consistency(size1, size2)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return assemble(ctx, r, nodes, size2)
}

// VerifyInclusion checks that proof leads from leaf at index to root in a tree of
// the given size (RFC 9162 section 2.1.3.2). leaf is a [LeafHash], not an entry.
// It returns ErrInvalid if index >= size, ErrProof if the proof has another
// length than it must have or does not lead to root.
func VerifyInclusion(leaf Hash, index, size uint64, path []Hash, root Hash) error {
	if index >= size {
		return fmt.Errorf("%w: index %d in a tree of size %d", ErrInvalid, index, size)
	}
	if err := proof.VerifyInclusion(rfc6962.DefaultHasher, index, size, leaf[:], byteSlices(path), root[:]); err != nil {
		return fmt.Errorf("%w: inclusion of entry %d in a tree of size %d: %w", ErrProof, index, size, err)
	}
	return nil
}

// VerifyConsistency checks that the tree of size2 with root2 extends the tree of
// size1 with root1 (RFC 9162 section 2.1.4.2). Of an empty tree, which every tree
// extends, it also checks that root1 is its root, [EmptyRoot]. It returns
// ErrInvalid if size1 > size2, ErrProof if the claim is not proven; equal sizes
// with different roots are ErrProof too.
func VerifyConsistency(size1, size2 uint64, root1, root2 Hash, path []Hash) error {
	if size1 > size2 {
		return fmt.Errorf("%w: consistency from size %d to %d", ErrInvalid, size1, size2)
	}
	if size1 == 0 && root1 != EmptyRoot() || size2 == 0 && root2 != EmptyRoot() {
		return fmt.Errorf("%w: size 0 with a root that is not that of the empty tree", ErrProof)
	}
	if err := proof.VerifyConsistency(rfc6962.DefaultHasher, size1, size2, byteSlices(path), root1[:], root2[:]); err != nil {
		return fmt.Errorf("%w: consistency from size %d to %d: %w", ErrProof, size1, size2, err)
	}
	return nil
}

// assemble reads the nodes of a proof in a tree of the given size from tiles,
// each tile once, and folds the incomplete node that a proof may contain.
func assemble(ctx context.Context, r Reader, nodes proof.Nodes, size uint64) ([]Hash, error) {
	type coordinates struct {
		level int
		index uint64
	}
	tiles := make(map[coordinates][]Hash)
	node := func(id compact.NodeID) (Hash, error) {
		// The node is the root of 2^sub hashes in a tile at this level.
		level, sub := int(id.Level/TileHeight), id.Level%TileHeight
		first := id.Index << sub
		at := coordinates{level, first / TileWidth}
		hashes, ok := tiles[at]
		if !ok {
			width := min(size>>(uint(level)*TileHeight)-at.index*TileWidth, TileWidth)
			var err error
			if hashes, err = readTile(ctx, r, at.level, at.index, int(width)); err != nil {
				return Hash{}, err
			}
			tiles[at] = hashes
		}
		first %= TileWidth
		return subtree(hashes[first : first+1<<sub]), nil
	}

	path := make([][]byte, len(nodes.IDs))
	for i, id := range nodes.IDs {
		h, err := node(id)
		if err != nil {
			return nil, err
		}
		path[i] = h[:]
	}
	path, err := nodes.Rehash(path, rfc6962.DefaultHasher.HashChildren)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	out := make([]Hash, len(path))
	for i, h := range path {
		out[i] = Hash(h)
	}
	return out, nil
}

func byteSlices(hashes []Hash) [][]byte {
	out := make([][]byte, len(hashes))
	for i := range hashes {
		out[i] = hashes[i][:]
	}
	return out
}
