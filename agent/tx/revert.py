"""Revert data as words: the executor's own errors, Solidity's two, the protocols', and what lies inside."""

from __future__ import annotations

from collections.abc import Mapping

from eth_abi import abi as codec
from eth_abi.exceptions import DecodingError
from eth_utils.crypto import keccak

from agent.chain.vocabulary import vocabulary

# Name and inputs of every error of IHedgeExecutor.sol; fields keep the contract's names.
SIGNATURES: tuple[str, ...] = (
    "Unauthorized(address caller)",
    "Reentered()",
    "ModeUnsupported(bytes32 mode)",
    "BatchMalformed()",
    "IntentAlreadyConsumed(bytes32 intentId)",
    "DeadlineExpired(uint64 deadline,uint256 timestamp)",
    "SelfCallForbidden(uint256 index)",
    "TargetHasNoCode(uint256 index,address target)",
    "CallFailed(uint256 index,address target,bytes reason,uint256 gasLeft)",
    "CheckFailed(bool post,uint256 index,int256 value,int256 lower,int256 upper)",
    "CheckOverflow(bool post,uint256 index,uint256 term)",
    "ReadTargetHasNoCode(bool post,uint256 index,uint256 term,address target)",
    "ReadFailed(bool post,uint256 index,uint256 term,address target,bytes reason)",
    "ReadTooShort(bool post,uint256 index,uint256 term,uint256 size)",
    "ReadUnknown(bool post,uint256 index,uint256 term,uint16 word)",
    "SessionExpired(address key,uint64 expiry)",
    "SessionExhausted(address key)",
    "GuardsMissing(address key)",
    "CallNotAllowed(uint256 index,address target,bytes4 selector)",
    "CapExceeded(uint256 index,uint16 word,uint256 spent,uint256 max)",
    "ValueExceeded(uint256 index,uint256 spent,uint256 max)",
    "SessionKeyForbidden(address key)",
    "SessionEmpty(uint64 expiry,uint32 maxUses,uint256 rules)",
    "RuleTargetForbidden(uint256 rule,address target)",
    "RuleRecipientUnpinned(uint256 rule,bytes4 selector,uint16 word)",
    "Error(string reason)",
    "Panic(uint256 code)",
)


def _parse(signature: str) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    name, inside = signature[:-1].split("(")
    pairs = [part.split(" ") for part in inside.split(",")] if inside else []
    return name, tuple(kind for kind, _ in pairs), tuple(field for _, field in pairs)


def _selector(signature: str) -> bytes:
    name, kinds, _ = _parse(signature)
    return keccak(text=f"{name}({','.join(kinds)})")[:4]


_KNOWN = {_selector(signature): _parse(signature) for signature in SIGNATURES}


def words(data: bytes) -> tuple[str, Mapping[str, object]]:
    """Name and fields of the error. What is not known is named by its selector, with its raw data."""
    if not data:
        return "reverted without data (a bare revert, or out of gas)", {}
    known = _KNOWN.get(data[:4]) or vocabulary().errors.get(data[:4])
    if known is None:
        return f"error 0x{data[:4].hex()}", {"data": "0x" + data[4:].hex()[:128]} if data[4:] else {}
    name, kinds, fields = known
    try:
        values = codec.decode(kinds, data[4:])
    except (DecodingError, OverflowError, UnicodeDecodeError):
        return f"malformed {name}", {"data": "0x" + data[4:].hex()[:128]}
    return name, {field: _word(kind, value) for field, kind, value in zip(fields, kinds, values, strict=True)}


def sentence(data: bytes) -> str:
    """The error and its fields in one line."""
    name, values = words(data)
    if name == "Error":
        said = str(values["reason"])
        meaning = vocabulary().codes.get(said)
        return f"{said}: {meaning}" if meaning else said
    inside = ", ".join(f"{field}={value}" for field, value in values.items())
    return f"{name}({inside})" if inside else name


def _word(kind: str, value: object) -> object:
    if kind == "bytes" and isinstance(value, bytes):
        return sentence(value)  # what the inner call said
    return "0x" + value.hex() if isinstance(value, bytes) else value
