// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

interface IToken {
    function balanceOf(address holder) external view returns (uint256);
    function transfer(address to, uint256 value) external returns (bool);
    function transferFrom(address from, address to, uint256 value) external returns (bool);
}

interface IWrapped is IToken {
    function deposit() external payable;
    function withdraw(uint256 value) external;
}

/// @title The local chain's stand-in for GMX v2's OrderVault: what travels with orders waits here
contract GmxVault {
    address public immutable owner;
    address public handler;
    mapping(address token => uint256) public tokenBalances;

    error NotHandler(address caller);

    constructor() {
        owner = msg.sender;
    }

    function serve(address handler_) external {
        if (msg.sender != owner) revert NotHandler(msg.sender);
        handler = handler_;
    }

    /// @notice What has come in of `token` since it was last asked.
    function recordTransferIn(address token) external returns (uint256) {
        if (msg.sender != handler) revert NotHandler(msg.sender);
        uint256 before = tokenBalances[token];
        tokenBalances[token] = IToken(token).balanceOf(address(this));
        return tokenBalances[token] - before;
    }

    function transferOut(address token, address receiver, uint256 amount) external {
        if (msg.sender != handler) revert NotHandler(msg.sender);
        IToken(token).transfer(receiver, amount);
        tokenBalances[token] = IToken(token).balanceOf(address(this));
    }
}

/// @title The local chain's stand-in for GMX v2's Router: the one address that users approve
contract GmxRouter {
    address public immutable owner;
    address public plugin;

    error NotPlugin(address caller);

    constructor() {
        owner = msg.sender;
    }

    function serve(address plugin_) external {
        if (msg.sender != owner) revert NotPlugin(msg.sender);
        plugin = plugin_;
    }

    function pluginTransfer(address token, address account, address receiver, uint256 amount) external {
        if (msg.sender != plugin) revert NotPlugin(msg.sender);
        IToken(token).transferFrom(account, receiver, amount);
    }
}
