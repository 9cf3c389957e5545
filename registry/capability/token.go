package capability

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/writ-registry/writ/internal/canon"
	"github.com/writ-registry/writ/internal/jose"
)

// The JWS typ of everything that is signed for authority (RFC 8725 section 3.11).
// A verifier names the one it accepts; no two kinds share one.
const (
	TypGrant        = "agent-cap+jwt"    // Grant
	TypAction       = "agent-action+jwt" // Action
	TypRegistration = "agent-pop+jwt"    // Registration
	TypComposition  = "composition+jwt"  // Composition
	TypPermit       = "permit+jwt"       // Permit
	TypOutcome      = "outcome+jwt"      // Outcome
)

// MaxToken is the longest token of any kind that is parsed, in bytes.
const MaxToken = 16 << 10

// The window of a proof.
const (
	MaxSkew     = 30 * time.Second // between iat and the verifier's clock, either way
	MaxLifetime = 60 * time.Second // from iat to exp
)

// Limits of claims, in bytes.
const (
	maxURI  = 2048 // DIDs, origins, resource ids, status list addresses
	maxText = 256  // names, organizations, workflows, token ids
)

// Code says what is wrong with a token. It is itself an error, so
// errors.Is(err, capability.Stale) works through any wrapping.
type Code string

// Error returns the code's text.
func (c Code) Error() string { return string(c) }

const (
	Malformed     Code = "malformed"      // not such a token: typ, header, JSON, a claim missing, unknown or out of range
	BadSignature  Code = "signature"      // not signed by the key, or alg does not fit it
	Stale         Code = "stale"          // iat more than MaxSkew from now, or exp has passed
	Lifetime      Code = "lifetime"       // iat negative, exp not after it, or more than MaxLifetime after it
	WrongPDP      Code = "wrong_pdp"      // pdp is another registry
	WrongAudience Code = "wrong_audience" // aud is none of the verifier's
	WrongSubject  Code = "wrong_subject"  // iss is not the agent, or not the key
	WrongToken    Code = "wrong_token"    // ath is not the hash of the presented grant
	WrongAct      Code = "wrong_act"      // what was signed is not what is asked for

	// Of chains (Chain): the invariant that a link breaks. Lifetime is one of them.
	Linkage             Code = "linkage"
	DelegationAuthority Code = "delegation_authority"
	Depth               Code = "depth"
	CapabilityWidened   Code = "capability_widened"
	Principal           Code = "principal"
	Identity            Code = "identity"
	Possession          Code = "possession"
)

// ProofError is every error about a proof, permit or outcome. Detail may be
// shown to the caller.
type ProofError struct {
	Code   Code
	Detail string
}

// Error returns "proof: code: detail".
func (e *ProofError) Error() string { return "proof: " + string(e.Code) + ": " + e.Detail }

// Unwrap returns the code, for errors.Is.
func (e *ProofError) Unwrap() error { return e.Code }

// GrantError is every error about a grant by itself: Malformed, BadSignature or
// Linkage. Detail may be shown to the caller.
type GrantError struct {
	Code   Code
	Detail string
}

// Error returns "grant: code: detail".
func (e *GrantError) Error() string { return "grant: " + string(e.Code) + ": " + e.Detail }

// Unwrap returns the code, for errors.Is.
func (e *GrantError) Unwrap() error { return e.Code }

func refuse(code Code, detail string) error { return &ProofError{code, detail} }

// NewJTI returns 128 random bits in base64url, 22 characters.
func NewJTI() string {
	var b [16]byte
	rand.Read(b[:]) // never fails: crypto/rand crashes the program instead
	return jose.EncodeBase64(b[:])
}

// checkJTI demands 128 to 512 bits of canonical base64url.
func checkJTI(jti string) error {
	if b, err := jose.DecodeBase64(jti); err != nil || len(b) < 16 || len(b) > 64 {
		return errors.New("jti is not base64url of 16 to 64 bytes")
	}
	return nil
}

// checkHash demands the base64url of a SHA-256.
func checkHash(name, hash string) error {
	if b, err := jose.DecodeBase64(hash); err != nil || len(b) != 32 {
		return fmt.Errorf("%s is not base64url of 32 bytes", name)
	}
	return nil
}

// bounded demands strings of 1 to limit bytes; pairs alternate name and value.
func bounded(limit int, pairs ...string) error {
	for i := 0; i < len(pairs); i += 2 {
		if n := len(pairs[i+1]); n == 0 || n > limit {
			return fmt.Errorf("%s has not 1 to %d bytes", pairs[i], limit)
		}
	}
	return nil
}

// checkWindow applies the window of a proof to its times, in seconds since 1970.
func checkWindow(iat, exp int64, now time.Time) error {
	if iat < 0 || exp <= iat || exp-iat > int64(MaxLifetime/time.Second) {
		return refuse(Lifetime, fmt.Sprintf("exp is not within %s after iat", MaxLifetime))
	}
	if skew := now.Sub(time.Unix(iat, 0)); skew > MaxSkew || skew < -MaxSkew {
		return refuse(Stale, fmt.Sprintf("iat is not within %s of now", MaxSkew))
	}
	if !now.Before(time.Unix(exp, 0)) {
		return refuse(Stale, "exp has passed")
	}
	return nil
}

// statement is the payload of something that is signed; check says what of its shape is
// wrong.
type statement interface{ check() error }

// seal checks the shape of a statement and signs it. Errors: *ProofError with
// Malformed, or the signer's own.
func seal(s jose.Signer, typ, kid string, c statement) (string, error) {
	if err := c.check(); err != nil {
		return "", refuse(Malformed, err.Error())
	}
	return jose.Sign(s, typ, kid, c)
}

// sealFresh is seal for a statement with a window. Errors: those of seal, or
// *ProofError with Lifetime.
func sealFresh(s jose.Signer, typ, kid string, c statement, iat, exp int64) (string, error) {
	if err := c.check(); err != nil {
		return "", refuse(Malformed, err.Error())
	}
	if err := checkWindow(iat, exp, time.Unix(iat, 0)); err != nil {
		return "", err
	}
	return jose.Sign(s, typ, kid, c)
}

// read parses a statement of one typ into c, a pointer to its payload, and checks its
// shape. Errors: *ProofError with Malformed.
func read(raw, typ string, c statement) (*jose.Token, error) {
	t, err := parse(raw, typ, c)
	if err == nil {
		err = c.check()
	}
	if err != nil {
		return nil, refuse(Malformed, err.Error())
	}
	return t, nil
}

// parse reads a token of one typ into claims, a pointer to its struct. The payload
// must be the JSON of that struct, in any order and spacing: nothing is missing that
// is not optional, and null stands for nothing.
func parse(raw, typ string, claims any) (*jose.Token, error) {
	t, err := jose.Parse(raw, typ, MaxToken)
	if err != nil {
		return nil, err
	}
	if err := t.Claims(claims); err != nil {
		return nil, err
	}
	want, err := canon.Marshal(claims)
	if err != nil {
		return nil, err
	}
	if bytes.Equal(t.Payload, want) {
		return t, nil // as our own signers spell it
	}
	got, err := canon.Canonical(t.Payload)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(got, want) {
		return nil, missing(got, want)
	}
	return t, nil
}

// missing says which required claim a payload lacks.
func missing(got, want []byte) error {
	var present, required map[string]json.RawMessage
	if err := errors.Join(canon.Unmarshal(got, &present), canon.Unmarshal(want, &required)); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(required)) {
		if !bytes.Equal(present[name], required[name]) {
			return fmt.Errorf("claim %s is missing, null or not in its one form", name)
		}
	}
	return errors.New("an optional claim is null or empty")
}
