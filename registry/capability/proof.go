package capability

import (
	"cmp"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/writ-registry/writ/internal/canon"
	"github.com/writ-registry/writ/internal/jose"
)

// ActionClaims is the payload of an action proof: the agent's own statement that it
// does this act, now, under this grant. All members are required. Times are whole
// seconds since 1970 UTC.
type ActionClaims struct {
	Issuer    string `json:"iss"` // DID of the agent
	Audience  string `json:"aud"` // id of the resource server that will execute
	PDP       string `json:"pdp"` // origin of the registry that will decide
	TokenHash string `json:"ath"` // Grant.Hash of the grant
	ActDigest string `json:"adg"` // Act.Digest of the act
	ID        string `json:"jti"` // 128 to 512 random bits, base64url: see NewJTI
	IssuedAt  int64  `json:"iat"`
	Expires   int64  `json:"exp"` // at most MaxLifetime after iat
}

func (c ActionClaims) check() error {
	return cmp.Or(
		bounded(maxURI, "iss", c.Issuer, "aud", c.Audience, "pdp", c.PDP),
		checkHash("ath", c.TokenHash), checkHash("adg", c.ActDigest), checkJTI(c.ID))
}

// Action is a parsed action proof. It proves nothing until Verify has succeeded.
// It is safe for concurrent use.
type Action struct {
	token    *jose.Token
	claims   ActionClaims
	signedBy atomic.Pointer[string] // thumbprint of the key that the signature was verified with
}

// SignAction signs an action proof. kid, if not empty, is the DID URL of the key
// under iss. Errors: *ProofError with Malformed or Lifetime, or the signer's own.
func SignAction(s jose.Signer, kid string, c ActionClaims) (string, error) {
	return sealFresh(s, TypAction, kid, c, c.IssuedAt, c.Expires)
}

// ParseAction reads an action proof of at most MaxToken bytes and checks its shape.
// Errors: *ProofError with Malformed.
func ParseAction(raw string) (*Action, error) {
	a := &Action{}
	var err error
	if a.token, err = read(raw, TypAction, &a.claims); err != nil {
		return nil, err
	}
	if kid := a.token.Header.Kid; kid != "" && !strings.HasPrefix(kid, a.claims.Issuer+"#") {
		return nil, refuse(Malformed, "kid is no key of iss")
	}
	return a, nil
}

// Claims returns the claims.
func (a *Action) Claims() ActionClaims { return a.claims }

// KeyID returns the header's kid, a hint at the agent's key; it may be "".
func (a *Action) KeyID() string { return a.token.Header.Kid }

// Raw returns the whole token.
func (a *Action) Raw() string { return a.token.Raw }

// Hash returns base64url(SHA-256) of the whole token, the proof's name in evidence.
func (a *Action) Hash() string { return canon.Digest([]byte(a.token.Raw)) }

// ActionCheck is what a verifier knows by itself and holds an action proof against.
type ActionCheck struct {
	Key       jose.PublicKey // the agent's key: an active key of Subject and the cnf of the grant
	Now       time.Time      // the verifier's clock
	PDP       string         // the registry's origin
	Subject   string         // DID of the agent, in the spelling that it must sign
	TokenHash string         // Grant.Hash of the presented grant
	Act       Act            // the act as it will be decided or executed, never as claimed
	ActDigest string         // Act.Digest of Act, from who has computed it before; "" has Verify do it
	Audiences []string       // resource ids that the authenticated PEP guards
}

// Verify holds the proof against check: window, signature, pdp, aud, iss, ath, adg,
// in this order; the first that fails is the error. Replay is not checked: the
// caller consumes (key thumbprint, jti) in the decision's transaction. Errors:
// *ProofError.
func (a *Action) Verify(check ActionCheck) error {
	c := a.claims
	if err := checkWindow(c.IssuedAt, c.Expires, check.Now); err != nil {
		return err
	}
	if err := a.verifySignature(check.Key); err != nil {
		return refuse(BadSignature, err.Error())
	}
	switch {
	case c.PDP != check.PDP:
		return refuse(WrongPDP, "pdp is not this registry")
	case !slices.Contains(check.Audiences, c.Audience):
		return refuse(WrongAudience, "aud is no resource of this enforcement point")
	case c.Issuer != check.Subject:
		return refuse(WrongSubject, "iss is not the agent")
	case c.TokenHash != check.TokenHash:
		return refuse(WrongToken, "ath is not the hash of the presented token")
	}
	digest := check.ActDigest
	if digest == "" {
		var err error
		if digest, err = check.Act.Digest(); err != nil {
			return refuse(WrongAct, err.Error())
		}
	}
	if c.ActDigest != digest {
		return refuse(WrongAct, "adg is not the digest of this act")
	}
	return nil
}

// verifySignature verifies the signature, once for a key.
func (a *Action) verifySignature(key jose.PublicKey) error {
	thumbprint := key.Thumbprint()
	if by := a.signedBy.Load(); by != nil && *by == thumbprint {
		return nil
	}
	if err := a.token.Verify(key); err != nil {
		return err
	}
	a.signedBy.Store(&thumbprint)
	return nil
}

// RegistrationClaims is the payload of a registration proof: whoever holds the key
// asks that it be registered under this name in this organization. All members are
// required. Times are whole seconds since 1970 UTC.
type RegistrationClaims struct {
	Issuer   string `json:"iss"` // ThumbprintURI of the key (RFC 9278)
	Audience string `json:"aud"` // origin of the registry
	ID       string `json:"jti"` // 128 to 512 random bits, base64url: see NewJTI
	IssuedAt int64  `json:"iat"`
	Expires  int64  `json:"exp"` // at most MaxLifetime after iat
	Org      string `json:"org"`
	Name     string `json:"name"` // of the agent
}

func (c RegistrationClaims) check() error {
	return cmp.Or(
		bounded(maxURI, "iss", c.Issuer, "aud", c.Audience),
		bounded(maxText, "org", c.Org, "name", c.Name), checkJTI(c.ID))
}

// Registration is a parsed registration proof. It proves nothing until Verify has
// succeeded.
type Registration struct {
	token  *jose.Token
	claims RegistrationClaims
}

// SignRegistration signs a registration proof; iss is set to the thumbprint URI of
// the signer's key, and there is no kid, as the key has no DID yet. Errors:
// *ProofError with Malformed or Lifetime, or the signer's own.
func SignRegistration(s jose.Signer, c RegistrationClaims) (string, error) {
	c.Issuer = s.Public().ThumbprintURI()
	return sealFresh(s, TypRegistration, "", c, c.IssuedAt, c.Expires)
}

// ParseRegistration reads a registration proof of at most MaxToken bytes and checks
// its shape. Errors: *ProofError with Malformed.
func ParseRegistration(raw string) (*Registration, error) {
	r := &Registration{}
	var err error
	if r.token, err = read(raw, TypRegistration, &r.claims); err != nil {
		return nil, err
	}
	return r, nil
}

// Claims returns the claims.
func (r *Registration) Claims() RegistrationClaims { return r.claims }

// Raw returns the whole token.
func (r *Registration) Raw() string { return r.token.Raw }

// Hash returns base64url(SHA-256) of the whole token, the proof's name in evidence.
func (r *Registration) Hash() string { return canon.Digest([]byte(r.token.Raw)) }

// RegistrationCheck is what the registry holds a registration proof against.
type RegistrationCheck struct {
	Key    jose.PublicKey // the key to be registered, from the request
	Now    time.Time      // the registry's clock
	Origin string         // the registry's own origin
	Org    string         // the organization of the request
	Name   string         // the agent's name in the request
}

// Verify holds the proof against check: window, signature, aud, iss, org and name,
// in this order; the first that fails is the error. Replay is the caller's to
// check, as for Action.Verify. Errors: *ProofError; WrongAct if org or name is not
// what the request asks for.
func (r *Registration) Verify(check RegistrationCheck) error {
	c := r.claims
	if err := checkWindow(c.IssuedAt, c.Expires, check.Now); err != nil {
		return err
	}
	if err := r.token.Verify(check.Key); err != nil {
		return refuse(BadSignature, err.Error())
	}
	switch {
	case c.Audience != check.Origin:
		return refuse(WrongAudience, "aud is not this registry")
	case c.Issuer != check.Key.ThumbprintURI():
		return refuse(WrongSubject, "iss is not the thumbprint of the key")
	case c.Org != check.Org || c.Name != check.Name:
		return refuse(WrongAct, "org or name is not that of the request")
	}
	return nil
}
