package registry

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/writ-registry/writ/internal/canon"
	"github.com/writ-registry/writ/internal/jose"
	"github.com/writ-registry/writ/registry/did"
)

// Limits of what a controller gives the registry to publish.
const (
	MaxDIDEntry = 12 << 10 // bytes of an entry: two must fit where a full log is ended
	maxNextKeys = 8        // commitments
	maxDIDTTL   = 24 * time.Hour
	maxWatchers = 8
)

// NewCustody is the input of MoveCustody.
type NewCustody struct {
	Agent         string          // id or DID
	JWK           json.RawMessage // an update key of the controller's, Ed25519
	Possession    string          // agent-pop+jwt by it, for this registry and the agent's org and name
	NextKeyHashes []string        // commitments to all the keys that the next entry may be signed by, that one's among them; nil: to it alone
}

// MoveCustody hands the update keys of an agent's DID over to its controller: the
// registry signs one last entry, which commits to the controller's keys for the next
// (did:webvh v1.0, "Pre-Rotation Key Hash Generation and Verification"), and can sign
// none after it. A registrar may. One key is shown to be held, for a slip of the pen
// would freeze the DID for good; the log says no more of it than its hash.
//
// It takes nothing from the registry but the say over the document: what it knows of
// keys, status and stops is decided as before, and at once.
func (r *Registry) MoveCustody(ctx context.Context, call Call, in NewCustody) (Outcome[Agent], error) {
	var none Outcome[Agent]
	key, err := parseKey(in.JWK)
	if err != nil {
		return none, err
	}
	if key.Alg() != jose.EdDSA {
		return none, Invalid("/jwk", "an update key is Ed25519")
	}
	if len(in.NextKeyHashes) == 0 {
		in.NextKeyHashes = []string{did.NextKeyHash(key)}
	}
	if err := checkCommitments(in.NextKeyHashes, key); err != nil {
		return none, err
	}
	return commitDraft(ctx, r, call, false, func(tx Tx) (Agent, Draft, error) {
		a, err := findAgent(tx, in.Agent)
		if err == nil {
			err = call.Caller.may(a.Org, RoleRegistrar)
		}
		if err != nil {
			return Agent{}, Draft{}, hide(err, "agent")
		}
		return r.handOver(tx, a, key, in)
	})
}

func checkCommitments(hashes []string, key jose.PublicKey) error {
	const field = "/next_key_hashes"
	if len(hashes) > maxNextKeys {
		return &Error{Kind: TooLarge, Field: field, Detail: fmt.Sprintf("more than %d commitments", maxNextKeys)}
	}
	for i, hash := range hashes {
		at := fmt.Sprintf("%s/%d", field, i)
		if hash == "" || slices.Contains(hashes[:i], hash) {
			return Invalid(at, "is empty or named twice")
		}
		if err := checkKeyHash(at, hash); err != nil {
			return err
		}
	}
	if !slices.Contains(hashes, did.NextKeyHash(key)) {
		return Invalid(field, "lacks the commitment to the key that is shown to be held")
	}
	return nil
}

func (r *Registry) handOver(tx Tx, a Agent, key jose.PublicKey, in NewCustody) (Agent, Draft, error) {
	org, err := tx.Org(a.Org)
	if err != nil {
		return a, Draft{}, err
	}
	if err := r.checkPossession(in.Possession, a.Name, org, key); err != nil {
		return a, Draft{}, err
	}
	switch {
	case a.Status == AgentRevoked:
		return a, Draft{}, Errorf(Revoked, "the agent is revoked, for good")
	case !a.Custodial:
		return a, Draft{}, &Error{Kind: Conflict, Code: "self_custody", Detail: "the update keys are the controller's already; an entry of its own hands them on"}
	}
	if err := r.checkFresh(tx, a, in.NextKeyHashes); err != nil {
		return a, Draft{}, err
	}
	entry, err := r.publish(tx, a, did.UpdateParams{NextKeyHashes: in.NextKeyHashes})
	if err != nil {
		return a, Draft{}, err
	}
	a.Custodial, a.DIDPending, a.Updated = false, time.Time{}, r.now()
	return a, Draft{Events: []EventDraft{{Type: EventCustodyMoved, Org: a.Org, Agent: a.ID, Body: CustodyMoved{
			a.DID, entry.EntryHash, in.NextKeyHashes, canon.Digest([]byte(in.Possession)), false,
		}}}},
		errors.Join(tx.UpdateAgent(a), tx.BumpEpoch(Scope{ScopeAgent, a.ID}))
}

// checkFresh refuses commitments to keys that the log has named before, which the
// registry holds, and to keys that the agent acts with or is to be recovered by: who
// steals such a key would have the DID, too.
func (r *Registry) checkFresh(tx Tx, a Agent, hashes []string) error {
	_, res, err := r.didLog(tx, a)
	if err != nil {
		return err
	}
	history, err := tx.AgentKeys(a.ID)
	if err != nil {
		return err
	}
	used := append([]string{a.NextKeyHash}, res.NextKeyHashes...)
	for _, v := range res.Versions {
		for _, text := range v.UpdateKeys {
			key, err := jose.ParseMultikey(text)
			if err != nil {
				return err
			}
			used = append(used, did.NextKeyHash(key))
		}
	}
	for _, k := range history {
		key, err := k.JWK.PublicKey()
		if err != nil {
			return err
		}
		used = append(used, did.NextKeyHash(key))
	}
	for i, hash := range hashes {
		if slices.Contains(used, hash) {
			return &Error{Kind: Conflict, Code: "key_taken", Field: fmt.Sprintf("/next_key_hashes/%d", i), Detail: "the DID log has named this key before, or it is one of the agent's own; an update key is for nothing else"}
		}
	}
	return nil
}

// AppendDID adds an entry that its controller signed to the DID log of an agent whose
// update keys the registry does not hold. The agent may by its own signature, and a
// registrar who relays it. Sent again, the last entry changes nothing.
//
// The log holds what the registry can stand by: of keys, those that it knows to count
// as the agent's, so that none gets in by this door; and it ends once the agent is
// revoked, not before. A document may also stay as it is. Errors: Malformed with the
// rule of the log that was broken as code (did_entry_hash, did_proof, ...; Denied for
// those about who signed), or did_document; Conflict with did_entry_stale, did_key,
// did_agent_stands, in_custody or did_log_full; TooLarge.
func (r *Registry) AppendDID(ctx context.Context, call Call, ref string, line json.RawMessage) (Outcome[Agent], error) {
	var none Outcome[Agent]
	if len(line) > MaxDIDEntry {
		return none, &Error{Kind: TooLarge, Field: "/entry", Detail: fmt.Sprintf("longer than %d bytes", MaxDIDEntry)}
	}
	var lines []string
	if err := r.Store.View(ctx, func(tx Tx) error {
		a, err := controlled(tx, call.Caller, ref)
		if err == nil {
			lines, err = tx.DIDLog(a.ID)
		}
		return err
	}); err != nil {
		return none, err
	}
	// Nobody waits for this: entries are never changed, so what is verified here is
	// good in the commit if the log has as many then.
	s, err := r.verifyEntry(lines, line)
	if err != nil {
		return none, err
	}
	return commitDraft(ctx, r, call, false, func(tx Tx) (Agent, Draft, error) {
		a, err := controlled(tx, call.Caller, ref)
		if err != nil || s == nil {
			return a, Draft{}, err
		}
		return r.follow(tx, a, *s)
	})
}

// controlled finds an agent whose DID log the caller may add to.
func controlled(tx Tx, c Caller, ref string) (Agent, error) {
	a, err := findAgent(tx, ref)
	if err == nil && !c.is(a.ID) {
		err = c.may(a.Org, RoleRegistrar)
	}
	if err != nil {
		return Agent{}, hide(err, "agent")
	}
	if a.Custodial {
		return a, &Error{Kind: Conflict, Code: "in_custody", Detail: "the registry holds the update keys of this DID; have its custody moved first"}
	}
	return a, nil
}

// submitted is an entry that a controller signed, verified as the next of a log.
type submitted struct {
	entry  did.Entry
	log    did.Resolution // with the entry
	size   int            // bytes of the log with it
	before json.RawMessage
}

// verifyEntry verifies an entry against the log so far; nil: it is the last one.
func (r *Registry) verifyEntry(lines []string, line json.RawMessage) (*submitted, error) {
	form, err := canon.Canonical(line)
	if err != nil {
		return nil, badEntry(&did.LogError{Entry: len(lines) + 1, Code: did.Malformed, Detail: err.Error()})
	}
	if string(form) == lines[len(lines)-1] {
		return nil, nil
	}
	var head struct {
		VersionID string `json:"versionId"`
	}
	if err := canon.UnmarshalOpen(form, &head); err != nil {
		return nil, badEntry(&did.LogError{Entry: len(lines) + 1, Code: did.Malformed, Detail: err.Error()})
	}
	number, _, _ := strings.Cut(head.VersionID, "-")
	if n, err := strconv.Atoi(number); err == nil && n >= 1 && n <= len(lines) {
		return nil, stale(len(lines))
	}
	log := []byte(strings.Join(lines, "\n") + "\n")
	now := r.now().Add(time.Minute) // as didLog
	entry, err := did.VerifyNext(log, form, now)
	if err != nil {
		return nil, badEntry(err)
	}
	log = slices.Concat(log, entry.Line)
	res, err := did.VerifyLog(log, now) // and its witnesses: the registry keeps no proofs of any
	if err != nil {
		return nil, badEntry(err)
	}
	return &submitted{entry, res, len(log), res.Versions[len(lines)-1].Document}, nil
}

func stale(n int) error {
	return &Error{Kind: Conflict, Code: "did_entry_stale", Field: "/entry/versionId", Detail: fmt.Sprintf("the DID log has %d entries already; sign the next", n)}
}

// badEntry names the rule of the log that an entry broke.
func badEntry(err error) error {
	out := &Error{Kind: Malformed, Code: "did_malformed", Field: "/entry", Detail: err.Error(), Err: err}
	var le *did.LogError
	if errors.As(err, &le) {
		out.Code, out.Detail = "did_"+string(le.Code), le.Detail
		switch le.Code {
		case did.BadProof, did.PreRotation:
			out.Kind = Denied
		case did.AfterDeactivate:
			out.Kind = Revoked
		}
	}
	return out
}

// follow appends a verified entry.
func (r *Registry) follow(tx Tx, a Agent, s submitted) (Agent, Draft, error) {
	count, err := tx.CountDIDEntries(a.ID)
	if err != nil {
		return a, Draft{}, err
	}
	n := len(s.log.Versions)
	if count != n-1 {
		return a, Draft{}, stale(count)
	}
	revoked := a.Status == AgentRevoked
	switch {
	case s.log.Deactivated && !revoked:
		return a, Draft{}, &Error{Kind: Conflict, Code: "did_agent_stands", Field: "/entry", Detail: "revoke the agent first: its DID ends after it"}
	case !revoked && (s.size > r.maxDIDLog || n > did.MaxEntries-4): // what ends it must fit
		return a, Draft{}, errLogFull
	}
	now := r.now()
	if err := checkParameters(s.log); err != nil {
		return a, Draft{}, err
	}
	if string(s.log.Current().Document) != string(s.before) {
		if err := r.checkDocument(tx, a, s.log.Current().Document, now); err != nil {
			return a, Draft{}, err
		}
	}
	if err := a.compare(s.log, now); err != nil {
		return a, Draft{}, err
	}
	a.Updated = now
	ev := EventDraft{Type: EventDIDUpdated, Org: a.Org, Agent: a.ID, Body: DIDUpdated{a.DID, s.entry.EntryHash, n, !a.DIDPending.IsZero()}}
	if s.log.Deactivated {
		ev.Type, ev.Body = EventDIDDeactivated, DIDDeactivated{a.DID, s.entry.EntryHash}
	}
	return a, Draft{Events: []EventDraft{ev}}, errors.Join(
		appendEntry(tx, a, n, s.entry), nameVersion(tx, a, s.entry), tx.UpdateAgent(a), tx.BumpEpoch(Scope{ScopeAgent, a.ID}))
}

// nameVersion notes the entry as the one that added those of the agent's keys that no
// entry had before.
func nameVersion(tx Tx, a Agent, e did.Entry) error {
	history, err := tx.AgentKeys(a.ID)
	if err != nil {
		return err
	}
	for _, k := range history {
		if _, listed := e.Document.Key(k.KeyID); listed && k.Version == "" {
			k.Version = e.VersionID
			if err := tx.UpdateAgentKey(k); err != nil {
				return err
			}
		}
	}
	return nil
}

// compare notes in a whether its DID log says of its keys what the registry knows.
func (a *Agent) compare(log did.Resolution, now time.Time) error {
	doc, err := did.ParseDocument(log.Current().Document)
	if err != nil {
		return err
	}
	behind := !log.Deactivated
	if a.Status != AgentRevoked {
		if behind, err = a.contradicts(doc, now); err != nil {
			return err
		}
	}
	a.DIDPending = cmp.Or(a.DIDPending, now)
	if !behind {
		a.DIDPending = time.Time{}
	}
	return nil
}

// contradicts reports whether a document has a key that does not count as the agent's
// at a time, or lacks its own. It may give up an earlier key before its overlap is over.
func (a Agent) contradicts(doc did.Document, now time.Time) (bool, error) {
	counts, err := a.multikeysAt(now)
	if err != nil {
		return false, err
	}
	own := a.KeyEnded // then it has none
	for _, m := range doc.VerificationMethod {
		if _, stands := doc.KeyAt(m.ID, now); !stands {
			continue
		}
		if !slices.Contains(counts, m.PublicKeyMultibase) {
			return true, nil
		}
		own = own || m.PublicKeyMultibase == counts[0]
	}
	return !own, nil
}

// multikeysAt is keysAt in the spelling of documents.
func (a Agent) multikeysAt(now time.Time) ([]string, error) {
	var out []string
	for _, jwk := range a.keysAt(now) {
		key, err := jwk.PublicKey()
		if err != nil {
			return nil, err
		}
		out = append(out, key.Multikey())
	}
	return out, nil
}
