package anchor

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/transparency-dev/formats/proof"

	"github.com/writ-registry/writ/anchor/tlog"
	"github.com/writ-registry/writ/internal/canon"
	"github.com/writ-registry/writ/internal/trace"
)

// Events gives the Prover committed artifacts.
//
// Artifact returns the bytes of the artifact with that CID exactly as they were
// recorded, the index of its entry and the origin of the log that holds it. It is
// not asked who wants to know: callers check that before. An unknown CID is the
// implementation's own error, passed on.
type Events interface {
	Artifact(ctx context.Context, cid string) (artifact []byte, index uint64, origin string, err error)
}

// AnchorRecord is one head on one ledger, as the anchor journal knows it.
type AnchorRecord struct {
	Ledger       Info // where
	Head              // what
	HeadKey      string
	Signature    []byte
	Confirmation Confirmation // how far it got, as last seen
}

// NewAnchorRecord joins a row of the journal with the ledger it was made for.
func NewAnchorRecord(ledger Info, rec AttemptRecord) AnchorRecord {
	c := rec.Confirmation
	if c.TxHash == "" {
		c.TxHash = rec.Tx
	}
	return AnchorRecord{Ledger: ledger, Head: rec.Head, HeadKey: rec.HeadKey, Signature: rec.Signature, Confirmation: c}
}

// AnchorSource names the heads of a log that ledgers hold.
//
// NewestAnchors returns, for each ledger and each grade from submitted on, the
// largest head of that grade: at most four a ledger, in any order. Larger heads
// cover every entry of smaller ones, so no entry needs more. Safe for concurrent
// use.
type AnchorSource interface {
	NewestAnchors(ctx context.Context, origin string) ([]AnchorRecord, error)
}

// Grade says what a receipt rests on, weakest first. Only the last two are worth
// something against the operator, and anchored only on an independent ledger.
type Grade string

const (
	// GradePromised: the registry said that it recorded the event.
	GradePromised Grade = "promised"
	// GradeCheckpointed: the event is in a head that the log's key signed.
	GradeCheckpointed Grade = "checkpointed"
	// GradeWitnessed: independent witnesses cosigned that head.
	GradeWitnessed Grade = "witnessed"
	// GradeAnchored: a ledger holds that head or one that extends it.
	GradeAnchored Grade = "anchored"
)

// Receipt proves that one event is in the log: the content of a *.writ.json
// file. [Receipt.Marshal] writes it; package client/verify reads it. The format
// is in docs/schemas/receipt.schema.json.
type Receipt struct {
	Artifact    []byte              // the recorded bytes
	Proof       string              // C2SP tlog-proof: index, inclusion proof, signed checkpoint
	LogKey      string              // verifier key of the checkpoint; information, not a root of trust
	Anchors     []ReceiptAnchor     // heads on ledgers that cover the entry
	Disclosures []ReceiptDisclosure // optional: values that the artifact commits to

	Index      uint64          // of the entry; in Proof
	Checkpoint tlog.Checkpoint // in Proof
}

// ReceiptAnchor is an anchored head in a receipt.
type ReceiptAnchor struct {
	AnchorRecord
	// Consistency links the receipt's checkpoint and the anchored head where
	// their sizes differ: the RFC 9162 section 2.1.4 proof from the smaller to
	// the larger.
	Consistency []tlog.Hash
}

// ReceiptDisclosure opens one commitment of the artifact: base64url(SHA-256(JCS(
// [salt, name, value]))) is a member of it.
type ReceiptDisclosure struct {
	Name  string
	Salt  string // base64url
	Value []byte // strict JSON
}

// NewestAttempts is the part of an anchor journal that an AnchorSource is made of.
//
// Newest returns, for each grade from submitted on, the row of exactly the
// ledger, chain, contract and log of info with the largest size, failed and
// superseded ones left out. Safe for concurrent use.
type NewestAttempts interface {
	Newest(ctx context.Context, info Info) ([]AttemptRecord, error)
}

// NewAnchorSource returns the anchors that a journal knows of on the given
// ledgers, which are those of the log named origin. Rows for a ledger that was
// replaced since do not show: nobody can ask it any more.
func NewAnchorSource(journal NewestAttempts, origin string, ledgers ...Info) AnchorSource {
	return &journalled{journal, origin, ledgers}
}

type journalled struct {
	journal NewestAttempts
	origin  string
	ledgers []Info
}

func (j *journalled) NewestAnchors(ctx context.Context, origin string) ([]AnchorRecord, error) {
	if origin != j.origin {
		return nil, nil
	}
	var out []AnchorRecord
	for _, info := range j.ledgers {
		rows, err := j.journal.Newest(ctx, info)
		if err != nil {
			return nil, fmt.Errorf("anchors on %s: %w", info.Name, err)
		}
		for _, row := range rows {
			out = append(out, NewAnchorRecord(info, row))
		}
	}
	return out, nil
}

// ProverConfig wires a Prover. All fields but Anchors are required.
type ProverConfig struct {
	Log         CommittedLog
	Events      Events
	Checkpoints *Checkpointer
	Store       CheckpointStore
	Anchors     AnchorSource // nil: nothing is anchored
	LogKey      string       // note verifier key (C2SP signed-note) of the checkpoint key
}

// Prover makes receipts for the events of one log. It signs nothing and stores
// nothing: a receipt made later is as good, or better. Safe for concurrent use.
type Prover struct {
	cfg ProverConfig
}

// NewProver returns a Prover. It panics on a missing required field.
func NewProver(cfg ProverConfig) *Prover {
	if cfg.Log == nil || cfg.Events == nil || cfg.Checkpoints == nil || cfg.Store == nil || cfg.LogKey == "" {
		panic("anchor: ProverConfig needs Log, Events, Checkpoints, Store and LogKey")
	}
	return &Prover{cfg}
}

// Receipt returns the strongest receipt there is now for the event with that CID.
//
// Its inclusion proof leads to the anchored checkpoint that ranks highest: on an
// independent ledger before the operator's own, then by finality, then by size.
// Without one it leads to the newest checkpoint. Further anchors that cover the
// entry are linked to it by consistency proofs.
//
// It returns ErrNotIntegrated if no checkpoint covers the entry yet (the same
// call succeeds within the checkpoint interval), the error of Events for an
// unknown CID, and an error that wraps ErrFork if the log has been refused.
func (p *Prover) Receipt(ctx context.Context, cid string) (r Receipt, err error) {
	ctx, span := trace.Start(ctx, "prove")
	defer func() { span.End(err) }()
	artifact, index, origin, err := p.cfg.Events.Artifact(ctx, cid)
	if err != nil {
		return Receipt{}, err
	}
	if origin != p.cfg.Log.Origin() {
		return Receipt{}, fmt.Errorf("event %s is in log %s, receipts are made for %s", cid, origin, p.cfg.Log.Origin())
	}
	span.Attr("writ.event", cid) // once it is known to be one, and not what somebody typed
	span.Int("writ.index", int64(index))
	if err := p.cfg.Checkpoints.covered(index + 1); err != nil {
		return Receipt{}, err
	}
	anchors, err := p.anchors(ctx, index)
	if err != nil {
		return Receipt{}, err
	}
	checkpoint, err := p.checkpoint(ctx, anchors)
	if err != nil {
		return Receipt{}, err
	}
	path, err := tlog.InclusionProof(ctx, p.cfg.Log, index, checkpoint.Size)
	if err != nil {
		return Receipt{}, fmt.Errorf("inclusion proof of entry %d at size %d: %w", index, checkpoint.Size, err)
	}
	span.Int("writ.size", int64(checkpoint.Size))
	r = Receipt{
		Artifact:   artifact,
		Proof:      string(proof.TLogProof{Index: index, Hashes: path, Checkpoint: checkpoint.Note}.Marshal()),
		LogKey:     p.cfg.LogKey,
		Index:      index,
		Checkpoint: checkpoint.Checkpoint,
	}
	for _, a := range anchors {
		link, err := p.link(ctx, checkpoint.Size, a.Size)
		if err != nil {
			return Receipt{}, err
		}
		r.Anchors = append(r.Anchors, ReceiptAnchor{AnchorRecord: a, Consistency: link})
	}
	grade, _, _ := r.Grade()
	span.Attr("writ.grade", string(grade))
	return r, nil
}

// anchors returns the best anchor of each ledger that covers the entry, best
// first.
func (p *Prover) anchors(ctx context.Context, index uint64) ([]AnchorRecord, error) {
	if p.cfg.Anchors == nil {
		return nil, nil
	}
	all, err := p.cfg.Anchors.NewestAnchors(ctx, p.cfg.Log.Origin())
	if err != nil {
		return nil, fmt.Errorf("read anchored heads: %w", err)
	}
	latest, _ := p.cfg.Checkpoints.Latest()
	all = slices.DeleteFunc(slices.Clone(all), func(a AnchorRecord) bool {
		return a.Size <= index || a.Size > latest.Size || !a.Confirmation.Finality.AtLeast(Submitted)
	})
	slices.SortStableFunc(all, compareAnchors)
	seen := make(map[string]bool)
	return slices.DeleteFunc(all, func(a AnchorRecord) bool {
		place := a.Ledger.Name + "\x00" + a.Ledger.ChainID + "\x00" + a.Ledger.Contract
		again := seen[place]
		seen[place] = true
		return again
	}), nil
}

// compareAnchors orders anchors by what they prove to an outsider, best first.
func compareAnchors(a, b AnchorRecord) int {
	independent := func(r AnchorRecord) int {
		if r.Ledger.OperatorsOwn || !r.Confirmation.Finality.AtLeast(Included) {
			return 0
		}
		return 1
	}
	if d := independent(b) - independent(a); d != 0 {
		return d
	}
	if d := b.Confirmation.Finality.rank() - a.Confirmation.Finality.rank(); d != 0 {
		return d
	}
	switch {
	case a.Size > b.Size:
		return -1
	case a.Size < b.Size:
		return 1
	}
	return 0
}

// checkpoint returns the signed checkpoint for a receipt: that of the first
// anchor which still has one, else the newest.
func (p *Prover) checkpoint(ctx context.Context, anchors []AnchorRecord) (SignedCheckpoint, error) {
	for _, a := range anchors {
		c, err := p.cfg.Store.CheckpointAt(ctx, p.cfg.Log.Origin(), a.Size)
		if err != nil {
			return SignedCheckpoint{}, fmt.Errorf("read checkpoint %d: %w", a.Size, err)
		}
		if c != nil && c.Root == a.Root {
			return *c, nil
		}
	}
	latest, ok := p.cfg.Checkpoints.Latest()
	if !ok {
		return SignedCheckpoint{}, fmt.Errorf("no checkpoint is signed: %w", ErrNotIntegrated)
	}
	return latest, nil
}

// link returns the consistency proof between two sizes, none if they are equal.
func (p *Prover) link(ctx context.Context, a, b uint64) ([]tlog.Hash, error) {
	if a == b {
		return nil, nil
	}
	path, err := tlog.ConsistencyProof(ctx, p.cfg.Log, min(a, b), max(a, b))
	if err != nil {
		return nil, fmt.Errorf("consistency of sizes %d and %d: %w", a, b, err)
	}
	return path, nil
}

// Grade is what the receipt rests on, the finality of its best anchor where it
// has one, and whether a ledger that is not the operator's own is among them.
// It is the registry's own view; package client/verify comes to its own.
func (r Receipt) Grade() (grade Grade, finality Finality, independent bool) {
	grade, finality = GradeCheckpointed, None
	for _, a := range r.Anchors {
		grade = GradeAnchored
		if a.Confirmation.Finality.rank() > finality.rank() {
			finality = a.Confirmation.Finality
		}
		independent = independent || !a.Ledger.OperatorsOwn && a.Confirmation.Finality.AtLeast(Included)
	}
	return grade, finality, independent
}

// Marshal returns the receipt file: one line of canonical JSON (RFC 8785), v 1.
// It returns an error if a disclosed value is not JSON or LogKey or Proof is not
// valid UTF-8.
func (r Receipt) Marshal() ([]byte, error) {
	file := map[string]any{
		"v":        1,
		"artifact": base64.RawURLEncoding.EncodeToString(r.Artifact),
		"proof":    r.Proof,
		"log_key":  r.LogKey,
		"anchors":  receiptAnchors(r.Anchors),
	}
	// Damage to members that no signature covers, such as a claimed block
	// number, would otherwise go unseen. Disclosures are left out, since each
	// is bound by its commitment and may be taken away.
	form, err := canon.Marshal(file)
	if err != nil {
		return nil, fmt.Errorf("write receipt: %w", err)
	}
	file["checksum"] = canon.Digest(form)
	if len(r.Disclosures) > 0 {
		var list []any
		for _, d := range r.Disclosures {
			list = append(list, map[string]any{"name": d.Name, "salt": d.Salt, "value": json.RawMessage(d.Value)})
		}
		file["disclosures"] = list
	}
	form, err = canon.Marshal(file)
	if err != nil {
		return nil, fmt.Errorf("write receipt: %w", err)
	}
	return form, nil
}

func receiptAnchors(anchors []ReceiptAnchor) []any {
	list := []any{} // never null
	for _, a := range anchors {
		m := map[string]any{
			"type":          a.Ledger.Kind,
			"chain":         a.Ledger.Name,
			"chain_id":      a.Ledger.ChainID,
			"contract":      a.Ledger.Contract,
			"log_id":        "0x" + hex.EncodeToString(a.Ledger.LogID[:]),
			"size":          a.Size,
			"root":          base64.RawURLEncoding.EncodeToString(a.Root[:]),
			"head_key":      a.HeadKey,
			"signature":     base64.RawURLEncoding.EncodeToString(a.Signature),
			"tx":            a.Confirmation.TxHash,
			"finality":      string(a.Confirmation.Finality),
			"operators_own": a.Ledger.OperatorsOwn,
		}
		if a.Confirmation.Finality.AtLeast(Included) {
			m["block"] = a.Confirmation.Block
			m["block_hash"] = a.Confirmation.BlockHash
		}
		if len(a.Consistency) > 0 {
			path := make([]string, len(a.Consistency))
			for i, h := range a.Consistency {
				path[i] = base64.RawURLEncoding.EncodeToString(h[:])
			}
			m["consistency"] = path
		}
		list = append(list, m)
	}
	return list
}
