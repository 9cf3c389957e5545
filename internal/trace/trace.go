// Package trace marks the steps of a request, request -> authenticate ->
// authorize -> record -> log -> anchor -> prove, as OpenTelemetry spans.
//
// There is no global state: a span begins under the one in its context, and
// [Tracer.Begin] makes the first. Without a Tracer, and in a trace that is not
// sampled, Start returns its context and a nil *Span, on which every method does
// nothing; that costs one look into the context and no allocation.
//
// Attributes are ids, digests, sizes and enumerations, never tokens, proofs,
// arguments, resource ids or the text of an error: spans leave the house.
package trace

import (
	"context"
	"crypto/rand"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	otel "go.opentelemetry.io/otel/trace"
)

// scope is the name of this instrumentation.
const scope = "github.com/writ-registry/writ"

// Tracer begins traces. nil begins none.
type Tracer struct{ tracer otel.Tracer }

// New makes a Tracer. The provider MUST draw its ids from [IDs].
func New(p otel.TracerProvider) *Tracer { return &Tracer{p.Tracer(scope)} }

// Root says where the first span of this process stands.
type Root struct {
	Trace   string    // 32 hex digits; "" = a new trace, which no request began
	Span    string    // 16 hex digits: whose child it is, in another process; "" = nobody's
	Sampled bool      // that other span is sampled
	Since   time.Time // when the step began; zero = now
}

// Begin starts the first span of this process in a trace.
func (t *Tracer) Begin(ctx context.Context, name string, r Root) (context.Context, *Span) {
	if t == nil {
		return ctx, nil
	}
	under, kind := ctx, otel.SpanKindInternal
	if r.Trace != "" {
		under, kind = r.under(ctx), otel.SpanKindServer
	}
	opts := []otel.SpanStartOption{otel.WithSpanKind(kind)}
	if !r.Since.IsZero() {
		opts = append(opts, otel.WithTimestamp(r.Since))
	}
	return start(ctx, under, t.tracer, name, opts...)
}

// under is a context in which the SDK continues the other process's trace, or
// begins one with the id that it was told.
func (r Root) under(ctx context.Context) context.Context {
	trace, err1 := otel.TraceIDFromHex(r.Trace)
	span, err2 := otel.SpanIDFromHex(r.Span)
	if err1 != nil || err2 != nil {
		return context.WithValue(ctx, idKey{}, r.Trace)
	}
	parent := otel.SpanContextConfig{TraceID: trace, SpanID: span, Remote: true}
	if r.Sampled {
		parent.TraceFlags = otel.FlagsSampled
	}
	return otel.ContextWithRemoteSpanContext(ctx, otel.NewSpanContext(parent))
}

// Start starts a span under the one in ctx; nil where there is none.
func Start(ctx context.Context, name string) (context.Context, *Span) {
	parent := otel.SpanFromContext(ctx)
	if !parent.IsRecording() {
		return ctx, nil
	}
	return start(ctx, ctx, parent.TracerProvider().Tracer(scope), name)
}

func start(ctx, under context.Context, t otel.Tracer, name string, opts ...otel.SpanStartOption) (context.Context, *Span) {
	inside, span := t.Start(under, name, opts...)
	if !span.IsRecording() {
		return ctx, nil // not sampled
	}
	return inside, &Span{span}
}

// Span is one step under way. One goroutine owns it.
type Span struct{ span otel.Span }

// Attr adds an attribute. Its value MUST NOT be a secret or about a person.
func (s *Span) Attr(key, value string) {
	if s != nil {
		s.span.SetAttributes(attribute.String(key, value))
	}
}

// Int adds a number.
func (s *Span) Int(key string, value int64) {
	if s != nil {
		s.span.SetAttributes(attribute.Int64(key, value))
	}
}

// End ends the span. An error marks it as failed; its text is not told.
func (s *Span) End(err error) {
	if s == nil {
		return
	}
	if err != nil {
		s.span.SetStatus(codes.Error, "")
	}
	s.span.End()
}

// IDs draws span ids, and trace ids where Begin was not told one. It implements
// the SDK's IDGenerator.
type IDs struct{}

type idKey struct{}

// NewIDs returns the ids of the first span of a trace.
func (g IDs) NewIDs(ctx context.Context) (otel.TraceID, otel.SpanID) {
	told, _ := ctx.Value(idKey{}).(string)
	id, err := otel.TraceIDFromHex(told)
	if err != nil {
		rand.Read(id[:]) // never fails
	}
	return id, g.NewSpanID(ctx, id)
}

// NewSpanID returns the id of a further span.
func (IDs) NewSpanID(context.Context, otel.TraceID) (id otel.SpanID) {
	rand.Read(id[:])
	return id
}
