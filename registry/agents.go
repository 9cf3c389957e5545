package registry

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/writ-registry/writ/internal/canon"
	"github.com/writ-registry/writ/internal/jose"
	"github.com/writ-registry/writ/registry/capability"
	"github.com/writ-registry/writ/registry/did"
)

// NewAgent is the input of RequestAgent.
type NewAgent struct {
	Org            string // id or name; "" = the caller's
	Sponsor        string // principal id; "" = the caller
	Name           string
	Purpose        string
	Role           string
	Domains        []string
	Workflows      []string
	AuthorityLevel int
	Composition    []Component
	JWK            json.RawMessage // the agent's public key
	Possession     string          // agent-pop+jwt by that key, for this registry, org and name
	NextKeyHash    string          // commitment to the key after it (did.NextKeyHash); "" = none
	Spawn          Spawn           // its right to register children
	Parent         string          // of a child: the id or DID of the agent it works for
}

// RequestAgent registers an agent: its key, proven by the key itself, its DID
// and its accountable sponsor. The agent may do nothing until it is approved. An
// agent that has the right to may register a child, which is active at once.
func (r *Registry) RequestAgent(ctx context.Context, call Call, in NewAgent) (Outcome[Agent], error) {
	n, err := r.readAgent(ctx, call.Caller, in)
	if err != nil {
		return Outcome[Agent]{}, err
	}
	return commitDraft(ctx, r, call, false, func(tx Tx) (Agent, Draft, error) {
		a, d, err := r.register(tx, *n)
		return a, d, err
	})
}

// newcomer is a registration that has been looked at as far as that needs no
// transaction.
type newcomer struct {
	in     NewAgent
	org    Org
	key    jose.PublicKey
	agent  Agent
	gen    did.Entry
	digest string // of the composition
}

// readAgent validates a registration, and makes the DID.
func (r *Registry) readAgent(ctx context.Context, c Caller, in NewAgent) (*newcomer, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	n := &newcomer{in: in}
	var err error
	if n.key, err = parseKey(in.JWK); err != nil {
		return nil, err
	}
	if c.Kind == ActorAgent { // only for its own org and itself
		n.in.Parent, in.Org = cmp.Or(in.Parent, c.ID), cmp.Or(in.Org, c.Org)
	}
	if err := r.Store.View(ctx, func(tx Tx) (err error) { n.org, err = findOrg(tx, c, in.Org); return err }); err != nil {
		return nil, err
	}
	if err := c.mayRegister(n.org.ID, n.in.Parent); err != nil {
		return nil, err
	}
	if c.Kind == ActorAgent {
		if err := selfOnly("/composition", in.Composition); err != nil {
			return nil, err
		}
	}
	if err := r.checkPossession(in.Possession, in.Name, n.org, n.key); err != nil {
		return nil, err
	}
	if n.agent, n.gen, err = r.newAgent(in, n.org, c, n.key); err != nil {
		return nil, err
	}
	comp, err := canon.Marshal(nonNil(n.agent.Composition))
	n.digest = canon.Digest(comp)
	return n, err
}

// mayRegister: a registrar may, and an agent a child of its own.
func (c Caller) mayRegister(org, parent string) error {
	if c.Kind == ActorAgent && c.Agent != nil {
		if !c.Agent.named(parent) {
			return Errorf(Denied, "an agent registers children of its own only")
		}
		return nil
	}
	return c.may(org, RoleRegistrar)
}

// register writes a newcomer and drafts its events.
func (r *Registry) register(tx Tx, n newcomer) (Agent, Draft, error) {
	a := n.agent
	var d Draft
	if n.in.Parent != "" {
		if err := r.adopt(tx, &a, n.in.Parent); err != nil {
			return a, d, err
		}
	}
	sponsor, err := tx.Principal(a.Sponsor)
	if errors.Is(err, NotFound) || err == nil && (sponsor.Org != a.Org || sponsor.Status != PrincipalActive) {
		return a, d, Invalid("/sponsor", "must be an active principal of the agent's org")
	} else if err != nil {
		return a, d, err
	}
	if err := tx.InsertAgent(a, []string{a.DID, a.WebDID}, strings.TrimSuffix(string(n.gen.Line), "\n")); err != nil {
		return a, d, keyTaken(err)
	}
	key := AgentKey{Thumbprint: a.Thumbprint, Agent: a.ID, N: 1, KeyID: a.KeyID, JWK: a.JWK, Status: KeyActive, Added: a.Created, Version: n.gen.VersionID}
	if err := tx.InsertAgentKey(key); err != nil {
		return a, d, keyTaken(err)
	}
	d.Events = []EventDraft{{Type: EventAgentRequested, Org: a.Org, Agent: a.ID, Body: AgentRegistration{
		DID: a.DID, WebDID: a.WebDID, DIDEntryHash: n.gen.EntryHash, Thumbprint: a.Thumbprint, KeyAlg: n.key.Alg(),
		PossessionHash: canon.Digest([]byte(n.in.Possession)), Sponsor: a.Sponsor, Role: a.Role,
		Domains: nonNil(a.Domains), Workflows: nonNil(a.Workflows), AuthorityLevel: a.AuthorityLevel,
		Composition: n.digest, Custodial: a.Custodial,
	}}}
	switch {
	case a.Parent != "":
		parent, err := tx.Agent(a.Parent)
		if err != nil {
			return a, d, err
		}
		d.Events = append(d.Events, EventDraft{Type: EventAgentSpawned, Org: a.Org, Agent: a.ID, Body: AgentSpawned{a.DID, parent.ID, parent.DID, a.Spawn.Depth, a.Spawn.Max}})
	case a.Spawn != Spawn{}:
		d.Events = append(d.Events, EventDraft{Type: EventSpawnSet, Org: a.Org, Agent: a.ID, Body: SpawnSet{a.DID, a.Spawn.Depth, a.Spawn.Max}})
	}
	d.Sequenced = func(tx Tx, refs []EventRef) error {
		key.AddedIndex = &refs[0].Index
		return tx.UpdateAgentKey(key)
	}
	return a, d, nil
}

func keyTaken(err error) error {
	if errors.Is(err, Conflict) {
		return &Error{Kind: Conflict, Code: "key_taken", Field: "/jwk", Detail: "an agent has this key, or had it; no two agents share one", Err: err}
	}
	return err
}

// parseKey reads a public key. Private members are refused, and so is all that a
// verifier would not accept: other curves, small-order and non-canonical points.
func parseKey(jwk json.RawMessage) (jose.PublicKey, error) {
	key, err := jose.ParseJWK(jwk)
	if err != nil {
		return key, &Error{Kind: Malformed, Field: "/jwk", Detail: err.Error(), Err: err}
	}
	return key, nil
}

func (r *Registry) newAgent(in NewAgent, org Org, c Caller, key jose.PublicKey) (Agent, did.Entry, error) {
	a := Agent{
		ID: NewID(), Org: org.ID, Sponsor: in.Sponsor, Name: in.Name, Purpose: in.Purpose, Role: in.Role,
		Domains: in.Domains, Workflows: in.Workflows, AuthorityLevel: in.AuthorityLevel, Composition: in.Composition,
		Status: AgentRequested, JWK: key.JWK(), Thumbprint: key.Thumbprint(), Custodial: true, Created: r.now(), Updated: r.now(),
		NextKeyHash: in.NextKeyHash, Spawn: in.Spawn,
	}
	if a.Sponsor == "" && c.Agent == nil {
		a.Sponsor = c.ID
	}
	next, err := r.successor(a.ID, 2)
	if err != nil {
		return a, did.Entry{}, err
	}
	gen, err := did.Genesis(did.GenesisParams{
		Origin: r.originFor(org), Path: []string{"agents", a.ID}, Time: a.Created,
		Signer: r.UpdateKey, NextKeys: []jose.PublicKey{next.Public()}, Keys: []jose.PublicKey{key},
		Custodian: r.Origin,
	})
	if err != nil {
		return a, gen, fmt.Errorf("make did:webvh genesis: %w", err)
	}
	a.DID, a.WebDID, a.KeyID = gen.DID.String(), gen.Web.String(), gen.DID.KeyURL(key)
	return a, gen, nil
}

// checkPossession requires that the key signed this very registration: for this
// registry, this org (by id or name) and this name.
func (r *Registry) checkPossession(possession, name string, org Org, key jose.PublicKey) error {
	pop, err := capability.ParseRegistration(possession)
	if err == nil {
		check := capability.RegistrationCheck{Key: key, Now: r.Now(), Origin: r.Origin, Org: org.ID, Name: name}
		if pop.Claims().Org == org.Name {
			check.Org = org.Name
		}
		err = pop.Verify(check)
	}
	if err != nil {
		e := &Error{Kind: Unauthenticated, Code: "possession_failed", Field: "/possession", Detail: err.Error(), Err: err}
		var pe *capability.ProofError
		if errors.As(err, &pe) {
			e.Code = string(pe.Code)
		}
		return e
	}
	return nil
}

func (in NewAgent) check() error {
	if err := first(
		checkWord("/name", in.Name), checkText("/purpose", in.Purpose, maxText, false),
		checkWords("/domains", in.Domains), checkWords("/workflows", in.Workflows),
		checkLevel("/authority_level", in.AuthorityLevel),
	); err != nil {
		return err
	}
	if in.Role != "" {
		if err := checkWord("/role", in.Role); err != nil {
			return err
		}
	}
	if in.Sponsor != "" {
		if err := checkID("/sponsor", in.Sponsor); err != nil {
			return err
		}
	}
	if len(in.JWK) == 0 {
		return Invalid("/jwk", "is required")
	}
	if in.Possession == "" {
		return Invalid("/possession", "is required: an agent-pop+jwt by the agent's key")
	}
	if err := first(checkKeyHash("/next_key_hash", in.NextKeyHash), in.Spawn.check("/spawn")); err != nil {
		return err
	}
	if len(in.Composition) > maxList {
		return &Error{Kind: TooLarge, Field: "/composition", Detail: fmt.Sprintf("more than %d components", maxList)}
	}
	for i, c := range in.Composition {
		at := fmt.Sprintf("/composition/%d", i)
		if err := c.check(at); err != nil {
			return err
		}
		if c.Source != SourceSelf && c.Source != SourceSponsor { // a statement names a DID, and there is none yet
			return Invalid(at+"/source", "must be self or sponsor; others vouch once it is registered")
		}
	}
	return nil
}

func (c Component) check(at string) error {
	if !slices.Contains([]string{"model", "runtime", "tools", "api"}, c.Kind) {
		return Invalid(at+"/kind", "must be model, runtime, tools or api")
	}
	if err := checkText(at+"/name", c.Name, 256, true); err != nil {
		return err
	}
	if len(c.Digest) != 64 || !isHex(c.Digest) {
		return Invalid(at+"/digest", "must be a SHA-256 in 64 lower-case hex digits")
	}
	if !slices.Contains(sources, c.Source) {
		return Invalid(at+"/source", "must be self, sponsor, build-signed or runtime-attested")
	}
	if c.Voucher != "" || c.Statement != "" {
		return Invalid(at, "voucher and statement are the registry's to say")
	}
	return nil
}

func isHex(s string) bool {
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// ApproveAgent lets a requested agent act within its grants.
func (r *Registry) ApproveAgent(ctx context.Context, call Call, id string) (Outcome[Agent], error) {
	return r.moveAgent(ctx, call, id, AgentActive, EventAgentApproved, "", AgentRequested)
}

// SuspendAgent stops an agent until it is resumed.
func (r *Registry) SuspendAgent(ctx context.Context, call Call, id, reason string) (Outcome[Agent], error) {
	return r.moveAgent(ctx, call, id, AgentSuspended, EventAgentSuspended, reason, AgentActive)
}

// ResumeAgent lets a suspended agent act again.
func (r *Registry) ResumeAgent(ctx context.Context, call Call, id, reason string) (Outcome[Agent], error) {
	return r.moveAgent(ctx, call, id, AgentActive, EventAgentResumed, reason, AgentSuspended)
}

// RevokeAgent ends an agent for good.
func (r *Registry) RevokeAgent(ctx context.Context, call Call, id, reason string) (Outcome[Agent], error) {
	return r.moveAgent(ctx, call, id, AgentRevoked, EventAgentRevoked, reason, AgentRequested, AgentActive, AgentSuspended)
}

// moveAgent changes an agent's status. Moving to the status it has changes
// nothing and records nothing, so that a stop may be repeated.
func (r *Registry) moveAgent(ctx context.Context, call Call, ref string, to AgentStatus, event, reason string, from ...AgentStatus) (Outcome[Agent], error) {
	if err := checkReason(reason); err != nil {
		return Outcome[Agent]{}, err
	}
	urgent := to == AgentRevoked || to == AgentSuspended
	return commit(ctx, r, call, urgent, func(tx Tx) (Agent, *EventDraft, error) {
		a, err := findAgent(tx, ref)
		if err != nil {
			return a, nil, err
		}
		if err := call.Caller.may(a.Org, RoleRegistrar); err != nil {
			return Agent{}, nil, hide(err, "agent")
		}
		if a.Status == to {
			return a, nil, nil
		}
		if a.Status == AgentRevoked {
			return a, nil, Errorf(Revoked, "the agent is revoked, for good")
		}
		if !slices.Contains(from, a.Status) {
			return a, nil, Errorf(Conflict, "the agent is %s", a.Status)
		}
		if to == AgentActive && a.Status == AgentRequested {
			if err := separate(tx, call.Caller, a); err != nil {
				return a, nil, err
			}
		}
		if to == AgentRevoked {
			a.DIDPending = cmp.Or(a.DIDPending, r.now())
			if err := tx.Tend(a.ID, r.now()); err != nil { // its DID follows; a stop does not wait for it
				return a, nil, err
			}
		}
		a.Status, a.Updated = to, r.now()
		return a, &EventDraft{Type: event, Org: a.Org, Agent: a.ID, Body: AgentStatusChanged{a.DID, to, reason}},
			errors.Join(tx.UpdateAgent(a), tx.BumpEpoch(Scope{ScopeAgent, a.ID}))
	})
}

// separate keeps the approval of an agent apart from who wants it, where the org
// asks for that.
func separate(tx Tx, c Caller, a Agent) error {
	org, err := tx.Org(a.Org)
	if err != nil || !org.Policy.SeparateDuties {
		return err
	}
	interested := c.ID == a.Sponsor
	for _, typ := range []string{EventAgentRequested, EventSponsorChanged} { // who asked for it, or found it another sponsor
		events, err := tx.ListEvents(EventFilter{Org: a.Org, Agent: a.ID, Type: typ, Page: Page{Limit: MaxPage}})
		if err != nil {
			return err
		}
		for _, e := range events {
			var artifact struct {
				Actor Actor `json:"actor"`
			}
			if err := canon.UnmarshalOpen(e.Artifact, &artifact); err != nil {
				return fmt.Errorf("read the agent's registration: %w", err)
			}
			interested = interested || c.Actor == artifact.Actor
		}
	}
	if interested {
		return errSeparate
	}
	return nil
}

var errSeparate = notAlone("the org wants another human than the one who asked for the agent, answers for it or chose who does")

// notAlone refuses what the org wants a second human for.
func notAlone(detail string) *Error {
	return &Error{Kind: Denied, Code: "separate_duties", Detail: detail}
}

func checkReason(s string) error {
	if s == "" {
		return nil
	}
	return checkWord("/reason", s)
}

// hide makes a foreign thing look like an unknown one.
func hide(err error, what string) error {
	if errors.Is(err, NotFound) {
		return Errorf(NotFound, "no such %s", what)
	}
	return err
}

// FindAgent returns an agent by id or by any of its DIDs.
func (r *Registry) FindAgent(ctx context.Context, c Caller, ref string) (Agent, error) {
	var a Agent
	err := r.Store.View(ctx, func(tx Tx) (err error) { a, err = findAgent(tx, ref); return err })
	if err == nil {
		err = hide(c.seesAgent(a), "agent")
	}
	if err != nil {
		return Agent{}, err
	}
	return a, nil
}

// seesAgent lets an agent read itself and its children, and principals all.
func (c Caller) seesAgent(a Agent) error {
	if c.Agent != nil {
		if c.is(a.ID) || a.Parent == c.ID {
			return nil
		}
		return Errorf(NotFound, "no such agent")
	}
	return c.sees(a.Org)
}

// sees lets any principal of the org, and operators, read.
func (c Caller) sees(org string) error {
	if c.Kind != ActorPrincipal {
		return Errorf(Denied, "only a principal may read this")
	}
	return c.may(org, Roles...)
}

func findAgent(tx Tx, ref string) (Agent, error) {
	if checkID("", ref) == nil {
		return tx.Agent(ref)
	}
	if _, err := did.Parse(ref); err != nil {
		return Agent{}, &Error{Kind: Malformed, Field: "/agent", Detail: "neither an agent id nor a DID: " + err.Error(), Err: err}
	}
	return tx.AgentByDID(ref)
}

// ListAgents lists the agents of an org.
func (r *Registry) ListAgents(ctx context.Context, c Caller, orgRef string, status AgentStatus, p Page) ([]Agent, error) {
	if status != "" && !slices.Contains([]AgentStatus{AgentRequested, AgentActive, AgentSuspended, AgentRevoked}, status) {
		return nil, Invalid("/status", "must be requested, active, suspended or revoked")
	}
	return listIn(ctx, r, c, orgRef, p, func(tx Tx, org string, p Page) ([]Agent, error) {
		return tx.ListAgents(AgentFilter{Org: org, Status: status, Page: p})
	})
}

// DIDLog returns the did:webvh log of an agent, for anyone: JSON Lines.
func (r *Registry) DIDLog(ctx context.Context, id string) (entries []string, err error) {
	if err := checkID("/id", id); err != nil {
		return nil, err
	}
	err = r.Store.View(ctx, func(tx Tx) (err error) { entries, err = tx.DIDLog(id); return err })
	if err == nil && len(entries) == 0 {
		err = Errorf(NotFound, "no such agent")
	}
	return entries, err
}
