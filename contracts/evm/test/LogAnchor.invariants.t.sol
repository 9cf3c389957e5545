// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {CommonBase} from "forge-std/Base.sol";
import {StdUtils} from "forge-std/StdUtils.sol";

import {ILogAnchor} from "../src/ILogAnchor.sol";
import {LogAnchor} from "../src/LogAnchor.sol";
import {LogAnchorFixture} from "./fixture/LogAnchorFixture.sol";
import {MerkleProver} from "./oracle/MerkleProver.sol";

/// @notice Everybody who touches a log, honest or not, at random. Whatever is refused is caught here and counted, so that a revert
/// that gets out of the handler is a failure of the test itself.
contract LogAnchorHandler is CommonBase, StdUtils {
    using MerkleProver for MerkleProver.Tree;

    uint64 private constant MAX_SIZE = 160;

    LogAnchor public immutable anchors;
    bytes32 public immutable logId;
    address private immutable _guardian;
    uint256 private immutable _headKeySecret;
    uint256 private immutable _treeSeed;

    uint64[] public history; // every size that was anchored, in order
    uint64 public frozenSize;
    bool public frozen;
    bytes32 public successor;
    uint256 public anchorsMade;
    uint256 public trespasses; // what succeeded and should not have

    constructor(LogAnchor anchors_, bytes32 logId_, address guardian, uint256 headKeySecret, uint256 treeSeed) {
        (anchors, logId, _guardian, _headKeySecret, _treeSeed) = (anchors_, logId_, guardian, headKeySecret, treeSeed);
        history.push(0);
    }

    /// @dev The honest operator.
    function anchorHonest(uint64 growth) external {
        uint64 current = _last();
        uint64 size = current + uint64(bound(growth, 0, 12));
        if (size > MAX_SIZE) return;
        bool success = _anchor(_headKeySecret, size, _tree().root(size), _proof(_tree(), current, size));
        if (success == frozen) ++trespasses;
        if (success && size > current) {
            history.push(size);
            ++anchorsMade;
        }
    }

    /// @dev An old head, signed and proven as it was: everybody has these from the chain.
    function replay(uint256 which) external {
        uint64 size = history[which % history.length];
        uint64 before = which % history.length == 0 ? 0 : history[which % history.length - 1];
        bool success = _anchor(_headKeySecret, size, _tree().root(size), _proof(_tree(), before, size));
        if (success && (frozen || size != _last())) ++trespasses;
    }

    /// @dev A stolen head key signs another history, with the best proof that this history has.
    function anchorRewritten(uint64 growth, uint256 seed) external {
        uint64 current = _last();
        uint64 size = uint64(bound(growth, 1, MAX_SIZE));
        if (current == 0 || seed == _treeSeed) return;
        MerkleProver.Tree memory other = MerkleProver.dense(seed);
        if (_anchor(_headKeySecret, size, other.root(size), _proof(other, current, size))) ++trespasses;
    }

    /// @dev The gas wallet, or anybody, with heads that are honest in all but the signature.
    function anchorUnsigned(uint64 growth, uint256 secret) external {
        uint64 current = _last();
        uint64 size = current + uint64(bound(growth, 1, 12));
        secret = bound(secret, 1, 1 << 200);
        if (secret == _headKeySecret) return;
        if (_anchor(secret, size, _tree().root(size), _proof(_tree(), current, size))) ++trespasses;
    }

    /// @dev Anybody in the guardian's place.
    function usurp(address caller, uint256 what) external {
        if (caller == _guardian) return;
        vm.prank(caller);
        (bool success,) = address(anchors).call(_guardianCall(what % 6, caller));
        if (success) ++trespasses;
    }

    /// @dev Seldom, or there would be little to see.
    function freeze(uint256 dice) external {
        if (dice % 16 != 0 || frozen) return;
        vm.prank(_guardian);
        anchors.freeze(logId);
        frozen = true;
        frozenSize = _last();
    }

    function recordLastGoodHead(uint64 size) external {
        if (!frozen || frozenSize == 0) return;
        uint64 last = anchors.logState(logId).lastGoodSize;
        size = uint64(bound(size, 0, frozenSize));
        bytes memory call =
            abi.encodeCall(anchors.recordLastGoodHead, (logId, size, _tree().root(size), _proof(_tree(), size, last)));
        vm.prank(_guardian);
        (bool success,) = address(anchors).call(call);
        if (success != (size < last && successor == 0)) ++trespasses;
    }

    function registerSuccessor(uint256 dice) external {
        if (dice % 8 != 0) return;
        vm.prank(_guardian);
        (bool success, bytes memory answer) = address(anchors)
            .call(abi.encodeCall(anchors.registerSuccessor, (logId, "successor", address(this), _guardian, 1)));
        if (success != (frozen && successor == 0)) ++trespasses;
        if (success) successor = abi.decode(answer, (bytes32));
    }

    function historyLength() external view returns (uint256) {
        return history.length;
    }

    function rootAt(uint64 size) external view returns (bytes32) {
        return _tree().root(size);
    }

    function proofBetween(uint64 first, uint64 second) external view returns (bytes32[] memory) {
        return _proof(_tree(), first, second);
    }

    function _anchor(uint256 secret, uint64 size, bytes32 root, bytes32[] memory proof) private returns (bool success) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(secret, anchors.hashTreeHead(logId, size, root));
        (success,) = address(anchors)
            .call(abi.encodeCall(anchors.anchor, (logId, size, root, proof, abi.encodePacked(r, s, v))));
    }

    function _guardianCall(uint256 what, address caller) private view returns (bytes memory) {
        if (what == 0) return abi.encodeCall(anchors.freeze, (logId));
        if (what == 1) return abi.encodeCall(anchors.proposeHeadKey, (logId, caller));
        if (what == 2) return abi.encodeCall(anchors.cancelHeadKey, (logId));
        if (what == 3) return abi.encodeCall(anchors.rotateHeadKey, (logId));
        if (what == 4) {
            return abi.encodeCall(anchors.recordLastGoodHead, (logId, 0, _tree().root(0), new bytes32[](0)));
        }
        return abi.encodeCall(anchors.registerSuccessor, (logId, "usurped", caller, _guardian, 1));
    }

    function _last() private view returns (uint64) {
        return history[history.length - 1];
    }

    function _tree() private view returns (MerkleProver.Tree memory) {
        return MerkleProver.dense(_treeSeed);
    }

    function _proof(MerkleProver.Tree memory tree, uint64 first, uint64 second)
        private
        pure
        returns (bytes32[] memory)
    {
        return first == 0 || first >= second ? new bytes32[](0) : tree.consistencyProof(first, second);
    }
}

contract LogAnchorInvariantsTest is LogAnchorFixture {
    LogAnchorHandler private _handler;
    bytes32 private _bystander;

    function setUp() public override {
        super.setUp();
        _handler = new LogAnchorHandler(anchors, logId, guardian, headKeySecret, uint256(keccak256("honest tree")));
        vm.prank(registrant);
        _bystander = anchors.register("log.example/bystander", headKey, guardian, MAX_GROWTH);
        targetContract(address(_handler));
    }

    /// @dev One function, since each has a campaign of its own.
    function invariant_LogAnchor() public view {
        _headIsTheLastHonestOne();
        _frozenLogsNeverMove();
        _lastGoodHeadIsHonest();
        _otherLogsAreUntouched();
    }

    /// @dev The head is always the last honest one: the size never falls, no root gets in that does not extend the one before,
    /// and nobody without the head key's signature moves it.
    function _headIsTheLastHonestOne() private view {
        uint64 size = _handler.history(_handler.historyLength() - 1);
        assertHead(size, _handler.rootAt(size));
        assertEq(_handler.trespasses(), 0, "something succeeded that must not, or the reverse");
    }

    function _frozenLogsNeverMove() private view {
        (uint64 size,,,, bool frozen) = anchors.head(logId);
        assertEq(frozen, _handler.frozen());
        if (frozen) assertEq(size, _handler.frozenSize());
    }

    /// @dev A frozen log's last good head is an honest one, no larger than the frozen head; the successor starts there.
    function _lastGoodHeadIsHonest() private view {
        ILogAnchor.LogState memory state = anchors.logState(logId);
        assertEq(state.successor, _handler.successor());
        if (!_handler.frozen()) {
            assertEq(state.lastGoodRoot, 0);
            return;
        }
        assertLe(state.lastGoodSize, _handler.frozenSize());
        assertEq(state.lastGoodRoot, _handler.rootAt(state.lastGoodSize));
        if (state.successor != 0) {
            (uint64 size, bytes32 root,,,) = anchors.head(state.successor);
            assertEq(size, state.lastGoodSize);
            assertEq(root, state.lastGoodRoot);
        }
    }

    function _otherLogsAreUntouched() private view {
        (uint64 size, bytes32 root, address key,, bool frozen) = anchors.head(_bystander);
        assertEq(size, 0);
        assertEq(root, EMPTY_ROOT);
        assertEq(key, headKey);
        assertFalse(frozen);
    }

    /// @dev After each run, every head ever anchored is proven once more.
    function afterInvariant() public view {
        uint64 good = _handler.historyLength() == 1 ? 0 : _handler.history(_handler.historyLength() - 1);
        if (_handler.frozen()) good = anchors.logState(logId).lastGoodSize;
        for (uint256 i = 0; i < _handler.historyLength(); ++i) {
            uint64 size = _handler.history(i);
            bool past = anchors.isPastHead(logId, size, _handler.rootAt(size), _handler.proofBetween(size, good));
            assertEq(past, size <= good);
        }
    }
}
