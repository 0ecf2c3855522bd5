"""The commands that look at a book or keep it."""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.text import Text

from agent import assembly
from agent.chain.rpc import Rpc
from agent.cli.command import show
from agent.cli.view import (
    assessment_table,
    no_plan_text,
    plan_table,
    positions_table,
    requests_table,
    rows_table,
)
from agent.config import Config, load
from agent.errors import Transient
from agent.market.request import Phase, open_requests
from agent.planning.pending import naked_usd_s
from agent.risk.assessment import assess
from agent.runtime import telemetry
from agent.runtime.cycle import Desk, Pass, cycle
from agent.runtime.docket import turn_json
from agent.runtime.summary import assessment_json, plan_json, snapshot_json, standing_json
from agent.runtime.supervisor import Look, Supervisor, require_positions
from agent.values.address import parse_address
from agent.values.fixed import to_float

if TYPE_CHECKING:
    from agent.proof.record import Entry, Record
    from agent.runtime.metric import Metrics

CALM = frozenset({Phase.REQUESTED, Phase.EXECUTED})


def run(config: Config, *, live: bool, once: bool, delegate: bool, as_json: bool) -> None:
    """Cycles until interrupted (or one). Raises typed errors; what halts has been recorded."""
    telemetry.configure(config.run.log_level, as_json=as_json)
    log = telemetry.logger("agent")

    def told(done: Pass) -> None:
        if as_json:
            sys.stdout.write(json.dumps(pass_json(done), default=str) + "\n")
            sys.stdout.flush()
        _log(log, done)

    with _measured(config) as metrics:
        if not live:
            desk, _ = assembly.dry_desk(config)
            supervisor = Supervisor(desk, _look(config, desk), told, delegate=False, metrics=metrics)
            _supervise(config, desk, supervisor, once=once)
            return
        with assembly.live_desk(config) as (desk, _):
            supervisor = Supervisor(desk, _look(config, desk), told, delegate=delegate, metrics=metrics)
            _supervise(config, desk, supervisor, once=once)


def watch(
    address: str,
    url: str,
    deployment: Path | None,
    ws_url: str | None,
    overrides: list[str],
    *,
    once: bool,
    as_json: bool,
) -> None:
    """Print the account at every head. Raises AccountEmpty for one with nothing on any venue."""
    account = parse_address(address)
    chain_id = Rpc(url).chain_id()
    path = deployment if deployment is not None else assembly.shipped(chain_id)
    given = {"chain.account": account, "chain.deployment": str(path), "rpc.url": url}
    given |= {"rpc.ws_url": ws_url} if ws_url is not None else {}
    config = load(None, [*(f"{key}={json.dumps(value)}" for key, value in given.items()), *overrides])
    _speak(config, as_json=as_json and once)
    desk, block = assembly.dry_desk(config)
    console = Console()
    require_positions(desk, desk.eye.see(account, block))
    heads = iter([block]) if once else iter(assembly.heads_of(config, desk.eye.rpc))
    for head in heads:
        try:
            snapshot = desk.eye.see(account, head)
        except Transient as error:
            if once:
                raise
            telemetry.logger("agent").warning("not read", error=error.code, message=error.message)
            continue
        assessment = assess(snapshot, desk.bounds)
        if as_json:
            both = snapshot_json(snapshot) | {"risk": assessment_json(assessment)}
            sys.stdout.write(json.dumps(both, default=str) + "\n")
            sys.stdout.flush()
            continue
        title = Text(f"block {head.number}  {account}  equity {assessment.equity_usd:,.2f}", style="bold")
        waiting = [requests_table(found)] if (found := open_requests(snapshot)) else []
        console.print(Group(title, positions_table(snapshot), *waiting, assessment_table(assessment)))


def positions(config: Config, *, as_json: bool) -> None:
    """Every holding."""
    _speak(config, as_json=as_json)
    desk, block = assembly.dry_desk(config)
    snapshot = desk.eye.see(desk.account, block)
    require_positions(desk, snapshot)
    show(as_json, lambda: snapshot_json(snapshot), lambda: positions_table(snapshot))


def plan(config: Config, *, as_json: bool) -> None:
    """The plans of one dry cycle; the first that the chain would take is simulated and shown."""
    _speak(config, as_json=as_json)
    desk, block = assembly.dry_desk(config)
    require_positions(desk, desk.eye.see(desk.account, block))
    done = cycle(desk, block)
    lines = [f"dropped: {reason}" for reason in done.refused]
    if done.simulated is not None:
        lines.append(f"simulated on the pending state: {done.simulated.gas_used:,} gas. Nothing was sent.")
    shown = done.chosen or next(iter(done.plans), None)
    show(
        as_json,
        lambda: pass_json(done),
        lambda: Group(
            plan_table(shown) if shown is not None else no_plan_text(done.assessment),
            *(Text(line) for line in lines),
        ),
    )


def journal(config: Config, *, verify: bool, last: int, as_json: bool) -> None:
    """The record's last entries, or a check of all of it."""
    from agent.proof.record import Record

    with assembly.record_of(config) as database:
        record = Record(database)
        if verify:
            count = record.verify()
            show(
                as_json,
                lambda: {"entries": count, "head": record.head(), "verified": True},
                lambda: f"{count} entries, every link holds; newest hash {record.head()}",
            )
            return
        entries = _tail(record, last)
        show(
            as_json,
            lambda: [_entry_json(entry) for entry in entries],
            lambda: rows_table(
                [_entry_row(entry) for entry in entries], prose="what", expendable=("hash", "at (UTC)")
            ),
        )


def pass_json(done: Pass) -> dict[str, object]:
    """One cycle for programs."""
    return {
        "block": done.block.number,
        "risk": assessment_json(done.assessment),
        "venues": [standing_json(one) for one in done.snapshot.standings],
        "plans": [plan_json(plan) for plan in done.plans],
        "simulated_gas": done.simulated.gas_used if done.simulated is not None else None,
        "sent": done.sent.tx_hash if done.sent is not None else None,
        "refused": list(done.refused),
        "requests": [turn_json(turn, done.block) for turn in done.turns],
        "naked_usd_s": naked_usd_s(done.naked),
        "outcomes": [
            {
                "intent_id": after.outcome.intent_id,
                "stage": after.outcome.stage.value,
                "verdict": after.outcome.verdict.value,
                "tx_hash": after.outcome.tx_hash,
                "kept": after.kept,
            }
            for after in done.aftermath
        ],
    }


@contextmanager
def _measured(config: Config) -> Iterator[Metrics | None]:
    """The metrics, on their page; None where none is wanted."""
    if config.run.metrics_port is None:
        yield None
        return
    from agent.runtime.metric import Metrics, serving

    with serving(config.run.metrics_port, Metrics()) as page:
        telemetry.logger("agent").info("metrics", url=page.url)
        yield page.metrics


def _supervise(config: Config, desk: Desk, supervisor: Supervisor, *, once: bool) -> None:
    block = supervisor.start()
    if once:
        supervisor.once(block, assembly.heads_of(config, desk.eye.rpc))
        return

    def stop(_signal: int, _frame: FrameType | None) -> None:
        supervisor.stop()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    supervisor.run(iter(assembly.heads_of(config, desk.eye.rpc)), config.run.interval_s)


def _speak(config: Config, *, as_json: bool) -> None:
    """Logs go to stderr. A command that answers a program once tells only what is grave, so that an error is
    the one object there.
    """
    telemetry.configure("error" if as_json else config.run.log_level, as_json=as_json)


def _look(config: Config, desk: Desk) -> Look:
    return lambda: assembly.newest_block(desk.eye.rpc, config)


def _log(log: telemetry.Logger, done: Pass) -> None:
    for after in done.aftermath:
        log.info(
            "outcome",
            stage=after.outcome.stage.value,
            verdict=after.outcome.verdict.value,
            tx=after.outcome.tx_hash,
            kept=after.kept,
            reason=after.outcome.reason,
        )
    for turn in done.turns:
        request = turn.request
        say = log.info if turn.kept and request.phase in CALM else log.warning
        say(
            "request",
            phase="gone" if turn.is_gone else request.phase.value,
            venue=request.venue,
            key=request.key,
            size=to_float(request.size_wad),
            filled=to_float(request.filled_wad),
            kept=turn.kept,
            reason=request.reason,
        )
    for overdue, _ in done.pending.taken:
        log.warning("request is not filled", venue=overdue.venue, key=overdue.key, phase=overdue.phase.value)
    for reason in done.refused:
        log.warning("plan dropped", reason=reason)
    delta = {asset: round(greeks.delta, 4) for asset, greeks in done.assessment.by_asset.items()}
    facts = {"block": done.block.number, "delta": delta, "distance": round(done.assessment.distance, 4)}
    reasons = done.chosen.reasons if done.chosen is not None else ()
    if done.sent is not None:
        log.info("sent", tx=done.sent.tx_hash, reply=done.sent.reply.value, because=reasons, **facts)
    elif done.simulated is not None:
        log.info("dry run: would send", gas=done.simulated.gas_used, because=reasons, **facts)
    else:
        log.info("cycle", **facts)


def _tail(record: Record, last: int) -> tuple[Entry, ...]:
    entries: tuple[Entry, ...] = ()
    after = 0
    while page := record.entries(after):
        entries = (*entries, *page)[-last:]
        after = page[-1].seq
    return entries


def _entry_json(entry: Entry) -> dict[str, object]:
    return {
        "seq": entry.seq,
        "at_s": entry.at_s,
        "kind": entry.kind,
        "payload": entry.payload,
        "before": entry.before,
        "hash": entry.hash,
    }


def _entry_row(entry: Entry) -> dict[str, object]:
    payload = entry.payload
    told = ("purpose", "stage", "verdict", "error", "reason", "conflicts", "tx_hash")
    words = [str(payload[k]) for k in told if payload.get(k)]
    plan_part = payload.get("plan")
    if isinstance(plan_part, dict):
        words += [str(reason) for reason in plan_part.get("reasons", [])]
    at = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(entry.at_s))
    return {
        "#": entry.seq,
        "at (UTC)": at,
        "kind": entry.kind,
        "what": "; ".join(words)[:160],
        "hash": entry.hash[:12],
    }
