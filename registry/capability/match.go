package capability

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
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
	args, err := a.arguments()
	if err != nil {
		return "", err
	}
	form, err := canon.Marshal(struct {
		Action    string          `json:"action"`
		Arguments json.RawMessage `json:"arguments"`
		Resource  Resource        `json:"resource"`
		Task      string          `json:"task"`
	}{a.Action, args, a.Resource, a.Task})
	if err != nil {
		return "", fmt.Errorf("act: %w", err)
	}
	return canon.Digest(form), nil
}

// arguments returns the arguments as a strict JSON object.
func (a Act) arguments() (json.RawMessage, error) {
	if len(a.Arguments) == 0 {
		return json.RawMessage("{}"), nil
	}
	if err := canon.Check(a.Arguments); err != nil {
		return nil, fmt.Errorf("arguments: %w", err)
	}
	if bytes.TrimLeft(a.Arguments, " \t\r\n")[0] != '{' {
		return nil, errors.New("arguments: not an object")
	}
	return a.Arguments, nil
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
	args, err := a.decoded()
	if err != nil {
		return Match{Reason: ReasonArgument, Detail: err.Error()}
	}
	miss := Match{Reason: ReasonMissing, Detail: "no capability for this action on this resource"}
	for _, c := range s.caps {
		switch {
		case c.Verb != a.Action:
		case c.None:
			return Match{Reason: ReasonNone, Detail: "the verb is removed", Capability: c.text}
		case c.Type != a.Resource.Type || !c.id.match(a.Resource.ID):
		default:
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

func (a Act) decoded() (map[string]json.RawMessage, error) {
	raw, err := a.arguments()
	if err != nil {
		return nil, err
	}
	var args map[string]json.RawMessage
	if err := canon.Unmarshal(raw, &args); err != nil {
		return nil, fmt.Errorf("arguments: %w", err)
	}
	return args, nil
}

// refuse returns why the arguments are outside c, "" if they are within.
func (c Capability) refuse(args map[string]json.RawMessage) string {
	if !c.Closed {
		return ""
	}
	for _, con := range c.Constraints {
		raw, present := args[con.Name]
		if con.Op == Any {
			continue
		}
		if !present {
			return "argument " + con.Name + " is missing"
		}
		if v, err := parseValue(raw); err != nil || !con.holds(v) {
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

// holds reports whether v satisfies con.
func (con Constraint) holds(v Value) bool {
	bound := con.Values[0]
	switch con.Op {
	case Equal, In:
		return slices.Contains(con.Values, v)
	case NotEqual, NotIn:
		known := func(w Value) bool { return w.kind == v.kind }
		return slices.ContainsFunc(con.Values, known) && !slices.Contains(con.Values, v)
	case Prefix:
		return v.kind == '"' && strings.HasPrefix(v.text, bound.text)
	}
	if v.kind != '0' {
		return false
	}
	switch con.Op {
	case Less:
		return v.num < bound.num
	case LessEqual:
		return v.num <= bound.num
	case Greater:
		return v.num > bound.num
	case GreaterEqual:
		return v.num >= bound.num
	}
	return false
}
