"""Config in, typed values out; whatever is wrong is named with its key and what is allowed."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest

from agent.config import Config, known_keys, load
from agent.errors import ConfigInvalid, KeyUnreadable
from agent.market.intent import Urgency

ACCOUNT = "0x000000000000000000000000000000000000dEaD"
TEXT = f"""
[chain]
id = 31337
deployment = "deployment.json"
account = "{ACCOUNT}"
[rpc]
url = "https://user:hunter2@node.example:8443/v3/KEY?token=T"
max_head_age_s = 0
[policy]
trigger_share = "0.3"
[policy.band]
ETH = 2.5
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "evenkeel.toml"
    path.write_text(TEXT)
    return path


def secret(path: Path, text: str = "hunter2\n", mode: int = 0o600) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


def test_the_file_and_the_defaults_make_the_config(file: Path) -> None:
    config = load(file, environment={})
    assert (config.chain.id, config.account) == (31337, ACCOUNT)
    assert config.chain.deployment == file.parent / "deployment.json"
    assert config.rpc.head_age_limit_s is None
    assert config.policy.band_wad("ETH") == 25 * 10**17
    assert config.policy.trigger_share == Decimal("0.3")
    assert config.tx.lane.pace(Urgency.RESCUE).bump_after == 1
    assert config.rpc_url.endswith("?token=T")


def test_settings_override_the_file_one_key_at_a_time(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(file.parent.parent)
    settings = ["policy.band.BTC=0.1", "rpc.url=http://other", "tx.confirm_depth = 3", "run.journal=j.sqlite"]
    config = load(file, settings, environment={})
    assert dict(config.policy.band) == {"ETH": Decimal("2.5"), "BTC": Decimal("0.1")}
    assert (config.rpc_url, config.tx.confirm_depth) == ("http://other", 3)
    assert config.run.journal == file.parent.parent / "j.sqlite"


def test_settings_alone_are_enough() -> None:
    config = load(None, ["chain.deployment=d.json", f"chain.account={ACCOUNT}", "rpc.url=http://x"], {})
    assert config.signer.keystore is None


@pytest.mark.parametrize(
    ("setting", "nearest"),
    [
        ("rpc.ulr=x", "rpc.url"),
        ("rpcs.url=x", "rpc.url"),
        ("timeout_s=3", "rpc.timeout_s"),
        ("run.confirm_depth=3", "tx.confirm_depth"),
        ("policy.slipage_bps=3", "policy.slippage_bps"),
        ("policy.bands.ETH=3", "policy.band"),
        ("tx.confirm_depth.x=3", "tx.confirm_depth"),
        ("signer.zzz=3", "signer."),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest_known_one(file: Path, setting: str, nearest: str) -> None:
    with pytest.raises(ConfigInvalid, match="there is no such key") as caught:
        load(file, [setting], environment={})
    assert f"nearest is `{nearest}" in str(caught.value)
    assert str(caught.value.fields["key"]) == setting.partition("=")[0]


@pytest.mark.parametrize(
    ("setting", "key"),
    [
        ("chain.account=0x12", "chain.account"),
        ("chain.account=0x000000000000000000000000000000000000dEAd", "chain.account"),
        ("chain.id=0", "chain.id"),
        ("rpc.timeout_s=-1", "rpc.timeout_s"),
        ("policy.floor_distance=0.9", "policy"),
        ("policy.trigger_share=nan", "policy.trigger_share"),
        ("policy.band.ETH=-1", "policy"),
        ("run.log_level=loud", "run.log_level"),
        ("tx.max_cost_wei=1.5", "tx.max_cost_wei"),
        ("rpc=3", "rpc"),
    ],
)
def test_a_value_that_is_not_allowed_is_refused_by_its_key(file: Path, setting: str, key: str) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        load(file, [setting], environment={})
    assert caught.value.fields["key"] == key


@pytest.mark.parametrize("missing", ["chain.deployment", "chain.account", "rpc.url"])
def test_what_is_missing_is_named(missing: str) -> None:
    given = {"chain.deployment": "d", "chain.account": ACCOUNT, "rpc.url": "http://x"}
    del given[missing]
    with pytest.raises(ConfigInvalid, match=f"`{missing}` is None: it is missing"):
        load(None, [f"{key}={value}" for key, value in given.items()], {})


@pytest.mark.parametrize("setting", ["policy.deadline_s", "=3", "a..b=3", ""])
def test_a_setting_must_be_key_equals_value(file: Path, setting: str) -> None:
    with pytest.raises(ConfigInvalid, match="--set"):
        load(file, [setting], environment={})


def test_a_file_that_is_missing_or_no_toml_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match="no such file"):
        load(tmp_path / "none.toml", environment={})
    (tmp_path / "bad.toml").write_text("[chain\n")
    with pytest.raises(ConfigInvalid, match="not TOML"):
        load(tmp_path / "bad.toml", environment={})


def test_what_is_shown_has_every_key_and_no_secret(file: Path) -> None:
    config = load(file, environment={"EVENKEEL_RPC_WS_URL": "wss://node.example/KEY"})
    shown = config.effective()
    assert shown["rpc"]["url"] == "https://node.example:8443/..."  # type: ignore[index]
    text = json.dumps(shown) + repr(config) + str(config)
    assert not [word for word in ("hunter2", "KEY", "token=T") if word in text]
    sections = {key: set(value) for key, value in shown.items() if isinstance(value, dict)}
    assert {f"{section}.{name}" for section, names in sections.items() for name in names} == set(known_keys())


def test_an_error_does_not_tell_the_url(file: Path) -> None:
    for setting in ("rpc.urll=http://hunter2", "rpc.ws_urls=ws://hunter2", "rpc.url=[1, 'hunter2']"):
        with pytest.raises(ConfigInvalid) as caught:
            load(file, [setting], environment={})
        assert "hunter2" not in str(caught.value) + repr(caught.value.fields)


def test_a_secret_comes_from_the_environment_or_a_file_but_not_both(file: Path, tmp_path: Path) -> None:
    held = secret(tmp_path / "url", "http://from-file\n")
    assert load(file, environment={"EVENKEEL_RPC_URL": "http://env"}).rpc_url == "http://env"
    assert load(file, environment={"EVENKEEL_RPC_URL_FILE": str(held)}).rpc_url == "http://from-file"
    both = {"EVENKEEL_RPC_URL": "http://env", "EVENKEEL_RPC_URL_FILE": str(held)}
    with pytest.raises(ConfigInvalid, match="is set as well"):
        load(file, environment=both)
    assert load(file, ["rpc.url=http://set"], {"EVENKEEL_RPC_URL": "http://env"}).rpc_url == "http://set"


def test_a_variable_that_nobody_reads_is_refused(file: Path) -> None:
    with pytest.raises(ConfigInvalid, match="nearest is EVENKEEL_KEY_PASSWORD"):
        load(file, environment={"EVENKEEL_KEY_PASSWORT": "x"})
    load(file, environment={"HOME": "x", "EVEN": "y"})


def config_with(file: Path, password_file: Path | None) -> Config:
    settings = [] if password_file is None else [f"signer.password_file={password_file}"]
    return load(file, settings, environment={})


def test_the_password_has_three_places_and_the_environment_is_first(file: Path, tmp_path: Path) -> None:
    own, other = secret(tmp_path / "own", "own\n"), secret(tmp_path / "other", "other")
    config = config_with(file, own)
    assert config.key_password({}) == "own"
    assert config.key_password({"EVENKEEL_KEY_PASSWORD_FILE": str(other)}) == "other"
    assert config.key_password({"EVENKEEL_KEY_PASSWORD": " spaced "}) == " spaced "
    with pytest.raises(ConfigInvalid, match="no password"):
        config_with(file, None).key_password({})


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o610])
def test_a_password_file_that_others_may_use_is_refused(file: Path, tmp_path: Path, mode: int) -> None:
    config = config_with(file, secret(tmp_path / "password", mode=mode))
    with pytest.raises(KeyUnreadable, match=f"{mode:04o}") as caught:
        config.key_password({})
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "\n", "two\nlines\n"])
def test_a_password_file_must_hold_one_line(file: Path, tmp_path: Path, text: str) -> None:
    with pytest.raises(KeyUnreadable, match="one line"):
        config_with(file, secret(tmp_path / "password", text)).key_password({})


def test_a_password_file_that_is_missing_or_a_folder_is_refused(file: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyUnreadable, match="does not exist"):
        config_with(file, tmp_path / "none").key_password({})
    (tmp_path / "folder").mkdir(mode=0o700)
    with pytest.raises(KeyUnreadable, match="one line"):
        config_with(file, tmp_path / "folder").key_password({})
