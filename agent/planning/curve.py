"""What offers and accounts say along the size of a trade, each question asked once per plan."""

from __future__ import annotations

from dataclasses import dataclass, field

from agent.market.margin import TradableAccount
from agent.market.offer import Offer
from agent.planning.carry import Expected, carry_per_unit
from agent.planning.item import Deal
from agent.planning.pending import is_keeper
from agent.planning.policy import Policy
from agent.planning.safety import Ledger, slack_wad
from agent.values.fixed import ratio_up, to_float

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
)  # sixty-fourths of a size: where a curve is looked at first


@dataclass(slots=True)
class Curves:
    """What offers and accounts said, so that nobody is asked twice; and where curves are looked at."""

    policy: Policy
    expected: Expected | None
    costs: dict[tuple[str, int], int] = field(default_factory=dict)
    needs: dict[tuple[str, int], int] = field(default_factory=dict)
    carries: dict[tuple[str, int], float] = field(default_factory=dict)
    ledger: Ledger = field(default_factory=Ledger)
    sizes: dict[tuple[str, int], list[int]] = field(default_factory=dict)
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
        """Quote per unit on the side of ``sign`` that the policy reckons with, a keeper's risk included."""
        key = (str(offer.market), sign)
        if key not in self.carries:
            carry = carry_per_unit(offer, sign, self.policy, self.expected)
            if is_keeper(offer):
                carry += to_float(offer.price_wad) * float(self.policy.keeper_risk_bps) / 10_000
            self.carries[key] = carry
        return self.carries[key]

    def fixed_wad(self, offer: Offer) -> int:
        """Quote for asking at all."""
        return offer.request_cost_wad if is_keeper(offer) else 0

    def points(self, deal: Deal) -> list[int]:
        """The sizes a deal's curve is known at, rising, without 0."""
        key = (deal.name, deal.cap_wad)
        found = self.sizes.get(key)
        if found is None:
            lot = deal.lot_wad
            if deal.is_laddered:
                found = [lot * n for n in range(1, deal.cap_wad // lot + 1)]
            else:
                shares = (deal.cap_wad * share // 64 for share in SHARES)
                found = sorted({max(lot, size // lot * lot) if lot else size for size in shares} - {0})
            self.sizes[key] = found
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
        key = (account.key, f"{deal.name} {deal.is_urgent}", size_wad, ratio)
        if key not in self.slacks:
            price_wad = self.deal_limit_wad(deal, size_wad)
            after = account.traded(deal.offer.market, deal.sign * size_wad, price_wad)
            self.slacks[key] = slack_wad(after, ratio)
        return self.slacks[key]
