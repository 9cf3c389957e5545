// Package passkey verifies what browsers answer for passkeys (W3C Web Authentication,
// level 3), with github.com/go-webauthn/webauthn. It keeps nothing: challenges come from
// the caller, and credentials go back to it as records.
//
// The user is always verified by the authenticator, the origin is the registry's alone,
// and nothing of a frame of another site is accepted. Attestation is not asked for: who
// a passkey belongs to is confirmed by another human.
package passkey

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/writ-registry/writ/internal/jose"
)

// RelyingParty is registry.Passkeys for one origin. It is safe for concurrent use.
type RelyingParty struct{ party *webauthn.WebAuthn }

// Algorithms are those that are asked for, by their COSE numbers: ES256, EdDSA, RS256
// (which is all that some Windows machines have).
var Algorithms = []int{int(webauthncose.AlgES256), int(webauthncose.AlgEdDSA), int(webauthncose.AlgRS256)}

// New makes the relying party of an origin, whose host is its id (section 5.1.2).
func New(origin string) (*RelyingParty, error) {
	u, err := url.Parse(origin)
	if err != nil {
		return nil, fmt.Errorf("passkeys of %s: %w", origin, err)
	}
	party, err := webauthn.New(&webauthn.Config{RPID: u.Hostname(), RPDisplayName: "Writ", RPOrigins: []string{origin}})
	if err != nil {
		return nil, fmt.Errorf("passkeys of %s: %w", origin, err)
	}
	return &RelyingParty{party}, nil
}

// user is whose credentials there are.
type user struct {
	handle      string
	credentials []webauthn.Credential
}

func (u user) WebAuthnID() []byte                         { return []byte(u.handle) }
func (u user) WebAuthnName() string                       { return u.handle }
func (u user) WebAuthnDisplayName() string                { return u.handle }
func (u user) WebAuthnCredentials() []webauthn.Credential { return u.credentials }

func session(challenge []byte, handle string) webauthn.SessionData {
	s := webauthn.SessionData{
		Challenge: base64.RawURLEncoding.EncodeToString(challenge), UserID: []byte(handle), UserVerification: protocol.VerificationRequired,
	}
	for _, alg := range Algorithms {
		s.CredParams = append(s.CredParams, protocol.CredentialParameter{Type: protocol.PublicKeyCredentialType, Algorithm: webauthncose.COSEAlgorithmIdentifier(alg)})
	}
	return s
}

// Register implements registry.Passkeys.
func (p *RelyingParty) Register(challenge []byte, handle string, response json.RawMessage) (id string, key *jose.JWK, record json.RawMessage, err error) {
	answer, err := protocol.ParseCredentialCreationResponseBytes(response)
	if err != nil {
		return "", nil, nil, refused(err)
	}
	c, err := p.party.CreateCredential(user{handle: handle}, session(challenge, handle), answer)
	if err != nil {
		return "", nil, nil, refused(err)
	}
	c.Attestation = webauthn.CredentialAttestation{} // nothing reads it again
	record, err = json.Marshal(c)
	return base64.RawURLEncoding.EncodeToString(c.ID), jwkOf(c.PublicKey), record, err
}

// jwkOf is a COSE key (RFC 9053 section 7) as a JWK; nil where it is none of ours.
func jwkOf(cose []byte) *jose.JWK {
	parsed, err := webauthncose.ParsePublicKey(cose)
	if err != nil {
		return nil
	}
	var jwk jose.JWK
	switch k := parsed.(type) {
	case webauthncose.EC2PublicKeyData:
		jwk = jose.JWK{Kty: "EC", Crv: "P-256", X: jose.EncodeBase64(k.XCoord), Y: jose.EncodeBase64(k.YCoord)}
	case webauthncose.OKPPublicKeyData:
		jwk = jose.JWK{Kty: "OKP", Crv: "Ed25519", X: jose.EncodeBase64(k.XCoord)}
	}
	if _, err := jwk.PublicKey(); err != nil {
		return nil
	}
	return &jwk
}

// Verify implements registry.Passkeys.
func (p *RelyingParty) Verify(challenge []byte, handle string, record, response json.RawMessage) (after json.RawMessage, err error) {
	var c webauthn.Credential
	if err := json.Unmarshal(record, &c); err != nil {
		return nil, fmt.Errorf("the record of the passkey: %w", err)
	}
	answer, err := protocol.ParseCredentialRequestResponseBytes(response)
	if err != nil {
		return nil, refused(err)
	}
	if !bytes.Equal(answer.RawID, c.ID) {
		return nil, errors.New("another passkey answered")
	}
	used, err := p.party.ValidateLogin(user{handle, []webauthn.Credential{c}}, session(challenge, handle), answer)
	if err != nil {
		return nil, refused(err)
	}
	if used.Authenticator.CloneWarning {
		return nil, errors.New("the passkey's counter fell: there may be a copy of it")
	}
	return json.Marshal(used)
}

// refused keeps what a person can act on.
func refused(err error) error {
	var e *protocol.Error
	if errors.As(err, &e) {
		return fmt.Errorf("the passkey's answer does not stand: %s", e.Details)
	}
	return err
}
