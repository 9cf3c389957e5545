//go:build !conformance

package main

import (
	"strings"

	"github.com/writ-registry/writ/api"
)

// conformanceBuild: see serve_conformance.go.
const conformanceBuild = false

// logOrigin is the origin line of the log: the registry's origin without the
// scheme, and a path (C2SP tlog-checkpoint).
func logOrigin(origin string) string { return strings.SplitN(origin, "://", 2)[1] + "/log" }

func (*server) openConformance(*api.Config) {}
