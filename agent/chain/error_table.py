"""The one place that knows how nodes word their errors.

Nodes agree on few error codes and on no texts, so what a node means is told from the text. The texts are
those of geth, nethermind, erigon, besu, reth, anvil, Arbitrum's nitro, the OP stack's op-geth and op-reth,
and of Flashbots' relay; ``tests/recorded`` holds the answers and says of which version and file each is.
Matching ignores case and takes the first rule that fits, so the narrower rule stands first.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

REVERTED = 3  # the error code of a call that reverted, from geth's ethapi; others followed
LIMITED = 429
NOT_MINED_IN_TIME = 4  # EIP-7966: eth_sendRawTransactionSync took it and saw no receipt in time
LIMIT_EXCEEDED = -32005  # EIP-1474, but besu also answers it to a gas limit above the block's


class SendFault(Enum):
    """Why a node did not take a signed transaction, as far as the sender has to act differently."""

    ALREADY_KNOWN = "already known"
    NONCE_TOO_LOW = "nonce too low"
    NONCE_TOO_HIGH = "nonce too high"
    REPLACEMENT_UNDERPRICED = "replacement underpriced"
    UNDERPRICED = "underpriced"
    INSUFFICIENT_FUNDS = "insufficient funds"
    FEE_TOO_LOW = "fee below the block's base fee"
    GAS_TOO_LOW = "gas below the intrinsic cost"
    EXCEEDS_BLOCK_GAS = "gas above what a block or transaction may use"
    DELEGATED_IN_FLIGHT = "a delegated account has a transaction in flight"
    POOL_FULL = "the pool takes no more"
    ACCOUNT_LIMIT = "the pool takes no more, or nothing of this kind, from this account now"
    TYPE_UNSUPPORTED = "transaction type not supported"
    CHAIN_MISMATCH = "signed for another chain"
    SENDER_REFUSED = "nothing is taken from this sender"
    MALFORMED = "not a valid transaction"
    NODE_CAP = "the fee is above the node's own limit"
    DROPPED = "it was in the pool and gave way"
    AWAITED = "in the pool, and not mined in the time it was waited for"
    OTHER = "other"


SEND_FAULTS: tuple[tuple[str, SendFault], ...] = (
    ("was added to the", SendFault.AWAITED),
    ("transaction confirmation timeout", SendFault.AWAITED),
    ("replaced by transaction", SendFault.DROPPED),
    # before anything that looks for "known transaction", "nonce", "underpriced" or "insufficient"
    ("unknown transaction", SendFault.OTHER),
    ("replace pending", SendFault.ACCOUNT_LIMIT),
    ("lower nonce exists", SendFault.ACCOUNT_LIMIT),
    ("type not supported", SendFault.TYPE_UNSUPPORTED),
    ("unsupported transaction type", SendFault.TYPE_UNSUPPORTED),
    ("invalidtxtype", SendFault.TYPE_UNSUPPORTED),
    ("invalid transaction type", SendFault.TYPE_UNSUPPORTED),
    ("transaction type is not activated", SendFault.TYPE_UNSUPPORTED),
    ("authorization list not supported", SendFault.TYPE_UNSUPPORTED),
    ("authorization lists are not supported", SendFault.TYPE_UNSUPPORTED),
    ("invalid chain id", SendFault.CHAIN_MISMATCH),
    ("invalidtxchainid", SendFault.CHAIN_MISMATCH),
    ("wrong chainid", SendFault.CHAIN_MISMATCH),
    ("chainid not supported", SendFault.CHAIN_MISMATCH),
    ("chainid is required", SendFault.CHAIN_MISMATCH),
    ("signed for another chain", SendFault.CHAIN_MISMATCH),
    ("in-flight transaction limit", SendFault.DELEGATED_IN_FLIGHT),
    ("delegated account", SendFault.DELEGATED_IN_FLIGHT),
    ("cannot be delegated", SendFault.DELEGATED_IN_FLIGHT),
    ("delegation nonce gap", SendFault.DELEGATED_IN_FLIGHT),
    ("delegation authority has pending", SendFault.DELEGATED_IN_FLIGHT),
    ("authority already reserved", SendFault.DELEGATED_IN_FLIGHT),
    ("already known", SendFault.ALREADY_KNOWN),
    ("alreadyknown", SendFault.ALREADY_KNOWN),
    ("already imported", SendFault.ALREADY_KNOWN),
    ("known transaction", SendFault.ALREADY_KNOWN),
    ("with same hash", SendFault.ALREADY_KNOWN),
    ("replacement transaction underpriced", SendFault.REPLACEMENT_UNDERPRICED),
    ("replacementnotallowed", SendFault.REPLACEMENT_UNDERPRICED),
    ("could not replace existing tx", SendFault.REPLACEMENT_UNDERPRICED),
    ("to replace existing transaction", SendFault.REPLACEMENT_UNDERPRICED),
    ("nonce too low", SendFault.NONCE_TOO_LOW),
    ("oldnonce", SendFault.NONCE_TOO_LOW),
    ("nonce too high", SendFault.NONCE_TOO_HIGH),
    ("too distant from current sender nonce", SendFault.NONCE_TOO_HIGH),
    ("nonce too far in future", SendFault.NONCE_TOO_HIGH),
    ("noncegap", SendFault.NONCE_TOO_HIGH),
    ("insufficient gas for floor", SendFault.GAS_TOO_LOW),
    ("callgascostmorethangaslimit", SendFault.GAS_TOO_LOW),
    ("gasfloormorethangaslimit", SendFault.GAS_TOO_LOW),
    ("intrinsic gas too high", SendFault.EXCEEDS_BLOCK_GAS),
    ("intrinsic gas", SendFault.GAS_TOO_LOW),
    ("intrinsicgas", SendFault.GAS_TOO_LOW),
    ("insufficient funds", SendFault.INSUFFICIENT_FUNDS),
    ("insufficientfunds", SendFault.INSUFFICIENT_FUNDS),
    ("upfront cost exceeds", SendFault.INSUFFICIENT_FUNDS),
    ("overdraws from account", SendFault.INSUFFICIENT_FUNDS),
    ("exceeds block gas limit", SendFault.EXCEEDS_BLOCK_GAS),
    ("gas limit reached", SendFault.EXCEEDS_BLOCK_GAS),
    ("gaslimitexceeded", SendFault.EXCEEDS_BLOCK_GAS),
    ("gas limit too high", SendFault.EXCEEDS_BLOCK_GAS),
    ("gas limit is too high", SendFault.EXCEEDS_BLOCK_GAS),
    ("gas limit cap exceeded", SendFault.EXCEEDS_BLOCK_GAS),
    ("gaslimitcapexceeded", SendFault.EXCEEDS_BLOCK_GAS),
    ("exceeds max transaction gas limit", SendFault.EXCEEDS_BLOCK_GAS),
    ("exceeds maximum per-transaction gas limit", SendFault.EXCEEDS_BLOCK_GAS),
    ("exceeds block's gas limit", SendFault.EXCEEDS_BLOCK_GAS),
    ("greater than the block gas limit", SendFault.EXCEEDS_BLOCK_GAS),
    ("less than block base fee", SendFault.FEE_TOO_LOW),
    ("below current base fee", SendFault.FEE_TOO_LOW),
    ("underpriced", SendFault.UNDERPRICED),
    ("fee too low", SendFault.UNDERPRICED),
    ("feetoolow", SendFault.UNDERPRICED),
    ("below minimum", SendFault.UNDERPRICED),
    ("below configured minimum", SendFault.UNDERPRICED),
    ("below chain minimum", SendFault.UNDERPRICED),
    ("pool is full", SendFault.POOL_FULL),  # also erigon's sub-pools
    ("pool size constraints", SendFault.POOL_FULL),
    ("account limit exceeded", SendFault.ACCOUNT_LIMIT),
    ("address already reserved", SendFault.ACCOUNT_LIMIT),
    ("type conflict", SendFault.ACCOUNT_LIMIT),
    ("spammer", SendFault.ACCOUNT_LIMIT),
    ("sender not an eoa", SendFault.SENDER_REFUSED),
    ("sender is not an eoa", SendFault.SENDER_REFUSED),
    ("not authorized to send", SendFault.SENDER_REFUSED),
    ("not on the whitelist", SendFault.SENDER_REFUSED),
    ("sanctioned address", SendFault.SENDER_REFUSED),
    ("exceeds the configured cap", SendFault.NODE_CAP),
    ("transaction fee cap exceeded", SendFault.NODE_CAP),
    ("invalid sender", SendFault.MALFORMED),
    ("failed to recover sender", SendFault.MALFORMED),
    ("invalid signature", SendFault.MALFORMED),
    ("invalid transaction signature", SendFault.MALFORMED),
    ("oversized data", SendFault.MALFORMED),
    ("transaction too large", SendFault.MALFORMED),
    ("negative value", SendFault.MALFORMED),
    ("higher than max fee per gas", SendFault.MALFORMED),
    ("exceeds max fee per gas", SendFault.MALFORMED),
    ("higher than maxfeepergas", SendFault.MALFORMED),
    ("invalid raw transaction", SendFault.MALFORMED),
)

UNPINNED: tuple[str, ...] = (
    "header not found",
    "header for hash not found",
    "block not found",
    "blocknotfound",
    "resource not found",
    "unknown block",
    "could not be found",
    "not canonical",
    "not currently canonical",
    "missing trie node",
    "no state available",
    "no state found",
    "state is not available",
    "world state unavailable",
    "historical state",
    "pruned",
    "blockoutofrange",
)

REVERT_WORDS: tuple[str, ...] = (
    "execution reverted",
    "vm execution error",
    "evm error",
    "out of gas",
    "invalid opcode",
    "stack underflow",
    "stack limit reached",
    "invalid jump",
    "write protection",
    "processing could not be completed due to an exception",
    "reverted",
)

RATE_WORDS: tuple[str, ...] = (
    "rate limit",
    "rate exceeded",
    "too many requests",
    "request limit",
    "limit exceeded",
    "compute units",
    "capacity",
    "quota",
)


def send_fault(message: str, code: int = 0) -> SendFault:
    """What the node's answer to ``eth_sendRawTransaction`` (or its synchronous twin) means."""
    if code == NOT_MINED_IN_TIME:
        return SendFault.AWAITED
    text = message.lower()
    return next((fault for words, fault in SEND_FAULTS if words in text), SendFault.OTHER)


def is_unpinned(message: str) -> bool:
    """Whether a read failed because the node has no state of the block it was pinned to."""
    text = message.lower()
    return any(words in text for words in UNPINNED)


def is_rate_limit(code: int, message: str) -> bool:
    """Whether an answer asks for fewer requests."""
    text = message.lower()
    return code == LIMITED or (code == LIMIT_EXCEEDED and any(words in text for words in RATE_WORDS))


def revert_data(code: int, message: str, data: object) -> bytes | None:
    """The bytes a call reverted with (empty if the node kept them), or None if it did not revert.

    ``data`` is the answer's ``error.data``: a hex string, the same after a word ("Reverted 0x..."), or an
    object that holds it, by node.
    """
    found = _hex_bytes(data)
    if code == REVERTED:
        return found or b""
    text = message.lower()
    if any(words in text for words in REVERT_WORDS):
        return found or b""
    return None


def _hex_bytes(data: object) -> bytes | None:
    if isinstance(data, Mapping):
        return _hex_bytes(data.get("data"))
    if not isinstance(data, str):
        return None
    start = data.find("0x")
    try:
        return bytes.fromhex(data[start + 2 :]) if start >= 0 else None
    except ValueError:
        return None
