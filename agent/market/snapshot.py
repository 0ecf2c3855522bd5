"""Everything the agent knows, all of it at one block hash."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, TypeGuard, runtime_checkable

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


@runtime_checkable
class Massed(VenueState, Protocol):
    """A state of many holdings that answers for all of them at once what is asked in every block, without
    listing them. What it says is what the lists say, to the last bit.
    """

    def exposures(self, greek: str) -> Mapping[str, Sequence[float]]:
        """The "delta", "gamma" or "vega" of its positions, one by one, by asset; units as in ``Greeks``."""
        ...

    @property
    def postings(self) -> Sequence[tuple[CollateralKind, str, Address]]:
        """The kinds of its margin accounts: what is posted, on which asset, in which token."""
        ...

    def is_calm(self, distance: float, within_s: float) -> bool:
        """Whether it is certain that no move of up to ``distance`` either way, and no wait of up to
        ``within_s`` at standing prices, liquidates any of its accounts, with a unit of the token to spare.
        """
        ...


@dataclass(frozen=True, slots=True)
class Wallet:
    """What the account itself holds."""

    native_wei: int
    balances: tuple[Amount, ...]

    def balance_wad(self, token: Address) -> int:
        """The balance of ``token`` at 18 decimals; 0 if it is not tracked."""
        return sum(amount.wad for amount in self.balances if amount.token.address == token)


@dataclass(frozen=True)
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

    @cached_property
    def positions(self) -> tuple[Position, ...]:
        """Every holding, the wallet's included."""
        return tuple(p for state in self.venues for p in state.positions) + self.wallet_positions

    @cached_property
    def margins(self) -> tuple[MarginAccount, ...]:
        """Every margin account."""
        return tuple(m for state in self.venues for m in state.margins)

    @cached_property
    def postings(self) -> tuple[tuple[CollateralKind, str, Address], ...]:
        """Each kind of margin account once: what is posted, on which asset, in which token."""
        kinds: dict[tuple[CollateralKind, str, Address], None] = {}
        for state in self.venues:
            if is_massed(state):
                kinds |= dict.fromkeys(state.postings)
            else:
                kinds |= dict.fromkeys(
                    (m.collateral_kind, m.asset, m.collateral_token.address) for m in state.margins
                )
        return tuple(kinds)

    @cached_property
    def quote_tokens(self) -> tuple[Address, ...]:
        """The tokens that count as cash, each once: quote collateral first, then what spot is paid in."""
        posted = (token for kind, _, token in self.postings if kind is CollateralKind.QUOTE)
        offers = (offer.cash_token for state in self.venues for offer in state.offers)
        traded = (token.address for token in offers if token is not None)
        return tuple(dict.fromkeys((*posted, *traded)))

    def exposures(self, greek: str) -> dict[str, list[float]]:
        """The "delta", "gamma" or "vega" of every holding, by asset; units as in ``Greeks``."""
        found: dict[str, list[float]] = {}
        for state in self.venues:
            if is_massed(state):
                for asset, values in state.exposures(greek).items():
                    found.setdefault(asset, []).extend(values)
                continue
            for position in state.positions:
                found.setdefault(position.instrument.asset, []).append(getattr(position.greeks, greek))
        for position in self.wallet_positions:
            found.setdefault(position.instrument.asset, []).append(getattr(position.greeks, greek))
        return found


def is_massed(state: VenueState) -> TypeGuard[Massed]:
    """As isinstance says, which is slow for a protocol and asked in every block."""
    return hasattr(type(state), "exposures")
