"""The port of venues whose accounts can all be found and judged together: what `evenkeel scan` asks."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from agent.chain.column import Column, Table, read_table
from agent.chain.lens import read_one
from agent.chain.mapping import read_mapping
from agent.chain.rpc import Rpc
from agent.risk.crowd import Crowd, Flags
from agent.values.address import Address
from agent.values.block import Block
from agent.values.call import Reading
from agent.values.log import Filter, Log

H = TypeVar("H")
T = TypeVar("T")


@dataclass
class Sight:
    """One block of a chain, to be read. ``asked_s`` adds up what waiting for the node and unpacking took."""

    rpc: Rpc
    block: Block
    asked_s: float = field(default=0.0)

    def read(self, reading: Reading[T]) -> T:
        """What a reading returns. Raises what `agent.chain.lens` raises."""
        began = time.perf_counter()
        found = read_one(self.rpc, self.block, reading)
        self.asked_s += time.perf_counter() - began
        return found

    def table(self, columns: Sequence[Column], subjects: Sequence[int]) -> Table:
        """What every column says of every subject. Raises what `agent.chain.column` raises."""
        began = time.perf_counter()
        found = read_table(self.rpc, self.block, columns, subjects)
        self.asked_s += time.perf_counter() - began
        return found

    def mapping(self, target: Address, slot: int, keys: Sequence[int]) -> Table:
        """Words of a mapping. Raises what `agent.chain.mapping` raises."""
        began = time.perf_counter()
        found = read_mapping(self.rpc, self.block, target, slot, keys)
        self.asked_s += time.perf_counter() - began
        return found


@dataclass(frozen=True, slots=True)
class Verdict:
    """The contract's own words on one account, wad of its margin currency."""

    equity_wad: int
    requirement_wad: int
    is_liquidatable: bool


class CrowdVenue(Protocol[H]):
    """All accounts of one deployment. A subject is an account as one word: an address or a number.

    ``H`` is what the venue keeps from block to block: arrays, one row per subject in their order.
    """

    @property
    def name(self) -> str: ...

    @property
    def homes(self) -> tuple[Address, ...]:
        """The contracts that speak of accounts; before the first of them existed there were none."""
        ...

    @property
    def unit(self) -> str:
        """What equity is counted in."""
        ...

    def identify(self) -> Reading[object]:
        """Prove that the contracts are the protocol's. Raises ContractMismatch."""
        ...

    def events(self) -> Filter:
        """Every event that brings an account or changes one."""
        ...

    def introduced(self, log: Log) -> tuple[int, ...]:
        """The accounts that this event proves to exist."""
        ...

    def touched(self, log: Log) -> tuple[int, ...]:
        """The accounts that this event changed, known or not."""
        ...

    def account(self, subject: int) -> str:
        """The account for people: an address or a number."""
        ...

    def take(self, sight: Sight, subjects: Sequence[int], before: H | None, stale: Flags) -> H:
        """The accounts at a block: the market's state anew, and of the accounts those that are ``stale``.

        ``before`` is of the first of ``subjects``; those it lacks are stale whatever is said. Raises what
        reading raises; an account that reverts spoils only its own row.
        """
        ...

    def differing(self, kept: H, fresh: H) -> Flags:
        """Which rows of two takes of one block and the same subjects do not say the same."""
        ...

    def crowd(self, held: H) -> Crowd:
        """The accounts as functions of prices. Pure."""
        ...

    def verdicts(self, sight: Sight, subjects: Sequence[int]) -> list[Verdict | None]:
        """What the contract says of these; None of one it reverts on."""
        ...
