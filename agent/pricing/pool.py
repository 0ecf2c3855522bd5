"""A swap through a Uniswap v3 pool as its contract would do it, to the last unit. Pure.

Formulas: Uniswap v3 whitepaper, sections 6.2 and 6.3; rounding as the core contracts (SqrtPriceMath,
SwapMath.computeSwapStep, UniswapV3Pool.swap): inputs up, outputs down, fees up.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from functools import lru_cache

from agent.pricing.tick import MAX_TICK, MIN_TICK, sqrt_price_x96, tick_at
from agent.values.fixed import Q96, div_up, mul_div_up

PPM = 1_000_000
WORD = 256  # ticks (in spacings) that one word of the pool's bitmap holds


@dataclass(frozen=True, slots=True)
class Pool:
    """A pool's state. ``nets`` are the liquidity changes at ``ticks``, the initialised ticks that were read,
    rising; beyond those the liquidity is taken to stay as it is.
    """

    sqrt_x96: int
    tick: int
    liquidity: int
    spacing: int
    ticks: tuple[int, ...]
    nets: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """One stretch at constant liquidity. ``paid`` is without ``fee``."""

    paid: int
    received: int
    fee: int


@dataclass(frozen=True, slots=True)
class Swap:
    """What a swap does. ``unfilled`` is left of the asked amount where the price limit was reached."""

    steps: tuple[Step, ...]
    sqrt_x96: int
    unfilled: int

    @property
    def paid(self) -> int:
        """Input with the fee."""
        return sum(step.paid + step.fee for step in self.steps)

    @property
    def received(self) -> int:
        return sum(step.received for step in self.steps)


def swap(pool: Pool, amount: int, *, zero_for_one: bool, fee_ppm: int, limit_x96: int) -> Swap:
    """Trade ``amount`` (> 0: of the input, exactly; < 0: of the output) until done or at ``limit_x96``.

    ``fee_ppm`` is taken from the input, in millionths. Raises ValueError if the limit is behind the price.
    """
    if (limit_x96 > pool.sqrt_x96) if zero_for_one else (limit_x96 < pool.sqrt_x96):
        raise ValueError("the price limit lies behind the price")
    price, tick, liquidity, left = pool.sqrt_x96, pool.tick, pool.liquidity, amount
    steps: list[Step] = []
    while left != 0 and price != limit_x96:
        target_tick, net = _next_tick(pool, tick, down=zero_for_one)
        edge = sqrt_price_x96(target_tick)
        target = max(edge, limit_x96) if zero_for_one else min(edge, limit_x96)
        after, step = _step(price, target, liquidity, left, fee_ppm)
        steps.append(step)
        left = left - step.paid - step.fee if amount > 0 else left + step.received
        if after == edge:
            liquidity += -net if zero_for_one else net
            tick = target_tick - 1 if zero_for_one else target_tick
        elif after not in (price, limit_x96) and left != 0:  # else nobody asks for it
            tick = tick_at(after)
        price = after
    return Swap(tuple(steps), price, abs(left))


def amount0(lower_x96: int, upper_x96: int, liquidity: int, *, up: bool) -> int:
    """Token0 between two square-root prices."""
    numerator = (liquidity << 96) * (upper_x96 - lower_x96)
    if up:
        return div_up(div_up(numerator, upper_x96), lower_x96)
    return numerator // upper_x96 // lower_x96


def amount1(lower_x96: int, upper_x96: int, liquidity: int, *, up: bool) -> int:
    """Token1 between two square-root prices."""
    product = liquidity * (upper_x96 - lower_x96)
    return div_up(product, Q96) if up else product // Q96


def words_between(lower_tick: int, upper_tick: int, spacing: int) -> range:
    """The words of the pool's bitmap that hold the ticks of a range."""
    return range(lower_tick // spacing // WORD, upper_tick // spacing // WORD + 1)


@lru_cache(maxsize=4_096)
def ticks_in(word: int, bits: int, spacing: int) -> tuple[int, ...]:
    """The initialised ticks in one word of the bitmap, rising."""
    return tuple((word * WORD + bit) * spacing for bit in range(WORD) if bits >> bit & 1)


def _next_tick(pool: Pool, tick: int, *, down: bool) -> tuple[int, int]:
    """The next initialised tick and its change of liquidity, looked for no further than its word's end:
    that tick, with no change, if there is none before it.
    """
    if down:
        first = tick // pool.spacing
        end = first // WORD * WORD * pool.spacing
        index = bisect_right(pool.ticks, first * pool.spacing) - 1
        is_found = index >= 0 and pool.ticks[index] >= end
    else:
        first = tick // pool.spacing + 1
        end = (first // WORD * WORD + WORD - 1) * pool.spacing
        index = bisect_left(pool.ticks, first * pool.spacing)
        is_found = index < len(pool.ticks) and pool.ticks[index] <= end
    if is_found:
        return pool.ticks[index], pool.nets[index]
    return min(max(end, MIN_TICK), MAX_TICK), 0


def _step(price: int, target: int, liquidity: int, left: int, fee_ppm: int) -> tuple[int, Step]:
    """From ``price`` towards ``target``, as far as ``left`` goes: the price after, and what moved."""
    down, is_exact_input = price >= target, left > 0
    if is_exact_input:
        usable = left * (PPM - fee_ppm) // PPM
        whole = _paid(price, target, liquidity, down=down)
        after = target if usable >= whole else _after_input(price, liquidity, usable, down=down)
    else:
        whole = _received(price, target, liquidity, down=down)
        after = target if -left >= whole else _after_output(price, liquidity, -left, down=down)
    paid = _paid(price, after, liquidity, down=down)
    received = _received(price, after, liquidity, down=down)
    if not is_exact_input:
        received = min(received, -left)
    fee = mul_div_up(paid, fee_ppm, PPM - fee_ppm)
    if is_exact_input and after != target:
        fee = left - paid  # what is too little to move the price is fee as well
    return after, Step(paid, received, fee)


def _paid(price: int, after: int, liquidity: int, *, down: bool) -> int:
    if down:
        return amount0(after, price, liquidity, up=True)
    return amount1(price, after, liquidity, up=True)


def _received(price: int, after: int, liquidity: int, *, down: bool) -> int:
    if down:
        return amount1(after, price, liquidity, up=False)
    return amount0(price, after, liquidity, up=False)


def _after_input(price: int, liquidity: int, amount: int, *, down: bool) -> int:
    """The price after taking in ``amount``: token0 (down, rounded up) or token1 (up, rounded down)."""
    if not down:
        return price + amount * Q96 // liquidity
    if amount == 0:
        return price
    reserve = liquidity << 96
    return div_up(reserve * price, reserve + amount * price)


def _after_output(price: int, liquidity: int, amount: int, *, down: bool) -> int:
    """The price after giving out ``amount``: token1 (down, rounded down) or token0 (up, rounded up)."""
    if down:
        return price - div_up(amount * Q96, liquidity)
    reserve = liquidity << 96
    return div_up(reserve * price, reserve - amount * price)
