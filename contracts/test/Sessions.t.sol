// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IHedgeExecutor} from "../src/interfaces/IHedgeExecutor.sol";
import {Fixture} from "./Fixture.sol";
import {Venue} from "./Venue.sol";

/// @title What a session key can do, and what it cannot whatever it tries
contract SessionsTest is Fixture {
    uint256 private count;

    function setUp() public override {
        super.setUp();
        asOwner().setSession(key, session());
    }

    // --- what it can --------------------------------------------------------------------------------

    function test_a_session_key_hedges_inside_its_rules() public {
        vm.expectEmit(true, true, true, true, address(account));
        emit IHedgeExecutor.HedgeExecuted(ID, key, 2);
        asKey().execute(HEDGE, hedgeData(ID, list(buy(40e18), paid(60e18, 1 ether))));
        vm.assertEq(venue.bought(), 100e18);
        vm.assertEq(venue.received(), 1 ether);
        IHedgeExecutor.RuleState memory state = rules(address(venue), Venue.trade.selector)[0];
        vm.assertEq(state.caps[0].spent, 100e18);
        vm.assertEq(state.spentValue, 1 ether);
        vm.assertEq(account.sessionOf(key).usesLeft, 9);
    }

    function test_a_session_is_shown_as_it_was_set() public view {
        IHedgeExecutor.SessionState memory state = account.sessionOf(key);
        vm.assertEq(state.expiry, NOW + 3600);
        vm.assertEq(state.usesLeft, 10);
        vm.assertEq(state.guardCount, 0);
        vm.assertEq(state.guardsHash, keccak256(abi.encode(none())));
        IHedgeExecutor.RuleState memory shown = rules(address(venue), Venue.trade.selector)[0];
        vm.assertEq(shown.maxValue, 1 ether);
        vm.assertEq(shown.spentValue, 0);
        vm.assertEq(shown.pins.length, 2);
        vm.assertEq(shown.pins[1].word, 1);
        vm.assertEq(shown.pins[1].value, bytes32(uint256(1)));
        vm.assertEq(shown.caps[0].word, 2);
        vm.assertEq(shown.caps[0].max, 100e18);
        vm.assertEq(rules(address(venue), Venue.mark.selector).length, 0);
        vm.assertEq(account.sessionOf(stranger).expiry, 0);
    }

    function test_a_failed_hedge_spends_nothing_of_the_session() public {
        bytes memory data = hedgeData(
            ID, uint64(NOW + 1), list(paid(9e18, 1)), none(), list(bound(venue.position.selector, 0, 1))
        );
        vm.expectPartialRevert(IHedgeExecutor.CheckFailed.selector);
        asKey().execute(HEDGE, data);
        IHedgeExecutor.RuleState memory state = rules(address(venue), Venue.trade.selector)[0];
        vm.assertEq(state.caps[0].spent, 0);
        vm.assertEq(state.spentValue, 0);
        vm.assertEq(account.sessionOf(key).usesLeft, 10);
        vm.assertFalse(account.isConsumed(ID));
    }

    // --- only hedges --------------------------------------------------------------------------------

    function test_a_session_key_cannot_do_without_intent_and_checks() public {
        bytes memory refusal = abi.encodeWithSelector(IHedgeExecutor.Unauthorized.selector, key);
        bytes memory batch = abi.encode(list(buy(1)));
        vm.expectRevert(refusal);
        asKey().execute(PLAIN, batch);
        vm.expectRevert(refusal);
        asKey().execute(HEDGE, batch);
        bytes memory empty = abi.encode(list(buy(1)), bytes(""));
        vm.expectRevert(refusal);
        asKey().execute(HEDGE, empty);
        bytes memory unchecked_ = hedgeData(ID, uint64(NOW + 1), list(buy(1)), anything(), none());
        vm.expectRevert(abi.encodeWithSelector(IHedgeExecutor.GuardsMissing.selector, key));
        asKey().execute(HEDGE, unchecked_);
    }

    function test_a_session_key_is_bound_by_deadlines_and_used_intents() public {
        bytes memory late = hedgeData(ID, uint64(NOW), list(buy(1)), none(), anything());
        vm.expectPartialRevert(IHedgeExecutor.DeadlineExpired.selector);
        asKey().execute(HEDGE, late);
        asOwner().execute(HEDGE, hedgeData(ID, list(buy(1))));
        bytes memory again = hedgeData(ID, list(buy(1)));
        vm.expectRevert(abi.encodeWithSelector(IHedgeExecutor.IntentAlreadyConsumed.selector, ID));
        asKey().execute(HEDGE, again);
    }

    function test_a_session_key_has_none_of_the_owners_rights() public {
        bytes memory refusal = abi.encodeWithSelector(IHedgeExecutor.Unauthorized.selector, key);
        vm.startPrank(key);
        vm.expectRevert(refusal);
        account.setSession(key, session());
        vm.expectRevert(refusal);
        account.setSession(stranger, session());
        vm.expectRevert(refusal);
        account.revokeSession(key);
        vm.expectRevert(refusal);
        account.revokeAllSessions();
        vm.expectRevert(refusal);
        account.cancelIntent(ID);
        vm.stopPrank();
    }

    function testFuzz_a_session_key_cannot_reach_the_account_itself(bytes memory tail, uint8 which, bool zero)
        public
    {
        bytes4[5] memory selectors = [
            IHedgeExecutor.setSession.selector,
            IHedgeExecutor.revokeAllSessions.selector,
            IHedgeExecutor.execute.selector,
            IHedgeExecutor.cancelIntent.selector,
            Venue.trade.selector
        ];
        bytes memory data = abi.encodePacked(selectors[which % 5], tail);
        address self = zero ? address(0) : address(account);
        bytes memory hedge = hedgeData(ID, list(call(self, data)));
        vm.expectRevert(
            abi.encodeWithSelector(IHedgeExecutor.CallNotAllowed.selector, 0, self, selectors[which % 5])
        );
        asKey().execute(HEDGE, hedge);
    }

    function testFuzz_rules_cannot_open_the_account_itself(bytes4 selector, uint8 which) public {
        address target = [address(0), address(account), key][which % 3];
        IHedgeExecutor.Session memory s = session();
        IHedgeExecutor.Rule memory good = s.rules[0];
        s.rules = new IHedgeExecutor.Rule[](2);
        (s.rules[0], s.rules[1]) = (good, rule(target, selector, 0, 0));
        vm.expectRevert(abi.encodeWithSelector(IHedgeExecutor.RuleTargetForbidden.selector, 1, target));
        asOwner().setSession(key, s);
    }

    function test_the_owner_and_nobody_are_no_session_keys() public {
        vm.expectRevert(abi.encodeWithSelector(IHedgeExecutor.SessionKeyForbidden.selector, address(account)));
        asOwner().setSession(address(account), session());
        vm.expectRevert(abi.encodeWithSelector(IHedgeExecutor.SessionKeyForbidden.selector, address(0)));
        asOwner().setSession(address(0), session());
    }

    // --- targets and selectors ----------------------------------------------------------------------

    function testFuzz_whatever_is_not_allowed_is_refused(address to, bytes4 selector, bytes memory tail)
        public
    {
        if (uint160(to) % 3 == 0) to = address(venue);
        if (uint160(to) % 5 == 0) to = address(token);
        vm.assume(to != address(venue) || selector != Venue.trade.selector);
        refused(call(to, abi.encodePacked(selector, tail)), selector);
    }

    function testFuzz_calldata_without_a_whole_selector_is_refused(bytes3 head, uint8 length, uint64 value)
        public
    {
        bytes memory data = abi.encodePacked(head);
        uint256 cut = length % 4;
        assembly {
            mstore(data, cut)
        }
        refused(IHedgeExecutor.Call(address(venue), value, data), bytes4(0));
        refused(IHedgeExecutor.Call(key, value, data), bytes4(0));
    }

    /// @dev A rule for selector zero must not open short calldata, which a fallback would see.
    function test_a_rule_for_selector_zero_does_not_allow_plain_transfers() public {
        IHedgeExecutor.Rule memory open = rule(address(venue), bytes4(0), 0, 0);
        open.maxValue = 1 ether;
        asOwner().setSession(key, only(open));
        refused(IHedgeExecutor.Call(address(venue), 1, ""), bytes4(0));
        refused(IHedgeExecutor.Call(address(venue), 0, hex"000000"), bytes4(0));
    }

    function test_one_forbidden_call_refuses_the_whole_hedge() public {
        bytes memory data =
            hedgeData(ID, list(buy(1), call(address(token), abi.encodeCall(token.transfer, (key, 1)))));
        vm.expectRevert(
            abi.encodeWithSelector(
                IHedgeExecutor.CallNotAllowed.selector, 1, address(token), token.transfer.selector
            )
        );
        asKey().execute(HEDGE, data);
        vm.assertEq(venue.bought(), 0);
    }

    function test_rules_of_one_key_are_not_another_keys() public {
        asOwner().setSession(stranger, only(rule(address(venue), Venue.mark.selector, 0, 0)));
        refused(call(address(venue), abi.encodeCall(Venue.mark, (ID))), Venue.mark.selector);
        asStranger()
            .execute(HEDGE, hedgeData(ID, list(call(address(venue), abi.encodeCall(Venue.mark, (ID))))));
        vm.assertEq(venue.marks(ID), 1);
    }

    // --- pins ---------------------------------------------------------------------------------------

    function testFuzz_a_pinned_argument_takes_no_other_value(uint256 market, uint256 isLong) public {
        uint256 allowed = uint256(uint160(address(token)));
        // Often close to the pinned value: only the upper bits differ, which a lax decoder would mask.
        if (isLong % 2 == 0) market = allowed | (market << 160);
        else isLong >>= 248;
        bytes memory data = abi.encodeWithSelector(Venue.trade.selector, market, isLong, 1);
        if (market == allowed && isLong == 1) {
            asKey().execute(HEDGE, hedgeData(ID, list(call(address(venue), data))));
        } else {
            refused(call(address(venue), data), Venue.trade.selector);
        }
    }

    function test_calldata_that_ends_before_a_pin_or_cap_is_refused() public {
        for (uint256 length = 4; length < 100; ++length) {
            bytes memory data = buy(1).data;
            assembly {
                mstore(data, length)
            }
            refused(call(address(venue), data), Venue.trade.selector);
        }
    }

    function test_a_word_past_the_end_of_calldata_is_not_read_as_a_pinned_zero() public {
        IHedgeExecutor.Rule memory zero = rule(address(venue), Venue.mark.selector, 1, 0);
        zero.pins[0] = IHedgeExecutor.Pin(1, 0);
        asOwner().setSession(key, only(zero));
        refused(call(address(venue), abi.encodeCall(Venue.mark, (ID))), Venue.mark.selector);
        zero.pins[0].word = type(uint16).max;
        asOwner().setSession(key, only(zero));
        refused(call(address(venue), abi.encodeCall(Venue.mark, (ID))), Venue.mark.selector);
    }

    /// @dev Every word of a dynamic argument can be pinned: offset, length, elements.
    function test_a_dynamic_argument_is_held_by_its_offset_length_and_elements() public {
        uint256[] memory amounts = new uint256[](1);
        amounts[0] = 5;
        bytes memory data = abi.encodeCall(Venue.sweep, (amounts, address(account)));
        IHedgeExecutor.Rule memory held = rule(address(venue), Venue.sweep.selector, 4, 0);
        held.pins[0] = IHedgeExecutor.Pin(0, bytes32(uint256(0x40)));
        held.pins[1] = IHedgeExecutor.Pin(1, bytes32(uint256(uint160(address(account)))));
        held.pins[2] = IHedgeExecutor.Pin(2, bytes32(uint256(1)));
        held.pins[3] = IHedgeExecutor.Pin(3, bytes32(uint256(5)));
        asOwner().setSession(key, only(held));
        asKey().execute(HEDGE, hedgeData(ID, list(call(address(venue), data))));
        // The same array behind another offset is another calldata.
        bytes memory moved =
            abi.encodeWithSelector(Venue.sweep.selector, 0x60, address(account), 1, 1, uint256(6));
        refused(call(address(venue), moved), Venue.sweep.selector);
        refused(call(address(venue), abi.encodeCall(Venue.sweep, (amounts, key))), Venue.sweep.selector);
    }

    function test_the_first_rule_whose_pins_hold_decides() public {
        IHedgeExecutor.Session memory s = session();
        IHedgeExecutor.Rule memory buying = s.rules[0];
        IHedgeExecutor.Rule memory selling = rule(address(venue), Venue.trade.selector, 1, 1);
        selling.pins[0] = IHedgeExecutor.Pin(1, 0);
        selling.caps[0] = IHedgeExecutor.Cap(2, 5e18);
        IHedgeExecutor.Rule memory whatever = rule(address(venue), Venue.trade.selector, 0, 0);
        s.rules = new IHedgeExecutor.Rule[](3);
        (s.rules[0], s.rules[1], s.rules[2]) = (buying, selling, whatever);
        asOwner().setSession(key, s);
        bytes memory sell = abi.encodeCall(Venue.trade, (address(token), false, 5e18));
        asKey().execute(HEDGE, hedgeData(keccak256("1"), list(buy(100e18), call(address(venue), sell))));
        vm.assertEq(rules(address(venue), Venue.trade.selector)[0].caps[0].spent, 100e18);
        vm.assertEq(rules(address(venue), Venue.trade.selector)[1].caps[0].spent, 5e18);
        // Its cap is used up; the open rule after it is no way around.
        bytes memory data = hedgeData(ID, list(buy(1)));
        vm.expectPartialRevert(IHedgeExecutor.CapExceeded.selector);
        asKey().execute(HEDGE, data);
    }

    function test_paying_or_approving_functions_need_a_pinned_recipient() public {
        bytes4[7] memory first = [
            bytes4(keccak256("approve(address,uint256)")),
            bytes4(keccak256("transfer(address,uint256)")),
            bytes4(keccak256("increaseAllowance(address,uint256)")),
            bytes4(keccak256("increaseApproval(address,uint256)")),
            bytes4(keccak256("setApprovalForAll(address,bool)")),
            bytes4(keccak256("transferAndCall(address,uint256,bytes)")),
            bytes4(keccak256("approveAndCall(address,uint256,bytes)"))
        ];
        bytes4[7] memory second = [
            bytes4(keccak256("transferFrom(address,address,uint256)")),
            bytes4(keccak256("safeTransferFrom(address,address,uint256)")),
            bytes4(keccak256("safeTransferFrom(address,address,uint256,bytes)")),
            bytes4(keccak256("safeTransferFrom(address,address,uint256,uint256,bytes)")),
            bytes4(keccak256("safeBatchTransferFrom(address,address,uint256[],uint256[],bytes)")),
            bytes4(keccak256("approve(address,address,uint160,uint48)")),
            bytes4(keccak256("transferFrom(address,address,uint160,address)"))
        ];
        for (uint256 i; i < 7; ++i) {
            requiresPin(first[i], 0);
            requiresPin(second[i], 1);
        }
    }

    function test_an_allowed_transfer_goes_to_the_pinned_recipient_up_to_its_cap() public {
        IHedgeExecutor.Rule memory pay = rule(address(token), token.transfer.selector, 1, 1);
        pay.pins[0] = IHedgeExecutor.Pin(0, bytes32(uint256(uint160(address(venue)))));
        pay.caps[0] = IHedgeExecutor.Cap(1, 30e18);
        asOwner().setSession(key, only(pay));
        bytes memory data = abi.encodeCall(token.transfer, (address(venue), 20e18));
        asKey().execute(HEDGE, hedgeData(ID, list(call(address(token), data))));
        vm.assertEq(token.balanceOf(address(venue)), 20e18);
        refused(call(address(token), abi.encodeCall(token.transfer, (key, 1))), token.transfer.selector);
        bytes memory hedge = hedgeData(keccak256("2"), list(call(address(token), data)));
        vm.expectRevert(
            abi.encodeWithSelector(IHedgeExecutor.CapExceeded.selector, 0, uint16(1), 40e18, 30e18)
        );
        asKey().execute(HEDGE, hedge);
    }

    // --- caps ---------------------------------------------------------------------------------------

    function testFuzz_amounts_add_up_over_calls_and_hedges_to_at_most_the_cap(uint64[8] memory amounts)
        public
    {
        uint256 spent;
        for (uint256 i; i < 8; i += 2) {
            (uint256 one, uint256 two) = (uint256(amounts[i]) * 2, uint256(amounts[i + 1]) * 2);
            bytes memory data = hedgeData(bytes32(++count), list(buy(one), buy(two)));
            bool fits = spent + one + two <= 100e18;
            if (!fits) vm.expectPartialRevert(IHedgeExecutor.CapExceeded.selector);
            asKey().execute(HEDGE, data);
            if (fits) spent += one + two;
            vm.assertEq(venue.bought(), spent);
        }
    }

    function testFuzz_a_huge_or_negative_argument_does_not_wrap_the_sum(uint256 amount) public {
        amount = within(amount, 100e18, type(uint256).max);
        asKey().execute(HEDGE, hedgeData(keccak256("1"), list(buy(1))));
        bytes memory data = hedgeData(ID, list(buy(amount)));
        uint256 sum = amount == type(uint256).max ? amount : amount + 1;
        vm.expectRevert(
            abi.encodeWithSelector(IHedgeExecutor.CapExceeded.selector, 0, uint16(2), sum, 100e18)
        );
        asKey().execute(HEDGE, data);
    }

    function test_the_largest_argument_and_the_largest_value_after_a_spend_do_not_wrap_to_zero() public {
        asKey().execute(HEDGE, hedgeData(keccak256("1"), list(paid(1, 1))));
        bytes memory data = hedgeData(ID, list(buy(type(uint256).max)));
        vm.expectPartialRevert(IHedgeExecutor.CapExceeded.selector);
        asKey().execute(HEDGE, data);
        data = hedgeData(ID, list(paid(1, type(uint256).max)));
        vm.expectPartialRevert(IHedgeExecutor.ValueExceeded.selector);
        asKey().execute(HEDGE, data);
    }

    function testFuzz_native_value_adds_up_to_at_most_the_rules_maximum(uint64[4] memory values) public {
        uint256 spent;
        for (uint256 i; i < 4; ++i) {
            uint256 value = within(uint256(values[i]), 0, 1 ether);
            bytes memory data = hedgeData(bytes32(++count), list(paid(1, value)));
            bool fits = spent + value <= 1 ether;
            if (!fits) {
                vm.expectRevert(
                    abi.encodeWithSelector(
                        IHedgeExecutor.ValueExceeded.selector, 0, spent + value, uint256(1 ether)
                    )
                );
            }
            asKey().execute(HEDGE, data);
            if (fits) spent += value;
            vm.assertEq(venue.received(), spent);
        }
    }

    function testFuzz_value_that_would_wrap_the_sum_is_refused(uint256 value) public {
        asKey().execute(HEDGE, hedgeData(keccak256("1"), list(paid(1, 1))));
        value = within(value, 1 ether, type(uint256).max);
        bytes memory data = hedgeData(ID, list(paid(1, value)));
        vm.expectPartialRevert(IHedgeExecutor.ValueExceeded.selector);
        asKey().execute(HEDGE, data);
    }

    /// @dev Value that the key itself brings is counted too: it is the account's once it arrived.
    function test_value_brought_by_the_key_does_not_widen_the_limit() public {
        vm.deal(key, 5 ether);
        bytes memory data = hedgeData(ID, list(paid(1, 2 ether)));
        vm.expectPartialRevert(IHedgeExecutor.ValueExceeded.selector);
        asKey().execute{value: 5 ether}(HEDGE, data);
    }

    function test_a_rule_without_maximum_value_sends_none() public {
        asOwner().setSession(key, only(rule(address(venue), Venue.trade.selector, 0, 0)));
        bytes memory data = hedgeData(ID, list(paid(1, 1)));
        vm.expectRevert(
            abi.encodeWithSelector(IHedgeExecutor.ValueExceeded.selector, 0, uint256(1), uint256(0))
        );
        asKey().execute(HEDGE, data);
    }

    // --- time and uses ------------------------------------------------------------------------------

    function testFuzz_a_session_ends_at_its_expiry(uint32 later) public {
        vm.warp(NOW + later);
        bytes memory data = hedgeData(ID, list(buy(1)));
        if (later >= 3600) {
            vm.expectRevert(
                abi.encodeWithSelector(IHedgeExecutor.SessionExpired.selector, key, uint64(NOW + 3600))
            );
        }
        asKey().execute(HEDGE, data);
    }

    function testFuzz_a_session_ends_with_its_uses(uint8 uses) public {
        uint256 allowed = within(uint256(uses), 1, 12);
        IHedgeExecutor.Session memory s = session();
        s.maxUses = uint32(allowed);
        asOwner().setSession(key, s);
        for (uint256 i; i < allowed; ++i) {
            asKey().execute(HEDGE, hedgeData(bytes32(++count), list(buy(1))));
        }
        bytes memory data = hedgeData(ID, list(buy(1)));
        vm.expectRevert(abi.encodeWithSelector(IHedgeExecutor.SessionExhausted.selector, key));
        asKey().execute(HEDGE, data);
    }

    function testFuzz_a_session_needs_a_future_a_use_and_a_rule(uint64 expiry, uint32 uses, bool ruled)
        public
    {
        IHedgeExecutor.Session memory s = session();
        (s.expiry, s.maxUses) = (expiry, uses);
        if (!ruled) s.rules = new IHedgeExecutor.Rule[](0);
        if (expiry <= NOW || uses == 0 || !ruled) {
            vm.expectRevert(
                abi.encodeWithSelector(
                    IHedgeExecutor.SessionEmpty.selector, expiry, uses, uint256(ruled ? 1 : 0)
                )
            );
        }
        asOwner().setSession(stranger, s);
    }

    // --- ending it ----------------------------------------------------------------------------------

    function test_a_revoked_key_is_a_stranger() public {
        vm.expectEmit(true, true, true, true, address(account));
        emit IHedgeExecutor.SessionRevoked(key);
        asOwner().revokeSession(key);
        expectStranger(key);
        vm.assertEq(account.sessionOf(key).expiry, 0);
        vm.assertEq(rules(address(venue), Venue.trade.selector).length, 0);
    }

    function test_revoking_all_ends_every_session_and_new_ones_work() public {
        asOwner().setSession(stranger, session());
        asOwner().revokeAllSessions();
        expectStranger(key);
        expectStranger(stranger);
        vm.assertEq(account.sessionOf(stranger).usesLeft, 0);
        asOwner().setSession(key, session());
        asKey().execute(HEDGE, hedgeData(ID, list(buy(1))));
        expectStranger(stranger);
    }

    function test_a_replaced_session_keeps_none_of_the_old_rules_and_starts_its_sums_anew() public {
        asKey().execute(HEDGE, hedgeData(keccak256("1"), list(buy(100e18))));
        asOwner().setSession(key, only(rule(address(venue), Venue.mark.selector, 0, 0)));
        refused(buy(0), Venue.trade.selector);
        asOwner().setSession(key, session());
        refused(call(address(venue), abi.encodeCall(Venue.mark, (ID))), Venue.mark.selector);
        asKey().execute(HEDGE, hedgeData(keccak256("2"), list(buy(100e18))));
        vm.assertEq(venue.bought(), 200e18);
    }

    function test_revoking_and_setting_again_does_not_revive_old_rules() public {
        IHedgeExecutor.Session memory s = session();
        IHedgeExecutor.Rule memory mark = rule(address(venue), Venue.mark.selector, 0, 0);
        asOwner().setSession(key, only(mark));
        asOwner().revokeSession(key);
        asOwner().setSession(key, s);
        refused(call(address(venue), abi.encodeCall(Venue.mark, (ID))), Venue.mark.selector);
    }

    // --- guards -------------------------------------------------------------------------------------

    function test_guards_must_lead_the_checks_after_a_keys_hedge() public {
        (IHedgeExecutor.Session memory s, IHedgeExecutor.Check[] memory guards) = guarded();
        asOwner().setSession(key, s);
        vm.assertEq(account.sessionOf(key).guardCount, 2);
        vm.assertEq(account.sessionOf(key).guardsHash, keccak256(abi.encode(guards)));

        IHedgeExecutor.Check[] memory more = new IHedgeExecutor.Check[](3);
        (more[0], more[1], more[2]) = (guards[0], guards[1], anything()[0]);
        asKey().execute(HEDGE, hedgeData(keccak256("1"), uint64(NOW + 1), list(buy(1)), none(), more));
        asKey().execute(HEDGE, hedgeData(keccak256("2"), uint64(NOW + 1), list(buy(1)), none(), guards));

        IHedgeExecutor.Check[] memory swapped = new IHedgeExecutor.Check[](2);
        (swapped[0], swapped[1]) = (guards[1], guards[0]);
        guardless(swapped);
        guardless(list(guards[0]));
        guardless(none());
        (more[0], more[1], more[2]) = (anything()[0], guards[0], guards[1]);
        guardless(more);
        bytes memory before = hedgeData(ID, uint64(NOW + 1), list(buy(1)), guards, anything());
        vm.expectRevert(abi.encodeWithSelector(IHedgeExecutor.GuardsMissing.selector, key));
        asKey().execute(HEDGE, before);
    }

    function testFuzz_a_guard_cannot_be_loosened(uint8 field, uint8 change) public {
        vm.assume(change != 0);
        (IHedgeExecutor.Session memory s, IHedgeExecutor.Check[] memory guards) = guarded();
        asOwner().setSession(key, s);
        IHedgeExecutor.Term memory term = guards[0].terms[0];
        if (field % 8 == 0) guards[0].lower -= int256(uint256(change));
        else if (field % 8 == 1) guards[0].upper -= int256(uint256(change));
        else if (field % 8 == 2) term.multiplierWad += int256(uint256(change));
        else if (field % 8 == 3) term.word += change;
        else if (field % 8 == 4) term.isSigned = !term.isSigned;
        else if (field % 8 == 5) term.target = address(uint160(address(venue)) ^ change);
        else if (field % 8 == 6) term.data = abi.encodePacked(term.data, change);
        else guards[0].terms = new IHedgeExecutor.Term[](0);
        guardless(guards);
    }

    function test_a_guard_that_fails_undoes_the_keys_hedge() public {
        (IHedgeExecutor.Session memory s, IHedgeExecutor.Check[] memory guards) = guarded();
        asOwner().setSession(key, s);
        bytes memory data = hedgeData(ID, uint64(NOW + 1), list(buy(51e18)), none(), guards);
        vm.expectPartialRevert(IHedgeExecutor.CheckFailed.selector);
        asKey().execute(HEDGE, data);
        vm.assertEq(venue.bought(), 0);
    }

    function test_guards_do_not_bind_the_owner() public {
        (IHedgeExecutor.Session memory s,) = guarded();
        asOwner().setSession(key, s);
        asOwner().execute(HEDGE, hedgeData(ID, list(buy(51e18))));
        vm.assertEq(venue.bought(), 51e18);
    }

    // --- inside -------------------------------------------------------------------------------------

    function guarded()
        private
        view
        returns (IHedgeExecutor.Session memory s, IHedgeExecutor.Check[] memory guards)
    {
        guards = new IHedgeExecutor.Check[](2);
        guards[0] = bound(venue.position.selector, -50e18, 50e18);
        guards[1] = bound(venue.equity.selector, 900e18, type(int256).max);
        s = session();
        s.guards = guards;
    }

    function guardless(IHedgeExecutor.Check[] memory post) private {
        bytes memory data = hedgeData(ID, uint64(NOW + 1), list(buy(1)), none(), post);
        vm.expectRevert(abi.encodeWithSelector(IHedgeExecutor.GuardsMissing.selector, key));
        asKey().execute(HEDGE, data);
    }

    function paid(uint256 amount, uint256 value) private view returns (IHedgeExecutor.Call memory one) {
        one = buy(amount);
        one.value = value;
    }

    function rules(address target, bytes4 selector) private view returns (IHedgeExecutor.RuleState[] memory) {
        return account.rulesOf(key, target, selector);
    }

    function refused(IHedgeExecutor.Call memory one, bytes4 selector) private {
        bytes memory data = hedgeData(bytes32(++count), list(one));
        vm.expectRevert(abi.encodeWithSelector(IHedgeExecutor.CallNotAllowed.selector, 0, one.to, selector));
        asKey().execute(HEDGE, data);
    }

    function requiresPin(bytes4 selector, uint16 word) private {
        IHedgeExecutor.Rule memory open = rule(address(token), selector, 1, 0);
        open.pins[0] = IHedgeExecutor.Pin(1 - word, bytes32(uint256(1)));
        IHedgeExecutor.Session memory s = only(open);
        vm.expectRevert(
            abi.encodeWithSelector(IHedgeExecutor.RuleRecipientUnpinned.selector, 0, selector, word)
        );
        asOwner().setSession(key, s);
        open.pins[0].word = word;
        asOwner().setSession(key, s);
    }

    function expectStranger(address who) private {
        bytes memory data = hedgeData(bytes32(++count), list(buy(1)));
        vm.expectRevert(abi.encodeWithSelector(IHedgeExecutor.Unauthorized.selector, who));
        vm.prank(who);
        account.execute(HEDGE, data);
    }
}
