package api

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/writ-registry/writ/internal/jose"
	"github.com/writ-registry/writ/registry"
	"github.com/writ-registry/writ/registry/statuslist"
)

// statusList serves a Token Status List (draft-ietf-oauth-status-list, section 8).
func (s *server) statusList(c *gin.Context) {
	n, err := listNumber(c)
	var t registry.StatusToken
	if err == nil {
		t, err = s.Registry.StatusList(c.Request.Context(), n)
	}
	s.sendStatus(c, statuslist.MediaType, t, err)
}

// statusCredential serves the same list as a W3C Bitstring Status List credential.
func (s *server) statusCredential(c *gin.Context) {
	n, err := listNumber(c)
	purpose := "revocation"
	if err == nil && c.Request.URL.RawQuery != "" {
		query, failed := queryOf(c.Request)
		if purpose, err = query.Get("purpose"), failed; err == nil && (len(query) != 1 || len(query["purpose"]) != 1) {
			err = registry.Invalid("/purpose", "is the only parameter, once")
		}
	}
	var t registry.StatusToken
	if err == nil {
		t, err = s.Registry.StatusCredential(c.Request.Context(), n, purpose)
	}
	s.sendStatus(c, "application/vc+jwt", t, err)
}

func listNumber(c *gin.Context) (int, error) {
	n, err := strconv.Atoi(c.Param("n"))
	if err != nil || n < 1 || strconv.Itoa(n) != c.Param("n") {
		return 0, registry.Errorf(registry.NotFound, "no such status list")
	}
	return n, nil
}

// sendStatus lets caches keep a list for what is left of its ttl.
func (s *server) sendStatus(c *gin.Context, mediaType string, t registry.StatusToken, err error) {
	if err != nil {
		s.fail(c, err)
		return
	}
	sum := sha256.Sum256([]byte(t.Token))
	tag := `"` + jose.EncodeBase64(sum[:16]) + `"`
	left := max(0, registry.StatusTTL-s.Now().Sub(t.Issued))
	c.Header("Cache-Control", fmt.Sprintf("public, max-age=%d", min(left, registry.StatusTTL)/time.Second))
	c.Header("ETag", tag)
	c.Header("Access-Control-Allow-Origin", "*") // for readers in browsers, as the draft asks
	if matches(c.GetHeader("If-None-Match"), tag) {
		c.Status(http.StatusNotModified)
		return
	}
	c.Data(http.StatusOK, mediaType, []byte(t.Token))
}

// matches reports whether If-None-Match names the tag (RFC 9110, section 13.1.2).
func matches(field, tag string) bool {
	for one := range strings.SplitSeq(field, ",") {
		one = strings.TrimSpace(one)
		if one == "*" || strings.TrimPrefix(one, "W/") == tag {
			return true
		}
	}
	return false
}
