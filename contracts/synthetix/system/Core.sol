// SPDX-License-Identifier: Apache-2.0
pragma solidity >=0.8.22 <0.9.0;

import {OwnableStorage} from "@synthetixio/core-contracts/contracts/ownership/OwnableStorage.sol";
import {AssociatedSystemsModule} from "@synthetixio/core-modules/contracts/modules/AssociatedSystemsModule.sol";
import {AssociatedSystem} from "@synthetixio/core-modules/contracts/storage/AssociatedSystem.sol";
import {ITokenModule} from "@synthetixio/core-modules/contracts/interfaces/ITokenModule.sol";
import {INodeModule} from "@synthetixio/oracle-manager/contracts/interfaces/INodeModule.sol";
import {IMarketManagerModule} from "@synthetixio/main/contracts/interfaces/IMarketManagerModule.sol";
import {IMarketCollateralModule} from "@synthetixio/main/contracts/interfaces/IMarketCollateralModule.sol";
import {IVaultModule} from "@synthetixio/main/contracts/interfaces/IVaultModule.sol";

/// @title The core as the markets see it: dollars, collateral and a line of credit without anybody behind it
contract Core is AssociatedSystemsModule, IMarketManagerModule, IMarketCollateralModule, IVaultModule {
    bytes32 private constant USD = "USDToken";

    INodeModule private immutable oracle;
    uint128 private markets;
    mapping(uint128 marketId => address) private marketOf;
    /// @dev What a market may take: its line of credit, plus dollars paid in less dollars paid out.
    mapping(uint128 marketId => int256) private withdrawableUsd;
    mapping(uint128 marketId => mapping(address token => uint256)) private held;
    mapping(uint128 marketId => address[]) private tokensOf;
    mapping(address token => bytes32) private nodeOf;

    error NotTheMarket(uint128 marketId, address caller);
    error AllowanceTooLow(address owner, uint256 allowed, uint256 asked);
    error NotEnoughCredit(uint128 marketId, uint256 withdrawable, uint256 asked);

    constructor(address owner, INodeModule oracle_) {
        OwnableStorage.load().owner = owner;
        oracle = oracle_;
    }

    modifier onlyMarket(uint128 marketId) {
        if (marketOf[marketId] != msg.sender) revert NotTheMarket(marketId, msg.sender);
        _;
    }

    // --- what the owner of the local chain does ---

    function mintUsd(address to, uint256 amount) external {
        OwnableStorage.onlyOwner();
        _usd().mint(to, amount);
    }

    function setCredit(uint128 marketId, int256 amount) external {
        OwnableStorage.onlyOwner();
        withdrawableUsd[marketId] = amount;
    }

    function setCollateralNode(address token, bytes32 nodeId) external {
        OwnableStorage.onlyOwner();
        nodeOf[token] = nodeId;
    }

    // --- what markets do ---

    function registerMarket(address market) external override returns (uint128 marketId) {
        marketId = ++markets;
        marketOf[marketId] = market;
    }

    function depositMarketUsd(uint128 marketId, address target, uint256 amount)
        external
        override
        onlyMarket(marketId)
        returns (uint256)
    {
        uint256 allowed = _usd().allowance(target, msg.sender);
        if (allowed < amount) revert AllowanceTooLow(target, allowed, amount);
        _usd().setAllowance(target, msg.sender, allowed - amount);
        withdrawableUsd[marketId] += int256(amount);
        _usd().burn(target, amount);
        return 0;
    }

    function withdrawMarketUsd(uint128 marketId, address target, uint256 amount)
        external
        override
        onlyMarket(marketId)
        returns (uint256)
    {
        uint256 most = getWithdrawableMarketUsd(marketId);
        if (amount > most) revert NotEnoughCredit(marketId, most, amount);
        withdrawableUsd[marketId] -= int256(amount);
        _usd().mint(target, amount);
        return 0;
    }

    function depositMarketCollateral(uint128 marketId, address token, uint256 amount)
        external
        override
        onlyMarket(marketId)
    {
        if (held[marketId][token] == 0) tokensOf[marketId].push(token);
        held[marketId][token] += amount;
        ITokenModule(token).transferFrom(msg.sender, address(this), amount);
    }

    function withdrawMarketCollateral(uint128 marketId, address token, uint256 amount)
        external
        override
        onlyMarket(marketId)
    {
        held[marketId][token] -= amount;
        if (held[marketId][token] == 0) _forget(marketId, token);
        ITokenModule(token).transfer(msg.sender, amount);
    }

    // --- what they read ---

    function getWithdrawableMarketUsd(uint128 marketId) public view override returns (uint256) {
        int256 total = withdrawableUsd[marketId];
        address[] storage tokens = tokensOf[marketId];
        for (uint256 i = 0; i < tokens.length; i++) {
            int256 price = oracle.process(nodeOf[tokens[i]]).price;
            total += (int256(held[marketId][tokens[i]]) * price) / 1e18;
        }
        return total > 0 ? uint256(total) : 0;
    }

    function getMarketCollateralAmount(uint128 marketId, address token)
        external
        view
        override
        returns (uint256)
    {
        return held[marketId][token];
    }

    /// @notice Nobody delegates anything to a market here.
    function getMarketCollateral(uint128) external pure override returns (uint256) {
        return 0;
    }

    function getOracleManager() external view override returns (INodeModule) {
        return oracle;
    }

    function getUsdToken() external view returns (address) {
        return address(_usd());
    }

    /// @notice One unit of everything is delegated: the distributor shares out evenly.
    function getVaultCollateral(uint128, address) external pure override returns (uint256, uint256) {
        return (1e18, 1e18);
    }

    function _usd() private view returns (ITokenModule) {
        return ITokenModule(AssociatedSystem.load(USD).proxy);
    }

    function _forget(uint128 marketId, address token) private {
        address[] storage tokens = tokensOf[marketId];
        for (uint256 i = 0; i < tokens.length; i++) {
            if (tokens[i] == token) {
                tokens[i] = tokens[tokens.length - 1];
                tokens.pop();
                return;
            }
        }
    }
}
