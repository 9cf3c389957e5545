package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"

	"github.com/writ-registry/writ/api"
	"github.com/writ-registry/writ/internal/trace"
)

const (
	spanQueue = 4096            // spans that wait for the collector; more are dropped
	spanFlush = 3 * time.Second // at the end, for those that wait
)

// tracing is the way of the spans to a collector. No request waits for it.
type tracing struct {
	*trace.Tracer
	provider *sdk.TracerProvider
	queue    *spanQueuer
	log      *slog.Logger
}

// openTracing sends spans to the collector; nil where none is named. Whether it
// answers is found out later, and is no reason not to start.
func openTracing(ctx context.Context, cfg serveConfig, metrics *api.Metrics, log *slog.Logger) (*tracing, error) {
	if cfg.OTLPEndpoint == "" {
		return nil, nil
	}
	to, err := collectorURL(cfg.OTLPEndpoint)
	if err != nil {
		return nil, err
	}
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(to))
	if err != nil {
		return nil, fmt.Errorf("--otlp-endpoint: %w", err)
	}
	q := &spanQueuer{metrics: metrics}
	q.SpanProcessor = sdk.NewBatchSpanProcessor(&spanSender{Exporter: exporter, queue: q, log: log},
		sdk.WithMaxQueueSize(spanQueue), sdk.WithBatchTimeout(time.Second))
	p := sdk.NewTracerProvider(
		sdk.WithSpanProcessor(q),
		sdk.WithIDGenerator(trace.IDs{}),
		sdk.WithSampler(sdk.ParentBased(sdk.TraceIDRatioBased(cfg.TraceRatio))),
		sdk.WithResource(resource.NewSchemaless(attribute.String("service.name", "writ"), attribute.String("service.version", version()))),
	)
	return &tracing{trace.New(p), p, q, log}, nil
}

// collectorURL completes the URL of a collector with OTLP's own path.
func collectorURL(endpoint string) (string, error) {
	if endpoint == "" {
		return "", nil
	}
	u, err := url.Parse(endpoint)
	switch {
	case err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.RawQuery != "" || u.Fragment != "":
		return "", errors.New("--otlp-endpoint: want http(s)://host:port")
	case u.User != nil:
		return "", errors.New("--otlp-endpoint: credentials belong into OTEL_EXPORTER_OTLP_HEADERS")
	case u.Path == "" || u.Path == "/":
		u.Path = "/v1/traces"
	}
	return u.String(), nil
}

func (t *tracing) tracer() *trace.Tracer {
	if t == nil {
		return nil
	}
	return t.Tracer
}

// close sends what waits, for a bounded time.
func (t *tracing) close() {
	if t == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), spanFlush)
	defer cancel()
	if err := t.provider.Shutdown(ctx); err != nil {
		t.log.Warn("spans are lost: the collector does not answer", "spans", t.queue.waiting.Load())
	}
}

// spanQueuer bounds what waits for the collector and counts what does not fit,
// which the SDK's own queue drops without a word.
type spanQueuer struct {
	sdk.SpanProcessor
	metrics *api.Metrics
	waiting atomic.Int64
}

// OnEnd never blocks.
func (q *spanQueuer) OnEnd(s sdk.ReadOnlySpan) {
	if q.waiting.Add(1) > spanQueue {
		q.waiting.Add(-1)
		q.metrics.CountSpans("dropped", 1)
		return
	}
	q.SpanProcessor.OnEnd(s)
}

// spanSender counts what became of the spans and logs when sending begins to
// fail and works again.
type spanSender struct {
	*otlptrace.Exporter
	queue   *spanQueuer
	log     *slog.Logger
	failing bool // one goroutine exports
}

// ExportSpans sends a batch. It returns no error: it is told here.
func (e *spanSender) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	err := e.Exporter.ExportSpans(ctx, spans)
	e.queue.waiting.Add(-int64(len(spans)))
	outcome := "sent"
	if err != nil {
		outcome = "refused"
	}
	e.queue.metrics.CountSpans(outcome, len(spans))
	switch {
	case err != nil && !e.failing:
		e.log.Warn("spans are not sent; trying again with the next", "err", err)
	case err == nil && e.failing:
		e.log.Info("spans are sent again")
	}
	e.failing = err != nil
	return nil
}
