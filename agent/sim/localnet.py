"""The local chain: three protocols and a stand-in of GMX on one anvil, with depth, other traders and the
agent's book.

The chain's clock starts at ``GENESIS_S`` and only blocks move it: it is not the wall clock. A chain that was
built once is kept with the toolchain and loaded the next time; the key is a hash of everything that went into
it (code, artifacts, options). A loaded chain's clock goes on from where it was kept.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

from agent.errors import ConfigInvalid
from agent.sim import depth
from agent.sim.abi import Abi
from agent.sim.anvil import Anvil, AnvilOptions
from agent.sim.artifact import own_artifact
from agent.sim.book import BOOK_INDEX, Book, seed_book
from agent.sim.contract import Chain, Contract
from agent.sim.deploy import curie as curie_deploy
from agent.sim.deploy import gmx as gmx_deploy
from agent.sim.deploy import lyra as lyra_deploy
from agent.sim.deploy import uniswap as uniswap_deploy
from agent.sim.deploy.curie import Curie
from agent.sim.deploy.gmx import Gmx
from agent.sim.deploy.lyra import BASE_KEY, Lyra
from agent.sim.deploy.uniswap import Uniswap
from agent.sim.depth import Strike
from agent.sim.fingerprint import recorded
from agent.sim.kept import KeptState, digest_of, read_json, write_json
from agent.sim.node import Node, quantity
from agent.sim.toolchain import Toolchain, locate
from agent.values.address import ZERO, Address, parse_address
from agent.values.call import Call
from agent.values.fixed import WAD
from agent.venues.deployments import Deployment

ASSET = "ETH"
GENESIS_S = 1_750_000_000
SETTLE_S = 60  # after the makers' liquidity, so that the pool's short average has it
FEED_DECIMALS = 8
OWN_CONTRACTS = ("HedgeExecutor", "PriceAggregator", *gmx_deploy.CONTRACTS.values())
INGREDIENTS = (
    *(f"{name}.py" for name in ("book", "contract", "depth", "localnet", "tick")),
    *(f"deploy/{name}.py" for name in ("curie", "gmx", "lyra", "uniswap")),
    "npm/package-lock.json",
    "npm/protocols.json",
)
ROLES = (
    "owner",  # deploys, owns and sets the prices
    "curie_maker",
    "lyra_provider",
    "uniswap_maker",
    "liquidator",
    "arbitrageur",
    "keeper",
    *(f"curie_trader_{n}" for n in range(1, 7)),
    *(f"lyra_trader_{n}" for n in range(1, 6)),
)


@dataclass(frozen=True, slots=True)
class LocalnetOptions:
    """``block_s``: seconds from one block to the next once the chain is ready."""

    spot_wad: int = 2000 * WAD
    chain_id: int = 31337
    block_s: int = 12
    port: int = 0
    automine: bool = True


@dataclass(frozen=True)
class Localnet:
    """A running local chain and handles to everything on it."""

    node: Node
    chain: Chain
    curie: Curie
    lyra: Lyra
    uniswap: Uniswap
    gmx: Gmx
    aggregator: Contract
    executor: Contract
    roles: dict[str, Address]
    strikes: tuple[Strike, ...]
    book: Book

    @property
    def url(self) -> str:
        return self.node.url

    def deployment(self) -> Deployment:
        """What a user of the chain needs to know: the shape the agent's own config has."""
        return Deployment(
            chain_id=self.node.chain_id(),
            executor=self.executor.address,
            curie=self.curie.deployment(self.lyra.quote.address, ASSET),
            lyra=self.lyra.deployment(ASSET),
            uniswap=self.uniswap.deployment(self.lyra.base.address, self.lyra.quote.address, ASSET),
            gmx=self.gmx.deployment(
                gmx_deploy.tokens(self.lyra.base, self.lyra.quote, self.aggregator, ASSET), ASSET
            ),
        )

    def manifest(self) -> dict[str, object]:
        """Everything `attach` needs, as JSON. The deployment says what code runs there now."""
        return {
            "rpc_url": self.url,
            "chain_id": self.node.chain_id(),
            "deployment": recorded(self.node, self.deployment()).model_dump(mode="json"),
            "contracts": {
                "curie": self.curie.addresses(),
                "lyra": self.lyra.addresses(),
                "uniswap": self.uniswap.addresses(),
                "gmx": self.gmx.addresses(),
                "aggregator": self.aggregator.address,
                "executor": self.executor.address,
            },
            "roles": self.roles,
            "strikes": [asdict(strike) for strike in self.strikes],
            "book": asdict(self.book),
        }

    def write(self, folder: Path) -> None:
        """``localnet.json`` (for `attach`) and ``deployment.json`` (for the agent) into ``folder``."""
        folder.mkdir(parents=True, exist_ok=True)
        manifest = self.manifest()
        write_json(folder / "localnet.json", manifest)
        write_json(folder / "deployment.json", manifest["deployment"])

    def spot_wad(self) -> int:
        """The price the oracle says now."""
        return self.lyra.exchange_rates.integer("rates", BASE_KEY)

    def spot_calls(self, price_wad: int) -> tuple[Call, Call]:
        """What the owner must send to move the spot of every venue's oracle."""
        answer = price_wad // 10 ** (18 - FEED_DECIMALS)
        rates, feed = self.lyra.exchange_rates, self.aggregator
        return (
            Call(feed.address, feed.encode("setAnswer", answer), label="oracle.setAnswer"),
            Call(
                rates.address,
                rates.encode("setRateAndInvalid", BASE_KEY, price_wad, False),
                label="rates.setRateAndInvalid",
            ),
        )

    def refresh_calls(self) -> tuple[Call, ...]:
        """What a keeper sends after a move of 5 % or three hours, when Lyra's cached Greeks are stale.

        Trading goes on with stale ones; the pool's own value and the fees that depend on it are then off.
        """
        cache = self.lyra.greek_cache
        boards = sorted({strike.board_id for strike in self.strikes})
        return tuple(
            Call(cache.address, cache.encode("updateBoardCachedGreeks", board), label="lyra.refresh")
            for board in boards
        )

    def refresh(self) -> None:
        """Bring Lyra's cached Greeks up to date, as the keeper."""
        for call in self.refresh_calls():
            self.chain.send(self.roles["keeper"], call.target, call.data, call.label)

    def set_spot(self, price_wad: int) -> None:
        """Move every oracle to ``price_wad``, each in a block of its own."""
        for call in self.spot_calls(price_wad):
            self.chain.send(self.roles["owner"], call.target, call.data, call.label)


@contextmanager
def running(
    toolchain: Toolchain, options: LocalnetOptions | None = None, *, cache: Path | None = None
) -> Iterator[Localnet]:
    """A ready local chain for as long as the context lasts: loaded if it was built before, else built.

    ``cache`` is where built chains are kept; the toolchain's folder by default.
    """
    options = options or LocalnetOptions()
    kept = KeptState((cache or toolchain.root / "states") / _key(options))
    anvil = Anvil(
        toolchain.anvil,
        AnvilOptions(
            chain_id=options.chain_id,
            port=options.port,
            genesis_s=GENESIS_S,
            load_state=kept.state if kept.exists else None,
        ),
    )
    with anvil as node:
        if kept.exists:
            localnet = _attach(node, toolchain, kept.manifest())
        else:
            localnet = build(node, toolchain, options)
            kept.keep(node, localnet.manifest())
        node.set_interval(options.block_s)
        if not options.automine:
            node.set_automine(on=False)
        yield localnet


def attach(manifest: Path, toolchain: Toolchain) -> Localnet:
    """Handles to a local chain that another process runs, from its ``localnet.json``."""
    try:
        raw = read_json(manifest)
    except (OSError, ValueError) as error:
        raise ConfigInvalid(key="localnet", value=str(manifest), reason=str(error)) from error
    return _attach(Node(str(raw["rpc_url"])), toolchain, raw)


def build(node: Node, toolchain: Toolchain, options: LocalnetOptions) -> Localnet:
    """Deploy and seed everything on an empty chain."""
    chain = Chain(node)
    accounts = cast(list[str], node.request("eth_accounts"))
    roles = {role: parse_address(account) for role, account in zip(ROLES, accounts, strict=False)}
    roles["book"] = parse_address(accounts[BOOK_INDEX])
    owner, spot_wad = roles["owner"], options.spot_wad

    lyra = lyra_deploy.deploy(chain, toolchain, owner, spot_wad)
    uniswap = uniswap_deploy.deploy(chain, toolchain, owner, lyra.base, lyra.quote, spot_wad)
    aggregator = chain.deploy(owner, own_artifact("PriceAggregator"), "ETH / USD", FEED_DECIMALS, owner)
    aggregator.send(owner, "setAnswer", spot_wad // 10 ** (18 - FEED_DECIMALS))
    curie = curie_deploy.deploy(chain, toolchain, owner, lyra.quote, aggregator, spot_wad)
    executor = chain.deploy(owner, own_artifact("HedgeExecutor"), ZERO)

    node.warp(curie_deploy.WARM_UP_S)
    depth.seed_curie_makers(curie, lyra, owner, roles["curie_maker"], spot_wad)
    depth.seed_uniswap_makers(uniswap, lyra, owner, roles["uniswap_maker"], spot_wad)
    depth.seed_lyra_pool(lyra, owner, roles["lyra_provider"])
    _seed_professionals(lyra, curie, uniswap, owner, roles)
    node.warp(SETTLE_S)
    strikes = depth.seed_boards(lyra, owner, spot_wad)
    depth.seed_curie_traders(curie, lyra, owner, _numbered(roles, "curie_trader_"))
    depth.seed_lyra_traders(lyra, owner, _numbered(roles, "lyra_trader_"), strikes, spot_wad)
    book = seed_book(curie, lyra, uniswap, owner, roles["book"], strikes, spot_wad)
    gmx = gmx_deploy.deploy(chain, owner, roles["keeper"], lyra.base, lyra.quote, aggregator)
    traders = _numbered(roles, "lyra_trader_")
    depth.seed_gmx(gmx, lyra, owner, roles["keeper"], traders, spot_wad)
    depth.approve(lyra.quote, roles["book"], gmx.router)
    return Localnet(
        node=node,
        chain=chain,
        curie=curie,
        lyra=lyra,
        uniswap=uniswap,
        gmx=gmx,
        aggregator=aggregator,
        executor=executor,
        roles=roles,
        strikes=tuple(strikes),
        book=book,
    )


def _seed_professionals(
    lyra: Lyra, curie: Curie, uniswap: Uniswap, owner: str, roles: dict[str, Address]
) -> None:
    """The liquidator and the arbitrageur can pay for everything a script asks of them."""
    for role in ("liquidator", "arbitrageur"):
        account = roles[role]
        depth.fund(lyra, owner, account, 60_000_000 * WAD, 20_000 * WAD)
        depth.deposit(curie, lyra, account, 40_000_000 * WAD)
        for token in (lyra.base, lyra.quote):
            depth.approve(token, account, uniswap.swap_router, lyra.option_market)


def _numbered(roles: dict[str, Address], prefix: str) -> list[str]:
    return [account for role, account in roles.items() if role.startswith(prefix)]


def _attach(node: Node, toolchain: Toolchain, raw: dict[str, object]) -> Localnet:
    chain = Chain(node)
    contracts = cast(dict[str, dict[str, str]], raw["contracts"])
    addresses = cast(dict[str, str], raw["contracts"])
    book = cast(dict[str, object], raw["book"])
    return Localnet(
        node=node,
        chain=chain,
        curie=Curie.attach(chain, toolchain, contracts["curie"]),
        lyra=Lyra.attach(chain, toolchain, contracts["lyra"]),
        uniswap=Uniswap.attach(chain, toolchain, contracts["uniswap"]),
        gmx=Gmx.attach(chain, contracts["gmx"]),
        aggregator=_own(chain, "PriceAggregator", addresses["aggregator"]),
        executor=_own(chain, "HedgeExecutor", addresses["executor"]),
        roles={role: parse_address(a) for role, a in cast(dict[str, str], raw["roles"]).items()},
        strikes=tuple(Strike(**strike) for strike in cast(list[dict[str, int]], raw["strikes"])),
        book=Book(
            parse_address(str(book["account"])),
            tuple(cast(list[int], book["option_ids"])),
            cast(int, book["liquidity_id"]),
        ),
    )


def _own(chain: Chain, name: str, address: str) -> Contract:
    return chain.at(name, address, Abi(own_artifact(name).abi))


def _key(options: LocalnetOptions) -> str:
    """Names a built chain by what goes into it; the running of it (port, mining) does not."""
    return digest_of(f"{options.spot_wad} {options.chain_id} {GENESIS_S}", INGREDIENTS, OWN_CONTRACTS)


def main() -> None:
    """Start one, say how long it took and what it holds. For looking at; `evenkeel localnet` runs one."""
    began = time.monotonic()
    with running(locate()) as localnet:
        block = localnet.node.block()
        sys.stderr.write(
            f"ready after {time.monotonic() - began:.2f} s at block {quantity(block['number'])}, "
            f"time {quantity(block['timestamp'])}, spot {localnet.spot_wad() / WAD}\n"
        )
        sys.stdout.write(json.dumps(localnet.manifest(), indent=2) + "\n")


if __name__ == "__main__":
    main()
