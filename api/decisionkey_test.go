package api_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/writ-registry/writ/client/verify"
	"github.com/writ-registry/writ/registry"
	"github.com/writ-registry/writ/registry/policy"
	"github.com/writ-registry/writ/registry/registrytest"
)

// decisionKey is what get-decision-key answers.
type decisionKey struct {
	DID, Thumbprint  string
	Added            keyEvent
	Ended            *keyEvent
	DecidedIndex     uint64 `json:"decided_index"`
	ValidWhenDecided bool   `json:"valid_when_decided"`
}

type keyEvent struct {
	Type, CID   string
	Index, From uint64
	Receipt     json.RawMessage
}

// TestDecisionKey: through a key's whole life the registry names the events
// between which it counted, and who has the receipts finds the same offline.
func TestDecisionKey(t *testing.T) {
	w := open(t)
	w.Catalogue(t, registry.CatalogueAction{Action: "read:invoices", Reversibility: registry.Reversible, Material: true})
	a := w.NewAgent(t, "a")
	g := a.Grant(t, "read:invoices")
	decide := func(a registrytest.Agent, want policy.Verdict) string {
		t.Helper()
		w.Clock.Add(time.Second)
		g, err := w.FindGrant(t.Context(), w.Operator, g.ID)
		if err != nil {
			t.Fatal(err)
		}
		d, err := w.PDP.Decide(t.Context(), w.PEPCall(t), a.Ask(t, g, "read", "invoices", "7", ""))
		if err != nil || d.Verdict != want || d.Event == nil {
			t.Fatalf("decided %+v, %v", d, err)
		}
		return d.Event.CID
	}
	trust := verify.Trust{Logs: []verify.TrustedLog{{Origin: registrytest.LogOrigin, VKey: w.logKey}}}
	check := func(cid, added, ended string, valid bool) decisionKey {
		t.Helper()
		w.checkpoint()
		r := w.do("GET", "/v1/events/"+cid+"/key", nil, as(w.Secret))
		var k decisionKey
		if err := json.Unmarshal(r.body, &k); err != nil || r.StatusCode != 200 {
			t.Fatalf("%d %s, %v", r.StatusCode, r.body, err)
		}
		events := verify.KeyEvents{Added: k.Added.Receipt}
		got := ""
		if k.Ended != nil {
			got, events.Ended = k.Ended.Type, k.Ended.Receipt
		}
		if k.Added.Type != added || got != ended || k.ValidWhenDecided != valid || k.DID != a.DID {
			t.Errorf("added by %s, ended by %q, valid %v; want %s, %q, %v", k.Added.Type, got, k.ValidWhenDecided, added, ended, valid)
		}
		decision := w.do("GET", "/v1/events/"+cid+"/receipt?disclose=all", nil, as(w.Secret)).body
		report, err := verify.VerifyKey(t.Context(), decision, events, trust, nil)
		if valid != (err == nil) {
			t.Errorf("offline: %v, the registry says %v", err, valid)
		}
		if valid && (report.Key.Thumbprint != k.Thumbprint || report.Key.Added != k.Added.From || report.Key.Decided != k.DecidedIndex) {
			t.Errorf("offline %+v, the registry says %+v", report.Key, k)
		}
		return k
	}
	const requested, rotated, ended, revoked = registry.EventAgentRequested, registry.EventKeyRotated, registry.EventKeyEnded, registry.EventAgentRevoked

	first := *a
	byFirst := decide(first, policy.Permit)
	if k := check(byFirst, requested, "", true); k.Thumbprint != first.Thumbprint {
		t.Errorf("signed by %s, want %s", k.Thumbprint, first.Thumbprint)
	}
	minute := time.Minute
	a.Rotate(t, func(n *registry.NewKey) { n.Overlap = &minute })
	check(byFirst, requested, "", true) // it goes on
	second := *a
	bySecond := decide(second, policy.Permit)
	check(bySecond, rotated, "", true)
	w.Clock.Add(2 * minute)
	if _, err := w.Tend(t.Context(), 10); err != nil {
		t.Fatal(err)
	}
	check(byFirst, requested, ended, true)

	// The second key is taken away by another: its end is earlier than the report of
	// its theft, and what it signed is suspect from before its end on.
	none := time.Duration(0)
	a.Rotate(t, func(n *registry.NewKey) { n.Overlap = &none })
	end := check(bySecond, rotated, rotated, true).Ended.Index
	report := func(key string, from uint64) {
		t.Helper()
		if _, err := w.EndKey(t.Context(), w.Call(), a.ID, key, true, &from, "stolen"); err != nil {
			t.Fatal(err)
		}
	}
	report(second.Thumbprint, check(bySecond, rotated, rotated, true).DecidedIndex)
	if k := check(bySecond, rotated, ended, false); k.Ended.From != k.DecidedIndex || k.Ended.Index <= end {
		t.Errorf("suspect from %d on by %d, decided at %d", k.Ended.From, k.Ended.Index, k.DecidedIndex)
	}
	// Of the first key, only what it could sign no more is suspect: its end stays.
	firstEnd := *check(byFirst, requested, ended, true).Ended
	report(first.Thumbprint, firstEnd.Index+1)
	if k := check(byFirst, requested, ended, true); k.Ended.CID != firstEnd.CID {
		t.Errorf("ended by %+v, want %+v", k.Ended, firstEnd)
	}

	third := *a
	before := decide(third, policy.Permit)
	if _, err := w.RevokeAgent(t.Context(), w.Call(), a.ID, "drill"); err != nil {
		t.Fatal(err)
	}
	check(before, rotated, revoked, true)
	check(decide(third, policy.Deny), rotated, revoked, false)
	check(byFirst, requested, ended, true)

	// Where no key of the agent is known to have signed, there is no answer.
	for cid, says := range map[string]string{firstEnd.CID: "no decision", decide(second, policy.Deny): "no action proof"} {
		r := w.do("GET", "/v1/events/"+cid+"/key", nil, as(w.Secret))
		if p := w.refused(r, 409, "conflict", ""); !strings.Contains(p["detail"].(string), says) {
			t.Errorf("refused with %v, want %s", p["detail"], says)
		}
	}
	w.refused(w.do("GET", "/v1/events/"+byFirst+"/key", nil, as(w.tenant())), 404, "not-found", "")
}
