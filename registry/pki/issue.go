package pki

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"encoding/pem"
	"slices"
	"time"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/writ-registry/writ/internal/jose"
)

const (
	// DefaultLifetime is the life of a leaf whose profile does not say.
	DefaultLifetime = 8 * time.Hour
	// MaxLifetime is the longest life of a leaf.
	MaxLifetime = 24 * time.Hour
)

// Issued is a leaf and what its event in the log says of it.
type Issued struct {
	DER    []byte   // the leaf
	Chain  [][]byte // what to send after it: the authority without a self-signed root
	Serial string   // as Serial
	Digest string   // as Digest
	Key    jose.PublicKey
	Names  []string // every subject alternative name, all URIs
	// NotBefore and NotAfter are whole seconds, both included (RFC 5280 section 4.1.2.5).
	NotBefore, NotAfter time.Time
}

// PEM returns leaf and chain as a server or client expects them in one file.
func (i Issued) PEM() []byte {
	var out []byte
	for _, raw := range append([][]byte{i.DER}, i.Chain...) {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw})...)
	}
	return out
}

// Digest returns base64url of the SHA-256 of a certificate, as x5t#S256 does (RFC 7515
// section 4.1.8): the name of a certificate in the log.
func Digest(c []byte) string {
	sum := sha256.Sum256(c)
	return jose.EncodeBase64(sum[:])
}

// Serial returns a serial number in lower-case hexadecimal, two digits a byte.
func Serial(c *x509.Certificate) string { return hex.EncodeToString(c.SerialNumber.Bytes()) }

// Issue signs a leaf for the key of a request with the names of a profile, valid from
// Skew before now. Nothing else of the request goes into it. The caller logs the
// issuance before it hands the leaf out: one that is not in the log counts for nothing.
// Errors: those of ParseCSR, *Error with ForeignName, Malformed (the profile), Expired
// (the authority), Constrained or BadUsage (the chain above forbids it); or the signer's.
func (a *Authority) Issue(csr []byte, p Profile, now time.Time) (Issued, error) {
	request, err := ParseCSR(csr)
	if err != nil {
		return Issued{}, err
	}
	for _, name := range request.names {
		if name.tag != tagURI || !slices.Contains(p.uris, name.value) {
			return Issued{}, fail(ForeignName, "the request asks for a name that is not its subject's")
		}
	}
	template, err := a.template(request, p, now)
	if err != nil {
		return Issued{}, err
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, a.chain[0], request.spki, a.key)
	if err != nil {
		return Issued{}, err
	}
	leaf, err := x509.ParseCertificate(raw)
	if err != nil {
		return Issued{}, err
	}
	// Only a whole certificate can be held against all constraints above it. One that
	// they forbid ends here: nobody has seen it.
	for _, usage := range leaf.ExtKeyUsage {
		if err := a.permits(leaf, usage, now); err != nil {
			return Issued{}, err
		}
	}
	return Issued{
		DER:       raw,
		Chain:     a.above(),
		Serial:    Serial(leaf),
		Digest:    Digest(raw),
		Key:       request.Key,
		Names:     p.Names(),
		NotBefore: leaf.NotBefore,
		NotAfter:  leaf.NotAfter,
	}, nil
}

// template describes the leaf. It has no serial number: CreateCertificate draws one of
// 159 random bits (RFC 5280 section 4.1.2.2).
func (a *Authority) template(request CSR, p Profile, now time.Time) (*x509.Certificate, error) {
	if p.err != nil {
		return nil, p.err
	}
	if p.kind == "" || p.Lifetime < 0 {
		return nil, fail(Malformed, "the profile describes no certificate")
	}
	life := p.Lifetime
	if life == 0 {
		life = DefaultLifetime
	}
	notBefore := now.Add(-Skew).UTC().Truncate(time.Second)
	for _, c := range a.chain {
		notBefore = later(notBefore, c.NotBefore)
	}
	notAfter := earlier(now.Add(min(life, MaxLifetime)), a.NotAfter()).UTC().Truncate(time.Second)
	if now.Before(notBefore) || !now.Before(notAfter) {
		return nil, fail(Expired, "the authority is not valid now")
	}
	usages := []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	if p.kind == "svid" { // X509-SVID section 4.4: both or none
		usages = append(usages, x509.ExtKeyUsageServerAuth)
	}
	names, err := altNameExtension(p.uris)
	if err != nil {
		return nil, fail(Malformed, err.Error())
	}
	id, err := keyID(request.spki)
	if err != nil {
		return nil, err
	}
	return &x509.Certificate{
		Subject:               pkix.Name{CommonName: p.id, Organization: []string{p.org}},
		NotBefore:             notBefore,
		NotAfter:              notAfter,
		BasicConstraintsValid: true, // and IsCA false
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           usages,
		SubjectKeyId:          id,
		ExtraExtensions: []pkix.Extension{
			names,
			{Id: oidNoRevAvail, Value: asn1.NullBytes}, // RFC 9608 section 2: never critical
		},
	}, nil
}

// keyID returns the leftmost 160 bits of the SHA-256 of the key (RFC 7093 section 2,
// method 1), for the subject key identifier.
func keyID(public any) ([]byte, error) {
	spki, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return nil, err
	}
	var info cryptobyte.String
	var point []byte
	input := cryptobyte.String(spki)
	if !input.ReadASN1(&info, der.SEQUENCE) || !info.SkipASN1(der.SEQUENCE) || !info.ReadASN1BitStringAsBytes(&point) {
		return nil, fail(Malformed, "public key is not in its form")
	}
	sum := sha256.Sum256(point)
	return sum[:20], nil
}

// above returns the chain without a self-signed root (RFC 8446 section 4.4.2).
func (a *Authority) above() [][]byte {
	var out [][]byte
	for _, c := range a.chain {
		if !bytes.Equal(c.RawSubject, c.RawIssuer) {
			out = append(out, c.Raw)
		}
	}
	return out
}
