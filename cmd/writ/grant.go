package main

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/writ-registry/writ/client"
	"github.com/writ-registry/writ/internal/canon"
	"github.com/writ-registry/writ/registry/capability"
)

// newGrantCmd issues and ends grants.
func newGrantCmd() *cobra.Command {
	conn := &connection{}
	cmd := &cobra.Command{
		Use:   "grant",
		Short: "Issue, list, show, delegate and revoke the grants of agents",
		Long: `Issue, list, show and revoke the grants of agents. A grant says what an agent may
do: verb:type, with bounds on arguments, and verb:none to take a verb away.
` + connectionHelp,
	}
	conn.bind(cmd)
	cmd.AddCommand(grantIssueCmd(conn), grantListCmd(conn), grantShowCmd(conn), grantBudgetsCmd(conn), grantRevokeCmd(conn), grantAttenuateCmd())
	return cmd
}

func grantIssueCmd(conn *connection) *cobra.Command {
	var in client.NewGrant
	var agent, from, until string
	var level int
	cmd := &cobra.Command{
		Use:   "issue --agent AGENT CAPABILITIES",
		Short: "Give an active agent capabilities",
		Long: `Give an active agent capabilities, within what it is approved for. Where the agent
is named by its file, the grant is added to the file.

A budget bounds what the agent, and whoever it hands a part of the grant to, may do
together: count(verb:type) <= N or sum(verb:type, argument) <= N, where * is every
action, with "per 24h" (h, m or s) for each such window, else for the grant's life.
writ grant budgets shows what is left.`,
		Example: `  writ grant issue --agent invoices.agent.json "read:invoices; execute:none"
  writ grant issue --agent did:webvh:... --audience https://erp.example --expires 8h \
      "create:shipment(weight<=500)"
  writ grant issue --agent payer.agent.json --budget "sum(pay:invoice, amount) <= 10000 per 24h" \
      --budget "count(*) <= 1000" "pay:invoice(amount<=2000)"`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			caps, err := capability.Parse(args[0])
			if err != nil {
				return fmt.Errorf("capabilities: %w", err)
			}
			in.Capabilities = caps.String()
			if _, err := capability.ParseBudgets(in.Budgets); err != nil {
				return fmt.Errorf("--budget: %w", err)
			}
			if in.NotBefore, err = moment(from); err != nil {
				return fmt.Errorf("--not-before: %w", err)
			}
			if in.Expires, err = moment(until); err != nil {
				return fmt.Errorf("--expires: %w", err)
			}
			if cmd.Flags().Changed("level") {
				in.AuthorityLevel = &level
			}
			if in.Agent, err = agentRef(agent); err != nil {
				return err
			}
			c, err := conn.open(cmd)
			if err != nil {
				return err
			}
			ch, err := c.IssueGrant(cmd.Context(), in)
			if err != nil {
				return err
			}
			file := ""
			if in.Agent != agent { // it was named by its file
				if err := addGrant(agent, ch.Value); err != nil {
					return fmt.Errorf("grant %s is issued, but not in the agent file: %w", ch.Value.ID, err)
				}
				file = agent
			}
			return conn.say(cmd, saidChange("grant", ch), func(s *screen) {
				showGrant(s, ch.Value)
				s.fields("added to", file)
				s.event(ch.Event)
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&agent, "agent", "", "agent file, id or DID")
	f.StringArrayVar(&in.Budgets, "budget", nil, "bound that all who act under the grant share; repeatable")
	f.StringSliceVar(&in.Audience, "audience", nil, "resource server that the grant is for; repeatable (default: the registry)")
	f.StringVar(&in.Domain, "domain", "", "business domain")
	f.StringVar(&in.Workflow, "workflow", "", "workflow")
	f.IntVar(&level, "level", 0, "authority level, 0 to 4 (default: the agent's)")
	f.IntVar(&in.Delegation, "delegate", 0, "how many links holders may make under it, 0 to 7")
	f.StringVar(&from, "not-before", "", "begin: RFC 3339, or a duration from now (default: now)")
	f.StringVar(&until, "expires", "", "end: RFC 3339, or a duration from now such as 8h (default: a day after the begin)")
	_ = cmd.MarkFlagRequired("agent") // the flag exists
	return cmd
}

func addGrant(path string, g client.Grant) error {
	f, err := client.LoadAgentFile(path)
	if err != nil {
		return err
	}
	f.Hold(g)
	return f.Save(path)
}

// moment reads a time, or a duration from now; "" is none.
func moment(text string) (*time.Time, error) {
	if text == "" {
		return nil, nil
	}
	if d, err := time.ParseDuration(text); err == nil {
		t := time.Now().UTC().Add(d).Truncate(time.Second)
		return &t, nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return nil, fmt.Errorf("%q is neither a time such as 2030-01-31T12:00:00Z nor a duration such as 8h", text)
	}
	return &t, nil
}

func showGrant(s *screen, g client.Grant) {
	s.printf("%s\n", s.bold(printable(g.Capabilities)))
	s.fields("id", g.ID, "status", g.Status, "agent", g.Agent, "for", strings.Join(g.Audience, ", "),
		"budgets", printable(strings.Join(g.Budgets, "; ")), "domain", g.Domain, "workflow", g.Workflow, "level", strconv.Itoa(g.AuthorityLevel),
		"from", g.NotBefore.Format(time.RFC3339), "until", g.Expires.Format(time.RFC3339))
}

func grantListCmd(conn *connection) *cobra.Command {
	var f client.GrantFilter
	var limit int
	cmd := &cobra.Command{
		Use: "list", Short: "List the grants of an org or an agent", Args: cobra.NoArgs,
		Example: "  writ grant list --status active\n  writ grant list --agent invoices.agent.json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := conn.open(cmd)
			if err != nil {
				return err
			}
			q := f
			if q.Agent, err = agentRef(f.Agent); err != nil {
				return err
			}
			grants, err := client.Collect(c.Grants(cmd.Context(), q), limit)
			if err != nil {
				return err
			}
			return conn.say(cmd, map[string]any{"items": grants}, func(s *screen) {
				rows := make([][]string, len(grants))
				for i, g := range grants {
					rows[i] = []string{g.ID, g.Status, g.Expires.Format(time.RFC3339), g.Agent, g.Capabilities}
				}
				s.table([]string{"ID", "STATUS", "EXPIRES", "AGENT", "CAPABILITIES"}, rows)
			})
		},
	}
	cmd.Flags().StringVar(&f.Org, "org", "", "org, by id or name (default: that of the credential)")
	cmd.Flags().StringVar(&f.Agent, "agent", "", "agent file, id or DID")
	cmd.Flags().StringVar(&f.Status, "status", "", "active or revoked")
	cmd.Flags().IntVar(&limit, "limit", 0, "how many at most (default: all)")
	return cmd
}

func grantShowCmd(conn *connection) *cobra.Command {
	return &cobra.Command{
		Use: "show ID", Short: "Show a grant", Args: cobra.ExactArgs(1),
		Example: "  writ grant show 01998a2b-...",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := conn.open(cmd)
			if err != nil {
				return err
			}
			g, err := c.Grant(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return conn.say(cmd, g, func(s *screen) { showGrant(s, g) })
		},
	}
}

func grantBudgetsCmd(conn *connection) *cobra.Command {
	return &cobra.Command{
		Use: "budgets ID", Short: "Show what is left now of the budgets of a grant, and of links under it", Args: cobra.ExactArgs(1),
		Example: "  writ grant budgets 01998a2b-...",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := conn.open(cmd)
			if err != nil {
				return err
			}
			list, err := client.Collect(c.GrantBudgets(cmd.Context(), args[0]), 0)
			if err != nil {
				return err
			}
			return conn.say(cmd, map[string]any{"items": list}, func(s *screen) {
				rows := make([][]string, len(list))
				for i, b := range list {
					rows[i] = []string{printable(b.Budget), b.Used, b.Left, b.End.Format(time.RFC3339), cmp.Or(b.Link, "-")}
				}
				s.table([]string{"BUDGET", "USED", "LEFT", "UNTIL", "LINK"}, rows)
			})
		},
	}
}

func grantRevokeCmd(conn *connection) *cobra.Command {
	var reason, chain string
	cmd := &cobra.Command{
		Use: "revoke ID", Short: "End a grant for good, or a link that a holder made under it", Args: cobra.ExactArgs(1),
		Example: `  writ grant revoke 01998a2b-... --reason left-project
  writ grant revoke 01998a2b-... --chain helper.chain.json`,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := conn.open(cmd)
			if err != nil {
				return err
			}
			if chain != "" {
				return revokeLink(cmd, conn, c, args[0], chain, reason)
			}
			ch, err := c.RevokeGrant(cmd.Context(), args[0], reason)
			if err != nil {
				return err
			}
			return conn.say(cmd, saidChange("grant", ch), func(s *screen) {
				s.printf("grant %s is %s\n", s.bold(ch.Value.ID), ch.Value.Status)
				s.event(ch.Event)
			})
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "machine name of the reason: [a-z0-9._-]")
	cmd.Flags().StringVar(&chain, "chain", "", "`FILE` with a chain under the grant, as attenuate prints it: only its last link ends, and what is under it")
	return cmd
}

func revokeLink(cmd *cobra.Command, conn *connection, c *client.Client, grant, file, reason string) error {
	raw, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var tokens capability.Tokens
	if err := canon.Unmarshal(bytes.TrimSpace(raw), &tokens); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	ch, err := c.RevokeLink(cmd.Context(), grant, tokens, reason)
	if err != nil {
		return err
	}
	return conn.say(cmd, saidChange("link", ch), func(s *screen) {
		s.printf("link %s is revoked\n", s.bold(ch.Value.Hash))
		s.event(ch.Event)
	})
}
