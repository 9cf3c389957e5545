package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/writ-registry/writ/registry/did"
)

// didCaching lets resolvers keep a document for a while; a kill never waits
// for one.
const didCaching = "public, max-age=300"

// registryDID is the document of the registry's own did:web: the keys that sign
// grant tokens and status lists.
func (s *server) registryDID(c *gin.Context) {
	r := s.Registry
	token, status := r.TokenKeyID(), r.StatusKeyID()
	c.Header("Cache-Control", didCaching)
	send(c, http.StatusOK, "application/did+json", did.Document{
		Context: did.Strings{did.ContextDID, did.ContextMultikey}, ID: r.DID,
		VerificationMethod: []did.VerificationMethod{
			{ID: token, Type: "Multikey", Controller: r.DID, PublicKeyMultibase: r.TokenKey.Public().Multikey()},
			{ID: status, Type: "Multikey", Controller: r.DID, PublicKeyMultibase: r.StatusKey.Public().Multikey()},
		},
		AssertionMethod: []string{token, status},
	})
}

// agentDIDLog is the did:webvh log of an agent, which anyone may resolve.
func (s *server) agentDIDLog(c *gin.Context) {
	entries, err := s.Registry.DIDLog(c.Request.Context(), c.Param("id"))
	if err != nil {
		s.fail(c, err)
		return
	}
	c.Header("Cache-Control", didCaching)
	c.Data(http.StatusOK, "text/jsonl; charset=utf-8", []byte(strings.Join(entries, "\n")+"\n"))
}

// agentDID is the parallel did:web document: the newest state of the log,
// renamed.
func (s *server) agentDID(c *gin.Context) {
	entries, err := s.Registry.DIDLog(c.Request.Context(), c.Param("id"))
	var doc did.Document
	if err == nil {
		doc, err = newestDocument(entries)
	}
	if err != nil {
		s.fail(c, err)
		return
	}
	c.Header("Cache-Control", didCaching)
	send(c, http.StatusOK, "application/did+json", doc)
}

func newestDocument(entries []string) (did.Document, error) {
	var entry struct {
		State json.RawMessage `json:"state"`
	}
	if err := json.Unmarshal([]byte(entries[len(entries)-1]), &entry); err != nil {
		return did.Document{}, fmt.Errorf("read DID log entry: %w", err)
	}
	doc, err := did.ParseDocument(entry.State)
	if err != nil {
		return did.Document{}, fmt.Errorf("read DID document: %w", err)
	}
	return did.ParallelWeb(doc)
}
