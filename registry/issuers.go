package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/writ-registry/writ/internal/canon"
)

// GroupRoles are the roles that groups of an issuer can give. Owner, approver and
// operator are not among them: an issuer, or whoever rules its directory, must not
// make itself the org's owner, answer step-ups or run the registry. Those roles take
// an act inside the registry, recorded and, where the org has one, by a second person.
var GroupRoles = []Role{RoleRegistrar, RolePolicyAuthor, RoleAuditor}

// Issuer is where people of an org sign in: an OpenID provider, and the client that
// the registry is there. An issuer belongs to one org.
type Issuer struct {
	ID          string            `json:"id"`
	Org         string            `json:"org"`
	URL         string            `json:"url"` // its identifier, compared byte for byte
	ClientID    string            `json:"client_id"`
	Secret      string            `json:"secret,omitempty"` // the client's, sealed; "" = a public client
	Scopes      []string          `json:"scopes,omitempty"`
	Prompt      string            `json:"prompt,omitempty"`
	GroupsClaim string            `json:"groups_claim,omitempty"` // "" = groups are not read
	Mapping     map[string][]Role `json:"mapping,omitempty"`      // group to roles of GroupRoles
	// KeepBootstrap: the credential of the first start stays when the first human of
	// this issuer becomes an owner or operator of the operator's org.
	KeepBootstrap bool      `json:"keep_bootstrap,omitempty"`
	Created       time.Time `json:"created"`
	Updated       time.Time `json:"updated"`
}

// NewIssuer is the input of SetSignInIssuer.
type NewIssuer struct {
	URL           string
	ClientID      string
	ClientSecret  *string // nil: the one it has, if the client is the same; "" = none
	Scopes        []string
	Prompt        string
	GroupsClaim   string
	Mapping       map[string][]Role
	KeepBootstrap bool
	NoCheck       bool // do not ask the issuer whether it is there
}

// Limits of issuers.
const (
	maxSignInIssuers = 8 // of an org
	maxGroups        = 256
)

// digest names the settings without the secret.
func (i Issuer) digest() (string, error) {
	i.ID, i.Org, i.Secret, i.Created, i.Updated = "", "", "", time.Time{}, time.Time{}
	form, err := canon.Marshal(i)
	return canon.Digest(form), err
}

// SetSignInIssuer lets people of an issuer sign in for an org, or changes how. Everybody
// who is signed in by it signs in again. The org's owner may.
func (r *Registry) SetSignInIssuer(ctx context.Context, call Call, orgRef string, in NewIssuer) (Outcome[Issuer], error) {
	var none Outcome[Issuer]
	if r.CheckIssuer == nil || r.Sealer == nil {
		return none, Errorf(Conflict, "this registry signs nobody in by an issuer")
	}
	if err := in.check(); err != nil {
		return none, err
	}
	issuer := Issuer{
		ID: NewID(), URL: in.URL, ClientID: in.ClientID, Scopes: in.Scopes, Prompt: in.Prompt, GroupsClaim: in.GroupsClaim,
		Mapping: in.Mapping, KeepBootstrap: in.KeepBootstrap, Created: r.now(), Updated: r.now(),
	}
	// Who may not is told before anything is fetched.
	err := r.Store.View(ctx, func(tx Tx) error { _, err := ownedOrg(tx, call.Caller, orgRef); return err })
	if err == nil {
		err = r.CheckIssuer(ctx, issuer, !in.NoCheck)
	}
	if err != nil {
		return none, err
	}
	return commit(ctx, r, call, false, func(tx Tx) (Issuer, *EventDraft, error) {
		i := issuer
		org, err := ownedOrg(tx, call.Caller, orgRef)
		if err == nil {
			err = notOwnIssuer(tx, call.Caller, org, in.URL)
		}
		if err != nil {
			return i, nil, err
		}
		i.Org = org.ID
		have, err := tx.ListIssuers(org.ID)
		if err != nil {
			return i, nil, err
		}
		n := slices.IndexFunc(have, func(h Issuer) bool { return h.URL == i.URL })
		switch {
		case n >= 0:
			i.ID, i.Created = have[n].ID, have[n].Created
		case len(have) >= maxSignInIssuers:
			return i, nil, Errorf(Conflict, "the org has %d issuers, as many as it may", len(have))
		}
		switch {
		case in.ClientSecret != nil && *in.ClientSecret != "":
			i.Secret = r.Sealer.Seal([]byte(*in.ClientSecret), i.sealedAs())
		case in.ClientSecret == nil && n >= 0 && have[n].ClientID == i.ClientID:
			i.Secret = have[n].Secret
		}
		config, err := i.digest()
		if err != nil {
			return i, nil, err
		}
		err = tx.PutIssuer(i)
		if errors.Is(err, Conflict) {
			err = &Error{Kind: Conflict, Code: "issuer_taken", Field: "/issuer", Detail: "people of another org sign in at this issuer", Err: err}
		}
		return i, &EventDraft{Type: EventSignInSet, Org: org.ID, Body: SignInChanged{i.ID, config}}, errors.Join(err, tx.DeleteSessions("", i.ID))
	})
}

// RemoveSignInIssuer ends sign-in by an issuer, and the sessions that began there. The
// people stay; what only their groups gave them is gone.
func (r *Registry) RemoveSignInIssuer(ctx context.Context, call Call, orgRef, id string) (Outcome[Issuer], error) {
	if err := checkID("/issuer", id); err != nil {
		return Outcome[Issuer]{}, err
	}
	return commit(ctx, r, call, true, func(tx Tx) (Issuer, *EventDraft, error) {
		org, err := ownedOrg(tx, call.Caller, orgRef)
		if err != nil {
			return Issuer{}, nil, err
		}
		i, err := tx.Issuer(id)
		if err == nil && i.Org != org.ID {
			err = Errorf(NotFound, "no such issuer")
		}
		if err == nil {
			err = notOwnIssuer(tx, call.Caller, org, i.URL)
		}
		if err != nil {
			return Issuer{}, nil, err
		}
		config, err := i.digest()
		return i, &EventDraft{Type: EventSignInRemoved, Org: org.ID, Body: SignInChanged{i.ID, config}},
			errors.Join(err, tx.DeleteIssuer(id), tx.DeleteSessions("", id))
	})
}

// ListSignInIssuers lists the issuers of an org, for its principals.
func (r *Registry) ListSignInIssuers(ctx context.Context, c Caller, orgRef string) (list []Issuer, err error) {
	err = r.Store.View(ctx, func(tx Tx) error {
		org, err := findOrg(tx, c, orgRef)
		if err == nil {
			err = c.sees(org.ID)
		}
		if err == nil {
			list, err = tx.ListIssuers(org.ID)
		}
		return err
	})
	return list, err
}

// IssuersOf lists where people of an org, by name, may sign in: for anyone, because
// who signs in is not known yet. An org that does not exist has none.
func (r *Registry) IssuersOf(ctx context.Context, name string) (list []Issuer, err error) {
	err = r.Store.View(ctx, func(tx Tx) error {
		org, err := tx.OrgByName(name)
		if err == nil {
			list, err = tx.ListIssuers(org.ID)
		}
		if errors.Is(err, NotFound) {
			return nil
		}
		return err
	})
	return list, err
}

// ClientSecret opens the client secret of an issuer; "" where it has none.
func (r *Registry) ClientSecret(i Issuer) (string, error) {
	if i.Secret == "" {
		return "", nil
	}
	secret, err := r.Sealer.Open(i.Secret, i.sealedAs())
	if err != nil {
		return "", &Error{Kind: Unavailable, Code: "issuer_secret", Detail: "the issuer's client secret cannot be read; the org's owner sets it again", Err: err}
	}
	return string(secret), nil
}

func (i Issuer) sealedAs() string { return "client secret of issuer " + i.ID }

// ownedOrg finds an org that the caller rules.
func ownedOrg(tx Tx, c Caller, ref string) (Org, error) {
	org, err := findOrg(tx, c, ref)
	if err == nil {
		err = c.may(org.ID, RoleOwner)
	}
	return org, err
}

// notOwnIssuer keeps people, where the org separates duties, from changing what the
// issuer that they come from says of them.
func notOwnIssuer(tx Tx, c Caller, org Org, url string) error {
	if !org.Policy.SeparateDuties || c.Kind != ActorPrincipal {
		return nil
	}
	p, err := tx.Principal(c.ID)
	if err == nil && p.Org == org.ID && p.Issuer == url {
		err = notAlone("the org wants a human who does not sign in there to change an issuer")
	}
	return err
}

// keepsBootstrap reads whether a human's issuer leaves the credential of the first
// start.
func keepsBootstrap(tx Tx, p Principal) (bool, error) {
	list, err := tx.ListIssuers(p.Org)
	for _, i := range list {
		if i.URL == p.Issuer {
			return i.KeepBootstrap, nil
		}
	}
	return false, err
}

func (in NewIssuer) check() error {
	if err := first(
		checkText("/issuer", in.URL, 512, true), checkText("/client_id", in.ClientID, 256, true),
		checkText("/prompt", in.Prompt, maxName, false), checkText("/groups_claim", in.GroupsClaim, 256, false),
	); err != nil {
		return err
	}
	if in.ClientSecret != nil {
		if err := checkText("/client_secret", *in.ClientSecret, maxText, false); err != nil {
			return err
		}
	}
	if len(in.Scopes) > maxList {
		return &Error{Kind: TooLarge, Field: "/scopes", Detail: fmt.Sprintf("more than %d scopes", maxList)}
	}
	for n, s := range in.Scopes {
		if err := checkText(fmt.Sprintf("/scopes/%d", n), s, 256, true); err != nil {
			return err
		}
	}
	if len(in.Mapping) > maxGroups {
		return &Error{Kind: TooLarge, Field: "/mapping", Detail: fmt.Sprintf("more than %d groups", maxGroups)}
	}
	if len(in.Mapping) > 0 && in.GroupsClaim == "" {
		return Invalid("/groups_claim", "is required where groups are mapped")
	}
	for group, roles := range in.Mapping {
		if err := checkText("/mapping", group, 256, true); err != nil {
			return err
		}
		for _, role := range roles {
			if !slices.Contains(GroupRoles, role) {
				return Invalid("/mapping", "group %q: groups give %s and no other role; %q takes an act inside the registry", group, join(GroupRoles), role)
			}
		}
	}
	return nil
}
