package registry

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/writ-registry/writ/internal/canon"
)

// Limits of sessions.
const (
	SessionIdle = 30 * time.Minute // without a request
	SessionLife = 12 * time.Hour   // in all
	// GroupRolesLife is how old the issuer's answer may be that gives roles.
	GroupRolesLife = 5 * time.Minute

	maxSessions = 32              // of a human; the oldest ends
	seenEvery   = time.Minute     // a session's use is written down
	retryEvery  = 5 * time.Second // an issuer that did not answer is asked again
)

// Session is a human signed in to the pages by an issuer. Its secret is in the
// browser's cookie; the database has the hash.
type Session struct {
	ID        string    `json:"id"`
	Principal string    `json:"principal"`
	Issuer    string    `json:"issuer"` // id
	Created   time.Time `json:"created"`
	Seen      time.Time `json:"seen"`           // its last use, to a minute
	Checked   time.Time `json:"checked"`        // when the issuer last answered for the human
	Tried     time.Time `json:"tried,omitzero"` // when it last did not
	Expires   time.Time `json:"expires"`
	Tokens    string    `json:"tokens,omitempty"` // IssuerTokens, sealed under the secret
}

// IssuerTokens are what an issuer gave for a session.
type IssuerTokens struct {
	Refresh string `json:"refresh"` // "" = none: group roles lapse after GroupRolesLife
	ID      string `json:"id"`
}

// Identified is an issuer's answer about a human.
type Identified struct {
	Issuer  Issuer // as it was asked
	Subject string
	Name    string // for showing; may be empty
	Roles   []Role // of GroupRoles
	Tokens  IssuerTokens
}

// Visit is a session that counts, and whose it is.
type Visit struct {
	Caller    Caller
	Session   Session
	Principal Principal
	Issuer    Issuer
	Tokens    IssuerTokens
	// Due: the issuer is to be asked again before the roles of groups count.
	Due bool
}

// SignIn begins a session for whom an issuer identified, and returns its secret once.
// A human who comes for the first time becomes a principal of the issuer's org.
func (r *Registry) SignIn(ctx context.Context, trace string, in Identified) (Outcome[Session], error) {
	secret := NewSecret("session")
	now := r.now()
	s := Session{ID: NewID(), Issuer: in.Issuer.ID, Created: now, Seen: now, Checked: now, Expires: now.Add(SessionLife)}
	var err error
	if s.Tokens, err = sealTokens(secret, s.ID, in.Tokens); err != nil {
		return Outcome[Session]{}, err
	}
	out, err := commitDraft(ctx, r, r.own(trace), false, func(tx Tx) (Session, Draft, error) {
		s := s
		if err := unchanged(tx, in.Issuer); err != nil {
			return s, Draft{}, err
		}
		p, d, err := r.admit(tx, in)
		if err != nil {
			return s, Draft{}, err
		}
		s.Principal = p.ID
		before, err := tx.ListSessions(p.ID)
		for i := 0; i <= len(before)-maxSessions && err == nil; i++ {
			err = tx.DeleteSession(before[i].ID)
		}
		return s, d, errors.Join(err, tx.InsertSession(hashSecret(secret), s))
	})
	out.Secret = secret
	return out, err
}

// own is a call of the registry itself. Events say whose they are.
func (r *Registry) own(trace string) Call {
	return Call{Caller: Caller{Actor: Actor{Kind: ActorRegistry}}, Trace: trace}
}

// unchanged refuses an answer that was asked for under other settings.
func unchanged(tx Tx, asked Issuer) error {
	now, err := tx.Issuer(asked.ID)
	if errors.Is(err, NotFound) || err == nil && !now.Updated.Equal(asked.Updated) {
		return &Error{Kind: Unauthenticated, Code: "issuer_changed", Detail: "the org changed its issuer meanwhile; sign in again"}
	}
	return err
}

// admit finds the principal of an issuer's answer, or makes it, with the roles that
// its groups give now.
func (r *Registry) admit(tx Tx, in Identified) (Principal, Draft, error) {
	var d Draft
	p, err := tx.PrincipalByIdentity(in.Issuer.Org, in.Issuer.URL, in.Subject)
	fresh := errors.Is(err, NotFound)
	if fresh {
		p, err = Principal{ID: NewID(), Org: in.Issuer.Org, Roles: []Role{}, Issuer: in.Issuer.URL, Subject: in.Subject, Created: r.now()}, nil
		if checkText("", in.Name, maxText, false) == nil {
			p.DisplayName = in.Name
		}
	}
	if err == nil {
		err = p.mayAct()
	}
	if err != nil {
		return p, d, err
	}
	actor := Actor{ActorPrincipal, p.ID}
	if fresh {
		d.Events = append(d.Events, EventDraft{Type: EventPrincipalCreated, Org: p.Org, Actor: actor, Body: PrincipalCreated{p.ID, p.Roles}})
	}
	roles := []Role{}
	for _, role := range GroupRoles {
		if slices.Contains(in.Roles, role) {
			roles = append(roles, role)
		}
	}
	moved := !slices.Equal(roles, p.GroupRoles)
	if moved {
		p.GroupRoles = roles
		d.Events = append(d.Events, EventDraft{Type: EventRolesSet, Org: p.Org, Actor: actor, Body: RolesSet{p.ID, roles, "groups"}})
	}
	switch {
	case fresh:
		err = tx.InsertPrincipal(p)
	case moved:
		err = errors.Join(tx.UpdatePrincipal(p), tx.BumpEpoch(Scope{ScopeOrg, p.Org}))
	}
	return p, d, err
}

var errNoSession = &Error{Kind: Unauthenticated, Code: "session", Detail: "the session is over, or never was; sign in again"}

// Visit finds the session of a secret, and what its human may do now. It refuses one
// that is over, and whose human is suspended or has left.
func (r *Registry) Visit(ctx context.Context, secret string) (Visit, error) {
	var v Visit
	err := r.Store.View(ctx, func(tx Tx) (err error) {
		if v.Session, err = tx.Session(hashSecret(secret)); err != nil {
			return err
		}
		if v.Issuer, err = tx.Issuer(v.Session.Issuer); err == nil {
			v.Principal, err = tx.Principal(v.Session.Principal)
		}
		return err
	})
	now := r.now()
	switch {
	case errors.Is(err, NotFound):
		return Visit{}, errNoSession
	case err != nil:
		return Visit{}, err
	case !now.Before(v.Session.Expires) || now.Sub(v.Session.Seen) >= SessionIdle:
		return Visit{}, errNoSession
	}
	if err := v.Principal.mayAct(); err != nil {
		return Visit{}, err
	}
	if v.Tokens, err = openTokens(secret, v.Session); err != nil {
		return Visit{}, err
	}
	v.Caller = Caller{Actor: Actor{ActorPrincipal, v.Principal.ID}, Org: v.Principal.Org, Roles: slices.Clone(v.Principal.Roles)}
	if now.Sub(v.Session.Checked) < GroupRolesLife {
		for _, role := range v.Principal.GroupRoles {
			if !v.Principal.holds(role) {
				v.Caller.Roles = append(v.Caller.Roles, role)
			}
		}
	} else {
		v.Due = v.Tokens.Refresh != "" && now.Sub(v.Session.Tried) >= retryEvery
	}
	return v, nil
}

// Confirm records an issuer's new answer about the human of a session: tokens and
// roles in one transaction. Unauthenticated: the session or its issuer is not there
// any more.
func (r *Registry) Confirm(ctx context.Context, trace, secret string, in Identified) error {
	_, err := commitDraft(ctx, r, r.own(trace), false, func(tx Tx) (struct{}, Draft, error) {
		s, err := mine(tx, secret)
		if err == nil {
			err = unchanged(tx, in.Issuer)
		}
		if err != nil {
			return struct{}{}, Draft{}, err
		}
		p, d, err := r.admit(tx, in)
		if err == nil && p.ID != s.Principal {
			err = errNoSession
		}
		if err != nil {
			return struct{}{}, Draft{}, err
		}
		s.Checked, s.Seen, s.Tried = r.now(), r.now(), time.Time{}
		s.Tokens, err = sealTokens(secret, s.ID, in.Tokens)
		return struct{}{}, d, errors.Join(err, tx.UpdateSession(s))
	})
	return err
}

// Touch writes down that a session was used, and whether its issuer was asked in vain,
// where that is worth a write.
func (r *Registry) Touch(ctx context.Context, trace, secret string, v Visit, inVain bool) error {
	if !inVain && r.now().Sub(v.Session.Seen) < seenEvery {
		return nil
	}
	_, err := commitDraft(ctx, r, r.own(trace), false, func(tx Tx) (struct{}, Draft, error) {
		s, err := mine(tx, secret)
		if err != nil {
			return struct{}{}, Draft{}, err
		}
		s.Seen = r.now()
		if inVain {
			s.Tried = s.Seen
		}
		return struct{}{}, Draft{}, tx.UpdateSession(s)
	})
	return err
}

func mine(tx Tx, secret string) (Session, error) {
	s, err := tx.Session(hashSecret(secret))
	if errors.Is(err, NotFound) {
		err = errNoSession
	}
	return s, err
}

// SignOut ends the session of a secret. One that is over already is no error.
func (r *Registry) SignOut(ctx context.Context, trace, secret string) error {
	_, err := commitDraft(ctx, r, r.own(trace), true, func(tx Tx) (struct{}, Draft, error) {
		s, err := tx.Session(hashSecret(secret))
		if errors.Is(err, NotFound) {
			return struct{}{}, Draft{}, nil
		} else if err == nil {
			err = tx.DeleteSession(s.ID)
		}
		return struct{}{}, Draft{}, err
	})
	return err
}

// ListSessions lists the sessions of a human that are not over, for them and for an
// owner.
func (r *Registry) ListSessions(ctx context.Context, c Caller, principal string) (list []Session, err error) {
	err = r.Store.View(ctx, func(tx Tx) (err error) {
		if _, err = keeper(tx, c, Actor{ActorPrincipal, principal}); err == nil {
			list, err = tx.ListSessions(principal)
		}
		return err
	})
	now := r.now()
	list = slices.DeleteFunc(list, func(s Session) bool { return !now.Before(s.Expires) || now.Sub(s.Seen) >= SessionIdle })
	return list, err
}

// EndSessions ends one session of a human, or all where session is "". They may, and
// an owner. It returns how many there were.
func (r *Registry) EndSessions(ctx context.Context, call Call, principal, session string) (Outcome[int], error) {
	return commit(ctx, r, call, true, func(tx Tx) (int, *EventDraft, error) {
		if _, err := keeper(tx, call.Caller, Actor{ActorPrincipal, principal}); err != nil {
			return 0, nil, err
		}
		list, err := tx.ListSessions(principal)
		n := 0
		for _, s := range list {
			if session == "" || s.ID == session {
				n++
				err = errors.Join(err, tx.DeleteSession(s.ID))
			}
		}
		if err == nil && n == 0 && session != "" {
			err = Errorf(NotFound, "no such session")
		}
		return n, nil, err
	})
}

// sessionSealer seals what only a request with the session's secret needs: whoever
// has the database and all keys of the registry still cannot speak for the human.
func sessionSealer(secret string) *Sealer {
	return NewSealer(sha256.Sum256([]byte("writ session tokens " + secret)))
}

func sealTokens(secret, session string, t IssuerTokens) (string, error) {
	form, err := canon.Marshal(t)
	if err != nil {
		return "", fmt.Errorf("seal tokens: %w", err)
	}
	return sessionSealer(secret).Seal(form, session), nil
}

func openTokens(secret string, s Session) (t IssuerTokens, err error) {
	form, err := sessionSealer(secret).Open(s.Tokens, s.ID)
	if err == nil {
		err = json.Unmarshal(form, &t)
	}
	if err != nil {
		return t, fmt.Errorf("tokens of session %s: %w", s.ID, err)
	}
	return t, nil
}
