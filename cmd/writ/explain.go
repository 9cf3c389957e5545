package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/writ-registry/writ/client"
	"github.com/writ-registry/writ/client/verify"
	"github.com/writ-registry/writ/internal/canon"
)

// explanation is the JSON of explain.
type explanation struct {
	Event       string            `json:"event"`
	Type        string            `json:"type"`
	Time        string            `json:"time"`
	Index       uint64            `json:"index"`
	Verdict     string            `json:"verdict,omitempty"`
	Reasons     []client.Reason   `json:"reasons,omitempty"`
	QualifiedBy []string          `json:"qualified_by,omitempty"`
	Body        map[string]any    `json:"body"`
	Disclosed   map[string]any    `json:"disclosed,omitempty"`
	Actor       map[string]string `json:"actor"`
	Verified    bool              `json:"verified"` // the receipt's signatures and proofs hold
	Grade       string            `json:"grade,omitempty"`
	Facts       []verify.Fact     `json:"facts"`
	Note        string            `json:"note,omitempty"`
}

// newExplainCmd says why a verdict is what it is.
func newExplainCmd() *cobra.Command {
	var conn connection
	cmd := &cobra.Command{
		Use:   "explain EVENT_CID",
		Short: "Say in words what an event records, why, and on whose word",
		Long: `Say what an event records and, of a decision, why the verdict is what it is. The
receipt of the event is verified on the way, so that each fact is labelled with
whose word it is: signed by the agent itself, or asserted by the registry.
` + connectionHelp,
		Example: `  writ explain bafkrei...
  writ explain bafkrei... --json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := conn.open(cmd)
			if err != nil {
				return err
			}
			e, err := explain(cmd, c, args[0])
			if err != nil {
				return err
			}
			if err := conn.say(cmd, e, e.show); err != nil {
				return err
			}
			if !e.Verified {
				return exitCode(1)
			}
			return nil
		},
	}
	conn.bind(cmd)
	return cmd
}

// explain reads an event and verifies its receipt, with what is disclosed.
func explain(cmd *cobra.Command, c *client.Client, cid string) (*explanation, error) {
	rec, err := c.Event(cmd.Context(), cid)
	if err != nil {
		return nil, err
	}
	var env struct {
		Type  string            `json:"type"`
		Time  string            `json:"time"`
		Actor map[string]string `json:"actor"`
		Body  json.RawMessage   `json:"body"`
	}
	if err := canon.UnmarshalOpen(rec.Event.Artifact, &env); err != nil {
		return nil, fmt.Errorf("event %s: %w", cid, err)
	}
	e := &explanation{
		Event: rec.Event.CID, Type: env.Type, Time: env.Time, Index: rec.Event.Index, Actor: env.Actor,
		Reasons: rec.Explanation, Disclosed: map[string]any{}, Facts: []verify.Fact{},
	}
	if err := canon.UnmarshalOpen(env.Body, &e.Body); err != nil {
		return nil, fmt.Errorf("event %s: body: %w", cid, err)
	}
	var decision struct {
		Verdict     string   `json:"verdict"`
		QualifiedBy []string `json:"qualified_by"`
	}
	if err := canon.UnmarshalOpen(env.Body, &decision); err == nil {
		e.Verdict, e.QualifiedBy = decision.Verdict, decision.QualifiedBy
	}
	for _, d := range rec.Disclosures {
		var v any
		if err := canon.UnmarshalOpen(d.Value, &v); err == nil {
			e.Disclosed[d.Name] = v
		}
	}
	receipt, err := c.Receipt(cmd.Context(), cid, true)
	if err != nil {
		return nil, fmt.Errorf("receipt of %s: %w", cid, err)
	}
	report, err := verify.Verify(cmd.Context(), receipt, verify.Trust{}, nil)
	switch {
	case err != nil:
		e.Note = "the receipt does not hold: " + err.Error()
	case report.CID != cid:
		e.Note = "the receipt is that of another event: " + report.CID
	case string(report.Artifact) != string(rec.Event.Artifact):
		e.Note = "the event and its receipt differ"
	default:
		e.Verified, e.Facts, e.Grade = true, report.Facts, report.Grade.String()
	}
	return e, nil
}

func (e *explanation) show(s *screen) {
	heading := e.Type
	if e.Verdict != "" {
		heading = s.verdict(e.Verdict, e.Verdict)
	}
	if act := e.act(); act != "" {
		heading += "  " + act
	}
	s.printf("%s\n", heading)
	s.fields("event", e.Event, "entry", fmt.Sprint(e.Index), "time", e.Time, "by", e.Actor["kind"]+" "+e.Actor["id"])
	if e.Verdict != "" {
		s.printf("\n%s\n", s.bold("Why"))
		if len(e.Reasons) == 0 {
			s.printf("  nothing stood against it\n")
		}
		s.fields(append(reasonsInWords(e.Reasons), "recorded because", strings.Join(e.QualifiedBy, ", "))...)
		if slices.Contains(e.QualifiedBy, "unknown_action") {
			s.printf("  The org's catalogue does not know this action, so it counts as one that cannot be\n  undone. A policy author can add it: writ catalogue put.\n")
		}
	} else {
		s.printf("\n%s\n", s.bold("What"))
		s.values(e.Body)
	}
	if args := e.payload("arguments"); args != nil {
		s.printf("\n%s\n", s.bold("Arguments"))
		if m, ok := args.(map[string]any); ok && len(m) > 0 {
			s.values(m)
		} else {
			s.printf("  none\n")
		}
	}
	s.printf("\n%s\n", s.bold("Whose word it is"))
	if !e.Verified {
		s.printf("  %s\n  Do not rely on this event.\n", printable(e.Note))
		return
	}
	for _, f := range e.Facts {
		text := f.Fact
		if f.Detail != "" {
			text += " (" + f.Detail + ")"
		}
		s.printf("  %-20s  %s\n", f.Source, printable(text))
	}
	s.printf("\n  The receipt holds; keys were taken from the receipt itself. writ verify --trust\n  checks it against keys of your own.\n")
}

// act is the action and resource of a decision, as far as they are disclosed.
func (e *explanation) act() string {
	action, _ := e.Body["action"].(string)
	resource, _ := e.Disclosed["resource"].(map[string]any)
	if resource == nil {
		resource, _ = e.payload("resource").(map[string]any)
	}
	verb, kind, _ := strings.Cut(action, ":")
	if id, ok := resource["id"].(string); ok {
		return printable(fmt.Sprintf("%s %s/%s", verb, kind, id))
	}
	return printable(action)
}

// payload is a member of the disclosed payload.
func (e *explanation) payload(name string) any {
	p, _ := e.Disclosed["payload"].(map[string]any)
	return p[name]
}

// values writes the members of an object, sorted by name.
func (s *screen) values(m map[string]any) {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	var pairs []string
	for _, name := range names {
		text, ok := m[name].(string)
		if !ok {
			raw, err := canon.Marshal(m[name])
			if err != nil {
				continue
			}
			text = string(raw)
		}
		pairs = append(pairs, name, text)
	}
	s.fields(pairs...)
}
