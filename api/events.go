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
