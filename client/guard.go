package client

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/writ-registry/writ/internal/jose"
	"github.com/writ-registry/writ/internal/route"
	"github.com/writ-registry/writ/registry/capability"
)

// Header fields by which an agent proves a request.
const (
	HeaderToken = "Writ-Token" // agent-cap+jwt, or a chain of them, root first, joined by ~
	HeaderProof = "Writ-Proof" // agent-action+jwt over the act that the request is
	HeaderTask  = "Writ-Task"  // the task it belongs to; optional
)

// DefaultMaxBody bounds the bodies that are read to know which act a request is.
const DefaultMaxBody = 1 << 20

// GuardConfig is what a Guard needs. Client and Routes are required.
type GuardConfig struct {
	Client *Client // with the credential of the enforcement point that guards Routes.Audience
	Origin string  // of the registry, as its permits name it; "" = Client.URL
	Routes Routes
	// Redeemed remembers used permits; nil: in memory. Several processes that guard one
	// resource server need one that they share.
	Redeemed Redemptions
	// Key signs what became of acts that are evidence; nil: nothing is reported. The
	// registry must know it (Client.SetPEPKey).
	Key *AgentKey
	// Outcome says what became of an act by the status that its handler answered; nil:
	// 400 and more is "failed", all else "executed".
	Outcome func(status int) string
	MaxBody int64        // bytes; 0 = DefaultMaxBody
	Logger  *slog.Logger // nil: slog.Default()

	now func() time.Time // replaced in tests
}

// Guard lets requests reach a handler that their agents have proven and the registry
// has permitted, each once. Whatever fails, and whatever is not known, stops the
// request.
//
// For each request it reads the body, once; finds by Routes which act the request is;
// asks the registry, with what the agent sent in HeaderToken and HeaderProof; verifies
// the permit against that act; redeems it; and calls the handler with the very bytes
// that were part of the act. What the agent proves it with is taken out of the request.
//
// It is safe for concurrent use.
type Guard struct {
	GuardConfig
	router  *route.Router
	reports sync.WaitGroup

	mu    sync.Mutex
	keys  map[string]jose.PublicKey // guarded by mu; by kid
	asked time.Time                 // guarded by mu
}

// NewGuard makes a Guard.
func NewGuard(c GuardConfig) (*Guard, error) {
	if c.Client == nil {
		return nil, errors.New("a guard needs a client")
	}
	router, err := c.Routes.Compile()
	if err != nil {
		return nil, err
	}
	if c.Redeemed == nil {
		c.Redeemed = &MemoryRedemptions{}
	}
	if c.Outcome == nil {
		c.Outcome = outcomeOf
	}
	if c.now == nil {
		c.now = time.Now
	}
	c.Origin, c.MaxBody, c.Logger = cmp.Or(c.Origin, c.Client.URL()), cmp.Or(c.MaxBody, DefaultMaxBody), cmp.Or(c.Logger, slog.Default())
	return &Guard{GuardConfig: c, router: router}, nil
}

func outcomeOf(status int) string {
	if status >= 400 {
		return capability.Failed
	}
	return capability.Executed
}

// Handler guards next.
func (g *Guard) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		admitted, reportable, err := g.admit(r)
		if err != nil {
			g.refuse(w, err)
			return
		}
		r = r.WithContext(context.WithValue(r.Context(), admittedKey{}, admitted))
		if !reportable || g.Key == nil {
			next.ServeHTTP(w, r)
			return
		}
		seen := &witness{ResponseWriter: w, sum: sha256.New()}
		defer func() { // a handler that panics may have done anything
			status := cmp.Or(seen.status, http.StatusOK)
			v := recover()
			if v != nil {
				status = http.StatusInternalServerError
			}
			g.report(context.WithoutCancel(r.Context()), admitted.Decision, status, base64.RawURLEncoding.EncodeToString(seen.sum.Sum(nil)))
			if v != nil {
				panic(v)
			}
		}()
		next.ServeHTTP(seen, r)
	})
}

// Admitted is what a Guard knows of a request that it let pass.
type Admitted struct {
	Agent    string // its DID
	Decision string // id of the decision, and of its permit
	Act      capability.Act
}

type admittedKey struct{}

// AdmittedBy says whose request a guarded handler has; false where no Guard let it pass.
func AdmittedBy(ctx context.Context) (Admitted, bool) {
	a, ok := ctx.Value(admittedKey{}).(Admitted)
	return a, ok
}

// Wait returns when the outcomes underway are reported, or given up.
func (g *Guard) Wait() { g.reports.Wait() }

// refusal is why a request does not pass.
type refusal struct {
	status int
	code   string
	detail string
	cause  error // for the log
}

func (e *refusal) Error() string { return e.code + ": " + e.detail }
func (e *refusal) Unwrap() error { return e.cause }

func refuse(status int, code, detail string) *refusal {
	return &refusal{status: status, code: code, detail: detail}
}

// admit lets the request pass, or says why not. After it the request's body is the one
// that was decided about.
func (g *Guard) admit(r *http.Request) (a Admitted, reportable bool, err error) {
	act, token, proof, err := g.read(r)
	if err != nil {
		return a, false, err
	}
	action, err := capability.ParseAction(proof)
	if err != nil {
		return a, false, refuse(http.StatusUnauthorized, "malformed", err.Error())
	}
	chain, err := capability.ParseChain(strings.Split(token, "~"))
	if err != nil {
		return a, false, refuse(http.StatusUnauthorized, "malformed", err.Error())
	}
	subject := action.Claims().Issuer
	d, err := g.Client.Evaluate(r.Context(), EvaluationRequest{
		Subject: Subject{Type: "agent", ID: subject}, Action: Action{Name: act.Action, Properties: act.Arguments}, Resource: act.Resource,
		Context: Context{Token: strings.Split(token, "~"), Proof: proof, Task: act.Task, Permit: true},
	})
	if err != nil {
		return a, false, &refusal{http.StatusServiceUnavailable, "undecided", "the registry could not be asked", err}
	}
	if !d.Permitted() {
		return a, false, denied(d)
	}
	p, err := g.verify(r.Context(), d, act, subject, chain.Leaf().Key().Thumbprint())
	if err != nil {
		return a, false, err
	}
	if err := g.redeem(r.Context(), d.Context.Permit, p); err != nil {
		return a, false, err
	}
	return Admitted{subject, p.ID, act}, d.Context.Qualified, nil
}

// read reads the request whole and finds its act. What the agent proves is taken out
// of the request: it is of no use behind the guard.
func (g *Guard) read(r *http.Request) (act capability.Act, token, proof string, err error) {
	for _, name := range route.Overriding {
		if len(r.Header.Values(name)) > 0 {
			return act, "", "", refuse(http.StatusForbidden, "ambiguous_request", name+" makes some servers read another request")
		}
	}
	values := map[string]string{}
	for _, name := range []string{HeaderToken, HeaderProof, HeaderTask, "Content-Digest"} {
		v := r.Header.Values(name)
		if len(v) > 1 {
			return act, "", "", refuse(http.StatusForbidden, "ambiguous_request", name+" is given more than once")
		}
		if len(v) == 1 {
			values[name] = v[0]
		}
	}
	token, proof = values[HeaderToken], values[HeaderProof]
	if token == "" || proof == "" {
		return act, "", "", refuse(http.StatusUnauthorized, "missing", HeaderToken+" and "+HeaderProof+" are required")
	}
	body, err := readBody(r, g.MaxBody)
	if err != nil {
		return act, "", "", err
	}
	act, err = g.router.Act(route.Request{
		Method: r.Method, Target: r.RequestURI, Body: body, Seen: true, Digest: values["Content-Digest"],
		Media: r.Header.Get("Content-Type"), Coding: r.Header.Get("Content-Encoding"), Task: values[HeaderTask],
	})
	if errors.Is(err, route.ErrNoRoute) {
		return act, "", "", refuse(http.StatusForbidden, "route_unknown", err.Error())
	} else if err != nil {
		return act, "", "", refuse(http.StatusForbidden, "request_unfit", err.Error())
	}
	for _, name := range []string{HeaderToken, HeaderProof} {
		r.Header.Del(name)
	}
	return act, token, proof, nil
}

// readBody reads the body once, and gives the request the bytes in its place.
func readBody(r *http.Request, most int64) ([]byte, error) {
	if r.Body == nil || r.Body == http.NoBody {
		return nil, nil
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, most+1))
	if err == nil {
		err = r.Body.Close()
	}
	if err != nil {
		return nil, &refusal{http.StatusBadRequest, "body", "the body did not arrive whole", err}
	}
	if int64(len(body)) > most {
		return nil, refuse(http.StatusRequestEntityTooLarge, "too-large", fmt.Sprintf("the body is longer than %d bytes", most))
	}
	r.Body, r.ContentLength, r.TransferEncoding = io.NopCloser(bytes.NewReader(body)), int64(len(body)), nil
	r.Trailer = nil
	return body, nil
}

func denied(d Decision) error {
	status, code, detail := http.StatusForbidden, d.Context.Verdict, ""
	if len(d.Context.Reasons) > 0 {
		code, detail = d.Context.Reasons[0].Code, d.Context.Reasons[0].Meaning
	}
	if code == "possession_failed" {
		status = http.StatusUnauthorized
	}
	return refuse(status, code, detail)
}

// verify holds the permit against the act as it will be executed.
func (g *Guard) verify(ctx context.Context, d Decision, act capability.Act, subject, thumbprint string) (capability.PermitClaims, error) {
	var none capability.PermitClaims
	if d.Context.Permit == "" {
		return none, refuse(http.StatusServiceUnavailable, "no_permit", "the registry gave no permit; sign the request anew")
	}
	p, err := capability.ParsePermit(d.Context.Permit)
	if err != nil {
		return none, &refusal{http.StatusServiceUnavailable, "permit", "the registry's permit is none", err}
	}
	key, err := g.key(ctx, p.KeyID())
	if err != nil {
		return none, &refusal{http.StatusServiceUnavailable, "permit_key", "the registry's keys are not known", err}
	}
	adg, err := act.Digest()
	if err == nil {
		err = p.Verify(capability.PermitCheck{
			Key: key, Now: g.now(), Issuer: g.Origin, Audiences: []string{g.router.Audience()}, Subject: subject, Thumbprint: thumbprint, ActDigest: adg,
		})
	}
	if err == nil && p.Claims().ID != d.Context.ID {
		err = errors.New("it is of another decision")
	}
	if err != nil {
		return none, &refusal{http.StatusServiceUnavailable, "permit", "the registry's permit is not for this request", err}
	}
	return p.Claims(), nil
}

// key finds a permit key of the registry. One that is not known is looked for again,
// but not more than once in ten seconds.
func (g *Guard) key(ctx context.Context, kid string) (jose.PublicKey, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if key, ok := g.keys[kid]; ok {
		return key, nil
	}
	if g.keys == nil || g.now().Sub(g.asked) > 10*time.Second {
		keys, err := g.Client.permitKeys(ctx)
		if err != nil {
			return jose.PublicKey{}, err
		}
		g.keys, g.asked = keys, g.now()
	}
	key, ok := g.keys[kid]
	if !ok {
		return key, fmt.Errorf("the registry publishes no permit key %s", kid)
	}
	return key, nil
}

// redeem uses the permit up. What cannot be undone is redeemed at the registry only.
func (g *Guard) redeem(ctx context.Context, raw string, p capability.PermitClaims) error {
	if err := g.Redeemed.Redeem(p.ID, time.Unix(p.Expires, 0)); errors.Is(err, ErrRedeemed) {
		return refuse(http.StatusUnauthorized, "replayed", "the permit was used before")
	} else if err != nil {
		return &refusal{http.StatusServiceUnavailable, "redemption", "the permit could not be used up", err}
	}
	if p.Redeem != capability.RedeemOnline {
		return nil
	}
	if _, err := g.Client.RedeemPermit(ctx, raw); err != nil {
		var problem *Problem
		if errors.As(err, &problem) && !problem.Temporary() {
			return &refusal{http.StatusForbidden, cmp.Or(problem.Code, "redemption"), problem.Detail, err}
		}
		return &refusal{http.StatusServiceUnavailable, "redemption", "the permit could not be used up", err}
	}
	return nil
}

// report says what became of the act, beside the answer: who waits for that has it.
func (g *Guard) report(ctx context.Context, permit string, status int, result string) {
	g.reports.Go(func() {
		outcome, err := g.Key.SignOutcome(g.Origin, permit, g.Outcome(status), result)
		if err == nil {
			_, err = g.Client.ReportOutcome(ctx, permit, outcome)
		}
		if err != nil {
			g.Logger.Warn("what became of an act could not be reported; it will be unknown", "permit", permit, "err", err)
		}
	})
}

// refuse answers with a problem document (RFC 9457).
func (g *Guard) refuse(w http.ResponseWriter, err error) {
	var e *refusal
	if !errors.As(err, &e) {
		e = &refusal{http.StatusServiceUnavailable, "undecided", "", err}
	}
	if e.status >= 500 {
		g.Logger.Warn("a request was stopped", "code", e.code, "err", e.cause)
		w.Header().Set("Retry-After", "1")
	}
	if e.status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Writ realm="writ"`)
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(e.status)
	_ = json.NewEncoder(w).Encode(map[string]any{ // who has gone needs no answer
		"type": "about:blank", "title": http.StatusText(e.status), "status": e.status, "code": e.code, "detail": e.detail,
	})
}

// witness sees what a handler answers.
type witness struct {
	http.ResponseWriter
	status int
	sum    hash.Hash
}

// WriteHeader implements http.ResponseWriter.
func (w *witness) WriteHeader(status int) {
	if w.status == 0 && status >= 200 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *witness) Write(p []byte) (int, error) {
	w.status = cmp.Or(w.status, http.StatusOK)
	n, err := w.ResponseWriter.Write(p)
	w.sum.Write(p[:n])
	return n, err
}

// Unwrap lets http.ResponseController find what the real one can do.
func (w *witness) Unwrap() http.ResponseWriter { return w.ResponseWriter }
