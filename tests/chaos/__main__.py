"""The storm: ``python -m tests.chaos --seed 7 --faults 2000 --out out/chaos``.

Exit code 1 if anything was lost, doubled or stranded, if a person would have been needed, if a process
crashed, or if a kind of fault never met the agent.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from tests.chaos.storm import storm


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--faults", type=int, default=2000)
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--out", type=Path, default=Path("out/chaos"))
    given = parser.parse_args(argv)
    given.out.mkdir(parents=True, exist_ok=True)
    told = storm(given.seed, given.faults, given.jobs, given.out)
    (given.out / "summary.json").write_text(json.dumps(told, indent=2) + "\n")
    if sys.stderr.isatty():
        print(file=sys.stderr)
    short = {
        key: told[key] for key in ("faults", "intents", "lost", "doubled", "stranded", "operator_actions")
    }
    print(
        f"chaos: seed {told['seed']}, {', '.join(f'{v} {k}' for k, v in short.items())}, {told['seconds']} s"
    )
    for trouble in told["troubles"]:  # type: ignore[attr-defined]
        print(f"  {trouble}", file=sys.stderr)
    return 0 if told["passed"] else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
