// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {GtradeLedger} from "./GtradeLedger.sol";

/// @title Trades that grow and shrink: a facet of the diamond, for its own calls only
contract GtradeResizing is GtradeLedger {
    constructor(address keeper_, uint8 index_, address token_, uint8 decimals_, address feed_)
        GtradeLedger(keeper_, index_, token_, decimals_, feed_)
    {}

    /// @dev Called by the facet that answers orders, in the diamond's storage.
    function resized(PendingOrder memory o, Trade memory t, uint64 price, CancelReason reason) external {
        if (o.orderType == OrderType.MARKET_PARTIAL_OPEN) increased(o, t, price, reason);
        else decreased(o, t, price, reason);
    }

    function increased(PendingOrder memory o, Trade memory t, uint64 price, CancelReason reason) private {
        IncreaseValues memory v;
        if (t.isOpen) {
            Trade memory next = copyOf(t);
            fillIncrease(v, t, next, o.trade, price);
            if (reason == CancelReason.NONE) {
                reason = v.newPositionSizeCollateral <= v.existingPositionSizeCollateral
                    ? CancelReason.WRONG_TRADE
                    : !within(t.long, v.priceImpact.priceAfterImpact, o.trade.openPrice, o.maxSlippageP)
                        ? CancelReason.SLIPPAGE
                        : bounds(t, price, v.existingLiqPrice, v.newLiqPrice);
            }
            if (reason == CancelReason.NONE && v.newEffectiveLeverage > terms[t.pairIndex].maxLeverage) {
                reason = CancelReason.MAX_LEVERAGE;
            }
            if (reason == CancelReason.NONE) {
                realize(t, price);
                liquidations[t.user][t.index] = terms[t.pairIndex].liquidation;
                infos[t.user][t.index].lastPosIncreaseBlock = uint32(block.number);
                add(t.pairIndex, t.long, v.priceImpact.positionSizeToken);
                save(next, OrderType.MARKET_PARTIAL_OPEN, false);
                charge(t, v.openingFeesCollateral);
            } else {
                charge(t, updateFee(t.pairIndex));
            }
        }
        if (reason != CancelReason.NONE) pay(o.user, o.trade.collateralAmount);
        emit PositionSizeIncreaseExecuted(
            Id(o.user, o.index),
            reason,
            t.collateralIndex,
            o.user,
            t.pairIndex,
            t.index,
            t.long,
            price,
            collateralUsd(),
            o.trade.collateralAmount,
            o.trade.leverage,
            v
        );
    }

    function fillIncrease(
        IncreaseValues memory v,
        Trade memory t,
        Trade memory next,
        Trade memory asked,
        uint64 price
    ) private view {
        bool levers = asked.collateralAmount == 0;
        v.existingPositionSizeCollateral = positionOf(t.collateralAmount, t.leverage);
        uint256 more = positionOf(levers ? t.collateralAmount : asked.collateralAmount, asked.leverage);
        v.newCollateralAmount = uint256(t.collateralAmount) + asked.collateralAmount;
        v.newLeverage = levers
            ? uint256(t.leverage) + asked.leverage
            : (v.existingPositionSizeCollateral + more) * 1e3 / v.newCollateralAmount;
        v.newPositionSizeCollateral = positionOf(v.newCollateralAmount, v.newLeverage);
        if (v.newPositionSizeCollateral < v.existingPositionSizeCollateral) return;
        v.positionSizeCollateralDelta = v.newPositionSizeCollateral - v.existingPositionSizeCollateral;
        v.priceImpact = impactOf(t, price, v.positionSizeCollateralDelta, true, 0);
        v.existingPnlCollateral = profitOf(t, v.priceImpact.priceAfterImpact)
            * int256(uint256(t.collateralAmount)) / 100 / 1e10;
        v.openingFeesCollateral = tradingFee(t.pairIndex, v.positionSizeCollateralDelta, t.isCounterTrade);
        v.oldPosSizePlusPnlCollateral = uint256(
            int256(v.existingPositionSizeCollateral) + v.existingPnlCollateral * (t.long ? int256(1) : int256(-1))
        );
        uint256 worth = v.oldPosSizePlusPnlCollateral * t.openPrice
            + v.positionSizeCollateralDelta * v.priceImpact.priceAfterImpact;
        uint256 both = v.oldPosSizePlusPnlCollateral + v.positionSizeCollateralDelta;
        v.newOpenPrice = t.long ? (worth + both - 1) / both : worth / both;
        next.collateralAmount = uint120(v.newCollateralAmount);
        next.leverage = uint24(v.newLeverage);
        next.openPrice = uint64(v.newOpenPrice);
        next.positionSizeToken = uint160(t.positionSizeToken + v.priceImpact.positionSizeToken);
        v.existingLiqPrice = liquidationPriceOf(t, price, 0);
        v.newLiqPrice =
            endOf(next, terms[t.pairIndex].liquidation, price, int256(v.openingFeesCollateral), 1e18, false);
        v.newEffectiveLeverage = effectiveOf(next, price, v.openingFeesCollateral);
    }

    function decreased(PendingOrder memory o, Trade memory t, uint64 price, CancelReason reason) private {
        DecreaseValues memory v;
        if (t.isOpen) {
            fillDecrease(v, t, o.trade, price);
            if (reason == CancelReason.NONE) {
                reason = bounds(t, price, v.existingLiqPrice, v.newLiqPrice);
                if (reason == CancelReason.NONE) {
                    reason = !within(!t.long, v.priceImpact.priceAfterImpact, o.trade.openPrice, slippageOf(t))
                        ? CancelReason.SLIPPAGE
                        : !v.isLeverageUpdate && v.collateralSentToTrader < 0
                            ? CancelReason.WRONG_TRADE
                            : CancelReason.NONE;
                }
            }
            if (reason == CancelReason.NONE) shrink(v, t, price);
            else charge(t, updateFee(t.pairIndex));
        }
        emit PositionSizeDecreaseExecuted(
            Id(o.user, o.index),
            reason,
            t.collateralIndex,
            o.user,
            t.pairIndex,
            t.index,
            t.long,
            price,
            collateralUsd(),
            o.trade.collateralAmount,
            o.trade.leverage,
            v
        );
    }

    function fillDecrease(DecreaseValues memory v, Trade memory t, Trade memory asked, uint64 price) private view {
        v.isLeverageUpdate = asked.leverage > 0;
        v.positionSizeCollateralDelta = positionOf(
            v.isLeverageUpdate ? t.collateralAmount : asked.collateralAmount,
            v.isLeverageUpdate ? asked.leverage : t.leverage
        );
        v.existingPositionSizeCollateral = positionOf(t.collateralAmount, t.leverage);
        int256 part = int256(v.positionSizeCollateralDelta);
        int256 whole = int256(v.existingPositionSizeCollateral);
        v.priceImpact = impactOf(
            t,
            price,
            v.positionSizeCollateralDelta,
            false,
            v.positionSizeCollateralDelta * t.positionSizeToken / v.existingPositionSizeCollateral
        );
        v.existingPnlPercent = profitOf(t, v.priceImpact.priceAfterImpact);
        int256 posted = int256(uint256(t.collateralAmount));
        v.partialRawPnlCollateral = v.existingPnlPercent * posted * part / whole / 1e10 / 100;
        v.partialNetPnlCollateral = (int256(valueOf(t, v.existingPnlPercent, 0, price)) - posted) * part / whole;
        v.closingFeeCollateral = tradingFee(t.pairIndex, v.positionSizeCollateralDelta, t.isCounterTrade);
        v.collateralSentToTrader = int256(uint256(asked.collateralAmount)) + v.partialNetPnlCollateral
            - int256(v.closingFeeCollateral);
        if (v.isLeverageUpdate) {
            v.pnlToRealizeCollateral = v.partialRawPnlCollateral
                - (v.collateralSentToTrader > 0 ? v.collateralSentToTrader : int256(0));
        }
        v.newCollateralAmount = t.collateralAmount - asked.collateralAmount;
        v.newLeverage = t.leverage - asked.leverage;
        v.existingLiqPrice = liquidationPriceOf(t, price, 0);
        Trade memory next = copyOf(t);
        (next.collateralAmount, next.leverage) = (v.newCollateralAmount, v.newLeverage);
        v.newLiqPrice = endOf(
            next,
            liquidations[t.user][t.index],
            price,
            v.isLeverageUpdate ? int256(v.closingFeeCollateral) - v.pnlToRealizeCollateral : int256(0),
            v.isLeverageUpdate ? 1e18 : uint256(whole - part) * 1e18 / uint256(whole),
            false
        );
    }

    function shrink(DecreaseValues memory v, Trade memory t, uint64 price) private {
        realize(t, price);
        Trade memory next = copyOf(t);
        (next.collateralAmount, next.leverage) = (v.newCollateralAmount, v.newLeverage);
        next.positionSizeToken = uint160(t.positionSizeToken - v.priceImpact.positionSizeToken);
        remove(t.pairIndex, t.long, v.priceImpact.positionSizeToken);
        save(next, OrderType.MARKET_PARTIAL_CLOSE, v.existingPnlPercent > 0);
        TradeFeesData storage data = feesData[t.user][t.index];
        if (v.isLeverageUpdate) {
            data.realizedPnlCollateral += int128(v.pnlToRealizeCollateral);
            data.realizedTradingFeesCollateral += uint128(v.closingFeeCollateral);
        } else {
            uint256 part = v.positionSizeCollateralDelta;
            uint256 whole = v.existingPositionSizeCollateral;
            data.realizedTradingFeesCollateral -= uint128(part * data.realizedTradingFeesCollateral / whole);
            int256 booked = data.realizedPnlCollateral;
            data.realizedPnlCollateral -= booked > 0
                ? int128(int256((part * uint256(booked) + whole - 1) / whole))
                : -int128(int256(part * uint256(-booked) / whole));
        }
        if (v.collateralSentToTrader > 0) pay(t.user, uint256(v.collateralSentToTrader));
    }
}
