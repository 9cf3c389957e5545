package api

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/writ-registry/writ/internal/httpsig"
	"github.com/writ-registry/writ/internal/jose"
	"github.com/writ-registry/writ/internal/trace"
	"github.com/writ-registry/writ/registry"
)

// agentRoutes are what an agent may call by its own signature: to know itself, to
// have children, and to see to its keys and DID log. The use cases say of which agents.
var agentRoutes = []string{
	"GET /v1/whoami", "GET /v1/agents", "GET /v1/agents/:agent", "GET /v1/agents/:agent/keys",
	"GET /v1/grants", "GET /v1/grants/:id", "GET /v1/events", "GET /v1/decisions/:id", "POST /v1/decisions/:id/replay",
	"POST /v1/agents", "POST /v1/agents/:agent/keys", "POST /v1/agents/:agent/keys/:key/retire", "POST /v1/agents/:agent/keys/:key/compromise",
	"POST /v1/agents/:agent/did",
	"POST " + RequestsPath, "GET " + RequestsPath + "/:id", "POST " + RequestsPath + "/:id/cancel",
}

func agentMay(method, route string) bool { return slices.Contains(agentRoutes, method+" "+route) }

// identifyAgent finds which agent signed the request. Nothing is looked up for a
// signature outside its window, nothing is read for a key that does not count, and
// nothing is verified for an address that has failed too often.
func (s *server) identifyAgent(c *gin.Context) (err error) {
	if !agentMay(c.Request.Method, c.FullPath()) {
		return registry.Errorf(registry.Denied, "an agent may not call this")
	}
	if err := s.withinBudget(c); err != nil {
		return err
	}
	sig, err := httpsig.ParseRequest(c.Request, s.Registry.Origin, s.Now())
	if err != nil {
		return badSignature(err)
	}
	ctx, span := trace.Start(c.Request.Context(), "authenticate")
	defer func() { span.End(err) }()
	r := requestOf(ctx)
	r.caller, r.signed, err = s.Registry.AuthenticateAgent(ctx, registry.SignedCall{
		KeyID: sig.KeyID, Nonce: sig.Nonce, Created: time.Unix(sig.Created, 0), Expires: time.Unix(sig.Expires, 0),
		Verify: func(key jose.PublicKey) error {
			body, err := io.ReadAll(c.Request.Body)
			var tooLong *http.MaxBytesError
			if errors.As(err, &tooLong) {
				return errTooLong
			} else if err != nil {
				return &registry.Error{Kind: registry.Malformed, Detail: "the body did not arrive whole", Err: err}
			}
			c.Request.Body = io.NopCloser(bytes.NewReader(body))
			return badSignature(sig.Verify(key, body))
		},
	})
	if err != nil {
		return err
	}
	span.Attr("writ.caller", r.caller.ID)
	span.Attr("writ.org", r.caller.Org)
	return s.withinQuota(c, r.caller)
}

// badSignature gives an error of package httpsig the code of its kind.
func badSignature(err error) error {
	var e *httpsig.Error
	if !errors.As(err, &e) {
		return err
	}
	return &registry.Error{Kind: registry.Unauthenticated, Code: string(e.Code), Detail: e.Detail, Err: err}
}

// registryDirectory lists the registry's own keys, signed by each
// (draft-meunier-webbotauth-httpsig-protocol).
func (s *server) registryDirectory(c *gin.Context) {
	signers := []jose.Signer{s.Registry.TokenKey, s.Registry.StatusKey}
	if s.Registry.CallbackKey != nil {
		signers = append(signers, s.Registry.CallbackKey)
	}
	var keys []jose.PublicKey
	for _, k := range signers {
		keys = append(keys, k.Public())
	}
	s.sendDirectory(c, keys, signers...)
}

// agentDirectory lists the keys that count as an agent's. It is not signed, for the
// registry does not have them: who wants proof asks the agent for it.
func (s *server) agentDirectory(c *gin.Context) {
	keys, err := s.Registry.KeysOf(c.Request.Context(), c.Param("id"))
	if err != nil {
		s.fail(c, err)
		return
	}
	s.sendDirectory(c, keys)
}

func (s *server) sendDirectory(c *gin.Context, keys []jose.PublicKey, signers ...jose.Signer) {
	now := s.Now()
	body, header, err := httpsig.Directory(s.Registry.Origin, keys, signers, now, now.Add(time.Hour))
	if err != nil {
		s.fail(c, err)
		return
	}
	for name, values := range header {
		c.Writer.Header()[name] = values
	}
	c.Header("Cache-Control", didCaching)
	c.Data(http.StatusOK, httpsig.DirectoryType, body)
}
