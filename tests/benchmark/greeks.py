"""How many options a second: `python -m tests.benchmark.greeks`. Prints ratios; fails on nothing.

Price and all Greeks of European options against a loop over QuantLib's analytic engine (which has no vanna
and volga), implied volatilities against a loop over its solver, American options against its precise engine.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter

import numpy as np
import QuantLib as ql

from agent.market.instrument import OptionKind
from agent.pricing import american, black, implied
from agent.values.fixed import DAY_S, YEAR_S

CALL, PUT = OptionKind.CALL, OptionKind.PUT
STRIKE, RATE, DIVIDEND, DAYS = 2000.0, 0.05, 0.02, 90
MANY, SOME, FEW = 1_000_000, 2_000, 50


def main() -> None:
    """Prints one line for each."""
    dice = np.random.default_rng(1)
    spots, vols = STRIKE * np.exp(dice.normal(0, 0.3, MANY)), dice.uniform(0.2, 2, MANY)
    times = np.full(MANY, DAYS * DAY_S)
    prices = black.price(CALL, spots, STRIKE, times, vols, RATE, DIVIDEND)
    years = DAYS * DAY_S / YEAR_S
    forwards, discount = spots * np.exp((RATE - DIVIDEND) * years), float(np.exp(-RATE * years))
    quotes, process = _process()

    def set_to(index: int) -> None:
        quotes[0].setValue(float(spots[index]))
        quotes[1].setValue(float(vols[index]))

    european = ql.VanillaOption(_payoff(ql.Option.Call), ql.EuropeanExercise(_expiry()))
    european.setPricingEngine(ql.AnalyticEuropeanEngine(process))

    def their_greeks(index: int) -> None:
        set_to(index)
        _ = (
            european.NPV(),
            european.delta(),
            european.gamma(),
            european.vega(),
            european.theta(),
            european.rho(),
        )

    def their_volatility(index: int) -> None:
        # the solver that brackets; from a neighbouring guess, as a venue's last volatility would be
        ql.blackFormulaImpliedStdDev(
            ql.Option.Call,
            STRIKE,
            forwards[index],
            prices[index],
            discount,
            0.0,
            vols[index] * 0.4,
            1e-12,
            200,
        )

    put = ql.VanillaOption(_payoff(ql.Option.Put), ql.AmericanExercise(_today(), _expiry()))
    put.setPricingEngine(ql.QdFpAmericanEngine(process, ql.QdFpAmericanEngine.highPrecisionScheme()))

    def their_american(index: int) -> None:
        set_to(index)
        put.NPV()

    _compare(
        "European, price and Greeks",
        (MANY, lambda: black.value(CALL, spots, STRIKE, times, vols, RATE, DIVIDEND)),
        (SOME, their_greeks),
    )
    near = np.flatnonzero((vols > 0.5) & (np.abs(np.log(spots / STRIKE)) < 0.5))
    terms = (prices[near], spots[near], STRIKE, times[near], RATE, DIVIDEND)
    _compare(
        "implied volatility",
        (near.size, lambda: implied.volatility(CALL, *terms)),
        (SOME, lambda index: their_volatility(int(near[index]))),
    )
    _compare(
        "American, price and Greeks; theirs the price alone",
        (FEW, lambda: american.value(PUT, spots[:FEW], STRIKE, times[:FEW], vols[:FEW], RATE, DIVIDEND)),
        (FEW, their_american),
    )
    _compare(
        "American, a grid of spots at one volatility; theirs the price alone",
        (SOME, lambda: american.value(PUT, spots[:SOME], STRIKE, DAYS * DAY_S, 0.8, RATE, DIVIDEND)),
        (FEW, their_american),
    )


def _compare(
    name: str, ours: tuple[int, Callable[[], object]], theirs: tuple[int, Callable[[int], None]]
) -> None:
    start = perf_counter()
    ours[1]()
    between = perf_counter()
    for index in range(theirs[0]):
        theirs[1](index)
    end = perf_counter()
    our_rate, their_rate = ours[0] / (between - start), theirs[0] / (end - between)
    ratio = f"ratio {our_rate / their_rate:,.1f}"
    print(f"{name}: {our_rate:,.0f}/s, QuantLib in a loop {their_rate:,.0f}/s, {ratio}")


def _today() -> ql.Date:
    return ql.Date(1, 1, 2025)


def _expiry() -> ql.Date:
    return _today() + DAYS


def _payoff(kind: int) -> ql.PlainVanillaPayoff:
    return ql.PlainVanillaPayoff(kind, STRIKE)


def _process() -> tuple[tuple[ql.SimpleQuote, ql.SimpleQuote], ql.BlackScholesMertonProcess]:
    ql.Settings.instance().evaluationDate = _today()
    count, spot, vol = ql.Actual365Fixed(), ql.SimpleQuote(STRIKE), ql.SimpleQuote(0.5)
    return (spot, vol), ql.BlackScholesMertonProcess(
        ql.QuoteHandle(spot),
        ql.YieldTermStructureHandle(ql.FlatForward(_today(), DIVIDEND, count)),
        ql.YieldTermStructureHandle(ql.FlatForward(_today(), RATE, count)),
        ql.BlackVolTermStructureHandle(
            ql.BlackConstantVol(_today(), ql.NullCalendar(), ql.QuoteHandle(vol), count)
        ),
    )


if __name__ == "__main__":
    main()
