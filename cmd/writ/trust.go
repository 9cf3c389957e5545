package main

import (
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/writ-registry/writ/client"
	"github.com/writ-registry/writ/client/verify"
)

// newTrustCmd manages trust lists.
func newTrustCmd() *cobra.Command {
	conn := &connection{}
	cmd := &cobra.Command{
		Use:   "trust",
		Short: "Say which foreign registries an org accepts, and how far",
		Long: `Say which foreign registries an org accepts: by which keys, for which agents, at
which of its own resource servers, and up to which capabilities and authority level.
What an entry does not say is not accepted. The registry then follows the issuer:
its keys, its log, the status of its grants and the histories of its agents' DIDs.
` + connectionHelp,
	}
	conn.bind(cmd)
	cmd.AddCommand(newTrustAddCmd(conn), newTrustListCmd(conn), newTrustShowCmd(conn), newTrustRemoveCmd(conn), newTrustExportCmd(conn))
	return cmd
}

// peer is how a command asks another registry for its public keys.
type peer struct{ ca string }

func (p peer) open(address string) (*client.Client, error) {
	return (&connection{tls: p.ca}).to(address, "", client.Options{})
}

// readRoots reads certificates (PEM) that are trusted beside the machine's.
func readRoots(file string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate", file)
	}
	return roots, nil
}

func newTrustAddCmd(conn *connection) *cobra.Command {
	var in client.NewTrust
	var from peer
	var pins []string
	var notAfter string
	var yes bool
	cmd := &cobra.Command{
		Use: "add REGISTRY --audience URI --capabilities TEXT", Short: "Pin a foreign registry's keys and accept its grants, within bounds", Args: cobra.ExactArgs(1),
		Long: `Fetch the keys of the registry at an address, print their fingerprints for a human to
compare with what the other side reads out, and pin them. Nothing is pinned without
--pin, which names each fingerprint that was compared (spaces do not matter), or
--yes, which believes what was fetched.`,
		Example: `  writ trust add https://registry.example --audience https://erp.acme.example \
      --capabilities "read:invoices" --level 2                 # prints the fingerprints
  writ trust add https://registry.example --audience https://erp.acme.example \
      --capabilities "read:invoices" --level 2 --pin "4vQ2 ..." --pin "x81k ..."`,
		RunE: func(cmd *cobra.Command, args []string) error {
			there, err := from.open(args[0])
			if err != nil {
				return err
			}
			keys, err := there.FetchPins(cmd.Context())
			if err != nil {
				return fmt.Errorf("keys of %s: %w", args[0], err)
			}
			prints, err := keys.Fingerprints()
			if err != nil {
				return err
			}
			if compared := comparedAll(prints, pins); !yes && !compared {
				err := conn.say(cmd, map[string]any{"issuer": keys.Issuer, "fingerprints": prints, "pinned": false}, func(s *screen) {
					showFingerprints(s, keys.Issuer, prints)
					s.printf("\nNothing is pinned yet. Compare them with what the other side reads out, over\nanother line than this one, and give each with --pin.\n")
				})
				if err == nil && len(pins) > 0 {
					err = errors.New("the fingerprints given with --pin are not those of the registry's keys")
				}
				return err
			}
			q := in
			q.Issuer, q.TokenKeys, q.LogKey = keys.Issuer, keys.TokenKeys, keys.LogKey
			if notAfter != "" {
				at, err := time.Parse(time.RFC3339, notAfter)
				if err != nil {
					return fmt.Errorf("--not-after: %w", err)
				}
				q.NotAfter = &at
			}
			c, err := conn.open(cmd)
			if err != nil {
				return err
			}
			ch, err := c.AddTrust(cmd.Context(), q)
			if err != nil {
				return err
			}
			return conn.say(cmd, saidChange("trust", ch), func(s *screen) {
				showFingerprints(s, keys.Issuer, prints)
				showTrust(s, ch.Value)
				s.event(ch.Event)
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&in.Org, "org", "", "org, by id or name (default: that of the credential)")
	f.StringSliceVar(&in.Audiences, "audience", nil, "id of a resource server of our own; repeatable")
	f.StringVar(&in.Capabilities, "capabilities", "", "ceiling: what its agents may do here at most, such as \"read:invoices\"")
	f.IntVar(&in.AuthorityLevel, "level", 0, "authority level of a grant, at most")
	f.StringSliceVar(&in.Agents, "agents", nil, "where DIDs of its agents may be, a.example or a.example:agents; repeatable (default: its own host)")
	f.StringSliceVar(&in.Orgs, "foreign-org", nil, "id of one of its orgs; repeatable (default: any)")
	f.Int64Var(&in.MaxAge, "max-age", 0, "seconds for which what is followed counts (default 60)")
	f.StringVar(&notAfter, "not-after", "", "when the entry ends, RFC 3339 (default: in a year)")
	f.BoolVar(&in.Public, "public", false, "show the entry in the published trust list")
	f.StringArrayVar(&pins, "pin", nil, "fingerprint that was compared; one for each key")
	f.BoolVar(&yes, "yes", false, "pin what was fetched without a comparison")
	f.StringVar(&from.ca, "ca", "", "PEM `FILE` of a CA that the other registry's certificate is from")
	_ = cmd.MarkFlagRequired("audience")     // the flags exist
	_ = cmd.MarkFlagRequired("capabilities") //
	return cmd
}

// comparedAll reports whether the pins are the fingerprints, each and no other.
func comparedAll(prints []client.Fingerprint, pins []string) bool {
	bare := func(s string) string { return strings.ReplaceAll(s, " ", "") }
	for _, p := range prints {
		if !slices.ContainsFunc(pins, func(pin string) bool { return bare(pin) == bare(p.Print) }) {
			return false
		}
	}
	return len(pins) == len(prints)
}

func showFingerprints(s *screen, issuer string, prints []client.Fingerprint) {
	s.printf("%s\n", s.bold(printable(issuer)))
	for _, p := range prints {
		s.fields(p.Key+" key", p.Text, "fingerprint", p.Print)
	}
}

func showTrust(s *screen, t client.Trust) {
	orgs := strings.Join(t.Orgs, ", ")
	if orgs == "" {
		orgs = "any"
	}
	s.fields("entry", t.ID, "issuer", t.Issuer, "agents at", strings.Join(t.Agents, ", "), "its orgs", orgs, "accepted at", strings.Join(t.Audiences, ", "),
		"at most", fmt.Sprintf("%s, level %d", t.Capabilities, t.AuthorityLevel), "max age", shortDuration(time.Duration(t.MaxAge)*time.Second),
		"until", t.NotAfter.Format(time.RFC3339), "standing", trustStanding(t))
}

// trustStanding says in a few words whether an issuer is believed.
func trustStanding(t client.Trust) string {
	switch st := t.Standing; {
	case st == nil:
		return "not followed yet"
	case st.Alarm != nil:
		return "ALARM " + st.Alarm.Code + ": " + st.Alarm.Detail
	default:
		return fmt.Sprintf("followed, log of %d, last seen %s", st.Size, st.Checked.Format(time.RFC3339))
	}
}

func newTrustListCmd(conn *connection) *cobra.Command {
	var org string
	cmd := &cobra.Command{
		Use: "list", Short: "List the foreign registries that an org accepts", Args: cobra.NoArgs,
		Example: "  writ trust list --org acme",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := conn.open(cmd)
			if err != nil {
				return err
			}
			entries, err := client.Collect(c.TrustList(cmd.Context(), org), 0)
			if err != nil {
				return err
			}
			return conn.say(cmd, map[string]any{"items": entries}, func(s *screen) {
				rows := make([][]string, len(entries))
				for i, t := range entries {
					rows[i] = []string{t.Issuer, t.ID, strings.Join(t.Audiences, ","), t.Capabilities, trustStanding(t)}
				}
				s.table([]string{"ISSUER", "ID", "ACCEPTED AT", "AT MOST", "STANDING"}, rows)
			})
		},
	}
	cmd.Flags().StringVar(&org, "org", "", "org, by id or name (default: that of the credential)")
	return cmd
}

func newTrustShowCmd(conn *connection) *cobra.Command {
	return &cobra.Command{
		Use: "show ID", Short: "Show an entry, its pinned keys and how the issuer stands", Args: cobra.ExactArgs(1),
		Example: "  writ trust show 019a0000-0000-7000-8000-000000000014",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := conn.open(cmd)
			if err != nil {
				return err
			}
			t, err := c.Trust(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			prints, err := client.Pins{Issuer: t.Issuer, TokenKeys: t.TokenKeys, LogKey: t.LogKey}.Fingerprints()
			if err != nil {
				return err
			}
			return conn.say(cmd, t, func(s *screen) {
				showFingerprints(s, t.Issuer, prints)
				showTrust(s, t)
			})
		},
	}
}

func newTrustRemoveCmd(conn *connection) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use: "remove ID", Short: "Accept nothing of an issuer any more", Args: cobra.ExactArgs(1),
		Long: `Accept nothing of an issuer any more, and forget what was followed of it. After an
alarm this and a new add, with fingerprints compared anew, is how an owner says that
the issuer is believed again.`,
		Example: "  writ trust remove 019a0000-0000-7000-8000-000000000014 --reason contract-ended",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := conn.open(cmd)
			if err != nil {
				return err
			}
			ch, err := c.RemoveTrust(cmd.Context(), args[0], reason)
			if err != nil {
				return err
			}
			return conn.say(cmd, saidChange("trust", ch), func(s *screen) {
				s.fields("removed", ch.Value.Issuer)
				s.event(ch.Event)
			})
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "machine name of the reason")
	return cmd
}

func newTrustExportCmd(conn *connection) *cobra.Command {
	var org string
	cmd := &cobra.Command{
		Use: "export", Short: "Write the pinned logs as a trust file for writ verify", Args: cobra.NoArgs,
		Long: `Write the logs on the trust list, with their pinned keys, as the trust file that
writ verify and writ-verify read: with it a receipt of any of these registries is
verified offline, its server stopped or gone.`,
		Example: `  writ trust export --org acme > acme.trust.json
  writ verify theirs.writ.json --trust acme.trust.json`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := conn.open(cmd)
			if err != nil {
				return err
			}
			out := verify.Trust{Logs: []verify.TrustedLog{}}
			for t, err := range c.TrustList(cmd.Context(), org) {
				if err != nil {
					return err
				}
				origin, _, _ := strings.Cut(t.LogKey, "+") // the name of a note's key holds no +
				out.Logs = append(out.Logs, verify.TrustedLog{Origin: origin, VKey: t.LogKey})
			}
			if len(out.Logs) == 0 {
				return errors.New("the trust list is empty: a trust file that names no log believes every receipt's own word")
			}
			return writeJSON(cmd.OutOrStdout(), out)
		},
	}
	cmd.Flags().StringVar(&org, "org", "", "org, by id or name (default: that of the credential)")
	return cmd
}

// newOrgPolicyCmd changes what an org demands.
func newOrgPolicyCmd(conn *connection) *cobra.Command {
	var maxAge, warnAge time.Duration
	var to client.OrgPolicy
	cmd := &cobra.Command{
		Use: "policy ORG", Short: "Say what an org demands of its agents and people", Args: cobra.ExactArgs(1),
		Long: `Say what an org demands of its agents and people. What is not given stays as it is;
without any flag the policy is shown.`,
		Example: `  writ org policy acme --max-key-age 2160h --warn-key-age 1440h --separate-duties
  writ org policy acme --separate-duties=false`,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := conn.open(cmd)
			if err != nil {
				return err
			}
			org, err := c.Org(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			p, f := org.Policy, cmd.Flags()
			if f.Changed("max-key-age") {
				p.MaxKeyAge = int64(maxAge / time.Second)
			}
			if f.Changed("warn-key-age") {
				p.WarnKeyAge = int64(warnAge / time.Second)
			}
			if f.Changed("separate-duties") {
				p.SeparateDuties = to.SeparateDuties
			}
			if p == org.Policy {
				return conn.say(cmd, org, func(s *screen) { showOrg(s, org) })
			}
			ch, err := c.SetOrgPolicy(cmd.Context(), org.ID, p)
			if err != nil {
				return err
			}
			return conn.say(cmd, saidChange("org", ch), func(s *screen) {
				showOrg(s, ch.Value)
				s.event(ch.Event)
			})
		},
	}
	cmd.Flags().DurationVar(&maxAge, "max-key-age", 0, "age at which an agent's key proves nothing any more; 0 = no limit")
	cmd.Flags().DurationVar(&warnAge, "warn-key-age", 0, "age at which a key is due; 0 = never")
	cmd.Flags().BoolVar(&to.SeparateDuties, "separate-duties", false, "who asks for an agent, or sponsors it, does not approve it")
	return cmd
}

// newOrgDomainCmd gives an org a domain of its own.
func newOrgDomainCmd(conn *connection) *cobra.Command {
	return &cobra.Command{
		Use: "domain ORG DOMAIN", Short: "Give an org a domain of its own for its agents' DIDs", Args: cobra.ExactArgs(2),
		Long: `Give an org a domain of its own for the DIDs of agents that are registered from here
on; those that there are stay. A TXT record _writ.DOMAIN with the text org=ORG-ID
shows that the org controls it. The domain must serve the registry's /agents/ over
HTTPS. "" is the registry's own origin again.`,
		Example: `  writ org domain acme agents.acme.example
  writ org domain acme ""`,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := conn.open(cmd)
			if err != nil {
				return err
			}
			ch, err := c.SetOrgDomain(cmd.Context(), args[0], args[1])
			if err != nil {
				return err
			}
			return conn.say(cmd, saidChange("org", ch), func(s *screen) {
				showOrg(s, ch.Value)
				s.event(ch.Event)
			})
		},
	}
}
