"""How each fault is brought about: one short script per kind, run beside others.

A script is a generator that is resumed three times per block: at "wake" (before the agent's cycle), at "mine"
(after it, before the block) and at "mined". It returns whether the fault really met the agent.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Protocol

from tests.chaos.fault import READS, Fault
from tests.chaos.fleet import Fleet, Json, Life
from tests.chaos.proxy import Proxy, Rule, View
from tests.chaos.worker import Place
from tests.chaos.world import CALM_FEE_WEI, GWEI, World

Script = Generator[None, str, bool]
LATE_S = 0.12  # well within the agent's time-out


class Stage(Protocol):
    """What a script may touch."""

    world: World
    fleet: Fleet
    proxies: list[Proxy]
    relays: list[Proxy]
    place: Place
    second_place: Place
    main: Life | None
    second: Life | None
    last: Json  # what the agent said at the end of its last cycle
    second_last: Json
    kills: dict[int, dict[str, str]]
    fired: set[int]
    held: set[str]
    mood: str
    disk: str
    wall_s: int
    fuse_ms: int | None
    troubles: list[str]

    def serial(self) -> int: ...

    def raws(self) -> dict[str, str]: ...

    def order(self) -> Json: ...


def until(phase: str) -> Generator[None, str, None]:
    while (yield) != phase:
        pass


def after(phase: str, count: int) -> Generator[None, str, None]:
    for _ in range(count):
        yield from until(phase)


@contextmanager
def _holding(stage: Stage, thing: str) -> Iterator[None]:
    stage.held.add(thing)
    try:
        yield
    finally:
        stage.held.discard(thing)


def _free(stage: Stage, thing: str) -> Generator[None, str, None]:
    while thing in stage.held:
        yield


# --- the network -----------------------------------------------------------------------------------


def network(stage: Stage, fault: Fault) -> Script:
    detail = fault.detail
    method = str(detail["method"])
    delay_s = stage.place.timeout_s + 0.1 if fault.kind == "reply after the time-out" else LATE_S
    model = Rule(
        fault.kind,
        method,
        words=str(detail.get("words", "")),
        code=int(detail.get("code", -32000)),
        status=429 if fault.kind == "429" else int(detail.get("status", 0)),
        retry_after=str(detail.get("retry_after", "")),
        delay_s=delay_s,
        times=int(detail.get("times", 1)),
    )
    both = detail["scope"] == "all" and method not in READS
    hit = [*stage.proxies, *stage.relays] if both else stage.proxies[:1]
    rules = [(proxy, replace(model)) for proxy in hit]
    for proxy, rule in rules:
        proxy.add(rule)
    try:
        while not any(rule.met for _, rule in rules):
            yield
        if model.times > 1:
            yield from until("mined")
        return True
    finally:
        for proxy, rule in rules:
            proxy.remove(rule)


def other_view(stage: Stage, fault: Fault) -> Script:
    """The node that is read from falls behind, or follows blocks of its own."""
    yield from _free(stage, "view")
    with _holding(stage, "view"):
        yield from until("wake")
        head = stage.world.node.block_number()
        is_fork = fault.kind == "disagreeing node"
        number = max(head - int(fault.detail["depth"]), 0)
        view = View(number, head, fork=is_fork, shift=int(fault.detail.get("shift", 0)))
        stage.proxies[0].view = view
        try:
            yield from after("mined", int(fault.detail["for"]))
            return view.met > 0
        finally:
            stage.proxies[0].view = None


# --- the chain -------------------------------------------------------------------------------------


def reorg_of_success(stage: Stage, fault: Fault) -> Script:
    depth = int(fault.detail["depth"])
    while True:
        yield from until("mined")
        if any(m.executed for m in stage.world.mined(stage.world.node.block_number() - depth + 1)):
            stage.world.reorganise(depth, str(fault.detail["fate"]), stage.raws())
            return True


def revert(stage: Stage, fault: Fault) -> Script:
    """The gate shuts ahead of a hedge that was simulated with it open."""
    yield from _free(stage, "gate")
    with _holding(stage, "gate"):
        while True:
            yield from until("mine")
            if not stage.world.pool() or stage.world.is_shut():
                stage.world.open_gate()
                continue
            stage.world.shut_gate()
            yield from until("mined")
            if any(not m.succeeded for m in stage.world.recent(1)):
                return True


def reorg_of_revert(stage: Stage, fault: Fault) -> Script:
    depth = int(fault.detail["depth"])
    yield from revert(stage, fault)
    for _ in range(depth - 1):
        yield from until("mine")
        stage.world.open_gate()
        yield from until("mined")
    if all(m.succeeded for m in stage.world.recent(depth)):
        return False  # something else took it away already
    stage.world.reorganise(depth, str(fault.detail["fate"]), stage.raws())
    return True


def eviction(stage: Stage, fault: Fault) -> Script:
    while True:
        yield from until("mine")
        if "pool" not in stage.held and (hashes := stage.world.evict()):
            break
    back = int(fault.detail["return"])
    if back:
        yield from after("mined", back)
        stage.world.offer([stage.raws()[h] for h in hashes if h in stage.raws()])
    return True


def foreign_nonce(stage: Stage, fault: Fault) -> Script:
    yield from _free(stage, "nonce")
    yield from until(str(fault.detail["when"]))
    while not stage.world.use_nonce():
        yield from until(str(fault.detail["when"]))
    return True


def gap(stage: Stage, fault: Fault) -> Script:
    """Ours goes out behind a foreign nonce, whose block then goes away for good. Nobody else fills it."""
    world, depth = stage.world, int(fault.detail["depth"])
    yield from _free(stage, "nonce")
    with _holding(stage, "nonce"):
        while True:
            yield from until("wake")
            if world.pool() or not world.use_nonce():
                continue
            for _ in range(depth):
                world.mine()
            used = world.nonce()
            yield from until("mine")
            if world.pool():
                world.reorganise(depth, "gone", stage.raws())
                break
        while world.nonce() < used:
            yield from until("mined")
        return True


def fee_spike(stage: Stage, fault: Fault) -> Script:
    yield from _free(stage, "fee")
    with _holding(stage, "fee"):
        while True:
            yield from until("mine")
            if stage.world.pool():
                break
        try:
            stage.world.fee_wei = int(fault.detail["gwei"]) * GWEI
            yield from after("mined", int(fault.detail["for"]))
            return True
        finally:
            stage.world.fee_wei = CALM_FEE_WEI


def empty_blocks(stage: Stage, fault: Fault) -> Script:
    """Blocks in which there is never room for us."""
    yield from _free(stage, "pool")
    with _holding(stage, "pool"):
        met = False
        left = int(fault.detail["for"])
        while left:
            yield from until("mine")
            hashes = stage.world.evict()
            yield from until("mined")
            stage.world.offer([stage.raws()[h] for h in hashes if h in stage.raws()])
            met = met or bool(hashes)
            left -= met
        return met


def chain_clock(stage: Stage, fault: Fault) -> Script:
    yield from _free(stage, "pool")
    with _holding(stage, "pool"):
        yield from until("mine")
        while not stage.world.pool():
            yield from until("mine")
        hashes = stage.world.evict() if fault.detail["held"] else []
        stage.world.jump_s += int(fault.detail["s"])
        yield from until("mined")
        stage.world.offer([stage.raws()[h] for h in hashes if h in stage.raws()])
        return True


# --- the process -----------------------------------------------------------------------------------


def wall_clock(stage: Stage, fault: Fault) -> Script:
    yield from _free(stage, "wall")
    with _holding(stage, "wall"):
        yield from until("mined")
        stage.wall_s = int(fault.detail["s"])
        try:
            yield from after("mined", int(fault.detail["for"]))
            return True
        finally:
            stage.wall_s = 0


def kill(stage: Stage, fault: Fault) -> Script:
    number = stage.serial()
    stage.kills[number] = {
        "id": str(number),
        "at": str(fault.detail["at"]),
        "side": str(fault.detail["side"]),
    }
    try:
        while number not in stage.fired:
            yield
        return True
    finally:
        stage.kills.pop(number, None)


def kill_any(stage: Stage, fault: Fault) -> Script:
    yield from _free(stage, "fuse")
    with _holding(stage, "fuse"):
        while True:
            yield from until("wake")
            stage.fuse_ms = int(fault.detail["ms"])
            yield from until("mine")
            stage.fuse_ms = None
            if stage.last.get("died") and "killed" not in stage.last:
                return True


def disk_full(stage: Stage, fault: Fault) -> Script:
    yield from _free(stage, "disk")
    with _holding(stage, "disk"):
        yield from until("mined")
        stage.disk = str(fault.detail["how"])
        try:
            while not stage.last.get("disk"):
                yield from until("mine")
            yield from after("mine", int(fault.detail["for"]) - 1)
            return True
        finally:
            stage.disk = ""


def second_same(stage: Stage, fault: Fault) -> Script:
    """It must not start while the first one lives."""
    while True:
        yield from until("mine")
        if stage.main is None or stage.main.is_over or not stage.main.woken:
            continue
        other = stage.fleet.start(stage.place)
        other.wake(stage.order())
        told = other.answer()
        other.close()
        if not told.get("locked"):
            stage.troubles.append(f"a second agent was not locked out of the journal: {told}")
        return True


def second_own(stage: Stage, fault: Fault) -> Script:
    """Another machine with the same key and a journal of its own."""
    yield from _free(stage, "second")
    with _holding(stage, "second"):
        yield from until("mined")
        stage.second = stage.fleet.start(stage.second_place)
        met = False
        try:
            for _ in range(int(fault.detail["for"])):
                yield from until("mine")
                met = met or bool(stage.second_last.get("done"))
            return met
        finally:
            if stage.second is not None:
                stage.second.close()
            stage.second = None


MOODS = {"signer time-out": "timeout", "signer refuses": "refuses", "signer high-s": "high-s"}


def signer(stage: Stage, fault: Fault) -> Script:
    yield from _free(stage, "mood")
    with _holding(stage, "mood"):
        yield from until("mined")
        stage.mood = MOODS.get(fault.kind) or str(fault.detail["how"])
        try:
            yield from until("mine")
            while not stage.last.get("signer"):
                yield from until("mine")
            yield from after("mine", int(fault.detail.get("for", 1)) - 1)
            return True
        finally:
            stage.mood = ""


def signer_out(stage: Stage, fault: Fault) -> Script:
    """The signer goes away while a hedge that no block takes has to be outbid."""
    yield from _free(stage, "mood")
    with _holding(stage, "mood"):
        yield from _free(stage, "pool")
        with _holding(stage, "pool"):
            try:
                met = False
                while not met:
                    yield from until("mine")
                    met = bool(stage.mood) and bool(stage.last.get("signer"))
                    hashes = stage.world.evict()
                    yield from until("mined")
                    stage.world.offer([stage.raws()[h] for h in hashes if h in stage.raws()])
                    stage.mood = str(fault.detail["how"]) if hashes else stage.mood
                return True
            finally:
                stage.mood = ""


SCRIPTS: dict[str, Callable[[Stage, Fault], Script]] = {
    "lagging node": other_view,
    "disagreeing node": other_view,
    "reorg of a success": reorg_of_success,
    "reorg of a revert": reorg_of_revert,
    "revert": revert,
    "eviction": eviction,
    "foreign nonce": foreign_nonce,
    "gap": gap,
    "fee spike": fee_spike,
    "empty blocks": empty_blocks,
    "chain clock": chain_clock,
    "wall clock": wall_clock,
    "kill at a commit": kill,
    "kill around a send": kill,
    "kill at any moment": kill_any,
    "disk full": disk_full,
    "second agent, same journal": second_same,
    "second agent, own journal": second_own,
    "signer time-out": signer,
    "signer refuses": signer,
    "signer wrong": signer,
    "signer high-s": signer,
    "signer out while outbidding": signer_out,
}


def begin(stage: Stage, fault: Fault) -> Script:
    """The script of a fault, not started yet."""
    return SCRIPTS.get(fault.kind, network)(stage, fault)
