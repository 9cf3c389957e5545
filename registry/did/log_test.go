package did

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/writ-registry/writ/internal/canon"
	"github.com/writ-registry/writ/internal/jose"
)

var update = flag.Bool("update", false, "rewrite testdata")

var (
	testTime = time.Date(2026, 11, 21, 12, 0, 0, 5e8, time.UTC)
	testNow  = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
)

func mustKey(seed byte) *jose.PrivateKey {
	return jose.NewEd25519FromSeed([32]byte{seed})
}

func testGenesis() GenesisParams {
	return GenesisParams{
		Origin: "https://registry.example", Path: []string{"agents", "0198a1b2"}, Time: testTime,
		Signer: mustKey(1), NextKeys: []jose.PublicKey{mustKey(2).Public()}, Keys: []jose.PublicKey{mustKey(9).Public()},
		Controllers: []string{"did:web:registry.example:orgs:acme"}, Custodian: "did:web:registry.example",
		Services: []Service{{ID: "#mcp", Type: "MCP", ServiceEndpoint: "https://registry.example/mcp/{SCID}"}}, TTL: 5 * time.Minute,
	}
}

// golden compares got with a file of testdata.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

// The example of did:webvh v1.0, "Generate Entry Hash".
func TestEntryHashOfTheSpecification(t *testing.T) {
	line, err := os.ReadFile(filepath.Join("testdata", "spec-entry-hash.json"))
	if err != nil {
		t.Fatal(err)
	}
	var e logEntry
	if err := canon.Unmarshal(line, &e); err != nil {
		t.Fatal(err)
	}
	got, err := e.entryHash("QmdmPkUdYzbr9txmx8gM2rsHPgr5L6m3gHjJGAf4vUFoGE")
	if want := "QmQ6FJ4fk2xheSSQoEjVpTgx9AQPKhJgtR9hn1nr4EeCrZ"; err != nil || got != want {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
}

func TestGenesis(t *testing.T) {
	e, err := Genesis(testGenesis())
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "genesis.jsonl", e.Line)
	web, err := ParallelWeb(e.Document)
	if err != nil {
		t.Fatal(err)
	}
	webJSON, err := web.Canonical()
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "genesis-web.json", webJSON)
	if web.ID != e.Web.String() || !cmp.Equal(web.AlsoKnownAs, []string{e.DID.String()}) {
		t.Errorf("got parallel document %s known as %s", web.ID, web.AlsoKnownAs)
	}

	r, err := VerifyLog(e.Line, e.Time)
	if err != nil {
		t.Fatal(err)
	}
	v := r.Current()
	if r.DID != e.DID || v.ID != e.VersionID || v.EntryHash != e.EntryHash || !v.Time.Equal(e.Time) || r.TTL != 5*time.Minute {
		t.Errorf("got %+v of %+v", r, e)
	}
	doc, err := ParseDocument(v.Document)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(e.Document, doc); diff != "" {
		t.Errorf("(-made +verified):\n%s", diff)
	}
	agent := mustKey(9).Public()
	if got, ok := doc.Key(e.DID.KeyURL(agent)); !ok || got != agent {
		t.Error("the document does not hold the agent's key")
	}
	if _, ok := doc.Key(e.DID.String() + "#other"); ok {
		t.Error("the document holds a key that it does not")
	}
	if !e.Time.Equal(testTime.Truncate(time.Second)) {
		t.Errorf("got time %s", e.Time)
	}
	if _, err := VerifyLog(e.Line, e.Time.Add(-1)); !errors.Is(err, BadTime) {
		t.Errorf("before its time: got %v", err)
	}
	if _, ok := r.At(e.Time.Add(-1)); ok {
		t.Error("there is a version before the first")
	}
	if again, _ := Genesis(testGenesis()); !bytes.Equal(again.Line, e.Line) {
		t.Error("genesis is not deterministic")
	}
}

func TestGenesisRefused(t *testing.T) {
	p256, err := jose.GenerateP256()
	if err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*GenesisParams){
		"no signer":        func(p *GenesisParams) { p.Signer = nil },
		"P-256 signer":     func(p *GenesisParams) { p.Signer = p256 },
		"no next key":      func(p *GenesisParams) { p.NextKeys = nil },
		"P-256 next key":   func(p *GenesisParams) { p.NextKeys = []jose.PublicKey{p256.Public()} },
		"no key":           func(p *GenesisParams) { p.Keys = nil },
		"IP host":          func(p *GenesisParams) { p.Origin = "https://127.0.0.1" },
		"climbing segment": func(p *GenesisParams) { p.Path[0] = ".." },
		"negative ttl":     func(p *GenesisParams) { p.TTL = -time.Second },
	} {
		p := testGenesis()
		spoil(&p)
		if _, err := Genesis(p); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	p := testGenesis()
	p.Keys = []jose.PublicKey{p256.Public()} // the agent's own key may be
	if _, err := Genesis(p); err != nil {
		t.Error(err)
	}
}

// step is one entry of a log under test: what differs from the entry before.
type step struct {
	params string                  // JSON; "" is {}
	signer byte                    // seed of the update key
	at     time.Duration           // after the genesis entry; 0 is one hour per entry
	state  func(doc string) string // nil keeps the document
	layout string                  // of versionTime; "" is RFC 3339
	spoil  func(e *logEntry)       // after signing
}

func keyJSON(seeds ...byte) string {
	var out []string
	for _, seed := range seeds {
		out = append(out, mustKey(seed).Public().Multikey())
	}
	data, _ := json.Marshal(out)
	return string(data)
}

func hashJSON(seeds ...byte) string {
	out := []string{}
	for _, seed := range seeds {
		out = append(out, NextKeyHash(mustKey(seed).Public()))
	}
	data, _ := json.Marshal(out)
	return string(data)
}

func rotate(key byte, next ...byte) string {
	return fmt.Sprintf(`{"updateKeys":%s,"nextKeyHashes":%s}`, keyJSON(key), hashJSON(next...))
}

// buildLog makes a log as a controller would that knows no rules.
func buildLog(t testing.TB, first string, steps ...step) []byte {
	t.Helper()
	state := fmt.Sprintf(`{"@context":%q,"id":"did:webvh:{SCID}:registry.example:agents:1"}`, ContextDID)
	e := logEntry{VersionTime: testTime.UTC().Format(time.RFC3339), Parameters: json.RawMessage(first), State: json.RawMessage(state)}
	scid, err := e.scid(placeholder)
	if err != nil {
		t.Fatal(err)
	}
	e.Parameters, e.State = replaceSCID(e.Parameters, scid), replaceSCID(e.State, scid)
	state = string(e.State)
	var out []byte
	predecessor := scid
	for n, s := range append([]step{{signer: 1}}, steps...) {
		if n > 0 {
			if s.at == 0 {
				s.at = time.Duration(n) * time.Hour
			}
			if s.state != nil {
				state = s.state(state)
			}
			if s.params == "" {
				s.params = "{}"
			}
			if s.layout == "" {
				s.layout = time.RFC3339
			}
			e = logEntry{
				VersionTime: testTime.Add(s.at).UTC().Format(s.layout),
				Parameters:  json.RawMessage(s.params), State: json.RawMessage(state),
			}
		}
		hash, err := e.entryHash(predecessor)
		if err != nil {
			t.Fatal(err)
		}
		e.VersionID = fmt.Sprintf("%d-%s", n+1, hash)
		predecessor = e.VersionID
		if err := e.sign(mustKey(s.signer)); err != nil {
			t.Fatal(err)
		}
		if s.spoil != nil {
			s.spoil(&e)
		}
		line, err := canon.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		out = append(append(out, line...), '\n')
	}
	return out
}

// p256DID is a did:key that cannot sign log entries, of the did:key specification.
const p256DID = "did:key:zDnaerx9CtbPJ1q36T5Ln5wYt3MQYeGRG5ehnPAmxcf5mDZpv"

// witnessed is a witness parameter that follows others.
func witnessed(threshold int, seeds ...byte) string {
	var ids []string
	for _, seed := range seeds {
		ids = append(ids, fmt.Sprintf(`{"id":%q}`, Key(mustKey(seed).Public())))
	}
	return fmt.Sprintf(`,"witness":{"threshold":%d,"witnesses":[%s]}`, threshold, strings.Join(ids, ","))
}

func plain(more string) string {
	return `{"method":"did:webvh:1.0","scid":"{SCID}","updateKeys":` + keyJSON(1) + more + `}`
}

var preRotated = plain(`,"nextKeyHashes":` + hashJSON(2, 7))

// moved renames the DID as a portable log may; silently does not tell.
func moved(doc string) string {
	id := doc[strings.Index(doc, "did:webvh:"):strings.LastIndexByte(doc, '"')]
	other := strings.Replace(id, "registry.example", "other.example", 1)
	return strings.Replace(doc, `"id":"`+id+`"`, `"alsoKnownAs":["`+id+`"],"id":"`+other+`"`, 1)
}

func silently(doc string) string { return strings.Replace(doc, "registry.example", "other.example", 1) }

// logCases are logs by their parameters; entry is where code is found, and a log
// without code verifies.
var logCases = map[string]struct {
	first string
	steps []step
	code  Code // "" verifies
	entry int
}{
	"one entry":                   {plain(""), nil, "", 0},
	"unchanged parameters":        {plain(""), []step{{signer: 1}, {signer: 1}}, "", 0},
	"key rotation":                {plain(""), []step{{params: `{"updateKeys":` + keyJSON(2) + `}`, signer: 1}, {signer: 2}}, "", 0},
	"old key after rotation":      {plain(""), []step{{params: `{"updateKeys":` + keyJSON(2) + `}`, signer: 1}, {signer: 1}}, BadProof, 3},
	"new key too early":           {plain(""), []step{{params: `{"updateKeys":` + keyJSON(2) + `}`, signer: 2}}, BadProof, 2},
	"foreign key":                 {plain(""), []step{{signer: 3}}, BadProof, 2},
	"pre-rotation":                {preRotated, []step{{params: rotate(2, 3), signer: 2}, {params: rotate(3), signer: 3}, {signer: 3}}, "", 0},
	"pre-rotation, old key":       {preRotated, []step{{params: rotate(2, 3), signer: 1}}, BadProof, 2},
	"pre-rotation, uncommitted":   {preRotated, []step{{params: rotate(3, 4), signer: 3}}, PreRotation, 2},
	"pre-rotation, no updateKeys": {preRotated, []step{{params: `{"nextKeyHashes":[]}`, signer: 1}}, PreRotation, 2},
	"pre-rotation, empty keys":    {preRotated, []step{{params: `{"updateKeys":[],"nextKeyHashes":[]}`, signer: 1}}, PreRotation, 2},
	"pre-rotation, null keys":     {preRotated, []step{{params: `{"updateKeys":null,"nextKeyHashes":[]}`, signer: 1}}, PreRotation, 2},
	"pre-rotation, no next":       {preRotated, []step{{params: `{"updateKeys":` + keyJSON(2) + `}`, signer: 2}}, PreRotation, 2},
	"pre-rotation, nothing":       {preRotated, []step{{signer: 1}}, PreRotation, 2},
	"deactivated":                 {plain(""), []step{{params: `{"deactivated":true,"updateKeys":[]}`, signer: 1}}, "", 0},
	"after deactivation":          {plain(""), []step{{params: `{"deactivated":true}`, signer: 1}, {signer: 1}}, AfterDeactivate, 3},
	"portable":                    {plain(`,"portable":true`), []step{{signer: 1, state: moved}}, "", 0},
	"portable, silently":          {plain(`,"portable":true`), []step{{signer: 1, state: silently}}, BadID, 2},
	"moved but not portable":      {plain(""), []step{{signer: 1, state: moved}}, BadID, 2},
	"portable too late":           {plain(""), []step{{params: `{"portable":true}`, signer: 1}}, BadParameters, 2},
	"no longer portable":          {plain(`,"portable":true`), []step{{params: `{"portable":false}`, signer: 1}, {signer: 1, state: moved}}, BadID, 3},
	"other SCID": {plain(`,"portable":true`), []step{{signer: 1, state: func(s string) string {
		at := strings.Index(s, "did:webvh:") + len("did:webvh:")
		return s[:at] + testSCID + s[at+len(testSCID):]
	}}}, BadSCID, 2},
	"id of another method":    {plain(""), []step{{signer: 1, state: func(string) string { return `{"id":"did:web:registry.example"}` }}}, BadID, 2},
	"no id":                   {plain(""), []step{{signer: 1, state: func(string) string { return `{}` }}}, BadID, 2},
	"state no object":         {plain(""), []step{{signer: 1, state: func(string) string { return `[]` }}}, BadID, 2},
	"same time":               {plain(""), []step{{signer: 1, at: time.Millisecond}}, BadTime, 2},
	"earlier":                 {plain(""), []step{{signer: 1, at: -time.Hour}}, BadTime, 2},
	"later entry in future":   {plain(""), []step{{signer: 1, at: 1e6 * time.Hour}}, BadTime, 2},
	"no method":               {`{"scid":"{SCID}","updateKeys":` + keyJSON(1) + `}`, nil, BadParameters, 1},
	"no scid":                 {`{"method":"did:webvh:1.0","updateKeys":` + keyJSON(1) + `}`, nil, BadParameters, 1},
	"scid not a hash":         {`{"method":"did:webvh:1.0","scid":"a","updateKeys":` + keyJSON(1) + `}`, nil, BadSCID, 1},
	"scid of another":         {`{"method":"did:webvh:1.0","scid":"` + testSCID + `","updateKeys":` + keyJSON(1) + `}`, nil, BadSCID, 1},
	"no updateKeys":           {`{"method":"did:webvh:1.0","scid":"{SCID}"}`, nil, BadParameters, 1},
	"empty updateKeys":        {`{"method":"did:webvh:1.0","scid":"{SCID}","updateKeys":[]}`, nil, BadParameters, 1},
	"updateKeys no key":       {`{"method":"did:webvh:1.0","scid":"{SCID}","updateKeys":["z6Mk"]}`, nil, BadParameters, 1},
	"other version":           {strings.Replace(plain(""), "1.0", "0.5", 1), nil, BadParameters, 1},
	"scid again":              {plain(""), []step{{params: `{"scid":"` + testSCID + `"}`, signer: 1}}, BadParameters, 2},
	"unknown parameter":       {plain(`,"prerotation":true`), nil, BadParameters, 1},
	"parameters no object":    {plain(""), []step{{params: `[]`, signer: 1}}, BadParameters, 2},
	"ttl negative":            {plain(`,"ttl":-1`), nil, BadParameters, 1},
	"ttl too large":           {plain(`,"ttl":2147483649`), nil, BadParameters, 1},
	"watchers":                {plain(`,"watchers":["https://watcher.example"]`), nil, "", 0},
	"null parameters":         {plain(`,"ttl":null,"watchers":null,"witness":null`), nil, "", 0},
	"witness empty":           {plain(`,"witness":{}`), nil, "", 0},
	"witness twice":           {plain(witnessed(2, 5, 5)), nil, BadParameters, 1},
	"witness threshold 0":     {plain(`,"witness":{"threshold":0,"witnesses":[{"id":"` + Key(mustKey(5).Public()).String() + `"}]}`), nil, BadParameters, 1},
	"witness, nobody":         {plain(`,"witness":{"threshold":1,"witnesses":[]}`), nil, BadParameters, 1},
	"witness, only threshold": {plain(`,"witness":{"threshold":1}`), nil, BadParameters, 1},
	"witness of P-256":        {plain(`,"witness":{"threshold":1,"witnesses":[{"id":"` + p256DID + `"}]}`), nil, BadParameters, 1},
	"witness with weight":     {plain(strings.Replace(witnessed(1, 5), `"id"`, `"weight":1,"id"`, 1)), nil, BadParameters, 1},
	"witnesses on request":    {plain(witnessed(1, 5)), nil, Unwitnessed, 1},
	"portable again":          {plain(`,"portable":true`), []step{{params: `{"portable":true}`, signer: 1}}, BadParameters, 2},
	"null ends pre-rotation":  {preRotated, []step{{params: `{"updateKeys":` + keyJSON(2) + `,"nextKeyHashes":null}`, signer: 2}, {signer: 2}}, "", 0},
	"null deactivated":        {plain(""), []step{{params: `{"deactivated":null}`, signer: 1}}, BadParameters, 2},
	"null scid":               {plain(""), []step{{params: `{"scid":null}`, signer: 1}}, BadParameters, 2},
	"UTC as an offset":        {plain(""), []step{{signer: 1, layout: "2006-01-02T15:04:05+00:00"}}, "", 0},
	"another zone":            {plain(""), []step{{signer: 1, layout: "2006-01-02T15:04:05+01:00"}}, BadTime, 2},
	"no zone":                 {plain(""), []step{{signer: 1, layout: "2006-01-02T15:04:05"}}, BadTime, 2},
	"witness no did:key":      {plain(`,"witness":{"threshold":1,"witnesses":[{"id":"did:web:a.example"}]}`), nil, BadParameters, 1},
}

func TestVerifyLog(t *testing.T) {
	for name, c := range logCases {
		log := buildLog(t, c.first, c.steps...)
		r, err := VerifyLog(log, testNow)
		var e *LogError
		switch {
		case c.code == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case c.code == "" && len(r.Versions) != len(c.steps)+1:
			t.Errorf("%s: got %d versions", name, len(r.Versions))
		case c.code != "" && (!errors.As(err, &e) || e.Code != c.code || e.Entry != c.entry):
			t.Errorf("%s: got %v, want %s in entry %d", name, err, c.code, c.entry)
		}
	}
}

// Whatever is changed in an entry after it was signed is noticed, and so is every
// part of a log that is missing or out of place.
func TestVerifyLogTampered(t *testing.T) {
	spoilProof := func(f func(*proof)) func(*logEntry) {
		return func(e *logEntry) { f(&e.Proof[0]) }
	}
	other := mustKey(3)
	for name, c := range map[string]struct {
		spoil func(*logEntry)
		code  Code
	}{
		"number":       {func(e *logEntry) { e.VersionID = "3" + e.VersionID[1:] }, BadHash},
		"number 02":    {func(e *logEntry) { e.VersionID = "0" + e.VersionID }, BadHash},
		"hash":         {func(e *logEntry) { e.VersionID = "2-" + testSCID }, BadHash},
		"time":         {func(e *logEntry) { e.VersionTime = "2027-01-01T00:00:00Z" }, BadHash},
		"parameters":   {func(e *logEntry) { e.Parameters = json.RawMessage(`{"ttl":1}`) }, BadHash},
		"state":        {func(e *logEntry) { e.State = append(e.State[:len(e.State)-1:len(e.State)-1], `,"x":1}`...) }, BadHash},
		"no proof":     {func(e *logEntry) { e.Proof = nil }, BadProof},
		"second proof": {func(e *logEntry) { e.Proof = append(e.Proof, proof{Type: "x"}) }, BadProof},
		"cryptosuite":  {spoilProof(func(p *proof) { p.Cryptosuite = "eddsa-rdfc-2022" }), BadProof},
		"type":         {spoilProof(func(p *proof) { p.Type = "Ed25519Signature2020" }), BadProof},
		"purpose":      {spoilProof(func(p *proof) { p.ProofPurpose = "authentication" }), BadProof},
		"created":      {spoilProof(func(p *proof) { p.Created = "2027-01-01T00:00:00Z" }), BadProof},
		"created bad":  {spoilProof(func(p *proof) { p.Created = "yesterday" }), BadProof},
		"fragment": {spoilProof(func(p *proof) {
			p.VerificationMethod = Key(mustKey(1).Public()).KeyURL(other.Public())
		}), BadProof},
		"body":         {spoilProof(func(p *proof) { p.VerificationMethod = Key(other.Public()).KeyURL(mustKey(1).Public()) }), BadProof},
		"no fragment":  {spoilProof(func(p *proof) { p.VerificationMethod = Key(mustKey(1).Public()).String() }), BadProof},
		"no did":       {spoilProof(func(p *proof) { p.VerificationMethod = "x" }), BadProof},
		"did:web":      {spoilProof(func(p *proof) { p.VerificationMethod = "did:web:a.example#1" }), BadProof},
		"value":        {spoilProof(func(p *proof) { p.ProofValue = "z" + strings.Repeat("2", 87) }), BadProof},
		"value empty":  {spoilProof(func(p *proof) { p.ProofValue = "" }), BadProof},
		"value base64": {spoilProof(func(p *proof) { p.ProofValue = "u" + p.ProofValue[1:] }), BadProof},
		"value base58": {spoilProof(func(p *proof) { p.ProofValue = "z0" + p.ProofValue[2:] }), BadProof},
		"value long":   {spoilProof(func(p *proof) { p.ProofValue += p.ProofValue }), BadProof},
	} {
		_, err := VerifyLog(buildLog(t, plain(""), step{signer: 1, spoil: c.spoil}), testNow)
		var e *LogError
		if !errors.As(err, &e) || e.Code != c.code || e.Entry != 2 {
			t.Errorf("%s: got %v, want %s", name, err, c.code)
		}
	}
}

// TestVerifyLogLines does to the lines what TestVerifyLogTampered does in them.
func TestVerifyLogLines(t *testing.T) {
	log := buildLog(t, plain(""), step{signer: 1}, step{signer: 1})
	lines := bytes.SplitAfter(log, []byte("\n"))[:3]
	for name, c := range map[string]struct {
		log  []byte
		code Code
	}{
		"empty":          {nil, Malformed},
		"blank line":     {append([]byte("\n"), log...), Malformed},
		"blank at end":   {append(bytes.Clone(log), '\n'), Malformed},
		"not JSON":       {[]byte("{"), Malformed},
		"an array":       {[]byte("[]"), Malformed},
		"unknown member": {bytes.Replace(log, []byte(`{"parameters"`), []byte(`{"x":1,"parameters"`), 1), Malformed},
		"proof member":   {bytes.Replace(log, []byte(`"created"`), []byte(`"expires":"2099-01-01T00:00:00Z","created"`), 1), Malformed},
		"proof object":   {bytes.NewBufferString(strings.NewReplacer(`"proof":[`, `"proof":`, `}],"state"`, `},"state"`).Replace(string(log))).Bytes(), Malformed},
		"first missing":  {bytes.Join(lines[1:], nil), BadParameters},
		"middle missing": {bytes.Join([][]byte{lines[0], lines[2]}, nil), BadHash},
		"swapped":        {bytes.Join([][]byte{lines[0], lines[2], lines[1]}, nil), BadHash},
		"repeated":       {bytes.Join([][]byte{lines[0], lines[1], lines[1]}, nil), BadTime},
		"too long":       {make([]byte, MaxLog+1), Malformed},
		"too many":       {bytes.Repeat([]byte("\n"), MaxEntries+2), Malformed},
		"cut in a line":  {log[:len(log)-40], Malformed},
	} {
		if _, err := VerifyLog(c.log, testNow); !errors.Is(err, c.code) {
			t.Errorf("%s: got %v, want %s", name, err, c.code)
		}
	}
	if _, err := VerifyLog(bytes.TrimSuffix(log, []byte("\n")), testNow); err != nil {
		t.Errorf("without the last line feed: %v", err)
	}
}

func TestAt(t *testing.T) {
	r, err := VerifyLog(buildLog(t, plain(""), step{signer: 1}, step{params: `{"updateKeys":` + keyJSON(4) + `}`, signer: 1}), testNow)
	if err != nil {
		t.Fatal(err)
	}
	for at, want := range map[time.Duration]string{0: "1-", time.Hour - time.Second: "1-", time.Hour: "2-", 99 * time.Hour: "3-"} {
		if v, ok := r.At(testTime.Truncate(time.Second).Add(at)); !ok || !strings.HasPrefix(v.ID, want) {
			t.Errorf("after %s: got %s", at, v.ID)
		}
	}
	if diff := cmp.Diff([]string{mustKey(4).Public().Multikey()}, r.Current().UpdateKeys); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func FuzzVerifyLog(f *testing.F) {
	f.Add(buildLog(f, plain(""), step{signer: 1}))
	f.Add(buildLog(f, plain(`,"nextKeyHashes":`+hashJSON(2)), step{params: rotate(2), signer: 2}))
	f.Fuzz(func(t *testing.T, log []byte) {
		if r, err := VerifyLog(log, testNow); err == nil && len(r.Versions) == 0 {
			t.Error("a log without versions")
		}
	})
}

func BenchmarkGenesis(b *testing.B) {
	p := testGenesis()
	for b.Loop() {
		if _, err := Genesis(p); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerifyLog(b *testing.B) {
	e, err := Genesis(testGenesis())
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := VerifyLog(e.Line, testNow); err != nil {
			b.Fatal(err)
		}
	}
}
