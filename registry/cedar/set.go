package cedar

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"

	cedar "github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/types"
	"github.com/cedar-policy/cedar-go/x/exp/ast"
)

// Set is a set of policies, ready to be evaluated. It is immutable and safe for
// concurrent use.
type Set struct {
	policies []policy // in the order of the text
	byID     map[string]*policy
	digest   string
	forbids  index
	permits  index
	reads    map[types.String]bool // members of the context
}

type policy struct {
	id     string
	stepUp *string // @step_up's reason; of a forbid
	source *cedar.Policy
	ast    *ast.Policy
}

// Annotations with a meaning. Others are kept and mean nothing.
const (
	annotateID     = "id"
	annotateStepUp = "step_up"
)

// Parse reads a text of policies without validating them: a set that was validated
// against what an org once knew still means what it says. An error is Faults.
func Parse(text string) (*Set, error) {
	if f := checkLimits(text); f != nil {
		return nil, Faults{*f}
	}
	list, err := cedar.NewPolicyListFromBytes("", []byte(text))
	if err != nil {
		return nil, Faults{parseFault(err)}
	}
	if len(list) > MaxPolicies {
		return nil, Faults{{Line: 1, Column: 1, Msg: fmt.Sprintf("more than %d policies", MaxPolicies)}}
	}
	s := &Set{policies: make([]policy, len(list)), reads: map[types.String]bool{}}
	var faults Faults
	forms := make([]string, len(list))
	seen := map[string]bool{}
	for i, source := range list {
		p := policy{id: fmt.Sprintf("policy%d", i), source: source, ast: (*ast.Policy)(source.AST())}
		fault := func(format string, args ...any) {
			faults = append(faults, p.fault(fmt.Sprintf(format, args...)))
		}
		notes := source.Annotations()
		if id, ok := notes[annotateID]; ok {
			if p.id = string(id); !isID(p.id) {
				p.id = fmt.Sprintf("policy%d", i)
				fault(`@id must be 1 to 64 of [A-Za-z0-9._-]`)
			}
		}
		if seen[p.id] {
			fault("another policy has this id")
		}
		seen[p.id] = true
		if reason, ok := notes[annotateStepUp]; ok {
			text := string(reason)
			p.stepUp = &text
			if source.Effect() == cedar.Permit {
				fault("@step_up is for forbid: it asks for an approval instead of a denial")
			}
			if len(text) > 256 || strings.ContainsFunc(text, func(r rune) bool { return r < 0x20 || r == 0x7f }) {
				fault("the reason of @step_up is at most 256 bytes without control characters")
			}
		}
		s.policies[i], forms[i] = p, string(source.MarshalCedar())
		s.mark(p.ast)
	}
	if len(faults) > 0 {
		return nil, faults.bounded()
	}
	s.digest = digest(s.policies, forms)
	s.byID = make(map[string]*policy, len(s.policies))
	for i := range s.policies {
		p := &s.policies[i]
		s.byID[p.id] = p
		if p.source.Effect() == cedar.Forbid {
			s.forbids.add(p)
		} else {
			s.permits.add(p)
		}
	}
	return s, nil
}

// Compile reads a text of policies and validates them. An error is Faults.
func Compile(text string, schema Schema) (*Set, error) {
	s, err := Parse(text)
	if err != nil {
		return nil, err
	}
	return s, s.Validate(schema)
}

// Digest is the base64url SHA-256 of the set: of the canonical form of each policy
// with its id, in the order of the ids. Comments, spaces and, where all policies
// are named, their order do not change it.
func (s *Set) Digest() string { return s.digest }

// Len is how many policies there are.
func (s *Set) Len() int { return len(s.policies) }

// IDs are the names of the policies, in the order of the text.
func (s *Set) IDs() []string {
	out := make([]string, len(s.policies))
	for i, p := range s.policies {
		out[i] = p.id
	}
	return out
}

func digest(policies []policy, forms []string) string {
	order := make([]int, len(policies))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return strings.Compare(policies[a].id, policies[b].id) })
	h := sha256.New()
	for _, i := range order {
		fmt.Fprintf(h, "%d %s\n%d %s\n", len(policies[i].id), policies[i].id, len(forms[i]), forms[i]) // no two sets are one text
	}
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}

func isID(s string) bool {
	return s != "" && len(s) <= 64 && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '.' && r != '_' && r != '-'
	})
}

func (p policy) fault(msg string) Fault {
	at := p.source.Position()
	return Fault{Policy: p.id, Line: at.Line, Column: at.Column, Msg: msg}
}

func (f Faults) bounded() Faults {
	if len(f) > maxFaults {
		return f[:maxFaults]
	}
	return f
}

// Reads reports whether a policy of the set may read the member of the context.
func (s *Set) Reads(member string) bool { return s.reads[types.String(member)] }

// mark notes which members of the context a policy reads, so that the others need
// not be made. A policy that handles the context as a whole reads them all.
func (s *Set) mark(p *ast.Policy) {
	for _, c := range p.Conditions {
		whole := 0
		ast.Inspect(ast.NewNode(c.Body), func(n ast.IsNode) bool {
			switch n := n.(type) {
			case ast.NodeTypeAccess:
				if isVariable(n.Arg, "context") {
					s.reads[n.Value] = true
					whole--
				}
			case ast.NodeTypeHas:
				if isVariable(n.Arg, "context") {
					s.reads[n.Value] = true
					whole--
				}
			case ast.NodeTypeVariable:
				if n.Name == "context" {
					whole++
				}
			}
			return true
		})
		if whole > 0 {
			for name := range contextType {
				s.reads[name] = true
			}
		}
	}
}

func isVariable(n ast.IsNode, name types.String) bool {
	v, ok := n.(ast.NodeTypeVariable)
	return ok && v.Name == name
}
