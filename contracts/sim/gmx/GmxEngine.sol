// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Change, GmxEvents} from "./GmxEvents.sol";
import {GmxMarkets} from "./GmxMarkets.sol";
import {GmxPriceProvider} from "./GmxPriceProvider.sol";
import {GmxStore} from "./GmxStore.sol";
import {Market, MarketPrices, NextFunding, Order, Position, Price, SetPricesParams} from "./GmxTypes.sol";
import {IToken} from "./GmxVault.sol";
import {GmxKeys} from "./libraries/GmxKeys.sol";
import {GmxMath} from "./libraries/GmxMath.sol";

/// @title The local chain's stand-in for GMX v2's positions and its LiquidationHandler
/// @dev Holds the pools. No swaps, and no fees to anybody but the pool.
contract GmxEngine {
    uint8 private constant MARKET_INCREASE = 2;
    uint8 private constant LIMIT_INCREASE = 3;
    uint8 private constant MARKET_DECREASE = 4;
    uint8 private constant STOP_LOSS = 6;
    uint8 private constant LIQUIDATION = 7;
    uint8 private constant STOP_INCREASE = 8;
    uint256 private constant ONE = 1e30;

    struct Fill {
        bytes32 key;
        Market market;
        MarketPrices prices;
        Order order;
        Position held;
        bytes32 positionKey;
        Price collateralPrice;
        GmxMath.Check check;
        uint256 sizeUsd;
        uint256 sizeTokens;
        int256 collateralDelta;
        int256 impactUsd;
        int256 impactAmount;
        int256 gainUsd;
        int256 uncappedUsd;
        uint256 executionPrice;
        bool ignoresLimit;
    }

    GmxStore public immutable dataStore;
    GmxEvents public immutable eventEmitter;
    GmxPriceProvider public immutable prices;
    GmxMarkets public immutable book;
    address public immutable owner;
    address public immutable keeper;
    address public handler;
    address[] private markets;
    mapping(address marketToken => Market) private marketOf;
    mapping(bytes32 key => Position) private positions;

    error Unauthorized(address msgSender, string role);
    error EmptyPosition();
    error OrderNotFulfillableAtAcceptablePrice(uint256 price, uint256 acceptablePrice);
    error InvalidOrderPrices(
        uint256 primaryPriceMin, uint256 primaryPriceMax, uint256 triggerPrice, uint256 orderType
    );
    error InvalidDecreaseOrderSize(uint256 sizeDeltaUsd, uint256 positionSizeInUsd);
    error InsufficientCollateralUsd(int256 remainingCollateralUsd);
    error InsufficientFundsToPayForCosts(uint256 remainingCostUsd, string step);
    error MaxOpenInterestExceeded(uint256 openInterest, uint256 maxOpenInterest);
    error InsufficientReserveForOpenInterest(uint256 reservedUsd, uint256 maxReservedUsd);
    error LiquidatablePosition(
        string reason, int256 remainingCollateralUsd, int256 minCollateralUsd, int256 minCollateralUsdForLeverage
    );
    error PositionShouldNotBeLiquidated(
        string reason, int256 remainingCollateralUsd, int256 minCollateralUsd, int256 minCollateralUsdForLeverage
    );
    error InsufficientOutputAmount(uint256 outputAmount, uint256 minOutputAmount);

    constructor(
        GmxStore dataStore_,
        GmxEvents eventEmitter_,
        GmxPriceProvider prices_,
        GmxMarkets book_,
        address keeper_
    ) {
        (dataStore, eventEmitter, prices, book) = (dataStore_, eventEmitter_, prices_, book_);
        (keeper, owner) = (keeper_, msg.sender);
    }

    modifier onlyKeeper() {
        if (msg.sender != keeper) revert Unauthorized(msg.sender, "LIQUIDATION_KEEPER");
        _;
    }

    function serve(address handler_) external {
        if (msg.sender != owner) revert Unauthorized(msg.sender, "OWNER");
        handler = handler_;
    }

    function addMarket(Market calldata market) external {
        if (msg.sender != owner) revert Unauthorized(msg.sender, "OWNER");
        markets.push(market.marketToken);
        marketOf[market.marketToken] = market;
        bytes32 updated = GmxKeys.at("FUNDING_UPDATED_AT", market.marketToken);
        dataStore.setUint(updated, block.timestamp);
        for (uint256 side; side < 2; side++) {
            bytes32 key = GmxKeys.at("CUMULATIVE_BORROWING_FACTOR_UPDATED_AT", market.marketToken, side == 0);
            dataStore.setUint(key, block.timestamp);
        }
    }

    /// @notice Takes `amount` of one of the market's tokens from the caller into the pool.
    function fund(address marketToken, address token, uint256 amount) external {
        IToken(token).transferFrom(msg.sender, address(this), amount);
        _addUint(GmxKeys.at("POOL_AMOUNT", marketToken, token), int256(amount));
    }

    function marketKeys() external view returns (address[] memory) {
        return markets;
    }

    function marketAt(address marketToken) external view returns (Market memory) {
        return marketOf[marketToken];
    }

    function positionAt(bytes32 key) external view returns (Position memory) {
        return positions[key];
    }

    function executeLiquidation(
        address account,
        address market,
        address collateralToken,
        bool isLong,
        SetPricesParams calldata oracleParams
    ) external onlyKeeper {
        Fill memory f;
        f.key = keccak256(abi.encode("liquidation", block.number, account, market, collateralToken, isLong));
        f.order.addresses.account = account;
        f.order.addresses.receiver = account;
        f.order.addresses.market = market;
        f.order.addresses.initialCollateralToken = collateralToken;
        f.order.numbers.orderType = LIQUIDATION;
        f.order.flags.isLong = isLong;
        _prepare(f, oracleParams);
        if (f.held.numbers.sizeInUsd == 0) revert EmptyPosition();
        f.order.numbers.sizeDeltaUsd = f.held.numbers.sizeInUsd;
        f.sizeUsd = f.held.numbers.sizeInUsd;
        f.ignoresLimit = true;
        (bool liquidatable, string memory reason, GmxMath.Check memory found) =
            book.check(f.market, f.prices, f.held);
        if (!liquidatable) {
            revert PositionShouldNotBeLiquidated(
                reason, found.remainingUsd, found.minUsd, found.minUsdForLeverage
            );
        }
        _decrease(f);
    }

    /// @notice Fills `share` (at most 1e30) of an order whose collateral has come in. All or nothing.
    function fill(
        bytes32 key,
        Order calldata order,
        SetPricesParams calldata oracleParams,
        uint256 share,
        bool ignoresLimit
    ) external {
        if (msg.sender != handler) revert Unauthorized(msg.sender, "CONTROLLER");
        Fill memory f;
        f.key = key;
        f.order = order;
        f.ignoresLimit = ignoresLimit;
        _prepare(f, oracleParams);
        _requireTrigger(f);
        f.sizeUsd = order.numbers.sizeDeltaUsd * share / ONE;
        if (_isIncrease(order.numbers.orderType)) _increase(f);
        else _decrease(f);
    }

    function _prepare(Fill memory f, SetPricesParams calldata oracleParams) private {
        f.market = marketOf[f.order.addresses.market];
        f.prices.indexTokenPrice = _price(f.market.indexToken, oracleParams);
        f.prices.longTokenPrice = _price(f.market.longToken, oracleParams);
        f.prices.shortTokenPrice = _price(f.market.shortToken, oracleParams);
        address token = f.order.addresses.initialCollateralToken;
        f.collateralPrice = GmxMath.priceOf(token, f.market, f.prices);
        f.positionKey = keccak256(
            abi.encode(f.order.addresses.account, f.market.marketToken, token, f.order.flags.isLong)
        );
        f.held = positions[f.positionKey];
        _accrue(f.market, f.prices);
    }

    function _price(address token, SetPricesParams calldata given) private view returns (Price memory price) {
        for (uint256 i; i < given.tokens.length; i++) {
            if (given.tokens[i] == token && given.data[i].length != 0) {
                (price.min, price.max) = abi.decode(given.data[i], (uint256, uint256));
                return price;
            }
        }
        (price.min, price.max) = prices.price(token);
    }

    function _accrue(Market memory market, MarketPrices memory at) private {
        NextFunding memory next = book.nextFunding(market, at);
        for (uint256 side; side < 2; side++) {
            bool isLong = side == 0;
            uint256 cumulative = book.nextBorrowing(market, at, isLong);
            _addFunding(market, next, isLong);
            bytes32 key = GmxKeys.at("CUMULATIVE_BORROWING_FACTOR", market.marketToken, isLong);
            dataStore.setUint(key, cumulative);
            key = GmxKeys.at("CUMULATIVE_BORROWING_FACTOR_UPDATED_AT", market.marketToken, isLong);
            dataStore.setUint(key, block.timestamp);
        }
        dataStore.setInt(
            GmxKeys.at("SAVED_FUNDING_FACTOR_PER_SECOND", market.marketToken),
            next.nextSavedFundingFactorPerSecond
        );
        dataStore.setUint(GmxKeys.at("FUNDING_UPDATED_AT", market.marketToken), block.timestamp);
    }

    function _addFunding(Market memory market, NextFunding memory next, bool isLong) private {
        for (uint256 i; i < 2; i++) {
            address token = i == 0 ? market.longToken : market.shortToken;
            uint256 fee = next.fundingFeeAmountPerSizeDelta.long.longToken;
            uint256 claim = next.claimableFundingAmountPerSizeDelta.long.longToken;
            if (isLong && i == 1) {
                fee = next.fundingFeeAmountPerSizeDelta.long.shortToken;
                claim = next.claimableFundingAmountPerSizeDelta.long.shortToken;
            } else if (!isLong && i == 0) {
                fee = next.fundingFeeAmountPerSizeDelta.short.longToken;
                claim = next.claimableFundingAmountPerSizeDelta.short.longToken;
            } else if (!isLong) {
                fee = next.fundingFeeAmountPerSizeDelta.short.shortToken;
                claim = next.claimableFundingAmountPerSizeDelta.short.shortToken;
            }
            _addUint(
                GmxKeys.at("FUNDING_FEE_AMOUNT_PER_SIZE", market.marketToken, token, isLong), int256(fee)
            );
            _addUint(
                GmxKeys.at("CLAIMABLE_FUNDING_AMOUNT_PER_SIZE", market.marketToken, token, isLong),
                int256(claim)
            );
        }
    }

    function _increase(Fill memory f) private {
        uint256 sent = f.order.numbers.initialCollateralDeltaAmount;
        if (f.held.numbers.sizeInUsd == 0) {
            f.held.addresses.account = f.order.addresses.account;
            f.held.addresses.market = f.market.marketToken;
            f.held.addresses.collateralToken = f.order.addresses.initialCollateralToken;
            f.held.flags.isLong = f.order.flags.isLong;
            _touchFunding(f);
        }
        _increasePrice(f);
        uint256 cost = _cost(f, f.sizeUsd);
        f.collateralDelta = int256(sent) - int256(cost);
        int256 after_ = int256(f.held.numbers.collateralAmount) + f.collateralDelta;
        if (after_ < 0) revert InsufficientCollateralUsd(after_ * int256(f.collateralPrice.min));
        f.held.numbers.collateralAmount = uint256(after_);
        f.held.numbers.pendingImpactAmount += f.impactAmount;
        f.held.numbers.sizeInUsd += f.sizeUsd;
        f.held.numbers.sizeInTokens += f.sizeTokens;
        f.held.numbers.increasedAtTime = block.timestamp;
        _settle(f);
        _moveInterest(f, int256(f.sizeUsd), int256(f.sizeTokens));
        if (f.sizeUsd != 0) _requireRoom(f);
        (bool bad, string memory reason, GmxMath.Check memory found) =
            book.check(f.market, f.prices, f.held);
        if (bad) {
            revert LiquidatablePosition(reason, found.remainingUsd, found.minUsd, found.minUsdForLeverage);
        }
        _store(f);
        eventEmitter.positionIncreased(_change(f));
    }

    function _increasePrice(Fill memory f) private view {
        bool isLong = f.order.flags.isLong;
        Price memory index = f.prices.indexTokenPrice;
        f.executionPrice = isLong ? index.max : index.min;
        if (f.sizeUsd == 0) return;
        f.sizeTokens = isLong ? f.sizeUsd / index.max : GmxMath.divUp(f.sizeUsd, index.min);
        (f.impactUsd, f.check.improved) = book.impact(
            f.market, index, int256(f.sizeUsd), int256(f.sizeTokens), isLong
        );
        f.impactAmount = f.impactUsd > 0
            ? f.impactUsd / int256(index.max)
            : -int256(GmxMath.divUp(uint256(-f.impactUsd), index.min));
        int256 tokens = int256(f.sizeTokens) + (isLong ? f.impactAmount : -f.impactAmount);
        f.executionPrice = f.sizeUsd / uint256(tokens);
        _requirePrice(f, isLong);
    }

    function _decrease(Fill memory f) private {
        uint256 size = f.held.numbers.sizeInUsd;
        if (size == 0) revert EmptyPosition();
        if (f.sizeUsd > size) revert InvalidDecreaseOrderSize(f.sizeUsd, size);
        _decreasePrice(f);
        uint256 cost = _cost(f, f.sizeUsd);
        if (f.order.numbers.orderType == LIQUIDATION) {
            uint256 factor = dataStore.getUint(GmxKeys.at("LIQUIDATION_FEE_FACTOR", f.market.marketToken));
            cost += GmxMath.divUp(f.sizeUsd * factor / ONE, f.collateralPrice.min);
        }
        uint256 before = f.held.numbers.collateralAmount;
        (uint256 output, uint256 secondary) = _pay(f, cost);
        f.held.numbers.sizeInUsd -= f.sizeUsd;
        f.held.numbers.sizeInTokens -= f.sizeTokens;
        f.held.numbers.pendingImpactAmount -= f.impactAmount;
        f.held.numbers.decreasedAtTime = block.timestamp;
        if (f.held.numbers.sizeInUsd == 0) {
            output += f.held.numbers.collateralAmount;
            f.held.numbers.collateralAmount = 0;
        }
        uint256 usd = output * f.collateralPrice.min;
        if (secondary != 0) usd += secondary * GmxMath.priceOf(_profitToken(f), f.market, f.prices).min;
        if (usd < f.order.numbers.minOutputAmount) {
            revert InsufficientOutputAmount(usd, f.order.numbers.minOutputAmount);
        }
        f.collateralDelta = int256(before) - int256(f.held.numbers.collateralAmount);
        _settle(f);
        _moveInterest(f, -int256(f.sizeUsd), -int256(f.sizeTokens));
        if (f.held.numbers.sizeInUsd != 0) {
            (bool bad, string memory reason, GmxMath.Check memory found) =
                book.check(f.market, f.prices, f.held);
            if (bad) {
                revert LiquidatablePosition(reason, found.remainingUsd, found.minUsd, found.minUsdForLeverage);
            }
        }
        _store(f);
        eventEmitter.positionDecreased(_change(f));
        address receiver = f.order.addresses.receiver;
        if (output != 0) IToken(f.order.addresses.initialCollateralToken).transfer(receiver, output);
        if (secondary != 0) IToken(_profitToken(f)).transfer(receiver, secondary);
    }

    function _decreasePrice(Fill memory f) private view {
        bool isLong = f.order.flags.isLong;
        Price memory index = f.prices.indexTokenPrice;
        f.executionPrice = isLong ? index.min : index.max;
        if (f.sizeUsd == 0) return;
        (uint256 size, uint256 tokens) = (f.held.numbers.sizeInUsd, f.held.numbers.sizeInTokens);
        f.sizeTokens = f.sizeUsd == size
            ? tokens
            : isLong ? GmxMath.divUp(tokens * f.sizeUsd, size) : tokens * f.sizeUsd / size;
        (int256 gain, int256 uncapped) = book.profit(f.market, f.prices, f.held);
        f.gainUsd = gain * int256(f.sizeTokens) / int256(tokens);
        f.uncappedUsd = uncapped * int256(f.sizeTokens) / int256(tokens);
        (f.impactUsd, f.check.improved) = book.impact(
            f.market, index, -int256(f.sizeUsd), -int256(f.sizeTokens), isLong
        );
        int256 adjusted = isLong ? f.impactUsd : -f.impactUsd;
        int256 adjustment = int256(size) * adjusted / int256(tokens) / int256(f.sizeUsd);
        f.executionPrice = uint256(int256(f.executionPrice) + adjustment);
        _requirePrice(f, !isLong);
        int256 pending = f.held.numbers.pendingImpactAmount;
        f.impactAmount = f.sizeUsd == size ? pending : pending * int256(f.sizeUsd) / int256(size);
        f.impactUsd += f.impactAmount * int256(f.impactAmount > 0 ? index.min : index.max);
        f.impactUsd = book.capped(f.market.marketToken, f.impactUsd, f.sizeUsd);
    }

    /// @dev Position fee, borrowing and funding in the collateral; the pool gets what is not funding.
    function _cost(Fill memory f, uint256 sizeUsd) private returns (uint256) {
        uint256 factor = dataStore.getUint(
            GmxKeys.at("POSITION_FEE_FACTOR", f.market.marketToken, f.check.improved)
        );
        uint256 fees = sizeUsd * factor / ONE / f.collateralPrice.min;
        uint256 held = f.held.numbers.sizeInUsd;
        uint256 borrowing =
            dataStore.getUint(GmxKeys.at("CUMULATIVE_BORROWING_FACTOR", f.market.marketToken, f.order.flags.isLong));
        if (held != 0) {
            fees += held * (borrowing - f.held.numbers.borrowingFactor) / ONE / f.collateralPrice.min;
        }
        uint256 funding = GmxMath.mulUp(
            held,
            GmxMath.feePerSize(dataStore, f.market, f.held.addresses.collateralToken, f.held.flags.isLong)
                - f.held.numbers.fundingFeeAmountPerSize,
            GmxMath.PER_SIZE
        );
        _addUint(
            GmxKeys.at("POOL_AMOUNT", f.market.marketToken, f.order.addresses.initialCollateralToken),
            int256(fees)
        );
        return fees + funding;
    }

    /// @dev Takes costs and losses out of profit and collateral; the rest of the profit, and what of the
    /// collateral the order asks for, goes out.
    function _pay(Fill memory f, uint256 cost) private returns (uint256 output, uint256 secondary) {
        address token = f.order.addresses.initialCollateralToken;
        int256 change = f.impactUsd;
        if (f.gainUsd > 0) {
            Price memory price = GmxMath.priceOf(_profitToken(f), f.market, f.prices);
            uint256 amount = uint256(f.gainUsd) / price.max;
            _addUint(GmxKeys.at("POOL_AMOUNT", f.market.marketToken, _profitToken(f)), -int256(amount));
            if (_profitToken(f) == token) output = amount;
            else secondary = amount;
        } else {
            change += f.gainUsd;
        }
        bytes32 pool = GmxKeys.at("POOL_AMOUNT", f.market.marketToken, token);
        if (change > 0) {
            uint256 amount = uint256(change) / f.collateralPrice.max;
            _addUint(pool, -int256(amount));
            output += amount;
        } else if (change < 0) {
            uint256 amount = GmxMath.divUp(uint256(-change), f.collateralPrice.min);
            _addUint(pool, int256(amount));
            cost += amount;
        }
        uint256 fromOutput = output < cost ? output : cost;
        output -= fromOutput;
        cost -= fromOutput;
        uint256 collateral = f.held.numbers.collateralAmount;
        if (cost > collateral) {
            if (f.order.numbers.orderType != LIQUIDATION) {
                revert InsufficientFundsToPayForCosts((cost - collateral) * f.collateralPrice.min, "fees");
            }
            _addUint(pool, -int256(cost - collateral));
            cost = collateral;
        }
        collateral -= cost;
        uint256 asked = f.order.numbers.initialCollateralDeltaAmount;
        if (f.sizeUsd == f.held.numbers.sizeInUsd) asked = 0;
        if (asked > collateral) asked = collateral;
        f.held.numbers.collateralAmount = collateral - asked;
        output += asked;
    }

    function _profitToken(Fill memory f) private pure returns (address) {
        return f.order.flags.isLong ? f.market.longToken : f.market.shortToken;
    }

    function _touchFunding(Fill memory f) private view {
        (Market memory market, bool isLong) = (f.market, f.held.flags.isLong);
        f.held.numbers.fundingFeeAmountPerSize =
            GmxMath.feePerSize(dataStore, market, f.held.addresses.collateralToken, isLong);
        f.held.numbers.longTokenClaimableFundingAmountPerSize =
            GmxMath.claimPerSize(dataStore, market, market.longToken, isLong);
        f.held.numbers.shortTokenClaimableFundingAmountPerSize =
            GmxMath.claimPerSize(dataStore, market, market.shortToken, isLong);
    }

    /// @dev Funding earned becomes claimable, and both accumulators start again from here.
    function _settle(Fill memory f) private {
        bool grows = _isIncrease(f.order.numbers.orderType);
        uint256 before = grows ? f.held.numbers.sizeInUsd - f.sizeUsd : f.held.numbers.sizeInUsd + f.sizeUsd;
        for (uint256 i; i < 2; i++) {
            address token = i == 0 ? f.market.longToken : f.market.shortToken;
            uint256 since = i == 0
                ? f.held.numbers.longTokenClaimableFundingAmountPerSize
                : f.held.numbers.shortTokenClaimableFundingAmountPerSize;
            uint256 now_ = GmxMath.claimPerSize(dataStore, f.market, token, f.held.flags.isLong);
            uint256 earned = GmxMath.mulDiv(before, now_ - since, GmxMath.PER_SIZE);
            if (earned == 0) continue;
            address account = f.held.addresses.account;
            _addUint(
                GmxKeys.at("CLAIMABLE_FUNDING_AMOUNT", f.market.marketToken, token, account), int256(earned)
            );
        }
        _touchFunding(f);
        f.held.numbers.borrowingFactor =
            dataStore.getUint(GmxKeys.at("CUMULATIVE_BORROWING_FACTOR", f.market.marketToken, f.held.flags.isLong));
    }

    function _moveInterest(Fill memory f, int256 usd, int256 tokens) private {
        address token = f.order.addresses.initialCollateralToken;
        bool isLong = f.order.flags.isLong;
        _addUint(GmxKeys.at("OPEN_INTEREST", f.market.marketToken, token, isLong), usd);
        _addUint(GmxKeys.at("OPEN_INTEREST_IN_TOKENS", f.market.marketToken, token, isLong), tokens);
    }

    function _requireRoom(Fill memory f) private view {
        bool isLong = f.order.flags.isLong;
        uint256 open = book.interest(f.market, isLong);
        uint256 most = dataStore.getUint(GmxKeys.at("MAX_OPEN_INTEREST", f.market.marketToken, isLong));
        if (open > most) revert MaxOpenInterestExceeded(open, most);
        uint256 reserved = book.reservedUsd(f.market, f.prices, isLong);
        uint256 factor =
            dataStore.getUint(GmxKeys.at("OPEN_INTEREST_RESERVE_FACTOR", f.market.marketToken, isLong));
        most = book.poolUsd(f.market, f.prices, isLong) * factor / ONE;
        if (reserved > most) revert InsufficientReserveForOpenInterest(reserved, most);
        uint256 worth = f.held.numbers.collateralAmount * f.collateralPrice.min;
        uint256 least = f.held.numbers.sizeInUsd
            * dataStore.getUint(GmxKeys.at("MIN_COLLATERAL_FACTOR", f.market.marketToken)) / ONE;
        if (worth < least) revert InsufficientCollateralUsd(int256(worth));
    }

    function _requirePrice(Fill memory f, bool isPurchase) private pure {
        uint256 limit = f.order.numbers.acceptablePrice;
        bool fits = isPurchase ? f.executionPrice <= limit : f.executionPrice >= limit;
        if (!fits && !f.ignoresLimit) revert OrderNotFulfillableAtAcceptablePrice(f.executionPrice, limit);
    }

    function _requireTrigger(Fill memory f) private pure {
        uint8 kind = f.order.numbers.orderType;
        if (kind == MARKET_INCREASE || kind == MARKET_DECREASE || f.ignoresLimit) return;
        Price memory index = f.prices.indexTokenPrice;
        uint256 trigger = f.order.numbers.triggerPrice;
        bool isLong = f.order.flags.isLong;
        bool waitsForFall = (kind == LIMIT_INCREASE || kind == STOP_LOSS) == isLong;
        bool isEntry = _isIncrease(kind);
        uint256 price = isEntry == isLong ? index.max : index.min;
        bool reached = waitsForFall ? price <= trigger : price >= trigger;
        if (!reached) revert InvalidOrderPrices(index.min, index.max, trigger, kind);
    }

    function _store(Fill memory f) private {
        bytes32 list = GmxKeys.at("ACCOUNT_POSITION_LIST", f.held.addresses.account);
        if (f.held.numbers.sizeInUsd == 0) {
            delete positions[f.positionKey];
            dataStore.removeBytes32(GmxKeys.at("POSITION_LIST"), f.positionKey);
            dataStore.removeBytes32(list, f.positionKey);
            return;
        }
        positions[f.positionKey] = f.held;
        dataStore.addBytes32(GmxKeys.at("POSITION_LIST"), f.positionKey);
        dataStore.addBytes32(list, f.positionKey);
    }

    function _addUint(bytes32 key, int256 delta) private {
        dataStore.setUint(key, uint256(int256(dataStore.getUint(key)) + delta));
    }

    function _change(Fill memory f) private pure returns (Change memory change) {
        (change.orderKey, change.positionKey, change.held) = (f.key, f.positionKey, f.held);
        (change.index, change.collateral) = (f.prices.indexTokenPrice, f.collateralPrice);
        change.orderType = f.order.numbers.orderType;
        (change.executionPrice, change.sizeUsd, change.sizeTokens) = (f.executionPrice, f.sizeUsd, f.sizeTokens);
        (change.collateralDelta, change.impactUsd) = (f.collateralDelta, f.impactUsd);
        (change.impactAmount, change.gainUsd, change.uncappedUsd) = (f.impactAmount, f.gainUsd, f.uncappedUsd);
    }

    function _isIncrease(uint8 kind) private pure returns (bool) {
        return kind == MARKET_INCREASE || kind == LIMIT_INCREASE || kind == STOP_INCREASE;
    }
}
