package capability

import (
	"fmt"
	"slices"
	"strings"
)

// Limits of a set. They bound what one decision costs.
const (
	MaxText        = 16 << 10 // bytes of a text, as given and in its canonical form
	MaxSet         = 100      // capabilities in a set
	MaxConstraints = 32       // constraints in a capability
	MaxName        = 64       // characters of a verb, type or argument name
	MaxPattern     = 256      // bytes of an id pattern
)

// Set is a set of capabilities in canonical order. The zero value is empty and
// covers nothing. A Set is immutable and may be shared between goroutines.
type Set struct{ caps []Capability }

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
)

// Constraint bounds the argument Name. Values holds no value for Any, at least one
// for In and NotIn, sorted and without repetition, and one for the others.
type Constraint struct {
	Name   string
	Op     Op
	Values []Value
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
func (c Constraint) String() string {
	switch c.Op {
	case Any:
		return c.Name
	case In, NotIn:
		return c.Name + " " + string(c.Op) + " [" + join(c.Values, ", ") + "]"
	}
	return c.Name + string(c.Op) + c.Values[0].String()
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
	s := Set{kept}
	if len(s.String()) > MaxText {
		return Set{}, fmt.Errorf("at most %d bytes in canonical form", MaxText)
	}
	return s, nil
}

// opOrder is the order of constraints on one name.
var opOrder = []Op{Any, Equal, NotEqual, Less, LessEqual, Greater, GreaterEqual, In, NotIn, Prefix}

// closeArguments puts the constraints of one capability in canonical order and
// refuses a second constraint of the same kind on a name.
func closeArguments(constraints []Constraint) ([]Constraint, error) {
	if len(constraints) > MaxConstraints {
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
	switch op {
	case Less, LessEqual, Greater, GreaterEqual:
		if values[0].kind != '0' {
			return Constraint{}, fmt.Errorf("a number after %s%s", name, op)
		}
	case Prefix:
		if values[0].kind != '"' {
			return Constraint{}, fmt.Errorf("a string after %s^=", name)
		}
	case In, NotIn:
		if len(values) == 0 {
			return Constraint{}, fmt.Errorf("a value after %s %s", name, op)
		}
		slices.SortFunc(values, func(a, b Value) int {
			if a.kind != b.kind {
				return int(a.kind) - int(b.kind)
			}
			return strings.Compare(a.text, b.text)
		})
		values = slices.Compact(values)
	}
	return Constraint{Name: name, Op: op, Values: values}, nil
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
