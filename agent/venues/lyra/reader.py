"""Which calls read an account's options, and how their answers become its state: two rounds of them.

First the account's positions, the spot price, the market's parameters and its live boards; then those boards
with all their strikes and, for every strike held, its own board and whether that has settled.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import cast

from agent.chain.question import Question, Reply, Round, Row, ask_again
from agent.chain.shelf import Shelf
from agent.errors import ContractMismatch
from agent.values.address import Address, MarketId
from agent.values.amount import Token
from agent.values.block import Block
from agent.values.call import Reading
from agent.venues.deployments import LyraDeployment
from agent.venues.lyra.board import Board, Strike
from agent.venues.lyra.fragment import ERC20, LYRA
from agent.venues.lyra.holding import Holding
from agent.venues.lyra.margin import CollateralTerms, OptionType, Penalty
from agent.venues.lyra.state import LyraState, Standing, TradeTerms, assemble
from agent.venues.lyra.table import Table

ACTIVE = 1  # OptionToken.PositionState
DECIMALS_NEEDED = 18  # the contracts take token amounts as wads

Replies = Mapping[str, Reply]


def read(lyra: LyraDeployment, account: Address, block: Block, shelf: Shelf) -> Reading[LyraState]:
    """The account's options at ``block``. Raises ReadReverted, DecodeMismatch or ContractMismatch.

    Most answers are those of the block before: what was made of them is on the ``shelf``.
    """
    first = yield from ask_again(shelf.get("first", account, lambda: Round(_first(lyra, account))))
    is_paused = any(first[name].integer for name in ("all paused", "market paused"))
    lists = (account, *first.data(("held", "live boards", "base key")), is_paused)
    asked = shelf.get("second", lists, lambda: Round(_second(lyra, first, is_paused=is_paused)))
    second = yield from ask_again(asked)
    spot = second["spot"] if is_paused else first["spot"]
    lasting = [name for name in first if name not in ("held", "spot", "live boards")]
    terms = (account, *first.data(lasting), is_paused)
    standing = shelf.get("standing", terms, lambda: _standing(lyra, first, is_paused=is_paused))
    told = (*lists, second.data(name for name in second if name != "spot"))
    table, boards = shelf.get("book", told, lambda: _book(first, second))
    return assemble(replace(standing, at_s=block.timestamp_s, spot_wad=spot.integer), table, boards)


def _first(lyra: LyraDeployment, account: Address) -> dict[str, Question]:
    market, adapter = Address(lyra.option_market), Address(lyra.synthetix_adapter)
    return {
        "held": Question(Address(lyra.option_token), LYRA["getOwnerPositions"], (account,)),
        "spot": Question(adapter, LYRA["getSpotPriceForMarket"], (market,)),
        "all paused": Question(adapter, LYRA["isGlobalPaused"]),
        "market paused": Question(adapter, LYRA["isMarketPaused"], (market,)),
        "base key": Question(adapter, LYRA["baseKey"], (market,)),
        "minimum": Question(Address(lyra.greek_cache), LYRA["getMinCollatParams"]),
        "penalty": Question(Address(lyra.option_token), LYRA["getPartialCollatParams"]),
        "greek cache": Question(Address(lyra.greek_cache), LYRA["getGreekCacheParams"]),
        "market": Question(market, LYRA["getOptionMarketParams"]),
        "live boards": Question(market, LYRA["getLiveBoards"]),
        "limits": Question(Address(lyra.pricer), LYRA["getTradeLimitParams"]),
        "pricing": Question(Address(lyra.pricer), LYRA["getPricingParams"]),
        "quote allowance": Question(Address(lyra.quote_token), ERC20["allowance"], (account, market)),
        "base allowance": Question(Address(lyra.base_token), ERC20["allowance"], (account, market)),
        **token_questions(lyra),
    }


def _second(lyra: LyraDeployment, first: Replies, *, is_paused: bool) -> dict[str, Question]:
    market, adapter = Address(lyra.option_market), Address(lyra.synthetix_adapter)
    strikes = sorted({row[1] for row in first["held"].rows})
    more = {f"board of {n}": Question(market, LYRA["getStrikeAndBoard"], (n,)) for n in strikes}
    more |= {f"settlement of {n}": Question(market, LYRA["getSettlementParameters"], (n,)) for n in strikes}
    if is_paused:  # the market's own price function refuses then; the oracle's does not
        more["spot"] = Question(adapter, LYRA["getSpotPrice"], (first["base key"].outputs[0],))
    live = cast(tuple[int, ...], first["live boards"].outputs[0])
    return more | {f"strikes of {n}": Question(market, LYRA["getBoardAndStrikeDetails"], (n,)) for n in live}


def _book(first: Replies, second: Replies) -> tuple[Table, tuple[Board, ...]]:
    """What is held, and the boards."""
    held = first["held"]
    holdings = tuple(
        _holding(held, row, second[f"board of {row[1]}"], second[f"settlement of {row[1]}"])
        for row in held.rows
    )
    live = cast(tuple[int, ...], first["live boards"].outputs[0])
    return Table(holdings), tuple(_board(second[f"strikes of {n}"]) for n in live)


def token_questions(lyra: LyraDeployment) -> dict[str, Question]:
    """What `decode_tokens` needs."""
    return {
        f"{name} {function}": Question(Address(address), ERC20[function])
        for name, address in (("quote", lyra.quote_token), ("base", lyra.base_token))
        for function in ("symbol", "decimals")
    }


def decode_tokens(lyra: LyraDeployment, replies: Replies) -> tuple[Token, Token]:
    """The quote and the base token. Raises ContractMismatch if one has not 18 decimals."""
    quote, base = (
        Token(
            Address(address), str(replies[f"{name} symbol"].outputs[0]), replies[f"{name} decimals"].integer
        )
        for name, address in (("quote", lyra.quote_token), ("base", lyra.base_token))
    )
    for token in (quote, base):
        if token.decimals != DECIMALS_NEEDED:
            raise ContractMismatch(
                target=token.address,
                expected=f"a token of {DECIMALS_NEEDED} decimals",
                reason=f"{token.symbol} has {token.decimals}",
            )
    return quote, base


def _token(address: str, symbol: Reply, decimals: Reply) -> Token:
    return Token(Address(address), str(symbol.outputs[0]), decimals.integer)


def _standing(lyra: LyraDeployment, replies: Replies, *, is_paused: bool) -> Standing:
    """All but the time and the price, which the caller puts in."""
    quote_token, base_token = decode_tokens(lyra, replies)
    return Standing(
        market=MarketId(f"lyra:{lyra.option_market}"),
        asset=lyra.asset,
        at_s=0,
        spot_wad=0,
        is_paused=is_paused,
        collateral_terms=_collateral_terms(
            replies["minimum"].row, replies["greek cache"].row, replies["market"].row
        ),
        penalty=_penalty(replies["penalty"].row),
        trade_terms=_trade_terms(replies["limits"].row, replies["pricing"].row),
        quote_token=quote_token,
        base_token=base_token,
        quote_allowance_wad=replies["quote allowance"].integer,
        base_allowance_wad=replies["base allowance"].integer,
    )


def _collateral_terms(minimum: Row, greek_cache: Row, market: Row) -> CollateralTerms:
    floor_quote, floor_base, vol_a, point_a, vol_b, point_b, call_shock, put_shock = minimum
    return CollateralTerms(
        floor_quote_wad=floor_quote,
        floor_base_wad=floor_base,
        shock_vol_a_wad=vol_a,
        shock_point_a_s=point_a,
        shock_vol_b_wad=vol_b,
        shock_point_b_s=point_b,
        call_shock_wad=call_shock,
        put_shock_wad=put_shock,
        rate_wad=greek_cache[9],
        settlement_fee_wad=market[3],
    )


def _penalty(partial: Row) -> Penalty:
    ratio, _, _, min_fee = partial
    return Penalty(ratio_wad=ratio, min_fee_wad=min_fee)


def _trade_terms(limits: Row, pricing: Row) -> TradeTerms:
    min_delta, force_delta, cutoff, iv_low, iv_high, skew_low, skew_high, vol_low, vol_high = limits[:9]
    return TradeTerms(
        min_delta_wad=min_delta,
        force_delta_wad=force_delta,
        cutoff_s=cutoff,
        base_iv_wad=(iv_low, iv_high),
        skew_wad=(skew_low, skew_high),
        vol_wad=(vol_low, vol_high),
        force_skew_wad=(limits[9], limits[10]),
        standard_size_wad=pricing[7],
        skew_factor_wad=pricing[8],
    )


def _board(details: Reply) -> Board:
    board, strikes = cast(tuple[Row, tuple[Row, ...]], details.outputs[:2])
    return Board(
        board_id=board[0],
        expiry_s=board[1],
        base_iv_wad=board[2],
        is_frozen=bool(board[3]),
        strikes=tuple(Strike(strike_wad=strike[1], skew_wad=strike[2]) for strike in strikes),
    )


def _holding(held: Reply, row: Row, strike_and_board: Reply, settlement: Reply) -> Holding:
    position_id, strike_id, kind, amount, collateral, state = row
    if kind not in {int(known) for known in OptionType} or state != ACTIVE:
        raise held.mismatch("active options", f"position {position_id} has type {kind} and state {state}")
    strike, board = cast(tuple[Row, Row], strike_and_board.outputs)
    _, settled_at, base_taken = cast(Row, settlement.outputs)
    return Holding(
        position_id=position_id,
        option_type=OptionType(kind),
        amount_wad=amount,
        collateral_wad=collateral,
        strike_id=strike_id,
        strike_wad=strike[1],
        skew_wad=strike[2],
        expiry_s=board[1],
        base_iv_wad=board[2],
        settled_at_wad=settled_at,
        base_taken_wad=base_taken,
    )
