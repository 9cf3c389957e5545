package verify

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"

	"github.com/writ-registry/writ/internal/canon"
	"github.com/writ-registry/writ/internal/jose"
	"github.com/writ-registry/writ/registry/capability"
)

const byApprover = "signed by approver"

// approvalEvidence is what a permit keeps of those who approved it.
type approvalEvidence struct {
	Statement string `json:"statement"` // the bytes that they were shown
	Answers   []struct {
		Principal     string `json:"principal"`
		Authenticator string `json:"authenticator"`
		Signature     string `json:"signature"` // approval+jwt, or a WebAuthn assertion as JSON
	} `json:"answers"`
	Keys map[string]jose.JWK `json:"keys"` // by authenticator
}

// approvedStatement is what this package reads of a statement.
type approvedStatement struct {
	Registry string `json:"registry"` // origin
	Approval string `json:"approval"`
	Binding  struct {
		ActDigest string `json:"adg"`
		TokenHash string `json:"token_hash"`
		Audience  string `json:"audience"`
		Action    string `json:"action"`
	} `json:"binding"`
}

var errOtherKind = errors.New("signed by a key of a kind that only the registry verifies")

// approvals sorts the facts of the humans who approved: that they signed what they were
// shown is proven by their signatures, and that it was this act by the digests in it;
// that the keys are theirs, and that they might approve, is the registry's word.
func (v *verification) approvals(body decisionBody, open map[string]json.RawMessage) {
	if body.Approval == "" {
		return
	}
	const layer = "approvals"
	if open[disclosedApprovals] == nil {
		v.add(layer, Unverified, "", "what the humans signed is not disclosed")
		v.fact(fmt.Sprintf("approved by %v", body.Approvers), byRegistry, "")
		return
	}
	var e approvalEvidence
	var s approvedStatement
	err := canon.UnmarshalOpen(open[disclosedApprovals], &e)
	if err == nil {
		err = canon.UnmarshalOpen([]byte(e.Statement), &s)
	}
	if err == nil {
		err = s.covers(body, open)
	}
	var who []string
	for _, a := range e.Answers {
		who = append(who, a.Principal)
	}
	if err == nil && (len(who) == 0 || !slices.Equal(who, body.Approvers)) {
		err = errors.New("the answers are not those of the approvers that the event names")
	}
	if err != nil {
		v.add(layer, Failed, "", "%v", err)
		return
	}
	others := 0
	var signed []Fact
	for _, a := range e.Answers {
		key, err := e.verify(a.Authenticator, a.Signature, s)
		switch {
		case errors.Is(err, errOtherKind):
			others++
			continue
		case err != nil:
			v.add(layer, Failed, "", "the answer of %s: %v", a.Principal, err)
			return
		}
		signed = append(signed,
			Fact{fmt.Sprintf("whoever holds key %s approved this very act", key.Thumbprint()), byApprover, "statement " + canon.Digest([]byte(e.Statement))},
			Fact{fmt.Sprintf("key %s is that of %s, who might approve it", key.Thumbprint(), a.Principal), byRegistry, ""})
	}
	if others > 0 {
		v.add(layer, Unverified, "", "%d of %d answers are signed by keys of a kind that only the registry verifies", others, len(who))
	} else {
		v.add(layer, Verified, "the approvers' keys", "%d signed a statement of this very act", len(who))
	}
	v.report.Facts = append(v.report.Facts, signed...)
}

// covers holds the statement against the decision.
func (s approvedStatement) covers(body decisionBody, open map[string]json.RawMessage) error {
	b := s.Binding
	switch {
	case s.Approval != body.Approval:
		return errors.New("the statement is of another approval")
	case b.TokenHash != body.TokenHash || b.Audience != body.Audience || b.Action != body.Action:
		return errors.New("the statement is of another action, grant or resource server")
	}
	var raw string
	if open[disclosedProof] == nil {
		return nil // then what the agent asked for is not known either
	}
	if err := canon.Unmarshal(open[disclosedProof], &raw); err != nil {
		return err
	}
	proof, err := capability.ParseAction(raw)
	if err == nil && proof.Claims().ActDigest != b.ActDigest {
		err = errors.New("the statement is of another act than the agent signed")
	}
	return err
}

// verify returns the key that signed the statement.
func (e approvalEvidence) verify(authenticator, signature string, s approvedStatement) (jose.PublicKey, error) {
	jwk, ok := e.Keys[authenticator]
	if !ok {
		return jose.PublicKey{}, errOtherKind
	}
	key, err := jwk.PublicKey()
	if err != nil {
		return key, err
	}
	if len(signature) > 0 && signature[0] == '{' {
		return key, verifyAssertion(jwk, signature, e.Statement, s.Registry)
	}
	answer, err := capability.ParseApproval(signature)
	if err != nil {
		return key, err
	}
	// Not answer.Verify: its window was for the moment of the answer.
	token, err := jose.Parse(signature, capability.TypApproval, capability.MaxToken)
	if err == nil {
		err = token.Verify(key)
	}
	c := answer.Claims()
	switch {
	case err != nil:
		return key, err
	case c.Statement != canon.Digest([]byte(e.Statement)) || c.Approval != s.Approval || c.Audience != s.Registry:
		return key, errors.New("another statement was signed")
	case c.Verdict != capability.Approve:
		return key, errors.New("what was signed is no approval")
	}
	return key, nil
}

// The flags of authenticator data (WebAuthn level 3, section 6.1).
const (
	userPresent  = 1 << 0
	userVerified = 1 << 2
)

// verifyAssertion verifies what a passkey signed (WebAuthn level 3, section 7.2, steps
// 11 to 21): the challenge is the SHA-256 of the statement.
func verifyAssertion(jwk jose.JWK, assertion, statement, origin string) error {
	var a struct {
		Response struct {
			ClientData string `json:"clientDataJSON"`
			Data       string `json:"authenticatorData"`
			Signature  string `json:"signature"`
		} `json:"response"`
	}
	if err := canon.UnmarshalOpen([]byte(assertion), &a); err != nil {
		return err
	}
	client, err1 := jose.DecodeBase64(a.Response.ClientData)
	data, err2 := jose.DecodeBase64(a.Response.Data)
	signature, err3 := jose.DecodeBase64(a.Response.Signature)
	if err := errors.Join(err1, err2, err3); err != nil {
		return err
	}
	var c struct {
		Type      string `json:"type"`
		Challenge string `json:"challenge"`
		Origin    string `json:"origin"`
	}
	if err := canon.UnmarshalOpen(client, &c); err != nil {
		return err
	}
	u, err := url.Parse(origin)
	if err != nil {
		return err
	}
	host, clientHash := sha256.Sum256([]byte(u.Hostname())), sha256.Sum256(client)
	switch {
	case c.Type != "webauthn.get" || c.Challenge != canon.Digest([]byte(statement)):
		return errors.New("the passkey signed another statement")
	case c.Origin != origin || len(data) < 37 || !bytes.Equal(data[:32], host[:]):
		return errors.New("the passkey signed for another site")
	case data[32]&userPresent == 0 || data[32]&userVerified == 0:
		return errors.New("the passkey did not verify its user")
	}
	signed := append(bytes.Clone(data), clientHash[:]...)
	if !verifyRaw(jwk, signed, signature) {
		return errors.New("not signed by the passkey")
	}
	return nil
}

// verifyRaw verifies as passkeys sign: ES256 in ASN.1 and with either s, unlike JWS.
func verifyRaw(jwk jose.JWK, message, signature []byte) bool {
	x, err := jose.DecodeBase64(jwk.X)
	if err != nil {
		return false
	}
	if jwk.Kty == "OKP" {
		return len(x) == ed25519.PublicKeySize && ed25519.Verify(x, message, signature)
	}
	y, err := jose.DecodeBase64(jwk.Y)
	if err != nil {
		return false
	}
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), slices.Concat([]byte{4}, x, y))
	digest := sha256.Sum256(message)
	return err == nil && ecdsa.VerifyASN1(key, digest[:], signature)
}
