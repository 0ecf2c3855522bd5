// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {GmxEngine} from "./GmxEngine.sol";
import {GmxHandler} from "./GmxHandler.sol";
import {GmxStore} from "./GmxStore.sol";
import {
    Market,
    MarketInfo,
    MarketPrices,
    NextFunding,
    Order,
    OrderInfo,
    Position,
    PositionInfo,
    PositionType,
    Price
} from "./GmxTypes.sol";
import {GmxKeys} from "./libraries/GmxKeys.sol";
import {GmxMath} from "./libraries/GmxMath.sol";

/// @title The local chain's stand-in for GMX v2's Reader
contract GmxReader {
    GmxHandler public immutable handler;
    GmxEngine public immutable engine;
    uint256 private constant ONE = 1e30;

    error EmptyMarketPrice(address market);

    constructor(GmxHandler handler_) {
        (handler, engine) = (handler_, handler_.engine());
    }

    function getMarket(address, address key) external view returns (Market memory) {
        return engine.marketAt(key);
    }

    function getMarkets(address, uint256 start, uint256 end) external view returns (Market[] memory found) {
        address[] memory keys = engine.marketKeys();
        if (end > keys.length) end = keys.length;
        if (start >= end) return found;
        found = new Market[](end - start);
        for (uint256 i = start; i < end; i++) {
            found[i - start] = engine.marketAt(keys[i]);
        }
    }

    function getMarketInfo(address dataStore, MarketPrices memory prices, address marketKey)
        external
        view
        returns (MarketInfo memory info)
    {
        GmxStore store = GmxStore(dataStore);
        info.market = engine.marketAt(marketKey);
        info.borrowingFactorPerSecondForLongs =
            GmxMath.borrowingPerSecond(store, info.market, prices, true);
        info.borrowingFactorPerSecondForShorts =
            GmxMath.borrowingPerSecond(store, info.market, prices, false);
        info.baseFunding.fundingFeeAmountPerSize = _fees(store, info.market);
        info.baseFunding.claimableFundingAmountPerSize = _claims(store, info.market);
        info.nextFunding = GmxMath.nextFunding(store, info.market, prices);
        info.isDisabled = store.getBool(GmxKeys.at("IS_MARKET_DISABLED", marketKey));
    }

    function getPosition(address, bytes32 key) external view returns (Position memory) {
        return engine.positionAt(key);
    }

    function getOrder(address, bytes32 key) external view returns (Order memory) {
        return handler.orderAt(key);
    }

    function getAccountOrders(address dataStore, address account, uint256 start, uint256 end)
        external
        view
        returns (OrderInfo[] memory found)
    {
        bytes32[] memory keys = GmxStore(dataStore).getBytes32ValuesAt(
            GmxKeys.at("ACCOUNT_ORDER_LIST", account), start, end
        );
        found = new OrderInfo[](keys.length);
        for (uint256 i; i < keys.length; i++) {
            found[i] = OrderInfo(keys[i], handler.orderAt(keys[i]));
        }
    }

    /// @dev With the funding and borrowing that an execution now would first write down.
    function getAccountPositionInfoList(
        address dataStore,
        address,
        address account,
        address[] memory markets,
        MarketPrices[] memory marketPrices,
        address,
        uint256 start,
        uint256 end
    ) external view returns (PositionInfo[] memory found) {
        bytes32[] memory keys = GmxStore(dataStore).getBytes32ValuesAt(
            GmxKeys.at("ACCOUNT_POSITION_LIST", account), start, end
        );
        found = new PositionInfo[](keys.length);
        for (uint256 i; i < keys.length; i++) {
            found[i].positionKey = keys[i];
            found[i].position = engine.positionAt(keys[i]);
            _describe(
                GmxStore(dataStore),
                found[i],
                _pricesOf(markets, marketPrices, found[i].position.addresses.market)
            );
        }
    }

    function _pricesOf(address[] memory markets, MarketPrices[] memory marketPrices, address market)
        private
        pure
        returns (MarketPrices memory)
    {
        for (uint256 i; i < markets.length; i++) {
            if (markets[i] == market) return marketPrices[i];
        }
        revert EmptyMarketPrice(market);
    }

    function _describe(GmxStore store, PositionInfo memory info, MarketPrices memory prices) private view {
        Position memory held = info.position;
        Market memory market = engine.marketAt(held.addresses.market);
        (bool isLong, uint256 size) = (held.flags.isLong, held.numbers.sizeInUsd);
        info.fees.collateralTokenPrice = GmxMath.priceOf(held.addresses.collateralToken, market, prices);
        (info.basePnlUsd, info.uncappedBasePnlUsd) = GmxMath.profit(store, market, prices, held);
        (info.executionPriceResult.priceImpactUsd, info.executionPriceResult.balanceWasImproved) = GmxMath
            .impact(
            store, market, prices.indexTokenPrice, -int256(size), -int256(held.numbers.sizeInTokens), isLong
        );
        _fund(store, market, info, GmxMath.nextFunding(store, market, prices));
        uint256 price = info.fees.collateralTokenPrice.min;
        info.fees.positionFeeFactor = store.getUint(
            GmxKeys.at(
                "POSITION_FEE_FACTOR", market.marketToken, info.executionPriceResult.balanceWasImproved
            )
        );
        info.fees.positionFeeAmount = size * info.fees.positionFeeFactor / ONE / price;
        info.fees.borrowing.borrowingFeeUsd = size
            * (GmxMath.nextBorrowing(store, market, prices, isLong) - held.numbers.borrowingFactor) / ONE;
        info.fees.borrowing.borrowingFeeAmount = info.fees.borrowing.borrowingFeeUsd / price;
        info.fees.totalCostAmountExcludingFunding =
            info.fees.positionFeeAmount + info.fees.borrowing.borrowingFeeAmount;
        info.fees.totalCostAmount =
            info.fees.totalCostAmountExcludingFunding + info.fees.funding.fundingFeeAmount;
        info.pnlAfterPriceImpactUsd = info.basePnlUsd + info.executionPriceResult.priceImpactUsd;
    }

    function _fund(GmxStore store, Market memory market, PositionInfo memory info, NextFunding memory next)
        private
        view
    {
        Position memory held = info.position;
        bool isLong = held.flags.isLong;
        PositionType memory fees = _fees(store, market);
        PositionType memory claims = _claims(store, market);
        bool isLongToken = held.addresses.collateralToken == market.longToken;
        uint256 fee = isLong
            ? (isLongToken ? fees.long.longToken : fees.long.shortToken)
            : (isLongToken ? fees.short.longToken : fees.short.shortToken);
        PositionType memory more = next.fundingFeeAmountPerSizeDelta;
        fee += isLong
            ? (isLongToken ? more.long.longToken : more.long.shortToken)
            : (isLongToken ? more.short.longToken : more.short.shortToken);
        more = next.claimableFundingAmountPerSizeDelta;
        uint256 a =
            isLong ? claims.long.longToken + more.long.longToken : claims.short.longToken + more.short.longToken;
        uint256 b = isLong
            ? claims.long.shortToken + more.long.shortToken
            : claims.short.shortToken + more.short.shortToken;
        info.fees.funding.latestFundingFeeAmountPerSize = fee;
        info.fees.funding.latestLongTokenClaimableFundingAmountPerSize = a;
        info.fees.funding.latestShortTokenClaimableFundingAmountPerSize = b;
        uint256 size = held.numbers.sizeInUsd;
        info.fees.funding.fundingFeeAmount =
            GmxMath.mulUp(size, fee - held.numbers.fundingFeeAmountPerSize, GmxMath.PER_SIZE);
        info.fees.funding.claimableLongTokenAmount = GmxMath.mulDiv(
            size, a - held.numbers.longTokenClaimableFundingAmountPerSize, GmxMath.PER_SIZE
        );
        info.fees.funding.claimableShortTokenAmount = GmxMath.mulDiv(
            size, b - held.numbers.shortTokenClaimableFundingAmountPerSize, GmxMath.PER_SIZE
        );
    }

    function _fees(GmxStore store, Market memory m) private view returns (PositionType memory found) {
        found.long.longToken = GmxMath.feePerSize(store, m, m.longToken, true);
        found.long.shortToken = GmxMath.feePerSize(store, m, m.shortToken, true);
        found.short.longToken = GmxMath.feePerSize(store, m, m.longToken, false);
        found.short.shortToken = GmxMath.feePerSize(store, m, m.shortToken, false);
    }

    function _claims(GmxStore store, Market memory m) private view returns (PositionType memory found) {
        found.long.longToken = GmxMath.claimPerSize(store, m, m.longToken, true);
        found.long.shortToken = GmxMath.claimPerSize(store, m, m.shortToken, true);
        found.short.longToken = GmxMath.claimPerSize(store, m, m.longToken, false);
        found.short.shortToken = GmxMath.claimPerSize(store, m, m.shortToken, false);
    }
}
