"""Splitting a delta over venues costs no more than any other split."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from agent.planning.allocation import SLICES, allocate, total_cost_wad
from agent.values.address import MarketId
from agent.values.fixed import WAD


@dataclass(frozen=True)
class QuadraticOffer:
    """A market with a linear fee and an impact that grows with size, like a pool of constant depth."""

    name: str
    fee_bps: int
    depth_wad: int
    max_buy_wad: int
    max_sell_wad: int
    carry_per_day: float = 0.0
    price_wad: int = 2000 * WAD

    @property
    def venue(self) -> str:
        return self.name

    @property
    def market(self) -> MarketId:
        return MarketId(f"{self.name}:0")

    @property
    def asset(self) -> str:
        return "ETH"

    def cost_wad(self, size_wad: int) -> int:
        size = abs(size_wad)
        fee = size * self.price_wad // WAD * self.fee_bps // 10_000
        return fee + size * size // self.depth_wad * self.price_wad // WAD

    def cash_need_wad(self, size_wad: int) -> int:
        return 0

    def margin_need_wad(self, size_wad: int) -> int:
        return 0


offers = st.builds(
    QuadraticOffer,
    name=st.sampled_from(["a", "b", "c"]),
    fee_bps=st.integers(0, 100),
    depth_wad=st.integers(10, 10_000).map(lambda x: x * WAD),
    max_buy_wad=st.integers(0, 50).map(lambda x: x * WAD),
    max_sell_wad=st.integers(0, 50).map(lambda x: x * WAD),
    carry_per_day=st.floats(-5, 5),
)


def _unbounded(_offer: object, _sign: int) -> int:
    return 10**30


@given(st.lists(offers, min_size=1, max_size=3), st.integers(-40, 40).filter(bool))
def test_a_split_adds_up_and_stays_inside_every_venues_room(venues: list[QuadraticOffer], units: int) -> None:
    size = units * WAD
    done = allocate(size, venues, 24.0, _unbounded)
    assert sum(fill.size_wad for fill in done.fills) + done.unfilled_wad == size
    for fill in done.fills:
        assert fill.size_wad * size > 0
        room = fill.offer.max_buy_wad if size > 0 else fill.offer.max_sell_wad
        assert abs(fill.size_wad) <= room
    if done.unfilled_wad:
        room = sum(o.max_buy_wad if size > 0 else o.max_sell_wad for o in venues)
        assert room < abs(size)


@given(st.lists(offers, min_size=2, max_size=2), st.integers(1, 40))
def test_no_grid_split_is_cheaper_by_more_than_one_slice(venues: list[QuadraticOffer], units: int) -> None:
    size = units * WAD
    done = allocate(size, venues, 24.0, _unbounded)
    if done.unfilled_wad:
        return
    ours = sum(fill.cost_wad for fill in done.fills)
    slices = [size * i // SLICES for i in range(SLICES + 1)]
    others = [
        sum(total_cost_wad(o, part, 24.0) for o, part in zip(venues, parts, strict=True) if part)
        for parts in product(slices, repeat=2)
        if sum(parts) == size and all(part <= o.max_buy_wad for o, part in zip(venues, parts, strict=True))
    ]
    # both venues may be cut off inside a slice, so the grid can be beaten but never beats us by more than one
    slack = max(abs(total_cost_wad(o, size // SLICES + 1, 24.0)) for o in venues)
    assert not others or ours <= min(others) + slack


@given(offers, st.integers(1, 40))
def test_capacity_of_the_account_is_respected(venue: QuadraticOffer, units: int) -> None:
    done = allocate(units * WAD, [venue], 24.0, lambda _offer, _sign: 3 * WAD)
    assert sum(fill.size_wad for fill in done.fills) == min(units * WAD, 3 * WAD, venue.max_buy_wad)
