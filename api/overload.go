package api

import (
	"math"
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/writ-registry/writ/api/problem"
	"github.com/writ-registry/writ/registry"
)

// Defaults of what one caller may ask and how much is in hand at once. They are
// above what two cores answer: they bound memory and one caller's share, and an
// honest enforcement point does not meet them.
const (
	DefaultCallerBurst = 20_000
	DefaultCallerRate  = 10_000.0
	DefaultMaxInFlight = 4096
)

// maxStops is how many requests to stop something are in hand at once.
const maxStops = 256

var errOverloaded = registry.Errorf(registry.Unavailable, "too many requests are in hand; try again shortly")

// stop reports a request that ends or suspends authority. Nothing of other
// kinds stands in its way: it has slots of its own and no quota, and its command
// passes the queue of writes.
func stop(c *gin.Context) bool {
	if c.Request.Method != http.MethodPost {
		return false
	}
	switch c.FullPath() {
	case "/v1/kill", "/v1/agents/:agent/revoke", "/v1/agents/:agent/suspend", "/v1/agents/offboard", "/v1/grants/:id/revoke",
		"/v1/principals/:principal/suspend", "/v1/principals/:principal/end":
		return true
	}
	return false
}

// probe reports what machines ask every few seconds: whether all is well.
func probe(c *gin.Context) bool {
	path := c.FullPath()
	return path == "/healthz" || path == "/readyz" || path == "/metrics"
}

// admit bounds the requests in hand, whoever sends them. Probes and metrics are
// answered always: an operator looks at them just then.
func (s *server) admit(c *gin.Context) {
	slots := s.slots
	switch {
	case probe(c):
		return
	case stop(c):
		slots = s.urgent
	}
	select {
	case slots <- struct{}{}:
	default:
		s.fail(c, errOverloaded)
		return
	}
	defer func() { <-slots }()
	c.Next()
}

// withinQuota charges a request to its caller.
func (s *server) withinQuota(c *gin.Context, caller registry.Caller) error {
	if stop(c) {
		return nil
	}
	wait := s.quota.take(string(caller.Kind)+":"+caller.ID, s.Now())
	if wait <= 0 {
		return nil
	}
	p := problem.Of(problem.RateLimited, "too many requests of this caller")
	p.Code, p.RetryAfter = "caller", int(math.Ceil(wait.Seconds()))
	return p
}
