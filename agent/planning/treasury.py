"""Where collateral comes from and where it goes: wallet first, then idle margin, then closing positions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from agent.market.intent import Action, AddCollateral, Reduce, RemoveCollateral
from agent.market.margin import CollateralKind, MarginAccount
from agent.market.position import Position
from agent.market.snapshot import Snapshot
from agent.planning.policy import Policy
from agent.risk.liquidation import collateral_to
from agent.values.address import Address
from agent.values.fixed import BPS, WAD, decimal, from_float, mul_down, mul_up


@dataclass(frozen=True, slots=True)
class Treasury:
    """What the wallet can pay with: ``by_token`` per collateral token, wad; ``cash_wad`` is the quote."""

    quote: Address | None
    by_token: Mapping[Address, int]
    asset_tokens: Mapping[str, Address]

    @staticmethod
    def of(snapshot: Snapshot, policy: Policy) -> Treasury:
        """The wallet's tokens less the reserve of quote the policy keeps."""
        quote = next(
            (
                a.collateral_token.address
                for a in snapshot.margins
                if a.collateral_kind is CollateralKind.QUOTE
            ),
            None,
        )
        by_token = {amount.token.address: amount.wad for amount in snapshot.wallet.balances}
        if quote is not None:
            by_token[quote] = max(0, by_token.get(quote, 0) - policy.cash_reserve_wad)
        tokens = {
            a.asset: a.collateral_token.address
            for a in snapshot.margins
            if a.collateral_kind is CollateralKind.BASE
        }
        for position in snapshot.wallet_positions:
            tokens.setdefault(position.instrument.asset, Address(position.key.rpartition(":")[2]))
        return Treasury(quote, by_token, tokens)

    @property
    def cash_wad(self) -> int:
        """Quote that may be spent."""
        return 0 if self.quote is None else self.by_token.get(self.quote, 0)

    def spend(self, amount_wad: int) -> Treasury:
        """After paying (or, negative, receiving) quote."""
        if self.quote is None:
            return self
        return replace(self, by_token={**self.by_token, self.quote: max(0, self.cash_wad - amount_wad)})

    def spot_capacity_wad(self, asset: str, sign: int, price_wad: int) -> int:
        """How much of the asset the wallet can buy (with half its cash) or sell."""
        if sign < 0:
            token = self.asset_tokens.get(asset)
            return 0 if token is None else self.by_token.get(token, 0)
        return self.cash_wad // 2 * WAD // max(price_wad, 1)


@dataclass(frozen=True, slots=True)
class Funding:
    """The collateral moves, why, and which floors they cannot restore."""

    actions: tuple[Action, ...]
    reasons: tuple[str, ...]
    unmet: tuple[str, ...]
    delta_change_wad: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Need:
    account: MarginAccount
    floor_wad: int  # brings it just above its floor
    target_wad: int  # brings it to its target


def fund(
    accounts: Mapping[str, MarginAccount], snapshot: Snapshot, policy: Policy, treasury: Treasury
) -> Funding:
    """Bring every account that is below its floor to its target, with the least disturbance.

    Cash comes from the wallet, then from accounts with more than they need, then from closing the
    positions that are nearest to liquidation. When there is not enough, floors come before targets.
    """
    floor, target = float(policy.floor_distance), float(policy.target_distance)
    needs: list[_Need] = []
    for account in accounts.values():
        floor_wad = collateral_to(account, floor)
        if floor_wad <= 0:
            continue
        target_wad = max(
            floor_wad, collateral_to(account, target), policy.min_top_up_wad * _quote_unit(account)
        )
        needs.append(_Need(account, floor_wad, target_wad))
    if not needs:
        return Funding((), (), ())

    reasons = tuple(f"{n.account.key} is nearer to liquidation than {policy.floor_distance}" for n in needs)
    budget = dict(treasury.by_token)
    removals = _release(accounts, needs, policy, budget)
    reductions: list[Action] = []
    delta_change: dict[str, int] = {}
    unmet: list[str] = []
    served = list(needs)
    while served and not _affordable(served, budget, floors=True):
        worst = max(served, key=lambda n: n.floor_wad)
        position = _position(snapshot, worst.account)
        if position is None:
            token = worst.account.collateral_token
            unmet.append(
                f"distance {worst.account.key} needs {decimal(worst.floor_wad):.2f} {token.symbol}, "
                f"wallet and idle margin hold {decimal(budget.get(token.address, 0)):.2f}"
            )
            # pay in what there is: nearer to the floor is better than not
            partial = min(worst.floor_wad, max(0, budget.get(token.address, 0)))
            served[served.index(worst)] = _Need(worst.account, partial, partial)
            if partial == 0:
                served = [n for n in served if n.floor_wad > 0]
            continue
        reduce = _close(position, policy)
        if reduce.max_cost_wad > budget.get(treasury.quote or worst.account.collateral_token.address, 0) + (
            worst.account.collateral_wad if worst.account.collateral_kind is CollateralKind.QUOTE else 0
        ):
            unmet.append(f"closing {position.key} would cost {decimal(reduce.max_cost_wad):.2f} quote")
            served.remove(worst)
            continue
        reductions.append(reduce)
        asset = position.instrument.asset
        delta_change[asset] = delta_change.get(asset, 0) - from_float(position.greeks.delta)
        token_address = worst.account.collateral_token.address
        budget[token_address] = budget.get(token_address, 0) + worst.account.collateral_wad
        if treasury.quote is not None:
            budget[treasury.quote] = budget.get(treasury.quote, 0) - reduce.max_cost_wad
        served.remove(worst)

    additions = _spread(served, budget)
    return Funding((*removals, *reductions, *additions), reasons, tuple(unmet), delta_change)


def _quote_unit(account: MarginAccount) -> int:
    """The smallest top-up is stated in quote, so it binds only accounts that are paid in quote."""
    return 1 if account.collateral_kind is CollateralKind.QUOTE else 0


def _affordable(needs: list[_Need], budget: Mapping[Address, int], *, floors: bool) -> bool:
    total: dict[Address, int] = {}
    for need in needs:
        token = need.account.collateral_token.address
        total[token] = total.get(token, 0) + (need.floor_wad if floors else need.target_wad)
    return all(amount <= budget.get(token, 0) for token, amount in total.items())


def _release(
    accounts: Mapping[str, MarginAccount], needs: list[_Need], policy: Policy, budget: dict[Address, int]
) -> list[Action]:
    """Take idle collateral out of accounts far beyond their target, only as much as is missing."""
    in_need = {need.account.key for need in needs}
    removals: list[Action] = []
    for account in accounts.values():
        token = account.collateral_token.address
        missing = sum(
            n.target_wad for n in needs if n.account.collateral_token.address == token
        ) - budget.get(token, 0)
        if account.key in in_need or missing <= 0:
            continue
        idle = min(account.removable_wad, -collateral_to(account, float(policy.release_distance)))
        amount = min(idle, missing)
        if amount > policy.min_top_up_wad * _quote_unit(account) and amount > 0:
            removals.append(RemoveCollateral(account.venue, account.key, amount))
            budget[token] = budget.get(token, 0) + amount
    return removals


def _spread(needs: list[_Need], budget: Mapping[Address, int]) -> list[Action]:
    """Floors in full, then whatever is left shared towards the targets in proportion."""
    additions: list[Action] = []
    for token in {need.account.collateral_token.address for need in needs}:
        group = [n for n in needs if n.account.collateral_token.address == token]
        left = budget.get(token, 0) - sum(n.floor_wad for n in group)
        wanted = sum(n.target_wad - n.floor_wad for n in group)
        share = WAD if wanted <= left else max(0, left) * WAD // max(wanted, 1)
        additions += [
            AddCollateral(
                n.account.venue,
                n.account.key,
                n.floor_wad + mul_down(n.target_wad - n.floor_wad, share),
            )
            for n in group
        ]
    return additions


def _position(snapshot: Snapshot, account: MarginAccount) -> Position | None:
    """The position an account stands for, where it stands for one (Lyra: one account per short)."""
    return next((p for p in snapshot.positions if p.key == account.key), None)


def _close(position: Position, policy: Policy) -> Reduce:
    mark_wad = mul_up(abs(position.size_wad), position.mark_wad)
    return Reduce(
        position.venue,
        position.key,
        abs(position.size_wad),
        mark_wad * (BPS + policy.close_premium_bps) // BPS,
    )
