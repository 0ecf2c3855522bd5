"""Which calls to make, and how their answers become the state. Pure: whoever drives it does the asking."""

from __future__ import annotations

from agent.venues.example.deployment import ExampleDeployment
from agent.venues.example.fragment import ERC20, EXAMPLE, market_of
from agent.venues.example.margin import ExampleMargin, Terms
from agent.venues.example.state import ExampleState

from agent.chain.question import Question, ask
from agent.values.address import Address
from agent.values.amount import Token
from agent.values.block import Block
from agent.values.call import Reading

VIEWS = ("price", "isClosing", "INITIAL", "MAINTENANCE", "FEE", "FUNDING", "MAX_TRADE")


def read(example: ExampleDeployment, account: Address, block: Block) -> Reading[ExampleState]:
    """The account in one round. Raises ReadReverted or DecodeMismatch."""
    perps, token = Address(example.perps), Address(example.token)
    replies = yield from ask(
        {
            **{name: Question(perps, EXAMPLE[name]) for name in VIEWS},
            "account": Question(perps, EXAMPLE["accounts"], (account,)),
            "symbol": Question(token, ERC20["symbol"]),
            "decimals": Question(token, ERC20["decimals"]),
            "allowance": Question(token, ERC20["allowance"], (account, perps)),
        }
    )
    collateral, size, quote, since = replies["account"].integers
    terms = Terms(*(replies[name].integer for name in ("INITIAL", "MAINTENANCE", "FEE", "FUNDING")))
    margin = ExampleMargin(
        market=market_of(perps),
        asset=example.asset,
        collateral_token=Token(token, replies["symbol"].text, replies["decimals"].integer),
        collateral_wad=collateral,
        size=size,
        quote_wad=quote,
        since_s=since,
        at_s=block.timestamp_s,
        price_wad=replies["price"].integer,
        terms=terms,
    )
    return ExampleState(
        margin,
        max_wad=replies["MAX_TRADE"].integer,
        allowance_raw=replies["allowance"].integer,
        is_closing=bool(replies["isClosing"].integer),
    )
