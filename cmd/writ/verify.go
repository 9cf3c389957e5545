package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/writ-registry/writ/client/verify"
)

// newVerifyCmd checks receipts as writ-verify does.
func newVerifyCmd() *cobra.Command {
	var rpcURL, trustFile, keyFile, keyEndFile string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "verify FILE|-",
		Short: "Verify a receipt, without asking the registry that made it",
		Long: `Verify a receipt (*.writ.json), layer by layer. Without --trust the signatures are
checked against keys in the receipt itself, which shows that it is consistent and
not whose it is. With --rpc the chain is asked whether it holds the anchor.

With --key, the receipt of the event that gave the agent its key, it also says
whether the key that signed for a decision was the agent's then, by places in the
log and never by claimed times; --key-end is the receipt of the event that ended the
key. Both are written by writ receipt --key. That there was no earlier end than the
one shown is the registry's word.

The exit status is 0 if no layer failed, 1 if one did, 2 for a file that cannot
be read. Layers that could not be checked do not fail: read the grade.`,
		Example: `  writ verify decision.writ.json
  writ verify decision.writ.json --trust acme.trust.json --rpc http://127.0.0.1:8545
  writ receipt bafkrei... | writ verify - --json
  writ verify decision.writ.json --key decision.key.writ.json --key-end decision.key-end.writ.json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if keyEndFile != "" && keyFile == "" {
				return wrongCall(cmd, errors.New("--key-end needs --key: when a key ended says nothing without when it began"))
			}
			trust, err := readTrust(trustFile)
			if err != nil {
				return wrongCall(cmd, err)
			}
			receipt, err := readReceipt(args[0], cmd.InOrStdin())
			if err != nil {
				return wrongCall(cmd, err)
			}
			var rpc *verify.RPC
			if rpcURL != "" {
				rpc = &verify.RPC{URL: rpcURL}
			}
			var report verify.Report
			var failed error
			if keyFile == "" {
				report, failed = verify.Verify(cmd.Context(), receipt, trust, rpc)
			} else {
				events, err := readKeyEvents(keyFile, keyEndFile, cmd.InOrStdin())
				if err != nil {
					return wrongCall(cmd, err)
				}
				report, failed = verify.VerifyKey(cmd.Context(), receipt, events, trust, rpc)
			}
			if asJSON {
				err = writeJSON(cmd.OutOrStdout(), report)
			} else {
				err = report.WriteText(cmd.OutOrStdout())
			}
			if err == nil && failed != nil {
				err = exitCode(1)
			}
			return err
		},
	}
	cmd.Flags().StringVar(&rpcURL, "rpc", "", "JSON-RPC `URL` of the chain that holds the anchor")
	cmd.Flags().StringVar(&trustFile, "trust", "", "JSON `FILE` with the keys and chains that you trust")
	cmd.Flags().StringVar(&keyFile, "key", "", "receipt `FILE` of the event that gave the agent its key")
	cmd.Flags().StringVar(&keyEndFile, "key-end", "", "receipt `FILE` of the event that ended the key")
	cmd.Flags().BoolVar(&asJSON, "json", false, "write the report as JSON")
	return cmd
}

// wrongCall says what was wrong with the call, whose status is not that of a
// refused receipt.
func wrongCall(cmd *cobra.Command, err error) error {
	fmt.Fprintln(cmd.ErrOrStderr(), "writ:", err)
	return exitCode(2)
}

func readTrust(path string) (verify.Trust, error) {
	if path == "" {
		return verify.Trust{}, nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return verify.Trust{}, err
	}
	return verify.ParseTrust(data)
}

// readKeyEvents reads the receipts of a key's beginning and end; ended may be "".
func readKeyEvents(added, ended string, stdin io.Reader) (e verify.KeyEvents, err error) {
	if e.Added, err = readReceipt(added, stdin); err == nil && ended != "" {
		e.Ended, err = readReceipt(ended, stdin)
	}
	return e, err
}

// readReceipt returns a file, and no more of it than any receipt has.
func readReceipt(name string, stdin io.Reader) ([]byte, error) {
	in := stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	data, err := io.ReadAll(io.LimitReader(in, verify.MaxReceipt+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return data, nil
}
