package evm_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/ethclient"

	"github.com/writ-registry/writ/anchor"
	"github.com/writ-registry/writ/anchor/anchortest"
	"github.com/writ-registry/writ/anchor/evm"
	chainconfig "github.com/writ-registry/writ/chain-config"
)

// childEnv makes the test binary the process that TestEmbeddedKilled kills.
const childEnv = "WRIT_TEST_CHAIN_CHILD"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		anchorForEver(dir)
	}
	os.Exit(m.Run())
}

// fileStore is a journal that survives a kill: every change is in the file
// before the call returns.
type fileStore struct {
	*anchortest.Store
	path string
}

func openFileStore(path string) (fileStore, error) {
	var rows []anchor.AttemptRecord
	raw, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(raw, &rows)
	} else if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	return fileStore{anchortest.NewStore(rows...), path}, err
}

func (s fileStore) write() error {
	raw, err := json.Marshal(s.Rows())
	if err != nil {
		return err
	}
	tmp := s.path + ".tmp" // the killer is a signal, not a power cut
	if err := os.WriteFile(tmp, raw, 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, s.path)
}

func (s fileStore) SaveAttempt(ctx context.Context, rec anchor.AttemptRecord) (int64, error) {
	id, err := s.Store.SaveAttempt(ctx, rec)
	return id, errors.Join(err, s.write())
}

func (s fileStore) MarkAttempt(ctx context.Context, id int64, state anchor.AttemptState, c anchor.Confirmation) error {
	return errors.Join(s.Store.MarkAttempt(ctx, id, state, c), s.write())
}

// stack is what a process has: chain, ledger, journal, Submitter, and a log
// that lost nothing and has at least one entry more than was ever sent.
type stack struct {
	chain  *evm.Chain
	ledger *evm.Ledger
	store  fileStore
	log    *anchortest.Log
	sub    *anchor.Submitter
}

func openStack(ctx context.Context, dir string, opts evm.EmbeddedOptions) (*stack, error) {
	n, err := evm.LoadNetwork(chainconfig.Files, "embedded")
	if err != nil {
		return nil, err
	}
	s := &stack{log: anchortest.NewLog(1)}
	if s.chain, err = evm.OpenEmbedded(ctx, filepath.Join(dir, "chain"), opts); err != nil {
		return nil, err
	}
	if s.ledger, err = s.chain.OpenLedger(ctx, evm.Config{Network: n, Wallet: wallet}, registration()); err != nil {
		return nil, errors.Join(err, s.chain.Close())
	}
	if s.store, err = openFileStore(filepath.Join(dir, "journal.json")); err != nil {
		return nil, errors.Join(err, s.chain.Close())
	}
	for _, r := range s.store.Rows() {
		s.log.Append(int(r.Size + 1 - min(s.log.Newest().Size, r.Size+1)))
	}
	s.sub = anchor.NewSubmitter(anchor.SubmitterConfig{
		Ledger: s.ledger, Log: s.log, Signer: s.ledger.Signer(headKey), Attempts: s.store, Logger: quiet(),
	})
	return s, nil
}

// drain anchors the log's newest head and waits until it is settled.
func (s *stack) drain(ctx context.Context) error {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		if err := s.sub.Once(ctx); err != nil {
			return err
		}
		open, err := s.store.OpenAttempts(ctx, s.ledger.Info().Name, s.ledger.Info().LogID)
		if err != nil || len(open) == 0 && s.sub.Status().LedgerHead == s.log.Newest() {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// anchorForEver anchors heads one by one and says so, until it is killed.
func anchorForEver(dir string) {
	ctx := context.Background()
	s, err := openStack(ctx, dir, embeddedOptions())
	for err == nil {
		if err = s.drain(ctx); err == nil {
			fmt.Println("anchored", s.log.Newest().Size)
			s.log.Append(1)
		}
	}
	fmt.Println(err)
	os.Exit(1)
}

// TestEmbeddedKilled kills the process of a busy chain, without any warning,
// and goes on with its folder, several times. Whatever the chain lost comes
// back from the journal.
func TestEmbeddedKilled(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	dir := t.TempDir()
	for range 3 {
		killAfter(t, ctx, dir, 5)

		s, err := openStack(ctx, dir, embeddedOptions())
		if err != nil {
			t.Fatalf("open after a kill: %v", err)
		}
		before, err := s.ledger.Head(ctx, anchor.Included)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("killed with %d journal rows, the chain still holds head %d", len(s.store.Rows()), before.Size)
		if err := s.drain(ctx); err != nil {
			t.Fatalf("go on after a kill: %v", err)
		}
		if st := s.sub.Status(); st.Failed != 0 {
			t.Errorf("%d anchors were sent into a revert", st.Failed)
		}
		for _, r := range s.store.Rows() {
			c, err := s.ledger.Status(ctx, r.Attempt)
			if err != nil || r.State == anchor.StateSettled && c.BlockHash != r.Confirmation.BlockHash {
				t.Errorf("size %d is %s in block %s, the chain says %+v, %v", r.Size, r.State, r.Confirmation.BlockHash, c, err)
			}
		}
		if err := s.chain.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// killAfter starts a child on dir and kills it (SIGKILL) when it has said n
// times that it anchored something, in the middle of whatever it does next.
func killAfter(t *testing.T, ctx context.Context, dir string, n int) {
	t.Helper()
	child := exec.CommandContext(ctx, os.Args[0])
	child.Env = append(os.Environ(), childEnv+"="+dir)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for n > 0 && lines.Scan() {
		if !strings.HasPrefix(lines.Text(), "anchored ") {
			t.Errorf("the child says %q", lines.Text())
			break
		}
		n--
	}
	child.Process.Kill()
	child.Wait()
	if n > 0 {
		t.Fatalf("the child ended with %d anchors to go", n)
	}
}

// TestEmbeddedReopen stops and starts the chain and finds everything as it
// was, under the same chain id and contract.
func TestEmbeddedReopen(t *testing.T) {
	dir := t.TempDir()
	s, err := openStack(t.Context(), dir, embeddedOptions())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	deployment, err := s.chain.Deployment()
	if err != nil {
		t.Fatal(err)
	}
	if deployment.Address.Hex() != s.ledger.Info().Contract || deployment.GasUsed == 0 || deployment.CodeHash == (common.Hash{}) {
		t.Errorf("deployment record %+v", deployment)
	}
	info, head := s.ledger.Info(), s.log.Newest()
	if err := s.chain.Close(); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if s, err = openStack(t.Context(), dir, embeddedOptions()); err != nil {
		t.Fatal(err)
	}
	t.Logf("reopened in %s", time.Since(start))
	defer s.chain.Close()
	if got := s.ledger.Info(); got != info {
		t.Errorf("reopened as %+v, was %+v", got, info)
	}
	if got, err := s.ledger.Head(t.Context(), anchor.Safe); err != nil || got != head {
		t.Errorf("reopened with head %v (%v), was %v", got, err, head)
	}
	if err := s.drain(t.Context()); err != nil || s.sub.Status().Sent != 1 || s.sub.Status().Rebroadcast != 0 {
		t.Errorf("one head is new: %v, %+v", err, s.sub.Status())
	}
}

// TestEmbeddedLosesEverything takes back even the deployment, as a crash right
// after the first start may.
func TestEmbeddedLosesEverything(t *testing.T) {
	dir := t.TempDir()
	s, err := openStack(t.Context(), dir, embeddedOptions())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.chain.Close(); err != nil {
		t.Fatal(err)
	}
	// The anchor, the registration and the deployment.
	if s, err = openStack(t.Context(), dir, embeddedOptions().LoseBlocks(3)); err != nil {
		t.Fatal(err)
	}
	defer s.chain.Close()
	if head, err := s.ledger.Head(t.Context(), anchor.Included); err != nil || head.Size != 0 {
		t.Fatalf("head %v, %v", head, err)
	}
	if err := s.drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if st := s.sub.Status(); st.Reorged != 1 || st.SettledHead != s.log.Newest() {
		t.Errorf("status %+v", st)
	}
}

// TestEmbeddedRPC looks at the chain from outside, as a wallet does.
func TestEmbeddedRPC(t *testing.T) {
	c := openChain(t, t.TempDir())
	l := openLedger(t, c)
	if !strings.HasPrefix(c.Endpoint(), "http://127.0.0.1:") {
		t.Errorf("endpoint %s", c.Endpoint())
	}
	outside, err := ethclient.Dial(c.Endpoint())
	if err != nil {
		t.Fatal(err)
	}
	defer outside.Close()
	n := network(t, "embedded")
	n.Embedded, n.ChainID, n.RPC, n.Contract = false, c.ChainID().Uint64(), c.Endpoint(), common.HexToAddress(l.Info().Contract)
	other, err := evm.Open(t.Context(), evm.Config{Network: n, Wallet: wallet, Origin: origin, HeadKey: headKey.Address()})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if other.Info().LogID != l.Info().LogID {
		t.Error("another log from outside")
	}
	for method, want := range map[string]string{
		"eth_chainId":       `"result":"` + fmt.Sprintf("0x%x", c.ChainID()) + `"`,
		"eth_getLogs":       `"topics"`,
		"net_version":       `"result"`,
		"debug_setHead":     "does not exist",
		"admin_nodeInfo":    "does not exist",
		"dev_addWithdrawal": "does not exist",
		"txpool_status":     "does not exist",
	} {
		params := "[]"
		if method == "eth_getLogs" {
			params = `[{"fromBlock": "0x0"}]`
		}
		if got := post(t, c.Endpoint(), method, params); !strings.Contains(got, want) {
			t.Errorf("%s: got %s, want %s", method, got, want)
		}
	}
	req, _ := http.NewRequest(http.MethodPost, c.Endpoint(), strings.NewReader("{}"))
	req.Host = "attacker.example"
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusForbidden {
		t.Errorf("a foreign Host gets status %d", resp.StatusCode)
	}
}

func post(t *testing.T, url, method, params string) string {
	t.Helper()
	body := fmt.Sprintf(`{"jsonrpc": "2.0", "id": 1, "method": %q, "params": %s}`, method, params)
	resp, err := http.Post(url, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func TestEmbeddedRefusesFolder(t *testing.T) {
	made := t.TempDir()
	if err := openChain(t, made).Close(); err != nil {
		t.Fatal(err)
	}
	edit := func(old, new string) func(t *testing.T) string {
		return func(t *testing.T) string {
			dir := t.TempDir()
			raw, err := os.ReadFile(filepath.Join(made, "chain.json"))
			if err != nil {
				t.Fatal(err)
			}
			changed := bytes.Replace(raw, []byte(old), []byte(new), 1)
			if bytes.Equal(raw, changed) {
				t.Fatalf("no %q in %s", old, raw)
			}
			if err := os.WriteFile(filepath.Join(dir, "chain.json"), changed, 0o600); err != nil {
				t.Fatal(err)
			}
			return dir
		}
	}
	for _, tc := range []struct {
		name, want string
		dir        func(*testing.T) string
	}{
		{"foreign files", "not a chain of ours", func(t *testing.T) string {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "thesis.tex"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
			return dir
		}},
		{"other fork rules", "runs under Bogota", edit(`"Osaka"`, `"Bogota"`)},
		{"other chain id", "would begin it with", edit(`"chain_id": `, `"chain_id": 1`)},
		{"newer version", "newer than this program", edit(`"v": 1`, `"v": 2`)},
		{"unknown key", "unknown field", edit(`"v": 1`, `"v": 1, "w": 1`)},
		{"in use", "already used", func(t *testing.T) string {
			dir := t.TempDir()
			openChain(t, dir)
			return dir
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := evm.OpenEmbedded(t.Context(), tc.dir(t), embeddedOptions())
			wantError(t, err, tc.want)
		})
	}
	t.Run("other account", func(t *testing.T) {
		_, err := evm.OpenEmbedded(t.Context(), made, evm.EmbeddedOptions{Account: guardian, Logger: quiet()})
		wantError(t, err, "was made for account")
	})
	t.Run("chains differ", func(t *testing.T) {
		if a, b := openChain(t, made), openChain(t, t.TempDir()); a.ChainID().Cmp(b.ChainID()) == 0 {
			t.Error("two folders, one chain id")
		}
	})
}

func TestEmbeddedDiskReserve(t *testing.T) {
	dir := t.TempDir()
	free := uint64(evm.DefaultDiskReserve)
	opts := embeddedOptions()
	opts.FreeBytes = func(string) (uint64, error) { return free, nil }
	c, err := evm.OpenEmbedded(t.Context(), dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	l := openLedger(t, c)
	log := anchortest.NewLog(3)
	head := must(log.Signed(t.Context(), l.Signer(headKey), l.Info().LogID, anchor.Head{}, 3))
	a := must(l.Prepare(t.Context(), head))
	free--
	if err := l.Broadcast(t.Context(), a); !errors.Is(err, anchor.ErrPushback) {
		t.Errorf("broadcast on a full disk: %v", err)
	}
	if err := c.Run(t.Context()); !errors.Is(err, anchor.ErrPushback) {
		t.Errorf("Run on a full disk: %v", err)
	}
	if _, err := l.Head(t.Context(), anchor.Included); err == nil {
		t.Error("the chain still answers")
	}
	if _, err := evm.OpenEmbedded(t.Context(), dir, opts); !errors.Is(err, anchor.ErrPushback) {
		t.Errorf("open on a full disk: %v", err)
	}
}
