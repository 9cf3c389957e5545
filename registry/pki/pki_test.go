package pki

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net/url"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/writ-registry/writ/internal/jose"
	"github.com/writ-registry/writ/registry/did"
)

var now = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

const (
	agentID = "019359f0-0000-7000-8000-000000000001"
	pepID   = "019359f0-0000-7000-8000-000000000002"
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func newP256() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) }

func newEd25519() ed25519.PrivateKey {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	return must(key, err)
}

// wantCode fails the test unless err is a *Error with code.
func wantCode(t *testing.T, err error, code Code) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || !errors.Is(err, code) {
		t.Errorf("got error %v, want code %s", err, code)
	}
}

// agentDIDs returns the two DIDs of an agent on example.com.
func agentDIDs(id string) (webvh, web did.DID) {
	scid := did.NextKeyHash(jose.NewEd25519FromSeed([32]byte{1}).Public())
	webvh = must(did.WebVH("https://example.com:8443", scid, "agents", id))
	return webvh, must(webvh.ParallelWeb())
}

func agentProfile() Profile {
	webvh, web := agentDIDs(agentID)
	return Agent("acme", agentID, webvh, web)
}

func svidProfile(trustDomain string) Profile {
	return SVID("acme", agentID, must(NewSPIFFEID(trustDomain, "acme", agentID)))
}

// ownAuthority is a root of the registry's own with an issuing key below it.
func ownAuthority() *Authority {
	rootKey, key := newP256(), newP256()
	root := must(NewRoot(rootKey, "Writ root example.com", now))
	issuing := must(NewIssuing(root, rootKey, key.Public(), "Writ issuing example.com", now))
	return must(Open([]*x509.Certificate{issuing, root}, key, now))
}

// ca is an enterprise's CA, made without this package. change may bend the template.
type ca struct {
	cert *x509.Certificate
	key  crypto.Signer
}

func newEnterprise(parent *ca, key crypto.Signer, change func(*x509.Certificate)) *ca {
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "Enterprise " + must(rand.Int(rand.Reader, big.NewInt(1<<40))).String()},
		NotBefore:             now.Add(-time.Hour),
		NotAfter:              now.Add(1000 * time.Hour),
		BasicConstraintsValid: true,
		IsCA:                  true,
		KeyUsage:              x509.KeyUsageCertSign,
	}
	if change != nil {
		change(template)
	}
	if parent == nil {
		parent = &ca{template, key}
	}
	raw := must(x509.CreateCertificate(rand.Reader, template, parent.cert, key.Public(), parent.key))
	return &ca{must(x509.ParseCertificate(raw)), key}
}

// leaf returns a client certificate of the enterprise's.
func (c *ca) leaf(key crypto.Signer, change func(*x509.Certificate)) *x509.Certificate {
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "client", SerialNumber: "SN-1"},
		NotBefore:             now.Add(-time.Hour),
		NotAfter:              now.Add(time.Hour),
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		URIs:                  []*url.URL{must(url.Parse("https://acme.example/robots/7"))},
	}
	if change != nil {
		change(template)
	}
	return must(x509.ParseCertificate(must(x509.CreateCertificate(rand.Reader, template, c.cert, key.Public(), c.key))))
}

func csrFor(key crypto.Signer, template x509.CertificateRequest) []byte {
	return must(x509.CreateCertificateRequest(rand.Reader, &template, key))
}

// presented parses what a client would send.
func presented(i Issued) []*x509.Certificate {
	out := []*x509.Certificate{must(x509.ParseCertificate(i.DER))}
	for _, raw := range i.Chain {
		out = append(out, must(x509.ParseCertificate(raw)))
	}
	return out
}

func TestIssueAndVerify(t *testing.T) {
	enterpriseRoot := newEnterprise(nil, newP256(), nil)
	rsaFree := newEnterprise(enterpriseRoot, newEd25519(), nil)
	webvh, web := agentDIDs(agentID)
	spiffe := must(NewSPIFFEID("prod.example.com", "acme", agentID))
	for _, authority := range []struct {
		name string
		a    *Authority
	}{
		{"own", ownAuthority()},
		{"enterprise", must(Open([]*x509.Certificate{rsaFree.cert, enterpriseRoot.cert}, rsaFree.key, now))},
	} {
		roots := must(NewRoots(authority.a.Root()))
		for _, key := range []crypto.Signer{newEd25519(), newP256()} {
			for _, tt := range []struct {
				name    string
				profile Profile
				want    Certificate
			}{
				{"agent", agentProfile(), Certificate{ID: agentID, URIs: []string{webvh.String(), web.String()}, DIDs: []did.DID{webvh, web}}},
				{"pep", EnforcementPoint("acme", pepID), Certificate{ID: pepID, URIs: []string{"urn:uuid:" + pepID}}},
				{"svid", svidProfile("prod.example.com"), Certificate{ID: agentID, URIs: []string{spiffe.String()}, SPIFFE: spiffe}},
			} {
				t.Run(authority.name+"/"+tt.name, func(t *testing.T) {
					issued, err := authority.a.Issue(csrFor(key, x509.CertificateRequest{}), tt.profile, now)
					if err != nil {
						t.Fatal(err)
					}
					got, err := Verify(presented(issued), roots, now)
					if err != nil {
						t.Fatal(err)
					}
					want := tt.want
					want.Organization = "acme"
					want.Serial, want.Digest, want.Key = issued.Serial, issued.Digest, issued.Key
					want.NotBefore, want.NotAfter = now.Add(-Skew), now.Add(DefaultLifetime)
					want.Roots = []string{Digest(authority.a.Root().Raw)}
					if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b did.DID) bool { return a == b }),
						cmp.Comparer(func(a, b SPIFFEID) bool { return a == b }), cmp.Comparer(func(a, b jose.PublicKey) bool { return a == b })); diff != "" {
						t.Errorf("names (-want +got):\n%s", diff)
					}
					if len(issued.Chain) != 1 {
						t.Errorf("%d certificates above the leaf, want the issuing one alone", len(issued.Chain))
					}
					if all := must(ParseCertificates(issued.PEM())); len(all) != 2 || Digest(all[0].Raw) != issued.Digest {
						t.Errorf("PEM holds %d certificates, want leaf and issuing", len(all))
					}
				})
			}
		}
	}
}

// TestLeafForm holds a leaf against RFC 5280, RFC 9608 and X509-SVID.
func TestLeafForm(t *testing.T) {
	a := ownAuthority()
	serials := map[string]bool{}
	for _, profile := range []Profile{agentProfile(), EnforcementPoint("acme", pepID), svidProfile("prod.example.com")} {
		issued := must(a.Issue(csrFor(newEd25519(), x509.CertificateRequest{}), profile, now))
		leaf := must(x509.ParseCertificate(issued.DER))
		if leaf.IsCA || !leaf.BasicConstraintsValid || leaf.KeyUsage != x509.KeyUsageDigitalSignature {
			t.Errorf("%s: CA %v, key usage %v, want no CA and digitalSignature alone", profile.kind, leaf.IsCA, leaf.KeyUsage)
		}
		usages := []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
		if profile.kind == "svid" {
			usages = append(usages, x509.ExtKeyUsageServerAuth)
		}
		if diff := cmp.Diff(usages, leaf.ExtKeyUsage); diff != "" {
			t.Errorf("%s: extended key usage (-want +got):\n%s", profile.kind, diff)
		}
		found := false
		for _, e := range leaf.Extensions {
			if e.Id.Equal(oidNoRevAvail) {
				found = !e.Critical && string(e.Value) == "\x05\x00"
			}
		}
		if !found {
			t.Errorf("%s: no noRevAvail extension that is NULL and not critical", profile.kind)
		}
		if len(leaf.SubjectKeyId) != 20 || string(leaf.AuthorityKeyId) != string(a.chain[0].SubjectKeyId) {
			t.Errorf("%s: key identifiers %x, %x do not link to the authority", profile.kind, leaf.SubjectKeyId, leaf.AuthorityKeyId)
		}
		if n := leaf.SerialNumber.BitLen(); n < 128 || n > 159 || serials[issued.Serial] {
			t.Errorf("%s: serial number of %d bits, or drawn twice", profile.kind, n) // fewer than 128: one in 2^31
		}
		serials[issued.Serial] = true
	}
}

func TestLifetime(t *testing.T) {
	a := ownAuthority()
	short := newEnterprise(nil, newP256(), func(c *x509.Certificate) { c.NotBefore, c.NotAfter = now.Add(-10*time.Second), now.Add(2*time.Hour) })
	ending := must(Open([]*x509.Certificate{short.cert}, short.key, now))
	for _, tt := range []struct {
		name       string
		a          *Authority
		at         time.Time
		lifetime   time.Duration
		before, to time.Time
		code       Code
	}{
		{"default", a, now, 0, now.Add(-Skew), now.Add(8 * time.Hour), ""},
		{"as asked", a, now, time.Hour, now.Add(-Skew), now.Add(time.Hour), ""},
		{"never more than a day", a, now, 1000 * time.Hour, now.Add(-Skew), now.Add(24 * time.Hour), ""},
		{"not beyond the authority, either way", ending, now, 8 * time.Hour, now.Add(-10 * time.Second), now.Add(2 * time.Hour), ""},
		{"whole seconds, never longer", a, now.Add(900 * time.Millisecond), time.Hour, now.Add(-Skew), now.Add(time.Hour), ""},
		{"negative", a, now, -1, time.Time{}, time.Time{}, Malformed},
		{"of no second", a, now, time.Millisecond, time.Time{}, time.Time{}, Expired},
		{"the authority has ended", ending, now.Add(2 * time.Hour), time.Hour, time.Time{}, time.Time{}, Expired},
		{"the authority has not begun", ending, now.Add(-time.Minute), time.Hour, time.Time{}, time.Time{}, Expired},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := agentProfile()
			p.Lifetime = tt.lifetime
			issued, err := tt.a.Issue(csrFor(newP256(), x509.CertificateRequest{}), p, tt.at)
			if tt.code != "" {
				wantCode(t, err, tt.code)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if !issued.NotBefore.Equal(tt.before) || !issued.NotAfter.Equal(tt.to) {
				t.Errorf("valid from %v to %v, want %v to %v", issued.NotBefore, issued.NotAfter, tt.before, tt.to)
			}
		})
	}
}

func TestProfileRefused(t *testing.T) {
	a := ownAuthority()
	webvh, web := agentDIDs(agentID)
	spiffe := must(NewSPIFFEID("example.com", "acme", agentID))
	long := string(make([]byte, 65))
	for name, p := range map[string]Profile{
		"zero":                   {},
		"DIDs in the wrong role": Agent("acme", agentID, web, webvh),
		"no DID":                 Agent("acme", agentID, did.DID{}, did.DID{}),
		"no id":                  Agent("acme", "", webvh, web),
		"id with a line feed":    Agent("acme", "a\nb", webvh, web),
		"org too long":           Agent(long, agentID, webvh, web),
		"org is not UTF-8":       Agent("\xff", agentID, webvh, web),
		"PEP without UUID":       EnforcementPoint("acme", "gateway"),
		"PEP in upper case":      EnforcementPoint("acme", "019359F0-0000-7000-8000-000000000002"),
		"no SPIFFE ID":           SVID("acme", agentID, SPIFFEID{}),
		"SVID without id":        SVID("acme", "", spiffe),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := a.Issue(csrFor(newP256(), x509.CertificateRequest{}), p, now)
			wantCode(t, err, Malformed)
		})
	}
}

func TestSPIFFEID(t *testing.T) {
	for _, s := range []string{"spiffe://example.com/a", "spiffe://my_domain-1/ns/A.b/sa/..._"} {
		if id, err := ParseSPIFFEID(s); err != nil || id.String() != s {
			t.Errorf("ParseSPIFFEID(%q) = %v, %v", s, id, err)
		}
	}
	if got := must(NewSPIFFEID("example.com", "acme", "7")); got.String() != "spiffe://example.com/org/acme/agent/7" || got.TrustDomain() != "example.com" {
		t.Errorf("NewSPIFFEID = %v in %v", got, got.TrustDomain())
	}
	for _, s := range []string{
		"", "spiffe://", "spiffe://example.com", "spiffe://example.com/", "spiffe://example.com/a/", "spiffe://example.com//a",
		"spiffe://example.com/a/../b", "spiffe://example.com/./a", "spiffe://Example.com/a", "SPIFFE://example.com/a", "spiffe:///a",
		"spiffe://user@example.com/a", "spiffe://example.com:80/a", "spiffe://example.com/a?b", "spiffe://example.com/a#b",
		"spiffe://example.com/%61", "spiffe://exämple.com/a", "https://example.com/a",
		"spiffe://" + string(make([]byte, 2048)) + "/a",
	} {
		_, err := ParseSPIFFEID(s)
		if err == nil {
			t.Errorf("ParseSPIFFEID(%q) is accepted", s)
			continue
		}
		wantCode(t, err, Malformed)
	}
	for _, parts := range [][3]string{{"example.com", "a/b", "c"}, {"example.com/x", "a", "c"}, {"example.com", "..", "c"}, {"example.com", "", "c"}} {
		_, err := NewSPIFFEID(parts[0], parts[1], parts[2])
		wantCode(t, err, Malformed)
	}
}

func TestParseCertificatesRefused(t *testing.T) {
	c := ownAuthority().Root()
	one := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
	var six []byte
	for range MaxChain + 1 {
		six = append(six, one...)
	}
	for _, tt := range []struct {
		name string
		data []byte
		code Code
	}{
		{"nothing", nil, Malformed},
		{"text", []byte("hello"), Malformed},
		{"a key between", append([]byte(nil), append(one, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte{1}})...)...), Malformed},
		{"no certificate inside", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte{1}}), Malformed},
		{"too many", six, TooLarge},
		{"too long", make([]byte, maxPEM+1), TooLarge},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := ParseCertificates(tt.data)
			wantCode(t, err, tt.code)
		})
	}
}

func TestParseKey(t *testing.T) {
	k := newP256()
	pkcs8 := must(x509.MarshalPKCS8PrivateKey(k))
	for _, block := range []*pem.Block{
		{Type: "PRIVATE KEY", Bytes: pkcs8},
		{Type: "EC PRIVATE KEY", Bytes: must(x509.MarshalECPrivateKey(k))},
	} {
		got, err := ParseKey(pem.EncodeToMemory(block))
		if err != nil || !k.PublicKey.Equal(got.Public()) {
			t.Errorf("%s: %v", block.Type, err)
		}
	}
	x25519 := must(x509.MarshalPKCS8PrivateKey(must(ecdh.X25519().GenerateKey(rand.Reader))))
	for name, data := range map[string][]byte{
		"nothing":     nil,
		"wrong label": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pkcs8}),
		"cut short":   pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8[:20]}),
		"two blocks":  append(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})...),
		"X25519":      pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: x25519}),
	} {
		_, err := ParseKey(data)
		if err == nil {
			t.Errorf("%s is accepted", name)
			continue
		}
		wantCode(t, err, Malformed)
	}
}
