package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/writ-registry/writ/client"
)

// testCA issues certificates for a test.
type testCA struct {
	dir, name string
	cert      *x509.Certificate
	key       crypto.Signer
	pool      *x509.CertPool
}

func newTestCA(t *testing.T, name string) *testCA {
	t.Helper()
	ca := &testCA{dir: t.TempDir(), name: name, pool: x509.NewCertPool()}
	ca.cert, ca.key = ca.issue(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	})
	ca.pool.AddCert(ca.cert)
	return ca
}

// issue signs a certificate, by the CA or, before it has one, by itself.
func (ca *testCA) issue(t *testing.T, template *x509.Certificate) (*x509.Certificate, crypto.Signer) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := ca.cert, ca.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

// server makes a certificate for localhost and returns its files.
func (ca *testCA) server(t *testing.T) (certFile, keyFile string) {
	t.Helper()
	cert, key := ca.issue(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return ca.write(t, "cert.pem", "CERTIFICATE", cert.Raw), ca.write(t, "key.pem", "PRIVATE KEY", der)
}

// client makes a client's certificate.
func (ca *testCA) client(t *testing.T) tls.Certificate {
	t.Helper()
	cert, key := ca.issue(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: "gateway"}, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key}
}

// file is the CA's own certificate.
func (ca *testCA) file(t *testing.T) string {
	t.Helper()
	return ca.write(t, "ca.pem", "CERTIFICATE", ca.cert.Raw)
}

func (ca *testCA) write(t *testing.T, name, kind string, der []byte) string {
	t.Helper()
	path := filepath.Join(ca.dir, name)
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// httpsClient trusts a CA and shows certificates.
func httpsClient(t *testing.T, ca *testCA, show ...tls.Certificate) *http.Client {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: ca.pool, Certificates: show}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: time.Minute}
}

func TestTLS(t *testing.T) {
	ca := newTestCA(t, "test CA")
	cfg := testConfig(t.TempDir())
	cfg.TLSCert, cfg.TLSKey = ca.server(t)
	r := start(t, cfg)
	if !strings.HasPrefix(r.server.Origin, "https://localhost:") || !strings.HasPrefix(r.server.URL, "https://") {
		t.Errorf("origin %s at %s, want https", r.server.Origin, r.server.URL)
	}
	c, err := client.New(r.server.URL, r.Token, client.Options{HTTP: httpsClient(t, ca), Retries: -1})
	if err != nil {
		t.Fatal(err)
	}
	addOrgs(t, c, 1)
	if status, _, _ := get(t, strings.Replace(r.server.URL, "https:", "http:", 1)+"/healthz"); status != http.StatusBadRequest {
		t.Errorf("without TLS it answers %d, want 400", status)
	}
	if _, err := httpsClient(t, newTestCA(t, "another CA")).Get(r.server.URL + "/healthz"); err == nil {
		t.Error("the server's certificate was believed without its CA")
	}
	at := strings.TrimPrefix(r.server.URL, "https://")
	old := &tls.Config{RootCAs: ca.pool, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}
	if conn, err := tls.Dial("tcp", at, old); err == nil {
		conn.Close()
		t.Error("TLS 1.1 was accepted")
	}
}

func TestClientCertificates(t *testing.T) {
	ca, clients, others := newTestCA(t, "server CA"), newTestCA(t, "client CA"), newTestCA(t, "other CA")
	cfg := testConfig(t.TempDir())
	cfg.TLSCert, cfg.TLSKey = ca.server(t)
	cfg.ClientCA, cfg.RequireClientCert = clients.file(t), true
	url := start(t, cfg).server.URL + "/healthz"
	for _, tc := range []struct {
		name string
		http *http.Client
		ok   bool
	}{
		{"of the CA", httpsClient(t, ca, clients.client(t)), true},
		{"none", httpsClient(t, ca), false},
		{"of another CA", httpsClient(t, ca, others.client(t)), false},
		{"of the server's CA", httpsClient(t, ca, ca.client(t)), false},
	} {
		resp, err := tc.http.Get(url)
		if (err == nil) != tc.ok {
			t.Errorf("a certificate %s: %v", tc.name, err)
		}
		if err != nil {
			continue
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != http.StatusOK {
			t.Errorf("a certificate %s: %d, %v", tc.name, resp.StatusCode, err)
		}
		resp.Body.Close()
	}
}

// TestTLSIsRefused: a server that cannot keep its promise of TLS does not start.
func TestTLSIsRefused(t *testing.T) {
	ca := newTestCA(t, "test CA")
	cert, key := ca.server(t)
	_, otherKey := newTestCA(t, "another CA").server(t)
	none := filepath.Join(t.TempDir(), "none.pem")
	for name, change := range map[string]func(*serveConfig){
		"no certificate":  func(c *serveConfig) { c.TLSCert, c.TLSKey = none, key },
		"no key":          func(c *serveConfig) { c.TLSCert, c.TLSKey = cert, none },
		"another's key":   func(c *serveConfig) { c.TLSCert, c.TLSKey = cert, otherKey },
		"no client CA":    func(c *serveConfig) { c.TLSCert, c.TLSKey, c.ClientCA, c.RequireClientCert = cert, key, none, true },
		"empty client CA": func(c *serveConfig) { c.TLSCert, c.TLSKey, c.ClientCA, c.RequireClientCert = cert, key, key, true },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := testConfig(t.TempDir())
			change(&cfg)
			if err := startFails(t, cfg); !strings.Contains(err.Error(), "TLS") && !strings.Contains(err.Error(), "client CA") {
				t.Errorf("got %v", err)
			}
		})
	}
}
