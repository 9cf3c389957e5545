package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/writ-registry/writ/anchor/tlog"
	"github.com/writ-registry/writ/client"
	"github.com/writ-registry/writ/client/verify"
	"github.com/writ-registry/writ/registry/capability"
)

const betaERP = "https://erp.beta.example"

// twoOrgs are two registries: beta follows acme and accepts its agents at its ERP.
type twoOrgs struct {
	t     *testing.T
	ca    *testCA
	cfg   serveConfig // acme's
	acme  *running
	beta  *running
	pep   *client.Client // beta's enforcement point
	entry client.Trust
	agent *client.AgentFile // acme's
	grant client.Change[client.Grant]
}

const (
	followEvery = 100 * time.Millisecond
	followAge   = 3 // seconds
)

func openTwoOrgs(t *testing.T) *twoOrgs {
	w := &twoOrgs{t: t, ca: newTestCA(t, "shared CA"), cfg: testConfig(t.TempDir())}
	w.cfg.TLSCert, w.cfg.TLSKey = w.ca.server(t)
	w.startAcme()
	betaCfg := testConfig(t.TempDir())
	betaCfg.FollowPrivate, betaCfg.FollowCA, betaCfg.FollowInterval = "127.0.0.0/8,::1/128", w.ca.file(t), followEvery
	w.beta = start(t, betaCfg)

	ctx := t.Context()
	file, agent, err := enroll(ctx, w.acme.Client, client.NewAgent{Name: "courier", AuthorityLevel: 1})
	w.must(err)
	_, err = w.acme.ApproveAgent(ctx, agent.Value.ID)
	w.must(err)
	w.grant, err = w.acme.IssueGrant(ctx, client.NewGrant{Agent: agent.Value.ID, Capabilities: "read:invoices; create:shipment", Audience: []string{betaERP}})
	w.must(err)
	file.Hold(w.grant.Value)
	w.agent = file.Before(w.beta.server.Origin)

	pep, err := w.beta.RegisterPEP(ctx, client.NewPEP{Name: "erp-gateway", Resources: []string{betaERP}})
	w.must(err)
	w.pep = w.beta.As(pep.Secret)
	pins, err := w.acme.FetchPins(ctx)
	w.must(err)
	entry, err := w.beta.AddTrust(ctx, client.NewTrust{
		Issuer: pins.Issuer, TokenKeys: pins.TokenKeys, LogKey: pins.LogKey, Audiences: []string{betaERP},
		Capabilities: "read:invoices", AuthorityLevel: 2, MaxAge: followAge, Public: true,
	})
	w.must(err)
	w.entry = entry.Value
	w.standing("the issuer is followed", func(s *client.TrustStanding) bool { return s != nil && s.Alarm == nil && s.Size > 0 })
	return w
}

func (w *twoOrgs) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// startAcme starts the followed registry, over TLS, at its origin's port.
func (w *twoOrgs) startAcme() {
	w.t.Helper()
	w.acme = start(w.t, w.cfg)
	var err error
	w.acme.Client, err = client.New(w.acme.server.URL, w.acme.Token, client.Options{HTTP: httpsClient(w.t, w.ca), Retries: -1})
	w.must(err)
}

func (w *twoOrgs) standing(what string, holds func(*client.TrustStanding) bool) {
	w.t.Helper()
	eventually(w.t, what, func() (bool, error) {
		t, err := w.beta.Trust(context.Background(), w.entry.ID)
		return err == nil && holds(t.Standing), err
	})
}

// ask verifies an act of acme's agent at beta and returns the reasons; none = it
// stands.
func (w *twoOrgs) ask(verb, kind string) []string {
	w.t.Helper()
	req, err := w.agent.Request(capability.Act{Action: verb, Resource: capability.Resource{Type: kind, ID: "2026-0042"}}, betaERP)
	w.must(err)
	v, err := w.pep.Verify(context.Background(), req)
	w.must(err)
	if v.Active != (len(v.Reasons) == 0) || v.Active && v.Issuer != w.entry.Issuer {
		w.t.Errorf("verification %+v", v)
	}
	out := []string{}
	for _, r := range v.Reasons {
		out = append(out, r.Code)
	}
	return out
}

func (w *twoOrgs) want(what string, got []string, codes ...string) {
	w.t.Helper()
	if !slices.Equal(got, append([]string{}, codes...)) {
		w.t.Errorf("%s: %q, want %q", what, got, codes)
	}
}

// TestTwoOrganizations: beta verifies acme's agent, grant and receipt while acme is
// out of reach, and refuses within the published bound what acme has revoked.
func TestTwoOrganizations(t *testing.T) {
	w := openTwoOrgs(t)
	w.want("an act within grant and ceiling", w.ask("read", "invoices"))
	w.want("an act above the ceiling", w.ask("create", "shipment"), "ceiling_exceeded")
	req, err := w.agent.Request(capability.Act{Action: "read", Resource: capability.Resource{Type: "invoices", ID: "1"}}, betaERP)
	w.must(err)
	d, err := w.pep.Evaluate(t.Context(), req)
	w.must(err)
	if d.Decision {
		t.Error("beta decided about an agent that is not its own")
	}
	receipt, err := w.acme.Receipt(t.Context(), w.grant.Event.CID, false)
	w.must(err)

	w.acme.stop()
	w.want("with acme's server stopped", w.ask("read", "invoices"))
	trust := verify.Trust{Logs: []verify.TrustedLog{{Origin: logOrigin(w.acme.server.Origin), VKey: w.entry.LogKey}}}
	report, err := verify.Verify(t.Context(), receipt, trust, nil)
	if err != nil {
		t.Errorf("acme's receipt, with acme's server stopped: %v\n%+v", err, report)
	}
	eventually(t, "beta refuses once what it knows is too old", func() (bool, error) {
		got := w.ask("read", "invoices")
		return slices.Contains(got, "status_stale"), nil
	})

	w.startAcme()
	eventually(t, "beta accepts again", func() (bool, error) { return len(w.ask("read", "invoices")) == 0, nil })
	_, err = w.acme.RevokeGrant(t.Context(), w.grant.Value.ID, "drill")
	w.must(err)
	revoked := time.Now()
	eventually(t, "beta refuses the revoked grant", func() (bool, error) {
		return slices.Contains(w.ask("read", "invoices"), "grant_revoked"), nil
	})
	if took, bound := time.Since(revoked), followEvery+followAge*time.Second; took > bound {
		t.Errorf("refused after %s, the published bound is %s", took, bound)
	}
}

// TestForkIsRefused: acme shows beta another history, signed by its own key; beta
// refuses everything of it from then on, also when the true log is back.
func TestForkIsRefused(t *testing.T) {
	w := openTwoOrgs(t)
	w.want("before", w.ask("read", "invoices"))
	signer, _, _, err := w.acme.keys.note(keyCheckpoint, w.acme.logOrigin)
	w.must(err)
	info, err := w.acme.Log(t.Context())
	w.must(err)
	doc := fetch(t, w, "/.well-known/did.json")
	w.acme.stop()
	forged, err := tlog.SignCheckpoint(tlog.Checkpoint{Origin: w.acme.logOrigin, Size: info.Size, Root: [32]byte{0xde, 0xad}}, signer)
	w.must(err)
	fake := w.impostor(map[string][]byte{"/.well-known/did.json": doc, "/log/checkpoint": forged})
	w.standing("the fork is seen", func(s *client.TrustStanding) bool { return s != nil && s.Alarm != nil && s.Alarm.Code == "log_forked" })
	w.want("after the fork", w.ask("read", "invoices"), "issuer_alarmed")
	fake.Close()
	w.startAcme()
	w.want("with the true log back", w.ask("read", "invoices"), "issuer_alarmed")
	events, err := client.Collect(w.beta.Events(t.Context(), client.EventFilter{Type: "trust.alarmed"}), 0)
	if err != nil || len(events) != 1 {
		t.Errorf("%d alarms are recorded, %v", len(events), err)
	}
}

// TestUnpinnedKeyIsRefused: a key in the issuer's DID document that nobody pinned.
func TestUnpinnedKeyIsRefused(t *testing.T) {
	w := openTwoOrgs(t)
	var doc map[string]any
	w.must(json.Unmarshal(fetch(t, w, "/.well-known/did.json"), &doc))
	head := fetch(t, w, "/log/checkpoint")
	w.acme.stop()
	id := w.entry.Issuer + "#mole"
	doc["verificationMethod"] = append(doc["verificationMethod"].([]any), map[string]any{"id": id, "type": "Multikey", "controller": w.entry.Issuer,
		"publicKeyMultibase": "z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK"})
	doc["assertionMethod"] = append(doc["assertionMethod"].([]any), id)
	raw, err := json.Marshal(doc)
	w.must(err)
	defer w.impostor(map[string][]byte{"/.well-known/did.json": raw, "/log/checkpoint": head}).Close()
	w.standing("the key is seen", func(s *client.TrustStanding) bool {
		return s != nil && s.Alarm != nil && s.Alarm.Code == "key_not_pinned"
	})
	w.want("after that", w.ask("read", "invoices"), "issuer_alarmed")
}

// fetch reads what acme publishes.
func fetch(t *testing.T, w *twoOrgs, path string) []byte {
	t.Helper()
	resp, err := httpsClient(t, w.ca).Get(w.acme.server.URL + path)
	w.must(err)
	defer resp.Body.Close()
	body := make([]byte, 0, 4096)
	for chunk := make([]byte, 4096); ; {
		n, err := resp.Body.Read(chunk)
		body = append(body, chunk[:n]...)
		if err != nil {
			return body
		}
	}
}

// impostor answers at acme's address, with acme's certificate.
func (w *twoOrgs) impostor(pages map[string][]byte) *httptest.Server {
	w.t.Helper()
	u, err := url.Parse(w.acme.server.Origin)
	w.must(err)
	listener, err := net.Listen("tcp", "127.0.0.1:"+u.Port())
	w.must(err)
	cert, err := tls.LoadX509KeyPair(w.cfg.TLSCert, w.cfg.TLSKey)
	w.must(err)
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, ok := pages[r.URL.Path]
		if !ok {
			http.NotFound(rw, r)
			return
		}
		_, _ = rw.Write(body)
	}))
	srv.Listener.Close()
	srv.Listener = listener
	srv.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
	srv.StartTLS()
	return srv
}
