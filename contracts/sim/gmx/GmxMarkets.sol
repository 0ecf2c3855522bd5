// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {GmxStore} from "./GmxStore.sol";
import {Market, MarketPrices, NextFunding, Position, Price} from "./GmxTypes.sol";
import {GmxMath} from "./libraries/GmxMath.sol";

/// @title What the markets of one store owe, charge and demand now
contract GmxMarkets {
    GmxStore public immutable store;

    constructor(GmxStore store_) {
        store = store_;
    }

    function nextFunding(Market memory market, MarketPrices memory prices)
        external
        view
        returns (NextFunding memory)
    {
        return GmxMath.nextFunding(store, market, prices);
    }

    function nextBorrowing(Market memory market, MarketPrices memory prices, bool isLong)
        external
        view
        returns (uint256)
    {
        return GmxMath.nextBorrowing(store, market, prices, isLong);
    }

    function check(Market memory market, MarketPrices memory prices, Position memory held)
        external
        view
        returns (bool, string memory, GmxMath.Check memory)
    {
        return GmxMath.check(store, market, prices, held);
    }

    function profit(Market memory market, MarketPrices memory prices, Position memory held)
        external
        view
        returns (int256, int256)
    {
        return GmxMath.profit(store, market, prices, held);
    }

    /// @notice Capped as the protocol caps what is positive.
    function impact(Market memory market, Price memory index, int256 sizeUsd, int256 sizeTokens, bool isLong)
        external
        view
        returns (int256 usd, bool improved)
    {
        (usd, improved) = GmxMath.impact(store, market, index, sizeUsd, sizeTokens, isLong);
        usd = capped(market.marketToken, usd, sizeUsd < 0 ? uint256(-sizeUsd) : uint256(sizeUsd));
    }

    function capped(address id, int256 usd, uint256 sizeUsd) public view returns (int256) {
        return GmxMath.capped(store, id, usd, sizeUsd);
    }

    function interest(Market memory market, bool isLong) external view returns (uint256) {
        return GmxMath.interest(store, market, isLong);
    }

    function reservedUsd(Market memory market, MarketPrices memory prices, bool isLong)
        external
        view
        returns (uint256)
    {
        return GmxMath.reservedUsd(store, market, prices, isLong);
    }

    function poolUsd(Market memory market, MarketPrices memory prices, bool isLong)
        external
        view
        returns (uint256)
    {
        return GmxMath.poolUsd(store, market, prices, isLong);
    }
}
