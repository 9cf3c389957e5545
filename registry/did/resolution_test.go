package did

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/writ-registry/writ/internal/jose"
)

func TestParseVersionQuery(t *testing.T) {
	at := time.Date(2021, 5, 10, 17, 0, 0, 0, time.UTC)
	for text, want := range map[string]VersionQuery{
		"":                                   {},
		"service=files":                      {},
		"versionId=1-Qm":                     {VersionID: "1-Qm"},
		"versionTime=2021-05-10T17:00:00Z":   {VersionTime: at}, // the example of DID Resolution
		"versionTime=2021-05-10T17:00:00.0Z": {VersionTime: at},
		"versionNumber=12&hl=x":              {VersionNumber: 12},
	} {
		values, _ := url.ParseQuery(text)
		if got, err := ParseVersionQuery(values); err != nil || !got.VersionTime.Equal(want.VersionTime) || got.VersionID != want.VersionID || got.VersionNumber != want.VersionNumber {
			t.Errorf("%s: got %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{
		"versionId=", "versionId=a&versionId=b", "versionTime=yesterday", "versionTime=2021-05-10", "versionTime=",
		"versionNumber=0", "versionNumber=-1", "versionNumber=1.5", "versionNumber=99999999999999999999",
		"versionId=a&versionNumber=1", "versionId=a&versionTime=2021-05-10T17:00:00Z",
	} {
		values, _ := url.ParseQuery(text)
		if got, err := ParseVersionQuery(values); err == nil {
			t.Errorf("%s: got %+v", text, got)
		}
	}
}

func TestResolve(t *testing.T) {
	log := buildLog(t, plain(`,"ttl":60,"watchers":["https://watcher.example"]`+witnessed(1, 5)),
		step{signer: 1, state: func(s string) string { return strings.Replace(s, `"id"`, `"alsoKnownAs":["urn:2"],"id"`, 1) }},
		step{signer: 1, params: `{"deactivated":true,"updateKeys":[]}`})
	r, err := VerifyLog(log, testNow, approve(t, log, approval{3, 5, nil})...)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		query VersionQuery
		want  int // 0: there is none
		doc   bool
	}{
		"current":        {VersionQuery{}, 3, false},
		"by id":          {VersionQuery{VersionID: r.Versions[0].ID}, 1, true},
		"last by id":     {VersionQuery{VersionID: r.Versions[2].ID}, 3, false},
		"by number":      {VersionQuery{VersionNumber: 2}, 2, true},
		"at the second":  {VersionQuery{VersionTime: r.Versions[1].Time}, 2, true},
		"between":        {VersionQuery{VersionTime: r.Versions[2].Time.Add(-1)}, 2, true},
		"now":            {VersionQuery{VersionTime: testNow}, 3, false},
		"before":         {VersionQuery{VersionTime: r.Versions[0].Time.Add(-1)}, 0, false},
		"other id":       {VersionQuery{VersionID: "2-" + testSCID}, 0, false},
		"number alone":   {VersionQuery{VersionID: "2"}, 0, false},
		"number too far": {VersionQuery{VersionNumber: 4}, 0, false},
		"number below 1": {VersionQuery{VersionNumber: -1}, 0, false},
	} {
		doc, m, ok := r.Resolve(c.query)
		if ok != (c.want > 0) || (doc != nil) != c.doc || ok && m.VersionID != r.Versions[c.want-1].ID {
			t.Errorf("%s: got %s, %+v, %t", name, doc, m, ok)
		}
	}

	_, m, _ := r.Resolve(VersionQuery{VersionNumber: 2})
	got, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	v := r.Versions
	want := `{"versionId":"` + v[1].ID + `","versionTime":"2026-11-21T13:00:00Z","created":"2026-11-21T12:00:00Z","updated":"2026-11-21T14:00:00Z",` +
		`"nextVersionId":"` + v[2].ID + `","nextUpdate":"2026-11-21T14:00:00Z","scid":"` + r.DID.SCID() + `","portable":false,"deactivated":true,` +
		`"ttl":"60","witness":{"threshold":"1","witnesses":[{"id":"` + Key(mustKey(5).Public()).String() + `"}]},"watchers":["https://watcher.example"]}`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestNextTime(t *testing.T) {
	r, err := VerifyLog(genesisLog(t, nil), testNow)
	if err != nil {
		t.Fatal(err)
	}
	last := r.Current().Time
	for _, c := range []struct{ now, want time.Duration }{{-time.Hour, time.Second}, {0, time.Second}, {9e8, time.Second}, {1e9, time.Second}, {25e8, 2 * time.Second}} {
		if got := r.NextTime(last.Add(c.now)); !got.Equal(last.Add(c.want)) {
			t.Errorf("%s later: got %s", c.now, got.Sub(last))
		}
	}
}

// The documents of the did:key specification have these members and, for Ed25519, a
// derived X25519 key, which ours have not.
func TestKeyDocument(t *testing.T) {
	p256, err := jose.GenerateP256()
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []jose.PublicKey{mustKey(1).Public(), p256.Public()} {
		d := Key(key)
		doc, err := KeyDocument(d)
		if err != nil {
			t.Fatal(err)
		}
		id := d.String() + "#" + strings.TrimPrefix(d.String(), "did:key:")
		want := Document{
			Context: Strings{"https://www.w3.org/ns/did/v1", "https://w3id.org/security/multikey/v1"}, ID: d.String(),
			VerificationMethod: []VerificationMethod{{ID: id, Type: "Multikey", Controller: d.String(), PublicKeyMultibase: key.Multikey()}},
			Authentication:     []string{id}, AssertionMethod: []string{id}, CapabilityInvocation: []string{id}, CapabilityDelegation: []string{id},
		}
		if diff := cmp.Diff(want, doc); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if got, ok := doc.KeyAt(id, testNow); !ok || got != key {
			t.Error("the document does not hold the key")
		}
	}
	web, err := Web("https://registry.example")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := KeyDocument(web); err == nil {
		t.Error("a did:web has a key of its own")
	}
}

func TestKeyAtUnreadable(t *testing.T) {
	doc, err := KeyDocument(Key(mustKey(1).Public()))
	if err != nil {
		t.Fatal(err)
	}
	m := &doc.VerificationMethod[0]
	for _, limit := range []string{"soon", "2026-11-21", "2026-11-21T12:00:00"} {
		m.Expires = limit
		if _, ok := doc.KeyAt(m.ID, testTime); ok {
			t.Errorf("expires %s: the key stands", limit)
		}
	}
	m.Expires, m.Revoked = "", "2026-11-21T12:00:00Z"
	if _, ok := doc.KeyAt(m.ID, testTime); ok {
		t.Error("a revoked key stands")
	}
	if _, ok := doc.KeyAt(m.ID, testTime.Add(-time.Minute)); !ok {
		t.Error("a key does not stand before it was revoked")
	}
}
