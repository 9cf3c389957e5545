package verify

import (
	"bytes"
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/transparency-dev/formats/proof"
	"golang.org/x/mod/sumdb/note"

	"github.com/writ-registry/writ/anchor/tlog"
	"github.com/writ-registry/writ/internal/canon"
	"github.com/writ-registry/writ/internal/jose"
)

// MaxReceipt is the length in bytes of the longest file that Verify reads.
const MaxReceipt = 4 << 20

// receiptFile is a receipt whose shape is sound; see docs/schemas/receipt.schema.json.
type receiptFile struct {
	artifact    []byte
	proofText   string
	proof       proof.TLogProof
	logKey      string
	anchors     []json.RawMessage
	disclosures []canon.Disclosure
	unknown     []string // names of members that this version does not know
	damaged     bool     // the checksum is wrong
}

// parseReceipt reads the file and everything in it that needs no key. It accepts
// one spelling of each value, so that no byte can change without a check noticing:
// the file is RFC 8785 canonical JSON, with at most a final line feed.
func parseReceipt(data []byte) (*receiptFile, error) {
	if len(data) > MaxReceipt {
		return nil, fmt.Errorf("longer than %d bytes", MaxReceipt)
	}
	data = bytes.TrimSuffix(data, []byte("\n"))
	form, err := canon.Canonical(data)
	if err != nil {
		return nil, fmt.Errorf("not strict JSON: %w", err)
	}
	if !bytes.Equal(form, data) {
		return nil, errors.New("not canonical JSON (RFC 8785): reformatted or changed")
	}
	var members map[string]json.RawMessage
	if err := canon.Unmarshal(data, &members); err != nil {
		return nil, fmt.Errorf("not a JSON object: %w", err)
	}
	f := &receiptFile{}
	var version int
	var artifact, checksum string
	required := map[string]any{
		"v": &version, "artifact": &artifact, "proof": &f.proofText, "log_key": &f.logKey,
		"anchors": &f.anchors, "checksum": &checksum,
	}
	for name, target := range required {
		raw, ok := members[name]
		if !ok {
			return nil, fmt.Errorf("member %q is missing", name)
		}
		if raw[0] == 'n' {
			return nil, fmt.Errorf("member %q is null", name)
		}
		if err := canon.Unmarshal(raw, target); err != nil {
			return nil, fmt.Errorf("member %q: %w", name, err)
		}
	}
	if version != 1 {
		return nil, fmt.Errorf("version %d, this verifier reads 1", version)
	}
	if raw, ok := members["disclosures"]; ok {
		if err := canon.Unmarshal(raw, &f.disclosures); err != nil {
			return nil, fmt.Errorf("member %q: %w", "disclosures", err)
		}
		if len(f.disclosures) == 0 {
			return nil, errors.New(`member "disclosures" is empty: leave it out`)
		}
	}
	for name := range members {
		if _, known := required[name]; !known && name != "disclosures" {
			f.unknown = append(f.unknown, name)
		}
	}
	slices.Sort(f.unknown)

	if f.artifact, err = jose.DecodeBase64(artifact); err != nil {
		return nil, fmt.Errorf("member %q: %w", "artifact", err)
	}
	if f.damaged, err = damaged(members, checksum); err != nil {
		return nil, err
	}
	return f, f.parseProof()
}

// parseProof reads the C2SP tlog-proof and accepts only the form that it is
// written in, without extra data.
func (f *receiptFile) parseProof() error {
	if err := f.proof.Unmarshal([]byte(f.proofText)); err != nil {
		return fmt.Errorf("member %q: %w", "proof", err)
	}
	if f.proof.ExtraData != nil || string(f.proof.Marshal()) != f.proofText {
		return errors.New(`member "proof" is not in the form of a Writ receipt (C2SP tlog-proof v1, canonical, no extra data)`)
	}
	return nil
}

// damaged reports whether checksum is not that of the other members, disclosures
// apart.
func damaged(members map[string]json.RawMessage, checksum string) (bool, error) {
	want, err := checksumOf(members)
	return want != checksum, err
}

func checksumOf(members map[string]json.RawMessage) (string, error) {
	covered := make(map[string]json.RawMessage, len(members))
	for name, raw := range members {
		if name != "checksum" && name != "disclosures" {
			covered[name] = raw
		}
	}
	form, err := canon.Marshal(covered)
	if err != nil {
		return "", err
	}
	return canon.Digest(form), nil
}

// Seal writes the checksum of a receipt anew and returns the file: for a holder
// who added to it or took from it. Disclosures are not covered and may be taken
// away without. It verifies nothing. Errors are about the JSON.
func Seal(receipt []byte) ([]byte, error) {
	var members map[string]json.RawMessage
	if err := canon.Unmarshal(receipt, &members); err != nil {
		return nil, err
	}
	sum, err := checksumOf(members)
	if err != nil {
		return nil, err
	}
	if members["checksum"], err = json.Marshal(sum); err != nil {
		return nil, err
	}
	return canon.Marshal(members)
}

// envelope is what this package reads of an event.
type envelope struct {
	V    int             `json:"v"`
	Type string          `json:"type"`
	Log  string          `json:"log"`
	Time string          `json:"time"`
	Body json.RawMessage `json:"body"`
}

// artifact checks the event's bytes and recomputes their CID. It returns nil if
// they are no artifact.
func (v *verification) artifact(f *receiptFile) *envelope {
	var e envelope
	err := canon.CheckArtifact(f.artifact)
	if err == nil {
		err = canon.UnmarshalOpen(f.artifact, &e)
	}
	switch {
	case err != nil:
		v.add("artifact", Failed, "", "%v", err)
	case e.V != 1 || e.Type == "":
		v.add("artifact", Failed, "", "not an event envelope of version 1")
		err = errors.New("no envelope")
	default:
		v.add("artifact", Verified, "", "%d bytes, event of type %s, canonical", len(f.artifact), e.Type)
	}
	v.report.CID = cidOf(f.artifact)
	v.add("cid", Verified, "", "%s, recomputed from the bytes", v.report.CID)
	if err != nil {
		return nil
	}
	v.report.Type, v.report.Time, v.report.Artifact = e.Type, e.Time, f.artifact
	return &e
}

// entryOf returns the log entry of an artifact: the 36 bytes of its CID, version
// 1, codec raw (0x55), SHA-256 (0x12) of 32 bytes (multiformats CID, "CIDv1").
func entryOf(artifact []byte) []byte {
	sum := sha256.Sum256(artifact)
	return append([]byte{0x01, 0x55, 0x12, sha256.Size}, sum[:]...)
}

// cidOf returns the CID as text: multibase b, RFC 4648 base32 in lower case.
func cidOf(artifact []byte) string {
	return "b" + strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(entryOf(artifact)))
}

// inclusion checks the layers inclusion and checkpoint. The head is good only if
// ok; inclusion is checked against the head that the receipt claims, so that the
// report tells a wrong signature from a wrong proof.
func (v *verification) inclusion(f *receiptFile) (head tlog.Checkpoint, ok bool) {
	text, _, _ := strings.Cut(string(f.proof.Checkpoint), "\n\n")
	head, err := tlog.ParseCheckpoint([]byte(text + "\n"))
	if err != nil {
		v.add("inclusion", Failed, "", "no tree head to prove it in: %v", err)
		v.add("checkpoint", Failed, "", "%v", err)
		return head, false
	}
	v.report.Origin, v.report.Index, v.report.Size = head.Origin, f.proof.Index, head.Size
	leaf := tlog.LeafHash(entryOf(f.artifact))
	if err := tlog.VerifyInclusion(leaf, f.proof.Index, head.Size, f.proof.Hashes, head.Root); err != nil {
		v.add("inclusion", Failed, "", "%v", err)
	} else {
		v.add("inclusion", Verified, "", "entry %d is in the tree of %d entries", f.proof.Index, head.Size)
	}

	key, trusted, err := v.logKey(f.logKey, head.Origin)
	if err != nil {
		v.add("checkpoint", Failed, "", "%v", err)
		return head, false
	}
	if _, err := tlog.OpenCheckpoint(f.proof.Checkpoint, head.Origin, key); err != nil {
		v.add("checkpoint", Failed, "", "%v", err)
		return head, false
	}
	v.report.Grade.Level = "checkpointed"
	if trusted {
		v.add("checkpoint", Verified, "log key "+f.logKey, "tree head %d of %s", head.Size, head.Origin)
	} else {
		v.add("checkpoint", SelfAsserted, "", "tree head %d of %s, signed by the key in the receipt itself: bring the log's key to rely on it", head.Size, head.Origin)
	}
	return head, true
}

// logKey returns the key that the checkpoint must be signed with, and whether the
// reader trusts it. A reader who trusts any log trusts no other one.
func (v *verification) logKey(text, origin string) (note.Verifier, bool, error) {
	key, err := note.NewVerifier(text)
	if err != nil {
		return nil, false, fmt.Errorf("log_key: %w", err)
	}
	// One spelling: package note takes the key hash in either case and loose
	// base64.
	_, encoded, _ := strings.Cut(strings.TrimPrefix(text, key.Name()+"+"), "+")
	raw, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if err != nil || text != fmt.Sprintf("%s+%08x+%s", key.Name(), key.KeyHash(), base64.StdEncoding.EncodeToString(raw)) {
		return nil, false, errors.New("log_key is not in its canonical form")
	}
	if len(v.trust.Logs) == 0 {
		return key, false, nil
	}
	known := false
	for _, l := range v.trust.Logs {
		if l.Origin != origin {
			continue
		}
		known = true
		if l.VKey == text {
			return key, true, nil
		}
	}
	if !known {
		return nil, false, fmt.Errorf("log %q is not among the trusted logs", origin)
	}
	return nil, false, fmt.Errorf("log_key is not the trusted key of %s", origin)
}

// witnesses checks the cosignatures on the checkpoint (C2SP tlog-cosignature).
func (v *verification) witnesses(f *receiptFile, headOK bool) {
	keys, err := v.trust.witnessKeys()
	if err != nil {
		v.add("witnesses", Failed, "", "%v", err)
		return
	}
	n, err := note.Open(f.proof.Checkpoint, note.VerifierList(keys...))
	var none *note.UnverifiedNoteError
	if errors.As(err, &none) {
		n, err = none.Note, nil
	}
	if err != nil {
		v.add("witnesses", Failed, "", "%v", err)
		return
	}
	count := len(n.Sigs)
	var others []string // neither the log's nor a trusted witness's
	for _, s := range n.UnverifiedSigs {
		if id := fmt.Sprintf("%s+%08x", s.Name, s.Hash); !strings.HasPrefix(f.logKey, id+"+") {
			others = append(others, id)
		}
	}
	v.report.Grade.Witnesses = count
	if len(others) > 0 {
		v.add("cosignatures", Unverified, "", "by keys that are not trusted: %s", strings.Join(others, ", "))
	}
	need := max(v.trust.WitnessQuorum, 1)
	switch {
	case len(keys) == 0:
		v.add("witnesses", Unverified, "", "no trusted witness was named")
	case count < need:
		v.add("witnesses", Unverified, "", "cosigned by %d of %d trusted witnesses, %d needed", count, len(keys), need)
	default:
		v.add("witnesses", Verified, "witness keys", "cosigned by %d of %d trusted witnesses, %d needed", count, len(keys), need)
		if headOK {
			v.report.Grade.Level = "witnessed"
		}
	}
}
