"""The one block a snapshot is pinned to."""

from __future__ import annotations

from dataclasses import dataclass

from agent.values.address import BlockHash


@dataclass(frozen=True, slots=True)
class Block:
    """A block header, as far as we need it. ``timestamp_s`` in seconds, fees in wei per gas."""

    number: int
    hash: BlockHash
    parent_hash: BlockHash
    timestamp_s: int
    base_fee_wei: int
    gas_limit: int
