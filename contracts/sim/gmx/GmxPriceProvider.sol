// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

interface IFeed {
    function decimals() external view returns (uint8);
    function latestRoundData() external view returns (uint80, int256, uint256, uint256, uint80);
}

/// @title Prices for a local chain's GMX: a feed with a spread around it, or what the keeper hands in
/// @dev Has the shape that GMX v2's Oracle asks its providers in, so it serves the real one too.
contract GmxPriceProvider {
    struct Source {
        IFeed feed; // none: `fixedPrice`
        uint8 tokenDecimals;
        uint32 spreadPpm; // half of the whole spread
        uint256 fixedPrice; // USD per smallest unit at 30 decimals
    }

    struct ValidatedPrice {
        address token;
        uint256 min;
        uint256 max;
        uint256 timestamp;
        address provider;
    }

    uint256 private constant PPM = 1e6;
    address public immutable owner;
    mapping(address token => Source) public sources;

    error NotOwner(address caller);
    error NoPrice(address token);

    constructor() {
        owner = msg.sender;
    }

    function setSource(address token, Source calldata source) external {
        if (msg.sender != owner) revert NotOwner(msg.sender);
        sources[token] = source;
    }

    /// @notice `data` is empty, or the lowest and the highest price to use instead.
    function getOraclePrice(address token, bytes memory data) external view returns (ValidatedPrice memory) {
        (uint256 min, uint256 max) =
            data.length == 0 ? price(token) : abi.decode(data, (uint256, uint256));
        return ValidatedPrice(token, min, max, block.timestamp, address(this));
    }

    function price(address token) public view returns (uint256 min, uint256 max) {
        Source memory source = sources[token];
        uint256 middle = source.fixedPrice;
        if (address(source.feed) != address(0)) {
            (, int256 answer,,,) = source.feed.latestRoundData();
            if (answer <= 0) revert NoPrice(token);
            middle = uint256(answer) * 10 ** (30 - source.tokenDecimals) / 10 ** source.feed.decimals();
        }
        if (middle == 0) revert NoPrice(token);
        return (middle * (PPM - source.spreadPpm) / PPM, middle * (PPM + source.spreadPpm) / PPM);
    }

    function shouldAdjustTimestamp() external pure returns (bool) {
        return false;
    }

    function isChainlinkOnChainProvider() external pure returns (bool) {
        return false;
    }
}
