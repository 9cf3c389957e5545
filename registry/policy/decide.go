package policy

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"strconv"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/writ-registry/writ/internal/canon"
	"github.com/writ-registry/writ/internal/jose"
	"github.com/writ-registry/writ/internal/trace"
	"github.com/writ-registry/writ/registry"
	"github.com/writ-registry/writ/registry/capability"
)

// PDP decides. It is safe for concurrent use.
type PDP struct {
	Store  registry.Store
	Origin string         // the registry's, the pdp of action proofs
	Issuer jose.PublicKey // of grant tokens
	// Issuing is the issuer's DID. Foreign, if set, is asked about grants of others,
	// in verifications only: decisions are about registered agents.
	Issuing string
	Foreign Foreign
	Now     func() time.Time
	// Ready, if set, is asked before a permit that needs no transaction: a
	// database that takes no writes is not to be trusted with what it says.
	Ready func() error
	// Memory, if set, is told, at first and when it changes, whether unqualified
	// permits are spent in the memory (Remember). It must not wait.
	Memory func(on bool)
	// Unknown, if set, is told of callers that an enforcement point asks about and
	// no agent is known for. It must not wait.
	Unknown func(pep registry.PEP, subject string)

	tokens    *otter.Cache[[32]byte, *capability.Chain]
	proofs    *otter.Cache[[32]byte, *capability.Action]
	standings standings
	entities  *entities
	orgs      *otter.Cache[string, *orgStanding]
	spent     spending
	searching chan struct{} // a place for each search that is under way
	permits   jose.Signer   // of permits; nil: none are given out
	permitKey string

	// evaluated is called between the judgement and its commit; tests use it
	// to let a kill come first.
	evaluated func()
}

// New makes a PDP. now may be nil.
func New(store registry.Store, origin string, issuer jose.PublicKey, now func() time.Time) *PDP {
	if now == nil {
		now = time.Now
	}
	tokens := otter.Must(&otter.Options[[32]byte, *capability.Chain]{
		MaximumWeight: maxTokens, Weigher: func(_ [32]byte, c *capability.Chain) uint32 { return uint32(len(c.Links())) }, // 8 at most
	})
	proofs := otter.Must(&otter.Options[[32]byte, *capability.Action]{MaximumSize: maxProofs})
	return &PDP{Store: store, Origin: origin, Issuer: issuer, Now: now, tokens: tokens, proofs: proofs, standings: newStandings(),
		searching: make(chan struct{}, maxSearching), entities: newEntities(), orgs: otter.Must(&otter.Options[string, *orgStanding]{MaximumSize: maxTenants})}
}

// How many verified grant tokens are remembered, at some 4 KiB each, and how many
// proofs that were only verified, at some 2 KiB.
const (
	maxTokens = 8192
	maxProofs = 4096
)

// chain parses and verifies a chain of grant tokens, or one alone, once, and what is
// above its leaf once for all that are under it. The cache is keyed by the hash of the
// exact bytes and holds cryptographic validity only: status, dates, keys, epochs and
// possession are looked at every time.
func (p *PDP) chain(tokens capability.Tokens) (*capability.Chain, error) {
	size := 0
	for _, raw := range tokens {
		size += len(raw)
	}
	if size > capability.MaxChain { // before it is hashed
		return nil, &capability.ChainError{Code: capability.Malformed, Detail: "the chain is too long"}
	}
	key := sha256.Sum256(appendAll(make([]byte, 0, size+8*len(tokens)), tokens...))
	if c, ok := p.tokens.GetIfPresent(key); ok {
		return c, nil
	}
	c, err := p.verify(tokens)
	if err == nil {
		p.tokens.Set(key, c)
	}
	return c, err
}

func (p *PDP) verify(tokens capability.Tokens) (*capability.Chain, error) {
	if last := len(tokens) - 1; last > 0 && last < capability.MaxLinks {
		above, err := p.chain(tokens[:last])
		if err != nil {
			return nil, err
		}
		return above.Extend(tokens[last])
	}
	c, err := capability.ParseChain(tokens)
	if err == nil {
		err = c.Verify(p.Issuer)
	}
	return c, err
}

// appendAll appends texts with their lengths, so that no two lists are one text.
func appendAll(form []byte, parts ...string) []byte {
	for _, part := range parts {
		form = append(binary.BigEndian.AppendUint64(form, uint64(len(part))), part...)
	}
	return form
}

// action parses an action proof, unless Verify has seen the very bytes before.
// An Action knows the key that its signature was verified with; all else is
// looked at every time.
func (p *PDP) action(raw string) (*capability.Action, error) {
	if a, ok := p.proofs.GetIfPresent(sha256.Sum256([]byte(raw))); ok {
		return a, nil
	}
	return capability.ParseAction(raw)
}

// attempts bounds how often a decision is made again because authority moved
// under it. Each round loses to a kill, revocation or catalogue change that was
// committed; more than a few in a row means the registry is busy stopping.
const attempts = 8

// errReplayed: the proof was used before, by another request.
var errReplayed = &registry.Error{Kind: registry.Unauthenticated, Code: "replayed", Detail: "the action proof was used before"}

// Decide answers whether the act may be done now, and records the answer where
// it is qualified. call.Caller is the enforcement point, or has kind agent when
// the agent asks for itself.
//
// On a direct call a bad proof is an error of kind Unauthenticated whose Code
// says why; relayed by an enforcement point it is a denial, possession_failed.
// When Decide returns a qualified decision, its event is durable.
func (p *PDP) Decide(ctx context.Context, call registry.Call, req Request) (Decision, error) {
	ctx, span := trace.Start(ctx, "authorize")
	d, err := p.decide(ctx, call, req)
	span.Attr("writ.decision", d.ID)
	span.Attr("writ.verdict", string(d.Verdict))
	span.End(err)
	return d, err
}

func (p *PDP) decide(ctx context.Context, call registry.Call, req Request) (Decision, error) {
	if req.SubjectType != "agent" && !isDID(req.Subject) {
		return p.decideAsserted(ctx, call, req)
	}
	act, err := req.actDigest()
	if err != nil {
		return Decision{}, err
	}
	bodyDigest := req.digest(act)
	if call.Caller.PEP == nil {
		if req.proof, err = p.knock(req); err != nil {
			return Decision{}, err
		}
	}
	id := registry.NewIDAt(p.Now())
	var spent *registry.Error // the relayed proof was used before, or may have been
	for range attempts {
		f, err := p.load(ctx, call.Caller, req, act)
		if err == nil {
			err = p.surround(ctx, f)
		}
		if err == nil {
			err = p.readBudgets(ctx, f)
		}
		if err == nil {
			err = p.readCounts(ctx, f)
		}
		if errors.Is(err, registry.ErrEpochMoved) {
			continue
		} else if err != nil {
			return Decision{}, err
		}
		if spent != nil {
			f.proof.code, f.proof.detail = spent.Code, spent.Detail
		}
		d := judge(f)
		d.ID = id
		if call.Caller.PEP == nil && d.failure != "" {
			return Decision{}, unproven(f)
		}
		if err := p.mint(req, f, act, &d); err != nil {
			return Decision{}, err
		}
		if p.evaluated != nil {
			p.evaluated()
		}
		d, err = p.record(ctx, call, req, f, d, bodyDigest)
		switch {
		case errors.Is(err, registry.ErrEpochMoved):
			continue
		case call.Caller.PEP != nil && (errors.Is(err, errReplayed) || errors.Is(err, errForgotten)):
			errors.As(err, &spent) // judge again, without it
			continue
		}
		return d, err
	}
	return Decision{}, registry.Errorf(registry.Unavailable, "authority keeps changing; try again shortly")
}

// knock looks at the shape and age of the proof of a caller that nobody vouches
// for, before anything is looked up or verified for it.
func (p *PDP) knock(req Request) (*capability.Action, error) {
	refuse := func(code, detail string) (*capability.Action, error) {
		return nil, &registry.Error{Kind: registry.Unauthenticated, Code: code, Detail: detail}
	}
	if len(req.Token) == 0 || req.Proof == "" {
		return refuse("missing", "context.token and context.proof are required for an agent")
	}
	proof, err := capability.ParseAction(req.Proof)
	if err != nil {
		return refuse(code(err), err.Error())
	}
	if age := p.Now().Sub(time.Unix(proof.Claims().IssuedAt, 0)); age > capability.MaxSkew+time.Second || age < -capability.MaxSkew-time.Second {
		return refuse(string(capability.Stale), "the proof is not of now")
	}
	return proof, nil
}

func unproven(f *facts) error {
	return &registry.Error{Kind: registry.Unauthenticated, Code: f.proof.code, Detail: f.proof.detail}
}

// load authenticates the act and gathers the facts of one moment.
func (p *PDP) load(ctx context.Context, caller registry.Caller, req Request, act string) (*facts, error) {
	f := &facts{act: req.Act, digest: act, context: req.Context, pep: caller.PEP}
	chain, tokenErr := p.chain(req.Token)
	if tokenErr == nil {
		f.chain = chain
	}
	var m registry.Moment
	var err error
	if f.standing, m, err = p.standings.of(ctx, p.Store, req.Subject, f.chain); err != nil {
		return nil, err
	}
	if f.agent == nil && f.pep != nil && p.Unknown != nil {
		p.Unknown(*f.pep, req.Subject)
	}
	f.now, f.read = p.clock(m), m.Read
	f.entry = f.catalogue.Entry(req.Act.Action + ":" + req.Act.Resource.Type)
	p.prove(f, req, act, tokenErr)
	return f, p.readApproval(ctx, f, req.Approval)
}

// clock is the time of a decision on what was read at a moment.
func (p *PDP) clock(m registry.Moment) time.Time {
	if now := p.Now(); now.After(m.Clock) {
		return now
	}
	return m.Clock // a machine clock set back revives no proof and no grant
}

// prove verifies that the agent itself signed this very act, for this registry
// and a resource server that the caller guards.
func (p *PDP) prove(f *facts, req Request, act string, tokenErr error) {
	fail := func(code, detail string) { f.proof.code, f.proof.detail = code, detail }
	switch {
	case len(req.Token) == 0 || req.Proof == "":
		fail("missing", "context.token and context.proof are required for an agent")
		return
	case f.agent == nil:
		fail("wrong_subject", "no registered agent has this DID")
		return
	case tokenErr != nil:
		fail(code(tokenErr), tokenErr.Error())
		return
	}
	proof, err := req.proof, error(nil)
	if proof == nil {
		proof, err = p.action(req.Proof)
	}
	if err != nil {
		fail(code(err), err.Error())
		return
	}
	leaf := f.chain.Leaf()
	key := leaf.Key() // parsed with the token
	if f.ephemeral() {
		if req.Subject != leaf.Claims().Subject {
			fail(string(capability.WrongSubject), "the grant is for a key of its own")
			return
		}
	} else if !f.agent.Holds(key.Thumbprint(), f.now) {
		// Of an earlier key of the agent, or another agent's grant: checkGrant says so.
		// Only a key that counts proves anything.
		if key, err = f.agent.Key(); err != nil || f.agent.KeyEnded {
			fail(string(KeyEnded), "the agent has no key that counts")
			return
		}
	}
	audiences := leaf.Claims().Audience
	if f.pep != nil {
		audiences = f.pep.Resources
	}
	err = proof.Verify(capability.ActionCheck{
		Key: key, Now: f.now, PDP: p.Origin, Subject: req.Subject, TokenHash: leaf.Hash(), Act: req.Act, ActDigest: act, Audiences: audiences,
	})
	if err != nil {
		fail(code(err), err.Error())
		return
	}
	c := proof.Claims()
	f.proof = possession{action: proof, thumbprint: key.Thumbprint(), jti: c.ID, audience: c.Audience, hash: proof.Hash(), issued: c.IssuedAt, expires: time.Unix(c.Expires, 0)}
}

func code(err error) string {
	var pe *capability.ProofError
	var ge *capability.GrantError
	var ce *capability.ChainError
	switch {
	case errors.As(err, &ce) && ce.Code == capability.BadSignature:
		return "token_signature" // not the proof's
	case errors.As(err, &ce):
		return string(ce.Code)
	case errors.As(err, &pe):
		return string(pe.Code)
	case errors.As(err, &ge) && ge.Code == capability.BadSignature:
		return "token_signature" // not the proof's
	case errors.As(err, &ge):
		return string(ge.Code)
	}
	return string(capability.Malformed)
}

func (r Request) actDigest() (string, error) {
	act, err := r.Act.Digest()
	if err != nil {
		return "", &registry.Error{Kind: registry.Malformed, Field: "/action/properties", Detail: err.Error(), Err: err}
	}
	return act, nil
}

// digest names the whole request, so that the same enforcement point repeating
// the same body gets the recorded answer.
func (r Request) digest(act string) string {
	form := appendAll(make([]byte, 0, 4096), r.SubjectType, r.Subject, act, r.Proof, r.Context.Domain, r.Context.Workflow, r.Context.Tool,
		string(r.Context.Subject), string(r.Context.Resource), r.Approval, strconv.FormatBool(r.Permit))
	return canon.Digest(appendAll(form, r.Token...))
}
