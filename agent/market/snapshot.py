"""Everything the agent knows, all of it at one block hash."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from agent.errors import VenueUnknown
from agent.market.margin import CollateralKind, MarginAccount
from agent.market.offer import Offer
from agent.market.position import Position
from agent.market.standing import Access, Standing
from agent.values.address import Address, ChainId, MarketId
from agent.values.amount import Amount
from agent.values.block import Block


@dataclass(frozen=True, slots=True)
class Quote:
    """One market's prices. ``funding_per_day_wad``: what one unit long pays per day per unit of notional
    (a fraction, wad; negative when shorts pay); 0 where there is no funding.
    """

    venue: str
    market: MarketId
    asset: str
    index_wad: int  # the oracle price
    mark_wad: int  # the venue's own price, as its margin check uses it
    funding_per_day_wad: int = 0


class VenueState(Protocol):
    """What every venue can say of one account; each venue's own frozen class holds more beside it."""

    @property
    def venue(self) -> str: ...

    @property
    def quotes(self) -> Sequence[Quote]: ...

    @property
    def positions(self) -> Sequence[Position]: ...

    @property
    def margins(self) -> Sequence[MarginAccount]: ...

    @property
    def offers(self) -> Sequence[Offer]:
        """Ways to trade delta here now; empty if the venue cannot."""
        ...


@dataclass(frozen=True, slots=True)
class Wallet:
    """What the account itself holds."""

    native_wei: int
    balances: tuple[Amount, ...]

    def balance_wad(self, token: Address) -> int:
        """The balance of ``token`` at 18 decimals; 0 if it is not tracked."""
        return sum(amount.wad for amount in self.balances if amount.token.address == token)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One account on every venue at one block."""

    chain_id: ChainId
    account: Address
    block: Block
    wallet: Wallet
    venues: tuple[VenueState, ...]
    wallet_positions: tuple[Position, ...] = ()  # tokens of the wallet that carry delta
    standings: tuple[Standing, ...] = ()  # of the venues of which more is known than that they are there

    def venue(self, name: str) -> VenueState:
        """The state of one venue. Raises VenueUnknown."""
        for state in self.venues:
            if state.venue == name:
                return state
        raise VenueUnknown(name=name, known=", ".join(state.venue for state in self.venues))

    def standing(self, venue: str) -> Standing:
        """How a venue stands; open, where nothing is said."""
        return next((one for one in self.standings if one.venue == venue), Standing(venue))

    @property
    def shut(self) -> frozenset[str]:
        """The venues where nothing is traded: only looked at, or ended."""
        closed = {Access.WATCH, Access.LEAVE}
        return frozenset(standing.venue for standing in self.standings if standing.access in closed)

    @property
    def positions(self) -> tuple[Position, ...]:
        """Every holding, the wallet's included."""
        return tuple(p for state in self.venues for p in state.positions) + self.wallet_positions

    @property
    def margins(self) -> tuple[MarginAccount, ...]:
        """Every margin account."""
        return tuple(m for state in self.venues for m in state.margins)

    @property
    def quote_tokens(self) -> tuple[Address, ...]:
        """The tokens that count as cash, each once: quote collateral first, then what spot is paid in."""
        posted = (m.collateral_token for m in self.margins if m.collateral_kind is CollateralKind.QUOTE)
        traded = (offer.cash_token for state in self.venues for offer in state.offers)
        return tuple(dict.fromkeys(token.address for token in (*posted, *traded) if token is not None))
