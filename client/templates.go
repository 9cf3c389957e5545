package client

import (
	"context"
	"iter"
	"net/http"
	"time"
)

// GrantTemplate is a grant without its agent and its moment, by a name of an org's.
// It gives no authority. An empty member is left to who issues the grant.
type GrantTemplate struct {
	Name           string    `json:"name"`
	Description    string    `json:"description,omitempty"`
	Capabilities   string    `json:"capabilities"`
	Budgets        []string  `json:"budgets,omitempty"`
	Audience       []string  `json:"audience,omitempty"`
	Domain         string    `json:"domain,omitempty"`
	Workflow       string    `json:"workflow,omitempty"`
	AuthorityLevel *int      `json:"authority_level,omitempty"`
	Delegation     int       `json:"delegation,omitempty"`
	Lifetime       int64     `json:"lifetime,omitempty"` // seconds
	Updated        time.Time `json:"updated,omitzero"`
}

func templates(org string) string { return at("/v1/orgs", org) + "/templates" }

// PutGrantTemplate says all of a template, by its name.
func (c *Client) PutGrantTemplate(ctx context.Context, org string, t GrantTemplate) (Change[GrantTemplate], error) {
	body := struct {
		GrantTemplate
		Name    *struct{} `json:"name,omitempty"` // it is in the path
		Updated *struct{} `json:"updated,omitempty"`
	}{GrantTemplate: t}
	return change[GrantTemplate](ctx, c, http.MethodPut, at(templates(org), t.Name), "template", body)
}

// GrantTemplate returns a template of an org.
func (c *Client) GrantTemplate(ctx context.Context, org, name string) (GrantTemplate, error) {
	return fetch[GrantTemplate](ctx, c, at(templates(org), name))
}

// GrantTemplates lists the templates of an org, in order of name.
func (c *Client) GrantTemplates(ctx context.Context, org string) iter.Seq2[GrantTemplate, error] {
	return list[GrantTemplate](ctx, c, templates(org), nil)
}

// DeleteGrantTemplate forgets a template; grants that were issued from it stand.
func (c *Client) DeleteGrantTemplate(ctx context.Context, org, name string) (Change[GrantTemplate], error) {
	return change[GrantTemplate](ctx, c, http.MethodDelete, at(templates(org), name), "template", nil)
}
