package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/writ-registry/writ/registry"
)

// routeCredentials adds the same three operations for principals and enforcement
// points.
func (s *server) routeCredentials() {
	list := func(tag, whose, path string) huma.Operation {
		return huma.Operation{OperationID: "list-" + tag + "-credentials", Method: http.MethodGet, Path: path, Tags: []string{tag + "s"},
			Summary: "The credentials of " + whose + ", without their secrets"}
	}
	rotate := func(tag, whose, path string) huma.Operation {
		return huma.Operation{OperationID: "rotate-" + tag + "-credential", Method: http.MethodPost, Path: path + "/rotate", Tags: []string{tag + "s"},
			DefaultStatus: http.StatusCreated, Summary: "Give " + whose + " a new credential, shown once; those before end at once, or after an overlap"}
	}
	revoke := func(tag, whose, path string) huma.Operation {
		return huma.Operation{OperationID: "revoke-" + tag + "-credential", Method: http.MethodPost, Path: path + "/{credential}/revoke", Tags: []string{tag + "s"},
			Summary: "End a credential of " + whose + " at once"}
	}
	const people, gates = "/v1/principals/{principal}/credentials", "/v1/peps/{pep}/credentials"
	route(s, list("principal", "a human", people), func(ctx context.Context, call registry.Call, in *PrincipalPath) (*plain[Credentials], error) {
		return s.listCredentials(ctx, call, in.owner())
	})
	route(s, rotate("principal", "a human", people), func(ctx context.Context, call registry.Call, in *struct {
		PrincipalPath
		Body *Rotation
	}) (*changed[CredentialAnswer], error) {
		return s.rotateCredential(ctx, call, in.owner(), in.Body)
	})
	route(s, revoke("principal", "a human", people), func(ctx context.Context, call registry.Call, in *struct {
		PrincipalPath
		CredentialPath
		Body *ReasonBody
	}) (*changed[CredentialAnswer], error) {
		return s.revokeCredential(ctx, call, in.owner(), in.Credential, in.Body)
	})
	route(s, list("pep", "an enforcement point", gates), func(ctx context.Context, call registry.Call, in *PEPPath) (*plain[Credentials], error) {
		return s.listCredentials(ctx, call, in.owner())
	})
	route(s, rotate("pep", "an enforcement point", gates), func(ctx context.Context, call registry.Call, in *struct {
		PEPPath
		Body *Rotation
	}) (*changed[CredentialAnswer], error) {
		return s.rotateCredential(ctx, call, in.owner(), in.Body)
	})
	route(s, revoke("pep", "an enforcement point", gates), func(ctx context.Context, call registry.Call, in *struct {
		PEPPath
		CredentialPath
		Body *ReasonBody
	}) (*changed[CredentialAnswer], error) {
		return s.revokeCredential(ctx, call, in.owner(), in.Credential, in.Body)
	})
}

// PEPPath names an enforcement point.
type PEPPath struct {
	PEP string `path:"pep" doc:"Id"`
}

// CredentialPath names a credential.
type CredentialPath struct {
	Credential string `path:"credential" doc:"Id"`
}

func (p PEPPath) owner() registry.Actor { return registry.Actor{Kind: registry.ActorPEP, ID: p.PEP} }

func (p PrincipalPath) owner() registry.Actor {
	return registry.Actor{Kind: registry.ActorPrincipal, ID: p.Principal}
}

func (s *server) listCredentials(ctx context.Context, call registry.Call, owner registry.Actor) (*plain[Credentials], error) {
	list, err := s.Registry.ListCredentials(ctx, call.Caller, owner)
	return &plain[Credentials]{Credentials{append([]registry.Credential{}, list...)}}, err
}

func (s *server) rotateCredential(ctx context.Context, call registry.Call, owner registry.Actor, body *Rotation) (*changed[CredentialAnswer], error) {
	var overlap time.Duration
	if body != nil {
		overlap = time.Duration(body.Overlap) * time.Second
	}
	out, err := s.Registry.RotateCredential(ctx, call, owner, overlap)
	if err != nil {
		return nil, err
	}
	return change(out, CredentialAnswer{out.Value, out.Secret, eventOf(out)}), nil
}

func (s *server) revokeCredential(ctx context.Context, call registry.Call, owner registry.Actor, id string, body *ReasonBody) (*changed[CredentialAnswer], error) {
	out, err := s.Registry.RevokeCredential(ctx, call, owner, id, body.text())
	if err != nil {
		return nil, err
	}
	return change(out, CredentialAnswer{out.Value, "", eventOf(out)}), nil
}

// Credentials are an owner's.
type Credentials struct {
	Items []registry.Credential `json:"items"`
}

// Rotation is the optional body of the rotations.
type Rotation struct {
	Overlap int64 `json:"overlap,omitempty" minimum:"0" maximum:"2592000" doc:"Seconds that the credentials before go on; 0 = they end at once"`
}

// CredentialAnswer is a credential, its secret where it is new, and the event that
// records it.
type CredentialAnswer struct {
	Credential registry.Credential `json:"credential"`
	Secret     string              `json:"secret,omitempty" doc:"Never shown again, and absent in a replay"`
	Event      *registry.EventRef  `json:"event,omitempty"`
}
