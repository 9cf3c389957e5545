package did

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/writ-registry/writ/internal/canon"
	"github.com/writ-registry/writ/internal/jose"
)

// MaxWitnessFile is the longest did-witness.json that ParseWitnessProofs reads, in
// bytes.
const MaxWitnessFile = 1 << 20

// Witnesses is who must approve the entries of a log (did:webvh v1.0, "Witness
// Lists"). The zero value: nobody.
type Witnesses struct {
	Threshold int              // 1 to the number of Keys
	Keys      []jose.PublicKey // Ed25519, distinct; each witness is the did:key of one
}

// WitnessProof is a proof by a witness that it approves an entry and with it all
// entries before ("The Witness Proofs File"). Whether it is one, VerifyLog finds out.
type WitnessProof struct {
	VersionID string
	proof     proof
}

// witnessRecord is an element of did-witness.json.
type witnessRecord struct {
	VersionID string            `json:"versionId"`
	Proof     []json.RawMessage `json:"proof"`
}

// ParseWitnessProofs reads a did-witness.json. A proof of another form than this
// package signs is left out, as one that does not verify would be: the threshold
// decides. Errors: *LogError with Malformed, if it is no such file.
func ParseWitnessProofs(file []byte) ([]WitnessProof, error) {
	if len(file) > MaxWitnessFile {
		return nil, &LogError{0, Malformed, "witness file is too long"}
	}
	var records []witnessRecord
	if err := canon.UnmarshalOpen(file, &records); err != nil {
		return nil, &LogError{0, Malformed, "witness file: " + err.Error()}
	}
	var out []WitnessProof
	for _, r := range records {
		for _, data := range r.Proof {
			var p proof
			if err := canon.Unmarshal(data, &p); err == nil {
				out = append(out, WitnessProof{r.VersionID, p})
			}
		}
	}
	return out, nil
}

// MarshalWitnessProofs writes a did-witness.json, which must be published before the
// log with the entries that it approves.
func MarshalWitnessProofs(proofs []WitnessProof) ([]byte, error) {
	records := []witnessRecord{}
	for _, p := range proofs {
		data, err := canon.Marshal(p.proof)
		if err != nil {
			return nil, err
		}
		at := slices.IndexFunc(records, func(r witnessRecord) bool { return r.VersionID == p.VersionID })
		if at < 0 {
			at = len(records)
			records = append(records, witnessRecord{VersionID: p.VersionID})
		}
		records[at].Proof = append(records[at].Proof, data)
	}
	return canon.Marshal(records)
}

// Approve signs the approval of an entry by a witness, with an Ed25519 key. The
// witness must have verified the entry as the next of the log it holds (VerifyNext)
// and decided that it may stand: the proof speaks for all entries before, too.
func Approve(versionID string, s jose.Signer, at time.Time) (WitnessProof, error) {
	form, err := approved(versionID)
	if err != nil {
		return WitnessProof{}, err
	}
	p, err := newProof(s, form, at.UTC().Truncate(time.Second).Format(time.RFC3339))
	if err != nil {
		return WitnessProof{}, fmt.Errorf("approve DID log entry: %w", err)
	}
	return WitnessProof{versionID, p}, nil
}

// approved returns the document that witnesses sign.
func approved(versionID string) ([]byte, error) {
	return canon.Marshal(struct {
		VersionID string `json:"versionId"`
	}{versionID})
}

// witness returns the Multikey that p says it is by.
func (p WitnessProof) witness() string {
	_, key, _ := strings.Cut(p.proof.VerificationMethod, "#")
	return key
}

func (p WitnessProof) verify() bool {
	form, err := approved(p.VersionID)
	if err != nil {
		return false
	}
	_, err = p.proof.verify(form)
	return err == nil
}

// takeWitnesses makes the witnesses of a verified entry the active ones and returns
// those that this entry needs: the active ones from before, for they must approve
// their own replacement, or the new ones where there were none.
func (st *state) takeWitnesses(p parameters) Witnesses {
	before := st.Witness
	if p.Witness != nil {
		st.Witness, _ = p.Witness.parse() // check has seen it
	}
	if before.Threshold > 0 {
		return before
	}
	return st.Witness
}

// verifyWitnesses demands of each entry the approval of enough of its own witnesses
// ("Verifying Witness Proofs During Resolution").
func (st *state) verifyWitnesses(proofs []WitnessProof) error {
	approved := st.approvals(proofs)
	for i, need := range st.witnesses {
		count := 0
		for _, key := range need.Keys {
			if approved[key.Multikey()] > i {
				count++
			}
		}
		if count < need.Threshold {
			return &LogError{i + 1, Unwitnessed, fmt.Sprintf("approved by %d of the %d witnesses it needs", count, need.Threshold)}
		}
	}
	return nil
}

// approvals returns the number of the last entry that each witness approved. Proofs
// for entries of other logs, or not published yet, and proofs by others say nothing.
// Of each witness the proofs are tried from the last entry down, so that a pruned
// file and one that was never pruned cost the same.
func (r Resolution) approvals(proofs []WitnessProof) map[string]int {
	number := map[string]int{}
	for _, v := range r.Versions {
		number[v.ID] = v.Number
	}
	witnesses := map[string]bool{}
	for _, list := range r.witnesses {
		for _, key := range list.Keys {
			witnesses[key.Multikey()] = true
		}
	}
	var here []WitnessProof
	for _, p := range proofs {
		if number[p.VersionID] > 0 && witnesses[p.witness()] {
			here = append(here, p)
		}
	}
	slices.SortStableFunc(here, func(a, b WitnessProof) int { return cmp.Compare(number[b.VersionID], number[a.VersionID]) })
	out := map[string]int{}
	for _, p := range here {
		if by := p.witness(); out[by] == 0 && p.verify() {
			out[by] = number[p.VersionID]
		}
	}
	return out
}

// PruneWitnessProofs returns what a did-witness.json needs to hold beside this log:
// the last valid proof of each witness, and those for entries that are not in the log
// yet.
func (r Resolution) PruneWitnessProofs(proofs []WitnessProof) []WitnessProof {
	last := r.approvals(proofs)
	var out []WitnessProof
	for _, p := range proofs {
		v, published := r.find(p.VersionID)
		if !published {
			out = append(out, p)
			continue
		}
		if by := p.witness(); last[by] == v.Number && p.verify() {
			out = append(out, p)
			delete(last, by)
		}
	}
	return out
}
