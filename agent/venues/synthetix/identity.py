"""Are the configured contracts Synthetix' perps market and what it works with?

The perps market names its oracle manager, dollar token, core and spot market in storage only; its account
token, its markets and the core's oracle manager have getters.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

from agent.chain.question import Question, Reply, ask
from agent.errors import ContractMismatch, DecodeMismatch, ReadReverted
from agent.values.address import Address, parse_address
from agent.values.amount import Token
from agent.values.call import Reading
from agent.venues.deployments import SynthetixDeployment
from agent.venues.synthetix import storage
from agent.venues.synthetix.decode import token_of
from agent.venues.synthetix.fragment import SYNTHETIX, Key
from agent.venues.synthetix.reader import token_questions

T = TypeVar("T")

# a member of PerpsMarketFactory.Data by its slot, and the field of the deployment it must equal
FACTORY = (
    (storage.ORACLE, "oracle_manager"),
    (storage.USD_TOKEN, "usd_token"),
    (storage.CORE, "core"),
    (storage.SPOT_MARKET, "spot_market"),
)


def identify(synthetix: SynthetixDeployment) -> Reading[tuple[Token, ...]]:
    """The dollar token. Raises ContractMismatch naming the first address or number that is wrong."""
    perps, spot = Address(synthetix.perps_market), Address(synthetix.spot_market)
    factory = storage.single_slot("PerpsMarketFactory")
    asked: dict[Key, Question] = {
        ("account_token", ""): Question(perps, SYNTHETIX["getAccountTokenAddress"]),
        ("markets", ""): Question(perps, SYNTHETIX["getMarkets"]),
        ("collaterals", ""): Question(perps, SYNTHETIX["getSupportedCollaterals"]),
        ("oracle of the core", ""): Question(Address(synthetix.core), SYNTHETIX["getOracleManager"]),
        **{("stored", name): storage.word(perps, factory + slot, name) for slot, name in FACTORY},
        **{("synth", s.id): Question(spot, SYNTHETIX["getSynth"], (s.id,)) for s in synthetix.collaterals},
    }
    replies = yield from ask({**asked, **token_questions(synthetix)})
    label = "Synthetix' perps market"
    for _, name in FACTORY:
        found = _answered(replies[("stored", name)], label, lambda reply: reply.integer)
        _require_named(getattr(synthetix, name), _address(found), name, perps)
    token = _answered(replies[("account_token", "")], label, lambda reply: reply.address)
    _require_named(synthetix.account_token, token, "account_token", perps)
    core = replies[("oracle of the core", "")]
    oracle = _answered(core, "Synthetix' core", lambda reply: reply.address)
    _require_named(synthetix.oracle_manager, oracle, "oracle_manager", Address(synthetix.core))
    for kind, wanted in (
        ("markets", [market.id for market in synthetix.markets]),
        ("collaterals", [synth.id for synth in synthetix.collaterals]),
    ):
        known = _answered(replies[(kind, "")], label, lambda reply: cast(tuple[int, ...], reply.outputs[0]))
        for number in wanted:
            if number not in known:
                raise ContractMismatch(
                    target=perps, expected=f"number {number} among its {kind}", reason=f"it has {list(known)}"
                )
    for synth in synthetix.collaterals:
        _answered(replies[("synth", synth.id)], "Synthetix' spot market", lambda reply: reply.address)
    for key in token_questions(synthetix):
        _answered(replies[key], "Synthetix' dollar token", lambda reply: reply.outputs)
    return (token_of(synthetix, replies),)


def _answered(reply: Reply, expected: str, decode: Callable[[Reply], T]) -> T:
    """The decoded reply; without one the contract is another. Raises ContractMismatch."""
    try:
        return decode(reply)
    except (ReadReverted, DecodeMismatch) as error:
        raise ContractMismatch(
            target=reply.question.target, expected=expected, reason=error.sentence.removesuffix(".")
        ) from error


def _require_named(configured: str, found: Address, name: str, by: Address) -> None:
    if found != Address(configured):
        raise ContractMismatch(
            target=configured, expected=f"the {name} of {by}", reason=f"that names {found}"
        )


def _address(word: int) -> Address:
    return parse_address("0x" + f"{word:064x}"[-40:])
