package api

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strconv"
	"sync"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gin-gonic/gin"

	"github.com/writ-registry/writ/api/problem"
	"github.com/writ-registry/writ/internal/canon"
	"github.com/writ-registry/writ/registry"
)

// MaxEvaluations is how many acts one request may ask about.
const MaxEvaluations = 100

// atOnce is how many evaluations of one request are under way: those that are
// recorded share their commits.
const atOnce = 16

// Semantic says which of several evaluations are executed (AuthZEN
// Authorization API 1.0, section 7.1.2.1).
type Semantic string

// The semantics of section 7.1.2.1.
const (
	ExecuteAll          Semantic = "execute_all" // and any other text is refused
	DenyOnFirstDeny     Semantic = "deny_on_first_deny"
	PermitOnFirstPermit Semantic = "permit_on_first_permit"
)

// EvaluationsRequest is an Access Evaluations request (section 7.1). What an
// evaluation leaves out is as a whole that of the top level; nothing is merged
// within a member. Without evaluations it is one evaluation.
type EvaluationsRequest struct {
	Subject     *Entity             `json:"subject,omitempty"`
	Action      *EvaluationAction   `json:"action,omitempty"`
	Resource    *Entity             `json:"resource,omitempty"`
	Context     *EvaluationContext  `json:"context,omitempty"`
	Evaluations []PartialEvaluation `json:"evaluations,omitempty" maxItems:"100"`
	Options     *EvaluationsOptions `json:"options,omitempty"`
	_           struct{}            `additionalProperties:"true"`
}

// PartialEvaluation is one of several evaluations.
type PartialEvaluation struct {
	Subject  *Entity            `json:"subject,omitempty"`
	Action   *EvaluationAction  `json:"action,omitempty"`
	Resource *Entity            `json:"resource,omitempty"`
	Context  *EvaluationContext `json:"context,omitempty" doc:"Each act has a proof of its own"`
	_        struct{}           `additionalProperties:"true"`
}

// EvaluationsOptions says how they are executed.
type EvaluationsOptions struct {
	Semantic Semantic `json:"evaluations_semantic,omitempty" enum:"execute_all,deny_on_first_deny,permit_on_first_permit" default:"execute_all"`
	_        struct{} `additionalProperties:"true"`
}

// EvaluationsAnswer is an Access Evaluations response (section 7.2): decisions in
// the order of the evaluations, as many as were executed.
type EvaluationsAnswer struct {
	Evaluations []EvaluationsItem `json:"evaluations"`
}

// EvaluationsItem is a decision, or a "no" because the evaluation failed.
type EvaluationsItem struct {
	Decision bool              `json:"decision"`
	Context  EvaluationsReason `json:"context"`
}

// EvaluationsReason is an outcome, or why there is none.
type EvaluationsReason struct {
	*EvaluationOutcome
	Error *EvaluationError `json:"error,omitempty"`
}

// Schema says that it is the one or the other.
func (EvaluationsReason) Schema(r huma.Registry) *huma.Schema {
	failure := r.Schema(reflect.TypeFor[EvaluationError](), true, "")
	return &huma.Schema{OneOf: []*huma.Schema{
		r.Schema(reflect.TypeFor[EvaluationOutcome](), true, ""),
		{Type: huma.TypeObject, Properties: map[string]*huma.Schema{"error": failure}, Required: []string{"error"}},
	}}
}

// EvaluationError says why one of several evaluations failed: what the answer
// would have been had it been asked alone.
type EvaluationError struct {
	Status  int    `json:"status"`
	Type    string `json:"type" format:"uri" doc:"Stable name of the kind of problem"`
	Code    string `json:"code,omitempty"`
	Field   string `json:"field,omitempty" doc:"JSON Pointer into the request"`
	Message string `json:"message"`
}

// shared is what evaluations may leave out.
var shared = []string{"subject", "action", "resource", "context"}

// evaluateAll answers several evaluations, or one.
func (s *server) evaluateAll(c *gin.Context) {
	r := requestOf(c.Request.Context())
	bodies, semantic, err := readEvaluations(r.body)
	if err == nil && len(bodies) > 1 && r.caller.ID != "" {
		for range len(bodies) - 1 { // the request itself was charged
			if err = s.withinQuota(c, r.caller); err != nil {
				break
			}
		}
	}
	if err != nil {
		s.fail(c, err)
		return
	}
	if bodies == nil {
		s.evaluate(c)
		return
	}
	one := func(ctx context.Context, i int) EvaluationsItem {
		out, err := s.decide(ctx, bodies[i])
		if err == nil {
			return EvaluationsItem{out.Decision, EvaluationsReason{EvaluationOutcome: &out.Context}}
		}
		s.charge(c, err)
		p := problem.From(ctx, s.logger(ctx), err)
		e := &EvaluationError{Status: p.Status, Type: p.Type, Code: p.Code, Message: cmp.Or(p.Detail, p.Title)}
		if p.Field != "" {
			e.Field = fmt.Sprintf("/evaluations/%d%s", i, p.Field)
		}
		return EvaluationsItem{Context: EvaluationsReason{Error: e}}
	}
	send(c, http.StatusOK, "application/json", EvaluationsAnswer{executed(c.Request.Context(), len(bodies), semantic, one)})
}

// executed runs n evaluations and returns the results of those that the semantic
// asks for. Where one decides whether the next is asked, they run in order.
func executed(ctx context.Context, n int, how Semantic, one func(context.Context, int) EvaluationsItem) []EvaluationsItem {
	out := make([]EvaluationsItem, 0, n)
	if how != ExecuteAll {
		for i := range n {
			out = append(out, one(ctx, i))
			if out[i].Decision == (how == PermitOnFirstPermit) {
				break
			}
		}
		return out
	}
	out = out[:n]
	slots := make(chan struct{}, atOnce)
	var wg sync.WaitGroup
	for i := range n {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			out[i] = one(ctx, i)
		})
	}
	wg.Wait()
	return out
}

// readEvaluations makes of each evaluation a whole request body. None: there are
// no evaluations, and the body is one request.
func readEvaluations(body []byte) ([][]byte, Semantic, error) {
	var top struct {
		Evaluations []json.RawMessage `json:"evaluations"`
		Options     struct {
			Semantic *Semantic       `json:"evaluations_semantic"`
			DryRun   json.RawMessage `json:"dry_run"`
		} `json:"options"`
	}
	if err := canon.UnmarshalOpen(body, &top); err != nil {
		return nil, "", malformedJSON(err)
	}
	semantic := ExecuteAll
	if top.Options.Semantic != nil {
		semantic = *top.Options.Semantic
	}
	switch {
	case top.Options.DryRun != nil:
		return nil, "", registry.Invalid("/options/dry_run", "an evaluation is never a dry run: what it permits may be done")
	case semantic != ExecuteAll && semantic != DenyOnFirstDeny && semantic != PermitOnFirstPermit:
		return nil, "", registry.Invalid("/options/evaluations_semantic", "must be %s, %s or %s", ExecuteAll, DenyOnFirstDeny, PermitOnFirstPermit)
	case len(top.Evaluations) > MaxEvaluations:
		return nil, "", registry.Invalid("/evaluations", "has more than %d items", MaxEvaluations)
	case len(top.Evaluations) == 0:
		return nil, semantic, nil
	}
	var defaults map[string]json.RawMessage
	if err := canon.UnmarshalOpen(body, &defaults); err != nil {
		return nil, "", malformedJSON(err)
	}
	if at := simulation(body); at != "" {
		return nil, "", registry.Invalid(at, "an evaluation is never a dry run: what it permits may be done")
	}
	out := make([][]byte, len(top.Evaluations))
	for i, raw := range top.Evaluations {
		var item map[string]json.RawMessage
		if err := json.Unmarshal(raw, &item); err != nil || item == nil {
			return nil, "", registry.Invalid("/evaluations/"+strconv.Itoa(i), "must be an object")
		}
		for _, name := range shared {
			if _, given := item[name]; !given && defaults[name] != nil {
				item[name] = defaults[name]
			}
		}
		var whole bytes.Buffer
		enc := json.NewEncoder(&whole)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(item); err != nil {
			return nil, "", errors.Join(errors.New("api: an evaluation does not encode"), err)
		}
		out[i] = whole.Bytes()
	}
	return out, semantic, nil
}
