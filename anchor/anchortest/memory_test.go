package anchortest_test

import (
	"testing"

	"github.com/writ-registry/writ/anchor"
	"github.com/writ-registry/writ/anchor/anchortest"
)

func TestMemory(t *testing.T) {
	anchortest.Run(t, func(testing.TB) anchortest.Harness {
		m, signer := anchortest.NewMemory()
		return anchortest.Harness{Ledger: m, Signer: signer, Rollback: m.Rollback}
	})
}

func TestMemoryMinedByHand(t *testing.T) {
	anchortest.Run(t, func(testing.TB) anchortest.Harness {
		m, signer := anchortest.NewMemory()
		m.Manual(true)
		return anchortest.Harness{Ledger: m, Signer: signer, Rollback: m.Rollback, Mine: m.Mine}
	})
}

func TestStore(t *testing.T) {
	anchortest.RunStore(t, func(testing.TB) func(testing.TB) anchor.AttemptStore {
		s := anchortest.NewStore()
		return func(testing.TB) anchor.AttemptStore { return s }
	})
}
