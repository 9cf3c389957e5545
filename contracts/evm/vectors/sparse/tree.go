// Package sparse makes Merkle trees of up to 2^64 - 1 leaves without the leaves.
//
// A proof between two sizes, or of one leaf, looks inside the complete subtrees that these numbers cut and takes every other
// complete subtree as one hash. A Tree knows the cuts and invents those hashes. Which nodes a proof consists of, and in which
// order, is left to transparency-dev/merkle: it is the reference that the contract is compared with.
package sparse

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
)

// Tree is an endless tree, of which a Root, Consistency and Inclusion show the first so many leaves.
type Tree struct {
	seed string
	cuts []uint64
}

// New returns the tree of a seed that is to be shown at these sizes only. A leaf is shown by the sizes around it.
func New(seed string, cuts ...uint64) *Tree {
	return &Tree{seed: seed, cuts: cuts}
}

// Root is the root hash of the first size leaves.
func (t *Tree) Root(size uint64) []byte {
	if size == 0 {
		return rfc6962.DefaultHasher.EmptyRoot()
	}
	t.mustCut(size)
	ids := compact.RangeNodes(0, size, nil)
	root := t.node(ids[len(ids)-1])
	for i := len(ids) - 2; i >= 0; i-- {
		root = rfc6962.DefaultHasher.HashChildren(t.node(ids[i]), root)
	}
	return root
}

// Leaf is the hash of a leaf.
func (t *Tree) Leaf(index uint64) []byte {
	t.mustCut(index)
	t.mustCut(index + 1)
	return t.node(compact.NewNodeID(0, index))
}

// Consistency is the proof that the tree of the second size extends that of the first.
func (t *Tree) Consistency(first, second uint64) ([][]byte, error) {
	t.mustCut(first)
	t.mustCut(second)
	nodes, err := proof.Consistency(first, second)
	if err != nil {
		return nil, fmt.Errorf("consistency of %d and %d: %w", first, second, err)
	}
	return t.prove(nodes)
}

// Inclusion is the proof that a leaf is in the tree of this size.
func (t *Tree) Inclusion(index, size uint64) ([][]byte, error) {
	t.mustCut(index)
	t.mustCut(index + 1)
	t.mustCut(size)
	nodes, err := proof.Inclusion(index, size)
	if err != nil {
		return nil, fmt.Errorf("inclusion of %d in %d: %w", index, size, err)
	}
	return t.prove(nodes)
}

func (t *Tree) prove(nodes proof.Nodes) ([][]byte, error) {
	hashes := make([][]byte, len(nodes.IDs))
	for i, id := range nodes.IDs {
		hashes[i] = t.node(id)
	}
	return nodes.Rehash(hashes, rfc6962.DefaultHasher.HashChildren)
}

// node is the hash of a complete subtree: invented if nothing cuts it, else that of its halves.
func (t *Tree) node(id compact.NodeID) []byte {
	if !t.isCut(id) {
		return t.invent(id)
	}
	left := compact.NewNodeID(id.Level-1, id.Index*2)
	return rfc6962.DefaultHasher.HashChildren(t.node(left), t.node(left.Sibling()))
}

func (t *Tree) isCut(id compact.NodeID) bool {
	begin := id.Index << id.Level
	last := begin + (1<<id.Level - 1)
	for _, cut := range t.cuts {
		if begin < cut && cut <= last {
			return true
		}
	}
	return false
}

// invent tells subtrees apart by their level and the low three bits of their index: enough that exchanging two nodes of a proof
// shows, and few enough hashes that a file of proofs stays small.
func (t *Tree) invent(id compact.NodeID) []byte {
	message := binary.BigEndian.AppendUint64([]byte(t.seed), uint64(id.Level)<<3|id.Index%8)
	hash := sha256.Sum256(message)
	return hash[:]
}

// mustCut keeps a caller from being shown an invented hash for something that was announced to be looked into.
func (t *Tree) mustCut(size uint64) {
	for _, cut := range t.cuts {
		if cut == size {
			return
		}
	}
	if size != 0 {
		panic(fmt.Sprintf("sparse: tree was not made to be shown at size %d", size))
	}
}
