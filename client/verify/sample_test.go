package verify_test

import (
	"encoding/json"
	"flag"
	"os"
	"testing"

	"github.com/writ-registry/writ/anchor"
	"github.com/writ-registry/writ/client/verify"
)

var update = flag.Bool("update", false, "write testdata anew, with fresh keys")

// TestSample verifies a receipt that was written by an earlier version. It is
// never regenerated without a new v: receipts outlive the software that made
// them.
func TestSample(t *testing.T) {
	if *update {
		writeSample(t)
	}
	file, err := os.ReadFile("testdata/sample.writ.json")
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile("testdata/trust.json")
	if err != nil {
		t.Fatal(err)
	}
	trust, err := verify.ParseTrust(raw)
	if err != nil {
		t.Fatal(err)
	}
	r, err := verify.Verify(t.Context(), file, trust, nil)
	if err != nil {
		t.Fatal(err)
	}
	wantStatus(t, r, map[string]verify.Status{
		"receipt": verify.Verified, "artifact": verify.Verified, "inclusion": verify.Verified, "checkpoint": verify.Verified,
		"witnesses": verify.Verified, "anchor 1: link": verify.Verified, "anchor 1: head signature": verify.Verified,
		"anchor 2: link": verify.Verified, "disclosures": verify.Verified, "agent signature": verify.Verified, "act": verify.Verified,
	})
}

func writeSample(t *testing.T) {
	w := newWorld(t)
	w.sepolia(t, 500, anchor.Finalized)
	w.ownChain(t, 600, anchor.Safe)
	trust, err := json.MarshalIndent(w.trust, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{
		"testdata/sample.writ.json": append(w.receipt(t, true), '\n'),
		"testdata/trust.json":       append(trust, '\n'),
	} {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
