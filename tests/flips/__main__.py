"""Every flip before the contracts: ``python -m tests.flips --seed 7 --accounts 1000 --out out/flips``.

Exit code 1 if a contract was anywhere on another side than was solved, or fewer accounts or transactions were
judged than asked for.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from concurrent.futures import Future, ProcessPoolExecutor, wait
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from multiprocessing import Manager, get_context
from pathlib import Path
from queue import Empty, Queue
from typing import cast

from agent.sim.toolchain import Toolchain, install
from tests.flips.tally import Tally
from tests.flips.uniswap import Worth, worth

MARGINED = ("curie", "lyra", "synthetix")  # each a module here with a function `flips`, the longest first
WORTH = "uniswap"
SHOWN = 20  # troubles in the summary
Progress = Queue[tuple[str, int]]


def main(argv: list[str]) -> int:
    venues = [*(venue for venue in MARGINED if find_spec(f"tests.flips.{venue}")), WORTH]
    parser = argparse.ArgumentParser(prog="python -m tests.flips", description=__doc__)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--accounts", type=int, default=1_000, help="per venue")
    parser.add_argument("--transactions", type=int, default=50, help="liquidations on both sides, per venue")
    parser.add_argument("--venue", action="append", choices=venues, help="only this one (can be repeated)")
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--out", type=Path, default=Path("out/flips"))
    given = parser.parse_args(argv)
    chosen = [venue for venue in venues if not given.venue or venue in given.venue]
    began = time.monotonic()
    tallies = _run(install(), chosen, given.seed, given.accounts, given.transactions, given.jobs)
    told = summary(given.seed, tallies, given.accounts, given.transactions)
    told["seconds"] = round(time.monotonic() - began, 1)
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "summary.json").write_text(json.dumps(told, indent=2) + "\n")
    print(f"flips: seed {given.seed}, {told['seconds']} s")
    for venue, tally in tallies.items():
        print(f"  {venue}: {_line(tally)}")
        for trouble in cast(list[str], cast(dict[str, object], told[venue])["troubles"]):
            print(f"    {trouble}", file=sys.stderr)
    return 0 if told["passed"] else 1


def summary(seed: int, tallies: dict[str, Tally], accounts: int, transactions: int) -> dict[str, object]:
    """What is written to ``summary.json``, without the time it took."""
    told: dict[str, object] = {"seed": seed}
    passed = True
    for venue, tally in tallies.items():
        troubles = list(tally.troubles)
        for what, done, asked in (
            ("accounts", tally.accounts, accounts),
            ("transactions", tally.by_transaction, transactions),
        ):
            if done < asked:
                troubles.append(f"only {done} of {asked} {what}")
        passed = passed and tally.wrong_side == 0 and not troubles
        fields = {key: value for key, value in vars(tally).items() if key != "troubles"}
        if isinstance(tally, Worth):
            fields = {"liquidations": "nothing to liquidate", **fields}
        told[venue] = {**fields, "troubles": troubles[:SHOWN]}
    told["passed"] = passed
    return told


def _line(tally: Tally) -> str:
    judged = f"{tally.accounts} accounts, {tally.by_transaction} by transaction"
    if isinstance(tally, Worth):
        errors = f"value within {tally.max_value_error:.1e}, delta within {tally.max_delta_error:.1e}"
        return f"nothing to liquidate; {judged}, {tally.wrong_side} not as read, {errors}"
    return f"{judged}, {tally.wrong_side} on the wrong side, flips within {tally.max_relative_error:.1e}"


def _run(
    toolchain: Toolchain, venues: list[str], seed: int, accounts: int, transactions: int, jobs: int
) -> dict[str, Tally]:
    """All venues, each on a chain of its own, ``jobs`` at a time in processes of their own if more than 1."""
    if jobs == 1:
        queue: Progress = Queue()
        return {venue: _judge(toolchain, venue, seed, accounts, transactions, queue) for venue in venues}
    context = get_context("spawn")
    with Manager() as manager, ProcessPoolExecutor(jobs, context) as pool:
        shared = cast(Progress, manager.Queue())
        futures = {
            venue: pool.submit(_judge, toolchain, venue, seed, accounts, transactions, queue)
            for venue in venues
        }
        _watch(list(futures.values()), shared, dict.fromkeys(venues, 0), accounts)
        return {venue: future.result() for venue, future in futures.items()}


def _judge(
    toolchain: Toolchain, venue: str, seed: int, accounts: int, transactions: int, queue: Progress
) -> Tally:
    told = partial(_tell, queue, venue)
    if venue == WORTH:
        return worth(toolchain, seed, accounts, transactions, told)
    flips = import_module(f"tests.flips.{venue}").flips
    return cast(Tally, flips(toolchain, seed, accounts, transactions, told))


def _tell(queue: Progress, venue: str, done: int) -> None:
    queue.put((venue, done))


def _watch(futures: list[Future[Tally]], queue: Progress, done: dict[str, int], accounts: int) -> None:
    """Until all have ended; a line of progress on a terminal."""
    while wait(futures, timeout=0.5).not_done:
        while True:
            try:
                venue, count = queue.get_nowait()
            except Empty:
                break
            done[venue] = count
        if sys.stderr.isatty():
            line = " · ".join(f"{venue} {count}/{accounts}" for venue, count in done.items())
            sys.stderr.write(f"\r{line} ")
            sys.stderr.flush()
    if sys.stderr.isatty():
        sys.stderr.write("\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
