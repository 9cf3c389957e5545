package jose

import (
	"bytes"

	"filippo.io/edwards25519"
)

// checkEdwards accepts the canonical encoding (RFC 8032 section 5.1.3) of a point on
// the curve that has not small order: one that eight times is not the identity.
func checkEdwards(raw []byte) error {
	if len(raw) != 32 {
		return fail(CodeKey, "Ed25519 key is not 32 bytes")
	}
	p, err := new(edwards25519.Point).SetBytes(raw)
	switch {
	case err != nil:
		return fail(CodeKey, "Ed25519 key is not on the curve")
	case !bytes.Equal(p.Bytes(), raw): // SetBytes takes y and x of p and more
		return fail(CodeKey, "Ed25519 key is not canonically encoded")
	case new(edwards25519.Point).MultByCofactor(p).Equal(edwards25519.NewIdentityPoint()) == 1:
		return fail(CodeKey, "Ed25519 key has small order")
	}
	return nil
}
