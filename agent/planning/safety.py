"""Whether an account survives the stated stress: its exact model, asked along the way there and back."""

from __future__ import annotations

from agent.market.margin import MarginAccount, Prices, is_fundable
from agent.risk.liquidation import betas_of, moved
from agent.risk.remedy import collateral_to, ratios_within, reach_wad
from agent.values.fixed import WAD


def edges(distance: float) -> tuple[int, ...]:
    """The ratios (wad) to the present prices where a straight requirement is worst: both ends, and now."""
    reach = reach_wad(distance)
    return (max(0, WAD - reach), WAD, WAD + reach)


def slack_wad(account: MarginAccount, ratio_wad: int) -> int:
    """Equity less requirement with all prices at ``ratio_wad`` of the present, less a unit of the token.

    In the collateral token at 18 decimals; the unit is for what the contract rounds to its decimals.
    """
    prices = prices_at(account, ratio_wad)
    gap_wad = account.equity_wad(prices, account.at_s) - account.requirement_wad(prices, account.at_s)
    return gap_wad - unit_wad(account)


def prices_at(account: MarginAccount, ratio_wad: int) -> Prices:
    """The account's prices when what moves with the market is at ``ratio_wad`` of what it is now."""
    return moved(account.prices, ratio_wad, betas_of(account))


def unit_wad(account: MarginAccount) -> int:
    """The smallest amount of the collateral token at 18 decimals."""
    return int(10 ** max(0, 18 - account.collateral_token.decimals))


class Ledger:
    """What accounts have left at each ratio of their prices, each asked once. Lives as long as one plan."""

    def __init__(self) -> None:
        self._left: dict[tuple[int, int], int] = {}
        self._lost: dict[tuple[int, int], bool] = {}
        self._ways: dict[tuple[int, float], tuple[int, ...]] = {}
        self._kept: dict[int, MarginAccount] = {}  # keeps the identities that are the keys

    def left_wad(self, account: MarginAccount, ratio_wad: int) -> int:
        """Equity less requirement, wad of the token."""
        key = (id(account), ratio_wad)
        if key not in self._left:
            self._kept[id(account)] = account
            prices = prices_at(account, ratio_wad)
            equity_wad = account.equity_wad(prices, account.at_s)
            self._left[key] = equity_wad - account.requirement_wad(prices, account.at_s)
        return self._left[key]

    def is_lost(self, account: MarginAccount, ratio_wad: int) -> bool:
        """The contract's predicate."""
        key = (id(account), ratio_wad)
        if key not in self._lost:
            self._kept[id(account)] = account
            prices = prices_at(account, ratio_wad)
            self._lost[key] = account.is_liquidatable(prices, account.at_s)
        return self._lost[key]

    def way(self, account: MarginAccount, distance: float) -> tuple[int, ...]:
        """The ratios (wad) that are looked at on the way to ``distance``, both ways, and the middles."""
        key = (id(account), distance)
        if key not in self._ways:
            self._kept[id(account)] = account
            half = reach_wad(distance) // 2
            ratios = {*ratios_within(account, distance), max(0, WAD - half), WAD + half}
            self._ways[key] = tuple(sorted(ratios))
        return self._ways[key]

    def slack_wad(self, account: MarginAccount, ratio_wad: int) -> int:
        """As `slack_wad`."""
        return self.left_wad(account, ratio_wad) - unit_wad(account)

    def short_wad(self, account: MarginAccount, distance: float) -> int:
        """The collateral to add so that nothing on the way to ``distance`` liquidates; < 0: to spare.

        As `risk.remedy.collateral_to`, at every point that `danger` looks at.
        """
        if is_fundable(account):
            return collateral_to(account, distance)
        return max(-self.left_wad(account, ratio) for ratio in self.way(account, distance)) + unit_wad(
            account
        )

    def danger(self, account: MarginAccount, distance: float, added_wad: int = 0) -> int | None:
        """The ratio (wad) within ``distance`` at which the account is nearest to liquidation, if any.

        ``added_wad`` is collateral paid in: by the port's promise it raises equity by exactly that, and where
        the port does not promise it, the model says what the account is then. None: the
        model liquidates it nowhere on the way, neither by its predicate nor by equity against requirement.
        """
        if added_wad and is_fundable(account):
            account, added_wad = account.funded(added_wad), 0
        worst: tuple[int, int] | None = None
        for ratio_wad in self.way(account, distance):
            left_wad = self.left_wad(account, ratio_wad) + added_wad
            is_bad = left_wad < 0 or (added_wad == 0 and self.is_lost(account, ratio_wad))
            if is_bad and (worst is None or left_wad < worst[0]):
                worst = (left_wad, ratio_wad)
        return None if worst is None else worst[1]

    def is_no_worse(self, after: MarginAccount, before: MarginAccount, distance: float) -> bool:
        """Whether ``after`` has at least as much left as ``before`` wherever it has less than it needs."""
        pairs = ((self.left_wad(after, r), self.left_wad(before, r)) for r in self.way(after, distance))
        return all(left_wad >= min(0, had_wad) for left_wad, had_wad in pairs)
