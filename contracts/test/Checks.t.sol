// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IHedgeExecutor} from "../src/interfaces/IHedgeExecutor.sol";
import {Fixture} from "./Fixture.sol";
import {Venue} from "./Venue.sol";

/// @title Bounds on sums of words
contract ChecksTest is Fixture {
    uint256 private count;

    // --- the linear form ----------------------------------------------------------------------------

    /// @dev Small enough for a reference without overflow; the reference compares without dividing.
    function testFuzz_a_check_holds_exactly_when_the_sum_is_between_the_bounds(
        int128[3] memory words,
        int64[3] memory multipliers,
        int128 lower,
        int128 upper
    ) public {
        IHedgeExecutor.Term[] memory terms = new IHedgeExecutor.Term[](3);
        int256 sum;
        for (uint256 i; i < 3; ++i) {
            terms[i] = echo(words[i], multipliers[i]);
            sum += int256(words[i]) * multipliers[i];
        }
        bool holds = int256(lower) * WAD <= sum && sum <= int256(upper) * WAD;
        vm.assertTrue(passes(IHedgeExecutor.Check(terms, lower, upper)) == holds);
    }

    /// @dev The same, with bounds drawn close to the sum, where rounding would decide.
    function testFuzz_rounding_never_lets_a_sum_pass_that_is_outside(int128 word, int64 multiplier, int8 near)
        public
    {
        int256 sum = int256(word) * multiplier;
        int256 edge = sum / WAD + near % 3;
        IHedgeExecutor.Term[] memory terms = new IHedgeExecutor.Term[](1);
        terms[0] = echo(word, multiplier);
        vm.assertTrue(
            passes(IHedgeExecutor.Check(terms, edge, type(int256).max)) == (edge * WAD <= sum), "lower"
        );
        vm.assertTrue(
            passes(IHedgeExecutor.Check(terms, type(int256).min, edge)) == (sum <= edge * WAD), "upper"
        );
    }

    function testFuzz_the_value_of_a_failed_check_lies_outside_its_bounds(int128 word, int64 multiplier)
        public
    {
        int256 sum = int256(word) * multiplier;
        vm.assume(sum % WAD != 0);
        int256 down = sum / WAD - (sum < 0 ? int256(1) : int256(0));
        IHedgeExecutor.Check memory check;
        check.terms = new IHedgeExecutor.Term[](1);
        check.terms[0] = echo(word, multiplier);
        (check.lower, check.upper) = (down + 1, down + 1);
        expectFailure(check, down);
        (check.lower, check.upper) = (down, down);
        expectFailure(check, down + 1);
    }

    function test_account_value_at_least_three_times_maintenance() public {
        IHedgeExecutor.Check memory check;
        check.terms = new IHedgeExecutor.Term[](2);
        check.terms[0] = IHedgeExecutor.Term(address(venue), abi.encodeCall(Venue.quote, ()), 2, true, WAD);
        check.terms[1] =
            IHedgeExecutor.Term(address(venue), abi.encodeCall(Venue.quote, ()), 1, false, -3 * WAD);
        (check.lower, check.upper) = (0, type(int256).max);
        venue.setEquity(300e18);
        vm.assertTrue(passes(check));
        venue.setEquity(300e18 - 1);
        expectFailure(check, -1);
    }

    function testFuzz_an_absolute_value_stays_inside_a_band_around_zero(int128 position, uint120 band)
        public
    {
        int256 limit = int256(uint256(band));
        IHedgeExecutor.Term[] memory terms = new IHedgeExecutor.Term[](1);
        terms[0] = echo(position, WAD);
        bool holds = (position < 0 ? -int256(position) : int256(position)) <= limit;
        vm.assertTrue(passes(IHedgeExecutor.Check(terms, -limit, limit)) == holds);
    }

    function testFuzz_a_word_is_picked_by_its_index(int128 position, uint128 maintenance, int128 equity)
        public
    {
        if (position > 0) venue.trade(address(0), true, within(uint256(uint128(position)), 0, 1e30));
        venue.setMaintenance(maintenance);
        venue.setEquity(equity);
        int256[3] memory words = [venue.position(), int256(uint256(maintenance)), int256(equity)];
        for (uint16 i; i < 3; ++i) {
            IHedgeExecutor.Term[] memory terms = new IHedgeExecutor.Term[](1);
            terms[0] = IHedgeExecutor.Term(address(venue), abi.encodeCall(Venue.quote, ()), i, true, WAD);
            vm.assertTrue(passes(IHedgeExecutor.Check(terms, words[i], words[i])));
        }
    }

    function test_the_failing_check_is_named_by_side_and_index() public {
        IHedgeExecutor.Check[] memory checks = new IHedgeExecutor.Check[](2);
        checks[0] = bound(venue.equity.selector, 0, 1e30);
        checks[1] = bound(venue.equity.selector, 0, 1);
        bytes memory data = hedgeData(ID, uint64(NOW + 1), list(buy(1)), checks, none());
        vm.expectRevert(abi.encodeWithSelector(IHedgeExecutor.CheckFailed.selector, false, 1, 1000e18, 0, 1));
        asOwner().execute(HEDGE, data);
        data = hedgeData(ID, uint64(NOW + 1), list(buy(1)), none(), checks);
        vm.expectRevert(abi.encodeWithSelector(IHedgeExecutor.CheckFailed.selector, true, 1, 1000e18, 0, 1));
        asOwner().execute(HEDGE, data);
    }

    // --- the chain ----------------------------------------------------------------------------------

    function testFuzz_the_block_timestamp_can_be_bounded(uint64 time) public {
        vm.warp(time);
        IHedgeExecutor.Term[] memory terms = new IHedgeExecutor.Term[](1);
        terms[0] = IHedgeExecutor.Term(address(0), "", 0, false, WAD);
        bytes memory data = hedgeData(
            ID,
            type(uint64).max,
            list(buy(1)),
            list(IHedgeExecutor.Check(terms, int256(NOW), type(int256).max)),
            none()
        );
        if (time < NOW) vm.expectPartialRevert(IHedgeExecutor.CheckFailed.selector);
        else vm.assume(time < type(uint64).max);
        asOwner().execute(HEDGE, data);
    }

    function testFuzz_the_age_of_an_answer_can_be_bounded(uint32 updatedAt, uint32 age) public {
        vm.assume(updatedAt <= NOW);
        IHedgeExecutor.Term[] memory terms = new IHedgeExecutor.Term[](2);
        terms[0] = IHedgeExecutor.Term(address(0), "", 0, false, WAD);
        terms[1] = echo(int256(uint256(updatedAt)), -WAD);
        vm.assertTrue(
            passes(IHedgeExecutor.Check(terms, 0, int256(uint256(age)))) == (NOW - updatedAt <= age)
        );
    }

    function testFuzz_the_native_balance_after_the_calls_can_be_bounded(uint64 sent) public {
        IHedgeExecutor.Term[] memory terms = new IHedgeExecutor.Term[](1);
        terms[0] = IHedgeExecutor.Term(address(0), "", 1, false, WAD);
        IHedgeExecutor.Call memory paid = buy(1);
        paid.value = within(uint256(sent), 0, 10 ether);
        bytes memory data = hedgeData(
            ID,
            uint64(NOW + 1),
            list(paid),
            none(),
            list(IHedgeExecutor.Check(terms, 4 ether, type(int256).max))
        );
        if (paid.value > 6 ether) vm.expectPartialRevert(IHedgeExecutor.CheckFailed.selector);
        asOwner().execute(HEDGE, data);
    }

    function testFuzz_other_words_of_the_chain_are_unknown(uint16 word) public {
        vm.assume(word > 1);
        expectRefusal(
            IHedgeExecutor.Term(address(0), "", word, false, WAD),
            abi.encodeWithSelector(IHedgeExecutor.ReadUnknown.selector, true, 0, 0, word)
        );
    }

    // --- reads that cannot be trusted ---------------------------------------------------------------

    function testFuzz_an_address_without_code_proves_nothing(address target, bytes memory data) public {
        vm.assume(target != address(0) && target.code.length == 0 && uint160(target) > 0xff);
        expectRefusal(
            IHedgeExecutor.Term(target, data, 0, false, WAD),
            abi.encodeWithSelector(IHedgeExecutor.ReadTargetHasNoCode.selector, true, 0, 0, target)
        );
    }

    function testFuzz_a_word_past_the_end_of_the_answer_is_not_zero(uint16 word) public {
        vm.assume(word > 0);
        IHedgeExecutor.Term memory term = echo(1, WAD);
        term.word = word;
        expectRefusal(
            term, abi.encodeWithSelector(IHedgeExecutor.ReadTooShort.selector, true, 0, 0, uint256(32))
        );
    }

    function test_an_answer_one_byte_short_is_refused() public {
        expectRefusal(
            IHedgeExecutor.Term(address(venue), abi.encodeCall(Venue.short, ()), 0, false, WAD),
            abi.encodeWithSelector(IHedgeExecutor.ReadTooShort.selector, true, 0, 0, uint256(31))
        );
    }

    function test_a_reverting_read_is_named_with_its_reason() public {
        bytes memory data = abi.encodeCall(Venue.trade, (address(0), true, 2e30));
        expectRefusal(
            IHedgeExecutor.Term(address(venue), data, 0, false, WAD),
            abi.encodeWithSelector(
                IHedgeExecutor.ReadFailed.selector,
                true,
                0,
                0,
                address(venue),
                abi.encodeWithSelector(Venue.Refused.selector, 2e30)
            )
        );
    }

    function test_a_read_cannot_change_anything() public {
        IHedgeExecutor.Check[] memory checks = new IHedgeExecutor.Check[](1);
        checks[0].terms = new IHedgeExecutor.Term[](1);
        checks[0].terms[0] =
            IHedgeExecutor.Term(address(venue), abi.encodeCall(Venue.mark, (ID)), 0, false, WAD);
        bytes memory data = hedgeData(ID, uint64(NOW + 1), list(buy(1)), checks, none());
        vm.prank(address(account));
        // The forbidden write burns the gas it was given.
        (bool ok, bytes memory raw) =
            address(account).call{gas: 500_000}(abi.encodeCall(IHedgeExecutor.execute, (HEDGE, data)));
        vm.assertFalse(ok);
        vm.assertEq(bytes32(bytes4(raw)), bytes32(IHedgeExecutor.ReadFailed.selector));
        vm.assertEq(venue.marks(ID), 0);
    }

    function test_a_read_may_ask_the_account_itself() public {
        IHedgeExecutor.Term[] memory terms = new IHedgeExecutor.Term[](1);
        terms[0] = IHedgeExecutor.Term(
            address(account), abi.encodeCall(IHedgeExecutor.isConsumed, (ID)), 0, false, WAD
        );
        vm.assertTrue(passes(IHedgeExecutor.Check(terms, 0, 0)));
    }

    // --- range --------------------------------------------------------------------------------------

    /// @dev Reference in 512 bits: (high, low) of the product's magnitude.
    function testFuzz_a_product_outside_int256_is_refused_and_any_other_is_not(
        int256 word,
        int256 multiplier,
        uint8 shift
    ) public {
        // Around 255 bits in all, where it is decided.
        word >>= shift;
        multiplier >>= 255 - shift;
        (uint256 high, uint256 low) = fullMul(magnitude(word), magnitude(multiplier));
        bool negative = (word < 0) != (multiplier < 0);
        bool fits = high == 0 && low <= (negative ? uint256(1) << 255 : (uint256(1) << 255) - 1);
        IHedgeExecutor.Term[] memory terms = new IHedgeExecutor.Term[](1);
        terms[0] = echo(word, multiplier);
        IHedgeExecutor.Check memory check = IHedgeExecutor.Check(terms, type(int256).min, type(int256).max);
        if (fits) {
            vm.assertTrue(passes(check));
        } else {
            expectRefusal(terms[0], abi.encodeWithSelector(IHedgeExecutor.CheckOverflow.selector, true, 0, 0));
        }
    }

    function test_the_smallest_integer_times_minus_one_does_not_wrap() public {
        bytes memory overflow = abi.encodeWithSelector(IHedgeExecutor.CheckOverflow.selector, true, 0, 0);
        expectRefusal(echo(type(int256).min, -1), overflow);
        expectRefusal(echo(-1, type(int256).min), overflow);
        expectRefusal(echo(type(int256).min, type(int256).min), overflow);
    }

    function testFuzz_a_sum_outside_int256_is_refused_and_any_other_is_not(int256 a, int256 b) public {
        bool fits;
        unchecked {
            int256 sum = a + b;
            fits = b >= 0 ? sum >= a : sum < a;
        }
        IHedgeExecutor.Check memory check;
        check.terms = new IHedgeExecutor.Term[](2);
        (check.terms[0], check.terms[1]) = (echo(a, 1), echo(b, 1));
        (check.lower, check.upper) = (type(int256).min, type(int256).max);
        bytes memory data = hedgeData(ID, uint64(NOW + 1), list(buy(1)), none(), list(check));
        if (!fits) {
            vm.expectRevert(abi.encodeWithSelector(IHedgeExecutor.CheckOverflow.selector, true, 0, 1));
        }
        asOwner().execute(HEDGE, data);
    }

    function testFuzz_an_unsigned_word_of_2_to_the_255_or_more_is_not_read_as_negative(uint256 word) public {
        word |= 1 << 255;
        IHedgeExecutor.Term memory term = echo(int256(word), 1);
        term.isSigned = false;
        expectRefusal(term, abi.encodeWithSelector(IHedgeExecutor.CheckOverflow.selector, true, 0, 0));
    }

    // --- inside -------------------------------------------------------------------------------------

    function echo(int256 value, int256 multiplier) private view returns (IHedgeExecutor.Term memory) {
        return IHedgeExecutor.Term(address(venue), abi.encodeCall(Venue.echo, (value)), 0, true, multiplier);
    }

    function passes(IHedgeExecutor.Check memory check) private returns (bool ok) {
        bytes memory data = hedgeData(bytes32(++count), uint64(NOW + 1), list(buy(0)), none(), list(check));
        vm.prank(address(account));
        bytes memory raw;
        (ok, raw) = address(account).call(abi.encodeCall(IHedgeExecutor.execute, (HEDGE, data)));
        if (!ok) vm.assertEq(bytes32(bytes4(raw)), bytes32(IHedgeExecutor.CheckFailed.selector));
    }

    function expectFailure(IHedgeExecutor.Check memory check, int256 value) private {
        bytes memory data = hedgeData(ID, uint64(NOW + 1), list(buy(1)), none(), list(check));
        vm.expectRevert(
            abi.encodeWithSelector(
                IHedgeExecutor.CheckFailed.selector, true, 0, value, check.lower, check.upper
            )
        );
        asOwner().execute(HEDGE, data);
    }

    function expectRefusal(IHedgeExecutor.Term memory term, bytes memory refusal) private {
        IHedgeExecutor.Check memory check;
        check.terms = new IHedgeExecutor.Term[](1);
        check.terms[0] = term;
        (check.lower, check.upper) = (type(int256).min, type(int256).max);
        bytes memory data = hedgeData(ID, uint64(NOW + 1), list(buy(1)), none(), list(check));
        vm.expectRevert(refusal);
        asOwner().execute(HEDGE, data);
    }

    function magnitude(int256 x) private pure returns (uint256) {
        unchecked {
            return x < 0 ? uint256(-x) : uint256(x);
        }
    }

    function fullMul(uint256 a, uint256 b) private pure returns (uint256 high, uint256 low) {
        unchecked {
            uint256 modulo = mulmod(a, b, type(uint256).max);
            low = a * b;
            high = modulo - low - (modulo < low ? 1 : 0);
        }
    }
}
