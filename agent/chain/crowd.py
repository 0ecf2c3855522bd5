"""One question to several endpoints at once, each on a thread of its own with the asker's priority."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextvars import copy_context
from typing import Generic, TypeVar

from agent.chain.endpoint import Endpoint
from agent.errors import (
    ChainMismatch,
    EndpointResting,
    EvenkeelError,
    HeadBehind,
    HeadImplausible,
    RpcTimeout,
)

T = TypeVar("T")
TELLING = (ChainMismatch, EndpointResting, HeadImplausible, EvenkeelError, HeadBehind)  # the last says most


class Crowd(Generic[T]):
    """Answers as they come. ``silent`` are those that have not answered yet.

    A thread whose answer is no longer waited for ends with its own time-out; what it learnt, it has told its
    endpoint.
    """

    def __init__(
        self, members: Sequence[Endpoint], question: Callable[[Endpoint], T], patience_s: float
    ) -> None:
        self.silent = list(members)
        self._patience_s = patience_s
        self._deadline = time.monotonic() + patience_s
        self._answers: queue.SimpleQueue[tuple[Endpoint, T | EvenkeelError]] = queue.SimpleQueue()
        for member in members:
            run = copy_context().run
            threading.Thread(target=run, args=(self._ask, member, question), daemon=True).start()

    def shorten(self, patience_s: float) -> None:
        """Wait at most so long from now."""
        self._deadline = min(self._deadline, time.monotonic() + patience_s)

    def __iter__(self) -> Iterator[tuple[Endpoint, T | EvenkeelError]]:
        """Each endpoint with its answer or error, until all have answered or patience ends."""
        while self.silent:
            left_s = self._deadline - time.monotonic()
            try:
                member, answer = self._answers.get(timeout=max(left_s, 0.0))
            except queue.Empty:
                return
            self.silent.remove(member)
            yield member, answer

    def late(self, method: str) -> list[EvenkeelError]:
        """An error for each that has not answered."""
        limit_s = round(self._patience_s, 3)
        return [RpcTimeout(endpoint=m.endpoint, method=method, timeout_s=limit_s) for m in self.silent]

    def _ask(self, member: Endpoint, question: Callable[[Endpoint], T]) -> None:
        try:
            answer: T | EvenkeelError = question(member)
        except EvenkeelError as error:
            answer = error
        self._answers.put((member, answer))


def available(members: Sequence[Endpoint]) -> tuple[list[Endpoint], list[EvenkeelError]]:
    """Those that may be asked, and why the others may not."""
    refusals = [(member, member.refusal()) for member in members]
    return (
        [member for member, refusal in refusals if refusal is None],
        [refusal for _, refusal in refusals if refusal is not None],
    )


def telling(failures: Sequence[EvenkeelError]) -> EvenkeelError:
    """Of several failures, at least one, the one to raise: a wrong chain only if all are on one."""
    return max(reversed(failures), key=_weight)


def _weight(error: EvenkeelError) -> int:
    exact = [index for index, kind in enumerate(TELLING) if type(error) is kind]
    return exact[0] if exact else TELLING.index(EvenkeelError)
