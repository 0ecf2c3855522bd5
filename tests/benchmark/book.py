"""A market maker's book on the real local chain, and what the chain answered about it block by block.

One account on three venues: 200 Lyra options on the strikes of three boards, of which 99 are short (each a
margin account of its own, with the collateral of an owner who sleeps well), a perpetual account on Curie,
which is the hundredth, a range of liquidity on Uniswap, and cash. The oracle moves in every block and
arbitrage follows.
"""

from __future__ import annotations

import hashlib
import pickle
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar, cast

from agent.assembly import eye_of
from agent.chain.listing import Listing
from agent.chain.rpc import Rpc
from agent.chain.wire import Errand
from agent.errors import TransactionReverted
from agent.sim import depth
from agent.sim.localnet import Localnet, LocalnetOptions, running
from agent.sim.path import Step
from agent.sim.scenario import Scenario
from agent.sim.toolchain import locate
from agent.values.address import Address
from agent.values.block import Block
from agent.values.call import Answer, Call
from agent.values.fixed import WAD, from_float
from agent.venues.deployments import Deployment

OPTIONS, SHORTS = 200, 99
SEED = 5
MOVE = 0.004  # of the price in a block, one standard deviation
GWEI = 10**9
MADE_BY = ("agent/venues", "agent/sim", "abis", "tests/benchmark/book.py")  # what a recording depends on

T = TypeVar("T")
Key = tuple[type[Call], str, bytes]


@dataclass(frozen=True)
class Recording:
    """What was answered: the deployment, and of each block its header, the balance and the new answers."""

    deployment: Deployment
    account: Address
    blocks: tuple[tuple[Block, int, dict[Key, Answer]], ...]


def key_of(call: Call) -> Key:
    return (type(call), call.target, call.data)


class Ear(Rpc):
    """A node that is listened to."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.heard: dict[Key, Answer] = {}

    def calls(self, calls: Sequence[Call], at: object) -> list[Answer]:  # type: ignore[override]
        answers = list(super().calls(calls, at))
        self._note(calls, answers)
        return answers

    def carry(self, errand: Errand[T]) -> T:
        brought = super().carry(errand)
        if isinstance(errand, Listing):
            self._note(errand.calls, cast(list[Answer], brought))
        return brought

    def _note(self, calls: Sequence[Call], answers: Sequence[Answer]) -> None:
        self.heard |= {key_of(call): answer for call, answer in zip(calls, answers, strict=True)}


class Echo:
    """Answers as the node did, block by block, from memory."""

    endpoint = "recording"

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self.at = -1
        self.known: dict[Key, Answer] = {}
        self.native_wei = 0

    def next(self) -> Block:
        """Go one block on."""
        self.at += 1
        block, self.native_wei, fresh = self._recording.blocks[self.at]
        self.known |= fresh
        # what comes from a node is never the object of before: neither its identity nor its hash is known
        self.known = {
            key: Answer(answer.ok, bytes(bytearray(answer.data))) for key, answer in self.known.items()
        }
        return block

    def calls(self, calls: Sequence[Call], block: Block) -> list[Answer]:
        del block
        known = self.known
        return [known[(type(call), call.target, call.data)] for call in calls]

    def carry(self, errand: Listing) -> list[Answer]:
        """A list of calls, the one errand that a look needs."""
        return self.calls(errand.calls, errand.block)

    def balance(self, account: Address, block: Block) -> int:
        del account, block
        return self.native_wei

    def chain_id(self) -> int:
        return self._recording.deployment.chain_id


def recorded(place: Path, blocks: int, options: int = OPTIONS, shorts: int = SHORTS) -> Recording:
    """The recording kept beside ``place``, by what made it; made there first if there is none."""
    place = place.with_suffix(f".{fingerprint(blocks, options, shorts)}{place.suffix}")
    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(pickle.dumps(record(blocks, options, shorts)))
    kept: Recording = pickle.loads(place.read_bytes())
    return kept


def fingerprint(*terms: object) -> str:
    """Of what a recording depends on: other questions or another book need another one."""
    found = hashlib.sha256(repr(terms).encode())
    for name in MADE_BY:
        path = Path(name)
        for file in sorted(path.rglob("*")) if path.is_dir() else (path,):
            if file.suffix in {".py", ".json"}:
                found.update(file.read_bytes())
    return found.hexdigest()[:12]


def record(blocks: int, options: int = OPTIONS, shorts: int = SHORTS) -> Recording:
    """Build the book and listen to ``blocks`` blocks of a moving market."""
    with running(locate(), LocalnetOptions()) as net:
        build(net, options, shorts)
        return listen(net, blocks)


def build(net: Localnet, options: int, shorts: int) -> None:
    """Open what the book has not yet, then bring its delta near zero."""
    dice, account, lyra = random.Random(SEED), net.book.account, net.lyra
    spot_wad = net.spot_wad()
    depth.fund(lyra, net.roles["owner"], account, 20_000_000 * WAD, 400 * WAD)
    opened, short = len(net.book.option_ids), len(net.book.option_ids)
    while opened < options:
        strike = dice.choice(net.strikes)
        size_wad = dice.randint(10, 200) * WAD // 100
        kind, collateral = dice.choice((depth.LONG_CALL, depth.LONG_PUT)), 0
        if short < shorts:
            kind = dice.choice((depth.SHORT_PUT, depth.SHORT_CALL_QUOTE, depth.SHORT_CALL_BASE))
            flip_wad = spot_wad * (
                dice.randint(55, 65) if kind == depth.SHORT_PUT else dice.randint(140, 160)
            )
            collateral = 2 * depth.min_collateral_wad(lyra, strike, kind, size_wad, flip_wad // 100)
        try:
            depth.open_option(lyra, account, strike, kind, size_wad, collateral)
        except TransactionReverted:
            continue  # the pool does not trade that strike now
        opened, short = opened + 1, short + (short < shorts)
    for option_id in net.book.option_ids:
        collateral = lyra.option_token.records("getOwnerPositions", account)
        held = next(
            cast(dict[str, int], p) for p in collateral if cast(dict[str, int], p)["positionId"] == option_id
        )
        lyra.option_market.send(account, "addCollateral", option_id, held["collateral"])
    net.curie.vault.send(account, "deposit", lyra.quote.address, 500_000 * WAD)
    spare = lyra.base.integer("balanceOf", account) - 5 * WAD
    lyra.base.send(net.roles["owner"], "burn", account, spare)
    rpc = Rpc(net.url)
    block = rpc.block("latest")
    snapshot = eye_of(rpc, on_three(net.deployment()), block).see(account, block)
    delta = sum(position.greeks.delta for position in snapshot.positions)
    depth.open_perpetual(net.curie, account, -from_float(delta))


def on_three(deployment: Deployment) -> Deployment:
    """The venues of the book alone, whatever else the local chain has."""
    others = set(deployment.venues) - {"curie", "lyra", "uniswap"}
    return deployment.model_copy(update=dict.fromkeys(others))


def listen(net: Localnet, blocks: int) -> Recording:
    """Move the market and write down what the book's reader is told."""
    dice, deployment = random.Random(SEED), on_three(net.deployment())
    ear = Ear(net.url)
    scenario = Scenario(net)
    price, said, found = net.spot_wad(), {}, []
    eye = eye_of(ear, deployment, ear.block("latest"))
    net.node.set_automine(on=False)
    for _ in range(blocks):
        price = int(price * (1 + dice.gauss(0, MOVE)))
        scenario._prepare(Step(price, 0.0, GWEI))
        net.node.mine()
        ear.heard = {}
        block = ear.block("latest")
        snapshot = eye.see(net.book.account, block)
        fresh = {key: answer for key, answer in ear.heard.items() if said.get(key) != answer}
        said |= fresh
        found.append((block, snapshot.wallet.native_wei, fresh))
    return Recording(deployment, net.book.account, tuple(found))
