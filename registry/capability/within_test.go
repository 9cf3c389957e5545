package capability

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

func TestWithin(t *testing.T) {
	for _, c := range []struct {
		child, parent string
		want          bool
	}{
		{"read:a", "read:a; write:b", true},
		{"read:a; read:none", "write:b", true}, // permits nothing
		{"read:a", "read:none", false},
		{"write:a", "read:a", false},
		{"read:b", "read:a", false},
		{"read:a", "read:a/**", false}, // a pattern is held against bounded ids only
		{"read:a/x*", "read:a", true},
		{"read:a/x*", "read:a/*", true},
		{"read:a/x*", "read:a/**", true},
		{"read:a/x**", "read:a/*", false},
		{"read:a/x/y", "read:a/*", false},
		{"read:a/x/y", "read:a/*/*", true},
		{"read:a/x/*y", "read:a/**y", true},
		{`read:a/\*`, "read:a/*", true},
		{"read:a/*", `read:a/\*`, false},
		{"read:a", "read:a()", false},
		{"read:a()", "read:a", true},
		{"read:a(x)", "read:a()", false},
		{"read:a()", "read:a(x)", true},
		{"read:a(x<5)", "read:a(x)", true},
		{"read:a(x)", "read:a(x<5)", false},
		{"read:a()", "read:a(x<5)", false}, // the parent demands an x
		{"read:a(x<5, y)", "read:a(x<5)", false},
		{"read:a(x<5)", "read:a(x<5, y)", true},

		{"read:a(x<5)", "read:a(x<=5)", true},
		{"read:a(x<=5)", "read:a(x<5)", false},
		{"read:a(x<=4)", "read:a(x<5)", true},
		{"read:a(x>=5)", "read:a(x>5)", false},
		{"read:a(x>5)", "read:a(x>=5)", true},
		{"read:a(x>5)", "read:a(x<6)", false},
		{"read:a(x<5)", "read:a(x<5, x>1)", false},
		{"read:a(x==3)", "read:a(x<5, x>1)", true},
		{`read:a(x=="3")`, "read:a(x<5)", false},
		{"read:a(x in [1, 3])", "read:a(x in [1, 2, 3])", true},
		{"read:a(x in [1, 4])", "read:a(x in [1, 2, 3])", false},
		{"read:a(x in [1, 9], x<5)", "read:a(x==1)", true},
		{"read:a(x<5)", "read:a(x!=7)", true},
		{"read:a(x<5)", "read:a(x!=4)", false},
		{"read:a(x<5)", "read:a(x!=b)", false},
		{"read:a(x!=4, x<5)", "read:a(x!=4)", true},
		{"read:a(x not in [a, b])", "read:a(x!=a)", true},
		{"read:a(x not in [a, 1])", "read:a(x!=a)", false}, // a number passes the child
		{"read:a(x!=a)", "read:a(x not in [a, b])", false},
		{"read:a(x^=b)", "read:a(x!=a)", true},

		{"read:a(x^=abc)", "read:a(x^=ab)", true},
		{"read:a(x^=ab)", "read:a(x^=abc)", false},
		{`read:a(x subpath "/d/e")`, `read:a(x subpath "/d")`, true},
		{`read:a(x subpath "/de")`, `read:a(x subpath "/d")`, false},
		{`read:a(x subpath "/d")`, `read:a(x subpath "/")`, true},
		{`read:a(x subpath d)`, `read:a(x subpath "/")`, false},
		{`read:a(x subpath "/d/e")`, `read:a(x^="/d")`, true},
		{`read:a(x^="/d/")`, `read:a(x subpath "/d")`, false}, // "/d/../x"
		{`read:a(x=="/d/e")`, `read:a(x subpath "/d")`, true},
		{`read:a(x cidr "10.1.0.0/16")`, `read:a(x cidr "10.0.0.0/8")`, true},
		{`read:a(x cidr "10.0.0.0/8")`, `read:a(x cidr "10.1.0.0/16")`, false},
		{`read:a(x cidr "fc00::/7")`, `read:a(x cidr "0.0.0.0/0")`, false},
		{`read:a(x wildcard "inv-7*")`, `read:a(x wildcard "inv-*")`, true},
		{`read:a(x wildcard "inv-**")`, `read:a(x wildcard "inv-*")`, false},
		{`read:a(x wildcard "inv-*")`, `read:a(x^=inv)`, true},
		{`read:a(x wildcard "*v")`, `read:a(x^=v)`, false},
		{"read:a(x contains [a, b])", "read:a(x contains [a])", true},
		{"read:a(x contains [a])", "read:a(x contains [a, b])", false},
		{"read:a(x subset [a])", "read:a(x subset [a, b])", true},
		{"read:a(x subset [a, c])", "read:a(x subset [a, b])", false},
		{"read:a(x subset [a])", "read:a(x contains [a])", false}, // the empty array
		{"read:a(x any(<2, ==3))", "read:a(x<5)", true},
		{"read:a(x any(<2, ==7))", "read:a(x<5)", false},
		{"read:a(x<2)", "read:a(x any(<5, ^=a))", true},
		{"read:a(x any(<2, ^=ab))", "read:a(x any(<5, ^=a))", true},
		{"read:a(x all(^=ab, ^=abc))", "read:a(x^=abc)", true},
		{"read:a(x^=abc)", "read:a(x all(^=ab, ^=abc))", true},
		{"read:a(x^=ab)", "read:a(x all(^=ab, ^=abc))", false},
		{"read:a(x any(<2, ==7), x<5)", "read:a(x<5)", true},
		{"read:a(x any(<5, ^=a))", "read:a(x!=7)", false},
	} {
		err := MustParse(c.child).Within(MustParse(c.parent))
		if (err == nil) != c.want {
			t.Errorf("%s within %s: got %v", c.child, c.parent, err)
		}
		if s := MustParse(c.child); s.Within(s) != nil {
			t.Errorf("%s is not within itself", c.child)
		}
	}
}

// The comparison of the largest sets ends, and does not prove what it gave up.
func TestWithinEnds(t *testing.T) {
	any := func(op, x string) string {
		var parts []string
		for i := range 6 {
			parts = append(parts, fmt.Sprintf("any(%s%s%d, %s%sz%d)", op, x, i, op, x, i))
		}
		return strings.Join(parts, ", ")
	}
	child := MustParse("a:b(x all(" + any("^=", "p") + "))")
	begin := time.Now()
	if child.Within(MustParse("a:b(x all("+any("^=", "q")+"))")) == nil {
		t.Error("proved what is not so")
	}
	var ids []string
	for i := range MaxSet {
		ids = append(ids, fmt.Sprintf("a:b/%02d%s", i, strings.Repeat("*/", 30)))
	}
	large := MustParse(strings.Join(ids, "; "))
	if large.Within(MustParse("a:b/zz; "+strings.Join(ids[1:], "; "))) == nil {
		t.Error("the first is not within the rest")
	}
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("took %s", took)
	}
}

// random makes sets and acts of a small world, so that acts often touch the bounds.
type random struct{ *rand.Rand }

func (r random) of(list ...string) string { return list[r.IntN(len(list))] }

func (r random) scalar() string {
	return r.of("1", "2", "3", "4", "2.5", "a", "ab", "abc", "b", "true", "false", `"/d"`, `"/d/e"`, `"/d/e/f"`, `"/de"`, `"d/e"`, `"/d/../e"`,
		`"10.0.0.1"`, `"10.1.0.1"`, `"11.0.0.1"`, `"fc00::1"`, `"a/b"`, `"1"`)
}

func (r random) list() string {
	var out []string
	for range 1 + r.IntN(3) {
		out = append(out, r.scalar())
	}
	return "[" + strings.Join(out, ", ") + "]"
}

func (r random) bound(depth int) string {
	number := []string{"1", "2", "2.5", "3", "4"}
	ops := 15
	if depth > 2 {
		ops = 13
	}
	switch r.IntN(ops) {
	case 0:
		return "==" + r.scalar()
	case 1:
		return "!=" + r.scalar()
	case 2:
		return "<" + r.of(number...)
	case 3:
		return "<=" + r.of(number...)
	case 4:
		return ">" + r.of(number...)
	case 5:
		return ">=" + r.of(number...)
	case 6:
		return "^=" + r.of("a", "ab", `"/d"`, `"/"`, `"10."`, `""`)
	case 7:
		return r.of(" in ", " not in ") + r.list()
	case 8:
		return " contains " + r.list()
	case 9:
		return " subset " + r.list()
	case 10:
		return " subpath " + r.of(`"/"`, `"/d"`, `"/d/e"`, "d", "a")
	case 11:
		return " cidr " + r.of(`"10.0.0.0/8"`, `"10.1.0.0/16"`, `"0.0.0.0/0"`, `"fc00::/7"`)
	case 12:
		return " wildcard " + r.of(`"*"`, `"**"`, `"a*"`, `"a**"`, `"*b"`, `"/d/*"`, `"/d/**"`, `"ab"`)
	}
	var parts []string
	for range 2 + r.IntN(2) {
		parts = append(parts, strings.TrimSpace(r.bound(depth+1)))
	}
	return " " + r.of("all", "any") + "(" + strings.Join(parts, ", ") + ")"
}

func (r random) capability() string {
	out := r.of("read", "pay") + ":" + r.of("a", "b")
	if r.IntN(3) == 0 {
		out += "/" + r.of("*", "**", "x*", "x**", "x/*", "**/y", "x/y", "*/*", "x", "x*y")
	}
	if r.IntN(4) == 0 {
		return out
	}
	var args []string
	for range r.IntN(4) {
		arg := r.of("x", "y", "z")
		if r.IntN(6) > 0 {
			arg += r.bound(0)
		}
		args = append(args, arg)
	}
	return out + "(" + strings.Join(args, ", ") + ")"
}

// set is random; nil parent is anything, else most of it is made of the parent's.
func (r random) set(parent *Set) Set {
	for {
		var caps []string
		for range 1 + r.IntN(3) {
			if parent == nil || r.IntN(8) == 0 {
				caps = append(caps, r.capability())
				continue
			}
			caps = append(caps, r.narrowed(parent.caps[r.IntN(len(parent.caps))]))
		}
		if r.IntN(20) == 0 {
			caps = append(caps, r.of("read", "pay")+":none")
		}
		if s, err := Parse(strings.Join(caps, "; ")); err == nil { // two "<" on one argument, say
			return s
		}
	}
}

// narrowed is a capability with a constraint, or an id, more or another.
func (r random) narrowed(c Capability) string {
	if c.None {
		return c.String()
	}
	out := c.Verb + ":" + c.Type
	switch {
	case c.ID != "" && r.IntN(3) > 0:
		out += "/" + c.ID
	case r.IntN(3) == 0:
		out += "/" + r.of("x", "x*", "x/y", "xy", "x/*", "*")
	}
	if !c.Closed && r.IntN(2) == 0 {
		return out
	}
	var args []string
	for _, con := range c.Constraints {
		switch r.IntN(5) {
		case 0:
			args = append(args, con.Name+r.bound(0))
		case 1:
			if con.Op != Any {
				args = append(args, con.Name+" all("+con.bound()+", "+strings.TrimSpace(r.bound(1))+")")
				break
			}
			fallthrough
		default:
			args = append(args, con.String())
		}
	}
	if r.IntN(8) == 0 {
		args = append(args, r.of("x", "y", "z")+r.bound(0))
	}
	return out + "(" + strings.Join(args, ", ") + ")"
}

func (r random) act() Act {
	args := map[string]json.RawMessage{}
	for range r.IntN(4) {
		text := r.scalar()
		if n := r.IntN(5); n == 0 {
			text = r.list()
		} else if n == 1 && r.IntN(4) == 0 {
			text = r.of("[]", "null", "{}", "[[1]]")
		}
		text = quoteWords(text)
		args[r.of("x", "y", "z")] = json.RawMessage(text)
	}
	raw, err := json.Marshal(args)
	if err != nil {
		panic(err) // the texts above are JSON
	}
	return Act{Action: r.of("read", "pay"), Resource: Resource{r.of("a", "b"), r.of("", "x", "xy", "x/y", "y", "x/z/y", "xzy")}, Arguments: raw}
}

// quoteWords makes JSON of a value of the text form.
func quoteWords(text string) string {
	for _, word := range []string{"abc", "ab", "a", "b"} {
		if text == word {
			return `"` + word + `"`
		}
	}
	if inner, ok := strings.CutPrefix(text, "["); ok && text != "[[1]]" && text != "[]" {
		parts := strings.Split(strings.TrimSuffix(inner, "]"), ", ")
		for i := range parts {
			parts[i] = quoteWords(parts[i])
		}
		return "[" + strings.Join(parts, ",") + "]"
	}
	return text
}

// Whatever a set within another covers, the other covers.
func TestWithinIsSound(t *testing.T) {
	r := random{rand.New(rand.NewPCG(1, 2))}
	proven, permitted := 0, 0
	for range 6000 {
		parent := r.set(nil)
		child := r.set(&parent)
		if child.Within(parent) != nil {
			continue
		}
		proven++
		for range 40 {
			a := r.act()
			if !child.Match(a).Covered {
				continue
			}
			permitted++
			if m := parent.Match(a); !m.Covered {
				t.Fatalf("%s\nis not within\n%s\nwhich refuses %s %v %s: %s", child, parent, a.Action, a.Resource, a.Arguments, m.Detail)
			}
		}
	}
	if proven < 1000 || permitted < 1000 {
		t.Errorf("%d were proven and %d acts permitted: the test has lost its teeth", proven, permitted)
	}
}
