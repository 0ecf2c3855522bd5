// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @title What the last call answered
library ReturnData {
    /// @dev Longer revert data is cut, so that a callee cannot spend our gas on copying it.
    uint256 private constant MAX_BYTES = 4096;

    /// @notice The return data of the call made just before, cut at 4096 bytes.
    function take() internal pure returns (bytes memory data) {
        assembly ("memory-safe") {
            let size := returndatasize()
            if gt(size, MAX_BYTES) { size := MAX_BYTES }
            data := mload(0x40)
            mstore(data, size)
            returndatacopy(add(data, 0x20), 0, size)
            mstore(0x40, and(add(add(data, size), 0x3f), not(0x1f)))
        }
    }

    /// @notice The 32-byte word at `index` of the return data, which must contain it.
    function word(uint256 index) internal pure returns (int256 value) {
        assembly ("memory-safe") {
            returndatacopy(0, shl(5, index), 0x20)
            value := mload(0)
        }
    }
}
