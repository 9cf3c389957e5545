package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/writ-registry/writ/client"
)

// newPolicyCmd manages an org's Cedar policies.
func newPolicyCmd() *cobra.Command {
	conn := &connection{}
	var org string
	cmd := &cobra.Command{
		Use:   "policy",
		Short: "Write, try and activate an org's own policies (Cedar)",
		Long: `Write, try and activate an org's own policies, in the Cedar language. For an agent its
grant is the permit, and policies only narrow it: forbid denies, and with
@step_up("why") asks for an approval. Other subjects need a permit of a policy.

A text becomes a version (push), is held against what was decided before (dry-run) and
holds from its activation on. To end all policies, push and activate an empty text.
` + connectionHelp,
	}
	conn.bind(cmd)
	cmd.PersistentFlags().StringVar(&org, "org", "", "org, by id or name (default: that of the credential)")
	in := func(run func(*cobra.Command, *client.Client, string, []string) error) func(*cobra.Command, *client.Client, []string) error {
		return func(cmd *cobra.Command, c *client.Client, args []string) error {
			ref, err := orgOrOwn(cmd, c, org)
			if err != nil {
				return err
			}
			return run(cmd, c, ref, args)
		}
	}
	validate := conn.command("validate FILE|-", "Hold policies against what the org knows, and keep nothing", "  writ policy validate acme.cedar --org acme", 1,
		in(func(cmd *cobra.Command, c *client.Client, ref string, args []string) error {
			return validatePolicies(cmd, conn, c, ref, args[0])
		}))
	push := conn.command("push FILE|-", "Keep policies as a new version, which says nothing yet", "  writ policy push acme.cedar --org acme", 1,
		in(func(cmd *cobra.Command, c *client.Client, ref string, args []string) error {
			text, err := readText(args[0], cmd.InOrStdin())
			if err != nil {
				return err
			}
			ch, err := c.DraftPolicies(cmd.Context(), ref, text)
			if err != nil {
				var p *client.Problem
				if errors.As(err, &p) && p.Code == "policy_invalid" {
					return validatePolicies(cmd, conn, c, ref, args[0], text) // which shows every fault
				}
				return err
			}
			return conn.say(cmd, saidChange("policies", ch), func(s *screen) { showPolicies(s, ch.Value) })
		}))
	activate := conn.command("activate VERSION", "Make a version the one that holds", "  writ policy activate 3 --org acme", 1,
		in(func(cmd *cobra.Command, c *client.Client, ref string, args []string) error {
			version, err := strconv.ParseInt(args[0], 10, 64)
			if err != nil {
				return fmt.Errorf("%q is no version: a number is wanted", args[0])
			}
			ch, err := c.ActivatePolicies(cmd.Context(), ref, version)
			if err != nil {
				return err
			}
			return conn.say(cmd, saidChange("policies", ch), func(s *screen) {
				showPolicies(s, ch.Value)
				s.event(ch.Event)
			})
		}))
	list := conn.command("list", "List the versions of an org's policies, newest first", "  writ policy list --org acme", 0,
		in(func(cmd *cobra.Command, c *client.Client, ref string, _ []string) error {
			sets, err := client.Collect(c.PolicySets(cmd.Context(), ref), 0)
			if err != nil {
				return err
			}
			return conn.say(cmd, map[string]any{"items": sets}, func(s *screen) {
				rows := make([][]string, len(sets))
				for i, p := range sets {
					rows[i] = []string{strconv.FormatInt(p.Version, 10), map[bool]string{true: "active"}[p.Active], strconv.Itoa(p.Policies), p.Created.Format(time.RFC3339), p.Author, p.Digest}
				}
				s.table([]string{"VERSION", "", "POLICIES", "CREATED", "AUTHOR", "DIGEST"}, rows)
			})
		}))
	show := conn.command("show VERSION|active", "Print the text of a version", "  writ policy show active --org acme", 1,
		in(func(cmd *cobra.Command, c *client.Client, ref string, args []string) error {
			p, err := c.Policies(cmd.Context(), ref, args[0])
			if err != nil {
				return err
			}
			return conn.say(cmd, p, func(s *screen) {
				showPolicies(s, p)
				s.printf("\n")
				for line := range strings.Lines(p.Text) {
					s.printf("%s\n", printable(strings.TrimRight(line, "\r\n")))
				}
			})
		}))
	cmd.AddCommand(validate, push, dryRunCmd(conn, in), activate, list, show)
	return cmd
}

func dryRunCmd(conn *connection, in func(func(*cobra.Command, *client.Client, string, []string) error) func(*cobra.Command, *client.Client, []string) error) *cobra.Command {
	var limit int
	var before string
	cmd := conn.command("dry-run VERSION|active", "Say what a version would have made of past decisions", "  writ policy dry-run 3 --org acme --limit 1000", 1,
		in(func(cmd *cobra.Command, c *client.Client, ref string, args []string) error {
			p, err := c.PreviewPolicies(cmd.Context(), ref, args[0], limit, before)
			if err != nil {
				return err
			}
			return conn.say(cmd, p, func(s *screen) {
				rows := make([][]string, len(p.Changed))
				for i, d := range p.Changed {
					why := ""
					for j, r := range d.Reasons {
						if j > 0 {
							why += "; "
						}
						why += r.Code + " " + r.Detail
					}
					rows[i] = []string{d.Time.Format(time.RFC3339), d.Action, d.Was, d.Would, printable(why), d.Decision}
				}
				if len(rows) > 0 {
					s.table([]string{"TIME", "ACTION", "WAS", "WOULD BE", "WHY", "DECISION"}, rows)
				}
				for _, change := range slices.Sorted(maps.Keys(p.Verdicts)) {
					s.printf("%s: %d\n", change, p.Verdicts[change])
				}
				s.printf("%d decisions, %d would be others, %d without their inputs\n", p.Examined, len(p.Changed), p.Skipped)
				if p.Next != "" {
					s.printf("older ones: --before %s\n", p.Next)
				}
			})
		}))
	cmd.Flags().IntVar(&limit, "limit", 200, "how many decisions to look at, at most 1,000")
	cmd.Flags().StringVar(&before, "before", "", "index of an event: look at decisions before it")
	return cmd
}

// validatePolicies prints FILE:LINE:COLUMN of each fault and fails where there is
// one. text is the file's, if it was read.
func validatePolicies(cmd *cobra.Command, conn *connection, c *client.Client, org, file string, text ...string) error {
	if len(text) == 0 {
		read, err := readText(file, cmd.InOrStdin())
		if err != nil {
			return err
		}
		text = []string{read}
	}
	v, err := c.ValidatePolicies(cmd.Context(), org, text[0])
	if err != nil {
		return err
	}
	err = conn.say(cmd, v, func(s *screen) {
		for _, f := range v.Faults {
			s.printf("%s:%d:%d: %s\n", printable(file), f.Line, f.Column, printable(first(f.Policy, "text")+": "+f.Message))
		}
		if v.Valid {
			s.printf("%d policies, valid\n", v.Policies)
			s.fields("digest", v.Digest)
		}
	})
	if err == nil && !v.Valid {
		err = fmt.Errorf("%s is not valid", file)
	}
	return err
}

func showPolicies(s *screen, p client.PolicySet) {
	state := "draft"
	if p.Active {
		state = "active"
	}
	s.printf("%s\n", s.bold(fmt.Sprintf("version %d", p.Version)))
	s.fields("state", state, "policies", strconv.Itoa(p.Policies), "author", p.Author, "since", p.Created.Format(time.RFC3339), "digest", p.Digest)
}

// readText reads a file, or the input for "-".
func readText(name string, stdin io.Reader) (string, error) {
	if name == "-" {
		raw, err := io.ReadAll(stdin)
		return string(raw), err
	}
	raw, err := os.ReadFile(name)
	return string(raw), err
}
