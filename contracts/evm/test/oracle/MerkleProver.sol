// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @notice The definitions of RFC 9162 section 2.1, recursion for recursion: tree hash (2.1.1), inclusion proof (2.1.3.1) and
/// consistency proof (2.1.4.1). Slow and obvious, to test the quick verifier with.
///
/// A tree is a seed, from which leaf hashes are made. For trees too large to hash, `cuts` names the sizes at which the tree is to
/// be looked at: a complete subtree that no cut divides is then one invented hash. Without cuts every leaf is hashed.
library MerkleProver {
    struct Tree {
        uint256 seed;
        uint256[] cuts;
    }

    function dense(uint256 seed) internal pure returns (Tree memory) {
        return Tree(seed, new uint256[](0));
    }

    function sparse(uint256 seed, uint256 cut1, uint256 cut2) internal pure returns (Tree memory tree) {
        tree = Tree(seed, new uint256[](2));
        tree.cuts[0] = cut1;
        tree.cuts[1] = cut2;
    }

    function leafHash(Tree memory tree, uint256 index) internal pure returns (bytes32) {
        return treeHash(tree, index, index + 1);
    }

    function root(Tree memory tree, uint256 size) internal pure returns (bytes32) {
        return size == 0 ? sha256("") : treeHash(tree, 0, size);
    }

    /// @dev MTH(D[begin:end])
    function treeHash(Tree memory tree, uint256 begin, uint256 end) internal pure returns (bytes32) {
        if (_isOpaque(tree, begin, end)) return sha256(abi.encode(tree.seed, begin, end));
        uint256 middle = begin + _split(end - begin);
        return sha256(abi.encodePacked(bytes1(0x01), treeHash(tree, begin, middle), treeHash(tree, middle, end)));
    }

    /// @dev PATH(index, D_size)
    function inclusionProof(Tree memory tree, uint256 index, uint256 size) internal pure returns (bytes32[] memory) {
        require(index < size, "no such leaf");
        return _path(tree, index, 0, size, 0);
    }

    /// @dev PROOF(first, D_second)
    function consistencyProof(Tree memory tree, uint256 first, uint256 second)
        internal
        pure
        returns (bytes32[] memory)
    {
        require(0 < first && first < second, "no such proof");
        return _subproof(tree, first, 0, second, true, 0);
    }

    /// @dev `above` counts the nodes that the callers will add, which come after those of the recursion.
    function _path(Tree memory tree, uint256 index, uint256 begin, uint256 end, uint256 above)
        private
        pure
        returns (bytes32[] memory proof)
    {
        if (end - begin == 1) return new bytes32[](above);
        uint256 middle = begin + _split(end - begin);
        bytes32 sibling;
        if (index < middle) {
            proof = _path(tree, index, begin, middle, above + 1);
            sibling = treeHash(tree, middle, end);
        } else {
            proof = _path(tree, index, middle, end, above + 1);
            sibling = treeHash(tree, begin, middle);
        }
        proof[proof.length - 1 - above] = sibling;
    }

    function _subproof(Tree memory tree, uint256 first, uint256 begin, uint256 end, bool known, uint256 above)
        private
        pure
        returns (bytes32[] memory proof)
    {
        bytes32 node;
        if (first == end) {
            if (known) return new bytes32[](above);
            proof = new bytes32[](above + 1);
            node = treeHash(tree, begin, end);
        } else {
            uint256 middle = begin + _split(end - begin);
            if (first <= middle) {
                proof = _subproof(tree, first, begin, middle, known, above + 1);
                node = treeHash(tree, middle, end);
            } else {
                proof = _subproof(tree, first, middle, end, false, above + 1);
                node = treeHash(tree, begin, middle);
            }
        }
        proof[proof.length - 1 - above] = node;
    }

    function _isOpaque(Tree memory tree, uint256 begin, uint256 end) private pure returns (bool) {
        uint256 size = end - begin;
        if (size == 1) return true;
        if (tree.cuts.length == 0 || size & (size - 1) != 0) return false;
        for (uint256 i = 0; i < tree.cuts.length; ++i) {
            if (begin < tree.cuts[i] && tree.cuts[i] < end) return false;
        }
        return true;
    }

    /// @dev The largest power of two smaller than n.
    function _split(uint256 n) private pure returns (uint256 k) {
        k = 1;
        while (k * 2 < n) k *= 2;
    }
}
