package capability

import (
	"cmp"
	"errors"
	"time"

	"github.com/writ-registry/writ/internal/canon"
	"github.com/writ-registry/writ/internal/jose"
)

// The JWS typ of what humans sign with keys of their own.
const (
	TypApproval      = "approval+jwt"      // Approval
	TypAuthenticator = "authenticator+jwt" // Authenticator
)

// Verdicts of an Approval.
const (
	Approve = "approve"
	Refuse  = "deny"
)

// ApprovalClaims is the payload of an approver's answer. All members are required.
// Times are whole seconds since 1970 UTC.
type ApprovalClaims struct {
	Issuer    string `json:"iss"` // ThumbprintURI of the approver's key (RFC 9278)
	Audience  string `json:"aud"` // origin of the registry
	ID        string `json:"jti"` // 128 to 512 random bits, base64url: see NewJTI
	IssuedAt  int64  `json:"iat"`
	Expires   int64  `json:"exp"` // at most MaxLifetime after iat
	Approval  string `json:"approval"`
	Statement string `json:"statement"` // base64url SHA-256 of the bytes that the approver was shown
	Verdict   string `json:"verdict"`   // Approve | Refuse
}

func (c ApprovalClaims) check() error {
	err := cmp.Or(bounded(maxURI, "iss", c.Issuer, "aud", c.Audience), bounded(maxText, "approval", c.Approval),
		checkHash("statement", c.Statement), checkJTI(c.ID))
	if err == nil && c.Verdict != Approve && c.Verdict != Refuse {
		err = errors.New("verdict is neither approve nor deny")
	}
	return err
}

// Approval is a parsed answer. It proves nothing until Verify has succeeded.
type Approval struct {
	token  *jose.Token
	claims ApprovalClaims
}

// SignApproval signs an answer; iss is set to the thumbprint URI of the signer's key.
// Errors: *ProofError with Malformed or Lifetime, or the signer's own.
func SignApproval(s jose.Signer, c ApprovalClaims) (string, error) {
	c.Issuer = s.Public().ThumbprintURI()
	return sealFresh(s, TypApproval, "", c, c.IssuedAt, c.Expires)
}

// ParseApproval reads an answer of at most MaxToken bytes and checks its shape.
// Errors: *ProofError with Malformed.
func ParseApproval(raw string) (*Approval, error) {
	a := &Approval{}
	var err error
	if a.token, err = read(raw, TypApproval, &a.claims); err != nil {
		return nil, err
	}
	return a, nil
}

// Claims returns the claims.
func (a *Approval) Claims() ApprovalClaims { return a.claims }

// Hash returns base64url(SHA-256) of the whole token, its name in evidence.
func (a *Approval) Hash() string { return canon.Digest([]byte(a.token.Raw)) }

// ApprovalCheck is what the registry holds an answer against.
type ApprovalCheck struct {
	Key       jose.PublicKey // of the approver
	Now       time.Time
	Origin    string // the registry's own
	Approval  string // its id
	Statement string // base64url SHA-256 of the statement
	Verdict   string // what is said beside the signature
}

// Verify holds the answer against check: window, signature, aud and iss, statement and
// verdict, in this order; the first that fails is the error. Errors: *ProofError.
func (a *Approval) Verify(check ApprovalCheck) error {
	c := a.claims
	if err := checkWindow(c.IssuedAt, c.Expires, check.Now); err != nil {
		return err
	}
	if err := a.token.Verify(check.Key); err != nil {
		return refuse(BadSignature, err.Error())
	}
	switch {
	case c.Audience != check.Origin:
		return refuse(WrongAudience, "aud is not this registry")
	case c.Issuer != check.Key.ThumbprintURI():
		return refuse(WrongSubject, "iss is not the thumbprint of the key")
	case c.Approval != check.Approval || c.Statement != check.Statement:
		return refuse(WrongAct, "another statement was signed")
	case c.Verdict != check.Verdict:
		return refuse(WrongAct, "another verdict was signed")
	}
	return nil
}

// AuthenticatorClaims is the payload of the proof that a human holds a key that is to
// be theirs. All members are required. Times are whole seconds since 1970 UTC.
type AuthenticatorClaims struct {
	Issuer   string `json:"iss"` // ThumbprintURI of the key (RFC 9278)
	Audience string `json:"aud"` // origin of the registry
	Subject  string `json:"sub"` // id of the principal
	ID       string `json:"jti"` // 128 to 512 random bits, base64url: see NewJTI
	IssuedAt int64  `json:"iat"`
	Expires  int64  `json:"exp"` // at most MaxLifetime after iat
}

func (c AuthenticatorClaims) check() error {
	return cmp.Or(bounded(maxURI, "iss", c.Issuer, "aud", c.Audience), bounded(maxText, "sub", c.Subject), checkJTI(c.ID))
}

// Authenticator is a parsed proof. It proves nothing until Verify has succeeded.
type Authenticator struct {
	token  *jose.Token
	claims AuthenticatorClaims
}

// SignAuthenticator signs such a proof; iss is set to the thumbprint URI of the
// signer's key. Errors: *ProofError with Malformed or Lifetime, or the signer's own.
func SignAuthenticator(s jose.Signer, c AuthenticatorClaims) (string, error) {
	c.Issuer = s.Public().ThumbprintURI()
	return sealFresh(s, TypAuthenticator, "", c, c.IssuedAt, c.Expires)
}

// ParseAuthenticator reads such a proof of at most MaxToken bytes and checks its shape.
// Errors: *ProofError with Malformed.
func ParseAuthenticator(raw string) (*Authenticator, error) {
	a := &Authenticator{}
	var err error
	if a.token, err = read(raw, TypAuthenticator, &a.claims); err != nil {
		return nil, err
	}
	return a, nil
}

// Hash returns base64url(SHA-256) of the whole token, its name in evidence.
func (a *Authenticator) Hash() string { return canon.Digest([]byte(a.token.Raw)) }

// Verify holds the proof against the key, the registry's origin and the principal it
// is for: window, signature, aud, iss and sub, in this order. Errors: *ProofError.
func (a *Authenticator) Verify(key jose.PublicKey, origin, principal string, now time.Time) error {
	c := a.claims
	if err := checkWindow(c.IssuedAt, c.Expires, now); err != nil {
		return err
	}
	if err := a.token.Verify(key); err != nil {
		return refuse(BadSignature, err.Error())
	}
	switch {
	case c.Audience != origin:
		return refuse(WrongAudience, "aud is not this registry")
	case c.Issuer != key.ThumbprintURI():
		return refuse(WrongSubject, "iss is not the thumbprint of the key")
	case c.Subject != principal:
		return refuse(WrongSubject, "sub is not the principal")
	}
	return nil
}
