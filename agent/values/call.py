"""One call to a contract: to read it, or as a leg of a batch."""

from __future__ import annotations

from dataclasses import dataclass

from agent.values.address import Address


@dataclass(frozen=True, slots=True)
class Call:
    """``label`` is for people ("curie.openPosition"); it never reaches the chain."""

    target: Address
    data: bytes
    value_wei: int = 0
    label: str = ""
    gas_hint: int = 0  # optional upper guess of the gas it burns, for chunking reads


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: ``ok`` is False when the call reverted, ``data`` then holds the revert data."""

    ok: bool
    data: bytes
