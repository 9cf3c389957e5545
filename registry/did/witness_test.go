package did

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/writ-registry/writ/internal/canon"
	"github.com/writ-registry/writ/internal/jose"
)

// approval says that a witness approves an entry.
type approval struct {
	entry int // from 1
	seed  byte
	spoil func(*proof)
}

func versionIDs(t testing.TB, log []byte) []string {
	t.Helper()
	st, err := replay(log)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, v := range st.Versions {
		out = append(out, v.ID)
	}
	return out
}

func approve(t testing.TB, log []byte, approvals ...approval) []WitnessProof {
	t.Helper()
	ids := versionIDs(t, log)
	var out []WitnessProof
	for _, a := range approvals {
		p, err := Approve(ids[a.entry-1], mustKey(a.seed), testNow)
		if err != nil {
			t.Fatal(err)
		}
		if a.spoil != nil {
			a.spoil(&p.proof)
		}
		out = append(out, p)
	}
	return out
}

// witnessStep replaces the witnesses.
func witnessStep(threshold int, seeds ...byte) step {
	return step{signer: 1, params: "{" + strings.TrimPrefix(witnessed(threshold, seeds...), ",") + "}"}
}

var noWitnesses = step{signer: 1, params: `{"witness":{}}`}

// witnessCases are logs with the approvals that are published beside them; entry is
// the first that lacks some, 0 if none does.
var witnessCases = map[string]struct {
	first     string
	steps     []step
	approvals []approval
	entry     int
}{
	"one of one":                  {witnessed(1, 5), nil, []approval{{1, 5, nil}}, 0},
	"nobody":                      {witnessed(1, 5), nil, nil, 1},
	"a later one speaks for all":  {witnessed(1, 5), []step{{signer: 1}, {signer: 1}}, []approval{{3, 5, nil}}, 0},
	"an earlier one does not":     {witnessed(1, 5), []step{{signer: 1}}, []approval{{1, 5, nil}}, 2},
	"two of three":                {witnessed(2, 5, 6, 7), []step{{signer: 1}}, []approval{{2, 5, nil}, {2, 7, nil}}, 0},
	"two of three, at times":      {witnessed(2, 5, 6, 7), []step{{signer: 1}}, []approval{{1, 5, nil}, {1, 6, nil}, {2, 7, nil}, {2, 6, nil}}, 0},
	"one of the two needed":       {witnessed(2, 5, 6, 7), nil, []approval{{1, 6, nil}}, 1},
	"one counts once":             {witnessed(2, 5, 6), nil, []approval{{1, 5, nil}, {1, 5, nil}}, 1},
	"one for two entries":         {witnessed(2, 5, 6), []step{{signer: 1}}, []approval{{1, 5, nil}, {2, 5, nil}}, 1},
	"a stranger":                  {witnessed(1, 5), nil, []approval{{1, 8, nil}}, 1},
	"the controller":              {witnessed(1, 5), nil, []approval{{1, 1, nil}}, 1},
	"replaced, approved by old":   {witnessed(1, 5), []step{witnessStep(1, 6)}, []approval{{2, 5, nil}}, 0},
	"replaced, approved by new":   {witnessed(1, 5), []step{witnessStep(1, 6)}, []approval{{1, 5, nil}, {2, 6, nil}}, 2},
	"replaced, then by new":       {witnessed(1, 5), []step{witnessStep(1, 6), {signer: 1}}, []approval{{2, 5, nil}, {3, 6, nil}}, 0},
	"replaced, then by old":       {witnessed(1, 5), []step{witnessStep(1, 6), {signer: 1}}, []approval{{3, 5, nil}}, 3},
	"threshold lowered too early": {witnessed(2, 5, 6), []step{witnessStep(1, 5)}, []approval{{1, 6, nil}, {2, 5, nil}}, 2},
	"ended, approved":             {witnessed(1, 5), []step{noWitnesses, {signer: 1}}, []approval{{2, 5, nil}}, 0},
	"ended, not approved":         {witnessed(1, 5), []step{noWitnesses, {signer: 1}}, []approval{{1, 5, nil}}, 2},
	"ended by null":               {witnessed(1, 5), []step{{signer: 1, params: `{"witness":null}`}}, []approval{{1, 5, nil}}, 2},
	"begun late":                  {"", []step{witnessStep(1, 5)}, []approval{{2, 5, nil}}, 0},
	"begun late, not approved":    {"", []step{witnessStep(1, 5)}, nil, 2},
	"begun again":                 {witnessed(1, 5), []step{noWitnesses, {signer: 1}, witnessStep(1, 6)}, []approval{{2, 5, nil}}, 4},
	"approved before it began":    {"", []step{{signer: 1}, witnessStep(1, 5)}, []approval{{2, 5, nil}}, 3},
	"wrong cryptosuite":           {witnessed(1, 5), nil, []approval{{1, 5, func(p *proof) { p.Cryptosuite = "eddsa-rdfc-2022" }}}, 1},
	"wrong purpose":               {witnessed(1, 5), nil, []approval{{1, 5, func(p *proof) { p.ProofPurpose = "authentication" }}}, 1},
	"wrong date":                  {witnessed(1, 5), nil, []approval{{1, 5, func(p *proof) { p.Created = "2027-01-01T00:00:00Z" }}}, 1},
	"another's name": {witnessed(1, 5), nil, []approval{{1, 8, func(p *proof) {
		p.VerificationMethod = Key(mustKey(5).Public()).KeyURL(mustKey(5).Public())
	}}}, 1},
	"another's fragment": {witnessed(1, 5), nil, []approval{{1, 8, func(p *proof) {
		p.VerificationMethod = Key(mustKey(8).Public()).KeyURL(mustKey(5).Public())
	}}}, 1},
	"a bad one does not spoil": {witnessed(1, 5), nil, []approval{{1, 5, func(p *proof) { p.ProofValue = "z1" }}, {1, 5, nil}}, 0},
}

func TestWitnesses(t *testing.T) {
	for name, c := range witnessCases {
		log := buildLog(t, plain(c.first), c.steps...)
		file, err := MarshalWitnessProofs(approve(t, log, c.approvals...))
		if err != nil {
			t.Fatal(err)
		}
		proofs, err := ParseWitnessProofs(file)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for range 2 { // as published, and pruned
			_, err = VerifyLog(log, testNow, proofs...)
			var e *LogError
			if c.entry == 0 && err != nil || c.entry != 0 && (!errors.As(err, &e) || e.Code != Unwitnessed || e.Entry != c.entry) {
				t.Errorf("%s: got %v, want entry %d", name, err, c.entry)
			}
			st, err := replay(log)
			if err != nil {
				t.Fatal(err)
			}
			proofs = st.PruneWitnessProofs(proofs)
		}
	}
}

// A proof is for one entry of one log: neither the proof for another DID with the same
// witness helps, nor that for an entry that is not published.
func TestWitnessesOfOtherEntries(t *testing.T) {
	log := buildLog(t, plain(witnessed(1, 5)))
	longer := buildLog(t, plain(witnessed(1, 5)), step{signer: 1})
	other := buildLog(t, plain(`,"ttl":1`+witnessed(1, 5)))
	for name, proofs := range map[string][]WitnessProof{
		"another DID":     approve(t, other, approval{1, 5, nil}),
		"not published":   approve(t, longer, approval{2, 5, nil}),
		"hash of another": {{versionIDs(t, log)[0], approve(t, other, approval{1, 5, nil})[0].proof}},
	} {
		if _, err := VerifyLog(log, testNow, proofs...); !errors.Is(err, Unwitnessed) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	st, err := replay(log)
	if err != nil {
		t.Fatal(err)
	}
	all := approve(t, longer, approval{1, 5, nil}, approval{1, 5, nil}, approval{2, 5, nil}, approval{1, 8, nil})
	if pruned := st.PruneWitnessProofs(all); len(pruned) != 2 || pruned[0].VersionID != all[0].VersionID || pruned[1].VersionID != all[2].VersionID {
		t.Errorf("got %d proofs after pruning", len(pruned))
	}
}

func TestApproveRefused(t *testing.T) {
	p256, err := jose.GenerateP256()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Approve("1-"+testSCID, p256, testNow); err == nil {
		t.Error("a P-256 key approved")
	}
}

func TestParseWitnessProofs(t *testing.T) {
	log := buildLog(t, plain(witnessed(1, 5)))
	file, err := MarshalWitnessProofs(approve(t, log, approval{1, 5, nil}))
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "did-witness.json", file)
	if empty, err := MarshalWitnessProofs(nil); err != nil || string(empty) != "[]" {
		t.Errorf("got %s, %v", empty, err)
	}
	for name, c := range map[string]struct {
		file string
		want int // proofs; -1 refuses
	}{
		"as written":          {string(file), 1},
		"empty":               {"[]", 0},
		"no proof":            {`[{"versionId":"1-x"}]`, 0},
		"unknown member":      {strings.Replace(string(file), `{"proof"`, `{"x":1,"proof"`, 1), 1},
		"unknown proof":       {strings.Replace(string(file), `"created"`, `"expires":"2099-01-01T00:00:00Z","created"`, 1), 0},
		"proof no object":     {`[{"versionId":"1-x","proof":[1,null,"a"]}]`, 1},
		"nothing":             {"", -1},
		"an object":           {"{}", -1},
		"HTML":                {"<html>", -1},
		"duplicate":           {strings.Replace(string(file), `{"proof"`, `{"versionId":"1-x","proof"`, 1), -1},
		"cut":                 {string(file[:len(file)-1]), -1},
		"proof an object":     {`[{"versionId":"1-x","proof":{}}]`, -1},
		"too long":            {"[" + strings.Repeat(" ", MaxWitnessFile) + "]", -1},
		"nested":              {strings.Repeat("[", 1000), -1},
		"version a number":    {`[{"versionId":1,"proof":[]}]`, -1},
		"two files in a file": {string(file) + string(file), -1},
	} {
		proofs, err := ParseWitnessProofs([]byte(c.file))
		if c.want < 0 && !errors.Is(err, Malformed) || c.want >= 0 && (err != nil || len(proofs) != c.want) {
			t.Errorf("%s: got %d proofs, %v", name, len(proofs), err)
		}
	}
}

// A file full of proofs that do not verify costs what its length allows and no more.
func TestHugeWitnessFile(t *testing.T) {
	log := buildLog(t, plain(witnessed(1, 5)))
	bad := approve(t, log, approval{1, 5, func(p *proof) { p.ProofValue = "z" + strings.Repeat("2", 80) }})[0]
	file, err := MarshalWitnessProofs(slices.Repeat([]WitnessProof{bad}, 500))
	if err != nil {
		t.Fatal(err)
	}
	proofs, err := ParseWitnessProofs(file)
	if err != nil || len(proofs) != 500 {
		t.Fatalf("got %d proofs, %v", len(proofs), err)
	}
	if _, err := VerifyLog(log, testNow, proofs...); !errors.Is(err, Unwitnessed) {
		t.Errorf("got %v", err)
	}
}

func FuzzWitnessFile(f *testing.F) {
	log := buildLog(f, plain(witnessed(1, 5)), step{signer: 1})
	file, err := MarshalWitnessProofs(approve(f, log, approval{2, 5, nil}))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(file)
	f.Add([]byte(`[{"versionId":"1-x","proof":[{}]}]`))
	good, err := ParseWitnessProofs(file)
	if err != nil {
		f.Fatal(err)
	}
	value := []byte(good[0].proof.ProofValue)
	f.Fuzz(func(t *testing.T, file []byte) {
		proofs, err := ParseWitnessProofs(file)
		if err != nil {
			return
		}
		again, err := MarshalWitnessProofs(proofs)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := ParseWitnessProofs(again); err != nil || len(back) != len(proofs) {
			t.Errorf("%d proofs come back as %d, %v", len(proofs), len(back), err)
		}
		// Nobody but the witness can make its proof.
		if _, err := VerifyLog(log, testNow, proofs...); err == nil && !bytes.Contains(file, value) && !escaped(file, value) {
			t.Errorf("approved by %s", file)
		}
	})
}

// escaped reports whether a JSON text holds a string only when its escapes are read.
func escaped(text, s []byte) bool {
	form, err := canon.Canonical(text)
	return err == nil && bytes.Contains(form, s)
}

func BenchmarkVerifyWitnessedLog(b *testing.B) {
	var steps []step
	for range 9 {
		steps = append(steps, step{signer: 1})
	}
	log := buildLog(b, plain(witnessed(2, 5, 6, 7)), steps...)
	proofs := approve(b, log, approval{10, 5, nil}, approval{10, 7, nil})
	for b.Loop() {
		if _, err := VerifyLog(log, testNow, proofs...); err != nil {
			b.Fatal(err)
		}
	}
}
