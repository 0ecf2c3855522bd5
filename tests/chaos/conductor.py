"""The storm: faults in the plan's order, a block after each few, and agents that die and come back."""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from pathlib import Path

from agent.proof.database import Database
from agent.proof.journal import Journal
from agent.values.address import ChainId
from tests.chaos import plan, worker
from tests.chaos.board import NONE, Board, Field
from tests.chaos.plan import KINDS, Where
from tests.chaos.proxy import Proxy
from tests.chaos.worker import BOUNDARIES, POLICY, Post
from tests.chaos.world import World
from tests.chaos.zygote import Zygote
from tests.lane import PASSWORD, Lane

SETTLE_BLOCKS = 60  # after the last fault, for everything that was wanted
FRESH_BLOCKS = 12  # after that, for one more
OPEN_ORDERS = 2  # wanted and not there, at most
TURN_S = 0.3  # longest wait for the agent to have worked on a head
HALTS = (2, 5)  # exit codes after which a service is not started again by itself
KILL_ROUNDS = 25  # patience for a boundary to be crossed
MAIN, OTHER = 0, 1
MOODS = {"signer: out": worker.OUT, "signer: wrong signature": worker.WRONG, "signer: high s": worker.HIGH}


@dataclass
class Result:
    """What became of everything, counted on the chain."""

    seed: int
    plan: str
    by_kind: Counter[str] = field(default_factory=Counter)
    intents: int = 0
    lost: int = 0
    doubled: int = 0
    stranded: int = 0
    operator_actions: int = 0
    seconds: float = 0.0
    restarts: int = 0
    blocks: int = 0
    settled_after: int = 0
    halts: list[str] = field(default_factory=list)

    @property
    def faults(self) -> int:
        return sum(self.by_kind.values())

    @property
    def kept(self) -> bool:
        """Whether every promise was."""
        return not (self.lost or self.doubled or self.stranded or self.operator_actions)

    def as_json(self) -> dict[str, object]:
        return {
            "seed": self.seed,
            "faults": self.faults,
            "by_kind": dict(sorted(self.by_kind.items())),
            "intents": self.intents,
            "lost": self.lost,
            "doubled": self.doubled,
            "stranded": self.stranded,
            "operator_actions": self.operator_actions,
            "seconds": round(self.seconds, 1),
            "plan": self.plan,
            "blocks": self.blocks,
            "restarts": self.restarts,
            "blocks_to_settle": self.settled_after,
            "halts": self.halts,
        }


class Storm:
    """Make the zygote and its boards before the chain's client and the proxy, which have threads."""

    def __init__(
        self, lane: Lane, zygote: Zygote, boards: tuple[Board, Board], seed: int, faults: int
    ) -> None:
        self._world = World(lane)
        self._proxy = Proxy(lane.node.url)
        self._zygote = zygote
        self._boards = boards
        self._dice = random.Random(seed)
        kinds = plan.storm(seed, faults)
        self._waiting = deque(kinds)
        self._faults = faults
        self.result = Result(seed, plan.digest(kinds))
        self._pids: dict[int, int] = {}  # role: process
        self._expected: set[int] = set()  # processes that are meant to end
        self._kill: tuple[str, int] | None = None  # the kind that is armed, and rounds left for it
        self._until: dict[str, int] = {}  # kinds that last for rounds
        self._rounds = 0
        self._folder = lane.folder
        self._posts = [
            Post(
                self._proxy.url,
                str(lane.folder),
                name,
                str(lane.keystore),
                PASSWORD,
                lane.executor.address,
                lane.token.address,
            )
            for name in ("main.db", "other.db")
        ]
        self._tried: Counter[str] = Counter()

    def close(self) -> None:
        self._zygote.close()
        self._proxy.close()

    def run(self, sabotage: int = 0) -> Result:
        """All of it. ``sabotage``: see worker; for the tests of what is counted here."""
        start = time.monotonic()
        for board in self._boards:
            board[Field.SABOTAGE] = sabotage
        self._spawn(MAIN)
        while self._counted() < self._faults and (self._waiting or self._kill):
            self._round()
        self._calm()
        self.result.seconds = time.monotonic() - start
        return self.result

    # --- a round --------------------------------------------------------------------------------------

    def _round(self) -> None:
        self._rounds += 1
        self._want()
        for _ in range(self._dice.randint(3, 8)):
            self._inject()
        self._await_turn()
        self._end_what_lasts()
        self._world.mine()
        self._reap()
        self._say()

    def _want(self) -> None:
        """More orders as the old ones come to be on the chain."""
        for board in self._boards:
            board[Field.FLOOR] = self._boards[MAIN][Field.FLOOR]
        floor, target = self._boards[MAIN][Field.FLOOR], self._boards[MAIN][Field.TARGET]
        held = self._world.held(range(floor, target))
        missing = held.count(0)
        if missing < OPEN_ORDERS:
            for board in self._boards:
                board[Field.TARGET] = target + 1
        # what has been there for longer than a reorganisation reaches need not be looked at again
        done = next((i for i, amount in enumerate(held) if amount == 0), len(held))
        if done > 3 * POLICY.confirm_depth:
            for board in self._boards:
                board[Field.FLOOR] = floor + done - 2 * POLICY.confirm_depth

    def _inject(self) -> None:
        if not self._waiting:
            return
        kind = self._waiting.popleft()
        self._tried[kind] += 1
        if not self._do(kind):
            self._waiting.append(kind)  # not now

    def _do(self, kind: str) -> bool:
        """Whether it could be done. Faults on the way are counted by the proxy, when they are met."""
        where = KINDS[kind]
        if where in (Where.SEND, Where.READ):
            return self._proxy.arm(kind)
        if where is Where.WORLD:
            if self._attempt(kind):
                self.result.by_kind[kind] += 1
                return True
            return False
        if kind.startswith("kill -9"):
            return self._arm_kill(kind)
        return self._trouble(kind)

    def _attempt(self, kind: str) -> bool:
        match kind:
            case "reorg of a success":
                return self._world.reorg(of_success=True)
            case "reorg of a revert":
                return self._world.reorg(of_success=False)
            case "revert on chain":
                return self._world.move_gate()
            case "eviction":
                return self._world.evict()
            case "foreign nonce":
                return self._world.take_nonce()
            case "fee spike":
                return self._world.spike()
            case _:
                return self._world.jump()

    def _arm_kill(self, kind: str) -> bool:
        if kind == "kill -9: anywhere":
            self._zygote_kill(MAIN)
            self.result.by_kind[kind] += 1
            return True
        if self._kill is not None:
            return False
        self._kill = (kind, KILL_ROUNDS)
        self._boards[MAIN][Field.FUSE] = BOUNDARIES.index(kind.removeprefix("kill -9: "))
        return True

    def _trouble(self, kind: str) -> bool:
        board = self._boards[MAIN]
        if kind in self._until or (kind in MOODS and board[Field.MOOD] != worker.WELL):
            return False
        if kind in MOODS:
            board[Field.MOOD] = MOODS[kind]
            self._until[kind] = self._rounds + self._dice.randint(2, 5)
        elif kind == "disk full":
            board[Field.DISK_FULL] = 1
            self._until[kind] = self._rounds + self._dice.randint(1, 3)
        elif kind == "agent clock jump":
            board[Field.CLOCK_S] = self._dice.choice((-86_400, -30, 30, 86_400))
            self._until[kind] = self._rounds + 3
        elif kind == "two agents on one journal":
            pid = self._zygote.spawn(self._posts[MAIN], OTHER)
            self._expected.add(pid)
            self._until[kind] = self._rounds + 2
        else:
            self._spawn(OTHER)
            self._until[kind] = self._rounds + self._dice.randint(4, 9)
        self.result.by_kind[kind] += 1
        return True

    def _end_what_lasts(self) -> None:
        for kind in [kind for kind, until in self._until.items() if until <= self._rounds]:
            self._end(kind)
        if self._kill is not None:
            kind, left = self._kill
            self._kill = (kind, left - 1)
            if left <= 0:  # never crossed: try it again later
                self._boards[MAIN][Field.FUSE] = NONE
                self._kill = None
                self._waiting.append(kind)

    def _end(self, kind: str) -> None:
        board = self._boards[MAIN]
        del self._until[kind]
        if kind in MOODS:
            board[Field.MOOD] = worker.WELL
        elif kind == "disk full":
            board[Field.DISK_FULL] = 0
        elif kind == "agent clock jump":
            board[Field.CLOCK_S] = 0
        elif kind == "two agents on one key":
            self._zygote_kill(OTHER)

    # --- processes ------------------------------------------------------------------------------------

    def _spawn(self, role: int) -> None:
        self._pids[role] = self._zygote.spawn(self._posts[role], role)

    def _zygote_kill(self, role: int) -> None:
        pid = self._pids.get(role)
        if pid is None:
            return
        self._expected.add(pid)
        os.kill(pid, signal.SIGKILL)
        self._pids.pop(role)
        while pid in self._expected:
            self._reap()

    def _reap(self) -> None:
        """Start again what died, as a service manager does."""
        for pid, code in self._zygote.ended().items():
            role = next((role for role, p in self._pids.items() if p == pid), None)
            if pid in self._expected:
                self._expected.discard(pid)
                if role is None and code in (2, -9):
                    if MAIN not in self._pids:
                        self._restart(MAIN)
                    continue
            if code == -9 and self._kill is not None and self._boards[MAIN][Field.FUSE] == NONE:
                self.result.by_kind[self._kill[0]] += 1
                self._kill = None
            elif code in HALTS:
                self.result.operator_actions += 1
                self._note(pid, code)
            else:
                self._note(pid, code)
            if role is not None:
                del self._pids[role]
                self._restart(role)

    def _restart(self, role: int) -> None:
        self.result.restarts += 1
        self._spawn(role)

    def _note(self, pid: int, code: int) -> None:
        for name in ("main.db.halts", "other.db.halts"):
            path = self._folder / name
            if path.exists():
                lines = path.read_text().splitlines()
                self.result.halts = lines[-10:]

    def _await_turn(self) -> None:
        """Until the agent has worked on this head, or cannot."""
        board, head = self._boards[MAIN], self._world.seen_as()
        deadline = time.monotonic() + TURN_S
        while board[Field.SEEN] != head and time.monotonic() < deadline:
            self._reap()
            time.sleep(0.004)
        time.sleep(0.01)

    # --- afterwards -----------------------------------------------------------------------------------

    def _calm(self) -> None:
        """No more faults: what was wanted must come to be, everything must end, and the lane must work."""
        self.result.by_kind.update(self._proxy.hit)
        self._proxy.heal()
        for kind in list(self._until):
            self._end(kind)
        self._boards[MAIN][Field.FUSE] = NONE
        self._kill = None
        self._world.spiking = 0
        for board in self._boards:
            board[Field.FLOOR] = 0
        if OTHER not in self._pids and (self._folder / "other.db").exists():
            self._spawn(OTHER)
        settled = self._settle(SETTLE_BLOCKS)
        self.result.settled_after = settled
        target = self._boards[MAIN][Field.TARGET]
        for board in self._boards:
            board[Field.TARGET] = target + 1
        self._settle(FRESH_BLOCKS)
        orders = range(target + 1)
        held = self._world.held(orders)
        executed = self._world.executed()
        self.result.blocks = self._world.head
        self.result.intents = len(executed)
        self.result.lost = held[:-1].count(0)
        self.result.doubled = sum(amount - 1 for amount in held if amount > 1)
        self.result.doubled += sum(times - 1 for times in executed.values() if times > 1)
        self.result.stranded = self._live() + self._world.pooled() + int(held[-1] == 0)

    def _settle(self, blocks: int) -> int:
        for count in range(blocks):
            self._await_turn()
            self._reap()
            held = self._world.held(range(self._boards[MAIN][Field.TARGET]))
            if 0 not in held and not self._live() and not self._world.pooled():
                return count
            self._world.mine()
        return blocks

    def _live(self) -> int:
        """Errands that have not ended, in any journal."""
        count = 0
        for post in self._posts:
            path = Path(post.folder) / post.journal
            if path.exists():
                with Database(path, time.time, read_only=True) as database:
                    journal = Journal(database)
                    for chain_id, account in journal.lanes():
                        count += len(journal.live(ChainId(chain_id), account))
        return count

    def _counted(self) -> int:
        return self.result.faults + sum(self._proxy.hit.values())

    def _say(self) -> None:
        if sys.stderr.isatty() and self._rounds % 10 == 0:
            text = f"\r{self._counted():>6,} of {self._faults:,} faults, block {self._world.head:,} "
            sys.stderr.write(text)
            sys.stderr.flush()
