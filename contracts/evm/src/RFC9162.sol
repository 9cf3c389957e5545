// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title RFC9162
/// @notice Verifies the proofs of an RFC 9162 (and RFC 6962) Merkle tree over SHA-256. Such a tree is ordered; it has nothing in
/// common with the sorted-pair keccak256 trees of airdrops, whose verifiers reject its proofs.
///
/// Both functions answer `false` for a proof that does not hold and revert when they could not find out: on a chain that has it,
/// the SHA-256 precompile fails for want of gas only, and whoever sends too little gas must not turn a "yes" into a "no".
///
/// How many nodes a proof has follows from its two numbers. The loops therefore run by the numbers alone, reading past the end of
/// an array that is too short, and the length is compared once, after them. They run at most 512 times, whatever the input.
///
/// The scratch memory lies beyond the free memory pointer and is not kept. A hashed message is one byte 0x01 and two nodes.
library RFC9162 {
    /// @dev The SHA-256 precompile failed: there was too little gas.
    error RFC9162HashFailed();

    /// @dev SHA-256(""), the root of the empty tree (RFC 9162 section 2.1.1).
    bytes32 internal constant EMPTY_ROOT = 0xe3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855;

    /// @notice Verifies an inclusion proof: RFC 9162 section 2.1.3.2.
    /// @dev In the RFC's terms, fn is the node on the path and sn the last node of the level. While they differ, the node has a
    /// sibling on the side that its lowest bit tells. Once they are equal the node is the last of its level and stays so: only
    /// the set bits of fn are levels where it has a sibling, and that is on its left.
    /// @param leafHash SHA-256(0x00 || entry).
    /// @param index The leaf's index.
    /// @param size The tree size.
    /// @param root The root hash of the tree.
    /// @param proof The proof, from the leaf upwards.
    /// @return valid Whether the proof holds.
    function verifyInclusion(bytes32 leafHash, uint256 index, uint256 size, bytes32 root, bytes32[] calldata proof)
        internal
        view
        returns (bool valid)
    {
        if (index >= size) return false;
        bool hashed;
        assembly ("memory-safe") {
            let message := mload(0x40)
            mstore(message, 1)
            message := add(message, 0x1f)
            let left := add(message, 0x01)
            let right := add(message, 0x21)

            hashed := 1
            let next := proof.offset
            let node := leafHash
            let fn := index
            let sn := sub(size, 1)
            for {} xor(fn, sn) {} {
                switch and(fn, 1)
                case 0 {
                    mstore(left, node)
                    mstore(right, calldataload(next))
                }
                default {
                    mstore(left, calldataload(next))
                    mstore(right, node)
                }
                hashed := and(hashed, staticcall(gas(), 2, message, 0x41, 0x00, 0x20))
                node := mload(0x00)
                next := add(next, 0x20)
                fn := shr(1, fn)
                sn := shr(1, sn)
            }
            for {} fn { fn := and(fn, sub(fn, 1)) } {
                mstore(left, calldataload(next))
                mstore(right, node)
                hashed := and(hashed, staticcall(gas(), 2, message, 0x41, 0x00, 0x20))
                node := mload(0x00)
                next := add(next, 0x20)
            }
            valid := and(eq(node, root), eq(next, add(proof.offset, shl(5, proof.length))))
        }
        if (!hashed) revert RFC9162HashFailed();
    }

    /// @notice Verifies a consistency proof between two different trees that are not empty: RFC 9162 section 2.1.4.2.
    /// @dev The path starts at the largest complete subtree that ends at the first tree's last leaf: the first tree itself if its
    /// size is a power of two (the RFC's "prepend first_hash"), else the proof's first node. Dividing by its size does the RFC's
    /// shifting of step 4 at once. From there fr grows to the first root and sr to the second; a sibling on the left belongs to
    /// both trees, one on the right only to the second.
    /// @param firstSize The size of the smaller tree.
    /// @param firstRoot The root hash of the smaller tree.
    /// @param secondSize The size of the larger tree.
    /// @param secondRoot The root hash of the larger tree.
    /// @param proof The proof. It is never empty.
    /// @return valid Whether the proof holds; false if the sizes are not 0 < firstSize < secondSize.
    function verifyConsistency(
        uint256 firstSize,
        bytes32 firstRoot,
        uint256 secondSize,
        bytes32 secondRoot,
        bytes32[] calldata proof
    ) internal view returns (bool valid) {
        if (firstSize == 0 || firstSize >= secondSize) return false;
        bool hashed;
        assembly ("memory-safe") {
            // Two messages, one for fr and one for sr. fr is only ever a right node, so that it stays in its message.
            let message := mload(0x40)
            mstore(message, 1)
            mstore(add(message, 0x60), 1)
            message := add(message, 0x1f)

            hashed := 1
            let next := proof.offset
            let subtree := and(firstSize, sub(0, firstSize))
            let fn := div(sub(firstSize, 1), subtree)
            let sn := div(sub(secondSize, 1), subtree)
            let sr := firstRoot
            if fn {
                sr := calldataload(next)
                next := add(next, 0x20)
            }
            mstore(add(message, 0x21), sr)
            for {} xor(fn, sn) {} {
                switch and(fn, 1)
                case 0 {
                    mstore(add(message, 0x61), sr)
                    mstore(add(message, 0x81), calldataload(next))
                }
                default {
                    mstore(add(message, 0x01), calldataload(next))
                    mstore(add(message, 0x61), calldataload(next))
                    mstore(add(message, 0x81), sr)
                    hashed := and(hashed, staticcall(gas(), 2, message, 0x41, add(message, 0x21), 0x20))
                }
                hashed := and(hashed, staticcall(gas(), 2, add(message, 0x60), 0x41, 0x00, 0x20))
                sr := mload(0x00)
                next := add(next, 0x20)
                fn := shr(1, fn)
                sn := shr(1, sn)
            }
            mstore(add(message, 0x81), sr)
            for {} fn { fn := and(fn, sub(fn, 1)) } {
                mstore(add(message, 0x01), calldataload(next))
                mstore(add(message, 0x61), calldataload(next))
                hashed := and(hashed, staticcall(gas(), 2, message, 0x41, add(message, 0x21), 0x20))
                hashed := and(hashed, staticcall(gas(), 2, add(message, 0x60), 0x41, add(message, 0x81), 0x20))
                next := add(next, 0x20)
            }
            valid := and(
                and(eq(mload(add(message, 0x21)), firstRoot), eq(mload(add(message, 0x81)), secondRoot)),
                eq(next, add(proof.offset, shl(5, proof.length)))
            )
        }
        if (!hashed) revert RFC9162HashFailed();
    }
}
