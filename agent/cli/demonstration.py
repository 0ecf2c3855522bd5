"""``evenkeel demo``: one seeded market, played twice on the real contracts, without and with the agent."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from rich.console import Console
from rich.live import Live

from agent import assembly
from agent.cli.comparison import Run, hedges_done, requests_born, requests_of, run_of, summary
from agent.cli.local import write_files
from agent.cli.observer import Observer
from agent.cli.stagecraft import Facts, action_words, comparison_table, demo_line, demo_table
from agent.config import Config, load
from agent.dashboard.report import report_html
from agent.dashboard.series import Sample
from agent.errors import ProcessFailed
from agent.proof.record import Entry, Record
from agent.runtime.docket import ASKED, TOLD
from agent.sim.liquidator import liquidations
from agent.sim.localnet import Localnet, LocalnetOptions, running
from agent.sim.toolchain import Toolchain, install
from agent.tx.executor import delegation_code

Show = Callable[[list[Sample]], None]

BLOCK_S = 30  # simulated seconds from block to block
PLACES = "Perpetual Curie, Lyra Avalon, Uniswap v3 and a stand-in of GMX v2"
READY_S = 60.0  # the agent must be up and delegated by then
SETTLE_BLOCKS = 3  # after the script, for what is still on its way
QUIET_EVERY = 30  # blocks between two lines when nobody watches a terminal
LOOKS = 7  # a block lasts at least so many times what one look at the chain takes
COUNT_EVERY = 5  # blocks between two looks at the logs
MIN_SHARE = 0.99  # of the blocks inside the band is what the agent promises


@dataclass(frozen=True, slots=True)
class Stage:
    """Where one run takes place."""

    name: str
    net: Localnet
    folder: Path
    config: Path
    blocks: int
    interval_s: float


def run(seed: int, out: Path, blocks: int, block_time: float, *, as_json: bool) -> int:
    """Both runs, the report and the summary. The exit code is 0 when the agent kept every promise.

    Raises ProcessFailed when the market or the agent ended before its time.
    """
    began = time.monotonic()
    console = Console(stderr=True)
    toolchain = install()
    with _stage("without agent", out / "without", toolchain, blocks, 0.0) as stage:
        without = _play(stage, seed, console, None)
    with (
        _stage("with agent", out / "with", toolchain, blocks, block_time) as stage,
        _agent(stage) as process,
    ):
        _await_delegation(stage, process)
        began_at = stage.net.node.block_number() + 1
        with_agent = _play(stage, seed, console, process)
        for _ in range(SETTLE_BLOCKS):
            time.sleep(block_time)
            stage.net.node.mine()
        time.sleep(block_time)
        born = requests_born(stage.net, began_at)
    labels = _labels(load(out / "with" / "evenkeel.toml", []))
    waited = _waited(load(out / "with" / "evenkeel.toml", []), born)
    figures = summary(seed, with_agent, without, waited)
    series = (with_agent.series(labels), without.series({}))
    (out / "series.json").write_text(json.dumps([one.to_json() for one in series]))
    (out / "summary.json").write_text(json.dumps(figures, indent=2) + "\n")
    subtitle = f"seed {seed}, {blocks} blocks of {BLOCK_S} s on {PLACES}"
    report = report_html("An options book through a crash", subtitle, *series, figures)
    (out / "report.html").write_text(report)
    if as_json:
        sys.stdout.write(json.dumps(figures) + "\n")
    else:
        Console().print(comparison_table(figures))
        took = time.monotonic() - began
        Console().print(f"{out}/report.html and {out}/summary.json after {took:.0f} s", soft_wrap=True)
    return 0 if _kept(with_agent) else 1


def _kept(with_agent: Run) -> bool:
    share = with_agent.share_in_band
    return not with_agent.liquidated and with_agent.doubled == 0 and share >= MIN_SHARE


@contextmanager
def _stage(name: str, folder: Path, toolchain: Toolchain, blocks: int, interval_s: float) -> Iterator[Stage]:
    """A chain of its own at the book's beginning, with the files of its user."""
    folder.mkdir(parents=True, exist_ok=True)
    for stale in folder.glob("evenkeel.sqlite*"):
        stale.unlink()  # the last demonstration's chain is gone, its journal would not fit this one
    with running(toolchain, LocalnetOptions(block_s=BLOCK_S, automine=False)) as net:
        yield Stage(name, net, folder, write_files(net, folder), blocks, interval_s)


def _play(stage: Stage, seed: int, console: Console, agent: subprocess.Popen[bytes] | None) -> Run:
    """Start the market and sample every block of it as it comes.

    With an agent the market waits for our cue: a block lasts no less than ``LOOKS`` of our own looks at it,
    so that on a busy machine everybody is slower alike. Without one it goes as fast as it can.
    """
    observer = Observer(load(stage.config, []))
    first = observer.newest + 1
    log = stage.folder / "scenario.log"
    command = [sys.executable, "-m", "agent.sim.scenario"]
    command += ["--localnet", str(stage.folder / "localnet.json"), "--seed", str(seed)]
    command += ["--blocks", str(stage.blocks), "--block-s", str(BLOCK_S)]
    command += ["--interval", str(stage.interval_s), *(["--cued"] if agent is not None else [])]
    # uncued, we stay a block behind: anvil answers for its newest block from what is being mined
    behind = 0 if agent is not None else 1
    samples: list[Sample] = []
    with _process(command, log) as market, _shown(stage, console) as show:
        for number in range(first, first + stage.blocks):
            if agent is not None:
                _require_alive(agent, "the agent", stage.folder / "agent.log")
                _cue(market, log)
            while observer.newest < number + behind and market.poll() != 0:
                _require_alive(market, "the market", log, may_end=True)
                time.sleep(0.01)
            began = time.monotonic()
            samples.append(observer.sample(number))
            took_s = time.monotonic() - began
            show(samples)
            if agent is not None:
                time.sleep(max(0.0, LOOKS * took_s - (time.monotonic() - began)))
        market.wait(timeout=60)
    return run_of(stage.name, stage.net, samples)


def _cue(market: subprocess.Popen[bytes], log: Path) -> None:
    if market.stdin is None:
        raise ProcessFailed(what="the market", status="no way to reach it", log=log)
    try:
        market.stdin.write(b"\n")
        market.stdin.flush()
    except BrokenPipeError as error:
        raise ProcessFailed(what="the market", status="its cues unheard", log=log) from error


@contextmanager
def _agent(stage: Stage) -> Iterator[subprocess.Popen[bytes]]:
    """The agent as anybody would start it: a process that knows its config and nothing else."""
    command = [sys.executable, "-m", "agent.cli", "run", "-c", str(stage.config), "--live", "--delegate"]
    log = stage.folder / "agent.log"
    with _process(command, log) as process:
        yield process
        _require_alive(process, "the agent", log)
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=30)


@contextmanager
def _process(command: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A child that never outlives us, its words in ``log``."""
    with log.open("wb") as words:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=words, stderr=words)
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()


def _require_alive(process: subprocess.Popen[bytes], what: str, log: Path, *, may_end: bool = False) -> None:
    status = process.poll()
    if status is None or (may_end and status == 0):
        return
    raise ProcessFailed(what=what, status=f"exit code {status}", log=log)


def _await_delegation(stage: Stage, process: subprocess.Popen[bytes]) -> None:
    """Blocks at an easy pace until the account runs the executor."""
    log, net = stage.folder / "agent.log", stage.net
    deadline = time.monotonic() + READY_S
    wanted = "0x" + delegation_code(net.executor.address).hex()
    while str(net.node.request("eth_getCode", net.book.account, "latest")).lower() != wanted:
        _require_alive(process, "the agent", log)
        if time.monotonic() > deadline:
            raise ProcessFailed(what="the agent", status=f"no delegation after {READY_S:.0f} s", log=log)
        time.sleep(max(0.25, stage.interval_s))
        net.node.mine()


@contextmanager
def _shown(stage: Stage, console: Console) -> Iterator[Show]:
    """A live table on a terminal, a line now and then elsewhere."""
    first = stage.net.node.block_number() + 1
    account = stage.net.book.account
    facts = Facts()

    def refresh(samples: list[Sample]) -> None:
        if len(samples) % COUNT_EVERY == 0 or len(samples) == stage.blocks:
            facts.hedges = hedges_done(stage.net, first)
            facts.liquidations = [one.what for one in liquidations(stage.net, first) if one.owner == account]

    if not console.is_terminal:

        def say(samples: list[Sample]) -> None:
            refresh(samples)
            if len(samples) % QUIET_EVERY == 0:
                console.print(
                    demo_line(stage.name, stage.blocks, samples, facts), highlight=False, soft_wrap=True
                )

        yield say
        return
    with Live(console=console, refresh_per_second=8) as live:

        def draw(samples: list[Sample]) -> None:
            refresh(samples)
            live.update(demo_table(stage.name, stage.blocks, samples, facts))

        yield draw


def _waited(config: Config, born: int) -> dict[str, object]:
    """What keepers were asked for and did."""
    with assembly.record_of(config) as database:
        record, entries = Record(database), list[Entry]()
        kinds = (ASKED, TOLD, "transaction", "refused")
        while page := record.entries(entries[-1].seq if entries else 0, kinds=kinds):
            entries += page
    naked_limit = config.policy.naked_limit_usd_s
    return requests_of(entries, born) | {"naked_limit_usd_s": naked_limit}


def _labels(config: Config) -> dict[str, str]:
    """What each of the agent's transactions was, by its hash, from its own record.

    A transaction that was outbid is told only by its outcome, so the way goes by the intent.
    """
    decided: dict[str, str] = {}
    labels: dict[str, str] = {}
    with assembly.record_of(config) as database:
        record, after = Record(database), 0
        while page := record.entries(after):
            after = page[-1].seq
            for entry in page:
                if entry.kind == "decision":
                    plan = cast(Mapping[str, object], entry.payload["plan"])
                    decided[str(plan["intent_id"])] = _label(plan)
                elif entry.kind in ("transaction", "outcome"):
                    words = decided.get(str(entry.payload["intent_id"]), "delegation to the executor")
                    labels[str(entry.payload["tx_hash"])] = words
    return labels


def _label(plan: Mapping[str, object]) -> str:
    actions = cast(list[Mapping[str, object]], plan["actions"])
    return "; ".join(action_words(action) for action in actions)
