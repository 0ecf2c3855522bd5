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
from pathlib import Path
from typing import cast

from agent.sim.toolchain import install
from tests.flips.jury import MARGINED, WORTH, judged, summary
from tests.flips.tally import Tally
from tests.flips.uniswap import Worth


def main(argv: list[str]) -> int:
    venues = [*MARGINED, WORTH]
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
    tallies = judged(install(), chosen, given.seed, given.accounts, given.transactions, given.jobs)
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


def _line(tally: Tally) -> str:
    done = f"{tally.accounts} accounts, {tally.by_transaction} by transaction"
    if isinstance(tally, Worth):
        errors = f"value within {tally.max_value_error:.1e}, delta within {tally.max_delta_error:.1e}"
        return f"nothing to liquidate; {done}, {tally.wrong_side} not as read, {errors}"
    return f"{done}, {tally.wrong_side} on the wrong side, flips within {tally.max_relative_error:.1e}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
