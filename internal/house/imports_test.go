// Package house holds the rules of the house that a compiler does not keep.
package house

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/writ-registry/writ"

type pkg struct {
	ImportPath string
	Imports    []string
	Deps       []string
}

func packages(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports,Deps", module+"/...")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []pkg
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

// own lists what each package may import of ours; a package that is not named
// here may import nothing of ours. A trailing /... allows the tree below.
var own = map[string][]string{
	"internal/canon":               {},
	"internal/chromium":            {}, // tests only
	"internal/jose":                {"internal/canon"},
	"internal/httpsig":             {"internal/canon", "internal/jose"},
	"internal/trace":               {},
	"registry/did":                 {"internal/canon", "internal/jose"},
	"registry/capability":          {"internal/canon", "internal/jose"},
	"registry/pki":                 {"internal/jose", "registry/did"},
	"registry/statuslist":          {"internal/canon", "internal/jose"},
	"registry/tools":               {"internal/canon"},
	"registry/cedar":               {},
	"internal/workload":            {"internal/canon", "internal/jose", "registry", "registry/pki"},
	"internal/resolve":             {"internal/canon", "registry/did"},
	"anchor/tlog":                  {},
	"examples/nginx":               {},
	"internal/route":               {"internal/canon", "registry/capability"},
	"registry":                     {"internal/canon", "internal/jose", "internal/route", "registry/did", "registry/capability", "registry/pki", "registry/statuslist", "registry/cedar"},
	"registry/policy":              {"internal/canon", "internal/jose", "internal/trace", "registry", "registry/capability", "registry/cedar", "registry/did", "registry/statuslist"},
	"internal/follow":              {"internal/canon", "internal/jose", "internal/resolve", "registry", "registry/did", "registry/policy", "registry/statuslist", "anchor/tlog"},
	"registry/journal":             {"internal/canon", "internal/trace", "registry", "anchor/tlog"},
	"anchor":                       {"anchor/tlog", "internal/canon", "internal/trace"},
	"anchor/anchortest":            {"anchor", "anchor/tlog"},
	"anchor/evm":                   {"anchor", "anchor/evm/bind/loganchor"},
	"anchor/evm/bind/loganchor":    {},
	"internal/hotstate":            {},
	"internal/notify":              {"internal/canon", "internal/httpsig", "internal/jose", "internal/resolve", "registry"},
	"internal/oidc":                {"internal/canon", "internal/jose", "registry"},
	"internal/oidc/oidctest":       {"internal/jose"},
	"internal/passkey":             {"internal/jose"},
	"internal/signin":              {"internal/canon", "internal/oidc", "registry"},
	"internal/sqlstore":            {"internal/canon", "registry", "registry/journal", "registry/statuslist", "anchor", "anchor/tlog"},
	"registry/registrytest":        {"internal/...", "registry/..."},
	"client":                       {"internal/canon", "internal/httpsig", "internal/jose", "internal/route", "registry/capability", "registry/did", "client/..."},
	"client/manifest":              {"client", "internal/canon", "registry/capability", "registry/cedar"},
	"client/verify":                {"internal/canon", "internal/jose", "registry/capability", "anchor/tlog"},
	"api":                          {"api/problem", "web", "internal/canon", "internal/httpsig", "internal/jose", "internal/resolve", "internal/route", "internal/trace", "registry/...", "anchor", "anchor/tlog"},
	"api/problem":                  {"registry", "anchor", "internal/canon"},
	"web":                          {},
	"chain-config":                 {},
	"contracts/evm/vectors":        {"contracts/evm/vectors/sparse"},
	"contracts/evm/vectors/sparse": {},
	"docs/schemas":                 {"internal/canon", "registry", "registry/did", "registry/journal", "anchor/tlog"},
	"internal/house":               {},
	// Its seeder writes rows as the use cases and the journal would.
	"bench":           {"client", "internal/...", "registry", "registry/...", "anchor/tlog"},
	"cmd/writ":        {"..."}, // the only place that wires
	"cmd/writ-verify": {"client/verify"},
}

// TestOwnImports keeps the picture of docs/architecture.md: leaves at the
// bottom, the domain above them, adapters that know only whose ports they
// implement, and one place that wires.
func TestOwnImports(t *testing.T) {
	for _, p := range packages(t) {
		name := strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
		may, known := own[name]
		if !known {
			t.Errorf("%s is not in the picture: add it with what it may import, if it is deep enough to be a package", name)
			continue
		}
		for _, imp := range p.Imports {
			dep, ours := strings.CutPrefix(imp, module+"/")
			if ours && !allowed(dep, may) {
				t.Errorf("%s imports %s; it may import %v", name, dep, may)
			}
		}
	}
}

func allowed(dep string, may []string) bool {
	return slices.ContainsFunc(may, func(m string) bool {
		tree, isTree := strings.CutSuffix(m, "...")
		return dep == m || isTree && (strings.HasPrefix(dep, tree) || dep+"/" == tree)
	})
}

// technology says where each technology stays, and why.
var technology = []struct {
	prefix, why string
	in          []string
}{
	{"github.com/gin-gonic/", "HTTP stays at the door", []string{"api"}},
	{"github.com/danielgtaylor/huma", "HTTP stays at the door", []string{"api", "docs/schemas"}},
	{"github.com/ethereum/go-ethereum", "the domain knows no chain", []string{"anchor/evm", "anchor/evm/bind/loganchor", "cmd/writ"}},
	{"database/sql", "SQL stays in one package", []string{"internal/sqlstore", "bench"}}, // bench seeds 10^7 rows, past the journal
	{"modernc.org/sqlite", "SQL stays in one package", []string{"internal/sqlstore"}},
	{"github.com/redis/", "Redis stays in one package", []string{"internal/hotstate"}},
	{"go.opentelemetry.io/otel/sdk", "spans are sent from one place", []string{"cmd/writ"}},
	{"go.opentelemetry.io/otel/exporters", "spans are sent from one place", []string{"cmd/writ"}},
	{"go.opentelemetry.io/", "who marks a step knows no library", []string{"internal/trace", "cmd/writ"}},
	{"github.com/cedar-policy/", "the policy language stays in one package", []string{"registry/cedar"}},
	{"github.com/hyperledger/", "Fabric stays in one package", []string{"anchor/fabric"}},
	{"github.com/coreos/go-oidc", "issuers of tokens are asked from two packages", []string{"internal/oidc", "internal/workload"}},
	{"golang.org/x/oauth2", "sign-in of people stays in one package", []string{"internal/oidc"}},
	{"net/http", "the core speaks no protocol", []string{"internal/httpsig", "internal/notify", "internal/oidc", "internal/oidc/oidctest", "internal/resolve", "internal/signin", "internal/workload", "api", "api/problem", "client", "client/verify", "cmd/writ", "anchor/evm", "bench"}},
}

func TestTechnologyStaysInItsPlace(t *testing.T) {
	for _, p := range packages(t) {
		name := strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
		for _, imp := range p.Imports {
			for _, tech := range technology {
				if strings.HasPrefix(imp, tech.prefix) && !slices.Contains(tech.in, name) {
					t.Errorf("%s imports %s: %s", name, imp, tech.why)
				}
			}
		}
	}
}

// TestVerifierIsSmall: who verifies evidence must not need a chain node, a
// database or a server to do it.
func TestVerifierIsSmall(t *testing.T) {
	for _, p := range packages(t) {
		if p.ImportPath != module+"/client" && p.ImportPath != module+"/client/verify" && p.ImportPath != module+"/cmd/writ-verify" {
			continue
		}
		for _, dep := range p.Deps {
			for _, heavy := range []string{"github.com/ethereum/go-ethereum", "github.com/gin-gonic", "modernc.org/sqlite", "go.opentelemetry.io", module + "/registry/journal", module + "/api"} {
				if strings.HasPrefix(dep, heavy) {
					t.Errorf("%s depends on %s", p.ImportPath, dep)
				}
			}
			if dep == module+"/registry" {
				t.Errorf("%s depends on the server's domain", p.ImportPath)
			}
		}
	}
}
