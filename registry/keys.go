package registry

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/writ-registry/writ/internal/canon"
	"github.com/writ-registry/writ/internal/jose"
	"github.com/writ-registry/writ/registry/capability"
	"github.com/writ-registry/writ/registry/did"
)

// How long a key may go on beside its successor.
const (
	DefaultOverlap = time.Hour
	MaxOverlap     = 30 * 24 * time.Hour
)

// maxRenewed bounds the grants whose tokens one rotation renews.
const maxRenewed = 256

// NewKey is the input of RotateKey.
type NewKey struct {
	Agent       string          // id or DID
	JWK         json.RawMessage // the new public key
	Possession  string          // agent-pop+jwt by it, for this registry and the agent's org and name
	Overlap     *time.Duration  // how long the key before goes on; nil = DefaultOverlap, 0 = not at all
	NextKeyHash string          // commitment to the key after this one (did.NextKeyHash); "" = none
}

// Who rotated a key.
const (
	byRegistrar = "registrar"
	byAgent     = "agent"
	byRecovery  = "recovery"
)

// RotateKey gives an agent another key. The key before goes on beside it for the
// overlap, the DID's log gets an entry, and every grant that stands gets a token
// for the new key, in one commit.
//
// A registrar may, and the agent by its own signature. Where the agent committed
// to its next key beforehand, it may use no other, and whoever proves possession
// of that one needs nothing else (recovery): the keys before end at once, for why
// else is the old one not used.
func (r *Registry) RotateKey(ctx context.Context, call Call, in NewKey) (Outcome[Agent], error) {
	var none Outcome[Agent]
	key, err := parseKey(in.JWK)
	if err != nil {
		return none, err
	}
	overlap := DefaultOverlap
	if in.Overlap != nil {
		overlap = *in.Overlap
	}
	if overlap < 0 || overlap > MaxOverlap {
		return none, Invalid("/overlap", "must be 0 to %d seconds", MaxOverlap/time.Second)
	}
	if err := checkKeyHash("/next_key_hash", in.NextKeyHash); err != nil {
		return none, err
	}
	if call.Caller.Kind == "" { // a stranger waits for no commit, and holds none up, before the right key is shown
		if err := r.Store.View(ctx, func(tx Tx) error { _, _, err := r.rotatable(tx, call.Caller, in, key); return err }); err != nil {
			return none, err
		}
	}
	return commitDraft(ctx, r, call, call.Caller.Kind == ActorPrincipal, func(tx Tx) (Agent, Draft, error) {
		a, by, err := r.rotatable(tx, call.Caller, in, key)
		if err != nil {
			return Agent{}, Draft{}, err
		}
		if by == byRecovery {
			overlap = 0
		}
		return r.rotate(tx, a, by, in, key, overlap)
	})
}

// rotatable finds the agent and by what right its key is changed.
func (r *Registry) rotatable(tx Tx, c Caller, in NewKey, key jose.PublicKey) (Agent, string, error) {
	a, err := findAgent(tx, in.Agent)
	if err != nil {
		return a, "", err
	}
	org, err := tx.Org(a.Org)
	if err != nil {
		return a, "", err
	}
	if err := r.checkPossession(in.Possession, a.Name, org, key); err != nil {
		return a, "", err
	}
	committed := a.NextKeyHash != "" && a.NextKeyHash == did.NextKeyHash(key)
	by := byRegistrar
	switch {
	case c.is(a.ID) && (committed || a.NextKeyHash == ""):
		by = byAgent
	case c.is(a.ID):
		return a, "", &Error{Kind: Denied, Code: "not_committed", Field: "/jwk", Detail: "the agent committed to another next key (pre-rotation)"}
	case c.Kind == ActorPrincipal:
		if err := c.may(a.Org, RoleRegistrar); err != nil {
			return a, "", hide(err, "agent")
		}
	case committed:
		by = byRecovery
	default:
		return a, "", &Error{Kind: Unauthenticated, Code: "not_committed", Detail: "needs a registrar, the agent's own signature, or the key that the agent committed to"}
	}
	if a.Status == AgentRevoked {
		return a, "", Errorf(Revoked, "the agent is revoked, for good")
	}
	return a, by, nil
}

// rotate makes key the agent's.
func (r *Registry) rotate(tx Tx, a Agent, by string, in NewKey, key jose.PublicKey, overlap time.Duration) (Agent, Draft, error) {
	now := r.now()
	history, err := tx.AgentKeys(a.ID)
	if err != nil {
		return a, Draft{}, err
	}
	before := a.Thumbprint
	body := KeyRotated{
		DID: a.DID, Thumbprint: key.Thumbprint(), KeyAlg: key.Alg(), PossessionHash: canon.Digest([]byte(in.Possession)),
		Previous: before, By: by, NextKeyHash: in.NextKeyHash, Renewed: []GrantRenewed{},
	}
	var ended []AgentKey // at this event
	if overlap > 0 && !a.KeyEnded {
		if len(a.Retiring) == MaxRetiring {
			return a, Draft{}, Errorf(Conflict, "%d earlier keys of the agent still count; end one, or rotate without overlap", MaxRetiring)
		}
		until := now.Add(overlap).Truncate(time.Second)
		a.Retiring = append(a.Retiring, RetiringKey{before, a.JWK, until})
		body.PreviousUntil = until.Format(TimeFormat)
		if err := r.putKey(tx, history, before, KeyRetiring, until); err != nil {
			return a, Draft{}, err
		}
	} else {
		for _, k := range history {
			if k.Status == KeyActive || k.Status == KeyRetiring {
				k.Status, k.NotAfter = KeyRetired, now
				ended = append(ended, k)
			}
		}
		a.Retiring = nil
	}
	a.JWK, a.Thumbprint, a.KeySince, a.KeyEnded, a.NextKeyHash, a.Updated = key.JWK(), key.Thumbprint(), now, false, in.NextKeyHash, now
	a.KeyID = a.DID + "#" + key.Multikey()
	entry, err := r.publishKeys(tx, &a)
	if err != nil {
		return a, Draft{}, err
	}
	body.DIDEntryHash = entry.EntryHash
	added := AgentKey{Thumbprint: a.Thumbprint, Agent: a.ID, N: len(history) + 1, KeyID: a.KeyID, JWK: a.JWK, Status: KeyActive, Added: now, Version: entry.VersionID}
	if err := tx.InsertAgentKey(added); err != nil {
		return a, Draft{}, keyTaken(err)
	}
	if body.Renewed, err = r.renewGrants(tx, a); err != nil {
		return a, Draft{}, err
	}
	d := Draft{Events: []EventDraft{{Type: EventKeyRotated, Org: a.Org, Agent: a.ID, Body: body}}}
	if by == byRecovery {
		d.Events[0].Actor = Actor{ActorAgent, a.ID}
	}
	d.Sequenced = func(tx Tx, refs []EventRef) error {
		added.AddedIndex = &refs[0].Index
		err := tx.UpdateAgentKey(added)
		for _, k := range ended {
			k.EndedIndex = &refs[0].Index
			err = errors.Join(err, tx.UpdateAgentKey(k))
		}
		return err
	}
	return a, d, errors.Join(tx.UpdateAgent(a), tx.BumpEpoch(Scope{ScopeAgent, a.ID}), r.schedule(tx, a))
}

func (r *Registry) putKey(tx Tx, history []AgentKey, thumbprint string, to KeyStatus, notAfter time.Time) error {
	i := slices.IndexFunc(history, func(k AgentKey) bool { return k.Thumbprint == thumbprint })
	if i < 0 {
		return Errorf(NotFound, "no such key")
	}
	history[i].Status, history[i].NotAfter = to, notAfter
	return tx.UpdateAgentKey(history[i])
}

// renewGrants gives each grant of the agent that stands a token for its new key.
func (r *Registry) renewGrants(tx Tx, a Agent) ([]GrantRenewed, error) {
	grants, err := tx.ListGrants(GrantFilter{Agent: a.ID, Status: GrantActive, Page: Page{Limit: MaxPage}})
	if err != nil {
		return nil, err
	}
	epoch, err := tx.Epoch(Scope{ScopeOrg, a.Org})
	if err != nil {
		return nil, err
	}
	out := []GrantRenewed{}
	for _, g := range grants {
		if !g.Expires.After(r.now()) {
			continue
		}
		if len(out) == maxRenewed {
			return nil, Errorf(Conflict, "the agent holds more than %d grants; revoke those it does not need", maxRenewed)
		}
		caps, err := capability.Parse(g.Capabilities)
		if err != nil {
			return nil, fmt.Errorf("stored capabilities of grant %s: %w", g.ID, err)
		}
		g.Earlier = append([]string{g.TokenHash}, g.Earlier[:min(len(g.Earlier), MaxRetiring)]...)
		if err := r.signGrant(&g, a, caps, epoch); err != nil {
			return nil, err
		}
		if err := errors.Join(tx.UpdateGrant(g), tx.BumpEpoch(Scope{ScopeGrant, g.ID})); err != nil {
			return nil, err
		}
		out = append(out, GrantRenewed{g.ID, g.TokenHash})
	}
	return out, nil
}

// EndKey ends a key of an agent before its time. As compromised, everything it
// signed from a place of the log on is suspect (nil = from here on); where it was
// the agent's only key, the agent may do nothing until it has another. A registrar
// may, and the agent itself. Repeating it changes nothing.
func (r *Registry) EndKey(ctx context.Context, call Call, ref, thumbprint string, compromised bool, from *uint64, reason string) (Outcome[*AgentKey], error) {
	var none Outcome[*AgentKey]
	if err := checkReason(reason); err != nil {
		return none, err
	}
	if from != nil && !compromised {
		return none, Invalid("/from", "is for a compromised key only")
	}
	return commitDraft(ctx, r, call, true, func(tx Tx) (*AgentKey, Draft, error) {
		a, err := findAgent(tx, ref)
		if err == nil && !call.Caller.is(a.ID) {
			err = call.Caller.may(a.Org, RoleRegistrar)
		}
		if err != nil {
			return nil, Draft{}, hide(err, "agent")
		}
		history, err := tx.AgentKeys(a.ID)
		if err != nil {
			return nil, Draft{}, err
		}
		i := slices.IndexFunc(history, func(k AgentKey) bool { return k.Thumbprint == thumbprint })
		if i < 0 {
			return nil, Draft{}, Errorf(NotFound, "the agent never had such a key")
		}
		return r.endKey(tx, a, &history[i], compromised, from, reason)
	})
}

func (r *Registry) endKey(tx Tx, a Agent, k *AgentKey, compromised bool, from *uint64, reason string) (*AgentKey, Draft, error) {
	current := k.Thumbprint == a.Thumbprint
	switch {
	case k.Status == KeyCompromised, !compromised && k.Status == KeyRetired:
		return k, Draft{}, nil
	case !compromised && current:
		return k, Draft{}, Errorf(Conflict, "this is the agent's key; rotate it instead")
	case from != nil && k.AddedIndex != nil && *from < *k.AddedIndex:
		return k, Draft{}, Invalid("/from", "the key was added at %d", *k.AddedIndex)
	}
	counted := k.Status == KeyActive || k.Status == KeyRetiring
	k.Status = KeyRetired
	if compromised {
		k.Status = KeyCompromised
	}
	if counted {
		k.NotAfter = r.now()
	}
	a.KeyEnded = a.KeyEnded || current
	a.Retiring = slices.DeleteFunc(slices.Clone(a.Retiring), func(q RetiringKey) bool { return q.Thumbprint == k.Thumbprint })
	a.Updated = r.now()
	body := KeyEnd{DID: a.DID, Thumbprint: k.Thumbprint, Status: k.Status, Reason: reason}
	if counted && a.Status != AgentRevoked {
		entry, err := r.publishKeys(tx, &a)
		if err != nil && !errors.Is(err, errLogFull) { // the key ends all the same
			return k, Draft{}, err
		}
		body.DIDEntryHash = entry.EntryHash
	}
	if from != nil {
		body.CompromisedFrom = strconv.FormatUint(*from, 10)
	}
	d := Draft{Events: []EventDraft{{Type: EventKeyEnded, Org: a.Org, Agent: a.ID, Body: body}}}
	d.Sequenced = func(tx Tx, refs []EventRef) error {
		here := refs[0].Index
		if counted {
			k.EndedIndex = &here
		}
		if from != nil && *from > here {
			return Invalid("/from", "the log ends at %d", here)
		}
		if compromised {
			k.CompromisedFrom = cmp.Or(from, &here)
		}
		return tx.UpdateAgentKey(*k)
	}
	return k, d, errors.Join(tx.UpdateAgent(a), tx.BumpEpoch(Scope{ScopeAgent, a.ID}), r.schedule(tx, a))
}

// AgentKeys lists the keys that an agent has and had, oldest first, with the
// places of the log between which each counted.
func (r *Registry) AgentKeys(ctx context.Context, c Caller, ref string) (list []AgentKey, err error) {
	a, err := r.FindAgent(ctx, c, ref)
	if err != nil {
		return nil, err
	}
	err = r.Store.View(ctx, func(tx Tx) (err error) { list, err = tx.AgentKeys(a.ID); return err })
	return list, err
}
