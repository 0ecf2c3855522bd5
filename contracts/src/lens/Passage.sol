// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @title A lens without an address: the code of a deployment that never happens
/// @notice Sent to an eth_call without `to`, followed by the lens's code, its input and a last word: exits u32,
/// code's length u32, input's length u32 in its lowest bytes. It creates the lens, asks it, and leaves with the
/// answer, by revert if `exits` is not 0: what is returned would be the code of a new contract, which is
/// limited to 24,576 bytes, costs gas by the byte and is refused where it begins with 0xEF.
contract Passage {
    constructor() payable {
        assembly {
            codecopy(0, sub(codesize(), 32), 32)
            let last := mload(0)
            let length := and(last, 0xffffffff)
            let size := and(shr(32, last), 0xffffffff)
            let input := sub(sub(codesize(), 32), length)
            // push2 size, dup1, push1 10, returndatasize, codecopy, returndatasize, return: the code of a
            // deployment of what follows its ten bytes
            mstore(0, shl(176, or(0x61000080600a3d393df3, shl(56, size))))
            codecopy(10, sub(input, size), size)
            let lens := create(0, 0, add(10, size))
            codecopy(0, input, length)
            pop(call(gas(), lens, 0, 0, length, 0, 0))
            returndatacopy(0, 0, returndatasize())
            if and(shr(64, last), 0xffffffff) { revert(0, returndatasize()) }
            return(0, returndatasize())
        }
    }
}
