package verify

import "strconv"

// For the tests, which make receipts.
var (
	EntryOf       = entryOf
	CIDOf         = cidOf
	FormatAddress = formatAddress
	ParseAddress  = parseAddress
	Keccak        = keccak
	Plain         = plain
)

// TreeHeadDigest is what a head key signs.
func TreeHeadDigest(chainID, contract string, logID [32]byte, size uint64, root [32]byte) [32]byte {
	id, err := strconv.ParseUint(chainID, 10, 64)
	if err != nil {
		panic(err)
	}
	c, err := parseAddress(contract)
	if err != nil {
		panic(err)
	}
	a := &anchoredHead{chainID: id, contract: c, logID: logID, root: root}
	a.Size = size
	return treeHeadDigest(a)
}
