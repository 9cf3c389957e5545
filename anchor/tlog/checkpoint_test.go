package tlog_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"strings"
	"testing"

	flog "github.com/transparency-dev/formats/log"
	fnote "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"

	"github.com/writ-registry/writ/anchor/tlog"
)

const origin = "registry.example/log"

func newKey(t testing.TB, name string) (note.Signer, note.Verifier) {
	t.Helper()
	skey, vkey, err := note.GenerateKey(rand.Reader, name)
	if err != nil {
		t.Fatal(err)
	}
	s, err := note.NewSigner(skey)
	if err != nil {
		t.Fatal(err)
	}
	v, err := note.NewVerifier(vkey)
	if err != nil {
		t.Fatal(err)
	}
	return s, v
}

func TestCheckpointText(t *testing.T) {
	c := tlog.Checkpoint{Origin: origin, Size: 0, Root: tlog.EmptyRoot()}
	const want = "registry.example/log\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n"
	if got := string(c.Marshal()); got != want {
		t.Errorf("Marshal() = %q, want %q", got, want)
	}
	if got, err := tlog.ParseCheckpoint([]byte(want)); err != nil || got != c {
		t.Errorf("ParseCheckpoint = %v, %v, want %v", got, err, c)
	}
	const root = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
	for name, text := range map[string]string{
		"empty":           "",
		"no newline":      "o\n1\n" + root,
		"extension":       "o\n1\n" + root + "\nmore\n",
		"no origin":       "\n1\n" + root + "\n",
		"leading zero":    "o\n01\n" + root + "\n",
		"plus":            "o\n+1\n" + root + "\n",
		"minus":           "o\n-1\n" + root + "\n",
		"underscore":      "o\n1_0\n" + root + "\n",
		"2^63":            "o\n9223372036854775808\n" + root + "\n",
		"short root":      "o\n1\n47DEQpj8HBSa\n",
		"long root":       "o\n1\n" + strings.TrimSuffix(root, "=") + "AA==\n",
		"unpadded":        "o\n1\n" + strings.TrimSuffix(root, "=") + "\n",
		"stray bits":      "o\n1\n" + strings.Replace(root, "uFU=", "uFV=", 1) + "\n",
		"carriage return": "o\n1\r\n" + root + "\n",
		"base64url":       "o\n1\n" + strings.ReplaceAll(root, "+", "-") + "\n",
	} {
		if got, err := tlog.ParseCheckpoint([]byte(text)); !errors.Is(err, tlog.ErrInvalid) {
			t.Errorf("%s: ParseCheckpoint = %v, %v, want ErrInvalid", name, got, err)
		}
	}
}

func TestSignAndOpenCheckpoint(t *testing.T) {
	s, v := newKey(t, origin)
	c := tlog.Checkpoint{Origin: origin, Size: 7, Root: tlog.LeafHash([]byte("root"))}
	signed, err := tlog.SignCheckpoint(c, s)
	if err != nil {
		t.Fatal(err)
	}
	got, err := tlog.OpenCheckpoint(signed, origin, v)
	if err != nil || got != c {
		t.Fatalf("OpenCheckpoint = %v, %v, want %v", got, err, c)
	}
	// The transparency-dev reader agrees.
	other, rest, _, err := flog.ParseCheckpoint(signed, origin, v)
	if err != nil || other.Size != c.Size || !bytes.Equal(other.Hash, c.Root[:]) || len(rest) > 0 {
		t.Fatalf("formats/log reads %v, rest %q, %v", other, rest, err)
	}

	stranger, strangerV := newKey(t, origin)
	if _, err := tlog.OpenCheckpoint(signed, origin, strangerV); !errors.Is(err, tlog.ErrProof) {
		t.Errorf("another key: %v, want ErrProof", err)
	}
	if _, err := tlog.OpenCheckpoint(signed, "other.example/log", v); !errors.Is(err, tlog.ErrProof) {
		t.Errorf("another origin: %v, want ErrProof", err)
	}
	if _, err := tlog.SignCheckpoint(tlog.Checkpoint{Origin: "other.example/log"}, stranger); !errors.Is(err, tlog.ErrInvalid) {
		t.Errorf("signer of another name: %v, want ErrInvalid", err)
	}
	if _, err := tlog.OpenCheckpoint(make([]byte, tlog.MaxNote+1), origin, v); !errors.Is(err, tlog.ErrInvalid) {
		t.Errorf("a huge note: %v, want ErrInvalid", err)
	}
	for i := range signed {
		for bit := range 8 {
			bad := bytes.Clone(signed)
			bad[i] ^= 1 << bit
			if _, err := tlog.OpenCheckpoint(bad, origin, v); !errors.Is(err, tlog.ErrProof) && !errors.Is(err, tlog.ErrInvalid) {
				t.Fatalf("bit %d of byte %d flipped: %v", bit, i, err)
			}
		}
	}
	if twice := append(bytes.Clone(signed), signed[bytes.Index(signed, []byte("\n\n"))+2:]...); true {
		if _, err := tlog.OpenCheckpoint(twice, origin, v); !errors.Is(err, tlog.ErrInvalid) {
			t.Errorf("the same signature twice: %v, want ErrInvalid", err)
		}
	}
}

func TestOpenNoteCountsWitnesses(t *testing.T) {
	s, v := newKey(t, origin)
	c := tlog.Checkpoint{Origin: origin, Size: 7, Root: tlog.LeafHash([]byte("root"))}
	skey, vkey, err := note.GenerateKey(rand.Reader, "witness.example/w1")
	if err != nil {
		t.Fatal(err)
	}
	ws, err := fnote.NewSignerForCosignatureV1(skey)
	if err != nil {
		t.Fatal(err)
	}
	wv, err := fnote.NewVerifierForCosignatureV1(vkey)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := tlog.SignCheckpoint(c, s)
	if err != nil {
		t.Fatal(err)
	}
	n, err := note.Open(signed, note.VerifierList(v))
	if err != nil {
		t.Fatal(err)
	}
	signed, err = note.Sign(n, ws)
	if err != nil {
		t.Fatal(err)
	}
	if _, n, err = tlog.OpenNote(signed, origin, v, wv); err != nil || len(n.Sigs) != 2 || len(n.UnverifiedSigs) != 0 {
		t.Errorf("known witness: %+v, %v", n, err)
	}
	if _, n, err = tlog.OpenNote(signed, origin, v); err != nil || len(n.Sigs) != 1 || len(n.UnverifiedSigs) != 1 {
		t.Errorf("unknown witness: %+v, %v", n, err)
	}
	_, stranger := newKey(t, origin)
	if _, _, err = tlog.OpenNote(signed, origin, stranger, wv); !errors.Is(err, tlog.ErrProof) {
		t.Errorf("cosigned but not by the log: %v, want ErrProof", err)
	}
}

func FuzzParseCheckpoint(f *testing.F) {
	f.Add([]byte("registry.example/log\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n"))
	f.Add([]byte("o\n18446744073709551615\nAAAA\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := tlog.ParseCheckpoint(text)
		if err != nil {
			if !errors.Is(err, tlog.ErrInvalid) {
				t.Fatalf("error is not ErrInvalid: %v", err)
			}
			return
		}
		if !bytes.Equal(c.Marshal(), text) {
			t.Fatalf("%q has a second spelling, %q", text, c.Marshal())
		}
	})
}

func FuzzOpenCheckpoint(f *testing.F) {
	s, v := newKey(f, origin)
	c := tlog.Checkpoint{Origin: origin, Size: 7, Root: tlog.EmptyRoot()}
	signed, err := tlog.SignCheckpoint(c, s)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(signed)
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := tlog.OpenCheckpoint(data, origin, v)
		if err == nil && got != c {
			t.Fatalf("opened %v, which was never signed", got)
		}
	})
}
