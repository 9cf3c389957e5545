package manifest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/writ-registry/writ/client"
	"github.com/writ-registry/writ/internal/canon"
	"github.com/writ-registry/writ/registry/cedar"
)

// What is done to a thing.
const (
	Create   = "create"
	Update   = "change"
	Delete   = "delete"
	Activate = "activate" // what another human drafted or proposed
	Wait     = "wait"     // for another human: the caller did all that one may
)

// Change is what becomes of one thing.
type Change struct {
	Op     string  `json:"op"`
	Kind   string  `json:"kind"` // org, policy of the org, action, entity, policies, template, approval rules
	Name   string  `json:"name"`
	Fields []Field `json:"fields,omitempty"` // of Update
	Note   string  `json:"note,omitempty"`   // who drafted or proposed it, or that it waits
	Done   bool    `json:"done"`
}

// Field is a member that becomes another; "" is none. Of policies it is a line.
type Field struct {
	Path string `json:"path"`
	Old  string `json:"old,omitempty"` // JSON
	New  string `json:"new,omitempty"`
}

// Plan is how an org comes to what a manifest says.
type Plan struct {
	Org       string   `json:"org"` // name
	Changes   []Change `json:"changes"`
	Unchanged int      `json:"unchanged"`
	Kept      int      `json:"kept"` // there, not in the manifest, and not pruned

	id    string // or name, where the org is to be created
	steps []step
}

// step is what is done by one call of the API, or two.
type step struct {
	what     string
	from, to int // its changes
	do       func(context.Context, *client.Client) error
}

// Waiting is how many changes wait for another human, before a call or after it.
func (p *Plan) Waiting() (n int) {
	for _, c := range p.Changes {
		if c.Note != "" && c.Op != Activate {
			n++
		}
	}
	return n
}

// Compare says what is to be done that s becomes m; prune: what a section of m does
// not name is deleted. An error about what m says is Faults.
func Compare(m *Manifest, s *State, prune bool) (*Plan, error) {
	c := &comparison{m: m, s: s, prune: prune, p: &Plan{Changes: []Change{}}}
	for _, section := range []func() error{
		c.org, c.catalogue, c.entities, c.policies, c.templates, c.rules, c.leftEntities,
	} {
		if err := section(); err != nil {
			return nil, err
		}
	}
	return c.p, nil
}

type comparison struct {
	m     *Manifest
	s     *State
	prune bool
	p     *Plan

	actions, types map[string]bool // that there will be
	gone           []client.StoredEntity
}

// add plans a call and the changes that it makes.
func (c *comparison) add(what string, changes []Change, do func(context.Context, *client.Client) error) {
	from := len(c.p.Changes)
	c.p.Changes = append(c.p.Changes, changes...)
	if do != nil {
		c.p.steps = append(c.p.steps, step{what, from, len(c.p.Changes), do})
	}
}

func (c *comparison) org() error {
	want := c.m.Org
	if want == nil {
		want = &Org{}
	}
	now := client.OrgPolicy{}
	if c.s.Org == nil {
		if !slices.Contains(c.s.Me.Roles, "operator") {
			return Faults{c.m.fault("org.name", "there is no such org, or it is not yours; only an operator creates one")}
		}
		c.p.Org, c.p.id = want.Name, want.Name
		c.add("create org", []Change{{Op: Create, Kind: "org", Name: want.Name}}, func(ctx context.Context, api *client.Client) error {
			_, err := api.CreateOrg(ctx, client.NewOrg{Name: want.Name, DisplayName: want.DisplayName})
			return err
		})
	} else {
		c.p.Org, c.p.id, now = c.s.Org.Name, c.s.Org.ID, c.s.Org.Policy
		if want.DisplayName != "" && want.DisplayName != c.s.Org.DisplayName {
			return Faults{c.m.fault("org.display_name", "the org is called %q, and no operation changes that", c.s.Org.DisplayName)}
		}
		if c.m.Org != nil {
			c.p.Unchanged++
		}
	}
	if want.Policy == nil {
		return nil
	}
	if fields := differ(now, *want.Policy); len(fields) == 0 {
		c.p.Unchanged++
	} else {
		c.add("set the policy of the org", []Change{{Op: Update, Kind: "policy of the org", Name: c.p.Org, Fields: fields}}, func(ctx context.Context, api *client.Client) error {
			_, err := api.SetOrgPolicy(ctx, c.p.id, *want.Policy)
			return err
		})
	}
	return nil
}

// compare puts things side by side by their names: what is to be put, and what is not
// named any more, in the order of the lists.
func compare[T any](c *comparison, kind string, have, want []T, name func(T) string) (puts []T, changes []Change, left []T) {
	old := make(map[string]T, len(have))
	for _, x := range have {
		old[name(x)] = x
	}
	for _, x := range want {
		was, known := old[name(x)]
		delete(old, name(x))
		fields := differ(was, x)
		switch {
		case known && len(fields) == 0:
			c.p.Unchanged++
			continue
		case known:
			changes = append(changes, Change{Op: Update, Kind: kind, Name: name(x), Fields: fields})
		default:
			changes = append(changes, Change{Op: Create, Kind: kind, Name: name(x)})
		}
		puts = append(puts, x)
	}
	for _, x := range have {
		if _, ok := old[name(x)]; ok {
			left = append(left, x)
		}
	}
	if !c.prune {
		c.p.Kept += len(left)
		return puts, changes, nil
	}
	return puts, changes, left
}

func deleted[T any](kind string, left []T, name func(T) string) []Change {
	out := make([]Change, len(left))
	for i, x := range left {
		out[i] = Change{Op: Delete, Kind: kind, Name: name(x)}
	}
	return out
}

func (c *comparison) catalogue() error {
	c.actions = map[string]bool{}
	for _, a := range c.s.Catalogue.Actions {
		c.actions[a.Action] = true
	}
	if c.m.Catalogue == nil {
		return nil
	}
	name := func(a client.CatalogueAction) string { return a.Action }
	puts, changes, left := compare(c, "action", c.s.Catalogue.Actions, c.m.Catalogue, name)
	changes = append(changes, deleted("action", left, name)...)
	next := maps.Collect(func(yield func(string, client.CatalogueAction) bool) {
		for _, a := range append(slices.Clone(c.s.Catalogue.Actions), puts...) {
			if !yield(a.Action, a) {
				return
			}
		}
	})
	for _, a := range left {
		delete(next, a.Action)
		delete(c.actions, a.Action)
	}
	var all []client.CatalogueAction
	for _, action := range slices.Sorted(maps.Keys(next)) {
		all = append(all, next[action])
		c.actions[action] = true
	}
	if len(changes) > 0 {
		c.add("activate the catalogue", changes, func(ctx context.Context, api *client.Client) error {
			_, err := api.ReplaceCatalogue(ctx, c.p.id, all, c.s.Catalogue.Digest)
			return err
		})
	}
	return nil
}

// maxBatch is after how many bytes of entities a call ends: a body is 1 MiB at most, an
// entity some 20 KiB.
const maxBatch = 768 << 10

func (c *comparison) entities() error {
	c.types = map[string]bool{}
	for _, e := range c.s.Entities {
		c.types[e.Type] = true
	}
	if c.m.Entities == nil {
		return nil
	}
	puts, changes, left := compare(c, "entity", c.s.Entities, c.m.Entities, nameOf)
	c.gone = left
	for _, e := range puts {
		c.types[e.Type] = true // those of c.gone are there until the policies hold
	}
	for len(puts) > 0 {
		n, size := 0, 0
		for n < min(len(puts), client.MaxEntities) && (n == 0 || size < maxBatch) {
			form, err := canon.Marshal(puts[n])
			if err != nil {
				return err
			}
			n, size = n+1, size+len(form)
		}
		batch := puts[:n]
		c.add(fmt.Sprintf("put %d entities", n), changes[:n], func(ctx context.Context, api *client.Client) error {
			_, err := api.PutEntities(ctx, c.p.id, batch)
			return err
		})
		puts, changes = puts[n:], changes[n:]
	}
	return nil
}

// leftEntities come last: what is known stays known until the new policies hold.
func (c *comparison) leftEntities() error {
	for _, e := range c.gone {
		c.add("delete an entity", deleted("entity", []client.StoredEntity{e}, nameOf), func(ctx context.Context, api *client.Client) error {
			_, err := api.DeleteEntity(ctx, c.p.id, e.Type, e.ID)
			return err
		})
	}
	return nil
}

func (c *comparison) policies() error {
	if c.m.Policies == nil {
		return nil
	}
	text, was := c.m.Policies.Text, c.s.Active
	switch {
	case text == was.Text:
		c.p.Unchanged++
		return nil
	case text == "" && !c.prune:
		c.p.Kept++
		return nil
	}
	set, err := cedar.Compile(text, cedar.Schema{Actions: slices.Sorted(maps.Keys(c.actions)), Types: slices.Sorted(maps.Keys(c.types))})
	var faults cedar.Faults
	if errors.As(err, &faults) {
		out := make(Faults, len(faults))
		for i, f := range faults {
			msg := f.Msg
			if f.Policy != "" {
				msg = f.Policy + ": " + msg
			}
			out[i] = c.m.textFault(f.Line, f.Column, msg)
		}
		return out
	}
	if err != nil {
		return err
	}
	separate := c.s.Org != nil && c.s.Org.Policy.SeparateDuties
	if c.m.Org != nil && c.m.Org.Policy != nil {
		separate = c.m.Org.Policy.SeparateDuties
	}
	ch := Change{Op: Update, Kind: "policies", Name: fmt.Sprintf("%d policies", set.Len()), Fields: differentLines(was.Text, text)}
	switch {
	case was.Version == 0:
		ch.Op, ch.Fields = Create, nil
	case text == "":
		ch.Op, ch.Fields = Delete, nil
	}
	draft := c.s.Draft
	activate := func(ctx context.Context, api *client.Client, version int64) error {
		_, err := api.ActivatePolicies(ctx, c.p.id, version)
		return err
	}
	if draft.Version > 0 && draft.Text == text {
		ch.Name = "version " + strconv.FormatInt(draft.Version, 10)
		if separate && draft.Author == c.s.Me.ID {
			ch.Op, ch.Note = Wait, "the org separates duties: another than you activates the version"
			c.add("", []Change{ch}, nil)
			return nil
		}
		ch.Op, ch.Note = Activate, "drafted by "+draft.Author
		c.add("activate the policies", []Change{ch}, func(ctx context.Context, api *client.Client) error { return activate(ctx, api, draft.Version) })
		return nil
	}
	if separate {
		ch.Note = "a draft; the org separates duties: another than you activates it, by applying the same"
	}
	c.add("draft and activate the policies", []Change{ch}, func(ctx context.Context, api *client.Client) error {
		drafted, err := api.DraftPolicies(ctx, c.p.id, text)
		if err != nil || separate {
			return err
		}
		return activate(ctx, api, drafted.Value.Version)
	})
	return nil
}

func (c *comparison) templates() error {
	if c.m.Templates == nil {
		return nil
	}
	name := func(t client.GrantTemplate) string { return t.Name }
	puts, changes, left := compare(c, "template", c.s.Templates, c.m.Templates, name)
	for i, t := range puts {
		c.add("put a template", changes[i:i+1], func(ctx context.Context, api *client.Client) error {
			_, err := api.PutGrantTemplate(ctx, c.p.id, t)
			return err
		})
	}
	for _, t := range left {
		c.add("delete a template", deleted("template", []client.GrantTemplate{t}, name), func(ctx context.Context, api *client.Client) error {
			_, err := api.DeleteGrantTemplate(ctx, c.p.id, t.Name)
			return err
		})
	}
	return nil
}

// rules are one list, of which the first that matches holds: it is replaced whole.
func (c *comparison) rules() error {
	if c.m.Rules == nil {
		return nil
	}
	want, fields := c.m.Rules, differ(c.s.Rules.Rules, c.m.Rules)
	switch {
	case len(fields) == 0:
		c.p.Unchanged++
		return nil
	case len(want) == 0 && !c.prune:
		c.p.Kept++
		return nil
	}
	ch := Change{Op: Update, Kind: "approval rules", Name: fmt.Sprintf("%d rules", len(want)), Fields: fields}
	switch {
	case len(c.s.Rules.Rules) == 0:
		ch.Op, ch.Fields = Create, nil
	case len(want) == 0:
		ch.Op, ch.Fields = Delete, nil
	}
	proposed := c.s.Rules.Proposed
	switch {
	case proposed == nil || len(differ(proposed.Rules, want)) > 0:
		ch.Note = "proposed; another than you activates them, by applying the same"
		c.add("propose the approval rules", []Change{ch}, func(ctx context.Context, api *client.Client) error {
			_, err := api.ProposeApprovalRules(ctx, c.p.id, want)
			return err
		})
	case proposed.By == c.s.Me.ID:
		ch.Op, ch.Note = Wait, "you proposed them: another activates them"
		c.add("", []Change{ch}, nil)
	default:
		ch.Op, ch.Note = Activate, "proposed by "+proposed.By
		c.add("activate the approval rules", []Change{ch}, func(ctx context.Context, api *client.Client) error {
			_, err := api.ActivateApprovalRules(ctx, c.p.id, proposed.Digest)
			return err
		})
	}
	return nil
}

// Apply does the steps in their order, marks their changes as done, and stops at the
// first that is refused. each is called after every one that was not.
func (p *Plan) Apply(ctx context.Context, c *client.Client, each func(what string)) error {
	for _, s := range p.steps {
		if err := s.do(ctx, c); err != nil {
			return fmt.Errorf("%s: %w", s.what, err)
		}
		for i := s.from; i < s.to; i++ {
			p.Changes[i].Done = true
		}
		each(s.what)
	}
	return nil
}

// differ lists the members in which two values of a type differ, but for times: those
// are the registry's.
func differ[T any](old, new T) []Field {
	var out []Field
	fields("", plainJSON(old), plainJSON(new), &out)
	return out
}

// plainJSON is a value as a manifest has it.
func plainJSON(v any) any {
	var raw bytes.Buffer
	form, err := canon.Marshal(v)
	if err != nil {
		panic(err) // it came as JSON
	}
	raw.Write(form)
	dec := json.NewDecoder(&raw)
	dec.UseNumber()
	var out any
	if err := dec.Decode(&out); err != nil {
		panic(err)
	}
	return out
}

func fields(path string, old, new any, out *[]Field) {
	a, aIs := old.(map[string]any)
	b, bIs := new.(map[string]any)
	if aIs && bIs {
		for _, name := range slices.Sorted(maps.Keys(union(a, b))) {
			if path != "" || name != "updated" {
				fields(join(path, name), a[name], b[name], out)
			}
		}
		return
	}
	x, y := asText(old), asText(new)
	if list, ok := old.([]any); ok {
		other, _ := new.([]any)
		if objects(list) && objects(other) {
			for i := range max(len(list), len(other)) {
				fields(fmt.Sprintf("%s[%d]", path, i), item(list, i), item(other, i), out)
			}
			return
		}
	}
	if x != y {
		*out = append(*out, Field{path, x, y})
	}
}

func item(list []any, i int) any {
	if i < len(list) {
		return list[i]
	}
	return nil
}

func objects(list []any) bool {
	return !slices.ContainsFunc(list, func(v any) bool { _, ok := v.(map[string]any); return !ok })
}

func union(a, b map[string]any) map[string]any {
	out := maps.Clone(a)
	maps.Copy(out, b)
	return out
}

// asText is a value as JSON; nothing, and a list of nothing, is "".
func asText(v any) string {
	if list, ok := v.([]any); v == nil || ok && len(list) == 0 {
		return ""
	}
	form, err := canon.Marshal(v)
	if err != nil {
		panic(err) // it came as JSON
	}
	return string(form)
}

// differentLines is what lies between the lines that two texts begin and end with.
func differentLines(old, new string) (out []Field) {
	a, b := strings.Split(old, "\n"), strings.Split(new, "\n")
	from := 0
	for from < min(len(a), len(b)) && a[from] == b[from] {
		from++
	}
	for len(a) > from && len(b) > from && a[len(a)-1] == b[len(b)-1] {
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	for i, line := range a[from:] {
		out = append(out, Field{Path: strconv.Itoa(from + i + 1), Old: line})
	}
	for i, line := range b[from:] {
		out = append(out, Field{Path: strconv.Itoa(from + i + 1), New: line})
	}
	return out
}
