package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/writ-registry/writ/client"
	"github.com/writ-registry/writ/registry/did"
)

// rotation shows a key that follows another, and one that is stolen.
func (d *demo) rotation(ctx context.Context) error {
	d.chapter("A key that follows another")
	a, err := d.agent(ctx, "clerk", "Reads invoices, for years", "read:invoices", d.erp)
	if err != nil {
		return err
	}
	before := *a.AgentFile
	before.Grants = slices.Clone(before.Grants)
	key, err := client.GenerateAgentKey()
	if err != nil {
		return err
	}
	in := client.NewKey{JWK: key.JWK()}
	if in.Possession, err = key.ProvePossession(a.Registry, a.Org, a.Name); err != nil {
		return err
	}
	rotated, err := d.client.RotateKey(ctx, a.ID, in)
	if err != nil {
		return err
	}
	if err := a.Rotated(rotated.Value, key); err != nil {
		return err
	}
	renewed, err := d.client.Grant(ctx, a.grant.ID)
	if err != nil {
		return err
	}
	a.Hold(renewed)
	d.printf("\n")
	if _, err := d.ask(ctx, a, d.gateway, demoAct{"read", "invoices", "2026-0046", nil, client.Permit, "", "the new key, with the token for it"}); err != nil {
		return err
	}
	old := &demoAgent{&before, a.grant}
	if _, err := d.ask(ctx, old, d.gateway, demoAct{"read", "invoices", "2026-0047", nil, client.Permit, "", "the key before, in its overlap of an hour"}); err != nil {
		return err
	}
	d.printf("\n  The key before is found on a stolen laptop.\n\n")
	thumbprint := before.AgentKey().Thumbprint()
	if _, err := d.client.CompromiseKey(ctx, a.ID, thumbprint, "stolen-laptop", nil); err != nil {
		return err
	}
	if _, err := d.ask(ctx, old, d.gateway, demoAct{"read", "invoices", "2026-0048", nil, client.Deny, possessionFailed, "the stolen key"}); err != nil {
		return err
	}
	if _, err := d.ask(ctx, a, d.gateway, demoAct{"read", "invoices", "2026-0048", nil, client.Permit, "", "the new key goes on"}); err != nil {
		return err
	}
	return d.didHistory(ctx, a, thumbprint)
}

// didHistory fetches the agent's DID log as anyone may, and verifies it.
func (d *demo) didHistory(ctx context.Context, a *demoAgent, ended string) error {
	log, err := d.client.DIDLog(ctx, a.ID)
	if err != nil {
		return err
	}
	res, err := did.VerifyLog(log, time.Now().Add(2*time.Second)) // entries of one second are a second apart
	if err != nil {
		d.surprise("the DID log does not verify: %v", err)
		return nil
	}
	d.check(res.DID.String() == a.DID && len(res.Versions) == 3 && !strings.Contains(string(res.Current().Document), ended),
		"the DID log has %d versions of %s", len(res.Versions), res.DID)
	d.printf("\n  Its DID log, fetched without a credential and verified: %d versions, each signed by\n  a key that the one before committed to; their hashes are in the events above.\n", len(res.Versions))
	return nil
}

// family shows that what stops an agent stops those that work for it.
func (d *demo) family(ctx context.Context) error {
	d.chapter("An agent with an agent of its own")
	planner, err := d.agent(ctx, "planner", "Plans transports and has others book them", "create:shipment(destination, weight<=500)", d.erp)
	if err != nil {
		return err
	}
	if _, err := d.client.SetSpawn(ctx, planner.ID, client.Spawn{Depth: 1, Max: 3}); err != nil {
		return err
	}
	itself, err := client.New(d.client.URL(), "", client.Options{Agent: planner.AgentFile}) // by its own signature (RFC 9421)
	if err != nil {
		return err
	}
	file, child, err := enroll(ctx, itself, client.NewAgent{Name: "booker", Purpose: "Books one transport"})
	if err != nil {
		return fmt.Errorf("register a child: %w", err)
	}
	d.check(child.Value.Status == "active" && child.Value.Parent == planner.ID, "the child is %s, of %q", child.Value.Status, child.Value.Parent)
	grant, err := d.client.IssueGrant(ctx, client.NewGrant{Agent: file.ID, Capabilities: "create:shipment(destination==\"Rotterdam\", weight<=100)", Audience: []string{d.erp}})
	if err != nil {
		return err
	}
	file.Hold(grant.Value)
	d.result.Agents = append(d.result.Agents, demoAgentID{file.Name, file.DID})
	d.fields("registers", shortDID(file.DID), "grant", grant.Value.Capabilities)
	booker := &demoAgent{file, grant.Value}
	book := func(id string, want demoAct) error {
		want.action, want.kind, want.id, want.args = "create", "shipment", id, map[string]any{"destination": "Rotterdam", "weight": 80}
		_, err := d.ask(ctx, booker, d.gateway, want)
		return err
	}
	d.printf("\n")
	if err := book("4712", demoAct{verdict: client.Permit, note: "the child books 80 kg to Rotterdam"}); err != nil {
		return err
	}
	d.printf("\n  The parent is suspended; nobody touches the child.\n\n")
	if _, err := d.client.SuspendAgent(ctx, planner.ID, "demo-drill"); err != nil {
		return err
	}
	return book("4713", demoAct{verdict: client.Deny, reason: "ancestor_stopped", note: "the same act of the child, a moment later"})
}
