"""The template of docs/venues/writing-one.md, made into a venue in a copy: the page cannot rot."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.new_venue import create, renamed

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("agent", "abis", "contracts", "docs", "scripts", "tests")
LEFT_OUT = shutil.ignore_patterns("__pycache__", "out", "cache")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of ours with a new venue, and with what the type checker knows already."""
    copy = tmp_path_factory.mktemp("checkout")
    for part in PARTS:
        shutil.copytree(ROOT / part, copy / part, ignore=LEFT_OUT)
    shutil.copy2(ROOT / "pyproject.toml", copy)
    if (ROOT / ".mypy_cache").exists():
        shutil.copytree(ROOT / ".mypy_cache", copy / ".mypy_cache")
    (copy / ".toolchain").symlink_to((ROOT / ".toolchain").resolve())
    create("acme", copy)
    return copy


def run(checkout: Path, *words: str) -> str:
    """A Python tool in the copy, which is also what it imports."""
    done = subprocess.run(
        [sys.executable, "-m", *words],
        cwd=checkout,
        env=os.environ | {"PYTHONPATH": str(checkout)},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_venue_from_the_template_type_checks_and_is_in_order(checkout: Path) -> None:
    assert "Success" in run(checkout, "mypy", "agent/venues/acme")
    run(checkout, "ruff", "check", "--fix", "agent", "tests/venue_conformance")
    lines = run(checkout, "ruff", "check", "agent", "tests/venue_conformance")
    assert "All checks passed" in lines


def test_a_venue_from_the_template_passes_the_conformance_suite(checkout: Path) -> None:
    words = (
        "tests/venue_conformance/test_venue.py",
        "-k",
        "acme",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:xdist",
    )
    told = run(checkout, "pytest", "-q", *words)
    sentences = (ROOT / "tests/venue_conformance/test_venue.py").read_text().count("\ndef test_")
    assert f"{sentences + 1} passed" in told  # one of them is asked of two stages
    assert "skipped" not in told


def test_a_name_that_is_taken_or_none_is_refused(checkout: Path) -> None:
    for name in ("acme", "curie", "Acme", "a-b", "", "../x"):
        with pytest.raises(ValueError, match=r"needed|already"):
            create(name, checkout)


def test_the_contract_of_the_template_keeps_its_name() -> None:
    text = "Example EXAMPLE example ExamplePerps.sol ExampleMargin"
    assert renamed(text, "acme") == "Acme ACME acme ExamplePerps.sol AcmeMargin"
