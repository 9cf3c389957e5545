// Package manifest brings an org to a state that a file describes, by ordinary calls
// of the REST API with the caller's own credential, and writes that file of an org as
// it is. The format is docs/manifest.md.
package manifest

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/writ-registry/writ/client"
)

// Format is the version of the format, the member writ of every manifest.
const Format = 1

// Manifest is what an org is to be. A nil section is not governed: it stays as it is.
// An empty one that is not nil says that there is to be nothing of its kind.
type Manifest struct {
	Format    int                      `json:"writ"`
	Org       *Org                     `json:"org,omitempty"`
	Catalogue []client.CatalogueAction `json:"catalogue,omitempty"`
	Entities  []client.StoredEntity    `json:"entities,omitempty"`
	Policies  *Policies                `json:"policies,omitempty"`
	Templates []client.GrantTemplate   `json:"templates,omitempty"`
	Rules     []client.ApprovalRule    `json:"approval_rules,omitempty"`

	file  string
	lines []string         // of the file, for places in a text within it
	at    map[string]place // of each member, by its path
}

// Org is the org itself. Without a name it is the caller's.
type Org struct {
	Name        string            `json:"name,omitempty"`
	DisplayName string            `json:"display_name,omitempty"`
	Policy      *client.OrgPolicy `json:"policy,omitempty"`
}

// Policies are an org's Cedar policies: a text, or the name of a file with it.
type Policies struct {
	Text string `json:"-"`
	File string `json:"file"` // relative to the manifest; "" = the text stands in it
}

// place is where something stands in a file; both count from 1.
type place struct{ line, column int }

// Fault is one thing that is wrong with a manifest.
type Fault struct {
	File   string `json:"file"`
	Line   int    `json:"line,omitempty"` // from 1; 0 = not known
	Column int    `json:"column,omitempty"`
	Path   string `json:"path,omitempty"` // such as catalogue[2].reversibility
	Msg    string `json:"message"`
}

func (f Fault) String() string {
	s := f.File + ":"
	if f.Line > 0 {
		s += fmt.Sprintf("%d:", f.Line)
	}
	if f.Column > 0 {
		s += fmt.Sprintf("%d:", f.Column)
	}
	if f.Path != "" {
		s += " " + f.Path + ":"
	}
	return s + " " + f.Msg
}

// Faults are what is wrong with a manifest, in the order of the file, 20 at most.
type Faults []Fault

func (fs Faults) Error() string {
	lines := make([]string, len(fs))
	for i, f := range fs {
		lines[i] = f.String()
	}
	return strings.Join(lines, "\n")
}

const (
	maxFaults = 20
	maxFile   = 16 << 20
)

// Load reads a manifest, of stdin where the name is -, with the file of its policies
// if it names one. An error about what it says is Faults.
func Load(name string, stdin io.Reader) (*Manifest, error) {
	dir, in := "", stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		dir, in = filepath.Dir(name), f
	}
	data, err := io.ReadAll(io.LimitReader(in, maxFile+1))
	if err != nil {
		return nil, err
	}
	m, err := Parse(name, data)
	if err != nil || m.Policies == nil || m.Policies.File == "" {
		return m, err
	}
	path := m.Policies.File
	if !filepath.IsAbs(path) {
		path = filepath.Join(dir, path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, Faults{m.fault("policies.file", "%s", err)}
	}
	m.Policies.Text, m.Policies.File = string(text), path
	return m, nil
}

// Parse reads a manifest that is called name. Files that it names are not read.
func Parse(name string, data []byte) (*Manifest, error) {
	m := &Manifest{file: name, at: map[string]place{}}
	if len(data) > maxFile {
		return nil, Faults{{File: name, Msg: fmt.Sprintf("longer than %d bytes", maxFile)}}
	}
	m.lines = strings.Split(string(data), "\n")
	r := &reader{m: m}
	r.read(data)
	if len(r.faults) == 0 {
		r.check()
	}
	if len(r.faults) > 0 {
		slices.SortStableFunc(r.faults, func(a, b Fault) int { return cmp.Or(a.Line-b.Line, a.Column-b.Column) })
		return nil, r.faults[:min(len(r.faults), maxFaults)]
	}
	return m, nil
}

// fault is one at a path, or at the nearest above it that the file has.
func (m *Manifest) fault(path, format string, args ...any) Fault {
	at := path
	for {
		if p, ok := m.at[at]; ok || at == "" {
			return Fault{m.file, p.line, p.column, path, fmt.Sprintf(format, args...)}
		}
		at = at[:max(0, strings.LastIndexAny(at, ".["))]
	}
}

// textFault is a fault at a place in the text of the policies, which stands in a file
// of its own or in a block of the manifest.
func (m *Manifest) textFault(line, column int, msg string) Fault {
	p := m.at["policies"]
	switch {
	case m.Policies.File != "":
		return Fault{File: m.Policies.File, Line: line, Column: column, Msg: msg}
	case m.at["policies|"].line == 0: // no block: its lines are not those of the file
		return Fault{m.file, p.line, p.column, "policies", fmt.Sprintf("line %d, column %d: %s", line, column, msg)}
	}
	indent := 0
	for _, l := range m.lines[p.line:] {
		if text := strings.TrimLeft(l, " "); strings.TrimSpace(text) != "" {
			indent = len(l) - len(text)
			break
		}
	}
	return Fault{m.file, p.line + line, indent + column, "policies", msg}
}
