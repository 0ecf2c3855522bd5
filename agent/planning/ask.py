"""What is due in a book: which deltas to trade back, which accounts to top up, which Greeks to bring in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from agent.market.margin import MarginAccount
from agent.market.offer import Offer
from agent.market.snapshot import Snapshot
from agent.planning.carry import Expected
from agent.planning.curve import Curves
from agent.planning.pending import NOTHING, Pending, exposures, naked_usd_s, room_wad
from agent.planning.policy import Policy
from agent.planning.treasury import Treasury
from agent.risk.assessment import Assessment
from agent.values.fixed import from_float, to_float

COMPANY = 2  # a hedge that can ride along with a rescue is due at half the trigger: the block is paid for


@dataclass(frozen=True, slots=True)
class Ask:
    """One question to the planner. ``deltas_wad`` count what is on its way (``pending``) as filled,
    ``open_wad`` are those of what is held; both are to stay in the band. ``naked``: what open requests
    leave naked, quote x seconds. ``due`` are the assets whose delta is to be traded back to zero (or what is
    held of it to what may wait), with whether that is urgent: outside its band, or more than may wait;
    ``needy`` the accounts nearer to liquidation than the guard distance, with the collateral (wad) that would
    bring them just there;
    ``greeks`` the (greek, asset) out of their bands.
    """

    snapshot: Snapshot
    assessment: Assessment
    policy: Policy
    treasury: Treasury
    curves: Curves
    with_hedge: bool
    with_margin: bool
    deltas_wad: Mapping[str, int]
    due: Mapping[str, bool]
    needy: Mapping[str, int]
    greeks: tuple[tuple[str, str], ...]
    open_wad: Mapping[str, int]
    pending: Pending = NOTHING
    naked: int = 0

    @property
    def is_idle(self) -> bool:
        """Whether nothing is due."""
        return not (self.due or self.greeks or (self.with_margin and self.needy))

    @property
    def offers(self) -> list[Offer]:
        return [offer for state in self.snapshot.venues for offer in state.offers]

    def room_wad(self, offer: Offer, sign: int) -> int:
        """The most that may be traded there, as of `pending.room_wad`."""
        return room_wad(offer, sign, self.pending, self.naked, self.policy)

    @property
    def accounts(self) -> dict[str, MarginAccount]:
        return {account.key: account for account in self.snapshot.margins}

    def spot(self, asset: str) -> float:
        """Quote per unit: the oracle's, else the first offer's."""
        if asset in self.assessment.spot:
            return self.assessment.spot[asset]
        return next((to_float(offer.price_wad) for offer in self.offers if offer.asset == asset), 0.0)

    def gas(self, units: int) -> float:
        """Quote for so much gas at the block's base fee; 0 where the native coin has no price."""
        price = self.assessment.spot.get(self.policy.native_asset, 0.0)
        return units * self.snapshot.block.base_fee_wei / 1e18 * price


def ask(
    snapshot: Snapshot,
    assessment: Assessment,
    policy: Policy,
    curves: Curves,
    needy: Mapping[str, int],
    pending: Pending = NOTHING,
    *,
    with_hedge: bool,
    with_margin: bool,
) -> Ask:
    """What is due, by the policy's triggers. ``needy`` as of `needy_accounts`."""
    held = {asset: from_float(delta) for asset, delta in assessment.deltas.items()}
    held |= {asset: 0 for asset in pending.assets if asset not in held}
    deltas = {asset: wad + pending.coming_wad(asset) for asset, wad in held.items()}
    due: dict[str, bool] = {}
    broken: list[tuple[str, str]] = []
    if with_hedge:
        for asset, delta_wad in deltas.items():
            trigger_wad = policy.trigger_wad(asset) // (COMPANY if with_margin and needy else 1)
            outside = max(abs(delta_wad), abs(held[asset])) > policy.band_wad(asset)
            open_wad = policy.waiting_wad(asset) if asset in pending.assets else policy.band_wad(asset)
            is_out = abs(held[asset]) > max(open_wad, policy.min_trade_wad)
            if is_out or abs(delta_wad) > max(trigger_wad, policy.min_trade_wad):
                due[asset] = outside or is_out
        for asset, greeks in assessment.by_asset.items():
            for greek, value, bands in (
                ("gamma", greeks.gamma, policy.gamma_band),
                ("vega", greeks.vega, policy.vega_band),
            ):
                if asset in bands and abs(value) > float(bands[asset]):
                    broken.append((greek, asset))
    return Ask(
        snapshot,
        assessment,
        policy,
        Treasury.of(snapshot, policy),
        curves,
        with_hedge,
        with_margin,
        deltas,
        due,
        needy,
        tuple(broken),
        held,
        pending,
        naked_usd_s(exposures(pending.requests, snapshot, policy)),
    )


def needy_accounts(
    snapshot: Snapshot, policy: Policy, curves: Curves, pending: Pending = NOTHING
) -> dict[str, int]:
    """The accounts that the policy's guard distance would liquidate, with what brings each just there.
    Collateral that is on its way by a request counts: it is not to be paid twice.
    """
    found = {}
    for account in snapshot.margins:
        floor_wad = curves.ledger.short_wad(account, policy.guard_distance)
        if floor_wad - pending.collateral_wad(account.key) <= 0:
            continue
        if floor_wad > 0:
            found[account.key] = floor_wad
    return found


def curves_of(policy: Policy, expected: Expected | None) -> Curves:
    """Nothing looked at yet."""
    return Curves(policy, expected)
