// SPDX-License-Identifier: Apache-2.0
pragma solidity >=0.8.22 <0.9.0;

/// @title Passes on why a call failed
library RevertUtil {
    error Errors(bytes[] reasons);

    function revertIfError(bytes memory reason) internal pure {
        if (reason.length > 0) revertWithReason(reason);
    }

    function revertManyIfError(bytes[] memory reasons) internal pure {
        for (uint256 i = 0; i < reasons.length; i++) {
            if (reasons[i].length > 0) revert Errors(reasons);
        }
    }

    function revertWithReason(bytes memory reason) internal pure {
        assembly {
            revert(add(reason, 32), mload(reason))
        }
    }
}
