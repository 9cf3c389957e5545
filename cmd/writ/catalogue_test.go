package main

import (
	"os"
	"strings"
	"testing"

	"github.com/writ-registry/writ/client"
)

// TestCatalogueImport: what tools say of themselves stays a guess until somebody has
// looked, and again when they say something else.
func TestCatalogueImport(t *testing.T) {
	startRegistry(t, "none")
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const get = `{"name":"get_issue","description":"one","annotations":{"readOnlyHint":true,"openWorldHint":false}}`
	write("tools.json", `{"tools":[`+get+`,{"name":"close_issue"}]}`)
	write("hand.json", `{"actions":[{"action":"call:close_issue","reversibility":"compensable","egress":false,"material":true,"min_level":1,"compensated_by":"call:open_issue","compensate_in":60}]}`)
	writ(t, "catalogue", "put", "hand.json").want(t, 0)
	entry := func(action string) (a client.CatalogueAction) {
		t.Helper()
		for _, a := range decode[client.Catalogue](t, writ(t, "catalogue", "show", "--json").want(t, 0)).Actions {
			if a.Action == action {
				return a
			}
		}
		return client.CatalogueAction{}
	}

	writ(t, "catalogue", "import", "--mcp", "tools.json", "--dry-run").want(t, 0, "added", "call:get_issue", "kept", "call:close_issue", "its maker says that it only reads")
	if a := entry("call:get_issue"); a.Action != "" {
		t.Fatalf("a dry run changed the catalogue: %+v", a)
	}
	writ(t, "catalogue", "import", "--mcp", "tools.json").want(t, 0, "added", "kept", "event")
	a := entry("call:get_issue")
	if a.Reversibility != "irreversible" || !a.Egress || !a.Material || a.Guess == nil || a.Guess.Reversibility != "reversible" {
		t.Fatalf("before anybody looked: %+v", a)
	}
	if a := entry("call:close_issue"); a.Reversibility != "compensable" || a.Pin != "" {
		t.Errorf("what was written by hand: %+v", a)
	}
	writ(t, "catalogue", "show").want(t, 0, "not reviewed: reversible?")

	writ(t, "catalogue", "review", "call:get_issue").want(t, 1, "--accept")
	writ(t, "catalogue", "review", "call:nothing", "--accept").want(t, 1, "no action")
	writ(t, "catalogue", "review", "call:get_issue", "--accept").want(t, 0, "reversible")
	if a := entry("call:get_issue"); a.Reversibility != "reversible" || a.Egress || a.Material || a.Guess != nil || a.Pin == "" {
		t.Errorf("reviewed: %+v", a)
	}
	writ(t, "catalogue", "review", "call:get_issue", "--accept").want(t, 1, "has been reviewed")
	if out := writ(t, "catalogue", "import", "--mcp", "tools.json").want(t, 0, "unchanged").out; strings.Contains(out, "event") {
		t.Errorf("the same file again made an event: %s", out)
	}

	write("tools.json", `{"tools":[`+strings.Replace(get, "one", "one, and deletes it", 1)+`]}`)
	writ(t, "catalogue", "import", "--mcp", "tools.json").want(t, 0, "changed")
	if a := entry("call:get_issue"); a.Reversibility != "irreversible" || a.Guess == nil {
		t.Errorf("another description: %+v", a)
	}

	write("api.yaml", "openapi: 3.1.0\npaths:\n  /invoices: {post: {}}\n  /invoices/{id}: {delete: {}}\n")
	writ(t, "catalogue", "import", "--openapi", "api.yaml").want(t, 0, "create:invoices", "what it creates can be deleted")
	writ(t, "catalogue", "review", "create:invoices", "--accept", "--within", "24h", "--egress=false").want(t, 0, "compensable by delete:invoices within 24h")
	if a := entry("create:invoices"); a.CompensateIn != 86400 || a.Egress || !a.Material {
		t.Errorf("reviewed: %+v", a)
	}
	writ(t, "catalogue", "import", "--openapi", "tools.json").want(t, 1, "versions 3.x are read")
	writ(t, "catalogue", "import", "--mcp", "a", "--openapi", "b").want(t, 1)
	writ(t, "catalogue", "import").want(t, 1)
}
