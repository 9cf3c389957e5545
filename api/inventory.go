package api

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humagin"

	"github.com/writ-registry/writ/registry"
)

func (s *server) routeInventory() {
	route(s, huma.Operation{OperationID: "list-agents", Method: http.MethodGet, Path: "/v1/agents", Tags: []string{"agents"},
		Summary:     "The agents of an org that all filters match",
		Description: "In order of registration, or of what is searched by: name, age of the key, last act, or how long a grant lies unused. last_act is what the log has seen; a permit without an event is not in it."}, s.listAgents)
	route(s, huma.Operation{OperationID: "export-agents", Method: http.MethodGet, Path: "/v1/agents/export", Tags: []string{"agents"},
		Summary:     "The same agents as a file, however many there are",
		Description: "Read in pages: agents that are registered or changed meanwhile may be in it or not. A file that breaks off has no end: JSON without its last bracket, or a cut connection.",
		Responses: map[string]*huma.Response{"200": {Description: "A file", Content: map[string]*huma.MediaType{
			"application/json": {Schema: &huma.Schema{Type: "array", Items: s.schema(registry.InventoryItem{})}}, "text/csv": {},
		}}}}, s.exportAgents)
	route(s, huma.Operation{OperationID: "offboard-agents", Method: http.MethodPost, Path: "/v1/agents/offboard", Tags: []string{"agents"},
		Summary:     "End agents and their grants, by name or by a filter",
		Description: "At most 100 agents a call, in one commit, each with its own events: call again until left is 0. Agents that have ended are passed over."}, s.offboardAgents)
	route(s, huma.Operation{OperationID: "list-unregistered", Method: http.MethodGet, Path: "/v1/inventory/unregistered", Tags: []string{"agents"},
		Summary:     "Callers that enforcement points saw and no agent is known for",
		Description: "Their word, a few seconds late; the 10,000 of an org that were seen last."}, s.listUnregistered)
}

func (s *server) listUnregistered(ctx context.Context, call registry.Call, in *struct {
	OrgFilter
	PageParams
}) (*plain[page[registry.Unregistered]], error) {
	return listed(in.PageParams, "unregistered", registry.Unregistered.Place, func(p registry.Page) ([]registry.Unregistered, error) {
		return s.Registry.ListUnregistered(ctx, call.Caller, in.Org, p)
	})
}

// FirstGrant is the grant in the body of request-agent.
type FirstGrant struct {
	Capabilities   string     `json:"capabilities" example:"read:invoices; create:shipment(max_weight<=500); execute:none"`
	Budgets        []string   `json:"budgets,omitempty" maxItems:"8" doc:"What all who act under the grant share" example:"[\"sum(pay:invoice, amount) <= 10000 per 24h\"]"`
	Audience       []string   `json:"audience,omitempty" doc:"Ids of resource servers; the registry's origin where absent"`
	Domain         string     `json:"domain,omitempty"`
	Workflow       string     `json:"workflow,omitempty"`
	AuthorityLevel *int       `json:"authority_level,omitempty" minimum:"0" maximum:"4" doc:"The agent's where absent"`
	NotBefore      *time.Time `json:"not_before,omitempty" doc:"Now where absent"`
	Expires        *time.Time `json:"expires,omitempty" doc:"24 hours after not_before where absent"`
}

func (s *server) onboardAgent(ctx context.Context, call registry.Call, in registry.NewAgent, g *FirstGrant) (*created[NewAgentAnswer], error) {
	var first *registry.NewGrant
	if g != nil {
		first = &registry.NewGrant{Capabilities: g.Capabilities, Budgets: g.Budgets, Audience: g.Audience, Domain: g.Domain, Workflow: g.Workflow,
			AuthorityLevel: g.AuthorityLevel, NotBefore: orZero(g.NotBefore), Expires: orZero(g.Expires)}
	}
	out, err := s.Registry.OnboardAgent(ctx, call, in, first)
	if err != nil {
		return nil, err
	}
	a := out.Value.Agent
	return create(out, "/v1/agents/"+a.ID, NewAgentAnswer{a, out.Value.Grant, eventOf(out), out.Events}), nil
}

// AgentFilters narrow a list of agents; all that are given must match.
type AgentFilters struct {
	OrgFilter
	Status      registry.AgentStatus `query:"status" enum:"requested,active,suspended,revoked"`
	Sponsor     string               `query:"sponsor" doc:"Id of a principal"`
	Domain      string               `query:"domain" doc:"Approved for it by name"`
	Workflow    string               `query:"workflow" doc:"Approved for it by name"`
	Capability  string               `query:"capability" doc:"verb:type that an active grant of the agent covers in some way" example:"read:invoices"`
	Name        string               `query:"name" doc:"Beginning of the name"`
	Parent      string               `query:"parent" doc:"Id or DID of the agent that it is a child of"`
	Thumbprint  string               `query:"thumbprint" doc:"Of its key now (RFC 7638)"`
	SponsorGone bool                 `query:"sponsor_gone" doc:"Its sponsor is suspended or has left: it may do nothing until it has another"`
	KeyBefore   time.Time            `query:"key_before" doc:"Its key is from before then"`
	ActedSince  time.Time            `query:"acted_since" doc:"The log saw it act then or later"`
	ActedBefore time.Time            `query:"acted_before" doc:"The log did not see it act since then; perhaps it never did"`
	UnusedSince time.Time            `query:"unused_since" doc:"It holds an active grant from before then that the log has not seen used since"`
}

func (f AgentFilters) query() registry.AgentQuery {
	return registry.AgentQuery{
		Status: f.Status, Sponsor: f.Sponsor, Domain: f.Domain, Workflow: f.Workflow, Capability: f.Capability, NamePrefix: f.Name,
		Parent: f.Parent, Thumbprint: f.Thumbprint, SponsorGone: f.SponsorGone, KeyBefore: f.KeyBefore, ActedSince: f.ActedSince, ActedBefore: f.ActedBefore, UnusedSince: f.UnusedSince,
	}
}

func (s *server) listAgents(ctx context.Context, call registry.Call, in *struct {
	AgentFilters
	PageParams
}) (*plain[page[registry.InventoryItem]], error) {
	q := in.query()
	place := func(it registry.InventoryItem) string { return it.Place }
	return listed(in.PageParams, "agents."+string(q.By()), place, func(p registry.Page) ([]registry.InventoryItem, error) {
		q.Page = p
		return s.Registry.SearchAgents(ctx, call.Caller, in.Org, q)
	})
}

// exported is a file that is made as it is sent.
type exported struct {
	ContentType string `header:"Content-Type"`
	Disposition string `header:"Content-Disposition"`
	Body        func(huma.Context)
}

// exportPage is how many agents are read at once; exportPause how long a reader
// may take over them.
const (
	exportPage  = 500
	exportPause = time.Minute
)

func (s *server) exportAgents(ctx context.Context, call registry.Call, in *struct {
	AgentFilters
	Format string `query:"format" enum:"csv,json" default:"json"`
}) (*exported, error) {
	q := in.query()
	next := func() ([]registry.InventoryItem, error) {
		q.Limit = exportPage
		items, err := s.Registry.SearchAgents(ctx, call.Caller, in.Org, q)
		if len(items) > 0 {
			q.After = items[len(items)-1].Place
		}
		return items, err
	}
	first, err := next() // what is refused is refused before the first byte
	if err != nil {
		return nil, err
	}
	out := &exported{ContentType: "application/json", Disposition: `attachment; filename="agents.` + in.Format + `"`}
	var file interface {
		write(registry.InventoryItem) error
		flush() error
		close() error
	}
	out.Body = func(hc huma.Context) {
		file = &jsonFile{w: hc.BodyWriter()}
		if in.Format == "csv" {
			file = newCSVFile(hc.BodyWriter())
		}
		gate := http.NewResponseController(humagin.Unwrap(hc).Writer)
		for items := first; ; {
			for _, it := range items {
				if err == nil {
					err = file.write(it)
				}
			}
			if err == nil {
				err = file.flush()
			}
			if err != nil || len(items) < exportPage {
				break
			}
			_ = gate.SetWriteDeadline(time.Now().Add(exportPause)) // else the server's own holds
			items, err = next()
		}
		if err == nil {
			err = file.close()
		}
		if err != nil {
			s.logger(ctx).Warn("an export broke off", "err", err)
			panic(http.ErrAbortHandler) // the status is sent: the reader must see that this is not all
		}
	}
	if in.Format == "csv" {
		out.ContentType = "text/csv; charset=utf-8; header=present" // RFC 7111
	}
	return out, nil
}

// jsonFile is an array of agents, one a line.
type jsonFile struct {
	w    io.Writer
	rows int
}

func (f *jsonFile) write(it registry.InventoryItem) error {
	raw, err := json.Marshal(it)
	if err != nil {
		return err
	}
	before := ",\n"
	if f.rows == 0 {
		before = "[\n"
	}
	f.rows++
	_, err = f.w.Write(append([]byte(before), raw...))
	return err
}

func (f *jsonFile) flush() error { return nil }

func (f *jsonFile) close() error {
	end := "\n]\n"
	if f.rows == 0 {
		end = "[]\n"
	}
	_, err := io.WriteString(f.w, end)
	return err
}

// csvFile is RFC 4180 with a header.
type csvFile struct{ *csv.Writer }

// csvColumns are the columns of an export. Lists are joined by spaces.
var csvColumns = []struct {
	name string
	of   func(registry.InventoryItem) string
}{
	{"id", func(a registry.InventoryItem) string { return a.ID }},
	{"did", func(a registry.InventoryItem) string { return a.DID }},
	{"web_did", func(a registry.InventoryItem) string { return a.WebDID }},
	{"org", func(a registry.InventoryItem) string { return a.Org }},
	{"name", func(a registry.InventoryItem) string { return a.Name }},
	{"status", func(a registry.InventoryItem) string { return string(a.Status) }},
	{"sponsor", func(a registry.InventoryItem) string { return a.Sponsor }},
	{"parent", func(a registry.InventoryItem) string { return a.Parent }},
	{"purpose", func(a registry.InventoryItem) string { return a.Purpose }},
	{"role", func(a registry.InventoryItem) string { return a.Role }},
	{"domains", func(a registry.InventoryItem) string { return strings.Join(a.Domains, " ") }},
	{"workflows", func(a registry.InventoryItem) string { return strings.Join(a.Workflows, " ") }},
	{"authority_level", func(a registry.InventoryItem) string { return strconv.Itoa(a.AuthorityLevel) }},
	{"thumbprint", func(a registry.InventoryItem) string { return a.Thumbprint }},
	{"key_since", func(a registry.InventoryItem) string {
		if a.KeySince.IsZero() {
			return moment(a.Created)
		}
		return moment(a.KeySince)
	}},
	{"created", func(a registry.InventoryItem) string { return moment(a.Created) }},
	{"updated", func(a registry.InventoryItem) string { return moment(a.Updated) }},
	{"last_act", func(a registry.InventoryItem) string { return moment(a.LastAct) }},
	{"composition", func(a registry.InventoryItem) string {
		parts := make([]string, len(a.Composition))
		for i, c := range a.Composition {
			parts[i] = c.Kind + ":" + c.Name + " sha256:" + c.Digest + " " + c.Source
		}
		return strings.Join(parts, "; ")
	}},
	{"custodial", func(a registry.InventoryItem) string { return strconv.FormatBool(a.Custodial) }},
	{"did_pending", func(a registry.InventoryItem) string { return moment(a.DIDPending) }},
}

func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(registry.TimeFormat)
}

func newCSVFile(w io.Writer) csvFile {
	f := csvFile{csv.NewWriter(w)}
	header := make([]string, len(csvColumns))
	for i, c := range csvColumns {
		header[i] = c.name
	}
	_ = f.Write(header) // buffered: flush says what became of it
	return f
}

func (f csvFile) write(it registry.InventoryItem) error {
	row := make([]string, len(csvColumns))
	for i, c := range csvColumns {
		row[i] = inert(c.of(it))
	}
	return f.Write(row)
}

func (f csvFile) flush() error { f.Flush(); return f.Error() }

func (f csvFile) close() error { return f.flush() }

// inert keeps a spreadsheet from taking a cell for a formula (OWASP, CSV
// injection): what others wrote is text.
func inert(cell string) string {
	if cell != "" && strings.ContainsRune("=+-@\t\r", rune(cell[0])) {
		return "'" + cell
	}
	return cell
}

// NewOffboarding is the body of offboard-agents.
type NewOffboarding struct {
	Agents []string        `json:"agents,omitempty" maxItems:"1000" doc:"Ids or DIDs"`
	Filter *OffboardFilter `json:"filter,omitempty" doc:"Where no agents are named"`
	Reason string          `json:"reason,omitempty" doc:"Machine name, 1 to 64 of [a-z0-9._-]" example:"project-over"`
	DryRun bool            `json:"dry_run,omitempty" doc:"Say what would be done, and do nothing: agents is the first page, left is all of them"`
}

// OffboardFilter says which agents of an org are to end; all that is given must
// match.
type OffboardFilter struct {
	Org         string     `json:"org,omitempty" doc:"Id or name; the caller's own where absent"`
	Sponsor     string     `json:"sponsor,omitempty" doc:"Id of a principal"`
	Name        string     `json:"name,omitempty" doc:"Beginning of the name"`
	Parent      string     `json:"parent,omitempty" doc:"Id or DID of the agent that they are children of"`
	UnusedSince *time.Time `json:"unused_since,omitempty" doc:"From before then, and the log has not seen them act since. Acts that leave no event are not seen: look at the dry run first"`
}

// OffboardAnswer is what was done, and what is left.
type OffboardAnswer struct {
	Agents []registry.OffboardedAgent `json:"agents"`
	Left   int                        `json:"left" doc:"Agents still to be ended: call again"`
	Events []registry.EventRef        `json:"events,omitempty"`
}

func (s *server) offboardAgents(ctx context.Context, call registry.Call, in *struct{ Body NewOffboarding }) (*changed[OffboardAnswer], error) {
	b := in.Body
	off := registry.Offboarding{Agents: b.Agents, Reason: b.Reason, DryRun: b.DryRun}
	if f := b.Filter; f != nil {
		off.Org = f.Org
		off.Query = registry.AgentQuery{Sponsor: f.Sponsor, NamePrefix: f.Name, Parent: f.Parent, ActedBefore: orZero(f.UnusedSince)}
	}
	out, err := s.Registry.OffboardAgents(ctx, call, off)
	if err != nil {
		return nil, err
	}
	return change(out, OffboardAnswer{out.Value.Agents, out.Value.Left, out.Events}), nil
}
