package capability

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/writ-registry/writ/internal/jose"
)

// Limits of a chain.
const (
	MaxLinks         = MaxDepth + 1     // tokens, with the root
	MaxChain         = 64 << 10         // bytes of all its tokens
	MaxEphemeralLife = 15 * time.Minute // from the earlier of iat and nbf to exp, of a child whose sub is a did:key
)

// Chain is a grant of the registry, the root, and the grants that holders made under
// it, each by its own signature and without asking anyone: the holder of a grant
// attenuates it for another. What the last one, the leaf, permits is what all of them
// permit.
//
// Eight invariants make it authority. Each has a code, and the first link that breaks
// one is the error:
//
//	linkage               par_hash is the hash of the parent's signing input; a child has no status of its own
//	delegation_authority  iss is the thumbprint URI (RFC 9278) of the parent's cnf, and that key signed
//	depth                 del_depth is the parent's plus one, and within a del_max_depth that never grows
//	lifetime              iat, nbf and exp are within the parent's
//	capability_widened    authorization_details, domain, workflow and authority_level are within the parent's
//	principal             act, client_id, org and policy_epoch are the root's; aud only narrows
//	identity              cnf is a key of sub now; or sub is the did:key of cnf, for 15 minutes at most
//	possession            the key of the leaf signed the act, over the leaf's hash
//
// Budgets are no invariant: a link that names larger ones than those above gains nothing,
// for those above count for it too.
//
// Verify looks at those that never change, Stands at those that time and the registry
// decide, and the action proof at the last.
type Chain struct{ links []*Grant }

// ChainError is every error about a chain. Link counts from 0, the root. Detail may be
// shown to the caller.
type ChainError struct {
	Code   Code
	Link   int
	Detail string
}

// Error returns "link N: code: detail".
func (e *ChainError) Error() string {
	return fmt.Sprintf("link %d: %s: %s", e.Link, e.Code, e.Detail)
}

// Unwrap returns the code, for errors.Is.
func (e *ChainError) Unwrap() error { return e.Code }

// ParseChain reads a chain, root first; one token is a root alone. It verifies nothing
// but shapes. Errors: *ChainError with Malformed, Depth or Linkage.
func ParseChain(tokens []string) (*Chain, error) {
	total := 0
	for _, raw := range tokens {
		total += len(raw)
	}
	if len(tokens) == 0 || len(tokens) > MaxLinks {
		return nil, &ChainError{Depth, max(len(tokens)-1, 0), fmt.Sprintf("a chain has 1 to %d tokens", MaxLinks)}
	}
	if total > MaxChain {
		return nil, &ChainError{Malformed, len(tokens) - 1, fmt.Sprintf("a chain has at most %d bytes", MaxChain)}
	}
	c := &Chain{}
	for i, raw := range tokens {
		g, err := readLink(raw, i)
		if err != nil {
			return nil, err
		}
		c.links = append(c.links, g)
	}
	return c, nil
}

// readLink reads the token of link i.
func readLink(raw string, i int) (*Grant, error) {
	g, err := readGrant(raw)
	switch {
	case err != nil:
		return nil, &ChainError{Malformed, i, err.Error()}
	case i == 0 && g.claims.ParentHash != "":
		return nil, &ChainError{Linkage, i, "par_hash is present: the tokens above are missing"}
	case i > 0 && g.claims.ParentHash == "":
		return nil, &ChainError{Linkage, i, "par_hash is missing: a root stands first"}
	}
	return g, nil
}

// Extend returns the chain with one token more, which it verifies as VerifyLinks does.
// So a chain that was verified is extended at the cost of one link. Errors: *ChainError.
func (c *Chain) Extend(raw string) (*Chain, error) {
	i, total := len(c.links), len(raw)
	for _, g := range c.links {
		total += len(g.Raw())
	}
	switch {
	case i == MaxLinks:
		return nil, &ChainError{Depth, i, fmt.Sprintf("a chain has 1 to %d tokens", MaxLinks)}
	case total > MaxChain:
		return nil, &ChainError{Malformed, i, fmt.Sprintf("a chain has at most %d bytes", MaxChain)}
	}
	g, err := readLink(raw, i)
	if err != nil {
		return nil, err
	}
	if err := g.follows(c.Leaf()); err != nil {
		err.Link = i
		return nil, err
	}
	return &Chain{append(slices.Clip(c.links), g)}, nil
}

// Root returns the registry's own grant.
func (c *Chain) Root() *Grant { return c.links[0] }

// Leaf returns the grant of whoever acts.
func (c *Chain) Leaf() *Grant { return c.links[len(c.links)-1] }

// Links returns all grants, root first. The caller must not change them.
func (c *Chain) Links() []*Grant { return c.links }

// Above returns the tokens above the leaf, root first.
func (c *Chain) Above() []string {
	var out []string
	for _, g := range c.links[:len(c.links)-1] {
		out = append(out, g.Raw())
	}
	return out
}

// Verify checks all that never changes: the root's signature under the issuer's key,
// and each link under the one above. From the root on, so that a stranger's links cost
// nothing but their signature. Errors: *ChainError; BadSignature is the root's.
func (c *Chain) Verify(issuer jose.PublicKey) error {
	if err := c.links[0].token.Verify(issuer); err != nil {
		return &ChainError{BadSignature, 0, err.Error()}
	}
	return c.VerifyLinks()
}

// VerifyLinks is Verify but for the root's own signature: for who has no key of the
// registry and wants to know what the holders signed. Errors: *ChainError.
func (c *Chain) VerifyLinks() error {
	for i, child := range c.links[1:] {
		if err := child.follows(c.links[i]); err != nil {
			err.Link = i + 1
			return err
		}
	}
	return nil
}

// follows holds a child against its parent.
func (g *Grant) follows(parent *Grant) *ChainError {
	refuse := func(code Code, format string, args ...any) *ChainError {
		return &ChainError{Code: code, Detail: fmt.Sprintf(format, args...)}
	}
	c, p := g.claims, parent.claims
	switch {
	case c.ParentHash != parent.SigningInputHash():
		return refuse(Linkage, "par_hash is not the hash of the token above")
	case c.Status != nil:
		return refuse(Linkage, "a child has no status of its own")
	case c.Issuer != parent.key.ThumbprintURI():
		return refuse(DelegationAuthority, "iss is not the thumbprint of the key above")
	}
	if err := g.token.Verify(parent.key); err != nil {
		return refuse(DelegationAuthority, "not signed by the key above: %v", err)
	}
	switch {
	case c.Depth != p.Depth+1 || c.Depth > p.MaxDepth:
		return refuse(Depth, "del_depth is %d under %d, at most %d", c.Depth, p.Depth, p.MaxDepth)
	case c.MaxDepth > p.MaxDepth:
		return refuse(Depth, "del_max_depth is %d under %d", c.MaxDepth, p.MaxDepth)
	case c.NotBefore < p.NotBefore || c.Expires > p.Expires || c.IssuedAt < p.IssuedAt:
		return refuse(Lifetime, "iat, nbf and exp are not within those above")
	case c.AuthorityLevel > p.AuthorityLevel:
		return refuse(CapabilityWidened, "authority_level is %d under %d", c.AuthorityLevel, p.AuthorityLevel)
	case p.Domain != "" && c.Domain != p.Domain, p.Workflow != "" && c.Workflow != p.Workflow:
		return refuse(CapabilityWidened, "domain or workflow is not that above")
	case c.Actor != p.Actor || c.ClientID != p.ClientID || c.Org != p.Org || c.PolicyEpoch != p.PolicyEpoch:
		return refuse(Principal, "act, client_id, org or policy_epoch is not that above")
	case !every(c.Audience, func(aud string) bool { return slices.Contains(p.Audience, aud) }):
		return refuse(Principal, "aud names resource servers that are not above")
	}
	if g.Ephemeral() {
		if c.Subject != didKey(g.key) {
			return refuse(Identity, "sub is the did:key of another key than cnf")
		}
		if c.Expires-min(c.IssuedAt, c.NotBefore) > int64(MaxEphemeralLife/time.Second) {
			return refuse(Identity, "an ephemeral child lives %s at most", MaxEphemeralLife)
		}
	}
	if err := c.Capabilities.Within(p.Capabilities); err != nil {
		return refuse(CapabilityWidened, "%v", err)
	}
	return nil
}

// Ephemeral reports that the subject is a key and nobody's registered agent.
func (g *Grant) Ephemeral() bool { return strings.HasPrefix(g.claims.Subject, "did:key:") }

// didKey is the did:key of a key (W3C CCG did:key section 3).
func didKey(k jose.PublicKey) string { return "did:key:" + k.Multikey() }

// Stands checks what changes: that now is within the leaf's period, which is within
// all others, and that each key is its subject's. holds says whether a key counts now
// as that of a registered agent; it is not asked about ephemeral children. Errors:
// *ChainError with Lifetime or Identity.
func (c *Chain) Stands(now time.Time, holds func(subject string, key jose.PublicKey) bool) error {
	for i, g := range c.links {
		if !(i > 0 && g.Ephemeral()) && !holds(g.claims.Subject, g.key) {
			return &ChainError{Identity, i, "cnf is no key of sub that counts"}
		}
	}
	// The leaf's period is within all others, so theirs need no look of their own.
	// nbf and iat of a child are by its holder's clock.
	last := len(c.links) - 1
	leaf, begin := c.links[last].claims, now
	if last > 0 {
		begin = now.Add(MaxSkew)
	}
	if begin.Before(time.Unix(max(leaf.NotBefore, leaf.IssuedAt), 0)) || !now.Before(time.Unix(leaf.Expires, 0)) || !c.links[0].ValidAt(now) {
		return &ChainError{Lifetime, last, "now is not within nbf and exp"}
	}
	return nil
}

// Match reports whether every link covers the act: what the leaf permits no ancestor
// denies. The leaf speaks first.
func (c *Chain) Match(a Act) Match {
	var m Match
	for i := len(c.links) - 1; i >= 0; i-- {
		above := c.links[i].Capabilities().Match(a)
		if !above.Covered {
			return above
		}
		if i == len(c.links)-1 {
			m = above
		}
	}
	return m
}

// ChainCheck is what a verifier knows by itself and holds a chain and an act against.
type ChainCheck struct {
	Issuer jose.PublicKey                                // of the root
	Holds  func(subject string, key jose.PublicKey) bool // whether the key is the agent's now
	// Of the act. Key and TokenHash are the leaf's, whatever they are set to, and
	// Subject must be its sub.
	Act ActionCheck
}

// VerifyChain is the whole: it reads a chain, holds it against the eight invariants
// and the proof against its leaf. Whether the root or a holder is stopped or revoked
// is for who has the registry's word on it. Errors: *ChainError.
func VerifyChain(tokens []string, proof *Action, check ChainCheck) (*Chain, error) {
	c, err := ParseChain(tokens)
	if err != nil {
		return nil, err
	}
	if err := c.Verify(check.Issuer); err != nil {
		return nil, err
	}
	if err := c.Stands(check.Act.Now, check.Holds); err != nil {
		return nil, err
	}
	leaf := c.Leaf()
	act := check.Act
	act.Key, act.TokenHash = leaf.Key(), leaf.Hash()
	if act.Subject != leaf.claims.Subject {
		return nil, &ChainError{Possession, len(tokens) - 1, "the act is not of the leaf's subject"}
	}
	if err := proof.Verify(act); err != nil {
		return nil, &ChainError{Possession, len(tokens) - 1, err.Error()}
	}
	return c, nil
}

// Attenuate makes a token under the leaf of a chain that holder, whose key is its cnf,
// signs without asking anyone. kid is a hint at the holder's key, and may be empty.
//
// child says what the new token permits and to whom: sub ("" is the did:key of cnf),
// cnf, authorization_details, budgets, authority_level, iat, jti. Where they are zero, aud,
// domain, workflow, nbf and exp are the parent's, but an ephemeral child ends after
// MaxEphemeralLife, and del_max_depth ends delegation.
// All else is set. Errors: *ChainError with the invariant that it would break, or the
// signer's own.
func (c *Chain) Attenuate(holder jose.Signer, kid string, child GrantClaims) (string, error) {
	parent := c.Leaf()
	p, link := parent.claims, len(c.links)
	if len(child.Audience) == 0 {
		child.Audience = p.Audience
	}
	key, err := child.Confirmation.JWK.PublicKey()
	if err != nil {
		return "", &ChainError{Malformed, link, "cnf: " + err.Error()}
	}
	keySubject := didKey(key)
	if child.Subject == "" {
		child.Subject = keySubject
	}
	if child.Domain == "" {
		child.Domain = p.Domain
	}
	if child.Workflow == "" {
		child.Workflow = p.Workflow
	}
	child.IssuedAt = max(child.IssuedAt, p.IssuedAt) // by the clocks of two hosts
	if child.NotBefore == 0 {
		child.NotBefore = max(p.NotBefore, child.IssuedAt)
	}
	if child.Expires == 0 {
		child.Expires = p.Expires
		if child.Subject == keySubject {
			child.Expires = min(p.Expires, min(child.IssuedAt, child.NotBefore)+int64(MaxEphemeralLife/time.Second))
		}
	}
	child.Issuer, child.ClientID, child.Actor, child.Org, child.PolicyEpoch = parent.key.ThumbprintURI(), p.ClientID, p.Actor, p.Org, p.PolicyEpoch
	child.Depth, child.ParentHash, child.Status = p.Depth+1, parent.SigningInputHash(), nil
	child.MaxDepth = max(child.MaxDepth, child.Depth)
	child.Scope = child.Capabilities.Scope()
	if child.Depth > p.MaxDepth {
		return "", &ChainError{Depth, link, fmt.Sprintf("the grant may not be delegated further than %d", p.MaxDepth)}
	}
	raw, err := jose.Sign(holder, TypGrant, kid, child)
	if err != nil {
		return "", err
	}
	// What a verifier will find, the holder finds first.
	if _, err := c.Extend(raw); err != nil {
		return "", err
	}
	return raw, nil
}
