// Package chainconfig holds the network files that ship with the program: one
// a chain, read by evm.LoadNetwork. README.md describes their keys.
package chainconfig

import "embed"

// Files are the network files, "<name>.yaml".
//
//go:embed *.yaml
var Files embed.FS
