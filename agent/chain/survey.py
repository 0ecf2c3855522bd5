"""What several endpoints say about an account, and which of them to believe. Pure.

The endpoint with the highest block is the authority, if all that are near it tell the same chain: the same
hash at the same number, the same nonce at the same hash, and at no lower block a nonce that is higher. A
difference of one moment is normal (a block on its way, a reorganisation); `agent.chain.pool` asks again
before it refuses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from agent.values.address import Address, BlockHash
from agent.values.block import Block


@dataclass(frozen=True, slots=True)
class Reading:
    """One endpoint's newest block and the account's next nonce in that very block's state."""

    endpoint: str
    head: Block
    nonce: int


@dataclass(frozen=True, slots=True)
class LeftOut:
    """An endpoint that does not count, and why."""

    endpoint: str
    reason: str


@dataclass(frozen=True, slots=True)
class Survey:
    """``readings`` are those that count, the highest block first; they agree. Never empty."""

    account: Address
    readings: tuple[Reading, ...]
    left_out: tuple[LeftOut, ...]

    @property
    def authority(self) -> Reading:
        """The reading at the highest block."""
        return self.readings[0]

    @property
    def head(self) -> Block:
        """The highest block."""
        return self.authority.head

    @property
    def nonce(self) -> int:
        """The account's next nonce after it."""
        return self.authority.nonce

    def without(self, left_out: Sequence[LeftOut]) -> Survey:
        """The same with more that do not count."""
        return replace(self, left_out=(*self.left_out, *left_out))


def ranked(readings: Sequence[Reading], max_lag: int) -> tuple[list[Reading], list[LeftOut]]:
    """The highest first, without those more than ``max_lag`` blocks behind it."""
    if not readings:
        return [], []
    highest = max(reading.head.number for reading in readings)
    near = [reading for reading in readings if highest - reading.head.number <= max_lag]
    far = [
        LeftOut(reading.endpoint, f"it is {highest - reading.head.number} blocks behind")
        for reading in readings
        if highest - reading.head.number > max_lag
    ]
    return sorted(near, key=lambda reading: -reading.head.number), far


def differences(readings: Sequence[Reading], chain: Mapping[int, BlockHash]) -> tuple[str, ...]:
    """What cannot be true at once; empty if the readings agree.

    ``chain`` has the authority's own hashes at the lower readings' numbers.
    """
    found = []
    top = readings[0]
    for other in readings[1:]:
        number = other.head.number
        known = top.head.hash if number == top.head.number else chain.get(number)
        pair = f"{top.endpoint} and {other.endpoint}"
        if known is not None and known != other.head.hash:
            found.append(f"{pair} have different blocks {number} ({known} and {other.head.hash})")
        elif number == top.head.number and other.nonce != top.nonce:
            found.append(f"{pair} have different nonces at block {number} ({top.nonce} and {other.nonce})")
        elif other.nonce > top.nonce:
            found.append(f"{pair} have falling nonces ({other.nonce} at block {number}, later {top.nonce})")
    return tuple(found)


def majority(readings: Sequence[Reading], members: int) -> tuple[list[Reading], list[Reading]]:
    """The readings that more than half of all ``members`` share (same block, same nonce), and the others.

    Nothing and all of them if there is no such majority of at least two.
    """
    groups: dict[tuple[str, int], list[Reading]] = {}
    for reading in readings:
        groups.setdefault((reading.head.hash, reading.nonce), []).append(reading)
    largest = max(groups.values(), key=len)
    if len(largest) < 2 or len(largest) * 2 <= members:
        return [], list(readings)
    return largest, [reading for reading in readings if reading not in largest]
