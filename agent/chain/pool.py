"""Several endpoints as one for what is read; for what is written, each alone.

- A read goes to the best endpoint that is available and, if that fails, once to the next, in one time-out.
- What is read now is never older than what was read before: an endpoint whose newest block is behind the
  newest one accepted answers no such read. What is pinned to a block's hash may come from anywhere.
- Writes are refused: who sends chooses the endpoints, ``pool.members``, and answers for each.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence

from agent.chain import census, method, shape
from agent.chain.crowd import Crowd, available, telling
from agent.chain.endpoint import Endpoint, EndpointPolicy, Health
from agent.chain.error_table import is_unpinned
from agent.chain.method import Moment
from agent.chain.summit import Summit
from agent.chain.survey import Survey
from agent.chain.transport import redacted
from agent.chain.wire import Errand, Request, RpcResult, T
from agent.errors import (
    ChainMismatch,
    ConfigInvalid,
    DecodeMismatch,
    EndpointResting,
    EvenkeelError,
    HeadBehind,
    HeadImplausible,
    ReadUnpinned,
    RpcTimeout,
    Transient,
)
from agent.values.address import Address, ChainId
from agent.values.block import Block

GRACE_S = 0.15  # how long the first answer without a new block waits for another's with one
TURN_S = 0.05  # less time than this is not worth another try
MAX_FUTURE_S = 60.0


class Pool:
    """A wire over at least one endpoint. Threads may share it.

    ``urls``: the order says nothing. ``max_future_s``: how far a block may be ahead of the wall clock; None
    where the chain's clock is another one. ``max_lag``: how many blocks behind still counts in a survey.
    Raises ConfigInvalid.
    """

    def __init__(
        self,
        urls: Sequence[str],
        policy: EndpointPolicy | None = None,
        chain_id: ChainId | None = None,
        timeout_s: float = 10.0,
        max_future_s: float | None = MAX_FUTURE_S,
        max_lag: int = 3,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        if not urls:
            raise ConfigInvalid(key="rpc.url", value=None, reason="at least one is needed")
        shown = Counter(redacted(url) for url in urls)
        keys = ("rpc.url", *("rpc.more_urls" for _ in urls[1:]))
        self.members = tuple(
            Endpoint(
                url,
                policy,
                chain_id,
                timeout_s,
                name=f"{redacted(url)}#{index + 1}" if shown[redacted(url)] > 1 else "",
                key=key,
                clock=clock,
                wall=wall,
            )
            for index, (url, key) in enumerate(zip(urls, keys, strict=True))
        )
        self._max_lag = max_lag
        self._clock = clock
        self._summit = Summit(clock, wall, max_future_s)

    @property
    def endpoint(self) -> str:
        """The name of the first, and how many more there are."""
        more = len(self.members) - 1
        return self.members[0].endpoint + (f" (and {more} more)" if more else "")

    @property
    def parts(self) -> tuple[Endpoint, ...]:
        return self.members

    def health(self) -> tuple[Health, ...]:
        """Every endpoint now, in the order of the config."""
        top = self._summit.block
        return tuple(member.health(None if top is None else top.number) for member in self.members)

    def close(self) -> None:
        """Drop the connections that are not in use."""
        for member in self.members:
            member.close()

    def ask(self, request: Request, timeout_s: float) -> list[RpcResult]:
        """A read. Raises what `Endpoint.ask` does, of the endpoint that failed last; HeadBehind,
        HeadImplausible; ChainMismatch if no endpoint is on our chain; and TypeError for a write.
        """
        if not method.is_read(request):
            raise TypeError(f"{request.label} may write: a pool only reads, write through its members")
        if len(self.members) == 1:
            return self.members[0].ask(request, timeout_s)
        deadline = self._clock() + timeout_s
        if not request.is_batch and method.asks_head(request.calls[0]):
            return self._asked_head(request, deadline)
        return self._failed_over(request, deadline)

    def carry(self, errand: Errand[T], timeout_s: float) -> T:
        """By the best endpoint, or once by the next. Raises as `ask` does, and what the errand raises."""
        if len(self.members) == 1:
            return self.members[0].carry(errand, timeout_s)
        members, failures = available(self.members)
        rank = self._rank(self._summit.number_of(errand.block_hash), 1)
        gone: ReadUnpinned | None = None
        tries = 2
        ranked = sorted(members, key=rank)
        for index, member in enumerate(ranked):
            is_last = tries == 1 or index == len(ranked) - 1
            try:
                return member.carry(errand, timeout_s if is_last else timeout_s / 2)
            except (EndpointResting, ChainMismatch) as error:
                failures.append(error)
                continue
            except ReadUnpinned as error:
                gone = error
            except (Transient, DecodeMismatch) as error:
                failures.append(error)
            tries -= 1
            if tries == 0:
                break
        raise gone or telling(failures)

    def survey(self, account: Address, timeout_s: float = 2.0, reask_s: float = 15.0) -> Survey:
        """What every available endpoint says of ``account``, each within ``timeout_s``, judged.

        Endpoints that disagree are asked once more at the next block, for which it waits at most ``reask_s``.
        If they still do, what more than half of all endpoints say counts and the others are distrusted;
        without such a majority NodesDisagree is raised. Also raises HeadBehind, HeadImplausible,
        ChainMismatch, and an endpoint's own error if none answered. One endpoint is simply believed.
        """
        if len(self.members) == 1:
            return Survey(account, (census.reading(self.members[0], account, timeout_s),), ())
        taker = census.Census(self.members, self._summit, self._max_lag)
        return taker.survey(account, timeout_s, reask_s)

    def _asked_head(self, request: Request, deadline: float) -> list[RpcResult]:
        """The first answer with a new block; else the best of all, or of those soon after the first."""
        before = self._summit.block
        found: dict[Endpoint, tuple[Block, list[RpcResult]]] = {}
        doubted: dict[Endpoint, HeadImplausible] = {}

        def ask(member: Endpoint) -> tuple[Block, list[RpcResult]]:
            results = member.ask(request, deadline - self._clock())
            return member.learn(shape.header(results[0].unwrap(), request.label)), results

        members, failures = available(self.members)
        crowd = Crowd(members, ask, deadline - self._clock())
        for member, answer in crowd:
            if isinstance(answer, EvenkeelError):
                failures.append(answer)
            elif (doubt := self._summit.doubt(member.endpoint, answer[0])) is not None:
                doubted[member] = doubt
            else:
                found[member] = answer
                if before is not None and answer[0].number > before.number:
                    break
                crowd.shorten(GRACE_S)
        if not found:
            raise telling([*failures, *doubted.values(), *crowd.late(request.label)])
        for member, doubt in doubted.items():  # not if all are: then it is our clock
            member.distrust(doubt.sentence)
        best, (head, results) = max(
            found.items(),
            key=lambda item: (item[1][0].number, before is not None and item[1][0].hash == before.hash),
        )
        self._summit.accept(best.endpoint, head)
        return results

    def _failed_over(self, request: Request, deadline: float) -> list[RpcResult]:
        """From the best that can answer, or once from the next."""
        members, failures = available(self.members)
        spare: list[RpcResult] | None = None
        tries = 2
        ranked = sorted(members, key=self._rank(self._needed(request), len(request.calls)))
        for index, member in enumerate(ranked):
            left_s = deadline - self._clock()
            if tries == 0 or left_s < TURN_S:
                break
            is_last = tries == 1 or index == len(ranked) - 1
            until_s = self._clock() + (left_s if is_last else left_s / 2)
            try:
                if method.moment(request) is Moment.NOW:
                    self._require_current(member, until_s)
                results = member.ask(request, until_s - self._clock())
                self._require_progress(member, request, results)
            except (HeadBehind, HeadImplausible, EndpointResting, ChainMismatch) as error:
                failures.append(error)
                continue
            except (Transient, DecodeMismatch) as error:
                failures.append(error)
                tries -= 1
                continue
            if not _is_unpinned(request, results):
                return results
            spare = results
            tries -= 1
        if spare is not None:
            return spare  # whoever was asked has not the block: the answer says so
        late = RpcTimeout(endpoint=self.endpoint, method=request.label, timeout_s=TURN_S)
        raise telling(failures or [late])

    def _needed(self, request: Request) -> int | None:
        """The number of the block that has to be known to answer, None if that cannot be said."""
        if method.moment(request) is Moment.NOW:
            return self._summit.number
        return self._summit.number_of(method.pinned_hash(request))

    def _rank(self, needed: int | None, calls: int) -> Callable[[Endpoint], tuple[bool, bool, float]]:
        """Who has the block, is not held back, and is likely to answer first."""

        def rank(member: Endpoint) -> tuple[bool, bool, float]:
            lacks = needed is not None and (member.head is None or member.head.number < needed)
            return lacks, member.held_s() > 0, member.likely_s(calls)

        return rank

    def _require_current(self, member: Endpoint, until_s: float) -> None:
        """Raises HeadBehind if the endpoint's newest block is below the newest accepted."""
        if self._summit.number < 0 or (member.head and member.head.number >= self._summit.number):
            return
        self._heard(member, member.newest(until_s - self._clock()))

    def _require_progress(self, member: Endpoint, request: Request, results: Sequence[RpcResult]) -> None:
        """A head that is told among other answers counts as one. Raises HeadBehind, HeadImplausible."""
        for call, result in zip(request.calls, results, strict=True):
            if result.value is None:
                continue
            if method.asks_head(call):
                self._heard(member, member.learn(shape.header(result.value, call[0])))
            elif call[0] == "eth_blockNumber":
                number, seen = shape.quantity(result.value, call[0]), self._summit.number
                if number < seen:
                    raise HeadBehind(endpoint=member.endpoint, number=number, seen=seen)

    def _heard(self, member: Endpoint, head: Block) -> None:
        doubt = self._summit.doubt(member.endpoint, head)
        if doubt is not None:
            raise doubt
        self._summit.accept(member.endpoint, head)


def _is_unpinned(request: Request, results: Sequence[RpcResult]) -> bool:
    """Whether the node has not the block that was asked for."""
    for (name, _), result in zip(request.calls, results, strict=True):
        if result.error is not None and is_unpinned(str(result.error.fields["reason"])):
            return True
        if result.error is None and result.value is None and name.startswith("eth_getBlock"):
            return True
    return False
