"""What Curie says of one account at one block, and what follows from it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from agent.errors import VenueUnknown
from agent.market.instrument import Perpetual, Spot
from agent.market.position import Greeks, Position
from agent.market.scenario import Stressed
from agent.market.snapshot import Quote
from agent.pricing.pool import Pool
from agent.values.address import Address, MarketId
from agent.values.amount import Token
from agent.values.fixed import Q96, WAD, mul_div_down, mul_div_trunc, rescale_down, to_float
from agent.venues.curie.margin import PPM, Collateral, CurieMargin, Leg, frozen
from agent.venues.curie.offer import Bounds, CurieOffer
from agent.venues.curie.shock import ShockedAccount
from agent.venues.manifest import Stage


@dataclass(frozen=True, slots=True)
class Ratios:
    """The protocol's ratios in millionths, and the length of the funding averages."""

    maintenance_ppm: int
    initial_ppm: int
    penalty_ppm: int
    max_funding_ppm: int
    twap_s: int


@dataclass(frozen=True, slots=True)
class Funds:
    """The account's money, wad: settlement balance, what the protocol lets out, results not yet booked."""

    balance_wad: int
    free_wad: int
    owed_wad: int
    pending_fee_wad: int
    allowance_raw: int


@dataclass(frozen=True, slots=True)
class MarketView:
    """One market with the account's stake in it. ``size_wad`` counts open liquidity orders,
    ``taker_wad`` does not. ``mark_wad`` is what margin is judged at, whatever the market's status.
    """

    base_token: Address
    asset: str
    is_open: bool
    index_wad: int
    index_twap_wad: int
    mark_wad: int
    market_twap_x96: int  # square root
    recent_x96: int  # square root
    size_wad: int
    taker_wad: int
    open_notional_wad: int
    funding_wad: int
    pool: Pool
    pool_fee_ppm: int
    exchange_fee_ppm: int
    max_spread_ppm: int
    max_ticks: int

    @property
    def market(self) -> MarketId:
        return MarketId(f"curie:{self.base_token}")

    def premium_x96(self, max_funding_ppm: int) -> int:
        """Market average less index average, clamped as ``Exchange._getDeltaTwapX96`` does; 0 unless open."""
        if not self.is_open:
            return 0
        market = mul_div_down(self.market_twap_x96, self.market_twap_x96, Q96)
        index = mul_div_down(self.index_twap_wad, Q96, WAD)
        most = mul_div_down(index, max_funding_ppm, PPM)
        return max(-most, min(most, market - index))


@dataclass(frozen=True)
class CurieState:
    """One account on Curie."""

    settlement_token: Token
    at_s: int
    ratios: Ratios
    funds: Funds
    markets: tuple[MarketView, ...]
    collaterals: tuple[tuple[Collateral, int], ...] = ()  # with the feed's average, wad

    @property
    def venue(self) -> str:
        return "curie"

    @property
    def stage(self) -> Stage:
        """Nothing new where every market is paused or closed."""
        return Stage.OPEN if any(market.is_open for market in self.markets) else Stage.CLOSE_ONLY

    @cached_property
    def quotes(self) -> tuple[Quote, ...]:
        return tuple(
            Quote(
                venue="curie",
                market=market.market,
                asset=market.asset,
                index_wad=market.index_wad,
                mark_wad=market.mark_wad,
                funding_per_day_wad=self._premium_wad(market) * WAD // market.mark_wad,
            )
            for market in self.markets
        )

    @cached_property
    def positions(self) -> tuple[Position, ...]:
        held = tuple(_position(market) for market in self.markets if market.size_wad)
        return held + tuple(_spot(other, price) for other, price in self.collaterals if other.asset)

    @cached_property
    def margin(self) -> CurieMargin:
        """The one account over all markets."""
        return CurieMargin(
            collateral_token=self.settlement_token,
            balance_wad=self.funds.balance_wad,
            owed_wad=self.funds.owed_wad,
            pending_fee_wad=self.funds.pending_fee_wad,
            free_wad=self.funds.free_wad,
            legs=tuple(self._leg(market) for market in self.markets),
            maintenance_ppm=self.ratios.maintenance_ppm,
            initial_ppm=self.ratios.initial_ppm,
            penalty_ppm=self.ratios.penalty_ppm,
            at_s=self.at_s,
            marks=frozen(
                {market.market: market.mark_wad for market in self.markets}
                | {other.market: price_wad for other, price_wad in self.collaterals}
            ),
            collaterals=tuple(other for other, _ in self.collaterals),
        )

    @cached_property
    def margins(self) -> tuple[CurieMargin, ...]:
        return (self.margin,)

    @property
    def stressed(self) -> Stressed:
        """The account with all it holds, as a function of many states."""
        return Stressed((ShockedAccount(self.margin),), ())

    @cached_property
    def offers(self) -> tuple[CurieOffer, ...]:
        return tuple(
            CurieOffer(
                market=market.market,
                asset=market.asset,
                pool=market.pool,
                pool_fee_ppm=market.pool_fee_ppm,
                exchange_fee_ppm=market.exchange_fee_ppm,
                index_wad=market.index_wad,
                mark_wad=market.mark_wad,
                bounds=Bounds(market.max_ticks, market.recent_x96, market.max_spread_ppm),
                size_wad=market.size_wad,
                initial_ppm=self.ratios.initial_ppm,
                carry_per_day=to_float(self._premium_wad(market)),
            )
            for market in self.markets
            if market.is_open and market.max_ticks > 0
        )

    def market(self, name: str) -> MarketView:
        """The market of that id, which is also the position's key. Raises VenueUnknown."""
        for market in self.markets:
            if market.market == name:
                return market
        raise VenueUnknown(name=name, known=", ".join(market.market for market in self.markets))

    def _premium_wad(self, market: MarketView) -> int:
        return mul_div_trunc(market.premium_x96(self.ratios.max_funding_ppm), WAD, Q96)

    def _leg(self, market: MarketView) -> Leg:
        return Leg(
            market=market.market,
            asset=market.asset,
            size_wad=market.size_wad,
            open_notional_wad=market.open_notional_wad,
            funding_wad=market.funding_wad,
            premium_x96=market.premium_x96(self.ratios.max_funding_ppm),
        )


def _spot(other: Collateral, price_wad: int) -> Position:
    """Collateral that is an asset: all of it moves with the price, whatever share the margin counts."""
    size_wad = rescale_down(other.held, other.token.decimals, 18)
    return Position(
        venue="curie",
        key=other.market,
        instrument=Spot(other.market, other.asset),
        size_wad=size_wad,
        value_wad=mul_div_down(size_wad, price_wad, WAD),
        greeks=Greeks(delta=to_float(size_wad)),
        mark_wad=price_wad,
    )


def _position(market: MarketView) -> Position:
    return Position(
        venue="curie",
        key=market.market,
        instrument=Perpetual(market.market, market.asset),
        size_wad=market.size_wad,
        value_wad=mul_div_trunc(market.size_wad, market.mark_wad, WAD) + market.open_notional_wad,
        greeks=Greeks(delta=to_float(market.size_wad)),
        mark_wad=market.mark_wad,
    )
