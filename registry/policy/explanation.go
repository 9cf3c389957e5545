package policy

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/writ-registry/writ/registry"
	"github.com/writ-registry/writ/registry/capability"
)

// Explained is a reason with its meaning in words.
type Explained struct {
	Code    Code   `json:"code"`
	Detail  string `json:"detail,omitempty"` // not of recorded reasons: only their codes are kept
	Meaning string `json:"meaning"`
}

func explained(reasons []Reason) []Explained {
	out := make([]Explained, len(reasons))
	for i, r := range reasons {
		out[i] = Explained{r.Code, r.Detail, Meanings[r.Code]}
	}
	return out
}

// Explanation is a recorded decision with all that is kept of why it was made.
type Explanation struct {
	Decision string    `json:"decision"`
	CID      string    `json:"cid"`
	Index    uint64    `json:"index" doc:"Place in the log"`
	Time     time.Time `json:"time" doc:"When it was recorded"`

	Verdict     Verdict     `json:"verdict" enum:"permit,deny,step_up"`
	Observed    bool        `json:"observed,omitempty" doc:"Permitted under observation, in spite of the reasons"`
	Reasons     []Explained `json:"reasons" doc:"In order of precedence"`
	QualifiedBy []string    `json:"qualified_by" doc:"Why it is evidence"`
	Folds       bool        `json:"folds,omitempty" doc:"Repeats of the denial are counted, not recorded"`

	Org       string `json:"org"`
	Agent     string `json:"agent,omitempty"`
	DID       string `json:"did,omitempty"`
	Subject   *Named `json:"subject,omitempty" doc:"Of a decision about a subject that is no agent"`
	Grant     string `json:"grant,omitempty" doc:"At the root"`
	TokenHash string `json:"token_hash,omitempty"`
	Chain     []Link `json:"chain,omitempty" doc:"Who handed on what, root first"`
	PEP       string `json:"pep,omitempty" doc:"The enforcement point that asked; absent: the agent did"`
	Audience  string `json:"audience,omitempty" doc:"The resource server"`

	Action    string          `json:"action,omitempty" doc:"verb:type; absent where nothing was proven"`
	Resource  *Named          `json:"resource,omitempty"`
	Arguments json.RawMessage `json:"arguments,omitempty" doc:"An object"`
	Task      string          `json:"task,omitempty"`
	Domain    string          `json:"domain,omitempty" doc:"As the enforcement point asserted it"`
	Workflow  string          `json:"workflow,omitempty"`
	Tool      string          `json:"tool,omitempty"`
	Erased    []string        `json:"erased,omitempty" doc:"Inputs that the event commits to and that are not kept any more"`

	PolicyDigest    string           `json:"policy_digest"`
	Policies        *int64           `json:"policies,omitempty" doc:"Version of the org's policies, 0 = none; absent: no version of this registry's rules has this digest"`
	CatalogueDigest string           `json:"catalogue_digest"`
	Epochs          map[string]int64 `json:"epochs"`

	Approval  string           `json:"approval,omitempty" doc:"That the permit used up"`
	Approvers []string         `json:"approvers,omitempty"`
	Permit    *registry.Permit `json:"permit,omitempty" doc:"What became of the act, where a permit was given out"`
}

// Explanation says all that is kept of a decision: of an event that
// registry.FindDecision has found for the caller. Which policies spoke is not recorded:
// Replay says it anew.
func (p *PDP) Explanation(ctx context.Context, e registry.Event) (Explanation, error) {
	var out Explanation
	err := p.Store.View(ctx, func(tx registry.Tx) error {
		r, err := readDecision(tx, e)
		if err != nil {
			return err
		}
		slices.Sort(r.erased)
		out = Explanation{
			Decision: r.Decision, CID: e.CID, Index: e.Index, Time: e.Time,
			Verdict: Verdict(r.Verdict), Observed: r.Observed, Reasons: r.explained(), QualifiedBy: append([]string{}, r.QualifiedBy...), Folds: r.Folds,
			Org: e.Org, Agent: e.Agent, DID: r.DID, Subject: r.subject, Grant: r.Grant, TokenHash: r.TokenHash, PEP: r.PEP, Audience: r.Audience,
			Action: r.Action, Resource: r.resource, Domain: r.context.Domain, Workflow: r.context.Workflow, Tool: r.context.Tool, Erased: r.erased,
			PolicyDigest: r.PolicyDigest, CatalogueDigest: r.CatalogueDigest, Epochs: r.Epochs, Approval: r.Approval, Approvers: r.Approvers,
		}
		if r.payload != nil {
			out.Arguments, out.Task = r.payload.Arguments, r.payload.Task
		}
		if tokens := r.tokens(); tokens != nil {
			if chain, err := capability.ParseChain(tokens); err == nil { // it was verified when it was kept
				out.Chain = linksOf(chain)
			}
		}
		switch permit, err := tx.Permit(r.Decision); {
		case err == nil:
			out.Permit = &permit
		case !errors.Is(err, registry.NotFound):
			return err
		}
		switch version, _, err := policiesOf(tx, e.Org, r.PolicyDigest); {
		case err == nil:
			out.Policies = &version
		case !errors.Is(err, registry.NotFound):
			return err
		}
		return nil
	})
	return out, err
}

func (r *recorded) explained() []Explained {
	out := make([]Explained, len(r.Reasons))
	for i, c := range r.codes() {
		out[i] = Explained{Code: c, Meaning: Meanings[c]}
	}
	return out
}

// tokens are what the agent showed, root first; nil: nothing was proven, or it is erased.
func (r *recorded) tokens() capability.Tokens {
	if r.token == "" || slices.Contains(r.erased, "chain") {
		return nil
	}
	return append(slices.Clone(r.chain), r.token)
}

// policiesOf finds the version of an org's policies that a decision's policy digest
// names, and its text; 0 is none. NotFound: there is no such version, or the registry's
// own checks were others.
func policiesOf(tx registry.Tx, org, digest string) (version int64, text string, err error) {
	if digest == PolicyDigest {
		return 0, "", nil
	}
	for page := (registry.Page{Limit: registry.MaxPage}); ; {
		list, err := tx.ListPolicySets(org, page)
		if err != nil {
			return 0, "", err
		}
		for _, s := range list {
			if digestWith(s.Digest) == digest {
				text, err := tx.PolicyText(org, s.Version)
				return s.Version, text, err
			}
		}
		if len(list) < page.Limit {
			return 0, "", registry.Errorf(registry.NotFound, "no such policies")
		}
		page.After = strconv.FormatInt(list[len(list)-1].Version, 10)
	}
}
