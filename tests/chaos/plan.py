"""Which faults, how many of each, in which order: a pure function of the seed."""

from __future__ import annotations

import random
from collections.abc import Mapping
from enum import Enum
from hashlib import sha256

from tests.chaos.worker import BOUNDARIES


class Where(Enum):
    """Who makes a fault happen."""

    SEND = "the way to the node, on a transaction"
    READ = "the way to the node, on anything"
    WORLD = "the chain"
    AGENT = "the agent's process"


# How often each is wanted, relative to the others.
SEND: Mapping[str, int] = {
    "send: lost before the node": 5,
    "send: answer lost after acceptance": 6,
    "send: delivered twice": 4,
    "send: taken, answered already known": 3,
    "send: taken, answered nonce too low": 3,
    "send: taken, answered in words nobody knows": 3,
    "send: half-open socket": 1,
    "send: 429": 3,
}
READ: Mapping[str, int] = {
    "read: lost before the node": 6,
    "read: answer lost": 6,
    "read: cut off in the middle": 6,
    "read: HTTP 500": 5,
    "read: 502 in HTML": 5,
    "read: no JSON": 4,
    "read: 429": 5,
    "read: 429 with Retry-After": 5,
    "read: rate limit in JSON-RPC": 4,
    "read: half-open socket": 1,
    "read: slow": 4,
    "read: answers twice": 4,
    "read: lagging node": 10,
    "read: node with another nonce": 6,
    "read: node of another fork": 4,
}
WORLD: Mapping[str, int] = {
    "reorg of a success": 5,
    "reorg of a revert": 2,
    "revert on chain": 4,
    "eviction": 6,
    "foreign nonce": 5,
    "fee spike": 5,
    "chain clock jump": 3,
}
AGENT: Mapping[str, int] = {
    **{f"kill -9: {boundary}": 3 for boundary in BOUNDARIES},
    "kill -9: anywhere": 4,
    "signer: out": 4,
    "signer: wrong signature": 4,
    "signer: high s": 2,
    "disk full": 4,
    "agent clock jump": 3,
    "two agents on one journal": 2,
    "two agents on one key": 3,
}
KINDS: Mapping[str, Where] = {
    **dict.fromkeys(SEND, Where.SEND),
    **dict.fromkeys(READ, Where.READ),
    **dict.fromkeys(WORLD, Where.WORLD),
    **dict.fromkeys(AGENT, Where.AGENT),
}
WEIGHTS: Mapping[str, int] = {**SEND, **READ, **WORLD, **AGENT}


def storm(seed: int, faults: int) -> tuple[str, ...]:
    """More than ``faults`` kinds in the order they are tried; every kind is in it.

    A fifth more, so that the end does not wait for what can seldom be done.
    """
    total = sum(WEIGHTS.values())
    wanted = faults * 6 // 5
    kinds = [kind for kind, weight in WEIGHTS.items() for _ in range(max(1, -(-wanted * weight // total)))]
    random.Random(seed).shuffle(kinds)
    return tuple(kinds)


def digest(kinds: tuple[str, ...]) -> str:
    """Names a plan."""
    return sha256("\n".join(kinds).encode()).hexdigest()[:16]
