"""Writes down what the real contracts answer: ``python -m tests.real.panoptic_record
tests/recorded/panoptic.json``.

Answers are facts: numbers in, numbers out. Needs ``PANOPTIC_ARTIFACTS``; the suite itself needs only the
file.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from random import Random
from typing import cast

from agent.chain.rpc import Rpc
from agent.errors import ReadReverted
from agent.sim.toolchain import install
from agent.values.call import Reading
from agent.values.fixed import WAD
from agent.venues.panoptic import Panoptic
from agent.venues.panoptic.token_id import Leg, TokenId, pool_of
from tests.real.panoptic_crowd import Crowd, deployment, jury
from tests.real.panoptic_world import World, missing, world

CASES, POKES, RATES, IDS = 220, 60, 40, 60
SIZES = (1, 10**6, 10**12, 10**18, 77 * 10**18)
UTILISATIONS = (0, 1, 6_666, 6_667, 8_000, 9_000, 9_001, 9_500, 9_999, 10_000)
INVALID = "InvalidTokenIdParameter("
EPOCH_BITS, RATE_BITS, INDEX_BITS = 32, 38, 80


def recorded(one: World, rng: Random) -> dict[str, object]:
    """Everything, in the order of the sections of the file."""
    crowd = Crowd(one, rng, {})
    units = (10**18 * 3_000, 2_000 * 10**6 * 3_000)
    one.fund(one.crowd.people("lender", 1)[0], units)
    return {
        "source": "panoptic-labs/panoptic-v2-core on a local chain, by tests/real/panoptic_record.py",
        "demands": _demands(one, crowd, rng),
        "oracle": _oracle(one, rng),
        "rates": _rates(one, rng),
        "ids": _ids(one, crowd, rng),
        "account": _account(one, crowd, rng),
    }


def _demands(one: World, crowd: Crowd, rng: Random) -> list[list[object]]:
    """Id, size, tick, both utilisations; demands and credits of an account without collateral."""
    rows: list[list[object]] = []
    trackers = tuple(tracker.address for tracker in one.trackers)
    while len(rows) < CASES:
        token_id, size = crowd._position(), rng.choice(SIZES)
        tick = one.tick() + rng.choice([0, 1, -1, rng.randrange(-900, 900), rng.randrange(-30_000, 30_000)])
        lent = (rng.choice(UTILISATIONS), rng.choice(UTILISATIONS))
        balance = size | lent[0] << 128 | lent[1] << 144
        arguments = ([balance], tick, one.owner, [token_id.number], 0, 0, *trackers)
        first, second, _ = cast(list[int], one.engine.call("getMargin", *arguments))
        half = 2**128
        words = (first // half, second // half, first % half, second % half)
        rows.append([hex(token_id.number), str(size), tick, *lent, *(str(word) for word in words)])
    return rows


def _oracle(one: World, rng: Random) -> list[list[object]]:
    """Word, tick, time; the word after a poke, then TWAP, safe mode and the ticks that must be solvent."""
    rows: list[list[object]] = []
    word, tick = cast(int, one.pool.call("getOracleTicks")[4]), one.tick()
    for _ in range(POKES):
        tick += rng.choice([0, 3, -40, rng.randrange(-400, 400), rng.randrange(-3_000, 3_000)])
        one.node.warp(rng.choice([1, 30, 64, 70, 300, 2_000]))
        after = cast(int, one.engine.call("computeInternalMedian", word, tick)[1])
        twap, mode = one.engine.integer("twapEMA", word), one.engine.integer("isSafeMode", tick, word)
        ticks = one.engine.call("getSolvencyTicks", tick, word, mode)[0]
        rows.append([hex(word), tick, one.node.now_s(), hex(after), twap, mode, ticks])
        word = after or word
    return rows


def _rates(one: World, rng: Random) -> list[list[object]]:
    """Utilisation (wad), rate at target, seconds since; the rate."""
    rows: list[list[object]] = []
    for _ in range(RATES):
        lent = rng.choice([0, WAD // 2, 2 * WAD // 3, 2 * WAD // 3 + 1, WAD, rng.randrange(WAD)])
        target = rng.choice([0, 1_268_391_679, rng.randrange(31_709_791, 63_419_583_967)])
        epoch = one.node.now_s() // 4 - rng.choice([0, 1, 100, 4_096, 10_000, 100_000])
        market = WAD | epoch << INDEX_BITS | target << INDEX_BITS + EPOCH_BITS
        rate = one.engine.integer("interestRate", lent, market)
        rows.append([str(lent), str(target), one.node.now_s() // 4 * 4 - epoch * 4, str(rate)])
    return rows


def _ids(one: World, crowd: Crowd, rng: Random) -> list[list[object]]:
    """Position ids and the parameter that the contract finds wrong in them; 0 where it finds none."""
    rows: list[list[object]] = []
    caller = one.crowd.people("caller", 1)[0]
    while len(rows) < IDS:
        number = crowd._position().number
        for _ in range(rng.randrange(3)):
            number ^= 1 << rng.randrange(64, 256)
        if rng.random() < 0.3:
            number = one.pool_id | rng.getrandbits(192) << 64
        limits = [(-887_271, 887_271, 8_388_607)]
        try:
            one.pool.call("dispatch", [number], [number], [10**6], limits, True, 0, sender=caller)
            wrong = 0
        except ReadReverted as error:
            reason = str(error.fields["reason"])
            wrong = int(reason[len(INVALID) : -1]) if reason.startswith(INVALID) else 0
        rows.append([hex(number), wrong])
    return rows


def _account(one: World, crowd: Crowd, rng: Random) -> dict[str, object]:
    """One account's whole reading, call by call, with its events, and what the engine says of it at some
    ticks.
    """
    me = one.crowd.people("recorded", 1)[0]
    one.fund(me, (10**18 // 2, 1_500 * 10**6))
    pool, strike = pool_of(one.pool_id), one.tick() // 60 * 60
    seller = one.crowd.people("seller", 1)[0]
    one.fund(seller, (400 * 10**18, 400 * 2_000 * 10**6))
    call = Leg(0, 1, False, 0, 0, strike + 300, 10)
    sold = TokenId(pool, (call,)).number
    one.dispatch(seller, [sold], [sold], [4 * 10**18])
    strangle = TokenId(
        pool, (Leg(0, 1, False, 1, 1, strike - 600, 20), Leg(0, 1, False, 0, 0, strike + 600, 20))
    ).number
    bought = TokenId(pool, (Leg(0, 1, True, 0, 0, strike + 300, 10),)).number
    loan = TokenId(pool, (Leg(0, 1, False, 0, 0, strike, 0),)).number
    gone = TokenId(pool, (Leg(0, 1, False, 1, 0, strike - 900, 4),)).number
    one.dispatch(me, [gone], [gone], [10**17])
    one.dispatch(me, [strangle], [gone, strangle], [10**18])
    one.dispatch(me, [bought], [gone, strangle, bought], [10**18])
    one.dispatch(me, [loan], [gone, strangle, bought, loan], [4 * 10**17], swap=True)
    one.dispatch(me, [gone], [strangle, bought, loan], [0])
    for factor in (0.96, 1.05, 1.0):
        now = cast(int, one.amm.call("slot0")[0])
        one.swap_to(int(now * factor))
        one.poke(2)
    # somebody else's mint collects the fees that the recorded account's range has earned
    beside = TokenId(pool, (Leg(0, 1, False, 1, 0, strike - 600, 20),)).number
    one.dispatch(seller, [beside], [sold, beside], [10**15])
    one.node.warp(86_400)
    one.node.mine()
    rpc = Rpc(one.node.url, 60.0)
    block = rpc.block("latest")
    records = deployment(one)
    venue = Panoptic(records)
    answers = _heard(rpc, block, venue.read(me, block)) | _heard(rpc, block, venue.identify())
    rpc.close()
    judge = jury(one, me, (strangle, bought, loan))
    ticks = [one.tick() + away for away in (0, 1, -1, 400, -400, 1_500, -1_500, 6_000, -6_000, 20_000)]
    return {
        "account": me,
        "block": [block.number, block.hash, block.timestamp_s],
        "deployment": records.model_dump(mode="json"),
        "ids": [hex(number) for number in judge.ids],
        "answers": answers,
        "margins": [
            [tick, *(str(word) for word in words[:2])]
            for tick, words in zip(ticks, judge.margin(ticks), strict=True)
        ],
        "solvent": [[tick, flag] for tick, flag in zip(ticks, judge.solvent(ticks), strict=True)],
    }


def _heard(rpc: Rpc, block: object, reading: Reading[object]) -> dict[str, str]:
    """Every call of a reading by its words, and the answer."""
    heard: dict[str, str] = {}
    asked = next(reading)
    while True:
        answers = tuple(rpc.calls(asked, block))  # type: ignore[arg-type]
        for call, answer in zip(asked, answers, strict=True):
            told = answer.data.hex()
            heard[f"{call.target} {call.data.hex()}"] = told if answer.ok else f"!{told}"
        try:
            asked = reading.send(answers)
        except StopIteration:
            return heard


def main(argv: list[str]) -> int:
    needed = missing()
    if needed:
        print(needed, file=sys.stderr)
        return 2
    with world(install(), is_asset_first=True, decimals=(18, 6), depth=10**21) as one:
        found = recorded(one, Random("panoptic record"))
    lines = ",\n".join(f" {json.dumps(name)}: {_told(value)}" for name, value in found.items())
    Path(argv[0]).write_text("{\n" + lines + "\n}\n")
    return 0


def _told(value: object) -> str:
    """One row to a line."""
    if isinstance(value, list):
        return "[\n" + ",\n".join("  " + json.dumps(row) for row in value) + "\n ]"
    return json.dumps(value, indent=1) if isinstance(value, dict) else json.dumps(value)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
