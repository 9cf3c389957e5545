package loganchor

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/accounts/abi/abigen"
)

const repository = "../../../.."

// TestBindingsAreFresh regenerates bindings.go from the committed ABI and code.
func TestBindingsAreFresh(t *testing.T) {
	got, err := abigen.BindV2([]string{"LogAnchor"}, []string{read(t, "LogAnchor.abi")}, []string{read(t, "LogAnchor.bin")},
		"loganchor", make(map[string]string), make(map[string]string))
	if err != nil {
		t.Fatal(err)
	}
	if want := read(t, "bindings.go"); got != want {
		t.Error("bindings.go is not what abigen makes of LogAnchor.abi and LogAnchor.bin: run scripts/contracts/generate.sh")
	}
}

// TestCodeIsFresh compiles the contract and compares ABI and code with the committed ones. It needs the contract toolchain.
func TestCodeIsFresh(t *testing.T) {
	if testing.Short() {
		t.Skip("compiling Solidity takes seconds: not with -short")
	}
	if _, err := exec.LookPath("node"); err != nil {
		t.Skip("Node is not installed: the Solidity compiler runs on it")
	}
	if _, err := os.Stat(filepath.Join(repository, "contracts/evm/node_modules/solc")); errors.Is(err, fs.ErrNotExist) {
		t.Skip("the contract toolchain is not installed: scripts/contracts/setup.sh installs it")
	}
	fresh := t.TempDir()
	command := exec.Command(filepath.Join(repository, "scripts/contracts/generate.sh"), fresh)
	if output, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", command, err, output)
	}
	for _, name := range []string{"LogAnchor.abi", "LogAnchor.bin", "LogAnchor.runtime.json"} {
		if read(t, name) != read(t, filepath.Join(fresh, "loganchor", name)) {
			t.Errorf("%s is not what the compiler makes of contracts/evm/src: run scripts/contracts/generate.sh", name)
		}
	}
}

// TestSignedTypes compares the EIP-712 strings with those that the contract is compiled from. The digests themselves are compared on
// a chain, in TestAgainstTheContract.
func TestSignedTypes(t *testing.T) {
	source := read(t, filepath.Join(repository, "contracts/evm/src/LogAnchor.sol"))
	for _, text := range []string{DomainName, DomainVersion, DomainType, TreeHeadType} {
		if !strings.Contains(source, `"`+text+`"`) {
			t.Errorf("LogAnchor.sol does not contain %q", text)
		}
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}
