"""``evenkeel venues``: what each venue is, whether it is still that, and what may be done there."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

from eth_utils.crypto import keccak
from rich.console import Group
from rich.text import Text

from agent import assembly
from agent.chain.rpc import Rpc
from agent.cli.command import show
from agent.cli.grid import Grid
from agent.config import Config, load
from agent.errors import EvenkeelError
from agent.planning.exit import Exit, exit_of
from agent.runtime.alarm import is_exposed
from agent.runtime.cycle import Desk, writers
from agent.runtime.roster import Entry, roster
from agent.runtime.summary import Json, action_json, plain, standing_json
from agent.values.address import parse_address
from agent.values.block import Block

# An account that nobody has: some contracts do not answer for the zero address.
NOBODY = parse_address("0x" + keccak(text="evenkeel: nobody's account")[12:].hex())
UNPINNED = "no code is known of them; if the manifest names them, an agent holds them to its own first look"
DRIFTED = 5  # the exit code where a contract is not what it should be


def venues(config: Config, *, as_json: bool) -> int:
    """Show all; 0 if every expectation is met, 5 if a contract drifted or is another's."""
    deployment = assembly.deployment_of(config)
    rpc = assembly.rpc_of(config, deployment.chain_id)
    block = assembly.newest_block(rpc, config)
    known = assembly.venues_of(deployment)
    entries = roster(rpc, deployment, known, config.account, block, config.policy.exit_lead_s)
    exits, trouble = _exits(config, entries, block)
    show(
        as_json,
        lambda: {
            "chain_id": deployment.chain_id,
            "block": block.number,
            "venues": [entry_json(entry, exits.get(entry.venue)) for entry in entries],
            "account": None if config.account == NOBODY else config.account,
            "exits_unknown": trouble,
        },
        lambda: Group(*(_panel(deployment.chain_id, entry, exits.get(entry.venue)) for entry in entries)),
    )
    return 0 if all(entry.is_sound for entry in entries) else DRIFTED


def bare_config(url: str, deployment: Path | None, account: str | None, overrides: list[str]) -> Config:
    """A config of nothing but a node, a deployment and perhaps an account."""
    path = deployment if deployment is not None else assembly.shipped(Rpc(url).chain_id())
    given = {"chain.account": account or NOBODY, "chain.deployment": str(path), "rpc.url": url}
    words = (f"{key}={json.dumps(value)}" for key, value in given.items())
    return load(None, [*words, "rpc.max_head_age_s=0", *overrides])


def _exits(config: Config, entries: tuple[Entry, ...], block: Block) -> tuple[dict[str, Exit], str]:
    """How the account leaves the venues that are closing; and why that is not known, if it is not."""
    closing = [entry.venue for entry in entries if entry.standing.stage != "open" or _is_near(config, entry)]
    if config.account == NOBODY or not closing:
        return {}, ""
    try:
        desk: Desk = assembly.dry_desk(config)[0]
        snapshot = desk.eye.see(config.account, block)
    except EvenkeelError as error:
        return {}, error.message
    known = writers(desk, snapshot)
    found = {name: exit_of(snapshot, name, config.policy, known[name]) for name in closing}
    return {name: one for name, one in found.items() if one.is_needed or is_exposed(snapshot, name)}, ""


def _is_near(config: Config, entry: Entry) -> bool:
    left_s = entry.standing.ends_in_s
    return left_s is not None and left_s <= config.policy.exit_lead_s


def entry_json(entry: Entry, way_out: Exit | None) -> Json:
    """One venue for programs."""
    manifest, ability = entry.manifest, entry.ability
    return {
        **standing_json(entry.standing),
        "settlement": entry.settlement,
        "sound": entry.is_sound,
        "refusal": entry.refusal or None,
        "unread": entry.unread or None,
        "can": {
            "read": ability.reads,
            "margin": ability.margin or None,
            "flip_exact": ability.flip_exact,
            "write": list(ability.writes),
            "tested_on": ability.bytecode or None,
        },
        "contracts": [
            {
                "name": place.name,
                "address": place.known.address,
                "source": place.known.source or None,
                "code_hash": place.known.code_hash,
                "implementation": place.known.implementation,
                "basis": place.known.basis or None,
                "met": place.met,
            }
            for place in entry.places
        ],
        "answers": dict(manifest.words),
        "verified": None if manifest.verified is None else manifest.verified.model_dump(mode="json"),
        "needs_codeless_account": manifest.needs_codeless_account,
        "close_only_from": None if manifest.close_only_from is None else manifest.close_only_from.isoformat(),
        "ends": None if manifest.ends is None else manifest.ends.isoformat(),
        "note": manifest.note or None,
        "markets": [
            {"market": q.market, "asset": q.asset, "index": plain(q.index_wad)} for q in entry.markets
        ],
        "exit": None if way_out is None else exit_json(way_out),
    }


def exit_json(way_out: Exit) -> Json:
    """The way out of one venue."""
    return {
        "by": None if way_out.by_s is None else _day(way_out.by_s),
        "cost": plain(way_out.cost_wad),
        "steps": [
            {"key": s.key, **action_json(s.action), "cost": plain(s.cost_wad), "refusal": s.refusal or None}
            for s in way_out.steps
        ],
        "left": list(way_out.left),
    }


def _panel(chain_id: int, entry: Entry, way_out: Exit | None) -> Group:
    how, ability = entry.standing, entry.ability
    style = "green" if how.access.value == "open" else "yellow" if entry.is_sound else "bold red"
    lines: list[object] = [
        Text(f"{entry.venue} on chain {chain_id}: {how.access.value}", style=style),
        Text(f"  fills in {entry.settlement}; stage {how.stage}{_end(entry)}"),
        Text(f"  reads {ability.reads}; writes {', '.join(ability.writes) or 'nothing'}"),
        Text(
            f"  margin: {ability.margin or 'none'}"
            + ("; its flip is the contract's own" if ability.flip_exact else "")
            + f"; tested on {ability.bytecode or 'stand-ins only'}"
        ),
    ]
    lines += [Text(f"  ! {reason}", style="red") for reason in (*how.drifts, *how.reasons)]
    if entry.manifest.needs_codeless_account:
        lines.append(Text("  takes orders of accounts without code only"))
    if entry.manifest.note:
        lines.append(Text(f"  {entry.manifest.note}"))
    if entry.unexpected:
        lines.append(Text(f"  {entry.unexpected} of {len(entry.places)} addresses are unpinned: {UNPINNED}"))
    seen = entry.manifest.verified
    if seen is not None:
        lines.append(Text(f"  verified {seen.date}" + (f" at block {seen.block}" if seen.block else "")))
    grid = Grid("contract", "address", "as expected", "source", prose="source", expendable=("source",))
    words = {True: "yes", False: "NO", None: "unpinned"}
    for place in entry.places:
        grid.add(place.name, place.known.address, words[place.met], place.known.source or "-")
    markets = Grid("market", "asset", "index")
    for quote in entry.markets:
        markets.add(quote.market, quote.asset, plain(quote.index_wad))
    return Group(*lines, grid, markets, *_way_out(way_out))  # type: ignore[arg-type]


def _way_out(way_out: Exit | None) -> list[Text]:
    if way_out is None:
        return []
    by = "" if way_out.by_s is None else f" by {_day(way_out.by_s)}"
    lines = [Text(f"  way out{by}, at a cost of {plain(way_out.cost_wad)}:", style="bold")]
    for step in way_out.steps:
        words = action_json(step.action)
        refusal = f" (refused now: {step.refusal})" if step.refusal else ""
        lines.append(Text(f"    close {words['size']} of {step.key} for {plain(step.cost_wad)}{refusal}"))
    return lines + [Text(f"    {left}") for left in way_out.left]


def _end(entry: Entry) -> str:
    left_s = entry.standing.ends_in_s
    if left_s is None:
        return ""
    return f", ends in {left_s / 3600:.1f} h" if left_s > 0 else f", ended {-left_s / 3600:.1f} h ago"


def _day(at_s: int) -> str:
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
