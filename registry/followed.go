package registry

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/writ-registry/writ/registry/did"
)

// Followed is one thing of others that this registry has seen and verified, and
// against which the next sight of it is held.
type Followed struct {
	Trust string       `json:"trust,omitempty"` // the entry it is followed for; "" for an agent: its history is one
	Kind  FollowedKind `json:"kind"`
	Name  string       `json:"name"` // DID of the issuer, SCID of an agent, address of a status list
	// Text is the newest that was verified: a signed checkpoint, a DID log, a status
	// list token.
	Text    string    `json:"text"`
	Number  uint64    `json:"number"`            // tree size, entries of the DID log, iat of the list
	Version string    `json:"version,omitempty"` // versionId of the DID log's last entry
	Checked time.Time `json:"checked"`           // when it was last compared with what is published
	Seen    time.Time `json:"seen"`              // when somebody last asked about it
	Alarm   *Alarm    `json:"alarm,omitempty"`
}

// FollowedKind says what is followed.
type FollowedKind string

const (
	FollowedIssuer FollowedKind = "issuer"
	FollowedAgent  FollowedKind = "agent"
	FollowedStatus FollowedKind = "status"
)

// TrustTx holds trust lists and what is followed of the issuers on them.
type TrustTx interface {
	Trust(id string) (Trust, error)
	TrustOf(org, issuer string) (Trust, error)
	ListTrust(org string, p Page) ([]Trust, error) // of all orgs where org is ""
	PublicTrust(limit int) ([]Trust, error)
	InsertTrust(Trust) error // with BumpEpoch of the org. Conflict: the org has one of this issuer
	DeleteTrust(id string) error

	Followed(trust string, kind FollowedKind, name string) (Followed, error)
	// ListFollowed lists what was asked about after a time, newest first.
	ListFollowed(kind FollowedKind, after time.Time, limit int) ([]Followed, error)
	PutFollowed(Followed) error
	ForgetFollowed(trust string) error
}

// Follow remembers what was seen, in one commit. An alarm is never taken back: what
// has one stays as it is.
func (r *Registry) Follow(ctx context.Context, seen []Followed) error {
	_, err := r.Store.Commit(ctx, Command{Run: func(tx Tx) (Draft, error) {
		for _, f := range seen {
			before, err := tx.Followed(f.Trust, f.Kind, f.Name)
			switch {
			case err == nil && (before.Alarm != nil || before.Number > f.Number):
				continue // somebody else was faster
			case err != nil && !errors.Is(err, NotFound):
				return Draft{}, err
			}
			if f.Trust != "" { // the entry may have been removed meanwhile
				if _, err := tx.Trust(f.Trust); errors.Is(err, NotFound) {
					continue
				} else if err != nil {
					return Draft{}, err
				}
			}
			if err := tx.PutFollowed(f); err != nil {
				return Draft{}, err
			}
		}
		return Draft{}, nil
	}})
	return err
}

// RaiseAlarm records that an issuer contradicted itself or what is pinned of it:
// nothing of it is believed until an owner removes the entry. evidence is the
// digest of what was shown.
func (r *Registry) RaiseAlarm(ctx context.Context, trust string, kind FollowedKind, subject did.DID, code AlarmCode, detail, evidence string) error {
	_, err := r.Store.Commit(ctx, Command{Urgent: true, Run: func(tx Tx) (Draft, error) {
		t, err := tx.Trust(trust)
		if errors.Is(err, NotFound) {
			return Draft{}, nil
		} else if err != nil {
			return Draft{}, err
		}
		owner, name := t.ID, subject.String()
		if kind == FollowedAgent {
			owner, name = "", subject.SCID()
		}
		f, err := tx.Followed(owner, kind, name)
		if errors.Is(err, NotFound) {
			f, err = Followed{Trust: owner, Kind: kind, Name: name, Seen: r.now()}, nil
		}
		if err != nil || f.Alarm != nil {
			return Draft{}, err
		}
		f.Alarm = &Alarm{code, detail, r.now()}
		ev := EventDraft{
			Type: EventTrustAlarmed, Org: t.Org, Actor: Actor{ActorRegistry, t.Org}, Trace: strings.Repeat("0", 32),
			Body: TrustAlarmed{t.ID, t.Issuer, subject.String(), code, evidence},
		}
		return Draft{Events: []EventDraft{ev}}, errors.Join(tx.PutFollowed(f), tx.BumpEpoch(Scope{ScopeOrg, t.Org}))
	}})
	return err
}
