// SPDX-License-Identifier: Apache-2.0
pragma solidity >=0.8.22 <0.9.0;

import {IERC165} from "@synthetixio/core-contracts/contracts/interfaces/IERC165.sol";
import {IRewardDistributor} from "@synthetixio/main/contracts/interfaces/external/IRewardDistributor.sol";

/// @title Keeps the collateral of liquidated accounts
contract RewardsDistributor is IRewardDistributor {
    uint128 public immutable poolId;
    address public immutable override token;

    constructor(uint128 poolId_, address token_) {
        (poolId, token) = (poolId_, token_);
    }

    /// @notice Would promise the amount to the providers; it stays here instead.
    function distributeRewards(uint128, address, uint256, uint64, uint32) external {}

    function supportsInterface(bytes4 interfaceId) external pure override returns (bool) {
        return interfaceId == type(IRewardDistributor).interfaceId || interfaceId == type(IERC165).interfaceId;
    }
}
