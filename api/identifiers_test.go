package api_test

import (
	"context"
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/writ-registry/writ/api"
	"github.com/writ-registry/writ/internal/resolve"
	"github.com/writ-registry/writ/registry"
	"github.com/writ-registry/writ/registry/did"
	"github.com/writ-registry/writ/registry/registrytest"
)

// resolution is an answer of the binding.
type resolution struct {
	reply
	doc   map[string]any
	meta  map[string]any
	error string // its title
}

func (w *world) resolve(id, query string, change ...request) resolution {
	w.t.Helper()
	r := w.do("GET", "/1.0/identifiers/"+id+query, nil, change...)
	v := r.json(w.t)
	out := resolution{reply: r}
	out.doc, _ = v["didDocument"].(map[string]any)
	out.meta, _ = v["didDocumentMetadata"].(map[string]any)
	if e, ok := v["didResolutionMetadata"].(map[string]any)["error"].(map[string]any); ok {
		out.error, _ = e["title"].(string)
	}
	return out
}

// wants demands a status, the error's title and the number of keys.
func (r resolution) wants(t testing.TB, what string, status int, title string, keys int) {
	t.Helper()
	listed, _ := r.doc["verificationMethod"].([]any)
	if r.StatusCode != status || r.error != title || len(listed) != keys {
		t.Errorf("%s: %d %q with %d keys, want %d %q with %d\n%s", what, r.StatusCode, r.error, len(listed), status, title, keys, r.body)
	}
	if r.Header.Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("%s: not for pages of other origins", what)
	}
}

// TestResolveOwn follows an agent's DIDs through its life.
func TestResolveOwn(t *testing.T) {
	w := open(t)
	a := w.NewAgent(t, "a")
	first := w.resolve(a.DID, "")
	first.wants(t, "did:webvh", 200, "", 1)
	w.resolve(a.WebDID, "").wants(t, "did:web", 200, "", 1)
	w.resolve(w.DID, "").wants(t, "the registry's", 200, "", 3)
	if first.doc["id"] != a.DID || first.Header.Get("Content-Type") != "application/did-resolution" || !strings.HasPrefix(first.meta["versionId"].(string), "1-") {
		t.Errorf("got %s", first.body)
	}

	w.Clock.Add(time.Minute)
	rotated := w.Clock.Now()
	a.Rotate(t, func(in *registry.NewKey) { in.Overlap = new(time.Hour) })
	second := w.resolve(a.DID, "")
	second.wants(t, "in overlap", 200, "", 2)
	w.resolve(a.WebDID, "").wants(t, "did:web in overlap", 200, "", 2)
	for query, keys := range map[string]int{
		"?versionId=" + first.meta["versionId"].(string): 1,
		"?versionNumber=1": 1,
		"?versionNumber=2": 2,
		"?versionTime=" + url.QueryEscape(rotated.Add(-time.Second).UTC().Format(time.RFC3339)): 1,
		"?versionTime=" + url.QueryEscape(rotated.Add(time.Second).UTC().Format(time.RFC3339)):  2,
		"?noCache=true&unknown=1": 2,
	} {
		w.resolve(a.DID, query).wants(t, query, 200, "", keys)
	}
	if old := w.resolve(a.DID, "?versionNumber=1").meta; old["nextVersionId"] != second.meta["versionId"] || old["updated"] == old["created"] {
		t.Errorf("the metadata of an older version: %v", old)
	}

	w.Clock.Add(2 * time.Hour)
	w.tend()
	w.resolve(a.DID, "").wants(t, "after the overlap", 200, "", 1)

	if _, err := w.RevokeAgent(t.Context(), w.Call(), a.ID, "drill"); err != nil {
		t.Fatal(err)
	}
	w.tend()
	w.resolve(a.DID, "").wants(t, "at its end", 410, "", 0)
	w.resolve(a.WebDID, "").wants(t, "did:web at its end", 410, "", 0)
	w.resolve(a.DID, "?versionNumber=2").wants(t, "what it was", 410, "", 2)
	if m := w.resolve(a.DID, "").meta; m["deactivated"] != true {
		t.Errorf("metadata at its end: %v", m)
	}
	w.refused(w.do("GET", "/agents/"+a.ID+"/did.json", nil), 410, "revoked", "")
}

// tend lets DID logs follow.
func (w *world) tend() {
	w.t.Helper()
	if left, err := w.Tend(w.t.Context(), 10); err != nil || left != 0 {
		w.t.Fatalf("tend: %d left, %v", left, err)
	}
}

// TestResolveRepresentations: what is asked for by Accept is what comes, and a copy
// that is still good is not sent again.
func TestResolveRepresentations(t *testing.T) {
	w := open(t)
	a := w.NewAgent(t, "a")
	for accept, media := range map[string]string{
		"":                               "application/did-resolution",
		"*/*":                            "application/did-resolution",
		"text/html, application/*;q=0.1": "application/did-resolution",
		"application/did":                "application/did",
		"application/did+json":           "application/did+json",
		"application/did+ld+json;q=0.9, application/did-resolution;q=0.1":             "application/did+ld+json",
		`application/ld+json;profile="https://w3id.org/did-resolution";charset=utf-8`: "application/ld+json",
	} {
		r := w.do("GET", "/1.0/identifiers/"+a.DID, nil, header("Accept", accept))
		got, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
		_, alone := r.json(t)["verificationMethod"]
		result := media == "application/did-resolution" || media == "application/ld+json"
		if r.StatusCode != 200 || got != media || alone == result {
			t.Errorf("%q: %d %s\n%s", accept, r.StatusCode, r.Header.Get("Content-Type"), r.body)
		}
		if strings.Contains(r.Header.Get("Cache-Control"), "no-store") || !strings.Contains(r.Header.Get("Vary"), "Accept") {
			t.Errorf("%q: headers %v", accept, r.Header)
		}
		again := w.do("GET", "/1.0/identifiers/"+a.DID, nil, header("Accept", accept), header("If-None-Match", `"x", `+r.Header.Get("ETag")))
		if again.StatusCode != 304 || len(again.body) != 0 {
			t.Errorf("%q again: %d %s", accept, again.StatusCode, again.body)
		}
	}
	w.resolve(a.DID, "", header("Accept", "text/html")).wants(t, "a page", 406, "representationNotSupported", 0)
	w.resolve(a.DID, "", header("Accept", "application/did-resolution;q=0")).wants(t, "none", 406, "representationNotSupported", 0)
	r := w.do("OPTIONS", "/1.0/identifiers/"+a.DID, nil, header("Origin", "https://wallet.example"))
	if r.StatusCode != 204 || r.Header.Get("Access-Control-Allow-Headers") != "Authorization" {
		t.Errorf("preflight: %d %v", r.StatusCode, r.Header)
	}
}

// TestResolveSpellings: a DID stands in the path as it is or percent-encoded; the
// port of a host stays one.
func TestResolveSpellings(t *testing.T) {
	w := open(t)
	a := w.NewAgent(t, "a")
	for _, spelling := range []string{a.WebDID, url.PathEscape(a.WebDID), strings.ReplaceAll(url.PathEscape(a.WebDID), ":", "%3A"), strings.ReplaceAll(a.WebDID, "%3A", "%253A")} {
		w.resolve(spelling, "").wants(t, spelling, 200, "", 1)
	}
}

// TestResolveRefusals: each with its code and status (DID Resolution 1.0 section 12.1).
func TestResolveRefusals(t *testing.T) {
	w := open(t)
	a := w.NewAgent(t, "a")
	key := did.Key(registrytest.Key(7).Public()).String()
	w.resolve(key, "").wants(t, "did:key", 200, "", 1)
	otherSCID := strings.Replace(a.DID, a.DID[10:14], map[bool]string{true: "Qmaa", false: "Qmbb"}[a.DID[10:14] != "Qmaa"], 1)
	elsewhere := strings.Replace(a.DID, "localhost%3A8080", "elsewhere.example", 1)
	for name, c := range map[string]struct {
		id, query string
		status    int
		title     string
	}{
		"no DID":                   {"x", "", 400, "invalidDid"},
		"a DID URL":                {a.DID + "%23key-1", "", 400, "invalidDid"},
		"another method":           {"did:example:1", "", 501, "methodNotSupported"},
		"nobody's":                 {w.DID + ":agents:" + registry.NewID(), "", 404, "notFound"},
		"another log's":            {otherSCID, "", 404, "notFound"},
		"another host's":           {elsewhere, "", 501, "methodNotSupported"}, // never answered as ours
		"no such version":          {a.DID, "?versionNumber=9", 404, "notFound"},
		"before its time":          {a.DID, "?versionTime=2001-01-01T00:00:00Z", 404, "notFound"},
		"a version of a did:web":   {a.WebDID, "?versionNumber=1", 404, "notFound"},
		"of the registry's":        {w.DID, "?versionNumber=1", 404, "notFound"},
		"of a did:key":             {key, "?versionNumber=1", 404, "notFound"},
		"two versions":             {a.DID, "?versionNumber=1&versionId=1-x", 400, "invalidOptions"},
		"no version":               {a.DID, "?versionNumber=one", 400, "invalidOptions"},
		"no query":                 {a.DID, "?%zz", 400, "invalidOptions"},
		"what is not dereferenced": {a.DID, "?service=files&relativeRef=/x", 400, "invalidOptions"},
	} {
		r := w.resolve(c.id, c.query)
		r.wants(t, name, c.status, c.title, 0)
		if r.Header.Get("ETag") != "" || r.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s is kept: %v", name, r.Header)
		}
	}
	w.refused(w.do("GET", "/1.0/identifiers/"+a.DID, nil, as("writ_principal_x")), 401, "unauthenticated", "")
	w.refused(w.do("GET", "/agents/"+a.ID+"/whois.vp", nil), 404, "not-found", "")
	w.refused(w.do("GET", "/agents/"+a.ID+"/did-witness.json", nil), 404, "not-found", "")
}

// TestResolveForeign: nothing is fetched for a caller without a credential.
func TestResolveForeign(t *testing.T) {
	var hits atomic.Int64
	var document atomic.Value
	host := httptest.NewTLSServer(http.HandlerFunc(func(out http.ResponseWriter, _ *http.Request) {
		hits.Add(1)
		_, _ = out.Write(document.Load().([]byte))
	}))
	t.Cleanup(host.Close)
	roots := x509.NewCertPool()
	roots.AddCert(host.Certificate())
	w := open(t, func(c *api.Config) {
		c.Resolver = resolve.New(resolve.Config{
			Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}, RootCAs: roots, Now: c.Now,
			Lookup: func(context.Context, string) ([]netip.Addr, error) {
				return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
			},
		})
	})
	_, port, _ := strings.Cut(strings.TrimPrefix(host.URL, "https://"), ":")
	id := "did:web:example.com%3A" + port
	document.Store([]byte(`{"id":"` + id + `","verificationMethod":[{"id":"#1"}]}`))

	for _, query := range []string{"", "?noCache=true"} {
		r := w.resolve(id, query)
		r.wants(t, "a stranger", 401, "uncached", 0)
		if r.Header.Get("WWW-Authenticate") == "" || hits.Load() != 0 {
			t.Errorf("the host was asked %d times for a stranger; %v", hits.Load(), r.Header)
		}
	}
	r := w.resolve(id, "", as(w.Secret))
	r.wants(t, "a caller", 200, "", 1)
	if by := r.json(t)["didResolutionMetadata"].(map[string]any)["assurance"]; by != "host" || r.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("assurance %v, %v", by, r.Header)
	}
	w.resolve(id, "").wants(t, "a stranger, later", 200, "", 1)
	w.resolve(id, "?noCache=true").wants(t, "a stranger who wants it fresh", 200, "", 1)
	w.resolve(id, "", as(w.Secret)).wants(t, "a caller, later", 200, "", 1)
	if n := hits.Load(); n != 1 {
		t.Errorf("the host was asked %d times", n)
	}
	w.resolve(id, "?noCache=true", as(w.Secret)).wants(t, "a caller who wants it fresh", 200, "", 1)
	if n := hits.Load(); n != 2 {
		t.Errorf("the host was asked %d times", n)
	}
	document.Store([]byte(`{"id":"did:web:other.example"}`))
	w.resolve(id, "?noCache=true", as(w.Secret)).wants(t, "another's document", 500, "invalidDidDocument", 0)
	w.resolve("did:web:localhost%3A8080:nobody", "", as(w.Secret)).wants(t, "ours", 404, "notFound", 0)
}
