"""Are the configured contracts Curie's, and of one deployment? They name each other in public."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

from agent.chain.question import Question, Reply, ask
from agent.errors import ContractMismatch, DecodeMismatch, ReadReverted
from agent.values.address import ZERO, Address
from agent.values.amount import Token
from agent.values.call import Reading
from agent.venues.curie.reader import CURIE, Key, decode_token, token_questions
from agent.venues.deployments import CurieDeployment

T = TypeVar("T")

# (who is asked, what, whom it must name), all fields of the deployment
CHAIN = (
    ("clearing_house", "getVault", "vault"),
    ("clearing_house", "getExchange", "exchange"),
    ("clearing_house", "getAccountBalance", "account_balance"),
    ("clearing_house", "getClearingHouseConfig", "config"),
    ("clearing_house", "getOrderBook", "order_book"),
    ("vault", "getClearingHouse", "clearing_house"),
    ("vault", "getSettlementToken", "settlement_token"),
    ("vault", "getExchange", "exchange"),
    ("vault", "getAccountBalance", "account_balance"),
    ("account_balance", "getVault", "vault"),
    ("account_balance", "getOrderBook", "order_book"),
    ("exchange", "getMarketRegistry", "market_registry"),
    ("exchange", "getAccountBalance", "account_balance"),
    ("order_book", "getExchange", "exchange"),
    ("order_book", "getMarketRegistry", "market_registry"),
)


def identify(curie: CurieDeployment) -> Reading[tuple[Token, ...]]:
    """The settlement token. Raises ContractMismatch naming the first address that is wrong."""
    asked: dict[Key, Question] = {
        (f"{asker}.{function}", names): Question(Address(getattr(curie, asker)), CURIE[function])
        for asker, function, names in CHAIN
    }
    registry, config = Address(curie.market_registry), Address(curie.config)
    asked[("config", "")] = Question(config, CURIE["getMmRatio"])
    for market in curie.markets:
        base = Address(market.address)
        asked[("market", base)] = Question(registry, CURIE["hasPool"], (base,))
    replies = yield from ask({**asked, **token_questions(curie)})
    for (label, names), question in asked.items():
        reply = replies[(label, names)]
        if label == "market":
            _require_market(reply, Address(str(names)), registry)
        elif label == "config":
            _answered(reply, "the protocol's configuration", lambda found: found.integer)
        else:
            expected = Address(getattr(curie, str(names)))
            found = _answered(reply, f"Curie's {label.partition('.')[0]}", lambda found: found.address)
            if found != expected:
                raise ContractMismatch(
                    target=expected,
                    expected=f"the {names} of Curie's {label.partition('.')[0]} {question.target}",
                    reason=f"that names {found}",
                )
    for key in token_questions(curie):
        _answered(replies[key], "Curie's settlement token", lambda found: found.outputs)
    yield from _collaterals(curie)
    return (decode_token(curie, replies),)


def _collaterals(curie: CurieDeployment) -> Reading[None]:
    """Every token that is said to be collateral is some. Raises ContractMismatch."""
    if not curie.collaterals:
        return
    asked: dict[Key, Question] = {
        ("manager", ""): Question(Address(curie.vault), CURIE["getCollateralManager"])
    }
    manager = (yield from ask(asked))[("manager", "")].address
    tokens = [Address(other.address) for other in curie.collaterals]
    asked = {("config", token): Question(manager, CURIE["getCollateralConfig"], (token,)) for token in tokens}
    replies = yield from ask(asked)
    for token in tokens:
        (config,) = _answered(
            replies[("config", token)], "Curie's collateral manager", lambda found: found.outputs
        )
        if cast(tuple[str, int, int, int], config)[0] == ZERO:
            raise ContractMismatch(
                target=token,
                expected=f"collateral that Curie's {manager} takes",
                reason="it has no price there",
            )


def _answered(reply: Reply, expected: str, decode: Callable[[Reply], T]) -> T:
    """The decoded reply; without one the contract is another. Raises ContractMismatch."""
    try:
        return decode(reply)
    except (ReadReverted, DecodeMismatch) as error:
        raise ContractMismatch(
            target=reply.question.target, expected=expected, reason=error.sentence.removesuffix(".")
        ) from error


def _require_market(reply: Reply, base: Address, registry: Address) -> None:
    if not _answered(reply, "Curie's market registry", lambda found: found.integer):
        raise ContractMismatch(
            target=base, expected=f"a market of Curie's registry {registry}", reason="it has no pool there"
        )
