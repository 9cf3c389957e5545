package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"github.com/writ-registry/writ/anchor"
	"github.com/writ-registry/writ/internal/canon"
	"github.com/writ-registry/writ/registry"
	"github.com/writ-registry/writ/registry/policy"
)

func (s *server) routeEvents() {
	route(s, huma.Operation{OperationID: "list-events", Method: http.MethodGet, Path: "/v1/events", Tags: []string{"events"},
		Summary: "The events of an org, in log order or newest first"}, s.listEvents)
	route(s, huma.Operation{OperationID: "get-event", Method: http.MethodGet, Path: "/v1/events/{cid}", Tags: []string{"events"},
		Summary: "One event with what it commits to"}, s.getEvent)
	route(s, huma.Operation{OperationID: "get-receipt", Method: http.MethodGet, Path: "/v1/events/{cid}/receipt", Tags: []string{"events"},
		Summary: "A receipt that anyone verifies offline",
		Responses: map[string]*huma.Response{"200": {
			Description: "The strongest receipt there is now, a *.writ.json file (docs/schemas/receipt.schema.json)",
			Content:     map[string]*huma.MediaType{"application/json": {Schema: &huma.Schema{Type: "object", AdditionalProperties: true}}},
		}}}, s.getReceipt)
	route(s, huma.Operation{OperationID: "get-decision-key", Method: http.MethodGet, Path: "/v1/events/{cid}/key", Tags: []string{"events"},
		Summary:     "Whether the key that signed for a decision was the agent's then, by the order of the log",
		Description: "The receipts of the events that added and ended the key, which anyone verifies offline beside that of the decision.",
	}, s.getDecisionKey)
}

func (s *server) listEvents(ctx context.Context, call registry.Call, in *struct {
	Org   string `query:"org" doc:"Id or name; the caller's own where absent, all for an operator"`
	Agent string `query:"agent" doc:"Id or DID"`
	Type  string `query:"type" doc:"Such as decision or agent.approved"`
	Order string `query:"order" enum:"oldest,newest" default:"oldest"`
	PageParams
}) (*plain[page[registry.Event]], error) {
	f := registry.EventFilter{Type: in.Type, Newest: in.Order == "newest"}
	index := func(e registry.Event) string { return strconv.FormatUint(e.Index, 10) }
	return listed(in.PageParams, "events."+in.Order, index, func(p registry.Page) ([]registry.Event, error) {
		f.Page = p
		return s.Registry.ListEvents(ctx, call.Caller, in.Org, in.Agent, f)
	})
}

// EventPath names an event.
type EventPath struct {
	CID string `path:"cid"`
}

// EventAnswer is an event, the values it commits to as far as they are kept,
// and, for a decision, its reasons in words.
type EventAnswer struct {
	Event       registry.Event     `json:"event"`
	Disclosures []canon.Disclosure `json:"disclosures"`
	Explanation []policy.Reason    `json:"explanation,omitempty"`
}

func (s *server) getEvent(ctx context.Context, call registry.Call, in *EventPath) (*plain[EventAnswer], error) {
	a, err := s.event(ctx, call.Caller, in.CID)
	return &plain[EventAnswer]{a}, err
}

func (s *server) event(ctx context.Context, c registry.Caller, cid string) (EventAnswer, error) {
	ev, disclosures, err := s.Registry.FindEvent(ctx, c, cid)
	if err != nil {
		return EventAnswer{}, err
	}
	a := EventAnswer{Event: ev, Disclosures: append([]canon.Disclosure{}, disclosures...)}
	if ev.Type != registry.EventDecision {
		return a, nil
	}
	var artifact struct {
		Body struct {
			Reasons []string `json:"reasons"`
		} `json:"body"`
	}
	if err := json.Unmarshal(ev.Artifact, &artifact); err != nil {
		return a, fmt.Errorf("read artifact %s: %w", cid, err)
	}
	a.Explanation = policy.Explain(artifact.Body.Reasons)
	return a, nil
}

// receiptOut is a file: its bytes are canonical and pass unchanged.
type receiptOut struct {
	ContentType string `header:"Content-Type"`
	Disposition string `header:"Content-Disposition"`
	Body        []byte
}

func (s *server) getReceipt(ctx context.Context, call registry.Call, in *struct {
	EventPath
	Disclose string `query:"disclose" enum:"none,all" default:"none" doc:"all adds the values that the artifact commits to"`
}) (*receiptOut, error) {
	name, file, err := s.receipt(ctx, call.Caller, in.CID, in.Disclose == "all")
	return &receiptOut{"application/json", name, file}, err
}

// receipt makes the file for a caller who may read the event.
func (s *server) receipt(ctx context.Context, c registry.Caller, cid string, disclose bool) (disposition string, file []byte, err error) {
	_, disclosures, err := s.Registry.FindEvent(ctx, c, cid)
	if err != nil {
		return "", nil, err
	}
	if s.Receipts == nil {
		return "", nil, registry.Errorf(registry.Unavailable, "this registry makes no receipts")
	}
	receipt, err := s.Receipts.Receipt(ctx, cid)
	if err != nil {
		return "", nil, err
	}
	if disclose {
		for _, d := range disclosures {
			receipt.Disclosures = append(receipt.Disclosures, anchor.ReceiptDisclosure{Name: d.Name, Salt: d.Salt, Value: d.Value})
		}
	}
	file, err = receipt.Marshal()
	return `attachment; filename="` + cid + `.writ.json"`, file, err // a CID has no quotes
}

// DecisionKeyAnswer says between which places of the log the key counted that
// signed a decision's action proof.
type DecisionKeyAnswer struct {
	DID              string    `json:"did"`
	Thumbprint       string    `json:"thumbprint" doc:"RFC 7638"`
	DecidedIndex     uint64    `json:"decided_index" doc:"Place of the decision"`
	Added            KeyEvent  `json:"added" doc:"agent.requested or agent.key_rotated"`
	Ended            *KeyEvent `json:"ended,omitempty" doc:"agent.key_rotated, agent.key_ended or agent.revoked; absent while the key counts"`
	ValidWhenDecided bool      `json:"valid_when_decided" doc:"added.from < decided_index, and decided_index < ended.from if it has ended"`
}

// KeyEvent is an event in the life of a key.
type KeyEvent struct {
	Type    string  `json:"type"`
	CID     string  `json:"cid"`
	Index   uint64  `json:"index"`
	From    uint64  `json:"from" doc:"Place of the log from which on it holds: its own or, of a compromise, perhaps an earlier one"`
	Receipt receipt `json:"receipt" doc:"A *.writ.json file, canonical as it stands here"`
}

// receipt is a file within an answer.
type receipt struct{ json.RawMessage }

// Schema says that it is an object with a schema of its own.
func (receipt) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: "object", AdditionalProperties: true, Description: "docs/schemas/receipt.schema.json"}
}

func (s *server) getDecisionKey(ctx context.Context, call registry.Call, in *EventPath) (*plain[DecisionKeyAnswer], error) {
	k, err := s.Registry.FindDecisionKey(ctx, call.Caller, in.CID)
	if err != nil {
		return nil, err
	}
	a := DecisionKeyAnswer{DID: k.DID, Thumbprint: k.Thumbprint, DecidedIndex: k.Decided, ValidWhenDecided: k.ValidWhenDecided()}
	if a.Added, err = s.keyEvent(ctx, call.Caller, k.Added, k.Added.Index); err != nil {
		return nil, err
	}
	if k.Ended != nil {
		ended, err := s.keyEvent(ctx, call.Caller, *k.Ended, k.From)
		if err != nil {
			return nil, err
		}
		a.Ended = &ended
	}
	return &plain[DecisionKeyAnswer]{a}, nil
}

func (s *server) keyEvent(ctx context.Context, c registry.Caller, e registry.Event, from uint64) (KeyEvent, error) {
	_, file, err := s.receipt(ctx, c, e.CID, false)
	return KeyEvent{Type: e.Type, CID: e.CID, Index: e.Index, From: from, Receipt: receipt{file}}, err
}
