"""An end to waiting, for libraries and drivers that know none."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from agent.errors import EvenkeelError, SignerUnavailable

MOST_WAITING = 4  # calls that have not come back; a driver that hangs must not eat threads without end

T = TypeVar("T")


class Deadline:
    """Runs calls that may hang. What comes too late is thrown away: a signature is only ever asked for."""

    __slots__ = ("_places", "signer", "timeout_s")

    def __init__(self, signer: str, timeout_s: float) -> None:
        self.signer = signer
        self.timeout_s = timeout_s
        self._places = threading.BoundedSemaphore(MOST_WAITING)

    def run(self, act: Callable[[], T]) -> T:
        """What ``act`` returns or raises. Raises SignerUnavailable after ``timeout_s`` in all."""
        end = time.monotonic() + self.timeout_s
        if not self._places.acquire(timeout=self.timeout_s):
            raise self._late(f"{MOST_WAITING} calls before have not come back")
        outcome: Future[T] = Future()
        # A thread of its own that nobody joins: neither this call nor the process waits for a dead driver.
        threading.Thread(target=self._carry, args=(act, outcome), daemon=True).start()
        try:
            return outcome.result(max(0.0, end - time.monotonic()))
        except TimeoutError:
            raise self._late(f"no answer within {self.timeout_s:g} s") from None

    def _carry(self, act: Callable[[], T], outcome: Future[T]) -> None:
        try:
            outcome.set_result(act())
        except EvenkeelError as error:
            outcome.set_exception(error)
        finally:
            self._places.release()
            if not outcome.done():  # a bug: it belongs to the caller's thread
                outcome.set_exception(sys.exc_info()[1])

    def _late(self, reason: str) -> SignerUnavailable:
        return SignerUnavailable(signer=self.signer, reason=reason)
