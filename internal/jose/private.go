package jose

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
)

// Signer signs bytes with one key. PrivateKey is one; a key in a KMS or an HSM is
// another. Sign returns a signature that Public().Verify accepts, which means 64
// bytes and, for ES256, low s. It may be called from several goroutines.
type Signer interface {
	Public() PublicKey
	Sign(msg []byte) ([]byte, error)
}

// PrivateKey is a key held in memory. It prints as the thumbprint of its public
// half, so that logging it by mistake gives nothing away.
type PrivateKey struct {
	key    crypto.Signer // ed25519.PrivateKey or *ecdsa.PrivateKey
	public PublicKey
}

var _ Signer = (*PrivateKey)(nil)

// GenerateEd25519 returns a new random Ed25519 key.
func GenerateEd25519() (*PrivateKey, error) {
	var seed [ed25519.SeedSize]byte
	rand.Read(seed[:]) // never fails: crypto/rand crashes the program instead
	return NewEd25519FromSeed(seed), nil
}

// NewEd25519FromSeed returns the Ed25519 key of a 32-byte seed, the "private key"
// of RFC 8032 section 5.1.5.
func NewEd25519FromSeed(seed [ed25519.SeedSize]byte) *PrivateKey {
	key := ed25519.NewKeyFromSeed(seed[:])
	return &PrivateKey{key: key, public: newKey(EdDSA, key.Public().(ed25519.PublicKey))}
}

// GenerateP256 returns a new random P-256 key.
func GenerateP256() (*PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	return newPrivate(key)
}

// Derive returns an Ed25519 key that follows from k, an Ed25519 key, and info
// (HKDF-SHA256, RFC 5869, over the seed). Who knows a derived key learns nothing
// of k or of others derived from it. Errors: *Error where k is of another kind.
func (k *PrivateKey) Derive(info string) (*PrivateKey, error) {
	key, ok := k.key.(ed25519.PrivateKey)
	if !ok {
		return nil, fail(CodeKey, "only an Ed25519 key derives others")
	}
	seed, err := hkdf.Key(sha256.New, key.Seed(), nil, info, ed25519.SeedSize)
	if err != nil {
		return nil, fail(CodeKey, err.Error())
	}
	return NewEd25519FromSeed([ed25519.SeedSize]byte(seed)), nil
}

// newPrivate wraps a standard-library key and derives its public half.
func newPrivate(key any) (*PrivateKey, error) {
	switch key := key.(type) {
	case ed25519.PrivateKey:
		return NewEd25519FromSeed([ed25519.SeedSize]byte(key.Seed())), nil
	case *ecdsa.PrivateKey:
		if key.Curve != elliptic.P256() {
			return nil, fail(CodeKey, "EC key is not on P-256")
		}
		point, err := key.PublicKey.Bytes()
		if err != nil {
			return nil, fail(CodeKey, "EC key is not on P-256")
		}
		public, err := newP256(point)
		if err != nil {
			return nil, err
		}
		return &PrivateKey{key: key, public: public}, nil
	}
	return nil, fail(CodeKey, "key is neither Ed25519 nor P-256")
}

// Public returns the public half of k.
func (k *PrivateKey) Public() PublicKey { return k.public }

// String returns the thumbprint of the public half.
func (k *PrivateKey) String() string { return "private key of " + k.public.Thumbprint() }

// GoString hides the private half from %#v.
func (k *PrivateKey) GoString() string { return k.String() }

// Sign returns the 64-byte signature of msg. Both algorithms are deterministic:
// Ed25519 by construction, ES256 by RFC 6979, with s made low.
func (k *PrivateKey) Sign(msg []byte) ([]byte, error) {
	if key, ok := k.key.(ed25519.PrivateKey); ok {
		return ed25519.Sign(key, msg), nil
	}
	digest := sha256.Sum256(msg)
	der, err := k.key.Sign(nil, digest[:], crypto.SHA256) // nil: RFC 6979
	if err != nil {
		return nil, err
	}
	var rs struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(der, &rs); err != nil {
		return nil, err
	}
	if rs.S.Cmp(p256HalfOrder) > 0 {
		rs.S.Sub(elliptic.P256().Params().N, rs.S)
	}
	sig := make([]byte, SignatureSize)
	rs.R.FillBytes(sig[:32])
	rs.S.FillBytes(sig[32:])
	return sig, nil
}

const pemType = "PRIVATE KEY" // RFC 7468 section 10

// MarshalPEM returns k as a PKCS #8 PEM block (RFC 5958, RFC 7468 section 10). The
// block is not encrypted: whoever writes it chooses mode 0600.
func (k *PrivateKey) MarshalPEM() ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(k.key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: der}), nil
}

// ParsePEM reads what MarshalPEM writes: one PKCS #8 block and nothing after it but
// white space. Errors: *Error with CodeMalformed or CodeKey.
func ParsePEM(data []byte) (*PrivateKey, error) {
	block, rest := pem.Decode(data)
	if block == nil || block.Type != pemType {
		return nil, fail(CodeMalformed, "no PEM block of type "+pemType)
	}
	for _, c := range rest {
		if c != '\n' && c != '\r' && c != ' ' && c != '\t' {
			return nil, fail(CodeMalformed, "data after the PEM block")
		}
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fail(CodeMalformed, "PEM block is not PKCS #8")
	}
	return newPrivate(key)
}
