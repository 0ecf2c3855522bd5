"""The scripted market, in a process of its own: oracle, arbitrage, keepers and liquidator, block by block.

python -m agent.sim.scenario --localnet out/localnet.json --seed 7 --blocks 300 --block-s 30 --interval 0.3

Every block the oracle goes to the path's next price first; the arbitrageur then brings the pools to it and
the liquidator calls what was liquidatable at the head before. Whoever else has something in the pool by then
competes with them by tip. Nothing here knows of the agent.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

from agent.sim import tick
from agent.sim.deploy.uniswap import POOL_FEE, is_base_first, pool_price_wad
from agent.sim.keeper import Keeper
from agent.sim.liquidator import Liquidator
from agent.sim.localnet import Localnet, attach
from agent.sim.path import GWEI, Step, path
from agent.sim.path import Path as MarketPath
from agent.sim.toolchain import locate
from agent.values.call import Call
from agent.values.fixed import WAD, from_float

ORACLE_TIP_WEI = GWEI  # the price is there before anybody trades on it, unless they pay more
ARBITRAGE_TIP_WEI = GWEI // 2
LIQUIDATOR_TIP_WEI = GWEI // 3
KEEPER_TIP_WEI = GWEI // 50
TRADE_GAS = 2_000_000
REFRESH_GAS = 4_000_000
MAX_MOVE = 1.0001**950  # of the perpetual's pool in one block, inside the protocol's thousand ticks
SAME = 0.0002  # a pool this near its aim is left alone
STALE_MOVE = 0.03  # of the spot since Lyra's cached Greeks were refreshed
ALL = 10**9 * WAD  # more than any pool holds: trade up to the price limit


class Scenario:
    """Plays a path on a chain that mines nothing by itself."""

    def __init__(self, localnet: Localnet, seed: int = 0) -> None:
        self._net = localnet
        self._liquidator = Liquidator(localnet)
        self._keeper = Keeper(localnet, seed)
        self._greeks_at_wad = localnet.spot_wad()
        self._base_fee_wei = 0

    def play(self, script: MarketPath, interval_s: float, cue: Callable[[], None] | None = None) -> None:
        """One block per step, at least ``interval_s`` real seconds apart (0: as fast as it goes).

        A busy machine makes the whole market slower, never a burst of blocks: nobody could act in one.
        ``cue`` is called before each block is mined and may take its time.
        """
        due = time.monotonic() + interval_s
        for number, step in enumerate(script.steps[1:], start=1):
            self._prepare(step)
            if cue is not None:
                cue()
            time.sleep(max(0.0, due - time.monotonic()))
            self._net.node.mine()
            due = time.monotonic() + interval_s
            _say({"step": number, "block": self._net.node.block_number(), "spot": step.price_wad / WAD})

    def _prepare(self, step: Step) -> None:
        """Everything the script wants in the next block."""
        net, roles = self._net, self._net.roles
        net.node.set_next_base_fee(step.base_fee_wei)
        self._base_fee_wei = step.base_fee_wei
        # first what was liquidatable at the head: the liquidator has seen no more than that
        for call in self._liquidator.calls():
            self._submit(roles["liquidator"], call, LIQUIDATOR_TIP_WEI)
        for call in self._keeper.calls():
            self._submit(roles["keeper"], call, KEEPER_TIP_WEI)
        for call in net.spot_calls(step.price_wad):
            self._submit(roles["owner"], call, ORACLE_TIP_WEI)
        for call in (*self._level_perpetual(step), *self._level_spot(step)):
            self._submit(roles["arbitrageur"], call, ARBITRAGE_TIP_WEI)
        if abs(step.price_wad / self._greeks_at_wad - 1) > STALE_MOVE:
            self._greeks_at_wad = step.price_wad
            for call in net.refresh_calls():
                self._submit(roles["keeper"], call, KEEPER_TIP_WEI)

    def _submit(self, sender: str, call: Call, tip_wei: int) -> None:
        gas = call.gas_hint or REFRESH_GAS
        self._net.chain.submit(
            sender, call.target, call.data, tip_wei=tip_wei, gas=gas, base_fee_wei=self._base_fee_wei
        )

    def _level_perpetual(self, step: Step) -> tuple[Call, ...]:
        """Trade Curie's pool to the oracle and the path's premium, as far as one block may go."""
        curie = self._net.curie
        sqrt_x96 = int(str(curie.pool.call("slot0")[0]))
        now = tick.price_wad(sqrt_x96) / WAD
        aim = step.price_wad / WAD * (1 + step.premium)
        aim = min(max(aim, now / MAX_MOVE), now * MAX_MOVE)
        if abs(aim / now - 1) < SAME:
            return ()
        order = {
            "baseToken": curie.base.address,
            "isBaseToQuote": aim < now,
            "isExactInput": True,
            "amount": ALL // 10_000 if aim < now else ALL,
            "oppositeAmountBound": 0,
            "deadline": 2**256 - 1,
            "sqrtPriceLimitX96": tick.sqrt_price_x96(from_float(aim)),
            "referralCode": bytes(32),
        }
        house = curie.clearing_house
        return (Call(house.address, house.encode("openPosition", order), 0, "curie.arbitrage", TRADE_GAS),)

    def _level_spot(self, step: Step) -> tuple[Call, ...]:
        """Swap Uniswap's pool to the oracle."""
        base, quote, uniswap = self._net.lyra.base, self._net.lyra.quote, self._net.uniswap
        sqrt_x96 = int(str(uniswap.pool.call("slot0")[0]))
        aim_x96 = tick.sqrt_price_x96(pool_price_wad(base, quote, step.price_wad))
        if abs(aim_x96 / sqrt_x96 - 1) < SAME / 2:
            return ()
        first_in = aim_x96 < sqrt_x96  # token0 in lowers the price
        pays_base = first_in == is_base_first(base, quote)
        swap = {
            "tokenIn": (base if pays_base else quote).address,
            "tokenOut": (quote if pays_base else base).address,
            "fee": POOL_FEE,
            "recipient": self._net.roles["arbitrageur"],
            "deadline": 2**256 - 1,
            "amountIn": 15_000 * WAD if pays_base else 30_000_000 * WAD,
            "amountOutMinimum": 0,
            "sqrtPriceLimitX96": aim_x96,
        }
        router = uniswap.swap_router
        data = router.encode("exactInputSingle", swap)
        return (Call(router.address, data, 0, "uniswap.arbitrage", TRADE_GAS),)


def _await_line() -> None:
    """Until whoever started us says so; when he is gone, so are we."""
    if not sys.stdin.readline():
        sys.exit("whoever gives the cues is gone")


def _say(line: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Attach to a running local chain and play; the chain must not mine by itself."""
    parser = argparse.ArgumentParser(prog="python -m agent.sim.scenario", description=__doc__)
    parser.add_argument("--localnet", type=Path, required=True, help="the chain's localnet.json")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--blocks", type=int, default=300)
    parser.add_argument("--block-s", type=int, default=30, help="simulated seconds per block")
    parser.add_argument("--interval", type=float, default=0.0, help="real seconds per block")
    parser.add_argument("--cued", action="store_true", help="mine a block for each line on stdin")
    arguments = parser.parse_args()
    net = attach(arguments.localnet, locate())
    script = path(arguments.seed, arguments.blocks, arguments.block_s, net.spot_wad())
    net.node.set_interval(arguments.block_s)
    Scenario(net, arguments.seed).play(script, arguments.interval, _await_line if arguments.cued else None)


if __name__ == "__main__":
    main()
