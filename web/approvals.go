package web

import (
	_ "embed" // Script
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode"
)

// Script is the one script: it asks the browser for passkeys.
//
//go:embed passkey.js
var Script []byte

// Approvals is what waits for humans, and what this one signs with. Challenge, Token
// and User are for a new passkey; "" = none can be added.
type Approvals struct {
	Page
	Rows                             []ApprovalRow
	Authenticators                   []Authenticator
	Challenge, Token, User, UserName string
}

// ApprovalRow is an approval in a list.
type ApprovalRow struct {
	ID, State       string
	Action, Agent   Words
	Answers, Quorum int
	Until           time.Time
}

// Authenticator is what a human signs with, in a list.
type Authenticator struct{ Name, Kind, State string }

// Approval is the page of one approval. All that is in it but State, Answers and Open
// is read from the bytes that are signed.
type Approval struct {
	Page
	ID, State, Reversibility, Audience, DID, Sponsor, Capabilities, Role  string
	Name, Purpose, ResourceType, Resource, Task, Justification, Arguments Words
	Action, Statement                                                     Words
	Egress, BreakGlass, ReasonRequired, Odd, Open                         bool
	Quorum, Answered                                                      int
	Until                                                                 time.Time
	Digest                                                                string // base64url SHA-256 of the signed bytes
	Credentials                                                           string // ids of the visitor's passkeys, with spaces between
	Answers                                                               []Answer
}

// Answer is what one human said.
type Answer struct {
	Principal, Verdict string
	Reason             Words
	BreakGlass         bool
}

// Words is text that others wrote, cut where a character is not what it seems.
type Words struct{ Parts []Part }

// Part is a piece of text, or a name for a character that is not to be taken as it looks.
type Part struct {
	Text string
	Odd  bool
}

// Odd reports whether any character is marked.
func (w Words) Odd() bool {
	for _, p := range w.Parts {
		if p.Odd {
			return true
		}
	}
	return false
}

// Mark finds what is invisible, changes direction, is a letter of another alphabet within
// a word, or is a word of another alphabet that reads as a Latin one (Unicode Technical
// Standard 39, section 4): such a character is named by its number, beside itself where
// it can be seen.
func Mark(text string) Words {
	var w Words
	runes := []rune(text)
	for i := 0; i < len(runes); {
		if n := lettersAt(runes[i:]); n > 0 {
			w.word(runes[i : i+n])
			i += n
			continue
		}
		r := runes[i]
		if r != '\n' && r != ' ' && r != '\t' && (!unicode.IsGraphic(r) || unicode.In(r, unicode.Cf, unicode.Zs, unicode.Mn, unicode.Me, unicode.Co)) {
			w.Parts = append(w.Parts, Part{fmt.Sprintf("U+%04X", r), true})
		} else {
			w.plain(r)
		}
		i++
	}
	return w
}

func lettersAt(runes []rune) (n int) {
	for n < len(runes) && unicode.IsLetter(runes[n]) {
		n++
	}
	return n
}

func (w *Words) plain(r rune) {
	if n := len(w.Parts); n > 0 && !w.Parts[n-1].Odd {
		w.Parts[n-1].Text += string(r)
		return
	}
	w.Parts = append(w.Parts, Part{Text: string(r)})
}

// word adds letters in a row.
func (w *Words) word(letters []rune) {
	alphabet, alike := scriptOf(letters[0]), true
	for _, r := range letters {
		alike = alike && strings.ContainsRune(latinAlike, r)
		if scriptOf(r) == scriptLatin {
			alphabet = scriptLatin // the others in it are strangers
		}
	}
	for _, r := range letters {
		if alike || scriptOf(r) != alphabet {
			w.Parts = append(w.Parts, Part{fmt.Sprintf("%c U+%04X", r, r), true})
		} else {
			w.plain(r)
		}
	}
}

// latinAlike are Cyrillic and Greek letters that look as Latin ones do.
const latinAlike = "аеорсухіјѕԁһӏԛԝАВЕКМНОРСТУХІЈЅΑΒΕΖΗΙΚΜΝΟΡΤΥΧονρτυχ"

type script int

const (
	scriptLatin script = iota
	scriptCyrillic
	scriptGreek
	scriptOther
)

func scriptOf(r rune) script {
	switch {
	case unicode.Is(unicode.Latin, r):
		return scriptLatin
	case unicode.Is(unicode.Cyrillic, r):
		return scriptCyrillic
	case unicode.Is(unicode.Greek, r):
		return scriptGreek
	}
	return scriptOther
}

// MarkJSON is Mark for JSON, made readable. Escapes in it stay as they are: they are
// what was signed.
func MarkJSON(raw json.RawMessage) Words { return Mark(strings.TrimSpace(indent(raw))) }
