// Package statuslist says of many tokens in few bytes which are revoked: the Token
// Status List of draft-ietf-oauth-status-list-21, signed as a JWT, and the
// encodedList of the W3C's Bitstring Status List 1.0, from one List.
//
// A List is an array of statuses of 1, 2, 4 or 8 bits each. The index of a token is
// part of the token (its claim status.status_list.idx) and never used again for
// another. The two specifications order bits against each other: the Token Status
// List packs from the least significant bit of a byte, the Bitstring Status List
// from the most significant.
//
// A list is compressed in pieces, so that one change costs one piece: see
// List.Encode. A reader gets statuses only out of a token whose signature, subject
// and age it has had checked: Parse, then Token.Verify, then Statuses.Get.
//
// The package does no I/O and reads no clock.
package statuslist

import "fmt"

// Status is the state of one token (section 7.1 of the draft).
type Status uint8

const (
	Valid     Status = 0
	Invalid   Status = 1 // revoked for good
	Suspended Status = 2 // for a time
)

// String returns the registered name, in lower case.
func (s Status) String() string {
	switch s {
	case Valid:
		return "valid"
	case Invalid:
		return "invalid"
	case Suspended:
		return "suspended"
	}
	return fmt.Sprintf("status(%d)", uint8(s))
}

// MaxArray is the longest array of statuses that is made or decompressed, in bytes:
// 2^20 statuses of 8 bits.
const MaxArray = 1 << 20

// Code says what is wrong with a list or its token. It is itself an error, so
// errors.Is(err, statuslist.Stale) works through any wrapping.
type Code string

// Error returns the code's text.
func (c Code) Error() string { return string(c) }

const (
	Malformed    Code = "malformed"     // not such a token or list: typ, JSON, a claim missing or out of range, compression
	BadSignature Code = "signature"     // not signed by the key
	WrongSubject Code = "wrong_subject" // sub is not the address that the token in question names
	Stale        Code = "stale"         // exp has passed, or iat is ahead or too long ago
	OutOfRange   Code = "out_of_range"  // no such index, or a status of more bits than the list has
)

// Error is every error of this package but a signer's own. Detail may be shown to
// the caller.
type Error struct {
	Code   Code
	Detail string
}

// Error returns "status list: code: detail".
func (e *Error) Error() string { return "status list: " + string(e.Code) + ": " + e.Detail }

// Unwrap returns the code, for errors.Is.
func (e *Error) Unwrap() error { return e.Code }

func refuse(code Code, format string, args ...any) error {
	return &Error{code, fmt.Sprintf(format, args...)}
}

// array holds statuses of bits each, packed from the least significant bit of each
// byte on (section 4.1 of the draft).
type array struct {
	bits  int
	bytes []byte
}

func (a array) len() int { return len(a.bytes) * 8 / a.bits }

// at returns the byte of index i and the shift of its status in it.
func (a array) at(i int) (int, uint) { return i * a.bits / 8, uint(i * a.bits % 8) }

func (a array) get(i int) (Status, error) {
	if i < 0 || i >= a.len() {
		return 0, refuse(OutOfRange, "index is not of a list of %d", a.len())
	}
	at, shift := a.at(i)
	return Status(a.bytes[at] >> shift & a.mask()), nil
}

// set sets the status of i and returns whether that is a change.
func (a array) set(i int, s Status) (bool, error) {
	if i < 0 || i >= a.len() || uint8(s) > a.mask() {
		return false, refuse(OutOfRange, "index or status is not of a list of %d statuses of %d bits", a.len(), a.bits)
	}
	at, shift := a.at(i)
	before := a.bytes[at]
	a.bytes[at] = before&^(a.mask()<<shift) | uint8(s)<<shift
	return a.bytes[at] != before, nil
}

// mask has as many ones as a status has bits.
func (a array) mask() uint8 { return uint8(1<<a.bits - 1) }

// checkBits demands one of the four sizes of a status (section 4.2 of the draft).
func checkBits(bits int) error {
	if bits != 1 && bits != 2 && bits != 4 && bits != 8 {
		return refuse(Malformed, "bits is not 1, 2, 4 or 8")
	}
	return nil
}
