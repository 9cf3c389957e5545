package policy

import (
	"testing"
	"time"

	"github.com/writ-registry/writ/internal/jose"
	"github.com/writ-registry/writ/registry/capability"
)

type keys struct{ issuer, agent *jose.PrivateKey }

func newKeys(t *testing.T) keys {
	t.Helper()
	return keys{jose.NewEd25519FromSeed([32]byte{1}), jose.NewEd25519FromSeed([32]byte{2})}
}

func (k keys) token(t *testing.T, caps string, now time.Time) *capability.Chain {
	t.Helper()
	raw, err := capability.IssueGrant(k.issuer, "did:web:localhost#k", capability.GrantClaims{
		Issuer: "did:web:localhost", Audience: []string{"https://erp"}, Subject: "did:web:localhost:agents:a", ClientID: "a",
		IssuedAt: now.Unix(), NotBefore: now.Unix(), Expires: now.Add(time.Hour).Unix(), ID: capability.NewJTI(),
		Confirmation: capability.Confirmation{JWK: k.agent.Public().JWK()}, Capabilities: capability.MustParse(caps),
		Actor: capability.Actor{Subject: "p"}, Org: "o",
	})
	if err != nil {
		t.Fatal(err)
	}
	c, err := capability.ParseChain([]string{raw})
	if err != nil {
		t.Fatal(err)
	}
	return c
}
