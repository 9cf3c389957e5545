package tools

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const mcp = `{"jsonrpc":"2.0","id":1,"result":{"tools":[
 {"name":"get_issue","description":"one issue","inputSchema":{"type":"object"}},
 {"name":"search","annotations":{"readOnlyHint":true,"openWorldHint":false},"inputSchema":{}},
 {"name":"create_issue","annotations":{"destructiveHint":false},"inputSchema":{}},
 {"name":"delete_repo","annotations":{"destructiveHint":true},"inputSchema":{}},
 {"name":"get_and_delete","annotations":{"readOnlyHint":false},"inputSchema":{}},
 {"name":"Send Mail!","inputSchema":{}},
 {"name":"pay","inputSchema":{"x-authzen-mapping":{"evaluation":{"action":{"name":"execute"},"resource":{"type":"payments","id":"$params.arguments.id"}}}}},
 {"name":"dyn","inputSchema":{"x-authzen-mapping":{"evaluation":{"action":{"name":"$params.arguments.verb"},"resource":{"type":"thing"}}}}}
]}}`

// short is a proposal in one line.
func short(list []Proposal) (out []string) {
	for _, p := range list {
		s := fmt.Sprintf("%s = %s: %s", p.Action, p.Tool, p.Guess.Reversibility)
		if p.Guess.CompensatedBy != "" {
			s += " by " + p.Guess.CompensatedBy
		}
		if p.Guess.Egress {
			s += ", egress"
		}
		if p.Guess.Material {
			s += ", material"
		}
		out = append(out, s)
	}
	return out
}

func TestFromMCP(t *testing.T) {
	got, err := FromMCP([]byte(mcp))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"call:Send-Mail- = Send Mail!: irreversible, egress, material",
		"call:create_issue = create_issue: compensable, egress, material",
		"call:delete_repo = delete_repo: irreversible, egress, material",
		"call:get_and_delete = get_and_delete: irreversible, egress, material", // its maker says it does more than read
		"call:get_issue = get_issue: reversible, egress",
		"call:search = search: reversible",
		"call:thing = dyn: irreversible, egress, material",
		"execute:payments = pay: irreversible, egress, material",
	}
	if diff := cmp.Diff(want, short(got)); diff != "" {
		t.Error(diff)
	}
	for _, p := range got {
		if p.Guess.Why == "" || len(p.Pin) != 43 {
			t.Errorf("%+v", p)
		}
	}

	t.Run("pins", func(t *testing.T) {
		pin := func(tool string) string {
			list, err := FromMCP([]byte(`[` + tool + `]`))
			if err != nil {
				t.Fatal(err)
			}
			return list[0].Pin
		}
		a := pin(`{"name":"x","description":"reads","inputSchema":{"a":1.5}}`)
		if b := pin(`{ "inputSchema": {"a": 1.50}, "description": "reads", "name": "x" }`); a != b {
			t.Error("the same description, written otherwise, has another pin")
		}
		for _, other := range []string{`{"name":"x","description":"reads.","inputSchema":{"a":1.5}}`, `{"name":"x","description":"reads","inputSchema":{"a":1.5},"more":1}`} {
			if pin(other) == a {
				t.Errorf("another description has the same pin: %s", other)
			}
		}
	})
	t.Run("one action of several tools", func(t *testing.T) {
		tool := func(name, annotations string) string {
			return `{"name":"` + name + `","annotations":` + annotations + `,"inputSchema":{"x-authzen-mapping":{"evaluation":{"action":{"name":"use"},"resource":{"type":"it"}}}}}`
		}
		a, b := tool("a", `{"destructiveHint":true,"openWorldHint":false}`), tool("b", `{"readOnlyHint":true}`)
		for _, list := range []string{a + "," + b, b + "," + a} {
			got, err := FromMCP([]byte("[" + list + "]"))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]string{"use:it = a, b: irreversible, egress, material"}, short(got)); diff != "" {
				t.Error(diff)
			}
		}
	})
}

const openapi = `openapi: 3.1.0
servers: [{url: https://api.example/v1}]
paths:
  /invoices:
    summary: those
    get: {operationId: list}
    post: {operationId: create, requestBody: {content: {}}}
  /invoices/{id}:
    parameters: [{name: id, in: path}]
    get: {operationId: one}
    delete: {}
    patch: {}
  /payments: {post: {}}
  /{tenant}: {get: {}}
  /9lives/{id}/: {put: {}}
`

func TestFromOpenAPI(t *testing.T) {
	got, err := FromOpenAPI([]byte(openapi))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"create:invoices = POST /invoices: compensable by delete:invoices, egress, material",
		"create:payments = POST /payments: irreversible, egress, material",
		"delete:invoices = DELETE /invoices/{id}: irreversible, egress, material",
		"read:invoices = GET /invoices, GET /invoices/{id}: reversible, egress",
		"read:root = GET /{tenant}: reversible, egress",
		"update:_9lives = PUT /9lives/{id}/: irreversible, egress, material",
		"update:invoices = PATCH /invoices/{id}: irreversible, egress, material",
	}
	if diff := cmp.Diff(want, short(got)); diff != "" {
		t.Error(diff)
	}
	changed, err := FromOpenAPI([]byte(strings.Replace(openapi, "{name: id, in: path}", "{name: id, in: path, schema: {}}", 1)))
	if err != nil {
		t.Fatal(err)
	}
	for i := range got {
		if moved := got[i].Pin != changed[i].Pin; moved != strings.Contains(got[i].Tool, "/invoices/{id}") {
			t.Errorf("%s: its pin moved: %v", got[i].Tool, moved)
		}
	}
}

func TestRefused(t *testing.T) {
	var e *Error
	for name, data := range map[string]string{
		"nothing": ``, "no JSON": `{`, "no list": `"x"`, "no tools": `{"tools":[]}`, "no name": `[{}]`, "a number": `[1]`,
		"twice": `[{"name":"a"},{"name":"a"}]`, "a duplicate member": `[{"name":"a","name":"b"}]`, "too many": "[" + strings.Repeat(`{"name":"a"},`, MaxTools) + `{"name":"b"}]`,
	} {
		if list, err := FromMCP([]byte(data)); !errors.As(err, &e) {
			t.Errorf("MCP, %s: %v, %v", name, list, err)
		}
	}
	for name, data := range map[string]string{
		"nothing": ``, "version 2": `swagger: "2.0"`, "no paths": `openapi: 3.0.0`, "no YAML": "\t:", "keys of no text": "openapi: 3.0.0\npaths: {/a: {get: {1: 2}}}",
		"a bomb": "openapi: 3.0.0\na: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e]\ng: &g [*f,*f,*f,*f,*f,*f,*f,*f,*f]\npaths: {/a: {get: *g}}",
	} {
		if list, err := FromOpenAPI([]byte(data)); !errors.As(err, &e) {
			t.Errorf("OpenAPI, %s: %d, %v", name, len(list), err)
		}
	}
}

func FuzzFromMCP(f *testing.F) {
	f.Add([]byte(mcp))
	f.Fuzz(func(t *testing.T, data []byte) { sane(t, FromMCP, data) })
}

func FuzzFromOpenAPI(f *testing.F) {
	f.Add([]byte(openapi))
	f.Fuzz(func(t *testing.T, data []byte) { sane(t, FromOpenAPI, data) })
}

// sane: whatever is read is a list of distinct actions, each pinned.
func sane(t *testing.T, read func([]byte) ([]Proposal, error), data []byte) {
	list, err := read(data)
	var e *Error
	if err != nil && !errors.As(err, &e) {
		t.Fatal(err)
	}
	for i, p := range list {
		if len(p.Pin) != 43 || i > 0 && list[i-1].Action >= p.Action {
			t.Fatalf("%d: %+v", i, p)
		}
	}
}
