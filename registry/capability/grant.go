package capability

import (
	"errors"
	"fmt"
	"time"

	"github.com/writ-registry/writ/internal/canon"
	"github.com/writ-registry/writ/internal/jose"
)

// MaxDepth is the deepest delegation under a root grant: with the root, a chain has
// at most eight tokens.
const MaxDepth = 7

// GrantClaims is the payload of a grant: an RFC 9068 access token bound to the
// agent's key, narrowed by authorization_details. Times are seconds since 1970 UTC
// (RFC 7519 NumericDate, whole seconds). Optional members say so; all others are
// required.
type GrantClaims struct {
	Issuer    string   `json:"iss"`       // DID or origin of the issuer, 1 to 2048 bytes
	Audience  []string `json:"aud"`       // 1 to 32 resource servers or registries
	Subject   string   `json:"sub"`       // DID of the agent
	ClientID  string   `json:"client_id"` // RFC 9068 section 2.2; our id of the agent
	IssuedAt  int64    `json:"iat"`
	NotBefore int64    `json:"nbf"`
	Expires   int64    `json:"exp"` // exclusive; after nbf and iat
	ID        string   `json:"jti"` // 128 to 512 bits, base64url: see NewJTI
	// Confirmation holds the agent's key (RFC 7800 section 3.2).
	Confirmation Confirmation `json:"cnf"`
	// Scope is Capabilities.Scope(); IssueGrant sets it. Absent if that is empty.
	Scope string `json:"scope,omitempty"`
	// Depth counts the links above this token, 0 at the root, and MaxDepth is the
	// depth that no token under it may exceed, 0 (no delegation) to MaxDepth.
	Depth    int `json:"del_depth"`
	MaxDepth int `json:"del_max_depth"`
	// ParentHash is the SHA-256 of the parent's signing input; absent at the root.
	ParentHash   string  `json:"par_hash,omitempty"`
	Capabilities Set     `json:"authorization_details"`
	Budgets      Budgets `json:"budgets,omitempty"` // optional; counted by who decides
	Status       *Status `json:"status,omitempty"`  // optional
	Actor        Actor   `json:"act"`               // the accountable principal
	// PolicyEpoch is the authority epoch at which the grant was issued.
	PolicyEpoch    int64  `json:"policy_epoch"`
	Org            string `json:"org"`
	Domain         string `json:"domain,omitempty"`   // optional
	Workflow       string `json:"workflow,omitempty"` // optional
	AuthorityLevel int    `json:"authority_level"`    // 0 to 4
}

// Confirmation is the RFC 7800 cnf claim with a JWK.
type Confirmation struct {
	JWK jose.JWK `json:"jwk"`
}

// Status is the status claim of the IETF Token Status List draft, section 6.1.
type Status struct {
	List StatusList `json:"status_list"`
}

// StatusList points at one entry of a status list.
type StatusList struct {
	Index int64  `json:"idx"` // from 0
	URI   string `json:"uri"` // where the list is published
}

// Actor is the act claim (RFC 8693 section 4.1) of the principal who answers for
// the agent.
type Actor struct {
	Subject string `json:"sub"`
}

// check validates the shape of c and returns the confirmed key.
func (c GrantClaims) check() (jose.PublicKey, error) {
	none := jose.PublicKey{}
	if err := bounded(maxURI, "iss", c.Issuer, "sub", c.Subject, "client_id", c.ClientID, "act.sub", c.Actor.Subject); err != nil {
		return none, err
	}
	if err := bounded(maxText, "org", c.Org); err != nil {
		return none, err
	}
	if len(c.Domain) > maxText || len(c.Workflow) > maxText {
		return none, fmt.Errorf("domain or workflow is longer than %d bytes", maxText)
	}
	if len(c.Audience) == 0 || len(c.Audience) > 32 {
		return none, errors.New("aud has not 1 to 32 members")
	}
	for _, aud := range c.Audience {
		if err := bounded(maxURI, "aud", aud); err != nil {
			return none, err
		}
	}
	if c.IssuedAt < 0 || c.NotBefore < 0 || c.Expires <= c.NotBefore || c.Expires <= c.IssuedAt {
		return none, errors.New("iat, nbf and exp are not a period")
	}
	if err := checkJTI(c.ID); err != nil {
		return none, err
	}
	if c.Depth < 0 || c.MaxDepth < c.Depth || c.MaxDepth > MaxDepth {
		return none, fmt.Errorf("del_depth and del_max_depth are not 0 <= depth <= max <= %d", MaxDepth)
	}
	if (c.ParentHash == "") != (c.Depth == 0) {
		return none, errors.New("del_depth is 0 if and only if there is no par_hash")
	}
	if c.ParentHash != "" {
		if err := checkHash("par_hash", c.ParentHash); err != nil {
			return none, err
		}
	}
	if c.Status != nil && (c.Status.List.Index < 0 || bounded(maxURI, "uri", c.Status.List.URI) != nil) {
		return none, errors.New("status.status_list has no idx and uri")
	}
	if c.PolicyEpoch < 0 || c.AuthorityLevel < 0 || c.AuthorityLevel > 4 {
		return none, errors.New("policy_epoch or authority_level is out of range")
	}
	if c.Capabilities.Len() == 0 || c.Scope != c.Capabilities.Scope() {
		return none, errors.New("authorization_details is empty or scope is not its scope")
	}
	if err := c.Budgets.check(); err != nil {
		return none, err
	}
	return c.Confirmation.JWK.PublicKey()
}

// IssueGrant signs a root grant. kid is the DID URL of the signer's key. The scope
// is set from the capabilities. Errors: *GrantError if the claims are not such a
// grant or the token would exceed MaxToken; else the signer's own.
func IssueGrant(s jose.Signer, kid string, c GrantClaims) (string, error) {
	c.Scope = c.Capabilities.Scope()
	if c.ParentHash != "" {
		return "", &GrantError{Linkage, "par_hash is present: Chain.Attenuate makes children"}
	}
	if _, err := c.check(); err != nil {
		return "", &GrantError{Malformed, err.Error()}
	}
	raw, err := jose.Sign(s, TypGrant, kid, c)
	if err == nil && len(raw) > MaxToken {
		return "", &GrantError{Malformed, fmt.Sprintf("token is longer than %d bytes", MaxToken)}
	}
	return raw, err
}

// Grant is a parsed grant token. Until Verify has succeeded with the issuer's key
// its claims are the word of whoever presents it.
type Grant struct {
	token  *jose.Token
	claims GrantClaims
	key    jose.PublicKey
	hash   string // once for every decision on this grant
	input  string
}

// ParseGrant reads a root grant of at most MaxToken bytes and checks its shape. It
// verifies neither signature nor period. Errors: *GrantError with Malformed or, for
// a grant with a parent, which is nothing without the chain above it, Linkage.
func ParseGrant(raw string) (*Grant, error) {
	g, err := readGrant(raw)
	if err != nil {
		return nil, &GrantError{Malformed, err.Error()}
	}
	if g.claims.ParentHash != "" {
		return nil, &GrantError{Linkage, "par_hash is present: the tokens above are missing"}
	}
	return g, nil
}

// readGrant reads a root or a child.
func readGrant(raw string) (*Grant, error) {
	g := &Grant{}
	var err error
	if g.token, err = parse(raw, TypGrant, &g.claims); err != nil {
		return nil, err
	}
	if g.key, err = g.claims.check(); err != nil {
		return nil, err
	}
	g.hash, g.input = canon.Digest([]byte(raw)), canon.Digest([]byte(g.token.SigningInput))
	return g, nil
}

// Verify checks the signature under the issuer's key. Errors: *GrantError with
// BadSignature.
func (g *Grant) Verify(issuer jose.PublicKey) error {
	if err := g.token.Verify(issuer); err != nil {
		return &GrantError{BadSignature, err.Error()}
	}
	return nil
}

// Claims returns the claims. The caller must not change what they point to.
func (g *Grant) Claims() GrantClaims { return g.claims }

// Capabilities returns what the grant permits.
func (g *Grant) Capabilities() Set { return g.claims.Capabilities }

// Key returns the agent's key, the JWK of cnf.
func (g *Grant) Key() jose.PublicKey { return g.key }

// KeyID returns the header's kid, a hint at the issuer's key.
func (g *Grant) KeyID() string { return g.token.Header.Kid }

// Raw returns the whole token.
func (g *Grant) Raw() string { return g.token.Raw }

// Hash returns base64url(SHA-256) of the whole token: the ath of action proofs
// (RFC 9449 section 4.2 hashes the same way).
func (g *Grant) Hash() string { return g.hash }

// SigningInputHash returns base64url(SHA-256) of header "." payload: the par_hash
// of a child and the name under which a grant is revoked. It does not depend on the
// signature.
func (g *Grant) SigningInputHash() string { return g.input }

// ValidAt reports whether now is in the grant's period, nbf <= now < exp.
func (g *Grant) ValidAt(now time.Time) bool {
	return !now.Before(time.Unix(g.claims.NotBefore, 0)) && now.Before(time.Unix(g.claims.Expires, 0))
}
