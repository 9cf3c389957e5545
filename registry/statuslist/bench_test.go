package statuslist

import (
	"math/rand/v2"
	"testing"
)

// newMillion returns 2^20 statuses of 2 bits, 1 % of them revoked.
func newMillion(b *testing.B) *List {
	l, err := New(2, 1<<20)
	if err != nil {
		b.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for _, i := range rng.Perm(l.Len())[:l.Len()/100] {
		if err := l.Set(i, Invalid); err != nil {
			b.Fatal(err)
		}
	}
	return l
}

func BenchmarkEncodeAll(b *testing.B) {
	l := newMillion(b)
	for b.Loop() {
		for i := range l.stale {
			l.stale[i] = true
		}
		b.ReportMetric(float64(len(l.Encode().List)), "B")
	}
}

func BenchmarkEncodeAfterOne(b *testing.B) {
	l := newMillion(b)
	l.Encode()
	for i := 0; b.Loop(); i++ {
		if err := l.Set(i%l.Len(), Status(i/l.Len()+i)&1); err != nil {
			b.Fatal(err)
		}
		l.Encode()
	}
}

func BenchmarkDecode(b *testing.B) {
	s := newMillion(b).Encode()
	for b.Loop() {
		if _, err := s.decode(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkBitstring(b *testing.B) {
	l := newMillion(b)
	for b.Loop() {
		b.ReportMetric(float64(len(l.Bitstring(Invalid))), "B")
	}
}
