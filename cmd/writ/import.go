package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/writ-registry/writ/client"
)

// importer registers the agents of a file.
type importer struct {
	org, sponsor, grant, keys string
	level, parallel           int
	noApprove, dryRun         bool

	c      *client.Client
	origin string
}

func agentImportCmd(conn *connection) *cobra.Command {
	var im importer
	cmd := &cobra.Command{
		Use:   "import FILE --keys DIR",
		Short: "Register the agents of a file: CSV, JSON, or an MCP client's configuration",
		Long: `Register every agent of a file, each with a key of its own, which goes into
DIR/NAME.agent.json and nowhere else. The file is CSV with a header or JSON (name,
purpose, role, domains, workflows, authority_level, sponsor, grant, audience; JSON
also composition), or the configuration of an MCP client (mcpServers, or servers
as VS Code has it): one agent for each server, its tools known by what starts it.

What was interrupted goes on where it stopped when it is started again: agents
whose file is there and who are registered are passed over. The exit status is 1
where a row failed; the others are registered.
` + connectionHelp,
		Example: `  writ agent import agents.csv --keys keys --grant "read:invoices"
  writ agent import claude_desktop_config.json --keys keys --dry-run
  writ agent import agents.json --keys keys --parallel 64 --json > report.json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return im.run(cmd, conn, args[0]) },
	}
	f := cmd.Flags()
	f.StringVar(&im.keys, "keys", "", "`DIR` of the agent files")
	f.StringVar(&im.org, "org", "", "org, by id or name (default: that of the credential)")
	f.StringVar(&im.sponsor, "sponsor", "", "id of the accountable principal, where a row names none (default: the caller)")
	f.StringVar(&im.grant, "grant", "", "capabilities of a first grant, where a row names none")
	f.IntVar(&im.level, "level", 0, "authority level, where a row names none")
	f.IntVar(&im.parallel, "parallel", 16, "registrations at once")
	f.BoolVar(&im.noApprove, "no-approve", false, "leave the approvals to somebody else")
	f.BoolVar(&im.dryRun, "dry-run", false, "say what would be registered")
	_ = cmd.MarkFlagRequired("keys") // the flag exists
	return cmd
}

// What became of a row.
const (
	rowRegistered = "registered"
	rowResumed    = "resumed" // it was registered before, and its file was missing
	rowThere      = "there"
	rowFailed     = "failed"
	rowNew        = "new"  // of a dry run
	rowLeft       = "left" // interrupted before it
)

// importedRow is what became of one agent of the file.
type importedRow struct {
	Row    int    `json:"row"` // from 1
	Name   string `json:"name"`
	Result string `json:"result"`
	ID     string `json:"id,omitempty"`
	DID    string `json:"did,omitempty"`
	File   string `json:"file,omitempty"`
	Error  string `json:"error,omitempty"`
}

// importReport is the JSON of agent import.
type importReport struct {
	Total   int            `json:"total"`
	Results map[string]int `json:"results"`
	Seconds float64        `json:"seconds"`
	Rows    []importedRow  `json:"rows"`
}

func (im *importer) run(cmd *cobra.Command, conn *connection, path string) error {
	if im.noApprove && im.grant != "" {
		return errors.New("--grant needs approved agents; leave out --no-approve, or issue the grants after the approvals")
	}
	info, err := os.Stat(path)
	if err == nil && info.Size() > maxImport {
		err = fmt.Errorf("%s is longer than %d bytes", path, maxImport)
	}
	if err != nil {
		return err
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	agents, err := readImport(data)
	if err != nil {
		return fmt.Errorf("import %s: %w", path, err)
	}
	if err := im.open(cmd, conn); err != nil {
		return err
	}
	report := im.all(cmd.Context(), agents, newProgress(cmd.ErrOrStderr(), "registered"))
	if err := conn.say(cmd, report, report.show); err != nil {
		return err
	}
	if n := report.Results[rowFailed]; n > 0 {
		return fmt.Errorf("%d of %d agents were not registered; start again when the reasons are gone", n, report.Total)
	}
	return cmd.Context().Err()
}

// open finds the registry and makes the folder.
func (im *importer) open(cmd *cobra.Command, conn *connection) error {
	url, token, agent, err := conn.caller(cmd)
	if err != nil {
		return err
	}
	im.parallel = min(max(im.parallel, 1), 256)
	exchange, err := conn.http(time.Minute)
	if err != nil {
		return err
	}
	exchange.Transport.(*http.Transport).MaxIdleConnsPerHost = im.parallel // else most connections serve one request
	if im.c, err = client.New(url, token, client.Options{HTTP: exchange, Agent: agent}); err != nil {
		return err
	}
	if im.origin, err = im.c.Origin(cmd.Context()); err != nil {
		return err
	}
	if im.org == "" {
		me, err := im.c.Whoami(cmd.Context())
		if err != nil {
			return err
		}
		im.org = me.Org
	}
	if im.dryRun {
		return nil
	}
	return os.MkdirAll(im.keys, 0o700)
}

// all registers the agents, so many at once, and reports on each in its place.
func (im *importer) all(ctx context.Context, agents []importedAgent, p *progress) importReport {
	p.total = len(agents)
	report := importReport{Total: len(agents), Results: map[string]int{}, Rows: make([]importedRow, len(agents))}
	next := make(chan int)
	var workers sync.WaitGroup
	for range im.parallel {
		workers.Go(func() {
			for i := range next {
				r := im.one(ctx, agents[i])
				r.Row = i + 1
				report.Rows[i] = r
				if r.Result == rowFailed {
					p.add(0, 1)
				} else {
					p.add(1, 0)
				}
			}
		})
	}
	for i, a := range agents {
		if ctx.Err() != nil {
			report.Rows[i] = importedRow{Row: i + 1, Name: a.Name, Result: rowLeft}
			continue
		}
		next <- i
	}
	close(next)
	workers.Wait()
	p.end()
	for _, r := range report.Rows {
		report.Results[r.Result]++
	}
	report.Seconds = time.Since(p.started).Seconds()
	return report
}

// one registers an agent. Its key is on disk before the registry hears of it, in
// NAME.key.pem: whatever breaks off, the next start finds the key, and by the key
// the agent.
func (im *importer) one(ctx context.Context, a importedAgent) importedRow {
	row := importedRow{Name: a.Name, File: filepath.Join(im.keys, a.Name+".agent.json"), Result: rowFailed}
	known, err := im.known(ctx, row.File)
	switch {
	case err != nil:
		row.Error = err.Error()
		return row
	case known != nil:
		row.Result, row.ID, row.DID = rowThere, known.ID, known.DID
		return row
	case im.dryRun:
		row.Result = rowNew
		return row
	}
	pending := filepath.Join(im.keys, a.Name+".key.pem")
	key, found, err := keptKey(pending)
	if err != nil {
		row.Error = err.Error()
		return row
	}
	file, resumed, err := im.register(ctx, a, key, found)
	if err == nil {
		err = file.Create(row.File)
	}
	var refused *client.Problem
	switch {
	case err == nil:
		row.Result, row.ID, row.DID = rowRegistered, file.ID, file.DID
		if resumed {
			row.Result = rowResumed
		}
		err = os.Remove(pending)
	case !found && errors.As(err, &refused) && refused.Status/100 == 4 && refused.Status != http.StatusTooManyRequests:
		_ = os.Remove(pending) // the registry has never had it
	}
	if err != nil {
		row.Error = err.Error()
	}
	return row
}

// known is the agent of a file that is there; nil where there is none.
func (im *importer) known(ctx context.Context, path string) (*client.Agent, error) {
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	f, err := client.LoadAgentFile(path)
	if err != nil {
		return nil, err
	}
	if f.Registry != im.origin {
		return nil, fmt.Errorf("%s is of another registry, %s", path, f.Registry)
	}
	a, err := im.c.Agent(ctx, f.ID)
	if err != nil {
		return nil, fmt.Errorf("the agent of %s: %w", path, err)
	}
	return &a, nil
}

// keptKey is the key that an earlier start left, or a new one, durable.
func keptKey(path string) (key *client.AgentKey, found bool, err error) {
	raw, err := os.ReadFile(path)
	if err == nil {
		key, err = client.ParseAgentKey(raw)
		return key, true, err
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, false, err
	}
	if key, err = client.GenerateAgentKey(); err != nil {
		return nil, false, err
	}
	if raw, err = key.PEM(); err != nil {
		return nil, false, err
	}
	return key, false, writeSecret(path, raw)
}

// register registers the agent with its key, unless it is there already.
func (im *importer) register(ctx context.Context, a importedAgent, key *client.AgentKey, maybe bool) (file *client.AgentFile, resumed bool, err error) {
	if maybe {
		if file, err = im.find(ctx, key); file != nil || err != nil {
			return file, true, err
		}
	}
	in := client.NewAgent{
		Org: im.org, Sponsor: first(a.Sponsor, im.sponsor), Name: a.Name, Purpose: a.Purpose, Role: a.Role, Domains: a.Domains,
		Workflows: a.Workflows, AuthorityLevel: a.AuthorityLevel, Composition: a.Composition, JWK: key.JWK(),
	}
	if in.AuthorityLevel == 0 {
		in.AuthorityLevel = im.level
	}
	if in.Possession, err = key.ProvePossession(im.origin, im.org, in.Name); err != nil {
		return nil, false, err
	}
	var out client.Onboarded
	if im.noApprove {
		var made client.Change[client.Agent]
		made, err = im.c.RegisterAgent(ctx, in)
		out.Agent = made.Value
	} else {
		var grant *client.FirstGrant
		if caps := first(a.Grant, im.grant); caps != "" {
			grant = &client.FirstGrant{Capabilities: caps, Audience: a.Audience}
		}
		out, err = im.c.OnboardAgent(ctx, in, grant)
	}
	var p *client.Problem
	if errors.As(err, &p) && p.Code == "key_taken" { // an answer that got lost
		if file, ferr := im.find(ctx, key); file != nil || ferr != nil {
			return file, true, ferr
		}
	}
	if err != nil {
		return nil, false, err
	}
	if file, err = client.NewAgentFile(im.origin, out.Agent, key); err == nil && out.Grant != nil {
		file.Hold(*out.Grant)
	}
	return file, false, err
}

// find makes the file of the agent that has the key; nil where there is none.
func (im *importer) find(ctx context.Context, key *client.AgentKey) (*client.AgentFile, error) {
	list, err := client.Collect(im.c.FindAgents(ctx, client.AgentFilter{Org: im.org, Thumbprint: key.Thumbprint()}), 1)
	if err != nil || len(list) == 0 {
		return nil, err
	}
	file, err := client.NewAgentFile(im.origin, list[0].Agent, key)
	if err != nil {
		return nil, err
	}
	grants, err := client.Collect(im.c.Grants(ctx, client.GrantFilter{Agent: file.ID, Status: "active"}), 0)
	for _, g := range grants {
		file.Hold(g)
	}
	return file, err
}

func (r importReport) show(s *screen) {
	var rows [][]string
	for _, row := range r.Rows {
		if row.Result == rowFailed {
			rows = append(rows, []string{fmt.Sprint(row.Row), row.Name, row.Error})
		}
	}
	if len(rows) > 0 {
		s.table([]string{"ROW", "NAME", "WHY IT FAILED"}, rows)
	}
	for _, result := range []string{rowNew, rowRegistered, rowResumed, rowThere, rowLeft, rowFailed} {
		if n := r.Results[result]; n > 0 {
			s.printf("%d %s\n", n, result)
		}
	}
	s.printf("%d agents in %.1f s\n", r.Total, r.Seconds)
}
