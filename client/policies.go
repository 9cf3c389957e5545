package client

import (
	"context"
	"encoding/json"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// PolicySet is a version of an org's Cedar policies.
type PolicySet struct {
	Org      string    `json:"org"`
	Version  int64     `json:"version"`
	Digest   string    `json:"digest"`
	Policies int       `json:"policies"`
	Author   string    `json:"author"` // principal id
	Created  time.Time `json:"created"`
	Active   bool      `json:"active"`
	Text     string    `json:"text,omitempty"` // where one version was asked for
}

// PolicyFault is one thing that is wrong with a text of policies. Line and column
// count from 1.
type PolicyFault struct {
	Policy  string `json:"policy,omitempty"`
	Line    int    `json:"line"`
	Column  int    `json:"column"`
	Message string `json:"message"`
}

// PolicyValidity is what the registry makes of a text.
type PolicyValidity struct {
	Valid    bool          `json:"valid"`
	Policies int           `json:"policies"`
	Digest   string        `json:"digest,omitempty"`
	Faults   []PolicyFault `json:"faults"`
}

// PolicyPreview is what a version would have made of recorded decisions.
type PolicyPreview struct {
	Examined int             `json:"examined"`
	Skipped  int             `json:"skipped"` // whose inputs are erased
	Verdicts map[string]int  `json:"verdicts"`
	Changed  []PolicyChanged `json:"changed"` // newest first
	Next     string          `json:"next,omitempty"`
}

// PolicyChanged is a decision that would have been another.
type PolicyChanged struct {
	Decision string    `json:"decision"`
	CID      string    `json:"cid"`
	Index    uint64    `json:"index"`
	Time     time.Time `json:"time"`
	Action   string    `json:"action"`
	Agent    string    `json:"agent,omitempty"`
	Was      string    `json:"was"`
	Would    string    `json:"would"`
	Reasons  []Reason  `json:"reasons"`
}

func policies(org string, more ...string) string {
	path := at("/v1/orgs", org) + "/policies"
	for _, m := range more {
		path = at(path, m)
	}
	return path
}

// ValidatePolicies holds a text of Cedar policies against what the org knows.
func (c *Client) ValidatePolicies(ctx context.Context, org, text string) (out PolicyValidity, err error) {
	_, err = c.read(ctx, request{method: http.MethodPost, path: policies(org, "validate"), body: map[string]string{"text": text}, repeatable: true}, &out)
	return out, err
}

// DraftPolicies keeps a text as a new version, which says nothing yet.
func (c *Client) DraftPolicies(ctx context.Context, org, text string) (Change[PolicySet], error) {
	return change[PolicySet](ctx, c, http.MethodPost, policies(org), "policies", map[string]string{"text": text})
}

// ActivatePolicies makes a version the one that holds.
func (c *Client) ActivatePolicies(ctx context.Context, org string, version int64) (Change[PolicySet], error) {
	return change[PolicySet](ctx, c, http.MethodPost, policies(org, strconv.FormatInt(version, 10), "activate"), "policies", nil)
}

// PreviewPolicies says what a version ("active", or its number) would have made of
// limit recorded decisions, the newest, or those before an event's index.
func (c *Client) PreviewPolicies(ctx context.Context, org, version string, limit int, before string) (out PolicyPreview, err error) {
	q := filter("before", before)
	q.Set("limit", strconv.Itoa(limit))
	_, err = c.read(ctx, request{method: http.MethodPost, path: policies(org, version, "dry-run"), query: q, repeatable: true}, &out)
	return out, err
}

// Policies returns a version with its text; "active" is the one that holds.
func (c *Client) Policies(ctx context.Context, org, version string) (PolicySet, error) {
	return fetch[PolicySet](ctx, c, policies(org, version))
}

// PolicySets lists the versions of an org's policies, newest first.
func (c *Client) PolicySets(ctx context.Context, org string) iter.Seq2[PolicySet, error] {
	return list[PolicySet](ctx, c, policies(org), nil)
}

// StoredEntity is what an org knows of a user, group, resource or agent.
type StoredEntity struct {
	Type       string          `json:"type"`
	ID         string          `json:"id"`
	Properties json.RawMessage `json:"properties,omitempty"` // JSON object
	Parents    []EntityRef     `json:"parents,omitempty"`
	Updated    time.Time       `json:"updated,omitzero"`
}

// EntityRef names an entity.
type EntityRef struct {
	Type string `json:"type"`
	ID   string `json:"id"`
}

// PutEntity says all that an org knows of an entity.
func (c *Client) PutEntity(ctx context.Context, org string, e StoredEntity) (Change[StoredEntity], error) {
	body := map[string]any{"parents": append([]EntityRef{}, e.Parents...)}
	if len(e.Properties) > 0 {
		body["properties"] = e.Properties
	}
	return change[StoredEntity](ctx, c, http.MethodPut, entity(org, e.Type, e.ID), "entity", body)
}

// MaxEntities is how many entities one PutEntities takes, of 1 MiB in all.
const MaxEntities = 1000

// EntitiesPut says what became of a list of entities.
type EntitiesPut struct {
	Changed   int        `json:"changed"`
	Unchanged int        `json:"unchanged"` // they were so already
	Events    []EventRef `json:"events"`    // of those that changed, in the order of the list
}

// PutEntities says all that an org knows of each of many entities, in one change: all
// of them or none. Others stay as they are.
func (c *Client) PutEntities(ctx context.Context, org string, list []StoredEntity) (out EntitiesPut, err error) {
	type named struct {
		Type       string          `json:"type"`
		ID         string          `json:"id"`
		Properties json.RawMessage `json:"properties,omitempty"`
		Parents    []EntityRef     `json:"parents"`
	}
	body := make([]named, len(list))
	for i, e := range list {
		body[i] = named{e.Type, e.ID, e.Properties, append([]EntityRef{}, e.Parents...)}
	}
	_, err = c.read(ctx, request{method: http.MethodPut, path: at("/v1/orgs", org) + "/entities", body: map[string]any{"entities": body}, key: true}, &out)
	return out, err
}

// Entity returns what an org knows of an entity.
func (c *Client) Entity(ctx context.Context, org, typ, id string) (StoredEntity, error) {
	return fetch[StoredEntity](ctx, c, entity(org, typ, id))
}

// Entities lists the entities of an org; typ "" is all types.
func (c *Client) Entities(ctx context.Context, org, typ string) iter.Seq2[StoredEntity, error] {
	return list[StoredEntity](ctx, c, at("/v1/orgs", org)+"/entities", filter("type", typ))
}

// DeleteEntity has an org know nothing of an entity any more.
func (c *Client) DeleteEntity(ctx context.Context, org, typ, id string) (Change[StoredEntity], error) {
	return change[StoredEntity](ctx, c, http.MethodDelete, entity(org, typ, id), "entity", nil)
}

func entity(org, typ, id string) string {
	return at("/v1/orgs", org) + "/entities/" + url.PathEscape(typ) + "/" + url.PathEscape(id)
}
