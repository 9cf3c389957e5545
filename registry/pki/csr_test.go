package pki

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/pem"
	"errors"
	mathrand "math/rand/v2"
	"net"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"
)

// requestWith returns a request around a public key that need not be a good one, with
// a signature that does not hold.
func requestWith(algorithm []asn1.ObjectIdentifier, point []byte) []byte {
	var b cryptobyte.Builder
	b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1Int64(0)
			b.AddASN1(der.SEQUENCE, func(*cryptobyte.Builder) {})
			b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
					for _, oid := range algorithm {
						b.AddASN1ObjectIdentifier(oid)
					}
				})
				b.AddASN1BitString(point)
			})
			b.AddASN1(der.Tag(0).ContextSpecific().Constructed(), func(*cryptobyte.Builder) {})
		})
		b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(oidEd25519) })
		b.AddASN1BitString(make([]byte, 64))
	})
	return b.BytesOrPanic()
}

func pemRequest(raw []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: raw})
}

// TestSubjectKey is the Ed25519 key of RFC 8410 section 10.1.
func TestSubjectKey(t *testing.T) {
	spki := must(base64.StdEncoding.DecodeString("MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE="))
	key, err := subjectKey(spki)
	if err != nil {
		t.Fatal(err)
	}
	if got := key.JWK().X; got != "Gb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE" {
		t.Errorf("x = %s", got)
	}
}

func TestParseCSRRefused(t *testing.T) {
	good := csrFor(newEd25519(), x509.CertificateRequest{})
	forged := bytes.Clone(good)
	forged[len(forged)-1] ^= 1
	p256 := newP256()
	point := must(p256.PublicKey.Bytes())
	off := bytes.Clone(point)
	off[64] ^= 1
	smallOrder := make([]byte, 32)
	smallOrder[0] = 1 // the identity
	notCanonical := bytes.Repeat([]byte{0xff}, 32)
	oid := func(oids ...asn1.ObjectIdentifier) []asn1.ObjectIdentifier { return oids }
	on := func(curve elliptic.Curve) crypto.Signer { return must(ecdsa.GenerateKey(curve, rand.Reader)) }
	for _, tt := range []struct {
		name   string
		data   []byte
		code   Code
		detail string // part of it
	}{
		{"nothing", nil, Malformed, "neither DER nor"},
		{"text", []byte("hello"), Malformed, "neither DER nor"},
		{"too long", make([]byte, MaxCSR+1), TooLarge, ""},
		{"cut short", good[:len(good)-1], Malformed, ""},
		{"more after it", append(bytes.Clone(good), 0), Malformed, ""},
		{"PEM with another label", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: good}), Malformed, "no CERTIFICATE REQUEST"},
		{"PEM twice", append(pemRequest(good), pemRequest(good)...), Malformed, "one PEM block"},
		{"text before the PEM", append([]byte("x\n"), pemRequest(good)...), Malformed, "one PEM block"},
		{"PEM with headers", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Headers: map[string]string{"a": "b"}, Bytes: good}), Malformed, "one PEM block"},
		{"a certificate", ownAuthority().Root().Raw, Malformed, ""},
		{"signature broken", forged, BadSignature, ""},
		{"SHA-1", csrFor(p256, x509.CertificateRequest{SignatureAlgorithm: x509.ECDSAWithSHA1}), BadSignature, ""},
		{"RSA", csrFor(must(rsa.GenerateKey(rand.Reader, 2048)), x509.CertificateRequest{}), BadKey, "key is RSA"},
		{"P-224", csrFor(on(elliptic.P224()), x509.CertificateRequest{}), BadKey, "key is P-224"},
		{"P-384", csrFor(on(elliptic.P384()), x509.CertificateRequest{}), BadKey, "key is P-384"},
		{"P-521", csrFor(on(elliptic.P521()), x509.CertificateRequest{}), BadKey, "key is P-521"},
		{"secp256k1", requestWith(oid(oidECPublicKey, asn1.ObjectIdentifier{1, 3, 132, 0, 10}), point), BadKey, "key is secp256k1"},
		{"Ed448", requestWith(oid(asn1.ObjectIdentifier{1, 3, 101, 113}), make([]byte, 57)), BadKey, "key is Ed448"},
		{"X25519", requestWith(oid(asn1.ObjectIdentifier{1, 3, 101, 110}), make([]byte, 32)), BadKey, "key is X25519"},
		{"unheard of", requestWith(oid(asn1.ObjectIdentifier{1, 2, 3}), make([]byte, 32)), BadKey, "key is 1.2.3"},
		{"small order", requestWith(oid(oidEd25519), smallOrder), BadKey, "small order"},
		{"not canonical", requestWith(oid(oidEd25519), notCanonical), BadKey, ""},
		{"Ed25519 too short", requestWith(oid(oidEd25519), make([]byte, 31)), BadKey, ""},
		{"Ed25519 with parameters", requestWith(oid(oidEd25519, oidP256), make([]byte, 32)), BadKey, ""},
		{"P-256 off the curve", requestWith(oid(oidECPublicKey, oidP256), off), BadKey, "not on P-256"},
		{"P-256 compressed", requestWith(oid(oidECPublicKey, oidP256), elliptic.MarshalCompressed(elliptic.P256(), p256.X, p256.Y)), BadKey, "uncompressed"},
		{"EC without curve", requestWith(oid(oidECPublicKey), point), BadKey, "name of its curve"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := ParseCSR(tt.data)
			wantCode(t, err, tt.code)
			if err != nil && !strings.Contains(err.Error(), tt.detail) {
				t.Errorf("got %v, want it to say %q", err, tt.detail)
			}
		})
	}
	for name, data := range map[string][]byte{
		"DER": good, "PEM": pemRequest(good), "PEM between white space": append([]byte("\n "), append(pemRequest(good), "\n\n"...)...),
		"old label": pem.EncodeToMemory(&pem.Block{Type: "NEW CERTIFICATE REQUEST", Bytes: good}),
	} {
		if _, err := ParseCSR(data); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// rawAltName is a request extension of one name of any kind.
func rawAltName(tag uint8, value string) []pkix.Extension {
	list := must(asn1.Marshal([]asn1.RawValue{{Class: asn1.ClassContextSpecific, Tag: int(tag), IsCompound: tag == 0 || tag == 4, Bytes: []byte(value)}}))
	return []pkix.Extension{{Id: oidSubjectAltName, Value: list}}
}

func TestForeignNames(t *testing.T) {
	a := ownAuthority()
	p := agentProfile()
	webvh, web := agentDIDs(agentID)
	otherVH, otherWeb := agentDIDs(pepID)
	uri := func(texts ...string) x509.CertificateRequest {
		var r x509.CertificateRequest
		for _, text := range texts {
			r.URIs = append(r.URIs, must(url.Parse(text)))
		}
		return r
	}
	for name, request := range map[string]x509.CertificateRequest{
		"did:web of another":             uri(otherWeb.String()),
		"did:webvh of another":           uri(otherVH.String()),
		"its own and that of another":    uri(webvh.String(), otherWeb.String()),
		"DID URL":                        uri(web.String() + "#key"),
		"another spelling":               uri(strings.ReplaceAll(web.String(), "%3A", "%3a")),
		"a SPIFFE ID nobody gave":        uri("spiffe://example.com/org/acme/agent/" + agentID),
		"DNS":                            {DNSNames: []string{"example.com"}},
		"email":                          {EmailAddresses: []string{"a@example.com"}},
		"IP address":                     {IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}},
		"otherName":                      {ExtraExtensions: rawAltName(0, "\x06\x03\x2a\x03\x04\xa0\x03\x0c\x01a")},
		"directoryName":                  {ExtraExtensions: rawAltName(4, "\x30\x00")},
		"registeredID":                   {ExtraExtensions: rawAltName(8, "\x2a\x03")},
		"its own DID as a name of a DNS": {ExtraExtensions: rawAltName(2, web.String())},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := a.Issue(csrFor(newP256(), request), p, now)
			wantCode(t, err, ForeignName)
		})
	}
	if _, err := a.Issue(csrFor(newP256(), uri(webvh.String(), web.String())), p, now); err != nil {
		t.Errorf("its own DIDs are refused: %v", err)
	}
	if _, err := a.Issue(csrFor(newP256(), uri(web.String())), svidProfile("example.com"), now); !errors.Is(err, ForeignName) {
		t.Errorf("an SVID holds no DID, so none may be asked for: %v", err)
	}
}

// TestLeafNamesOnlyTheProfile: whatever the request asks, the leaf names only the names
// of the profile and can do only what leaves can.
func TestLeafNamesOnlyTheProfile(t *testing.T) {
	a := ownAuthority()
	key := newEd25519()
	random := mathrand.New(mathrand.NewPCG(1, 2)) // the same requests each time
	webvh, web := agentDIDs(agentID)
	_, otherWeb := agentDIDs(pepID)
	pool := []string{webvh.String(), web.String(), otherWeb.String(), "urn:uuid:" + pepID, "https://example.com/"}
	caTrue := must(asn1.Marshal(struct{ CA bool }{true}))
	wanted := []pkix.Extension{
		{Id: asn1.ObjectIdentifier{2, 5, 29, 19}, Critical: true, Value: caTrue},                   // basicConstraints
		{Id: asn1.ObjectIdentifier{2, 5, 29, 15}, Critical: true, Value: []byte{3, 2, 1, 6}},       // keyCertSign, cRLSign
		{Id: asn1.ObjectIdentifier{2, 5, 29, 37}, Value: []byte{0x30, 6, 6, 4, 0x55, 0x1d, 37, 0}}, // anyExtendedKeyUsage
		{Id: asn1.ObjectIdentifier{1, 2, 3, 4}, Critical: true, Value: []byte{5, 0}},
	}
	issuedOnce, refusedOnce := false, false
	for range 200 {
		request := x509.CertificateRequest{Subject: pkix.Name{CommonName: pool[random.IntN(len(pool))], Organization: []string{"evil"}}}
		for _, name := range pool {
			if random.IntN(4) == 0 {
				request.URIs = append(request.URIs, must(url.Parse(name)))
			}
		}
		for _, e := range wanted {
			if random.IntN(2) == 0 {
				request.ExtraExtensions = append(request.ExtraExtensions, e)
			}
		}
		foreign := slices.ContainsFunc(request.URIs, func(u *url.URL) bool { return u.String() != webvh.String() && u.String() != web.String() })
		issued, err := a.Issue(csrFor(key, request), agentProfile(), now)
		if foreign {
			wantCode(t, err, ForeignName)
			refusedOnce = true
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		issuedOnce = true
		leaf := must(x509.ParseCertificate(issued.DER))
		names := must(altNames(leaf.Extensions))
		if diff := cmp.Diff([]generalName{{tagURI, webvh.String()}, {tagURI, web.String()}}, names, cmp.AllowUnexported(generalName{})); diff != "" {
			t.Fatalf("names (-want +got):\n%s", diff)
		}
		if leaf.IsCA || leaf.KeyUsage != x509.KeyUsageDigitalSignature || len(leaf.Extensions) != 7 || len(leaf.UnhandledCriticalExtensions) != 0 ||
			leaf.Subject.CommonName != agentID || !slices.Equal(leaf.Subject.Organization, []string{"acme"}) {
			t.Fatalf("the request changed the leaf: %s, %d extensions", leaf.Subject, len(leaf.Extensions))
		}
	}
	if !issuedOnce || !refusedOnce {
		t.Errorf("issued %v, refused %v: the requests try only one of them", issuedOnce, refusedOnce)
	}
}

// FuzzParseCSR: what is accepted has a key that may sign and a signature that holds, and
// an authority issues for it or refuses a name.
func FuzzParseCSR(f *testing.F) {
	good := csrFor(newEd25519(), x509.CertificateRequest{DNSNames: []string{"example.com"}})
	f.Add(good)
	f.Add(pemRequest(good))
	f.Add(csrFor(newP256(), x509.CertificateRequest{}))
	f.Add(requestWith([]asn1.ObjectIdentifier{oidEd25519}, make([]byte, 32)))
	f.Add(ownAuthority().Root().Raw)
	a, p := ownAuthority(), agentProfile()
	f.Fuzz(func(t *testing.T, data []byte) {
		request, err := ParseCSR(data)
		if err != nil {
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("untyped error %v", err)
			}
			return
		}
		if !request.Key.Valid() {
			t.Fatal("accepted without a key")
		}
		if _, err := a.Issue(data, p, now); err != nil && !errors.Is(err, ForeignName) {
			t.Fatal(err)
		}
	})
}
