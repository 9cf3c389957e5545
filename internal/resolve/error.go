package resolve

import "net/http"

// Code is an error of DID Resolution 1.0 section 10, in the spelling that resolvers
// write as the error of the resolution metadata. It is itself an error, so
// errors.Is(err, resolve.NotFound) works.
type Code string

// Error returns the code's text.
func (c Code) Error() string { return string(c) }

const (
	InvalidDID                 Code = "invalidDid"                 // the text is no DID, or what stands behind it does not prove it
	InvalidDocument            Code = "invalidDidDocument"         // the document is malformed or another DID's
	InvalidOptions             Code = "invalidOptions"             // options that exclude each other
	NotFound                   Code = "notFound"                   // there is no such DID or version
	MethodNotSupported         Code = "methodNotSupported"         // not did:web, did:webvh or did:key
	RepresentationNotSupported Code = "representationNotSupported" // not a media type of DID documents; for the HTTP binding
	Internal                   Code = "internalError"              // the host cannot be reached now, or we cannot
)

// table maps a code to its URI below https://www.w3.org/ns/did# and its HTTP status
// (DID Resolution 1.0 sections 10 and 12.1).
var table = map[Code]struct {
	name   string
	status int
}{
	InvalidDID:                 {"INVALID_DID", http.StatusBadRequest},
	InvalidDocument:            {"INVALID_DID_DOCUMENT", http.StatusInternalServerError},
	InvalidOptions:             {"INVALID_OPTIONS", http.StatusBadRequest},
	NotFound:                   {"NOT_FOUND", http.StatusNotFound},
	MethodNotSupported:         {"METHOD_NOT_SUPPORTED", http.StatusNotImplemented},
	RepresentationNotSupported: {"REPRESENTATION_NOT_SUPPORTED", http.StatusNotAcceptable},
	Internal:                   {"INTERNAL_ERROR", http.StatusInternalServerError},
}

// URI returns the type of the error object that DID Resolution 1.0 has for c.
func (c Code) URI() string { return "https://www.w3.org/ns/did#" + table[c].name }

// Status returns the HTTP status of the binding for c.
func (c Code) Status() int { return table[c].status }

// Reason says what an exchange or an answer was refused for, where that is more than
// its Code says. It is itself an error.
type Reason string

// Error returns the reason's text.
func (r Reason) Error() string { return string(r) }

const (
	Address   Reason = "address"   // the host's address or port is not one that may be asked
	Redirect  Reason = "redirect"  // the host points elsewhere
	Encoded   Reason = "encoded"   // the body is compressed, which was not asked for
	Size      Reason = "size"      // the body is too long
	Timeout   Reason = "timeout"   // the exchange took too long
	Truncated Reason = "truncated" // the log is shorter than it was
	Forked    Reason = "forked"    // the log is not the one that was seen before
	OtherDID  Reason = "other_did" // the document or log is that of another DID
	Uncached  Reason = "uncached"  // no host was asked, as the caller wanted (Options.Cached)
)

// Error is every error of this package. Detail is for the caller: it names what the
// DID's own host did, and no address. Err is for the operator.
type Error struct {
	DID    string // as it was asked for
	Code   Code
	Reason Reason // "" where the code says it all
	Detail string
	Err    error // nil or the cause
}

// Error returns "resolve DID: code: detail: cause".
func (e *Error) Error() string {
	s := "resolve " + e.DID + ": " + string(e.Code) + ": " + e.Detail
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns code, reason and cause, for errors.Is and errors.As.
func (e *Error) Unwrap() []error {
	out := []error{e.Code}
	if e.Reason != "" {
		out = append(out, e.Reason)
	}
	if e.Err != nil {
		out = append(out, e.Err)
	}
	return out
}
