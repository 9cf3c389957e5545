package capability

import (
	"cmp"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/writ-registry/writ/internal/canon"
	"github.com/writ-registry/writ/internal/jose"
)

// CompositionClaims is the payload of a composition statement: a builder or an
// attester vouches for parts of an agent. All members but sub are required. Times are
// whole seconds since 1970 UTC.
type CompositionClaims struct {
	Issuer   string `json:"iss"`           // ThumbprintURI of the voucher's key (RFC 9278)
	Audience string `json:"aud"`           // origin of the registry
	Subject  string `json:"sub,omitempty"` // DID of the agent; a build may know none
	ID       string `json:"jti"`           // 128 to 512 random bits, base64url: see NewJTI
	IssuedAt int64  `json:"iat"`
	Expires  int64  `json:"exp"`
	Parts    []Part `json:"parts"` // 1 to MaxParts
}

// Part names a part of an agent's composition.
type Part struct {
	Kind   string `json:"kind"` // model | runtime | tools | api
	Name   string `json:"name"`
	Digest string `json:"digest"` // SHA-256, 64 lower-case hex digits
}

// MaxParts bounds the parts of a statement.
const MaxParts = 64

func (c CompositionClaims) check() error {
	err := cmp.Or(bounded(maxURI, "iss", c.Issuer, "aud", c.Audience), checkJTI(c.ID))
	if err == nil && len(c.Subject) > maxURI {
		err = errors.New("sub is too long")
	}
	if err == nil && (len(c.Parts) == 0 || len(c.Parts) > MaxParts) {
		err = fmt.Errorf("parts are not 1 to %d", MaxParts)
	}
	for _, p := range c.Parts {
		if err != nil {
			break
		}
		err = bounded(maxText, "kind", p.Kind, "name", p.Name)
		if sum, bad := hex.DecodeString(p.Digest); err == nil && (bad != nil || len(sum) != 32 || p.Digest != strings.ToLower(p.Digest)) {
			err = errors.New("digest is not a SHA-256 in lower-case hex")
		}
	}
	return err
}

// Composition is a parsed composition statement. It proves nothing until Verify has
// succeeded.
type Composition struct {
	token  *jose.Token
	claims CompositionClaims
}

// SignComposition signs a composition statement; iss is set to the thumbprint URI of
// the signer's key. Errors: *ProofError with Malformed, or the signer's own.
func SignComposition(s jose.Signer, c CompositionClaims) (string, error) {
	c.Issuer = s.Public().ThumbprintURI()
	return seal(s, TypComposition, "", c)
}

// ParseComposition reads a composition statement of at most MaxToken bytes and checks
// its shape. Errors: *ProofError with Malformed.
func ParseComposition(raw string) (*Composition, error) {
	c := &Composition{}
	var err error
	if c.token, err = read(raw, TypComposition, &c.claims); err != nil {
		return nil, err
	}
	return c, nil
}

// Claims returns the claims.
func (c *Composition) Claims() CompositionClaims { return c.claims }

// Hash returns base64url(SHA-256) of the whole token, its name in evidence.
func (c *Composition) Hash() string { return canon.Digest([]byte(c.token.Raw)) }

// CompositionCheck is what the registry holds a composition statement against.
type CompositionCheck struct {
	Key     jose.PublicKey // of the voucher that iss names
	Now     time.Time
	Origin  string        // the registry's own
	Agent   string        // DID of the agent
	Bound   bool          // the statement must name the agent
	MaxLife time.Duration // from iat to exp
}

// Verify holds the statement against check: window, signature, aud, iss and sub, in
// this order; the first that fails is the error. Errors: *ProofError.
func (c *Composition) Verify(check CompositionCheck) error {
	s := c.claims
	switch {
	case s.IssuedAt < 0 || s.Expires <= s.IssuedAt || s.Expires-s.IssuedAt > int64(check.MaxLife/time.Second):
		return refuse(Lifetime, fmt.Sprintf("exp is not within %s after iat", check.MaxLife))
	case time.Unix(s.IssuedAt, 0).Sub(check.Now) > MaxSkew:
		return refuse(Stale, "iat is in the future")
	case !check.Now.Before(time.Unix(s.Expires, 0)):
		return refuse(Stale, "exp has passed")
	}
	if err := c.token.Verify(check.Key); err != nil {
		return refuse(BadSignature, err.Error())
	}
	switch {
	case s.Audience != check.Origin:
		return refuse(WrongAudience, "aud is not this registry")
	case s.Issuer != check.Key.ThumbprintURI():
		return refuse(WrongSubject, "iss is not the thumbprint of the key")
	case s.Subject != check.Agent && (check.Bound || s.Subject != ""):
		return refuse(WrongAct, "sub is not the agent")
	}
	return nil
}
