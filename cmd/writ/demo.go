package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/writ-registry/writ/anchor/evm"
	"github.com/writ-registry/writ/client"
)

// demoOptions is what can be chosen about a demo.
type demoOptions struct {
	url, token, rpc string
	json, keep      bool
	verbose         bool
	timeout         time.Duration
}

// newDemoCmd shows the whole loop on real parts.
func newDemoCmd() *cobra.Command {
	var o demoOptions
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show the whole loop: agents ask, the registry decides, the chain holds it",
		Long: `Start a registry with a chain of its own in a temporary folder and play a day of
some agents on it: what they may do is permitted, what they may not is denied, a
grant is handed on narrower and not wider, what cannot be undone waits for a human
and is done once, stops stop, and nginx (where there is one) lets nothing through
that is not permitted. Then prove it: every
event is anchored, every receipt verified offline and on the chain, tampered ones
and another history are refused.

Every step has an expected outcome. The exit status is 0 only if all of them came.

The chain is the operator's own: it shows the mechanism and proves nothing to
outsiders. With --url, the demo plays on a registry that is running; it needs an
operator's credential and the JSON-RPC address of the chain.`,
		Example: `  writ demo
  writ demo --json | jq .decisions
  writ demo --url http://localhost:8080 --token @writ-data/operator.token --rpc http://127.0.0.1:8545`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runDemo(cmd, o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.url, "url", "", "address of a running registry (default: one of its own)")
	f.StringVar(&o.token, "token", "", "operator's credential for --url, or @FILE that holds it (WRIT_TOKEN)")
	f.StringVar(&o.rpc, "rpc", "", "JSON-RPC address of the chain that the registry at --url anchors on")
	f.BoolVar(&o.json, "json", false, "write one JSON object to standard output, progress to standard error")
	f.BoolVar(&o.keep, "keep", false, "keep the temporary folder")
	f.BoolVar(&o.verbose, "verbose", false, "show the registry's log")
	f.DurationVar(&o.timeout, "timeout", 3*time.Minute, "longest time that all of it may take")
	return cmd
}

// demoResult is the JSON of the demo.
type demoResult struct {
	OK        bool           `json:"ok"`
	Agents    []demoAgentID  `json:"agents"`
	Decisions []demoDecision `json:"decisions"`
	Receipts  demoReceipts   `json:"receipts"`
	Anchor    demoAnchor     `json:"anchor"`
	Rewrites  []demoRewrite  `json:"rewrites"`
	Log       demoLog        `json:"log"`
	Nginx     bool           `json:"nginx"` // one was here, and stopped what it must
	Surprises []string       `json:"surprises,omitempty"`
	ElapsedMS int64          `json:"elapsed_ms"`
}

type demoAgentID struct {
	Name string `json:"name"`
	DID  string `json:"did"`
}

type demoDecision struct {
	Agent    string   `json:"agent"`
	Action   string   `json:"action"`
	Resource string   `json:"resource"`
	Via      string   `json:"via"` // pep | agent
	Verdict  string   `json:"verdict"`
	Reasons  []string `json:"reasons"`
	Event    string   `json:"event"`
}

type demoReceipts struct {
	Verified         int `json:"verified"` // offline
	OnChain          int `json:"on_chain"`
	AgentSigned      int `json:"agent_signed"` // decisions with the agent's own signature
	TamperedRejected int `json:"tampered_rejected"`
}

type demoAnchor struct {
	Chain    string `json:"chain"`
	ChainID  string `json:"chain_id"`
	Contract string `json:"contract"`
	Tx       string `json:"tx"`
	Gas      uint64 `json:"gas"`
	Size     uint64 `json:"size"`
	Root     string `json:"root"` // base64url
	Finality string `json:"finality"`
}

// demoRewrite is an attempt to put another history on the chain.
type demoRewrite struct {
	Attempt string `json:"attempt"`
	Refusal string `json:"refusal"` // the contract's error
}

type demoLog struct {
	Size uint64 `json:"size"`
	Root string `json:"root"`
}

// demo is one run.
type demo struct {
	*screen
	client     *client.Client // of the owner of the demo's org
	gateway    *client.Client // the enforcement point of the ERP system
	other      *client.Client // another one before the same system
	org        client.Org
	erp        string // the resource server that the gateways guard
	bank       string // another one
	relayed    int    // proven acts that nginx asked about
	rpc        string
	tryRewrite func(context.Context) error // nil: the log's head key is out of reach
	events     []client.Event
	contract   *demoContract // once the events are anchored
	result     demoResult
}

// runDemo plays the demo and says how it went.
func runDemo(cmd *cobra.Command, o demoOptions) error {
	began := time.Now()
	ctx, cancel := context.WithTimeout(cmd.Context(), o.timeout)
	defer cancel()
	progress := cmd.OutOrStdout()
	if o.json {
		progress = cmd.ErrOrStderr()
	}
	d := &demo{screen: newScreen(progress), result: demoResult{Agents: []demoAgentID{}, Decisions: []demoDecision{}, Rewrites: []demoRewrite{}}}
	err := d.play(ctx, o)
	if err != nil {
		d.surprise("%v", err)
	}
	d.result.OK = len(d.result.Surprises) == 0
	d.result.ElapsedMS = time.Since(began).Milliseconds()
	d.close()
	if o.json {
		if err := writeJSON(cmd.OutOrStdout(), d.result); err != nil {
			return err
		}
	}
	if !d.result.OK {
		return exitCode(1)
	}
	return d.err
}

// play is the demo from the first step to the last.
func (d *demo) play(ctx context.Context, o demoOptions) (err error) {
	stop, err := d.open(ctx, o)
	if err != nil {
		return err
	}
	defer func() {
		if d.contract != nil {
			d.contract.chain.Close()
		}
		err = errors.Join(err, stop())
	}()
	for _, step := range []func(context.Context) error{
		d.found, d.invoices, d.logistics, d.trading, d.irreversible, d.replays,
		d.rotation, d.family, d.delegation, d.payment, d.gate, d.partners, d.anchored, d.receipts, d.rewrites,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// open finds the registry that was named, or starts one in a temporary folder.
func (d *demo) open(ctx context.Context, o demoOptions) (stop func() error, err error) {
	d.printf("%s\n\n", d.bold("Writ: who is this agent, what may it do, and can you prove it later"))
	if o.url != "" {
		if o.rpc == "" {
			return nil, errors.New("--url needs --rpc: without the chain's own word nothing is proven")
		}
		conn := connection{url: o.url, token: o.token}
		url, token, err := conn.resolve(false)
		if err != nil {
			return nil, err
		}
		d.rpc = o.rpc
		d.client, err = client.New(url, token, client.Options{})
		d.fields("registry", url, "chain", o.rpc)
		return func() error { return nil }, err
	}
	folder, err := os.MkdirTemp("", "writ-demo-")
	if err != nil {
		return nil, err
	}
	remove := func() error {
		if o.keep {
			return nil
		}
		return os.RemoveAll(folder)
	}
	cfg := defaultServeConfig()
	cfg.Data, cfg.Listen, cfg.AnchorInterval = filepath.Join(folder, "data"), "127.0.0.1:0", 100*time.Millisecond
	log := slog.New(slog.DiscardHandler)
	if o.verbose {
		log = slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	s, err := startServer(ctx, cfg, log)
	if err != nil {
		return nil, errors.Join(err, remove())
	}
	stop = func() error { return errors.Join(s.Close(), remove()) }
	d.rpc, d.tryRewrite = s.RPC, s.TryRewrite
	if d.client, err = client.New(s.URL, s.Token, client.Options{}); err != nil {
		return nil, errors.Join(err, stop())
	}
	where := cfg.Data + "  (removed at the end)"
	if o.keep {
		where = cfg.Data + "  (kept)"
	}
	d.fields("registry", s.URL, "data", where, "chain", "operator's own chain, JSON-RPC at "+s.RPC)
	return stop, nil
}

// chapter begins a part of the demo.
func (d *demo) chapter(title string) { d.printf("\n%s\n", d.bold(title)) }

// check notes a surprise where a step did not come out as expected.
func (d *demo) check(ok bool, format string, args ...any) {
	if !ok {
		d.surprise(format, args...)
	}
}

func (d *demo) surprise(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	d.result.Surprises = append(d.result.Surprises, text)
	d.printf("  %s %s\n", d.verdict(client.Deny, "SURPRISE"), printable(text))
}

// close says how it went.
func (d *demo) close() {
	r := d.result
	d.printf("\n")
	if r.OK {
		d.printf("%s  %d agents, %d decisions, %d receipts, %.1f s\n", d.verdict(client.Permit, "All of it held."),
			len(r.Agents), len(r.Decisions), r.Receipts.Verified, float64(r.ElapsedMS)/1000)
		return
	}
	d.printf("%s\n", d.verdict(client.Deny, "It did not hold:"))
	for _, s := range r.Surprises {
		d.printf("  %s\n", printable(s))
	}
}

// refusal is the name of the contract's error.
func refusal(err error) string {
	if err == nil {
		return ""
	}
	return first(evm.DecodeRevert(err), err.Error())
}
