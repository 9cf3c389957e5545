package registrytest

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"math/big"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/writ-registry/writ/internal/jose"
	"github.com/writ-registry/writ/registry"
	"github.com/writ-registry/writ/registry/pki"
)

// TrustDomain is the SPIFFE trust domain of a House.
const TrustDomain = "trust.example"

// Certifier is a House's X.509 authority: a root and an issuing key in memory.
type Certifier struct {
	mu  sync.Mutex
	now *pki.Authority
}

// Authority implements registry.Certifier.
func (c *Certifier) Authority(now time.Time, create bool) (*pki.Authority, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.now != nil {
		return c.now, nil
	}
	if !create {
		return nil, registry.Errorf(registry.NotFound, "no certificate was issued yet")
	}
	rootKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	root, err := pki.NewRoot(rootKey, "Test root", now)
	if err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	issuing, err := pki.NewIssuing(root, rootKey, key.Public(), "Test issuing", now)
	if err != nil {
		return nil, err
	}
	c.now, err = pki.Open([]*x509.Certificate{issuing, root}, key, now)
	return c.now, err
}

// Workloads believes the tokens that a test made for it, each for one issuer.
type Workloads struct {
	mu     sync.Mutex
	tokens map[string]token
}

type token struct {
	iss string
	registry.Workload
}

// Token makes a token of an issuer (its iss) that says this.
func (w *Workloads) Token(iss string, says registry.Workload) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.tokens == nil {
		w.tokens = map[string]token{}
	}
	name := "token-" + rand.Text()
	if says.Digest == "" {
		says.Digest = name
	}
	w.tokens[name] = token{iss, says}
	return name
}

// Check implements registry.Workloads: it wants an issuer.
func (w *Workloads) Check(i registry.WorkloadIssuer) error {
	if i.Issuer == "" && i.TrustDomain == "" {
		return registry.Invalid("/issuer", "is required")
	}
	return nil
}

// Issuer implements registry.Workloads.
func (w *Workloads) Issuer(name string) (string, error) {
	t, err := w.find(name)
	return t.iss, err
}

// Verify implements registry.Workloads.
func (w *Workloads) Verify(_ context.Context, _ registry.WorkloadIssuer, name string) (registry.Workload, error) {
	t, err := w.find(name)
	return t.Workload, err
}

func (w *Workloads) find(name string) (token, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	t, ok := w.tokens[name]
	if !ok {
		return token{}, &registry.Error{Kind: registry.Unauthenticated, Code: "token_signature", Field: "/token", Detail: "nobody made this token"}
	}
	return t, nil
}

// CSR makes a PEM request by a key for names.
func CSR(t testing.TB, key *jose.PrivateKey, uris ...string) string {
	t.Helper()
	template := &x509.CertificateRequest{}
	for _, text := range uris {
		u, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		template.URIs = append(template.URIs, u)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, template, Signer(t, key))
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
}

// Signer is a key as crypto/x509 and crypto/tls have it.
func Signer(t testing.TB, key *jose.PrivateKey) crypto.Signer {
	t.Helper()
	text, err := key.MarshalPEM()
	if err != nil {
		t.Fatal(err)
	}
	signer, err := pki.ParseKey(text)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

// Chain reads the certificates of a PEM text.
func Chain(t testing.TB, text string) []*x509.Certificate {
	t.Helper()
	list, err := pki.ParseCertificates([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// Enterprise is the CA of an org.
type Enterprise struct {
	Cert *x509.Certificate
	key  crypto.Signer
	now  func() time.Time
}

// NewEnterprise makes one.
func (h *House) NewEnterprise(t testing.TB, name string) *Enterprise {
	t.Helper()
	e := &Enterprise{now: h.Clock.Now}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	e.key = key
	e.Cert = e.sign(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}, key.Public())
	return e
}

// PEM is its certificate.
func (e *Enterprise) PEM() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: e.Cert.Raw}))
}

// Client certifies a client's key under a URI.
func (e *Enterprise) Client(t testing.TB, key *jose.PrivateKey, uri string) *x509.Certificate {
	t.Helper()
	u, err := url.Parse(uri)
	if err != nil {
		t.Fatal(err)
	}
	return e.sign(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: "client"}, URIs: []*url.URL{u}, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, Signer(t, key).Public())
}

func (e *Enterprise) sign(t testing.TB, template *x509.Certificate, public crypto.PublicKey) *x509.Certificate {
	t.Helper()
	template.SerialNumber = new(big.Int).SetBytes([]byte(rand.Text()[:15]))
	template.NotBefore, template.NotAfter = e.now().Add(-time.Hour), e.now().Add(240*time.Hour)
	parent := e.Cert
	if parent == nil {
		parent = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, e.key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// Rule enrols subjects below a prefix, in the operator's name.
func (h *House) Rule(prefix string, approve bool) registry.EnrolmentRule {
	return registry.EnrolmentRule{
		Match: []registry.Condition{{Attribute: "subject", Prefix: prefix}},
		Agent: registry.AgentTemplate{NamePrefix: "prod-", Role: "clerk", AuthorityLevel: 1, Sponsor: h.Operator.ID, Approve: approve},
	}
}

// Enrolment is a request by a key to be an agent of an org.
func (h *House) Enrolment(t testing.TB, key *jose.PrivateKey, org, name string) registry.NewEnrolment {
	t.Helper()
	jwk, err := json.Marshal(key.Public().JWK())
	if err != nil {
		t.Fatal(err)
	}
	return registry.NewEnrolment{Org: org, Name: name, JWK: jwk, Possession: h.Possession(t, key, org, name)}
}

// Code is the code of an error of the registry; "" for none.
func Code(err error) string {
	var e *registry.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}
