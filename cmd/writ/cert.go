package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/writ-registry/writ/client"
)

// newCertCmd issues and ends certificates.
func newCertCmd() *cobra.Command {
	conn := &connection{}
	cmd := &cobra.Command{
		Use:   "cert",
		Short: "Issue, list and revoke X.509 certificates; fetch the authority",
		Long: `Issue, list and revoke the X.509 certificates of agents and enforcement points, and
fetch the authority that verifiers trust. A certificate authenticates whom it was
issued to in TLS, in place of a bearer credential.
` + connectionHelp,
	}
	conn.bind(cmd)
	cmd.AddCommand(certIssueCmd(conn), certListCmd(conn), certRevokeCmd(conn), certCACmd(conn))
	return cmd
}

func certIssueCmd(conn *connection) *cobra.Command {
	var agent, pep, out string
	var life time.Duration
	var in client.NewCertificate
	cmd := &cobra.Command{
		Use:   "issue --agent AGENT | --pep ID [CSR]",
		Short: "Certify a key for hours",
		Long: `Certify a key for hours. CSR is a file with a PEM signing request, - is standard
input; it may be left out for an agent that is named by its file, which has the
key. The certificate and the chain to send with it go to -o.`,
		Example: `  writ cert issue --agent invoices.agent.json -o invoices.pem
  writ cert issue --agent did:webvh:... --kind svid workload.csr -o svid.pem
  writ cert issue --pep 01998a2b-... --lifetime 24h gate.csr -o gate.pem
  writ agent show --cert invoices.pem --cert-key invoices.agent.json invoices.agent.json`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if (agent == "") == (pep == "") {
				return errors.New("give --agent or --pep, one of them")
			}
			in.Lifetime = int64(life.Seconds())
			var err error
			if in.CSR, err = readCSR(cmd, agent, args); err != nil {
				return err
			}
			c, err := conn.open(cmd)
			if err != nil {
				return err
			}
			var ch client.Change[client.Certificate]
			if pep != "" {
				ch, err = c.IssuePEPCertificate(cmd.Context(), pep, in)
			} else {
				var ref string
				if ref, err = agentRef(agent); err == nil {
					ch, err = c.IssueAgentCertificate(cmd.Context(), ref, in)
				}
			}
			if err != nil {
				return err
			}
			if out != "" {
				if err := os.WriteFile(out, []byte(ch.Value.PEM), 0o644); err != nil {
					return err
				}
			}
			return conn.say(cmd, saidChange("certificate", ch), func(s *screen) {
				showCertificate(s, ch.Value)
				s.fields("file", out)
				s.event(ch.Event)
				if out == "" {
					s.printf("%s", ch.Value.PEM)
				}
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&agent, "agent", "", "agent file, id or DID")
	f.StringVar(&pep, "pep", "", "id of an enforcement point")
	f.StringVar(&in.Kind, "kind", "", "of an agent's: did or svid (default did)")
	f.DurationVar(&life, "lifetime", 0, "how long it shall live, 24h at most (default 8h)")
	f.StringVarP(&out, "output", "o", "", "`FILE` to write")
	return cmd
}

// readCSR reads a request, or makes it with the key of an agent file.
func readCSR(cmd *cobra.Command, agent string, args []string) (string, error) {
	if len(args) == 1 {
		text, err := readInput(cmd, args[0])
		return string(text), err
	}
	ref, err := agentRef(agent)
	if err != nil {
		return "", err
	}
	if agent == "" || ref == agent { // not named by its file
		return "", errors.New("give a file with a certificate signing request")
	}
	f, err := client.LoadAgentFile(agent)
	if err != nil {
		return "", err
	}
	key, err := client.ParseAgentKey([]byte(f.Key))
	if err != nil {
		return "", err
	}
	return key.CSR()
}

func showCertificate(s *screen, c client.Certificate) {
	s.printf("%s\n", s.bold(c.Digest))
	s.fields("serial", c.Serial, "kind", c.Kind, "status", c.Status, "reason", c.Reason, "agent", c.Agent, "enforcement point", c.PEP,
		"names", strings.Join(c.Names, ", "), "from", c.NotBefore.Format(time.RFC3339), "until", c.NotAfter.Format(time.RFC3339))
}

func certListCmd(conn *connection) *cobra.Command {
	var org, owner string
	var limit int
	cmd := &cobra.Command{
		Use: "list", Short: "List certificates, those that have ended too", Args: cobra.NoArgs,
		Example: "  writ cert list --org acme\n  writ cert list --owner invoices.agent.json --json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := conn.open(cmd)
			if err != nil {
				return err
			}
			ref, err := agentRef(owner)
			if err != nil {
				return err
			}
			items, err := client.Collect(c.Certificates(cmd.Context(), org, ref), limit)
			if err != nil {
				return err
			}
			return conn.say(cmd, map[string]any{"items": items}, func(s *screen) {
				rows := make([][]string, len(items))
				for i, x := range items {
					rows[i] = []string{x.Digest, x.Kind, x.Status, x.NotAfter.Format(time.RFC3339), first(x.Agent, x.PEP)}
				}
				s.table([]string{"DIGEST", "KIND", "STATUS", "UNTIL", "OWNER"}, rows)
			})
		},
	}
	cmd.Flags().StringVar(&org, "org", "", "org, by id or name (default: that of the credential)")
	cmd.Flags().StringVar(&owner, "owner", "", "agent file, or id of an agent or enforcement point")
	cmd.Flags().IntVar(&limit, "limit", 0, "how many at most (default: all)")
	return cmd
}

func certRevokeCmd(conn *connection) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use: "revoke DIGEST", Short: "End a certificate before its time", Args: cobra.ExactArgs(1),
		Example: "  writ cert revoke DIGEST --reason key-compromise",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := conn.open(cmd)
			if err != nil {
				return err
			}
			ch, err := c.RevokeCertificate(cmd.Context(), args[0], reason)
			if err != nil {
				return err
			}
			return conn.say(cmd, saidChange("certificate", ch), func(s *screen) {
				s.printf("certificate %s is %s\n", s.bold(ch.Value.Digest), ch.Value.Status)
				s.event(ch.Event)
			})
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "machine name of the reason: [a-z0-9._-]")
	return cmd
}

func certCACmd(conn *connection) *cobra.Command {
	var chain bool
	cmd := &cobra.Command{
		Use: "ca", Short: "Print the certificate that verifiers trust, in PEM", Args: cobra.NoArgs,
		Example: "  writ cert ca > writ-root.pem\n  writ cert ca --chain",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := conn.open(cmd)
			if err != nil {
				return err
			}
			text, err := c.CAChain(cmd.Context(), chain)
			if err != nil {
				return err
			}
			return conn.say(cmd, map[string]any{"pem": string(text)}, func(s *screen) { s.printf("%s", text) })
		},
	}
	cmd.Flags().BoolVar(&chain, "chain", false, "every certificate, from the one that signs leaves up")
	return cmd
}

// newEnrolCmd enrols workloads, and says which IAM an org believes.
func newEnrolCmd() *cobra.Command {
	conn := &connection{}
	cmd := &cobra.Command{
		Use:   "enrol",
		Short: "Make agents of workloads that the org's own IAM knows",
		Long: `Make agents of workloads that the org's own IAM knows: by tokens of Entra ID, Okta,
Kubernetes and SPIFFE, or by certificates of the org's own CA. Rules say which
workload becomes what, and who answers for it: a JSON list of
{"match": [{"attribute", "equals" or "prefix"}], "agent": {"name_prefix", "role",
"domains", "workflows", "authority_level", "sponsor", "approve"}}.
` + connectionHelp,
	}
	conn.bind(cmd)
	cmd.AddCommand(enrolRequestCmd(conn), enrolRootCmd(conn), enrolIssuerCmd(conn))
	return cmd
}

func enrolRequestCmd(conn *connection) *cobra.Command {
	var in client.NewEnrolment
	var token, file string
	cmd := &cobra.Command{
		Use:   "request --org ORG --name NAME --workload-token @FILE",
		Short: "Enrol this workload as an agent",
		Long: `Make a key, and enrol this workload as an agent with it. The agent and its key go into
NAME.agent.json, which only you can read.`,
		Example: "  writ enrol request --url https://registry.example --org acme --name prod-invoices \\\n      --workload-token @/var/run/secrets/tokens/writ",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if in.Token = token; strings.HasPrefix(token, "@") {
				if in.Token, err = readLine(token[1:]); err != nil {
					return err
				}
			}
			if file == "" {
				file = in.Name + ".agent.json"
			}
			if _, err := os.Lstat(file); err == nil {
				return fmt.Errorf("%s exists; it may hold the only copy of a key and is not overwritten (--out names another)", file)
			}
			c, err := conn.to(first(conn.url, os.Getenv("WRIT_URL")), "", client.Options{})
			if err != nil {
				return err
			}
			key, err := client.GenerateAgentKey()
			if err != nil {
				return err
			}
			origin, err := c.Origin(cmd.Context())
			if err != nil {
				return err
			}
			in.JWK = key.JWK()
			if in.Possession, err = key.ProvePossession(origin, in.Org, in.Name); err != nil {
				return err
			}
			agent, err := c.Enrol(cmd.Context(), in)
			if err != nil {
				return err
			}
			f, err := client.NewAgentFile(origin, agent, key)
			if err == nil {
				err = f.Create(file)
			}
			if err != nil {
				return fmt.Errorf("agent %s is enrolled and its key is lost: have it revoked: %w", agent.ID, err)
			}
			return conn.say(cmd, map[string]any{"agent": agent, "agent_file": file}, func(s *screen) {
				showAgent(s, agent)
				s.fields("file", file+"  (holds the private key)")
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&in.Org, "org", "", "org, by id or name")
	f.StringVar(&in.Name, "name", "", "name of the agent, as a rule of the org allows it")
	f.StringVar(&token, "workload-token", "", "token of the workload, or @FILE that holds it")
	f.StringVar(&file, "out", "", "`FILE` to write (default NAME.agent.json)")
	for _, name := range []string{"org", "name", "workload-token"} {
		_ = cmd.MarkFlagRequired(name) // the flag exists
	}
	return cmd
}

// readRules reads the rules of a file.
func readRules(cmd *cobra.Command, path string) ([]client.EnrolmentRule, error) {
	text, err := readInput(cmd, path)
	if err != nil {
		return nil, err
	}
	return client.Rules(text)
}

func enrolRootCmd(conn *connection) *cobra.Command {
	var org string
	cmd := &cobra.Command{Use: "root", Short: "The org's own CAs, whose certificates enrol agents"}
	cmd.PersistentFlags().StringVar(&org, "org", "operator", "org, by id or name")
	changed := func(cmd *cobra.Command, ch client.Change[client.EnterpriseRoot], err error) error {
		if err != nil {
			return err
		}
		return conn.say(cmd, saidChange("root", ch), func(s *screen) {
			s.printf("%s\n", s.bold(ch.Value.Digest))
			s.fields("subject", ch.Value.Subject, "until", ch.Value.NotAfter.Format(time.RFC3339))
			s.event(ch.Event)
		})
	}
	cmd.AddCommand(&cobra.Command{
		Use: "add CA_PEM RULES", Short: "Let agents enrol with certificates below a CA", Args: cobra.ExactArgs(2),
		Example: "  writ enrol root add --org acme acme-ca.pem rules.json",
		RunE: func(cmd *cobra.Command, args []string) error {
			text, err := os.ReadFile(args[0])
			if err != nil {
				return err
			}
			rules, err := readRules(cmd, args[1])
			if err != nil {
				return err
			}
			c, err := conn.open(cmd)
			if err != nil {
				return err
			}
			ch, err := c.EnrolRoot(cmd.Context(), org, string(text), rules)
			return changed(cmd, ch, err)
		},
	}, &cobra.Command{
		Use: "list", Short: "List the org's CAs", Args: cobra.NoArgs, Example: "  writ enrol root list --org acme",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := conn.open(cmd)
			if err != nil {
				return err
			}
			items, err := client.Collect(c.EnterpriseRoots(cmd.Context(), org), 0)
			if err != nil {
				return err
			}
			return conn.say(cmd, map[string]any{"items": items}, func(s *screen) {
				rows := make([][]string, len(items))
				for i, x := range items {
					rows[i] = []string{x.Digest, x.NotAfter.Format(time.RFC3339), x.Subject}
				}
				s.table([]string{"DIGEST", "UNTIL", "SUBJECT"}, rows)
			})
		},
	}, &cobra.Command{
		Use: "remove DIGEST", Short: "Believe a CA no more", Args: cobra.ExactArgs(1), Example: "  writ enrol root remove --org acme DIGEST",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := conn.open(cmd)
			if err != nil {
				return err
			}
			ch, err := c.RemoveRoot(cmd.Context(), org, args[0])
			return changed(cmd, ch, err)
		},
	})
	return cmd
}

func enrolIssuerCmd(conn *connection) *cobra.Command {
	var org string
	cmd := &cobra.Command{Use: "issuer", Short: "The issuers of workload tokens that the org trusts"}
	cmd.PersistentFlags().StringVar(&org, "org", "operator", "org, by id or name")
	changed := func(cmd *cobra.Command, ch client.Change[client.WorkloadIssuer], err error) error {
		if err != nil {
			return err
		}
		return conn.say(cmd, saidChange("issuer", ch), func(s *screen) {
			s.printf("%s\n", s.bold(ch.Value.ID))
			s.fields("kind", ch.Value.Kind, "issuer", ch.Value.Issuer, "trust domain", ch.Value.TrustDomain, "audience", ch.Value.Audience)
			s.event(ch.Event)
		})
	}
	var in client.NewWorkloadIssuer
	add := &cobra.Command{
		Use: "add --kind KIND RULES", Short: "Let agents enrol with tokens of an issuer", Args: cobra.ExactArgs(1),
		Example: `  writ enrol issuer add --org acme --kind kubernetes --issuer https://k8s.acme.example rules.json
  writ enrol issuer add --org acme --kind entra --audience CLIENT_ID \
      --issuer https://login.microsoftonline.com/TENANT_ID/v2.0 rules.json
  writ enrol issuer add --org acme --kind spiffe --trust-domain acme.example \
      --jwks https://spire.acme.example/keys rules.json`,
		RunE: func(cmd *cobra.Command, args []string) error {
			rules, err := readRules(cmd, args[0])
			if err != nil {
				return err
			}
			in.Rules = rules
			c, err := conn.open(cmd)
			if err != nil {
				return err
			}
			ch, err := c.EnrolIssuer(cmd.Context(), org, in)
			return changed(cmd, ch, err)
		},
	}
	f := add.Flags()
	f.StringVar(&in.Kind, "kind", "", "entra, okta, kubernetes or spiffe")
	f.StringVar(&in.Issuer, "issuer", "", "iss of its tokens, an https URL")
	f.StringVar(&in.JWKS, "jwks", "", "https URL of its keys, if not to be discovered")
	f.StringVar(&in.TrustDomain, "trust-domain", "", "SPIFFE trust domain")
	f.StringVar(&in.Audience, "audience", "", "the one aud of its tokens (default: the registry's origin)")
	_ = add.MarkFlagRequired("kind") // the flag exists
	cmd.AddCommand(add, &cobra.Command{
		Use: "list", Short: "List the issuers that the org trusts", Args: cobra.NoArgs, Example: "  writ enrol issuer list --org acme",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := conn.open(cmd)
			if err != nil {
				return err
			}
			items, err := client.Collect(c.WorkloadIssuers(cmd.Context(), org), 0)
			if err != nil {
				return err
			}
			return conn.say(cmd, map[string]any{"items": items}, func(s *screen) {
				rows := make([][]string, len(items))
				for i, x := range items {
					rows[i] = []string{x.ID, x.Kind, first(x.Issuer, x.TrustDomain), x.Audience}
				}
				s.table([]string{"ID", "KIND", "ISSUER", "AUDIENCE"}, rows)
			})
		},
	}, &cobra.Command{
		Use: "remove ID", Short: "Believe an issuer no more", Args: cobra.ExactArgs(1), Example: "  writ enrol issuer remove --org acme 01998a2b-...",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := conn.open(cmd)
			if err != nil {
				return err
			}
			ch, err := c.RemoveIssuer(cmd.Context(), org, args[0])
			return changed(cmd, ch, err)
		},
	})
	return cmd
}

// readInput reads a small file; - is standard input.
func readInput(cmd *cobra.Command, path string) ([]byte, error) {
	if path == "-" {
		return io.ReadAll(io.LimitReader(cmd.InOrStdin(), 1<<20))
	}
	return os.ReadFile(path)
}
