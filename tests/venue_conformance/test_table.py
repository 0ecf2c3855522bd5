"""What is told of the venues in the README is what they declare, and every venue declares something."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.venues.ability import Ability
from scripts.venue_table import BEGIN, END, PAGE, declared, table
from tests.venue_conformance.conftest import NAMES

ROOT = Path(__file__).resolve().parents[2]


def test_the_readme_has_the_table_that_the_venues_make() -> None:
    found = PAGE.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0]
    assert found == table(), "run python -m scripts.venue_table --write"


@pytest.mark.parametrize("name", sorted(declared()))
def test_every_venue_declares_what_it_can_do_has_a_page_and_a_bench(name: str) -> None:
    assert isinstance(declared()[name].ability, Ability)  # type: ignore[attr-defined]
    assert (ROOT / "docs" / "venues" / f"{name}.md").is_file()
    assert name in NAMES


def test_every_folder_of_a_venue_is_one() -> None:
    folders = {p.name for p in (ROOT / "agent" / "venues").iterdir() if (p / "__init__.py").is_file()}
    assert folders == set(declared())
