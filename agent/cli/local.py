"""``evenkeel localnet``: a chain to play with, and a config that points at it."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import tomli_w
from rich.console import Console

from agent.sim.book import write_keystore
from agent.sim.localnet import Localnet, LocalnetOptions, running
from agent.sim.toolchain import install
from agent.values.fixed import from_float

JOURNAL = "evenkeel.sqlite"


def serve(out: Path, port: int, spot: float, block_s: int, *, once: bool, as_json: bool) -> None:
    """Build or load the chain, write its files, and keep it running until interrupted."""
    start = time.monotonic()
    options = LocalnetOptions(spot_wad=from_float(spot), block_s=block_s, port=port)
    with running(install(), options) as net:
        config = write_files(net, out)
        ready_s = round(time.monotonic() - start, 2)
        if as_json:
            facts = {
                "rpc_url": net.url,
                "chain_id": net.node.chain_id(),
                "account": net.book.account,
                "config": str(config),
                "deployment": str(out / "deployment.json"),
                "ready_s": ready_s,
            }
            sys.stdout.write(json.dumps(facts) + "\n")
            sys.stdout.flush()
        else:
            Console().print(
                f"Curie, Lyra and Uniswap v3 are ready at {net.url} after {ready_s} s.\n"
                f"The seeded book is {net.book.account}.\n\n"
                f"  evenkeel risk -c {config}\n"
                f"  evenkeel run -c {config} --live --delegate\n"
                f"  evenkeel watch {net.book.account} --rpc {net.url} --deployment {out}/deployment.json "
                "--set rpc.max_head_age_s=0\n",
                highlight=False,
            )
        if not once:
            _wait(as_json=as_json)


def write_files(net: Localnet, out: Path, **run: object) -> Path:
    """The manifest, the deployment, the book's key file and a config that uses them; returns the config."""
    out.mkdir(parents=True, exist_ok=True)
    net.write(out)
    for suffix in ("", "-wal", "-shm"):  # what an agent kept of an earlier chain is not about this one
        (out / f"{JOURNAL}{suffix}").unlink(missing_ok=True)
    keystore, password_file = write_keystore(out)
    config: dict[str, dict[str, object]] = {
        "chain": {
            "id": net.node.chain_id(),
            "account": net.book.account,
            "deployment": "deployment.json",
        },
        "rpc": {
            "url": net.url,
            "ws_url": net.url.replace("http", "ws", 1),
            "poll_s": 0.25,
            "max_head_age_s": 0,
        },
        "signer": {"keystore": keystore.name, "password_file": password_file.name},
        "run": {"journal": JOURNAL, **run},
    }
    path = out / "evenkeel.toml"
    path.write_text(
        "# Written by evenkeel localnet. max_head_age_s = 0: this chain's clock is not the wall clock.\n"
        + tomli_w.dumps(config)
    )
    return path


def _wait(*, as_json: bool) -> None:
    if not as_json:
        Console(stderr=True).print("Ctrl-C stops it.", style="dim")
    while True:
        time.sleep(3600)
