"""Every command of ``evenkeel``. Building is assembly's, words are view's; this is the list of verbs."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agent import __version__
from agent.errors import EvenkeelError

if TYPE_CHECKING:  # not at start-up: --help needs none of it
    from rich.console import RenderableType

    from agent.config import Config

app = typer.Typer(
    name="evenkeel",
    help="Keeps an on-chain derivatives book delta-neutral and away from liquidation.",
    epilog="Exit codes: 0 done, 1 a bug (or a demo whose agent broke a promise), 2 misconfigured, "
    "3 transient, 4 refused, 5 untrusted (halted), 130 interrupted.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,
)
tx_app = typer.Typer(help="What is on its way, and an operator's hand on it.", no_args_is_help=True)
app.add_typer(tx_app, name="tx")
config_app = typer.Typer(help="Show the effective configuration.", no_args_is_help=True)
app.add_typer(config_app, name="config")

ConfigOption = Annotated[
    Path | None, typer.Option("--config", "-c", help="TOML file", envvar=None, show_default=False)
]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", help="override one key: --set policy.deadline_s=60")
]
JsonOption = Annotated[bool, typer.Option("--json", help="print JSON for programs")]


def run(argv: list[str]) -> int:
    """The exit code of one invocation. Typed errors become a sentence (or JSON) on stderr."""
    as_json = "--json" in argv
    try:
        result = app(args=argv, prog_name="evenkeel", standalone_mode=False)
    except typer.Exit as done:
        return int(done.exit_code)
    except typer.Abort:
        return 130
    except KeyboardInterrupt:
        return 130
    except EvenkeelError as error:
        _complain(error, as_json=as_json)
        return error.exit_code
    except typer.TyperException as error:
        message = error.format_message()
        if as_json:
            print(json.dumps({"error": "Usage", "message": message}), file=sys.stderr)
        elif message.startswith("Usage:"):  # nothing was asked: the help itself
            print(message, file=sys.stderr)
        else:
            print(f"evenkeel: {message} (see evenkeel --help)", file=sys.stderr)
        return 2
    return int(result) if isinstance(result, int) else 0


def _complain(error: EvenkeelError, *, as_json: bool) -> None:
    if as_json:
        fields = {name: str(value) for name, value in error.fields.items()}
        print(json.dumps({"error": error.code, "message": error.message, "fields": fields}), file=sys.stderr)
    else:
        from rich.console import Console

        Console(stderr=True, soft_wrap=True).print(
            f"{error.code}: {error.message}", markup=False, style="red"
        )


def show(as_json: bool, data: Callable[[], object], table: Callable[[], RenderableType]) -> None:
    """Print either; only the one asked for is built."""
    if as_json:
        sys.stdout.write(json.dumps(data(), indent=2, default=str) + "\n")
    else:
        from rich.console import Console

        Console().print(table())


def _told_version(is_wanted: bool) -> None:
    if is_wanted:
        print(f"evenkeel {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version_: Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=_told_version, help="print the version and stop"),
    ] = False,
) -> None:
    """What comes before the verb."""


@app.command()
def version(as_json: JsonOption = False) -> None:
    """The version."""
    show(as_json, lambda: {"version": __version__}, lambda: f"evenkeel {__version__}")


@app.command()
def setup(
    root: Annotated[Path | None, typer.Option(help="where to put the toolchain")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="say nothing when all is there")] = False,
    as_json: JsonOption = False,
) -> None:
    """Install anvil, forge, solc and the protocols' artifacts (needs node 20+ with npm)."""
    from agent.sim.toolchain import install

    toolchain = install(root, progress=None if as_json else _progress)
    if not quiet:
        show(as_json, lambda: {"toolchain": str(toolchain.root)}, lambda: f"toolchain in {toolchain.root}")


@app.command()
def localnet(
    out: Annotated[Path, typer.Option(help="where manifest, config and key go")] = Path("out/localnet"),
    port: Annotated[int, typer.Option(min=0, max=65535)] = 8545,
    spot: Annotated[
        float, typer.Option(min=100, max=100_000, help="price of the asset at the start")
    ] = 2000.0,
    block_s: Annotated[int, typer.Option("--block-s", min=1, help="simulated seconds per block")] = 12,
    once: Annotated[bool, typer.Option("--once", help="build, print and stop")] = False,
    as_json: JsonOption = False,
) -> None:
    """A local chain with the real protocol contracts, depth, traders and a seeded book."""
    from agent.cli import local

    local.serve(out, port, spot, block_s, once=once, as_json=as_json)


@app.command()
def fork(
    rpc: Annotated[str, typer.Option("--rpc", help="an archive node of the live chain")],
    deployment: Annotated[
        Path | None, typer.Option(help="the venues' addresses; default: those shipped for the chain")
    ] = None,
    account: Annotated[str | None, typer.Option(help="an account there that the dry run looks at")] = None,
    depth: Annotated[int, typer.Option(min=1, help="how old the state is that the node must have")] = 10_000,
    out: Annotated[Path, typer.Option(help="where the files and the summary go")] = Path("out/fork"),
    as_json: JsonOption = False,
) -> int:
    """The agent on a fork of a live chain: a dry run, then a live one, of an account made for it."""
    from agent.cli.rehearsal import rehearse

    return rehearse(rpc, deployment, account, out, depth, as_json=as_json)


@app.command()
def demo(
    seed: Annotated[int, typer.Option(help="of the market's path")] = 7,
    out: Annotated[Path, typer.Option(help="where report.html and summary.json go")] = Path("out/demo"),
    blocks: Annotated[int, typer.Option(min=60, help="length of the path")] = 300,
    block_time: Annotated[
        float, typer.Option("--block-time", min=0.05, help="real seconds per block with the agent")
    ] = 0.33,
    as_json: JsonOption = False,
) -> None:
    """Keep the seeded book alive through a crash; the same path once with the agent and once without."""
    from agent.cli import demonstration

    raise typer.Exit(demonstration.run(seed, out, blocks, block_time, as_json=as_json))


@app.command("run")
def keep_running(
    config: ConfigOption = None,
    set_: SetOption = None,
    live: Annotated[bool, typer.Option("--live", help="sign and send; without it nothing is sent")] = False,
    once: Annotated[bool, typer.Option("--once", help="one cycle, then stop")] = False,
    delegate: Annotated[
        bool, typer.Option("--delegate", help="let the account delegate to the executor first")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Keep the book: see, judge, plan, act, prove on every head. A dry run unless --live."""
    from agent.cli import keep

    keep.run(_config(config, set_), live=live, once=once, delegate=delegate, as_json=as_json)


@app.command()
def watch(
    address: str,
    rpc: Annotated[str, typer.Option(help="http(s) endpoint of a node")],
    deployment: Annotated[Path | None, typer.Option(help="venues' addresses, if not shipped")] = None,
    ws: Annotated[str | None, typer.Option(help="ws(s) endpoint for new heads")] = None,
    once: Annotated[bool, typer.Option("--once", help="print once and stop")] = False,
    set_: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Watch an account's positions and distance to liquidation. Needs no key and no config."""
    from agent.cli import keep

    keep.watch(address, rpc, deployment, ws, set_ or [], once=once, as_json=as_json)


@app.command()
def scan(
    rpc: Annotated[str, typer.Option(help="http(s) endpoint of a node")],
    venue: Annotated[str | None, typer.Option(help="which one, if there are several")] = None,
    deployment: Annotated[Path | None, typer.Option(help="venues' addresses, if not shipped")] = None,
    ws: Annotated[str | None, typer.Option(help="ws(s) endpoint for new heads")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="how many of the nearest")] = 20,
    below: Annotated[
        float | None, typer.Option("--below", min=0, help="only those nearer (0.1 is 10 %)")
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="print once and stop")] = False,
    csv: Annotated[Path | None, typer.Option(help="also write all of them here", show_default=False)] = None,
    cache: Annotated[Path | None, typer.Option(help="folder of what was found before")] = None,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="look for all accounts anew")] = False,
    judge: Annotated[int, typer.Option(min=1, help="blocks between two readings of everybody")] = 100,
    metrics_port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="serve metrics here, on loopback")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """All accounts of a venue by their distance to liquidation, at every head. Needs no key and no config."""
    from agent.cli import scan as scanned

    wish = scanned.Wish(
        venue=venue,
        limit=limit,
        below=below,
        once=once,
        as_json=as_json,
        csv=csv,
        cache=None if no_cache else cache or scanned.default_cache(),
        judged_every=judge,
        metrics_port=metrics_port,
    )
    scanned.scan(rpc, ws, deployment, wish)


@app.command()
def positions(config: ConfigOption = None, set_: SetOption = None, as_json: JsonOption = False) -> None:
    """Every holding with its Greeks, at the newest block."""
    from agent.cli import keep

    keep.positions(_config(config, set_), as_json=as_json)


@app.command()
def venues(
    config: ConfigOption = None,
    set_: SetOption = None,
    rpc: Annotated[str | None, typer.Option("--rpc", help="the node; no config file is needed then")] = None,
    deployment: Annotated[
        Path | None, typer.Option(help="the venues' addresses; default: those shipped for the chain")
    ] = None,
    account: Annotated[str | None, typer.Option(help="whose way out of closing venues is told")] = None,
    as_json: JsonOption = False,
) -> int:
    """Every venue: what it is, whether its contracts still are that, what may be done there, how to leave."""
    from agent.cli import roster

    if rpc is None:
        return roster.venues(_config(config, set_), as_json=as_json)
    return roster.venues(roster.bare_config(rpc, deployment, account, set_ or []), as_json=as_json)


@app.command()
def risk(config: ConfigOption = None, set_: SetOption = None, as_json: JsonOption = False) -> None:
    """What moves the book, what would liquidate it and why, what the agent would do and at what cost."""
    from agent.cli import risk as explained

    explained.risk(_config(config, set_), as_json=as_json)


@app.command()
def stress(
    config: ConfigOption = None,
    set_: SetOption = None,
    spot: Annotated[
        str, typer.Option(help="moves of the grid's prices, percent")
    ] = "-40,-30,-20,-10,0,10,20,30,40",
    vol: Annotated[str, typer.Option(help="relative moves of its volatility, percent")] = "-30,0,50,100",
    hours: Annotated[str, typer.Option(help="times of its sheets, hours")] = "0,24",
    scenario: Annotated[list[str] | None, typer.Option(help="only this one; as often as wanted")] = None,
    vol_per_fall: Annotated[
        float,
        typer.Option("--vol-per-fall", min=0, max=10, help="rise of volatility per unit of a day's fall"),
    ] = 2.0,
    draws: Annotated[int, typer.Option(min=0, max=1_000_000, help="drawn moves, 0 for none")] = 10_000,
    horizon: Annotated[float, typer.Option(min=0.1, max=8760, help="hours of a drawn move")] = 24.0,
    seed: Annotated[int, typer.Option(min=0, help="of the drawn moves")] = 7,
    html: Annotated[Path | None, typer.Option(help="also write the page here", show_default=False)] = None,
    list_: Annotated[
        bool, typer.Option("--list", help="name the scenarios and their sources, and stop")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """The book under named days, events, drawn moves and a grid of spot by volatility. Sends nothing."""
    from agent.cli import stress as stressed

    if list_:
        stressed.listed(as_json=as_json)
        return
    wish = stressed.Wish(
        spot_moves=stressed.numbers(spot, "--spot", -100.0),
        vol_moves=stressed.numbers(vol, "--vol", -100.0),
        hours=stressed.numbers(hours, "--hours", 0.0, scale=1.0),
        scenarios=tuple(dict.fromkeys(scenario or ())),
        vol_per_fall=vol_per_fall,
        draws=draws,
        horizon_h=horizon,
        seed=seed,
        html=html,
    )
    stressed.stress(_config(config, set_), wish, as_json=as_json)


@app.command()
def plan(config: ConfigOption = None, set_: SetOption = None, as_json: JsonOption = False) -> None:
    """What the agent would do now, and why. Simulates it, sends nothing."""
    from agent.cli import keep

    keep.plan(_config(config, set_), as_json=as_json)


@app.command()
def journal(
    config: ConfigOption = None,
    set_: SetOption = None,
    verify: Annotated[bool, typer.Option("--verify", help="check every link of the record")] = False,
    last: Annotated[int, typer.Option(min=1, help="how many entries")] = 20,
    as_json: JsonOption = False,
) -> None:
    """What was decided, sent and proved: the hash-chained record."""
    from agent.cli import keep

    keep.journal(_config(config, set_), verify=verify, last=last, as_json=as_json)


@tx_app.command("list")
def tx_list(
    config: ConfigOption = None,
    set_: SetOption = None,
    last: Annotated[int, typer.Option(min=1, help="how many")] = 20,
    live_only: Annotated[bool, typer.Option("--open", help="only what has not ended")] = False,
    as_json: JsonOption = False,
) -> None:
    """The newest transactions, one line a nonce: state, verdict and what was bid."""
    from agent.cli import errand

    errand.listed(_config(config, set_), last=last, live_only=live_only, as_json=as_json)


@tx_app.command("show")
def tx_show(
    id_: Annotated[int, typer.Argument(metavar="ID", help="from tx list")],
    config: ConfigOption = None,
    set_: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Everything signed at one nonce, which of it won, and its history."""
    from agent.cli import errand

    errand.told(_config(config, set_), id_, as_json=as_json)


@tx_app.command("bump")
def tx_bump(
    id_: Annotated[int, typer.Argument(metavar="ID", help="from tx list")],
    config: ConfigOption = None,
    set_: SetOption = None,
    live: Annotated[bool, typer.Option("--live", help="do it; without it nothing is sent")] = False,
    as_json: JsonOption = False,
) -> None:
    """Bid more for it now, within its budget."""
    from agent.cli import errand
    from agent.tx.ledger import Wish

    raise typer.Exit(errand.asked(_config(config, set_), id_, Wish.BUMP, live=live, as_json=as_json))


@tx_app.command("cancel")
def tx_cancel(
    id_: Annotated[int, typer.Argument(metavar="ID", help="from tx list")],
    config: ConfigOption = None,
    set_: SetOption = None,
    live: Annotated[bool, typer.Option("--live", help="do it; without it nothing is sent")] = False,
    as_json: JsonOption = False,
) -> None:
    """Use its nonce for nothing. Which of the two was mined, tx show says."""
    from agent.cli import errand
    from agent.tx.ledger import Wish

    raise typer.Exit(errand.asked(_config(config, set_), id_, Wish.CANCEL, live=live, as_json=as_json))


@app.command()
def signer(config: ConfigOption = None, set_: SetOption = None, as_json: JsonOption = False) -> None:
    """Whether the key is where the config says: its address, one checked signature, and the time it took."""
    from agent.cli import signing

    signing.probe(_config(config, set_), as_json=as_json)


@config_app.command("show")
def config_show(config: ConfigOption = None, set_: SetOption = None, as_json: JsonOption = False) -> None:
    """The effective configuration, without secrets."""
    from agent.cli.view import pairs_table

    shown = _config(config, set_).effective()
    show(as_json, lambda: shown, lambda: pairs_table(_flat(shown)))


def _flat(nested: dict[str, object], before: str = "") -> list[tuple[str, object]]:
    pairs: list[tuple[str, object]] = []
    for key, value in nested.items():
        if isinstance(value, dict):
            pairs += _flat(value, f"{before}{key}.")
        else:
            pairs.append((before + key, value))
    return pairs


def _config(path: Path | None, overrides: list[str] | None) -> Config:
    """The named file, else ./evenkeel.toml if there is one, else only the overrides."""
    from agent.config import load

    default = Path("evenkeel.toml")
    return load(path or (default if default.exists() else None), overrides or [])


def _progress(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
