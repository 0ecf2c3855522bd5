"""Is the configured contract the protocol's? It names its token, and answers what only its kind answers."""

from __future__ import annotations

from agent.venues.example.deployment import ExampleDeployment
from agent.venues.example.fragment import ERC20, EXAMPLE

from agent.chain.question import Question, ask
from agent.errors import ContractMismatch, DecodeMismatch, ReadReverted
from agent.values.address import Address
from agent.values.amount import Token
from agent.values.call import Reading


def identify(example: ExampleDeployment) -> Reading[tuple[Token, ...]]:
    """The margin token. Raises ContractMismatch naming the address that is wrong."""
    perps, token = Address(example.perps), Address(example.token)
    replies = yield from ask(
        {
            "token": Question(perps, EXAMPLE["token"]),
            "maintenance": Question(perps, EXAMPLE["MAINTENANCE"]),
            "symbol": Question(token, ERC20["symbol"]),
            "decimals": Question(token, ERC20["decimals"]),
        }
    )
    try:
        named = replies["token"].address
        ratio = replies["maintenance"].integer
        found = Token(token, replies["symbol"].text, replies["decimals"].integer)
    except (ReadReverted, DecodeMismatch) as error:
        wrong = error.fields["target"]
        reason = error.sentence.removesuffix(".")
        raise ContractMismatch(
            target=wrong, expected="the example's perpetual or its token", reason=reason
        ) from error
    if named != token:
        raise ContractMismatch(target=token, expected=f"the token of {perps}", reason=f"that names {named}")
    if ratio <= 0:
        raise ContractMismatch(target=perps, expected="a maintenance ratio", reason=f"it says {ratio}")
    return (found,)
