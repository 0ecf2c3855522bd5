"""The nodes in the config: several, secret, each once."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.assembly import pool_of
from agent.chain.breaker import BreakerPolicy
from agent.chain.endpoint import EndpointPolicy
from agent.config import Config, load
from agent.errors import ConfigInvalid

BASE = ["chain.deployment=d.json", f"chain.account=0x{'00' * 19}01", "rpc.url=https://a.example/KEYAKEYA"]
MORE = "https://b.example/KEYBKEYB", "https://c.example/KEYCKEYC?t=TOKENTOKEN"


def config(*settings: str, **environment: str) -> Config:
    return load(None, [*BASE, *settings], environment)


def test_more_nodes_come_from_the_file_a_setting_or_the_environment(tmp_path: Path) -> None:
    path = tmp_path / "evenkeel.toml"
    path.write_text(f'[rpc]\nmore_urls = ["{MORE[0]}", "{MORE[1]}"]\n')
    secret = tmp_path / "urls"
    secret.write_text(" ".join(MORE) + "\n")
    secret.chmod(0o600)
    wanted = ("https://a.example/KEYAKEYA", *MORE)
    assert load(path, BASE, {}).rpc_urls == wanted
    assert config(f'rpc.more_urls=["{MORE[0]}", "{MORE[1]}"]').rpc_urls == wanted
    assert config(EVENKEEL_RPC_MORE_URLS="  ".join(MORE)).rpc_urls == wanted
    assert config(EVENKEEL_RPC_MORE_URLS_FILE=str(secret)).rpc_urls == wanted
    assert config().rpc_urls == wanted[:1]


def test_no_part_of_them_is_shown_but_the_host() -> None:
    shown = config(EVENKEEL_RPC_MORE_URLS=" ".join(MORE))
    for text in (str(shown.effective()), repr(shown), str(shown), repr(pool_of(shown, 1).health())):
        assert not any(word in text for word in ("KEYA", "KEYB", "KEYC", "TOKEN"))
    assert "https://c.example" in str(shown.effective())


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ('rpc.more_urls=["https://a.example/KEYAKEYA"]', "the same node twice"),
        ('rpc.more_urls=["https://b.example/x", "https://b.example/x/"]', "the same node twice"),
        ("rpc.breaker_max_wait_s=0.1", "breaker_wait_s <= rpc.breaker_max_wait_s"),
        ("rpc.more_urls=https://b.example/KEYBKEYB", "valid"),
        ("rpc.burst=0", "greater"),
        ('rpc.batch_counts="two"', "calls"),
    ],
)
def test_what_cannot_be_is_refused_without_showing_it(setting: str, words: str) -> None:
    with pytest.raises(ConfigInvalid, match=words) as caught:
        config(setting)
    assert "KEY" not in str(caught.value)


def test_a_bad_address_is_refused_under_its_key() -> None:
    with pytest.raises(ConfigInvalid, match=r"rpc\.more_urls"):
        pool_of(config('rpc.more_urls=["ftp://b.example/KEYBKEYB"]'), 1)


def test_limits_and_circuits_are_the_configs() -> None:
    chosen = config(
        "rpc.requests_per_s=12.5", "rpc.burst=7", "rpc.batch_counts=one", "rpc.breaker_faults=9"
    ).rpc.endpoint
    assert chosen == EndpointPolicy(12.5, 7, "one", BreakerPolicy(9, 0.5, 10.0))
