package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/writ-registry/writ/client"
	"github.com/writ-registry/writ/internal/canon"
)

// newOrgCmd manages tenants.
func newOrgCmd() *cobra.Command {
	conn := &connection{}
	cmd := &cobra.Command{
		Use:   "org",
		Short: "Create, list and show orgs, and settle what each demands",
		Long:  "Create, list and show orgs, the tenants of a registry. Only an operator creates one;\nits owner says what it demands and where its agents' DIDs are.\n" + connectionHelp,
	}
	conn.bind(cmd)
	var display string
	create := &cobra.Command{
		Use: "create NAME", Short: "Add a tenant", Args: cobra.ExactArgs(1),
		Example: `  writ org create acme --display-name "Acme Freight"`,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := conn.open(cmd)
			if err != nil {
				return err
			}
			ch, err := c.CreateOrg(cmd.Context(), client.NewOrg{Name: args[0], DisplayName: display})
			if err != nil {
				return err
			}
			return conn.say(cmd, saidChange("org", ch), func(s *screen) {
				showOrg(s, ch.Value)
				s.event(ch.Event)
			})
		},
	}
	create.Flags().StringVar(&display, "display-name", "", "name for people")
	list := &cobra.Command{
		Use: "list", Short: "List the orgs that the credential may see", Args: cobra.NoArgs,
		Example: "  writ org list",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := conn.open(cmd)
			if err != nil {
				return err
			}
			orgs, err := client.Collect(c.Orgs(cmd.Context()), 0)
			if err != nil {
				return err
			}
			return conn.say(cmd, map[string]any{"items": orgs}, func(s *screen) {
				rows := make([][]string, len(orgs))
				for i, o := range orgs {
					rows[i] = []string{o.Name, o.ID, o.Created.Format(time.RFC3339), o.DisplayName}
				}
				s.table([]string{"NAME", "ID", "CREATED", "DISPLAY NAME"}, rows)
			})
		},
	}
	show := &cobra.Command{
		Use: "show ORG", Short: "Show an org, by id or name", Args: cobra.ExactArgs(1),
		Example: "  writ org show acme",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := conn.open(cmd)
			if err != nil {
				return err
			}
			org, err := c.Org(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return conn.say(cmd, org, func(s *screen) { showOrg(s, org) })
		},
	}
	cmd.AddCommand(create, list, show, newOrgPolicyCmd(conn), newOrgDomainCmd(conn), issuerCmd(conn))
	return cmd
}

func showOrg(s *screen, o client.Org) {
	s.printf("%s\n", s.bold(printable(o.Name)))
	age := func(seconds int64) string {
		if seconds == 0 {
			return ""
		}
		return shortDuration(time.Duration(seconds) * time.Second)
	}
	duties := ""
	if o.Policy.SeparateDuties {
		duties = "separate"
	}
	s.fields("id", o.ID, "display name", o.DisplayName, "since", o.Created.Format(time.RFC3339), "domain", o.Domain,
		"keys end at", age(o.Policy.MaxKeyAge), "keys due at", age(o.Policy.WarnKeyAge), "duties", duties)
	s.observation(o.Observation)
}

// newPrincipalCmd manages humans.
func newPrincipalCmd() *cobra.Command {
	conn := &connection{}
	cmd := &cobra.Command{
		Use:   "principal",
		Short: "Manage the humans of an org: roles, status, credentials, sessions",
		Long:  "Manage the humans who answer for an org and its agents.\n" + connectionHelp,
	}
	conn.bind(cmd)
	var in client.NewPrincipal
	create := &cobra.Command{
		Use: "create --role ROLE", Short: "Add a human and print the credential, once", Args: cobra.NoArgs,
		Long: `Add a human and print the credential, once. The roles are owner, registrar,
policy_author, approver, auditor and operator.`,
		Example: `  writ principal create --org acme --role registrar --role auditor --display-name "Ada"`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := conn.open(cmd)
			if err != nil {
				return err
			}
			ch, err := c.CreatePrincipal(cmd.Context(), in)
			if err != nil {
				return err
			}
			return conn.say(cmd, saidChange("principal", ch), func(s *screen) {
				s.printf("%s\n", s.bold(ch.Value.ID))
				s.fields("org", ch.Value.Org, "name", ch.Value.DisplayName, "roles", strings.Join(ch.Value.Roles, ", "))
				s.event(ch.Event)
				s.secret(ch.Secret, ch.Replayed)
			})
		},
	}
	create.Flags().StringVar(&in.Org, "org", "", "org, by id or name (default: that of the credential)")
	create.Flags().StringVar(&in.DisplayName, "display-name", "", "name for people; kept out of the log")
	create.Flags().StringSliceVar(&in.Roles, "role", nil, "role; repeatable")
	_ = create.MarkFlagRequired("role") // the flag exists
	var org string
	list := &cobra.Command{
		Use: "list", Short: "List the humans of an org", Args: cobra.NoArgs,
		Example: "  writ principal list --org acme",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := conn.open(cmd)
			if err != nil {
				return err
			}
			people, err := client.Collect(c.Principals(cmd.Context(), org), 0)
			if err != nil {
				return err
			}
			return conn.say(cmd, map[string]any{"items": people}, func(s *screen) {
				rows := make([][]string, len(people))
				for i, p := range people {
					rows[i] = []string{p.ID, first(p.Status, "active"), strings.Join(p.Roles, ","), strings.Join(p.GroupRoles, ","), p.DisplayName}
				}
				s.table([]string{"ID", "STATUS", "ROLES", "BY GROUPS", "NAME"}, rows)
			})
		},
	}
	list.Flags().StringVar(&org, "org", "", "org, by id or name (default: that of the credential)")
	cmd.AddCommand(create, list)
	addPrincipalCmds(cmd, conn)
	return cmd
}

// newPEPCmd manages enforcement points.
func newPEPCmd() *cobra.Command {
	conn := &connection{}
	cmd := &cobra.Command{
		Use:   "pep",
		Short: "Register and list enforcement points",
		Long: `Register and list policy enforcement points: what stands before a resource server
and asks for a decision on each act that reaches it.
` + connectionHelp,
	}
	conn.bind(cmd)
	var in client.NewPEP
	create := &cobra.Command{
		Use: "create NAME --resource URI", Short: "Register an enforcement point and print its credential, once", Args: cobra.ExactArgs(1),
		Example: "  writ pep create erp-gateway --org acme --resource https://erp.example",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := conn.open(cmd)
			if err != nil {
				return err
			}
			q := in
			q.Name = args[0]
			ch, err := c.RegisterPEP(cmd.Context(), q)
			if err != nil {
				return err
			}
			return conn.say(cmd, saidChange("pep", ch), func(s *screen) {
				s.printf("%s\n", s.bold(printable(ch.Value.Name)))
				s.fields("id", ch.Value.ID, "org", ch.Value.Org, "guards", strings.Join(ch.Value.Resources, ", "),
					"may assert", strings.Join(ch.Value.ContextKeys, ", "))
				s.event(ch.Event)
				s.secret(ch.Secret, ch.Replayed)
			})
		},
	}
	create.Flags().StringVar(&in.Org, "org", "", "org, by id or name (default: that of the credential)")
	create.Flags().StringSliceVar(&in.Resources, "resource", nil, "id of a resource server that it guards; repeatable")
	create.Flags().StringSliceVar(&in.ContextKeys, "context-key", nil, "context that it may assert (domain, workflow, tool); repeatable")
	_ = create.MarkFlagRequired("resource") // the flag exists
	var org string
	list := &cobra.Command{
		Use: "list", Short: "List the enforcement points of an org", Args: cobra.NoArgs,
		Example: "  writ pep list --org acme",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := conn.open(cmd)
			if err != nil {
				return err
			}
			peps, err := client.Collect(c.PEPs(cmd.Context(), org), 0)
			if err != nil {
				return err
			}
			return conn.say(cmd, map[string]any{"items": peps}, func(s *screen) {
				rows := make([][]string, len(peps))
				for i, p := range peps {
					rows[i] = []string{p.Name, p.ID, strings.Join(p.Resources, ","), strings.Join(p.ContextKeys, ",")}
				}
				s.table([]string{"NAME", "ID", "GUARDS", "MAY ASSERT"}, rows)
			})
		},
	}
	list.Flags().StringVar(&org, "org", "", "org, by id or name (default: that of the credential)")
	cmd.AddCommand(create, list, credentialCmd(conn, "pep", client.PEPOwner), pepKeyCmd(conn), pepRoutesCmd(conn))
	return cmd
}

// newCatalogueCmd manages the actions of an org.
func newCatalogueCmd() *cobra.Command {
	conn := &connection{}
	var org string
	cmd := &cobra.Command{
		Use:   "catalogue",
		Short: "Activate and show the actions of an org",
		Long: `Activate and show the actions of an org: which can be undone, which let an argument
leave the house, which are material. What is not in the catalogue counts as
irreversible, egress and material.
` + connectionHelp,
	}
	conn.bind(cmd)
	cmd.PersistentFlags().StringVar(&org, "org", "", "org, by id or name (default: that of the credential)")
	put := &cobra.Command{
		Use: "put FILE|-", Short: "Replace the actions of an org by those of a file", Args: cobra.ExactArgs(1),
		Long: `Replace the actions of an org by those of a JSON file: {"actions": [...]}, each with
action (verb:type), reversibility (reversible, compensable, irreversible), egress,
material, min_level and, where they apply, domain, workflow, compensated_by and
compensate_in (seconds).`,
		Example: "  writ catalogue put acme.catalogue.json --org acme",
		RunE: func(cmd *cobra.Command, args []string) error {
			actions, err := readCatalogue(args[0], cmd.InOrStdin())
			if err != nil {
				return err
			}
			c, err := conn.open(cmd)
			if err != nil {
				return err
			}
			ref, err := orgOrOwn(cmd, c, org)
			if err != nil {
				return err
			}
			ch, err := c.ActivateCatalogue(cmd.Context(), ref, actions)
			if err != nil {
				return err
			}
			return conn.say(cmd, saidChange("catalogue", ch), func(s *screen) {
				showCatalogue(s, ch.Value)
				s.event(ch.Event)
			})
		},
	}
	show := &cobra.Command{
		Use: "show", Short: "Show the active actions of an org", Args: cobra.NoArgs,
		Example: "  writ catalogue show --org acme",
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, _, cat, err := conn.catalogue(cmd, org)
			if err != nil {
				return err
			}
			return conn.say(cmd, cat, func(s *screen) { showCatalogue(s, cat) })
		},
	}
	cmd.AddCommand(put, show, importCatalogueCmd(conn, &org), reviewCatalogueCmd(conn, &org))
	return cmd
}

// orgOrOwn is the org that was named, else the caller's.
func orgOrOwn(cmd *cobra.Command, c *client.Client, ref string) (string, error) {
	if ref != "" {
		return ref, nil
	}
	me, err := c.Whoami(cmd.Context())
	return me.Org, err
}

// readCatalogue reads {"actions": [...]} or the list alone, strictly.
func readCatalogue(name string, stdin io.Reader) ([]client.CatalogueAction, error) {
	var raw []byte
	var err error
	if name == "-" {
		raw, err = io.ReadAll(stdin)
	} else {
		raw, err = os.ReadFile(name)
	}
	if err != nil {
		return nil, err
	}
	var file struct {
		Actions []client.CatalogueAction `json:"actions"`
	}
	if bytes.HasPrefix(bytes.TrimSpace(raw), []byte("[")) {
		err = canon.Unmarshal(raw, &file.Actions)
	} else {
		err = canon.Unmarshal(raw, &file)
	}
	if err != nil {
		return nil, fmt.Errorf("catalogue %s: %w", name, err)
	}
	return file.Actions, nil
}

// shortDuration leaves out what is zero: 24h, not 24h0m0s.
func shortDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

func showCatalogue(s *screen, cat client.Catalogue) {
	rows := make([][]string, len(cat.Actions))
	yes := map[bool]string{true: "yes", false: "no"}
	for i, a := range cat.Actions {
		undo := a.Reversibility
		if a.CompensatedBy != "" {
			undo += fmt.Sprintf(" by %s within %s", a.CompensatedBy, shortDuration(time.Duration(a.CompensateIn)*time.Second))
		}
		if a.Guess != nil {
			undo += " (not reviewed: " + a.Guess.Reversibility + "?)"
		}
		rows[i] = []string{a.Action, undo, yes[a.Material], yes[a.Egress], strconv.Itoa(a.MinLevel), a.Domain, a.Workflow}
	}
	s.table([]string{"ACTION", "UNDO", "MATERIAL", "EGRESS", "LEVEL", "DOMAIN", "WORKFLOW"}, rows)
	s.fields("digest", cat.Digest)
}
