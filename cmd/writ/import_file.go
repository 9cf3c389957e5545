package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/writ-registry/writ/client"
	"github.com/writ-registry/writ/internal/canon"
)

// importedAgent is one agent of a file: a member of JSON, or a row of CSV by the
// same names, with lists separated by spaces or semicolons.
type importedAgent struct {
	Name           string             `json:"name"`
	Purpose        string             `json:"purpose,omitempty"`
	Role           string             `json:"role,omitempty"`
	Domains        []string           `json:"domains,omitempty"`
	Workflows      []string           `json:"workflows,omitempty"`
	AuthorityLevel int                `json:"authority_level,omitempty"`
	Sponsor        string             `json:"sponsor,omitempty"`
	Composition    []client.Component `json:"composition,omitempty"`
	Grant          string             `json:"grant,omitempty"`    // capabilities
	Audience       []string           `json:"audience,omitempty"` // of the grant
}

// maxImport bounds a file, in bytes.
const maxImport = 256 << 20

// readImport reads CSV, JSON, or the configuration of an MCP client, by what the
// file holds. No two of its agents have one name: it names their files.
func readImport(data []byte) (agents []importedAgent, err error) {
	trimmed := bytes.TrimSpace(data)
	switch {
	case len(trimmed) == 0:
		err = errors.New("it is empty")
	case trimmed[0] == '[':
		err = canon.Unmarshal(trimmed, &agents)
	case trimmed[0] == '{':
		agents, err = readImportObject(trimmed)
	default:
		agents, err = readImportCSV(data)
	}
	if err != nil {
		return nil, err
	}
	seen := map[string]int{}
	for i, a := range agents {
		if a.Name == "" || a.Name != slug(a.Name) {
			return nil, fmt.Errorf("agent %d: name %q: want 1 to 64 of [a-z0-9._-], beginning with a letter or digit", i+1, a.Name)
		}
		if first, twice := seen[a.Name]; twice {
			return nil, fmt.Errorf("agents %d and %d are both named %s", first+1, i+1, a.Name)
		}
		seen[a.Name] = i
	}
	return agents, nil
}

// mcpServer is what starts or reaches a server of the Model Context Protocol, as
// clients keep it. Its environment and headers hold secrets, and are not read.
type mcpServer struct {
	Type    string   `json:"type,omitempty"`
	Command string   `json:"command,omitempty"`
	Args    []string `json:"args,omitempty"`
	URL     string   `json:"url,omitempty"`
}

// readImportObject reads {"agents": [...]}, {"mcpServers": {...}} as Claude desktop
// and others have it, or {"servers": {...}} (also below "mcp") as VS Code has it.
func readImportObject(data []byte) ([]importedAgent, error) {
	var file struct {
		Agents     []json.RawMessage    `json:"agents"`
		MCPServers map[string]mcpServer `json:"mcpServers"`
		Servers    map[string]mcpServer `json:"servers"`
		MCP        struct {
			Servers map[string]mcpServer `json:"servers"`
		} `json:"mcp"`
	}
	if err := canon.UnmarshalOpen(data, &file); err != nil {
		return nil, err
	}
	if file.Agents != nil {
		var strict struct {
			Agents []importedAgent `json:"agents"`
		}
		err := canon.Unmarshal(data, &strict)
		return strict.Agents, err
	}
	for _, servers := range []map[string]mcpServer{file.MCPServers, file.Servers, file.MCP.Servers} {
		if servers != nil {
			return fromMCP(servers)
		}
	}
	return nil, errors.New("it holds neither agents nor mcpServers nor servers")
}

// fromMCP makes one agent of each server. Its tools are known by what starts the
// server: the SHA-256 of the canonical JSON (RFC 8785) of command and args, or of
// the URL. That is nobody's word but the file's, so the source is self.
func fromMCP(servers map[string]mcpServer) (agents []importedAgent, err error) {
	for _, name := range slices.Sorted(maps.Keys(servers)) {
		s := servers[name]
		if (s.Command == "") == (s.URL == "") {
			return nil, fmt.Errorf("server %q: want a command or a url", name)
		}
		what := any(map[string]any{"command": s.Command, "args": append([]string{}, s.Args...)})
		if s.URL != "" {
			what = map[string]any{"url": s.URL}
		}
		form, err := canon.Marshal(what)
		if err != nil {
			return nil, fmt.Errorf("server %q: %w", name, err)
		}
		sum := sha256.Sum256(form)
		agents = append(agents, importedAgent{
			Name: slug(name), Purpose: "MCP server " + strconv.Quote(name),
			Composition: []client.Component{{Kind: "tools", Name: name, Digest: hex.EncodeToString(sum[:]), Source: "self"}},
		})
	}
	return agents, nil
}

// slug makes a machine name of a server's.
func slug(name string) string {
	name = strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '.', r == '_', r == '-':
			return r
		case r >= 'A' && r <= 'Z':
			return r - 'A' + 'a'
		}
		return '-'
	}, name)
	name = strings.TrimLeft(name, ".-_")
	return name[:min(len(name), 64)]
}

// readImportCSV reads RFC 4180 with a header.
func readImportCSV(data []byte) (agents []importedAgent, err error) {
	r := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(data, []byte("\ufeff"))))
	header, err := r.Read()
	if err != nil {
		return nil, err
	}
	list := func(s string) []string {
		return strings.FieldsFunc(s, func(r rune) bool { return r == ' ' || r == ';' })
	}
	columns := map[string]func(*importedAgent, string) error{
		"name":      func(a *importedAgent, s string) error { a.Name = s; return nil },
		"purpose":   func(a *importedAgent, s string) error { a.Purpose = s; return nil },
		"role":      func(a *importedAgent, s string) error { a.Role = s; return nil },
		"sponsor":   func(a *importedAgent, s string) error { a.Sponsor = s; return nil },
		"grant":     func(a *importedAgent, s string) error { a.Grant = s; return nil },
		"domains":   func(a *importedAgent, s string) error { a.Domains = list(s); return nil },
		"workflows": func(a *importedAgent, s string) error { a.Workflows = list(s); return nil },
		"audience":  func(a *importedAgent, s string) error { a.Audience = list(s); return nil },
		"authority_level": func(a *importedAgent, s string) (err error) {
			if s != "" {
				a.AuthorityLevel, err = strconv.Atoi(s)
			}
			return err
		},
	}
	for _, name := range header {
		if columns[name] == nil {
			return nil, fmt.Errorf("column %q: want %s", name, strings.Join(slices.Sorted(maps.Keys(columns)), ", "))
		}
	}
	if !slices.Contains(header, "name") {
		return nil, errors.New("there is no column name")
	}
	for {
		row, err := r.Read()
		if errors.Is(err, io.EOF) {
			return agents, nil
		}
		if err != nil {
			return nil, err
		}
		var a importedAgent
		for i, cell := range row {
			if err := columns[header[i]](&a, strings.TrimSpace(cell)); err != nil {
				line, _ := r.FieldPos(i)
				return nil, fmt.Errorf("line %d, %s: %w", line, header[i], err)
			}
		}
		agents = append(agents, a)
	}
}
