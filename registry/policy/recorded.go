package policy

import (
	"encoding/json"
	"errors"
	"strings"

	"github.com/writ-registry/writ/internal/canon"
	"github.com/writ-registry/writ/registry"
	"github.com/writ-registry/writ/registry/capability"
)

// recorded is a decision as it was recorded, of an agent or asserted (which has fewer
// members), with what is kept of its inputs.
type recorded struct {
	event registry.Event
	registry.DecisionMade
	inputs
	erased []string // names of inputs that the artifact commits to and that are not kept
}

// inputs are what the artifact of a decision commits to; nil or "" where that is none,
// or erased.
type inputs struct {
	subject, resource *Named
	payload           *payload
	context           Context // without properties
	told              bool    // context has the tool
	token, proof      string
	chain             []string // above token, root first
	budgets           []budgeted
	counts            *registry.Counts
}

// Named is a subject or resource by type and id, with what was asserted of it.
type Named struct {
	Type       string          `json:"type"`
	ID         string          `json:"id"`
	Properties json.RawMessage `json:"properties,omitempty"`
}

type payload struct {
	Arguments json.RawMessage `json:"arguments"`
	Task      string          `json:"task"`
}

var errErased = errors.New("the inputs of the decision are erased")

// readDecision reads the event of a decision and what is kept beside it.
func readDecision(tx registry.Tx, e registry.Event) (*recorded, error) {
	var artifact struct {
		Body registry.DecisionMade `json:"body"`
	}
	if err := canon.UnmarshalOpen(e.Artifact, &artifact); err != nil {
		return nil, err
	}
	r := &recorded{event: e, DecisionMade: artifact.Body}
	list, err := tx.Disclosures(e.CID)
	if err != nil {
		return nil, err
	}
	var around struct {
		Domain   string  `json:"domain"`
		Workflow string  `json:"workflow"`
		Tool     *string `json:"tool"`
	}
	into := map[string]any{"subject": &r.subject, "resource": &r.resource, "payload": &r.payload, "context": &around,
		"token": &r.token, "chain": &r.chain, "proof": &r.proof, "budgets": &r.budgets, "counts": &r.counts}
	kept := map[string]bool{}
	for _, d := range list {
		if v := into[d.Name]; v != nil && json.Unmarshal(d.Value, v) != nil {
			continue // its value was taken away
		}
		kept[d.Name] = true
	}
	for name := range r.Commitments {
		if !kept[name] {
			r.erased = append(r.erased, name)
		}
	}
	r.context.Domain, r.context.Workflow = around.Domain, around.Workflow
	if around.Tool != nil {
		r.context.Tool, r.told = *around.Tool, true
	}
	return r, nil
}

// codes are the recorded reasons.
func (r *recorded) codes() []Code {
	out := make([]Code, len(r.Reasons))
	for i, c := range r.Reasons {
		out[i] = Code(c)
	}
	return out
}

// act is what was, or was to be, done. Its inputs must be kept.
func (r *recorded) act() capability.Act {
	return capability.Act{
		Action: strings.TrimSuffix(r.Action, ":"+r.resource.Type), Resource: capability.Resource{Type: r.resource.Type, ID: r.resource.ID},
		Arguments: r.payload.Arguments, Task: r.payload.Task,
	}
}
