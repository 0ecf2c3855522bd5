"""The store's numbers of one market: which are asked for, and how they become a `Market`."""

from __future__ import annotations

from agent.chain.question import Question
from agent.errors import ContractMismatch
from agent.values.address import Address
from agent.venues.deployments import GmxDeployment, GmxMarket
from agent.venues.gmx.fragment import GMX, Key, Replies
from agent.venues.gmx.key import key_of
from agent.venues.gmx.market import Fees, Funding, Impact, Market, Pair, Side

BY_MARKET = (
    "MIN_COLLATERAL_FACTOR",
    "MIN_COLLATERAL_FACTOR_FOR_LIQUIDATION",
    "MAX_POSITION_IMPACT_FACTOR_FOR_LIQUIDATIONS",
    "LIQUIDATION_FEE_FACTOR",
    "FUNDING_UPDATED_AT",
    "FUNDING_INCREASE_FACTOR_PER_SECOND",
    "FUNDING_DECREASE_FACTOR_PER_SECOND",
    "THRESHOLD_FOR_STABLE_FUNDING",
    "THRESHOLD_FOR_DECREASE_FUNDING",
    "MIN_FUNDING_FACTOR_PER_SECOND",
    "MAX_FUNDING_FACTOR_PER_SECOND",
    "FUNDING_FACTOR",
    "FUNDING_EXPONENT_FACTOR",
    "POSITION_IMPACT_POOL_AMOUNT",
    "LENT_POSITION_IMPACT_POOL_AMOUNT",
    "MAX_LENDABLE_IMPACT_FACTOR",
    "MAX_LENDABLE_IMPACT_USD",
)
BY_SIDE = (
    "CUMULATIVE_BORROWING_FACTOR",
    "CUMULATIVE_BORROWING_FACTOR_UPDATED_AT",
    "OPTIMAL_USAGE_FACTOR",
    "BASE_BORROWING_FACTOR",
    "ABOVE_OPTIMAL_USAGE_BORROWING_FACTOR",
    "BORROWING_FACTOR",
    "BORROWING_EXPONENT_FACTOR",
    "RESERVE_FACTOR",
    "OPEN_INTEREST_RESERVE_FACTOR",
    "MAX_OPEN_INTEREST",
    "MIN_COLLATERAL_FACTOR_FOR_OPEN_INTEREST_MULTIPLIER",
)
BY_SIGN = (  # of an imbalance: True where it shrinks
    "POSITION_FEE_FACTOR",
    "POSITION_IMPACT_FACTOR",
    "POSITION_IMPACT_EXPONENT_FACTOR",
    "MAX_POSITION_IMPACT_FACTOR",
)
BY_TOKEN_AND_SIDE = (
    "OPEN_INTEREST",
    "OPEN_INTEREST_IN_TOKENS",
    "FUNDING_FEE_AMOUNT_PER_SIZE",
    "CLAIMABLE_FUNDING_AMOUNT_PER_SIZE",
)
MAX_PROFIT = key_of("MAX_PNL_FACTOR_FOR_TRADERS")


def market_questions(gmx: GmxDeployment, market: GmxMarket, account: Address) -> dict[Key, Question]:
    """All that `decode_market` needs, and what the account may claim there."""
    store, reader, at = Address(gmx.data_store), Address(gmx.reader), Address(market.address)
    long, short, index = (
        Address(market.long_token),
        Address(market.short_token),
        Address(market.index_token),
    )

    def number(*parts: Address | bool | bytes, name: str) -> Question:
        return Question(store, GMX["getUint"], (key_of(name, *parts),))

    asked: dict[Key, Question] = {
        ("market", market.address): Question(reader, GMX["getMarket"], (store, at)),
        ("disabled", market.address): Question(store, GMX["getBool"], (key_of("IS_MARKET_DISABLED", at),)),
        ("saved", market.address): Question(
            store, GMX["getInt"], (key_of("SAVED_FUNDING_FACTOR_PER_SECOND", at),)
        ),
        ("virtual token", market.address): Question(
            store, GMX["getBytes32"], (key_of("VIRTUAL_TOKEN_ID", index),)
        ),
    }
    for name in BY_MARKET:
        asked[(name, market.address)] = number(at, name=name)
    for flag in (True, False):
        for name in (*BY_SIDE, *BY_SIGN):
            asked[(name, market.address, flag)] = number(at, flag, name=name)
        asked[("max profit", market.address, flag)] = number(MAX_PROFIT, at, flag, name="MAX_PNL_FACTOR")
        for token in dict.fromkeys((long, short)):
            for name in BY_TOKEN_AND_SIDE:
                asked[(name, market.address, token, flag)] = number(at, token, flag, name=name)
    for token in dict.fromkeys((long, short)):
        asked[("pool", market.address, token)] = number(at, token, name="POOL_AMOUNT")
        asked[("claimable", market.address, token)] = number(
            at, token, account, name="CLAIMABLE_FUNDING_AMOUNT"
        )
    return asked


def decode_market(market: GmxMarket, first: Replies, second: Replies) -> Market:
    """The market. Raises ContractMismatch if its tokens are not the configured ones."""
    at, long, short = market.address, market.long_token, market.short_token
    (found,) = first[("market", at)].outputs
    if found != (at, market.index_token, long, short):
        raise ContractMismatch(
            target=at,
            expected=f"GMX's market of index {market.index_token}, long {long} and short {short}",
            reason=f"the reader says {found!r}",
        )

    def number(*name: object) -> int:
        return first[name].integer

    divisor = 2 if long == short else 1

    def both(name: str, flag: bool, *, halved: bool) -> Pair:
        a, b = (number(name, at, token, flag) for token in (long, short))
        return Pair(a // divisor, b // divisor) if halved else Pair(a, b)

    def side(flag: bool) -> Side:
        return Side(
            usd=both("OPEN_INTEREST", flag, halved=True),
            tokens=both("OPEN_INTEREST_IN_TOKENS", flag, halved=True),
            funding_per_size=both("FUNDING_FEE_AMOUNT_PER_SIZE", flag, halved=False),
            claim_per_size=both("CLAIMABLE_FUNDING_AMOUNT_PER_SIZE", flag, halved=False),
            borrowing=number("CUMULATIVE_BORROWING_FACTOR", at, flag),
            borrowed_at_s=number("CUMULATIVE_BORROWING_FACTOR_UPDATED_AT", at, flag),
            optimal_usage=number("OPTIMAL_USAGE_FACTOR", at, flag),
            base_rate=number("BASE_BORROWING_FACTOR", at, flag),
            above_rate=number("ABOVE_OPTIMAL_USAGE_BORROWING_FACTOR", at, flag),
            plain_rate=number("BORROWING_FACTOR", at, flag),
            plain_exponent=number("BORROWING_EXPONENT_FACTOR", at, flag),
            reserve=number("RESERVE_FACTOR", at, flag),
            interest_reserve=number("OPEN_INTEREST_RESERVE_FACTOR", at, flag),
            max_usd=number("MAX_OPEN_INTEREST", at, flag),
            max_profit=number("max profit", at, flag),
            min_collateral_multiplier=number("MIN_COLLATERAL_FACTOR_FOR_OPEN_INTEREST_MULTIPLIER", at, flag),
        )

    def signs(name: str) -> Pair:
        return Pair(number(name, at, True), number(name, at, False))

    return Market(
        token=Address(at),
        index_token=Address(market.index_token),
        long_token=Address(long),
        short_token=Address(short),
        longs=side(True),
        shorts=side(False),
        funding=Funding(
            saved=number("saved", at),
            updated_at_s=number("FUNDING_UPDATED_AT", at),
            increase=number("FUNDING_INCREASE_FACTOR_PER_SECOND", at),
            decrease=number("FUNDING_DECREASE_FACTOR_PER_SECOND", at),
            stable_above=number("THRESHOLD_FOR_STABLE_FUNDING", at),
            decrease_below=number("THRESHOLD_FOR_DECREASE_FUNDING", at),
            least=number("MIN_FUNDING_FACTOR_PER_SECOND", at),
            most=number("MAX_FUNDING_FACTOR_PER_SECOND", at),
            plain=number("FUNDING_FACTOR", at),
            exponent=number("FUNDING_EXPONENT_FACTOR", at),
        ),
        impact=Impact(
            factors=signs("POSITION_IMPACT_FACTOR"),
            exponents=signs("POSITION_IMPACT_EXPONENT_FACTOR"),
            most=signs("MAX_POSITION_IMPACT_FACTOR"),
            most_in_liquidation=number("MAX_POSITION_IMPACT_FACTOR_FOR_LIQUIDATIONS", at),
            inventory=second[("inventory", at)].integer if ("inventory", at) in second else None,
        ),
        fees=Fees(
            position=signs("POSITION_FEE_FACTOR"),
            liquidation=number("LIQUIDATION_FEE_FACTOR", at),
            min_collateral=number("MIN_COLLATERAL_FACTOR", at),
            min_collateral_in_liquidation=number("MIN_COLLATERAL_FACTOR_FOR_LIQUIDATION", at),
            min_collateral_usd=number("number", "MIN_COLLATERAL_USD"),
            min_size_usd=number("number", "MIN_POSITION_SIZE_USD"),
        ),
        pool=Pair(number("pool", at, long) // divisor, number("pool", at, short) // divisor),
        impact_pool=number("POSITION_IMPACT_POOL_AMOUNT", at),
        lent_impact=number("LENT_POSITION_IMPACT_POOL_AMOUNT", at),
        max_lendable=number("MAX_LENDABLE_IMPACT_FACTOR", at),
        max_lendable_usd=number("MAX_LENDABLE_IMPACT_USD", at),
        counts_tokens=bool(number("flag", "USE_OPEN_INTEREST_IN_TOKENS_FOR_BALANCE")),
        spares_smaller=bool(number("flag", "SKIP_BORROWING_FEE_FOR_SMALLER_SIDE")),
        is_disabled=bool(number("disabled", at)),
    )
