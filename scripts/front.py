"""A front door of the Makefile: runs a command, keeps its exit code and writes out/<name>/summary.json.

python -m scripts.front NAME -- COMMAND [ARG ...]
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path


def main(argv: list[str]) -> int:
    name, dashes, *command = argv
    if dashes != "--" or not command:
        print(__doc__, file=sys.stderr)
        return 2
    start = time.monotonic()
    code = subprocess.run(command, check=False).returncode
    out = Path("out") / name
    out.mkdir(parents=True, exist_ok=True)
    summary = {
        "name": name,
        "passed": code == 0,
        "exit_code": code,
        "seconds": round(time.monotonic() - start, 1),
    }
    (out / "summary.json").write_text(json.dumps(summary, indent=2) + "\n")
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
