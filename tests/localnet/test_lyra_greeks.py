"""Float prices and Greeks against Lyra's BlackScholes library, run on chain."""

from __future__ import annotations

import math
import random
from typing import cast

import pytest

from agent.market.instrument import OptionKind
from agent.pricing import black, implied
from agent.sim.contract import Contract, Request
from agent.sim.localnet import Localnet
from agent.sim.toolchain import Toolchain
from agent.values.fixed import DAY_S, WAD, YEAR_S

CALL, PUT = OptionKind.CALL, OptionKind.PUT
CASES = 400


@pytest.fixture
def library(chain: Localnet, toolchain: Toolchain) -> Contract:
    owner = chain.roles["owner"]
    library = chain.chain.deploy(owner, toolchain.artifact("lyra", "BlackScholes"))
    return chain.chain.deploy(
        owner, toolchain.artifact("lyra", "TestBlackScholes"), libraries={"BlackScholes": library.address}
    )


def _case(dice: random.Random) -> dict[str, int]:
    """An hour to three years, 5 % to 400 %, and as far out as ten deviations, where a wei is all there is."""
    time_s = dice.choice([dice.randint(3600, 90 * DAY_S), dice.randint(3600, 3 * YEAR_S)])
    vol_wad = int(dice.uniform(0.05, 4) * WAD)
    strike_wad = int(10 ** dice.uniform(-1, 5) * WAD)
    out = dice.uniform(-10, 10) * vol_wad / WAD * (time_s / YEAR_S) ** 0.5
    return {
        "timeToExpirySec": time_s,
        "volatilityDecimal": vol_wad,
        "spotDecimal": int(strike_wad * math.exp(max(-4.0, min(4.0, out)))),
        "strikePriceDecimal": strike_wad,
        "rateDecimal": int(dice.uniform(-0.1, 0.3) * WAD),
    }


def test_prices_delta_vega_and_standard_vega_are_the_contracts(chain: Localnet, library: Contract) -> None:
    dice = random.Random(8)
    cases = [_case(dice) for _ in range(CASES)]
    answers = chain.chain.ask([Request(library, "pricesDeltaStdVega_pub", (case,)) for case in cases])
    worst = dict.fromkeys(("price", "delta", "vega", "stdVega"), 0.0)
    for case, answer in zip(cases, answers, strict=True):
        says = cast(dict[str, int], answer[0])
        time_s = case["timeToExpirySec"]
        spot, strike, vol, rate = (
            case[name] / WAD
            for name in ("spotDecimal", "strikePriceDecimal", "volatilityDecimal", "rateDecimal")
        )
        call, put = (black.value(kind, spot, strike, time_s, vol, rate) for kind in (CALL, PUT))
        # Lyra's standard vega: per 1 % of volatility, as of thirty days, in whole days and of at least a week
        standard = float(call.vega) * math.sqrt(30 / max(time_s // DAY_S, 7)) / 100
        errors = {
            "price": max(
                abs(float(call.price) - says["callPrice"] / WAD),
                abs(float(put.price) - says["putPrice"] / WAD),
            )
            / (spot + strike),
            "delta": max(
                abs(float(call.delta) - says["callDelta"] / WAD),
                abs(float(put.delta) - says["putDelta"] / WAD),
            ),
            "vega": abs(float(call.vega) - says["vega"] / WAD) / spot,
            "stdVega": abs(standard - says["stdVega"] / WAD) / spot,
        }
        for name, error in errors.items():
            worst[name] = max(worst[name], error)
    print({name: f"{error:.1e}" for name, error in worst.items()})
    assert {name: error for name, error in worst.items() if error > 1e-14} == {}


def test_the_volatility_implied_by_the_contracts_price_is_the_one_it_was_given(
    chain: Localnet, library: Contract
) -> None:
    """To the rounding of the price, where vega is a hundredth of spot or more."""
    dice, seen = random.Random(9), 0
    cases = [_case(dice) for _ in range(CASES // 4)]
    answers = chain.chain.ask([Request(library, "optionPrices_pub", (case,)) for case in cases])
    for case, (call_wad, put_wad) in zip(cases, answers, strict=True):
        spot, strike, vol, rate = (
            case[name] / WAD
            for name in ("spotDecimal", "strikePriceDecimal", "volatilityDecimal", "rateDecimal")
        )
        kind, price_wad = (CALL, call_wad) if spot < strike else (PUT, put_wad)
        vega = float(black.value(kind, spot, strike, case["timeToExpirySec"], vol, rate).vega)
        if vega < 1e-2 * spot:
            continue
        price = cast(int, price_wad) / WAD
        back = implied.volatility_of(kind, price, spot, strike, case["timeToExpirySec"], rate)
        assert back == pytest.approx(vol, abs=1e-14 * (spot + strike) / vega)
        seen += 1
    assert seen > 20
