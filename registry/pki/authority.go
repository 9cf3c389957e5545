package pki

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"slices"
	"time"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"
)

const (
	// RootLifetime is how long a root of the registry's own is valid.
	RootLifetime = 20 * 365 * 24 * time.Hour
	// IssuingLifetime is how long a certificate of NewIssuing is valid.
	IssuingLifetime = 365 * 24 * time.Hour
	// Skew is how far certificates are backdated for clocks that are behind.
	Skew = 60 * time.Second
)

// MaxChain and maxPEM bound a chain: certificates, leaf included, and bytes of PEM.
const (
	MaxChain = 5
	maxPEM   = 64 << 10
)

// Authority issues leaves under one chain. It is immutable and may be used from
// several goroutines if its key may.
type Authority struct {
	chain []*x509.Certificate // the issuing one first, each signed by the next
	key   crypto.Signer       // of chain[0]
}

// NewRoot makes the self-signed certificate of the registry's own root for a key: a CA
// with room for one intermediate below (path length 1), valid for RootLifetime. name
// is its common name. It errs if the name is none or the signer fails.
func NewRoot(key crypto.Signer, name string, now time.Time) (*x509.Certificate, error) {
	return newCA(name, 1, RootLifetime, nil, key.Public(), key, now)
}

// NewIssuing makes the certificate of the key that issues leaves, signed by the root:
// a CA for leaves only (path length 0), valid for IssuingLifetime but not beyond the
// root. Errors as for NewRoot.
func NewIssuing(root *x509.Certificate, rootKey crypto.Signer, issuing crypto.PublicKey, name string, now time.Time) (*x509.Certificate, error) {
	return newCA(name, 0, IssuingLifetime, root, issuing, rootKey, now)
}

// newCA makes a CA certificate; parent nil means self-signed.
func newCA(name string, pathLen int, life time.Duration, parent *x509.Certificate, public crypto.PublicKey, key crypto.Signer, now time.Time) (*x509.Certificate, error) {
	if !subjectText(name) {
		return nil, fail(Malformed, "the name of an authority is 1 to 64 printable characters")
	}
	template := &x509.Certificate{ // without serial number: CreateCertificate draws 159 random bits
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             now.Add(-Skew).UTC().Truncate(time.Second),
		NotAfter:              now.Add(life).UTC().Truncate(time.Second),
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLen:            pathLen,
		MaxPathLenZero:        pathLen == 0,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	if parent == nil {
		parent = template
	} else {
		template.NotBefore, template.NotAfter = later(template.NotBefore, parent.NotBefore), earlier(template.NotAfter, parent.NotAfter)
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, parent, public, key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(raw)
}

// Open checks an authority and returns it. chain begins with the certificate of key
// and goes up, each signed by the next; the last need not be self-signed, but what it
// forbids is believed, and nothing above it is known. Errors: *Error with TooLarge,
// Malformed (no certificate), NotAuthority, BadKey, KeyMismatch, BadSignature, Expired,
// BadUsage (its extended key usage leaves no clientAuth), or Constrained.
func Open(chain []*x509.Certificate, key crypto.Signer, now time.Time) (*Authority, error) {
	if len(chain) == 0 {
		return nil, fail(Malformed, "an authority needs a certificate")
	}
	if len(chain) >= MaxChain { // a leaf comes on top of it
		return nil, fail(TooLarge, "the chain of the authority is too long")
	}
	for i, c := range chain {
		if err := checkCA(c); err != nil {
			return nil, err
		}
		if now.Before(c.NotBefore) || now.After(c.NotAfter) {
			return nil, fail(Expired, "certificate "+c.Subject.String()+" is not valid now")
		}
		if (c.MaxPathLen > 0 || c.MaxPathLenZero) && c.MaxPathLen < i {
			return nil, fail(Constrained, "path length of "+c.Subject.String()+" forbids the chain below it")
		}
		if i > 0 && chain[i-1].CheckSignatureFrom(c) != nil {
			return nil, fail(BadSignature, chain[i-1].Subject.String()+" is not signed by "+c.Subject.String())
		}
	}
	held, ok := chain[0].PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !held.Equal(key.Public()) {
		return nil, fail(KeyMismatch, "the key is not that of "+chain[0].Subject.String())
	}
	a := &Authority{chain: chain, key: key}
	if err := a.permits(chain[0], x509.ExtKeyUsageClientAuth, now); err != nil {
		return nil, err
	}
	return a, nil
}

// permits asks crypto/x509 whether c, a leaf or the issuing certificate itself, is
// valid for a usage under all that stands above it.
func (a *Authority) permits(c *x509.Certificate, usage x509.ExtKeyUsage, now time.Time) error {
	roots, intermediates := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(a.Root())
	for _, c := range a.chain {
		intermediates.AddCert(c)
	}
	_, err := c.Verify(x509.VerifyOptions{Roots: roots, Intermediates: intermediates, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{usage}})
	if err != nil {
		return chainError(err)
	}
	return nil
}

// Root returns the last certificate of the chain: what verifiers trust.
func (a *Authority) Root() *x509.Certificate { return a.chain[len(a.chain)-1] }

// Chain returns the certificates of the authority, the issuing one first.
func (a *Authority) Chain() []*x509.Certificate { return slices.Clone(a.chain) }

// NotAfter returns when the first certificate of the chain ends. No leaf outlives it,
// so the issuing key is to be replaced well before.
func (a *Authority) NotAfter() time.Time {
	end := a.chain[0].NotAfter
	for _, c := range a.chain {
		end = earlier(end, c.NotAfter)
	}
	return end
}

// checkCA applies what every certificate above a leaf must satisfy.
func checkCA(c *x509.Certificate) error {
	name := c.Subject.String()
	if !c.BasicConstraintsValid || !c.IsCA {
		return fail(NotAuthority, name+" is no CA")
	}
	if c.KeyUsage&x509.KeyUsageCertSign == 0 { // RFC 5280 section 4.2.1.3: a CA MUST say so
		return fail(NotAuthority, name+" lacks keyCertSign")
	}
	if key, ok := c.PublicKey.(*rsa.PublicKey); ok && key.N.BitLen() < 2048 {
		return fail(BadKey, name+" has an RSA key of less than 2048 bits")
	}
	if len(c.UnhandledCriticalExtensions) > 0 {
		return fail(Constrained, name+" has a critical extension that is not understood")
	}
	return checkConstraints(c)
}

// checkConstraints refuses name constraints of kinds that crypto/x509 does not apply,
// such as directoryName: ignoring them would issue or believe what they forbid. If the
// extension is not critical, against RFC 5280 section 4.2.1.10, crypto/x509 ignores them.
func checkConstraints(c *x509.Certificate) error {
	for _, e := range c.Extensions {
		if !e.Id.Equal(oidNameConstraints) {
			continue
		}
		input, trees := cryptobyte.String(e.Value), cryptobyte.String(nil)
		if !input.ReadASN1(&trees, der.SEQUENCE) {
			return fail(Constrained, "name constraints are malformed")
		}
		for !trees.Empty() {
			var list, tree, base cryptobyte.String
			var tag der.Tag
			if !trees.ReadAnyASN1(&list, &tag) { // permitted [0] or excluded [1] subtrees
				return fail(Constrained, "name constraints are malformed")
			}
			for !list.Empty() {
				if !list.ReadASN1(&tree, der.SEQUENCE) || !tree.ReadAnyASN1(&base, &tag) {
					return fail(Constrained, "name constraints are malformed")
				}
				switch tag {
				case tagRFC822Name, tagDNSName, tagURI, tagIPAddress:
				default:
					return fail(Constrained, c.Subject.String()+" has name constraints of a kind that is not understood")
				}
			}
		}
	}
	return nil
}

// ParseCertificates reads CERTIFICATE blocks (RFC 7468 section 5) in their order, at
// least one and at most MaxChain. Errors: *Error with TooLarge or Malformed.
func ParseCertificates(data []byte) ([]*x509.Certificate, error) {
	if len(data) > maxPEM {
		return nil, fail(TooLarge, "PEM is too long")
	}
	var chain []*x509.Certificate
	for rest := bytes.TrimSpace(data); len(rest) > 0; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil || block.Type != "CERTIFICATE" {
			return nil, fail(Malformed, "not PEM of certificates alone")
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fail(Malformed, err.Error())
		}
		if chain = append(chain, c); len(chain) > MaxChain {
			return nil, fail(TooLarge, "too many certificates")
		}
		rest = bytes.TrimSpace(rest)
	}
	if len(chain) == 0 {
		return nil, fail(Malformed, "no certificate")
	}
	return chain, nil
}

// ParseKey reads the private key of an authority: one PEM block, not encrypted, of PKCS
// #8 (RFC 5958), SEC 1 (RFC 5915) or PKCS #1 (RFC 8017). Errors: *Error with Malformed.
func ParseKey(data []byte) (crypto.Signer, error) {
	block, rest := pem.Decode(bytes.TrimSpace(data))
	if block == nil || len(rest) != 0 {
		return nil, fail(Malformed, "not one PEM block")
	}
	var key any
	var err error
	switch block.Type {
	case "PRIVATE KEY":
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	}
	signer, ok := key.(crypto.Signer)
	if err != nil || !ok {
		return nil, fail(Malformed, "not a private key that signs") // and no word of what it holds
	}
	return signer, nil
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
