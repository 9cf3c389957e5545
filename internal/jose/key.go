package jose

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/json"
	"math/big"

	"github.com/mr-tron/base58"

	"github.com/writ-registry/writ/internal/canon"
)

// The two signature algorithms (RFC 7518 section 3.1, RFC 8037 section 3.1).
const (
	EdDSA = "EdDSA" // Ed25519 only
	ES256 = "ES256" // ECDSA on P-256 with SHA-256
)

// SignatureSize is the length in bytes of a signature under either algorithm.
const SignatureSize = 64

// MaxKeySize is the longest JWK or Multikey text that is looked at, in bytes.
const MaxKeySize = 2048

// PublicKey is a checked Ed25519 or P-256 public key. It is a comparable value: ==
// and map keys work. The zero value is no key: Valid is false and Verify refuses.
type PublicKey struct {
	alg string
	// raw holds the 32 bytes of RFC 8032 section 5.1.5, or x || y of SEC 1.
	raw [64]byte
	// thumbprint follows from the two, so equal keys are still equal values.
	thumbprint string
}

// newKey makes the key of bytes that were checked.
func newKey(alg string, raw []byte) PublicKey {
	k := PublicKey{alg: alg}
	copy(k.raw[:], raw)
	k.thumbprint = canon.Digest(k.JWK().Canonical())
	return k
}

// JWK is a public key in JSON (RFC 7517; OKP of RFC 8037 section 2, EC of RFC 7518
// section 6.2). It holds exactly the members that the RFC 7638 thumbprint covers.
type JWK struct {
	Kty string `json:"kty"`
	Crv string `json:"crv"`
	X   string `json:"x"`
	Y   string `json:"y,omitempty"`
}

// wireJWK is what ParseJWK reads: a JWK, the harmless members around it, and the
// private member, listed only so that it gets an error of its own.
type wireJWK struct {
	Kty    string          `json:"kty"`
	Crv    string          `json:"crv"`
	X      string          `json:"x"`
	Y      string          `json:"y"`
	D      json.RawMessage `json:"d"`
	Kid    string          `json:"kid"`
	Use    string          `json:"use"`
	Alg    string          `json:"alg"`
	KeyOps []string        `json:"key_ops"`
}

// ParseJWK reads one public key from its JWK of at most MaxKeySize bytes. Members
// other than kty, crv, x, y, kid, use, alg and key_ops are refused, and so is a
// use, alg or key_ops that says the key does not verify signatures. Errors: *Error
// with CodeMalformed (not strict JSON, unknown members), CodeSize or CodeKey.
func ParseJWK(raw []byte) (PublicKey, error) {
	if len(raw) > MaxKeySize {
		return PublicKey{}, fail(CodeSize, "JWK is too long")
	}
	var w wireJWK
	if err := canon.Unmarshal(raw, &w); err != nil {
		return PublicKey{}, fail(CodeMalformed, "JWK: "+err.Error())
	}
	if w.D != nil {
		return PublicKey{}, fail(CodeKey, "JWK holds a private key")
	}
	k, err := JWK{Kty: w.Kty, Crv: w.Crv, X: w.X, Y: w.Y}.PublicKey()
	if err != nil {
		return PublicKey{}, err
	}
	if w.Use != "" && w.Use != "sig" {
		return PublicKey{}, fail(CodeKey, "JWK use is not sig")
	}
	if w.Alg != "" && w.Alg != k.Alg() {
		return PublicKey{}, fail(CodeKey, "JWK alg does not fit its curve")
	}
	for _, op := range w.KeyOps {
		if op != "verify" {
			return PublicKey{}, fail(CodeKey, "JWK key_ops holds more than verify")
		}
	}
	return k, nil
}

// PublicKey checks j and returns the key. Errors: *Error with CodeKey.
func (j JWK) PublicKey() (PublicKey, error) {
	x, err := coordinate("x", j.X)
	if err != nil {
		return PublicKey{}, err
	}
	switch {
	case j.Kty == "OKP" && j.Crv == "Ed25519" && j.Y == "":
		return NewEd25519(x)
	case j.Kty == "EC" && j.Crv == "P-256":
		y, err := coordinate("y", j.Y)
		if err != nil {
			return PublicKey{}, err
		}
		return newP256(append([]byte{4}, append(x, y...)...))
	}
	return PublicKey{}, fail(CodeKey, "JWK is neither OKP Ed25519 nor EC P-256")
}

func coordinate(name, text string) ([]byte, error) {
	b, err := DecodeBase64(text)
	if err != nil || len(b) != 32 {
		return nil, fail(CodeKey, "JWK "+name+" is not 32 bytes of base64url")
	}
	return b, nil
}

// NewEd25519 checks the 32 bytes of an Ed25519 public key (RFC 8032 section 5.1.5)
// and returns it. Errors: *Error with CodeKey if they are not the canonical
// encoding of a curve point of large order.
func NewEd25519(raw []byte) (PublicKey, error) {
	if err := checkEdwards(raw); err != nil {
		return PublicKey{}, err
	}
	return newKey(EdDSA, raw), nil
}

// newP256 takes the uncompressed point of SEC 1 section 2.3.3.
func newP256(point []byte) (PublicKey, error) {
	if _, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point); err != nil {
		return PublicKey{}, fail(CodeKey, "point is not on P-256")
	}
	return newKey(ES256, point[1:]), nil
}

// Valid reports whether k holds a key, that is, whether it is not the zero value.
func (k PublicKey) Valid() bool { return k.alg != "" }

// Alg returns the one JWS algorithm of k, "EdDSA" or "ES256", and "" for the zero
// value.
func (k PublicKey) Alg() string { return k.alg }

// JWK returns k with the members that RFC 7638 section 3.2 requires.
func (k PublicKey) JWK() JWK {
	if k.alg == EdDSA {
		return JWK{Kty: "OKP", Crv: "Ed25519", X: EncodeBase64(k.raw[:32])}
	}
	return JWK{Kty: "EC", Crv: "P-256", X: EncodeBase64(k.raw[:32]), Y: EncodeBase64(k.raw[32:])}
}

// Canonical returns the canonical JSON (RFC 8785) of j, which is also the hash
// input of RFC 7638 section 3: members in code point order, no white space.
func (j JWK) Canonical() []byte {
	// The values are base64url and registered names, so nothing needs escaping.
	s := `{"crv":"` + j.Crv + `","kty":"` + j.Kty + `","x":"` + j.X + `"`
	if j.Y != "" {
		s += `,"y":"` + j.Y + `"`
	}
	return []byte(s + "}")
}

// Thumbprint returns the RFC 7638 thumbprint of k: base64url of SHA-256, 43
// characters. That of the zero value is no key's, and not empty either.
func (k PublicKey) Thumbprint() string {
	if !k.Valid() {
		return canon.Digest(k.JWK().Canonical())
	}
	return k.thumbprint
}

// ThumbprintURI returns the thumbprint as a URI (RFC 9278 section 3).
func (k PublicKey) ThumbprintURI() string {
	return "urn:ietf:params:oauth:jwk-thumbprint:sha-256:" + k.Thumbprint()
}

// Multicodec prefixes of public keys, as unsigned varints: ed25519-pub 0xed and
// p256-pub 0x1200.
const (
	ed25519Prefix = "\xed\x01"
	p256Prefix    = "\x80\x24"
)

// Multikey returns k as a Multikey (W3C Controlled Identifiers 1.0 section 2.2.2):
// "z6Mk…" for Ed25519, "zDn…" for P-256. It is also the identifier of k's did:key.
func (k PublicKey) Multikey() string {
	if k.alg == EdDSA {
		return "z" + base58.Encode(append([]byte(ed25519Prefix), k.raw[:32]...))
	}
	// SEC 1 section 2.3.3: 2 or 3 for an even or odd y, then x.
	point := append([]byte(p256Prefix), 2|k.raw[63]&1)
	return "z" + base58.Encode(append(point, k.raw[:32]...))
}

// ParseMultikey reads what Multikey writes, and no other spelling of it. Errors:
// *Error with CodeKey or CodeSize.
func ParseMultikey(s string) (PublicKey, error) {
	if len(s) > 64 {
		return PublicKey{}, fail(CodeSize, "Multikey is too long")
	}
	if s == "" || s[0] != 'z' {
		return PublicKey{}, fail(CodeKey, "Multikey does not begin with z (base58btc)")
	}
	b, err := base58.Decode(s[1:])
	if err != nil {
		return PublicKey{}, fail(CodeKey, "Multikey is not base58btc")
	}
	switch {
	case len(b) == 34 && string(b[:2]) == ed25519Prefix:
		return NewEd25519(b[2:])
	case len(b) == 35 && string(b[:2]) == p256Prefix:
		x, y := elliptic.UnmarshalCompressed(elliptic.P256(), b[2:])
		if x == nil {
			return PublicKey{}, fail(CodeKey, "point is not on P-256")
		}
		point := make([]byte, 65)
		point[0] = 4
		x.FillBytes(point[1:33])
		y.FillBytes(point[33:])
		return newP256(point)
	}
	return PublicKey{}, fail(CodeKey, "Multikey is neither Ed25519 nor P-256")
}

// Verify checks sig over msg under k's own algorithm: RFC 8032 section 5.1.7 as
// crypto/ed25519 does it, or RFC 7518 section 3.4 (r || s) with low s required.
// Errors: *Error with CodeSignature, or CodeKey for the zero key.
func (k PublicKey) Verify(msg, sig []byte) error {
	ok := false
	switch {
	case !k.Valid():
		return fail(CodeKey, "no key")
	case len(sig) != SignatureSize:
		return fail(CodeSignature, "signature is not 64 bytes")
	case k.alg == EdDSA:
		ok = ed25519.Verify(k.raw[:32], msg, sig)
	default:
		r, s := new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:])
		if s.Cmp(p256HalfOrder) > 0 {
			return fail(CodeSignature, "ES256 signature has the high s")
		}
		pub, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), append([]byte{4}, k.raw[:]...))
		digest := sha256.Sum256(msg)
		ok = err == nil && ecdsa.Verify(pub, digest[:], r, s)
	}
	if !ok {
		return fail(CodeSignature, "signature does not verify")
	}
	return nil
}

// p256HalfOrder is the largest low s: half the group order, rounded down.
var p256HalfOrder = new(big.Int).Rsh(elliptic.P256().Params().N, 1)
