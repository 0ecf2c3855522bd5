// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

interface IMargin {
    function transferFrom(address from, address to, uint256 amount) external returns (bool);
    function transfer(address to, uint256 amount) external returns (bool);
}

/// @title A perpetual market for tests, filled by a keeper who does what he is told, well or badly
/// @notice Orders are requests that wait for the keeper; `trade` fills at once, at the market's price and fee.
/// @dev Sizes are signed wads of the asset, prices wads of quote. Everything is settled in one margin token.
contract KeeperMarket {
    struct Order {
        address account;
        int256 size;
        int256 filled;
        uint256 limit;
        uint64 requestedAt;
        bool frozen;
    }

    struct Position {
        int256 size;
        /// @dev Margin paid in, less what positions were bought for: equity is cash + size * price.
        int256 cash;
    }

    IMargin public immutable token;
    address public immutable keeper;
    /// @notice Seconds after which an account may take its order back.
    uint64 public immutable wait;
    /// @notice Paid with each request, in the native coin.
    uint256 public constant FEE = 1e15;
    uint256 public price;
    /// @notice What `trade` takes, in wads of the notional.
    uint256 public feeWad;
    mapping(address account => Position) public positions;
    mapping(bytes32 key => Order) public orders;
    mapping(address account => bytes32[]) private open;
    uint256 private count;
    /// @notice Orders cannot be taken back, whatever the wait.
    bool public locked;

    event Requested(bytes32 indexed key, address indexed account, int256 size, uint256 limit);
    event Filled(bytes32 indexed key, address indexed account, int256 size, uint256 price);
    event Closed(bytes32 indexed key, address indexed account, string reason);
    event Frozen(bytes32 indexed key, address indexed account, string reason);

    error NotKeeper(address caller);
    error NotYours(bytes32 key);
    error NotYet(uint256 at);
    error Locked();
    error FeeTooLow(uint256 value);
    error PriceBeyondLimit(uint256 price, uint256 limit);
    error TooMuch(int256 size);

    modifier onlyKeeper() {
        if (msg.sender != keeper) revert NotKeeper(msg.sender);
        _;
    }

    constructor(IMargin token_, address keeper_, uint64 wait_, uint256 price_, uint256 feeWad_) {
        (token, keeper, wait, price, feeWad) = (token_, keeper_, wait_, price_, feeWad_);
    }

    function setPrice(uint256 price_) external onlyKeeper {
        price = price_;
    }

    function setLocked(bool locked_) external onlyKeeper {
        locked = locked_;
    }

    function deposit(uint256 amount) external {
        token.transferFrom(msg.sender, address(this), amount);
        positions[msg.sender].cash += int256(amount);
    }

    function withdraw(uint256 amount) external {
        positions[msg.sender].cash -= int256(amount);
        token.transfer(msg.sender, amount);
    }

    function trade(int256 size, uint256 limit) external {
        uint256 fee = price * feeWad / 1e18;
        uint256 at = size > 0 ? price + fee : price - fee;
        if (size > 0 ? at > limit : at < limit) revert PriceBeyondLimit(at, limit);
        _move(msg.sender, size, at);
    }

    function request(int256 size, uint256 limit) external payable returns (bytes32 key) {
        if (msg.value < FEE) revert FeeTooLow(msg.value);
        key = keccak256(abi.encode(address(this), ++count));
        orders[key] = Order(msg.sender, size, 0, limit, uint64(block.timestamp), false);
        open[msg.sender].push(key);
        emit Requested(key, msg.sender, size, limit);
    }

    /// @notice Fills some or all of an order. A price beyond its limit only if the keeper is a crook.
    function execute(bytes32 key, int256 size, uint256 at, bool crooked) external onlyKeeper {
        Order storage order = orders[key];
        if (order.account == address(0)) revert NotYours(key);
        if (!crooked && (order.size > 0 ? at > order.limit : at < order.limit)) {
            revert PriceBeyondLimit(at, order.limit);
        }
        int256 rest = order.size - order.filled;
        if (order.size > 0 ? size > rest : size < rest) revert TooMuch(size);
        _move(order.account, size, at);
        order.filled += size;
        emit Filled(key, order.account, size, at);
        if (order.filled == order.size) _remove(key, order.account);
    }

    function cancel(bytes32 key, string calldata reason) external onlyKeeper {
        _close(key, reason);
    }

    function freeze(bytes32 key, string calldata reason) external onlyKeeper {
        orders[key].frozen = true;
        emit Frozen(key, orders[key].account, reason);
    }

    function takeBack(bytes32 key) external {
        Order storage order = orders[key];
        if (order.account != msg.sender) revert NotYours(key);
        if (locked) revert Locked();
        uint256 at = order.requestedAt + wait;
        if (block.timestamp < at) revert NotYet(at);
        _close(key, "taken back");
    }

    function openOf(address account) external view returns (bytes32[] memory) {
        return open[account];
    }

    function _close(bytes32 key, string memory reason) private {
        address account = orders[key].account;
        if (account == address(0)) revert NotYours(key);
        _remove(key, account);
        emit Closed(key, account, reason);
    }

    function _move(address account, int256 size, uint256 at) private {
        Position storage position = positions[account];
        position.size += size;
        position.cash -= size * int256(at) / 1e18;
    }

    function _remove(bytes32 key, address account) private {
        delete orders[key];
        bytes32[] storage keys = open[account];
        for (uint256 i; i < keys.length; ++i) {
            if (keys[i] == key) {
                keys[i] = keys[keys.length - 1];
                keys.pop();
                return;
            }
        }
    }
}
