// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ILogAnchor} from "../src/ILogAnchor.sol";
import {LogAnchorFixture} from "./fixture/LogAnchorFixture.sol";
import {MerkleProver} from "./oracle/MerkleProver.sol";
import {RFC9162Harness} from "./RFC9162.t.sol";

/// @notice What thieves would do.
contract LogAnchorAttacksTest is LogAnchorFixture {
    using MerkleProver for MerkleProver.Tree;

    uint64 private constant SIZE = 1_000_003;

    MerkleProver.Tree private _extended;
    address private _thief;
    uint256 private _thiefSecret;

    /// @dev The log holds 1,000,003 leaves. What the thief knows of them is public: the hashes of the complete subtrees that
    /// make up its root. A tree that is invented beyond them is consistent with it at any size, without knowing one leaf.
    function _setUpExtension(uint64 size) private {
        (_thief, _thiefSecret) = makeAddrAndKey("thief");
        _extended = MerkleProver.sparse(7, SIZE, size);
        bytes32 root = _rootOfExtension(SIZE);
        vm.prank(registrant);
        logId = anchors.register("log.example/large", headKey, guardian, SIZE);
        anchors.anchor(logId, SIZE, root, noProof(), signHead(SIZE, root));
    }

    function _rootOfExtension(uint64 size) private view returns (bytes32) {
        MerkleProver.Tree memory t = _extended;
        return t.root(size);
    }

    function _proofOfExtension(uint64 size) private view returns (bytes32[] memory) {
        MerkleProver.Tree memory t = _extended;
        return t.consistencyProof(SIZE, size);
    }

    /// @dev An honest log can never anchor again behind 2^64 - 1. The proof is flawless; it has to fail for other reasons.
    function test_ExtensionTo2To64_ByTheGasWallet() public {
        uint64 size = type(uint64).max;
        _setUpExtension(size);
        bytes32 root = _rootOfExtension(size);
        bytes32[] memory proof = _proofOfExtension(size);
        assertEq(proof.length, 65);
        assertTrue(new RFC9162Harness().verifyConsistency(SIZE, _rootOfExtension(SIZE), size, root, proof));

        bytes memory signature = signDigest(_thiefSecret, anchors.hashTreeHead(logId, size, root));
        vm.expectRevert(abi.encodeWithSelector(ILogAnchor.LogAnchorGrowthExceeded.selector, logId, SIZE, size));
        vm.prank(gasWallet);
        anchors.anchor(logId, size, root, proof, signature);
    }

    /// @dev Within the growth limit it is the missing signature that stops the owner of the gas wallet's key.
    function test_ExtensionWithinTheGrowthLimit_ByTheGasWallet() public {
        uint64 size = 2 * SIZE;
        _setUpExtension(size);
        bytes32 root = _rootOfExtension(size);
        bytes32[] memory proof = _proofOfExtension(size);
        assertTrue(new RFC9162Harness().verifyConsistency(SIZE, _rootOfExtension(SIZE), size, root, proof));
        bytes memory signature = signDigest(_thiefSecret, anchors.hashTreeHead(logId, size, root));
        vm.expectRevert(abi.encodeWithSelector(ILogAnchor.LogAnchorInvalidSignature.selector, logId));
        vm.prank(gasWallet);
        anchors.anchor(logId, size, root, proof, signature);
    }

    /// @dev With the head key itself the thief gets as far as the growth limit in a transaction, and no further.
    function test_ExtensionTo2To64_ByTheHeadKey() public {
        uint64 size = type(uint64).max;
        _setUpExtension(size);
        bytes32 root = _rootOfExtension(size);
        bytes32[] memory proof = _proofOfExtension(size);
        bytes memory signature = signHead(size, root);
        vm.expectRevert(abi.encodeWithSelector(ILogAnchor.LogAnchorGrowthExceeded.selector, logId, SIZE, size));
        anchors.anchor(logId, size, root, proof, signature);
    }

    /// @dev A stolen head key, from the theft to the end: the log is poisoned within its growth limit; the guardian freezes it,
    /// whatever the thief anchors ahead of that transaction; takes it back to the last honest head; and the successor, under a new
    /// key, goes on from there with the honest leaves.
    function test_StolenHeadKey_IsRecoveredFrom() public {
        uint64 size = 2 * SIZE;
        _setUpExtension(size);
        bytes32 honestRoot = _rootOfExtension(SIZE);
        bytes32 poison = _rootOfExtension(size);
        anchors.anchor(logId, size, poison, _proofOfExtension(size), signHead(size, poison));

        vm.startPrank(guardian);
        anchors.freeze(logId);
        anchors.recordLastGoodHead(logId, SIZE, honestRoot, _proofOfExtension(size));
        bytes32 successor = anchors.registerSuccessor(logId, "log.example/large/2", makeAddr("key 2"), guardian, SIZE);
        vm.stopPrank();

        MerkleProver.Tree memory honest = MerkleProver.sparse(7, SIZE, SIZE + 1000);
        assertEq(honest.root(SIZE), honestRoot);
        bytes32 root = honest.root(SIZE + 1000);
        (, uint256 secret) = makeAddrAndKey("key 2");
        bytes memory signature = signDigest(secret, anchors.hashTreeHead(successor, SIZE + 1000, root));
        anchors.anchor(successor, SIZE + 1000, root, honest.consistencyProof(SIZE, SIZE + 1000), signature);
        (uint64 current,,,,) = anchors.head(successor);
        assertEq(current, SIZE + 1000);

        signature = signDigest(headKeySecret, anchors.hashTreeHead(successor, SIZE + 1001, "more poison"));
        vm.expectRevert(abi.encodeWithSelector(ILogAnchor.LogAnchorInvalidSignature.selector, successor));
        anchors.anchor(successor, SIZE + 1001, "more poison", noProof(), signature);
    }

    /// @dev Everything that a key without a role can send, at every log.
    function testFuzz_GasWalletHasNoAuthority(
        uint64 size,
        bytes32 root,
        bytes32[] calldata proof,
        bytes calldata signature
    ) public {
        anchorAt(5);
        (, bytes32 before,,,) = anchors.head(logId);
        vm.startPrank(gasWallet);
        try anchors.anchor(logId, size, root, proof, signature) {
            assertTrue(size == 5 && root == before);
        } catch {}
        vm.expectRevert();
        anchors.freeze(logId);
        vm.expectRevert();
        anchors.proposeHeadKey(logId, gasWallet);
        vm.expectRevert();
        anchors.cancelHeadKey(logId);
        vm.expectRevert();
        anchors.rotateHeadKey(logId);
        vm.expectRevert();
        anchors.recordLastGoodHead(logId, size, root, proof);
        vm.expectRevert();
        anchors.registerSuccessor(logId, "x", gasWallet, guardian, 1);
        vm.stopPrank();
        assertHead(5, before);
    }

    /// @dev With any amount of gas an anchor is made or nothing is: a call that runs dry in a precompile must not be mistaken for
    /// a refusal of the proof or of the signature, let alone for a success.
    function test_TooLittleGasChangesNothing() public {
        anchorAt(21);
        bytes32 root = rootAt(45);
        bytes memory call = abi.encodeCall(anchors.anchor, (logId, 45, root, proofBetween(21, 45), signHead(45, root)));
        uint256 snapshot = vm.snapshotState();
        uint256 made;
        for (uint256 gas = 1000; gas < 60_000; gas += 41) {
            (bool success, bytes memory answer) = address(anchors).call{gas: gas}(call);
            if (success) {
                assertHead(45, root);
                ++made;
                vm.revertToState(snapshot);
            } else {
                assertHead(21, rootAt(21));
                assertNotEq(bytes4(answer), ILogAnchor.LogAnchorInconsistent.selector);
            }
        }
        assertGt(made, 10);
    }
}
