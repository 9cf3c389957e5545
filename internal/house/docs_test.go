package house

import (
	"bytes"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"
)

// root of the repository, as seen from this package.
const root = "../.."

func read(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// committed are the files that git knows.
func committed(t *testing.T) []string {
	t.Helper()
	cmd := exec.Command("git", "ls-files", "-z")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		t.Skipf("git ls-files: %v", err) // an archive of the sources is no repository
	}
	return strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
}

var namedTest = regexp.MustCompile("`([^`\\s]+(?:_test\\.go|\\.t\\.sol)): ([A-Za-z0-9_]+)`")

// TestThreatModelNamesRealTests: what stops an attack is shown by a test that
// exists.
func TestThreatModelNamesRealTests(t *testing.T) {
	text := read(t, "docs/threat-model.md")
	names := namedTest.FindAllStringSubmatch(text, -1)
	for _, m := range names {
		file, name := m[1], m[2]
		source, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			t.Errorf("%s: %v", m[0], err)
			continue
		}
		if !regexp.MustCompile(`(?m)^\s*func(tion)? ` + name + `\(`).Match(source) {
			t.Errorf("%s has no %s", file, name)
		}
	}
	// Each attack that something stops names a test; a reference in another
	// spelling would be seen by nobody.
	if loose := len(regexp.MustCompile(`_test\.go|\.t\.sol`).FindAllString(text, -1)); loose != len(names) || loose < 40 {
		t.Errorf("%d tests are named, %d in the form `file: TestName`", loose, len(names))
	}
}

func TestReadmeIsShort(t *testing.T) {
	if n := strings.Count(read(t, "README.md"), "\n"); n > 150 {
		t.Errorf("README.md has %d lines, at most 150 are read", n)
	}
}

var link = regexp.MustCompile(`\]\(([^)#\s]+)(?:#[^)]*)?\)`)

// TestLinksLead: relative links of committed pages lead to committed files.
func TestLinksLead(t *testing.T) {
	for _, name := range committed(t) {
		if !strings.HasSuffix(name, ".md") {
			continue
		}
		for _, m := range link.FindAllStringSubmatch(read(t, name), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			if _, err := os.Stat(filepath.Join(root, path.Dir(name), m[1])); err != nil {
				t.Errorf("%s links to %s: %v", name, m[1], err)
			}
		}
	}
}

// TestOperationsNameEverything: each setting and each metric is on the page.
func TestOperationsNameEverything(t *testing.T) {
	page := read(t, "docs/operations.md")
	flag := regexp.MustCompile(`f\.\w+Var\(&c\.\w+, "([a-z-]+)"`)
	settings := flag.FindAllStringSubmatch(read(t, "cmd/writ/config.go"), -1)
	for _, m := range settings {
		upper := "WRIT_" + strings.ToUpper(strings.ReplaceAll(m[1], "-", "_"))
		key := strings.ReplaceAll(m[1], "-", "_")
		if !strings.Contains(page, "| `--"+m[1]+"` | `"+upper+"` | `"+key+"` |") {
			t.Errorf("setting --%s is not on the page", m[1])
		}
	}
	metrics := regexp.MustCompile(`"(writ_[a-z_]+)"`).FindAllStringSubmatch(read(t, "api/metrics.go"), -1)
	for _, m := range metrics {
		if !strings.Contains(page, "| `"+m[1]+"` |") {
			t.Errorf("metric %s is not on the page", m[1])
		}
	}
	if len(settings) < 10 || len(metrics) < 10 {
		t.Errorf("found %d settings and %d metrics: the sources are written otherwise now", len(settings), len(metrics))
	}
}

// TestStandardsNameEveryEvent: each event type with its schema is on the page.
func TestStandardsNameEveryEvent(t *testing.T) {
	page := read(t, "docs/standards.md")
	schemas, err := filepath.Glob(filepath.Join(root, "docs/schemas/*.schema.json"))
	if err != nil || len(schemas) < 10 {
		t.Fatalf("%d schemas, %v", len(schemas), err)
	}
	for _, s := range schemas {
		if name := filepath.Base(s); !strings.Contains(page, "(schemas/"+name+")") {
			t.Errorf("%s is not on the page", name)
		}
	}
}

// A committed text must build and read the same on every machine. The names are
// put together, so that this file does not hold what it looks for.
var (
	registryHost = regexp.MustCompile(`proxy\.golang` + `\.org|registry\.npmjs` + `\.org|deb\.debian` + `\.org`)
	machinePath  = regexp.MustCompile(`(?:^|[^A-Za-z0-9_.~}-])/(?:work|root)/`)
)

// containerPath is the home of a build container, not of a machine.
const containerPath = "target=/root/.cache/"

// TestNoMachineInTexts: no committed text names a package registry's host (that
// is the configuration of whoever builds) or a path of somebody's machine.
func TestNoMachineInTexts(t *testing.T) {
	for _, name := range committed(t) {
		data, err := os.ReadFile(filepath.Join(root, name))
		if os.IsNotExist(err) {
			continue // deleted, and not committed yet
		}
		if err != nil {
			t.Fatal(err)
		}
		if bytes.IndexByte(data, 0) >= 0 || !utf8.Valid(data) {
			continue
		}
		for i, line := range strings.Split(string(data), "\n") {
			if registryHost.MatchString(line) {
				t.Errorf("%s:%d names the host of a package registry", name, i+1)
			}
			if machinePath.MatchString(strings.ReplaceAll(line, containerPath, "")) {
				t.Errorf("%s:%d names a path of a machine", name, i+1)
			}
		}
	}
}
