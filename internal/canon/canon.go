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
	if strict(data) {
		return nil
	}
	return explain(data, 0)
}

// explain says why data is refused where it would stand within depth objects and
// arrays. It reads with another decoder than the scanner that refused, and more
// slowly; whatever it finds, the refusal stays.
func explain(data []byte, depth int) error {
	dec := jsontext.NewDecoder(bytes.NewReader(data))
	for {
		tok, err := dec.ReadToken()
		if err != nil {
			return asSyntaxError(err, dec)
		}
		if depth+dec.StackDepth() > MaxDepth {
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
			return &SyntaxError{Msg: "not strict JSON"}
		}
	}
}

// Unmarshal decodes strict JSON into v: Check, then names are matched by case
// and unknown members are refused. The error is a *SyntaxError. Two names must not
// be one key of a map in v, as they could where its keys are not strings.
func Unmarshal(data []byte, v any) error { return unmarshal(data, v, strictMembers) }

// UnmarshalOpen is Unmarshal for formats of others, whose unknown members we
// must ignore (OpenID AuthZEN Authorization API 1.0, section 5).
func UnmarshalOpen(data []byte, v any) error { return unmarshal(data, v, openMembers) }

// What Check has looked for, the decoder need not look for again.
var (
	openMembers   = json.JoinOptions(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	strictMembers = json.JoinOptions(openMembers, json.RejectUnknownMembers(true))
)

func unmarshal(data []byte, v any, opts json.Options) error {
	if err := Check(data); err != nil {
		return err
	}
	if err := json.Unmarshal(data, v, opts); err != nil {
		return asSyntaxError(err, nil)
	}
	return nil
}

// Canonical returns the RFC 8785 form of a strict JSON text.
func Canonical(data []byte) ([]byte, error) { return AppendCanonical(nil, data, 0) }

// AppendCanonical appends to dst the RFC 8785 form of a strict JSON text that is to
// stand within depth objects and arrays. The error is a *SyntaxError.
func AppendCanonical(dst, data []byte, depth int) ([]byte, error) {
	w := newWorkspace()
	defer w.release()
	form, ok := w.canonical(data, depth)
	if !ok {
		return nil, explain(data, depth)
	}
	return append(dst, form...), nil
}

// AppendString appends to dst the RFC 8785 form of a string (section 3.2.2.2). As
// with Marshal, U+FFFD stands for what is not UTF-8.
func AppendString(dst []byte, s string) []byte {
	if plain([]byte(s)) == len(s) {
		return append(append(append(dst, '"'), s...), '"')
	}
	dst, _ = jsontext.AppendQuote(dst, s)
	return dst
}

// Marshal returns the RFC 8785 form of a Go value, encoded by its json tags.
func Marshal(v any) ([]byte, error) { return marshal(v, 0) }

// marshal is Marshal for a value that is to stand within depth objects and arrays.
func marshal(v any, depth int) ([]byte, error) {
	if s, ok := v.(string); ok {
		return AppendString(make([]byte, 0, len(s)+2), s), nil
	}
	w := newWorkspace()
	defer w.release()
	// The encoder escapes for HTML: it always did, and under a string option, where
	// a string holds JSON, that shows in the canonical form.
	if err := w.encoder.Encode(v); err != nil {
		return nil, err
	}
	data := bytes.TrimSuffix(w.text.Bytes(), []byte("\n")) // which ends every value
	form, ok := w.canonical(data, depth)
	if !ok {
		return nil, explain(data, depth)
	}
	return bytes.Clone(form), nil
}

// CheckArtifact reports whether data is the canonical form of a JSON object in
// the profile of evidence: member names of [a-z0-9_], no null, no fractions or
// exponents, integers of magnitude below 2^53. A verifier calls it on the
// delivered bytes, so that one event has one spelling and one CID.
func CheckArtifact(data []byte) error {
	if artifact(data) {
		return nil
	}
	return explainArtifact(data)
}

// explainArtifact says why data is refused, as explain does.
func explainArtifact(data []byte) error {
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
			return &SyntaxError{Msg: "not an artifact"}
		}
		if err != nil {
			return asSyntaxError(err, dec)
		}
		kind, n := dec.StackIndex(dec.StackDepth())
		isName := kind == '{' && n%2 == 1 && tok.Kind() == '"'
		var msg string
		switch {
		case isName && !artifactName([]byte(tok.String())):
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

func artifactName(s []byte) bool {
	for _, c := range s {
		if c != '_' && (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return len(s) > 0
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

// Commit is Disclose and Commitment in one, for who does both.
func Commit(name string, value any) (Disclosure, string, error) {
	d := Disclosure{Name: name, Salt: Nonce(16)}
	var err error
	if d.Value, err = marshal(value, 1); err != nil {
		return Disclosure{}, "", err
	}
	return d, d.commitment(d.Value), nil
}

// Commitment is base64url(SHA-256(JCS([salt, name, value]))).
func (d Disclosure) Commitment() (string, error) {
	w := newWorkspace()
	defer w.release()
	if form, ok := w.canonical(d.Value, 1); ok {
		return d.commitment(form), nil
	}
	// No value is null; others are refused.
	form, err := Marshal([]any{d.Salt, d.Name, d.Value})
	if err != nil {
		return "", err
	}
	return Digest(form), nil
}

// commitment is Commitment for the value whose canonical form is given.
func (d Disclosure) commitment(form []byte) string {
	list := make([]byte, 0, len(d.Salt)+len(d.Name)+len(form)+16)
	list = AppendString(append(list, '['), d.Salt)
	list = AppendString(append(list, ','), d.Name)
	list = append(append(append(list, ','), form...), ']')
	return Digest(list)
}

// Digest is base64url(SHA-256(data)), unpadded.
func Digest(data []byte) string {
	sum := sha256.Sum256(data)
	var text [43]byte
	base64.RawURLEncoding.Encode(text[:], sum[:])
	return string(text[:])
}

// IsDigest reports a text that Digest may return.
func IsDigest(s string) bool {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(s)
	return err == nil && len(raw) == sha256.Size
}

// Nonce is n random bytes in base64url.
func Nonce(n int) string {
	b := make([]byte, n)
	rand.Read(b) // never fails (crypto/rand, Go 1.24)
	return base64.RawURLEncoding.EncodeToString(b)
}
