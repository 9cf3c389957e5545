package client

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/writ-registry/writ/internal/httpsig"
	"github.com/writ-registry/writ/internal/jose"
	"github.com/writ-registry/writ/registry/capability"
)

const (
	testOrigin = "https://writ.example"
	testERP    = "https://erp.example"
	testDID    = "did:webvh:QmX:writ.example:agents:1"
)

func testAgent(t *testing.T) *AgentFile {
	t.Helper()
	key, err := GenerateAgentKey()
	if err != nil {
		t.Fatal(err)
	}
	f, err := NewAgentFile(testOrigin, Agent{ID: "a", Org: "o", Name: "invoices", DID: testDID, KeyID: testDID + "#k"}, key)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// testGrant is a grant with a token that a registry's key signed.
func testGrant(t *testing.T, f *AgentFile, id, caps string, expires time.Time, aud ...string) Grant {
	t.Helper()
	issuer, err := jose.GenerateEd25519()
	if err != nil {
		t.Fatal(err)
	}
	set, err := capability.Parse(caps)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	token, err := capability.IssueGrant(issuer, "did:web:writ.example#k", capability.GrantClaims{
		Issuer: "did:web:writ.example", Audience: aud, Subject: f.DID, ClientID: f.ID, IssuedAt: now.Unix(), NotBefore: now.Unix(),
		Expires: now.Add(time.Hour).Unix(), ID: capability.NewJTI(), Confirmation: capability.Confirmation{JWK: f.key.JWK()},
		Capabilities: set, Actor: capability.Actor{Subject: "p"}, Org: "o",
	})
	if err != nil {
		t.Fatal(err)
	}
	return Grant{ID: id, Capabilities: set.String(), Audience: aud, Expires: expires, Token: token}
}

func TestProofsAreWhatTheRegistryDemands(t *testing.T) {
	f := testAgent(t)
	f.Hold(testGrant(t, f, "g", "read:invoices", time.Now().Add(time.Hour), testERP))
	act := capability.Act{Action: "read", Resource: capability.Resource{Type: "invoices", ID: "1"}, Arguments: json.RawMessage(`{"x":1}`), Task: "t"}
	req, err := f.Request(act, "")
	if err != nil {
		t.Fatal(err)
	}
	token, err := capability.ParseGrant(req.Context.Token[0])
	if err != nil {
		t.Fatal(err)
	}
	proof, err := capability.ParseAction(req.Context.Proof)
	if err != nil {
		t.Fatal(err)
	}
	err = proof.Verify(capability.ActionCheck{
		Key: token.Key(), Now: time.Now(), PDP: testOrigin, Subject: req.Subject.ID, TokenHash: token.Hash(),
		Act:       capability.Act{Action: req.Action.Name, Resource: req.Resource, Arguments: req.Action.Properties, Task: req.Context.Task},
		Audiences: []string{testERP},
	})
	if err != nil {
		t.Error(err)
	}
	again, err := f.Request(act, testERP)
	if err != nil || again.Context.Proof == req.Context.Proof {
		t.Errorf("two requests share a proof (%v)", err)
	}

	pop, err := f.key.ProvePossession(testOrigin, "acme", "invoices")
	if err != nil {
		t.Fatal(err)
	}
	reg, err := capability.ParseRegistration(pop)
	if err != nil {
		t.Fatal(err)
	}
	if err := reg.Verify(capability.RegistrationCheck{Key: token.Key(), Now: time.Now(), Origin: testOrigin, Org: "acme", Name: "invoices"}); err != nil {
		t.Error(err)
	}
}

func TestGrantChoice(t *testing.T) {
	f := testAgent(t)
	later, past := time.Now().Add(time.Hour), time.Now().Add(-time.Hour)
	read := capability.Act{Action: "read", Resource: capability.Resource{Type: "invoices", ID: "1"}}
	if _, err := f.Request(read, ""); !errors.Is(err, errNoGrant) {
		t.Errorf("got %v", err)
	}
	for _, g := range []Grant{
		{ID: "pay", Capabilities: "execute:payments", Audience: []string{testERP}, Expires: later},
		{ID: "old", Capabilities: "read:invoices", Audience: []string{testERP}, Expires: past},
		{ID: "read", Capabilities: "read:invoices", Audience: []string{testERP}, Expires: later},
		{ID: "elsewhere", Capabilities: "read:invoices", Audience: []string{"https://other.example"}, Expires: later},
	} {
		f.Hold(g)
	}
	for _, tc := range []struct {
		act       capability.Act
		aud, want string
	}{
		{read, testERP, "read"},
		{read, "https://other.example", "elsewhere"},
		{read, "", "elsewhere"}, // the newest that covers it
		{capability.Act{Action: "execute", Resource: capability.Resource{Type: "payments", ID: "1"}}, testERP, "pay"},
		{capability.Act{Action: "delete", Resource: capability.Resource{Type: "all", ID: "1"}}, testERP, "read"},
	} {
		if g, err := f.Grant(tc.act, tc.aud); err != nil || g.ID != tc.want {
			t.Errorf("%s at %q: got %q (%v), want %q", tc.act.Action, tc.aud, g.ID, err, tc.want)
		}
	}
	f.Hold(Grant{ID: "read", Capabilities: "read:invoices/x"})
	if n := len(f.Grants); n != 4 || f.Grants[3].Capabilities != "read:invoices/x" {
		t.Errorf("a grant of the same id did not replace the other: %d grants", n)
	}
}

func TestSeveralAudiencesNeedAChoice(t *testing.T) {
	f := testAgent(t)
	f.Hold(testGrant(t, f, "g", "read:invoices", time.Now().Add(time.Hour), testERP, "https://other.example"))
	act := capability.Act{Action: "read", Resource: capability.Resource{Type: "invoices", ID: "1"}}
	if _, err := f.Request(act, ""); err == nil || !strings.Contains(err.Error(), "say which") {
		t.Errorf("got %v", err)
	}
	if _, err := f.Request(act, testERP); err != nil {
		t.Error(err)
	}
}

func TestAgentFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "invoices.agent.json")
	f := testAgent(t)
	if err := f.Create(path); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v (%v), want 0600", info.Mode(), err)
	}
	if err := testAgent(t).Create(path); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a file was replaced: %v", err)
	}
	f.Hold(testGrant(t, f, "g", "read:invoices", time.Now().Add(time.Hour), testERP))
	if err := f.Save(path); err != nil {
		t.Fatal(err)
	}
	got, err := LoadAgentFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got.DID != f.DID || len(got.Grants) != 1 || got.key.Thumbprint() != f.key.Thumbprint() {
		t.Errorf("got %+v", got)
	}
	if left, err := os.ReadDir(filepath.Dir(path)); err != nil || len(left) != 1 {
		t.Errorf("files were left behind: %v (%v)", left, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode after Save %v (%v), want 0600", info.Mode(), err)
	}
}

func TestAgentFilesThatAreNone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.agent.json")
	f := testAgent(t)
	if err := f.Create(path); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	secret := strings.Split(f.Key, "\n")[1]
	for name, data := range map[string]string{
		"empty":          "",
		"unknown member": strings.Replace(string(good), `"v": 1`, `"v": 1, "x": 1`, 1),
		"twice":          strings.Replace(string(good), `"v": 1`, `"v": 1, "v": 1`, 1),
		"version":        strings.Replace(string(good), `"v": 1`, `"v": 2`, 1),
		"no key":         strings.Replace(string(good), "BEGIN PRIVATE KEY", "BEGIN NOTHING", 1),
		"no did":         strings.Replace(string(good), `"did"`, `"dud"`, 1),
	} {
		if data == string(good) {
			t.Fatalf("%s: the test changes nothing", name)
		}
		if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadAgentFile(path); err == nil {
			t.Errorf("%s: it was read", name)
		} else if strings.Contains(err.Error(), secret) {
			t.Errorf("%s: the error shows the key: %v", name, err)
		}
	}
}

// TestAgentSignsItsCalls: a client of an agent signs each try anew, and sends no
// signature with what is public or beside a credential.
func TestAgentSignsItsCalls(t *testing.T) {
	f := testAgent(t)
	nonces := map[string]bool{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			if httpsig.IsSigned(r) {
				t.Error("a signature beside a credential")
			}
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		sig, err := httpsig.ParseRequest(r, testOrigin, time.Now())
		if err == nil {
			err = sig.Verify(f.key.private.Public(), body)
		}
		if err != nil || sig.KeyID != f.KeyID || nonces[sig.Nonce] {
			t.Errorf("signature of %s %s: %v", r.Method, r.URL, err)
			return
		}
		nonces[sig.Nonce] = true
		if len(nonces) < 3 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	defer srv.Close()
	c, err := New(srv.URL, "", Options{Agent: f, pause: func(context.Context, time.Duration) error { return nil }})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.do(t.Context(), request{method: http.MethodPost, path: "/v1/agents", query: url.Values{"a": {"b c"}}, body: map[string]any{"x": 1}, key: true}); err != nil || len(nonces) != 3 {
		t.Errorf("%d tries: %v", len(nonces), err)
	}
	if _, err := c.As("secret").do(t.Context(), request{method: http.MethodGet, path: "/v1/whoami"}); err != nil {
		t.Error(err)
	}
}
