package oidc

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	gooidc "github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/writ-registry/writ/internal/canon"
	"github.com/writ-registry/writ/internal/jose"
)

const (
	// MaxGroups is how many groups a person may be in. More are refused, not cut:
	// which ones would be left is chance.
	MaxGroups = 256
	// MaxGroupSize and MaxNameSize are bytes.
	MaxGroupSize = 256
	MaxNameSize  = 256
	// maxSubjectSize is of Core section 2.
	maxSubjectSize = 255
	// freshness is how old a new ID token may be. Its groups are as old, and Entra ID
	// dates its tokens back by five minutes.
	freshness = 10 * time.Minute
)

// header is the part of an ID token's header that we look at.
type header struct {
	Alg string `json:"alg"`
	Kid string `json:"kid"`
	Typ string `json:"typ"`
	// A key never comes out of the token, and no extension is understood.
	JWK  json.RawMessage `json:"jwk"`
	JKU  json.RawMessage `json:"jku"`
	X5C  json.RawMessage `json:"x5c"`
	X5U  json.RawMessage `json:"x5u"`
	Crit json.RawMessage `json:"crit"`
}

// claims are those of an ID token that we look at (Core sections 2, 5.1 and 5.6.2).
type claims struct {
	Iss        string                     `json:"iss"`
	Sub        string                     `json:"sub"`
	Aud        json.RawMessage            `json:"aud"`
	Azp        *string                    `json:"azp"`
	Exp        float64                    `json:"exp"`
	Iat        float64                    `json:"iat"`
	Nbf        float64                    `json:"nbf"`
	AuthTime   float64                    `json:"auth_time"`
	Nonce      string                     `json:"nonce"`
	AtHash     *string                    `json:"at_hash"`
	Name       string                     `json:"name"`
	ClaimNames map[string]json.RawMessage `json:"_claim_names"`
}

// identify returns who the ID token in a token response is about, and its nonce.
func (p *Provider) identify(ctx context.Context, token *oauth2.Token) (Identity, string, error) {
	none := func(err error) (Identity, string, error) { return Identity{}, "", err }
	raw, _ := token.Extra("id_token").(string)
	if raw == "" || !strings.EqualFold(token.TokenType, "Bearer") {
		return none(fail(CodeResponse, "the token response holds no ID token, or no bearer token"))
	}
	if len(token.RefreshToken) > MaxTokenSize {
		return none(fail(CodeSize, "the refresh token is too long"))
	}
	signed, err := p.verify(ctx, raw)
	if err != nil {
		return none(err)
	}
	var payload json.RawMessage
	if err := signed.Claims(&payload); err != nil {
		return none(failed(CodeToken, "the ID token's payload is not JSON", err))
	}
	var c claims
	if err := canon.UnmarshalOpen(payload, &c); err != nil {
		return none(failed(CodeToken, "the ID token's payload is not strict JSON", err))
	}
	if err := p.checkClaims(&c); err != nil {
		return none(err)
	}
	if c.AtHash != nil {
		if err := signed.VerifyAccessToken(token.AccessToken); err != nil {
			return none(failed(CodeAccessToken, "the ID token came with another access token", err))
		}
	}
	groups, err := readGroups(payload, &c, p.config.GroupsClaim)
	if err != nil {
		return none(err)
	}
	id := Identity{
		Issuer: c.Iss, Subject: c.Sub, Name: c.Name, Groups: groups,
		IDTokenExpiry: unix(c.Exp), RefreshToken: token.RefreshToken, IDToken: raw,
	}
	if c.AuthTime > 0 {
		id.AuthTime = unix(c.AuthTime)
	}
	return id, c.Nonce, nil
}

// verify checks that the issuer signed raw. A token that no known key verifies sends
// us to the issuer once, for its keys of now, as far as the allowance goes.
func (p *Provider) verify(ctx context.Context, raw string) (*gooidc.IDToken, error) {
	h, err := readHeader(raw)
	if err != nil {
		return nil, err
	}
	keys, version, err := p.keys.get(ctx, 0)
	if err != nil {
		return nil, err
	}
	signed, refusal := p.verifyWith(ctx, raw, h, keys)
	if refusal == nil || errors.Is(refusal, CodeToken) {
		return signed, refusal
	}
	if keys, _, err = p.keys.get(ctx, version); err != nil {
		return nil, refusal // by what we know, which is not over yet
	}
	return p.verifyWith(ctx, raw, h, keys)
}

func (p *Provider) verifyWith(ctx context.Context, raw string, h header, keys keySet) (*gooidc.IDToken, error) {
	fit := keys.find(h.Kid, h.Alg)
	if fit == nil {
		return nil, fail(CodeKey, "no key of the issuer fits the ID token")
	}
	// Claims are checked afterwards, by name: see checkClaims.
	signatureOnly := &gooidc.Config{
		SupportedSigningAlgs: Algorithms,
		SkipClientIDCheck:    true, SkipExpiryCheck: true, SkipIssuerCheck: true,
	}
	signature := &signatureCheck{keys: gooidc.StaticKeySet{PublicKeys: fit}}
	signed, err := gooidc.NewVerifier(p.config.Issuer, signature, signatureOnly).Verify(ctx, raw)
	switch {
	case signature.err != nil:
		return nil, failed(CodeSignature, "the ID token is not signed by the issuer", signature.err)
	case err != nil:
		return nil, failed(CodeToken, "the ID token cannot be read", short(err))
	}
	return signed, nil
}

// signatureCheck remembers what became of the signature, which the verifier tells in
// one text with everything else.
type signatureCheck struct {
	keys gooidc.StaticKeySet
	err  error
}

// VerifySignature is that of gooidc.KeySet.
func (c *signatureCheck) VerifySignature(ctx context.Context, jwt string) (payload []byte, err error) {
	payload, c.err = c.keys.VerifySignature(ctx, jwt)
	return payload, c.err
}

// readHeader reads the header of a compact JWS (RFC 7515 section 3.1). Errors: *Error
// with CodeSize, CodeToken or CodeAlg.
func readHeader(raw string) (header, error) {
	var h header
	if len(raw) > MaxTokenSize {
		return h, fail(CodeSize, "the ID token is too long")
	}
	first, _, _ := strings.Cut(raw, ".")
	if strings.Count(raw, ".") != 2 {
		return h, fail(CodeToken, "the ID token has not three parts")
	}
	data, err := jose.DecodeBase64(first)
	if err != nil {
		return h, failed(CodeToken, "the ID token's header is not base64url", err)
	}
	if err := canon.UnmarshalOpen(data, &h); err != nil {
		return h, failed(CodeToken, "the ID token's header is not strict JSON", err)
	}
	if h.JWK != nil || h.JKU != nil || h.X5C != nil || h.X5U != nil || h.Crit != nil {
		return h, fail(CodeToken, "the ID token's header holds a key or an extension")
	}
	if h.Typ != "" && !strings.EqualFold(h.Typ, "JWT") { // RFC 7519 section 5.1; RFC 8725 section 3.11
		return h, fail(CodeToken, "the ID token's typ is not JWT")
	}
	if !slices.Contains(Algorithms, h.Alg) {
		return h, fail(CodeAlg, "the ID token's alg is not one of "+strings.Join(Algorithms, ", "))
	}
	return h, nil
}

// checkClaims is Core section 3.1.3.7 but for signature and nonce.
func (p *Provider) checkClaims(c *claims) error {
	if c.Iss != p.config.Issuer {
		return fail(CodeIssuer, "the ID token is from another issuer")
	}
	// Another audience beside us could present the token as its own.
	aud, ok := oneOrMany(c.Aud)
	if !ok || len(aud) != 1 || aud[0] != p.config.ClientID || c.Azp != nil && *c.Azp != p.config.ClientID {
		return fail(CodeAudience, "the ID token is not for us alone")
	}
	now := p.now()
	for _, seconds := range []float64{c.Exp, c.Iat, c.Nbf, c.AuthTime} {
		if seconds < 0 || seconds > maxSeconds {
			return fail(CodeToken, "a time of the ID token is out of range")
		}
	}
	if !now.Before(unix(c.Exp).Add(Skew)) {
		return fail(CodeExpired, "the ID token is over")
	}
	if iat := unix(c.Iat); iat.After(now.Add(Skew)) || iat.Before(now.Add(-freshness-Skew)) || unix(c.Nbf).After(now.Add(Skew)) {
		return fail(CodeIssuedAt, "the ID token was not issued just now")
	}
	if !isSubject(c.Sub) {
		return fail(CodeToken, "the ID token's sub is not 1 to 255 ASCII characters")
	}
	if len(c.Name) > MaxNameSize {
		return fail(CodeSize, "the name is too long")
	}
	return nil
}

func isSubject(s string) bool {
	return s != "" && len(s) <= maxSubjectSize && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' })
}

// readGroups returns the member of the payload that lists groups, sorted and without
// duplicates. No such member, or null, is no groups.
func readGroups(payload []byte, c *claims, claim string) ([]string, error) {
	if claim == "" {
		return nil, nil
	}
	// Entra ID does this to whoever is in more than 200 groups.
	if _, elsewhere := c.ClaimNames[claim]; elsewhere {
		return nil, fail(CodeGroups, "the issuer keeps the groups elsewhere (distributed claim): let it send those of this application only")
	}
	var members map[string]json.RawMessage
	if err := canon.UnmarshalOpen(payload, &members); err != nil {
		return nil, failed(CodeToken, "the ID token's payload is not strict JSON", err)
	}
	raw := members[claim]
	if raw == nil || string(raw) == "null" {
		return nil, nil
	}
	groups, ok := oneOrMany(raw)
	if !ok {
		return nil, fail(CodeGroups, "the groups are not a list of strings")
	}
	if len(groups) > MaxGroups {
		return nil, fail(CodeGroups, "the person is in too many groups")
	}
	for _, g := range groups {
		if g == "" || len(g) > MaxGroupSize {
			return nil, fail(CodeGroups, "the name of a group is empty or too long")
		}
	}
	slices.Sort(groups)
	return slices.Compact(groups), nil
}

// oneOrMany reads a string or a list of strings.
func oneOrMany(raw json.RawMessage) ([]string, bool) {
	var one *string
	if canon.UnmarshalOpen(raw, &one) == nil && one != nil {
		return []string{*one}, true
	}
	var many []*string
	if canon.UnmarshalOpen(raw, &many) != nil || many == nil {
		return nil, false
	}
	texts := make([]string, len(many))
	for i, s := range many {
		if s == nil {
			return nil, false
		}
		texts[i] = *s
	}
	return texts, true
}

// maxSeconds is some 30,000 years: times beyond it do not count up any more.
const maxSeconds = 1e12

// unix reads a NumericDate (RFC 7519 section 2), to the second.
func unix(seconds float64) time.Time { return time.Unix(int64(seconds), 0).UTC() }
