"""American options: the European option of `black`, and the premium of early exercise on top.

The conventions, units and refusals are `black`'s. The premium, delta and gamma are integrals along the
exercise boundary (see `exercise`); theta follows from the Black-Scholes equation; vega, rho, vanna and volga
are the European's exact ones plus differences of fourth order of the premium, taken on the side where the
option is held if the other is exercised. A call is the put with spot and strike, and rate and dividend,
exchanged. An option that is exercised now is its payoff: delta 1 or -1, and nothing else moves it.

Where neither interest nor dividend pays for exercising, the option is the European one: a put with rate <= 0
and dividend >= rate, a call with dividend <= 0 and rate >= dividend. A put with dividend < rate <= 0 and a
call with rate < dividend <= 0 have two boundaries or none that ends; they raise ValueError.

Source: Andersen, Lake and Offengenden (2016); McDonald and Schroder, A parity result for American options
(Journal of Computational Finance, 1998), for the exchange.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
import numpy.typing as npt

from agent.market.instrument import OptionKind
from agent.market.position import Greeks
from agent.pricing import black
from agent.pricing.black import Valuation
from agent.pricing.exercise import premium
from agent.pricing.term import MIN_TIME_S, MIN_VOL, checked
from agent.values.fixed import DAY_S, YEAR_S

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

BLOCK = 16  # options: a table of all their boundaries' points fits in a core's second cache
_NEGLIGIBLE = 1e-15  # of the strike: the premium is less than the interest on it
_VOL_STEP = 0.01  # of the volatility
_RATE_STEP = 1e-3  # per year; of a rate that must stay above zero, at most a fifth
_CENTRAL = np.array([-2.0, -1.0, 0.0, 1.0, 2.0])
_AHEAD = np.array([0.0, 1.0, 2.0, 3.0, 4.0])
# weights of the first and second difference at those places, of fourth (the last: third) order
_FIRST = {False: np.array([1, -8, 0, 8, -1]) / 12, True: np.array([-25, 48, -36, 16, -3]) / 12}
_SECOND = {False: np.array([-1, 16, -30, 16, -1]) / 12, True: np.array([35, -104, 114, -56, 11]) / 12}


@dataclass(frozen=True, slots=True)
class _Terms:
    """Options that may be exercised early, flat."""

    spot: Floats
    strike: Floats
    years: Floats
    vol: Floats
    rate: Floats
    dividend: Floats

    def at(self, index: npt.NDArray[np.intp] | slice) -> _Terms:
        return _Terms(*(getattr(self, one.name)[index] for one in fields(self)))


def value(
    kind: OptionKind,
    spot: npt.ArrayLike,
    strike: npt.ArrayLike,
    time_s: npt.ArrayLike,
    vol: npt.ArrayLike,
    rate: npt.ArrayLike,
    dividend: npt.ArrayLike = 0.0,
) -> Valuation:
    """Price and Greeks of American calls or puts, with `black.value`'s arguments.

    Raises ValueError also for rates of the two kinds the module's text names, for a spot of zero, and where
    the volatility is too small beside the rates for a boundary to be found.
    """
    given = checked(spot=spot, strike=strike, time_s=time_s, vol=vol, rate=rate, dividend=dividend)
    shape = np.broadcast_shapes(*(one.shape for one in given))
    flat = [np.broadcast_to(one, shape).ravel() for one in given]
    if np.any(flat[0] == 0):
        raise ValueError("an American option needs a spot above zero")
    european = black.value(kind, *flat)
    years = np.maximum(flat[2], MIN_TIME_S) / YEAR_S
    terms = _Terms(flat[0], flat[1], years, np.maximum(flat[3], MIN_VOL), flat[4], flat[5])
    is_call = kind is OptionKind.CALL
    earned, paid = (terms.dividend, terms.rate) if is_call else (terms.rate, terms.dividend)
    if np.any((earned <= 0) & (paid < earned)):
        raise ValueError(
            f"a {kind.value} at these rates (both not above zero) has no single exercise boundary"
        )
    answers = {one.name: getattr(european, one.name).copy() for one in fields(Valuation)}
    early = np.flatnonzero(earned * years > _NEGLIGIBLE)
    for start in range(0, early.size, BLOCK):
        index = early[start : start + BLOCK]
        base = {name: array[index] for name, array in answers.items()}
        for name, array in _american(terms.at(index), base, is_call=is_call).items():
            answers[name][index] = array
    return Valuation(**{name: array.reshape(shape) for name, array in answers.items()})


def greeks(
    kind: OptionKind,
    spot: float,
    strike: float,
    time_s: float,
    vol: float,
    rate: float,
    dividend: float = 0.0,
) -> tuple[float, Greeks]:
    """Price and Greeks of one option, as plain floats."""
    one = value(kind, spot, strike, time_s, vol, rate, dividend)
    return float(one.price), one.greeks


def _american(terms: _Terms, european: dict[str, Floats], *, is_call: bool) -> dict[str, Floats]:
    """All of `Valuation` from the European's, which is changed."""
    sign = 1.0 if is_call else -1.0
    intrinsic = np.maximum(sign * (terms.spot - terms.strike), 0.0)
    price, delta, gamma, gone = _premium(terms, is_call=is_call)
    answers = dict(european)
    answers["price"] = european["price"] + np.maximum(price, 0.0)
    gone |= answers["price"] < intrinsic
    answers["delta"] = np.clip(sign * (european["delta"] + delta), 0.0, 1.0) * sign
    answers["gamma"] = np.maximum(european["gamma"] + gamma, 0.0)
    held = np.flatnonzero(~gone)
    if held.size:
        some = terms.at(held)
        step = _VOL_STEP * some.vol
        first, second, cross = _differences(some, "vol", step, is_call=is_call)
        answers["vega"][held] += first
        answers["volga"][held] += second
        answers["vanna"][held] += cross
        earned = some.dividend if is_call else some.rate
        step = np.minimum(_RATE_STEP, np.where(is_call, _RATE_STEP, earned / 5)) * sign
        answers["rho"][held] += _differences(some, "rate", step, is_call=is_call)[0]
    carry, spot = terms.rate - terms.dividend, terms.spot
    convexity = (terms.vol * spot) ** 2 * answers["gamma"] / 2
    theta = terms.rate * answers["price"] - carry * spot * answers["delta"] - convexity
    answers["theta"] = theta / (YEAR_S / DAY_S)
    payoff = {"price": intrinsic, "delta": np.full_like(spot, sign)}
    return {name: np.where(gone, payoff.get(name, 0.0), array) for name, array in answers.items()}


def _premium(terms: _Terms, *, is_call: bool) -> tuple[Floats, Floats, Floats, Flags]:
    """The premium, its first and second derivative by spot, and where it is exercised."""
    if not is_call:
        of = premium(terms.spot / terms.strike, terms.years, terms.vol, terms.rate, terms.dividend)
        return terms.strike * of.price, of.delta, of.gamma / terms.strike, of.is_exercised
    ratio = terms.strike / terms.spot
    of = premium(ratio, terms.years, terms.vol, terms.dividend, terms.rate)
    return (
        terms.spot * of.price,
        of.price - ratio * of.delta,  # the price is of degree one in spot and strike
        of.gamma * ratio * ratio / terms.spot,
        of.is_exercised,
    )


def _differences(terms: _Terms, name: str, step: Floats, *, is_call: bool) -> tuple[Floats, Floats, Floats]:
    """The premium's first and second derivative by a term, and its delta's first."""
    first, second, cross = (np.empty_like(terms.spot) for _ in range(3))
    todo = np.arange(terms.spot.size)
    for is_ahead, places in ((False, _CENTRAL), (True, _AHEAD)):
        some, width = terms.at(todo), step[todo]
        moved = [replace(some, **{name: getattr(some, name) + place * width}) for place in places]
        price, delta, _, gone = (
            np.stack(part) for part in zip(*(_premium(m, is_call=is_call) for m in moved), strict=True)
        )
        weights = _FIRST[is_ahead][:, None]
        first[todo] = (weights * price).sum(0) / width
        cross[todo] = (weights * delta).sum(0) / width
        second[todo] = (_SECOND[is_ahead][:, None] * price).sum(0) / width**2
        todo = todo[gone.any(0)]
        if todo.size == 0:
            break
    return first, second, cross
