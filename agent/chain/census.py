"""Taking a survey: every endpoint asked at once, and once more if they disagree."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from agent.chain import shape
from agent.chain.crowd import Crowd, available, telling
from agent.chain.endpoint import Endpoint
from agent.chain.error_table import is_unpinned
from agent.chain.rpc import block_param
from agent.chain.summit import Summit
from agent.chain.survey import LeftOut, Reading, Survey, differences, majority, ranked
from agent.chain.wire import Request, single
from agent.errors import (
    DecodeMismatch,
    EvenkeelError,
    HeadImplausible,
    NodesDisagree,
    ReadUnpinned,
    RpcRejected,
    Transient,
)
from agent.values.address import Address, BlockHash
from agent.values.block import Block

SETTLE_S = 0.3  # how long after a new block the nodes may still differ
LOOK_S = 0.25
OUTVOTED = "most others tell another chain"


class Census:
    """Of several endpoints below one summit."""

    def __init__(self, members: Sequence[Endpoint], summit: Summit, max_lag: int) -> None:
        self._members = members
        self._summit = summit
        self._max_lag = max_lag

    def survey(self, account: Address, timeout_s: float, reask_s: float) -> Survey:
        """As `agent.chain.pool.Pool.survey` says."""
        readings, left_out, quarrel = self._readings(account, timeout_s)
        if quarrel:
            self._await_block(max(reading.head.number for reading in readings) + 1, reask_s)
            readings, left_out, quarrel = self._readings(account, timeout_s)
        if quarrel:
            believed, liars = majority(readings, sum(not member.is_cut_off for member in self._members))
            if not believed:
                raise NodesDisagree(account=account, differences="; ".join(quarrel))
            for liar in liars:
                self._named(liar.endpoint).distrust(OUTVOTED)
                left_out.append(LeftOut(liar.endpoint, OUTVOTED))
            readings = believed
        self._summit.accept(readings[0].endpoint, readings[0].head)
        return Survey(account, tuple(readings), tuple(left_out))

    def _readings(
        self, account: Address, timeout_s: float
    ) -> tuple[list[Reading], list[LeftOut], tuple[str, ...]]:
        """The readings that count, highest first, who is left out, and what cannot be true at once."""
        members, failures = available(self._members)
        left_out = [LeftOut(str(error.fields["endpoint"]), error.sentence) for error in failures]
        readings: list[Reading] = []
        doubted: list[tuple[Endpoint, HeadImplausible]] = []
        crowd = Crowd(members, lambda member: reading(member, account, timeout_s), timeout_s)
        for member, answer in crowd:
            if isinstance(answer, EvenkeelError):
                failures.append(answer)
                left_out.append(LeftOut(member.endpoint, answer.sentence))
            elif (doubt := self._summit.doubt(member.endpoint, answer.head)) is not None:
                doubted.append((member, doubt))
                left_out.append(LeftOut(member.endpoint, doubt.sentence))
            else:
                readings.append(answer)
        late = crowd.late("a survey")
        left_out += [LeftOut(str(error.fields["endpoint"]), error.sentence) for error in late]
        if not readings:
            raise telling([*failures, *late, *(doubt for _, doubt in doubted)])
        for member, doubt in doubted:  # not if all are: then it is our clock
            member.distrust(doubt.sentence)
        near, far = ranked(readings, self._max_lag)
        return near, left_out + far, differences(near, self._chain(near, timeout_s))

    def _chain(self, readings: Sequence[Reading], timeout_s: float) -> dict[int, BlockHash]:
        """The authority's own blocks at the lower readings' numbers; none if it does not say."""
        top = readings[0]
        numbers = sorted({r.head.number for r in readings if r.head.number < top.head.number})
        if not numbers:
            return {}
        label = "eth_getBlockByNumber"
        request = Request(tuple((label, (hex(number), False)) for number in numbers), is_batch=True)
        try:
            results = self._named(top.endpoint).ask(request, timeout_s)
            blocks = [shape.header(result.unwrap(), label) for result in results]
        except (Transient, DecodeMismatch, RpcRejected):
            return {}
        return {block.number: block.hash for block in blocks}

    def _await_block(self, number: int, patience_s: float) -> None:
        """Until an endpoint tells of it and the others had time to hear of it, or patience ends."""
        deadline = time.monotonic() + patience_s
        while (left_s := deadline - time.monotonic()) > 0:
            members, _ = available(self._members)
            heads = [head for _, head in Crowd(members, _newest_within(left_s), left_s)]
            is_there = any(isinstance(head, Block) and head.number >= number for head in heads)
            time.sleep(SETTLE_S if is_there else min(LOOK_S, left_s))
            if is_there:
                return

    def _named(self, name: str) -> Endpoint:
        return next(member for member in self._members if member.endpoint == name)


def reading(member: Endpoint, account: Address, timeout_s: float) -> Reading:
    """The endpoint's newest block and the nonce in its state; asked twice if the block goes meanwhile.

    Raises what `Endpoint.ask` does, RpcRejected and ReadUnpinned.
    """
    deadline = time.monotonic() + timeout_s
    label = "eth_getTransactionCount"
    while True:
        head = member.newest(deadline - time.monotonic())
        request = single(label, (account, block_param(head)))
        (result,) = member.ask(request, deadline - time.monotonic())
        if result.error is None:
            return Reading(member.endpoint, head, shape.quantity(result.value, label))
        reason = str(result.error.fields["reason"])
        if not is_unpinned(reason):
            raise result.error
        if deadline - time.monotonic() < timeout_s / 2:
            raise ReadUnpinned(block=f"{head.number} ({head.hash})", reason=reason)


def _newest_within(timeout_s: float) -> Callable[[Endpoint], Block]:
    return lambda member: member.newest(timeout_s)
