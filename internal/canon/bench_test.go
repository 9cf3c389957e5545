package canon

import (
	"encoding/json"
	"strings"
	"testing"
)

// The values of one decision, in the sizes they have in practice.

// benchEvent has the shape of an event: member names out of order, a body that
// was encoded before.
type benchEvent struct {
	V      int             `json:"v"`
	Type   string          `json:"type"`
	Org    string          `json:"org"`
	Agent  string          `json:"agent,omitempty"`
	Log    string          `json:"log"`
	Seq    uint64          `json:"seq,omitempty"`
	OrgSeq uint64          `json:"org_seq"`
	Prev   string          `json:"prev,omitempty"`
	Time   string          `json:"time"`
	Trace  string          `json:"trace"`
	Nonce  string          `json:"nonce"`
	Body   json.RawMessage `json:"body"`
}

type benchBody struct {
	Decision     string            `json:"decision"`
	DID          string            `json:"did"`
	Grant        string            `json:"grant"`
	TokenHash    string            `json:"token_hash"`
	ProofHash    string            `json:"proof_hash"`
	Audience     string            `json:"audience"`
	Action       string            `json:"action"`
	Verdict      string            `json:"verdict"`
	Reasons      []string          `json:"reasons"`
	QualifiedBy  []string          `json:"qualified_by"`
	PolicyDigest string            `json:"policy_digest"`
	Epochs       map[string]int64  `json:"epochs"`
	Commitments  map[string]string `json:"commitments"`
	Folds        bool              `json:"folds"`
}

func newBenchEvent(tb testing.TB) benchEvent {
	tb.Helper()
	digest := Digest(nil)
	body, err := json.Marshal(benchBody{
		Decision: "01890a5d-ac96-774b-bcce-b302099a8057", DID: "did:webvh:QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N:registry.example:agents:1",
		Grant: "01890a5d-ac96-774b-bcce-b302099a8058", TokenHash: digest, ProofHash: digest, Audience: "https://shipping.example", Action: "create:shipment",
		Verdict: "permit", Reasons: []string{}, QualifiedBy: []string{"catalogue"}, PolicyDigest: digest,
		Epochs:      map[string]int64{"global": 1, "org": 12, "agent": 3, "grant": 1},
		Commitments: map[string]string{"payload": digest, "proof": digest, "resource": digest, "token": digest},
	})
	if err != nil {
		tb.Fatal(err)
	}
	return benchEvent{
		V: 1, Type: "decision", Org: "acme", Agent: "01890a5d-ac96-774b-bcce-b302099a8059", Log: "registry.example/log", Seq: 17, OrgSeq: 1234,
		Prev: "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy", Time: "2026-11-21T12:00:00.000Z",
		Trace: "4bf92f3577b34da6a3ce929d0e0e4736", Nonce: Nonce(32), Body: body,
	}
}

// benchRequest is an AuthZEN request of 3 KB.
func benchRequest() []byte {
	return []byte(`{"subject": {"type": "agent", "id": "did:web:registry.example:agents:1"},` +
		` "action": {"name": "create", "properties": {"max_weight": 12.5, "carrier": "ups", "to": "Zürich, Bahnhofstraße 1", "items": [{"sku": "A-1", "n": 3}, {"sku": "B-7", "n": 1}]}},` +
		` "resource": {"type": "shipment", "id": "2026-0042"},` +
		` "context": {"task": "tasks/17", "workflow": "shipping", "token": "` + strings.Repeat("eyJhbGciOiJFZERTQSIs", 90) + `", "proof": "` + strings.Repeat("Ims_ZCI6ImRpZDp3ZWI6", 40) + `"}}`)
}

func benchDisclosures() []Disclosure {
	return []Disclosure{
		{"payload", Nonce(16), json.RawMessage(`{"arguments":{"carrier":"ups","items":[{"n":3,"sku":"A-1"},{"n":1,"sku":"B-7"}],"max_weight":12.5,"note":"` + strings.Repeat("x", 90) + `"},"task":"tasks/17"}`)},
		{"resource", Nonce(16), json.RawMessage(`{"id":"` + strings.Repeat("2026-0042/", 7) + `","type":"shipment"}`)},
		{"proof", Nonce(16), json.RawMessage(`"` + strings.Repeat("Ims_ZCI6ImRpZDp3ZWI6", 40) + `"`)},
		{"token", Nonce(16), json.RawMessage(`"` + strings.Repeat("eyJhbGciOiJFZERTQSIs", 65) + `"`)},
	}
}

func BenchmarkMarshal(b *testing.B) {
	event := newBenchEvent(b)
	sorted := map[string]string{"action": "create:shipment", "digest": Digest(nil), "verdict": "permit"}
	for name, v := range map[string]any{"event": event, "small": sorted, "string": strings.Repeat("eyJhbGciOiJFZERTQSIs", 65)} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Marshal(v); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkCanonical(b *testing.B) {
	artifact, err := Marshal(newBenchEvent(b))
	if err != nil {
		b.Fatal(err)
	}
	for name, data := range map[string][]byte{"artifact": artifact, "request": benchRequest()} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				if _, err := Canonical(data); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkCheck(b *testing.B) {
	data := benchRequest()
	b.ReportAllocs()
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if err := Check(data); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCheckArtifact(b *testing.B) {
	artifact, err := Marshal(newBenchEvent(b))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.SetBytes(int64(len(artifact)))
	for b.Loop() {
		if err := CheckArtifact(artifact); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkUnmarshalOpen(b *testing.B) {
	data := benchRequest()
	b.ReportAllocs()
	for b.Loop() {
		var in struct {
			Subject *struct {
				Type string `json:"type"`
				ID   string `json:"id"`
			} `json:"subject"`
			Action *struct {
				Name       string          `json:"name"`
				Properties json.RawMessage `json:"properties"`
			} `json:"action"`
			Resource *struct {
				Type string `json:"type"`
				ID   string `json:"id"`
			} `json:"resource"`
			Context struct {
				Task     string `json:"task"`
				Token    string `json:"token"`
				Proof    string `json:"proof"`
				Workflow string `json:"workflow"`
			} `json:"context"`
		}
		if err := UnmarshalOpen(data, &in); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkCommitments is the four disclosures of a decision.
func BenchmarkCommitments(b *testing.B) {
	open := benchDisclosures()
	b.ReportAllocs()
	for b.Loop() {
		for _, d := range open {
			if _, err := d.Commitment(); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// BenchmarkDisclose makes the four disclosures of a decision and commits to them.
func BenchmarkDisclose(b *testing.B) {
	b.ReportAllocs()
	values := benchValues()
	for b.Loop() {
		for _, v := range values {
			d, err := Disclose("payload", v)
			if err != nil {
				b.Fatal(err)
			}
			if _, err := d.Commitment(); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// BenchmarkCommit is BenchmarkDisclose in one call each.
func BenchmarkCommit(b *testing.B) {
	b.ReportAllocs()
	values := benchValues()
	for b.Loop() {
		for _, v := range values {
			if _, _, err := Commit("payload", v); err != nil {
				b.Fatal(err)
			}
		}
	}
}

func benchValues() []any {
	return []any{
		map[string]any{"arguments": json.RawMessage(`{"max_weight": 12.5, "carrier": "ups", "items": [{"sku": "A-1", "n": 3}, {"sku": "B-7", "n": 1}]}`), "task": "tasks/17"},
		struct {
			Type string `json:"type"`
			ID   string `json:"id"`
		}{"shipment", strings.Repeat("2026-0042/", 7)},
		strings.Repeat("Ims_ZCI6ImRpZDp3ZWI6", 40),
		strings.Repeat("eyJhbGciOiJFZERTQSIs", 65),
	}
}

// BenchmarkCheckRefused is what input costs that is refused at its end.
func BenchmarkCheckRefused(b *testing.B) {
	data := append(benchRequest(), 'x')
	b.ReportAllocs()
	for b.Loop() {
		if Check(data) == nil {
			b.Fatal("accepted")
		}
	}
}

// BenchmarkNumber is one number of each kind.
func BenchmarkNumber(b *testing.B) {
	for _, text := range []string{"500", "12.5", "9007199254740991", "0.30000000000000004", "1e-1000000", "1e308"} {
		b.Run(text, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_ = Check([]byte(text))
			}
		})
	}
}
