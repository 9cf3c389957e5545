//go:build conformance

package main

import "github.com/writ-registry/writ/api"

// conformanceBuild: this program is a log that takes raw entries from anyone,
// for the tools of other authors to test. It has no operator, so nobody can
// register or decide anything, and its first checkpoint is of an empty log.
const conformanceBuild = true

// logOrigin is the same for every log of this build, and under a top-level
// domain that is nobody's (RFC 2606): no checkpoint of it passes for one of a
// registry, whatever origin was given.
func logOrigin(string) string { return "conformance.writ.test/log" }

func (s *server) openConformance(cfg *api.Config) { cfg.Append = s.journal.AppendRaw }
