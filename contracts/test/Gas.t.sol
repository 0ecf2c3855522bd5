// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IHedgeExecutor} from "../src/interfaces/IHedgeExecutor.sol";
import {Fixture} from "./Fixture.sol";
import {Venue} from "./Venue.sol";

/// @title What the executor itself costs, against calling the venue directly
/// @dev Execution gas without the transaction's 21,000 and calldata; the venue and its slots are warm.
contract GasTest is Fixture {
    event Gas(string what, uint256 used);

    function setUp() public override {
        super.setUp();
        venue.trade(address(token), true, 1);
    }

    function test_a_hedge_without_checks_costs_below_32_thousand_gas_over_the_call() public {
        measure(none());
        uint256 used = measure(none()) - direct();
        emit Gas("hedge without checks", used); // 22,100 of it for the intent's storage slot
        vm.assertLe(used, 32_000, "no checks");
    }

    function test_three_checks_cost_below_18_thousand_gas() public {
        measure(three());
        uint256 used = measure(three()) - measure(none());
        emit Gas("three checks", used);
        vm.assertLe(used, 18_000, "three checks");
    }

    function test_a_session_key_costs_below_60_thousand_gas_over_the_owner() public {
        asOwner().setSession(key, session());
        measure(three());
        uint256 owner = measure(three());
        uint256 first = measure(key, three());
        uint256 later = measure(key, three());
        emit Gas("session key over owner, first use", first - owner);
        emit Gas("session key over owner, later", later - owner);
        vm.assertLe(first, owner + 60_000, "session key");
    }

    function three() private view returns (IHedgeExecutor.Check[] memory checks) {
        checks = new IHedgeExecutor.Check[](3);
        checks[0] = bound(venue.equity.selector, 0, type(int256).max);
        checks[1] = bound(venue.position.selector, -1e30, 1e30);
        checks[2] = bound(venue.maintenance.selector, 0, 1e30);
    }

    function measure(IHedgeExecutor.Check[] memory checks) private returns (uint256) {
        return measure(address(account), checks);
    }

    uint256 private count;

    function measure(address caller, IHedgeExecutor.Check[] memory checks) private returns (uint256) {
        bytes32 id = bytes32(++count);
        bytes memory data = hedgeData(id, uint64(NOW + 1), list(buy(1)), none(), checks);
        vm.prank(caller);
        uint256 before = gasleft();
        account.execute(HEDGE, data);
        return before - gasleft();
    }

    function direct() private returns (uint256) {
        vm.prank(address(account));
        uint256 before = gasleft();
        venue.trade(address(token), true, 1);
        return before - gasleft();
    }
}
