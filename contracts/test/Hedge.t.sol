// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {MintableToken} from "../sim/MintableToken.sol";
import {IHedgeExecutor} from "../src/interfaces/IHedgeExecutor.sol";
import {Fixture} from "./Fixture.sol";
import {Reenterer, Venue} from "./Venue.sol";

/// @title A hedge: once, in time, all or nothing
contract HedgeTest is Fixture {
    // --- once ---------------------------------------------------------------------------------------

    function test_a_hedge_does_its_calls_and_says_so() public {
        vm.expectEmit(true, true, true, true, address(account));
        emit IHedgeExecutor.HedgeExecuted(ID, address(account), 2);
        asOwner().execute(HEDGE, hedgeData(ID, list(buy(3e18), buy(4e18))));
        vm.assertEq(venue.position(), 7e18);
        vm.assertTrue(account.isConsumed(ID));
    }

    function testFuzz_an_intent_executes_once_whatever_the_second_batch_is(
        bytes32 id,
        uint128 first,
        uint128 second,
        uint64 later
    ) public {
        uint256 amount = within(uint256(first), 0, 1e30);
        asOwner().execute(HEDGE, hedgeData(id, list(buy(amount))));
        vm.warp(block.timestamp + later);
        bytes memory again = hedgeData(id, list(buy(within(uint256(second), 0, 1e30))));
        vm.expectRevert(abi.encodeWithSelector(IHedgeExecutor.IntentAlreadyConsumed.selector, id));
        asOwner().execute(HEDGE, again);
        vm.assertEq(venue.bought(), amount);
    }

    function test_a_replay_after_the_deadline_says_consumed_rather_than_expired() public {
        bytes memory data = hedgeData(ID, list(buy(1)));
        asOwner().execute(HEDGE, data);
        vm.warp(block.timestamp + 1 days);
        vm.expectRevert(abi.encodeWithSelector(IHedgeExecutor.IntentAlreadyConsumed.selector, ID));
        asOwner().execute(HEDGE, data);
    }

    function test_a_failed_hedge_leaves_its_intent_unused() public {
        bytes memory data = hedgeData(ID, list(buy(1), buy(2e30)));
        vm.expectPartialRevert(IHedgeExecutor.CallFailed.selector);
        asOwner().execute(HEDGE, data);
        vm.assertFalse(account.isConsumed(ID));
        vm.assertEq(venue.bought(), 0);
        asOwner().execute(HEDGE, hedgeData(ID, list(buy(1))));
        vm.assertEq(venue.bought(), 1);
    }

    function test_a_cancelled_intent_never_executes() public {
        vm.expectEmit(true, true, true, true, address(account));
        emit IHedgeExecutor.IntentCancelled(ID);
        asOwner().cancelIntent(ID);
        vm.assertTrue(account.isConsumed(ID));
        bytes memory data = hedgeData(ID, list(buy(1)));
        vm.expectRevert(abi.encodeWithSelector(IHedgeExecutor.IntentAlreadyConsumed.selector, ID));
        asOwner().execute(HEDGE, data);
    }

    function test_an_executed_intent_cannot_be_cancelled() public {
        asOwner().execute(HEDGE, hedgeData(ID, list(buy(1))));
        vm.expectRevert(abi.encodeWithSelector(IHedgeExecutor.IntentAlreadyConsumed.selector, ID));
        asOwner().cancelIntent(ID);
    }

    // --- in time ------------------------------------------------------------------------------------

    function testFuzz_a_hedge_reverts_from_its_deadline_on(uint64 deadline, uint64 time) public {
        vm.warp(time);
        bytes memory data = hedgeData(ID, deadline, list(buy(1)), none(), none());
        if (time >= deadline) {
            vm.expectRevert(
                abi.encodeWithSelector(IHedgeExecutor.DeadlineExpired.selector, deadline, uint256(time))
            );
        }
        asOwner().execute(HEDGE, data);
        vm.assertEq(venue.bought(), time < deadline ? 1 : 0);
    }

    function test_the_second_before_the_deadline_still_executes() public {
        bytes memory data = hedgeData(ID, uint64(NOW), list(buy(1)), none(), none());
        vm.expectPartialRevert(IHedgeExecutor.DeadlineExpired.selector);
        asOwner().execute(HEDGE, data);
        vm.warp(NOW - 1);
        asOwner().execute(HEDGE, data);
        vm.assertEq(venue.bought(), 1);
    }

    // --- all or nothing -----------------------------------------------------------------------------

    function testFuzz_a_failing_precondition_stops_the_hedge_before_its_calls(int128 equity, int128 floor)
        public
    {
        venue.setEquity(equity);
        // The call would reveal itself by failing first.
        bytes memory data = hedgeData(
            ID,
            uint64(NOW + 1),
            list(equity < floor ? buy(2e30) : buy(1)),
            list(bound(venue.equity.selector, floor, type(int256).max)),
            none()
        );
        if (equity < floor) {
            vm.expectRevert(
                abi.encodeWithSelector(
                    IHedgeExecutor.CheckFailed.selector,
                    false,
                    0,
                    int256(equity),
                    int256(floor),
                    type(int256).max
                )
            );
        }
        asOwner().execute(HEDGE, data);
        vm.assertTrue(account.isConsumed(ID) == (equity >= floor));
    }

    function testFuzz_a_failing_postcondition_undoes_every_call(uint96 before, uint96 amount, uint96 limit)
        public
    {
        venue.trade(address(token), true, before);
        int256 after_ = int256(uint256(before) + amount);
        bytes memory data = hedgeData(
            ID,
            uint64(NOW + 1),
            list(buy(amount), call(address(token), abi.encodeCall(token.transfer, (stranger, 1)))),
            none(),
            list(bound(venue.position.selector, 0, int256(uint256(limit))))
        );
        bool fails = after_ > int256(uint256(limit));
        if (fails) {
            vm.expectRevert(
                abi.encodeWithSelector(
                    IHedgeExecutor.CheckFailed.selector, true, 0, after_, int256(0), int256(uint256(limit))
                )
            );
        }
        asOwner().execute(HEDGE, data);
        vm.assertEq(venue.position(), fails ? int256(uint256(before)) : after_);
        vm.assertEq(token.balanceOf(stranger), fails ? 0 : 1);
        vm.assertTrue(account.isConsumed(ID) != fails);
    }

    function test_checks_before_see_the_state_before_and_checks_after_the_state_after() public {
        bytes memory data = hedgeData(
            ID,
            uint64(NOW + 1),
            list(buy(5e18)),
            list(bound(venue.position.selector, 0, 0)),
            list(bound(venue.position.selector, 5e18, 5e18))
        );
        asOwner().execute(HEDGE, data);
        vm.assertEq(venue.position(), 5e18);
    }

    // --- calls --------------------------------------------------------------------------------------

    function test_a_failing_call_is_named_with_its_reason() public {
        bytes memory data = hedgeData(ID, list(buy(1), buy(2e30)));
        vm.prank(address(account));
        (bool ok, bytes memory raw) =
            address(account).call(abi.encodeCall(IHedgeExecutor.execute, (HEDGE, data)));
        vm.assertFalse(ok);
        (bytes4 selector, uint256 index, address target, bytes memory reason, uint256 gasLeft) = failure(raw);
        vm.assertEq(bytes32(selector), bytes32(IHedgeExecutor.CallFailed.selector));
        vm.assertEq(index, 1);
        vm.assertEq(target, address(venue));
        vm.assertEq(reason, abi.encodeWithSelector(Venue.Refused.selector, 2e30));
        vm.assertTrue(gasLeft > 100_000, "most of the gas is left");
    }

    function test_a_call_that_runs_out_of_gas_shows_as_an_empty_reason_and_little_gas() public {
        bytes memory data = hedgeData(ID, list(call(address(venue), abi.encodeCall(Venue.burn, ()))));
        vm.prank(address(account));
        (bool ok, bytes memory raw) =
            address(account).call{gas: 1_000_000}(abi.encodeCall(IHedgeExecutor.execute, (HEDGE, data)));
        vm.assertFalse(ok);
        (, uint256 index,, bytes memory reason, uint256 gasLeft) = failure(raw);
        vm.assertEq(index, 0);
        vm.assertEq(reason.length, 0);
        vm.assertTrue(gasLeft < 20_000, "little gas is left");
    }

    function test_long_revert_data_is_cut() public {
        bytes memory data = hedgeData(ID, list(call(address(venue), abi.encodeCall(Venue.bomb, ()))));
        vm.prank(address(account));
        (, bytes memory raw) = address(account).call(abi.encodeCall(IHedgeExecutor.execute, (HEDGE, data)));
        (,,, bytes memory reason,) = failure(raw);
        vm.assertEq(reason.length, 4096);
    }

    function test_a_long_answer_is_not_copied() public {
        bytes memory data = hedgeData(ID, list(call(address(venue), abi.encodeCall(Venue.flood, ()))));
        vm.prank(address(account));
        (bool ok,) =
            address(account).call{gas: 2_400_000}(abi.encodeCall(IHedgeExecutor.execute, (HEDGE, data)));
        vm.assertTrue(ok, "the venue's own memory costs 2.1 million gas; a copy would double it");
    }

    function testFuzz_calldata_for_an_address_without_code_is_refused(address to, bytes memory data) public {
        vm.assume(data.length > 0 && to.code.length == 0 && to != address(0));
        vm.assume(uint160(to) > 0xff);
        bytes memory batch = abi.encode(list(buy(1), call(to, data)));
        vm.expectRevert(abi.encodeWithSelector(IHedgeExecutor.TargetHasNoCode.selector, 1, to));
        asOwner().execute(PLAIN, batch);
    }

    function testFuzz_no_batch_of_anybody_reaches_the_account_itself(
        bytes memory data,
        uint8 who,
        bool zero,
        bool plain,
        uint64 value
    ) public {
        asOwner().setSession(key, session());
        address self = zero ? address(0) : address(account);
        IHedgeExecutor.Call[] memory calls = list(buy(1), IHedgeExecutor.Call(self, value, data));
        bytes memory batch = plain ? abi.encode(calls) : hedgeData(ID, calls);
        address caller = [address(account), key, stranger][who % 3];
        if (caller == address(account)) {
            vm.expectRevert(abi.encodeWithSelector(IHedgeExecutor.SelfCallForbidden.selector, 1));
        } else {
            vm.expectRevert();
        }
        vm.prank(caller);
        account.execute(plain ? PLAIN : HEDGE, batch);
        vm.assertEq(venue.bought(), 0);
    }

    function test_value_is_sent_along_and_may_come_with_the_transaction() public {
        IHedgeExecutor.Call memory paid = buy(1);
        paid.value = 3 ether;
        vm.deal(address(account), 3 ether);
        asOwner().execute{value: 2 ether}(HEDGE, hedgeData(ID, list(paid)));
        vm.assertEq(venue.received(), 3 ether);
        vm.assertEq(address(account).balance, 0);
    }

    function test_the_owner_may_send_value_to_an_address_without_code() public {
        asOwner().execute(PLAIN, abi.encode(list(IHedgeExecutor.Call(stranger, 1 ether, ""))));
        vm.assertEq(stranger.balance, 1 ether);
    }

    // --- modes --------------------------------------------------------------------------------------

    function testFuzz_modes_are_told_by_call_type_exec_type_and_selector_only(bytes4 unused, bytes22 payload)
        public
        view
    {
        bytes32 noise = (bytes32(unused) >> 16) | (bytes32(payload) >> 80);
        vm.assertTrue(account.supportsExecutionMode(PLAIN | noise));
        vm.assertTrue(account.supportsExecutionMode(HEDGE | noise));
    }

    function testFuzz_other_modes_are_refused(bytes32 mode) public {
        vm.assume(!account.supportsExecutionMode(mode));
        bytes memory batch = abi.encode(list(buy(1)));
        vm.expectRevert(abi.encodeWithSelector(IHedgeExecutor.ModeUnsupported.selector, mode));
        asOwner().execute(mode, batch);
    }

    function test_erc7821_modes_are_answered_as_specified() public view {
        vm.assertTrue(
            account.supportsExecutionMode(0x0100000000000000000000000000000000000000000000000000000000000000)
        );
        vm.assertTrue(
            account.supportsExecutionMode(0x0100000000007821000100000000000000000000000000000000000000000000)
        );
        vm.assertFalse(
            account.supportsExecutionMode(0x0100000000007821000200000000000000000000000000000000000000000000)
        );
        vm.assertFalse(
            account.supportsExecutionMode(0x0101000000000000000000000000000000000000000000000000000000000000)
        );
        vm.assertFalse(account.supportsExecutionMode(0));
    }

    function test_a_plain_batch_needs_no_intent() public {
        vm.expectEmit(true, true, true, true, address(account));
        emit IHedgeExecutor.BatchExecuted(address(account), 2);
        asOwner().execute(PLAIN, abi.encode(list(buy(1), buy(2))));
        vm.assertEq(venue.bought(), 3);
    }

    function test_a_plain_batch_may_come_in_the_hedge_mode() public {
        asOwner().execute(HEDGE, abi.encode(list(buy(1))));
        asOwner().execute(HEDGE, abi.encode(list(buy(2)), bytes("")));
        vm.assertEq(venue.bought(), 3);
    }

    function test_a_hedge_in_the_plain_mode_does_not_run_without_its_checks() public {
        bytes memory data = hedgeData(ID, list(buy(1)));
        vm.expectRevert(abi.encodeWithSelector(IHedgeExecutor.BatchMalformed.selector));
        asOwner().execute(PLAIN, data);
    }

    function testFuzz_malformed_data_is_refused(bytes memory data, bool plain) public {
        vm.assume(data.length < 64 || uint256(bytes32(data)) > 0x40);
        vm.expectRevert(abi.encodeWithSelector(IHedgeExecutor.BatchMalformed.selector));
        asOwner().execute(plain ? PLAIN : HEDGE, data);
    }

    function testFuzz_malformed_op_data_is_refused(bytes memory opData) public {
        vm.assume(opData.length > 0 && opData.length < 192);
        bytes memory data = abi.encode(list(buy(1)), opData);
        vm.expectRevert();
        asOwner().execute(HEDGE, data);
        vm.assertEq(venue.bought(), 0);
    }

    // --- who ----------------------------------------------------------------------------------------

    function testFuzz_strangers_can_do_nothing(address who, bytes32 id) public {
        vm.assume(who != address(account));
        bytes memory hedge = hedgeData(id, list(buy(1)));
        bytes memory batch = abi.encode(list(buy(1)));
        bytes memory refusal = abi.encodeWithSelector(IHedgeExecutor.Unauthorized.selector, who);
        vm.startPrank(who);
        vm.expectRevert(refusal);
        account.execute(HEDGE, hedge);
        vm.expectRevert(refusal);
        account.execute(HEDGE, batch);
        vm.expectRevert(refusal);
        account.execute(PLAIN, batch);
        vm.expectRevert(refusal);
        account.cancelIntent(id);
        vm.expectRevert(refusal);
        account.setSession(who, session());
        vm.expectRevert(refusal);
        account.revokeSession(who);
        vm.expectRevert(refusal);
        account.revokeAllSessions();
        vm.stopPrank();
        vm.assertFalse(account.isConsumed(id));
    }

    // --- reentrancy ---------------------------------------------------------------------------------

    /// @dev The called contract is itself a session key, so that only the lock can stop it.
    function test_a_called_contract_cannot_start_another_hedge() public {
        Reenterer reenterer = new Reenterer();
        asOwner().setSession(address(reenterer), session());
        bytes memory inner = hedgeData(keccak256("inner"), list(buy(1)));
        reenterer.prepare(address(account), abi.encodeCall(IHedgeExecutor.execute, (HEDGE, inner)));
        expectReentered(reenterer, call(address(reenterer), abi.encodeCall(Reenterer.touch, ())));
        vm.assertEq(venue.bought(), 0);

        reenterer.touch(); // outside a batch the very same call is allowed
        vm.assertEq(venue.bought(), 1);
    }

    function test_a_receiver_of_value_cannot_start_another_hedge() public {
        Reenterer reenterer = new Reenterer();
        asOwner().setSession(address(reenterer), session());
        bytes memory inner = hedgeData(keccak256("inner"), list(buy(1)));
        reenterer.prepare(address(account), abi.encodeCall(IHedgeExecutor.execute, (HEDGE, inner)));
        expectReentered(reenterer, IHedgeExecutor.Call(address(reenterer), 1, ""));
    }

    function test_two_hedges_in_one_transaction_are_fine_one_after_the_other() public {
        asOwner().execute(HEDGE, hedgeData(keccak256("1"), list(buy(1))));
        asOwner().execute(HEDGE, hedgeData(keccak256("2"), list(buy(1))));
        vm.assertEq(venue.bought(), 2);
    }

    function expectReentered(Reenterer reenterer, IHedgeExecutor.Call memory touch) private {
        bytes memory outer = hedgeData(ID, list(touch));
        vm.prank(address(account));
        (bool ok, bytes memory raw) =
            address(account).call(abi.encodeCall(IHedgeExecutor.execute, (HEDGE, outer)));
        vm.assertFalse(ok);
        (,, address target, bytes memory reason,) = failure(raw);
        vm.assertEq(target, address(reenterer));
        vm.assertEq(reason, abi.encodeWithSelector(IHedgeExecutor.Reentered.selector));
    }
}
