// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @title A price feed for the local chain in the shape of Chainlink's AggregatorV3
/// @dev Round ids start at 1 and rise by one. Prices have `decimals` decimals.
contract PriceAggregator {
    struct Round {
        int256 answer;
        uint64 startedAt;
        uint64 updatedAt;
    }

    uint256 public constant version = 4;
    uint8 public immutable decimals;
    string public description;
    /// @notice The only account that sets answers.
    address public immutable keeper;
    /// @notice The newest round; 0 before the first answer.
    uint80 public latestRound;
    mapping(uint80 roundId => Round) private rounds;

    event AnswerUpdated(int256 indexed current, uint256 indexed roundId, uint256 updatedAt);
    event NewRound(uint256 indexed roundId, address indexed startedBy, uint256 startedAt);

    error NotKeeper(address caller);
    error RoundUnknown(uint80 roundId);
    error TimestampInFuture(uint64 updatedAt, uint256 timestamp);
    error TimestampNotRising(uint64 updatedAt, uint64 latest);

    constructor(string memory description_, uint8 decimals_, address keeper_) {
        (description, decimals, keeper) = (description_, decimals_, keeper_);
    }

    /// @notice Opens a round with this answer as of now. Keeper only.
    function setAnswer(int256 answer) external {
        _set(answer, uint64(block.timestamp));
    }

    /// @notice Opens a round as of a past time, to show what a late feed does. Keeper only.
    function setAnswerAt(int256 answer, uint64 updatedAt) external {
        _set(answer, updatedAt);
    }

    function latestRoundData()
        external
        view
        returns (uint80 roundId, int256 answer, uint256 startedAt, uint256 updatedAt, uint80 answeredInRound)
    {
        return getRoundData(latestRound);
    }

    function latestAnswer() external view returns (int256) {
        return rounds[latestRound].answer;
    }

    function latestTimestamp() external view returns (uint256) {
        return rounds[latestRound].updatedAt;
    }

    function getRoundData(uint80 id)
        public
        view
        returns (uint80 roundId, int256 answer, uint256 startedAt, uint256 updatedAt, uint80 answeredInRound)
    {
        Round memory round = rounds[id];
        if (round.updatedAt == 0) revert RoundUnknown(id);
        return (id, round.answer, round.startedAt, round.updatedAt, id);
    }

    function _set(int256 answer, uint64 updatedAt) private {
        if (msg.sender != keeper) revert NotKeeper(msg.sender);
        if (updatedAt > block.timestamp) revert TimestampInFuture(updatedAt, block.timestamp);
        uint64 latest = rounds[latestRound].updatedAt;
        if (updatedAt < latest || updatedAt == 0) revert TimestampNotRising(updatedAt, latest);
        uint80 id = ++latestRound;
        rounds[id] = Round(answer, updatedAt, updatedAt);
        emit NewRound(id, msg.sender, updatedAt);
        emit AnswerUpdated(answer, id, updatedAt);
    }
}
