//go:build conformance

package api

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"

	"github.com/gin-gonic/gin"

	"github.com/writ-registry/writ/anchor/tlog"
	"github.com/writ-registry/writ/registry"
)

// conformance is what only the conformance build can do: take raw entries, so
// that load generators and checkers of other authors can drive the log.
type conformance struct {
	// Append makes bytes an entry of Log as they are and returns its index once
	// it is durable. Required.
	Append func(ctx context.Context, entry []byte) (index uint64, err error)
}

func (conformance) routes(s *server, e *gin.Engine) { e.POST("/log/add", s.addEntry) }

// addEntry takes the body as an entry and answers its index in decimal. When
// the queue is full it is 503 with Retry-After, as for every write.
func (s *server) addEntry(c *gin.Context) {
	entry, err := io.ReadAll(http.MaxBytesReader(c.Writer, c.Request.Body, tlog.MaxEntry))
	var tooLong *http.MaxBytesError
	switch {
	case errors.As(err, &tooLong):
		s.fail(c, registry.Errorf(registry.TooLarge, "an entry has at most %d bytes", tlog.MaxEntry))
		return
	case err != nil:
		s.fail(c, &registry.Error{Kind: registry.Malformed, Detail: "the body did not arrive whole", Err: err})
		return
	}
	index, err := s.Append(c.Request.Context(), entry)
	if err != nil {
		s.fail(c, err)
		return
	}
	c.Data(http.StatusOK, "text/plain; charset=utf-8", strconv.AppendUint(nil, index, 10))
}
