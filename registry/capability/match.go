package capability

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/writ-registry/writ/internal/canon"
)

// Resource names what is acted on, as AuthZEN does (Authorization API 1.0 section
// 5.2).
type Resource struct {
	Type string `json:"type"`
	ID   string `json:"id"`
}

// Act is one act of an agent: what is decided, what the agent signs, and what the
// resource executes.
type Act struct {
	Action    string          // AuthZEN action.name
	Resource  Resource        // AuthZEN resource
	Arguments json.RawMessage // AuthZEN action.properties, a strict JSON object; empty is {}
	Task      string          // the task the act belongs to, "" if none
}

// Digest returns base64url(SHA-256(JCS(act))), the adg of an action proof, where
// act is the object {"action", "arguments", "resource": {"id", "type"}, "task"}
// with every member present (RFC 8785). It errs if Arguments is not a strict JSON
// object or a string is not UTF-8.
func (a Act) Digest() (string, error) {
	for _, s := range []string{a.Action, a.Resource.Type, a.Resource.ID, a.Task} {
		// Encoders replace invalid bytes: two acts would share a digest.
		if !utf8.ValidString(s) {
			return "", errors.New("act: not UTF-8")
		}
	}
	form := canon.AppendString([]byte(`{"action":`), a.Action)
	form = append(form, `,"arguments":`...)
	form, err := a.appendArguments(form)
	if err != nil {
		return "", err
	}
	form = canon.AppendString(append(form, `,"resource":{"id":`...), a.Resource.ID)
	form = canon.AppendString(append(form, `,"type":`...), a.Resource.Type)
	form = canon.AppendString(append(form, `},"task":`...), a.Task)
	return canon.Digest(append(form, '}')), nil
}

// appendArguments appends the canonical form of the arguments, as a member of an
// object.
func (a Act) appendArguments(dst []byte) ([]byte, error) {
	if len(a.Arguments) == 0 {
		return append(dst, "{}"...), nil
	}
	form, err := canon.AppendCanonical(dst, a.Arguments, 1)
	if err != nil {
		return nil, fmt.Errorf("arguments: %w", err)
	}
	if form[len(dst)] != '{' {
		return nil, errNoObject
	}
	return form, nil
}

var errNoObject = errors.New("arguments: not an object")

// checkArguments demands a strict JSON object, or nothing.
func (a Act) checkArguments() error {
	if len(a.Arguments) == 0 {
		return nil
	}
	if err := canon.Check(a.Arguments); err != nil {
		return fmt.Errorf("arguments: %w", err)
	}
	if bytes.TrimLeft(a.Arguments, " \t\r\n")[0] != '{' {
		return errNoObject
	}
	return nil
}

// Reasons why a set does not cover an act.
const (
	ReasonNone     = "capability_none"    // verb:none removes the verb
	ReasonMissing  = "capability_missing" // nothing covers verb, type and id
	ReasonArgument = "argument_refused"   // something does, but not these arguments
)

// Match is the answer of Set.Match.
type Match struct {
	Covered    bool
	Reason     string // "" if covered, else one of the Reason constants
	Detail     string // for people: why not, without argument values
	Capability string // canonical text of the capability that covers or refuses, "" if missing
}

// Match reports whether s covers a. It is deterministic: capabilities are tried in
// canonical order, the first that covers is named; if none does, the first that
// only the arguments kept from covering gives the detail. Arguments that are no
// strict JSON object are refused whatever the set.
func (s Set) Match(a Act) Match {
	if err := a.checkArguments(); err != nil {
		return Match{Reason: ReasonArgument, Detail: err.Error()}
	}
	var args map[string]json.RawMessage // decoded when first asked for
	miss := Match{Reason: ReasonMissing, Detail: "no capability for this action on this resource"}
	for _, c := range s.caps {
		switch {
		case c.Verb != a.Action:
		case c.None:
			return Match{Reason: ReasonNone, Detail: "the verb is removed", Capability: c.text}
		case c.Type != a.Resource.Type || !c.id.match(a.Resource.ID):
		default:
			if c.Closed && args == nil {
				var err error
				if args, err = a.decoded(); err != nil {
					return Match{Reason: ReasonArgument, Detail: err.Error()}
				}
			}
			detail := c.refuse(args)
			if detail == "" {
				return Match{Covered: true, Capability: c.text}
			}
			if miss.Reason == ReasonMissing {
				miss = Match{Reason: ReasonArgument, Detail: detail, Capability: c.text}
			}
		}
	}
	return miss
}

// decoded returns the members of the arguments.
func (a Act) decoded() (map[string]json.RawMessage, error) {
	args := map[string]json.RawMessage{}
	if len(a.Arguments) == 0 {
		return args, nil
	}
	if err := canon.Unmarshal(a.Arguments, &args); err != nil {
		return nil, fmt.Errorf("arguments: %w", err)
	}
	return args, nil
}

// refuse returns why the arguments are outside c, "" if they are within.
func (c Capability) refuse(args map[string]json.RawMessage) string {
	if !c.Closed {
		return ""
	}
	var name string
	var v argument
	for _, con := range c.Constraints {
		raw, present := args[con.Name]
		if con.Op == Any {
			continue
		}
		if !present {
			return "argument " + con.Name + " is missing"
		}
		if con.Name != name {
			name, v = con.Name, readArgument(raw)
		}
		if !con.holds(v) {
			return "argument " + con.Name + " is not within " + con.String()
		}
	}
	var foreign []string
	for name := range args {
		if !slices.ContainsFunc(c.Constraints, func(con Constraint) bool { return con.Name == name }) {
			foreign = append(foreign, name)
		}
	}
	if len(foreign) > 0 {
		// The name is the caller's text: bounded, and quoted against control characters.
		return fmt.Sprintf("argument %.64q is not permitted", slices.Min(foreign))
	}
	return ""
}

// argument is the value of an argument: a scalar, an array of scalars, or neither.
type argument struct {
	scalar   Value // kind 0: none
	elements []Value
	array    bool
}

func readArgument(raw json.RawMessage) argument {
	if v, err := parseValue(raw); err == nil {
		return argument{scalar: v}
	}
	var elements []json.RawMessage
	if text := bytes.TrimLeft(raw, " \t\r\n"); len(text) == 0 || text[0] != '[' || canon.Unmarshal(raw, &elements) != nil {
		return argument{}
	}
	a := argument{array: true}
	for _, e := range elements {
		v, err := parseValue(e)
		if err != nil {
			return argument{}
		}
		a.elements = append(a.elements, v)
	}
	return a
}

// holds reports whether a satisfies con.
func (con Constraint) holds(a argument) bool {
	in := func(list []Value) func(Value) bool { return func(v Value) bool { return slices.Contains(list, v) } }
	switch con.Op {
	case AllOf:
		return !slices.ContainsFunc(con.Parts, func(p Constraint) bool { return !p.holds(a) })
	case AnyOf:
		return slices.ContainsFunc(con.Parts, func(p Constraint) bool { return p.holds(a) })
	case Contains:
		return a.array && every(con.Values, in(a.elements))
	case Subset:
		return a.array && every(a.elements, in(con.Values))
	}
	return a.scalar.kind != 0 && con.holdsScalar(a.scalar)
}

func (con Constraint) holdsScalar(v Value) bool {
	bound := con.Values[0]
	switch con.Op {
	case Equal, In:
		return slices.Contains(con.Values, v)
	case NotEqual, NotIn:
		known := func(w Value) bool { return w.kind == v.kind }
		return slices.ContainsFunc(con.Values, known) && !slices.Contains(con.Values, v)
	case Less, LessEqual, Greater, GreaterEqual:
		return v.kind == '0' && con.Op.orders(v.num, bound.num)
	}
	if v.kind != '"' {
		return false
	}
	switch con.Op {
	case Prefix:
		return strings.HasPrefix(v.text, bound.text)
	case Subpath:
		path, err := segments(v.text)
		base, _ := segments(bound.text) // it was read when the constraint was made
		return err == nil && beneath(path, base)
	case CIDR:
		ip, err := netip.ParseAddr(v.text)
		return err == nil && ip.Zone() == "" && !ip.Is4In6() && con.network.Contains(ip)
	case Wildcard:
		return con.glob.match(v.text)
	}
	return false
}

// orders reports whether a stands to b as the operator says.
func (op Op) orders(a, b float64) bool {
	switch op {
	case Less:
		return a < b
	case LessEqual:
		return a <= b
	case Greater:
		return a > b
	case GreaterEqual:
		return a >= b
	}
	return false
}
