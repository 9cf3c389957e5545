package verify

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
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
	disclosedProof    = "proof"    // string: the agent's action proof, compact JWS
	disclosedToken    = "token"    // string: the capability token, compact JWS
	disclosedChain    = "chain"    // array: the tokens above it, root first; absent for a grant of the registry's own
	disclosedPayload  = "payload"  // object: arguments and task of the act
	disclosedResource = "resource" // object: type and id of its resource

	disclosedApprovals = "approvals" // object: the statement that humans approved, and their answers
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

	Approval  string   `json:"approval"` // that the permit rests on, and by whom; "" = on none
	Approvers []string `json:"approvers"`
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
	claims, chain, err := actionSignature(body, open)
	switch {
	case errors.Is(err, errNotDisclosed):
		v.add("agent signature", Unverified, "", "%v", err)
		v.fact(fmt.Sprintf("%s asked for %s at %s", body.DID, body.Action, body.Audience), byRegistry, "")
	case err != nil:
		v.add("agent signature", Failed, "", "%v", err)
		return
	default:
		links := chain.Links()
		key := chain.Leaf().Key().Thumbprint()
		registered := len(links) - 1 // the nearest to the act whose subject the registry knows
		for registered > 0 && links[registered].Ephemeral() {
			registered--
		}
		v.signer = &signer{did: body.DID, thumbprint: links[registered].Key().Thumbprint()}
		v.add("agent signature", Verified, "agent key "+key, "the action proof is signed by the key that the token binds to %s", body.DID)
		at := time.Unix(claims.IssuedAt, 0).UTC().Format(time.RFC3339)
		v.fact(fmt.Sprintf("whoever holds key %s asked for this act at %s, on %s", key, claims.Audience, at), byAgent, "act digest "+claims.ActDigest)
		for i, link := range links[1:] {
			c := link.Claims()
			v.fact(fmt.Sprintf("whoever holds key %s gave %s to %s, key %s", links[i].Key().Thumbprint(), c.Capabilities, c.Subject, link.Key().Thumbprint()), byAgent, "link "+link.SigningInputHash())
		}
		if root := links[0]; len(links) > 1 {
			v.fact(fmt.Sprintf("key %s is that of %s", root.Key().Thumbprint(), root.Claims().Subject), byRegistry, "in the grant at the root")
		}
		if chain.Leaf().Ephemeral() && len(links) > 1 {
			v.fact(fmt.Sprintf("%s answers for %s", body.DID, claims.Issuer), byRegistry, "it is registered and the nearest above")
			v.act(body, claims, open)
			break
		}
		v.fact(fmt.Sprintf("key %s is that of %s", key, body.DID), byRegistry, "in the capability token")
		if claims.Issuer != body.DID {
			v.fact(fmt.Sprintf("%s, as the agent calls itself, is %s", claims.Issuer, body.DID), byRegistry, "")
		}
		v.act(body, claims, open)
	}
	v.approvals(body, open)
	v.fact("the verdict is "+body.Verdict, byRegistry, "")
	v.fact("the time is "+e.Time, byRegistry, "an anchor's block bounds it from above")
}

var errNotDisclosed = errors.New("the action proof and the capability token are not disclosed")

// actionSignature verifies the disclosed action proof against the key in the
// disclosed token, and both against the digests in the event. A token that a holder
// made is held against the tokens above it.
func actionSignature(body decisionBody, open map[string]json.RawMessage) (capability.ActionClaims, *capability.Chain, error) {
	none := capability.ActionClaims{}
	if open[disclosedProof] == nil || open[disclosedToken] == nil {
		return none, nil, errNotDisclosed
	}
	var proofText, tokenText string
	if err := canon.Unmarshal(open[disclosedProof], &proofText); err != nil {
		return none, nil, fmt.Errorf("proof: %w", err)
	}
	if err := canon.Unmarshal(open[disclosedToken], &tokenText); err != nil {
		return none, nil, fmt.Errorf("token: %w", err)
	}
	action, err := capability.ParseAction(proofText)
	if err != nil {
		return none, nil, err
	}
	var tokens []string
	if above := open[disclosedChain]; above != nil {
		if err := canon.Unmarshal(above, &tokens); err != nil {
			return none, nil, fmt.Errorf("chain: %w", err)
		}
	}
	chain, err := capability.ParseChain(append(tokens, tokenText))
	if err == nil {
		err = chain.VerifyLinks()
	}
	if err != nil {
		return none, nil, err
	}
	grant := chain.Leaf()
	claims := action.Claims()
	switch {
	case action.Hash() != body.ProofHash:
		return none, nil, errors.New("the proof is not the one that the event names")
	case grant.Hash() != body.TokenHash:
		return none, nil, errors.New("the token is not the one that the event names")
	case grant.Hash() != claims.TokenHash:
		return none, nil, errors.New("ath: the proof was made for another token")
	case claims.Audience != body.Audience:
		return none, nil, errors.New("aud: the proof is for another resource")
	}
	// Not action.Verify: its window is for the moment of the decision, and the
	// act is another layer.
	signed, err := jose.Parse(proofText, capability.TypAction, capability.MaxToken)
	if err != nil {
		return none, nil, err
	}
	if err := signed.Verify(grant.Key()); err != nil {
		return none, nil, fmt.Errorf("the proof is not signed by the key in the token: %w", err)
	}
	return claims, chain, nil
}

// act checks that the disclosed payload and resource are those of the act that the
// agent signed.
func (v *verification) act(body decisionBody, claims capability.ActionClaims, open map[string]json.RawMessage) {
	if open[disclosedPayload] == nil || open[disclosedResource] == nil {
		v.add("act", Unverified, "", "payload and resource are not disclosed: what the agent signed is known by its digest only")
		return
	}
	act, err := disclosedAct(body.Action, open)
	if err != nil {
		v.add("act", Failed, "", "%v", err)
		return
	}
	digest, err := act.Digest()
	if err != nil || digest != claims.ActDigest {
		v.add("act", Failed, "", "the disclosed act is not the one that the agent signed (adg)")
		return
	}
	v.add("act", Verified, "agent key", "%s on %s %s: the disclosed act is the one that the agent signed", act.Action, act.Resource.Type, act.Resource.ID)
	v.fact("action, resource, arguments and task of the act", byAgent, "")
}

// disclosedAct puts an act together again: the verb is in the event, the rest is
// disclosed. action is verb:type, and the type must be that of the resource.
func disclosedAct(action string, open map[string]json.RawMessage) (capability.Act, error) {
	var payload struct {
		Arguments json.RawMessage `json:"arguments"`
		Task      string          `json:"task"`
	}
	if err := canon.Unmarshal(open[disclosedPayload], &payload); err != nil {
		return capability.Act{}, fmt.Errorf("payload: %w", err)
	}
	var resource capability.Resource
	if err := canon.Unmarshal(open[disclosedResource], &resource); err != nil {
		return capability.Act{}, fmt.Errorf("resource: %w", err)
	}
	verb, kind, _ := strings.Cut(action, ":")
	if kind != resource.Type {
		return capability.Act{}, fmt.Errorf("the event's action is %q, the resource is of type %q", action, resource.Type)
	}
	return capability.Act{Action: verb, Resource: resource, Arguments: payload.Arguments, Task: payload.Task}, nil
}
