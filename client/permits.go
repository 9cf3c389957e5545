package client

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"strings"
	"time"

	"github.com/writ-registry/writ/internal/jose"
	"github.com/writ-registry/writ/internal/route"
	"github.com/writ-registry/writ/registry/capability"
)

// PermitRecord is the permit of a qualified decision, and what became of the act.
type PermitRecord struct {
	ID       string    `json:"id"` // the decision's, and the jti
	Org      string    `json:"org"`
	Agent    string    `json:"agent"`
	DID      string    `json:"did"`
	PEP      string    `json:"pep,omitempty"`
	Audience string    `json:"audience"`
	Action   string    `json:"action"`   // verb:type
	Redeem   string    `json:"redeem"`   // offline | online
	Decision string    `json:"decision"` // CID of its event
	State    string    `json:"state"`    // issued | redeemed | lapsed | executed | failed | not_executed | compensated | unknown
	Issued   time.Time `json:"issued"`
	Expires  time.Time `json:"expires"`
	Redeemed time.Time `json:"redeemed,omitzero"`
	Reported time.Time `json:"reported,omitzero"`
	Result   string    `json:"result,omitempty"` // digest of what the resource answered
	Due      time.Time `json:"due,omitzero"`     // when silence becomes unknown
}

// Undo is an act that can still be undone.
type Undo struct {
	Permit   PermitRecord         `json:"permit"`
	Resource *capability.Resource `json:"resource,omitempty"`
	By       string               `json:"by"` // verb:type
	Until    time.Time            `json:"until"`
}

// RedeemPermit uses a permit up at the registry, for the enforcement point that is
// about to do the act. What the decision rested on is looked at again.
func (c *Client) RedeemPermit(ctx context.Context, permit string) (Change[PermitRecord], error) {
	return change[PermitRecord](ctx, c, http.MethodPost, "/v1/permits/redeem", "permit", map[string]string{"permit": permit})
}

// ReportOutcome says what became of a permitted act: an outcome+jwt by the key of the
// enforcement point (SignOutcome).
func (c *Client) ReportOutcome(ctx context.Context, permit, outcome string) (Change[PermitRecord], error) {
	return change[PermitRecord](ctx, c, http.MethodPost, at("/v1/permits", permit)+"/outcome", "permit", map[string]string{"outcome": outcome})
}

// SignOutcome signs what became of a permitted act, for the registry with this origin.
// result is the base64url SHA-256 of what was answered, or empty.
func (k *AgentKey) SignOutcome(origin, permit, outcome, result string) (string, error) {
	return capability.SignOutcome(k.private, capability.OutcomeClaims{Audience: origin, Permit: permit, Outcome: outcome, Result: result, IssuedAt: time.Now().Unix()})
}

// Outcomes lists what became of permitted acts: of an org ("" = the caller's) or of one
// agent, in one state if state is not empty.
func (c *Client) Outcomes(ctx context.Context, org, agent, state string) iter.Seq2[PermitRecord, error] {
	return list[PermitRecord](ctx, c, "/v1/outcomes", filter("org", org, "agent", agent, "state", state))
}

// Undo lists what an agent did that can still be undone, and what its descendants did.
func (c *Client) Undo(ctx context.Context, agent string, descendants bool) iter.Seq2[Undo, error] {
	with := ""
	if descendants {
		with = "true"
	}
	return list[Undo](ctx, c, at("/v1/agents", agent)+"/undo", filter("descendants", with))
}

// SetPEPKey gives an enforcement point the key that its outcomes are signed with.
func (c *Client) SetPEPKey(ctx context.Context, pep string, jwk jose.JWK) (Change[PEP], error) {
	return change[PEP](ctx, c, http.MethodPut, at("/v1/peps", pep)+"/key", "pep", map[string]any{"jwk": jwk})
}

// SetPEPCallbacks says to which origins callbacks of an enforcement point's requests for
// approval may go.
func (c *Client) SetPEPCallbacks(ctx context.Context, pep string, origins []string) (Change[PEP], error) {
	return change[PEP](ctx, c, http.MethodPut, at("/v1/peps", pep)+"/callbacks", "pep", map[string]any{"origins": append([]string{}, origins...)})
}

// Routes says which acts the requests to one resource server are. The registry, who
// guards the server and whoever signs for an agent read the same table.
type Routes = route.Table

// Route maps requests of one method and path: see package documentation of Guard.
type Route = route.Route

// How the body of a request is part of its act; the empty string: there is none.
const (
	BodyJSON   = route.BodyJSON   // a JSON object, whose members are arguments
	BodyDigest = route.BodyDigest // its SHA-256 is the argument content_digest
)

// NewPEPRoutes is the input of SetPEPRoutes.
type NewPEPRoutes struct {
	Routes
	Header     string  `json:"header,omitempty"`     // of the credential; "" = Authorization
	Credential *string `json:"credential,omitempty"` // whole value of that header, for permitted requests; nil = the one there is
}

// PEPRoutes is an enforcement point's table.
type PEPRoutes struct {
	PEP     string    `json:"pep"`
	Table   Routes    `json:"table"`
	Digest  string    `json:"digest"`
	Header  string    `json:"header,omitempty"` // of the credential; "" = there is none
	Updated time.Time `json:"updated"`
}

// SetPEPRoutes says which acts the requests are that proxies ask about for an
// enforcement point.
func (c *Client) SetPEPRoutes(ctx context.Context, pep string, in NewPEPRoutes) (Change[PEPRoutes], error) {
	return change[PEPRoutes](ctx, c, http.MethodPut, at("/v1/peps", pep)+"/routes", "routes", in)
}

// PEPRoutes returns an enforcement point's table.
func (c *Client) PEPRoutes(ctx context.Context, pep string) (PEPRoutes, error) {
	return fetch[PEPRoutes](ctx, c, at("/v1/peps", pep)+"/routes")
}

// permitKeys are the keys by which a registry signs permits, by the DID URLs that its
// DID document gives them.
func (c *Client) permitKeys(ctx context.Context) (map[string]jose.PublicKey, error) {
	var doc struct {
		Methods []struct {
			ID  string `json:"id"`
			Key string `json:"publicKeyMultibase"`
		} `json:"verificationMethod"`
		Invocation []string `json:"capabilityInvocation"`
	}
	r := request{method: http.MethodGet, path: "/.well-known/did.json", repeatable: true, public: true}
	if _, err := c.read(ctx, r, &doc); err != nil {
		return nil, err
	}
	keys := map[string]jose.PublicKey{}
	for _, id := range doc.Invocation {
		for _, m := range doc.Methods {
			if m.ID != id || !strings.HasPrefix(id, "did:web:") {
				continue
			}
			key, err := jose.ParseMultikey(m.Key)
			if err != nil {
				return nil, fmt.Errorf("permit key %s: %w", id, err)
			}
			keys[id] = key
		}
	}
	return keys, nil
}
