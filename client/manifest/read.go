package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/writ-registry/writ/client"
	"github.com/writ-registry/writ/internal/canon"
	"github.com/writ-registry/writ/registry/capability"
)

// reader turns YAML into a Manifest, strictly: of YAML 1.2 what JSON has, and no
// anchors, so that a file is as long as what it says.
type reader struct {
	m      *Manifest
	faults Faults
}

func (r *reader) fault(n *yaml.Node, path, format string, args ...any) {
	r.faults = append(r.faults, Fault{r.m.file, n.Line, n.Column, path, fmt.Sprintf(format, args...)})
}

var yamlLine = regexp.MustCompile(`^yaml: (?:line ([0-9]+): )?(.*)`)

func (r *reader) read(data []byte) {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc, more yaml.Node
	err := dec.Decode(&doc)
	if err == nil {
		if dec.Decode(&more) == nil {
			r.fault(&more, "", "a second document; a manifest is one")
			return
		}
		r.value(doc.Content[0], reflect.ValueOf(r.m).Elem(), "")
		return
	}
	f := Fault{File: r.m.file, Msg: err.Error()}
	if errors.Is(err, io.EOF) {
		f.Msg = "there is nothing in it"
	} else if at := yamlLine.FindStringSubmatch(err.Error()); at != nil {
		f.Line, _ = strconv.Atoi(at[1]) // "" is 0, not known
		f.Msg = at[2]
	}
	r.faults = Faults{f}
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// value reads a node into a value by its json tags.
func (r *reader) value(n *yaml.Node, v reflect.Value, path string) {
	r.m.at[path] = place{n.Line, n.Column}
	wants := func(ok bool, what string) bool {
		if !ok {
			r.fault(n, path, "must be %s, not %s", what, kindOf(n))
		}
		return ok
	}
	switch p := v.Addr().Interface().(type) {
	case *Policies:
		r.policies(n, p, path)
		return
	case *json.RawMessage:
		if wants(isMapping(n), "a mapping") {
			*p = r.object(n, path)
		}
		return
	}
	tag := n.ShortTag()
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		r.value(n, v.Elem(), path)
	case reflect.Struct:
		if wants(isMapping(n), "a mapping") {
			r.members(n, v, path)
		}
	case reflect.Slice:
		if !wants(isList(n), "a list ([] for none)") {
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content)))
		for i, item := range n.Content {
			r.value(item, v.Index(i), fmt.Sprintf("%s[%d]", path, i))
		}
	case reflect.String:
		if wants(n.Kind == yaml.ScalarNode && (tag == "!!str" || tag == "!!timestamp"), "text (in quotes where it looks like something else)") {
			v.SetString(n.Value)
		}
	case reflect.Bool:
		var b bool
		if wants(n.Kind == yaml.ScalarNode && tag == "!!bool" && n.Decode(&b) == nil, "true or false") {
			v.SetBool(b)
		}
	case reflect.Int, reflect.Int64:
		i, err := strconv.ParseInt(n.Value, 10, 64) // not 012 or 1_000, which YAML 1.1 and 1.2 read apart
		if wants(n.Kind == yaml.ScalarNode && tag == "!!int" && err == nil && jsonNumber.MatchString(n.Value), "a whole number") {
			v.SetInt(i)
		}
	default:
		panic("no reading of " + v.Type().String())
	}
	if len(r.faults) == 0 && v.Kind() != reflect.Pointer {
		r.checked(n, v, path)
	}
}

// pairs calls each for the members of a mapping; a key is text, and there once.
func (r *reader) pairs(n *yaml.Node, path string, each func(key, value *yaml.Node)) {
	seen := map[string]int{}
	for i := 0; i < len(n.Content); i += 2 {
		key := n.Content[i]
		switch at, twice := seen[key.Value]; {
		case key.Kind != yaml.ScalarNode || key.ShortTag() != "!!str" && key.ShortTag() != "!!timestamp":
			r.fault(key, path, "a key must be text, in quotes where it looks like something else")
		case twice:
			r.fault(key, join(path, key.Value), "is there twice; first on line %d", at)
		default:
			seen[key.Value] = key.Line
			each(key, n.Content[i+1])
		}
	}
}

func (r *reader) members(n *yaml.Node, v reflect.Value, path string) {
	fields := membersOf(v.Type())
	var seen []string
	r.pairs(n, path, func(key, value *yaml.Node) {
		seen = append(seen, key.Value)
		i := slices.IndexFunc(fields, func(f field) bool { return f.name == key.Value })
		if i < 0 {
			names := make([]string, len(fields))
			for i, f := range fields {
				names[i] = f.name
			}
			r.fault(key, join(path, key.Value), "is not known; there are %s", strings.Join(names, ", "))
			return
		}
		r.value(value, v.Field(fields[i].index), join(path, key.Value))
	})
	for _, f := range fields {
		if f.required && !slices.Contains(seen, f.name) {
			r.fault(n, path, "lacks %s", f.name)
		}
	}
}

// policies reads a text, or a mapping that names a file.
func (r *reader) policies(n *yaml.Node, p *Policies, path string) {
	switch {
	case n.Kind == yaml.ScalarNode && n.ShortTag() == "!!str":
		p.Text = n.Value
		if n.Style&yaml.LiteralStyle != 0 {
			r.m.at[path+"|"] = place{n.Line, n.Column}
		}
	case isMapping(n):
		r.members(n, reflect.ValueOf(p).Elem(), path)
		if len(r.faults) == 0 && p.File == "" {
			r.fault(n, path+".file", "must name a file")
		}
	default:
		r.fault(n, path, "must be text or a mapping with file, not %s", kindOf(n))
	}
}

// object is the canonical JSON of a mapping.
func (r *reader) object(n *yaml.Node, path string) json.RawMessage {
	before := len(r.faults)
	var b bytes.Buffer
	r.json(&b, n, path)
	if len(r.faults) > before {
		return nil
	}
	form, err := canon.Canonical(b.Bytes())
	if err != nil {
		r.fault(n, path, "%s", err)
	}
	return form
}

var jsonNumber = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$`)

func (r *reader) json(b *bytes.Buffer, n *yaml.Node, path string) {
	switch {
	case isMapping(n):
		b.WriteByte('{')
		first := true
		r.pairs(n, path, func(key, value *yaml.Node) {
			if !first {
				b.WriteByte(',')
			}
			first = false
			b.Write(canon.AppendString(nil, key.Value))
			b.WriteByte(':')
			r.json(b, value, join(path, key.Value))
		})
		b.WriteByte('}')
	case isList(n):
		b.WriteByte('[')
		for i, item := range n.Content {
			if i > 0 {
				b.WriteByte(',')
			}
			r.json(b, item, fmt.Sprintf("%s[%d]", path, i))
		}
		b.WriteByte(']')
	case n.Kind != yaml.ScalarNode:
		r.fault(n, path, "must be a JSON value, not %s", kindOf(n))
	default:
		r.scalar(b, n, path)
	}
}

func (r *reader) scalar(b *bytes.Buffer, n *yaml.Node, path string) {
	var yes bool
	switch tag := n.ShortTag(); {
	case tag == "!!str" || tag == "!!timestamp":
		b.Write(canon.AppendString(nil, n.Value))
	case tag == "!!null":
		b.WriteString("null")
	case tag == "!!bool" && n.Decode(&yes) == nil:
		b.WriteString(strconv.FormatBool(yes))
	case (tag == "!!int" || tag == "!!float") && jsonNumber.MatchString(n.Value):
		b.WriteString(n.Value)
	default:
		r.fault(n, path, "must be a JSON value, not %s", kindOf(n))
	}
}

// Neither is one where a tag says that it is something else.
func isMapping(n *yaml.Node) bool { return n.Kind == yaml.MappingNode && n.ShortTag() == "!!map" }

func isList(n *yaml.Node) bool { return n.Kind == yaml.SequenceNode && n.ShortTag() == "!!seq" }

func kindOf(n *yaml.Node) string {
	switch {
	case isMapping(n):
		return "a mapping"
	case isList(n):
		return "a list"
	case n.Kind == yaml.AliasNode:
		return "an alias: write out what it stands for"
	}
	switch n.ShortTag() {
	case "!!null":
		return "nothing"
	case "!!str":
		return "text"
	case "!!int", "!!float":
		return "the number " + n.Value
	case "!!bool":
		return n.Value
	}
	return n.ShortTag()
}

// field is a member of a struct in a manifest.
type field struct {
	name     string
	index    int
	required bool
}

// required are the members that a thing is nothing without.
var required = map[reflect.Type][]string{
	reflect.TypeFor[Manifest]():               {"writ"},
	reflect.TypeFor[client.CatalogueAction](): {"action", "reversibility"},
	reflect.TypeFor[client.Guess]():           {"reversibility"},
	reflect.TypeFor[client.StoredEntity]():    {"type", "id"},
	reflect.TypeFor[client.EntityRef]():       {"type", "id"},
	reflect.TypeFor[client.GrantTemplate]():   {"name", "capabilities"},
	reflect.TypeFor[client.ApprovalRule]():    {"quorum", "role", "lifetime"},
}

// membersOf are what a struct says in a manifest, by its json tags, but for times:
// those are the registry's.
func membersOf(t reflect.Type) (out []field) {
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if !f.IsExported() || name == "-" || f.Type == reflect.TypeFor[time.Time]() {
			continue
		}
		out = append(out, field{name, i, slices.Contains(required[t], name)})
	}
	return out
}

var word = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)

// checked refuses early what the registry would refuse after half of a manifest is
// applied. It need not know all: the registry does.
func (r *reader) checked(n *yaml.Node, v reflect.Value, path string) {
	text, number := "", int64(0)
	switch v.Kind() {
	case reflect.String:
		text = v.String()
	case reflect.Int, reflect.Int64:
		number = v.Int()
	default:
		return
	}
	must := func(ok bool, what string) {
		if !ok {
			r.fault(n, path, "must be %s", what)
		}
	}
	section, rest, _ := strings.Cut(path, "[")
	_, name, _ := strings.Cut(rest, "].")
	switch at := section + " " + name; {
	case path == "writ":
		must(number == Format, fmt.Sprintf("%d, the version of the format that this program reads", Format))
	case path == "org.name", at == "templates name":
		must(word.MatchString(text), "1 to 64 of [a-z0-9._-]")
	case name == "reversibility", name == "guess.reversibility":
		must(slices.Contains([]string{"reversible", "compensable", "irreversible"}, text), "reversible, compensable or irreversible")
	case at == "catalogue action":
		set, err := capability.Parse(text)
		must(err == nil && set.Len() == 1 && set.String() == text, "verb:type, such as read:invoices")
	case at == "templates capabilities":
		set, err := capability.Parse(text)
		if err != nil {
			r.fault(n, path, "%s", err)
		} else {
			v.SetString(set.String()) // as the registry keeps it
		}
	case at == "templates authority_level", at == "catalogue min_level":
		must(number >= 0 && number <= 4, "0 to 4")
	case at == "templates delegation":
		must(number >= 0 && number <= capability.MaxDepth, fmt.Sprintf("0 to %d", capability.MaxDepth))
	case at == "approval_rules quorum":
		must(number >= 1 && number <= 10, "1 to 10")
	case at == "approval_rules lifetime":
		must(number >= 1 && number <= 86400, "1 to 86400 seconds")
	case v.Kind() != reflect.String:
		must(number >= 0, "0 or more")
	case at == "entities type", at == "entities id":
		must(text != "", "a name")
	}
}

// check refuses names that are there twice.
func (r *reader) check() {
	seen := map[string]string{}
	once := func(path, name string) {
		section, _, _ := strings.Cut(path, "[")
		key := section + " " + name
		if at, twice := seen[key]; twice {
			r.faults = append(r.faults, r.m.fault(path, "%s is there twice; first on line %d", name, r.m.at[at].line))
			return
		}
		seen[key] = path
	}
	for i, a := range r.m.Catalogue {
		once(fmt.Sprintf("catalogue[%d]", i), a.Action)
	}
	for i := range r.m.Templates {
		t := &r.m.Templates[i]
		if len(t.Budgets) == 0 {
			continue
		}
		budgets, err := capability.ParseBudgets(t.Budgets)
		if err != nil {
			r.faults = append(r.faults, r.m.fault(fmt.Sprintf("templates[%d].budgets", i), "%s", err))
		}
		t.Budgets = budgets.Texts() // as the registry keeps them
	}
	for i := range r.m.Entities {
		e := &r.m.Entities[i]
		if len(e.Properties) == 0 {
			e.Properties = json.RawMessage("{}")
		}
		once(fmt.Sprintf("entities[%d]", i), nameOf(*e))
	}
	for i, t := range r.m.Templates {
		once(fmt.Sprintf("templates[%d]", i), t.Name)
	}
}

func nameOf(e client.StoredEntity) string { return e.Type + "::" + strconv.Quote(e.ID) }
