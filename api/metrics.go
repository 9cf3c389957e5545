package api

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/writ-registry/writ/anchor"
	"github.com/writ-registry/writ/registry"
	"github.com/writ-registry/writ/registry/policy"
)

// Metrics is what /metrics shows. It is made before the journal, whose Observe
// hook is ObserveCommit.
type Metrics struct {
	Registry *prometheus.Registry

	requests    *prometheus.CounterVec
	latency     *prometheus.HistogramVec
	decisions   *prometheus.CounterVec
	refused     *prometheus.CounterVec
	resolved    *prometheus.CounterVec
	spans       *prometheus.CounterVec
	batch       prometheus.Histogram
	commit      prometheus.Histogram
	memory      prometheus.Gauge
	approvals   *prometheus.CounterVec
	glass       prometheus.Counter
	observed    prometheus.Counter
	simulations *prometheus.CounterVec
	followed    *prometheus.GaugeVec
	alarms      *prometheus.GaugeVec
}

// NewMetrics makes the registry's metrics, with those of the Go runtime and
// the process.
func NewMetrics() *Metrics {
	fast := []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}
	m := &Metrics{
		Registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "writ_http_requests_total", Help: "HTTP requests by route, method and status.",
		}, []string{"route", "method", "status"}),
		latency: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "writ_http_request_seconds", Help: "Time to answer, by route.", Buckets: fast,
		}, []string{"route"}),
		decisions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "writ_decisions_total", Help: "Decisions by verdict and first reason; a permit has none, unless it is observed.",
		}, []string{"verdict", "reason"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "writ_authentication_failures_total", Help: "Refused credentials and proofs by code.",
		}, []string{"code"}),
		resolved: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "writ_did_resolutions_total", Help: "Resolved DIDs by whose they are (own, key, foreign) and what came of it: ok, deactivated or an error.",
		}, []string{"whose", "outcome"}),
		spans: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "writ_trace_spans_total", Help: "Spans by what became of them: sent, dropped or refused.",
		}, []string{"outcome"}),
		batch: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "writ_journal_batch_commands", Help: "Commands made durable by one commit.", Buckets: prometheus.ExponentialBuckets(1, 2, 10),
		}),
		commit: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "writ_journal_commit_seconds", Help: "Time of one commit, from the first command to durable.", Buckets: fast,
		}),
	}
	m.followed = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "writ_followed_age_seconds", Help: "Time since a foreign issuer on a trust list last answered and all of it held.",
	}, []string{"issuer"})
	m.alarms = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "writ_followed_alarm", Help: "1 where a foreign issuer contradicted itself or its pins: an owner must look.",
	}, []string{"issuer"})
	m.memory = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "writ_spent_memory", Help: "1 while unqualified permits are spent in the memory of spent proofs, 0 while the database decides alone.",
	})
	m.approvals = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "writ_approval_answers_total", Help: "Answers of humans by what the approval is then: pending, approved or denied.",
	}, []string{"state"})
	m.glass = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "writ_approvals_glass_broken_total", Help: "Approvals that two humans gave past the rule: somebody must look.",
	})
	m.observed = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "writ_decisions_observed_total", Help: "Permits under observation, which would have been denied without it.",
	})
	m.simulations = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "writ_simulations_total", Help: "Simulated decisions by verdict: they permit nothing.",
	}, []string{"verdict"})
	m.Registry.MustRegister(m.observed, m.simulations, m.approvals, m.glass, m.requests, m.latency, m.decisions, m.refused, m.resolved, m.spans, m.batch, m.commit, m.memory, m.followed, m.alarms,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// ObserveCommit is the journal's Observe hook.
func (m *Metrics) ObserveCommit(commands int, took time.Duration) {
	m.batch.Observe(float64(commands))
	m.commit.Observe(took.Seconds())
}

// Followed says how long ago a foreign issuer answered, and whether there is an alarm.
func (m *Metrics) Followed(issuer string, age time.Duration, alarm bool) {
	m.followed.WithLabelValues(issuer).Set(age.Seconds())
	on := 0.
	if alarm {
		on = 1
	}
	m.alarms.WithLabelValues(issuer).Set(on)
}

// InMemory says whether unqualified permits are spent in the memory.
func (m *Metrics) InMemory(on bool) {
	m.memory.Set(0)
	if on {
		m.memory.Set(1)
	}
}

// CountSpans says what became of n spans: sent to the collector, refused by it
// (or it by the network), or dropped because it is slow.
func (m *Metrics) CountSpans(outcome string, n int) { m.spans.WithLabelValues(outcome).Add(float64(n)) }

func (m *Metrics) request(c *gin.Context, took time.Duration) {
	route := c.FullPath()
	if route == "" {
		route = "unmatched" // never the path itself: it would be one series for each
	}
	m.requests.WithLabelValues(route, method(c.Request.Method), strconv.Itoa(c.Writer.Status())).Inc()
	m.latency.WithLabelValues(route).Observe(took.Seconds())
}

// method keeps made-up methods from becoming series.
func method(name string) string {
	switch name {
	case "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS":
		return name
	}
	return "other"
}

// answered counts an answer to an approval, by what came of it.
func (m *Metrics) answered(a registry.Approval) {
	m.approvals.WithLabelValues(string(a.State)).Inc()
	if a.Glass {
		m.glass.Inc()
	}
}

func (m *Metrics) decision(d policy.Decision) {
	reason := ""
	if len(d.Reasons) > 0 {
		reason = string(d.Reasons[0].Code)
	}
	m.decisions.WithLabelValues(string(d.Verdict), reason).Inc()
	if d.Observed {
		m.observed.Inc()
	}
}

// simulated counts what was asked and not decided.
func (m *Metrics) simulated(out policy.Simulation) {
	m.simulations.WithLabelValues(string(out.Verdict)).Inc()
}

// watch registers the gauges of the log and its anchors, read at each scrape.
// It errs if the metrics belong to another handler already.
func (m *Metrics) watch(s *server) error {
	err := m.Registry.Register(&evidence{s})
	if errors.As(err, &prometheus.AlreadyRegisteredError{}) {
		return errors.New("api: Metrics are in use by another handler")
	}
	return err
}

// evidence collects how far log, checkpoint and anchors have come.
type evidence struct{ s *server }

var (
	logSize       = prometheus.NewDesc("writ_log_size", "Committed entries of the log.", nil, nil)
	signedSize    = prometheus.NewDesc("writ_checkpoint_size", "Entries under the newest signed checkpoint.", nil, nil)
	checkpointAge = prometheus.NewDesc("writ_checkpoint_age_seconds", "Time since the newest checkpoint was signed.", nil, nil)
	anchoredSize  = prometheus.NewDesc("writ_anchored_size", "Entries under the newest head that a ledger has included.", []string{"ledger", "operators_own"}, nil)
	observations  = prometheus.NewDesc("writ_observations", "Observations that run, by what is observed: agent or org. What grants do not cover is permitted there.", []string{"scope"}, nil)
	anchorLag     = prometheus.NewDesc("writ_anchor_lag_entries", "Committed entries that no included head of the ledger covers.", []string{"ledger", "operators_own"}, nil)
)

func (e *evidence) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{logSize, signedSize, checkpointAge, anchoredSize, anchorLag, observations} {
		ch <- d
	}
}

func (e *evidence) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	size, _, err := e.s.Log.Head(ctx)
	if err != nil {
		ch <- prometheus.NewInvalidMetric(logSize, err)
		return
	}
	gauge(logSize, float64(size))
	if latest, ok := e.s.latest(); ok {
		gauge(signedSize, float64(latest.Size))
		gauge(checkpointAge, e.s.Now().Sub(latest.Time).Seconds())
	}
	running, err := e.s.Registry.Observations(ctx, registry.MaxPage)
	if err != nil {
		ch <- prometheus.NewInvalidMetric(observations, err)
		return
	}
	counts := map[registry.ScopeKind]int{registry.ScopeAgent: 0, registry.ScopeOrg: 0}
	for _, o := range running {
		counts[o.Scope.Kind]++
	}
	for kind, n := range counts {
		gauge(observations, float64(n), string(kind))
	}
	heads, err := e.s.anchored(ctx)
	if err != nil {
		ch <- prometheus.NewInvalidMetric(anchoredSize, err)
		return
	}
	for _, h := range heads {
		own := strconv.FormatBool(h.Ledger.OperatorsOwn)
		gauge(anchoredSize, float64(h.Size), h.Ledger.Name, own)
		gauge(anchorLag, float64(max(size, h.Size)-h.Size), h.Ledger.Name, own)
	}
}

// anchored returns the largest included head of each ledger.
func (s *server) anchored(ctx context.Context) (best []anchor.AnchorRecord, err error) {
	if s.Anchored == nil {
		return nil, nil
	}
	all, err := s.Anchored.NewestAnchors(ctx, s.Log.Origin())
	if err != nil {
		return nil, err
	}
	at := map[string]int{}
	for _, a := range all {
		if !a.Confirmation.Finality.AtLeast(anchor.Included) {
			continue
		}
		i, seen := at[a.Ledger.Name]
		switch {
		case !seen:
			at[a.Ledger.Name] = len(best)
			best = append(best, a)
		case a.Size > best[i].Size:
			best[i] = a
		}
	}
	return best, nil
}

// latest is the newest published checkpoint.
func (s *server) latest() (anchor.SignedCheckpoint, bool) {
	if s.Checkpoints == nil {
		return anchor.SignedCheckpoint{}, false
	}
	return s.Checkpoints.Latest()
}
