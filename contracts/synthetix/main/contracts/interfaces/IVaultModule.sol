// SPDX-License-Identifier: Apache-2.0
pragma solidity >=0.8.22 <0.9.0;

/// @title What liquidity providers have delegated
interface IVaultModule {
    function getVaultCollateral(uint128 poolId, address collateralType)
        external
        view
        returns (uint256 amount, uint256 value);
}
