"""Black's formula and its derivatives from their definition, with sixty digits and more."""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random

import mpmath as mp

from agent.market.instrument import OptionKind
from agent.values.fixed import DAY_S, YEAR_S

NAMES = ("price", "delta", "gamma", "vega", "theta", "rho", "vanna", "volga")


@dataclass(frozen=True, slots=True)
class Case:
    """One option, in the floats that the code under test is given. On a forward, ``dividend`` is ``rate``."""

    kind: OptionKind
    spot: float
    strike: float
    time_s: float
    vol: float
    rate: float
    dividend: float
    on_forward: bool = False


@dataclass(frozen=True, slots=True)
class Exact:
    """``values`` by name; ``scales``: what an error is measured by; ``distance``: ln(F/K) in deviations."""

    values: dict[str, mp.mpf]
    scales: dict[str, mp.mpf]
    distance: float

    def error(self, name: str, got: float) -> float:
        return float(abs(mp.mpf(got) - self.values[name]) / self.scales[name])


def exact(case: Case) -> Exact:
    """Scales are the value itself, but for three that pass through zero: theta's is the sum of its terms'
    sizes, vanna's is that of d2 = 1 where d2 is smaller, volga's that of d1 d2 = 1 likewise.
    """
    with mp.workdps(_digits(case)):
        w = 1 if case.kind is OptionKind.CALL else -1
        s, k, v, r, q = (
            mp.mpf(x) for x in (case.spot, case.strike, max(case.vol, 1e-4), case.rate, case.dividend)
        )
        t = mp.mpf(max(case.time_s, 1)) / YEAR_S
        root, days = mp.sqrt(t), mp.mpf(YEAR_S) / DAY_S
        grown, owed, deviation = s * mp.exp(-q * t), k * mp.exp(-r * t), v * root
        distance = mp.log(grown / owed) / deviation
        d1, d2 = distance + deviation / 2, distance - deviation / 2
        in_spot, in_strike = (mp.erfc(-w * d / mp.sqrt(2)) / 2 for d in (d1, d2))
        n = grown * mp.npdf(d1)
        price = w * (grown * in_spot - owed * in_strike)
        delta = w * grown / s * in_spot
        terms = [-n * v / (2 * root), r * price, -(r - q) * s * delta]
        vega = n * root
        values = {
            "price": price,
            "delta": delta,
            "gamma": n / (s * s * deviation),
            "vega": vega,
            "theta": sum(terms) / days,
            "rho": -t * price if case.on_forward else w * owed * t * in_strike,
            "vanna": -n * d2 / (s * v),
            "volga": vega * d1 * d2 / v,
        }
        scales = {name: abs(value) for name, value in values.items()}
        scales["theta"] = sum(abs(term) for term in terms) / days
        scales["vanna"] = n / (s * v) * max(abs(d2), 1)
        scales["volga"] = vega / v * max(abs(d1 * d2), 1)
        return Exact(values, scales, float(distance))


def _digits(case: Case) -> int:
    """Sixty, and those that the difference of two numbers near the spot price loses far out."""
    years, vol = max(case.time_s, 1) / YEAR_S, max(case.vol, 1e-4)
    drift = (case.rate - case.dividend) * years
    distance = (math.log(case.spot / case.strike) + drift) / (vol * years**0.5)
    return 60 + int(min(distance * distance / 4, 1000.0))


def cases(count: int, seed: int) -> list[Case]:
    """At the money, around it, and out to where floats end on both sides; one second to ten years;
    volatility from its floor to 1000 %; rates and dividends of both signs.
    """
    dice, found = Random(seed), []
    for _ in range(count):
        strike = 10 ** dice.uniform(-3, 6)
        time_s = dice.choice(
            [1, 60, 3600, DAY_S, YEAR_S // 12, YEAR_S, 3 * YEAR_S, dice.randint(1, 10 * YEAR_S)]
        )
        vol = dice.choice([1e-4, 1e-3, 0.01, 0.1, 0.5, 1, 3, 10, 10 ** dice.uniform(-4, 1)])
        deviation = vol * (time_s / YEAR_S) ** 0.5
        reach = dice.choice([0.0, 1.0, 3.0, 8.0, 37.0])
        rate, dividend = dice.choice([0, 0.05, -0.02, 0.3]), dice.choice([0, 0, 0.05, 0.1, -0.03])
        on_forward = dice.random() < 0.25
        if on_forward:
            dividend = rate
        shift = dice.uniform(-reach, reach) * deviation - (rate - dividend) * time_s / YEAR_S
        spot = strike * float(mp.exp(min(50.0, max(-50.0, shift))))
        kind = dice.choice([OptionKind.CALL, OptionKind.PUT])
        found.append(Case(kind, spot, strike, time_s, vol, rate, dividend, on_forward))
    return found
