// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IHedgeExecutor} from "../interfaces/IHedgeExecutor.sol";
import {ReturnData} from "./ReturnData.sol";

/// @title Proves bounds on sums of words that contracts answer
library Checks {
    int256 private constant WAD = 1e18;
    uint256 private constant WORD_TIMESTAMP = 0;
    uint256 private constant WORD_BALANCE = 1;

    /// @notice Reverts unless every check holds. `post` and the indexes only serve the errors.
    function prove(IHedgeExecutor.Check[] memory checks, bool post) internal view {
        for (uint256 i; i < checks.length; ++i) {
            IHedgeExecutor.Check memory check = checks[i];
            int256 sum = _sum(check.terms, post, i);
            // An integer bound holds for sum / 1e18 exactly when it holds for the quotient rounded away from
            // the inside: down against the lower bound, up against the upper one.
            int256 down = sum / WAD;
            int256 up = down;
            int256 rest = sum % WAD;
            if (rest < 0) --down;
            if (rest > 0) ++up;
            if (down < check.lower) {
                revert IHedgeExecutor.CheckFailed(post, i, down, check.lower, check.upper);
            }
            if (up > check.upper) {
                revert IHedgeExecutor.CheckFailed(post, i, up, check.lower, check.upper);
            }
        }
    }

    function _sum(IHedgeExecutor.Term[] memory terms, bool post, uint256 check)
        private
        view
        returns (int256 sum)
    {
        for (uint256 i; i < terms.length; ++i) {
            IHedgeExecutor.Term memory term = terms[i];
            int256 word = _read(term, post, check, i);
            if (!term.isSigned && word < 0) revert IHedgeExecutor.CheckOverflow(post, check, i);
            int256 multiplier = term.multiplierWad;
            unchecked {
                int256 product = word * multiplier;
                // word != -1: that division alone cannot see min * -1 wrap.
                bool fits =
                    word == 0 || (word == -1 ? multiplier != type(int256).min : product / word == multiplier);
                int256 next = sum + product;
                // The sum wrapped if both summands have one sign and it has the other.
                if (!fits || ((sum ^ next) & (product ^ next)) < 0) {
                    revert IHedgeExecutor.CheckOverflow(post, check, i);
                }
                sum = next;
            }
        }
    }

    function _read(IHedgeExecutor.Term memory term, bool post, uint256 check, uint256 index)
        private
        view
        returns (int256)
    {
        (address target, uint256 word) = (term.target, term.word);
        if (target == address(0)) {
            if (word == WORD_TIMESTAMP) return int256(block.timestamp);
            if (word == WORD_BALANCE) return int256(address(this).balance);
            revert IHedgeExecutor.ReadUnknown(post, check, index, term.word);
        }
        if (target.code.length == 0) {
            revert IHedgeExecutor.ReadTargetHasNoCode(post, check, index, target);
        }
        (bool ok, uint256 size) = _staticCall(target, term.data);
        if (!ok) revert IHedgeExecutor.ReadFailed(post, check, index, target, ReturnData.take());
        if (size < (word + 1) * 32) revert IHedgeExecutor.ReadTooShort(post, check, index, size);
        return ReturnData.word(word);
    }

    function _staticCall(address target, bytes memory data) private view returns (bool ok, uint256 size) {
        assembly ("memory-safe") {
            ok := staticcall(gas(), target, add(data, 0x20), mload(data), 0, 0)
            size := returndatasize()
        }
    }
}
