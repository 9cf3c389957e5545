package did

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"

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
	Service              []Service            `json:"service,omitempty"`
}

// VerificationMethod is a key of a document (DID Core 1.0 section 5.2).
type VerificationMethod struct {
	ID                 string `json:"id"`
	Type               string `json:"type"` // Multikey
	Controller         string `json:"controller"`
	PublicKeyMultibase string `json:"publicKeyMultibase"`
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
// Multikey controlled by the document's own subject, and whether there is one.
func (d Document) Key(id string) (jose.PublicKey, bool) {
	for _, m := range d.VerificationMethod {
		if m.ID == id && m.Type == "Multikey" && m.Controller == d.ID {
			k, err := jose.ParseMultikey(m.PublicKeyMultibase)
			return k, err == nil
		}
	}
	return jose.PublicKey{}, false
}

// newDocument describes id, which may hold the placeholder of the SCID. Service ids
// that begin with "#" are made absolute.
func newDocument(id string, p GenesisParams) Document {
	doc := Document{
		Context:     Strings{ContextDID, ContextMultikey},
		ID:          id,
		AlsoKnownAs: slices.Clone(p.AlsoKnownAs),
		Controller:  slices.Clone(p.Controllers),
	}
	for _, key := range p.Keys {
		multikey := key.Multikey()
		method := VerificationMethod{ID: id + "#" + multikey, Type: "Multikey", Controller: id, PublicKeyMultibase: multikey}
		doc.VerificationMethod = append(doc.VerificationMethod, method)
		doc.Authentication = append(doc.Authentication, method.ID)
		doc.AssertionMethod = append(doc.AssertionMethod, method.ID)
		doc.CapabilityInvocation = append(doc.CapabilityInvocation, method.ID)
	}
	services := slices.Clone(p.Services)
	if p.Custodian != "" {
		services = append(services, Service{ID: "#custody", Type: CustodyService, ServiceEndpoint: p.Custodian})
	}
	for _, s := range services {
		if strings.HasPrefix(s.ID, "#") {
			s.ID = id + s.ID
		}
		doc.Service = append(doc.Service, s)
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
