// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @notice The verification algorithms of RFC 9162, step by step in the RFC's words and variables, in plain Solidity: what the
/// assembly of src/RFC9162.sol is compared with.
library RFC9162Oracle {
    /// @dev Section 2.1.3.2.
    function verifyInclusion(bytes32 hash, uint256 leafIndex, uint256 treeSize, bytes32 rootHash, bytes32[] memory path)
        internal
        pure
        returns (bool)
    {
        // 1. Compare leaf_index with tree_size. If leaf_index is greater than or equal to tree_size, then stop and fail.
        if (leafIndex >= treeSize) return false;
        // 2. Set fn to leaf_index and sn to tree_size - 1.
        uint256 fn = leafIndex;
        uint256 sn = treeSize - 1;
        // 3. Set r to hash.
        bytes32 r = hash;
        // 4. For each value p in the inclusion_path array:
        for (uint256 i = 0; i < path.length; ++i) {
            bytes32 p = path[i];
            // a. If sn is 0, then stop the iteration and fail the proof verification.
            if (sn == 0) return false;
            // b. If LSB(fn) is set, or if fn is equal to sn, then: set r to HASH(0x01 || p || r); if LSB(fn) is not set, then
            //    right-shift both fn and sn equally until either LSB(fn) is set or fn is 0.
            if (fn & 1 == 1 || fn == sn) {
                r = _hash(p, r);
                while (fn & 1 == 0 && fn != 0) {
                    fn >>= 1;
                    sn >>= 1;
                }
            } else {
                // Otherwise: set r to HASH(0x01 || r || p).
                r = _hash(r, p);
            }
            // c. Finally, right-shift both fn and sn one time.
            fn >>= 1;
            sn >>= 1;
        }
        // 5. Compare sn to 0. Compare r against the root_hash.
        return sn == 0 && r == rootHash;
    }

    /// @dev Section 2.1.4.2.
    function verifyConsistency(
        uint256 first,
        bytes32 firstHash,
        uint256 second,
        bytes32 secondHash,
        bytes32[] memory path
    ) internal pure returns (bool) {
        // The algorithm is for 0 < first < second.
        if (first == 0 || first >= second) return false;
        // 1. If consistency_path is an empty array, stop and fail the proof verification.
        if (path.length == 0) return false;
        // 2. If first is an exact power of 2, then prepend first_hash to the consistency_path array.
        if (first & (first - 1) == 0) path = _prepend(firstHash, path);
        // 3. Set fn to first - 1 and sn to second - 1.
        uint256 fn = first - 1;
        uint256 sn = second - 1;
        // 4. If LSB(fn) is set, then right-shift both fn and sn equally until LSB(fn) is not set.
        while (fn & 1 == 1) {
            fn >>= 1;
            sn >>= 1;
        }
        // 5. Set both fr and sr to the first value in the consistency_path array.
        bytes32 fr = path[0];
        bytes32 sr = path[0];
        // 6. For each subsequent value c in the consistency_path array:
        for (uint256 i = 1; i < path.length; ++i) {
            bytes32 c = path[i];
            // a. If sn is 0, then stop the iteration and fail the proof verification.
            if (sn == 0) return false;
            // b. If LSB(fn) is set, or if fn is equal to sn, then: set fr to HASH(0x01 || c || fr); set sr to
            //    HASH(0x01 || c || sr); if LSB(fn) is not set, then right-shift both until either LSB(fn) is set or fn is 0.
            if (fn & 1 == 1 || fn == sn) {
                fr = _hash(c, fr);
                sr = _hash(c, sr);
                while (fn & 1 == 0 && fn != 0) {
                    fn >>= 1;
                    sn >>= 1;
                }
            } else {
                // Otherwise: set sr to HASH(0x01 || sr || c).
                sr = _hash(sr, c);
            }
            // c. Finally, right-shift both fn and sn one time.
            fn >>= 1;
            sn >>= 1;
        }
        // 7. Verify that the fr calculated is equal to the first_hash supplied, that the sr calculated is equal to the
        //    second_hash supplied and that sn is 0.
        return fr == firstHash && sr == secondHash && sn == 0;
    }

    function _hash(bytes32 left, bytes32 right) private pure returns (bytes32) {
        return sha256(abi.encodePacked(bytes1(0x01), left, right));
    }

    function _prepend(bytes32 first, bytes32[] memory rest) private pure returns (bytes32[] memory all) {
        all = new bytes32[](rest.length + 1);
        all[0] = first;
        for (uint256 i = 0; i < rest.length; ++i) {
            all[i + 1] = rest[i];
        }
    }
}
