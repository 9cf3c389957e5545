package evm

// Rollback takes back the newest blocks, as a crash does that lost them.
func (c *Chain) Rollback(blocks int) error {
	bc := c.eth.BlockChain()
	return bc.SetHead(bc.CurrentBlock().Number.Uint64() - uint64(blocks))
}

var (
	Outbid   = outbid
	Classify = classify
)

// The outcomes of Classify.
const (
	SendUnclear    = sendUnclear
	SendKnown      = sendKnown
	SendOutbid     = sendOutbid
	SendNonceTaken = sendNonceTaken
)
