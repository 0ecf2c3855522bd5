"""Panoptic v2's own contracts on a chain of our own, with a Uniswap v3 pool under them.

The contracts are not ours to ship: ``PANOPTIC_ARTIFACTS`` names a directory of compiled artifacts (one JSON
per contract with ``abi`` and ``bytecode.object``, as forge leaves them under ``out/``). The pool comes from
npm.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import orjson

from agent.sim.abi import Abi
from agent.sim.anvil import Anvil, AnvilOptions
from agent.sim.artifact import Artifact, own_artifact
from agent.sim.contract import Chain, Contract
from agent.sim.deploy import uniswap as uniswap_deploy
from agent.sim.node import Node
from agent.sim.toolchain import Toolchain
from agent.values.address import ZERO, Address, parse_address
from agent.values.fixed import WAD
from tests.flips.crowd import BLOCK_GAS, Crowd

VARIABLE = "PANOPTIC_ARTIFACTS"
GENESIS_S = 1_750_000_000
SPACING, FEE_PPM = 60, 3000
SFPM_TICKFILL = 2_100 * WAD  # both as in the protocol's own deployment
SFPM_SUPPLY_BPS = 10_000
ENGINE_UNIT = 10_000_000
CONTRACTS = (
    "PanopticMath",
    "InteractionHelper",
    "SemiFungiblePositionManagerV3",
    "CollateralTrackerV2",
    "PanopticPoolV2",
    "RiskEngine",
    "BuilderFactory",
    "PanopticFactoryV3",
)
LIMITS = (-887_271, 887_271)  # of the price after a mint: none
MOST = 2**128


def missing() -> str:
    """What stands in the way of running on the real contracts, in a sentence; empty if nothing does."""
    folder = os.environ.get(VARIABLE, "")
    if not folder:
        return f"set {VARIABLE} to a directory of Panoptic v2's compiled artifacts (forge's out/)"
    found = {path.stem for path in Path(folder).rglob("*.json")}
    absent = [name for name in CONTRACTS if name not in found]
    return f"{VARIABLE}={folder} has no {', '.join(absent)}" if absent else ""


def artifact(name: str) -> Artifact:
    """A contract of the directory, whatever folder it is in. Raises LookupError."""
    for path in sorted(Path(os.environ[VARIABLE]).rglob(f"{name}.json")):
        raw = orjson.loads(path.read_bytes())
        code = raw.get("bytecode", {})
        if isinstance(code, dict) and len(str(code.get("object", ""))) > 2:
            return Artifact(name, raw["abi"], str(code["object"]), code.get("linkReferences", {}))
    raise LookupError(f"{os.environ[VARIABLE]} has no {name}")


@dataclass(frozen=True)
class World:
    """``asset`` and ``quote`` are the pool's tokens in either order; ``owner`` can make both of them."""

    node: Node
    chain: Chain
    crowd: Crowd
    owner: Address
    provider: Address
    asset: Contract
    quote: Contract
    uniswap: uniswap_deploy.Uniswap
    amm: Contract
    sfpm: Contract
    engine: Contract
    factory: Contract
    pool: Contract
    trackers: tuple[Contract, Contract]
    first_block: int

    @property
    def tokens(self) -> tuple[Contract, Contract]:
        """Token0 and token1."""
        pair = sorted((self.asset, self.quote), key=lambda token: int(token.address, 16))
        return pair[0], pair[1]

    @property
    def is_asset_first(self) -> bool:
        return self.tokens[0] is self.asset

    @property
    def pool_id(self) -> int:
        return self.pool.integer("poolId")

    def tick(self) -> int:
        return self.pool.integer("getCurrentTick")

    def fund(self, account: Address, amounts: tuple[int, int]) -> None:
        """Mint both tokens and deposit them into the trackers."""
        for token, tracker, amount in zip(self.tokens, self.trackers, amounts, strict=True):
            if amount == 0:
                continue
            token.send(self.owner, "mint", account, amount)
            token.send(account, "approve", tracker.address, amount)
            tracker.send(account, "deposit", amount, account)

    def swap_to(self, sqrt_x96: int) -> None:
        """Move the pool to exactly this price."""
        now = cast(int, self.amm.call("slot0")[0])
        if now == sqrt_x96:
            return
        down = sqrt_x96 < now
        first, second = self.tokens if down else (self.tokens[1], self.tokens[0])
        self.uniswap.swap_router.send(
            self.provider,
            "exactInputSingle",
            (first.address, second.address, FEE_PPM, self.provider, 2**63, 10**30, 0, sqrt_x96),
        )

    def poke(self, times: int, step_s: int = 70) -> None:
        """Let the oracle see the present price that often."""
        for _ in range(times):
            self.node.warp(step_s)
            self.pool.send(self.provider, "pokeOracle")

    def dispatch(
        self,
        account: Address,
        ids: list[int],
        final: list[int],
        sizes: list[int],
        *,
        swap: bool = False,
        spread: int = 8_388_607,
    ) -> None:
        low, high = LIMITS[::-1] if swap else LIMITS
        limits = [(low, high, spread)] * len(ids)
        self.pool.send(account, "dispatch", ids, final, sizes, limits, True, 0)


@contextmanager
def world(
    toolchain: Toolchain,
    *,
    is_asset_first: bool = True,
    decimals: tuple[int, int] = (18, 18),
    spot_wad: int = 2_000 * WAD,
    cross_buffer: int = ENGINE_UNIT,
    depth: int = 10**24,
) -> Iterator[World]:
    """A pool at ``spot_wad`` (quote per asset) with ``depth`` of liquidity over nearly all prices.

    ``decimals``: of asset and quote.
    """
    options = AnvilOptions(genesis_s=GENESIS_S, interval_s=1, gas_limit=BLOCK_GAS, kept_states=1_500)
    with Anvil(toolchain.anvil, options) as node:
        chain = Chain(node)
        crowd = Crowd(chain)
        crowd.people("nobody", 1)  # from now on the node plays every sender
        owner, provider = (parse_address(text) for text in cast(list[str], node.request("eth_accounts"))[:2])
        asset, quote = _tokens(chain, owner, is_asset_first, decimals)
        shifted = spot_wad * 10 ** decimals[1] // 10 ** decimals[0]  # as raw units see it
        uniswap = uniswap_deploy.deploy(chain, toolchain, owner, asset, quote, shifted)
        for token in (asset, quote):
            token.send(owner, "mint", provider, 10**33)
            for spender in (uniswap.position_manager, uniswap.swap_router):
                token.send(provider, "approve", spender.address, 2**255)
        first, second = (asset, quote) if is_asset_first else (quote, asset)
        edge = 887_220
        uniswap.position_manager.send(
            provider,
            "mint",
            (first.address, second.address, FEE_PPM, -edge, edge, depth, depth, 0, 0, provider, 2**63),
        )
        yield _panoptic(
            node,
            chain,
            crowd,
            toolchain,
            owner,
            provider,
            asset,
            quote,
            uniswap,
            (first, second),
            cross_buffer,
        )


def _tokens(
    chain: Chain, owner: Address, is_asset_first: bool, decimals: tuple[int, int]
) -> tuple[Contract, Contract]:
    """Deployed until their addresses are in the order asked for."""
    code = own_artifact("MintableToken")
    asset = chain.deploy(owner, code, "Wrapped Ether", "WETH", decimals[0])
    while True:
        quote = chain.deploy(owner, code, "USD Coin", "USDC", decimals[1])
        if (int(asset.address, 16) < int(quote.address, 16)) == is_asset_first:
            return asset, quote


def _panoptic(
    node: Node,
    chain: Chain,
    crowd: Crowd,
    toolchain: Toolchain,
    owner: Address,
    provider: Address,
    asset: Contract,
    quote: Contract,
    uniswap: uniswap_deploy.Uniswap,
    tokens: tuple[Contract, Contract],
    cross_buffer: int,
) -> World:
    first_block = node.block_number()
    maths = chain.deploy(owner, artifact("PanopticMath"))
    linked = {"PanopticMath": maths.address}
    helper = chain.deploy(owner, artifact("InteractionHelper"), libraries=linked)
    linked["InteractionHelper"] = helper.address
    for library in ("FeesCalc", "PositionBalanceLibrary"):
        linked[library] = chain.deploy(owner, artifact(library)).address
    sfpm = chain.deploy(
        owner,
        artifact("SemiFungiblePositionManagerV3"),
        uniswap.factory.address,
        SFPM_TICKFILL,
        SFPM_SUPPLY_BPS,
        libraries=linked,
    )
    builders = chain.deploy(owner, artifact("BuilderFactory"), owner)
    engine = chain.deploy(
        owner, artifact("RiskEngine"), cross_buffer, cross_buffer, owner, builders.address, libraries=linked
    )
    tracker = chain.deploy(owner, artifact("CollateralTrackerV2"), libraries=linked)
    pool_code = chain.deploy(owner, artifact("PanopticPoolV2"), sfpm.address, libraries=linked)
    factory = chain.deploy(
        owner,
        artifact("PanopticFactoryV3"),
        sfpm.address,
        uniswap.factory.address,
        pool_code.address,
        tracker.address,
        [],
        [],
        [],
        libraries=linked,
    )
    factory.send(owner, "deployNewPool", tokens[0].address, tokens[1].address, FEE_PPM, engine.address, 0)
    amm = uniswap.pool
    pool = chain.at(
        "PanopticPoolV2", factory.at("getPanopticPool", amm.address, engine.address), pool_code.abi
    )
    trackers = tuple(
        chain.at("CollateralTrackerV2", pool.at(name), tracker.abi)
        for name in ("collateralToken0", "collateralToken1")
    )
    return World(
        node,
        chain,
        crowd,
        owner,
        provider,
        asset,
        quote,
        uniswap,
        amm,
        sfpm,
        engine,
        factory,
        pool,
        cast(tuple[Contract, Contract], trackers),
        first_block,
    )


__all__ = ["VARIABLE", "ZERO", "Abi", "World", "artifact", "missing", "world"]
