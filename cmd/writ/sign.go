package main

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/writ-registry/writ/internal/canon"
)

// newSignCmd makes evaluation requests for other programs to send.
func newSignCmd() *cobra.Command {
	var a act
	var proofOnly, asJSON bool
	var domain, workflow string
	cmd := &cobra.Command{
		Use:   "sign --agent FILE ACTION TYPE/ID",
		Short: "Sign an act as an agent, for another program to send",
		Long: `Sign an act with the agent's key and print the evaluation request (OpenID AuthZEN)
that carries the signature. Nothing is sent: pipe it to the registry, or hand it
to an enforcement point. It is good once, for this very act, within 30 seconds.`,
		Example: `  writ sign --agent invoices.agent.json read invoices/2026-0042 |
      curl -s -d @- -H 'Content-Type: application/json' "$WRIT_URL/access/v1/evaluation"
  writ sign --agent invoices.agent.json --proof-only read invoices/2026-0042`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			_, req, err := a.request(cmd, args)
			if err != nil {
				return err
			}
			req.Context.Domain, req.Context.Workflow = domain, workflow
			if proofOnly && asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(map[string]string{"proof": req.Context.Proof})
			}
			if proofOnly {
				_, err = fmt.Fprintln(cmd.OutOrStdout(), req.Context.Proof)
				return err
			}
			body, err := canon.Marshal(req)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s\n", body)
			return err
		},
	}
	a.bind(cmd)
	cmd.Flags().BoolVar(&proofOnly, "proof-only", false, "print the proof alone")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON also with --proof-only (the request always is)")
	cmd.Flags().StringVar(&domain, "domain", "", "business domain that the enforcement point will assert")
	cmd.Flags().StringVar(&workflow, "workflow", "", "workflow that the enforcement point will assert")
	return cmd
}
