// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {MintableToken} from "../sim/MintableToken.sol";
import {PriceAggregator} from "../sim/PriceAggregator.sol";
import {Fixture} from "./Fixture.sol";

/// @title The token and the price feed of the local chain
contract SimTest is Fixture {
    PriceAggregator private feed;

    function setUp() public override {
        super.setUp();
        feed = new PriceAggregator("ETH / USD", 8, key);
    }

    // --- token --------------------------------------------------------------------------------------

    function testFuzz_only_the_owner_mints(address who, uint128 value) public {
        vm.assume(who != address(this));
        vm.expectRevert(abi.encodeWithSelector(MintableToken.NotOwner.selector, who));
        vm.prank(who);
        token.mint(who, value);
    }

    function testFuzz_transfers_move_what_is_there_and_nothing_more(uint256 held, uint256 value, bool self)
        public
    {
        MintableToken fresh = new MintableToken("T", "T", 6);
        fresh.mint(address(this), held);
        address to = self ? address(this) : stranger;
        if (value > held) {
            vm.expectRevert(
                abi.encodeWithSelector(MintableToken.BalanceTooLow.selector, address(this), held, value)
            );
            fresh.transfer(to, value);
        } else {
            vm.assertTrue(fresh.transfer(to, value));
            vm.assertEq(fresh.balanceOf(address(this)), self ? held : held - value);
            vm.assertEq(fresh.balanceOf(to), self ? held : value);
        }
        vm.assertEq(fresh.totalSupply(), held);
        vm.assertEq(fresh.decimals(), 6);
    }

    function testFuzz_an_allowance_is_used_up_unless_it_is_infinite(uint128 allowed, uint128 value) public {
        token.mint(address(this), type(uint128).max);
        token.approve(stranger, allowed);
        if (value > allowed) {
            vm.expectRevert(
                abi.encodeWithSelector(MintableToken.AllowanceTooLow.selector, stranger, allowed, value)
            );
        }
        vm.prank(stranger);
        token.transferFrom(address(this), stranger, value);
        vm.assertEq(token.allowance(address(this), stranger), value > allowed ? allowed : allowed - value);
        token.approve(stranger, type(uint256).max);
        vm.prank(stranger);
        token.transferFrom(address(this), stranger, 0);
        vm.assertEq(token.allowance(address(this), stranger), type(uint256).max);
    }

    // --- price feed ---------------------------------------------------------------------------------

    function testFuzz_rounds_keep_their_answers_and_times(int256[4] memory answers, uint16[4] memory waits)
        public
    {
        uint256[4] memory times;
        for (uint256 i; i < 4; ++i) {
            vm.warp(block.timestamp + waits[i]);
            times[i] = block.timestamp;
            vm.prank(key);
            feed.setAnswer(answers[i]);
            (uint80 id, int256 answer, uint256 startedAt, uint256 updatedAt, uint80 answered) =
                feed.latestRoundData();
            vm.assertEq(id, i + 1);
            vm.assertEq(answer, answers[i]);
            vm.assertEq(startedAt, times[i]);
            vm.assertEq(updatedAt, times[i]);
            vm.assertEq(answered, i + 1);
        }
        for (uint80 i; i < 4; ++i) {
            (uint80 id, int256 answer,, uint256 updatedAt,) = feed.getRoundData(i + 1);
            vm.assertEq(id, i + 1);
            vm.assertEq(answer, answers[i]);
            vm.assertEq(updatedAt, times[i]);
        }
        vm.assertEq(feed.decimals(), 8);
    }

    function test_a_feed_without_answer_has_no_round() public {
        vm.expectRevert(abi.encodeWithSelector(PriceAggregator.RoundUnknown.selector, 0));
        feed.latestRoundData();
        vm.expectRevert(abi.encodeWithSelector(PriceAggregator.RoundUnknown.selector, 7));
        feed.getRoundData(7);
    }

    function testFuzz_only_the_keeper_answers(address who) public {
        vm.assume(who != key);
        vm.expectRevert(abi.encodeWithSelector(PriceAggregator.NotKeeper.selector, who));
        vm.prank(who);
        feed.setAnswer(1);
    }

    function test_a_late_answer_is_neither_in_the_future_nor_before_the_last() public {
        vm.startPrank(key);
        feed.setAnswerAt(1, uint64(NOW - 50));
        vm.expectRevert(
            abi.encodeWithSelector(
                PriceAggregator.TimestampNotRising.selector, uint64(NOW - 51), uint64(NOW - 50)
            )
        );
        feed.setAnswerAt(2, uint64(NOW - 51));
        vm.expectRevert(
            abi.encodeWithSelector(PriceAggregator.TimestampInFuture.selector, uint64(NOW + 1), NOW)
        );
        feed.setAnswerAt(2, uint64(NOW + 1));
        vm.stopPrank();
        vm.assertEq(feed.latestTimestamp(), NOW - 50);
        vm.assertEq(feed.latestAnswer(), 1);
    }
}
