// SPDX-License-Identifier: Apache-2.0
pragma solidity >=0.8.22 <0.9.0;

import {AssociatedSystem} from "@synthetixio/core-modules/contracts/storage/AssociatedSystem.sol";
import {INftModule} from "@synthetixio/core-modules/contracts/interfaces/INftModule.sol";
import {Account} from "@synthetixio/main/contracts/storage/Account.sol";

/// @title Makes accounts, as the module of the same name of the core does for the perps market
contract AccountModule {
    event AccountCreated(uint128 indexed accountId, address indexed owner);

    function createAccount(uint128 requestedAccountId) external {
        INftModule(getAccountTokenAddress()).mint(msg.sender, requestedAccountId);
        Account.load(requestedAccountId).id = requestedAccountId;
        emit AccountCreated(requestedAccountId, msg.sender);
    }

    function getAccountTokenAddress() public view returns (address) {
        return AssociatedSystem.load(Account.TOKEN).proxy;
    }

    function getAccountOwner(uint128 accountId) external view returns (address) {
        return Account.owner(accountId);
    }
}
