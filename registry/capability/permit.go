package capability

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"github.com/writ-registry/writ/internal/jose"
)

// PermitLife is how long a permit counts, from iat to exp: with the propagation of a
// stop it bounds how long after a kill an act that was permitted before may still begin.
const PermitLife = 30 * time.Second

// maxPermitSkew is how far ahead of its verifier's clock a permit's iat may lie.
const maxPermitSkew = 5 * time.Second

// The ways to redeem a permit.
const (
	RedeemOffline = "offline" // at most once in the redemption store of the audience
	RedeemOnline  = "online"  // at the registry, which looks at what it rests on again
)

// PermitClaims is the payload of a permit: the decision point's statement that this
// agent may do this act at this resource server, once, now. All members are required.
// Times are whole seconds since 1970 UTC.
type PermitClaims struct {
	Issuer    string    `json:"iss"` // origin of the registry
	Audience  string    `json:"aud"` // id of the resource server: the aud of the action proof
	Subject   string    `json:"sub"` // DID of the agent, in the spelling of its proof
	Confirm   Confirmed `json:"cnf"`
	ActDigest string    `json:"adg"`    // Act.Digest of the act
	Epochs    string    `json:"epochs"` // digest of the authority epochs that it rests on
	Redeem    string    `json:"redeem"` // RedeemOffline | RedeemOnline
	ID        string    `json:"jti"`    // the id of the decision, which has one permit
	IssuedAt  int64     `json:"iat"`
	Expires   int64     `json:"exp"` // at most PermitLife after iat
}

// Confirmed is the RFC 7800 cnf claim with a thumbprint (RFC 9449 section 6.1).
type Confirmed struct {
	Thumbprint string `json:"jkt"` // of the key that signed the action proof
}

func (c PermitClaims) check() error {
	err := cmp.Or(
		bounded(maxURI, "iss", c.Issuer, "aud", c.Audience, "sub", c.Subject), bounded(maxText, "jti", c.ID),
		checkHash("cnf.jkt", c.Confirm.Thumbprint), checkHash("adg", c.ActDigest), checkHash("epochs", c.Epochs))
	switch {
	case err != nil:
	case c.Redeem != RedeemOffline && c.Redeem != RedeemOnline:
		err = errors.New("redeem is neither offline nor online")
	case c.IssuedAt < 0 || c.Expires <= c.IssuedAt || c.Expires-c.IssuedAt > int64(PermitLife/time.Second):
		err = errors.New("exp is not within 30 seconds after iat")
	}
	return err
}

// Permit is a parsed permit. It permits nothing until Verify has succeeded and it was
// redeemed.
type Permit struct {
	token  *jose.Token
	claims PermitClaims
}

// SignPermit signs a permit. kid is the DID URL of the key under the registry's DID.
// Errors: *ProofError with Malformed, or the signer's own.
func SignPermit(s jose.Signer, kid string, c PermitClaims) (string, error) {
	return seal(s, TypPermit, kid, c)
}

// ParsePermit reads a permit of at most MaxToken bytes and checks its shape. Errors:
// *ProofError with Malformed.
func ParsePermit(raw string) (*Permit, error) {
	p := &Permit{}
	var err error
	if p.token, err = read(raw, TypPermit, &p.claims); err != nil {
		return nil, err
	}
	return p, nil
}

// Claims returns the claims.
func (p *Permit) Claims() PermitClaims { return p.claims }

// KeyID returns the header's kid, a hint at the registry's key; it may be "".
func (p *Permit) KeyID() string { return p.token.Header.Kid }

// PermitCheck is what a verifier knows by itself and holds a permit against.
type PermitCheck struct {
	Key       jose.PublicKey // the registry's permit key
	Now       time.Time      // the verifier's clock
	Issuer    string         // the registry's origin
	Audiences []string       // resource server ids of the verifier

	// What is to be executed, by whom; the registry, which executes nothing, leaves
	// them empty.
	Subject    string // DID of the agent
	Thumbprint string // of the key in the agent's token
	ActDigest  string // Act.Digest of the act as it will be executed
}

// Verify holds the permit against check: window, signature, iss, aud, sub, cnf, adg, in
// this order; the first that fails is the error. That it was not used before is the
// caller's to see to. Errors: *ProofError.
func (p *Permit) Verify(check PermitCheck) error {
	c := p.claims
	switch {
	case time.Unix(c.IssuedAt, 0).Sub(check.Now) > maxPermitSkew:
		return refuse(Stale, "iat is in the future")
	case !check.Now.Before(time.Unix(c.Expires, 0)):
		return refuse(Stale, "exp has passed")
	}
	if err := p.token.Verify(check.Key); err != nil {
		return refuse(BadSignature, err.Error())
	}
	switch {
	case c.Issuer != check.Issuer:
		return refuse(WrongPDP, "iss is not the registry that was asked")
	case !slices.Contains(check.Audiences, c.Audience):
		return refuse(WrongAudience, "aud is no resource of this enforcement point")
	case check.Subject != "" && c.Subject != check.Subject:
		return refuse(WrongSubject, "sub is not the agent")
	case check.Thumbprint != "" && c.Confirm.Thumbprint != check.Thumbprint:
		return refuse(WrongToken, "cnf is not the key of the presented grant")
	case check.ActDigest != "" && c.ActDigest != check.ActDigest:
		return refuse(WrongAct, "adg is not the digest of this act")
	}
	return nil
}
