"""A chain with a keeper we play ourselves, and an agent that can be killed between any two heads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import cast

from agent.assembly import bounds_of, docket_of
from agent.market.snapshot import VenueState
from agent.planning.policy import Policy
from agent.proof.record import Record
from agent.runtime.cycle import Desk, Pass, cycle
from agent.runtime.see import Eye
from agent.sim.artifact import own_artifact
from agent.sim.contract import Chain, Contract
from agent.sim.node import Node
from agent.sim.toolchain import Toolchain
from agent.values.address import Address
from agent.values.amount import Token
from agent.values.fixed import WAD
from agent.venues.venue import Venue
from tests.keeper.market import ASSET, Firm, Late
from tests.lane import CHAIN, SINK, Agent, Lane, running

PRICE_WAD = 2000 * WAD
WAIT_S = 60  # five blocks
FEES = {"late": WAD // 2000, "firm": WAD // 100}  # the keeper's market is cheaper by far
POLICY = Policy(
    band={ASSET: Decimal(1)},
    trigger_share=Decimal("0.15"),
    deadline_s=60,
    naked_limit_usd_s=2_000_000,  # 8 of the asset for two minutes
    keeper_failures=2,
    keeper_rest_blocks=20,
    floor_distance=Decimal("0.01"),
    target_distance=Decimal("0.02"),
    release_distance=Decimal("0.03"),
)


@dataclass
class World:
    """Everything; mines only when told to."""

    lane: Lane
    late: Contract
    firm: Contract
    quote: Contract
    asset: Contract
    policy: Policy = POLICY
    firm_most_wad: int = 1000 * WAD
    passes: list[Pass] = field(default_factory=list)
    _desk: Desk | None = None
    _agent: Agent | None = None
    journal: str = "journal.db"

    @property
    def node(self) -> Node:
        return self.lane.node

    @property
    def account(self) -> Address:
        return self.lane.account

    @property
    def keeper(self) -> str:
        return str(self.node.request("eth_accounts")[2])  # type: ignore[index]

    def start(self) -> None:
        """A process begins, with whatever its journal holds."""
        agent = self.lane.agent(self.journal)
        record = Record(agent.database)
        token = Token(self.quote.address, "USD", 18)
        venues = (
            Late(self.late.address, token, wait_s=WAIT_S),
            Firm(self.firm.address, token, self.firm_most_wad),
        )
        known = cast(tuple[Venue[VenueState], ...], venues)
        eye = Eye(agent.rpc, CHAIN, known, (), {self.asset.address: ASSET}).identified(agent.head())
        agent.sender.recover(agent.head())
        self._agent = agent
        self._desk = Desk(
            self.account,
            eye,
            self.policy,
            bounds_of(self.policy),
            sender=agent.sender,
            recorder=record,
            docket=docket_of(record, self.policy),
        )

    def crash(self) -> None:
        """The process is gone; its journal stays."""
        if self._agent is not None:
            self.lane.agents.remove(self._agent)
            self._agent.close()
        self._desk = self._agent = None

    @property
    def desk(self) -> Desk:
        if self._desk is None:
            self.start()
        assert self._desk is not None
        return self._desk

    def step(self) -> Pass:
        """The agent's pass on the newest head, then a block."""
        done = self.look()
        self.node.mine()
        return done

    def look(self) -> Pass:
        """The agent's pass on the newest head."""
        assert self.desk.sender is not None
        done = cycle(self.desk, self.desk.eye.rpc.block("latest"))
        self.passes.append(done)
        return done

    def settled(self, most: int = 30) -> list[Pass]:
        """Steps until nothing is sent, pending or in flight."""
        began = len(self.passes)
        quiet = 0
        for _ in range(most):
            done = self.step()
            assert self.desk.sender is not None
            is_busy = done.sent or done.pending.requests or done.pending.taken or self.desk.sender.in_flight()
            quiet = 0 if is_busy else quiet + 1
            if quiet == 2:
                return self.passes[began:]
        raise AssertionError("it does not come to rest")

    def waiting(self) -> list[bytes]:
        """What is open at the keeper's market."""
        (found,) = self.late.call("openOf", self.account)
        assert isinstance(found, list | tuple)
        return [bytes(key) for key in found]

    def act(self, function: str, *args: object) -> None:
        """The keeper does something in the next block."""
        self.lane_chain.submit(self.keeper, self.late.address, self.late.encode(function, *args))

    def do(self, function: str, *args: object) -> None:
        """And that block is mined."""
        self.act(function, *args)
        self.node.mine()

    @property
    def lane_chain(self) -> Chain:
        return self.late.chain

    def hold(self, units: float) -> None:
        """So much of the asset is in the wallet: the delta to be hedged."""
        wanted_wad = int(units * WAD)
        change_wad = wanted_wad - self.asset.integer("balanceOf", self.account)
        function, whom = ("mint", self.account) if change_wad > 0 else ("transfer", SINK)
        data = self.asset.encode(function, whom, abs(change_wad))
        self.lane_chain.submit(self.lane.account, self.asset.address, data)
        self.node.mine()

    def sizes(self) -> Mapping[str, float]:
        """Of the positions on both venues, from the chain itself."""
        return {
            name: int(str(contract.call("positions", self.account)[0])) / WAD
            for name, contract in (("late", self.late), ("firm", self.firm))
        }

    def delta(self) -> float:
        """Net, from the chain itself."""
        return self.asset.integer("balanceOf", self.account) / WAD + sum(self.sizes().values())

    def births(self) -> int:
        """How many requests were ever born on the present chain."""
        return len(self.late.logs("Requested", 0))

    def told(self) -> list[str]:
        """The phases in the record, in order."""
        assert self.desk.recorder is not None
        record = self.desk.recorder
        assert isinstance(record, Record)
        entries = record.entries(kinds=("request",))
        return ["gone" if e.payload["gone"] else str(e.payload["phase"]) for e in entries]


@contextmanager
def world(toolchain: Toolchain, folder: Path) -> Iterator[World]:
    """Both markets with margin in them; the account holds five of the asset."""
    with running(toolchain, folder) as lane:
        lane.node.set_automine(on=True)
        chain = lane.executor.chain
        accounts = cast(list[str], lane.node.request("eth_accounts"))
        keeper, me = accounts[2], lane.account
        quote = chain.deploy(me, own_artifact("MintableToken"), "Dollar", "USD", 18)
        asset = chain.deploy(me, own_artifact("MintableToken"), "Ether", "ETH", 18)
        artifact = own_artifact("KeeperMarket")
        markets = {
            name: chain.deploy(keeper, artifact, quote.address, keeper, WAIT_S, PRICE_WAD, fee_wad)
            for name, fee_wad in FEES.items()
        }
        quote.send(me, "mint", me, 200_000 * WAD)
        for market in markets.values():
            quote.send(me, "approve", market.address, 100_000 * WAD)
            market.send(me, "deposit", 100_000 * WAD)
        asset.send(me, "mint", me, 5 * WAD)
        lane.node.set_automine(on=False)
        lane.delegate()
        yield World(lane, markets["late"], markets["firm"], quote, asset)


@contextmanager
def fresh(shared: World, folder: Path, **changes: object) -> Iterator[World]:
    """The same world as it was, for one test."""
    snapshot = shared.node.snapshot()
    own = replace(shared, lane=replace(shared.lane, folder=folder, agents=[]), passes=[], **changes)  # type: ignore[arg-type]
    try:
        yield own
    finally:
        for agent in own.lane.agents:
            agent.close()
        shared.node.request("anvil_dropAllTransactions")
        shared.node.revert(snapshot)
