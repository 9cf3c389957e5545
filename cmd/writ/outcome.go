package main

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/writ-registry/writ/client"
)

// newOutcomeCmd lists what became of permitted acts.
func newOutcomeCmd() *cobra.Command {
	conn := &connection{}
	cmd := &cobra.Command{
		Use: "outcome", Short: "What became of permitted acts",
		Long: `What became of permitted acts, as the resources say that were to do them.
` + connectionHelp,
	}
	conn.bind(cmd)
	var org, agent, state string
	var limit int
	list := &cobra.Command{
		Use: "list", Short: "List permits that are evidence, and what became of the acts", Args: cobra.NoArgs,
		Example: "  writ outcome list --state unknown\n  writ outcome list --agent invoices.agent.json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := conn.open(cmd)
			if err != nil {
				return err
			}
			ref, err := agentRef(agent)
			if err != nil {
				return err
			}
			permits, err := client.Collect(c.Outcomes(cmd.Context(), org, ref, state), limit)
			if err != nil {
				return err
			}
			return conn.say(cmd, map[string]any{"items": permits}, func(s *screen) {
				rows := make([][]string, len(permits))
				for i, p := range permits {
					rows[i] = []string{p.ID, p.State, p.Action, p.Audience, p.Agent, p.Issued.Format(time.RFC3339)}
				}
				s.table([]string{"PERMIT", "STATE", "ACTION", "AT", "AGENT", "SINCE"}, rows)
			})
		},
	}
	f := list.Flags()
	f.StringVar(&org, "org", "", "org, by id or name (default: that of the credential)")
	f.StringVar(&agent, "agent", "", "of this agent only")
	f.StringVar(&state, "state", "", "issued, redeemed, lapsed, executed, failed, not_executed, compensated or unknown")
	f.IntVar(&limit, "limit", 100, "how many at most; 0 = all")
	cmd.AddCommand(list)
	return cmd
}

// agentUndoCmd lists what a stopped agent did that can still be undone.
func agentUndoCmd(conn *connection) *cobra.Command {
	var descendants bool
	cmd := &cobra.Command{
		Use: "undo AGENT", Short: "List what an agent did that can still be undone, and by which action", Args: cobra.ExactArgs(1),
		Example: "  writ kill set --scope agent:courier.agent.json --reason incident-42\n  writ agent undo courier.agent.json --descendants",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := conn.open(cmd)
			if err != nil {
				return err
			}
			ref, err := agentRef(args[0])
			if err != nil {
				return err
			}
			acts, err := client.Collect(c.Undo(cmd.Context(), ref, descendants), 0)
			if err != nil {
				return err
			}
			return conn.say(cmd, map[string]any{"items": acts}, func(s *screen) {
				if len(acts) == 0 {
					s.printf("Nothing that can still be undone.\n")
					return
				}
				rows := make([][]string, len(acts))
				for i, a := range acts {
					what := "erased"
					if a.Resource != nil {
						what = printable(a.Resource.Type + "/" + a.Resource.ID)
					}
					rows[i] = []string{a.Permit.Action, what, a.Permit.State, a.By, a.Until.Format(time.RFC3339), a.Permit.Audience, a.Permit.Agent}
				}
				s.table([]string{"ACT", "RESOURCE", "STATE", "UNDONE BY", "UNTIL", "AT", "AGENT"}, rows)
			})
		},
	}
	cmd.Flags().BoolVar(&descendants, "descendants", false, "and what its descendants did, which a stop of the agent stops, too")
	return cmd
}

// pepKeyCmd gives an enforcement point the key that its outcomes are signed with.
func pepKeyCmd(conn *connection) *cobra.Command {
	return &cobra.Command{
		Use: "set-key PEP FILE", Short: "Set the key by which an enforcement point signs outcomes", Args: cobra.ExactArgs(2),
		Long: `Set the key by which an enforcement point signs what became of permitted acts. FILE
is a private key, PKCS #8 PEM; where there is none, it is made, mode 0600. Only its public
half is sent.`,
		Example: "  writ pep set-key 0192d4e0-... erp.key",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := conn.open(cmd)
			if err != nil {
				return err
			}
			key, err := loadOrMakeKey(args[1])
			if err != nil {
				return err
			}
			ch, err := c.SetPEPKey(cmd.Context(), args[0], key.JWK())
			if err != nil {
				return err
			}
			return conn.say(cmd, saidChange("pep", ch), func(s *screen) {
				s.printf("%s signs outcomes with %s\n", s.bold(printable(ch.Value.Name)), key.Thumbprint())
				s.event(ch.Event)
			})
		},
	}
}

// pepCallbacksCmd says where an enforcement point may be told of its requests for approval.
func pepCallbacksCmd(conn *connection) *cobra.Command {
	cmd := conn.command("set-callbacks PEP [ORIGIN...]", "Set to which origins callbacks of an enforcement point's requests for approval may go; none: nowhere",
		"  writ pep set-callbacks 0192d4e0-... https://erp.example", 0, func(cmd *cobra.Command, c *client.Client, args []string) error {
			ch, err := c.SetPEPCallbacks(cmd.Context(), args[0], args[1:])
			if err != nil {
				return err
			}
			return conn.say(cmd, saidChange("pep", ch), func(s *screen) {
				s.printf("%s is called at %s\n", s.bold(printable(ch.Value.Name)), cmp.Or(strings.Join(ch.Value.Callbacks, ", "), "no origin"))
				s.event(ch.Event)
			})
		})
	cmd.Args = cobra.MinimumNArgs(1)
	return cmd
}

func loadOrMakeKey(path string) (*client.AgentKey, error) {
	raw, err := os.ReadFile(path)
	if err == nil {
		return client.ParseAgentKey(raw)
	}
	if !errors.Is(err, fs.ErrNotExist) {
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

// pepRoutesCmd says which acts the requests are that proxies ask about.
func pepRoutesCmd(conn *connection) *cobra.Command {
	var header, credential string
	cmd := &cobra.Command{
		Use: "set-routes PEP FILE", Short: "Set which acts the requests are that a proxy asks about", Args: cobra.ExactArgs(2),
		Long: `Set which acts the requests are that a proxy (nginx, Traefik, Caddy, Envoy) asks about
for an enforcement point, and the credential that the proxy is given for what it guards,
so that no agent holds it.`,
		Example: "  writ pep set-routes 0192d4e0-... routes.json --credential-file erp.credential",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := conn.open(cmd)
			if err != nil {
				return err
			}
			in := client.NewPEPRoutes{Header: header}
			if in.Routes, err = readRoutes(args[1]); err != nil {
				return err
			}
			if credential != "" {
				raw, err := os.ReadFile(credential)
				if err != nil {
					return err
				}
				text := strings.TrimSpace(string(raw))
				in.Credential = &text
			}
			ch, err := c.SetPEPRoutes(cmd.Context(), args[0], in)
			if err != nil {
				return err
			}
			return conn.say(cmd, saidChange("routes", ch), func(s *screen) {
				given := "none"
				if ch.Value.Header != "" {
					given = ch.Value.Header
				}
				s.printf("%d routes to %s\n", len(ch.Value.Table.Routes), s.bold(printable(ch.Value.Table.Audience)))
				s.fields("digest", ch.Value.Digest, "credential given", given)
				s.event(ch.Event)
			})
		},
	}
	cmd.Flags().StringVar(&header, "header", "", "header field of the credential (default: Authorization)")
	cmd.Flags().StringVar(&credential, "credential-file", "", "file with the whole value of that field; an empty file: none (default: the one there is)")
	return cmd
}
