package httpsig

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
)

// ContentDigest returns the value of the field Content-Digest of a body (RFC 9530
// section 2) under SHA-256.
func ContentDigest(body []byte) string {
	sum := sha256.Sum256(body)
	return dictionary(member{"sha-256", node{value: sum[:]}})
}

// CheckDigest holds a body against the value of its Content-Digest. Every digest
// under SHA-256 or SHA-512 must be that of the body, and one of them must be there;
// other algorithms are passed over (RFC 9530 sections 2 and 5). Errors: *Error with
// Malformed or WrongDigest.
func CheckDigest(field string, body []byte) error {
	members, err := parseDictionary(field)
	if err != nil {
		return err
	}
	known := false
	for _, m := range members {
		claimed, ok := m.value.([]byte)
		if !ok {
			return refuse(Malformed, "Content-Digest: %s is no byte sequence", m.key)
		}
		var sum []byte
		switch m.key {
		case "sha-256":
			s := sha256.Sum256(body)
			sum = s[:]
		case "sha-512":
			s := sha512.Sum512(body)
			sum = s[:]
		default:
			continue
		}
		if known = true; !bytes.Equal(claimed, sum) {
			return refuse(WrongDigest, "%s is not that of the content", m.key)
		}
	}
	if !known {
		return refuse(WrongDigest, "Content-Digest has neither sha-256 nor sha-512")
	}
	return nil
}
