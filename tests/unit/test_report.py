"""The report is one file that asks nothing of the network and shows what the summary says."""

from __future__ import annotations

import json
import re

import pytest

from agent.dashboard.report import FAR, chart, report_html
from agent.dashboard.series import Series
from agent.dashboard.table import verdict
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


def test_the_page_forbids_itself_the_network() -> None:
    policy = re.search(r'http-equiv="Content-Security-Policy"\s+content="([^"]*)"', page())
    assert policy is not None
    assert "default-src 'none'" in policy.group(1)
    assert "http" not in policy.group(1)


@pytest.mark.parametrize(
    ("count", "words"),
    [(0, "never liquidated"), (1, "liquidated once"), (2, "liquidated twice"), (3, "liquidated 3 times")],
)
def test_the_verdict_counts_in_words(count: int, words: str) -> None:
    assert f"Left alone, the book is {words}." in verdict(
        {"with_agent": SUMMARY["with_agent"], "without_agent": {"liquidations": count}}
    )


def test_an_account_that_no_price_liquidates_has_a_gap_and_a_far_one_is_capped() -> None:
    kept, left = runs()
    lines = [line for line in chart(kept, left).data if line.name == "curie:margin"]
    assert len(lines) == 2
    for line in lines:
        assert set(line.y[:10]) == {None}
        assert line.y[10] == FAR
        assert min(line.y[10:]) < FAR


def test_a_liquidated_account_ends_where_it_was_liquidated() -> None:
    kept, left = runs()
    without, _ = (line for line in chart(kept, left).data if line.name == "lyra:1")
    end = left.liquidations[0].block
    assert None not in without.y[:end]
    assert set(without.y[end:]) == {None}


def test_runs_without_a_single_sample_make_a_page() -> None:
    empty = (Series("with agent", (), (), ()), Series("without agent", (), (), ()))
    assert "Both runs compared" in own_markup(report_html("A book", "seed 7", *empty, SUMMARY))


def test_a_run_survives_json() -> None:
    for run in runs():
        assert Series.from_json(json.loads(json.dumps(run.to_json()))) == run
