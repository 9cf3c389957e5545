package registry

import (
	"context"
	"errors"
	"slices"

	"github.com/writ-registry/writ/internal/jose"
	"github.com/writ-registry/writ/registry/capability"
)

// MaxRevokedLinks bounds what is remembered under one grant. Who has to end more of
// them ends the grant.
const MaxRevokedLinks = 1000

// LinkRevocation is the input of RevokeLink: the link by the hash of its signing
// input, or the chain that ends in it, root first.
type LinkRevocation struct {
	Grant  string // id, at the root
	Hash   string
	Chain  capability.Tokens
	Reason string
}

// RevokeLink ends a link that a holder made under a grant, with all that was made
// under it. A registrar may, by hash or chain, and the agent of any link above, which
// shows the chain. Repeating it changes nothing.
func (r *Registry) RevokeLink(ctx context.Context, call Call, in LinkRevocation) (Outcome[RevokedLink], error) {
	var none Outcome[RevokedLink]
	if err := first(checkID("/id", in.Grant), checkReason(in.Reason)); err != nil {
		return none, err
	}
	if (in.Hash == "") == (len(in.Chain) == 0) {
		return none, Invalid("/hash", "either hash or chain is required")
	}
	l := RevokedLink{Grant: in.Grant, Hash: in.Hash, By: call.Caller.Actor, Since: r.now()}
	var above []*capability.Grant
	if in.Hash != "" {
		if b, err := jose.DecodeBase64(in.Hash); err != nil || len(b) != 32 {
			return none, Invalid("/hash", "is not base64url of 32 bytes")
		}
	} else {
		c, err := capability.ParseChain(in.Chain)
		if err == nil {
			err = c.Verify(r.TokenKey.Public())
		}
		if err != nil {
			return none, &Error{Kind: Malformed, Field: "/chain", Detail: err.Error(), Err: err}
		}
		links := c.Links()
		if len(links) < 2 || c.Root().Claims().ID != in.Grant {
			return none, Invalid("/chain", "is not a chain under this grant")
		}
		l.Hash, above = c.Leaf().SigningInputHash(), links[:len(links)-1]
	}
	return commit(ctx, r, call, true, func(tx Tx) (RevokedLink, *EventDraft, error) {
		g, err := tx.Grant(in.Grant)
		if err != nil {
			return l, nil, err
		}
		if err := call.Caller.mayRevokeLink(g, above); err != nil {
			return l, nil, hide(err, "grant")
		}
		if have, err := tx.RevokedLinks(g.ID, []string{l.Hash}); err != nil || len(have) > 0 {
			return l, nil, err
		}
		if n, err := tx.CountRevokedLinks(g.ID); err != nil {
			return l, nil, err
		} else if n >= MaxRevokedLinks {
			return l, nil, &Error{Kind: Conflict, Code: "too_many_links", Detail: "more links are revoked than are remembered of a grant; revoke the grant"}
		}
		a, err := tx.Agent(g.Agent)
		if err != nil {
			return l, nil, err
		}
		return l, &EventDraft{Type: EventLinkRevoked, Org: g.Org, Agent: g.Agent, Body: LinkRevoked{g.ID, a.DID, l.Hash, in.Reason}},
			errors.Join(tx.InsertRevokedLink(l), tx.BumpEpoch(Scope{ScopeGrant, g.ID}))
	})
}

// mayRevokeLink lets registrars of the grant's org, and the agents of the links above.
func (c Caller) mayRevokeLink(g Grant, above []*capability.Grant) error {
	holds := func(link *capability.Grant) bool { return c.Agent.named(link.Claims().Subject) }
	if c.Agent != nil && c.Kind == ActorAgent && slices.ContainsFunc(above, holds) {
		return nil
	}
	return c.may(g.Org, RoleRegistrar)
}
