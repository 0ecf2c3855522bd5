"""Prices and Greeks of many European options, as many a second as one core gives.

`black` says what the numbers are and in which units. Options go through in blocks whose arrays stay in the
core's second cache and are kept from one call to the next; only what is asked for is worked out, and what
several answers need is worked out once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from agent.market.instrument import OptionKind
from agent.pricing import block
from agent.pricing.block import Measure
from agent.pricing.term import BLOCK, READ, Flags, Floats, Term, is_tame

ALL: tuple[Measure, ...] = ("price", "delta", "gamma", "vega", "theta", "rho", "vanna", "volga")
USUAL: tuple[Measure, ...] = ("price", "delta", "gamma", "vega", "theta")
_LEAST = 1e-300  # the price of what is worth nothing
_ROWS = block.ROWS + 2  # price and delta where they are only on the way to theta
_LINE = 64  # bytes: what straddles two lines of the cache is written at half the speed


class Valuer:
    """Works out ``measures``. It keeps room to work in: one thread at a time."""

    def __init__(self, measures: Sequence[Measure] = USUAL) -> None:
        self.measures = tuple(measures)
        self._wanted = frozenset(measures)
        self._room = _aligned(_ROWS, 0)

    def value(
        self,
        kind: OptionKind | Flags,
        spot: npt.ArrayLike,
        strike: npt.ArrayLike,
        time_s: npt.ArrayLike,
        vol: npt.ArrayLike,
        rate: npt.ArrayLike,
        dividend: npt.ArrayLike = 0.0,
        out: Floats | None = None,
    ) -> Floats:
        """The measures, one row each, in the arguments' broadcast shape; terms and units are `black.value`'s.

        ``kind``: of all of them, or an array that is true where the option is a call. ``out``: where to
        write, of shape (measures, ...) and contiguous; memory that is used again saves a tenth of the time.
        Raises ValueError for what `black.value` refuses (then ``out`` may be half written), and for an
        ``out`` of another shape.
        """
        terms = {"spot": spot, "strike": strike, "time_s": time_s, "vol": vol, "rate": rate}
        return self._walked(kind, {**terms, "dividend": dividend}, out, on_forward=False)

    def value_on_forward(
        self,
        kind: OptionKind | Flags,
        forward: npt.ArrayLike,
        strike: npt.ArrayLike,
        time_s: npt.ArrayLike,
        vol: npt.ArrayLike,
        rate: npt.ArrayLike,
        out: Floats | None = None,
    ) -> Floats:
        """The same with the terms of `black.value_on_forward`."""
        terms = {"spot": forward, "strike": strike, "time_s": time_s, "vol": vol, "rate": rate}
        return self._walked(kind, {**terms, "dividend": rate}, out, on_forward=True)

    def _walked(
        self,
        kind: OptionKind | Flags,
        given: dict[str, npt.ArrayLike],
        out: Floats | None,
        *,
        on_forward: bool,
    ) -> Floats:
        """Walks the broadcast arguments block by block, without ever laying them out in full."""
        terms = tuple(np.asarray(one, dtype=np.float64) for one in given.values())
        is_call = np.asarray(
            kind is OptionKind.CALL if isinstance(kind, OptionKind) else kind, dtype=np.bool_
        )
        shapes = {one.shape for one in (is_call, *terms) if one.ndim}
        shape = shapes.pop() if len(shapes) == 1 else np.broadcast_shapes(*shapes)
        size = math.prod(shape)
        if out is None:
            out = _aligned(len(self.measures), size).reshape(len(self.measures), *shape)
        elif out.shape != (len(self.measures), *shape) or not out.flags.c_contiguous:
            raise ValueError(f"out must be contiguous and of shape {(len(self.measures), *shape)}")
        if min(size, BLOCK) > self._room.shape[1]:
            self._room = _aligned(_ROWS, min(size, BLOCK) + _LINE)
        every = (is_call, *terms)
        places = [place for place, one in enumerate(every) if one.size != 1]
        some: list[Any] = [one.item() if one.size == 1 else None for one in every]
        rows = out.reshape(len(self.measures), size)
        if all(every[place].shape == shape and every[place].flags.c_contiguous for place in places):
            flat = [(place, every[place].reshape(size)) for place in places]
            for start in range(0, size, BLOCK):
                part = slice(start, min(start + BLOCK, size))
                for place, array in flat:
                    some[place] = array[part]
                self._block(rows[:, part], *some, on_forward=on_forward)
            return out
        walk = np.nditer(
            [*(every[place] for place in places), np.broadcast_to(np.float64(0), shape)],
            flags=["external_loop", "buffered", "zerosize_ok"],
            op_flags=[READ] * (len(places) + 1),
            order="C",
            buffersize=BLOCK,
        )
        start = 0
        with walk:
            for arrays in walk:
                for place, array in zip(places, arrays, strict=False):
                    some[place] = array
                part = slice(start, start + arrays[-1].size)
                self._block(rows[:, part], *some, on_forward=on_forward)
                start = part.stop
        return out

    def _block(
        self,
        out: Floats,
        is_call: Flags | bool,
        spot: Term,
        strike: Term,
        seconds: Term,
        vol: Term,
        rate: Term,
        dividend: Term,
        *,
        on_forward: bool,
    ) -> None:
        given = {"spot": spot, "strike": strike, "time_s": seconds, "vol": vol, "rate": rate}
        is_calm = is_tame({**given, "dividend": dividend})
        wanted, room = self._wanted, self._room[:, : out.shape[1]]
        answers = dict(zip(self.measures, out, strict=True))
        if not is_calm:
            spot = np.maximum(spot, _LEAST)
        with np.errstate(divide="ignore", over="ignore", under="ignore", invalid="ignore"):
            work = block.worked(
                room[: block.ROWS], is_call, spot, strike, seconds, vol, rate, dividend, is_tame=is_calm
            )
            price, delta = answers.get("price", room[-2]), answers.get("delta", room[-1])
            if wanted & {"price", "theta"} or (on_forward and "rho" in wanted):
                block.price(work, price)
            if wanted & {"delta", "theta"}:
                block.delta(work, dividend, delta)
            block.slopes(work, answers)
            if "theta" in wanted:
                block.theta(work, rate, price, delta, answers["theta"])
            if "rho" in wanted and on_forward:
                np.multiply(price, work.years, out=answers["rho"])
                np.negative(answers["rho"], out=answers["rho"])
            elif "rho" in wanted:
                block.rho(work, answers["rho"])


def _aligned(rows: int, width: int) -> Floats:
    """Room for rows, each of which starts on a line of the cache where ``width`` is a multiple of one."""
    flat = np.empty(rows * width + _LINE)
    first = -flat.ctypes.data % _LINE // flat.itemsize
    return flat[first : first + rows * width].reshape(rows, width)
