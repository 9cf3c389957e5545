package main

import (
	"encoding/json"
	"os"
	"testing"
	"time"

	"github.com/writ-registry/writ/client"
)

type madePrincipal struct {
	Principal client.Principal
	Secret    string
}

// TestApprovalCommands: a human approves a payment by the command line, with a key of
// their own, and the enforcement point lets it through once.
func TestApprovalCommands(t *testing.T) {
	s := startRegistry(t, "none")
	human := func(role string) madePrincipal {
		t.Helper()
		return decode[madePrincipal](t, writ(t, "principal", "create", "--org", "operator", "--role", role, "--json").want(t, 0))
	}
	ann, owner := human("approver"), human("owner")
	author := human("policy_author")
	writ(t, "agent", "new", "--name", "payer", "--grant", "wire:money", "--audience", "https://bank.example").want(t, 0)
	pep := decode[struct{ Secret string }](t, writ(t, "pep", "create", "bank", "--resource", "https://bank.example", "--json").want(t, 0))
	gate, err := client.New(s.URL, pep.Secret, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	signed := func() client.EvaluationRequest {
		t.Helper()
		return decode[client.EvaluationRequest](t, writ(t, "sign", "--agent", "payer.agent.json", "--args", `{"amount":5}`, "wire", "money/m1").want(t, 0))
	}
	req := signed()
	d, err := gate.Evaluate(t.Context(), req)
	if err != nil || d.Context.AccessRequest == nil {
		t.Fatalf("%+v, %v", d, err)
	}
	task, err := gate.RequestApproval(t.Context(), req, d, "due today")
	if err != nil || task.Task.Status != "pending" {
		t.Fatalf("%+v, %v", task, err)
	}
	id := task.Task.ID
	writ(t, "approval", "list", "--state", "pending").want(t, 0, id, "0 of 1")

	as := func(secret string) { t.Setenv("WRIT_TOKEN", secret) }
	as(ann.Secret)
	key := decode[map[string]client.Authenticator](t, writ(t, "principal", "authenticator", "add", "--key", "ann.key.pem", "--json").want(t, 0))["authenticator"]
	shown := decode[struct{ Digest string }](t, writ(t, "approval", "show", id, "--json").want(t, 0))
	writ(t, "approval", "show", id).want(t, 0, `"amount": 5`, "due today", shown.Digest)
	approve := []string{"approval", "approve", id, "--key", "ann.key.pem", "--digest", shown.Digest}
	writ(t, approve...).want(t, 1, "authenticator_pending")
	writ(t, "principal", "authenticator", "confirm", "me", key.ID).want(t, 1, "403")
	as(owner.Secret)
	writ(t, "principal", "authenticator", "confirm", ann.Principal.ID, key.ID).want(t, 0, "active")
	as(ann.Secret)
	writ(t, "principal", "authenticator", "list", "me").want(t, 0, key.ID, "active")
	writ(t, "approval", "approve", id, "--key", "ann.key.pem", "--digest", key.Handle).want(t, 1, "look at it again")
	writ(t, approve...).want(t, 0, "approved", "event")
	writ(t, approve...).want(t, 1, "approval_closed")

	task, err = gate.ApprovalTask(t.Context(), id, time.Minute)
	if err != nil || task.Result == nil {
		t.Fatalf("%+v, %v", task, err)
	}
	for _, want := range []bool{true, false} {
		again := signed()
		again.Context.Approval = &task.Result.Approval
		if d, err := gate.Evaluate(t.Context(), again); err != nil || d.Permitted() != want {
			t.Errorf("%+v, %v", d, err)
		}
	}

	as(author.Secret)
	rules, err := json.Marshal([]client.ApprovalRule{{Action: "wire:*", Quorum: 2, Role: "approver", Lifetime: 60}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("rules.json", rules, 0o600); err != nil {
		t.Fatal(err)
	}
	proposed := decode[map[string]client.ApprovalRules](t, writ(t, "approval", "rule", "propose", "operator", "rules.json", "--json").want(t, 0))["rules"].Proposed
	writ(t, "approval", "rule", "activate", "operator", proposed.Digest).want(t, 1, "separate_duties")
	as(owner.Secret)
	writ(t, "approval", "rule", "activate", "operator", proposed.Digest).want(t, 0, "wire:*", "1m0s")
	writ(t, "approval", "rule", "show", "operator").want(t, 0, "wire:*")

	req = signed()
	if d, err = gate.Evaluate(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	if task, err = gate.RequestApproval(t.Context(), req, d, ""); err != nil {
		t.Fatal(err)
	}
	as(ann.Secret)
	writ(t, "approval", "deny", task.Task.ID, "--reason", "not our supplier").want(t, 0, "denied")
	writ(t, "principal", "authenticator", "end", ann.Principal.ID, key.ID, "--reason", "lost").want(t, 0, "ended")
}
