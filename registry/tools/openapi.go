package tools

import (
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/writ-registry/writ/internal/canon"
)

// verbs are the verbs of HTTP methods.
var verbs = map[string]string{
	"get": "read", "head": "read", "query": "read", "post": "create", "put": "update", "patch": "update", "delete": "delete",
}

// FromOpenAPI proposes entries for the operations of an OpenAPI 3 document, as
// YAML or JSON. The verb is the method's (read, create, update, delete), the type
// the last segment of the path that is no parameter. Proposals are sorted by
// action. Errors: *Error.
func FromOpenAPI(data []byte) ([]Proposal, error) {
	if len(data) > MaxDescription {
		return nil, errorf("", "is longer than %d bytes", MaxDescription)
	}
	var doc struct {
		OpenAPI string `yaml:"openapi"`
		Servers []struct {
			URL string `yaml:"url"`
		} `yaml:"servers"`
		Paths map[string]map[string]any `yaml:"paths"`
	}
	if err := yaml.Unmarshal(data, &doc); err != nil {
		return nil, errorf("", "is no OpenAPI document: %s", err)
	}
	if !strings.HasPrefix(doc.OpenAPI, "3.") {
		return nil, errorf("", "openapi is %q; versions 3.x are read", doc.OpenAPI)
	}
	outside := false
	for _, s := range doc.Servers {
		outside = outside || strings.Contains(s.URL, "://")
	}
	var out []Proposal
	for _, path := range slices.Sorted(maps.Keys(doc.Paths)) {
		for _, method := range slices.Sorted(maps.Keys(doc.Paths[path])) {
			verb, ok := verbs[strings.ToLower(method)]
			if !ok {
				continue // parameters, summary, extensions; options and trace do nothing
			}
			at := strings.ToUpper(method) + " " + path
			raw, err := asJSON(map[string]any{"path": path, "method": method, "operation": doc.Paths[path][method], "parameters": doc.Paths[path]["parameters"]})
			if err != nil {
				return nil, errorf(at, "%s", err)
			}
			form, err := canon.Canonical(raw)
			if err != nil {
				return nil, errorf(at, "%s", err)
			}
			typ := pathType(path)
			out = append(out, Proposal{Action: verb + ":" + typ, Tool: at, Pin: canon.Digest(form), Guess: guessOpenAPI(doc.Paths, path, verb, typ, outside)})
		}
	}
	switch {
	case len(out) == 0:
		return nil, errorf("", "has no operations")
	case len(out) > MaxTools:
		return nil, errorf("", "has more than %d operations", MaxTools)
	}
	return merged(out)
}

// pathType is the last segment that is no parameter.
func pathType(path string) string {
	segments := strings.Split(path, "/")
	for _, s := range slices.Backward(segments) {
		if s != "" && !strings.HasPrefix(s, "{") {
			return name(s)
		}
	}
	return "root"
}

func guessOpenAPI(paths map[string]map[string]any, path, verb, typ string, outside bool) Guess {
	g := Guess{Reversibility: "irreversible", Egress: outside, Material: true, Why: "nothing says that it can be undone"}
	switch verb {
	case "read":
		g.Reversibility, g.Material, g.Why = "reversible", false, "it is a safe method (RFC 9110, section 9.2.1)"
	case "create":
		for other, item := range paths {
			if _, deletes := item["delete"]; deletes && strings.HasPrefix(other, strings.TrimSuffix(path, "/")+"/{") && pathType(other) == typ {
				g.Reversibility, g.CompensatedBy, g.Why = "compensable", "delete:"+typ, "what it creates can be deleted"
			}
		}
	}
	return g
}
