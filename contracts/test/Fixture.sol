// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {MintableToken} from "../sim/MintableToken.sol";
import {HedgeExecutor} from "../src/HedgeExecutor.sol";
import {IHedgeExecutor} from "../src/interfaces/IHedgeExecutor.sol";
import {Venue} from "./Venue.sol";
import {Vm} from "./Vm.sol";

/// @title A delegated account, a venue it trades on, and short words for hedges
abstract contract Fixture {
    Vm internal constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

    bytes32 internal constant PLAIN = bytes32(bytes1(0x01));
    bytes32 internal constant HEDGE = bytes32(bytes10(0x01000000000078210001));
    int256 internal constant WAD = 1e18;
    uint256 internal constant ACCOUNT_KEY = 0xA11CE;
    uint256 internal constant NOW = 1_700_000_000;
    bytes32 internal constant ID = keccak256("intent");

    HedgeExecutor internal implementation;
    /// @dev An externally owned account that delegates to `implementation`.
    IHedgeExecutor internal account;
    Venue internal venue;
    MintableToken internal token;
    address internal key = address(0x5E5510);
    address internal stranger = address(0xBAD);

    function setUp() public virtual {
        vm.warp(NOW);
        implementation = new HedgeExecutor(address(0));
        account = IHedgeExecutor(vm.addr(ACCOUNT_KEY));
        vm.etch(address(account), abi.encodePacked(hex"ef0100", address(implementation)));
        vm.deal(address(account), 10 ether);
        venue = new Venue();
        token = new MintableToken("Dollar", "USD", 18);
        token.mint(address(account), 1000e18);
    }

    // --- who ----------------------------------------------------------------------------------------

    function asOwner() internal returns (IHedgeExecutor) {
        vm.prank(address(account));
        return account;
    }

    function asKey() internal returns (IHedgeExecutor) {
        vm.prank(key);
        return account;
    }

    function asStranger() internal returns (IHedgeExecutor) {
        vm.prank(stranger);
        return account;
    }

    // --- what ---------------------------------------------------------------------------------------

    function call(address to, bytes memory data) internal pure returns (IHedgeExecutor.Call memory) {
        return IHedgeExecutor.Call(to, 0, data);
    }

    function buy(uint256 amount) internal view returns (IHedgeExecutor.Call memory) {
        return call(address(venue), abi.encodeCall(Venue.trade, (address(token), true, amount)));
    }

    function list(IHedgeExecutor.Call memory one) internal pure returns (IHedgeExecutor.Call[] memory calls) {
        calls = new IHedgeExecutor.Call[](1);
        calls[0] = one;
    }

    function list(IHedgeExecutor.Call memory one, IHedgeExecutor.Call memory two)
        internal
        pure
        returns (IHedgeExecutor.Call[] memory calls)
    {
        calls = new IHedgeExecutor.Call[](2);
        (calls[0], calls[1]) = (one, two);
    }

    function list(IHedgeExecutor.Check memory one)
        internal
        pure
        returns (IHedgeExecutor.Check[] memory checks)
    {
        checks = new IHedgeExecutor.Check[](1);
        checks[0] = one;
    }

    function none() internal pure returns (IHedgeExecutor.Check[] memory) {
        return new IHedgeExecutor.Check[](0);
    }

    /// @dev Bounds on one signed word of a getter of the venue.
    function bound(bytes4 getter, int256 lower, int256 upper)
        internal
        view
        returns (IHedgeExecutor.Check memory check)
    {
        check.terms = new IHedgeExecutor.Term[](1);
        check.terms[0] = IHedgeExecutor.Term(address(venue), abi.encodeWithSelector(getter), 0, true, WAD);
        (check.lower, check.upper) = (lower, upper);
    }

    function anything() internal view returns (IHedgeExecutor.Check[] memory) {
        return list(bound(venue.equity.selector, type(int256).min, type(int256).max));
    }

    function hedgeData(
        bytes32 id,
        uint64 deadline,
        IHedgeExecutor.Call[] memory calls,
        IHedgeExecutor.Check[] memory pre,
        IHedgeExecutor.Check[] memory post
    ) internal pure returns (bytes memory) {
        return abi.encode(calls, abi.encode(IHedgeExecutor.Hedge(id, deadline, pre, post)));
    }

    /// @dev Not expired, without preconditions, with a postcondition that always holds.
    function hedgeData(bytes32 id, IHedgeExecutor.Call[] memory calls) internal view returns (bytes memory) {
        return hedgeData(id, uint64(block.timestamp + 60), calls, none(), anything());
    }

    // --- sessions -----------------------------------------------------------------------------------

    /// @dev Ten uses until an hour from now of `venue.trade` on `token`, buying only, 100e18 in all, 1 ether.
    function session() internal view returns (IHedgeExecutor.Session memory s) {
        s.expiry = uint64(block.timestamp + 3600);
        s.maxUses = 10;
        s.rules = new IHedgeExecutor.Rule[](1);
        s.rules[0] = rule(address(venue), Venue.trade.selector, 2, 1);
        s.rules[0].maxValue = 1 ether;
        s.rules[0].pins[0] = IHedgeExecutor.Pin(0, bytes32(uint256(uint160(address(token)))));
        s.rules[0].pins[1] = IHedgeExecutor.Pin(1, bytes32(uint256(1)));
        s.rules[0].caps[0] = IHedgeExecutor.Cap(2, 100e18);
    }

    function rule(address target, bytes4 selector, uint256 pins, uint256 caps)
        internal
        pure
        returns (IHedgeExecutor.Rule memory)
    {
        return IHedgeExecutor.Rule(
            target, selector, 0, new IHedgeExecutor.Pin[](pins), new IHedgeExecutor.Cap[](caps)
        );
    }

    function only(IHedgeExecutor.Rule memory one) internal view returns (IHedgeExecutor.Session memory s) {
        s = session();
        s.rules[0] = one;
    }

    // --- failures -----------------------------------------------------------------------------------

    /// @dev The fields of a CallFailed.
    function failure(bytes memory raw)
        internal
        view
        returns (bytes4 selector, uint256 index, address target, bytes memory reason, uint256 gasLeft)
    {
        selector = bytes4(raw);
        (index, target, reason, gasLeft) = this.decode(raw);
    }

    function decode(bytes calldata raw) external pure returns (uint256, address, bytes memory, uint256) {
        return abi.decode(raw[4:], (uint256, address, bytes, uint256));
    }

    // --- arithmetic ---------------------------------------------------------------------------------

    function within(uint256 x, uint256 low, uint256 high) internal pure returns (uint256) {
        return low + x % (high - low + 1);
    }

    function within(int256 x, int256 low, int256 high) internal pure returns (int256) {
        return low + int256(uint256(x) % uint256(high - low + 1));
    }
}
