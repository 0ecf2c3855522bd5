"""A request is a function of what is told of it since its birth, however often and however it comes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import RequestContradicted
from agent.market.request import OPEN, Phase, Request, canonical
from agent.values.address import Address, BlockHash, MarketId, TxHash
from agent.values.fixed import WAD
from agent.values.log import Log

EMITTER = Address("0x00000000000000000000000000000000000000Ee")
ENDS = set(Phase) - set(OPEN)
STEPS = st.one_of(
    st.tuples(st.just("fill"), st.integers(-30, 30), st.integers(1, 4000)),
    st.tuples(st.just("execute"), st.integers(1, 4000), st.none() | st.integers(-30, 30)),
    st.tuples(st.just("end"), st.just(0), st.just(0)),
    st.tuples(st.just("freeze"), st.just(0), st.just(0)),
    st.tuples(st.just("thaw"), st.just(0), st.just(0)),
    st.tuples(st.just("wait"), st.integers(0, 200), st.just(0)),
)


def born(size: int) -> Request:
    return Request("v", "k", MarketId("v:m"), "ETH", size * WAD, 2000 * WAD, 0, 1_000, 1_100)


def take(request: Request, step: tuple[str, int, int | None]) -> Request:
    kind, first, second = step
    match kind:
        case "fill":
            return request.filled(first * WAD, (second or 0) * WAD)
        case "execute":
            return request.executed(first * WAD, None if second is None else second * WAD)
        case "end":
            return request.ended("so it is")
        case "freeze":
            return request.frozen("cold")
        case "thaw":
            return request.to(Phase.REQUESTED)
        case _:
            return request.at(1_000 + first)


@given(st.integers(-20, 20).filter(bool), st.lists(STEPS, max_size=12))
def test_no_way_leads_out_of_an_end_and_nothing_is_filled_twice(
    size: int, steps: list[tuple[str, int, int | None]]
) -> None:
    request = born(size)
    ended: Request | None = None
    for step in steps:
        try:
            after = take(request, step)
        except RequestContradicted:
            continue  # refused: it stays what it was
        if ended is not None:
            assert after == ended  # only time passes over it
        assert after.phase is request.phase or request.is_open
        assert abs(after.filled_wad) >= abs(request.filled_wad)
        assert after.filled_wad * after.size_wad >= 0
        assert after.pending_wad == (after.size_wad - after.filled_wad if after.is_open else 0)
        if after.is_open:
            assert abs(after.filled_wad) <= abs(after.size_wad)
        if after.phase is Phase.CANCELLED:
            assert after.filled_wad == 0
        if after.phase is Phase.PARTLY:
            assert 0 < abs(after.filled_wad) < abs(after.size_wad)
        if after.phase is Phase.EXECUTED:
            assert after.filled_wad != 0
        request = after
        ended = after if after.phase in ENDS else None


@given(st.lists(st.tuples(st.integers(1, 20), st.integers(1, 4000)), min_size=1, max_size=6))
def test_the_average_price_lies_between_the_fills(fills: list[tuple[int, int]]) -> None:
    request = born(200)
    for size, price in fills:
        request = request.filled(size * WAD, price * WAD)
    prices = [price * WAD for _, price in fills]
    assert min(prices) - len(fills) <= request.fill_price_wad <= max(prices)
    exact = sum(size * price for size, price in fills) * WAD // sum(size for size, _ in fills)
    assert abs(request.fill_price_wad - exact) <= len(fills)


def log(block: int, index: int, fork: int = 0) -> Log:
    hashed = BlockHash(f"0x{fork:032x}{block:032x}")
    data = bytes([block, index])
    return Log(EMITTER, (bytes(32),), data, block, hashed, TxHash(f"0x{block:064x}"), index)


@given(st.data())
def test_events_come_out_once_and_in_order_however_they_came_in(data: st.DataObject) -> None:
    places = data.draw(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 5)), unique=True))
    told = [log(*place) for place in places]
    again = data.draw(st.lists(st.sampled_from(told), max_size=20)) if told else []
    shuffled = data.draw(st.permutations([*told, *again]))
    assert canonical(shuffled) == tuple(log(*place) for place in sorted(places))


def test_events_of_two_forks_are_refused() -> None:
    with pytest.raises(RequestContradicted, match="two blocks 7"):
        canonical([log(7, 0), log(7, 1, fork=1)])


@pytest.mark.parametrize("end", [phase for phase in Phase if phase in ENDS])
@pytest.mark.parametrize("after", list(Phase))
def test_an_end_is_an_end(end: Phase, after: Phase) -> None:
    request = born(2)
    if end is not Phase.CANCELLED:
        request = request.filled(WAD, 2000 * WAD)
    with pytest.raises(RequestContradicted):
        request.to(end).to(after)
