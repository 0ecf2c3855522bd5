"""Synthetix V3's perps market as a venue, against its own contracts compiled from their sources."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import pytest

from agent.assembly import eye_of
from agent.chain.lens import read_one
from agent.chain.manner import Means
from agent.chain.rpc import Rpc
from agent.errors import ContractMismatch, DecodeMismatch, PlanInfeasible, TransactionReverted, VenueUnknown
from agent.market.intent import Action, AddCollateral, Order, Reduce, RemoveCollateral, Trade
from agent.market.margin import (
    AccruingAccount,
    CuttableAccount,
    PenalisedAccount,
    ShapedAccount,
    TradableAccount,
)
from agent.risk.assessment import assess
from agent.risk.limits import Bounds
from agent.sim.anvil import Anvil, AnvilOptions
from agent.sim.artifact import own_artifact
from agent.sim.contract import Chain
from agent.sim.deploy import synthetix as deployment
from agent.sim.node import Node
from agent.sim.toolchain import Toolchain
from agent.tx.executor import DELEGATION_PREFIX, Hedge, Intent, encode_hedge
from agent.values.address import ZERO, Address, ChainId, parse_address
from agent.values.fixed import DAY_S, WAD, mul_down, mul_up
from agent.venues.deployments import (
    Deployment,
    SynthetixCollateral,
    SynthetixDeployment,
    SynthetixMarket,
    load,
)
from agent.venues.synthetix import Synthetix
from agent.venues.synthetix.fragment import market_name, synth_name
from agent.venues.synthetix.market import Leg, order_fee
from agent.venues.synthetix.state import SynthetixState
from agent.venues.venue import Settlement
from tests.means import EVERY, install_multicall, reader, same_by

ETH, BTC = 100, 200
ID = 170_141_183_460_469_231_731_687_303_715_884_105_727  # as large as the protocol's own numbers get
FAR_S = 2**40


@dataclass
class Street:
    """A chain with the perps market, and one user who has an account there with two positions."""

    node: Node
    synthetix: deployment.Synthetix
    user: Address
    keeper: Address
    executor: Address
    epochs: int = 0

    @property
    def venue(self) -> Synthetix:
        return Synthetix(self.synthetix.deployment())

    def read(self, account: Address | None = None, venue: Synthetix | None = None) -> SynthetixState:
        rpc = Rpc(self.node.url)
        block = rpc.block("latest")
        state = read_one(rpc, block, (venue or self.venue).read(account or self.user, block))
        rpc.close()
        return state

    def identify(self, venue: Synthetix) -> object:
        rpc = Rpc(self.node.url)
        try:
            return read_one(rpc, rpc.block("latest"), venue.identify())
        finally:
            rpc.close()

    def perform(self, order: Order) -> None:
        """In one transaction of the user's own account, with its checks. Raises TransactionReverted."""
        intent = Intent(ChainId(self.node.chain_id()), self.user, self.epochs)
        hedge = Hedge(intent, FAR_S, order.calls, order.pre, order.post)
        self.synthetix.chain.send(self.user, self.user, encode_hedge(hedge), "hedge")
        self.epochs += 1

    def do(self, action: Action) -> Order:
        order = self.venue.write(self.read(), action, self.user, FAR_S)
        self.perform(order)
        return order

    def settle(self) -> None:
        self.node.warp(deployment.SETTLE_AFTER_S)
        self.synthetix.perps.send(self.keeper, "settleOrder", ID)


@pytest.fixture(scope="module")
def built(toolchain: Toolchain) -> Iterator[Street]:
    with Anvil(toolchain.anvil, AnvilOptions(genesis_s=1_750_000_000)) as node:
        chain = Chain(node)
        owner, user, keeper = (parse_address(a) for a in cast(list[str], node.request("eth_accounts"))[:3])
        synthetix = deployment.deploy(chain, toolchain, owner)
        executor = chain.deploy(owner, own_artifact("HedgeExecutor"), ZERO).address
        synthetix.create_account(user, ID)
        synthetix.deposit(user, ID, 9_000 * WAD)
        synthetix.deposit(user, ID, 3 * WAD + 7, 2)
        synthetix.trade(user, ID, ETH, 21 * WAD + 1)
        synthetix.set_price("BTC", 60_111 * WAD + 3)
        synthetix.trade(user, ID, BTC, -WAD // 3)
        synthetix.core.send(owner, "mintUsd", user, 50_000 * WAD)
        synthetix.perps.send(owner, "updateInterestRate")
        node.warp(3_600 * 7 + 11)
        node.set_code(user, DELEGATION_PREFIX + bytes.fromhex(executor[2:]))
        yield Street(node, synthetix, user, keeper, executor)


@pytest.fixture
def street(built: Street) -> Iterator[Street]:
    """Rolled back when the test ends."""
    snapshot = built.node.snapshot()
    yield replace(built)
    built.node.revert(snapshot)


# --- what it is --------------------------------------------------------------------------------------


def test_the_deployment_is_recognised_and_orders_are_for_keepers(street: Street) -> None:
    (token,) = cast(tuple[object, ...], street.identify(street.venue))
    assert token == street.read().usd_token
    assert street.venue.settlement is Settlement.KEEPER


@pytest.mark.parametrize(
    "field", ["perps_market", "spot_market", "core", "oracle_manager", "account_token", "usd_token"]
)
def test_a_contract_that_is_another_is_refused(street: Street, field: str) -> None:
    record = street.venue.deployment
    other = record.usd_token if field != "usd_token" else record.core
    with pytest.raises(ContractMismatch):
        street.identify(Synthetix(record.model_copy(update={field: other})))


@pytest.mark.parametrize(
    "more",
    [
        {"markets": (SynthetixMarket(id=300, asset="SOL"),)},
        {"collaterals": (SynthetixCollateral(id=9, asset="SOL"),)},
    ],
)
def test_a_number_that_the_market_does_not_have_is_refused(street: Street, more: dict[str, object]) -> None:
    with pytest.raises(ContractMismatch, match=r"number (300|9)"):
        street.identify(Synthetix(street.venue.deployment.model_copy(update=more)))


@pytest.mark.parametrize("left_out", ["markets", "collaterals"])
def test_a_stake_in_what_is_not_configured_stops_everything(street: Street, left_out: str) -> None:
    record: SynthetixDeployment = street.venue.deployment
    fewer = record.model_copy(update={left_out: getattr(record, left_out)[1:]})
    with pytest.raises(ContractMismatch, match="stake in number"):
        street.read(venue=Synthetix(fewer))


# --- what it reads ------------------------------------------------------------------------------------


def test_every_number_is_the_contracts_own(street: Street) -> None:
    state, perps = street.read(), street.synthetix.perps
    block = hex(street.node.block_number())
    (margin,) = state.margins
    perpetuals, (spot,) = state.positions[:2], state.positions[2:]
    assert (spot.size_wad, spot.mark_wad) == (3 * WAD + 7, 2_000 * WAD)
    for position, leg in zip(perpetuals, margin.open_legs, strict=True):
        number = int(leg.market.rpartition(":")[2])
        pnl, funding, size, interest = perps.call("getOpenPosition", ID, number, block=block)
        mark = margin.marks[leg.market]
        accrued = margin.interest.at(margin.at_s)
        assert (position.size_wad, leg.size_wad, mark) == (size, size, perps.integer("indexPrice", number))
        assert leg.pnl(mark, margin.at_s, accrued) == pnl
        assert leg.funding_wad(mark, margin.at_s) == funding != 0
        assert leg.interest_wad(mark, accrued) == interest != 0
        quote = next(quote for quote in state.quotes if quote.market == leg.market)
        assert quote.funding_per_day_wad == perps.call("currentFundingRate", number, block=block)[0]
    assert (
        margin.equity_wad(margin.marks, margin.at_s) == perps.call("getAvailableMargin", ID, block=block)[0]
    )
    assert margin.withdrawable_wad == perps.call("getWithdrawableMargin", ID, block=block)[0]
    initial, maintenance, _ = perps.call("getRequiredMargins", ID, block=block)
    assert (margin.initial_wad(margin.marks), margin.requirement_wad(margin.marks, 0)) == (
        initial,
        maintenance,
    )
    assert [position.key for position in perpetuals] == [
        f"synthetix:{ID}:{ETH}",
        f"synthetix:{ID}:{BTC}",
    ]
    assert set(margin.prices) == {market_name(ETH), market_name(BTC), synth_name(2)}
    assert all(
        isinstance(margin, kind)
        for kind in (ShapedAccount, AccruingAccount, CuttableAccount, TradableAccount, PenalisedAccount)
    )


def test_a_deployment_file_makes_it_part_of_the_book(street: Street, tmp_path: Path) -> None:
    record = Deployment(chain_id=street.node.chain_id(), synthetix=street.venue.deployment)
    (tmp_path / "deployment.json").write_text(record.model_dump_json())
    rpc = Rpc(street.node.url)
    block = rpc.block("latest")
    snapshot = eye_of(rpc, load(tmp_path / "deployment.json"), block).see(street.user, block)
    rpc.close()
    judged = assess(snapshot, Bounds({"ETH": 100.0, "BTC": 100.0}, 0.1))
    (risk,) = judged.accounts
    assert (risk.key, risk.binding) == (f"synthetix:{ID}", "maintenance")
    assert 0.1 < risk.distance < 1
    assert snapshot.wallet.balance_wad(snapshot.margins[0].collateral_token.address) == 50_000 * WAD
    assert [position.key for position in snapshot.positions] == [p.key for p in street.read().positions]


@pytest.mark.parametrize("market_id", [ETH, BTC])
def test_the_offers_fills_and_fees_are_the_contracts_own(street: Street, market_id: int) -> None:
    state, perps = street.read(), street.synthetix.perps
    offer = next(o for o in state.commitments if o.market == market_name(market_id))
    skew = offer.funding.skew_wad
    for size_wad in (1, -1, WAD, -WAD, 7 * WAD + 3, -skew, -skew // 2, -3 * skew, 9_000 * WAD, -9_001 * WAD):
        fee, fill = perps.call("computeOrderFees", market_id, size_wad)
        assert offer.fill_wad(size_wad) == fill
        assert order_fee(skew, size_wad, offer.fill_wad(size_wad), offer.fees) == fee
    reward = perps.integer("getSettlementRewardCost", market_id, 0)
    assert offer.settlement_wad == reward > 0


@pytest.mark.parametrize("means", EVERY, ids=lambda means: means.value)
def test_the_state_is_the_same_by_every_means_of_reading(street: Street, means: Means) -> None:
    install_multicall(street.node)
    part, venue = reader(street.node.url, means), street.venue
    block = part.rpc.block("latest")
    readings = [(venue.identify(), venue.identify())]
    readings += [(venue.read(one, block), venue.read(one, block)) for one in (street.user, street.keeper)]
    assert same_by(part, block, readings)
    assert part.manner.means is means


def test_an_address_without_an_account_reads_as_empty(street: Street) -> None:
    state = street.read(street.keeper)
    assert (state.margins, state.positions, state.offers, state.commitments) == ((), (), (), ())
    with pytest.raises(PlanInfeasible, match="without an account"):
        street.venue.write(state, Trade("synthetix", market_name(ETH), WAD, WAD), street.keeper, FAR_S)


def test_a_reading_that_the_contracts_own_margins_deny_is_refused(
    street: Street, monkeypatch: pytest.MonkeyPatch
) -> None:
    maintenance = Leg.maintenance
    monkeypatch.setattr(Leg, "maintenance", lambda leg, price_wad: maintenance(leg, price_wad) + 1)
    with pytest.raises(DecodeMismatch, match="getRequiredMargins"):
        street.read()


# --- what it judges ----------------------------------------------------------------------------------------


def test_a_flagged_account_is_liquidatable_until_nothing_of_it_is_left(street: Street) -> None:
    synthetix = street.synthetix
    huge = 100_000 * WAD  # more than one window of liquidations takes
    synthetix.deposit(street.user, ID, 60_000_000 * WAD)
    synthetix.core.send(synthetix.owner, "setCredit", deployment.PERPS_ID, 10**12 * WAD)
    synthetix.trade(street.user, ID, ETH, huge)
    synthetix.set_price("ETH", 1_650 * WAD)
    synthetix.perps.send(street.keeper, "liquidate", ID)
    (margin,) = street.read().margins
    assert margin.is_flagged
    assert margin.is_liquidatable({**margin.prices, market_name(ETH): 5_000 * WAD}, margin.at_s)
    assert (margin.usd_wad, margin.collaterals, margin.removable_wad) == (0, (), 0)
    assert margin.size_wad(market_name(ETH)) > 0
    with pytest.raises(PlanInfeasible, match="being liquidated"):
        street.venue.write(street.read(), AddCollateral("synthetix", margin.key, WAD), street.user, FAR_S)


# --- what it writes --------------------------------------------------------------------------------------


def test_collateral_goes_in_and_all_that_is_removable_comes_out(street: Street) -> None:
    before = street.read().margins[0]
    street.do(AddCollateral("synthetix", before.key, 1_234 * WAD + 5))
    (after,) = street.read().margins
    assert after.usd_wad == before.usd_wad + 1_234 * WAD + 5
    assert after.equity_wad(before.marks, before.at_s) == before.funded(1_234 * WAD + 5).equity_wad(
        before.marks, before.at_s
    )
    state = street.read()
    free = state.margins[0].removable_wad - WAD  # funding runs on until the next block
    assert 0 < free < after.usd_wad
    wallet = street.synthetix.usd.integer("balanceOf", street.user)
    street.do(RemoveCollateral("synthetix", before.key, free))
    assert street.synthetix.usd.integer("balanceOf", street.user) == wallet + free
    with pytest.raises(PlanInfeasible, match="are free"):
        street.do(RemoveCollateral("synthetix", before.key, free))
    with pytest.raises(TransactionReverted):  # the contract says the same
        street.synthetix.perps.send(street.user, "modifyCollateral", ID, 0, -2 * WAD)


@pytest.mark.parametrize("size_wad", [WAD * 5 // 2, -7 * WAD, -30 * WAD])
def test_an_order_costs_what_the_offer_says_and_the_account_is_as_foretold(
    street: Street, size_wad: int
) -> None:
    state = street.read()
    offer = next(o for o in state.commitments if o.market == market_name(ETH))
    cost, before = offer.cost_wad(size_wad), state.margins[0]
    slack = WAD if size_wad > 0 else -WAD
    limit = offer.price_wad + cost * WAD // size_wad + slack
    order = street.do(Trade("synthetix", offer.market, size_wad, limit))
    assert order.post[0].lower == order.post[0].upper == size_wad
    pending = street.read()
    assert [(o.size_wad, o.market) for o in pending.orders] == [(size_wad, offer.market)]
    assert (pending.margins[0].removable_wad, pending.commitments) == (0, ())
    for action in (AddCollateral("synthetix", before.key, WAD), Trade("synthetix", offer.market, WAD, limit)):
        with pytest.raises(PlanInfeasible, match="waits for a keeper"):
            street.venue.write(pending, action, street.user, FAR_S)
    street.settle()
    (after,) = street.read().margins
    assert after.size_wad(offer.market) == before.size_wad(offer.market) + size_wad
    foretold = before.traded(offer.market, size_wad, offer.price_wad + cost * WAD // size_wad)
    gained = mul_down(
        abs(size_wad), max(0, (offer.price_wad - offer.fill_wad(size_wad)) * (1 if size_wad > 0 else -1))
    )
    equity = foretold.equity_wad(before.marks, after.at_s)
    # a discount is counted as none; the rest is a few seconds of funding at another skew
    assert abs(after.equity_wad(before.marks, after.at_s) - equity - gained) < WAD // 100
    assert foretold.requirement_wad(before.marks, 0) == after.requirement_wad(before.marks, 0)
    assert abs(foretold.usd_wad - after.usd_wad) < 50 * WAD


@pytest.mark.parametrize("size_wad", [WAD, -WAD])
def test_an_order_is_not_filled_beyond_its_limit(street: Street, size_wad: int) -> None:
    state = street.read()
    offer = next(o for o in state.commitments if o.market == market_name(ETH))
    limit = offer.price_wad + offer.cost_wad(size_wad) * WAD // size_wad
    worse = limit - WAD if size_wad > 0 else limit + WAD
    street.do(Trade("synthetix", offer.market, size_wad, worse))
    with pytest.raises(TransactionReverted, match="AcceptablePriceExceeded"):
        street.settle()


@pytest.mark.parametrize("market_id", [ETH, BTC])
def test_a_position_is_reduced_and_never_turned(street: Street, market_id: int) -> None:
    state = street.read()
    key = f"synthetix:{ID}:{market_id}"
    margin, leg = state.holding(key)
    worth = mul_up(abs(leg.size_wad), margin.marks[leg.market])
    street.do(Reduce("synthetix", key, abs(leg.size_wad) * 2, worth * 102 // 100))
    street.settle()
    assert street.read().margins[0].size_wad(leg.market) == 0
    with pytest.raises(VenueUnknown):
        street.read().holding(key)


def test_the_postcondition_notices_an_account_below_its_maintenance(street: Street) -> None:
    state = street.read()
    order = street.venue.write(
        state, RemoveCollateral("synthetix", state.margins[0].key, 100 * WAD), street.user, FAR_S
    )
    street.perform(replace(order, calls=()))
    street.synthetix.set_price("ETH", 1_400 * WAD)
    with pytest.raises(TransactionReverted):
        street.perform(replace(order, calls=()))


def test_an_order_nobody_filled_is_gone_when_its_window_is_over(street: Street) -> None:
    market = market_name(ETH)
    street.do(Trade("synthetix", market, WAD, 3_000 * WAD))
    street.node.warp(deployment.SETTLE_AFTER_S + deployment.SETTLE_WITHIN_S + DAY_S)
    state = street.read()
    assert state.orders == ()
    street.do(AddCollateral("synthetix", state.margins[0].key, WAD))


def test_what_synthetix_does_not_have_is_refused(street: Street) -> None:
    state, venue = street.read(), street.venue
    for action in (
        Trade("synthetix", market_name(300), WAD, WAD),
        AddCollateral("synthetix", "synthetix:8", WAD),
        Reduce("synthetix", "synthetix:8:100", WAD, WAD),
    ):
        with pytest.raises(VenueUnknown):
            venue.write(state, action, street.user, FAR_S)
    for nothing in (
        Trade("synthetix", market_name(ETH), 0, WAD),
        Trade("synthetix", market_name(ETH), 10**12, 2_000 * WAD),  # the keeper's reward is more
        AddCollateral("synthetix", state.margins[0].key, 0),
        Reduce("synthetix", state.positions[0].key, 0, WAD),
    ):
        with pytest.raises(PlanInfeasible):
            venue.write(state, nothing, street.user, FAR_S)
