package api

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"slices"

	"github.com/gin-gonic/gin"

	"github.com/writ-registry/writ/internal/canon"
	"github.com/writ-registry/writ/registry"
	"github.com/writ-registry/writ/registry/capability"
	"github.com/writ-registry/writ/registry/policy"
)

// SearchRequest is a Search request (OpenID AuthZEN Authorization API 1.0, section 8).
// What is searched is given by its type alone, an action not at all; what else it says
// of itself but properties is ignored.
type SearchRequest struct {
	Subject  *SearchEntity     `json:"subject"`
	Action   *EvaluationAction `json:"action,omitempty" doc:"Required but in a search for actions"`
	Resource *SearchEntity     `json:"resource"`
	Context  *SearchContext    `json:"context,omitempty"`
	Page     *SearchPage       `json:"page,omitempty"`
	_        struct{}          `additionalProperties:"true"`
}

// SearchEntity is a subject or resource of a search.
type SearchEntity struct {
	Type       string          `json:"type" minLength:"1"`
	ID         string          `json:"id,omitempty" doc:"Required, but ignored of what is searched"`
	Properties json.RawMessage `json:"properties,omitempty" doc:"As in an evaluation; of what is searched they are said of each candidate"`
	_          struct{}        `additionalProperties:"true"`
}

// SearchContext is what a search reads of the context: nothing that proves anything.
type SearchContext struct {
	Task     string   `json:"task,omitempty"`
	Domain   string   `json:"domain,omitempty" doc:"Asserted by the enforcement point, if it is registered for it"`
	Workflow string   `json:"workflow,omitempty" doc:"As domain"`
	Tool     string   `json:"tool,omitempty" doc:"As domain: digest of the description of the tool that would be called"`
	_        struct{} `additionalProperties:"true"`
}

// SearchPage says which part of the result is wanted (section 8.2.1).
type SearchPage struct {
	Token string   `json:"token,omitempty" doc:"next_token of the page before; all else must be as it was there"`
	Limit *int64   `json:"limit,omitempty" minimum:"0" doc:"Results at most; 1,000, and no more, where absent. Of the page before where a token is given"`
	_     struct{} `additionalProperties:"true"`
}

// SearchAnswer is a Search response (section 8.3).
type SearchAnswer struct {
	Page    SearchedPage   `json:"page"`
	Context SearchOutcome  `json:"context"`
	Results []SearchResult `json:"results" doc:"What an evaluation would permit now; may be empty where there is a next page"`
}

// SearchedPage says whether there is more (section 8.2.2).
type SearchedPage struct {
	NextToken string `json:"next_token" doc:"Opaque; empty at the end"`
	Count     int    `json:"count"`
}

// SearchOutcome says what the answer rests on.
type SearchOutcome struct {
	PolicyDigest string `json:"policy_digest"`
	Asserted     bool   `json:"pep_asserted,omitempty" doc:"The subjects are no agents: they are known by the enforcement point's word"`
	Possession   string `json:"possession,omitempty" enum:"not_proven" doc:"The subjects are agents, known by the grants that the registry has: a decision will ask for their proof"`
}

// SearchResult is a subject or resource by type and id, or an action by name.
type SearchResult struct {
	Type string `json:"type,omitempty"`
	ID   string `json:"id,omitempty"`
	Name string `json:"name,omitempty"`
}

// searchPath is before what is searched.
const searchPath = "/access/v1/search/"

// A search counts against its caller's share as a request, and as one more for so
// many candidates.
const candidatesPerRequest = 10

// search answers which subjects, resources or actions would be permitted. It is no
// decision: nothing may be done on its word.
func (s *server) search(of policy.Target) gin.HandlerFunc {
	return func(c *gin.Context) {
		ctx := c.Request.Context()
		r := requestOf(ctx)
		out, judged, err := s.find(ctx, of, r.body)
		for range judged / candidatesPerRequest {
			if s.withinQuota(c, r.caller) != nil {
				break // the next request waits
			}
		}
		if err != nil {
			s.fail(c, err)
			return
		}
		send(c, http.StatusOK, "application/json", out)
	}
}

// find reads a search and answers it.
func (s *server) find(ctx context.Context, of policy.Target, body []byte) (SearchAnswer, int, error) {
	var out SearchAnswer
	q, in, err := readSearch(of, body)
	if err != nil {
		return out, 0, err
	}
	pep := requestOf(ctx).caller.PEP
	same, err := searchedAs(of, pep.ID, body)
	if err != nil {
		return out, 0, err
	}
	if err := s.turn(&q, in, same); err != nil {
		return out, 0, err
	}
	found, err := s.PDP.Search(ctx, *pep, q)
	if err != nil {
		return out, found.Judged, err
	}
	s.Metrics.search(of, found)
	out = SearchAnswer{SearchedPage{Count: len(found.IDs)}, SearchOutcome{PolicyDigest: found.PolicyDigest, Asserted: !found.Unproven}, make([]SearchResult, len(found.IDs))}
	if found.Unproven {
		out.Context.Possession = "not_proven"
	}
	for i, id := range found.IDs {
		switch of {
		case policy.Subjects:
			out.Results[i] = SearchResult{Type: q.SubjectType, ID: id}
		case policy.Resources:
			out.Results[i] = SearchResult{Type: q.Act.Resource.Type, ID: id}
		default:
			out.Results[i] = SearchResult{Name: id}
		}
	}
	if found.More {
		plain, err := canon.Marshal(turn{found.Next, int64(q.Limit)})
		if err != nil {
			return out, found.Judged, err
		}
		out.Page.NextToken = s.Registry.Sealer.Seal(plain, same)
	}
	return out, found.Judged, nil
}

// readSearch reads the query, but for its page.
func readSearch(of policy.Target, body []byte) (policy.Query, SearchPage, error) {
	var in SearchRequest
	var q policy.Query
	if err := canon.UnmarshalOpen(body, &in); err != nil {
		return q, SearchPage{}, malformedJSON(err)
	}
	if in.Action == nil || of == policy.Actions {
		in.Action = &EvaluationAction{}
	}
	if in.Page == nil {
		in.Page = &SearchPage{}
	}
	switch {
	case in.Subject == nil:
		return q, *in.Page, missing("/subject")
	case in.Resource == nil:
		return q, *in.Page, missing("/resource")
	}
	needed := []string{"/subject/type", in.Subject.Type, "/resource/type", in.Resource.Type}
	if of != policy.Actions {
		needed = append(needed, "/action/name", in.Action.Name)
	}
	if of != policy.Subjects {
		needed = append(needed, "/subject/id", in.Subject.ID)
	}
	if of != policy.Resources {
		needed = append(needed, "/resource/id", in.Resource.ID)
	}
	if err := present(needed...); err != nil {
		return q, *in.Page, err
	}
	if of != policy.Subjects {
		if err := checkSubject(in.Subject.Type, in.Subject.ID); err != nil {
			return q, *in.Page, err
		}
	}
	args, err := in.Action.Properties.object()
	if in.Context == nil {
		in.Context = &SearchContext{}
	}
	q = policy.Query{For: of, Request: policy.Request{
		SubjectType: in.Subject.Type, Subject: in.Subject.ID,
		Act: capability.Act{Action: in.Action.Name, Resource: capability.Resource{Type: in.Resource.Type, ID: in.Resource.ID}, Arguments: args, Task: in.Context.Task},
		Context: policy.Context{Domain: in.Context.Domain, Workflow: in.Context.Workflow, Tool: in.Context.Tool,
			Subject: in.Subject.Properties, Resource: in.Resource.Properties},
	}}
	return q, *in.Page, err
}

// turn is what a next_token means: where to go on, and how far.
type turn struct {
	After string `json:"after"`
	Limit int64  `json:"limit"`
}

// turn finds the page that is asked for, of the search that same names.
func (s *server) turn(q *policy.Query, in SearchPage, same string) error {
	q.Limit = policy.MaxSearch
	if in.Limit != nil {
		if *in.Limit < 0 {
			return registry.Invalid("/page/limit", "must not be negative")
		}
		q.Limit = int(min(*in.Limit, policy.MaxSearch))
	}
	if in.Token == "" {
		return nil
	}
	var t turn
	plain, err := s.Registry.Sealer.Open(in.Token, same)
	if err == nil {
		err = canon.Unmarshal(plain, &t)
	}
	if err != nil {
		return registry.Invalid("/page/token", "not the next_token of this very search")
	}
	if in.Limit != nil && int64(q.Limit) != t.Limit {
		return registry.Invalid("/page/limit", "is not that of the page before")
	}
	q.After, q.Limit = t.After, int(t.Limit)
	return nil
}

// searchedAs names a search by who asks and all that is asked, but for the page. What is
// ignored counts: a search whose words change is another.
func searchedAs(of policy.Target, pep string, body []byte) (string, error) {
	var members map[string]any
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber() // as they are written
	if err := dec.Decode(&members); err != nil {
		return "", malformedJSON(err)
	}
	for name := range members {
		if !slices.Contains(shared, name) {
			delete(members, name)
		}
	}
	form, err := json.Marshal(members) // in order of the names
	return "search " + string(of) + " " + pep + " " + canon.Digest(form), err
}
