"""A real browser draws the report."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path

import pytest

from agent.dashboard.report import report_html
from tests.report import HOSTILE, SUMMARY, runs

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-logging=stderr",
    "--virtual-time-budget=8000",
    "--window-size=1180,1900",
)
SPY = """<script>
window.asked = [];
new PerformanceObserver(list => list.getEntries().forEach(e => window.asked.push(e.name)))
  .observe({type: "resource", buffered: true});
window.addEventListener("error", e => document.documentElement.dataset.error = e.message);
window.addEventListener("load", () => setTimeout(() => {
  document.documentElement.dataset.asked = window.asked.join(" ");
  document.documentElement.dataset.alerted = String(window.alerted || 0);
}, 1500));
window.alert = () => { window.alerted = (window.alerted || 0) + 1; };
</script>"""


@pytest.fixture(scope="module")
def chromium() -> str:
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip(f"no browser: none of {', '.join(NAMES)} is on PATH and $CHROMIUM is not set")
    return found


@pytest.fixture(scope="module")
def dom(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The document after its scripts have run."""
    folder = tmp_path_factory.mktemp("browser")
    html = report_html("A book", f"seed 7 {HOSTILE}", *runs(), SUMMARY)
    page = folder / "report.html"
    page.write_text(html.replace("<head>", "<head>" + SPY, 1))
    return shown(chromium, page, folder)


def shown(chromium: str, page: Path, folder: Path) -> str:
    command = [chromium, *FLAGS, f"--user-data-dir={folder / 'profile'}", "--dump-dom", page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=90)
    return done.stdout


def test_all_four_charts_are_drawn(dom: str) -> None:
    for name in ("x", "x2", "x3", "x4"):
        axis = "y" + name[1:]
        assert f'class="subplot {name}{axis}"' in dom
    lines = len(re.findall(r'class="trace scatter trace', dom))
    # two edges of the band, delta and cost of two runs, six accounts each, two prices, marks of three kinds
    assert lines == 2 + 2 * 2 + 2 * 6 + 2 + 3


def test_the_page_asks_nothing_of_the_network_and_throws_nothing(dom: str) -> None:
    root = re.search(r"<html[^>]*>", dom)
    assert root is not None
    assert 'data-asked=""' in root.group()
    assert "data-error" not in root.group()


def test_hostile_labels_are_text(dom: str) -> None:
    root = re.search(r"<html[^>]*>", dom)
    assert root is not None
    assert 'data-alerted="0"' in root.group()
    assert HOSTILE in unescape(dom)


def test_the_liquidations_are_marked_in_every_chart(dom: str) -> None:
    assert len(re.findall(r'<path [^>]*data-index="\d+"', dom)) == 2 * 4


def test_the_figures_are_those_of_the_summary(dom: str) -> None:
    assert '<td data-key="liquidations">0</td><td data-key="liquidations">2</td>' in dom
    assert '<td colspan="2" id="doubled">0</td>' in dom
