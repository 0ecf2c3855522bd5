from __future__ import annotations

import numpy as np
import pytest

from agent.market.instrument import OptionKind
from agent.pricing import black, plain
from agent.pricing.term import BLOCK
from agent.values.fixed import DAY_S

MANY = 3 * BLOCK + 17


def book(seed: int) -> tuple[np.ndarray, ...]:
    dice = np.random.default_rng(seed)
    spot, strike = (2_000 * np.exp(dice.normal(0, 0.5, MANY)) for _ in range(2))
    seconds = dice.choice([0.0, 1.0, 3_600.0], MANY) + dice.uniform(0, 365, MANY) * DAY_S * (
        dice.random(MANY) < 0.9
    )
    vol = np.where(dice.random(MANY) < 0.05, 0.0, dice.uniform(0.05, 3, MANY))
    return dice.random(MANY) < 0.5, spot, strike, seconds, vol


@pytest.mark.parametrize("rate", [0.0, 0.05, -0.03, 1.5])
def test_it_says_what_the_exact_way_says_within_rounding_of_the_spot(rate: float) -> None:
    is_call, spot, strike, seconds, vol = book(7)
    found = plain.usual(is_call, spot, strike, seconds, vol, rate)
    for kind, rows in ((OptionKind.CALL, is_call), (OptionKind.PUT, ~is_call)):
        exact = black.value(kind, spot[rows], strike[rows], seconds[rows], vol[rows], rate)
        size = spot[rows] + strike[rows] * np.exp(-rate * np.maximum(seconds[rows], 1.0) / 31_536_000)
        price, delta, gamma, vega, theta = found[:, rows]
        assert np.abs((price - exact.price) / size).max() < 1e-15
        # what rounding of the spot does to d: the shorter and the calmer, the more
        years = np.maximum(seconds[rows], 1.0) / 31_536_000
        blur = 2e-15 + 4e-16 / (np.maximum(vol[rows], 1e-4) * np.sqrt(years))
        assert (np.abs(delta - exact.delta) <= blur).all()
        for one, other in ((gamma, exact.gamma), (vega, exact.vega)):
            assert (np.abs(one - other) <= 40 * blur * np.abs(other) + 1e-200).all()
        worn = 40 * blur * (np.abs(exact.theta) + size / 365 * (np.abs(rate) + 1e-3))
        assert (np.abs(theta - exact.theta) <= worn).all()


def test_one_spot_and_one_kind_for_all_and_room_that_is_used_again() -> None:
    _, _, strike, seconds, vol = book(3)
    out = np.full((5, MANY), np.nan)
    again = plain.usual(False, 1_900.0, strike, seconds, vol, 0.02, out=out)
    assert again is out
    each = plain.usual(np.zeros(MANY, bool), np.full(MANY, 1_900.0), strike, seconds, vol, 0.02)
    assert np.array_equal(out, each)


def test_no_options_are_no_trouble() -> None:
    nothing = np.empty(0)
    assert plain.usual(True, 2_000.0, nothing, nothing, nothing).shape == (5, 0)
