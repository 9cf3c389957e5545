package policy

import (
	"time"

	"github.com/writ-registry/writ/registry"
	"github.com/writ-registry/writ/registry/capability"
)

// Relaxed reports whether a reason is one of coverage: that nobody has said yes to the
// act, where nobody has said no. Under observation an act that stands against nothing
// else is permitted. What was said no to (a stop, verb:none, forbid), what proves who
// acts, what is unknown or failed, and what a human must approve is never relaxed.
func Relaxed(c Code) bool {
	switch c {
	case CapabilityMissing, ArgumentRefused, DomainRefused, WorkflowRefused, LevelTooLow, PolicyNoPermit:
		return true
	}
	return false
}

// observed reports whether nothing but coverage stands against an act, and all whom it
// would have to cover are under observation: who acts, and who handed on what it acts by.
// reasons are all, before an approval takes any away: what a human must approve is not
// observed.
func (f *facts) observed(reasons []Reason) bool {
	if len(reasons) == 0 || f.proof.code != "" || !f.now.Before(f.observedUntil()) {
		return false
	}
	if f.chain != nil { // the leaf speaks first, and verb:none above it is a no
		for _, link := range f.chain.Links() {
			if link.Capabilities().Match(f.act).Reason == capability.ReasonNone {
				return false
			}
		}
	}
	covers := false
	for _, r := range reasons {
		covers = covers || Relaxed(r.Code)
		if !Relaxed(r.Code) && (!ofApproval(r.Code) || r.Code == ApprovalRequired) { // others are of an approval that nobody needs
			return false
		}
	}
	return covers
}

// observedUntil is when the first observation ends of those that the act needs; zero:
// one of them does not run.
func (f *facts) observedUntil() time.Time {
	if f.agent == nil {
		return runs(f.org.Observation, f.now)
	}
	var first time.Time
	for i, a := range f.holders() {
		until := runs(f.org.Observation, f.now)
		if own := runs(a.Observation, f.now); a.Org != f.org.ID || own.After(until) {
			until = own
		}
		if i == 0 || until.Before(first) {
			first = until
		}
	}
	return first
}

func runs(o *registry.Observation, now time.Time) time.Time {
	if !o.Runs(now) {
		return time.Time{}
	}
	return o.Until
}
