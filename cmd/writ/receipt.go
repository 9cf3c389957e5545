package main

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/writ-registry/writ/client"
)

// receiptSuffix ends the names of receipts.
const receiptSuffix = ".writ.json"

// receiptFetched is the JSON of writ receipt.
type receiptFetched struct {
	Event            string `json:"event"`
	File             string `json:"file"`
	Bytes            int    `json:"bytes"`
	Key              string `json:"key,omitempty"`     // file with the receipt of the event that added the key
	KeyEnd           string `json:"key_end,omitempty"` // that ended it; absent while the key counts
	ValidWhenDecided *bool  `json:"valid_when_decided,omitempty"`
}

// newReceiptCmd fetches receipts.
func newReceiptCmd() *cobra.Command {
	var conn connection
	var out string
	var disclose, key bool
	cmd := &cobra.Command{
		Use:   "receipt EVENT_CID",
		Short: "Fetch the receipt of an event, for anyone to verify offline",
		Long: `Fetch the receipt of an event: its bytes, the proof that it is in the log, the
signed checkpoint and the anchors on chains. Check it with writ verify, or with
writ-verify on a machine that knows nothing else of Writ.

--disclose adds the values that the event only commits to (arguments, resource,
the agent's own signature). Hand such a receipt to those who may know them.

--key also writes, beside the receipt of a decision, those of the events that gave
the agent the key that signed for it and, if it has ended, that ended it
(NAME.key.writ.json, NAME.key-end.writ.json): they show that the key was the agent's
when this was decided. Who signed is disclosed only, so it needs --disclose.
` + connectionHelp,
		Example: `  writ receipt bafkrei... -o decision.writ.json
  writ receipt bafkrei... | writ verify -
  writ receipt bafkrei... -o decision.writ.json --disclose --key`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			toFile := out != "" && out != "-"
			if key && (!disclose || !toFile) {
				return errors.New("--key needs --disclose, for who signed is not known without, and --output, for it writes files beside")
			}
			c, err := conn.open(cmd)
			if err != nil {
				return err
			}
			receipt, err := c.Receipt(cmd.Context(), args[0], disclose)
			if err != nil {
				return err
			}
			if !toFile {
				_, err = cmd.OutOrStdout().Write(append(receipt, '\n'))
				return err
			}
			mode := fs.FileMode(0o644)
			if disclose {
				mode = 0o600
			}
			if err := os.WriteFile(out, append(receipt, '\n'), mode); err != nil {
				return err
			}
			done := receiptFetched{Event: args[0], File: out, Bytes: len(receipt) + 1}
			if key {
				k, err := c.DecisionKey(cmd.Context(), args[0])
				if err == nil {
					err = done.writeKey(k)
				}
				if err != nil {
					return err
				}
			}
			return conn.say(cmd, done, done.print)
		},
	}
	conn.bind(cmd)
	cmd.Flags().StringVarP(&out, "output", "o", "", "`FILE` to write; standard output without it")
	cmd.Flags().BoolVar(&disclose, "disclose", false, "add the values that the event commits to")
	cmd.Flags().BoolVar(&key, "key", false, "also write the receipts that show that the key was the agent's then")
	return cmd
}

// writeKey writes the receipts of a key's events beside that of the decision.
// They disclose nothing.
func (r *receiptFetched) writeKey(k client.DecisionKey) error {
	write := func(kind string, receipt json.RawMessage) (string, error) {
		name := strings.TrimSuffix(r.File, receiptSuffix) + "." + kind + receiptSuffix
		return name, os.WriteFile(name, append(receipt, '\n'), 0o644)
	}
	var err error
	if r.Key, err = write("key", k.Added.Receipt); err != nil {
		return err
	}
	if k.Ended != nil {
		if r.KeyEnd, err = write("key-end", k.Ended.Receipt); err != nil {
			return err
		}
	}
	r.ValidWhenDecided = &k.ValidWhenDecided
	return nil
}

func (r *receiptFetched) print(s *screen) {
	verify := "writ verify " + r.File
	if r.Key != "" {
		verify += " --key " + r.Key
	}
	if r.KeyEnd != "" {
		verify += " --key-end " + r.KeyEnd
	}
	s.fields("receipt", r.File, "key", r.Key, "key end", r.KeyEnd, "verify", verify)
}
