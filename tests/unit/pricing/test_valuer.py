"""Many options at once: the same as one by one, as the obvious formulas, and as sixty digits."""

from __future__ import annotations

import mpmath as mp
import numpy as np
import pytest

from agent.market.instrument import OptionKind
from agent.pricing import black
from agent.pricing.mills import FIRST, Rows, ratios
from agent.pricing.term import BLOCK
from agent.pricing.valuer import ALL, USUAL, Valuer
from agent.values.fixed import DAY_S
from tests.unit.pricing import twin
from tests.unit.pricing.reference import cases, exact

CALL, PUT = OptionKind.CALL, OptionKind.PUT
SIZE = 2 * BLOCK + 1234
RATE, DIVIDEND = 0.05, 0.02


def _book(seed: int) -> tuple[np.ndarray, ...]:
    """Spots, strikes, seconds and volatilities: mostly near the money, some far out and short."""
    dice = np.random.default_rng(seed)
    spot = 2000 * np.exp(dice.normal(0, 0.2, SIZE))
    strike = spot * np.exp(dice.normal(0, 0.4, SIZE))
    return spot, strike, dice.uniform(0.01, 400, SIZE) * DAY_S, dice.uniform(0.05, 3, SIZE)


@pytest.mark.parametrize("kind", [CALL, PUT])
@pytest.mark.parametrize("on_forward", [False, True])
def test_the_fast_way_says_what_the_obvious_way_says(kind: OptionKind, *, on_forward: bool) -> None:
    spot, strike, seconds, vol = _book(1)
    dividend = RATE if on_forward else DIVIDEND
    slow = twin.value(kind, spot, strike, seconds, vol, RATE, dividend, on_forward=on_forward)
    if on_forward:
        fast = Valuer(ALL).value_on_forward(kind, spot, strike, seconds, vol, RATE)
    else:
        fast = Valuer(ALL).value(kind, spot, strike, seconds, vol, RATE, dividend)
    near = np.abs(np.log(spot / strike)) < 8 * vol * np.sqrt(seconds / (365 * DAY_S))
    assert np.count_nonzero(near) > SIZE / 2
    scale = {"theta": 1e-3 * spot, "vanna": 1e-3, "volga": 1e-3 * spot}
    for name, row in zip(ALL, fast, strict=True):
        slack = 2e-13 * (np.abs(slow[name]) + scale.get(name, 0.0))
        assert np.all((np.abs(row - slow[name]) <= slack)[near]), name
        assert np.all(np.abs(row - slow[name]) <= 1e-12 * (np.abs(slow[name]) + spot)), name


def test_what_is_asked_for_does_not_change_what_is_answered() -> None:
    terms = _book(2)
    everything = dict(zip(ALL, Valuer(ALL).value(PUT, *terms, RATE, DIVIDEND), strict=True))
    for wanted in (USUAL, ("theta",), ("delta", "price"), ("volga", "rho", "vanna"), ("gamma",)):
        rows = Valuer(wanted).value(PUT, *terms, RATE, DIVIDEND)
        for name, row in zip(wanted, rows, strict=True):
            assert np.array_equal(row, everything[name]), name


def test_calls_and_puts_in_one_book_are_those_valued_apart() -> None:
    spot, strike, seconds, vol = _book(3)
    is_call = np.random.default_rng(4).random(SIZE) < 0.5
    mixed = Valuer(ALL).value(is_call, spot, strike, seconds, vol, RATE, DIVIDEND)
    for kind, flags in ((CALL, is_call), (PUT, ~is_call)):
        apart = Valuer(ALL).value(kind, spot, strike, seconds, vol, RATE, DIVIDEND)
        assert np.array_equal(mixed[:, flags], apart[:, flags])


def test_memory_that_is_used_again_holds_the_same_answers() -> None:
    spot, strike, seconds, vol = _book(5)
    valuer, out = Valuer(), np.full((5, SIZE), np.nan)
    first = valuer.value(CALL, spot, strike, seconds, vol, RATE)
    assert valuer.value(CALL, spot, strike, seconds, vol, RATE, out=out) is out
    assert np.array_equal(first, out)
    valuer.value(CALL, spot[:10], strike[:10], seconds[:10], vol[:10], RATE, out=out[:, :10].copy())
    assert np.array_equal(valuer.value(CALL, spot, strike, seconds, vol, RATE), out)
    for wrong in (np.empty((4, SIZE)), np.empty((5, SIZE - 1)), np.empty((SIZE, 5)).T):
        with pytest.raises(ValueError, match="out must be contiguous"):
            valuer.value(CALL, spot, strike, seconds, vol, RATE, out=wrong)


def test_terms_of_any_shape_say_what_flat_ones_say() -> None:
    """Scalars, rows against columns, arrays with holes, and rates of each option: bit for bit."""
    spot, strike, *_ = (one[:6000] for one in _book(6))
    grid = Valuer(ALL).value(CALL, spot[::3], strike[:5, None], 30 * DAY_S, 0.8, RATE)
    assert grid.shape == (8, 5, 2000)
    flat = Valuer(ALL).value(
        CALL,
        np.tile(spot[::3], 5),
        np.repeat(strike[:5], 2000),
        np.full(10_000, 30.0 * DAY_S),
        np.full(10_000, 0.8),
        np.full(10_000, RATE),
        np.zeros(10_000),
    )
    assert np.array_equal(grid.reshape(8, -1), flat)


def test_one_bad_term_anywhere_is_refused_by_name() -> None:
    spot, strike, seconds, vol = _book(7)
    for place, (name, bad) in enumerate(
        (("spot", np.nan), ("strike", np.inf), ("time_s", -np.inf), ("vol", np.nan))
    ):
        terms = [one.copy() for one in (spot, strike, seconds, vol)]
        terms[place][BLOCK + 77] = bad
        with pytest.raises(ValueError, match=f"{name} is not finite"):
            Valuer().value(CALL, *terms, RATE)
    spot[-1] = -1e-9
    with pytest.raises(ValueError, match="spot must not be negative"):
        Valuer().value(CALL, spot, strike, seconds, vol, RATE)


def test_a_book_of_every_kind_is_right_to_the_documented_digits() -> None:
    """`test_error`'s cases as one book: neighbours in a block disturb nobody."""
    for on_forward in (False, True):
        some = [one for one in cases(300, seed=8) if one.on_forward is on_forward]
        kinds = np.array([one.kind is CALL for one in some])
        names = ("spot", "strike", "time_s", "vol", "rate", "dividend")
        terms = [np.array([getattr(one, name) for one in some], dtype=float) for name in names]
        if on_forward:
            rows = Valuer(ALL).value_on_forward(kinds, *terms[:5])
        else:
            rows = Valuer(ALL).value(kinds, *terms)
        for index, case in enumerate(some):
            says = exact(case)
            is_market = case.vol >= 0.05 and abs(says.distance) <= 8
            for name, row in zip(ALL, rows, strict=True):
                if says.scales[name] > 1e-290:
                    assert says.error(name, row[index]) < (3.5e-14 if is_market else 1.8e-11), (case, name)


def test_one_option_is_a_book_of_one() -> None:
    price, greeks = black.greeks(PUT, 1900.0, 2000.0, 30.0 * DAY_S, 0.8, RATE, DIVIDEND)
    rows = Valuer(ALL).value(PUT, 1900.0, 2000.0, 30.0 * DAY_S, 0.8, RATE, DIVIDEND)
    assert (price, greeks.delta, greeks.volga) == (float(rows[0]), float(rows[1]), float(rows[7]))


def test_mills_ratio_and_its_differences_keep_their_digits() -> None:
    """From the least argument to far beyond where densities end, for places that nearly agree as well."""
    u = np.concatenate((np.linspace(FIRST, 6, 40), np.geomspace(6, 1e6, 20)))
    for gap in (0.0, 1e-12, 1e-6, 1e-3, 0.1, 3.0, 100.0):
        gaps = np.full_like(u, gap)
        right, difference = ratios(u, u + gaps, gaps, Rows(*np.empty((6, u.size))))
        with mp.workdps(60):
            for index, start in enumerate(u):
                one, other = _mills(mp.mpf(start)), _mills(mp.mpf(start) + mp.mpf(gap))
                assert abs(right[index] / _mills(mp.mpf(start + gap)) - 1) < 2e-15
                assert abs(difference[index] - (one - other)) <= 6e-15 * (one - other)


def _mills(x: mp.mpf) -> mp.mpf:
    """By its continued fraction far out, where exp(x^2 / 2) is of no use."""
    if x < 30:
        return mp.sqrt(mp.pi / 2) * mp.exp(x * x / 2) * mp.erfc(x / mp.sqrt(2))
    below = x
    for n in range(60, 0, -1):
        below = x + n / below
    return 1 / below
