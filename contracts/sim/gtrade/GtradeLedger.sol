// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {GtradeTypes} from "./GtradeTypes.sol";

interface IUsdFeed {
    function latestRoundData() external view returns (uint80, int256, uint256, uint256, uint80);
}

interface IToken {
    function transferFrom(address from, address to, uint256 amount) external returns (bool);
    function transfer(address to, uint256 amount) external returns (bool);
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

    address internal immutable owner;
    address internal immutable keeper;
    uint8 internal immutable collateralIndex;
    Collateral internal money;
    IUsdFeed internal immutable usdFeed;
    uint8 internal activated;
    uint16 internal timeoutBlocks = 200;
    uint24 internal govFeeP = 20_000;

    /// @dev Where the diamond's other functions are.
    mapping(bytes4 selector => address) internal facets;
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

    function collateralUsd() internal view returns (uint256) {
        (, int256 answer,,,) = usdFeed.latestRoundData();
        return uint256(answer);
    }

    function ofUsd(uint256 usd) internal view returns (uint256) {
        return usd * 1e8 / collateralUsd() / money.precisionDelta;
    }

    function tradingFee(uint256 pair, uint256 position, bool isCounter) internal view returns (uint256) {
        uint256 basis = position * (isCounter ? terms[pair].counterMultiplier : 1e3);
        uint256 least = ofUsd(terms[pair].minSizeUsd) * 1e3;
        return (basis > least ? basis : least) * terms[pair].feeP / 1e10 / 100 / 1e3;
    }

    function minFeeUsd(uint256 pair) internal view returns (uint256) {
        return terms[pair].minSizeUsd * terms[pair].feeP / 1e10 / 100;
    }

    function updateFee(uint256 pair) internal view returns (uint256) {
        return tradingFee(pair, 0, false) / 2 * govFeeP / 1e3 / 100;
    }

    function positionOf(uint256 collateral, uint256 leverage) internal pure returns (uint256) {
        return collateral * leverage / 1e3;
    }

    // --- funding and borrowing -----------------------------------------------------------------------------

    function fundingOf(uint16 _pairIndex, uint64 _currentPairPrice)
        internal
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
        int256 usd = skew * int256(price) / 1e18 * int256(collateralUsd()) / 1e8;
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

    function borrowingOf(uint16 _pairIndex, uint64 _currentPairPrice)
        internal
        view
        returns (uint128 accBorrowingFeeP)
    {
        PairBorrowingFeeData memory data = borrowingData[_pairIndex];
        uint256 elapsed = block.timestamp - data.lastBorrowingUpdateTs;
        uint256 rate = terms[_pairIndex].borrowing.borrowingRatePerSecondP;
        return data.accBorrowingFeeP + uint128(rate * elapsed * _currentPairPrice);
    }

    function holdingOf(address _trader, uint32 _index, uint64 _currentPairPrice)
        internal
        view
        returns (TradeHoldingFees memory tradeHoldingFees)
    {
        Trade memory t = trades[_trader][_index];
        TradeFeesData memory data = feesData[_trader][_index];
        int256 position = int256(positionOf(t.collateralAmount, t.leverage));
        if (infos[_trader][_index].contractsVersion >= V10) {
            (int128 long, int128 short,) = fundingOf(t.pairIndex, _currentPairPrice);
            int256 grown = int256(t.long ? long : short) - data.initialAccFundingFeeP;
            tradeHoldingFees.fundingFeeCollateral = position * grown / int256(uint256(t.openPrice)) / 1e10 / 100;
        }
        uint256 acc = borrowingOf(t.pairIndex, _currentPairPrice);
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

    function liquidationPrice(LiqPriceInput memory _input) internal view returns (uint256) {
        int256 owed;
        uint8 version = V10;
        if (!_input.beforeOpened) {
            owed = holdingOf(_input.trader, _input.index, _input.currentPairPrice)
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
        return liquidationPrice(
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
    function isLiquidatable(address user, uint32 index, uint64 price) internal view returns (bool) {
        Trade memory t = trades[user][index];
        return t.isOpen && isOver(t.long, price, liquidationPriceOf(t, price, 0));
    }

    // --- what a size costs ---------------------------------------------------------------------------------

    function skewOf(uint256 pair) internal view returns (int256) {
        return int256(uint256(interest[pair].oiLongToken)) - int256(uint256(interest[pair].oiShortToken));
    }

    function volumeImpactOf(
        uint16 _pairIndex,
        bool _long,
        uint256 _tradeOpenInterestUsd,
        bool _open
    ) internal view returns (int256 priceImpactP) {
        uint256 depth = terms[_pairIndex].volumeDepthUsd;
        if (depth == 0) return 0;
        int256 impact = int256(_tradeOpenInterestUsd * 1e10 / depth / 2);
        return _long == _open ? impact : -impact;
    }

    function skewImpactOf(
        uint16 _pairIndex,
        bool _long,
        uint256 _positionSizeToken,
        bool _open
    ) internal view returns (int256 priceImpactP) {
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
        uint256 usd = position * money.precisionDelta * collateralUsd() / 1e8;
        output.cumulVolPriceImpactP =
            volumeImpactOf(t.pairIndex, t.long, usd, open);
        output.positionSizeToken = open
            ? position * money.precisionDelta * 1e10
                / moved(price, output.fixedSpreadP + output.cumulVolPriceImpactP)
            : tokens;
        output.skewPriceImpactP =
            skewImpactOf(t.pairIndex, t.long, output.positionSizeToken, open);
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
        int256 owed = holdingOf(t.user, t.index, price).totalFeeCollateral
            - realizedOf(t.user, t.index);
        int256 delta = int256(uint256(money.precisionDelta));
        int256 posted = int256(uint256(t.collateralAmount)) * delta;
        int256 value = (posted + posted * percent / 1e10 / 100) / delta - owed - fees;
        return value > 0 ? uint256(value) : 0;
    }

    // --- parts ---------------------------------------------------------------------------------------------

    function done(PendingOrder memory o) internal {
        orders[o.user][o.index].isOpen = false;
        counters[o.user][1].openCount--;
    }

    function within(bool buys, uint256 price, uint256 expected, uint256 slippage) internal pure returns (bool) {
        uint256 most = expected * slippage / 100 / 1e3;
        return buys ? price <= expected + most : price >= expected - most;
    }

    function slippageOf(Trade memory t) internal view returns (uint256) {
        uint16 own_ = infos[t.user][t.index].maxSlippageP;
        return own_ > 0 ? own_ : 1e3;
    }

    function copyOf(Trade memory t) internal pure returns (Trade memory) {
        return abi.decode(abi.encode(t), (Trade));
    }

    /// @dev Writes down what has accrued in the pair; before its open interest or its rates change.
    function book(uint16 pair, uint64 price) internal {
        (int128 long, int128 short, int56 rate) = fundingOf(pair, price);
        fundingData[pair] = PairFundingFeeData(long, short, rate, uint32(block.timestamp), 0);
        uint128 acc = borrowingOf(pair, price);
        borrowingData[pair] = PairBorrowingFeeData(acc, uint32(block.timestamp), 0);
    }

    function reset(Trade memory t) internal {
        TradeFeesData storage data = feesData[t.user][t.index];
        PairFundingFeeData memory pair = fundingData[t.pairIndex];
        data.initialAccFundingFeeP = t.long ? pair.accFundingFeeLongP : pair.accFundingFeeShortP;
        data.initialAccBorrowingFeeP = borrowingData[t.pairIndex].accBorrowingFeeP;
        oldSince[t.user][t.index] = block.number;
    }

    function realize(Trade memory t, uint64 price) internal {
        int256 owed = holdingOf(t.user, t.index, price).totalFeeCollateral;
        TradeFeesData storage data = feesData[t.user][t.index];
        if (owed > 0) data.realizedTradingFeesCollateral += uint128(uint256(owed));
        else data.realizedPnlCollateral -= int128(owed);
        book(t.pairIndex, price);
        reset(t);
    }

    function charge(Trade memory t, uint256 fee) internal {
        feesData[t.user][t.index].realizedTradingFeesCollateral += uint128(fee);
    }

    function save(Trade memory t, OrderType kind, bool isPnlPositive) internal {
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

    function add(uint256 pair, bool long, uint256 tokens) internal {
        if (long) interest[pair].oiLongToken += uint128(tokens);
        else interest[pair].oiShortToken += uint128(tokens);
    }

    function remove(uint256 pair, bool long, uint256 tokens) internal {
        if (long) interest[pair].oiLongToken -= uint128(tokens);
        else interest[pair].oiShortToken -= uint128(tokens);
    }

    function pay(address to, uint256 amount) internal {
        if (amount > 0) IToken(money.collateral).transfer(to, amount);
    }

    function bounds(Trade memory t, uint64 price, uint256 end, uint256 next) internal pure returns (CancelReason) {
        bool over = isOver(t.long, price, end) || isOver(t.long, price, next);
        return over ? CancelReason.LIQ_REACHED : CancelReason.NONE;
    }

    function effectiveOf(Trade memory next, uint64 price, uint256 fee) internal view returns (uint256) {
        uint256 position = positionOf(next.collateralAmount, next.leverage);
        uint64 after_ = impactOf(next, price, position, false, next.positionSizeToken).priceAfterImpact;
        int256 fees = int256(tradingFee(next.pairIndex, position, next.isCounterTrade) + fee);
        uint256 value = valueOf(next, profitOf(next, after_), fees, price);
        return value == 0 ? type(uint24).max : position * price / next.openPrice * 1e3 / value;
    }

    modifier only(address who) {
        if (msg.sender != who) revert NotAuthorized();
        _;
    }
}
