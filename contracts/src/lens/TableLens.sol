// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @title The same views of many subjects, read in one call
/// @notice Never deployed: put at an unused address for the time of one eth_call. What it is sent, packed:
///
///     width u8, columns u8, cap u64, floor u64,
///     per column: target 20 bytes, words u16, length u16, calldata, holes u8, the place of each hole u16,
///     then the subjects, `width` bytes each.
///
/// A hole is a word of the calldata that becomes the subject. What it returns:
///
///     magic u64, rows done u64, gas at the start u64, gas at the end u64,
///     per row: a status byte per column, then the kept words of every column.
///
/// Status 1: answered with at least as many words; 0: reverted, or too short, then the words are zeros. 2 is
/// added if the call took more than half of `cap`: then a call inside it may have run dry for want of gas that
/// it would have had alone, whatever the status says. It ends before a cell for which less than `floor` is
/// left; only whole rows count as done.
contract TableLens {
    fallback() external payable {
        assembly {
            let began := gas()
            let width := byte(0, calldataload(0))
            let columns := byte(1, calldataload(0))
            let cap := shr(192, calldataload(2))
            let from := 18
            // Per column a record: next record, target, calldata's place, its size, words' bytes, holes, the
            // absolute place of each hole, the calldata.
            let records := 0x80
            let out := records
            for { let left := columns } left { left := sub(left, 1) } {
                let record := out
                mstore(add(record, 0x20), shr(96, calldataload(from)))
                let sizes := calldataload(add(from, 20))
                let size := and(shr(224, sizes), 0xffff)
                let holes := byte(0, calldataload(add(add(from, 24), size)))
                mstore(add(record, 0x60), size)
                mstore(add(record, 0x80), mul(32, shr(240, sizes)))
                mstore(add(record, 0xa0), holes)
                let input := add(add(record, 0xc0), mul(32, holes))
                mstore(add(record, 0x40), input)
                calldatacopy(input, add(from, 24), size)
                from := add(add(from, 25), size)
                for { let place := add(record, 0xc0) } lt(place, input) { place := add(place, 32) } {
                    mstore(place, add(input, shr(240, calldataload(from))))
                    from := add(from, 2)
                }
                out := and(add(add(input, size), 63), not(31))
                mstore(record, out)
            }
            let header := out
            // Read back at the end: the optimiser of solc 0.8.30 drops a store to `header` itself.
            mstore(0, header)
            out := add(out, 32)
            let done := 0
            let end := sub(calldatasize(), width)
            for {} iszero(gt(from, end)) { from := add(from, width) } {
                let status := out
                let cell := add(out, columns)
                let record := records
                for {} lt(record, header) { record := mload(record) } {
                    // The floor is read again each time: one variable less on the stack.
                    if lt(gas(), shr(192, calldataload(10))) { break }
                    for { let left := mload(add(record, 0xa0)) } left { left := sub(left, 1) } {
                        mstore(
                            mload(add(add(record, 0xa0), mul(32, left))),
                            shr(sub(256, mul(8, width)), calldataload(from))
                        )
                    }
                    let size := mload(add(record, 0x80))
                    let before := gas()
                    let ok :=
                        staticcall(
                            cap,
                            mload(add(record, 0x20)),
                            mload(add(record, 0x40)),
                            mload(add(record, 0x60)),
                            cell,
                            size
                        )
                    before := sub(before, gas())
                    ok := and(ok, iszero(lt(returndatasize(), size)))
                    if iszero(ok) { calldatacopy(cell, calldatasize(), size) }
                    mstore8(status, or(ok, mul(2, gt(before, shr(1, cap)))))
                    status := add(status, 1)
                    cell := add(cell, size)
                }
                if lt(record, header) { break }
                out := cell
                done := add(done, 1)
            }
            header := mload(0)
            mstore(
                header,
                or(
                    or(shl(192, 0x4556454e4b45454c), shl(128, done)),
                    or(shl(64, and(began, 0xffffffffffffffff)), and(gas(), 0xffffffffffffffff))
                )
            )
            return(header, sub(out, header))
        }
    }
}
