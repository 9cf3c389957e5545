package httpsig

import "fmt"

// Code says what is wrong with a signature or a message. It is itself an error, so
// errors.Is(err, httpsig.Stale) works through any wrapping.
type Code string

// Error returns the code's text.
func (c Code) Error() string { return string(c) }

const (
	Malformed    Code = "malformed"     // a field is not of its grammar, or a parameter is missing, unknown or out of range
	Missing      Code = "missing"       // no signature of the wanted label or tag
	Ambiguous    Code = "ambiguous"     // more than one signature of the wanted tag
	Component    Code = "component"     // a covered component is unknown, repeated, or has no value in this message
	Uncovered    Code = "uncovered"     // a component that the policy demands is not covered, or a body is there without its digest
	Stale        Code = "stale"         // created is too far from now, or expires has passed
	Lifetime     Code = "lifetime"      // expires is missing, not after created, or too long after it
	WrongAlg     Code = "wrong_alg"     // alg is not allowed or does not fit the key
	BadSignature Code = "signature"     // not signed by the key
	WrongDigest  Code = "wrong_digest"  // the content is not that of Content-Digest
	WrongMessage Code = "wrong_message" // a request whose target is no path of the origin
)

// Error is every error of this package but a signer's own. Detail may be shown to
// the caller.
type Error struct {
	Code   Code
	Detail string
}

// Error returns "http signature: code: detail".
func (e *Error) Error() string { return "http signature: " + string(e.Code) + ": " + e.Detail }

// Unwrap returns the code, for errors.Is.
func (e *Error) Unwrap() error { return e.Code }

func refuse(code Code, format string, args ...any) error {
	return &Error{code, fmt.Sprintf(format, args...)}
}
