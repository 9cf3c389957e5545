package httpsig

import (
	"bufio"
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/writ-registry/writ/internal/jose"
)

// vectors are the examples of RFC 9421 that have a signature, unwrapped (RFC 8792),
// with the public keys of appendix B.1.
type vectors struct {
	Keys  map[string]string // PEM, or base64 of the shared secret
	Cases []struct {
		Section, Label, Message string
		Request                 string // that Message answers
		Base                    string // "": the signature must not verify
	}
}

func readVectors(t testing.TB) vectors {
	t.Helper()
	data, err := os.ReadFile("testdata/rfc9421.json")
	if err != nil {
		t.Fatal(err)
	}
	var v vectors
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// readMessage reads the text of a request or response as net/http does.
func readMessage(t testing.TB, text string) (*Message, []byte) {
	t.Helper()
	head, body, _ := strings.Cut(text, "\n\n")
	raw := bufio.NewReader(strings.NewReader(strings.ReplaceAll(head, "\n", "\r\n") + "\r\n\r\n" + body))
	if strings.HasPrefix(text, "HTTP/") {
		r, err := http.ReadResponse(raw, nil)
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		return &Message{Status: r.StatusCode, Header: r.Header, Trailer: r.Trailer}, content
	}
	r, err := http.ReadRequest(raw)
	if err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	m, err := NewRequest(r, "https://"+r.Host)
	if err != nil {
		t.Fatal(err)
	}
	return m, content
}

func TestRFC9421(t *testing.T) {
	v := readVectors(t)
	for _, c := range v.Cases {
		t.Run(c.Section, func(t *testing.T) {
			m, body := readMessage(t, c.Message)
			if c.Request != "" {
				m.Request, _ = readMessage(t, c.Request)
			}
			input, value, err := m.find(Policy{Label: c.Label})
			if err != nil {
				t.Fatal(err)
			}
			base, err := m.base(input.node)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.Base, string(base)); diff != "" && c.Base != "" {
				t.Errorf("signature base (-want +got):\n%s", diff)
			}
			keyid := ""
			for _, p := range input.params {
				if p.key == "keyid" {
					keyid = p.value.(string)
				}
			}
			if got := verifies(t, v.Keys[keyid], keyid, base, value); got != (c.Base != "") {
				t.Errorf("verifies: %t", got)
			}
			if digest := m.Header.Get("Content-Digest"); digest != "" {
				if err := CheckDigest(digest, body); err != nil {
					t.Error(err)
				}
			}
			if got := dictionary(input); !strings.Contains(m.Header.Get("Signature-Input"), got) {
				t.Errorf("Signature-Input is serialized as %s", got)
			}
		})
	}
}

// verifies tries a signature under a key of appendix B.1: those of package jose with
// it, the others with the standard library, which proves the base.
func verifies(t *testing.T, text, keyid string, base, sig []byte) bool {
	t.Helper()
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		secret, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		mac := hmac.New(sha256.New, secret)
		mac.Write(base)
		return hmac.Equal(mac.Sum(nil), sig)
	}
	if block.Type == "RSA PUBLIC KEY" {
		key, err := x509.ParsePKCS1PublicKey(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(base)
		return rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], sig) == nil
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	switch key := key.(type) {
	case *rsa.PublicKey:
		sum := sha512.Sum512(base)
		return rsa.VerifyPSS(key, crypto.SHA512, sum[:], sig, &rsa.PSSOptions{SaltLength: 64}) == nil
	case ed25519.PublicKey:
		public, err := jose.NewEd25519(key)
		if err != nil {
			t.Fatal(err)
		}
		return (&Signature{base: base, value: sig}).Verify(public, nil) == nil
	case *ecdsa.PublicKey:
		return (&Signature{base: base, value: lowS(sig)}).Verify(ecKey(t, key), nil) == nil
	}
	t.Fatalf("%s is of no known kind", keyid)
	return false
}

// lowS returns the twin of an ES256 signature that package jose accepts; the RFC's
// examples have either.
func lowS(sig []byte) []byte {
	n := elliptic.P256().Params().N
	s := new(big.Int).SetBytes(sig[32:])
	if s.Cmp(new(big.Int).Rsh(n, 1)) <= 0 {
		return sig
	}
	out := bytes.Clone(sig)
	s.Sub(n, s).FillBytes(out[32:])
	return out
}

func ecKey(t *testing.T, key *ecdsa.PublicKey) jose.PublicKey {
	t.Helper()
	point, err := key.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	public, err := jose.JWK{
		Kty: "EC", Crv: "P-256", X: jose.EncodeBase64(point[1:33]), Y: jose.EncodeBase64(point[33:]),
	}.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	return public
}

// The examples of RFC 9421 section 2, by subsection: a message, and lines of its
// signature base.
func TestComponents(t *testing.T) {
	get := func(target string) *Message {
		return &Message{Method: "GET", Origin: "https://www.example.com", Target: target}
	}
	fields := func(values ...string) *Message {
		h := http.Header{}
		for i := 0; i < len(values); i += 2 {
			h.Add(values[i], values[i+1])
		}
		return &Message{Method: "GET", Origin: "https://www.example.com", Target: "/", Header: h, Dictionaries: []string{"example-dict"}}
	}
	dict := fields("Example-Dict", "  a=1,    b=2;x=1;y=2,   c=(a   b   c), d")
	lots := fields("Example-Header", "value, with, lots", "Example-Header", "of, commas")
	for _, c := range []struct {
		section string
		m       *Message
		want    string
	}{
		{"2.1", fields("Date", "Tue, 20 Apr 2021 02:07:56 GMT"), `"date": Tue, 20 Apr 2021 02:07:56 GMT`},
		{"2.1", fields("X-OWS-Header", "   Leading and trailing whitespace.\t "), `"x-ows-header": Leading and trailing whitespace.`},
		{"2.1", fields("X-Obs-Fold-Header", "Obsolete\r\n    line folding."), `"x-obs-fold-header": Obsolete line folding.`},
		{"2.1", fields("Cache-Control", "max-age=60", "Cache-Control", "   must-revalidate"), `"cache-control": max-age=60, must-revalidate`},
		{"2.1", fields("X-Empty-Header", " "), `"x-empty-header": `},
		{"2.1", dict, `"example-dict": a=1,    b=2;x=1;y=2,   c=(a   b   c), d`},
		{"2.1.1", dict, `"example-dict";sf: a=1, b=2;x=1;y=2, c=(a b c), d`},
		{"2.1.2", dict, `"example-dict";key="a": 1`},
		{"2.1.2", dict, `"example-dict";key="d": ?1`},
		{"2.1.2", dict, `"example-dict";key="b": 2;x=1;y=2`},
		{"2.1.2", dict, `"example-dict";key="c": (a b c)`},
		{"2.1.3", lots, `"example-header": value, with, lots, of, commas`},
		{"2.1.3", lots, `"example-header";bs: :dmFsdWUsIHdpdGgsIGxvdHM=:, :b2YsIGNvbW1hcw==:`},
		{"2.1.3", fields("Example-Header", "value, with, lots, of, commas"), `"example-header";bs: :dmFsdWUsIHdpdGgsIGxvdHMsIG9mLCBjb21tYXM=:`},
		{"2.1.4", &Message{Status: 200, Trailer: http.Header{"Expires": {"Wed, 9 Nov 2022 07:28:00 GMT"}}}, `"expires";tr: Wed, 9 Nov 2022 07:28:00 GMT`},
		{"2.2.1", get("/path?param=value"), `"@method": GET`},
		{"2.2.2", get("/path?param=value"), `"@target-uri": https://www.example.com/path?param=value`},
		{"2.2.3", get("/path?param=value"), `"@authority": www.example.com`},
		{"2.2.4", get("/path?param=value"), `"@scheme": https`},
		{"2.2.5", get("/path?param=value"), `"@request-target": /path?param=value`},
		{"2.2.6", get("/path?param=value"), `"@path": /path`},
		{"2.2.7", get("/path?param=value&foo=bar&baz=bat%2Dman"), `"@query": ?param=value&foo=bar&baz=bat%2Dman`},
		{"2.2.7", get("/path?queryString"), `"@query": ?queryString`},
		{"2.2.7", get("/path"), `"@query": ?`},
		{"2.2.8", get("/path?param=value&foo=bar&baz=batman&qux="), `"@query-param";name="baz": batman`},
		{"2.2.8", get("/path?param=value&foo=bar&baz=batman&qux="), `"@query-param";name="qux": `},
		{"2.2.8", get("/p?var=this%20is%20a%20big%0Amultiline%20value&bar=with+plus+whitespace"), `"@query-param";name="var": this%20is%20a%20big%0Amultiline%20value`},
		{"2.2.8", get("/p?bar=with+plus+whitespace"), `"@query-param";name="bar": with%20plus%20whitespace`},
		{"2.2.8", get("/p?fa%C3%A7ade%22%3A%20=something"), `"@query-param";name="fa%C3%A7ade%22%3A%20": something`},
		{"2.2.9", &Message{Status: 200}, `"@status": 200`},
	} {
		id, _, _ := strings.Cut(c.want, ": ")
		input, err := parseDictionary("sig=(" + id + ");tag=\"t\"")
		if err != nil {
			t.Fatal(err)
		}
		want := c.want + "\n\"@signature-params\": (" + id + ");tag=\"t\""
		got, err := c.m.base(input[0].node)
		if err != nil || string(got) != want {
			t.Errorf("%s: got %s, %v, want %s", c.section, got, err, want)
		}
	}
}
