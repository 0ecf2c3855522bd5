// SPDX-License-Identifier: Apache-2.0
pragma solidity >=0.8.22 <0.9.0;

import {OwnableStorage} from "@synthetixio/core-contracts/contracts/ownership/OwnableStorage.sol";

/// @title One address in front of many modules, as the protocol's generated routers are
contract Router {
    struct Table {
        mapping(bytes4 selector => address) moduleOf;
    }

    bytes32 private constant SLOT = keccak256("evenkeel.stand-in.Router");

    error UnknownSelector(bytes4 selector);

    /// @param modules as many as `counts`; the next `counts[i]` of `selectors` are of `modules[i]`.
    constructor(
        address owner,
        address[] memory modules,
        uint256[] memory counts,
        bytes4[] memory selectors
    ) {
        OwnableStorage.load().owner = owner;
        uint256 next = 0;
        for (uint256 i = 0; i < modules.length; i++) {
            for (uint256 n = counts[i]; n > 0; n--) {
                _table().moduleOf[selectors[next++]] = modules[i];
            }
        }
    }

    fallback() external payable {
        address module = _table().moduleOf[msg.sig];
        if (module == address(0)) revert UnknownSelector(msg.sig);
        assembly {
            calldatacopy(0, 0, calldatasize())
            let ok := delegatecall(gas(), module, 0, calldatasize(), 0, 0)
            returndatacopy(0, 0, returndatasize())
            switch ok
            case 0 { revert(0, returndatasize()) }
            default { return(0, returndatasize()) }
        }
    }

    function _table() private pure returns (Table storage table) {
        bytes32 slot = SLOT;
        assembly {
            table.slot := slot
        }
    }
}
