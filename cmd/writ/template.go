package main

import (
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/writ-registry/writ/client"
)

// newTemplateCmd manages an org's grant templates.
func newTemplateCmd() *cobra.Command {
	conn := &connection{}
	var org string
	cmd := &cobra.Command{
		Use:   "template",
		Short: "Set, get, list and delete the grant templates of an org",
		Long: `Set, get, list and delete the grant templates of an org: what grants by a name say.
A template gives no authority: writ grant issue --template does, grant by grant, and
what was issued stays as it is, whatever becomes of the template.
` + connectionHelp,
	}
	conn.bind(cmd)
	cmd.PersistentFlags().StringVar(&org, "org", "", "org, by id or name (default: that of the credential)")
	get := conn.command("get NAME", "Show a template", "  writ template get invoice-reader", 1, func(cmd *cobra.Command, c *client.Client, args []string) error {
		ref, err := orgOrOwn(cmd, c, org)
		if err != nil {
			return err
		}
		t, err := c.GrantTemplate(cmd.Context(), ref, args[0])
		if err != nil {
			return err
		}
		return conn.say(cmd, t, func(s *screen) { showTemplate(s, t) })
	})
	list := conn.command("list", "List the templates of an org", "  writ template list --org acme", 0, func(cmd *cobra.Command, c *client.Client, _ []string) error {
		ref, err := orgOrOwn(cmd, c, org)
		if err != nil {
			return err
		}
		all, err := client.Collect(c.GrantTemplates(cmd.Context(), ref), 0)
		if err != nil {
			return err
		}
		return conn.say(cmd, map[string]any{"items": all}, func(s *screen) {
			rows := make([][]string, len(all))
			for i, t := range all {
				rows[i] = []string{t.Name, t.Capabilities, t.Description}
			}
			s.table([]string{"NAME", "CAPABILITIES", "DESCRIPTION"}, rows)
		})
	})
	remove := conn.command("delete NAME", "Delete a template; grants that were issued from it stand", "  writ template delete invoice-reader", 1, func(cmd *cobra.Command, c *client.Client, args []string) error {
		ref, err := orgOrOwn(cmd, c, org)
		if err != nil {
			return err
		}
		ch, err := c.DeleteGrantTemplate(cmd.Context(), ref, args[0])
		if err != nil {
			return err
		}
		return conn.say(cmd, saidChange("template", ch), func(s *screen) {
			s.printf("template %s is deleted\n", s.bold(ch.Value.Name))
			s.event(ch.Event)
		})
	})
	cmd.AddCommand(templateSetCmd(conn, &org), get, list, remove)
	return cmd
}

func templateSetCmd(conn *connection, org *string) *cobra.Command {
	var in client.GrantTemplate
	var level int
	var lifetime time.Duration
	cmd := conn.command("set NAME CAPABILITIES", "Say all that grants by a name are", "", 2, func(cmd *cobra.Command, c *client.Client, args []string) error {
		ref, err := orgOrOwn(cmd, c, *org)
		if err != nil {
			return err
		}
		in.Name, in.Capabilities, in.Lifetime = args[0], args[1], int64(lifetime/time.Second)
		if cmd.Flags().Changed("level") {
			in.AuthorityLevel = &level
		}
		ch, err := c.PutGrantTemplate(cmd.Context(), ref, in)
		if err != nil {
			return err
		}
		return conn.say(cmd, saidChange("template", ch), func(s *screen) {
			showTemplate(s, ch.Value)
			s.event(ch.Event)
		})
	})
	cmd.Long = `Say all that grants by a name are, in place of what was said before. What no flag
says is left to who issues a grant.`
	cmd.Example = `  writ template set invoice-reader "read:invoices; execute:none" --lifetime 8h
  writ template set shipper "create:shipment(weight<=500)" --audience https://erp.example --domain freight`
	f := cmd.Flags()
	f.StringVar(&in.Description, "description", "", "what it is for, for people")
	f.StringArrayVar(&in.Budgets, "budget", nil, "bound that all who act under a grant share; repeatable")
	f.StringSliceVar(&in.Audience, "audience", nil, "resource server that grants are for; repeatable")
	f.StringVar(&in.Domain, "domain", "", "business domain")
	f.StringVar(&in.Workflow, "workflow", "", "workflow")
	f.IntVar(&level, "level", 0, "authority level, 0 to 4")
	f.IntVar(&in.Delegation, "delegate", 0, "how many links holders may make under a grant, 0 to 7")
	f.DurationVar(&lifetime, "lifetime", 0, "how long a grant is good, such as 8h")
	return cmd
}

func showTemplate(s *screen, t client.GrantTemplate) {
	s.printf("%s\n", s.bold(printable(t.Name)))
	level, delegation, lifetime := "", "", ""
	if t.AuthorityLevel != nil {
		level = strconv.Itoa(*t.AuthorityLevel)
	}
	if t.Delegation > 0 {
		delegation = strconv.Itoa(t.Delegation)
	}
	if t.Lifetime > 0 {
		lifetime = (time.Duration(t.Lifetime) * time.Second).String()
	}
	s.fields("for", t.Description, "capabilities", t.Capabilities, "budgets", strings.Join(t.Budgets, "; "), "audience", strings.Join(t.Audience, ", "), "domain", t.Domain, "workflow", t.Workflow,
		"level", level, "links under it", delegation, "good for", lifetime)
}
