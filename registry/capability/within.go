package capability

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// maxSteps bounds what one comparison of two sets costs, to some milliseconds.
const maxSteps = 1 << 18

// Within reports, by no error, that s permits nothing that parent does not: for
// every act that s covers, parent covers it. It is sound and not complete: what it
// cannot prove it refuses. Each capability of s must be within one of parent. The
// error says which is not, in words that hold no more than the two sets do.
func (s Set) Within(parent Set) error {
	p := &prover{left: maxSteps}
	for _, c := range s.caps {
		if c.None || slices.ContainsFunc(parent.caps, func(o Capability) bool { return p.within(c, o) }) {
			continue
		}
		if p.left < 0 {
			return errors.New("the capabilities are too large to be compared")
		}
		return fmt.Errorf("%s is not within the capabilities above", c.text)
	}
	return nil
}

// prover proves that one thing is narrower than another, within a number of steps.
// When they are used up nothing is proven any more.
type prover struct{ left int }

func (p *prover) spend(n int) bool {
	p.left -= n
	return p.left >= 0
}

func (p *prover) within(c, parent Capability) bool {
	switch {
	case parent.None || c.Verb != parent.Verb || c.Type != parent.Type:
		return false
	case !p.spend(1+len(c.ID)*len(parent.ID)/16) || !c.id.within(parent.id):
		return false
	case !parent.Closed:
		return true
	case !c.Closed:
		return false
	}
	// The world is closed: no argument that parent does not name.
	for _, con := range c.Constraints {
		if !slices.ContainsFunc(parent.Constraints, func(o Constraint) bool { return o.Name == con.Name }) {
			return false
		}
	}
	for _, want := range parent.Constraints {
		if want.Op == Any {
			continue
		}
		var have []Constraint
		for _, con := range c.Constraints {
			if con.Name == want.Name && con.Op != Any {
				have = append(have, con)
			}
		}
		// Without any the argument may be absent, or anything.
		if len(have) == 0 || !p.implies(have, want) {
			return false
		}
	}
	return true
}

// implies proves that an argument which satisfies all of have satisfies want.
func (p *prover) implies(have []Constraint, want Constraint) bool {
	if !p.spend(len(have)) {
		return false
	}
	for i, h := range have {
		rest := slices.Concat(have[:i], have[i+1:])
		switch h.Op {
		case AllOf:
			return p.implies(slices.Concat(rest, h.Parts), want)
		case AnyOf: // one of the parts holds, whichever
			if every(h.Parts, func(part Constraint) bool { return p.implies(append(slices.Clone(rest), part), want) }) {
				return true
			}
			return len(rest) > 0 && p.implies(rest, want)
		}
	}
	switch want.Op {
	case AllOf:
		return every(want.Parts, func(part Constraint) bool { return p.implies(have, part) })
	case AnyOf:
		if slices.ContainsFunc(want.Parts, func(part Constraint) bool { return p.implies(have, part) }) {
			return true
		}
	}
	if values, ok := finite(have); ok {
		return p.spend(len(values)*len(have)) && every(values, func(v Value) bool {
			a := argument{scalar: v}
			return want.holds(a) || !holdAll(have, a)
		})
	}
	switch want.Op {
	case NotEqual, NotIn:
		return p.spend(len(want.Values)*len(have)) && excludes(have, want)
	case Equal, In, AllOf, AnyOf:
		return false // of infinitely many values
	}
	return slices.ContainsFunc(have, func(h Constraint) bool { return p.spend(len(h.Values)*len(want.Values)) && h.implies(want) })
}

func every[T any](list []T, f func(T) bool) bool {
	return !slices.ContainsFunc(list, func(v T) bool { return !f(v) })
}

func holdAll(list []Constraint, a argument) bool {
	return every(list, func(c Constraint) bool { return c.holds(a) })
}

// finite returns values outside of which nothing satisfies all of have.
func finite(have []Constraint) ([]Value, bool) {
	for _, h := range have {
		if h.Op == Equal || h.Op == In {
			return h.Values, true
		}
	}
	return nil, false
}

// excludes proves a prohibition: every argument that satisfies all of have is of the
// kind of a forbidden value, and no forbidden value satisfies them.
func excludes(have []Constraint, want Constraint) bool {
	kinds, known := []byte{'"', '0', 't'}, false
	for _, h := range have {
		if of := h.kinds(); of != nil {
			kinds = slices.DeleteFunc(kinds, func(k byte) bool { return !slices.Contains(of, k) })
			known = true
		}
	}
	return known &&
		every(kinds, func(k byte) bool { return slices.ContainsFunc(want.Values, func(v Value) bool { return v.kind == k }) }) &&
		every(want.Values, func(v Value) bool { return !holdAll(have, argument{scalar: v}) })
}

// kinds are the kinds of scalars that can satisfy c; nil: it holds for arrays.
func (c Constraint) kinds() []byte {
	switch c.Op {
	case Less, LessEqual, Greater, GreaterEqual:
		return []byte{'0'}
	case Prefix, Subpath, CIDR, Wildcard:
		return []byte{'"'}
	case Equal, NotEqual, In, NotIn:
		var out []byte
		for _, v := range c.Values {
			out = append(out, v.kind)
		}
		return out
	}
	return nil
}

// implies proves that c by itself implies want; neither is a value, a prohibition
// or a combination.
func (c Constraint) implies(want Constraint) bool {
	switch want.Op {
	case Less, LessEqual:
		return (c.Op == Less || c.Op == LessEqual) && (c.Values[0].num < want.Values[0].num ||
			c.Values[0].num == want.Values[0].num && (c.Op == Less || want.Op == LessEqual))
	case Greater, GreaterEqual:
		return (c.Op == Greater || c.Op == GreaterEqual) && (c.Values[0].num > want.Values[0].num ||
			c.Values[0].num == want.Values[0].num && (c.Op == Greater || want.Op == GreaterEqual))
	case Contains:
		return c.Op == Contains && every(want.Values, func(v Value) bool { return slices.Contains(c.Values, v) })
	case Subset:
		return c.Op == Subset && every(c.Values, func(v Value) bool { return slices.Contains(want.Values, v) })
	case CIDR:
		return c.Op == CIDR && c.network.Bits() >= want.network.Bits() && want.network.Contains(c.network.Addr())
	case Wildcard:
		return c.Op == Wildcard && c.glob.within(want.glob)
	case Subpath:
		path, _ := segments(c.Values[0].text)
		base, _ := segments(want.Values[0].text)
		return c.Op == Subpath && beneath(path, base)
	case Prefix:
		text := want.Values[0].text
		switch c.Op {
		case Prefix, Subpath: // what is below a path begins with it
			return strings.HasPrefix(c.Values[0].text, text)
		case Wildcard:
			return strings.HasPrefix(c.glob[0].literal, text)
		}
	}
	return false
}
