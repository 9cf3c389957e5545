package capability

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/writ-registry/writ/internal/canon"
)

// SyntaxError says where a text is not of the grammar. Offset counts bytes from 0;
// Line and Column count from 1, Column in bytes.
type SyntaxError struct {
	Offset, Line, Column int
	Expected             string // what could have stood there
	Found                string // what stands there, "end of text" at the end
}

// Error returns "line:column: expected …, found …".
func (e *SyntaxError) Error() string {
	return fmt.Sprintf("%d:%d: expected %s, found %s", e.Line, e.Column, e.Expected, e.Found)
}

// Parse reads the text form of a set. The error is a *SyntaxError.
func Parse(text string) (Set, error) {
	p := &parser{text: text}
	if len(text) > MaxText {
		return Set{}, p.failAt(MaxText, fmt.Sprintf("at most %d bytes", MaxText))
	}
	if i := invalidUTF8(text); i >= 0 {
		return Set{}, p.failAt(i, "UTF-8")
	}
	var caps []Capability
	for {
		p.space()
		if len(caps) == MaxSet {
			return Set{}, p.fail(fmt.Sprintf("at most %d capabilities", MaxSet))
		}
		c, err := p.capability()
		if err != nil {
			return Set{}, err
		}
		caps = append(caps, c)
		p.space()
		if p.end() {
			break
		}
		if !p.take(";") {
			return Set{}, p.fail(`";" or end of text`)
		}
	}
	s, err := newSet(caps)
	if err != nil {
		return Set{}, p.failAt(0, err.Error())
	}
	return s, nil
}

// MustParse is Parse for texts that are constants of a program or a test. It
// panics on an error.
func MustParse(text string) Set {
	s, err := Parse(text)
	if err != nil {
		panic("capability: " + err.Error())
	}
	return s
}

// parser reads text from pos on. Each method leaves pos after what it took, or at
// the fault if it fails.
type parser struct {
	text string
	pos  int
}

func (p *parser) capability() (Capability, error) {
	verb, err := p.name("verb")
	if err != nil {
		return Capability{}, err
	}
	if !p.take(":") {
		return Capability{}, p.fail(`":"`)
	}
	kind, err := p.name("resource type or none")
	if err != nil {
		return Capability{}, err
	}
	if kind == "none" {
		return Capability{Verb: verb, None: true}, nil
	}
	c := Capability{Verb: verb, Type: kind}
	if p.take("/") {
		start := p.pos
		for !p.end() && !p.patternEnd() {
			_, size := utf8.DecodeRuneInString(p.text[p.pos:])
			p.pos += size
		}
		id, bad, err := parsePattern(p.text[start:p.pos])
		if err != nil {
			p.pos = start + bad
			return Capability{}, p.fail(err.Error())
		}
		c.ID, c.id = id.String(), id
	}
	p.space()
	if p.peek() == '(' {
		c.Closed = true
		if c.Constraints, err = p.arguments(); err != nil {
			return Capability{}, err
		}
	}
	return c, nil
}

// patternEnd reports whether the pattern ends before pos, and steps over the
// backslash of an escape.
func (p *parser) patternEnd() bool {
	switch c := p.peek(); {
	case c == '\\' && p.pos+1 < len(p.text):
		p.pos++
		return false
	case strings.IndexByte("(); ,\t\r\n", c) >= 0:
		return true
	}
	return false
}

func (p *parser) arguments() ([]Constraint, error) {
	open := p.pos
	p.take("(")
	p.space()
	var constraints []Constraint
	for !p.take(")") {
		if len(constraints) > 0 {
			if !p.take(",") {
				return nil, p.fail(`"," or ")"`)
			}
			p.space()
		}
		c, err := p.constraint()
		if err != nil {
			return nil, err
		}
		constraints = append(constraints, c)
		p.space()
	}
	constraints, err := closeArguments(constraints)
	if err != nil {
		return nil, p.failAt(open, err.Error())
	}
	return constraints, nil
}

// operators in the order in which they are tried: the longer first.
var operators = []Op{Equal, NotEqual, LessEqual, GreaterEqual, Prefix, Less, Greater}

func (p *parser) constraint() (Constraint, error) {
	name, err := p.name("argument name")
	if err != nil {
		return Constraint{}, err
	}
	p.space()
	if c := p.peek(); c == ',' || c == ')' {
		return Constraint{Name: name}, nil
	}
	return p.bound(name, 0)
}

// bound reads what stands behind the name of an argument, or as a part of all and
// any at a depth.
func (p *parser) bound(name string, depth int) (Constraint, error) {
	op, err := p.operator()
	if err != nil {
		return Constraint{}, err
	}
	p.space()
	start := p.pos
	var c Constraint
	var values []Value
	switch op {
	case AllOf, AnyOf:
		var parts []Constraint
		if parts, err = p.parts(name, depth+1); err != nil {
			return c, err
		}
		if c, err = newCombination(name, op, parts); err != nil {
			return c, p.failAt(start, err.Error())
		}
		return c, nil
	case In, NotIn, Contains, Subset:
		values, err = p.list()
	default:
		var v Value
		v, err = p.value()
		values = []Value{v}
	}
	if err != nil {
		return c, err
	}
	if c, err = newConstraint(name, op, values); err != nil {
		return c, p.failAt(start, err.Error())
	}
	return c, nil
}

func (p *parser) parts(name string, depth int) ([]Constraint, error) {
	if depth > MaxNesting {
		return nil, p.fail(fmt.Sprintf("at most %d levels of all and any", MaxNesting))
	}
	if !p.take("(") {
		return nil, p.fail(`"("`)
	}
	var parts []Constraint
	for {
		p.space()
		c, err := p.bound(name, depth)
		if err != nil {
			return nil, err
		}
		if parts = append(parts, c); len(parts) > MaxConstraints {
			return nil, p.fail(fmt.Sprintf("at most %d constraints", MaxConstraints))
		}
		p.space()
		if p.take(")") {
			return parts, nil
		}
		if !p.take(",") {
			return nil, p.fail(`"," or ")"`)
		}
	}
}

// words are the operators that are words.
var words = []Op{In, Contains, Subset, Subpath, CIDR, Wildcard, AllOf, AnyOf}

func (p *parser) operator() (Op, error) {
	for _, op := range operators {
		if p.take(string(op)) {
			return op, nil
		}
	}
	if p.word("not") {
		p.space()
		if p.word("in") {
			return NotIn, nil
		}
		return "", p.fail("in")
	}
	for _, op := range words {
		if p.word(string(op)) {
			return op, nil
		}
	}
	return "", p.fail("a comparison")
}

func (p *parser) list() ([]Value, error) {
	if !p.take("[") {
		return nil, p.fail(`"["`)
	}
	var values []Value
	for {
		p.space()
		v, err := p.value()
		if err != nil {
			return nil, err
		}
		values = append(values, v)
		p.space()
		if p.take("]") {
			return values, nil
		}
		if !p.take(",") {
			return nil, p.fail(`"," or "]"`)
		}
	}
}

func (p *parser) value() (Value, error) {
	start := p.pos
	switch c := p.peek(); {
	case c == '"':
		return p.quoted()
	case c == '-' || '0' <= c && c <= '9':
		for !p.end() && strings.IndexByte("+-.eE0123456789", p.peek()) >= 0 {
			p.pos++
		}
	case nameStart(c):
		word, err := p.name("value")
		if err != nil {
			return Value{}, err
		}
		if !reservedWord(word) {
			return Value{kind: '"', text: word}, nil
		}
	default:
		return Value{}, p.fail("a value")
	}
	v, err := parseValue([]byte(p.text[start:p.pos]))
	if err != nil {
		return Value{}, p.failAt(start, "a value ("+err.Error()+")")
	}
	return v, nil
}

func (p *parser) quoted() (Value, error) {
	start := p.pos
	for p.pos++; !p.end(); p.pos++ {
		switch p.peek() {
		case '\\':
			p.pos++ // whatever is escaped does not end the string
		case '"':
			p.pos++
			v, err := parseValue([]byte(p.text[start:p.pos]))
			if err != nil {
				return Value{}, p.failAt(start, "a JSON string ("+err.Error()+")")
			}
			return v, nil
		}
	}
	p.pos = len(p.text)
	return Value{}, p.fail(`closing "\""`)
}

// parseValue reads one JSON string, number or boolean.
func parseValue(data []byte) (Value, error) {
	text, err := canon.Canonical(data)
	if err != nil {
		return Value{}, err
	}
	switch c := text[0]; {
	case c == '"' && bytes.IndexByte(text, '\\') < 0:
		return Value{kind: '"', text: string(text[1 : len(text)-1])}, nil
	case c == '"':
		v := Value{kind: '"'}
		err := canon.Unmarshal(text, &v.text)
		return v, err
	case c == 't' || c == 'f':
		return Value{kind: 't', text: string(text)}, nil
	case c == '-' || '0' <= c && c <= '9':
		num, err := strconv.ParseFloat(string(text), 64)
		return Value{kind: '0', text: string(text), num: num}, err
	}
	return Value{}, errNotScalar
}

var errNotScalar = fmt.Errorf("not a string, number or boolean")

func (p *parser) end() bool { return p.pos >= len(p.text) }

// peek returns the next byte, 0 at the end. NUL itself is nowhere valid.
func (p *parser) peek() byte {
	if p.end() {
		return 0
	}
	return p.text[p.pos]
}

func (p *parser) space() {
	for !p.end() && strings.IndexByte(" \t\r\n", p.peek()) >= 0 {
		p.pos++
	}
}

func (p *parser) take(token string) bool {
	if !strings.HasPrefix(p.text[p.pos:], token) {
		return false
	}
	p.pos += len(token)
	return true
}

// word takes a keyword that does not go on as a longer name.
func (p *parser) word(w string) bool {
	rest := p.text[p.pos:]
	if !strings.HasPrefix(rest, w) || len(rest) > len(w) && nameByte(rest[len(w)]) {
		return false
	}
	p.pos += len(w)
	return true
}

func (p *parser) name(what string) (string, error) {
	start := p.pos
	if !nameStart(p.peek()) {
		return "", p.fail(what)
	}
	for !p.end() && nameByte(p.peek()) {
		p.pos++
	}
	if p.pos-start > MaxName {
		return "", p.failAt(start, fmt.Sprintf("%s of at most %d characters", what, MaxName))
	}
	return p.text[start:p.pos], nil
}

func (p *parser) fail(expected string) error { return p.failAt(p.pos, expected) }

func (p *parser) failAt(offset int, expected string) error {
	offset = min(offset, len(p.text))
	before := p.text[:offset]
	e := &SyntaxError{
		Offset:   offset,
		Line:     1 + strings.Count(before, "\n"),
		Column:   offset - strings.LastIndexByte(before, '\n'),
		Expected: expected,
		Found:    "end of text",
	}
	if offset < len(p.text) {
		r, _ := utf8.DecodeRuneInString(p.text[offset:])
		e.Found = strconv.QuoteRune(r)
	}
	return e
}

func invalidUTF8(s string) int {
	for i, r := range s {
		if r == utf8.RuneError && !strings.HasPrefix(s[i:], "\uFFFD") {
			return i
		}
	}
	return -1
}

// patternRune reports whether r may stand unescaped in a pattern.
func patternRune(r rune) bool { return unicode.IsPrint(r) && !strings.ContainsRune(special, r) }
