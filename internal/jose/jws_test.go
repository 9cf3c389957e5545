package jose

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/writ-registry/writ/internal/canon"
)

const testTyp = "test+jwt"

func testKey(t testing.TB) *PrivateKey {
	return NewEd25519FromSeed([32]byte(mustDecode(t, rfc8037Seed)))
}

// forge signs any header and payload, as an attacker with a key of its own can.
func forge(t testing.TB, s Signer, header, payload string) string {
	t.Helper()
	input := EncodeBase64([]byte(header)) + "." + EncodeBase64([]byte(payload))
	sig, err := s.Sign([]byte(input))
	if err != nil {
		t.Fatal(err)
	}
	return input + "." + EncodeBase64(sig)
}

func TestSignParseVerify(t *testing.T) {
	p256, err := GenerateP256()
	if err != nil {
		t.Fatal(err)
	}
	type claims struct {
		Sub string `json:"sub"`
		Iat int64  `json:"iat"`
	}
	for _, key := range []*PrivateKey{testKey(t), p256} {
		raw, err := Sign(key, testTyp, "did:web:example.com#1", claims{"a", 1})
		if err != nil {
			t.Fatal(err)
		}
		tok, err := Parse(raw, testTyp, 4096)
		if err != nil {
			t.Fatal(err)
		}
		if err := tok.Verify(key.Public()); err != nil {
			t.Error(err)
		}
		var got claims
		if err := tok.Claims(&got); err != nil || got != (claims{"a", 1}) {
			t.Errorf("got %+v, %v", got, err)
		}
		if want := (Header{key.Public().Alg(), "did:web:example.com#1", testTyp}); tok.Header != want {
			t.Errorf("got header %+v", tok.Header)
		}
		if string(tok.Payload) != `{"iat":1,"sub":"a"}` || tok.Raw != raw || !strings.HasPrefix(raw, tok.SigningInput+".") {
			t.Errorf("got token %+v", tok)
		}
		var less struct {
			Sub string `json:"sub"`
		}
		wantCode(t, tok.Claims(&less), CodeMalformed)
		_, err = Parse(raw, testTyp, len(raw)-1)
		wantCode(t, err, CodeSize)
	}
	raw, _ := Sign(testKey(t), testTyp, "", claims{})
	tok, err := Parse(raw, testTyp, 4096)
	if err != nil {
		t.Fatal(err)
	}
	wantCode(t, tok.Verify(p256.Public()), CodeAlg)
	wantCode(t, tok.Verify(PublicKey{}), CodeKey)
	other, _ := GenerateEd25519()
	wantCode(t, tok.Verify(other.Public()), CodeSignature)
	_, err = Sign(testKey(t), testTyp, "", []int{1})
	wantCode(t, err, CodeMalformed)
	_, err = Sign(testKey(t), "", "", claims{})
	wantCode(t, err, CodeHeader)
}

func TestParseRefused(t *testing.T) {
	key := testKey(t)
	good := `{"alg":"EdDSA","typ":"test+jwt"}`
	for name, c := range map[string]struct {
		header, payload string
		code            Code
	}{
		"alg none":            {`{"alg":"none","typ":"test+jwt"}`, `{}`, CodeAlg},
		"alg HS256":           {`{"alg":"HS256","typ":"test+jwt"}`, `{}`, CodeAlg},
		"alg in other case":   {`{"alg":"eddsa","typ":"test+jwt"}`, `{}`, CodeAlg},
		"alg missing":         {`{"typ":"test+jwt"}`, `{}`, CodeHeader},
		"alg no string":       {`{"alg":1,"typ":"test+jwt"}`, `{}`, CodeHeader},
		"alg twice":           {`{"alg":"EdDSA","alg":"EdDSA","typ":"test+jwt"}`, `{}`, CodeMalformed},
		"typ missing":         {`{"alg":"EdDSA"}`, `{}`, CodeHeader},
		"typ other":           {`{"alg":"EdDSA","typ":"JWT"}`, `{}`, CodeTyp},
		"typ in other case":   {`{"alg":"EdDSA","typ":"Test+JWT"}`, `{}`, CodeTyp},
		"typ as media type":   {`{"alg":"EdDSA","typ":"application/test+jwt"}`, `{}`, CodeTyp},
		"jwk":                 {`{"alg":"EdDSA","jwk":` + rfc8037JWK + `,"typ":"test+jwt"}`, `{}`, CodeHeader},
		"jku":                 {`{"alg":"EdDSA","jku":"https://example.com","typ":"test+jwt"}`, `{}`, CodeHeader},
		"x5c":                 {`{"alg":"EdDSA","typ":"test+jwt","x5c":[]}`, `{}`, CodeHeader},
		"crit":                {`{"alg":"EdDSA","crit":["b64"],"b64":false,"typ":"test+jwt"}`, `{}`, CodeHeader},
		"cty":                 {`{"alg":"EdDSA","cty":"JWT","typ":"test+jwt"}`, `{}`, CodeHeader},
		"header an array":     {`["EdDSA"]`, `{}`, CodeMalformed},
		"header null":         {`null`, `{}`, CodeMalformed},
		"payload not JSON":    {good, `Example of Ed25519 signing`, CodeMalformed},
		"payload an array":    {good, `[]`, CodeMalformed},
		"payload a duplicate": {good, `{"a":1,"a":1}`, CodeMalformed},
		"payload lossy":       {good, `{"a":9007199254740993}`, CodeMalformed},
		"payload surrogate":   {good, `{"a":"\ud800"}`, CodeMalformed},
		"payload empty":       {good, ``, CodeMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse(forge(t, key, c.header, c.payload), testTyp, 4096)
			wantCode(t, err, c.code)
		})
	}
	raw := forge(t, key, `{"alg":"EdDSA","typ":""}`, `{}`)
	_, err := Parse(raw, "", 4096)
	wantCode(t, err, CodeHeader)
}

// A signature of 64 bytes leaves four unused bits in its last character, so lenient
// decoders accept sixteen spellings of every token, besides padding and line breaks.
func TestOneSpelling(t *testing.T) {
	raw := forge(t, testKey(t), `{"alg":"EdDSA","typ":"test+jwt"}`, `{"a":1}`)
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, raw[len(raw)-1])
	sig := raw[strings.LastIndexByte(raw, '.')+1:]
	want, _ := base64.RawURLEncoding.DecodeString(sig)
	accepted := 0
	for spare := range 16 {
		spelling := raw[:len(raw)-1] + string(alphabet[last&^15|spare])
		lenient, err := base64.RawURLEncoding.DecodeString(spelling[len(raw)-len(sig):])
		if err != nil || string(lenient) != string(want) {
			t.Fatalf("spelling %d is not one to a lenient decoder", spare)
		}
		if _, err := Parse(spelling, testTyp, 4096); err == nil {
			accepted++
		} else {
			wantCode(t, err, CodeMalformed)
		}
	}
	if accepted != 1 {
		t.Errorf("accepted %d of 16 spellings", accepted)
	}
	parts := strings.Split(raw, ".")
	for name, spelling := range map[string]string{
		"padding":             raw + "==",
		"line feed":           raw + "\n",
		"line feed inside":    raw[:5] + "\n" + raw[5:],
		"carriage return":     parts[0] + "." + parts[1] + "\r." + parts[2],
		"leading space":       " " + raw,
		"fourth part":         raw + ".",
		"fifth part (JWE)":    raw + "..",
		"no signature":        parts[0] + "." + parts[1] + ".",
		"two parts":           parts[0] + "." + parts[1],
		"standard alphabet":   strings.NewReplacer("-", "+", "_", "/").Replace(raw) + "+",
		"JSON serialization":  `{"payload":"` + parts[1] + `"}`,
		"empty":               "",
		"only dots":           "..",
		"signature truncated": raw[:len(raw)-4],
	} {
		if _, err := Parse(spelling, testTyp, 4096); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(forge(f, testKey(f), `{"alg":"EdDSA","typ":"test+jwt"}`, `{"a":1}`))
	f.Add("e30.e30.")
	f.Fuzz(func(t *testing.T, raw string) {
		tok, err := Parse(raw, testTyp, 4096)
		if err != nil {
			return
		}
		// What is accepted has one spelling: encoding the parts again gives it back.
		parts := strings.Split(raw, ".")
		if EncodeBase64(tok.Payload) != parts[1] || EncodeBase64(tok.Signature) != parts[2] {
			t.Errorf("%q is not the one spelling of its parts", raw)
		}
	})
}

// The header that Sign writes is read without a decoder, and as a decoder reads it.
func FuzzUsualHeader(f *testing.F) {
	for _, header := range []string{
		`{"alg":"EdDSA","typ":"test+jwt"}`, `{"alg":"ES256","kid":"did:web:a#1","typ":"test+jwt"}`, `{"alg":"EdDSA","kid":"","typ":"test+jwt"}`,
		`{"alg":"EdDSA","kid":","typ":"test+jwt"}`, `{"alg":"EdDSA","kid":"\"","typ":"test+jwt"}`, `{"alg":"EdDSA","kid":"a\","typ":"test+jwt"}`,
		`{"alg":"EdDSA","kid":"a","kid":"b","typ":"test+jwt"}`, `{"alg":"EdDSA","crit":"a","typ":"test+jwt"}`, `{"alg":"EdDSA" ,"typ":"test+jwt"}`,
		`{"alg":"none","typ":"test+jwt"}`, `{"alg":"EdDSA","kid":"é","typ":"test+jwt"}`, "{\"alg\":\"EdDSA\",\"kid\":\"\x7f\",\"typ\":\"test+jwt\"}", `{"alg":"EdDSA","typ":"test+jwt"}{}`,
	} {
		f.Add(header, testTyp)
	}
	f.Add(`{"alg":"EdDSA","typ":"a","kid":"b"}`, `a","kid":"b`)
	f.Fuzz(func(t *testing.T, header, typ string) {
		got, ok := usualHeader(header, typ)
		if !ok {
			return
		}
		var want Header
		form, err := canon.Canonical([]byte(header))
		if err != nil || string(form) != header || canon.Unmarshal(form, &want) != nil || got != want || want.Typ != typ {
			t.Errorf("%q is read as %+v, and is %+v, %v", header, got, want, err)
		}
	})
}

func TestUsualHeader(t *testing.T) {
	for _, kid := range []string{"", "did:web:registry.example:agents:1#key-1"} {
		for _, alg := range []string{EdDSA, ES256} {
			h := Header{alg, kid, testTyp}
			form, err := canon.Marshal(h)
			if got, ok := usualHeader(string(form), testTyp); err != nil || !ok || got != h {
				t.Errorf("%s: got %+v, %t", form, got, ok)
			}
			if _, ok := usualHeader(string(form), "other+jwt"); ok {
				t.Errorf("%s: taken for another typ", form)
			}
		}
	}
}

func TestThumbprintOfNoKey(t *testing.T) {
	none := PublicKey{}.Thumbprint()
	if len(none) != 43 || none == testKey(t).Public().Thumbprint() {
		t.Errorf("got %q", none)
	}
}

func BenchmarkParse(b *testing.B) {
	raw, err := Sign(testKey(b), testTyp, "did:web:registry.example:agents:1#1", map[string]any{
		"adg": canon.Digest(nil), "ath": canon.Digest(nil), "aud": "https://shipping.example", "exp": 1795262460, "iat": 1795262400,
		"iss": "did:web:registry.example:agents:1", "jti": "AAECAwQFBgcICQoLDA0ODw", "pdp": "https://registry.example",
	})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(raw, testTyp, 4096); err != nil {
			b.Fatal(err)
		}
	}
}

func FuzzParseJWK(f *testing.F) {
	f.Add([]byte(rfc8037JWK))
	f.Add([]byte(rfc7515JWK))
	f.Fuzz(func(t *testing.T, raw []byte) {
		k, err := ParseJWK(raw)
		if err != nil {
			return
		}
		again, err := ParseMultikey(k.Multikey())
		if err != nil || again != k {
			t.Errorf("Multikey round trip of %s: %v", raw, err)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	p256, err := GenerateP256()
	if err != nil {
		b.Fatal(err)
	}
	for _, key := range []*PrivateKey{testKey(b), p256} {
		raw, err := Sign(key, testTyp, "", map[string]string{"sub": "did:web:example.com"})
		if err != nil {
			b.Fatal(err)
		}
		b.Run(key.Public().Alg(), func(b *testing.B) {
			for b.Loop() {
				tok, err := Parse(raw, testTyp, 4096)
				if err != nil {
					b.Fatal(err)
				}
				if err := tok.Verify(key.Public()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkParseJWK(b *testing.B) {
	for b.Loop() {
		if _, err := ParseJWK([]byte(rfc8037JWK)); err != nil {
			b.Fatal(err)
		}
	}
}
