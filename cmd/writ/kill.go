package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/writ-registry/writ/client"
)

// newKillCmd stops and releases authority.
func newKillCmd() *cobra.Command {
	conn := &connection{}
	cmd := &cobra.Command{
		Use:   "kill",
		Short: "Stop an agent, a grant, an org or everything, at once",
		Long: `Stop a piece of authority. When kill set returns, the stop is durable and no later
qualified decision in its scope is a permit, until it is released.

A scope is global, org:ORG, agent:AGENT or grant:ID; an org may be named by its
name, an agent by its file or DID.
` + connectionHelp,
	}
	conn.bind(cmd)
	cmd.AddCommand(
		killChangeCmd(conn, "set", "Stop a scope", func(cmd *cobra.Command, c *client.Client, s client.Scope, reason string) (client.Change[client.Kill], error) {
			return c.SetKill(cmd.Context(), s, reason)
		}),
		killChangeCmd(conn, "release", "Lift a stop", func(cmd *cobra.Command, c *client.Client, s client.Scope, reason string) (client.Change[client.Kill], error) {
			return c.ReleaseKill(cmd.Context(), s, reason)
		}),
		killListCmd(conn))
	return cmd
}

func killChangeCmd(conn *connection, verb, short string, change func(*cobra.Command, *client.Client, client.Scope, string) (client.Change[client.Kill], error)) *cobra.Command {
	var scope, reason string
	cmd := &cobra.Command{
		Use: verb + " --scope SCOPE", Short: short, Args: cobra.NoArgs,
		Example: fmt.Sprintf("  writ kill %[1]s --scope agent:invoices.agent.json --reason drill\n  writ kill %[1]s --scope org:acme --reason incident-42", verb),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := conn.open(cmd)
			if err != nil {
				return err
			}
			s, err := parseScope(cmd, c, scope)
			if err != nil {
				return err
			}
			ch, err := change(cmd, c, s, reason)
			if err != nil {
				return err
			}
			return conn.say(cmd, saidChange("kill", ch), func(out *screen) {
				state := map[string]string{"set": "stopped", "release": "released"}[verb]
				out.printf("%s is %s\n", out.bold(s.String()), state)
				out.event(ch.Event)
			})
		},
	}
	cmd.Flags().StringVar(&scope, "scope", "", "global, org:ORG, agent:AGENT or grant:ID")
	cmd.Flags().StringVar(&reason, "reason", "", "machine name of the reason: [a-z0-9._-]")
	_ = cmd.MarkFlagRequired("scope") // the flag exists
	return cmd
}

// parseScope reads a scope and looks up the id behind a name, DID or agent file.
func parseScope(cmd *cobra.Command, c *client.Client, text string) (client.Scope, error) {
	kind, ref, named := strings.Cut(text, ":")
	s := client.Scope{Kind: kind, ID: ref}
	switch {
	case kind == "global" && !named, kind == "grant" && ref != "":
		return s, nil
	case kind == "org" && ref != "":
		if uuid.Validate(ref) != nil {
			org, err := c.Org(cmd.Context(), ref)
			if err != nil {
				return s, err
			}
			s.ID = org.ID
		}
		return s, nil
	case kind == "agent" && ref != "":
		id, err := agentRef(ref)
		if err != nil {
			return s, err
		}
		if s.ID = id; uuid.Validate(id) != nil {
			agent, err := c.Agent(cmd.Context(), id)
			if err != nil {
				return s, err
			}
			s.ID = agent.ID
		}
		return s, nil
	}
	return s, fmt.Errorf("scope %q: want global, org:ORG, agent:AGENT or grant:ID", text)
}

func killListCmd(conn *connection) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the stops in force", Args: cobra.NoArgs,
		Example: "  writ kill list",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := conn.open(cmd)
			if err != nil {
				return err
			}
			kills, err := client.Collect(c.Kills(cmd.Context()), 0)
			if err != nil {
				return err
			}
			return conn.say(cmd, map[string]any{"items": kills}, func(s *screen) {
				if len(kills) == 0 {
					s.printf("Nothing is stopped.\n")
					return
				}
				rows := make([][]string, len(kills))
				for i, k := range kills {
					rows[i] = []string{k.Scope.String(), k.Reason, k.Since.Format(time.RFC3339), k.By}
				}
				s.table([]string{"SCOPE", "REASON", "SINCE", "BY"}, rows)
			})
		},
	}
}
