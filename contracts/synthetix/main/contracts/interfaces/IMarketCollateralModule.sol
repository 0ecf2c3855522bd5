// SPDX-License-Identifier: Apache-2.0
pragma solidity >=0.8.22 <0.9.0;

/// @title Collateral that a market leaves with the core
interface IMarketCollateralModule {
    function depositMarketCollateral(uint128 marketId, address collateralType, uint256 amount) external;

    function withdrawMarketCollateral(uint128 marketId, address collateralType, uint256 amount) external;

    function getMarketCollateralAmount(uint128 marketId, address collateralType)
        external
        view
        returns (uint256 amount);
}
