package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/writ-registry/writ/registry"
)

func (s *server) routeKill() {
	route(s, huma.Operation{OperationID: "list-kills", Method: http.MethodGet, Path: "/v1/kill", Tags: []string{"kill"},
		Summary: "The stops in force"}, s.listKills)
	route(s, huma.Operation{OperationID: "set-kill", Method: http.MethodPost, Path: "/v1/kill", Tags: []string{"kill"},
		Summary:     "Stop a scope at once",
		Description: "No qualified permit has an index above that of this answer's event until the stop is released."}, s.setKill)
	route(s, huma.Operation{OperationID: "release-kill", Method: http.MethodPost, Path: "/v1/kill/release", Tags: []string{"kill"},
		Summary: "Lift a stop"}, s.releaseKill)
}

// NewKill is the body of set-kill and release-kill.
type NewKill struct {
	Scope  KillScope `json:"scope"`
	Reason string    `json:"reason,omitempty" doc:"Machine name, 1 to 64 of [a-z0-9._-]"`
}

// KillScope is what to stop.
type KillScope struct {
	Kind registry.ScopeKind `json:"kind" enum:"global,org,agent,grant"`
	ID   string             `json:"id,omitempty" doc:"Absent for global"`
}

// KillAnswer is a stop and the event that records what changed.
type KillAnswer struct {
	Kill  registry.Kill      `json:"kill"`
	Event *registry.EventRef `json:"event,omitempty" doc:"Absent where nothing changed"`
}

func (s *server) listKills(ctx context.Context, call registry.Call, _ *struct{}) (*plain[page[registry.Kill]], error) {
	list, err := s.Registry.ListKills(ctx, call.Caller)
	return &plain[page[registry.Kill]]{page[registry.Kill]{Items: append([]registry.Kill{}, list...)}}, err
}

func (s *server) setKill(ctx context.Context, call registry.Call, in *struct{ Body NewKill }) (*changed[KillAnswer], error) {
	return killed(s.Registry.SetKill(ctx, call, registry.Scope(in.Body.Scope), in.Body.Reason))
}

func (s *server) releaseKill(ctx context.Context, call registry.Call, in *struct{ Body NewKill }) (*changed[KillAnswer], error) {
	return killed(s.Registry.ReleaseKill(ctx, call, registry.Scope(in.Body.Scope), in.Body.Reason))
}

func killed(out registry.Outcome[registry.Kill], err error) (*changed[KillAnswer], error) {
	if err != nil {
		return nil, err
	}
	return change(out, KillAnswer{out.Value, eventOf(out)}), nil
}
