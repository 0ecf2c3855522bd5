// SPDX-License-Identifier: Apache-2.0
pragma solidity >=0.8.22 <0.9.0;

/// @title Whether stale prices are to be forgiven: never
library ForkDetector {
    function isDevFork() internal pure returns (bool) {
        return false;
    }
}
