package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/writ-registry/writ/client"
)

// agentFlags are the filters of agent list and agent export.
type agentFlags struct {
	client.AgentFilter
	keyOlder, idle, acted, unused string
}

func (f *agentFlags) bind(cmd *cobra.Command) {
	s := cmd.Flags()
	s.StringVar(&f.Org, "org", "", "org, by id or name (default: that of the credential)")
	s.StringVar(&f.Status, "status", "", "requested, active, suspended or revoked")
	s.StringVar(&f.Sponsor, "sponsor", "", "id of the accountable principal")
	s.BoolVar(&f.SponsorGone, "sponsor-gone", false, "the accountable principal is suspended or has left")
	s.StringVar(&f.Domain, "domain", "", "approved for this domain, by name")
	s.StringVar(&f.Workflow, "workflow", "", "approved for this workflow, by name")
	s.StringVar(&f.Capability, "capability", "", "holds this verb:type by an active grant")
	s.StringVar(&f.Name, "name", "", "beginning of the name")
	s.StringVar(&f.Parent, "parent", "", "child of this agent: file, id or DID")
	s.StringVar(&f.keyOlder, "key-older", "", "key is older than this `AGE`, such as 90d")
	s.StringVar(&f.idle, "idle", "", "was not seen to act for this `AGE`, or never")
	s.StringVar(&f.acted, "acted", "", "was seen to act within this `AGE`")
	s.StringVar(&f.unused, "unused", "", "holds an active grant that was not seen in use for this `AGE`")
}

const agesHelp = `
Ages are like 90d, 36h or 15m. The log is what sees: a permit of an act that
changes nothing material leaves no event, and its agent and grant look idle.`

// filter resolves what depends on the time and on files.
func (f *agentFlags) filter() (out client.AgentFilter, err error) {
	out = f.AgentFilter
	now := time.Now()
	for _, age := range []struct {
		flag, text string
		at         *time.Time
	}{{"key-older", f.keyOlder, &out.KeyBefore}, {"idle", f.idle, &out.ActedBefore}, {"acted", f.acted, &out.ActedSince}, {"unused", f.unused, &out.UnusedSince}} {
		if *age.at, err = ago(now, age.flag, age.text); err != nil {
			return out, err
		}
	}
	if out.Parent != "" {
		out.Parent, err = agentRef(out.Parent)
	}
	return out, err
}

// ago is a time that long before now; the zero time for "".
func ago(now time.Time, flag, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	d, err := time.ParseDuration(text)
	if days, ok := strings.CutSuffix(text, "d"); ok {
		var n int
		n, err = strconv.Atoi(days)
		d = time.Duration(n) * 24 * time.Hour
	}
	if err != nil || d < 0 || d > 100*366*24*time.Hour {
		return time.Time{}, fmt.Errorf("--%s %q: want an age such as 90d, 36h or 15m", flag, text)
	}
	return now.Add(-d), nil
}

func agentListCmd(conn *connection) *cobra.Command {
	var f agentFlags
	var limit int
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List or search the agents of an org",
		Long:  "List the agents of an org, those that all filters match.\n" + agesHelp,
		Example: `  writ agent list --status active
  writ agent list --capability create:shipment --key-older 90d
  writ agent list --org acme --unused 30d --json
  writ agent list --as planner.agent.json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := conn.open(cmd)
			if err != nil {
				return err
			}
			query, err := f.filter()
			if err != nil {
				return err
			}
			agents, err := client.Collect(c.FindAgents(cmd.Context(), query), limit)
			if err != nil {
				return err
			}
			return conn.say(cmd, map[string]any{"items": agents}, func(s *screen) {
				rows := make([][]string, len(agents))
				for i, a := range agents {
					last := "-"
					if !a.LastAct.IsZero() {
						last = a.LastAct.Format(time.RFC3339)
					}
					rows[i] = []string{a.Name, a.Status, strconv.Itoa(a.AuthorityLevel), last, a.ID, a.DID}
				}
				s.table([]string{"NAME", "STATUS", "LEVEL", "LAST ACT", "ID", "DID"}, rows)
			})
		},
	}
	f.bind(cmd)
	cmd.Flags().IntVar(&limit, "limit", 0, "how many at most (default: all)")
	return cmd
}

func agentExportCmd(conn *connection) *cobra.Command {
	var f agentFlags
	var format, out string
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Write the agents of an org to a file",
		Long: `Write the agents of an org, those that all filters match, as CSV or JSON. In CSV a
cell that a spreadsheet would take for a formula begins with an apostrophe.
` + agesHelp,
		Example: `  writ agent export --format csv -o agents.csv
  writ agent export --format json --status active`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := conn.open(cmd)
			if err != nil {
				return err
			}
			query, err := f.filter()
			if err != nil {
				return err
			}
			if conn.json {
				format = "json"
			}
			if out == "" || out == "-" {
				return c.ExportAgents(cmd.Context(), query, format, cmd.OutOrStdout())
			}
			return exportTo(cmd.Context(), c, query, format, out)
		},
	}
	f.bind(cmd)
	cmd.Flags().StringVar(&format, "format", "csv", "csv or json")
	cmd.Flags().StringVarP(&out, "output", "o", "", "`FILE` to write; standard output without it")
	return cmd
}

// exportTo puts the file in place when it is whole.
func exportTo(ctx context.Context, c *client.Client, f client.AgentFilter, format, path string) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".export-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name()) // no effect after the rename
	err = c.ExportAgents(ctx, f, format, tmp)
	if cerr := tmp.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}

func agentOffboardCmd(conn *connection) *cobra.Command {
	var in client.Offboarding
	var f client.OffboardFilter
	var idle, list string
	cmd := &cobra.Command{
		Use:   "offboard [AGENT ...]",
		Short: "End many agents and their grants, by name or by a filter",
		Long: `End agents for good, and their grants: those named on the command line or in a
file, or those of an org that all filters match. Every agent and every grant ends
by an event of its own. What was interrupted goes on where it stopped when it is
started again. Look at --dry-run first.
` + agesHelp,
		Example: `  writ agent offboard --sponsor 019a... --dry-run
  writ agent offboard --name batch- --reason project-over
  writ agent offboard --list ids.txt --reason vendor-left`,
		RunE: func(cmd *cobra.Command, args []string) error {
			named, err := agentsNamed(cmd.InOrStdin(), args, list)
			if err != nil {
				return err
			}
			unused, err := ago(time.Now(), "idle", idle)
			if err != nil {
				return err
			}
			if !unused.IsZero() {
				f.UnusedSince = &unused
			}
			if in.Filter = nil; f != (client.OffboardFilter{}) {
				in.Filter = &f
			}
			if len(named) > 0 && in.Filter != nil {
				return errors.New("name agents or give a filter, not both")
			}
			c, err := conn.open(cmd)
			if err != nil {
				return err
			}
			all, err := offboard(cmd.Context(), c, in, named, newProgress(cmd.ErrOrStderr(), "ended"))
			if err != nil {
				return err
			}
			return conn.say(cmd, all, func(s *screen) {
				rows := make([][]string, len(all.Agents))
				for i, a := range all.Agents {
					rows[i] = []string{a.Name, strconv.Itoa(len(a.Grants)), a.ID}
				}
				s.table([]string{"NAME", "GRANTS", "ID"}, rows)
				if in.DryRun {
					s.printf("nothing was done: %d agents would end, the first are shown\n", all.Left)
					return
				}
				s.printf("%d agents ended for good\n", len(all.Agents))
			})
		},
	}
	s := cmd.Flags()
	s.StringVar(&f.Org, "org", "", "org of the filters, by id or name (default: that of the credential)")
	s.StringVar(&f.Sponsor, "sponsor", "", "id of the accountable principal")
	s.StringVar(&f.Name, "name", "", "beginning of the name")
	s.StringVar(&f.Parent, "parent", "", "id or DID of the agent that they are children of")
	s.StringVar(&idle, "idle", "", "registered this `AGE` ago or longer, and not seen to act since")
	s.StringVar(&list, "list", "", "`FILE` of ids or DIDs, one a line; - for standard input")
	s.StringVar(&in.Reason, "reason", "", "machine name of the reason: [a-z0-9._-]")
	s.BoolVar(&in.DryRun, "dry-run", false, "say what would be done")
	return cmd
}

// agentsNamed are the agents of the command line and of a list.
func agentsNamed(stdin io.Reader, args []string, list string) (refs []string, err error) {
	for _, arg := range args {
		ref, err := agentRef(arg)
		if err != nil {
			return nil, err
		}
		refs = append(refs, ref)
	}
	if list == "" {
		return refs, nil
	}
	var raw []byte
	if list == "-" {
		raw, err = io.ReadAll(stdin)
	} else {
		raw, err = os.ReadFile(list)
	}
	return append(refs, strings.Fields(string(raw))...), err
}

// offboard calls until nothing is left, a thousand named agents at a time.
func offboard(ctx context.Context, c *client.Client, in client.Offboarding, named []string, p *progress) (client.Offboarded, error) {
	all := client.Offboarded{Agents: []client.OffboardedAgent{}}
	defer p.end()
	for {
		in.Agents = named[:min(len(named), 1000)]
		named = named[len(in.Agents):]
		for {
			out, err := c.OffboardAgents(ctx, in)
			if err != nil {
				return all, fmt.Errorf("%d agents were ended before: %w", len(all.Agents), err)
			}
			all.Agents, all.Events, all.Left = append(all.Agents, out.Agents...), append(all.Events, out.Events...), out.Left
			if in.DryRun {
				all.Left += len(named)
				return all, nil
			}
			p.total = len(all.Agents) + out.Left + len(named)
			p.add(len(out.Agents), 0)
			if out.Left == 0 {
				break
			}
		}
		if len(named) == 0 {
			return all, nil
		}
	}
}

func agentUnregisteredCmd(conn *connection) *cobra.Command {
	var org string
	cmd := &cobra.Command{
		Use:   "unregistered",
		Short: "List callers that enforcement points saw and no agent is known for",
		Long: `List callers that the enforcement points of an org asked about, and no agent is
known for: those who act here without being registered, seen last before others.
`,
		Example: "  writ agent unregistered --org acme",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := conn.open(cmd)
			if err != nil {
				return err
			}
			seen, err := client.Collect(c.Unregistered(cmd.Context(), org), 0)
			if err != nil {
				return err
			}
			slices.SortStableFunc(seen, func(a, b client.Unregistered) int { return b.Last.Compare(a.Last) })
			return conn.say(cmd, map[string]any{"items": seen}, func(s *screen) {
				rows := make([][]string, len(seen))
				for i, u := range seen {
					rows[i] = []string{u.Subject, strconv.FormatInt(u.Count, 10), u.First.Format(time.RFC3339), u.Last.Format(time.RFC3339), u.PEP}
				}
				s.table([]string{"SUBJECT", "SEEN", "FIRST", "LAST", "BY"}, rows)
			})
		},
	}
	cmd.Flags().StringVar(&org, "org", "", "org, by id or name (default: that of the credential)")
	return cmd
}
