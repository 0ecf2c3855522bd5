"""JSON-RPC values into ours: quantities, bytes and headers, each refused if it has another shape."""

from __future__ import annotations

import re

from agent.chain.transport import Json
from agent.errors import AddressMalformed, DecodeMismatch
from agent.values.address import BlockHash, TxHash, parse_address
from agent.values.block import Block
from agent.values.log import Log

_QUANTITY = re.compile(r"0x[0-9a-fA-F]{1,64}")
_HASH = re.compile(r"0x[0-9a-fA-F]{64}")
_EXCERPT = 80


def mismatch(label: str, expected: str, value: object) -> DecodeMismatch:
    """The error for a value of another shape."""
    text = repr(value)
    shown = text if len(text) <= _EXCERPT else text[:_EXCERPT] + "..."
    return DecodeMismatch(label=label, target="the node", expected=expected, reason=f"it is {shown}")


def quantity(value: Json, label: str) -> int:
    """The int in "0x1f". Raises DecodeMismatch."""
    if not isinstance(value, str) or not _QUANTITY.fullmatch(value):
        raise mismatch(label, "a hex quantity", value)
    return int(value, 16)


def hex_bytes(value: Json, label: str) -> bytes:
    """The bytes in "0xab12". Raises DecodeMismatch."""
    if not isinstance(value, str) or not value.startswith("0x"):
        raise mismatch(label, "hex bytes", value)
    try:
        return bytes.fromhex(value[2:])
    except ValueError as error:
        raise mismatch(label, "hex bytes", value) from error


def hash32(value: Json, label: str) -> str:
    """A 32-byte hash in lower-case hex. Raises DecodeMismatch."""
    if not isinstance(value, str) or not _HASH.fullmatch(value):
        raise mismatch(label, "a 32-byte hash", value)
    return value.lower()


def tx_hash(value: Json, label: str) -> TxHash:
    """The hash of a transaction. Raises DecodeMismatch."""
    return TxHash(hash32(value, label))


def record(value: Json, label: str) -> dict[str, Json]:
    """A JSON object. Raises DecodeMismatch."""
    if not isinstance(value, dict):
        raise mismatch(label, "an object", value)
    return value


def items(value: Json, label: str) -> list[Json]:
    """A JSON array. Raises DecodeMismatch."""
    if not isinstance(value, list):
        raise mismatch(label, "an array", value)
    return value


def header(value: Json, label: str) -> Block:
    """A block header as ``eth_getBlockBy*`` and ``newHeads`` word it. Raises DecodeMismatch.

    A pending block has no hash; it then gets one of zeros. A chain without EIP-1559 has a base fee of 0.
    """
    fields = record(value, label)
    own_hash = fields.get("hash")
    return Block(
        number=quantity(fields.get("number"), f"{label}.number"),
        hash=BlockHash("0x" + "0" * 64 if own_hash is None else hash32(own_hash, f"{label}.hash")),
        parent_hash=BlockHash(hash32(fields.get("parentHash"), f"{label}.parentHash")),
        timestamp_s=quantity(fields.get("timestamp"), f"{label}.timestamp"),
        base_fee_wei=quantity(fields.get("baseFeePerGas") or "0x0", f"{label}.baseFeePerGas"),
        gas_limit=quantity(fields.get("gasLimit"), f"{label}.gasLimit"),
    )


def log(value: Json, label: str) -> Log:
    """An event as ``eth_getLogs`` and receipts word it, of a block that is mined. Raises DecodeMismatch."""
    fields = record(value, label)
    address = fields.get("address")
    try:
        emitter = parse_address(address if isinstance(address, str) else "")
    except AddressMalformed as error:
        raise mismatch(f"{label}.address", "an address", address) from error
    return Log(
        address=emitter,
        topics=tuple(
            bytes.fromhex(hash32(topic, f"{label}.topics")[2:])
            for topic in items(fields.get("topics"), f"{label}.topics")
        ),
        data=hex_bytes(fields.get("data"), f"{label}.data"),
        block_number=quantity(fields.get("blockNumber"), f"{label}.blockNumber"),
        block_hash=BlockHash(hash32(fields.get("blockHash"), f"{label}.blockHash")),
        tx_hash=tx_hash(fields.get("transactionHash"), f"{label}.transactionHash"),
        index=quantity(fields.get("logIndex"), f"{label}.logIndex"),
    )
