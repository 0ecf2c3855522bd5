// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {CallLens} from "../src/lens/CallLens.sol";
import {Passage} from "../src/lens/Passage.sol";
import {TableLens} from "../src/lens/TableLens.sol";
import {Moody} from "./Moody.sol";
import {Vm} from "./Vm.sol";

/// @title The lenses, byte by byte
contract LensTest {
    uint64 private constant MAGIC = 0x4556454e4b45454c;
    uint64 private constant CAP = 1_000_000;
    uint64 private constant FLOOR = 1_200_000;
    Vm private constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

    address private table;
    address private list;
    Moody private moody;

    function setUp() public {
        table = address(new TableLens());
        list = address(new CallLens());
        moody = new Moody();
    }

    // --- tables -----------------------------------------------------------------------------------------

    function testFuzz_a_table_has_every_word_of_every_subject(uint256[] calldata subjects) public {
        bytes memory input = bytes.concat(head(32, 2, FLOOR), column(3), column(1), hex"");
        for (uint256 i; i < subjects.length; ++i) {
            input = bytes.concat(input, bytes32(subjects[i] - subjects[i] % 10));
        }
        bytes memory answer = asked(table, input);
        vm.assertEq(answer.length, 32 + subjects.length * (2 + 4 * 32));
        vm.assertEq(uint256(number(answer, 0, 8)), uint256(MAGIC));
        vm.assertEq(number(answer, 8, 8), subjects.length);
        for (uint256 i; i < subjects.length; ++i) {
            uint256 subject = subjects[i] - subjects[i] % 10;
            uint256 row = 32 + i * 130;
            vm.assertEq(number(answer, row, 2), 0x0101);
            vm.assertEq(word(answer, row + 2), bytes32(subject));
            vm.assertEq(word(answer, row + 34), keccak256(abi.encode(subject)));
            vm.assertEq(uint256(word(answer, row + 66)), uint256(-int256(subject)));
            vm.assertEq(word(answer, row + 98), bytes32(subject));
        }
    }

    function test_what_fails_is_zeros_and_spoils_nobody_else() public {
        bytes memory input = bytes.concat(head(1, 1, FLOOR), column(3));
        for (uint8 i; i < 10; ++i) {
            input = bytes.concat(input, bytes1(i));
        }
        bytes memory answer = asked(table, input);
        uint8[10] memory expected = [1, 0, 0, 0, 2, 0, 0, 1, 2, 1];
        vm.assertEq(number(answer, 8, 8), 10);
        for (uint256 i; i < 10; ++i) {
            uint256 row = 32 + i * 97;
            vm.assertEq(number(answer, row, 1), expected[i]);
            if (expected[i] != 1) {
                vm.assertEq(word(answer, row + 1) | word(answer, row + 33) | word(answer, row + 65), bytes32(0));
            }
        }
        vm.assertEq(number(answer, 32 + 9 * 97 + 1, 32), 9);
    }

    function testFuzz_a_subject_fills_every_hole(uint8 width, uint160 subject) public {
        width = uint8(1 + width % 32);
        uint256 kept = width < 20 ? subject % (1 << (8 * uint256(width))) : subject;
        bytes memory data = abi.encodeCall(moody.pair, (address(0), 5, address(0)));
        bytes memory input = bytes.concat(
            head(width, 1, FLOOR),
            bytes20(address(moody)),
            abi.encodePacked(uint16(1), uint16(data.length), data, uint8(2), uint16(4), uint16(68))
        );
        bytes memory packed = abi.encodePacked(kept);
        for (uint256 i = 32 - width; i < 32; ++i) {
            input = bytes.concat(input, packed[i]);
        }
        vm.assertEq(number(asked(table, input), 33, 32), 2 * kept + 5);
    }

    function test_it_ends_before_a_cell_for_which_too_little_gas_is_left() public {
        bytes memory input = bytes.concat(head(1, 1, FLOOR), column(3), bytes(new bytes(200)));
        (bool ok, bytes memory answer) = table.staticcall{gas: FLOOR + 150_000}(input);
        vm.assertTrue(ok);
        uint256 done = number(answer, 8, 8);
        vm.assertTrue(0 < done && done < 200);
        vm.assertEq(answer.length, 32 + done * 97);
        vm.assertTrue(number(answer, 16, 8) > number(answer, 24, 8));
        (ok, answer) = table.staticcall{gas: FLOOR - 10_000}(input);
        vm.assertTrue(ok);
        vm.assertEq(number(answer, 8, 8), 0);
        vm.assertEq(answer.length, 32);
    }

    function test_a_call_that_took_much_is_marked_though_it_succeeded() public {
        bytes memory data = abi.encodeCall(moody.hungry, (0));
        bytes memory input = bytes.concat(
            head(4, 1, FLOOR),
            bytes20(address(moody)),
            abi.encodePacked(uint16(1), uint16(data.length), data, uint8(1), uint16(4)),
            abi.encodePacked(uint32(1), uint32(1_000_000))
        );
        bytes memory answer = asked(table, input);
        vm.assertEq(number(answer, 32, 1), 1);
        vm.assertEq(number(answer, 33, 32), 1);
        vm.assertEq(number(answer, 65, 1), 3);
        vm.assertEq(number(answer, 66, 32), 2);  // what it says for want of gas
    }

    // --- lists ------------------------------------------------------------------------------------------

    function test_a_list_answers_each_call_as_if_it_were_alone() public {
        bytes memory write = abi.encodeCall(moody.write, ());
        bytes memory answer = asked(
            list,
            bytes.concat(
                call(write), call(write), call(abi.encodeCall(moody.ask, (2))), call(abi.encodeCall(moody.ask, (4)))
            )
        );
        vm.assertEq(moody.written(), 7);
        vm.assertEq(number(answer, 8, 8), 4);
        uint256 at = 32;
        for (uint256 i; i < 2; ++i) {
            vm.assertEq(number(answer, at, 1), 1);
            vm.assertEq(number(answer, at + 5, 4), 32);
            vm.assertEq(number(answer, at + 9, 32), 8);
            at += 41;
        }
        bytes memory reason = abi.encodeWithSignature("Error(string)", "not now");
        vm.assertEq(number(answer, at, 1), 0);
        vm.assertEq(number(answer, at + 5, 4), reason.length);
        for (uint256 i; i < reason.length; ++i) {
            vm.assertEq(uint256(uint8(answer[at + 9 + i])), uint256(uint8(reason[i])));
        }
        at += 9 + reason.length;
        vm.assertEq(number(answer, at, 1), 2);
        vm.assertEq(answer.length, at + 9);
    }

    function test_a_list_ends_where_the_gas_does_but_tries_the_first() public {
        bytes memory ask = call(abi.encodeCall(moody.ask, (0)));
        bytes memory input;
        for (uint256 i; i < 60; ++i) {
            input = bytes.concat(input, ask);
        }
        (bool ok, bytes memory answer) = list.call{gas: 1_250_000}(input);
        vm.assertTrue(ok);
        uint256 done = number(answer, 8, 8);
        vm.assertTrue(1 < done && done < 60);
        vm.assertEq(answer.length, 32 + done * (9 + 96));
        (ok, answer) = list.call{gas: 200_000}(input);
        vm.assertTrue(ok);
        vm.assertEq(number(answer, 8, 8), 1);
        vm.assertEq(number(answer, 32, 1), 1);
    }

    function test_an_address_without_code_answers_nothing() public {
        bytes memory answer = asked(list, abi.encodePacked(address(0x1234), uint32(CAP), uint24(3), "abc"));
        vm.assertEq(number(answer, 32, 1), 1);
        vm.assertEq(number(answer, 37, 4), 0);
        vm.assertEq(answer.length, 41);
    }

    // --- without an address -----------------------------------------------------------------------------

    function testFuzz_a_passage_leaves_with_the_lenss_answer(bool reverts) public {
        bytes memory input = bytes.concat(head(1, 1, FLOOR), column(3), hex"001e");
        bytes memory code = bytes.concat(
            type(Passage).creationCode,
            table.code,
            input,
            bytes20(0),
            abi.encodePacked(uint32(reverts ? 1 : 0), uint32(table.code.length), uint32(input.length))
        );
        bytes memory answer;
        address made;
        assembly {
            made := create(0, add(code, 32), mload(code))
            answer := mload(0x40)
            mstore(answer, returndatasize())
            returndatacopy(add(answer, 32), 0, returndatasize())
            mstore(0x40, add(answer, add(64, returndatasize())))
        }
        vm.assertTrue((made == address(0)) == reverts);
        if (!reverts) answer = made.code;
        vm.assertEq(number(answer, 0, 8), uint256(MAGIC));
        vm.assertEq(number(answer, 8, 8), 2);
        vm.assertEq(answer.length, 32 + 2 * 97);
        vm.assertEq(number(answer, 32 + 97 + 1, 32), 30);
    }

    // --- inside -----------------------------------------------------------------------------------------

    function head(uint8 width, uint8 columns, uint64 floor) private pure returns (bytes memory) {
        return abi.encodePacked(width, columns, CAP, floor);
    }

    function column(uint16 words) private view returns (bytes memory) {
        bytes memory data = abi.encodeCall(moody.ask, (0));
        return abi.encodePacked(moody, words, uint16(data.length), data, uint8(1), uint16(4));
    }

    function call(bytes memory data) private view returns (bytes memory) {
        return abi.encodePacked(moody, uint32(CAP), uint24(data.length), data);
    }

    function asked(address lens, bytes memory input) private returns (bytes memory) {
        (bool ok, bytes memory answer) = lens.call(input);
        vm.assertTrue(ok);
        return answer;
    }

    function number(bytes memory data, uint256 at, uint256 size) private pure returns (uint256) {
        return uint256(word(data, at)) >> (256 - 8 * size);
    }

    function word(bytes memory data, uint256 at) private pure returns (bytes32 found) {
        assembly {
            found := mload(add(add(data, 32), at))
        }
    }
}
