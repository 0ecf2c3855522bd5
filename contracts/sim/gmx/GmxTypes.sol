// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

// The words of GMX v2's public interface: structs with the members that its callers see. USD and factors at
// 30 decimals, prices in USD per smallest unit of the token at 30 decimals.

struct Price {
    uint256 min;
    uint256 max;
}

struct MarketPrices {
    Price indexTokenPrice;
    Price longTokenPrice;
    Price shortTokenPrice;
}

struct Market {
    address marketToken;
    address indexToken;
    address longToken;
    address shortToken;
}

struct SetPricesParams {
    address[] tokens;
    address[] providers;
    bytes[] data;
}

struct PositionAddresses {
    address account;
    address market;
    address collateralToken;
}

struct PositionNumbers {
    uint256 sizeInUsd;
    uint256 sizeInTokens;
    uint256 collateralAmount;
    int256 pendingImpactAmount;
    uint256 borrowingFactor;
    uint256 fundingFeeAmountPerSize;
    uint256 longTokenClaimableFundingAmountPerSize;
    uint256 shortTokenClaimableFundingAmountPerSize;
    uint256 increasedAtTime;
    uint256 decreasedAtTime;
}

struct PositionFlags {
    bool isLong;
}

struct Position {
    PositionAddresses addresses;
    PositionNumbers numbers;
    PositionFlags flags;
}

struct ReferralFees {
    bytes32 referralCode;
    address affiliate;
    address trader;
    uint256 totalRebateFactor;
    uint256 affiliateRewardFactor;
    uint256 adjustedAffiliateRewardFactor;
    uint256 traderDiscountFactor;
    uint256 totalRebateAmount;
    uint256 traderDiscountAmount;
    uint256 affiliateRewardAmount;
}

struct ProFees {
    uint256 traderTier;
    uint256 traderDiscountFactor;
    uint256 traderDiscountAmount;
}

struct FundingFees {
    uint256 fundingFeeAmount;
    uint256 claimableLongTokenAmount;
    uint256 claimableShortTokenAmount;
    uint256 latestFundingFeeAmountPerSize;
    uint256 latestLongTokenClaimableFundingAmountPerSize;
    uint256 latestShortTokenClaimableFundingAmountPerSize;
}

struct BorrowingFees {
    uint256 borrowingFeeUsd;
    uint256 borrowingFeeAmount;
    uint256 borrowingFeeReceiverFactor;
    uint256 borrowingFeeAmountForFeeReceiver;
}

struct UiFees {
    address uiFeeReceiver;
    uint256 uiFeeReceiverFactor;
    uint256 uiFeeAmount;
}

struct LiquidationFees {
    uint256 liquidationFeeUsd;
    uint256 liquidationFeeAmount;
    uint256 liquidationFeeReceiverFactor;
    uint256 liquidationFeeAmountForFeeReceiver;
}

struct PositionFees {
    ReferralFees referral;
    ProFees pro;
    FundingFees funding;
    BorrowingFees borrowing;
    UiFees ui;
    LiquidationFees liquidation;
    Price collateralTokenPrice;
    uint256 positionFeeFactor;
    uint256 protocolFeeAmount;
    uint256 positionFeeReceiverFactor;
    uint256 feeReceiverAmount;
    uint256 feeAmountForPool;
    uint256 positionFeeAmountForPool;
    uint256 positionFeeAmount;
    uint256 totalCostAmountExcludingFunding;
    uint256 totalCostAmount;
    uint256 totalDiscountAmount;
}

struct ExecutionPriceResult {
    int256 priceImpactUsd;
    uint256 executionPrice;
    bool balanceWasImproved;
    int256 proportionalPendingImpactUsd;
    int256 totalImpactUsd;
    uint256 priceImpactDiffUsd;
}

struct PositionInfo {
    bytes32 positionKey;
    Position position;
    PositionFees fees;
    ExecutionPriceResult executionPriceResult;
    int256 basePnlUsd;
    int256 uncappedBasePnlUsd;
    int256 pnlAfterPriceImpactUsd;
}

struct CollateralType {
    uint256 longToken;
    uint256 shortToken;
}

struct PositionType {
    CollateralType long;
    CollateralType short;
}

struct BaseFunding {
    PositionType fundingFeeAmountPerSize;
    PositionType claimableFundingAmountPerSize;
}

struct NextFunding {
    bool longsPayShorts;
    uint256 fundingFactorPerSecond;
    int256 nextSavedFundingFactorPerSecond;
    PositionType fundingFeeAmountPerSizeDelta;
    PositionType claimableFundingAmountPerSizeDelta;
}

struct VirtualInventory {
    uint256 virtualPoolAmountForLongToken;
    uint256 virtualPoolAmountForShortToken;
    int256 virtualInventoryForPositions;
}

struct MarketInfo {
    Market market;
    uint256 borrowingFactorPerSecondForLongs;
    uint256 borrowingFactorPerSecondForShorts;
    BaseFunding baseFunding;
    NextFunding nextFunding;
    VirtualInventory virtualInventory;
    bool isDisabled;
}

struct OrderAddresses {
    address account;
    address receiver;
    address cancellationReceiver;
    address callbackContract;
    address uiFeeReceiver;
    address market;
    address initialCollateralToken;
    address[] swapPath;
}

struct OrderNumbers {
    uint8 orderType;
    uint8 decreasePositionSwapType;
    uint256 sizeDeltaUsd;
    uint256 initialCollateralDeltaAmount;
    uint256 triggerPrice;
    uint256 acceptablePrice;
    uint256 executionFee;
    uint256 callbackGasLimit;
    uint256 minOutputAmount;
    uint256 updatedAtTime;
    uint256 validFromTime;
    uint256 srcChainId;
}

struct OrderFlags {
    bool isLong;
    bool shouldUnwrapNativeToken;
    bool isFrozen;
    bool autoCancel;
}

struct Order {
    OrderAddresses addresses;
    OrderNumbers numbers;
    OrderFlags flags;
    bytes32[] _dataList;
}

struct OrderInfo {
    bytes32 orderKey;
    Order order;
}

struct CreateOrderParamsAddresses {
    address receiver;
    address cancellationReceiver;
    address callbackContract;
    address uiFeeReceiver;
    address market;
    address initialCollateralToken;
    address[] swapPath;
}

struct CreateOrderParamsNumbers {
    uint256 sizeDeltaUsd;
    uint256 initialCollateralDeltaAmount;
    uint256 triggerPrice;
    uint256 acceptablePrice;
    uint256 executionFee;
    uint256 callbackGasLimit;
    uint256 minOutputAmount;
    uint256 validFromTime;
}

struct CreateOrderParams {
    CreateOrderParamsAddresses addresses;
    CreateOrderParamsNumbers numbers;
    uint8 orderType;
    uint8 decreasePositionSwapType;
    bool isLong;
    bool shouldUnwrapNativeToken;
    bool autoCancel;
    bytes32 referralCode;
    bytes32[] dataList;
}

struct AddressKeyValue {
    string key;
    address value;
}

struct AddressArrayKeyValue {
    string key;
    address[] value;
}

struct AddressItems {
    AddressKeyValue[] items;
    AddressArrayKeyValue[] arrayItems;
}

struct UintKeyValue {
    string key;
    uint256 value;
}

struct UintArrayKeyValue {
    string key;
    uint256[] value;
}

struct UintItems {
    UintKeyValue[] items;
    UintArrayKeyValue[] arrayItems;
}

struct IntKeyValue {
    string key;
    int256 value;
}

struct IntArrayKeyValue {
    string key;
    int256[] value;
}

struct IntItems {
    IntKeyValue[] items;
    IntArrayKeyValue[] arrayItems;
}

struct BoolKeyValue {
    string key;
    bool value;
}

struct BoolArrayKeyValue {
    string key;
    bool[] value;
}

struct BoolItems {
    BoolKeyValue[] items;
    BoolArrayKeyValue[] arrayItems;
}

struct Bytes32KeyValue {
    string key;
    bytes32 value;
}

struct Bytes32ArrayKeyValue {
    string key;
    bytes32[] value;
}

struct Bytes32Items {
    Bytes32KeyValue[] items;
    Bytes32ArrayKeyValue[] arrayItems;
}

struct BytesKeyValue {
    string key;
    bytes value;
}

struct BytesArrayKeyValue {
    string key;
    bytes[] value;
}

struct BytesItems {
    BytesKeyValue[] items;
    BytesArrayKeyValue[] arrayItems;
}

struct StringKeyValue {
    string key;
    string value;
}

struct StringArrayKeyValue {
    string key;
    string[] value;
}

struct StringItems {
    StringKeyValue[] items;
    StringArrayKeyValue[] arrayItems;
}

struct EventLogData {
    AddressItems addressItems;
    UintItems uintItems;
    IntItems intItems;
    BoolItems boolItems;
    Bytes32Items bytes32Items;
    BytesItems bytesItems;
    StringItems stringItems;
}
