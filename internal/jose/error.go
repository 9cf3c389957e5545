package jose

// Code says which rule a token or key broke. It is itself an error, so
// errors.Is(err, jose.CodeSignature) works through any wrapping.
type Code string

// Error returns the code's text.
func (c Code) Error() string { return string(c) }

const (
	// CodeMalformed: not a compact JWS, not strict base64url, or not strict JSON.
	CodeMalformed Code = "malformed"
	// CodeTyp: the header's typ is not, byte for byte, the one the caller accepts.
	CodeTyp Code = "typ"
	// CodeAlg: the header's alg is neither EdDSA nor ES256, or does not fit the key.
	CodeAlg Code = "alg"
	// CodeHeader: the header lacks alg or typ, or has a member other than alg, typ, kid.
	CodeHeader Code = "header"
	// CodeKey: a key is of another kind, off its curve, of small order, not
	// canonically encoded, or private where only a public one may stand.
	CodeKey Code = "key"
	// CodeSignature: the signature does not verify, or is a second spelling (high s).
	CodeSignature Code = "signature"
	// CodeSize: the input is longer than the caller's limit.
	CodeSize Code = "size"
)

// Error is every error of this package. Detail is safe to show to the caller: it
// never holds key material or claims.
type Error struct {
	Code   Code
	Detail string
}

// Error returns "jose: code: detail".
func (e *Error) Error() string { return "jose: " + string(e.Code) + ": " + e.Detail }

// Unwrap returns the code, for errors.Is.
func (e *Error) Unwrap() error { return e.Code }

func fail(code Code, detail string) error { return &Error{Code: code, Detail: detail} }
