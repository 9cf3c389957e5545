package client

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/writ-registry/writ/internal/canon"
	"github.com/writ-registry/writ/internal/httpsig"
	"github.com/writ-registry/writ/internal/jose"
	"github.com/writ-registry/writ/registry/capability"
	"github.com/writ-registry/writ/registry/did"
)

// AgentKey is an agent's private key. It never leaves the agent's side.
type AgentKey struct{ private *jose.PrivateKey }

// GenerateAgentKey makes a new Ed25519 key.
func GenerateAgentKey() (*AgentKey, error) {
	k, err := jose.GenerateEd25519()
	if err != nil {
		return nil, err
	}
	return &AgentKey{k}, nil
}

// ParseAgentKey reads a key in PKCS #8 PEM, Ed25519 or P-256.
func ParseAgentKey(pem []byte) (*AgentKey, error) {
	k, err := jose.ParsePEM(pem)
	if err != nil {
		return nil, err
	}
	return &AgentKey{k}, nil
}

// PEM returns the private key in PKCS #8 PEM, not encrypted.
func (k *AgentKey) PEM() ([]byte, error) { return k.private.MarshalPEM() }

// JWK returns the public half.
func (k *AgentKey) JWK() jose.JWK { return k.private.Public().JWK() }

// Thumbprint is the RFC 7638 thumbprint of the public half.
func (k *AgentKey) Thumbprint() string { return k.private.Public().Thumbprint() }

// Commitment is what an agent publishes of the key that it will have next
// (pre-rotation): the base58btc multihash of SHA-256 of its Multikey.
func (k *AgentKey) Commitment() string { return did.NextKeyHash(k.private.Public()) }

// ProvePossession signs that whoever holds the key wants it registered under
// this name, in this org (id or name) of the registry with this origin. It is
// good for a minute.
func (k *AgentKey) ProvePossession(origin, org, name string) (string, error) {
	now := time.Now()
	return capability.SignRegistration(k.private, capability.RegistrationClaims{
		Audience: origin, ID: capability.NewJTI(), Org: org, Name: name,
		IssuedAt: now.Unix(), Expires: now.Add(capability.MaxLifetime).Unix(),
	})
}

// HeldGrant is a grant in an agent's hands.
type HeldGrant struct {
	ID           string    `json:"id"`
	Capabilities string    `json:"capabilities"`
	Audience     []string  `json:"audience"`
	Expires      time.Time `json:"expires"`
	Token        string    `json:"token"`
	// Above are the tokens above it, root first, where a holder made it under a grant.
	Above []string `json:"above,omitempty"`
}

// Tokens is what the agent shows for an act under the grant.
func (g HeldGrant) Tokens() capability.Tokens {
	return append(slices.Clone(capability.Tokens(g.Above)), g.Token)
}

// AgentFile is an agent as whoever runs it keeps it: who it is, its key and its
// grants. It holds the private key in the clear, so the file has mode 0600.
type AgentFile struct {
	Version  int         `json:"v"`        // 1
	Registry string      `json:"registry"` // origin
	Org      string      `json:"org"`
	Name     string      `json:"name"`
	ID       string      `json:"id"`
	DID      string      `json:"did"`
	KeyID    string      `json:"key_id"` // DID URL of the key
	Key      string      `json:"private_key"`
	Grants   []HeldGrant `json:"grants"`

	key *AgentKey
}

// NewAgentFile joins a registered agent with its key.
func NewAgentFile(origin string, a Agent, key *AgentKey) (*AgentFile, error) {
	pem, err := key.PEM()
	if err != nil {
		return nil, err
	}
	f := &AgentFile{
		Version: 1, Registry: origin, Org: a.Org, Name: a.Name, ID: a.ID, DID: a.DID, KeyID: a.KeyID,
		Key: string(pem), Grants: []HeldGrant{}, key: key,
	}
	return f, f.check()
}

// LoadAgentFile reads an agent file. Unknown members are refused: what this
// program does not know it would lose when it writes the file again.
func LoadAgentFile(path string) (*AgentFile, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	f := &AgentFile{}
	err = canon.Unmarshal(data, f)
	if err == nil {
		f.key, err = ParseAgentKey([]byte(f.Key))
	}
	if err == nil {
		err = f.check()
	}
	if err != nil {
		return nil, fmt.Errorf("agent file %s: %w", path, err)
	}
	return f, nil
}

// SignRequest signs a request to the agent's registry, whole with its body, as the
// agent (RFC 9421). It is good for one call, within a minute.
func (f *AgentFile) SignRequest(r *http.Request, body []byte) error {
	return httpsig.SignRequest(r, f.Registry, body, f.key.private, f.KeyID, time.Now())
}

func (f *AgentFile) check() error {
	switch {
	case f.Version != 1:
		return fmt.Errorf("version %d, this program reads 1", f.Version)
	case f.Registry == "" || f.DID == "" || f.KeyID == "":
		return errors.New("registry, did or key_id is missing")
	}
	return nil
}

// Create writes a new file, mode 0600. It refuses to replace one.
func (f *AgentFile) Create(path string) error {
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("agent file %s: %w", path, fs.ErrExist)
	}
	return f.write(path, os.Link)
}

// Save replaces the file in one step: a crash leaves the old one or the new one.
func (f *AgentFile) Save(path string) error { return f.write(path, os.Rename) }

// write makes the file beside path, durable, and then puts it in place. With
// os.Link as the last step, which never replaces a file, two programs cannot
// both create it.
func (f *AgentFile) write(path string, place func(from, to string) error) error {
	data, err := marshalIndent(f)
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".agent-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name()) // no effect after a rename
	_, err = tmp.Write(data)
	if err == nil {
		err = tmp.Sync()
	}
	if cerr := tmp.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = place(tmp.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("agent file %s: %w", path, err)
	}
	return nil
}

// Rotated gives the file the agent's new key, with what the registry says of it.
// The grants held are for the key before: Hold the renewed ones.
func (f *AgentFile) Rotated(a Agent, key *AgentKey) error {
	if a.ID != f.ID || a.Thumbprint != key.Thumbprint() {
		return errors.New("the registry's answer is about another agent or key")
	}
	pem, err := key.PEM()
	if err != nil {
		return err
	}
	f.Key, f.KeyID, f.key = string(pem), a.KeyID, key
	return nil
}

// AgentKey is the agent's key.
func (f *AgentFile) AgentKey() *AgentKey { return f.key }

// Before is the same agent before another registry: what it proves is for the
// decision point of that origin, which must trust the agent's own.
func (f *AgentFile) Before(origin string) *AgentFile {
	there := *f
	there.Registry = origin
	return &there
}

// Hold adds a grant, which replaces one of the same id.
func (f *AgentFile) Hold(g Grant) {
	f.Keep(HeldGrant{ID: g.ID, Capabilities: g.Capabilities, Audience: g.Audience, Expires: g.Expires, Token: g.Token})
}

// errNoGrant: there is nothing to show for an act.
var errNoGrant = errors.New("the agent holds no grant; issue one and add it to the agent file")

// Grant picks the grant to show for an act at a resource server (aud, "" = any):
// the newest that covers it and has not expired, else the newest that is closest
// to it, so that the registry says what is missing.
func (f *AgentFile) Grant(act capability.Act, aud string) (HeldGrant, error) {
	best, score := -1, -1
	for i, g := range f.Grants {
		s := 0
		if caps, err := capability.Parse(g.Capabilities); err == nil && caps.Match(act).Covered {
			s |= 2
		}
		if aud == "" || slices.Contains(g.Audience, aud) {
			s |= 4
		}
		if time.Now().Before(g.Expires) {
			s |= 1
		}
		if s >= score {
			best, score = i, s
		}
	}
	if best < 0 {
		return HeldGrant{}, errNoGrant
	}
	return f.Grants[best], nil
}

// Prove signs that the agent does this act, now, at the resource server aud,
// under the grant token. The proof is good for one use within 30 seconds.
func (f *AgentFile) Prove(act capability.Act, aud, token string) (string, error) {
	digest, err := act.Digest()
	if err != nil {
		return "", err
	}
	now := time.Now()
	return capability.SignAction(f.key.private, f.KeyID, capability.ActionClaims{
		Issuer: f.DID, Audience: aud, PDP: f.Registry, TokenHash: canon.Digest([]byte(token)), ActDigest: digest,
		ID: capability.NewJTI(), IssuedAt: now.Unix(), Expires: now.Add(capability.MaxLifetime).Unix(),
	})
}

// Request makes the complete evaluation request for an act: it picks a grant and
// signs the act. aud may be empty where the grant names one resource server.
func (f *AgentFile) Request(act capability.Act, aud string) (EvaluationRequest, error) {
	g, err := f.Grant(act, aud)
	if err != nil {
		return EvaluationRequest{}, err
	}
	return f.RequestWith(act, aud, g)
}

// RequestWith is Request with a grant of the caller's choice.
func (f *AgentFile) RequestWith(act capability.Act, aud string, g HeldGrant) (EvaluationRequest, error) {
	if aud == "" {
		if len(g.Audience) != 1 {
			return EvaluationRequest{}, fmt.Errorf("the grant is for several resource servers, %q: say which", g.Audience)
		}
		aud = g.Audience[0]
	}
	proof, err := f.Prove(act, aud, g.Token)
	if err != nil {
		return EvaluationRequest{}, err
	}
	return EvaluationRequest{
		Subject:  Subject{Type: "agent", ID: f.DID},
		Action:   Action{Name: act.Action, Properties: act.Arguments},
		Resource: act.Resource,
		Context:  Context{Token: g.Tokens(), Proof: proof, Task: act.Task},
	}, nil
}

// Delegate is whom an agent hands a part of its grant to, and what of it. Empty
// members are the grant's, as far as it has them.
type Delegate struct {
	DID          string   // of a registered agent; "" = whoever holds Key, for 15 minutes at most
	Key          jose.JWK // of the delegate
	Capabilities string
	Budgets      []string // of its own, beside those above, which count all the same
	Audience     []string
	NotBefore    time.Time
	Expires      time.Time
	Delegation   int // how many links may follow, 0 to what the grant has left
}

// Attenuate makes a grant for a delegate under one that the agent holds, by the
// agent's signature and without asking the registry. What a verifier would refuse is
// refused here: *capability.ChainError names the invariant.
func (f *AgentFile) Attenuate(g HeldGrant, to Delegate) (HeldGrant, error) {
	chain, err := capability.ParseChain(g.Tokens())
	if err != nil {
		return HeldGrant{}, err
	}
	caps, err := capability.Parse(to.Capabilities)
	if err != nil {
		return HeldGrant{}, fmt.Errorf("capabilities: %w", err)
	}
	budgets, err := capability.ParseBudgets(to.Budgets)
	if err != nil {
		return HeldGrant{}, err
	}
	leaf := chain.Leaf().Claims()
	child := capability.GrantClaims{
		Subject: to.DID, Confirmation: capability.Confirmation{JWK: to.Key}, Capabilities: caps, Budgets: budgets, Audience: to.Audience,
		IssuedAt: time.Now().Unix(), ID: capability.NewJTI(), AuthorityLevel: leaf.AuthorityLevel, MaxDepth: leaf.Depth + 1 + to.Delegation,
	}
	if !to.NotBefore.IsZero() {
		child.NotBefore = to.NotBefore.Unix()
	}
	if !to.Expires.IsZero() {
		child.Expires = to.Expires.Unix()
	}
	token, err := chain.Attenuate(f.key.private, f.KeyID, child)
	if err != nil {
		return HeldGrant{}, err
	}
	return ReadGrant(append(g.Tokens(), token))
}

// ReadGrant reads a grant, or the chain that ends in it, root first, as who holds it
// keeps it. It verifies no signature.
func ReadGrant(tokens capability.Tokens) (HeldGrant, error) {
	chain, err := capability.ParseChain(tokens)
	if err != nil {
		return HeldGrant{}, err
	}
	c := chain.Leaf().Claims()
	return HeldGrant{ID: c.ID, Capabilities: c.Capabilities.String(), Audience: c.Audience, Expires: time.Unix(c.Expires, 0).UTC(),
		Token: chain.Leaf().Raw(), Above: chain.Above()}, nil
}

// Keep adds a grant that was delegated to the agent; it replaces one of the same id.
func (f *AgentFile) Keep(g HeldGrant) {
	f.Grants = slices.DeleteFunc(f.Grants, func(h HeldGrant) bool { return h.ID == g.ID })
	f.Grants = append(f.Grants, g)
}

// EphemeralAgent makes an agent that nobody registers: it acts under grants that
// others delegate to its key, whose did:key is its name.
func EphemeralAgent(registry string, key *AgentKey) (*AgentFile, error) {
	pem, err := key.PEM()
	id := did.Key(key.private.Public()).String()
	return &AgentFile{
		Version: 1, Registry: registry, DID: id, KeyID: id + "#" + key.private.Public().Multikey(), Key: string(pem), Grants: []HeldGrant{}, key: key,
	}, err
}

// marshalIndent is canonical JSON made readable, with a final line feed.
func marshalIndent(v any) ([]byte, error) {
	form, err := canon.Marshal(v)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := json.Indent(&b, form, "", "  "); err != nil {
		return nil, err
	}
	b.WriteByte('\n')
	return b.Bytes(), nil
}
