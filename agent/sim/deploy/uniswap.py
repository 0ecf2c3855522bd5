"""Uniswap v3 on our chain: factory, position manager, router, and one pool of the asset against quote."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from agent.sim.abi import Abi
from agent.sim.contract import Chain, Contract
from agent.sim.deploy.system import System
from agent.sim.tick import sqrt_price_x96
from agent.sim.toolchain import Toolchain
from agent.values.address import ZERO, Address
from agent.values.fixed import WAD
from agent.venues.deployments import UniswapDeployment, UniswapPool

POOL_FEE = 3000  # 0.3 %, in parts per million
TICK_SPACING = 60


@dataclass(frozen=True)
class Uniswap(System):
    """The contracts of one deployment. ``weth`` only fills the constructors: nothing here uses ether."""

    factory: Contract
    position_manager: Contract
    swap_router: Contract
    pool: Contract
    weth: Contract

    SOURCES: ClassVar[Mapping[str, tuple[str, str]]] = {
        "factory": ("uniswap-core", "UniswapV3Factory"),
        "position_manager": ("uniswap-periphery", "NonfungiblePositionManager"),
        "swap_router": ("uniswap-periphery", "SwapRouter"),
        "pool": ("uniswap-core", "UniswapV3Pool"),
        "weth": ("lyra", "TestERC20"),
    }

    def deployment(self, asset_token: Address, quote_token: Address, asset: str) -> UniswapDeployment:
        """What the agent needs to know of it."""
        pool = UniswapPool(
            address=self.pool.address, asset=asset, asset_token=asset_token, quote_token=quote_token
        )
        return UniswapDeployment(
            factory=self.factory.address,
            position_manager=self.position_manager.address,
            swap_router=self.swap_router.address,
            pools=(pool,),
        )


def is_base_first(base: Contract, quote: Contract) -> bool:
    """Whether the pool counts quote per base (token0 is the lower address)."""
    return int(base.address, 16) < int(quote.address, 16)


def pool_price_wad(base: Contract, quote: Contract, spot_wad: int) -> int:
    """token1 per token0 for a spot in quote per base."""
    return spot_wad if is_base_first(base, quote) else WAD * WAD // spot_wad


def deploy(
    chain: Chain, toolchain: Toolchain, owner: str, base: Contract, quote: Contract, spot_wad: int
) -> Uniswap:
    """All contracts and the pool at ``spot_wad``, without liquidity."""

    def create(name: str, *args: object) -> Contract:
        return Uniswap.create(chain, toolchain, owner, name, *args)

    factory = create("factory")
    weth = create("weth", "Wrapped Ether stand-in", "WETH9")
    manager = create("position_manager", factory.address, weth.address, ZERO)
    router = create("swap_router", factory.address, weth.address)
    factory.send(owner, "createPool", base.address, quote.address, POOL_FEE)
    pool_abi = Abi(toolchain.artifact(*Uniswap.SOURCES["pool"]).abi)
    pool = chain.at("UniswapV3Pool", factory.at("getPool", base.address, quote.address, POOL_FEE), pool_abi)
    pool.send(owner, "initialize", sqrt_price_x96(pool_price_wad(base, quote, spot_wad)))
    return Uniswap(factory, manager, router, pool, weth)
