package cedar

import (
	"iter"

	cedar "github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/types"
	"github.com/cedar-policy/cedar-go/x/exp/ast"
)

// index finds the policies whose scope may hold for a request, by its action and by
// its principal or the type of it. No action has members, so that in is ==.
type index map[place][]*policy

// place is where a policy is kept: the zero values are any action, any principal.
// A principal without an id is any of its type.
type place struct {
	action    types.String
	principal types.EntityUID
}

func (x *index) add(p *policy) {
	if *x == nil {
		*x = index{}
	}
	at := place{principal: principalOf(p.ast.Principal)}
	for _, action := range actionsOf(p.ast.Action) {
		at.action = action
		(*x)[at] = append((*x)[at], p)
	}
}

// all is a placeholder for any action.
var all = []types.String{""}

func actionsOf(scope ast.IsActionScopeNode) []types.String {
	switch s := scope.(type) {
	case ast.ScopeTypeEq:
		return actionIDs(s.Entity)
	case ast.ScopeTypeIn:
		return actionIDs(s.Entity)
	case ast.ScopeTypeInSet:
		return actionIDs(s.Entities...)
	}
	return all
}

// actionIDs leaves out what is no action of ours, which no request has.
func actionIDs(list ...types.EntityUID) (out []types.String) {
	seen := map[types.String]bool{}
	for _, uid := range list {
		if uid.Type == "Action" && uid.ID != "" && !seen[uid.ID] {
			seen[uid.ID] = true
			out = append(out, uid.ID)
		}
	}
	return out
}

func principalOf(scope ast.IsPrincipalScopeNode) types.EntityUID {
	switch s := scope.(type) {
	case ast.ScopeTypeEq:
		if s.Entity.ID != "" {
			return s.Entity
		}
		return types.EntityUID{Type: s.Entity.Type} // among those of its type: evaluation tells
	case ast.ScopeTypeIs:
		return types.EntityUID{Type: s.Type}
	case ast.ScopeTypeIsIn:
		return types.EntityUID{Type: s.Type}
	}
	return types.EntityUID{} // any, or the members of a group
}

// candidates are the policies of an index for one request, in no order. It
// implements cedar.PolicyIterator.
type candidates struct {
	index
	req cedar.Request
}

// All implements cedar.PolicyIterator.
func (c candidates) All() iter.Seq2[cedar.PolicyID, *cedar.Policy] {
	return func(yield func(cedar.PolicyID, *cedar.Policy) bool) {
		for _, action := range [...]types.String{"", c.req.Action.ID} {
			for _, principal := range [...]types.EntityUID{{}, {Type: c.req.Principal.Type}, c.req.Principal} {
				for _, p := range c.index[place{action, principal}] {
					if !yield(cedar.PolicyID(p.id), p.source) {
						return
					}
				}
			}
		}
	}
}
