package did

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/writ-registry/writ/internal/canon"
	"github.com/writ-registry/writ/internal/jose"
)

func public(seeds ...byte) []jose.PublicKey {
	var out []jose.PublicKey
	for _, seed := range seeds {
		out = append(out, mustKey(seed).Public())
	}
	return out
}

func genesisLog(t testing.TB, change func(*GenesisParams)) []byte {
	t.Helper()
	p := testGenesis()
	if change != nil {
		change(&p)
	}
	e, err := Genesis(p)
	if err != nil {
		t.Fatal(err)
	}
	return e.Line
}

// mustUpdate returns the log with one entry more, which must verify.
func mustUpdate(t testing.TB, log []byte, p UpdateParams) ([]byte, Entry) {
	t.Helper()
	e, err := Update(log, p)
	if err != nil {
		t.Fatal(err)
	}
	log = slices.Concat(log, e.Line)
	r, err := VerifyLog(log, e.Time)
	if err != nil {
		t.Fatal(err)
	}
	if v := r.Current(); v.ID != e.VersionID || v.EntryHash != e.EntryHash || !v.Time.Equal(e.Time) || v.DID != e.DID {
		t.Errorf("made %+v, verified %+v", e, v)
	}
	return log, e
}

func after(hours int) time.Time { return testTime.Add(time.Duration(hours) * time.Hour) }

// An agent's key is rotated with overlap, the old one is dropped, the DID ends: the
// life that the registry gives it, with every update key spent once.
func TestLife(t *testing.T) {
	log := genesisLog(t, nil)
	overlap := []OverlapKey{{mustKey(9).Public(), after(24)}}
	subject := func(p UpdateParams) UpdateParams {
		g := testGenesis()
		p.Controllers, p.Services, p.Custodian = g.Controllers, g.Services, g.Custodian
		return p
	}
	log, rotated := mustUpdate(t, log, subject(UpdateParams{
		Time: after(1), Signer: mustKey(2), NextKeys: public(3), Keys: public(10), Overlap: overlap,
	}))
	old, fresh := rotated.DID.KeyURL(mustKey(9).Public()), rotated.DID.KeyURL(mustKey(10).Public())
	for _, c := range []struct {
		id   string
		at   time.Time
		want bool
	}{
		{fresh, after(1), true}, {fresh, after(99), true}, {old, after(23), true},
		{old, after(24).Truncate(time.Second), false}, {old, after(25), false}, {rotated.DID.String() + "#x", after(1), false},
	} {
		if _, ok := rotated.Document.KeyAt(c.id, c.at); ok != c.want {
			t.Errorf("%s at %s: got %t", c.id, c.at, ok)
		}
	}
	if len(rotated.Document.Authentication) != 2 || len(rotated.Document.CapabilityInvocation) != 2 {
		t.Errorf("both keys are not in use: %+v", rotated.Document)
	}

	log, dropped := mustUpdate(t, log, subject(UpdateParams{Time: after(25), Signer: mustKey(3), NextKeys: public(4), Keys: public(10)}))
	if _, ok := dropped.Document.Key(old); ok {
		t.Error("the old key is still listed")
	}
	log, kept := mustUpdate(t, log, UpdateParams{Time: after(26), Signer: mustKey(4), NextKeys: public(5, 6)})
	if diff := cmp.Diff(dropped.Document, kept.Document); diff != "" {
		t.Errorf("an update of keys changes the document (-before +after):\n%s", diff)
	}

	end, err := Deactivate(log, mustKey(6), after(27))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range end {
		log = append(log, e.Line...)
	}
	r, err := VerifyLog(log, after(27))
	if err != nil {
		t.Fatal(err)
	}
	if v := r.Current(); !r.Deactivated || len(v.UpdateKeys) != 0 || len(r.NextKeyHashes) != 0 || v.Number != 6 || !v.Time.Equal(after(27).Truncate(time.Second)) {
		t.Errorf("got %+v", r)
	}
	golden(t, "life.jsonl", log)

	for _, k := range []byte{1, 2, 3, 4, 5, 6} {
		if r.MaySign(mustKey(k).Public()) {
			t.Errorf("key %d may still sign", k)
		}
	}
	if _, err := Update(log, UpdateParams{Time: after(28), Signer: mustKey(6), NextKeys: public(7)}); !errors.Is(err, AfterDeactivate) {
		t.Errorf("got %v", err)
	}
}

func TestDeactivateWithoutPreRotation(t *testing.T) {
	log := buildLog(t, plain(""))
	end, err := Deactivate(log, mustKey(1), after(1))
	if err != nil || len(end) != 1 {
		t.Fatalf("got %d entries, %v", len(end), err)
	}
	if r, err := VerifyLog(slices.Concat(log, end[0].Line), after(1)); err != nil || !r.Deactivated {
		t.Errorf("got %+v, %v", r, err)
	}
	if _, err := Deactivate(log, mustKey(3), after(1)); !errors.Is(err, BadProof) {
		t.Errorf("another key: got %v", err)
	}
	if _, err := Deactivate(log, nil, after(1)); err == nil {
		t.Error("nobody deactivates")
	}
	// A second after the last entry there is no room before: the last is a second later.
	log = genesisLog(t, nil)
	end, err = Deactivate(log, mustKey(2), testTime.Add(time.Second))
	if err != nil || len(end) != 2 || !end[1].Time.Equal(testTime.Add(2*time.Second).Truncate(time.Second)) {
		t.Errorf("got %d entries, %v", len(end), err)
	}
	if _, err := Deactivate(log, mustKey(2), testTime); !errors.Is(err, BadTime) {
		t.Errorf("at the time of the last: got %v", err)
	}
}

func TestMove(t *testing.T) {
	log := genesisLog(t, func(p *GenesisParams) { p.Portable = true })
	r, err := VerifyLog(log, testNow)
	if err != nil {
		t.Fatal(err)
	}
	first := r.DID
	move := UpdateParams{
		Time: after(1), Signer: mustKey(2), NextKeys: public(3), Keys: public(9),
		Origin: "https://other.example:8443", Path: []string{"moved"},
		Services: []Service{{ID: "#mcp", Type: "MCP", ServiceEndpoint: "https://other.example/{SCID}"}},
	}
	log, moved := mustUpdate(t, log, move)
	if want := "did:webvh:" + first.SCID() + ":other.example%3A8443:moved"; moved.DID.String() != want {
		t.Errorf("got %s, want %s", moved.DID, want)
	}
	if want := []string{moved.Web.String(), first.String()}; !cmp.Equal(moved.Document.AlsoKnownAs, want) {
		t.Errorf("got alsoKnownAs %s, want %s", moved.Document.AlsoKnownAs, want)
	}
	if moved.Document.Service[0].ServiceEndpoint != "https://other.example/"+first.SCID() {
		t.Errorf("got service %+v", moved.Document.Service[0])
	}
	log, settled := mustUpdate(t, log, UpdateParams{Time: after(2), Signer: mustKey(3), NextKeys: public(4), Keys: public(9), EndPortability: true})
	if settled.DID != moved.DID || !slices.Contains(settled.Document.AlsoKnownAs, first.String()) {
		t.Errorf("got %s known as %s", settled.DID, settled.Document.AlsoKnownAs)
	}
	r, err = VerifyLog(log, testNow)
	if err != nil {
		t.Fatal(err)
	}
	if !r.Knows(first) || !r.Knows(moved.DID) || r.Knows(moved.Web) || r.Portable {
		t.Errorf("got %+v", r)
	}
	if m := r.Metadata(r.Versions[0]); m.CanonicalID != moved.DID.String() {
		t.Errorf("the first version has moved to %s", m.CanonicalID)
	}
	move.Time, move.Signer, move.NextKeys, move.Path = after(3), mustKey(4), public(5), []string{"again"}
	if _, err := Update(log, move); !errors.Is(err, BadID) {
		t.Errorf("a move that is no longer allowed: got %v", err)
	}
}

func TestUpdateParameters(t *testing.T) {
	log := genesisLog(t, nil)
	ttl := time.Duration(0)
	log, _ = mustUpdate(t, log, UpdateParams{
		Time: after(1), Signer: mustKey(2), EndPreRotation: true, Watchers: []string{"https://watcher.example"}, TTL: &ttl,
	})
	r, err := VerifyLog(log, testNow)
	if err != nil || len(r.NextKeyHashes) != 0 || r.TTL != 0 || !cmp.Equal(r.Watchers, []string{"https://watcher.example"}) {
		t.Fatalf("got %+v, %v", r, err)
	}
	if !r.MaySign(mustKey(2).Public()) || r.MaySign(mustKey(1).Public()) {
		t.Error("the keys in force are not those of the last entry")
	}
	log, _ = mustUpdate(t, log, UpdateParams{Time: after(2), Signer: mustKey(2), UpdateKeys: public(7, 8), Watchers: []string{}})
	log, _ = mustUpdate(t, log, UpdateParams{Time: after(3), Signer: mustKey(8), NextKeys: public(11)})
	if r, err = VerifyLog(log, testNow); err != nil || len(r.Watchers) != 0 || !r.MaySign(mustKey(11).Public()) || r.MaySign(mustKey(8).Public()) {
		t.Errorf("got %+v, %v", r, err)
	}

	log, began := mustUpdateWitnessed(t, log, UpdateParams{Time: after(4), Signer: mustKey(11), NextKeys: public(12), Witness: &Witnesses{1, public(5)}}, 5)
	_, _ = mustUpdateWitnessed(t, log, UpdateParams{Time: after(5), Signer: mustKey(12), NextKeys: public(13), Witness: &Witnesses{}}, 5)
	if _, err := VerifyLog(log, testNow, approve(t, log, approval{4, 5, nil})...); !errors.Is(err, Unwitnessed) {
		t.Errorf("%s without its witness: got %v", began.VersionID, err)
	}
}

// mustUpdateWitnessed is mustUpdate where a witness approves.
func mustUpdateWitnessed(t testing.TB, log []byte, p UpdateParams, witness byte) ([]byte, Entry) {
	t.Helper()
	e, err := Update(log, p)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := VerifyNext(log, e.Line, testNow); err != nil { // what the witness does
		t.Fatal(err)
	}
	proof, err := Approve(e.VersionID, mustKey(witness), p.Time)
	if err != nil {
		t.Fatal(err)
	}
	log = slices.Concat(log, e.Line)
	if _, err := VerifyLog(log, testNow, proof); err != nil {
		t.Fatal(err)
	}
	return log, e
}

func TestUpdateRefused(t *testing.T) {
	p256, err := jose.GenerateP256()
	if err != nil {
		t.Fatal(err)
	}
	log := genesisLog(t, nil)
	negative := -time.Second
	for name, c := range map[string]struct {
		change func(*UpdateParams)
		code   Code // "" is an error of another kind
	}{
		"no signer":              {func(p *UpdateParams) { p.Signer = nil }, ""},
		"P-256 signer":           {func(p *UpdateParams) { p.Signer = p256 }, ""},
		"spent signer":           {func(p *UpdateParams) { p.Signer = mustKey(1) }, PreRotation},
		"foreign signer":         {func(p *UpdateParams) { p.Signer = mustKey(3) }, PreRotation},
		"signer not among keys":  {func(p *UpdateParams) { p.Signer, p.UpdateKeys = mustKey(3), public(2) }, BadProof},
		"uncommitted update key": {func(p *UpdateParams) { p.UpdateKeys = public(2, 3) }, PreRotation},
		"P-256 update key":       {func(p *UpdateParams) { p.UpdateKeys = []jose.PublicKey{p256.Public()} }, BadParameters},
		"no next key":            {func(p *UpdateParams) { p.NextKeys = nil }, ""},
		"P-256 next key":         {func(p *UpdateParams) { p.NextKeys = []jose.PublicKey{p256.Public()} }, ""},
		"next key and end":       {func(p *UpdateParams) { p.EndPreRotation = true }, ""},
		"same second":            {func(p *UpdateParams) { p.Time = testTime.Add(400 * time.Millisecond) }, BadTime},
		"earlier":                {func(p *UpdateParams) { p.Time = after(-1) }, BadTime},
		"document without keys":  {func(p *UpdateParams) { p.Keys = nil }, ""},
		"move, not portable":     {func(p *UpdateParams) { p.Origin = "https://other.example" }, BadID},
		"move to an address":     {func(p *UpdateParams) { p.Origin = "https://127.0.0.1" }, ""},
		"path without origin":    {func(p *UpdateParams) { p.Path = []string{"x"} }, ""},
		"negative ttl":           {func(p *UpdateParams) { p.TTL = &negative }, BadParameters},
		"witness twice":          {func(p *UpdateParams) { p.Witness = &Witnesses{1, public(5, 5)} }, BadParameters},
		"witness threshold":      {func(p *UpdateParams) { p.Witness = &Witnesses{2, public(5)} }, BadParameters},
		"witness of P-256":       {func(p *UpdateParams) { p.Witness = &Witnesses{1, []jose.PublicKey{p256.Public()}} }, BadParameters},
		"huge":                   {func(p *UpdateParams) { p.AlsoKnownAs = []string{strings.Repeat("a", MaxLog)} }, Malformed},
	} {
		p := UpdateParams{Time: after(1), Signer: mustKey(2), NextKeys: public(3), Keys: public(9), AlsoKnownAs: []string{"urn:x"}}
		c.change(&p)
		_, err := Update(log, p)
		var e *LogError
		if err == nil || errors.As(err, &e) != (c.code != "") || c.code != "" && (!errors.Is(err, c.code) || e.Entry != 2) {
			t.Errorf("%s: got %v, want %q", name, err, c.code)
		}
	}
	if _, err := Update(log[:len(log)/2], UpdateParams{}); !errors.Is(err, Malformed) {
		t.Errorf("half a log: got %v", err)
	}
}

func TestVerifyNext(t *testing.T) {
	log := genesisLog(t, nil)
	e, err := Update(log, UpdateParams{Time: after(1), Signer: mustKey(2), NextKeys: public(3), Keys: public(10)})
	if err != nil {
		t.Fatal(err)
	}
	// The holder may send the entry in any spelling: it is kept in one.
	var spaced bytes.Buffer
	spaced.WriteString(" \r\n")
	spaced.Write(bytes.ReplaceAll(e.Line, []byte(`,"`), []byte(" ,\n\t\"")))
	for _, line := range [][]byte{e.Line, bytes.TrimSpace(e.Line), spaced.Bytes()} {
		got, err := VerifyNext(log, line, e.Time)
		if err != nil {
			t.Fatal(err)
		}
		if string(got.Line) != string(e.Line) || got.VersionID != e.VersionID || got.EntryHash != e.EntryHash || got.Web != e.Web {
			t.Errorf("got %+v, want %+v", got, e)
		}
		if diff := cmp.Diff(e.Document, got.Document); diff != "" {
			t.Errorf("(-made +verified):\n%s", diff)
		}
	}
	longer := slices.Concat(log, e.Line)
	fork, err := Update(log, UpdateParams{Time: after(2), Signer: mustKey(2), NextKeys: public(3)})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		log, line []byte
		now       time.Time
		code      Code
	}{
		"again":         {longer, e.Line, testNow, PreRotation},
		"fork":          {longer, fork.Line, testNow, PreRotation},
		"genesis":       {longer, log, testNow, BadParameters},
		"two entries":   {log, slices.Concat(e.Line, e.Line), testNow, Malformed},
		"nothing":       {log, nil, testNow, Malformed},
		"future":        {log, e.Line, e.Time.Add(-1), BadTime},
		"tampered":      {log, bytes.Replace(e.Line, []byte("Multikey"), []byte("Multikex"), 1), testNow, BadHash},
		"log of others": {genesisLog(t, func(p *GenesisParams) { p.TTL = time.Hour }), e.Line, testNow, BadHash},
		"no log":        {nil, e.Line, testNow, Malformed},
	} {
		if _, err := VerifyNext(c.log, c.line, c.now); !errors.Is(err, c.code) {
			t.Errorf("%s: got %v, want %s", name, err, c.code)
		}
	}
	// A document that this package cannot read has no place in the registry.
	embedded := buildLog(t, plain(""), step{signer: 1, state: func(s string) string {
		return strings.TrimSuffix(s, "}") + `,"authentication":[{"id":"#x"}]}`
	}})
	lines := bytes.SplitAfter(embedded, []byte("\n"))
	var e2 *LogError
	if _, err := VerifyNext(lines[0], lines[1], testNow); err == nil || errors.As(err, &e2) {
		t.Errorf("embedded method: got %v", err)
	}
}

// A log that is full is verified to its end, and takes no entry more.
func TestFullLog(t *testing.T) {
	steps := make([]step, MaxEntries-1)
	for i := range steps {
		steps[i] = step{signer: 1, at: time.Duration(i+1) * time.Second}
	}
	log := buildLog(t, plain(""), steps...)
	var e *LogError
	if _, err := Update(log, UpdateParams{Time: after(1), Signer: mustKey(1)}); !errors.As(err, &e) || e.Code != Malformed || e.Entry != MaxEntries+1 {
		t.Errorf("got %v", err)
	}
}

func FuzzVerifyNext(f *testing.F) {
	log := genesisLog(f, nil)
	e, err := Update(log, UpdateParams{Time: after(1), Signer: mustKey(2), NextKeys: public(3)})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(e.Line)
	f.Fuzz(func(t *testing.T, line []byte) {
		got, err := VerifyNext(log, line, testNow)
		if err != nil {
			return
		}
		// Only the signed entry passes: its proof is the one there is.
		var a, b logEntry
		if canon.Unmarshal(bytes.TrimSpace(got.Line), &a) != nil || canon.Unmarshal(bytes.TrimSpace(e.Line), &b) != nil || got.VersionID != e.VersionID {
			t.Errorf("accepted %s", line)
		}
		if _, err := VerifyLog(slices.Concat(log, got.Line), testNow); err != nil {
			t.Errorf("the log with it does not verify: %v", err)
		}
	})
}

func BenchmarkUpdate(b *testing.B) {
	log := genesisLog(b, nil)
	for b.Loop() {
		if _, err := Update(log, UpdateParams{Time: after(1), Signer: mustKey(2), NextKeys: public(3), Keys: public(10)}); err != nil {
			b.Fatal(err)
		}
	}
}

// A hand-over: the entry commits to keys by their hashes alone, its signer can make no
// other, and who holds one of them can.
func TestHandOver(t *testing.T) {
	log := genesisLog(t, nil)
	hashes := []string{NextKeyHash(mustKey(20).Public()), NextKeyHash(mustKey(21).Public())}
	log, _ = mustUpdate(t, log, UpdateParams{Time: after(1), Signer: mustKey(2), NextKeyHashes: hashes})
	for _, seed := range []byte{1, 2, 3} {
		if _, err := Update(log, UpdateParams{Time: after(2), Signer: mustKey(seed), NextKeys: public(4)}); !errors.Is(err, PreRotation) {
			t.Errorf("key %d after the hand-over: %v", seed, err)
		}
	}
	mustUpdate(t, log, UpdateParams{Time: after(2), Signer: mustKey(21), NextKeys: public(22)})
	for name, p := range map[string]UpdateParams{
		"no hash":           {NextKeyHashes: []string{"Qm"}},
		"the end of hashes": {NextKeyHashes: hashes, EndPreRotation: true},
	} {
		p.Time, p.Signer = after(2), mustKey(21)
		if _, err := Update(log, p); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}
