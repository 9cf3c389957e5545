package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/writ-registry/writ/client"
	"github.com/writ-registry/writ/internal/canon"
)

// newEntityCmd manages what an org knows of users, groups, resources and agents.
func newEntityCmd() *cobra.Command {
	conn := &connection{}
	var org string
	cmd := &cobra.Command{
		Use:   "entity",
		Short: "Say what an org knows of users, groups, resources and agents, for its policies",
		Long: `Say what an org knows of users, groups, resources and agents: what its policies read,
and what searches look among. It gives no authority of its own. An entity is named
TYPE/ID, as in user/alice; an agent's is agent/ and its DID, and says only which
groups it is in.
` + connectionHelp,
	}
	conn.bind(cmd)
	cmd.PersistentFlags().StringVar(&org, "org", "", "org, by id or name (default: that of the credential)")
	of := func(run func(cmd *cobra.Command, c *client.Client, org, typ, id string) error) func(*cobra.Command, *client.Client, []string) error {
		return func(cmd *cobra.Command, c *client.Client, args []string) error {
			typ, id, ok := strings.Cut(args[0], "/")
			if !ok {
				return fmt.Errorf("%q names no entity: TYPE/ID is wanted", args[0])
			}
			ref, err := orgOrOwn(cmd, c, org)
			if err != nil {
				return err
			}
			return run(cmd, c, ref, typ, id)
		}
	}
	get := conn.command("get TYPE/ID", "Show what an org knows of an entity", "  writ entity get user/alice", 1,
		of(func(cmd *cobra.Command, c *client.Client, org, typ, id string) error {
			e, err := c.Entity(cmd.Context(), org, typ, id)
			if err != nil {
				return err
			}
			return conn.say(cmd, e, func(s *screen) { showEntity(s, e) })
		}))
	remove := conn.command("delete TYPE/ID", "Know nothing of an entity any more", "  writ entity delete user/alice", 1,
		of(func(cmd *cobra.Command, c *client.Client, org, typ, id string) error {
			ch, err := c.DeleteEntity(cmd.Context(), org, typ, id)
			if err != nil {
				return err
			}
			return conn.sayEntity(cmd, ch)
		}))
	cmd.AddCommand(setEntityCmd(conn, of), get, listEntitiesCmd(conn, &org), remove, importEntitiesCmd(conn, &org))
	return cmd
}

func setEntityCmd(conn *connection, of func(func(*cobra.Command, *client.Client, string, string, string) error) func(*cobra.Command, *client.Client, []string) error) *cobra.Command {
	var properties string
	var groups []string
	cmd := conn.command("set TYPE/ID", "Say all that an org knows of an entity", `  writ entity set user/alice --properties '{"department":"Sales"}' --group team/sales
  writ entity set invoices/7 --properties @invoice-7.json`, 1,
		of(func(cmd *cobra.Command, c *client.Client, org, typ, id string) error {
			e := client.StoredEntity{Type: typ, ID: id, Properties: json.RawMessage(properties)}
			if file, ok := strings.CutPrefix(properties, "@"); ok {
				text, err := readText(file, cmd.InOrStdin())
				if err != nil {
					return err
				}
				e.Properties = json.RawMessage(text)
			}
			if len(e.Properties) > 0 {
				if err := canon.Check(e.Properties); err != nil {
					return fmt.Errorf("--properties: %w", err)
				}
			}
			for _, group := range groups {
				typ, id, ok := strings.Cut(group, "/")
				if !ok {
					return fmt.Errorf("--group %q: TYPE/ID is wanted", group)
				}
				e.Parents = append(e.Parents, client.EntityRef{Type: typ, ID: id})
			}
			ch, err := c.PutEntity(cmd.Context(), org, e)
			if err != nil {
				return err
			}
			return conn.sayEntity(cmd, ch)
		}))
	cmd.Flags().StringVar(&properties, "properties", "", "JSON object that policies read, or @FILE (@- for standard input); what is left out is not known any more")
	cmd.Flags().StringArrayVar(&groups, "group", nil, "`TYPE/ID` of an entity that it is in; repeatable")
	return cmd
}

func listEntitiesCmd(conn *connection, org *string) *cobra.Command {
	var typ string
	cmd := conn.command("list", "List the entities of an org, in order of type and id", "  writ entity list --type user", 0,
		func(cmd *cobra.Command, c *client.Client, _ []string) error {
			ref, err := orgOrOwn(cmd, c, *org)
			if err != nil {
				return err
			}
			list, err := client.Collect(c.Entities(cmd.Context(), ref, typ), 0)
			if err != nil {
				return err
			}
			return conn.say(cmd, map[string]any{"items": list}, func(s *screen) {
				rows := make([][]string, len(list))
				for i, e := range list {
					rows[i] = []string{e.Type + "/" + e.ID, groupsOf(e), string(e.Properties)}
				}
				s.table([]string{"ENTITY", "IN", "PROPERTIES"}, rows)
			})
		})
	cmd.Flags().StringVar(&typ, "type", "", "of this type only")
	return cmd
}

func (c *connection) sayEntity(cmd *cobra.Command, ch client.Change[client.StoredEntity]) error {
	return c.say(cmd, saidChange("entity", ch), func(s *screen) {
		showEntity(s, ch.Value)
		s.event(ch.Event)
	})
}

func showEntity(s *screen, e client.StoredEntity) {
	s.printf("%s\n", s.bold(printable(e.Type+"/"+e.ID)))
	s.fields("in", groupsOf(e), "properties", string(e.Properties), "updated", e.Updated.Format(time.RFC3339))
}

func groupsOf(e client.StoredEntity) string {
	names := make([]string, len(e.Parents))
	for i, p := range e.Parents {
		names[i] = p.Type + "/" + p.ID
	}
	return strings.Join(names, " ")
}

// maxEntitiesBody is how much of a file one request takes: a registry reads 1 MiB.
const maxEntitiesBody = 768 << 10

func importEntitiesCmd(conn *connection, org *string) *cobra.Command {
	cmd := conn.command("import FILE|-", "Say what an org knows of the entities of a file", `  writ entity import users.ndjson
  writ entity list --json | writ entity import - --org other`, 1,
		func(cmd *cobra.Command, c *client.Client, args []string) error {
			list, err := readEntities(args[0], cmd.InOrStdin())
			if err != nil {
				return err
			}
			ref, err := orgOrOwn(cmd, c, *org)
			if err != nil {
				return err
			}
			p := newProgress(cmd.ErrOrStderr(), "entities")
			p.total = len(list)
			var all client.EntitiesPut
			for done := 0; done < len(list); {
				n := entitiesBatch(list[done:])
				out, err := c.PutEntities(cmd.Context(), ref, list[done:done+n])
				if err != nil {
					p.end()
					return fmt.Errorf("entities %d to %d were not taken, %d before them were: %w", done+1, done+n, done, err)
				}
				all.Changed, all.Unchanged = all.Changed+out.Changed, all.Unchanged+out.Unchanged
				done += n
				p.add(n, 0)
			}
			p.end()
			return conn.say(cmd, map[string]int{"changed": all.Changed, "unchanged": all.Unchanged}, func(s *screen) {
				s.printf("%d entities, %d changed\n", len(list), all.Changed)
			})
		})
	cmd.Long = `Say what an org knows of the entities of a file, by up to 1,000 in one change. Each is
{"type", "id", "properties", "parents": [{"type", "id"}]}; the file is one on each line
(NDJSON), a JSON list of them, or what writ entity list --json wrote. Entities that the
file does not name stay as they are. Run it again with the same file, and nothing
changes. Nothing is sent of a file that cannot be read whole.
` + connectionHelp
	return cmd
}

// entitiesBatch is how many of the list the next request takes, at least one.
func entitiesBatch(list []client.StoredEntity) int {
	size := 0
	for i, e := range list {
		size += 128 + len(e.Type) + len(e.ID) + len(e.Properties)
		for _, p := range e.Parents {
			size += 32 + len(p.Type) + len(p.ID)
		}
		if i == client.MaxEntities || i > 0 && size > maxEntitiesBody {
			return i
		}
	}
	return len(list)
}

// readEntities reads a file of entities, in one of three forms.
func readEntities(name string, stdin io.Reader) ([]client.StoredEntity, error) {
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		stdin = f
	}
	data, err := io.ReadAll(io.LimitReader(stdin, maxImport+1))
	switch {
	case err != nil:
		return nil, err
	case len(data) > maxImport:
		return nil, fmt.Errorf("%s is longer than %d bytes", name, maxImport)
	}
	list, err := parseEntities(data)
	if err == nil && len(list) == 0 {
		err = errors.New("it holds no entities")
	}
	if err != nil {
		return nil, fmt.Errorf("import %s: %w", name, err)
	}
	return list, nil
}

func parseEntities(data []byte) (list []client.StoredEntity, err error) {
	if bytes.HasPrefix(bytes.TrimSpace(data), []byte("[")) {
		err = canon.Unmarshal(data, &list)
		return list, err
	}
	var listed struct {
		Items []client.StoredEntity `json:"items"`
	}
	if canon.Unmarshal(data, &listed) == nil {
		return listed.Items, nil
	}
	n := 0
	for line := range bytes.Lines(data) {
		n++
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		var e client.StoredEntity
		if err := canon.Unmarshal(line, &e); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		list = append(list, e)
	}
	return list, nil
}
