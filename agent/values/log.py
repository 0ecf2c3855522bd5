"""What a contract wrote into the chain's record, and how to ask for it."""

from __future__ import annotations

from dataclasses import dataclass

from agent.values.address import Address, BlockHash, TxHash


@dataclass(frozen=True, slots=True)
class Log:
    """One event. ``topics``: 32 bytes each, the first is the event's own unless it is anonymous.

    ``index``: its place among all events of the block.
    """

    address: Address
    topics: tuple[bytes, ...]
    data: bytes
    block_number: int
    block_hash: BlockHash
    tx_hash: TxHash
    index: int


@dataclass(frozen=True, slots=True)
class Filter:
    """Which events: of any of ``addresses``, and at each place any of the topics named there (none: any)."""

    addresses: tuple[Address, ...]
    topics: tuple[tuple[bytes, ...], ...] = ()
