package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	table "github.com/writ-registry/writ/internal/route"
	"github.com/writ-registry/writ/registry"
)

func (s *server) routePEPRoutes() {
	route(s, huma.Operation{OperationID: "set-pep-routes", Method: http.MethodPut, Path: "/v1/peps/{pep}/routes", Tags: []string{"peps"},
		Summary: "Which acts the requests are that a proxy asks about, and the credential that it is given with a permit"}, s.setPEPRoutes)
	route(s, huma.Operation{OperationID: "get-pep-routes", Method: http.MethodGet, Path: "/v1/peps/{pep}/routes", Tags: []string{"peps"},
		Summary: "The table of an enforcement point's routes, without the credential"}, s.getPEPRoutes)
}

// NewPEPRoutes is the body of set-pep-routes.
type NewPEPRoutes struct {
	Audience   string     `json:"audience" doc:"The resource server that the requests are for: one of the enforcement point's"`
	Routes     []PEPRoute `json:"routes" minItems:"1" maxItems:"256"`
	Header     string     `json:"header,omitempty" doc:"Header field of the credential; Authorization where absent"`
	Credential *string    `json:"credential,omitempty" doc:"Whole value of that field for permitted requests, kept sealed and never shown; empty for none, absent for the one there is"`
}

// PEPRoute maps requests of one method and path to acts.
type PEPRoute struct {
	Method   string `json:"method" doc:"GET, POST, ..."`
	Path     string `json:"path" doc:"Template: /invoices/{id}; {name...} at the end stands for the rest"`
	Action   string `json:"action" doc:"verb:type"`
	Resource string `json:"resource" doc:"Id of the resource, which may name variables of the path"`
	Body     string `json:"body,omitempty" enum:"json,digest" doc:"How the body is part of the act; absent: there is none"`
}

// PEPRoutesAnswer is a table and the event that records it.
type PEPRoutesAnswer struct {
	Routes registry.PEPRoutes `json:"routes"`
	Event  *registry.EventRef `json:"event,omitempty"`
}

func (s *server) setPEPRoutes(ctx context.Context, call registry.Call, in *struct {
	PEPPath
	Body NewPEPRoutes
}) (*changed[PEPRoutesAnswer], error) {
	b := in.Body
	n := registry.NewPEPRoutes{PEP: in.PEP, Table: table.Table{Audience: b.Audience}, Header: b.Header, Credential: b.Credential}
	for _, r := range b.Routes {
		n.Table.Routes = append(n.Table.Routes, table.Route{Method: r.Method, Path: r.Path, Action: r.Action, Resource: r.Resource, Body: r.Body})
	}
	out, err := s.Registry.SetPEPRoutes(ctx, call, n)
	if err != nil {
		return nil, err
	}
	return change(out, PEPRoutesAnswer{out.Value, eventOf(out)}), nil
}

func (s *server) getPEPRoutes(ctx context.Context, call registry.Call, in *PEPPath) (*plain[registry.PEPRoutes], error) {
	out, err := s.Registry.FindPEPRoutes(ctx, call.Caller, in.PEP)
	return &plain[registry.PEPRoutes]{out}, err
}
