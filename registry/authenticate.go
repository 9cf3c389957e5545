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
// returns is shared: it MUST NOT be changed.
func (r *Registry) Authenticate(ctx context.Context, token string) (Caller, error) {
	hash := hashSecret(token)
	if c, ok := r.callers.GetIfPresent(hash); ok && time.Since(c.read) < r.callerAge {
		return c.Caller, nil
	}
	read := time.Now() // before the snapshot: the answer is at least this new
	var c Caller
	err := r.Store.View(ctx, func(tx Tx) (err error) {
		if c.Actor, err = tx.Credential(hash); err != nil {
			return err
		}
		if c.Kind == ActorPEP {
			p, err := tx.PEP(c.ID)
			c.Org, c.PEP = p.Org, &p
			return err
		}
		p, err := tx.Principal(c.ID)
		c.Org, c.Roles = p.Org, p.Roles
		return err
	})
	if errors.Is(err, NotFound) {
		return Caller{}, &Error{Kind: Unauthenticated, Code: "unknown_credential", Detail: "the bearer credential is not known"}
	}
	if err != nil {
		return Caller{}, err
	}
	r.callers.Set(hash, known{c, read})
	return c, nil
}

// Authenticated callers are remembered by the hash of their credential, and
// only they: one that is not known is looked up, and charged for, every time.
// Nothing changes a credential, a principal or an enforcement point yet; the age
// bounds what another process, or a later version, may change.
const (
	callerAge  = 500 * time.Millisecond
	maxCallers = 8192
)

type known struct {
	Caller
	read time.Time
}

func newCallers() *otter.Cache[[32]byte, known] {
	return otter.Must(&otter.Options[[32]byte, known]{MaximumSize: maxCallers})
}

// NewSecret draws a bearer credential of 256 random bits; the registry keeps
// only its hash.
func NewSecret(kind ActorKind) string { return "writ_" + string(kind) + "_" + canon.Nonce(32) }

func hashSecret(secret string) [32]byte { return sha256.Sum256([]byte(secret)) }
