package policy

import "context"

// BetweenJudgementAndCommit runs f once, after the next judgement and before
// its commit.
func BetweenJudgementAndCommit(p *PDP, f func()) {
	p.evaluated = func() { p.evaluated = nil; f() }
}

// Enter is what Run does when a lost memory is back.
func Enter(ctx context.Context, p *PDP) error { return p.enter(ctx) }
