"""All venues before their contracts, each on a chain of its own, and what came of it."""

from __future__ import annotations

import sys
import traceback
from concurrent.futures import Future, ProcessPoolExecutor, wait
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from multiprocessing import Manager, get_context
from queue import Empty, Queue
from typing import cast

from agent.errors import EvenkeelError
from agent.sim.toolchain import Toolchain
from tests.flips.tally import Tally
from tests.flips.uniswap import Worth, worth

# each a module here with a function `flips`, the longest first
MARGINED = tuple(v for v in ("curie", "synthetix", "lyra") if find_spec(f"tests.flips.{v}"))
WORTH = "uniswap"
SHOWN = 20  # troubles in the summary
Progress = Queue[tuple[str, int]]


def judged(
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
            venue: pool.submit(_judge, toolchain, venue, seed, accounts, transactions, shared)
            for venue in venues
        }
        _watch(list(futures.values()), shared, dict.fromkeys(venues, 0), accounts)
        return {venue: future.result() for venue, future in futures.items()}


def _judge(
    toolchain: Toolchain, venue: str, seed: int, accounts: int, transactions: int, queue: Progress
) -> Tally:
    told = partial(_tell, queue, venue)
    flips = worth if venue == WORTH else import_module(f"tests.flips.{venue}").flips
    try:
        return cast(Tally, flips(toolchain, seed, accounts, transactions, told))
    except EvenkeelError:  # cannot go from process to process as it is
        return Tally(troubles=[traceback.format_exc()])


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
