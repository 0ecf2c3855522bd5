"""A small book of pure nouns for the planner's tests: margin accounts with a straight-line requirement."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from agent.market.instrument import Option, OptionKind, Spot
from agent.market.intent import Action, Order
from agent.market.margin import CollateralKind, MarginAccount, Prices
from agent.market.offer import Offer
from agent.market.position import Greeks, Position
from agent.market.snapshot import Quote, Snapshot, Wallet
from agent.risk.assessment import Assessment, assess
from agent.risk.limits import Bounds
from agent.values.address import Address, BlockHash, ChainId, MarketId
from agent.values.amount import Amount, Token
from agent.values.block import Block
from agent.values.call import Call
from agent.values.fixed import WAD

QUOTE = Token(Address("0x00000000000000000000000000000000000000Aa"), "USD", 18)
ME = Address("0x00000000000000000000000000000000000000bB")
PRICE = 2000 * WAD
BLOCK = Block(7, BlockHash("0x" + "11" * 32), BlockHash("0x" + "22" * 32), 1_000_000, 10, 30_000_000)


@dataclass(frozen=True)
class Short:
    """Requirement = size x (strike + price fall), like a short put: worse as the price falls."""

    number: int
    collateral_wad: int
    size_wad: int = 10 * WAD
    removable_wad: int = 0
    venue: str = "options"
    asset: str = "ETH"
    collateral_token: Token = QUOTE
    collateral_kind: CollateralKind = CollateralKind.QUOTE
    at_s: int = BLOCK.timestamp_s
    price_step_wad: int = 1

    @property
    def key(self) -> str:
        return f"options:{self.number}"

    @property
    def prices(self) -> Prices:
        return {MarketId("options:m"): PRICE}

    def equity_wad(self, prices: Prices, at_s: int) -> int:
        return self.collateral_wad

    def requirement_wad(self, prices: Prices, at_s: int) -> int:
        fall = max(0, 2200 * WAD - prices[MarketId("options:m")])
        return self.size_wad * fall // WAD

    def is_liquidatable(self, prices: Prices, at_s: int) -> bool:
        return self.equity_wad(prices, at_s) < self.requirement_wad(prices, at_s)

    def binding(self, prices: Prices, at_s: int) -> str:
        return "straight line"


PERP = MarketId("perp:0")


@dataclass(frozen=True)
class Perp:
    """A deep market with one flat fee."""

    venue: str = "perp"
    market: MarketId = PERP
    asset: str = "ETH"
    price_wad: int = PRICE
    max_buy_wad: int = 1000 * WAD
    max_sell_wad: int = 1000 * WAD
    carry_per_day: float = 0.0
    cash_token: Token | None = None

    def cost_wad(self, size_wad: int) -> int:
        return abs(size_wad) * 2

    def cash_need_wad(self, size_wad: int) -> int:
        return 0

    def margin_need_wad(self, size_wad: int) -> int:
        return 0


@dataclass(frozen=True)
class State:
    """What a venue says."""

    venue: str
    positions: tuple[Position, ...] = ()
    margins: tuple[MarginAccount, ...] = ()
    offers: tuple[Offer, ...] = ()
    quotes: tuple[Quote, ...] = field(default=(Quote("options", MarketId("options:m"), "ETH", PRICE, PRICE),))


def option(number: int, size_wad: int, mark_wad: int, delta: float) -> Position:
    """A short put of the book."""
    thing = Option(MarketId("options:m"), "ETH", OptionKind.PUT, 1900 * WAD, BLOCK.timestamp_s + 86_400)
    return Position(
        "options", f"options:{number}", thing, -size_wad, -size_wad * mark_wad // WAD, Greeks(delta), mark_wad
    )


def spot(delta: float) -> Position:
    """Delta and nothing else."""
    market = MarketId("wallet:x")
    return Position("wallet", "wallet:x", Spot(market, "ETH"), int(delta * WAD), 0, Greeks(delta), PRICE)


def snapshot(
    cash: int, margins: tuple[Short, ...], positions: tuple[Position, ...], perp: Perp | None = None
) -> Snapshot:
    """The book at one block."""
    wallet = Wallet(10**18, (Amount(QUOTE, cash * WAD),))
    venues = (
        State("options", positions, margins),
        State("perp", offers=(perp,) if perp is not None else (), quotes=()),
    )
    return Snapshot(ChainId(1), ME, BLOCK, wallet, venues)


def judged(seen: Snapshot, band: float = 1.0, floor: float = 0.18) -> Assessment:
    """With the default policy's limits."""
    return assess(seen, Bounds({"ETH": band}, floor))


def write(action: Action) -> Order:
    """An action as one call that names it."""
    return Order((Call(ME, b"", label=type(action).__name__),))


WRITERS = {"options": write, "perp": write}
__all__ = [
    "BLOCK",
    "ME",
    "PRICE",
    "QUOTE",
    "WRITERS",
    "Perp",
    "Short",
    "judged",
    "option",
    "replace",
    "snapshot",
    "spot",
]
