"""How far prices have moved of late: what a distance to liquidation has to be held against."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from itertools import chain

WINDOW_S = 600
MOST = 4_096  # heads; a chain of quarter-second blocks is remembered for a quarter of an hour


class Trail:
    """The spot prices of the heads of the last ``window_s``. Knows only what it was shown."""

    def __init__(self, window_s: int = WINDOW_S) -> None:
        self._window_s = window_s
        self._points: deque[tuple[int, Mapping[str, float]]] = deque(maxlen=MOST)

    def note(self, at_s: int, spot: Mapping[str, float]) -> None:
        """The prices (quote per asset unit) of a head at chain time ``at_s``; what a reorganisation took
        back, heads at or after it, is forgotten.
        """
        while self._points and self._points[-1][0] >= at_s:
            self._points.pop()
        self._points.append((at_s, dict(spot)))
        while self._points[0][0] < at_s - self._window_s:
            self._points.popleft()

    def moves(self) -> dict[str, float]:
        """Per asset the whole way between its lowest and highest price, relative to the lowest, >= 0."""
        spots = [spot for _, spot in self._points]
        found: dict[str, float] = {}
        for asset in dict.fromkeys(chain.from_iterable(spots)):
            seen = [price for spot in spots if (price := spot.get(asset, 0.0)) > 0]
            if seen:
                found[asset] = max(seen) / min(seen) - 1
        return found
