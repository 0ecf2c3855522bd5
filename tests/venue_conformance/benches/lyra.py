"""Lyra on the seeded local chain: the book's shorts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from agent.market.intent import Action, AddCollateral, Order, Reduce, RemoveCollateral, Trade
from agent.market.margin import MarginAccount, Prices
from agent.market.offer import Offer
from agent.market.position import Position
from agent.market.snapshot import Quote, VenueState
from agent.sim.contract import Request
from agent.sim.deploy.lyra import BASE_KEY
from agent.sim.localnet import Localnet
from agent.sim.node import Node
from agent.values.address import Address, MarketId
from agent.values.fixed import WAD, mul_down, mul_up
from agent.venues.deployments import Deployment
from tests.flips.crowd import ask_truths
from tests.venue_conformance.bench import Done, Impostor, Street
from tests.venue_conformance.sender import send_all

NEEDS = ""
COLLATERAL = ":collateral"  # the asset that a short is covered with is a position of its own
LONGS = (0, 1)  # option types; the others are shorts


@dataclass(frozen=True)
class LyraBench:
    """Any price can be put to the market's own view of a position."""

    net: Localnet
    name: str = "lyra"

    @property
    def node(self) -> Node:
        return self.net.node

    @property
    def deployment(self) -> Deployment:
        return self.net.deployment()

    @property
    def account(self) -> Address:
        return self.net.book.account

    def price_of(self, quote: Quote) -> int:
        return self.net.lyra.exchange_rates.integer("rates", BASE_KEY)

    def size_of(self, position: Position) -> int:
        if position.key.endswith(COLLATERAL):
            return self._held(position.key.removesuffix(COLLATERAL))
        kind, size = (self._record(position.key)[name] for name in ("optionType", "amount"))
        assert isinstance(size, int)
        return size if kind in LONGS else -size

    def collateral_of(self, margin: MarginAccount) -> int:
        return self._held(margin.key)

    def standing_of(self, margin: MarginAccount) -> tuple[int, int] | None:
        record = self._record(margin.key)
        strike, expiry = self._strike(record)
        least = self.net.lyra.greek_cache.integer(
            "getMinCollateral", record["optionType"], strike, expiry, self.net.spot_wad(), record["amount"]
        )
        return self.collateral_of(margin), least

    def judge(self, margin: MarginAccount, prices: Sequence[Prices]) -> list[bool]:
        record = self._record(margin.key)
        strike, expiry = self._strike(record)
        return ask_truths(
            self.net.chain,
            [
                Request(self.net.lyra.option_token, "canLiquidate", (record, expiry, strike, *one.values()))
                for one in prices
            ],
        )

    def move(self, market: MarketId, ratio_wad: int) -> None:
        self.net.set_spot(mul_down(self.net.spot_wad(), ratio_wad))

    def wait(self, seconds: int) -> None:
        self.node.warp(seconds)

    def offers(self, state: VenueState) -> Sequence[Offer]:
        return state.offers

    def actions(self, state: VenueState) -> Sequence[Action]:
        short, mark = state.positions[0], state.positions[0].mark_wad
        margin = next(one for one in state.margins if one.key == short.key)
        return (
            AddCollateral(self.name, short.key, 77 * WAD + 1),
            RemoveCollateral(self.name, short.key, margin.removable_wad // 3),
            Reduce(self.name, short.key, WAD + 9, mul_up(2 * WAD, 2 * mark)),
        )

    def carry_out(self, order: Order) -> Done:
        return Done(send_all(self.net.chain, self.account, order))

    def paid_wad(self, trade: Trade, done: Done) -> int:
        raise AssertionError("Lyra offers no trades")

    def slack_wad(self, trade: Trade) -> tuple[int, int]:
        raise AssertionError("Lyra offers no trades")

    def impostors(self) -> Sequence[Impostor]:
        deployment = self.deployment
        record = deployment.lyra
        assert record is not None
        found = []
        for what, change, word in (
            ("a market that is another contract", {"option_market": record.pricer}, record.pricer),
            ("an option token of no market", {"option_token": record.quote_token}, record.quote_token),
            ("base and quote exchanged", {"base_token": record.quote_token}, "base_token"),
        ):
            changed = record.model_copy(update=change)
            found.append(Impostor(what, deployment.model_copy(update={"lyra": changed}), word))
        return found

    def _held(self, key: str) -> int:
        held = self._record(key)["collateral"]
        assert isinstance(held, int)
        return held

    def _record(self, key: str) -> dict[str, object]:
        return self.net.lyra.option_token.record("getOptionPosition", int(key.rpartition(":")[2]))

    def _strike(self, record: dict[str, object]) -> tuple[int, int]:
        """Strike price and expiry, from the market."""
        market = self.net.lyra.option_market
        strike, board = market.call("getStrikeAndBoard", record["strikeId"])
        assert isinstance(strike, dict)
        assert isinstance(board, dict)
        return strike["strikePrice"], board["expiry"]


@contextmanager
def bench(street: Street) -> Iterator[LyraBench]:
    yield LyraBench(street.localnet)
