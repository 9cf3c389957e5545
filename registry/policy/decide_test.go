package policy

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/writ-registry/writ/registry"
	"github.com/writ-registry/writ/registry/capability"
)

func codesOf(d Decision) []Code {
	out := make([]Code, len(d.Reasons))
	for i, r := range d.Reasons {
		out[i] = r.Code
	}
	return out
}

// TestJudge holds the ordered list of checks against one case per reason.
func TestJudge(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		change func(*facts)
		want   []Code
		as     Verdict
	}{
		"permit": {func(f *facts) {}, nil, Permit},
		"killed everywhere": {func(f *facts) {
			f.kills = []registry.Kill{{Scope: registry.Scope{Kind: registry.ScopeAgent, ID: "a"}}, {Scope: registry.Scope{Kind: registry.ScopeGlobal}}}
		}, []Code{KillGlobal, KillAgent}, Deny},
		"not approved":      {func(f *facts) { f.agent.Status = registry.AgentRequested }, []Code{AgentNotApproved}, Deny},
		"suspended":         {func(f *facts) { f.agent.Status = registry.AgentSuspended }, []Code{AgentSuspended}, Deny},
		"revoked":           {func(f *facts) { f.agent.Status = registry.AgentRevoked }, []Code{AgentRevoked}, Deny},
		"unheard-of status": {func(f *facts) { f.agent.Status = "" }, []Code{AgentRevoked}, Deny},
		"no grant":          {func(f *facts) { f.grant = nil }, []Code{GrantUnknown}, Deny},
		"foreign grant":     {func(f *facts) { f.grant.Agent = "other" }, []Code{GrantForeign}, Deny},
		"revoked grant":     {func(f *facts) { f.grant.Status = registry.GrantRevoked }, []Code{GrantRevoked}, Deny},
		"expired":           {func(f *facts) { f.now = f.grant.Expires }, []Code{GrantExpired}, Deny},
		"too early":         {func(f *facts) { f.now = f.grant.NotBefore.Add(-1) }, []Code{GrantNotYetValid}, Deny},
		"other audience":    {func(f *facts) { f.proof.audience = "https://other" }, []Code{AudienceRefused}, Deny},
		"level":             {func(f *facts) { f.entry.MinLevel = 3 }, []Code{LevelTooLow}, Deny},
		"held to others": {func(f *facts) {
			f.agent.Actions, f.entry.MinLevel = &registry.ActionSet{"write:x"}, 3
		}, []Code{LevelTooLow, ActionRefused}, Deny},
		"domain":          {func(f *facts) { f.entry.Domain, f.grant.Domain = "finance", "sales" }, []Code{DomainRefused}, Deny},
		"agent's domain":  {func(f *facts) { f.entry.Domain, f.agent.Domains = "finance", []string{"sales"} }, []Code{DomainRefused}, Deny},
		"workflow":        {func(f *facts) { f.entry.Workflow, f.grant.Workflow = "q1", "q2" }, []Code{WorkflowRefused}, Deny},
		"context not its": {func(f *facts) { f.context.Domain = "finance" }, []Code{ContextRefused}, Deny},
		"context elsewhere": {func(f *facts) {
			f.pep.ContextKeys, f.context.Domain, f.grant.Domain = []string{"domain"}, "finance", "sales"
		}, []Code{DomainRefused}, Deny},
		"context fits": {func(f *facts) {
			f.pep.ContextKeys, f.context.Domain, f.grant.Domain = []string{"domain"}, "finance", "finance"
		}, nil, Permit},
		"tool not its":    {func(f *facts) { f.context.Tool = "x" }, []Code{ContextRefused}, Deny},
		"tool fits":       {func(f *facts) { f.pep.ContextKeys, f.context.Tool, f.entry.Pin = []string{"tool"}, "x", "x" }, nil, Permit},
		"tool of no pin":  {func(f *facts) { f.pep.ContextKeys, f.context.Tool = []string{"tool"}, "x" }, nil, Permit},
		"tool changed":    {func(f *facts) { f.pep.ContextKeys, f.context.Tool, f.entry.Pin = []string{"tool"}, "y", "x" }, []Code{ToolChanged}, Deny},
		"tool not told":   {func(f *facts) { f.pep.ContextKeys, f.entry.Pin = []string{"tool"}, "x" }, []Code{ToolChanged}, Deny},
		"tool untellable": {func(f *facts) { f.entry.Pin = "x" }, nil, Permit},
		"verb none":       {func(f *facts) { f.act.Action = "execute" }, []Code{CapabilityNone}, Deny},
		"not covered":     {func(f *facts) { f.act.Action = "write" }, []Code{CapabilityMissing}, Deny},
		"irreversible":    {func(f *facts) { f.entry.Reversibility = registry.Irreversible }, []Code{ApprovalRequired}, StepUp},
		"unproven":        {func(f *facts) { f.proof.code = "signature" }, []Code{PossessionFailed}, Deny},
		"deny wins over":  {func(f *facts) { f.entry.Reversibility = registry.Irreversible; f.grant.Status = registry.GrantRevoked }, []Code{GrantRevoked, ApprovalRequired}, Deny},
	} {
		t.Run(name, func(t *testing.T) {
			f := sample(t, now)
			c.change(f)
			d := judge(f)
			if got := codesOf(d); !slices.Equal(got, c.want) && len(got)+len(c.want) > 0 || d.Verdict != c.as {
				t.Errorf("got %s %v, want %s %v", d.Verdict, got, c.as, c.want)
			}
			if d.Verdict != Permit && !d.Qualified {
				t.Error("a no must be evidence")
			}
			for _, r := range d.Reasons {
				if Meanings[r.Code] == "" {
					t.Errorf("reason %s has no meaning in words", r.Code)
				}
			}
		})
	}
}

// sample is a permitted, unqualified read.
func sample(t *testing.T, now time.Time) *facts {
	t.Helper()
	h := newKeys(t)
	token := h.token(t, "read:invoices; execute:none", now)
	agent := &registry.Agent{ID: "a", Org: "o", Status: registry.AgentActive, AuthorityLevel: 2, Thumbprint: h.agent.Public().Thumbprint()}
	entry := registry.CatalogueAction{Action: "read:invoices", Reversibility: registry.Reversible}
	return &facts{
		now: now, act: capability.Act{Action: "read", Resource: capability.Resource{Type: "invoices", ID: "1"}},
		pep: &registry.PEP{ID: "pep"},
		standing: &standing{
			agent: agent, links: []*registry.Agent{agent},
			grant: &registry.Grant{ID: "g", Org: "o", Agent: "a", Status: registry.GrantActive, Audience: []string{"https://erp"}, AuthorityLevel: 2,
				NotBefore: now.Add(-time.Hour), Expires: now.Add(time.Hour), TokenHash: token.Root().Hash()},
			catalogue: registry.Catalogue{Actions: []registry.CatalogueAction{entry}},
		},
		chain: token, entry: entry, proof: possession{audience: "https://erp"},
	}
}

func TestUnknownActionIsTheWorst(t *testing.T) {
	e := registry.Catalogue{}.Entry("wire:money")
	if e.Reversibility != registry.Irreversible || !e.Egress || !e.Material {
		t.Errorf("got %+v", e)
	}
}

func TestReasonsAreUnauthenticatedKind(t *testing.T) {
	if !errors.Is(errReplayed, registry.Unauthenticated) {
		t.Error("a replay is failed authentication")
	}
}
