package did

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/writ-registry/writ/internal/canon"
	"github.com/writ-registry/writ/internal/jose"
)

// GenesisParams describes a did:webvh to be made. Its DID is not known yet: in
// Services, AlsoKnownAs and Controllers the text "{SCID}" stands for the SCID.
type GenesisParams struct {
	Origin string   // public origin, https://host[:port]; the host is no IP address
	Path   []string // path segments under it, as in "agents", id
	Time   time.Time
	// Signer holds the update key, Ed25519. It signs this entry only: the entry
	// after it is signed by one of NextKeys.
	Signer jose.Signer
	// NextKeys are the update keys committed to for the next entry, Ed25519, at
	// least one: pre-rotation is always on.
	NextKeys    []jose.PublicKey
	Keys        []jose.PublicKey // the subject's own keys, at least one
	AlsoKnownAs []string         // beside the parallel did:web, which is added
	Controllers []string         // DIDs; none means the DID itself
	Services    []Service        // ids such as "#mcp" are made absolute
	// Custodian, if not empty, is the URI of the registrar who holds the update
	// keys in place of the subject; the document then says so (CustodyService).
	Custodian string
	TTL       time.Duration // caching advice in whole seconds; 0 leaves it to the default, an hour
	Portable  bool          // whether the DID may move; it can never be allowed later
	Witness   Witnesses     // who must approve this entry and those after it; zero for nobody
	Watchers  []string      // URLs of those who keep copies of the log
}

// Entry is a new entry of a log.
type Entry struct {
	Line      []byte    // the entry as a line of did.jsonl, with its line feed
	DID       DID       // did:webvh
	Web       DID       // the parallel did:web
	Document  Document  // the did:webvh document
	VersionID string    // the entry's number, "-" and EntryHash
	EntryHash string    // base58btc multihash: what a registry anchors
	Time      time.Time // versionTime, UTC, whole seconds
}

// Genesis makes the first entry of a log (did:webvh v1.0, "Create (Register)"): the
// DID follows from its content. The same parameters give the same entry, as Ed25519
// is deterministic. It errs if the parameters do not describe a valid DID or the
// signer fails. The result passes VerifyLog at any time from Time on.
func Genesis(p GenesisParams) (Entry, error) {
	if len(p.Keys) == 0 || len(p.NextKeys) == 0 || p.Signer == nil {
		return Entry{}, errors.New("did: genesis needs a signer, a next update key and a key")
	}
	web, err := Web(p.Origin, p.Path...)
	if err != nil {
		return Entry{}, err
	}
	location := strings.TrimPrefix(web.String(), "did:web:")
	if !slices.Contains(p.AlsoKnownAs, web.String()) {
		p.AlsoKnownAs = append([]string{web.String()}, p.AlsoKnownAs...)
	}
	params, err := genesisParameters(p)
	if err != nil {
		return Entry{}, err
	}
	state, err := canon.Marshal(newDocument("did:webvh:"+placeholder+":"+location, subject{
		keys: p.Keys, alsoKnownAs: p.AlsoKnownAs, controllers: p.Controllers, services: p.Services, custodian: p.Custodian,
	}))
	if err != nil {
		return Entry{}, err
	}
	at := p.Time.UTC().Truncate(time.Second)
	e := logEntry{VersionTime: at.Format(time.RFC3339), Parameters: params, State: state}
	scid, err := e.scid(placeholder)
	if err != nil {
		return Entry{}, err
	}
	e.Parameters = replaceSCID(e.Parameters, scid)
	e.State = replaceSCID(e.State, scid)
	return finish(e, scid, 1, p.Signer)
}

func genesisParameters(p GenesisParams) (json.RawMessage, error) {
	method, scid := methodVersion, placeholder
	next, err := nextHashes(p.NextKeys)
	if err != nil {
		return nil, err
	}
	params := parameters{
		Method: &method, SCID: &scid, Portable: &p.Portable,
		UpdateKeys: multikeys([]jose.PublicKey{p.Signer.Public()}), NextKeyHashes: next,
	}
	if p.TTL != 0 {
		params.TTL = ttlSeconds(p.TTL)
	}
	if p.Witness.Threshold != 0 || len(p.Witness.Keys) != 0 {
		params.Witness = p.Witness.parameter()
	}
	if len(p.Watchers) != 0 {
		params.Watchers = &p.Watchers
	}
	if err := params.check(); err != nil {
		return nil, fmt.Errorf("did: %w", err)
	}
	return canon.Marshal(params)
}

func replaceSCID(data json.RawMessage, scid string) json.RawMessage {
	return json.RawMessage(strings.ReplaceAll(string(data), placeholder, scid))
}

// finish hashes e after its predecessor, signs it, and describes the result.
func finish(e logEntry, predecessor string, number int, s jose.Signer) (Entry, error) {
	hash, err := e.entryHash(predecessor)
	if err != nil {
		return Entry{}, err
	}
	e.VersionID = fmt.Sprintf("%d-%s", number, hash)
	if err := e.sign(s); err != nil {
		return Entry{}, err
	}
	line, err := canon.Marshal(e)
	if err != nil {
		return Entry{}, err
	}
	at, err := time.Parse(time.RFC3339, e.VersionTime)
	if err != nil {
		return Entry{}, err
	}
	return describe(line, Version{Number: number, ID: e.VersionID, EntryHash: hash, Time: at, Document: e.State})
}

// describe returns the Entry of a line, without its line feed, and what it holds.
func describe(line []byte, v Version) (Entry, error) {
	out := Entry{Line: append(line, '\n'), VersionID: v.ID, EntryHash: v.EntryHash, Time: v.Time}
	var err error
	if out.Document, err = ParseDocument(v.Document); err != nil {
		return Entry{}, err
	}
	if out.DID, err = Parse(out.Document.ID); err != nil {
		return Entry{}, err
	}
	out.Web, err = out.DID.ParallelWeb()
	return out, err
}
