"""How to leave a venue: what to close there, what that costs now, and what has to be done by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from agent.errors import PlanInfeasible, VenueUnknown
from agent.market.instrument import LiquidityRange, Option, Spot
from agent.market.intent import Action, Order, Reduce, Trade
from agent.market.position import Position
from agent.market.request import RequestingState
from agent.market.snapshot import Snapshot, VenueState
from agent.planning.ask import curves_of
from agent.planning.curve import Curves
from agent.planning.item import close_bill_wad
from agent.planning.policy import Policy
from agent.values.fixed import BPS, WAD, decimal, mul_up

Writer = Callable[[Action], Order]


@dataclass(frozen=True, slots=True)
class Step:
    """One close. ``cost_wad``: quote lost against the mark; of an option the most the policy allows for it.
    ``refusal``: why the venue would not take it now, "" if it would.
    """

    key: str
    action: Action
    cost_wad: int
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class Exit:
    """Leaving one venue. ``by_s``: when it has to be done (seconds since 1970), None if nobody knows.

    ``left``: what no action of ours closes or brings home, in words.
    """

    venue: str
    by_s: int | None
    steps: tuple[Step, ...]
    left: tuple[str, ...]

    @property
    def is_needed(self) -> bool:
        """Whether anything is there."""
        return bool(self.steps or self.left)

    @property
    def cost_wad(self) -> int:
        return sum(step.cost_wad for step in self.steps)


def exit_of(snapshot: Snapshot, venue: str, policy: Policy, write: Writer) -> Exit:
    """The exit from ``venue`` at this snapshot. Pure but for ``write``, which asks the venue's writer.

    Raises VenueUnknown if the snapshot has no such venue.
    """
    state = snapshot.venue(venue)
    curves = curves_of(policy, None)
    steps: list[Step] = []
    left: list[str] = []
    for position in state.positions:
        if position.size_wad == 0:
            continue
        found = _close(state, position, policy, curves)
        steps += [Step(s.key, s.action, s.cost_wad, _refusal(write, s.action)) for s in found]
        closed_wad = sum(abs(s.action.size_wad) for s in found if isinstance(s.action, Trade | Reduce))
        open_wad = abs(position.size_wad) - closed_wad
        if not found:
            left.append(f"{decimal(position.size_wad):f} of {position.key} have to be taken out by hand")
        elif open_wad > 0:
            left.append(f"{decimal(open_wad):f} of {position.key} are more than the market takes at once")
    for margin in state.margins:
        if margin.collateral_wad > 0:
            left.append(
                f"{decimal(margin.collateral_wad):f} {margin.collateral_token.symbol} of {margin.key} "
                "are to be withdrawn once it is closed"
            )
    if isinstance(state, RequestingState):
        left += [
            f"order {one.key} of {decimal(one.size_wad):f} {one.asset} waits for its keeper: it is to be "
            "filled or taken back"
            for one in state.requests
            if one.is_open
        ]
    left_s = snapshot.standing(venue).ends_in_s
    by_s = None if left_s is None else snapshot.block.timestamp_s + left_s
    return Exit(venue, by_s, tuple(steps), tuple(left))


def _close(state: VenueState, position: Position, policy: Policy, curves: Curves) -> list[Step]:
    """The planner's own reduction of one position: none where there is no way to trade it here."""
    size_wad = abs(position.size_wad)
    if isinstance(position.instrument, Option):
        bill_wad = close_bill_wad(position, size_wad, policy)
        action = Reduce(position.venue, position.key, size_wad, bill_wad)
        return [Step(position.key, action, bill_wad - mul_up(size_wad, position.mark_wad))]
    if isinstance(position.instrument, LiquidityRange):  # comes out at the pool's price
        slack_wad = mul_up(abs(position.value_wad), policy.urgent_slippage_bps * WAD // BPS)
        return [Step(position.key, Reduce(position.venue, position.key, size_wad, slack_wad), 0)]
    if isinstance(position.instrument, Spot):  # collateral: it is withdrawn, not sold
        return []
    for offer in state.offers:
        if offer.market != position.instrument.market or offer.cash_token is not None:
            continue
        sign = -1 if position.size_wad > 0 else 1
        most_wad = min(size_wad, offer.max_buy_wad if sign > 0 else offer.max_sell_wad)
        if most_wad <= 0:
            return []
        limit_wad = curves.limit_price_wad(offer, sign * most_wad, is_urgent=True)
        trade = Trade(position.venue, offer.market, sign * most_wad, limit_wad)
        return [Step(position.key, trade, offer.cost_wad(sign * most_wad))]
    return []


def _refusal(write: Writer, action: Action) -> str:
    try:
        write(action)
    except (PlanInfeasible, VenueUnknown) as error:
        return error.sentence.removesuffix(".")
    return ""
