"""Random smiles and quotes, and an independent judge of their arbitrage."""

from __future__ import annotations

import math
import random

import mpmath
import numpy as np
from scipy.special import ndtr

from agent.market.vol import VolQuote
from agent.pricing.arbitrage import has_no_butterfly
from agent.pricing.smile import Floats, Smile
from agent.pricing.strip import Strip
from agent.values.fixed import DAY_S, YEAR_S

AT_S = 1_750_000_000
ROUNDING = 2e-15  # of a price, the forward being 1


def true_smile(dice: random.Random) -> tuple[Smile, float, float]:
    """A smile without butterfly arbitrage, its years, and a standard deviation at the money."""
    while True:
        years = 10 ** dice.uniform(-4, 0.3)
        deviation = dice.uniform(0.2, 1.5) * math.sqrt(years)
        b = dice.uniform(0.05, 0.9) * deviation
        rho, sigma = dice.uniform(-0.9, 0.9), 10 ** dice.uniform(-1, 0.5) * deviation
        a = deviation**2 - b * sigma * math.sqrt(1 - rho * rho) * dice.random()
        if b * (1 + abs(rho)) < 2:
            smile = Smile.of_raw(a, b, rho, dice.uniform(-1, 1) * deviation, sigma)
            if has_no_butterfly(smile):
                return smile, years, deviation


def strip_of(k: Floats, iv: Floats, years: float) -> Strip:
    """Quotes of equal weight."""
    return Strip(AT_S + round(years * YEAR_S), years, 1.0, k, iv, np.full(k.size, 1 / k.size))


def noisy_strip(dice: random.Random) -> Strip:
    """A true smile's quotes, five to 40 of them, with 0.1 to 30 % of noise."""
    smile, years, deviation = true_smile(dice)
    k = deviation * np.array(sorted(dice.uniform(-3, 3) for _ in range(dice.randint(5, 40))))
    noise = 10 ** dice.uniform(-3, -0.5) * np.array([dice.gauss(0, 1) for _ in k])
    return strip_of(k, np.sqrt(smile.variance(k) / years) * np.exp(noise), years)


def wild_strip(dice: random.Random) -> Strip:
    """Quotes that no market would show: 50 % of noise, skews of any strength, seconds or years to expiry."""
    years = 10 ** dice.uniform(-6.5, 0.5)
    deviation = dice.uniform(0.1, 2) * math.sqrt(years)
    reach = 10 ** dice.uniform(-0.5, 1.2) * deviation
    k = np.array(sorted(dice.uniform(-reach, reach) for _ in range(dice.randint(5, 40))))
    x, skew, bow = k / deviation, dice.uniform(-0.8, 0.8), dice.uniform(-0.1, 0.6)
    noise = 10 ** dice.uniform(-3, -0.3)
    factor = np.exp(noise * np.array([dice.gauss(0, 1) for _ in k]))
    iv = deviation / math.sqrt(years) * np.maximum(0.05, 1 + skew * x + bow * x * x) * factor
    return strip_of(k, np.minimum(iv, 50.0), years)


def quotes_of(dice: random.Random, *, noise: float, expiries: int, decay: float = 0.0) -> list[VolQuote]:
    """Expiries of one to 40 strikes; with ``decay`` above 0.5 total variance falls with time."""
    level, spot = dice.uniform(0.2, 2), 10 ** dice.uniform(-2, 5)
    skew, bow = dice.uniform(-0.2, 0.2), dice.uniform(0.02, 0.1)
    days = sorted(dice.sample(range(1, 200), expiries))
    quotes = []
    for day in days:
        years = day * DAY_S / YEAR_S
        deviation, forward = level * math.sqrt(years), spot * math.exp(0.05 * years)
        for _ in range(dice.choice([1, 2, 3, 4, 5, 9, 20, 40])):
            x = dice.uniform(-2.5, 2.5)
            iv = level * (day / days[0]) ** -decay * (1 + skew * x + bow * x * x)
            iv *= math.exp(noise * dice.gauss(0, 1))
            quotes.append(VolQuote(AT_S + day * DAY_S, forward * math.exp(x * deviation), forward, iv))
    return quotes


def wide_grid(smile: Smile) -> Floats:
    """Log-moneyness around the bend, around the money and far out, all densely."""
    bend = smile.centre + smile.width * np.sinh(np.linspace(-14, 14, 2001))
    money = math.sqrt(float(smile.variance(0.0))) * np.linspace(-12, 12, 2001)
    far = np.sinh(np.linspace(-10, 10, 1001))
    grid = np.unique(np.concatenate((bend, money, far)))
    return np.asarray(grid[np.abs(grid) < 1e5])


def spreads(smile: Smile) -> Floats:
    """Prices of butterflies around each strike of a grid, of a forward of 1: below zero only by rounding.

    By Black's formula, from total variance alone: nothing of `Smile`'s own derivatives is in it.
    """
    deviation = math.sqrt(float(smile.variance(0.0)))
    strikes = np.exp(np.linspace(-6, 6, 4001) * min(deviation, 1.0))
    calls = _call(strikes, smile.variance(np.log(strikes)))
    steps = np.diff(strikes)
    return np.asarray(np.diff(np.diff(calls) / steps) * steps[1:])


def exact_density(smile: Smile, k: float) -> float:
    """The strike times the second derivative of the call's price by it, from differences of 60 digits."""
    with mpmath.workdps(60):
        step = mpmath.mpf(10) ** -18

        def call(strike: mpmath.mpf) -> mpmath.mpf:
            d = mpmath.log(strike) - mpmath.mpf(smile.centre)
            a = smile.floor - mpmath.mpf(smile.width) * smile.right * smile.left
            up, down = mpmath.mpf(smile.right) ** 2, mpmath.mpf(smile.left) ** 2
            root = mpmath.sqrt(d * d + mpmath.mpf(smile.width) ** 2)
            w = a + (up - down) / 2 * d + (up + down) / 2 * root
            d1 = -mpmath.log(strike) / mpmath.sqrt(w) + mpmath.sqrt(w) / 2
            return mpmath.ncdf(d1) - strike * mpmath.ncdf(d1 - mpmath.sqrt(w))

        strike = mpmath.exp(mpmath.mpf(k))
        h = strike * step
        return float(strike * (call(strike + h) - 2 * call(strike) + call(strike - h)) / (h * h))


def _call(strikes: Floats, variance: Floats) -> Floats:
    deviation = np.sqrt(variance)
    d1 = -np.log(strikes) / deviation + deviation / 2
    return np.asarray(ndtr(d1) - strikes * ndtr(d1 - deviation))
