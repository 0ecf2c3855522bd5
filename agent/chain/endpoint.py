"""One endpoint with its limits and its record: asked at its pace, left alone while it fails, never on another
chain than ours.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from agent.chain import shape
from agent.chain.breaker import Breaker, BreakerPolicy, Permit, State
from agent.chain.limiter import Limiter
from agent.chain.manner import Manner, Means
from agent.chain.priority import Priority, current
from agent.chain.rpc import Rpc
from agent.chain.transport import Transport
from agent.chain.wire import Errand, Line, Request, RpcResult, T, single
from agent.errors import (
    ChainMismatch,
    DecodeMismatch,
    EndpointResting,
    RateLimited,
    RpcRejected,
    RpcTimeout,
    RpcUnavailable,
    Throttled,
)
from agent.values.address import ChainId
from agent.values.block import Block

SMOOTHING = 0.2  # weight of the newest answer in the latency
FAULT_S = 1.0  # a fault counts as an answer that took at least so long: the next read goes elsewhere first
FAIR_S = 0.25  # who was given less, and did not answer in it, has not failed


@dataclass(frozen=True, slots=True)
class EndpointPolicy:
    """``requests_per_s`` 0: no limit of our own. A batch counts as its ``calls``, or as ``one`` request.
    ``means`` None: by whatever it is best read.
    """

    requests_per_s: float = 0.0
    burst: int = 50
    batch_counts: Literal["calls", "one"] = "calls"
    breaker: BreakerPolicy = field(default_factory=BreakerPolicy)
    means: Means | None = None


@dataclass(frozen=True, slots=True)
class Health:
    """An endpoint as a metric. ``latency_ms`` is smoothed, faults in it, None before the first; ``faults``
    and ``limited`` (429s and their like) count since the start; ``lag_blocks`` is how far its newest known
    block is behind the newest of all, None while it is unknown; ``reason`` says why it is not closed.
    """

    endpoint: str
    state: State
    latency_ms: float | None
    faults: int
    limited: int
    lag_blocks: int | None
    reason: str


@dataclass(slots=True)
class _Trial:
    """How one request went."""

    permit: Permit
    fault: str = ""
    is_alive: bool = False
    is_limited: bool = False
    took_s: float | None = None


class Endpoint:
    """A wire. Threads may share it. ``chain_id`` is what it must serve; None: whatever it does.

    Beside what a line raises: EndpointResting and Throttled (nothing was sent), and ChainMismatch from the
    moment it was found on another chain, for good.
    """

    def __init__(
        self,
        url: str,
        policy: EndpointPolicy | None = None,
        chain_id: ChainId | None = None,
        timeout_s: float = 10.0,
        name: str = "",
        key: str = "rpc.url",
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._line = Line(Transport(url, timeout_s, name, key, wall))
        self.endpoint = self._line.endpoint
        self._policy = policy or EndpointPolicy()
        self._limiter = Limiter(self._policy.requests_per_s, self._policy.burst, clock)
        self._breaker = Breaker(self._policy.breaker)
        self.manner = Manner(self._policy.means, clock)
        self._chain_id = chain_id
        self._is_known = chain_id is None
        self._foreign: ChainId | None = None
        self._clock = clock
        self._fair_s = min(FAIR_S, timeout_s / 4)
        self._lock = threading.Lock()
        self._latency_s: float | None = None
        self._faults = 0
        self._limited = 0
        self._reason = ""
        self.head: Block | None = None  # the newest it told of
        self.rpc = Rpc(self, timeout_s)

    @property
    def parts(self) -> tuple[Endpoint, ...]:
        return (self,)

    @property
    def latency_s(self) -> float:
        """Smoothed; 0 before the first answer, so that a new one is tried."""
        return self._latency_s or 0.0

    def ask(self, request: Request, timeout_s: float) -> list[RpcResult]:
        """As its limits allow: a batch larger than they do goes in several requests."""
        deadline = self._clock() + timeout_s
        if not self._is_known:
            self._identify(deadline)
        results: list[RpcResult] = []
        if not request.is_batch:
            return self._asked(request, 1, deadline)
        for piece, cost in self._pieces(request):
            try:
                results += self._asked(piece, cost, deadline)
            except Throttled as error:
                if not results:
                    raise
                raise RpcTimeout(
                    endpoint=self.endpoint, method=request.label, timeout_s=round(timeout_s, 3)
                ) from error  # some of it was sent
        return results

    def carry(self, errand: Errand[T], timeout_s: float) -> T:
        return errand.run(self, timeout_s)

    def close(self) -> None:
        self._line.close()

    def refusal(self, label: str = "the request") -> EndpointResting | ChainMismatch | None:
        """Why it would not be asked now; None if it would, or may be probed."""
        with self._lock:
            state, rest_s = self._breaker.state, self._breaker.rest_s(self._clock())
        if state is State.CUT_OFF:
            return ChainMismatch(endpoint=self.endpoint, actual=self._foreign, expected=self._chain_id)
        is_due = rest_s == 0 or current() is Priority.RESCUE
        if state is State.CLOSED or (state is State.OPEN and is_due):
            return None
        return self._resting(label, rest_s)

    @property
    def is_cut_off(self) -> bool:
        """Whether it was found on another chain."""
        return self._breaker.state is State.CUT_OFF

    def held_s(self) -> float:
        """Seconds for which it wants no requests."""
        return self._limiter.held_s()

    def likely_s(self, calls: int) -> float:
        """Seconds until an answer to ``calls`` calls, as far as can be said."""
        level = current()
        tokens = min(self._cost(calls), self._limiter.largest(level))
        return self._limiter.likely_s(level, tokens) + self.latency_s

    def newest(self, timeout_s: float) -> Block:
        """Its newest block, asked for now."""
        label = "eth_getBlockByNumber"
        (result,) = self.ask(single(label, ("latest", False)), timeout_s)
        return self.learn(shape.header(result.unwrap(), label))

    def learn(self, head: Block) -> Block:
        """It told of this block as its newest."""
        self.head = head
        return head

    def distrust(self, reason: str) -> None:
        """It told something that cannot be true: leave it alone for a while."""
        with self._lock:
            self._breaker.trip(self._clock())
            self._faults += 1
            self._reason = reason
            self._is_known = self._chain_id is None

    def health(self, newest: int | None = None) -> Health:
        """Now. ``newest`` is the number of the newest block of all."""
        with self._lock:
            lag = None if self.head is None or newest is None else max(0, newest - self.head.number)
            latency_ms = None if self._latency_s is None else round(self._latency_s * 1000, 3)
            state = self._breaker.state
            reason = "" if state is State.CLOSED else self._reason
            return Health(self.endpoint, state, latency_ms, self._faults, self._limited, lag, reason)

    def _identify(self, deadline: float) -> None:
        """Ask for the chain before anything else, at first and whenever it was away."""
        label = "eth_chainId"
        (result,) = self._asked(single(label), 1, deadline)
        chain_id = ChainId(shape.quantity(result.unwrap(), label))
        if chain_id != self._chain_id:
            with self._lock:
                self._foreign = chain_id
                self._breaker.cut_off()
                self._reason = f"it serves chain {chain_id}, not {self._chain_id}"
            raise ChainMismatch(endpoint=self.endpoint, actual=chain_id, expected=self._chain_id)
        self._is_known = True

    def _pieces(self, request: Request) -> Iterator[tuple[Request, int]]:
        size, cost = len(request.calls), self._cost(len(request.calls))
        largest = self._limiter.largest(current())
        if cost <= largest:
            yield request, cost
            return
        for start in range(0, size, largest):
            calls = request.calls[start : start + largest]
            yield Request(calls, is_batch=True), len(calls)

    def _cost(self, calls: int) -> int:
        return calls if self._policy.batch_counts == "calls" else 1

    def _asked(self, request: Request, cost: int, deadline: float) -> list[RpcResult]:
        level, allowed_s = current(), deadline - self._clock()
        permit = self._permitted(request, level)
        trial = _Trial(permit)
        try:
            if not self._limiter.enter(level, cost, allowed_s):
                raise Throttled(endpoint=self.endpoint, method=request.label, timeout_s=round(allowed_s, 3))
            began_s = self._clock()
            given_s = max(deadline - began_s, 0.0)
            try:
                results = self._line.ask(request, given_s)
            except (RpcTimeout, RpcUnavailable, DecodeMismatch) as error:
                if given_s >= self._fair_s or not isinstance(error, RpcTimeout):
                    trial.fault = error.sentence
                    trial.took_s = max(FAULT_S, self._clock() - began_s)
                raise
            except RateLimited as error:
                trial.is_alive = True
                wait_s = error.fields["retry_after_s"]
                self._limiter.refused(wait_s if isinstance(wait_s, int | float) else None)
                trial.is_limited = True
                raise
            except RpcRejected:  # the batch as a whole
                trial.is_alive = True
                raise
            trial.is_alive, trial.took_s = True, self._clock() - began_s
            return results
        finally:
            with self._lock:
                self._settle(trial)

    def _settle(self, trial: _Trial) -> None:
        """An outcome that is neither was never asked, or in so short a time that it says nothing."""
        self._limited += trial.is_limited
        if trial.fault:
            self._faults += 1
            self._breaker.fail(trial.permit, self._clock())
            if self._breaker.state is State.OPEN:
                self._reason = trial.fault
                self._is_known = self._chain_id is None  # who knows what comes back
        elif trial.is_alive:
            self._breaker.succeed(trial.permit)
            if trial.took_s is not None:
                self._limiter.served()
        else:
            self._breaker.abandon(trial.permit, self._clock())
        if trial.took_s is not None:
            before_s = trial.took_s if self._latency_s is None else self._latency_s
            self._latency_s = before_s + SMOOTHING * (trial.took_s - before_s)

    def _permitted(self, request: Request, level: Priority) -> Permit:
        with self._lock:
            permit = self._breaker.admit(self._clock(), is_urgent=level is Priority.RESCUE)
            rest_s = self._breaker.rest_s(self._clock())
        if permit is None:
            raise self.refusal(request.label) or self._resting(request.label, rest_s)
        return permit

    def _resting(self, label: str, rest_s: float) -> EndpointResting:
        return EndpointResting(
            endpoint=self.endpoint, method=label, faults=self._breaker.faults, wait_s=round(rest_s, 1)
        )
