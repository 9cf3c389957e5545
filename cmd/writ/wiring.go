package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/writ-registry/writ/anchor"
	"github.com/writ-registry/writ/anchor/evm"
	"github.com/writ-registry/writ/api"
	chainconfig "github.com/writ-registry/writ/chain-config"
	"github.com/writ-registry/writ/internal/follow"
	"github.com/writ-registry/writ/internal/hotstate"
	"github.com/writ-registry/writ/internal/resolve"
	"github.com/writ-registry/writ/internal/sqlstore"
	"github.com/writ-registry/writ/registry/pki"
)

// anchoring is the place that heads are anchored at, and what carries them.
type anchoring struct {
	chain     *evm.Chain // nil unless embedded
	ledger    *evm.Ledger
	submitter *anchor.Submitter
}

func (a *anchoring) close() error {
	var err error
	if a.ledger != nil {
		err = a.ledger.Close()
	}
	if a.chain != nil {
		err = errors.Join(err, a.chain.Close())
	}
	return err
}

// openAnchoring opens the ledger at start. An endpoint that does not answer, or
// a disk too full for the embedded chain, is an alarm and not a refusal:
// decisions do not wait for a chain.
func (s *server) openAnchoring(ctx context.Context) error {
	if s.cfg.Chain == "none" {
		return nil
	}
	err := s.openLedger(ctx)
	if a := s.anchoring.Load(); a != nil && a.chain != nil {
		s.RPC = a.chain.Endpoint()
	}
	if errors.Is(err, anchor.ErrPushback) {
		s.log.Error("the ledger is not to be had; going on without it", "chain", s.cfg.Chain, "err", err)
		return nil
	}
	return err
}

// anchor carries heads to the ledger until ctx ends, opening it first where it
// did not answer before.
func (s *server) anchor(ctx context.Context) error {
	for s.anchoring.Load() == nil {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(10 * time.Second):
		}
		if err := s.openLedger(ctx); err != nil && !errors.Is(err, anchor.ErrPushback) {
			return err
		}
	}
	a := s.anchoring.Load()
	if a.chain != nil {
		s.tasks.Go(func() error { return alarm(ctx, s.log, "embedded chain stopped", a.chain.Run(ctx)) })
	}
	return a.submitter.Run(ctx)
}

// openLedger opens the ledger and compares the log with it.
func (s *server) openLedger(ctx context.Context) error {
	network, err := findNetwork(ctx, s.cfg.Chain, s.cfg.Contract)
	if err != nil {
		return err
	}
	head, err := s.evmKey(keyHead)
	if err != nil {
		return err
	}
	secret, err := s.keys.bytes32(keyWallet)
	if err != nil {
		return err
	}
	wallet, err := evm.NewWallet(secret)
	if err != nil {
		return err
	}
	cfg := evm.Config{Network: network, Wallet: wallet, Origin: s.logOrigin, HeadKey: head.Address()}
	a := &anchoring{}
	if network.Embedded {
		err = s.openEmbedded(ctx, a, cfg, head)
	} else {
		a.ledger, err = evm.Open(ctx, cfg)
	}
	if err == nil {
		err = s.compare(ctx, a.ledger)
	}
	if err != nil {
		return errors.Join(err, a.close())
	}
	interval := s.cfg.AnchorInterval
	if !network.Embedded { // a chain of our own goes at any pace, others say theirs
		interval = max(interval, network.Interval)
	}
	a.submitter = anchor.NewSubmitter(anchor.SubmitterConfig{
		Ledger: a.ledger, Log: s.checkpoints, Signer: a.ledger.Signer(head), Attempts: s.db.Anchors(),
		Interval: interval, Tracer: s.tracing.tracer(), Logger: s.log,
	})
	s.anchoring.Store(a)
	return nil
}

// compare refuses a ledger that holds more than the log, or another history.
func (s *server) compare(ctx context.Context, ledger *evm.Ledger) error {
	head, err := ledger.Head(ctx, anchor.Included)
	if err == nil {
		err = s.checkpoints.CheckHead(ctx, head.Size, head.Root)
	}
	if err != nil {
		return fmt.Errorf("compare the log with ledger %s: %w", ledger.Info().Name, err)
	}
	return nil
}

func (s *server) openEmbedded(ctx context.Context, a *anchoring, cfg evm.Config, head *evm.HeadKey) error {
	guardian, err := s.evmKey(keyGuardian)
	if err != nil {
		return err
	}
	a.chain, err = evm.OpenEmbedded(ctx, filepath.Join(s.cfg.Data, chainFolder), evm.EmbeddedOptions{
		// Twice the registry's: the chain makes way before a decision is refused.
		Account: cfg.Wallet.Address(), FreeBytes: freeBytes, DiskReserve: 2 * s.cfg.DiskReserve, Logger: s.log,
	})
	if err != nil {
		return err
	}
	a.ledger, err = a.chain.OpenLedger(ctx, cfg, evm.Registration{Origin: s.logOrigin, HeadKey: head.Address(), Guardian: guardian.Address()})
	return err
}

func (s *server) evmKey(name string) (*evm.HeadKey, error) {
	secret, err := s.keys.bytes32(name)
	if err != nil {
		return nil, err
	}
	return evm.NewHeadKey(secret)
}

// findNetwork reads what --chain names: a network of chain-config, a file of
// its form, or an RPC URL with --contract.
func findNetwork(ctx context.Context, name, contract string) (n evm.Network, err error) {
	switch {
	case strings.Contains(name, "://"):
		n, err = evm.CustomNetwork(ctx, name)
	case strings.HasSuffix(name, ".yaml"):
		var raw []byte
		if raw, err = os.ReadFile(name); err == nil {
			n, err = evm.ParseNetwork(raw)
		}
	default:
		n, err = evm.LoadNetwork(chainconfig.Files, name)
	}
	if err != nil {
		return n, fmt.Errorf("--chain: %w", err)
	}
	if contract != "" {
		if !common.IsHexAddress(contract) {
			return n, fmt.Errorf("--contract %q: not an address", contract)
		}
		n.Contract = common.HexToAddress(contract)
	}
	return n, nil
}

func (s *server) describeChain() string {
	a := s.anchoring.Load()
	if a == nil {
		return s.cfg.Chain + ": heads are not anchored"
	}
	info := a.ledger.Info()
	out := fmt.Sprintf("%s, id %s, contract %s", info.Name, info.ChainID, info.Contract)
	if info.OperatorsOwn {
		out += " (operator's own chain: it proves nothing to outsiders)"
	}
	if s.RPC != "" {
		out += "\n  rpc        " + s.RPC
	}
	return out
}

// anchorSource names the anchored heads; the ledger opens after the log, so it
// is looked at on each call.
func (s *server) anchorSource() anchor.AnchorSource { return anchorSource{s} }

type anchorSource struct{ s *server }

func (a anchorSource) NewestAnchors(ctx context.Context, origin string) ([]anchor.AnchorRecord, error) {
	open := a.s.anchoring.Load()
	if open == nil {
		return nil, nil
	}
	return anchor.NewAnchorSource(a.s.db.Anchors(), a.s.logOrigin, open.ledger.Info()).NewestAnchors(ctx, origin)
}

// openMemory lets unqualified permits be spent in Redis or in this process. A
// Redis that does not answer is no refusal to start: the database decides.
func (s *server) openMemory(ctx context.Context) (err error) {
	s.pdp.Memory = func(on bool) {
		s.metrics.InMemory(on)
		if on {
			s.log.Info("spent proofs of unqualified permits are remembered in memory", "redis", s.cfg.Redis != "")
		} else {
			s.log.Warn("the memory of spent proofs is lost; the database decides alone until it is back", "redis", s.cfg.Redis != "")
		}
	}
	if s.cfg.Redis == "" {
		return s.pdp.Remember(ctx, &hotstate.Memory{}) // one process a data folder
	}
	if s.redis, err = hotstate.OpenRedis(s.cfg.Redis, s.logOrigin); err != nil {
		return fmt.Errorf("--redis: %w", err)
	}
	return s.pdp.Remember(ctx, s.redis)
}

// fanOut tells other processes at the database that authority moved, and hears
// it of them, until ctx ends. Nothing waits for it, and what it loses is found in
// the database soon after.
func (s *server) fanOut(ctx context.Context) error {
	var hearing sync.WaitGroup
	hearing.Go(func() { _ = s.redis.Listen(ctx, s.journal.Notice) }) // until ctx ends
	defer hearing.Wait()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.moved:
			// The newest count stands for those before it.
			if m, err := s.journal.Moment(ctx, time.Minute); err == nil {
				_ = s.redis.Publish(ctx, m.Authority) // who does not hear it reads it
			}
		}
	}
}

// authorityMoved is the journal's Moved hook: it wakes fanOut.
func (s *server) authorityMoved(uint64) {
	select {
	case s.moved <- struct{}{}:
	default:
	}
}

// openFollower makes what follows the issuers on trust lists.
func (s *server) openFollower() (*follow.Follower, error) {
	fence, err := fenced("follow", s.cfg.FollowPrivate, s.cfg.FollowCA)
	if err != nil {
		return nil, err
	}
	return follow.New(follow.Config{
		Registry: s.registry, Resolve: fence, Interval: s.cfg.FollowInterval, Logger: s.log, Observe: s.metrics.Followed,
	}), nil
}

// handler is the REST API and the pages over the parts of this server.
func (s *server) handler() (http.Handler, error) {
	log := s.db.Log(s.logOrigin)
	cfg := api.Config{
		Registry: s.registry, PDP: s.pdp, Log: log, LogKey: s.logKey, Checkpoints: s.checkpoints,
		Receipts: anchor.NewProver(anchor.ProverConfig{
			Log: log, Events: s.db, Checkpoints: s.checkpoints, Store: s.db.Checkpoints(), Anchors: s.anchorSource(), LogKey: s.logKey,
		}),
		Anchors: func(ctx context.Context, before int64, limit int) ([]anchor.AttemptRecord, error) {
			return s.db.Anchors().List(ctx, sqlstore.AnchorFilter{}, before, limit)
		},
		Anchored: s.anchorSource(), Ready: s.ready, Metrics: s.metrics, Tracer: s.tracing.tracer(), Logger: s.log,
		FailureBurst: s.cfg.FailureBurst, FailureRate: s.cfg.FailureRate,
		CallerBurst: s.cfg.CallerBurst, CallerRate: s.cfg.CallerRate, MaxInFlight: s.cfg.MaxInFlight, SignIn: s.signIn,
	}
	resolver, err := s.resolver()
	if err != nil {
		return nil, err
	}
	if resolver != nil {
		cfg.Resolver = resolver
	}
	if a := s.anchoring.Load(); a != nil {
		cfg.Ledgers = []anchor.Info{a.ledger.Info()}
	}
	s.openConformance(&cfg)
	return api.New(cfg)
}

// resolver resolves foreign DIDs, remembering in the database what was seen of them;
// nil where that is turned off.
func (s *server) resolver() (*resolve.Resolver, error) {
	if !s.cfg.ResolveForeign {
		return nil, nil
	}
	c, err := fenced("resolve", s.cfg.ResolvePrivate, s.cfg.ResolveCA)
	if err != nil {
		return nil, err
	}
	c.Memory = s.db.DIDMemory()
	return resolve.New(c), nil
}

// fenced says where exchanges with others may lead, by the flags --KIND-private and
// --KIND-ca.
func fenced(kind, private, ca string) (c resolve.Config, err error) {
	if c.Allow, err = prefixes("--"+kind+"-private", private); err == nil && ca != "" {
		if c.RootCAs, err = readRoots(ca); err != nil {
			err = fmt.Errorf("--%s-ca: %w", kind, err)
		}
	}
	return c, err
}

// ready names what must work before requests are served. A ledger that does
// not answer is not among it: anchoring catches up.
func (s *server) ready(ctx context.Context) []api.Check {
	_, _, err := s.db.Log(s.logOrigin).Head(ctx)
	return []api.Check{{Name: "database", Err: err}, {Name: "writable", Err: s.writable()}}
}

func (s *server) tlsConfig() (*tls.Config, error) {
	if s.cfg.TLSCert == "" {
		return nil, nil
	}
	cert, err := tls.LoadX509KeyPair(s.cfg.TLSCert, s.cfg.TLSKey)
	if err != nil {
		return nil, fmt.Errorf("TLS: %w", err)
	}
	// Any certificate is asked for, and none is verified in the handshake: whose it is
	// depends on the org and the log, and is asked of each request. No CAs are named to
	// the client, for they would name the orgs.
	c := &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12, ClientAuth: tls.RequestClientCert}
	if s.cfg.RequireClientCert {
		var others []*x509.Certificate
		if s.cfg.ClientCA != "" {
			text, err := os.ReadFile(s.cfg.ClientCA)
			if err != nil {
				return nil, fmt.Errorf("client CA: %w", err)
			}
			if others, err = pki.ParseCertificates(text); err != nil {
				return nil, fmt.Errorf("client CA %s: %w", s.cfg.ClientCA, err)
			}
			if _, err = pki.NewRoots(others...); err != nil {
				return nil, fmt.Errorf("client CA %s: %w", s.cfg.ClientCA, err)
			}
		}
		c.ClientAuth, c.VerifyConnection = tls.RequireAnyClientCert, s.door(others)
	}
	return c, nil
}

// issuerClient asks the issuers that orgs name, of workload tokens and of people, behind
// the same fence as foreign DIDs.
func (s *server) issuerClient() (*http.Client, error) {
	cfg, err := fenced("issuer", s.cfg.IssuerPrivate, s.cfg.IssuerCA)
	if err != nil {
		return nil, err
	}
	return resolve.NewClient(cfg), nil
}

// prefixes reads the list of networks of a flag.
func prefixes(flag, text string) (list []netip.Prefix, err error) {
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		p, err := netip.ParsePrefix(part)
		if err != nil {
			return nil, fmt.Errorf("%s %q: want networks such as 10.0.0.0/8", flag, part)
		}
		list = append(list, p)
	}
	return list, nil
}

// TryRewrite plays an operator who signs another history with the log's own
// head key and sends it to the contract. It returns the contract's refusal; a
// nil error would mean that history was rewritten.
func (s *server) TryRewrite(ctx context.Context) error {
	a := s.anchoring.Load()
	if a == nil {
		return errors.New("there is no ledger")
	}
	key, err := s.evmKey(keyHead)
	if err != nil {
		return err
	}
	prev, err := a.ledger.Head(ctx, anchor.Included)
	if err != nil {
		return err
	}
	forged := anchor.Head{Size: prev.Size + 1, Root: [32]byte{0xde, 0xad, 31: byte(time.Now().Unix())}}
	signer := a.ledger.Signer(key)
	id := a.ledger.Info().LogID
	sig, err := signer.SignHead(ctx, id, forged)
	if err != nil {
		return err
	}
	// The best proof a forger has: the true one is for the true successor only.
	return a.ledger.Simulate(ctx, anchor.SignedHead{
		LogID: id, Head: forged, HeadKey: signer.HeadKey(), Signature: sig, Prev: prev, Proof: [][32]byte{forged.Root, prev.Root},
	})
}
