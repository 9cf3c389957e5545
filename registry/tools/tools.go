// Package tools reads what tools say of themselves, MCP tool lists and OpenAPI
// documents, and proposes entries for an org's action catalogue.
//
// A description is the word of whoever made the tool, so a proposal is a guess:
// the entry counts as irreversible, egress and material until a policy author
// has reviewed it. It is pinned by the digest of what was read, so a tool that
// changes its description is another tool.
//
// The package is pure: no I/O.
package tools

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/writ-registry/writ/internal/canon"
)

// MaxDescription is the longest description that is read, in bytes.
const MaxDescription = 8 << 20

// MaxTools is how many tools or operations a description may have.
const MaxTools = 1000

// maxTool is where the names of several tools of one action are cut off, in bytes.
const maxTool = 500

// Guess is what a description suggests of an action.
type Guess struct {
	Reversibility string `json:"reversibility"` // reversible | compensable | irreversible
	Egress        bool   `json:"egress"`        // an argument leaves the house
	Material      bool   `json:"material"`
	CompensatedBy string `json:"compensated_by,omitempty"` // verb:type
	Why           string `json:"why"`                      // for people
}

// Proposal is a catalogue entry that a description suggests.
type Proposal struct {
	Action string // verb:type
	Tool   string // as the description calls it: a tool's name, or METHOD /path
	Pin    string // base64url SHA-256 of the RFC 8785 form of the description
	Guess  Guess
}

// Error says what of a description cannot be read.
type Error struct {
	At  string // the tool or operation, "" for the whole
	Msg string
}

// Error returns the message.
func (e *Error) Error() string {
	if e.At == "" {
		return e.Msg
	}
	return e.At + ": " + e.Msg
}

func errorf(at, format string, args ...any) error { return &Error{at, fmt.Sprintf(format, args...)} }

// mcpTool is a tool definition (Model Context Protocol 2025-06-18, server/tools),
// as far as a guess depends on it. The annotations are hints, and default to the
// worse.
type mcpTool struct {
	Name        string `json:"name"`
	Annotations struct {
		ReadOnly    *bool `json:"readOnlyHint"`
		Destructive *bool `json:"destructiveHint"`
		OpenWorld   *bool `json:"openWorldHint"`
	} `json:"annotations"`
	InputSchema struct {
		Mapping struct {
			Evaluation struct {
				Action   map[string]any `json:"action"`
				Resource map[string]any `json:"resource"`
			} `json:"evaluation"`
		} `json:"x-authzen-mapping"`
	} `json:"inputSchema"`
}

// FromMCP proposes entries for the tools of an MCP server: the result of
// tools/list, the whole JSON-RPC response, or the array of tools. The action is
// call:NAME, or what the tool's own COAZ mapping says in literals (AuthZEN
// COAZ-MCP Binding, section 6). Proposals are sorted by action. Errors: *Error.
func FromMCP(data []byte) ([]Proposal, error) {
	list, err := mcpTools(data)
	if err != nil {
		return nil, err
	}
	out := make([]Proposal, 0, len(list))
	for i, raw := range list {
		var t mcpTool
		if err := json.Unmarshal(raw, &t); err != nil {
			return nil, errorf(fmt.Sprintf("tool %d", i), "is not a tool definition")
		}
		if t.Name == "" {
			return nil, errorf(fmt.Sprintf("tool %d", i), "has no name")
		}
		form, err := canon.Canonical(raw)
		if err != nil {
			return nil, errorf(t.Name, "%s", err)
		}
		out = append(out, Proposal{Action: mcpAction(t), Tool: t.Name, Pin: canon.Digest(form), Guess: guessMCP(t)})
	}
	return merged(out)
}

func mcpTools(data []byte) ([]json.RawMessage, error) {
	if len(data) > MaxDescription {
		return nil, errorf("", "is longer than %d bytes", MaxDescription)
	}
	if err := canon.Check(data); err != nil {
		return nil, errorf("", "%s", err)
	}
	var list []json.RawMessage
	if strings.HasPrefix(strings.TrimSpace(string(data)), "[") {
		if err := json.Unmarshal(data, &list); err != nil {
			return nil, errorf("", "is no list of tools")
		}
	} else {
		var whole struct {
			Tools  []json.RawMessage `json:"tools"`
			Result struct {
				Tools []json.RawMessage `json:"tools"`
			} `json:"result"`
		}
		if err := json.Unmarshal(data, &whole); err != nil {
			return nil, errorf("", "is no list of tools")
		}
		list = slices.Concat(whole.Tools, whole.Result.Tools)
	}
	switch {
	case len(list) == 0:
		return nil, errorf("", "has no tools")
	case len(list) > MaxTools:
		return nil, errorf("", "has more than %d tools", MaxTools)
	}
	return list, nil
}

func mcpAction(t mcpTool) string {
	verb, typ := "call", name(t.Name)
	of := t.InputSchema.Mapping.Evaluation
	if s, ok := of.Action["name"].(string); ok && literal(s) {
		verb = name(s)
	}
	if s, ok := of.Resource["type"].(string); ok && literal(s) {
		typ = name(s)
	}
	return verb + ":" + typ
}

// literal reports a value that no expression makes.
func literal(s string) bool { return s != "" && !strings.HasPrefix(s, "$") }

// reading begins the names of tools that only look.
var reading = []string{"get", "list", "read", "search", "find", "fetch", "describe", "show", "query", "count", "lookup"}

func guessMCP(t mcpTool) Guess {
	a := t.Annotations
	g := Guess{Reversibility: "irreversible", Egress: a.OpenWorld == nil || *a.OpenWorld, Material: true}
	first, _, _ := strings.Cut(strings.ToLower(t.Name), "_")
	switch {
	case a.ReadOnly != nil && *a.ReadOnly:
		g.Reversibility, g.Material, g.Why = "reversible", false, "its maker says that it only reads"
	case a.ReadOnly == nil && a.Destructive == nil && slices.Contains(reading, first):
		g.Reversibility, g.Material, g.Why = "reversible", false, "it is named like one that only reads"
	case a.Destructive != nil && !*a.Destructive:
		g.Reversibility, g.Why = "compensable", "its maker says that it only adds; what undoes it is not known"
	case a.Destructive != nil:
		g.Why = "its maker says that it destroys"
	default:
		g.Why = "nothing says that it can be undone"
	}
	return g
}

// name makes a name of the capability grammar of what a description calls
// something: other characters become "-".
func name(s string) string {
	out := strings.Map(func(r rune) rune {
		if r == '_' || r == '.' || r == '-' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
			return r
		}
		return '-'
	}, s)
	if out == "" || strings.IndexByte("0123456789.-", out[0]) >= 0 {
		out = "_" + out
	}
	return out[:min(len(out), 64)]
}

// merged sorts proposals by action. What several tools call by one name is one
// action: the worst guess of any, pinned by all.
func merged(list []Proposal) ([]Proposal, error) {
	slices.SortFunc(list, func(a, b Proposal) int {
		return cmp.Or(cmp.Compare(a.Action, b.Action), cmp.Compare(a.Tool, b.Tool), cmp.Compare(a.Pin, b.Pin))
	})
	out := list[:0]
	for _, p := range list {
		if len(out) == 0 || out[len(out)-1].Action != p.Action {
			out = append(out, p)
			continue
		}
		last := &out[len(out)-1]
		if last.Tool == p.Tool {
			return nil, errorf(p.Tool, "is described twice")
		}
		if len(last.Tool) < maxTool {
			last.Tool += ", " + p.Tool
		}
		last.Pin = canon.Digest([]byte(last.Pin + "\n" + p.Pin))
		if worse(p.Guess, last.Guess) {
			last.Guess.Reversibility, last.Guess.CompensatedBy, last.Guess.Why = p.Guess.Reversibility, p.Guess.CompensatedBy, p.Guess.Why
		}
		last.Guess.Egress = last.Guess.Egress || p.Guess.Egress
		last.Guess.Material = last.Guess.Material || p.Guess.Material
	}
	return out, nil
}

func worse(a, b Guess) bool {
	order := []string{"reversible", "compensable", "irreversible"}
	return slices.Index(order, a.Reversibility) > slices.Index(order, b.Reversibility)
}

// asJSON is v, as YAML or JSON decode it, as JSON; what JSON has no form for is
// an error.
func asJSON(v any) (raw []byte, err error) {
	defer func() {
		if recover() != nil { // maps with keys that are no strings
			err = errors.New("has members without names")
		}
	}()
	return json.Marshal(v)
}
