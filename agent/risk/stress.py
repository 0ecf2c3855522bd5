"""What a book is worth, and which accounts are liquidated, in many scenarios at once. Pure.

An account is liquidated at the first step of a path at which its venue would do it; what is left of it then
(its worth less the penalty, at least nothing) is money that no longer moves. P&L is against the snapshot,
quote currency, profits positive. Losses are positive.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from agent.market.instrument import Spot
from agent.market.position import Position
from agent.market.scenario import (
    NOW,
    Claim,
    Floats,
    Footing,
    States,
    StressedAccount,
    StressedVenue,
)
from agent.market.snapshot import Snapshot
from agent.risk.pointwise import PointwiseAccount, SlopedClaim
from agent.risk.scenario import Scenario
from agent.values.address import Address
from agent.values.fixed import to_float

Ints = npt.NDArray[np.int64]
NEVER = -1


@dataclass(frozen=True, slots=True)
class SpotClaim:
    """Tokens of the asset itself in the wallet."""

    key: str
    asset: str
    value_wad: int
    token: Address
    venue: str = "wallet"

    def value(self, states: States) -> Floats:
        """Moves with the asset, and with what the token is worth of it."""
        return states.full(to_float(self.value_wad) * states.ratio(self.asset) * states.worth_of(self.token))


@dataclass(frozen=True, slots=True)
class CashClaim:
    """A quote token in the wallet."""

    key: str
    amount_wad: int
    token: Address
    venue: str = "wallet"

    def value(self, states: States) -> Floats:
        """Its face, times what it is worth of it."""
        return states.full(to_float(self.amount_wad) * states.worth_of(self.token))


@dataclass(frozen=True)
class Book:
    """Everything held, each thing once. ``approximate``: keys known only by their Greeks."""

    accounts: tuple[StressedAccount, ...]
    claims: tuple[Claim, ...]
    cash: Mapping[Address, float]
    approximate: tuple[str, ...] = ()

    @property
    def venues(self) -> tuple[str, ...]:
        """The venues with margin accounts."""
        return tuple(dict.fromkeys(account.venue for account in self.accounts))

    @property
    def worth(self) -> float:
        """What all of it is worth now, quote currency."""
        claims = sum(float(claim.value(NOW)[0, 0]) for claim in self.claims)
        return claims + sum(float(account.stand(NOW).worth[0, 0]) for account in self.accounts)


def book_of(snapshot: Snapshot) -> Book:
    """The snapshot as functions of states. A venue without any is seen by its integer model and Greeks."""
    accounts: list[StressedAccount] = []
    claims: list[Claim] = []
    approximate: list[str] = []
    for state in snapshot.venues:
        if isinstance(state, StressedVenue):
            accounts += state.stressed.accounts
            claims += state.stressed.claims
            continue
        spot = {quote.asset: to_float(quote.index_wad) for quote in state.quotes}
        assets = {quote.market: quote.asset for quote in state.quotes}
        sloped = [SlopedClaim(p, spot.get(p.instrument.asset, 0.0)) for p in state.positions]
        for margin in state.margins:
            own = tuple(one for one in sloped if one.position.instrument.market in margin.prices)
            sloped = [one for one in sloped if one not in own]
            accounts.append(PointwiseAccount(margin, assets, spot, own))
        claims += sloped
        approximate += [position.key for position in state.positions]
    cash = {token: to_float(snapshot.wallet.balance_wad(token)) for token in snapshot.quote_tokens}
    claims += [_wallet_claim(position) for position in snapshot.wallet_positions]
    claims += [
        CashClaim(f"wallet:{token}", snapshot.wallet.balance_wad(token), token)
        for token in snapshot.quote_tokens
    ]
    return Book(tuple(accounts), tuple(claims), cash, tuple(approximate))


def _wallet_claim(position: Position) -> Claim:
    if isinstance(position.instrument, Spot):
        token = Address(position.instrument.market.removeprefix("wallet:"))
        return SpotClaim(position.key, position.instrument.asset, position.value_wad, token)
    return SlopedClaim(position, 0.0)


@dataclass(frozen=True)
class Outcome:
    """What a scenario did. First axes: accounts in the book's order, then scenarios, then steps.

    ``pnl`` (scenarios, steps). ``room`` (accounts, scenarios): the lowest headroom on the way, ``present``
    (accounts): today's, both quote currency at the prices of the moment, less than 0 only if liquidated.
    ``at`` (accounts, scenarios): the step of the liquidation or NEVER. ``penalty``, ``topped`` (accounts,
    scenarios): what liquidations took, what the wallet paid in, quote currency.
    """

    scenario: Scenario
    keys: tuple[str, ...]
    venues: tuple[str, ...]
    pnl: Floats
    room: Floats
    present: Floats
    at: Ints
    penalty: Floats
    topped: Floats

    @property
    def end(self) -> Floats:
        """P&L at the end of each scenario."""
        return np.asarray(self.pnl[:, -1])

    @property
    def worst(self) -> Floats:
        """The lowest P&L on the way of each scenario."""
        return np.asarray(self.pnl.min(axis=1))

    def liquidated(self, number: int) -> tuple[str, ...]:
        """The accounts that scenario ``number`` liquidates, the first one first."""
        hit = [
            (int(self.at[i, number]), key) for i, key in enumerate(self.keys) if self.at[i, number] != NEVER
        ]
        return tuple(key for _, key in sorted(hit, key=lambda pair: pair[0]))

    def hours_to(self, key: str, number: int) -> float | None:
        """When the account is liquidated, hours after the snapshot; None for never."""
        step = int(self.at[self.keys.index(key), number])
        return None if step == NEVER else float(self.scenario.states.hours[number, step])


def run(book: Book, scenario: Scenario) -> Outcome:
    """The book in every state of the scenario."""
    states = scenario.states
    count, steps = states.shape
    shape = (len(book.accounts), count)
    feet = [account.stand(states) for account in book.accounts]
    topped = np.zeros((len(feet), count, steps))
    at = np.full(shape, NEVER, dtype=np.int64)
    if scenario.outages is None:
        for i, foot in enumerate(feet):
            at[i] = _first(foot.headroom < 0.0)
    else:
        at = _rescue(book, feet, scenario, topped)
    total = np.full((count, steps), -book.worth)
    for claim in book.claims:
        total += claim.value(states)
    room, present = np.zeros(shape), np.zeros(len(feet))
    penalty, spent = np.zeros(shape), np.zeros(shape)
    rows = np.arange(count)
    for i, (account, foot) in enumerate(zip(book.accounts, feet, strict=True)):
        now = account.stand(NOW)
        present[i] = float((now.headroom * now.unit)[0, 0])
        gone, charged = at[i].copy(), at[i] != NEVER
        closure = scenario.closures.get(account.venue)
        if closure is not None:
            closing = _first(states.hours >= closure.hours)
            early = (closing != NEVER) & ((gone == NEVER) | (closing <= gone))
            gone = np.where(early, closing, gone)
            charged = np.where(early, closure.penalised, charged)
            at[i] = np.where(early, closing if closure.penalised else NEVER, at[i])
        paid_in = np.cumsum(topped[i], axis=1)
        step = np.where(gone == NEVER, steps - 1, gone)
        after = (gone != NEVER)[:, np.newaxis] & (np.arange(steps) >= step[:, np.newaxis])
        taken = np.where(charged, np.maximum(foot.penalty[rows, step], 0.0), 0.0)
        held = foot.worth + paid_in * foot.unit
        bought = np.cumsum(topped[i] * foot.unit, axis=1)
        spent[i] = bought[:, -1]
        left = np.maximum(held[rows, step] - taken, 0.0)
        total += np.where(after, left[:, np.newaxis], held) - bought
        penalty[i] = np.minimum(taken, np.maximum(held[rows, step], 0.0))
        seen = np.where(
            np.arange(steps) <= step[:, np.newaxis], (foot.headroom + paid_in) * foot.unit, np.inf
        )
        room[i] = seen.min(axis=1)
    return Outcome(
        scenario,
        tuple(account.key for account in book.accounts),
        tuple(account.venue for account in book.accounts),
        total,
        room,
        present,
        at,
        penalty,
        spent,
    )


def _first(hit: npt.NDArray[np.bool_]) -> Ints:
    """The first step that is hit, or NEVER."""
    return np.where(hit.any(axis=1), hit.argmax(axis=1), NEVER)


def _rescue(book: Book, feet: list[Footing], scenario: Scenario, topped: Floats) -> Ints:
    """Top up with the wallet's cash what a step would liquidate; fills ``topped``, says what it lost."""
    count, steps = scenario.states.shape
    purse = {token: np.full(count, amount) for token, amount in book.cash.items()}
    at = np.full((len(feet), count), NEVER, dtype=np.int64)
    outages = scenario.outages or {}
    for step in range(steps):
        for i, (account, foot) in enumerate(zip(book.accounts, feet, strict=True)):
            short = -(foot.headroom[:, step] + topped[i].sum(axis=1))
            due = (short > 0.0) & (at[i] == NEVER)
            if not due.any():
                continue
            cash = purse.get(account.collateral_token.address)
            reachable = scenario.states.hours[:, step] >= outages.get(account.venue, 0.0)
            saved = due & reachable & (short <= cash) if cash is not None else np.zeros(count, dtype=np.bool_)
            if cash is not None:
                paid = np.where(saved, short, 0.0)
                topped[i][:, step] = paid
                cash -= paid
            at[i] = np.where(due & ~saved, step, at[i])
    return at


@dataclass(frozen=True, slots=True)
class VenueRisk:
    """Over equally likely scenarios: ``margin_at_risk`` is the quantile of the headroom its accounts lose
    together; ``expected_loss`` the mean of what its liquidations take; ``probability`` the share of the
    scenarios that liquidate any of them. Money is quote currency.
    """

    venue: str
    margin_at_risk: float
    expected_loss: float
    probability: float


def venue_risks(outcome: Outcome, quantile: float) -> tuple[VenueRisk, ...]:
    """One for each venue with accounts. ``quantile`` in (0, 1), e.g. 0.99."""
    found = []
    lost = outcome.present[:, np.newaxis] - outcome.room
    for venue in dict.fromkeys(outcome.venues):
        mine = np.array([name == venue for name in outcome.venues])
        at_risk = float(np.quantile(lost[mine].sum(axis=0), quantile))
        taken = outcome.penalty[mine].sum(axis=0)
        hit = (outcome.at[mine] != NEVER).any(axis=0)
        found.append(VenueRisk(venue, at_risk, float(taken.mean()), float(hit.mean())))
    return tuple(found)


def account_at_risk(outcome: Outcome, quantile: float) -> dict[str, float]:
    """Per account the quantile of the headroom it loses on the way, quote currency."""
    lost = outcome.present[:, np.newaxis] - outcome.room
    return {key: float(np.quantile(lost[i], quantile)) for i, key in enumerate(outcome.keys)}
