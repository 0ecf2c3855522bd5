"""Venues in lots, each with a margin account of its own, small enough to try everything."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from agent.market.instrument import Perpetual, Spot
from agent.market.margin import CollateralKind, Prices
from agent.market.position import Greeks, Position
from agent.market.snapshot import Quote, Snapshot, Wallet
from agent.values.address import ChainId, MarketId
from agent.values.amount import Amount, Token
from agent.values.fixed import WAD, from_float
from tests.unit.planning.book import BLOCK, ME, PRICE, QUOTE, State

GAS_BLOCK = replace(BLOCK, base_fee_wei=10**9)  # a trade of 700,000 gas costs 1.4 at 2,000


@dataclass(frozen=True)
class Cross:
    """Equity: balance and what the position has gained. Requirement: a sixteenth of its worth."""

    venue: str
    balance_wad: int
    size_wad: int = 0
    notional_wad: int = 0
    asset: str = "ETH"
    collateral_token: Token = QUOTE
    collateral_kind: CollateralKind = CollateralKind.QUOTE
    at_s: int = BLOCK.timestamp_s
    price_step_wad: int = 1
    removable_wad: int = 0

    @property
    def key(self) -> str:
        return f"{self.venue}:margin"

    @property
    def collateral_wad(self) -> int:
        return self.balance_wad

    @property
    def prices(self) -> Prices:
        return {MarketId(f"{self.venue}:0"): PRICE}

    def equity_wad(self, prices: Prices, at_s: int) -> int:
        return (
            self.balance_wad + self.notional_wad + self.size_wad * prices[MarketId(f"{self.venue}:0")] // WAD
        )

    def requirement_wad(self, prices: Prices, at_s: int) -> int:
        return abs(self.size_wad) * prices[MarketId(f"{self.venue}:0")] // WAD // 16

    def is_liquidatable(self, prices: Prices, at_s: int) -> bool:
        return self.equity_wad(prices, at_s) < self.requirement_wad(prices, at_s)

    def binding(self, prices: Prices, at_s: int) -> str:
        return "maintenance"

    def traded(self, market: MarketId, size_wad: int, price_wad: int) -> Cross:
        return replace(
            self,
            size_wad=self.size_wad + size_wad,
            notional_wad=self.notional_wad - -(-size_wad * price_wad // WAD),
        )


@dataclass(frozen=True)
class Lots:
    """A linear fee, an impact that grows with the square, whole lots."""

    venue: str
    fee_bps: int = 10
    impact: float = 0.0
    most: int = 4
    lot_wad: int = WAD
    min_size_wad: int = 0
    carry_per_day: float = 0.0
    asset: str = "ETH"
    price_wad: int = PRICE
    cash_token: Token | None = None

    @property
    def market(self) -> MarketId:
        return MarketId(f"{self.venue}:0")

    @property
    def max_buy_wad(self) -> int:
        return self.most * max(self.lot_wad, WAD)

    @property
    def max_sell_wad(self) -> int:
        return self.most * max(self.lot_wad, WAD)

    def cost_wad(self, size_wad: int) -> int:
        fee = abs(size_wad) * self.price_wad // WAD * self.fee_bps // 10_000
        return fee + from_float(self.impact * (size_wad / 1e18) ** 2)

    def cash_need_wad(self, size_wad: int) -> int:
        return 0

    def margin_need_wad(self, size_wad: int) -> int:
        return 0


def market(seed: int) -> Snapshot:
    """One to three venues, a delta of up to six lots, and cash that may not do."""
    draw = random.Random(seed)
    states = []
    for number in range(draw.randint(1, 3)):
        name = f"v{number}"
        offer = Lots(
            name,
            fee_bps=draw.randint(1, 40),
            impact=draw.choice([0.0, draw.uniform(0.5, 8)]),
            most=draw.randint(1, 4),
            min_size_wad=draw.choice([0, 0, 2 * WAD]),
            carry_per_day=draw.choice([0.0, draw.uniform(-8, 8)]),
        )
        account = Cross(name, draw.choice([20, 600, 3_000]) * WAD)
        states.append(State(name, margins=(account,), offers=(offer,), quotes=()))
    delta = draw.choice([-1, 1]) * draw.randint(1, 6) * 1.0
    return whole(tuple(states), delta, draw.choice([0, 400, 1_500, 20_000]))


def whole(states: tuple[State, ...], delta: float, cash: int) -> Snapshot:
    """A book whose only other delta is ``delta`` of the asset."""
    rest = Position("wallet", "rest", Spot(MarketId("rest"), "ETH"), 0, 0, Greeks(delta), PRICE)
    quote = Quote("oracle", MarketId("oracle"), "ETH", PRICE, PRICE)
    oracle = State("oracle", quotes=(quote,))
    wallet = Wallet(10**18, (Amount(QUOTE, cash * WAD),))
    return Snapshot(ChainId(1), ME, GAS_BLOCK, wallet, (oracle, *states), (rest,))


def held(venue: str, size_wad: int) -> tuple[Position, ...]:
    """A perpetual position."""
    if size_wad == 0:
        return ()
    thing = Perpetual(MarketId(f"{venue}:0"), "ETH")
    return (Position(venue, f"{venue}:0", thing, size_wad, 0, Greeks(size_wad / 1e18), PRICE),)
