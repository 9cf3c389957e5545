package main

import (
	"encoding/json"
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/writ-registry/writ/anchor/tlog"
	"github.com/writ-registry/writ/client"
	"github.com/writ-registry/writ/client/verify"
	"github.com/writ-registry/writ/registry"
	"github.com/writ-registry/writ/registry/capability"
)

var updateFixture = flag.Bool("update-fixture", false, "make the fixture of this version anew, with fresh keys")

// fixtures are data folders that earlier versions left behind. None is ever
// changed once it is released; a version that changes what is stored adds one.
var fixtures = []string{"fixture-v1"}

// fixtureFacts is what the version that made a fixture said of it.
type fixtureFacts struct {
	Origin     string             `json:"origin"`
	Log        client.LogInfo     `json:"log"`
	Trust      verify.Trust       `json:"trust"`
	Orgs       []client.Org       `json:"orgs"`
	Principals []client.Principal `json:"principals"`
	PEPs       []client.PEP       `json:"peps"`
	Agents     []client.Agent     `json:"agents"`
	Grants     []client.Grant     `json:"grants"`
	Permit     client.Decision    `json:"permit"`
	Events     []client.Event     `json:"events"`
}

// Files of a fixture, beside data and data.checkpoint.
const (
	fixtureFile    = "facts.json"
	fixtureReceipt = "receipt.writ.json"
	fixtureAgent   = "invoices.agent.json"
)

// TestUpgrade: the data of every earlier version opens, says what it said, and
// goes on.
func TestUpgrade(t *testing.T) {
	if *updateFixture {
		makeFixture(t, filepath.Join("testdata", fixtures[len(fixtures)-1]))
	}
	for _, name := range fixtures {
		t.Run(name, func(t *testing.T) { testFixture(t, filepath.Join("testdata", name)) })
	}
}

func testFixture(t *testing.T, fixture string) {
	raw, err := os.ReadFile(filepath.Join(fixture, fixtureFile))
	if err != nil {
		t.Fatal(err)
	}
	var was fixtureFacts
	if err := json.Unmarshal(raw, &was); err != nil {
		t.Fatal(err)
	}
	agent, err := client.LoadAgentFile(filepath.Join(fixture, fixtureAgent))
	if err != nil {
		t.Fatal(err)
	}
	cfg := testConfig(t.TempDir())
	copyPrivate(t, filepath.Join(fixture, "data"), cfg.Data)
	copyPrivate(t, filepath.Join(fixture, "data.checkpoint"), cfg.Data+".checkpoint")

	r := start(t, cfg)
	if r.server.Origin != was.Origin {
		t.Errorf("origin %s, was %s", r.server.Origin, was.Origin)
	}
	now := readFacts(t, r)
	now.Events = slices.DeleteFunc(now.Events, func(e client.Event) bool { return e.Index >= was.Log.Size && e.Type == registry.EventDIDDeactivated })
	if diff := cmp.Diff(was.Events, now.Events); diff != "" {
		t.Errorf("events (-was +now):\n%s", diff)
	}
	for what, pair := range map[string][2]any{
		"orgs": {was.Orgs, now.Orgs}, "agents": {was.Agents, now.Agents}, "grants": {was.Grants, now.Grants},
		"enforcement points": {was.PEPs, now.PEPs}, "principals": {was.Principals, now.Principals},
	} {
		if diff := cmp.Diff(pair[0], pair[1]); diff != "" {
			t.Errorf("%s (-was +now):\n%s", what, diff)
		}
	}
	// The history is the same: see the consistency proof below. By itself the log
	// grows by the ends of revoked agents' DIDs only.
	if now.Log.Size < was.Log.Size || now.Log.Size == was.Log.Size && now.Log.Root != was.Log.Root || now.Log.VKey != was.Log.VKey {
		t.Errorf("log %+v, was %+v", now.Log, was.Log)
	}

	// The receipt that was given out then, and one that is given out now.
	old, err := os.ReadFile(filepath.Join(fixture, fixtureReceipt))
	if err != nil {
		t.Fatal(err)
	}
	decision := was.Permit.Context.Event
	today, err := r.Receipt(t.Context(), decision.CID, true)
	if err != nil {
		t.Fatal(err)
	}
	for when, receipt := range map[string][]byte{"then": old, "now": today} {
		report, err := verify.Verify(t.Context(), receipt, was.Trust, nil)
		if err != nil || report.CID != decision.CID || report.Index != decision.Index || report.Grade.Level != "checkpointed" {
			t.Errorf("the receipt of %s: %v, %+v", when, err, report)
		}
	}

	// It goes on: the agent's grant still stands or has run out, by its own
	// terms, and the log grows from where it was.
	next := ask(t, r.Client, agent)
	want := client.Permit
	if time.Now().After(agent.Grants[0].Expires) {
		want = client.Deny
	}
	if next.Context.Verdict != want || next.Context.Event == nil || next.Context.Event.Index < was.Log.Size {
		t.Fatalf("the next decision is %+v, want %s as entry %d or later", next.Context, want, was.Log.Size)
	}
	grown := next.Context.Event.Index - was.Log.Size
	for e, err := range r.Client.Events(t.Context(), client.EventFilter{Type: registry.EventDIDDeactivated}) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Index >= was.Log.Size && e.Index < next.Context.Event.Index {
			grown--
		}
	}
	if grown != 0 {
		t.Errorf("between the last entry then and the next decision are %d that end no DID", grown)
	}
	addOrgs(t, r.Client, 2)
	log := r.db.Log(r.logOrigin)
	size, root, err := log.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	path, err := tlog.ConsistencyProof(t.Context(), log, was.Log.Size, size)
	if err != nil {
		t.Fatal(err)
	}
	before, err := tlog.RootAt(t.Context(), log, was.Log.Size)
	if err != nil || tlog.VerifyConsistency(was.Log.Size, size, before, root, path) != nil {
		t.Errorf("the log of %d entries is no continuation of the one of %d (%v)", size, was.Log.Size, err)
	}
	if leaves := eventLeaves(t, was.Events); treeHash(leaves) != before {
		t.Errorf("the first %d entries are others now", was.Log.Size)
	}
}

// readFacts asks a registry for all that is compared.
func readFacts(t *testing.T, r *running) (f fixtureFacts) {
	t.Helper()
	ctx := t.Context()
	var err error
	must := func(e error) {
		t.Helper()
		if e != nil {
			t.Fatal(e)
		}
	}
	f.Origin = r.server.Origin
	f.Log, err = r.Log(ctx)
	must(err)
	f.Events, err = client.Collect(r.Events(ctx, client.EventFilter{}), 0)
	must(err)
	f.Orgs, err = client.Collect(r.Orgs(ctx), 0)
	must(err)
	for _, org := range f.Orgs {
		agents, err := client.Collect(r.Agents(ctx, org.ID, ""), 0)
		must(err)
		grants, err := client.Collect(r.Grants(ctx, client.GrantFilter{Org: org.ID}), 0)
		must(err)
		peps, err := client.Collect(r.PEPs(ctx, org.ID), 0)
		must(err)
		humans, err := client.Collect(r.Principals(ctx, org.ID), 0)
		must(err)
		f.Agents, f.Grants = append(f.Agents, agents...), append(f.Grants, grants...)
		f.PEPs, f.Principals = append(f.PEPs, peps...), append(f.Principals, humans...)
	}
	return f
}

func eventLeaves(t *testing.T, events []client.Event) (leaves []tlog.Hash) {
	t.Helper()
	d := &drill{t: t}
	return d.verifyEvents(events)
}

func ask(t *testing.T, c *client.Client, a *client.AgentFile) client.Decision {
	t.Helper()
	req, err := a.Request(capability.Act{Action: "read", Resource: capability.Resource{Type: "invoices", ID: "2026-0042"}}, "")
	if err != nil {
		t.Fatal(err)
	}
	d, err := c.As("").Evaluate(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// copyPrivate copies a file or folder for its owner alone: version control
// forgets the modes.
func copyPrivate(t *testing.T, from, to string) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		at := filepath.Join(to, path[len(from):])
		if e.IsDir() {
			return os.Mkdir(at, 0o700)
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(at, raw, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// makeFixture runs a short history and keeps the folder as a clean stop leaves
// it. The origin is on no port, so that the fixture opens anywhere.
func makeFixture(t *testing.T, fixture string) {
	t.Helper()
	ctx := t.Context()
	must := func(e error) {
		t.Helper()
		if e != nil {
			t.Fatal(e)
		}
	}
	cfg := testConfig(t.TempDir())
	cfg.Origin = "https://registry.example"
	r := start(t, cfg)
	org, err := r.CreateOrg(ctx, client.NewOrg{Name: "acme", DisplayName: "Acme"})
	must(err)
	owner, err := r.CreatePrincipal(ctx, client.NewPrincipal{Org: "acme", DisplayName: "Ada", Roles: []string{"owner", "auditor"}})
	must(err)
	c := r.Client.As(owner.Secret)
	_, err = c.ActivateCatalogue(ctx, org.Value.ID, []client.CatalogueAction{{Action: "read:invoices", Reversibility: "reversible", Material: true}})
	must(err)
	_, err = c.RegisterPEP(ctx, client.NewPEP{Name: "gateway", Resources: []string{demoERP}, ContextKeys: []string{"domain"}})
	must(err)
	agent, made, err := enroll(ctx, c, client.NewAgent{Name: "invoices", Purpose: "Reads invoices", AuthorityLevel: 1})
	must(err)
	_, err = c.ApproveAgent(ctx, made.Value.ID)
	must(err)
	expires := time.Now().Add(365 * 24 * time.Hour)
	grant, err := c.IssueGrant(ctx, client.NewGrant{Agent: made.Value.ID, Capabilities: "read:invoices; execute:none", Expires: &expires})
	must(err)
	agent.Hold(grant.Value)
	scope := client.Scope{Kind: "agent", ID: agent.ID}
	_, err = c.SetKill(ctx, scope, "drill")
	must(err)
	stopped := ask(t, r.Client, agent)
	_, err = c.ReleaseKill(ctx, scope, "drill")
	must(err)
	permit := ask(t, r.Client, agent)
	if stopped.Context.Verdict != client.Deny || !permit.Permitted() {
		t.Fatalf("%+v, %+v", stopped.Context, permit.Context)
	}
	ended, _, err := enroll(ctx, c, client.NewAgent{Name: "ended"})
	must(err)
	_, err = c.RevokeAgent(ctx, ended.ID, "drill")
	must(err)
	var receipt []byte
	eventually(t, "get a receipt", func() (bool, error) {
		var p *client.Problem
		receipt, err = r.Receipt(ctx, permit.Context.Event.CID, true)
		if errors.As(err, &p) && p.Temporary() {
			return false, nil
		}
		return err == nil, err
	})
	facts := readFacts(t, r)
	facts.Permit = permit
	facts.Trust = verify.Trust{Logs: []verify.TrustedLog{{Origin: facts.Log.Origin, VKey: facts.Log.VKey}}}
	r.stop()

	must(os.RemoveAll(filepath.Join(fixture, "data")))
	must(os.MkdirAll(fixture, 0o755))
	for _, left := range []string{addressFile, lockFile} {
		must(os.Remove(filepath.Join(cfg.Data, left)))
	}
	copyPrivate(t, cfg.Data, filepath.Join(fixture, "data"))
	must(os.RemoveAll(filepath.Join(fixture, "data.checkpoint")))
	copyPrivate(t, cfg.Data+".checkpoint", filepath.Join(fixture, "data.checkpoint"))
	f, err := os.Create(filepath.Join(fixture, fixtureFile))
	must(err)
	enc := json.NewEncoder(f) // no indentation: artifacts stay byte for byte
	enc.SetEscapeHTML(false)
	must(errors.Join(enc.Encode(facts), f.Close()))
	must(os.WriteFile(filepath.Join(fixture, fixtureReceipt), receipt, 0o644))
	must(agent.Save(filepath.Join(fixture, fixtureAgent)))
}
