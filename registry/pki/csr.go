package pki

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/writ-registry/writ/internal/jose"
)

// MaxCSR is the longest certificate signing request that is looked at, in bytes.
const MaxCSR = 16 << 10

// CSR is a certificate signing request (PKCS #10, RFC 2986) whose own signature holds.
// Its subject and its extensions other than names are not kept: nobody asks for them.
type CSR struct {
	Key   jose.PublicKey
	names []generalName // subject alternative names asked for
	spki  any           // Key as crypto/x509 has it
}

// ParseCSR reads one request, DER or a single PEM block with nothing around it but
// white space, and verifies that the key in it signed it. Errors: *Error with TooLarge,
// Malformed, BadKey or BadSignature.
func ParseCSR(data []byte) (CSR, error) {
	if len(data) > MaxCSR {
		return CSR{}, fail(TooLarge, "certificate signing request is too long")
	}
	raw, err := requestDER(data)
	if err != nil {
		return CSR{}, err
	}
	// The key comes first: nothing is computed with one that is not wanted.
	spki, err := requestKey(raw)
	if err != nil {
		return CSR{}, err
	}
	key, err := subjectKey(spki)
	if err != nil {
		return CSR{}, err
	}
	request, err := x509.ParseCertificateRequest(raw)
	if err != nil {
		return CSR{}, fail(Malformed, "certificate signing request: "+err.Error())
	}
	if !sha2(request.SignatureAlgorithm) || request.CheckSignature() != nil {
		return CSR{}, fail(BadSignature, "certificate signing request is not signed by its own key")
	}
	names, err := altNames(request.Extensions)
	if err != nil {
		return CSR{}, err
	}
	return CSR{Key: key, names: names, spki: request.PublicKey}, nil
}

// requestDER takes the PEM armour off (RFC 7468 section 7), if there is one.
func requestDER(data []byte) ([]byte, error) {
	if len(data) > 0 && data[0] == 0x30 { // a SEQUENCE
		return data, nil
	}
	text := bytes.TrimSpace(data)
	block, rest := pem.Decode(text)
	// The decoder skips whatever stands before the block.
	if block == nil || len(rest) != 0 || !bytes.HasPrefix(text, []byte("-----BEGIN")) || len(block.Headers) != 0 {
		return nil, fail(Malformed, "neither DER nor one PEM block")
	}
	if block.Type != "CERTIFICATE REQUEST" && block.Type != "NEW CERTIFICATE REQUEST" {
		return nil, fail(Malformed, "PEM block is no CERTIFICATE REQUEST")
	}
	return block.Bytes, nil
}

// requestKey returns the subjectPublicKeyInfo of a request (RFC 2986 section 4.1).
func requestKey(raw []byte) ([]byte, error) {
	input := cryptobyte.String(raw)
	var request, info, spki cryptobyte.String
	if !input.ReadASN1(&request, der.SEQUENCE) || !input.Empty() ||
		!request.ReadASN1(&info, der.SEQUENCE) ||
		!info.SkipASN1(der.INTEGER) || // version
		!info.SkipASN1(der.SEQUENCE) || // subject
		!info.ReadASN1Element(&spki, der.SEQUENCE) {
		return nil, fail(Malformed, "not a certificate signing request")
	}
	return spki, nil
}

// Key algorithms and the one curve by object identifier (RFC 5480 section 2.1.1, RFC
// 8410 section 3). Those that are refused are there to be called by their names.
var (
	oidECPublicKey = asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1}
	oidP256        = asn1.ObjectIdentifier{1, 2, 840, 10045, 3, 1, 7}
	oidEd25519     = asn1.ObjectIdentifier{1, 3, 101, 112}

	refusedKeys = map[string]string{
		"1.2.840.113549.1.1.1":  "RSA",
		"1.2.840.113549.1.1.10": "RSA-PSS",
		"1.2.840.10040.4.1":     "DSA",
		"1.3.101.110":           "X25519",
		"1.3.101.111":           "X448",
		"1.3.101.113":           "Ed448",
		"1.3.132.0.10":          "secp256k1",
		"1.3.132.0.33":          "P-224",
		"1.3.132.0.34":          "P-384",
		"1.3.132.0.35":          "P-521",
	}
)

// subjectKey reads a subjectPublicKeyInfo (RFC 5280 section 4.1.2.7) and returns its
// key if it is one that an agent may have. Errors: *Error with Malformed or BadKey.
func subjectKey(spki []byte) (jose.PublicKey, error) {
	input := cryptobyte.String(spki)
	var info, algorithm cryptobyte.String
	var oid asn1.ObjectIdentifier
	var point []byte
	if !input.ReadASN1(&info, der.SEQUENCE) || !input.Empty() ||
		!info.ReadASN1(&algorithm, der.SEQUENCE) ||
		!algorithm.ReadASN1ObjectIdentifier(&oid) ||
		!info.ReadASN1BitStringAsBytes(&point) || !info.Empty() {
		return jose.PublicKey{}, fail(Malformed, "public key is not in its form")
	}
	var key jose.PublicKey
	var err error
	switch {
	case oid.Equal(oidEd25519) && algorithm.Empty():
		key, err = jose.NewEd25519(point)
	case oid.Equal(oidECPublicKey):
		var curve asn1.ObjectIdentifier
		if !algorithm.ReadASN1ObjectIdentifier(&curve) || !algorithm.Empty() {
			return jose.PublicKey{}, fail(BadKey, "EC key without the name of its curve")
		}
		if !curve.Equal(oidP256) {
			return jose.PublicKey{}, refused(curve)
		}
		if len(point) != 65 || point[0] != 4 {
			return jose.PublicKey{}, fail(BadKey, "EC point is not uncompressed")
		}
		key, err = jose.JWK{Kty: "EC", Crv: "P-256", X: jose.EncodeBase64(point[1:33]), Y: jose.EncodeBase64(point[33:])}.PublicKey()
	default:
		return jose.PublicKey{}, refused(oid)
	}
	if err != nil {
		return jose.PublicKey{}, fail(BadKey, err.Error())
	}
	return key, nil
}

func refused(oid asn1.ObjectIdentifier) error {
	name := refusedKeys[oid.String()]
	if name == "" {
		name = oid.String()
	}
	return fail(BadKey, "key is "+name+", not Ed25519 or P-256")
}

// sha2 reports whether a signature of an accepted kind of key is over SHA-2: with
// requests crypto/x509 would let SHA-1 pass.
func sha2(a x509.SignatureAlgorithm) bool {
	switch a {
	case x509.PureEd25519, x509.ECDSAWithSHA256, x509.ECDSAWithSHA384, x509.ECDSAWithSHA512:
		return true
	}
	return false
}
