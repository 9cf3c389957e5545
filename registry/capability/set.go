package capability

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"unicode"
)

// Limits of a set. They bound what one decision costs.
const (
	MaxText        = 16 << 10 // bytes of a text, as given and in its canonical form
	MaxSet         = 100      // capabilities in a set
	MaxConstraints = 32       // constraints in a capability
	MaxNesting     = 4        // all and any inside one another
	MaxName        = 64       // characters of a verb, type or argument name
	MaxPattern     = 256      // bytes of an id pattern
)

// Set is a set of capabilities in canonical order. The zero value is empty and
// covers nothing. A Set is immutable and may be shared between goroutines.
type Set struct {
	caps  []Capability
	claim []byte // canonical token form, if it was read from one
}

// Capability is one member of a Set.
type Capability struct {
	Verb string // AuthZEN action.name
	Type string // AuthZEN resource.type; "" if None
	ID   string // pattern over resource.id in canonical escaping; "" is any id
	None bool   // verb:none
	// Closed reports parentheses: only the arguments that Constraints names.
	Closed      bool
	Constraints []Constraint // by name, then operator

	id   pattern
	text string
}

// Op is the operator of a constraint. Any, the empty one, is a name alone.
type Op string

// The operators of the text form.
const (
	Any          Op = ""
	Equal        Op = "=="
	NotEqual     Op = "!="
	Less         Op = "<"
	LessEqual    Op = "<="
	Greater      Op = ">"
	GreaterEqual Op = ">="
	In           Op = "in"
	NotIn        Op = "not in"
	Prefix       Op = "^="
	Contains     Op = "contains" // an array with every listed value in it
	Subset       Op = "subset"   // an array with no other value in it
	Subpath      Op = "subpath"  // the path, or one below it
	CIDR         Op = "cidr"     // an IP address in the network
	Wildcard     Op = "wildcard" // a string that fits the pattern
	AllOf        Op = "all"
	AnyOf        Op = "any"
)

// Constraint bounds the argument Name. Values holds no value for Any, AllOf and
// AnyOf, at least one for In, NotIn, Contains and Subset, sorted and without
// repetition, and one for the others. Parts holds at least two constraints on the
// same argument for AllOf and AnyOf, by text and without repetition.
type Constraint struct {
	Name   string
	Op     Op
	Values []Value
	Parts  []Constraint

	network netip.Prefix // of CIDR
	glob    pattern      // of Wildcard
}

// Value is a JSON string, number or boolean. It is comparable.
type Value struct {
	kind byte   // '"', '0' or 't', as the JSON text begins
	text string // the string itself; else the canonical JSON text
	num  float64
}

// String returns v as the text form writes it: a bare word where that is possible,
// else canonical JSON.
func (v Value) String() string {
	if v.kind != '"' || isName(v.text) && !reservedWord(v.text) {
		return v.text
	}
	return string(v.json())
}

// String returns the constraint as the text form writes it.
func (c Constraint) String() string { return c.head() + strings.TrimPrefix(c.bound(), string(c.Op)) }

// head is the name and the operator.
func (c Constraint) head() string {
	if c.Op != Any && nameStart(c.Op[0]) {
		return c.Name + " " + string(c.Op)
	}
	return c.Name + string(c.Op)
}

// bound is the constraint without its name: how a part of all and any is written.
func (c Constraint) bound() string {
	switch c.Op {
	case Any:
		return ""
	case In, NotIn, Contains, Subset:
		return string(c.Op) + " [" + join(c.Values, ", ") + "]"
	case Subpath, CIDR, Wildcard:
		return string(c.Op) + " " + c.Values[0].String()
	case AllOf, AnyOf:
		parts := make([]string, len(c.Parts))
		for i, p := range c.Parts {
			parts[i] = p.bound()
		}
		return string(c.Op) + "(" + strings.Join(parts, ", ") + ")"
	}
	return string(c.Op) + c.Values[0].String()
}

// size counts the constraint and its parts, and how deep they are nested.
func (c Constraint) size() (n, depth int) {
	n = 1
	for _, p := range c.Parts {
		more, below := p.size()
		n, depth = n+more, max(depth, below+1)
	}
	return n, depth
}

// String returns the canonical text of c.
func (c Capability) String() string {
	if c.text != "" {
		return c.text
	}
	if c.None {
		return c.Verb + ":none"
	}
	s := c.Verb + ":" + c.Type
	if c.ID != "" {
		s += "/" + c.ID
	}
	if c.Closed {
		s += "(" + join(c.Constraints, ", ") + ")"
	}
	return s
}

// String returns the canonical text of s, which Parse reads back to an equal set.
func (s Set) String() string { return join(s.caps, "; ") }

// Len returns the number of capabilities.
func (s Set) Len() int { return len(s.caps) }

// All returns the capabilities in canonical order. The caller must not change what
// their Constraints point to.
func (s Set) All() []Capability { return slices.Clone(s.caps) }

// Equal reports whether s and o hold the same capabilities.
func (s Set) Equal(o Set) bool { return s.String() == o.String() }

// Scope returns the OAuth scope of s: its verb:type pairs as space-delimited tokens
// (RFC 6749 section 3.3, RFC 9068 section 2.2.3), each once, in canonical order.
// verb:none grants nothing and gives no token. Scope says less than the set: a
// resource that reads only scope must treat it as an upper bound.
func (s Set) Scope() string {
	var tokens []string
	for _, c := range s.caps {
		if token := c.Verb + ":" + c.Type; !c.None && !slices.Contains(tokens, token) {
			tokens = append(tokens, token)
		}
	}
	return strings.Join(tokens, " ")
}

func join[T fmt.Stringer](items []T, sep string) string {
	var b strings.Builder
	for i, item := range items {
		if i > 0 {
			b.WriteString(sep)
		}
		b.WriteString(item.String())
	}
	return b.String()
}

// newSet brings capabilities, each already valid by itself, into canonical order.
// The errors of this file say what was expected, as in SyntaxError.
func newSet(caps []Capability) (Set, error) {
	if len(caps) > MaxSet {
		return Set{}, fmt.Errorf("at most %d capabilities", MaxSet)
	}
	removed := map[string]bool{}
	for _, c := range caps {
		removed[c.Verb] = removed[c.Verb] || c.None
	}
	var kept []Capability
	for _, c := range caps {
		if removed[c.Verb] && !c.None {
			continue
		}
		c.text = c.String()
		kept = append(kept, c)
	}
	slices.SortFunc(kept, func(a, b Capability) int { return strings.Compare(a.text, b.text) })
	kept = slices.CompactFunc(kept, func(a, b Capability) bool { return a.text == b.text })
	s := Set{caps: kept}
	if len(s.String()) > MaxText {
		return Set{}, fmt.Errorf("at most %d bytes in canonical form", MaxText)
	}
	return s, nil
}

// opOrder is the order of constraints on one name.
var opOrder = []Op{
	Any, Equal, NotEqual, Less, LessEqual, Greater, GreaterEqual, In, NotIn, Prefix,
	Contains, Subset, Subpath, CIDR, Wildcard, AllOf, AnyOf,
}

// closeArguments puts the constraints of one capability in canonical order and
// refuses a second constraint of the same kind on a name.
func closeArguments(constraints []Constraint) ([]Constraint, error) {
	total := 0
	for _, c := range constraints {
		n, _ := c.size()
		total += n
	}
	if total > MaxConstraints {
		return nil, fmt.Errorf("at most %d constraints", MaxConstraints)
	}
	slices.SortFunc(constraints, func(a, b Constraint) int {
		if a.Name != b.Name {
			return strings.Compare(a.Name, b.Name)
		}
		return slices.Index(opOrder, a.Op) - slices.Index(opOrder, b.Op)
	})
	for i := 1; i < len(constraints); i++ {
		a, b := constraints[i-1], constraints[i]
		if a.Name == b.Name && a.Op == Any {
			return nil, fmt.Errorf("%s either alone or constrained", a.Name)
		}
		if a.Name == b.Name && a.Op == b.Op {
			return nil, fmt.Errorf("at most one constraint %s on %s", a.Op, a.Name)
		}
	}
	return constraints, nil
}

// newConstraint checks that the values fit the operator and sorts a list.
func newConstraint(name string, op Op, values []Value) (Constraint, error) {
	c := Constraint{Name: name, Op: op, Values: values}
	switch op {
	case Less, LessEqual, Greater, GreaterEqual:
		if values[0].kind != '0' {
			return c, fmt.Errorf("a number after %s", c.head())
		}
	case Prefix, Subpath, CIDR, Wildcard:
		if values[0].kind != '"' {
			return c, fmt.Errorf("a string after %s", c.head())
		}
	case In, NotIn, Contains, Subset:
		if len(values) == 0 {
			return c, fmt.Errorf("a value after %s", c.head())
		}
		slices.SortFunc(values, func(a, b Value) int {
			if a.kind != b.kind {
				return int(a.kind) - int(b.kind)
			}
			return strings.Compare(a.text, b.text)
		})
		c.Values = slices.Compact(values)
	}
	var err error
	switch op {
	case Subpath:
		_, err = segments(values[0].text)
	case CIDR:
		c.network, err = parseNetwork(values[0].text)
	case Wildcard:
		if c.glob, err = parseGlob(values[0].text); err == nil {
			c.Values = []Value{{kind: '"', text: c.glob.text(globSpecial)}}
		}
	}
	return c, err
}

// newCombination joins constraints on one argument by AllOf or AnyOf.
func newCombination(name string, op Op, parts []Constraint) (Constraint, error) {
	slices.SortFunc(parts, func(a, b Constraint) int { return strings.Compare(a.bound(), b.bound()) })
	parts = slices.CompactFunc(parts, func(a, b Constraint) bool { return a.bound() == b.bound() })
	c := Constraint{Name: name, Op: op, Parts: parts}
	if len(parts) < 2 || slices.ContainsFunc(parts, func(p Constraint) bool { return p.Op == Any }) {
		return c, fmt.Errorf("two or more different constraints after %s", c.head())
	}
	if _, depth := c.size(); depth > MaxNesting {
		return c, fmt.Errorf("at most %d levels of all and any", MaxNesting)
	}
	return c, nil
}

// parseNetwork reads an IP network in its one spelling: no host bits, and none of
// IPv4 inside IPv6, which others may take for either.
func parseNetwork(s string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(s)
	if err != nil || p.Masked() != p || p.String() != s || p.Addr().Is4In6() {
		return p, errors.New("a network such as 10.0.0.0/8, in its canonical form")
	}
	return p, nil
}

// segments splits a path. It refuses what another reader might take for another
// path: empty, "." and ".." segments (so a final "/", too), backslashes, percent
// signs and control characters. "/" is the root; every path is below it that begins
// with "/".
func segments(path string) ([]string, error) {
	if path == "/" {
		return []string{""}, nil
	}
	s := strings.Split(path, "/")
	for i, part := range s {
		if part == "" && i > 0 || part == "." || part == ".." || strings.ContainsFunc(part, func(r rune) bool { return r == '\\' || r == '%' || unicode.IsControl(r) }) || path == "" {
			return nil, errors.New("a path without empty, . and .. segments, backslash, percent and control characters")
		}
	}
	return s, nil
}

// beneath reports whether a path, by its segments, is base or below it.
func beneath(path, base []string) bool {
	return len(path) >= len(base) && slices.Equal(path[:len(base)], base)
}

func isName(s string) bool {
	if s == "" || len(s) > MaxName || !nameStart(s[0]) {
		return false
	}
	for i := range len(s) {
		if !nameByte(s[i]) {
			return false
		}
	}
	return true
}

func nameStart(c byte) bool { return c == '_' || 'a' <= c|0x20 && c|0x20 <= 'z' }

func nameByte(c byte) bool {
	return nameStart(c) || '0' <= c && c <= '9' || c == '.' || c == '-'
}

// reservedWord reports the words that mean a JSON literal and so are no bare
// strings.
func reservedWord(s string) bool { return s == "true" || s == "false" || s == "null" }
