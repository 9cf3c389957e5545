package statuslist

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"encoding/binary"
	"hash/adler32"
	"slices"
	"sync"

	"github.com/writ-registry/writ/internal/jose"
)

// chunkSize is how many bytes of the array are compressed on their own. Smaller
// pieces make a change cheaper and the list longer.
const chunkSize = 16 << 10

// compression is the level. The draft recommends the highest (section 4.1, step 4),
// which takes nearly 20 times as long for a list a sixth shorter: see the benchmarks.
const compression = flate.DefaultCompression

// minBitstring is the least length of a bitstring, in bytes: a herd to hide in
// (Bitstring Status List 1.0, "Bitstring Generation Algorithm").
const minBitstring = 16 << 10

// List is the statuses of many tokens, in memory. It is safe for concurrent use; Set
// and Get never wait for a compression.
type List struct {
	mu    sync.RWMutex // over array and stale
	array array
	stale []bool // by chunk: changed since it was compressed

	encoding sync.Mutex // over what follows: one Encode at a time
	chunks   []chunk
	lst      string // "" before the first Encode
	writer   *flate.Writer
}

// chunk is one compressed piece: DEFLATE blocks up to a byte boundary (RFC 1951
// section 3.2.4), and the checksum and length of what they hold.
type chunk struct {
	deflated []byte
	sum      uint32
	length   int
}

// New returns a list of size statuses of 1, 2, 4 or 8 bits, all Valid; a size that
// does not fill the last byte is rounded up. Errors: *Error with Malformed.
func New(bits, size int) (*List, error) {
	if err := checkBits(bits); err != nil {
		return nil, err
	}
	if size < 1 || size > MaxArray*8/bits {
		return nil, refuse(Malformed, "size is not 1 to %d", MaxArray*8/bits)
	}
	n := (size*bits + 7) / 8
	chunks := (n + chunkSize - 1) / chunkSize
	l := &List{
		array: array{bits, make([]byte, n)}, stale: slices.Repeat([]bool{true}, chunks), chunks: make([]chunk, chunks),
	}
	return l, nil
}

// Len returns how many statuses the list has.
func (l *List) Len() int { return l.array.len() }

// Bits returns how many bits a status has.
func (l *List) Bits() int { return l.array.bits }

// Get returns the status at index i. Errors: *Error with OutOfRange.
func (l *List) Get(i int) (Status, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.array.get(i)
}

// Set sets the status at index i. Errors: *Error with OutOfRange.
func (l *List) Set(i int, s Status) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	changed, err := l.array.set(i, s)
	if changed {
		at, _ := l.array.at(i)
		l.stale[at/chunkSize] = true
	}
	return err
}

// Encode returns the list as the claim status_list (sections 4.1 and 4.2 of the
// draft). It holds every Set that returned before Encode was called. Pieces that
// have not changed since the last Encode are not compressed again.
func (l *List) Encode() StatusList {
	l.encoding.Lock()
	defer l.encoding.Unlock()
	changed := l.lst == ""
	for i, data := range l.takeStale() {
		l.chunks[i] = l.compress(data)
		changed = true
	}
	if changed {
		l.lst = jose.EncodeBase64(join(l.chunks))
	}
	return StatusList{Bits: l.array.bits, List: l.lst}
}

// takeStale copies the pieces that have changed, by number, and marks them clean.
func (l *List) takeStale() map[int][]byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	taken := map[int][]byte{}
	for i, stale := range l.stale {
		if stale {
			l.stale[i] = false
			taken[i] = bytes.Clone(l.array.bytes[i*chunkSize : min((i+1)*chunkSize, len(l.array.bytes))])
		}
	}
	return taken
}

func (l *List) compress(data []byte) chunk {
	var out bytes.Buffer
	if l.writer == nil {
		var err error
		if l.writer, err = flate.NewWriter(&out, compression); err != nil {
			panic("statuslist: not a level of flate: " + err.Error())
		}
	}
	l.writer.Reset(&out)
	// A buffer takes all that is written to it.
	_, _ = l.writer.Write(data)
	_ = l.writer.Flush()
	return chunk{out.Bytes(), adler32.Checksum(data), len(data)}
}

// join returns one ZLIB stream (RFC 1950 section 2.2) of all chunks.
func join(chunks []chunk) []byte {
	out := []byte{0x78, 0x9c} // DEFLATE, window 32 KiB, default compression
	sum := uint32(1)          // of nothing
	for _, c := range chunks {
		out = append(out, c.deflated...)
		sum = joinSums(sum, c.sum, c.length)
	}
	out = append(out, 3, 0) // a last block of fixed Huffman codes that holds nothing
	return binary.BigEndian.AppendUint32(out, sum)
}

// joinSums returns the Adler-32 of two texts, of their sums and the length of the
// second (RFC 1950 section 8.2: s1 is 1 and all bytes, s2 is all values of s1).
func joinSums(first, second uint32, length int) uint32 {
	const mod = 65521
	a1, b1 := uint64(first&0xffff), uint64(first>>16)
	a2, b2 := uint64(second&0xffff), uint64(second>>16)
	a := (a1 + a2 + mod - 1) % mod
	b := (b1 + b2 + (a1+mod-1)%mod*uint64(length%mod)) % mod
	return uint32(b<<16 | a)
}

// Bitstring returns the encodedList of a bitstring that is 1 where the status is s
// (Bitstring Status List 1.0, "Bitstring Generation Algorithm"): multibase base64url of GZIP, index 0 at
// the left. Invalid is for statusPurpose revocation, Suspended for suspension. It is
// made anew at each call.
func (l *List) Bitstring(s Status) string {
	l.mu.RLock()
	snapshot := array{l.array.bits, bytes.Clone(l.array.bytes)}
	l.mu.RUnlock()
	bits := make([]byte, max(minBitstring, (snapshot.len()+7)/8))
	for i := range snapshot.len() {
		at, shift := snapshot.at(i)
		if snapshot.bytes[at]>>shift&snapshot.mask() == uint8(s) {
			bits[i/8] |= 0x80 >> (i % 8)
		}
	}
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, compression)
	if err != nil {
		panic("statuslist: not a level of gzip: " + err.Error())
	}
	// A buffer takes all that is written to it.
	_, _ = w.Write(bits)
	_ = w.Close()
	return "u" + jose.EncodeBase64(out.Bytes())
}
