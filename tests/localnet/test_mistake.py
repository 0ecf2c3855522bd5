"""Every mistake a user can make with the command line: it is named with its cure, and nothing is sent."""

from __future__ import annotations

import json
import os
import threading
import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import stamina
import tomli_w

from agent.cli.local import write_files
from agent.market.intent import Urgency
from agent.proof.database import Database
from agent.proof.journal import Journal
from agent.sim.anvil import Anvil, AnvilOptions
from agent.sim.localnet import Localnet
from agent.sim.node import Node
from agent.sim.toolchain import Toolchain
from agent.tx.errand import NO_INTENT, Errand, Purpose
from agent.values.address import Address, ChainId
from agent.venues.deployments import CurieDeployment, LyraDeployment, UniswapDeployment
from tests.lane import write_keystore
from tests.told import LIVE, Ask, asker, nothing_sent

STRANGER = Address("0x000000000000000000000000000000000000dEaD")
OTHER_CHAIN = 4242


@pytest.fixture
def ask(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Ask:
    return asker(capsys, monkeypatch, tmp_path)


@pytest.fixture(scope="module")
def other_chain(toolchain: Toolchain) -> Iterator[Node]:
    with Anvil(toolchain.anvil, AnvilOptions(chain_id=OTHER_CHAIN, accounts=1)) as node:
        yield node


@dataclass
class World:
    """Files of a user who is about to make a mistake."""

    net: Localnet
    config: Path
    other_url: str
    monkeypatch: pytest.MonkeyPatch
    held: ExitStack

    @property
    def folder(self) -> Path:
        return self.config.parent

    def file(self, name: str, text: str, mode: int = 0o600) -> Path:
        path = self.folder / name
        path.write_text(text)
        path.chmod(mode)
        return path

    def deployment(self, **changes: object) -> tuple[str, ...]:
        """The deployment with values put in at "venue__key" (None: the key is taken out)."""
        raw = json.loads((self.folder / "deployment.json").read_text())
        for where, value in changes.items():
            *path, last = where.split("__")
            part = raw
            for step in path:
                part = part[int(step)] if isinstance(part, list) else part[step]
            if value is None:
                del part[last]
            else:
                part[last] = value
        return self.set("chain.deployment", self.file("changed.json", json.dumps(raw)))

    def set(self, key: str, value: object) -> tuple[str, ...]:
        return ("--set", f"{key}={value}")

    def environment(self, **variables: object) -> tuple[str, ...]:
        for name, value in variables.items():
            self.monkeypatch.setenv(name, str(value))
        return ()

    def without(self, section: str, key: str) -> tuple[str, ...]:
        raw = tomllib.loads(self.config.read_text())
        del raw[section][key]
        self.config.write_text(tomli_w.dumps(raw))
        return ()

    def journal_of(self, chain_id: int, account: Address) -> tuple[str, ...]:
        with Database(self.folder / "evenkeel.sqlite", time.time) as database:
            errand = Errand(
                ChainId(chain_id), account, 0, Purpose.DELEGATION, NO_INTENT, 0, Urgency.NORMAL, 0
            )
            Journal(database).open(errand)
        return ()

    def running_agent(self) -> tuple[str, ...]:
        self.held.enter_context(Database(self.folder / "evenkeel.sqlite", time.time))
        return ()

    @property
    def token(self) -> str:
        """A contract, but not a protocol's."""
        return self.net.lyra.quote.address


@pytest.fixture
def world(
    localnet: Localnet, tmp_path: Path, other_chain: Node, monkeypatch: pytest.MonkeyPatch
) -> Iterator[World]:
    with ExitStack() as held:
        yield World(localnet, write_files(localnet, tmp_path / "net"), other_chain.url, monkeypatch, held)


@dataclass(frozen=True)
class Case:
    """A mistake, made with ``command``, and what has to be said about it."""

    name: str
    make: Callable[[World], tuple[object, ...]]
    code: int
    error: str
    words: tuple[str, ...]
    command: tuple[str, ...] = LIVE


def wrong(value: str) -> Callable[[World], tuple[object, ...]]:
    return lambda world: ("--set", value)


NODE = (
    Case(
        "the node is away", wrong("rpc.url=http://127.0.0.1:1"), 3, "RpcUnavailable", ("`rpc.url`", "refused")
    ),
    Case(
        "another chain's node",
        lambda w: w.set("rpc.url", w.other_url),
        5,
        "ChainMismatch",
        ("serves chain 4242", "31337", "`rpc.url`"),
    ),
    Case("a node by ftp", wrong("rpc.url=ftp://node"), 2, "ConfigInvalid", ("`rpc.url`", "http://")),
    Case(
        "a URL's file is missing",
        lambda w: w.environment(EVENKEEL_RPC_URL_FILE="none"),
        2,
        "KeyUnreadable",
        ("EVENKEEL_RPC_URL_FILE", "does not exist"),
    ),
)
ACCOUNT = (
    Case(
        "a checksum is wrong",
        wrong("chain.account=0xDD2FD4581271e230360230F9337D5c0430Bf44C0"),
        2,
        "ConfigInvalid",
        ("`chain.account`", "checksum", "40 hex digits"),
    ),
    Case(
        "an address is short",
        wrong("chain.account=0x1234"),
        2,
        "ConfigInvalid",
        ("`chain.account`", "40 hex digits"),
    ),
    Case(
        "no account",
        lambda w: w.without("chain", "account"),
        2,
        "ConfigInvalid",
        ("`chain.account`", "--set chain.account="),
    ),
    *(
        Case(
            f"{command[0]} of an empty account",
            wrong(f"chain.account={STRANGER}"),
            2,
            "AccountEmpty",
            (STRANGER, "curie, lyra, uniswap", "Check the address"),
            command,
        )
        for command in (("positions",), ("risk",), ("plan",), ("run", "--once"))
    ),
)
KEY = (
    Case(
        "the key file is missing",
        wrong("signer.keystore=none.json"),
        2,
        "KeyUnreadable",
        ("`signer.keystore`", "none.json", "does not exist"),
    ),
    Case(
        "the key file is no JSON",
        lambda w: w.set("signer.keystore", w.file("k", "{")),
        2,
        "KeyUnreadable",
        ("`signer.keystore`", "not JSON"),
    ),
    Case(
        "the key file is no keystore",
        lambda w: w.set("signer.keystore", w.file("k", "{}")),
        2,
        "KeyUnreadable",
        ("`signer.keystore`", "not a v3 keystore"),
    ),
    Case(
        "others can read the key file",
        lambda w: (w.folder / "key.json").chmod(0o644) or (),
        2,
        "KeyUnreadable",
        ("`signer.keystore`", "0644", "chmod 600"),
    ),
    Case(
        "others can read the password",
        lambda w: (w.folder / "password").chmod(0o644) or (),
        2,
        "KeyUnreadable",
        ("`signer.password_file`", "0644", "chmod 600"),
    ),
    Case(
        "another account's key",
        lambda w: (
            *w.set("signer.keystore", write_keystore(w.folder / "k")),
            *w.environment(EVENKEEL_KEY_PASSWORD="correct horse"),
        ),
        2,
        "KeyUnreadable",
        ("`signer.keystore`", "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266", "not of 0xdD2F"),
    ),
    Case(
        "a wrong password",
        lambda w: w.environment(EVENKEEL_KEY_PASSWORD="wrong"),
        2,
        "KeyUnreadable",
        ("`signer.keystore`", "password is wrong", "EVENKEEL_KEY_PASSWORD"),
    ),
    Case(
        "no password",
        lambda w: w.without("signer", "password_file"),
        2,
        "ConfigInvalid",
        ("`signer.password_file`", "EVENKEEL_KEY_PASSWORD"),
    ),
    Case(
        "two passwords",
        lambda w: w.environment(EVENKEEL_KEY_PASSWORD="a", EVENKEEL_KEY_PASSWORD_FILE="b"),
        2,
        "ConfigInvalid",
        ("`EVENKEEL_KEY_PASSWORD`", "EVENKEEL_KEY_PASSWORD_FILE"),
    ),
    Case("no key", lambda w: w.without("signer", "keystore"), 2, "ConfigInvalid", ("`signer.keystore`",)),
)
DEPLOYMENT = (
    Case(
        "an unknown venue",
        lambda w: w.deployment(aave={"pool": w.token}),
        2,
        "VenueUnknown",
        ("'aave'", "curie, lyra, uniswap"),
    ),
    Case(
        "an unknown key",
        lambda w: w.deployment(curie__valt=w.token),
        2,
        "ConfigInvalid",
        ("chain.deployment:curie.valt", "nearest is `vault`"),
    ),
    Case(
        "an unknown key in a list",
        lambda w: w.deployment(uniswap__pools__0__adress=w.token),
        2,
        "ConfigInvalid",
        ("chain.deployment:uniswap.pools.0.adress", "nearest is `address`"),
    ),
    Case(
        "an unknown key at the top",
        lambda w: w.deployment(chian_id=1),
        2,
        "ConfigInvalid",
        ("chain.deployment:chian_id", "nearest is `chain_id`"),
    ),
    Case(
        "a missing key",
        lambda w: w.deployment(lyra__viewer=None),
        2,
        "ConfigInvalid",
        ("chain.deployment:lyra.viewer", "missing"),
    ),
    Case(
        "a malformed address",
        lambda w: w.deployment(lyra__viewer="0x12"),
        2,
        "ConfigInvalid",
        ("chain.deployment:lyra.viewer", "0x12", "40 hex digits"),
    ),
    Case(
        "no venue at all",
        lambda w: w.deployment(curie=None, lyra=None, uniswap=None, gmx=None, manifests=None),
        2,
        "ConfigInvalid",
        ("`chain.deployment`", "no venue"),
    ),
    Case(
        "another chain's deployment",
        lambda w: w.deployment(chain_id=10),
        2,
        "ConfigInvalid",
        ("`chain.deployment`", "of chain 10", "31337"),
    ),
    Case(
        "the deployment is missing",
        wrong("chain.deployment=none.json"),
        2,
        "ConfigInvalid",
        ("`chain.deployment`", "none.json", "no such file"),
    ),
    Case(
        "the deployment is no JSON",
        lambda w: w.set("chain.deployment", w.file("d", "{")),
        2,
        "ConfigInvalid",
        ("`chain.deployment`", "not JSON"),
    ),
    Case(
        "the deployment is a list",
        lambda w: w.set("chain.deployment", w.file("d", "[]")),
        2,
        "ConfigInvalid",
        ("`chain.deployment`", "JSON object"),
    ),
    Case(
        "the deployment is a folder",
        lambda w: w.set("chain.deployment", w.folder),
        2,
        "ConfigInvalid",
        ("`chain.deployment`", "cannot be read"),
    ),
)
CONTRACT = (
    *(
        Case(
            f"a token as {where}",
            lambda w, where=where: w.deployment(**{where: w.token}),
            5,
            "ContractMismatch",
            ("is not", named, "deployment"),
        )
        for where, named in (
            ("curie__vault", "Curie"),
            ("lyra__viewer", "Lyra"),
            ("uniswap__position_manager", "Uniswap"),
            ("uniswap__pools__0__address", "Uniswap"),
            ("executor", "executor"),
        )
    ),
    *(
        Case(
            f"nobody as {where}",
            lambda w, where=where: w.deployment(**{where: STRANGER}),
            5,
            "ContractMismatch",
            (STRANGER, named, "deployment"),
        )
        for where, named in (
            ("curie__clearing_house", "Curie"),
            ("lyra__option_market", "Lyra"),
            ("uniswap__swap_router", "Uniswap"),
            ("executor", "executor"),
        )
    ),
    Case(
        "nobody as executor.address",
        wrong(f"executor.address={STRANGER}"),
        5,
        "ContractMismatch",
        (STRANGER, "executor"),
    ),
    Case("no executor", lambda w: w.deployment(executor=None), 2, "ConfigInvalid", ("`executor.address`",)),
)
CONFIG = (
    Case(
        "an unknown key in the file",
        lambda w: w.file("evenkeel.toml", w.config.read_text().replace("poll_s", "pol_s")) and (),
        2,
        "ConfigInvalid",
        ("`rpc.pol_s`", "nearest is `rpc.poll_s`"),
    ),
    Case(
        "an unknown setting",
        wrong("policy.deadline=3"),
        2,
        "ConfigInvalid",
        ("`policy.deadline`", "nearest is `policy.deadline_s`"),
    ),
    Case(
        "a session's role", wrong("signer.role=session"), 2, "ConfigInvalid", ("`signer.role`", "no such key")
    ),
    Case(
        "a setting without a value", wrong("policy.deadline_s"), 2, "ConfigInvalid", ("`--set`", "key=value")
    ),
    Case(
        "no TOML",
        lambda w: w.file("evenkeel.toml", "[chain\n") and (),
        2,
        "ConfigInvalid",
        ("`--config`", "not TOML", "line 1"),
    ),
    Case(
        "the file is missing",
        lambda w: ("-c", "none.toml"),
        2,
        "ConfigInvalid",
        ("`--config`", "no such file"),
    ),
    Case(
        "the file is a folder",
        lambda w: ("-c", w.folder),
        2,
        "ConfigInvalid",
        ("`--config`", "cannot be read"),
    ),
    Case(
        "an unknown variable",
        lambda w: w.environment(EVENKEEL_PASSWORD="x"),
        2,
        "ConfigInvalid",
        ("`EVENKEEL_PASSWORD`", "nearest is EVENKEEL_KEY_PASSWORD"),
    ),
    *(
        Case(setting, wrong(setting), 2, "ConfigInvalid", (f"`{named}`",))
        for setting, named in (
            ("policy.slippage_bps=-1", "policy.slippage_bps"),
            ("policy.floor_distance=-0.1", "policy.floor_distance"),
            ("policy.band.ETH=-1", "policy"),
            ("policy.band.ETH=wide", "policy.band.ETH"),
            ("policy.deadline_s=-5", "policy.deadline_s"),
            ("policy.cash_reserve=-1", "policy.cash_reserve"),
            ("policy.min_trade=-1", "policy.min_trade"),
            ("policy.target_distance=0.1", "policy"),
            ("tx.max_cost_wei=-1", "tx.max_cost_wei"),
            ("tx.confirm_depth=0", "tx.confirm_depth"),
            ("rpc.timeout_s=-1", "rpc.timeout_s"),
            ("run.interval_s=-1", "run.interval_s"),
        )
    ),
)
JOURNAL = (
    Case(
        "another account's journal",
        lambda w: w.journal_of(31337, STRANGER),
        2,
        "ConfigInvalid",
        ("`run.journal`", STRANGER),
    ),
    Case(
        "another chain's journal",
        lambda w: w.journal_of(10, w.net.book.account),
        2,
        "ConfigInvalid",
        ("`run.journal`", "chain 10"),
    ),
    Case(
        "a journal in use",
        lambda w: w.running_agent(),
        2,
        "JournalLocked",
        (f"process {os.getpid()}", "run.journal"),
    ),
    Case(
        "a journal that is none",
        lambda w: w.set("run.journal", w.file("j", "not a database " * 99)),
        5,
        "JournalCorrupt",
        ("not a database",),
    ),
    Case(
        "a journal below a file",
        lambda w: w.set("run.journal", w.file("j", "") / "evenkeel.sqlite"),
        3,
        "JournalUnwritable",
        ("evenkeel.sqlite",),
    ),
    Case(
        "no journal to show",
        lambda w: (),
        2,
        "ConfigInvalid",
        ("`run.journal`", "run --live first"),
        ("journal",),
    ),
    Case("nothing to verify", lambda w: (), 2, "ConfigInvalid", ("`run.journal`",), ("journal", "--verify")),
)
CASES = (*NODE, *ACCOUNT, *KEY, *DEPLOYMENT, *CONTRACT, *CONFIG, *JOURNAL)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_mistake_is_named_with_its_cure_and_sends_nothing(ask: Ask, world: World, case: Case) -> None:
    words = ("-c", world.config, *case.make(world))
    with nothing_sent(world.net):
        told, shown = ask(*case.command, *words, "--json"), ask(*case.command, *words)
    assert (told.code, told.error["error"], told.out) == (case.code, case.error, ""), told
    assert (shown.code, shown.out) == (case.code, "")
    message = str(told.error["message"])
    assert shown.err.endswith(f"{case.error}: {message}\n")
    assert not [word for word in case.words if word not in message], message
    if case.command[0] != "run":
        assert len(told.err.splitlines()) == 1
    assert len(message) < 400


@pytest.mark.parametrize("venue", ["curie", "lyra", "uniswap"])
def test_every_single_wrong_address_of_a_deployment_is_noticed(ask: Ask, world: World, venue: str) -> None:
    kinds = {"curie": CurieDeployment, "lyra": LyraDeployment, "uniswap": UniswapDeployment}
    lists = {"markets": ("address",), "pools": ("address", "asset_token", "quote_token")}
    optional = {"collaterals"}
    fields = [name for name in kinds[venue].model_fields if name not in {"asset", *lists}]
    fields += [
        f"{name}__0__{part}" for name in lists if name in kinds[venue].model_fields for part in lists[name]
    ]
    assert len(fields) >= 6
    others = {
        "curie": world.net.lyra.viewer.address,
        "lyra": world.net.curie.vault.address,
        "uniswap": world.net.curie.vault.address,
    }
    for field in fields:
        for instead in (others[venue], STRANGER):
            value = [{"address": instead, "asset": "ETH"}] if field in optional else instead
            words = world.deployment(**{f"{venue}__{field}": value})
            told = ask("positions", "-c", world.config, *words, "--json")
            assert (told.code, told.error["error"]) == (5, "ContractMismatch"), (field, instead, told)


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (("nonsense",), "No such command 'nonsense'"),
        (("run", "--liv"), "--live"),
        (("watch", "--rpc", "http://x"), "Missing argument"),
        (("watch", STRANGER), "Missing option '--rpc'"),
        (("journal", "--last", "0"), "--last"),
        (("config", "shew"), "No such command 'shew'"),
        (("localnet", "--port", "99999"), "--port"),
    ],
)
def test_a_wrong_word_is_a_usage_error(ask: Ask, argv: tuple[str, ...], words: str) -> None:
    shown, told = ask(*argv), ask(*argv, "--json")
    assert (shown.code, shown.out, told.code, told.out) == (2, "", 2, "")
    assert words in shown.err
    assert shown.err.startswith("evenkeel: ")
    assert (told.error["error"], len(told.err.splitlines())) == ("Usage", 1)
    assert words in str(told.error["message"])


@pytest.mark.parametrize("argv", [(), ("config",)])
def test_no_word_at_all_shows_the_help(ask: Ask, argv: tuple[str, ...]) -> None:
    shown = ask(*argv)
    assert (shown.code, shown.out) == (2, "")
    assert shown.err.startswith(" ".join(("Usage: evenkeel", *argv)))
    assert "Commands:" in shown.err


@pytest.mark.parametrize(
    ("address", "options", "code", "error", "words"),
    [
        ("0x1234", (), 2, "AddressMalformed", "40 hex digits"),
        ("vitalik.eth", (), 2, "AddressMalformed", "40 hex digits"),
        ("0xDD2FD4581271e230360230F9337D5c0430Bf44C0", (), 2, "AddressMalformed", "checksum"),
        (STRANGER, (), 2, "AccountEmpty", STRANGER),
        ("", ("--rpc", "http://127.0.0.1:1"), 3, "RpcUnavailable", "`rpc.url`"),
        ("", ("--deployment", "none.json"), 2, "ConfigInvalid", "`chain.deployment`"),
        ("", ("--set", "rpc.max_head_age_s=60"), 3, "HeadStale", "`rpc.max_head_age_s`"),
        ("", ("--set", "rpc.max_age=60"), 2, "ConfigInvalid", "nearest is `rpc.max_head_age_s`"),
    ],
)
def test_watch_says_what_is_wrong(
    ask: Ask, world: World, address: str, options: tuple[str, ...], code: int, error: str, words: str
) -> None:
    argv = ["watch", address or world.net.book.account, "--once", "--rpc", world.net.url]
    argv += ["--deployment", str(world.folder / "deployment.json"), "--set", "rpc.max_head_age_s=0", *options]
    told = ask(*argv, "--json")
    assert (told.code, told.error["error"], told.out, len(told.err.splitlines())) == (code, error, "", 1), (
        told
    )
    assert words in str(told.error["message"])


def test_watch_of_a_chain_without_a_manifest_asks_for_one(ask: Ask, world: World) -> None:
    told = ask("watch", world.net.book.account, "--once", "--rpc", world.net.url, "--json")
    assert (told.code, told.error["error"]) == (2, "ConfigInvalid")
    assert "none is shipped for chain 31337, only [1, 10, 42161, 43114]" in str(told.error["message"])


@pytest.mark.parametrize(
    ("status", "body", "code", "error"),
    [
        (200, "<html>hello</html>", 5, "DecodeMismatch"),
        (200, "", 5, "DecodeMismatch"),
        (200, "null", 5, "DecodeMismatch"),
        (200, "[]", 5, "DecodeMismatch"),
        (200, "{}", 5, "DecodeMismatch"),
        (200, '{"jsonrpc": "2.0", "id": 0, "result": "0xzz"}', 5, "DecodeMismatch"),
        (200, '{"jsonrpc": "2.0", "id": 0, "result": {"number": "0x1"}}', 5, "DecodeMismatch"),
        (200, '{"jsonrpc": "2.0", "id": 0, "result": null}', 5, "DecodeMismatch"),
        (200, '{"jsonrpc": "2.0", "id": 0, "error": "no"}', 5, "DecodeMismatch"),
        (200, '{"jsonrpc": "2.0", "id": 0, "error": {"code": -32000, "message": "no"}}', 5, "RpcRejected"),
        (401, "who are you", 3, "RpcUnavailable"),
        (404, "<html>not here</html>", 3, "RpcUnavailable"),
        (429, "slow down", 3, "RateLimited"),
        (502, "", 3, "RpcUnavailable"),
    ],
)
def test_what_is_no_node_is_told_from_one(
    ask: Ask, world: World, status: int, body: str, code: int, error: str
) -> None:
    with answering(status, body) as url, stamina.set_testing(True):
        told = ask("positions", "-c", world.config, "--json", "--set", f"rpc.url={url}/v3/hunter2")
    assert (told.code, told.error["error"], told.out, len(told.err.splitlines())) == (code, error, "", 1), (
        told
    )
    assert "hunter2" not in told.err


@contextmanager
def answering(status: int, body: str) -> Iterator[str]:
    """A server that always says the same."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
