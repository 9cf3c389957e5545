package main

import (
	"bytes"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/writ-registry/writ/client"
	"github.com/writ-registry/writ/client/manifest"
)

// The exit statuses of apply, beside 0 (the org is as the manifest says) and 1 (refused).
const (
	exitDiffers exitCode = 2 // only looked at: there is something to do
	exitWaits   exitCode = 3 // another human must act
)

// newApplyCmd brings an org to what a file says.
func newApplyCmd() *cobra.Command {
	conn := &connection{}
	var org, file string
	var dry, prune bool
	cmd := conn.command("apply -f FILE", "Bring an org to what a manifest says: catalogue, entities, policies, templates, rules",
		"  writ apply -f acme.yaml --dry-run\n  writ apply -f acme.yaml\n  writ export --org acme | sed s/acme/beta/ | writ apply -f - --prune", 0,
		func(cmd *cobra.Command, c *client.Client, _ []string) error {
			m, err := manifest.Load(file, cmd.InOrStdin())
			if err != nil {
				return err
			}
			if org != "" && m.Org != nil && m.Org.Name != "" && m.Org.Name != org {
				return fmt.Errorf("--org %s: the manifest is of %s", org, m.Org.Name)
			}
			state, err := manifest.Read(cmd.Context(), c, org, m)
			if err != nil {
				return err
			}
			plan, err := manifest.Compare(m, state, prune)
			if err != nil {
				return err
			}
			return conn.apply(cmd, c, plan, dry)
		})
	cmd.Long = `Bring an org to what a manifest says (docs/manifest.md): its policy, catalogue,
entities, Cedar policies, grant templates and approval rules. Each change is a call
of the REST API by the credential, authorized and recorded as any other. What differs
is printed first; what is as it should be is left alone, so that a second run does
nothing. It stops at the first refusal and says what is done and what is not.

What the file has that the org lacks is created, what differs is changed; what only
the org has is kept, or, with --prune, deleted, in those sections that the file has.

Where two humans are needed (approval rules; policies, if the org separates duties),
the change is proposed, and another brings it into force by applying the same file.

Exit status: 0 the org is as the manifest says; 1 refused, or not reached; 2 with
--dry-run: there is something to do; 3 done, but another human must act.
` + connectionHelp
	conn.bind(cmd)
	f := cmd.Flags()
	f.StringVarP(&file, "file", "f", "", "`FILE` of the manifest, - for standard input")
	f.StringVar(&org, "org", "", "org, by id or name, where the manifest names none (default: that of the credential)")
	f.BoolVar(&dry, "dry-run", false, "only say what would be done")
	f.BoolVar(&prune, "prune", false, "delete what the sections of the manifest do not name")
	_ = cmd.MarkFlagRequired("file") // the flag exists
	return cmd
}

func (c *connection) apply(cmd *cobra.Command, api *client.Client, plan *manifest.Plan, dry bool) error {
	human := newScreen(cmd.OutOrStdout())
	if c.json {
		human.w = io.Discard
	}
	showPlan(human, plan)
	var refused error
	if !dry {
		refused = plan.Apply(cmd.Context(), api, func(what string) { human.printf("done: %s\n", what) })
	}
	if refused != nil {
		human.printf("\nrefused; not done:\n")
		for _, ch := range plan.Changes {
			if !ch.Done {
				showChange(human, manifest.Change{Op: ch.Op, Kind: ch.Kind, Name: ch.Name})
			}
		}
	}
	if c.json {
		if err := writeJSON(cmd.OutOrStdout(), struct {
			*manifest.Plan
			DryRun bool `json:"dry_run,omitempty"`
		}{plan, dry}); err != nil {
			return err
		}
	}
	switch {
	case refused != nil:
		return refused
	case human.err != nil:
		return human.err
	case dry && len(plan.Changes) > 0:
		return exitDiffers
	case plan.Waiting() > 0:
		return exitWaits
	}
	return nil
}

func showPlan(s *screen, plan *manifest.Plan) {
	s.printf("%s\n", s.bold("org "+printable(plan.Org)))
	for _, ch := range plan.Changes {
		showChange(s, ch)
	}
	kept := ""
	if plan.Kept > 0 {
		kept = fmt.Sprintf("; %d more are not in the manifest (--prune deletes them)", plan.Kept)
	}
	s.printf("= %d unchanged%s\n", plan.Unchanged, kept)
}

// maxShown is how many lines of a change are printed.
const maxShown = 60

func showChange(s *screen, ch manifest.Change) {
	sign := map[string]string{manifest.Create: "+", manifest.Update: "~", manifest.Delete: "-", manifest.Activate: "~", manifest.Wait: "?"}[ch.Op]
	note := ""
	if ch.Op == manifest.Activate {
		note = ": activate"
	}
	if ch.Note != "" {
		note += " (" + ch.Note + ")"
	}
	s.printf("%s %s %s%s\n", sign, ch.Kind, printable(ch.Name), printable(note))
	for i, f := range ch.Fields {
		if i == maxShown {
			s.printf("    and %d more\n", len(ch.Fields)-i)
			break
		}
		switch {
		case ch.Kind == "policies" && f.New == "":
			s.printf("    - %s\n", printable(f.Old))
		case ch.Kind == "policies":
			s.printf("    + %s\n", printable(f.New))
		default:
			s.printf("    %s: %s -> %s\n", printable(f.Path), printable(first(f.Old, "none")), printable(first(f.New, "none")))
		}
	}
}

// newExportCmd writes an org as a manifest.
func newExportCmd() *cobra.Command {
	conn := &connection{}
	var org, file string
	cmd := conn.command("export", "Write an org as a manifest that writ apply reads", "  writ export --org acme -o acme.yaml", 0,
		func(cmd *cobra.Command, c *client.Client, _ []string) error {
			state, err := manifest.Read(cmd.Context(), c, org, nil)
			if err != nil {
				return err
			}
			var out bytes.Buffer
			write := state.Manifest().Write
			if conn.json {
				write = state.Manifest().WriteJSON
			}
			if err := write(&out); err != nil {
				return err
			}
			if file == "" || file == "-" {
				_, err = cmd.OutOrStdout().Write(out.Bytes())
				return err
			}
			return os.WriteFile(file, out.Bytes(), 0o600)
		})
	cmd.Long = `Write an org as a manifest (docs/manifest.md) that writ apply reads: applied as it is,
it changes nothing. With --json it is the same in JSON, which apply reads as well. It
holds the entities, who may be people: keep it accordingly.
` + connectionHelp
	conn.bind(cmd)
	cmd.Flags().StringVar(&org, "org", "", "org, by id or name (default: that of the credential)")
	cmd.Flags().StringVarP(&file, "output", "o", "", "`FILE` to write (default: standard output)")
	return cmd
}
