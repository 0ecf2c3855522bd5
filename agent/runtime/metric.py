"""Numbers for whoever watches: how transactions fare, on a page that Prometheus reads.

Everything is told from what a pass did and from the errands in flight after it; nothing here decides. Blocks
and seconds are chain time. An errand from an earlier life of the process is known from the journal as far as
its urgency and its age go.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

from agent.errors import ConfigInvalid
from agent.market.intent import Urgency
from agent.market.standing import Access
from agent.planning.pending import naked_usd_s
from agent.runtime.cycle import Pass
from agent.tx.attempt import Stage
from agent.tx.errand import Errand, Reply
from agent.tx.ledger import Outcome
from agent.values.block import Block

HOST = "127.0.0.1"
WEI = 10**18
UNKNOWN = "unknown"  # the urgency of an errand that ended before this process saw it

_BLOCKS = (1, 2, 3, 5, 8, 13, 21, 34, 55, 89)
_SECONDS = (1, 2, 5, 12, 24, 48, 120, 300, 600, 1800)
_RATIOS = (1, 1.1, 1.25, 1.5, 2, 3, 5, 10, 30, 100)


@dataclass(frozen=True, slots=True)
class _Start:
    """When an errand was first seen, and how much it mattered then. ``at_s`` 0: before this process."""

    urgency: str
    number: int
    at_s: int


class Metrics:
    """A registry of its own with every metric in it. Not for two threads at once."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        by = ("urgency",)
        self._in_flight = Gauge("evenkeel_tx_in_flight", "Errands that have not ended", by, registry=registry)
        self._stuck = Gauge(
            "evenkeel_tx_stuck_blocks", "Blocks the oldest open errand has waited", by, registry=registry
        )
        self._sent = Counter("evenkeel_tx_sent", "Errands begun", by, registry=registry)
        self._bumps = Counter("evenkeel_tx_bumps", "Replacements for more", by, registry=registry)
        self._capped = Counter(
            "evenkeel_tx_capped", "Times the market asked more than the budget", by, registry=registry
        )
        self._reorgs = Counter("evenkeel_tx_reorgs", "Inclusions that were taken back", by, registry=registry)
        self._unknown = Counter(
            "evenkeel_tx_unknown_replies", "Broadcasts whose answer proved nothing", by, registry=registry
        )
        self._ended = Counter(
            "evenkeel_tx_ended", "Errands that ended, by verdict", ("urgency", "verdict"), registry=registry
        )
        self._fee = Counter("evenkeel_tx_fee_ether", "Fees paid, in whole coins", by, registry=registry)
        self._blocks = Histogram(
            "evenkeel_tx_inclusion_blocks", "From sent to mined", by, buckets=_BLOCKS, registry=registry
        )
        self._seconds = Histogram(
            "evenkeel_tx_inclusion_seconds",
            "From sent to seen mined",
            by,
            buckets=_SECONDS,
            registry=registry,
        )
        self._against_market = Histogram(
            "evenkeel_tx_price_over_base_fee",
            "Paid per gas, over the base fee of the head it was seen at",
            by,
            buckets=_RATIOS,
            registry=registry,
        )
        self._passes = Counter("evenkeel_passes", "Passes made", registry=registry)
        self._refused = Counter("evenkeel_plans_refused", "Plans that were dropped", registry=registry)
        self._head = Gauge("evenkeel_head_block", "The newest block seen", registry=registry)
        self._distance = Gauge(
            "evenkeel_liquidation_distance", "The nearest account's, relative", registry=registry
        )
        self._writable = Gauge(
            "evenkeel_venue_writable", "1 where everything may be done, else 0", ("venue",), registry=registry
        )
        self._drifts = Gauge(
            "evenkeel_venue_drifts", "In how many things its contracts differ", ("venue",), registry=registry
        )
        self._ends = Gauge(
            "evenkeel_venue_ends_seconds", "Until a venue's known end", ("venue",), registry=registry
        )
        phase = ("venue", "phase")
        self._waiting = Gauge(
            "evenkeel_requests_open", "Requests that wait for a keeper", phase, registry=registry
        )
        self._told = Counter(
            "evenkeel_requests",
            "Phases that requests came to, as often as they did",
            phase,
            registry=registry,
        )
        self._broken = Counter(
            "evenkeel_requests_broken", "Fills beyond the bounds asked for", ("venue",), registry=registry
        )
        self._oldest = Gauge(
            "evenkeel_requests_overdue_seconds",
            "How long the oldest open request could have been taken back already",
            registry=registry,
        )
        self._naked = Gauge(
            "evenkeel_naked_usd_seconds",
            "Worst case of what requests still leave unhedged",
            registry=registry,
        )
        self._resting = Gauge(
            "evenkeel_markets_resting", "Markets that keepers did not fill and that rest", registry=registry
        )
        self._starts: dict[int, _Start] = {}
        self._replies: set[tuple[int, str, int]] = set()
        for urgency in Urgency:  # so that a rate has a zero to start from
            for counter in (self._sent, self._bumps, self._capped, self._reorgs, self._unknown, self._fee):
                counter.labels(urgency.value)

    def note(self, done: Pass, in_flight: Sequence[Errand]) -> None:
        """What a pass did, and the errands in flight after it (`Sender.in_flight`)."""
        self._passes.inc()
        self._refused.inc(len(done.refused))
        self._head.set(done.block.number)
        self._distance.set(done.assessment.distance)
        for standing in done.snapshot.standings:
            self._writable.labels(standing.venue).set(standing.access is Access.FULL)
            self._drifts.labels(standing.venue).set(len(standing.drifts))
            if standing.ends_in_s is not None:
                self._ends.labels(standing.venue).set(standing.ends_in_s)
        for after in done.aftermath:
            self.note_outcome(after.outcome, done.block)
        self.note_lane(in_flight, done.block)
        self.note_requests(done)

    def note_requests(self, done: Pass) -> None:
        """What waits for keepers, and what they did."""
        for turn in done.turns:
            phase = "gone" if turn.is_gone else turn.request.phase.value
            self._told.labels(turn.request.venue, phase).inc()
            if not turn.kept:
                self._broken.labels(turn.request.venue).inc()
        taken = [request for request, _ in done.pending.taken]
        waiting = [*done.pending.requests, *taken]
        now_s = done.block.timestamp_s
        self._waiting.clear()
        for request in waiting:
            self._waiting.labels(request.venue, request.phase.value).inc()
        self._oldest.set(max((now_s - request.cancel_at_s for request in taken), default=0))
        self._naked.set(naked_usd_s(done.naked))
        self._resting.set(len(done.pending.resting))

    def note_lane(self, in_flight: Sequence[Errand], head: Block) -> None:
        """The errands in flight at ``head``; also counts the answers that proved nothing."""
        for errand in in_flight:
            self._begin(errand, head)
            self._count_unknown(errand)
        for urgency in Urgency:
            mine = [errand for errand in in_flight if errand.urgency is urgency]
            ages = [_age(errand, head) for errand in mine if errand.is_open]
            self._in_flight.labels(urgency.value).set(len(mine))
            self._stuck.labels(urgency.value).set(max(ages, default=0))
        live = {errand.id for errand in in_flight}
        self._starts = {known: start for known, start in self._starts.items() if known in live}
        self._replies = {reply for reply in self._replies if reply[0] in live}

    def note_outcome(self, outcome: Outcome, head: Block) -> None:
        """One thing that happened to an errand, told at ``head``."""
        start = self._starts.get(outcome.errand_id, _Start(UNKNOWN, 0, 0))
        match outcome.stage:
            case Stage.BUMPED:
                self._bumps.labels(start.urgency).inc()
            case Stage.CAPPED:
                self._capped.labels(start.urgency).inc()
            case Stage.REORGED:
                self._reorgs.labels(start.urgency).inc()
            case Stage.INCLUDED:
                self._included(outcome, start, head)
            case Stage.FINAL | Stage.REPLACED | Stage.ABANDONED:
                self._ended.labels(start.urgency, outcome.verdict.value).inc()
                self._fee.labels(start.urgency).inc(outcome.fee_wei / WEI)
            case Stage.RESENT | Stage.CANCELLING:
                pass

    def _begin(self, errand: Errand, head: Block) -> None:
        known = self._starts.get(errand.id)
        if known is None:
            number = errand.attempts[0].signed_at if errand.attempts else head.number
            at_s = head.timestamp_s if number == head.number else 0
            self._starts[errand.id] = _Start(errand.urgency.value, number, at_s)
            self._sent.labels(errand.urgency.value).inc()
        elif known.urgency != errand.urgency.value:
            self._starts[errand.id] = _Start(errand.urgency.value, known.number, known.at_s)

    def _count_unknown(self, errand: Errand) -> None:
        for attempt in errand.attempts:
            reply = (errand.id, attempt.tx_hash, attempt.sent_at)
            if attempt.reply is Reply.UNKNOWN and reply not in self._replies:
                self._replies.add(reply)
                self._unknown.labels(errand.urgency.value).inc()

    def _included(self, outcome: Outcome, start: _Start, head: Block) -> None:
        if start.number:
            self._blocks.labels(start.urgency).observe(max(0, outcome.block_number - start.number))
        if start.at_s:
            self._seconds.labels(start.urgency).observe(max(0, head.timestamp_s - start.at_s))
        if outcome.gas_used and head.base_fee_wei:
            price_wei = outcome.fee_wei / outcome.gas_used
            self._against_market.labels(start.urgency).observe(price_wei / head.base_fee_wei)


@dataclass(frozen=True, slots=True)
class Page:
    """The page while it is served."""

    url: str
    metrics: Metrics = field(repr=False)


@contextmanager
def serving(port: int, metrics: Metrics) -> Iterator[Page]:
    """Serve the metrics to this machine only, until the context ends. Port 0 takes any that is free.

    Raises ConfigInvalid when the port is taken.
    """
    try:
        server, thread = start_http_server(port, addr=HOST, registry=metrics.registry)
    except OSError as error:
        raise ConfigInvalid(
            key="run.metrics_port", value=port, reason=f"it cannot be served: {error}"
        ) from error
    try:
        yield Page(f"http://{HOST}:{server.server_port}/metrics", metrics)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _age(errand: Errand, head: Block) -> int:
    return max(0, head.number - errand.attempts[0].signed_at) if errand.attempts else 0
