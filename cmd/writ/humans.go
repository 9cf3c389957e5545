package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/writ-registry/writ/client"
)

// addPrincipalCmds adds what is done to a human who is registered.
func addPrincipalCmds(parent *cobra.Command, conn *connection) {
	show := conn.command("show PRINCIPAL", "Show a human", "  writ principal show ID", 1, func(cmd *cobra.Command, c *client.Client, args []string) error {
		p, err := c.Principal(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		return conn.say(cmd, p, func(s *screen) { showPrincipal(s, p) })
	})
	var roles []string
	set := conn.command("roles PRINCIPAL", "Replace the roles that a human has inside the registry", "  writ principal roles ID --role registrar --role approver", 1,
		func(cmd *cobra.Command, c *client.Client, args []string) error {
			ch, err := c.SetRoles(cmd.Context(), args[0], roles)
			return conn.sayPrincipal(cmd, ch, err)
		})
	set.Long = `Replace the roles that a human has inside the registry. Those that groups of the
org's issuer give are apart. The last owner of an org, and the last operator,
cannot lose that role; where the org separates duties, nobody widens their own.`
	set.Flags().StringSliceVar(&roles, "role", nil, "role; repeatable; none takes them all")
	parent.AddCommand(show, set,
		conn.move("suspend", "Stop a human, their sessions and the agents they sponsor", (*client.Client).SuspendPrincipal),
		conn.move("resume", "Let a suspended human act again", (*client.Client).ResumePrincipal),
		conn.move("end", "Record that a human has left, for good", (*client.Client).EndPrincipal),
		credentialCmd(conn, "principal", client.PrincipalOwner), sessionCmd(conn), authenticatorCmd(conn))
}

// command makes a command of a fixed number of arguments that needs a client.
func (c *connection) command(use, short, example string, args int, run func(*cobra.Command, *client.Client, []string) error) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Example: example, Args: cobra.ExactArgs(args),
		RunE: func(cmd *cobra.Command, args []string) error {
			cl, err := c.open(cmd)
			if err != nil {
				return err
			}
			return run(cmd, cl, args)
		},
	}
}

// move makes a command that changes a human's status.
func (c *connection) move(verb, short string, do func(*client.Client, context.Context, string, string) (client.Change[client.Principal], error)) *cobra.Command {
	var reason string
	cmd := c.command(verb+" PRINCIPAL", short, "  writ principal "+verb+" ID --reason left-the-team", 1, func(cmd *cobra.Command, cl *client.Client, args []string) error {
		ch, err := do(cl, cmd.Context(), args[0], reason)
		return c.sayPrincipal(cmd, ch, err)
	})
	cmd.Flags().StringVar(&reason, "reason", "", "machine name of the reason, recorded")
	return cmd
}

func (c *connection) sayPrincipal(cmd *cobra.Command, ch client.Change[client.Principal], err error) error {
	if err != nil {
		return err
	}
	return c.say(cmd, saidChange("principal", ch), func(s *screen) {
		showPrincipal(s, ch.Value)
		s.event(ch.Event)
	})
}

func showPrincipal(s *screen, p client.Principal) {
	s.printf("%s\n", s.bold(p.ID))
	s.fields("org", p.Org, "name", p.DisplayName, "status", first(p.Status, "active"), "roles", strings.Join(p.Roles, ", "),
		"by groups", strings.Join(p.GroupRoles, ", "), "issuer", p.Issuer, "subject", p.Subject, "since", p.Created.Format(time.RFC3339))
}

// credentialCmd lists, rotates and revokes credentials of a kind of owner.
func credentialCmd(conn *connection, kind string, owner func(string) client.Owner) *cobra.Command {
	cmd := &cobra.Command{Use: "credential", Short: "List, rotate and revoke credentials"}
	upper := strings.ToUpper(kind)
	list := conn.command("list "+upper, "List the credentials that count, without their secrets", "  writ "+kind+" credential list ID", 1,
		func(cmd *cobra.Command, c *client.Client, args []string) error {
			all, err := client.Collect(c.Credentials(cmd.Context(), owner(args[0])), 0)
			if err != nil {
				return err
			}
			return conn.say(cmd, map[string]any{"items": all}, func(s *screen) {
				rows := make([][]string, len(all))
				for i, k := range all {
					note := ""
					if k.Bootstrap {
						note = "of the first start"
					}
					rows[i] = []string{k.ID, k.Hint, day(k.Created), day(k.Expires), note}
				}
				s.table([]string{"ID", "HASH", "CREATED", "ENDS", "NOTE"}, rows)
			})
		})
	var overlap time.Duration
	rotate := conn.command("rotate "+upper, "Make a new credential and print it, once", "  writ "+kind+" credential rotate ID --overlap 1h", 1,
		func(cmd *cobra.Command, c *client.Client, args []string) error {
			ch, err := c.RotateCredential(cmd.Context(), owner(args[0]), overlap)
			if err != nil {
				return err
			}
			return conn.say(cmd, saidChange("credential", ch), func(s *screen) {
				s.fields("credential", ch.Value.ID, "hash", "..."+ch.Value.Hint)
				s.event(ch.Event)
				s.secret(ch.Secret, ch.Replayed)
			})
		})
	rotate.Flags().DurationVar(&overlap, "overlap", 0, "how long those before go on, 720h at most; without it they end at once")
	var reason string
	revoke := conn.command("revoke "+upper+" CREDENTIAL", "End a credential at once", "  writ "+kind+" credential revoke ID CREDENTIAL --reason lost", 2,
		func(cmd *cobra.Command, c *client.Client, args []string) error {
			ch, err := c.RevokeCredential(cmd.Context(), owner(args[0]), args[1], reason)
			if err != nil {
				return err
			}
			return conn.say(cmd, saidChange("credential", ch), func(s *screen) {
				s.fields("revoked", ch.Value.ID, "hash", "..."+ch.Value.Hint)
				s.event(ch.Event)
			})
		})
	revoke.Flags().StringVar(&reason, "reason", "", "machine name of the reason, recorded")
	cmd.AddCommand(list, rotate, revoke)
	return cmd
}

// day writes a time, or nothing where there is none.
func day(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format(time.RFC3339)
}

// sessionCmd lists and ends the sessions of a human.
func sessionCmd(conn *connection) *cobra.Command {
	cmd := &cobra.Command{Use: "session", Short: "List and end sessions of the pages"}
	list := conn.command("list PRINCIPAL", "List where a human is signed in", "  writ principal session list ID", 1,
		func(cmd *cobra.Command, c *client.Client, args []string) error {
			all, err := client.Collect(c.Sessions(cmd.Context(), args[0]), 0)
			if err != nil {
				return err
			}
			return conn.say(cmd, map[string]any{"items": all}, func(s *screen) {
				rows := make([][]string, len(all))
				for i, v := range all {
					rows[i] = []string{v.ID, day(v.Created), day(v.Seen), day(v.Checked), day(v.Expires)}
				}
				s.table([]string{"ID", "BEGAN", "SEEN", "ISSUER ASKED", "ENDS"}, rows)
			})
		})
	var all bool
	end := &cobra.Command{
		Use: "end PRINCIPAL [SESSION]", Short: "End a session, or all with --all", Args: cobra.RangeArgs(1, 2),
		Example: "  writ principal session end ID --all",
		RunE: func(cmd *cobra.Command, args []string) error {
			if all != (len(args) == 1) {
				return fmt.Errorf("name a SESSION, or give --all")
			}
			c, err := conn.open(cmd)
			if err != nil {
				return err
			}
			n, err := c.EndSessions(cmd.Context(), args[0], strings.Join(args[1:], ""))
			if err != nil {
				return err
			}
			return conn.say(cmd, map[string]any{"ended": n}, func(s *screen) { s.printf("%d ended\n", n) })
		},
	}
	end.Flags().BoolVar(&all, "all", false, "all of them")
	cmd.AddCommand(list, end)
	return cmd
}

// issuerCmd manages where people of an org sign in.
func issuerCmd(conn *connection) *cobra.Command {
	cmd := &cobra.Command{Use: "issuer", Short: "Set, list and remove the OpenID providers where people of an org sign in"}
	var in client.NewIssuer
	var secretFrom string
	var groups []string
	set := conn.command("set ORG ISSUER", "Let people sign in for an org at an issuer, or change how", `  writ org issuer set acme https://login.example --client-id writ --client-secret @secret.txt \
      --scope offline_access --groups-claim groups --map platform-team=registrar --map audit=auditor`, 2,
		func(cmd *cobra.Command, c *client.Client, args []string) error {
			q := in
			q.Issuer = args[1]
			var err error
			if q.Mapping, err = readMapping(groups); err == nil {
				q.ClientSecret, err = readSecret(cmd, secretFrom)
			}
			if err != nil {
				return err
			}
			ch, err := c.SetSignInIssuer(cmd.Context(), args[0], q)
			if err != nil {
				return err
			}
			return conn.say(cmd, saidChange("issuer", ch), func(s *screen) {
				showIssuer(s, ch.Value)
				s.event(ch.Event)
			})
		})
	set.Long = `Let people sign in for an org at an issuer (OpenID Connect), or change how. Register
at the issuer the redirect URI ORIGIN/ui/oidc/callback and, for signing out,
ORIGIN/ui/signed-out.

Groups give registrar, policy_author and auditor; owner, approver and operator are
given with writ principal roles. Everybody who is signed in by the issuer signs in
again.`
	f := set.Flags()
	f.StringVar(&in.ClientID, "client-id", "", "the client that the issuer registered for this registry")
	f.StringVar(&secretFrom, "client-secret", "", "its secret, from @FILE or - (standard input); @/dev/null: none; default: the one there is")
	f.StringSliceVar(&in.Scopes, "scope", nil, "scope beside openid; repeatable")
	f.StringVar(&in.Prompt, "prompt", "", "prompt parameter; some issuers give refresh tokens for consent only")
	f.StringVar(&in.GroupsClaim, "groups-claim", "", "member of the ID token that lists the groups")
	f.StringArrayVar(&groups, "map", nil, "GROUP=ROLE[,ROLE]; repeatable")
	f.BoolVar(&in.KeepBootstrap, "keep-bootstrap", false, "keep the first start's credential when somebody of this issuer becomes an operator")
	f.BoolVar(&in.NoCheck, "no-check", false, "do not ask the issuer whether it is there")
	_ = set.MarkFlagRequired("client-id") // the flag exists
	list := conn.command("list ORG", "List where people of an org sign in", "  writ org issuer list acme", 1,
		func(cmd *cobra.Command, c *client.Client, args []string) error {
			all, err := client.Collect(c.SignInIssuers(cmd.Context(), args[0]), 0)
			if err != nil {
				return err
			}
			return conn.say(cmd, map[string]any{"items": all}, func(s *screen) {
				for _, i := range all {
					showIssuer(s, i)
				}
			})
		})
	remove := conn.command("remove ORG ID", "End sign-in at an issuer, and the sessions that began there", "  writ org issuer remove acme ID", 2,
		func(cmd *cobra.Command, c *client.Client, args []string) error {
			ch, err := c.RemoveSignInIssuer(cmd.Context(), args[0], args[1])
			if err != nil {
				return err
			}
			return conn.say(cmd, saidChange("issuer", ch), func(s *screen) {
				s.fields("removed", ch.Value.Issuer)
				s.event(ch.Event)
			})
		})
	cmd.AddCommand(set, list, remove)
	return cmd
}

func showIssuer(s *screen, i client.Issuer) {
	s.printf("%s\n", s.bold(printable(i.Issuer)))
	secret := "none: a public client"
	if i.HasSecret {
		secret = "kept"
	}
	pairs := []string{"id", i.ID, "client", i.ClientID, "secret", secret, "scopes", strings.Join(i.Scopes, " "), "prompt", i.Prompt, "groups in", i.GroupsClaim}
	for _, group := range slices.Sorted(maps.Keys(i.Mapping)) {
		pairs = append(pairs, "group "+printable(group), strings.Join(i.Mapping[group], ", "))
	}
	s.fields(pairs...)
}

// readMapping reads GROUP=ROLE[,ROLE]. A group may hold =; a role does not.
func readMapping(lines []string) (map[string][]string, error) {
	out := map[string][]string{}
	for _, line := range lines {
		i := strings.LastIndexByte(line, '=')
		if i < 1 || i == len(line)-1 {
			return nil, fmt.Errorf("--map %q: want GROUP=ROLE[,ROLE]", line)
		}
		out[line[:i]] = append(out[line[:i]], strings.Split(line[i+1:], ",")...)
	}
	return out, nil
}

// readSecret reads a secret that a command line must not show. nil: none was named.
func readSecret(cmd *cobra.Command, from string) (*string, error) {
	var secret string
	var err error
	switch path, isFile := strings.CutPrefix(from, "@"); {
	case from == "":
		return nil, nil
	case from == "-":
		var raw []byte
		raw, err = io.ReadAll(io.LimitReader(cmd.InOrStdin(), 4096))
		secret = strings.TrimSpace(string(raw))
	case isFile:
		secret, err = readLine(path)
	default:
		err = fmt.Errorf("--client-secret: want @FILE or -; a command line is for all on the machine to read")
	}
	return &secret, err
}

// agentSponsorCmd moves an agent to another sponsor.
func agentSponsorCmd(conn *connection) *cobra.Command {
	return conn.command("sponsor AGENT PRINCIPAL", "Have another human of the org answer for an agent", "  writ agent sponsor invoices.agent.json PRINCIPAL_ID", 2,
		func(cmd *cobra.Command, c *client.Client, args []string) error {
			ref, err := agentRef(args[0])
			if err != nil {
				return err
			}
			ch, err := c.SetSponsor(cmd.Context(), ref, args[1])
			if err != nil {
				return err
			}
			return conn.say(cmd, saidChange("agent", ch), func(s *screen) {
				s.fields("agent", ch.Value.Name, "sponsor", ch.Value.Sponsor)
				s.event(ch.Event)
			})
		})
}
