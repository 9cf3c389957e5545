package tlog

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
)

// Tile is the whole content of one hash tile.
type Tile struct {
	Level int    // 0 holds leaf hashes, L the roots of full tiles at L-1
	Index uint64 // position within the level
	Data  []byte // n*32 bytes, 1 <= n <= 256
}

// Bundle is the whole content of one entry bundle.
type Bundle struct {
	Index uint64 // position: holds the entries from 256*Index on
	Data  []byte // uint16 big-endian length and entry, repeated
}

// Appended is the outcome of [Append]: the new head and everything that has to
// be stored for it. Tiles are ordered by level, then by index; bundles by index.
// Each replaces what was stored under its coordinates, and storing one of them
// alone does no harm, as readers use the prefix that their tree size implies.
type Appended struct {
	Size    uint64
	Root    Hash
	Tiles   []Tile
	Bundles []Bundle
}

// Append computes the log of the given size with entries added at its end.
//
// It reads only the right edge of the tree: at most one bundle and one tile a
// level, eight levels at the most, and of those only the part that belongs to
// size, so what a crashed writer left behind is overwritten. It stores nothing;
// a caller makes the result durable before it shows an index to anyone.
//
// Without entries the result is the head at size, with nothing to store. It
// returns ErrInvalid if an entry is longer than [MaxEntry] or the size would
// pass 2^63, ErrMissing if the right edge is not stored, else the Reader's error.
func Append(ctx context.Context, r Reader, size uint64, entries [][]byte) (Appended, error) {
	if size > math.MaxInt64-uint64(len(entries)) {
		return Appended{}, fmt.Errorf("%w: size %d plus %d entries", ErrInvalid, size, len(entries))
	}
	for i, e := range entries {
		if len(e) > MaxEntry {
			return Appended{}, fmt.Errorf("%w: entry %d has %d bytes, at most %d fit", ErrInvalid, i, len(e), MaxEntry)
		}
	}
	if len(entries) == 0 {
		root, err := RootAt(ctx, r, size)
		return Appended{Size: size, Root: root}, err
	}

	out := Appended{Size: size + uint64(len(entries))}
	var err error
	if out.Bundles, err = appendBundles(ctx, r, size, entries); err != nil {
		return Appended{}, err
	}

	// Level by level: the new hashes of a level join the hashes of its last
	// tile, each tile that becomes full gives one new hash to the level above,
	// and what remains is one node list of the right edge.
	carry := make([]Hash, len(entries))
	for i, e := range entries {
		carry[i] = LeafHash(e)
	}
	var edge [][]Hash // by level, the hashes of the partial tile
	for level, old := 0, size; len(carry) > 0 || old > 0; level, old = level+1, old>>TileHeight {
		index, width := old/TileWidth, int(old%TileWidth)
		hashes, err := readTile(ctx, r, level, index, width)
		if err != nil {
			return Appended{}, err
		}
		changed := len(carry) > 0
		hashes = append(hashes, carry...)
		carry = carry[:0:0]
		for len(hashes) >= TileWidth {
			out.Tiles = append(out.Tiles, Tile{level, index, tileData(hashes[:TileWidth])})
			carry = append(carry, subtree(hashes[:TileWidth]))
			hashes = hashes[TileWidth:]
			index++
		}
		if changed && len(hashes) > 0 {
			out.Tiles = append(out.Tiles, Tile{level, index, tileData(hashes)})
		}
		edge = append(edge, hashes)
	}
	out.Root = foldEdge(edge)
	return out, nil
}

// appendBundles adds entries to the last bundle of a log of the given size and
// to as many new ones as they need.
func appendBundles(ctx context.Context, r Reader, size uint64, entries [][]byte) ([]Bundle, error) {
	index, width := size/TileWidth, int(size%TileWidth)
	var data []byte
	if width > 0 {
		stored, err := r.EntryBundle(ctx, index)
		if err == nil {
			data, err = BundlePrefix(stored, width)
		}
		if err != nil {
			return nil, fmt.Errorf("entry bundle %d: %w", index, err)
		}
	}
	var bundles []Bundle
	for len(entries) > 0 {
		n := min(len(entries), TileWidth-width)
		grow := 0
		for _, e := range entries[:n] {
			grow += 2 + len(e)
		}
		data = append(make([]byte, 0, len(data)+grow), data...)
		for _, e := range entries[:n] {
			data = binary.BigEndian.AppendUint16(data, uint16(len(e)))
			data = append(data, e...)
		}
		bundles = append(bundles, Bundle{index, data})
		entries, index, width, data = entries[n:], index+1, 0, nil
	}
	return bundles, nil
}

// foldEdge returns the root of the tree whose partial tiles are given by level.
// The nodes of a level are followed on the right by the one incomplete subtree
// that the levels below amount to; see [subtree].
func foldEdge(edge [][]Hash) Hash {
	var root Hash
	have := false
	for _, hashes := range edge {
		if len(hashes) == 0 {
			continue
		}
		if have {
			hashes = append(hashes[:len(hashes):len(hashes)], root)
		}
		root, have = subtree(hashes), true
	}
	if !have {
		return EmptyRoot()
	}
	return root
}

// readTile returns the first width hashes of a tile in a slice of its own with
// room to grow. A width of 0 reads nothing.
func readTile(ctx context.Context, r Reader, level int, index uint64, width int) ([]Hash, error) {
	if width == 0 {
		return nil, nil
	}
	data, err := r.HashTile(ctx, level, index)
	if err == nil {
		data, err = TilePrefix(data, width)
	}
	if err != nil {
		return nil, fmt.Errorf("tile %d at level %d: %w", index, level, err)
	}
	hashes := make([]Hash, width, width+8)
	for i := range hashes {
		hashes[i] = Hash(data[i*HashSize:])
	}
	return hashes, nil
}

func tileData(hashes []Hash) []byte {
	data := make([]byte, 0, len(hashes)*HashSize)
	for i := range hashes {
		data = append(data, hashes[i][:]...)
	}
	return data
}
