package client

import (
	"context"
	"net/http"
	"time"
)

// Observation is a time in which what grants do not cover is permitted, and recorded.
type Observation struct {
	Until  time.Time `json:"until"`
	Reason string    `json:"reason"`
	By     string    `json:"by"` // principal
	Since  time.Time `json:"since"`
}

// Coverage is what observed decisions of an org would have needed.
type Coverage struct {
	Since    time.Time       `json:"since"`
	Observed int             `json:"observed"`
	Skipped  int             `json:"skipped"` // whose inputs are erased
	Others   int             `json:"others"`  // about subjects that are no agents
	Agents   []AgentCoverage `json:"agents"`
	Partial  bool            `json:"partial,omitempty"` // there were more
}

// AgentCoverage is a grant that would have covered what an agent did under observation.
type AgentCoverage struct {
	Agent    string        `json:"agent"`
	DID      string        `json:"did"`
	Observed int           `json:"observed"`
	Template GrantTemplate `json:"template"`
	Open     []string      `json:"open,omitempty"`   // verb:type with any arguments
	Unsaid   []string      `json:"unsaid,omitempty"` // verb:type that no capability can name
	Lacks    struct {
		Domains   []string `json:"domains,omitempty"`
		Workflows []string `json:"workflows,omitempty"`
		Level     int      `json:"level,omitempty"`
	} `json:"lacks,omitzero"` // what the agent is not approved for
}

// ObserveAgent permits what an agent's grants do not cover, and records it, until a time
// within 30 days.
func (c *Client) ObserveAgent(ctx context.Context, agent string, until time.Time, reason string) (Change[Agent], error) {
	return change[Agent](ctx, c, http.MethodPut, at("/v1/agents", agent)+"/observation", "agent", observation(until, reason))
}

// UnobserveAgent ends that.
func (c *Client) UnobserveAgent(ctx context.Context, agent string) (Change[Agent], error) {
	return change[Agent](ctx, c, http.MethodDelete, at("/v1/agents", agent)+"/observation", "agent", nil)
}

// ObserveOrg is ObserveAgent for all agents of an org.
func (c *Client) ObserveOrg(ctx context.Context, org string, until time.Time, reason string) (Change[Org], error) {
	return change[Org](ctx, c, http.MethodPut, at("/v1/orgs", org)+"/observation", "org", observation(until, reason))
}

// UnobserveOrg ends that.
func (c *Client) UnobserveOrg(ctx context.Context, org string) (Change[Org], error) {
	return change[Org](ctx, c, http.MethodDelete, at("/v1/orgs", org)+"/observation", "org", nil)
}

func observation(until time.Time, reason string) map[string]any {
	return map[string]any{"until": until.UTC().Format(time.RFC3339), "reason": reason}
}

// Coverage says which grants would have covered what was observed in an org, of one
// agent or all (""), since a time (zero: ever).
func (c *Client) Coverage(ctx context.Context, org, agent string, since time.Time) (out Coverage, err error) {
	q := filter("agent", agent)
	if !since.IsZero() {
		q.Set("since", since.UTC().Format(time.RFC3339))
	}
	err = c.get(ctx, at("/v1/orgs", org)+"/observations", q, &out)
	return out, err
}

// Trial is an act to be tried out.
type Trial struct {
	Agent        string        `json:"agent"` // id or DID
	Action       Action        `json:"action"`
	Resource     NamedParty    `json:"resource"`
	Context      *TrialContext `json:"context,omitempty"`
	Audience     string        `json:"audience,omitempty"`
	PEP          string        `json:"pep,omitempty"`
	Grant        string        `json:"grant,omitempty"`        // id; "" = the best that the agent has
	Capabilities string        `json:"capabilities,omitempty"` // in place of a grant
	Policies     *string       `json:"policies,omitempty"`     // in place of those that hold
}

// TrialContext is what an enforcement point could say around an act.
type TrialContext struct {
	Task     string `json:"task,omitempty"`
	Domain   string `json:"domain,omitempty"`
	Workflow string `json:"workflow,omitempty"`
	Tool     string `json:"tool,omitempty"`
}

// Simulation is what would be decided. It permits nothing.
type Simulation struct {
	Verdict         string   `json:"verdict"`
	Observed        bool     `json:"observed,omitempty"`
	Reasons         []Reason `json:"reasons"`
	QualifiedBy     []string `json:"qualified_by,omitempty"`
	Assumed         []string `json:"assumed"`
	Agent           string   `json:"agent"`
	Grant           string   `json:"grant,omitempty"`
	PolicyDigest    string   `json:"policy_digest"`
	CatalogueDigest string   `json:"catalogue_digest"`
}

// Simulate says what would be decided now, had the agent proven the act. Policy authors
// may.
func (c *Client) Simulate(ctx context.Context, t Trial) (out Simulation, err error) {
	_, err = c.read(ctx, request{method: http.MethodPost, path: "/v1/simulate", body: t, repeatable: true}, &out)
	return out, err
}
