package api_test

import (
	"bytes"
	"flag"
	"os"
	"testing"
)

var update = flag.Bool("update", false, "write the generated files anew")

// TestOpenAPI keeps the committed description equal to the one that the
// handlers generate and serve.
func TestOpenAPI(t *testing.T) {
	w := open(t)
	got := w.do("GET", "/openapi.yaml", nil).body
	if *update {
		if err := os.WriteFile("openapi.yaml", got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("openapi.yaml is stale: go test ./api -run OpenAPI -update")
	}
}
