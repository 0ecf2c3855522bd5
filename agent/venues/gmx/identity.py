"""Are the configured contracts GMX's, and of one deployment? They name each other in public."""

from __future__ import annotations

from agent.chain.question import Question, ask
from agent.errors import ContractMismatch, DecodeMismatch, ReadReverted
from agent.values.address import ZERO, Address
from agent.values.amount import Token
from agent.values.call import Reading
from agent.venues.deployments import GmxDeployment
from agent.venues.gmx.fragment import ERC20, GMX, Key
from agent.venues.gmx.key import key_of
from agent.venues.gmx.reader import decode_token, is_contract

# (who is asked, what, whom it must name), all fields of the deployment
CHAIN = (
    ("exchange_router", "router", "router"),
    ("exchange_router", "dataStore", "data_store"),
    ("exchange_router", "eventEmitter", "event_emitter"),
    ("exchange_router", "orderHandler", "order_handler"),
    ("order_handler", "orderVault", "order_vault"),
    ("order_handler", "referralStorage", "referral_storage"),
    ("order_handler", "dataStore", "data_store"),
    ("order_handler", "eventEmitter", "event_emitter"),
)


def identify(gmx: GmxDeployment) -> Reading[tuple[Token, ...]]:
    """The tokens that back positions, stable ones first. Raises ContractMismatch naming the first address
    that is wrong.
    """
    _require_whole(gmx)
    store, reader = Address(gmx.data_store), Address(gmx.reader)
    asked: dict[Key, Question] = {
        (asker, function, names): Question(Address(getattr(gmx, asker)), GMX[function])
        for asker, function, names in CHAIN
    }
    for market in gmx.markets:
        asked[("market", market.address)] = Question(
            reader, GMX["getMarket"], (store, Address(market.address))
        )
    backing = [token for token in gmx.tokens if is_contract(gmx, token)]
    for token in backing:
        asked[("symbol", token.address)] = Question(Address(token.address), ERC20["symbol"])
        asked[("decimals", token.address)] = Question(Address(token.address), ERC20["decimals"])
    asked[("wnt", "")] = Question(store, GMX["getAddress"], (key_of("WNT"),))
    replies = yield from ask(asked)
    try:
        for asker, function, names in CHAIN:
            found, expected = replies[(asker, function, names)].address, Address(getattr(gmx, names))
            if found != expected:
                raise ContractMismatch(
                    target=expected, expected=f"the {names} of GMX's {asker}", reason=f"that names {found}"
                )
        for market in gmx.markets:
            (words,) = replies[("market", market.address)].outputs
            if words != (market.address, market.index_token, market.long_token, market.short_token):
                raise ContractMismatch(
                    target=market.address,
                    expected=f"GMX's market of {market.asset} with the tokens in the deployment file",
                    reason=f"the reader {reader} says {words!r}",
                )
        if replies[("wnt", "")].address == ZERO:
            raise ContractMismatch(
                target=store, expected="GMX's store", reason="it knows no wrapped native token"
            )
        tokens = [(token.asset != "", decode_token(token, replies)) for token in backing]
    except (ReadReverted, DecodeMismatch) as error:
        raise ContractMismatch(
            target=gmx.data_store, expected="GMX's contracts", reason=error.sentence.removesuffix(".")
        ) from error
    return tuple(token for _, token in sorted(tokens, key=lambda pair: pair[0]))


def _require_whole(gmx: GmxDeployment) -> None:
    """Every token that a market names is described. Raises ContractMismatch."""
    known = {token.address for token in gmx.tokens}
    named = [gmx.native_token]
    for market in gmx.markets:
        named += [market.index_token, market.long_token, market.short_token]
    for token in named:
        if token not in known:
            raise ContractMismatch(
                target=token, expected="a token of the deployment file", reason="a market names it"
            )
