package pki

import (
	"crypto/x509"
	"errors"
)

// Code says which rule a request, certificate or authority broke. It is itself an
// error, so errors.Is(err, pki.ForeignName) works through any wrapping.
type Code string

// Error returns the code's text.
func (c Code) Error() string { return string(c) }

const (
	// TooLarge: the input is longer than its limit, or the chain has too many
	// certificates.
	TooLarge Code = "size"
	// Malformed: not the one PEM block or DER structure that is read, or a profile
	// that describes no certificate.
	Malformed Code = "malformed"
	// BadKey: a subject key is neither Ed25519 nor P-256, is off its curve or of small
	// order; or an authority's RSA key is shorter than 2048 bits.
	BadKey Code = "key"
	// BadSignature: a request is not signed by its own key, or with a hash that is
	// not of the SHA-2 family; or a chain is not signed link by link.
	BadSignature Code = "signature"
	// ForeignName: the request asks for a name that its profile does not give.
	ForeignName Code = "foreign_name"
	// NotAuthority: a certificate that should issue others is no CA or lacks keyCertSign.
	NotAuthority Code = "not_authority"
	// KeyMismatch: the key is not the one that the certificate holds.
	KeyMismatch Code = "key_mismatch"
	// Constrained: a certificate above forbids this one (name constraints, path
	// length), or has name constraints of a kind that is not understood here.
	Constrained Code = "constrained"
	// BadUsage: key usage or extended key usage does not allow what it is used for.
	BadUsage Code = "usage"
	// Expired: outside the validity of a certificate, before as well as after.
	Expired Code = "expired"
	// Untrusted: no chain to a root of the caller's.
	Untrusted Code = "untrusted"
	// BadName: a presented certificate names nothing, one thing twice, or breaks the
	// rules of SPIFFE or DIDs for the names it has.
	BadName Code = "name"
)

// Error is every error of this package but those of a signer. Detail is safe to show
// to the caller: it never holds key material.
type Error struct {
	Code   Code
	Detail string
}

// Error returns "pki: code: detail".
func (e *Error) Error() string { return "pki: " + string(e.Code) + ": " + e.Detail }

// Unwrap returns the code, for errors.Is.
func (e *Error) Unwrap() error { return e.Code }

func fail(code Code, detail string) error { return &Error{Code: code, Detail: detail} }

// chainError names the rule behind an error of x509.Certificate.Verify.
func chainError(err error) error {
	var invalid x509.CertificateInvalidError
	if !errors.As(err, &invalid) {
		return fail(Untrusted, err.Error())
	}
	switch invalid.Reason {
	case x509.Expired:
		return fail(Expired, invalid.Error())
	case x509.IncompatibleUsage:
		return fail(BadUsage, invalid.Error())
	case x509.TooManyIntermediates, x509.CANotAuthorizedForThisName, x509.TooManyConstraints,
		x509.UnconstrainedName, x509.NameConstraintsWithoutSANs, x509.CANotAuthorizedForExtKeyUsage:
		return fail(Constrained, invalid.Error())
	case x509.NotAuthorizedToSign:
		return fail(NotAuthority, invalid.Error())
	}
	return fail(Untrusted, invalid.Error())
}
