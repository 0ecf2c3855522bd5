"""What Synthetix' perps market says of one address at one block, and what follows from it."""

from __future__ import annotations

from dataclasses import dataclass

from agent.errors import VenueUnknown
from agent.market.instrument import Perpetual, Spot
from agent.market.offer import Offer
from agent.market.position import Greeks, Position
from agent.market.scenario import Stressed
from agent.market.snapshot import Quote
from agent.values.address import MarketId
from agent.values.amount import Token
from agent.values.fixed import WAD, mul_div_trunc, to_float
from agent.venues.manifest import Stage
from agent.venues.synthetix.margin import SynthetixMargin
from agent.venues.synthetix.market import Fees, Funding, Leg, MarginTerms
from agent.venues.synthetix.offer import SynthetixOffer
from agent.venues.synthetix.shock import ShockedAccount
from agent.venues.synthetix.terms import Collateral


@dataclass(frozen=True, slots=True)
class Strategy:
    """How an order is settled: not before ``delay_s``, and within ``window_s`` after that, for a reward."""

    id: int
    delay_s: int
    window_s: int
    reward_wad: int
    is_disabled: bool


@dataclass(frozen=True, slots=True)
class MarketView:
    """One market. ``size_wad``: the open interest of both sides; ``max_size_wad``: what one side may have."""

    id: int
    market: MarketId
    asset: str
    price_wad: int
    size_wad: int
    max_size_wad: int
    funding: Funding
    margin: MarginTerms
    fees: Fees
    strategy: Strategy


@dataclass(frozen=True, slots=True)
class PendingOrder:
    """An order that was committed and that a keeper may still fill: naked exposure until then."""

    account_id: int
    market: MarketId
    size_wad: int
    acceptable_wad: int
    committed_s: int


@dataclass(frozen=True, slots=True)
class SynthetixState:
    """An address's accounts on the perps market."""

    usd_token: Token
    at_s: int
    markets: tuple[MarketView, ...]
    margins: tuple[SynthetixMargin, ...]
    orders: tuple[PendingOrder, ...]
    allowance_wad: int
    settlement_cost_wad: int

    @property
    def venue(self) -> str:
        return "synthetix"

    @property
    def stage(self) -> Stage:
        """Nothing new where no market may have open interest: how the protocol winds one down."""
        return Stage.OPEN if any(market.max_size_wad for market in self.markets) else Stage.CLOSE_ONLY

    @property
    def quotes(self) -> tuple[Quote, ...]:
        return tuple(
            Quote(
                venue="synthetix",
                market=market.market,
                asset=market.asset,
                index_wad=market.price_wad,
                mark_wad=market.price_wad,
                funding_per_day_wad=market.funding.rate_at(self.at_s),
            )
            for market in self.markets
        )

    @property
    def positions(self) -> tuple[Position, ...]:
        held = tuple(_position(margin, leg) for margin in self.margins for leg in margin.open_legs)
        return held + tuple(
            _spot(margin, synth) for margin in self.margins for synth in margin.collaterals if synth.asset
        )

    @property
    def stressed(self) -> Stressed:
        """The accounts with all they hold, as functions of many states."""
        return Stressed(tuple(ShockedAccount(margin) for margin in self.margins), ())

    @property
    def offers(self) -> tuple[Offer, ...]:
        """None: a keeper fills an order later, so that nothing trades in the transaction that asks for it."""
        return ()

    @property
    def commitments(self) -> tuple[SynthetixOffer, ...]:
        """What orders could be committed now, for each market and account."""
        return tuple(
            SynthetixOffer(
                market=market.market,
                asset=market.asset,
                price_wad=market.price_wad,
                funding=market.funding,
                fees=market.fees,
                open_interest_wad=market.size_wad,
                max_size_wad=market.max_size_wad,
                settlement_wad=self.settlement_cost_wad + market.strategy.reward_wad,
                account=margin,
            )
            for margin in self.margins
            for market in self.markets
            if not market.strategy.is_disabled and not margin.is_flagged and not margin.is_pending
        )

    def market(self, name: str) -> MarketView:
        """The market of that id. Raises VenueUnknown."""
        for market in self.markets:
            if market.market == name:
                return market
        raise VenueUnknown(name=name, known=", ".join(market.market for market in self.markets))

    def margin(self, name: str) -> SynthetixMargin:
        """The account of that key. Raises VenueUnknown."""
        for margin in self.margins:
            if margin.key == name:
                return margin
        raise VenueUnknown(name=name, known=", ".join(margin.key for margin in self.margins))

    def holding(self, name: str) -> tuple[SynthetixMargin, Leg]:
        """The position of that key, with its account. Raises VenueUnknown."""
        held = {
            position_key(margin, leg): (margin, leg) for margin in self.margins for leg in margin.open_legs
        }
        if name not in held:
            raise VenueUnknown(name=name, known=", ".join(held))
        return held[name]


def _position(margin: SynthetixMargin, leg: Leg) -> Position:
    mark = margin.marks[leg.market]
    return Position(
        venue="synthetix",
        key=position_key(margin, leg),
        instrument=Perpetual(leg.market, leg.asset),
        size_wad=leg.size_wad,
        value_wad=mul_div_trunc(leg.size_wad, mark - leg.entry_wad, WAD),
        greeks=Greeks(delta=to_float(leg.size_wad)),
        mark_wad=mark,
    )


def _spot(margin: SynthetixMargin, synth: Collateral) -> Position:
    """A synth posted as margin: all of it moves with the price, whatever share the margin counts."""
    mark = margin.marks[synth.market]
    return Position(
        venue="synthetix",
        key=f"{margin.key}:synth:{synth.market.rpartition(':')[2]}",
        instrument=Spot(synth.market, synth.asset),
        size_wad=synth.amount_wad,
        value_wad=synth.value(mark),
        greeks=Greeks(delta=to_float(synth.amount_wad)),
        mark_wad=mark,
    )


def position_key(margin: SynthetixMargin, leg: Leg) -> str:
    """ "synthetix:7:100": account 7 in market 100."""
    return f"{margin.key}:{leg.market.rpartition(':')[2]}"
