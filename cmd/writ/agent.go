package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/writ-registry/writ/client"
	"github.com/writ-registry/writ/registry/capability"
)

// newAgentCmd groups what is done to agents, and asking as one.
func newAgentCmd() *cobra.Command {
	conn := &connection{}
	cmd := &cobra.Command{
		Use:   "agent",
		Short: "Register agents, approve and stop them, ask as one",
		Long: `Register agents, approve and stop them, and ask for a decision as one.

An agent is known by the file that agent new writes (NAME.agent.json), by its id
or by its DID; every command takes any of the three.
` + connectionHelp,
	}
	conn.bind(cmd)
	cmd.AddCommand(agentNewCmd(conn), agentListCmd(conn), agentShowCmd(conn), agentAskCmd(conn), agentSpawnCmd(conn), agentSponsorCmd(conn),
		agentExportCmd(conn), agentOffboardCmd(conn), agentImportCmd(conn), agentCompositionCmd(conn), agentCustodyCmd(conn), agentDIDCmd(conn), agentUnregisteredCmd(conn), agentUndoCmd(conn), agentActionsCmd(conn),
		agentMoveCmd(conn, "approve", "Let a requested agent act within its grants", func(cmd *cobra.Command, c *client.Client, ref, _ string) (client.Change[client.Agent], error) {
			return c.ApproveAgent(cmd.Context(), ref)
		}),
		agentMoveCmd(conn, "suspend", "Stop an agent until it is resumed", func(cmd *cobra.Command, c *client.Client, ref, reason string) (client.Change[client.Agent], error) {
			return c.SuspendAgent(cmd.Context(), ref, reason)
		}),
		agentMoveCmd(conn, "resume", "Let a suspended agent act again", func(cmd *cobra.Command, c *client.Client, ref, reason string) (client.Change[client.Agent], error) {
			return c.ResumeAgent(cmd.Context(), ref, reason)
		}),
		agentMoveCmd(conn, "revoke", "End an agent for good", func(cmd *cobra.Command, c *client.Client, ref, reason string) (client.Change[client.Agent], error) {
			return c.RevokeAgent(cmd.Context(), ref, reason)
		}))
	return cmd
}

// newAgent is the input of agent new.
type newAgent struct {
	in        client.NewAgent
	grant     string
	audience  []string
	file      string
	nextKey   string
	spawn     client.Spawn
	noApprove bool
}

func agentNewCmd(conn *connection) *cobra.Command {
	var n newAgent
	cmd := &cobra.Command{
		Use:   "new --name NAME",
		Short: "Make a key, register an agent with it, and keep both in a file",
		Long: `Make a key, prove possession of it, and register an agent with it. Where the
credential may approve agents, the agent is approved; with --grant it gets its
first grant. Key and grant go into NAME.agent.json, which only you can read: the
registry never sees the private key.`,
		Example: `  writ agent new --name invoices --grant "read:invoices; execute:none"
  writ agent new --name courier --org acme --role logistics --level 2 \
      --grant "create:shipment(weight<=500)" --audience https://erp.example`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return n.run(cmd, conn)
		},
	}
	f := cmd.Flags()
	f.StringVar(&n.in.Name, "name", "", "machine name: [a-z0-9._-]")
	f.StringVar(&n.in.Org, "org", "", "org, by id or name (default: that of the credential)")
	f.StringVar(&n.in.Purpose, "purpose", "", "what the agent is for")
	f.StringVar(&n.in.Role, "role", "", "approved role")
	f.StringSliceVar(&n.in.Domains, "domain", nil, "approved business domain; repeatable (default: any)")
	f.StringSliceVar(&n.in.Workflows, "workflow", nil, "approved workflow; repeatable (default: any)")
	f.IntVar(&n.in.AuthorityLevel, "level", 0, "authority level, 0 to 4")
	f.StringVar(&n.in.Sponsor, "sponsor", "", "id of the accountable principal (default: the caller)")
	f.StringVar(&n.grant, "grant", "", "capabilities of a first grant")
	f.StringSliceVar(&n.audience, "audience", nil, "resource server that the grant is for; repeatable (default: the registry)")
	f.StringVar(&n.file, "out", "", "`FILE` to write (default NAME.agent.json)")
	f.StringVar(&n.nextKey, "next-key", "", "PEM `FILE` of the key that comes after; the agent commits to it (writ key commit makes one)")
	f.StringVar(&n.in.Parent, "parent", "", "agent whose child it is: file, id or DID; a child is active at once")
	f.IntVar(&n.spawn.Depth, "spawn-depth", 0, "generations of children it may have, 0 to 8")
	f.IntVar(&n.spawn.Max, "spawn-max", 0, "children it may have at once")
	f.BoolVar(&n.noApprove, "no-approve", false, "leave the approval to somebody else")
	_ = cmd.MarkFlagRequired("name") // the flag exists
	return cmd
}

// agentMade is the JSON of agent new.
type agentMade struct {
	DID       string   `json:"did"`
	ID        string   `json:"id"`
	Name      string   `json:"name"`
	Org       string   `json:"org"`
	Status    string   `json:"status"`
	AgentFile string   `json:"agent_file"`
	Grant     *granted `json:"grant,omitempty"`
	Events    []string `json:"events"`
	Note      string   `json:"note,omitempty"`
}

type granted struct {
	ID           string    `json:"id"`
	Capabilities string    `json:"capabilities"`
	Audience     []string  `json:"audience"`
	Expires      time.Time `json:"expires"`
}

func (n *newAgent) run(cmd *cobra.Command, conn *connection) error {
	ctx := cmd.Context()
	if n.noApprove && n.grant != "" {
		return errors.New("--grant needs an approved agent; leave out --no-approve, or issue the grant after the approval")
	}
	if n.file == "" {
		n.file = n.in.Name + ".agent.json"
	}
	if _, err := os.Lstat(n.file); err == nil {
		return fmt.Errorf("%s exists; it may hold the only copy of a key and is not overwritten (--out names another)", n.file)
	}
	if err := n.complete(); err != nil {
		return err
	}
	c, err := conn.open(cmd)
	if err != nil {
		return err
	}
	file, agent, err := register(ctx, c, n.in, n.file)
	if err != nil {
		return err
	}
	made := agentMade{DID: agent.Value.DID, ID: agent.Value.ID, Name: agent.Value.Name, Org: agent.Value.Org, Status: agent.Value.Status, AgentFile: n.file}
	made.record(agent.Event)
	if made.Status == "requested" && !n.noApprove { // a child is active already
		approved, err := c.ApproveAgent(ctx, made.ID)
		var p *client.Problem
		switch {
		case errors.As(err, &p) && p.Status == http.StatusForbidden:
			made.Note = "this credential may not approve agents: ask a registrar"
		case err != nil:
			return fmt.Errorf("the agent is registered and %s is written, but not approved: %w", n.file, err)
		default:
			made.Status = approved.Value.Status
			made.record(approved.Event)
		}
	}
	if n.grant != "" && made.Status == "active" {
		g, err := c.IssueGrant(ctx, client.NewGrant{Agent: made.ID, Capabilities: n.grant, Audience: n.audience})
		if err != nil {
			return fmt.Errorf("the agent is registered and %s is written, but without a grant: %w", n.file, err)
		}
		file.Hold(g.Value)
		if err := file.Save(n.file); err != nil {
			return err
		}
		made.Grant = &granted{g.Value.ID, g.Value.Capabilities, g.Value.Audience, g.Value.Expires}
		made.record(g.Event)
	}
	return conn.say(cmd, made, made.show)
}

// complete reads what the flags name by file.
func (n *newAgent) complete() (err error) {
	if n.nextKey != "" {
		next, err := readKey(n.nextKey)
		if err != nil {
			return err
		}
		n.in.NextKeyHash = next.Commitment()
	}
	if n.spawn != (client.Spawn{}) {
		n.in.Spawn = &n.spawn
	}
	if n.in.Parent != "" {
		n.in.Parent, err = agentRef(n.in.Parent)
	}
	return err
}

func (m *agentMade) record(e *client.EventRef) {
	if e != nil {
		m.Events = append(m.Events, e.CID)
	}
}

func (m *agentMade) show(s *screen) {
	s.printf("%s\n", s.bold(m.DID))
	pairs := []string{"name", m.Name, "id", m.ID, "status", m.Status, "file", m.AgentFile + "  (holds the private key)"}
	if m.Grant != nil {
		pairs = append(pairs, "grant", m.Grant.Capabilities, "for", strings.Join(m.Grant.Audience, ", "), "until", m.Grant.Expires.Format(time.RFC3339))
	}
	s.fields(pairs...)
	if m.Note != "" {
		s.printf("  %s\n", m.Note)
	}
}

// register enrolls an agent and writes its file. The file is there before
// anything is done with the agent; where it cannot be written, the agent, whose
// key is lost then, is revoked.
func register(ctx context.Context, c *client.Client, in client.NewAgent, path string) (*client.AgentFile, client.Change[client.Agent], error) {
	file, agent, err := enroll(ctx, c, in)
	if err != nil {
		return nil, agent, err
	}
	if err := file.Create(path); err != nil {
		if _, rerr := c.RevokeAgent(ctx, agent.Value.ID, "key-lost"); rerr != nil {
			return nil, agent, fmt.Errorf("%w; agent %s has lost its key: revoke it (%w)", err, agent.Value.ID, rerr)
		}
		return nil, agent, fmt.Errorf("%w; the agent was revoked again", err)
	}
	return file, agent, nil
}

// enroll makes a key, proves possession of it and registers an agent with it.
func enroll(ctx context.Context, c *client.Client, in client.NewAgent) (*client.AgentFile, client.Change[client.Agent], error) {
	var none client.Change[client.Agent]
	origin, err := c.Origin(ctx)
	if err != nil {
		return nil, none, err
	}
	org := in.Org
	if org == "" {
		me, err := c.Whoami(ctx)
		if err != nil {
			return nil, none, err
		}
		org = me.Org
	}
	key, err := client.GenerateAgentKey()
	if err != nil {
		return nil, none, err
	}
	in.JWK = key.JWK()
	if in.Possession, err = key.ProvePossession(origin, org, in.Name); err != nil {
		return nil, none, err
	}
	agent, err := c.RegisterAgent(ctx, in)
	if err != nil {
		return nil, none, err
	}
	file, err := client.NewAgentFile(origin, agent.Value, key)
	return file, agent, err
}

// agentRef is the id or DID of an agent that may be named by its file.
func agentRef(arg string) (string, error) {
	if strings.HasPrefix(arg, "did:") {
		return arg, nil
	}
	if info, err := os.Stat(arg); err != nil || info.IsDir() {
		return arg, nil
	}
	f, err := client.LoadAgentFile(arg)
	if err != nil {
		return "", err
	}
	return f.ID, nil
}

func agentShowCmd(conn *connection) *cobra.Command {
	return &cobra.Command{
		Use:     "show AGENT",
		Short:   "Show an agent",
		Example: "  writ agent show invoices.agent.json\n  writ agent show did:webvh:...\n  writ agent show --as invoices.agent.json invoices.agent.json",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := conn.open(cmd)
			if err != nil {
				return err
			}
			ref, err := agentRef(args[0])
			if err != nil {
				return err
			}
			a, err := c.Agent(cmd.Context(), ref)
			if err != nil {
				return err
			}
			return conn.say(cmd, a, func(s *screen) { showAgent(s, a) })
		},
	}
}

func showAgent(s *screen, a client.Agent) {
	custody := "the agent's own"
	if a.Custodial {
		custody = "held by the registry for the agent"
	}
	s.printf("%s\n", s.bold(printable(a.DID)))
	s.fields("name", a.Name, "id", a.ID, "status", a.Status, "org", a.Org, "sponsor", a.Sponsor,
		"purpose", a.Purpose, "role", a.Role, "domains", strings.Join(a.Domains, ", "), "workflows", strings.Join(a.Workflows, ", "),
		"level", strconv.Itoa(a.AuthorityLevel), "key", a.Thumbprint+"  (RFC 7638)", "DID update key", custody,
		"since", a.Created.Format(time.RFC3339))
	for _, k := range a.Retiring {
		s.fields("earlier key", k.Thumbprint+"  until "+k.NotAfter.Format(time.RFC3339))
	}
	if !a.DIDPending.IsZero() {
		s.fields("DID log", "behind since "+a.DIDPending.Format(time.RFC3339)+": it says otherwise of the agent's keys than the registry, which decides by its own")
	}
	if a.KeyEnded {
		s.fields("key", "compromised: it proves nothing any more")
	}
	if a.Spawn.Depth > 0 {
		s.fields("children", fmt.Sprintf("up to %d at once, %d generations deep", a.Spawn.Max, a.Spawn.Depth))
	}
	s.observation(a.Observation)
	s.actions(a.Actions)
	s.fields("parent", a.Parent)
	for _, c := range a.Composition {
		s.fields(c.Kind, fmt.Sprintf("%s  sha256 %s  (vouched for by: %s)", c.Name, c.Digest, c.Source))
	}
}

func agentMoveCmd(conn *connection, verb, short string, move func(*cobra.Command, *client.Client, string, string) (client.Change[client.Agent], error)) *cobra.Command {
	var reason string
	example := "  writ agent " + verb + " invoices.agent.json"
	if verb != "approve" {
		example += " --reason investigation"
	}
	cmd := &cobra.Command{
		Use: verb + " AGENT", Short: short, Example: example, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := conn.open(cmd)
			if err != nil {
				return err
			}
			ref, err := agentRef(args[0])
			if err != nil {
				return err
			}
			ch, err := move(cmd, c, ref, reason)
			if err != nil {
				return err
			}
			return conn.say(cmd, saidChange("agent", ch), func(s *screen) {
				s.printf("%s is %s\n", s.bold(printable(ch.Value.Name)), ch.Value.Status)
				s.event(ch.Event)
			})
		},
	}
	if verb != "approve" {
		cmd.Flags().StringVar(&reason, "reason", "", "machine name of the reason: [a-z0-9._-]")
	}
	return cmd
}

func agentSpawnCmd(conn *connection) *cobra.Command {
	var to client.Spawn
	cmd := &cobra.Command{
		Use:   "spawn AGENT --depth N --max N",
		Short: "Change an agent's right to register children",
		Long: `Change an agent's right to register children of its own, which have less than it in
every respect. Those it has stay. Whatever stops an agent stops its descendants.`,
		Example: "  writ agent spawn planner.agent.json --depth 2 --max 5\n  writ agent spawn planner.agent.json --depth 0 --max 0",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := conn.open(cmd)
			if err != nil {
				return err
			}
			ref, err := agentRef(args[0])
			if err != nil {
				return err
			}
			ch, err := c.SetSpawn(cmd.Context(), ref, to)
			if err != nil {
				return err
			}
			return conn.say(cmd, saidChange("agent", ch), func(s *screen) {
				s.printf("%s may have %d children at once, %d generations deep\n", s.bold(printable(ch.Value.Name)), ch.Value.Spawn.Max, ch.Value.Spawn.Depth)
				s.event(ch.Event)
			})
		},
	}
	cmd.Flags().IntVar(&to.Depth, "depth", 0, "generations below, 0 to 8")
	cmd.Flags().IntVar(&to.Max, "max", 0, "children at once, 0 to 1000")
	return cmd
}

func agentActionsCmd(conn *connection) *cobra.Command {
	var all, none bool
	cmd := conn.command("actions AGENT ACTION... | --any | --none", "Hold an agent to some actions of the catalogue, whatever its grants say",
		"  writ agent actions courier.agent.json read:invoices create:shipment\n  writ agent actions courier.agent.json --any", 1,
		func(cmd *cobra.Command, c *client.Client, args []string) error {
			if (len(args) > 1) == (all || none) {
				return errors.New("name each ACTION that it may do (verb:type), or give --any or --none")
			}
			ref, err := agentRef(args[0])
			if err != nil {
				return err
			}
			var ch client.Change[client.Agent]
			if all {
				ch, err = c.ClearAgentActions(cmd.Context(), ref)
			} else {
				ch, err = c.SetAgentActions(cmd.Context(), ref, args[1:])
			}
			if err != nil {
				return err
			}
			return conn.say(cmd, saidChange("agent", ch), func(s *screen) {
				showAgent(s, ch.Value)
				s.event(ch.Event)
			})
		})
	cmd.Args = cobra.MinimumNArgs(1)
	cmd.Long = `Hold an agent to some actions of its org's catalogue. Whatever its grants say, other acts
are denied: its own, those of its descendants, and those by a grant that it handed on.
They replace those of before, and give no authority: grants do.`
	cmd.Flags().BoolVar(&all, "any", false, "any again that its grants cover")
	cmd.Flags().BoolVar(&none, "none", false, "none at all")
	cmd.MarkFlagsMutuallyExclusive("any", "none")
	return cmd
}

// actions says what an agent is held to.
func (s *screen) actions(held *[]string) {
	switch {
	case held == nil:
	case len(*held) == 0:
		s.fields("held to", "no action: it may do nothing")
	default:
		s.fields("held to", strings.Join(*held, ", "))
	}
}

// act is an act as it is named on the command line.
type act struct {
	file, args, task, aud, grant string
}

func (a *act) bind(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&a.file, "agent", "", "agent `FILE`")
	f.StringVar(&a.args, "args", "", "arguments of the act, a JSON object, or @FILE that holds it")
	f.StringVar(&a.task, "task", "", "task that the act belongs to")
	f.StringVar(&a.aud, "aud", "", "resource server that will execute (default: that of the grant)")
	f.StringVar(&a.grant, "grant", "", "id of the grant to show (default: the newest that covers the act)")
	_ = cmd.MarkFlagRequired("agent") // the flag exists
}

// request makes the signed evaluation request: ACTION TYPE/ID.
func (a *act) request(cmd *cobra.Command, args []string) (*client.AgentFile, client.EvaluationRequest, error) {
	var none client.EvaluationRequest
	f, err := client.LoadAgentFile(a.file)
	if err != nil {
		return nil, none, err
	}
	if info, err := os.Stat(a.file); err == nil && info.Mode().Perm()&0o077 != 0 {
		fmt.Fprintf(cmd.ErrOrStderr(), "writ: others may read the key in %s; chmod 600 it\n", a.file)
	}
	kind, id, ok := strings.Cut(args[1], "/")
	if !ok || kind == "" || id == "" {
		return nil, none, fmt.Errorf("resource %q: want TYPE/ID, such as invoices/2026-0042", args[1])
	}
	theAct := capability.Act{Action: args[0], Resource: capability.Resource{Type: kind, ID: id}, Task: a.task}
	if theAct.Arguments, err = readArguments(a.args); err != nil {
		return nil, none, err
	}
	if a.grant == "" {
		req, err := f.Request(theAct, a.aud)
		return f, req, err
	}
	for _, g := range f.Grants {
		if g.ID == a.grant {
			req, err := f.RequestWith(theAct, a.aud, g)
			return f, req, err
		}
	}
	return nil, none, fmt.Errorf("%s holds no grant %s", a.file, a.grant)
}

func readArguments(text string) ([]byte, error) {
	if path, ok := strings.CutPrefix(text, "@"); ok {
		return os.ReadFile(path)
	}
	return []byte(text), nil
}

func agentAskCmd(conn *connection) *cobra.Command {
	var a act
	var pepToken string
	cmd := &cobra.Command{
		Use:   "ask --agent FILE ACTION TYPE/ID",
		Short: "Sign an act as an agent and ask whether it may be done",
		Long: `Sign an act with the agent's key and ask the registry whether it may be done now.
The agent asks for itself; with --pep-token an enforcement point asks, relaying
the agent's signature. Without --url the registry is that of the agent file.

The exit status is 0 for permit, 2 for deny, 3 for step_up (a human must approve
first) and 1 where there is no decision.`,
		Example: `  writ agent ask --agent invoices.agent.json read invoices/2026-0042
  writ agent ask --agent courier.agent.json create shipment/77 --args '{"weight": 420}'`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			f, req, err := a.request(cmd, args)
			if err != nil {
				return err
			}
			url := first(conn.url, os.Getenv("WRIT_URL"), f.Registry)
			c, err := conn.to(url, first(pepToken, os.Getenv("WRIT_PEP_TOKEN")), client.Options{})
			if err != nil {
				return err
			}
			d, err := c.Evaluate(cmd.Context(), req)
			if err != nil {
				return fmt.Errorf("no decision, so not permitted: %w", err)
			}
			err = conn.say(cmd, d, func(s *screen) { showDecision(s, args[0]+" "+args[1], d) })
			if err != nil {
				return err
			}
			return verdictStatus(d)
		},
	}
	a.bind(cmd)
	cmd.Flags().StringVar(&pepToken, "pep-token", "", "credential of an enforcement point that asks (WRIT_PEP_TOKEN)")
	return cmd
}

// verdictStatus is the exit status of a decision; what is no clear permit is none.
func verdictStatus(d client.Decision) error {
	switch {
	case d.Permitted():
		return nil
	case d.Context.Verdict == client.StepUp:
		return exitStepUp
	}
	return exitDeny
}

func showDecision(s *screen, act string, d client.Decision) {
	v := d.Context.Verdict
	s.printf("%s  %s\n", s.verdict(v, verdictText(v, d.Context.Observed)), printable(act))
	where := "none: a permit of an act that changes nothing material leaves no evidence"
	if e := d.Context.Event; e != nil {
		where = fmt.Sprintf("%s  entry %d", e.CID, e.Index)
	}
	switch {
	case d.Context.Folded:
		where += "  (a repeat of the denial recorded there)"
	case d.Context.Repeated:
		where += "  (asked before: the recorded answer)"
	}
	s.fields(append(reasonsInWords(d.Context.Reasons), "decision", d.Context.ID, "event", where)...)
	if v == client.StepUp {
		s.printf("  Until a human has approved this act it is a no. An act that the org's catalogue\n  does not know counts as one that cannot be undone: see writ catalogue.\n")
	}
}

// reasonsInWords pairs the code of each reason with its meaning.
func reasonsInWords(reasons []client.Reason) (pairs []string) {
	for _, r := range reasons {
		text := first(r.Meaning, r.Detail, r.Code)
		if r.Detail != "" && r.Detail != text {
			text += "; " + r.Detail
		}
		pairs = append(pairs, r.Code, text)
	}
	return pairs
}
