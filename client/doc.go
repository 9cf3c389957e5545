// Package client talks to a Writ registry over its REST interface and acts for
// agents: it registers them, holds their keys and grants, and makes the proofs
// that their acts need.
//
// A Client carries the credential of a principal or of an enforcement point.
// Agents carry none: what an agent sends is proven by its own signature over
// the very act, which AgentFile makes.
//
//	c, err := client.New("https://writ.example", token, client.Options{})
//	...
//	agent, err := client.LoadAgentFile("invoices.agent.json")
//	req, err := agent.Request(capability.Act{
//		Action:   "read",
//		Resource: capability.Resource{Type: "invoices", ID: "2026-0042"},
//	}, "https://erp.example")
//	d, err := c.Evaluate(ctx, req) // ask first, act only on d.Permitted()
//
// A refusal by the registry's rules is a Decision, not an error. An error is a
// *Problem (RFC 9457) where the registry answered, and a transport error where
// it did not; either way the act is not permitted.
//
// The package imports no server code. Offline verification of receipts is
// package client/verify.
package client
