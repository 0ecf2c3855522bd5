// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IHedgeExecutor} from "../src/interfaces/IHedgeExecutor.sol";
import {Fixture} from "./Fixture.sol";
import {Venue} from "./Venue.sol";

/// @title Does random things as owner, session key and stranger, and keeps its own books of what happened
contract Actor is Fixture {
    uint256 public constant IDS = 24;
    uint256 public constant CAP = 100e18;
    uint256 public constant MAX_VALUE = 1 ether;

    /// @dev What the venue saw of the present session, and the most that session was ever allowed.
    uint256 public spent;
    uint256 public sent;
    uint256 public uses;
    uint256 public allowedUses;
    bool public live;
    /// @dev What the venue saw from a key without a live session or from a stranger.
    uint256 public stolen;
    mapping(uint256 => bool) public cancelled;
    mapping(uint256 => uint256) public executions;

    constructor() {
        setUp();
        vm.deal(address(account), 1000 ether);
    }

    function hedge(uint8 who, uint256 seed, uint128 first, uint128 second, uint64 value, uint8 late)
        external
    {
        uint256 id = seed % IDS;
        IHedgeExecutor.Call[] memory calls = new IHedgeExecutor.Call[](3);
        calls[0] = buy(within(uint256(first), 0, 60e18));
        calls[1] = buy(within(uint256(second), 0, 60e18));
        calls[1].value = within(uint256(value), 0, 0.6 ether);
        calls[2] = call(address(venue), abi.encodeCall(Venue.mark, (bytes32(id))));
        uint64 deadline = uint64(block.timestamp + (late % 4 == 0 ? 0 : 60));
        bytes memory data = hedgeData(bytes32(id), deadline, calls, none(), anything());
        (uint256 bought, uint256 received) = (venue.bought(), venue.received());
        address caller = [address(account), key, key, stranger][who % 4];
        vm.prank(caller);
        (bool ok,) = address(account).call(abi.encodeCall(IHedgeExecutor.execute, (HEDGE, data)));
        if (!ok) return;
        ++executions[id];
        if (caller == key && live) {
            spent += venue.bought() - bought;
            sent += venue.received() - received;
            ++uses;
        } else if (caller != address(account)) {
            stolen += 1 + venue.bought() - bought;
        }
    }

    function open(uint8 maxUses, uint16 duration) external {
        IHedgeExecutor.Session memory s = session();
        IHedgeExecutor.Rule memory trade = s.rules[0];
        s.rules = new IHedgeExecutor.Rule[](2);
        (s.rules[0], s.rules[1]) = (trade, rule(address(venue), Venue.mark.selector, 0, 0));
        s.maxUses = uint32(within(uint256(maxUses), 1, 6));
        s.expiry = uint64(block.timestamp + 1 + duration);
        asOwner().setSession(key, s);
        (spent, sent, uses, allowedUses, live) = (0, 0, 0, s.maxUses, true);
    }

    function close(bool all) external {
        if (all) asOwner().revokeAllSessions();
        else asOwner().revokeSession(key);
        live = false;
    }

    function cancel(uint256 seed) external {
        uint256 id = seed % IDS;
        vm.prank(address(account));
        try account.cancelIntent(bytes32(id)) {
            cancelled[id] = true;
        } catch {}
    }

    function wait(uint16 duration) external {
        vm.warp(block.timestamp + duration);
        if (block.timestamp >= account.sessionOf(key).expiry) live = false;
    }

    function account_() external view returns (IHedgeExecutor) {
        return account;
    }

    function venue_() external view returns (Venue) {
        return venue;
    }
}

contract InvariantsTest is Fixture {
    Actor private actor;

    struct Selectors {
        address addr;
        bytes4[] selectors;
    }

    function setUp() public override {
        super.setUp();
        actor = new Actor();
    }

    function targetContracts() public view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(actor);
    }

    function targetSelectors() public view returns (Selectors[] memory targets) {
        targets = new Selectors[](1);
        targets[0].addr = address(actor);
        // Hedges most of the time, or sessions would rarely be used before they change.
        targets[0].selectors = new bytes4[](10);
        for (uint256 i; i < 6; ++i) {
            targets[0].selectors[i] = Actor.hedge.selector;
        }
        targets[0].selectors[6] = Actor.open.selector;
        targets[0].selectors[7] = Actor.close.selector;
        targets[0].selectors[8] = Actor.cancel.selector;
        targets[0].selectors[9] = Actor.wait.selector;
    }

    function invariant_an_intent_executes_at_most_once_and_never_after_its_cancellation() public view {
        for (uint256 id; id < actor.IDS(); ++id) {
            uint256 marks = actor.venue_().marks(bytes32(id));
            vm.assertEq(marks, actor.executions(id));
            vm.assertEq(
                marks + (actor.cancelled(id) ? 1 : 0), actor.account_().isConsumed(bytes32(id)) ? 1 : 0
            );
        }
    }

    function invariant_a_session_never_passes_its_caps_or_uses() public view {
        vm.assertLe(actor.spent(), actor.CAP(), "amount");
        vm.assertLe(actor.sent(), actor.MAX_VALUE(), "value");
        vm.assertLe(actor.uses(), actor.allowedUses(), "uses");
        vm.assertEq(actor.stolen(), 0);
    }

    function invariant_the_books_of_the_account_are_what_the_venue_saw() public view {
        if (!actor.live()) return;
        IHedgeExecutor.RuleState[] memory rules =
            actor.account_().rulesOf(key, address(actor.venue_()), Venue.trade.selector);
        vm.assertEq(rules[0].caps[0].spent, actor.spent());
        vm.assertEq(rules[0].spentValue, actor.sent());
        vm.assertEq(uint256(actor.account_().sessionOf(key).usesLeft), actor.allowedUses() - actor.uses());
    }
}
