package policy

import (
	"fmt"
	"slices"
	"time"

	"github.com/writ-registry/writ/registry"
	"github.com/writ-registry/writ/registry/capability"
	"github.com/writ-registry/writ/registry/cedar"
)

// facts is all that a judgement may look at.
type facts struct {
	*standing
	now      time.Time
	read     time.Time // by the monotonic clock: when the standing was the newest
	act      capability.Act
	digest   string // of act
	context  Context
	pep      *registry.PEP     // nil for a direct call
	chain    *capability.Chain // nil: none, or not a valid one
	entry    registry.CatalogueAction
	proof    possession
	approval approval
	budgets  []budgeted // that count the act, root first
	counts   registry.Counts

	resource *cedar.Entity   // where the org has policies
	around   []*cedar.Entity // the groups that it is in
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
// another's. Continuity is a later entry.
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
	{"policies", checkPolicies},
	{"budgets", checkBudgets},
	{"reversibility", checkReversibility},
	{"approval", checkApproval},
}

// judge weighs the facts. It is pure.
func judge(f *facts) Decision {
	d := Decision{Verdict: Permit, Reasons: []Reason{}, PolicyDigest: f.policyDigest(), Epochs: f.epochs, failure: f.proof.code}
	for _, c := range checks {
		d.Reasons = append(d.Reasons, c.run(f)...)
	}
	d.Observed = f.observed(d.Reasons)
	d.Reasons = f.approval.lift(d.Reasons)
	if f.proof.code != "" && !f.insider() {
		d.Reasons = checkPossession(f) // who proves nothing is told nothing of the agent
	}
	for _, r := range d.Reasons {
		if d.Observed {
			break
		}
		if !ofApproval(r.Code) {
			d.Verdict = Deny
		} else if d.Verdict == Permit {
			d.Verdict = StepUp
		}
	}
	d.QualifiedBy = qualifiedBy(f, d)
	d.Qualified = len(d.QualifiedBy) > 0
	f.bind(&d)
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
			if k.Scope.Kind == kind && !f.ofOthers(k) {
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
		if how := f.stopped(a); how != "" {
			out = append(out, Reason{AncestorStopped, how})
		}
	}
	if f.sponsor != registry.PrincipalActive {
		out = append(out, Reason{Code: SponsorGone})
	}
	for _, d := range f.delegators {
		for _, a := range append([]ancestor{ancestorOf(d.agent)}, d.ancestors...) {
			if how := f.stopped(a); how != "" {
				out = append(out, Reason{DelegatorStopped, how})
			}
		}
		if d.sponsor != registry.PrincipalActive {
			out = append(out, Reason{DelegatorStopped, "the sponsor of " + d.agent.ID + " is " + string(d.sponsor)})
		}
	}
	return out
}

// stopped says how another agent is stopped, "" if it is not.
func (f *facts) stopped(a ancestor) string {
	switch {
	case slices.ContainsFunc(f.kills, func(k registry.Kill) bool { return k.Scope == registry.Scope{Kind: registry.ScopeAgent, ID: a.ID} }):
		return a.ID + " is stopped by the kill switch"
	case a.Status != registry.AgentActive:
		return a.ID + " is " + string(a.Status)
	}
	return ""
}

// ofOthers: the stop is of an agent that this one stands on.
func (f *facts) ofOthers(k registry.Kill) bool {
	return k.Scope.Kind == registry.ScopeAgent && (f.agent == nil || k.Scope.ID != f.agent.ID)
}

// ephemeral: who acts is a key that a holder made a grant for, and the agent is the
// nearest above that is registered.
func (f *facts) ephemeral() bool { return f.chain != nil && ephemeral(f.chain) }

func checkPossession(f *facts) []Reason {
	if f.proof.code != "" {
		return []Reason{{PossessionFailed, f.proof.code + ": " + f.proof.detail}}
	}
	return nil
}

func checkGrant(f *facts) (out []Reason) {
	if f.grant == nil || f.chain == nil || !f.grant.Issued(f.chain.Root().Hash()) {
		return []Reason{{Code: GrantUnknown}}
	}
	links, last := f.chain.Links(), len(f.links)-1
	holder := f.links[last]
	if f.agent == nil || f.links[0] == nil || f.grant.Agent != f.links[0].ID || !f.ephemeral() && (holder == nil || holder.ID != f.agent.ID) {
		return []Reason{{Code: GrantForeign}}
	}
	for i, a := range f.links {
		out = append(out, checkHolder(f, links[i], a, i)...)
		if i > 0 && slices.Contains(f.revoked, links[i].SigningInputHash()) {
			out = append(out, Reason{GrantRevoked, linkName(i)})
		}
	}
	if f.grant.Status != registry.GrantActive {
		out = append(out, Reason{Code: GrantRevoked})
	}
	// The leaf of a chain is within all periods above; its begin is by its holder's clock.
	leaf := links[last].Claims()
	if f.now.Before(f.grant.NotBefore) {
		out = append(out, Reason{GrantNotYetValid, f.grant.NotBefore.Format(time.RFC3339)})
	} else if begin := time.Unix(max(leaf.NotBefore, leaf.IssuedAt), 0); last > 0 && f.now.Add(capability.MaxSkew).Before(begin) {
		out = append(out, Reason{GrantNotYetValid, begin.UTC().Format(time.RFC3339)})
	}
	if !f.now.Before(f.grant.Expires) {
		out = append(out, Reason{GrantExpired, f.grant.Expires.Format(time.RFC3339)})
	} else if end := time.Unix(leaf.Expires, 0); last > 0 && !f.now.Before(end) {
		out = append(out, Reason{GrantExpired, end.UTC().Format(time.RFC3339)})
	}
	if aud := f.proof.audience; aud != "" && (!slices.Contains(f.grant.Audience, aud) || last > 0 && !slices.Contains(leaf.Audience, aud)) {
		out = append(out, Reason{AudienceRefused, "the grant names other resource servers"})
	}
	return out
}

// checkHolder: the key of a link is its subject's, which is a registered agent of the
// org; or the subject is the key, which the chain itself proves.
func checkHolder(f *facts, link *capability.Grant, a *registry.Agent, i int) (out []Reason) {
	last := len(f.links) - 1
	if i > 0 && link.Ephemeral() {
		return nil
	}
	where := ""
	if last > 0 {
		where = linkName(i)
	}
	if a == nil || a.Org != f.grant.Org {
		return []Reason{{IdentityRefused, where}}
	}
	if !a.Holds(link.Key().Thumbprint(), f.now) {
		out = append(out, Reason{KeyEnded, where})
	}
	if limit := f.org.Policy.MaxKeyAge; limit > 0 && a.KeyAge(f.now) > time.Duration(limit)*time.Second {
		out = append(out, Reason{KeyExpired, fmt.Sprintf("the org allows %d seconds", limit)})
	}
	return out
}

func linkName(i int) string { return fmt.Sprintf("link %d of the chain", i) }

func checkCapability(f *facts) []Reason {
	if f.chain == nil || f.grant == nil {
		return nil // said by checkGrant
	}
	m := f.chain.Match(f.act)
	if m.Covered {
		return nil
	}
	return []Reason{{Code(m.Reason), m.Detail}}
}

// terms are what the grant bounds beside its capabilities: those of the leaf.
type terms struct {
	domain, workflow string
	level            int
}

func (f *facts) terms() terms {
	if f.chain != nil && len(f.links) > 1 {
		c := f.chain.Leaf().Claims()
		return terms{c.Domain, c.Workflow, c.AuthorityLevel}
	}
	return terms{f.grant.Domain, f.grant.Workflow, f.grant.AuthorityLevel}
}

// holders are the agents that all have to be approved for an act: who acts and who
// delegated.
func (f *facts) holders() []*registry.Agent {
	out := []*registry.Agent{f.agent}
	for _, d := range f.delegators {
		out = append(out, d.agent)
	}
	return out
}

func checkStanding(f *facts) (out []Reason) {
	if f.agent == nil || f.grant == nil {
		return nil
	}
	t := f.terms()
	for _, a := range f.holders() {
		if d := f.entry.Domain; d != "" && !(within(d, t.domain) && approved(d, a.Domains)) {
			out = append(out, Reason{DomainRefused, d})
		}
		if w := f.entry.Workflow; w != "" && !(within(w, t.workflow) && approved(w, a.Workflows)) {
			out = append(out, Reason{WorkflowRefused, w})
		}
		if have := min(a.AuthorityLevel, t.level); have < f.entry.MinLevel {
			out = append(out, Reason{LevelTooLow, fmt.Sprintf("needs %d, has %d", f.entry.MinLevel, have)})
		}
	}
	out = slices.Compact(out)
	if !f.held() {
		out = append(out, Reason{ActionRefused, f.entry.Action})
	}
	return out
}

// held reports whether the action is among those that its holders, and all that these
// descend from, are held to.
func (f *facts) held() bool {
	refuses := func(a ancestor) bool { return !a.Actions.Holds(f.entry.Action) }
	if refuses(ancestorOf(f.agent)) || slices.ContainsFunc(f.ancestors, refuses) {
		return false
	}
	return !slices.ContainsFunc(f.delegators, func(d delegator) bool {
		return refuses(ancestorOf(d.agent)) || slices.ContainsFunc(d.ancestors, refuses)
	})
}

// within: a grant without a domain (workflow) is for any that the agent has.
func within(want, have string) bool { return have == "" || have == want }

func approved(want string, list []string) bool {
	return len(list) == 0 || slices.Contains(list, want)
}

// checkContext holds asserted circumstances against the grant. A PEP asserts
// only what it is registered for; an agent asserts nothing about itself.
func checkContext(f *facts) (out []Reason) {
	var t terms
	if f.grant != nil {
		t = f.terms()
	}
	for _, c := range []struct {
		key, value, have string
		code             Code
	}{
		{"domain", f.context.Domain, t.domain, DomainRefused},
		{"workflow", f.context.Workflow, t.workflow, WorkflowRefused},
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

func checkReversibility(f *facts) []Reason {
	if f.entry.Reversibility == registry.Irreversible {
		return []Reason{{ApprovalRequired, f.entry.Action}}
	}
	return nil
}

// qualifiedBy says why a decision must be evidence: it materially affects
// systems, data, people or compliance, or it is not a permit.
func qualifiedBy(f *facts, d Decision) (out []string) {
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
	add(len(f.budgets) > 0, "budgeted")
	add(f.tallied(), "counted")
	add(d.Verdict != Permit, "verdict")
	add(d.Verdict == Permit && f.approval.lifts, "approval")
	add(d.Observed, "observed")
	return out
}
