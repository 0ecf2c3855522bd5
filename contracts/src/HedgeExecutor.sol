// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IHedgeExecutor} from "./interfaces/IHedgeExecutor.sol";
import {Checks} from "./libraries/Checks.sol";
import {ReturnData} from "./libraries/ReturnData.sol";
import {Sessions} from "./libraries/Sessions.sol";

/// @title The account side of a hedge: all of it, once, in time, inside its bounds, or nothing
/// @dev No function but the constructor can name an owner, so there is no initializer to front-run. An account
/// that delegates here runs this code on its own storage, where no owner is named: it owns itself.
contract HedgeExecutor is IHedgeExecutor {
    using Sessions for Sessions.Book;

    /// @custom:storage-location erc7201:evenkeel.storage.HedgeExecutor
    struct Layout {
        address owner;
        mapping(bytes32 intentId => bool) consumed;
        Sessions.Book sessions;
    }

    /// @dev keccak256(abi.encode(uint256(keccak256("evenkeel.storage.HedgeExecutor")) - 1)) & ~bytes32(uint256(0xff))
    bytes32 private constant LAYOUT_SLOT = 0x79f50c02c15ccad9430ededf26450b132e501d28b90a6f4cac14c007ada1a600;
    /// @dev keccak256("evenkeel.transient.HedgeExecutor.lock")
    bytes32 private constant LOCK_SLOT = 0xe9ee3371746f6aef44eb42dcfc3edfe5c25eab8de29744c2ceedb343fe92a3b6;

    /// @dev ERC-7821 looks at the call type, the exec type and the 4-byte selector of a mode only.
    bytes32 private constant MODE_MASK = 0xffff00000000ffffffff00000000000000000000000000000000000000000000;
    bytes32 private constant MODE_PLAIN = 0x0100000000000000000000000000000000000000000000000000000000000000;
    bytes32 private constant MODE_HEDGE = 0x0100000000007821000100000000000000000000000000000000000000000000;

    bytes4 private constant SIGNATURE_VALID = 0x1626ba7e;
    bytes4 private constant SIGNATURE_INVALID = 0xffffffff;
    /// @dev Half of the secp256k1 group order; a higher `s` is the malleable twin of a lower one.
    uint256 private constant MAX_S = 0x7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0;

    /// @param owner_ Owner of this account; zero for an implementation that accounts delegate to, whose own
    /// storage then belongs to nobody.
    constructor(address owner_) {
        _layout().owner = owner_;
    }

    /// @dev Hedges move native currency in (unwrapping, refunds); nothing is meant to stay.
    receive() external payable {}

    // --- execution ----------------------------------------------------------------------------------

    /// @inheritdoc IHedgeExecutor
    function execute(bytes32 mode, bytes calldata executionData) external payable {
        _requireUnlocked();
        _setLock(1);
        bytes32 kind = mode & MODE_MASK;
        if (kind != MODE_PLAIN && kind != MODE_HEDGE) revert ModeUnsupported(mode);
        if (executionData.length < 64) revert BatchMalformed();
        // The first word is the offset of the calls: 0x20 alone, 0x40 before opData. Decoding must not
        // depend on the mode only, or a hedge sent in the plain mode would run without its checks.
        uint256 head = uint256(bytes32(executionData));
        bytes calldata opData = executionData[:0];
        if (head == 0x40 && kind == MODE_HEDGE) opData = _opData(executionData);
        else if (head != 0x20) revert BatchMalformed();
        Call[] memory calls = abi.decode(executionData, (Call[]));
        if (opData.length == 0) _batch(calls);
        else _hedge(calls, abi.decode(opData, (Hedge)));
        _setLock(0);
    }

    /// @inheritdoc IHedgeExecutor
    function supportsExecutionMode(bytes32 mode) external pure returns (bool) {
        bytes32 kind = mode & MODE_MASK;
        return kind == MODE_PLAIN || kind == MODE_HEDGE;
    }

    /// @inheritdoc IHedgeExecutor
    function cancelIntent(bytes32 intentId) external {
        _requireOwnerOutsideBatch();
        _consume(intentId);
        emit IntentCancelled(intentId);
    }

    /// @inheritdoc IHedgeExecutor
    function isConsumed(bytes32 intentId) external view returns (bool) {
        return _layout().consumed[intentId];
    }

    /// @dev The second member of `abi.encode(Call[], bytes)`; slices revert outside `executionData`.
    function _opData(bytes calldata executionData) private pure returns (bytes calldata) {
        uint256 start = uint256(bytes32(executionData[32:64])) + 32;
        uint256 length = uint256(bytes32(executionData[start - 32:start]));
        return executionData[start:start + length];
    }

    function _batch(Call[] memory calls) private {
        if (msg.sender != owner()) revert Unauthorized(msg.sender);
        _call(calls);
        emit BatchExecuted(msg.sender, calls.length);
    }

    function _hedge(Call[] memory calls, Hedge memory hedge) private {
        if (msg.sender != owner()) _layout().sessions.spend(msg.sender, calls, hedge.post);
        _consume(hedge.intentId);
        if (block.timestamp >= hedge.deadline) revert DeadlineExpired(hedge.deadline, block.timestamp);
        Checks.prove(hedge.pre, false);
        _call(calls);
        Checks.prove(hedge.post, true);
        emit HedgeExecuted(hedge.intentId, msg.sender, calls.length);
    }

    function _consume(bytes32 intentId) private {
        Layout storage layout = _layout();
        if (layout.consumed[intentId]) revert IntentAlreadyConsumed(intentId);
        layout.consumed[intentId] = true;
    }

    function _call(Call[] memory calls) private {
        for (uint256 i; i < calls.length; ++i) {
            (address to, uint256 value, bytes memory data) = (calls[i].to, calls[i].value, calls[i].data);
            if (to == address(this) || to == address(0)) revert SelfCallForbidden(i);
            if (data.length > 0 && to.code.length == 0) revert TargetHasNoCode(i, to);
            bool ok;
            assembly ("memory-safe") {
                // The answer stays where it is: nobody reads it, and copying it could be made expensive.
                ok := call(gas(), to, value, add(data, 0x20), mload(data), 0, 0)
            }
            if (!ok) revert CallFailed(i, to, ReturnData.take(), gasleft());
        }
    }

    // --- sessions -----------------------------------------------------------------------------------

    /// @inheritdoc IHedgeExecutor
    function setSession(address key, Session memory session) external {
        _requireOwnerOutsideBatch();
        bytes32 guardsHash = _layout().sessions.set(key, owner(), session);
        emit SessionSet(key, session.expiry, session.maxUses, session.rules.length, guardsHash);
    }

    /// @inheritdoc IHedgeExecutor
    function revokeSession(address key) external {
        _requireOwnerOutsideBatch();
        _layout().sessions.revoke(key);
        emit SessionRevoked(key);
    }

    /// @inheritdoc IHedgeExecutor
    function revokeAllSessions() external {
        _requireOwnerOutsideBatch();
        _layout().sessions.revokeAll();
        emit AllSessionsRevoked();
    }

    /// @inheritdoc IHedgeExecutor
    function sessionOf(address key) external view returns (SessionState memory) {
        return _layout().sessions.stateOf(key);
    }

    /// @inheritdoc IHedgeExecutor
    function rulesOf(address key, address target, bytes4 selector)
        external
        view
        returns (RuleState[] memory)
    {
        return _layout().sessions.rulesOf(key, target, selector);
    }

    // --- account ------------------------------------------------------------------------------------

    /// @inheritdoc IHedgeExecutor
    function owner() public view returns (address) {
        address named = _layout().owner;
        return named == address(0) ? address(this) : named;
    }

    /// @inheritdoc IHedgeExecutor
    function isValidSignature(bytes32 hash, bytes calldata signature) external view returns (bytes4) {
        if (signature.length != 65) return SIGNATURE_INVALID;
        bytes32 r = bytes32(signature[:32]);
        bytes32 s = bytes32(signature[32:64]);
        if (uint256(s) > MAX_S) return SIGNATURE_INVALID;
        address signer = owner();
        bytes32 digest = signer == address(this) ? hash : accountMessageHash(hash);
        // `signer` is never zero, so the zero that ecrecover answers for a malformed signature cannot match.
        return ecrecover(digest, uint8(signature[64]), r, s) == signer ? SIGNATURE_VALID : SIGNATURE_INVALID;
    }

    /// @inheritdoc IHedgeExecutor
    function accountMessageHash(bytes32 hash) public view returns (bytes32) {
        bytes32 domain = keccak256(
            abi.encode(
                keccak256(
                    "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
                ),
                keccak256("HedgeExecutor"),
                keccak256("1"),
                block.chainid,
                address(this)
            )
        );
        bytes32 message = keccak256(abi.encode(keccak256("AccountMessage(bytes32 hash)"), hash));
        return keccak256(abi.encodePacked(hex"1901", domain, message));
    }

    /// @notice ERC-721: option and LP position tokens may be sent here.
    function onERC721Received(address, address, uint256, bytes calldata) external pure returns (bytes4) {
        return this.onERC721Received.selector;
    }

    /// @notice ERC-1155: accepted.
    function onERC1155Received(address, address, uint256, uint256, bytes calldata)
        external
        pure
        returns (bytes4)
    {
        return this.onERC1155Received.selector;
    }

    /// @notice ERC-1155: accepted.
    function onERC1155BatchReceived(address, address, uint256[] calldata, uint256[] calldata, bytes calldata)
        external
        pure
        returns (bytes4)
    {
        return this.onERC1155BatchReceived.selector;
    }

    /// @notice ERC-165: itself, the ERC-721 and ERC-1155 receivers, ERC-1271 and ERC-7821.
    function supportsInterface(bytes4 id) external pure returns (bool) {
        return id == this.supportsInterface.selector || id == this.onERC721Received.selector
            || id == this.onERC1155Received.selector ^ this.onERC1155BatchReceived.selector
            || id == SIGNATURE_VALID || id == this.execute.selector ^ this.supportsExecutionMode.selector;
    }

    // --- inside -------------------------------------------------------------------------------------

    /// @dev A deployed account's owner may itself be a contract that a batch calls; no powers change then.
    function _requireOwnerOutsideBatch() private view {
        _requireUnlocked();
        if (msg.sender != owner()) revert Unauthorized(msg.sender);
    }

    function _requireUnlocked() private view {
        uint256 lock;
        assembly ("memory-safe") {
            lock := tload(LOCK_SLOT)
        }
        if (lock != 0) revert Reentered();
    }

    function _setLock(uint256 lock) private {
        assembly ("memory-safe") {
            tstore(LOCK_SLOT, lock)
        }
    }

    function _layout() private pure returns (Layout storage layout) {
        assembly ("memory-safe") {
            layout.slot := LAYOUT_SLOT
        }
    }
}
