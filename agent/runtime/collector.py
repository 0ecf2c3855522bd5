"""When the interpreter looks for garbage: between two heads, and never between a head and its hedge."""

from __future__ import annotations

import gc
from types import TracebackType

WHOLE_EVERY = 64  # passes; all others look at what is new


class Collector:
    """While it is entered nothing is collected but in `rest`, and what there was before is never looked at:
    most of what lives as long as the process is loaded by then. Left, all is as Python has it.
    """

    def __init__(self) -> None:
        self._rests = 0
        self._was_on = False

    def __enter__(self) -> Collector:
        self._was_on = gc.isenabled()
        gc.collect()
        gc.freeze()
        gc.disable()
        return self

    def rest(self) -> None:
        """There is time now: the pass is over, and what it had to send has left."""
        self._rests += 1
        gc.collect(2 if self._rests % WHOLE_EVERY == 0 else 1)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        gc.unfreeze()
        if self._was_on:
            gc.enable()
