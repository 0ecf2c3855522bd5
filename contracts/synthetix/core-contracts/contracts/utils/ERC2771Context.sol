// SPDX-License-Identifier: Apache-2.0
pragma solidity >=0.8.22 <0.9.0;

/// @title Who calls: nobody forwards for anybody else on the local chain
library ERC2771Context {
    function _msgSender() internal view returns (address) {
        return msg.sender;
    }

    function _msgData() internal pure returns (bytes calldata) {
        return msg.data;
    }
}
