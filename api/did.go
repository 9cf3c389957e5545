package api

import (
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/writ-registry/writ/registry/did"
)

// didCaching lets resolvers keep a document for a while; a kill never waits
// for one.
const didCaching = "public, max-age=300"

// registryDID is the document of the registry's own did:web: the keys that sign
// grant tokens and status lists, and that of permits.
func (s *server) registryDID(c *gin.Context) {
	publish(c)
	send(c, http.StatusOK, "application/did+json", s.registryDocument())
}

func (s *server) registryDocument() did.Document {
	r := s.Registry
	token, status := r.TokenKeyID(), r.StatusKeyID()
	doc := did.Document{
		Context: did.Strings{did.ContextDID, did.ContextMultikey}, ID: r.DID,
		VerificationMethod: []did.VerificationMethod{
			{ID: token, Type: "Multikey", Controller: r.DID, PublicKeyMultibase: r.TokenKey.Public().Multikey()},
			{ID: status, Type: "Multikey", Controller: r.DID, PublicKeyMultibase: r.StatusKey.Public().Multikey()},
		},
		AssertionMethod: []string{token, status},
	}
	if r.PermitKey != nil {
		// Not among those that others pin: a permit is for who asked this registry.
		permit := r.PermitKeyID()
		doc.VerificationMethod = append(doc.VerificationMethod, did.VerificationMethod{ID: permit, Type: "Multikey", Controller: r.DID, PublicKeyMultibase: r.PermitKey.Public().Multikey()})
		doc.CapabilityInvocation = []string{permit}
	}
	return doc
}

// publish lets the answer be kept, and read by the pages of any origin (did:web
// section 2.5.2 asks that much of hosts).
func publish(c *gin.Context) {
	c.Header("Cache-Control", didCaching)
	c.Header("Access-Control-Allow-Origin", "*")
}

// agentDIDLog is the did:webvh log of an agent, which anyone may resolve.
func (s *server) agentDIDLog(c *gin.Context) {
	entries, err := s.Registry.DIDLog(c.Request.Context(), c.Param("id"))
	if err != nil {
		s.fail(c, err)
		return
	}
	publish(c)
	c.Data(http.StatusOK, "text/jsonl; charset=utf-8", []byte(strings.Join(entries, "\n")+"\n"))
}

// agentDID is the parallel did:web document: the newest state of the log,
// renamed. A did:web ends by its document's going away (did:web section 3.4).
func (s *server) agentDID(c *gin.Context) {
	document, err := s.Registry.WebDocument(c.Request.Context(), c.Param("id"))
	if err != nil {
		s.fail(c, err)
		return
	}
	publish(c)
	send(c, http.StatusOK, "application/did+json", document)
}
