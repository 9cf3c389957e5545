package policy

import (
	"cmp"
	"slices"

	"github.com/maypok86/otter/v2"

	"github.com/writ-registry/writ/internal/canon"
	"github.com/writ-registry/writ/registry"
	"github.com/writ-registry/writ/registry/cedar"
)

// rules are an org's own policies, compiled. Decisions share them.
type rules struct {
	set    *cedar.Set // nil: there are none
	broken bool       // there are, and nobody can read them
	digest string     // names what decisions are made by
}

// noRules are those of an org without policies, and of nobody.
var noRules = &rules{digest: PolicyDigest}

// compiled remembers sets by their digest: an org's epoch moves more often than its
// policies do.
type compiled = otter.Cache[string, *rules]

// maxCompiled bounds them, at some 1 KiB a policy.
const maxCompiled = 128

func newCompiled() *compiled {
	return otter.Must(&otter.Options[string, *rules]{MaximumSize: maxCompiled})
}

// rulesOf returns the policies of an org that hold.
func rulesOf(tx registry.Tx, cache *compiled, org string) (*rules, error) {
	active, err := tx.ActivePolicies(org)
	if err != nil || active.Version == 0 {
		return noRules, err
	}
	if have, ok := cache.GetIfPresent(active.Digest); ok {
		return have, nil
	}
	text, err := tx.PolicyText(org, active.Version)
	if err != nil {
		return nil, err
	}
	out := &rules{digest: digestWith(active.Digest)}
	// They were validated before they held. Should they not parse now, or be others
	// than those whose digest the log has, nothing is permitted by guessing.
	if out.set, err = cedar.Parse(text); err != nil || out.set.Digest() != active.Digest {
		out.set, out.broken = nil, true
	}
	cache.Set(active.Digest, out)
	return out, nil
}

// digestWith is PolicyDigest for an org with policies of its own.
func digestWith(policies string) string {
	form, err := canon.Marshal(map[string]any{"checks": PolicyDigest, "policies": policies})
	if err != nil {
		panic(err) // two strings
	}
	return canon.Digest(form)
}

// checkPolicies lets the org's policies narrow what the grant permits: for the agent,
// and for each of the org's agents whose authority it was handed, or a forbidden one
// would have another act. Nothing is asked of them before the act is proven.
func checkPolicies(f *facts) (out []Reason) {
	if f.rules == nil || f.agent == nil || f.grant == nil || f.proof.code != "" {
		return nil // said by others
	}
	if f.rules.broken {
		return []Reason{{PolicyError, "the policies cannot be read"}}
	}
	if f.rules.set == nil {
		return nil
	}
	for _, who := range f.principals {
		found, err := f.rules.set.Narrow(cedar.Request{
			Principal: who.self, Groups: append(slices.Clip(who.groups), f.around...), Resource: f.resource, Action: f.entry.Action, Context: f.circumstances(),
		})
		for _, r := range narrowed(found, err) {
			if !slices.Contains(out, r) {
				out = append(out, r)
			}
		}
	}
	return inOrder(out)
}

// circumstances are what the policies see of them.
func (f *facts) circumstances() cedar.Context {
	c := cedar.Context{
		Server: f.proof.audience, Domain: cmp.Or(f.context.Domain, f.entry.Domain), Workflow: cmp.Or(f.context.Workflow, f.entry.Workflow),
		Task: f.act.Task, Time: f.now, Risk: riskOf(f.catalogue, f.entry), Arguments: f.act.Arguments,
		Hour: f.counts.Hour, Day: f.counts.Day,
	}
	if f.pep != nil {
		c.PEP = f.pep.ID
	}
	return c
}

func riskOf(c registry.Catalogue, e registry.CatalogueAction) cedar.Risk {
	_, known := c.Find(e.Action)
	return cedar.Risk{Reversibility: string(e.Reversibility), Egress: e.Egress, Material: e.Material, Known: known, Level: e.MinLevel}
}

// narrowed turns what forbids say into reasons.
func narrowed(found cedar.Result, err error) (out []Reason) {
	if err != nil {
		return []Reason{{PolicyError, "the arguments cannot be read"}}
	}
	for _, id := range found.Forbidden {
		out = append(out, Reason{PolicyForbid, id})
	}
	for _, id := range found.Failed {
		out = append(out, Reason{PolicyError, id})
	}
	for _, s := range found.StepUps {
		out = append(out, Reason{ApprovalRequired, s.Policy + ": " + s.Reason})
	}
	return out
}
