package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/writ-registry/writ/client"
	"github.com/writ-registry/writ/registry/tools"
)

// importRow says what an import did to one action.
type importRow struct {
	Action string `json:"action"`
	Tool   string `json:"tool"`
	Result string `json:"result"` // added | changed | unchanged | kept | removed
	Guess  string `json:"guess,omitempty"`
	Why    string `json:"why,omitempty"`
}

// importCatalogueCmd brings the tools of a server into an org's catalogue.
func importCatalogueCmd(conn *connection, org *string) *cobra.Command {
	var mcp, openapi string
	var dry bool
	cmd := &cobra.Command{
		Use: "import --mcp FILE | --openapi FILE", Short: "Bring in the tools that an MCP tool list or OpenAPI document describes", Args: cobra.NoArgs,
		Long: `Bring in the tools that an MCP tool list (the answer to tools/list) or an OpenAPI 3
document describes. What a tool says of itself is a guess: each action counts as
irreversible, egress and material until a policy author has looked at it (writ
catalogue review). Each is pinned by the digest of its description; one whose
description has changed is to be looked at again. Run it again with the same file,
and nothing changes.

Actions are call:NAME for MCP tools, and read, create, update or delete:SEGMENT for
HTTP operations. Actions that were written by hand are kept as they are, and so are
those of tools that the file does not describe.`,
		Example: `  writ catalogue import --mcp github.tools.json --dry-run
  writ catalogue import --openapi erp.openapi.yaml --org acme`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			proposals, err := readTools(cmd.InOrStdin(), mcp, openapi)
			if err != nil {
				return err
			}
			c, ref, cat, err := conn.catalogue(cmd, *org)
			if err != nil {
				return err
			}
			next, rows := withProposals(cat.Actions, proposals)
			out := map[string]any{"actions": rows}
			if !dry && slices.ContainsFunc(rows, func(r importRow) bool { return r.Result == "added" || r.Result == "changed" }) {
				ch, err := c.ReplaceCatalogue(cmd.Context(), ref, next, cat.Digest)
				if err != nil {
					return err
				}
				out["catalogue"], out["event"] = ch.Value, ch.Event
			}
			return conn.say(cmd, out, func(s *screen) {
				lines := make([][]string, len(rows))
				for i, r := range rows {
					lines[i] = []string{r.Result, r.Action, r.Guess, r.Why, r.Tool}
				}
				s.table([]string{"RESULT", "ACTION", "GUESS", "WHY", "TOOL"}, lines)
				if e, ok := out["event"].(*client.EventRef); ok {
					s.event(e)
				}
			})
		},
	}
	cmd.Flags().StringVar(&mcp, "mcp", "", "file of an MCP tool list, - for standard input")
	cmd.Flags().StringVar(&openapi, "openapi", "", "file of an OpenAPI 3 document, - for standard input")
	cmd.Flags().BoolVar(&dry, "dry-run", false, "only say what would change")
	cmd.MarkFlagsMutuallyExclusive("mcp", "openapi")
	cmd.MarkFlagsOneRequired("mcp", "openapi")
	return cmd
}

func readTools(stdin io.Reader, mcp, openapi string) ([]tools.Proposal, error) {
	read := tools.FromMCP
	if openapi != "" {
		read = tools.FromOpenAPI
	}
	name := cmp.Or(mcp, openapi)
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		stdin = f
	}
	raw, err := io.ReadAll(io.LimitReader(stdin, tools.MaxDescription+1))
	if err != nil {
		return nil, err
	}
	list, err := read(raw)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return list, nil
}

// withProposals adds what is new to a catalogue and puts what is not the same tool
// any more to review again. What nobody imported stays as it was written.
func withProposals(inForce []client.CatalogueAction, proposals []tools.Proposal) (next []client.CatalogueAction, rows []importRow) {
	next = slices.Clone(inForce)
	for _, p := range proposals {
		guess := client.Guess(p.Guess)
		fresh := client.CatalogueAction{
			Action: p.Action, Reversibility: "irreversible", Egress: true, Material: true, Tool: p.Tool, Pin: p.Pin, Guess: &guess,
		}
		row := importRow{Action: p.Action, Tool: p.Tool, Guess: p.Guess.Reversibility, Why: p.Guess.Why}
		i := slices.IndexFunc(next, func(a client.CatalogueAction) bool { return a.Action == p.Action })
		switch {
		case i < 0:
			row.Result = "added"
			next = append(next, fresh)
		case next[i].Pin == "":
			row.Result = "kept" // somebody wrote it
		case next[i].Pin == p.Pin:
			row.Result = "unchanged"
		default:
			row.Result = "changed"
			fresh.MinLevel, fresh.Domain, fresh.Workflow = next[i].MinLevel, next[i].Domain, next[i].Workflow
			next[i] = fresh
		}
		rows = append(rows, row)
	}
	return next, rows
}

// reviewCatalogueCmd takes a guess, or says better.
func reviewCatalogueCmd(conn *connection, org *string) *cobra.Command {
	var accept, egress, material bool
	var reversibility, by string
	var within time.Duration
	cmd := &cobra.Command{
		Use: "review ACTION", Short: "Say of an imported action what it does, having looked at it", Args: cobra.ExactArgs(1),
		Long: `Say of an imported action what it does to the world, having looked at the tool: its
guess (--accept), or what the flags say.`,
		Example: `  writ catalogue review call:get_issue --accept --egress=false
  writ catalogue review create:invoices --accept --within 24h
  writ catalogue review call:pay --reversibility irreversible`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if !accept && reversibility == "" {
				return errors.New("give --accept, or --reversibility")
			}
			c, ref, cat, err := conn.catalogue(cmd, *org)
			if err != nil {
				return err
			}
			i := slices.IndexFunc(cat.Actions, func(a client.CatalogueAction) bool { return a.Action == args[0] })
			if i < 0 {
				return fmt.Errorf("the catalogue has no action %s", args[0])
			}
			a := &cat.Actions[i]
			switch {
			case accept && a.Guess == nil:
				return fmt.Errorf("%s has been reviewed", args[0])
			case accept:
				a.Reversibility, a.Egress, a.Material, a.CompensatedBy = a.Guess.Reversibility, a.Guess.Egress, a.Guess.Material, a.Guess.CompensatedBy
			}
			a.Guess = nil
			a.Reversibility, a.CompensatedBy = cmp.Or(reversibility, a.Reversibility), cmp.Or(by, a.CompensatedBy)
			a.CompensateIn = cmp.Or(int64(within/time.Second), a.CompensateIn)
			if a.Reversibility != "compensable" {
				a.CompensatedBy, a.CompensateIn = "", 0
			}
			if cmd.Flags().Changed("egress") {
				a.Egress = egress
			}
			if cmd.Flags().Changed("material") {
				a.Material = material
			}
			ch, err := c.ReplaceCatalogue(cmd.Context(), ref, cat.Actions, cat.Digest)
			if err != nil {
				return err
			}
			return conn.say(cmd, saidChange("catalogue", ch), func(s *screen) {
				showCatalogue(s, client.Catalogue{Actions: cat.Actions[i : i+1], Digest: ch.Value.Digest})
				s.event(ch.Event)
			})
		},
	}
	f := cmd.Flags()
	f.BoolVar(&accept, "accept", false, "what the import guessed is right, but for what other flags say")
	f.StringVar(&reversibility, "reversibility", "", "reversible, compensable or irreversible")
	f.StringVar(&by, "compensated-by", "", "verb:type that undoes it")
	f.DurationVar(&within, "within", 0, "how long it can be undone")
	f.BoolVar(&egress, "egress", true, "an argument leaves the house")
	f.BoolVar(&material, "material", true, "it affects systems, data, people or compliance")
	return cmd
}

// catalogue opens the registry and reads the catalogue in force.
func (c *connection) catalogue(cmd *cobra.Command, org string) (*client.Client, string, client.Catalogue, error) {
	api, err := c.open(cmd)
	if err != nil {
		return nil, "", client.Catalogue{}, err
	}
	ref, err := orgOrOwn(cmd, api, org)
	if err != nil {
		return nil, "", client.Catalogue{}, err
	}
	cat, err := api.Catalogue(cmd.Context(), ref)
	return api, ref, cat, err
}
