package jose

import (
	"bytes"
	"crypto/elliptic"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math/big"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The key of RFC 8037 appendix A.1 and A.2, and its thumbprint of A.3.
const (
	rfc8037Seed       = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"
	rfc8037JWK        = `{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`
	rfc8037Thumbprint = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
)

// The key of RFC 7515 appendix A.3.
const rfc7515JWK = `{"kty":"EC","crv":"P-256",` +
	`"x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}`

func mustJWK(t testing.TB, text string) PublicKey {
	t.Helper()
	k, err := ParseJWK([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func mustDecode(t testing.TB, text string) []byte {
	t.Helper()
	b, err := DecodeBase64(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// wantCode fails the test unless err is a *Error with code.
func wantCode(t testing.TB, err error, code Code) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || !errors.Is(err, code) {
		t.Errorf("got error %v, want code %s", err, code)
	}
}

func TestRFC8037(t *testing.T) {
	private := NewEd25519FromSeed([32]byte(mustDecode(t, rfc8037Seed)))
	public := mustJWK(t, rfc8037JWK)
	if private.Public() != public {
		t.Error("A.1, A.2: the seed does not give the public key")
	}
	if got := public.Thumbprint(); got != rfc8037Thumbprint {
		t.Errorf("A.3: got thumbprint %s, want %s", got, rfc8037Thumbprint)
	}
	if got, want := public.ThumbprintURI(), "urn:ietf:params:oauth:jwk-thumbprint:sha-256:"+rfc8037Thumbprint; got != want {
		t.Errorf("RFC 9278: got %s, want %s", got, want)
	}
	// A.4 and A.5. The token itself has no typ, and its payload is not JSON.
	input := []byte("eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc")
	want := "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
	sig, err := private.Sign(input)
	if err != nil || EncodeBase64(sig) != want {
		t.Errorf("A.4: got %s, %v", EncodeBase64(sig), err)
	}
	if err := public.Verify(input, sig); err != nil {
		t.Errorf("A.5: %v", err)
	}
	wantCode(t, public.Verify(append(input, 'x'), sig), CodeSignature)
}

// The published signature of RFC 7515 appendix A.3 has the high s. It is refused,
// and its low twin, which signs the same bytes, verifies.
func TestRFC7515(t *testing.T) {
	k := mustJWK(t, rfc7515JWK)
	input := []byte("eyJhbGciOiJFUzI1NiJ9." +
		"eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ")
	sig := mustDecode(t, "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q")
	err := k.Verify(input, sig)
	wantCode(t, err, CodeSignature)
	if !strings.Contains(err.Error(), "high s") {
		t.Errorf("got %v, want the high s named", err)
	}
	s := new(big.Int).SetBytes(sig[32:])
	s.Sub(elliptic.P256().Params().N, s).FillBytes(sig[32:])
	if err := k.Verify(input, sig); err != nil {
		t.Errorf("low s: %v", err)
	}
	wantCode(t, k.Verify(input, make([]byte, 64)), CodeSignature)
	wantCode(t, k.Verify(input, sig[:63]), CodeSignature)
}

// Points of order 1, 2, 4 and 8 in every encoding, and other encodings that are
// none of a usable key.
func TestEd25519Refused(t *testing.T) {
	ff := strings.Repeat("ff", 30)
	for name, text := range map[string]string{
		"order 4":              strings.Repeat("00", 32),
		"order 4, x negative":  strings.Repeat("00", 31) + "80",
		"order 1":              "01" + strings.Repeat("00", 31),
		"order 1, x negative":  "01" + strings.Repeat("00", 30) + "80",
		"order 8":              "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
		"order 8, x negative":  "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
		"order 8, other y":     "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
		"order 8, other, neg":  "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
		"order 2":              "ec" + ff + "7f",
		"order 2, x negative":  "ec" + ff + "ff",
		"y = p":                "ed" + ff + "7f",
		"y = p, x negative":    "ed" + ff + "ff",
		"y = p + 1":            "ee" + ff + "7f",
		"y = 2^255 - 1":        "ff" + ff + "7f",
		"not on the curve":     "02" + strings.Repeat("00", 31),
		"31 bytes":             strings.Repeat("05", 31),
		"33 bytes":             strings.Repeat("05", 33),
		"nothing":              "",
		"not on the curve, -x": "02" + strings.Repeat("00", 30) + "80",
	} {
		t.Run(name, func(t *testing.T) {
			raw, err := hex.DecodeString(text)
			if err != nil {
				t.Fatal(err)
			}
			_, err = NewEd25519(raw)
			wantCode(t, err, CodeKey)
			_, err = JWK{Kty: "OKP", Crv: "Ed25519", X: EncodeBase64(raw)}.PublicKey()
			wantCode(t, err, CodeKey)
		})
	}
}

func TestParseJWKRefused(t *testing.T) {
	x, y := "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"
	ec := `{"kty":"EC","crv":"P-256","x":"` + x + `","y":"` + y + `"`
	for name, c := range map[string]struct {
		text string
		code Code
	}{
		"private":            {ec + `,"d":"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"}`, CodeKey},
		"private, empty":     {ec + `,"d":""}`, CodeKey},
		"private, null":      {ec + `,"d":null}`, CodeKey},
		"unknown member":     {ec + `,"x5c":[]}`, CodeMalformed},
		"symmetric":          {`{"kty":"oct","k":"AA"}`, CodeMalformed},
		"folded case":        {`{"KTY":"EC"}`, CodeMalformed},
		"duplicate member":   {ec + `,"kty":"EC"}`, CodeMalformed},
		"for encryption":     {ec + `,"use":"enc"}`, CodeKey},
		"other alg":          {ec + `,"alg":"EdDSA"}`, CodeKey},
		"signs too":          {ec + `,"key_ops":["verify","sign"]}`, CodeKey},
		"kty of the other":   {`{"kty":"OKP","crv":"P-256","x":"` + x + `","y":"` + y + `"}`, CodeKey},
		"other curve":        {`{"kty":"EC","crv":"secp256k1","x":"` + x + `","y":"` + y + `"}`, CodeKey},
		"X25519":             {`{"kty":"OKP","crv":"X25519","x":"` + x + `"}`, CodeKey},
		"off the curve":      {`{"kty":"EC","crv":"P-256","x":"` + y + `","y":"` + x + `"}`, CodeKey},
		"y missing":          {`{"kty":"EC","crv":"P-256","x":"` + x + `"}`, CodeKey},
		"y too many":         {strings.Replace(rfc8037JWK, "}", `,"y":"`+y+`"}`, 1), CodeKey},
		"x padded":           {strings.Replace(rfc8037JWK, `Ro"`, `Ro="`, 1), CodeKey},
		"x with spare bits":  {strings.Replace(rfc8037JWK, `Ro"`, `Rp"`, 1), CodeKey},
		"x with a line feed": {strings.Replace(rfc8037JWK, `Ro"`, `Ro\n"`, 1), CodeKey},
		"not an object":      {`[]`, CodeMalformed},
		"too long":           {`{"kid":"` + strings.Repeat("a", MaxKeySize) + `"}`, CodeSize},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ParseJWK([]byte(c.text))
			wantCode(t, err, c.code)
		})
	}
}

func TestJWK(t *testing.T) {
	for _, text := range []string{rfc8037JWK, rfc7515JWK} {
		k := mustJWK(t, text)
		data, err := json.Marshal(k.JWK())
		if err != nil || string(data) != text {
			t.Errorf("got %s, %v, want %s", data, err, text)
		}
		if again := mustJWK(t, string(k.JWK().Canonical())); again != k {
			t.Error("the canonical form is another key")
		}
		with := strings.Replace(text, "}", `,"kid":"1","use":"sig","alg":"`+k.Alg()+`","key_ops":["verify"]}`, 1)
		if mustJWK(t, with) != k {
			t.Error("the members around the key change it")
		}
	}
}

// Multikeys of the did:key specification's test vectors.
func TestMultikey(t *testing.T) {
	for text, jwk := range map[string]string{
		"z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp": `{"kty":"OKP","crv":"Ed25519","x":"O2onvM62pC1io6jQKm8Nc2UyFXcd4kOmOsBIoYtZ2ik"}`,
		"zDnaerx9CtbPJ1q36T5Ln5wYt3MQYeGRG5ehnPAmxcf5mDZpv": `{"kty":"EC","crv":"P-256",` +
			`"x":"igrFmi0whuihKnj9R3Om1SoMph72wUGeFaBbzG2vzns","y":"efsX5b10x8yjyrj4ny3pGfLcY7Xby1KzgqOdqnsrJIM"}`,
		"zDnaerDaTF5BXEavCrfRZEk316dpbLsfPDZ3WJ5hRTPFU2169": `{"kty":"EC","crv":"P-256",` +
			`"x":"fyNYMN0976ci7xqiSdag3buk-ZCwgXU4kz9XNkBlNUI","y":"hW2ojTNfH7Jbi8--CJUo3OCbH3y5n91g-IMA9MLMbTU"}`,
	} {
		k, err := ParseMultikey(text)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(mustJWK(t, jwk).JWK(), k.JWK()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
		if got := k.Multikey(); got != text {
			t.Errorf("got %s, want %s", got, text)
		}
	}
	for name, text := range map[string]string{
		"empty":          "",
		"base58 missing": "z",
		"base64url":      "u7QEGAtmPu1GoSuVCuxR6sI6aoVnQR0gV9V1lE_qSZCWHzA",
		"secp256k1":      "zQ3shokFTS3brHcDQrn82RUDfCZESWL1ZdCEJwekUDPQiYBme",
		"X25519":         "z6LSbysY2xFMRpGMhb7tFTLMpeuPRaqaWM1yECx2AtzE3KCc",
		"truncated":      "z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooW",
		"leading zero":   "z16MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp",
		"not base58":     "z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooW0",
	} {
		if _, err := ParseMultikey(text); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	_, err := ParseMultikey("z" + strings.Repeat("1", 1<<20))
	wantCode(t, err, CodeSize)
}

func TestPrivateKeys(t *testing.T) {
	for name, generate := range map[string]func() (*PrivateKey, error){EdDSA: GenerateEd25519, ES256: GenerateP256} {
		t.Run(name, func(t *testing.T) {
			key, err := generate()
			if err != nil {
				t.Fatal(err)
			}
			if got := key.Public().Alg(); got != name {
				t.Errorf("got alg %s", got)
			}
			text, err := key.MarshalPEM()
			if err != nil {
				t.Fatal(err)
			}
			again, err := ParsePEM(append(text, " \r\n"...))
			if err != nil {
				t.Fatal(err)
			}
			for range 8 { // half of all ES256 signatures come out high
				msg := []byte(differently(t))
				sig, err := again.Sign(msg)
				if err != nil {
					t.Fatal(err)
				}
				if err := key.Public().Verify(msg, sig); err != nil {
					t.Error(err)
				}
				if same, _ := key.Sign(msg); !bytes.Equal(same, sig) {
					t.Error("signing is not deterministic")
				}
			}
			if _, err := ParsePEM(append(text, 'x')); err == nil {
				t.Error("accepted data after the block")
			}
		})
	}
	_, err := ParsePEM([]byte("-----BEGIN EC PRIVATE KEY-----\n-----END EC PRIVATE KEY-----\n"))
	wantCode(t, err, CodeMalformed)
	var none PublicKey
	wantCode(t, none.Verify(nil, make([]byte, 64)), CodeKey)
}

// differently returns bytes that differ from run to run.
func differently(t *testing.T) string {
	k, err := GenerateEd25519()
	if err != nil {
		t.Fatal(err)
	}
	return k.Public().Thumbprint()
}

func TestPrivateKeyHidesItself(t *testing.T) {
	key := NewEd25519FromSeed([32]byte(mustDecode(t, rfc8037Seed)))
	want := "private key of " + rfc8037Thumbprint
	if key.String() != want || key.GoString() != want {
		t.Errorf("got %s and %s", key.String(), key.GoString())
	}
}
