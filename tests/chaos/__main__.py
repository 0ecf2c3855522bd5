"""make chaos SEED=n: the storm of that seed, and out/chaos/summary.json."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from agent.sim.toolchain import install
from tests.chaos.board import Board
from tests.chaos.conductor import Result, Storm
from tests.chaos.zygote import Zygote
from tests.lane import running


def storm(seed: int, faults: int, folder: Path, sabotage: int = 0) -> Result:
    """One storm on a chain of its own; everything of it is gone afterwards but what is in ``folder``."""
    toolchain = install()
    boards = (Board(), Board())
    zygote = Zygote(boards)  # before any thread
    with running(toolchain, folder) as lane:
        lane.delegate()
        conductor = Storm(lane, zygote, boards, seed, faults)
        try:
            return conductor.run(sabotage)
        finally:
            conductor.close()


def main() -> int:
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--faults", type=int, default=2_000)
    parser.add_argument("--out", type=Path, default=Path("out/chaos"))
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = storm(asked.seed, asked.faults, Path(folder))
    asked.out.mkdir(parents=True, exist_ok=True)
    summary = json.dumps(result.as_json(), indent=2)
    (asked.out / "summary.json").write_text(summary + "\n")
    print(f"\n{summary}")
    return 0 if result.kept else 1


if __name__ == "__main__":
    sys.exit(main())
