package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/writ-registry/writ/anchor"
	"github.com/writ-registry/writ/api"
	"github.com/writ-registry/writ/internal/follow"
	"github.com/writ-registry/writ/internal/hotstate"
	"github.com/writ-registry/writ/internal/jose"
	"github.com/writ-registry/writ/internal/passkey"
	"github.com/writ-registry/writ/internal/signin"
	"github.com/writ-registry/writ/internal/sqlstore"
	"github.com/writ-registry/writ/internal/workload"
	"github.com/writ-registry/writ/registry"
	"github.com/writ-registry/writ/registry/did"
	"github.com/writ-registry/writ/registry/journal"
	"github.com/writ-registry/writ/registry/policy"
)

func newServeCmd() *cobra.Command {
	cfg := defaultServeConfig()
	var file string
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run a registry",
		Long: `Run a registry: REST API, decision point, transparency log, and anchoring.

The first start creates the data folder with its keys and the operator's
credential (DATA/operator.token), fixes the public origin, and, by default,
starts an EVM chain of its own in the same process. That chain is the
operator's: it shows the mechanism and proves nothing to outsiders.

Every setting is a flag, a WRIT_* variable or a key of the YAML file given with
--config, in that order of precedence.`,
		Example: `  writ serve
  writ serve --data /var/lib/writ --listen :8443 --origin https://registry.example \
      --tls-cert cert.pem --tls-key key.pem --chain sepolia`,
		Args: cobra.NoArgs,
	}
	cfg.bind(cmd.Flags())
	cmd.Flags().StringVar(&file, "config", "", "YAML file of settings")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if file == "" {
			file = os.Getenv("WRIT_CONFIG")
		}
		if err := cfg.resolve(cmd.Flags(), file, os.Getenv); err != nil {
			return err
		}
		log, err := newLogger(cfg)
		if err != nil {
			return err
		}
		s, err := startServer(cmd.Context(), cfg, log)
		if err != nil {
			return err
		}
		fmt.Fprintf(cmd.OutOrStdout(), "writ %s\n  listening  %s\n  origin     %s\n  data       %s\n  token      %s\n  chain      %s\n",
			version(), s.URL, s.Origin, cfg.Data, filepath.Join(cfg.Data, tokenFile), s.describeChain())
		return s.Wait(cmd.Context())
	}
	return cmd
}

func newLogger(cfg serveConfig) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(cfg.LogLevel)); err != nil {
		return nil, fmt.Errorf("--log-level: %w", err)
	}
	opts := &slog.HandlerOptions{Level: level}
	if cfg.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(os.Stderr, opts)), nil
	}
	return slog.New(slog.NewTextHandler(os.Stderr, opts)), nil
}

// Files of the data folder.
const (
	databaseFile = "writ.db"
	tokenFile    = "operator.token"
	addressFile  = "address"
	chainFolder  = "chain"
	lockFile     = "lock"
)

// server is a running registry.
type server struct {
	URL    string // where it listens
	Origin string
	Token  string // the operator's credential
	RPC    string // JSON-RPC of the embedded chain, "" otherwise

	cfg       serveConfig
	log       *slog.Logger
	lock      *os.File
	db        *sqlstore.DB
	keys      *keyring
	logOrigin string
	logKey    string // verifier key of the checkpoints

	registry    *registry.Registry
	signIn      *signin.RelyingParty
	certifier   *certifier
	pdp         *policy.PDP
	follower    *follow.Follower
	journal     *journal.Journal
	usage       *registry.Usage
	sightings   *registry.Sightings
	redis       *hotstate.Redis // nil without --redis
	moved       chan struct{}   // wakes fanOut
	checkpoints *anchor.Checkpointer
	anchoring   atomic.Pointer[anchoring] // nil with --chain none, and until an endpoint answers
	metrics     *api.Metrics
	tracing     *tracing // nil without --otlp-endpoint

	http    *http.Server
	cancel  context.CancelFunc
	tasks   *errgroup.Group
	stopped chan struct{}
	err     error
}

// startServer brings a registry up in the order in which its parts need each
// other, and returns when it answers requests. Start-up is recovery: whatever a
// crash left is found and mended here, or refused with the reason.
func startServer(ctx context.Context, cfg serveConfig, log *slog.Logger) (_ *server, err error) {
	s := &server{cfg: cfg, log: log, stopped: make(chan struct{}), moved: make(chan struct{}, 1), metrics: api.NewMetrics()}
	defer func() {
		if err != nil {
			s.closeAll()
		}
	}()
	if s.tracing, err = openTracing(ctx, cfg, s.metrics, log); err != nil {
		return nil, err
	}
	if err := s.openFolder(); err != nil {
		return nil, err
	}
	if s.db, err = sqlstore.Open(ctx, filepath.Join(cfg.Data, databaseFile)); err != nil {
		return nil, err
	}
	if err := s.claimFolder(ctx); err != nil {
		return nil, err
	}
	listener, err := s.openOrigin(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.openRegistry(ctx); err != nil {
		listener.Close()
		return nil, err
	}
	run, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	s.tasks, run = errgroup.WithContext(run)
	s.tasks.Go(func() error { return s.journal.Run(run) })
	err = s.bootstrap(ctx)
	// The chain speaks before anything is signed: where the second home is new
	// as well, only it knows that this database is not the newest.
	if err == nil {
		err = s.openAnchoring(ctx)
	}
	if err == nil {
		err = s.checkpoints.Check(ctx)
	}
	if err == nil {
		err = s.openMemory(ctx)
	}
	if err != nil {
		listener.Close()
		return nil, err
	}
	return s, s.serve(run, listener)
}

// openFolder creates the data folder and takes its lock: one process a folder.
func (s *server) openFolder() (err error) {
	if err := os.MkdirAll(s.cfg.Data, 0o700); err != nil {
		return fmt.Errorf("data folder: %w", err)
	}
	s.lock, err = os.OpenFile(filepath.Join(s.cfg.Data, lockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("data folder: %w", err)
	}
	if err := syscall.Flock(int(s.lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return fmt.Errorf("data folder %s is in use by another process", s.cfg.Data)
	}
	if s.keys, err = openKeyring(s.cfg.Data); err != nil {
		return err
	}
	// SQLite would create it for all to read, and its journal like it.
	db, err := os.OpenFile(filepath.Join(s.cfg.Data, databaseFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("data folder: %w", err)
	}
	return db.Close()
}

// openOrigin opens the listener and settles the public origin, which is stored
// at the first start and only compared afterwards.
func (s *server) openOrigin(ctx context.Context) (net.Listener, error) {
	stored, err := s.db.Meta(ctx, "origin")
	if err != nil {
		return nil, err
	}
	if stored != "" && s.cfg.Origin != "" && s.cfg.Origin != stored {
		return nil, fmt.Errorf("--origin %s: this registry is %s; the origin is part of every identifier and cannot change", s.cfg.Origin, stored)
	}
	listener, err := net.Listen("tcp", s.listenAddress(stored))
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	s.Origin = stored
	if stored == "" {
		s.Origin = s.cfg.Origin
	}
	if s.Origin == "" {
		s.Origin = fmt.Sprintf("%s://localhost:%d", s.scheme(), listener.Addr().(*net.TCPAddr).Port)
	}
	if err := checkOrigin(s.Origin); err != nil {
		listener.Close()
		return nil, err
	}
	if stored == "" {
		if err := s.db.SetMeta(ctx, "origin", s.Origin); err != nil {
			listener.Close()
			return nil, err
		}
	}
	s.URL = fmt.Sprintf("%s://%s", s.scheme(), reachable(listener.Addr().(*net.TCPAddr)))
	s.logOrigin = logOrigin(s.Origin)
	return listener, nil
}

// listenAddress keeps a registry on localhost at the port its origin names.
func (s *server) listenAddress(stored string) string {
	addr := s.cfg.Listen
	if addr == "" {
		addr = defaultListen
	}
	host, port, err := net.SplitHostPort(addr)
	if u, e := url.Parse(stored); err == nil && e == nil && u.Hostname() == "localhost" && u.Port() != "" && (port == "0" || s.cfg.Listen == "") {
		return net.JoinHostPort(host, u.Port())
	}
	return addr
}

func (s *server) scheme() string {
	if s.cfg.TLSCert != "" {
		return "https"
	}
	return "http"
}

// reachable is an address that a client on this machine can use.
func reachable(a *net.TCPAddr) string {
	if a.IP.IsUnspecified() {
		return fmt.Sprintf("127.0.0.1:%d", a.Port)
	}
	return a.String()
}

func checkOrigin(origin string) error {
	u, err := url.Parse(origin)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.Scheme+"://"+u.Host != origin {
		return fmt.Errorf("--origin %q: want scheme, host and port only, such as https://registry.example", origin)
	}
	if u.Scheme == "http" && u.Hostname() != "localhost" {
		return fmt.Errorf("--origin %q: http is for localhost only", origin)
	}
	if _, err := did.Web(origin); err != nil {
		return fmt.Errorf("--origin %q: %w", origin, err)
	}
	return nil
}

// openRegistry opens the keys and wires the domain to its store.
func (s *server) openRegistry(ctx context.Context) error {
	backend, err := s.db.Journal(ctx, s.logOrigin)
	if err != nil {
		return err
	}
	s.journal = journal.New(journal.Config{Backend: backend, Log: s.logOrigin, Ready: s.writable, Observe: s.metrics.ObserveCommit, Moved: s.authorityMoved})
	s.usage = &registry.Usage{Store: backend.Usage(), Logger: s.log}
	s.sightings = &registry.Sightings{Store: s.db, Logger: s.log}
	token, err := s.keys.ed25519(keyToken)
	if err != nil {
		return err
	}
	status, err := s.keys.ed25519(keyStatus)
	if err != nil {
		return err
	}
	permit, err := s.keys.ed25519(keyPermit)
	if err != nil {
		return err
	}
	update, err := s.keys.ed25519(keyUpdate)
	if err != nil {
		return err
	}
	next, err := s.keys.ed25519(keyNext)
	if err != nil {
		return err
	}
	web, err := did.Web(s.Origin)
	if err != nil {
		return err
	}
	if s.certifier, err = s.openCertifier(); err != nil {
		return err
	}
	issuers, err := s.issuerClient()
	if err != nil {
		return err
	}
	seal, err := s.keys.bytes32(keySeal)
	if err != nil {
		return err
	}
	passkeys, err := passkey.New(s.Origin)
	if err != nil {
		return err
	}
	callback := s.Origin + api.CallbackPath
	s.registry = registry.New(registry.Config{
		Certifier: s.certifier, TrustDomain: s.cfg.SPIFFETrustDomain, Workloads: workload.NewVerifiers(issuers, time.Now),
		Sealer: registry.NewSealer(seal), CheckIssuer: signin.Check(callback, issuers), Passkeys: passkeys,
		Store: s.journal, Origin: s.Origin, DID: web.String(), TokenKey: token, StatusKey: status, PermitKey: permit, UpdateKey: update, NextKey: next,
		Successor: func(agent string, n int) (jose.Signer, error) {
			return next.Derive(fmt.Sprintf("writ did-update %s %d", agent, n))
		},
		LookupTXT: net.DefaultResolver.LookupTXT,
	})
	s.signIn = signin.New(signin.Config{Registry: s.registry, RedirectURL: callback, ReturnURL: s.Origin + api.SignedOutPath, HTTP: issuers})
	s.pdp = policy.New(s.journal, s.Origin, token.Public(), nil)
	s.pdp.Ready, s.pdp.Issuing = s.writable, web.String()
	s.pdp.Mint(permit, s.registry.PermitKeyID())
	if s.follower, err = s.openFollower(); err != nil {
		return err
	}
	s.pdp.Foreign = s.follower
	s.pdp.Unknown = s.sightings.Saw

	signer, verifier, vkey, err := s.keys.note(keyCheckpoint, s.logOrigin)
	if err != nil {
		return err
	}
	s.logKey = vkey
	s.checkpoints = anchor.NewCheckpointer(anchor.CheckpointerConfig{
		Log: s.db.Log(s.logOrigin), Signer: signer, Verifier: verifier,
		Store: s.db.Checkpoints(), Home: anchor.NewFileHome(s.checkpointHome()), NewHome: s.cfg.NewCheckpointHome,
		Anchors: s.anchorSource(), Tracer: s.tracing.tracer(), Logger: s.log,
	})
	return nil
}

func (s *server) checkpointHome() string {
	if s.cfg.CheckpointHome != "" {
		return s.cfg.CheckpointHome
	}
	return strings.TrimRight(s.cfg.Data, string(filepath.Separator)) + ".checkpoint"
}

// writable is asked before each commit: a log that its second home or a ledger
// contradicts, and a full disk, take no more writes.
func (s *server) writable() error {
	if err := s.checkpoints.Refused(); err != nil {
		return err
	}
	if a := s.anchoring.Load(); a != nil && a.submitter.Status().Halted {
		return fmt.Errorf("ledger %s: %w", a.ledger.Info().Name, anchor.ErrFork)
	}
	free, err := freeBytes(s.cfg.Data)
	if err != nil {
		return err
	}
	if free < s.cfg.DiskReserve {
		return fmt.Errorf("%d bytes are free in %s, the reserve is %d", free, s.cfg.Data, s.cfg.DiskReserve)
	}
	return nil
}

func freeBytes(dir string) (uint64, error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return 0, fmt.Errorf("free space of %s: %w", dir, err)
	}
	return st.Bavail * uint64(st.Bsize), nil
}

// bootstrap creates the operator at the first start. The credential is durable
// in its file before the registry knows it, so a crash in between is mended by
// the next start, with the same credential.
func (s *server) bootstrap(ctx context.Context) error {
	if conformanceBuild {
		return nil
	}
	path := filepath.Join(s.cfg.Data, tokenFile)
	raw, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("operator token: %w", err)
	}
	s.Token = strings.TrimSpace(string(raw))
	size, _, err := s.db.Log(s.logOrigin).Head(ctx)
	if err != nil {
		return err
	}
	if size > 0 { // the token's file may be gone by now: it belongs to the operator
		return s.registry.CheckKeys(ctx)
	}
	if s.Token == "" {
		s.Token = registry.NewSecret(registry.ActorPrincipal)
		if err := writeSecret(path, []byte(s.Token+"\n")); err != nil {
			return fmt.Errorf("operator token: %w", err)
		}
	}
	if _, err := s.registry.Bootstrap(ctx, s.Token); err != nil {
		return fmt.Errorf("first start: %w", err)
	}
	return nil
}

// serve starts the loops and the HTTP server.
func (s *server) serve(run context.Context, listener net.Listener) error {
	handler, err := s.handler()
	if err != nil {
		listener.Close()
		return err
	}
	tlsConfig, err := s.tlsConfig()
	if err != nil {
		listener.Close()
		return err
	}
	s.http = &http.Server{
		Handler: handler, TLSConfig: tlsConfig,
		// The first header's time runs from the accept, and pools of busy clients
		// hold connections that they have not used yet; to close one under a POST
		// is an error that HTTP clients do not retry.
		ReadHeaderTimeout: 30 * time.Second, ReadTimeout: 30 * time.Second, WriteTimeout: 60 * time.Second,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 32 << 10,
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	s.tasks.Go(func() error { return s.checkpoints.Run(run) })
	s.tasks.Go(func() error { return s.pdp.Run(run) })
	s.tasks.Go(func() error { return s.follower.Run(run) })
	s.tasks.Go(func() error { return s.follow(run, "a DID log does not follow yet", s.registry.Tend) })
	s.tasks.Go(func() error {
		return s.follow(run, "outcomes that did not come are not recorded yet", s.registry.Settle)
	})
	s.tasks.Go(func() error { return s.remind(run) })
	s.tasks.Go(func() error { return s.usage.Run(run) })
	s.tasks.Go(func() error { return s.sightings.Run(run) })
	if s.redis != nil {
		s.tasks.Go(func() error { return s.fanOut(run) })
	}
	if s.cfg.Chain != "none" {
		// A ledger that tells another history stops anchoring and writing, not
		// reading: readiness says so, and the operator decides.
		s.tasks.Go(func() error { return alarm(run, s.log, "anchoring stopped", s.anchor(run)) })
	}
	s.tasks.Go(func() error {
		var err error
		if tlsConfig != nil {
			err = s.http.ServeTLS(listener, "", "")
		} else {
			err = s.http.Serve(listener)
		}
		if errors.Is(err, http.ErrServerClosed) {
			return nil
		}
		return err
	})
	if err := os.WriteFile(filepath.Join(s.cfg.Data, addressFile), []byte(s.URL+"\n"), 0o644); err != nil {
		return fmt.Errorf("address file: %w", err)
	}
	go func() {
		s.err = s.tasks.Wait()
		close(s.stopped)
	}()
	return nil
}

// follow takes the steps that follow from what was decided and from time, until ctx
// ends. What it cannot do now it does later: nothing waits for it.
func (s *server) follow(ctx context.Context, behind string, step func(ctx context.Context, most int) (left int, err error)) error {
	const every, most = time.Second, 64
	for {
		left, err := step(ctx, most)
		if err != nil && ctx.Err() == nil {
			s.log.Warn(behind, "err", err)
		}
		wait := every
		if err == nil && left > 0 {
			wait = 0
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
}

// remind says at the start, and every hour, what is observed, until ctx ends.
func (s *server) remind(ctx context.Context) error {
	for {
		list, err := s.registry.Observations(ctx, registry.MaxPage)
		if err != nil && ctx.Err() == nil {
			s.log.Warn("what is observed is not known", "err", err)
		}
		for _, o := range list {
			s.log.Warn("under observation: what grants do not cover is permitted", "scope", o.Scope.Key(), "org", o.Org, "until", o.Until, "reason", o.Reason)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Hour):
		}
	}
}

// alarm keeps a task's failure from ending the others.
func alarm(ctx context.Context, log *slog.Logger, what string, err error) error {
	if err != nil && ctx.Err() == nil {
		log.Error(what, "err", err)
	}
	<-ctx.Done()
	return nil
}

// Wait returns when the server has ended: because ctx did, or on a fatal error.
func (s *server) Wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		s.log.Info("shutting down")
	case <-s.stopped:
	}
	return s.Close()
}

// Close ends the server: no new requests, those in hand are answered, the loops
// finish what they hold, then the stores close.
func (s *server) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	defer cancel()
	err := s.http.Shutdown(ctx)
	s.cancel()
	<-s.stopped
	s.closeAll()
	return errors.Join(s.err, err)
}

func (s *server) closeAll() {
	if s.cancel != nil {
		s.cancel()
		if s.http != nil {
			s.http.Close()
		}
		_ = s.tasks.Wait() // its error was or will be returned by Close
	}
	if a := s.anchoring.Load(); a != nil {
		if err := a.close(); err != nil {
			s.log.Error("close the ledger", "err", err)
		}
	}
	if s.redis != nil {
		if err := s.redis.Close(); err != nil {
			s.log.Error("close Redis", "err", err)
		}
	}
	if s.db != nil {
		if err := s.db.Close(); err != nil {
			s.log.Error("close database", "err", err)
		}
	}
	if s.lock != nil {
		s.lock.Close()
	}
	s.tracing.close()
}
