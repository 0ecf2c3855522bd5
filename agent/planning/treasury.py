"""Where collateral comes from and where it goes: wallet first, then idle margin, then closing positions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from agent.market.intent import Action, AddCollateral, Reduce, RemoveCollateral
from agent.market.margin import CollateralKind, MarginAccount
from agent.market.position import Position
from agent.market.snapshot import Snapshot
from agent.planning.pending import NOTHING, Pending, late_venues
from agent.planning.policy import Policy
from agent.risk.remedy import collateral_to
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
        quote = next(iter(snapshot.quote_tokens), None)
        by_token = {amount.token.address: amount.wad for amount in snapshot.wallet.balances}
        if quote is not None:
            by_token[quote] = max(0, by_token.get(quote, 0) - policy.cash_reserve_wad)
        tokens = {asset: token for kind, asset, token in snapshot.postings if kind is CollateralKind.BASE}
        for position in snapshot.wallet_positions:
            tokens.setdefault(position.instrument.asset, Address(position.key.rpartition(":")[2]))
        return Treasury(quote, by_token, tokens)

    @property
    def cash_wad(self) -> int:
        """Quote that may be spent."""
        return 0 if self.quote is None else self.by_token.get(self.quote, 0)

    def traded(self, asset: str, size_wad: int, paid_wad: int) -> Treasury:
        """After a spot trade that costs ``paid_wad`` of quote (negative: brings it). A purchase is not
        counted until it has happened; a sale's proceeds neither, since their price is not certain.
        """
        left = dict(self.by_token)
        token = self.asset_tokens.get(asset)
        if size_wad < 0 and paid_wad < 0 and token is not None:
            left[token] = max(0, left.get(token, 0) + size_wad)
        if paid_wad > 0 and self.quote is not None:
            left[self.quote] = max(0, self.cash_wad - paid_wad)
        return replace(self, by_token=left)

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
    accounts: Mapping[str, MarginAccount],
    snapshot: Snapshot,
    policy: Policy,
    treasury: Treasury,
    pending: Pending = NOTHING,
) -> Funding:
    """Bring every account that is below its floor to its target, with the least disturbance.

    Cash comes from the wallet, then from accounts with more than they need, then from closing the
    positions that are nearest to liquidation. When there is not enough, the nearest to liquidation is paid
    first, and floors come before targets. What a keeper brings some time pays for nothing, and what is on its
    way to an account is not paid again.
    """
    needs = _needs(accounts, policy)
    needs = [need for need in needs if need.floor_wad > pending.collateral_wad(need.account.key)]
    if not needs:
        return Funding((), (), ())

    reasons = tuple(f"{n.account.key} is nearer to liquidation than {policy.floor_distance}" for n in needs)
    budget = dict(treasury.by_token)
    late = late_venues(snapshot)
    prompt = {key: account for key, account in accounts.items() if account.venue not in late}
    removals = _release(prompt, needs, policy, budget)
    reductions: list[Action] = []
    delta_change: dict[str, int] = {}
    unmet: list[str] = []
    open_needs = sorted(needs, key=_urgency)
    for need in tuple(open_needs):
        token = need.account.collateral_token
        missing_wad = _missing(open_needs, budget, token.address)
        if missing_wad <= 0:
            continue
        position = _position(snapshot, need.account) if need.account.key in prompt else None
        reduce = _close(position, policy) if position is not None else None
        if position is not None and reduce is not None and _payable(need.account, reduce, treasury, budget):
            reductions.append(reduce)
            asset = position.instrument.asset
            delta_change[asset] = delta_change.get(asset, 0) - from_float(position.greeks.delta)
            budget[token.address] = budget.get(token.address, 0) + need.account.collateral_wad
            if treasury.quote is not None:
                budget[treasury.quote] = budget.get(treasury.quote, 0) - reduce.max_cost_wad
            open_needs.remove(need)
            continue
        unmet.append(
            f"distance {need.account.key} needs {decimal(need.floor_wad):.2f} {token.symbol}, wallet and "
            f"idle margin are {decimal(missing_wad):.2f} {token.symbol} short of what all accounts need"
        )
    additions = _spread(open_needs, budget)
    return Funding((*removals, *reductions, *additions), reasons, tuple(unmet), delta_change)


def any_due(accounts: Mapping[str, MarginAccount], policy: Policy) -> bool:
    """Whether any account is below its floor."""
    return any(collateral_to(a, policy.guard_distance) > 0 for a in accounts.values())


def _needs(accounts: Mapping[str, MarginAccount], policy: Policy) -> list[_Need]:
    needs = []
    for account in accounts.values():
        floor_wad = collateral_to(account, policy.guard_distance)
        if floor_wad <= 0:
            continue
        target_wad = max(
            floor_wad,
            collateral_to(account, float(policy.target_distance)),
            policy.min_top_up_wad * _quote_unit(account),
        )
        needs.append(_Need(account, floor_wad, target_wad))
    return needs


def _urgency(need: _Need) -> tuple[bool, float]:
    """Sorts the nearest to liquidation first: by how much of the floor's requirement is missing."""
    account = need.account
    now = account.is_liquidatable(account.prices, account.at_s)
    return not now, -need.floor_wad / max(1, account.collateral_wad + need.floor_wad)


def _missing(needs: list[_Need], budget: Mapping[Address, int], token: Address) -> int:
    asked = sum(n.floor_wad for n in needs if n.account.collateral_token.address == token)
    return asked - budget.get(token, 0)


def _payable(
    account: MarginAccount, reduce: Reduce, treasury: Treasury, budget: Mapping[Address, int]
) -> bool:
    """Whether the close can be paid: out of its own collateral where that is quote, then the wallet."""
    cash_wad = 0 if treasury.quote is None else budget.get(treasury.quote, 0)
    own_wad = account.collateral_wad if account.collateral_kind is CollateralKind.QUOTE else 0
    return reduce.max_cost_wad <= cash_wad + own_wad


def _quote_unit(account: MarginAccount) -> int:
    """The smallest top-up is stated in quote, so it binds only accounts that are paid in quote."""
    return 1 if account.collateral_kind is CollateralKind.QUOTE else 0


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
    """Floors in the order given as far as the budget goes, then what is left towards the targets."""
    additions: list[Action] = []
    for token in dict.fromkeys(need.account.collateral_token.address for need in needs):
        group = [n for n in needs if n.account.collateral_token.address == token]
        left = max(0, budget.get(token, 0))
        floors = []
        for need in group:
            floors.append(min(need.floor_wad, left))
            left -= floors[-1]
        wanted = sum(n.target_wad - n.floor_wad for n in group)
        share = WAD if wanted <= left else left * WAD // max(wanted, 1)
        for need, floor_wad in zip(group, floors, strict=True):
            amount_wad = floor_wad + mul_down(need.target_wad - need.floor_wad, share)
            if amount_wad > 0:
                additions.append(AddCollateral(need.account.venue, need.account.key, amount_wad))
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
