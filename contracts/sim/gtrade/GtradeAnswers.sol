// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {GtradeLedger} from "./GtradeLedger.sol";
import {GtradeResizing} from "./GtradeResizing.sol";

/// @title What the keeper does with orders: a facet of the diamond
contract GtradeAnswers is GtradeLedger {
    constructor(address keeper_, uint8 index_, address token_, uint8 decimals_, address feed_)
        GtradeLedger(keeper_, index_, token_, decimals_, feed_)
    {}

    // --- what the keeper does ------------------------------------------------------------------------------

    /// @notice Answers an order with a price of the oracle; the protocol's own bounds decide what comes of it.
    function fulfill(address user, uint32 index, uint64 price) external only(keeper) {
        answer(user, index, price, CancelReason.NONE, type(uint120).max);
    }

    /// @notice As above, but of what opens only `most` of collateral is taken, as of a trade that may but even
    /// out an imbalance.
    function fulfillPart(address user, uint32 index, uint64 price, uint120 most) external only(keeper) {
        answer(user, index, price, CancelReason.NONE, most);
    }

    /// @notice Answers an order, and the protocol finds a reason not to fill it.
    function refuse(address user, uint32 index, uint64 price, CancelReason reason) external only(keeper) {
        answer(user, index, price, reason, type(uint120).max);
    }

    /// @notice Executes an order to liquidate. Reverts NoTrade where the price has not reached its end.
    function liquidate(address user, uint32 index, uint64 price) external only(keeper) {
        if (!isLiquidatable(user, index, price)) revert NoTrade();
        Trade memory t = trades[user][index];
        TradePriceImpact memory none;
        uint256 end = liquidationPriceOf(t, price, 0);
        close(t, price, t.positionSizeToken);
        emit LimitExecuted(
            Id(msg.sender, 0),
            user,
            index,
            0,
            t,
            msg.sender,
            OrderType.LIQ_CLOSE,
            price,
            price,
            end,
            none,
            -100e10,
            0,
            collateralUsd(),
            false
        );
    }

    function answer(address user, uint32 index, uint64 price, CancelReason reason, uint120 most) private {
        PendingOrder memory o = orders[user][index];
        if (!o.isOpen) revert NoOrder();
        done(o);
        if (o.orderType == OrderType.MARKET_OPEN) return opened(o, price, reason, most);
        Trade memory t = trades[o.trade.user][o.trade.index];
        if (!t.isOpen) reason = CancelReason.NO_TRADE;
        if (o.orderType == OrderType.MARKET_CLOSE) closed(o, t, price, reason);
        else if (o.orderType == OrderType.UPDATE_LEVERAGE) levered(o, t, price, reason);
        else resized(o, t, price, reason);
    }

    function opened(PendingOrder memory o, uint64 price, CancelReason reason, uint120 most) private {
        Trade memory t = o.trade;
        TradePriceImpact memory impact = impactOf(t, price, positionOf(t.collateralAmount, t.leverage), true, 0);
        if (reason == CancelReason.NONE && !within(t.long, impact.priceAfterImpact, t.openPrice, o.maxSlippageP)) {
            reason = CancelReason.SLIPPAGE;
        }
        Id memory id = Id(o.user, o.index);
        if (reason != CancelReason.NONE) {
            uint256 back = t.collateralAmount - updateFee(t.pairIndex);
            pay(t.user, back);
            emit MarketOpenCanceled(id, t.user, t.pairIndex, reason, back);
            return;
        }
        if (most < t.collateralAmount) {
            pay(t.user, t.collateralAmount - most);
            t.collateralAmount = most;
            impact = impactOf(t, price, positionOf(most, t.leverage), true, 0);
        }
        t.openPrice = impact.priceAfterImpact;
        t.positionSizeToken = uint160(impact.positionSizeToken);
        t.index = counters[t.user][0].currentIndex++;
        counters[t.user][0].openCount++;
        t.isOpen = true;
        book(t.pairIndex, price);
        trades[t.user][t.index] = t;
        TradeInfo memory info;
        (info.createdBlock, info.contractsVersion, info.lastPosIncreaseBlock) =
            (uint32(block.number), V10, uint32(block.number));
        infos[t.user][t.index] = info;
        liquidations[t.user][t.index] = terms[t.pairIndex].liquidation;
        add(t.pairIndex, t.long, impact.positionSizeToken);
        reset(t);
        emit TradeStored(t.user, t.index, t, info, terms[t.pairIndex].liquidation);
        charge(t, tradingFee(t.pairIndex, positionOf(t.collateralAmount, t.leverage), t.isCounterTrade));
        executed(id, t, true, price, impact, 0, 0);
    }

    function closed(PendingOrder memory o, Trade memory t, uint64 price, CancelReason reason) private {
        Id memory id = Id(o.user, o.index);
        TradePriceImpact memory impact;
        if (reason == CancelReason.NONE) {
            impact = impactOf(
                t, price, positionOf(t.collateralAmount, t.leverage), false, t.positionSizeToken
            );
            if (!within(!t.long, impact.priceAfterImpact, o.trade.openPrice, slippageOf(t))) {
                reason = CancelReason.SLIPPAGE;
            }
        }
        if (reason != CancelReason.NONE) {
            if (t.isOpen) charge(t, updateFee(t.pairIndex));
            emit MarketCloseCanceled(id, t.user, t.pairIndex, t.index, reason);
            return;
        }
        int256 percent = profitOf(t, impact.priceAfterImpact);
        int256 fee =
            int256(tradingFee(t.pairIndex, positionOf(t.collateralAmount, t.leverage), t.isCounterTrade));
        uint256 value = isOver(t.long, price, liquidationPriceOf(t, price, 0)) ? 0 : valueOf(t, percent, fee, price);
        executed(id, t, false, price, impact, percent, value);
        close(t, price, t.positionSizeToken);
        pay(t.user, value);
    }

    function levered(PendingOrder memory o, Trade memory t, uint64 price, CancelReason reason) private {
        UpdateLeverageValues memory v;
        bool isIncrease = o.trade.leverage > t.leverage;
        uint120 delta = o.trade.collateralAmount;
        if (t.isOpen) {
            Trade memory next = copyOf(t);
            next.collateralAmount = isIncrease ? t.collateralAmount - delta : t.collateralAmount + delta;
            next.leverage = o.trade.leverage;
            (v.newLeverage, v.newCollateralAmount) = (next.leverage, next.collateralAmount);
            v.govFeeCollateral = updateFee(t.pairIndex);
            v.existingLiqPrice = liquidationPriceOf(t, price, 0);
            v.newLiqPrice = liquidationPriceOf(next, price, int256(v.govFeeCollateral));
            if (isIncrease) v.newEffectiveLeverage = effectiveOf(next, price, v.govFeeCollateral);
            if (reason == CancelReason.NONE) reason = bounds(t, price, v.existingLiqPrice, v.newLiqPrice);
            if (reason == CancelReason.NONE && v.newEffectiveLeverage > terms[t.pairIndex].maxLeverage) {
                reason = CancelReason.MAX_LEVERAGE;
            }
            if (reason == CancelReason.NONE) {
                realize(t, price);
                save(next, OrderType.UPDATE_LEVERAGE, false);
                if (isIncrease) pay(t.user, delta);
            }
            charge(t, v.govFeeCollateral);
        }
        if (reason != CancelReason.NONE && !isIncrease) pay(o.user, delta);
        emit LeverageUpdateExecuted(
            Id(o.user, o.index), isIncrease, reason, t.collateralIndex, o.user, t.pairIndex, t.index, price, delta, v
        );
    }

    /// @dev In the facet for it, which has this contract's storage.
    function resized(PendingOrder memory o, Trade memory t, uint64 price, CancelReason reason) private {
        bytes memory call = abi.encodeCall(GtradeResizing.resized, (o, t, price, reason));
        (bool ok, bytes memory why) = facets[GtradeResizing.resized.selector].delegatecall(call);
        if (!ok) {
            assembly {
                revert(add(why, 32), mload(why))
            }
        }
    }

    // --- parts ---------------------------------------------------------------------------------------------

    function close(Trade memory t, uint64 price, uint256 tokens) private {
        book(t.pairIndex, price);
        remove(t.pairIndex, t.long, tokens);
        trades[t.user][t.index].isOpen = false;
        counters[t.user][0].openCount--;
    }

    function executed(
        Id memory id,
        Trade memory t,
        bool open,
        uint64 price,
        TradePriceImpact memory impact,
        int256 percent,
        uint256 sent
    ) private {
        emit MarketExecuted(
            id,
            t.user,
            t.index,
            t,
            open,
            price,
            impact.priceAfterImpact,
            liquidationPriceOf(t, price, 0),
            impact,
            percent,
            sent,
            collateralUsd()
        );
    }
}
