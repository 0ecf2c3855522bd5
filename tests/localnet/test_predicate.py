"""Liquidation prices from `risk` against the contracts' own predicates, a smallest step on either side.

Every account of the book and those of other traders: the real oracles are moved to the price that was
foretold, and the contracts are asked whether they would liquidate there, and a step nearer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from agent.chain.lens import read_one
from agent.chain.rpc import Rpc
from agent.errors import ReadReverted
from agent.market.snapshot import Snapshot, Wallet
from agent.risk.assessment import AccountRisk, assess
from agent.risk.limits import Bounds
from agent.risk.liquidation import DIRECTIONS, TOP, Direction, Flip, solve_price
from agent.sim.localnet import Localnet
from agent.values.address import Address, ChainId
from agent.values.fixed import WAD
from agent.venues.curie import Curie
from agent.venues.curie.state import CurieState
from agent.venues.lyra import Lyra
from agent.venues.lyra.margin import ShortOption
from agent.venues.lyra.state import LyraState
from tests.localnet.test_curie import assert_equals_views, liquidation_refused, push_pool

BLOCK_S = 12
FEED_STEP_WAD = 10**10  # Curie's oracle has 8 decimals, Lyra's 18
BOOK_SHORTS, OTHERS = 3, 5
CURIE_ROLES = ("book", *(f"curie_trader_{n}" for n in range(1, 7)))


@pytest.fixture
def chain(chain: Localnet) -> Iterator[Localnet]:
    """As everywhere, and the node has nothing left to do when it is rolled back."""
    yield chain
    _settle(chain)


def _settle(net: Localnet) -> None:
    """Wait for the node to clear its pool of what it has mined: it does that a little after it answers, by
    sender and nonce, and would clear away the next transaction of a chain that was rolled back meanwhile.
    """
    for _ in range(10_000):
        if net.node.request("txpool_status") == {"pending": "0x0", "queued": "0x0"}:
            return
    raise AssertionError("the node's pool does not empty")


def _revert(net: Localnet, snapshot: str) -> None:
    _settle(net)
    net.node.revert(snapshot)


def _read(net: Localnet, role: str, name: str) -> CurieState | LyraState:
    deployment = net.deployment()
    assert deployment.curie is not None
    assert deployment.lyra is not None
    rpc = Rpc(net.url)
    block, account = rpc.block("latest"), Address(net.roles[role])
    state: CurieState | LyraState
    if name == "curie":
        state = read_one(rpc, block, Curie(deployment.curie).read(account, block))
    else:
        state = read_one(rpc, block, Lyra(deployment.lyra).read(account, block))
    rpc.close()
    return state


def _curie(net: Localnet, role: str) -> CurieState:
    state = _read(net, role, "curie")
    assert isinstance(state, CurieState)
    return state


def _short(net: Localnet, role: str, index: int) -> ShortOption:
    short = _read(net, role, "lyra").margins[index]
    assert isinstance(short, ShortOption)
    return short


def _risks(net: Localnet, role: str) -> dict[str, AccountRisk]:
    """As the judge says it, of both venues at once."""
    rpc = Rpc(net.url)
    block = rpc.block("latest")
    rpc.close()
    states = (_read(net, role, "curie"), _read(net, role, "lyra"))
    snapshot = Snapshot(ChainId(1), Address(net.roles[role]), block, Wallet(0, ()), states)
    return {risk.key: risk for risk in assess(snapshot, Bounds()).accounts}


def _nearer(flip: Flip, step_wad: int) -> int:
    """A step towards the present price."""
    return flip.price_wad + (step_wad if flip.direction == "down" else -step_wad)


# --- Lyra --------------------------------------------------------------------------------------------


def _refusal(net: Localnet, short: ShortOption) -> str:
    """Why the market does not let the liquidator take the position now; "" if it does."""
    liquidator = net.roles["liquidator"]
    try:
        net.lyra.option_market.call("liquidatePosition", short.position_id, liquidator, sender=liquidator)
    except ReadReverted as error:
        return str(error.fields["reason"]).split("(")[0]
    return ""


def _can_liquidate(net: Localnet, short: ShortOption) -> bool:
    """The token's own predicate, of the position as the contract keeps it and the oracle's price now."""
    position = net.lyra.option_token.record("getOptionPosition", short.position_id)
    return net.lyra.option_token.truth(
        "canLiquidate", position, short.expiry_s, short.strike_wad, net.spot_wad()
    )


LYRA_ACCOUNTS = [
    *(("book", index) for index in range(BOOK_SHORTS)),
    *((f"lyra_trader_{number}", 0) for number in range(1, OTHERS + 1)),
]


@pytest.mark.parametrize(("role", "index"), LYRA_ACCOUNTS)
def test_lyra_liquidates_at_the_foretold_price_and_not_a_wei_before(
    chain: Localnet, role: str, index: int
) -> None:
    short = _short(chain, role, index)
    then_s = short.at_s + 2 * BLOCK_S  # a block for each oracle
    flips = [solve_price(short, short.market, way, then_s) for way in DIRECTIONS]
    (flip,) = [flip for flip in flips if flip is not None]
    assert flip.tolerance_wad == 1
    for price_wad, refusal in ((_nearer(flip, 1), "PositionNotLiquidatable"), (flip.price_wad, "")):
        snapshot = chain.node.snapshot()
        chain.set_spot(price_wad)
        assert chain.node.now_s() == then_s
        assert chain.spot_wad() == price_wad
        assert _refusal(chain, short) == refusal
        assert _can_liquidate(chain, short) == (refusal == "")
        risk = _risks(chain, role)[short.key]
        assert (risk.distance == 0.0) == (refusal == "")
        now = risk.down if flip.direction == "down" else risk.up
        assert now is not None
        # Foretold two blocks ago. The contract's own formula flips more than once in its last few hundred wei.
        assert abs(now.price_wad - flip.price_wad) * 10**15 <= flip.price_wad
        _revert(chain, snapshot)


@pytest.mark.parametrize(("role", "index"), LYRA_ACCOUNTS)
def test_lyra_never_liquidates_where_risk_sees_no_price(chain: Localnet, role: str, index: int) -> None:
    short = _short(chain, role, index)
    spot = chain.spot_wad()
    ways = [way for way in DIRECTIONS if solve_price(short, short.market, way) is None]
    (way,) = ways
    for price_wad in (
        (spot * 11 // 10, 3 * spot, spot * TOP // WAD)
        if way == "up"
        else (
            spot * 9 // 10,
            spot // 3,
            spot // 1_000,
        )
    ):
        snapshot = chain.node.snapshot()
        chain.set_spot(price_wad)
        assert not _can_liquidate(chain, short)
        if way == "up" or price_wad > spot // 1_000:
            assert _refusal(chain, short) == "PositionNotLiquidatable"
        _revert(chain, snapshot)


def test_the_judge_says_of_the_book_what_the_solver_says(localnet: Localnet) -> None:
    risks = _risks(localnet, "book")
    shorts = [_short(localnet, "book", index) for index in range(BOOK_SHORTS)]
    assert set(risks) == {"curie:margin", *(short.key for short in shorts)}
    for short in shorts:
        found = (risks[short.key].down, risks[short.key].up)
        assert found == tuple(solve_price(short, short.market, way) for way in DIRECTIONS)
        assert risks[short.key].distance == pytest.approx(0.18, abs=1e-5)  # as the book was placed


# --- Curie -------------------------------------------------------------------------------------------


def _closed_at(net: Localnet, role: str, price_wad: int) -> bool:
    """Whether the contracts find the account under its requirement at a price of any last place; rolled back.

    A closed market is judged at the price it was closed at, by the formulas of an open one.
    """
    account, curie, snapshot = net.roles[role], net.curie, net.node.snapshot()
    curie.base.send(net.roles["owner"], "close", price_wad)
    value = curie.clearing_house.integer("getAccountValue", account)
    is_under = value < curie.account_balance.integer("getMarginRequirementForLiquidation", account)
    state = _curie(net, role)
    assert state.quotes[0].mark_wad == price_wad
    assert state.margin.is_liquidatable(state.margin.prices, state.at_s) == is_under
    _revert(net, snapshot)
    return is_under


@pytest.mark.parametrize("role", CURIE_ROLES)
def test_curies_formulas_flip_at_the_foretold_price_to_the_wei(chain: Localnet, role: str) -> None:
    chain.curie.base.send(chain.roles["owner"], "pause")  # no funding from here on
    state = _curie(chain, role)
    (leg,) = state.margin.legs
    flips = {way: solve_price(state.margin, leg.market, way) for way in DIRECTIONS}
    way: Direction = "down" if leg.size_wad > 0 else "up"
    other: Direction = "up" if way == "down" else "down"
    flip = flips[way]
    assert flip is not None
    assert flip.tolerance_wad == 1
    assert _closed_at(chain, role, flip.price_wad)
    assert not _closed_at(chain, role, _nearer(flip, 1))
    assert flips[other] is None
    mark = state.quotes[0].mark_wad
    for price_wad in (mark * 3 // 2, mark * TOP // WAD) if other == "up" else (mark // 2, 1):
        assert not _closed_at(chain, role, price_wad)


@pytest.mark.parametrize("role", ["book", "curie_trader_1", "curie_trader_2", "curie_trader_4"])
def test_curie_liquidates_at_the_oracles_step_that_reaches_the_foretold_mark(
    chain: Localnet, role: str
) -> None:
    """The pool is pushed past the flip: the mark is then the index and its premium, and goes with the oracle.

    Funding and averages go on meanwhile: what is foretold is said again at the oracle's price nearby.
    """
    account, first = chain.roles[role], _curie(chain, role)
    (leg,) = first.margin.legs
    way: Direction = "down" if leg.size_wad > 0 else "up"
    beyond = _flip_of(first, way).price_wad * (101 if way == "up" else 98) // 100
    push_pool(chain, beyond / chain.spot_wad())
    step = -FEED_STEP_WAD if way == "down" else FEED_STEP_WAD
    price = chain.spot_wad()
    for _ in range(6):
        state, _ = _at_oracle(chain, price, account)
        short_of_it = _flip_of(state, way).price_wad - state.quotes[0].mark_wad
        # the first oracle price from which the mark is at the flip or beyond
        move = -(-short_of_it // step) * step if short_of_it % step else short_of_it
        if move == 0:
            break
        price += move
    price = _first_beyond(price, step, lambda at: _at_oracle(chain, at, account)[1] == "")
    doomed, served = _at_oracle(chain, price, account)
    safe, refused = _at_oracle(chain, price - step, account)
    assert (served, refused) == ("", "CH_EAV")
    assert abs(doomed.quotes[0].mark_wad - safe.quotes[0].mark_wad) == FEED_STEP_WAD
    assert solve_price(doomed.margin, leg.market, way) == _flip_of(doomed, way)
    assert _flip_of(doomed, way).distance == 0.0
    flip = _flip_of(safe, way)
    assert 0 < flip.distance * safe.quotes[0].mark_wad <= 2 * FEED_STEP_WAD
    assert abs(flip.price_wad - safe.quotes[0].mark_wad) <= FEED_STEP_WAD


def _at_oracle(net: Localnet, price_wad: int, account: str) -> tuple[CurieState, str]:
    """The account, and what ``liquidate`` answers, at a block 16 s on with that oracle; then rolled back."""
    snapshot, now_s = net.node.snapshot(), net.node.now_s()
    net.node.set_next_timestamp(now_s + 15)
    net.aggregator.send(net.roles["owner"], "setAnswer", price_wad // FEED_STEP_WAD)
    net.node.set_next_timestamp(now_s + 16)
    net.node.mine()
    seen = assert_equals_views(net, account), liquidation_refused(net, account)
    _revert(net, snapshot)
    return seen


def _flip_of(state: CurieState, way: Direction) -> Flip:
    (leg,) = state.margin.legs
    flip = solve_price(state.margin, leg.market, way)
    assert flip is not None
    return flip


def _first_beyond(price_wad: int, step_wad: int, is_liquidatable: Callable[[int], bool]) -> int:
    """From a price next to the flip: the first, going by ``step_wad``, that is liquidated."""
    for _ in range(4):
        if not is_liquidatable(price_wad):
            price_wad += step_wad
        elif is_liquidatable(price_wad - step_wad):
            price_wad -= step_wad
        else:
            return price_wad
    raise AssertionError(f"the flip is not at {price_wad}")
