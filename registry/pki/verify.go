package pki

import (
	"crypto/x509"
	"slices"
	"strings"
	"time"

	"github.com/writ-registry/writ/internal/jose"
	"github.com/writ-registry/writ/registry/did"
)

// maxCertificate is the longest certificate that is looked at, in bytes.
const maxCertificate = 16 << 10

// Roots are the certificates in which a chain may end. The value is immutable.
type Roots struct{ pool *x509.CertPool }

// NewRoots checks certificates and returns them as roots. They need not be
// self-signed: an enterprise may enrol one of its intermediates and no more. Errors:
// *Error with NotAuthority, BadKey or Constrained.
func NewRoots(certificates ...*x509.Certificate) (*Roots, error) {
	r := &Roots{x509.NewCertPool()}
	for _, c := range certificates {
		if err := checkCA(c); err != nil {
			return nil, err
		}
		r.pool.AddCert(c)
	}
	return r, nil
}

// Certificate is a leaf that was verified: what the CAs above it say.
type Certificate struct {
	ID            string   // the common name; in a leaf of ours the id of agent or PEP
	Organization  string   // empty unless there is exactly one
	URIs          []string // the URI SANs, as spelled
	DNSNames      []string // the DNS SANs in lower case
	SubjectSerial string   // the subject's serialNumber attribute (X.520), if any

	DIDs   []did.DID // those of URIs that are DIDs
	SPIFFE SPIFFEID  // zero unless URIs is one SPIFFE ID

	Serial string // as Serial
	Digest string // as Digest: by it the caller finds the issuance in the log
	Key    jose.PublicKey
	// NotBefore and NotAfter are the leaf's own, not those of the chain.
	NotBefore, NotAfter time.Time
	// Roots are the digests of the roots in which chains end, at least one. There are more
	// if a root of the caller's certified another; which chains are found depends on what
	// was presented, so a caller accepts only roots that may all speak for the org.
	Roots []string
}

// Verify checks what a TLS client presented, its leaf first, and reads the names in it:
// a chain of at most MaxChain certificates to one of the roots (RFC 5280 section 6.1,
// as crypto/x509 does it), valid now, for clientAuth, which the leaf must name, and
// digitalSignature. No CRL and no OCSP is asked. It does not verify that the peer holds
// the key: TLS did. Errors: *Error with TooLarge, Malformed, BadKey, BadUsage, BadName,
// Expired, Constrained, NotAuthority or Untrusted.
func Verify(presented []*x509.Certificate, roots *Roots, now time.Time) (Certificate, error) {
	if len(presented) == 0 {
		return Certificate{}, fail(Malformed, "no certificate was presented")
	}
	if len(presented) > MaxChain || slices.ContainsFunc(presented, func(c *x509.Certificate) bool { return len(c.Raw) > maxCertificate }) {
		return Certificate{}, fail(TooLarge, "the certificates are too many or too long")
	}
	leaf := presented[0]
	if err := checkLeaf(leaf); err != nil {
		return Certificate{}, err
	}
	// What the leaf says is read before it is believed, as that is cheaper than a chain.
	out, err := read(leaf)
	if err != nil {
		return Certificate{}, err
	}
	intermediates := x509.NewCertPool()
	for _, c := range presented[1:] {
		intermediates.AddCert(c)
	}
	chains, err := leaf.Verify(x509.VerifyOptions{
		Roots: roots.pool, Intermediates: intermediates, CurrentTime: now,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return Certificate{}, chainError(err)
	}
	for _, chain := range chains {
		var refusal error
		for _, c := range chain[1:] {
			if refusal = checkCA(c); refusal != nil {
				break
			}
		}
		if refusal == nil && len(chain) > MaxChain {
			refusal = fail(TooLarge, "the chain is too long")
		}
		if refusal != nil {
			err = refusal
			continue
		}
		if root := Digest(chain[len(chain)-1].Raw); !slices.Contains(out.Roots, root) {
			out.Roots = append(out.Roots, root)
		}
	}
	if len(out.Roots) == 0 {
		return Certificate{}, err
	}
	return out, nil
}

// checkLeaf refuses certificates that may not authenticate a client.
func checkLeaf(c *x509.Certificate) error {
	switch {
	case c.IsCA || c.KeyUsage&(x509.KeyUsageCertSign|x509.KeyUsageCRLSign) != 0:
		return fail(BadUsage, "the certificate is that of an authority")
	case c.KeyUsage != 0 && c.KeyUsage&x509.KeyUsageDigitalSignature == 0:
		return fail(BadUsage, "the key usage lacks digitalSignature")
	case !slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageClientAuth):
		return fail(BadUsage, "the extended key usage does not name clientAuth")
	}
	return nil
}

// read takes the names out of a leaf.
func read(c *x509.Certificate) (Certificate, error) {
	key, err := subjectKey(c.RawSubjectPublicKeyInfo)
	if err != nil {
		return Certificate{}, err
	}
	out := Certificate{
		ID: c.Subject.CommonName, SubjectSerial: c.Subject.SerialNumber,
		Serial: Serial(c), Digest: Digest(c.Raw), Key: key,
		NotBefore: c.NotBefore, NotAfter: c.NotAfter,
	}
	if len(c.Subject.Organization) == 1 {
		out.Organization = c.Subject.Organization[0]
	}
	names, err := altNames(c.Extensions)
	if err != nil {
		return Certificate{}, err
	}
	for _, name := range names {
		switch name.tag {
		case tagURI:
			out.URIs = append(out.URIs, name.value)
		case tagDNSName:
			out.DNSNames = append(out.DNSNames, strings.ToLower(name.value))
		}
	}
	return out, out.readURIs()
}

// readURIs sorts the URI SANs by what they name. A text that begins like a DID or a
// SPIFFE ID, in any case, must be one: what is close to a name is an attack.
func (c *Certificate) readURIs() error {
	for _, uri := range c.URIs {
		scheme, _, _ := strings.Cut(uri, ":")
		switch strings.ToLower(scheme) {
		case "did":
			d, err := did.Parse(uri)
			if err != nil {
				return fail(BadName, err.Error())
			}
			c.DIDs = append(c.DIDs, d)
		case "spiffe":
			id, err := ParseSPIFFEID(uri)
			if err != nil || len(c.URIs) != 1 { // X509-SVID section 5.2
				return fail(BadName, "a SPIFFE ID is not valid or not the only URI of its certificate")
			}
			c.SPIFFE = id
		}
	}
	return nil
}

// Identity is what an enterprise's own certificate binds a key to. Value is unique
// under the enterprise's roots only, so it is kept together with them.
type Identity struct {
	Kind  string // uri | dns | serial
	Value string
}

// Identity returns the name to enrol the holder under: the URI SAN if there is one, else
// the DNS SAN, else the subject's serialNumber. Common names are free text and do not
// count. Errors: *Error with BadName if there is none, two of the kind, or a wildcard.
func (c Certificate) Identity() (Identity, error) {
	id := Identity{}
	switch {
	case len(c.URIs) == 1:
		id = Identity{"uri", c.URIs[0]}
	case len(c.URIs) == 0 && len(c.DNSNames) == 1:
		id = Identity{"dns", c.DNSNames[0]}
	case len(c.URIs) == 0 && len(c.DNSNames) == 0:
		id = Identity{"serial", c.SubjectSerial}
	default:
		return Identity{}, fail(BadName, "the certificate names several identities")
	}
	if id.Value == "" || id.Kind == "dns" && strings.Contains(id.Value, "*") {
		return Identity{}, fail(BadName, "the certificate names no identity")
	}
	return id, nil
}
