package api

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/writ-registry/writ/registry"
)

func (s *server) routeCustody() {
	route(s, huma.Operation{OperationID: "move-custody", Method: http.MethodPut, Path: "/v1/agents/{agent}/custody", Tags: []string{"agents"},
		Summary: "Hand the update keys of an agent's DID over to its controller, for good",
		Description: "The registry signs one last entry of the DID log, which commits to the controller's keys for the next, and can sign none after it. " +
			"What it knows of the agent's keys, status and stops counts as before, at once; where the DID log says otherwise, did_pending says since when."},
		func(ctx context.Context, call registry.Call, in *struct {
			AgentPath
			Body NewCustody
		}) (*changed[AgentAnswer], error) {
			b := in.Body
			return agentChanged(s.Registry.MoveCustody(ctx, call, registry.NewCustody{
				Agent: in.Agent, JWK: b.JWK.RawMessage, Possession: b.Possession, NextKeyHashes: b.NextKeyHashes,
			}))
		})
	route(s, huma.Operation{OperationID: "append-did", Method: http.MethodPost, Path: "/v1/agents/{agent}/did", Tags: []string{"agents"},
		Summary: "Add an entry that its controller signed to an agent's DID log",
		Description: "The log is verified as did:webvh v1.0 demands. A document that changes holds keys only that count as the agent's here; " +
			"the log ends once the agent is revoked. Sent again, the last entry changes nothing."},
		func(ctx context.Context, call registry.Call, in *struct {
			AgentPath
			Body NewDIDEntry
		}) (*changed[AgentAnswer], error) {
			return agentChanged(s.Registry.AppendDID(ctx, call, in.Agent, in.Body.Entry.RawMessage))
		})
}

// NewCustody is the body of move-custody.
type NewCustody struct {
	JWK           publicJWK `json:"jwk" doc:"An update key of the controller's, Ed25519; it shows up in the log with the controller's next entry"`
	Possession    string    `json:"possession" doc:"agent-pop+jwt by that key, for this registry and the agent's org and name"`
	NextKeyHashes []string  `json:"next_key_hashes,omitempty" maxItems:"8" doc:"nextKeyHashes of the registry's last entry: commitments to the keys that the controller's next entry may be signed by, that to jwk among them; it alone where absent"`
}

// NewDIDEntry is the body of append-did.
type NewDIDEntry struct {
	Entry didEntry `json:"entry"`
}

// didEntry is a did:webvh log entry as it was sent: package did reads it.
type didEntry struct{ json.RawMessage }

// Schema describes the members of an entry (did:webvh v1.0, "The DID Log File").
func (didEntry) Schema(huma.Registry) *huma.Schema {
	text, object := &huma.Schema{Type: "string"}, &huma.Schema{Type: "object", AdditionalProperties: true}
	return &huma.Schema{
		Type: "object", Description: "An entry of did.jsonl, at most 12288 bytes", AdditionalProperties: true,
		Properties: map[string]*huma.Schema{
			"versionId": text, "versionTime": text, "parameters": object, "state": object, "proof": {Type: "array", Items: object},
		},
		Required: []string{"versionId", "versionTime", "parameters", "state", "proof"},
	}
}
