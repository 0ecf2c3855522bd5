"""Somebody who earns a living by liquidating: at every head, whatever the protocols say is liquidatable."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from agent.sim.contract import Contract, Request
from agent.sim.localnet import Localnet
from agent.values.call import Call

ACTIVE = 1  # OptionToken.PositionState
LIQUIDATED = 8  # OptionToken.PositionUpdatedType
SHORTS = range(2, 5)  # OptionMarket.OptionType: short call base, short call quote, short put
LIQUIDATE_GAS = 3_000_000


@dataclass(frozen=True, slots=True)
class Liquidation:
    """One that happened, as the protocol's own log tells it. ``what``: "lyra:12" or "curie:margin"."""

    block: int
    venue: str
    owner: str
    what: str


class Liquidator:
    """Finds victims by the contracts' own views and logs; knows nothing that is not on the chain."""

    def __init__(self, localnet: Localnet) -> None:
        self._net = localnet
        self._traders: dict[str, None] = {}
        self._looked_at = 0

    def calls(self) -> tuple[Call, ...]:
        """What to send at this head."""
        return (*self._options(), *self._perpetuals())

    def _options(self) -> tuple[Call, ...]:
        token, market = self._net.lyra.option_token, self._net.lyra.option_market
        strikes = {strike.strike_id: strike for strike in self._net.strikes}
        ids = range(1, token.integer("nextId"))
        positions = cast(list[dict[str, object]], token.call("getOptionPositions", list(ids))[0])
        shorts = [p for p in positions if p["state"] == ACTIVE and p["optionType"] in SHORTS]
        spot_wad = self._net.spot_wad()
        asked = []
        for position in shorts:
            strike = strikes[cast(int, position["strikeId"])]
            asked.append(
                Request(token, "canLiquidate", (position, strike.expiry_s, strike.strike_wad, spot_wad))
            )
        answers = self._net.chain.ask(asked)
        return tuple(
            _liquidate(market, "lyra.liquidatePosition", "liquidatePosition", p["positionId"], self._me)
            for p, answer in zip(shorts, answers, strict=True)
            if answer == [True]
        )

    def _perpetuals(self) -> tuple[Call, ...]:
        house, balance = self._net.curie.clearing_house, self._net.curie.account_balance
        base = self._net.curie.base.address
        newest = self._net.node.block_number()
        for event in house.logs("PositionChanged", self._looked_at, newest):
            self._traders[str(event["trader"])] = None
        self._looked_at = newest + 1
        traders = list(self._traders)
        asked = [Request(house, "getAccountValue", (trader,)) for trader in traders]
        asked += [Request(balance, "getMarginRequirementForLiquidation", (trader,)) for trader in traders]
        answers = [cast(int, answer[0]) for answer in self._net.chain.ask(asked)]
        values, requirements = answers[: len(traders)], answers[len(traders) :]
        return tuple(
            _liquidate(house, "curie.liquidate", "liquidate", trader, base)
            for trader, value, requirement in zip(traders, values, requirements, strict=True)
            if value < requirement
        )

    @property
    def _me(self) -> str:
        return self._net.roles["liquidator"]


def liquidations(localnet: Localnet, from_block: int, to_block: int | None = None) -> list[Liquidation]:
    """Every liquidation in a range of blocks, from the protocols' own events, in order."""
    found = []
    for block, event in localnet.lyra.option_token.placed_logs("PositionUpdated", from_block, to_block):
        if event["updatedType"] == LIQUIDATED:
            owner, what = str(event["owner"]), f"lyra:{event['positionId']}"
            found.append(Liquidation(block, "lyra", owner, what))
    for block, event in localnet.curie.clearing_house.placed_logs("PositionLiquidated", from_block, to_block):
        found.append(Liquidation(block, "curie", str(event["trader"]), "curie:margin"))
    return sorted(found, key=lambda one: one.block)


def _liquidate(contract: Contract, label: str, function: str, *args: object) -> Call:
    return Call(contract.address, contract.encode(function, *args), label=label, gas_hint=LIQUIDATE_GAS)
