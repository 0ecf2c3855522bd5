"""What can be done about a book, as choices of the optimiser: trades, collateral moves, closes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeGuard

from agent.market.instrument import Option
from agent.market.margin import CollateralKind, MarginAccount, ReducibleAccount, TradableAccount
from agent.market.offer import LottedOffer, Offer
from agent.market.position import Position
from agent.planning.carry import Expected, carry_per_unit
from agent.planning.policy import Policy
from agent.planning.problem import Choice
from agent.planning.safety import Ledger, slack_wad
from agent.values.fixed import BPS, from_float, mul_up, ratio_up, to_float

SHARES = (
    1,
    4,
    8,
    12,
    16,
    24,
    32,
    40,
    48,
    56,
    63,
    64,
)  # sixty-fourths of a size at which a curve is looked at first
LADDER = 24  # up to so many lots a curve is looked at on every one
MOVE_PRICE = 1e-7  # of what is moved: breaks ties, so that no more is moved than is of use


@dataclass(frozen=True, slots=True)
class Deal:
    """A trade on ``offer``: up to ``cap_wad`` on the side of ``sign``. ``is_reducing``: of a position there
    is, never beyond it. ``is_urgent``: with the slippage of a delta outside its band.
    """

    offer: Offer
    sign: int
    cap_wad: int
    reach_wad: int
    is_urgent: bool
    is_reducing: bool = False

    @property
    def name(self) -> str:
        side = "reduce" if self.is_reducing else "buy" if self.sign > 0 else "sell"
        return f"{self.offer.market} {side}"

    @property
    def lot_wad(self) -> int:
        return self.offer.lot_wad if isinstance(self.offer, LottedOffer) else 0

    @property
    def is_laddered(self) -> bool:
        """Whether its curve is known at every size there is."""
        return self.lot_wad > 0 and self.cap_wad // self.lot_wad <= LADDER


@dataclass(frozen=True, slots=True)
class Pay:
    """Collateral from the wallet into ``account``."""

    account: MarginAccount
    most_wad: int

    @property
    def name(self) -> str:
        return f"pay {self.account.key}"


@dataclass(frozen=True, slots=True)
class Take:
    """Idle collateral out of ``account`` into the wallet, up to ``cap_wad``."""

    account: MarginAccount
    cap_wad: int

    @property
    def name(self) -> str:
        return f"take {self.account.key}"


@dataclass(frozen=True, slots=True)
class Close:
    """An option position bought or sold back: all of it, or up to three quarters. ``account``: its own."""

    position: Position
    account: MarginAccount | None
    is_whole: bool

    @property
    def name(self) -> str:
        return f"{'close' if self.is_whole else 'trim'} {self.position.key}"


Item = Deal | Pay | Take | Close


@dataclass(slots=True)
class Curves:
    """What offers and accounts said, so that nobody is asked twice; and where curves are looked at."""

    policy: Policy
    expected: Expected | None
    costs: dict[tuple[str, int], int] = field(default_factory=dict)
    needs: dict[tuple[str, int], int] = field(default_factory=dict)
    ledger: Ledger = field(default_factory=Ledger)
    sizes: dict[str, list[int]] = field(default_factory=dict)
    slacks: dict[tuple[str, str, int, int], int] = field(default_factory=dict)

    def cost_wad(self, offer: Offer, size_wad: int) -> int:
        """Fee and impact of a signed size, exactly as the offer says."""
        key = (str(offer.market), size_wad)
        if key not in self.costs:
            self.costs[key] = offer.cost_wad(size_wad)
        return self.costs[key]

    def need_wad(self, offer: Offer, size_wad: int) -> int:
        """The free collateral a signed size takes up."""
        key = (str(offer.market), size_wad)
        if key not in self.needs:
            self.needs[key] = offer.margin_need_wad(size_wad)
        return self.needs[key]

    def carry(self, offer: Offer, sign: int) -> float:
        """Quote per unit on the side of ``sign`` that the policy reckons with."""
        return carry_per_unit(offer, sign, self.policy, self.expected)

    def points(self, deal: Deal) -> list[int]:
        """The sizes a deal's curve is known at, rising, without 0."""
        found = self.sizes.get(deal.name)
        if found is None or found[-1] != deal.cap_wad:
            lot = deal.lot_wad
            if deal.is_laddered:
                found = [lot * n for n in range(1, deal.cap_wad // lot + 1)]
            else:
                shares = (deal.cap_wad * share // 64 for share in SHARES)
                found = sorted({max(lot, size // lot * lot) if lot else size for size in shares} - {0})
            self.sizes[deal.name] = found
        return found

    def look(self, deal: Deal, size_wad: int) -> None:
        """Look at one more size of a curve, and ever nearer to it on both sides."""
        found = self.points(deal)
        lot = deal.lot_wad or 1
        low = max((size for size in found if size < size_wad), default=0)
        high = min((size for size in found if size > size_wad), default=size_wad)
        more = {size_wad}
        for part in (2, 4, 8):
            more |= {size_wad - (size_wad - low) // part, size_wad + (high - size_wad) // part}
        apart = deal.cap_wad // 10**6  # nearer points would tell floats nothing
        for size in sorted(size // lot * lot for size in more):
            if apart < size <= deal.cap_wad and all(abs(size - other) > apart for other in found):
                found.append(size)
        found.sort()

    def deal_limit_wad(self, deal: Deal, size_wad: int) -> int:
        """The limit price of ``size_wad`` (without its sign) of a deal."""
        return self.limit_price_wad(deal.offer, deal.sign * size_wad, is_urgent=deal.is_urgent)

    def limit_price_wad(self, offer: Offer, size_wad: int, *, is_urgent: bool) -> int:
        """The worst average price, fees in, that the trade is sent with."""
        per_unit_wad = ratio_up(self.cost_wad(offer, size_wad), abs(size_wad))
        average_wad = offer.price_wad + (per_unit_wad if size_wad > 0 else -per_unit_wad)
        return self.policy.worse_price_wad(average_wad, size_wad, is_urgent=is_urgent)

    def traded_slack_wad(self, account: TradableAccount, deal: Deal, size_wad: int, ratio: int) -> int:
        """Slack of ``account`` at ``ratio`` after ``size_wad`` (without its sign) at the limit price."""
        key = (account.key, deal.name, size_wad, ratio)
        if key not in self.slacks:
            price_wad = self.deal_limit_wad(deal, size_wad)
            after = account.traded(deal.offer.market, deal.sign * size_wad, price_wad)
            self.slacks[key] = slack_wad(after, ratio)
        return self.slacks[key]


@dataclass(frozen=True, slots=True)
class Point:
    """A row's measure of one account: its slack at ``ratio_wad`` of the prices; ``start_wad`` it is now."""

    measure: str
    account: MarginAccount
    ratio_wad: int
    start_wad: int


def deal_choice(
    deal: Deal, curves: Curves, points: Sequence[Point], gas: float, need: str, cash: str, base: str
) -> Choice:
    """A trade. ``need``, ``cash`` and ``base`` are the measures of initial margin, of the quote it is paid in
    and of the token a sale takes; empty where they do not matter.
    """
    offer, sign, policy = deal.offer, deal.sign, curves.policy
    capacity = f"capacity {deal.name}"
    minimum_wad = policy.min_trade_wad
    if isinstance(offer, LottedOffer):
        minimum_wad = max(minimum_wad, offer.min_size_wad)
    if deal.cap_wad < max(minimum_wad, deal.lot_wad, 1):
        # nothing to be had: the name stands in a conflict, the curve is not known
        reach = to_float(max(deal.reach_wad, 1))
        return Choice(
            deal.name,
            (0.0, reach * 1e-6),
            (0.0, 0.0),
            minimum=reach * 1e-3,
            effects={f"delta {offer.asset}": (0.0, sign * reach * 1e-6)},
            capacity=capacity,
            reach=reach,
        )
    sizes = [0, *curves.points(deal)]
    carry = curves.carry(offer, sign)
    floats = tuple(to_float(size) for size in sizes)
    costs = [0.0]
    costs += [to_float(curves.cost_wad(offer, sign * size)) + carry * to_float(size) for size in sizes[1:]]
    effects: dict[str, tuple[float, ...]] = {f"delta {offer.asset}": tuple(sign * size for size in floats)}
    for point in points:
        account = point.account
        if is_tradable(account) and touches(account, offer):
            column = [0.0]
            column += [
                to_float(curves.traded_slack_wad(account, deal, size, point.ratio_wad) - point.start_wad)
                for size in sizes[1:]
            ]
            effects[point.measure] = tuple(column)
    if need:
        taken = [0.0, *(to_float(curves.need_wad(offer, sign * size)) for size in sizes[1:])]
        effects[need] = tuple(-value for value in taken)
    if cash and sign > 0:
        paid = [0.0]
        for size in sizes[1:]:
            paid.append(to_float(mul_up(size, curves.deal_limit_wad(deal, size))))
        effects[cash] = tuple(-value for value in paid)
    if base and sign < 0:
        effects[base] = tuple(-size for size in floats)
    is_limit = deal.cap_wad < deal.reach_wad or deal.is_reducing
    return Choice(
        deal.name,
        floats,
        tuple(costs),
        fixed_cost=gas,
        lot=to_float(deal.lot_wad),
        minimum=to_float(minimum_wad),
        effects=effects,
        capacity=capacity if is_limit else "",
        lot_limit=f"lot {deal.name}" if deal.lot_wad else "",
        minimum_limit=f"smallest trade {deal.name}",
        reach=to_float(deal.reach_wad),
    )


def pay_choice(
    pay: Pay, points: Sequence[Point], gas: float, wallet: Sequence[str], need: str, minimum_wad: int
) -> Choice:
    """Collateral paid in: every unit of it is a unit of slack everywhere."""
    most = to_float(pay.most_wad)
    effects = {point.measure: (0.0, most) for point in points if point.account.key == pay.account.key}
    effects |= dict.fromkeys(wallet, (0.0, -most))
    if need:
        effects[need] = (0.0, most)
    minimum = min(to_float(minimum_wad), most)
    return Choice(
        pay.name,
        (0.0, most),
        (0.0, most * MOVE_PRICE),
        fixed_cost=gas,
        minimum=minimum,
        effects=effects,
        minimum_limit=f"smallest top-up {pay.account.key}",
    )


def take_choice(
    take: Take, points: Sequence[Point], gas: float, wallet: Sequence[str], need: str, minimum_wad: int
) -> Choice:
    """Collateral taken out."""
    most = to_float(take.cap_wad)
    effects = {point.measure: (0.0, -most) for point in points if point.account.key == take.account.key}
    effects |= dict.fromkeys(wallet, (0.0, most))
    if need:
        effects[need] = (0.0, -most)
    return Choice(
        take.name,
        (0.0, most),
        (0.0, most * MOVE_PRICE),
        fixed_cost=gas,
        minimum=to_float(minimum_wad),
        effects=effects,
        capacity=f"idle collateral {take.account.key}",
        minimum_limit=f"smallest move {take.account.key}",
        reach=most * 100,
    )


def close_choice(
    close: Close,
    points: Sequence[Point],
    policy: Policy,
    gas: float,
    wallet: Callable[[MarginAccount | None], Sequence[str]],
) -> Choice:
    """An option closed. It is reckoned to cost the premium the policy allows, and the whole bill is cash.

    All of it gives the collateral back and leaves nothing that could be liquidated; a part keeps the
    collateral. ``wallet`` names the measures of a token's wallet: the quote's for None.
    """
    position = close.position
    size_wad = abs(position.size_wad)
    whole = to_float(size_wad)
    quarters = (4,) if close.is_whole else (1, 2, 3)
    sizes = (0.0, *(whole * part / 4 for part in quarters))
    bill = to_float(close_bill_wad(position, size_wad, policy))
    premium = to_float(mul_up(size_wad, position.mark_wad)) * policy.close_premium_bps / BPS
    greeks = position.greeks
    asset = position.instrument.asset
    changes = {
        f"delta {asset}": -greeks.delta,
        f"gamma {asset}": -greeks.gamma,
        f"vega {asset}": -greeks.vega,
    }
    if position.size_wad < 0:
        for measure in wallet(None):
            changes[measure] = -bill
    effects = {measure: tuple(total * size / whole for size in sizes) for measure, total in changes.items()}
    once: dict[str, float] = {}
    account = close.account
    if account is not None:
        if close.is_whole:
            for measure in wallet(account):
                once[measure] = to_float(account.collateral_wad)
        for point in points:
            if point.account.key != account.key:
                continue
            if close.is_whole:
                once[point.measure] = max(0.0, -to_float(point.start_wad) * 1.01)
            elif is_reducible(account):
                after = (account.reduced(from_float(size)) for size in sizes[1:])
                effects[point.measure] = (
                    0.0,
                    *(to_float(slack_wad(one, point.ratio_wad) - point.start_wad) for one in after),
                )
    return Choice(
        close.name,
        sizes,
        tuple(premium * size / whole for size in sizes),
        fixed_cost=gas,
        lot=whole if close.is_whole else 0.0,
        minimum=whole if close.is_whole else min(to_float(policy.min_trade_wad), whole),
        effects=effects,
        once=once,
    )


def close_bill_wad(position: Position, size_wad: int, policy: Policy) -> int:
    """The most that closing ``size_wad`` of it may cost."""
    return mul_up(size_wad, position.mark_wad) * (BPS + policy.close_premium_bps) // BPS


def touches(account: MarginAccount, offer: Offer) -> bool:
    """Whether a trade on ``offer`` changes the account."""
    return account.venue == offer.venue and is_tradable(account) and offer.market in account.prices


def is_tradable(account: MarginAccount) -> TypeGuard[TradableAccount]:
    """As isinstance says, which is slow for a protocol and asked thousands of times."""
    return hasattr(type(account), "traded")


def is_reducible(account: MarginAccount) -> TypeGuard[ReducibleAccount]:
    """As isinstance says."""
    return hasattr(type(account), "reduced")


def closable(positions: Sequence[Position], venues: Sequence[str]) -> list[Position]:
    """The option positions a venue could close."""
    return [p for p in positions if isinstance(p.instrument, Option) and p.venue in venues and p.size_wad]


def is_quote(account: MarginAccount) -> bool:
    """Whether its collateral is cash."""
    return account.collateral_kind is CollateralKind.QUOTE


def token_price(account: MarginAccount, spot: Mapping[str, float]) -> float:
    """Quote per unit of the account's collateral."""
    return 1.0 if is_quote(account) else spot.get(account.asset, 0.0)
