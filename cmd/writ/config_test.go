package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"
)

// resolveConfig does what `writ serve args` does with a file and the environment.
func resolveConfig(t *testing.T, file string, env map[string]string, args ...string) (serveConfig, error) {
	t.Helper()
	cfg := defaultServeConfig()
	flags := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	cfg.bind(flags)
	if err := flags.Parse(args); err != nil {
		t.Fatal(err)
	}
	path := ""
	if file != "" {
		path = filepath.Join(t.TempDir(), "writ.yaml")
		if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	err := cfg.resolve(flags, path, func(name string) string { return env[name] })
	return cfg, err
}

// TestPrecedence: each setting is taken from the strongest place that has it.
func TestPrecedence(t *testing.T) {
	got, err := resolveConfig(t, `
data: from-file
listen: 127.0.0.1:1
chain: sepolia
anchor_interval: 1m
disk_reserve: 1
checkpoint_home: home-of-file
`, map[string]string{
		"WRIT_LISTEN": "127.0.0.1:2", "WRIT_CHAIN": "none", "WRIT_ANCHOR_INTERVAL": "2m",
		"WRIT_DISK_RESERVE": "2", "WRIT_NEW_CHECKPOINT_HOME": "true",
	}, "--chain", "embedded", "--anchor-interval", "3m", "--log-format=json")
	if err != nil {
		t.Fatal(err)
	}
	want := defaultServeConfig() // LogLevel stays
	want.Data, want.CheckpointHome = "from-file", "home-of-file"
	want.Listen, want.DiskReserve, want.NewCheckpointHome = "127.0.0.1:2", 2, true
	want.Chain, want.AnchorInterval, want.LogFormat = "embedded", 3*time.Minute, "json"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestEverySettingHasThreeNames: the key of the file, the variable and the flag
// of a setting lead to the same field.
func TestEverySettingHasThreeNames(t *testing.T) {
	values := map[string]string{ // those that the checks leave alone
		"anchor-interval": "7s", "disk-reserve": "7", "new-checkpoint-home": "true", "log-format": "json",
		"failure-burst": "7", "failure-rate": "0.7", "caller-burst": "7", "caller-rate": "0.7", "max-in-flight": "7",
		"otlp-endpoint": "http://seven:4318", "trace-ratio": "0.7",
		"tls-cert": "x", "tls-key": "x", "client-ca": "x", "require-client-cert": "true", "issuer-private": "10.0.0.0/8",
		"follow-interval": "7s", "follow-private": "10.0.0.0/8", "callback-private": "10.0.0.0/8", "resolve-foreign": "false", "resolve-private": "10.0.0.0/8",
	}
	flags := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	def := defaultServeConfig()
	def.bind(flags)
	n := 0
	flags.VisitAll(func(f *pflag.Flag) {
		n++
		name, value := f.Name, first(values[f.Name], "seven")
		key := strings.ReplaceAll(name, "-", "_")
		base := map[string]string{}
		if name != "tls-cert" {
			base["WRIT_TLS_CERT"] = "base"
		}
		if name != "tls-key" {
			base["WRIT_TLS_KEY"] = "base"
		}
		switch name {
		case "ca-cert":
			base["WRIT_CA_KEY"] = "base"
		case "ca-key":
			base["WRIT_CA_CERT"] = "base"
		case "client-ca":
			base["WRIT_REQUIRE_CLIENT_CERT"] = "true"
		}
		byFlag, err := resolveConfig(t, "", base, "--"+name+"="+value)
		if err != nil {
			t.Fatalf("--%s: %v", name, err)
		}
		byFile, err := resolveConfig(t, key+": "+value+"\n", base)
		if err != nil {
			t.Fatalf("%s: %v", key, err)
		}
		base[envName(name)] = value
		byEnv, err := resolveConfig(t, "", base)
		if err != nil {
			t.Fatalf("%s: %v", envName(name), err)
		}
		delete(base, envName(name))
		without, err := resolveConfig(t, "", base)
		if err == nil && cmp.Equal(byFlag, without) {
			t.Errorf("--%s changes nothing", name)
		}
		if diff := cmp.Diff(byFlag, byFile); diff != "" {
			t.Errorf("--%s and %s (-flag +file):\n%s", name, key, diff)
		}
		if diff := cmp.Diff(byFlag, byEnv); diff != "" {
			t.Errorf("--%s and %s (-flag +env):\n%s", name, envName(name), diff)
		}
	})
	if n != 36 {
		t.Errorf("%d settings; a new one needs a value here if a check would refuse \"seven\"", n)
	}
}

func TestConfigIsRefused(t *testing.T) {
	for _, tc := range []struct {
		name, file string
		env        map[string]string
		args       []string
		want       string
	}{
		{name: "unknown key", file: "dta: x\n", want: "dta"},
		{name: "repeated key", file: "data: x\ndata: y\n", want: "already defined"},
		{name: "not YAML", file: "data: [\n", want: "config"},
		{name: "wrong type", file: "anchor_interval: often\n", want: "often"},
		{name: "wrong variable", env: map[string]string{"WRIT_DISK_RESERVE": "much"}, want: "WRIT_DISK_RESERVE"},
		{name: "no data", args: []string{"--data="}, want: "--data"},
		{name: "certificate without key", args: []string{"--tls-cert=c"}, want: "--tls-key"},
		{name: "key without certificate", args: []string{"--tls-key=k"}, want: "--tls-cert"},
		{name: "client CA that demands nothing", args: []string{"--client-ca=c", "--tls-cert=c", "--tls-key=k"}, want: "--require-client-cert"},
		{name: "client certificates without TLS", args: []string{"--require-client-cert"}, want: "--require-client-cert"},
		{name: "CA without its key", args: []string{"--ca-cert=c"}, want: "--ca-key"},
		{name: "trust domain in capitals", args: []string{"--spiffe-trust-domain=ACME"}, want: "--spiffe-trust-domain"},
		{name: "issuers' network that is none", args: []string{"--issuer-private=10.0.0.0"}, want: "--issuer-private"},
		{name: "followed network that is none", args: []string{"--follow-private=true"}, want: "--follow-private"},
		{name: "network of callbacks that is none", args: []string{"--callback-private=true"}, want: "--callback-private"},
		{name: "resolved network that is none", args: []string{"--resolve-private=10.0.0.0/8,x"}, want: "--resolve-private"},
		{name: "anchoring without a pause", args: []string{"--anchor-interval=99ms"}, want: "--anchor-interval"},
		{name: "no failures at all", args: []string{"--failure-burst=0"}, want: "--failure-burst"},
		{name: "negative burst", file: "caller_burst: -1\n", want: "--caller-burst"},
		{name: "no requests", env: map[string]string{"WRIT_MAX_IN_FLIGHT": "0"}, want: "--max-in-flight"},
		{name: "bound without end", args: []string{"--max-in-flight=1000001"}, want: "--max-in-flight"},
		{name: "zero rate", args: []string{"--caller-rate=0"}, want: "--caller-rate"},
		{name: "rate that is none", file: "failure_rate: .nan\n", want: "--failure-rate"},
		{name: "rate without end", args: []string{"--caller-rate=+Inf"}, want: "--caller-rate"},
		{name: "collector without scheme", args: []string{"--otlp-endpoint=localhost:4318"}, want: "--otlp-endpoint"},
		{name: "collector with a password", args: []string{"--otlp-endpoint=http://a:b@localhost:4318"}, want: "OTEL_EXPORTER_OTLP_HEADERS"},
		{name: "collector with a query", file: "otlp_endpoint: http://localhost:4318?x=1\n", want: "--otlp-endpoint"},
		{name: "share above all", args: []string{"--trace-ratio=1.1"}, want: "--trace-ratio"},
		{name: "share that is none", env: map[string]string{"WRIT_TRACE_RATIO": "nan"}, want: "--trace-ratio"},
		{name: "log format", file: "log_format: xml\n", want: "--log-format"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := resolveConfig(t, tc.file, tc.env, tc.args...)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want it to name %q", err, tc.want)
			}
		})
	}
	t.Run("missing file", func(t *testing.T) {
		t.Setenv("WRIT_CONFIG", filepath.Join(t.TempDir(), "none.yaml"))
		writ(t, "serve").want(t, 1, "none.yaml")
	})
	t.Run("log level", func(t *testing.T) {
		writ(t, "serve", "--data", t.TempDir(), "--log-level", "loud").want(t, 1, "--log-level")
	})
	for name, origin := range map[string]string{
		"path": "https://registry.example/x", "slash": "https://registry.example/", "plain http": "http://registry.example",
		"an address": "https://192.0.2.1", "another scheme": "ftp://registry.example", "user": "https://me@registry.example",
	} {
		t.Run("origin with "+name, func(t *testing.T) {
			cfg := testConfig(t.TempDir())
			cfg.Origin = origin
			if err := startFails(t, cfg); !strings.Contains(err.Error(), "--origin") {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestEmptyConfigFile(t *testing.T) {
	got, err := resolveConfig(t, "# nothing yet\n", nil)
	if err != nil || got != defaultServeConfig() {
		t.Errorf("got %+v, %v", got, err)
	}
}
