package main

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/writ-registry/writ/client/verify"
)

// newVerifyCmd checks receipts as writ-verify does.
func newVerifyCmd() *cobra.Command {
	var rpcURL, trustFile string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "verify FILE|-",
		Short: "Verify a receipt, without asking the registry that made it",
		Long: `Verify a receipt (*.writ.json), layer by layer. Without --trust the signatures are
checked against keys in the receipt itself, which shows that it is consistent and
not whose it is. With --rpc the chain is asked whether it holds the anchor.

The exit status is 0 if no layer failed, 1 if one did, 2 for a file that cannot
be read. Layers that could not be checked do not fail: read the grade.`,
		Example: `  writ verify decision.writ.json
  writ verify decision.writ.json --trust acme.trust.json --rpc http://127.0.0.1:8545
  writ receipt bafkrei... | writ verify - --json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
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
			report, failed := verify.Verify(cmd.Context(), receipt, trust, rpc)
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
