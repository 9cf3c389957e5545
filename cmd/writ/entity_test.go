package main

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/writ-registry/writ/client"
)

// TestEntityCommands says, shows, lists and forgets entities, one and many.
func TestEntityCommands(t *testing.T) {
	startRegistry(t, "none")
	writ(t, "entity", "set", "user/alice", "--properties", `{"grade":3}`, "--group", "team/sales", "--group", "team/a/b").want(t, 0, "user/alice", "team/sales team/a/b", "event")
	writ(t, "entity", "set", "user/alice", "--properties", `{"grade": 3.0}`, "--group", "team/sales", "--group", "team/a/b").want(t, 0, "nothing changed")
	writIn(t, `{"status":"archived"}`, "entity", "set", "record/record/1", "--properties", "@-").want(t, 0, "record/record/1", "archived")
	got := decode[client.StoredEntity](t, writ(t, "entity", "get", "user/alice", "--json").want(t, 0))
	if string(got.Properties) != `{"grade":3}` || len(got.Parents) != 2 || got.Parents[1] != (client.EntityRef{Type: "team", ID: "a/b"}) {
		t.Errorf("%+v", got)
	}
	writ(t, "entity", "list").want(t, 0, "user/alice", "record/record/1")
	if r := writ(t, "entity", "list", "--type", "user").want(t, 0, "user/alice"); strings.Contains(r.out, "record/") {
		t.Errorf("of another type: %s", r.out)
	}
	for _, args := range [][]string{
		{"set", "alice"}, {"set", "user/bob", "--group", "sales"}, {"set", "user/bob", "--properties", `{"a":1,"a":2}`}, {"set", "user/bob", "--properties", `[]`},
		{"get", "user/bob"}, {"delete", "user/bob"}, {"import", "none.json"},
	} {
		writ(t, append([]string{"entity"}, args...)...).want(t, 1)
	}

	var lines strings.Builder
	for i := range 2345 {
		fmt.Fprintf(&lines, `{"type":"user","id":"u%d","properties":{"grade":%d},"parents":[{"type":"team","id":"sales"}]}`+"\n\n", i, i)
	}
	if err := os.WriteFile("users.ndjson", []byte(lines.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	writ(t, "entity", "import", "users.ndjson").want(t, 0, "2345 entities, 2345 changed", "2345 of 2345 entities")
	if put := decode[map[string]int](t, writ(t, "entity", "import", "users.ndjson", "--json").want(t, 0)); put["changed"] != 0 || put["unchanged"] != 2345 {
		t.Errorf("the same again: %v", put)
	}
	writIn(t, `[{"type":"user","id":"u1"},{"type":"user","id":"new"}]`, "entity", "import", "-").want(t, 0, "2 entities, 2 changed")
	listed := writ(t, "entity", "list", "--json").want(t, 0)
	writIn(t, listed.out, "entity", "import", "-").want(t, 0, "2348 entities, 0 changed")
	for name, text := range map[string]string{
		"line 2":    `{"type":"user","id":"a"}` + "\n" + `{"type":"user","ID":"b"}`,
		"/0/parent": `[{"type":"user","id":"a","parent":[]}]`,
		"entities 1 to 2 were not taken, 0 before them were": `[{"type":"user","id":"a"},{"type":"user","id":"a"}]`,
		"no entities": "\n\n",
	} {
		writIn(t, text, "entity", "import", "-").want(t, 1, name)
	}
	writ(t, "entity", "get", "user/a").want(t, 1)
	writ(t, "entity", "delete", "user/new").want(t, 0, "event")
	writ(t, "entity", "get", "user/new").want(t, 1)
}

// TestEntitiesBatch: requests stay below what a registry reads.
func TestEntitiesBatch(t *testing.T) {
	small := make([]client.StoredEntity, client.MaxEntities+1)
	if n := entitiesBatch(small); n != client.MaxEntities {
		t.Errorf("%d small ones", n)
	}
	for i := range small {
		small[i].Properties = []byte(`"` + strings.Repeat("x", 16<<10) + `"`)
	}
	if n := entitiesBatch(small); n < 40 || n*(16<<10) > maxEntitiesBody {
		t.Errorf("%d large ones", n)
	}
	if n := entitiesBatch(small[:1]); n != 1 {
		t.Errorf("%d of one", n)
	}
}
