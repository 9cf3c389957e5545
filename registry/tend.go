package registry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/writ-registry/writ/internal/jose"
	"github.com/writ-registry/writ/registry/did"
)

// Tend lets the DID logs of agents follow what time and revocations have done:
// keys whose overlap is over leave the document, and the DID of a revoked agent is
// deactivated. Nothing waits for it: decisions look at the dates and the status
// themselves. It does up to limit agents and returns how many were left to do;
// call it again while that is not 0.
func (r *Registry) Tend(ctx context.Context, limit int) (left int, err error) {
	var due []string
	if err := r.Store.View(ctx, func(tx Tx) (err error) { due, err = tx.DueAgents(r.now(), limit+1); return err }); err != nil {
		return 0, err
	}
	for i, id := range due[:min(len(due), limit)] {
		if err := r.tendAgent(ctx, id); err != nil {
			return len(due) - i, fmt.Errorf("tend agent %s: %w", id, err)
		}
	}
	return max(0, len(due)-limit), nil
}

func (r *Registry) tendAgent(ctx context.Context, id string) error {
	call := Call{Trace: strings.Repeat("0", 32)}
	_, err := commitDraft(ctx, r, call, false, func(tx Tx) (Agent, Draft, error) {
		a, err := tx.Agent(id)
		if err != nil {
			return a, Draft{}, err
		}
		actor := Actor{ActorRegistry, a.Org}
		if a.Status == AgentRevoked {
			return r.deactivate(tx, a, actor)
		}
		return r.retire(tx, a, actor)
	})
	return err
}

// deactivate ends the DID of a revoked agent.
func (r *Registry) deactivate(tx Tx, a Agent, actor Actor) (Agent, Draft, error) {
	entry, err := r.publishEnd(tx, a)
	if err != nil || entry.VersionID == "" {
		return a, Draft{}, errors.Join(err, tx.Tend(a.ID, time.Time{}))
	}
	a.DIDPending = time.Time{}
	return a, Draft{Events: []EventDraft{{Type: EventDIDDeactivated, Org: a.Org, Agent: a.ID, Actor: actor, Body: DIDDeactivated{a.DID, entry.EntryHash}}}},
		errors.Join(tx.UpdateAgent(a), tx.BumpEpoch(Scope{ScopeAgent, a.ID}), tx.Tend(a.ID, time.Time{}))
}

// retire takes the keys out of the document whose time is over.
func (r *Registry) retire(tx Tx, a Agent, actor Actor) (Agent, Draft, error) {
	history, err := tx.AgentKeys(a.ID)
	if err != nil {
		return a, Draft{}, err
	}
	now := r.now()
	var over []AgentKey
	var stay []RetiringKey
	for _, k := range a.Retiring {
		if now.Before(k.NotAfter) {
			stay = append(stay, k)
		}
	}
	for _, k := range history {
		if k.Status == KeyRetiring && !now.Before(k.NotAfter) {
			k.Status = KeyRetired
			over = append(over, k)
		}
	}
	a.Retiring = stay
	if len(over) == 0 {
		return a, Draft{}, r.schedule(tx, a)
	}
	a.Updated = now
	entry, err := r.publishKeys(tx, &a)
	if err != nil && !errors.Is(err, errLogFull) { // the key ends all the same
		return a, Draft{}, err
	}
	var d Draft
	for _, k := range over {
		d.Events = append(d.Events, EventDraft{Type: EventKeyEnded, Org: a.Org, Agent: a.ID, Actor: actor, Body: KeyEnd{
			DID: a.DID, Thumbprint: k.Thumbprint, Status: KeyRetired, DIDEntryHash: entry.EntryHash, Reason: "overlap-over",
		}})
	}
	d.Sequenced = func(tx Tx, refs []EventRef) (err error) {
		for i, k := range over {
			k.EndedIndex = &refs[i].Index
			err = errors.Join(err, tx.UpdateAgentKey(k))
		}
		return err
	}
	return a, d, errors.Join(tx.UpdateAgent(a), tx.BumpEpoch(Scope{ScopeAgent, a.ID}), r.schedule(tx, a))
}

// schedule has Tend look at the agent when its next retiring key is over.
func (r *Registry) schedule(tx Tx, a Agent) error {
	if a.Status == AgentRevoked {
		return nil // it is on the list already
	}
	var due time.Time
	for _, k := range a.Retiring {
		if due.IsZero() || k.NotAfter.Before(due) {
			due = k.NotAfter
		}
	}
	return tx.Tend(a.ID, due)
}

// maxDIDLog is how long a DID log gets before its end, in bytes: that must fit too.
const maxDIDLog = did.MaxLog - 32<<10

// errLogFull: the agent's DID log has room for its end only.
var errLogFull = &Error{Kind: Conflict, Code: "did_log_full", Detail: "the agent's DID log is full, after hundreds of changes of its keys: register the agent anew"}

// publishKeys lets the agent's DID log follow the keys that the agent holds. Where the
// registry holds the update key, it appends an entry; errLogFull: there is room for
// the entries that end the log only. Else it is for the controller to follow, and the
// Entry is zero. a says afterwards whether the log is behind.
func (r *Registry) publishKeys(tx Tx, a *Agent) (did.Entry, error) {
	if !a.Custodial {
		_, res, err := r.didLog(tx, *a)
		if err == nil {
			err = a.compare(res, r.now())
		}
		return did.Entry{}, err
	}
	entry, err := r.publish(tx, *a, did.UpdateParams{Custodian: r.Origin})
	switch {
	case err == nil:
		a.DIDPending = time.Time{}
	case errors.Is(err, errLogFull):
		a.DIDPending = cmp.Or(a.DIDPending, r.now())
	}
	return entry, err
}

// publish appends an entry with the agent's keys that p completes: with nobody else's
// commitments in it, the registry makes the next entry, too.
func (r *Registry) publish(tx Tx, a Agent, p did.UpdateParams) (did.Entry, error) {
	p.NoKeys = a.KeyEnded
	if !a.KeyEnded {
		key, err := a.Key()
		if err != nil {
			return did.Entry{}, err
		}
		p.Keys = append(p.Keys, key)
	}
	for _, k := range a.Retiring {
		key, err := k.JWK.PublicKey()
		if err != nil {
			return did.Entry{}, err
		}
		p.Overlap = append(p.Overlap, did.OverlapKey{Key: key, Until: k.NotAfter})
	}
	log, res, err := r.didLog(tx, a)
	if err != nil {
		return did.Entry{}, err
	}
	n := len(res.Versions) + 1
	if len(log) > r.maxDIDLog || n > did.MaxEntries-4 {
		return did.Entry{}, errLogFull
	}
	if p.Signer, err = r.updateKey(a, res, n); err != nil {
		return did.Entry{}, err
	}
	if len(p.NextKeyHashes) == 0 {
		next, err := r.successor(a.ID, n+1)
		if err != nil {
			return did.Entry{}, err
		}
		p.NextKeys = []jose.PublicKey{next.Public()}
	}
	p.Time = res.NextTime(r.now())
	entry, err := did.Update(log, p)
	if err != nil {
		return did.Entry{}, fmt.Errorf("update DID log of agent %s: %w", a.ID, err)
	}
	return entry, appendEntry(tx, a, n, entry)
}

// publishEnd deactivates the agent's DID. The zero Entry: it was before, or is its
// controller's to deactivate.
func (r *Registry) publishEnd(tx Tx, a Agent) (did.Entry, error) {
	if !a.Custodial {
		return did.Entry{}, nil
	}
	log, res, err := r.didLog(tx, a)
	if err != nil || res.Deactivated {
		return did.Entry{}, err
	}
	n := len(res.Versions) + 1
	signer, err := r.updateKey(a, res, n)
	if err != nil {
		return did.Entry{}, err
	}
	entries, err := did.Deactivate(log, signer, res.NextTime(r.now()))
	if err != nil {
		return did.Entry{}, fmt.Errorf("deactivate DID of agent %s: %w", a.ID, err)
	}
	var last did.Entry
	for i, e := range entries {
		if err := appendEntry(tx, a, n+i, e); err != nil {
			return last, err
		}
		last = e
	}
	return last, nil
}

// didLog reads and verifies the agent's DID log.
func (r *Registry) didLog(tx Tx, a Agent) ([]byte, did.Resolution, error) {
	lines, err := tx.DIDLog(a.ID)
	if err != nil {
		return nil, did.Resolution{}, err
	}
	log := []byte(strings.Join(lines, "\n") + "\n")
	res, err := did.VerifyLog(log, r.now().Add(time.Minute)) // two entries in one second put the later one ahead
	if err != nil {
		return nil, res, fmt.Errorf("the DID log of agent %s: %w", a.ID, err)
	}
	return log, res, nil
}

// updateKey is the key that the last entry committed to for the n-th.
func (r *Registry) updateKey(a Agent, res did.Resolution, n int) (jose.Signer, error) {
	if n == 2 && res.MaySign(r.NextKey.Public()) { // made before Successor
		return r.NextKey, nil
	}
	key, err := r.successor(a.ID, n)
	if err == nil && !res.MaySign(key.Public()) {
		err = fmt.Errorf("the DID log of agent %s committed to a key that the registry does not hold", a.ID)
	}
	return key, err
}

func appendEntry(tx Tx, a Agent, n int, e did.Entry) error {
	return tx.AppendDIDEntry(a.ID, n, strings.TrimSuffix(string(e.Line), "\n"))
}
