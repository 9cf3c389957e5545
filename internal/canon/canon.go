// Package canon reads JSON strictly and writes it canonically.
//
// Everything that is hashed or signed passes through here, so two readers can
// never see two meanings in one text. Check refuses what usual decoders let
// through: duplicate names, folded case, lone surrogates, invalid UTF-8, deep
// nesting, and numbers that do not survive a round trip through an IEEE 754
// double (RFC 8785, section 3.2.2.3, has no other numbers). Canonical is RFC
// 8785 (JCS). CheckArtifact is the narrower profile of evidence: see
// docs/standards.md.
package canon

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	stdjson "encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/big"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// MaxDepth is the deepest nesting of objects and arrays that Check accepts.
const MaxDepth = 32

// SyntaxError says where and why a JSON text was refused.
type SyntaxError struct {
	Offset  int64  // bytes from the start of the text
	Pointer string // RFC 6901 pointer to the value at fault, "" for the whole text
	Msg     string
}

func (e *SyntaxError) Error() string {
	if e.Pointer != "" {
		return fmt.Sprintf("%s at %s (byte %d)", e.Msg, e.Pointer, e.Offset)
	}
	return fmt.Sprintf("%s (byte %d)", e.Msg, e.Offset)
}

// Check reports whether data is exactly one strict JSON value. The error is a
// *SyntaxError.
func Check(data []byte) error {
	dec := jsontext.NewDecoder(bytes.NewReader(data))
	for {
		tok, err := dec.ReadToken()
		if err != nil {
			return asSyntaxError(err, dec)
		}
		if dec.StackDepth() > MaxDepth {
			return &SyntaxError{dec.InputOffset(), string(dec.StackPointer()), fmt.Sprintf("nested deeper than %d levels", MaxDepth)}
		}
		if tok.Kind() == '0' {
			if msg := checkNumber(tok.String()); msg != "" {
				return &SyntaxError{dec.InputOffset(), string(dec.StackPointer()), msg}
			}
		}
		if dec.StackDepth() == 0 { // the value is complete: nothing may follow
			if _, err := dec.ReadToken(); !errors.Is(err, io.EOF) {
				return &SyntaxError{Offset: dec.InputOffset(), Msg: "text after the JSON value"}
			}
			return nil
		}
	}
}

// checkNumber refuses a number whose value is not that of its nearest double:
// 9007199254740993 and 0.1 written with thirty digits would change meaning
// between two readers.
func checkNumber(text string) string {
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsInf(f, 0) {
		return "number out of the range of an IEEE 754 double"
	}
	if len(text) <= 15 && !strings.ContainsAny(text, "eE") {
		return "" // at most 15 significant digits always round-trip
	}
	if len(text) > 400 {
		return "number of more than 400 characters"
	}
	want, ok := new(big.Rat).SetString(text)
	got, ok2 := new(big.Rat).SetString(strconv.FormatFloat(f, 'g', -1, 64))
	if !ok || !ok2 || want.Cmp(got) != 0 {
		return "number does not round-trip through an IEEE 754 double"
	}
	return ""
}

// Unmarshal decodes strict JSON into v: Check, then names are matched by case
// and unknown members are refused. The error is a *SyntaxError.
func Unmarshal(data []byte, v any) error {
	if err := Check(data); err != nil {
		return err
	}
	if err := json.Unmarshal(data, v, json.RejectUnknownMembers(true)); err != nil {
		return asSyntaxError(err, nil)
	}
	return nil
}

// UnmarshalOpen is Unmarshal for formats of others, whose unknown members we
// must ignore (OpenID AuthZEN Authorization API 1.0, section 5).
func UnmarshalOpen(data []byte, v any) error {
	if err := Check(data); err != nil {
		return err
	}
	if err := json.Unmarshal(data, v); err != nil {
		return asSyntaxError(err, nil)
	}
	return nil
}

// Canonical returns the RFC 8785 form of a strict JSON text.
func Canonical(data []byte) ([]byte, error) {
	if err := Check(data); err != nil {
		return nil, err
	}
	v := jsontext.Value(bytes.Clone(data))
	if err := v.Canonicalize(); err != nil {
		return nil, asSyntaxError(err, nil)
	}
	return v, nil
}

// Marshal returns the RFC 8785 form of a Go value, encoded by its json tags.
func Marshal(v any) ([]byte, error) {
	raw, err := stdjson.Marshal(v)
	if err != nil {
		return nil, err
	}
	return Canonical(raw)
}

// CheckArtifact reports whether data is the canonical form of a JSON object in
// the profile of evidence: member names of [a-z0-9_], no null, no fractions or
// exponents, integers of magnitude below 2^53. A verifier calls it on the
// delivered bytes, so that one event has one spelling and one CID.
func CheckArtifact(data []byte) error {
	form, err := Canonical(data)
	if err != nil {
		return err
	}
	if !bytes.Equal(form, data) {
		return &SyntaxError{Msg: "bytes are not the canonical (RFC 8785) form", Offset: int64(firstDifference(form, data))}
	}
	if len(data) == 0 || data[0] != '{' {
		return &SyntaxError{Msg: "an artifact is a JSON object"}
	}
	dec := jsontext.NewDecoder(bytes.NewReader(data))
	for {
		tok, err := dec.ReadToken()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return asSyntaxError(err, dec)
		}
		kind, n := dec.StackIndex(dec.StackDepth())
		isName := kind == '{' && n%2 == 1 && tok.Kind() == '"'
		var msg string
		switch {
		case isName && !artifactName(tok.String()):
			msg = "member name outside [a-z0-9_]"
		case tok.Kind() == 'n':
			msg = "null is not in the artifact profile"
		case tok.Kind() == '0' && strings.ContainsAny(tok.String(), ".eE"):
			msg = "only integers are in the artifact profile"
		case tok.Kind() == '0':
			if i, err := strconv.ParseInt(tok.String(), 10, 64); err != nil || i >= 1<<53 || i <= -(1<<53) {
				msg = "integer of magnitude 2^53 or more: write it as a decimal string"
			}
		}
		if msg != "" {
			return &SyntaxError{dec.InputOffset(), string(dec.StackPointer()), msg}
		}
	}
}

func artifactName(s string) bool {
	for _, c := range []byte(s) {
		if c != '_' && (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}

func firstDifference(a, b []byte) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}

func asSyntaxError(err error, dec *jsontext.Decoder) error {
	var syn *jsontext.SyntacticError
	var sem *json.SemanticError
	switch {
	case errors.As(err, &syn):
		msg := syn.Err.Error()
		if errors.Is(err, jsontext.ErrDuplicateName) {
			msg = "duplicate member name"
		}
		return &SyntaxError{syn.ByteOffset, string(syn.JSONPointer), msg}
	case errors.As(err, &sem):
		msg := "wrong type"
		switch {
		case errors.Is(err, json.ErrUnknownName):
			msg = "unknown member"
		case sem.Err != nil:
			msg = sem.Err.Error()
		case sem.GoType != nil:
			msg = fmt.Sprintf("expected %s", sem.GoType.Kind())
		}
		return &SyntaxError{sem.ByteOffset, string(sem.JSONPointer), msg}
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return &SyntaxError{Msg: "unexpected end of JSON"}
	}
	out := &SyntaxError{Msg: err.Error()}
	if dec != nil {
		out.Offset = dec.InputOffset()
	}
	return out
}

// Disclosure is a value that an artifact commits to and does not contain. It
// is kept apart and may be deleted; the commitment stays.
type Disclosure struct {
	Name  string             `json:"name"`
	Salt  string             `json:"salt"`  // 128 or more random bits, base64url
	Value stdjson.RawMessage `json:"value"` // any strict JSON
}

// Disclose draws a fresh salt for a value.
func Disclose(name string, value any) (Disclosure, error) {
	raw, err := Marshal(value)
	if err != nil {
		return Disclosure{}, err
	}
	return Disclosure{Name: name, Salt: Nonce(16), Value: raw}, nil
}

// Commitment is base64url(SHA-256(JCS([salt, name, value]))).
func (d Disclosure) Commitment() (string, error) {
	form, err := Marshal([]any{d.Salt, d.Name, d.Value})
	if err != nil {
		return "", err
	}
	return Digest(form), nil
}

// Digest is base64url(SHA-256(data)), unpadded.
func Digest(data []byte) string {
	sum := sha256.Sum256(data)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// Nonce is n random bytes in base64url.
func Nonce(n int) string {
	b := make([]byte, n)
	rand.Read(b) // never fails (crypto/rand, Go 1.24)
	return base64.RawURLEncoding.EncodeToString(b)
}
