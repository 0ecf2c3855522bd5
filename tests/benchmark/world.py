"""A chain with as many real Curie accounts as are asked for, built once and kept on disk.

Curie's own contracts with three markets and two collaterals besides the settlement token; every account was
opened by transactions (deposits, trades, a few liquidity orders). Building 10,000 takes a minute or two, the
second start some seconds: anvil's state and logs are kept beside the toolchain, without the traces.

    with world(10_000) as stand:
        stand.url, stand.deployment, stand.accounts
"""

from __future__ import annotations

import hashlib
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from agent.sim.anvil import Anvil, AnvilOptions
from agent.sim.deploy import curie as curie_deploy
from agent.sim.kept import KeptState, write_json
from agent.sim.node import Node
from agent.sim.toolchain import Toolchain, install
from agent.values.address import Address
from agent.venues.deployments import Deployment, Market
from tests.flips import crowd, curie_world
from tests.flips.curie_world import ASSETS, GENESIS_S, World

SEED = 7
READY_S = 300.0
# What goes into the chain; another text of any of them is another chain.
PIECE = 1 << 24
TRACES, AFTER = b'"traces":[', b'],"exit":'  # where a transaction's traces begin and end in anvil's JSON
INGREDIENTS = (crowd.__file__, curie_world.__file__, curie_deploy.__file__)


@dataclass(frozen=True)
class Stand:
    """``accounts``: everybody who ever deposited. ``feeds``: the oracle of each market, which ``owner`` sets
    (``setAnswer(int256)``, 8 decimals). ``first_block``: where the first contract is.
    """

    node: Node
    deployment: Deployment
    accounts: tuple[Address, ...]
    owner: Address
    feeds: tuple[Address, ...]
    first_block: int

    @property
    def url(self) -> str:
        return self.node.url


@contextmanager
def world(accounts: int, toolchain: Toolchain | None = None, seed: int = SEED) -> Iterator[Stand]:
    """At least ``accounts`` accounts (at most 5 % more), on an anvil that ends with the context."""
    tools = toolchain or install()
    kept = _kept(tools, accounts, seed)
    if not kept.exists:
        _build(tools, kept, accounts, seed)
    told = kept.manifest()
    options = AnvilOptions(
        genesis_s=GENESIS_S, interval_s=1, gas_limit=crowd.BLOCK_GAS, load_state=kept.state
    )
    with Anvil(tools.anvil, options, READY_S) as node:
        node.request("anvil_autoImpersonateAccount", True)
        yield Stand(
            node=node,
            deployment=Deployment.model_validate(told["deployment"]),
            accounts=tuple(cast(list[Address], told["accounts"])),
            owner=cast(Address, told["owner"]),
            feeds=tuple(cast(list[Address], told["feeds"])),
            first_block=cast(int, told["first_block"]),
        )


def deployment_of(one: World) -> Deployment:
    """All of a world's markets and collaterals, as a deployment file says them."""
    curie = one.curie.deployment(one.usdc.address, ASSETS[0])
    markets = tuple(Market(address=v.contracts.base.address, asset=v.asset) for v in one.venues)
    collaterals = tuple(
        Market(address=token.address, asset=asset)
        for token, asset in zip(one.others, ("ETH", "BTC"), strict=True)
    )
    known = {"markets": markets, "collaterals": collaterals}
    return Deployment(chain_id=one.node.chain_id(), curie=curie.model_copy(update=known))


def _build(tools: Toolchain, kept: KeptState, accounts: int, seed: int) -> None:
    print(f"building {accounts} accounts (once) ...", file=sys.stderr, flush=True)
    with curie_world.world(tools, seed, _asked(accounts)) as one:
        manifest: dict[str, object] = {
            "deployment": deployment_of(one).model_dump(mode="json"),
            "accounts": [*one.people, one.maker, one.whale],
            "owner": one.owner,
            "feeds": [venue.aggregator.address for venue in one.venues],
            "first_block": 1,
        }
        dumped = str(one.node.request("anvil_dumpState"))
    kept.folder.mkdir(parents=True, exist_ok=True)
    write_json(kept.folder / "localnet.json", manifest)
    partial = kept.folder / "state.partial"
    with partial.open("wb") as out:
        for part in _without_traces(bytes.fromhex(dumped.removeprefix("0x"))):
            out.write(part)
    partial.replace(kept.state)


def _without_traces(packed: bytes) -> Iterator[bytes]:
    """The dumped state without the transactions' traces: nine tenths of it, gigabytes, and nobody asks for
    them.
    """
    unpack = zlib.decompressobj(zlib.MAX_WBITS | 16)
    text, is_kept, source = b"", True, packed
    while True:
        more = unpack.decompress(unpack.unconsumed_tail or source, PIECE)
        source, text, done = b"", text + more, 0
        while (at := text.find(TRACES if is_kept else AFTER, done)) >= 0:
            if is_kept:
                at += len(TRACES)
                yield text[done:at]
            done, is_kept = at, not is_kept
        if not more:
            yield text[done:]
            return
        left = max(done, len(text) - len(AFTER))  # a mark may be cut in two
        if is_kept:
            yield text[done:left]
        text = text[left:]


def _asked(accounts: int) -> int:
    """How many to ask the flips' world for: it has a 20th more, two to spare, a maker and a whale."""
    asked = 1
    while asked + curie_world.SPARE + asked // 20 + 2 < accounts:
        asked += 1
    return asked


def _kept(tools: Toolchain, accounts: int, seed: int) -> KeptState:
    digest = hashlib.sha256(f"{accounts} {seed}".encode())
    for name in INGREDIENTS:
        digest.update(Path(name).read_bytes())
    return KeptState(tools.root / "worlds" / f"{accounts}-{digest.hexdigest()[:16]}")
