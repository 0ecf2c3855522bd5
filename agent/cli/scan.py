"""`evenkeel scan`: every account of a venue by its distance to liquidation, at every head."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import platformdirs
from rich.console import Console, RenderableType
from rich.live import Live

from agent.chain.head import Heads
from agent.chain.lens import read_one
from agent.chain.rpc import Rpc
from agent.cli.ranking import Ranking, write_csv
from agent.errors import ChainMismatch, ConfigInvalid, Transient, VenueUnknown
from agent.runtime.register import Register
from agent.runtime.scan import Scan, Sighting
from agent.values.block import Block
from agent.venues.crowd import CrowdVenue
from agent.venues.deployments import Deployment, load

if TYPE_CHECKING:
    from agent.runtime.gauge import Gauges

TIMEOUT_S = 60.0  # of one request: a table of thousands of accounts is one
POLL_S = 0.5
KEPT_EVERY_S = 60.0
NOTHING_TO_LIQUIDATE = "a position there is owned outright: nothing on it can be liquidated"


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked for. ``below``: only accounts nearer than that; ``csv``: also write all of them there;
    ``cache``: the folder of what was found before, None for none.
    """

    venue: str | None
    limit: int
    below: float | None
    once: bool
    as_json: bool
    csv: Path | None
    cache: Path | None
    judged_every: int
    metrics_port: int | None


def scan(url: str, ws_url: str | None, deployment: Path | None, wish: Wish) -> None:
    """Print a ranking per head until interrupted, or one. Raises ConfigInvalid, VenueUnknown, ChainMismatch,
    ContractMismatch and, with ``once``, what reading raises.
    """
    rpc = Rpc(url, TIMEOUT_S)
    chain_id = rpc.chain_id()
    known = load(deployment if deployment is not None else _shipped(chain_id))
    if known.chain_id != chain_id:
        raise ChainMismatch(endpoint=rpc.endpoint, actual=chain_id, expected=known.chain_id)
    venue = venue_of(known, wish.venue)
    read_one(rpc, rpc.block(), venue.identify())
    with _speaking(is_quiet=wish.as_json or not sys.stderr.isatty()) as say:
        register = Register(rpc, venue, chain_id, _cache(wish, chain_id, venue), say=say)
        register.open()
        watcher = Scan(rpc, venue, register, top=wish.limit, judged_every=wish.judged_every)
        heads = (
            iter([rpc.block()])
            if wish.once
            else iter(Heads(rpc, () if ws_url is None else (ws_url,), POLL_S))
        )
        _follow(watcher, heads, wish)


def venue_of(deployment: Deployment, name: str | None) -> CrowdVenue[object]:
    """The venue of that name, else the deployment's first. Raises VenueUnknown if the deployment lacks it and
    ConfigInvalid if nothing on it can be liquidated.
    """
    makers: dict[str, Callable[[], object]] = {}
    if (curie := deployment.curie) is not None:

        def make_curie() -> object:
            from agent.venues.curie.crowd import CurieCrowd  # only the venue that is asked for is loaded

            return CurieCrowd(curie)

        makers["curie"] = make_curie
    if (lyra := deployment.lyra) is not None:

        def make_lyra() -> object:
            from agent.venues.lyra.crowd import LyraCrowd

            return LyraCrowd(lyra)

        makers["lyra"] = make_lyra
    if name == "uniswap" or (name is None and not makers and deployment.uniswap is not None):
        raise ConfigInvalid(key="--venue", value="uniswap", reason=NOTHING_TO_LIQUIDATE)
    if name is None and not makers:
        raise ConfigInvalid(
            key="chain.deployment", value=None, reason="it names no venue whose accounts can be scanned"
        )
    chosen = next(iter(makers)) if name is None else name
    if chosen not in makers:
        raise VenueUnknown(name=chosen, known=", ".join(makers) or "none of the deployment's")
    # What a venue keeps is given back to it alone, by `Scan`.
    return cast(CrowdVenue[object], makers[chosen]())


def _follow(watcher: Scan[object], heads: Iterator[Block], wish: Wish) -> None:
    ranking = Ranking(watcher.venue, wish.limit, wish.below)
    written_at = -math.inf
    with _screen(wish) as show, _measured(wish) as page:
        for head in heads:
            try:
                seen = watcher.look(head)
            except Transient as error:
                if wish.once:
                    raise
                print(f"{error.code}: {error.message}", file=sys.stderr)
                continue
            rows = ranking.shown(seen)
            if wish.as_json:
                sys.stdout.write(json.dumps(ranking.told(seen, rows)) + "\n")
                sys.stdout.flush()
            else:
                show(ranking.table(seen, rows))
            if wish.csv is not None:
                _write(wish.csv, ranking, seen)
            if page is not None:
                page.tell(seen, wish.below)
            _complain(watcher.venue, seen)
            ranking.remember(seen)
            if time.monotonic() - written_at > KEPT_EVERY_S:
                _keep(watcher.register)
                written_at = time.monotonic()


def _write(path: Path, ranking: Ranking, seen: Sighting) -> None:
    try:
        write_csv(path, ranking, seen)
    except OSError as error:
        raise ConfigInvalid(key="--csv", value=str(path), reason=str(error)) from error


def _keep(register: Register) -> None:
    """What cannot be kept is found again by the next start."""
    try:
        register.keep()
    except OSError as error:
        print(f"the cache {register.path} cannot be written: {error}", file=sys.stderr)


def _complain(venue: CrowdVenue[object], seen: Sighting) -> None:
    """Of what should not be; the ranking is right all the same, for what was wrong is read anew."""
    if seen.missed:
        text = f"{seen.missed} accounts had changed without an event that says so; read anew"
        print(f"block {seen.block.number}: {text}", file=sys.stderr)
    if len(seen.mistaken):
        names = ", ".join(venue.account(seen.subjects[row]) for row in seen.mistaken[:3])
        text = f"the contract says otherwise of {len(seen.mistaken)} accounts ({names}); its word was taken"
        print(f"block {seen.block.number}: {text}", file=sys.stderr)


def _shipped(chain_id: int) -> Path:
    from agent.assembly import shipped  # loads the whole agent: only without a file of one's own

    return shipped(chain_id)


def _cache(wish: Wish, chain_id: int, venue: CrowdVenue[object]) -> Path | None:
    return None if wish.cache is None else wish.cache / f"{chain_id}-{venue.name}-{venue.homes[0]}.json"


def default_cache() -> Path:
    """The user's folder for what can be found again."""
    return platformdirs.user_cache_path("evenkeel") / "accounts"


@contextmanager
def _measured(wish: Wish) -> Iterator[Gauges | None]:
    if wish.metrics_port is None:
        yield None
        return
    from agent.runtime.gauge import serving  # only who wants the metrics loads their library

    with serving(wish.metrics_port) as gauges:
        yield gauges


@contextmanager
def _speaking(*, is_quiet: bool) -> Iterator[Callable[[str], None]]:
    """One line on stderr that is written over."""
    console = Console(stderr=True)

    def say(text: str) -> None:
        if not is_quiet:
            console.print(f"[dim]{text}[/dim]", end="\r", soft_wrap=True)

    yield say


@contextmanager
def _screen(wish: Wish) -> Iterator[Callable[[RenderableType], None]]:
    """A table that is drawn over where there is a terminal, else one after the other."""
    console = Console()
    if wish.once or wish.as_json or not console.is_terminal:
        yield console.print
        return
    with Live(console=console, auto_refresh=False) as live:

        def show(table: RenderableType) -> None:
            live.update(table, refresh=True)

        yield show
