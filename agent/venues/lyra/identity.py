"""Are the configured contracts Lyra's, and of one market?

The market's contracts do not name each other in public; Lyra's own viewer, which holds them all, is what
the deployment is compared with, and every contract must answer as its kind does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from agent.chain.question import Question, Reply, ask
from agent.errors import ContractMismatch, DecodeMismatch, ReadReverted
from agent.values.address import Address
from agent.values.amount import Token
from agent.values.call import Reading
from agent.venues.deployments import LyraDeployment
from agent.venues.lyra.fragment import LYRA
from agent.venues.lyra.reader import decode_tokens, token_questions

_UNUSED = 0  # no position has this id; asking for it shows that the contract knows positions


def identify(lyra: LyraDeployment) -> Reading[tuple[Token, ...]]:
    """The quote and the base token. Raises ContractMismatch naming the first address that is wrong."""
    market, viewer = Address(lyra.option_market), Address(lyra.viewer)
    replies = yield from ask(
        {
            "viewer": Question(viewer, LYRA["marketAddresses"], (market,)),
            "viewer's adapter": Question(viewer, LYRA["synthetixAdapter"]),
            "adapter": Question(Address(lyra.synthetix_adapter), LYRA["baseKey"], (market,)),
            "market": Question(market, LYRA["getOptionMarketParams"]),
            "option token": Question(Address(lyra.option_token), LYRA["getPositionState"], (_UNUSED,)),
            "greek cache": Question(Address(lyra.greek_cache), LYRA["getMinCollatParams"]),
            "pricer": Question(Address(lyra.pricer), LYRA["getTradeLimitParams"]),
            **token_questions(lyra),
        }
    )
    outputs = {name: _outputs(name, reply) for name, reply in replies.items()}
    named = [cast(Address, address) for address in outputs["viewer"]]
    pool, _, cache, named_market, pricer, token, shorts, _, quote, base = named
    adapter = cast(Address, outputs["viewer's adapter"][0])
    _compare(
        lyra,
        {
            "option_market": named_market,
            "synthetix_adapter": adapter,
            "liquidity_pool": pool,
            "greek_cache": cache,
            "pricer": pricer,
            "option_token": token,
            "short_collateral": shorts,
            "quote_token": quote,
            "base_token": base,
        },
    )
    if outputs["adapter"][0] == bytes(32):
        raise ContractMismatch(
            target=lyra.synthetix_adapter,
            expected=f"the adapter of Lyra's market {market}",
            reason="it knows no asset for that market",
        )
    return decode_tokens(lyra, replies)


def _outputs(name: str, reply: Reply) -> tuple[object, ...]:
    try:
        return reply.outputs
    except (ReadReverted, DecodeMismatch) as error:
        raise ContractMismatch(
            target=reply.question.target, expected=f"Lyra's {name}", reason=error.sentence.removesuffix(".")
        ) from error


def _compare(lyra: LyraDeployment, named: Mapping[str, Address]) -> None:
    for field, address in named.items():
        configured = getattr(lyra, field)
        if configured != address:
            raise ContractMismatch(
                target=configured,
                expected=f"the {field} of Lyra's market {lyra.option_market}",
                reason=f"the viewer at {lyra.viewer} names {address}",
            )
