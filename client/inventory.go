package client

import (
	"context"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"time"
)

// InventoryItem is an agent as a search finds it.
type InventoryItem struct {
	Agent
	LastAct time.Time `json:"last_act,omitzero"` // when the log last saw it act; zero: never
}

// AgentFilter narrows a list of agents: all members that are not empty must match.
type AgentFilter struct {
	Org, Status, Sponsor, Domain, Workflow string
	Capability                             string // verb:type that an active grant covers
	Name                                   string // beginning of the name
	Parent                                 string // id or DID
	Thumbprint                             string // of its key now
	SponsorGone                            bool   // its sponsor is suspended or has left

	KeyBefore   time.Time // its key is from before then
	ActedSince  time.Time // the log saw it act then or later
	ActedBefore time.Time // the log did not see it act since then, nor, perhaps, ever
	UnusedSince time.Time // it holds an active grant from before then that was not seen used since
}

func (f AgentFilter) query() url.Values {
	q := filter("org", f.Org, "status", f.Status, "sponsor", f.Sponsor, "domain", f.Domain, "workflow", f.Workflow,
		"capability", f.Capability, "name", f.Name, "parent", f.Parent, "thumbprint", f.Thumbprint)
	for name, at := range map[string]time.Time{"key_before": f.KeyBefore, "acted_since": f.ActedSince, "acted_before": f.ActedBefore, "unused_since": f.UnusedSince} {
		if !at.IsZero() {
			q.Set(name, at.UTC().Format(time.RFC3339Nano))
		}
	}
	if f.SponsorGone {
		q.Set("sponsor_gone", "true")
	}
	return q
}

// FindAgents lists the agents of an org that a filter matches.
func (c *Client) FindAgents(ctx context.Context, f AgentFilter) iter.Seq2[InventoryItem, error] {
	return list[InventoryItem](ctx, c, "/v1/agents", f.query())
}

// ExportAgents writes the agents that a filter matches to w, as csv or json. What
// was written before an error is not all of them.
func (c *Client) ExportAgents(ctx context.Context, f AgentFilter, format string, w io.Writer) error {
	q := f.query()
	q.Set("format", format)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+"/v1/agents/export?"+q.Encode(), nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	patient := *c.opts.HTTP
	patient.Timeout = 0 // a million agents take longer than an answer may
	resp, err := patient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		data, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
		if err != nil {
			return err
		}
		return readProblem(resp, data, time.Now())
	}
	if _, err := io.Copy(w, resp.Body); err != nil {
		return fmt.Errorf("the export broke off: %w", err)
	}
	return nil
}

// FirstGrant is the grant that an agent is registered with.
type FirstGrant struct {
	Capabilities   string     `json:"capabilities"`
	Budgets        []string   `json:"budgets,omitempty"`
	Audience       []string   `json:"audience,omitempty"` // none = the registry's origin
	Domain         string     `json:"domain,omitempty"`
	Workflow       string     `json:"workflow,omitempty"`
	AuthorityLevel *int       `json:"authority_level,omitempty"` // nil = the agent's
	NotBefore      *time.Time `json:"not_before,omitempty"`
	Expires        *time.Time `json:"expires,omitempty"`
}

// Onboarded is an agent that was registered, approved and given a grant at once.
type Onboarded struct {
	Agent    Agent      `json:"agent"`
	Grant    *Grant     `json:"grant,omitempty"`
	Events   []EventRef `json:"events"`
	Replayed bool       `json:"-"`
}

// OnboardAgent registers an agent, approves it and issues it a grant, unless that
// is nil: all of it in one commit, or nothing.
func (c *Client) OnboardAgent(ctx context.Context, in NewAgent, grant *FirstGrant) (Onboarded, error) {
	body := struct {
		NewAgent
		Approve bool        `json:"approve"`
		Grant   *FirstGrant `json:"grant,omitempty"`
	}{in, true, grant}
	var out Onboarded
	a, err := c.read(ctx, request{method: http.MethodPost, path: "/v1/agents", body: body, key: true}, &out)
	out.Replayed = a.header.Get("Idempotency-Replayed") == "true"
	return out, err
}

// Offboarding says which agents are to end: those named, or those a filter matches.
type Offboarding struct {
	Agents []string        `json:"agents,omitempty"` // ids or DIDs, at most 1,000
	Filter *OffboardFilter `json:"filter,omitempty"`
	Reason string          `json:"reason,omitempty"`
	DryRun bool            `json:"dry_run,omitempty"`
}

// OffboardFilter narrows an off-boarding; all that is given must match, and one
// besides Org must be.
type OffboardFilter struct {
	Org         string     `json:"org,omitempty"`
	Sponsor     string     `json:"sponsor,omitempty"`
	Name        string     `json:"name,omitempty"` // beginning of the name
	Parent      string     `json:"parent,omitempty"`
	UnusedSince *time.Time `json:"unused_since,omitempty"` // acts without an event are not seen
}

// Offboarded is what one call did, or would do.
type Offboarded struct {
	Agents []OffboardedAgent `json:"agents"`
	Left   int               `json:"left"` // call again until it is 0
	Events []EventRef        `json:"events,omitempty"`
}

// OffboardedAgent is an agent that was ended, with its grants.
type OffboardedAgent struct {
	ID     string   `json:"id"`
	DID    string   `json:"did"`
	Name   string   `json:"name"`
	Grants []string `json:"grants"`
}

// OffboardAgents ends some of the agents for good, with their grants, and says how
// many are left.
func (c *Client) OffboardAgents(ctx context.Context, in Offboarding) (Offboarded, error) {
	var out Offboarded
	_, err := c.read(ctx, request{method: http.MethodPost, path: "/v1/agents/offboard", body: in, key: true}, &out)
	return out, err
}

// Unregistered is a caller that no agent is known for, as an enforcement point saw it.
type Unregistered struct {
	Org     string    `json:"org"`
	PEP     string    `json:"pep"`
	Subject string    `json:"subject"`
	First   time.Time `json:"first"`
	Last    time.Time `json:"last"`
	Count   int64     `json:"count"`
}

// Unregistered lists them; "" is the caller's org.
func (c *Client) Unregistered(ctx context.Context, org string) iter.Seq2[Unregistered, error] {
	return list[Unregistered](ctx, c, "/v1/inventory/unregistered", filter("org", org))
}
