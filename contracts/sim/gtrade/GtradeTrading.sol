// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IToken, GtradeLedger} from "./GtradeLedger.sol";

/// @title What traders ask the stand-in for, and what sets it up: a facet of the diamond
contract GtradeTrading is GtradeLedger {
    constructor(address keeper_, uint8 index_, address token_, uint8 decimals_, address feed_)
        GtradeLedger(keeper_, index_, token_, decimals_, feed_)
    {}

    // --- set up --------------------------------------------------------------------------------------------

    function setTerms(uint16 pair, Terms calldata wanted, uint64 price) external only(owner) {
        book(pair, price);
        terms[pair] = wanted;
    }

    function setActivated(uint8 value) external only(owner) {
        activated = value;
    }

    function setTimeout(uint16 blocks) external only(owner) {
        timeoutBlocks = blocks;
    }

    // --- what traders ask for ------------------------------------------------------------------------------

    function openTrade(Trade memory _trade, uint16 _maxSlippageP, address) external {
        if (activated != 0) revert Paused();
        if (_trade.collateralIndex != collateralIndex) revert InvalidCollateralIndex();
        if (_maxSlippageP == 0 || _trade.openPrice == 0) revert ZeroValue();
        Terms storage pair = terms[_trade.pairIndex];
        if (_trade.leverage < pair.minLeverage || _trade.leverage > pair.maxLeverage) revert WrongLeverage();
        uint256 usd = uint256(_trade.collateralAmount) * money.precisionDelta;
        if (usd < 5 * minFeeUsd(_trade.pairIndex)) revert InsufficientCollateral();
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
        if (collateral < ofUsd(minFeeUsd(t.pairIndex))) revert InsufficientCollateral();
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
        if (t.collateralAmount - _collateralDelta < ofUsd(minFeeUsd(t.pairIndex))) revert InsufficientCollateral();
        resize(t, OrderType.MARKET_PARTIAL_CLOSE, _collateralDelta, _leverageDelta, _expectedPrice, 0);
    }

    function cancelOrderAfterTimeout(uint32 _orderIndex) external {
        PendingOrder memory o = orders[msg.sender][_orderIndex];
        if (!o.isOpen) revert NoOrder();
        if (block.number < o.createdBlock + timeoutBlocks) revert WaitTimeout();
        Trade memory t = trades[msg.sender][o.trade.index];
        done(o);
        bool brought = o.orderType == OrderType.MARKET_OPEN || o.orderType == OrderType.MARKET_PARTIAL_OPEN
            || (o.orderType == OrderType.UPDATE_LEVERAGE && o.trade.leverage < t.leverage);
        if (brought) pay(msg.sender, o.trade.collateralAmount);
        emit ChainlinkCallbackTimeout(
            Id(msg.sender, _orderIndex), o.orderType == OrderType.MARKET_OPEN ? o.trade.pairIndex : t.pairIndex
        );
    }

    // --- parts ---------------------------------------------------------------------------------------------

    function own(uint32 index, uint64 expected, bool grows) private view returns (Trade memory t) {
        if (activated > (grows ? 0 : 1)) revert Paused();
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

    function take(uint256 amount) private {
        IToken(money.collateral).transferFrom(msg.sender, address(this), amount);
    }
}
