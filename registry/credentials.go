package registry

import (
	"context"
	"encoding/hex"
	"errors"
	"slices"
	"time"
)

const (
	// MaxCredentialOverlap is how long an old credential may go on beside a new one.
	MaxCredentialOverlap = 30 * 24 * time.Hour
	// maxCredentials is how many credentials one principal or enforcement point has at
	// once.
	maxCredentials = 8
)

func newCredential(secret string, owner Actor, now time.Time) Credential {
	return Credential{ID: NewID(), Owner: owner, Hash: hashSecret(secret), Created: now}
}

// CredentialHint is what a list shows of a credential's hash.
func CredentialHint(hash [32]byte) string { return hex.EncodeToString(hash[30:]) }

// RotateCredential gives a principal or an enforcement point a new credential, shown
// once. Those before end at once, or after an overlap. They themselves may, an owner
// for the humans of its org, and a registrar for its enforcement points.
func (r *Registry) RotateCredential(ctx context.Context, call Call, owner Actor, overlap time.Duration) (Outcome[Credential], error) {
	if overlap < 0 || overlap > MaxCredentialOverlap {
		return Outcome[Credential]{}, Invalid("/overlap", "must be 0 to %d seconds", int64(MaxCredentialOverlap.Seconds()))
	}
	secret := NewSecret(owner.Kind)
	fresh := newCredential(secret, owner, r.now())
	fresh.Hint = CredentialHint(fresh.Hash)
	out, err := commit(ctx, r, call, false, func(tx Tx) (Credential, *EventDraft, error) {
		org, err := keeper(tx, call.Caller, owner)
		if err != nil {
			return fresh, nil, err
		}
		before, err := live(tx, owner, r.now())
		if err != nil {
			return fresh, nil, err
		}
		if overlap > 0 && len(before) >= maxCredentials {
			return fresh, nil, Errorf(Conflict, "there are %d credentials already; revoke some, or rotate without overlap", len(before))
		}
		until := ""
		if overlap > 0 {
			end := r.now().Add(overlap)
			until = end.Format(TimeFormat)
			for _, c := range before {
				if c.Expires.IsZero() || end.Before(c.Expires) {
					c.Expires = end
				}
				err = errors.Join(err, tx.UpdateCredential(c))
			}
		} else {
			err = endCredentials(tx, owner)
		}
		return fresh, &EventDraft{Type: EventCredentialRotated, Org: org, Body: CredentialRotated{owner, fresh.ID, until}},
			errors.Join(err, tx.InsertCredential(fresh), tx.BumpEpoch(Scope{ScopeOrg, org}))
	})
	return withSecret(out, secret), err
}

// RevokeCredential ends one credential at once.
func (r *Registry) RevokeCredential(ctx context.Context, call Call, owner Actor, id, reason string) (Outcome[Credential], error) {
	if err := first(checkID("/credential", id), checkReason(reason)); err != nil {
		return Outcome[Credential]{}, err
	}
	return commit(ctx, r, call, true, func(tx Tx) (Credential, *EventDraft, error) {
		org, err := keeper(tx, call.Caller, owner)
		if err != nil {
			return Credential{}, nil, err
		}
		have, err := live(tx, owner, r.now())
		if err != nil {
			return Credential{}, nil, err
		}
		i := slices.IndexFunc(have, func(c Credential) bool { return c.ID == id })
		if i < 0 {
			return Credential{}, nil, Errorf(NotFound, "no such credential")
		}
		if len(have) == 1 && owner.Kind == ActorPrincipal {
			if err := locksNobodyOut(tx, owner.ID); err != nil {
				return have[i], nil, err
			}
		}
		return have[i], &EventDraft{Type: EventCredentialRevoked, Org: org, Body: CredentialRevoked{owner, id, reason}},
			errors.Join(tx.DeleteCredential(id), tx.BumpEpoch(Scope{ScopeOrg, org}))
	})
}

// locksNobodyOut refuses to take the last credential of the last owner or operator,
// unless an issuer lets that human in.
func locksNobodyOut(tx Tx, principal string) error {
	p, err := tx.Principal(principal)
	if err != nil || p.Issuer != "" {
		return err
	}
	return leavesOthers(tx, p, nil)
}

// ListCredentials lists those that count, without their secrets, for those who may
// rotate them.
func (r *Registry) ListCredentials(ctx context.Context, c Caller, owner Actor) (list []Credential, err error) {
	err = r.Store.View(ctx, func(tx Tx) (err error) {
		if _, err = keeper(tx, c, owner); err == nil {
			list, err = live(tx, owner, r.now())
		}
		return err
	})
	return list, err
}

// live are an owner's credentials that have not ended.
func live(tx Tx, owner Actor, now time.Time) ([]Credential, error) {
	list, err := tx.ListCredentials(owner)
	return slices.DeleteFunc(list, func(c Credential) bool { return c.ended(now) }), err
}

func (c Credential) ended(now time.Time) bool { return !c.Expires.IsZero() && !now.Before(c.Expires) }

func endCredentials(tx Tx, owner Actor) error {
	list, err := tx.ListCredentials(owner)
	for _, c := range list {
		err = errors.Join(err, tx.DeleteCredential(c.ID))
	}
	return err
}

// keeper refuses a caller who may not change an owner's credentials, and returns the
// owner's org.
func keeper(tx Tx, c Caller, owner Actor) (org string, err error) {
	if owner.Kind == ActorPEP {
		if err := checkID("/pep", owner.ID); err != nil {
			return "", err
		}
		p, err := tx.PEP(owner.ID)
		if err == nil && c.Actor != owner {
			err = c.may(p.Org, RoleRegistrar)
		}
		return p.Org, hide(err, "enforcement point")
	}
	if c.Actor == owner {
		return c.Org, nil // authenticated, so active
	}
	p, err := governed(tx, c, owner.ID)
	if err == nil && p.Status == PrincipalLeft {
		err = Errorf(Revoked, "the human has left, for good")
	}
	return p.Org, err
}
