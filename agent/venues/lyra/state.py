"""What Lyra says of one account at one block, and what follows from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from agent.errors import VenueUnknown
from agent.market.instrument import Option, OptionKind, Spot
from agent.market.margin import CollateralKind, MarginAccount
from agent.market.offer import Offer
from agent.market.position import Greeks, Position
from agent.market.scenario import Claim, Stressed
from agent.market.snapshot import Quote
from agent.market.vol import VolQuote
from agent.pricing import black
from agent.pricing.lean import Lean
from agent.risk.calm import is_calm
from agent.values.address import Address, MarketId
from agent.values.amount import Token
from agent.values.fixed import WAD, mul_down, mul_up, to_float
from agent.venues.lyra.board import Board
from agent.venues.lyra.holding import Holding
from agent.venues.lyra.margin import CollateralTerms, OptionType, Penalty, ShortOption
from agent.venues.lyra.premium import curve, premiums
from agent.venues.lyra.shock import ExpiredOption, LongOption, Premium, ShockedShort
from agent.venues.lyra.table import Floats, Table
from agent.venues.manifest import Stage

MOST_DOUBTED = 8  # accounts near what is asked for: beyond so many the usual way is as fast
FARTHEST = 0.9  # of the price
_VALUED = ("delta", "gamma", "vega", "theta", "rho", "vanna", "volga")


@dataclass(frozen=True, slots=True)
class TradeTerms:
    """What the pricer allows: bounds of an ordinary close and of a forced one, and an order's impact.

    An order of ``standard_size_wad`` moves the board's volatility by 0.01 and the strike's skew by
    ``skew_factor_wad`` of that.
    """

    min_delta_wad: int
    force_delta_wad: int
    cutoff_s: int
    base_iv_wad: tuple[int, int]
    skew_wad: tuple[int, int]
    vol_wad: tuple[int, int]
    force_skew_wad: tuple[int, int]
    standard_size_wad: int
    skew_factor_wad: int


@dataclass(frozen=True, slots=True)
class Standing:
    """The market as a whole: prices, parameters, tokens, and what the account lets it take (raw = wad)."""

    market: MarketId
    asset: str
    at_s: int
    spot_wad: int
    is_paused: bool
    collateral_terms: CollateralTerms
    penalty: Penalty
    trade_terms: TradeTerms
    quote_token: Token
    base_token: Token
    quote_allowance_wad: int
    base_allowance_wad: int

    def collateral_token(self, option_type: OptionType) -> Token:
        """What a short of this type is collateralised in."""
        return self.base_token if option_type is OptionType.SHORT_CALL_BASE else self.quote_token


@dataclass(frozen=True)
class LyraState:
    """One account's options. Options are not traded for delta, so there are no offers.

    Positions and margin accounts are made when somebody asks for them: a decision that needs neither is made
    on the columns of ``table``.
    """

    standing: Standing
    table: Table
    boards: tuple[Board, ...] = ()
    offers: tuple[Offer, ...] = field(default=())

    @property
    def venue(self) -> str:
        return "lyra"

    @property
    def stage(self) -> Stage:
        """Nothing new while the market is paused."""
        return Stage.OPEN if not self.standing.is_paused else Stage.CLOSE_ONLY

    @property
    def holdings(self) -> tuple[Holding, ...]:
        return self.table.holdings

    @cached_property
    def positions(self) -> tuple[Position, ...]:
        pairs = zip(self.holdings, self._greeks, strict=True)
        return tuple(position for held, own in pairs for position in _positions(self.standing, held, own))

    @cached_property
    def margins(self) -> tuple[MarginAccount, ...]:
        """The shorts that can still be liquidated."""
        at_s = self.standing.at_s
        live = (h for h in self.holdings if h.option_type.is_short and h.is_live(at_s))
        return tuple(_margin(self.standing, held) for held in live)

    def _column(self, greek: str) -> Floats:
        """Delta, gamma or vega of each position, its size in."""
        if self.standing.spot_wad <= 0:
            found: Floats = self._valued[_VALUED.index(greek)]
            return found
        values: Floats = getattr(self._lean, greek)
        return values * self.table.live_sizes

    @cached_property
    def _lean(self) -> Lean:
        market = self.standing
        rate = market.collateral_terms.rate_wad / WAD
        return self.table.lean(to_float(market.spot_wad), market.at_s, rate)

    @property
    def _valued(self) -> Floats:
        """All Greeks of each position by the full formula, its size in; one row for each Greek."""
        market, table = self.standing, self.table
        rate, spot = market.collateral_terms.rate_wad / WAD, to_float(market.spot_wad)
        seconds = np.maximum(table.expiries - market.at_s, 0.0)
        found = np.zeros((7, len(table.holdings)))
        for kind, sign in ((OptionKind.CALL, 1.0), (OptionKind.PUT, -1.0)):
            rows = np.flatnonzero((table.signs == sign) & (table.unsettled > 0))
            if len(rows):
                terms = (table.strikes[rows], seconds[rows], table.vols[rows])
                one = black.value(kind, spot, *terms, rate)
                found[:, rows] = [getattr(one, name) * table.sizes[rows] for name in _VALUED]
        return found

    @property
    def _greeks(self) -> list[Greeks]:
        columns = (*map(self._column, _VALUED[:3]), *self._valued[3:])
        return [Greeks(*row) for row in zip(*(column.tolist() for column in columns), strict=True)]

    def exposures(self, greek: str) -> Mapping[str, Sequence[float]]:
        """As `Massed` says."""
        if not self.holdings:
            return {}
        found = self._column(greek).tolist()
        return {self.standing.asset: [*found, *self.table.posted] if greek == "delta" else found}

    @property
    def postings(self) -> Sequence[tuple[CollateralKind, str, Address]]:
        """As `Massed` says."""
        market = self.standing
        types = [one for one, expiry_s in self.table.last_expiries.items() if market.at_s < expiry_s]
        return [(t.collateral_kind, market.asset, market.collateral_token(t).address) for t in types]

    def is_calm(self, distance: float, within_s: float) -> bool:
        """As `Massed` says: what the columns leave in doubt is asked of the exact model."""
        market = self.standing
        if not 0 <= distance < FARTHEST or market.spot_wad <= 0:
            return False
        terms, spot = market.collateral_terms, to_float(market.spot_wad)
        if self.table.is_certain(terms, spot, market.at_s, distance, within_s):
            return True
        rows = self.table.suspects(terms, spot, market.at_s, distance, within_s)
        doubted = [held for row in rows if (held := self.holdings[row]).is_live(market.at_s)]
        if len(doubted) > MOST_DOUBTED:
            return False
        return all(is_calm(_margin(market, held), distance, within_s) for held in doubted)

    @property
    def quotes(self) -> tuple[Quote, ...]:
        """The market's oracle price, which is also the one its margin check uses."""
        market = self.standing
        return (Quote("lyra", market.market, market.asset, market.spot_wad, market.spot_wad),)

    @property
    def vol_quotes(self) -> tuple[VolQuote, ...]:
        """What every strike is traded at that the market lists, of boards neither frozen nor expired."""
        market = self.standing
        rate_wad = market.collateral_terms.rate_wad
        live = (board for board in self.boards if board.is_live(market.at_s))
        return tuple(
            quote
            for board in live
            for quote in board.vol_quotes(market.asset, market.spot_wad, rate_wad, market.at_s)
        )

    @property
    def stressed(self) -> Stressed:
        """Live options as functions of many states; what has expired is held at what it pays now."""
        return assemble_stressed(self.standing, self.holdings, self.positions)

    def holding(self, key: str) -> Holding:
        """The position of that key. Raises VenueUnknown."""
        for holding in self.holdings:
            if holding.key == key:
                return holding
        raise VenueUnknown(name=key, known=", ".join(holding.key for holding in self.holdings))


def assemble(standing: Standing, table: Table, boards: tuple[Board, ...] = ()) -> LyraState:
    """The state from what was read. Pure."""
    return LyraState(standing, table, boards)


def assemble_stressed(
    market: Standing, holdings: tuple[Holding, ...], positions: tuple[Position, ...]
) -> Stressed:
    """Every holding once: a live short with its collateral, a live long, or what an expired one pays."""
    accounts: list[ShockedShort] = []
    claims: list[Claim] = []
    for held in holdings:
        quote = market.quote_token.address
        if not held.is_live(market.at_s):
            due = [p for p in positions if p.key in (held.key, f"{held.key}:collateral")]
            in_base = sum(p.value_wad for p in due if isinstance(p.instrument, Spot))
            in_quote = sum(p.value_wad for p in due) - in_base
            base = market.base_token.address
            claims.append(ExpiredOption(held.key, market.asset, in_quote, in_base, quote, base))
            continue
        premium = Premium(
            asset=market.asset,
            kind=held.option_type.kind,
            strike_wad=held.strike_wad,
            expires_in_s=held.expiry_s - market.at_s,
            spot_wad=market.spot_wad,
            vol_wad=held.vol_wad,
            rate_wad=market.collateral_terms.rate_wad,
        )
        if held.option_type.is_short:
            accounts.append(ShockedShort(_margin(market, held), premium, quote))
        else:
            claims.append(LongOption(held.key, premium, held.amount_wad, quote))
    return Stressed(tuple(accounts), tuple(claims))


def _margin(market: Standing, holding: Holding) -> ShortOption:
    return ShortOption(
        position_id=holding.position_id,
        market=market.market,
        asset=market.asset,
        option_type=holding.option_type,
        strike_wad=holding.strike_wad,
        expiry_s=holding.expiry_s,
        amount_wad=holding.amount_wad,
        collateral_wad=holding.collateral_wad,
        collateral_token=market.collateral_token(holding.option_type),
        terms=market.collateral_terms,
        penalty=market.penalty,
        mark_wad=_mark(market, holding)[0],
        at_s=market.at_s,
        prices={market.market: market.spot_wad},
        is_halted=market.is_paused,
    )


def _positions(market: Standing, holding: Holding, greeks: Greeks) -> tuple[Position, ...]:
    """The option, and the asset that collateralises it if it does.

    A live short's collateral stands in its margin account, so it adds nothing to ``value_wad`` here; once
    the option has expired there is no such account, and its collateral counts as value of the positions.
    """
    sign = -1 if holding.option_type.is_short else 1
    mark_wad, iv = _mark(market, holding)
    value_wad = sign * (mul_up if sign < 0 else mul_down)(holding.amount_wad, mark_wad)
    is_live = holding.is_live(market.at_s)
    is_base = holding.option_type is OptionType.SHORT_CALL_BASE
    posted_wad = holding.posted_wad
    if holding.settled_at_wad and is_base:
        value_wad = 0  # what it owes has been taken off the asset below
    elif sign < 0 and not is_live and not is_base:
        value_wad = max(0, posted_wad + value_wad)
    option = Position(
        venue="lyra",
        key=holding.key,
        instrument=Option(
            market.market, market.asset, holding.option_type.kind, holding.strike_wad, holding.expiry_s
        ),
        size_wad=sign * holding.amount_wad,
        value_wad=value_wad,
        greeks=greeks,
        mark_wad=mark_wad,
        iv=iv,
    )
    if not is_base or posted_wad == 0:
        return (option,)
    asset = Position(
        venue="lyra",
        key=f"{holding.key}:collateral",
        instrument=Spot(market.market, market.asset),
        size_wad=posted_wad,
        value_wad=0 if is_live else mul_down(posted_wad, market.spot_wad),
        greeks=Greeks(delta=to_float(posted_wad)),
        mark_wad=market.spot_wad,
    )
    return (option, asset)


def _mark(market: Standing, holding: Holding) -> tuple[int, float | None]:
    """The market's premium per unit and the volatility it is at."""
    is_put = holding.option_type.kind is OptionKind.PUT
    if holding.settled_at_wad:
        owed_wad = holding.settled_at_wad - holding.strike_wad
        return max(0, -owed_wad if is_put else owed_wad), None
    time_s = max(0, holding.expiry_s - market.at_s)
    option = curve(holding.strike_wad, time_s, holding.vol_wad, market.collateral_terms.rate_wad)
    call_wad, put_wad = premiums(option, market.spot_wad)
    return put_wad if is_put else call_wad, to_float(holding.vol_wad)
