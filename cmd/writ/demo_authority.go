package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/writ-registry/writ/client"
	"github.com/writ-registry/writ/internal/jose"
	"github.com/writ-registry/writ/registry/capability"
)

// delegation shows a grant that its holder narrows for another agent, offline, and
// one that the holder widens.
func (d *demo) delegation(ctx context.Context) error {
	d.chapter("A grant handed on, narrower")
	dispatch, err := d.granted(ctx, client.NewAgent{Name: "dispatch", Purpose: "Has others book shipments"},
		client.NewGrant{Capabilities: "create:shipment(destination, weight<=500)", Audience: []string{d.erp}, Delegation: 1})
	if err != nil {
		return err
	}
	file, courier, err := enroll(ctx, d.client, client.NewAgent{Name: "courier", Purpose: "Books what dispatch asks for"})
	if err != nil {
		return err
	}
	if _, err := d.client.ApproveAgent(ctx, courier.Value.ID); err != nil {
		return err
	}
	d.result.Agents = append(d.result.Agents, demoAgentID{file.Name, file.DID})
	link, err := dispatch.Attenuate(dispatch.Grants[0], client.Delegate{DID: file.DID, Key: file.AgentKey().JWK(), Capabilities: `create:shipment(destination=="Rotterdam", weight<=100)`})
	if err != nil {
		return err
	}
	file.Keep(link)
	d.fields("hands on", link.Capabilities, "to", shortDID(file.DID))
	d.printf("\n")
	child := &demoAgent{file, client.Grant{}}
	book := demoAct{"create", "shipment", "4714", map[string]any{"destination": "Rotterdam", "weight": 80}, client.Permit, "", "80 kg, under two signed grants"}
	if _, err := d.ask(ctx, child, d.gateway, book); err != nil {
		return err
	}
	book.id, book.args, book.verdict, book.reason, book.note = "4715", map[string]any{"destination": "Rotterdam", "weight": 300}, client.Deny, capability.ReasonArgument, "300 kg: dispatch may, courier may not"
	if _, err := d.ask(ctx, child, d.gateway, book); err != nil {
		return err
	}

	wide, err := widened(dispatch, link, "create:shipment(destination, weight<=5000)")
	if err != nil {
		return err
	}
	act, err := book.act()
	if err != nil {
		return err
	}
	req, err := file.RequestWith(act, d.erp, wide)
	if err != nil {
		return err
	}
	d.printf("\n  dispatch signs 5,000 kg for courier, which is more than it has itself.\n\n")
	if err := d.put(ctx, child, d.gateway, req, demoAct{verdict: client.Deny, reason: possessionFailed, note: "the same act under the wider grant"}); err != nil {
		return err
	}
	d.printf("\n  dispatch is suspended; nobody touches courier.\n\n")
	if _, err := d.client.SuspendAgent(ctx, dispatch.ID, "demo-drill"); err != nil {
		return err
	}
	book.args, book.reason, book.note = map[string]any{"destination": "Rotterdam", "weight": 80}, "delegator_stopped", "what was permitted before"
	_, err = d.ask(ctx, child, d.gateway, book)
	return err
}

// widened is a link as a dishonest holder signs it: the client library would not.
func widened(holder *demoAgent, link client.HeldGrant, capabilities string) (client.HeldGrant, error) {
	chain, err := capability.ParseChain(link.Tokens())
	if err != nil {
		return link, err
	}
	claims := chain.Leaf().Claims()
	if claims.Capabilities, err = capability.Parse(capabilities); err != nil {
		return link, err
	}
	claims.Scope = claims.Capabilities.Scope()
	key, err := jose.ParsePEM([]byte(holder.Key))
	if err != nil {
		return link, err
	}
	link.Token, err = jose.Sign(key, capability.TypGrant, holder.KeyID, claims)
	return link, err
}

// payment shows an act that cannot be undone, from the demand for a human to the
// report of who executed it.
func (d *demo) payment(ctx context.Context) error {
	d.chapter("A payment that a human approves")
	payer, err := d.granted(ctx, client.NewAgent{Name: "payer", Purpose: "Pays approved invoices", AuthorityLevel: 3},
		client.NewGrant{Capabilities: "execute:payments(amount<=50000, currency, to)", Audience: []string{d.bank}})
	if err != nil {
		return err
	}
	key, err := client.GenerateAgentKey()
	if err != nil {
		return err
	}
	jwk := key.JWK()
	pep, err := d.client.RegisterPEP(ctx, client.NewPEP{Name: "bank-gateway", Resources: []string{d.bank}, JWK: &jwk})
	if err != nil {
		return err
	}
	bank := d.client.As(pep.Secret)
	human, err := d.approver(ctx, payer.Registry)
	if err != nil {
		return err
	}
	pay := demoAct{"execute", "payments", "2026-0049", map[string]any{"amount": 4200, "currency": "EUR", "to": "Supplier B.V."}, client.StepUp, "approval_required", "granted, and still a human must approve"}
	d.printf("\n")
	req, asked, err := d.step(ctx, payer, bank, pay, nil)
	if err != nil {
		return err
	}
	task, err := bank.RequestApproval(ctx, req, asked, "invoice 2026-0049 is due today")
	if err != nil {
		return err
	}
	if err := human.approve(ctx, task.Task.ID); err != nil {
		return err
	}
	if task, err = bank.ApprovalTask(ctx, task.Task.ID, time.Minute); err != nil {
		return err
	}
	if task.Result == nil {
		d.surprise("the approval is %s", task.Task.Status)
		return nil
	}
	approval := &task.Result.Approval
	d.printf("\n  A human reads the statement, and signs its digest with a key of their own.\n\n")

	other := pay
	other.args, other.reason, other.note = map[string]any{"amount": 42000, "currency": "EUR", "to": "Supplier B.V."}, "approval_mismatch", "ten times the amount, under that approval"
	if _, _, err := d.step(ctx, payer, bank, other, approval); err != nil {
		return err
	}
	pay.verdict, pay.reason, pay.note = client.Permit, "", "exactly what was approved"
	_, permitted, err := d.step(ctx, payer, bank, pay, approval)
	if err != nil {
		return err
	}
	if err := d.execute(ctx, bank, key, payer.Registry, permitted.Context.Permit); err != nil {
		return err
	}
	pay.verdict, pay.reason, pay.note = client.StepUp, "approval_consumed", "the same payment again, under the same approval"
	_, _, err = d.step(ctx, payer, bank, pay, approval)
	return err
}

// step asks with a permit wanted, and an approval where there is one.
func (d *demo) step(ctx context.Context, a *demoAgent, via *client.Client, want demoAct, approval *client.ShownApproval) (client.EvaluationRequest, client.Decision, error) {
	act, err := want.act()
	if err != nil {
		return client.EvaluationRequest{}, client.Decision{}, err
	}
	req, err := a.Request(act, "")
	if err != nil {
		return req, client.Decision{}, err
	}
	req.Context.Approval, req.Context.Permit = approval, true
	got, err := d.decision(ctx, a, via, req, want)
	return req, got, err
}

// execute is what the bank does with a permit: it uses it up, acts, and says so.
func (d *demo) execute(ctx context.Context, bank *client.Client, key *client.AgentKey, origin, permit string) error {
	redeemed, err := bank.RedeemPermit(ctx, permit)
	if err != nil {
		d.surprise("the permit is refused: %v", err)
		return nil
	}
	report, err := key.SignOutcome(origin, redeemed.Value.ID, "executed", "")
	if err != nil {
		return err
	}
	done, err := bank.ReportOutcome(ctx, redeemed.Value.ID, report)
	if err != nil {
		return err
	}
	d.line("permit", "redeemed, executed, reported", "the bank signs that it has paid")
	d.check(done.Value.State == "executed", "the act is %s", done.Value.State)
	_, err = bank.RedeemPermit(ctx, permit)
	var p *client.Problem
	d.check(errors.As(err, &p), "the permit could be redeemed twice: %v", err)
	if p != nil {
		d.line(fmt.Sprint(p.Status), "the same permit again", first(p.Code, p.Detail))
	}
	return nil
}

// demoHuman approves.
type demoHuman struct {
	*client.Client
	key    *client.AgentKey
	origin string
}

// approver makes a human with a key of their own, which the owner has confirmed.
func (d *demo) approver(ctx context.Context, origin string) (*demoHuman, error) {
	p, err := d.client.CreatePrincipal(ctx, client.NewPrincipal{Org: d.org.ID, DisplayName: "Demo approver", Roles: []string{"approver"}})
	if err != nil {
		return nil, err
	}
	h := &demoHuman{Client: d.client.As(p.Secret), origin: origin}
	if h.key, err = client.GenerateAgentKey(); err != nil {
		return nil, err
	}
	own, err := h.AddAuthenticator(ctx, origin, p.Value.ID, "desk key", h.key)
	if err != nil {
		return nil, err
	}
	_, err = d.client.ActivateAuthenticator(ctx, p.Value.ID, own.Value.ID)
	return h, err
}

func (h *demoHuman) approve(ctx context.Context, id string) error {
	_, digest, err := h.ApprovalStatement(ctx, id, false)
	if err != nil {
		return err
	}
	signature, err := h.key.SignApproval(h.origin, id, digest, "approve")
	if err != nil {
		return err
	}
	_, err = h.AnswerApproval(ctx, id, client.NewApprovalAnswer{Verdict: "approve", Signature: signature})
	return err
}

// gate shows calls that end at nginx, before they reach the tool.
func (d *demo) gate(ctx context.Context) error {
	d.chapter("A tool behind nginx")
	bin := findNginx()
	if bin == "" {
		d.printf("  There is no nginx here, so nothing is shown: install it (Debian: nginx-light).\n")
		return nil
	}
	a, err := d.agent(ctx, "reader", "Reads invoices over HTTP", "read:invoices", d.erp)
	if err != nil {
		return err
	}
	pep, err := d.client.RegisterPEP(ctx, client.NewPEP{Name: "erp-nginx", Resources: []string{d.erp}})
	if err != nil {
		return err
	}
	routes := client.Routes{Audience: d.erp, Routes: []client.Route{{Method: http.MethodGet, Path: "/invoices/{id}", Action: "read:invoices", Resource: "{id}"}}}
	credential := "Bearer the-tool's-own"
	if _, err := d.client.SetPEPRoutes(ctx, pep.Value.ID, client.NewPEPRoutes{Routes: routes, Credential: &credential}); err != nil {
		return err
	}
	tool, err := openDemoTool(credential)
	if err != nil {
		return err
	}
	defer tool.Close()
	front, stop, err := startNginx(ctx, bin, d.client.URL(), tool.URL, pep.Secret, nil)
	if err != nil {
		return err
	}
	defer func() { d.check(stop() == nil, "nginx did not end by itself") }()
	d.result.Nginx = true
	signer, err := client.NewRequestSigner(a.AgentFile, routes)
	if err != nil {
		return err
	}
	call := func(sign bool, status int, note string) error {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, front+"/invoices/2026-0050", nil)
		if err != nil {
			return err
		}
		if sign {
			if err := signer.Sign(r); err != nil {
				return err
			}
			d.relayed++
		}
		before := tool.calls.Load()
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			return err
		}
		resp.Body.Close()
		reached := tool.calls.Load() != before
		where := "ended at nginx"
		if reached {
			where = "reached the tool"
		}
		d.line(fmt.Sprint(resp.StatusCode), "GET /invoices/2026-0050", note+": "+where)
		d.check(resp.StatusCode == status && reached == (status == http.StatusOK), "%s: %d, %s", note, resp.StatusCode, where)
		return nil
	}
	d.printf("\n")
	if err := errors.Join(call(true, http.StatusOK, "signed, permitted"), call(false, http.StatusUnauthorized, "not signed")); err != nil {
		return err
	}
	d.printf("\n  The agent is suspended.\n\n")
	if _, err := d.client.SuspendAgent(ctx, a.ID, "demo-drill"); err != nil {
		return err
	}
	if err := call(true, http.StatusForbidden, "signed, as before"); err != nil {
		return err
	}
	d.printf("\n  The tool saw its own credential, put there by nginx; the agent never held it: %v.\n", tool.trusted.Load())
	d.check(tool.trusted.Load(), "the tool did not get its credential")
	return nil
}

// granted registers an agent, approves it and gives it a grant.
func (d *demo) granted(ctx context.Context, in client.NewAgent, grant client.NewGrant) (*demoAgent, error) {
	file, agent, err := enroll(ctx, d.client, in)
	if err != nil {
		return nil, fmt.Errorf("register %s: %w", in.Name, err)
	}
	if _, err := d.client.ApproveAgent(ctx, agent.Value.ID); err != nil {
		return nil, fmt.Errorf("approve %s: %w", in.Name, err)
	}
	grant.Agent = agent.Value.ID
	issued, err := d.client.IssueGrant(ctx, grant)
	if err != nil {
		return nil, fmt.Errorf("grant to %s: %w", in.Name, err)
	}
	file.Hold(issued.Value)
	d.result.Agents = append(d.result.Agents, demoAgentID{in.Name, file.DID})
	d.fields("did", shortDID(file.DID), "grant", issued.Value.Capabilities)
	return &demoAgent{file, issued.Value}, nil
}

// reasonCodes are the codes of a decision's reasons.
func reasonCodes(got client.Decision) []string {
	codes := make([]string, 0, len(got.Context.Reasons))
	for _, r := range got.Context.Reasons {
		codes = append(codes, r.Code)
	}
	return slices.Clip(codes)
}
