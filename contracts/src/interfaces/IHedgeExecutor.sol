// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @title A batch that happens exactly once, inside its deadline, between two sets of proven conditions
/// @notice An externally owned account delegates to the implementation by EIP-7702 (the owner is then the
/// account itself), or the implementation is deployed as an account of its own with an owner.
/// @dev Units: `Wad` is a fixed-point number with 18 decimals, native amounts are wei, times are Unix seconds.
interface IHedgeExecutor {
    /// @notice One call of a batch, in the shape of ERC-7821.
    /// @param to Never the account itself and never address(0), which ERC-7821 reads as the account itself.
    /// @param value Wei sent along.
    /// @param data Calldata; must be empty if `to` has no code.
    struct Call {
        address to;
        uint256 value;
        bytes data;
    }

    /// @notice One word read by a static call, times a multiplier.
    /// @dev `target == address(0)` reads the chain instead of a contract and ignores `data`:
    /// `word` 0 is `block.timestamp` in seconds, `word` 1 is the account's native balance in wei.
    /// @param target Contract to read; must have code.
    /// @param data Calldata of the static call.
    /// @param word Index of the 32-byte word in the answer.
    /// @param isSigned The word is an int256; otherwise a uint256, which must be below 2**255.
    /// @param multiplierWad 1e18 counts the word once, -3e18 subtracts it three times.
    struct Term {
        address target;
        bytes data;
        uint16 word;
        bool isSigned;
        int256 multiplierWad;
    }

    /// @notice `lower <= sum(word * multiplierWad) / 1e18 <= upper`, compared exactly (no rounding).
    struct Check {
        Term[] terms;
        int256 lower;
        int256 upper;
    }

    /// @notice `opData` of a hedge is `abi.encode(Hedge)`.
    /// @param intentId Consumed on success; the same id can never execute again.
    /// @param deadline The block's timestamp must be below it.
    /// @param pre Proven before the first call.
    /// @param post Proven after the last call.
    struct Hedge {
        bytes32 intentId;
        uint64 deadline;
        Check[] pre;
        Check[] post;
    }

    /// @notice The argument word `word` (0 follows the selector) must be exactly `value`.
    /// @dev To pin something inside a dynamic argument, pin its offset and length words too.
    struct Pin {
        uint16 word;
        bytes32 value;
    }

    /// @notice The argument word `word`, read as uint256 and summed over the session, stays at or below `max`.
    /// @dev A negative int256 counts as a huge uint256 and is refused.
    struct Cap {
        uint16 word;
        uint256 max;
    }

    /// @notice Allows one function of one contract.
    /// @dev The first rule of a (target, selector) whose pins all hold decides; later ones are not tried.
    /// @param maxValue Wei this rule may send over the whole session.
    struct Rule {
        address target;
        bytes4 selector;
        uint256 maxValue;
        Pin[] pins;
        Cap[] caps;
    }

    /// @notice What a session key may do.
    /// @param expiry The key works while the block's timestamp is below it.
    /// @param maxUses Hedges it may execute.
    /// @param rules Calls it may make. A rule that reaches a function such as `multicall` allows all behind it.
    /// @param guards Checks the key must put first in every hedge's `post`, so that they always hold.
    struct Session {
        uint64 expiry;
        uint32 maxUses;
        Rule[] rules;
        Check[] guards;
    }

    /// @notice A session as it stands. All zero: no such session, or revoked.
    /// @param guardsHash `keccak256(abi.encode(Check[] guards))`.
    struct SessionState {
        uint64 expiry;
        uint32 usesLeft;
        uint16 guardCount;
        bytes32 guardsHash;
    }

    /// @notice A cap as it stands.
    struct CapState {
        uint16 word;
        uint256 max;
        uint256 spent;
    }

    /// @notice A rule as it stands.
    struct RuleState {
        uint256 maxValue;
        uint256 spentValue;
        Pin[] pins;
        CapState[] caps;
    }

    // --- events -------------------------------------------------------------------------------------

    /// @notice A hedge did all of its calls and every check held. Its absence on a mined transaction means
    /// that nothing happened, even with status 1 (an account that is not delegated accepts any calldata).
    event HedgeExecuted(bytes32 indexed intentId, address indexed caller, uint256 calls);
    /// @notice A plain batch (no intent, no checks) did all of its calls.
    event BatchExecuted(address indexed caller, uint256 calls);
    /// @notice The owner voided an intent that had not executed.
    event IntentCancelled(bytes32 indexed intentId);
    /// @notice A session key was given its powers; anything it had before is void.
    event SessionSet(address indexed key, uint64 expiry, uint32 maxUses, uint256 rules, bytes32 guardsHash);
    /// @notice A session key lost its powers.
    event SessionRevoked(address indexed key);
    /// @notice Every session key lost its powers.
    event AllSessionsRevoked();

    // --- errors: who may ----------------------------------------------------------------------------

    /// @notice The caller is neither the owner nor, for a hedge, a session key.
    error Unauthorized(address caller);
    /// @notice A contract called by a batch tried to enter the account again.
    error Reentered();
    /// @notice Only the two modes of `supportsExecutionMode` are known.
    error ModeUnsupported(bytes32 mode);
    /// @notice `executionData` is not what the mode says, e.g. a hedge sent as a plain batch.
    error BatchMalformed();

    // --- errors: a hedge ----------------------------------------------------------------------------

    /// @notice The intent has executed or was cancelled.
    error IntentAlreadyConsumed(bytes32 intentId);
    /// @notice The block's timestamp has reached the deadline.
    error DeadlineExpired(uint64 deadline, uint256 timestamp);
    /// @notice A batch may not call the account itself (`to` is the account or address(0)).
    error SelfCallForbidden(uint256 index);
    /// @notice Calldata was meant for an address without code, where it would silently do nothing.
    error TargetHasNoCode(uint256 index, address target);
    /// @notice A call reverted. An empty `reason` and a small `gasLeft` mean that it ran out of gas.
    error CallFailed(uint256 index, address target, bytes reason, uint256 gasLeft);
    /// @notice `value` (rounded away from the bound's inside) is not between the bounds.
    error CheckFailed(bool post, uint256 index, int256 value, int256 lower, int256 upper);
    /// @notice The sum leaves the range of int256, or an unsigned word is 2**255 or more.
    error CheckOverflow(bool post, uint256 index, uint256 term);
    /// @notice A check reads an address without code.
    error ReadTargetHasNoCode(bool post, uint256 index, uint256 term, address target);
    /// @notice A check's static call reverted.
    error ReadFailed(bool post, uint256 index, uint256 term, address target, bytes reason);
    /// @notice A check's answer has `size` bytes and does not contain the word.
    error ReadTooShort(bool post, uint256 index, uint256 term, uint256 size);
    /// @notice `target == address(0)` knows words 0 (timestamp) and 1 (native balance) only.
    error ReadUnknown(bool post, uint256 index, uint256 term, uint16 word);

    // --- errors: a session key ----------------------------------------------------------------------

    /// @notice The session's time is over.
    error SessionExpired(address key, uint64 expiry);
    /// @notice The session has no uses left.
    error SessionExhausted(address key);
    /// @notice The hedge's `post` does not begin with the session's guards, or has no check at all.
    error GuardsMissing(address key);
    /// @notice No rule allows the call (the selector of calldata under 4 bytes is shown as zero).
    error CallNotAllowed(uint256 index, address target, bytes4 selector);
    /// @notice The argument summed over the session would become `spent` and pass the rule's cap.
    error CapExceeded(uint256 index, uint16 word, uint256 spent, uint256 max);
    /// @notice The wei sent by this rule over the session would become `spent` and pass its maximum.
    error ValueExceeded(uint256 index, uint256 spent, uint256 max);
    /// @notice The zero address, the owner or the account itself cannot be a session key.
    error SessionKeyForbidden(address key);
    /// @notice A session must end in the future, allow a use, and have a rule.
    error SessionEmpty(uint64 expiry, uint32 maxUses, uint256 rules);
    /// @notice A rule may not reach the account itself, the session key, or address(0).
    error RuleTargetForbidden(uint256 rule, address target);
    /// @notice A rule for a token transfer or approval must pin the word that says to whom.
    error RuleRecipientUnpinned(uint256 rule, bytes4 selector, uint16 word);

    // --- execution ----------------------------------------------------------------------------------

    /// @notice Does every call, or none.
    /// @dev `mode` 0x01000000000000000000...: `executionData = abi.encode(Call[])`, by the owner only.
    /// `mode` 0x01000000000078210001...: `executionData = abi.encode(Call[], bytes opData)` with
    /// `opData = abi.encode(Hedge)`, by the owner or a session key; without `opData` it is a plain batch.
    function execute(bytes32 mode, bytes calldata executionData) external payable;

    /// @notice Whether `execute` knows the mode.
    function supportsExecutionMode(bytes32 mode) external view returns (bool);

    /// @notice Voids an intent that must not execute any more. Owner only.
    function cancelIntent(bytes32 intentId) external;

    /// @notice Whether the intent has executed or was cancelled.
    function isConsumed(bytes32 intentId) external view returns (bool);

    // --- sessions -----------------------------------------------------------------------------------

    /// @notice Gives a key its powers, replacing what it had; sums and uses start at zero. Owner only.
    function setSession(address key, Session calldata session) external;

    /// @notice Takes a key's powers away. Owner only.
    function revokeSession(address key) external;

    /// @notice Takes every key's powers away. Owner only. Do this before delegating elsewhere: sessions stay
    /// in the account's storage and would work again after delegating back.
    function revokeAllSessions() external;

    /// @notice The session of a key; all zero if it has none.
    function sessionOf(address key) external view returns (SessionState memory);

    /// @notice The rules of a key's session for one function of one contract, with what is spent of them.
    function rulesOf(address key, address target, bytes4 selector) external view returns (RuleState[] memory);

    // --- account ------------------------------------------------------------------------------------

    /// @notice Who may do everything: the account itself when delegated, else whom the constructor named.
    function owner() external view returns (address);

    /// @notice ERC-1271: 0x1626ba7e if the owner signed, else 0xffffffff. Session keys cannot sign.
    /// @dev A delegated account signs `hash`. A deployed account's owner signs `accountMessageHash(hash)`, so
    /// that a signature of the owner's own account cannot be replayed here.
    function isValidSignature(bytes32 hash, bytes calldata signature) external view returns (bytes4);

    /// @notice The EIP-712 digest of `AccountMessage(bytes32 hash)` under this account and chain.
    function accountMessageHash(bytes32 hash) external view returns (bytes32);
}
