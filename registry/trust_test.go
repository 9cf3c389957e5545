package registry_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/writ-registry/writ/registry"
	"github.com/writ-registry/writ/registry/did"
	"github.com/writ-registry/writ/registry/registrytest"
)

// TestTrustList: an owner adds and removes; others read or do not.
func TestTrustList(t *testing.T) {
	h := registrytest.New(t)
	org, owner := tenant(t, h, "acme")
	author := principal(t, h, "acme", registry.RolePolicyAuthor)
	auditor := principal(t, h, "acme", registry.RoleAuditor)
	in := registry.NewTrust{
		Issuer: "did:web:other.example", TokenKeys: []string{registrytest.Key(9).Public().Multikey()}, LogKey: registrytest.LogKey(t, "other.example/log", 9),
		Audiences: []string{"https://erp.example"}, Capabilities: "read:invoices ;create:x", AuthorityLevel: 1,
	}
	_, err := h.AddTrust(t.Context(), author, in)
	want(t, "added by a policy author", err, registry.Denied)
	before := authority(t, h)
	out, err := h.AddTrust(t.Context(), owner, in)
	if err != nil {
		t.Fatal(err)
	}
	if got := out.Value; got.Org != org.ID || got.MaxAge != 60 || !slices.Equal(got.Agents, []string{"other.example"}) || got.Capabilities != "create:x; read:invoices" || out.Event.CID == "" {
		t.Errorf("added %+v", got)
	}
	if authority(t, h) == before {
		t.Error("no epoch moved")
	}
	_, err = h.AddTrust(t.Context(), owner, in)
	want(t, "added twice", err, registry.Conflict)
	if list, err := h.ListTrust(t.Context(), author.Caller, "", registry.Page{}); err != nil || len(list) != 1 {
		t.Errorf("a policy author sees %d, %v", len(list), err)
	}
	_, err = h.ListTrust(t.Context(), auditor.Caller, "", registry.Page{})
	want(t, "listed by an auditor", err, registry.Denied)
	_, err = h.RemoveTrust(t.Context(), author, out.Value.ID, "")
	want(t, "removed by a policy author", err, registry.Denied)
	if _, err := h.RemoveTrust(t.Context(), owner, out.Value.ID, "over"); err != nil {
		t.Fatal(err)
	}
	_, err = h.FindTrust(t.Context(), owner.Caller, out.Value.ID)
	want(t, "found after its removal", err, registry.NotFound)
}

func authority(t *testing.T, h *registrytest.House) uint64 {
	t.Helper()
	m, err := h.Store.Moment(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	return m.Authority
}

func TestTrustIsValidated(t *testing.T) {
	h := registrytest.New(t)
	_, owner := tenant(t, h, "acme")
	for field, change := range map[string]func(*registry.NewTrust){
		"/issuer":          func(in *registry.NewTrust) { in.Issuer = h.DID },
		"/issuer#":         func(in *registry.NewTrust) { in.Issuer = "did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK" },
		"/token_keys":      func(in *registry.NewTrust) { in.TokenKeys = nil },
		"/token_keys/0":    func(in *registry.NewTrust) { in.TokenKeys = []string{"z6Mk"} },
		"/log_key":         func(in *registry.NewTrust) { in.LogKey = "other.example/log+00000000+AA==" },
		"/agents/0":        func(in *registry.NewTrust) { in.Agents = []string{"https://other.example"} },
		"/orgs/0":          func(in *registry.NewTrust) { in.Orgs = []string{"acme"} },
		"/audiences":       func(in *registry.NewTrust) { in.Audiences = nil },
		"/capabilities":    func(in *registry.NewTrust) { in.Capabilities = "everything" },
		"/authority_level": func(in *registry.NewTrust) { in.AuthorityLevel = 5 },
		"/max_age":         func(in *registry.NewTrust) { in.MaxAge = 86401 },
		"/not_after":       func(in *registry.NewTrust) { in.NotAfter = h.Clock.Now().Add(-time.Second) },
	} {
		in := registry.NewTrust{
			Issuer: "did:web:other.example", TokenKeys: []string{registrytest.Key(9).Public().Multikey()}, LogKey: registrytest.LogKey(t, "other.example/log", 9),
			Audiences: []string{"https://erp.example"}, Capabilities: "read:invoices",
		}
		change(&in)
		_, err := h.AddTrust(t.Context(), owner, in)
		var e *registry.Error
		if !errors.As(err, &e) || e.Kind != registry.Malformed || e.Field != strings.TrimSuffix(field, "#") {
			t.Errorf("%s: got %v", field, err)
		}
	}
}

// TestVouches: the place of a DID is compared by whole segments.
func TestVouches(t *testing.T) {
	entry := registry.Trust{Agents: []string{"a.example:agents", "b.example%3A8443"}}
	const scid = "QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWKPbdG"
	for text, want := range map[string]bool{
		"did:web:a.example:agents:1":                               true,
		"did:webvh:" + scid + ":a.example:agents:1":                true,
		"did:webvh:" + scid + ":a.example:agentsx:1":               false,
		"did:webvh:" + scid + ":a.example":                         false,
		"did:webvh:" + scid + ":xa.example:agents:1":               false,
		"did:webvh:" + scid + ":b.example%3A8443:x":                true,
		"did:webvh:" + scid + ":b.example:x":                       false,
		"did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK": false,
		"did:web:a.example.evil.example:agents:1":                  false,
		"did:webvh:" + scid + ":evil.example:a.example:agents:1":   false,
		"did:web:b.example%3A8443":                                 true,
	} {
		d, err := did.Parse(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if got := entry.Vouches(d); got != want {
			t.Errorf("%s: %v, want %v", text, got, want)
		}
	}
}

// TestAlarmIsRemembered: what was seen of an issuer does not go back, and an alarm
// stays until the entry is removed.
func TestAlarmIsRemembered(t *testing.T) {
	h := registrytest.New(t)
	entry := h.Trust(t, "did:web:other.example")
	seen := registry.Followed{Trust: entry.ID, Kind: registry.FollowedIssuer, Name: entry.Issuer, Number: 7, Checked: h.Clock.Now(), Seen: h.Clock.Now()}
	earlier := seen
	earlier.Number = 6
	for _, f := range []registry.Followed{seen, earlier} {
		if err := h.Follow(t.Context(), []registry.Followed{f}); err != nil {
			t.Fatal(err)
		}
	}
	standing := func() *registry.TrustStanding {
		t.Helper()
		got, err := h.FindTrust(t.Context(), h.Operator, entry.ID)
		if err != nil || got.Standing == nil {
			t.Fatalf("%+v, %v", got, err)
		}
		return got.Standing
	}
	if s := standing(); s.Size != 7 || s.Alarm != nil {
		t.Errorf("standing %+v", s)
	}
	issuer, err := did.Parse(entry.Issuer)
	if err != nil {
		t.Fatal(err)
	}
	for _, code := range []registry.AlarmCode{registry.AlarmLogFork, registry.AlarmKey} {
		if err := h.RaiseAlarm(t.Context(), entry.ID, registry.FollowedIssuer, issuer, code, "drill", strings.Repeat("A", 43)); err != nil {
			t.Fatal(err)
		}
	}
	seen.Number = 8
	if err := h.Follow(t.Context(), []registry.Followed{seen}); err != nil {
		t.Fatal(err)
	}
	if s := standing(); s.Alarm == nil || s.Alarm.Code != registry.AlarmLogFork || s.Size != 7 {
		t.Errorf("standing after two alarms and a good answer: %+v", s)
	}
	events, err := h.ListEvents(t.Context(), h.Operator, "", "", registry.EventFilter{Type: registry.EventTrustAlarmed})
	if err != nil || len(events) != 1 {
		t.Errorf("%d events of alarm, %v", len(events), err)
	}
	if _, err := h.RemoveTrust(t.Context(), h.Call(), entry.ID, ""); err != nil {
		t.Fatal(err)
	}
	if err := h.Follow(t.Context(), []registry.Followed{seen}); err != nil {
		t.Fatal(err)
	}
	again := h.Trust(t, "did:web:other.example")
	if got, err := h.FindTrust(t.Context(), h.Operator, again.ID); err != nil || got.Standing != nil {
		t.Errorf("pinned anew: %+v, %v", got.Standing, err)
	}
}

// TestDomain: an org that shows control of a domain has the DIDs of its next agents
// there; those it has stay.
func TestDomain(t *testing.T) {
	h := registrytest.New(t)
	before := h.NewAgent(t, "before")
	for domain, kind := range map[string]registry.Kind{
		"agents.acme.example": registry.Denied, "localhost": registry.Malformed, "Agents.acme.example": registry.Malformed,
		"acme.example:8443": registry.Malformed, "192.0.2.1": registry.Malformed, "acme.example/x": registry.Malformed, "a..example": registry.Malformed,
	} {
		_, err := h.SetDomain(t.Context(), h.Call(), registry.HouseOrg, domain)
		want(t, domain, err, kind)
	}
	h.TXT.Set("_writ.agents.acme.example", "org="+registry.NewID())
	_, err := h.SetDomain(t.Context(), h.Call(), registry.HouseOrg, "agents.acme.example")
	want(t, "another org's record", err, registry.Denied)
	h.TXT.Set("_writ.agents.acme.example", "org="+before.Org)
	out, err := h.SetDomain(t.Context(), h.Call(), registry.HouseOrg, "agents.acme.example")
	if err != nil || out.Value.Domain != "agents.acme.example" || out.Event.CID == "" {
		t.Fatalf("%+v, %v", out, err)
	}
	after := h.NewAgent(t, "after")
	if !strings.HasSuffix(after.DID, ":agents.acme.example:agents:"+after.ID) || after.WebDID != "did:web:agents.acme.example:agents:"+after.ID {
		t.Errorf("DIDs %s and %s", after.DID, after.WebDID)
	}
	entries, err := h.DIDLog(t.Context(), after.ID)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := did.VerifyLog([]byte(strings.Join(entries, "\n")+"\n"), h.Clock.Now().Add(time.Minute)); err != nil {
		t.Error(err)
	}
	if got, err := h.FindAgent(t.Context(), h.Operator, before.ID); err != nil || got.DID != before.DID {
		t.Errorf("the DID from before is %s, %v", got.DID, err)
	}
	h.TXT.Set("_writ.agents.acme.example")
	if out, err = h.SetDomain(t.Context(), h.Call(), registry.HouseOrg, ""); err != nil || out.Value.Domain != "" {
		t.Errorf("given back: %+v, %v", out, err)
	}
}
