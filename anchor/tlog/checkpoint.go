package tlog

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// MaxNote is the length in bytes of the longest signed checkpoint that
// [OpenNote] reads. With a hundred cosignatures, the most that a note may carry,
// a checkpoint has about 16 KiB, or 400 KiB if they are ML-DSA-44.
const MaxNote = 512 << 10

// Checkpoint is a tree head of a log: the body of a C2SP tlog-checkpoint without
// extension lines.
type Checkpoint struct {
	Origin string // the log's name: a URL without scheme, such as "example.org/log"
	Size   uint64 // number of entries
	Root   Hash   // Merkle tree hash of the first Size entries, RFC 6962 section 2.1
}

// Marshal returns the three lines of the note text: origin, size in decimal,
// root in base64 (C2SP tlog-checkpoint, "Note text").
func (c Checkpoint) Marshal() []byte {
	return fmt.Appendf(nil, "%s\n%d\n%s\n", c.Origin, c.Size, base64.StdEncoding.EncodeToString(c.Root[:]))
}

// ParseCheckpoint parses a note text made by [Checkpoint.Marshal] and accepts no
// other spelling of it: no leading zeros, no stray base64 bits, and no extension
// lines, which Writ logs do not use and which C2SP advises against. It verifies
// nothing; see [OpenCheckpoint]. It returns ErrInvalid if the text is malformed.
func ParseCheckpoint(text []byte) (Checkpoint, error) {
	lines := strings.Split(string(text), "\n")
	if len(lines) != 4 || lines[3] != "" {
		return Checkpoint{}, fmt.Errorf("%w: checkpoint is not three lines", ErrInvalid)
	}
	if lines[0] == "" {
		return Checkpoint{}, fmt.Errorf("%w: checkpoint without origin", ErrInvalid)
	}
	size, err := strconv.ParseUint(lines[1], 10, 63)
	if err != nil {
		return Checkpoint{}, fmt.Errorf("%w: checkpoint size %.24q", ErrInvalid, lines[1])
	}
	root, err := base64.StdEncoding.Strict().DecodeString(lines[2])
	if err != nil || len(root) != HashSize {
		return Checkpoint{}, fmt.Errorf("%w: checkpoint root is not the base64 of %d bytes", ErrInvalid, HashSize)
	}
	c := Checkpoint{Origin: lines[0], Size: size, Root: Hash(root)}
	if string(c.Marshal()) != string(text) {
		return Checkpoint{}, fmt.Errorf("%w: checkpoint is not in its canonical form", ErrInvalid)
	}
	return c, nil
}

// SignCheckpoint returns the signed note of c. The signer's name MUST be the
// origin, so that a verifier who knows the log's key knows its origin (C2SP
// tlog-checkpoint, "Signatures"); otherwise, and for an origin that no note can
// carry, it returns ErrInvalid. A signer's own error is passed on.
func SignCheckpoint(c Checkpoint, s note.Signer) ([]byte, error) {
	if s.Name() != c.Origin {
		return nil, fmt.Errorf("%w: signer %q for origin %q", ErrInvalid, s.Name(), c.Origin)
	}
	if _, err := ParseCheckpoint(c.Marshal()); err != nil {
		return nil, err
	}
	signed, err := note.Sign(&note.Note{Text: string(c.Marshal())}, s)
	if err != nil {
		return nil, fmt.Errorf("sign checkpoint %d of %s: %w", c.Size, c.Origin, err)
	}
	return signed, nil
}

// OpenCheckpoint verifies that signed is a checkpoint of the log named origin
// with a signature that v accepts, and returns it. Signatures by other keys, such
// as witnesses, are allowed and not looked at. It returns ErrInvalid if the note
// is malformed, ErrProof if v's signature is absent or wrong or the origin is
// another one.
func OpenCheckpoint(signed []byte, origin string, v note.Verifier) (Checkpoint, error) {
	c, _, err := OpenNote(signed, origin, v)
	return c, err
}

// OpenNote is [OpenCheckpoint] for a reader of cosignatures: it also verifies the
// signatures of the given witnesses and returns the note. The note's Sigs are by
// v or by a witness and valid; its UnverifiedSigs are by keys not given. A witness
// signature that is present and wrong fails the whole note with ErrProof.
//
// The note must be in canonical form: signatures in strict base64, none twice.
func OpenNote(signed []byte, origin string, v note.Verifier, witnesses ...note.Verifier) (Checkpoint, *note.Note, error) {
	if len(signed) > MaxNote {
		return Checkpoint{}, nil, fmt.Errorf("%w: signed checkpoint of %d bytes", ErrInvalid, len(signed))
	}
	n, err := note.Open(signed, note.VerifierList(append([]note.Verifier{v}, witnesses...)...))
	if err != nil {
		return Checkpoint{}, nil, fmt.Errorf("%w: open checkpoint: %w", noteErrorKind(err), err)
	}
	if !canonicalNote(signed, n) {
		return Checkpoint{}, nil, fmt.Errorf("%w: signature lines are not in their canonical form", ErrInvalid)
	}
	byLog := false
	for _, sig := range n.Sigs {
		byLog = byLog || sig.Name == v.Name() && sig.Hash == v.KeyHash()
	}
	if !byLog {
		return Checkpoint{}, nil, fmt.Errorf("%w: no signature by %s", ErrProof, v.Name())
	}
	c, err := ParseCheckpoint([]byte(n.Text))
	if err != nil {
		return Checkpoint{}, nil, err
	}
	if c.Origin != origin {
		return Checkpoint{}, nil, fmt.Errorf("%w: checkpoint of %.80q, want %q", ErrProof, c.Origin, origin)
	}
	return c, n, nil
}

// noteErrorKind sorts the errors of note.Open: a note that is well-formed but
// not signed as it should be is ErrProof.
func noteErrorKind(err error) error {
	var wrong *note.InvalidSignatureError
	var none *note.UnverifiedNoteError
	if errors.As(err, &wrong) || errors.As(err, &none) {
		return ErrProof
	}
	return ErrInvalid
}

// canonicalNote reports whether signed consists of n and nothing else. Package
// note drops repeated signatures and tolerates set bits behind the end of a
// base64 text, so that one note has many spellings; this leaves one.
func canonicalNote(signed []byte, n *note.Note) bool {
	rest, ok := strings.CutPrefix(string(signed), n.Text+"\n")
	if !ok {
		return false
	}
	lines := strings.Split(strings.TrimSuffix(rest, "\n"), "\n")
	if len(lines) != len(n.Sigs)+len(n.UnverifiedSigs) {
		return false
	}
	for _, line := range lines {
		_, text, _ := strings.Cut(strings.TrimPrefix(line, "— "), " ")
		if _, err := base64.StdEncoding.Strict().DecodeString(text); err != nil {
			return false
		}
	}
	return true
}
