// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {GtradeLedger} from "./GtradeLedger.sol";
import {GtradeViews} from "./GtradeViews.sol";

/// @title A stand-in of gTrade's diamond: orders that an oracle's answer fills, whenever the keeper gives one
/// @notice The keeper may fill at any price and as late as he likes, fill a part of what opens, refuse, or do
/// nothing; slippage, leverage and the liquidation price bind him as they bind the protocol. Winners are paid
/// from what the contract holds.
/// @dev It answers questions itself. What changes something is in facets with the same storage.
contract GtradeDiamond is GtradeViews {
    constructor(address keeper_, uint8 index_, address token_, uint8 decimals_, address feed_)
        GtradeLedger(keeper_, index_, token_, decimals_, feed_)
    {}

    /// @notice Says where functions are. Owner only.
    function setFacet(address facet, bytes4[] calldata selectors) external only(owner) {
        for (uint256 i; i < selectors.length; ++i) facets[selectors[i]] = facet;
    }

    fallback() external {
        address facet = facets[msg.sig];
        if (facet == address(0)) revert DoesntExist();
        assembly {
            calldatacopy(0, 0, calldatasize())
            let ok := delegatecall(gas(), facet, 0, calldatasize(), 0, 0)
            returndatacopy(0, 0, returndatasize())
            switch ok
            case 0 { revert(0, returndatasize()) }
            default { return(0, returndatasize()) }
        }
    }
}
