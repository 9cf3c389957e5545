package verify_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/ipfs/go-cid"
	"golang.org/x/mod/sumdb/note"

	"github.com/writ-registry/writ/anchor"
	"github.com/writ-registry/writ/client/verify"
	"github.com/writ-registry/writ/internal/canon"
)

// statuses returns the outcome of each layer by name.
func statuses(r verify.Report) map[string]verify.Status {
	m := make(map[string]verify.Status)
	for _, l := range r.Layers {
		m[l.Layer] = l.Status
	}
	return m
}

func wantStatus(t *testing.T, r verify.Report, want map[string]verify.Status) {
	t.Helper()
	got := statuses(r)
	if len(got) != len(r.Layers) {
		t.Errorf("two layers have one name: %+v", r.Layers)
	}
	for name, s := range want {
		if got[name] != s {
			t.Errorf("layer %q is %q, want %q", name, got[name], s)
		}
	}
}

func TestVerifyWithTrust(t *testing.T) {
	w := newWorld(t)
	w.sepolia(t, 500, anchor.Finalized)
	w.ownChain(t, 600, anchor.Safe)
	r, err := verify.Verify(t.Context(), w.receipt(t, true), w.trust, nil)
	if err != nil || !r.OK {
		t.Fatalf("Verify = %+v, %v", r, err)
	}
	wantStatus(t, r, map[string]verify.Status{
		"receipt": verify.Verified, "artifact": verify.Verified, "cid": verify.Verified, "inclusion": verify.Verified,
		"checkpoint": verify.Verified, "witnesses": verify.Verified,
		"anchor 1: link": verify.Verified, "anchor 1: head signature": verify.Verified, "anchor 1: ledger": verify.Unverified,
		"anchor 2: link": verify.Verified, "anchor 2: head signature": verify.Verified, "anchor 2: ledger": verify.Unverified,
		"disclosures": verify.Verified, "agent signature": verify.Verified, "act": verify.Verified,
	})
	if r.Size != 500 || r.Index != 300 || r.Origin != origin || r.Type != "decision" || !bytes.Equal(r.Artifact, w.artifact) {
		t.Errorf("report = %+v", r)
	}
	if r.Grade.Level != "witnessed" || r.Grade.Witnesses != 1 {
		t.Errorf("grade = %+v, want witnessed by 1", r.Grade)
	}
	// The CID is the one that the multiformats library gives.
	if c, err := cid.Decode(r.CID); err != nil || !bytes.Equal(c.Bytes(), verify.EntryOf(w.artifact)) || c.Type() != cid.Raw || c.Version() != 1 {
		t.Errorf("cid %s = %v, %v", r.CID, c, err)
	}
	var text strings.Builder
	if err := r.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"operator's own chain 774411", "signed by agent: whoever holds key", "asserted by registry: the verdict is permit", "grade: witnessed (1)",
	} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("the text does not say %q:\n%s", want, text.String())
		}
	}
}

func TestVerifyWithoutTrust(t *testing.T) {
	w := newWorld(t)
	w.sepolia(t, 500, anchor.Included)
	r, err := verify.Verify(t.Context(), append(w.receipt(t, false), '\n'), verify.Trust{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	wantStatus(t, r, map[string]verify.Status{
		"inclusion": verify.Verified, "checkpoint": verify.SelfAsserted, "witnesses": verify.Unverified, "cosignatures": verify.Unverified,
		"anchor 1: head signature": verify.SelfAsserted, "anchor 1: ledger": verify.Unverified, "agent signature": verify.Unverified,
	})
	if r.Grade.Level != "checkpointed" || r.Grade.Independent || !strings.Contains(r.Summary(), "operator's word") {
		t.Errorf("grade = %+v, %q", r.Grade, r.Summary())
	}
	for _, f := range r.Facts {
		if f.Source != "asserted by registry" {
			t.Errorf("fact %+v without disclosures, want asserted by registry", f)
		}
	}
}

func TestTrustRefuses(t *testing.T) {
	w, other := newWorld(t), newWorld(t)
	w.sepolia(t, 500, anchor.Safe)
	file := w.receipt(t, false)
	for name, test := range map[string]struct {
		layer string
		edit  func(*verify.Trust)
	}{
		"another key of the log": {"checkpoint", func(tr *verify.Trust) { tr.Logs[0].VKey = other.vkey }},
		"another log":            {"checkpoint", func(tr *verify.Trust) { tr.Logs[0].Origin = "other.example/log" }},
		"another head key":       {"anchor 1: head signature", func(tr *verify.Trust) { tr.HeadKeys = []string{contract} }},
	} {
		trust := w.trust
		trust.Logs = slices.Clone(trust.Logs)
		test.edit(&trust)
		r, err := verify.Verify(t.Context(), file, trust, nil)
		var refused *verify.Error
		if !errors.As(err, &refused) || refused.Layers[0].Layer != test.layer || r.OK || r.Grade.Level != "none" {
			t.Errorf("%s: %v, want layer %s to fail", name, err, test.layer)
		}
	}
	trust := w.trust
	trust.Witnesses, trust.WitnessQuorum = []string{w.witness, other.witness}, 2
	r, err := verify.Verify(t.Context(), file, trust, nil)
	if err != nil {
		t.Fatal(err)
	}
	wantStatus(t, r, map[string]verify.Status{"witnesses": verify.Unverified})
}

// Every byte of a sample receipt is changed; each change must be refused, with the
// layer named, whether or not the reader brings roots of trust.
func TestEveryFlippedByteIsRefused(t *testing.T) {
	w := newWorld(t)
	w.sepolia(t, 500, anchor.Finalized)
	w.ownChain(t, 600, anchor.Safe)
	file := w.receipt(t, true)
	// A bit of each byte under full trust, and the case bit of a third without
	// any: the flip that a lenient reader of hexadecimal or names lets pass.
	for _, round := range []struct {
		trust verify.Trust
		mask  func(i int) byte
		step  int
	}{
		{w.trust, func(i int) byte { return 1 << (i % 8) }, 1},
		{verify.Trust{}, func(int) byte { return 0x20 }, 3},
	} {
		if _, err := verify.Verify(t.Context(), file, round.trust, nil); err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(file); i += round.step {
			bad := bytes.Clone(file)
			bad[i] ^= round.mask(i)
			_, err := verify.Verify(t.Context(), bad, round.trust, nil)
			var refused *verify.Error
			if !errors.As(err, &refused) || len(refused.Layers) == 0 || refused.Layers[0].Layer == "" {
				t.Fatalf("byte %d of %d changed from %q to %q in %q: %v", i, len(file), file[i], bad[i], around(file, i), err)
			}
		}
	}
}

func around(b []byte, i int) []byte { return b[max(0, i-20):min(len(b), i+20)] }

// Whoever changes a receipt can also write its checksum anew. Then each value is
// held by its own layer; what only the ledger can tell stays unverified.
func TestEveryForgedMemberIsNamed(t *testing.T) {
	w, other := newWorld(t), newWorld(t)
	w.sepolia(t, 500, anchor.Finalized)
	w.ownChain(t, 600, anchor.Safe)
	file := w.receipt(t, true)
	flip := func(s string) string { // another value of the same shape
		b := []byte(s)
		i := len(b) / 2
		if b[i] == 'b' {
			b[i] = 'c'
		} else {
			b[i] = 'b'
		}
		return string(b)
	}
	flipHex := func(s string) string { return s[:len(s)-1] + string("01"[(s[len(s)-1]-'0')&1^1]) }
	type object = map[string]any
	anchorN := func(f object, n int) object { return f["anchors"].([]any)[n].(object) }
	tests := map[string]struct {
		layer string // "" if only the ledger can tell
		edit  func(f object)
	}{
		"version":            {"receipt", func(f object) { f["v"] = 2 }},
		"artifact changed":   {"inclusion", func(f object) { f["artifact"] = reencode(t, f, `"permit"`, `"deny"`) }},
		"artifact reordered": {"artifact", func(f object) { f["artifact"] = base64.RawURLEncoding.EncodeToString([]byte(`{"v":1,"type":"x"}`)) }},
		"log of the event":   {"origin", func(f object) { f["artifact"] = reencode(t, f, origin, "other.example/x") }},
		"proof header":       {"receipt", func(f object) { f["proof"] = strings.Replace(f["proof"].(string), "@v1", "@v2", 1) }},
		"proof extra":        {"receipt", func(f object) { f["proof"] = strings.Replace(f["proof"].(string), "index", "extra AAAA\nindex", 1) }},
		"index":              {"inclusion", func(f object) { f["proof"] = strings.Replace(f["proof"].(string), "index 300", "index 301", 1) }},
		"index spelling":     {"receipt", func(f object) { f["proof"] = strings.Replace(f["proof"].(string), "index 300", "index 0300", 1) }},
		"checkpoint size":    {"checkpoint", func(f object) { f["proof"] = strings.Replace(f["proof"].(string), "\n500\n", "\n501\n", 1) }},
		"checkpoint origin":  {"checkpoint", func(f object) { f["proof"] = strings.Replace(f["proof"].(string), "\n"+origin, "\nother.example", 1) }},
		"witness signature": {"witnesses", func(f object) {
			p := f["proof"].(string)
			i := strings.LastIndex(p, " ") + 40
			f["proof"] = p[:i] + flip(p[i:i+1]) + p[i+1:]
		}},
		"log key":        {"checkpoint", func(f object) { f["log_key"] = other.vkey }},
		"log key hash":   {"checkpoint", func(f object) { f["log_key"] = flip(f["log_key"].(string)) }},
		"anchor missing": {"", func(f object) { f["anchors"] = f["anchors"].([]any)[:1] }},
		"anchors null":   {"receipt", func(f object) { f["anchors"] = nil }},
		"chain id":       {"anchor 1: head signature", func(f object) { anchorN(f, 0)["chain_id"] = "1" }},
		"contract": {"anchor 1: head signature", func(f object) {
			anchorN(f, 0)["contract"] = "0x0000000000000000000000000000000000000001"
		}},
		"contract case":    {"anchor 1", func(f object) { anchorN(f, 0)["contract"] = strings.ToLower(contract) }},
		"log id":           {"anchor 1: head signature", func(f object) { anchorN(f, 0)["log_id"] = flipHex(anchorN(f, 0)["log_id"].(string)) }},
		"anchor size":      {"anchor 1: link", func(f object) { anchorN(f, 0)["size"] = 501 }},
		"anchor too small": {"anchor 1: link", func(f object) { anchorN(f, 0)["size"] = 300 }},
		"anchor root":      {"anchor 1: link", func(f object) { anchorN(f, 0)["root"] = flip(anchorN(f, 0)["root"].(string)) }},
		"head key": {"anchor 1: head signature", func(f object) {
			anchorN(f, 0)["head_key"] = contract
		}},
		"signature": {"anchor 1: head signature", func(f object) { anchorN(f, 0)["signature"] = flip(anchorN(f, 0)["signature"].(string)) }},
		"link proof": {"anchor 2: link", func(f object) {
			list := anchorN(f, 1)["consistency"].([]any)
			list[0] = flip(list[0].(string))
		}},
		"link missing":   {"anchor 2: link", func(f object) { delete(anchorN(f, 1), "consistency") }},
		"finality word":  {"anchor 1", func(f object) { anchorN(f, 0)["finality"] = "certain" }},
		"unknown member": {"anchor 1", func(f object) { anchorN(f, 0)["blessed"] = true }},
		"block missing":  {"anchor 1", func(f object) { delete(anchorN(f, 0), "block") }},
		"unknown ledger": {"", func(f object) { anchorN(f, 0)["type"] = "fabric" }},
		"transaction":    {"", func(f object) { anchorN(f, 0)["tx"] = flipHex(anchorN(f, 0)["tx"].(string)) }},
		"block":          {"", func(f object) { anchorN(f, 0)["block"] = 5 }},
		"finality":       {"", func(f object) { anchorN(f, 0)["finality"] = "included" }},
		"own chain":      {"", func(f object) { anchorN(f, 1)["operators_own"] = false }},
		"unknown layer":  {"", func(f object) { f["zk"] = "proof of everything" }},
		"salt":           {"disclosures", func(f object) { f["disclosures"].([]any)[0].(object)["salt"] = canon.Nonce(16) }},
		"disclosed name": {"disclosures", func(f object) { f["disclosures"].([]any)[0].(object)["name"] = "other" }},
		"disclosed twice": {"disclosures", func(f object) {
			f["disclosures"] = append(f["disclosures"].([]any), f["disclosures"].([]any)[0])
		}},
		"no disclosures": {"", func(f object) { delete(f, "disclosures") }},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var f object
			if err := json.Unmarshal(file, &f); err != nil {
				t.Fatal(err)
			}
			test.edit(f)
			raw, err := canon.Marshal(f)
			if err != nil {
				t.Fatal(err)
			}
			if raw, err = verify.Seal(raw); err != nil {
				t.Fatal(err)
			}
			r, err := verify.Verify(t.Context(), raw, w.trust, nil)
			if test.layer == "" {
				if err != nil {
					t.Fatalf("Verify = %v, want no failure", err)
				}
				for layer, s := range statuses(r) {
					if strings.HasSuffix(layer, "ledger") && s != verify.Unverified {
						t.Errorf("layer %s is %s without an endpoint", layer, s)
					}
				}
				return
			}
			var refused *verify.Error
			if !errors.As(err, &refused) {
				t.Fatalf("Verify = %v, want layer %q to fail", err, test.layer)
			}
			if !slices.ContainsFunc(refused.Layers, func(l verify.Layer) bool { return l.Layer == test.layer }) {
				t.Errorf("Verify = %v, want layer %q to fail", err, test.layer)
			}
			if len(r.Facts) > 0 || r.Artifact != nil {
				t.Error("a refused receipt states facts")
			}
		})
	}
}

// reencode replaces text in the artifact of a receipt.
func reencode(t *testing.T, f map[string]any, from, to string) string {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(f["artifact"].(string))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(raw, []byte(from)) {
		t.Fatalf("the artifact does not contain %s", from)
	}
	return base64.RawURLEncoding.EncodeToString(bytes.Replace(raw, []byte(from), []byte(to), 1))
}

func TestReceiptSpelling(t *testing.T) {
	w := newWorld(t)
	file := string(w.receipt(t, false))
	for name, text := range map[string]string{
		"empty":          "",
		"not JSON":       "hello",
		"an array":       "[]",
		"null":           "null",
		"indented":       strings.Replace(file, ",", ", ", 1),
		"two line feeds": file + "\n\n",
		"trailing text":  file + "{}",
		"duplicate":      strings.Replace(file, `"v":1}`, `"v":1,"v":1}`, 1),
		"no checksum":    strings.Replace(file, `"checksum"`, `"check_sum"`, 1),
		"null proof":     `{"anchors":[],"artifact":"","checksum":"","log_key":"","proof":null,"v":1}`,
		"huge":           strings.Repeat(" ", verify.MaxReceipt+1),
	} {
		_, err := verify.Verify(t.Context(), []byte(text), verify.Trust{}, nil)
		var refused *verify.Error
		if !errors.As(err, &refused) || refused.Layers[0].Layer != "receipt" {
			t.Errorf("%s: %v, want layer receipt to fail", name, err)
		}
	}
}

func TestParseTrust(t *testing.T) {
	w := newWorld(t)
	raw, err := json.Marshal(w.trust)
	if err != nil {
		t.Fatal(err)
	}
	got, err := verify.ParseTrust(raw)
	if err != nil || fmt.Sprint(got) != fmt.Sprint(w.trust) {
		t.Errorf("ParseTrust = %v, %v, want %v", got, err, w.trust)
	}
	skey, _, _ := note.GenerateKey(strings.NewReader(strings.Repeat("x", 64)), origin)
	for name, text := range map[string]string{
		"unknown member":  `{"log":[]}`,
		"not a vkey":      `{"logs":[{"origin":"a","vkey":"b"}]}`,
		"a private key":   `{"logs":[{"origin":"` + origin + `","vkey":"` + skey + `"}]}`,
		"name and origin": `{"logs":[{"origin":"other.example","vkey":"` + w.vkey + `"}]}`,
		"address":         `{"head_keys":["0x5fbdb2315678afecb367f032d93f642f64180aa3"]}`,
		"chain id":        `{"chains":[{"chain_id":"0x1","contract":"` + contract + `","independent":true}]}`,
		"witness":         `{"witnesses":["w"]}`,
		"quorum":          `{"witness_quorum":1}`,
	} {
		if _, err := verify.ParseTrust([]byte(text)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// ERC-55, "Test Cases".
func TestAddressChecksum(t *testing.T) {
	for _, a := range []string{
		"0x52908400098527886E0F7030069857D2E4169EE7", "0x8617E340B3D01FA5F11F306F4090FD50E238070D",
		"0xde709f2102306220921060314715629080e2fb77", "0x27b1fdb04752bbc536007a920d24acb045561c26",
		"0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
		"0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB", "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
	} {
		got, err := verify.ParseAddress(a)
		if err != nil || verify.FormatAddress(got) != a {
			t.Errorf("%s: %s, %v", a, verify.FormatAddress(got), err)
		}
	}
}

func TestTextOfStrangersIsCleared(t *testing.T) {
	if got, want := verify.Plain("a\nFAIL\u202eb\u200b\x1b[0m é"), "a\ufffdFAIL\ufffdb\ufffd\ufffd[0m é"; got != want {
		t.Errorf("plain = %q, want %q", got, want)
	}
}

func FuzzVerify(f *testing.F) {
	w := newWorld(f)
	w.sepolia(f, 500, anchor.Safe)
	f.Add(w.receipt(f, true))
	f.Add([]byte(`{"anchors":[],"artifact":"e30","checksum":"","log_key":"","proof":"","v":1}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := verify.Verify(t.Context(), data, w.trust, nil)
		if (err == nil) != r.OK {
			t.Fatalf("ok = %v, error = %v", r.OK, err)
		}
		if r.OK && !bytes.Equal(r.Artifact, w.artifact) {
			t.Fatalf("a receipt for %q was accepted", r.Artifact)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	w := newWorld(b)
	w.sepolia(b, 500, anchor.Finalized)
	for _, disclose := range []bool{false, true} {
		file := w.receipt(b, disclose)
		b.Run(fmt.Sprintf("disclosures=%v", disclose), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := verify.Verify(b.Context(), file, w.trust, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
