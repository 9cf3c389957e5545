package evm

// LoseBlocks returns the options with which the newest n blocks turn out to be
// lost, as after a crash.
func (o EmbeddedOptions) LoseBlocks(n int) EmbeddedOptions {
	o.loseBlocks = n
	return o
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
