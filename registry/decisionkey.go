package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/writ-registry/writ/internal/canon"
	"github.com/writ-registry/writ/internal/jose"
	"github.com/writ-registry/writ/registry/capability"
)

// DecisionKey says by which events of the log the key that signed a decision's
// action proof was the agent's. Their order decides, claimed times play no part.
type DecisionKey struct {
	DID        string // of the agent
	Thumbprint string
	Decided    uint64 // place of the decision
	Added      Event  // agent.requested or agent.key_rotated
	Ended      *Event // agent.key_rotated, agent.key_ended or agent.revoked; nil while the key counts
	From       uint64 // place from which on it did not count: that of Ended or, of a compromised key, the earlier one that it names
}

// ValidWhenDecided reports whether the decision lies between the key's events.
func (k DecisionKey) ValidWhenDecided() bool {
	return k.Added.Index < k.Decided && (k.Ended == nil || k.Decided < k.From)
}

// FindDecisionKey returns the key of a decision's signer, to those who may read
// the decision. Of several ends it is the one from the earliest place on. Conflict:
// the event is no decision, or no proof by a key of the agent is kept with it.
func (r *Registry) FindDecisionKey(ctx context.Context, c Caller, cid string) (DecisionKey, error) {
	ev, disclosures, err := r.FindEvent(ctx, c, cid)
	if err != nil {
		return DecisionKey{}, err
	}
	if ev.Type != EventDecision {
		return DecisionKey{}, Errorf(Conflict, "the event is no decision: no agent signed for it")
	}
	out := DecisionKey{Decided: ev.Index}
	err = r.Store.View(ctx, func(tx Tx) error {
		a, err := tx.Agent(ev.Agent)
		if err != nil {
			return err
		}
		key, err := signerOf(tx, a, disclosures)
		if err != nil {
			return err
		}
		out.DID, out.Thumbprint = a.DID, key.Thumbprint
		if out.Added, err = eventAt(tx, a, *key.AddedIndex); err != nil {
			return err
		}
		return out.end(tx, a, key)
	})
	return out, err
}

var errUnsigned = Errorf(Conflict, "no action proof by a key of the agent is kept with the decision")

// CountedAt reports whether the key counted, as far as is known now, for what stands at
// a place of the log. The time of a retiring key is another question (Agent.Holds).
func (k AgentKey) CountedAt(index uint64) bool {
	return k.AddedIndex != nil && *k.AddedIndex < index && (k.EndedIndex == nil || index < *k.EndedIndex) &&
		(k.CompromisedFrom == nil || index < *k.CompromisedFrom)
}

// signerOf finds the key of the agent, present or past, that signed the action
// proof kept with a decision.
func signerOf(tx Tx, a Agent, disclosures []canon.Disclosure) (AgentKey, error) {
	i := slices.IndexFunc(disclosures, func(d canon.Disclosure) bool { return d.Name == "proof" })
	if i < 0 {
		return AgentKey{}, errUnsigned
	}
	var raw string
	if err := json.Unmarshal(disclosures[i].Value, &raw); err != nil {
		return AgentKey{}, fmt.Errorf("stored action proof: %w", err)
	}
	return SignerOf(tx, a, raw)
}

// SignerOf finds the key of the agent, present or past, that signed an action proof.
// Conflict: none did.
func SignerOf(tx Tx, a Agent, raw string) (AgentKey, error) {
	proof, err := jose.Parse(raw, capability.TypAction, capability.MaxToken)
	if err != nil {
		return AgentKey{}, fmt.Errorf("stored action proof: %w", err)
	}
	history, err := tx.AgentKeys(a.ID)
	if err != nil {
		return AgentKey{}, err
	}
	for _, k := range slices.Backward(history) { // few keys, and mostly the newest
		key, err := k.JWK.PublicKey()
		if err != nil {
			return AgentKey{}, fmt.Errorf("stored key %s: %w", k.Thumbprint, err)
		}
		if proof.Verify(key) == nil {
			if k.AddedIndex == nil {
				return k, fmt.Errorf("key %s has no place in the log", k.Thumbprint)
			}
			return k, nil
		}
	}
	return AgentKey{}, errUnsigned
}

// end finds the event that ended the key, of several the one that counts from the
// earliest place on.
func (k *DecisionKey) end(tx Tx, a Agent, key AgentKey) error {
	sooner := func(e Event, from uint64, err error) error {
		if err == nil && (k.Ended == nil || from < k.From) {
			k.Ended, k.From = &e, from
		}
		return err
	}
	var errs []error
	if at := key.EndedIndex; at != nil {
		e, err := eventAt(tx, a, *at)
		errs = append(errs, sooner(e, *at, err))
	}
	if from := key.CompromisedFrom; from != nil {
		e, err := compromise(tx, a, key.Thumbprint)
		errs = append(errs, sooner(e, *from, err))
	}
	if a.Status == AgentRevoked {
		e, err := newestOf(tx, a, EventAgentRevoked, func(Event) (bool, error) { return true, nil })
		errs = append(errs, sooner(e, e.Index, err))
	}
	return errors.Join(errs...)
}

// compromise finds the event that reported a key. There is one, as repeating the
// report changes nothing; it may come after another end.
func compromise(tx Tx, a Agent, thumbprint string) (Event, error) {
	return newestOf(tx, a, EventKeyEnded, func(e Event) (bool, error) {
		var artifact struct {
			Body KeyEnd `json:"body"`
		}
		err := canon.UnmarshalOpen(e.Artifact, &artifact)
		return artifact.Body.Thumbprint == thumbprint && artifact.Body.Status == KeyCompromised, err
	})
}

// newestOf finds the agent's newest event of a type that is the wanted one.
func newestOf(tx Tx, a Agent, typ string, wanted func(Event) (bool, error)) (Event, error) {
	for p := (Page{Limit: MaxPage}); ; {
		list, err := tx.ListEvents(EventFilter{Agent: a.ID, Type: typ, Newest: true, Page: p})
		if err != nil {
			return Event{}, err
		}
		for _, e := range list {
			if ok, err := wanted(e); ok || err != nil {
				return e, err
			}
		}
		if len(list) < p.Limit {
			return Event{}, fmt.Errorf("agent %s has no such %s in the log", a.ID, typ)
		}
		p.After = strconv.FormatUint(list[len(list)-1].Index, 10)
	}
}

// eventAt returns the agent's event at a place of the log.
func eventAt(tx Tx, a Agent, index uint64) (Event, error) {
	f := EventFilter{Agent: a.ID, Page: Page{Limit: 1}}
	if index > 0 {
		f.After = strconv.FormatUint(index-1, 10)
	}
	list, err := tx.ListEvents(f)
	if err == nil && (len(list) == 0 || list[0].Index != index) {
		err = fmt.Errorf("agent %s has no event at %d of the log", a.ID, index)
	}
	if err != nil {
		return Event{}, err
	}
	return list[0], nil
}
