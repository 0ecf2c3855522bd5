"""What was asked of a venue that fills later, by somebody else's hand.

A request is born in one of our transactions and ends in somebody else's. What it has come to is a function
of the canonical events since its birth and of nothing else: after a reorganisation it is derived again. The
venue's storage (`RequestingState.requests`) is the judge of what is open.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Protocol, TypeGuard, runtime_checkable

from agent.errors import RequestContradicted
from agent.market.intent import Order
from agent.market.offer import Offer
from agent.market.snapshot import Snapshot
from agent.values.address import Address, MarketId, TxHash
from agent.values.block import Block
from agent.values.call import Reading
from agent.values.check import INT256_MAX
from agent.values.fixed import mul_div_down
from agent.values.log import Filter, Log


class Phase(Enum):
    """Where a request stands. The first three may still be filled; the others are for good."""

    REQUESTED = "requested"  # waiting for a keeper
    FROZEN = "frozen"  # the venue has set it aside; it may still be filled, or be taken back
    EXPIRED = "expired"  # nobody acted in time: it can be taken back, and may be filled until then
    EXECUTED = "executed"  # filled as asked
    PARTLY = "partly"  # some of it was filled, and the rest never will be
    CANCELLED = "cancelled"  # by the venue, by its own end or by us: nothing was filled


OPEN = frozenset({Phase.REQUESTED, Phase.FROZEN, Phase.EXPIRED})
_ENDS = frozenset(Phase) - OPEN
_NEXT: Mapping[Phase, frozenset[Phase]] = {
    Phase.REQUESTED: _ENDS | {Phase.FROZEN, Phase.EXPIRED},
    Phase.FROZEN: _ENDS | {Phase.REQUESTED, Phase.FROZEN},  # a venue may set it aside again, or thaw it
    Phase.EXPIRED: _ENDS | {Phase.FROZEN},
    **{end: frozenset() for end in _ENDS},
}


@dataclass(frozen=True, slots=True)
class Request:
    """One order at a venue that settles by a KEEPER. Sizes are signed wads of the asset, > 0 buys.

    ``key`` is the venue's own name of the order. ``price_wad``: the worst average price it may fill at.
    ``filled_wad`` and ``fill_price_wad``: what happened of it so far, and at which average. ``cancel_at_s``:
    from when on we may take it back. ``collateral_wad``: the margin that travels with it (< 0: comes out) to
    the account ``margin_key``; ``size_wad`` is 0 where nothing else is asked for.
    ``block_number`` and ``tx_hash``: of its birth; 0 and empty where only the venue's storage told of it.
    """

    venue: str
    key: str
    market: MarketId
    asset: str
    size_wad: int
    price_wad: int
    collateral_wad: int
    requested_at_s: int
    cancel_at_s: int
    phase: Phase = Phase.REQUESTED
    filled_wad: int = 0
    fill_price_wad: int = 0
    reason: str = ""
    margin_key: str = ""  # MarginAccount.key
    block_number: int = 0
    tx_hash: TxHash | None = None

    @property
    def is_open(self) -> bool:
        """Whether it may still change what we hold."""
        return self.phase in OPEN

    @property
    def price_bounds_wad(self) -> tuple[int, int]:
        """The lowest and the highest average price it may be filled at."""
        return (0, self.price_wad) if self.size_wad > 0 else (self.price_wad, INT256_MAX)

    @property
    def rest_wad(self) -> int:
        """What was not filled of it, signed."""
        return self.size_wad - self.filled_wad

    @property
    def pending_wad(self) -> int:
        """What may still be filled, signed."""
        return self.rest_wad if self.is_open else 0

    def to(self, phase: Phase, reason: str = "") -> Request:
        """The request in its next phase. Raises RequestContradicted where no way leads there."""
        if phase not in _NEXT[self.phase]:
            raise self._contradicted(f"it is {self.phase.value} and was to become {phase.value}")
        if phase is Phase.CANCELLED and self.filled_wad:
            raise self._contradicted("it is cancelled whole, and was filled in part before")
        if phase is Phase.EXECUTED and not self.filled_wad and self.size_wad:
            raise self._contradicted("it is executed, and nothing of it is filled")
        if phase is Phase.PARTLY and not (self.filled_wad and self.rest_wad):
            raise self._contradicted(f"it is filled in part, with {self.filled_wad} of {self.size_wad}")
        return replace(self, phase=phase, reason=reason or self.reason)

    def filled(self, size_wad: int, price_wad: int) -> Request:
        """After ``size_wad`` (signed) more of it was filled; still open. Raises RequestContradicted."""
        if not self.is_open:
            raise self._contradicted(f"it is {self.phase.value} and was filled")
        after_wad = self.filled_wad + size_wad
        sign = 1 if self.size_wad > 0 else -1
        if size_wad * sign <= 0 or after_wad * sign > self.size_wad * sign:
            raise self._contradicted(f"{after_wad} of {self.size_wad} is filled")
        paid = abs(self.filled_wad) * self.fill_price_wad + abs(size_wad) * price_wad
        return replace(self, filled_wad=after_wad, fill_price_wad=mul_div_down(paid, 1, abs(after_wad)))

    def executed(self, price_wad: int, size_wad: int | None = None) -> Request:
        """All that was left of it is filled at ``price_wad``. ``size_wad``: what was filled of the asset in
        all, where the venue counts orders in quote, so that it depends on the price. Raises
        RequestContradicted.
        """
        if size_wad is None:
            done = self.filled(self.rest_wad, price_wad) if self.rest_wad else self
            return done.to(Phase.EXECUTED)
        if size_wad * self.size_wad <= 0:
            raise self._contradicted(f"{size_wad} of {self.size_wad} is filled")
        return replace(self, filled_wad=size_wad, fill_price_wad=price_wad).to(Phase.EXECUTED)

    def ended(self, reason: str) -> Request:
        """It will not be filled any further: PARTLY or CANCELLED. Raises RequestContradicted."""
        return self.to(Phase.PARTLY if self.filled_wad else Phase.CANCELLED, reason)

    def frozen(self, reason: str) -> Request:
        """The venue has set it aside. Raises RequestContradicted."""
        return self.to(Phase.FROZEN, reason)

    def at(self, now_s: int) -> Request:
        """The same request at a later chain time: one that nobody filled in time is EXPIRED."""
        if self.phase is Phase.REQUESTED and now_s >= self.cancel_at_s:
            return self.to(Phase.EXPIRED, "no keeper acted in time")
        return self

    def exposure_s(self, now_s: int, inclusion_s: int) -> int:
        """For how many seconds more it may leave its size unfilled: until it can be taken back, and
        ``inclusion_s`` for that to be mined.
        """
        return max(0, self.cancel_at_s - now_s) + inclusion_s

    def _contradicted(self, reason: str) -> RequestContradicted:
        return RequestContradicted(venue=self.venue, key=self.key, reason=reason)


def canonical(logs: Sequence[Log]) -> tuple[Log, ...]:
    """The same events, each once and in the chain's order, however they came.

    Raises RequestContradicted when they are of two forks: two hashes for one block number.
    """
    hashes: dict[int, str] = {}
    found: dict[tuple[int, int], Log] = {}
    for log in logs:
        if hashes.setdefault(log.block_number, log.block_hash) != log.block_hash:
            reason = f"its events are of two blocks {log.block_number}"
            raise RequestContradicted(venue=log.address, key="any", reason=reason)
        found[(log.block_number, log.index)] = log
    return tuple(found[place] for place in sorted(found))


@runtime_checkable
class RequestingState(Protocol):
    """A venue's state that knows the account's open requests."""

    @property
    def requests(self) -> Sequence[Request]:
        """Every request of the account that the venue stores at this block, whoever made it."""
        ...


@runtime_checkable
class KeeperOffer(Offer, Protocol):
    """An offer that is filled later. Its sizes are what may be asked for; its costs are for a fill at the
    present price.
    """

    @property
    def wait_s(self) -> int:
        """Longest time from the request until it may be taken back."""
        ...

    @property
    def request_cost_wad(self) -> int:
        """Quote for having one request executed, whatever its size; what is given back is not in it."""
        ...


@runtime_checkable
class KeeperVenue(Protocol):
    """A venue whose orders are requests (beside what every `Venue` says). Its states are
    `RequestingState`, its offers `KeeperOffer`, and its ``write`` of a Trade or Reduce is the call that
    asks for it, the execution fee in ``Call.value_wei``.
    """

    def events(self, account: Address) -> Filter:
        """The events in which the account's requests are born, filled, cancelled and frozen. Others may be
        among what it finds.
        """
        ...

    def requests(
        self, account: Address, logs: Sequence[Log], timestamps_s: Mapping[int, int]
    ) -> tuple[Request, ...]:
        """The account's requests that were born in ``logs`` (canonical), as they were at birth.

        ``timestamps_s``: of the blocks of ``logs``, by number. Pure. Raises DecodeMismatch.
        """
        ...

    def follow(self, born: Sequence[Request], logs: Sequence[Log]) -> tuple[Request, ...]:
        """What has become of each, in the same order: ``logs`` are canonical and reach back to all births.
        Events of other requests, and from before a birth, are left alone. By `Request`'s own steps. Pure.
        Raises RequestContradicted, DecodeMismatch.
        """
        ...

    def inspect(self, requests: Sequence[Request], block: Block) -> Reading[tuple[bool, ...]]:
        """Of each, whether the venue still stores it: the judge of what events tell."""
        ...

    def take_back(self, request: Request) -> Order:
        """The call that cancels it. Pure."""
        ...


def is_requesting(state: object) -> TypeGuard[RequestingState]:
    """As isinstance says, which is slow for a protocol and asked in every block."""
    return hasattr(state, "requests")


def open_requests(snapshot: Snapshot) -> tuple[Request, ...]:
    """Every request that may still change the book, as the venues store them and as of the block's time."""
    found: list[Request] = []
    for state in snapshot.venues:
        if is_requesting(state):
            found += [request.at(snapshot.block.timestamp_s) for request in state.requests]
    return tuple(request for request in found if request.is_open)
