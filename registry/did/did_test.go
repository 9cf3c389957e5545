package did

import (
	"errors"
	"strings"
	"testing"

	"github.com/writ-registry/writ/internal/jose"
)

const testSCID = "QmdmPkUdYzbr9txmx8gM2rsHPgr5L6m3gHjJGAf4vUFoGE"

// URLs after did:webvh v1.0 section 3.4 and the did:web examples.
func TestURL(t *testing.T) {
	for text, want := range map[string]string{
		"did:webvh:{SCID}:example.com":                            "https://example.com/.well-known/did.jsonl",
		"did:webvh:{SCID}:issuer.example.com":                     "https://issuer.example.com/.well-known/did.jsonl",
		"did:webvh:{SCID}:example.com:dids:issuer":                "https://example.com/dids/issuer/did.jsonl",
		"did:webvh:{SCID}:example.com%3A3000:dids:issuer":         "https://example.com:3000/dids/issuer/did.jsonl",
		"did:webvh:{SCID}:xn--jp-cd2fp15c.xn--fsq.jp:%E7%94%A8":   "https://xn--jp-cd2fp15c.xn--fsq.jp/%E7%94%A8/did.jsonl",
		"did:web:w3c-ccg.github.io":                               "https://w3c-ccg.github.io/.well-known/did.json",
		"did:web:w3c-ccg.github.io:user:alice":                    "https://w3c-ccg.github.io/user/alice/did.json",
		"did:web:example.com%3A3000:user:alice":                   "https://example.com:3000/user/alice/did.json",
		"did:web:localhost%3A8080:agents:0198a1b2-0000-7000-8000": "https://localhost:8080/agents/0198a1b2-0000-7000-8000/did.json",
	} {
		text = strings.Replace(text, "{SCID}", testSCID, 1)
		d, err := Parse(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got, err := d.URL(); err != nil || got != want {
			t.Errorf("%s: got %s, %v, want %s", text, got, err, want)
		}
		if d.String() != text {
			t.Errorf("%s: got %s", text, d)
		}
	}
	for text, want := range map[string]string{
		webvh + "example.com":                     "https://example.com/.well-known/did-witness.json",
		webvh + "example.com%3A3000:dids:a.jsonl": "https://example.com:3000/dids/a.jsonl/did-witness.json",
		"did:web:example.com":                     "",
		"did:example:1":                           "",
	} {
		d, err := Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := d.WitnessURL(); got != want || (err == nil) != (want != "") {
			t.Errorf("%s: got witnesses at %s, %v", text, got, err)
		}
	}
	if _, err := Key(mustKey(1).Public()).URL(); err == nil {
		t.Error("did:key has a URL")
	}
}

const webvh = "did:webvh:" + testSCID + ":"

// parseCases maps texts to part of the error, "" if they are DIDs.
var parseCases = map[string]string{
	"did:example:123":                       "",
	"did:example::1":                        "",
	"did:ethr:0x1:0xAbC":                    "",
	"did:e1:a%2Fb":                          "",
	"did:web:0x.example":                    "",
	"did:web:1.example":                     "",
	"did:web:12a":                           "",
	"did:web:example.com:~a":                "character not allowed in a DID at character 21",
	"did:web:example.com:%7Ea":              "",
	"did:web:example.com:%20":               "",
	"":                                      `no "did:" at character 1`,
	"did":                                   `no "did:" at character 1`,
	"DID:web:a":                             `no "did:" at character 1`,
	" did:web:a":                            `no "did:" at character 1`,
	"did::a":                                "method name or identifier is empty at character 6",
	"did:web":                               "method name or identifier is empty at character 8",
	"did:web:":                              "method name or identifier is empty at character 9",
	"did:Web:a":                             "no lower case letter or digit in the method name at character 5",
	"did:we-b:a":                            "no lower case letter or digit in the method name at character 7",
	"did:example:a:":                        "identifier ends in a colon at character 15",
	"did:example:a b":                       "character not allowed in a DID at character 14",
	"did:example:é":                         "character not allowed in a DID at character 13",
	"did:example:a%2":                       "incomplete percent-encoding at character 14",
	"did:example:a%2g":                      "incomplete percent-encoding at character 14",
	"did:example:a/b":                       "character not allowed in a DID at character 14",
	"did:example:a?b":                       "character not allowed in a DID at character 14",
	"did:example:a#b":                       "character not allowed in a DID at character 14",
	"did:web:Example.com":                   "character not allowed in a host name at character 9",
	"did:web:example..com":                  "not a host name at character 17",
	"did:web:example.com.":                  "not a host name at character 21",
	"did:web:-a.com":                        "not a host name at character 9",
	"did:web:a_b.com":                       "character not allowed in a host name at character 10",
	"did:web:ex%41mple.com":                 "character not allowed in a host name at character 11",
	"did:web:127.0.0.1":                     "host is an IP address at character 17",
	"did:web:127.1":                         "host is an IP address at character 13",
	"did:web:2130706433":                    "host is an IP address at character 9",
	"did:web:0x7f000001":                    "host is an IP address at character 9",
	"did:web:0x7f.1":                        "host is an IP address at character 14",
	"did:web:127.0.0.0x1":                   "host is an IP address at character 17",
	"did:web:a.0x":                          "host is an IP address at character 11",
	"did:web:%5B%3A%3A1%5D":                 "character not allowed in a host name at character 9",
	"did:web:example.com%3A":                "not a port at character 23",
	"did:web:example.com%3A0":               "not a port at character 23",
	"did:web:example.com%3A080":             "not a port at character 23",
	"did:web:example.com%3A65536":           "not a port at character 23",
	"did:web:example.com%3A80%3A81":         "not a port at character 23",
	"did:web:example.com%3a80":              "character not allowed in a host name at character 20",
	"did:web:example.com:..:x":              "path segment is empty or climbs at character 21",
	"did:web:example.com:a:.":               "path segment is empty or climbs at character 23",
	"did:web:example.com::x":                "path segment is empty or climbs at character 21",
	"did:web:example.com:%2E%2E":            "percent-encoding at character 21",
	"did:web:example.com:a%41":              "needless percent-encoding at character 22",
	"did:web:example.com:%c3%a9":            "percent-encoding in lower case at character 21",
	"did:web:example.com:a%2Fb":             "character not allowed in a path segment at character 22",
	"did:web:example.com:a%5Cb":             "character not allowed in a path segment at character 22",
	"did:web:example.com:a%00b":             "character not allowed in a path segment at character 22",
	"did:web:example.com:a%252Fb":           "character not allowed in a path segment at character 22",
	webvh + "example.com":                   "",
	webvh + "localhost%3A8080:agents:1":     "",
	webvh + "127.0.0.1":                     "host is an IP address at character 66",
	webvh + "127%2E0%2E0%2E1":               "character not allowed in a host name at character 61",
	"did:webvh:" + testSCID:                 "not a host name at character 57",
	"did:webvh:{SCID}:example.com":          "character not allowed in a DID at character 11",
	"did:webvh:example.com":                 "SCID is not the base58btc of a SHA-256 multihash at character 11",
	"did:webvh:" + testSCID[1:] + "x:a.com": "SCID is not the base58btc of a SHA-256 multihash at character 11",
	"did:key:z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp":  "",
	"did:key:z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWq":  "not the Multikey",
	"did:key:zQ3shokFTS3brHcDQrn82RUDfCZESWL1ZdCEJwekUDPQiYBme": "not the Multikey",
	"did:example:" + strings.Repeat("a", MaxLength-12):          "",
	"did:example:" + strings.Repeat("a", MaxLength-11):          "longer than 2048 bytes at character 2049",
	"did:web:" + strings.Repeat("a", 64) + ".com":               "not a host name at character 9",
	"did:web:" + strings.Repeat("a.", 127) + "com":              "host is too long",
}

func TestParse(t *testing.T) {
	for text, want := range parseCases {
		d, err := Parse(text)
		var e *SyntaxError
		switch {
		case want == "" && (err != nil || d.String() != text):
			t.Errorf("%.80s: got %v, %v", text, d, err)
		case want != "" && (!errors.As(err, &e) || !strings.Contains(err.Error(), want)):
			t.Errorf("%.80s: got %v, want %s", text, err, want)
		}
	}
}

func TestParseURL(t *testing.T) {
	d, fragment, err := ParseURL("did:web:example.com#key-1")
	if err != nil || d.String() != "did:web:example.com" || fragment != "key-1" {
		t.Errorf("got %s, %s, %v", d, fragment, err)
	}
	if d, fragment, err = ParseURL("did:web:example.com"); err != nil || fragment != "" || d.Method() != MethodWeb {
		t.Errorf("got %s, %s, %v", d, fragment, err)
	}
	for _, text := range []string{"did:web:example.com#", "did:web:example.com#a#b", "did:web:example.com/x#a", "did:web:example.com?x#a", "#a"} {
		if _, _, err := ParseURL(text); err == nil {
			t.Errorf("%s: accepted", text)
		}
	}
}

func TestBuild(t *testing.T) {
	for _, c := range []struct{ origin, want string }{
		{"https://registry.example", "did:web:registry.example:agents:a%20b%C3%A9"},
		{"https://registry.example/", "did:web:registry.example:agents:a%20b%C3%A9"},
		{"http://localhost:8080", "did:web:localhost%3A8080:agents:a%20b%C3%A9"},
	} {
		d, err := Web(c.origin, "agents", "a bé")
		if err != nil || d.String() != c.want {
			t.Errorf("%s: got %s, %v", c.origin, d, err)
			continue
		}
		vh, err := WebVH(c.origin, testSCID, "agents", "a bé")
		if err != nil || vh.SCID() != testSCID || vh.Host() != d.Host() {
			t.Errorf("%s: got %s, %v", c.origin, vh, err)
			continue
		}
		if parallel, err := vh.ParallelWeb(); err != nil || parallel != d {
			t.Errorf("%s: got parallel %s, %v", c.origin, parallel, err)
		}
	}
	for _, origin := range []string{
		"", "registry.example", "ftp://registry.example", "https://", "https://127.0.0.1", "https://[::1]:80", "http://0x7f.1:80",
		"https://user@registry.example", "https://registry.example/path", "https://registry.example?x", "https://registry.example#x",
		"https://Registry.example", "https://registry.example:", "https://registry.example:0", "https://registry.example//",
	} {
		if d, err := Web(origin); err == nil {
			t.Errorf("%s: got %s", origin, d)
		}
	}
	for _, segment := range []string{"", ".", "..", "a/b", `a\b`, "a%b", "a\x00"} {
		if d, err := WebVH("https://registry.example", testSCID, segment); err == nil {
			t.Errorf("segment %q: got %s", segment, d)
		}
	}
	web, _ := Web("https://registry.example")
	if _, err := web.ParallelWeb(); err == nil {
		t.Error("a did:web has a parallel did:web")
	}
}

func TestKey(t *testing.T) {
	p256, err := jose.GenerateP256()
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []*jose.PrivateKey{mustKey(1), p256} {
		d, err := Parse(Key(key.Public()).String())
		if err != nil || d != Key(key.Public()) {
			t.Errorf("got %s, %v", d, err)
		}
		if got, err := d.PublicKey(); err != nil || got != key.Public() {
			t.Errorf("got another key, %v", err)
		}
		if got := d.KeyURL(key.Public()); got != d.String()+"#"+key.Public().Multikey() {
			t.Errorf("got %s", got)
		}
	}
	web, _ := Web("https://registry.example")
	if _, err := web.PublicKey(); err == nil {
		t.Error("a did:web has a key of its own")
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{
		"did:web:example.com%3A80:a:%20", "did:webvh:" + testSCID + ":example.com:agents:1", "did:example:1:%2F",
		"did:key:z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := Parse(text)
		if err != nil {
			return
		}
		if again, err := Parse(d.String()); err != nil || again != d || d.String() != text {
			t.Errorf("%q: got %v, %v", text, again, err)
		}
		u, err := d.URL()
		if err == nil && (strings.Contains(u, "/../") || strings.Contains(u, "//.") || strings.Count(u, "//") != 1) {
			t.Errorf("%q: URL %s", text, u)
		}
	})
}
