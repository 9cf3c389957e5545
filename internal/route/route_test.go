package route

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/writ-registry/writ/registry/capability"
)

var table = Table{Audience: "https://erp.example", Routes: []Route{
	{Method: "GET", Path: "/invoices/{id}", Action: "read:invoices", Resource: "{id}"},
	{Method: "GET", Path: "/invoices/{id}/lines/{line}", Action: "read:lines", Resource: "{id}"},
	{Method: "POST", Path: "/shipments", Action: "create:shipment", Resource: "new", Body: BodyJSON},
	{Method: "PUT", Path: "/files/{path...}", Action: "write:files", Resource: "{path}", Body: BodyDigest},
}}

func router(t testing.TB) *Router {
	t.Helper()
	r, err := table.Compile()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func get(target string) Request { return Request{Method: "GET", Target: target, Seen: true} }

func post(body string) Request {
	return Request{Method: "POST", Target: "/shipments", Body: []byte(body), Seen: true, Media: "application/json; charset=utf-8"}
}

func TestActs(t *testing.T) {
	r := router(t)
	const emptySum = "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"
	for name, c := range map[string]struct {
		q    Request
		want capability.Act
	}{
		"a variable is the resource": {get("/invoices/2026-0042"), capability.Act{Action: "read", Resource: capability.Resource{Type: "invoices", ID: "2026-0042"}}},
		"an escaped segment":         {get("/invoices/a%20b"), capability.Act{Action: "read", Resource: capability.Resource{Type: "invoices", ID: "a b"}}},
		"a variable and a query are arguments": {get("/invoices/7/lines/2?full=yes"),
			capability.Act{Action: "read", Resource: capability.Resource{Type: "lines", ID: "7"}, Arguments: json.RawMessage(`{"full":"yes","line":"2"}`)}},
		"a body's members are arguments": {post(`{"weight":12.50,"to":"B"}`),
			capability.Act{Action: "create", Resource: capability.Resource{Type: "shipment", ID: "new"}, Arguments: json.RawMessage(`{"to":"B","weight":12.5}`)}},
		"a body's digest": {Request{Method: "PUT", Target: "/files/a/b", Seen: true},
			capability.Act{Action: "write", Resource: capability.Resource{Type: "files", ID: "a/b"}, Arguments: json.RawMessage(`{"content_digest":"` + emptySum + `"}`)}},
		"a digest that only the field knows": {Request{Method: "PUT", Target: "/files/a", Length: -1, Digest: FormatDigest(nil)},
			capability.Act{Action: "write", Resource: capability.Resource{Type: "files", ID: "a"}, Arguments: json.RawMessage(`{"content_digest":"` + emptySum + `"}`)}},
	} {
		got, err := r.Act(c.q)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestRequestsThatAreNoAct(t *testing.T) {
	r := router(t)
	body := func(change func(*Request)) Request { q := post(`{"a":1}`); change(&q); return q }
	for name, c := range map[string]struct {
		q    Request
		want error
	}{
		"another path":                    {get("/orders/1"), ErrNoRoute},
		"another method":                  {Request{Method: "DELETE", Target: "/invoices/1", Seen: true}, ErrNoRoute},
		"fixed text, escaped":             {get("/%69nvoices/1"), ErrNoRoute},
		"another case":                    {get("/Invoices/1"), ErrNoRoute},
		"a slash at the end":              {get("/invoices/1/"), ErrRequest},
		"dot segments":                    {get("/invoices/../admin"), ErrRequest},
		"escaped dot segments":            {get("/invoices/%2e%2e"), ErrRequest},
		"an empty segment":                {get("//invoices/1"), ErrRequest},
		"an escaped slash":                {get("/invoices/1%2f2"), ErrRequest},
		"escaped twice":                   {get("/invoices/1%252f2"), ErrRequest},
		"a backslash":                     {get(`/invoices/1\2`), ErrRequest},
		"path parameters":                 {get("/invoices/1;x=2"), ErrRequest},
		"an escaped NUL":                  {get("/invoices/1%00"), ErrRequest},
		"no UTF-8":                        {get("/invoices/%ff"), ErrRequest},
		"no UTF-8 in the query":           {get("/invoices/1?a=%ff"), ErrRequest},
		"a parameter twice":               {get("/invoices/1?a=1&a=2"), ErrRequest},
		"a plus":                          {get("/invoices/1?a=b+c"), ErrRequest},
		"a parameter named as a variable": {get("/invoices/7/lines/2?line=3"), ErrRequest},
		"a whole URL":                     {get("https://erp.example/invoices/1"), ErrRequest},
		"a body where there is none":      {Request{Method: "GET", Target: "/invoices/1", Seen: true, Body: []byte("x")}, ErrRequest},
		"perhaps a body":                  {Request{Method: "GET", Target: "/invoices/1", Length: -1}, ErrRequest},
		"a body that was not seen":        {Request{Method: "POST", Target: "/shipments", Length: 7}, ErrUnseen},
		"no object":                       {post(`[1]`), ErrRequest},
		"null":                            {post(`null`), ErrRequest},
		"a member twice":                  {post(`{"a":1,"a":2}`), ErrRequest},
		"a form":                          {body(func(q *Request) { q.Media = "application/x-www-form-urlencoded" }), ErrRequest},
		"compressed":                      {body(func(q *Request) { q.Coding = "gzip" }), ErrRequest},
		"a member named as a parameter":   {body(func(q *Request) { q.Target += "?a=1" }), ErrRequest},
		"no digest":                       {Request{Method: "PUT", Target: "/files/a", Length: 1}, ErrRequest},
		"a digest of another body":        {Request{Method: "PUT", Target: "/files/a", Body: []byte("x"), Seen: true, Digest: FormatDigest([]byte("y"))}, ErrRequest},
		"two digests":                     {Request{Method: "PUT", Target: "/files/a", Length: 1, Digest: FormatDigest(nil) + ", " + FormatDigest(nil)}, ErrRequest},
	} {
		if act, err := r.Act(c.q); !errors.Is(err, c.want) {
			t.Errorf("%s: got %+v, %v; want %v", name, act, err, c.want)
		}
	}
}

func TestTablesThatAreNone(t *testing.T) {
	good := table.Routes[0]
	for name, c := range map[string]struct {
		change func(*Route)
		field  string
	}{
		"a method in small letters": {func(r *Route) { r.Method = "get" }, "/routes/1/method"},
		"no path":                   {func(r *Route) { r.Path = "invoices" }, "/routes/1/path"},
		"a dot segment":             {func(r *Route) { r.Path = "/a/../b" }, "/routes/1/path"},
		"half a variable":           {func(r *Route) { r.Path = "/a{id}" }, "/routes/1/path"},
		"a variable twice":          {func(r *Route) { r.Path = "/a/{id}/{id}" }, "/routes/1/path"},
		"the rest first":            {func(r *Route) { r.Path = "/{id...}/a" }, "/routes/1/path"},
		"an escape":                 {func(r *Route) { r.Path = "/a%20b" }, "/routes/1/path"},
		"the same path again":       {func(r *Route) {}, "/routes/1/path"},
		"a path that fits as well":  {func(r *Route) { r.Path = "/{kind}/{id}" }, "/routes/1/path"},
		"no verb:type":              {func(r *Route) { r.Path, r.Action = "/x", "read" }, "/routes/1/action"},
		"a foreign variable":        {func(r *Route) { r.Path, r.Resource = "/x", "{id}" }, "/routes/1/resource"},
		"half a brace":              {func(r *Route) { r.Path, r.Resource = "/x", "{id" }, "/routes/1/resource"},
		"no resource":               {func(r *Route) { r.Path, r.Resource = "/x", "" }, "/routes/1"},
		"another body":              {func(r *Route) { r.Path, r.Resource, r.Body = "/x", "x", "form" }, "/routes/1/body"},
	} {
		bad := good
		c.change(&bad)
		_, err := Table{table.Audience, []Route{good, bad}}.Compile()
		var e *Error
		if !errors.As(err, &e) || e.Field != c.field {
			t.Errorf("%s: got %v, want it at %s", name, err, c.field)
		}
	}
	if _, err := (Table{Routes: table.Routes}).Compile(); err == nil {
		t.Error("a table for no resource server")
	}
}

// TestDigestsDiffer: tables that differ in anything have other digests.
func TestDigestsDiffer(t *testing.T) {
	seen := map[string]string{}
	for name, change := range map[string]func(*Table){
		"same": func(*Table) {}, "audience": func(t *Table) { t.Audience = "x:y" }, "path": func(t *Table) { t.Routes[0].Path = "/i/{id}" },
		"body": func(t *Table) { t.Routes[0].Body = BodyJSON }, "less": func(t *Table) { t.Routes = t.Routes[:1] },
	} {
		c := Table{table.Audience, append([]Route{}, table.Routes...)}
		change(&c)
		d, err := c.Digest()
		if err != nil || seen[d] != "" {
			t.Errorf("%s has the digest of %s (%v)", name, seen[d], err)
		}
		seen[d] = name
	}
}

// FuzzAct: whatever is mapped has an act that can be digested, and no two targets that
// a server tells apart by their decoded parts share one.
func FuzzAct(f *testing.F) {
	r := router(f)
	for _, s := range []string{"/invoices/1", "/invoices/7/lines/2?a=b", "/files/a/b%20c", "/invoices/%2e%2e", "/shipments?x=%00"} {
		f.Add("GET", s, []byte(nil))
		f.Add("PUT", s, []byte("x"))
	}
	f.Add("POST", "/shipments", []byte(`{"a":{"b":[1,2]}}`))
	f.Fuzz(func(t *testing.T, method, target string, body []byte) {
		act, err := r.Act(Request{Method: method, Target: target, Body: body, Seen: true, Media: "application/json"})
		if err != nil {
			return
		}
		if _, err := act.Digest(); err != nil {
			t.Errorf("%s %s: an act without digest: %v", method, target, err)
		}
		for part := range strings.SplitSeq(act.Resource.ID, "/") {
			if part == "" || part == "." || part == ".." {
				t.Errorf("%s %s: resource %q", method, target, act.Resource.ID)
			}
		}
	})
}
