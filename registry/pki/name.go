package pki

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/writ-registry/writ/registry/did"
)

// Extensions and attributes by object identifier.
var (
	oidSubjectAltName  = asn1.ObjectIdentifier{2, 5, 29, 17} // RFC 5280 section 4.2.1.6
	oidNameConstraints = asn1.ObjectIdentifier{2, 5, 29, 30} // RFC 5280 section 4.2.1.10
	oidNoRevAvail      = asn1.ObjectIdentifier{2, 5, 29, 56} // RFC 9608 section 2
)

// Tags of GeneralName (RFC 5280 section 4.2.1.6), all context-specific.
var (
	tagRFC822Name = der.Tag(1).ContextSpecific()
	tagDNSName    = der.Tag(2).ContextSpecific()
	tagURI        = der.Tag(6).ContextSpecific()
	tagIPAddress  = der.Tag(7).ContextSpecific()
)

// generalName is one name of a subjectAltName extension, byte for byte. crypto/x509
// would re-spell a URI and pass over kinds that it does not know.
type generalName struct {
	tag   der.Tag
	value string
}

// altNames returns every subject alternative name in the extensions, of any kind.
func altNames(extensions []pkix.Extension) ([]generalName, error) {
	var names []generalName
	for _, e := range extensions {
		if !e.Id.Equal(oidSubjectAltName) {
			continue
		}
		input, list := cryptobyte.String(e.Value), cryptobyte.String(nil)
		if !input.ReadASN1(&list, der.SEQUENCE) || !input.Empty() {
			return nil, fail(Malformed, "subjectAltName is no list of names")
		}
		for !list.Empty() {
			var value cryptobyte.String
			var tag der.Tag
			if !list.ReadAnyASN1(&value, &tag) {
				return nil, fail(Malformed, "subjectAltName is no list of names")
			}
			names = append(names, generalName{tag, string(value)})
		}
	}
	return names, nil
}

// altNameExtension returns the subjectAltName extension of URIs. It is not critical,
// as every leaf has a subject (RFC 5280 section 4.2.1.6).
func altNameExtension(uris []string) (pkix.Extension, error) {
	var b cryptobyte.Builder
	b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
		for _, uri := range uris {
			b.AddASN1(tagURI, func(b *cryptobyte.Builder) { b.AddBytes([]byte(uri)) })
		}
	})
	value, err := b.Bytes()
	return pkix.Extension{Id: oidSubjectAltName, Value: value}, err
}

// Profile says what one leaf shall name. Agent, EnforcementPoint and SVID make it.
type Profile struct {
	kind string
	id   string   // the subject's common name
	org  string   // the subject's organization
	uris []string // every name of the leaf
	err  error    // of the constructor, reported by Issue
	// Lifetime is how long the leaf shall live from now on: DefaultLifetime if zero, never
	// more than MaxLifetime nor longer than the authority itself.
	Lifetime time.Duration
}

// Names returns the URI SANs that the leaf will hold, and all that a request may ask for.
func (p Profile) Names() []string { return slices.Clone(p.uris) }

// Agent describes the certificate of an agent: its id is the common name, the name of
// its org the organization, and its DIDs, one of each web method, the URI SANs.
func Agent(org, id string, webvh, web did.DID) Profile {
	p := newProfile("agent", org, id, webvh.String(), web.String())
	if webvh.Method() != did.MethodWebVH || web.Method() != did.MethodWeb {
		p.err = fail(Malformed, "an agent is named by a did:webvh and a did:web")
	}
	return p
}

// EnforcementPoint describes the certificate of a PEP by its UUID, which stands in it
// as common name and as URN (RFC 9562 section 4).
func EnforcementPoint(org, id string) Profile {
	p := newProfile("pep", org, id, "urn:uuid:"+id)
	if !isUUID(id) {
		p.err = fail(Malformed, "the id of an enforcement point is a UUID in lower case")
	}
	return p
}

// SVID describes an X.509-SVID (SPIFFE X509-SVID section 2). Its only URI SAN is the
// SPIFFE ID; the agent's id is the common name, so that the registry knows whose it is.
func SVID(org, id string, spiffe SPIFFEID) Profile {
	p := newProfile("svid", org, id, spiffe.String())
	if spiffe == (SPIFFEID{}) {
		p.err = fail(Malformed, "an SVID needs a SPIFFE ID")
	}
	return p
}

func newProfile(kind, org, id string, uris ...string) Profile {
	p := Profile{kind: kind, org: org, id: id, uris: uris}
	if !subjectText(org) || !subjectText(id) {
		p.err = fail(Malformed, "common name and organization are 1 to 64 printable characters")
	}
	return p
}

// subjectText keeps the upper bounds of RFC 5280 appendix A.1 (ub-common-name and
// ub-organization-name, both 64 characters).
func subjectText(s string) bool {
	n := utf8.RuneCountInString(s)
	return n >= 1 && n <= 64 && utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

func isUUID(s string) bool {
	for i := range len(s) {
		dash := i == 8 || i == 13 || i == 18 || i == 23
		hex := '0' <= s[i] && s[i] <= '9' || 'a' <= s[i] && s[i] <= 'f'
		if dash != (s[i] == '-') || !dash && !hex {
			return false
		}
	}
	return len(s) == 36
}

// SPIFFEID is a checked SPIFFE ID with a path. It is comparable; the zero value is none.
type SPIFFEID struct{ text string }

// maxSPIFFEID and maxTrustDomain are the limits of SPIFFE-ID section 2.3, in bytes.
const (
	maxSPIFFEID    = 2048
	maxTrustDomain = 255
)

// NewSPIFFEID returns spiffe://trust-domain/org/ORG/agent/AGENT. Errors: *Error with
// Malformed if the result is no SPIFFE ID.
func NewSPIFFEID(trustDomain, org, agent string) (SPIFFEID, error) {
	if strings.Contains(trustDomain+org+agent, "/") {
		return SPIFFEID{}, fail(Malformed, "slash in a part of a SPIFFE ID")
	}
	return ParseSPIFFEID("spiffe://" + trustDomain + "/org/" + org + "/agent/" + agent)
}

// ParseSPIFFEID reads the ID of a workload (SPIFFE-ID section 2): a trust domain of
// lower-case letters, digits, dots, dashes and underscores, and a path, which may not
// be missing, end in a slash or climb. Errors: *Error with Malformed.
func ParseSPIFFEID(s string) (SPIFFEID, error) {
	rest, ok := strings.CutPrefix(s, "spiffe://")
	domain, path, hasPath := strings.Cut(rest, "/")
	if !ok || len(s) > maxSPIFFEID || !hasPath || domain == "" || len(domain) > maxTrustDomain {
		return SPIFFEID{}, fail(Malformed, "a SPIFFE ID is spiffe://trust-domain/path")
	}
	if strings.ContainsFunc(domain, func(r rune) bool { return !spiffeRune(r) || unicode.IsUpper(r) }) {
		return SPIFFEID{}, fail(Malformed, "character not allowed in a SPIFFE trust domain")
	}
	for segment := range strings.SplitSeq(path, "/") {
		if segment == "" || segment == "." || segment == ".." || strings.ContainsFunc(segment, func(r rune) bool { return !spiffeRune(r) }) {
			return SPIFFEID{}, fail(Malformed, "segment not allowed in a SPIFFE path")
		}
	}
	return SPIFFEID{s}, nil
}

func spiffeRune(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune(".-_", r)
}

// String returns the ID as it was read.
func (s SPIFFEID) String() string { return s.text }

// TrustDomain returns the trust domain.
func (s SPIFFEID) TrustDomain() string {
	domain, _, _ := strings.Cut(strings.TrimPrefix(s.text, "spiffe://"), "/")
	return domain
}
