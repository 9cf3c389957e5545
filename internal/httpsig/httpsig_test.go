package httpsig

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/writ-registry/writ/internal/jose"
)

const (
	origin = "https://writ.example"
	keyID  = "did:web:writ.example:agents:a#key-1"
)

var at = time.Unix(1_700_000_000, 0)

// wantCode fails the test unless err is a *Error with code.
func wantCode(t testing.TB, err error, code Code) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || !errors.Is(err, code) {
		t.Errorf("got error %v, want code %s", err, code)
	}
}

func newKey(t testing.TB, generate func() (*jose.PrivateKey, error)) *jose.PrivateKey {
	t.Helper()
	k, err := generate()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// newCall returns a request as a client builds it.
func newCall(t testing.TB, method, target string, body []byte) *http.Request {
	t.Helper()
	r, err := http.NewRequest(method, target, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// A call over a real server whose address is not its public origin, as behind a
// proxy: what the client signed is what the server verifies, under both algorithms.
func TestDirectCall(t *testing.T) {
	for alg, generate := range map[string]func() (*jose.PrivateKey, error){
		jose.EdDSA: jose.GenerateEd25519, jose.ES256: jose.GenerateP256,
	} {
		t.Run(alg, func(t *testing.T) {
			key := newKey(t, generate)
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, err := io.ReadAll(r.Body)
				if err == nil {
					var s *Signature
					if s, err = ParseRequest(r, origin, at.Add(MaxSkew)); err == nil {
						if err = s.Verify(key.Public(), body); err == nil && s.KeyID != keyID {
							err = errors.New("keyid is " + s.KeyID)
						}
					}
				}
				fmt.Fprint(w, err)
			}))
			defer server.Close()
			for _, body := range []string{"", `{"hello": "world"}`} {
				r := newCall(t, "POST", server.URL+"/v1/agents/did%3Aweb%3Aa?x=%20&y", []byte(body))
				if err := SignRequest(r, origin, []byte(body), key, keyID, at); err != nil {
					t.Fatal(err)
				}
				answer, err := server.Client().Do(r)
				if err != nil {
					t.Fatal(err)
				}
				text, err := io.ReadAll(answer.Body)
				if err != nil || string(text) != "<nil>" {
					t.Errorf("body %q: %s, %v", body, text, err)
				}
			}
		})
	}
}

// What is changed in one signed call, and the rule that refuses it.
func TestRefused(t *testing.T) {
	key, body := newKey(t, jose.GenerateEd25519), []byte(`{"name":"a"}`)
	edit := func(field, old, replacement string) func(*http.Request) {
		return func(r *http.Request) {
			before := r.Header.Get(field)
			after := strings.Replace(before, old, replacement, 1)
			if before == after {
				panic(field + " has no " + old)
			}
			r.Header.Set(field, after)
		}
	}
	second := func(label, tag string) func(*http.Request) {
		return func(r *http.Request) {
			m, err := NewRequest(r, origin)
			if err != nil {
				panic(err)
			}
			input, sig, err := Sign(m, key, Params{Label: label, Created: at, Tag: tag})
			if err != nil {
				panic(err)
			}
			r.Header.Add("Signature-Input", input)
			r.Header.Add("Signature", sig)
		}
	}
	for name, c := range map[string]struct {
		change func(*http.Request)
		now    time.Duration // after at
		code   Code          // "": accepted
	}{
		"as signed":               {func(*http.Request) {}, 0, ""},
		"last moment":             {func(*http.Request) {}, MaxSkew, ""},
		"clock behind":            {func(*http.Request) {}, -MaxSkew, ""},
		"an uncovered field":      {func(r *http.Request) { r.Header.Set("Accept", "*/*") }, 0, ""},
		"Host":                    {func(r *http.Request) { r.Host = "evil.example" }, 0, ""},
		"another tag's signature": {second("proxy", "other"), 0, ""},
		"two of the tag":          {second("proxy", Tag), 0, Ambiguous},
		"a repeated label":        {second(Tag, "other"), 0, Malformed},
		"too old":                 {func(*http.Request) {}, MaxSkew + time.Second, Stale},
		"from the future":         {func(*http.Request) {}, -MaxSkew - time.Second, Stale},
		"unsigned":                {func(r *http.Request) { r.Header.Del("Signature"); r.Header.Del("Signature-Input") }, 0, Missing},
		"signature left out":      {func(r *http.Request) { r.Header.Del("Signature") }, 0, Malformed},
		"labels differ":           {edit("Signature", "writ=", "tirw="), 0, Malformed},
		"another tag":             {edit("Signature-Input", `tag="writ"`, `tag="web-bot-auth"`), 0, Missing},
		"tag is a token":          {edit("Signature-Input", `tag="writ"`, `tag=writ`), 0, Missing},
		"method":                  {func(r *http.Request) { r.Method = "PUT" }, 0, BadSignature},
		"path":                    {func(r *http.Request) { r.RequestURI = "/v1/agents/b" }, 0, BadSignature},
		"query":                   {func(r *http.Request) { r.RequestURI += "?x" }, 0, BadSignature},
		"path, other spelling":    {func(r *http.Request) { r.RequestURI = "/v1/agents/%61" }, 0, BadSignature},
		"absolute target":         {func(r *http.Request) { r.RequestURI = origin + r.RequestURI }, 0, WrongMessage},
		"asterisk target":         {func(r *http.Request) { r.RequestURI = "*" }, 0, WrongMessage},
		"digest":                  {func(r *http.Request) { r.Header.Set("Content-Digest", ContentDigest(nil)) }, 0, BadSignature},
		"body":                    {func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader(`{"name":"b"}`)) }, 0, WrongDigest},
		"body taken away":         {func(r *http.Request) { r.Body = http.NoBody }, 0, WrongDigest},
		"digest taken away":       {func(r *http.Request) { r.Header.Del("Content-Digest") }, 0, Component},
		"coverage":                {edit("Signature-Input", ` "content-digest"`, ""), 0, BadSignature},
		"coverage of the target":  {edit("Signature-Input", ` "@target-uri"`, ` "@path"`), 0, Uncovered},
		"covered twice":           {edit("Signature-Input", `"@method"`, `"@method" "@method"`), 0, Component},
		"unknown component":       {edit("Signature-Input", `"@method"`, `"@method" "@all"`), 0, Component},
		"covers itself":           {edit("Signature-Input", `"@method"`, `"@method" "@signature-params"`), 0, Component},
		"status of a request":     {edit("Signature-Input", `"@method"`, `"@method" "@status"`), 0, Component},
		"req of a request":        {edit("Signature-Input", `"@method"`, `"@method" "@method";req`), 0, Component},
		"unknown parameter":       {edit("Signature-Input", `"@method"`, `"@method" "date";x`), 0, Component},
		"field in upper case":     {edit("Signature-Input", `"@method"`, `"@method" "Content-Type"`), 0, Component},
		"missing field":           {edit("Signature-Input", `"@method"`, `"@method" "x-absent"`), 0, Component},
		"sf of an unknown field":  {edit("Signature-Input", `"@method"`, `"@method" "content-type";sf`), 0, Component},
		"bs and sf":               {edit("Signature-Input", `"@method"`, `"@method" "content-digest";sf;bs`), 0, Component},
		"a component as a token":  {edit("Signature-Input", `"@method"`, `"@method" date`), 0, Malformed},
		"not an inner list":       {edit("Signature-Input", `("@method" "@target-uri" "content-digest")`, `?1`), 0, Malformed},
		"no created":              {edit("Signature-Input", ";created=1700000000", ""), 0, Malformed},
		"created moved":           {edit("Signature-Input", ";created=1700000000", ";created=1700000001"), 0, BadSignature},
		"created as a string":     {edit("Signature-Input", ";created=1700000000", `;created="1700000000"`), 0, Malformed},
		"no expires":              {edit("Signature-Input", ";expires=1700000060", ""), 0, Lifetime},
		"expires too late":        {edit("Signature-Input", ";expires=1700000060", ";expires=1700000061"), 0, Lifetime},
		"expires before created":  {edit("Signature-Input", ";expires=1700000060", ";expires=1700000000"), 0, Lifetime},
		"expires has passed":      {edit("Signature-Input", ";expires=1700000060", ";expires=1700000010"), 10 * time.Second, Stale},
		"unknown meta parameter":  {edit("Signature-Input", ";expires", ";context=1;expires"), 0, Malformed},
		"repeated parameter":      {edit("Signature-Input", ";expires", ";created=1700000000;expires"), 0, Malformed},
		"alg of another key":      {edit("Signature-Input", ";expires", `;alg="ecdsa-p256-sha256";expires`), 0, WrongAlg},
		"alg unknown":             {edit("Signature-Input", ";expires", `;alg="hmac-sha256";expires`), 0, WrongAlg},
		"keyid is no DID URL":     {edit("Signature-Input", keyID, "key-1"), 0, Malformed},
		"keyid of another":        {edit("Signature-Input", "agents:a", "agents:b"), 0, BadSignature},
		"short nonce": {func(r *http.Request) {
			_, rest, _ := strings.Cut(r.Header.Get("Signature-Input"), `nonce="`)
			nonce, _, _ := strings.Cut(rest, `"`)
			edit("Signature-Input", nonce, nonce[:20])(r)
		}, 0, Malformed},
		"signature is a string": {func(r *http.Request) { r.Header.Set("Signature", `writ="x"`) }, 0, Malformed},
		"signature is short":    {func(r *http.Request) { r.Header.Set("Signature", "writ=:AAAA:") }, 0, BadSignature},
		"huge field":            {func(r *http.Request) { r.Header.Add("Signature", strings.Repeat("a", maxField)) }, 0, Malformed},
	} {
		t.Run(name, func(t *testing.T) {
			r := newCall(t, "POST", origin+"/v1/agents/a", body)
			if err := SignRequest(r, "", body, key, keyID, at); err != nil {
				t.Fatal(err)
			}
			r.RequestURI = r.URL.RequestURI() // now it is the server's
			c.change(r)
			received, err := io.ReadAll(r.Body)
			if err != nil {
				t.Fatal(err)
			}
			s, err := ParseRequest(r, origin, at.Add(c.now))
			if err == nil {
				err = s.Verify(key.Public(), received)
			}
			if c.code != "" {
				wantCode(t, err, c.code)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
}

// A body that no signature covers is refused even if the signature is sound.
func TestUncoveredBody(t *testing.T) {
	key := newKey(t, jose.GenerateEd25519)
	r := newCall(t, "POST", origin+"/", nil)
	if err := SignRequest(r, "", nil, key, keyID, at); err != nil {
		t.Fatal(err)
	}
	s, err := ParseRequest(r, origin, at)
	if err != nil {
		t.Fatal(err)
	}
	wantCode(t, s.Verify(key.Public(), []byte("x")), Uncovered)
	wantCode(t, s.Verify(newKey(t, jose.GenerateP256).Public(), nil), BadSignature)
	wantCode(t, (&Signature{}).Verify(key.Public(), nil), BadSignature)
	if diff := cmp.Diff([]string{"@method", "@target-uri"}, s.Components); diff != "" {
		t.Errorf("components (-want +got):\n%s", diff)
	}
	_, err = ParseRequest(r, "", at)
	wantCode(t, err, WrongMessage)
}

// The policy's algorithms bind the key, whether or not alg names one (RFC 9421
// section 3.2, step 6).
func TestAlgs(t *testing.T) {
	key := newKey(t, jose.GenerateP256)
	for _, alg := range []string{"", ES256} {
		m := &Message{Method: "GET", Origin: origin, Target: "/", Header: http.Header{}}
		input, signature, err := Sign(m, key, Params{Label: "a", Alg: alg})
		if err != nil {
			t.Fatal(err)
		}
		m.Header.Set("Signature-Input", input)
		m.Header.Set("Signature", signature)
		for allowed, code := range map[string]Code{ES256: "", Ed25519: WrongAlg} {
			s, err := Parse(m, Policy{Now: at, Algs: []string{allowed}})
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Verify(key.Public(), nil); code != "" {
				wantCode(t, err, code)
			} else if err != nil {
				t.Error(err)
			}
		}
	}
}

func TestSignRefused(t *testing.T) {
	key := newKey(t, jose.GenerateEd25519)
	m := &Message{Method: "GET", Origin: origin, Target: "/"}
	for name, c := range map[string]struct {
		params Params
		code   Code
	}{
		"no label":            {Params{}, Malformed},
		"label":               {Params{Label: "A"}, Malformed},
		"line break in keyid": {Params{Label: "a", KeyID: "a\nb"}, Malformed},
		"keyid not ASCII":     {Params{Label: "a", KeyID: "é"}, Malformed},
		"component":           {Params{Label: "a", Components: []string{"@method;"}}, Malformed},
		"component after":     {Params{Label: "a", Components: []string{"@authority;req x"}}, Malformed},
		"component unknown":   {Params{Label: "a", Components: []string{"@nothing"}}, Component},
		"alg":                 {Params{Label: "a", Alg: ES256}, WrongAlg},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := Sign(m, key, c.params)
			wantCode(t, err, c.code)
		})
	}
}

func TestNormalOrigin(t *testing.T) {
	for text, want := range map[string]string{
		"HTTPS://Writ.Example:443/x": "https://writ.example",
		"http://writ.example:80":     "http://writ.example",
		"http://writ.example:443":    "http://writ.example:443",
		"http://localhost:8080":      "http://localhost:8080",
		"https://[::1]:443":          "https://[::1]",
		"https://writ.example:":      "https://writ.example",
		"ftp://writ.example":         "",
		"https://":                   "",
		"https://a@writ.example":     "",
		"//writ.example":             "",
	} {
		u, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := normalOrigin(u); got != want {
			t.Errorf("%s: got %q, want %q", text, got, want)
		}
	}
}

// The examples of RFC 9530 (its content ends in a line feed) and RFC 9421.
func TestDigest(t *testing.T) {
	line := []byte("{\"hello\": \"world\"}\n")
	if got, want := ContentDigest(line), "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	good := ContentDigest(line)
	other := "sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:"
	for field, code := range map[string]Code{
		good:                       "",
		"md5=:AAAA:, " + good:      "",
		good + ", " + other:        WrongDigest,
		"md5=:AAAA:":               WrongDigest,
		"":                         WrongDigest,
		"sha-256=:AAAA:":           WrongDigest,
		"sha-256=\"x\"":            Malformed,
		"sha-256":                  Malformed,
		good + ", " + good:         Malformed,
		strings.ToUpper(good[:10]): Malformed,
	} {
		err := CheckDigest(field, line)
		if code != "" {
			wantCode(t, err, code)
		} else if err != nil {
			t.Errorf("%s: %v", field, err)
		}
	}
	if err := CheckDigest(other, line[:len(line)-1]); err != nil {
		t.Error(err)
	}
}

// Structured fields: what is read has one serialization, and what is refused.
func TestStructuredFields(t *testing.T) {
	for text, want := range map[string]string{
		"":                                       "",
		"  a=1 ,\tb":                             "a=1, b",
		"a=?0, b=?1;x, c=( );y=tok/en:1":         "a=?0, b;x, c=();y=tok/en:1",
		`a="q\"\\ ~", *=:AA==:`:                  `a="q\"\\ ~", *=:AA==:`,
		"a=-0, b=007, c=-999999999999999":        "a=0, b=7, c=-999999999999999",
		`s=("a";x="1"   "b" );created=1;  n="c"`: `s=("a";x="1" "b");created=1;n="c"`,
	} {
		members, err := parseDictionary(text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
		} else if got := dictionary(members...); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
	for name, text := range map[string]string{
		"trailing comma":       "a=1,",
		"two commas":           "a=1,,b",
		"no comma":             "a=1 b=2",
		"upper-case key":       "A=1",
		"no value":             "a=",
		"repeated key":         "a, a",
		"repeated parameter":   "a;b;b",
		"decimal":              "a=1.5",
		"date":                 "a=@1",
		"display string":       `a=%"x"`,
		"sixteen digits":       "a=1234567890123456",
		"minus alone":          "a=-",
		"open string":          `a="x`,
		"escape":               `a="\x"`,
		"escape at the end":    `a="\`,
		"control in a string":  "a=\"\t\"",
		"byte 0":               "a\x00",
		"not ASCII":            "a=\"é\"",
		"open bytes":           "a=:AAAA",
		"bytes unpadded":       "a=:AA:",
		"bytes spare bits":     "a=:AB==:",
		"bytes with a break":   "a=:AA\nAA:",
		"bytes base64url":      "a=:-_-_:",
		"open list":            "a=(1",
		"list without spaces":  `a=("x""y")`,
		"list with a tab":      "a=(1\t2)",
		"nested list":          "a=((1))",
		"boolean":              "a=?2",
		"space before params":  "a=1 ;b",
		"long key":             strings.Repeat("a", maxKey+1),
		"many members":         "a" + strings.Repeat(", b", maxMembers),
		"many items":           "a=(" + strings.Repeat("1 ", maxMembers+1) + ")",
		"too long":             "a=:" + strings.Repeat("A", maxField) + ":",
		"parameter of nothing": ";a",
	} {
		_, err := parseDictionary(text)
		if err == nil {
			t.Errorf("%s: accepted", name)
			continue
		}
		wantCode(t, err, Malformed)
	}
}

// The test vector "Signed Directory Response" of the protocol draft: key of RFC 9421
// appendix B.1.4.
func TestDirectoryVector(t *testing.T) {
	seed, err := jose.DecodeBase64("n4Ni-HpISpVObnQMW0wOhCKROaIKqKtW_2ZYb2p9KcU")
	if err != nil {
		t.Fatal(err)
	}
	key := jose.NewEd25519FromSeed([32]byte(seed))
	body := []byte(`{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"poqkLGiymh_W0uP6PZFw-dvez3QJT5SolqXBCW38r0U","x":"JrQLj5P_89iXES9-vFgrIy29clF9CC_oPPsw3c5D0bs","use":"sig"}]}`)
	m := &Message{
		Status: 200, Header: http.Header{"Content-Digest": {ContentDigest(body)}},
		Request: &Message{Method: "GET", Origin: "https://signature-agent.test", Target: DirectoryPath},
	}
	input, signature, err := Sign(m, key, Params{
		Label: "binding", Components: []string{"@authority;req", "content-digest"},
		Created: time.Unix(1735689600, 0), Expires: time.Unix(4889289600, 0),
		KeyID: key.Public().Thumbprint(), Tag: DirectoryTag,
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := `binding=("@authority";req "content-digest");created=1735689600;expires=4889289600;keyid="poqkLGiymh_W0uP6PZFw-dvez3QJT5SolqXBCW38r0U";tag="http-message-signatures-directory"`; input != want {
		t.Errorf("got  %s\nwant %s", input, want)
	}
	if want := "binding=:l6P8R67tm3kujAxbHWio7ll01qrEZ0dKD/WWlGhNYEmTnFZM8Wt0VQ9zqGfvo7T/UMkBxsigzChM1Gpz7gOVBg==:"; signature != want {
		t.Errorf("got  %s\nwant %s", signature, want)
	}
}

func TestDirectory(t *testing.T) {
	a, b := newKey(t, jose.GenerateEd25519), newKey(t, jose.GenerateP256)
	keys := []jose.PublicKey{newKey(t, jose.GenerateEd25519).Public(), a.Public(), b.Public()}
	body, header, err := Directory("https://Writ.example:443", keys, []jose.Signer{a, b}, at, at.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	for i, k := range keys {
		if want := `"kid":"` + k.Thumbprint() + `"`; !strings.Contains(string(body), want) {
			t.Errorf("key %d is not there: %s", i, body)
		}
	}
	if got := header.Get("Content-Type"); got != DirectoryType {
		t.Errorf("content type %s", got)
	}
	request := &Message{Method: "GET", Origin: origin, Target: DirectoryPath}
	policy := Policy{Tag: DirectoryTag, Require: []string{"@authority;req", "content-digest"}, Now: at, MaxLifetime: time.Hour}
	for i, k := range keys[1:] {
		policy.Label = fmt.Sprintf("key%d", i+1)
		s, err := Parse(&Message{Status: 200, Header: header, Request: request}, policy)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Verify(k, body); err != nil {
			t.Error(err)
		}
		if s.KeyID != k.Thumbprint() {
			t.Errorf("keyid %s", s.KeyID)
		}
		wantCode(t, s.Verify(k, body[1:]), WrongDigest)
	}
	// The set cannot be served under another name.
	elsewhere := &Message{Method: "GET", Origin: "https://evil.example", Target: DirectoryPath}
	s, err := Parse(&Message{Status: 200, Header: header, Request: elsewhere}, policy)
	if err != nil {
		t.Fatal(err)
	}
	wantCode(t, s.Verify(b.Public(), body), BadSignature)

	_, _, err = Directory(origin, keys[:1], []jose.Signer{a}, at, at.Add(time.Hour))
	wantCode(t, err, Malformed)
	_, _, err = Directory("writ.example", keys, nil, at, at.Add(time.Hour))
	wantCode(t, err, WrongMessage)
}

// FuzzDictionary: what is read is serialized in one form, which reads as the same.
func FuzzDictionary(f *testing.F) {
	for _, c := range readVectors(f).Cases {
		m, _ := readMessage(f, c.Message)
		f.Add(m.Header.Get("Signature-Input"))
		f.Add(m.Header.Get("Signature"))
	}
	f.Add("a=(1 tok ?0 :AA==:);b;c=\"\\\"\", *x=-5")
	f.Fuzz(func(t *testing.T, text string) {
		members, err := parseDictionary(text)
		if err != nil {
			wantCode(t, err, Malformed)
			return
		}
		once := dictionary(members...)
		again, err := parseDictionary(once)
		if err != nil {
			t.Fatalf("%q became %q: %v", text, once, err)
		}
		if twice := dictionary(again...); twice != once {
			t.Fatalf("%q, then %q", once, twice)
		}
	})
}

// FuzzParse: no request makes Parse fail without a code, or a base with a line that
// was not covered.
func FuzzParse(f *testing.F) {
	f.Add("/foo?param=Value&Pet=dog", `writ=("@method" "@path" "@query-param";name="Pet");created=1700000000;tag="writ"`, "writ=:AAAA:", "a=1")
	f.Add("/?%zz", `writ=("x";sf "x";key="a" "x";bs "@query-param";name="");tag="writ"`, "writ=:AAAA:", "a=(1 2)")
	key := newKey(f, jose.GenerateEd25519).Public()
	f.Fuzz(func(t *testing.T, target, input, signature, field string) {
		m := &Message{
			Method: "GET", Origin: origin, Target: target, Dictionaries: []string{"x"},
			Header: http.Header{"Signature-Input": {input}, "Signature": {signature}, "X": {field}},
		}
		s, err := Parse(m, Policy{Tag: Tag, Now: at})
		if err != nil {
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("got error %v", err)
			}
			return
		}
		if got, want := strings.Count(string(s.base), "\n"), len(s.Components); got != want {
			t.Fatalf("%d lines for %d components: %q", got, want, s.base)
		}
		if s.Verify(key, nil) == nil {
			t.Fatal("verified by chance")
		}
	})
}
