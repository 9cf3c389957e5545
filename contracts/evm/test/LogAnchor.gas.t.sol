// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {RFC9162} from "../src/RFC9162.sol";
import {LogAnchorFixture} from "./fixture/LogAnchorFixture.sol";
import {MerkleProver} from "./oracle/MerkleProver.sol";

/// @dev Measures the library alone: no call, no calldata.
contract RFC9162Meter {
    function inclusion(bytes32 leafHash, uint256 index, uint256 size, bytes32 root, bytes32[] calldata proof)
        external
        view
        returns (uint256 gas)
    {
        gas = gasleft();
        bool included = RFC9162.verifyInclusion(leafHash, index, size, root, proof);
        gas -= gasleft();
        require(included);
    }
}

/// @notice What an anchor costs, as a whole transaction (calldata and all: each outer call runs isolated, as one), in the steady
/// state. The goals are asserted; the exact figures are snapshots/LogAnchor.json, which fails to match when they change.
/// forge-config: default.isolate = true
contract LogAnchorGasTest is LogAnchorFixture {
    using MerkleProver for MerkleProver.Tree;

    function _measure(string memory name, uint64 first, uint64 second) private returns (uint256 gas) {
        vm.prank(registrant);
        logId = anchors.register(name, headKey, guardian, 1 << 39);
        MerkleProver.Tree memory t = MerkleProver.sparse(first, first, second);
        bytes32 root = t.root(first);
        anchors.anchor(logId, first, root, noProof(), signHead(first, root));

        root = t.root(second);
        bytes32[] memory proof = t.consistencyProof(first, second);
        bytes memory signature = signHead(second, root);
        anchors.anchor(logId, second, root, proof, signature);
        gas = vm.snapshotGasLastCall("LogAnchor", name);
        assertHead(second, root);
    }

    function test_Anchor() public {
        assertLe(_measure("anchor 1 to 2", 1, 2), 45_000);
        assertLe(_measure("anchor 1e3 to 2e3", 1000, 2000), 53_500);
        assertLe(_measure("anchor 1e6 to 1e6 + 1e3", 1_000_000, 1_001_000), 56_000);
        assertLe(_measure("anchor 1e6 + 1 to 1e6 + 1e3 + 1", 1_000_001, 1_001_001), 61_500);
        assertLe(_measure("anchor 1e9 to 1e9 + 1e4", 1_000_000_000, 1_000_010_000), 64_000);
        assertLe(_measure("anchor 1e9 + 1 to 1e9 + 1e4 + 3", 1_000_000_001, 1_000_010_003), 72_000);
    }

    function test_VerifyInclusion() public {
        assertLe(_measureInclusion("verifyInclusion at depth 10", 10), 4548);
        assertLe(_measureInclusion("verifyInclusion at depth 20", 20), 8713);
        assertLe(_measureInclusion("verifyInclusion at depth 30", 30), 12_878);
    }

    function _measureInclusion(string memory name, uint256 depth) private returns (uint256 gas) {
        uint256 size = 1 << depth;
        uint256 index = size / 3;
        MerkleProver.Tree memory t = MerkleProver.sparse(1, index, index + 1);
        bytes32[] memory proof = t.inclusionProof(index, size);
        assertEq(proof.length, depth);
        gas = new RFC9162Meter().inclusion(t.leafHash(index), index, size, t.root(size), proof);
        vm.snapshotValue("RFC9162", name, gas);
    }

    /// @dev Seldom paid, and never in a hurry: snapshots only.
    function test_Administration() public {
        vm.prank(registrant);
        bytes32 id = anchors.register("log.example/another", headKey, guardian, 1);
        vm.snapshotGasLastCall("LogAnchor", "register");
        vm.startPrank(guardian);
        anchors.proposeHeadKey(id, gasWallet);
        vm.snapshotGasLastCall("LogAnchor", "proposeHeadKey");
        vm.warp(block.timestamp + anchors.ROTATION_DELAY());
        anchors.rotateHeadKey(id);
        vm.snapshotGasLastCall("LogAnchor", "rotateHeadKey");
        anchors.freeze(id);
        vm.snapshotGasLastCall("LogAnchor", "freeze");
        anchors.registerSuccessor(id, "log.example/another/2", headKey, guardian, 1);
        vm.snapshotGasLastCall("LogAnchor", "registerSuccessor");
        vm.stopPrank();
    }
}
