"""The README's table of venues, from what the venues declare and the manifests ship.

python -m scripts.venue_table [--write]
"""

from __future__ import annotations

import inspect
import pkgutil
import sys
from importlib import import_module
from pathlib import Path

from agent import venues
from agent.venues.ability import Ability
from agent.venues.deployments import load

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "README.md"
BEGIN, END = "<!-- venues: python -m scripts.venue_table --write -->\n", "<!-- end of venues -->\n"


def declared() -> dict[str, type]:
    """The class of every venue there is a package for, by the venue's name."""
    found = {}
    for module in pkgutil.iter_modules(venues.__path__):
        if not module.ispkg:
            continue
        package = import_module(f"{venues.__name__}.{module.name}")
        own = [
            kind
            for _, kind in inspect.getmembers(package, inspect.isclass)
            if kind.__module__ == package.__name__ and hasattr(kind, "identify")
        ]
        for kind in own:
            found[_said(kind, "name")] = kind
    return found


def _said(kind: type, what: str) -> str:
    """What a venue says of itself without a deployment."""
    getter = inspect.getattr_static(kind, what).fget
    said = getter(object.__new__(kind))
    return str(said.value if hasattr(said, "value") else said)


def table() -> str:
    """One row a venue, in Markdown."""
    chains: dict[str, list[str]] = {}
    for path in sorted((ROOT / "agent" / "venues" / "manifests").glob("*.json"), key=lambda p: int(p.stem)):
        for venue in load(path).venues:
            chains.setdefault(venue, []).append(path.stem)
    rows = [
        "| venue | reads | margin | flip exact | writes | settlement | tested on real bytecode | chains |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, kind in sorted(declared().items()):
        ability = getattr(kind, "ability", None)
        if not isinstance(ability, Ability):
            continue  # tests/venue_conformance/test_table.py lets none get away with it
        cells = (
            f"[{name}](docs/venues/{name}.md)",
            ability.reads,
            ability.margin or "none",
            "yes" if ability.flip_exact else "-" if not ability.margin else "no",
            ", ".join(ability.writes) or "nothing",
            _said(kind, "settlement"),
            ability.bytecode or "no: stand-ins",
            ", ".join(chains.get(name, [])) or "none: your own deployment file",
        )
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows) + "\n"


def main(argv: list[str]) -> int:
    """0 if the README holds the table (or now does)."""
    text = PAGE.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    old, end, after = rest.partition(END)
    if not begin or not end:
        print(f"{PAGE} has no place for the table: {BEGIN}", file=sys.stderr)
        return 2
    if old != table() and "--write" in argv:
        PAGE.write_text(before + begin + table() + end + after, encoding="utf-8")
    elif old != table():
        print("the README's table is old; run python -m scripts.venue_table --write", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
