package client

import (
	"context"
	"encoding/json"
	"net/http"
	"time"
)

// DecisionRecord is a recorded decision with all that is kept of why it was made.
type DecisionRecord struct {
	Decision    string    `json:"decision"`
	CID         string    `json:"cid"`
	Index       uint64    `json:"index"`
	Time        time.Time `json:"time"`
	Verdict     string    `json:"verdict"`
	Observed    bool      `json:"observed,omitempty"` // permitted under observation, in spite of the reasons
	Reasons     []Reason  `json:"reasons"`
	QualifiedBy []string  `json:"qualified_by"`
	Folds       bool      `json:"folds,omitempty"` // repeats are counted, not recorded

	Org       string      `json:"org"`
	Agent     string      `json:"agent,omitempty"`
	DID       string      `json:"did,omitempty"`
	Subject   *NamedParty `json:"subject,omitempty"` // where it is no agent
	Grant     string      `json:"grant,omitempty"`
	TokenHash string      `json:"token_hash,omitempty"`
	Chain     []Link      `json:"chain,omitempty"` // root first
	PEP       string      `json:"pep,omitempty"`
	Audience  string      `json:"audience,omitempty"`

	Action    string          `json:"action,omitempty"` // verb:type
	Resource  *NamedParty     `json:"resource,omitempty"`
	Arguments json.RawMessage `json:"arguments,omitempty"`
	Task      string          `json:"task,omitempty"`
	Domain    string          `json:"domain,omitempty"`
	Workflow  string          `json:"workflow,omitempty"`
	Tool      string          `json:"tool,omitempty"`
	Erased    []string        `json:"erased,omitempty"` // inputs that are not kept any more

	PolicyDigest    string           `json:"policy_digest"`
	Policies        *int64           `json:"policies,omitempty"` // version; 0 = none; nil: not known
	CatalogueDigest string           `json:"catalogue_digest"`
	Epochs          map[string]int64 `json:"epochs"`
	Approval        string           `json:"approval,omitempty"`
	Approvers       []string         `json:"approvers,omitempty"`
	Permit          *PermitRecord    `json:"permit,omitempty"`
}

// NamedParty is a subject or resource, with what was asserted of it.
type NamedParty struct {
	Type       string          `json:"type"`
	ID         string          `json:"id"`
	Properties json.RawMessage `json:"properties,omitempty"`
}

// Replay is what a recorded decision would be by what is known now, and what has
// changed since.
type Replay struct {
	Decision   string       `json:"decision"`
	CID        string       `json:"cid"`
	Index      uint64       `json:"index"`
	Time       time.Time    `json:"time"`
	Same       bool         `json:"same"`
	Then       Judged       `json:"then"`
	Now        Judged       `json:"now"`
	AsRecorded *Judged      `json:"as_recorded,omitempty"` // as now, but by the policies of then
	Added      []Reason     `json:"added"`
	Gone       []Reason     `json:"gone"`
	Policies   *Moved       `json:"policies,omitempty"`
	Catalogue  *Moved       `json:"catalogue,omitempty"`
	Epochs     []EpochMoved `json:"epochs"`
	Partial    bool         `json:"partial,omitempty"` // not all events since were looked at
	Assumed    []string     `json:"assumed,omitempty"`
}

// Judged is a verdict with its reasons and what it was made by.
type Judged struct {
	Verdict         string   `json:"verdict"`
	Observed        bool     `json:"observed,omitempty"`
	Reasons         []Reason `json:"reasons"`
	PolicyDigest    string   `json:"policy_digest"`
	CatalogueDigest string   `json:"catalogue_digest"`
}

// Moved is a digest that is another.
type Moved struct {
	Then string `json:"then"`
	Now  string `json:"now"`
}

// EpochMoved is an epoch that has moved, with the events that moved it, newest first.
type EpochMoved struct {
	Scope  Scope  `json:"scope"`
	Then   uint64 `json:"then"`
	Now    uint64 `json:"now"`
	Events []struct {
		Type  string    `json:"type"`
		CID   string    `json:"cid"`
		Index uint64    `json:"index"`
		Time  time.Time `json:"time"`
	} `json:"events"`
}

// Decision returns a recorded decision, by its id or the CID of its event.
func (c *Client) Decision(ctx context.Context, id string) (DecisionRecord, error) {
	return fetch[DecisionRecord](ctx, c, at("/v1/decisions", id))
}

// ReplayDecision judges the preserved inputs of a decision again, by what is known now.
// A *Problem with code not_replayable: they are erased, or were never proven.
func (c *Client) ReplayDecision(ctx context.Context, id string) (out Replay, err error) {
	_, err = c.read(ctx, request{method: http.MethodPost, path: at("/v1/decisions", id) + "/replay", repeatable: true}, &out)
	return out, err
}
