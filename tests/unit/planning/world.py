"""Random books of the real models: Curie's account and pool, Uniswap's pool, Lyra's shorts."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from agent.market.instrument import Option, Perpetual, Spot
from agent.market.intent import Action, Order
from agent.market.margin import MarginAccount
from agent.market.offer import Offer
from agent.market.position import Greeks, Position
from agent.market.snapshot import Quote, Snapshot, Wallet
from agent.pricing.pool import Pool
from agent.pricing.tick import sqrt_of_price_x96, tick_at
from agent.risk.remedy import collateral_to
from agent.values.address import Address, BlockHash, ChainId, MarketId
from agent.values.amount import Amount, Token
from agent.values.block import Block
from agent.values.call import Call
from agent.values.fixed import DAY_S, WAD, from_float
from agent.venues.curie.margin import CurieMargin, Leg, frozen
from agent.venues.curie.offer import Bounds, CurieOffer
from agent.venues.lyra.margin import CollateralTerms, OptionType, Penalty, ShortOption
from agent.venues.uniswap.offer import Terms, UniswapOffer

USD = Token(Address("0x" + "a1" * 20), "sUSD", 18)
COIN = Token(Address("0x" + "b2" * 20), "sETH", 18)
ME = Address("0x" + "c3" * 20)
NOW_S = 1_750_000_000
GWEI = 10**9
PERP, OTHER, POOL, OPTIONS = (MarketId(name) for name in ("curie:eth", "curie:btc", "uni:eth", "lyra:eth"))
TERMS = CollateralTerms(
    floor_quote_wad=200 * WAD,
    floor_base_wad=WAD // 5,
    shock_vol_a_wad=25 * WAD // 10,
    shock_point_a_s=14 * DAY_S,
    shock_vol_b_wad=18 * WAD // 10,
    shock_point_b_s=56 * DAY_S,
    call_shock_wad=12 * WAD // 10,
    put_shock_wad=8 * WAD // 10,
    rate_wad=WAD // 20,
    settlement_fee_wad=75 * WAD // 10_000,
)


@dataclass(frozen=True)
class State:
    """What a venue says."""

    venue: str
    positions: tuple[Position, ...] = ()
    margins: tuple[MarginAccount, ...] = ()
    offers: tuple[Offer, ...] = ()
    quotes: tuple[Quote, ...] = field(default=())


def world(seed: int, *, size: float = 1.0) -> Snapshot:
    """A book drawn at random; ``size`` times its usual amounts."""
    draw = random.Random(seed)
    spot = 2000.0 * draw.uniform(0.7, 1.4)
    spots = {PERP: spot, OTHER: 15 * spot}
    legs = [_leg(draw, PERP, "ETH", spot, draw.uniform(-12, 12) * size)]
    if draw.random() < 0.4:
        legs.append(_leg(draw, OTHER, "BTC", 15 * spot, draw.uniform(-1, 1) * size))
    notional = sum(abs(leg.size_wad) / 1e18 * spots[leg.market] for leg in legs)
    balance = notional * draw.choice([0.12, 0.2, 0.28, 0.35, 0.6]) + 50 * size
    balance -= sum(leg.size_wad / 1e18 * spots[leg.market] + leg.open_notional_wad / 1e18 for leg in legs)
    initial = max(0.0, notional * (0.12 if balance > 0 else 0.0))
    marks = {leg.market: from_float(spots[leg.market] * draw.uniform(0.998, 1.002)) for leg in legs}
    account = CurieMargin(
        collateral_token=USD,
        balance_wad=from_float(balance),
        owed_wad=0,
        pending_fee_wad=0,
        free_wad=max(0, from_float(notional * 0.15 - initial + 20 * size)),
        legs=tuple(legs),
        maintenance_ppm=62_500,
        initial_ppm=100_000,
        penalty_ppm=25_000,
        at_s=NOW_S,
        marks=frozen(marks),
    )
    depth = size * draw.choice([200.0, 1000.0, 20_000.0])
    offers = tuple(
        _perpetual(leg, spots[leg.market], depth / (1 if leg.market == PERP else 15), marks[leg.market], draw)
        for leg in legs
    )
    shorts = [_short(draw, number, spot, size) for number in range(draw.randint(0, 3))]
    delta = draw.choice([0.1, 0.5, 0.9, 3.0, 8.0]) * draw.choice([-1, 1]) * size
    coins = max(0.0, draw.uniform(-2, 5)) * size
    held = [
        Position("curie", str(leg.market), Perpetual(leg.market, leg.asset), leg.size_wad, 0,
                 Greeks(leg.size_wad / 1e18), marks[leg.market])
        for leg in legs if leg.size_wad
    ]  # fmt: skip
    options = [_option(short) for short in shorts]
    carried = sum(p.greeks.delta for p in (*held, *options) if p.instrument.asset == "ETH") + coins
    rest = Position(
        "wallet", "book:rest", Spot(MarketId("rest"), "ETH"), 0, 0, Greeks(delta - carried), marks[PERP]
    )
    own = Position("wallet", f"wallet:{COIN.address}", Spot(MarketId("coin"), "ETH"), from_float(coins), 0,
                   Greeks(coins), marks[PERP])  # fmt: skip
    if len(legs) > 1:  # the other asset's delta is hedged elsewhere, up to a little
        other = draw.choice([0.0, 0.2]) * size - legs[1].size_wad / 1e18
        held.append(
            Position("wallet", "book:btc", Spot(MarketId("btc"), "BTC"), 0, 0, Greeks(other), marks[OTHER])
        )
    cash = draw.choice([0.0, 300.0, 5_000.0, 60_000.0]) * size
    wallet = Wallet(10**18, (Amount(USD, from_float(cash)), Amount(COIN, from_float(coins))))
    quotes = tuple(
        Quote("curie", leg.market, leg.asset, from_float(spots[leg.market]), marks[leg.market])
        for leg in legs
    )
    venues: list[State] = [State("curie", tuple(held), (account,), offers, quotes)]
    if draw.random() < 0.8:
        venues.append(State("uniswap", offers=(_swap(spot, depth * draw.choice([0.3, 2.0])),)))
    venues.append(State("lyra", tuple(options), tuple(shorts)))
    block = Block(7, BlockHash("0x" + "11" * 32), BlockHash("0x" + "22" * 32), NOW_S, GWEI, 30_000_000)
    return Snapshot(ChainId(1), ME, block, wallet, tuple(venues), (rest, own))


def _leg(draw: random.Random, market: MarketId, asset: str, spot: float, size: float) -> Leg:
    entry = spot * draw.uniform(0.9, 1.1)
    return Leg(market, asset, from_float(size), from_float(-size * entry), 0, 0)


def _perpetual(leg: Leg, spot: float, depth: float, mark_wad: int, draw: random.Random) -> CurieOffer:
    root = sqrt_of_price_x96(from_float(spot))
    pool = Pool(root, tick_at(root), from_float(depth * spot**0.5), 60, (), ())
    bounds = Bounds(1000, root, 100_000)
    carry = draw.choice([0.0005, 0.0005, 0.005]) * draw.uniform(-1, 1) * spot
    index_wad, market, asset = from_float(spot), leg.market, leg.asset
    return CurieOffer(
        market, asset, pool, 3000, 1000, index_wad, mark_wad, bounds, leg.size_wad, 100_000, carry
    )


def _swap(spot: float, depth: float) -> UniswapOffer:
    root = sqrt_of_price_x96(from_float(spot))
    pool = Pool(root, tick_at(root), from_float(depth * spot**0.5), 60, (), ())
    return UniswapOffer(Terms(POOL, "ETH", COIN, USD, True, 500), pool)


def _short(draw: random.Random, number: int, spot: float, size: float) -> ShortOption:
    kind = draw.choice([OptionType.SHORT_PUT_QUOTE, OptionType.SHORT_CALL_QUOTE, OptionType.SHORT_CALL_BASE])
    is_base = kind is OptionType.SHORT_CALL_BASE
    prices = {OPTIONS: from_float(spot)}
    bare = ShortOption(
        number, OPTIONS, "ETH", kind, from_float(spot * draw.uniform(0.85, 1.15)), NOW_S + 14 * DAY_S,
        from_float(draw.uniform(1, 8) * size), 0, COIN if is_base else USD, TERMS,
        Penalty(WAD // 5, 10 * WAD), from_float(spot * draw.uniform(0.005, 0.05)), NOW_S, prices,
    )  # fmt: skip
    needed = collateral_to(bare, draw.choice([0.05, 0.12, 0.19, 0.3, 0.5]))
    return ShortOption(*(needed if name == "collateral_wad" else getattr(bare, name) for name in _FIELDS))


_FIELDS = tuple(ShortOption.__dataclass_fields__)


def _option(short: ShortOption) -> Position:
    sign = 1 if short.option_type is OptionType.SHORT_PUT_QUOTE else -1
    amount = short.amount_wad / 1e18
    greeks = Greeks(sign * 0.4 * amount, -0.0005 * amount, -150.0 * amount, 1.0 * amount)
    thing = Option(OPTIONS, "ETH", short.option_type.kind, short.strike_wad, short.expiry_s)
    return Position("lyra", short.key, thing, -short.amount_wad, 0, greeks, short.mark_wad)


def write(action: Action) -> Order:
    """An action as one call that names it."""
    return Order((Call(ME, b"", label=type(action).__name__),))


WRITERS = dict.fromkeys(("curie", "uniswap", "lyra"), write)
