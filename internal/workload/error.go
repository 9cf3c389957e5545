package workload

// Code says which rule a token broke. It is itself an error, so errors.Is(err,
// workload.BadAudience) works through any wrapping.
type Code string

// Error returns the code's text.
func (c Code) Error() string { return string(c) }

const (
	// BadConfig: the configuration names no issuer that could be trusted.
	BadConfig Code = "config"
	// TooLarge: longer than MaxToken.
	TooLarge Code = "size"
	// Malformed: not a compact JWS of strict JSON with the claims of a JWT.
	Malformed Code = "malformed"
	// BadHeader: alg or typ is not allowed, kid is missing, or the header holds a key or crit.
	BadHeader Code = "header"
	// BadIssuer: iss is not, byte for byte, the configured issuer.
	BadIssuer Code = "issuer"
	// BadAudience: aud is not the configured audience alone.
	BadAudience Code = "audience"
	// BadTime: expired, not valid yet, without end, or valid for too long.
	BadTime Code = "time"
	// NotWorkload: a person's token, another tenant's, or not in the issuer's shape.
	NotWorkload Code = "not_workload"
	// BadSignature: no key of the issuer's verifies it.
	BadSignature Code = "signature"
	// Unavailable: the issuer's keys could not be fetched. Nothing is known of the token.
	Unavailable Code = "unavailable"
)

// Error is every error of this package. Detail is safe to show to the caller; Err, the
// cause of Unavailable, is for the operator.
type Error struct {
	Code   Code
	Detail string
	Err    error
}

// Error returns "workload: code: detail" and the cause, if there is one.
func (e *Error) Error() string {
	text := "workload: " + string(e.Code) + ": " + e.Detail
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap returns code and cause, for errors.Is.
func (e *Error) Unwrap() []error {
	if e.Err == nil {
		return []error{e.Code}
	}
	return []error{e.Code, e.Err}
}

func fail(code Code, detail string) error { return &Error{Code: code, Detail: detail} }
