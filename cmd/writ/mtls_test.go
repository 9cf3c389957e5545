package main

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/writ-registry/writ/client"
	"github.com/writ-registry/writ/registry/capability"
)

// secure starts a registry behind TLS and returns its operator's client.
func secure(t *testing.T, change ...func(*serveConfig)) (*running, *testCA) {
	t.Helper()
	ca := newTestCA(t, "test CA")
	cfg := testConfig(t.TempDir())
	cfg.TLSCert, cfg.TLSKey = ca.server(t)
	for _, f := range change {
		f(&cfg)
	}
	r := start(t, cfg)
	var err error
	if r.Client, err = client.New(r.server.URL, r.Token, client.Options{HTTP: httpsClient(t, ca), Retries: -1}); err != nil {
		t.Fatal(err)
	}
	return r, ca
}

// showing is a client that shows certificates and no credential but token.
func (r *running) showing(t *testing.T, ca *testCA, token string, show ...tls.Certificate) *client.Client {
	t.Helper()
	c, err := client.New(r.server.URL, token, client.Options{HTTP: httpsClient(t, ca, show...), Retries: -1})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// turnedAway wants a call to be refused with a status and code.
func turnedAway(t *testing.T, what string, err error, status int, code string) {
	t.Helper()
	var p *client.Problem
	if !errors.As(err, &p) || p.Status != status || p.Code != code {
		t.Errorf("%s: %v, want %d %s", what, err, status, code)
	}
}

// certified enrols an agent with a certificate of its key.
func certified(t *testing.T, c *client.Client, name string) (client.Agent, client.Certificate, tls.Certificate) {
	t.Helper()
	file, made, err := enroll(t.Context(), c, client.NewAgent{Name: name})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.ApproveAgent(t.Context(), made.Value.ID); err != nil {
		t.Fatal(err)
	}
	key, err := client.ParseAgentKey([]byte(file.Key))
	if err != nil {
		t.Fatal(err)
	}
	csr, err := key.CSR()
	if err != nil {
		t.Fatal(err)
	}
	issued, err := c.IssueAgentCertificate(t.Context(), made.Value.ID, client.NewCertificate{CSR: csr})
	if err != nil {
		t.Fatal(err)
	}
	pair, err := key.TLSCertificate(issued.Value.PEM)
	if err != nil {
		t.Fatal(err)
	}
	return made.Value, issued.Value, pair
}

// TestMutualTLS: over real TLS a logged certificate is its agent, without a bearer,
// until it or the agent is stopped; another's certificate beside a bearer is not
// looked over, and headers say nothing.
func TestMutualTLS(t *testing.T) {
	r, ca := secure(t)
	ctx := t.Context()
	agent, cert, pair := certified(t, r.Client, "courier")
	me, err := r.showing(t, ca, "", pair).Whoami(ctx)
	if err != nil || me.Kind != "agent" || me.ID != agent.ID {
		t.Fatalf("whoami by certificate: %+v, %v", me, err)
	}
	_, err = r.showing(t, ca, r.Token, pair).Whoami(ctx)
	turnedAway(t, "the agent's certificate with the operator's bearer", err, 401, "certificate_mismatch")
	_, err = r.showing(t, ca, "", ca.client(t)).Whoami(ctx)
	turnedAway(t, "a certificate of another CA", err, 401, "unknown_certificate")
	if _, err := r.showing(t, ca, r.Token, ca.client(t)).Whoami(ctx); err != nil {
		t.Errorf("a certificate of another CA beside a bearer says nothing: %v", err)
	}
	_, err = r.showing(t, ca, "").Whoami(ctx)
	turnedAway(t, "nothing", err, 401, "missing_credential")

	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.server.URL+"/v1/whoami", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"X-Forwarded-Client-Cert", "X-Client-Cert", "Client-Cert", "X-Ssl-Cert"} {
		req.Header.Set(name, cert.PEM[:20])
	}
	resp, err := httpsClient(t, ca).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("headers with a certificate: %d", resp.StatusCode)
	}

	// An agent that asks for itself shows its own certificate, or none.
	other, _, otherPair := certified(t, r.Client, "other")
	ask := client.EvaluationRequest{
		Subject: client.Subject{Type: "agent", ID: agent.DID}, Action: client.Action{Name: "read"},
		Resource: capability.Resource{Type: "invoices", ID: "7"}, Context: client.Context{Token: capability.Tokens{"x.y.z"}, Proof: "x.y.z"},
	}
	_, err = r.showing(t, ca, "", otherPair).Evaluate(ctx, ask)
	turnedAway(t, "an act of one agent over the connection of another", err, 401, "certificate_mismatch")
	ask.Subject.ID = other.DID
	_, err = r.showing(t, ca, "", otherPair).Evaluate(ctx, ask)
	turnedAway(t, "its own act without its proof", err, 401, "malformed")

	kept := r.showing(t, ca, "", pair) // its connection outlives the agent's right
	if _, err := kept.Whoami(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := r.SuspendAgent(ctx, agent.ID, "drill"); err != nil {
		t.Fatal(err)
	}
	_, err = kept.Whoami(ctx)
	turnedAway(t, "a suspended agent's", err, 401, "agent_suspended")
	if _, err := r.ResumeAgent(ctx, agent.ID, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := r.RevokeCertificate(ctx, cert.Digest, "replaced"); err != nil {
		t.Fatal(err)
	}
	_, err = kept.Whoami(ctx)
	turnedAway(t, "a revoked certificate", err, 401, "certificate_revoked")
}

// TestCertificatesSurviveARestart: the authority is that of before, and so are the
// certificates; with --require-client-cert they pass the door.
func TestCertificatesSurviveARestart(t *testing.T) {
	r, ca := secure(t)
	_, _, pair := certified(t, r.Client, "courier")
	before, err := r.CAChain(t.Context(), true)
	if err != nil {
		t.Fatal(err)
	}
	cfg := r.cfg
	r.stop()
	cfg.RequireClientCert = true
	again := start(t, cfg)
	c := again.showing(t, ca, "", pair)
	if _, err := c.Whoami(t.Context()); err != nil {
		t.Fatal(err)
	}
	if after, err := c.CAChain(t.Context(), true); err != nil || string(after) != string(before) {
		t.Errorf("the authority changed: %v", err)
	}
	if _, err := again.showing(t, ca, again.Token).Whoami(t.Context()); err == nil {
		t.Error("the door let somebody without a certificate pass")
	}
}

// TestOpenSSLAndCurl: requests of others' make, and certificates in others' hands.
func TestOpenSSLAndCurl(t *testing.T) {
	for _, tool := range []string{"openssl", "curl"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not on PATH", tool)
		}
	}
	r, ca := secure(t)
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	run := func(name string, args ...string) string {
		t.Helper()
		out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
		if err != nil {
			t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	pep, err := r.RegisterPEP(t.Context(), client.NewPEP{Name: "gate", Resources: []string{"https://erp.example"}})
	if err != nil {
		t.Fatal(err)
	}
	run("openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=anybody", "-keyout", in("gate.key"), "-out", in("gate.csr"))
	csr, err := os.ReadFile(in("gate.csr"))
	if err != nil {
		t.Fatal(err)
	}
	cert, err := r.IssuePEPCertificate(t.Context(), pep.Value.ID, client.NewCertificate{CSR: string(csr)})
	if err != nil {
		t.Fatal(err)
	}
	root, err := r.CAChain(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"gate.pem": cert.Value.PEM, "root.pem": string(root)} {
		if err := os.WriteFile(in(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run("openssl", "verify", "-purpose", "sslclient", "-CAfile", in("root.pem"), "-untrusted", in("gate.pem"), in("gate.pem"))
	out := run("curl", "--silent", "--show-error", "--cacert", ca.file(t), "--cert", in("gate.pem"), "--key", in("gate.key"), r.server.URL+"/v1/whoami")
	var me client.Caller
	if err := json.Unmarshal([]byte(out), &me); err != nil || me.Kind != "pep" || me.ID != pep.Value.ID {
		t.Errorf("curl is %s: %v", out, err)
	}
	for _, curve := range []string{"P-384", "secp256k1"} {
		run("openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:"+curve, "-nodes", "-subj", "/", "-keyout", in("bad.key"), "-out", in("bad.csr"))
		bad, err := os.ReadFile(in("bad.csr"))
		if err != nil {
			t.Fatal(err)
		}
		_, err = r.IssuePEPCertificate(t.Context(), pep.Value.ID, client.NewCertificate{CSR: string(bad)})
		turnedAway(t, curve, err, 400, "key")
	}
}
