"""What the documents say is what the code does, as far as a machine can tell."""

from __future__ import annotations

import configparser
import json
import re
from pathlib import Path

import pytest
from eth_abi import abi as codec
from eth_utils.crypto import keccak

from agent import assembly, errors
from agent.cli.command import app
from agent.config import known_keys, load
from agent.values.address import Address, parse_address
from agent.venues import deployments
from scripts import config_reference

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
DEPLOY = ROOT / "deploy"
PAGES = sorted([*DOCS.rglob("*.md"), *(ROOT / name for name in ("CONTRIBUTING.md", "SECURITY.md"))])
MANIFESTS = sorted((ROOT / "agent" / "venues" / "manifests").glob("*.json"))
# Hash of the pool's creation code, as Uniswap's PoolAddress library has it; 500 is the 0.05 % tier.
POOL_CODE_HASH = bytes.fromhex("e34f199b19b2b4f47f68442619d555527d244f78a3297ea89325f843f87b8b54")
FEE_PPM = 500


def test_the_table_of_config_keys_is_the_one_the_models_make() -> None:
    page = config_reference.PAGE.read_text(encoding="utf-8")
    written = page.partition(config_reference.BEGIN)[2].partition(config_reference.END)[0].strip()
    assert written == config_reference.table(), "run python -m scripts.config_reference --write"


def test_the_table_has_every_key_once() -> None:
    assert [key for key, _ in config_reference.fields()] == list(known_keys())


def test_the_example_config_loads_and_states_no_secret(tmp_path: Path) -> None:
    url = tmp_path / "url"
    url.write_text("https://node.example/KEY\n")
    url.chmod(0o600)
    config = load(DEPLOY / "evenkeel.example.toml", environment={"EVENKEEL_RPC_URL_FILE": str(url)})
    assert config.chain.id == 1
    assert config.rpc_url == "https://node.example/KEY"
    assert config.signer.password_file is None


def test_the_unit_gives_the_agent_variables_it_knows_and_the_example_config() -> None:
    unit = configparser.RawConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[method-assign, assignment]
    unit.read(DEPLOY / "evenkeel.service")
    text = (DEPLOY / "evenkeel.service").read_text()
    variables = re.findall(r"^Environment=(\w+)=", text, re.MULTILINE)
    assert {name for name in variables if name.startswith("EVENKEEL_")} == {
        "EVENKEEL_KEY_PASSWORD_FILE",
        "EVENKEEL_RPC_URL_FILE",
    }
    stops = {int(status) for status in unit["Service"]["RestartPreventExitStatus"].split()}
    assert stops == {errors.Misconfigured.exit_code, errors.Untrusted.exit_code}
    state = "/var/lib/" + unit["Service"]["StateDirectory"]
    example = load(DEPLOY / "evenkeel.example.toml", ["rpc.url=http://node.example"], environment={})
    assert str(example.run.journal.parent) == state


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
def test_a_shipped_manifest_is_of_its_chain_and_can_be_found(path: Path) -> None:
    deployment = deployments.load(path)
    assert str(deployment.chain_id) == path.stem
    assert assembly.shipped(deployment.chain_id) == path
    names = [venue.name for venue in assembly.venues_of(deployment)]
    assert names and len(names) == len(set(names))  # what is there twice is counted twice


POOLED = [path for path in MANIFESTS if deployments.load(path).uniswap is not None]


@pytest.mark.parametrize("path", POOLED, ids=lambda path: path.stem)
def test_a_shipped_pool_is_the_one_its_factory_makes_of_its_tokens(path: Path) -> None:
    uniswap = deployments.load(path).uniswap
    assert uniswap is not None or path.stem == "43114"  # Avalanche has GMX alone
    if uniswap is None:
        return
    assert [_pool(uniswap.factory, pool) for pool in uniswap.pools] == [p.address for p in uniswap.pools]


def _pool(factory: str, pool: deployments.UniswapPool) -> Address:
    tokens = sorted((pool.asset_token.lower(), pool.quote_token.lower()))
    salt = keccak(codec.encode(("address", "address", "uint24"), (*tokens, FEE_PPM)))
    made = keccak(b"\xff" + bytes.fromhex(factory[2:]) + salt + POOL_CODE_HASH)
    return parse_address("0x" + made[12:].hex())


def test_the_manifest_shown_in_the_docs_is_the_one_that_is_shipped() -> None:
    (block,) = re.findall(r"```json\n(\{\n  \"chain_id\": 1,.*?)```", _text("deployment.md"), re.DOTALL)
    assert json.loads(block) == json.loads(assembly.shipped(1).read_text())


def test_every_command_and_option_is_in_the_docs() -> None:
    text = _text("command-line.md")
    missing = []
    for command in app.registered_commands:
        assert command.callback is not None
        name = command.name or command.callback.__name__
        if f"## `evenkeel {name}" not in text:
            missing.append(name)
    assert missing == []
    flags = set(re.findall(r'"(--[a-z-]+)"', (ROOT / "agent/cli/command.py").read_text()))
    assert {flag for flag in flags if f"`{flag}" not in text and f" {flag}" not in text} == set()


def test_the_docs_name_every_error_with_its_exit_code() -> None:
    text = _text("architecture.md")
    classes = [value for value in vars(errors).values() if isinstance(value, type)]
    first = errors.EvenkeelError.__subclasses__()
    assert [cls.__name__ for cls in first if f"| {cls.exit_code} | `{cls.__name__}`" not in text] == []
    leaves = [cls.__name__ for cls in classes if issubclass(cls, errors.EvenkeelError) and cls.template]
    assert [name for name in leaves if f"`{name}`" not in text] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_file_a_page_names_is_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:agent|abis|contracts|deploy|docs|scripts|tests)/[\w./-]+\.\w+)`", text))
    links = re.findall(r"\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)", text)
    missing = [name for name in named if not (ROOT / name).exists()]
    missing += [link for link in links if not (page.parent / link).exists()]
    assert missing == []


def _text(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")
