// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {EventLogData, Order, Position, Price} from "./GmxTypes.sol";
import {GmxItems} from "./libraries/GmxItems.sol";

/// @notice What one fill did to a position.
struct Change {
    bytes32 orderKey;
    bytes32 positionKey;
    Position held;
    Price index;
    Price collateral;
    uint8 orderType;
    uint256 executionPrice;
    uint256 sizeUsd;
    uint256 sizeTokens;
    int256 collateralDelta;
    int256 impactUsd;
    int256 impactAmount;
    int256 gainUsd;
    int256 uncappedUsd;
}

/// @title The local chain's stand-in for GMX v2's EventEmitter: every event of the protocol, by name
contract GmxEvents {
    using GmxItems for EventLogData;

    address public immutable owner;
    mapping(address writer => bool) public isWriter;

    event EventLog(address msgSender, string eventName, string indexed eventNameHash, EventLogData eventData);
    event EventLog1(
        address msgSender,
        string eventName,
        string indexed eventNameHash,
        bytes32 indexed topic1,
        EventLogData eventData
    );
    event EventLog2(
        address msgSender,
        string eventName,
        string indexed eventNameHash,
        bytes32 indexed topic1,
        bytes32 indexed topic2,
        EventLogData eventData
    );

    error NotWriter(address caller);

    constructor() {
        owner = msg.sender;
    }

    modifier onlyWriter() {
        if (!isWriter[msg.sender]) revert NotWriter(msg.sender);
        _;
    }

    function allow(address writer) external {
        if (msg.sender != owner) revert NotWriter(msg.sender);
        isWriter[writer] = true;
    }

    function orderCreated(bytes32 key, Order memory order) external onlyWriter {
        EventLogData memory data;
        data.addresses(7);
        data.put(0, "account", order.addresses.account);
        data.put(1, "receiver", order.addresses.receiver);
        data.put(2, "callbackContract", order.addresses.callbackContract);
        data.put(3, "uiFeeReceiver", order.addresses.uiFeeReceiver);
        data.put(4, "market", order.addresses.market);
        data.put(5, "initialCollateralToken", order.addresses.initialCollateralToken);
        data.put(6, "cancellationReceiver", order.addresses.cancellationReceiver);
        data.uints(12);
        data.put(0, "orderType", uint256(order.numbers.orderType));
        data.put(1, "decreasePositionSwapType", uint256(order.numbers.decreasePositionSwapType));
        data.put(2, "sizeDeltaUsd", order.numbers.sizeDeltaUsd);
        data.put(3, "initialCollateralDeltaAmount", order.numbers.initialCollateralDeltaAmount);
        data.put(4, "triggerPrice", order.numbers.triggerPrice);
        data.put(5, "acceptablePrice", order.numbers.acceptablePrice);
        data.put(6, "executionFee", order.numbers.executionFee);
        data.put(7, "callbackGasLimit", order.numbers.callbackGasLimit);
        data.put(8, "minOutputAmount", order.numbers.minOutputAmount);
        data.put(9, "updatedAtTime", order.numbers.updatedAtTime);
        data.put(10, "validFromTime", order.numbers.validFromTime);
        data.put(11, "srcChainId", order.numbers.srcChainId);
        data.flag("isLong", order.flags.isLong);
        data.word("key", key);
        data.list("dataList", order._dataList);
        _two("OrderCreated", key, order.addresses.account, data);
    }

    function orderUpdated(bytes32 key, Order memory order) external onlyWriter {
        EventLogData memory data;
        data.word("key", key);
        data.addresses(1);
        data.put(0, "account", order.addresses.account);
        data.uints(6);
        data.put(0, "sizeDeltaUsd", order.numbers.sizeDeltaUsd);
        data.put(1, "acceptablePrice", order.numbers.acceptablePrice);
        data.put(2, "triggerPrice", order.numbers.triggerPrice);
        data.put(3, "minOutputAmount", order.numbers.minOutputAmount);
        data.put(4, "updatedAtTime", order.numbers.updatedAtTime);
        data.put(5, "validFromTime", order.numbers.validFromTime);
        data.flag("autoCancel", order.flags.autoCancel);
        _two("OrderUpdated", key, order.addresses.account, data);
    }

    function orderExecuted(bytes32 key, address account) external onlyWriter {
        EventLogData memory data;
        data.word("key", key);
        data.addresses(1);
        data.put(0, "account", account);
        data.uints(1);
        data.put(0, "secondaryOrderType", uint256(0));
        _two("OrderExecuted", key, account, data);
    }

    /// @notice Cancelled or frozen.
    function orderStopped(
        string memory name,
        bytes32 key,
        address account,
        string memory reason,
        bytes memory reasonBytes
    ) external onlyWriter {
        EventLogData memory data;
        data.word("key", key);
        data.addresses(1);
        data.put(0, "account", account);
        data.text("reason", reason);
        data.raw("reasonBytes", reasonBytes);
        _two(name, key, account, data);
    }

    function positionIncreased(Change memory f) external onlyWriter {
        EventLogData memory data;
        _common(f, data, 16);
        data.put(14, "orderType", uint256(f.orderType));
        data.put(15, "increasedAtTime", f.held.numbers.increasedAtTime);
        data.ints(3);
        data.put(0, "collateralDeltaAmount", f.collateralDelta);
        data.put(1, "pendingPriceImpactUsd", f.impactUsd);
        data.put(2, "pendingPriceImpactAmount", f.impactAmount);
        _one("PositionIncrease", f.held.addresses.account, data);
    }

    function positionDecreased(Change memory f) external onlyWriter {
        EventLogData memory data;
        _common(f, data, 18);
        data.put(14, "collateralDeltaAmount", uint256(f.collateralDelta));
        data.put(15, "values.priceImpactDiffUsd", uint256(0));
        data.put(16, "orderType", uint256(f.orderType));
        data.put(17, "decreasedAtTime", f.held.numbers.decreasedAtTime);
        data.ints(5);
        data.put(0, "priceImpactUsd", f.impactUsd);
        data.put(1, "basePnlUsd", f.gainUsd);
        data.put(2, "uncappedBasePnlUsd", f.uncappedUsd);
        data.put(3, "proportionalPendingImpactUsd", int256(0));
        data.put(4, "totalImpactUsd", f.impactUsd);
        _one("PositionDecrease", f.held.addresses.account, data);
    }

    function _common(Change memory f, EventLogData memory data, uint256 count) private pure {
        data.addresses(3);
        data.put(0, "account", f.held.addresses.account);
        data.put(1, "market", f.held.addresses.market);
        data.put(2, "collateralToken", f.held.addresses.collateralToken);
        data.uints(count);
        data.put(0, "sizeInUsd", f.held.numbers.sizeInUsd);
        data.put(1, "sizeInTokens", f.held.numbers.sizeInTokens);
        data.put(2, "collateralAmount", f.held.numbers.collateralAmount);
        data.put(3, "borrowingFactor", f.held.numbers.borrowingFactor);
        data.put(4, "fundingFeeAmountPerSize", f.held.numbers.fundingFeeAmountPerSize);
        data.put(
            5, "longTokenClaimableFundingAmountPerSize", f.held.numbers.longTokenClaimableFundingAmountPerSize
        );
        data.put(
            6, "shortTokenClaimableFundingAmountPerSize", f.held.numbers.shortTokenClaimableFundingAmountPerSize
        );
        data.put(7, "executionPrice", f.executionPrice);
        data.put(8, "indexTokenPrice.max", f.index.max);
        data.put(9, "indexTokenPrice.min", f.index.min);
        data.put(10, "collateralTokenPrice.max", f.collateral.max);
        data.put(11, "collateralTokenPrice.min", f.collateral.min);
        data.put(12, "sizeDeltaUsd", f.sizeUsd);
        data.put(13, "sizeDeltaInTokens", f.sizeTokens);
        data.flag("isLong", f.held.flags.isLong);
        data.words("orderKey", f.orderKey, "positionKey", f.positionKey);
    }

    function _one(string memory name, address account, EventLogData memory data) private {
        emit EventLog1(msg.sender, name, name, bytes32(uint256(uint160(account))), data);
    }

    function _two(string memory name, bytes32 key, address account, EventLogData memory data) private {
        emit EventLog2(msg.sender, name, name, key, bytes32(uint256(uint160(account))), data);
    }
}
