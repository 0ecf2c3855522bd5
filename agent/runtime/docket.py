"""The open cases: what was asked of keepers, followed head by head until it is settled.

What is pending is what the venues store at the head (`market.request.open_requests`): no memory is needed to
know it, and neither a crash nor a reorganisation can make it wrong. This is about what became of it: events
say how a request ended, the record remembers what was told of it, and markets whose requests come to nothing
are left alone for a while.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, cast

from agent.chain.rpc import Rpc
from agent.errors import ReadUnpinned
from agent.market.request import KeeperVenue, Phase, Request, canonical, is_requesting, open_requests
from agent.market.snapshot import Snapshot, VenueState
from agent.market.standing import Access
from agent.planning.pending import Pending, is_due_back
from agent.planning.plan import Plan
from agent.planning.policy import Policy
from agent.runtime.aftermath import Recorder
from agent.runtime.prove import Proof
from agent.runtime.summary import Json, exposure_json, request_json
from agent.values.address import MarketId, TxHash
from agent.values.block import Block
from agent.values.fixed import WAD, from_decimal
from agent.values.log import Filter, Log

ASKED, TOLD = "asked", "request"  # kinds of entries in the record
DEPTH = 64  # blocks that may still be reorganised: what ended in them is looked at again
CHUNK = 5_000  # blocks of events per question
DUST = 10**6  # one part of so many is what a position may differ from its fill by

FAILED = frozenset({Phase.CANCELLED, Phase.EXPIRED, Phase.FROZEN})
FILLED = frozenset({Phase.EXECUTED, Phase.PARTLY})


@dataclass(frozen=True, slots=True)
class Turn:
    """A request that came to another phase or was filled further, or (``is_gone``) whose birth a
    reorganisation took back. ``before`` is None where it is new.
    """

    request: Request
    before: Phase | None
    is_gone: bool = False
    proofs: tuple[Proof, ...] = ()

    @property
    def kept(self) -> bool:
        """Whether it was filled within the bounds it was asked with, as far as it was filled."""
        return all(proof.kept for proof in self.proofs)


@dataclass(slots=True)
class _Streak:
    """Requests of one market in a row that came to nothing, and the block of the last."""

    keys: list[str]
    block: int = 0


class Docket:
    """What was told of each request so far, and which markets rest. One for a desk; not for two threads."""

    def __init__(self) -> None:
        self._told: dict[tuple[str, str], tuple[Request, int]] = {}  # as last told, and at which block
        self._streaks: dict[MarketId, _Streak] = {}
        self._sizes: dict[MarketId, int] | None = None
        self._stamps: dict[str, int] = {}
        self._since: int | None = None  # from where on births have not been looked for
        self._expected = 0  # up to which block births may still come

    @classmethod
    def restored(cls, entries: Iterable[tuple[str, Mapping[str, object]]], failures: int) -> Docket:
        """From (kind, payload) of the record's entries of kinds ASKED and TOLD, oldest first. ``failures``:
        the policy's `keeper_failures`.
        """
        docket = cls()
        for kind, payload in entries:
            block = int(str(payload["head"]))
            if kind == ASKED:
                docket._since = block if docket._since is None else docket._since
                docket._expected = block + DEPTH
                continue
            request = request_of(payload)
            docket._note(
                Turn(request, None, bool(payload["gone"])), block, failures, kept=bool(payload["kept"])
            )
            # what was asked before this birth has been found
            if docket._since is not None and request.block_number > docket._since:
                docket._since = request.block_number
        return docket

    def expect(self, plan: Plan, block: Block, recorder: Recorder | None) -> None:
        """Births are due: in the record before the plan can be on chain."""
        legs = [exposure for exposure in plan.naked if not exposure.key]
        if not legs:
            return
        if recorder is not None:
            asked = {
                "intent_id": plan.intent_id,
                "head": block.number,
                "legs": [exposure_json(leg) for leg in legs],
                "naked_usd_s": plan.naked_usd_s,
            }
            recorder.append(ASKED, asked)
        self._since = block.number if self._since is None else min(self._since, block.number)
        self._expected = block.number + DEPTH

    def pending(self, venues: Sequence[object], snapshot: Snapshot, policy: Policy) -> Pending:
        """What the planner has to know. ``venues``: of the eye. A venue rests while a request is to be taken
        back there: what it was asked for is planned elsewhere.
        """
        takers = {venue.name: venue for venue in _keepers(venues)}
        now_s, number = snapshot.block.timestamp_s, snapshot.block.number
        found = open_requests(snapshot)
        # nothing is written there
        watched = {one.venue for one in snapshot.standings if one.access is Access.WATCH}
        due = [r for r in found if is_due_back(r, now_s) and r.venue in takers and r.venue not in watched]
        return Pending(
            tuple(request for request in found if request not in due),
            tuple((request, takers[request.venue].take_back(request)) for request in due),
            frozenset(self._resting(number, policy)) | _markets(snapshot, {r.venue for r in due}),
        )

    def _resting(self, number: int, policy: Policy) -> list[MarketId]:
        return [
            market
            for market, streak in self._streaks.items()
            if len(streak.keys) >= policy.keeper_failures
            and number < streak.block + policy.keeper_rest_blocks
        ]

    def look(
        self,
        rpc: Rpc,
        venues: Sequence[object],
        snapshot: Snapshot,
        policy: Policy,
        recorder: Recorder | None,
        *,
        is_quiet: bool,
    ) -> tuple[Turn, ...]:
        """What has changed since the last look, each told once: it is in the record when this returns.

        ``is_quiet``: none of our own transactions was mined since, so that positions can have changed by
        fills only. Raises ReadUnpinned, and RequestContradicted for events that cannot all be true.
        """
        turns: list[Turn] = []
        for venue in _keepers(venues):
            turns += self._look_at(rpc, venue, snapshot)
        proved = [replace(t, proofs=self._proofs(t, turns, snapshot, is_quiet=is_quiet)) for t in turns]
        for turn in proved:
            if recorder is not None:
                recorder.append(TOLD, turn_json(turn, snapshot.block))
            self._note(turn, snapshot.block.number, policy.keeper_failures, kept=turn.kept)
        self._sizes = _sizes(snapshot)
        self._forget(snapshot.block.number)
        return tuple(proved)

    def _look_at(self, rpc: Rpc, venue: _Keeper, snapshot: Snapshot) -> list[Turn]:
        block, account = snapshot.block, snapshot.account
        stored = {r.key: r for r in open_requests(snapshot) if r.venue == venue.name}
        told = {key: one for (name, key), (one, _) in self._told.items() if name == venue.name}
        if not stored and not told and block.number > self._expected:
            self._since = None
            return []
        births = [one.block_number for one in told.values() if one.block_number]
        recent = max(0, block.number - DEPTH)
        first = min([recent, *births, *([] if self._since is None else [self._since])])
        logs = _logs(rpc, venue.events(account), first, block)
        born = {one.key: one for one in venue.requests(account, logs, self._times(rpc, logs))}
        for key, one in stored.items():
            born.setdefault(key, replace(one, phase=Phase.REQUESTED, reason=""))
        turns = []
        for key, one in told.items():
            if key in born:
                continue
            if one.block_number >= first:  # its birth would be among the events: it is no more
                turns.append(Turn(one, one.phase, is_gone=True))
            else:
                born[key] = one if one.is_open else replace(one, phase=Phase.REQUESTED, filled_wad=0)
        for followed in venue.follow(tuple(born.values()), logs):
            now = followed.at(block.timestamp_s)
            before = told.get(now.key)
            if now.is_open != (now.key in stored):
                continue  # the venue's storage is the judge; the next look will find both of one mind
            if before is None or (before.phase, before.filled_wad) != (now.phase, now.filled_wad):
                turns.append(Turn(now, None if before is None else before.phase))
        self._since = None
        return turns

    def _times(self, rpc: Rpc, logs: Sequence[Log]) -> dict[int, int]:
        for log in logs:
            if log.block_hash not in self._stamps:
                self._stamps[log.block_hash] = rpc.block(log.block_hash).timestamp_s
        return {log.block_number: self._stamps[log.block_hash] for log in logs}

    def _proofs(
        self, turn: Turn, turns: Sequence[Turn], snapshot: Snapshot, *, is_quiet: bool
    ) -> tuple[Proof, ...]:
        """That it was filled within its price, and that the position changed by what was filled."""
        request = turn.request
        if turn.is_gone or not request.filled_wad:
            return ()
        lower, upper = request.price_bounds_wad
        found = [Proof(f"price of {request.key}", request.fill_price_wad * WAD, lower, upper)]
        fills_wad = 0
        for other in turns:
            if other.request.market == request.market:
                known = self._told.get((other.request.venue, other.request.key))
                if other.is_gone or known is None:  # born since: it may not all be of this interval
                    return tuple(found)
                fills_wad += other.request.filled_wad - known[0].filled_wad
        if is_quiet and self._sizes is not None:
            changed_wad = _sizes(snapshot).get(request.market, 0) - self._sizes.get(request.market, 0)
            slack = abs(fills_wad) // DUST + 1
            bounds = (fills_wad - slack, fills_wad + slack)
            found.append(Proof(f"position of {request.market}", changed_wad * WAD, *bounds))
        return tuple(found)

    def _note(self, turn: Turn, head: int, failures: int, *, kept: bool) -> None:
        request = turn.request
        if turn.is_gone:
            self._told.pop((request.venue, request.key), None)
            return
        self._told[(request.venue, request.key)] = (request, head)
        streak = self._streaks.setdefault(request.market, _Streak([]))
        if request.phase in FAILED and request.key not in streak.keys:
            streak.keys.append(request.key)
            streak.block = head
        elif request.phase in FILLED:
            streak.keys.clear()
            if not kept:  # a venue that breaks its own bound has had all its chances
                streak.keys += [request.key] * failures
                streak.block = head

    def _forget(self, number: int) -> None:
        """What has ended and can no longer be reorganised."""
        self._told = {
            place: (one, at) for place, (one, at) in self._told.items() if one.is_open or at > number - DEPTH
        }
        while len(self._stamps) > CHUNK:
            self._stamps.pop(next(iter(self._stamps)))


class _Keeper(KeeperVenue, Protocol):
    """A venue whose orders are requests, with its name."""

    @property
    def name(self) -> str: ...


def _keepers(venues: Sequence[object]) -> list[_Keeper]:
    return [cast(_Keeper, venue) for venue in venues if isinstance(venue, KeeperVenue)]


def _logs(rpc: Rpc, wanted: Filter, first: int, block: Block) -> tuple[Log, ...]:
    """Canonical as of ``block``. Raises ReadUnpinned when the node has moved to another fork."""
    found: list[Log] = []
    for start in range(first, block.number + 1, CHUNK):
        found += rpc.logs(wanted, start, min(start + CHUNK - 1, block.number))
    for log in found:
        if log.block_number == block.number and log.block_hash != block.hash:
            raise ReadUnpinned(block=block.hash, reason="its events are of another block")
    return canonical(found)


def _markets(snapshot: Snapshot, venues: Collection[str]) -> frozenset[MarketId]:
    """Where those venues offer to trade."""
    states = (state for state in snapshot.venues if state.venue in venues)
    return frozenset(offer.market for state in states for offer in state.offers)


def _sizes(snapshot: Snapshot) -> dict[MarketId, int]:
    """What is held in each market of a venue that has requests."""
    found: dict[MarketId, int] = {}
    for state in snapshot.venues:
        if is_requesting(state):
            for position in cast(VenueState, state).positions:
                market = position.instrument.market
                found[market] = found.get(market, 0) + position.size_wad
    return found


def turn_json(turn: Turn, block: Block) -> Json:
    """For the record."""
    request = turn.request
    is_late = request.phase in FILLED and block.timestamp_s >= request.cancel_at_s
    return request_json(request) | {
        "head": block.number,
        "before": None if turn.before is None else turn.before.value,
        "gone": turn.is_gone,
        "late": is_late,
        "kept": turn.kept,
        "proof": [
            {
                "name": p.name,
                "value": str(p.value),
                "lower": str(p.lower),
                "upper": str(p.upper),
                "kept": p.kept,
            }
            for p in turn.proofs
        ],
    }


def request_of(payload: Mapping[str, object]) -> Request:
    """Back from the record."""

    def wad(name: str) -> int:
        return from_decimal(str(payload[name]))

    tx_hash = payload["tx_hash"]
    return Request(
        venue=str(payload["venue"]),
        key=str(payload["key"]),
        market=MarketId(str(payload["market"])),
        asset=str(payload["asset"]),
        size_wad=wad("size"),
        price_wad=wad("price"),
        collateral_wad=wad("collateral"),
        requested_at_s=int(str(payload["requested_at_s"])),
        cancel_at_s=int(str(payload["cancel_at_s"])),
        phase=Phase(str(payload["phase"])),
        filled_wad=wad("filled"),
        fill_price_wad=wad("fill_price"),
        reason=str(payload["reason"]),
        margin_key=str(payload["margin_key"]),
        block_number=int(str(payload["block"])),
        tx_hash=None if tx_hash is None else TxHash(str(tx_hash)),
    )
