package verify

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/writ-registry/writ/anchor/tlog"
	"github.com/writ-registry/writ/internal/canon"
)

// KeyEvents are receipts of the events of the log between which the key of a
// decision's signer counted.
type KeyEvents struct {
	// Added is of the event that gave the agent the key: agent.requested or
	// agent.key_rotated.
	Added []byte
	// Ended is of the event that ended it: agent.key_rotated without overlap,
	// agent.key_ended or agent.revoked. nil: none is shown.
	Ended []byte
}

// KeyReport is what places in the log say of the key that signed a decision's
// action proof. Claimed times play no part.
type KeyReport struct {
	DID        string `json:"did"`
	Thumbprint string `json:"thumbprint"` // RFC 7638
	Added      uint64 `json:"added"`      // place of the event that added it
	Decided    uint64 `json:"decided"`    // place of the decision
	// Ended is the place from which on the key did not count: that of the end shown
	// or, of a compromised key, the earlier one that it names. nil: none is shown.
	Ended *uint64 `json:"ended,omitempty"`
	// ValidWhenDecided: Added < Decided, and Decided < Ended if there is one.
	ValidWhenDecided bool `json:"valid_when_decided"`
}

// VerifyKey checks the receipt of a decision as [Verify] does and, by the order of
// the log, that the key which signed its action proof was the agent's then. It
// adds the layers
//
//	key added, key ended: …  the receipts of events, each checked as a whole
//	key                      they are of this agent, key and log, and around the decision
//
// The decision has to disclose proof and token; without them it is not known who
// signed, and "key" fails. That the key did not end earlier than shown is the
// registry's word: no receipt proves an absence. Errors are those of Verify.
func VerifyKey(ctx context.Context, decision []byte, key KeyEvents, trust Trust, rpc *RPC) (Report, error) {
	v := &verification{trust: trust, rpc: rpc}
	v.run(ctx, decision)
	v.key(ctx, key)
	return v.conclude()
}

// signer is who signed a decision, as far as it is disclosed.
type signer struct {
	did        string // that the decision names
	thumbprint string // of the key that verified the action proof
}

// key adds the layers of VerifyKey.
func (v *verification) key(ctx context.Context, events KeyEvents) {
	added := v.keyEvent(ctx, "key added", events.Added)
	var ended *keyEvent
	if events.Ended != nil {
		ended = v.keyEvent(ctx, "key ended", events.Ended)
	}
	switch {
	case v.signer == nil:
		v.add("key", Failed, "", "which key signed is not known: the receipt is not of a decision with proof and token disclosed")
	case added == nil, events.Ended != nil && ended == nil:
		v.add("key", Failed, "", "the receipt of an event of the key is refused")
	default:
		report, err := keyReport(*v.signer, v.report.Index, added, ended)
		if err != nil {
			v.add("key", Failed, "", "%v", err)
			return
		}
		v.keyVerdict(report, ended)
	}
}

// keyVerdict says what a report amounts to.
func (v *verification) keyVerdict(k KeyReport, ended *keyEvent) {
	places := fmt.Sprintf("added at %d, decided at %d", k.Added, k.Decided)
	switch {
	case ended == nil:
		places += "; no end was shown"
	case *k.Ended < ended.index:
		places += fmt.Sprintf(", compromised from %d on by %d", *k.Ended, ended.index)
	default:
		places += fmt.Sprintf(", ended at %d", ended.index)
	}
	switch {
	case k.Decided <= k.Added:
		v.add("key", Failed, "", "the key was not yet the agent's when this was decided (%s)", places)
		return
	case !k.ValidWhenDecided:
		v.add("key", Failed, "", "the key counted no more when this was decided (%s)", places)
		return
	}
	said := "the key was the agent's when this was decided (" + places + ")"
	if len(v.trust.Logs) > 0 {
		v.add("key", Verified, "log key", "%s", said)
	} else {
		v.add("key", SelfAsserted, "", "%s, signed by the key in the receipts themselves", said)
	}
	v.fact(said, byRegistry, "by the order of the log, not by claimed times")
	if ended == nil {
		v.fact("no end was shown: the key did not end before the decision", byRegistry, "no receipt proves an absence")
	} else {
		v.fact("the key did not end earlier than shown", byRegistry, "no receipt proves an absence")
	}
	v.report.Key = &k
}

// keyEvent is what this package reads of an event in the life of a key.
type keyEvent struct {
	typ   string
	index uint64
	body  struct {
		DID             string `json:"did"`
		Thumbprint      string `json:"thumbprint"`
		PreviousUntil   string `json:"previous_until"`   // of agent.key_rotated; "" = the keys before ended here
		Status          string `json:"status"`           // of agent.key_ended: retired or compromised
		CompromisedFrom string `json:"compromised_from"` // decimal; "" = here
	}
}

// keyEvent checks the receipt of an event as a whole, and that it is of the log of
// the decision. It returns nil, and adds the layers that failed, if it is refused.
func (v *verification) keyEvent(ctx context.Context, name string, receipt []byte) *keyEvent {
	other := &verification{trust: v.trust, rpc: v.rpc}
	other.run(ctx, receipt)
	report, err := other.conclude()
	var refused *Error
	if errors.As(err, &refused) {
		for _, l := range refused.Layers {
			v.add(name+": "+l.Layer, Failed, l.RootOfTrust, "%s", l.Detail)
		}
		return nil
	}
	e := &keyEvent{typ: report.Type, index: report.Index}
	if err := canon.UnmarshalOpen(other.body, &e.body); err != nil {
		v.add(name, Failed, "", "body: %v", err)
		return nil
	}
	if err := v.sameLog(other); err != nil {
		v.add(name, Failed, "", "%v", err)
		return nil
	}
	state, root := Verified, "log key"
	if len(v.trust.Logs) == 0 {
		state, root = SelfAsserted, ""
	}
	v.add(name, state, root, "%s is entry %d, in checkpoint %d, grade %s", e.typ, e.index, report.Size, report.Grade)
	return e
}

// sameLog refuses the receipt of another log, or of another past of the same. Of
// checkpoints of two sizes it cannot tell whether they are one history; witnesses
// and anchors can.
func (v *verification) sameLog(other *verification) error {
	switch {
	case v.head == tlog.Checkpoint{}:
		return errors.New("there is no decision in a log to compare it with")
	case other.head.Origin != v.head.Origin:
		return fmt.Errorf("it is of log %q, the decision is of %q", other.head.Origin, v.head.Origin)
	case len(v.trust.Logs) == 0 && other.logKeyText != v.logKeyText:
		return errors.New("its log key is not the decision's")
	case other.head.Size == v.head.Size && other.head.Root != v.head.Root:
		return fmt.Errorf("its checkpoint and the decision's have %d entries and differ: the log has two pasts", v.head.Size)
	case other.report.Index == v.report.Index && other.report.CID != v.report.CID:
		return fmt.Errorf("it and the decision are both entry %d: the log has two pasts", v.report.Index)
	}
	return nil
}

// keyReport holds the events of a key against who signed the decision at decided.
func keyReport(s signer, decided uint64, added, ended *keyEvent) (KeyReport, error) {
	k := KeyReport{DID: s.did, Thumbprint: s.thumbprint, Added: added.index, Decided: decided}
	switch {
	case added.typ != "agent.requested" && added.typ != "agent.key_rotated":
		return k, fmt.Errorf("%s adds no key", added.typ)
	case added.body.DID != s.did:
		return k, fmt.Errorf("the key was added to %s, the decision is about %s", added.body.DID, s.did)
	case added.body.Thumbprint != s.thumbprint:
		return k, fmt.Errorf("the key added is %s, the action proof is signed by %s", added.body.Thumbprint, s.thumbprint)
	}
	k.ValidWhenDecided = k.Added < decided
	if ended != nil {
		from, err := ended.endOf(s, added.index)
		if err != nil {
			return k, err
		}
		k.Ended = &from
		k.ValidWhenDecided = k.ValidWhenDecided && decided < from
	}
	return k, nil
}

// endOf returns the place of the log from which on the event ended the key, that
// was added at added.
func (e *keyEvent) endOf(s signer, added uint64) (from uint64, err error) {
	switch {
	case e.body.DID != s.did:
		return 0, fmt.Errorf("the end shown is of %s, the decision is about %s", e.body.DID, s.did)
	case e.index <= added:
		return 0, fmt.Errorf("the end shown is at %d, before the key was added at %d", e.index, added)
	}
	switch e.typ {
	case "agent.revoked":
		return e.index, nil
	case "agent.key_rotated": // without overlap it ends every key before it
		if e.body.PreviousUntil != "" {
			return 0, errors.New("the rotation shown ended no key: those before it went on, and an agent.key_ended ends each")
		}
		return e.index, nil
	case "agent.key_ended":
		if e.body.Thumbprint != s.thumbprint {
			return 0, fmt.Errorf("the end shown is of key %s, the action proof is signed by %s", e.body.Thumbprint, s.thumbprint)
		}
		if e.body.Status != "compromised" || e.body.CompromisedFrom == "" {
			return e.index, nil
		}
		from, err := strconv.ParseUint(e.body.CompromisedFrom, 10, 64)
		if err != nil || strconv.FormatUint(from, 10) != e.body.CompromisedFrom || from > e.index {
			return 0, fmt.Errorf("compromised_from %q is no place before %d", e.body.CompromisedFrom, e.index)
		}
		return from, nil
	}
	return 0, fmt.Errorf("%s ends no key", e.typ)
}
