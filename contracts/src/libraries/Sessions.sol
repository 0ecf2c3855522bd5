// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IHedgeExecutor} from "../interfaces/IHedgeExecutor.sol";

/// @title What session keys may do, and how much of it they have done
/// @dev Every `set` opens a new epoch, and rules are stored under their epoch: replaced and revoked rules stay
/// in storage but nothing leads to them any more. Everything not expressly allowed is refused.
library Sessions {
    /// @dev One slot and a hash. Void when `epoch` is zero or not above the book's `revokedEpoch`.
    struct Header {
        uint64 expiry;
        uint32 usesLeft;
        uint16 guardCount;
        uint48 epoch;
        bytes32 guardsHash;
    }

    struct Book {
        uint48 lastEpoch;
        uint48 revokedEpoch;
        mapping(address key => Header) headers;
        mapping(uint256 epoch => mapping(bytes32 targetAndSelector => IHedgeExecutor.RuleState[])) rules;
    }

    // --- the owner's side ---------------------------------------------------------------------------

    /// @notice Gives `key` its powers, replacing what it had. Returns the hash of the guards.
    function set(Book storage book, address key, address owner, IHedgeExecutor.Session memory session)
        internal
        returns (bytes32 guardsHash)
    {
        if (key == address(0) || key == owner || key == address(this)) {
            revert IHedgeExecutor.SessionKeyForbidden(key);
        }
        uint256 count = session.rules.length;
        if (session.expiry <= block.timestamp || session.maxUses == 0 || count == 0) {
            revert IHedgeExecutor.SessionEmpty(session.expiry, session.maxUses, count);
        }
        if (session.guards.length > type(uint16).max) revert IHedgeExecutor.GuardsMissing(key);
        guardsHash = _hash(session.guards, session.guards.length);
        uint48 epoch = ++book.lastEpoch;
        book.headers[key] = Header({
            expiry: session.expiry,
            usesLeft: session.maxUses,
            guardCount: uint16(session.guards.length),
            epoch: epoch,
            guardsHash: guardsHash
        });
        for (uint256 i; i < count; ++i) {
            IHedgeExecutor.Rule memory rule = session.rules[i];
            if (rule.target == address(0) || rule.target == address(this) || rule.target == key) {
                revert IHedgeExecutor.RuleTargetForbidden(i, rule.target);
            }
            _requireRecipientPinned(rule, i);
            IHedgeExecutor.RuleState storage stored =
                book.rules[epoch][_ruleKey(rule.target, rule.selector)].push();
            stored.maxValue = rule.maxValue;
            for (uint256 j; j < rule.pins.length; ++j) {
                stored.pins.push(rule.pins[j]);
            }
            for (uint256 j; j < rule.caps.length; ++j) {
                stored.caps.push(IHedgeExecutor.CapState(rule.caps[j].word, rule.caps[j].max, 0));
            }
        }
    }

    /// @notice Takes the powers of `key` away.
    function revoke(Book storage book, address key) internal {
        delete book.headers[key];
    }

    /// @notice Takes every key's powers away.
    function revokeAll(Book storage book) internal {
        book.revokedEpoch = book.lastEpoch;
    }

    // --- the key's side -----------------------------------------------------------------------------

    /// @notice Reverts unless `key` may make these calls with these checks after them; books what they spend.
    function spend(
        Book storage book,
        address key,
        IHedgeExecutor.Call[] memory calls,
        IHedgeExecutor.Check[] memory post
    ) internal {
        Header memory header = book.headers[key];
        if (!_isLive(book, header.epoch)) revert IHedgeExecutor.Unauthorized(key);
        if (block.timestamp >= header.expiry) revert IHedgeExecutor.SessionExpired(key, header.expiry);
        if (header.usesLeft == 0) revert IHedgeExecutor.SessionExhausted(key);
        book.headers[key].usesLeft = header.usesLeft - 1;
        // A hedge without any check after it is not a hedge, whatever the guards.
        if (
            post.length == 0 || post.length < header.guardCount
                || _hash(post, header.guardCount) != header.guardsHash
        ) revert IHedgeExecutor.GuardsMissing(key);
        for (uint256 i; i < calls.length; ++i) {
            IHedgeExecutor.Call memory call = calls[i];
            IHedgeExecutor.RuleState storage rule = _find(book, header.epoch, call, i);
            if (call.value > 0) {
                uint256 spent = _saturatingAdd(rule.spentValue, call.value);
                if (spent > rule.maxValue) revert IHedgeExecutor.ValueExceeded(i, spent, rule.maxValue);
                rule.spentValue = spent;
            }
            for (uint256 j; j < rule.caps.length; ++j) {
                IHedgeExecutor.CapState storage cap = rule.caps[j];
                (uint16 word, uint256 max) = (cap.word, cap.max);
                (bool present, bytes32 value) = _argument(call.data, word);
                if (!present) revert IHedgeExecutor.CallNotAllowed(i, call.to, bytes4(call.data));
                uint256 spent = _saturatingAdd(cap.spent, uint256(value));
                if (spent > max) revert IHedgeExecutor.CapExceeded(i, word, spent, max);
                cap.spent = spent;
            }
        }
    }

    // --- views --------------------------------------------------------------------------------------

    /// @notice The session of `key`; all zero if it has none.
    function stateOf(Book storage book, address key)
        internal
        view
        returns (IHedgeExecutor.SessionState memory state)
    {
        Header memory header = book.headers[key];
        if (_isLive(book, header.epoch)) {
            state = IHedgeExecutor.SessionState(
                header.expiry, header.usesLeft, header.guardCount, header.guardsHash
            );
        }
    }

    /// @notice The live rules of `key` for one function of one contract.
    function rulesOf(Book storage book, address key, address target, bytes4 selector)
        internal
        view
        returns (IHedgeExecutor.RuleState[] memory rules)
    {
        uint256 epoch = book.headers[key].epoch;
        if (_isLive(book, epoch)) rules = book.rules[epoch][_ruleKey(target, selector)];
    }

    // --- inside -------------------------------------------------------------------------------------

    /// @dev The first rule whose pins all hold. Calldata under 4 bytes (plain native transfers included)
    /// has no selector to allow: it would reach a fallback or receive function.
    function _find(Book storage book, uint256 epoch, IHedgeExecutor.Call memory call, uint256 index)
        private
        view
        returns (IHedgeExecutor.RuleState storage)
    {
        bytes memory data = call.data;
        if (data.length < 4) revert IHedgeExecutor.CallNotAllowed(index, call.to, bytes4(0));
        bytes4 selector = bytes4(data);
        IHedgeExecutor.RuleState[] storage candidates = book.rules[epoch][_ruleKey(call.to, selector)];
        uint256 count = candidates.length;
        for (uint256 i; i < count; ++i) {
            if (_pinsHold(candidates[i].pins, data)) return candidates[i];
        }
        revert IHedgeExecutor.CallNotAllowed(index, call.to, selector);
    }

    function _pinsHold(IHedgeExecutor.Pin[] storage pins, bytes memory data) private view returns (bool) {
        uint256 count = pins.length;
        for (uint256 i; i < count; ++i) {
            (bool present, bytes32 value) = _argument(data, pins[i].word);
            if (!present || value != pins[i].value) return false;
        }
        return true;
    }

    /// @dev A word that the calldata does not fully contain is absent, not zero-padded.
    function _argument(bytes memory data, uint256 word) private pure returns (bool present, bytes32 value) {
        uint256 start = 4 + word * 32;
        if (data.length < start + 32) return (false, 0);
        assembly ("memory-safe") {
            value := mload(add(add(data, 0x20), start))
        }
        return (true, value);
    }

    /// @dev A key that may choose whom to pay or approve owns the account's tokens, so these functions need
    /// a pin on the word that says to whom.
    function _requireRecipientPinned(IHedgeExecutor.Rule memory rule, uint256 index) private pure {
        uint16 word;
        bytes4 selector = rule.selector;
        if (
            selector == 0x095ea7b3 // approve(address,uint256)
                || selector == 0xa9059cbb // transfer(address,uint256)
                || selector == 0x39509351 // increaseAllowance(address,uint256)
                || selector == 0xd73dd623 // increaseApproval(address,uint256)
                || selector == 0xa22cb465 // setApprovalForAll(address,bool)
                || selector == 0x4000aea0 // transferAndCall(address,uint256,bytes)
                || selector == 0xcae9ca51 // approveAndCall(address,uint256,bytes)
        ) {
            word = 0;
        } else if (
            selector == 0x23b872dd // transferFrom(address,address,uint256)
                || selector == 0x42842e0e // safeTransferFrom(address,address,uint256)
                || selector == 0xb88d4fde // safeTransferFrom(address,address,uint256,bytes)
                || selector == 0xf242432a // safeTransferFrom(address,address,uint256,uint256,bytes)
                || selector == 0x2eb2c2d6 // safeBatchTransferFrom(address,address,uint256[],uint256[],bytes)
                || selector == 0x87517c45 // Permit2 approve(address,address,uint160,uint48)
                || selector == 0x36c78516 // Permit2 transferFrom(address,address,uint160,address)
        ) {
            word = 1;
        } else {
            return;
        }
        for (uint256 i; i < rule.pins.length; ++i) {
            if (rule.pins[i].word == word) return;
        }
        revert IHedgeExecutor.RuleRecipientUnpinned(index, selector, word);
    }

    function _isLive(Book storage book, uint256 epoch) private view returns (bool) {
        return epoch > book.revokedEpoch;
    }

    function _ruleKey(address target, bytes4 selector) private pure returns (bytes32) {
        return bytes32(bytes20(target)) | (bytes32(selector) >> 160);
    }

    /// @dev Hash of the first `count` checks; the array is shortened in place only while it is encoded.
    function _hash(IHedgeExecutor.Check[] memory checks, uint256 count) private pure returns (bytes32 hash) {
        uint256 length = checks.length;
        assembly ("memory-safe") {
            mstore(checks, count)
        }
        hash = keccak256(abi.encode(checks));
        assembly ("memory-safe") {
            mstore(checks, length)
        }
    }

    function _saturatingAdd(uint256 a, uint256 b) private pure returns (uint256 sum) {
        unchecked {
            sum = a + b;
            if (sum < a) sum = type(uint256).max;
        }
    }
}
