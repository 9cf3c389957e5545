package verify

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/writ-registry/writ/internal/canon"
	"github.com/writ-registry/writ/internal/jose"
	"github.com/writ-registry/writ/registry/capability"
)

// Where a fact comes from.
const (
	byAgent    = "signed by agent"
	byRegistry = "asserted by registry"
)

// Names of the disclosures of a decision.
const (
	disclosedProof   = "proof"   // string: the agent's action proof, compact JWS
	disclosedToken   = "token"   // string: the capability token, compact JWS
	disclosedPayload = "payload" // object: the act, or the AuthZEN request for it
)

// disclosures checks that each opened value is one the event commits to, and says
// whose word the facts of a decision are.
func (v *verification) disclosures(f *receiptFile, e *envelope) {
	open := make(map[string]json.RawMessage)
	if len(f.disclosures) > 0 {
		committed := make(map[string]bool)
		var body any
		if err := canon.UnmarshalOpen(e.Body, &body); err == nil {
			collectStrings(body, committed)
		}
		for _, d := range f.disclosures {
			c, err := d.Commitment()
			_, again := open[d.Name]
			switch {
			case err != nil:
				v.add("disclosures", Failed, "", "%q: %v", d.Name, err)
				return
			case again:
				v.add("disclosures", Failed, "", "%q is opened twice", d.Name)
				return
			case !committed[c]:
				v.add("disclosures", Failed, "", "%q is not a value that the event commits to", d.Name)
				return
			}
			open[d.Name] = d.Value
		}
		v.add("disclosures", Verified, "", "%d opened, all committed to by the event", len(f.disclosures))
	}
	if e.Type == "decision" {
		v.decision(e, open)
	} else {
		v.fact("everything in this event", byRegistry, "no signature of another party is in it")
	}
}

// collectStrings adds every string value in a JSON value to the set.
func collectStrings(value any, set map[string]bool) {
	switch x := value.(type) {
	case string:
		set[x] = true
	case []any:
		for _, y := range x {
			collectStrings(y, set)
		}
	case map[string]any:
		for _, y := range x {
			collectStrings(y, set)
		}
	}
}

func (v *verification) fact(fact, source, detail string) {
	v.report.Facts = append(v.report.Facts, Fact{fact, source, detail})
}

// decisionBody is what this package reads of the body of a decision.
type decisionBody struct {
	DID       string `json:"did"`
	Action    string `json:"action"`
	Audience  string `json:"audience"`
	Verdict   string `json:"verdict"`
	TokenHash string `json:"token_hash"`
	ProofHash string `json:"proof_hash"`
}

// decision sorts the facts of a decision. The agent's part is proven by its own
// signature over the act (agent-action+jwt); that the key is the agent's is the
// token's statement, which the registry signed; the verdict is the registry's.
func (v *verification) decision(e *envelope, open map[string]json.RawMessage) {
	var body decisionBody
	if err := canon.UnmarshalOpen(e.Body, &body); err != nil {
		v.add("decision", Failed, "", "body: %v", err)
		return
	}
	claims, key, err := actionSignature(body, open)
	switch {
	case errors.Is(err, errNotDisclosed):
		v.add("agent signature", Unverified, "", "%v", err)
		v.fact(fmt.Sprintf("%s asked for %s at %s", body.DID, body.Action, body.Audience), byRegistry, "")
	case err != nil:
		v.add("agent signature", Failed, "", "%v", err)
		return
	default:
		v.add("agent signature", Verified, "agent key "+key, "the action proof is signed by the key that the token binds to %s", body.DID)
		at := time.Unix(claims.IssuedAt, 0).UTC().Format(time.RFC3339)
		v.fact(fmt.Sprintf("whoever holds key %s asked for this act at %s, on %s", key, claims.Audience, at), byAgent, "act digest "+claims.ActDigest)
		v.fact(fmt.Sprintf("key %s is that of %s", key, body.DID), byRegistry, "in the capability token")
		v.act(claims, open)
	}
	v.fact("the verdict is "+body.Verdict, byRegistry, "")
	v.fact("the time is "+e.Time, byRegistry, "an anchor's block bounds it from above")
}

var errNotDisclosed = errors.New("the action proof and the capability token are not disclosed")

// actionSignature verifies the disclosed action proof against the key in the
// disclosed token, and both against the digests in the event.
func actionSignature(body decisionBody, open map[string]json.RawMessage) (capability.ActionClaims, string, error) {
	none := capability.ActionClaims{}
	if open[disclosedProof] == nil || open[disclosedToken] == nil {
		return none, "", errNotDisclosed
	}
	var proofText, tokenText string
	if err := canon.Unmarshal(open[disclosedProof], &proofText); err != nil {
		return none, "", fmt.Errorf("proof: %w", err)
	}
	if err := canon.Unmarshal(open[disclosedToken], &tokenText); err != nil {
		return none, "", fmt.Errorf("token: %w", err)
	}
	action, err := capability.ParseAction(proofText)
	if err != nil {
		return none, "", err
	}
	grant, err := capability.ParseGrant(tokenText)
	if err != nil {
		return none, "", err
	}
	claims := action.Claims()
	switch {
	case action.Hash() != body.ProofHash:
		return none, "", errors.New("the proof is not the one that the event names")
	case grant.Hash() != body.TokenHash:
		return none, "", errors.New("the token is not the one that the event names")
	case grant.Hash() != claims.TokenHash:
		return none, "", errors.New("ath: the proof was made for another token")
	case claims.Issuer != body.DID:
		return none, "", errors.New("iss: the proof is another agent's")
	case claims.Audience != body.Audience:
		return none, "", errors.New("aud: the proof is for another resource")
	}
	// Not action.Verify: its window is for the moment of the decision, and the
	// act is another layer.
	signed, err := jose.Parse(proofText, capability.TypAction, capability.MaxToken)
	if err != nil {
		return none, "", err
	}
	if err := signed.Verify(grant.Key()); err != nil {
		return none, "", fmt.Errorf("the proof is not signed by the key in the token: %w", err)
	}
	return claims, grant.Key().Thumbprint(), nil
}

// act checks that the disclosed request is the act that the agent signed.
func (v *verification) act(claims capability.ActionClaims, open map[string]json.RawMessage) {
	payload := open[disclosedPayload]
	if payload == nil {
		v.add("act", Unverified, "", "the request is not disclosed: what the agent signed is known by its digest only")
		return
	}
	digest, err := actDigest(payload)
	if err != nil || digest != claims.ActDigest {
		v.add("act", Failed, "", "the disclosed request is not the act that the agent signed (adg)")
		return
	}
	v.add("act", Verified, "agent key", "the disclosed request is the act that the agent signed")
	v.fact("action, resource and arguments of the request", byAgent, "")
}

// actDigest returns the adg of a request. The payload is the act itself, {action,
// arguments, resource, task}, whose canonical form is digested, or an AuthZEN
// evaluation request (Authorization API 1.0 section 6), from which it is built.
func actDigest(payload json.RawMessage) (string, error) {
	var act struct {
		Action    string              `json:"action"`
		Arguments json.RawMessage     `json:"arguments"`
		Resource  capability.Resource `json:"resource"`
		Task      string              `json:"task"`
	}
	if err := canon.Unmarshal(payload, &act); err == nil {
		return capability.Act{Action: act.Action, Resource: act.Resource, Arguments: act.Arguments, Task: act.Task}.Digest()
	}
	var request struct {
		Action struct {
			Name       string          `json:"name"`
			Properties json.RawMessage `json:"properties"`
		} `json:"action"`
		Resource capability.Resource `json:"resource"`
		Context  struct {
			Task string `json:"task"`
		} `json:"context"`
	}
	if err := canon.UnmarshalOpen(payload, &request); err != nil {
		return "", err
	}
	return capability.Act{
		Action: request.Action.Name, Resource: request.Resource,
		Arguments: request.Action.Properties, Task: request.Context.Task,
	}.Digest()
}
