package anchor

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Errors that callers act on. Wrap them with what was being done; test with
// errors.Is.
var (
	// ErrFork says that a ledger and our log tell two histories: the ledger
	// holds a head that is not a prefix of the log, or one ahead of it. Either
	// our database was rolled back or somebody signed a second history. No
	// retry helps: the Submitter stops and a person decides.
	ErrFork = errors.New("ledger and log have forked")

	// ErrReorged says that a ledger dropped an anchor which it had included.
	// The anchor is demoted and sent again; until then receipts MUST NOT claim
	// it.
	ErrReorged = errors.New("ledger dropped an included anchor")

	// ErrPushback says that the other side is temporarily unable to take more:
	// the fee is above the cap, the pool is full, the disk reserve is reached,
	// the endpoint does not answer. The same call may succeed later.
	ErrPushback = errors.New("try again later")

	// ErrNotIntegrated says that an entry has its index but is not yet covered
	// by a signed checkpoint (or by the anchor that was asked for). It will be.
	ErrNotIntegrated = errors.New("not integrated yet")

	// ErrRefused says that the ledger's own rules reject this very head: the
	// size is not larger than the head it holds, the proof or the signature
	// does not hold, the log is frozen. The remedy is to read the ledger's head
	// and build anew, never to send the same thing again.
	ErrRefused = errors.New("ledger refuses the head")
)

// Head names one state of an append-only log: the root hash of its first Size
// entries (RFC 9162, section 2.1.1). The zero Head is "no head yet".
type Head struct {
	Size uint64   // number of entries
	Root [32]byte // SHA-256 Merkle tree hash over them
}

// String returns "size root", the root in lower-case hexadecimal.
func (h Head) String() string {
	return strconv.FormatUint(h.Size, 10) + " " + hex.EncodeToString(h.Root[:])
}

// SignedHead is everything a ledger needs to move a log from Prev to Head and
// to check that it may.
type SignedHead struct {
	LogID [32]byte // the log as the ledger names it; see Info.LogID
	Head

	HeadKey   string // who signed, in the ledger's notation (EVM: checksummed address)
	Signature []byte // by the head key over (LogID, Head), in the form the ledger checks

	Prev  Head       // the ledger's head that Proof starts from; zero for the first anchor
	Proof [][32]byte // RFC 9162 2.1.4.1 consistency proof Prev -> Head; empty when Prev.Size is 0
}

// Finality grades how far a ledger has gone with an anchor. Levels are ordered
// none < submitted < included < safe < finalized; failed stands apart.
type Finality string

const (
	// None: the ledger knows nothing of it. Never sent, dropped, or reorged out.
	None Finality = "none"
	// Submitted: accepted for inclusion (transaction pool, orderer), not included.
	Submitted Finality = "submitted"
	// Included: in a block of the current chain, which may still be replaced.
	Included Finality = "included"
	// Safe: the block will not be replaced under honest-majority assumptions
	// (EVM: the "safe" tag, or as many confirmations as the network file asks).
	Safe Finality = "safe"
	// Finalized: replacing the block would cost the ledger its own security
	// assumption (EVM: the "finalized" tag; Fabric: any committed block).
	Finalized Finality = "finalized"
	// Failed: included and refused by the contract, or can never be included
	// any more because something else took its place.
	Failed Finality = "failed"
)

// rank orders the levels; Failed and unknown values rank with None, because
// they prove as little.
func (f Finality) rank() int {
	switch f {
	case Submitted:
		return 1
	case Included:
		return 2
	case Safe:
		return 3
	case Finalized:
		return 4
	}
	return 0
}

// AtLeast reports whether f has reached level g. Failed has reached only None.
func (f Finality) AtLeast(g Finality) bool { return f.rank() >= g.rank() }

// FinalityRule says when an anchor on one ledger counts as settled, i.e. when
// the Submitter stops watching it.
type FinalityRule struct {
	// Level is the grade that settles an anchor: Included, Safe or Finalized.
	Level Finality
	// Confirmations, when not 0, replaces the ledger's own notion of Safe: a
	// block counts as safe when it is this many blocks deep, itself included.
	// Only with Level Safe.
	Confirmations uint64
}

// Met reports whether an anchor of grade f is settled under the rule.
func (r FinalityRule) Met(f Finality) bool { return f.AtLeast(r.Level) }

// String returns the form network files use: "included", "safe", "finalized"
// or "confirmations:N".
func (r FinalityRule) String() string {
	if r.Confirmations > 0 {
		return "confirmations:" + strconv.FormatUint(r.Confirmations, 10)
	}
	return string(r.Level)
}

// ParseFinalityRule reads the form that [FinalityRule.String] writes. N in
// "confirmations:N" is 1 to 10,000.
func ParseFinalityRule(s string) (FinalityRule, error) {
	switch f := Finality(s); f {
	case Included, Safe, Finalized:
		return FinalityRule{Level: f}, nil
	}
	if n, ok := strings.CutPrefix(s, "confirmations:"); ok {
		c, err := strconv.ParseUint(n, 10, 64)
		if err == nil && c >= 1 && c <= 10_000 {
			return FinalityRule{Level: Safe, Confirmations: c}, nil
		}
	}
	return FinalityRule{}, fmt.Errorf("finality rule %q: want included, safe, finalized or confirmations:N", s)
}

// Info names a ledger and the log's place on it. It never changes during the
// life of a Ledger.
type Info struct {
	Name     string       // the operator's name for it, unique per deployment: "embedded", "sepolia"
	Kind     string       // "evm", "fabric", "memory"
	ChainID  string       // EVM: chain id in decimal; Fabric: channel
	Contract string       // EVM: checksummed address; Fabric: chaincode name
	LogID    [32]byte     // the log on that contract
	Finality FinalityRule // when an anchor here is settled

	// OperatorsOwn says that whoever runs the log also runs this ledger. Its
	// anchors show the mechanism and prove nothing to outsiders; every output
	// that names the ledger says so.
	OperatorsOwn bool

	// MaxGrowth is the most entries one anchor may add; 0 means no limit. A
	// larger backlog goes in several steps.
	MaxGrowth uint64
}

// Attempt is one transaction that would anchor one head: complete, signed by
// the paying account, ready to be sent any number of times. It is what the
// journal keeps, so that after a crash the *same* transaction goes out again.
type Attempt struct {
	Tx  string // the ledger's id of the transaction, known before sending (EVM: 0x-hash; Fabric: tx id)
	Raw []byte // the bytes to send, opaque to everyone but the adapter
}

// Confirmation is what a ledger says about an Attempt.
type Confirmation struct {
	Finality  Finality
	TxHash    string    // as Attempt.Tx
	Block     uint64    // number of the including block; 0 when not included
	BlockHash string    // in the ledger's notation; empty when not included
	GasUsed   uint64    // gas units spent; 0 where the ledger has no gas
	Time      time.Time // the block's own time (UTC): a claim of the ledger, not of our clock
	Reason    string    // why it failed, for people (EVM: the contract's error name); empty otherwise
}

// Ledger is one place heads are anchored at, for one log. Implementations:
// anchor/evm, anchortest.Memory; Hyperledger Fabric fits as described below.
//
// The ledger MUST itself refuse every head that is not signed by the log's
// head key, not larger than the head it holds, or not proven consistent with
// it; a Ledger whose other side only stores what it is told is not a ledger in
// this sense. Anchoring the same (size, root) again MUST succeed and change
// nothing.
//
// Durability: a Ledger keeps nothing that matters. All of its state is on the
// chain or in the Attempts its caller journals, so the process may stop
// between any two calls, and inside one.
//
// Concurrency: Info, Head and Status may be called at any time. Prepare and
// Broadcast are called by one Submitter at a time. Attempts of one paying
// account MUST NOT be prepared by two Submitters: give each log its own.
//
// Errors: ErrPushback when trying later may help (also for every transport
// failure), ErrRefused when this head never will be accepted, ErrFork (then
// also ErrRefused) when the ledger is known to hold another root at the same
// size. A cancelled context returns its error. Errors of the adapter's
// technology are wrapped, their types are not part of the contract.
//
// # How Fabric maps
//
// Info: ChainID is the channel, Contract the chaincode, Finality is finalized
// (a committed block is never replaced, so there is no reorg and Head ignores
// its level). The chaincode keeps one head key per log, checks the same head
// signature and the same consistency proof, and refuses what the EVM contract
// refuses. Prepare endorses: Raw is the endorsed envelope, Tx the transaction
// id that is fixed at endorsement. Broadcast submits the envelope to the
// orderer; a second submission of the same id is dropped by the peers as a
// duplicate. Status waits briefly for the commit status: valid is Finalized,
// every other validation code is Failed with the code as Reason (an
// MVCC_READ_CONFLICT means that another attempt moved the head first), no
// answer in time is Submitted. Attempts exclude each other by the version of
// the head key in their read set, so Prepare ignores replaces.
type Ledger interface {
	// Info returns the ledger's names and rules. It does no I/O.
	Info() Info

	// Head returns the log's head as the ledger holds it at a level: Included
	// reads the newest block, Safe and Finalized the newest block of that
	// level. A log without an anchor has the zero Head.
	Head(ctx context.Context, level Finality) (Head, error)

	// Prepare builds and signs, but does not send, the transaction that
	// anchors head. The attempts in replaces are earlier ones by this caller
	// which are not included so far; at most one of them and the new one may
	// ever take effect (EVM: same nonce, both fees raised by at least 12.5 %).
	// Prepare leaves no trace outside the returned value.
	Prepare(ctx context.Context, head SignedHead, replaces ...Attempt) (Attempt, error)

	// Broadcast hands a prepared attempt to the ledger. It is idempotent: an
	// attempt that is already pending or included is no error, nor is one whose
	// place in the queue is held by a later attempt of the same account. A nil
	// error means handed over, not included, and any other error does not prove
	// the opposite: only Status tells. ErrRefused means that it can never be
	// included any more.
	Broadcast(ctx context.Context, attempt Attempt) error

	// Status tells what became of an attempt. It never reports a grade higher
	// than the ledger vouches for at the time of the call and may report a
	// lower one than before: that is a reorg. Not knowing the attempt is a
	// value (None), not an error.
	Status(ctx context.Context, attempt Attempt) (Confirmation, error)
}

// HeadSigner holds a log's head key for one ledger. It is a port of its own
// because the key lives with whoever ran the rollback check on the log
// (process, HSM, remote signer), never with the wallet that pays for gas.
//
// Callers MUST ask only for heads of signed checkpoints and of their prefixes
// (a large backlog goes in steps): a signature is all that a ledger needs to
// take a head for the log's. Safe for concurrent use.
type HeadSigner interface {
	// HeadKey names the public key in the ledger's notation.
	HeadKey() string
	// SignHead signs (logID, head) in the form the ledger checks (EVM: EIP-712
	// TreeHead, 65 bytes r || s || v, low s).
	SignHead(ctx context.Context, logID [32]byte, head Head) ([]byte, error)
}
