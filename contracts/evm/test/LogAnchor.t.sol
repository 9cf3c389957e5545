// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ILogAnchor} from "../src/ILogAnchor.sol";
import {LogAnchor} from "../src/LogAnchor.sol";
import {LogAnchorFixture} from "./fixture/LogAnchorFixture.sol";
import {MerkleProver} from "./oracle/MerkleProver.sol";

contract LogAnchorRegisterTest is LogAnchorFixture {
    function test_Register() public {
        bytes32 id = keccak256(abi.encode(address(this), "log.example/another"));
        vm.expectEmit(address(anchors));
        emit ILogAnchor.LogRegistered(id, address(this), "log.example/another", headKey, guardian, 7);
        assertEq(anchors.register("log.example/another", headKey, guardian, 7), id);
        assertEq(anchors.logIdOf(address(this), "log.example/another"), id);

        (uint64 size, bytes32 root, address key, uint64 maxGrowth, bool frozen) = anchors.head(id);
        assertEq(size, 0);
        assertEq(root, sha256(""));
        assertEq(key, headKey);
        assertEq(maxGrowth, 7);
        assertFalse(frozen);

        ILogAnchor.LogState memory state = anchors.logState(id);
        assertEq(state.guardian, guardian);
        assertEq(state.pendingHeadKey, address(0));
        assertEq(state.rotationReadyAt, 0);
        assertEq(state.predecessor, 0);
        assertEq(state.successor, 0);
        assertEq(state.lastGoodSize, 0);
        assertEq(state.lastGoodRoot, 0);
    }

    function test_Register_OriginIsTakenPerRegistrant() public {
        vm.expectRevert(abi.encodeWithSelector(ILogAnchor.LogAnchorLogExists.selector, logId));
        vm.prank(registrant);
        anchors.register(ORIGIN, makeAddr("another key"), guardian, MAX_GROWTH);

        vm.prank(makeAddr("squatter"));
        assertNotEq(anchors.register(ORIGIN, headKey, guardian, MAX_GROWTH), logId);
    }

    function test_Register_Origin() public {
        vm.expectRevert(ILogAnchor.LogAnchorInvalidOrigin.selector);
        anchors.register("", headKey, guardian, MAX_GROWTH);
        vm.expectRevert(ILogAnchor.LogAnchorInvalidOrigin.selector);
        anchors.register("log.example\nlog.victim", headKey, guardian, MAX_GROWTH);
        vm.expectRevert(ILogAnchor.LogAnchorInvalidOrigin.selector);
        anchors.register(string(new bytes(256)), headKey, guardian, MAX_GROWTH);
        anchors.register(string(new bytes(255)), headKey, guardian, MAX_GROWTH);
    }

    function test_Register_Keys() public {
        vm.expectRevert(abi.encodeWithSelector(ILogAnchor.LogAnchorInvalidHeadKey.selector, address(0)));
        anchors.register("x", address(0), guardian, MAX_GROWTH);
        vm.expectRevert(abi.encodeWithSelector(ILogAnchor.LogAnchorInvalidHeadKey.selector, guardian));
        anchors.register("x", guardian, guardian, MAX_GROWTH);
        vm.expectRevert(abi.encodeWithSelector(ILogAnchor.LogAnchorInvalidGuardian.selector, address(0)));
        anchors.register("x", headKey, address(0), MAX_GROWTH);
    }

    function test_Register_MaxGrowth() public {
        vm.expectRevert(abi.encodeWithSelector(ILogAnchor.LogAnchorInvalidMaxGrowth.selector, 0));
        anchors.register("x", headKey, guardian, 0);
        vm.expectRevert(abi.encodeWithSelector(ILogAnchor.LogAnchorInvalidMaxGrowth.selector, 1 << 40));
        anchors.register("x", headKey, guardian, 1 << 40);
        bytes32 id = anchors.register("x", headKey, guardian, (1 << 40) - 1);
        (,,, uint64 maxGrowth,) = anchors.head(id);
        assertEq(maxGrowth, (1 << 40) - 1);
    }

    function test_Constructor_NeedsSha256() public {
        vm.mockCall(address(2), bytes(""), abi.encode(0));
        vm.expectRevert(ILogAnchor.LogAnchorSha256Unavailable.selector);
        new LogAnchor();
    }

    function test_UnknownLog() public {
        bytes memory unknown = abi.encodeWithSelector(ILogAnchor.LogAnchorUnknownLog.selector, bytes32("?"));
        vm.expectRevert(unknown);
        anchors.head("?");
        vm.expectRevert(unknown);
        anchors.logState("?");
        vm.expectRevert(unknown);
        anchors.verifyInclusion("?", 0, 0, noProof());
        vm.expectRevert(unknown);
        anchors.isPastHead("?", 0, EMPTY_ROOT, noProof());
        vm.expectRevert(unknown);
        anchors.anchor("?", 0, 0, noProof(), "");
        vm.expectRevert(unknown);
        anchors.freeze("?");
        vm.expectRevert(unknown);
        anchors.rotateHeadKey("?");
        vm.expectRevert(unknown);
        anchors.registerSuccessor("?", ORIGIN, headKey, guardian, 1);
    }
}

contract LogAnchorAnchorTest is LogAnchorFixture {
    using MerkleProver for MerkleProver.Tree;

    function _expect(bytes memory error) private {
        vm.expectRevert(error);
    }

    function test_Anchor() public {
        for (uint64 size = 1; size < 40; size += 1 + size / 3) {
            bytes32 root = rootAt(size);
            (uint64 current,,,,) = anchors.head(logId);
            vm.expectEmit(address(anchors));
            emit ILogAnchor.HeadAnchored(logId, size, root);
            vm.prank(gasWallet);
            anchors.anchor(logId, size, root, proofBetween(current, size), signHead(size, root));
            assertHead(size, root);
        }
    }

    function test_Anchor_SameHeadAgainChangesNothing() public {
        anchorAt(5);
        vm.record();
        vm.recordLogs();
        anchors.anchor(logId, 5, rootAt(5), noProof(), "");
        (, bytes32[] memory writes) = vm.accesses(address(anchors));
        assertEq(writes.length, 0);
        assertEq(vm.getRecordedLogs().length, 0);
    }

    function test_Anchor_EmptyTreeAgainChangesNothing() public {
        anchors.anchor(logId, 0, EMPTY_ROOT, noProof(), "");
        assertHead(0, EMPTY_ROOT);
        _expect(
            abi.encodeWithSelector(ILogAnchor.LogAnchorConflictingRoot.selector, logId, 0, EMPTY_ROOT, bytes32("x"))
        );
        anchors.anchor(logId, 0, "x", noProof(), "");
    }

    function test_Anchor_SmallerSize() public {
        anchorAt(5);
        bytes32 root = rootAt(4);
        bytes memory signature = signHead(4, root);
        _expect(abi.encodeWithSelector(ILogAnchor.LogAnchorStaleSize.selector, logId, 5, 4));
        anchors.anchor(logId, 4, root, noProof(), signature);
    }

    function test_Anchor_OtherRootOfSameSize() public {
        anchorAt(5);
        bytes32 root = "fork";
        bytes memory signature = signHead(5, root);
        _expect(abi.encodeWithSelector(ILogAnchor.LogAnchorConflictingRoot.selector, logId, 5, rootAt(5), root));
        anchors.anchor(logId, 5, root, noProof(), signature);
    }

    function test_Anchor_FirstTakesNoProof() public {
        bytes32 root = rootAt(5);
        bytes memory signature = signHead(5, root);
        bytes32[] memory proof = proofBetween(1, 5);
        _expect(abi.encodeWithSelector(ILogAnchor.LogAnchorInconsistent.selector, logId, 0, 5));
        anchors.anchor(logId, 5, root, proof, signature);
    }

    function test_Anchor_LaterNeedsProof() public {
        anchorAt(5);
        bytes32 root = rootAt(9);
        bytes memory signature = signHead(9, root);
        bytes memory inconsistent = abi.encodeWithSelector(ILogAnchor.LogAnchorInconsistent.selector, logId, 5, 9);
        _expect(inconsistent);
        anchors.anchor(logId, 9, root, noProof(), signature);
        bytes32[] memory proof = proofBetween(4, 9);
        _expect(inconsistent);
        anchors.anchor(logId, 9, root, proof, signature);
        proof = proofBetween(5, 9);
        proof[1] = bytes32(uint256(proof[1]) ^ 1);
        _expect(inconsistent);
        anchors.anchor(logId, 9, root, proof, signature);
    }

    /// @dev A rewritten history, although its head is signed: no proof leads from the one head to the other.
    function test_Anchor_RewrittenHistory() public {
        anchorAt(5);
        MerkleProver.Tree memory rewritten = MerkleProver.dense(666);
        bytes32 root = rewritten.root(9);
        bytes32[] memory proof = rewritten.consistencyProof(5, 9);
        bytes memory signature = signHead(9, root);
        _expect(abi.encodeWithSelector(ILogAnchor.LogAnchorInconsistent.selector, logId, 5, 9));
        anchors.anchor(logId, 9, root, proof, signature);
        assertHead(5, rootAt(5));
    }

    function test_Anchor_MaxGrowth() public {
        bytes32 root = "any";
        bytes memory signature = signHead(MAX_GROWTH + 1, root);
        _expect(abi.encodeWithSelector(ILogAnchor.LogAnchorGrowthExceeded.selector, logId, 0, MAX_GROWTH + 1));
        anchors.anchor(logId, MAX_GROWTH + 1, root, noProof(), signature);
        signature = signHead(MAX_GROWTH, root);
        anchors.anchor(logId, MAX_GROWTH, root, noProof(), signature);
        assertHead(MAX_GROWTH, root);
    }

    /// @dev Only a slot written from outside gets a log near 2^48 in a test's time.
    function test_Anchor_SizesStayBelow2To48() public {
        uint64 first = (1 << 48) - 3;
        MerkleProver.Tree memory t = MerkleProver.sparse(1, first, (1 << 48) - 1);
        _storeHead(first, t.root(first));

        bytes32 root = "any";
        bytes memory signature = signHead(1 << 48, root);
        _expect(abi.encodeWithSelector(ILogAnchor.LogAnchorGrowthExceeded.selector, logId, first, 1 << 48));
        anchors.anchor(logId, 1 << 48, root, noProof(), signature);

        uint64 last = (1 << 48) - 1;
        root = t.root(last);
        anchors.anchor(logId, last, root, t.consistencyProof(first, last), signHead(last, root));
        assertHead(last, root);
    }

    function testFuzz_Anchor(uint256 seed, uint64 first, uint64 second) public {
        first = uint64(bound(first, 1, MAX_GROWTH));
        second = uint64(bound(second, first + 1, first + MAX_GROWTH));
        MerkleProver.Tree memory t = MerkleProver.sparse(seed, first, second);
        anchors.anchor(logId, first, t.root(first), noProof(), signHead(first, t.root(first)));
        bytes32 root = t.root(second);
        anchors.anchor(logId, second, root, t.consistencyProof(first, second), signHead(second, root));
        assertHead(second, root);
        assertTrue(anchors.isPastHead(logId, first, t.root(first), t.consistencyProof(first, second)));
    }

    function test_AnchorMany() public {
        vm.prank(registrant);
        bytes32 other = anchors.register("log.example/other", headKey, guardian, MAX_GROWTH);
        ILogAnchor.SignedHead[] memory heads = new ILogAnchor.SignedHead[](3);
        heads[0] = ILogAnchor.SignedHead(logId, 5, rootAt(5), noProof(), signHead(5, rootAt(5)));
        heads[1] = ILogAnchor.SignedHead(logId, 9, rootAt(9), proofBetween(5, 9), signHead(9, rootAt(9)));
        bytes32 digest = digestOf(block.chainid, address(anchors), other, 3, rootAt(3));
        heads[2] = ILogAnchor.SignedHead(other, 3, rootAt(3), noProof(), signDigest(headKeySecret, digest));
        vm.prank(gasWallet);
        anchors.anchorMany(heads);
        assertHead(9, rootAt(9));
        (uint64 size, bytes32 root,,,) = anchors.head(other);
        assertEq(size, 3);
        assertEq(root, rootAt(3));
    }

    function test_AnchorMany_AllOrNone() public {
        ILogAnchor.SignedHead[] memory heads = new ILogAnchor.SignedHead[](2);
        heads[0] = ILogAnchor.SignedHead(logId, 5, rootAt(5), noProof(), signHead(5, rootAt(5)));
        heads[1] = ILogAnchor.SignedHead(logId, 9, rootAt(9), noProof(), signHead(9, rootAt(9)));
        _expect(abi.encodeWithSelector(ILogAnchor.LogAnchorInconsistent.selector, logId, 5, 9));
        anchors.anchorMany(heads);
        assertHead(0, EMPTY_ROOT);
        anchors.anchorMany(new ILogAnchor.SignedHead[](0));
    }

    /// @dev Writes the size into its 48 bits of the log's second slot.
    function _storeHead(uint64 size, bytes32 root) private {
        bytes32 slot = keccak256(abi.encode(logId, 0));
        vm.store(address(anchors), slot, root);
        bytes32 second = bytes32(uint256(slot) + 1);
        uint256 word = uint256(vm.load(address(anchors), second));
        vm.store(address(anchors), second, bytes32((word >> 48 << 48) | size));
        assertHead(size, root);
    }
}

contract LogAnchorProofTest is LogAnchorFixture {
    using MerkleProver for MerkleProver.Tree;

    function test_VerifyInclusion() public {
        anchorAt(13);
        MerkleProver.Tree memory t = tree;
        for (uint64 i = 0; i < 13; ++i) {
            bytes32[] memory proof = t.inclusionProof(i, 13);
            assertTrue(anchors.verifyInclusion(logId, t.leafHash(i), i, proof));
            assertFalse(anchors.verifyInclusion(logId, t.leafHash(i), i + 1, proof));
            assertFalse(anchors.verifyInclusion(logId, t.leafHash(i + 1), i, proof));
        }
        assertFalse(anchors.verifyInclusion(logId, t.leafHash(13), 13, t.inclusionProof(13, 14)));
        assertFalse(anchors.verifyInclusion(logId, t.leafHash(3), 3, t.inclusionProof(3, 12)), "of an older head");
    }

    function test_VerifyInclusion_EmptyLog() public view {
        assertFalse(anchors.verifyInclusion(logId, EMPTY_ROOT, 0, noProof()));
    }

    function test_IsPastHead() public {
        anchorAt(13);
        for (uint64 size = 1; size < 13; ++size) {
            assertTrue(anchors.isPastHead(logId, size, rootAt(size), proofBetween(size, 13)));
            assertFalse(anchors.isPastHead(logId, size, rootAt(size + 1), proofBetween(size, 13)));
            assertFalse(anchors.isPastHead(logId, size, rootAt(size), noProof()));
        }
    }

    function test_IsPastHead_TheHeadItselfAndTheEmptyTree() public {
        assertTrue(anchors.isPastHead(logId, 0, EMPTY_ROOT, noProof()));
        anchorAt(13);
        bytes32[] memory extra = new bytes32[](1);
        assertTrue(anchors.isPastHead(logId, 13, rootAt(13), noProof()));
        assertFalse(anchors.isPastHead(logId, 13, rootAt(13), extra));
        assertFalse(anchors.isPastHead(logId, 13, rootAt(12), noProof()));
        assertTrue(anchors.isPastHead(logId, 0, EMPTY_ROOT, noProof()));
        assertFalse(anchors.isPastHead(logId, 0, EMPTY_ROOT, extra));
        assertFalse(anchors.isPastHead(logId, 0, 0, noProof()));
        assertFalse(anchors.isPastHead(logId, 14, rootAt(14), proofBetween(13, 14)), "of the future");
    }
}

contract LogAnchorSignatureTest is LogAnchorFixture {
    function _expectInvalid() private {
        vm.expectRevert(abi.encodeWithSelector(ILogAnchor.LogAnchorInvalidSignature.selector, logId));
    }

    function test_HashTreeHead() public view {
        assertEq(anchors.hashTreeHead(logId, 5, "root"), digestOf(block.chainid, address(anchors), logId, 5, "root"));
    }

    function test_Eip712Domain() public view {
        (
            bytes1 fields,
            string memory name,
            string memory version,
            uint256 chainId,
            address verifyingContract,
            bytes32 salt,
            uint256[] memory extensions
        ) = anchors.eip712Domain();
        assertEq(fields, bytes1(0x0f));
        assertEq(name, "Writ LogAnchor");
        assertEq(version, "1");
        assertEq(chainId, block.chainid);
        assertEq(verifyingContract, address(anchors));
        assertEq(salt, 0);
        assertEq(extensions.length, 0);
    }

    function test_Signature_Lengths() public {
        bytes32 root = rootAt(5);
        bytes memory signature = signHead(5, root);
        for (uint256 length = 0; length < 130; ++length) {
            if (length == 65) continue;
            bytes memory other = new bytes(length);
            for (uint256 i = 0; i < length && i < 65; ++i) {
                other[i] = signature[i];
            }
            _expectInvalid();
            anchors.anchor(logId, 5, root, noProof(), other);
        }
    }

    function test_Signature_RecoveryIds() public {
        bytes32 root = rootAt(5);
        bytes memory signature = signHead(5, root);
        bytes1 right = signature[64];
        for (uint256 v = 0; v < 256; ++v) {
            if (bytes1(uint8(v)) == right) continue;
            signature[64] = bytes1(uint8(v));
            _expectInvalid();
            anchors.anchor(logId, 5, root, noProof(), signature);
        }
    }

    /// @dev The other signature that everybody can compute from a valid one, without the key.
    function test_Signature_HighS() public {
        bytes32 root = rootAt(5);
        bytes32 digest = anchors.hashTreeHead(logId, 5, root);
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(headKeySecret, digest);
        bytes32 highS = bytes32(SECP256K1_ORDER - uint256(s));
        uint8 otherV = v == 27 ? 28 : 27;
        assertEq(ecrecover(digest, otherV, r, highS), headKey, "the precompile itself accepts it");
        _expectInvalid();
        anchors.anchor(logId, 5, root, noProof(), abi.encodePacked(r, highS, otherV));
        anchors.anchor(logId, 5, root, noProof(), abi.encodePacked(r, s, v));
    }

    /// @dev Recovery fails with address zero, which must not be taken for a signer.
    function test_Signature_ZeroAddressIsNobody() public {
        bytes32 root = rootAt(5);
        _expectInvalid();
        anchors.anchor(logId, 5, root, noProof(), new bytes(65));
        _expectInvalid();
        anchors.anchor(logId, 5, root, noProof(), abi.encodePacked(bytes32(0), bytes32(0), uint8(27)));
        _expectInvalid();
        anchors.anchor(logId, 5, root, noProof(), abi.encodePacked(SECP256K1_ORDER, bytes32(uint256(1)), uint8(28)));
    }

    function test_Signature_OfSomethingElse() public {
        bytes32 root = rootAt(5);
        bytes32 otherLog = keccak256("another log");
        bytes32[6] memory digests = [
            digestOf(block.chainid, address(anchors), otherLog, 5, root),
            digestOf(block.chainid, address(anchors), logId, 6, root),
            digestOf(block.chainid, address(anchors), logId, 5, rootAt(6)),
            digestOf(block.chainid + 1, address(anchors), logId, 5, root),
            digestOf(block.chainid, address(new LogAnchor()), logId, 5, root),
            keccak256(abi.encodePacked("\x19Ethereum Signed Message:\n32", anchors.hashTreeHead(logId, 5, root)))
        ];
        for (uint256 i = 0; i < digests.length; ++i) {
            bytes memory signature = signDigest(headKeySecret, digests[i]);
            _expectInvalid();
            anchors.anchor(logId, 5, root, noProof(), signature);
        }
    }

    /// @dev The same registrant, origin and head key in another contract: the ids are equal, the signatures are not.
    function test_Signature_ReplayOnAnotherContract() public {
        anchorAt(5);
        LogAnchor another = new LogAnchor();
        vm.prank(registrant);
        assertEq(another.register(ORIGIN, headKey, guardian, MAX_GROWTH), logId);
        bytes32 root = rootAt(5);
        bytes memory signature = signHead(5, root);
        _expectInvalid();
        another.anchor(logId, 5, root, noProof(), signature);
    }

    function test_Signature_ReplayOnAnotherLog() public {
        vm.prank(registrant);
        bytes32 twin = anchors.register("log.example/twin", headKey, guardian, MAX_GROWTH);
        anchorAt(5);
        bytes32 root = rootAt(5);
        bytes memory signature = signHead(5, root);
        vm.expectRevert(abi.encodeWithSelector(ILogAnchor.LogAnchorInvalidSignature.selector, twin));
        anchors.anchor(twin, 5, root, noProof(), signature);
    }

    /// @dev When a chain splits, the side that takes a new chain id takes signatures for that id only.
    function test_Signature_AfterAChainSplit() public {
        bytes32 root = rootAt(5);
        bytes memory old = signHead(5, root);
        address contract_ = address(anchors);
        vm.chainId(4242);
        _expectInvalid();
        anchors.anchor(logId, 5, root, noProof(), old);
        (,,, uint256 chainId,,,) = anchors.eip712Domain();
        assertEq(chainId, 4242);
        bytes memory signature = signDigest(headKeySecret, digestOf(4242, contract_, logId, 5, root));
        anchors.anchor(logId, 5, root, noProof(), signature);
        assertHead(5, root);
    }

    function testFuzz_Signature_OnlyOfTheHeadKey(uint256 secret, bytes memory garbage) public {
        secret = bound(secret, 1, SECP256K1_ORDER - 1);
        vm.assume(vm.addr(secret) != headKey);
        bytes32 root = rootAt(5);
        bytes memory signature = signDigest(secret, anchors.hashTreeHead(logId, 5, root));
        _expectInvalid();
        anchors.anchor(logId, 5, root, noProof(), signature);
        _expectInvalid();
        anchors.anchor(logId, 5, root, noProof(), garbage);
    }
}

contract LogAnchorRotationTest is LogAnchorFixture {
    address private _newKey;
    uint256 private _newSecret;

    function setUp() public override {
        super.setUp();
        (_newKey, _newSecret) = makeAddrAndKey("new head key");
        anchorAt(5);
    }

    function _propose(address key) private {
        vm.prank(guardian);
        anchors.proposeHeadKey(logId, key);
    }

    function _expectRotationRefused(bytes memory error) private {
        vm.expectRevert(error);
        vm.prank(guardian);
        anchors.rotateHeadKey(logId);
    }

    function test_Rotation() public {
        uint64 readyAt = uint64(block.timestamp) + anchors.ROTATION_DELAY();
        vm.expectEmit(address(anchors));
        emit ILogAnchor.HeadKeyProposed(logId, _newKey, readyAt);
        _propose(_newKey);
        assertEq(anchors.logState(logId).pendingHeadKey, _newKey);
        assertEq(anchors.logState(logId).rotationReadyAt, readyAt);
        anchorAt(6); // by the old key, until it is replaced

        vm.warp(readyAt);
        vm.expectEmit(address(anchors));
        emit ILogAnchor.HeadKeyRotated(logId, headKey, _newKey);
        vm.prank(guardian);
        anchors.rotateHeadKey(logId);
        assertEq(anchors.logState(logId).pendingHeadKey, address(0));
        assertEq(anchors.logState(logId).rotationReadyAt, 0);
        (,, address key,,) = anchors.head(logId);
        assertEq(key, _newKey);

        bytes32 root = rootAt(7);
        bytes32[] memory proof = proofBetween(6, 7);
        bytes memory signature = signHead(7, root);
        vm.expectRevert(abi.encodeWithSelector(ILogAnchor.LogAnchorInvalidSignature.selector, logId));
        anchors.anchor(logId, 7, root, proof, signature);
        anchors.anchor(logId, 7, root, proof, signDigest(_newSecret, anchors.hashTreeHead(logId, 7, root)));
        assertHead(7, root);
    }

    function test_Rotation_NotBeforeTheDelay() public {
        _propose(_newKey);
        uint64 readyAt = uint64(block.timestamp) + anchors.ROTATION_DELAY();
        _expectRotationRefused(abi.encodeWithSelector(ILogAnchor.LogAnchorRotationNotReady.selector, logId, readyAt));
        vm.warp(readyAt - 1);
        _expectRotationRefused(abi.encodeWithSelector(ILogAnchor.LogAnchorRotationNotReady.selector, logId, readyAt));
    }

    function test_Rotation_AnotherProposalStartsTheDelayAnew() public {
        _propose(makeAddr("third key"));
        uint64 firstReadyAt = uint64(block.timestamp) + anchors.ROTATION_DELAY();
        vm.warp(firstReadyAt - 1);
        _propose(_newKey);
        vm.warp(firstReadyAt);
        _expectRotationRefused(
            abi.encodeWithSelector(
                ILogAnchor.LogAnchorRotationNotReady.selector, logId, firstReadyAt - 1 + anchors.ROTATION_DELAY()
            )
        );
    }

    function test_Rotation_NeedsAProposal() public {
        _expectRotationRefused(abi.encodeWithSelector(ILogAnchor.LogAnchorNoProposal.selector, logId));
        _propose(_newKey);
        vm.warp(block.timestamp + anchors.ROTATION_DELAY());
        vm.prank(guardian);
        anchors.rotateHeadKey(logId);
        _expectRotationRefused(abi.encodeWithSelector(ILogAnchor.LogAnchorNoProposal.selector, logId));
    }

    function test_Rotation_Cancel() public {
        vm.expectRevert(abi.encodeWithSelector(ILogAnchor.LogAnchorNoProposal.selector, logId));
        vm.prank(guardian);
        anchors.cancelHeadKey(logId);

        _propose(_newKey);
        vm.expectEmit(address(anchors));
        emit ILogAnchor.HeadKeyProposalCancelled(logId, _newKey);
        vm.prank(guardian);
        anchors.cancelHeadKey(logId);
        vm.warp(block.timestamp + anchors.ROTATION_DELAY());
        _expectRotationRefused(abi.encodeWithSelector(ILogAnchor.LogAnchorNoProposal.selector, logId));
    }

    function test_Rotation_GuardianOnly() public {
        _propose(_newKey);
        vm.warp(block.timestamp + anchors.ROTATION_DELAY());
        address[4] memory others = [headKey, _newKey, registrant, gasWallet];
        for (uint256 i = 0; i < others.length; ++i) {
            bytes memory error = abi.encodeWithSelector(ILogAnchor.LogAnchorUnauthorized.selector, logId, others[i]);
            vm.startPrank(others[i]);
            vm.expectRevert(error);
            anchors.proposeHeadKey(logId, others[i]);
            vm.expectRevert(error);
            anchors.cancelHeadKey(logId);
            vm.expectRevert(error);
            anchors.rotateHeadKey(logId);
            vm.stopPrank();
        }
    }

    function test_Rotation_Keys() public {
        address[3] memory keys = [address(0), guardian, headKey];
        for (uint256 i = 0; i < keys.length; ++i) {
            vm.expectRevert(abi.encodeWithSelector(ILogAnchor.LogAnchorInvalidHeadKey.selector, keys[i]));
            _propose(keys[i]);
        }
    }
}

contract LogAnchorFreezeTest is LogAnchorFixture {
    using MerkleProver for MerkleProver.Tree;

    function setUp() public override {
        super.setUp();
        anchorAt(5);
        anchorAt(9);
    }

    function _freeze() private {
        vm.prank(guardian);
        anchors.freeze(logId);
    }

    function _record(uint64 size, bytes32 root, bytes32[] memory path) private {
        vm.prank(guardian);
        anchors.recordLastGoodHead(logId, size, root, path);
    }

    function _continue() private returns (bytes32) {
        vm.prank(guardian);
        return anchors.registerSuccessor(logId, "log.example/writ/2", makeAddr("key 2"), makeAddr("guardian 2"), 1000);
    }

    function _expectInconsistent(uint64 first, uint64 second) private {
        vm.expectRevert(abi.encodeWithSelector(ILogAnchor.LogAnchorInconsistent.selector, logId, first, second));
    }

    function test_Freeze() public {
        vm.expectEmit(address(anchors));
        emit ILogAnchor.LogFrozen(logId, 9, rootAt(9));
        _freeze();
        assertHead(9, rootAt(9));
        (,,,, bool frozen) = anchors.head(logId);
        assertTrue(frozen);
        assertEq(anchors.logState(logId).lastGoodSize, 9);
        assertEq(anchors.logState(logId).lastGoodRoot, rootAt(9));
    }

    function test_Freeze_NothingMovesAgain() public {
        vm.prank(guardian);
        anchors.proposeHeadKey(logId, makeAddr("new head key"));
        _freeze();
        assertEq(anchors.logState(logId).pendingHeadKey, address(0));
        assertEq(anchors.logState(logId).rotationReadyAt, 0);

        bytes memory error = abi.encodeWithSelector(ILogAnchor.LogAnchorFrozen.selector, logId);
        bytes32 root = rootAt(12);
        bytes32[] memory proof = proofBetween(9, 12);
        bytes memory signature = signHead(12, root);
        vm.expectRevert(error);
        anchors.anchor(logId, 12, root, proof, signature);
        root = rootAt(9);
        vm.expectRevert(error);
        anchors.anchor(logId, 9, root, noProof(), "");

        vm.warp(block.timestamp + anchors.ROTATION_DELAY());
        vm.startPrank(guardian);
        vm.expectRevert(error);
        anchors.rotateHeadKey(logId);
        vm.expectRevert(error);
        anchors.proposeHeadKey(logId, makeAddr("new head key"));
        vm.expectRevert(error);
        anchors.cancelHeadKey(logId);
        vm.expectRevert(error);
        anchors.freeze(logId);
        vm.stopPrank();
    }

    function test_Freeze_GuardianOnly() public {
        address[3] memory others = [headKey, registrant, gasWallet];
        for (uint256 i = 0; i < others.length; ++i) {
            bytes memory error = abi.encodeWithSelector(ILogAnchor.LogAnchorUnauthorized.selector, logId, others[i]);
            vm.startPrank(others[i]);
            vm.expectRevert(error);
            anchors.freeze(logId);
            vm.expectRevert(error);
            anchors.recordLastGoodHead(logId, 0, EMPTY_ROOT, noProof());
            vm.expectRevert(error);
            anchors.registerSuccessor(logId, "x", headKey, guardian, 1);
            vm.stopPrank();
        }
    }

    function test_LastGoodHead() public {
        _freeze();
        MerkleProver.Tree memory t = tree;
        assertTrue(anchors.verifyInclusion(logId, t.leafHash(7), 7, t.inclusionProof(7, 9)));
        assertTrue(anchors.isPastHead(logId, 7, rootAt(7), proofBetween(7, 9)));

        vm.expectEmit(address(anchors));
        emit ILogAnchor.LastGoodHeadRecorded(logId, 5, rootAt(5));
        _record(5, rootAt(5), proofBetween(5, 9));
        assertEq(anchors.logState(logId).lastGoodSize, 5);
        assertEq(anchors.logState(logId).lastGoodRoot, rootAt(5));
        assertHead(9, rootAt(9)); // the evidence of what was anchored stays

        assertFalse(anchors.verifyInclusion(logId, t.leafHash(7), 7, t.inclusionProof(7, 9)));
        assertTrue(anchors.verifyInclusion(logId, t.leafHash(3), 3, t.inclusionProof(3, 5)));
        assertFalse(anchors.isPastHead(logId, 7, rootAt(7), proofBetween(7, 9)));
        assertTrue(anchors.isPastHead(logId, 3, rootAt(3), proofBetween(3, 5)));

        _record(2, rootAt(2), proofBetween(2, 5));
        _record(0, EMPTY_ROOT, noProof());
        assertEq(anchors.logState(logId).lastGoodSize, 0);
        assertEq(anchors.logState(logId).lastGoodRoot, EMPTY_ROOT);
    }

    function test_LastGoodHead_OnlyAnEarlierOneThatIsProven() public {
        bytes32 root = rootAt(5);
        bytes32[] memory path = proofBetween(5, 9);
        vm.expectRevert(abi.encodeWithSelector(ILogAnchor.LogAnchorNotFrozen.selector, logId));
        _record(5, root, path);
        _freeze();

        _expectInconsistent(5, 9);
        _record(5, "another", path);
        _expectInconsistent(5, 9);
        _record(5, root, noProof());
        _expectInconsistent(0, 9);
        _record(0, 0, noProof());
        root = rootAt(9);
        _expectInconsistent(9, 9);
        _record(9, root, noProof());
        root = rootAt(10);
        path = proofBetween(9, 10);
        _expectInconsistent(10, 9);
        _record(10, root, path);

        _record(5, rootAt(5), proofBetween(5, 9));
        root = rootAt(7);
        path = proofBetween(7, 9);
        _expectInconsistent(7, 5);
        _record(7, root, path);
    }

    function test_Successor() public {
        _freeze();
        _record(5, rootAt(5), proofBetween(5, 9));
        bytes32 id = anchors.logIdOf(guardian, "log.example/writ/2");
        vm.expectEmit(address(anchors));
        emit ILogAnchor.LogRegistered(
            id, guardian, "log.example/writ/2", makeAddr("key 2"), makeAddr("guardian 2"), 1000
        );
        vm.expectEmit(address(anchors));
        emit ILogAnchor.LogSucceeded(logId, id, 5, rootAt(5));
        vm.expectEmit(address(anchors));
        emit ILogAnchor.HeadAnchored(id, 5, rootAt(5));
        assertEq(_continue(), id);

        assertEq(anchors.logState(logId).successor, id);
        assertEq(anchors.logState(id).predecessor, logId);
        assertEq(anchors.logState(id).guardian, makeAddr("guardian 2"));
        (uint64 size, bytes32 root, address key, uint64 maxGrowth, bool frozen) = anchors.head(id);
        assertEq(size, 5);
        assertEq(root, rootAt(5));
        assertEq(key, makeAddr("key 2"));
        assertEq(maxGrowth, 1000);
        assertFalse(frozen);
    }

    /// @dev The successor is bound to the history before the break: it extends the last good head or does not move.
    function test_Successor_ContinuesTheHistory() public {
        _freeze();
        _record(5, rootAt(5), proofBetween(5, 9));
        bytes32 id = _continue();
        (, uint256 secret) = makeAddrAndKey("key 2");

        MerkleProver.Tree memory rewritten = MerkleProver.dense(666);
        bytes32 root = rewritten.root(11);
        bytes32[] memory proof = rewritten.consistencyProof(5, 11);
        bytes memory signature = signDigest(secret, anchors.hashTreeHead(id, 11, root));
        vm.expectRevert(abi.encodeWithSelector(ILogAnchor.LogAnchorInconsistent.selector, id, 5, 11));
        anchors.anchor(id, 11, root, proof, signature);

        root = rootAt(11);
        anchors.anchor(id, 11, root, proofBetween(5, 11), signDigest(secret, anchors.hashTreeHead(id, 11, root)));
        (uint64 size,,,,) = anchors.head(id);
        assertEq(size, 11);
    }

    function test_Successor_FromTheEmptyTree() public {
        _freeze();
        _record(0, EMPTY_ROOT, noProof());
        vm.recordLogs();
        bytes32 id = _continue();
        assertEq(vm.getRecordedLogs().length, 2, "no head to announce");
        (uint64 size, bytes32 root,,,) = anchors.head(id);
        assertEq(size, 0);
        assertEq(root, EMPTY_ROOT);
    }

    function test_Successor_OfAFrozenLogOnly() public {
        vm.expectRevert(abi.encodeWithSelector(ILogAnchor.LogAnchorNotFrozen.selector, logId));
        _continue();
    }

    function test_Successor_OneAndForGood() public {
        _freeze();
        bytes32 id = _continue();
        vm.expectRevert(abi.encodeWithSelector(ILogAnchor.LogAnchorAlreadySucceeded.selector, logId, id));
        vm.prank(guardian);
        anchors.registerSuccessor(logId, "log.example/writ/3", headKey, guardian, 1);
        bytes32 root = rootAt(5);
        bytes32[] memory path = proofBetween(5, 9);
        vm.expectRevert(abi.encodeWithSelector(ILogAnchor.LogAnchorAlreadySucceeded.selector, logId, id));
        _record(5, root, path);
    }

    function test_Successor_OfASuccessor() public {
        _freeze();
        bytes32 second = _continue();
        address secondGuardian = makeAddr("guardian 2");
        vm.startPrank(secondGuardian);
        anchors.freeze(second);
        bytes32 third = anchors.registerSuccessor(second, "log.example/writ/3", headKey, guardian, 1);
        vm.stopPrank();
        assertEq(anchors.logState(third).predecessor, second);
        (uint64 size, bytes32 root,,,) = anchors.head(third);
        assertEq(size, 9);
        assertEq(root, rootAt(9));
    }
}
