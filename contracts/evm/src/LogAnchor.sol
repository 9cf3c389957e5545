// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ILogAnchor} from "./ILogAnchor.sol";
import {RFC9162} from "./RFC9162.sol";

/// @title LogAnchor
/// @notice See {ILogAnchor}. No owner, no upgrade, no delete, and no way to move a head without a proof.
///
/// Only the newest head of a log is stored. An older one is proven again whenever it is needed (`isPastHead`), and every entry
/// ever logged is provable under the newest head, so an anchor writes two slots that it has written before.
contract LogAnchor is ILogAnchor {
    /// @dev The first two slots are all that `anchor` touches. maxGrowth has 40 bits, size has 48: see MAX_SIZE.
    struct Log {
        bytes32 root;
        uint48 size;
        uint40 maxGrowth;
        bool frozen;
        address headKey; // never zero in a registered log, which is how one is told from an unknown id
        address guardian;
        uint64 rotationReadyAt;
        address pendingHeadKey;
        uint48 lastGoodSize;
        bytes32 lastGoodRoot;
        bytes32 predecessor;
        bytes32 successor;
    }

    /// @inheritdoc ILogAnchor
    uint64 public constant ROTATION_DELAY = 2 days;

    /// @dev Sizes stay below this, far more than a log can honestly reach and far from every arithmetic edge.
    uint256 private constant MAX_SIZE = 1 << 48;

    uint256 private constant MAX_ORIGIN_LENGTH = 255;

    bytes32 private constant DOMAIN_TYPEHASH =
        keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");
    bytes32 private constant TREE_HEAD_TYPEHASH = keccak256("TreeHead(bytes32 logId,uint64 size,bytes32 root)");
    string private constant NAME = "Writ LogAnchor";
    string private constant VERSION = "1";

    /// @dev Half the order of secp256k1: every signature has a twin with s above it, which is refused (EIP-2).
    uint256 private constant MAX_S = 0x7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0;

    uint256 private immutable _deploymentChainId;
    bytes32 private immutable _deploymentDomainSeparator;

    mapping(bytes32 logId => Log) private _logs;

    /// @dev Where there is no SHA-256 precompile a call to it succeeds and returns nothing. Better not to exist on such a chain.
    constructor() {
        if (sha256("") != RFC9162.EMPTY_ROOT) revert LogAnchorSha256Unavailable();
        _deploymentChainId = block.chainid;
        _deploymentDomainSeparator = _buildDomainSeparator();
    }

    /// @inheritdoc ILogAnchor
    function register(string calldata originLine, address headKey, address guardian, uint64 maxGrowth)
        external
        returns (bytes32 logId)
    {
        return _register(originLine, headKey, guardian, maxGrowth, 0, RFC9162.EMPTY_ROOT);
    }

    /// @inheritdoc ILogAnchor
    function registerSuccessor(
        bytes32 predecessorId,
        string calldata originLine,
        address headKey,
        address guardian,
        uint64 maxGrowth
    ) external returns (bytes32 logId) {
        Log storage predecessor = _frozenLogOfGuardian(predecessorId);
        uint48 size = predecessor.lastGoodSize;
        bytes32 root = predecessor.lastGoodRoot;
        logId = _register(originLine, headKey, guardian, maxGrowth, size, root);
        _logs[logId].predecessor = predecessorId;
        predecessor.successor = logId;
        emit LogSucceeded(predecessorId, logId, size, root);
        if (size != 0) emit HeadAnchored(logId, size, root);
    }

    /// @inheritdoc ILogAnchor
    function anchor(bytes32 logId, uint64 size, bytes32 root, bytes32[] calldata proof, bytes calldata signature)
        external
    {
        _anchor(logId, size, root, proof, signature);
    }

    /// @inheritdoc ILogAnchor
    function anchorMany(SignedHead[] calldata heads) external {
        for (uint256 i = 0; i < heads.length; ++i) {
            SignedHead calldata h = heads[i];
            _anchor(h.logId, h.size, h.root, h.proof, h.signature);
        }
    }

    /// @inheritdoc ILogAnchor
    function proposeHeadKey(bytes32 logId, address newKey) external {
        Log storage log = _movingLogOfGuardian(logId);
        _requireHeadKey(newKey, msg.sender);
        if (newKey == log.headKey) revert LogAnchorInvalidHeadKey(newKey);
        uint64 readyAt = uint64(block.timestamp) + ROTATION_DELAY;
        log.pendingHeadKey = newKey;
        log.rotationReadyAt = readyAt;
        emit HeadKeyProposed(logId, newKey, readyAt);
    }

    /// @inheritdoc ILogAnchor
    function cancelHeadKey(bytes32 logId) external {
        Log storage log = _movingLogOfGuardian(logId);
        emit HeadKeyProposalCancelled(logId, _takeProposal(logId, log));
    }

    /// @inheritdoc ILogAnchor
    function rotateHeadKey(bytes32 logId) external {
        Log storage log = _movingLogOfGuardian(logId);
        uint64 readyAt = log.rotationReadyAt;
        // forge-lint: disable-next-line(block-timestamp): seconds do not matter to a delay of days
        if (block.timestamp < readyAt) revert LogAnchorRotationNotReady(logId, readyAt);
        address previousKey = log.headKey;
        address newKey = _takeProposal(logId, log);
        log.headKey = newKey;
        emit HeadKeyRotated(logId, previousKey, newKey);
    }

    /// @inheritdoc ILogAnchor
    function freeze(bytes32 logId) external {
        Log storage log = _movingLogOfGuardian(logId);
        log.frozen = true;
        log.lastGoodSize = log.size;
        log.lastGoodRoot = log.root;
        delete log.pendingHeadKey;
        delete log.rotationReadyAt;
        emit LogFrozen(logId, log.size, log.root);
    }

    /// @inheritdoc ILogAnchor
    function recordLastGoodHead(bytes32 logId, uint64 size, bytes32 root, bytes32[] calldata path) external {
        Log storage log = _frozenLogOfGuardian(logId);
        uint64 lastGoodSize = log.lastGoodSize;
        if (size >= lastGoodSize || !_extends(size, root, lastGoodSize, log.lastGoodRoot, path)) {
            revert LogAnchorInconsistent(logId, size, lastGoodSize);
        }
        // forge-lint: disable-next-line(unsafe-typecast): size is below the uint48 compared with above
        log.lastGoodSize = uint48(size);
        log.lastGoodRoot = root;
        emit LastGoodHeadRecorded(logId, size, root);
    }

    /// @inheritdoc ILogAnchor
    function head(bytes32 logId)
        external
        view
        returns (uint64 size, bytes32 root, address headKey, uint64 maxGrowth, bool frozen)
    {
        Log storage log = _knownLog(logId);
        return (log.size, log.root, log.headKey, log.maxGrowth, log.frozen);
    }

    /// @inheritdoc ILogAnchor
    function logState(bytes32 logId) external view returns (LogState memory state) {
        Log storage log = _knownLog(logId);
        return LogState({
            guardian: log.guardian,
            pendingHeadKey: log.pendingHeadKey,
            rotationReadyAt: log.rotationReadyAt,
            predecessor: log.predecessor,
            successor: log.successor,
            lastGoodSize: log.lastGoodSize,
            lastGoodRoot: log.lastGoodRoot
        });
    }

    /// @inheritdoc ILogAnchor
    function verifyInclusion(bytes32 logId, bytes32 leafHash, uint64 index, bytes32[] calldata proof)
        external
        view
        returns (bool included)
    {
        (uint256 size, bytes32 root) = _goodHead(logId);
        return RFC9162.verifyInclusion(leafHash, index, size, root, proof);
    }

    /// @inheritdoc ILogAnchor
    function isPastHead(bytes32 logId, uint64 size, bytes32 root, bytes32[] calldata path)
        external
        view
        returns (bool past)
    {
        (uint256 currentSize, bytes32 currentRoot) = _goodHead(logId);
        return _extends(size, root, currentSize, currentRoot, path);
    }

    /// @inheritdoc ILogAnchor
    function logIdOf(address registrant, string calldata originLine) public pure returns (bytes32 logId) {
        return keccak256(abi.encode(registrant, originLine));
    }

    /// @inheritdoc ILogAnchor
    function hashTreeHead(bytes32 logId, uint64 size, bytes32 root) public view returns (bytes32 digest) {
        bytes32 structHash = keccak256(abi.encode(TREE_HEAD_TYPEHASH, logId, size, root));
        return keccak256(abi.encodePacked(hex"1901", _domainSeparator(), structHash));
    }

    /// @inheritdoc ILogAnchor
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
        )
    {
        return (hex"0f", NAME, VERSION, block.chainid, address(this), bytes32(0), new uint256[](0));
    }

    function _register(
        string calldata originLine,
        address headKey,
        address guardian,
        uint64 maxGrowth,
        uint48 size,
        bytes32 root
    ) private returns (bytes32 logId) {
        _requireOrigin(bytes(originLine));
        if (guardian == address(0)) revert LogAnchorInvalidGuardian(guardian);
        _requireHeadKey(headKey, guardian);
        if (maxGrowth == 0 || maxGrowth > type(uint40).max) revert LogAnchorInvalidMaxGrowth(maxGrowth);

        logId = logIdOf(msg.sender, originLine);
        Log storage log = _logs[logId];
        if (log.headKey != address(0)) revert LogAnchorLogExists(logId);
        log.root = root;
        log.size = size;
        // forge-lint: disable-next-line(unsafe-typecast): checked above
        log.maxGrowth = uint40(maxGrowth);
        log.headKey = headKey;
        log.guardian = guardian;
        emit LogRegistered(logId, msg.sender, originLine, headKey, guardian, maxGrowth);
    }

    /// @dev The one function that moves a head.
    function _anchor(bytes32 logId, uint64 size, bytes32 root, bytes32[] calldata proof, bytes calldata signature)
        private
    {
        Log storage log = _logs[logId];
        address headKey = log.headKey;
        uint64 currentSize = log.size;
        bytes32 currentRoot = log.root;

        if (headKey == address(0)) revert LogAnchorUnknownLog(logId);
        if (log.frozen) revert LogAnchorFrozen(logId);
        if (size < currentSize) revert LogAnchorStaleSize(logId, currentSize, size);
        if (size == currentSize) {
            if (root != currentRoot) revert LogAnchorConflictingRoot(logId, size, currentRoot, root);
            return;
        }
        if (size >= MAX_SIZE || size - currentSize > log.maxGrowth) {
            revert LogAnchorGrowthExceeded(logId, currentSize, size);
        }
        if (_recover(hashTreeHead(logId, size, root), signature) != headKey) revert LogAnchorInvalidSignature(logId);
        if (!_extends(currentSize, currentRoot, size, root, proof)) {
            revert LogAnchorInconsistent(logId, currentSize, size);
        }

        log.root = root;
        // forge-lint: disable-next-line(unsafe-typecast): below MAX_SIZE
        log.size = uint48(size);
        emit HeadAnchored(logId, size, root);
    }

    /// @dev Takes the proposed key out of the log.
    function _takeProposal(bytes32 logId, Log storage log) private returns (address proposedKey) {
        proposedKey = log.pendingHeadKey;
        if (proposedKey == address(0)) revert LogAnchorNoProposal(logId);
        delete log.pendingHeadKey;
        delete log.rotationReadyAt;
    }

    function _knownLog(bytes32 logId) private view returns (Log storage log) {
        log = _logs[logId];
        if (log.headKey == address(0)) revert LogAnchorUnknownLog(logId);
    }

    function _logOfGuardian(bytes32 logId) private view returns (Log storage log) {
        log = _knownLog(logId);
        if (msg.sender != log.guardian) revert LogAnchorUnauthorized(logId, msg.sender);
    }

    function _movingLogOfGuardian(bytes32 logId) private view returns (Log storage log) {
        log = _logOfGuardian(logId);
        if (log.frozen) revert LogAnchorFrozen(logId);
    }

    /// @dev A frozen log without a successor: once it has one, its last good head is history that the successor builds on.
    function _frozenLogOfGuardian(bytes32 logId) private view returns (Log storage log) {
        log = _logOfGuardian(logId);
        if (!log.frozen) revert LogAnchorNotFrozen(logId);
        if (log.successor != 0) revert LogAnchorAlreadySucceeded(logId, log.successor);
    }

    /// @dev The head to prove under: what was anchored after the last good head of a frozen log is not to be relied on.
    function _goodHead(bytes32 logId) private view returns (uint256 size, bytes32 root) {
        Log storage log = _knownLog(logId);
        return log.frozen ? (log.lastGoodSize, log.lastGoodRoot) : (log.size, log.root);
    }

    /// @dev Whether the second tree is the first or extends it. Completes RFC9162.verifyConsistency, which is for two different
    /// trees that are not empty: the empty tree and the same tree need no proof, and may not have one.
    function _extends(
        uint256 firstSize,
        bytes32 firstRoot,
        uint256 secondSize,
        bytes32 secondRoot,
        bytes32[] calldata proof
    ) private view returns (bool) {
        if (firstSize == secondSize) return firstRoot == secondRoot && proof.length == 0;
        if (firstSize == 0) return firstRoot == RFC9162.EMPTY_ROOT && proof.length == 0;
        return RFC9162.verifyConsistency(firstSize, firstRoot, secondSize, secondRoot, proof);
    }

    /// @dev The signer, or zero, which is no log's head key.
    function _recover(bytes32 digest, bytes calldata signature) private pure returns (address) {
        if (signature.length != 65) return address(0);
        bytes32 s = bytes32(signature[32:64]);
        if (uint256(s) > MAX_S) return address(0);
        return ecrecover(digest, uint8(signature[64]), bytes32(signature[0:32]), s);
    }

    /// @dev The chain id is asked again each time: after a fork of the chain, the two must not accept each other's signatures.
    function _domainSeparator() private view returns (bytes32) {
        return block.chainid == _deploymentChainId ? _deploymentDomainSeparator : _buildDomainSeparator();
    }

    function _buildDomainSeparator() private view returns (bytes32) {
        return keccak256(
            abi.encode(DOMAIN_TYPEHASH, keccak256(bytes(NAME)), keccak256(bytes(VERSION)), block.chainid, address(this))
        );
    }

    function _requireHeadKey(address headKey, address guardian) private pure {
        if (headKey == address(0) || headKey == guardian) revert LogAnchorInvalidHeadKey(headKey);
    }

    function _requireOrigin(bytes calldata originLine) private pure {
        if (originLine.length == 0 || originLine.length > MAX_ORIGIN_LENGTH) revert LogAnchorInvalidOrigin();
        for (uint256 i = 0; i < originLine.length; ++i) {
            if (originLine[i] == "\n") revert LogAnchorInvalidOrigin();
        }
    }
}
