package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/writ-registry/writ/client"
)

// newObserveCmd learns what agents need, by permitting what their grants do not cover.
func newObserveCmd() *cobra.Command {
	conn := &connection{}
	var org string
	cmd := &cobra.Command{
		Use: "observe", Short: "Permit for a time what grants do not cover, and learn from it",
		Long: `Permit for a time what an agent's grants do not cover, and record it: to learn which grant
it needs. Nothing else that stands against an act is relaxed: stops, status, possession,
the validity of its grant, verb:none, forbid, and what a human must approve. It ends by
itself, within 30 days.
` + connectionHelp,
	}
	conn.bind(cmd)
	cmd.PersistentFlags().StringVar(&org, "org", "", "an org, by id or name: all its agents, in place of AGENT")
	var lasting time.Duration
	var reason string
	start := conn.ranged("start [AGENT]", "Begin an observation", "  writ observe start courier.agent.json --for 72h --reason onboarding\n  writ observe start --org acme --for 24h --reason migration",
		func(cmd *cobra.Command, c *client.Client, args []string) error {
			return observe(cmd, conn, org, args, func(ref string) (client.Change[client.Agent], error) {
				return c.ObserveAgent(cmd.Context(), ref, time.Now().Add(lasting), reason)
			}, func() (client.Change[client.Org], error) {
				return c.ObserveOrg(cmd.Context(), org, time.Now().Add(lasting), reason)
			})
		})
	start.Flags().DurationVar(&lasting, "for", 0, "how long, at most 720h")
	start.Flags().StringVar(&reason, "reason", "", "a word that says why")
	for _, name := range []string{"for", "reason"} {
		_ = start.MarkFlagRequired(name) // the flags exist
	}
	stop := conn.ranged("stop [AGENT]", "End an observation", "  writ observe stop courier.agent.json\n  writ observe stop --org acme",
		func(cmd *cobra.Command, c *client.Client, args []string) error {
			return observe(cmd, conn, org, args, func(ref string) (client.Change[client.Agent], error) {
				return c.UnobserveAgent(cmd.Context(), ref)
			}, func() (client.Change[client.Org], error) {
				return c.UnobserveOrg(cmd.Context(), org)
			})
		})
	var since time.Duration
	var save bool
	report := conn.ranged("report [AGENT]", "Print the grants that would have covered what was observed", "  writ observe report courier.agent.json --since 72h --save\n  writ observe report --org acme --json",
		func(cmd *cobra.Command, c *client.Client, args []string) error {
			ref, err := orgOrOwn(cmd, c, org)
			agent := ""
			if err == nil && len(args) > 0 {
				agent, err = agentRef(args[0])
			}
			if err != nil {
				return err
			}
			var from time.Time
			if since > 0 {
				from = time.Now().Add(-since)
			}
			r, err := c.Coverage(cmd.Context(), ref, agent, from)
			if err != nil {
				return err
			}
			for _, a := range r.Agents {
				if !save || a.Template.Capabilities == "" {
					continue
				}
				if _, err := c.PutGrantTemplate(cmd.Context(), ref, a.Template); err != nil {
					return fmt.Errorf("template %s: %w", a.Template.Name, err)
				}
			}
			return conn.say(cmd, r, func(s *screen) {
				showCoverage(s, r)
				if save {
					s.printf("The templates are saved: writ grant issue --template NAME\n")
				}
			})
		})
	report.Flags().DurationVar(&since, "since", 0, "how far back (default: all)")
	report.Flags().BoolVar(&save, "save", false, "save them as grant templates of the org")
	cmd.AddCommand(start, stop, report)
	return cmd
}

// ranged is command with at most one argument.
func (c *connection) ranged(use, short, example string, run func(*cobra.Command, *client.Client, []string) error) *cobra.Command {
	cmd := c.command(use, short, example, 0, run)
	cmd.Args = cobra.MaximumNArgs(1)
	return cmd
}

func observe(cmd *cobra.Command, conn *connection, org string, args []string,
	agent func(ref string) (client.Change[client.Agent], error), whole func() (client.Change[client.Org], error),
) error {
	if (org == "") == (len(args) == 0) {
		return errors.New("name an AGENT, or an org with --org")
	}
	if org != "" {
		ch, err := whole()
		if err != nil {
			return err
		}
		return conn.say(cmd, saidChange("org", ch), func(s *screen) {
			showOrg(s, ch.Value)
			s.event(ch.Event)
		})
	}
	ref, err := agentRef(args[0])
	if err != nil {
		return err
	}
	ch, err := agent(ref)
	if err != nil {
		return err
	}
	return conn.say(cmd, saidChange("agent", ch), func(s *screen) {
		showAgent(s, ch.Value)
		s.event(ch.Event)
	})
}

// observation says whether what grants do not cover is permitted.
func (s *screen) observation(o *client.Observation) {
	switch {
	case o == nil:
	case time.Now().Before(o.Until):
		s.fields("UNDER OBSERVATION", "until "+o.Until.Format(time.RFC3339)+": what grants do not cover is permitted ("+o.Reason+")")
	default:
		s.fields("observation", "ended "+o.Until.Format(time.RFC3339))
	}
}

func showCoverage(s *screen, r client.Coverage) {
	for _, a := range r.Agents {
		t := a.Template
		s.printf("%s\n", s.bold(printable(t.Name)))
		level := ""
		if a.Lacks.Level > 0 {
			level = strconv.Itoa(a.Lacks.Level)
		}
		s.fields("agent", a.DID, "observed", strconv.Itoa(a.Observed), "capabilities", t.Capabilities, "for", strings.Join(t.Audience, ", "), "domain", t.Domain,
			"workflow", t.Workflow, "level", strconv.Itoa(*t.AuthorityLevel), "with any arguments", strings.Join(a.Open, ", "), "not to be said", strings.Join(a.Unsaid, ", "),
			"not approved for", strings.Join(slices.Concat(a.Lacks.Domains, a.Lacks.Workflows), ", "), "needs level", level)
	}
	s.printf("%d decisions were observed; %d without their inputs, %d about others than agents\n", r.Observed, r.Skipped, r.Others)
	if r.Partial {
		s.printf("There were more than are looked at: give --since.\n")
	}
}

// newSimulateCmd says what would be decided.
func newSimulateCmd() *cobra.Command {
	conn := &connection{}
	var t client.Trial
	var around client.TrialContext
	var arguments, policies string
	cmd := conn.command("simulate AGENT ACTION TYPE/ID", "Say what would be decided about an act, without it being one",
		"  writ simulate courier.agent.json create shipment/77 --args '{\"weight\": 420}'\n  writ simulate courier.agent.json create shipment/77 --capabilities 'create:shipment(weight<=500)' --policies next.cedar", 3,
		func(cmd *cobra.Command, c *client.Client, args []string) error {
			var err error
			if t.Agent, err = agentRef(args[0]); err != nil {
				return err
			}
			kind, id, ok := strings.Cut(args[2], "/")
			if !ok || kind == "" || id == "" {
				return fmt.Errorf("resource %q: want TYPE/ID, such as invoices/2026-0042", args[2])
			}
			t.Action, t.Resource = client.Action{Name: args[1]}, client.NamedParty{Type: kind, ID: id}
			raw, err := readArguments(arguments)
			if err != nil {
				return err
			}
			if len(raw) > 0 {
				t.Action.Properties = json.RawMessage(raw)
			}
			if around != (client.TrialContext{}) {
				t.Context = &around
			}
			if policies != "" {
				text, err := readText(policies, cmd.InOrStdin())
				if err != nil {
					return err
				}
				t.Policies = &text
			}
			out, err := c.Simulate(cmd.Context(), t)
			if err != nil {
				return err
			}
			return conn.say(cmd, out, func(s *screen) {
				s.printf("%s, were it asked now\n", s.verdict(out.Verdict, verdictText(out.Verdict, out.Observed)))
				s.fields(append(reasonsInWords(out.Reasons), "by grant", out.Grant, "recorded because", strings.Join(out.QualifiedBy, ", "), "taken for granted", strings.Join(out.Assumed, ", "))...)
			})
		})
	cmd.Long = "Say what would be decided now about an act, had the agent proven it. Policy authors of its\norg may. Nothing is recorded, consumed or permitted.\n" + connectionHelp
	conn.bind(cmd)
	f := cmd.Flags()
	f.StringVar(&arguments, "args", "", "arguments of the act, a JSON object, or @FILE that holds it")
	f.StringVar(&around.Task, "task", "", "task that the act belongs to")
	f.StringVar(&around.Domain, "domain", "", "business domain that an enforcement point asserts")
	f.StringVar(&around.Workflow, "workflow", "", "workflow that an enforcement point asserts")
	f.StringVar(&t.Audience, "aud", "", "resource server (default: the first that the grant names)")
	f.StringVar(&t.PEP, "pep", "", "id of the enforcement point that would ask")
	f.StringVar(&t.Grant, "grant", "", "id of the grant to try (default: the best that the agent has)")
	f.StringVar(&t.Capabilities, "capabilities", "", "capabilities to try in place of a grant")
	f.StringVar(&policies, "policies", "", "`FILE` of Cedar policies to try in place of those that hold, or -")
	return cmd
}
