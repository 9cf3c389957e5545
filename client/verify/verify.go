// Package verify checks receipts (*.writ.json) without asking the registry that
// made them. It imports no server code and no chain client; a JSON-RPC endpoint
// is optional.
//
// A receipt is a pile of layers. Each is checked by itself, and each names the
// root of trust that it rests on, which the reader has to bring ([Trust]):
//
//	receipt      the file is canonical JSON of the known shape and undamaged
//	artifact     the event's bytes are in the one form that artifacts have
//	cid          their content identifier, recomputed; it is the log entry
//	inclusion    the entry is in the tree of the checkpoint (RFC 9162 2.1.3.2)
//	checkpoint   the log's key signed that tree head        root: the log's key
//	witnesses    others saw the log grow consistently       root: their keys
//	anchor N: …  a ledger holds that head                   root: head key, chain
//	disclosures  opened values are those the event commits to
//
// What cannot be checked is reported as unverified, never passed over. Before it
// is witnessed, or anchored on a chain that the operator does not run, a receipt
// is the operator's word, and [Report.Summary] says so.
package verify

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/writ-registry/writ/anchor/tlog"
)

// Status is what became of a layer.
type Status string

const (
	// Verified: true, given the layer's root of trust.
	Verified Status = "verified"
	// SelfAsserted: consistent with what the receipt says of itself, which its
	// maker could have made up. The reader brought no root of trust for it.
	SelfAsserted Status = "self-asserted"
	// Unverified: not checked, for want of an endpoint, a key or a known format.
	Unverified Status = "unverified"
	// Failed: not true, or malformed.
	Failed Status = "failed"
)

// Layer is one check and its outcome.
type Layer struct {
	Layer       string `json:"layer"`                   // name, unique in a report
	Status      Status `json:"status"`                  //
	Detail      string `json:"detail"`                  // for people
	RootOfTrust string `json:"root_of_trust,omitempty"` // what Verified rests on, beyond SHA-256
}

// Fact is one statement of the event and whose word it is.
type Fact struct {
	Fact   string `json:"fact"`
	Source string `json:"source"` // "signed by agent", "asserted by registry", "asserted by PEP"
	Detail string `json:"detail,omitempty"`
}

// Report is the outcome of [Verify].
type Report struct {
	OK     bool    `json:"ok"` // no layer failed
	Grade  Grade   `json:"grade"`
	Layers []Layer `json:"layers"`          // in the order of the package documentation
	Facts  []Fact  `json:"facts,omitempty"` // none unless OK

	CID    string `json:"cid,omitempty"`    // of the artifact
	Type   string `json:"type,omitempty"`   // of the event
	Time   string `json:"time,omitempty"`   // claimed by the registry
	Origin string `json:"origin,omitempty"` // of the log
	Index  uint64 `json:"index"`            // of the entry
	Size   uint64 `json:"size"`             // of the checkpoint's tree

	Key *KeyReport `json:"key,omitempty"` // of [VerifyKey], if OK

	Artifact []byte `json:"-"` // the event's bytes, if OK
}

// Grade is the strength of a receipt as this verifier found it.
type Grade struct {
	// Level is none, checkpointed, witnessed or anchored.
	Level string `json:"level"`
	// Witnesses is the number of valid cosignatures by trusted witnesses.
	Witnesses int `json:"witnesses"`
	// Finality of the best verified anchor: included, safe or finalized.
	Finality string `json:"finality,omitempty"`
	// Chain of that anchor, by name and id.
	Chain string `json:"chain,omitempty"`
	// Independent: the anchor is on a chain and contract that the reader's Trust
	// lists as independent of the operator.
	Independent bool `json:"independent"`
}

// String returns the grade in words.
func (g Grade) String() string {
	switch g.Level {
	case "anchored":
		return fmt.Sprintf("anchored (%s, %s)", g.Finality, g.Chain)
	case "witnessed":
		return fmt.Sprintf("witnessed (%d)", g.Witnesses)
	}
	return g.Level
}

// Summary says in one sentence what the receipt is worth.
func (r Report) Summary() string {
	switch {
	case !r.OK:
		return "Do not rely on this receipt."
	case r.Grade.Level == "anchored" && r.Grade.Independent:
		return "The event is in a history that an independent chain holds; the chain would refuse another one."
	case r.Grade.Level == "witnessed":
		return "The event is in a history that independent witnesses saw grow."
	case r.Grade.Level == "anchored":
		return "The anchor was found, but not on a chain listed as independent: until then this is the operator's word."
	}
	return "Nothing independent vouches for this yet: it is the operator's word."
}

// Error is why a receipt is refused. It names every failed layer.
type Error struct {
	Layers []Layer // those that failed; never empty
}

// Error returns "layer: detail" of each failed layer, joined by "; ".
func (e *Error) Error() string {
	parts := make([]string, len(e.Layers))
	for i, l := range e.Layers {
		parts[i] = l.Layer + ": " + l.Detail
	}
	return strings.Join(parts, "; ")
}

// Verify checks a receipt, layer by layer. rpc may be nil: then nothing is
// fetched, and whether a chain holds an anchor stays unverified.
//
// The report is complete in any case. The error is nil if no layer failed, else
// an *Error; a problem with the endpoint fails nothing, as it says nothing about
// the receipt. Verify keeps no state and may be called concurrently.
func Verify(ctx context.Context, receipt []byte, trust Trust, rpc *RPC) (Report, error) {
	v := &verification{trust: trust, rpc: rpc}
	v.run(ctx, receipt)
	return v.conclude()
}

// conclude returns the report and what failed in it.
func (v *verification) conclude() (Report, error) {
	var failed []Layer
	for _, l := range v.report.Layers {
		if l.Status == Failed {
			failed = append(failed, l)
		}
	}
	if len(failed) > 0 {
		v.report.Grade = Grade{Level: "none"}
		v.report.Artifact, v.report.Facts, v.report.Key = nil, nil, nil
		return v.report, &Error{failed}
	}
	v.report.OK = true
	return v.report, nil
}

// verification is the check of one receipt.
type verification struct {
	trust  Trust
	rpc    *RPC
	report Report

	// What the layers of VerifyKey need of the others.
	body       json.RawMessage // of the event
	head       tlog.Checkpoint // that the log's key signed; zero where it did not
	logKeyText string          // as the receipt names it
	signer     *signer         // of a decision, where its signature was verified
}

func (v *verification) add(layer string, s Status, root, format string, args ...any) {
	v.report.Layers = append(v.report.Layers, Layer{layer, s, fmt.Sprintf(format, args...), root})
}

// run is the flow: one step a layer, in the order of the package documentation.
func (v *verification) run(ctx context.Context, data []byte) {
	file, err := parseReceipt(data)
	if err != nil {
		v.add("receipt", Failed, "", "%v", err)
		return
	}
	if file.damaged {
		v.add("receipt", Failed, "", "the checksum does not fit the content: the file was changed after it was written")
	} else {
		v.add("receipt", Verified, "", "v1, canonical JSON, checksum fits (it shows damage, not authenticity)")
	}

	event := v.artifact(file)
	head, ok := v.inclusion(file)
	if ok {
		v.head, v.logKeyText = head, file.logKey
	}
	v.witnesses(file, ok)
	if event != nil && ok && event.Log != head.Origin {
		v.add("origin", Failed, "", "the event says it is of log %q, the checkpoint is of %q", event.Log, head.Origin)
	}
	for i, raw := range file.anchors {
		v.anchor(ctx, fmt.Sprintf("anchor %d", i+1), raw, file.proof.Index, head)
	}
	for _, name := range file.unknown {
		v.add(fmt.Sprintf("%q", name), Unverified, "", "this verifier does not know this layer")
	}
	if event != nil {
		v.body = event.Body
		v.disclosures(file, event)
	}
}
