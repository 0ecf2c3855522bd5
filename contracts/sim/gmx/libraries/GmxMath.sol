// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {GmxStore} from "../GmxStore.sol";
import {Market, MarketPrices, NextFunding, Position, Price} from "../GmxTypes.sol";
import {GmxKeys} from "./GmxKeys.sol";

/// @title What a GMX v2 market owes, charges and demands, for the local chain
/// @dev The public formulas with two things left out: exponents other than one, and markets of one token.
library GmxMath {
    uint256 internal constant ONE = 1e30;
    uint256 internal constant PER_SIZE = 1e45;

    error Overflow();

    struct Check {
        int256 remainingUsd;
        int256 minUsd;
        int256 minUsdForLeverage;
        int256 impactUsd;
        bool improved;
        uint256 fundingAmount;
        uint256 borrowingUsd;
    }

    struct Flow {
        uint256 usd;
        uint256 paying;
        uint256 earning;
    }

    // --- prices ----------------------------------------------------------------------------------------

    function priceOf(address token, Market memory market, MarketPrices memory prices)
        internal
        pure
        returns (Price memory)
    {
        if (token == market.longToken) return prices.longTokenPrice;
        if (token == market.shortToken) return prices.shortTokenPrice;
        return prices.indexTokenPrice;
    }

    function mid(Price memory price) internal pure returns (uint256) {
        return (price.min + price.max) / 2;
    }

    /// @dev a * b / c rounded down, where a * b may be larger than a word. Reverts if the result is.
    function mulDiv(uint256 a, uint256 b, uint256 c) internal pure returns (uint256 result) {
        unchecked {
            uint256 rest = mulmod(a, b, type(uint256).max);
            uint256 low = a * b;
            uint256 high = rest - low - (rest < low ? 1 : 0);
            if (high == 0) return low / c;
            if (high >= c) revert Overflow();
            uint256 remainder = mulmod(a, b, c);
            if (remainder > low) high -= 1;
            low -= remainder;
            uint256 two = c & (~c + 1); // the power of two in c
            c /= two;
            low = low / two | high * ((~two + 1) / two + 1); // 2**256 / two
            uint256 inverse = 3 * c ^ 2;
            for (uint256 i; i < 6; i++) {
                inverse *= 2 - c * inverse;
            }
            return low * inverse;
        }
    }

    function mulUp(uint256 a, uint256 b, uint256 c) internal pure returns (uint256 result) {
        result = mulDiv(a, b, c);
        if (mulmod(a, b, c) != 0) result += 1;
    }

    function divUp(uint256 a, uint256 b) internal pure returns (uint256) {
        return a == 0 ? 0 : (a - 1) / b + 1;
    }

    // --- open interest ---------------------------------------------------------------------------------

    function interestOf(GmxStore store, Market memory market, address collateral, bool isLong)
        internal
        view
        returns (uint256)
    {
        return store.getUint(GmxKeys.at("OPEN_INTEREST", market.marketToken, collateral, isLong));
    }

    function interest(GmxStore store, Market memory market, bool isLong) internal view returns (uint256) {
        return interestOf(store, market, market.longToken, isLong)
            + interestOf(store, market, market.shortToken, isLong);
    }

    function interestInTokens(GmxStore store, Market memory market, bool isLong)
        internal
        view
        returns (uint256)
    {
        return store.getUint(
            GmxKeys.at("OPEN_INTEREST_IN_TOKENS", market.marketToken, market.longToken, isLong)
        ) + store.getUint(GmxKeys.at("OPEN_INTEREST_IN_TOKENS", market.marketToken, market.shortToken, isLong));
    }

    /// @dev As imbalances are measured: by today's worth of the tokens where the protocol says so.
    function balanceOf(GmxStore store, Market memory market, Price memory index, bool isLong)
        internal
        view
        returns (uint256)
    {
        if (store.getBool(GmxKeys.at("USE_OPEN_INTEREST_IN_TOKENS_FOR_BALANCE"))) {
            return interestInTokens(store, market, isLong) * mid(index);
        }
        return interest(store, market, isLong);
    }

    function poolUsd(GmxStore store, Market memory market, MarketPrices memory prices, bool isLong)
        internal
        view
        returns (uint256)
    {
        address token = isLong ? market.longToken : market.shortToken;
        Price memory price = isLong ? prices.longTokenPrice : prices.shortTokenPrice;
        return store.getUint(GmxKeys.at("POOL_AMOUNT", market.marketToken, token)) * price.min;
    }

    function reservedUsd(GmxStore store, Market memory market, MarketPrices memory prices, bool isLong)
        internal
        view
        returns (uint256)
    {
        return isLong
            ? interestInTokens(store, market, true) * prices.indexTokenPrice.max
            : interest(store, market, false);
    }

    // --- borrowing -------------------------------------------------------------------------------------

    function borrowingPerSecond(GmxStore store, Market memory market, MarketPrices memory prices, bool isLong)
        internal
        view
        returns (uint256)
    {
        uint256 reserved = reservedUsd(store, market, prices, isLong);
        if (reserved == 0) return 0;
        if (store.getBool(GmxKeys.at("SKIP_BORROWING_FEE_FOR_SMALLER_SIDE"))) {
            uint256 own = balanceOf(store, market, prices.indexTokenPrice, isLong);
            if (own < balanceOf(store, market, prices.indexTokenPrice, !isLong)) return 0;
        }
        uint256 pool = poolUsd(store, market, prices, isLong);
        uint256 optimal = store.getUint(GmxKeys.at("OPTIMAL_USAGE_FACTOR", market.marketToken, isLong));
        if (optimal == 0) {
            uint256 plain = store.getUint(GmxKeys.at("BORROWING_FACTOR", market.marketToken, isLong));
            return reserved * ONE / pool * plain / ONE;
        }
        uint256 most =
            pool * store.getUint(GmxKeys.at("OPEN_INTEREST_RESERVE_FACTOR", market.marketToken, isLong)) / ONE;
        uint256 usage = reserved * ONE / most;
        uint256 base = store.getUint(GmxKeys.at("BASE_BORROWING_FACTOR", market.marketToken, isLong));
        uint256 rate = usage * base / ONE;
        if (usage > optimal && ONE > optimal) {
            uint256 above =
                store.getUint(GmxKeys.at("ABOVE_OPTIMAL_USAGE_BORROWING_FACTOR", market.marketToken, isLong));
            if (above > base) rate += (above - base) * (usage - optimal) / (ONE - optimal);
        }
        return rate;
    }

    function nextBorrowing(GmxStore store, Market memory market, MarketPrices memory prices, bool isLong)
        internal
        view
        returns (uint256)
    {
        bytes32 key = GmxKeys.at("CUMULATIVE_BORROWING_FACTOR", market.marketToken, isLong);
        uint256 since = store.getUint(
            GmxKeys.at("CUMULATIVE_BORROWING_FACTOR_UPDATED_AT", market.marketToken, isLong)
        );
        uint256 seconds_ = since == 0 ? 0 : block.timestamp - since;
        return store.getUint(key) + seconds_ * borrowingPerSecond(store, market, prices, isLong);
    }

    // --- funding ---------------------------------------------------------------------------------------

    function nextRate(GmxStore store, Market memory market, Price memory index, uint256 seconds_)
        internal
        view
        returns (uint256 rate, bool longsPay, int256 saved)
    {
        uint256 long = balanceOf(store, market, index, true);
        uint256 short = balanceOf(store, market, index, false);
        uint256 skew = (long > short ? long - short : short - long) * ONE / (long + short);
        address id = market.marketToken;
        uint256 increase = store.getUint(GmxKeys.at("FUNDING_INCREASE_FACTOR_PER_SECOND", id));
        uint256 most = store.getUint(GmxKeys.at("MAX_FUNDING_FACTOR_PER_SECOND", id));
        if (increase == 0) {
            rate = skew * store.getUint(GmxKeys.at("FUNDING_FACTOR", id)) / ONE;
            return (rate > most ? most : rate, skew == 0 || long > short, 0);
        }
        saved = store.getInt(GmxKeys.at("SAVED_FUNDING_FACTOR_PER_SECOND", id));
        bool goesOn = (saved > 0 && long > short) || (saved < 0 && short > long);
        if (!goesOn || skew > store.getUint(GmxKeys.at("THRESHOLD_FOR_STABLE_FUNDING", id))) {
            int256 step = int256(skew * increase / ONE * seconds_);
            saved += long < short ? -step : step;
        } else if (skew < store.getUint(GmxKeys.at("THRESHOLD_FOR_DECREASE_FUNDING", id)) && saved != 0) {
            int256 step =
                int256(store.getUint(GmxKeys.at("FUNDING_DECREASE_FACTOR_PER_SECOND", id)) * seconds_);
            int256 size = saved > 0 ? saved : -saved;
            int256 left = size <= step ? int256(1) : size - step;
            saved = saved > 0 ? left : -left;
        }
        int256 least = int256(store.getUint(GmxKeys.at("MIN_FUNDING_FACTOR_PER_SECOND", id)));
        saved = bound(saved, 0, int256(most));
        int256 paid = bound(saved, least, int256(most));
        return (uint256(paid > 0 ? paid : -paid), paid > 0, saved);
    }

    function bound(int256 value, int256 least, int256 most) internal pure returns (int256) {
        int256 size = value > 0 ? value : -value;
        if (size < least) size = least;
        if (size > most) size = most;
        return value < 0 ? -size : size;
    }

    function nextFunding(GmxStore store, Market memory market, MarketPrices memory prices)
        internal
        view
        returns (NextFunding memory next)
    {
        uint256 long = interest(store, market, true);
        uint256 short = interest(store, market, false);
        if (long == 0 || short == 0) return next;
        uint256 since = store.getUint(GmxKeys.at("FUNDING_UPDATED_AT", market.marketToken));
        uint256 seconds_ = since == 0 ? 0 : block.timestamp - since;
        (next.fundingFactorPerSecond, next.longsPayShorts, next.nextSavedFundingFactorPerSecond) =
            nextRate(store, market, prices.indexTokenPrice, seconds_);
        Flow memory flow = Flow({
            usd: (next.longsPayShorts ? long : short) * (seconds_ * next.fundingFactorPerSecond) / ONE,
            paying: next.longsPayShorts ? long : short,
            earning: next.longsPayShorts ? short : long
        });
        _spread(store, market, prices, next, flow);
    }

    function _spread(
        GmxStore store,
        Market memory market,
        MarketPrices memory prices,
        NextFunding memory next,
        Flow memory flow
    ) private view {
        uint256 own = interestOf(store, market, market.longToken, next.longsPayShorts);
        (uint256 fee, uint256 claim) = _shares(flow, own, prices.longTokenPrice.max);
        own = interestOf(store, market, market.shortToken, next.longsPayShorts);
        (uint256 fee2, uint256 claim2) = _shares(flow, own, prices.shortTokenPrice.max);
        if (next.longsPayShorts) {
            (next.fundingFeeAmountPerSizeDelta.long.longToken, next.fundingFeeAmountPerSizeDelta.long.shortToken) =
                (fee, fee2);
            (
                next.claimableFundingAmountPerSizeDelta.short.longToken,
                next.claimableFundingAmountPerSizeDelta.short.shortToken
            ) = (claim, claim2);
        } else {
            (
                next.fundingFeeAmountPerSizeDelta.short.longToken,
                next.fundingFeeAmountPerSizeDelta.short.shortToken
            ) = (fee, fee2);
            (
                next.claimableFundingAmountPerSizeDelta.long.longToken,
                next.claimableFundingAmountPerSizeDelta.long.shortToken
            ) = (claim, claim2);
        }
    }

    /// @dev What one unit of size pays and earns in the collateral of which `own` of the paying side is open.
    function _shares(Flow memory flow, uint256 own, uint256 price)
        private
        pure
        returns (uint256 fee, uint256 claim)
    {
        uint256 part = mulDiv(flow.usd, own, flow.paying);
        if (part == 0) return (0, 0);
        return (divUp(mulUp(part, PER_SIZE, own), price), mulDiv(part, PER_SIZE, flow.earning) / price);
    }

    // --- impact ----------------------------------------------------------------------------------------

    function impact(
        GmxStore store,
        Market memory market,
        Price memory index,
        int256 sizeUsd,
        int256 sizeTokens,
        bool isLong
    ) internal view returns (int256 usd, bool improved) {
        uint256 long = balanceOf(store, market, index, true);
        uint256 short = balanceOf(store, market, index, false);
        if (store.getBool(GmxKeys.at("USE_OPEN_INTEREST_IN_TOKENS_FOR_BALANCE"))) {
            sizeUsd = sizeTokens * int256(mid(index));
        }
        return isLong
            ? _between(store, market.marketToken, long, short, _moved(long, sizeUsd), short)
            : _between(store, market.marketToken, long, short, long, _moved(short, sizeUsd));
    }

    function _between(
        GmxStore store,
        address id,
        uint256 long,
        uint256 short,
        uint256 nextLong,
        uint256 nextShort
    ) private view returns (int256 usd, bool improved) {
        uint256 before = long > short ? long - short : short - long;
        uint256 later = nextLong > nextShort ? nextLong - nextShort : nextShort - nextLong;
        bool stays = (long <= short) == (nextLong <= nextShort);
        (uint256 good, uint256 bad) = factors(store, "POSITION_IMPACT_FACTOR", id);
        improved = later < before;
        if (!stays) return (int256(_worth(before, good)) - int256(_worth(later, bad)), improved);
        uint256 factor = improved ? good : bad;
        (uint256 a, uint256 b) = (_worth(before, factor), _worth(later, factor));
        return (improved ? int256(a - b) : -int256(b - a), improved);
    }

    /// @dev Of a pair of factors, the one for improvements is never the larger.
    function factors(GmxStore store, string memory name, address id)
        internal
        view
        returns (uint256 good, uint256 bad)
    {
        good = store.getUint(GmxKeys.at(name, id, true));
        bad = store.getUint(GmxKeys.at(name, id, false));
        if (good > bad) good = bad;
    }

    function capped(GmxStore store, address id, int256 impactUsd, uint256 sizeUsd)
        internal
        view
        returns (int256)
    {
        if (impactUsd < 0) return impactUsd;
        (uint256 good,) = factors(store, "MAX_POSITION_IMPACT_FACTOR", id);
        int256 most = int256(sizeUsd * good / ONE);
        return impactUsd > most ? most : impactUsd;
    }

    function _moved(uint256 value, int256 delta) private pure returns (uint256) {
        if (delta >= 0) return value + uint256(delta);
        return uint256(-delta) > value ? 0 : value - uint256(-delta);
    }

    function _worth(uint256 usd, uint256 factor) private pure returns (uint256) {
        return usd < ONE ? 0 : usd * factor / ONE;
    }

    // --- a position ------------------------------------------------------------------------------------

    function profit(GmxStore store, Market memory market, MarketPrices memory prices, Position memory held)
        internal
        view
        returns (int256 usd, int256 uncapped)
    {
        bool isLong = held.flags.isLong;
        Price memory index = prices.indexTokenPrice;
        usd = _gain(held.numbers.sizeInTokens, held.numbers.sizeInUsd, isLong ? index.min : index.max, isLong);
        uncapped = usd;
        if (usd <= 0) return (usd, uncapped);
        int256 all = _gain(
            interestInTokens(store, market, isLong),
            interest(store, market, isLong),
            isLong ? index.max : index.min,
            isLong
        );
        int256 most = int256(
            poolUsd(store, market, prices, isLong)
                * store.getUint(
                    GmxKeys.at("MAX_PNL_FACTOR", "MAX_PNL_FACTOR_FOR_TRADERS", market.marketToken, isLong)
                ) / ONE
        );
        if (all > most && most > 0) usd = usd * most / all;
    }

    function _gain(uint256 tokens, uint256 usd, uint256 price, bool isLong) private pure returns (int256) {
        return isLong ? int256(tokens * price) - int256(usd) : int256(usd) - int256(tokens * price);
    }

    function feePerSize(GmxStore store, Market memory market, address collateral, bool isLong)
        internal
        view
        returns (uint256)
    {
        return store.getUint(
            GmxKeys.at("FUNDING_FEE_AMOUNT_PER_SIZE", market.marketToken, collateral, isLong)
        );
    }

    function claimPerSize(GmxStore store, Market memory market, address token, bool isLong)
        internal
        view
        returns (uint256)
    {
        return
            store.getUint(GmxKeys.at("CLAIMABLE_FUNDING_AMOUNT_PER_SIZE", market.marketToken, token, isLong));
    }

    /// @dev What the liquidation handler looks at, once funding and borrowing are up to date in the store.
    function check(GmxStore store, Market memory market, MarketPrices memory prices, Position memory held)
        internal
        view
        returns (bool liquidatable, string memory reason, Check memory found)
    {
        (found.impactUsd, found.improved) = impact(
            store,
            market,
            prices.indexTokenPrice,
            -int256(held.numbers.sizeInUsd),
            -int256(held.numbers.sizeInTokens),
            held.flags.isLong
        );
        found.impactUsd = _liquidationImpact(store, market, prices, held, found.impactUsd);
        (int256 gain,) = profit(store, market, prices, held);
        found.remainingUsd = gain + found.impactUsd + _kept(store, market, prices, held, found);
        found.minUsd = int256(store.getUint(GmxKeys.at("MIN_COLLATERAL_USD")));
        found.minUsdForLeverage = int256(
            held.numbers.sizeInUsd
                * store.getUint(GmxKeys.at("MIN_COLLATERAL_FACTOR_FOR_LIQUIDATION", market.marketToken)) / ONE
        );
        if (found.remainingUsd < found.minUsd) return (true, "min collateral", found);
        if (found.remainingUsd <= 0) return (true, "< 0", found);
        if (found.remainingUsd < found.minUsdForLeverage) return (true, "min collateral for leverage", found);
        return (false, "", found);
    }

    /// @dev The collateral's worth less what the position would be charged.
    function _kept(
        GmxStore store,
        Market memory market,
        MarketPrices memory prices,
        Position memory held,
        Check memory found
    ) private view returns (int256) {
        uint256 size = held.numbers.sizeInUsd;
        uint256 price = priceOf(held.addresses.collateralToken, market, prices).min;
        found.fundingAmount = mulUp(
            size,
            feePerSize(store, market, held.addresses.collateralToken, held.flags.isLong)
                - held.numbers.fundingFeeAmountPerSize,
            PER_SIZE
        );
        bytes32 key = GmxKeys.at("CUMULATIVE_BORROWING_FACTOR", market.marketToken, held.flags.isLong);
        found.borrowingUsd = size * (store.getUint(key) - held.numbers.borrowingFactor) / ONE;
        key = GmxKeys.at("POSITION_FEE_FACTOR", market.marketToken, found.improved);
        uint256 cost = size * store.getUint(key) / ONE / price + found.borrowingUsd / price + found.fundingAmount;
        return int256(held.numbers.collateralAmount * price) - int256(cost * price);
    }

    function _liquidationImpact(
        GmxStore store,
        Market memory market,
        MarketPrices memory prices,
        Position memory held,
        int256 usd
    ) private view returns (int256) {
        uint256 size = held.numbers.sizeInUsd;
        int256 pending = held.numbers.pendingImpactAmount;
        usd = capped(store, market.marketToken, usd, size)
            + pending * int256(pending > 0 ? prices.indexTokenPrice.min : prices.indexTokenPrice.max);
        if (usd >= 0) return 0;
        int256 least = -int256(
            size
                * store.getUint(GmxKeys.at("MAX_POSITION_IMPACT_FACTOR_FOR_LIQUIDATIONS", market.marketToken))
                / ONE
        );
        return usd < least ? least : usd;
    }
}
