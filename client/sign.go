package client

import (
	"net/http"
	"strings"

	"github.com/writ-registry/writ/internal/route"
)

// RequestSigner proves requests for an agent, to a resource server that a Guard or a
// proxy guards. It is safe for concurrent use.
type RequestSigner struct {
	Agent   *AgentFile
	MaxBody int64 // bytes; 0 = DefaultMaxBody
	router  *route.Router
}

// NewRequestSigner makes a RequestSigner for the requests of a table.
func NewRequestSigner(agent *AgentFile, routes Routes) (*RequestSigner, error) {
	router, err := routes.Compile()
	if err != nil {
		return nil, err
	}
	return &RequestSigner{Agent: agent, router: router}, nil
}

// Sign adds what proves the request: HeaderToken, HeaderProof and, where the body is
// part of the act by its digest, Content-Digest (RFC 9530). It reads the body, and leaves
// the bytes in its place. A proof is good for one request, within 30 seconds.
func (s *RequestSigner) Sign(r *http.Request) error {
	most := s.MaxBody
	if most == 0 {
		most = DefaultMaxBody
	}
	body, err := readBody(r, most)
	if err != nil {
		return err
	}
	target := r.URL.EscapedPath()
	if r.URL.RawQuery != "" {
		target += "?" + r.URL.RawQuery
	}
	act, err := s.router.Act(route.Request{
		Method: r.Method, Target: target, Body: body, Seen: true,
		Media: r.Header.Get("Content-Type"), Coding: r.Header.Get("Content-Encoding"), Task: r.Header.Get(HeaderTask),
	})
	if err != nil {
		return err
	}
	if len(body) > 0 || r.Method != http.MethodGet && r.Method != http.MethodHead {
		r.Header.Set("Content-Digest", route.FormatDigest(body))
	}
	req, err := s.Agent.Request(act, s.router.Audience())
	if err != nil {
		return err
	}
	r.Header.Set(HeaderToken, strings.Join(req.Context.Token, "~"))
	r.Header.Set(HeaderProof, req.Context.Proof)
	return nil
}

// CheckDigest refuses requests whose body is not that of their Content-Digest. A proxy
// that asks about requests without their bodies proves no more than the digest: what is
// behind it needs this, or the like.
func CheckDigest(next http.Handler, maxBody int64) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := readBody(r, maxBody)
		claimed := r.Header.Values("Content-Digest")
		if err != nil || len(claimed) != 1 || claimed[0] != route.FormatDigest(body) {
			http.Error(w, "the body is not that of Content-Digest", http.StatusBadRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}
