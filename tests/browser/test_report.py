"""A real browser draws the report."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import replace
from html import unescape
from pathlib import Path

import pytest

from agent.dashboard.report import report_html
from agent.dashboard.series import Series
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
    "--hide-scrollbars",
    "--allow-file-access-from-files",  # the narrow page is looked at through a frame of another file
    "--virtual-time-budget=8000",
    "--window-size=1180,1900",
)
# An account's name and a hedge's words that try to be markup, a template and an entity at once
NASTY = 'lyra:5 <img src=x onerror=alert(1)> "%{x}" &amp;'
SPY = """<script>
const noted = document.documentElement.dataset;
const asked = [], wrong = [];
let alerts = 0;
new PerformanceObserver(list => list.getEntries().forEach(e => asked.push(e.name)))
  .observe({type: "resource", buffered: true});
addEventListener("error", e => wrong.push(String(e.message)), true);
addEventListener("unhandledrejection", e => wrong.push(String(e.reason)));
addEventListener("securitypolicyviolation", e => wrong.push("policy: " + e.blockedURI));
console.error = (...words) => wrong.push(words.join(" "));
window.alert = () => { alerts += 1; };
addEventListener("load", () => setTimeout(() => {
  const box = document.getElementById("runs");
  Plotly.Fx.hover(box, {xval: 0.5, yval: 0.5}, "x2y2");
  noted.distances = document.querySelector("#runs .hoverlayer").textContent;
  const told = box.data.findIndex(trace => trace.name === "hedge landed");
  Plotly.Fx.hover(box, [{curveNumber: told, pointNumber: 3}], "x4y4");
  setTimeout(() => {
    noted.asked = asked.join(" ");
    noted.wrong = wrong.join(" | ");
    noted.alerts = String(alerts);
    noted.hovered = document.querySelector("#runs .hoverlayer").textContent;
  }, 500);
}, 1500));
</script>"""
FRAME = """<!doctype html><body>
<iframe id="phone" src="report.html" style="width:360px;height:2600px;border:0"></iframe><script>
setTimeout(() => {
  const page = document.getElementById("phone").contentDocument;
  const parts = [page.documentElement, ...page.querySelectorAll(".card")];
  const lost = parts.filter(p => p.scrollWidth > p.clientWidth || p.scrollHeight > p.clientHeight);
  document.documentElement.dataset.parts = String(parts.length);
  document.documentElement.dataset.cut = String(lost.length);
}, 4000);
</script>"""


@pytest.fixture(scope="module")
def chromium() -> str:
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip(f"no browser: none of {', '.join(NAMES)} is on PATH and $CHROMIUM is not set")
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds the report as it is (``report.html``) and with a spy in it (``spied.html``)."""
    folder = tmp_path_factory.mktemp("browser")
    kept, left = runs()
    (folder / "report.html").write_text(report_html("A book", "seed 7", kept, left, SUMMARY))
    html = report_html(f"A book {HOSTILE}", f"seed 7 {HOSTILE}", nasty(kept), nasty(left), SUMMARY)
    (folder / "spied.html").write_text(html.replace("<head>", "<head>" + SPY, 1))
    (folder / "frame.html").write_text(FRAME)
    return folder


@pytest.fixture(scope="module")
def dom(chromium: str, folder: Path) -> str:
    """The document after its scripts have run."""
    return browse(chromium, folder, "spied.html", "--dump-dom")


def nasty(run: Series) -> Series:
    """The same run with one account called something nobody should call it."""
    samples = tuple(
        replace(s, distances={NASTY if key == "lyra:5" else key: d for key, d in s.distances.items()})
        for s in run.samples
    )
    return replace(run, samples=samples)


def browse(chromium: str, folder: Path, page: str, *what: str) -> str:
    profile = folder / f"profile of {page} {len(list(folder.iterdir()))}"
    command = [chromium, *FLAGS, f"--user-data-dir={profile}", *what, (folder / page).as_uri()]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=90).stdout


def noted(dom: str, what: str) -> str:
    """What the spy wrote on the root of the document."""
    found = re.search(rf'<html[^>]* data-{what}="([^"]*)"', dom)
    assert found is not None, f"the page never came to say what it {what}"
    return unescape(found.group(1))


def test_all_four_charts_are_drawn(dom: str) -> None:
    for name in ("x", "x2", "x3", "x4"):
        axis = "y" + name[1:]
        assert f'class="subplot {name}{axis}"' in dom
    lines = len(re.findall(r'class="trace scatter trace', dom))
    # two edges of the band, spot, and of two runs: delta, mark, cost, six accounts; marks of three kinds
    assert lines == 2 + 1 + 2 * (3 + 6) + 3


def test_the_page_asks_nothing_of_the_network(dom: str) -> None:
    assert noted(dom, "asked") == ""
    own = re.sub(r"<script[^>]*>.*?</script>", "", dom, flags=re.S)
    assert re.search(r'(src|href|action|data)="(https?:)?//', own) is None


def test_the_page_throws_nothing_and_breaks_no_rule_of_its_own(dom: str) -> None:
    assert noted(dom, "wrong") == ""


def test_hostile_words_are_text_and_stay_as_they_were_written(dom: str) -> None:
    assert noted(dom, "alerts") == "0"
    for tag in ("title", "h1", 'p class="subtitle"'):
        words = re.search(rf"<{tag}>([^<]*)<", dom)
        assert words is not None
        assert HOSTILE in unescape(words.group(1))
    names = [unescape(words) for words in re.findall(r'class="legendtext"[^>]*>([^<]*)<', dom)]
    assert names.count(NASTY) == 2


def test_hovering_a_hedge_says_what_it_was(dom: str) -> None:
    said = noted(dom, "hovered")
    assert "sell 0.5 ETH on curie" in said
    assert f"pay 100.00 into {HOSTILE}" in said
    assert "landed, cost 3.20 USD" in said


def test_hovering_tells_a_capped_distance_as_it_is(dom: str) -> None:
    assert noted(dom, "distances").count("curie:margin : 146.0%") == 2  # block 60: 1.7 - 60 / 250


def test_the_liquidations_are_marked_in_every_chart(dom: str) -> None:
    assert len(re.findall(r'<path [^>]*data-index="\d+"', dom)) == 2 * 4


def test_the_figures_are_those_of_the_summary(dom: str) -> None:
    rows = re.findall(r'<td data-key="(\w+)">([^<]*)</td><td data-key="\1">([^<]*)</td>', dom)
    assert {key: (kept, left) for key, kept, left in rows} == {
        "liquidations": ("0", "2"),
        "share_of_blocks_in_band": ("99.67%", "35.00%"),
        "max_abs_delta_usd": ("9,258 USD", "25,192 USD"),
        "min_distance_to_liquidation": ("never", "0.00%"),
        "hedges": ("37", "0"),
        "reverted": ("1", "0"),
        "pnl_usd": ("-722.41 USD", "-4,922.90 USD"),
        "gas_usd": ("61.38 USD", "0.00 USD"),
    }
    assert '<td colspan="2" id="doubled">0</td>' in dom


def test_on_a_phone_nothing_is_cut_off(chromium: str, folder: Path) -> None:
    seen = browse(chromium, folder, "frame.html", "--dump-dom")
    assert (noted(seen, "parts"), noted(seen, "cut")) == ("3", "0")


def test_a_picture_of_the_page_shows_the_charts(chromium: str, folder: Path) -> None:
    page = (folder / "report.html").read_text()
    (folder / "bare.html").write_text(re.sub(r"<script[^>]*>.*?</script>", "", page, flags=re.S))
    drawn, bare = (picture(chromium, folder, name) for name in ("report", "bare"))
    assert (int.from_bytes(drawn[16:20], "big"), int.from_bytes(drawn[20:24], "big")) == (1180, 1900)
    assert len(drawn) > 1.5 * len(bare)  # without its charts the same page has less than half the bytes


def picture(chromium: str, folder: Path, name: str) -> bytes:
    """The PNG of a page, left beside it."""
    target = folder / f"{name}.png"
    browse(chromium, folder, f"{name}.html", f"--screenshot={target}")
    png = target.read_bytes()
    assert png.startswith(b"\x89PNG")
    return png
