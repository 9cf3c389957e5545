package did

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/writ-registry/writ/internal/canon"
	"github.com/writ-registry/writ/internal/jose"
)

// The JSON-LD contexts of a Document.
const (
	ContextDID      = "https://www.w3.org/ns/did/v1"
	ContextMultikey = "https://w3id.org/security/multikey/v1"
)

// Document is a DID document (DID Core 1.0 section 5) as Writ publishes it: keys
// are Multikeys, referred to by DID URL, never embedded.
type Document struct {
	Context              Strings              `json:"@context"`
	ID                   string               `json:"id"`
	AlsoKnownAs          []string             `json:"alsoKnownAs,omitempty"`
	Controller           Strings              `json:"controller,omitempty"`
	VerificationMethod   []VerificationMethod `json:"verificationMethod,omitempty"`
	Authentication       []string             `json:"authentication,omitempty"`
	AssertionMethod      []string             `json:"assertionMethod,omitempty"`
	CapabilityInvocation []string             `json:"capabilityInvocation,omitempty"`
	CapabilityDelegation []string             `json:"capabilityDelegation,omitempty"`
	Service              []Service            `json:"service,omitempty"`
}

// VerificationMethod is a key of a document (DID Core 1.0 section 5.2, Controlled
// Identifiers 1.0 section 2.2).
type VerificationMethod struct {
	ID                 string `json:"id"`
	Type               string `json:"type"` // Multikey
	Controller         string `json:"controller"`
	PublicKeyMultibase string `json:"publicKeyMultibase"`
	Expires            string `json:"expires,omitempty"` // dateTimeStamp; no proof verifies from then on
	Revoked            string `json:"revoked,omitempty"` // the same, where the key was given up
}

// Service is a service of a document (DID Core 1.0 section 5.4).
type Service struct {
	Context         string `json:"@context,omitempty"`
	ID              string `json:"id"`
	Type            string `json:"type"`
	ServiceEndpoint string `json:"serviceEndpoint"` // a URI
}

// Strings is a set of strings that DID Core also lets stand as one string.
type Strings []string

// UnmarshalJSON reads a string or an array of strings.
func (s *Strings) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '"' {
		*s = Strings{""}
		return canon.Unmarshal(data, &(*s)[0])
	}
	return canon.Unmarshal(data, (*[]string)(s))
}

// CustodyService is the type of the service that names who holds a DID's update
// keys when that is not the subject or its organization.
const CustodyService = "UpdateKeyCustody"

// ParseDocument reads a DID document. Members beyond Document are ignored (DID Core
// 1.0 section 6.1), so its result says less than a foreign document; embedded
// verification methods are refused. Errors: *canon.SyntaxError, or an error if the
// id is no DID.
func ParseDocument(data []byte) (Document, error) {
	var doc Document
	if err := canon.UnmarshalOpen(data, &doc); err != nil {
		return Document{}, err
	}
	_, err := Parse(doc.ID)
	return doc, err
}

// Canonical returns the RFC 8785 form of d.
func (d Document) Canonical() ([]byte, error) { return canon.Marshal(d) }

// Key returns the key of the verification method with this DID URL, if it is a
// Multikey controlled by the document's own subject, and whether there is one. It
// looks at no time: KeyAt does.
func (d Document) Key(id string) (jose.PublicKey, bool) {
	k, _, ok := d.method(id)
	return k, ok
}

// KeyAt is Key for a signature made at a time. A key that had expired or was revoked
// by then, or whose limits cannot be read, is none.
func (d Document) KeyAt(id string, at time.Time) (jose.PublicKey, bool) {
	k, m, ok := d.method(id)
	if !ok || !stands(at, m.Expires, m.Revoked) {
		return jose.PublicKey{}, false
	}
	return k, true
}

func (d Document) method(id string) (jose.PublicKey, VerificationMethod, bool) {
	for _, m := range d.VerificationMethod {
		if m.ID == id && m.Type == "Multikey" && m.Controller == d.ID {
			k, err := jose.ParseMultikey(m.PublicKeyMultibase)
			return k, m, err == nil
		}
	}
	return jose.PublicKey{}, VerificationMethod{}, false
}

// KeyDocument returns the document of a did:key (W3C CCG did:key section 3.1) of an
// Ed25519 or P-256 key: the key by itself, for everything that a signature is for. No
// X25519 key is derived from it. It errs for other methods.
func KeyDocument(d DID) (Document, error) {
	key, err := d.PublicKey()
	if err != nil {
		return Document{}, err
	}
	doc := Document{Context: Strings{ContextDID, ContextMultikey}, ID: d.String()}
	id := doc.add(key, "")
	doc.CapabilityDelegation = []string{id}
	return doc, nil
}

// subject is what a document says of its subject.
type subject struct {
	keys        []jose.PublicKey
	overlap     []OverlapKey
	alsoKnownAs []string
	controllers []string
	services    []Service
	custodian   string
}

// add lists a key in the relationships of an agent's keys, and returns its DID URL.
func (d *Document) add(key jose.PublicKey, expires string) string {
	multikey := key.Multikey()
	method := VerificationMethod{ID: d.ID + "#" + multikey, Type: "Multikey", Controller: d.ID, PublicKeyMultibase: multikey, Expires: expires}
	d.VerificationMethod = append(d.VerificationMethod, method)
	d.Authentication = append(d.Authentication, method.ID)
	d.AssertionMethod = append(d.AssertionMethod, method.ID)
	d.CapabilityInvocation = append(d.CapabilityInvocation, method.ID)
	return method.ID
}

// newDocument describes id, which may hold the placeholder of the SCID. Service ids
// that begin with "#" are made absolute.
func newDocument(id string, s subject) Document {
	doc := Document{
		Context:     Strings{ContextDID, ContextMultikey},
		ID:          id,
		AlsoKnownAs: slices.Clone(s.alsoKnownAs),
		Controller:  slices.Clone(s.controllers),
	}
	for _, key := range s.keys {
		doc.add(key, "")
	}
	for _, old := range s.overlap {
		doc.add(old.Key, stamp(old.Until))
	}
	services := slices.Clone(s.services)
	if s.custodian != "" {
		services = append(services, Service{ID: "#custody", Type: CustodyService, ServiceEndpoint: s.custodian})
	}
	for _, service := range services {
		if strings.HasPrefix(service.ID, "#") {
			service.ID = id + service.ID
		}
		doc.Service = append(doc.Service, service)
	}
	return doc
}

// ParallelWeb returns the did:web document to publish beside a did:webvh document
// (did:webvh v1.0, "Publishing a Parallel did:web DID"): the implicit services made
// explicit, every reference renamed, and each DID known as the other. It errs if
// doc is not of a did:webvh.
func ParallelWeb(doc Document) (Document, error) {
	id, err := Parse(doc.ID)
	if err != nil {
		return Document{}, err
	}
	web, err := id.ParallelWeb()
	if err != nil {
		return Document{}, err
	}
	doc.Service = slices.Concat(doc.Service, implicitServices(id, doc.Service))
	data, err := json.Marshal(doc)
	if err != nil {
		return Document{}, err
	}
	renamed := strings.ReplaceAll(string(data), "did:webvh:"+id.SCID()+":", "did:web:")
	var out Document
	if err := canon.Unmarshal([]byte(renamed), &out); err != nil {
		return Document{}, err
	}
	if out.ID != web.String() {
		return Document{}, errors.New("did: renaming did not reach the id")
	}
	var known []string
	for _, other := range append(out.AlsoKnownAs, id.String()) {
		if other != out.ID && !slices.Contains(known, other) {
			known = append(known, other)
		}
	}
	out.AlsoKnownAs = known
	return out, nil
}

// implicitServices returns #files and #whois unless present (did:webvh v1.0, "DID
// URL Resolution").
func implicitServices(id DID, present []Service) []Service {
	var out []Service
	for _, s := range []Service{
		{ID: "#files", Type: "relativeRef", ServiceEndpoint: id.base()},
		{
			ID: "#whois", Type: "LinkedVerifiablePresentation", ServiceEndpoint: id.base() + "whois.vp",
			Context: "https://identity.foundation/linked-vp/contexts/v1",
		},
	} {
		absolute := id.String() + s.ID
		if !slices.ContainsFunc(present, func(p Service) bool { return p.ID == s.ID || p.ID == absolute }) {
			s.ID = absolute
			out = append(out, s)
		}
	}
	return out
}
