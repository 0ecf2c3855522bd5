"""The command line. Exit codes: 0 done, 1 bug, 2 misconfigured, 3 transient, 4 refused, 5 untrusted."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line; every typed error becomes a sentence on stderr and its documented exit code."""
    from agent.cli.command import run

    sys.exit(run(sys.argv[1:]))
