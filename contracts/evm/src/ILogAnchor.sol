// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title ILogAnchor
/// @notice Anchors the tree heads of append-only Merkle logs (RFC 6962, RFC 9162) and keeps every log's history linear: a head
/// moves only forward, only with the signature of the log's head key, and only with a proof that the new tree extends the old one.
///
/// Three roles, none of which can do another's work:
/// - the *submitter* pays the gas and has no authority at all; anyone may submit;
/// - the *head key* signs tree heads (EIP-712), next to the checkpoint signer, after that signer's own rollback check;
/// - the *guardian*, best a multi-signature wallet, replaces a head key after a delay, freezes a log for good and registers the log
///   that continues it.
interface ILogAnchor {
    /// @notice A tree head with its proof and signature: the arguments of one `anchor` call, for use in `anchorMany`.
    /// @param logId The log.
    /// @param size The tree size.
    /// @param root The root hash of the tree of that size.
    /// @param proof The consistency proof (RFC 9162 section 2.1.4) from the head that the log holds to this one.
    /// @param signature The head key's signature over `hashTreeHead(logId, size, root)`: r || s || v, 65 bytes, low s, v 27 or 28.
    struct SignedHead {
        bytes32 logId;
        uint64 size;
        bytes32 root;
        bytes32[] proof;
        bytes signature;
    }

    /// @notice Everything about a log that is not its head.
    /// @param guardian Who may rotate the head key, freeze the log and register its successor.
    /// @param pendingHeadKey The head key proposed by the guardian, or zero.
    /// @param rotationReadyAt The time from which `rotateHeadKey` installs the pending key, or zero.
    /// @param predecessor The frozen log that this log continues, or zero.
    /// @param successor The log that continues this one, or zero.
    /// @param lastGoodSize Once frozen: the size of the last head to rely on; zero before.
    /// @param lastGoodRoot Once frozen: the root of the last head to rely on; zero before.
    struct LogState {
        address guardian;
        address pendingHeadKey;
        uint64 rotationReadyAt;
        bytes32 predecessor;
        bytes32 successor;
        uint64 lastGoodSize;
        bytes32 lastGoodRoot;
    }

    /// @notice A log was registered. Its head is that of the empty tree, unless a `HeadAnchored` follows (successors).
    event LogRegistered(
        bytes32 indexed logId,
        address indexed registrant,
        string originLine,
        address headKey,
        address guardian,
        uint64 maxGrowth
    );

    /// @notice The head of a log moved. Emitted exactly when the (size, root) that `head` returns changes.
    event HeadAnchored(bytes32 indexed logId, uint64 size, bytes32 root);

    /// @notice The guardian proposed another head key; `rotateHeadKey` installs it from `readyAt` on.
    event HeadKeyProposed(bytes32 indexed logId, address indexed proposedKey, uint64 readyAt);

    /// @notice The guardian withdrew a proposed head key.
    event HeadKeyProposalCancelled(bytes32 indexed logId, address indexed proposedKey);

    /// @notice A head key was replaced. Signatures of the previous key are worthless from here on.
    event HeadKeyRotated(bytes32 indexed logId, address indexed previousKey, address indexed newKey);

    /// @notice A log was frozen at this head and will never move again.
    event LogFrozen(bytes32 indexed logId, uint64 size, bytes32 root);

    /// @notice The guardian recorded an earlier head of a frozen log as the last one to rely on.
    event LastGoodHeadRecorded(bytes32 indexed logId, uint64 size, bytes32 root);

    /// @notice A frozen log is continued by another one, from this head on.
    event LogSucceeded(bytes32 indexed logId, bytes32 indexed successorId, uint64 size, bytes32 root);

    /// @dev No log has this id.
    error LogAnchorUnknownLog(bytes32 logId);
    /// @dev The caller already registered a log of this origin.
    error LogAnchorLogExists(bytes32 logId);
    /// @dev The origin line is empty, too long or holds a line break.
    error LogAnchorInvalidOrigin();
    /// @dev The head key is zero, the guardian, or the head key already in use.
    error LogAnchorInvalidHeadKey(address headKey);
    /// @dev The guardian is zero.
    error LogAnchorInvalidGuardian(address guardian);
    /// @dev The growth limit is zero or 2^40 and more.
    error LogAnchorInvalidMaxGrowth(uint64 maxGrowth);
    /// @dev The caller is not the log's guardian.
    error LogAnchorUnauthorized(bytes32 logId, address account);
    /// @dev The log is frozen.
    error LogAnchorFrozen(bytes32 logId);
    /// @dev The log is not frozen.
    error LogAnchorNotFrozen(bytes32 logId);
    /// @dev The head is older than the one that the log holds.
    error LogAnchorStaleSize(bytes32 logId, uint64 currentSize, uint64 size);
    /// @dev Another root of the same size is anchored: a split view, or a bug that looks like one.
    error LogAnchorConflictingRoot(bytes32 logId, uint64 size, bytes32 currentRoot, bytes32 root);
    /// @dev The head is 2^48 leaves or more, or more than `maxGrowth` beyond the one that the log holds.
    error LogAnchorGrowthExceeded(bytes32 logId, uint64 currentSize, uint64 size);
    /// @dev The proof does not show that the second tree extends the first.
    error LogAnchorInconsistent(bytes32 logId, uint64 firstSize, uint64 secondSize);
    /// @dev The signature is malformed, malleable or not by the head key.
    error LogAnchorInvalidSignature(bytes32 logId);
    /// @dev No head key is proposed.
    error LogAnchorNoProposal(bytes32 logId);
    /// @dev The delay of the proposed head key is not over.
    error LogAnchorRotationNotReady(bytes32 logId, uint64 readyAt);
    /// @dev The log has a successor already.
    error LogAnchorAlreadySucceeded(bytes32 logId, bytes32 successorId);
    /// @dev The chain has no working SHA-256 precompile.
    error LogAnchorSha256Unavailable();

    /// @notice Registers a log. Its head is that of the empty tree: size 0, root SHA-256("").
    /// @dev The id is `logIdOf(msg.sender, originLine)`, so nobody can take another's origin.
    /// @param originLine The origin line of the log's checkpoints (C2SP tlog-checkpoint).
    /// @param headKey The address of the key that signs tree heads.
    /// @param guardian The address that may rotate the head key, freeze the log and register its successor. Not the head key.
    /// @param maxGrowth How many leaves one anchor may add at most, 1 to 2^40 - 1: a bound on what a stolen head key does at once.
    /// @return logId The log's id.
    function register(string calldata originLine, address headKey, address guardian, uint64 maxGrowth)
        external
        returns (bytes32 logId);

    /// @notice Registers the one log that continues a frozen log. Its head is the frozen log's last good head, so consistency is
    /// enforced across the break. Only the frozen log's guardian may call, who is thereby the successor's registrant.
    /// @param predecessorId The frozen log.
    /// @param originLine The origin line of the successor's checkpoints.
    /// @param headKey The address of the key that signs the successor's tree heads.
    /// @param guardian The successor's guardian.
    /// @param maxGrowth The successor's growth limit.
    /// @return logId The successor's id.
    function registerSuccessor(
        bytes32 predecessorId,
        string calldata originLine,
        address headKey,
        address guardian,
        uint64 maxGrowth
    ) external returns (bytes32 logId);

    /// @notice Moves a log's head forward. Anyone may call: the authority is the head key's signature.
    /// @dev The head that the log already holds succeeds and changes nothing (neither proof nor signature is looked at), so that a
    /// submitter may repeat itself. From size 0 the proof must be empty; `maxGrowth` applies to that anchor as to any other. A
    /// frozen log refuses every head, its own too.
    /// @param logId The log.
    /// @param size The tree size.
    /// @param root The root hash of the tree of that size.
    /// @param proof The consistency proof from the log's head to this one.
    /// @param signature The head key's signature over `hashTreeHead(logId, size, root)`: r || s || v.
    function anchor(bytes32 logId, uint64 size, bytes32 root, bytes32[] calldata proof, bytes calldata signature)
        external;

    /// @notice Does `anchor` for each head in order: all of them or, if one reverts, none.
    /// @param heads The heads; several may be of one log.
    function anchorMany(SignedHead[] calldata heads) external;

    /// @notice Proposes another head key, replacing an earlier proposal and starting the delay anew. Guardian only.
    /// @param logId The log.
    /// @param newKey The address of the new head key.
    function proposeHeadKey(bytes32 logId, address newKey) external;

    /// @notice Withdraws the proposed head key. Guardian only.
    /// @param logId The log.
    function cancelHeadKey(bytes32 logId) external;

    /// @notice Installs the proposed head key once `ROTATION_DELAY` has passed. Guardian only; the head key has no say.
    /// @param logId The log.
    function rotateHeadKey(bytes32 logId) external;

    /// @notice Freezes a log for good; its last good head is the current one until `recordLastGoodHead` names an earlier one.
    /// Guardian only.
    /// @dev Takes no head and no proof on purpose: whoever stole the head key could make any such argument stale by anchoring
    /// once more ahead of the guardian's transaction.
    /// @param logId The log.
    function freeze(bytes32 logId) external;

    /// @notice Records an earlier head of a frozen log as the last one to rely on. It may be repeated, always to a smaller size,
    /// until the log has a successor. Guardian only.
    /// @param logId The frozen log.
    /// @param size The size of the last good tree; may be 0.
    /// @param root Its root.
    /// @param path The consistency proof from it to the last good head recorded so far; empty from size 0.
    function recordLastGoodHead(bytes32 logId, uint64 size, bytes32 root, bytes32[] calldata path) external;

    /// @notice The head that a log holds, and what a submitter needs to know to move it.
    /// @param logId The log.
    /// @return size The tree size.
    /// @return root The root hash; SHA-256("") at size 0.
    /// @return headKey The key that must sign the next head.
    /// @return maxGrowth How many leaves one anchor may add.
    /// @return frozen Whether the log is frozen; if it is, rely on `logState(logId).lastGoodSize` and `lastGoodRoot` instead.
    function head(bytes32 logId)
        external
        view
        returns (uint64 size, bytes32 root, address headKey, uint64 maxGrowth, bool frozen);

    /// @notice Everything about a log that is not its head.
    /// @param logId The log.
    /// @return state The state.
    function logState(bytes32 logId) external view returns (LogState memory state);

    /// @notice Whether a leaf is in the log, proven under its head (of a frozen log: its last good head).
    /// @param logId The log.
    /// @param leafHash The leaf hash, SHA-256(0x00 || entry).
    /// @param index The leaf's index.
    /// @param proof The inclusion proof (RFC 9162 section 2.1.3).
    /// @return included Whether the proof holds.
    function verifyInclusion(bytes32 logId, bytes32 leafHash, uint64 index, bytes32[] calldata proof)
        external
        view
        returns (bool included);

    /// @notice Whether the log's head (of a frozen log: its last good head) extends the tree of this size and root.
    /// @param logId The log.
    /// @param size The size of the past head.
    /// @param root The root of the past head.
    /// @param path The consistency proof from it to the log's head; empty for the head itself and for the empty tree.
    /// @return past Whether the proof holds.
    function isPastHead(bytes32 logId, uint64 size, bytes32 root, bytes32[] calldata path)
        external
        view
        returns (bool past);

    /// @notice The id of the log that a registrant registers under an origin line: keccak256(abi.encode(registrant, originLine)).
    /// @param registrant Who calls `register`, or the guardian who calls `registerSuccessor`.
    /// @param originLine The origin line.
    /// @return logId The id.
    function logIdOf(address registrant, string calldata originLine) external pure returns (bytes32 logId);

    /// @notice The EIP-712 digest of `TreeHead(bytes32 logId,uint64 size,bytes32 root)` that the head key signs.
    /// @param logId The log.
    /// @param size The tree size.
    /// @param root The root hash.
    /// @return digest The digest.
    function hashTreeHead(bytes32 logId, uint64 size, bytes32 root) external view returns (bytes32 digest);

    /// @notice The EIP-712 domain of those signatures, as ERC-5267 describes it.
    function eip712Domain()
        external
        view
        returns (
            bytes1 fields,
            string memory name,
            string memory version,
            uint256 chainId,
            address verifyingContract,
            bytes32 salt,
            uint256[] memory extensions
        );

    /// @notice Seconds between the proposal of a head key and the first moment it can be installed.
    function ROTATION_DELAY() external view returns (uint64);
}
