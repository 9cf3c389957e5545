package api_test

import (
	"strings"
	"testing"

	"github.com/writ-registry/writ/internal/canon"
	"github.com/writ-registry/writ/internal/jose"
	"github.com/writ-registry/writ/registry"
	"github.com/writ-registry/writ/registry/did"
	"github.com/writ-registry/writ/registry/statuslist"
)

// TestStatusLists: a stranger who has a grant's token finds its status with the key
// of the registry's DID document, keeps it as the answer says, and asks again.
func TestStatusLists(t *testing.T) {
	w := open(t)
	g := w.NewAgent(t, "a").Grant(t, "read:x")
	var claims struct {
		Status struct {
			List struct {
				Index int    `json:"idx"`
				URI   string `json:"uri"`
			} `json:"status_list"`
		} `json:"status"`
	}
	payload, err := jose.DecodeBase64(strings.Split(g.Token, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	if err := canon.UnmarshalOpen(payload, &claims); err != nil {
		t.Fatal(err)
	}
	at, ok := strings.CutPrefix(claims.Status.List.URI, w.Registry.Origin)
	if !ok {
		t.Fatalf("status list at %s", claims.Status.List.URI)
	}
	status := func(etag string) (statuslist.Status, reply) {
		t.Helper()
		r := w.do("GET", at, nil, header("If-None-Match", etag))
		if r.StatusCode == 304 {
			return 0, r
		}
		if ct := r.Header.Get("Content-Type"); r.StatusCode != 200 || ct != statuslist.MediaType || r.Header.Get("Cache-Control") != "public, max-age=60" {
			t.Fatalf("%d %s %s", r.StatusCode, ct, r.Header.Get("Cache-Control"))
		}
		token, err := statuslist.Parse(string(r.body))
		if err != nil {
			t.Fatal(err)
		}
		doc, err := did.ParseDocument(w.do("GET", "/.well-known/did.json", nil).body)
		if err != nil {
			t.Fatal(err)
		}
		key, ok := doc.Key(token.KeyID())
		if !ok || token.KeyID() == w.TokenKeyID() {
			t.Fatalf("status lists are signed by %s", token.KeyID())
		}
		list, err := token.Verify(statuslist.Check{Key: key, URI: claims.Status.List.URI, Now: w.Clock.Now(), MaxAge: registry.StatusTTL})
		if err != nil {
			t.Fatal(err)
		}
		s, err := list.Get(claims.Status.List.Index)
		if err != nil {
			t.Fatal(err)
		}
		return s, r
	}
	s, r := status("")
	if s != statuslist.Valid {
		t.Errorf("new grant: %s", s)
	}
	etag := r.Header.Get("ETag")
	if _, again := status(`"x", W/` + etag); again.StatusCode != 304 || len(again.body) != 0 {
		t.Errorf("unchanged list: %d", again.StatusCode)
	}
	w.must("POST", "/v1/grants/"+g.ID+"/revoke", nil)
	if s, _ := status(etag); s != statuslist.Invalid {
		t.Errorf("revoked grant: %s", s)
	}
	r = w.do("GET", at+"/bitstring?purpose=revocation", nil)
	if _, err := jose.Parse(string(r.body), "vc+jwt", statuslist.MaxToken); err != nil || r.Header.Get("Content-Type") != "application/vc+jwt" {
		t.Errorf("bitstring: %d %s %v", r.StatusCode, r.Header.Get("Content-Type"), err)
	}
	for path, code := range map[string]int{
		"/status/2": 404, "/status/0": 404, "/status/01": 404, "/status/x": 404, "/status/1/bitstring?purpose=message": 400,
		"/status/1/bitstring?purpose=revocation&purpose=suspension": 400, "/status/1/bitstring?x=revocation": 400,
	} {
		if r := w.do("GET", path, nil); r.StatusCode != code {
			t.Errorf("%s: %d %s", path, r.StatusCode, r.body)
		}
	}
}
