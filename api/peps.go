package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/writ-registry/writ/registry"
)

func (s *server) routePEPs() {
	route(s, huma.Operation{OperationID: "register-pep", Method: http.MethodPost, Path: "/v1/peps", Tags: []string{"peps"},
		DefaultStatus: http.StatusCreated, Summary: "Register an enforcement point; the secret is shown once"}, s.registerPEP)
	route(s, huma.Operation{OperationID: "list-peps", Method: http.MethodGet, Path: "/v1/peps", Tags: []string{"peps"},
		Summary: "The enforcement points of an org"}, s.listPEPs)
	route(s, huma.Operation{OperationID: "set-pep-key", Method: http.MethodPut, Path: "/v1/peps/{pep}/key", Tags: []string{"peps"},
		Summary: "The key by which an enforcement point signs what became of permitted acts"}, s.setPEPKey)
	route(s, huma.Operation{OperationID: "set-pep-callbacks", Method: http.MethodPut, Path: "/v1/peps/{pep}/callbacks", Tags: []string{"peps"},
		Summary: "To which origins callbacks of an enforcement point's requests for approval may go"}, s.setPEPCallbacks)
}

// NewPEP is the body of register-pep.
type NewPEP struct {
	Org         string     `json:"org,omitempty" doc:"Id or name; the caller's own where absent"`
	Name        string     `json:"name"`
	Resources   []string   `json:"resources" minItems:"1" doc:"Ids of the resource servers it guards: the aud of action proofs"`
	ContextKeys []string   `json:"context_keys,omitempty" doc:"Context members that it may assert"`
	JWK         *publicJWK `json:"jwk,omitempty" doc:"Public key that signs what became of permitted acts; may be set later"`
}

// PEPKey is the body of set-pep-key.
type PEPKey struct {
	JWK publicJWK `json:"jwk"`
}

// PEPCallbacks is the body of set-pep-callbacks.
type PEPCallbacks struct {
	Origins []string `json:"origins" maxItems:"16" doc:"Scheme, host and port, such as https://pep.example; empty: none"`
}

// PEPAnswer is an enforcement point, its credential, and the event that records it.
type PEPAnswer struct {
	PEP    registry.PEP       `json:"pep"`
	Secret string             `json:"secret,omitempty" doc:"The credential; never shown again, and absent in a replay"`
	Event  *registry.EventRef `json:"event,omitempty"`
}

func (s *server) registerPEP(ctx context.Context, call registry.Call, in *struct{ Body NewPEP }) (*changed[PEPAnswer], error) {
	b := in.Body
	n := registry.NewPEP{Org: b.Org, Name: b.Name, Resources: b.Resources, ContextKeys: b.ContextKeys}
	if b.JWK != nil {
		n.JWK = b.JWK.RawMessage
	}
	out, err := s.Registry.RegisterPEP(ctx, call, n)
	if err != nil {
		return nil, err
	}
	return change(out, PEPAnswer{out.Value, out.Secret, eventOf(out)}), nil
}

func (s *server) setPEPKey(ctx context.Context, call registry.Call, in *struct {
	PEPPath
	Body PEPKey
}) (*changed[PEPAnswer], error) {
	out, err := s.Registry.SetPEPKey(ctx, call, in.PEP, in.Body.JWK.RawMessage)
	if err != nil {
		return nil, err
	}
	return change(out, PEPAnswer{PEP: out.Value, Event: eventOf(out)}), nil
}

func (s *server) setPEPCallbacks(ctx context.Context, call registry.Call, in *struct {
	PEPPath
	Body PEPCallbacks
}) (*changed[PEPAnswer], error) {
	out, err := s.Registry.SetPEPCallbacks(ctx, call, in.PEP, in.Body.Origins)
	if err != nil {
		return nil, err
	}
	return change(out, PEPAnswer{PEP: out.Value, Event: eventOf(out)}), nil
}

func (s *server) listPEPs(ctx context.Context, call registry.Call, in *struct {
	OrgFilter
	PageParams
}) (*plain[page[registry.PEP]], error) {
	return listed(in.PageParams, "peps", func(p registry.PEP) string { return p.ID }, func(p registry.Page) ([]registry.PEP, error) {
		return s.Registry.ListPEPs(ctx, call.Caller, in.Org, p)
	})
}
