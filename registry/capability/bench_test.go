package capability

import (
	"encoding/json"
	"testing"
)

func BenchmarkParseAction(b *testing.B) {
	raw := must[string](b)(SignAction(agentKey, testAgent+"#1", testActionClaims(b)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseAction(raw); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseGrant(b *testing.B) {
	raw := must[string](b)(IssueGrant(issuerKey, testPDP+"#1", testGrantClaims()))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseGrant(raw); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDigest(b *testing.B) {
	a := testAct
	a.Arguments = json.RawMessage(`{"max_weight": 12.5, "carrier": "ups", "to": "Zürich, Bahnhofstraße 1", "items": [{"sku": "A-1", "n": 3}, {"sku": "B-7", "n": 1}]}`)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := a.Digest(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkGrantHash(b *testing.B) {
	g := must[*Grant](b)(ParseGrant(must[string](b)(IssueGrant(issuerKey, testPDP+"#1", testGrantClaims()))))
	b.ReportAllocs()
	for b.Loop() {
		if g.Hash() == "" {
			b.Fatal("no hash")
		}
	}
}

// BenchmarkVerifyDigested is BenchmarkVerifyAction for a caller who has the digest.
func BenchmarkVerifyDigested(b *testing.B) {
	raw := must[string](b)(SignAction(agentKey, testAgent+"#1", testActionClaims(b)))
	check := testActionCheck()
	check.ActDigest = must[string](b)(check.Act.Digest())
	b.ReportAllocs()
	for b.Loop() {
		if err := must[*Action](b)(ParseAction(raw)).Verify(check); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkThumbprint(b *testing.B) {
	k := agentKey.Public()
	b.ReportAllocs()
	for b.Loop() {
		if k.Thumbprint() == "" {
			b.Fatal("no thumbprint")
		}
	}
}
