package pki

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestOwnAuthority(t *testing.T) {
	a := ownAuthority()
	issuing, root := a.chain[0], a.Root()
	if root.MaxPathLen != 1 || issuing.MaxPathLen != 0 || !issuing.MaxPathLenZero {
		t.Errorf("path lengths %d above %d, want 1 above 0", root.MaxPathLen, issuing.MaxPathLen)
	}
	if !root.NotAfter.Equal(now.Add(RootLifetime)) || !a.NotAfter().Equal(now.Add(IssuingLifetime)) || !root.NotBefore.Equal(now.Add(-Skew)) {
		t.Errorf("root until %v, issuing until %v", root.NotAfter, a.NotAfter())
	}
	// An issuing key made late in the root's life ends with it.
	rootKey := newP256()
	old := must(NewRoot(rootKey, "root", now))
	late := must(NewIssuing(old, rootKey, newP256().Public(), "issuing", old.NotAfter.Add(-time.Hour)))
	if !late.NotAfter.Equal(old.NotAfter) {
		t.Errorf("issuing until %v, root until %v", late.NotAfter, old.NotAfter)
	}
	_, err := NewRoot(rootKey, "", now)
	wantCode(t, err, Malformed)
}

// nameConstraints returns the extension that permits one name of a kind.
func nameConstraints(tag int, base []byte, critical bool) pkix.Extension {
	name := asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: tag, IsCompound: tag == 4, Bytes: base}
	tree := asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true, Bytes: must(asn1.Marshal(name))}
	permitted := asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: must(asn1.Marshal(tree))}
	return pkix.Extension{Id: oidNameConstraints, Critical: critical, Value: must(asn1.Marshal([]asn1.RawValue{permitted}))}
}

func TestOpenRefused(t *testing.T) {
	type template = *x509.Certificate
	root := newEnterprise(nil, newP256(), nil)
	good := newEnterprise(root, newP256(), nil)
	with := func(change func(template)) *ca { return newEnterprise(root, newP256(), change) }
	extended := func(e pkix.Extension) *ca { return with(func(c template) { c.ExtraExtensions = []pkix.Extension{e} }) }
	acmeDN := must(asn1.Marshal(pkix.Name{Organization: []string{"acme"}}.ToRDNSequence()))
	leafOnly := newEnterprise(nil, newP256(), func(c template) { c.MaxPathLenZero = true })
	below := newEnterprise(leafOnly, newP256(), nil)
	long := []*x509.Certificate{root.cert}
	for parent := root; len(long) < MaxChain; {
		parent = newEnterprise(parent, newP256(), nil)
		long = append([]*x509.Certificate{parent.cert}, long...)
	}
	for _, tt := range []struct {
		name  string
		chain []*x509.Certificate
		key   crypto.Signer
		code  Code
	}{
		{"nothing", nil, good.key, Malformed},
		{"chain too long", long, good.key, TooLarge},
		{"a leaf", []*x509.Certificate{root.leaf(good.key, nil)}, good.key, NotAuthority},
		{"no keyCertSign", []*x509.Certificate{with(func(c template) { c.KeyUsage = x509.KeyUsageDigitalSignature }).cert}, good.key, NotAuthority},
		{"no key usage", []*x509.Certificate{with(func(c template) { c.KeyUsage = 0 }).cert}, good.key, NotAuthority},
		{"a leaf above", []*x509.Certificate{good.cert, root.leaf(root.key, nil)}, good.key, NotAuthority},
		{"key of another", []*x509.Certificate{good.cert, root.cert}, newP256(), KeyMismatch},
		{"key of another kind", []*x509.Certificate{good.cert, root.cert}, newEd25519(), KeyMismatch},
		{"wrong order", []*x509.Certificate{root.cert, good.cert}, root.key, BadSignature},
		{"another root", []*x509.Certificate{good.cert, newEnterprise(nil, newP256(), nil).cert}, good.key, BadSignature},
		{"path length", []*x509.Certificate{below.cert, leafOnly.cert}, below.key, Constrained},
		{"ended", []*x509.Certificate{with(func(c template) { c.NotAfter = now.Add(-time.Second) }).cert}, good.key, Expired},
		{"not begun", []*x509.Certificate{with(func(c template) { c.NotBefore = now.Add(time.Second) }).cert}, good.key, Expired},
		{"unknown critical extension", []*x509.Certificate{extended(pkix.Extension{Id: asn1.ObjectIdentifier{1, 2, 3}, Critical: true, Value: []byte{5, 0}}).cert}, good.key, Constrained},
		{"directoryName constraints", []*x509.Certificate{extended(nameConstraints(4, acmeDN, true)).cert}, good.key, Constrained},
		{"directoryName constraints, not critical", []*x509.Certificate{extended(nameConstraints(4, acmeDN, false)).cert}, good.key, Constrained},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Open(tt.chain, tt.key, now)
			wantCode(t, err, tt.code)
		})
	}
	t.Run("servers only", func(t *testing.T) {
		servers := with(func(c template) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} })
		_, err := Open([]*x509.Certificate{servers.cert, root.cert}, servers.key, now)
		wantCode(t, err, BadUsage)
	})
	t.Run("weak RSA", func(t *testing.T) {
		t.Setenv("GODEBUG", "rsa1024min=0")
		weak := newEnterprise(nil, must(rsa.GenerateKey(rand.Reader, 1024)), nil)
		_, err := Open([]*x509.Certificate{weak.cert}, weak.key, now)
		wantCode(t, err, BadKey)
	})
	strong := newEnterprise(nil, must(rsa.GenerateKey(rand.Reader, 2048)), nil)
	if _, err := Open([]*x509.Certificate{strong.cert}, strong.key, now); err != nil {
		t.Errorf("an enterprise's RSA key of 2048 bits: %v", err)
	}
}

// TestEnterpriseConstraints: what the enterprise's chain forbids is not issued.
func TestEnterpriseConstraints(t *testing.T) {
	type template = *x509.Certificate
	root := newEnterprise(nil, newP256(), nil)
	for _, tt := range []struct {
		name    string
		change  func(template)
		profile Profile
		code    Code // "" means issued
	}{
		{"SPIFFE ID in the permitted trust domain", func(c template) { c.PermittedURIDomains = []string{"prod.example.com"} }, svidProfile("prod.example.com"), ""},
		{"SPIFFE ID below it", func(c template) { c.PermittedURIDomains = []string{".example.com"} }, svidProfile("prod.example.com"), ""},
		{"SPIFFE ID in another", func(c template) { c.PermittedURIDomains = []string{"prod.example.com"} }, svidProfile("dev.example.com"), Constrained},
		{"SPIFFE ID in an excluded one", func(c template) { c.ExcludedURIDomains = []string{"dev.example.com"} }, svidProfile("dev.example.com"), Constrained},
		// RFC 5280 section 4.2.1.10: a URI without host cannot be held against a constraint.
		{"DIDs under a URI constraint", func(c template) { c.PermittedURIDomains = []string{"example.com"} }, agentProfile(), Constrained},
		{"a URN under a URI constraint", func(c template) { c.ExcludedURIDomains = []string{"example.org"} }, EnforcementPoint("acme", pepID), Constrained},
		// crypto/x509 holds every URI against every kind of constraint, beyond the RFC.
		{"DIDs under a DNS constraint", func(c template) { c.PermittedDNSDomains = []string{"example.com"} }, agentProfile(), Constrained},
		{"SVID where serverAuth is not allowed", func(c template) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }, svidProfile("prod.example.com"), BadUsage},
		{"agent where clientAuth alone is allowed", func(c template) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }, agentProfile(), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			issuing := newEnterprise(root, newP256(), tt.change)
			// Constraints count wherever in the chain they are.
			below := newEnterprise(issuing, newP256(), nil)
			for _, a := range []*Authority{
				must(Open([]*x509.Certificate{issuing.cert, root.cert}, issuing.key, now)),
				must(Open([]*x509.Certificate{issuing.cert}, issuing.key, now)),
				must(Open([]*x509.Certificate{below.cert, issuing.cert}, below.key, now)),
			} {
				issued, err := a.Issue(csrFor(newP256(), x509.CertificateRequest{}), tt.profile, now)
				if tt.code != "" {
					wantCode(t, err, tt.code)
					if issued.DER != nil {
						t.Error("a forbidden leaf is returned")
					}
					continue
				}
				if err != nil {
					t.Error(err)
					continue
				}
				if _, err := Verify(presented(issued), must(NewRoots(a.Root())), now); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// TestOpenSSL: another implementation of RFC 5280 accepts what is issued.
func TestOpenSSL(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("no openssl on the path")
	}
	root := newEnterprise(nil, newP256(), nil)
	limited := newEnterprise(root, newP256(), func(c *x509.Certificate) { c.PermittedURIDomains = []string{"prod.example.com"} })
	enterprise := must(Open([]*x509.Certificate{limited.cert, root.cert}, limited.key, now))
	for name, tt := range map[string]struct {
		a       *Authority
		profile Profile
	}{
		"agent": {ownAuthority(), agentProfile()},
		"pep":   {ownAuthority(), EnforcementPoint("acme", pepID)},
		"svid":  {enterprise, svidProfile("prod.example.com")},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			write := func(name string, data []byte) string {
				path := filepath.Join(dir, name)
				if err := os.WriteFile(path, data, 0o600); err != nil {
					t.Fatal(err)
				}
				return path
			}
			// The request is openssl's own, too.
			key, csr := filepath.Join(dir, "key.pem"), filepath.Join(dir, "csr.pem")
			if out, err := exec.Command(openssl, "genpkey", "-algorithm", "ed25519", "-out", key).CombinedOutput(); err != nil {
				t.Fatalf("genpkey: %v\n%s", err, out)
			}
			if out, err := exec.Command(openssl, "req", "-new", "-key", key, "-subj", "/CN=whatever", "-out", csr).CombinedOutput(); err != nil {
				t.Fatalf("req: %v\n%s", err, out)
			}
			issued, err := tt.a.Issue(must(os.ReadFile(csr)), tt.profile, now)
			if err != nil {
				t.Fatal(err)
			}
			chain := write("chain.pem", issued.PEM())
			roots := write("root.pem", Issued{DER: tt.a.Root().Raw}.PEM())
			leaf := write("leaf.pem", Issued{DER: issued.DER}.PEM())
			at := strconv.FormatInt(now.Unix(), 10)
			out, err := exec.Command(openssl, "verify", "-x509_strict", "-purpose", "sslclient", "-attime", at, "-CAfile", roots, "-untrusted", chain, leaf).CombinedOutput()
			if err != nil || !strings.Contains(string(out), "OK") {
				t.Errorf("verify: %v\n%s", err, out)
			}
			out, err = exec.Command(openssl, "x509", "-in", leaf, "-noout", "-ext", "subjectAltName").CombinedOutput()
			for _, name := range tt.profile.Names() {
				if err != nil || !strings.Contains(string(out), "URI:"+name) {
					t.Errorf("%v: no %s in\n%s", err, name, out)
				}
			}
		})
	}
}
