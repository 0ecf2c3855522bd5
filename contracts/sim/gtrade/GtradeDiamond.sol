// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {GtradeLedger} from "./GtradeLedger.sol";
import {GtradeViews} from "./GtradeViews.sol";

interface IToken {
    function transferFrom(address from, address to, uint256 amount) external returns (bool);
    function transfer(address to, uint256 amount) external returns (bool);
}

/// @title A stand-in of gTrade's diamond: orders that an oracle's answer fills, whenever the keeper gives one
/// @notice The keeper may fill at any price and as late as he likes, fill a part of what opens, refuse, or do
/// nothing; slippage, leverage and the liquidation price bind him as they bind the protocol. Winners are paid
/// from what the contract holds.
contract GtradeDiamond is GtradeViews {
    constructor(address keeper_, uint8 index_, address token_, uint8 decimals_, address feed_)
        GtradeLedger(keeper_, index_, token_, decimals_, feed_)
    {}

    modifier only(address who) {
        if (msg.sender != who) revert NotAuthorized();
        _;
    }

    // --- set up --------------------------------------------------------------------------------------------

    function setTerms(uint16 pair, Terms calldata wanted, uint64 price) external only(owner) {
        book(pair, price);
        terms[pair] = wanted;
    }

    function setActivated(uint8 value) external only(owner) {
        getTradingActivated = value;
    }

    function setTimeout(uint16 blocks) external only(owner) {
        getMarketOrdersTimeoutBlocks = blocks;
    }

    // --- what traders ask for ------------------------------------------------------------------------------

    function openTrade(Trade memory _trade, uint16 _maxSlippageP, address) external {
        if (getTradingActivated != 0) revert Paused();
        if (_trade.collateralIndex != collateralIndex) revert InvalidCollateralIndex();
        if (_maxSlippageP == 0 || _trade.openPrice == 0) revert ZeroValue();
        Terms storage pair = terms[_trade.pairIndex];
        if (_trade.leverage < pair.minLeverage || _trade.leverage > pair.maxLeverage) revert WrongLeverage();
        uint256 usd = uint256(_trade.collateralAmount) * money.precisionDelta;
        if (usd < 5 * pairMinFeeUsd(_trade.pairIndex)) revert InsufficientCollateral();
        (_trade.user, _trade.index, _trade.isOpen) = (msg.sender, 0, false);
        take(_trade.collateralAmount);
        store(_trade, OrderType.MARKET_OPEN, _maxSlippageP);
    }

    function closeTradeMarket(uint32 _index, uint64 _expectedPrice) external {
        Trade memory t = own(_index, _expectedPrice, false);
        Trade memory asked;
        (asked.user, asked.index, asked.pairIndex, asked.openPrice) = (t.user, t.index, t.pairIndex, _expectedPrice);
        store(asked, OrderType.MARKET_CLOSE, 0);
    }

    function updateLeverage(uint32 _index, uint24 _newLeverage) external {
        Trade memory t = own(_index, 1, true);
        if (_newLeverage == t.leverage || _newLeverage < 1_100) revert WrongLeverage();
        uint256 collateral = uint256(t.collateralAmount) * t.leverage / _newLeverage;
        if (collateral < ofUsd(pairMinFeeUsd(t.pairIndex))) revert InsufficientCollateral();
        bool isIncrease = _newLeverage > t.leverage;
        uint256 delta = isIncrease ? t.collateralAmount - collateral : collateral - t.collateralAmount;
        if (!isIncrease) take(delta);
        Trade memory asked;
        (asked.user, asked.index, asked.leverage, asked.collateralAmount) =
            (t.user, t.index, _newLeverage, uint120(delta));
        Id memory id = store(asked, OrderType.UPDATE_LEVERAGE, 0);
        emit LeverageUpdateInitiated(id, t.user, t.pairIndex, t.index, isIncrease, _newLeverage);
    }

    function increasePositionSize(
        uint32 _index,
        uint120 _collateralDelta,
        uint24 _leverageDelta,
        uint64 _expectedPrice,
        uint16 _maxSlippageP
    ) external {
        Trade memory t = own(_index, _expectedPrice, true);
        if (infos[t.user][_index].contractsVersion < V10) revert NotAuthorized();
        if (_leverageDelta == 0 || _maxSlippageP == 0) revert InvalidIncreasePositionSizeInput();
        if (_collateralDelta > 0) take(_collateralDelta);
        resize(t, OrderType.MARKET_PARTIAL_OPEN, _collateralDelta, _leverageDelta, _expectedPrice, _maxSlippageP);
    }

    function decreasePositionSize(
        uint32 _index,
        uint120 _collateralDelta,
        uint24 _leverageDelta,
        uint64 _expectedPrice
    ) external {
        Trade memory t = own(_index, _expectedPrice, false);
        if ((_collateralDelta == 0) == (_leverageDelta == 0)) revert InvalidDecreasePositionSizeInput();
        if (t.collateralAmount - _collateralDelta < ofUsd(pairMinFeeUsd(t.pairIndex))) revert InsufficientCollateral();
        resize(t, OrderType.MARKET_PARTIAL_CLOSE, _collateralDelta, _leverageDelta, _expectedPrice, 0);
    }

    function cancelOrderAfterTimeout(uint32 _orderIndex) external {
        PendingOrder memory o = orders[msg.sender][_orderIndex];
        if (!o.isOpen) revert NoOrder();
        if (block.number < o.createdBlock + getMarketOrdersTimeoutBlocks) revert WaitTimeout();
        Trade memory t = trades[msg.sender][o.trade.index];
        done(o);
        bool brought = o.orderType == OrderType.MARKET_OPEN || o.orderType == OrderType.MARKET_PARTIAL_OPEN
            || (o.orderType == OrderType.UPDATE_LEVERAGE && o.trade.leverage < t.leverage);
        if (brought) pay(msg.sender, o.trade.collateralAmount);
        emit ChainlinkCallbackTimeout(
            Id(msg.sender, _orderIndex), o.orderType == OrderType.MARKET_OPEN ? o.trade.pairIndex : t.pairIndex
        );
    }

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
        if (!wouldLiquidate(user, index, price)) revert NoTrade();
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
            getCollateralPriceUsd(collateralIndex),
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
        else if (o.orderType == OrderType.MARKET_PARTIAL_OPEN) increased(o, t, price, reason);
        else decreased(o, t, price, reason);
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
            getCollateralPriceUsd(collateralIndex),
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
            getCollateralPriceUsd(collateralIndex),
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

    // --- parts ---------------------------------------------------------------------------------------------

    function own(uint32 index, uint64 expected, bool grows) private view returns (Trade memory t) {
        if (getTradingActivated > (grows ? 0 : 1)) revert Paused();
        if (expected == 0) revert ZeroValue();
        t = trades[msg.sender][index];
        if (!t.isOpen) revert DoesntExist();
        Counter memory counter = counters[msg.sender][1];
        for (uint32 i; i < counter.currentIndex; ++i) {
            PendingOrder storage o = orders[msg.sender][i];
            if (o.isOpen && o.trade.index == index && o.orderType != OrderType.MARKET_OPEN) {
                revert ConflictingPendingOrder(o.orderType);
            }
        }
    }

    function resize(
        Trade memory t,
        OrderType kind,
        uint120 collateral,
        uint24 leverage,
        uint64 expected,
        uint16 slippage
    ) private {
        Trade memory asked;
        (asked.user, asked.index, asked.openPrice) = (t.user, t.index, expected);
        (asked.collateralAmount, asked.leverage) = (collateral, leverage);
        Id memory id = store(asked, kind, slippage);
        bool isIncrease = kind == OrderType.MARKET_PARTIAL_OPEN;
        emit PositionSizeUpdateInitiated(id, t.user, t.pairIndex, t.index, isIncrease, collateral, leverage);
    }

    function store(Trade memory asked, OrderType kind, uint16 slippage) private returns (Id memory) {
        Counter storage counter = counters[msg.sender][1];
        uint32 index = counter.currentIndex++;
        counter.openCount++;
        PendingOrder memory o =
            PendingOrder(asked, msg.sender, index, true, kind, uint32(block.number), slippage);
        orders[msg.sender][index] = o;
        emit PendingOrderStored(o);
        return Id(msg.sender, index);
    }

    function done(PendingOrder memory o) private {
        orders[o.user][o.index].isOpen = false;
        counters[o.user][1].openCount--;
    }

    function within(bool buys, uint256 price, uint256 expected, uint256 slippage) private pure returns (bool) {
        uint256 most = expected * slippage / 100 / 1e3;
        return buys ? price <= expected + most : price >= expected - most;
    }

    function slippageOf(Trade memory t) private view returns (uint256) {
        uint16 own_ = infos[t.user][t.index].maxSlippageP;
        return own_ > 0 ? own_ : 1e3;
    }

    function bounds(Trade memory t, uint64 price, uint256 end, uint256 next) private pure returns (CancelReason) {
        bool over = isOver(t.long, price, end) || isOver(t.long, price, next);
        return over ? CancelReason.LIQ_REACHED : CancelReason.NONE;
    }

    function effectiveOf(Trade memory next, uint64 price, uint256 fee) private view returns (uint256) {
        uint256 position = positionOf(next.collateralAmount, next.leverage);
        uint64 after_ = impactOf(next, price, position, false, next.positionSizeToken).priceAfterImpact;
        int256 fees = int256(tradingFee(next.pairIndex, position, next.isCounterTrade) + fee);
        uint256 value = valueOf(next, profitOf(next, after_), fees, price);
        return value == 0 ? type(uint24).max : position * price / next.openPrice * 1e3 / value;
    }

    function copyOf(Trade memory t) private pure returns (Trade memory) {
        return abi.decode(abi.encode(t), (Trade));
    }

    /// @dev Writes down what has accrued in the pair; before its open interest or its rates change.
    function book(uint16 pair, uint64 price) private {
        (int128 long, int128 short, int56 rate) = getPairPendingAccFundingFees(collateralIndex, pair, price);
        fundingData[pair] = PairFundingFeeData(long, short, rate, uint32(block.timestamp), 0);
        uint128 acc = getPairPendingAccBorrowingFees(collateralIndex, pair, price);
        borrowingData[pair] = PairBorrowingFeeData(acc, uint32(block.timestamp), 0);
    }

    function reset(Trade memory t) private {
        TradeFeesData storage data = feesData[t.user][t.index];
        PairFundingFeeData memory pair = fundingData[t.pairIndex];
        data.initialAccFundingFeeP = t.long ? pair.accFundingFeeLongP : pair.accFundingFeeShortP;
        data.initialAccBorrowingFeeP = borrowingData[t.pairIndex].accBorrowingFeeP;
        oldSince[t.user][t.index] = block.number;
    }

    function realize(Trade memory t, uint64 price) private {
        int256 owed = getTradePendingHoldingFeesCollateral(t.user, t.index, price).totalFeeCollateral;
        TradeFeesData storage data = feesData[t.user][t.index];
        if (owed > 0) data.realizedTradingFeesCollateral += uint128(uint256(owed));
        else data.realizedPnlCollateral -= int128(owed);
        book(t.pairIndex, price);
        reset(t);
    }

    function charge(Trade memory t, uint256 fee) private {
        feesData[t.user][t.index].realizedTradingFeesCollateral += uint128(fee);
    }

    function save(Trade memory t, OrderType kind, bool isPnlPositive) private {
        trades[t.user][t.index] = t;
        emit TradePositionUpdated(
            t.user,
            t.index,
            t.collateralAmount,
            t.leverage,
            t.openPrice,
            t.sl,
            t.positionSizeToken,
            kind,
            isPnlPositive
        );
    }

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
            getCollateralPriceUsd(collateralIndex)
        );
    }

    function add(uint256 pair, bool long, uint256 tokens) private {
        if (long) interest[pair].oiLongToken += uint128(tokens);
        else interest[pair].oiShortToken += uint128(tokens);
    }

    function remove(uint256 pair, bool long, uint256 tokens) private {
        if (long) interest[pair].oiLongToken -= uint128(tokens);
        else interest[pair].oiShortToken -= uint128(tokens);
    }

    function take(uint256 amount) private {
        IToken(money.collateral).transferFrom(msg.sender, address(this), amount);
    }

    function pay(address to, uint256 amount) private {
        if (amount > 0) IToken(money.collateral).transfer(to, amount);
    }
}
