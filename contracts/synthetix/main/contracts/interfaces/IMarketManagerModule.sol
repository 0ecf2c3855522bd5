// SPDX-License-Identifier: Apache-2.0
pragma solidity >=0.8.22 <0.9.0;

import {INodeModule} from "@synthetixio/oracle-manager/contracts/interfaces/INodeModule.sol";

/// @title What a market asks of the core: dollars in and out, and how many it may take
interface IMarketManagerModule {
    function registerMarket(address market) external returns (uint128 marketId);

    function depositMarketUsd(uint128 marketId, address target, uint256 amount)
        external
        returns (uint256 feeAmount);

    function withdrawMarketUsd(uint128 marketId, address target, uint256 amount)
        external
        returns (uint256 feeAmount);

    function getWithdrawableMarketUsd(uint128 marketId) external view returns (uint256 withdrawable);

    function getMarketCollateral(uint128 marketId) external view returns (uint256 value);

    function getOracleManager() external view returns (INodeModule);
}
