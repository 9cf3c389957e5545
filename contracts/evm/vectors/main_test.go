package main

import (
	"bytes"
	"math/rand/v2"
	"os"
	"testing"
)

// TestCommittedFile fails when the file that the Foundry tests read is not what this program writes.
func TestCommittedFile(t *testing.T) {
	want, err := os.ReadFile("../test/vectors/proofs.bin")
	if err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	if err := write(&got, defaultConfig); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), want) {
		t.Errorf("test/vectors/proofs.bin is stale: go run ./contracts/evm/vectors > contracts/evm/test/vectors/proofs.bin")
	}
}

// TestDamage keeps the damaged proofs worth their name: the reference refuses most of them. It rightly accepts some: a root does not
// tell its tree's size, so that a proof also holds for other sizes in which its path has the same shape.
func TestDamage(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	consistency, err := consistencyProofs(random, defaultConfig)
	if err != nil {
		t.Fatal(err)
	}
	inclusion, err := inclusionProofs(random, defaultConfig)
	if err != nil {
		t.Fatal(err)
	}
	count := func(vectors []vector, verdict func(vector) bool) (accepted int) {
		for _, v := range vectors {
			if verdict(v) {
				accepted++
			}
		}
		return accepted
	}
	const n = 2000
	if accepted := count(damage(random, consistency, n), consistent); accepted > n/5 {
		t.Errorf("the reference accepts %d of %d damaged consistency proofs", accepted, n)
	}
	if accepted := count(damage(random, inclusion, n), included); accepted > n/5 {
		t.Errorf("the reference accepts %d of %d damaged inclusion proofs", accepted, n)
	}
	if got := count(consistency, consistent); got != len(consistency) {
		t.Errorf("damaging a copy damaged %d originals", len(consistency)-got)
	}
}
