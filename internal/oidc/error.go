package oidc

// Code says what stopped a sign-in. It is itself an error, so errors.Is(err,
// oidc.CodeNonce) works through any wrapping.
type Code string

// Error returns the code's text.
func (c Code) Error() string { return string(c) }

const (
	// CodeConfig: the Config can never work.
	CodeConfig Code = "config"
	// CodeUnavailable: the issuer cannot be reached, or not asked again so soon. Try later.
	CodeUnavailable Code = "unavailable"
	// CodeMetadata: what the issuer says about itself cannot be used: another issuer,
	// an endpoint that is missing or not https, no S256.
	CodeMetadata Code = "metadata"
	// CodeClient: the issuer does not accept us as the client that we are configured as.
	CodeClient Code = "client"
	// CodeFlow: the flow is not one that this Provider began, or is over.
	CodeFlow Code = "flow"
	// CodeState: the answer belongs to another flow.
	CodeState Code = "state"
	// CodeIssuer: an answer or a token is from another issuer (RFC 9207), or does not
	// say whose it is where the issuer promised to.
	CodeIssuer Code = "issuer"
	// CodeRefused: the issuer, or the person there, said no.
	CodeRefused Code = "refused"
	// CodeGrant: the code or refresh token is not, or no longer, good for anything:
	// sign in again.
	CodeGrant Code = "grant"
	// CodeResponse: an answer has not the shape it must have.
	CodeResponse Code = "response"
	// CodeSize: an answer, token or string is over its limit.
	CodeSize Code = "size"
	// CodeToken: the ID token is not a JWT of ours to read: malformed, or a claim is
	// missing or of the wrong type.
	CodeToken Code = "token"
	// CodeAlg: the ID token is signed by none, a shared secret, or what else is not in Algorithms.
	CodeAlg Code = "alg"
	// CodeKey: no key of the issuer fits the ID token.
	CodeKey Code = "key"
	// CodeSignature: the ID token is not signed by the key it names.
	CodeSignature Code = "signature"
	// CodeAudience: the ID token is for somebody else, or not for us alone.
	CodeAudience Code = "audience"
	// CodeNonce: the ID token belongs to another sign-in.
	CodeNonce Code = "nonce"
	// CodeExpired: the ID token is over.
	CodeExpired Code = "expired"
	// CodeIssuedAt: the ID token is from the future, or was not issued just now.
	CodeIssuedAt Code = "issued-at"
	// CodeAccessToken: the ID token came with another access token (at_hash).
	CodeAccessToken Code = "access-token"
	// CodeSubject: the refreshed ID token is another person's.
	CodeSubject Code = "subject"
	// CodeGroups: the groups are no list of strings, too many, or kept elsewhere.
	CodeGroups Code = "groups"
)

// Error is every error of this package. Detail is safe to show to the person who
// signs in; Err is for the operator's log. Neither holds a token or a secret.
type Error struct {
	Code   Code
	Detail string
	Err    error
}

// Error returns "oidc: code: detail", and the cause.
func (e *Error) Error() string {
	s := "oidc: " + string(e.Code) + ": " + e.Detail
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the code and the cause, for errors.Is.
func (e *Error) Unwrap() []error {
	if e.Err == nil {
		return []error{e.Code}
	}
	return []error{e.Code, e.Err}
}

func fail(code Code, detail string) error { return &Error{Code: code, Detail: detail} }

func failed(code Code, detail string, err error) error {
	return &Error{Code: code, Detail: detail, Err: err}
}
