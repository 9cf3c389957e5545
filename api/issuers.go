package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/writ-registry/writ/registry"
)

func (s *server) routeIssuers() {
	route(s, huma.Operation{OperationID: "set-sign-in-issuer", Method: http.MethodPost, Path: "/v1/orgs/{org}/issuers", Tags: []string{"issuers"},
		Summary: "Let people sign in for an org at an OpenID provider, or change how; its owner may"}, s.setSignInIssuer)
	route(s, huma.Operation{OperationID: "list-sign-in-issuers", Method: http.MethodGet, Path: "/v1/orgs/{org}/issuers", Tags: []string{"issuers"},
		Summary: "Where people of an org sign in"}, s.listSignInIssuers)
	route(s, huma.Operation{OperationID: "remove-sign-in-issuer", Method: http.MethodDelete, Path: "/v1/orgs/{org}/issuers/{sign_in}", Tags: []string{"issuers"},
		Summary: "End sign-in at an issuer, and the sessions that began there"}, s.removeSignInIssuer)
}

// NewSignInIssuer is the body of set-sign-in-issuer.
type NewSignInIssuer struct {
	Issuer        string                     `json:"issuer" doc:"The issuer's identifier, compared byte for byte" example:"https://login.example"`
	ClientID      string                     `json:"client_id" doc:"The client that the issuer registered for this registry"`
	ClientSecret  *string                    `json:"client_secret,omitempty" doc:"Never shown. Absent: the one there is, if the client is the same; empty: a public client"`
	Scopes        []string                   `json:"scopes,omitempty" doc:"Asked for beside openid; most issuers give a refresh token for offline_access only"`
	Prompt        string                     `json:"prompt,omitempty" doc:"OpenID Connect Core 1.0, section 3.1.2.1" example:"consent"`
	GroupsClaim   string                     `json:"groups_claim,omitempty" doc:"Member of the ID token that lists the groups" example:"groups"`
	Mapping       map[string][]registry.Role `json:"mapping,omitempty" doc:"Group to roles: registrar, policy_author and auditor; others take an act inside the registry"`
	KeepBootstrap bool                       `json:"keep_bootstrap,omitempty" doc:"Keep the first start's credential when somebody of this issuer becomes an owner or operator of the operator's org"`
	NoCheck       bool                       `json:"no_check,omitempty" doc:"Do not ask the issuer whether it is there"`
}

// Issuer is where people of an org sign in.
type Issuer struct {
	ID            string                     `json:"id"`
	Org           string                     `json:"org"`
	Issuer        string                     `json:"issuer"`
	ClientID      string                     `json:"client_id"`
	HasSecret     bool                       `json:"has_secret"`
	Scopes        []string                   `json:"scopes,omitempty"`
	Prompt        string                     `json:"prompt,omitempty"`
	GroupsClaim   string                     `json:"groups_claim,omitempty"`
	Mapping       map[string][]registry.Role `json:"mapping,omitempty"`
	KeepBootstrap bool                       `json:"keep_bootstrap,omitempty"`
	Created       time.Time                  `json:"created"`
	Updated       time.Time                  `json:"updated"`
}

// shown leaves out the secret.
func shown(i registry.Issuer) Issuer {
	return Issuer{i.ID, i.Org, i.URL, i.ClientID, i.Secret != "", i.Scopes, i.Prompt, i.GroupsClaim, i.Mapping, i.KeepBootstrap, i.Created, i.Updated}
}

// SignInIssuerAnswer is an issuer, where it sends people back to, and the event that
// records what changed.
type SignInIssuerAnswer struct {
	Issuer      Issuer             `json:"issuer"`
	RedirectURI string             `json:"redirect_uri" doc:"To be registered at the issuer"`
	Event       *registry.EventRef `json:"event,omitempty"`
}

// Issuers are an org's.
type Issuers struct {
	Items []Issuer `json:"items"`
}

func (s *server) setSignInIssuer(ctx context.Context, call registry.Call, in *struct {
	OrgPath
	Body NewSignInIssuer
}) (*changed[SignInIssuerAnswer], error) {
	b := in.Body
	out, err := s.Registry.SetSignInIssuer(ctx, call, in.Org, registry.NewIssuer{
		URL: b.Issuer, ClientID: b.ClientID, ClientSecret: b.ClientSecret, Scopes: b.Scopes, Prompt: b.Prompt,
		GroupsClaim: b.GroupsClaim, Mapping: b.Mapping, KeepBootstrap: b.KeepBootstrap, NoCheck: b.NoCheck,
	})
	if err != nil {
		return nil, err
	}
	return change(out, s.signInIssuerAnswer(out)), nil
}

func (s *server) listSignInIssuers(ctx context.Context, call registry.Call, in *OrgPath) (*plain[Issuers], error) {
	list, err := s.Registry.ListSignInIssuers(ctx, call.Caller, in.Org)
	out := Issuers{Items: []Issuer{}}
	for _, i := range list {
		out.Items = append(out.Items, shown(i))
	}
	return &plain[Issuers]{out}, err
}

func (s *server) removeSignInIssuer(ctx context.Context, call registry.Call, in *struct {
	OrgPath
	Issuer string `path:"sign_in" doc:"Id"`
}) (*changed[SignInIssuerAnswer], error) {
	out, err := s.Registry.RemoveSignInIssuer(ctx, call, in.Org, in.Issuer)
	if err != nil {
		return nil, err
	}
	return change(out, s.signInIssuerAnswer(out)), nil
}

func (s *server) signInIssuerAnswer(out registry.Outcome[registry.Issuer]) SignInIssuerAnswer {
	return SignInIssuerAnswer{shown(out.Value), s.Registry.Origin + CallbackPath, eventOf(out)}
}
