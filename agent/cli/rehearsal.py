"""``evenkeel fork``: the agent, unchanged, on a fork of a live chain, with an account that is nowhere else.

The account is new, gets tokens by their storage and a range of liquidity, and so has more delta than its band
allows. The agent then looks, plans and simulates (a dry run), and then keeps it (a live one, on the fork).
"""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import tomli_w

from agent import assembly
from agent.chain.rpc import Rpc
from agent.cli.roster import NOBODY, bare_config, entry_json
from agent.errors import ConfigInvalid, ProcessFailed
from agent.risk.assessment import assess
from agent.risk.limits import Bounds
from agent.runtime.roster import roster
from agent.sim.abi import Abi
from agent.sim.anvil import Anvil, AnvilOptions
from agent.sim.archive import DEPTH, require_archive
from agent.sim.artifact import own_artifact
from agent.sim.book import write_keystore
from agent.sim.contract import Chain
from agent.sim.deploy.uniswap import Uniswap
from agent.sim.grant import decimals_of, grant
from agent.sim.node import Node, quantity
from agent.sim.toolchain import Toolchain, install
from agent.values.address import ZERO, Address, parse_address
from agent.values.block import Block
from agent.venues.deployments import Deployment, UniswapPool, load

ASSET_UNITS, RANGE_UNITS = 5, 2  # what the account gets of the asset, and how much of it goes into the range
REACH_TICKS = 1_500  # of the range, to either side
ETHER_WEI = 100 * 10**18
AGENT_S = 300
PASSED, NOT_KEPT = 0, 1


@dataclass(frozen=True, slots=True)
class Ground:
    """A fork with an account on it."""

    node: Node
    chain: Chain
    toolchain: Toolchain
    deployment: Deployment
    account: Address
    config: Path


def rehearse(
    url: str, deployment: Path | None, account: str | None, out: Path, depth: int = DEPTH, *, as_json: bool
) -> int:
    """Fork the chain behind ``url`` and let the agent work on it; ``out``/summary.json says what came of it.

    0 if the agent did what it should, 1 if not. With ``account`` the dry run is of that account instead of
    ours. Raises StateMissing where the node does not keep old state, ConfigInvalid without a manifest.
    """
    rpc = Rpc(url, 60.0)
    chain_id = int(rpc.chain_id())
    path = deployment if deployment is not None else assembly.shipped(chain_id)
    known = load(path)
    pool = _pool(known, path)
    head = require_archive(rpc, Address(pool.address), depth)
    rpc.close()
    out.mkdir(parents=True, exist_ok=True)
    toolchain = install()
    options = AnvilOptions(chain_id=chain_id, fork_url=url, fork_block=head.number, interval_s=12)
    began = time.monotonic()
    with Anvil(toolchain.anvil, options, ready_s=120.0) as node:
        summary = _on(node, toolchain, known, pool, head, account, out)
    summary |= {
        "name": "fork",
        "endpoint": rpc.endpoint,
        "chain_id": chain_id,
        "fork_block": head.number,
        "seconds": round(time.monotonic() - began, 1),
    }
    (out / "summary.json").write_text(json.dumps(summary, indent=2) + "\n")
    sys.stdout.write(json.dumps(summary) + "\n" if as_json else _told(summary, out))
    return PASSED if summary["passed"] else NOT_KEPT


def _pool(deployment: Deployment, path: Path) -> UniswapPool:
    if deployment.uniswap is None or not deployment.uniswap.pools:
        raise ConfigInvalid(
            key="chain.deployment", value=str(path), reason="a fork needs a Uniswap pool to hold something in"
        )
    return deployment.uniswap.pools[0]


def _on(
    node: Node,
    toolchain: Toolchain,
    known: Deployment,
    pool: UniswapPool,
    head: Block,
    account: str | None,
    out: Path,
) -> dict[str, object]:
    ground = _prepare(node, toolchain, known, pool, out)
    venues = _venues(ground)
    dry = _agent(ground, out / "dry.log", "run", "--once", account=account)
    before = _delta(ground, pool.asset)
    live = _agent(ground, out / "live.log", "run", "--live", "--delegate", "--once")
    sent = live.get("sent")
    status = quantity(node.receipt(str(sent))["status"]) if sent else None
    after = _delta(ground, pool.asset)
    again = _agent(ground, out / "again.log", "run", "--live", "--once")
    outcomes = cast(list[dict[str, object]], again.get("outcomes") or [])
    is_kept = status == 1 and abs(after) < abs(before) and all(one.get("kept") for one in outcomes)
    is_sound = all(venue["sound"] for venue in venues)
    return {
        "passed": bool(is_kept and is_sound and (account or dry.get("simulated_gas"))),
        "account": ground.account,
        "looked_at": account or ground.account,
        "head": head.hash,
        "venues": venues,
        "dry": {"plans": len(cast(list[object], dry["plans"])), "simulated_gas": dry.get("simulated_gas")},
        "live": {"sent": sent, "status": status, "delta_before": before, "delta_after": after},
        "refused": [*cast(list[object], dry["refused"]), *cast(list[object], live["refused"])],
    }


def _prepare(node: Node, toolchain: Toolchain, known: Deployment, pool: UniswapPool, out: Path) -> Ground:
    """A new account with tokens and a range, an executor, and the files of the agent's user."""
    from eth_account import Account  # slow to import, seldom needed

    chain = Chain(node)
    key = secrets.token_bytes(32)
    account = parse_address(str(Account.from_key(key).address))
    node.request("anvil_autoImpersonateAccount", True)
    node.set_balance(account, ETHER_WEI)
    executor = chain.deploy(account, own_artifact("HedgeExecutor"), ZERO)
    asset, quote = Address(pool.asset_token), Address(pool.quote_token)
    grant(node, asset, account, ASSET_UNITS * 10 ** decimals_of(node, asset))
    worth_raw = _worth_raw(chain, toolchain, pool, ASSET_UNITS * 10 ** decimals_of(node, asset))
    grant(node, quote, account, worth_raw)
    _mint(chain, toolchain, known, pool, account)
    node.request("anvil_autoImpersonateAccount", False)
    deployment = known.model_copy(update={"executor": executor.address})
    (out / "deployment.json").write_text(deployment.model_dump_json(indent=2))
    keystore, password = write_keystore(out, key)
    for stale in out.glob("evenkeel.sqlite*"):
        stale.unlink()
    config: dict[str, dict[str, object]] = {
        "chain": {"id": known.chain_id, "account": account, "deployment": "deployment.json"},
        "rpc": {"url": node.url, "max_head_age_s": 0, "timeout_s": 120},
        "signer": {"keystore": keystore.name, "password_file": password.name},
        "run": {"journal": "evenkeel.sqlite"},
        "policy": {"band": {pool.asset: "1"}},
    }
    path = out / "evenkeel.toml"
    path.write_text("# Written by evenkeel fork.\n" + tomli_w.dumps(config))
    return Ground(node, chain, toolchain, deployment, account, path)


def _is_first(pool: UniswapPool) -> bool:
    """Whether the pool counts quote per asset."""
    return int(pool.asset_token, 16) < int(pool.quote_token, 16)


def _worth_raw(chain: Chain, toolchain: Toolchain, pool: UniswapPool, asset_raw: int) -> int:
    """So much of the asset in the pool's quote, at its price."""
    contract = chain.at("pool", pool.address, Abi(toolchain.artifact(*Uniswap.SOURCES["pool"]).abi))
    root = contract.integer("slot0")
    return asset_raw * root * root >> 192 if _is_first(pool) else (asset_raw << 192) // (root * root)


def _mint(chain: Chain, toolchain: Toolchain, known: Deployment, pool: UniswapPool, account: Address) -> None:
    """A range around the price, with ``RANGE_UNITS`` of the asset at most."""
    if known.uniswap is None:
        return
    contract = chain.at("pool", pool.address, Abi(toolchain.artifact(*Uniswap.SOURCES["pool"]).abi))
    manager = chain.at(
        "position manager",
        known.uniswap.position_manager,
        Abi(toolchain.artifact(*Uniswap.SOURCES["position_manager"]).abi),
    )
    token_abi = Abi(own_artifact("MintableToken").abi)
    spacing, tick = contract.integer("tickSpacing"), cast(int, contract.call("slot0")[1])
    lower, upper = (tick + side * REACH_TICKS for side in (-1, 1))
    amounts = {}
    for token in (pool.asset_token, pool.quote_token):
        chain.at("token", token, token_abi).send(account, "approve", manager.address, 2**255)
    raw = RANGE_UNITS * 10 ** decimals_of(chain.node, Address(pool.asset_token))
    amounts[pool.asset_token] = raw
    amounts[pool.quote_token] = _worth_raw(chain, toolchain, pool, raw)
    tokens = sorted(amounts, key=lambda token: int(token, 16))
    order = (
        *tokens,
        contract.integer("fee"),
        lower // spacing * spacing,
        upper // spacing * spacing,
        *(amounts[token] for token in tokens),
        0,
        0,
        account,
        2**40,
    )
    manager.send(account, "mint", order)


def _venues(ground: Ground) -> list[dict[str, object]]:
    """Whether the contracts are what the manifest says: the one place where that is compared with a chain."""
    config = bare_config(ground.node.url, ground.config.parent / "deployment.json", NOBODY, [])
    rpc = assembly.rpc_of(config, ground.deployment.chain_id)
    block = rpc.block("latest")
    venues = assembly.venues_of(ground.deployment)
    entries = roster(rpc, ground.deployment, venues, ground.account, block, config.policy.exit_lead_s)
    rpc.close()
    return [entry_json(entry, None) for entry in entries]


def _agent(ground: Ground, log: Path, *argv: str, account: str | None = None) -> dict[str, object]:
    """What a cycle of the agent, as a process of its own, says. Raises ProcessFailed."""
    command = [sys.executable, "-m", "agent.cli", *argv, "--json", "-c", str(ground.config)]
    if account is not None:
        command += ["--set", f'chain.account="{account}"']
    done = subprocess.run(command, capture_output=True, text=True, timeout=AGENT_S, check=False)
    log.write_text(done.stderr)
    if done.returncode != 0:
        raise ProcessFailed(what=f"evenkeel {' '.join(argv)}", status=f"exit code {done.returncode}", log=log)
    return cast(dict[str, object], json.loads(done.stdout.splitlines()[-1]))


def _delta(ground: Ground, asset: str) -> float:
    """The account's net delta."""
    rpc = Rpc(ground.node.url, 60.0)
    block = rpc.block("latest")
    snapshot = assembly.eye_of(rpc, ground.deployment, block).see(ground.account, block)
    rpc.close()
    return assess(snapshot, Bounds()).by_asset[asset].delta


def _told(summary: dict[str, object], out: Path) -> str:
    live, dry = (cast(dict[str, object], summary[name]) for name in ("live", "dry"))
    venues = cast(list[dict[str, object]], summary["venues"])
    lines = [
        f"chain {summary['chain_id']}, forked at block {summary['fork_block']} from {summary['endpoint']}",
        *(f"  {venue['venue']}: {'as expected' if venue['sound'] else venue['drifts']}" for venue in venues),
        f"  dry run: {dry['plans']} plans, {dry['simulated_gas']} gas",
        f"  live: delta {live['delta_before']} -> {live['delta_after']}, transaction {live['sent']}",
        f"{'kept' if summary['passed'] else 'NOT KEPT'}; {out}/summary.json",
    ]
    return "\n".join(lines) + "\n"
