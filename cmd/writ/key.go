package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/writ-registry/writ/client"
)

// newKeyCmd groups what is done to the keys of agents.
func newKeyCmd() *cobra.Command {
	conn := &connection{}
	cmd := &cobra.Command{
		Use:   "key",
		Short: "Rotate, recover and end the keys of agents",
		Long: `Rotate, recover and end the keys of agents, and see which counted when.

An agent is known by the file that agent new wrote (NAME.agent.json). Where only
its history is wanted, or a key ended, its id or DID does.
` + connectionHelp,
	}
	conn.bind(cmd)
	cmd.AddCommand(keyListCmd(conn), keyRotateCmd(conn), keyRecoverCmd(conn), keyCommitCmd(),
		keyEndCmd(conn, "retire", "End an earlier key before its overlap is over"),
		keyEndCmd(conn, "compromise", "End a key at once, and call suspect what it signed"))
	return cmd
}

func keyListCmd(conn *connection) *cobra.Command {
	return &cobra.Command{
		Use:     "list AGENT",
		Short:   "List the keys an agent has and had, and between which entries of the log each counted",
		Example: "  writ key list invoices.agent.json",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := conn.open(cmd)
			if err != nil {
				return err
			}
			ref, err := agentRef(args[0])
			if err != nil {
				return err
			}
			keys, err := client.Collect(c.AgentKeys(cmd.Context(), ref), 0)
			if err != nil {
				return err
			}
			return conn.say(cmd, map[string]any{"items": keys}, func(s *screen) {
				rows := make([][]string, len(keys))
				for i, k := range keys {
					until := ""
					if !k.NotAfter.IsZero() {
						until = k.NotAfter.Format(time.RFC3339)
					}
					rows[i] = []string{strconv.Itoa(k.N), k.Status, k.Thumbprint, place(k.AddedIndex), place(k.EndedIndex), place(k.CompromisedFrom), until}
				}
				s.table([]string{"N", "STATUS", "THUMBPRINT", "FROM ENTRY", "TO ENTRY", "SUSPECT FROM", "UNTIL"}, rows)
			})
		},
	}
}

func place(n *uint64) string {
	if n == nil {
		return ""
	}
	return strconv.FormatUint(*n, 10)
}

// rotation is the input of key rotate.
type rotation struct {
	overlap   time.Duration
	olderThan time.Duration
	nextKey   string
	self      bool // the agents sign their own calls
}

func keyRotateCmd(conn *connection) *cobra.Command {
	var r rotation
	cmd := &cobra.Command{
		Use:   "rotate FILE...",
		Short: "Give agents new keys, and their files too",
		Long: `Make a new key for each agent, prove possession of it, and have the registry put it
in the place of the one it has. The key before goes on for --overlap, and each grant
that stands gets a token for the new key. The agent's file is rewritten in one step;
the new key is kept beside it (FILE.rotating) until then, and a rotation that was
cut short is finished by the next.`,
		Example: `  writ key rotate invoices.agent.json
  writ key rotate --older-than 720h agents/*.agent.json
  writ key rotate --self invoices.agent.json
  writ key rotate --overlap 0s --next-key next.pem invoices.agent.json`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if r.nextKey != "" && len(args) > 1 {
				return errors.New("--next-key is for one agent: no two agents share a key")
			}
			if r.self {
				return r.run(cmd, conn, nil, args)
			}
			c, err := conn.open(cmd)
			if err != nil {
				return err
			}
			return r.run(cmd, conn, c, args)
		},
	}
	f := cmd.Flags()
	f.DurationVar(&r.overlap, "overlap", time.Hour, "how long the key before goes on; 0s ends it at once")
	f.DurationVar(&r.olderThan, "older-than", 0, "leave agents alone whose key is younger")
	f.BoolVar(&r.self, "self", false, "each agent signs its own call; no credential is needed, and the registry is the file's")
	f.StringVar(&r.nextKey, "next-key", "", "PEM `FILE` of the key that comes after the new one; the agent commits to it (writ key commit makes one)")
	return cmd
}

// rotated is what became of one agent, as JSON.
type rotated struct {
	File       string `json:"file"`
	DID        string `json:"did,omitempty"`
	Thumbprint string `json:"thumbprint,omitempty"`
	Grants     int    `json:"grants,omitempty"` // held, with tokens for the new key
	Event      string `json:"event,omitempty"`
	Skipped    bool   `json:"skipped,omitempty"` // its key is young enough
	Error      string `json:"error,omitempty"`
}

// run rotates one agent after the other, says on the error output how far it is,
// and fails in the end if one failed.
func (r *rotation) run(cmd *cobra.Command, conn *connection, c *client.Client, files []string) error {
	out := make([]rotated, 0, len(files))
	failed := 0
	for i, path := range files {
		one, err := r.one(cmd.Context(), conn, c, path)
		one.File = path
		if err != nil {
			one.Error = err.Error()
			failed++
		}
		out = append(out, one)
		if len(files) > 1 {
			fmt.Fprintf(cmd.ErrOrStderr(), "rotated %d of %d, %d failed\n", i+1, len(files), failed)
		}
		if cmd.Context().Err() != nil {
			break
		}
	}
	err := conn.say(cmd, map[string]any{"items": out}, func(s *screen) {
		for _, o := range out {
			switch {
			case o.Error != "":
				s.printf("%s: %s\n", o.File, printable(o.Error))
			case o.Skipped:
				s.printf("%s: its key is young enough\n", o.File)
			default:
				s.printf("%s\n", s.bold(printable(o.DID)))
				s.fields("key", o.Thumbprint+"  (RFC 7638)", "grants", strconv.Itoa(o.Grants)+" renewed", "file", o.File, "event", o.Event)
			}
		}
	})
	if err == nil && failed > 0 {
		err = fmt.Errorf("%d of %d rotations failed", failed, len(files))
	}
	return err
}

func (r *rotation) one(ctx context.Context, conn *connection, c *client.Client, path string) (rotated, error) {
	f, err := client.LoadAgentFile(path)
	if err != nil {
		return rotated{}, err
	}
	if r.self {
		if c, err = conn.to(first(conn.url, os.Getenv("WRIT_URL"), f.Registry), "", client.Options{Agent: f}); err != nil {
			return rotated{}, err
		}
	}
	agent, err := c.Agent(ctx, f.ID)
	if err != nil {
		return rotated{}, err
	}
	key, err := pendingKey(path + rotatingSuffix)
	if err != nil {
		return rotated{}, err
	}
	done := client.Change[client.Agent]{Value: agent}
	if agent.Thumbprint != key.Thumbprint() { // else the last try got that far
		if r.olderThan > 0 && agent.KeyAge(time.Now()) < r.olderThan {
			return rotated{DID: f.DID, Skipped: true}, os.Remove(path + rotatingSuffix)
		}
		seconds := int64(r.overlap / time.Second)
		in := client.NewKey{JWK: key.JWK(), Overlap: &seconds}
		if r.nextKey != "" {
			next, err := readKey(r.nextKey)
			if err != nil {
				return rotated{}, err
			}
			in.NextKeyHash = next.Commitment()
		}
		if in.Possession, err = key.ProvePossession(f.Registry, f.Org, f.Name); err != nil {
			return rotated{}, err
		}
		if done, err = c.RotateKey(ctx, f.ID, in); err != nil {
			return rotated{}, err
		}
	}
	return settle(ctx, c, path, f, done, key)
}

// rotatingSuffix is behind the name of an agent's file where its next key waits.
const rotatingSuffix = ".rotating"

// pendingKey is the key of a rotation that was cut short, or a new one, durable
// before the registry hears of it.
func pendingKey(path string) (*client.AgentKey, error) {
	switch key, err := readKey(path); {
	case err == nil:
		return key, nil
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	key, err := client.GenerateAgentKey()
	if err != nil {
		return nil, err
	}
	pem, err := key.PEM()
	if err != nil {
		return nil, err
	}
	return key, writeSecret(path, pem)
}

func readKey(path string) (*client.AgentKey, error) {
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	key, err := client.ParseAgentKey(pem)
	if err != nil {
		return nil, fmt.Errorf("key %s: %w", path, err)
	}
	return key, nil
}

// settle writes the agent's file with its new key and the tokens for it.
func settle(ctx context.Context, c *client.Client, path string, f *client.AgentFile, done client.Change[client.Agent], key *client.AgentKey) (rotated, error) {
	out := rotated{DID: f.DID, Thumbprint: done.Value.Thumbprint}
	if done.Event != nil {
		out.Event = done.Event.CID
	}
	if err := f.Rotated(done.Value, key); err != nil {
		return out, err
	}
	if err := f.Save(path); err != nil { // the key first: the tokens can be fetched again
		return out, err
	}
	for _, held := range f.Grants {
		g, err := c.Grant(ctx, held.ID)
		if err != nil {
			return out, fmt.Errorf("the key is rotated and %s is written, but grant %s could not be fetched: %w", path, held.ID, err)
		}
		f.Hold(g)
		out.Grants++
	}
	if err := f.Save(path); err != nil {
		return out, err
	}
	if err := os.Remove(path + rotatingSuffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return out, err
	}
	return out, nil
}

func keyCommitCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "commit FILE",
		Short: "Make a key to commit to, and say its commitment",
		Long: `Make a key, write it to FILE, which only you can read, and print its commitment. An
agent that commits to it (agent new --next-key, key rotate --next-key) can use no
other next, and can be recovered with it alone. Keep it elsewhere than the agent.`,
		Example: "  writ key commit invoices-next.pem",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			key, err := client.GenerateAgentKey()
			if err != nil {
				return err
			}
			pem, err := key.PEM()
			if err == nil {
				err = writeSecret(args[0], pem)
			}
			if err == nil {
				_, err = fmt.Fprintln(cmd.OutOrStdout(), key.Commitment())
			}
			return err
		},
	}
}

func keyRecoverCmd(conn *connection) *cobra.Command {
	var with, next string
	cmd := &cobra.Command{
		Use:   "recover --with PEM FILE",
		Short: "Give an agent the key that it committed to; needs no credential",
		Long: `Give an agent the key that it committed to before (pre-rotation). Possession of that
key is all that the registry asks for; the keys before end at once.`,
		Example: "  writ key recover --with invoices-next.pem invoices.agent.json",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			f, err := client.LoadAgentFile(args[0])
			if err != nil {
				return err
			}
			key, err := readKey(with)
			if err != nil {
				return err
			}
			in := client.NewKey{JWK: key.JWK()}
			if next != "" {
				after, err := readKey(next)
				if err != nil {
					return err
				}
				in.NextKeyHash = after.Commitment()
			}
			if in.Possession, err = key.ProvePossession(f.Registry, f.Org, f.Name); err != nil {
				return err
			}
			c, err := conn.to(first(conn.url, os.Getenv("WRIT_URL"), f.Registry), "", client.Options{})
			if err != nil {
				return err
			}
			done, err := c.RecoverKey(cmd.Context(), f.ID, in)
			if err != nil {
				return err
			}
			if err := f.Rotated(done.Value, key); err != nil {
				return err
			}
			if err := f.Save(args[0]); err != nil {
				return err
			}
			return conn.say(cmd, saidChange("agent", done), func(s *screen) {
				s.printf("%s has the key that it committed to\n", s.bold(printable(f.Name)))
				s.fields("key", done.Value.Thumbprint+"  (RFC 7638)", "grants", "have new tokens: fetch them with writ grant list, or rotate once more")
				s.event(done.Event)
			})
		},
	}
	cmd.Flags().StringVar(&with, "with", "", "PEM `FILE` of the key that the agent committed to")
	cmd.Flags().StringVar(&next, "next-key", "", "PEM `FILE` of the key to commit to next")
	_ = cmd.MarkFlagRequired("with") // the flag exists
	return cmd
}

func keyEndCmd(conn *connection, verb, short string) *cobra.Command {
	var reason string
	var from int64
	cmd := &cobra.Command{
		Use: verb + " AGENT THUMBPRINT", Short: short, Args: cobra.ExactArgs(2),
		Example: "  writ key " + verb + " invoices.agent.json cn-I_WNMClehiVp51i_0VpOENW1upEerA8sEam5hn-s --reason stolen-laptop",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := conn.open(cmd)
			if err != nil {
				return err
			}
			ref, err := agentRef(args[0])
			if err != nil {
				return err
			}
			var ch client.Change[client.KeyRecord]
			if verb == "retire" {
				ch, err = c.RetireKey(cmd.Context(), ref, args[1], reason)
			} else {
				var at *uint64
				if from >= 0 {
					n := uint64(from)
					at = &n
				}
				ch, err = c.CompromiseKey(cmd.Context(), ref, args[1], reason, at)
			}
			if err != nil {
				return err
			}
			return conn.say(cmd, saidChange("key", ch), func(s *screen) {
				s.printf("%s is %s\n", s.bold(ch.Value.Thumbprint), ch.Value.Status)
				s.fields("counted", "from entry "+place(ch.Value.AddedIndex)+" to "+place(ch.Value.EndedIndex), "suspect from", place(ch.Value.CompromisedFrom))
				s.event(ch.Event)
			})
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "machine name of the reason: [a-z0-9._-]")
	if verb == "compromise" {
		cmd.Flags().Int64Var(&from, "from", -1, "entry of the log from which on its signatures are suspect (default: from now)")
	}
	return cmd
}
