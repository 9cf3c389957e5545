package policy

// BetweenJudgementAndCommit runs f once, after the next judgement and before
// its commit.
func BetweenJudgementAndCommit(p *PDP, f func()) {
	p.evaluated = func() { p.evaluated = nil; f() }
}
