package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/writ-registry/writ/client"
)

// newDecisionCmd reads recorded decisions and judges them again.
func newDecisionCmd() *cobra.Command {
	conn := &connection{}
	cmd := &cobra.Command{
		Use: "decision", Short: "Read recorded decisions, and judge them again",
		Long: `Read recorded decisions by their id or the CID of their event, and judge them again. What
the receipt of one proves, writ explain says.
` + connectionHelp,
	}
	conn.bind(cmd)
	get := conn.command("get DECISION", "Print a decision with all that explains it",
		"  writ decision get 019a8f3e-...\n  writ decision get bafkrei... --json", 1,
		func(cmd *cobra.Command, c *client.Client, args []string) error {
			d, err := c.Decision(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return conn.say(cmd, d, func(s *screen) { showRecorded(s, d) })
		})
	replay := conn.command("replay DECISION", "Judge the preserved inputs again, by what is known now",
		"  writ decision replay 019a8f3e-...", 1,
		func(cmd *cobra.Command, c *client.Client, args []string) error {
			r, err := c.ReplayDecision(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return conn.say(cmd, r, func(s *screen) { showReplay(s, r) })
		})
	cmd.AddCommand(get, replay)
	return cmd
}

func showRecorded(s *screen, d client.DecisionRecord) {
	act := d.Action
	if d.Resource != nil {
		act = strings.TrimSuffix(d.Action, ":"+d.Resource.Type) + " " + d.Resource.Type + "/" + d.Resource.ID
	}
	s.printf("%s  %s\n", s.verdict(d.Verdict, verdictText(d.Verdict, d.Observed)), printable(act))
	subject, policies, permit := d.DID, "", ""
	if d.Subject != nil {
		subject = d.Subject.Type + " " + d.Subject.ID
	}
	if d.Policies != nil {
		policies = "version " + strconv.FormatInt(*d.Policies, 10)
		if *d.Policies == 0 {
			policies = "none"
		}
	}
	if d.Permit != nil {
		permit = d.Permit.State
	}
	s.fields("decision", d.Decision, "event", fmt.Sprintf("%s  entry %d", d.CID, d.Index), "time", d.Time.Format(time.RFC3339), "subject", subject,
		"arguments", string(d.Arguments), "task", d.Task, "domain", d.Domain, "workflow", d.Workflow, "asked by", d.PEP, "for", d.Audience, "grant", d.Grant,
		"policies", policies, "approval", d.Approval, "approved by", strings.Join(d.Approvers, ", "), "permit", permit, "erased", strings.Join(d.Erased, ", "))
	for i, l := range d.Chain {
		if i > 0 {
			s.fields("handed to", l.Subject+": "+l.Capabilities)
		}
	}
	s.printf("\n%s\n", s.bold("Why"))
	if len(d.Reasons) == 0 {
		s.printf("  nothing stood against it\n")
	}
	s.fields(append(reasonsInWords(d.Reasons), "recorded because", strings.Join(d.QualifiedBy, ", "))...)
}

func showReplay(s *screen, r client.Replay) {
	judged := func(j client.Judged) string { return s.verdict(j.Verdict, verdictText(j.Verdict, j.Observed)) }
	if r.Same {
		s.printf("%s, then as now\n", judged(r.Now))
	} else {
		s.printf("%s then, %s now\n", judged(r.Then), judged(r.Now))
	}
	if r.AsRecorded != nil {
		s.printf("%s by the policies of then\n", judged(*r.AsRecorded))
	}
	for _, part := range []struct {
		name string
		list []client.Reason
	}{{"New reasons", r.Added}, {"Reasons that are gone", r.Gone}} {
		if len(part.list) > 0 {
			s.printf("\n%s\n", s.bold(part.name))
			s.fields(reasonsInWords(part.list)...)
		}
	}
	if len(r.Epochs) > 0 || r.Policies != nil || r.Catalogue != nil {
		s.printf("\n%s\n", s.bold("What has moved"))
	}
	for _, m := range []struct {
		name string
		of   *client.Moved
	}{{"policies", r.Policies}, {"catalogue", r.Catalogue}} {
		if m.of != nil {
			s.fields(m.name, m.of.Then+" -> "+m.of.Now)
		}
	}
	for _, e := range r.Epochs {
		s.fields(strings.TrimSuffix(e.Scope.Kind+" "+e.Scope.ID, " "), fmt.Sprintf("%d -> %d", e.Then, e.Now))
		for _, by := range e.Events {
			s.printf("    %s  %s  %s\n", by.Time.Format(time.RFC3339), printable(by.Type), by.CID)
		}
	}
	if r.Partial {
		s.printf("  More was recorded since than was looked at.\n")
	}
}

// verdictText says a verdict, and that observation made it.
func verdictText(verdict string, observed bool) string {
	if observed {
		return verdict + " (observed)"
	}
	return verdict
}
