package cedar

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/cedar-policy/cedar-go/types"
	"github.com/cedar-policy/cedar-go/x/exp/ast"
	"github.com/cedar-policy/cedar-go/x/exp/schema/resolved"
)

// uses is what a policy takes arguments and properties for. Nothing else says of
// which types they are.
type uses struct {
	args, decimals, props *usage
	conflicts             []string
}

// usage is what one name is taken for: a type, or a record of names.
type usage struct {
	as      resolved.IsType // nil: not known
	members map[types.String]*usage
}

func usesOf(p *ast.Policy) *uses {
	u := &uses{args: &usage{}, decimals: &usage{}, props: &usage{}}
	for _, c := range p.Conditions {
		ast.Inspect(ast.NewNode(c.Body), func(n ast.IsNode) bool { u.visit(n); return true })
	}
	slices.Sort(u.conflicts)
	u.conflicts = slices.Compact(u.conflicts)
	return u
}

// visit notes what an operator takes its operands for.
func (u *uses) visit(n ast.IsNode) {
	switch n := n.(type) {
	case ast.NodeTypeAccess:
		u.at(n)
	case ast.NodeTypeHas:
		u.at(ast.NodeTypeAccess(n))
	case ast.NodeTypeLike:
		u.take(n.Arg, resolved.StringType{})
	case ast.NodeTypeNot:
		u.take(n.Arg, resolved.BoolType{})
	case ast.NodeTypeAnd:
		u.both(n.BinaryNode, resolved.BoolType{})
	case ast.NodeTypeOr:
		u.both(n.BinaryNode, resolved.BoolType{})
	case ast.NodeTypeIfThenElse:
		u.take(n.If, resolved.BoolType{})
		u.same(n.Then, n.Else)
	case ast.NodeTypeLessThan:
		u.both(n.BinaryNode, resolved.LongType{})
	case ast.NodeTypeLessThanOrEqual:
		u.both(n.BinaryNode, resolved.LongType{})
	case ast.NodeTypeGreaterThan:
		u.both(n.BinaryNode, resolved.LongType{})
	case ast.NodeTypeGreaterThanOrEqual:
		u.both(n.BinaryNode, resolved.LongType{})
	case ast.NodeTypeAdd:
		u.both(n.BinaryNode, resolved.LongType{})
	case ast.NodeTypeSub:
		u.both(n.BinaryNode, resolved.LongType{})
	case ast.NodeTypeMult:
		u.both(n.BinaryNode, resolved.LongType{})
	case ast.NodeTypeNegate:
		u.take(n.Arg, resolved.LongType{})
	case ast.NodeTypeEquals:
		u.same(n.Left, n.Right)
	case ast.NodeTypeNotEquals:
		u.same(n.Left, n.Right)
	case ast.NodeTypeContains:
		u.take(n.Left, resolved.SetType{Element: orText(u.typeOf(n.Right))})
		if set, ok := u.typeOf(n.Left).(resolved.SetType); ok {
			u.take(n.Right, set.Element)
		}
	case ast.NodeTypeContainsAll:
		u.sets(n.BinaryNode)
	case ast.NodeTypeContainsAny:
		u.sets(n.BinaryNode)
	case ast.NodeTypeIsEmpty:
		u.take(n.Arg, resolved.SetType{Element: resolved.StringType{}})
	case ast.NodeTypeExtensionCall:
		switch n.Name {
		case "lessThan", "lessThanOrEqual", "greaterThan", "greaterThanOrEqual":
			for _, arg := range n.Args {
				u.take(arg, resolved.ExtensionType("decimal"))
			}
		}
	}
}

func (u *uses) both(n ast.BinaryNode, as resolved.IsType) {
	u.take(n.Left, as)
	u.take(n.Right, as)
}

func (u *uses) same(a, b ast.IsNode) {
	switch left, right := u.typeOf(a), u.typeOf(b); {
	case right != nil:
		u.take(a, right)
	case left != nil:
		u.take(b, left)
	}
}

func (u *uses) sets(n ast.BinaryNode) {
	either := u.typeOf(n.Left)
	if _, ok := either.(resolved.SetType); !ok {
		either = u.typeOf(n.Right)
	}
	if _, ok := either.(resolved.SetType); !ok {
		either = resolved.SetType{Element: resolved.StringType{}}
	}
	u.both(n, either)
}

// take says that an expression, if it is an argument or property, is of a type.
func (u *uses) take(n ast.IsNode, as resolved.IsType) {
	access, ok := n.(ast.NodeTypeAccess)
	if !ok {
		return
	}
	at := u.at(access)
	if at == nil || as == nil {
		return
	}
	switch {
	case at.as == nil:
		at.as = as
	case typeName(at.as) != typeName(as):
		names := []string{typeName(at.as), typeName(as)}
		slices.Sort(names)
		u.conflicts = append(u.conflicts, fmt.Sprintf("`%s` is used as %s and as %s", access.Value, names[0], names[1]))
	}
}

// at is the usage of a path that begins with the arguments or the properties; nil
// for any other.
func (u *uses) at(n ast.NodeTypeAccess) *usage {
	var parent *usage
	switch arg := n.Arg.(type) {
	case ast.NodeTypeVariable:
		if arg.Name == "principal" || arg.Name == "resource" {
			parent = u.props
		}
	case ast.NodeTypeAccess:
		switch {
		case isVariable(arg.Arg, "context") && arg.Value == "arguments":
			parent = u.args
		case isVariable(arg.Arg, "context") && arg.Value == "decimals":
			parent = u.decimals
		default:
			parent = u.at(arg)
		}
	}
	if parent == nil {
		return nil
	}
	if parent.members == nil {
		parent.members = map[types.String]*usage{}
	}
	if parent.members[n.Value] == nil {
		parent.members[n.Value] = &usage{}
	}
	return parent.members[n.Value]
}

// typeOf is the type of an expression as far as its form tells; nil if it does not.
func (u *uses) typeOf(n ast.IsNode) resolved.IsType {
	switch n := n.(type) {
	case ast.NodeValue:
		return typeOfValue(n.Value)
	case ast.NodeTypeSet:
		for _, e := range n.Elements {
			if t := u.typeOf(e); t != nil {
				return resolved.SetType{Element: t}
			}
		}
	case ast.NodeTypeAdd, ast.NodeTypeSub, ast.NodeTypeMult, ast.NodeTypeNegate:
		return resolved.LongType{}
	case ast.NodeTypeAccess:
		return u.typeOfPath(n)
	}
	return nil
}

func (u *uses) typeOfPath(n ast.NodeTypeAccess) resolved.IsType {
	if at := u.at(n); at != nil {
		if isVariable(n.Arg, "principal") && at.as == nil {
			if a, ok := agentAttributes[n.Value]; ok {
				return a.Type
			}
		}
		return at.as
	}
	var path []types.String // below the context
	for access, ok := n, true; ok; access, ok = access.Arg.(ast.NodeTypeAccess) {
		path = append(path, access.Value)
		if isVariable(access.Arg, "context") {
			var t resolved.IsType = contextType
			for _, name := range slices.Backward(path) {
				record, ok := t.(resolved.RecordType)
				if !ok {
					return nil
				}
				t = record[name].Type
			}
			return t
		}
	}
	return nil
}

func typeOfValue(v types.Value) resolved.IsType {
	switch v := v.(type) {
	case types.Boolean:
		return resolved.BoolType{}
	case types.Long:
		return resolved.LongType{}
	case types.String:
		return resolved.StringType{}
	case types.Decimal:
		return resolved.ExtensionType("decimal")
	case types.Set:
		for e := range v.All() {
			if t := typeOfValue(e); t != nil {
				return resolved.SetType{Element: t}
			}
		}
	}
	return nil
}

func (u *uses) arguments() resolved.RecordType { return u.args.record() }

// decimalArguments: whatever is asked of them, they are decimals.
func (u *uses) decimalArguments() resolved.RecordType {
	out := resolved.RecordType{}
	for name := range u.decimals.members {
		out[name] = resolved.Attribute{Type: resolved.ExtensionType("decimal"), Optional: true}
	}
	return out
}

// properties are those of any entity but an agent.
func (u *uses) properties() resolved.RecordType {
	out := u.props.record()
	out["id"] = required(resolved.StringType{})
	return out
}

func (u *usage) record() resolved.RecordType {
	out := make(resolved.RecordType, len(u.members))
	for name, m := range u.members {
		t := m.as
		if len(m.members) > 0 {
			t = m.record()
		}
		out[name] = resolved.Attribute{Type: orText(t), Optional: true}
	}
	return out
}

// orText: of what is only asked for, any type will do.
func orText(t resolved.IsType) resolved.IsType {
	if t == nil {
		return resolved.StringType{}
	}
	return t
}

func typeName(t resolved.IsType) string {
	switch t := t.(type) {
	case resolved.BoolType:
		return "a truth value"
	case resolved.LongType:
		return "a whole number"
	case resolved.StringType:
		return "text"
	case resolved.ExtensionType:
		return "a " + string(t)
	case resolved.SetType:
		return "a set of " + typeName(t.Element)
	case resolved.RecordType:
		names := make([]string, 0, len(t))
		for _, name := range slices.Sorted(maps.Keys(t)) {
			names = append(names, string(name))
		}
		return "a record of " + strings.Join(names, ", ")
	case resolved.EntityType:
		return "a " + string(t)
	}
	return fmt.Sprintf("%T", t)
}
