"""Every figure of docs/performance.md: ``python -m tests.benchmark --accounts 10000 --out out/bench``.

Each part runs in a process of its own, one after the other; ratios are of one run. A slow machine fails
nothing. Exit code 1 if a part could not be measured, or if two ways of reading read different things.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

from agent.sim.toolchain import install

# What must hold on an idle machine: the figure, how it compares, and the bound.
TARGETS: tuple[tuple[str, str, float], ...] = (
    ("reads_10k_times_floor", "<=", 1.5),
    ("reads_10k_vs_multicall_py", ">=", 8),
    ("reads_cost_10k_vs_1k", "<=", 1.1),
    ("hot_path_times_floor", "<=", 2),
    ("decision_p50_ms", "<", 1),
    ("decision_p99_ms", "<", 3),
    ("scan_10k_ms", "<", 2000),
    ("greeks_per_s", ">=", 15e6),
    ("iv_per_s", ">=", 500e3),
    ("svi_slice_ms", "<=", 1),
)
PARTS = ("reads", "scan", "hot_path", "decision", "pricing", "inclusion", "startup")
SIZED = frozenset({"reads", "scan"})
PART_S = 1_800
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmark", description=__doc__)
    parser.add_argument("--accounts", type=int, default=10_000, help="of the reads and the scan")
    parser.add_argument("--part", action="append", choices=PARTS, help="only this one (can be repeated)")
    parser.add_argument("--out", type=Path, default=Path("out/bench"))
    given = parser.parse_args(argv)
    install()
    began = time.monotonic()
    figures: dict[str, object] = {}
    failed: dict[str, str] = {}
    for part in given.part or PARTS:
        print(f"bench: {part} ...", file=sys.stderr, flush=True)
        try:
            figures |= _measured(part, given.accounts)
        except (subprocess.SubprocessError, ValueError) as error:
            failed[part] = str(error)
    told = {
        "machine": _machine(),
        "accounts": given.accounts,
        **figures,
        "targets": _judged(figures),
        "failed": failed,
        "seconds": round(time.monotonic() - began, 1),
    }
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "summary.json").write_text(json.dumps(told, indent=2) + "\n")
    _print(told, figures)
    return 1 if failed else 0


def _measured(part: str, accounts: int) -> dict[str, object]:
    """What ``measure`` of the part's module says, from a fresh process."""
    argument = f"accounts={accounts}" if part in SIZED else ""
    words = f"import json; from tests.benchmark.{part} import measure; print(json.dumps(measure({argument})))"
    done = subprocess.run(
        [sys.executable, "-c", words],
        stdout=subprocess.PIPE,
        text=True,
        timeout=PART_S,
        env=os.environ | ONE_THREAD,
        check=True,
    )
    found = json.loads(done.stdout.strip().splitlines()[-1])
    if not isinstance(found, dict):
        raise ValueError(f"{part} measured {found!r}")
    return found


def _judged(figures: dict[str, object]) -> dict[str, dict[str, object]]:
    """Each bound beside what was measured."""
    met = {
        "<=": lambda value, bound: value <= bound,
        "<": lambda value, bound: value < bound,
        ">=": lambda value, bound: value >= bound,
    }
    return {
        name: {"bound": f"{sign} {bound:g}", "measured": value, "met": met[sign](value, bound)}
        for name, sign, bound in TARGETS
        if isinstance(value := figures.get(name), int | float)
    }


def _machine() -> dict[str, object]:
    model = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    load = os.getloadavg()[0]
    return {"processor": model, "cores": os.cpu_count(), "python": platform.python_version(), "load": load}


def _print(told: dict[str, object], figures: dict[str, object]) -> None:
    print(f"bench: {told['machine']}, {told['seconds']} s")
    targets = _judged(figures)
    for name, value in figures.items():
        if isinstance(value, int | float):
            goal = targets.get(name)
            mark = (
                "" if goal is None else f"   (wanted {goal['bound']}: {'met' if goal['met'] else 'NOT met'})"
            )
            print(f"  {name:34} {value:>16,.3f}{mark}")
    for part, reason in dict(told["failed"] or {}).items():  # type: ignore[call-overload]
        print(f"  {part}: {reason}", file=sys.stderr)


def _mark(goal: dict[str, object] | None) -> str:
    if goal is None:
        return ""
    return f"   (wanted {goal['bound']}: {'met' if goal['met'] else 'NOT met'})"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
