"""Every fault the storm knows, and the plan of a storm: a pure function of its seed."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from itertools import cycle, islice
from pathlib import Path

Value = str | int | float | bool
RECORDED = Path(__file__).resolve().parents[1] / "recorded" / "send_faults.json"

# where a request can be hit, by what the agent asks
SEND = "eth_sendRawTransaction"
READS = (
    "eth_getBlockByNumber",
    "eth_getTransactionCount",
    "eth_getTransactionReceipt",
    "eth_call",
    "eth_simulateV1",
    "eth_feeHistory",
    "eth_getBalance",
    "eth_getCode",
)

# every commit of the journal: the method, and what the errand (or the entry) has come to by it
COMMON_COMMITS = (
    "open:planned",
    "save:signed",
    "save:sent",
    "save:included",
    "save:final",
    "acknowledge",
    "climb",
    "append:decision",
    "append:transaction",
    "append:outcome",
)
RARE_COMMITS = (
    "save:unknown",
    "save:rejected",
    "save:reorged",
    "save:replaced",
    "save:overtaken",
    "save:cancelled",
    "save:abandoned",
    "append:refused",
)
COMMITS = (*COMMON_COMMITS, *RARE_COMMITS)
SIDES = ("before", "after")
MAX_REORG = 3
REFUSALS = (
    "UNDERPRICED",
    "FEE_TOO_LOW",
    "DELEGATED_IN_FLIGHT",
    "ACCOUNT_LIMIT",
    "INSUFFICIENT_FUNDS",
    "NODE_CAP",
    "OTHER",
)
ODD_WORDS = "the transaction is where transactions go"
RATE_WORDS = "rate limit exceeded: 5 requests per second"


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault to inject. ``kind`` is what it is counted under; ``detail`` says which of its kind."""

    kind: str
    detail: dict[str, Value] = field(default_factory=dict)


def _variants() -> dict[str, tuple[int, list[dict[str, Value]]]]:
    """By kind: its weight in a storm, and its variants, all of which come up in turn."""
    scopes = ("all", "one")
    on_send: list[dict[str, Value]] = [{"method": SEND, "scope": s} for s in scopes]
    anywhere = on_send + [{"method": m, "scope": "all"} for m in READS]
    bursts: list[dict[str, Value]] = [
        {"method": "", "scope": s, "times": n} for s in scopes for n in (2, 6, 20)
    ]
    kills: list[dict[str, Value]] = [{"at": at, "side": side} for at in COMMITS for side in SIDES]
    reorgs: list[dict[str, Value]] = [
        {"depth": depth, "fate": fate}
        for depth in range(1, MAX_REORG + 1)
        for fate in ("gone", "back", "elsewhere")
    ]
    return {
        "reply lost before": (9, [*anywhere, *bursts]),
        "reply lost after": (9, anywhere),
        "duplicate delivery": (5, on_send),
        "duplicate reply": (5, anywhere),
        "late reply": (4, anywhere),
        "reply after the time-out": (3, on_send),
        "429": (5, [d | {"retry_after": r} for d in [*anywhere, *bursts] for r in ("", "1", "soon")]),
        "5xx": (5, [d | {"status": s} for d in [*anywhere, *bursts] for s in (500, 502, 503)]),
        "half-open": (4, anywhere),
        "truncated": (5, anywhere),
        "garbage": (5, anywhere),
        "accepted but 'already known'": (4, _said(("ALREADY_KNOWN",))),
        "accepted but 'nonce too low'": (4, _said(("NONCE_TOO_LOW",))),
        "accepted but 'underpriced'": (4, _said(("REPLACEMENT_UNDERPRICED",))),
        "accepted but 'pool full'": (3, _said(("POOL_FULL", "AWAITED", "DROPPED"))),
        "accepted, in words nobody knows": (3, [{"method": SEND, "scope": "all", "words": ODD_WORDS}]),
        "rate limit in JSON-RPC": (4, [d | {"words": RATE_WORDS} for d in anywhere]),
        "refused": (6, _said(REFUSALS)),
        "lagging node": (6, [{"depth": d, "for": n} for d in (1, 2, 3) for n in (1, 2, 4)]),
        "disagreeing node": (
            6,
            [{"depth": d, "for": n, "shift": s} for d in (0, 1, 2) for n in (1, 2, 3) for s in (0, 1)],
        ),
        "reorg of a success": (9, reorgs),
        "reorg of a revert": (6, reorgs),
        "revert": (4, [{}]),
        "eviction": (6, [{"return": n} for n in (0, 1, 3)]),
        "foreign nonce": (6, [{"when": w} for w in ("wake", "mine")]),
        "gap": (3, [{"depth": d} for d in (1, 2)]),
        "fee spike": (4, [{"gwei": g, "for": n} for g in (30, 400) for n in (1, 3, 5)]),
        "empty blocks": (4, [{"for": n} for n in (1, 3, 7)]),
        "chain clock": (5, [{"s": s, "held": h} for h in (True, False) for s in (60, 700, 1_000, 90_000)]),
        "wall clock": (3, [{"s": s, "for": n} for s in (-86_400, -60, 60, 86_400) for n in (1, 2)]),
        "kill at a commit": (36, kills),
        "kill around a send": (8, [{"at": "send", "side": side} for side in SIDES]),
        "kill at any moment": (8, [{"ms": ms} for ms in (0, 2, 5, 9, 14, 20, 30, 45)]),
        "disk full": (4, [{"how": how, "for": n} for how in ("no room", "no write") for n in (1, 3)]),
        "second agent, same journal": (2, [{}]),
        "second agent, own journal": (4, [{"for": n} for n in (1, 3, 6)]),
        "signer time-out": (3, [{"for": n} for n in (1, 2, 4)]),
        "signer refuses": (2, [{"for": n} for n in (1, 2)]),
        "signer wrong": (4, [{"how": how} for how in ("another key", "out of range", "another digest")]),
        "signer high-s": (3, [{"for": 2}]),
        "signer out while outbidding": (3, [{"how": how} for how in ("timeout", "another key")]),
    }


def _said(faults: tuple[str, ...]) -> list[dict[str, Value]]:
    """As the clients say it, in their recorded words."""
    answers = json.loads(RECORDED.read_text())["answers"]
    return [
        {"method": SEND, "scope": "all", "words": str(answer["message"]), "code": int(answer["code"])}
        for answer in answers
        if answer["fault"] in faults
    ]


KINDS = tuple(_variants())


def plan(seed: int, act: int) -> Iterator[Fault]:
    """Endless: every kind once, then rounds by weight; a kind's variants take turns. The seed shuffles."""
    dice = random.Random(f"{seed}.{act}")
    variants = _variants()
    turns = {}
    for kind, (_, all_of_it) in variants.items():
        order = list(all_of_it)
        dice.shuffle(order)
        turns[kind] = cycle(order)
    first = list(variants)
    dice.shuffle(first)
    for kind in first:
        yield Fault(kind, dict(next(turns[kind])))
    weights = [weight for weight, _ in variants.values()]
    while True:
        deck = [kind for kind, weight in zip(variants, weights, strict=True) for _ in range(weight)]
        dice.shuffle(deck)
        for kind in deck:
            yield Fault(kind, dict(next(turns[kind])))


def acts(faults: int, per_act: int) -> list[int]:
    """How many faults each act has; acts are of about the same size."""
    count = max(1, -(-faults // per_act))
    return [faults // count + (index < faults % count) for index in range(count)]


def digest(seed: int, sizes: list[int]) -> str:
    """SHA-256 of everything that is planned; lower-case hex."""
    hashed = hashlib.sha256()
    for act, size in enumerate(sizes):
        for fault in islice(plan(seed, act), size):
            hashed.update(json.dumps(asdict(fault), sort_keys=True).encode() + b"\n")
    return hashed.hexdigest()
