// Package loganchor binds the LogAnchor contract of contracts/evm.
//
// bindings.go is generated from LogAnchor.abi and LogAnchor.bin, which scripts/contracts/generate.sh takes from the compiler; all
// of them are committed, so that building and testing the Go code needs neither a Solidity compiler nor Node.
package loganchor

//go:generate go tool abigen --v2 --abi LogAnchor.abi --bin LogAnchor.bin --type LogAnchor --pkg loganchor --out bindings.go
