package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/writ-registry/writ/client"
	"github.com/writ-registry/writ/client/verify"
)

// checkDemo holds what a demo reports against what it must have shown.
func checkDemo(t *testing.T, r demoResult, rewrites int) {
	t.Helper()
	if !r.OK || len(r.Surprises) > 0 {
		t.Fatalf("surprises: %q", r.Surprises)
	}
	type key struct{ agent, action, verdict string }
	seen := map[key]bool{}
	vias := map[string]bool{}
	for _, d := range r.Decisions {
		seen[key{d.Agent, d.Action, d.Verdict}] = true
		vias[d.Via] = true
		if d.Event == "" || d.Reasons == nil {
			t.Errorf("%+v has no event or no reasons", d)
		}
	}
	for _, k := range []key{
		{"invoices", "read", client.Permit}, {"invoices", "execute", client.Deny},
		{"logistics", "create", client.Permit}, {"logistics", "cancel", client.Deny},
		{"trading", "place", client.Permit}, {"trading", "place", client.Deny}, {"records", "erase", client.StepUp},
		{"courier", "create", client.Permit}, {"courier", "create", client.Deny}, {"payer", "execute", client.StepUp}, {"payer", "execute", client.Permit},
	} {
		if !seen[k] {
			t.Errorf("no decision %v", k)
		}
	}
	if !vias["pep"] || !vias["agent"] {
		t.Errorf("decisions only through %v", vias)
	}
	if r.Nginx != (findNginx() != "") {
		t.Errorf("nginx: %v", r.Nginx)
	}
	n := r.Receipts.Verified
	if n < len(r.Decisions) || r.Receipts.OnChain != n || r.Receipts.TamperedRejected != n || r.Receipts.AgentSigned == 0 {
		t.Errorf("receipts %+v", r.Receipts)
	}
	a := r.Anchor
	if a.Size == 0 || a.Size > r.Log.Size || a.Gas == 0 || a.Tx == "" || a.Root == "" || a.Contract == "" || !strings.Contains(a.Chain, "operator's own chain") {
		t.Errorf("anchor %+v, log %+v", a, r.Log)
	}
	if len(r.Rewrites) != rewrites {
		t.Errorf("rewrites %+v, want %d", r.Rewrites, rewrites)
	}
}

func TestDemo(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a chain and waits for an anchor")
	}
	t.Setenv("TMPDIR", t.TempDir())
	run := writ(t, "demo", "--json").want(t, 0, "All of it held", "LogAnchorInconsistent")
	checkDemo(t, decode[demoResult](t, run), 3)
	if left, err := os.ReadDir(os.Getenv("TMPDIR")); err != nil || len(left) > 0 {
		t.Errorf("the demo left %v (%v)", left, err)
	}
}

func TestDemoOnARunningRegistry(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a chain and waits for an anchor")
	}
	s := startRegistry(t, "embedded")
	args := []string{"demo", "--url", s.URL, "--token", "@" + filepath.Join("writ-data", tokenFile)}
	writ(t, args...).want(t, 1, "--rpc")
	run := writ(t, append(args, "--rpc", s.RPC, "--json")...).want(t, 0)
	checkDemo(t, decode[demoResult](t, run), 2)
}

// TestDemoThatFails: what does not come out as expected is said, and the status
// is 1.
func TestDemoThatFails(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	run := writ(t, "demo", "--json", "--timeout", "1ms").want(t, 1, "It did not hold")
	if r := decode[demoResult](t, run); r.OK || len(r.Surprises) == 0 {
		t.Errorf("got %+v", r)
	}
	if left, err := os.ReadDir(os.Getenv("TMPDIR")); err != nil || len(left) > 0 {
		t.Errorf("the demo left %v (%v)", left, err)
	}
}

// TestTamper: the change is one that only the log can tell.
func TestTamper(t *testing.T) {
	s := startRegistry(t, "none")
	c, err := client.New(s.URL, s.Token, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	events, err := client.Collect(c.Events(t.Context(), client.EventFilter{}), 1)
	if err != nil {
		t.Fatal(err)
	}
	receipt, err := c.Receipt(t.Context(), events[0].CID, false)
	if err != nil {
		t.Fatal(err)
	}
	forged, err := tamper(receipt)
	if err != nil {
		t.Fatal(err)
	}
	report, err := verify.Verify(t.Context(), forged, verify.Trust{}, nil)
	if err == nil {
		t.Fatal("it was believed")
	}
	for _, l := range report.Layers {
		if (l.Layer == "receipt" || l.Layer == "artifact") && l.Status != verify.Verified || l.Layer == "inclusion" && l.Status != verify.Failed {
			t.Errorf("layer %s is %s: %s", l.Layer, l.Status, l.Detail)
		}
	}
	if _, err := tamper([]byte(`{"artifact":"e30"}`)); err == nil {
		t.Error("a receipt that says nothing was changed")
	}
	var into map[string]json.RawMessage
	if err := json.Unmarshal(forged, &into); err != nil {
		t.Error(err)
	}
}
