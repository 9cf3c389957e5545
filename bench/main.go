// Command bench measures Writ, and its peers in the same run.
//
//	go run ./bench --scenario decision --clients 64 --duration 10s --json
//	go run ./bench --scenario decision --clients 500 --rate 2000 --duration 20s --json
//	go run ./bench --scenario decision --clients 64 --duration 10s --peers --json
//	go run ./bench --seed DIR --agents 1000000 --entries 10000000
//	go run ./bench --scenario decision --clients 64 --duration 10s --data DIR --json
//
// The server under test is the real program, a process of its own on its own
// data folder. docs/benchmarks says how it is measured and what came of it.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"
	"time"
)

type options struct {
	scenario string
	clients  int
	rate     float64
	poisson  bool
	duration time.Duration
	json     bool

	peer  string // measured in place of Writ
	peers bool   // measured after Writ, those that fit the scenario
	bin   string
	writ  string
	tmp   string

	data    string
	seed    string
	agents  int
	entries int64
	active  int
	chain   string

	tesseraAge time.Duration
	serveBytes string
	writLog    string
}

func (o options) tool(name string) string { return filepath.Join(o.bin, name) }

func main() {
	var o options
	flag.StringVar(&o.scenario, "scenario", "", "what to measure: "+strings.Join(scenarios, ", "))
	flag.IntVar(&o.clients, "clients", 64, "connections; in an open loop, the most requests under way")
	flag.Float64Var(&o.rate, "rate", 0, "open loop: requests a second; 0 = closed loop")
	flag.BoolVar(&o.poisson, "poisson", true, "open loop: random arrivals; false = evenly spaced")
	flag.DurationVar(&o.duration, "duration", 10*time.Second, "of the measured time")
	flag.BoolVar(&o.json, "json", false, "rows as JSON, one a line; the last line is the scenario's")
	flag.StringVar(&o.peer, "peer", "", "measure opa, openfga, tessera or net-http in place of Writ")
	flag.StringVar(&o.serveBytes, "serve-bytes", "", "be the peer net-http at this address")
	flag.BoolVar(&o.peers, "peers", false, "measure the peers of the scenario first")
	flag.StringVar(&o.bin, "bin", "bin", "folder of the peers' programs (scripts/bench/peers.sh)")
	flag.StringVar(&o.writ, "writ", "", "the writ program (default: built from this checkout)")
	flag.StringVar(&o.tmp, "tmp", "", "where temporary data folders are made")
	flag.StringVar(&o.data, "data", "", "a data folder made by --seed (default: a small one, thrown away)")
	flag.StringVar(&o.seed, "seed", "", "make a data folder here and end")
	flag.IntVar(&o.agents, "agents", 1000, "agents to seed, and in a peer's store")
	flag.Int64Var(&o.entries, "entries", 10_000, "log entries to seed")
	flag.IntVar(&o.active, "active", 500, "how many of the agents act; 0 = all")
	flag.StringVar(&o.chain, "chain", "none", "none, or embedded: anchoring takes part")
	flag.DurationVar(&o.tesseraAge, "tessera-age", time.Millisecond, "how long Tessera waits for a batch to fill")
	flag.Parse()
	if o.serveBytes != "" {
		fmt.Fprintln(os.Stderr, "bench:", serveBytes(o.serveBytes))
		os.Exit(1)
	}
	debug.SetGCPercent(400) // the generator's garbage is not the measurement's

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := bench(ctx, o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func bench(ctx context.Context, o options) error {
	if err := o.check(); err != nil {
		return err
	}
	if err := o.build(ctx); err != nil {
		return err
	}
	if o.seed != "" {
		start := time.Now()
		h, err := seed(ctx, o.writ, o.seed, o.agents, o.entries, os.Stderr)
		if err != nil {
			return err
		}
		fmt.Printf("%s: %d agents, %d entries, seeded and checked in %.1f s\n", o.seed, h.Agents, h.Entries, time.Since(start).Seconds())
		return nil
	}
	if o.peers {
		// Peers first: the last line is the scenario's own.
		for _, peer := range map[string][]string{"decision": {"opa", "openfga"}, "light": {"opa", "openfga"}, "asserted": {"opa", "openfga"}, "verify": {"opa", "openfga"}, "resolve": {"net-http"}, "log": {"tessera/1ms", "tessera/10ms", "tessera/50ms"}}[o.scenario] {
			p := o
			p.peer = peer
			if name, age, ok := strings.Cut(peer, "/"); ok {
				p.peer = name
				p.tesseraAge, _ = time.ParseDuration(age)
			}
			if err := p.one(ctx); err != nil {
				// A peer that is not there must not sink the run; its row says why.
				p.print(row{Scenario: o.scenario, Target: peer, Clients: o.clients, Rate: o.rate, Entries: -1, Load: loadavg(), Error: err.Error()})
			}
		}
	}
	return o.one(ctx)
}

func (o options) check() error {
	switch {
	case o.seed == "" && !known(o.scenario):
		return fmt.Errorf("--scenario %q: want one of %s", o.scenario, strings.Join(scenarios, ", "))
	case o.clients < 1 || o.agents < 1 || o.active < 0 || o.rate < 0 || o.entries < 0:
		return errors.New("--clients and --agents are 1 or more, --active, --rate and --entries 0 or more")
	case o.duration <= 0 || o.duration > longest && !(o.rate > 0 && (o.scenario == "decision" || o.scenario == "light")) && o.scenario != "asserted" && o.scenario != "log" && o.peer == "":
		return fmt.Errorf("--duration %s: proofs made ahead are good for %s", o.duration, longest)
	case o.peer != "" && o.peers:
		return errors.New("--peer or --peers")
	}
	return nil
}

// build compiles the programs that were not given: figures belong to the
// source they stand beside.
func (o *options) build(ctx context.Context) error {
	if o.peer != "" {
		return nil
	}
	compile := func(name string, args ...string) (string, error) {
		out := filepath.Join(o.bin, name)
		cmd := exec.CommandContext(ctx, "go", append(append([]string{"build", "-trimpath", "-o", out}, args...), "./cmd/writ")...)
		cmd.Stdout, cmd.Stderr, cmd.Env = os.Stderr, os.Stderr, append(os.Environ(), "CGO_ENABLED=0")
		return out, cmd.Run()
	}
	var err error
	if o.scenario == "log" && o.writLog == "" {
		if o.writ != "" {
			o.writLog = o.writ
			return nil
		}
		o.writLog, err = compile("writ-conformance", "-tags", "conformance")
		return err
	}
	if o.writ == "" {
		o.writ, err = compile("writ-bench")
	}
	return err
}

// one measures one target and prints its row.
func (o options) one(ctx context.Context) (err error) {
	t, done, err := o.open(ctx)
	if err != nil {
		return err
	}
	r, err := run(ctx, o, t)
	if err = errors.Join(err, done()); err != nil {
		return err
	}
	o.print(r)
	return nil
}

func (o options) open(ctx context.Context) (*target, func() error, error) {
	if o.peer != "" {
		t, err := openPeer(ctx, o)
		if err != nil {
			return nil, nil, err
		}
		return t, t.close, nil
	}
	if o.scenario == "log" {
		t, err := openLog(ctx, o)
		if err != nil {
			return nil, nil, err
		}
		return t, t.close, nil
	}
	dir, clean := o.data, func() error { return nil }
	if dir == "" {
		tmp, err := os.MkdirTemp(o.tmp, "writ-bench-")
		if err != nil {
			return nil, nil, err
		}
		dir, clean = filepath.Join(tmp, "data"), func() error { return os.RemoveAll(tmp) }
		if _, err := seed(ctx, o.writ, dir, o.agents, o.entries, nil); err != nil {
			return nil, nil, errors.Join(err, clean())
		}
	}
	h, err := openHouse(dir)
	if err != nil {
		return nil, nil, errors.Join(err, clean())
	}
	t, err := openWrit(ctx, o, h)
	if err != nil {
		return nil, nil, errors.Join(err, clean())
	}
	return t, func() error { return errors.Join(t.close(), clean()) }, nil
}

func (o options) print(r row) {
	if o.json {
		raw, err := json.Marshal(r)
		if err != nil {
			panic(err) // a row always encodes
		}
		fmt.Println(string(raw))
		return
	}
	fmt.Printf("%-9s %-8s %4d clients  rate %6.0f  %7.0f/s  p50 %8.3f  p90 %8.3f  p99 %8.3f  p99.9 %8.3f ms  errors %d  rss %4.0f MiB  cpu %4.0f+%.0f us  load %s  %s %s\n",
		r.Scenario, r.Target, r.Clients, r.Rate, r.PerSec, r.P50, r.P90, r.P99, r.P999, r.Errors, r.RSS, r.ServerCPU, r.LoadCPU, r.Load, strings.Join(r.Notes, "; "), r.Error)
}
