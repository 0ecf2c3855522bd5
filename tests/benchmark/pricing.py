"""How fast the mathematics of options is on one core: `python -m tests.benchmark.pricing`. Fails on nothing.

Price, delta, gamma, vega and theta of a million options: as exact as a part of the spot (`plain`), and to the
last digits of the farthest wing (`Valuer`, "exact"). Against the same by scipy's normal distribution over
whole arrays and against loops over QuantLib's analytic engine and over plain Python; implied volatilities
against a loop over QuantLib's solver; a volatility slice of 20 strikes, fitted and proven free of arbitrage.
Every rate is the best of several runs: what else runs on the machine can only slow it down.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from time import perf_counter

import numpy as np
import QuantLib as ql
from scipy.special import ndtr

from agent.market.instrument import OptionKind
from agent.pricing import american, black, implied, plain
from agent.pricing.repair import fit_svi
from agent.pricing.smile import Floats, Smile
from agent.pricing.strip import Strip
from agent.pricing.valuer import ALL, Valuer
from agent.values.fixed import DAY_S, YEAR_S

CALL, PUT = OptionKind.CALL, OptionKind.PUT
STRIKE, RATE, DIVIDEND, DAYS = 2000.0, 0.05, 0.02, 90
MANY, SOME, FEW = 1_000_000, 2_000, 50
ACCOUNTS, EACH = 10_000, 20
SLICES, STRIKES, YEARS = 60, 20, 0.25
TRUTH = Smile.of_raw(0.02, 0.15, -0.4, 0.03, 0.2)


def measure() -> dict[str, float]:
    """Figures by name: options a second, milliseconds, and ratios of this run."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(cores)})
    try:
        found = _greeks() | _volatilities() | _slices() | _american()
    finally:
        os.sched_setaffinity(0, cores)
    return {name: round(value, 4) for name, value in found.items()}


def main() -> None:
    """Prints the figures as JSON."""
    print(json.dumps(measure(), indent=2))


def _greeks() -> dict[str, float]:
    dice = np.random.default_rng(1)
    spot = STRIKE * np.exp(dice.normal(0, 0.3, MANY))
    strike = STRIKE * np.exp(dice.normal(0, 0.3, MANY))
    seconds, vol = dice.uniform(7, 365, MANY) * DAY_S, dice.uniform(0.2, 2, MANY)
    is_call = dice.random(MANY) < 0.5
    usual, everything = Valuer(), Valuer(ALL)
    out, all_out = np.empty((5, MANY)), np.empty((8, MANY))
    part = slice(0, ACCOUNTS * EACH)
    book = [one[part] for one in (is_call, spot, strike, seconds, vol)]
    of_book = np.empty((5, ACCOUNTS * EACH))
    terms = (spot, strike, seconds, vol)
    engine, loop = _engine(), [one[:SOME].tolist() for one in terms]
    best = {
        "greeks_per_s": MANY / _least(lambda: plain.usual(True, *terms, RATE, out=out)),
        "greeks_mixed_per_s": MANY / _least(lambda: plain.usual(is_call, *terms, RATE, out=out)),
        "greeks_10k_accounts_ms": 1e3 * _least(lambda: plain.usual(*book, RATE, out=of_book)),
        "greeks_exact_per_s": MANY / _least(lambda: usual.value(CALL, *terms, RATE, out=out)),
        "greeks_exact_all_per_s": MANY / _least(lambda: everything.value(CALL, *terms, RATE, out=all_out)),
        "greeks_ndtr_per_s": MANY / _least(lambda: _by_ndtr(*terms), 3),
        "greeks_python_per_s": SOME / _least(lambda: [_by_hand(*one) for one in zip(*loop, strict=True)], 3),
        "greeks_quantlib_per_s": SOME / _least(lambda: engine(SOME), 3),
    }
    for peer in ("ndtr", "python", "quantlib"):
        best[f"greeks_vs_{peer}"] = best["greeks_per_s"] / best[f"greeks_{peer}_per_s"]
        best[f"greeks_exact_vs_{peer}"] = best["greeks_exact_per_s"] / best[f"greeks_{peer}_per_s"]
    return best


def _volatilities() -> dict[str, float]:
    dice = np.random.default_rng(2)
    count, years = 100_000, DAYS * DAY_S / YEAR_S
    spot, vol = STRIKE * np.exp(dice.normal(0, 0.2, count)), dice.uniform(0.5, 2, count)
    price = black.price(CALL, spot, STRIKE, DAYS * DAY_S, vol, RATE, DIVIDEND)
    forward, discount = spot * math.exp((RATE - DIVIDEND) * years), math.exp(-RATE * years)

    def theirs() -> None:
        for index in range(SOME):  # from a neighbouring guess, as a venue's last volatility would be
            ql.blackFormulaImpliedStdDev(
                ql.Option.Call,
                STRIKE,
                float(forward[index]),
                float(price[index]),
                discount,
                0.0,
                float(vol[index]) * 0.4,
                1e-12,
                200,
            )

    ours = count / _least(
        lambda: implied.volatility(CALL, price, spot, STRIKE, DAYS * DAY_S, RATE, DIVIDEND), 5
    )
    loop = SOME / _least(theirs, 3)
    return {"iv_per_s": ours, "iv_quantlib_per_s": loop, "iv_vs_quantlib": ours / loop}


def _slices() -> dict[str, float]:
    """The median over slices of a market that moves on a little each time, quotes off by a thousandth."""
    dice = np.random.default_rng(3)
    cold, warm = [], []
    last: Smile | None = None
    for index in range(SLICES):
        strip = _strip(dice, index)
        cold.append(_least(lambda strip=strip: fit_svi(strip), 5))  # type: ignore[misc]
        warm.append(_least(lambda strip=strip, last=last: fit_svi(strip, last), 5))  # type: ignore[misc]
        last, _ = fit_svi(strip)
    return {
        "svi_slice_ms": 1e3 * float(np.median(cold)),
        "svi_slice_warm_ms": 1e3 * float(np.median(warm[1:])),
    }


def _strip(dice: np.random.Generator, index: int) -> Strip:
    k = np.linspace(-0.6, 0.5, STRIKES)
    drift = 1 + 0.1 * math.sin(index / 5)
    iv = np.sqrt(TRUTH.variance(k) * drift / YEARS) * (1 + 1e-3 * dice.normal(size=STRIKES))
    return Strip(1, YEARS, STRIKE, k, iv, np.full(STRIKES, 1 / STRIKES))


def _american() -> dict[str, float]:
    dice = np.random.default_rng(4)
    spot, vol = STRIKE * np.exp(dice.normal(0, 0.3, SOME)), dice.uniform(0.2, 2, FEW)
    terms = (STRIKE, DAYS * DAY_S)
    apart = FEW / _least(lambda: american.value(PUT, spot[:FEW], *terms, vol, RATE, DIVIDEND), 2)
    grid = SOME / _least(lambda: american.value(PUT, spot, *terms, 0.8, RATE, DIVIDEND), 2)
    return {"american_per_s": apart, "american_grid_per_s": grid}


def _least(work: Callable[[], object], times: int = 7) -> float:
    """Seconds of the quickest run."""
    took = []
    for _ in range(times):
        start = perf_counter()
        work()
        took.append(perf_counter() - start)
    return min(took)


def _by_ndtr(spot: Floats, strike: Floats, seconds: Floats, vol: Floats) -> tuple[Floats, ...]:
    """What most people write: correct near the money, no care for the wings, whole arrays."""
    years = seconds / YEAR_S
    root = np.sqrt(years)
    d1 = (np.log(spot / strike) + (RATE + vol * vol / 2) * years) / (vol * root)
    d2 = d1 - vol * root
    owed = strike * np.exp(-RATE * years)
    density = np.exp(-d1 * d1 / 2) / math.sqrt(2 * math.pi)
    delta, in_strike = ndtr(d1), owed * ndtr(d2)
    theta = (-spot * density * vol / (2 * root) - RATE * in_strike) / 365
    return spot * delta - in_strike, delta, density / (spot * vol * root), spot * density * root, theta


def _by_hand(spot: float, strike: float, seconds: float, vol: float) -> tuple[float, ...]:
    """The same for one option with the standard library."""
    years = seconds / YEAR_S
    root = math.sqrt(years)
    d1 = (math.log(spot / strike) + (RATE + vol * vol / 2) * years) / (vol * root)
    d2 = d1 - vol * root
    owed = strike * math.exp(-RATE * years)
    density = math.exp(-d1 * d1 / 2) / math.sqrt(2 * math.pi)
    delta, in_strike = math.erfc(-d1 / math.sqrt(2)) / 2, owed * math.erfc(-d2 / math.sqrt(2)) / 2
    theta = (-spot * density * vol / (2 * root) - RATE * in_strike) / 365
    return spot * delta - in_strike, delta, density / (spot * vol * root), spot * density * root, theta


def _engine() -> Callable[[int], None]:
    """Price, delta, gamma, vega and theta by QuantLib, one option after the other."""
    today = ql.Date(1, 1, 2025)
    ql.Settings.instance().evaluationDate = today
    count, spot, vol = ql.Actual365Fixed(), ql.SimpleQuote(STRIKE), ql.SimpleQuote(0.5)
    process = ql.BlackScholesMertonProcess(
        ql.QuoteHandle(spot),
        ql.YieldTermStructureHandle(ql.FlatForward(today, 0.0, count)),
        ql.YieldTermStructureHandle(ql.FlatForward(today, RATE, count)),
        ql.BlackVolTermStructureHandle(
            ql.BlackConstantVol(today, ql.NullCalendar(), ql.QuoteHandle(vol), count)
        ),
    )
    option = ql.VanillaOption(
        ql.PlainVanillaPayoff(ql.Option.Call, STRIKE), ql.EuropeanExercise(today + DAYS)
    )
    option.setPricingEngine(ql.AnalyticEuropeanEngine(process))

    def loop(times: int) -> None:
        for index in range(times):
            spot.setValue(STRIKE * (0.7 + 0.6 * index / times))
            vol.setValue(0.3 + index / times)
            _ = option.NPV(), option.delta(), option.gamma(), option.vega(), option.theta()

    return loop


if __name__ == "__main__":
    main()
