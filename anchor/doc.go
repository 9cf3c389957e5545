// Package anchor is the evidence half of the registry: it turns a committed
// log into something that holds without trusting the operator.
//
// Three things live here.
//
//   - Checkpoints: the log's heads, signed for the C2SP tlog ecosystem.
//   - The [Submitter]: it carries signed heads to a [Ledger], which accepts a
//     head only together with a consistency proof (RFC 9162, section 2.1.4)
//     from the head it already holds. So each ledger keeps one linear history
//     per log and the operator cannot show two.
//   - The prover: receipts that put an event, its inclusion proof, a
//     checkpoint and the anchors of that checkpoint into one file.
//
// # The life of a head
//
//	log commit -> checkpoint signed -> head signed (head key)
//	  -> Prepare (transaction signed, not sent)
//	  -> journal row committed             <- the commit point of anchoring
//	  -> Broadcast -> included -> safe -> finalized
//
// Everything right of the journal row may be lost and is found again: start-up
// is the same code as an ordinary cycle ([Submitter.Run] first looks at the
// rows whose outcome is open). Everything left of it leaves no trace and is
// simply done again from the ledger's own head.
//
// # Who may do what
//
// A ledger accepts a head because the log's head key signed it and because the
// proof holds, never because of who sent the transaction. The gas wallet, the
// Fabric client identity and the RPC provider therefore have no authority over
// the log: with all of them stolen a head can be delayed, not invented. The
// head key belongs to a [HeadSigner] and MUST be a different key from the one
// that pays.
//
// The package imports nothing of the domain. Logs, journals and ledgers reach
// it through small ports ([Log], [AttemptStore], [Ledger], [HeadSigner]) that
// are declared next to the code that calls them.
package anchor
