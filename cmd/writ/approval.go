package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/writ-registry/writ/client"
)

// newApprovalCmd is what humans do about acts that they must approve.
func newApprovalCmd() *cobra.Command {
	conn := &connection{}
	cmd := &cobra.Command{
		Use:   "approval",
		Short: "Acts that a human must approve: show, approve, deny; who must approve what",
		Long: `Answer what agents may do with a human's approval only, with a key of your own (see
writ principal authenticator), and say who must approve what.

What show prints is the statement: approve signs its SHA-256, which show prints too, so
that what was read is what is signed. An approval is good for that very act, once.
` + connectionHelp,
	}
	conn.bind(cmd)
	cmd.AddCommand(approvalListCmd(conn), approvalShowCmd(conn), approvalAnswerCmd(conn, "approve"), approvalAnswerCmd(conn, "deny"), approvalRuleCmd(conn))
	return cmd
}

func approvalListCmd(conn *connection) *cobra.Command {
	var org, state string
	cmd := conn.command("list", "List what humans of an org are asked to approve", "  writ approval list --state pending", 0, func(cmd *cobra.Command, c *client.Client, _ []string) error {
		all, err := client.Collect(c.Approvals(cmd.Context(), org, state), 0)
		if err != nil {
			return err
		}
		return conn.say(cmd, map[string]any{"items": all}, func(s *screen) {
			rows := make([][]string, len(all))
			for i, a := range all {
				rows[i] = []string{a.ID, a.State, fmt.Sprintf("%d of %d", len(a.Answers), a.Rule.Quorum), a.Agent, a.Expires.Format(time.RFC3339)}
			}
			s.table([]string{"ID", "STATE", "ANSWERS", "AGENT", "UNTIL"}, rows)
		})
	})
	cmd.Flags().StringVar(&org, "org", "", "org, by id or name (default: that of the credential)")
	cmd.Flags().StringVar(&state, "state", "", "pending, approved, denied, expired, cancelled or consumed")
	return cmd
}

func approvalShowCmd(conn *connection) *cobra.Command {
	var glass bool
	cmd := conn.command("show APPROVAL", "Show the statement that an approver signs, and its digest", "  writ approval show 019a...", 1, func(cmd *cobra.Command, c *client.Client, args []string) error {
		a, err := c.Approval(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		form, digest, err := c.ApprovalStatement(cmd.Context(), args[0], glass)
		if err != nil {
			return err
		}
		return conn.say(cmd, map[string]any{"approval": a, "statement": json.RawMessage(form), "digest": digest}, func(s *screen) {
			var text bytes.Buffer
			if json.Indent(&text, form, "", "  ") != nil {
				text.Write(form)
			}
			for _, line := range strings.Split(text.String(), "\n") { // the agent wrote some of it
				s.printf("%s\n", printable(line))
			}
			s.fields("state", a.State, "answers", fmt.Sprintf("%d of %d", len(a.Answers), a.Rule.Quorum), "digest", digest+"  (SHA-256 of the statement)")
			if cb := a.Callback; cb != nil {
				s.fields("callback", cb.Status, "attempts", strconv.Itoa(cb.Attempts), "failure", printable(cb.Failure))
			}
			for _, x := range a.Answers {
				s.fields(x.Verdict, x.Principal+" "+printable(x.Reason))
			}
		})
	})
	cmd.Flags().BoolVar(&glass, "break-glass", false, "the statement of who approves past the rule")
	return cmd
}

func approvalAnswerCmd(conn *connection, verdict string) *cobra.Command {
	var file, digest, reason string
	var glass bool
	short, example := "Refuse", "  writ approval deny 019a... --reason 'not our supplier'"
	if verdict == "approve" {
		short, example = "Approve what show has printed, with your own key", "  writ approval approve 019a... --digest Zk3... --key ann.key.pem"
	}
	cmd := conn.command(verdict+" APPROVAL", short, example, 1, func(cmd *cobra.Command, c *client.Client, args []string) error {
		in := client.NewApprovalAnswer{Verdict: verdict, Reason: reason, BreakGlass: glass}
		if file != "" {
			if digest == "" {
				return errors.New("--digest: want the digest that writ approval show printed, so that what was read is signed")
			}
			_, now, err := c.ApprovalStatement(cmd.Context(), args[0], glass)
			if err != nil {
				return err
			}
			if now != digest {
				return fmt.Errorf("--digest: the statement's is %s: look at it again (writ approval show)", now)
			}
			if in.Signature, err = signAnswer(cmd, c, file, args[0], digest, verdict); err != nil {
				return err
			}
		}
		ch, err := c.AnswerApproval(cmd.Context(), args[0], in)
		if err != nil {
			return err
		}
		return conn.say(cmd, saidChange("approval", ch), func(s *screen) {
			s.fields("approval", ch.Value.ID, "state", ch.Value.State, "good until", day(ch.Value.Until))
			s.event(ch.Event)
		})
	})
	f := cmd.Flags()
	f.StringVar(&file, "key", "", "`FILE` of your private key")
	f.StringVar(&digest, "digest", "", "of the statement, as show printed it")
	f.StringVar(&reason, "reason", "", "why; kept beside the evidence")
	if verdict == "approve" {
		f.BoolVar(&glass, "break-glass", false, "approve past the rule: two owners or operators with reasons; it raises an alarm")
		for _, name := range []string{"key", "digest"} {
			_ = cmd.MarkFlagRequired(name) // the flag exists
		}
	}
	return cmd
}

func signAnswer(cmd *cobra.Command, c *client.Client, file, approval, digest, verdict string) (string, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	key, err := client.ParseAgentKey(pem)
	if err != nil {
		return "", err
	}
	origin, err := c.Origin(cmd.Context())
	if err != nil {
		return "", err
	}
	return key.SignApproval(origin, approval, digest, verdict)
}

// approvalRuleCmd says who must approve what.
func approvalRuleCmd(conn *connection) *cobra.Command {
	cmd := &cobra.Command{Use: "rule", Short: "Who must approve what: show, propose, activate"}
	show := conn.command("show ORG", "Show an org's rules, and those that are proposed", "  writ approval rule show acme", 1, func(cmd *cobra.Command, c *client.Client, args []string) error {
		r, err := c.ApprovalRules(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		return conn.say(cmd, r, func(s *screen) { showRules(s, r) })
	})
	propose := conn.command("propose ORG FILE", "Propose an org's rules, all of them", "  writ approval rule propose acme rules.json", 2, func(cmd *cobra.Command, c *client.Client, args []string) error {
		raw, err := os.ReadFile(args[1])
		if err != nil {
			return err
		}
		var rules []client.ApprovalRule
		dec := json.NewDecoder(bytes.NewReader(raw))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&rules); err != nil {
			return fmt.Errorf("%s: %w", args[1], err)
		}
		ch, err := c.ProposeApprovalRules(cmd.Context(), args[0], rules)
		return conn.sayRules(cmd, ch, err)
	})
	propose.Long = `Propose an org's rules: a JSON array, of which the first that matches an act holds.

  [{"action": "*:payment", "reversibility": "irreversible", "quorum": 2,
    "role": "approver", "reason_required": true, "lifetime": 900}]

An empty array leaves the default: one human with role approver who is not the
agent's sponsor. Another human activates what is proposed.`
	activate := conn.command("activate ORG DIGEST", "Make proposed rules the org's; not who proposed them", "  writ approval rule activate acme Zk3...", 2, func(cmd *cobra.Command, c *client.Client, args []string) error {
		ch, err := c.ActivateApprovalRules(cmd.Context(), args[0], args[1])
		return conn.sayRules(cmd, ch, err)
	})
	cmd.AddCommand(show, propose, activate)
	return cmd
}

func (c *connection) sayRules(cmd *cobra.Command, ch client.Change[client.ApprovalRules], err error) error {
	if err != nil {
		return err
	}
	return c.say(cmd, saidChange("rules", ch), func(s *screen) {
		showRules(s, ch.Value)
		s.event(ch.Event)
	})
}

func showRules(s *screen, r client.ApprovalRules) {
	table := func(rules []client.ApprovalRule) {
		rows := make([][]string, len(rules))
		for i, x := range rules {
			rows[i] = []string{first(x.Action, "any"), first(x.Domain, "any"), first(x.Reversibility, "any"), fmt.Sprint(x.Quorum), x.Role, strings.Join(x.Orgs, ","), (time.Duration(x.Lifetime) * time.Second).String()}
		}
		s.table([]string{"ACTION", "DOMAIN", "REVERSIBILITY", "QUORUM", "ROLE", "ORGS", "GOOD FOR"}, rows)
	}
	if len(r.Rules) == 0 {
		s.printf("one human with role approver\n")
	} else {
		table(r.Rules)
	}
	if p := r.Proposed; p != nil {
		s.printf("\nproposed by %s at %s, digest %s:\n", p.By, p.At.Format(time.RFC3339), p.Digest)
		table(p.Rules)
	}
}

// authenticatorCmd manages what humans sign with.
func authenticatorCmd(conn *connection) *cobra.Command {
	cmd := &cobra.Command{Use: "authenticator", Short: "Keys that humans sign approvals with: add, list, confirm, end"}
	var file, name string
	add := conn.command("add --key FILE", "Register a key of your own; it is made where the file is not there", "  writ principal authenticator add --key ann.key.pem --name laptop", 0,
		func(cmd *cobra.Command, c *client.Client, _ []string) error {
			key, _, err := keptKey(file)
			if err != nil {
				return err
			}
			me, err := c.Whoami(cmd.Context())
			if err != nil {
				return err
			}
			origin, err := c.Origin(cmd.Context())
			if err != nil {
				return err
			}
			ch, err := c.AddAuthenticator(cmd.Context(), origin, me.ID, name, key)
			return conn.sayAuthenticator(cmd, ch, err)
		})
	add.Long = `Register a key of your own to sign approvals with. It counts once another human, an
owner of your org, has confirmed it. Passkeys are added on the page /ui/approvals.`
	add.Flags().StringVar(&file, "key", "", "`FILE` of the private key, PKCS #8 PEM")
	add.Flags().StringVar(&name, "name", "key", "what you call it")
	_ = add.MarkFlagRequired("key") // the flag exists
	list := conn.command("list PRINCIPAL", "List what a human signs with; me is yourself", "  writ principal authenticator list me", 1, func(cmd *cobra.Command, c *client.Client, args []string) error {
		all, err := c.Authenticators(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		return conn.say(cmd, map[string]any{"items": all}, func(s *screen) {
			rows := make([][]string, len(all))
			for i, a := range all {
				rows[i] = []string{a.ID, a.Kind, a.State, printable(a.Name), a.Handle}
			}
			s.table([]string{"ID", "KIND", "STATE", "NAME", "HANDLE"}, rows)
		})
	})
	confirm := conn.command("confirm PRINCIPAL ID", "Let another human's authenticator count", "  writ principal authenticator confirm 019a... 019b...", 2, func(cmd *cobra.Command, c *client.Client, args []string) error {
		ch, err := c.ActivateAuthenticator(cmd.Context(), args[0], args[1])
		return conn.sayAuthenticator(cmd, ch, err)
	})
	var reason string
	end := conn.command("end PRINCIPAL ID", "End an authenticator for good", "  writ principal authenticator end me 019b... --reason lost", 2, func(cmd *cobra.Command, c *client.Client, args []string) error {
		ch, err := c.EndAuthenticator(cmd.Context(), args[0], args[1], reason)
		return conn.sayAuthenticator(cmd, ch, err)
	})
	end.Flags().StringVar(&reason, "reason", "", "machine name of the reason, recorded")
	cmd.AddCommand(add, list, confirm, end)
	return cmd
}

func (c *connection) sayAuthenticator(cmd *cobra.Command, ch client.Change[client.Authenticator], err error) error {
	if err != nil {
		return err
	}
	return c.say(cmd, saidChange("authenticator", ch), func(s *screen) {
		a := ch.Value
		s.fields("authenticator", a.ID, "of", a.Principal, "kind", a.Kind, "state", a.State, "handle", a.Handle)
		s.event(ch.Event)
	})
}
