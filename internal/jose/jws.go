package jose

import (
	"bytes"
	"strings"

	"github.com/writ-registry/writ/internal/canon"
)

// Header is the protected header of a token (RFC 7515 section 4.1). It can hold
// nothing else.
type Header struct {
	Alg string `json:"alg"`
	// Kid is a hint for finding the key, a DID URL. It proves nothing.
	Kid string `json:"kid,omitempty"`
	Typ string `json:"typ"`
}

// Token is a parsed compact JWS. Parse checked its shape; until Verify has
// succeeded with a key that the caller trusts, Payload is the claim of a stranger.
type Token struct {
	Header       Header
	Payload      []byte // the decoded bytes as they were signed
	SigningInput string // RFC 7515 section 2: header "." payload, still encoded
	Signature    []byte // 64 bytes
	Raw          string // the whole token
}

// Sign returns the compact JWS of claims, a Go value that canon.Marshal renders as
// a JSON object, under typ. kid may be empty, which leaves it out. Errors: the
// signer's own, or *Error with CodeHeader or CodeMalformed.
func Sign(s Signer, typ, kid string, claims any) (string, error) {
	if typ == "" {
		return "", fail(CodeHeader, "no typ")
	}
	header, err := canon.Marshal(Header{Alg: s.Public().Alg(), Typ: typ, Kid: kid})
	if err != nil {
		return "", fail(CodeHeader, err.Error())
	}
	payload, err := canon.Marshal(claims)
	if err != nil {
		return "", fail(CodeMalformed, "claims: "+err.Error())
	}
	if payload[0] != '{' {
		return "", fail(CodeMalformed, "claims are not an object")
	}
	input := EncodeBase64(header) + "." + EncodeBase64(payload)
	sig, err := s.Sign([]byte(input))
	if err != nil {
		return "", err
	}
	return input + "." + EncodeBase64(sig), nil
}

// Parse reads a compact JWS (RFC 7515 section 3.1) of at most maxBytes bytes whose
// typ is exactly typ. It verifies no signature. Errors: *Error with CodeSize,
// CodeMalformed, CodeHeader, CodeTyp or CodeAlg, looked for in that order.
func Parse(raw, typ string, maxBytes int) (*Token, error) {
	if len(raw) > maxBytes {
		return nil, fail(CodeSize, "token is too long")
	}
	first, rest, _ := strings.Cut(raw, ".")
	second, third, ok := strings.Cut(rest, ".")
	if !ok || strings.IndexByte(third, '.') >= 0 {
		return nil, fail(CodeMalformed, "token has not three parts")
	}
	header, err := parseHeader(first, typ)
	if err != nil {
		return nil, err
	}
	if typ == "" || header.Typ != typ {
		return nil, fail(CodeTyp, "typ is not "+typ)
	}
	if header.Alg != EdDSA && header.Alg != ES256 {
		return nil, fail(CodeAlg, "alg is neither EdDSA nor ES256")
	}
	payload, err := DecodeBase64(second)
	if err != nil {
		return nil, err
	}
	if err := checkObject(payload); err != nil {
		return nil, err
	}
	sig, err := DecodeBase64(third)
	if err != nil {
		return nil, err
	}
	if len(sig) != SignatureSize {
		return nil, fail(CodeMalformed, "signature is not 64 bytes")
	}
	return &Token{
		Header:       header,
		Payload:      payload,
		SigningInput: raw[:len(first)+1+len(second)],
		Signature:    sig,
		Raw:          raw,
	}, nil
}

// parseHeader reads the first part of a token. typ is what is hoped for.
func parseHeader(part, typ string) (Header, error) {
	var h Header
	data, err := DecodeBase64(part)
	if err != nil {
		return h, err
	}
	if h, ok := usualHeader(string(data), typ); ok {
		return h, nil
	}
	if err := checkObject(data); err != nil {
		return h, err
	}
	// The JSON is sound, so what Unmarshal refuses now is a member: a foreign one
	// or one of another type.
	if err := canon.Unmarshal(data, &h); err != nil {
		return h, fail(CodeHeader, err.Error())
	}
	if h.Alg == "" || h.Typ == "" {
		return h, fail(CodeHeader, "header lacks alg or typ")
	}
	return h, nil
}

// usualHeader reads the canonical form of a header with the given typ, where no
// string in it needs an escape: what Sign writes. That text has one reading, so no
// decoder is asked for it; every other text goes to one.
func usualHeader(data, typ string) (Header, bool) {
	for _, alg := range [...]string{EdDSA, ES256} {
		middle, ok := strings.CutPrefix(data, `{"alg":"`+alg+`"`)
		if !ok {
			continue
		}
		if middle, ok = strings.CutSuffix(middle, `,"typ":"`+typ+`"}`); !ok || typ == "" || !plain(typ) {
			return Header{}, false
		}
		if middle == "" {
			return Header{Alg: alg, Typ: typ}, true
		}
		kid, begins := strings.CutPrefix(middle, `,"kid":"`)
		kid, ends := strings.CutSuffix(kid, `"`)
		return Header{Alg: alg, Kid: kid, Typ: typ}, begins && ends && plain(kid)
	}
	return Header{}, false
}

// plain reports whether s is printable ASCII that JSON writes without escapes.
func plain(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' || s[i] == '"' || s[i] == '\\' {
			return false
		}
	}
	return true
}

func checkObject(data []byte) error {
	if err := canon.Check(data); err != nil {
		return fail(CodeMalformed, err.Error())
	}
	if bytes.TrimLeft(data, " \t\r\n")[0] != '{' {
		return fail(CodeMalformed, "not a JSON object")
	}
	return nil
}

// Verify checks the signature of t under k, whose algorithm the header must name.
// Errors: *Error with CodeAlg, CodeKey or CodeSignature.
func (t *Token) Verify(k PublicKey) error {
	if k.Valid() && t.Header.Alg != k.Alg() {
		return fail(CodeAlg, "alg does not fit the key")
	}
	return k.Verify([]byte(t.SigningInput), t.Signature)
}

// Claims decodes the payload into v, whose json tags name every member it may have.
// Errors: *Error with CodeMalformed.
func (t *Token) Claims(v any) error {
	if err := canon.Unmarshal(t.Payload, v); err != nil {
		return fail(CodeMalformed, "claims: "+err.Error())
	}
	return nil
}
