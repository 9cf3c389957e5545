package manifest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"
)

// Write writes a manifest that Load reads as the same.
func (m *Manifest) Write(w io.Writer) error {
	root := node(reflect.ValueOf(m).Elem())
	for i := range len(root.Content) / 2 {
		if i > 0 {
			root.Content[2*i].HeadComment = "\n" // an empty line before each section
		}
	}
	var out bytes.Buffer
	enc := yaml.NewEncoder(&out)
	enc.SetIndent(2)
	if err := enc.Encode(root); err != nil {
		return fmt.Errorf("write manifest: %w", err)
	}
	if err := enc.Close(); err != nil {
		return fmt.Errorf("write manifest: %w", err)
	}
	_, err := w.Write(out.Bytes())
	return err
}

// WriteJSON writes the same as JSON, which is YAML, too.
func (m *Manifest) WriteJSON(w io.Writer) error {
	r := &reader{m: &Manifest{}}
	var out bytes.Buffer
	r.json(&out, node(reflect.ValueOf(m).Elem()), "")
	if len(r.faults) > 0 {
		return r.faults
	}
	out.WriteByte('\n')
	_, err := io.WriteString(w, escapeBreaks(out.String()))
	return err
}

// escapeBreaks escapes what JSON lets stand in a string and YAML takes for the end of
// a line, or not at all (YAML 1.2, section 5.1). Outside of strings there is none.
func escapeBreaks(text string) string {
	var out strings.Builder
	for _, r := range text {
		switch {
		case r >= 0x7f && r < 0xa0, r == '\u2028', r == '\u2029', r == '\ufeff', r == '\ufffe', r == '\uffff':
			fmt.Fprintf(&out, `\u%04x`, r)
		default:
			out.WriteRune(r)
		}
	}
	return out.String()
}

// node is a value as YAML: members in the order of the type, those that are empty left
// out, an empty list that is not nil as [].
func node(v reflect.Value) *yaml.Node {
	switch x := v.Interface().(type) {
	case Policies:
		return text(x.Text)
	case json.RawMessage:
		return object(x)
	}
	switch v.Kind() {
	case reflect.Pointer:
		return node(v.Elem())
	case reflect.Struct:
		out := &yaml.Node{Kind: yaml.MappingNode}
		for _, f := range membersOf(v.Type()) {
			if member := v.Field(f.index); f.required || !member.IsZero() {
				out.Content = append(out.Content, text(f.name), node(member))
			}
		}
		if len(out.Content) == 0 {
			out.Style = yaml.FlowStyle
		}
		return out
	case reflect.Slice:
		out := &yaml.Node{Kind: yaml.SequenceNode}
		for i := range v.Len() {
			out.Content = append(out.Content, node(v.Index(i)))
		}
		if v.Len() == 0 {
			out.Style = yaml.FlowStyle
		}
		return out
	case reflect.String:
		return text(v.String())
	}
	return plain(v.Interface())
}

// plain is a number or truth.
func plain(v any) *yaml.Node {
	n := &yaml.Node{}
	if err := n.Encode(v); err != nil {
		panic(err) // it has a form
	}
	return n
}

// text is a string: a block where it has lines that a block keeps as they are.
func text(s string) *yaml.Node {
	n := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s}
	odd := strings.ContainsFunc(s, func(r rune) bool {
		return r != '\n' && r != '\t' && !unicode.IsGraphic(r) || r == '\uFEFF' || r == unicode.ReplacementChar
	})
	switch {
	case odd, strings.HasPrefix(s, " "), strings.HasPrefix(s, "\n"), strings.HasPrefix(s, "\t"), strings.TrimSpace(s) == "":
		n.Style = yaml.DoubleQuotedStyle
	case strings.Contains(s, "\n"):
		n.Style = yaml.LiteralStyle
	}
	return n
}

// object is JSON as YAML, in the order of its canonical form.
func object(raw json.RawMessage) *yaml.Node {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var v any
	if dec.Decode(&v) != nil {
		v = map[string]any{} // none
	}
	return jsonNode(v)
}

func jsonNode(v any) *yaml.Node {
	switch v := v.(type) {
	case map[string]any:
		n := &yaml.Node{Kind: yaml.MappingNode, Style: yaml.FlowStyle}
		for _, name := range slices.Sorted(maps.Keys(v)) {
			n.Content = append(n.Content, text(name), jsonNode(v[name]))
		}
		return n
	case []any:
		n := &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
		for _, item := range v {
			n.Content = append(n.Content, jsonNode(item))
		}
		return n
	case string:
		n := text(v)
		n.Style &^= yaml.LiteralStyle // not within {}
		if strings.Contains(v, "\n") {
			n.Style = yaml.DoubleQuotedStyle
		}
		return n
	case json.Number:
		return &yaml.Node{Kind: yaml.ScalarNode, Value: v.String()}
	}
	return plain(v)
}
