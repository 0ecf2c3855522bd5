"""The report is one file that asks nothing of the network and shows what the summary says."""

from __future__ import annotations

import json
import re

from agent.dashboard.report import report_html
from agent.dashboard.series import Series
from tests.report import HOSTILE, SUMMARY, runs


def page() -> str:
    return report_html("A book", f"seed 7 {HOSTILE}", *runs(), SUMMARY)


def own_markup(html: str) -> str:
    """The page without plotly's own program."""
    return re.sub(r"<script[^>]*>.*?</script>", "", html, flags=re.S)


def test_nothing_is_loaded_from_anywhere() -> None:
    html = page()
    assert re.search(r"<(script|link|img|iframe)[^>]+(src|href)=", html) is None
    assert "@import" not in own_markup(html)


def test_hostile_texts_are_shown_and_not_run() -> None:
    html = page()
    assert HOSTILE not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in own_markup(html)


def test_the_table_has_the_figures_of_the_summary() -> None:
    cells = re.findall(r'<td data-key="(\w+)">([^<]*)</td>', page())
    shown: dict[str, list[str]] = {}
    for key, text in cells:
        shown.setdefault(key, []).append(text)
    assert shown["liquidations"] == ["0", "2"]
    assert shown["share_of_blocks_in_band"] == ["99.67%", "35.00%"]
    assert shown["min_distance_to_liquidation"] == ["never", "0.00%"]
    assert shown["pnl_usd"] == ["-722.41 USD", "-4,922.90 USD"]


def test_a_run_survives_json() -> None:
    for run in runs():
        assert Series.from_json(json.loads(json.dumps(run.to_json()))) == run
