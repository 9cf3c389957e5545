package cedar

import (
	"errors"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/cedar-policy/cedar-go/types"
	"github.com/cedar-policy/cedar-go/x/exp/ast"
	"github.com/cedar-policy/cedar-go/x/exp/schema/resolved"
	"github.com/cedar-policy/cedar-go/x/exp/schema/validate"
)

// Schema is what an org's policies are validated against. A User is always known,
// and an Agent.
type Schema struct {
	Actions []string // verb:type of the catalogue
	Types   []string // of entities that the org keeps, and of their groups
}

// contextType is the type of the context, but for the arguments.
var contextType = resolved.RecordType{
	"origin":   required(resolved.RecordType{"server": required(resolved.StringType{}), "pep": required(resolved.StringType{})}),
	"domain":   required(resolved.StringType{}),
	"workflow": required(resolved.StringType{}),
	"task":     required(resolved.StringType{}),
	"time": required(resolved.RecordType{
		"hour": required(resolved.LongType{}), "weekday": required(resolved.LongType{}), "epoch": required(resolved.LongType{}),
	}),
	"counts": required(resolved.RecordType{"hour": required(resolved.LongType{}), "day": required(resolved.LongType{})}),
	"risk": required(resolved.RecordType{
		"reversibility": required(resolved.StringType{}), "egress": required(resolved.BoolType{}), "material": required(resolved.BoolType{}),
		"known": required(resolved.BoolType{}), "level": required(resolved.LongType{}),
	}),
	"arguments": required(resolved.RecordType{}),
	"decimals":  required(resolved.RecordType{}),
}

var agentAttributes = func() resolved.RecordType {
	out := resolved.RecordType{"level": required(resolved.LongType{})}
	for _, name := range []types.String{"id", "name", "role", "org", "sponsor", "parent"} {
		out[name] = required(resolved.StringType{})
	}
	for _, name := range []types.String{"domains", "workflows"} {
		out[name] = required(resolved.SetType{Element: resolved.StringType{}})
	}
	return out
}()

func required(t resolved.IsType) resolved.Attribute { return resolved.Attribute{Type: t} }

// unlisted stands for the actions and types that the catalogue does not know: a
// policy for any of them is for these too.
const unlisted = "_unlisted"

// Validate holds the policies against a schema. An error is Faults.
func (s *Set) Validate(schema Schema) error {
	known := schema.declare()
	var faults Faults
	for _, p := range s.policies {
		for _, msg := range known.check(p.ast) {
			faults = append(faults, p.fault(msg))
		}
		if len(faults) >= maxFaults {
			break
		}
	}
	if len(faults) > 0 {
		return faults.bounded()
	}
	return nil
}

// declared is a schema in the library's terms, before a policy says of which types
// its arguments and properties are.
type declared struct {
	principals []types.EntityType
	entities   []types.EntityType // all that have properties
	actions    map[types.EntityUID]types.EntityType
	byType     []types.EntityUID // one action of each resource type

	schema *resolved.Schema // with every action, of which none applies
	groups []types.EntityType
}

func (s Schema) declare() *declared {
	d := &declared{actions: map[types.EntityUID]types.EntityType{}}
	open := map[types.EntityType]bool{userType: true}
	for _, t := range s.Types {
		open[entityType(t)] = true
	}
	delete(open, agentType)
	d.principals = append(slices.Sorted(maps.Keys(open)), agentType)
	seen := map[types.EntityType]bool{}
	for _, action := range append(slices.Sorted(slices.Values(s.Actions)), unlisted+":"+unlisted) {
		_, name, _ := strings.Cut(action, ":")
		t := entityType(name)
		d.actions[actionUID(action)] = t
		if !seen[t] {
			seen[t] = true
			d.byType = append(d.byType, actionUID(action))
		}
		if t != agentType {
			open[t] = true
		}
	}
	d.entities = slices.Sorted(maps.Keys(open))
	d.groups = append(slices.Clone(d.entities), agentType)
	d.schema = &resolved.Schema{Entities: map[types.EntityType]resolved.Entity{}, Actions: map[types.EntityUID]resolved.Action{}}
	d.schema.Entities[agentType] = resolved.Entity{Name: agentType, ParentTypes: d.groups, Shape: agentAttributes}
	for uid := range d.actions {
		d.schema.Actions[uid] = resolved.Action{Entity: types.Entity{UID: uid}}
	}
	return d
}

// check returns what is wrong with a policy, sorted.
func (d *declared) check(p *ast.Policy) (out []string) {
	uses := usesOf(p)
	if len(uses.conflicts) > 0 {
		return uses.conflicts
	}
	applied := d.apply(p, uses)
	err := validate.New(d.schema).Policy("", p)
	for _, uid := range applied {
		d.schema.Actions[uid] = resolved.Action{Entity: types.Entity{UID: uid}}
	}
	for _, e := range split(err) {
		if msg := hint(e.Error()); !slices.Contains(out, msg) {
			out = append(out, msg)
		}
	}
	if len(out) > 1 { // which follows from the others
		out = slices.DeleteFunc(out, func(msg string) bool { return strings.HasPrefix(msg, "unable to find an applicable action") })
	}
	slices.Sort(out)
	return out
}

// apply makes the schema that of one policy, and returns the actions that apply:
// those that its scope leaves, to what they are done to; where it leaves all, one
// of each type stands for the others, which are no different.
func (d *declared) apply(p *ast.Policy, uses *uses) (applied []types.EntityUID) {
	properties := uses.properties()
	for _, t := range d.entities {
		d.schema.Entities[t] = resolved.Entity{Name: t, ParentTypes: d.groups, Shape: properties}
	}
	context := maps.Clone(contextType)
	context["arguments"], context["decimals"] = required(uses.arguments()), required(uses.decimalArguments())
	list := d.byType
	if ids := actionsOf(p.Action); !slices.Equal(ids, all) {
		list = actionUIDs(ids)
	}
	for _, uid := range list {
		if t, ok := d.actions[uid]; ok {
			applied = append(applied, uid)
			d.schema.Actions[uid] = resolved.Action{Entity: types.Entity{UID: uid}, AppliesTo: &resolved.AppliesTo{
				Principals: d.principals, Resources: []types.EntityType{t}, Context: context,
			}}
		}
	}
	return applied
}

func actionUIDs(ids []types.String) []types.EntityUID {
	out := make([]types.EntityUID, len(ids))
	for i, id := range ids {
		out[i] = actionUID(string(id))
	}
	return out
}

func split(err error) (out []error) {
	var many interface{ Unwrap() []error }
	switch {
	case err == nil:
		return nil
	case errors.As(err, &many):
		for _, e := range many.Unwrap() {
			out = append(out, split(e)...)
		}
		return out
	}
	return []error{err}
}

// inContext is where the validator adds for which action it speaks. A fault is the
// same for all to which the policy applies, of which some stand for others.
var inContext = regexp.MustCompile(` in context for Action::"[^"]*"`)

// hint says what to do about the fault that is made most.
func hint(msg string) string {
	msg = inContext.ReplaceAllString(msg, " of the context")
	if strings.Contains(msg, "optional attribute") {
		return msg + " (it may be absent: ask for it with has first)"
	}
	return msg
}
