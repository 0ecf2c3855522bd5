// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @title Referral discounts for a local chain's GMX: one tier, given to whom the owner says
contract GmxReferrals {
    address public immutable owner;
    uint256 public totalRebate; // of the fee, in basis points
    uint256 public discountShare; // of the rebate, to the trader, in basis points
    mapping(address trader => bytes32) public traderReferralCodes;
    mapping(bytes32 code => address) public codeOwners;
    mapping(address referrer => uint256) public referrerTiers;
    mapping(address referrer => uint256) public referrerDiscountShares;

    error NotOwner(address caller);

    constructor() {
        owner = msg.sender;
    }

    function refer(address trader, uint256 totalRebate_, uint256 discountShare_) external {
        if (msg.sender != owner) revert NotOwner(msg.sender);
        (totalRebate, discountShare) = (totalRebate_, discountShare_);
        traderReferralCodes[trader] = bytes32(uint256(1));
        codeOwners[bytes32(uint256(1))] = owner;
    }

    function tiers(uint256) external view returns (uint256, uint256) {
        return (totalRebate, discountShare);
    }

    function setTraderReferralCode(address, bytes32) external pure {}
}
