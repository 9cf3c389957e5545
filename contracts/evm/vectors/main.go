// Command vectors writes the proofs that the Foundry tests compare RFC9162.sol with:
//
//	go run ./contracts/evm/vectors > contracts/evm/test/vectors/proofs.bin
//
// Every proof comes from transparency-dev/merkle's prover, some are then damaged, and whether each of them is to be accepted is
// that library's verdict. The output depends on nothing but the flags.
//
// The file is big endian. It starts with a table of hashes, so that each is stored once, and hashes are given as indices into it:
//
//	uint16 n, n * hash                                              the table
//	uint16 n, n * { verdict, uint64 first, uint64 second, uint16 firstRoot, uint16 secondRoot, uint8 len, len * uint16 }
//	uint16 n, n * { verdict, uint64 index, uint64 size, uint16 leaf, uint16 root, uint8 len, len * uint16 }
//
// where a verdict is a byte, 1 to accept and 0 to refuse.
package main

import (
	"bufio"
	"encoding/binary"
	"flag"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"os"

	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"

	"github.com/writ-registry/writ/contracts/evm/vectors/sparse"
)

func main() {
	log.SetFlags(0)
	config := defaultConfig
	flag.Uint64Var(&config.exhaustive, "exhaustive", config.exhaustive, "all proofs of trees up to this `size`")
	flag.IntVar(&config.random, "random", config.random, "this `number` of proofs of large trees")
	flag.IntVar(&config.damaged, "damaged", config.damaged, "this `number` of damaged proofs")
	flag.Uint64Var(&config.seed, "seed", config.seed, "seed of the random choices")
	flag.Parse()

	out := bufio.NewWriter(os.Stdout)
	if err := write(out, config); err != nil {
		log.Fatalf("vectors: %v", err)
	}
	if err := out.Flush(); err != nil {
		log.Fatalf("vectors: %v", err)
	}
}

type config struct {
	exhaustive      uint64
	random, damaged int
	seed            uint64
}

// defaultConfig is that of the committed file.
var defaultConfig = config{exhaustive: 34, random: 260, damaged: 1200, seed: 9162}

// vector is a consistency proof (a and b are the sizes, hashes their roots) or an inclusion proof (index and size, leaf and root).
type vector struct {
	a, b         uint64
	hashA, hashB []byte
	proof        [][]byte
}

func (v vector) clone() vector {
	proof := make([][]byte, len(v.proof))
	copy(proof, v.proof)
	v.proof = proof
	return v
}

// The verdicts of the reference. It also accepts a proof between equal trees or from the empty one; the contract treats these
// itself, without the library.
func consistent(v vector) bool {
	return v.a > 0 && v.a < v.b &&
		proof.VerifyConsistency(rfc6962.DefaultHasher, v.a, v.b, v.proof, v.hashA, v.hashB) == nil
}

func included(v vector) bool {
	return proof.VerifyInclusion(rfc6962.DefaultHasher, v.a, v.b, v.hashA, v.proof, v.hashB) == nil
}

func write(w io.Writer, config config) error {
	random := rand.New(rand.NewPCG(config.seed, 0))
	consistency, err := consistencyProofs(random, config)
	if err != nil {
		return err
	}
	inclusion, err := inclusionProofs(random, config)
	if err != nil {
		return err
	}
	for _, v := range consistency {
		if !consistent(v) {
			return fmt.Errorf("the reference refuses its own consistency proof %d -> %d", v.a, v.b)
		}
	}
	for _, v := range inclusion {
		if !included(v) {
			return fmt.Errorf("the reference refuses its own inclusion proof %d in %d", v.a, v.b)
		}
	}
	consistency = append(consistency, damage(random, consistency, config.damaged)...)
	inclusion = append(inclusion, damage(random, inclusion, config.damaged)...)
	return encode(w, consistency, inclusion)
}

// landmarks are the pairs of sizes that the README's gas figures are about, and the edges of the arithmetic.
var landmarks = [][2]uint64{
	{1, 2}, {1000, 2000}, {1_000_000, 1_001_000}, {1_000_001, 1_001_001}, {1_000_000_000, 1_000_010_000},
	{1_000_000_001, 1_000_010_003}, {1 << 20, 1<<20 + 1}, {1<<20 - 1, 1 << 20}, {1<<47 - 1, 1 << 47}, {1 << 47, 1<<48 - 1},
	{1, 1<<48 - 1}, {1<<48 - 2, 1<<48 - 1}, {1_000_003, 1<<64 - 1}, {1<<63 + 1, 1<<64 - 1}, {1<<64 - 2, 1<<64 - 1},
}

func consistencyProofs(random *rand.Rand, config config) ([]vector, error) {
	var pairs [][2]uint64
	for second := uint64(2); second <= config.exhaustive; second++ {
		for first := uint64(1); first < second; first++ {
			pairs = append(pairs, [2]uint64{first, second})
		}
	}
	pairs = append(pairs, landmarks...)
	for range config.random {
		second := randomSize(random)
		pairs = append(pairs, [2]uint64{1 + random.Uint64N(second-1), second})
	}

	var vectors []vector
	for _, pair := range pairs {
		tree := sparse.New("writ", pair[0], pair[1])
		path, err := tree.Consistency(pair[0], pair[1])
		if err != nil {
			return nil, err
		}
		vectors = append(vectors, vector{pair[0], pair[1], tree.Root(pair[0]), tree.Root(pair[1]), path})
	}
	return vectors, nil
}

func inclusionProofs(random *rand.Rand, config config) ([]vector, error) {
	var pairs [][2]uint64
	for size := uint64(1); size <= config.exhaustive; size++ {
		for index := range size {
			pairs = append(pairs, [2]uint64{index, size})
		}
	}
	for _, pair := range landmarks {
		pairs = append(pairs, pair, [2]uint64{0, pair[1]}, [2]uint64{pair[1] - 1, pair[1]})
	}
	for range config.random {
		size := randomSize(random)
		pairs = append(pairs, [2]uint64{random.Uint64N(size), size})
	}

	var vectors []vector
	for _, pair := range pairs {
		tree := sparse.New("writ", pair[0], pair[0]+1, pair[1])
		path, err := tree.Inclusion(pair[0], pair[1])
		if err != nil {
			return nil, err
		}
		vectors = append(vectors, vector{pair[0], pair[1], tree.Leaf(pair[0]), tree.Root(pair[1]), path})
	}
	return vectors, nil
}

// randomSize is of each bit length up to 48 with the same probability, and at least 2.
func randomSize(random *rand.Rand) uint64 {
	bits := 1 + random.IntN(47)
	return 1<<bits + random.Uint64N(1<<bits)
}

// damage changes random vectors in one way each. Some come out valid still: hence verdicts rather than the word "negative".
func damage(random *rand.Rand, vectors []vector, n int) []vector {
	damaged := make([]vector, 0, n)
	for len(damaged) < n {
		v := vectors[random.IntN(len(vectors))].clone()
		at := 0
		if len(v.proof) > 0 {
			at = random.IntN(len(v.proof))
		}
		switch kind := random.IntN(12); {
		case kind == 0:
			v.a++
		case kind == 1:
			v.a--
		case kind == 2:
			v.b++
		case kind == 3:
			v.b--
		case kind == 4:
			v.a, v.b = v.b, v.a
		case kind == 5:
			v.hashA, v.hashB = v.hashB, v.hashA
		case kind == 6:
			v.hashA = v.hashB
		case kind == 7:
			v.proof = append(v.proof, v.hashA)
		case len(v.proof) == 0:
			v.proof = [][]byte{v.hashA}
		case kind == 8:
			v.proof = append(v.proof[:at], v.proof[at+1:]...)
		case kind == 9:
			other := random.IntN(len(v.proof))
			v.proof[at], v.proof[other] = v.proof[other], v.proof[at]
		case kind == 10:
			v.proof[at] = v.hashB
		case kind == 11:
			v.proof = append(v.proof[:at:at], append([][]byte{v.proof[at]}, v.proof[at:]...)...)
		}
		damaged = append(damaged, v)
	}
	return damaged
}

// encode writes the file that the command's documentation describes.
func encode(w io.Writer, consistency, inclusion []vector) error {
	table := hashTable{index: make(map[string]uint16)}
	var body []byte
	for _, section := range []struct {
		vectors []vector
		verdict func(vector) bool
	}{{consistency, consistent}, {inclusion, included}} {
		if len(section.vectors) > 1<<16-1 {
			return fmt.Errorf("%d proofs do not fit the format", len(section.vectors))
		}
		body = binary.BigEndian.AppendUint16(body, uint16(len(section.vectors)))
		for _, v := range section.vectors {
			verdict := byte(0)
			if section.verdict(v) {
				verdict = 1
			}
			body = append(body, verdict)
			body = binary.BigEndian.AppendUint64(body, v.a)
			body = binary.BigEndian.AppendUint64(body, v.b)
			body = binary.BigEndian.AppendUint16(body, table.add(v.hashA))
			body = binary.BigEndian.AppendUint16(body, table.add(v.hashB))
			body = append(body, byte(len(v.proof)))
			for _, hash := range v.proof {
				body = binary.BigEndian.AppendUint16(body, table.add(hash))
			}
		}
	}
	if len(table.hashes) > 1<<16-1 {
		return fmt.Errorf("%d hashes do not fit the format", len(table.hashes))
	}

	head := binary.BigEndian.AppendUint16(nil, uint16(len(table.hashes)))
	for _, hash := range table.hashes {
		head = append(head, hash...)
	}
	if _, err := w.Write(append(head, body...)); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}

type hashTable struct {
	hashes [][]byte
	index  map[string]uint16
}

func (t *hashTable) add(hash []byte) uint16 {
	if i, ok := t.index[string(hash)]; ok {
		return i
	}
	i := uint16(len(t.hashes))
	t.index[string(hash)] = i
	t.hashes = append(t.hashes, hash)
	return i
}
