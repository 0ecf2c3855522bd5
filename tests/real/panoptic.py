"""Many random Panoptic accounts before the real contracts: ``python -m tests.real.panoptic --accounts 240``.

Needs ``PANOPTIC_ARTIFACTS``. Exit code 1 if a contract was anywhere on another side than was solved.
"""

from __future__ import annotations

import argparse
import sys
import time
from random import Random

from agent.sim.toolchain import Toolchain, install
from tests.real.panoptic_crowd import Crowd
from tests.real.panoptic_jury import Tally, by_transaction, by_view, prepared
from tests.real.panoptic_world import ENGINE_UNIT, missing, world

# asset first, decimals of the quote, the cross buffer, how much of the vaults somebody has lent (bps)
WORLDS = (
    (True, 6, ENGINE_UNIT, 0),
    (False, 6, ENGINE_UNIT, 9_250),
    (True, 18, ENGINE_UNIT * 8 // 10, 8_300),
    (False, 18, ENGINE_UNIT * 8 // 10, 0),
)


def judged(
    toolchain: Toolchain, seed: int, accounts: int, transactions: int, only: int | None = None
) -> Tally:
    """All worlds in turn, or one; ``accounts`` and ``transactions`` (accounts brought to their flip) over all
    of them.
    """
    total = Tally()
    chosen = range(len(WORLDS)) if only is None else (only,)
    for number in chosen:
        is_first, decimals, cross_buffer, lent_bps = WORLDS[number]
        tally = Tally()
        share = accounts // len(chosen) + (number < accounts % len(chosen))
        depth = 10**22 if decimals == 18 else 10**19
        with world(
            toolchain,
            is_asset_first=is_first,
            decimals=(18, decimals),
            cross_buffer=cross_buffer,
            depth=depth,
        ) as one:
            crowd = Crowd(one, Random(f"panoptic {seed} {number}"), tally.kinds)
            lender = one.crowd.people("lender", 1)[0]
            amounts = (10**18 * 3_000, 2_000 * 10**decimals * 3_000)
            one.fund(lender, amounts if is_first else amounts[::-1])
            if lent_bps:
                crowd.seller_wealth = 60
                crowd.crowd_out(number % 2, 100_000, lent_bps)
            people = prepared(one, crowd, share)
            states = by_view(one, crowd, people, tally)
            by_transaction(one, people, states, -(-transactions // len(chosen)), tally)
        total = total + tally
    return total


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.real.panoptic", description=__doc__)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--accounts", type=int, default=240)
    parser.add_argument(
        "--transactions", type=int, default=16, help="accounts brought to their flip for real"
    )
    given = parser.parse_args(argv)
    needed = missing()
    if needed:
        print(needed, file=sys.stderr)
        return 2
    began = time.monotonic()
    tally = judged(install(), given.seed, given.accounts, given.transactions)
    lent = sorted(tally.utilisations)
    print(f"panoptic: seed {given.seed}, {time.monotonic() - began:.0f} s")
    print(f"  {tally.accounts} accounts, {tally.flips} flips, {tally.unflippable} directions without one")
    print(f"  {tally.views} views, {tally.by_transaction} x dispatchFrom, {tally.liquidated} liquidations")
    print(f"  {tally.wrong_side} on the wrong side ({tally.missed} of them a later flip than the first)")
    print(f"  largest error: {tally.error_ticks} ticks, {tally.error_units} raw units")
    print(f"  legs: {', '.join(f'{count} {name}' for name, count in sorted(tally.kinds.items()))}")
    print(f"  {tally.with_premia} accounts with collected premium")
    print(f"  utilisation at mint: {lent[0]} to {lent[-1]} bps, median {lent[len(lent) // 2]}")
    print(f"  refused otherwise: {tally.refused_otherwise}")
    for trouble in tally.troubles[:20]:
        print(f"    {trouble}", file=sys.stderr)
    return 0 if tally.wrong_side == 0 and tally.accounts >= given.accounts else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
