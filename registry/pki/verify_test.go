package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"net"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestVerifyRefused(t *testing.T) {
	type template = *x509.Certificate
	root := newEnterprise(nil, newP256(), nil)
	roots := must(NewRoots(root.cert))
	key := newP256()
	leaf := root.leaf(key, nil)
	with := func(change func(template)) []*x509.Certificate { return []*x509.Certificate{root.leaf(key, change)} }
	named := func(uris ...string) []*x509.Certificate {
		return with(func(c template) {
			c.URIs = nil
			for _, uri := range uris {
				c.URIs = append(c.URIs, must(url.Parse(uri)))
			}
		})
	}
	under := func(parent *ca) []*x509.Certificate { return []*x509.Certificate{parent.leaf(key, nil), parent.cert} }
	webvh, web := agentDIDs(agentID)
	deep, links := root, []*x509.Certificate(nil)
	for range MaxChain - 1 { // with leaf and root one too many
		deep = newEnterprise(deep, newP256(), nil)
		links = append([]*x509.Certificate{deep.cert}, links...)
	}
	acmeDN := must(asn1.Marshal(pkix.Name{Organization: []string{"acme"}}.ToRDNSequence()))
	for _, tt := range []struct {
		name      string
		presented []*x509.Certificate
		code      Code
	}{
		{"nothing", nil, Malformed},
		{"too many", slices.Repeat([]*x509.Certificate{leaf}, MaxChain+1), TooLarge},
		{"too long", with(func(c template) {
			c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3}, Value: make([]byte, maxCertificate)}}
		}), TooLarge},
		{"too deep", append([]*x509.Certificate{deep.leaf(key, nil)}, links...), TooLarge},
		{"of another root", []*x509.Certificate{newEnterprise(nil, newP256(), nil).leaf(key, nil)}, Untrusted},
		{"its root brought along", under(newEnterprise(nil, newP256(), nil)), Untrusted},
		{"link missing", under(newEnterprise(root, newP256(), nil))[:1], Untrusted},
		{"a CA", []*x509.Certificate{root.cert}, BadUsage},
		{"a CA without keyCertSign", with(func(c template) { c.IsCA = true }), BadUsage},
		{"may sign certificates", with(func(c template) { c.KeyUsage |= x509.KeyUsageCertSign }), BadUsage},
		{"may not sign", with(func(c template) { c.KeyUsage = x509.KeyUsageKeyAgreement }), BadUsage},
		{"of a server", with(func(c template) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }), BadUsage},
		{"of any use", with(func(c template) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageAny} }), BadUsage},
		{"of no stated use", with(func(c template) { c.ExtKeyUsage = nil }), BadUsage},
		{"ended", with(func(c template) { c.NotAfter = now.Add(-time.Second) }), Expired},
		{"not begun", with(func(c template) { c.NotBefore = now.Add(time.Second) }), Expired},
		{"ended above", under(newEnterprise(root, newP256(), func(c template) { c.NotAfter = now.Add(-time.Second) })), Expired},
		{"RSA", []*x509.Certificate{root.leaf(must(rsa.GenerateKey(rand.Reader, 2048)), nil)}, BadKey},
		{"P-384", []*x509.Certificate{root.leaf(must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)), nil)}, BadKey},
		{"unknown critical extension", with(func(c template) {
			c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3}, Critical: true, Value: []byte{5, 0}}}
		}), Untrusted},
		{"issued by a leaf", under(&ca{root.leaf(key, nil), key}), Untrusted},
		{"issued by a CA that may not", under(newEnterprise(root, newP256(), func(c template) { c.KeyUsage = x509.KeyUsageCRLSign })), Untrusted},
		{"issued by a CA that does not say it may", under(newEnterprise(root, newP256(), func(c template) { c.KeyUsage = 0 })), NotAuthority},
		{"name outside the constraints", under(newEnterprise(root, newP256(), func(c template) { c.PermittedURIDomains = []string{"example.org"} })), Constrained},
		{"constraints that are not understood", under(newEnterprise(root, newP256(), func(c template) {
			c.ExtraExtensions = []pkix.Extension{nameConstraints(4, acmeDN, false)}
		})), Constrained},
		{"no DID", named("did:web:127.0.0.1"), BadName},
		{"a DID URL", named(web.String() + "#key"), BadName},
		{"a DID in capitals", with(func(c template) {
			c.URIs, c.ExtraExtensions = nil, rawAltName(6, "DID:web:example.com")
		}), BadName},
		{"no SPIFFE ID", named("spiffe://example.com"), BadName},
		{"two SPIFFE IDs", named("spiffe://example.com/a", "spiffe://example.com/b"), BadName},
		{"a SPIFFE ID beside a DID", named(webvh.String(), "spiffe://example.com/a"), BadName},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Verify(tt.presented, roots, now)
			wantCode(t, err, tt.code)
			if diff := cmp.Diff([]string(nil), got.URIs); diff != "" && err != nil {
				t.Errorf("names of a refused certificate:\n%s", diff)
			}
		})
	}
	if _, err := Verify([]*x509.Certificate{leaf}, roots, now); err != nil {
		t.Errorf("the certificate that all of these differ from: %v", err)
	}
	if _, err := Verify([]*x509.Certificate{leaf}, must(NewRoots()), now); err == nil {
		t.Error("no roots, and yet trusted")
	}
	_, err := NewRoots(leaf)
	wantCode(t, err, NotAuthority)
}

// TestVerifySaysWhichRoot: one enterprise may not pass for another by the names in its
// certificates; the root tells them apart.
func TestVerifySaysWhichRoot(t *testing.T) {
	a, b := newEnterprise(nil, newP256(), nil), newEnterprise(nil, newP256(), nil)
	key := newEd25519()
	both := must(NewRoots(a.cert, b.cert))
	for _, tt := range []struct {
		name      string
		presented []*x509.Certificate
		want      []string
	}{
		{"a's", []*x509.Certificate{a.leaf(key, nil)}, []string{Digest(a.cert.Raw)}},
		{"b's, the same names", []*x509.Certificate{b.leaf(key, nil)}, []string{Digest(b.cert.Raw)}},
		{"b's, with a's root beside it", []*x509.Certificate{b.leaf(key, nil), a.cert}, []string{Digest(b.cert.Raw)}},
	} {
		got, err := Verify(tt.presented, both, now)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if diff := cmp.Diff(tt.want, got.Roots); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
	// b's own intermediate is enrolled beside b: both may speak.
	inner := newEnterprise(b, newP256(), nil)
	got := must(Verify([]*x509.Certificate{inner.leaf(key, nil), inner.cert}, must(NewRoots(b.cert, inner.cert)), now))
	if want := []string{Digest(b.cert.Raw), Digest(inner.cert.Raw)}; len(got.Roots) != 2 || !slices.Contains(got.Roots, want[0]) || !slices.Contains(got.Roots, want[1]) {
		t.Errorf("roots %v, want %v", got.Roots, want)
	}
}

func TestIdentity(t *testing.T) {
	root := newEnterprise(nil, newP256(), nil)
	roots := must(NewRoots(root.cert))
	for _, tt := range []struct {
		name   string
		uris   []string
		dns    []string
		serial string
		want   Identity // zero: refused
	}{
		{"URI before all else", []string{"https://acme.example/a?b=C"}, []string{"a.example"}, "1", Identity{"uri", "https://acme.example/a?b=C"}},
		{"SPIFFE ID", []string{"spiffe://acme.example/a"}, nil, "", Identity{"uri", "spiffe://acme.example/a"}},
		{"DNS before the serial number", nil, []string{"Robot.Acme.example"}, "1", Identity{"dns", "robot.acme.example"}},
		{"serial number", nil, nil, "SN-1", Identity{"serial", "SN-1"}},
		{"nothing but a common name", nil, nil, "", Identity{}},
		{"two URIs", []string{"https://a.example", "https://b.example"}, nil, "1", Identity{}},
		{"two hosts", nil, []string{"a.example", "b.example"}, "1", Identity{}},
		{"wildcard", nil, []string{"*.acme.example"}, "1", Identity{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			leaf := root.leaf(newP256(), func(c *x509.Certificate) {
				c.URIs, c.DNSNames, c.Subject.SerialNumber = nil, tt.dns, tt.serial
				for _, uri := range tt.uris {
					c.URIs = append(c.URIs, must(url.Parse(uri)))
				}
			})
			got, err := must(Verify([]*x509.Certificate{leaf}, roots, now)).Identity()
			if tt.want == (Identity{}) {
				wantCode(t, err, BadName)
				return
			}
			if err != nil || got != tt.want {
				t.Errorf("got %v, %v, want %v", got, err, tt.want)
			}
		})
	}
}

// TestMutualTLS: a leaf authenticates a client in a handshake of crypto/tls, and what
// the server was shown is what Verify reads.
func TestMutualTLS(t *testing.T) {
	a := ownAuthority()
	server := newEnterprise(nil, newP256(), nil)
	serverKey := newP256()
	serverLeaf := server.leaf(serverKey, func(c *x509.Certificate) {
		c.ExtKeyUsage, c.DNSNames = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, []string{"registry.example"}
	})
	serverRoots, clientRoots := x509.NewCertPool(), x509.NewCertPool()
	serverRoots.AddCert(server.cert)
	clientRoots.AddCert(a.Root())
	clock := func() time.Time { return now }
	for _, key := range []crypto.Signer{newP256(), newEd25519()} {
		issued := must(a.Issue(csrFor(key, x509.CertificateRequest{}), agentProfile(), now))
		there, here := net.Pipe()
		serving := tls.Server(there, &tls.Config{
			Certificates: []tls.Certificate{{Certificate: [][]byte{serverLeaf.Raw}, PrivateKey: serverKey}},
			ClientAuth:   tls.RequireAndVerifyClientCert, ClientCAs: clientRoots, Time: clock,
		})
		client := tls.Client(here, &tls.Config{
			Certificates: []tls.Certificate{{Certificate: append([][]byte{issued.DER}, issued.Chain...), PrivateKey: key}},
			RootCAs:      serverRoots, ServerName: "registry.example", Time: clock,
		})
		done := make(chan error, 1)
		go func() {
			done <- client.Handshake()
			_, _ = client.Read(make([]byte, 1)) // takes the session tickets
		}()
		if err := serving.Handshake(); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		got, err := Verify(serving.ConnectionState().PeerCertificates, must(NewRoots(a.Root())), now)
		if err != nil || got.Digest != issued.Digest || got.Key != issued.Key || got.ID != agentID {
			t.Errorf("got %+v, %v", got, err)
		}
		_ = serving.Close()
		_ = client.Close()
	}
}
