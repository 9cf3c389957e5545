package loganchor

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"errors"
	"maps"
	"math/big"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/accounts/abi/bind/v2"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/eth/ethconfig"
	"github.com/ethereum/go-ethereum/ethclient/simulated"
	"github.com/ethereum/go-ethereum/node"
	"github.com/ethereum/go-ethereum/params"
	"github.com/ethereum/go-ethereum/rpc"
	"github.com/google/go-cmp/cmp"
	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/merkle/testonly"

	"github.com/writ-registry/writ/contracts/evm/vectors/sparse"
)

const origin = "log.example/writ"

// chain is a simulated chain with the contract on it, one log registered, and a wallet for the gas.
type chain struct {
	*simulated.Backend
	id       *big.Int
	wallet   *ecdsa.PrivateKey
	headKey  *ecdsa.PrivateKey
	guardian *ecdsa.PrivateKey
	abi      *LogAnchor
	address  common.Address
	contract *bind.BoundContract
	logID    [32]byte
}

// osaka is the fork of today's mainnet: the simulated chain's own choice includes a repricing that is not in force.
func osaka(_ *node.Config, config *ethconfig.Config) {
	fork := *params.AllDevChainProtocolChanges
	fork.BogotaTime = nil
	config.Genesis.Config = &fork
}

func newChain(t *testing.T) *chain {
	t.Helper()
	c := &chain{wallet: newKey(t), headKey: newKey(t), guardian: newKey(t), abi: NewLogAnchor(), id: big.NewInt(1337)}
	rich := new(big.Int).Mul(big.NewInt(1000), big.NewInt(params.Ether))
	alloc := types.GenesisAlloc{}
	for _, key := range []*ecdsa.PrivateKey{c.wallet, c.guardian} {
		alloc[crypto.PubkeyToAddress(key.PublicKey)] = types.Account{Balance: rich}
	}
	c.Backend = simulated.NewBackend(maps.Clone(alloc), osaka)
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})

	result, err := bind.LinkAndDeploy(&bind.DeploymentParams{Contracts: []*bind.MetaData{&LogAnchorMetaData}},
		bind.DefaultDeployer(bind.NewKeyedTransactor(c.wallet, c.id), c.Client()))
	if err != nil {
		t.Fatal(err)
	}
	c.Commit()
	c.address = result.Addresses[LogAnchorMetaData.ID]
	c.contract = c.abi.Instance(c.Client(), c.address)
	c.logID = c.register(t, origin, 1_000_000)
	return c
}

func (c *chain) register(t *testing.T, origin string, maxGrowth uint64) [32]byte {
	t.Helper()
	c.mustSend(t, c.wallet, c.abi.PackRegister(origin, crypto.PubkeyToAddress(c.headKey.PublicKey),
		crypto.PubkeyToAddress(c.guardian.PublicKey), maxGrowth))
	return LogID(crypto.PubkeyToAddress(c.wallet.PublicKey), origin)
}

// send mines a transaction of the given calldata, or returns why it would revert.
func (c *chain) send(t *testing.T, from *ecdsa.PrivateKey, calldata []byte) (*types.Receipt, error) {
	t.Helper()
	tx, err := bind.Transact(c.contract, bind.NewKeyedTransactor(from, c.id), calldata)
	if err != nil {
		return nil, err
	}
	c.Commit()
	receipt, err := c.Client().TransactionReceipt(context.Background(), tx.Hash())
	if err != nil {
		t.Fatal(err)
	}
	if receipt.Status != types.ReceiptStatusSuccessful {
		t.Fatalf("transaction %s reverted after its gas was estimated", tx.Hash())
	}
	return receipt, nil
}

func (c *chain) mustSend(t *testing.T, from *ecdsa.PrivateKey, calldata []byte) *types.Receipt {
	t.Helper()
	receipt, err := c.send(t, from, calldata)
	if err != nil {
		t.Fatalf("send: %v (%v)", err, c.revertReason(err))
	}
	return receipt
}

// refused sends what the contract must refuse and returns the custom error that it refuses with.
func (c *chain) refused(t *testing.T, from *ecdsa.PrivateKey, calldata []byte) any {
	t.Helper()
	_, err := c.send(t, from, calldata)
	if err == nil {
		t.Fatal("the contract accepted it")
	}
	return c.revertReason(err)
}

func (c *chain) revertReason(err error) any {
	var revert rpc.DataError
	if !errors.As(err, &revert) {
		return nil
	}
	data, _ := revert.ErrorData().(string)
	reason, err := c.abi.UnpackError(common.FromHex(data))
	if err != nil {
		return nil
	}
	return reason
}

func (c *chain) packAnchor(t *testing.T, size uint64, root []byte, proof [][]byte) []byte {
	t.Helper()
	return c.packAnchorOf(t, c.logID, size, root, proof)
}

func (c *chain) packAnchorOf(t *testing.T, logID [32]byte, size uint64, root []byte, proof [][]byte) []byte {
	t.Helper()
	signature, err := SignDigest(TreeHeadDigest(c.id, c.address, logID, size, [32]byte(root)), c.headKey)
	if err != nil {
		t.Fatal(err)
	}
	return c.abi.PackAnchor(logID, size, [32]byte(root), hashes(proof), signature)
}

func (c *chain) head(t *testing.T, logID [32]byte) HeadOutput {
	t.Helper()
	head, err := bind.Call(c.contract, nil, c.abi.PackHead(logID), c.abi.UnpackHead)
	if err != nil {
		t.Fatal(err)
	}
	return head
}

func TestAgainstTheContract(t *testing.T) {
	c := newChain(t)

	t.Run("runtime code", func(t *testing.T) {
		got, err := c.Client().CodeAt(context.Background(), c.address, nil)
		if err != nil {
			t.Fatal(err)
		}
		want, err := RuntimeCode(c.id, c.address)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Error("the deployed code is not RuntimeCode")
		}
		if other, _ := RuntimeCode(c.id, common.Address{1}); bytes.Equal(got, other) {
			t.Error("the deployed code does not depend on its address")
		}
	})
	t.Run("log id", func(t *testing.T) {
		wallet := crypto.PubkeyToAddress(c.wallet.PublicKey)
		for _, origin := range []string{"", "x", origin, string(make([]byte, 33))} {
			got, err := bind.Call(c.contract, nil, c.abi.PackLogIdOf(wallet, origin), c.abi.UnpackLogIdOf)
			if err != nil {
				t.Fatal(err)
			}
			if want := LogID(wallet, origin); got != want {
				t.Errorf("log id of %q: contract %x, Go %x", origin, got, want)
			}
		}
	})
	t.Run("digest", func(t *testing.T) {
		root := [32]byte{1, 2, 3}
		for _, size := range []uint64{0, 1, 1<<32 + 5, MaxSize, 1<<64 - 1} {
			got, err := bind.Call(c.contract, nil, c.abi.PackHashTreeHead(c.logID, size, root), c.abi.UnpackHashTreeHead)
			if err != nil {
				t.Fatal(err)
			}
			if want := TreeHeadDigest(c.id, c.address, c.logID, size, root); got != want {
				t.Errorf("digest at %d: contract %x, Go %x", size, got, want)
			}
		}
	})
	t.Run("domain", func(t *testing.T) {
		got, err := bind.Call(c.contract, nil, c.abi.PackEip712Domain(), c.abi.UnpackEip712Domain)
		if err != nil {
			t.Fatal(err)
		}
		if got.Name != DomainName || got.Version != DomainVersion || got.ChainId.Cmp(c.id) != 0 || got.VerifyingContract != c.address {
			t.Errorf("got %+v", got)
		}
	})
	t.Run("limits", func(t *testing.T) {
		headKey, guardian := crypto.PubkeyToAddress(c.headKey.PublicKey), crypto.PubkeyToAddress(c.guardian.PublicKey)
		got := c.refused(t, c.wallet, c.abi.PackRegister("too much", headKey, guardian, MaxGrowth+1))
		if diff := cmp.Diff(&LogAnchorLogAnchorInvalidMaxGrowth{MaxGrowth: MaxGrowth + 1}, got); diff != "" {
			t.Error(diff)
		}
		c.register(t, "just enough", MaxGrowth)
	})
}

// TestAnchor walks a log through its life with trees, proofs and signatures that are all made in Go.
func TestAnchor(t *testing.T) {
	c := newChain(t)
	if got := c.head(t, c.logID); got.Size != 0 || got.Root != EmptyRoot || got.Frozen {
		t.Fatalf("head of a new log: %+v", got)
	}

	tree := testonly.New(rfc6962.DefaultHasher)
	grow := func(entries int) {
		for range entries {
			tree.AppendData([]byte{byte(tree.Size())})
		}
	}
	grow(5)
	calldata := c.packAnchor(t, tree.Size(), tree.Hash(), nil)
	receipt := c.mustSend(t, c.wallet, calldata)
	event, err := c.abi.UnpackHeadAnchoredEvent(receipt.Logs[0])
	if err != nil {
		t.Fatal(err)
	}
	if event.LogId != c.logID || event.Size != 5 || !bytes.Equal(event.Root[:], tree.Hash()) {
		t.Errorf("event %+v", event)
	}

	grow(8)
	proof, err := tree.ConsistencyProof(5, 13)
	if err != nil {
		t.Fatal(err)
	}
	c.mustSend(t, c.wallet, c.packAnchor(t, 13, tree.Hash(), proof))
	if got := c.head(t, c.logID); got.Size != 13 || !bytes.Equal(got.Root[:], tree.Hash()) {
		t.Errorf("head %+v", got)
	}

	t.Run("again", func(t *testing.T) {
		if receipt := c.mustSend(t, c.wallet, c.packAnchor(t, 13, tree.Hash(), nil)); len(receipt.Logs) != 0 {
			t.Errorf("%d events of an anchor that changes nothing", len(receipt.Logs))
		}
	})
	t.Run("stale", func(t *testing.T) {
		want := &LogAnchorLogAnchorStaleSize{LogId: c.logID, CurrentSize: 13, Size: 5}
		if diff := cmp.Diff(want, c.refused(t, c.wallet, calldata)); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("rewrite", func(t *testing.T) {
		rewritten := testonly.New(rfc6962.DefaultHasher)
		for i := range 20 {
			rewritten.AppendData([]byte{byte(i) ^ 0xff})
		}
		proof, err := rewritten.ConsistencyProof(13, 20)
		if err != nil {
			t.Fatal(err)
		}
		want := &LogAnchorLogAnchorInconsistent{LogId: c.logID, FirstSize: 13, SecondSize: 20}
		if diff := cmp.Diff(want, c.refused(t, c.wallet, c.packAnchor(t, 20, rewritten.Hash(), proof))); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("fork", func(t *testing.T) {
		fork := [32]byte{1}
		want := &LogAnchorLogAnchorConflictingRoot{LogId: c.logID, Size: 13, CurrentRoot: [32]byte(tree.Hash()), Root: fork}
		if diff := cmp.Diff(want, c.refused(t, c.wallet, c.packAnchor(t, 13, fork[:], nil))); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("signed by the gas wallet", func(t *testing.T) {
		grow(1)
		proof, err := tree.ConsistencyProof(13, 14)
		if err != nil {
			t.Fatal(err)
		}
		root := [32]byte(tree.Hash())
		signature, err := SignDigest(TreeHeadDigest(c.id, c.address, c.logID, 14, root), c.wallet)
		if err != nil {
			t.Fatal(err)
		}
		got := c.refused(t, c.wallet, c.abi.PackAnchor(c.logID, 14, root, hashes(proof), signature))
		if diff := cmp.Diff(&LogAnchorLogAnchorInvalidSignature{LogId: c.logID}, got); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("views", func(t *testing.T) {
		inclusion, err := tree.InclusionProof(7, 13)
		if err != nil {
			t.Fatal(err)
		}
		for leaf, want := range map[uint64]bool{7: true, 8: false} {
			calldata := c.abi.PackVerifyInclusion(c.logID, [32]byte(tree.LeafHash(leaf)), 7, hashes(inclusion))
			got, err := bind.Call(c.contract, nil, calldata, c.abi.UnpackVerifyInclusion)
			if err != nil {
				t.Fatal(err)
			}
			if got != want {
				t.Errorf("leaf %d at index 7: %v", leaf, got)
			}
		}
		consistency, err := tree.ConsistencyProof(6, 13)
		if err != nil {
			t.Fatal(err)
		}
		for size, want := range map[uint64]bool{6: true, 7: false} {
			calldata := c.abi.PackIsPastHead(c.logID, 6, [32]byte(tree.HashAt(size)), hashes(consistency))
			got, err := bind.Call(c.contract, nil, calldata, c.abi.UnpackIsPastHead)
			if err != nil {
				t.Fatal(err)
			}
			if got != want {
				t.Errorf("root of %d as that of 6: %v", size, got)
			}
		}
	})
	t.Run("rotation", func(t *testing.T) {
		next := newKey(t)
		nextAddress := crypto.PubkeyToAddress(next.PublicKey)
		c.mustSend(t, c.guardian, c.abi.PackProposeHeadKey(c.logID, nextAddress))
		if _, early := c.refused(t, c.guardian, c.abi.PackRotateHeadKey(c.logID)).(*LogAnchorLogAnchorRotationNotReady); !early {
			t.Error("the head key was replaced without delay")
		}
		if err := c.AdjustTime(48 * time.Hour); err != nil {
			t.Fatal(err)
		}
		c.mustSend(t, c.guardian, c.abi.PackRotateHeadKey(c.logID))
		if got := c.head(t, c.logID).HeadKey; got != nextAddress {
			t.Errorf("head key %s, want %s", got, nextAddress)
		}
	})
	t.Run("freeze and succeed", func(t *testing.T) {
		c.mustSend(t, c.guardian, c.abi.PackFreeze(c.logID))
		path, err := tree.ConsistencyProof(5, 13)
		if err != nil {
			t.Fatal(err)
		}
		c.mustSend(t, c.guardian, c.abi.PackRecordLastGoodHead(c.logID, 5, [32]byte(tree.HashAt(5)), hashes(path)))
		guardian := crypto.PubkeyToAddress(c.guardian.PublicKey)
		c.mustSend(t, c.guardian, c.abi.PackRegisterSuccessor(c.logID, "log.example/writ/2",
			crypto.PubkeyToAddress(c.headKey.PublicKey), guardian, 1000))
		successor := LogID(guardian, "log.example/writ/2")
		if got := c.head(t, successor); got.Size != 5 || !bytes.Equal(got.Root[:], tree.HashAt(5)) {
			t.Errorf("head of the successor: %+v", got)
		}
		state, err := bind.Call(c.contract, nil, c.abi.PackLogState(c.logID), c.abi.UnpackLogState)
		if err != nil {
			t.Fatal(err)
		}
		if state.Successor != successor || state.LastGoodSize != 5 {
			t.Errorf("state of the frozen log: %+v", state)
		}
		c.mustSend(t, c.wallet, c.packAnchorOf(t, successor, 13, tree.HashAt(13), path))
	})
}

// TestGas keeps whole transactions, as a node charges them, within the goals. contracts/evm/README.md has the table.
func TestGas(t *testing.T) {
	c := newChain(t)
	for _, test := range []struct {
		name          string
		first, second uint64
		goal          uint64
	}{
		{"1 to 2", 1, 2, 45_000},
		{"1e3 to 2e3", 1000, 2000, 53_500},
		{"1e6 to +1e3", 1_000_000, 1_001_000, 56_000},
		{"odd 1e6", 1_000_001, 1_001_001, 61_500},
		{"1e9 to +1e4", 1_000_000_000, 1_000_010_000, 64_000},
		{"odd 1e9", 1_000_000_001, 1_000_010_003, 72_000},
	} {
		t.Run(test.name, func(t *testing.T) {
			logID := c.register(t, test.name, MaxGrowth)
			tree := sparse.New(test.name, test.first, test.second)
			c.mustSend(t, c.wallet, c.packAnchorOf(t, logID, test.first, tree.Root(test.first), nil))
			proof, err := tree.Consistency(test.first, test.second)
			if err != nil {
				t.Fatal(err)
			}
			receipt := c.mustSend(t, c.wallet, c.packAnchorOf(t, logID, test.second, tree.Root(test.second), proof))
			t.Logf("%d gas, %d nodes", receipt.GasUsed, len(proof))
			if receipt.GasUsed > test.goal {
				t.Errorf("%d gas, goal %d", receipt.GasUsed, test.goal)
			}
		})
	}
	t.Run("eight logs in one", func(t *testing.T) {
		heads := make([]ILogAnchorSignedHead, 8)
		for i := range heads {
			name := "one of eight " + string(rune('1'+i))
			logID := c.register(t, name, MaxGrowth)
			tree := sparse.New(name, 1_000_000, 1_001_000)
			c.mustSend(t, c.wallet, c.packAnchorOf(t, logID, 1_000_000, tree.Root(1_000_000), nil))
			proof, err := tree.Consistency(1_000_000, 1_001_000)
			if err != nil {
				t.Fatal(err)
			}
			root := [32]byte(tree.Root(1_001_000))
			signature, err := SignDigest(TreeHeadDigest(c.id, c.address, logID, 1_001_000, root), c.headKey)
			if err != nil {
				t.Fatal(err)
			}
			heads[i] = ILogAnchorSignedHead{LogId: logID, Size: 1_001_000, Root: root, Proof: hashes(proof), Signature: signature}
		}
		receipt := c.mustSend(t, c.wallet, c.abi.PackAnchorMany(heads))
		each := receipt.GasUsed / uint64(len(heads))
		t.Logf("%d gas each", each)
		if each > 38_000 {
			t.Errorf("%d gas each, goal 38000", each)
		}
	})
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := crypto.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func hashes(proof [][]byte) [][32]byte {
	out := make([][32]byte, len(proof))
	for i, hash := range proof {
		out[i] = [32]byte(hash)
	}
	return out
}
