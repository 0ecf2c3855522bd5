"""The lean Greeks against the full formula, which is careful everywhere."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from agent.market.instrument import OptionKind
from agent.pricing import black
from agent.pricing.lean import lean

seeds = st.integers(0, 10_000)


@given(seeds, st.floats(1e-3, 1e6), st.floats(-0.2, 0.5))
def test_delta_gamma_and_vega_are_those_of_the_full_formula(seed: int, spot: float, rate: float) -> None:
    dice = np.random.default_rng(seed)
    count = 40
    strikes = spot * np.exp(dice.normal(0, 0.6, count))
    seconds = np.where(dice.random(count) < 0.1, 0.0, dice.uniform(0, 3 * 31_536_000, count))
    vols = np.where(dice.random(count) < 0.1, 0.0, dice.uniform(0.01, 3, count))
    signs = np.where(dice.random(count) < 0.5, 1.0, -1.0)
    found = lean(signs, spot, strikes, seconds, vols, rate)
    delta, gamma, vega = found.delta, found.gamma, found.vega
    for sign, kind in ((1.0, OptionKind.CALL), (-1.0, OptionKind.PUT)):
        rows = signs == sign
        slow = black.value(kind, spot, strikes[rows], seconds[rows], vols[rows], rate)
        np.testing.assert_allclose(delta[rows], slow.delta, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(gamma[rows], slow.gamma, rtol=1e-7, atol=1e-12 / spot)
        np.testing.assert_allclose(vega[rows], slow.vega, rtol=1e-7, atol=1e-12 * spot)


def test_each_answer_is_that_of_its_option_alone_whatever_stands_beside_it() -> None:
    dice = np.random.default_rng(3)
    strikes, seconds = dice.uniform(500, 4000, 203), dice.uniform(0, 1e7, 203)
    vols, signs = dice.uniform(0.1, 2, 203), np.where(dice.random(203) < 0.5, 1.0, -1.0)
    together = lean(signs, 2000.0, strikes, seconds, vols, 0.05)
    for n in range(203):
        one = slice(n, n + 1)
        alone = lean(signs[one], 2000.0, strikes[one], seconds[one], vols[one], 0.05)
        for greek in ("delta", "gamma", "vega"):
            assert float(getattr(alone, greek)[0]) == float(getattr(together, greek)[n])
