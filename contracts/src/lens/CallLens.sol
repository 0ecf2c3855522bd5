// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @title Any calls, one after the other, each as if it were alone
/// @notice Never deployed: put at an unused address for the time of one eth_call. What it is sent, packed:
///
///     per call: target 20 bytes, cap u32, length u24, calldata.
///
/// What it returns:
///
///     magic u64, calls done u64, gas at the start u64, gas at the end u64,
///     per call: status u8, gas used u32, length u32, what came back.
///
/// Every call is undone before the next: this contract calls itself, calls the target there, and reverts with
/// the answer. So a call that would write can be asked, too, and no call sees another's traces.
/// Status 1: answered; 0: reverted. 2 is added if the call took more than half of the gas it was given: then a
/// call inside it may have run dry for want of gas that it would have had alone, whatever the status says. It
/// ends before a call for which its cap is not left, unless it is the first, which gets what there is.
contract CallLens {
    fallback() external payable {
        assembly {
            if eq(caller(), address()) {
                let size := sub(calldatasize(), 27)
                calldatacopy(0, 27, size)
                let ok := call(gas(), shr(96, calldataload(0)), 0, 0, size, 0, 0)
                mstore8(0, ok)
                returndatacopy(1, 0, returndatasize())
                revert(0, add(returndatasize(), 1))
            }
            let began := gas()
            let done := 0
            let out := 0xa0
            for { let from := 0 } lt(from, calldatasize()) {} {
                let head := calldataload(from)
                let size := add(27, and(shr(40, head), 0xffffff))
                calldatacopy(out, from, size)
                let cap := and(shr(64, head), 0xffffffff)
                let most := gas()
                // A part of 64 stays behind, and some for writing down what comes back.
                most := mul(lt(100000, most), sub(sub(most, 100000), shr(5, most)))
                if lt(most, cap) {
                    if done { break }
                    cap := most
                }
                let used := gas()
                pop(call(cap, address(), 0, out, size, 0, 0))
                used := sub(used, gas())
                let status := mul(2, gt(used, shr(1, cap)))
                let length := 0
                switch returndatasize()
                case 0 { status := 2 }
                default {
                    length := sub(returndatasize(), 1)
                    returndatacopy(out, 0, 1)
                    status := or(status, byte(0, mload(out)))
                    returndatacopy(add(out, 9), 1, length)
                }
                if gt(used, 0xffffffff) { used := 0xffffffff }
                mstore8(out, status)
                mstore8(add(out, 1), shr(24, used))
                mstore8(add(out, 2), shr(16, used))
                mstore8(add(out, 3), shr(8, used))
                mstore8(add(out, 4), used)
                mstore8(add(out, 5), shr(24, length))
                mstore8(add(out, 6), shr(16, length))
                mstore8(add(out, 7), shr(8, length))
                mstore8(add(out, 8), length)
                out := add(add(out, 9), length)
                from := add(from, size)
                done := add(done, 1)
            }
            mstore(
                0x80,
                or(
                    or(shl(192, 0x4556454e4b45454c), shl(128, done)),
                    or(shl(64, and(began, 0xffffffffffffffff)), and(gas(), 0xffffffffffffffff))
                )
            )
            return(0x80, sub(out, 0x80))
        }
    }
}
