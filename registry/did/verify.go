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
	"github.com/writ-registry/writ/internal/jose"
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
	Unsupported     Code = "unsupported"      // the log asks for witnesses, which are not verified yet
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

// Version is one verified entry.
type Version struct {
	ID         string          // versionId
	EntryHash  string          // the part of ID behind the number
	Time       time.Time       // versionTime, as the controller asserts it
	DID        DID             // the document's id
	Document   json.RawMessage // state as logged; ParseDocument reads it
	UpdateKeys []string        // Multikeys in force after this entry
}

// Resolution is a verified log. The last of Versions is current.
type Resolution struct {
	DID           DID
	Versions      []Version // at least one, in order
	NextKeyHashes []string  // commitments for the next entry; empty: no pre-rotation
	Portable      bool
	Deactivated   bool
	Watchers      []string
	TTL           time.Duration
}

// Current returns the last version.
func (r Resolution) Current() Version { return r.Versions[len(r.Versions)-1] }

// At returns the version in force at a time (DID URL parameter versionTime) and
// whether there was one.
func (r Resolution) At(t time.Time) (Version, bool) {
	for _, v := range slices.Backward(r.Versions) {
		if !v.Time.After(t) {
			return v, true
		}
	}
	return Version{}, false
}

// VerifyLog verifies a did.jsonl of at most MaxLog bytes as did:webvh v1.0, "Read
// (Resolve)", demands, up to but not including witnesses. It does not know which DID
// was asked for: the caller compares. Nothing is returned of a log with a bad entry,
// not even its good beginning, and every proof must verify where the specification
// demands one. Errors: *LogError.
func VerifyLog(jsonl []byte, now time.Time) (Resolution, error) {
	if len(jsonl) > MaxLog {
		return Resolution{}, &LogError{0, Malformed, "log is too long"}
	}
	lines := bytes.Split(bytes.TrimSuffix(jsonl, []byte("\n")), []byte("\n"))
	if len(lines) > MaxEntries {
		return Resolution{}, &LogError{0, Malformed, "log has too many entries"}
	}
	var st state
	for i, line := range lines {
		if err := st.apply(line, i+1); err != nil {
			code := Malformed
			errors.As(err, &code)
			return Resolution{}, &LogError{i + 1, code, strings.TrimPrefix(err.Error(), string(code)+": ")}
		}
	}
	if last := st.Current(); last.Time.After(now) {
		return Resolution{}, &LogError{len(lines), BadTime, "versionTime is in the future"}
	}
	return st.Resolution, nil
}

// state is what the entries so far have established.
type state struct {
	Resolution
	scid       string
	updateKeys []string
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
	var p parameters
	if err := canon.Unmarshal(e.Parameters, &p); err != nil {
		return fmt.Errorf("%w: %w", BadParameters, err)
	}
	witnessed, err := p.check()
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
	if witnessed {
		return fmt.Errorf("%w: witnesses", Unsupported)
	}
	st.take(p)
	v.UpdateKeys = st.updateKeys
	st.Versions = append(st.Versions, v)
	st.DID = v.DID
	return nil
}

// check validates the values by themselves and reports whether witnesses are asked
// for.
func (p parameters) check() (witnessed bool, err error) {
	if p.Method != nil && *p.Method != methodVersion {
		return false, fmt.Errorf("method is not %s", methodVersion)
	}
	for _, list := range []*[]string{p.UpdateKeys, p.NextKeyHashes, p.Watchers} {
		if list != nil && len(*list) > maxKeys {
			return false, errors.New("a list is too long")
		}
	}
	if p.UpdateKeys != nil {
		for _, text := range *p.UpdateKeys {
			if key, err := jose.ParseMultikey(text); err != nil || key.Alg() != jose.EdDSA {
				return false, errors.New("an update key is not an Ed25519 Multikey")
			}
		}
	}
	if p.TTL != nil && (*p.TTL < 0 || *p.TTL > maxTTL) {
		return false, errors.New("ttl is out of range")
	}
	return p.Witness.check()
}

// check validates a witness parameter and reports whether it names any. {} names
// none; anything else needs a threshold that its distinct did:key can reach.
func (w *witness) check() (bool, error) {
	if w == nil || w.Threshold == nil && w.Witnesses == nil {
		return false, nil
	}
	if w.Threshold == nil || w.Witnesses == nil || *w.Threshold < 1 || *w.Threshold > len(*w.Witnesses) {
		return false, errors.New("witness threshold is not between 1 and the number of witnesses")
	}
	seen := map[string]bool{}
	for _, one := range *w.Witnesses {
		if d, err := Parse(one.ID); err != nil || d.Method() != MethodKey || seen[one.ID] {
			return false, errors.New("a witness is repeated or no did:key")
		}
		seen[one.ID] = true
	}
	return true, nil
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
	if p.Portable != nil && *p.Portable && !st.Portable {
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
	if err != nil || !strings.HasSuffix(e.VersionTime, "Z") {
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
	return Version{ID: e.VersionID, EntryHash: hash, Time: at, DID: id, Document: e.State}, err
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
	for _, p := range e.Proof {
		key, err := p.verify(e)
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
