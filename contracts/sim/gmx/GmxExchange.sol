// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {GmxEvents} from "./GmxEvents.sol";
import {GmxHandler} from "./GmxHandler.sol";
import {GmxStore} from "./GmxStore.sol";
import {CreateOrderParams} from "./GmxTypes.sol";
import {GmxRouter, IWrapped} from "./GmxVault.sol";
import {GmxKeys} from "./libraries/GmxKeys.sol";

/// @title The local chain's stand-in for GMX v2's ExchangeRouter: where users leave their orders
contract GmxExchange {
    GmxRouter public immutable router;
    GmxStore public immutable dataStore;
    GmxEvents public immutable eventEmitter;
    GmxHandler public immutable orderHandler;

    error Unauthorized(address msgSender, string role);
    error EmptyOrder();

    constructor(GmxRouter router_, GmxStore dataStore_, GmxEvents eventEmitter_, GmxHandler orderHandler_) {
        (router, dataStore, eventEmitter, orderHandler) = (router_, dataStore_, eventEmitter_, orderHandler_);
    }

    function multicall(bytes[] calldata data) external payable returns (bytes[] memory results) {
        results = new bytes[](data.length);
        for (uint256 i; i < data.length; i++) {
            (bool ok, bytes memory result) = address(this).delegatecall(data[i]);
            if (!ok) {
                assembly {
                    revert(add(result, 32), mload(result))
                }
            }
            results[i] = result;
        }
    }

    function sendWnt(address receiver, uint256 amount) external payable {
        IWrapped wnt = IWrapped(dataStore.getAddress(GmxKeys.at("WNT")));
        wnt.deposit{value: amount}();
        wnt.transfer(receiver, amount);
    }

    function sendTokens(address token, address receiver, uint256 amount) external payable {
        router.pluginTransfer(token, msg.sender, receiver, amount);
    }

    function createOrder(CreateOrderParams calldata params) external payable returns (bytes32) {
        return orderHandler.createOrder(msg.sender, 0, params);
    }

    function updateOrder(
        bytes32 key,
        uint256 sizeDeltaUsd,
        uint256 acceptablePrice,
        uint256 triggerPrice,
        uint256 minOutputAmount,
        uint256 validFromTime,
        bool autoCancel
    ) external payable {
        _requireOwner(key, "account for updateOrder");
        orderHandler.updateOrder(
            key, sizeDeltaUsd, acceptablePrice, triggerPrice, minOutputAmount, validFromTime, autoCancel
        );
    }

    function cancelOrder(bytes32 key) external payable {
        _requireOwner(key, "account for cancelOrder");
        orderHandler.cancelOrder(key);
    }

    function _requireOwner(bytes32 key, string memory role) private view {
        address account = orderHandler.orderAt(key).addresses.account;
        if (account == address(0)) revert EmptyOrder();
        if (account != msg.sender) revert Unauthorized(msg.sender, role);
    }
}
