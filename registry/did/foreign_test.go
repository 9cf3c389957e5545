package did

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/writ-registry/writ/internal/jose"
)

// foreignDocument has the keys 1 to 6, each written in another way.
func foreignDocument(t testing.TB, p256 jose.PublicKey) string {
	t.Helper()
	multikey := func(seed byte) string { return mustKey(seed).Public().Multikey() }
	jwk := func(k jose.PublicKey) string { return string(k.JWK().Canonical()) }
	return fmt.Sprintf(`{
		"@context": ["https://www.w3.org/ns/did/v1", {"@vocab": "x"}], "id": "did:web:a.example", "x": 1.5,
		"verificationMethod": [
			{"id": "did:web:a.example#1", "type": "Multikey", "controller": "did:web:a.example", "publicKeyMultibase": %q},
			{"id": "#2", "type": "Ed25519VerificationKey2020", "controller": "did:web:a.example", "publicKeyMultibase": %q},
			{"id": "did:web:a.example#3", "type": "JsonWebKey2020", "controller": "did:web:a.example", "publicKeyJwk": %s},
			{"id": "did:web:a.example#4", "type": "JsonWebKey", "controller": "did:web:a.example", "publicKeyJwk": %s},
			{"id": "did:web:a.example#other", "type": "Multikey", "controller": "did:web:b.example", "publicKeyMultibase": %q},
			{"id": "did:web:a.example#old", "type": "Multikey", "controller": "did:web:a.example", "publicKeyMultibase": %q, "expires": "2026-11-21T12:00:00Z"},
			{"id": "did:web:a.example#twice", "type": "Multikey", "controller": "did:web:a.example", "publicKeyMultibase": %q},
			{"id": "#twice", "type": "Multikey", "controller": "did:web:a.example", "publicKeyMultibase": %q},
			{"id": "#two", "type": "Multikey", "controller": "did:web:a.example", "publicKeyMultibase": %q, "publicKeyJwk": %s},
			{"id": "#curve", "type": "Ed25519VerificationKey2020", "controller": "did:web:a.example", "publicKeyMultibase": %q},
			{"id": "#unknown", "type": "EcdsaSecp256k1VerificationKey2019", "controller": "did:web:a.example"},
			{"id": "#private", "type": "JsonWebKey", "controller": "did:web:a.example", "publicKeyJwk": {"kty":"OKP","crv":"Ed25519","x":"AA","d":"AA"}},
			{"id": "#unused", "type": "Multikey", "controller": "did:web:a.example", "publicKeyMultibase": %q}
		],
		"authentication": ["#1", "did:web:a.example#2", "#3", "#4", "#other", "#old", "#twice", "#two", "#curve", "#unknown", "#private", "#nothing",
			{"id": "did:web:a.example#5", "type": "Multikey", "controller": "did:web:a.example", "publicKeyMultibase": %q}],
		"assertionMethod": ["did:web:a.example#1"]
	}`, multikey(1), multikey(2), jwk(mustKey(3).Public()), jwk(p256), multikey(6), multikey(6), multikey(6), multikey(7), multikey(8), jwk(p256),
		p256.Multikey(), multikey(6), multikey(5))
}

func TestFindKey(t *testing.T) {
	private, err := jose.GenerateP256()
	if err != nil {
		t.Fatal(err)
	}
	p256 := private.Public()
	document := foreignDocument(t, p256)
	const subject = "did:web:a.example"
	noon := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		id, relationship string
		at               time.Time
		want             jose.PublicKey // the zero value: there is none
	}{
		{"#1", Authentication, noon, mustKey(1).Public()},
		{"#1", AssertionMethod, noon, mustKey(1).Public()},
		{"#2", Authentication, noon, mustKey(2).Public()},
		{"#3", Authentication, noon, mustKey(3).Public()},
		{"#4", Authentication, noon, p256},
		{"#5", Authentication, noon, mustKey(5).Public()},
		{"#old", Authentication, noon.Add(-1), mustKey(6).Public()},
		{"#old", Authentication, noon, jose.PublicKey{}},
		{"#2", AssertionMethod, noon, jose.PublicKey{}},
		{"#5", AssertionMethod, noon, jose.PublicKey{}},
		{"#1", CapabilityInvocation, noon, jose.PublicKey{}},
		{"#1", "id", noon, jose.PublicKey{}},
		{"#1", "verificationMethod", noon, jose.PublicKey{}},
		{"#unused", "verificationMethod", noon, jose.PublicKey{}},
		{"#unused", Authentication, noon, jose.PublicKey{}},
		{"#other", Authentication, noon, jose.PublicKey{}},
		{"#twice", Authentication, noon, jose.PublicKey{}},
		{"#two", Authentication, noon, jose.PublicKey{}},
		{"#curve", Authentication, noon, jose.PublicKey{}},
		{"#unknown", Authentication, noon, jose.PublicKey{}},
		{"#private", Authentication, noon, jose.PublicKey{}},
		{"#nothing", Authentication, noon, jose.PublicKey{}},
		{"", Authentication, noon, jose.PublicKey{}},
		{"#", Authentication, noon, jose.PublicKey{}},
		{".evil#1", Authentication, noon, jose.PublicKey{}},
	} {
		got, err := FindKey([]byte(document), subject+c.id, c.relationship, c.at)
		if got != c.want || (err == nil) != c.want.Valid() {
			t.Errorf("%s for %s: got %s, %v", c.id, c.relationship, got.Alg(), err)
		}
	}
	if _, err := FindKey([]byte(document), "did:web:b.example#other", Authentication, noon); err == nil {
		t.Error("a document speaks for another subject")
	}
	for name, text := range map[string]string{
		"not JSON":             "{",
		"an array":             "[]",
		"no id":                strings.Replace(document, `"id": "did:web:a.example", "x"`, `"x"`, 1),
		"id a number":          strings.Replace(document, `"id": "did:web:a.example", "x"`, `"id": 1, "x"`, 1),
		"methods no list":      strings.Replace(document, `"verificationMethod": [`, `"verificationMethod": 1, "y": [`, 1),
		"a method no object":   strings.Replace(document, `"verificationMethod": [`, `"verificationMethod": [1,`, 1),
		"a reference a number": strings.Replace(document, `"authentication": [`, `"authentication": [1,`, 1),
	} {
		if _, err := FindKey([]byte(text), subject+"#1", Authentication, noon); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := FindKey([]byte(strings.ReplaceAll(document, subject, "")), "#1", Authentication, noon); err == nil {
		t.Error("a document of nobody has a key")
	}
	// What this package writes, it reads in this way, too.
	own := testGenesisDocument(t)
	id := own.VerificationMethod[0].ID
	form, err := own.Canonical()
	if err != nil {
		t.Fatal(err)
	}
	if k, err := FindKey(form, id, CapabilityInvocation, testNow); err != nil || k != mustKey(9).Public() {
		t.Errorf("got %s, %v", k.Alg(), err)
	}
}

func testGenesisDocument(t testing.TB) Document {
	t.Helper()
	e, err := Genesis(testGenesis())
	if err != nil {
		t.Fatal(err)
	}
	return e.Document
}

func FuzzFindKey(f *testing.F) {
	p256, err := jose.ParseMultikey("zDnaerx9CtbPJ1q36T5Ln5wYt3MQYeGRG5ehnPAmxcf5mDZpv")
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(foreignDocument(f, p256)), "did:web:a.example#1")
	f.Fuzz(func(t *testing.T, document []byte, id string) {
		k, err := FindKey(document, id, Authentication, testNow)
		if (err == nil) != k.Valid() {
			t.Errorf("got %s, %v", k.Alg(), err)
		}
	})
}
