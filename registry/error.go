package registry

import "fmt"

// Kind classifies an error by what the caller can do about it. It is itself an
// error, so errors.Is(err, registry.NotFound) works on anything wrapped.
type Kind string

func (k Kind) Error() string { return string(k) }

const (
	Malformed       Kind = "malformed"       // the input has the wrong shape; mend it
	Unauthenticated Kind = "unauthenticated" // the caller is not known, or its proof is bad
	Denied          Kind = "denied"          // the caller is known and may not
	NotFound        Kind = "not-found"       // there is no such thing, or none the caller may see
	Conflict        Kind = "conflict"        // the state does not allow it
	Mismatch        Kind = "key-reuse"       // an Idempotency-Key came back with another request
	Revoked         Kind = "revoked"         // the thing existed and has ended for good
	TooLarge        Kind = "too-large"       // a body, list or string over its limit
	Unavailable     Kind = "unavailable"     // try again later
)

// Error is what the registry's use cases return. Detail is for the caller and
// holds no secret; Err is for the operator's log. Field names the member of
// the input at fault as an RFC 6901 pointer, Code a machine-readable reason
// where the kind alone is not enough.
type Error struct {
	Kind   Kind
	Code   string
	Field  string
	Detail string
	Err    error
}

func (e *Error) Error() string {
	s := string(e.Kind) + ": " + e.Detail
	if e.Field != "" {
		s += " (" + e.Field + ")"
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

func (e *Error) Unwrap() []error {
	if e.Err == nil {
		return []error{e.Kind}
	}
	return []error{e.Kind, e.Err}
}

// Errorf makes an *Error whose detail the caller may read.
func Errorf(k Kind, format string, args ...any) *Error {
	return &Error{Kind: k, Detail: fmt.Sprintf(format, args...)}
}

// Invalid makes a Malformed error that names the member at fault.
func Invalid(field, format string, args ...any) *Error {
	return &Error{Kind: Malformed, Field: field, Detail: fmt.Sprintf(format, args...)}
}
