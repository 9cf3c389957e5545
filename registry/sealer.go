package registry

import (
	"crypto/aes"
	"crypto/cipher"
	"errors"

	"github.com/writ-registry/writ/internal/jose"
)

// Sealer keeps secrets that the database holds and must not show: AES-256-GCM with a
// random nonce (NIST SP 800-38D section 8.2.2), fewer than 2^32 messages a key.
type Sealer struct{ aead cipher.AEAD }

// NewSealer makes the Sealer of a key.
func NewSealer(key [32]byte) *Sealer {
	block, err := aes.NewCipher(key[:])
	if err == nil {
		var aead cipher.AEAD
		if aead, err = cipher.NewGCMWithRandomNonce(block); err == nil {
			return &Sealer{aead}
		}
	}
	panic(err) // 32 bytes are a key
}

// Seal returns plain in base64url, readable by Open with the same about only: what is
// sealed for one row is worth nothing in another.
func (s *Sealer) Seal(plain []byte, about string) string {
	return jose.EncodeBase64(s.aead.Seal(nil, nil, plain, []byte(about)))
}

var errSealed = errors.New("the sealed value is damaged, or was sealed by another key")

// Open returns what was sealed.
func (s *Sealer) Open(text, about string) ([]byte, error) {
	raw, err := jose.DecodeBase64(text)
	if err != nil {
		return nil, errSealed
	}
	plain, err := s.aead.Open(nil, nil, raw, []byte(about))
	if err != nil {
		return nil, errSealed
	}
	return plain, nil
}
