// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

interface IToken {
    function decimals() external view returns (uint8);
    function transfer(address to, uint256 value) external returns (bool);
    function transferFrom(address from, address to, uint256 value) external returns (bool);
}

/// @title The smallest perpetual there is: one market, one price, margin in one token
/// @notice For docs/venues/writing-one.md. Whoever deployed it sets the price. Amounts are wads (1e18) but for
/// what the token itself counts. Divisions round towards zero, as Solidity's do.
contract ExamplePerps {
    int256 internal constant WAD = 1e18;
    /// @notice Of notional: what an account must have to open, and to go on.
    int256 public constant INITIAL = 0.1e18;
    int256 public constant MAINTENANCE = 0.05e18;
    /// @notice Of notional, for every trade.
    int256 public constant FEE = 0.001e18;
    /// @notice Of notional, what longs pay shorts for every second.
    int256 public constant FUNDING = 1e9;
    /// @notice The largest trade.
    uint256 public constant MAX_TRADE = 1_000e18;

    struct Account {
        int256 collateral;
        int256 size;
        int256 quote; // what the position has brought in, less what it has cost
        uint256 since; // when funding was last settled
    }

    address public immutable owner;
    IToken public immutable token;
    int256 internal immutable unit; // wads in the token's smallest unit

    int256 public price; // slot 0
    bool public isClosing; // slot 1: positions may only become smaller
    mapping(address holder => Account) public accounts;

    event Traded(address indexed holder, int256 size, int256 paid, int256 fee);

    error NotOwner(address caller);
    error PriceBeyondLimit(int256 price, int256 limit);
    error SizeForbidden(int256 size);
    error MarginTooLow(int256 equity, int256 needed);

    constructor(address token_, int256 price_) {
        (owner, token, price) = (msg.sender, IToken(token_), price_);
        unit = int256(10 ** (18 - IToken(token_).decimals()));
    }

    modifier onlyOwner() {
        if (msg.sender != owner) revert NotOwner(msg.sender);
        _;
    }

    function setPrice(int256 price_) external onlyOwner {
        price = price_;
    }

    function setClosing(bool isClosing_) external onlyOwner {
        isClosing = isClosing_;
    }

    /// @param raw in the token's smallest unit
    function deposit(uint256 raw) external {
        accounts[msg.sender].collateral += int256(raw) * unit;
        token.transferFrom(msg.sender, address(this), raw);
    }

    /// @param raw in the token's smallest unit
    function withdraw(uint256 raw) external {
        accounts[msg.sender].collateral -= int256(raw) * unit;
        _requireMargin(msg.sender, INITIAL);
        token.transfer(msg.sender, raw);
    }

    /// @notice Buys (> 0) or sells at the price and a fee; `limit` is the worst average price, fee included.
    function trade(int256 size, int256 limit) external {
        Account storage account = accounts[msg.sender];
        uint256 amount = uint256(size < 0 ? -size : size);
        bool isSmaller = account.size * size < 0 && amount <= _abs(account.size);
        if (size == 0 || amount > MAX_TRADE || (isClosing && !isSmaller)) revert SizeForbidden(size);
        int256 paid = size * price / WAD;
        int256 fee = _ceil(int256(_abs(paid)) * FEE);
        int256 average = (paid + fee) * WAD / size;
        if (size > 0 ? average > limit : average < limit) revert PriceBeyondLimit(average, limit);
        account.quote -= fundingOf(msg.sender) + paid + fee;
        account.size += size;
        account.since = block.timestamp;
        if (!isSmaller) _requireMargin(msg.sender, INITIAL);
        emit Traded(msg.sender, size, paid, fee);
    }

    /// @notice What the account owes since it last traded; below 0 it is owed.
    function fundingOf(address holder) public view returns (int256) {
        Account storage account = accounts[holder];
        int256 age = int256(block.timestamp - account.since);
        return account.size * price / WAD * FUNDING * age / WAD;
    }

    function equityOf(address holder) public view returns (int256) {
        Account storage account = accounts[holder];
        return account.collateral + account.quote + account.size * price / WAD - fundingOf(holder);
    }

    function requirementOf(address holder) public view returns (int256) {
        return int256(_abs(accounts[holder].size)) * price / WAD * MAINTENANCE / WAD;
    }

    /// @notice The predicate: whoever calls may then take the account over.
    function isLiquidatable(address holder) external view returns (bool) {
        return equityOf(holder) < requirementOf(holder);
    }

    function _requireMargin(address holder, int256 ratio) internal view {
        int256 needed = int256(_abs(accounts[holder].size)) * price / WAD * ratio / WAD;
        int256 equity = equityOf(holder);
        if (equity < needed) revert MarginTooLow(equity, needed);
    }

    function _abs(int256 value) internal pure returns (uint256) {
        return uint256(value < 0 ? -value : value);
    }

    function _ceil(int256 value) internal pure returns (int256) {
        return (value + WAD - 1) / WAD;
    }
}
