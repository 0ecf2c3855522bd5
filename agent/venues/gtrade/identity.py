"""Is the configured diamond gTrade's, of a version that we know, and are these its pairs and money?"""

from __future__ import annotations

from typing import cast

from agent.chain.question import Question, ask
from agent.errors import ContractMismatch, DecodeMismatch, ReadReverted
from agent.values.address import Address
from agent.values.amount import Token
from agent.values.call import Reading
from agent.venues.deployments import GtradeDeployment
from agent.venues.gtrade.fragment import ERC20, GTRADE, V10, Key

DOLLAR = "USD"


def identify(gtrade: GtradeDeployment) -> Reading[tuple[Token, ...]]:
    """The collateral. Raises ContractMismatch naming what is wrong."""
    diamond, token = Address(gtrade.diamond), Address(gtrade.collateral_token)
    asked: dict[Key, Question] = {
        ("version",): Question(diamond, GTRADE["getCurrentContractsVersion"]),
        ("collateral",): Question(diamond, GTRADE["getCollateral"], (gtrade.collateral_index,)),
        ("index",): Question(diamond, GTRADE["getCollateralIndex"], (token,)),
        ("symbol",): Question(token, ERC20["symbol"]),
        ("decimals",): Question(token, ERC20["decimals"]),
    }
    for pair in gtrade.pairs:
        asked[("pair", pair.index)] = Question(diamond, GTRADE["pairs"], (pair.index,))
    replies = yield from ask(asked)
    try:
        version = replies[("version",)].integer
        if version < V10:
            raise _mismatch(gtrade, "gTrade's contracts of version 10", f"it says version {version}")
        (words,) = replies[("collateral",)].outputs
        found, _, _, precision, _ = cast(tuple[Address, bool, int, int, int], words)
        if found != token or replies[("index",)].integer != gtrade.collateral_index:
            expected = f"gTrade with {token} as collateral {gtrade.collateral_index}"
            raise _mismatch(gtrade, expected, f"that one is {found}")
        decimals = replies[("decimals",)].integer
        if decimals != gtrade.collateral_decimals or precision != 10**decimals:
            expected = f"collateral of {gtrade.collateral_decimals} decimals"
            raise _mismatch(gtrade, expected, f"it has {decimals}, and gTrade counts {precision} to one")
        for pair in gtrade.pairs:
            (words,) = replies[("pair", pair.index)].outputs
            base, quote = cast(tuple[str, ...], words)[:2]
            if (base, quote) != (pair.asset, DOLLAR):
                expected = f"{pair.asset}/{DOLLAR} as gTrade's pair {pair.index}"
                raise _mismatch(gtrade, expected, f"that one is {base}/{quote}")
        symbol = replies[("symbol",)].text
    except (ReadReverted, DecodeMismatch) as error:
        raise _mismatch(gtrade, "gTrade's diamond", error.sentence.removesuffix(".")) from error
    return (Token(token, symbol, decimals),)


def _mismatch(gtrade: GtradeDeployment, expected: str, reason: str) -> ContractMismatch:
    return ContractMismatch(target=gtrade.diamond, expected=expected, reason=reason)
