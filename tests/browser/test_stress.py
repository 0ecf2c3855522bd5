"""A real browser draws the page of ``evenkeel stress``."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path

import pytest

from agent.dashboard.stress import Row, StressReport, brief, letters, stress_html
from agent.risk.scenario import Grid
from agent.risk.stress import run
from tests.browser.test_report import browse, chromium, noted
from tests.unit.risk.test_stress import book, perp

__all__ = ["chromium"]

HOSTILE = "<script>alert(1)</script> %{x} &amp;"
SPY = """<script>
const noted = document.documentElement.dataset;
const asked = [], wrong = [];
new PerformanceObserver(list => list.getEntries().forEach(e => asked.push(e.name)))
  .observe({type: "resource", buffered: true});
addEventListener("error", e => wrong.push(String(e.message)), true);
addEventListener("securitypolicyviolation", e => wrong.push("policy: " + e.blockedURI));
window.alert = () => wrong.push("alert");
addEventListener("load", () => setTimeout(() => {
  const texts = [...document.querySelectorAll("#grids .heatmap-label text")];
  noted.cells = texts.map(t => t.textContent.replace(/\\s+/g, " ")).join("|");
  noted.size = String(Math.min(...texts.map(t => parseFloat(getComputedStyle(t).fontSize))));
  noted.asked = asked.join(" ");
  noted.wrong = wrong.join(" | ");
}, 1500));
</script>"""

FRAME = """<!doctype html><body>
<iframe id="phone" src="report.html" style="width:360px;height:2600px;border:0"></iframe><script>
setTimeout(() => {
  const page = document.getElementById("phone").contentDocument;
  const parts = [page.documentElement, ...page.querySelectorAll(".card")];
  const lost = parts.filter(p => p.scrollWidth > p.clientWidth || p.scrollHeight > p.clientHeight);
  document.documentElement.dataset.parts = String(parts.length);
  document.documentElement.dataset.cut = lost.map(p => p.getAttribute("aria-label") || "page").join(" | ");
}, 4000);
</script>"""


@pytest.fixture(scope="module")
def report() -> StressReport:
    held = book(perp(3, 4000))
    grids = [Grid((-0.7, -0.2, 0.0, 0.2), (-0.3, 0.0, 0.5, 1.0), hours) for hours in (0.0, 12.0)]
    row = Row(
        "march", HOSTILE, HOSTILE, -1234.5, -2345.6, {"curie:margin": -17.0}, ("curie:margin",),
        {"curie:margin": 10.7}, 0.0, 0.0, (0.0, -2345.6, -1234.5), (0.0, 1.0, 2.0),
    )  # fmt: skip
    drawn = tuple((grid, run(held, grid.scenario)) for grid in grids)
    return StressReport(7, "0x" + "ab" * 20, 10_000.0, letters(["curie:margin"]), (row,), drawn)


@pytest.fixture(scope="module")
def folder(report: StressReport, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stress")
    html = stress_html(report)
    (folder / "report.html").write_text(html)
    (folder / "spied.html").write_text(html.replace("<head>", "<head>" + SPY, 1))
    (folder / "frame.html").write_text(FRAME)
    return folder


def test_the_grids_are_drawn_with_their_numbers_and_nothing_is_asked(
    chromium: str, folder: Path, report: StressReport
) -> None:
    dom = browse(chromium, folder, "spied.html", "--dump-dom")
    assert (noted(dom, "asked"), noted(dom, "wrong")) == ("", "")
    ends = [[float(pnl) for pnl in outcome.end] for _, outcome in report.grids]
    assert ends[0][:4] == pytest.approx([-4000.0] * 4)  # lost to the last, and not more
    drawn = [
        brief(pnl) if not outcome.liquidated(number) else f"A {brief(pnl)}"
        for _, outcome in report.grids
        for number, pnl in enumerate(outcome.end)
    ]
    assert sorted(noted(dom, "cells").split("|")) == sorted(drawn)
    assert HOSTILE in unescape(re.search(r'<th scope="row">(.*?)</th>', dom)[1])  # type: ignore[index]
    assert 'class="trace scatter' in dom


def test_on_a_phone_the_page_is_not_cut_off(chromium: str, folder: Path) -> None:
    seen = browse(chromium, folder, "frame.html", "--dump-dom")
    assert noted(seen, "parts") == "4"
    assert noted(seen, "cut") in ("", "Named days and events")  # a long table may be pushed aside
