"""A whole storm: acts, each on a chain of its own, side by side, and what they came to together."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import sys
import tempfile
import time
import traceback
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from multiprocessing.managers import DictProxy
from pathlib import Path

from agent.errors import EvenkeelError
from agent.sim.toolchain import install
from tests.chaos.conductor import act
from tests.chaos.fault import COMMITS, KINDS, SIDES, acts, digest
from tests.chaos.tally import Tally

PER_ACT = 200
ENOUGH_FOR_ALL = 2_000  # faults in which every kind and every commit must come up
SHARED_MEMORY = Path(
    "/dev/shm"
)  # commits are not waited for there: what is killed is the process, not the power


def storm(seed: int, faults: int, jobs: int, keep: Path | None = None) -> dict[str, object]:
    """Run all acts; the summary."""
    start = time.monotonic()
    sizes = acts(faults, PER_ACT)
    anvil = install().anvil
    total = Tally()
    with multiprocessing.Manager() as manager:
        progress = manager.dict()
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(jobs, mp_context=context) as pool:
            pending: set[Future[Tally]] = {
                pool.submit(_one, str(anvil), seed, number, size, progress, keep)
                for number, size in enumerate(sizes)
            }
            while pending:
                done, pending = wait(pending, timeout=1.0, return_when=FIRST_COMPLETED)
                for future in done:
                    total.add(future.result())
                _show(progress, faults, time.monotonic() - start)
    return summary(total, seed, sizes, time.monotonic() - start)


def summary(total: Tally, seed: int, sizes: list[int], seconds: float) -> dict[str, object]:
    """What out/chaos/summary.json says."""
    settled = sorted(total.settle_blocks) or [0]
    never = [kind for kind in KINDS if kind not in total.by_kind]
    never += [f"kill {side} {at}" for at in COMMITS for side in SIDES if f"{side} {at}" not in total.kills]
    return {
        "seed": seed,
        "faults": total.faults,
        "by_kind": dict(sorted(total.by_kind.items())),
        "kills_by_commit": dict(sorted(total.kills.items())),
        "never_met": never,
        "intents": total.intents,
        "wanted": total.wanted,
        "lost": total.lost,
        "doubled": total.doubled,
        "stranded": total.stranded,
        "operator_actions": total.operator_actions,
        "crashes": total.crashes,
        "halts": dict(total.halts),
        "process_starts": total.starts,
        "blocks": total.blocks,
        "blocks_to_settle": {"p50": _rank(settled, 50), "p95": _rank(settled, 95), "worst": settled[-1]},
        "acts": len(sizes),
        "plan_sha256": digest(seed, sizes),
        "troubles": total.troubles,
        "passed": total.is_clean and (not never or sum(sizes) < ENOUGH_FOR_ALL),
        "seconds": round(seconds, 1),
    }


def _rank(ordered: list[int], percent: int) -> int:
    return ordered[-(-len(ordered) * percent // 100) - 1]


def _one(
    anvil: str, seed: int, number: int, size: int, progress: DictProxy[int, int], keep: Path | None
) -> Tally:
    parent = SHARED_MEMORY if SHARED_MEMORY.is_dir() and os.access(SHARED_MEMORY, os.W_OK) else None
    folder = Path(tempfile.mkdtemp(prefix="evenkeel-chaos-", dir=parent))
    try:
        try:
            tally = act(Path(anvil), folder, seed, number, size, lambda met: progress.update({number: met}))
        except EvenkeelError as error:  # a typed error does not travel between processes
            raise RuntimeError(f"act {number}: {traceback.format_exc()}") from error
        tally.troubles = [f"act {number}: {trouble}" for trouble in tally.troubles]
        if keep is not None and not tally.is_clean:
            shutil.copytree(folder, keep / f"act-{number}", dirs_exist_ok=True)
        return tally
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _show(progress: DictProxy[int, int], faults: int, seconds: float) -> None:
    if sys.stderr.isatty():
        met = sum(progress.values())
        print(f"\rchaos: {met} of {faults} faults, {seconds:.0f} s ", end="", file=sys.stderr, flush=True)
