package tlog_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/merkle/testonly"
	xtlog "golang.org/x/mod/sumdb/tlog"

	"github.com/writ-registry/writ/anchor/tlog"
)

// memory is a log in maps, as a Reader. It counts what is read.
type memory struct {
	size    uint64
	root    tlog.Hash
	tiles   map[tile][]byte
	bundles map[uint64][]byte
	reads   int
}

type tile struct {
	level int
	index uint64
}

func newMemory() *memory {
	return &memory{root: tlog.EmptyRoot(), tiles: map[tile][]byte{}, bundles: map[uint64][]byte{}}
}

func (m *memory) HashTile(_ context.Context, level int, index uint64) ([]byte, error) {
	m.reads++
	if data, ok := m.tiles[tile{level, index}]; ok {
		return data, nil
	}
	return nil, tlog.ErrMissing
}

func (m *memory) EntryBundle(_ context.Context, index uint64) ([]byte, error) {
	m.reads++
	if data, ok := m.bundles[index]; ok {
		return data, nil
	}
	return nil, tlog.ErrMissing
}

func (m *memory) store(a tlog.Appended) {
	m.size, m.root = a.Size, a.Root
	for _, t := range a.Tiles {
		m.tiles[tile{t.Level, t.Index}] = t.Data
	}
	for _, b := range a.Bundles {
		m.bundles[b.Index] = b.Data
	}
}

func (m *memory) append(t testing.TB, entries ...[]byte) {
	t.Helper()
	a, err := tlog.Append(t.Context(), m, m.size, entries)
	if err != nil {
		t.Fatalf("append %d entries at size %d: %v", len(entries), m.size, err)
	}
	m.store(a)
}

// entry returns a distinct entry for each index, of varying length.
func entry(i int) []byte {
	return bytes.Repeat(fmt.Appendf(nil, "entry %d;", i), i%4)
}

func grow(t testing.TB, m *memory, n int) {
	t.Helper()
	batch := make([][]byte, n)
	for i := range batch {
		batch[i] = entry(int(m.size) + i)
	}
	m.append(t, batch...)
}

func hashes(list [][]byte) []tlog.Hash {
	out := make([]tlog.Hash, len(list))
	for i, h := range list {
		out[i] = tlog.Hash(h)
	}
	return out
}

// The vectors of Certificate Transparency, used by every RFC 6962 implementation.
func TestVectorsRFC6962(t *testing.T) {
	m := newMemory()
	for size, want := range testonly.RootHashes() {
		if size > 0 {
			m.append(t, testonly.LeafInputs()[size-1])
		}
		if !bytes.Equal(m.root[:], want) {
			t.Errorf("root at size %d = %x, want %x", size, m.root, want)
		}
	}
	for i, input := range testonly.LeafInputs() {
		if got, want := tlog.LeafHash(input), testonly.NodeHashes()[0][i]; !bytes.Equal(got[:], want) {
			t.Errorf("LeafHash(%x) = %x, want %x", input, got, want)
		}
	}
}

// Every size up to 600 crosses two tile boundaries; every proof of it is held
// against two implementations that share no code with each other.
func TestAllSizesAgainstOracles(t *testing.T) {
	const most = 600
	ctx := t.Context()
	m, oracle := newMemory(), testonly.New(rfc6962.DefaultHasher)
	var stored storedHashes
	for n := range most {
		e := entry(n)
		m.append(t, e)
		oracle.AppendData(e)
		stored.append(t, e)
	}
	for size := uint64(0); size <= most; size++ {
		root, err := tlog.RootAt(ctx, m, size)
		if err != nil {
			t.Fatalf("RootAt(%d): %v", size, err)
		}
		if !bytes.Equal(root[:], oracle.HashAt(size)) {
			t.Fatalf("RootAt(%d) = %x, want %x", size, root, oracle.HashAt(size))
		}
		if x, err := xtlog.TreeHash(int64(size), stored); err != nil || tlog.Hash(x) != root {
			t.Fatalf("RootAt(%d) = %x, x/mod says %x, %v", size, root, x, err)
		}
		for index := uint64(0); index < size; index += 1 + size/6 {
			checkInclusion(t, m, oracle, stored, index, size)
		}
		for from := uint64(0); from <= size; from += 1 + size/6 {
			checkConsistency(t, m, oracle, stored, from, size)
		}
	}
}

func TestRandomSizesAgainstOracles(t *testing.T) {
	m, oracle := newMemory(), testonly.New(rfc6962.DefaultHasher)
	var stored storedHashes
	random := rand.New(rand.NewPCG(1, 2))
	for m.size < 70_000 { // past 65,536: three levels of tiles
		n := 1 + random.IntN(9_000)
		for i := range n {
			oracle.AppendData(entry(int(m.size) + i))
			stored.append(t, entry(int(m.size)+i))
		}
		grow(t, m, n)
		if !bytes.Equal(m.root[:], oracle.Hash()) {
			t.Fatalf("root at size %d = %x, want %x", m.size, m.root, oracle.Hash())
		}
	}
	for range 200 {
		size := 1 + random.Uint64N(m.size)
		checkInclusion(t, m, oracle, stored, random.Uint64N(size), size)
		checkConsistency(t, m, oracle, stored, random.Uint64N(size+1), size)
	}
}

// storedHashes is the hash storage of x/mod/sumdb/tlog.
type storedHashes []xtlog.Hash

func (s storedHashes) ReadHashes(indexes []int64) ([]xtlog.Hash, error) {
	out := make([]xtlog.Hash, len(indexes))
	for i, x := range indexes {
		out[i] = s[x]
	}
	return out, nil
}

func (s *storedHashes) append(t testing.TB, e []byte) {
	n := int64(0)
	for xtlog.StoredHashCount(n) < int64(len(*s)) {
		n = s.count()
	}
	more, err := xtlog.StoredHashes(n, e, *s)
	if err != nil {
		t.Fatal(err)
	}
	*s = append(*s, more...)
}

// count returns the number of records that len(s) hashes stand for.
func (s storedHashes) count() int64 {
	lo, hi := int64(0), int64(len(s))
	for lo < hi {
		mid := (lo + hi) / 2
		if xtlog.StoredHashCount(mid) < int64(len(s)) {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}

func checkInclusion(t *testing.T, m *memory, oracle *testonly.Tree, stored storedHashes, index, size uint64) {
	t.Helper()
	got, err := tlog.InclusionProof(t.Context(), m, index, size)
	if err != nil {
		t.Fatalf("InclusionProof(%d, %d): %v", index, size, err)
	}
	want, err := oracle.InclusionProof(index, size)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(hashes(want), got); diff != "" {
		t.Fatalf("InclusionProof(%d, %d) (-want +got):\n%s", index, size, diff)
	}
	root, leaf := tlog.Hash(oracle.HashAt(size)), tlog.LeafHash(entry(int(index)))
	if err := tlog.VerifyInclusion(leaf, index, size, got, root); err != nil {
		t.Fatalf("VerifyInclusion(%d, %d): %v", index, size, err)
	}
	var x xtlog.RecordProof
	for _, h := range got {
		x = append(x, xtlog.Hash(h))
	}
	if err := xtlog.CheckRecord(x, int64(size), xtlog.Hash(root), int64(index), xtlog.Hash(leaf)); err != nil {
		t.Fatalf("x/mod CheckRecord(%d, %d): %v", index, size, err)
	}
}

func checkConsistency(t *testing.T, m *memory, oracle *testonly.Tree, stored storedHashes, from, size uint64) {
	t.Helper()
	got, err := tlog.ConsistencyProof(t.Context(), m, from, size)
	if err != nil {
		t.Fatalf("ConsistencyProof(%d, %d): %v", from, size, err)
	}
	want, err := oracle.ConsistencyProof(from, size)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(hashes(want), got); diff != "" {
		t.Fatalf("ConsistencyProof(%d, %d) (-want +got):\n%s", from, size, diff)
	}
	old, root := tlog.Hash(oracle.HashAt(from)), tlog.Hash(oracle.HashAt(size))
	if err := tlog.VerifyConsistency(from, size, old, root, got); err != nil {
		t.Fatalf("VerifyConsistency(%d, %d): %v", from, size, err)
	}
	if from > 0 {
		x, err := xtlog.ProveTree(int64(size), int64(from), stored)
		if err != nil {
			t.Fatal(err)
		}
		if len(x) != len(got) {
			t.Fatalf("ConsistencyProof(%d, %d) has %d hashes, x/mod %d", from, size, len(got), len(x))
		}
		if err := xtlog.CheckTree(x, int64(size), xtlog.Hash(root), int64(from), xtlog.Hash(old)); err != nil {
			t.Fatal(err)
		}
	}
}

// However the entries are cut into batches, the same bytes are stored.
func TestBatchesDoNotShow(t *testing.T) {
	one := newMemory()
	grow(t, one, 1_300)
	random := rand.New(rand.NewPCG(3, 4))
	for range 5 {
		m := newMemory()
		for m.size < one.size {
			grow(t, m, int(min(random.Uint64N(400), one.size-m.size)))
		}
		if diff := cmp.Diff(one, m, cmp.AllowUnexported(memory{}, tile{}), cmp.FilterPath(
			func(p cmp.Path) bool { return p.Last().String() == ".reads" }, cmp.Ignore())); diff != "" {
			t.Fatalf("one batch and many differ:\n%s", diff)
		}
	}
}

// What a crashed writer stored beyond the committed size is overwritten and does
// not show in any root or proof.
func TestAppendOverTornWrite(t *testing.T) {
	for _, size := range []int{0, 1, 200, 255, 256, 511, 512, 700} {
		m, clean := newMemory(), newMemory()
		grow(t, m, size)
		grow(t, clean, size)
		torn, err := tlog.Append(t.Context(), m, m.size, [][]byte{[]byte("lost"), []byte("also lost")})
		if err != nil {
			t.Fatal(err)
		}
		head, root := m.size, m.root
		m.store(torn)
		m.size, m.root = head, root // the transaction with the head was lost
		if got, err := tlog.RootAt(t.Context(), m, head); err != nil || got != root {
			t.Fatalf("RootAt(%d) over a torn write = %x, %v, want %x", head, got, err, root)
		}
		grow(t, m, 300)
		grow(t, clean, 300)
		if m.root != clean.root {
			t.Errorf("size %d: root after a torn write differs", size)
		}
	}
}

func TestBundles(t *testing.T) {
	m := newMemory()
	grow(t, m, 600)
	for index, data := range m.bundles {
		entries, err := tlog.ParseBundle(data)
		if err != nil {
			t.Fatal(err)
		}
		for i, e := range entries {
			if want := entry(int(index)*tlog.TileWidth + i); !bytes.Equal(e, want) {
				t.Fatalf("entry %d of bundle %d = %q, want %q", i, index, e, want)
			}
			leaf := m.tiles[tile{0, index}][i*tlog.HashSize:][:tlog.HashSize]
			if h := tlog.LeafHash(e); !bytes.Equal(h[:], leaf) {
				t.Fatalf("entry %d of bundle %d is not the leaf in the tile", i, index)
			}
		}
		for width := range entries {
			prefix, err := tlog.BundlePrefix(data, width)
			if err != nil {
				t.Fatal(err)
			}
			if got, _ := tlog.ParseBundle(prefix); len(got) != width {
				t.Fatalf("BundlePrefix(%d) has %d entries", width, len(got))
			}
		}
		if _, err := tlog.BundlePrefix(data, len(entries)+1); err == nil {
			t.Fatal("BundlePrefix wider than the bundle succeeded")
		}
	}
	for _, bad := range []string{"", "\x00", "\x00\x02a", "\xff\xff"} {
		if _, err := tlog.ParseBundle([]byte(bad)); !errors.Is(err, tlog.ErrInvalid) {
			t.Errorf("ParseBundle(%q) = %v, want ErrInvalid", bad, err)
		}
	}
	if _, err := tlog.ParseBundle(make([]byte, 2*257)); !errors.Is(err, tlog.ErrInvalid) {
		t.Errorf("ParseBundle of 257 entries = %v, want ErrInvalid", err)
	}
}

func TestAppendLimits(t *testing.T) {
	m := newMemory()
	m.append(t, nil, make([]byte, tlog.MaxEntry), []byte{})
	if got, err := tlog.ParseBundle(m.bundles[0]); err != nil || len(got) != 3 || len(got[1]) != tlog.MaxEntry {
		t.Fatalf("the longest and the empty entry do not come back: %v", err)
	}
	if _, err := tlog.Append(t.Context(), m, m.size, [][]byte{make([]byte, tlog.MaxEntry+1)}); !errors.Is(err, tlog.ErrInvalid) {
		t.Errorf("65,536 bytes: %v, want ErrInvalid", err)
	}
	if _, err := tlog.Append(t.Context(), m, 1<<63-1, [][]byte{nil}); !errors.Is(err, tlog.ErrInvalid) {
		t.Errorf("size past 2^63: %v, want ErrInvalid", err)
	}
	if _, err := tlog.Append(t.Context(), newMemory(), 5, [][]byte{nil}); !errors.Is(err, tlog.ErrMissing) {
		t.Errorf("append to a log that is not there: %v, want ErrMissing", err)
	}
	a, err := tlog.Append(t.Context(), m, m.size, nil)
	if err != nil || a.Size != m.size || a.Root != m.root || len(a.Tiles)+len(a.Bundles) > 0 {
		t.Errorf("append of nothing = %+v, %v", a, err)
	}
	a, err = tlog.Append(t.Context(), newMemory(), 0, nil)
	if err != nil || a.Root != sha256.Sum256(nil) {
		t.Errorf("append of nothing to nothing = %+v, %v", a, err)
	}
}

// Only the right edge is read: a log of 10^7 entries costs what its height does.
func TestAppendReadsTheRightEdge(t *testing.T) {
	m := rightEdge(t, 10_000_001)
	m.reads = 0
	m.append(t, []byte("x"))
	if m.reads > 4 { // bundle, levels 0, 1, 2
		t.Errorf("append read %d tiles and bundles, want at most 4", m.reads)
	}
}

func TestReadBeyondTheLog(t *testing.T) {
	m := newMemory()
	grow(t, m, 300)
	ctx := t.Context()
	if _, err := tlog.RootAt(ctx, m, 301); !errors.Is(err, tlog.ErrMissing) {
		t.Errorf("RootAt(301) = %v, want ErrMissing", err)
	}
	if _, err := tlog.InclusionProof(ctx, m, 3, 301); !errors.Is(err, tlog.ErrMissing) {
		t.Errorf("InclusionProof(3, 301) = %v, want ErrMissing", err)
	}
	if _, err := tlog.ConsistencyProof(ctx, m, 3, 301); !errors.Is(err, tlog.ErrMissing) {
		t.Errorf("ConsistencyProof(3, 301) = %v, want ErrMissing", err)
	}
	if _, err := tlog.InclusionProof(ctx, m, 300, 300); !errors.Is(err, tlog.ErrInvalid) {
		t.Errorf("InclusionProof(300, 300) = %v, want ErrInvalid", err)
	}
	if _, err := tlog.ConsistencyProof(ctx, m, 5, 4); !errors.Is(err, tlog.ErrInvalid) {
		t.Errorf("ConsistencyProof(5, 4) = %v, want ErrInvalid", err)
	}
	for _, size := range []uint64{1 << 63, 1<<64 - 1} {
		if _, err := tlog.RootAt(ctx, m, size); !errors.Is(err, tlog.ErrInvalid) {
			t.Errorf("RootAt(%d) = %v, want ErrInvalid", size, err)
		}
	}
	m.tiles[tile{0, 0}] = m.tiles[tile{0, 0}][:100]
	if _, err := tlog.InclusionProof(ctx, m, 3, 300); !errors.Is(err, tlog.ErrInvalid) {
		t.Errorf("a tile of 100 bytes: %v, want ErrInvalid", err)
	}
}

func TestVerifyRefuses(t *testing.T) {
	m := newMemory()
	grow(t, m, 300)
	ctx := t.Context()
	leaf := tlog.LeafHash(entry(77))
	path, err := tlog.InclusionProof(ctx, m, 77, 300)
	if err != nil {
		t.Fatal(err)
	}
	if err := tlog.VerifyInclusion(leaf, 300, 300, path, m.root); !errors.Is(err, tlog.ErrInvalid) {
		t.Errorf("index = size: %v, want ErrInvalid", err)
	}
	for name, err := range map[string]error{
		"other index": tlog.VerifyInclusion(leaf, 76, 300, path, m.root),
		"other size":  tlog.VerifyInclusion(leaf, 77, 256, path, m.root),
		"other leaf":  tlog.VerifyInclusion(tlog.LeafHash(nil), 77, 300, path, m.root),
		"short":       tlog.VerifyInclusion(leaf, 77, 300, path[1:], m.root),
		"long":        tlog.VerifyInclusion(leaf, 77, 300, append(path, leaf), m.root),
	} {
		if !errors.Is(err, tlog.ErrProof) {
			t.Errorf("%s: %v, want ErrProof", name, err)
		}
	}

	old, err := tlog.RootAt(ctx, m, 200)
	if err != nil {
		t.Fatal(err)
	}
	path, err = tlog.ConsistencyProof(ctx, m, 200, 300)
	if err != nil {
		t.Fatal(err)
	}
	empty := tlog.EmptyRoot()
	for name, err := range map[string]error{
		"roots swapped":         tlog.VerifyConsistency(200, 300, m.root, old, path),
		"other old size":        tlog.VerifyConsistency(199, 300, old, m.root, path),
		"no proof":              tlog.VerifyConsistency(200, 300, old, m.root, nil),
		"same size, two roots":  tlog.VerifyConsistency(300, 300, old, m.root, nil),
		"empty with a proof":    tlog.VerifyConsistency(0, 300, empty, m.root, path),
		"empty with a root":     tlog.VerifyConsistency(0, 300, old, m.root, nil),
		"both empty, two roots": tlog.VerifyConsistency(0, 0, empty, old, nil),
	} {
		if !errors.Is(err, tlog.ErrProof) {
			t.Errorf("%s: %v, want ErrProof", name, err)
		}
	}
	if err := tlog.VerifyConsistency(0, 300, empty, m.root, nil); err != nil {
		t.Errorf("empty to 300: %v", err)
	}
	if err := tlog.VerifyConsistency(301, 300, old, m.root, nil); !errors.Is(err, tlog.ErrInvalid) {
		t.Errorf("backwards: %v, want ErrInvalid", err)
	}
}

// rightEdge returns a log of the given size of which only the right edge exists,
// filled with arbitrary hashes.
func rightEdge(t testing.TB, size uint64) *memory {
	t.Helper()
	m := newMemory()
	m.size = size
	for level, n := 0, size; n > 0; level, n = level+1, n>>tlog.TileHeight {
		if w := n % tlog.TileWidth; w > 0 {
			var data []byte
			for i := range w {
				h := sha256.Sum256(fmt.Appendf(nil, "%d %d", level, i))
				data = append(data, h[:]...)
			}
			m.tiles[tile{level, n / tlog.TileWidth}] = data
		}
	}
	var bundle []byte
	for range size % tlog.TileWidth {
		bundle = append(bundle, 0, 36)
		bundle = append(bundle, make([]byte, 36)...)
	}
	m.bundles[size/tlog.TileWidth] = bundle
	return m
}

func BenchmarkAppend(b *testing.B) {
	for _, size := range []uint64{1, 10_000, 10_000_000, 16_777_215} {
		for _, n := range []int{1, 64} {
			b.Run(fmt.Sprintf("size=%d/entries=%d", size, n), func(b *testing.B) {
				m := rightEdge(b, size)
				entries := make([][]byte, n)
				for i := range entries {
					entries[i] = make([]byte, 36)
				}
				b.ReportAllocs()
				for b.Loop() {
					if _, err := tlog.Append(b.Context(), m, size, entries); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func BenchmarkInclusionProof(b *testing.B) {
	m := newMemory()
	grow(b, m, 100_000)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := tlog.InclusionProof(b.Context(), m, 31_415, m.size); err != nil {
			b.Fatal(err)
		}
	}
}
