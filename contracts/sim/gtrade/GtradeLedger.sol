// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {GtradeTypes} from "./GtradeTypes.sol";

interface IUsdFeed {
    function latestRoundData() external view returns (uint80, int256, uint256, uint256, uint80);
}

/// @title What the stand-in keeps and reckons: pairs, trades, fees, and where a trade ends
/// @notice The formulas are the ones the protocol publishes for its version 10, written anew. There is one
/// collateral, no fee tier, no borrowing group, and volume costs in proportion to its size.
abstract contract GtradeLedger is GtradeTypes {
    /// @dev Percents have 10 decimals, leverages 3, dollars and tokens 18. `volumeDepthUsd`: what moves 1 %.
    struct Terms {
        string from;
        uint256 spreadP;
        uint256 feeP;
        uint256 minSizeUsd;
        uint256 minLeverage;
        uint256 maxLeverage;
        uint16 counterMultiplier;
        uint256 maxOi;
        uint80 maxSkew;
        uint256 volumeDepthUsd;
        uint256 skewDepth;
        uint32 oldFeePerBlock;
        GroupLiquidationParams liquidation;
        FundingFeeParams funding;
        BorrowingFeeParams borrowing;
    }

    int256 internal constant YEAR = 365 days;
    uint256 internal constant LEGACY_THRESHOLD = 90e10;
    uint8 internal constant V10 = 2;

    address public immutable owner;
    address public immutable keeper;
    uint8 public immutable collateralIndex;
    Collateral internal money;
    IUsdFeed internal immutable usdFeed;
    uint8 public getTradingActivated;
    uint16 public getMarketOrdersTimeoutBlocks = 200;
    uint24 internal govFeeP = 20_000;

    mapping(uint256 pair => Terms) internal terms;
    mapping(uint256 pair => PairFundingFeeData) internal fundingData;
    mapping(uint256 pair => PairBorrowingFeeData) internal borrowingData;
    mapping(uint256 pair => PairOiToken) internal interest;
    mapping(address user => mapping(uint32 index => Trade)) internal trades;
    mapping(address user => mapping(uint32 index => TradeInfo)) internal infos;
    mapping(address user => mapping(uint32 index => GroupLiquidationParams)) internal liquidations;
    mapping(address user => mapping(uint32 index => TradeFeesData)) internal feesData;
    mapping(address user => mapping(uint32 index => uint256)) internal oldSince;
    mapping(address user => mapping(uint32 index => PendingOrder)) internal orders;
    mapping(address user => mapping(uint8 kind => Counter)) internal counters;

    constructor(address keeper_, uint8 index_, address token_, uint8 decimals_, address feed_) {
        (owner, keeper, collateralIndex, usdFeed) = (msg.sender, keeper_, index_, IUsdFeed(feed_));
        uint128 precision = uint128(10 ** decimals_);
        money = Collateral(token_, true, 0, precision, 1e18 / precision);
    }

    // --- fees ----------------------------------------------------------------------------------------------

    function getCollateralPriceUsd(uint8) public view returns (uint256) {
        (, int256 answer,,,) = usdFeed.latestRoundData();
        return uint256(answer);
    }

    function ofUsd(uint256 usd) internal view returns (uint256) {
        return usd * 1e8 / getCollateralPriceUsd(collateralIndex) / money.precisionDelta;
    }

    function tradingFee(uint256 pair, uint256 position, bool isCounter) internal view returns (uint256) {
        uint256 basis = position * (isCounter ? terms[pair].counterMultiplier : 1e3);
        uint256 least = ofUsd(terms[pair].minSizeUsd) * 1e3;
        return (basis > least ? basis : least) * terms[pair].feeP / 1e10 / 100 / 1e3;
    }

    function updateFee(uint256 pair) internal view returns (uint256) {
        return tradingFee(pair, 0, false) / 2 * govFeeP / 1e3 / 100;
    }

    function positionOf(uint256 collateral, uint256 leverage) internal pure returns (uint256) {
        return collateral * leverage / 1e3;
    }

    // --- funding and borrowing -----------------------------------------------------------------------------

    function getPairPendingAccFundingFees(uint8, uint16 _pairIndex, uint64 _currentPairPrice)
        public
        view
        returns (int128 accFundingFeeLongP, int128 accFundingFeeShortP, int56 currentFundingRatePerSecondP)
    {
        PairFundingFeeData memory data = fundingData[_pairIndex];
        if (!terms[_pairIndex].funding.fundingFeesEnabled) {
            return (data.accFundingFeeLongP, data.accFundingFeeShortP, data.lastFundingRatePerSecondP);
        }
        int256 long;
        int256 short;
        (long, short, currentFundingRatePerSecondP) = grownOf(_pairIndex, data, _currentPairPrice);
        accFundingFeeLongP = data.accFundingFeeLongP + int128(long);
        accFundingFeeShortP = data.accFundingFeeShortP - int128(short);
    }

    /// @dev Since the last update: in one span, or in two where the rate has changed its sign on the way.
    function grownOf(uint256 pair, PairFundingFeeData memory data, uint64 price)
        internal
        view
        returns (int256 long, int256 short, int56 current)
    {
        int256 last = data.lastFundingRatePerSecondP;
        int256 elapsed = int256(block.timestamp - data.lastFundingUpdateTs);
        int256 velocity = velocityOf(pair, price);
        int256 average;
        (average, current) = ratesOf(last, terms[pair].funding.absoluteRatePerSecondCap, velocity, elapsed);
        if (!terms[pair].funding.aprMultiplierEnabled || current * last >= 0) {
            (long, short) = accruedOf(pair, average, elapsed, price);
            return (long, short, current);
        }
        int256 untilZero = -last * YEAR / velocity / 1e8;
        (long, short) = accruedOf(pair, last / 2, untilZero, price);
        (int256 moreLong, int256 moreShort) = accruedOf(pair, current / 2, elapsed - untilZero, price);
        return (long + moreLong, short + moreShort, current);
    }

    function velocityOf(uint256 pair, uint256 price) internal view returns (int256) {
        FundingFeeParams memory params = terms[pair].funding;
        int256 skew = skewOf(pair);
        if (skew == 0 || params.skewCoefficientPerYear == 0 || params.absoluteVelocityPerYearCap == 0) return 0;
        int256 usd = skew * int256(price) / 1e18 * int256(getCollateralPriceUsd(collateralIndex)) / 1e8;
        int256 sign = usd < 0 ? int256(-1) : int256(1);
        if (uint256(usd * sign) < uint256(params.thetaThresholdUsd) * 1e10) return 0;
        uint256 velocity = uint256(skew * sign) * params.skewCoefficientPerYear / 1e34;
        uint256 cap = uint256(params.absoluteVelocityPerYearCap) * 1e3;
        return int256(velocity > cap ? cap : velocity) * sign;
    }

    function ratesOf(int256 last, uint256 mostPerSecond, int256 velocity, int256 elapsed)
        internal
        pure
        returns (int256 average, int56 current)
    {
        if (mostPerSecond == 0) return (0, 0);
        if (velocity == 0 || elapsed == 0) return (last, int56(last));
        int256 cap = int256(mostPerSecond) * 1e8 * (velocity < 0 ? int256(-1) : int256(1));
        if (cap == last) return (cap, int56(cap));
        int256 untilCap = (cap - last) * YEAR / velocity / 1e8;
        if (elapsed > untilCap) {
            return (((last + cap) / 2 * untilCap + cap * (elapsed - untilCap)) / elapsed, int56(cap));
        }
        current = int56(last + elapsed * velocity * 1e8 / YEAR);
        average = (last + current) / 2;
    }

    function accruedOf(uint256 pair, int256 rate, int256 elapsed, uint64 price)
        internal
        view
        returns (int256 long, int256 short)
    {
        int256 delta = rate * elapsed * int256(uint256(price)) / 1e8;
        (uint256 forLong, uint256 forShort) = multipliersOf(pair, rate);
        return (delta * int256(forLong) / 1e20, delta * int256(forShort) / 1e20);
    }

    function multipliersOf(uint256 pair, int256 rate) internal view returns (uint256 long, uint256 short) {
        if (rate == 0) return (1e20, 1e20);
        PairOiToken memory oi = interest[pair];
        bool multiplied = terms[pair].funding.aprMultiplierEnabled;
        if (oi.oiLongToken > 0) {
            long = rate < 0 && multiplied ? uint256(oi.oiShortToken) * 1e20 / oi.oiLongToken : 1e20;
        }
        if (oi.oiShortToken > 0) {
            short = rate > 0 && multiplied ? uint256(oi.oiLongToken) * 1e20 / oi.oiShortToken : 1e20;
        }
        if (long > 100e20) long = 100e20;
        if (short > 100e20) short = 100e20;
    }

    function getPairPendingAccBorrowingFees(uint8, uint16 _pairIndex, uint64 _currentPairPrice)
        public
        view
        returns (uint128 accBorrowingFeeP)
    {
        PairBorrowingFeeData memory data = borrowingData[_pairIndex];
        uint256 elapsed = block.timestamp - data.lastBorrowingUpdateTs;
        uint256 rate = terms[_pairIndex].borrowing.borrowingRatePerSecondP;
        return data.accBorrowingFeeP + uint128(rate * elapsed * _currentPairPrice);
    }

    /// @dev The old borrowing, by the block, without groups.
    function getBorrowingPairPendingAccFees(uint8, uint16 _pairIndex, uint256 _currentBlock, uint256)
        public
        view
        returns (uint64 accFeeLong, uint64 accFeeShort, uint64 pairAccFeeLongDelta, uint64 pairAccFeeShortDelta)
    {
        uint64 acc = uint64(terms[_pairIndex].oldFeePerBlock * _currentBlock);
        return (acc, acc, 0, 0);
    }

    function getTradePendingHoldingFeesCollateral(address _trader, uint32 _index, uint64 _currentPairPrice)
        public
        view
        returns (TradeHoldingFees memory tradeHoldingFees)
    {
        Trade memory t = trades[_trader][_index];
        TradeFeesData memory data = feesData[_trader][_index];
        int256 position = int256(positionOf(t.collateralAmount, t.leverage));
        if (infos[_trader][_index].contractsVersion >= V10) {
            (int128 long, int128 short,) = getPairPendingAccFundingFees(0, t.pairIndex, _currentPairPrice);
            int256 grown = int256(t.long ? long : short) - data.initialAccFundingFeeP;
            tradeHoldingFees.fundingFeeCollateral = position * grown / int256(uint256(t.openPrice)) / 1e10 / 100;
        }
        uint256 acc = getPairPendingAccBorrowingFees(0, t.pairIndex, _currentPairPrice);
        tradeHoldingFees.borrowingFeeCollateral =
            uint256(position) * (acc - data.initialAccBorrowingFeeP) / t.openPrice / 1e10 / 100;
        uint256 old = terms[t.pairIndex].oldFeePerBlock * (block.number - oldSince[_trader][_index]);
        tradeHoldingFees.borrowingFeeCollateral_old =
            uint256(t.collateralAmount) * t.leverage * old / 1e3 / 1e10 / 100;
        tradeHoldingFees.totalFeeCollateral = tradeHoldingFees.fundingFeeCollateral
            + int256(tradeHoldingFees.borrowingFeeCollateral + tradeHoldingFees.borrowingFeeCollateral_old);
    }

    function realizedOf(address user, uint32 index) internal view returns (int256) {
        TradeFeesData memory data = feesData[user][index];
        return int256(data.realizedPnlCollateral) - int256(uint256(data.realizedTradingFeesCollateral));
    }

    // --- where a trade ends --------------------------------------------------------------------------------

    function getTradeLiquidationPrice(LiqPriceInput memory _input) public view returns (uint256) {
        int256 owed;
        uint8 version = V10;
        if (!_input.beforeOpened) {
            owed = getTradePendingHoldingFeesCollateral(_input.trader, _input.index, _input.currentPairPrice)
                .totalFeeCollateral - realizedOf(_input.trader, _input.index);
            version = infos[_input.trader][_input.index].contractsVersion;
        }
        uint256 position = positionOf(_input.collateral, _input.leverage);
        int256 fees = int256(tradingFee(_input.pairIndex, position, _input.isCounterTrade))
            + owed * int256(_input.partialCloseMultiplier) / 1e18 + _input.additionalFeeCollateral;
        int256 delta = int256(uint256(money.precisionDelta));
        int256 open = int256(uint256(_input.openPrice));
        uint256 threshold = thresholdOf(_input.liquidationParams, _input.leverage);
        int256 bearable = int256(_input.collateral * threshold * money.precisionDelta * 1e3 / 100 / 1e10);
        int256 distance = open * (bearable - fees * delta * 1e3) / int256(_input.collateral)
            / int256(_input.leverage) / delta;
        if (version > 0) {
            uint256 spread = terms[_input.pairIndex].spreadP / 2;
            if (spread > _input.liquidationParams.maxLiqSpreadP) spread = _input.liquidationParams.maxLiqSpreadP;
            distance -= open * int256(spread) / 1e10 / 100;
        }
        int256 price = _input.long ? open - distance : open + distance;
        return price > 0 ? uint256(price) : 0;
    }

    function thresholdOf(GroupLiquidationParams memory params, uint256 leverage) internal pure returns (uint256) {
        if (params.maxLiqSpreadP == 0) return LEGACY_THRESHOLD;
        if (leverage <= params.startLeverage) return params.startLiqThresholdP;
        if (leverage >= params.endLeverage) return params.endLiqThresholdP;
        return params.startLiqThresholdP
            - (leverage - params.startLeverage) * (params.startLiqThresholdP - params.endLiqThresholdP)
                / (params.endLeverage - params.startLeverage);
    }

    function liquidationPriceOf(Trade memory t, uint64 price, int256 more) internal view returns (uint256) {
        return endOf(t, liquidations[t.user][t.index], price, more, 1e18, false);
    }

    function endOf(
        Trade memory t,
        GroupLiquidationParams memory params,
        uint64 price,
        int256 more,
        uint256 multiplier,
        bool beforeOpened
    ) internal view returns (uint256) {
        return getTradeLiquidationPrice(
            LiqPriceInput(
                t.collateralIndex,
                t.user,
                t.pairIndex,
                t.index,
                t.openPrice,
                t.long,
                t.collateralAmount,
                t.leverage,
                more,
                params,
                price,
                t.isCounterTrade,
                multiplier,
                beforeOpened
            )
        );
    }

    function isOver(bool long, uint256 price, uint256 end) internal pure returns (bool) {
        return long ? price <= end : price >= end;
    }

    /// @notice Whether an order to liquidate the trade would be executed at that price of the oracle.
    function wouldLiquidate(address user, uint32 index, uint64 price) public view returns (bool) {
        Trade memory t = trades[user][index];
        return t.isOpen && isOver(t.long, price, liquidationPriceOf(t, price, 0));
    }

    // --- what a size costs ---------------------------------------------------------------------------------

    function skewOf(uint256 pair) internal view returns (int256) {
        return int256(uint256(interest[pair].oiLongToken)) - int256(uint256(interest[pair].oiShortToken));
    }

    function getTradeCumulVolPriceImpactP(
        address,
        uint16 _pairIndex,
        bool _long,
        uint256 _tradeOpenInterestUsd,
        bool,
        bool _open,
        uint256
    ) public view returns (int256 priceImpactP) {
        uint256 depth = terms[_pairIndex].volumeDepthUsd;
        if (depth == 0) return 0;
        int256 impact = int256(_tradeOpenInterestUsd * 1e10 / depth / 2);
        return _long == _open ? impact : -impact;
    }

    function getTradeSkewPriceImpactP(
        uint8,
        uint16 _pairIndex,
        bool _long,
        uint256 _positionSizeToken,
        bool _open
    ) public view returns (int256 priceImpactP) {
        uint256 depth = terms[_pairIndex].skewDepth;
        if (depth == 0) return 0;
        int256 trade = int256(_positionSizeToken) * (_long == _open ? int256(1) : int256(-1));
        return (skewOf(_pairIndex) + trade / 2) * 1e10 / int256(depth) / 2;
    }

    /// @dev Of `position` (collateral) of the trade, opened or closed at `price`. `tokens` are of what closes.
    function impactOf(Trade memory t, uint64 price, uint256 position, bool open, uint256 tokens)
        internal
        view
        returns (TradePriceImpact memory output)
    {
        int256 half = int256(terms[t.pairIndex].spreadP / 2);
        output.fixedSpreadP = t.long == open ? half : -half;
        uint256 usd = position * money.precisionDelta * getCollateralPriceUsd(collateralIndex) / 1e8;
        output.cumulVolPriceImpactP =
            getTradeCumulVolPriceImpactP(t.user, t.pairIndex, t.long, usd, false, open, 0);
        output.positionSizeToken = open
            ? position * money.precisionDelta * 1e10
                / moved(price, output.fixedSpreadP + output.cumulVolPriceImpactP)
            : tokens;
        output.skewPriceImpactP =
            getTradeSkewPriceImpactP(collateralIndex, t.pairIndex, t.long, output.positionSizeToken, open);
        output.totalPriceImpactP =
            output.fixedSpreadP + output.cumulVolPriceImpactP + output.skewPriceImpactP;
        output.priceAfterImpact = moved(price, output.totalPriceImpactP);
    }

    function moved(uint64 price, int256 percent) internal pure returns (uint64) {
        int256 after_ = int256(uint256(price)) + int256(uint256(price)) * percent / 1e10 / 100;
        if (after_ <= 0) revert BelowMin();
        if (after_ > int256(uint256(type(uint64).max))) revert AboveMax();
        return uint64(uint256(after_));
    }

    function profitOf(Trade memory t, uint64 price) internal pure returns (int256 percent) {
        int256 open = int256(uint256(t.openPrice));
        int256 gained = int256(uint256(price)) - open;
        if (!t.long) gained = -gained;
        percent = gained * 100 * 1e10 * int256(uint256(t.leverage)) / open / 1e3;
        if (percent < -100e10) percent = -100e10;
    }

    /// @dev After profit, what is booked and owed, and `fees`; never below 0.
    function valueOf(Trade memory t, int256 percent, int256 fees, uint64 price) internal view returns (uint256) {
        int256 owed = getTradePendingHoldingFeesCollateral(t.user, t.index, price).totalFeeCollateral
            - realizedOf(t.user, t.index);
        int256 delta = int256(uint256(money.precisionDelta));
        int256 posted = int256(uint256(t.collateralAmount)) * delta;
        int256 value = (posted + posted * percent / 1e10 / 100) / delta - owed - fees;
        return value > 0 ? uint256(value) : 0;
    }
}
