package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/writ-registry/writ/client"
	"github.com/writ-registry/writ/internal/canon"
	"github.com/writ-registry/writ/internal/jose"
	"github.com/writ-registry/writ/registry/capability"
)

// attenuation is what the flags of attenuate say.
type attenuation struct {
	agent, grant      string // the holder's file, and which of its grants
	to, toKey, newOne string
	can, from, until  string
	audience, budgets []string
	delegation        int
}

// grantAttenuateCmd delegates a part of a grant, without a registry.
func grantAttenuateCmd() *cobra.Command {
	var a attenuation
	cmd := &cobra.Command{
		Use:   "attenuate --agent FILE --can CAPABILITIES --to FILE|DID | --new FILE",
		Short: "Hand a part of an agent's grant to another, offline",
		Long: `Make a grant under one that an agent holds, by the agent's own signature: the registry
is not asked. The grant must allow delegation (writ grant issue --delegate N), and the
new one is within it in every respect. It prints the chain, as context.token of an
evaluation takes it.

Whom it is for is a registered agent, by its file, to which the grant is added, or by
its DID with --to-key; or, with --new, a key that is made for it: nobody registers that
agent, and it lives for 15 minutes at most.`,
		Example: `  writ grant attenuate --agent buyer.agent.json --can "read:invoices/2026-*" --to clerk.agent.json
  writ grant attenuate --agent buyer.agent.json --can "read:invoices" --expires 5m --new helper.agent.json \
      --budget "count(read:invoices) <= 100"
  writ agent ask --agent helper.agent.json read invoices/2026-0042`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			g, err := a.run()
			if err != nil {
				return err
			}
			form, err := canon.Marshal(g.Tokens())
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s\n", form)
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&a.agent, "agent", "", "agent `FILE` of the holder")
	f.StringVar(&a.grant, "grant", "", "`ID` of the grant (default: the newest that all of it is within)")
	f.StringVar(&a.can, "can", "", "capabilities of the new grant")
	f.StringArrayVar(&a.budgets, "budget", nil, "bound that all who act under the new grant share, such as \"count(read:invoices) <= 10 per 1h\"; repeatable")
	f.StringVar(&a.to, "to", "", "agent file or DID of whom it is for")
	f.StringVar(&a.toKey, "to-key", "", "`FILE` with the public key, a JWK, of whom it is for; without --to, whoever holds it")
	f.StringVar(&a.newOne, "new", "", "make a key, and this agent `FILE` for it")
	f.StringSliceVar(&a.audience, "audience", nil, "resource server that it is for; repeatable (default: the grant's)")
	f.StringVar(&a.from, "not-before", "", "begin: RFC 3339, or a duration from now (default: now)")
	f.StringVar(&a.until, "expires", "", "end: RFC 3339, or a duration from now (default: the grant's, or 15 minutes for a key)")
	f.IntVar(&a.delegation, "delegate", 0, "how many more links may follow")
	for _, name := range []string{"agent", "can"} {
		_ = cmd.MarkFlagRequired(name) // the flag exists
	}
	cmd.MarkFlagsOneRequired("to", "to-key", "new")
	cmd.MarkFlagsMutuallyExclusive("to", "new")
	cmd.MarkFlagsMutuallyExclusive("to-key", "new")
	return cmd
}

func (a attenuation) run() (client.HeldGrant, error) {
	none := client.HeldGrant{}
	holder, err := client.LoadAgentFile(a.agent)
	if err != nil {
		return none, err
	}
	from, err := moment(a.from)
	if err != nil {
		return none, fmt.Errorf("--not-before: %w", err)
	}
	until, err := moment(a.until)
	if err != nil {
		return none, fmt.Errorf("--expires: %w", err)
	}
	to := client.Delegate{Capabilities: a.can, Budgets: a.budgets, Audience: a.audience, NotBefore: orZero(from), Expires: orZero(until), Delegation: a.delegation}
	caps, err := capability.Parse(a.can)
	if err != nil {
		return none, fmt.Errorf("--can: %w", err)
	}
	held, err := a.choose(holder, caps)
	if err != nil {
		return none, err
	}
	file, keep, err := a.delegate(holder, &to)
	if err != nil {
		return none, err
	}
	g, err := holder.Attenuate(held, to)
	if err != nil {
		return none, err
	}
	if file != nil {
		file.Keep(g)
		if err := keep(); err != nil {
			return none, err
		}
	}
	return g, nil
}

func orZero(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}

// choose picks the grant that is attenuated.
func (a attenuation) choose(holder *client.AgentFile, caps capability.Set) (client.HeldGrant, error) {
	refused := errors.New("the agent holds no grant")
	for _, g := range slices.Backward(holder.Grants) {
		if a.grant != "" {
			if g.ID == a.grant {
				return g, nil
			}
			continue
		}
		have, err := capability.Parse(g.Capabilities)
		if err == nil {
			err = caps.Within(have)
		}
		if err == nil && time.Now().Before(g.Expires) {
			return g, nil
		}
		refused = errors.Join(err, fmt.Errorf("no grant of the agent holds %s and has not expired", caps))
	}
	if a.grant != "" {
		refused = fmt.Errorf("the agent holds no grant %s", a.grant)
	}
	return client.HeldGrant{}, refused
}

// delegate says whom the grant is for, and which file keeps it, if one does.
func (a attenuation) delegate(holder *client.AgentFile, to *client.Delegate) (file *client.AgentFile, keep func() error, err error) {
	switch {
	case a.newOne != "":
		key, err := client.GenerateAgentKey()
		if err != nil {
			return nil, nil, err
		}
		to.Key = key.JWK()
		if file, err = client.EphemeralAgent(holder.Registry, key); err != nil {
			return nil, nil, err
		}
		return file, func() error { return file.Create(a.newOne) }, nil
	case a.to != "" && !strings.HasPrefix(a.to, "did:"):
		if file, err = client.LoadAgentFile(a.to); err != nil {
			return nil, nil, err
		}
		to.DID, to.Key = file.DID, file.AgentKey().JWK()
		return file, func() error { return file.Save(a.to) }, nil
	case a.toKey == "":
		return nil, nil, errors.New("--to-key is required with a DID: the grant is bound to the key")
	}
	raw, err := os.ReadFile(a.toKey)
	if err != nil {
		return nil, nil, err
	}
	var jwk jose.JWK
	if err := canon.Unmarshal(bytes.TrimSpace(raw), &jwk); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", a.toKey, err)
	}
	to.DID, to.Key = a.to, jwk
	return nil, nil, nil
}
