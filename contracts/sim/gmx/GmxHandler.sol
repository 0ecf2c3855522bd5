// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {GmxEngine} from "./GmxEngine.sol";
import {GmxEvents} from "./GmxEvents.sol";
import {GmxStore} from "./GmxStore.sol";
import {CreateOrderParams, Order, SetPricesParams} from "./GmxTypes.sol";
import {GmxVault, IWrapped} from "./GmxVault.sol";
import {GmxKeys} from "./libraries/GmxKeys.sol";

/// @title The local chain's stand-in for GMX v2's OrderHandler
/// @notice Orders wait until the keeper acts. Beside what GMX's keepers can do, this one can fill a part, fill
/// at any price, cancel and freeze at will, so that every thing that may happen to an order can be shown.
/// @dev One keeper. No swaps, no callbacks, no auto-cancel.
contract GmxHandler {
    uint8 private constant MARKET_INCREASE = 2;
    uint8 private constant LIMIT_INCREASE = 3;
    uint8 private constant MARKET_DECREASE = 4;
    uint8 private constant STOP_LOSS = 6;
    uint8 private constant STOP_INCREASE = 8;
    uint256 private constant ONE = 1e30;

    GmxStore public immutable dataStore;
    GmxEvents public immutable eventEmitter;
    GmxVault public immutable orderVault;
    GmxEngine public immutable engine;
    address public referralStorage;
    address public immutable owner;
    address public router;
    address public keeper;
    mapping(bytes32 key => Order) private orders;
    uint256 private nonce;

    error Unauthorized(address msgSender, string role);
    error EmptyOrder();
    error OrderNotUpdatable(uint256 orderType);
    error OrderTypeCannotBeCreated(uint256 orderType);
    error InsufficientWntAmountForExecutionFee(uint256 wntAmount, uint256 executionFee);
    error InsufficientExecutionFee(uint256 minExecutionFee, uint256 executionFee);
    error RequestNotYetCancellable(uint256 requestAge, uint256 requestExpirationAge, string requestType);

    constructor(
        GmxStore dataStore_,
        GmxEvents eventEmitter_,
        GmxVault orderVault_,
        GmxEngine engine_,
        address keeper_
    ) {
        (dataStore, eventEmitter, orderVault, engine) = (dataStore_, eventEmitter_, orderVault_, engine_);
        (keeper, owner) = (keeper_, msg.sender);
    }

    receive() external payable {}

    modifier onlyKeeper() {
        if (msg.sender != keeper) revert Unauthorized(msg.sender, "ORDER_KEEPER");
        _;
    }

    modifier onlyRouter() {
        if (msg.sender != router) revert Unauthorized(msg.sender, "CONTROLLER");
        _;
    }

    // --- set up ----------------------------------------------------------------------------------------

    function serve(address router_, address referralStorage_) external {
        if (msg.sender != owner) revert Unauthorized(msg.sender, "OWNER");
        (router, referralStorage) = (router_, referralStorage_);
    }

    // --- for the reader --------------------------------------------------------------------------------

    function orderAt(bytes32 key) external view returns (Order memory) {
        return orders[key];
    }

    // --- what users ask --------------------------------------------------------------------------------

    function createOrder(address account, uint256 srcChainId, CreateOrderParams calldata params)
        external
        onlyRouter
        returns (bytes32 key)
    {
        bool isIncrease = _isIncrease(params.orderType);
        if (!isIncrease && (params.orderType < MARKET_DECREASE || params.orderType > STOP_LOSS)) {
            revert OrderTypeCannotBeCreated(params.orderType);
        }
        key = keccak256(abi.encode(address(dataStore), ++nonce));
        Order storage order = orders[key];
        order.addresses.account = account;
        order.addresses.receiver = params.addresses.receiver;
        order.addresses.cancellationReceiver = params.addresses.cancellationReceiver;
        order.addresses.uiFeeReceiver = params.addresses.uiFeeReceiver;
        order.addresses.market = params.addresses.market;
        order.addresses.initialCollateralToken = params.addresses.initialCollateralToken;
        order.numbers.orderType = params.orderType;
        order.numbers.decreasePositionSwapType = params.decreasePositionSwapType;
        order.numbers.sizeDeltaUsd = params.numbers.sizeDeltaUsd;
        order.numbers.triggerPrice = params.numbers.triggerPrice;
        order.numbers.acceptablePrice = params.numbers.acceptablePrice;
        order.numbers.minOutputAmount = params.numbers.minOutputAmount;
        order.numbers.validFromTime = params.numbers.validFromTime;
        order.numbers.srcChainId = srcChainId;
        order.numbers.updatedAtTime = block.timestamp;
        order.flags.isLong = params.isLong;
        order.flags.shouldUnwrapNativeToken = params.shouldUnwrapNativeToken;
        order.flags.autoCancel = params.autoCancel;
        order._dataList = params.dataList;
        (order.numbers.initialCollateralDeltaAmount, order.numbers.executionFee) = isIncrease
            ? _received(params.addresses.initialCollateralToken, params.numbers.executionFee)
            : (params.numbers.initialCollateralDeltaAmount, _feeReceived(params.numbers.executionFee));
        if (order.numbers.sizeDeltaUsd == 0 && order.numbers.initialCollateralDeltaAmount == 0) {
            revert EmptyOrder();
        }
        _requireFee(order.numbers.executionFee, isIncrease);
        dataStore.addBytes32(GmxKeys.at("ORDER_LIST"), key);
        dataStore.addBytes32(GmxKeys.at("ACCOUNT_ORDER_LIST", account), key);
        eventEmitter.orderCreated(key, order);
    }

    function updateOrder(
        bytes32 key,
        uint256 sizeDeltaUsd,
        uint256 acceptablePrice,
        uint256 triggerPrice,
        uint256 minOutputAmount,
        uint256 validFromTime,
        bool autoCancel
    ) external onlyRouter {
        Order storage order = orders[key];
        uint8 kind = order.numbers.orderType;
        if (kind == MARKET_INCREASE || kind == MARKET_DECREASE) revert OrderNotUpdatable(kind);
        order.numbers.sizeDeltaUsd = sizeDeltaUsd;
        order.numbers.acceptablePrice = acceptablePrice;
        order.numbers.triggerPrice = triggerPrice;
        order.numbers.minOutputAmount = minOutputAmount;
        order.numbers.validFromTime = validFromTime;
        order.numbers.executionFee += orderVault.recordTransferIn(_wnt());
        order.numbers.updatedAtTime = block.timestamp;
        (order.flags.autoCancel, order.flags.isFrozen) = (autoCancel, false);
        eventEmitter.orderUpdated(key, order);
    }

    function cancelOrder(bytes32 key) external onlyRouter {
        Order storage order = orders[key];
        uint8 kind = order.numbers.orderType;
        if (kind == MARKET_INCREASE || kind == MARKET_DECREASE) {
            uint256 age = block.timestamp - order.numbers.updatedAtTime;
            uint256 least = dataStore.getUint(GmxKeys.at("REQUEST_EXPIRATION_TIME"));
            if (age < least) revert RequestNotYetCancellable(age, least, "Order");
        }
        _cancel(key, "USER_INITIATED_CANCEL", "");
    }

    // --- what keepers do -------------------------------------------------------------------------------

    /// @notice Fills the order at the oracle's prices, or at those in `oracleParams` (data: min and max). If it
    /// cannot be filled, a market order is cancelled and any other frozen, as GMX does.
    function executeOrder(bytes32 key, SetPricesParams calldata oracleParams) external onlyKeeper {
        if (orders[key].addresses.account == address(0)) revert EmptyOrder();
        try this.fill(key, oracleParams, ONE, false) {}
        catch (bytes memory reason) {
            uint8 kind = orders[key].numbers.orderType;
            if (kind == MARKET_INCREASE || kind == MARKET_DECREASE) {
                _cancel(key, "", reason);
            } else if (bytes4(reason) == GmxEngine.InvalidOrderPrices.selector) {
                assembly {
                    revert(add(reason, 32), mload(reason))
                }
            } else {
                _freeze(key, "", reason);
            }
        }
    }

    /// @notice Fills `share` (at most 1e30) of the size and gives the order up: no GMX keeper can, others' can.
    function executePartly(bytes32 key, SetPricesParams calldata oracleParams, uint256 share)
        external
        onlyKeeper
    {
        this.fill(key, oracleParams, share, false);
    }

    /// @notice Fills at these prices whatever the order accepts.
    function executeAtAnyPrice(bytes32 key, SetPricesParams calldata oracleParams) external onlyKeeper {
        this.fill(key, oracleParams, ONE, true);
    }

    function cancelWith(bytes32 key, bytes calldata reasonBytes) external onlyKeeper {
        _cancel(key, "", reasonBytes);
    }

    function freezeWith(bytes32 key, bytes calldata reasonBytes) external onlyKeeper {
        _freeze(key, "", reasonBytes);
    }

    /// @notice One fill, all or nothing. Only called by this contract.
    function fill(bytes32 key, SetPricesParams calldata oracleParams, uint256 share, bool ignoresLimit)
        external
    {
        if (msg.sender != address(this)) revert Unauthorized(msg.sender, "SELF");
        Order memory order = orders[key];
        if (order.addresses.account == address(0)) revert EmptyOrder();
        _remove(key);
        uint256 sent = order.numbers.initialCollateralDeltaAmount;
        if (_isIncrease(order.numbers.orderType) && sent != 0) {
            orderVault.transferOut(order.addresses.initialCollateralToken, address(engine), sent);
        }
        engine.fill(key, order, oracleParams, share, ignoresLimit);
        eventEmitter.orderExecuted(key, order.addresses.account);
        _payKeeper(order);
    }

    // --- orders ----------------------------------------------------------------------------------------

    function _isIncrease(uint8 kind) private pure returns (bool) {
        return kind == MARKET_INCREASE || kind == LIMIT_INCREASE || kind == STOP_INCREASE;
    }

    function _wnt() private view returns (address) {
        return dataStore.getAddress(GmxKeys.at("WNT"));
    }

    function _received(address token, uint256 fee) private returns (uint256 amount, uint256 paid) {
        amount = orderVault.recordTransferIn(token);
        if (token != _wnt()) return (amount, _feeReceived(fee));
        if (amount < fee) revert InsufficientWntAmountForExecutionFee(amount, fee);
        return (amount - fee, fee);
    }

    function _feeReceived(uint256 fee) private returns (uint256 paid) {
        paid = orderVault.recordTransferIn(_wnt());
        if (paid < fee) revert InsufficientWntAmountForExecutionFee(paid, fee);
    }

    function _requireFee(uint256 fee, bool isIncrease) private view {
        uint256 gas_ = dataStore.getUint(GmxKeys.at("ESTIMATED_GAS_FEE_BASE_AMOUNT_V2_1"))
            + 3 * dataStore.getUint(GmxKeys.at("ESTIMATED_GAS_FEE_PER_ORACLE_PRICE"));
        uint256 limit =
            dataStore.getUint(GmxKeys.at(isIncrease ? "INCREASE_ORDER_GAS_LIMIT" : "DECREASE_ORDER_GAS_LIMIT"));
        gas_ += limit * dataStore.getUint(GmxKeys.at("ESTIMATED_GAS_FEE_MULTIPLIER_FACTOR")) / ONE;
        if (fee < gas_ * tx.gasprice) revert InsufficientExecutionFee(gas_ * tx.gasprice, fee);
    }

    function _cancel(bytes32 key, string memory reason, bytes memory reasonBytes) private {
        Order memory order = orders[key];
        if (order.addresses.account == address(0)) revert EmptyOrder();
        _remove(key);
        uint256 amount = order.numbers.initialCollateralDeltaAmount;
        if (_isIncrease(order.numbers.orderType) && amount != 0) {
            address to = order.addresses.cancellationReceiver;
            orderVault.transferOut(
                order.addresses.initialCollateralToken, to == address(0) ? order.addresses.account : to, amount
            );
        }
        eventEmitter.orderStopped("OrderCancelled", key, order.addresses.account, reason, reasonBytes);
        _payKeeper(order);
    }

    function _freeze(bytes32 key, string memory reason, bytes memory reasonBytes) private {
        Order storage order = orders[key];
        if (order.addresses.account == address(0)) revert EmptyOrder();
        order.flags.isFrozen = true;
        order.numbers.executionFee = 0; // as GMX: the keeper is paid, and an update must bring a new fee
        eventEmitter.orderStopped("OrderFrozen", key, order.addresses.account, reason, reasonBytes);
    }

    function _remove(bytes32 key) private {
        dataStore.removeBytes32(GmxKeys.at("ORDER_LIST"), key);
        dataStore.removeBytes32(GmxKeys.at("ACCOUNT_ORDER_LIST", orders[key].addresses.account), key);
        delete orders[key];
    }

    /// @dev Half of the fee is the keeper's, half goes back: enough to show that both happen.
    function _payKeeper(Order memory order) private {
        uint256 fee = order.numbers.executionFee;
        if (fee == 0) return;
        orderVault.transferOut(_wnt(), address(this), fee);
        IWrapped(_wnt()).withdraw(fee);
        (bool paid,) = keeper.call{value: fee / 2}("");
        (bool returned,) = order.addresses.receiver.call{value: fee - fee / 2}("");
        if (!paid || !returned) {
            IWrapped(_wnt()).deposit{value: address(this).balance}();
        }
    }

}
