// SPDX-License-Identifier: Apache-2.0
pragma solidity >=0.8.22 <0.9.0;

/// @title Names of the permissions that the perps market checks
library AccountRBAC {
    bytes32 internal constant _PERPS_MODIFY_COLLATERAL_PERMISSION = "PERPS_MODIFY_COLLATERAL";
    bytes32 internal constant _PERPS_COMMIT_ASYNC_ORDER_PERMISSION = "PERPS_COMMIT_ASYNC_ORDER";
}
