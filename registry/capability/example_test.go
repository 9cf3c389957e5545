package capability_test

import (
	"encoding/json"
	"fmt"
	"log"
	"time"

	"github.com/writ-registry/writ/internal/jose"
	"github.com/writ-registry/writ/registry/capability"
)

// An issuer grants, an agent signs one act under the grant, and a verifier that
// knows both keys and the act itself holds the two against each other.
func Example() {
	issuer, agent := jose.NewEd25519FromSeed([32]byte{1}), jose.NewEd25519FromSeed([32]byte{2})
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	const did, registry, shop = "did:web:registry.example:agents:1", "https://registry.example", "https://shop.example"

	set, err := capability.Parse("read:invoices; create:shipment(max_weight<=500); execute:none")
	check(err)
	token, err := capability.IssueGrant(issuer, registry+"#1", capability.GrantClaims{
		Issuer: registry, Audience: []string{registry}, Subject: did, ClientID: did, Org: "acme",
		IssuedAt: now.Unix(), NotBefore: now.Unix(), Expires: now.Add(time.Hour).Unix(), ID: capability.NewJTI(),
		Confirmation: capability.Confirmation{JWK: agent.Public().JWK()}, Capabilities: set,
		Actor: capability.Actor{Subject: "did:web:registry.example:people:1"},
	})
	check(err)
	grant, err := capability.ParseGrant(token)
	check(err)
	check(grant.Verify(issuer.Public()))

	act := capability.Act{
		Action: "create", Resource: capability.Resource{Type: "shipment", ID: "7"},
		Arguments: json.RawMessage(`{"max_weight": 120}`),
	}
	digest, err := act.Digest()
	check(err)
	proof, err := capability.SignAction(agent, did+"#1", capability.ActionClaims{
		Issuer: did, Audience: shop, PDP: registry, TokenHash: grant.Hash(), ActDigest: digest,
		ID: capability.NewJTI(), IssuedAt: now.Unix(), Expires: now.Add(time.Minute).Unix(),
	})
	check(err)
	action, err := capability.ParseAction(proof)
	check(err)
	verify := func(act capability.Act) error {
		return action.Verify(capability.ActionCheck{
			Key: grant.Key(), Now: now, PDP: registry, Subject: did, TokenHash: grant.Hash(), Act: act, Audiences: []string{shop},
		})
	}
	fmt.Println(verify(act), grant.Capabilities().Match(act).Capability)

	act.Arguments = json.RawMessage(`{"max_weight": 5000}`)
	fmt.Println(verify(act))
	fmt.Println(grant.Capabilities().Match(act).Detail)
	// Output:
	// <nil> create:shipment(max_weight<=500)
	// proof: wrong_act: adg is not the digest of this act
	// argument max_weight is not within max_weight<=500
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
