"""From a block's answers in hand to a signed hedge out: `python -m tests.benchmark.decision`.

Fails on nothing. The book of `book`: 100 margin accounts, 3 venues, 200 options. What the chain answered is
replayed from memory, block by block, with another price in each, and in bytes that nobody has seen before.
Each block is timed in several runs over the recording and its least time counts; the percentiles are over
blocks. The collector does as it does in `run`: it rests while a block is decided. ``decision_each_`` are the
percentiles over all single passes, nothing taken out; ``decision_cpu_p50_ms`` is in the process's own time.
"""

from __future__ import annotations

import json
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from time import perf_counter, process_time

from coincurve import PrivateKey

from agent.assembly import asset_tokens_of, bounds_of, venues_of
from agent.market.snapshot import Snapshot
from agent.planning.plan import Plan, plan
from agent.planning.policy import Policy
from agent.risk.assessment import Assessment, assess
from agent.risk.limits import Bounds
from agent.runtime.collector import Collector
from agent.runtime.cycle import Desk, writers
from agent.runtime.see import Eye
from agent.tx.executor import Hedge, Intent, encode_hedge
from agent.tx.signer import address_of, sign_transaction
from agent.tx.transaction import Fee, Signed, Transaction
from agent.values.address import Address, ChainId
from agent.values.amount import Token
from agent.values.block import Block
from tests.benchmark.book import Echo, Recording, recorded

PLACE = Path("out/bench/decision.recording")
BLOCKS = 120
WARM = 5  # blocks at first that are not counted
RUNS = 5
POLICY = Policy(band={"ETH": Decimal("0.5")})
STEPS = ("decode", "judge", "plan", "encode", "sign")


class Key:
    """A key in this process."""

    def __init__(self) -> None:
        self._key = PrivateKey((7).to_bytes(32, "big"))
        self.address = address_of(self._key.public_key)

    def sign_digest(self, digest: bytes) -> tuple[int, int]:
        return self.sign_recoverable(digest)[1:]

    def sign_recoverable(self, digest: bytes) -> tuple[int, int, int]:
        compact = self._key.sign_recoverable(digest, hasher=None)
        return compact[64], int.from_bytes(compact[:32], "big"), int.from_bytes(compact[32:64], "big")


class Replay:
    """The agent's own road from answers to bytes, on a recording."""

    def __init__(self, recording: Recording, policy: Policy = POLICY) -> None:
        deployment = recording.deployment
        assert deployment.lyra is not None
        tokens = tuple(
            Token(Address(address), symbol, 18)
            for address, symbol in (
                (deployment.lyra.quote_token, "sUSD"),
                (deployment.lyra.base_token, "sETH"),
            )
        )
        self.echo = Echo(recording)
        self.block: Block | None = None
        chain = ChainId(deployment.chain_id)
        eye = Eye(self.echo, chain, venues_of(deployment), tokens, asset_tokens_of(deployment))  # type: ignore[arg-type]
        self.bounds: Bounds = bounds_of(policy)
        self.desk = Desk(recording.account, eye, policy, self.bounds)
        self.intent = Intent(chain, recording.account, 3)
        self.key = Key()

    def ready(self) -> None:
        """The next block's answers are in hand."""
        if self.block is None:
            self.block = self.echo.next()

    def step(self) -> tuple[list[float], Snapshot, Assessment, tuple[Plan, ...], Signed | None]:
        """One block: the seconds of each step, and what came of it."""
        self.ready()
        block, self.block = self.block, None
        assert block is not None
        desk, times = self.desk, [perf_counter()]
        snapshot = desk.eye.see(desk.account, block)
        times.append(perf_counter())
        assessment = assess(snapshot, desk.bounds)
        desk.trail.note(block.timestamp_s, assessment.spot)
        desk.carry.note(block.timestamp_s, [offer for state in snapshot.venues for offer in state.offers])
        carry = desk.carry.expected(int(desk.policy.holding_hours * 3600))
        moves = desk.trail.moves()
        times.append(perf_counter())
        known = writers(desk, snapshot)
        plans = plan(snapshot, assessment, desk.policy, known, self.intent.id, moves, carry, perf_counter)
        times.append(perf_counter())
        if not plans:
            return times, snapshot, assessment, plans, None
        chosen = plans[0]
        data = encode_hedge(Hedge(self.intent, chosen.deadline_s, chosen.calls, chosen.pre, chosen.post))
        times.append(perf_counter())
        fee = Fee(2 * block.base_fee_wei, 10**9)
        tx = Transaction(self.intent.chain_id, block.number, fee, 900_000, desk.account, 0, data)
        signed = sign_transaction(self.key, tx)
        times.append(perf_counter())
        return times, snapshot, assessment, plans, signed


def measure(place: Path = PLACE, blocks: int = BLOCKS) -> dict[str, float]:
    """Milliseconds: ``decision_p50_ms``, ``decision_p99_ms`` and the median of each step; how many blocks had
    a hedge to sign, and how many of these needed the search.
    """
    recording = recorded(place, blocks)
    hedges: dict[int, list[list[float]]] = {}
    idle: dict[int, list[float]] = {}
    own: dict[int, list[float]] = {}
    for _ in range(RUNS):
        replay = Replay(recording)
        with Collector() as collector:
            for number in range(len(recording.blocks)):
                replay.ready()
                begun = process_time()
                times, *_, signed = replay.step()
                taken = process_time() - begun
                collector.rest()
                if number < WARM:
                    continue
                if signed is None:
                    idle.setdefault(number, []).append(times[-1] - times[0])
                else:
                    spans = [after - before for before, after in pairwise(times)]
                    hedges.setdefault(number, []).append(spans)
                    own.setdefault(number, []).append(taken)
    each = [sum(spans) for runs in hedges.values() for spans in runs]
    least = [min(runs, key=sum) for runs in hedges.values()]
    found = {
        "decision_p50_ms": _share([sum(spans) for spans in least], 0.50),
        "decision_p99_ms": _share([sum(spans) for spans in least], 0.99),
        "decision_each_p50_ms": _share(each, 0.50),
        "decision_each_p99_ms": _share(each, 0.99),
        "decision_cpu_p50_ms": _share([min(runs) for runs in own.values()], 0.50),
        "decision_blocks": float(len(least)),
        "decision_idle_p50_ms": _share([min(runs) for runs in idle.values()], 0.50),
    }
    for place_of, name in enumerate(STEPS):
        found[f"decision_{name}_ms"] = _share([spans[place_of] for spans in least], 0.50)
    return found


def _share(values: list[float], share: float) -> float:
    """A percentile, in milliseconds; 0 of nothing."""
    ranked = sorted(values)
    return 1000 * ranked[min(len(ranked) - 1, int(share * len(ranked)))] if ranked else 0.0


def main() -> None:
    """Prints the figures."""
    print(json.dumps(measure(), indent=2))


if __name__ == "__main__":
    main()
