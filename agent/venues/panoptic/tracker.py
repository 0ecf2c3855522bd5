"""One token's collateral: shares, what they are worth, and the interest that a borrower owes. Pure.

Panoptic v2, ``CollateralTracker``: a share is worth total assets over total supply; borrowed tokens pay a
rate that follows the utilisation (``RiskEngine._borrowRate``, an adaptive curve of Morpho's kind) and
compounds in a global index. Rates are wads per second, the index a wad. Time is counted in epochs of 4 s.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from agent.values.fixed import WAD, YEAR_S, div_trunc, mul_div_down, mul_div_up, mul_up

EPOCH_S = 4
ELAPSED_MOST_S = 16_384
UTILISATION_UNIT = 10_000
LN2_WAD = 693147180559945309
LEAST_EXPONENT_WAD = -41446531673892822312  # below it e to the x is less than 1e-18
MOST_EXPONENT_WAD = 93859467695000404319
MOST_EXPONENTIAL_WAD = 57716089161558943949701069502944508345128422502756744429568


@dataclass(frozen=True, slots=True)
class Curve:
    """The engine's rates. ``steepness`` and ``target`` are wads, the others wads per second."""

    steepness: int = 4 * WAD
    target: int = 2 * WAD // 3
    least: int = WAD // 1_000 // YEAR_S
    most: int = 2 * WAD // YEAR_S
    initial: int = 4 * WAD // 100 // YEAR_S
    speed: int = 50 * WAD // YEAR_S

    def rate(self, utilisation_wad: int, rate_at_target: int, elapsed_s: int) -> int:
        """The average rate since the market was last touched: ``_borrowRate``."""
        norm = WAD - self.target if utilisation_wad > self.target else self.target
        error = div_trunc((utilisation_wad - self.target) * WAD, norm)
        if rate_at_target == 0:
            average = self.initial
        else:
            drift = div_trunc(self.speed * error, WAD) * min(elapsed_s, ELAPSED_MOST_S)
            if drift == 0:
                average = rate_at_target
            else:
                end = self._adapted(rate_at_target, drift)
                middle = self._adapted(rate_at_target, div_trunc(drift, 2))
                average = div_trunc(rate_at_target + end + 2 * middle, 4)
        slope = WAD - div_trunc(WAD * WAD, self.steepness) if error < 0 else self.steepness - WAD
        return div_trunc((div_trunc(slope * error, WAD) + WAD) * average, WAD)

    def _adapted(self, rate: int, drift: int) -> int:
        return min(max(div_trunc(rate * exponential(drift), WAD), self.least), self.most)


DEPLOYED = Curve()


@dataclass(frozen=True, slots=True)
class Tracker:
    """The vault of one token. Amounts are raw; ``epoch``: of the last interaction, in 4 s."""

    deposited: int
    in_amm: int
    credited_shares: int
    supply: int  # with the credited shares
    index_wad: int
    epoch: int
    unrealised: int
    rate_at_target: int
    curve: Curve = DEPLOYED

    @property
    def total(self) -> int:
        """``totalAssets``."""
        return self.deposited + self.in_amm + self.unrealised

    @property
    def utilisation(self) -> int:
        """Lent out, in basis points, rounded up."""
        return self._utilisation(UTILISATION_UNIT)

    def assets(self, shares: int) -> int:
        """What shares are worth, rounded down."""
        return mul_div_down(shares, self.total, self.supply)

    def shares(self, assets: int, *, up: bool = False) -> int:
        """What assets are in shares."""
        return (mul_div_up if up else mul_div_down)(assets, self.supply, self.total)

    def index_at(self, at_s: int) -> int:
        """The borrow index at that time if nobody touches the vault before:
        ``_calculateCurrentInterestState``.
        """
        passed_s = (at_s // EPOCH_S - self.epoch) % 2**32 * EPOCH_S
        if passed_s == 0:
            return self.index_wad
        elapsed_s = at_s // EPOCH_S * EPOCH_S - self.epoch * EPOCH_S
        rate = self.curve.rate(self._utilisation(WAD), self.rate_at_target, elapsed_s)
        return mul_up(self.index_wad, WAD + compounded(rate, passed_s))

    def accrued(self, at_s: int) -> Tracker:
        """After the interest of all borrowers up to that time is booked."""
        index_wad, passed_s = self.index_at(at_s), (at_s // EPOCH_S - self.epoch) % 2**32 * EPOCH_S
        if passed_s == 0:
            return self
        rate = self.curve.rate(self._utilisation(WAD), self.rate_at_target, passed_s)
        owed = mul_up(self.in_amm, compounded(rate, passed_s))
        return replace(self, index_wad=index_wad, epoch=at_s // EPOCH_S, unrealised=self.unrealised + owed)

    @property
    def withdrawable(self) -> int:
        """What the vault has in hand for everybody together."""
        return max(0, max(0, self.deposited - 1) - self.assets(self.credited_shares))

    def deposited_by(self, assets: int) -> tuple[Tracker, int]:
        """The vault after so much was paid in (or, below zero, taken out), and the change of the shares."""
        change = self.shares(assets) if assets >= 0 else -self.shares(-assets, up=True)
        return replace(self, deposited=self.deposited + assets, supply=self.supply + change), change

    def _utilisation(self, unit: int) -> int:
        return mul_div_up(self.in_amm + self.unrealised, unit, self.total)


@dataclass(frozen=True, slots=True)
class Stake:
    """What one account has in a tracker. ``borrowed`` is net: below zero it has lent."""

    tracker: Tracker
    shares: int
    borrowed: int
    index_wad: int  # the borrow index it last settled at

    @property
    def assets(self) -> int:
        """Before interest."""
        return self.tracker.assets(self.shares)

    def interest(self, at_s: int) -> int:
        """Owed at that time, rounded up: ``_getUserInterest``."""
        if self.borrowed <= 0 or self.index_wad == 0:
            return 0
        return mul_div_up(self.borrowed, self.tracker.index_at(at_s) - self.index_wad, self.index_wad)

    def settled(self, at_s: int) -> Stake:
        """After the interest up to that time is paid in shares: ``_accrueInterest``. What was owed in the
        vault's books leaves them again, so its total stays.
        """
        tracker, owed = self.tracker, self.interest(at_s)
        accrued = tracker.accrued(at_s)
        burnt = min(accrued.shares(owed, up=True), self.shares)
        paid = replace(
            accrued,
            supply=accrued.supply - burnt,
            unrealised=accrued.unrealised - min(owed, accrued.unrealised),
        )
        return replace(self, tracker=paid, shares=self.shares - burnt, index_wad=paid.index_wad)

    def borrowed_by(self, amount: int, into_amm: int, fee_bps: int) -> Stake:
        """After a mint lends ``amount`` (> 0) and the vault pays ``into_amm`` into the Uniswap pool (< 0:
        takes out): what is not spent is the borrower's as shares; then the fee is taken (``settleMint``).
        """
        tracker, left = self.tracker, into_amm - amount
        change = -tracker.shares(left, up=True) if left > 0 else tracker.shares(-left)
        fee = mul_div_up(abs(amount), fee_bps, UTILISATION_UNIT)
        fee_shares = tracker.shares(fee, up=True)
        lent = replace(
            tracker,
            deposited=tracker.deposited - into_amm,
            in_amm=tracker.in_amm + amount,
            supply=tracker.supply + change - fee_shares,
        )
        return Stake(lent, self.shares + change - fee_shares, self.borrowed + amount, self.index_wad)

    def paid_in(self, assets: int) -> Stake:
        """After so much was paid in (or, below zero, taken out)."""
        tracker, change = self.tracker.deposited_by(assets)
        return replace(self, tracker=tracker, shares=max(0, self.shares + change))


def compounded(rate: int, seconds: int) -> int:
    """Three terms of e to the rate times time, less one, a wad: ``Math.wTaylorCompounded``."""
    first = rate * seconds
    second = first * first // (2 * WAD)
    return first + second + second * first // (3 * WAD)


def exponential(x_wad: int) -> int:
    """e to the x as the engine has it, a wad: ``Math.wExp``, of second order."""
    if x_wad < LEAST_EXPONENT_WAD:
        return 0
    if x_wad >= MOST_EXPONENT_WAD:
        return MOST_EXPONENTIAL_WAD
    half = LN2_WAD // 2
    doublings = div_trunc(x_wad + (half if x_wad >= 0 else -half), LN2_WAD)
    rest = x_wad - doublings * LN2_WAD
    part = WAD + rest + div_trunc(div_trunc(rest * rest, WAD), 2)
    return part << doublings if doublings >= 0 else part >> -doublings
