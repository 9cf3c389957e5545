package client

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/writ-registry/writ/internal/jose"
	"github.com/writ-registry/writ/registry/did"
)

// NewCustody is the input of MoveCustody.
type NewCustody struct {
	JWK           jose.JWK `json:"jwk"`        // an update key of the controller's, Ed25519
	Possession    string   `json:"possession"` // by that key: see AgentKey.ProvePossession
	NextKeyHashes []string `json:"next_key_hashes,omitempty"`
}

// MoveCustody hands the update keys of an agent's DID over to its controller, for good:
// from then on only AppendDID adds to its log.
func (c *Client) MoveCustody(ctx context.Context, ref string, in NewCustody) (Change[Agent], error) {
	return change[Agent](ctx, c, http.MethodPut, at("/v1/agents", ref)+"/custody", "agent", in)
}

// AppendDID adds an entry that the controller signed, a line of did.jsonl, to an
// agent's DID log. To send the last one again changes nothing.
func (c *Client) AppendDID(ctx context.Context, ref string, line []byte) (Change[Agent], error) {
	return change[Agent](ctx, c, http.MethodPost, at("/v1/agents", ref)+"/did", "agent", map[string]any{"entry": json.RawMessage(line)})
}

// NextDIDEntries makes, with an update key of the controller's, the entries that bring
// an agent's DID log (as Client.DIDLog returns it) up to what the registry says of the
// agent: one with the keys that count, which keeps the rest of the document; or, once
// the agent is revoked, the two that end it. next are commitments to the update keys
// after this one (AgentKey.Commitment), at least one unless the agent is revoked.
//
// What the registry says is believed: look at the agent's keys before you sign for them.
func (k *AgentKey) NextDIDEntries(log []byte, a Agent, next []string, now time.Time) ([][]byte, error) {
	res, err := did.VerifyLog(log, now.Add(time.Minute)) // the clocks may differ
	if err != nil {
		return nil, err
	}
	switch {
	case res.DID.String() != a.DID:
		return nil, errors.New("the DID log is another agent's")
	case !res.MaySign(k.private.Public()):
		return nil, errors.New("the DID log did not commit to this update key")
	case a.Status == "revoked":
		made, err := did.Deactivate(log, k.private, res.NextTime(now))
		var out [][]byte
		for _, e := range made {
			out = append(out, e.Line)
		}
		return out, err
	}
	p := did.UpdateParams{Time: res.NextTime(now), Signer: k.private, NextKeyHashes: next, NoKeys: a.KeyEnded}
	if err := describeKeys(&p, a); err != nil {
		return nil, err
	}
	doc, err := did.ParseDocument(res.Current().Document)
	if err != nil {
		return nil, err
	}
	p.AlsoKnownAs, p.Controllers, p.Services = doc.AlsoKnownAs, doc.Controller, doc.Service
	e, err := did.Update(log, p)
	if err != nil {
		return nil, err
	}
	return [][]byte{e.Line}, nil
}

// describeKeys names the keys that count as the agent's.
func describeKeys(p *did.UpdateParams, a Agent) error {
	if !a.KeyEnded {
		key, err := a.JWK.PublicKey()
		if err != nil {
			return err
		}
		p.Keys = []jose.PublicKey{key}
	}
	for _, k := range a.Retiring {
		key, err := k.JWK.PublicKey()
		if err != nil {
			return err
		}
		p.Overlap = append(p.Overlap, did.OverlapKey{Key: key, Until: k.NotAfter})
	}
	return nil
}
