"""A venue of one's own, from docs/venues/template: python -m scripts.new_venue NAME [CHECKOUT]

Copies the template and its bench, and enters the venue where venues are listed. What it wrote passes the
conformance suite as it is; docs/venues/writing-one.md says what to change then.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BENCH, ABI = "bench.py", "abi.json"


def create(name: str, root: Path = ROOT) -> list[Path]:
    """The files that were written or changed. Raises ValueError for a name that is taken or cannot be one."""
    if not re.fullmatch(r"[a-z][a-z0-9]*", name):
        raise ValueError(f"{name!r}: lower-case letters and digits are needed, it becomes a package")
    folder = root / "agent" / "venues" / name
    if folder.exists():
        raise ValueError(f"{folder} is there already")
    template = root / "docs" / "venues" / "template"
    homes = {
        BENCH: root / "tests" / "venue_conformance" / "benches" / f"{name}.py",
        ABI: root / "abis" / f"{name}.json",
    }
    folder.mkdir()
    written = []
    for path in sorted(template.glob("*.*")):
        target = homes.get(path.name, folder / path.name)
        target.write_text(renamed(path.read_text(), name))
        written.append(target)
    kind = name.capitalize()
    _insert(
        root / "agent" / "venues" / "deployments.py",
        (
            "from agent.venues.manifest import",
            f"from agent.venues.{name}.deployment import {kind}Deployment\n",
        ),
        ("    manifests: Mapping", f"    {name}: {kind}Deployment | None = None\n"),
    )
    _insert(
        root / "agent" / "assembly.py",
        ("from agent.venues.venue import", f"from agent.venues.{name} import {kind}\n"),
        (
            "    if not found:\n",
            f"    if deployment.{name} is not None:\n        found.append({kind}(deployment.{name}))\n",
        ),
    )
    _insert(root / "pyproject.toml", ('"agent.venues.uniswap"', f'"agent.venues.{name}", '))
    return [
        *written,
        root / "agent/venues/deployments.py",
        root / "agent/assembly.py",
        root / "pyproject.toml",
    ]


def renamed(text: str, name: str) -> str:
    """The template's words with the venue's name; the contract it was written for keeps its own."""
    kept = text.replace("ExamplePerps", "\0")
    for old, new in (("example", name), ("Example", name.capitalize()), ("EXAMPLE", name.upper())):
        kept = kept.replace(old, new)
    return kept.replace("\0", "ExamplePerps")


def _insert(path: Path, *places: tuple[str, str]) -> None:
    """Before the first place where each anchor stands."""
    text = path.read_text()
    for anchor, line in places:
        before, found, after = text.partition(anchor)
        if not found:
            raise ValueError(f"{path} has no {anchor!r} to enter the venue at")
        text = before + line + found + after
    path.write_text(text)


def main(argv: list[str]) -> int:
    """2 for a name that cannot be."""
    if not 1 <= len(argv) <= 2:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        written = create(argv[0], Path(argv[1]) if len(argv) == 2 else ROOT)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    print("\n".join(str(path) for path in written))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
