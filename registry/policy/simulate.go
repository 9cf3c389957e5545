package policy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/writ-registry/writ/internal/canon"
	"github.com/writ-registry/writ/internal/jose"
	"github.com/writ-registry/writ/registry"
	"github.com/writ-registry/writ/registry/capability"
	"github.com/writ-registry/writ/registry/cedar"
)

// Trial is an act to be tried out. Nobody proves it.
type Trial struct {
	Agent    registry.Agent
	Act      capability.Act
	Audience string // the resource server; "" = the first that the grant names
	PEP      string // id of the enforcement point that would ask; "" = one that may assert what Context says
	Context  Context

	Grant        string     // id of the grant to try; "" = each that the agent has
	Capabilities string     // or what a grant would say; it has the agent's own level
	Policies     *cedar.Set // in place of those that hold; nil = those
}

// Simulation is what would be decided. It is no decision, and permits nothing.
type Simulation struct {
	Verdict     Verdict     `json:"verdict" enum:"permit,deny,step_up"`
	Observed    bool        `json:"observed,omitempty" doc:"It would be permitted under observation, in spite of the reasons"`
	Reasons     []Explained `json:"reasons"`
	QualifiedBy []string    `json:"qualified_by,omitempty" doc:"Why it would be evidence"`
	Assumed     []string    `json:"assumed" doc:"What was not looked at: possession; context, where no enforcement point is named; grant, where capabilities were tried"`

	Agent           string           `json:"agent"`
	Grant           string           `json:"grant,omitempty" doc:"The one that the verdict is by: the best of those that were tried"`
	PolicyDigest    string           `json:"policy_digest"`
	CatalogueDigest string           `json:"catalogue_digest"`
	Epochs          []registry.Epoch `json:"epochs"`
}

// maxTried bounds how many grants of an agent one simulation tries.
const maxTried = 100

// Simulate says what would be decided about an act now, had the agent proven it. Nothing
// is recorded or consumed. The caller has been allowed to (registry.MaySimulate). NotFound:
// the agent has no such grant, or its org no such enforcement point.
func (p *PDP) Simulate(ctx context.Context, t Trial) (Simulation, error) {
	var out Simulation
	digest, err := t.Act.Digest()
	if err != nil {
		return out, &registry.Error{Kind: registry.Malformed, Field: "/action/properties", Detail: err.Error(), Err: err}
	}
	err = p.Store.View(ctx, func(tx registry.Tx) error {
		m, err := tx.Moment()
		if err != nil {
			return err
		}
		now := p.Now()
		if m.Clock.After(now) {
			now = m.Clock
		}
		tries, err := p.tries(tx, t, now)
		if err != nil {
			return err
		}
		best := -1
		for _, g := range tries {
			if err := ctx.Err(); err != nil {
				return err
			}
			f, err := p.suppose(tx, t, g, m.Authority, now)
			if err != nil {
				return err
			}
			f.digest = digest
			d := judge(f)
			rank := 2*slices.Index([]Verdict{Deny, StepUp, Permit}, d.Verdict) + 1
			if d.Observed {
				rank--
			}
			if rank <= best {
				continue
			}
			best = rank
			out = Simulation{
				Verdict: d.Verdict, Observed: d.Observed, Reasons: explained(d.Reasons), QualifiedBy: d.QualifiedBy, Assumed: []string{"possession"}, Agent: f.agent.ID,
				PolicyDigest: d.PolicyDigest, CatalogueDigest: f.catalogue.Digest, Epochs: f.epochs,
			}
			switch {
			case t.Capabilities != "":
				out.Assumed = append(out.Assumed, "grant")
			case g != nil:
				out.Grant = g.ID
			}
			if t.PEP == "" && f.pep != nil {
				out.Assumed = append(out.Assumed, "context")
			}
		}
		return nil
	})
	return out, err
}

// tries are the grants to be tried; one that is nil is none at all.
func (p *PDP) tries(tx registry.Tx, t Trial, now time.Time) ([]*registry.Grant, error) {
	switch {
	case t.Capabilities != "":
		g, err := p.pretend(t, now)
		return []*registry.Grant{g}, err
	case t.Grant != "":
		g, err := tx.Grant(t.Grant)
		if err == nil && g.Agent != t.Agent.ID {
			err = registry.Errorf(registry.NotFound, "no such grant of the agent")
		}
		return []*registry.Grant{&g}, err
	}
	list, err := tx.ListGrants(registry.GrantFilter{Agent: t.Agent.ID, Status: registry.GrantActive, Page: registry.Page{Limit: maxTried}})
	if err != nil || len(list) == 0 {
		return []*registry.Grant{nil}, err
	}
	out := make([]*registry.Grant, len(list))
	for i := range list {
		out[i] = &list[i]
	}
	return out, nil
}

// pretend makes a grant that nobody has issued: its token is signed by a key that is
// thrown away, and leaves this snapshot never.
func (p *PDP) pretend(t Trial, now time.Time) (*registry.Grant, error) {
	caps, err := capability.Parse(t.Capabilities)
	if err != nil {
		return nil, &registry.Error{Kind: registry.Malformed, Field: "/capabilities", Detail: err.Error(), Err: err}
	}
	key, err := jose.GenerateEd25519()
	if err != nil {
		return nil, err
	}
	g := &registry.Grant{
		ID: registry.NewID(), Org: t.Agent.Org, Agent: t.Agent.ID, Capabilities: caps.String(), Audience: []string{cmp.Or(t.Audience, p.Origin)}, AuthorityLevel: t.Agent.AuthorityLevel,
		NotBefore: now.Truncate(time.Second), Expires: now.Add(time.Hour), Status: registry.GrantActive,
	}
	g.Token, err = capability.IssueGrant(key, p.Origin, capability.GrantClaims{
		Issuer: p.Origin, Audience: g.Audience, Subject: t.Agent.DID, ClientID: t.Agent.ID, IssuedAt: g.NotBefore.Unix(), NotBefore: g.NotBefore.Unix(), Expires: g.Expires.Unix(), ID: g.ID,
		Confirmation: capability.Confirmation{JWK: t.Agent.JWK}, Capabilities: caps, Actor: capability.Actor{Subject: cmp.Or(t.Agent.Sponsor, t.Agent.ID)}, Org: g.Org, AuthorityLevel: g.AuthorityLevel,
	})
	g.TokenHash = canon.Digest([]byte(g.Token))
	return g, err
}

// suppose gathers the facts of an act that is taken for proven.
func (p *PDP) suppose(tx registry.Tx, t Trial, g *registry.Grant, authority uint64, now time.Time) (*facts, error) {
	f := &facts{now: now, act: t.Act, context: t.Context, standing: &standing{authority: authority}, proof: possession{audience: t.Audience}}
	if g != nil {
		chain, err := capability.ParseChain(capability.Tokens{g.Token})
		if err != nil {
			return nil, fmt.Errorf("token of grant %s: %w", g.ID, err)
		}
		f.chain, f.proof.audience = chain, cmp.Or(t.Audience, g.Audience[0])
	}
	if err := f.standing.read(tx, t.Agent.DID, f.chain, p.standings.tenant); err != nil {
		return nil, err
	}
	if f.agent == nil {
		return nil, registry.Errorf(registry.NotFound, "no such agent")
	}
	if f.grant == nil {
		f.grant = g // a pretended one
	}
	if t.Policies != nil {
		f.rules, f.principals = &rules{set: t.Policies, digest: digestWith(t.Policies.Digest())}, nil
		if err := f.readPrincipals(tx); err != nil {
			return nil, err
		}
	}
	f.entry = f.catalogue.Entry(t.Act.Action + ":" + t.Act.Resource.Type)
	switch c := t.Context; {
	case t.PEP != "":
		pep, err := tx.PEP(t.PEP)
		if err == nil && pep.Org != f.agent.Org {
			err = registry.Errorf(registry.NotFound, "no such enforcement point")
		}
		if err != nil {
			return nil, err
		}
		f.pep = &pep
	case c.Domain != "" || c.Workflow != "" || c.Tool != "":
		f.pep = &registry.PEP{Org: f.agent.Org, ContextKeys: []string{"domain", "workflow"}}
		if c.Tool != "" {
			f.pep.ContextKeys = append(f.pep.ContextKeys, "tool")
		}
	}
	f.findBudgets()
	return f, errors.Join(f.readBalances(tx), f.tally(tx), f.surround(tx))
}
