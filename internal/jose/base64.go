package jose

import (
	"encoding/base64"
	"strings"
)

var strictBase64 = base64.RawURLEncoding.Strict()

// EncodeBase64 returns b as unpadded base64url (RFC 7515 section 2).
func EncodeBase64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// DecodeBase64 decodes unpadded base64url and accepts only the one spelling that
// EncodeBase64 gives: no padding, no white space, zero trailing bits. The error is
// a *Error with CodeMalformed.
func DecodeBase64(s string) ([]byte, error) {
	// The standard decoder skips line breaks even in strict mode.
	if strings.IndexByte(s, '\r') >= 0 || strings.IndexByte(s, '\n') >= 0 {
		return nil, fail(CodeMalformed, "base64url holds a line break")
	}
	b, err := strictBase64.DecodeString(s)
	if err != nil {
		return nil, fail(CodeMalformed, "not canonical unpadded base64url")
	}
	return b, nil
}
