package did

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/writ-registry/writ/internal/canon"
	"github.com/writ-registry/writ/internal/jose"
)

// UpdateParams describes the next entry of a log. What is left out stays as it is,
// but for update keys under pre-rotation, which are spent by each entry.
type UpdateParams struct {
	// Time is later than the last entry's by a second or more: see
	// Resolution.NextTime.
	Time time.Time
	// Signer holds an update key, Ed25519: one that the last entry committed to if
	// pre-rotation is on, else one of the active ones (Resolution.MaySign).
	Signer jose.Signer
	// UpdateKeys come into force: at once under pre-rotation, where each must be
	// committed to and none means the signer's alone; else for the entry after this
	// one, and none means that the active ones stay.
	UpdateKeys []jose.PublicKey
	// NextKeys are committed to for the entry after this one. They are required
	// under pre-rotation, unless EndPreRotation, and turn it on where it is off.
	NextKeys []jose.PublicKey
	// NextKeyHashes are commitments beside those to NextKeys (NextKeyHash): to keys
	// that somebody else holds, and has not shown.
	NextKeyHashes  []string
	EndPreRotation bool

	// Keys are the subject's own, from this entry on. With none the document stays
	// as it is, and the members down to Custodian must be empty; with some they
	// describe the whole document, as in GenesisParams. The parallel did:web and the
	// DIDs that this log had before are added to AlsoKnownAs.
	Keys        []jose.PublicKey
	NoKeys      bool         // the document describes a subject without keys; Keys is empty then
	Overlap     []OverlapKey // keys on their way out
	AlsoKnownAs []string
	Controllers []string
	Services    []Service
	Custodian   string
	// Document, if any, is the whole document as it is to be, in place of all that the
	// members from Keys to Custodian describe.
	Document json.RawMessage
	// Origin and Path, if Origin is not empty, are where a portable DID moves to.
	Origin string
	Path   []string

	EndPortability bool // for good
	Witness        *Witnesses
	Watchers       []string // nil keeps them; empty but not nil ends them
	TTL            *time.Duration
}

// OverlapKey is a key that another one replaces: both are listed until an update
// leaves it out, and from Until on no proof by it verifies, listed or not.
type OverlapKey struct {
	Key   jose.PublicKey
	Until time.Time // whole seconds
}

// Update makes the next entry of a log (did:webvh v1.0, "Update (Rotate)"), which
// stays as it is: the caller appends Line once the witnesses have approved it, if the
// log has any. As Genesis, it gives the same entry for the same parameters. The entry
// has passed every rule of VerifyLog but the clock and the witnesses. Errors:
// *LogError, with the number of the new entry, where p breaks a rule of the log or
// the log one of its own; others if p describes no document or the signer fails.
func Update(log []byte, p UpdateParams) (Entry, error) {
	st, err := replay(log)
	if err != nil {
		return Entry{}, err
	}
	if p.Signer == nil {
		return Entry{}, errors.New("did: update needs a signer")
	}
	params, err := st.updateParameters(p)
	if err != nil {
		return Entry{}, err
	}
	doc, err := st.updateDocument(p)
	if err != nil {
		return Entry{}, err
	}
	return st.next(log, params, doc, p.Time, p.Signer)
}

// Deactivate makes the entries that end a DID for good (did:webvh v1.0, "Deactivate
// (Revoke)"): no update key is left. Under pre-rotation it takes two, as the first must
// still keep its promise; a second apart, the last at the given time if the log's last
// entry leaves room for both before it, else a second later. The signer is as in
// Update. Errors: as of Update.
func Deactivate(log []byte, s jose.Signer, at time.Time) ([]Entry, error) {
	st, err := replay(log)
	if err != nil {
		return nil, err
	}
	if s == nil {
		return nil, errors.New("did: deactivation needs a signer")
	}
	var out []Entry
	doc := st.Current().Document
	if len(st.NextKeyHashes) > 0 {
		if early := at.Add(-time.Second); early.Truncate(time.Second).After(st.Current().Time) {
			at = early
		}
		params := parameters{UpdateKeys: multikeys([]jose.PublicKey{s.Public()}), NextKeyHashes: &[]string{}}
		e, err := st.next(log, params, doc, at, s)
		if err != nil {
			return nil, err
		}
		out = append(out, e)
		log = slices.Concat(log, e.Line)
		at = at.Add(time.Second)
	}
	deactivated := true
	e, err := st.next(log, parameters{UpdateKeys: &[]string{}, Deactivated: &deactivated}, doc, at, s)
	if err != nil {
		return nil, err
	}
	return append(out, e), nil
}

// VerifyNext verifies a line that somebody else signed as the next entry of a log: a
// holder of its own update keys, or a controller who asks a witness. It is VerifyLog
// but for the approval of witnesses, which comes later. Whether the registry wants
// such an entry is for its caller to say. Line of the result is the same entry in RFC
// 8785 form, to be appended as it is. Errors: *LogError; another if the document is
// not one that ParseDocument reads.
func VerifyNext(log, line []byte, now time.Time) (Entry, error) {
	st, err := replay(log)
	if err != nil {
		return Entry{}, err
	}
	form, err := canon.Canonical(bytes.TrimSuffix(line, []byte("\n")))
	if err != nil {
		return Entry{}, &LogError{len(st.Versions) + 1, Malformed, err.Error()}
	}
	if err := st.extend(log, form); err != nil {
		return Entry{}, err
	}
	if err := st.notAfter(now); err != nil {
		return Entry{}, err
	}
	return describe(form, st.Current())
}

// extend takes a line over, if the log may grow by it.
func (st *state) extend(log, line []byte) error {
	if n := len(st.Versions) + 1; n > MaxEntries || len(log)+len(line)+2 > MaxLog {
		return &LogError{n, Malformed, "log would be too long"}
	}
	return st.append(line)
}

// next makes the next entry, takes it over and describes it.
func (st *state) next(log []byte, params parameters, doc json.RawMessage, at time.Time, s jose.Signer) (Entry, error) {
	form, err := canon.Marshal(params)
	if err != nil {
		return Entry{}, err
	}
	e := logEntry{VersionTime: stamp(at), Parameters: form, State: doc}
	out, err := finish(e, st.Current().ID, len(st.Versions)+1, s)
	if err != nil {
		return Entry{}, err
	}
	return out, st.extend(log, bytes.TrimSuffix(out.Line, []byte("\n")))
}

func (st *state) updateParameters(p UpdateParams) (parameters, error) {
	preRotated := len(st.NextKeyHashes) > 0
	committed := len(p.NextKeys)+len(p.NextKeyHashes) > 0
	if preRotated && !committed && !p.EndPreRotation {
		return parameters{}, errors.New("did: update needs a next update key, or must end pre-rotation")
	}
	if p.EndPreRotation && committed {
		return parameters{}, errors.New("did: update ends pre-rotation and names a next update key")
	}
	var params parameters
	if preRotated && len(p.UpdateKeys) == 0 {
		p.UpdateKeys = []jose.PublicKey{p.Signer.Public()}
	}
	if len(p.UpdateKeys) > 0 {
		params.UpdateKeys = multikeys(p.UpdateKeys)
	}
	if preRotated || committed {
		next, err := nextHashes(p.NextKeys)
		if err != nil {
			return parameters{}, err
		}
		for _, hash := range p.NextKeyHashes {
			if !IsKeyHash(hash) {
				return parameters{}, errors.New("did: a commitment is no hash of a key")
			}
			*next = append(*next, hash)
		}
		params.NextKeyHashes = next
	}
	if p.EndPortability {
		params.Portable = new(bool)
	}
	if p.Witness != nil {
		params.Witness = p.Witness.parameter()
	}
	if p.Watchers != nil {
		params.Watchers = &p.Watchers
	}
	if p.TTL != nil {
		params.TTL = ttlSeconds(*p.TTL)
	}
	return params, nil
}

// updateDocument returns the state of the new entry.
func (st *state) updateDocument(p UpdateParams) (json.RawMessage, error) {
	if p.Document != nil {
		return p.Document, nil
	}
	if len(p.Keys) == 0 && !p.NoKeys {
		if len(p.Overlap)+len(p.AlsoKnownAs)+len(p.Controllers)+len(p.Services)+len(p.Custodian)+len(p.Origin)+len(p.Path) > 0 {
			return nil, errors.New("did: an update of the document needs its keys")
		}
		return st.Current().Document, nil
	}
	if p.Origin == "" && len(p.Path) > 0 {
		return nil, errors.New("did: a path without an origin")
	}
	id := st.DID
	if p.Origin != "" {
		moved, err := WebVH(p.Origin, st.scid, p.Path...)
		if err != nil {
			return nil, err
		}
		id = moved
	}
	web, err := id.ParallelWeb()
	if err != nil {
		return nil, err
	}
	known := []string{web.String()}
	for _, v := range slices.Backward(st.Versions) {
		known = append(known, v.DID.String())
	}
	var also []string
	for _, other := range append(known, p.AlsoKnownAs...) {
		if other != id.String() && !slices.Contains(also, other) {
			also = append(also, other)
		}
	}
	state, err := canon.Marshal(newDocument(id.String(), subject{p.Keys, p.Overlap, also, p.Controllers, p.Services, p.Custodian}))
	return json.RawMessage(strings.ReplaceAll(string(state), placeholder, st.scid)), err
}
