"""What code the shipped manifests expect, computed: each constructor of the published packages is run at the
contract's own address, with its own arguments, on a chain that is otherwise empty.

python -m scripts.shipped_code [--write]     compares, or writes agent/venues/manifests/*.json
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from eth_abi import abi as codec
from eth_utils.crypto import keccak

from agent.sim.anvil import Anvil
from agent.sim.fingerprint import lengths
from agent.sim.node import Node
from agent.sim.package import pins
from agent.sim.toolchain import Toolchain, install
from agent.venues.deployments import UniswapDeployment, UniswapPool, load
from agent.venues.manifest import Contract, Manifest

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "agent" / "venues" / "manifests"
SOURCE = "https://github.com/Uniswap/v3-periphery/blob/main/deploys.md"
# Wrapped ether and the position descriptor's proxy, arguments of the constructors: the source above
DESCRIPTOR = "0xEe6A57eC80ea46401049E92587E52f5Ec1c24785"
WETH = {
    1: "0xC02aaA39b223FE8D0A0e5C4F27eAD9083C756Cc2",
    10: "0x4200000000000000000000000000000000000006",
    42161: "0x82aF49447D8a07e3bd95BD0d56f35241523fBab1",
}
TIER = (500, 10)  # of the pools we ship: fee and spacing


def manifest_of(
    uniswap: UniswapDeployment,
    node: Node,
    toolchain: Toolchain,
    weth: str,
    descriptor: str = DESCRIPTOR,
    tier: tuple[int, int] = TIER,
) -> Manifest:
    """The expectations of one chain's Uniswap; ``tier``: fee in millionths and spacing of its pools."""
    factory = uniswap.factory

    def run(package: str, name: str, address: str, sender: str | None = None, *words: str) -> Contract:
        code = bytes.fromhex(toolchain.artifact(package, name).bytecode.removeprefix("0x"))
        code += codec.encode(["address"] * len(words), words) if words else b""
        node.request("anvil_setCode", address, "0x" + code.hex())
        call = {"to": address} | ({"from": sender} if sender else {})
        runtime = bytes.fromhex(str(node.request("eth_call", call, "latest"))[2:])
        node.request("anvil_setCode", address, "0x")
        pin = pins()[package]
        return Contract(
            address=address,
            source=SOURCE if sender is None else f"CREATE2 of the factory {sender}",
            code_hash="0x" + keccak(runtime).hex(),
            basis=f"computed from {pin.package} {pin.version}",
        )

    contracts = [
        run("uniswap-core", "UniswapV3Factory", factory),
        run(
            "uniswap-periphery",
            "NonfungiblePositionManager",
            uniswap.position_manager,
            None,
            factory,
            weth,
            descriptor,
        ),
        run("uniswap-periphery", "SwapRouter", uniswap.swap_router, None, factory, weth),
    ]
    for pool in uniswap.pools:
        node.request("anvil_setCode", factory, "0x" + _answering(factory, pool, tier).hex())
        contracts.append(run("uniswap-core", "UniswapV3Pool", pool.address, factory))
        contracts += [
            Contract(address=token, source="the pool's token0 and token1")
            for token in (pool.asset_token, pool.quote_token)
        ]
    note = "What code is expected is computed, not yet seen on the chain; `make fork` compares it."
    return Manifest(contracts=tuple(contracts), words=lengths("uniswap"), note=note)


def _answering(factory: str, pool: UniswapPool, tier: tuple[int, int]) -> bytes:
    """Code that answers everything with what a factory tells the pool that it creates."""
    tokens = sorted((pool.asset_token.lower(), pool.quote_token.lower()))
    kinds = ["address", "address", "address", "uint24", "int24"]
    words = codec.encode(kinds, [factory, *tokens, *tier])
    head = bytes.fromhex("60a0600c60003960a06000f3")  # CODECOPY(0, 12, 160), RETURN(0, 160)
    return head + words


def computed(toolchain: Toolchain) -> dict[Path, Manifest]:
    """By file, what its manifest should be."""
    with Anvil(toolchain.anvil) as node:
        found = {}
        for path in sorted(FOLDER.glob("*.json")):
            deployment = load(path)
            if deployment.uniswap is not None:
                manifest = manifest_of(deployment.uniswap, node, toolchain, WETH[deployment.chain_id])
                found[path] = manifest
        return found


def as_json(manifest: Manifest) -> dict[str, object]:
    """Without what is as by default."""
    return manifest.model_dump(mode="json", exclude_defaults=True)


def main(argv: list[str]) -> int:
    """0 if all files hold what is computed (or now do)."""
    wrong = 0
    for path, manifest in computed(install()).items():
        raw = json.loads(path.read_text())
        if raw.get("manifests", {}).get("uniswap") == as_json(manifest):
            continue
        wrong += 1
        raw.setdefault("manifests", {})["uniswap"] = as_json(manifest)
        if "--write" in argv:
            path.write_text(json.dumps(raw, indent=2) + "\n")
    if wrong and "--write" not in argv:
        print(f"{wrong} manifests differ; run python -m scripts.shipped_code --write", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
