package cedar

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Fault is one thing that is wrong with a text. Line and Column count from 1; of
// what validation finds they are where the policy begins. Policy is "" where the
// text does not parse so far.
type Fault struct {
	Policy string `json:"policy,omitempty"`
	Line   int    `json:"line"`
	Column int    `json:"column"`
	Msg    string `json:"message"`
}

func (f Fault) Error() string {
	at := fmt.Sprintf("%d:%d: ", f.Line, f.Column)
	if f.Policy != "" {
		at += f.Policy + ": "
	}
	return at + f.Msg
}

// Faults is why a text is not a set of policies: at least one, in the order of the
// text, at most maxFaults.
type Faults []Fault

const maxFaults = 50

func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i, fault := range f {
		lines[i] = fault.Error()
	}
	return strings.Join(lines, "\n")
}

// The parser's errors begin in one of two ways; it says where it stood, which is
// often behind what it did not like.
var (
	parserPosition  = regexp.MustCompile(`parse error at (?:<input>:)?(\d+):(\d+) ("(?:[^"\\]|\\.)*"): `)
	scannerPosition = regexp.MustCompile(`<input>:(\d+):(\d+)(): `)
)

// parseFault takes the position out of the parser's words.
func parseFault(err error) Fault {
	msg := strings.TrimPrefix(err.Error(), "parser error: ")
	for _, form := range []*regexp.Regexp{parserPosition, scannerPosition} {
		at := form.FindStringSubmatchIndex(msg)
		if at == nil {
			continue
		}
		line, _ := strconv.Atoi(msg[at[2]:at[3]]) // digits
		column, _ := strconv.Atoi(msg[at[4]:at[5]])
		near := msg[at[6]:at[7]]
		if msg = msg[:at[0]] + msg[at[1]:]; near != "" {
			msg += ", at " + near
		}
		return Fault{Line: max(line, 1), Column: max(column, 1), Msg: msg}
	}
	return Fault{Line: 1, Column: 1, Msg: msg}
}
