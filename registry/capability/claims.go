package capability

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/writ-registry/writ/internal/canon"
)

// DetailType is the RFC 9396 section 2 type of our authorization_details object.
const DetailType = "agent_capability"

type detailClaim struct {
	Type    string                              `json:"type"`
	Actions map[string]map[string][]alternative `json:"actions"`
}

type alternative struct {
	ID        string                      `json:"id,omitempty"`
	Arguments *map[string]constraintClaim `json:"arguments,omitempty"` // nil: free
}

type constraintClaim struct {
	Exact    json.RawMessage   `json:"exact,omitempty"`
	NotExact json.RawMessage   `json:"not_exact,omitempty"`
	Range    *rangeClaim       `json:"range,omitempty"`
	OneOf    []json.RawMessage `json:"one_of,omitempty"`
	NotOneOf []json.RawMessage `json:"not_one_of,omitempty"`
	Prefix   json.RawMessage   `json:"prefix,omitempty"`
	Contains []json.RawMessage `json:"contains,omitempty"`
	Subset   []json.RawMessage `json:"subset,omitempty"`
	Subpath  json.RawMessage   `json:"subpath,omitempty"`
	CIDR     json.RawMessage   `json:"cidr,omitempty"`
	Wildcard json.RawMessage   `json:"wildcard,omitempty"`
	All      []constraintClaim `json:"all,omitempty"` // each part has one member
	Any      []constraintClaim `json:"any,omitempty"`
}

type rangeClaim struct {
	Less         json.RawMessage `json:"lt,omitempty"`
	LessEqual    json.RawMessage `json:"lte,omitempty"`
	Greater      json.RawMessage `json:"gt,omitempty"`
	GreaterEqual json.RawMessage `json:"gte,omitempty"`
}

// MarshalJSON returns s as the claim authorization_details (package doc), in canonical
// JSON (RFC 8785).
func (s Set) MarshalJSON() ([]byte, error) {
	if s.claim != nil {
		return s.claim, nil
	}
	actions := map[string]map[string][]alternative{}
	for _, c := range s.caps {
		if actions[c.Verb] == nil {
			actions[c.Verb] = map[string][]alternative{}
		}
		if c.None {
			continue
		}
		alt := alternative{ID: c.ID}
		if c.Closed {
			args := map[string]constraintClaim{}
			for _, con := range c.Constraints {
				claim := args[con.Name]
				claim.set(con)
				args[con.Name] = claim
			}
			alt.Arguments = &args
		}
		actions[c.Verb][c.Type] = append(actions[c.Verb][c.Type], alt)
	}
	return canon.Marshal([]detailClaim{{Type: DetailType, Actions: actions}})
}

// UnmarshalJSON reads the claim and accepts only the form that MarshalJSON gives to
// the same set, in any JSON spelling of it. So null is never taken for absent, nor
// an unsorted or repeated alternative for another set.
func (s *Set) UnmarshalJSON(data []byte) error {
	var details []detailClaim
	if err := canon.Unmarshal(data, &details); err != nil {
		return err
	}
	if len(details) != 1 || details[0].Type != DetailType {
		return fmt.Errorf("authorization_details is not one object of type %s", DetailType)
	}
	var caps []Capability
	for verb, types := range details[0].Actions {
		if !isName(verb) {
			return errors.New("an action is not a name")
		}
		if len(types) == 0 {
			caps = append(caps, Capability{Verb: verb, None: true})
		}
		for kind, alternatives := range types {
			for _, alt := range alternatives {
				c, err := alt.capability(verb, kind)
				if err != nil {
					return fmt.Errorf("%s:%s: %w", verb, kind, err)
				}
				caps = append(caps, c)
			}
		}
	}
	set, err := newSet(caps)
	if err != nil {
		return fmt.Errorf("authorization_details: expected %w", err)
	}
	want, err := set.MarshalJSON()
	if err != nil {
		return err
	}
	if !bytes.Equal(data, want) {
		if got, err := canon.Canonical(data); err != nil || !bytes.Equal(got, want) {
			return errors.New("authorization_details is not in the form of its set")
		}
	}
	set.claim = want
	*s = set
	return nil
}

func (a alternative) capability(verb, kind string) (Capability, error) {
	c := Capability{Verb: verb, Type: kind, Closed: a.Arguments != nil}
	if !isName(kind) || kind == "none" {
		return c, errors.New("not a resource type")
	}
	if a.ID != "" {
		id, _, err := parsePattern(a.ID)
		if err != nil {
			return c, fmt.Errorf("id: expected %w", err)
		}
		c.ID, c.id = id.String(), id
	}
	if !c.Closed {
		return c, nil
	}
	for name, claim := range *a.Arguments {
		if !isName(name) {
			return c, errors.New("an argument is not a name")
		}
		constraints, err := claim.constraints(name)
		if err != nil {
			return c, err
		}
		c.Constraints = append(c.Constraints, constraints...)
	}
	var err error
	if c.Constraints, err = closeArguments(c.Constraints); err != nil {
		return c, fmt.Errorf("expected %w", err)
	}
	return c, nil
}

// set puts con where constraints finds it.
func (c *constraintClaim) set(con Constraint) {
	var values []json.RawMessage
	for _, v := range con.Values {
		values = append(values, v.json())
	}
	if c.Range == nil && (con.Op == Less || con.Op == LessEqual || con.Op == Greater || con.Op == GreaterEqual) {
		c.Range = &rangeClaim{}
	}
	switch con.Op {
	case Equal:
		c.Exact = values[0]
	case NotEqual:
		c.NotExact = values[0]
	case Less:
		c.Range.Less = values[0]
	case LessEqual:
		c.Range.LessEqual = values[0]
	case Greater:
		c.Range.Greater = values[0]
	case GreaterEqual:
		c.Range.GreaterEqual = values[0]
	case In:
		c.OneOf = values
	case NotIn:
		c.NotOneOf = values
	case Prefix:
		c.Prefix = values[0]
	case Contains:
		c.Contains = values
	case Subset:
		c.Subset = values
	case Subpath:
		c.Subpath = values[0]
	case CIDR:
		c.CIDR = values[0]
	case Wildcard:
		c.Wildcard = values[0]
	case AllOf, AnyOf:
		parts := make([]constraintClaim, len(con.Parts))
		for i, p := range con.Parts {
			parts[i].set(p)
		}
		if con.Op == AllOf {
			c.All = parts
		} else {
			c.Any = parts
		}
	}
}

// constraints returns the constraints of the claim on one argument; a claim without
// any is the name alone.
func (c constraintClaim) constraints(name string) ([]Constraint, error) {
	members := []struct {
		op     Op
		values []json.RawMessage
	}{
		{Equal, one(c.Exact)}, {NotEqual, one(c.NotExact)},
		{In, c.OneOf}, {NotIn, c.NotOneOf}, {Prefix, one(c.Prefix)},
		{Contains, c.Contains}, {Subset, c.Subset}, {Subpath, one(c.Subpath)}, {CIDR, one(c.CIDR)}, {Wildcard, one(c.Wildcard)},
	}
	if r := c.Range; r != nil {
		members = append(members, []struct {
			op     Op
			values []json.RawMessage
		}{
			{Less, one(r.Less)}, {LessEqual, one(r.LessEqual)},
			{Greater, one(r.Greater)}, {GreaterEqual, one(r.GreaterEqual)},
		}...)
	}
	var out []Constraint
	for _, m := range members {
		if len(m.values) == 0 {
			continue
		}
		var values []Value
		for _, raw := range m.values {
			v, err := parseValue(raw)
			if err != nil {
				return nil, fmt.Errorf("argument %s: %w", name, err)
			}
			values = append(values, v)
		}
		con, err := newConstraint(name, m.op, values)
		if err != nil {
			return nil, fmt.Errorf("expected %w", err)
		}
		out = append(out, con)
	}
	for op, claims := range map[Op][]constraintClaim{AllOf: c.All, AnyOf: c.Any} {
		if len(claims) == 0 {
			continue
		}
		var parts []Constraint
		for _, claim := range claims {
			part, err := claim.constraints(name)
			if err != nil {
				return nil, err
			}
			parts = append(parts, part...) // several in one part are not the form of the set
		}
		con, err := newCombination(name, op, parts)
		if err != nil {
			return nil, fmt.Errorf("expected %w", err)
		}
		out = append(out, con)
	}
	if len(out) == 0 {
		out = []Constraint{{Name: name}}
	}
	return out, nil
}

func one(raw json.RawMessage) []json.RawMessage {
	if raw == nil {
		return nil
	}
	return []json.RawMessage{raw}
}

// json returns the canonical JSON of v.
func (v Value) json() json.RawMessage {
	if v.kind != '"' {
		return json.RawMessage(v.text)
	}
	quoted, err := canon.Marshal(v.text)
	if err != nil {
		panic("capability: a string value that is not UTF-8: " + err.Error())
	}
	return quoted
}
