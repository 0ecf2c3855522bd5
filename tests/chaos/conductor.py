"""One act: a chain, an agent that is restarted whenever it ends, and faults on top of each other.

Everything goes block by block: the agent gets one cycle, then a block is mined. Now and then the weather
clears, and within SETTLE_BLOCKS everything wanted must be on chain and nothing left over.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

from tests.chaos.audit import audit
from tests.chaos.fault import RARE_COMMITS, Fault, plan
from tests.chaos.fleet import Fleet, Json, Life
from tests.chaos.proxy import Proxy
from tests.chaos.script import Script, begin
from tests.chaos.tally import Tally
from tests.chaos.worker import Place
from tests.chaos.world import CALM_FEE_WEI, CHAIN_ID, DEEP, World, running

SETTLE_BLOCKS = 40
CHECKPOINT, CALM_AFTER = 60, 80  # faults and blocks between two spells of calm
LAYOUTS = ((2, False), (1, False), (1, True))  # public endpoints, and whether there is a private one
ROOM = {"fault": 3, "kill": 5, "rare kill": 16}  # scripts at a time; kills wait until their place comes up
PATIENCE = {"fault": 60, "kill": 60, "rare kill": 400}  # blocks a script is given to meet the agent
OUTSTANDING = 2  # marks wanted at a time
URGENCIES = ("housekeeping", "normal", "normal", "rescue")
RPC_TIMEOUT_S = 0.5
NEEDS_A_PERSON = (2, 5)  # exit codes after which the unit in deploy/ does not start it again
BUILT_BY_US = 0.4  # share of blocks by the builder whom the private endpoint serves
MAX_STEPS_PER_FAULT = 12
RESTARTS = 8  # in a row, in calm weather: then a person would be needed


@dataclass
class Begun:
    """A script on the stage, since which step."""

    fault: Fault
    script: Script
    since: int


class Act:
    """The stage and its conductor."""

    def __init__(
        self, world: World, fleet: Fleet, folder: Path, seed: int, act: int, sabotage: str = ""
    ) -> None:
        self.world = world
        self.fleet = fleet
        public, has_relay = LAYOUTS[act % len(LAYOUTS)]
        self.proxies = [Proxy(world.node.url) for _ in range(public)]
        self.relays = [Proxy(world.node.url, is_relay=True)] if has_relay else []
        self.place = Place(
            tuple(proxy.url for proxy in self.proxies),
            "".join(relay.url for relay in self.relays),
            str(folder / "journal.db"),
            str(world.keystore),
            world.executor.address,
            world.token.address,
            world.gate.address,
            world.keeper,
            CHAIN_ID,
            RPC_TIMEOUT_S,
            sabotage,
        )
        self.second_place = replace(self.place, journal=str(folder / "second.db"))
        self.has_second = False
        self.main: Life | None = None
        self.second: Life | None = None
        self.last: Json = {}
        self.second_last: Json = {}
        self.kills: dict[int, dict[str, str]] = {}
        self.fired: set[int] = set()
        self.held: set[str] = set()
        self.mood = self.disk = ""
        self.wall_s = 0
        self.fuse_ms: int | None = None
        self.troubles: list[str] = []
        self.tally = Tally()
        self._serial = count(1)
        self._dice = random.Random(f"{seed}.{act}.work")
        self._plan: Iterator[Fault] = plan(seed, act)
        self._next: Fault | None = None
        self._running: list[Begun] = []
        self._wanted: list[tuple[int, str]] = []  # everything, ever
        self._window: list[tuple[int, str]] = []  # what could still be undone, or is not done
        self._done_at: dict[int, int] = {}
        self._step = 0
        self._failed_starts = 0

    # --- what scripts may ask for ----------------------------------------------------------------------

    def serial(self) -> int:
        return next(self._serial)

    def raws(self) -> dict[str, str]:
        return {
            tx_hash: raw for proxy in [*self.proxies, *self.relays] for tx_hash, raw in proxy.raws.items()
        }

    def order(self) -> Json:
        """A wake-up in calm weather."""
        return {"now_s": self.world.node.now_s() + 1, "wanted": self._window}

    # --- the storm -------------------------------------------------------------------------------------

    def run(self, faults: int, told: Callable[[int], None] = lambda _: None) -> Tally:
        """Inject ``faults``, then let it settle and count."""
        self._warm_up()
        faults_at, step_at = CHECKPOINT, CALM_AFTER
        limit = faults * MAX_STEPS_PER_FAULT + 200
        while self.tally.faults < faults and self._step < limit:
            self._arm()
            self._block()
            told(self.tally.faults)
            if self.tally.faults >= faults_at or self._step >= step_at:
                if not self._settle():
                    break
                faults_at, step_at = self.tally.faults + CHECKPOINT, self._step + CALM_AFTER
        if self.tally.faults < faults:
            self.troubles.append(f"only {self.tally.faults} of {faults} faults met the agent")
        if self._settle():
            self._want(force=True)  # the lane must still take a fresh one
            self._settle()
        self._judge()
        return self.tally

    def close(self) -> None:
        for proxy in [*self.proxies, *self.relays]:
            proxy.close()

    def _warm_up(self) -> None:
        for _ in range(6):
            self._block()

    def _arm(self) -> None:
        """Take faults from the plan while there is room for them."""
        while True:
            fault = self._next or next(self._plan)
            self._next = None
            sort = _sort(fault)
            if sum(_sort(begun.fault) == sort for begun in self._running) < ROOM[sort]:
                self._begin(fault)
            elif sort != "rare kill":  # those wait for long: one more of them is left out
                self._next = fault
                return

    def _begin(self, fault: Fault) -> None:
        script = begin(self, fault)
        next(script)
        self._running.append(Begun(fault, script, self._step))

    def _cue(self, phase: str) -> None:
        """Go on with every script."""
        for begun in list(self._running):
            try:
                begun.script.send(phase)
            except StopIteration as done:
                self._running.remove(begun)
                if done.value:
                    self._count(begun.fault)
                continue
            if self._step - begun.since > PATIENCE[_sort(begun.fault)]:
                begun.script.close()
                self._running.remove(begun)

    def _count(self, fault: Fault) -> None:
        self.tally.faults += 1
        self.tally.by_kind[fault.kind] += 1
        if fault.kind == "kill at a commit":
            self.tally.kills[f"{fault.detail['side']} {fault.detail['at']}"] += 1

    def _block(self) -> None:
        """One cycle of the agent, one block."""
        self._step += 1
        self._want()
        self._cue("wake")
        self._wake()
        self._cue("mine")
        if "gate" not in self.held:
            self.world.open_gate()
        before = set(self.world.pool()) if self.relays else set()
        for relay in self.relays:
            if self._dice.random() < BUILT_BY_US:
                self.world.offer(relay.kept[-2:])
        self.world.mine()
        if self.relays:
            self.world.forget(set(self.world.pool()) - before)
        self._tell_views()
        self._cue("mined")
        self._tell_views()

    def _tell_views(self) -> None:
        for proxy in self.proxies:
            if proxy.view is not None:
                proxy.view.head = self.world.node.block_number()

    # --- the agent's processes ---------------------------------------------------------------------------

    def _wake(self) -> None:
        if self.main is None or self.main.is_over:
            if self.main is not None:
                self.main.close()
            self.main = self.fleet.start(self.place)
            self.tally.starts += 1
        order = self.order()
        order["now_s"] = int(str(order["now_s"])) + self.wall_s
        kills = list(self.kills.values())
        self.main.wake(order | {"kills": kills, "signer": self.mood, "disk": self.disk})
        if self.second is not None:
            self.has_second = True
            self.second.wake(self.order())
        fuse = threading.Timer((self.fuse_ms or 0) / 1000, self.main.kill)
        if self.fuse_ms is not None:
            fuse.start()
        self.last = self._heard(self.main.answer(), expected_death=self.fuse_ms is not None)
        fuse.cancel()
        if self.second is not None:
            self.second_last = self._heard(self.second.answer(), expected_death=False)
            if self.second.is_over:
                self.second.close()
                self.second = self.fleet.start(self.second_place)

    def _heard(self, told: Json, *, expected_death: bool) -> Json:
        if "killed" in told:
            self.fired.add(int(str(told["killed"])))
        elif told.get("hung"):
            self.tally.operator_actions += 1
            self.troubles.append("a cycle never ended")
        elif told.get("died") and not expected_death:
            self.tally.crashes += 1
            self.troubles.append(f"the process ended without a word: {told}")
        if told.get("ended"):
            self.tally.halts[str(told["ended"])] += 1
        if told.get("code") in NEEDS_A_PERSON:
            self.tally.operator_actions += 1
            self.troubles.append(f"it halted for a person: {told}")
        if told.get("ended") == "crash":
            self.tally.crashes += 1
            self.troubles.append(f"crash: {told['error']}\n{told['trace']}")
        return told

    # --- the work --------------------------------------------------------------------------------------

    def _want(self, *, force: bool = False) -> None:
        """Ask for a mark now and then; what is done and deep is not asked for any more."""
        head = self.world.node.block_number()
        marks = self.world.marks([item for item, _ in self._window])
        for item, number in marks.items():
            if number == 0:
                self._done_at.pop(item, None)
            else:
                self._done_at.setdefault(item, head)
        self._window = [w for w in self._window if head - self._done_at.get(w[0], head) <= DEEP]
        missing = [w for w in self._window if w[0] not in self._done_at]
        if force or (self._running and len(missing) < OUTSTANDING and self._dice.random() < 0.7):
            new = (len(self._wanted) + 1, self._dice.choice(URGENCIES))
            self._wanted.append(new)
            self._window.append(new)

    # --- calm ------------------------------------------------------------------------------------------

    def _settle(self) -> bool:
        """No more faults: everything wanted is done and nothing is left within SETTLE_BLOCKS.

        Kills that wait for their place wait through the calm.
        """
        waiting = [begun for begun in self._running if _sort(begun.fault) != "fault"]
        for begun in self._running:
            if begun not in waiting:
                begun.script.close()
        self._running, self._next = [], None
        kills, self.kills = self.kills, {}
        self.world.fee_wei = CALM_FEE_WEI
        is_settled = self._calm()  # alone: nobody else clears up after it
        if is_settled and self.has_second:
            self.second = self.fleet.start(self.second_place)
            is_settled = self._calm()
            self.second.close()
        self.second, self.second_last = None, {}
        self._running, self.kills = waiting, kills
        return is_settled

    def _calm(self) -> bool:
        starts = self.tally.starts
        for blocks in range(SETTLE_BLOCKS + 1):
            self._block()
            if self._is_settled():
                self.tally.settle_blocks.append(blocks)
                return True
            if self.tally.starts - starts > RESTARTS:
                self.tally.operator_actions += 1
                self.troubles.append(f"it does not stay up in calm weather: {self.last}")
                break
        left = sum(max(int(str(told.get("open", 0))), 0) for told in (self.last, self.second_last))
        missing = [item for item, _ in self._window if item not in self._done_at]
        pool = self.world.pool()
        self.tally.stranded += max(left + len(pool), 1)
        self.troubles.append(
            f"not settled after {SETTLE_BLOCKS} blocks at block {self.world.node.block_number()}: "
            f"{left} errands, {len(pool)} in the pool, missing {missing}, it says {self.last}"
        )
        return False

    def _is_settled(self) -> bool:
        told = [self.last] + ([self.second_last] if self.second is not None else [])
        if any(t.get("open") != 0 or t.get("error") for t in told) or self.world.pool():
            return False
        marks = self.world.marks([item for item, _ in self._window])
        return all(marks.values())

    def _judge(self) -> None:
        """The truth, from the chain alone."""
        items = [item for item, _ in self._wanted]
        marks = self.world.marks(items)
        executions = self.world.executions()
        self.tally.wanted = len(items)
        self.tally.intents = len(executions)
        self.tally.blocks = self.world.node.block_number()
        self.tally.lost = sum(number == 0 for number in marks.values())
        by_item = sum(number > 1 for number in marks.values())
        by_intent = sum(number > 1 for number in executions.values())
        self.tally.doubled = max(by_item, by_intent)
        if sum(marks.values()) != sum(executions.values()):
            self.troubles.append(
                f"{sum(marks.values())} marks on chain, but {sum(executions.values())} executions"
            )
        paths = [Path(self.place.journal), *([Path(self.second_place.journal)] if self.has_second else [])]
        if not self.place.sabotage:
            self.troubles += audit(paths, self.raws(), executions)
        self.tally.troubles = self.troubles


def _sort(fault: Fault) -> str:
    """What it shares room and patience with."""
    if fault.kind != "kill at a commit":
        return "fault"
    return "rare kill" if fault.detail["at"] in RARE_COMMITS else "kill"


def act(
    anvil: Path,
    folder: Path,
    seed: int,
    number: int,
    faults: int,
    told: Callable[[int], None] = lambda _: None,
    sabotage: str = "",
) -> Tally:
    """A whole act on a chain of its own."""
    with running(anvil, folder) as world, Fleet() as fleet:
        stage = Act(world, fleet, folder, seed, number, sabotage)
        try:
            return stage.run(faults, told)
        finally:
            stage.close()
