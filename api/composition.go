package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/writ-registry/writ/registry"
)

func (s *server) routeComposition() {
	route(s, huma.Operation{OperationID: "put-composition", Method: http.MethodPut, Path: "/v1/agents/{agent}/composition", Tags: []string{"agents"},
		Summary:     "Say what an agent is made of, and who vouches for it",
		Description: "Replaces all parts. A change is an event, and ends the trust in what the agent was. build-signed and runtime-attested need a composition+jwt by a voucher of the org that names the part with its digest."}, s.putComposition)
	route(s, huma.Operation{OperationID: "register-voucher", Method: http.MethodPost, Path: "/v1/vouchers", Tags: []string{"vouchers"},
		DefaultStatus: http.StatusCreated, Summary: "Let the holder of a key vouch for parts of agents; owners only"}, s.registerVoucher)
	route(s, huma.Operation{OperationID: "list-vouchers", Method: http.MethodGet, Path: "/v1/vouchers", Tags: []string{"vouchers"},
		Summary: "The vouchers of an org, the revoked ones too"}, s.listVouchers)
	route(s, huma.Operation{OperationID: "revoke-voucher", Method: http.MethodPost, Path: "/v1/vouchers/{voucher}/revoke", Tags: []string{"vouchers"},
		Summary: "End a voucher for good; what it vouched for stays recorded as it was"}, s.revokeVoucher)
}

// NewPart is one part of a composition.
type NewPart struct {
	Kind   string `json:"kind" enum:"model,runtime,tools,api"`
	Name   string `json:"name"`
	Digest string `json:"digest" doc:"SHA-256 of the artifact or manifest, 64 hex digits"`
	Source string `json:"source" enum:"self,sponsor,build-signed,runtime-attested" doc:"Who vouches for it; self never raises trust"`
}

// CompositionBody is the body of put-composition.
type CompositionBody struct {
	Parts      []NewPart `json:"parts" maxItems:"64"`
	Statements []string  `json:"statements,omitempty" maxItems:"16" doc:"composition+jwt, each for at least one of the parts"`
}

func (s *server) putComposition(ctx context.Context, call registry.Call, in *struct {
	AgentPath
	Body CompositionBody
}) (*changed[AgentAnswer], error) {
	c := registry.NewComposition{Statements: in.Body.Statements}
	for _, p := range in.Body.Parts {
		c.Parts = append(c.Parts, registry.Component{Kind: p.Kind, Name: p.Name, Digest: p.Digest, Source: p.Source})
	}
	out, err := s.Registry.SetComposition(ctx, call, in.Agent, c)
	if err != nil {
		return nil, err
	}
	return change(out, AgentAnswer{out.Value, eventOf(out)}), nil
}

// NewVoucher is the body of register-voucher.
type NewVoucher struct {
	Org  string    `json:"org,omitempty" doc:"Id or name; the caller's own where absent"`
	Kind string    `json:"kind" enum:"builder,attester"`
	Name string    `json:"name"`
	JWK  publicJWK `json:"jwk"`
}

// VoucherAnswer is a voucher and the event that records what changed.
type VoucherAnswer struct {
	Voucher registry.Voucher   `json:"voucher"`
	Event   *registry.EventRef `json:"event,omitempty" doc:"Absent where nothing changed"`
}

func (s *server) registerVoucher(ctx context.Context, call registry.Call, in *struct{ Body NewVoucher }) (*changed[VoucherAnswer], error) {
	b := in.Body
	out, err := s.Registry.RegisterVoucher(ctx, call, registry.NewVoucher{Org: b.Org, Kind: b.Kind, Name: b.Name, JWK: b.JWK.RawMessage})
	if err != nil {
		return nil, err
	}
	return change(out, VoucherAnswer{out.Value, eventOf(out)}), nil
}

func (s *server) listVouchers(ctx context.Context, call registry.Call, in *struct {
	OrgFilter
	PageParams
}) (*plain[page[registry.Voucher]], error) {
	return listed(in.PageParams, "vouchers", func(v registry.Voucher) string { return v.ID }, func(p registry.Page) ([]registry.Voucher, error) {
		return s.Registry.ListVouchers(ctx, call.Caller, in.Org, p)
	})
}

func (s *server) revokeVoucher(ctx context.Context, call registry.Call, in *struct {
	Voucher string `path:"voucher"`
	Body    *ReasonBody
}) (*changed[VoucherAnswer], error) {
	out, err := s.Registry.RevokeVoucher(ctx, call, in.Voucher, in.Body.text())
	if err != nil {
		return nil, err
	}
	return change(out, VoucherAnswer{out.Value, eventOf(out)}), nil
}
