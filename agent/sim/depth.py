"""Everybody else on the local chain: makers who give the venues depth, and traders of all strengths.

Sizes are in the asset and scale with nothing; levels of price and collateral are fractions of the spot, so
another spot gives the same picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from agent.sim.contract import Contract
from agent.sim.deploy import gmx as gmx_deploy
from agent.sim.deploy.curie import MAX_UINT, Curie
from agent.sim.deploy.gmx import FLOAT, Gmx
from agent.sim.deploy.lyra import Lyra
from agent.sim.deploy.uniswap import POOL_FEE, TICK_SPACING, Uniswap, is_base_first, pool_price_wad
from agent.sim.tick import tick_range
from agent.values.address import Address
from agent.values.fixed import DAY_S, WAD, to_float

LONG_CALL, LONG_PUT, SHORT_CALL_BASE, SHORT_CALL_QUOTE, SHORT_PUT = range(5)  # Lyra's option types

MAKER_USD = 20_000_000
GMX_GAS = {
    gmx_deploy.key_of("INCREASE_ORDER_GAS_LIMIT"): 3_000,
    gmx_deploy.key_of("DECREASE_ORDER_GAS_LIMIT"): 3_000,
    gmx_deploy.key_of("ESTIMATED_GAS_FEE_BASE_AMOUNT_V2_1"): 600,
    gmx_deploy.key_of("ESTIMATED_GAS_FEE_PER_ORACLE_PRICE"): 250,
}
GMX_FEE, GMX_IMPACT = (
    FLOAT * 4 // 10_000,
    FLOAT * 5 // 100_000,
)  # of the size, on both sides, as of a deep pool
GMX_POOL_UNITS = 5_000  # of the asset, and as much again in quote
BOARD_DAYS = (7, 14, 28)
STRIKE_LEVELS_PCT = (80, 90, 95, 100, 105, 110, 120)
BASE_IV_PCT = (85, 80, 75)  # by board
SKEWS_PCT = (112, 106, 103, 100, 98, 99, 102)


@dataclass(frozen=True, slots=True)
class Strike:
    """One strike of a live board."""

    strike_id: int
    board_id: int
    strike_wad: int
    expiry_s: int
    days: int
    level_pct: int


@dataclass(frozen=True, slots=True)
class Minted:
    """A liquidity position and the asset it took, which is its delta."""

    token_id: int
    base_wad: int


@dataclass(frozen=True, slots=True)
class Level:
    """Where a short's collateral makes it liquidatable: at ``spot_pct`` of today's spot."""

    level_pct: int
    days: int
    option_type: int
    size_wad: int
    spot_pct: int


# (deposit in quote, size in the asset: > 0 long), from the weakest
CURIE_TRADERS = ((2_300, 10), (8_000, 20), (20_000, 30), (2_500, -10), (12_000, -20), (40_000, -28))
LYRA_TRADERS = (
    Level(95, 14, SHORT_PUT, 10 * WAD, 94),
    Level(100, 28, SHORT_PUT, 15 * WAD, 88),
    Level(90, 14, SHORT_PUT, 20 * WAD, 75),
    Level(105, 14, SHORT_CALL_QUOTE, 10 * WAD, 106),
    Level(110, 28, SHORT_CALL_QUOTE, 10 * WAD, 125),
)
LYRA_BUYERS = ((100, 14, LONG_PUT, 20 * WAD), (110, 28, LONG_CALL, 20 * WAD), (105, 14, LONG_CALL, 15 * WAD))


def fund(lyra: Lyra, owner: str, account: str, quote_wad: int, base_wad: int = 0) -> None:
    """Give an account tokens (the owner may mint both)."""
    lyra.quote.send(owner, "mint", account, quote_wad)
    if base_wad:
        lyra.base.send(owner, "mint", account, base_wad)


def approve(token: Contract, account: str, *spenders: Contract) -> None:
    """Without limit."""
    for spender in spenders:
        token.send(account, "approve", spender.address, MAX_UINT)


def deposit(curie: Curie, lyra: Lyra, account: str, amount_wad: int) -> None:
    """Margin for the perpetual, from the account's own quote."""
    approve(lyra.quote, account, curie.vault)
    curie.vault.send(account, "deposit", lyra.quote.address, amount_wad)


def open_perpetual(curie: Curie, account: str, size_wad: int) -> None:
    """Buy (> 0) or sell ``size_wad`` of the asset at the market, without a bound."""
    is_sale = size_wad < 0
    order = {
        "baseToken": curie.base.address,
        "isBaseToQuote": is_sale,
        "isExactInput": is_sale,
        "amount": abs(size_wad),
        "oppositeAmountBound": 0,
        "deadline": MAX_UINT,
        "sqrtPriceLimitX96": 0,
        "referralCode": bytes(32),
    }
    curie.clearing_house.send(account, "openPosition", order)


def min_collateral_wad(lyra: Lyra, strike: Strike, option_type: int, size_wad: int, spot_wad: int) -> int:
    """Lyra's own minimum for a short at another spot; in base for a base-collateralised call."""
    return lyra.greek_cache.integer(
        "getMinCollateral", option_type, strike.strike_wad, strike.expiry_s, spot_wad, size_wad
    )


def open_option(
    lyra: Lyra, account: str, strike: Strike, option_type: int, size_wad: int, collateral_wad: int = 0
) -> int:
    """Open at the market, without a bound; the position's id."""
    trade = {
        "strikeId": strike.strike_id,
        "positionId": 0,
        "iterations": 1,
        "optionType": option_type,
        "amount": size_wad,
        "setCollateralTo": collateral_wad,
        "minTotalCost": 0,
        "maxTotalCost": MAX_UINT,
    }
    receipt = lyra.option_market.send(account, "openPosition", trade)
    return cast(int, lyra.option_market.events(receipt.logs, "Trade")[0]["positionId"])


def seed_curie_makers(curie: Curie, lyra: Lyra, owner: str, maker: str, spot_wad: int) -> None:
    """One maker from -60 % to +60 %, with margin for any crash, and a fund for bad debt."""
    fund(lyra, owner, maker, 2 * MAKER_USD * WAD)
    fund(lyra, owner, curie.insurance_fund.address, MAKER_USD // 10 * WAD)
    deposit(curie, lyra, maker, 2 * MAKER_USD * WAD)
    lower, upper = tick_range(to_float(spot_wad), 0.4, 1.6, TICK_SPACING)
    curie.clearing_house.send(
        maker,
        "addLiquidity",
        {
            "baseToken": curie.base.address,
            "base": MAKER_USD // 2 * WAD * WAD // spot_wad,
            "quote": MAKER_USD // 2 * WAD,
            "lowerTick": lower,
            "upperTick": upper,
            "minBase": 0,
            "minQuote": 0,
            "useTakerBalance": False,
            "deadline": MAX_UINT,
        },
    )


def seed_uniswap_makers(uniswap: Uniswap, lyra: Lyra, owner: str, maker: str, spot_wad: int) -> None:
    """One maker from -60 % to +60 %."""
    fund(lyra, owner, maker, MAKER_USD * WAD, MAKER_USD * WAD * WAD // spot_wad)
    for token in (lyra.base, lyra.quote):
        approve(token, maker, uniswap.position_manager)
    mint_liquidity(uniswap, lyra, maker, spot_wad, 0.4, 1.6, MAKER_USD // 2 * WAD)


def mint_liquidity(
    uniswap: Uniswap, lyra: Lyra, account: str, spot_wad: int, low: float, high: float, side_wad: int
) -> Minted:
    """A position from ``spot * low`` to ``spot * high`` worth at most ``side_wad`` of quote on each side."""
    base, quote = lyra.base, lyra.quote
    if is_base_first(base, quote):
        tokens, bounds = (base, quote), (low, high)
        amounts = (side_wad * WAD // spot_wad, side_wad)
    else:
        tokens, bounds = (quote, base), (1 / high, 1 / low)
        amounts = (side_wad, side_wad * WAD // spot_wad)
    price = to_float(pool_price_wad(base, quote, spot_wad))
    lower, upper = tick_range(price, *bounds, TICK_SPACING)
    receipt = uniswap.position_manager.send(
        account,
        "mint",
        {
            "token0": tokens[0].address,
            "token1": tokens[1].address,
            "fee": POOL_FEE,
            "tickLower": lower,
            "tickUpper": upper,
            "amount0Desired": amounts[0],
            "amount1Desired": amounts[1],
            "amount0Min": 0,
            "amount1Min": 0,
            "recipient": account,
            "deadline": MAX_UINT,
        },
    )
    minted = uniswap.position_manager.events(receipt.logs, "IncreaseLiquidity")[0]
    base_amount = minted["amount0"] if tokens[0] is base else minted["amount1"]
    return Minted(cast(int, minted["tokenId"]), cast(int, base_amount))


def seed_gmx(
    gmx: Gmx, lyra: Lyra, owner: Address, keeper: Address, traders: list[str], spot_wad: int
) -> None:
    """A deep pool of both tokens, and open interest that pays and earns; execution fees as on a rollup, where
    gas costs next to nothing.
    """
    costs = {"POSITION_FEE_FACTOR": GMX_FEE, "POSITION_IMPACT_FACTOR": GMX_IMPACT}
    terms = {
        gmx_deploy.key_of(name, gmx.market.address, improves): value
        for name, value in costs.items()
        for improves in (True, False)
    }
    gmx.set_terms(owner, GMX_GAS | terms)
    gmx_deploy.stock(gmx, owner, lyra.base, lyra.quote, GMX_POOL_UNITS * WAD, GMX_POOL_UNITS * spot_wad)
    gmx_deploy.seed_traders(gmx, owner, keeper, traders, lyra.base, lyra.quote, spot_wad)


def seed_lyra_pool(lyra: Lyra, owner: str, provider: str) -> None:
    """The pool's deposit, which must come before the first board, and the hedger's account."""
    fund(lyra, owner, provider, MAKER_USD * WAD)
    approve(lyra.quote, provider, lyra.liquidity_pool)
    lyra.liquidity_pool.send(provider, "initiateDeposit", provider, MAKER_USD * WAD)
    lyra.pool_hedger.send(owner, "openShortAccount")
    for _ in range(2):
        lyra.pool_hedger.send(owner, "hedgeDelta")


def seed_boards(lyra: Lyra, owner: str, spot_wad: int) -> list[Strike]:
    """Boards of 7, 14 and 28 days from now, seven strikes each, rounded to whole units of quote."""
    strikes = []
    now_s = lyra.option_market.chain.node.now_s()
    for days, iv_pct in zip(BOARD_DAYS, BASE_IV_PCT, strict=True):
        prices = [spot_wad * level // 100 // WAD * WAD or WAD for level in STRIKE_LEVELS_PCT]
        skews = [skew * WAD // 100 for skew in SKEWS_PCT]
        expiry_s = now_s + days * DAY_S
        receipt = lyra.option_market.send(
            owner, "createOptionBoard", expiry_s, iv_pct * WAD // 100, prices, skews, False
        )
        board_id = cast(int, lyra.option_market.events(receipt.logs, "BoardCreated")[0]["boardId"])
        ids = cast(list[int], lyra.option_market.call("getBoardStrikes", board_id)[0])
        strikes += [
            Strike(strike_id, board_id, price, expiry_s, days, level)
            for strike_id, price, level in zip(ids, prices, STRIKE_LEVELS_PCT, strict=True)
        ]
    return strikes


def strike_at(strikes: list[Strike], level_pct: int, days: int) -> Strike:
    """The strike at ``level_pct`` of the starting spot on the board of ``days``."""
    return next(strike for strike in strikes if (strike.level_pct, strike.days) == (level_pct, days))


def seed_curie_traders(curie: Curie, lyra: Lyra, owner: str, traders: list[str]) -> None:
    """Longs and shorts from weak to strong."""
    for account, (margin, size) in zip(traders, CURIE_TRADERS, strict=True):
        fund(lyra, owner, account, margin * WAD)
        deposit(curie, lyra, account, margin * WAD)
        open_perpetual(curie, account, size * WAD)


def seed_lyra_traders(
    lyra: Lyra, owner: str, traders: list[str], strikes: list[Strike], spot_wad: int
) -> None:
    """Shorts from weak to strong, and buyers so that the pool is not one-sided."""
    for account, level in zip(traders, LYRA_TRADERS, strict=True):
        fund(lyra, owner, account, 200_000 * WAD)
        approve(lyra.quote, account, lyra.option_market)
        strike = strike_at(strikes, level.level_pct, level.days)
        flip_wad = spot_wad * level.spot_pct // 100
        collateral = min_collateral_wad(lyra, strike, level.option_type, level.size_wad, flip_wad)
        open_option(lyra, account, strike, level.option_type, level.size_wad, collateral)
    for level_pct, days, option_type, size_wad in LYRA_BUYERS:
        open_option(lyra, traders[0], strike_at(strikes, level_pct, days), option_type, size_wad)
