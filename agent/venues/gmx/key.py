"""Where GMX's DataStore keeps each number: a hash of its name and of what it belongs to."""

from __future__ import annotations

from functools import lru_cache

from eth_abi import abi as codec
from eth_utils.crypto import keccak

from agent.values.address import Address


@lru_cache(maxsize=4096)
def key_of(name: str, *parts: Address | bytes | bool) -> bytes:
    """``keccak(abi.encode(keccak(abi.encode(name)), ...))``; a text among ``parts`` is an address."""
    base = keccak(codec.encode(["string"], [name]))
    if not parts:
        return base
    return keccak(codec.encode(["bytes32", *(_kind(part) for part in parts)], [base, *parts]))


def position_key(account: Address, market: Address, token: Address, *, is_long: bool) -> bytes:
    """The position's own name: whose, where, in which collateral, on which side."""
    kinds = ["address", "address", "address", "bool"]
    return keccak(codec.encode(kinds, [account, market, token, is_long]))


def _kind(part: Address | bytes | bool) -> str:
    if isinstance(part, bool):
        return "bool"
    return "bytes32" if isinstance(part, bytes) else "address"
