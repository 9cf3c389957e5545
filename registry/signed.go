package registry

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/writ-registry/writ/internal/jose"
)

// SignedCall is what a signed request says of its signer, before it is proven.
type SignedCall struct {
	KeyID   string // DID URL of a verification method of an agent
	Nonce   string
	Created time.Time
	Expires time.Time
	// Verify proves that the key signed the request. It is called once, for a key
	// that counts as the agent's.
	Verify func(jose.PublicKey) error
}

// Signature is how an agent that signed its call was authenticated. The command
// that the call makes looks at it again: the key must count and the agent stand
// when it is committed, and the nonce is used up in the same transaction.
type Signature struct {
	Thumbprint string
	Nonce      string
	Expires    time.Time
}

// AuthenticateAgent finds the agent that signed a request (RFC 9421). The key must
// be one of its keys that counts now, and the agent must stand; an agent that may
// not act may not call. Each (key, nonce) is good for one call: this process
// remembers those that may still be repeated, and what writes spends it in the
// database as well.
func (r *Registry) AuthenticateAgent(ctx context.Context, in SignedCall) (Caller, Signature, error) {
	did, fragment, _ := strings.Cut(in.KeyID, "#")
	var a Agent
	var key jose.PublicKey
	var stands error
	err := r.Store.View(ctx, func(tx Tx) (err error) {
		if a, err = findAgent(tx, did); err != nil {
			return err
		}
		if key, err = r.signingKey(tx, a, fragment); err != nil {
			return err
		}
		stands = r.stands(tx, a)
		return nil
	})
	if errors.Is(err, NotFound) || errors.Is(err, Malformed) {
		return Caller{}, Signature{}, &Error{Kind: Unauthenticated, Code: "unknown_key", Detail: "keyid names no key that counts as an agent's", Err: err}
	}
	if err == nil {
		err = in.Verify(key)
	}
	if err == nil {
		err = refused(stands) // only now: who does not hold the key learns nothing
	}
	s := Signature{key.Thumbprint(), in.Nonce, in.Expires}
	if err == nil {
		err = r.nonces.spend(s, in.Created, r.Now())
	}
	if err != nil {
		return Caller{}, Signature{}, err
	}
	return Caller{Actor: Actor{ActorAgent, a.ID}, Org: a.Org, Agent: &a}, s, nil
}

// signingKey is the agent's key of that name, if it counts now.
func (r *Registry) signingKey(tx Tx, a Agent, multikey string) (jose.PublicKey, error) {
	m, err := tx.Moment()
	if err != nil {
		return jose.PublicKey{}, err
	}
	now := r.now()
	if m.Clock.After(now) {
		now = m.Clock
	}
	for _, jwk := range a.keysAt(now) {
		key, err := jwk.PublicKey()
		if err != nil {
			return jose.PublicKey{}, err
		}
		if key.Multikey() == multikey {
			return key, nil
		}
	}
	return jose.PublicKey{}, Errorf(NotFound, "no such key")
}

// keysAt lists the keys that count as the agent's at a time, its own first.
func (a Agent) keysAt(now time.Time) []jose.JWK {
	var keys []jose.JWK
	if !a.KeyEnded {
		keys = append(keys, a.JWK)
	}
	for _, k := range a.Retiring {
		if now.Before(k.NotAfter) {
			keys = append(keys, k.JWK)
		}
	}
	return keys
}

// named reports whether a reference (an id or DID) is to the agent.
func (a Agent) named(ref string) bool { return ref == a.ID || ref == a.DID || ref == a.WebDID }

// refused says why an agent that has proven its key may not call.
func refused(err error) error {
	var e *Error
	if errors.As(err, &e) && (e.Kind == Conflict || e.Kind == Revoked) {
		return &Error{Kind: Denied, Code: e.Code, Detail: e.Detail, Err: err}
	}
	return err
}

var errNonce = &Error{Kind: Unauthenticated, Code: "replayed", Detail: "the request was received before; sign it again"}

// again holds an agent's own call, signed or under its certificate, against the state
// that its command changes: a stop may have come since it was authenticated.
func (r *Registry) again(tx Tx, call Call) error {
	s, thumbprint := call.Signature, call.Signature.Thumbprint
	if s.Nonce != "" {
		err := tx.ConsumeProof(ProofUse{
			Thumbprint: thumbprint, JTI: "http " + s.Nonce, // a jti has no space
			Caller: call.Caller.ID, Expires: s.Expires.Add(time.Minute).UnixMilli(),
		})
		if errors.Is(err, Conflict) {
			return errNonce
		}
		if err != nil {
			return err
		}
	} else if thumbprint = call.Caller.Key; call.Caller.Agent == nil || thumbprint == "" {
		return nil
	}
	a, err := tx.Agent(call.Caller.ID)
	if err != nil {
		return err
	}
	if !a.Holds(thumbprint, r.now()) {
		return &Error{Kind: Unauthenticated, Code: "unknown_key", Detail: "the key counts no more"}
	}
	return refused(r.stands(tx, a))
}

// maxNonces is how many calls are remembered: two minutes of 4,000 a second.
const maxNonces = 1 << 19

// nonces are the signatures that were used and could be again. What another
// process used it does not know, nor what this one did before it started: it
// refuses what was signed before that.
type nonces struct {
	mu      sync.Mutex
	started time.Time // to the second, as signatures are
	used    map[string]struct{}
	queue   []usedNonce // in the order of arrival, nearly that of expiry
}

type usedNonce struct {
	key     string
	expires time.Time
}

func newNonces(now time.Time) *nonces {
	return &nonces{started: now.Truncate(time.Second), used: map[string]struct{}{}}
}

func (n *nonces) spend(s Signature, created, now time.Time) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if created.Before(n.started) {
		return &Error{Kind: Unauthenticated, Code: "stale", Detail: "signed before the registry started; sign it again"}
	}
	for len(n.queue) > 0 && n.queue[0].expires.Before(now) {
		delete(n.used, n.queue[0].key)
		n.queue = n.queue[1:]
	}
	key := s.Thumbprint + " " + s.Nonce
	if _, ok := n.used[key]; ok {
		return errNonce
	}
	if len(n.used) >= maxNonces {
		return Errorf(Unavailable, "too many signed calls")
	}
	n.used[key] = struct{}{}
	n.queue = append(n.queue, usedNonce{key, s.Expires.Add(time.Minute)}) // the clock may be set back
	return nil
}

// KeysOf lists the keys that count as an agent's now, for anyone; none of an agent
// that is revoked.
func (r *Registry) KeysOf(ctx context.Context, id string) ([]jose.PublicKey, error) {
	if err := checkID("/id", id); err != nil {
		return nil, err
	}
	var a Agent
	if err := r.Store.View(ctx, func(tx Tx) (err error) { a, err = tx.Agent(id); return err }); err != nil {
		return nil, err
	}
	keys := []jose.PublicKey{}
	if a.Status == AgentRevoked {
		return keys, nil
	}
	for _, jwk := range a.keysAt(r.now()) {
		key, err := jwk.PublicKey()
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return keys, nil
}
