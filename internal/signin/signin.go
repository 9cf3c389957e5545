// Package signin brings people from the issuer of their org to a session of the pages:
// it asks the issuer (package oidc) and hands its answers to the registry, which keeps
// principals and sessions. It asks again before roles that groups gave are five minutes
// old; while the issuer does not answer they lapse, and where it says that the grant is
// over the session ends.
//
// Sign-ins under way are kept in this process, each for the one browser that began it
// and for one answer. A restart forgets them: the person begins again.
package signin

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/writ-registry/writ/internal/canon"
	"github.com/writ-registry/writ/internal/oidc"
	"github.com/writ-registry/writ/registry"
)

// Config is what a RelyingParty needs.
type Config struct {
	Registry *registry.Registry
	// RedirectURL is where issuers send people back to, and ReturnURL where they send
	// them after signing out.
	RedirectURL, ReturnURL string
	HTTP                   *http.Client // asks issuers, whose addresses orgs choose: it refuses inner hosts
	Now                    func() time.Time
}

// RelyingParty signs people in by the issuers of their orgs. It is safe for concurrent
// use.
type RelyingParty struct {
	Config
	refreshing singleflight.Group // by session: a refresh token is spent once

	mu        sync.Mutex // guards all below
	providers map[string]provider
	flows     map[[32]byte]flow
	order     [][32]byte // of flows, oldest first; may name some that are gone
}

type provider struct {
	updated time.Time // the issuer's
	*oidc.Provider
}

// flow is a sign-in under way.
type flow struct {
	oidc.Flow
	issuer registry.Issuer
}

// maxFlows is how many sign-ins are under way at once; the oldest makes way.
const maxFlows = 10_000

// New makes a RelyingParty.
func New(c Config) *RelyingParty {
	if c.Now == nil {
		c.Now = time.Now
	}
	return &RelyingParty{Config: c, providers: map[string]provider{}, flows: map[[32]byte]flow{}}
}

// Check is registry.Config's CheckIssuer: it refuses settings that can never work, and,
// where it may ask, an issuer that is not there or not usable.
func Check(redirectURL string, client *http.Client) func(context.Context, registry.Issuer, bool) error {
	return func(ctx context.Context, i registry.Issuer, ask bool) error {
		p, err := oidc.New(oidc.Config{Issuer: i.URL, ClientID: i.ClientID, RedirectURL: redirectURL, HTTPClient: client})
		if err == nil && ask {
			err = p.Check(ctx)
		}
		var e *oidc.Error
		if errors.As(err, &e) {
			return &registry.Error{Kind: registry.Malformed, Code: "issuer_" + string(e.Code), Field: "/issuer", Detail: e.Detail, Err: err}
		}
		return err
	}
}

// Begin starts a sign-in for an org, by name, at one of its issuers ("" = its only or
// first one). It returns where to send the browser, and a secret for that browser
// alone. NotFound: the org has no such issuer, or there is no such org.
func (rp *RelyingParty) Begin(ctx context.Context, org, issuer string) (redirect, secret string, err error) {
	list, err := rp.Registry.IssuersOf(ctx, org)
	if err != nil {
		return "", "", err
	}
	i := slices.IndexFunc(list, func(i registry.Issuer) bool { return issuer == "" || i.ID == issuer })
	if i < 0 {
		return "", "", registry.Errorf(registry.NotFound, "this organization signs nobody in here")
	}
	p, err := rp.provider(list[i])
	if err != nil {
		return "", "", err
	}
	redirect, f, err := p.Begin(ctx)
	if err != nil {
		return "", "", refused(err)
	}
	secret = canon.Nonce(32)
	rp.keep(secret, flow{f, list[i]})
	return redirect, secret, nil
}

func (rp *RelyingParty) keep(secret string, f flow) {
	rp.mu.Lock()
	defer rp.mu.Unlock()
	for len(rp.order) >= maxFlows {
		delete(rp.flows, rp.order[0])
		rp.order = rp.order[1:]
	}
	key := sha256.Sum256([]byte(secret))
	rp.flows[key], rp.order = f, append(rp.order, key)
}

// take returns the flow of a secret, once.
func (rp *RelyingParty) take(secret string) (flow, bool) {
	rp.mu.Lock()
	defer rp.mu.Unlock()
	key := sha256.Sum256([]byte(secret))
	f, ok := rp.flows[key]
	delete(rp.flows, key)
	return f, ok
}

// Finish ends the sign-in that secret began with the query the browser came back
// with, and returns the secret of a new session. Whatever comes out, the sign-in is
// over.
func (rp *RelyingParty) Finish(ctx context.Context, trace, secret string, answer url.Values) (session string, err error) {
	f, ok := rp.take(secret)
	if !ok {
		return "", &registry.Error{Kind: registry.Unauthenticated, Code: "flow", Detail: "no sign-in is under way in this browser; begin again"}
	}
	p, err := rp.provider(f.issuer)
	if err != nil {
		return "", err
	}
	id, err := p.Finish(ctx, f.Flow, answer)
	if err != nil {
		return "", refused(err)
	}
	out, err := rp.Registry.SignIn(ctx, trace, identified(f.issuer, id))
	return out.Secret, err
}

func identified(i registry.Issuer, id oidc.Identity) registry.Identified {
	return registry.Identified{
		Issuer: i, Subject: id.Subject, Name: id.Name, Roles: oidc.MapGroups(id.Groups, i.Mapping),
		Tokens: registry.IssuerTokens{Refresh: id.RefreshToken, ID: id.IDToken},
	}
}

// Visit is registry.Visit that asks the issuer first where that is due.
func (rp *RelyingParty) Visit(ctx context.Context, trace, session string) (registry.Visit, error) {
	v, err := rp.Registry.Visit(ctx, session)
	if err == nil && v.Due {
		// A visitor who leaves does not spend the token for nothing.
		asking := context.WithoutCancel(ctx)
		_, err, _ = rp.refreshing.Do(v.Session.ID, func() (any, error) { return nil, rp.refresh(asking, trace, session) })
		if err == nil {
			v, err = rp.Registry.Visit(ctx, session)
		}
	}
	if err != nil {
		return registry.Visit{}, err
	}
	return v, rp.Registry.Touch(ctx, trace, session, v, false)
}

// refresh asks the issuer about the person of a session. Where it does not answer, or
// not usably, the session goes on without what groups give.
func (rp *RelyingParty) refresh(ctx context.Context, trace, session string) error {
	v, err := rp.Registry.Visit(ctx, session)
	if err != nil || !v.Due {
		return err
	}
	p, err := rp.provider(v.Issuer)
	var id oidc.Identity
	if err == nil {
		id, err = p.Refresh(ctx, v.Tokens.Refresh, v.Principal.Subject)
	}
	switch {
	case errors.Is(err, oidc.CodeGrant), errors.Is(err, oidc.CodeSubject):
		return rp.Registry.SignOut(ctx, trace, session)
	case err != nil:
		return rp.Registry.Touch(ctx, trace, session, v, true)
	}
	if id.RefreshToken == "" { // RFC 6749 section 6: the old one stays good
		id.RefreshToken = v.Tokens.Refresh
	}
	return rp.Registry.Confirm(ctx, trace, session, identified(v.Issuer, id))
}

// Leave ends a session, and returns where to end the one at the issuer, too; "" where
// that is not known.
func (rp *RelyingParty) Leave(ctx context.Context, trace, session string) (logout string, err error) {
	v, visit := rp.Registry.Visit(ctx, session)
	if err := rp.Registry.SignOut(ctx, trace, session); err != nil {
		return "", err
	}
	if visit == nil {
		if p, err := rp.provider(v.Issuer); err == nil {
			logout, _ = p.LogoutURL(ctx, v.Tokens.ID, rp.ReturnURL) // an issuer that is not there keeps nobody here
		}
	}
	return logout, nil
}

// provider is the client of an issuer with its settings of now.
func (rp *RelyingParty) provider(i registry.Issuer) (*oidc.Provider, error) {
	rp.mu.Lock()
	defer rp.mu.Unlock()
	if p, ok := rp.providers[i.ID]; ok && p.updated.Equal(i.Updated) {
		return p.Provider, nil
	}
	secret, err := rp.Registry.ClientSecret(i)
	if err != nil {
		return nil, err
	}
	p, err := oidc.New(oidc.Config{
		Issuer: i.URL, ClientID: i.ClientID, ClientSecret: secret, RedirectURL: rp.RedirectURL, Scopes: i.Scopes, Prompt: i.Prompt,
		GroupsClaim: i.GroupsClaim, HTTPClient: rp.HTTP, Now: rp.Now,
	})
	if err != nil {
		return nil, refused(err)
	}
	rp.providers[i.ID] = provider{i.Updated, p}
	return p, nil
}

// kinds says what a refusal is to the person who signs in: what is not here is that
// the sign-in does not count.
var kinds = map[oidc.Code]registry.Kind{
	oidc.CodeConfig:      registry.Unavailable, // the org has to mend something
	oidc.CodeMetadata:    registry.Unavailable,
	oidc.CodeClient:      registry.Unavailable,
	oidc.CodeUnavailable: registry.Unavailable,
	oidc.CodeGroups:      registry.Denied,
	oidc.CodeSize:        registry.Denied,
}

func refused(err error) error {
	var e *oidc.Error
	if !errors.As(err, &e) {
		return err
	}
	kind, ok := kinds[e.Code]
	if !ok {
		kind = registry.Unauthenticated
	}
	return &registry.Error{Kind: kind, Code: "oidc_" + string(e.Code), Detail: "The sign-in did not succeed: " + e.Detail + ".", Err: err}
}
