package oidc

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"io"
	"math/big"
	"net/http"
	"slices"

	"github.com/writ-registry/writ/internal/canon"
	"github.com/writ-registry/writ/internal/jose"
)

// Algorithms are those that an ID token may be signed with (RFC 7518 section 3.1,
// RFC 8037 section 3.1). none and shared secrets are not among them and never will be.
var Algorithms = []string{"RS256", "PS256", "ES256", "EdDSA"}

// maxKeys is how many keys of an issuer are looked at.
const maxKeys = 64

// keySet is the issuer's keys that we can use (RFC 7517 section 5).
type keySet []issuerKey

type issuerKey struct {
	kid    string
	algs   []string // of Algorithms
	public crypto.PublicKey
}

// find returns the keys that may have signed a token with this header. Without a kid
// only one may fit (OpenID Connect Core section 10.1).
func (s keySet) find(kid, alg string) []crypto.PublicKey {
	var fit []crypto.PublicKey
	for _, k := range s {
		if (kid == "" || k.kid == kid) && slices.Contains(k.algs, alg) {
			fit = append(fit, k.public)
		}
	}
	if kid == "" && len(fit) > 1 {
		return nil
	}
	return fit
}

// fetchKeys fetches the issuer's keys.
func (p *Provider) fetchKeys(ctx context.Context) (keySet, error) {
	md, _, err := p.metadata.get(ctx, 0)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, md.JWKSURI, http.NoBody)
	if err != nil {
		return nil, failed(CodeMetadata, "jwks_uri is no URL", err)
	}
	req.Header.Set("Accept", "application/json, application/jwk-set+json")
	resp, err := p.http.Do(req)
	if err != nil {
		return nil, failed(CodeUnavailable, "the issuer's keys cannot be had", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fail(CodeUnavailable, "the issuer answers "+resp.Status+" when asked for its keys")
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, failed(CodeUnavailable, "the issuer's keys cannot be read", err)
	}
	return parseKeys(body)
}

// parseKeys reads a JWK Set. A key that is of another kind or use, weak, or private
// is left out: the others still count (RFC 7517 section 5). Errors: *Error with
// CodeMetadata.
func parseKeys(body []byte) (keySet, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := canon.UnmarshalOpen(body, &set); err != nil {
		return nil, failed(CodeMetadata, "the issuer's keys are no JWK Set", err)
	}
	if len(set.Keys) > maxKeys {
		return nil, fail(CodeMetadata, "the issuer has too many keys")
	}
	var keys keySet
	for _, raw := range set.Keys {
		if k, ok := parseKey(raw); ok {
			keys = append(keys, k)
		}
	}
	return keys, nil
}

func parseKey(raw []byte) (issuerKey, bool) {
	var w struct {
		jose.JWK
		N      string          `json:"n"`
		E      string          `json:"e"`
		Kid    string          `json:"kid"`
		Use    string          `json:"use"`
		Alg    string          `json:"alg"`
		KeyOps []string        `json:"key_ops"`
		D      json.RawMessage `json:"d"` // private: whoever reads the set can sign
	}
	if err := canon.UnmarshalOpen(raw, &w); err != nil {
		return issuerKey{}, false
	}
	if w.D != nil || w.Use != "" && w.Use != "sig" || w.KeyOps != nil && !slices.Contains(w.KeyOps, "verify") {
		return issuerKey{}, false
	}
	k := issuerKey{kid: w.Kid}
	switch w.Kty {
	case "RSA":
		k.algs, k.public = []string{"RS256", "PS256"}, rsaKey(w.N, w.E)
	case "EC", "OKP":
		k.algs, k.public = curveKey(w.JWK)
	}
	if k.public == nil {
		return issuerKey{}, false
	}
	if w.Alg != "" {
		if !slices.Contains(k.algs, w.Alg) {
			return issuerKey{}, false
		}
		k.algs = []string{w.Alg}
	}
	return k, true
}

// rsaKey reads an RSA key of RFC 7518 section 6.3.1: 2048 bits at least (section
// 3.3), 8192 at most, so that nobody pays much for a signature. nil is no key.
func rsaKey(n, e string) crypto.PublicKey {
	nb, errN := jose.DecodeBase64(n)
	eb, errE := jose.DecodeBase64(e)
	if errN != nil || errE != nil || len(eb) > 4 {
		return nil
	}
	modulus, exponent := new(big.Int).SetBytes(nb), new(big.Int).SetBytes(eb).Int64()
	if bits := modulus.BitLen(); bits < 2048 || bits > 8192 || modulus.Bit(0) == 0 ||
		exponent < 3 || exponent > 1<<31-1 || exponent%2 == 0 {
		return nil
	}
	return &rsa.PublicKey{N: modulus, E: int(exponent)}
}

// curveKey reads a P-256 or Ed25519 key by the house's one rule. nil is no key.
func curveKey(j jose.JWK) ([]string, crypto.PublicKey) {
	checked, err := j.PublicKey()
	if err != nil {
		return nil, nil
	}
	x, errX := jose.DecodeBase64(j.X)
	y, errY := jose.DecodeBase64(j.Y)
	if errX != nil || errY != nil {
		return nil, nil
	}
	if checked.Alg() == jose.EdDSA {
		return []string{jose.EdDSA}, ed25519.PublicKey(x)
	}
	public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), slices.Concat([]byte{4}, x, y))
	if err != nil {
		return nil, nil
	}
	return []string{jose.ES256}, public
}
