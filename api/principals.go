package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/writ-registry/writ/registry"
)

func (s *server) routePrincipals() {
	route(s, huma.Operation{OperationID: "create-principal", Method: http.MethodPost, Path: "/v1/principals", Tags: []string{"principals"},
		DefaultStatus: http.StatusCreated, Summary: "Add an accountable human; the secret is shown once"}, s.createPrincipal)
	route(s, huma.Operation{OperationID: "list-principals", Method: http.MethodGet, Path: "/v1/principals", Tags: []string{"principals"},
		Summary: "The humans of an org"}, s.listPrincipals)
	route(s, huma.Operation{OperationID: "get-principal", Method: http.MethodGet, Path: "/v1/principals/{principal}", Tags: []string{"principals"},
		Summary: "One human"}, s.getPrincipal)
	route(s, huma.Operation{OperationID: "set-roles", Method: http.MethodPut, Path: "/v1/principals/{principal}/roles", Tags: []string{"principals"},
		Summary: "Replace the roles that were given inside the registry; the last owner or operator stays"}, s.setRoles)
	for _, m := range []struct {
		verb, summary string
		move          func(context.Context, registry.Call, string, string) (registry.Outcome[registry.Principal], error)
	}{
		{"suspend", "Stop a human, their sessions and the agents they sponsor, until they are resumed", s.Registry.SuspendPrincipal},
		{"resume", "Let a suspended human act again", s.Registry.ResumePrincipal},
		{"end", "Record that a human has left, for good", s.Registry.EndPrincipal},
	} {
		route(s, huma.Operation{OperationID: m.verb + "-principal", Method: http.MethodPost, Path: "/v1/principals/{principal}/" + m.verb, Tags: []string{"principals"}, Summary: m.summary},
			func(ctx context.Context, call registry.Call, in *struct {
				PrincipalPath
				Body *ReasonBody
			}) (*changed[PrincipalAnswer], error) {
				out, err := m.move(ctx, call, in.Principal, in.Body.text())
				if err != nil {
					return nil, err
				}
				return change(out, PrincipalAnswer{out.Value, "", eventOf(out)}), nil
			})
	}
	route(s, huma.Operation{OperationID: "list-sessions", Method: http.MethodGet, Path: "/v1/principals/{principal}/sessions", Tags: []string{"principals"},
		Summary: "Where a human is signed in to the pages"}, s.listSessions)
	route(s, huma.Operation{OperationID: "end-sessions", Method: http.MethodDelete, Path: "/v1/principals/{principal}/sessions", Tags: []string{"principals"},
		Summary: "End all sessions of a human"}, func(ctx context.Context, call registry.Call, in *PrincipalPath) (*changed[SessionsEnded], error) {
		return s.endSessions(ctx, call, in.Principal, "")
	})
	route(s, huma.Operation{OperationID: "end-session", Method: http.MethodDelete, Path: "/v1/principals/{principal}/sessions/{session}", Tags: []string{"principals"},
		Summary: "End one session of a human"}, func(ctx context.Context, call registry.Call, in *struct {
		PrincipalPath
		Session string `path:"session" doc:"Id"`
	}) (*changed[SessionsEnded], error) {
		return s.endSessions(ctx, call, in.Principal, in.Session)
	})
}

// PrincipalPath names a human.
type PrincipalPath struct {
	Principal string `path:"principal" doc:"Id"`
}

func (s *server) getPrincipal(ctx context.Context, call registry.Call, in *PrincipalPath) (*plain[registry.Principal], error) {
	p, err := s.Registry.FindPrincipal(ctx, call.Caller, in.Principal)
	return &plain[registry.Principal]{p}, err
}

// NewRoles is the body of set-roles.
type NewRoles struct {
	Roles []registry.Role `json:"roles" enum:"owner,registrar,policy_author,approver,auditor,operator"`
}

func (s *server) setRoles(ctx context.Context, call registry.Call, in *struct {
	PrincipalPath
	Body NewRoles
}) (*changed[PrincipalAnswer], error) {
	out, err := s.Registry.SetRoles(ctx, call, in.Principal, in.Body.Roles)
	if err != nil {
		return nil, err
	}
	return change(out, PrincipalAnswer{out.Value, "", eventOf(out)}), nil
}

// Session is a human signed in to the pages.
type Session struct {
	ID      string    `json:"id"`
	Issuer  string    `json:"issuer" doc:"Id"`
	Created time.Time `json:"created"`
	Seen    time.Time `json:"seen" doc:"Its last use, to a minute"`
	Checked time.Time `json:"checked" doc:"When the issuer last answered for the human"`
	Expires time.Time `json:"expires" doc:"Its end at the latest"`
}

// Sessions are a human's.
type Sessions struct {
	Items []Session `json:"items"`
}

// SessionsEnded says how many there were.
type SessionsEnded struct {
	Ended int `json:"ended"`
}

func (s *server) listSessions(ctx context.Context, call registry.Call, in *PrincipalPath) (*plain[Sessions], error) {
	list, err := s.Registry.ListSessions(ctx, call.Caller, in.Principal)
	out := Sessions{Items: []Session{}}
	for _, v := range list {
		out.Items = append(out.Items, Session{v.ID, v.Issuer, v.Created, v.Seen, v.Checked, v.Expires})
	}
	return &plain[Sessions]{out}, err
}

func (s *server) endSessions(ctx context.Context, call registry.Call, principal, session string) (*changed[SessionsEnded], error) {
	out, err := s.Registry.EndSessions(ctx, call, principal, session)
	if err != nil {
		return nil, err
	}
	return change(out, SessionsEnded{out.Value}), nil
}

// NewPrincipal is the body of create-principal.
type NewPrincipal struct {
	Org         string          `json:"org,omitempty" doc:"Id or name; the caller's own where absent"`
	DisplayName string          `json:"display_name,omitempty"`
	Roles       []registry.Role `json:"roles" minItems:"1" enum:"owner,registrar,policy_author,approver,auditor,operator"`
}

// PrincipalAnswer is a principal, its credential, and the event that records it.
type PrincipalAnswer struct {
	Principal registry.Principal `json:"principal"`
	Secret    string             `json:"secret,omitempty" doc:"The credential; never shown again, and absent in a replay"`
	Event     *registry.EventRef `json:"event,omitempty"`
}

func (s *server) createPrincipal(ctx context.Context, call registry.Call, in *struct{ Body NewPrincipal }) (*changed[PrincipalAnswer], error) {
	out, err := s.Registry.CreatePrincipal(ctx, call, registry.NewPrincipal(in.Body))
	if err != nil {
		return nil, err
	}
	return change(out, PrincipalAnswer{out.Value, out.Secret, eventOf(out)}), nil
}

// OrgFilter narrows a list to one org.
type OrgFilter struct {
	Org string `query:"org" doc:"Id or name; the caller's own where absent"`
}

func (s *server) listPrincipals(ctx context.Context, call registry.Call, in *struct {
	OrgFilter
	PageParams
}) (*plain[page[registry.Principal]], error) {
	return listed(in.PageParams, "principals", func(p registry.Principal) string { return p.ID }, func(p registry.Page) ([]registry.Principal, error) {
		return s.Registry.ListPrincipals(ctx, call.Caller, in.Org, p)
	})
}
