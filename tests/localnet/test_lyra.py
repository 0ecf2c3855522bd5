"""The Lyra venue against Lyra's own contracts."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from math import exp
from typing import cast

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from agent.chain.lens import read_one
from agent.chain.rpc import Rpc
from agent.errors import ContractMismatch, PlanInfeasible, ReadReverted, TransactionReverted, VenueUnknown
from agent.market.instrument import Option, Spot
from agent.market.intent import Action, AddCollateral, Order, Reduce, RemoveCollateral, Trade
from agent.market.position import Position
from agent.market.vol import VolSource
from agent.pricing import surface
from agent.pricing.arbitrage import has_no_butterfly, has_no_calendar
from agent.risk.liquidation import solve_price
from agent.risk.remedy import collateral_to
from agent.runtime.prove import prove
from agent.sim import depth
from agent.sim.contract import Contract
from agent.sim.deploy.lyra import BASE_KEY
from agent.sim.localnet import Localnet
from agent.sim.toolchain import Toolchain
from agent.values.address import Address
from agent.values.check import Check
from agent.values.fixed import DAY_S, WAD, YEAR_S, mul_down
from agent.venues.lyra import Lyra
from agent.venues.lyra.margin import OptionType, ShortOption
from agent.venues.lyra.premium import call_delta, curve, premiums, vega
from agent.venues.lyra.state import LyraState
from agent.venues.lyra.writer import closing

ACTIVE, LIQUIDATED = 1, 3
FORCED, ORDINARY = "forceClosePosition", "closePosition"
HOUR_S = 3600
SHORT_TYPES = [OptionType.SHORT_CALL_BASE, OptionType.SHORT_CALL_QUOTE, OptionType.SHORT_PUT_QUOTE]
ON_CHAIN = settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(scope="module")
def rpc(localnet: Localnet) -> Iterator[Rpc]:
    connection = Rpc(localnet.url)
    yield connection
    connection.close()


@pytest.fixture(scope="module")
def template(localnet: Localnet, rpc: Rpc) -> ShortOption:
    """Some short of the book, to be changed into any other."""
    return _shorts(_read(localnet, rpc))[0]


@pytest.fixture(scope="module")
def contract_judges(localnet: Localnet) -> Callable[[ShortOption, int], tuple[int, bool]]:
    """The contracts' minimum for a short at a spot price, and whether it is liquidatable there.

    A function, because Hypothesis prints the arguments of its tests and a chain is long to print.
    """

    def judge(short: ShortOption, spot_wad: int) -> tuple[int, bool]:
        return _contract_minimum(localnet, short, spot_wad), _contract_says(localnet, short, spot_wad)

    return judge


@pytest.fixture
def library(reference: Contract) -> Callable[[dict[str, int]], dict[str, int]]:
    """Prices and Greeks by the contracts' own library."""
    return lambda terms: cast(dict[str, int], reference.call("pricesDeltaStdVega_pub", terms)[0])


@pytest.fixture
def reference(chain: Localnet, toolchain: Toolchain) -> Contract:
    """The package's own window on its pricing library."""
    owner = chain.roles["owner"]
    library = chain.chain.deploy(owner, toolchain.artifact("lyra", "BlackScholes"))
    return chain.chain.deploy(
        owner, toolchain.artifact("lyra", "TestBlackScholes"), libraries={"BlackScholes": library.address}
    )


def _venue(net: Localnet) -> Lyra:
    deployment = net.deployment().lyra
    assert deployment is not None
    return Lyra(deployment)


def _read(net: Localnet, rpc: Rpc, account: str | None = None) -> LyraState:
    block = rpc.block("latest")
    return read_one(rpc, block, _venue(net).read(Address(account or net.book.account), block))


def _order(net: Localnet, state: LyraState, action: Action) -> Order:
    return _venue(net).write(state, action, net.book.account, state.standing.at_s + 120)


def _execute(net: Localnet, rpc: Rpc, order: Order, account: str | None = None) -> None:
    """Prove the preconditions, send the calls one by one, prove the postconditions."""
    assert _broken(rpc, order.pre) == []
    for call in order.calls:
        net.chain.send(account or net.book.account, call.target, call.data, call.label)
    assert _broken(rpc, order.post) == []


def _broken(rpc: Rpc, checks: tuple[Check, ...]) -> list[str]:
    """The names of the checks that do not hold now."""
    assert checks
    block = rpc.block("latest")
    proofs = read_one(rpc, block, prove(checks, block, native_wei=0))
    return [proof.name for proof in proofs if not proof.kept]


def _shorts(state: LyraState) -> list[ShortOption]:
    return [cast(ShortOption, margin) for margin in state.margins]


def _short(state: LyraState, option_type: OptionType) -> ShortOption:
    return next(short for short in _shorts(state) if short.option_type is option_type)


def _position(state: LyraState, key: str) -> Position:
    return next(position for position in state.positions if position.key == key)


def _struct(short: ShortOption) -> dict[str, int]:
    """As OptionToken.canLiquidate takes it."""
    return {
        "positionId": short.position_id,
        "strikeId": 1,
        "optionType": int(short.option_type),
        "amount": short.amount_wad,
        "collateral": short.collateral_wad,
        "state": ACTIVE,
    }


def _contract_minimum(net: Localnet, short: ShortOption, spot_wad: int) -> int:
    return net.lyra.greek_cache.integer(
        "getMinCollateral",
        int(short.option_type),
        short.strike_wad,
        short.expiry_s,
        spot_wad,
        short.amount_wad,
    )


def _contract_says(net: Localnet, short: ShortOption, spot_wad: int) -> bool:
    return net.lyra.option_token.truth(
        "canLiquidate", _struct(short), short.expiry_s, short.strike_wad, spot_wad
    )


def _flip_wad(short: ShortOption, at_s: int) -> int:
    """The last price at which the account still stands; a wei further (down for puts) it can be taken."""
    spot_wad = short.prices[short.market]
    stands, falls = spot_wad, 1 if short.option_type is OptionType.SHORT_PUT_QUOTE else 10 * spot_wad
    assert short.is_liquidatable({short.market: falls}, at_s)
    assert not short.is_liquidatable({short.market: stands}, at_s)
    while abs(stands - falls) > 1:
        middle = (stands + falls) // 2
        if short.is_liquidatable({short.market: middle}, at_s):
            falls = middle
        else:
            stands = middle
    return stands


def _beyond(short: ShortOption, flip_wad: int) -> int:
    return flip_wad - 1 if short.option_type is OptionType.SHORT_PUT_QUOTE else flip_wad + 1


# --- the formula -----------------------------------------------------------------------------------


@ON_CHAIN
@given(
    option_type=st.sampled_from(SHORT_TYPES),
    strike_wad=st.integers(WAD // 1000, 50_000 * WAD),
    spot_per_strike=st.floats(0.02, 50),
    time_s=st.one_of(st.integers(1, HOUR_S), st.integers(1, 120 * DAY_S)),
    amount_wad=st.integers(0, 10**5 * WAD),
)
@example(OptionType.SHORT_PUT_QUOTE, 2000 * WAD, 1.0, 14 * DAY_S, WAD)
@example(OptionType.SHORT_PUT_QUOTE, 2000 * WAD, 1.0, 56 * DAY_S, WAD)
@example(OptionType.SHORT_CALL_BASE, 2000 * WAD, 1.0, 1, WAD)
@example(OptionType.SHORT_CALL_QUOTE, 2000 * WAD, 1e6, 30 * DAY_S, WAD)
@example(OptionType.SHORT_PUT_QUOTE, 2000 * WAD, 1e-12, 30 * DAY_S, WAD)
def test_the_requirement_is_the_contracts_minimum_to_the_wei(
    contract_judges: Callable[[ShortOption, int], tuple[int, bool]],
    template: ShortOption,
    option_type: OptionType,
    strike_wad: int,
    spot_per_strike: float,
    time_s: int,
    amount_wad: int,
) -> None:
    spot_wad = max(1, int(strike_wad * spot_per_strike))
    short = replace(
        template,
        option_type=option_type,
        strike_wad=strike_wad,
        expiry_s=template.at_s + time_s,
        amount_wad=amount_wad,
    )
    expected_wad, _ = contract_judges(short, spot_wad)
    assert short.requirement_wad({short.market: spot_wad}, short.at_s) == expected_wad
    for collateral_wad in (expected_wad, max(0, expected_wad - 1)):
        posted = replace(short, collateral_wad=collateral_wad)
        _, is_liquidatable = contract_judges(posted, spot_wad)
        assert posted.is_liquidatable({short.market: spot_wad}, short.at_s) is is_liquidatable


def test_the_shock_volatility_is_the_contracts(localnet: Localnet, template: ShortOption) -> None:
    for time_s in (0, 1, 14 * DAY_S, 14 * DAY_S + 1, 33 * DAY_S + 7, 56 * DAY_S - 1, 56 * DAY_S, 90 * DAY_S):
        assert template.terms.shock_vol_wad(time_s) == localnet.lyra.greek_cache.integer(
            "getShockVol", time_s
        )


@settings(ON_CHAIN, max_examples=150)
@given(seed=st.integers(0, 2**32))
@example(seed=0)
def test_premiums_delta_and_vega_are_the_librarys_to_the_wei(
    library: Callable[[dict[str, int]], dict[str, int]], seed: int
) -> None:
    """Prices go up to where a wei of the answer shows the last of the library's 27 places."""
    dice = random.Random(seed)
    strike_wad = int(10 ** dice.choice([dice.uniform(-2, 5), dice.uniform(5, 17)]) * WAD)
    time_s = dice.choice([0, 1, dice.randint(1, HOUR_S), dice.randint(1, 3 * 365 * DAY_S)])
    vol_wad = int(10 ** dice.uniform(-5, 1) * WAD)
    deviations = dice.uniform(-12, 12) * vol_wad / WAD * (time_s / YEAR_S) ** 0.5
    log_moneyness = dice.choice([dice.uniform(-4, 4), deviations])
    spot_wad = int(strike_wad * exp(max(-4.0, min(4.0, log_moneyness))))
    rate_wad = int(dice.uniform(-0.2, 0.5) * WAD)
    given_terms = {
        "timeToExpirySec": time_s,
        "volatilityDecimal": vol_wad,
        "spotDecimal": spot_wad,
        "strikePriceDecimal": strike_wad,
        "rateDecimal": rate_wad,
    }
    says = library(given_terms)
    option = curve(strike_wad, time_s, vol_wad, rate_wad)
    assert premiums(option, spot_wad) == (says["callPrice"], says["putPrice"])
    assert call_delta(option, spot_wad) == says["callDelta"]
    assert vega(option, spot_wad, time_s) == says["vega"]


# --- reading ---------------------------------------------------------------------------------------


def test_the_contracts_are_recognised_and_their_tokens_named(localnet: Localnet, rpc: Rpc) -> None:
    quote, base = read_one(rpc, rpc.block("latest"), _venue(localnet).identify())
    assert (quote.address, quote.symbol, quote.decimals) == (localnet.lyra.quote.address, "sUSD", 18)
    assert (base.address, base.symbol, base.decimals) == (localnet.lyra.base.address, "sETH", 18)


@pytest.mark.parametrize(
    "field",
    [
        "option_market",
        "option_token",
        "greek_cache",
        "short_collateral",
        "viewer",
        "liquidity_pool",
        "pricer",
        "synthetix_adapter",
        "quote_token",
        "base_token",
    ],
)
def test_another_contract_in_any_place_is_refused_by_its_address(
    localnet: Localnet, rpc: Rpc, field: str
) -> None:
    deployment = _venue(localnet).deployment
    strangers = {
        "nobody": localnet.roles["keeper"],
        "a token": localnet.uniswap.pool.address,
        "another of Lyra's": localnet.lyra.registry.address,
    }
    for stranger in strangers.values():
        wrong = Lyra(deployment.model_copy(update={field: stranger}))
        with pytest.raises(ContractMismatch, match=stranger):
            read_one(rpc, rpc.block("latest"), wrong.identify())


def test_the_book_is_read_as_it_was_opened(localnet: Localnet, rpc: Rpc) -> None:
    state = _read(localnet, rpc)
    raw = cast(
        list[dict[str, int]],
        localnet.lyra.option_token.records("getOwnerPositions", localnet.book.account),
    )
    assert [h.position_id for h in state.holdings] == list(localnet.book.option_ids)
    assert [(s.key, s.collateral_wad, s.amount_wad) for s in _shorts(state)] == [
        (f"lyra:{p['positionId']}", p["collateral"], p["amount"]) for p in raw
    ]
    assert [q.mark_wad for q in state.quotes] == [localnet.spot_wad()]
    assert state.offers == ()
    options = [p for p in state.positions if isinstance(p.instrument, Option)]
    assert [p.size_wad for p in options] == [-p["amount"] for p in raw]
    for short in _shorts(state):
        strike = next(s for s in localnet.strikes if s.strike_id == state.holding(short.key).strike_id)
        assert (short.strike_wad, short.expiry_s) == (strike.strike_wad, strike.expiry_s)


def test_collateral_in_the_asset_counts_once_as_delta(localnet: Localnet, rpc: Rpc) -> None:
    state = _read(localnet, rpc)
    call = _short(state, OptionType.SHORT_CALL_BASE)
    collateral = [p for p in state.positions if isinstance(p.instrument, Spot)]
    assert [(p.key, p.size_wad, p.value_wad) for p in collateral] == [
        (f"{call.key}:collateral", call.collateral_wad, 0)
    ]
    assert collateral[0].greeks.delta == pytest.approx(call.collateral_wad / WAD)
    assert call.equity_wad(call.prices, call.at_s) == call.collateral_wad


def test_greeks_and_marks_are_the_librarys_at_the_markets_volatility(
    chain: Localnet, rpc: Rpc, library: Callable[[dict[str, int]], dict[str, int]]
) -> None:
    state = _read(chain, rpc)
    for holding in state.holdings:
        says = library(
            {
                "timeToExpirySec": holding.expiry_s - state.standing.at_s,
                "volatilityDecimal": mul_down(holding.base_iv_wad, holding.skew_wad),
                "spotDecimal": chain.spot_wad(),
                "strikePriceDecimal": holding.strike_wad,
                "rateDecimal": WAD // 20,
            }
        )
        position = _position(state, holding.key)
        is_put = holding.option_type is OptionType.SHORT_PUT_QUOTE
        size = holding.amount_wad / WAD
        assert position.mark_wad == says["putPrice" if is_put else "callPrice"]
        delta = says["putDelta" if is_put else "callDelta"] / WAD
        assert position.greeks.delta == pytest.approx(-size * delta, abs=1e-9 * size)
        assert position.greeks.vega == pytest.approx(-size * says["vega"] / WAD, rel=1e-8)
        assert position.greeks.gamma < 0 < position.greeks.theta
        assert -position.value_wad == -(-holding.amount_wad * position.mark_wad // WAD)


def test_greeks_agree_with_the_markets_cache_once_its_averages_have_settled(
    chain: Localnet, rpc: Rpc
) -> None:
    """The cache uses time-averaged volatilities; left alone for four days they are the present ones."""
    chain.node.warp(4 * DAY_S)
    state = _read(chain, rpc)
    owner = chain.roles["owner"]
    for board_id in {s.board_id for s in chain.strikes}:
        chain.lyra.greek_cache.send(owner, "updateBoardCachedGreeks", board_id)
    for holding in state.holdings:
        cache = cast(
            dict[str, dict[str, int]], chain.lyra.greek_cache.record("getStrikeCache", holding.strike_id)
        )["greeks"]
        is_put = holding.option_type is OptionType.SHORT_PUT_QUOTE
        position = _position(state, holding.key)
        size = holding.amount_wad / WAD
        expected = cache["putDelta" if is_put else "callDelta"] / WAD
        assert -position.greeks.delta / size == pytest.approx(expected, abs=2e-4)
        expected = cache["putPrice" if is_put else "callPrice"] / WAD
        assert position.mark_wad / WAD == pytest.approx(expected, rel=2e-3)


def test_a_long_is_a_position_without_a_margin_account(chain: Localnet, rpc: Rpc) -> None:
    strike = depth.strike_at(list(chain.strikes), 100, 28)
    key = f"lyra:{depth.open_option(chain.lyra, chain.book.account, strike, depth.LONG_PUT, 2 * WAD)}"
    state = _read(chain, rpc)
    position = _position(state, key)
    assert position.size_wad == 2 * WAD
    assert position.greeks.delta < 0 < position.greeks.gamma
    assert position.value_wad == 2 * position.mark_wad > 0
    assert key not in [margin.key for margin in state.margins]


def test_an_account_without_options_has_an_empty_state(localnet: Localnet, rpc: Rpc) -> None:
    state = _read(localnet, rpc, localnet.roles["keeper"])
    assert (state.positions, state.margins, len(state.quotes)) == ((), (), 1)


def test_a_paused_market_is_read_and_nothing_is_removable(chain: Localnet, rpc: Rpc) -> None:
    adapter, owner = chain.lyra.synthetix_adapter, chain.roles["owner"]
    before = _read(chain, rpc)
    for pause in (
        ("setMarketPaused", chain.lyra.option_market.address, True),
        ("setGlobalPaused", True),
    ):
        adapter.send(owner, *pause)
        state = _read(chain, rpc)
        assert state.quotes == before.quotes
        assert [s.removable_wad for s in _shorts(state)] == [0, 0, 0]
        assert min(s.removable_wad for s in _shorts(before)) > 0
        with pytest.raises(PlanInfeasible, match="paused"):
            _order(chain, state, RemoveCollateral("lyra", state.margins[0].key, WAD))


def test_a_price_that_the_oracle_calls_invalid_is_an_error_that_says_so(chain: Localnet, rpc: Rpc) -> None:
    rates = chain.lyra.exchange_rates
    rates.send(chain.roles["owner"], "setRateAndInvalid", BASE_KEY, chain.spot_wad(), True)
    with pytest.raises(ReadReverted, match="RateIsInvalid"):
        _read(chain, rpc)


# --- the flip --------------------------------------------------------------------------------------


@pytest.mark.parametrize("option_type", SHORT_TYPES)
def test_risks_liquidation_price_is_where_the_contract_flips_to_the_wei(
    localnet: Localnet, rpc: Rpc, option_type: OptionType
) -> None:
    short = _short(_read(localnet, rpc), option_type)
    is_put = option_type is OptionType.SHORT_PUT_QUOTE
    flip = solve_price(short, short.market, "down" if is_put else "up")
    assert flip is not None
    assert flip.tolerance_wad == 1
    assert _contract_says(localnet, short, flip.price_wad)
    assert not _contract_says(localnet, short, flip.price_wad + (1 if is_put else -1))
    assert solve_price(short, short.market, "up" if is_put else "down") is None


def test_the_collateral_that_risk_asks_for_makes_the_contract_content_that_far_away(
    chain: Localnet, rpc: Rpc
) -> None:
    state = _read(chain, rpc)
    for short in _shorts(state):
        need_wad = collateral_to(short, 0.22)
        if need_wad > 0:
            _execute(chain, rpc, _order(chain, state, AddCollateral("lyra", short.key, need_wad)))
        else:
            _execute(chain, rpc, _order(chain, state, RemoveCollateral("lyra", short.key, -need_wad)))
    for before, after in zip(_shorts(state), _shorts(_read(chain, rpc)), strict=True):
        assert after.collateral_wad != before.collateral_wad
        spot_wad = after.prices[after.market]
        assert not _contract_says(chain, after, spot_wad * 78 // 100)
        assert not _contract_says(chain, after, spot_wad * 122 // 100)
        worse = 77 if after.option_type is OptionType.SHORT_PUT_QUOTE else 123
        assert _contract_says(chain, after, spot_wad * worse // 100)


@pytest.mark.parametrize("option_type", SHORT_TYPES)
def test_the_liquidator_is_refused_on_our_side_of_the_flip_and_served_beyond(
    chain: Localnet, rpc: Rpc, option_type: OptionType
) -> None:
    short = _short(_read(chain, rpc), option_type)
    liquidator, market = chain.roles["liquidator"], chain.lyra.option_market
    # Two blocks set the price on both oracles; the third holds the liquidation.
    flip_wad = _flip_wad(short, short.at_s + 3 * 12)
    chain.set_spot(flip_wad)
    # A block earlier the flip was elsewhere, so the refusal is asked for once more at the block it came in.
    with pytest.raises(TransactionReverted):
        market.send(liquidator, "liquidatePosition", short.position_id, liquidator)
    with pytest.raises(ReadReverted, match="PositionNotLiquidatable"):
        market.call("liquidatePosition", short.position_id, liquidator, sender=liquidator)
    now_s = chain.node.now_s()
    assert now_s == short.at_s + 3 * 12
    flip_wad = _flip_wad(short, now_s + 3 * 12)
    chain.set_spot(_beyond(short, flip_wad))
    receipt = market.send(liquidator, "liquidatePosition", short.position_id, liquidator)
    updates = chain.lyra.option_token.events(receipt.logs, "PositionUpdated")
    assert [cast(dict[str, int], update["position"])["state"] for update in updates] == [LIQUIDATED]
    assert short.key not in [margin.key for margin in _read(chain, rpc).margins]


@pytest.mark.parametrize("option_type", SHORT_TYPES)
def test_the_flip_moves_with_time_as_the_contract_does(
    chain: Localnet, rpc: Rpc, option_type: OptionType
) -> None:
    short = _short(_read(chain, rpc), option_type)
    moved = set()
    for later_s in (DAY_S, 5 * DAY_S, 13 * DAY_S):
        chain.node.set_next_timestamp(short.at_s + later_s)
        chain.node.mine()
        flip_wad = _flip_wad(short, short.at_s + later_s)
        moved.add(flip_wad)
        assert not _contract_says(chain, short, flip_wad)
        assert _contract_says(chain, short, _beyond(short, flip_wad))
        for spot_wad in (flip_wad, _beyond(short, flip_wad)):
            predicted_wad = short.requirement_wad({short.market: spot_wad}, short.at_s + later_s)
            assert predicted_wad == _contract_minimum(chain, short, spot_wad)
    assert len(moved) == 3


def test_an_expired_short_can_no_longer_be_liquidated(chain: Localnet, rpc: Rpc) -> None:
    short = _short(_read(chain, rpc), OptionType.SHORT_PUT_QUOTE)
    chain.set_spot(chain.spot_wad() // 2)
    chain.node.warp(short.expiry_s - chain.node.now_s() - 24)
    assert short.is_liquidatable({short.market: chain.spot_wad()}, chain.node.now_s())
    chain.node.warp(24)
    assert not short.is_liquidatable({short.market: chain.spot_wad()}, chain.node.now_s())
    liquidator = chain.roles["liquidator"]
    with pytest.raises(TransactionReverted, match="BoardExpired"):
        chain.lyra.option_market.send(liquidator, "liquidatePosition", short.position_id, liquidator)


# --- writing ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("option_type", SHORT_TYPES)
def test_collateral_paid_in_is_read_back(chain: Localnet, rpc: Rpc, option_type: OptionType) -> None:
    state = _read(chain, rpc)
    short = _short(state, option_type)
    amount_wad = WAD // 2
    token = chain.lyra.base if option_type is OptionType.SHORT_CALL_BASE else chain.lyra.quote
    before = token.integer("balanceOf", chain.book.account)
    _execute(chain, rpc, _order(chain, state, AddCollateral("lyra", short.key, amount_wad)))
    after = _short(_read(chain, rpc), option_type)
    assert after.collateral_wad == short.collateral_wad + amount_wad
    assert before - token.integer("balanceOf", chain.book.account) == amount_wad


@pytest.mark.parametrize("option_type", SHORT_TYPES)
def test_collateral_taken_out_is_in_the_wallet(chain: Localnet, rpc: Rpc, option_type: OptionType) -> None:
    state = _read(chain, rpc)
    short = _short(state, option_type)
    token = chain.lyra.base if option_type is OptionType.SHORT_CALL_BASE else chain.lyra.quote
    before = token.integer("balanceOf", chain.book.account)
    amount_wad = short.removable_wad * 99 // 100
    _execute(chain, rpc, _order(chain, state, RemoveCollateral("lyra", short.key, amount_wad)))
    after = _short(_read(chain, rpc), option_type)
    assert after.collateral_wad == short.collateral_wad - amount_wad
    assert token.integer("balanceOf", chain.book.account) - before == amount_wad


@pytest.mark.parametrize("option_type", SHORT_TYPES)
def test_the_contract_gives_what_is_removable_and_not_a_wei_more(
    chain: Localnet, rpc: Rpc, option_type: OptionType
) -> None:
    state = _read(chain, rpc)
    chain.node.set_interval(0)  # the next block has this one's time, so that the model is exact there
    short = _short(state, option_type)
    try:
        with pytest.raises(TransactionReverted, match="MinimumCollateralNotBeingMet"):
            _execute(
                chain, rpc, _order(chain, state, RemoveCollateral("lyra", short.key, short.removable_wad + 1))
            )
        _execute(chain, rpc, _order(chain, state, RemoveCollateral("lyra", short.key, short.removable_wad)))
    finally:
        chain.node.set_interval(12)


def test_a_missing_allowance_is_given_exactly_and_used_up(chain: Localnet, rpc: Rpc) -> None:
    account, market = chain.book.account, chain.lyra.option_market
    for token in (chain.lyra.quote, chain.lyra.base):
        token.send(account, "approve", market.address, 0)
    state = _read(chain, rpc)
    for short in _shorts(state):
        _execute(chain, rpc, _order(chain, state, AddCollateral("lyra", short.key, WAD // 4)))
    for token in (chain.lyra.quote, chain.lyra.base):
        assert token.integer("allowance", account, market.address) == 0


@pytest.mark.parametrize("option_type", SHORT_TYPES)
@pytest.mark.parametrize("share", [3, 1])
def test_a_reduction_closes_what_it_says_within_its_cost(
    chain: Localnet, rpc: Rpc, option_type: OptionType, share: int
) -> None:
    state = _read(chain, rpc)
    short = _short(state, option_type)
    size_wad = short.amount_wad // share
    most_wad = mul_down(size_wad, _position(state, short.key).mark_wad) * 5 // 4
    quote, base, account = chain.lyra.quote, chain.lyra.base, chain.book.account
    quote_before, base_before = quote.integer("balanceOf", account), base.integer("balanceOf", account)
    _execute(chain, rpc, _order(chain, state, Reduce("lyra", short.key, size_wad, most_wad)))
    paid_wad = quote_before - quote.integer("balanceOf", account)
    got_base_wad = base.integer("balanceOf", account) - base_before
    left = {s.key: s for s in _shorts(_read(chain, rpc))}
    if share > 1:
        assert left[short.key].amount_wad == short.amount_wad - size_wad
        assert left[short.key].collateral_wad == short.collateral_wad
        assert 0 < paid_wad <= most_wad
        assert got_base_wad == 0
    else:
        assert short.key not in left
        if option_type is OptionType.SHORT_CALL_BASE:
            assert 0 < paid_wad <= most_wad
            assert got_base_wad == short.collateral_wad
        else:
            assert 0 < paid_wad + short.collateral_wad <= most_wad
            assert got_base_wad == 0


def test_a_reduction_that_would_cost_more_is_refused_by_the_contract(chain: Localnet, rpc: Rpc) -> None:
    state = _read(chain, rpc)
    short = _short(state, OptionType.SHORT_PUT_QUOTE)
    most_wad = mul_down(short.amount_wad, _position(state, short.key).mark_wad)  # leaves nothing for fees
    order = _order(chain, state, Reduce("lyra", short.key, short.amount_wad, most_wad))
    with pytest.raises(TransactionReverted, match="TotalCostOutsideOfSpecifiedBounds"):
        _execute(chain, rpc, order)


def test_a_long_is_sold_for_near_its_mark(chain: Localnet, rpc: Rpc) -> None:
    strike = depth.strike_at(list(chain.strikes), 100, 28)
    key = f"lyra:{depth.open_option(chain.lyra, chain.book.account, strike, depth.LONG_PUT, 2 * WAD)}"
    state = _read(chain, rpc)
    mark_wad = 2 * _position(state, key).mark_wad
    before = chain.lyra.quote.integer("balanceOf", chain.book.account)
    _execute(chain, rpc, _order(chain, state, Reduce("lyra", key, 2 * WAD, mark_wad * 11 // 10)))
    got_wad = chain.lyra.quote.integer("balanceOf", chain.book.account) - before
    assert mark_wad * 9 // 10 <= got_wad < mark_wad
    with pytest.raises(VenueUnknown, match=key):
        _read(chain, rpc).holding(key)


@pytest.mark.parametrize("percent", [70, 78, 84, 88, 92, 96, 100, 104, 110, 118, 130, 150])
def test_the_way_to_close_is_the_one_the_pricer_takes(chain: Localnet, rpc: Rpc, percent: int) -> None:
    """Where an ordinary close is chosen it goes through; where a forced one is, the ordinary would not."""
    chain.set_spot(chain.spot_wad() * percent // 100)
    state = _read(chain, rpc)
    market, account = chain.lyra.option_market, chain.book.account
    for short in _shorts(state):
        holding = state.holding(short.key)
        way = closing(state, holding, short.amount_wad)
        order = _order(chain, state, Reduce("lyra", short.key, short.amount_wad, 10**6 * WAD))
        assert order.calls[-1].label == f"lyra.{way}"
        trade = {
            "strikeId": holding.strike_id,
            "positionId": holding.position_id,
            "iterations": 1,
            "optionType": int(holding.option_type),
            "amount": holding.amount_wad,
            "setCollateralTo": 0,
            "minTotalCost": 0,
            "maxTotalCost": 10**6 * WAD,
        }
        if way == FORCED:
            with pytest.raises(ReadReverted, match="TradeDeltaOutOfRange"):
                market.call(ORDINARY, trade, sender=account)
        market.call(way, trade, sender=account)


def test_near_expiry_only_a_forced_close_is_left_and_works(chain: Localnet, rpc: Rpc) -> None:
    short = _short(_read(chain, rpc), OptionType.SHORT_PUT_QUOTE)
    chain.set_spot(short.strike_wad)  # a delta that an ordinary close would be taken at
    chain.node.warp(short.expiry_s - chain.node.now_s() - 11 * HOUR_S)
    state = _read(chain, rpc)
    order = _order(chain, state, Reduce("lyra", short.key, short.amount_wad, 10**6 * WAD))
    assert order.calls[-1].label == f"lyra.{FORCED}"
    _execute(chain, rpc, order)


# --- after expiry ----------------------------------------------------------------------------------


@pytest.mark.parametrize("percent", [60, 85, 100, 108, 125, 160])
def test_settled_options_are_worth_what_settling_pays(chain: Localnet, rpc: Rpc, percent: int) -> None:
    last_s = max(s.expiry_s for s in _shorts(_read(chain, rpc)))
    chain.node.warp(last_s - chain.node.now_s() + 60)
    chain.set_spot(chain.spot_wad() * percent // 100)
    owner, account = chain.roles["owner"], chain.book.account
    expired = _read(chain, rpc)
    for board_id in cast(list[int], chain.lyra.option_market.call("getLiveBoards")[0]):
        chain.lyra.option_market.send(owner, "settleExpiredBoard", board_id)
    chain.set_spot(chain.spot_wad() * 103 // 100)  # what comes after does not matter to what is owed
    settled = _read(chain, rpc)
    assert expired.margins == settled.margins == ()
    tokens = (chain.lyra.quote, chain.lyra.base)
    before = [token.integer("balanceOf", account) for token in tokens]
    ids = [holding.position_id for holding in settled.holdings]
    chain.lyra.short_collateral.send(owner, "settleOptions", ids)
    quote_wad, base_wad = (t.integer("balanceOf", account) - b for t, b in zip(tokens, before, strict=True))
    options = [p for p in settled.positions if isinstance(p.instrument, Option)]
    asset = [p for p in settled.positions if isinstance(p.instrument, Spot)]
    assert sum(p.value_wad for p in options) == pytest.approx(quote_wad, abs=len(options))
    assert sum(p.size_wad for p in asset) == pytest.approx(base_wad, abs=1)
    assert sum(p.greeks.delta for p in settled.positions) == pytest.approx(base_wad / WAD)
    # Between expiry and settlement the price at which it will settle is still open: the claim is the same.
    value_wad = sum(p.value_wad for p in expired.positions)
    total_wad = quote_wad + mul_down(base_wad, expired.standing.spot_wad)
    assert value_wad == pytest.approx(total_wad, rel=0.01)  # the settlement fee on the asset


def test_collateral_for_an_expired_option_is_refused_before_the_contract_would_take_it(
    chain: Localnet, rpc: Rpc
) -> None:
    state = _read(chain, rpc)
    short = _short(state, OptionType.SHORT_PUT_QUOTE)
    early = _order(chain, state, AddCollateral("lyra", short.key, WAD))
    chain.node.warp(short.expiry_s - chain.node.now_s() - 1)
    assert _broken(rpc, early.pre) == []
    chain.node.warp(1)
    assert _broken(rpc, early.pre) == [f"{short.key} has not expired"]
    for action in (
        AddCollateral("lyra", short.key, WAD),
        RemoveCollateral("lyra", short.key, WAD),
        Reduce("lyra", short.key, WAD, WAD),
    ):
        with pytest.raises(PlanInfeasible, match="expired"):
            _order(chain, _read(chain, rpc), action)
    # The contract itself would let the money go into the dead option.
    for call in early.calls:
        chain.chain.send(chain.book.account, call.target, call.data, call.label)


def test_what_lyra_cannot_do_is_said(localnet: Localnet, rpc: Rpc) -> None:
    state = _read(localnet, rpc)
    with pytest.raises(VenueUnknown, match="Trade"):
        _order(localnet, state, Trade("lyra", state.standing.market, WAD, WAD))
    with pytest.raises(VenueUnknown, match="lyra:9999"):
        _order(localnet, state, AddCollateral("lyra", "lyra:9999", WAD))
    with pytest.raises(PlanInfeasible, match="cannot give"):
        _order(localnet, state, RemoveCollateral("lyra", state.margins[0].key, 10**9 * WAD))


# --- volatilities ----------------------------------------------------------------------------------


def test_every_live_strike_is_quoted_at_the_markets_own_volatility(localnet: Localnet, rpc: Rpc) -> None:
    state = _read(localnet, rpc)
    assert isinstance(state, VolSource)
    quoted = {(quote.expiry_s, quote.strike): quote.iv for quote in state.vol_quotes}
    listed = {
        (strike.expiry_s, strike.strike_wad / WAD): _market_vol(localnet, strike.strike_id)
        for strike in localnet.strikes
    }
    assert len(quoted) == len(depth.BOARD_DAYS) * len(depth.STRIKE_LEVELS_PCT)
    assert quoted == pytest.approx(listed, abs=1e-15)
    held = {(holding.expiry_s, holding.strike_wad / WAD): holding.vol_wad for holding in state.holdings}
    assert {key: quoted[key] for key in held} == pytest.approx({k: v / WAD for k, v in held.items()})


def test_the_real_boards_fit_to_a_surface_without_arbitrage(localnet: Localnet, rpc: Rpc) -> None:
    state = _read(localnet, rpc)
    found = surface.fit(state.vol_quotes, state.standing.at_s)
    for expiry in found.expiries:
        quality = expiry.quality
        assert (quality.kind, quality.quotes) == (surface.Kind.SVI, len(depth.STRIKE_LEVELS_PCT))
        assert quality.rmse_points < 0.5
        assert quality.max_error_points < 1.0
        assert has_no_butterfly(expiry.smile)
    for earlier, later in pairwise(found.expiries):
        assert has_no_calendar(earlier.smile, later.smile)
    for holding in state.holdings:
        answer = found.vol(holding.strike_wad / WAD, holding.expiry_s)
        assert float(answer.iv) == pytest.approx(holding.vol_wad / WAD, abs=0.01)


def test_a_frozen_or_expired_board_quotes_nothing(chain: Localnet, rpc: Rpc) -> None:
    boards = sorted({(strike.expiry_s, strike.board_id) for strike in chain.strikes})
    (first_s, _), (_, frozen_id), (last_s, _) = boards
    chain.lyra.option_market.send(chain.roles["owner"], "setBoardFrozen", frozen_id, True)
    assert {quote.expiry_s for quote in _read(chain, rpc).vol_quotes} == {first_s, last_s}
    chain.node.warp(first_s - chain.node.now_s())
    assert {quote.expiry_s for quote in _read(chain, rpc).vol_quotes} == {last_s}


def _market_vol(net: Localnet, strike_id: int) -> float:
    strike, board = cast(
        tuple[dict[str, int], dict[str, int]], net.lyra.option_market.call("getStrikeAndBoard", strike_id)
    )
    return mul_down(board["iv"], strike["skew"]) / WAD
