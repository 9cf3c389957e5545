package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/writ-registry/writ/internal/canon"
	"github.com/writ-registry/writ/registry/capability"
)

// Who vouches for a part of an agent, from the least to the most. Self is the agent's
// own word, or nobody's: it never raises trust.
const (
	SourceSelf     = "self"
	SourceSponsor  = "sponsor"
	SourceBuild    = "build-signed"
	SourceAttested = "runtime-attested"
)

var sources = []string{SourceSelf, SourceSponsor, SourceBuild, SourceAttested}

// Limits of compositions and statements.
const (
	MaxStatements    = 16
	BuilderStatement = 366 * 24 * time.Hour // the longest life of what a builder signs
	AttesterLife     = 24 * time.Hour       // and an attester: it says what runs now
)

// NewComposition is the input of SetComposition.
type NewComposition struct {
	Parts      []Component
	Statements []string // compact composition+jwt by vouchers of the org, for the parts whose source needs one
}

// SetComposition says what an agent is made of, and who vouches for it. A change ends
// the trust in what it was. A registrar may, and the agent itself for what it vouches
// for alone.
func (r *Registry) SetComposition(ctx context.Context, call Call, ref string, in NewComposition) (Outcome[Agent], error) {
	stated, err := in.read()
	if err != nil {
		return Outcome[Agent]{}, err
	}
	return commit(ctx, r, call, false, func(tx Tx) (Agent, *EventDraft, error) {
		a, err := findAgent(tx, ref)
		if err == nil && !call.Caller.is(a.ID) {
			err = hide(call.Caller.may(a.Org, RoleRegistrar), "agent")
		} else if err == nil {
			err = selfOnly("/parts", in.Parts)
		}
		if err != nil {
			return Agent{}, nil, err
		}
		if a.Status == AgentRevoked {
			return a, nil, Errorf(Revoked, "the agent is revoked, for good")
		}
		parts, vouchers, err := r.vouched(tx, a, in.Parts, stated)
		if err != nil || slices.Equal(parts, a.Composition) {
			return a, nil, err
		}
		ev, err := recompose(&a, parts, in.Statements, stated, vouchers)
		if err != nil {
			return a, nil, err
		}
		a.TrustSince, a.Updated = r.now(), r.now()
		return a, ev, errors.Join(tx.UpdateAgent(a), tx.BumpEpoch(Scope{ScopeAgent, a.ID}))
	})
}

func (in NewComposition) read() (stated []*capability.Composition, err error) {
	if len(in.Parts) > maxList {
		return nil, &Error{Kind: TooLarge, Field: "/parts", Detail: fmt.Sprintf("more than %d parts", maxList)}
	}
	if len(in.Statements) > MaxStatements {
		return nil, &Error{Kind: TooLarge, Field: "/statements", Detail: fmt.Sprintf("more than %d statements", MaxStatements)}
	}
	for i, p := range in.Parts {
		at := fmt.Sprintf("/parts/%d", i)
		if err := p.check(at); err != nil {
			return nil, err
		}
		if slices.ContainsFunc(in.Parts[:i], func(q Component) bool { return q.Kind == p.Kind && q.Name == p.Name }) {
			return nil, Invalid(at, "is named twice")
		}
	}
	for i, raw := range in.Statements {
		c, err := capability.ParseComposition(raw)
		if err != nil {
			return nil, statementError(i, err)
		}
		stated = append(stated, c)
	}
	return stated, nil
}

func statementError(i int, err error) error {
	e := &Error{Kind: Malformed, Field: fmt.Sprintf("/statements/%d", i), Detail: err.Error(), Err: err}
	var pe *capability.ProofError
	if errors.As(err, &pe) {
		e.Code = string(pe.Code)
	}
	return e
}

// selfOnly refuses parts for which an agent would name another than itself.
func selfOnly(field string, parts []Component) error {
	for i, p := range parts {
		if p.Source != SourceSelf {
			return &Error{Kind: Denied, Field: fmt.Sprintf("%s/%d/source", field, i), Detail: "an agent vouches for itself only: self"}
		}
	}
	return nil
}

// vouched completes the parts with who signed for them. Every statement must stand,
// and be for a part; every part that needs one must have one.
func (r *Registry) vouched(tx Tx, a Agent, parts []Component, stated []*capability.Composition) ([]Component, []Voucher, error) {
	vouchers := make([]Voucher, len(stated))
	for i, s := range stated {
		v, err := r.voucherOf(tx, a, s)
		if err != nil {
			return nil, nil, statementAt(i, err)
		}
		vouchers[i] = v
	}
	out, used := slices.Clone(parts), make([]bool, len(stated))
	for i := range out {
		p := &out[i]
		if p.Source == SourceSelf || p.Source == SourceSponsor {
			continue
		}
		for j, s := range stated {
			if p.Voucher == "" && vouchers[j].source() == p.Source && slices.Contains(s.Claims().Parts, capability.Part{Kind: p.Kind, Name: p.Name, Digest: p.Digest}) {
				p.Voucher, p.Statement, used[j] = vouchers[j].ID, s.Hash(), true
			}
		}
		if p.Voucher == "" {
			return nil, nil, &Error{Kind: Malformed, Code: "not_vouched", Field: fmt.Sprintf("/parts/%d/source", i), Detail: "no statement of such a voucher names this part with this digest"}
		}
	}
	if i := slices.Index(used, false); i >= 0 {
		return nil, nil, Invalid(fmt.Sprintf("/statements/%d", i), "is for none of the parts")
	}
	return out, vouchers, nil
}

// voucherOf verifies a statement by the voucher that it says it is of.
func (r *Registry) voucherOf(tx Tx, a Agent, s *capability.Composition) (Voucher, error) {
	refuse := func(code, detail string) (Voucher, error) {
		return Voucher{}, &Error{Kind: Malformed, Code: code, Detail: detail}
	}
	thumbprint := s.Claims().Issuer[strings.LastIndexByte(s.Claims().Issuer, ':')+1:]
	v, err := tx.VoucherByKey(a.Org, thumbprint)
	switch {
	case errors.Is(err, NotFound):
		return refuse("voucher_unknown", "iss is no voucher of the agent's org")
	case err != nil:
		return v, err
	case !v.Revoked.IsZero():
		return refuse("voucher_revoked", "the voucher is revoked")
	}
	keys, err := tx.AgentKeys(a.ID)
	if err != nil {
		return v, err
	}
	if slices.ContainsFunc(keys, func(k AgentKey) bool { return k.Thumbprint == thumbprint }) {
		return refuse("voucher_self", "the agent has signed for itself")
	}
	key, err := v.JWK.PublicKey()
	if err != nil {
		return v, err
	}
	check := capability.CompositionCheck{Key: key, Now: r.Now(), Origin: r.Origin, Agent: a.DID, MaxLife: BuilderStatement}
	if v.Kind == VoucherAttester {
		check.Bound, check.MaxLife = true, AttesterLife
	}
	return v, s.Verify(check)
}

func statementAt(i int, err error) error {
	var e *Error
	if errors.As(err, &e) {
		return pointed(fmt.Sprintf("/statements/%d", i), err)
	}
	return statementError(i, err)
}

// recompose puts the parts into the agent and drafts the event: what they are, and
// the statements, are beside it and committed to.
func recompose(a *Agent, parts []Component, raw []string, stated []*capability.Composition, vouchers []Voucher) (*EventDraft, error) {
	before, err := canon.Marshal(nonNil(a.Composition))
	if err != nil {
		return nil, err
	}
	after, err := canon.Marshal(nonNil(parts))
	if err != nil {
		return nil, err
	}
	body := CompositionChanged{
		DID: a.DID, Composition: canon.Digest(after), Previous: canon.Digest(before), Source: lowest(parts), Parts: len(parts),
		Statements: []string{}, Vouchers: []string{}, Commitments: map[string]string{},
	}
	for i, s := range stated {
		body.Statements = append(body.Statements, s.Hash())
		if !slices.Contains(body.Vouchers, vouchers[i].ID) {
			body.Vouchers = append(body.Vouchers, vouchers[i].ID)
		}
	}
	ev := &EventDraft{Type: EventCompositionChanged, Org: a.Org, Agent: a.ID}
	for _, hidden := range []struct {
		name  string
		value any
	}{{"composition", nonNil(parts)}, {"statements", nonNil(raw)}} {
		dis, commitment, err := canon.Commit(hidden.name, hidden.value)
		if err != nil {
			return nil, err
		}
		body.Commitments[hidden.name], ev.Disclosures = commitment, append(ev.Disclosures, dis)
	}
	ev.Body, a.Composition = body, parts
	return ev, nil
}

// lowest is the least source of the parts.
func lowest(parts []Component) string {
	least := len(sources)
	for _, p := range parts {
		least = min(least, slices.Index(sources, p.Source))
	}
	if len(parts) == 0 {
		return "none"
	}
	return sources[least]
}
