package api

import (
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/writ-registry/writ/api/problem"
	"github.com/writ-registry/writ/registry"
)

// Health is the answer of /healthz and of /readyz where all is well.
type Health struct {
	Status string   `json:"status" enum:"ok"`
	Checks []string `json:"checks,omitempty" doc:"What was looked at"`
}

// healthz says that the process answers.
func (s *server) healthz(c *gin.Context) {
	send(c, http.StatusOK, "application/json", Health{Status: "ok"})
}

// readyz says that requests can be served, or names what does not work. The
// reasons go to the log.
func (s *server) readyz(c *gin.Context) {
	ctx := c.Request.Context()
	out := Health{Status: "ok"}
	var failed []string
	var items []problem.Item
	if s.Ready != nil {
		for _, check := range s.Ready(ctx) {
			out.Checks = append(out.Checks, check.Name)
			if check.Err != nil {
				failed = append(failed, check.Name)
				items = append(items, problem.Item{Detail: check.Name})
				s.logger(ctx).WarnContext(ctx, "not ready", "check", check.Name, "err", check.Err)
			}
		}
	}
	if len(failed) > 0 {
		p := problem.Of(registry.Unavailable, "not ready: "+strings.Join(failed, ", "))
		p.Code, p.Errors = "not_ready", items
		s.write(c, p)
		return
	}
	send(c, http.StatusOK, "application/json", out)
}
