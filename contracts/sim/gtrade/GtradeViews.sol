// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {GtradeLedger} from "./GtradeLedger.sol";

/// @title What the stand-in answers to whoever reads it, in the protocol's words
abstract contract GtradeViews is GtradeLedger {
    function getTrades(address _trader) external view returns (Trade[] memory found) {
        uint32[] memory open = openOf(_trader);
        found = new Trade[](open.length);
        for (uint256 i; i < open.length; ++i) found[i] = trades[_trader][open[i]];
    }

    function getTradeInfos(address _trader) external view returns (TradeInfo[] memory found) {
        uint32[] memory open = openOf(_trader);
        found = new TradeInfo[](open.length);
        for (uint256 i; i < open.length; ++i) found[i] = infos[_trader][open[i]];
    }

    function getTradesLiquidationParams(address _trader) external view returns (GroupLiquidationParams[] memory found) {
        uint32[] memory open = openOf(_trader);
        found = new GroupLiquidationParams[](open.length);
        for (uint256 i; i < open.length; ++i) found[i] = liquidations[_trader][open[i]];
    }

    function openOf(address user) internal view returns (uint32[] memory found) {
        Counter memory counter = counters[user][0];
        found = new uint32[](counter.openCount);
        uint256 count;
        for (uint32 i; i < counter.currentIndex; ++i) {
            if (trades[user][i].isOpen) found[count++] = i;
        }
    }

    function getPendingOrders(address _user) external view returns (PendingOrder[] memory found) {
        Counter memory counter = counters[_user][1];
        found = new PendingOrder[](counter.openCount);
        uint256 count;
        for (uint32 i; i < counter.currentIndex; ++i) {
            if (orders[_user][i].isOpen) found[count++] = orders[_user][i];
        }
    }

    function getPendingOrder(Id memory _orderId) external view returns (PendingOrder memory) {
        return orders[_orderId.user][_orderId.index];
    }

    function getCounters(address _trader, uint8 _type) external view returns (Counter memory) {
        return counters[_trader][_type];
    }

    function getTradeFeesData(address _trader, uint32 _index) external view returns (TradeFeesData memory) {
        return feesData[_trader][_index];
    }

    function getCollateral(uint8 _index) external view returns (Collateral memory found) {
        if (_index == collateralIndex) return money;
    }

    function getCollateralIndex(address _collateral) external view returns (uint8) {
        return _collateral == money.collateral ? collateralIndex : 0;
    }

    function getCurrentContractsVersion() external pure returns (uint8) {
        return V10;
    }

    function getGlobalTradeFeeParams() external view returns (GlobalTradeFeeParams memory found) {
        found.govFeeP = govFeeP;
    }

    function pairs(uint256 _index) external view returns (PairView memory found) {
        (found.from, found.to, found.spreadP) = (terms[_index].from, "USD", terms[_index].spreadP);
    }

    function pairSpreadP(address, uint256 _pairIndex) external view returns (uint256) {
        return terms[_pairIndex].spreadP;
    }

    function pairTotalPositionSizeFeeP(uint256 _pairIndex) external view returns (uint256) {
        return terms[_pairIndex].feeP;
    }

    function pairMinPositionSizeUsd(uint256 _pairIndex) external view returns (uint256) {
        return terms[_pairIndex].minSizeUsd;
    }

    function pairMinFeeUsd(uint256 _pairIndex) external view returns (uint256) {
        return minFeeUsd(_pairIndex);
    }

    function pairMinLeverage(uint256 _pairIndex) external view returns (uint256) {
        return terms[_pairIndex].minLeverage;
    }

    function pairMaxLeverage(uint256 _pairIndex) external view returns (uint256) {
        return terms[_pairIndex].maxLeverage;
    }

    function getPairLiquidationParams(uint256 _pairIndex) external view returns (GroupLiquidationParams memory) {
        return terms[_pairIndex].liquidation;
    }

    function getPairCounterTradeFeeRateMultiplier(uint16 _pairIndex) external view returns (uint16) {
        return terms[_pairIndex].counterMultiplier;
    }

    function getPairFundingFeeParams(uint8[] calldata, uint16[] calldata _pairIndex)
        external
        view
        returns (FundingFeeParams[] memory found)
    {
        found = new FundingFeeParams[](_pairIndex.length);
        for (uint256 i; i < found.length; ++i) found[i] = terms[_pairIndex[i]].funding;
    }

    function getPairFundingFeeData(uint8[] calldata, uint16[] calldata _pairIndex)
        external
        view
        returns (PairFundingFeeData[] memory found)
    {
        found = new PairFundingFeeData[](_pairIndex.length);
        for (uint256 i; i < found.length; ++i) found[i] = fundingData[_pairIndex[i]];
    }

    function getPairBorrowingFeeParams(uint8[] calldata, uint16[] calldata _pairIndex)
        external
        view
        returns (BorrowingFeeParams[] memory found)
    {
        found = new BorrowingFeeParams[](_pairIndex.length);
        for (uint256 i; i < found.length; ++i) found[i] = terms[_pairIndex[i]].borrowing;
    }

    function getPairBorrowingFeeData(uint8[] calldata, uint16[] calldata _pairIndex)
        external
        view
        returns (PairBorrowingFeeData[] memory found)
    {
        found = new PairBorrowingFeeData[](_pairIndex.length);
        for (uint256 i; i < found.length; ++i) found[i] = borrowingData[_pairIndex[i]];
    }

    function getPairGlobalParamsArray(uint8[] calldata, uint16[] calldata _pairIndex)
        external
        view
        returns (PairGlobalParams[] memory found)
    {
        found = new PairGlobalParams[](_pairIndex.length);
        for (uint256 i; i < found.length; ++i) found[i].maxSkewCollateral = terms[_pairIndex[i]].maxSkew;
    }

    function getPairOiAfterV10Token(uint8, uint16 _pairIndex) external view returns (PairOiToken memory) {
        return interest[_pairIndex];
    }

    function getPairOisBeforeV10Collateral(uint8, uint16) external pure returns (uint256 longOi, uint256 shortOi) {
        return (0, 0);
    }

    function getPairMaxOiCollateral(uint8, uint16 _pairIndex) external view returns (uint256) {
        return terms[_pairIndex].maxOi;
    }

    function withinMaxBorrowingGroupOi(uint8, uint16, bool, uint256) external pure returns (bool) {
        return true;
    }

    function getTradingActivated() external view returns (uint8) {
        return activated;
    }

    function getMarketOrdersTimeoutBlocks() external view returns (uint16) {
        return timeoutBlocks;
    }

    function getCollateralPriceUsd(uint8) external view returns (uint256) {
        return collateralUsd();
    }

    /// @notice The old borrowing, by the block, without groups.
    function getBorrowingPairPendingAccFees(uint8, uint16 _pairIndex, uint256 _currentBlock, uint256)
        external
        view
        returns (uint64 accFeeLong, uint64 accFeeShort, uint64 pairAccFeeLongDelta, uint64 pairAccFeeShortDelta)
    {
        uint64 acc = uint64(terms[_pairIndex].oldFeePerBlock * _currentBlock);
        return (acc, acc, 0, 0);
    }

    function getTradePendingHoldingFeesCollateral(address _trader, uint32 _index, uint64 _currentPairPrice)
        external
        view
        returns (TradeHoldingFees memory tradeHoldingFees)
    {
        return holdingOf(_trader, _index, _currentPairPrice);
    }

    function getTradeLiquidationPrice(LiqPriceInput memory _input) external view returns (uint256) {
        return liquidationPrice(_input);
    }

    /// @notice Whether an order to liquidate the trade would be executed at that price of the oracle.
    function wouldLiquidate(address user, uint32 index, uint64 price) external view returns (bool) {
        return isLiquidatable(user, index, price);
    }

    function getTradeCumulVolPriceImpactP(
        address,
        uint16 _pairIndex,
        bool _long,
        uint256 _tradeOpenInterestUsd,
        bool,
        bool _open,
        uint256
    ) external view returns (int256 priceImpactP) {
        return volumeImpactOf(_pairIndex, _long, _tradeOpenInterestUsd, _open);
    }

    function getTradeSkewPriceImpactP(
        uint8,
        uint16 _pairIndex,
        bool _long,
        uint256 _positionSizeToken,
        bool _open
    ) external view returns (int256 priceImpactP) {
        return skewImpactOf(_pairIndex, _long, _positionSizeToken, _open);
    }
}
