package policy

import (
	"fmt"
	"slices"
	"time"

	"github.com/writ-registry/writ/registry"
	"github.com/writ-registry/writ/registry/capability"
)

// facts is all that a judgement may look at.
type facts struct {
	*standing
	now     time.Time
	read    time.Time // by the monotonic clock: when the standing was the newest
	act     capability.Act
	context Context
	pep     *registry.PEP // nil for a direct call
	token   *capability.Grant
	entry   registry.CatalogueAction
	proof   possession
}

// possession is what became of the action proof.
type possession struct {
	code       string // "" = proven
	action     *capability.Action
	detail     string
	thumbprint string
	jti        string
	audience   string
	hash       string
	issued     int64 // Unix seconds
	expires    time.Time
}

// checks is the one order of precedence. Each adds its reasons; none hides
// another's. Org policies, budgets, continuity and approvals are later entries.
var checks = []struct {
	name string
	run  func(*facts) []Reason
}{
	{"kill_and_status", checkStatus},
	{"possession", checkPossession},
	{"grant", checkGrant},
	{"capability", checkCapability},
	{"domain_workflow_level", checkStanding},
	{"context", checkContext},
	{"tool", checkTool},
	{"reversibility", checkReversibility},
}

// judge weighs the facts. It is pure.
func judge(f *facts) Decision {
	d := Decision{Verdict: Permit, Reasons: []Reason{}, PolicyDigest: PolicyDigest, Epochs: f.epochs, failure: f.proof.code}
	for _, c := range checks {
		d.Reasons = append(d.Reasons, c.run(f)...)
	}
	if f.proof.code != "" && !f.insider() {
		d.Reasons = checkPossession(f) // who proves nothing is told nothing of the agent
	}
	for _, r := range d.Reasons {
		if r.Code != ApprovalRequired {
			d.Verdict = Deny
		} else if d.Verdict == Permit {
			d.Verdict = StepUp
		}
	}
	d.QualifiedBy = qualifiedBy(f, d.Verdict)
	d.Qualified = len(d.QualifiedBy) > 0
	return d
}

// insider: the caller is an enforcement point of the agent's own org.
func (f *facts) insider() bool {
	return f.pep != nil && f.agent != nil && f.pep.Org == f.agent.Org
}

func checkStatus(f *facts) (out []Reason) {
	codes := map[registry.ScopeKind]Code{
		registry.ScopeGlobal: KillGlobal, registry.ScopeOrg: KillOrg, registry.ScopeAgent: KillAgent, registry.ScopeGrant: KillGrant,
	}
	for _, kind := range []registry.ScopeKind{registry.ScopeGlobal, registry.ScopeOrg, registry.ScopeAgent, registry.ScopeGrant} {
		for _, k := range f.kills {
			if k.Scope.Kind == kind && !f.ofAncestor(k) {
				out = append(out, Reason{codes[kind], k.Reason})
			}
		}
	}
	switch {
	case f.agent == nil:
		out = append(out, Reason{Code: AgentUnknown})
	case f.agent.Status == registry.AgentRequested:
		out = append(out, Reason{Code: AgentNotApproved})
	case f.agent.Status == registry.AgentSuspended:
		out = append(out, Reason{Code: AgentSuspended})
	case f.agent.Status != registry.AgentActive:
		out = append(out, Reason{Code: AgentRevoked})
	}
	if f.agent != nil {
		out = append(out, checkFamily(f)...)
	}
	return out
}

// checkFamily: an agent stands on its ancestors and on its sponsor.
func checkFamily(f *facts) (out []Reason) {
	for _, a := range f.ancestors {
		switch {
		case slices.ContainsFunc(f.kills, func(k registry.Kill) bool { return k.Scope == registry.Scope{Kind: registry.ScopeAgent, ID: a.ID} }):
			out = append(out, Reason{AncestorStopped, a.ID + " is stopped by the kill switch"})
		case a.Status != registry.AgentActive:
			out = append(out, Reason{AncestorStopped, a.ID + " is " + string(a.Status)})
		}
	}
	if f.sponsor != registry.PrincipalActive {
		out = append(out, Reason{Code: SponsorGone})
	}
	return out
}

func (f *facts) ofAncestor(k registry.Kill) bool {
	return k.Scope.Kind == registry.ScopeAgent && slices.ContainsFunc(f.ancestors, func(a ancestor) bool { return a.ID == k.Scope.ID })
}

func checkPossession(f *facts) []Reason {
	if f.proof.code != "" {
		return []Reason{{PossessionFailed, f.proof.code + ": " + f.proof.detail}}
	}
	return nil
}

func checkGrant(f *facts) (out []Reason) {
	if f.grant == nil || f.token == nil || !f.grant.Issued(f.token.Hash()) {
		return []Reason{{Code: GrantUnknown}}
	}
	if f.agent == nil || f.grant.Agent != f.agent.ID {
		return []Reason{{Code: GrantForeign}}
	}
	if !f.agent.Holds(f.token.Key().Thumbprint(), f.now) {
		out = append(out, Reason{Code: KeyEnded})
	}
	if limit := f.org.Policy.MaxKeyAge; limit > 0 && f.agent.KeyAge(f.now) > time.Duration(limit)*time.Second {
		out = append(out, Reason{KeyExpired, fmt.Sprintf("the org allows %d seconds", limit)})
	}
	if f.grant.Status != registry.GrantActive {
		out = append(out, Reason{Code: GrantRevoked})
	}
	if f.now.Before(f.grant.NotBefore) {
		out = append(out, Reason{GrantNotYetValid, f.grant.NotBefore.Format(time.RFC3339)})
	}
	if !f.now.Before(f.grant.Expires) {
		out = append(out, Reason{GrantExpired, f.grant.Expires.Format(time.RFC3339)})
	}
	if f.proof.audience != "" && !slices.Contains(f.grant.Audience, f.proof.audience) {
		out = append(out, Reason{AudienceRefused, "the grant names other resource servers"})
	}
	return out
}

func checkCapability(f *facts) []Reason {
	if f.token == nil || f.grant == nil {
		return nil // said by checkGrant
	}
	m := f.token.Capabilities().Match(f.act)
	if m.Covered {
		return nil
	}
	return []Reason{{Code(m.Reason), m.Detail}}
}

func checkStanding(f *facts) (out []Reason) {
	if f.agent == nil || f.grant == nil {
		return nil
	}
	if d := f.entry.Domain; d != "" && !(within(d, f.grant.Domain) && approved(d, f.agent.Domains)) {
		out = append(out, Reason{DomainRefused, d})
	}
	if w := f.entry.Workflow; w != "" && !(within(w, f.grant.Workflow) && approved(w, f.agent.Workflows)) {
		out = append(out, Reason{WorkflowRefused, w})
	}
	if have := min(f.agent.AuthorityLevel, f.grant.AuthorityLevel); have < f.entry.MinLevel {
		out = append(out, Reason{LevelTooLow, fmt.Sprintf("needs %d, has %d", f.entry.MinLevel, have)})
	}
	return out
}

// within: a grant without a domain (workflow) is for any that the agent has.
func within(want, have string) bool { return have == "" || have == want }

func approved(want string, list []string) bool {
	return len(list) == 0 || slices.Contains(list, want)
}

// checkContext holds asserted circumstances against the grant. A PEP asserts
// only what it is registered for; an agent asserts nothing about itself.
func checkContext(f *facts) (out []Reason) {
	for _, c := range []struct {
		key, value, have string
		code             Code
	}{
		{"domain", f.context.Domain, grantField(f, func(g *registry.Grant) string { return g.Domain }), DomainRefused},
		{"workflow", f.context.Workflow, grantField(f, func(g *registry.Grant) string { return g.Workflow }), WorkflowRefused},
	} {
		switch {
		case c.value == "":
		case f.pep == nil || !slices.Contains(f.pep.ContextKeys, c.key):
			out = append(out, Reason{ContextRefused, c.key})
		case !within(c.value, c.have):
			out = append(out, Reason{c.code, c.value})
		}
	}
	return out
}

// checkTool holds the tool that will be called against the one that the catalogue
// is about. An enforcement point that can tell must.
func checkTool(f *facts) []Reason {
	tells := f.pep != nil && slices.Contains(f.pep.ContextKeys, "tool")
	switch {
	case f.context.Tool != "" && !tells:
		return []Reason{{ContextRefused, "tool"}}
	case tells && f.entry.Pin != "" && f.context.Tool != f.entry.Pin:
		return []Reason{{ToolChanged, f.entry.Tool}}
	}
	return nil
}

func grantField(f *facts, get func(*registry.Grant) string) string {
	if f.grant == nil {
		return ""
	}
	return get(f.grant)
}

func checkReversibility(f *facts) []Reason {
	if f.entry.Reversibility == registry.Irreversible {
		return []Reason{{ApprovalRequired, f.entry.Action}}
	}
	return nil
}

// qualifiedBy says why a decision must be evidence: it materially affects
// systems, data, people or compliance, or it is not a permit.
func qualifiedBy(f *facts, v Verdict) (out []string) {
	add := func(yes bool, why string) {
		if yes {
			out = append(out, why)
		}
	}
	_, known := f.catalogue.Find(f.entry.Action)
	add(!known, "unknown_action")
	add(f.entry.Material, "material")
	add(f.entry.Egress, "egress")
	add(f.entry.Reversibility == registry.Irreversible, "irreversible")
	add(v != Permit, "verdict")
	return out
}

// entryFor is the catalogue's word on an action; what it does not know is
// irreversible, egress and material.
func entryFor(c registry.Catalogue, action string) registry.CatalogueAction {
	if e, ok := c.Find(action); ok {
		return e
	}
	return registry.CatalogueAction{Action: action, Reversibility: registry.Irreversible, Egress: true, Material: true}
}
