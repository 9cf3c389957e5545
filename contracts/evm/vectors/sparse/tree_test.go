package sparse

import (
	"bytes"
	"testing"

	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/merkle/testonly"
)

// TestAgainstWholeTree cuts a tree at every size, which leaves nothing to invent but leaves, and compares it with one that
// transparency-dev/merkle built from these leaves.
func TestAgainstWholeTree(t *testing.T) {
	const size = 70
	cuts := make([]uint64, size)
	for i := range cuts {
		cuts[i] = uint64(i + 1)
	}
	tree := New("test", cuts...)
	whole := testonly.New(rfc6962.DefaultHasher)
	for i := range uint64(size) {
		whole.Append(tree.Leaf(i))
	}
	for second := uint64(0); second <= size; second++ {
		if got, want := tree.Root(second), whole.HashAt(second); !bytes.Equal(got, want) {
			t.Fatalf("root of %d: got %x, want %x", second, got, want)
		}
		for first := uint64(1); first < second; first++ {
			got, err := tree.Consistency(first, second)
			if err != nil {
				t.Fatal(err)
			}
			want, err := whole.ConsistencyProof(first, second)
			if err != nil {
				t.Fatal(err)
			}
			compare(t, got, want)
		}
		for index := range second {
			got, err := tree.Inclusion(index, second)
			if err != nil {
				t.Fatal(err)
			}
			want, err := whole.InclusionProof(index, second)
			if err != nil {
				t.Fatal(err)
			}
			compare(t, got, want)
		}
	}
}

func TestLargeTrees(t *testing.T) {
	for _, sizes := range [][2]uint64{{1, 1<<64 - 1}, {1_000_003, 1<<64 - 1}, {1 << 63, 1<<64 - 1}, {1e9 + 1, 1e9 + 10_003}} {
		tree := New("test", sizes[0], sizes[1])
		path, err := tree.Consistency(sizes[0], sizes[1])
		if err != nil {
			t.Fatal(err)
		}
		err = proof.VerifyConsistency(rfc6962.DefaultHasher, sizes[0], sizes[1], path, tree.Root(sizes[0]), tree.Root(sizes[1]))
		if err != nil {
			t.Errorf("%d -> %d: %v", sizes[0], sizes[1], err)
		}
	}
}

func TestUnannouncedSizePanics(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("a tree was shown at a size that it was not made for")
		}
	}()
	New("test", 7).Root(5)
}

func compare(t *testing.T, got, want [][]byte) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("got %d nodes, want %d", len(got), len(want))
	}
	for i := range got {
		if !bytes.Equal(got[i], want[i]) {
			t.Fatalf("node %d: got %x, want %x", i, got[i], want[i])
		}
	}
}
