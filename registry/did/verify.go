package did

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/writ-registry/writ/internal/canon"
)

// Limits of a log.
const (
	MaxLog     = 1 << 20 // bytes
	MaxEntries = 1000
	maxKeys    = 100     // members of a list in the parameters
	maxTTL     = 1 << 31 // seconds
	defaultTTL = 3600    // seconds
)

// Code says which rule a log broke. It is itself an error, so
// errors.Is(err, did.BadHash) works.
type Code string

// Error returns the code's text.
func (c Code) Error() string { return string(c) }

const (
	Malformed       Code = "malformed"        // not JSON Lines of strict JSON with the members of an entry, or too large
	BadParameters   Code = "parameters"       // a parameter is unknown, missing or out of range
	BadSCID         Code = "scid"             // the SCID is not the hash of the first entry, or not that of a document
	BadHash         Code = "entry_hash"       // versionId is not the next number and the entry's hash
	BadTime         Code = "version_time"     // not UTC, not after the entry before, or in the future
	BadID           Code = "document_id"      // the document's id is no did:webvh, or moved without portability
	BadProof        Code = "proof"            // a proof is missing, not valid, or not by an active update key
	PreRotation     Code = "pre_rotation"     // an update key was not committed to by the entry before
	AfterDeactivate Code = "after_deactivate" // an entry follows the deactivation
	Unwitnessed     Code = "unwitnessed"      // fewer witnesses approved an entry than it needs
)

// LogError says which entry of a log fails and why.
type LogError struct {
	Entry  int // from 1; 0 for the log as a whole
	Code   Code
	Detail string
}

// Error returns "did: log entry n: code: detail".
func (e *LogError) Error() string {
	return fmt.Sprintf("did: log entry %d: %s: %s", e.Entry, e.Code, e.Detail)
}

// Unwrap returns the code, for errors.Is.
func (e *LogError) Unwrap() error { return e.Code }

// VerifyLog verifies a did.jsonl of at most MaxLog bytes as did:webvh v1.0, "Read
// (Resolve)", demands, with the proofs of its witnesses as ParseWitnessProofs reads
// them. A log that needs none verifies without; one that needs some fails with
// Unwitnessed, so a caller may ask for did-witness.json only then. It does not know
// which DID was asked for: the caller compares (Resolution.Knows).
//
// Nothing is returned of a log with a bad entry, not even its good beginning, and
// every proof of an entry must verify where the specification demands one. An entry
// later than now is refused; a caller that grants controllers a tolerance adds it to
// now, at most five minutes. Errors: *LogError.
func VerifyLog(jsonl []byte, now time.Time, proofs ...WitnessProof) (Resolution, error) {
	st, err := replay(jsonl)
	if err != nil {
		return Resolution{}, err
	}
	if err := st.notAfter(now); err != nil {
		return Resolution{}, err
	}
	if err := st.verifyWitnesses(proofs); err != nil {
		return Resolution{}, err
	}
	return st.Resolution, nil
}

// replay verifies all of a log that needs neither clock nor witnesses.
func replay(jsonl []byte) (*state, error) {
	if len(jsonl) > MaxLog {
		return nil, &LogError{0, Malformed, "log is too long"}
	}
	lines := bytes.Split(bytes.TrimSuffix(jsonl, []byte("\n")), []byte("\n"))
	if len(lines) > MaxEntries {
		return nil, &LogError{0, Malformed, "log has too many entries"}
	}
	var st state
	for _, line := range lines {
		if err := st.append(line); err != nil {
			return nil, err
		}
	}
	return &st, nil
}

// state is what the entries so far have established.
type state struct {
	Resolution
	scid       string
	updateKeys []string
}

// append is apply with the error that a caller sees.
func (st *state) append(line []byte) error {
	n := len(st.Versions) + 1
	err := st.apply(line, n)
	if err == nil {
		return nil
	}
	code := Malformed
	errors.As(err, &code)
	return &LogError{n, code, strings.TrimPrefix(err.Error(), string(code)+": ")}
}

// notAfter refuses a log from the future. The times of entries rise, so the last
// speaks for all.
func (st *state) notAfter(now time.Time) error {
	if st.Current().Time.After(now) {
		return &LogError{len(st.Versions), BadTime, "versionTime is in the future"}
	}
	return nil
}

// apply verifies the n-th entry and takes it over.
func (st *state) apply(line []byte, n int) error {
	var e logEntry
	if err := canon.Unmarshal(line, &e); err != nil {
		return err
	}
	if st.Deactivated {
		return fmt.Errorf("%w: no entry may follow the deactivation", AfterDeactivate)
	}
	p, err := parseParameters(e.Parameters)
	if err != nil {
		return fmt.Errorf("%w: %w", BadParameters, err)
	}
	active, err := st.authorize(p, n)
	if err != nil {
		return err
	}
	v, err := st.version(e, n)
	if err != nil {
		return err
	}
	if err := verifyProofs(e, active); err != nil {
		return fmt.Errorf("%w: %w", BadProof, err)
	}
	st.take(p)
	v.UpdateKeys = st.updateKeys
	st.Versions = append(st.Versions, v)
	st.DID = v.DID
	return nil
}

// authorize applies the rules between the parameters of this entry and those before,
// and returns the update keys that may sign it ("Authorized Keys").
func (st *state) authorize(p parameters, n int) ([]string, error) {
	if n == 1 {
		if p.Method == nil || p.SCID == nil || p.UpdateKeys == nil || len(*p.UpdateKeys) == 0 {
			return nil, fmt.Errorf("%w: the first entry lacks method, scid or updateKeys", BadParameters)
		}
		if !isSHA256(*p.SCID) {
			return nil, fmt.Errorf("%w: not the base58btc of a SHA-256 multihash", BadSCID)
		}
		st.scid = *p.SCID
		return *p.UpdateKeys, nil
	}
	if p.SCID != nil {
		return nil, fmt.Errorf("%w: scid after the first entry", BadParameters)
	}
	if p.Portable != nil && *p.Portable {
		return nil, fmt.Errorf("%w: portable after the first entry", BadParameters)
	}
	if len(st.NextKeyHashes) == 0 {
		return st.updateKeys, nil
	}
	if p.UpdateKeys == nil || len(*p.UpdateKeys) == 0 || p.NextKeyHashes == nil {
		return nil, fmt.Errorf("%w: updateKeys or nextKeyHashes is missing", PreRotation)
	}
	for _, key := range *p.UpdateKeys {
		if !slices.Contains(st.NextKeyHashes, multihash([]byte(key))) {
			return nil, fmt.Errorf("%w: an update key was not committed to", PreRotation)
		}
	}
	return *p.UpdateKeys, nil
}

// version verifies versionTime, SCID, versionId and the document's id.
func (st *state) version(e logEntry, n int) (Version, error) {
	at, err := time.Parse(time.RFC3339, e.VersionTime)
	if err != nil || !strings.HasSuffix(e.VersionTime, "Z") && !strings.HasSuffix(e.VersionTime, "+00:00") {
		return Version{}, fmt.Errorf("%w: not a UTC date and time", BadTime)
	}
	if n > 1 && !at.After(st.Current().Time) {
		return Version{}, fmt.Errorf("%w: not after the entry before", BadTime)
	}
	predecessor := st.scid
	if n == 1 {
		if got, err := e.scid(st.scid); err != nil || got != st.scid {
			return Version{}, fmt.Errorf("%w: not the hash of the first entry", BadSCID)
		}
	} else {
		predecessor = st.Current().ID
	}
	hash, err := e.entryHash(predecessor)
	if err != nil || e.VersionID != strconv.Itoa(n)+"-"+hash {
		return Version{}, fmt.Errorf("%w: versionId is not %d and the hash of the entry", BadHash, n)
	}
	id, err := st.identify(e.State, n)
	return Version{Number: n, ID: e.VersionID, EntryHash: hash, Time: at.UTC(), DID: id, Document: e.State}, err
}

// identify returns the document's DID. It may change only in a portable log, keeping
// the SCID and naming the DID before ("DID Portability").
func (st *state) identify(doc json.RawMessage, n int) (DID, error) {
	var subject struct {
		ID          string   `json:"id"`
		AlsoKnownAs []string `json:"alsoKnownAs"`
	}
	if err := canon.UnmarshalOpen(doc, &subject); err != nil {
		return DID{}, fmt.Errorf("%w: %w", BadID, err)
	}
	id, err := Parse(subject.ID)
	if err != nil || id.Method() != MethodWebVH {
		return DID{}, fmt.Errorf("%w: not a did:webvh", BadID)
	}
	if id.SCID() != st.scid {
		return DID{}, fmt.Errorf("%w: the document's id has another SCID", BadSCID)
	}
	moved := n > 1 && id != st.DID
	if moved && (!st.Portable || !slices.Contains(subject.AlsoKnownAs, st.DID.String())) {
		return DID{}, fmt.Errorf("%w: moved without portability or alsoKnownAs", BadID)
	}
	return id, nil
}

func verifyProofs(e logEntry, active []string) error {
	if len(e.Proof) == 0 || len(e.Proof) > maxKeys {
		return errors.New("no proof, or too many")
	}
	form, err := e.canonical(e.VersionID)
	if err != nil {
		return err
	}
	for _, p := range e.Proof {
		key, err := p.verify(form)
		if err != nil {
			return err
		}
		if !slices.Contains(active, key) {
			return errors.New("not by an active update key")
		}
	}
	return nil
}

// take makes the parameters of a verified entry the active ones.
func (st *state) take(p parameters) {
	if len(st.Versions) == 0 {
		st.TTL = defaultTTL * time.Second
	}
	st.witnesses = append(st.witnesses, st.takeWitnesses(p))
	if p.UpdateKeys != nil {
		st.updateKeys = *p.UpdateKeys
	}
	if p.NextKeyHashes != nil {
		st.NextKeyHashes = *p.NextKeyHashes
	}
	if p.Portable != nil {
		st.Portable = *p.Portable
	}
	if p.Watchers != nil {
		st.Watchers = *p.Watchers
	}
	if p.Deactivated != nil {
		st.Deactivated = *p.Deactivated
	}
	if p.TTL != nil {
		st.TTL = time.Duration(*p.TTL) * time.Second
	}
}
