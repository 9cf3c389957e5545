package anchor_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/transparency-dev/formats/proof"

	"github.com/writ-registry/writ/anchor"
	"github.com/writ-registry/writ/anchor/tlog"
)

var errNoEvent = errors.New("no such event")

// events are the entries of the log themselves.
type events map[string]uint64

func (e events) Artifact(_ context.Context, cid string) ([]byte, uint64, string, error) {
	index, ok := e[cid]
	if !ok {
		return nil, 0, "", errNoEvent
	}
	return []byte(cid), index, logOrigin, nil
}

func record(t *testing.T, d *desk, ledger string, own bool, size uint64, f anchor.Finality) anchor.AnchorRecord {
	t.Helper()
	root, err := tlog.RootAt(t.Context(), d.log, size)
	if err != nil {
		t.Fatal(err)
	}
	return anchor.AnchorRecord{
		Ledger:       anchor.Info{Name: ledger, Kind: "evm", ChainID: ledger, OperatorsOwn: own},
		Head:         anchor.Head{Size: size, Root: root},
		Confirmation: anchor.Confirmation{Finality: f, TxHash: "0x1", Block: 7, BlockHash: "0x7"},
	}
}

// prove returns a Prover over a log with checkpoints at 100, 200 and 300 and one
// more entry, which no checkpoint covers.
func prove(t *testing.T, d *desk, records ...func() anchor.AnchorRecord) *anchor.Prover {
	t.Helper()
	ev := events{}
	c := d.start()
	for size := 100; size <= 300; size += 100 {
		d.log.commit(t, entries("entry", 100)...)
		if err := c.Check(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 100 {
		ev[entries("entry", 100)[i]] = uint64(i) // the first hundred
	}
	d.log.commit(t, "too new")
	ev["too new"] = 300
	var list anchors
	for _, r := range records {
		list = append(list, r())
	}
	return anchor.NewProver(anchor.ProverConfig{
		Log: d.log, Events: ev, Checkpoints: c, Store: d.store, Anchors: list, LogKey: d.vkey,
	})
}

func TestReceipt(t *testing.T) {
	d := newDesk(t)
	at := func(ledger string, own bool, size uint64, f anchor.Finality) func() anchor.AnchorRecord {
		return func() anchor.AnchorRecord { return record(t, d, ledger, own, size, f) }
	}
	type anchored struct {
		Ledger string
		Size   uint64
		Linked bool
	}
	for name, test := range map[string]struct {
		records []func() anchor.AnchorRecord
		size    uint64
		anchors []anchored
		grade   string
	}{
		"no anchor": {nil, 300, nil, "checkpointed none false"},
		"newest of the best grade": {
			[]func() anchor.AnchorRecord{at("a", false, 100, anchor.Finalized), at("a", false, 200, anchor.Safe), at("a", false, 300, anchor.Submitted)},
			100, []anchored{{"a", 100, false}}, "anchored finalized true",
		},
		"independent before own": {
			[]func() anchor.AnchorRecord{at("own", true, 300, anchor.Finalized), at("a", false, 200, anchor.Included)},
			200, []anchored{{"a", 200, false}, {"own", 300, true}}, "anchored finalized true",
		},
		"submitted is not independent": {
			[]func() anchor.AnchorRecord{at("own", true, 200, anchor.Safe), at("a", false, 300, anchor.Submitted)},
			200, []anchored{{"own", 200, false}, {"a", 300, true}}, "anchored safe false",
		},
		"its checkpoint was pruned": {
			[]func() anchor.AnchorRecord{at("a", false, 150, anchor.Finalized)},
			300, []anchored{{"a", 150, true}}, "anchored finalized true",
		},
		"does not cover the entry": {
			[]func() anchor.AnchorRecord{at("a", false, 42, anchor.Finalized)},
			300, nil, "checkpointed none false",
		},
		"failed and dropped": {
			[]func() anchor.AnchorRecord{at("a", false, 200, anchor.Failed), at("b", false, 200, anchor.None)},
			300, nil, "checkpointed none false",
		},
	} {
		t.Run(name, func(t *testing.T) {
			*d = *newDesk(t)
			p := prove(t, d, test.records...)
			cid := "entry 42"
			r, err := p.Receipt(t.Context(), cid)
			if err != nil {
				t.Fatal(err)
			}
			if r.Checkpoint.Size != test.size {
				t.Errorf("checkpoint %d, want %d", r.Checkpoint.Size, test.size)
			}
			var got []anchored
			for _, a := range r.Anchors {
				got = append(got, anchored{a.Ledger.Name, a.Size, len(a.Consistency) > 0})
				if a.Size != test.size {
					small, large := a.Head, anchor.Head{Size: r.Checkpoint.Size, Root: r.Checkpoint.Root}
					if small.Size > large.Size {
						small, large = large, small
					}
					if err := tlog.VerifyConsistency(small.Size, large.Size, small.Root, large.Root, a.Consistency); err != nil {
						t.Error(err)
					}
				}
			}
			if diff := cmp.Diff(test.anchors, got); diff != "" {
				t.Errorf("anchors (-want +got):\n%s", diff)
			}
			var parsed proof.TLogProof
			if err := parsed.Unmarshal([]byte(r.Proof)); err != nil {
				t.Fatal(err)
			}
			cp, err := tlog.OpenCheckpoint(parsed.Checkpoint, logOrigin, d.verifier)
			if err != nil || cp != r.Checkpoint {
				t.Fatalf("checkpoint of the receipt = %v, %v", cp, err)
			}
			if err := tlog.VerifyInclusion(tlog.LeafHash([]byte(cid)), parsed.Index, cp.Size, parsed.Hashes, cp.Root); err != nil {
				t.Error(err)
			}
			g, f, independent := r.Grade()
			if s := strings.Join([]string{string(g), string(f), map[bool]string{true: "true", false: "false"}[independent]}, " "); s != test.grade {
				t.Errorf("grade = %q, want %q", s, test.grade)
			}
		})
	}
}

func TestReceiptErrors(t *testing.T) {
	d := newDesk(t)
	p := prove(t, d)
	if _, err := p.Receipt(t.Context(), "unknown"); !errors.Is(err, errNoEvent) {
		t.Errorf("unknown CID: %v", err)
	}
	if _, err := p.Receipt(t.Context(), "too new"); !errors.Is(err, anchor.ErrNotIntegrated) {
		t.Errorf("entry beyond the checkpoint: %v, want ErrNotIntegrated", err)
	}
}

func TestReceiptFile(t *testing.T) {
	d := newDesk(t)
	p := prove(t, d, func() anchor.AnchorRecord { return record(t, d, "a", false, 200, anchor.Submitted) })
	r, err := p.Receipt(t.Context(), "entry 3")
	if err != nil {
		t.Fatal(err)
	}
	plain, err := r.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	r.Disclosures = []anchor.ReceiptDisclosure{{Name: "payload", Salt: "c2FsdA", Value: []byte(`{ "b": 1.50, "a": "<é>" }`)}}
	disclosed, err := r.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(disclosed, []byte(`"value":{"a":"<é>","b":1.5}`)) {
		t.Errorf("the disclosed value is not canonical: %s", disclosed)
	}
	var a, b map[string]any
	if err := errors.Join(json.Unmarshal(plain, &a), json.Unmarshal(disclosed, &b)); err != nil {
		t.Fatal(err)
	}
	if a["checksum"] != b["checksum"] || a["checksum"] == nil {
		t.Error("disclosures are covered by the checksum: they could not be taken away")
	}
	if anchor := a["anchors"].([]any)[0].(map[string]any); anchor["block"] != nil || anchor["block_hash"] != nil {
		t.Error("an anchor that is not included names a block")
	}
	r.Disclosures[0].Value = []byte("{")
	if _, err := r.Marshal(); err == nil {
		t.Error("a disclosed value that is not JSON was written")
	}
}

// journalRows is a journal with fixed rows, by ledger name.
type journalRows map[string][]anchor.AttemptRecord

func (j journalRows) Newest(_ context.Context, info anchor.Info) ([]anchor.AttemptRecord, error) {
	if info.Name == "down" {
		return nil, errInjected
	}
	return j[info.Name], nil
}

func TestAnchorSource(t *testing.T) {
	rows := journalRows{
		"a": {{Head: anchor.Head{Size: 5}, HeadKey: "k", Attempt: anchor.Attempt{Tx: "0x5"}, Confirmation: anchor.Confirmation{Finality: anchor.Submitted}}},
		"b": {{Head: anchor.Head{Size: 3}, Confirmation: anchor.Confirmation{Finality: anchor.Safe, TxHash: "0x3"}}},
	}
	a, b := anchor.Info{Name: "a"}, anchor.Info{Name: "b", OperatorsOwn: true}
	got, err := anchor.NewAnchorSource(rows, logOrigin, a, b).NewestAnchors(t.Context(), logOrigin)
	want := []anchor.AnchorRecord{
		{Ledger: a, Head: anchor.Head{Size: 5}, HeadKey: "k", Confirmation: anchor.Confirmation{Finality: anchor.Submitted, TxHash: "0x5"}},
		{Ledger: b, Head: anchor.Head{Size: 3}, Confirmation: anchor.Confirmation{Finality: anchor.Safe, TxHash: "0x3"}},
	}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("NewestAnchors (-want +got), %v:\n%s", err, diff)
	}
	if got, err := anchor.NewAnchorSource(rows, logOrigin, a).NewestAnchors(t.Context(), "other/log"); len(got) > 0 || err != nil {
		t.Errorf("of another log: %v, %v", got, err)
	}
	if _, err := anchor.NewAnchorSource(rows, logOrigin, a, anchor.Info{Name: "down"}).NewestAnchors(t.Context(), logOrigin); !errors.Is(err, errInjected) {
		t.Errorf("journal down: %v", err)
	}
}
