package verify_test

import (
	"os"
	"testing"

	"github.com/writ-registry/writ/client/verify"
)

// The committed example is what the README tells people to verify: a receipt of
// format v1 stays verifiable for ever.
func TestCommittedExample(t *testing.T) {
	receipt, err := os.ReadFile("../../examples/decision.writ.json")
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile("../../examples/trust.json")
	if err != nil {
		t.Fatal(err)
	}
	trust, err := verify.ParseTrust(raw)
	if err != nil {
		t.Fatal(err)
	}
	report, err := verify.Verify(t.Context(), receipt, trust, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !report.OK || report.Grade.Level != "checkpointed" {
		t.Errorf("ok %v, grade %+v", report.OK, report.Grade)
	}
}
