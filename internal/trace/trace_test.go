package trace_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/codes"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	otel "go.opentelemetry.io/otel/trace"

	"github.com/writ-registry/writ/internal/trace"
)

const id = "0af7651916cd43dd8448eb211c80319c"

func recording(ratio float64) (*trace.Tracer, *tracetest.SpanRecorder) {
	spans := tracetest.NewSpanRecorder()
	return trace.New(sdk.NewTracerProvider(sdk.WithSpanProcessor(spans), sdk.WithIDGenerator(trace.IDs{}),
		sdk.WithSampler(sdk.ParentBased(sdk.TraceIDRatioBased(ratio))))), spans
}

// step is what every step of the flow does.
func step(ctx context.Context) {
	_, span := trace.Start(ctx, "step")
	span.Attr("writ.org", "acme")
	span.Int("writ.index", 7)
	span.End(nil)
}

// TestOffCostsNothing: without a tracer, and in a trace that is not sampled.
func TestOffCostsNothing(t *testing.T) {
	type key struct{}
	ctx := context.WithValue(t.Context(), key{}, "as a request has")
	var off *trace.Tracer
	begun, span := off.Begin(ctx, "request", trace.Root{Trace: id})
	if begun != ctx || span != nil {
		t.Error("no tracer began a span")
	}
	none, spans := recording(0)
	unsampled, span := none.Begin(ctx, "request", trace.Root{Trace: id})
	if unsampled != ctx || span != nil {
		t.Error("a trace that is not sampled has a span")
	}
	for name, ctx := range map[string]context.Context{"off": begun, "not sampled": unsampled} {
		if n := testing.AllocsPerRun(100, func() { step(ctx) }); n != 0 {
			t.Errorf("%s: %v allocations a step", name, n)
		}
	}
	if n := testing.AllocsPerRun(100, func() { _, s := off.Begin(ctx, "request", trace.Root{Trace: id}); s.End(nil) }); n != 0 {
		t.Errorf("beginning nothing: %v allocations", n)
	}
	if n := len(spans.Started()); n != 0 {
		t.Errorf("%d spans", n)
	}
}

// TestBegin: the first span stands in the trace it was told, under its caller.
func TestBegin(t *testing.T) {
	const parent = "b7ad6b7169203331"
	for name, c := range map[string]struct {
		root         trace.Root
		ratio        float64
		sampled      bool
		trace, under string
		kind         otel.SpanKind
	}{
		"root of its own":      {trace.Root{Trace: id}, 1, true, id, "", otel.SpanKindServer},
		"child":                {trace.Root{Trace: id, Span: parent, Sampled: true}, 0, true, id, parent, otel.SpanKindServer},
		"child, not sampled":   {trace.Root{Trace: id, Span: parent}, 1, false, "", "", 0},
		"no request":           {trace.Root{}, 1, true, "", "", otel.SpanKindInternal},
		"parent of wrong form": {trace.Root{Trace: id, Span: "x"}, 1, true, id, "", otel.SpanKindServer},
		"began before":         {trace.Root{Since: time.Unix(1, 0)}, 1, true, "", "", otel.SpanKindInternal},
	} {
		t.Run(name, func(t *testing.T) {
			tracer, spans := recording(c.ratio)
			ctx, span := tracer.Begin(t.Context(), "request", c.root)
			step(ctx)
			span.End(errors.New("secret"))
			done := spans.Ended()
			if !c.sampled {
				if len(done) != 0 {
					t.Errorf("%d spans", len(done))
				}
				return
			}
			if len(done) != 2 {
				t.Fatalf("%d spans, want 2", len(done))
			}
			inner, outer := done[0], done[1]
			got := outer.SpanContext().TraceID().String()
			if c.trace != "" && got != c.trace || strings.Trim(got, "0") == "" || inner.SpanContext().TraceID() != outer.SpanContext().TraceID() {
				t.Errorf("trace %s, want %s", got, c.trace)
			}
			if under := outer.Parent().SpanID(); outer.Parent().IsValid() != (c.under != "") || c.under != "" && under.String() != c.under {
				t.Errorf("under %s, want %q", under, c.under)
			}
			if inner.Parent().SpanID() != outer.SpanContext().SpanID() || len(inner.Attributes()) != 2 {
				t.Errorf("the step stands under %s with %v", inner.Parent().SpanID(), inner.Attributes())
			}
			if s := outer.Status(); outer.SpanKind() != c.kind || s.Code != codes.Error || s.Description != "" || inner.Status().Code != codes.Unset {
				t.Errorf("kind %v, status %+v: an error's text is not told", outer.SpanKind(), s)
			}
			if s := c.root.Since; !s.IsZero() && !outer.StartTime().Equal(s) {
				t.Errorf("began at %v, want %v", outer.StartTime(), s)
			}
		})
	}
}

// BenchmarkRequest is what the spans of one request cost: the first and three
// steps, recorded and thrown away.
func BenchmarkRequest(b *testing.B) {
	on := trace.New(sdk.NewTracerProvider(sdk.WithBatcher(nowhere{}), sdk.WithIDGenerator(trace.IDs{})))
	for name, tracer := range map[string]*trace.Tracer{"off": nil, "on": on} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				ctx, span := tracer.Begin(b.Context(), "request", trace.Root{Trace: id})
				for range 3 {
					step(ctx)
				}
				span.End(nil)
			}
		})
	}
}

type nowhere struct{}

func (nowhere) ExportSpans(context.Context, []sdk.ReadOnlySpan) error { return nil }
func (nowhere) Shutdown(context.Context) error                        { return nil }
