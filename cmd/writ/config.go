package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"

	"github.com/writ-registry/writ/api"
	"github.com/writ-registry/writ/internal/follow"
	"github.com/writ-registry/writ/registry/pki"
)

// serveConfig is everything an operator can set. A flag beats a WRIT_* variable
// beats the file beats the default. Unknown keys refuse to start.
type serveConfig struct {
	// Data is the folder of the registry: database, keys, embedded chain.
	Data string `yaml:"data"`
	// Listen is the TCP address of the HTTP server. Port 0 takes the port of
	// the stored origin where that is on localhost, else any free one.
	Listen string `yaml:"listen"`
	// Origin is the public origin (scheme, host and port). It is part of every
	// identifier: fixed at the first start, never taken from a request.
	// Default: http://localhost:<port>.
	Origin string `yaml:"origin"`
	// Chain says where heads are anchored: embedded, none, the name of a file
	// in chain-config, a path to such a file, or the URL of an RPC endpoint.
	Chain string `yaml:"chain"`
	// Contract is the LogAnchor to use where Chain is a URL.
	Contract string `yaml:"contract"`
	// AnchorInterval is the least time between two anchored heads.
	AnchorInterval time.Duration `yaml:"anchor_interval"`
	// CheckpointHome is the file of the second home of the last checkpoint.
	// It belongs outside Data, best on another disk. Default: Data + ".checkpoint".
	CheckpointHome string `yaml:"checkpoint_home"`
	// NewCheckpointHome accepts a missing second home of a log that is not new:
	// after a move, by someone who knows that this database is the newest one.
	NewCheckpointHome bool `yaml:"new_checkpoint_home"`
	// DiskReserve is the free space, in bytes, below which writes are refused.
	DiskReserve uint64 `yaml:"disk_reserve"`
	// Redis is the URL (redis:// or rediss://) of the server that remembers the
	// spent proofs of unqualified permits. Default: this process does.
	Redis string `yaml:"redis"`
	// FailureBurst and FailureRate bound failed authentications of one network
	// address: that many at once, and that many a second after.
	FailureBurst int     `yaml:"failure_burst"`
	FailureRate  float64 `yaml:"failure_rate"`
	// CallerBurst and CallerRate bound the requests of one principal or
	// enforcement point in the same way. Stops are not counted.
	CallerBurst int     `yaml:"caller_burst"`
	CallerRate  float64 `yaml:"caller_rate"`
	// MaxInFlight is how many requests are in hand at once. Stops have room of
	// their own.
	MaxInFlight int `yaml:"max_in_flight"`
	// TLSCert and TLSKey (PEM files) turn on TLS. Client certificates are asked for
	// then; RequireClientCert demands one, of the registry's own authority or of
	// ClientCA (PEM CAs).
	TLSCert           string `yaml:"tls_cert"`
	TLSKey            string `yaml:"tls_key"`
	RequireClientCert bool   `yaml:"require_client_cert"`
	ClientCA          string `yaml:"client_ca"`
	// CACert (a PEM chain, the issuing certificate first) and CAKey are an
	// intermediate of the enterprise that certificates are issued by. Default: a root
	// and an issuing key of the registry's own.
	CACert string `yaml:"ca_cert"`
	CAKey  string `yaml:"ca_key"`
	// SPIFFETrustDomain is that of the SPIFFE IDs that agents can have certified.
	SPIFFETrustDomain string `yaml:"spiffe_trust_domain"`
	// IssuerPrivate are networks (CIDR, separated by commas) in which issuers of people
	// and of workload tokens may be asked, at any port, beside those at public addresses;
	// IssuerCA (a PEM file) are CAs of their TLS beside the machine's. The same holds for
	// Follow…, Callback… and Resolve… below.
	IssuerPrivate string `yaml:"issuer_private"`
	IssuerCA      string `yaml:"issuer_ca"`
	// FollowInterval is how often the issuers on trust lists are asked for what is new.
	FollowInterval time.Duration `yaml:"follow_interval"`
	// FollowPrivate and FollowCA hold for them.
	FollowPrivate string `yaml:"follow_private"`
	FollowCA      string `yaml:"follow_ca"`
	// CallbackPrivate and CallbackCA hold for callbacks of requests for approval.
	CallbackPrivate string `yaml:"callback_private"`
	CallbackCA      string `yaml:"callback_ca"`
	// ResolveForeign lets callers with a credential have the DIDs of other
	// organizations fetched. Nothing is ever fetched for others.
	ResolveForeign bool `yaml:"resolve_foreign"`
	// ResolvePrivate and ResolveCA hold for where foreign DIDs lead.
	ResolvePrivate string `yaml:"resolve_private"`
	ResolveCA      string `yaml:"resolve_ca"`
	// OTLPEndpoint is the URL of an OpenTelemetry collector (OTLP over HTTP);
	// empty: no spans. OTEL_EXPORTER_OTLP_* variables say headers and TLS.
	OTLPEndpoint string `yaml:"otlp_endpoint"`
	// TraceRatio is the share of traces that are sampled where the caller has
	// not decided.
	TraceRatio float64 `yaml:"trace_ratio"`
	// LogLevel is debug, info, warn or error; LogFormat text or json.
	LogLevel  string `yaml:"log_level"`
	LogFormat string `yaml:"log_format"`
}

const defaultListen = "127.0.0.1:8080"

func defaultServeConfig() serveConfig {
	return serveConfig{
		Data: "writ-data", Chain: "embedded", AnchorInterval: 5 * time.Second,
		DiskReserve: 256 << 20, LogLevel: "info", LogFormat: "text",
		FailureBurst: api.DefaultFailureBurst, FailureRate: api.DefaultFailureRate,
		CallerBurst: api.DefaultCallerBurst, CallerRate: api.DefaultCallerRate, MaxInFlight: api.DefaultMaxInFlight,
		TraceRatio: 1, FollowInterval: follow.DefaultInterval, ResolveForeign: true,
	}
}

// bind declares a flag for each setting.
func (c *serveConfig) bind(f *pflag.FlagSet) {
	f.StringVar(&c.Data, "data", c.Data, "folder of the registry")
	f.StringVar(&c.Listen, "listen", c.Listen, "TCP address; port 0 takes a free one (default "+defaultListen+")")
	f.StringVar(&c.Origin, "origin", c.Origin, "public origin, fixed at the first start (default http://localhost:<port>)")
	f.StringVar(&c.Chain, "chain", c.Chain, "embedded, none, a network of chain-config, a network file, or an RPC URL")
	f.StringVar(&c.Contract, "contract", c.Contract, "LogAnchor address, where --chain is a URL")
	f.DurationVar(&c.AnchorInterval, "anchor-interval", c.AnchorInterval, "least time between two anchored heads")
	f.StringVar(&c.CheckpointHome, "checkpoint-home", c.CheckpointHome, "file outside the data folder that keeps the last checkpoint (default DATA.checkpoint)")
	f.BoolVar(&c.NewCheckpointHome, "new-checkpoint-home", c.NewCheckpointHome, "accept that the second home is new although the log is not")
	f.Uint64Var(&c.DiskReserve, "disk-reserve", c.DiskReserve, "free bytes below which writes are refused")
	f.StringVar(&c.Redis, "redis", c.Redis, "redis:// or rediss:// URL that remembers spent proofs of unqualified permits (default: in memory)")
	f.IntVar(&c.FailureBurst, "failure-burst", c.FailureBurst, "failed authentications of one network address at once")
	f.Float64Var(&c.FailureRate, "failure-rate", c.FailureRate, "and a second after")
	f.IntVar(&c.CallerBurst, "caller-burst", c.CallerBurst, "requests of one principal or enforcement point at once; stops are not counted")
	f.Float64Var(&c.CallerRate, "caller-rate", c.CallerRate, "and a second after")
	f.IntVar(&c.MaxInFlight, "max-in-flight", c.MaxInFlight, "requests in hand at once; stops have room of their own")
	f.StringVar(&c.TLSCert, "tls-cert", c.TLSCert, "PEM certificate chain; turns on TLS")
	f.StringVar(&c.TLSKey, "tls-key", c.TLSKey, "PEM key of --tls-cert")
	f.BoolVar(&c.RequireClientCert, "require-client-cert", c.RequireClientCert, "demand a client certificate, of the registry's own authority or of --client-ca")
	f.StringVar(&c.ClientCA, "client-ca", c.ClientCA, "PEM CAs whose certificates pass the door of --require-client-cert")
	f.StringVar(&c.CACert, "ca-cert", c.CACert, "PEM chain of an enterprise's intermediate that issues certificates (default: a root of the registry's own)")
	f.StringVar(&c.CAKey, "ca-key", c.CAKey, "PEM key of --ca-cert")
	f.StringVar(&c.SPIFFETrustDomain, "spiffe-trust-domain", c.SPIFFETrustDomain, "trust domain of SPIFFE IDs; without it no SVIDs are issued")
	f.StringVar(&c.IssuerPrivate, "issuer-private", c.IssuerPrivate, "private networks (CIDR, by commas) in which issuers of people and workloads may be asked")
	f.StringVar(&c.IssuerCA, "issuer-ca", c.IssuerCA, "PEM CAs of the TLS of such issuers, beside the machine's")
	f.DurationVar(&c.FollowInterval, "follow-interval", c.FollowInterval, "how often the issuers on trust lists are asked")
	f.StringVar(&c.FollowPrivate, "follow-private", c.FollowPrivate, "private networks (CIDR, by commas) in which issuers on trust lists may be asked")
	f.StringVar(&c.FollowCA, "follow-ca", c.FollowCA, "PEM CAs of the TLS of such issuers, beside the machine's")
	f.StringVar(&c.CallbackPrivate, "callback-private", c.CallbackPrivate, "private networks (CIDR, by commas) that callbacks of requests for approval may go to")
	f.StringVar(&c.CallbackCA, "callback-ca", c.CallbackCA, "PEM CAs of the TLS of their receivers, beside the machine's")
	f.BoolVar(&c.ResolveForeign, "resolve-foreign", c.ResolveForeign, "fetch DIDs of other organizations for callers with a credential")
	f.StringVar(&c.ResolvePrivate, "resolve-private", c.ResolvePrivate, "private networks (CIDR, by commas) that foreign DIDs may lead to")
	f.StringVar(&c.ResolveCA, "resolve-ca", c.ResolveCA, "PEM CAs of the TLS of their hosts, beside the machine's")
	f.StringVar(&c.OTLPEndpoint, "otlp-endpoint", c.OTLPEndpoint, "URL of an OpenTelemetry collector (OTLP over HTTP) that spans go to")
	f.Float64Var(&c.TraceRatio, "trace-ratio", c.TraceRatio, "share of traces that are sampled where the caller has not decided")
	f.StringVar(&c.LogLevel, "log-level", c.LogLevel, "debug, info, warn or error")
	f.StringVar(&c.LogFormat, "log-format", c.LogFormat, "text or json")
}

// resolve fills in the file and the environment beneath the flags that were
// given.
func (c *serveConfig) resolve(f *pflag.FlagSet, file string, getenv func(string) string) error {
	given := map[string]string{}
	f.Visit(func(fl *pflag.Flag) { given[fl.Name] = fl.Value.String() })
	if file != "" {
		raw, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("config: %w", err)
		}
		dec := yaml.NewDecoder(bytes.NewReader(raw))
		dec.KnownFields(true)
		if err := dec.Decode(c); err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("config %s: %w", file, err)
		}
	}
	var err error
	f.VisitAll(func(fl *pflag.Flag) {
		if v := getenv(envName(fl.Name)); v != "" && fl.Name != "config" && err == nil {
			if e := f.Set(fl.Name, v); e != nil {
				err = fmt.Errorf("%s: %w", envName(fl.Name), e)
			}
		}
	})
	for name, v := range given {
		err = errors.Join(err, f.Set(name, v))
	}
	return errors.Join(err, c.check())
}

// envName is the variable of a flag: --disk-reserve is WRIT_DISK_RESERVE.
func envName(flag string) string {
	b := []byte("WRIT_" + flag)
	for i, ch := range b {
		if ch == '-' {
			b[i] = '_'
		} else if ch >= 'a' && ch <= 'z' {
			b[i] = ch - 'a' + 'A'
		}
	}
	return string(b)
}

func (c *serveConfig) check() error {
	switch {
	case c.Data == "":
		return errors.New("--data is empty")
	case (c.TLSCert == "") != (c.TLSKey == ""):
		return errors.New("--tls-cert and --tls-key go together")
	case c.RequireClientCert && c.TLSCert == "":
		return errors.New("--require-client-cert needs --tls-cert")
	case c.ClientCA != "" && !c.RequireClientCert: // it demanded certificates by itself once
		return errors.New("--client-ca needs --require-client-cert, which demands certificates")
	case (c.CACert == "") != (c.CAKey == ""):
		return errors.New("--ca-cert and --ca-key go together")
	case c.AnchorInterval < 100*time.Millisecond:
		return errors.New("--anchor-interval must be 100ms or more")
	case c.FailureBurst < 1 || c.FailureBurst > maxLimit:
		return limitError("--failure-burst")
	case c.CallerBurst < 1 || c.CallerBurst > maxLimit:
		return limitError("--caller-burst")
	case c.MaxInFlight < 1 || c.MaxInFlight > maxLimit:
		return limitError("--max-in-flight")
	case !rate(c.FailureRate):
		return rateError("--failure-rate")
	case !rate(c.CallerRate):
		return rateError("--caller-rate")
	case c.FollowInterval < 100*time.Millisecond || c.FollowInterval > time.Hour:
		return errors.New("--follow-interval must be 100ms to 1h")
	case !(c.TraceRatio >= 0 && c.TraceRatio <= 1):
		return errors.New("--trace-ratio must be 0 to 1")
	case c.LogFormat != "text" && c.LogFormat != "json":
		return errors.New("--log-format must be text or json")
	}
	if c.SPIFFETrustDomain != "" {
		if _, err := pki.NewSPIFFEID(c.SPIFFETrustDomain, "org", "agent"); err != nil {
			return fmt.Errorf("--spiffe-trust-domain: %w", err)
		}
	}
	for flag, networks := range map[string]string{"--issuer-private": c.IssuerPrivate, "--follow-private": c.FollowPrivate, "--callback-private": c.CallbackPrivate, "--resolve-private": c.ResolvePrivate} {
		if _, err := prefixes(flag, networks); err != nil {
			return err
		}
	}
	_, err := collectorURL(c.OTLPEndpoint)
	return err
}

// maxLimit is above what any machine answers; more is a slip of the hand, and a
// bound that bounds nothing.
const maxLimit = 1_000_000

// minRate is one a minute: less would lock out for days.
const minRate = 1. / 60

func rate(r float64) bool { return r >= minRate && r <= maxLimit } // and not NaN

func limitError(flag string) error { return fmt.Errorf("%s must be 1 to %d", flag, maxLimit) }

func rateError(flag string) error {
	return fmt.Errorf("%s must be 1 a minute (%.3f) to %d a second", flag, minRate, maxLimit)
}
