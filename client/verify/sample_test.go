package verify_test

import (
	"encoding/json"
	"flag"
	"maps"
	"os"
	"slices"
	"testing"

	"github.com/writ-registry/writ/anchor"
	"github.com/writ-registry/writ/client/verify"
	"github.com/writ-registry/writ/internal/canon"
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

// TestSchema holds the published schema against the sample and the reader: the
// same members, the same ones required.
func TestSchema(t *testing.T) {
	var schema struct {
		Required   []string                   `json:"required"`
		Properties map[string]json.RawMessage `json:"properties"`
		Defs       map[string]struct {
			Required   []string                   `json:"required"`
			Properties map[string]json.RawMessage `json:"properties"`
		} `json:"$defs"`
	}
	var file map[string]json.RawMessage
	var anchors []map[string]any
	readJSON(t, "../../docs/schemas/receipt.schema.json", &schema)
	readJSON(t, "testdata/sample.writ.json", &file)
	if err := json.Unmarshal(file["anchors"], &anchors); err != nil {
		t.Fatal(err)
	}
	if got, want := slices.Sorted(maps.Keys(file)), slices.Sorted(maps.Keys(schema.Properties)); !slices.Equal(got, want) {
		t.Errorf("the sample has members %v, the schema %v", got, want)
	}
	evm := schema.Defs["evm"]
	second := anchors[1] // the one with a consistency proof
	if got, want := slices.Sorted(maps.Keys(second)), slices.Sorted(maps.Keys(evm.Properties)); !slices.Equal(got, want) {
		t.Errorf("the sample's anchor has members %v, the schema %v", got, want)
	}
	for _, name := range schema.Required {
		bad := maps.Clone(file)
		delete(bad, name)
		refused(t, bad, "without "+name)
	}
	for _, name := range evm.Required {
		clone := maps.Clone(second)
		delete(clone, name)
		refused(t, withAnchor(t, file, clone), "with an anchor without "+name)
	}
	for name := range evm.Properties {
		clone := maps.Clone(second)
		clone[name] = nil
		refused(t, withAnchor(t, file, clone), "with a null in an anchor: "+name)
	}
}

func withAnchor(t *testing.T, file map[string]json.RawMessage, a map[string]any) map[string]json.RawMessage {
	t.Helper()
	raw, err := json.Marshal([]any{a})
	if err != nil {
		t.Fatal(err)
	}
	out := maps.Clone(file)
	out["anchors"] = raw
	return out
}

func readJSON(t *testing.T, path string, v any) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, v); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

func refused(t *testing.T, file map[string]json.RawMessage, what string) {
	t.Helper()
	raw, err := canon.Marshal(file)
	if err != nil {
		t.Fatal(err)
	}
	if _, there := file["checksum"]; there {
		if raw, err = verify.Seal(raw); err != nil {
			t.Fatal(err)
		}
	}
	if r, err := verify.Verify(t.Context(), raw, verify.Trust{}, nil); err == nil {
		t.Errorf("a receipt %s was accepted: %+v", what, r.Layers)
	}
}
