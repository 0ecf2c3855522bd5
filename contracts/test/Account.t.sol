// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {HedgeExecutor} from "../src/HedgeExecutor.sol";
import {IHedgeExecutor} from "../src/interfaces/IHedgeExecutor.sol";
import {Fixture} from "./Fixture.sol";
import {Reenterer, Venue} from "./Venue.sol";

interface IReceivers {
    function onERC721Received(address, address, uint256, bytes calldata) external returns (bytes4);
    function onERC1155Received(address, address, uint256, uint256, bytes calldata) external returns (bytes4);
    function onERC1155BatchReceived(address, address, uint256[] calldata, uint256[] calldata, bytes calldata)
        external
        returns (bytes4);
    function supportsInterface(bytes4 id) external view returns (bool);
}

/// @title The account: whose it is, where it keeps things, what it answers
contract AccountTest is Fixture {
    uint256 private constant OTHER_KEY = 0xB0B;

    // --- delegation ---------------------------------------------------------------------------------

    function test_an_account_that_delegates_by_eip7702_owns_itself_and_can_hedge() public {
        address eoa = vm.addr(OTHER_KEY);
        vm.assertEq(eoa.code.length, 0);
        bytes memory data = hedgeData(ID, list(buy(1)));
        vm.signAndAttachDelegation(address(implementation), OTHER_KEY);
        vm.prank(eoa, eoa);
        IHedgeExecutor(eoa).execute(HEDGE, data);
        vm.assertEq(eoa.code, abi.encodePacked(hex"ef0100", address(implementation)));
        vm.assertEq(IHedgeExecutor(eoa).owner(), eoa);
        vm.assertEq(venue.bought(), 1);
        vm.assertTrue(IHedgeExecutor(eoa).isConsumed(ID));
        vm.assertFalse(IHedgeExecutor(address(implementation)).isConsumed(ID));
        vm.assertFalse(account.isConsumed(ID));
    }

    function test_calldata_sent_before_delegation_succeeds_and_does_nothing() public {
        address eoa = vm.addr(OTHER_KEY);
        vm.prank(eoa, eoa);
        (bool ok,) = eoa.call(abi.encodeCall(IHedgeExecutor.execute, (HEDGE, hedgeData(ID, list(buy(1))))));
        vm.assertTrue(ok);
        vm.assertEq(venue.bought(), 0);
    }

    function test_a_delegating_account_is_not_owned_by_the_owner_of_the_code_it_delegates_to() public {
        HedgeExecutor owned = new HedgeExecutor(stranger);
        vm.etch(address(account), abi.encodePacked(hex"ef0100", address(owned)));
        vm.assertEq(account.owner(), address(account));
        bytes memory data = hedgeData(ID, list(buy(1)));
        vm.expectRevert(abi.encodeWithSelector(IHedgeExecutor.Unauthorized.selector, stranger));
        asStranger().execute(HEDGE, data);
    }

    function test_the_implementation_obeys_nobody() public {
        vm.assertEq(implementation.owner(), address(implementation));
        bytes memory data = hedgeData(ID, list(buy(1)));
        vm.expectRevert(abi.encodeWithSelector(IHedgeExecutor.Unauthorized.selector, address(this)));
        implementation.execute(HEDGE, data);
    }

    function test_delegating_again_keeps_intents_consumed_and_revoked_sessions_revoked() public {
        asOwner().setSession(key, session());
        asOwner().execute(HEDGE, hedgeData(ID, list(buy(1))));
        asOwner().revokeAllSessions();
        vm.etch(address(account), "");
        vm.etch(address(account), abi.encodePacked(hex"ef0100", address(new HedgeExecutor(address(0)))));
        vm.assertTrue(account.isConsumed(ID));
        bytes memory data = hedgeData(keccak256("2"), list(buy(1)));
        vm.expectRevert(abi.encodeWithSelector(IHedgeExecutor.Unauthorized.selector, key));
        asKey().execute(HEDGE, data);
    }

    // --- deployed -----------------------------------------------------------------------------------

    function test_a_deployed_account_obeys_its_owner_only() public {
        HedgeExecutor deployed = new HedgeExecutor(stranger);
        vm.assertEq(deployed.owner(), stranger);
        bytes memory data = hedgeData(ID, list(buy(1)));
        vm.expectRevert(abi.encodeWithSelector(IHedgeExecutor.Unauthorized.selector, address(account)));
        vm.prank(address(account));
        deployed.execute(HEDGE, data);
        vm.prank(stranger);
        deployed.execute(HEDGE, data);
        vm.assertEq(venue.bought(), 1);
    }

    function test_a_deployed_account_cannot_call_itself_or_take_itself_as_a_key() public {
        HedgeExecutor deployed = new HedgeExecutor(stranger);
        bytes memory escalation = abi.encodeCall(IHedgeExecutor.revokeAllSessions, ());
        bytes memory data = abi.encode(list(call(address(deployed), escalation)));
        vm.startPrank(stranger);
        vm.expectRevert(abi.encodeWithSelector(IHedgeExecutor.SelfCallForbidden.selector, 0));
        deployed.execute(PLAIN, data);
        vm.expectRevert(
            abi.encodeWithSelector(IHedgeExecutor.SessionKeyForbidden.selector, address(deployed))
        );
        deployed.setSession(address(deployed), session());
        vm.expectRevert(abi.encodeWithSelector(IHedgeExecutor.SessionKeyForbidden.selector, stranger));
        deployed.setSession(stranger, session());
        vm.stopPrank();
    }

    /// @dev The owner is a contract which a session key may touch, and which would then widen the session.
    function test_no_power_changes_while_a_batch_runs() public {
        Reenterer owner = new Reenterer();
        IHedgeExecutor deployed = new HedgeExecutor(address(owner));
        IHedgeExecutor.Session memory narrow = only(rule(address(owner), Reenterer.touch.selector, 0, 0));
        bytes[4] memory changes = [
            abi.encodeCall(IHedgeExecutor.setSession, (key, session())),
            abi.encodeCall(IHedgeExecutor.revokeSession, (key)),
            abi.encodeCall(IHedgeExecutor.revokeAllSessions, ()),
            abi.encodeCall(IHedgeExecutor.cancelIntent, (keccak256("other")))
        ];
        owner.relay(address(deployed), abi.encodeCall(IHedgeExecutor.setSession, (key, narrow)));
        bytes memory data = hedgeData(ID, list(call(address(owner), abi.encodeCall(Reenterer.touch, ()))));
        for (uint256 i; i < changes.length; ++i) {
            owner.prepare(address(deployed), changes[i]);
            vm.prank(key);
            (bool ok, bytes memory raw) =
                address(deployed).call(abi.encodeCall(IHedgeExecutor.execute, (HEDGE, data)));
            vm.assertFalse(ok);
            (,, address target, bytes memory reason,) = failure(raw);
            vm.assertEq(target, address(owner));
            vm.assertEq(reason, abi.encodeWithSelector(IHedgeExecutor.Reentered.selector));
            vm.assertEq(owner.touched(), 0);
        }
        owner.prepare(address(0), "");
        vm.prank(key);
        deployed.execute(HEDGE, data);
        vm.assertEq(owner.touched(), 1);
        for (uint256 i; i < changes.length; ++i) {
            owner.relay(address(deployed), changes[i]); // outside a batch each is the owner's right
        }
    }

    // --- storage ------------------------------------------------------------------------------------

    function test_storage_lies_where_erc7201_says_and_the_first_slots_stay_empty() public {
        asOwner().setSession(key, session());
        asOwner().execute(HEDGE, hedgeData(ID, list(buy(1))));
        for (uint256 i; i < 32; ++i) {
            vm.assertEq(vm.load(address(account), bytes32(i)), bytes32(0));
        }
        bytes32 root = keccak256(abi.encode(uint256(keccak256("evenkeel.storage.HedgeExecutor")) - 1))
            & ~bytes32(uint256(0xff));
        bytes32 consumed = keccak256(abi.encode(ID, uint256(root) + 1));
        vm.assertEq(vm.load(address(account), consumed), bytes32(uint256(1)));
        HedgeExecutor deployed = new HedgeExecutor(stranger);
        vm.assertEq(vm.load(address(deployed), root), bytes32(uint256(uint160(stranger))));
    }

    // --- ERC-1271 -----------------------------------------------------------------------------------

    function testFuzz_a_delegated_accounts_own_signature_is_valid(bytes32 hash) public view {
        vm.assertEq(bytes32(account.isValidSignature(hash, sign(ACCOUNT_KEY, hash))), valid());
    }

    function testFuzz_any_other_signature_is_not(bytes32 hash, bytes32 other, uint128 signer) public view {
        vm.assume(signer != 0 && signer != ACCOUNT_KEY && hash != other);
        vm.assertEq(bytes32(account.isValidSignature(hash, sign(signer, hash))), invalid());
        vm.assertEq(bytes32(account.isValidSignature(other, sign(ACCOUNT_KEY, hash))), invalid());
    }

    function testFuzz_malformed_signatures_are_invalid_and_do_not_revert(bytes32 hash, bytes memory signature)
        public
        view
    {
        vm.assertEq(bytes32(account.isValidSignature(hash, signature)), invalid());
    }

    function testFuzz_a_signature_with_any_byte_of_v_but_its_own_is_invalid(bytes32 hash, uint8 v)
        public
        view
    {
        (uint8 own, bytes32 r, bytes32 s) = vm.sign(ACCOUNT_KEY, hash);
        vm.assume(v != own);
        vm.assertEq(bytes32(account.isValidSignature(hash, abi.encodePacked(r, s, v))), invalid());
    }

    function testFuzz_the_malleable_twin_of_a_signature_is_invalid(bytes32 hash) public view {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(ACCOUNT_KEY, hash);
        uint256 order = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141;
        bytes32 twin = bytes32(order - uint256(s));
        vm.assertEq(ecrecover(hash, 55 - v, r, twin), address(account));
        vm.assertEq(
            bytes32(account.isValidSignature(hash, abi.encodePacked(r, twin, uint8(55 - v)))), invalid()
        );
    }

    function test_compact_and_padded_signatures_are_invalid() public view {
        bytes memory signature = sign(ACCOUNT_KEY, ID);
        vm.assertEq(bytes32(account.isValidSignature(ID, abi.encodePacked(signature, uint8(0)))), invalid());
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(ACCOUNT_KEY, ID);
        bytes32 vs = bytes32(uint256(s) | (uint256(v - 27) << 255));
        vm.assertEq(bytes32(account.isValidSignature(ID, abi.encodePacked(r, vs))), invalid());
    }

    /// @dev Otherwise what the owner signed for its own account would also count here.
    function testFuzz_a_deployed_accounts_owner_signs_for_this_account_and_chain(bytes32 hash) public {
        address signer = vm.addr(OTHER_KEY);
        HedgeExecutor one = new HedgeExecutor(signer);
        HedgeExecutor two = new HedgeExecutor(signer);
        bytes memory signature = sign(OTHER_KEY, one.accountMessageHash(hash));
        vm.assertEq(bytes32(one.isValidSignature(hash, signature)), valid());
        vm.assertEq(bytes32(two.isValidSignature(hash, signature)), invalid());
        vm.assertEq(bytes32(one.isValidSignature(hash, sign(OTHER_KEY, hash))), invalid());
        vm.chainId(4242);
        vm.assertEq(bytes32(one.isValidSignature(hash, signature)), invalid());
    }

    function test_a_session_key_cannot_sign() public {
        address signer = vm.addr(OTHER_KEY);
        asOwner().setSession(signer, session());
        vm.assertEq(bytes32(account.isValidSignature(ID, sign(OTHER_KEY, ID))), invalid());
    }

    // --- receivers ----------------------------------------------------------------------------------

    function test_tokens_and_native_currency_may_be_sent_to_the_account() public {
        IReceivers receiver = IReceivers(address(account));
        uint256[] memory empty = new uint256[](0);
        vm.assertEq(bytes32(receiver.onERC721Received(key, key, 1, "x")), bytes32(bytes4(0x150b7a02)));
        vm.assertEq(bytes32(receiver.onERC1155Received(key, key, 1, 1, "x")), bytes32(bytes4(0xf23a6e61)));
        vm.assertEq(
            bytes32(receiver.onERC1155BatchReceived(key, key, empty, empty, "x")), bytes32(bytes4(0xbc197c81))
        );
        vm.deal(stranger, 1 ether);
        vm.prank(stranger);
        (bool ok,) = address(account).call{value: 1 ether}("");
        vm.assertTrue(ok);
        vm.assertEq(address(account).balance, 11 ether);
    }

    function testFuzz_calldata_that_is_no_function_reverts(bytes memory data) public {
        vm.assume(data.length > 0);
        (bool ok,) = address(account).call(data);
        vm.assertFalse(ok);
    }

    function testFuzz_interfaces_are_named_by_erc165(bytes4 id) public view {
        IReceivers receiver = IReceivers(address(account));
        vm.assertTrue(receiver.supportsInterface(0x01ffc9a7));
        vm.assertTrue(receiver.supportsInterface(0x150b7a02));
        vm.assertTrue(receiver.supportsInterface(0x4e2312e0));
        vm.assertTrue(receiver.supportsInterface(0x1626ba7e));
        vm.assertFalse(receiver.supportsInterface(0xffffffff));
        bool known = id == 0x01ffc9a7 || id == 0x150b7a02 || id == 0x4e2312e0 || id == 0x1626ba7e
            || id == (IHedgeExecutor.execute.selector ^ IHedgeExecutor.supportsExecutionMode.selector);
        vm.assertTrue(receiver.supportsInterface(id) == known);
    }

    // --- inside -------------------------------------------------------------------------------------

    function sign(uint256 signer, bytes32 hash) private pure returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(signer, hash);
        return abi.encodePacked(r, s, v);
    }

    function valid() private pure returns (bytes32) {
        return bytes32(bytes4(0x1626ba7e));
    }

    function invalid() private pure returns (bytes32) {
        return bytes32(bytes4(0xffffffff));
    }
}
