"""One call to a contract: to read it, or as a leg of a batch."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import TypeVar

from agent.values.address import Address

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Call:
    """``label`` is for people ("curie.openPosition"); it never reaches the chain.

    Reads may travel together in one call of a contract that asks the targets in turn: ``msg.sender`` is then
    that contract, not address zero. A view that depends on it, or that only the node itself can answer (as
    Arbitrum's NodeInterface), says ``is_direct`` and is asked by itself.
    """

    target: Address
    data: bytes
    value_wei: int = 0
    label: str = ""
    gas_hint: int = 0  # optional upper guess of the gas it burns, for chunking reads
    is_direct: bool = field(default=False, kw_only=True)


@dataclass(frozen=True, slots=True)
class Slot(Call):
    """A word of the target's storage, for what no function tells: ``data`` is the slot's 32 bytes."""


@dataclass(frozen=True, slots=True)
class Code(Slot):
    """The code of the target; ``data`` is empty."""


@dataclass(frozen=True, slots=True)
class Codes(Slot):
    """What a program answers that is run and never deployed: ``data`` is its code. The target, one of the
    addresses it asks about, is for messages.
    """


@dataclass(frozen=True, slots=True)
class Past(Slot):
    """The target's events from block ``first`` on, up to the block that is read or to ``last``. ``topics``:
    at each place any of those named there, none: any. ``agent.chain.history`` reads the answer.
    """

    topics: tuple[tuple[bytes, ...], ...] = field(default=(), kw_only=True)
    first: int = field(default=0, kw_only=True)
    last: int | None = field(default=None, kw_only=True)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: ``ok`` is False when the call reverted, ``data`` then holds the revert data."""

    ok: bool
    data: bytes


# A reading is a pure conversation with the chain: it yields batches of calls, is sent their answers in
# the same order, and returns what it decoded. Whoever drives it decides how and at which block to ask;
# several readings driven in step share their batches, so a snapshot costs as many round trips as the
# longest of them, all at one block hash.
Reading = Generator[tuple[Call, ...], tuple[Answer, ...], T]
