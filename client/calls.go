package client

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Origin returns the registry's public origin, which its identifiers and all
// proofs for it carry. It may differ from the address in use. It is the
// policy_decision_point of the AuthZEN metadata (Authorization API 1.0, section
// 9.1).
func (c *Client) Origin(ctx context.Context) (string, error) {
	var meta struct {
		PDP string `json:"policy_decision_point"`
	}
	r := request{method: http.MethodGet, path: "/.well-known/authzen-configuration", repeatable: true, public: true}
	if _, err := c.read(ctx, r, &meta); err != nil {
		return "", err
	}
	if meta.PDP == "" {
		return "", fmt.Errorf("%s names no policy_decision_point: not a registry", c.base)
	}
	return strings.TrimRight(meta.PDP, "/"), nil
}

// Whoami returns whom the credential belongs to.
func (c *Client) Whoami(ctx context.Context) (Caller, error) {
	return fetch[Caller](ctx, c, "/v1/whoami")
}

// CreateOrg adds a tenant.
func (c *Client) CreateOrg(ctx context.Context, in NewOrg) (Change[Org], error) {
	return change[Org](ctx, c, http.MethodPost, "/v1/orgs", "org", in)
}

// Org returns an org by id or name.
func (c *Client) Org(ctx context.Context, ref string) (Org, error) {
	return fetch[Org](ctx, c, at("/v1/orgs", ref))
}

// Orgs lists the orgs that the caller may see.
func (c *Client) Orgs(ctx context.Context) iter.Seq2[Org, error] {
	return list[Org](ctx, c, "/v1/orgs", nil)
}

// ActivateCatalogue replaces an org's set of actions.
func (c *Client) ActivateCatalogue(ctx context.Context, org string, actions []CatalogueAction) (Change[Catalogue], error) {
	return c.ReplaceCatalogue(ctx, org, actions, "")
}

// ReplaceCatalogue is ActivateCatalogue where the set in force still has the digest
// replaces; else it is a *Problem of status 409.
func (c *Client) ReplaceCatalogue(ctx context.Context, org string, actions []CatalogueAction, replaces string) (Change[Catalogue], error) {
	if actions == nil {
		actions = []CatalogueAction{}
	}
	in := map[string]any{"actions": actions}
	if replaces != "" {
		in["replaces"] = replaces
	}
	return change[Catalogue](ctx, c, http.MethodPut, at("/v1/orgs", org)+"/catalogue", "catalogue", in)
}

// Catalogue returns an org's active set of actions.
func (c *Client) Catalogue(ctx context.Context, org string) (Catalogue, error) {
	var out struct {
		Catalogue Catalogue `json:"catalogue"`
	}
	err := c.get(ctx, at("/v1/orgs", org)+"/catalogue", nil, &out)
	return out.Catalogue, err
}

// CreatePrincipal adds a human and returns the credential once, as Secret.
func (c *Client) CreatePrincipal(ctx context.Context, in NewPrincipal) (Change[Principal], error) {
	return change[Principal](ctx, c, http.MethodPost, "/v1/principals", "principal", in)
}

// Principals lists an org's humans; "" is the caller's org.
func (c *Client) Principals(ctx context.Context, org string) iter.Seq2[Principal, error] {
	return list[Principal](ctx, c, "/v1/principals", filter("org", org))
}

// Principal returns a human.
func (c *Client) Principal(ctx context.Context, id string) (Principal, error) {
	return fetch[Principal](ctx, c, at("/v1/principals", id))
}

// SetRoles replaces the roles that a human has inside the registry.
func (c *Client) SetRoles(ctx context.Context, id string, roles []string) (Change[Principal], error) {
	if roles == nil {
		roles = []string{}
	}
	return change[Principal](ctx, c, http.MethodPut, at("/v1/principals", id)+"/roles", "principal", map[string]any{"roles": roles})
}

// SuspendPrincipal stops a human, their sessions and the agents they sponsor.
func (c *Client) SuspendPrincipal(ctx context.Context, id, reason string) (Change[Principal], error) {
	return change[Principal](ctx, c, http.MethodPost, at("/v1/principals", id)+"/suspend", "principal", because(reason))
}

// ResumePrincipal lets a suspended human act again.
func (c *Client) ResumePrincipal(ctx context.Context, id, reason string) (Change[Principal], error) {
	return change[Principal](ctx, c, http.MethodPost, at("/v1/principals", id)+"/resume", "principal", because(reason))
}

// EndPrincipal records that a human has left, for good.
func (c *Client) EndPrincipal(ctx context.Context, id, reason string) (Change[Principal], error) {
	return change[Principal](ctx, c, http.MethodPost, at("/v1/principals", id)+"/end", "principal", because(reason))
}

// Owner has credentials: PrincipalOwner or PEPOwner makes one.
type Owner struct{ path string }

// PrincipalOwner names a human.
func PrincipalOwner(id string) Owner { return Owner{at("/v1/principals", id)} }

// PEPOwner names an enforcement point.
func PEPOwner(id string) Owner { return Owner{at("/v1/peps", id)} }

// Credentials lists the credentials of an owner.
func (c *Client) Credentials(ctx context.Context, o Owner) iter.Seq2[Credential, error] {
	return list[Credential](ctx, c, o.path+"/credentials", nil)
}

// RotateCredential makes a new credential, as Secret. Those before end after overlap,
// in whole seconds; 0 = at once.
func (c *Client) RotateCredential(ctx context.Context, o Owner, overlap time.Duration) (Change[Credential], error) {
	in := map[string]any{"overlap": int64(overlap / time.Second)}
	return change[Credential](ctx, c, http.MethodPost, o.path+"/credentials/rotate", "credential", in)
}

// RevokeCredential ends a credential at once.
func (c *Client) RevokeCredential(ctx context.Context, o Owner, id, reason string) (Change[Credential], error) {
	return change[Credential](ctx, c, http.MethodPost, at(o.path+"/credentials", id)+"/revoke", "credential", because(reason))
}

// Sessions lists where a human is signed in to the pages.
func (c *Client) Sessions(ctx context.Context, principal string) iter.Seq2[Session, error] {
	return list[Session](ctx, c, at("/v1/principals", principal)+"/sessions", nil)
}

// EndSessions ends one session of a human, or all where session is "", and returns
// how many there were.
func (c *Client) EndSessions(ctx context.Context, principal, session string) (int, error) {
	path := at("/v1/principals", principal) + "/sessions"
	if session != "" {
		path = at(path, session)
	}
	ch, err := change[int](ctx, c, http.MethodDelete, path, "ended", nil)
	return ch.Value, err
}

// SetSignInIssuer lets people of an org sign in at an issuer, or changes how.
func (c *Client) SetSignInIssuer(ctx context.Context, org string, in NewIssuer) (Change[Issuer], error) {
	return change[Issuer](ctx, c, http.MethodPost, at("/v1/orgs", org)+"/issuers", "issuer", in)
}

// SignInIssuers lists where people of an org sign in.
func (c *Client) SignInIssuers(ctx context.Context, org string) iter.Seq2[Issuer, error] {
	return list[Issuer](ctx, c, at("/v1/orgs", org)+"/issuers", nil)
}

// RemoveSignInIssuer ends sign-in at an issuer.
func (c *Client) RemoveSignInIssuer(ctx context.Context, org, id string) (Change[Issuer], error) {
	return change[Issuer](ctx, c, http.MethodDelete, at(at("/v1/orgs", org)+"/issuers", id), "issuer", nil)
}

// SetSponsor has another human of the org answer for an agent.
func (c *Client) SetSponsor(ctx context.Context, agent, sponsor string) (Change[Agent], error) {
	return change[Agent](ctx, c, http.MethodPut, at("/v1/agents", agent)+"/sponsor", "agent", map[string]string{"sponsor": sponsor})
}

// RegisterPEP adds an enforcement point and returns its credential once, as Secret.
func (c *Client) RegisterPEP(ctx context.Context, in NewPEP) (Change[PEP], error) {
	return change[PEP](ctx, c, http.MethodPost, "/v1/peps", "pep", in)
}

// PEPs lists an org's enforcement points.
func (c *Client) PEPs(ctx context.Context, org string) iter.Seq2[PEP, error] {
	return list[PEP](ctx, c, "/v1/peps", filter("org", org))
}

// RegisterAgent asks that an agent be registered.
func (c *Client) RegisterAgent(ctx context.Context, in NewAgent) (Change[Agent], error) {
	return change[Agent](ctx, c, http.MethodPost, "/v1/agents", "agent", in)
}

// Agent returns an agent by id or DID.
func (c *Client) Agent(ctx context.Context, ref string) (Agent, error) {
	return fetch[Agent](ctx, c, at("/v1/agents", ref))
}

// Agents lists an org's agents, of one status if status is not empty.
func (c *Client) Agents(ctx context.Context, org, status string) iter.Seq2[Agent, error] {
	return list[Agent](ctx, c, "/v1/agents", filter("org", org, "status", status))
}

// ApproveAgent lets a requested agent act within its grants.
func (c *Client) ApproveAgent(ctx context.Context, ref string) (Change[Agent], error) {
	return c.moveAgent(ctx, ref, "approve", "")
}

// SuspendAgent stops an agent until it is resumed.
func (c *Client) SuspendAgent(ctx context.Context, ref, reason string) (Change[Agent], error) {
	return c.moveAgent(ctx, ref, "suspend", reason)
}

// ResumeAgent lets a suspended agent act again.
func (c *Client) ResumeAgent(ctx context.Context, ref, reason string) (Change[Agent], error) {
	return c.moveAgent(ctx, ref, "resume", reason)
}

// RevokeAgent ends an agent for good.
func (c *Client) RevokeAgent(ctx context.Context, ref, reason string) (Change[Agent], error) {
	return c.moveAgent(ctx, ref, "revoke", reason)
}

func (c *Client) moveAgent(ctx context.Context, ref, verb, reason string) (Change[Agent], error) {
	return change[Agent](ctx, c, http.MethodPost, at("/v1/agents", ref)+"/"+verb, "agent", because(reason))
}

// SetSpawn changes an agent's right to register children.
func (c *Client) SetSpawn(ctx context.Context, ref string, to Spawn) (Change[Agent], error) {
	return change[Agent](ctx, c, http.MethodPut, at("/v1/agents", ref)+"/spawn", "agent", to)
}

// SetAgentActions holds an agent to actions, verb:type, whatever its grants say; none: it
// may do nothing.
func (c *Client) SetAgentActions(ctx context.Context, ref string, actions []string) (Change[Agent], error) {
	to := map[string][]string{"actions": append([]string{}, actions...)}
	return change[Agent](ctx, c, http.MethodPut, at("/v1/agents", ref)+"/actions", "agent", to)
}

// ClearAgentActions lets an agent do again whatever its grants cover.
func (c *Client) ClearAgentActions(ctx context.Context, ref string) (Change[Agent], error) {
	return change[Agent](ctx, c, http.MethodDelete, at("/v1/agents", ref)+"/actions", "agent", nil)
}

// SetOrgPolicy changes what an org, by id or name, demands of its agents and people.
func (c *Client) SetOrgPolicy(ctx context.Context, org string, to OrgPolicy) (Change[Org], error) {
	return change[Org](ctx, c, http.MethodPut, at("/v1/orgs", org)+"/policy", "org", to)
}

// AgentKeys lists the keys that an agent has and had, oldest first.
func (c *Client) AgentKeys(ctx context.Context, ref string) iter.Seq2[KeyRecord, error] {
	return list[KeyRecord](ctx, c, at("/v1/agents", ref)+"/keys", nil)
}

// DIDLog returns the did:webvh log of an agent, by id, as JSON Lines. Verify it with
// did.VerifyLog. It needs no credential.
func (c *Client) DIDLog(ctx context.Context, id string) ([]byte, error) {
	a, err := c.do(ctx, request{method: http.MethodGet, path: at("/agents", id) + "/did.jsonl", repeatable: true, public: true})
	return a.body, err
}

// RotateKey gives an agent another key, and its standing grants tokens for it.
func (c *Client) RotateKey(ctx context.Context, ref string, in NewKey) (Change[Agent], error) {
	return change[Agent](ctx, c, http.MethodPost, at("/v1/agents", ref)+"/keys", "agent", in)
}

// RecoverKey gives an agent the key that it committed to; it needs no credential.
func (c *Client) RecoverKey(ctx context.Context, ref string, in NewKey) (Change[Agent], error) {
	return change[Agent](ctx, c, http.MethodPost, at("/v1/agents", ref)+"/recover", "agent", in)
}

// RetireKey ends an earlier key of an agent before its overlap is over.
func (c *Client) RetireKey(ctx context.Context, ref, thumbprint, reason string) (Change[KeyRecord], error) {
	return change[KeyRecord](ctx, c, http.MethodPost, at(at("/v1/agents", ref)+"/keys", thumbprint)+"/retire", "key", because(reason))
}

// CompromiseKey ends a key at once; what it signed from a place of the log on (nil =
// from now) is suspect.
func (c *Client) CompromiseKey(ctx context.Context, ref, thumbprint, reason string, from *uint64) (Change[KeyRecord], error) {
	in := map[string]any{}
	if reason != "" {
		in["reason"] = reason
	}
	if from != nil {
		in["from"] = *from
	}
	return change[KeyRecord](ctx, c, http.MethodPost, at(at("/v1/agents", ref)+"/keys", thumbprint)+"/compromise", "key", in)
}

// IssueGrant gives an active agent capabilities.
func (c *Client) IssueGrant(ctx context.Context, in NewGrant) (Change[Grant], error) {
	return change[Grant](ctx, c, http.MethodPost, "/v1/grants", "grant", in)
}

// Grant returns a grant.
func (c *Client) Grant(ctx context.Context, id string) (Grant, error) {
	return fetch[Grant](ctx, c, at("/v1/grants", id))
}

// GrantBudgets lists what is left now of the budgets of a grant, and of those of links
// under it that were used.
func (c *Client) GrantBudgets(ctx context.Context, id string) iter.Seq2[Balance, error] {
	return list[Balance](ctx, c, at("/v1/grants", id)+"/budgets", nil)
}

// GrantFilter narrows a list of grants; empty members do not.
type GrantFilter struct{ Org, Agent, Status string }

// Grants lists an org's grants.
func (c *Client) Grants(ctx context.Context, f GrantFilter) iter.Seq2[Grant, error] {
	return list[Grant](ctx, c, "/v1/grants", filter("org", f.Org, "agent", f.Agent, "status", f.Status))
}

// RevokeGrant ends a grant for good.
func (c *Client) RevokeGrant(ctx context.Context, id, reason string) (Change[Grant], error) {
	return change[Grant](ctx, c, http.MethodPost, at("/v1/grants", id)+"/revoke", "grant", because(reason))
}

// RevokeLink ends the last link of a chain, with all that is made under it: for a
// registrar, or by the signature of an agent above it.
func (c *Client) RevokeLink(ctx context.Context, grant string, chain []string, reason string) (Change[RevokedLink], error) {
	body := map[string]any{"chain": chain}
	if reason != "" {
		body["reason"] = reason
	}
	return change[RevokedLink](ctx, c, http.MethodPost, at("/v1/grants", grant)+"/revocations", "link", body)
}

// SetKill stops a scope. When it returns, the stop is durable and every later
// qualified decision sees it.
func (c *Client) SetKill(ctx context.Context, s Scope, reason string) (Change[Kill], error) {
	return change[Kill](ctx, c, http.MethodPost, "/v1/kill", "kill", killInput{s, reason})
}

// ReleaseKill lifts a stop.
func (c *Client) ReleaseKill(ctx context.Context, s Scope, reason string) (Change[Kill], error) {
	return change[Kill](ctx, c, http.MethodPost, "/v1/kill/release", "kill", killInput{s, reason})
}

type killInput struct {
	Scope  Scope  `json:"scope"`
	Reason string `json:"reason,omitempty"`
}

// Kills lists the stops in force that the caller may see.
func (c *Client) Kills(ctx context.Context) iter.Seq2[Kill, error] {
	return list[Kill](ctx, c, "/v1/kill", nil)
}

// EventFilter narrows a list of events; empty members do not.
type EventFilter struct {
	Org, Agent, Type string
	Newest           bool // newest first; else in log order
}

// Events lists events.
func (c *Client) Events(ctx context.Context, f EventFilter) iter.Seq2[Event, error] {
	q := filter("org", f.Org, "agent", f.Agent, "type", f.Type)
	if f.Newest {
		q.Set("order", "newest")
	}
	return list[Event](ctx, c, "/v1/events", q)
}

// Event returns an event with what it commits to.
func (c *Client) Event(ctx context.Context, cid string) (EventRecord, error) {
	return fetch[EventRecord](ctx, c, at("/v1/events", cid))
}

// Receipt returns the receipt of an event, a *.writ.json file as it is: any
// change to a byte makes it fail. disclose adds the values that the event
// commits to, for readers who may know them.
func (c *Client) Receipt(ctx context.Context, cid string, disclose bool) ([]byte, error) {
	q := url.Values{}
	if disclose {
		q.Set("disclose", "all")
	}
	a, err := c.do(ctx, request{method: http.MethodGet, path: at("/v1/events", cid) + "/receipt", query: q, repeatable: true})
	return a.body, err
}

// DecisionKey returns whether the key that signed for a decision was the agent's
// then, with the receipts that verify.VerifyKey checks offline beside the
// decision's own.
func (c *Client) DecisionKey(ctx context.Context, cid string) (DecisionKey, error) {
	return fetch[DecisionKey](ctx, c, at("/v1/events", cid)+"/key")
}

// Anchors lists the attempts to anchor heads of the log, newest first.
func (c *Client) Anchors(ctx context.Context) iter.Seq2[Anchor, error] {
	return list[Anchor](ctx, c, "/v1/anchors", nil)
}

// Log returns the log's newest signed state. It needs no credential.
func (c *Client) Log(ctx context.Context) (LogInfo, error) {
	var out LogInfo
	_, err := c.read(ctx, request{method: http.MethodGet, path: "/v1/log", repeatable: true, public: true}, &out)
	return out, err
}

// Verify asks whether a grant and proof stand, without a decision: nothing is
// consumed and nothing recorded.
func (c *Client) Verify(ctx context.Context, in EvaluationRequest) (Verification, error) {
	var out Verification
	_, err := c.read(ctx, request{method: http.MethodPost, path: "/v1/verify", body: in, repeatable: true}, &out)
	return out, err
}

// Evaluate asks whether an act may be done now. With the credential of an
// enforcement point it relays the agent's proof: a bad one is a denial. Without
// a credential the agent asks for itself, and a bad proof is a *Problem of
// status 401 whose Code says what was wrong with it.
//
// A try that got lost is repeated for an enforcement point, which gets the
// recorded answer then; an agent's proof is spent by the first that arrives.
func (c *Client) Evaluate(ctx context.Context, in EvaluationRequest) (Decision, error) {
	var out Decision
	_, err := c.read(ctx, request{method: http.MethodPost, path: "/access/v1/evaluation", body: in, repeatable: c.token != ""}, &out)
	if err != nil {
		return Decision{}, err
	}
	return out, nil
}

// fetch reads a single thing.
func fetch[T any](ctx context.Context, c *Client, path string) (T, error) {
	var out T
	err := c.get(ctx, path, nil, &out)
	return out, err
}

// list walks the pages of a list. It ends at the first error, which is yielded
// with the zero value.
func list[T any](ctx context.Context, c *Client, path string, query url.Values) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		q := url.Values{}
		for k, v := range query {
			q[k] = v
		}
		for {
			var page struct {
				Items []T    `json:"items"`
				Next  string `json:"next"`
			}
			if err := c.get(ctx, path, q, &page); err != nil {
				var none T
				yield(none, err)
				return
			}
			for _, item := range page.Items {
				if !yield(item, nil) {
					return
				}
			}
			if page.Next == "" {
				return
			}
			if page.Next == q.Get("cursor") {
				var none T
				yield(none, fmt.Errorf("GET %s: the list does not advance", path))
				return
			}
			q.Set("cursor", page.Next)
		}
	}
}

// Collect reads a list to its end, or to limit items if limit is not 0.
func Collect[T any](seq iter.Seq2[T, error], limit int) ([]T, error) {
	out := []T{}
	for item, err := range seq {
		if err != nil {
			return nil, err
		}
		if out = append(out, item); len(out) == limit {
			break
		}
	}
	return out, nil
}

// at is the path of one member of a collection; a DID is escaped into it.
func at(collection, ref string) string { return collection + "/" + url.PathEscape(ref) }

// filter makes a query of those pairs whose value is not empty.
func filter(pairs ...string) url.Values {
	q := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			q.Set(pairs[i], pairs[i+1])
		}
	}
	return q
}

func because(reason string) any {
	if reason == "" {
		return struct{}{}
	}
	return map[string]string{"reason": reason}
}
