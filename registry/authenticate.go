package registry

import (
	"context"
	"crypto/sha256"
	"errors"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/writ-registry/writ/internal/canon"
)

// Authenticate finds the caller that a bearer credential belongs to. What it
// returns is shared: it MUST NOT be changed. A principal has the roles that were
// given inside the registry: those of groups count in a session only.
func (r *Registry) Authenticate(ctx context.Context, token string) (Caller, error) {
	hash := hashSecret(token)
	if c, ok := r.callers.GetIfPresent(hash); ok && !c.credential.ended(r.now()) {
		m, err := r.Store.Moment(ctx, callerAge)
		if err != nil {
			return Caller{}, err
		}
		if m.Authority == c.authority {
			return c.Caller, nil
		}
	}
	var c known
	err := r.Store.View(ctx, func(tx Tx) error {
		m, err := tx.Moment()
		if err != nil {
			return err
		}
		if c.credential, err = tx.Credential(hash); err != nil {
			return err
		}
		c.Actor, c.authority = c.credential.Owner, m.Authority
		if c.credential.ended(r.now()) {
			return &Error{Kind: Unauthenticated, Code: "expired_credential", Detail: "the bearer credential was rotated, and its time is over"}
		}
		if c.Kind == ActorPEP {
			p, err := tx.PEP(c.ID)
			c.Org, c.PEP = p.Org, &p
			return err
		}
		p, err := tx.Principal(c.ID)
		if err == nil {
			err = p.mayAct()
		}
		c.Org, c.Roles = p.Org, p.Roles
		return err
	})
	if errors.Is(err, NotFound) {
		return Caller{}, &Error{Kind: Unauthenticated, Code: "unknown_credential", Detail: "the bearer credential is not known"}
	}
	if err != nil {
		return Caller{}, err
	}
	r.callers.Set(hash, c)
	return c.Caller, nil
}

// Authenticated callers are remembered by the hash of their credential, and
// only they: one that is not known is looked up, and charged for, every time.
// Whatever changes a credential or a principal moves an epoch, so that a memory
// stands only while the count of all epochs does (Moment.Authority): a change of
// this process is seen at once, one of another within callerAge.
const (
	callerAge  = 250 * time.Millisecond
	maxCallers = 8192
)

type known struct {
	Caller
	credential Credential
	authority  uint64
}

func newCallers() *otter.Cache[[32]byte, known] {
	return otter.Must(&otter.Options[[32]byte, known]{MaximumSize: maxCallers})
}

// NewSecret draws a bearer credential of 256 random bits; the registry keeps
// only its hash.
func NewSecret(kind ActorKind) string { return "writ_" + string(kind) + "_" + canon.Nonce(32) }

func hashSecret(secret string) [32]byte { return sha256.Sum256([]byte(secret)) }
