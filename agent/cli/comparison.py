"""What happened on a chain, from its receipts and logs, and two runs of it side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

from eth_utils.crypto import keccak

from agent.dashboard.series import HedgeMark, LiquidationMark, Sample, Series
from agent.proof.record import Entry
from agent.runtime.docket import ASKED, TOLD
from agent.sim.contract import Contract
from agent.sim.deploy.uniswap import POOL_FEE, is_base_first
from agent.sim.liquidator import liquidations
from agent.sim.localnet import Localnet
from agent.sim.node import quantity
from agent.values.fixed import WAD, to_float

Json = dict[str, object]
VENUES = ("curie", "lyra", "uniswap", "gmx")
ENDS = ("executed", "partly", "cancelled")
PPM = 10**6


@dataclass(frozen=True, slots=True)
class Sent:
    """A transaction of the account that was mined. Costs in quote: protocol fees and gas."""

    block: int
    tx_hash: str
    succeeded: bool
    intents: tuple[str, ...]
    gas_usd: float
    fee_usd: float


@dataclass(frozen=True, slots=True)
class Run:
    """One life of the book: every block's sample and everything the chain says happened to it."""

    name: str
    samples: tuple[Sample, ...]
    sent: tuple[Sent, ...]
    liquidated: tuple[LiquidationMark, ...]

    @property
    def hedges(self) -> int:
        """Intents the executor carried out."""
        return sum(len(sent.intents) for sent in self.sent)

    @property
    def doubled(self) -> int:
        """Intents carried out more than once."""
        return sum(1 for times in Counter(i for s in self.sent for i in s.intents).values() if times > 1)

    @property
    def share_in_band(self) -> float:
        """Of the sampled blocks, how many have the net delta inside its band (0 to 1)."""
        return sum(1 for s in self.samples if abs(s.net_delta) <= s.band) / len(self.samples)

    def figures(self) -> Json:
        """One side of ``summary.json``, from the chain alone."""
        distances = [d for s in self.samples for d in s.distances.values() if d is not None]
        gas_usd = sum((sent.gas_usd for sent in self.sent), 0.0)
        earned = self.samples[-1].equity_usd - self.samples[0].equity_usd
        return {
            "liquidations": len(self.liquidated),
            "share_of_blocks_in_band": round(self.share_in_band, 4),
            "max_abs_delta_usd": round(max(abs(s.net_delta) * s.spot for s in self.samples), 2),
            "min_distance_to_liquidation": round(min(distances), 4) if distances else None,
            "hedges": self.hedges,
            "reverted": sum(1 for sent in self.sent if not sent.succeeded),
            "pnl_usd": round(earned - gas_usd, 2),
            "gas_usd": round(gas_usd, 2),
        }

    def series(self, labels: Mapping[str, str]) -> Series:
        """For the report; ``labels`` say what a transaction was, by its hash."""
        by_block = {s.block: s for s in self.samples}
        marks, cost, costs = [], 0.0, {}
        for sent in self.sent:
            cost += sent.gas_usd + sent.fee_usd
            costs[sent.block] = cost
            at = by_block.get(sent.block)
            if at is not None:
                outcome = "landed" if sent.succeeded else "reverted"
                label = labels.get(sent.tx_hash, "transaction")
                marks.append(HedgeMark(sent.block, at.hours, label, sent.gas_usd + sent.fee_usd, outcome))
        samples, spent = [], 0.0
        for sample in self.samples:
            spent = costs.get(sample.block, spent)
            samples.append(replace(sample, cash_cost_usd=spent))
        return Series(self.name, tuple(samples), tuple(marks), self.liquidated)


def run_of(name: str, net: Localnet, samples: Sequence[Sample]) -> Run:
    """Count from the logs and receipts of the sampled blocks."""
    first, last = samples[0].block, samples[-1].block
    at = {s.block: s for s in samples}
    account = net.book.account
    marks = [
        LiquidationMark(one.block, at[one.block].hours, f"{one.what} liquidated on {one.venue}")
        for one in liquidations(net, first, last)
        if one.owner == account
    ]
    numbers = range(first, last + 1)
    blocks = net.node.batch([("eth_getBlockReceipts", (hex(n),)) for n in numbers])
    sent = []
    for number, receipts in zip(numbers, blocks, strict=True):
        for receipt in cast(list[Json], receipts):
            if str(receipt["from"]).lower() == account.lower():
                sent.append(_sent(net, receipt, at[number].spot))
    return Run(name, tuple(samples), tuple(sent), tuple(marks))


def requests_of(entries: Sequence[Entry], asked: int) -> Json:
    """What keepers were asked for and what they did, from the record; ``asked`` is the chain's own count.
    ``entries`` of kinds ASKED, TOLD, "transaction" and "refused".

    Of all that was told, each request is counted under its last phase; ``expired`` and ``frozen`` count those
    that were so on the way.
    """
    last: dict[str, str] = {}
    seen: dict[str, set[str]] = {}
    worst = asked_for = 0
    for entry in entries:
        if entry.kind == ASKED:
            asked_for = int(str(entry.payload["naked_usd_s"]))
        elif entry.kind in ("transaction", "refused"):  # what was refused was never open
            worst = max(worst, asked_for) if entry.kind == "transaction" else worst
            asked_for = 0
        elif entry.kind == TOLD:
            key = str(entry.payload["key"])
            last[key] = "gone" if entry.payload["gone"] else str(entry.payload["phase"])
            seen.setdefault(last[key], set()).add(key)
    ended = {end: sum(1 for phase in last.values() if phase == end) for end in ENDS}
    return {
        "asked": asked,
        **ended,
        "open": sum(1 for phase in last.values() if phase not in (*ENDS, "gone")),
        "were_expired": len(seen.get("expired", ())),
        "were_frozen": len(seen.get("frozen", ())),
        "worst_naked_usd_s": worst,
    }


def requests_born(net: Localnet, from_block: int) -> int:
    """How many orders the book has left at GMX since, as the protocol's own events tell."""
    events = net.gmx.events
    account = "0x" + net.book.account[2:].lower().rjust(64, "0")
    born = "0x" + keccak(text="OrderCreated").hex()
    query = {
        "address": events.address,
        "topics": [events.abi.events["EventLog2"].topic, born, None, account],
        "fromBlock": hex(from_block),
    }
    return len(cast(list[Json], net.node.request("eth_getLogs", query)))


def summary(seed: int, with_agent: Run, without_agent: Run, waited: Json) -> Json:
    """``summary.json``. ``waited``: of `requests_of`."""
    return {
        "seed": seed,
        "blocks": len(with_agent.samples),
        "venues": list(VENUES),
        "with_agent": with_agent.figures(),
        "without_agent": without_agent.figures(),
        "intents_executed_more_than_once": with_agent.doubled + without_agent.doubled,
        "requests": waited,
    }


def _sent(net: Localnet, receipt: Json, spot: float) -> Sent:
    logs = cast(list[Json], receipt["logs"])
    wei = quantity(receipt["gasUsed"]) * quantity(receipt["effectiveGasPrice"])
    intents = [cast(bytes, event["intentId"]).hex() for event in _own(net).events(logs, "HedgeExecuted")]
    return Sent(
        block=quantity(receipt["blockNumber"]),
        tx_hash=str(receipt["transactionHash"]),
        succeeded=receipt["status"] == "0x1",
        intents=tuple(intents),
        gas_usd=wei / WAD * spot,
        fee_usd=to_float(_curie_fee_wad(net, logs) + _uniswap_fee_wad(net, logs, spot)),
    )


def hedges_done(net: Localnet, from_block: int) -> int:
    """How many intents the account's executor has carried out since."""
    return len(_own(net).logs("HedgeExecuted", from_block))


def _own(net: Localnet) -> Contract:
    """The account itself, which speaks as the executor since it is delegated to it."""
    return Contract(net.chain, "HedgeExecutor", net.book.account, net.executor.abi)


def _curie_fee_wad(net: Localnet, logs: list[Json]) -> int:
    events = net.curie.clearing_house.events(logs, "PositionChanged")
    return sum(cast(int, event["fee"]) for event in events if event["trader"] == net.book.account)


def _uniswap_fee_wad(net: Localnet, logs: list[Json], spot: float) -> int:
    """The pool takes its share of what goes in; what is paid in the asset counts at the oracle price."""
    is_first = is_base_first(net.lyra.base, net.lyra.quote)
    fee = 0
    for event in net.uniswap.pool.events(logs, "Swap"):
        first, second = cast(int, event["amount0"]), cast(int, event["amount1"])
        base, quote = (first, second) if is_first else (second, first)
        fee += round(base * spot) * POOL_FEE // PPM if base > 0 else quote * POOL_FEE // PPM
    return fee
