// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Test} from "forge-std/Test.sol";

import {RFC9162} from "../src/RFC9162.sol";
import {MerkleProver} from "./oracle/MerkleProver.sol";
import {RFC9162Oracle} from "./oracle/RFC9162Oracle.sol";

/// @dev The library's functions take proofs from calldata, so that calling them takes a contract.
contract RFC9162Harness {
    function verifyInclusion(bytes32 leafHash, uint256 index, uint256 size, bytes32 root, bytes32[] calldata proof)
        external
        view
        returns (bool)
    {
        return RFC9162.verifyInclusion(leafHash, index, size, root, proof);
    }

    function verifyConsistency(
        uint256 firstSize,
        bytes32 firstRoot,
        uint256 secondSize,
        bytes32 secondRoot,
        bytes32[] calldata proof
    ) external view returns (bool) {
        return RFC9162.verifyConsistency(firstSize, firstRoot, secondSize, secondRoot, proof);
    }

    /// @dev Whether the call leaves Solidity's memory as it must: the free pointer and the zero slot, and what was allocated.
    function memoryIsIntact(
        uint256 first,
        bytes32 firstRoot,
        uint256 second,
        bytes32 secondRoot,
        bytes32[] calldata proof
    ) external view returns (bool) {
        bytes memory before = abi.encode(firstRoot, secondRoot, first, second);
        bytes32 hash = keccak256(before);
        bool valid = RFC9162.verifyConsistency(first, firstRoot, second, secondRoot, proof);
        bytes memory empty;
        bytes memory later = abi.encode(secondRoot, first);
        return valid && empty.length == 0 && keccak256(before) == hash
            && keccak256(later) == keccak256(abi.encode(secondRoot, first));
    }
}

abstract contract RFC9162Fixture is Test {
    /// @dev A consistency proof (sizes and roots) or an inclusion proof (index and size, leaf hash and root).
    struct Case {
        uint256 a;
        uint256 b;
        bytes32 hashA;
        bytes32 hashB;
        bytes32[] proof;
    }

    address internal constant SHA256 = address(2);

    RFC9162Harness internal harness = new RFC9162Harness();

    function verifyConsistency(Case memory c) internal view returns (bool) {
        return harness.verifyConsistency(c.a, c.hashA, c.b, c.hashB, c.proof);
    }

    function verifyInclusion(Case memory c) internal view returns (bool) {
        return harness.verifyInclusion(c.hashA, c.a, c.b, c.hashB, c.proof);
    }

    function oracleConsistency(Case memory c) internal pure returns (bool) {
        return RFC9162Oracle.verifyConsistency(c.a, c.hashA, c.b, c.hashB, c.proof);
    }

    function oracleInclusion(Case memory c) internal pure returns (bool) {
        return RFC9162Oracle.verifyInclusion(c.hashA, c.a, c.b, c.hashB, c.proof);
    }
}

/// @notice The cases that the RFC names, one by one.
contract RFC9162Test is RFC9162Fixture {
    using MerkleProver for MerkleProver.Tree;

    bytes32[] private _none;

    function test_EmptyRoot() public pure {
        assertEq(RFC9162.EMPTY_ROOT, sha256(""));
    }

    function test_EveryProofOfSmallTrees() public view {
        MerkleProver.Tree memory tree = MerkleProver.dense(1);
        for (uint256 second = 1; second <= 20; ++second) {
            bytes32 root = tree.root(second);
            for (uint256 i = 0; i < second; ++i) {
                assertTrue(harness.verifyInclusion(tree.leafHash(i), i, second, root, tree.inclusionProof(i, second)));
                if (i == 0) continue;
                assertTrue(harness.verifyConsistency(i, tree.root(i), second, root, tree.consistencyProof(i, second)));
            }
        }
    }

    function test_Inclusion_SingleLeafNeedsNoProof() public view {
        assertTrue(harness.verifyInclusion(bytes32("leaf"), 0, 1, bytes32("leaf"), _none));
        assertFalse(harness.verifyInclusion(bytes32("leaf"), 0, 1, bytes32("another"), _none));
    }

    function test_Inclusion_IndexBeyondTheTree() public view {
        MerkleProver.Tree memory tree = MerkleProver.dense(1);
        bytes32[] memory proof = tree.inclusionProof(6, 7);
        assertTrue(harness.verifyInclusion(tree.leafHash(6), 6, 7, tree.root(7), proof));
        assertFalse(harness.verifyInclusion(tree.leafHash(6), 7, 7, tree.root(7), proof));
        assertFalse(harness.verifyInclusion(tree.leafHash(6), type(uint256).max, 7, tree.root(7), proof));
        assertFalse(harness.verifyInclusion(tree.leafHash(6), 0, 0, tree.root(0), _none));
    }

    function test_Consistency_NotForEmptyOrEqualOrReversedTrees() public view {
        bytes32 root = bytes32("root");
        assertFalse(harness.verifyConsistency(0, RFC9162.EMPTY_ROOT, 1, root, _none));
        assertFalse(harness.verifyConsistency(0, RFC9162.EMPTY_ROOT, 0, RFC9162.EMPTY_ROOT, _none));
        assertFalse(harness.verifyConsistency(5, root, 5, root, _none));
        assertFalse(harness.verifyConsistency(6, root, 5, root, _none));
    }

    /// @dev What would verify if equal sizes were not refused beforehand: hashing up to the same root twice.
    function test_Consistency_EqualTrees() public view {
        MerkleProver.Tree memory tree = MerkleProver.dense(1);
        assertFalse(harness.verifyConsistency(4, tree.root(4), 4, tree.root(4), _none));
        bytes32[] memory proof = new bytes32[](2);
        (proof[0], proof[1]) = (tree.leafHash(4), tree.root(4));
        assertFalse(harness.verifyConsistency(5, tree.root(5), 5, tree.root(5), proof));
    }

    function test_Consistency_EmptyPathIsRefused() public view {
        bytes32 root = bytes32("root");
        for (uint256 first = 1; first <= 16; ++first) {
            assertFalse(harness.verifyConsistency(first, root, first + 1, root, _none));
            assertFalse(harness.verifyConsistency(first, root, 1 << 47, root, _none));
        }
    }

    /// @dev The length is compared after the loops, which may have read what follows the array in calldata. Here that is the very
    /// node that is missing from it.
    function test_NodesBehindTheArrayDoNotCount() public view {
        MerkleProver.Tree memory tree = MerkleProver.dense(1);
        bytes memory call = abi.encodeCall(
            harness.verifyConsistency, (5, tree.root(5), 13, tree.root(13), tree.consistencyProof(5, 13))
        );
        (bool success, bytes memory answer) = address(harness).staticcall(call);
        assertTrue(success && abi.decode(answer, (bool)));

        uint256 lengthAt = 4 + 5 * 32;
        assertEq(uint8(call[lengthAt + 31]), 5, "nodes of the proof");
        call[lengthAt + 31] = bytes1(uint8(4));
        (success, answer) = address(harness).staticcall(call);
        assertTrue(success);
        assertFalse(abi.decode(answer, (bool)));
    }

    function test_MemoryIsIntact() public view {
        MerkleProver.Tree memory tree = MerkleProver.dense(1);
        assertTrue(harness.memoryIsIntact(5, tree.root(5), 13, tree.root(13), tree.consistencyProof(5, 13)));
    }

    /// @dev The trees of airdrops: hashed in sorted pairs, the sides are lost. Here they are not.
    function test_SidesMatter() public view {
        bytes32 left = bytes32("left");
        bytes32 right = bytes32("right");
        bytes32[] memory proof = new bytes32[](1);
        bytes32 root = sha256(abi.encodePacked(bytes1(0x01), left, right));
        proof[0] = right;
        assertTrue(harness.verifyInclusion(left, 0, 2, root, proof));
        assertFalse(harness.verifyInclusion(left, 1, 2, root, proof));
        proof[0] = left;
        assertTrue(harness.verifyInclusion(right, 1, 2, root, proof));
        assertFalse(harness.verifyInclusion(right, 0, 2, root, proof));
    }

    /// @dev With every amount of gas the answer is the right one or none. The amounts include all those with which the precompile
    /// fails and the verifier still has its 64th to go on.
    function test_TooLittleGasIsNoAnswer() public view {
        MerkleProver.Tree memory tree = MerkleProver.dense(1);
        bytes32[] memory proof = tree.consistencyProof(21, 45);
        bytes32 first = tree.root(21);
        bytes32 second = tree.root(45);
        (uint256 refusals, uint256 answers) = (0, 0);
        for (uint256 gas = 200; gas < 8000; gas += 3) {
            try harness.verifyConsistency{gas: gas}(21, first, 45, second, proof) returns (bool valid) {
                assertTrue(valid, "a valid proof was called invalid");
                ++answers;
            } catch {
                assertEq(answers, 0, "more gas, and no answer");
                ++refusals;
            }
            try harness.verifyConsistency{gas: gas}(21, second, 45, second, proof) returns (bool valid) {
                assertFalse(valid, "an invalid proof was called valid");
            } catch {}
        }
        assertGt(refusals, 100);
        assertGt(answers, 100);
    }

    function test_TooLittleGasIsNoAnswer_Inclusion() public view {
        MerkleProver.Tree memory tree = MerkleProver.dense(1);
        bytes32[] memory proof = tree.inclusionProof(37, 45);
        bytes32 leaf = tree.leafHash(37);
        bytes32 root = tree.root(45);
        (uint256 refusals, uint256 answers) = (0, 0);
        for (uint256 gas = 200; gas < 6000; gas += 3) {
            try harness.verifyInclusion{gas: gas}(leaf, 37, 45, root, proof) returns (bool valid) {
                assertTrue(valid, "a valid proof was called invalid");
                ++answers;
            } catch {
                assertEq(answers, 0, "more gas, and no answer");
                ++refusals;
            }
        }
        assertGt(refusals, 100);
        assertGt(answers, 100);
    }

    function test_FailingPrecompileReverts() public {
        MerkleProver.Tree memory tree = MerkleProver.dense(1);
        bytes32[] memory consistency = tree.consistencyProof(21, 45);
        bytes32[] memory inclusion = tree.inclusionProof(37, 45);
        bytes32[3] memory hashes = [tree.root(21), tree.root(45), tree.leafHash(37)];
        vm.mockCallRevert(SHA256, bytes(""), "");
        vm.expectRevert(RFC9162.RFC9162HashFailed.selector);
        harness.verifyConsistency(21, hashes[0], 45, hashes[1], consistency);
        vm.expectRevert(RFC9162.RFC9162HashFailed.selector);
        harness.verifyInclusion(hashes[2], 37, 45, hashes[1], inclusion);
    }
}

/// @notice The verifier against transparency-dev/merkle: proofs made, damaged and judged by test/vectors' generator. More of them:
///
///     go run ./contracts/evm/vectors -exhaustive 60 -random 1200 -damaged 6000 -seed 1 > contracts/evm/cache/proofs.bin
///     WRIT_VECTORS=cache/proofs.bin scripts/contracts/test.sh --match-contract RFC9162VectorsTest
contract RFC9162VectorsTest is RFC9162Fixture {
    function test_Vectors() public view {
        bytes memory file = vm.readFileBinary(vm.envOr("WRIT_VECTORS", string("test/vectors/proofs.bin")));
        uint256 place = 2 + 32 * _uint(file, 0, 2);
        uint256 accepted;
        uint256 refused;
        for (uint256 section = 0; section < 2; ++section) {
            uint256 cases = _uint(file, place, 2);
            place += 2;
            for (uint256 i = 0; i < cases; ++i) {
                bool verdict = file[place] == 0x01;
                Case memory c;
                (c, place) = _case(file, place + 1);
                string memory name = string.concat("section ", vm.toString(section), ", case ", vm.toString(i));
                assertEq(section == 0 ? verifyConsistency(c) : verifyInclusion(c), verdict, name);
                assertEq(
                    section == 0 ? oracleConsistency(c) : oracleInclusion(c), verdict, string.concat("oracle: ", name)
                );
                if (verdict) ++accepted;
                else ++refused;
            }
        }
        assertEq(place, file.length, "trailing bytes");
        assertGt(accepted, 1000);
        assertGt(refused, 1000);
    }

    function _case(bytes memory file, uint256 place) private pure returns (Case memory c, uint256) {
        c.a = _uint(file, place, 8);
        c.b = _uint(file, place + 8, 8);
        c.hashA = _hash(file, _uint(file, place + 16, 2));
        c.hashB = _hash(file, _uint(file, place + 18, 2));
        c.proof = new bytes32[](_uint(file, place + 20, 1));
        place += 21;
        for (uint256 i = 0; i < c.proof.length; ++i) {
            c.proof[i] = _hash(file, _uint(file, place + 2 * i, 2));
        }
        return (c, place + 2 * c.proof.length);
    }

    function _hash(bytes memory file, uint256 index) private pure returns (bytes32) {
        return bytes32(_uint(file, 2 + 32 * index, 32));
    }

    /// @dev The big-endian number of some bytes.
    function _uint(bytes memory file, uint256 place, uint256 length) private pure returns (uint256 value) {
        require(place + length <= file.length, "truncated");
        assembly ("memory-safe") {
            value := shr(sub(256, mul(8, length)), mload(add(add(file, 0x20), place)))
        }
    }
}

/// @notice The assembly against plain Solidity, on proofs that are right, nearly right and nonsense.
contract RFC9162FuzzTest is RFC9162Fixture {
    using MerkleProver for MerkleProver.Tree;

    uint256 private constant KINDS = 12;

    function testFuzz_Consistency(uint256 seed, uint64 first, uint64 second) public view {
        second = uint64(bound(second, 2, type(uint64).max));
        first = uint64(bound(first, 1, second - 1));
        _checkConsistency(seed, first, second);
    }

    /// @dev Sizes of like bit length meet more often: these have borders and powers of two.
    function testFuzz_Consistency_SmallTrees(uint256 seed, uint64 first, uint64 second) public view {
        second = uint64(bound(second, 2, 300));
        first = uint64(bound(first, 1, second - 1));
        _checkConsistency(seed, first, second);
    }

    function testFuzz_Inclusion(uint256 seed, uint64 index, uint64 size) public view {
        size = uint64(bound(size, 1, type(uint64).max));
        index = uint64(bound(index, 0, size - 1));
        _checkInclusion(seed, index, size);
    }

    function testFuzz_Inclusion_SmallTrees(uint256 seed, uint64 index, uint64 size) public view {
        size = uint64(bound(size, 1, 300));
        index = uint64(bound(index, 0, size - 1));
        _checkInclusion(seed, index, size);
    }

    /// @dev Numbers of any width, as no contract of ours would pass them: the loops end and agree.
    function testFuzz_Nonsense(uint256 a, uint256 b, bytes32 hashA, bytes32 hashB, bytes32[] calldata proof)
        public
        view
    {
        Case memory c = Case(a, b, hashA, hashB, proof);
        assertEq(verifyConsistency(c), oracleConsistency(c));
        assertEq(verifyInclusion(c), oracleInclusion(c));
    }

    function _checkConsistency(uint256 seed, uint256 first, uint256 second) private view {
        MerkleProver.Tree memory tree = MerkleProver.sparse(seed, first, second);
        Case memory c = Case(first, second, tree.root(first), tree.root(second), tree.consistencyProof(first, second));
        assertTrue(verifyConsistency(c));
        for (uint256 kind = 0; kind < KINDS; ++kind) {
            Case memory damaged = _damage(c, kind, uint256(keccak256(abi.encode(seed, kind))));
            assertEq(verifyConsistency(damaged), oracleConsistency(damaged));
        }
    }

    function _checkInclusion(uint256 seed, uint256 index, uint256 size) private view {
        MerkleProver.Tree memory tree = MerkleProver.Tree(seed, new uint256[](3));
        (tree.cuts[0], tree.cuts[1], tree.cuts[2]) = (index, index + 1, size);
        Case memory c = Case(index, size, tree.leafHash(index), tree.root(size), tree.inclusionProof(index, size));
        assertTrue(verifyInclusion(c));
        for (uint256 kind = 0; kind < KINDS; ++kind) {
            Case memory damaged = _damage(c, kind, uint256(keccak256(abi.encode(seed, kind))));
            assertEq(verifyInclusion(damaged), oracleInclusion(damaged));
        }
    }

    /// @dev Some damage leaves the case as it was, or valid; the oracle knows.
    function _damage(Case memory c, uint256 kind, uint256 random) private pure returns (Case memory) {
        Case memory d = Case(c.a, c.b, c.hashA, c.hashB, _copy(c.proof, c.proof.length));
        uint256 n = d.proof.length;
        if (kind == 0) d.a = c.a + 1;
        else if (kind == 1) d.a = c.a == 0 ? 1 : c.a - 1;
        else if (kind == 2) d.b = c.b + 1;
        else if (kind == 3) d.b = c.b - 1;
        else if (kind == 4) (d.a, d.b) = (c.b, c.a);
        else if (kind == 5) (d.hashA, d.hashB) = (c.hashB, c.hashA);
        else if (kind == 6) d.hashA = _flip(c.hashA, random);
        else if (kind == 7) d.hashB = _flip(c.hashB, random);
        else if (kind == 8) d.proof = _copy(c.proof, n + 1);
        else if (kind == 9) d.proof = _copy(c.proof, n == 0 ? 0 : n - 1);
        else if (n == 0) return d;
        else if (kind == 10) d.proof[random % n] = _flip(d.proof[random % n], random >> 128);
        else (d.proof[0], d.proof[random % n]) = (d.proof[random % n], d.proof[0]);
        return d;
    }

    function _flip(bytes32 hash, uint256 random) private pure returns (bytes32) {
        return bytes32(uint256(hash) ^ (1 << (random % 256)));
    }

    function _copy(bytes32[] memory proof, uint256 length) private pure returns (bytes32[] memory copy) {
        copy = new bytes32[](length);
        for (uint256 i = 0; i < length && i < proof.length; ++i) {
            copy[i] = proof[i];
        }
    }
}
