// Package evm anchors heads on an Ethereum chain: on any chain behind a
// JSON-RPC endpoint, or on a one-node chain inside this process.
//
//   - [Ledger] implements anchor.Ledger over the LogAnchor contract
//     (contracts/evm), which demands a consistency proof and the head key's
//     signature for every head.
//   - [Chain] is the embedded chain.
//   - [Network] is one file of chain-config/: where a chain is, which contract
//     is ours, when a block counts and what a transaction may cost.
//   - [Deploy] and [Register] put the contract and a log on a chain.
//   - [HeadKey] signs heads and [Wallet] pays. They are different keys: the
//     wallet has no authority over the log.
//
// The package trusts its endpoint to the extent that every ordinary client
// does; what it needs of it is small, because the contract checks the heads.
// Errors of geth and of the endpoint stay here: callers see the sentinels of
// package anchor.
package evm
