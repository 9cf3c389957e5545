// Package tlog is the append-only Merkle log as bytes: tiles, entry bundles,
// proofs and checkpoints. It performs no I/O and imports nothing of Writ, so a
// monitor, a witness or an offline verifier can use it alone.
//
// A log is a sequence of entries. Its tree hash is that of RFC 6962 section 2.1
// (leaf SHA-256(0x00 || entry), node SHA-256(0x01 || left || right)), which RFC
// 9162 section 2.1 keeps. The tree is stored as C2SP tlog-tiles
// (https://c2sp.org/tlog-tiles): a hash tile at level L holds up to 256
// consecutive hashes of the nodes at height 8*L, and an entry bundle holds up to
// 256 consecutive entries. A tree head is published as a C2SP tlog-checkpoint
// (https://c2sp.org/tlog-checkpoint), a signed note.
//
// Writing is [Append]: it reads the right edge of the tree through a [Reader]
// and returns whole new tiles and bundles for the caller to store, together
// with the size and root, in one transaction. Reading is [RootAt],
// [InclusionProof] and [ConsistencyProof], each for any past size. Checking is
// [VerifyInclusion] and [VerifyConsistency].
package tlog

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
)

const (
	// HashSize is the length of a [Hash] in bytes.
	HashSize = sha256.Size

	// TileWidth is the number of hashes in a full tile and of entries in a full
	// bundle (C2SP tlog-tiles, "Merkle Tree").
	TileWidth = 256

	// TileHeight is the number of tree levels that one tile spans:
	// 1<<TileHeight == TileWidth.
	TileHeight = 8

	// MaxEntry is the length in bytes of the longest entry: a bundle keeps the
	// length of each entry in a uint16 (C2SP tlog-tiles, "Log Entries").
	MaxEntry = 1<<16 - 1
)

// Hash is a SHA-256 node hash of the tree.
type Hash = [HashSize]byte

var (
	// ErrMissing means that a tile or bundle is not stored, or that its stored
	// version is too narrow for the tree size in question. It never means that
	// reading failed.
	ErrMissing = errors.New("tlog: tile or bundle missing")

	// ErrInvalid means that an argument or an encoding breaks a rule of the
	// format: an index beyond the size, an entry too long, a malformed path,
	// bundle or checkpoint.
	ErrInvalid = errors.New("tlog: invalid")

	// ErrProof means that a well-formed statement is not true: a proof does not
	// lead to the root, a signature does not verify or comes from another key.
	ErrProof = errors.New("tlog: verification failed")
)

// Reader gives access to the stored tiles and bundles of one log.
//
// A Reader MUST return the widest stored version of a tile or bundle. It may be
// wider than the tree size that a call works on implies; callers use a prefix,
// which is right because a tile only ever grows. If nothing is stored there,
// the result is empty without an error, or the error matches [ErrMissing]. The
// returned bytes belong to the Reader and are not modified. A Reader is used by
// one call at a time and not after it, so one inside a transaction will do.
type Reader interface {
	// HashTile returns n*32 bytes, 1 <= n <= 256: the hashes of the nodes at
	// height 8*level with indices from 256*index on.
	HashTile(ctx context.Context, level int, index uint64) ([]byte, error)

	// EntryBundle returns the entries from 256*index on, each as a big-endian
	// uint16 length and the entry's bytes.
	EntryBundle(ctx context.Context, index uint64) ([]byte, error)
}

// LeafHash returns the hash of the leaf that holds entry: SHA-256(0x00 || entry),
// RFC 6962 section 2.1.
func LeafHash(entry []byte) Hash {
	// Entries of Writ are 36 bytes and of most logs below 200; these stay on
	// the stack.
	buf := make([]byte, 0, 256)
	buf = append(buf, 0)
	buf = append(buf, entry...)
	return sha256.Sum256(buf)
}

// EmptyRoot returns the root of the tree of size 0: SHA-256 of nothing, RFC 6962
// section 2.1.
func EmptyRoot() Hash { return sha256.Sum256(nil) }

// nodeHash returns SHA-256(0x01 || left || right), RFC 6962 section 2.1.
func nodeHash(left, right Hash) Hash {
	var buf [1 + 2*HashSize]byte
	buf[0] = 1
	copy(buf[1:], left[:])
	copy(buf[1+HashSize:], right[:])
	return sha256.Sum256(buf[:])
}

// subtree returns the Merkle tree hash (RFC 6962 section 2.1) over a non-empty
// list of node hashes as if they were leaves already hashed.
//
// The tree over units of 2^k leaves, of which only the last may be incomplete,
// splits exactly where the tree over the leaves does. So the same function
// folds a full tile, a part of one, and the right edge of an uneven tree.
func subtree(hashes []Hash) Hash {
	n := len(hashes)
	if n == 1 {
		return hashes[0]
	}
	// The stack holds the perfect subtrees to the left, widest first, as in
	// binary counting: entry i is merged as often as i+1 has trailing zeros.
	var stack [TileHeight + 2]Hash
	depth := 0
	for i, h := range hashes {
		for m := i; m&1 == 1; m >>= 1 {
			depth--
			h = nodeHash(stack[depth], h)
		}
		stack[depth] = h
		depth++
	}
	root := stack[depth-1]
	for d := depth - 2; d >= 0; d-- {
		root = nodeHash(stack[d], root)
	}
	return root
}

// ParseBundle splits an entry bundle into its entries (C2SP tlog-tiles, "Log
// Entries"). The entries alias data. It returns ErrInvalid if data is empty,
// truncated, or holds more than 256 entries.
func ParseBundle(data []byte) ([][]byte, error) {
	if len(data) == 0 {
		return nil, fmt.Errorf("%w: empty entry bundle", ErrInvalid)
	}
	entries := make([][]byte, 0, TileWidth)
	for len(data) > 0 {
		if len(entries) == TileWidth {
			return nil, fmt.Errorf("%w: entry bundle holds more than %d entries", ErrInvalid, TileWidth)
		}
		if len(data) < 2 {
			return nil, fmt.Errorf("%w: entry bundle truncated in the length of entry %d", ErrInvalid, len(entries))
		}
		n := 2 + int(binary.BigEndian.Uint16(data))
		if len(data) < n {
			return nil, fmt.Errorf("%w: entry bundle truncated in entry %d", ErrInvalid, len(entries))
		}
		entries = append(entries, data[2:n:n])
		data = data[n:]
	}
	return entries, nil
}

// BundlePrefix returns the part of an entry bundle that holds its first width
// entries: the content of the partial bundle `.p/<width>`. It returns ErrMissing
// if there are fewer, ErrInvalid if those bytes are malformed.
func BundlePrefix(data []byte, width int) ([]byte, error) {
	if width < 0 || width > TileWidth {
		return nil, fmt.Errorf("%w: bundle width %d", ErrInvalid, width)
	}
	end := 0
	for i := range width {
		rest := data[end:]
		if len(rest) == 0 {
			return nil, fmt.Errorf("%w: bundle holds %d entries, want %d", ErrMissing, i, width)
		}
		if len(rest) < 2 || len(rest) < 2+int(binary.BigEndian.Uint16(rest)) {
			return nil, fmt.Errorf("%w: entry bundle truncated in entry %d", ErrInvalid, i)
		}
		end += 2 + int(binary.BigEndian.Uint16(rest))
	}
	return data[:end:end], nil
}

// TilePrefix returns the first width hashes of a hash tile: the content of the
// partial tile `.p/<width>`. It returns ErrMissing if there are fewer, ErrInvalid
// if data is not a whole number of hashes.
func TilePrefix(data []byte, width int) ([]byte, error) {
	switch {
	case width < 0 || width > TileWidth:
		return nil, fmt.Errorf("%w: tile width %d", ErrInvalid, width)
	case len(data)%HashSize != 0 || len(data) > TileWidth*HashSize:
		return nil, fmt.Errorf("%w: tile of %d bytes", ErrInvalid, len(data))
	case len(data) < width*HashSize:
		return nil, fmt.Errorf("%w: tile holds %d hashes, want %d", ErrMissing, len(data)/HashSize, width)
	}
	return data[: width*HashSize : width*HashSize], nil
}
