package did

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// vectors are logs that the rules of did:webvh v1.0 refuse, kept in testdata/vectors
// with their witness files. They carry the names of the external suite where it has
// the case (suite_test.go), and of the specification's examples of entries that fail
// verification ("The DID Log File"). What the suite does with DIDs instead of logs is
// in parseCases.
var vectors = map[string]struct {
	first     string
	steps     []step
	approvals []approval
	code      Code // "" verifies
	entry     int
}{
	"basic-create":         {plain(""), nil, nil, "", 0},
	"basic-update":         {plain(""), []step{{signer: 1, state: also}}, nil, "", 0},
	"multi-update":         {plain(""), []step{{signer: 1, state: also}, {signer: 1}, {signer: 1}}, nil, "", 0},
	"key-rotation":         {plain(""), []step{{signer: 1, params: `{"updateKeys":` + keyJSON(2) + `}`}, {signer: 2}}, nil, "", 0},
	"deactivate":           {plain(""), []step{{signer: 1, params: `{"deactivated":true,"updateKeys":[]}`}}, nil, "", 0},
	"pre-rotation":         {preRotated, nil, nil, "", 0},
	"portable":             {plain(`,"portable":true`), nil, nil, "", 0},
	"portable-move":        {plain(`,"portable":true`), []step{{signer: 1, state: moved}}, nil, "", 0},
	"witness-threshold":    {plain(witnessed(1, 5)), nil, []approval{{1, 5, nil}}, "", 0},
	"witness-update":       {plain(witnessed(2, 5, 6)), []step{witnessStep(1, 5)}, []approval{{2, 5, nil}, {2, 6, nil}}, "", 0},
	"multiple-update-keys": {strings.Replace(plain(""), keyJSON(1), keyJSON(1, 2), 1), []step{{signer: 2}, {signer: 1}}, nil, "", 0},
	"pre-rotation-consume": {preRotated, []step{
		{signer: 2, params: rotate(2, 3)}, {signer: 3, params: rotate(3, 4)}}, nil, "", 0},

	"negative-duplicate-witness-ids":        {plain(witnessed(1, 5, 5)), nil, nil, BadParameters, 1},
	"negative-zero-witness-threshold":       {plain(witnessed(0, 5)), nil, nil, BadParameters, 1},
	"negative-scid-mismatch-genesis":        {plain(""), []step{{signer: 1, state: otherSCID}}, nil, BadSCID, 2},
	"negative-portable-scid-swap":           {plain(`,"portable":true`), []step{{signer: 1, state: func(s string) string { return otherSCID(moved(s)) }}}, nil, BadSCID, 2},
	"negative-pre-rotation-omit-updatekeys": {preRotated, []step{{signer: 1, params: `{"nextKeyHashes":` + hashJSON(3) + `}`}}, nil, PreRotation, 2},
	"negative-wrong-cryptosuite":            {plain(""), []step{{signer: 1, spoil: func(e *logEntry) { e.Proof[0].Cryptosuite = "ecdsa-jcs-2019" }}}, nil, BadProof, 2},
	"negative-did-key-body-fragment-mismatch": {plain(""), []step{{signer: 1, spoil: func(e *logEntry) {
		e.Proof[0].VerificationMethod = Key(mustKey(3).Public()).KeyURL(mustKey(1).Public())
	}}}, nil, BadProof, 2},
	"negative-versiontime-non-monotonic": {plain(""), []step{{signer: 1, at: -time.Hour}}, nil, BadTime, 2},
	"negative-versiontime-equal":         {plain(""), []step{{signer: 1, at: time.Millisecond}}, nil, BadTime, 2},
	"negative-versiontime-future":        {plain(""), []step{{signer: 1, at: 1e6 * time.Hour}}, nil, BadTime, 2},
	"negative-unknown-method-version":    {strings.Replace(plain(""), "1.0", "99.0", 1), nil, nil, BadParameters, 1},
	"negative-cross-did-witness-replay":  {plain(witnessed(1, 5)), []step{noWitnesses}, []approval{{1, 5, nil}}, Unwitnessed, 2},
	"negative-portable-late":             {plain(""), []step{{signer: 1, params: `{"portable":true}`}}, nil, BadParameters, 2},
	"negative-after-deactivate":          {plain(""), []step{{signer: 1, params: `{"deactivated":true}`}, {signer: 1}}, nil, AfterDeactivate, 3},
	"negative-version-gap":               {plain(""), []step{{signer: 1, spoil: func(e *logEntry) { e.VersionID = "3" + e.VersionID[1:] }}}, nil, BadHash, 2},
	"negative-foreign-key":               {plain(""), []step{{signer: 3}}, nil, BadProof, 2},
}

func also(doc string) string { return strings.Replace(doc, `"id"`, `"alsoKnownAs":["urn:2"],"id"`, 1) }

// otherSCID gives the document's id the SCID of another DID.
func otherSCID(doc string) string {
	at := strings.LastIndex(doc, `"id":"did:webvh:`) + len(`"id":"did:webvh:`)
	return doc[:at] + testSCID + doc[at+len(testSCID):]
}

func TestVectors(t *testing.T) {
	for name, c := range vectors {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join("vectors", name)
			if *update {
				if err := os.MkdirAll(filepath.Join("testdata", path), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			made := buildLog(t, c.first, c.steps...)
			golden(t, filepath.Join(path, "did.jsonl"), made)
			var proofs []WitnessProof
			if c.approvals != nil {
				file, err := MarshalWitnessProofs(approve(t, made, c.approvals...))
				if err != nil {
					t.Fatal(err)
				}
				golden(t, filepath.Join(path, "did-witness.json"), file)
				if proofs, err = ParseWitnessProofs(file); err != nil {
					t.Fatal(err)
				}
			}
			r, err := VerifyLog(made, testNow, proofs...)
			var e *LogError
			if c.code == "" && (err != nil || len(r.Versions) != len(c.steps)+1) ||
				c.code != "" && (!errors.As(err, &e) || e.Code != c.code || e.Entry != c.entry) {
				t.Errorf("got %v, want %s in entry %d", err, c.code, c.entry)
			}
		})
	}
	// What is committed and no longer made would test nothing.
	kept, err := os.ReadDir(filepath.Join("testdata", "vectors"))
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range kept {
		if _, ok := vectors[dir.Name()]; !ok {
			t.Errorf("%s is no vector", dir.Name())
		}
	}
}
