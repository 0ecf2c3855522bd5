"""Every account of Curie's own contracts: found, judged together, followed block by block and back again."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from eth_utils.crypto import keccak

from agent.chain.harvest import birth, harvest
from agent.chain.lens import read_all
from agent.chain.mapping import read_mapping
from agent.chain.rpc import Rpc
from agent.cli.command import run
from agent.errors import ReadUnpinned, RpcRejected
from agent.risk.liquidation import solve_joint, solve_price
from agent.runtime.register import Register
from agent.runtime.scan import Scan, Sighting
from agent.sim.toolchain import Toolchain
from agent.values.address import Address, MarketId
from agent.values.call import Slot
from agent.values.fixed import to_float
from agent.values.log import Filter, Log
from agent.venues.crowd import Sight
from agent.venues.curie import Curie, crowd
from agent.venues.curie.crowd import CurieCrowd, Held
from agent.venues.curie.margin import CurieMargin
from agent.venues.deployments import Deployment
from tests.benchmark.world import deployment_of
from tests.flips.crowd import Errand
from tests.flips.curie_world import USDC, World, world

ACCOUNTS = 40
SEED = 31
EXACT = 1e-9


@dataclass(frozen=True)
class Street:
    """A world and its way to be read. ``people``: everybody who has an account."""

    one: World
    rpc: Rpc
    deployment: Deployment
    venue: CurieCrowd

    @property
    def people(self) -> set[int]:
        return {int(a, 16) for a in (*self.one.people, self.one.maker, self.one.whale)}

    def register(self, path: Path | None = None, rpc: Rpc | None = None) -> Register:
        return Register(rpc or self.rpc, self.venue, 31337, path)

    def scan(self, judged_every: int = 1_000) -> Scan[object]:
        return Scan(self.rpc, self.venue, self.register(), judged_every=judged_every)

    def margins(self, subjects: tuple[int, ...]) -> list[CurieMargin]:
        """By the scalar reader: the slow twin."""
        curie = self.deployment.curie
        assert curie is not None
        block = self.rpc.block()
        readings = [Curie(curie).read(Address(self.venue.account(one)), block) for one in subjects]
        return [state.margin for state in read_all(self.rpc, block, readings)]

    def verdicts(self, subjects: tuple[int, ...]) -> list[tuple[int, int]]:
        """The contract's two numbers, asked one account after the other."""
        house, balance = self.one.curie.clearing_house, self.one.curie.account_balance
        names = [self.venue.account(one) for one in subjects]
        return [
            (
                house.integer("getAccountValue", name),
                balance.integer("getMarginRequirementForLiquidation", name),
            )
            for name in names
        ]


@pytest.fixture(scope="module")
def shared(toolchain: Toolchain) -> Iterator[Street]:
    with world(toolchain, SEED, ACCOUNTS) as one:
        deployment = deployment_of(one)
        assert deployment.curie is not None
        rpc = Rpc(one.node.url, 60.0)
        yield Street(one, rpc, deployment, CurieCrowd(deployment.curie))
        rpc.close()


@pytest.fixture
def street(shared: Street) -> Iterator[Street]:
    snapshot = shared.one.node.snapshot()
    yield shared
    shared.one.node.revert(snapshot)


def _fallen(street: Street, share: float = 0.78, before: float = 1.0) -> None:
    """All markets lower than they began, marks and oracles; ``before``: where the last fall left them."""
    ticks = round(math.log(share / before) / math.log(1.0001))
    for venue in street.one.venues:
        street.one.set_oracle(venue, int(venue.spot_wad * share))
    street.one.push([ticks] * len(street.one.venues))
    street.one.node.warp(2_000)


def _name(street: Street, seen: Sighting, row: int) -> str:
    return street.venue.account(seen.subjects[row])


def _is_near(found: float, wanted: float, slack: float) -> bool:
    return abs(found - wanted) <= slack + EXACT * abs(wanted)


def _agrees(street: Street, seen: Sighting) -> None:
    """Every row of a sighting with the scalar account and its solver, and with the contract."""
    margins = street.margins(seen.subjects)
    told = street.verdicts(seen.subjects)
    for row, (margin, (equity, requirement)) in enumerate(zip(margins, told, strict=True)):
        assert (margin.equity_wad(margin.prices, margin.at_s), margin.requirement_wad(margin.prices, 0)) == (
            equity,
            requirement,
        )
        slack = float(seen.crowd.slack[row])
        assert _is_near(float(seen.equity[row]), to_float(equity), slack)
        assert _is_near(float(seen.requirement[row]), to_float(requirement), slack)
        assert (seen.distance[row] == 0.0) == (equity < requirement), margin
        exposure = max((abs(leg.value_wad(margin.prices[leg.market])) for leg in margin.legs), default=0)
        if exposure < 10**18:
            continue  # of dust the contract's roundings are a noticeable share
        loose = EXACT + 4 * slack / to_float(exposure)
        for flips, exact in (
            (seen.joint, [solve_joint(margin, way) for way in ("down", "up")]),
            (seen.leading, [solve_price(margin, _largest(margin), way) for way in ("down", "up")]),
        ):
            for found, wanted in zip((flips.down[row], flips.up[row]), exact, strict=True):
                assert np.isnan(found) == (wanted is None), (margin, found, wanted)
                if wanted is not None:
                    assert abs(found - wanted.ratio_wad / 1e18) <= loose, (margin, found, wanted)


def _largest(margin: CurieMargin) -> MarketId:
    return max(margin.legs, key=lambda leg: abs(leg.value_wad(margin.prices[leg.market]))).market


def test_every_account_is_found_and_judged_as_the_scalar_model_and_the_contract_do(street: Street) -> None:
    seen = street.scan().look(street.rpc.block())
    assert set(seen.subjects) == street.people
    assert len(seen.order) > ACCOUNTS // 2
    assert (np.diff(seen.distance[seen.order]) >= 0).all()
    assert not len(seen.mistaken)
    _agrees(street, seen)


def test_after_a_fall_those_are_liquidatable_whom_the_contract_would_liquidate(street: Street) -> None:
    watcher = street.scan()
    watcher.look(street.rpc.block())
    _fallen(street)
    seen = watcher.look(street.rpc.block())
    assert len(seen.liquidatable) >= 3
    assert seen.changed < len(seen.subjects)  # only the whale traded
    _agrees(street, seen)


def test_who_is_liquidated_leaves_the_list_at_the_next_block(street: Street) -> None:
    watcher, share, takers = street.scan(), 1.0, []
    house, balance = street.one.curie.clearing_house, street.one.curie.account_balance
    while not takers:  # until somebody is liquidatable who can pay the penalty
        _fallen(street, share - 0.03, share)
        share -= 0.03
        before = watcher.look(street.rpc.block())
        takers = [
            int(row)
            for row in before.liquidatable
            if before.equity[row] > 0.5 * before.requirement[row]
            and not balance.truth("hasOrder", _name(street, before, row))
        ]
    row = takers[0]
    assert row in before.order[: len(before.liquidatable)]
    victim, name = before.subjects[row], _name(street, before, row)
    for venue in street.one.venues * 4:  # at first the contract lets only half of a position be taken
        base = venue.contracts.base.address
        (value, requirement) = street.verdicts((victim,))[0]
        if value < requirement and balance.integer("getTotalPositionSize", name, base):
            (told,) = street.one.crowd.mine([Errand(street.one.whale, house, "liquidate", (name, base))])
            assert told.is_done
    after = watcher.look(street.rpc.block())
    row = after.subjects.index(victim)
    assert row not in after.liquidatable
    assert row not in after.order[after.distance[after.order] == 0.0]
    assert 0 < after.changed < len(after.subjects)
    whole = street.scan().look(street.rpc.block())
    at = [whole.subjects.index(one) for one in after.subjects]
    assert np.allclose(after.equity, whole.equity[at], rtol=1e-12, atol=1e-9)
    assert np.allclose(after.distance, whole.distance[at], rtol=1e-9, equal_nan=True)
    _agrees(street, after)


def test_followed_block_by_block_nothing_is_missed_while_people_trade_and_time_passes(street: Street) -> None:
    one, watcher = street.one, street.scan(judged_every=4)
    watcher.look(street.rpc.block())
    judged = 0
    for step, person in enumerate(one.people[:12]):
        venue = one.venues[step % len(one.venues)]
        one.crowd.mine(
            [
                Errand(one.owner, one.curie.vault, "depositFor", (person, one.usdc.address, 5 * USDC)),
                one.trade(person, venue, (-1) ** step * 10**15),
            ]
        )
        one.node.warp(600)
        seen = watcher.look(street.rpc.block())
        judged += seen.missed is not None
        assert not seen.missed
        assert not len(seen.mistaken)
    assert judged >= 2
    _agrees(street, seen)


def test_a_change_without_an_event_is_noticed_by_the_judge(street: Street) -> None:
    watcher = street.scan(judged_every=1)
    watcher.look(street.rpc.block())
    person = street.one.people[0]
    watcher.held = _forged(watcher.held, watcher.register.subjects.index(int(person, 16)))
    street.one.node.mine()
    assert watcher.look(street.rpc.block()).missed == 1


def _forged(held: object, row: int) -> object:
    stakes = held.stakes.grown(len(held.subjects))  # type: ignore[attr-defined]
    stakes.balance[row] += 1.0
    return type(held)(**{**{n: getattr(held, n) for n in held.__dataclass_fields__}, "stakes": stakes})  # type: ignore[attr-defined]


def test_an_account_that_reverts_spoils_only_itself(street: Street) -> None:
    one = street.one
    token, manager = one.others[0], one.curie.collateral_manager
    holders = {
        int(person, 16)
        for person in one.people
        if one.curie.vault.integer("getBalanceByToken", person, token.address)
    }
    assert 0 < len(holders) < len(one.people)
    config = manager.record("getCollateralConfig", token.address)
    feed = one.chain.at("ChainlinkPriceFeedV2", str(config["priceFeed"]), manager.abi)
    one.node.set_code(feed.address, bytes.fromhex("60006000fd"))  # it reverts, whatever is asked
    one.node.mine()
    seen = street.scan().look(street.rpc.block())
    assert {seen.subjects[row] for row in seen.unreadable} == holders
    assert np.isfinite(seen.equity).sum() == len(seen.subjects) - len(holders)
    assert not set(seen.order.tolist()) & set(seen.unreadable.tolist())


class Narrow(Rpc):
    """A node that tells no more than a few blocks' events at once, and remembers what it was asked."""

    def __init__(self, url: str, most: int) -> None:
        super().__init__(url, 60.0)
        self.most = most
        self.spans: list[int] = []

    def logs(self, wanted: Filter, first: int, last: int) -> list[Log]:
        self.spans.append(last - first + 1)
        if last - first >= self.most:
            raise RpcRejected(
                endpoint=self.endpoint,
                method="eth_getLogs",
                reason="range too wide",
                rpc_code=-32005,
                data=None,
            )
        return super().logs(wanted, first, last)


@pytest.mark.parametrize("most", [1, 7])
def test_ranges_that_a_node_refuses_are_split_without_a_gap(street: Street, most: int) -> None:
    block = street.rpc.block()
    narrow = Narrow(street.one.node.url, most)
    whole = street.rpc.logs(street.venue.events(), 0, block.number)
    sheaves = list(harvest(narrow, street.venue.events(), 0, block.number))
    assert [log for sheaf in sheaves for log in sheaf.logs] == whole
    assert [sheaf.first for sheaf in sheaves] == [0, *(sheaf.last + 1 for sheaf in sheaves[:-1])]
    assert (
        sum(span > most for span in narrow.spans) <= 20
    )  # refused once for each halving, not for each range
    register = street.register(rpc=narrow)
    register.follow(block)
    assert set(register.subjects) == street.people
    narrow.close()


def test_a_single_block_that_is_refused_is_an_error(street: Street) -> None:
    narrow = Narrow(street.one.node.url, 0)
    with pytest.raises(RpcRejected):
        list(harvest(narrow, street.venue.events(), 0, 5))
    narrow.close()


def test_the_first_block_is_found_by_halving(street: Street) -> None:
    home = street.venue.homes[0]
    newest = street.rpc.block().number
    first = birth(street.rpc, home, newest)
    assert street.rpc.code(home, hex(first))
    assert not street.rpc.code(home, hex(first - 1))
    assert birth(street.rpc, Address("0x" + "11" * 20), newest) == newest + 1


def test_a_reorganisation_takes_back_what_it_brought(street: Street) -> None:
    one, watcher = street.one, street.scan()
    known = watcher.look(street.rpc.block())
    snapshot = one.node.snapshot()
    (stranger, other) = one.crowd.people("reorganised", 2)
    old = one.people[3]
    _pay(one, stranger, 7)
    _pay(one, old, 1_000)
    richer = watcher.look(street.rpc.block())
    assert set(richer.subjects) - set(known.subjects) == {int(stranger, 16)}
    one.node.revert(snapshot)
    one.node.warp(77)
    _pay(one, other, 9)
    after = watcher.look(street.rpc.block())
    assert set(after.subjects) - set(known.subjects) == {int(other, 16)}
    assert watcher.register.lost == 1
    _agrees(street, after)


def test_a_block_that_is_no_longer_the_chains_is_not_judged(street: Street) -> None:
    one, watcher = street.one, street.scan()
    snapshot = one.node.snapshot()
    one.node.mine()
    gone = street.rpc.block()
    one.node.revert(snapshot)
    one.node.warp(50)
    with pytest.raises(ReadUnpinned):
        watcher.look(gone)
    assert set(watcher.look(street.rpc.block()).subjects) == street.people


def _pay(one: World, person: Address, amount: int) -> None:
    errand = Errand(one.owner, one.curie.vault, "depositFor", (person, one.usdc.address, amount * USDC))
    one.all_done([errand])


def test_a_second_start_asks_only_for_what_is_new(street: Street, tmp_path: Path) -> None:
    path = tmp_path / "accounts.json"
    first = street.register(path)
    first.follow(street.rpc.block())
    first.keep()
    (stranger,) = street.one.crowd.people("later", 1)
    _pay(street.one, stranger, 3)
    narrow = Narrow(street.one.node.url, 10**6)
    again = street.register(path, narrow)
    again.open()
    assert again.is_resumed
    assert set(again.subjects) == street.people
    again.follow(street.rpc.block())
    assert set(again.subjects) == street.people | {int(stranger, 16)}
    assert sum(narrow.spans) < 10
    narrow.close()


@pytest.mark.parametrize("text", ["", "{", '{"form": 1}', '{"form": 99}', "[]"])
def test_a_cache_that_cannot_be_used_is_begun_anew_and_that_is_said(
    street: Street, tmp_path: Path, text: str
) -> None:
    path = tmp_path / "accounts.json"
    path.write_text(text)
    said: list[str] = []
    register = street.register(path)
    register.say = said.append
    register.open()
    assert not register.is_resumed
    assert any("starting again" in line for line in said)
    register.follow(street.rpc.block())
    register.keep()
    assert set(register.subjects) == street.people
    again = street.register(path)
    again.open()
    assert set(again.subjects) == street.people


def test_a_cache_of_another_chain_is_not_believed(street: Street, tmp_path: Path) -> None:
    path = tmp_path / "accounts.json"
    register = street.register(path)
    register.follow(street.rpc.block())
    register.keep()
    state = json.loads(path.read_text())
    state["marks"] = [[number, "0x" + "ab" * 32] for number, _ in state["marks"]]
    path.write_text(json.dumps(state))
    again = street.register(path)
    again.open()
    assert not again.is_resumed
    assert len(again) == 0


def test_the_command_ranks_them_and_says_so_to_programs(
    street: Street, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "deployment.json"
    place.write_text(street.deployment.model_dump_json())
    table = tmp_path / "all.csv"
    words = ["scan", "--rpc", street.one.node.url, "--deployment", str(place), "--once", "--json"]
    code = run([*words, "--limit", "5", "--below", "0.5", "--cache", str(tmp_path), "--csv", str(table)])
    told = json.loads(capsys.readouterr().out)
    assert code == 0
    seen = street.scan().look(street.rpc.block())
    assert told["accounts"] == len(street.people)
    assert told["below"] == seen.below(0.5)
    assert [row["account"] for row in told["ranking"]] == [
        street.venue.account(seen.subjects[row]) for row in seen.order[:5]
    ]
    assert all(row["is_exact"] for row in told["ranking"])
    assert len(table.read_text().splitlines()) == len(seen.order) + 1
    assert (tmp_path / f"31337-curie-{street.venue.homes[0]}.json").is_file()


@pytest.mark.parametrize(
    ("venue", "reason"), [("uniswap", "nothing on it can be liquidated"), ("x", "curie")]
)
def test_a_venue_without_liquidations_or_without_a_name_is_refused(
    street: Street, tmp_path: Path, capsys: pytest.CaptureFixture[str], venue: str, reason: str
) -> None:
    place = tmp_path / "deployment.json"
    place.write_text(street.deployment.model_dump_json())
    words = ["scan", "--rpc", street.one.node.url, "--deployment", str(place), "--once", "--no-cache"]
    assert run([*words, "--venue", venue]) == 2
    assert reason in capsys.readouterr().err


def _everybody(street: Street) -> Held:
    people = tuple(sorted(street.people))
    sight = Sight(street.rpc, street.rpc.block())
    return street.venue.take(sight, people, None, np.ones(len(people), np.bool_))


def test_words_of_a_mapping_are_the_words_of_its_storage(street: Street) -> None:
    home = street.venue.homes[2]
    keys = [*sorted(street.people), 0, 2**256 - 1]
    block = street.rpc.block()
    found = read_mapping(street.rpc, block, home, crowd.OWED_SLOT, keys).integers(0, 0)
    slots = [keccak(key.to_bytes(32, "big") + crowd.OWED_SLOT.to_bytes(32, "big")) for key in keys]
    words = street.rpc.calls([Slot(home, slot) for slot in slots], block)
    assert found == [int.from_bytes(word.data, "big") for word in words]
    assert any(found)


def test_results_read_from_storage_are_those_of_the_getter(
    street: Street, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = _everybody(street)  # few enough for the getter
    assert np.any(slow.stakes.owed)
    monkeypatch.setattr(crowd, "MANY", 1)
    fast = _everybody(street)
    assert (fast.stakes.owed == slow.stakes.owed).all()
    monkeypatch.setattr(crowd, "OWED_SLOT", crowd.OWED_SLOT + 1)  # another layout
    assert (_everybody(street).stakes.owed == slow.stakes.owed).all()


def test_a_node_without_overrides_is_asked_by_the_getter(
    street: Street, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = _everybody(street)
    monkeypatch.setattr(crowd, "MANY", 1)

    def refuse(*_: object) -> None:
        raise RpcRejected(
            endpoint="", method="eth_call", reason="no overrides here", rpc_code=-32602, data=None
        )

    monkeypatch.setattr(Sight, "mapping", refuse)
    assert (_everybody(street).stakes.owed == slow.stakes.owed).all()


def test_a_cache_that_cannot_be_written_is_told_and_a_table_that_cannot_is_refused(
    street: Street, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "deployment.json"
    place.write_text(street.deployment.model_dump_json())
    words = ["scan", "--rpc", street.one.node.url, "--deployment", str(place), "--once", "--limit", "1"]
    assert run([*words, "--cache", str(place / "no folder")]) == 0
    assert "cannot be written" in capsys.readouterr().err
    assert run([*words, "--no-cache", "--csv", str(tmp_path / "missing" / "all.csv")]) == 2
    assert "--csv" in capsys.readouterr().err
