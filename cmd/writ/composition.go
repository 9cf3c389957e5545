package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/writ-registry/writ/client"
	"github.com/writ-registry/writ/registry/capability"
)

func agentCompositionCmd(conn *connection) *cobra.Command {
	var parts, statements []string
	var source string
	cmd := &cobra.Command{
		Use:   "composition AGENT --part KIND:NAME=WHAT",
		Short: "Say what an agent is made of, and who vouches for it",
		Long: `Say what an agent is made of: its model, runtime, tools and APIs, each by the
SHA-256 of its artifact or manifest. It replaces what was said before. A change is
an event, and ends the trust in what the agent was.

A part is KIND:NAME=sha256:HEX or KIND:NAME=@FILE; --source says who vouches for
these parts. The parts of a --statement, signed by a voucher of the org (see writ
voucher sign), come with it.
` + connectionHelp,
		Example: `  writ agent composition invoices.agent.json --part model:m-7=sha256:ab12... --part tools:erp=@manifest.json
  writ agent composition did:webvh:... --part api:erp=@openapi.json --statement build.jwt`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			list, err := readParts(parts, source)
			if err != nil {
				return err
			}
			ref, err := agentRef(args[0])
			if err != nil {
				return err
			}
			c, err := conn.open(cmd)
			if err != nil {
				return err
			}
			raw, more, err := readStatements(cmd, c, statements)
			if err != nil {
				return err
			}
			ch, err := c.SetComposition(cmd.Context(), ref, append(list, more...), raw)
			if err != nil {
				return err
			}
			return conn.say(cmd, saidChange("agent", ch), func(s *screen) {
				showAgent(s, ch.Value)
				s.event(ch.Event)
			})
		},
	}
	cmd.Flags().StringArrayVar(&parts, "part", nil, "`KIND:NAME=WHAT`; kind is model, runtime, tools or api; repeatable")
	cmd.Flags().StringVar(&source, "source", "sponsor", "who vouches for the parts: self or sponsor")
	cmd.Flags().StringArrayVar(&statements, "statement", nil, "`FILE` that writ voucher sign wrote; repeatable")
	return cmd
}

// readParts reads KIND:NAME=sha256:HEX and KIND:NAME=@FILE.
func readParts(texts []string, source string) (parts []client.Component, err error) {
	for _, text := range texts {
		what, of, ok := strings.Cut(text, "=")
		kind, name, named := strings.Cut(what, ":")
		if !ok || !named || name == "" {
			return nil, fmt.Errorf("--part %q: want KIND:NAME=sha256:HEX or KIND:NAME=@FILE", text)
		}
		p := client.Component{Kind: kind, Name: name, Source: source}
		if path, file := strings.CutPrefix(of, "@"); file {
			p.Digest, err = digestFile(path)
		} else if p.Digest, ok = strings.CutPrefix(of, "sha256:"); !ok {
			err = fmt.Errorf("--part %q: want sha256:HEX or @FILE behind the =", text)
		}
		if err != nil {
			return nil, err
		}
		parts = append(parts, p)
	}
	return parts, nil
}

func digestFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// readStatements reads statements and the parts that they are for, whose source is
// the kind of the voucher.
func readStatements(cmd *cobra.Command, c *client.Client, paths []string) (raw []string, parts []client.Component, err error) {
	if len(paths) == 0 {
		return nil, nil, nil
	}
	vouchers, err := client.Collect(c.Vouchers(cmd.Context(), ""), 0)
	if err != nil {
		return nil, nil, err
	}
	for _, path := range paths {
		text, err := readLine(path)
		if err != nil {
			return nil, nil, err
		}
		s, err := capability.ParseComposition(text)
		if err != nil {
			return nil, nil, fmt.Errorf("statement %s: %w", path, err)
		}
		source := "build-signed" // the registry says what is wrong with a stranger's
		for _, v := range vouchers {
			if strings.HasSuffix(s.Claims().Issuer, ":"+v.Thumbprint) && v.Kind == "attester" {
				source = "runtime-attested"
			}
		}
		raw = append(raw, text)
		for _, p := range s.Claims().Parts {
			parts = append(parts, client.Component{Kind: p.Kind, Name: p.Name, Digest: p.Digest, Source: source})
		}
	}
	return raw, parts, nil
}

// newVoucherCmd manages who vouches for the parts of agents.
func newVoucherCmd() *cobra.Command {
	conn := &connection{}
	cmd := &cobra.Command{
		Use:   "voucher",
		Short: "Builders and attesters: who vouches for the parts of agents",
		Long: `Register and revoke vouchers, and sign as one. A builder signs what it built, an
attester what it sees running; both sign with a key that the org's owner registered.
` + connectionHelp,
	}
	conn.bind(cmd)
	cmd.AddCommand(voucherNewCmd(conn), voucherListCmd(conn), voucherRevokeCmd(conn), voucherSignCmd(conn))
	return cmd
}

func voucherNewCmd(conn *connection) *cobra.Command {
	var in client.NewVoucher
	var file string
	cmd := &cobra.Command{
		Use: "new --name NAME --kind KIND --key FILE", Short: "Register a voucher; its key is made where the file is not there", Args: cobra.NoArgs,
		Example: "  writ voucher new --name ci --kind builder --key ci.key.pem",
		RunE: func(cmd *cobra.Command, _ []string) error {
			key, _, err := keptKey(file)
			if err != nil {
				return err
			}
			in.JWK = key.JWK()
			c, err := conn.open(cmd)
			if err != nil {
				return err
			}
			ch, err := c.RegisterVoucher(cmd.Context(), in)
			if err != nil {
				return err
			}
			return conn.say(cmd, saidChange("voucher", ch), func(s *screen) {
				s.printf("%s\n", s.bold(printable(ch.Value.Name)))
				s.fields("id", ch.Value.ID, "kind", ch.Value.Kind, "key", ch.Value.Thumbprint+"  (RFC 7638)", "file", file+"  (holds the private key)")
				s.event(ch.Event)
			})
		},
	}
	cmd.Flags().StringVar(&in.Org, "org", "", "org, by id or name (default: that of the credential)")
	cmd.Flags().StringVar(&in.Name, "name", "", "machine name: [a-z0-9._-]")
	cmd.Flags().StringVar(&in.Kind, "kind", "", "builder or attester")
	cmd.Flags().StringVar(&file, "key", "", "`FILE` of the private key, PKCS #8 PEM")
	for _, name := range []string{"name", "kind", "key"} {
		_ = cmd.MarkFlagRequired(name) // the flag exists
	}
	return cmd
}

func voucherListCmd(conn *connection) *cobra.Command {
	var org string
	cmd := &cobra.Command{
		Use: "list", Short: "List the vouchers of an org", Args: cobra.NoArgs, Example: "  writ voucher list --org acme",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := conn.open(cmd)
			if err != nil {
				return err
			}
			vouchers, err := client.Collect(c.Vouchers(cmd.Context(), org), 0)
			if err != nil {
				return err
			}
			return conn.say(cmd, map[string]any{"items": vouchers}, func(s *screen) {
				rows := make([][]string, len(vouchers))
				for i, v := range vouchers {
					revoked := "-"
					if !v.Revoked.IsZero() {
						revoked = v.Revoked.Format(time.RFC3339)
					}
					rows[i] = []string{v.Name, v.Kind, revoked, v.ID, v.Thumbprint}
				}
				s.table([]string{"NAME", "KIND", "REVOKED", "ID", "KEY"}, rows)
			})
		},
	}
	cmd.Flags().StringVar(&org, "org", "", "org, by id or name (default: that of the credential)")
	return cmd
}

func voucherRevokeCmd(conn *connection) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use: "revoke ID", Short: "End a voucher for good", Args: cobra.ExactArgs(1), Example: "  writ voucher revoke 019a... --reason key-compromise",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := conn.open(cmd)
			if err != nil {
				return err
			}
			ch, err := c.RevokeVoucher(cmd.Context(), args[0], reason)
			if err != nil {
				return err
			}
			return conn.say(cmd, saidChange("voucher", ch), func(s *screen) {
				s.printf("%s vouches for nothing more\n", s.bold(printable(ch.Value.Name)))
				s.event(ch.Event)
			})
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "machine name of the reason: [a-z0-9._-]")
	return cmd
}

func voucherSignCmd(conn *connection) *cobra.Command {
	var file, agent, origin string
	var parts []string
	var life time.Duration
	cmd := &cobra.Command{
		Use:   "sign --key FILE --part KIND:NAME=WHAT",
		Short: "Sign, as a voucher, that parts are what they say",
		Long: `Sign, with the key of a voucher, that parts are what they say, and write the
statement to standard output. An attester names the agent, and its statement is
good for a day at most; a builder may leave the agent out, and has a year.`,
		Example: `  writ voucher sign --key ci.key.pem --part tools:erp=@manifest.json > build.jwt
  writ voucher sign --key tee.key.pem --agent did:webvh:... --part runtime:node=sha256:ab12... > run.jwt`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			pem, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			key, err := client.ParseAgentKey(pem)
			if err != nil {
				return err
			}
			list, err := readParts(parts, "")
			if err != nil {
				return err
			}
			if origin == "" {
				c, err := conn.open(cmd)
				if err != nil {
					return err
				}
				if origin, err = c.Origin(cmd.Context()); err != nil {
					return err
				}
			}
			statement, err := key.Vouch(origin, agent, life, list)
			if err != nil {
				return err
			}
			if conn.json {
				return writeJSON(cmd.OutOrStdout(), map[string]string{"statement": statement})
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), statement)
			return err
		},
	}
	cmd.Flags().StringVar(&file, "key", "", "`FILE` of the voucher's private key")
	cmd.Flags().StringVar(&agent, "agent", "", "DID of the agent")
	cmd.Flags().StringVar(&origin, "origin", "", "origin of the registry (default: it is asked)")
	cmd.Flags().StringArrayVar(&parts, "part", nil, "`KIND:NAME=WHAT`; kind is model, runtime, tools or api; repeatable")
	cmd.Flags().DurationVar(&life, "for", 24*time.Hour, "how long the statement is good")
	for _, name := range []string{"key", "part"} {
		_ = cmd.MarkFlagRequired(name) // the flag exists
	}
	return cmd
}
