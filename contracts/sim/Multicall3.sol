// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @title What the Multicall3 of public chains answers to the two functions that we ask it
/// @notice For chains that have none; the real one is at the same address on nearly every chain.
contract Multicall3 {
    struct Call3 {
        address target;
        bool allowFailure;
        bytes callData;
    }

    struct Result {
        bool success;
        bytes returnData;
    }

    error CallFailed(uint256 index);

    function aggregate3(Call3[] calldata calls) external payable returns (Result[] memory results) {
        results = new Result[](calls.length);
        for (uint256 index; index < calls.length; ++index) {
            (bool success, bytes memory data) = calls[index].target.call(calls[index].callData);
            if (!success && !calls[index].allowFailure) revert CallFailed(index);
            results[index] = Result(success, data);
        }
    }

    function getCurrentBlockTimestamp() external view returns (uint256) {
        return block.timestamp;
    }
}
