// SPDX-License-Identifier: Apache-2.0
pragma solidity >=0.8.22 <0.9.0;

import {IERC165} from "@synthetixio/core-contracts/contracts/interfaces/IERC165.sol";

/// @title What pays liquidated collateral to liquidity providers
interface IRewardDistributor is IERC165 {
    function token() external view returns (address);
}
