"""A curve found from the last one is the curve found from nothing, and noise is told from a wrong curve."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np

from agent.pricing import surface
from agent.pricing.arbitrage import has_no_butterfly
from agent.pricing.repair import fit_svi
from agent.pricing.smile import Smile
from tests.unit.pricing.volatility import AT_S, quotes_of, strip_of, true_smile


def _moved(smile: Smile, dice: random.Random) -> Smile:
    """The curve of some minutes ago."""
    floor, right, left, width = (
        one * dice.uniform(0.8, 1.25) for one in (smile.floor, smile.right, smile.left, smile.width)
    )
    return Smile(floor, min(right, 1.41), min(left, 1.41), smile.centre + dice.uniform(-0.03, 0.03), width)


def test_the_last_curve_leads_where_nothing_leads_to() -> None:
    dice, noise = random.Random(3), np.random.default_rng(3)
    for index in range(60):
        smile, years, deviation = true_smile(dice)
        k = deviation * np.sort(np.array([dice.uniform(-3, 3) for _ in range(20)]))
        iv = np.sqrt(smile.variance(k) / years)
        if index % 3:
            iv = iv * (1 + (1e-3, 1e-2)[index % 2] * noise.normal(size=k.size))
        strip = strip_of(k, iv, years)
        cold, _ = fit_svi(strip)
        warm, _ = fit_svi(strip, _moved(smile, dice))
        assert has_no_butterfly(warm)
        if index % 3:
            assert strip.loss(warm) <= strip.loss(cold) * 1.02
        else:
            assert np.max(np.abs(strip.misses(warm))) < 1e-9


def test_a_last_curve_of_another_world_does_no_harm() -> None:
    dice = random.Random(4)
    for _ in range(10):
        smile, years, deviation = true_smile(dice)
        k = deviation * np.linspace(-2.5, 2.5, 20)
        strip = strip_of(k, np.sqrt(smile.variance(k) / years), years)
        for last in (Smile.flat(25.0), Smile(1e-9, 1.3, 1e-6, 4.0, 30.0), Smile(1e-3, 0.01, 1.4, -5.0, 1e-4)):
            found, _ = fit_svi(strip, last)
            assert np.max(np.abs(strip.misses(found))) < 1e-8


def test_noise_is_told_from_a_curve_that_misses_by_its_shape() -> None:
    truth, k = Smile.of_raw(0.02, 0.15, -0.4, 0.03, 0.2), np.linspace(-0.6, 0.5, 20)
    exact = strip_of(k, np.sqrt(truth.variance(k) / 0.25), 0.25)
    assert not exact.is_noise(replace(truth, width=truth.width * 1.05))
    dice = np.random.default_rng(1)
    for _ in range(20):
        noisy = strip_of(k, exact.iv * (1 + 1e-3 * dice.normal(size=20)), 0.25)
        assert not noisy.is_noise(replace(truth, width=truth.width * 1.5))
        assert fit_svi(noisy)[0] is not None
    few = strip_of(k[:6], exact.iv[:6] * (1 + 1e-3 * dice.normal(size=6)), 0.25)
    assert not few.is_noise(truth)  # too few to say


def test_a_surface_from_the_last_surface_has_the_same_curves() -> None:
    dice = random.Random(6)
    quotes = quotes_of(dice, noise=0.0, expiries=3)
    first = surface.fit(quotes, AT_S)
    again = surface.fit(quotes, AT_S, first)
    for one, other in zip(first.expiries, again.expiries, strict=True):
        k = np.linspace(*one.k_range, 50)
        assert np.allclose(one.smile.variance(k), other.smile.variance(k), rtol=1e-6)
        assert one.quality.kind is other.quality.kind
