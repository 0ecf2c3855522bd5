"""Recover, run, halt: the life of the agent's process around its cycles."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import stamina

from agent.chain.head import Heads
from agent.errors import (
    AccountEmpty,
    DecodeMismatch,
    DelegationMismatch,
    LaneBusy,
    ReadReverted,
    ReadUnpinned,
    Refused,
    RequestContradicted,
    RpcRejected,
    Transient,
)
from agent.market.snapshot import Snapshot
from agent.runtime.aftermath import settle
from agent.runtime.alarm import Alarm
from agent.runtime.collector import Collector
from agent.runtime.cycle import Desk, Pass, cycle
from agent.runtime.scheduler import Scheduler
from agent.runtime.telemetry import logger
from agent.values.block import Block

if TYPE_CHECKING:
    from agent.runtime.metric import Metrics

DELEGATION_S = 180.0  # longest wait for the delegation where there is only one cycle
# One is a glitch of a node or of something before it (or a node that is behind); so many in a row are not.
ODD = (RpcRejected, DecodeMismatch, DelegationMismatch, RequestContradicted)
ODD_ANSWERS = 10

Look = Callable[[], Block]  # the newest head, checked for age
Told = Callable[[Pass], None]


def recover(desk: Desk, block: Block) -> None:
    """Start-up is the same road as any cycle: settle what an earlier life left open, prove it, record it.

    Raises DeepReorg when something final is gone, ProofBroken when a promise was not kept.
    """
    if desk.sender is None:
        return
    outcomes = desk.sender.recover(block)
    settle(desk.eye, desk.account, desk.sender, desk.recorder, outcomes)
    logger("supervisor").info(
        "recovered", block=block.number, outcomes=len(outcomes), open=len(desk.sender.in_flight())
    )


def require_positions(desk: Desk, snapshot: Snapshot) -> None:
    """An account with nothing on any venue is most likely a wrong address. Raises AccountEmpty."""
    used = any(margin.collateral_wad or margin.removable_wad for margin in snapshot.margins)
    if not used and not any(state.positions for state in snapshot.venues):
        raise AccountEmpty(
            address=desk.account,
            venues=", ".join(venue.name for venue in desk.eye.venues),
            number=snapshot.block.number,
        )


def on_next_heads() -> Iterator[stamina.Attempt]:
    """Tries again, a little later each time, what a head refused that may work on the next: a read that
    reverted or whose block is gone, and an odd answer, most often a glitch. One that stays is raised.
    """
    on = (ReadReverted, ReadUnpinned, RpcRejected, DecodeMismatch)
    return iter(stamina.retry_context(on=on, attempts=5, wait_initial=0.2, wait_max=3.0, timeout=20.0))


class Supervisor:
    """Runs cycles until told to stop; one refused or transient cycle never ends the next."""

    def __init__(
        self, desk: Desk, look: Look, told: Told, *, delegate: bool, metrics: Metrics | None = None
    ) -> None:
        self._desk = desk
        self._look = look
        self._told = told
        self._delegate = delegate
        self._metrics = metrics
        self._log = logger("supervisor")
        self._scheduler: Scheduler | None = None
        self._odd = 0
        self._alarm = Alarm(desk.policy.exit_lead_s)

    def start(self) -> Block:
        """Recover, check that there is something to keep, and make sure the account runs the executor.

        What another head cures is tried on another head. Raises AccountEmpty; DelegationMismatch when the
        account is not delegated and we may not do it.
        """
        for attempt in on_next_heads():
            with attempt:
                return self._start()
        raise AssertionError("retrying returns or raises")

    def _start(self) -> Block:
        block = self._look()
        recover(self._desk, block)
        seen = self._desk.eye.see(self._desk.account, block)
        require_positions(self._desk, seen)
        self._tell_standings(seen)
        sender = self._desk.sender
        if sender is not None and not sender.is_delegated() and not self._delegate:
            raise DelegationMismatch(address=self._desk.account, actual="empty", executor=sender.executor)
        return block

    def once(self, block: Block, heads: Heads) -> Pass:
        """The only cycle, on ``block``; first the delegation, if it is due, is sent and awaited at ``heads``.

        Raises what drops a cycle (Transient, Refused), since no next head makes up for it; LaneBusy when
        the delegation is not mined in time.
        """
        return self._pass(self._ready(block, heads))

    def run(self, heads: Iterator[Block], interval_s: float) -> None:
        """Until ``stop``. Raises Untrusted and Misconfigured: those halt. Garbage is looked for in between.

        A node's odd answer halts only when nothing else came for ODD_ANSWERS cycles; so does a delegation
        that is gone, if we may not renew it.
        """
        with Collector() as collector:

            def wake(block: Block | None) -> None:
                self._wake(block)
                collector.rest()

            self._scheduler = Scheduler(heads, wake, interval_s)
            self._scheduler.run()

    def stop(self) -> None:
        """Finish the running cycle, then return from ``run``."""
        if self._scheduler is not None:
            self._scheduler.stop()

    def _wake(self, block: Block | None) -> None:
        try:
            head = self._look() if block is None else block
            if self._is_ready(head):
                self._pass(head)
            self._odd = 0
        except (Transient, Refused) as error:
            self._log.warning("cycle dropped", error=error.code, message=error.message)
        except ODD as error:
            self._odd += 1
            self._log.error("cycle dropped", error=error.code, message=error.message, in_a_row=self._odd)
            if self._odd >= ODD_ANSWERS:
                raise

    def _pass(self, head: Block) -> Pass:
        done = cycle(self._desk, head)
        if self._metrics is not None:
            sender = self._desk.sender
            self._metrics.note(done, sender.in_flight() if sender is not None else ())
        self._tell_standings(done.snapshot)
        self._told(done)
        return done

    def _tell_standings(self, snapshot: Snapshot) -> None:
        for notice in self._alarm.note(snapshot):
            say = getattr(self._log, notice.level)
            say(notice.event, venue=notice.venue, why=notice.why, block=snapshot.block.number)

    def _ready(self, head: Block, heads: Heads) -> Block:
        """``head`` if the account runs the executor, else the first head that is known to have it so."""
        if self._is_ready(head):
            return head
        alarm = threading.Timer(DELEGATION_S, heads.stop)
        alarm.daemon = True
        alarm.start()
        try:
            if any(self._is_ready(newer) for newer in heads):
                return self._look()
        finally:
            alarm.cancel()
            heads.stop()
        waiting = self._desk.sender.in_flight() if self._desk.sender is not None else ()
        nonce, purpose = next(((e.nonce, e.purpose.value) for e in waiting), (0, "delegation"))
        raise LaneBusy(address=self._desk.account, nonce=nonce, intent_id=purpose)

    def _is_ready(self, head: Block) -> bool:
        """Delegate once, up front: hedges are plain self-calls afterwards, planned on a head after it."""
        sender = self._desk.sender
        if sender is None or sender.is_delegated():
            return True
        settle(self._desk.eye, self._desk.account, sender, self._desk.recorder, sender.observe(head))
        if not sender.is_delegated():
            if not self._delegate:  # who took it back had a reason
                raise DelegationMismatch(address=self._desk.account, actual="empty", executor=sender.executor)
            try:
                sender.delegate(head)
                self._log.info("delegating the account to the executor", executor=sender.executor)
            except LaneBusy:
                self._log.info("waiting for the delegation to be mined", block=head.number)
        return False
