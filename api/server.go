// Package api is the registry's REST door: authenticate the caller, read the
// body strictly, make one call of a use case, answer. It decides nothing.
//
// New is the route table. /v1 is described by Go types (huma), which validate
// requests and generate api/openapi.yaml; the AuthZEN endpoint, /v1/verify and
// what is public are plain gin, for speed and because formats are others'.
//
// The order of work for a request is: size, credential, body, use case. The
// body of a caller that is not authenticated is not read; the exceptions are an
// agent that asks for itself, whose credential is in the body, and one that signed
// the request under a key that counts, whose signature covers the body.
package api

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gin-gonic/gin"
	"github.com/maypok86/otter/v2"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/writ-registry/writ/anchor"
	"github.com/writ-registry/writ/anchor/tlog"
	"github.com/writ-registry/writ/internal/httpsig"
	"github.com/writ-registry/writ/internal/resolve"
	"github.com/writ-registry/writ/internal/trace"
	"github.com/writ-registry/writ/registry"
	"github.com/writ-registry/writ/registry/policy"
)

// Config wires the handler. Registry, PDP, Log and LogKey are required.
type Config struct {
	Registry *registry.Registry
	PDP      *policy.PDP

	Log         Log
	LogKey      string      // note verifier key of the checkpoint key (C2SP signed-note)
	Checkpoints Checkpoints // nil: nothing is signed
	Receipts    Receipts    // nil: no receipts are made

	Resolver Resolver // of other organizations' DIDs; nil: own ones and did:key only

	// Anchors lists attempts to anchor heads of Log, newest first, whose id is
	// below before (0 = from the newest). nil: nothing is anchored.
	Anchors  func(ctx context.Context, before int64, limit int) ([]anchor.AttemptRecord, error)
	Anchored anchor.AnchorSource // the newest anchored heads, for pages and metrics; may be nil
	Ledgers  []anchor.Info       // those that Anchors names, beside those that Anchored knows

	// SignIn signs people in to the pages by their org's issuer; nil: by a credential
	// only.
	SignIn SignIn

	// Ready is asked by /readyz; every check without error means ready.
	Ready   func(ctx context.Context) []Check
	Metrics *Metrics      // nil: one of its own
	Tracer  *trace.Tracer // nil: no spans
	Logger  *slog.Logger  // nil: slog.Default()
	Now     func() time.Time

	// FailureBurst and FailureRate bound failed authentications of one network
	// address: that many at once, and that many a second after. 0 = 100 and 5.
	FailureBurst int
	FailureRate  float64

	// CallerBurst and CallerRate bound the requests of one principal or
	// enforcement point: that many at once, and that many a second after.
	// 0 = 20,000 and 10,000. Stops are not counted.
	CallerBurst int
	CallerRate  float64

	// MaxInFlight is how many requests are in hand at once; more answer 503.
	// Stops and the operations endpoints have room of their own. 0 = 4,096.
	MaxInFlight int

	conformance // more in the conformance build
}

// Log is the registry's view of its Merkle log. *sqlstore.Log is one.
//
// Head returns the committed head. Safe for concurrent use.
type Log interface {
	tlog.Reader
	Origin() string
	Head(ctx context.Context) (size uint64, root [32]byte, err error)
}

// Checkpoints gives the newest published checkpoint; false before the first.
// *anchor.Checkpointer is one.
type Checkpoints interface {
	Latest() (anchor.SignedCheckpoint, bool)
}

// Receipts makes the strongest receipt there is for an event. It is asked only
// for callers who may read the event. *anchor.Prover is one.
type Receipts interface {
	Receipt(ctx context.Context, cid string) (anchor.Receipt, error)
}

// Resolver resolves the DIDs of other organizations. *resolve.Resolver is one.
type Resolver interface {
	Resolve(ctx context.Context, did string, opts resolve.Options) (resolve.Result, error)
}

// Check is one thing that must work before requests are served.
type Check struct {
	Name string
	Err  error // shown to the operator's log only
}

type server struct {
	Config
	budget *budget // failures by network address
	quota  *budget // requests by caller
	slots  chan struct{}
	urgent chan struct{} // slots of stops
	huma   huma.API
	spec   spec

	renderings *otter.Cache[rendering, rendered]
}

// New returns the handler.
func New(c Config) (http.Handler, error) {
	s, engine, err := build(c)
	if err != nil {
		return nil, err
	}
	return engine, s.describe()
}

func build(c Config) (*server, *gin.Engine, error) {
	if c.Registry == nil || c.PDP == nil || c.Log == nil || c.LogKey == "" {
		return nil, nil, errors.New("api: Config needs Registry, PDP, Log and LogKey")
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Metrics == nil {
		c.Metrics = NewMetrics()
	}
	s := &server{
		Config: c,
		budget: newBudget(cmp.Or(max(c.FailureBurst, 0), DefaultFailureBurst), cmp.Or(max(c.FailureRate, 0), DefaultFailureRate)),
		quota:  newBudget(cmp.Or(max(c.CallerBurst, 0), DefaultCallerBurst), cmp.Or(max(c.CallerRate, 0), DefaultCallerRate)),
		slots:  make(chan struct{}, cmp.Or(max(c.MaxInFlight, 0), DefaultMaxInFlight)),
		urgent: make(chan struct{}, maxStops),

		renderings: newRenderings(),
	}
	if err := c.Metrics.watch(s); err != nil {
		return nil, nil, err
	}
	return s, s.routes(), nil
}

// routes is the route table.
func (s *server) routes() *gin.Engine {
	gin.SetMode(gin.ReleaseMode)
	e := gin.New()
	e.UseEscapedPath, e.UnescapePathValues = true, false // a DID in a path carries %3A: unescape once, in params
	e.RedirectTrailingSlash, e.HandleMethodNotAllowed = false, true
	if err := e.SetTrustedProxies(nil); err != nil {
		panic(err) // nil is always accepted
	}
	e.Use(s.begin, s.observe, s.recover, s.admit, s.params)
	e.NoRoute(s.noRoute)
	e.NoMethod(s.noMethod)

	// The registry's own API: who calls first, then what.
	s.huma = newHuma(e, e.Group("/", s.limit, s.authenticated, s.strictBody, s.idempotent))
	s.routeOrgs()
	s.routePrincipals()
	s.routePEPs()
	s.routeCredentials()
	s.routeIssuers()
	s.routeAgents()
	s.routeKeys()
	s.routeCustody()
	s.routeInventory()
	s.routeComposition()
	s.routeGrants()
	s.routeKill()
	s.routeEvents()
	s.routeDecisions()
	s.routeSimulation()
	s.routeObservations()
	s.routeAnchors()
	s.routeDomains()
	s.routeTrust()
	s.routeCertificates()
	s.routeIAM()
	s.routeApprovals()
	s.routePolicies()
	s.routeEntities()
	s.routePermits()
	s.routePEPRoutes()
	e.POST("/v1/enrolments", s.brief, s.stranger, s.strictBody, s.enrol)
	e.POST("/v1/agents/:agent/recover", s.brief, s.stranger, s.strictBody, s.recoverKey)
	e.POST("/v1/verify", s.limit, s.authenticated, s.strictBody, s.verify)

	// OpenID AuthZEN Authorization API 1.0.
	e.POST("/access/v1/evaluation", s.limit, s.asker, s.openBody, s.evaluate)
	e.POST("/access/v1/evaluations", s.limit, s.asker, s.openBody, s.evaluateAll)
	e.GET("/.well-known/authzen-configuration", s.authzenMetadata)
	e.POST(requestsPath, s.limit, s.authenticated, s.openBody, s.idempotent, s.requestAccess)
	e.GET(requestsPath+"/:id", s.limit, s.authenticated, s.accessStatus)
	e.POST(requestsPath+"/:id/cancel", s.limit, s.authenticated, s.cancelAccess)
	e.GET(jwksPath, s.verificationKeys)
	s.routeForwardAuth(e)

	// Public: the log, DIDs, the description of all this.
	e.GET("/v1/log", s.logState)
	e.GET("/log/checkpoint", s.checkpoint)
	e.GET("/log/tile/*path", s.tile)
	s.conformance.routes(s, e)
	e.GET("/.well-known/did.json", s.registryDID)
	e.GET("/.well-known/writ-trust", s.trustList)
	e.GET("/agents/:id/did.json", s.agentDID)
	e.GET("/agents/:id/did.jsonl", s.agentDIDLog)
	e.GET("/agents/:id/http-message-signatures-directory", s.agentDirectory)
	e.GET(httpsig.DirectoryPath, s.registryDirectory)
	e.GET("/status/:n", s.statusList)
	e.GET("/status/:n/bitstring", s.statusCredential)
	e.GET("/ca/root.pem", s.caRoot)
	e.GET("/ca/chain.pem", s.caChain)
	e.GET("/1.0/identifiers/:did", s.limit, s.anyone, s.resolveDID)
	e.OPTIONS("/1.0/identifiers/:did", s.preflight)
	e.GET("/openapi.yaml", s.serveYAML)
	e.GET("/openapi.json", s.serveJSON)

	// Operations.
	e.GET("/healthz", s.healthz)
	e.GET("/readyz", s.readyz)
	e.GET("/metrics", gin.WrapH(promhttp.HandlerFor(s.Metrics.Registry, promhttp.HandlerOpts{})))

	// Pages for people.
	e.GET("/", s.pageFront)
	e.GET("/ui/style.css", s.pageStyle)
	s.routeSignIn(e)
	s.routeApprovalPages(e)
	ui := e.Group("/ui", s.visitor, s.entitledVisitor)
	ui.GET("/", s.pageOverview)
	ui.GET("/agents/:id", s.pageAgent)
	ui.GET("/events/:cid", s.pageEvent)
	ui.GET("/events/:cid/receipt", s.pageReceipt)
	return e
}
