package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gin-gonic/gin"

	"github.com/writ-registry/writ/internal/canon"
	"github.com/writ-registry/writ/registry"
)

func (s *server) routeKeys() {
	route(s, huma.Operation{OperationID: "list-keys", Method: http.MethodGet, Path: "/v1/agents/{agent}/keys", Tags: []string{"keys"},
		Summary: "The keys an agent has and had, with the places of the log between which each counted"}, s.listKeys)
	route(s, huma.Operation{OperationID: "rotate-key", Method: http.MethodPost, Path: "/v1/agents/{agent}/keys", Tags: []string{"keys"},
		DefaultStatus: http.StatusCreated, Summary: "Give an agent another key",
		Description: "The key before goes on for the overlap, the DID's log gets an entry, and every grant that stands gets a token for the new key."}, s.rotateKey)
	for verb, summary := range map[string]string{
		"retire":     "End an earlier key before its overlap is over",
		"compromise": "End a key at once; what it signed from a place of the log on is suspect",
	} {
		route(s, huma.Operation{OperationID: verb + "-key", Method: http.MethodPost, Path: "/v1/agents/{agent}/keys/{key}/" + verb, Tags: []string{"keys"}, Summary: summary},
			func(ctx context.Context, call registry.Call, in *struct {
				AgentPath
				Key  string `path:"key" minLength:"43" maxLength:"43" doc:"RFC 7638 thumbprint"`
				Body *EndKey
			}) (*changed[KeyAnswer], error) {
				b := EndKey{}
				if in.Body != nil {
					b = *in.Body
				}
				out, err := s.Registry.EndKey(ctx, call, in.Agent, in.Key, verb == "compromise", b.From, b.Reason)
				if err != nil {
					return nil, err
				}
				return change(out, KeyAnswer{*out.Value, eventOf(out)}), nil
			})
	}
	route(s, huma.Operation{OperationID: "set-spawn", Method: http.MethodPut, Path: "/v1/agents/{agent}/spawn", Tags: []string{"agents"},
		Summary: "Change an agent's right to register children; those it has stay"},
		func(ctx context.Context, call registry.Call, in *struct {
			AgentPath
			Body NewSpawn
		}) (*changed[AgentAnswer], error) {
			return agentChanged(s.Registry.SetSpawn(ctx, call, in.Agent, registry.Spawn(in.Body)))
		})
	route(s, huma.Operation{OperationID: "set-org-policy", Method: http.MethodPut, Path: "/v1/orgs/{org}/policy", Tags: []string{"orgs"},
		Summary: "What an org demands of its agents and people"},
		func(ctx context.Context, call registry.Call, in *struct {
			Org  string `path:"org" doc:"Id or name"`
			Body NewOrgPolicy
		}) (*changed[OrgAnswer], error) {
			out, err := s.Registry.SetOrgPolicy(ctx, call, in.Org, registry.OrgPolicy(in.Body))
			if err != nil {
				return nil, err
			}
			return change(out, OrgAnswer{out.Value, eventOf(out)}), nil
		})
}

// NewKey is the body of rotate-key.
type NewKey struct {
	JWK         publicJWK `json:"jwk"`
	Possession  string    `json:"possession" doc:"agent-pop+jwt by that key, for this registry and the agent's org and name"`
	Overlap     *int64    `json:"overlap,omitempty" minimum:"0" maximum:"2592000" doc:"Seconds that the key before goes on; an hour where absent"`
	NextKeyHash string    `json:"next_key_hash,omitempty" doc:"Commitment to the key after this one: base58btc multihash of SHA-256 of its Multikey"`
}

func (k NewKey) of(agent string) registry.NewKey {
	in := registry.NewKey{Agent: agent, JWK: k.JWK.RawMessage, Possession: k.Possession, NextKeyHash: k.NextKeyHash}
	if k.Overlap != nil {
		d := time.Duration(*k.Overlap) * time.Second
		in.Overlap = &d
	}
	return in
}

// RecoverKey is the body of recover-key.
type RecoverKey struct {
	JWK         publicJWK `json:"jwk" doc:"The key that the agent committed to"`
	Possession  string    `json:"possession" doc:"agent-pop+jwt by it, for this registry and the agent's org and name"`
	NextKeyHash string    `json:"next_key_hash,omitempty" doc:"Commitment to the key after this one"`
}

// EndKey is the optional body of retire-key and compromise-key.
type EndKey struct {
	Reason string  `json:"reason,omitempty" doc:"Machine name, 1 to 64 of [a-z0-9._-]" example:"stolen-laptop"`
	From   *uint64 `json:"from,omitempty" doc:"Place in the log from which on the key's signatures are suspect; this event's where absent"`
}

// NewSpawn is the body of set-spawn.
type NewSpawn struct {
	Depth int `json:"depth" minimum:"0" maximum:"8" doc:"Generations below; 0 = no children"`
	Max   int `json:"max" minimum:"0" maximum:"1000" doc:"Children at once"`
}

// NewOrgPolicy is the body of set-org-policy.
type NewOrgPolicy struct {
	MaxKeyAge      int64 `json:"max_key_age,omitempty" minimum:"0" doc:"Seconds; an older key proves nothing any more. 0 = no limit"`
	WarnKeyAge     int64 `json:"warn_key_age,omitempty" minimum:"0" doc:"Seconds; an older key is listed as due. 0 = never"`
	SeparateDuties bool  `json:"separate_duties,omitempty" doc:"Who asked for an agent, or sponsors it, does not approve it"`
}

// KeyAnswer is a key and the event that records what changed.
type KeyAnswer struct {
	Key   registry.AgentKey  `json:"key"`
	Event *registry.EventRef `json:"event,omitempty" doc:"Absent where nothing changed"`
}

func agentChanged(out registry.Outcome[registry.Agent], err error) (*changed[AgentAnswer], error) {
	if err != nil {
		return nil, err
	}
	return change(out, AgentAnswer{out.Value, eventOf(out)}), nil
}

func (s *server) listKeys(ctx context.Context, call registry.Call, in *AgentPath) (*plain[page[registry.AgentKey]], error) {
	list, err := s.Registry.AgentKeys(ctx, call.Caller, in.Agent)
	return &plain[page[registry.AgentKey]]{page[registry.AgentKey]{Items: append([]registry.AgentKey{}, list...)}}, err
}

func (s *server) rotateKey(ctx context.Context, call registry.Call, in *struct {
	AgentPath
	Body NewKey
}) (*created[AgentAnswer], error) {
	out, err := s.Registry.RotateKey(ctx, call, in.Body.of(in.Agent))
	if err != nil {
		return nil, err
	}
	return create(out, "/v1/agents/"+out.Value.ID+"/keys", AgentAnswer{out.Value, eventOf(out)}), nil
}

// recoverKey is rotate-key for who has nothing but the key that the agent
// committed to. Nobody vouches for the caller, so it is charged for failures.
func (s *server) recoverKey(c *gin.Context) {
	r := requestOf(c.Request.Context())
	var in RecoverKey
	if err := canon.Unmarshal(r.body, &in); err != nil {
		s.fail(c, malformedJSON(err))
		return
	}
	out, err := s.Registry.RotateKey(c.Request.Context(), registry.Call{Trace: r.trace}, registry.NewKey{
		Agent: c.Param("agent"), JWK: in.JWK.RawMessage, Possession: in.Possession, NextKeyHash: in.NextKeyHash,
	})
	if err != nil {
		s.refuse(c, err)
		return
	}
	send(c, http.StatusOK, "application/json", AgentAnswer{out.Value, eventOf(out)})
}
