package did

import (
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/writ-registry/writ/internal/jose"
)

// Version is one verified entry.
type Version struct {
	Number     int             // from 1
	ID         string          // versionId
	EntryHash  string          // the part of ID behind the number
	Time       time.Time       // versionTime, as the controller asserts it
	DID        DID             // the document's id
	Document   json.RawMessage // state as logged; ParseDocument reads it
	UpdateKeys []string        // Multikeys in force after this entry
}

// Resolution is a verified log. The last of Versions is current.
type Resolution struct {
	DID           DID       // of the current version
	Versions      []Version // at least one, in order
	NextKeyHashes []string  // commitments for the next entry; empty: no pre-rotation
	Portable      bool
	Deactivated   bool
	Witness       Witnesses // who must approve the next entry
	Watchers      []string
	TTL           time.Duration
	witnesses     []Witnesses // who approved each entry
}

// Current returns the last version.
func (r Resolution) Current() Version { return r.Versions[len(r.Versions)-1] }

// Knows reports whether the log is that of d: whether one of its versions has d as
// its id. In a portable log that need not be the current one.
func (r Resolution) Knows(d DID) bool {
	return slices.ContainsFunc(r.Versions, func(v Version) bool { return v.DID == d })
}

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

func (r Resolution) find(versionID string) (Version, bool) {
	at := slices.IndexFunc(r.Versions, func(v Version) bool { return v.ID == versionID })
	if at < 0 {
		return Version{}, false
	}
	return r.Versions[at], true
}

// MaySign reports whether the next entry may be signed by k ("Authorized Keys").
func (r Resolution) MaySign(k jose.PublicKey) bool {
	if r.Deactivated {
		return false
	}
	if len(r.NextKeyHashes) > 0 {
		return slices.Contains(r.NextKeyHashes, NextKeyHash(k))
	}
	return slices.Contains(r.Current().UpdateKeys, k.Multikey())
}

// NextTime returns the earliest time from now on that the next entry may bear: in
// whole seconds, and later than the last.
func (r Resolution) NextTime(now time.Time) time.Time {
	now = now.UTC().Truncate(time.Second)
	if last := r.Current().Time; !now.After(last) {
		return last.Truncate(time.Second).Add(time.Second)
	}
	return now
}

// VersionQuery says which version of a document is wanted. At most one member is
// set; the zero value asks for the current one.
type VersionQuery struct {
	VersionID     string
	VersionTime   time.Time
	VersionNumber int // from 1; did:webvh v1.0, "Reading did:webvh DID URLs"
}

// ParseVersionQuery reads the DID parameters versionId, versionTime (an XML Schema
// dateTime, DID Resolution 1.0 section 3.2) and versionNumber, and leaves others
// alone. It errs if one has no such value, occurs twice, or two occur.
func ParseVersionQuery(values url.Values) (VersionQuery, error) {
	var q VersionQuery
	set := 0
	for name, read := range map[string]func(string) error{
		"versionId":     func(s string) error { q.VersionID = s; return nil },
		"versionTime":   func(s string) (err error) { q.VersionTime, err = time.Parse(time.RFC3339, s); return err },
		"versionNumber": func(s string) (err error) { q.VersionNumber, err = strconv.Atoi(s); return err },
	} {
		texts, ok := values[name]
		if !ok {
			continue
		}
		if set++; len(texts) != 1 || texts[0] == "" || read(texts[0]) != nil {
			return VersionQuery{}, errors.New("did: " + name + " is not a value of its kind, given once")
		}
		if name == "versionNumber" && q.VersionNumber < 1 {
			return VersionQuery{}, errors.New("did: versionNumber is not positive")
		}
	}
	if set > 1 {
		return VersionQuery{}, errors.New("did: versionId, versionTime and versionNumber exclude each other")
	}
	return q, nil
}

// Find returns the version that q asks for and whether there is one.
func (r Resolution) Find(q VersionQuery) (Version, bool) {
	switch {
	case q.VersionID != "":
		return r.find(q.VersionID)
	case !q.VersionTime.IsZero():
		return r.At(q.VersionTime)
	case q.VersionNumber != 0:
		if q.VersionNumber < 1 || q.VersionNumber > len(r.Versions) {
			return Version{}, false
		}
		return r.Versions[q.VersionNumber-1], true
	}
	return r.Current(), true
}

// Metadata is DID document metadata (DID Resolution 1.0 section 4.3; did:webvh v1.0,
// "Read (Resolve)"). Times are RFC 3339 in UTC; numbers are strings, as DID
// Resolution demands. An empty member is left out, so that one type serves all
// methods.
type Metadata struct {
	VersionID     string           `json:"versionId,omitempty"`
	VersionTime   string           `json:"versionTime,omitempty"`
	Created       string           `json:"created,omitempty"`
	Updated       string           `json:"updated,omitempty"` // of the log's last entry
	NextVersionID string           `json:"nextVersionId,omitempty"`
	NextUpdate    string           `json:"nextUpdate,omitempty"`
	CanonicalID   string           `json:"canonicalId,omitempty"` // where the DID has moved to
	SCID          string           `json:"scid,omitempty"`
	Portable      *bool            `json:"portable,omitempty"`
	Deactivated   bool             `json:"deactivated,omitempty"` // of the DID, also beside an older version
	TTL           string           `json:"ttl,omitempty"`         // seconds
	Witness       *WitnessMetadata `json:"witness,omitempty"`
	Watchers      []string         `json:"watchers,omitempty"`
}

// WitnessMetadata is the witness parameter with its number as a string.
type WitnessMetadata struct {
	Threshold string      `json:"threshold"`
	Witnesses []witnessID `json:"witnesses"`
}

// Metadata describes a version of r. Apart from the version's own members it speaks
// of the log as it is now.
func (r Resolution) Metadata(v Version) Metadata {
	last, portable := r.Current(), r.Portable
	m := Metadata{
		VersionID: v.ID, VersionTime: stamp(v.Time), Created: stamp(r.Versions[0].Time), Updated: stamp(last.Time),
		SCID: r.DID.SCID(), Portable: &portable, Deactivated: r.Deactivated,
		TTL: strconv.FormatInt(int64(r.TTL/time.Second), 10), Watchers: r.Watchers,
	}
	if v.Number < last.Number {
		next := r.Versions[v.Number]
		m.NextVersionID, m.NextUpdate = next.ID, stamp(next.Time)
	}
	if v.DID != r.DID {
		m.CanonicalID = r.DID.String()
	}
	if r.Witness.Threshold > 0 {
		m.Witness = &WitnessMetadata{strconv.Itoa(r.Witness.Threshold), *r.Witness.parameter().Witnesses}
	}
	return m
}

// Resolve returns the document of the version that q asks for, its metadata, and
// whether there is such a version. The document of a deactivated DID is nil, unless
// an older version was asked for ("Deactivate (Revoke)").
func (r Resolution) Resolve(q VersionQuery) (json.RawMessage, Metadata, bool) {
	v, ok := r.Find(q)
	if !ok {
		return nil, Metadata{}, false
	}
	if r.Deactivated && v.Number == len(r.Versions) {
		return nil, r.Metadata(v), true
	}
	return v.Document, r.Metadata(v), true
}

// stamp writes a time as DID Resolution does, without fractions of a second.
func stamp(t time.Time) string { return t.UTC().Truncate(time.Second).Format(time.RFC3339) }
