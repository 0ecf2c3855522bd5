"""Heads and clocks into cycles, one at a time, always on the newest head."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

from agent.errors import EvenkeelError
from agent.values.block import Block

Pass = Callable[[Block | None], None]  # one cycle; None means: look up the newest head yourself


class Scheduler:
    """Runs ``work`` in the caller's thread for each wake-up; wake-ups that come meanwhile become one.

    Heads come from ``heads`` (a thread); a timer (APScheduler) wakes us when no head has come for
    ``interval_s``, so that a silent subscription is not mistaken for a quiet market.
    """

    def __init__(self, heads: Iterator[Block], work: Pass, interval_s: float) -> None:
        self._heads = heads
        self._work = work
        self._interval_s = interval_s
        self._wake = threading.Condition()
        self._due = False
        self._block: Block | None = None
        self._seen = False  # a head came since the last timer tick
        self._stopped = False
        self._failure: EvenkeelError | None = None

    def run(self) -> None:
        """Until ``stop``. Raises whatever ``work`` raises, and what ends the stream of heads."""
        from apscheduler.schedulers.background import BackgroundScheduler  # only who runs needs a timer

        timer = BackgroundScheduler(timezone="UTC")
        timer.add_job(self._tick, "interval", seconds=self._interval_s, max_instances=1, coalesce=True)
        timer.start()
        threading.Thread(target=self._listen, name="heads", daemon=True).start()
        try:
            while True:
                with self._wake:
                    self._wake.wait_for(lambda: self._due or self._stopped)
                    if self._failure is not None:
                        raise self._failure
                    if self._stopped:
                        return
                    block, self._due, self._block = self._block, False, None
                self._work(block)
        finally:
            timer.shutdown(wait=False)

    def stop(self) -> None:
        """Let the running cycle finish, then return from ``run``. Safe from a signal handler's thread."""
        with self._wake:
            self._stopped = True
            self._wake.notify_all()

    def _listen(self) -> None:
        try:
            for block in self._heads:
                self._notify(block)
                if self._stopped:
                    return
        except EvenkeelError as error:
            with self._wake:
                self._failure = error
                self._stopped = True
                self._wake.notify_all()

    def _tick(self) -> None:
        with self._wake:
            quiet, self._seen = not self._seen, False
        if quiet:
            self._notify(None)

    def _notify(self, block: Block | None) -> None:
        with self._wake:
            if block is not None:
                self._block, self._seen = block, True
            self._due = True
            self._wake.notify_all()
