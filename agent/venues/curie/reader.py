"""Which calls read an account, and how their answers become its state: four rounds of them.

First the account, the markets and the protocol's ratios; then what depends on those (averages, the pools,
collateral in other tokens); then the pools' bitmaps around the price, and the liquidity at the ticks found.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from agent.chain.abi import load
from agent.chain.question import Question, Reply, Round, ask_again
from agent.chain.shelf import Shelf
from agent.errors import ContractMismatch
from agent.pricing.pool import Pool, ticks_in, words_between
from agent.values.address import Address
from agent.values.amount import Token
from agent.values.block import Block
from agent.values.call import Reading
from agent.values.fixed import rescale_down
from agent.venues.curie.margin import Collateral
from agent.venues.curie.state import CurieState, Funds, MarketView, Ratios
from agent.venues.deployments import CurieDeployment

CURIE, POOL, ERC20 = load("curie"), load("uniswap_pool"), load("erc20")

RECENT_S = 15  # Exchange._PRICE_LIMIT_INTERVAL, and the shorter average of the mark
COLLATERAL_TWAP_S = 900  # Vault._COLLATERAL_TWAP_INTERVAL
DECIMALS_MOST = 18

Key = tuple[str, object]
Replies = Mapping[Key, Reply]


def read(curie: CurieDeployment, account: Address, block: Block, shelf: Shelf) -> Reading[CurieState]:
    """The account at ``block``. Raises ReadReverted, DecodeMismatch or ContractMismatch.

    What is asked is mostly what was asked of the block before: it is on the ``shelf``.
    """
    first = yield from ask_again(shelf.get("first", account, lambda: Round(_first(curie, account))))
    _require_known_markets(curie, first[("held", "")])
    twap_s = first[("twap interval", "")].integer
    pools = [("terms", Address(market.address)) for market in curie.markets]
    fixed = first.data((*pools, ("collateral", ""), ("collateral manager", "")))
    known = (account, twap_s, *fixed)
    asked = shelf.get("second", known, lambda: Round(_second(curie, account, first, twap_s)))
    second = yield from ask_again(asked)
    words = _words(curie, first, second)
    third = yield from ask_again(shelf.get("third", (fixed, words), lambda: Round(_bitmaps(first, words))))
    ticks = _ticks(curie, second, third)
    asked = shelf.get("fourth", (fixed, ticks), lambda: Round(_liquidity(curie, first, ticks)))
    fourth = yield from ask_again(asked)
    token = shelf.get("token", first.data(token_questions(curie)), lambda: decode_token(curie, first))
    return CurieState(
        settlement_token=token,
        at_s=block.timestamp_s,
        ratios=Ratios(
            maintenance_ppm=first[("maintenance", "")].integer,
            initial_ppm=first[("initial", "")].integer,
            penalty_ppm=first[("penalty", "")].integer,
            max_funding_ppm=first[("max funding", "")].integer,
            twap_s=twap_s,
        ),
        funds=_funds(first, token),
        markets=tuple(
            _market(Address(market.address), market.asset, first, second, fourth, ticks)
            for market in curie.markets
        ),
        collaterals=tuple(_collateral(curie, second, token) for token in _other_tokens(first)),
    )


def token_questions(curie: CurieDeployment) -> dict[Key, Question]:
    """What `decode_token` needs."""
    token = Address(curie.settlement_token)
    return {
        ("symbol", ""): Question(token, ERC20["symbol"]),
        ("decimals", ""): Question(token, ERC20["decimals"]),
    }


def decode_token(curie: CurieDeployment, replies: Replies) -> Token:
    """The settlement token. Raises ContractMismatch if it has more decimals than the protocol can take."""
    symbol, decimals = replies[("symbol", "")].text, replies[("decimals", "")].integer
    if decimals > DECIMALS_MOST:
        raise ContractMismatch(
            target=curie.settlement_token,
            expected=f"a token of at most {DECIMALS_MOST} decimals",
            reason=f"{symbol} has {decimals}",
        )
    return Token(Address(curie.settlement_token), symbol, decimals)


def _first(curie: CurieDeployment, account: Address) -> dict[Key, Question]:
    config, vault = Address(curie.config), Address(curie.vault)
    balance, exchange = Address(curie.account_balance), Address(curie.exchange)
    token, registry = Address(curie.settlement_token), Address(curie.market_registry)
    asked: dict[Key, Question] = {
        ("maintenance", ""): Question(config, CURIE["getMmRatio"]),
        ("initial", ""): Question(config, CURIE["getImRatio"]),
        ("penalty", ""): Question(config, CURIE["getLiquidationPenaltyRatio"]),
        ("max funding", ""): Question(config, CURIE["getMaxFundingRate"]),
        ("twap interval", ""): Question(config, CURIE["getTwapInterval"]),
        ("balance", ""): Question(vault, CURIE["getBalance"], (account,)),
        ("free", ""): Question(vault, CURIE["getFreeCollateralByToken"], (account, token)),
        ("collateral", ""): Question(vault, CURIE["getCollateralTokens"], (account,)),
        ("collateral manager", ""): Question(vault, CURIE["getCollateralManager"]),
        ("pnl", ""): Question(balance, CURIE["getPnlAndPendingFee"], (account,)),
        ("held", ""): Question(balance, CURIE["getBaseTokens"], (account,)),
        ("allowance", ""): Question(token, ERC20["allowance"], (account, vault)),
        **token_questions(curie),
    }
    for market in curie.markets:
        base = Address(market.address)
        asked |= {
            ("open", base): Question(base, CURIE["isOpen"]),
            ("closed", base): Question(base, CURIE["isClosed"]),
            ("paused price", base): Question(base, CURIE["getPausedIndexPrice"]),
            ("closed price", base): Question(base, CURIE["getClosedPrice"]),
            ("index", base): Question(base, CURIE["getIndexPrice"], (0,)),
            ("mark", base): Question(balance, CURIE["getMarkPrice"], (base,)),
            ("size", base): Question(balance, CURIE["getTotalPositionSize"], (account, base)),
            ("taker", base): Question(balance, CURIE["getTakerPositionSize"], (account, base)),
            ("notional", base): Question(balance, CURIE["getTotalOpenNotional"], (account, base)),
            ("funding", base): Question(exchange, CURIE["getPendingFundingPayment"], (account, base)),
            ("max ticks", base): Question(exchange, CURIE["getMaxTickCrossedWithinBlock"], (base,)),
            ("terms", base): Question(registry, CURIE["getMarketInfoByTrader"], (account, base)),
        }
    return asked


def _second(curie: CurieDeployment, account: Address, first: Replies, twap_s: int) -> dict[Key, Question]:
    vault, exchange = Address(curie.vault), Address(curie.exchange)
    manager = first[("collateral manager", "")].address
    asked: dict[Key, Question] = {}
    for market in curie.markets:
        base = Address(market.address)
        pool = _pool_address(first, base)
        asked |= {
            ("slot", base): Question(pool, POOL["slot0"]),
            ("liquidity", base): Question(pool, POOL["liquidity"]),
            ("spacing", base): Question(pool, POOL["tickSpacing"]),
            ("index twap", base): Question(base, CURIE["getIndexPrice"], (twap_s,)),
            ("market twap", base): Question(exchange, CURIE["getSqrtMarketTwapX96"], (base, twap_s)),
            ("recent", base): Question(exchange, CURIE["getSqrtMarketTwapX96"], (base, RECENT_S)),
        }
    for token in _other_tokens(first):
        asked |= {
            ("held", token): Question(vault, CURIE["getBalanceByToken"], (account, token)),
            ("symbol", token): Question(token, ERC20["symbol"]),
            ("decimals", token): Question(token, ERC20["decimals"]),
            ("price", token): Question(manager, CURIE["getPrice"], (token, COLLATERAL_TWAP_S)),
            ("price decimals", token): Question(manager, CURIE["getPriceFeedDecimals"], (token,)),
            ("haircut", token): Question(manager, CURIE["getCollateralConfig"], (token,)),
        }
    return asked


def _words(curie: CurieDeployment, first: Replies, second: Replies) -> dict[Address, range]:
    """The words of each pool's bitmap that a trade may reach."""
    found: dict[Address, range] = {}
    for market in curie.markets:
        base = Address(market.address)
        tick, spacing = second[("slot", base)].integers[1], second[("spacing", base)].integer
        reach = first[("max ticks", base)].integer
        found[base] = words_between(tick - reach, tick + reach, spacing)
    return found


def _bitmaps(first: Replies, words: Mapping[Address, range]) -> dict[Key, Question]:
    return {
        (base, word): Question(_pool_address(first, base), POOL["tickBitmap"], (word,))
        for base, own in words.items()
        for word in own
    }


def _ticks(curie: CurieDeployment, second: Replies, third: Replies) -> dict[Address, tuple[int, ...]]:
    """The initialised ticks of each market's pool, rising."""
    found: dict[Address, tuple[int, ...]] = {Address(market.address): () for market in curie.markets}
    for (base, word), reply in third.items():
        at = Address(base)
        found[at] += ticks_in(cast(int, word), reply.integer, second[("spacing", at)].integer)
    return found


def _liquidity(
    curie: CurieDeployment, first: Replies, ticks: Mapping[Address, tuple[int, ...]]
) -> dict[Key, Question]:
    return {
        (base, tick): Question(_pool_address(first, base), POOL["ticks"], (tick,))
        for base in (Address(market.address) for market in curie.markets)
        for tick in ticks[base]
    }


def _funds(first: Replies, token: Token) -> Funds:
    owed, _, pending_fee = first[("pnl", "")].integers
    return Funds(
        balance_wad=rescale_down(first[("balance", "")].integer, token.decimals, 18),
        free_wad=rescale_down(first[("free", "")].integer, token.decimals, 18),
        owed_wad=owed,
        pending_fee_wad=pending_fee,
        allowance_raw=first[("allowance", "")].integer,
    )


def _collateral(curie: CurieDeployment, second: Replies, token: Address) -> tuple[Collateral, int]:
    (config,) = second[("haircut", token)].outputs
    feed_decimals = second[("price decimals", token)].integer
    symbol, decimals = second[("symbol", token)].text, second[("decimals", token)].integer
    held = Collateral(
        token=Token(token, symbol, decimals),
        asset=next((other.asset for other in curie.collaterals if other.address == token), ""),
        held=second[("held", token)].integer,
        feed_decimals=feed_decimals,
        weight_ppm=cast(tuple[object, int, int, int], config)[1],
    )
    return held, rescale_down(second[("price", token)].integer, feed_decimals, 18)


def _market(
    base: Address,
    asset: str,
    first: Replies,
    second: Replies,
    fourth: Replies,
    ticks: Mapping[Address, tuple[int, ...]],
) -> MarketView:
    _, exchange_fee, pool_fee, _, max_spread = _terms(first, base)
    slot = second[("slot", base)].integers
    is_open = bool(first[("open", base)].integer)
    return MarketView(
        base_token=base,
        asset=asset,
        is_open=is_open,
        index_wad=first[("index", base)].integer,
        index_twap_wad=second[("index twap", base)].integer,
        mark_wad=_reference_wad(first, base, is_open=is_open),
        market_twap_x96=second[("market twap", base)].integer,
        recent_x96=second[("recent", base)].integer,
        size_wad=first[("size", base)].integer,
        taker_wad=first[("taker", base)].integer,
        open_notional_wad=first[("notional", base)].integer,
        funding_wad=first[("funding", base)].integer,
        pool=Pool(
            sqrt_x96=slot[0],
            tick=slot[1],
            liquidity=second[("liquidity", base)].integer,
            spacing=second[("spacing", base)].integer,
            ticks=ticks[base],
            nets=tuple(fourth[(base, tick)].integers[1] for tick in ticks[base]),
        ),
        pool_fee_ppm=pool_fee,
        exchange_fee_ppm=exchange_fee,
        max_spread_ppm=max_spread,
        max_ticks=first[("max ticks", base)].integer,
    )


def _reference_wad(first: Replies, base: Address, *, is_open: bool) -> int:
    """The price margin is judged at: ``AccountBalance._getReferencePrice``."""
    if is_open:
        return first[("mark", base)].integer
    is_closed = bool(first[("closed", base)].integer)
    return first[("closed price" if is_closed else "paused price", base)].integer


def _terms(first: Replies, base: Address) -> tuple[Address, int, int, int, int]:
    """Pool, exchange fee, pool fee, the insurance fund's share, widest spread (ratios in millionths)."""
    (info,) = first[("terms", base)].outputs
    return cast(tuple[Address, int, int, int, int], info)


def _pool_address(first: Replies, base: Address) -> Address:
    return _terms(first, base)[0]


def _other_tokens(first: Replies) -> tuple[Address, ...]:
    (tokens,) = first[("collateral", "")].outputs
    return cast(tuple[Address, ...], tokens)


def _require_known_markets(curie: CurieDeployment, held: Reply) -> None:
    """A position in a market that is not configured could not be judged, so nothing is."""
    (tokens,) = held.outputs
    known = {market.address for market in curie.markets}
    for token in cast(tuple[Address, ...], tokens):
        if token not in known:
            raise ContractMismatch(
                target=token, expected="a market of the deployment file", reason="the account trades in it"
            )
