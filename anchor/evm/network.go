package evm

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"math/big"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/params"
	"go.yaml.in/yaml/v3"

	"github.com/writ-registry/writ/anchor"
)

// Network is one chain to anchor on: a file of chain-config/. It holds no
// secret, so it can be published and compared.
type Network struct {
	// Name identifies the network in the journal, in receipts and in every
	// output: lower-case letters, digits and hyphens. Never reuse one.
	Name string
	// Embedded says that the chain runs inside this process. Its id and its
	// contract belong to the folder then, and ChainID, RPC and Contract are
	// empty here.
	Embedded bool
	// ChainID is what the endpoint must report (EIP-155).
	ChainID uint64
	// RPC is the endpoint's URL: http, https, ws or wss.
	RPC string
	// RPCEnv names the environment variable that, when set, replaces RPC. An
	// URL with an access token in it belongs there.
	RPCEnv string
	// Contract is the LogAnchor in use; zero until it is deployed.
	Contract common.Address
	// DeployBlock is the contract's first block: events are searched from here.
	DeployBlock uint64
	// Finality says when an anchor is settled.
	Finality anchor.FinalityRule
	// Interval is the least time between two heads; 0 means the caller's default.
	Interval time.Duration
	// Fees bounds what a transaction may offer.
	Fees FeePolicy
	// OperatorsOwn marks a chain that the operator of the log runs. Its
	// anchors prove nothing to outsiders.
	OperatorsOwn bool
}

// FeePolicy bounds the fees of EIP-1559 transactions, in wei per gas. Above
// the bound the sender waits (anchor.ErrPushback); it never pays more.
type FeePolicy struct {
	MaxFee *big.Int // base fee and tip together
	MaxTip *big.Int // of that, to the block's builder
}

// networkFile is the YAML form of Network.
type networkFile struct {
	Name        string        `yaml:"name"`
	Embedded    bool          `yaml:"embedded"`
	ChainID     uint64        `yaml:"chain_id"`
	RPC         string        `yaml:"rpc"`
	RPCEnv      string        `yaml:"rpc_env"`
	Contract    string        `yaml:"contract"`
	DeployBlock uint64        `yaml:"deploy_block"`
	Finality    string        `yaml:"finality"`
	Interval    time.Duration `yaml:"interval"`
	Fees        struct {
		MaxFeeGwei float64 `yaml:"max_fee_gwei"`
		MaxTipGwei float64 `yaml:"max_tip_gwei"`
	} `yaml:"fees"`
	OperatorsOwn bool `yaml:"operators_own"`
}

var networkName = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)

// LoadNetwork reads <name>.yaml from fsys (chain-config's own files, or a
// folder of the operator's). The file must give the same name.
func LoadNetwork(fsys fs.FS, name string) (Network, error) {
	if !networkName.MatchString(name) {
		return Network{}, fmt.Errorf("network name %q: want lower-case letters, digits and hyphens", name)
	}
	raw, err := fs.ReadFile(fsys, name+".yaml")
	if err != nil {
		return Network{}, fmt.Errorf("network %s: %w", name, err)
	}
	n, err := ParseNetwork(raw)
	if err == nil && n.Name != name {
		err = fmt.Errorf("the file is named %s and describes %s", name, n.Name)
	}
	if err != nil {
		return Network{}, fmt.Errorf("network %s: %w", name, err)
	}
	return n, nil
}

// ParseNetwork reads one network file. Unknown and repeated keys, a second
// document and values out of range are errors.
func ParseNetwork(raw []byte) (Network, error) {
	var f networkFile
	dec := yaml.NewDecoder(bytes.NewReader(raw))
	dec.KnownFields(true)
	if err := dec.Decode(&f); err != nil {
		return Network{}, err
	}
	if err := dec.Decode(new(any)); !errors.Is(err, io.EOF) {
		return Network{}, errors.New("more than one document")
	}
	n := Network{
		Name: f.Name, Embedded: f.Embedded, ChainID: f.ChainID, RPC: f.RPC, RPCEnv: f.RPCEnv,
		DeployBlock: f.DeployBlock, Interval: f.Interval, OperatorsOwn: f.OperatorsOwn,
	}
	var err error
	if n.Contract, err = parseAddress(f.Contract); err != nil {
		return Network{}, fmt.Errorf("contract: %w", err)
	}
	if n.Finality, err = anchor.ParseFinalityRule(f.Finality); err != nil {
		return Network{}, err
	}
	if n.Fees.MaxFee, err = weiOfGwei(f.Fees.MaxFeeGwei); err != nil {
		return Network{}, fmt.Errorf("fees.max_fee_gwei: %w", err)
	}
	if n.Fees.MaxTip, err = weiOfGwei(f.Fees.MaxTipGwei); err != nil {
		return Network{}, fmt.Errorf("fees.max_tip_gwei: %w", err)
	}
	return n, n.check()
}

func (n Network) check() error {
	switch {
	case !networkName.MatchString(n.Name):
		return fmt.Errorf("name %q: want lower-case letters, digits and hyphens", n.Name)
	case n.Embedded && (n.ChainID != 0 || n.RPC != "" || n.RPCEnv != "" || n.Contract != (common.Address{}) || n.DeployBlock != 0):
		return errors.New("an embedded chain's id, endpoint, contract and deploy block come from its folder, not from the file")
	case n.Embedded && !n.OperatorsOwn:
		return errors.New("an embedded chain is the operator's own: set operators_own")
	case !n.Embedded && n.ChainID == 0:
		return errors.New("chain_id is missing")
	case !n.Embedded && n.RPC == "" && n.RPCEnv == "":
		return errors.New("rpc or rpc_env is missing")
	case n.Interval < 0:
		return fmt.Errorf("interval %s is negative", n.Interval)
	case n.Fees.MaxTip.Cmp(n.Fees.MaxFee) > 0:
		return errors.New("fees.max_tip_gwei is above fees.max_fee_gwei")
	}
	return nil
}

// endpoint returns the URL to dial.
func (n Network) endpoint() (string, error) {
	if n.Embedded {
		return "", fmt.Errorf("network %s runs inside the process: its client comes from there", n.Name)
	}
	url := n.RPC
	if n.RPCEnv != "" {
		if v := os.Getenv(n.RPCEnv); v != "" {
			url = v
		}
	}
	if url == "" {
		return "", fmt.Errorf("network %s has no endpoint: set %s", n.Name, n.RPCEnv)
	}
	return url, nil
}

// parseAddress reads an address, empty meaning zero. Mixed case must carry the
// right EIP-55 checksum; it is what catches a mistyped digit.
func parseAddress(s string) (common.Address, error) {
	if s == "" {
		return common.Address{}, nil
	}
	a := common.HexToAddress(s)
	digits, ok := strings.CutPrefix(s, "0x")
	if !ok || !common.IsHexAddress(s) {
		return common.Address{}, fmt.Errorf("%q is not an address", s)
	}
	if digits != strings.ToLower(digits) && s != a.Hex() {
		return common.Address{}, fmt.Errorf("%q has a wrong checksum (EIP-55)", s)
	}
	return a, nil
}

// weiOfGwei converts to whole wei. The range ends where a float64 stops
// holding them, far above any sane fee.
func weiOfGwei(gwei float64) (*big.Int, error) {
	wei := math.Round(gwei * params.GWei)
	if !(gwei > 0) || wei < 1 || wei > 1<<53 {
		return nil, fmt.Errorf("%g gwei is out of range", gwei)
	}
	return big.NewInt(int64(wei)), nil
}
