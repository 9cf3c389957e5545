package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/writ-registry/writ/internal/canon"
	"github.com/writ-registry/writ/internal/jose"
	"github.com/writ-registry/writ/registry/capability"
)

// Binding is what an approval is for: this very act by this very agent, as it was
// judged. An approval is good for nothing that differs in any member but the first
// three.
type Binding struct {
	Decision string `json:"decision"` // that was step_up
	Event    string `json:"event"`    // its CID
	PEP      string `json:"pep"`      // that asked; "" = the agent itself

	Org         string `json:"org"`
	Agent       string `json:"agent"`
	Composition string `json:"composition"` // digest of the JCS form of the components
	Action      string `json:"action"`      // verb:type
	Type        string `json:"resource_type"`
	ID          string `json:"resource_id"`
	ActDigest   string `json:"adg"`
	Grant       string `json:"grant"`
	TokenHash   string `json:"token_hash"` // of the leaf
	Audience    string `json:"audience"`
	Policy      string `json:"policy_digest"`
	Catalogue   string `json:"catalogue_digest"`
	Rule        string `json:"rule"` // digest of the approver rule
}

// covers reports whether an approval of b is one of what is asked for now.
func (b Binding) covers(now Binding) bool {
	b.Decision, b.Event, b.PEP = "", "", ""
	now.Decision, now.Event, now.PEP = "", "", ""
	return b == now
}

// subject names what is asked for by whom.
func (b Binding) subject() (string, error) {
	b.Decision, b.Event = "", ""
	form, err := canon.Marshal(b)
	return canon.Digest(form), err
}

// CompositionDigest names what an agent is made of.
func CompositionDigest(parts []Component) (string, error) {
	form, err := canon.Marshal(nonNil(parts))
	return canon.Digest(form), err
}

// TypBinding is the typ of a binding token (AuthZEN Access Request and Approval
// Profile, draft 1, section "Requestable Denial Context").
const TypBinding = "access-binding+jwt"

type bindingClaims struct {
	Issuer   string `json:"iss"`
	Audience string `json:"aud"`
	IssuedAt int64  `json:"iat"`
	Expires  int64  `json:"exp"`
	Binding
}

// BindingLife is how long after a decision an approval can be asked for.
const BindingLife = 10 * time.Minute

// BindingToken signs what a step_up at a time may be turned into a request for, and
// says until when. The same decision has the same token.
func (r *Registry) BindingToken(b Binding, decided time.Time) (token string, until time.Time, err error) {
	decided = decided.Truncate(time.Second)
	until = decided.Add(BindingLife)
	token, err = jose.Sign(r.TokenKey, TypBinding, r.TokenKeyID(), bindingClaims{r.Origin, r.Origin, decided.Unix(), until.Unix(), b})
	return token, until, err
}

var (
	errBinding = &Error{Kind: Malformed, Code: "invalid_denial_binding", Field: "/denial/binding_token", Detail: "the request is not bound to a decision of this registry that asked for approval"}
	errStale   = &Error{Kind: Revoked, Code: "expired_denial", Field: "/denial/binding_token", Detail: "the decision is too old; evaluate again"}
)

func (r *Registry) openBinding(token string) (Binding, error) {
	t, err := jose.Parse(token, TypBinding, capability.MaxToken)
	if err == nil {
		err = t.Verify(r.TokenKey.Public())
	}
	var c bindingClaims
	if err == nil {
		err = t.Claims(&c)
	}
	if err != nil || c.Issuer != r.Origin || c.Audience != r.Origin {
		return Binding{}, errBinding
	}
	if !r.Now().Before(time.Unix(c.Expires, 0)) {
		return Binding{}, errStale
	}
	return c.Binding, nil
}

// ApprovalState is where a request is. Only pending and approved move on.
type ApprovalState string

const (
	ApprovalPending   ApprovalState = "pending"
	ApprovalApproved  ApprovalState = "approved" // good once, until Until
	ApprovalDenied    ApprovalState = "denied"
	ApprovalExpired   ApprovalState = "expired"
	ApprovalCancelled ApprovalState = "cancelled"
	ApprovalConsumed  ApprovalState = "consumed" // a permit was given on it
)

// Approval is what humans are asked to approve, and what they said.
type Approval struct {
	ID        string        `json:"id"` // UUIDv7
	Org       string        `json:"org"`
	Agent     string        `json:"agent"`
	DID       string        `json:"did"`
	State     ApprovalState `json:"state"`
	Binding   Binding       `json:"binding"`
	Subject   string        `json:"subject"` // digest: there is one open request of a kind
	Rule      ApprovalRule  `json:"rule"`
	Statement string        `json:"statement"` // what humans are shown: canonical JSON, with the arguments
	Digest    string        `json:"digest"`    // base64url SHA-256 of Statement
	By        Actor         `json:"by"`        // who asked
	Requested time.Time     `json:"requested"`
	Expires   time.Time     `json:"expires"` // of the request
	Answers   []Answer      `json:"answers,omitempty"`
	Until     time.Time     `json:"until,omitzero"`          // of the approval
	Answered  time.Time     `json:"answered,omitzero"`       // when it was approved or denied
	Consumer  string        `json:"consumed_by,omitempty"`   // decision
	Glass     bool          `json:"broken_glass,omitempty"`  // approved past its rule
	Reason    string        `json:"cancel_reason,omitempty"` // machine name
}

// Answer is what one human said.
type Answer struct {
	Principal     string    `json:"principal"`
	Verdict       string    `json:"verdict"` // capability.Approve | capability.Refuse
	Reason        string    `json:"reason,omitempty"`
	BreakGlass    bool      `json:"break_glass,omitempty"`
	Authenticator string    `json:"authenticator,omitempty"` // id; a refusal needs none
	Signature     string    `json:"signature,omitempty"`     // approval+jwt, or the passkey's assertion as JSON
	Hash          string    `json:"signature_hash,omitempty"`
	Time          time.Time `json:"time"`
}

// Orgs are those whose humans may see it.
func (a Approval) Orgs() []string {
	orgs := []string{a.Org}
	for _, org := range a.Rule.Orgs {
		if org != a.Org {
			orgs = append(orgs, org)
		}
	}
	return orgs
}

// Due is when time ends it; zero: it has ended.
func (a Approval) Due() time.Time {
	switch a.State {
	case ApprovalPending:
		return a.Expires
	case ApprovalApproved:
		return a.Until
	}
	return time.Time{}
}

// over is the state at a time: time ends what is open.
func (a Approval) over(now time.Time) bool { return !a.Due().IsZero() && !now.Before(a.Due()) }

// clock is the later of the machine's and the log's, which never falls: what time has
// ended stays ended.
func (r *Registry) clock(tx Tx) (time.Time, error) {
	m, err := tx.Moment()
	if now := r.now(); now.After(m.Clock) {
		return now, err
	}
	return m.Clock, err
}

// seen is the approval as it is at a time, also where its end was not recorded yet.
func (a Approval) seen(now time.Time) Approval {
	if a.over(now) {
		a.State = ApprovalExpired
	}
	return a
}

// Limits of requests.
const (
	ApprovalWait       = time.Hour       // for answers
	ApprovalCoolDown   = 5 * time.Minute // after a refusal, for the same agent, action and resource
	MaxStatement       = 64 << 10        // what a human can be shown
	MaxPendingOfAgent  = 20
	MaxPendingInOrg    = 1000
	MaxApprovalWaiters = 1024                   // long polls
	waitAgain          = 500 * time.Millisecond // between looks of a long poll
)

// ApprovalFilter narrows a list; an empty state matches all.
type ApprovalFilter struct {
	Org   string
	State ApprovalState
	Page
}

// ApprovalTx holds approvals and what humans sign them with.
type ApprovalTx interface {
	Approval(id string) (Approval, error)
	OpenApproval(subject string) (Approval, error)
	ListApprovals(ApprovalFilter) ([]Approval, error)
	DueApprovals(now time.Time, limit int) ([]Approval, error)                           // whose Due has come, the oldest first
	CountPending(org, agent string, requested time.Time) (inOrg, ofAgent int, err error) // since then
	DeniedSince(agent string, requested time.Time, limit int) ([]Approval, error)        // newest first
	InsertApproval(Approval) error                                                       // Conflict: its subject has an open one
	// UpdateApproval changes one that is in a state. Conflict: it is in another.
	UpdateApproval(a Approval, was ApprovalState) error

	Authenticator(id string) (Authenticator, error)
	AuthenticatorByHandle(handle string) (Authenticator, error)
	ListAuthenticators(principal string) ([]Authenticator, error) // oldest first
	CountAuthenticators(org string) (int, error)                  // active ones
	InsertAuthenticator(Authenticator) error                      // Conflict: the handle is somebody's
	UpdateAuthenticator(Authenticator) error
}

// NewApproval asks for an approval.
type NewApproval struct {
	Token         string // binding token of the decision
	Decision      string // as the caller says; "" = not said
	Subject       string // DID of the agent
	Act           capability.Act
	Justification string // of who asks, for the humans; may be empty
	Callback      *NewCallback
}

// RequestApproval asks the humans of the rule. The enforcement point that was told
// step_up may, and the agent that was told so itself. What is open already is not asked
// for twice: the answer is that one.
func (r *Registry) RequestApproval(ctx context.Context, call Call, in NewApproval) (Outcome[Approval], error) {
	if call.Caller.PEP == nil && call.Caller.Agent == nil {
		return Outcome[Approval]{}, Errorf(Denied, "enforcement points and agents ask for approvals")
	}
	b, err := r.openBinding(in.Token)
	if err == nil {
		err = in.check(call.Caller, b)
	}
	if err != nil {
		return Outcome[Approval]{}, err
	}
	subject, err := b.subject()
	if err != nil {
		return Outcome[Approval]{}, err
	}
	id := NewID()
	return commitDraft(ctx, r, call, false, func(tx Tx) (Approval, Draft, error) {
		a, entry, org, err := r.requestable(tx, b)
		if err != nil {
			return Approval{}, Draft{}, err
		}
		now, err := r.clock(tx)
		if err != nil {
			return Approval{}, Draft{}, err
		}
		var d Draft
		open, err := tx.OpenApproval(subject)
		switch {
		case err == nil && !open.over(now):
			return open, d, in.Callback.listen(tx, call.Caller, open)
		case err == nil:
			if d.Events, err = r.expire(tx, open); err != nil {
				return open, d, err
			}
		case !errors.Is(err, NotFound):
			return open, d, err
		}
		if err := r.unwearied(tx, b); err != nil {
			return Approval{}, d, err
		}
		out := Approval{
			ID: id, Org: a.Org, Agent: a.ID, DID: a.DID, State: ApprovalPending, Binding: b, Subject: subject, Rule: org.Approvals.For(entry),
			By: call.Caller.Actor, Requested: now, Expires: now.Add(ApprovalWait),
		}
		if err := r.state(tx, &out, a, entry, in); err != nil {
			return out, d, err
		}
		d.Events = append(d.Events, EventDraft{Type: EventApprovalRequested, Org: a.Org, Agent: a.ID, Body: ApprovalRequest{
			Approval: out.ID, DID: a.DID, Decision: b.Decision, Action: b.Action, ActDigest: b.ActDigest, Rule: b.Rule, Quorum: out.Rule.Quorum,
			Statement: out.Digest, Expires: out.Expires.Format(TimeFormat),
		}})
		return out, d, errors.Join(tx.InsertApproval(out), in.Callback.listen(tx, call.Caller, out))
	})
}

// check holds what is asked for against what was denied, and to whom.
func (in NewApproval) check(c Caller, b Binding) error {
	act, err := in.Act.Digest()
	if err != nil {
		return &Error{Kind: Malformed, Field: "/action/properties", Detail: err.Error(), Err: err}
	}
	mine := c.PEP != nil && c.PEP.ID == b.PEP || c.Agent != nil && b.PEP == "" && c.Agent.ID == b.Agent
	if !mine || act != b.ActDigest || in.Decision != "" && in.Decision != b.Decision {
		return errBinding
	}
	if len(in.Justification) > maxText {
		return &Error{Kind: TooLarge, Field: "/context/business_justification", Detail: fmt.Sprintf("longer than %d bytes", maxText)}
	}
	if in.Callback != nil {
		return in.Callback.check()
	}
	return nil
}

// requestable finds what is bound, and refuses what could never be permitted by an
// approval: nobody is to be asked in vain.
func (r *Registry) requestable(tx Tx, b Binding) (Agent, CatalogueAction, Org, error) {
	a, err := tx.Agent(b.Agent)
	var ev Event
	if err == nil {
		ev, err = tx.EventByCID(b.Event)
	}
	var org Org
	if err == nil {
		org, err = tx.Org(a.Org)
	}
	var catalogue Catalogue
	if err == nil {
		catalogue, err = tx.Catalogue(a.Org)
	}
	if errors.Is(err, NotFound) {
		return a, CatalogueAction{}, org, errBinding
	} else if err != nil {
		return a, CatalogueAction{}, org, err
	}
	var recorded struct {
		Body DecisionMade `json:"body"`
	}
	if err := canon.UnmarshalOpen(ev.Artifact, &recorded); err != nil {
		return a, CatalogueAction{}, org, err
	}
	if d := recorded.Body; ev.Type != EventDecision || d.Decision != b.Decision || d.Verdict != "step_up" {
		return a, CatalogueAction{}, org, errBinding
	}
	if err := r.stands(tx, a); err != nil {
		return a, CatalogueAction{}, org, refused(err)
	}
	entry := catalogue.Entry(b.Action)
	composition, err := CompositionDigest(a.Composition)
	if err == nil && (composition != b.Composition || catalogue.Digest != b.Catalogue || org.Approvals.For(entry).Digest() != b.Rule) {
		err = &Error{Kind: Malformed, Code: "not_requestable", Detail: "what the decision rested on has changed; evaluate again"}
	}
	return a, entry, org, err
}

// unwearied keeps agents from wearing humans down.
func (r *Registry) unwearied(tx Tx, b Binding) error {
	now, err := r.clock(tx)
	if err != nil {
		return err
	}
	inOrg, ofAgent, err := tx.CountPending(b.Org, b.Agent, now.Add(-ApprovalWait))
	if err != nil {
		return err
	}
	if ofAgent >= MaxPendingOfAgent || inOrg >= MaxPendingInOrg {
		return &Error{Kind: Conflict, Code: "too_many_pending", Detail: "too many requests wait for humans already"}
	}
	denied, err := tx.DeniedSince(b.Agent, now.Add(-ApprovalCoolDown-ApprovalWait), MaxPage)
	if err != nil {
		return err
	}
	for _, d := range denied {
		if d.Binding.Action == b.Action && d.Binding.Type == b.Type && d.Binding.ID == b.ID && now.Before(d.Answered.Add(ApprovalCoolDown)) {
			return &Error{Kind: Conflict, Code: "approval_cooldown", Detail: "a human refused this just now; it is not asked again before " + d.Answered.Add(ApprovalCoolDown).Format(time.RFC3339)}
		}
	}
	return nil
}

// Statement is what a human is shown and signs: its canonical JSON form. What the agent
// or the enforcement point wrote (Act, Justification, and the agent's names) is theirs.
type Statement struct {
	Kind          string         `json:"kind"` // StatementKind
	Registry      string         `json:"registry"`
	Approval      string         `json:"approval"`
	BreakGlass    bool           `json:"break_glass"` // past the rule, by two humans
	Agent         StatementAgent `json:"agent"`
	Act           StatementAct   `json:"act"`
	Binding       Binding        `json:"binding"`
	Capabilities  string         `json:"capabilities"` // of the token that the agent showed
	Reversibility Reversibility  `json:"reversibility"`
	Egress        bool           `json:"egress"`
	Material      bool           `json:"material"`
	Rule          ApprovalRule   `json:"rule"`
	Justification string         `json:"justification"`
	Requested     string         `json:"requested"`
	Expires       string         `json:"expires"`
}

// StatementAgent is the agent as it was when the approval was asked for.
type StatementAgent struct {
	ID      string `json:"id"`
	DID     string `json:"did"`
	Name    string `json:"name"`
	Purpose string `json:"purpose"`
	Org     string `json:"org"` // its name
	Sponsor string `json:"sponsor"`
}

// StatementAct is the act, with its arguments in clear.
type StatementAct struct {
	Action    string              `json:"action"`
	Resource  capability.Resource `json:"resource"`
	Arguments json.RawMessage     `json:"arguments"`
	Task      string              `json:"task"`
}

// StatementKind is the kind of a Statement.
const StatementKind = "writ-approval-1"

// state makes the statement of a request.
func (r *Registry) state(tx Tx, out *Approval, a Agent, entry CatalogueAction, in NewApproval) error {
	org, err := tx.Org(a.Org)
	var caps string
	if err == nil {
		caps, err = shownCapabilities(tx, out.Binding)
	}
	if err != nil {
		return err
	}
	args := in.Act.Arguments
	if len(args) == 0 {
		args = json.RawMessage("{}")
	}
	form, err := canon.Marshal(Statement{
		Kind: StatementKind, Registry: r.Origin, Approval: out.ID, Agent: StatementAgent{a.ID, a.DID, a.Name, a.Purpose, org.Name, a.Sponsor},
		Act: StatementAct{in.Act.Action, in.Act.Resource, args, in.Act.Task}, Binding: out.Binding, Capabilities: caps,
		Reversibility: entry.Reversibility, Egress: entry.Egress, Material: entry.Material, Rule: out.Rule, Justification: in.Justification,
		Requested: out.Requested.Format(TimeFormat), Expires: out.Expires.Format(TimeFormat),
	})
	if err != nil {
		return &Error{Kind: Malformed, Detail: err.Error(), Err: err}
	}
	if len(form) > MaxStatement {
		return &Error{Kind: TooLarge, Code: "not_requestable", Detail: fmt.Sprintf("what a human would have to read is longer than %d bytes", MaxStatement)}
	}
	out.Statement, out.Digest = string(form), canon.Digest(form)
	return nil
}

// shownCapabilities are those of the token that the agent showed: of the grant, or of
// what was left of it at the end of a chain.
func shownCapabilities(tx Tx, b Binding) (string, error) {
	g, err := tx.Grant(b.Grant)
	if err != nil {
		return "", err
	}
	above, err := disclosed[[]string](tx, b.Event, "chain")
	if err != nil || above == nil {
		return g.Capabilities, err
	}
	leaf, err := disclosed[string](tx, b.Event, "token")
	if err != nil || leaf == nil {
		return g.Capabilities, err
	}
	chain, err := capability.ParseChain(append(*above, *leaf))
	if err != nil {
		return "", err
	}
	return chain.Leaf().Capabilities().String(), nil
}

// StatementOf is what a human signs: the statement, or the one of those who approve
// past the rule.
func (a Approval) StatementOf(breakGlass bool) (form []byte, digest string, err error) {
	if !breakGlass {
		return []byte(a.Statement), a.Digest, nil
	}
	var s Statement
	if err := canon.Unmarshal([]byte(a.Statement), &s); err != nil {
		return nil, "", fmt.Errorf("statement of approval %s: %w", a.ID, err)
	}
	s.BreakGlass = true
	form, err = canon.Marshal(s)
	return form, canon.Digest(form), err
}

// expire ends what time has ended.
func (r *Registry) expire(tx Tx, a Approval) ([]EventDraft, error) {
	was := a.State
	a.State = ApprovalExpired
	return []EventDraft{{Type: EventApprovalExpired, Org: a.Org, Agent: a.Agent, Actor: Actor{ActorRegistry, a.Org}, Body: ApprovalEnded{a.ID, a.DID, string(was), ""}}},
		r.move(tx, a, was)
}

// TrackApproval returns a request to whoever may be told of it: an enforcement point
// that guards its resource server, and the agent itself. It waits that long at most until
// the request is not pending any more.
func (r *Registry) TrackApproval(ctx context.Context, call Call, id string, wait time.Duration) (Approval, error) {
	if err := checkID("/id", id); err != nil {
		return Approval{}, errNoApproval
	}
	waits := wait > 0 && r.waiting.enter(id)
	over, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	var again <-chan time.Time // what another process has answered wakes nobody here
	if waits {
		defer r.waiting.leave(id)
		tick := time.NewTicker(waitAgain)
		defer tick.Stop()
		again = tick.C
	}
	for {
		var moved <-chan struct{}
		if waits {
			moved = r.waiting.on(id) // before it is read: what moves later is heard
		}
		a, err := r.findApproval(ctx, id)
		if err == nil {
			err = call.Caller.tracks(a)
		}
		if err != nil {
			return Approval{}, err
		}
		if a.over(r.now()) {
			return r.expireApproval(ctx, call, id)
		}
		if a.State != ApprovalPending || !waits {
			return a, nil
		}
		select {
		case <-moved:
		case <-again:
		case <-over.Done():
			return a, nil
		}
	}
}

var errNoApproval = Errorf(NotFound, "no such approval, or it is not yours")

func (c Caller) tracks(a Approval) error {
	if c.PEP != nil && slices.Contains(c.PEP.Resources, a.Binding.Audience) || c.is(a.Agent) {
		return nil
	}
	return errNoApproval
}

func (r *Registry) findApproval(ctx context.Context, id string) (a Approval, err error) {
	err = r.Store.View(ctx, func(tx Tx) (err error) { a, err = tx.Approval(id); return err })
	if errors.Is(err, NotFound) {
		err = errNoApproval
	}
	return a, err
}

func (r *Registry) expireApproval(ctx context.Context, call Call, id string) (Approval, error) {
	out, err := commitDraft(context.WithoutCancel(ctx), r, r.own(call.Trace), false, func(tx Tx) (Approval, Draft, error) {
		a, err := tx.Approval(id)
		now, clockErr := r.clock(tx)
		if err = errors.Join(err, clockErr); err != nil || !a.over(now) {
			return a, Draft{}, err
		}
		events, err := r.expire(tx, a)
		a.State = ApprovalExpired
		return a, Draft{Events: events}, err
	})
	if err == nil {
		r.waiting.wake(id)
	}
	return out.Value, err
}

// ExpireApprovals ends what time has ended: requests that nobody answered, and approvals
// that were not used. It does up to limit and returns how many were left to do, as Tend
// does. Nothing waits for it: who reads an approval looks at the time, too.
func (r *Registry) ExpireApprovals(ctx context.Context, limit int) (left int, err error) {
	return sweep(ctx, r, limit, func(tx Tx, now time.Time, limit int) ([]Approval, error) { return tx.DueApprovals(now, limit) },
		func(tx Tx, a Approval) ([]EventDraft, error) { return r.expire(tx, a) },
		func(a Approval) { r.waiting.wake(a.ID) })
}

// CancelApproval ends a pending request. Who tracks it may.
func (r *Registry) CancelApproval(ctx context.Context, call Call, id, reason string) (Outcome[Approval], error) {
	if err := checkID("/id", id); err != nil {
		return Outcome[Approval]{}, errNoApproval
	}
	if err := checkReason(reason); err != nil {
		return Outcome[Approval]{}, err
	}
	out, err := commitDraft(ctx, r, call, false, func(tx Tx) (Approval, Draft, error) {
		a, err := tx.Approval(id)
		if err == nil {
			err = call.Caller.tracks(a)
		}
		switch {
		case errors.Is(err, NotFound):
			return a, Draft{}, errNoApproval
		case err != nil:
			return a, Draft{}, err
		case a.State != ApprovalPending || a.over(r.now()):
			return a, Draft{}, &Error{Kind: Conflict, Code: "invalid_task_state", Detail: "the request is not pending any more"}
		}
		a.State, a.Reason = ApprovalCancelled, reason
		return a, Draft{Events: []EventDraft{{Type: EventApprovalCancelled, Org: a.Org, Agent: a.Agent, Body: ApprovalEnded{a.ID, a.DID, string(ApprovalPending), reason}}}},
			r.move(tx, a, ApprovalPending)
	})
	if err == nil {
		r.waiting.wake(id)
	}
	return out, err
}

// waiters wakes long polls when what they wait for is committed.
type waiters struct {
	mu   sync.Mutex
	n    int
	byID map[string]*waiter
}

type waiter struct {
	n     int
	moved chan struct{} // closed when the approval moves
}

// enter makes room for one more to wait; false: there is none.
func (w *waiters) enter(id string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.n >= MaxApprovalWaiters {
		return false
	}
	w.n++
	if w.byID[id] == nil {
		w.byID[id] = &waiter{moved: make(chan struct{})}
	}
	w.byID[id].n++
	return true
}

func (w *waiters) leave(id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.n--
	if w.byID[id].n--; w.byID[id].n == 0 {
		delete(w.byID, id)
	}
}

// on is closed at the next move of what the caller has entered for.
func (w *waiters) on(id string) <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.byID[id].moved
}

func (w *waiters) wake(id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if who, ok := w.byID[id]; ok {
		close(who.moved)
		who.moved = make(chan struct{})
	}
}
