"""Greeks as a sum over a book."""

from __future__ import annotations

from dataclasses import astuple, fields

import pytest

from agent.market.instrument import OptionKind
from agent.market.position import Greeks
from agent.pricing import black
from agent.values.fixed import DAY_S

NAMES = [one.name for one in fields(Greeks)]


def test_every_greek_is_added_and_scaled() -> None:
    one, other = Greeks(*range(1, 8)), Greeks(*range(10, 80, 10))
    assert len(NAMES) == 7
    assert astuple(one + other) == tuple(11 * n for n in range(1, 8))
    assert astuple(one.scaled(-2.0)) == tuple(-2.0 * n for n in range(1, 8))
    assert one + Greeks() == one


def test_a_valuation_fills_every_greek() -> None:
    valued = black.value(OptionKind.PUT, 2000.0, 2100.0, 30 * DAY_S, 0.8, 0.05)
    for name in NAMES:
        assert getattr(valued.greeks, name) == float(getattr(valued, name)) != 0
    with pytest.raises(TypeError):
        _ = black.value(OptionKind.PUT, [2000.0, 2100.0], 2100.0, 30 * DAY_S, 0.8, 0.05).greeks
