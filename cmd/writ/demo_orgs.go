package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/writ-registry/writ/client"
	"github.com/writ-registry/writ/client/verify"
	"github.com/writ-registry/writ/registry/capability"
)

const demoPartner = "https://erp.partner.example"

// partners shows two organizations with a registry each: the partner follows ours,
// and verifies our agent with our server stopped. A demo on a running registry leaves
// it out: it stops the server.
func (d *demo) partners(ctx context.Context) (err error) {
	if d.tryRewrite == nil {
		return nil
	}
	d.chapter("Two organizations, with a registry each")
	folder, err := os.MkdirTemp("", "writ-demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	cert, key, err := demoCertificate(folder)
	if err != nil {
		return err
	}
	log := slog.New(slog.DiscardHandler)
	cfg := defaultServeConfig()
	cfg.Data, cfg.Listen, cfg.Chain, cfg.TLSCert, cfg.TLSKey = filepath.Join(folder, "ours"), "127.0.0.1:0", "none", cert, key
	ours, err := startServer(ctx, cfg, log)
	if err != nil {
		return err
	}
	stop := ours.Close
	defer func() { err = errors.Join(err, stop()) }()
	there := cfg
	there.Data, there.TLSCert, there.TLSKey = filepath.Join(folder, "partner"), "", ""
	there.FollowPrivate, there.FollowCA, there.FollowInterval = "127.0.0.0/8,::1/128", cert, 100*time.Millisecond
	partner, err := startServer(ctx, there, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, partner.Close()) }()

	p := &partnership{demo: d}
	if err := p.open(ctx, ours, partner, cert); err != nil {
		return err
	}
	if err := p.ask(ctx, "read", "", "our agent, at the partner's system"); err != nil {
		return err
	}
	if err := p.ask(ctx, "create", "ceiling_exceeded", "granted by us, above what the partner accepts"); err != nil {
		return err
	}
	receipt, err := p.ours.Receipt(ctx, p.event, false)
	if err != nil {
		return err
	}
	d.printf("\n  Our server stops.\n\n")
	stop = func() error { return nil }
	if err := ours.Close(); err != nil {
		return err
	}
	if err := p.ask(ctx, "read", "", "verified from what the partner has followed"); err != nil {
		return err
	}
	origin, _, _ := strings.Cut(p.pins.LogKey, "+")
	_, err = verify.Verify(ctx, receipt, verify.Trust{Logs: []verify.TrustedLog{{Origin: origin, VKey: p.pins.LogKey}}}, nil)
	d.check(err == nil, "our receipt does not verify by the partner's trust list: %v", err)
	d.line("", "our receipt", "verified offline by the key that the partner has pinned")
	d.printf("\n  It starts again, and the grant is revoked.\n\n")
	if ours, err = startServer(ctx, cfg, log); err != nil {
		return err
	}
	stop = ours.Close
	if _, err := p.ours.RevokeGrant(ctx, p.grant, "demo-drill"); err != nil {
		return err
	}
	return p.refused(ctx, "grant_revoked")
}

// partnership is our agent before the partner's registry.
type partnership struct {
	*demo
	ours         *client.Client
	pep          *client.Client // the partner's enforcement point
	pins         client.Pins
	agent        *client.AgentFile
	grant, event string
}

func (p *partnership) open(ctx context.Context, ours, partner *server, ca string) error {
	there, err := client.New(partner.URL, partner.Token, client.Options{})
	if err != nil {
		return err
	}
	if p.ours, err = (peer{ca}).open(ours.URL); err != nil {
		return err
	}
	p.ours = p.ours.As(ours.Token)
	file, agent, err := enroll(ctx, p.ours, client.NewAgent{Name: "courier", AuthorityLevel: 1})
	if err != nil {
		return err
	}
	if _, err := p.ours.ApproveAgent(ctx, agent.Value.ID); err != nil {
		return err
	}
	grant, err := p.ours.IssueGrant(ctx, client.NewGrant{Agent: agent.Value.ID, Capabilities: "read:invoices; create:invoices", Audience: []string{demoPartner}})
	if err != nil {
		return err
	}
	file.Hold(grant.Value)
	p.agent, p.grant, p.event = file.Before(partner.Origin), grant.Value.ID, grant.Event.CID
	pep, err := there.RegisterPEP(ctx, client.NewPEP{Name: "partner-gateway", Resources: []string{demoPartner}})
	if err != nil {
		return err
	}
	p.pep = there.As(pep.Secret)
	if p.pins, err = p.ours.FetchPins(ctx); err != nil {
		return err
	}
	entry, err := there.AddTrust(ctx, client.NewTrust{
		Issuer: p.pins.Issuer, TokenKeys: p.pins.TokenKeys, LogKey: p.pins.LogKey, Audiences: []string{demoPartner}, Capabilities: "read:invoices", AuthorityLevel: 2,
	})
	if err != nil {
		return err
	}
	for { // until the partner has asked us for the first time; ctx bounds it
		t, err := there.Trust(ctx, entry.Value.ID)
		if err != nil {
			return err
		}
		if t.Standing != nil {
			p.fields("ours", p.pins.Issuer, "agent", shortDID(file.DID), "partner", "pins our keys, accepts "+t.Capabilities+" at "+demoPartner)
			p.printf("\n")
			return nil
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// verify asks the partner about an act of our agent and returns the reasons against it.
func (p *partnership) verify(ctx context.Context, verb string) ([]string, error) {
	req, err := p.agent.Request(capability.Act{Action: verb, Resource: capability.Resource{Type: "invoices", ID: "p-7"}}, demoPartner)
	if err != nil {
		return nil, err
	}
	v, err := p.pep.Verify(ctx, req)
	codes := []string{}
	for _, r := range v.Reasons {
		codes = append(codes, r.Code)
	}
	return codes, err
}

// ask expects a reason, or none.
func (p *partnership) ask(ctx context.Context, verb, reason, note string) error {
	got, err := p.verify(ctx, verb)
	if err != nil {
		return err
	}
	verdict := client.Permit
	if len(got) > 0 {
		verdict = client.Deny
	}
	p.line(verdict, verb+" invoices/p-7", note)
	p.check(reason == "" && len(got) == 0 || slices.Contains(got, reason), "the partner's reasons are %q, want %q", got, reason)
	return nil
}

// refused waits for the partner to learn of a revocation.
func (p *partnership) refused(ctx context.Context, reason string) error {
	began := time.Now()
	for {
		got, err := p.verify(ctx, "read")
		if err != nil {
			return err
		}
		if slices.Contains(got, reason) {
			p.line(client.Deny, "read invoices/p-7", reason+", "+time.Since(began).Round(time.Millisecond).String()+" after our answer")
			return nil
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// demoCertificate makes a certificate for localhost that vouches for itself.
func demoCertificate(folder string) (certFile, keyFile string, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", "", err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	template.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return "", "", err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return "", "", err
	}
	certFile, keyFile = filepath.Join(folder, "cert.pem"), filepath.Join(folder, "key.pem")
	return certFile, keyFile, errors.Join(
		os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600),
		os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), 0o600))
}
