package policy

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/writ-registry/writ/internal/canon"
	"github.com/writ-registry/writ/registry"
	"github.com/writ-registry/writ/registry/capability"
)

// Coverage is what observed decisions of an org would have needed.
type Coverage struct {
	Since    time.Time       `json:"since"`
	Observed int             `json:"observed" doc:"Decisions that were observed"`
	Skipped  int             `json:"skipped" doc:"Of these, whose inputs are erased"`
	Others   int             `json:"others" doc:"Of these, about subjects that are no agents: a policy has to permit them"`
	Agents   []AgentCoverage `json:"agents" doc:"In order of their ids"`
	Partial  bool            `json:"partial,omitempty" doc:"There were more decisions than are looked at"`
}

// AgentCoverage is a grant that would have covered what one agent did under observation.
// It covers what was seen and may be too wide, or too narrow: somebody has to read it.
type AgentCoverage struct {
	Agent    string                 `json:"agent"`
	DID      string                 `json:"did"`
	Observed int                    `json:"observed"`
	Template registry.GrantTemplate `json:"template" doc:"As put-template takes it"`
	Open     []string               `json:"open,omitempty" doc:"verb:type of capabilities with any arguments: what was seen cannot be said more closely"`
	Unsaid   []string               `json:"unsaid,omitempty" doc:"verb:type that no capability can name"`
	Lacks    Lacks                  `json:"lacks,omitzero" doc:"What the agent itself is not approved for"`
}

// Lacks is what no grant gives: a registrar has to approve the agent for it.
type Lacks struct {
	Domains   []string `json:"domains,omitempty"`
	Workflows []string `json:"workflows,omitempty"`
	Level     int      `json:"level,omitempty"`
}

// Limits of a report.
const (
	maxObservedRead = 10_000 // decisions that are looked at
	maxOneOf        = 16     // texts of an argument that are named
	maxShapes       = 8      // sets of argument names of an action that are told apart
)

// Coverage says what would have covered the observed decisions of an org, or of one of
// its agents ("" = all), since a time, by the catalogue of now. The caller has been
// allowed to read them.
func (p *PDP) Coverage(ctx context.Context, org, agent string, since time.Time) (Coverage, error) {
	var out Coverage
	err := p.Store.View(ctx, func(tx registry.Tx) error {
		out = Coverage{Since: since, Agents: []AgentCoverage{}}
		acts := map[string][]*recorded{}
		for _, typ := range []string{registry.EventDecision, registry.EventAssertedDecision} {
			if agent != "" && typ == registry.EventAssertedDecision {
				continue
			}
			if err := out.read(ctx, tx, registry.EventFilter{Org: org, Agent: agent, Type: typ, Newest: true, Page: registry.Page{Limit: registry.MaxPage}}, acts); err != nil {
				return err
			}
		}
		catalogue, err := tx.Catalogue(org)
		if err != nil {
			return err
		}
		for _, id := range slices.Sorted(maps.Keys(acts)) {
			a, err := tx.Agent(id)
			if err != nil {
				return err
			}
			out.Agents = append(out.Agents, covering(a, catalogue, acts[id]))
		}
		return nil
	})
	return out, err
}

// read collects observed decisions by agent, the newest first.
func (c *Coverage) read(ctx context.Context, tx registry.Tx, f registry.EventFilter, acts map[string][]*recorded) error {
	for seen := 0; ; {
		list, err := tx.ListEvents(f)
		if err != nil {
			return err
		}
		for _, e := range list {
			if e.Time.Before(c.Since) {
				return nil
			}
			var artifact struct {
				Body struct {
					Observed bool `json:"observed"`
				} `json:"body"`
			}
			if err := canon.UnmarshalOpen(e.Artifact, &artifact); err != nil {
				return err
			}
			if !artifact.Body.Observed {
				continue
			}
			c.Observed++
			if e.Agent == "" {
				c.Others++
				continue
			}
			r, err := readDecision(tx, e)
			switch {
			case err != nil:
				return err
			case r.resource == nil || r.payload == nil:
				c.Skipped++
			default:
				acts[e.Agent] = append(acts[e.Agent], r)
			}
		}
		if seen += len(list); len(list) < f.Limit {
			return nil
		}
		if seen >= maxObservedRead {
			c.Partial = true
			return nil
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		f.After = strconv.FormatUint(list[len(list)-1].Index, 10)
	}
}

// covering makes the narrowest grant that the text form has for what was seen.
func covering(a registry.Agent, catalogue registry.Catalogue, acts []*recorded) AgentCoverage {
	out := AgentCoverage{Agent: a.ID, DID: a.DID, Observed: len(acts), Template: registry.GrantTemplate{Name: templateName(a.Name), Description: "what " + a.Name + " did under observation"}}
	byAction := map[string][]capability.Act{}
	domains, workflows, audiences := map[string]bool{}, map[string]bool{}, map[string]bool{}
	level := 0
	for _, r := range acts {
		byAction[r.Action] = append(byAction[r.Action], r.act())
		entry := catalogue.Entry(r.Action)
		level = max(level, entry.MinLevel)
		audiences[r.Audience] = true
		for _, d := range []string{entry.Domain, r.context.Domain} {
			domains[d] = true
		}
		for _, w := range []string{entry.Workflow, r.context.Workflow} {
			workflows[w] = true
		}
	}
	var texts []string
	for _, action := range slices.Sorted(maps.Keys(byAction)) {
		said, open := sayActs(action, byAction[action])
		switch {
		case said == nil:
			out.Unsaid = append(out.Unsaid, action)
		case open:
			out.Open = append(out.Open, action)
		}
		texts = append(texts, said...)
	}
	if set, err := capability.Parse(strings.Join(texts, "; ")); err == nil {
		out.Template.Capabilities = set.String()
	} else { // too much for one grant
		out.Unsaid, out.Open = slices.Sorted(maps.Keys(byAction)), nil
	}
	t := &out.Template
	t.Audience = append(t.Audience, slices.Sorted(maps.Keys(audiences))...)
	t.Domain, out.Lacks.Domains = narrowest(domains, a.Domains)
	t.Workflow, out.Lacks.Workflows = narrowest(workflows, a.Workflows)
	t.AuthorityLevel = &level
	if level > a.AuthorityLevel {
		out.Lacks.Level = level
	}
	return out
}

func templateName(agent string) string {
	const suffix = "-observed"
	return agent[:min(len(agent), 64-len(suffix))] + suffix
}

// narrowest is the one domain (workflow) that was seen, "" = any, and those that the
// agent is not approved for.
func narrowest(seen map[string]bool, approvedFor []string) (one string, lacks []string) {
	delete(seen, "")
	list := slices.Sorted(maps.Keys(seen))
	for _, s := range list {
		if !approved(s, approvedFor) {
			lacks = append(lacks, s)
		}
	}
	if len(list) == 1 {
		one = list[0]
	}
	return one, lacks
}

// sayActs are capabilities that cover acts of one verb:type: one for each set of names of
// arguments, closed; or one that is open, where that cannot be said. None: the action has
// a name that no capability can have.
func sayActs(action string, acts []capability.Act) (texts []string, open bool) {
	shapes := map[string][]map[string]json.RawMessage{}
	for _, act := range acts {
		args := map[string]json.RawMessage{}
		if len(act.Arguments) > 0 && json.Unmarshal(act.Arguments, &args) != nil {
			return openly(action)
		}
		shape := strings.Join(slices.Sorted(maps.Keys(args)), "\x00")
		shapes[shape] = append(shapes[shape], args)
	}
	if len(shapes) > maxShapes {
		return openly(action)
	}
	for _, shape := range slices.Sorted(maps.Keys(shapes)) {
		seen := shapes[shape]
		var bounds []string
		for _, name := range slices.Sorted(maps.Keys(seen[0])) {
			values := make([]json.RawMessage, len(seen))
			for i, args := range seen {
				values[i] = args[name]
			}
			bounds = append(bounds, bound(name, values))
		}
		texts = append(texts, action+"("+strings.Join(bounds, ", ")+")")
	}
	set, err := capability.Parse(strings.Join(texts, "; "))
	if err != nil || slices.ContainsFunc(acts, func(a capability.Act) bool { return !set.Match(a).Covered }) {
		return openly(action)
	}
	return texts, false
}

func openly(action string) ([]string, bool) {
	if set, err := capability.Parse(action); err != nil || set.Len() != 1 || set.String() != action {
		return nil, false
	}
	return []string{action}, true
}

// bound says an argument: numbers by their range, few texts and booleans by name, all
// else by its name alone.
func bound(name string, values []json.RawMessage) string {
	var low, high float64
	var lowText, highText string
	distinct := map[string]bool{}
	numbers, words := true, true
	for _, raw := range values {
		text := string(raw)
		distinct[text] = true
		n, err := strconv.ParseFloat(text, 64) // exactly: others are refused as arguments
		if numbers = numbers && err == nil; numbers {
			if lowText == "" || n < low {
				low, lowText = n, text
			}
			if highText == "" || n > high {
				high, highText = n, text
			}
		}
		words = words && (text[0] == '"' || text == "true" || text == "false")
	}
	list := slices.Sorted(maps.Keys(distinct))
	switch {
	case (numbers || words) && len(list) == 1:
		return name + "==" + list[0]
	case numbers:
		return name + ">=" + lowText + ", " + name + "<=" + highText
	case words && len(list) <= maxOneOf:
		return name + " in [" + strings.Join(list, ", ") + "]"
	}
	return name
}
