"""How long the command line takes to start: `python -m tests.benchmark.startup`. Fails on nothing.

Fresh processes in turns, so that a slow moment slows them all; medians of wall time, in milliseconds.
Python's own start is taken off and told apart.
"""

from __future__ import annotations

import json
import subprocess
import sys
from statistics import median
from time import perf_counter

ROUNDS = 15
PROGRAMS = {
    "python": ("-c", "pass"),
    "help": ("-m", "agent.cli", "--help"),
    "watch_help": ("-m", "agent.cli", "watch", "--help"),
    "watch": ("-c", "import agent.cli.keep"),  # everything that watching an account imports
    "web3": ("-c", "import web3"),
}


def measure() -> dict[str, float]:
    """``import_ms`` is of `evenkeel --help`."""
    took: dict[str, list[float]] = {name: [] for name in PROGRAMS}
    for turn in range(ROUNDS + 1):
        for name, words in PROGRAMS.items():
            start = perf_counter()
            subprocess.run([sys.executable, *words], stdout=subprocess.DEVNULL, check=True)
            if turn > 0:  # the first reads from the disk
                took[name].append(1e3 * (perf_counter() - start))
    middle = {name: median(times) for name, times in took.items()}
    own = middle["python"]
    found = {
        "import_ms": middle["help"] - own,
        "import_watch_help_ms": middle["watch_help"] - own,
        "import_watch_ms": middle["watch"] - own,
        "import_web3_ms": middle["web3"] - own,
        "python_ms": own,
        "import_vs_web3": (middle["web3"] - own) / (middle["help"] - own),
    }
    return {name: round(value, 2) for name, value in found.items()}


def main() -> None:
    """Prints the figures as JSON."""
    print(json.dumps(measure(), indent=2))


if __name__ == "__main__":
    main()
