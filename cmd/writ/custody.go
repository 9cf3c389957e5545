package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/writ-registry/writ/client"
)

func agentCustodyCmd(conn *connection) *cobra.Command {
	var key string
	var more []string
	cmd := &cobra.Command{
		Use:   "custody AGENT --key PEM",
		Short: "Hand the update keys of an agent's DID over to who controls it, for good",
		Long: `Hand the update keys of an agent's DID over. The registry signs one last entry of the
DID log, which commits to the key in the PEM file, and can sign none after it: the
document changes by writ agent did push only. The registry goes on to decide by what
it knows itself, so that rotations and stops count at once; where the DID log is
behind, writ agent show says so.

Make the key where it is to be kept (writ key commit), and others for the case that
it is lost: --also commits to them by their hashes. There is no way back, and a DID
whose update keys are all lost stays as it is.`,
		Example: `  writ key commit invoices-did.pem
  writ agent custody invoices.agent.json --key invoices-did.pem
  writ agent custody invoices.agent.json --key invoices-did.pem --also QmSafe...`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := conn.open(cmd)
			if err != nil {
				return err
			}
			holder, err := readKey(key)
			if err != nil {
				return err
			}
			a, err := findNamed(cmd.Context(), c, args[0])
			if err != nil {
				return err
			}
			in := client.NewCustody{JWK: holder.JWK(), NextKeyHashes: append([]string{holder.Commitment()}, more...)}
			origin, err := c.Origin(cmd.Context())
			if err == nil {
				in.Possession, err = holder.ProvePossession(origin, a.Org, a.Name)
			}
			if err != nil {
				return err
			}
			done, err := c.MoveCustody(cmd.Context(), a.ID, in)
			if err != nil {
				return err
			}
			return conn.say(cmd, saidChange("agent", done), func(s *screen) {
				s.printf("%s is updated by its controller alone from here on\n", s.bold(printable(done.Value.DID)))
				s.event(done.Event)
			})
		},
	}
	cmd.Flags().StringVar(&key, "key", "", "PEM `FILE` of the controller's update key, Ed25519")
	cmd.Flags().StringSliceVar(&more, "also", nil, "`HASH` of another key that may sign the next entry (writ key commit prints it); repeatable")
	_ = cmd.MarkFlagRequired("key") // the flag exists
	return cmd
}

// findNamed fetches an agent that is named by its file, id or DID.
func findNamed(ctx context.Context, c *client.Client, arg string) (client.Agent, error) {
	ref, err := agentRef(arg)
	if err != nil {
		return client.Agent{}, err
	}
	return c.Agent(ctx, ref)
}

func agentDIDCmd(conn *connection) *cobra.Command {
	cmd := &cobra.Command{Use: "did", Short: "Keep the DID logs of agents whose update keys you hold"}
	cmd.AddCommand(agentDIDPushCmd(conn))
	return cmd
}

// push is the input of agent did push.
type push struct {
	key, log string
	next     []string
	self     bool // the agent signs the call itself
}

func agentDIDPushCmd(conn *connection) *cobra.Command {
	var p push
	cmd := &cobra.Command{
		Use:   "push AGENT",
		Short: "Add the controller's next entry to an agent's DID log",
		Long: `Add the controller's next entry to the DID log of an agent that is out of the
registry's custody (writ agent custody).

With --key the entry is made here: it has the keys that count as the agent's, keeps
the rest of the document, and commits to --next-key for the entry after it. Once the
agent is revoked, the DID is ended. With --log the entries come from a did.jsonl that
was made elsewhere; those that the registry does not have are sent. Either way a key
is in the document only if the registry knows it to count: rotate there first.`,
		Example: `  writ key commit invoices-did-2.pem
  writ agent did push invoices.agent.json --key invoices-did.pem --next-key invoices-did-2.pem
  writ agent did push invoices.agent.json --self --log did.jsonl`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if (p.key == "") == (p.log == "") {
				return errors.New("give either --key, or --log")
			}
			c, err := p.open(cmd, conn, args[0])
			if err != nil {
				return err
			}
			a, err := findNamed(cmd.Context(), c, args[0])
			if err != nil {
				return err
			}
			return p.run(cmd, conn, c, a)
		},
	}
	f := cmd.Flags()
	f.StringVar(&p.key, "key", "", "PEM `FILE` of the update key that signs the entry")
	f.StringSliceVar(&p.next, "next-key", nil, "PEM `FILE` of the update key for the entry after it; repeatable")
	f.StringVar(&p.log, "log", "", "did.jsonl `FILE` with the entries to send")
	f.BoolVar(&p.self, "self", false, "the agent signs the call itself; AGENT is its file, and no credential is needed")
	return cmd
}

func (p *push) open(cmd *cobra.Command, conn *connection, arg string) (*client.Client, error) {
	if !p.self {
		return conn.open(cmd)
	}
	f, err := client.LoadAgentFile(arg)
	if err != nil {
		return nil, err
	}
	return client.New(first(conn.url, os.Getenv("WRIT_URL"), f.Registry), "", client.Options{Agent: f})
}

func (p *push) run(cmd *cobra.Command, conn *connection, c *client.Client, a client.Agent) error {
	ctx := cmd.Context()
	log, err := c.DIDLog(ctx, a.ID)
	if err != nil {
		return err
	}
	lines, err := p.lines(a, log)
	if err != nil {
		return err
	}
	var done client.Change[client.Agent]
	for i, line := range lines {
		if done, err = c.AppendDID(ctx, a.ID, line); err != nil {
			return fmt.Errorf("entry %d of %d: %w", i+1, len(lines), err)
		}
	}
	return conn.say(cmd, saidChange("agent", done), func(s *screen) {
		s.printf("%s has %s more\n", s.bold(printable(a.DID)), counted(len(lines)))
		if at := done.Value.DIDPending; !at.IsZero() {
			s.printf("  Its log still says otherwise of the agent's keys than the registry, since %s.\n", at.Format(time.RFC3339))
		}
		s.event(done.Event)
	})
}

func counted(n int) string {
	if n == 1 {
		return "one entry"
	}
	return strconv.Itoa(n) + " entries"
}

// lines are the entries to send.
func (p *push) lines(a client.Agent, log []byte) ([][]byte, error) {
	if p.log == "" {
		return p.make(a, log)
	}
	held, err := os.ReadFile(p.log)
	if err != nil {
		return nil, err
	}
	here, there := split(held), split(log)
	if len(here) <= len(there) {
		return nil, fmt.Errorf("%s has %s, the registry has %d", p.log, counted(len(here)), len(there))
	}
	return here[len(there):], nil
}

// make signs what the log lacks.
func (p *push) make(a client.Agent, log []byte) ([][]byte, error) {
	key, err := readKey(p.key)
	if err != nil {
		return nil, err
	}
	var hashes []string
	for _, path := range p.next {
		next, err := readKey(path)
		if err != nil {
			return nil, err
		}
		hashes = append(hashes, next.Commitment())
	}
	return key.NextDIDEntries(log, a, hashes, time.Now())
}

func split(jsonl []byte) [][]byte { return bytes.Split(bytes.TrimSpace(jsonl), []byte("\n")) }
