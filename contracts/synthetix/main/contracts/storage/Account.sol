// SPDX-License-Identifier: Apache-2.0
pragma solidity >=0.8.22 <0.9.0;

import {AssociatedSystem} from "@synthetixio/core-modules/contracts/storage/AssociatedSystem.sol";
import {IERC721} from "@synthetixio/core-contracts/contracts/interfaces/IERC721.sol";
import {ERC2771Context} from "@synthetixio/core-contracts/contracts/utils/ERC2771Context.sol";

/// @title An account is a token, and its holder may do everything with it
/// @dev The core keeps owners and permissions in storage of its own; here the token itself is asked.
library Account {
    error AccountNotFound(uint128 accountId);
    error PermissionDenied(uint128 accountId, bytes32 permission, address target);

    struct Data {
        uint128 id;
    }

    bytes32 internal constant TOKEN = "accountNft";

    function load(uint128 id) internal pure returns (Data storage account) {
        bytes32 slot = keccak256(abi.encode("evenkeel.stand-in.Account", id));
        assembly {
            account.slot := slot
        }
    }

    function exists(uint128 id) internal view {
        if (load(id).id == 0) revert AccountNotFound(id);
    }

    function owner(uint128 id) internal view returns (address) {
        return IERC721(AssociatedSystem.load(TOKEN).proxy).ownerOf(id);
    }

    function loadAccountAndValidatePermission(uint128 id, bytes32 permission)
        internal
        view
        returns (Data storage account)
    {
        account = load(id);
        if (owner(id) != ERC2771Context._msgSender()) {
            revert PermissionDenied(id, permission, ERC2771Context._msgSender());
        }
    }
}
