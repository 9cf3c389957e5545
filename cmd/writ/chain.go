package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/writ-registry/writ/anchor/evm"
	chainconfig "github.com/writ-registry/writ/chain-config"
)

// newChainCmd puts the contract on a chain and the log into it.
func newChainCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "chain",
		Short: "Deploy the anchor contract on a chain and register a log with it",
		Long: `Deploy the anchor contract on a chain and register a log with it. The embedded chain
needs neither: a registry does both at its first start.

A network is the name of a file that ships with the program (see chain-config), or
a file of your own. A key file holds 32 bytes in hexadecimal and is readable by you
alone; the wallet's pays for gas and has no authority over the log.`,
	}
	cmd.AddCommand(chainAddressCmd(), chainDeployCmd(), chainRegisterCmd())
	return cmd
}

// chainAddressCmd prints what has to be funded, or named, before a chain is used.
func chainAddressCmd() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "address FILE", Short: "Print the address of a key file", Args: cobra.ExactArgs(1),
		Example: "  writ chain address writ-data/keys/wallet.key",
		RunE: func(cmd *cobra.Command, args []string) error {
			secret, err := readLedgerKey(args[0])
			if err != nil {
				return err
			}
			wallet, err := evm.NewWallet(secret)
			if err != nil {
				return err
			}
			address := wallet.Address().Hex()
			if asJSON {
				return writeJSON(cmd.OutOrStdout(), map[string]string{"address": address})
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), address)
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "write the answer as JSON")
	return cmd
}

func chainDeployCmd() *cobra.Command {
	var network, key, record string
	var asJSON bool
	cmd := &cobra.Command{
		Use: "deploy --network NETWORK --key FILE", Short: "Put a new LogAnchor on a chain", Args: cobra.NoArgs,
		Long: `Put a new LogAnchor on a chain and check that the code there is, byte for byte, the
code that this program was built with. Each call makes a contract.`,
		Example: `  writ chain deploy --network geth-dev --key writ-data/keys/wallet.key
  writ chain deploy --network my-chain.yaml --key wallet.key --record my-chain.LogAnchor.json`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			n, wallet, err := networkAndWallet(network, key)
			if err != nil {
				return err
			}
			d, err := evm.Deploy(cmd.Context(), n, nil, wallet)
			if err != nil {
				return err
			}
			if record != "" {
				if err := d.WriteFile(record); err != nil {
					return fmt.Errorf("LogAnchor is at %s (transaction %s), but the record is not written: %w", d.Address.Hex(), d.TxHash.Hex(), err)
				}
			}
			if asJSON {
				return writeJSON(cmd.OutOrStdout(), d)
			}
			s := newScreen(cmd.OutOrStdout())
			s.printf("%s is on %s\n", s.bold("LogAnchor"), networkLabel(n))
			s.fields("address", d.Address.Hex(), "transaction", d.TxHash.Hex(), "block", fmt.Sprint(d.Block), "gas", fmt.Sprint(d.GasUsed),
				"paid by", d.Deployer.Hex(), "code", d.CodeHash.Hex()+"  (compared: it is this program's)", "time", d.Time.Format(time.RFC3339), "record", record)
			s.printf("\nFor the network file:\n\n  contract: %q\n  deploy_block: %d\n", d.Address.Hex(), d.Block)
			return s.err
		},
	}
	bindNetwork(cmd, &network, &key, &asJSON)
	cmd.Flags().StringVar(&record, "record", "", "`FILE` for the record of the deployment")
	return cmd
}

func chainRegisterCmd() *cobra.Command {
	var network, key, origin, headKey, guardian string
	var maxGrowth uint64
	var asJSON bool
	cmd := &cobra.Command{
		Use: "register --network NETWORK --key FILE --origin LINE --head-key ADDRESS --guardian ADDRESS", Args: cobra.NoArgs,
		Short: "Register a log with the LogAnchor of a network",
		Long: `Register a log with the LogAnchor of a network, under the wallet's address: nobody
else can take its name. The head key signs heads. The guardian may freeze the log
and replace the head key after a delay; keep its key offline. Repeating changes
nothing.`,
		Example: `  writ chain register --network geth-dev --key writ-data/keys/wallet.key \
      --origin writ.example --head-key 0x... --guardian 0x...`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			n, wallet, err := networkAndWallet(network, key)
			if err != nil {
				return err
			}
			r := evm.Registration{Origin: origin, MaxGrowth: maxGrowth}
			if err := setAddress(&r.HeadKey, headKey); err != nil {
				return fmt.Errorf("--head-key: %w", err)
			}
			if err := setAddress(&r.Guardian, guardian); err != nil {
				return fmt.Errorf("--guardian: %w", err)
			}
			if n.Contract.Big().Sign() == 0 {
				return fmt.Errorf("network %s names no contract: deploy one first", n.Name)
			}
			id, err := evm.Register(cmd.Context(), n, nil, wallet, r)
			if err != nil {
				return err
			}
			out := map[string]any{
				"network": n.Name, "chain_id": n.ChainID, "contract": n.Contract.Hex(), "log_id": "0x" + hex.EncodeToString(id[:]),
				"origin": origin, "registrant": wallet.Address().Hex(), "head_key": r.HeadKey.Hex(), "guardian": r.Guardian.Hex(),
			}
			if asJSON {
				return writeJSON(cmd.OutOrStdout(), out)
			}
			s := newScreen(cmd.OutOrStdout())
			s.printf("%s is registered on %s\n", s.bold(printable(origin)), networkLabel(n))
			s.fields("log id", "0x"+hex.EncodeToString(id[:]), "contract", n.Contract.Hex(), "registrant", wallet.Address().Hex(),
				"head key", r.HeadKey.Hex(), "guardian", r.Guardian.Hex())
			return s.err
		},
	}
	bindNetwork(cmd, &network, &key, &asJSON)
	f := cmd.Flags()
	f.StringVar(&origin, "origin", "", "origin line of the log's checkpoints")
	f.StringVar(&headKey, "head-key", "", "address of the key that signs heads")
	f.StringVar(&guardian, "guardian", "", "address of the guardian")
	f.Uint64Var(&maxGrowth, "max-growth", evm.DefaultMaxGrowth, "most entries that one anchor may add")
	for _, name := range []string{"origin", "head-key", "guardian"} {
		_ = cmd.MarkFlagRequired(name) // the flag exists
	}
	return cmd
}

func bindNetwork(cmd *cobra.Command, network, key *string, asJSON *bool) {
	f := cmd.Flags()
	f.StringVar(network, "network", "", "network that ships with the program, or a `FILE`.yaml")
	f.StringVar(key, "key", "", "`FILE` with the wallet's key")
	f.BoolVar(asJSON, "json", false, "write the answer as JSON")
	_ = cmd.MarkFlagRequired("network") // the flags exist
	_ = cmd.MarkFlagRequired("key")
}

func networkAndWallet(network, key string) (evm.Network, *evm.Wallet, error) {
	n, err := readNetwork(network)
	if err != nil {
		return n, nil, err
	}
	if n.Embedded {
		return n, nil, errors.New("the embedded chain lives inside a registry, which deploys and registers by itself")
	}
	secret, err := readLedgerKey(key)
	if err != nil {
		return n, nil, err
	}
	wallet, err := evm.NewWallet(secret)
	return n, wallet, err
}

// readNetwork reads a network file: one of ours by name, or a path.
func readNetwork(ref string) (evm.Network, error) {
	name, isFile := strings.CutSuffix(filepath.Base(ref), ".yaml")
	if !isFile && filepath.Base(ref) == ref {
		return evm.LoadNetwork(chainconfig.Files, ref)
	}
	return evm.LoadNetwork(os.DirFS(filepath.Dir(ref)), name)
}

// networkLabel names a network, and says so where it proves nothing to outsiders.
func networkLabel(n evm.Network) string {
	s := fmt.Sprintf("%s, chain %d", n.Name, n.ChainID)
	if n.OperatorsOwn {
		s += " (operator's own chain)"
	}
	return s
}

// readLedgerKey reads 32 bytes in hexadecimal from a file that nobody else may read.
func readLedgerKey(path string) (secret [32]byte, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return secret, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return secret, fmt.Errorf("others may read %s; chmod 600 it: %w", path, fs.ErrPermission)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return secret, err
	}
	b, err := hex.DecodeString(strings.TrimPrefix(strings.TrimSpace(string(raw)), "0x"))
	if err != nil || len(b) != 32 {
		return secret, fmt.Errorf("key %s: want 32 bytes in hexadecimal", path)
	}
	return [32]byte(b), nil
}

// setAddress reads an address. Mixed case must carry the right checksum (ERC-55).
func setAddress(to interface {
	UnmarshalText([]byte) error
}, text string) error {
	if err := to.UnmarshalText([]byte(text)); err != nil {
		return fmt.Errorf("%q is not an address", text)
	}
	digits := strings.TrimPrefix(text, "0x")
	if h, ok := to.(interface{ Hex() string }); ok && digits != strings.ToLower(digits) && text != h.Hex() {
		return fmt.Errorf("%q has a wrong checksum (ERC-55)", text)
	}
	return nil
}
