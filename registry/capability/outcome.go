package capability

import (
	"cmp"
	"errors"
	"slices"

	"github.com/writ-registry/writ/internal/canon"
	"github.com/writ-registry/writ/internal/jose"
)

// What became of a permitted act, as the resource that was to do it says.
const (
	Executed    = "executed"
	Failed      = "failed"       // it was tried; what it left behind is not known
	NotExecuted = "not_executed" // nothing was done
	Compensated = "compensated"  // it was executed, and has been undone by another act
)

// Outcomes lists them.
var Outcomes = []string{Executed, Failed, NotExecuted, Compensated}

// OutcomeClaims is the payload of an outcome: the resource's own statement of what it
// did with a permit. All members but result are required.
type OutcomeClaims struct {
	Issuer   string `json:"iss"` // ThumbprintURI of the enforcement point's key (RFC 9278)
	Audience string `json:"aud"` // origin of the registry
	Permit   string `json:"permit"`
	Outcome  string `json:"outcome"`          // one of Outcomes
	Result   string `json:"result,omitempty"` // base64url SHA-256 of what was answered
	IssuedAt int64  `json:"iat"`              // seconds since 1970 UTC
}

func (c OutcomeClaims) check() error {
	err := cmp.Or(bounded(maxURI, "iss", c.Issuer, "aud", c.Audience), bounded(maxText, "permit", c.Permit))
	switch {
	case err != nil:
	case !slices.Contains(Outcomes, c.Outcome):
		err = errors.New("outcome is none of executed, failed, not_executed, compensated")
	case c.Result != "":
		err = checkHash("result", c.Result)
	case c.IssuedAt < 0:
		err = errors.New("iat is negative")
	}
	return err
}

// Outcome is a parsed outcome. It proves nothing until Verify has succeeded.
type Outcome struct {
	token  *jose.Token
	claims OutcomeClaims
}

// SignOutcome signs an outcome; iss is set to the thumbprint URI of the signer's key.
// Errors: *ProofError with Malformed, or the signer's own.
func SignOutcome(s jose.Signer, c OutcomeClaims) (string, error) {
	c.Issuer = s.Public().ThumbprintURI()
	return seal(s, TypOutcome, "", c)
}

// ParseOutcome reads an outcome of at most MaxToken bytes and checks its shape. Errors:
// *ProofError with Malformed.
func ParseOutcome(raw string) (*Outcome, error) {
	o := &Outcome{}
	var err error
	if o.token, err = read(raw, TypOutcome, &o.claims); err != nil {
		return nil, err
	}
	return o, nil
}

// Claims returns the claims.
func (o *Outcome) Claims() OutcomeClaims { return o.claims }

// Raw returns the whole token.
func (o *Outcome) Raw() string { return o.token.Raw }

// Hash returns base64url(SHA-256) of the whole token, its name in evidence.
func (o *Outcome) Hash() string { return canon.Digest([]byte(o.token.Raw)) }

// Verify holds the outcome against the key of the enforcement point, the registry's
// origin and the permit it is reported for. Errors: *ProofError.
func (o *Outcome) Verify(key jose.PublicKey, origin, permit string) error {
	if err := o.token.Verify(key); err != nil {
		return refuse(BadSignature, err.Error())
	}
	switch {
	case o.claims.Audience != origin:
		return refuse(WrongAudience, "aud is not this registry")
	case o.claims.Issuer != key.ThumbprintURI():
		return refuse(WrongSubject, "iss is not the thumbprint of the key")
	case o.claims.Permit != permit:
		return refuse(WrongAct, "the outcome is of another permit")
	}
	return nil
}
