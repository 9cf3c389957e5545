package registrytest

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/writ-registry/writ/internal/jose"
	"github.com/writ-registry/writ/registry"
	"github.com/writ-registry/writ/registry/did"
)

// HandOver gives the update keys of the agent's DID to the holder of a key.
func (a *Agent) HandOver(t testing.TB, key *jose.PrivateKey) {
	t.Helper()
	jwk, err := json.Marshal(key.Public().JWK())
	if err != nil {
		t.Fatal(err)
	}
	out, err := a.house.MoveCustody(t.Context(), a.house.Call(), registry.NewCustody{Agent: a.ID, JWK: jwk, Possession: a.house.Possession(t, key, a.Org, a.Name)})
	if err != nil {
		t.Fatalf("hand over: %v", err)
	}
	a.Agent = out.Value
}

// Log is the agent's did.jsonl.
func (a *Agent) Log(t testing.TB) []byte {
	t.Helper()
	lines, err := a.house.DIDLog(t.Context(), a.ID)
	if err != nil {
		t.Fatal(err)
	}
	return []byte(strings.Join(lines, "\n") + "\n")
}

// NextEntry makes the controller's next entry: the agent's own key, and whatever change
// says. It is signed at the clock's time, which must be later than the last entry's.
func (a *Agent) NextEntry(t testing.TB, key, next *jose.PrivateKey, change ...func(*did.UpdateParams)) did.Entry {
	t.Helper()
	p := did.UpdateParams{Time: a.house.Clock.Now(), Signer: key, NextKeys: []jose.PublicKey{next.Public()}, Keys: []jose.PublicKey{a.Signer.Public()}}
	for _, f := range change {
		f(&p)
	}
	e, err := did.Update(a.Log(t), p)
	if err != nil {
		t.Fatalf("make an entry: %v", err)
	}
	return e
}
