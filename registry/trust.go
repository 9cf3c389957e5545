package registry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/writ-registry/writ/internal/canon"
	"github.com/writ-registry/writ/internal/jose"
	"github.com/writ-registry/writ/registry/capability"
	"github.com/writ-registry/writ/registry/did"
)

// Trust is an entry of an org's trust list: a foreign registry whose grants for
// its agents the org accepts, by which keys, for whom, where and how far. What it
// does not say is not accepted.
type Trust struct {
	ID     string `json:"id"` // UUIDv7
	Org    string `json:"org"`
	Issuer string `json:"issuer"` // did:web of the foreign registry, one entry an org
	// TokenKeys are pinned: the Multikeys of the only keys that may sign for the
	// issuer. LogKey is its log's verifier key (C2SP signed-note).
	TokenKeys []string `json:"token_keys"`
	LogKey    string   `json:"log_key"`
	// Agents are the places that agents' DIDs may be at: a host, or a host with the
	// first segments of a path, as DIDs write them ("a.example", "a.example:agents").
	Agents    []string `json:"agents"`
	Orgs      []string `json:"orgs,omitempty"` // ids of the issuer's orgs; none = any
	Audiences []string `json:"audiences"`      // resource server ids of our own
	// Capabilities is the ceiling, in canonical text: an act must be covered by the
	// foreign grant and by this.
	Capabilities   string    `json:"capabilities"`
	AuthorityLevel int       `json:"authority_level"` // of a grant, at most
	MaxAge         int64     `json:"max_age"`         // seconds that what is followed counts for
	NotAfter       time.Time `json:"not_after"`
	Public         bool      `json:"public"` // shown in the published trust list
	Created        time.Time `json:"created"`

	Standing *TrustStanding `json:"standing,omitempty"` // of the issuer, as it is followed; nil before the first answer
}

// TrustStanding is where following an issuer has got to.
type TrustStanding struct {
	Checked time.Time `json:"checked"` // when it last answered and all of it held
	Size    uint64    `json:"size"`    // of its log
	Alarm   *Alarm    `json:"alarm,omitempty"`
}

// Alarm is why nothing of an issuer, or of an agent, is believed any more.
type Alarm struct {
	Code   AlarmCode `json:"code"`
	Detail string    `json:"detail"`
	Since  time.Time `json:"since"`
}

// AlarmCode says what was seen.
type AlarmCode string

const (
	AlarmKey       AlarmCode = "key_not_pinned"     // its DID document names a key that is not pinned
	AlarmLogKey    AlarmCode = "checkpoint_foreign" // its checkpoint is not signed by the pinned key
	AlarmLogFork   AlarmCode = "log_forked"         // two histories, both signed
	AlarmLogShrunk AlarmCode = "log_shrunk"         // a checkpoint smaller than one before
	AlarmDIDFork   AlarmCode = "did_forked"         // an agent's DID log with another history
)

// Limits and defaults of trust lists.
const (
	MaxTrust        = 256 // entries of an org
	MaxTokenKeys    = 4
	DefaultMaxAge   = 60 * time.Second
	MaxTrustAge     = 24 * time.Hour // of what is followed
	DefaultTrustFor = 365 * 24 * time.Hour
)

// NewTrust is the input of AddTrust.
type NewTrust struct {
	Org            string // id or name; "" = the caller's
	Issuer         string
	TokenKeys      []string
	LogKey         string
	Agents         []string // none = anywhere on the issuer's host
	Orgs           []string
	Audiences      []string
	Capabilities   string
	AuthorityLevel int
	MaxAge         int64     // 0 = DefaultMaxAge
	NotAfter       time.Time // zero = DefaultTrustFor from now
	Public         bool
}

// AddTrust adds an issuer to an org's trust list, by its owner. The pins are the
// owner's word: whoever compared the keys out of band.
func (r *Registry) AddTrust(ctx context.Context, call Call, in NewTrust) (Outcome[Trust], error) {
	t, err := r.newTrust(in)
	if err != nil {
		return Outcome[Trust]{}, err
	}
	terms, err := t.terms()
	if err != nil {
		return Outcome[Trust]{}, err
	}
	return commit(ctx, r, call, false, func(tx Tx) (Trust, *EventDraft, error) {
		t := t // the closure may run twice
		org, err := findOrg(tx, call.Caller, in.Org)
		if err == nil {
			err = call.Caller.may(org.ID, RoleOwner)
		}
		if err != nil {
			return t, nil, err
		}
		t.Org = org.ID
		have, err := tx.ListTrust(org.ID, Page{Limit: MaxTrust})
		switch {
		case err != nil:
			return t, nil, err
		case len(have) >= MaxTrust:
			return t, nil, &Error{Kind: Conflict, Code: "too_many", Detail: fmt.Sprintf("the trust list has %d entries, as many as it may", MaxTrust)}
		}
		err = tx.InsertTrust(t)
		if errors.Is(err, Conflict) {
			err = &Error{Kind: Conflict, Code: "issuer_trusted", Field: "/issuer", Detail: "the trust list names this issuer already; remove that entry first", Err: err}
		}
		return t, &EventDraft{Type: EventTrustAdded, Org: org.ID, Body: TrustAdded{t.ID, t.Issuer, t.TokenKeys, t.LogKey, terms, t.Public}},
			errors.Join(err, tx.BumpEpoch(Scope{ScopeOrg, org.ID}))
	})
}

func (r *Registry) newTrust(in NewTrust) (Trust, error) {
	t := Trust{
		ID: NewID(), Issuer: in.Issuer, TokenKeys: in.TokenKeys, LogKey: in.LogKey, Agents: in.Agents, Orgs: in.Orgs, Audiences: in.Audiences,
		AuthorityLevel: in.AuthorityLevel, MaxAge: cmp.Or(in.MaxAge, int64(DefaultMaxAge/time.Second)),
		NotAfter: in.NotAfter.UTC().Truncate(time.Second), Public: in.Public, Created: r.now(),
	}
	if in.NotAfter.IsZero() {
		t.NotAfter = t.Created.Add(DefaultTrustFor).Truncate(time.Second)
	}
	d, err := did.Parse(in.Issuer)
	if err != nil || d.Method() != did.MethodWeb {
		return t, Invalid("/issuer", "must be the did:web of a registry")
	}
	if in.Issuer == r.DID {
		return t, Invalid("/issuer", "is this registry itself")
	}
	if len(t.Agents) == 0 {
		t.Agents = []string{strings.TrimPrefix(in.Issuer, "did:web:")}
	}
	caps, err := capability.Parse(in.Capabilities)
	if err != nil {
		return t, &Error{Kind: Malformed, Field: "/capabilities", Detail: err.Error(), Err: err}
	}
	t.Capabilities = caps.String()
	if err := first(t.checkPins(), t.checkAgents(), checkResources("/audiences", t.Audiences), checkLevel("/authority_level", t.AuthorityLevel)); err != nil {
		return t, err
	}
	if len(t.Orgs) > maxList {
		return t, &Error{Kind: TooLarge, Field: "/orgs", Detail: fmt.Sprintf("more than %d items", maxList)}
	}
	for i, org := range t.Orgs {
		if err := checkID(fmt.Sprintf("/orgs/%d", i), org); err != nil {
			return t, err
		}
	}
	switch {
	case t.MaxAge < 1 || t.MaxAge > int64(MaxTrustAge/time.Second):
		return t, Invalid("/max_age", "must be 1 to %d seconds", int64(MaxTrustAge/time.Second))
	case !t.NotAfter.After(t.Created):
		return t, Invalid("/not_after", "is in the past")
	}
	return t, nil
}

func (t Trust) checkPins() error {
	if len(t.TokenKeys) < 1 || len(t.TokenKeys) > MaxTokenKeys {
		return Invalid("/token_keys", "needs 1 to %d Multikeys", MaxTokenKeys)
	}
	for i, k := range t.TokenKeys {
		if _, err := jose.ParseMultikey(k); err != nil || slices.Contains(t.TokenKeys[:i], k) {
			return Invalid(fmt.Sprintf("/token_keys/%d", i), "must be the Multikey of an Ed25519 or P-256 key, once")
		}
	}
	if len(t.LogKey) > 512 {
		return Invalid("/log_key", "is longer than 512 bytes")
	}
	if _, err := note.NewVerifier(t.LogKey); err != nil {
		return Invalid("/log_key", "must be a verifier key (C2SP signed-note) of an Ed25519 key")
	}
	return nil
}

func (t Trust) checkAgents() error {
	if len(t.Agents) > maxList {
		return &Error{Kind: TooLarge, Field: "/agents", Detail: fmt.Sprintf("more than %d items", maxList)}
	}
	for i, place := range t.Agents {
		if _, err := did.Parse("did:web:" + place); err != nil {
			return Invalid(fmt.Sprintf("/agents/%d", i), "must be a host, or a host and a path, as a DID writes them: a.example:agents")
		}
	}
	return nil
}

// terms is the digest of what the entry accepts: what the log says of it, beside
// the issuer and its keys.
func (t Trust) terms() (string, error) {
	form, err := canon.Marshal(map[string]any{
		"agents": t.Agents, "orgs": nonNil(t.Orgs), "audiences": t.Audiences, "capabilities": t.Capabilities,
		"authority_level": t.AuthorityLevel, "max_age": t.MaxAge, "not_after": t.NotAfter.Format(TimeFormat),
	})
	return canon.Digest(form), err
}

// Vouches reports whether the entry accepts the issuer's word about an agent, by
// where its DID is.
func (t Trust) Vouches(agent did.DID) bool {
	var at string
	switch agent.Method() {
	case did.MethodWeb:
		at = strings.TrimPrefix(agent.String(), "did:web:")
	case did.MethodWebVH:
		at = strings.TrimPrefix(agent.String(), "did:webvh:"+agent.SCID()+":")
	default:
		return false
	}
	return slices.ContainsFunc(t.Agents, func(place string) bool {
		return at == place || strings.HasPrefix(at, place+":")
	})
}

// Keys are the pinned token keys.
func (t Trust) Keys() ([]jose.PublicKey, error) {
	keys := make([]jose.PublicKey, len(t.TokenKeys))
	for i, text := range t.TokenKeys {
		var err error
		if keys[i], err = jose.ParseMultikey(text); err != nil {
			return nil, fmt.Errorf("pinned key of %s: %w", t.Issuer, err)
		}
	}
	return keys, nil
}

// RemoveTrust takes an issuer off the list: nothing of it is accepted any more,
// and what was followed of it is forgotten. To add it again is to pin it anew.
func (r *Registry) RemoveTrust(ctx context.Context, call Call, id, reason string) (Outcome[Trust], error) {
	if err := first(checkID("/trust", id), checkReason(reason)); err != nil {
		return Outcome[Trust]{}, err
	}
	return commit(ctx, r, call, true, func(tx Tx) (Trust, *EventDraft, error) {
		t, err := tx.Trust(id)
		if err == nil {
			err = call.Caller.may(t.Org, RoleOwner)
		}
		if err != nil {
			return Trust{}, nil, hide(err, "entry")
		}
		return t, &EventDraft{Type: EventTrustRemoved, Org: t.Org, Body: TrustRemoved{t.ID, t.Issuer, reason}},
			errors.Join(tx.ForgetFollowed(t.ID), tx.DeleteTrust(t.ID), tx.BumpEpoch(Scope{ScopeOrg, t.Org}))
	})
}

// ListTrust lists an org's trust list with the standing of each issuer, for its
// owners and policy authors.
func (r *Registry) ListTrust(ctx context.Context, c Caller, orgRef string, p Page) ([]Trust, error) {
	return listIn(ctx, r, c, orgRef, p, func(tx Tx, org string, p Page) ([]Trust, error) {
		if err := c.may(org, RolePolicyAuthor); err != nil {
			return nil, err
		}
		list, err := tx.ListTrust(org, p)
		for i := range list {
			if err == nil {
				err = list[i].follow(tx)
			}
		}
		return list, err
	})
}

// FindTrust returns an entry with the standing of its issuer.
func (r *Registry) FindTrust(ctx context.Context, c Caller, id string) (Trust, error) {
	if err := checkID("/trust", id); err != nil {
		return Trust{}, err
	}
	var t Trust
	err := r.Store.View(ctx, func(tx Tx) (err error) {
		if t, err = tx.Trust(id); err == nil {
			err = c.may(t.Org, RolePolicyAuthor)
		}
		if err != nil {
			return hide(err, "entry")
		}
		return t.follow(tx)
	})
	if err != nil {
		return Trust{}, err
	}
	return t, nil
}

func (t *Trust) follow(tx Tx) error {
	f, err := tx.Followed(t.ID, FollowedIssuer, t.Issuer)
	if errors.Is(err, NotFound) {
		return nil
	}
	if err == nil {
		t.Standing = &TrustStanding{f.Checked, f.Number, f.Alarm}
	}
	return err
}

// TypTrustList is the JWS typ of the published trust list.
const TypTrustList = "trust-list+jwt"

// maxPublished is how many entries are published, the oldest first.
const maxPublished = 4096

// TrustListClaims is the payload of the published trust list: whom the orgs of
// this registry trust, as far as they say so.
type TrustListClaims struct {
	Issuer   string           `json:"iss"`
	IssuedAt int64            `json:"iat"`
	Entries  []PublishedTrust `json:"entries"`
}

// PublishedTrust is a public entry. Which of its resources an org opens to whom,
// and how far, is its own affair: that is in the terms of trust.added, as a digest.
type PublishedTrust struct {
	Org       string   `json:"org"`
	Issuer    string   `json:"issuer"`
	TokenKeys []string `json:"token_keys"`
	LogKey    string   `json:"log_key"`
	Agents    []string `json:"agents"`
	NotAfter  int64    `json:"not_after"` // Unix seconds
}

// PublishTrust signs the trust list, for anyone: a compact JWS by the token key. It
// is the same until authority moves or a minute has passed.
func (r *Registry) PublishTrust(ctx context.Context) (string, error) {
	m, err := r.Store.Moment(ctx, time.Second)
	if err != nil {
		return "", err
	}
	now := r.now()
	r.published.Lock()
	defer r.published.Unlock()
	if p := r.published; p.token != "" && p.authority == m.Authority && now.Sub(p.at).Abs() < time.Minute {
		return p.token, nil
	}
	claims := TrustListClaims{Issuer: r.DID, IssuedAt: now.Unix(), Entries: []PublishedTrust{}}
	err = r.Store.View(ctx, func(tx Tx) error {
		if m, err = tx.Moment(); err != nil {
			return err
		}
		list, err := tx.PublicTrust(maxPublished)
		for _, t := range list {
			if now.Before(t.NotAfter) {
				claims.Entries = append(claims.Entries, PublishedTrust{t.Org, t.Issuer, t.TokenKeys, t.LogKey, t.Agents, t.NotAfter.Unix()})
			}
		}
		return err
	})
	if err != nil {
		return "", err
	}
	token, err := jose.Sign(r.TokenKey, TypTrustList, r.TokenKeyID(), claims)
	if err != nil {
		return "", fmt.Errorf("sign the trust list: %w", err)
	}
	r.published.token, r.published.authority, r.published.at = token, m.Authority, now
	return token, nil
}
