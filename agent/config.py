"""The only reader of configuration files and of the environment.

One TOML file, then ``--set section.key=value`` on the command line; secrets come only from the environment
or from a file named there (``EVENKEEL_KEY_PASSWORD`` or ``EVENKEEL_KEY_PASSWORD_FILE``) or in the config
(``signer.password_file``), never from the TOML file itself.
"""

from __future__ import annotations

import difflib
import os
import stat
import tomllib
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from agent.errors import AddressMalformed, ConfigInvalid, KeyUnreadable
from agent.planning.policy import Policy
from agent.values.address import Address, parse_address
from agent.values.fixed import from_decimal

PASSWORD = "EVENKEEL_KEY_PASSWORD"


def _address(text: str) -> Address:
    try:
        return parse_address(text)
    except AddressMalformed as error:
        raise ValueError(str(error)) from error


AddressField = Annotated[str, AfterValidator(_address)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ChainSection(_Section):
    """Which chain and whose book."""

    id: int = Field(ge=1, description="chain id the node must serve")
    account: AddressField = Field(description="the account to watch or keep")
    deployment: Path | None = Field(
        default=None, description="JSON file of the venues' addresses; shipped ones are found by chain.id"
    )


class RpcSection(_Section):
    """How the chain is reached."""

    url: str = Field(description="http(s) endpoint of a node")
    ws_url: str | None = Field(default=None, description="ws(s) endpoint for new heads; polled without")
    timeout_s: float = Field(default=10.0, gt=0, le=300)
    poll_s: float = Field(default=1.0, gt=0, le=3600, description="between two looks for a new head")
    max_head_age_s: float = Field(
        default=120.0, ge=0, description="refuse older heads; 0 where the chain's clock is simulated"
    )


class SignerSection(_Section):
    """Who signs. Needed only by ``run --live``."""

    keystore: Path | None = Field(default=None, description="encrypted v3 key file, readable by you alone")
    password_file: Path | None = Field(default=None, description=f"or {PASSWORD}, or {PASSWORD}_FILE")


class ExecutorSection(_Section):
    """The contract the account runs."""

    address: AddressField | None = Field(default=None, description="else the deployment's")
    delegate: bool = Field(default=False, description="let a live run delegate the account to it")


class TxSection(_Section):
    """What may be paid for transactions, and how patient to be."""

    max_cost: Decimal = Field(
        default=Decimal("0.05"), gt=0, description="most native currency per transaction"
    )
    min_tip_wei: int = Field(default=1, ge=0)
    confirm_depth: int = Field(default=2, ge=1, le=256, description="blocks until final; 1 is its own")
    bump_after_housekeeping: int = Field(default=6, ge=1, description="blocks before outbidding ourselves")
    bump_after_normal: int = Field(default=3, ge=1)
    bump_after_rescue: int = Field(default=1, ge=1)

    @property
    def max_cost_wei(self) -> int:
        return from_decimal(self.max_cost)


class RunSection(_Section):
    """The process."""

    interval_s: float = Field(default=15.0, gt=0, description="a cycle at least this often without new heads")
    journal: Path = Field(default=Path("evenkeel.sqlite"), description="journal and record")
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_json: bool = False


class Config(_Section):
    """Everything that can be set."""

    chain: ChainSection
    rpc: RpcSection
    signer: SignerSection = SignerSection()
    executor: ExecutorSection = ExecutorSection()
    policy: Policy = Policy()
    tx: TxSection = TxSection()
    run: RunSection = RunSection()


def load(
    path: Path | None, overrides: Sequence[str] = (), extra: Mapping[str, object] | None = None
) -> Config:
    """The configuration of ``path`` (or none) with ``key=value`` overrides, then ``extra`` nested values.

    Relative paths in the file are relative to the file. Raises ConfigInvalid naming the key, its value and
    what is allowed, with the nearest known key for an unknown one.
    """
    raw = _read(path) if path is not None else {}
    for override in overrides:
        key, separator, text = override.partition("=")
        if not separator or not key:
            raise ConfigInvalid(key="--set", value=override, reason="it has not the form section.key=value")
        _put(raw, key.strip(), _parsed(text.strip()))
    for key, value in (extra or {}).items():
        _put(raw, key, value)
    try:
        config = Config.model_validate(raw)
    except ValidationError as error:
        raise _invalid(error) from error
    return _anchored(config, path.parent if path is not None else Path())


def password(config: Config) -> str:
    """The key file's password, from the environment or a file. Raises KeyUnreadable, ConfigInvalid."""
    if PASSWORD in os.environ:
        return os.environ[PASSWORD]
    named = os.environ.get(f"{PASSWORD}_FILE") or config.signer.password_file
    if not named:
        raise ConfigInvalid(
            key="signer.password_file",
            value=None,
            reason=f"a live run needs it, or {PASSWORD}, or {PASSWORD}_FILE in the environment",
        )
    path = Path(named)
    try:
        mode = path.stat().st_mode
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise KeyUnreadable(path=path, reason="others may read it; run chmod 600 on it")
        return path.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise KeyUnreadable(path=path, reason=type(error).__name__) from error


def effective(config: Config) -> dict[str, object]:
    """Every key with its value, for people: endpoints without their secrets, no passwords anywhere."""
    shown = config.model_dump(mode="json")
    for key in ("url", "ws_url"):
        if shown["rpc"][key]:
            shown["rpc"][key] = redacted(shown["rpc"][key])
    return shown


def redacted(url: str) -> str:
    """Scheme, host and port; user, path and query often hold API keys."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    port = f":{parts.port}" if parts.port else ""
    hidden = "/[redacted]" if parts.path.strip("/") or parts.query or parts.username else ""
    return f"{parts.scheme}://{host}{port}{hidden}"


def _read(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigInvalid(key="--config", value=str(path), reason="there is no such file") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigInvalid(key="--config", value=str(path), reason=type(error).__name__) from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigInvalid(key="--config", value=str(path), reason=f"not TOML: {error}") from error


def _parsed(text: str) -> object:
    """A TOML value if it is one, else the text itself."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _put(raw: dict[str, object], key: str, value: object) -> None:
    *sections, last = key.split(".")
    here = raw
    for section in sections:
        inner = here.setdefault(section, {})
        if not isinstance(inner, dict):
            raise ConfigInvalid(key=key, value=value, reason=f"{section} is not a section")
        here = inner
    here[last] = value


def _invalid(error: ValidationError) -> ConfigInvalid:
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    reason = first["msg"].removeprefix("Value error, ")
    value = first.get("input")
    if first["type"] == "extra_forbidden":
        close = difflib.get_close_matches(key, known_keys(), n=1, cutoff=0.4)
        reason = "there is no such key" + (f"; did you mean `{close[0]}`?" if close else "")
    elif first["type"] == "missing":
        value, reason = None, "it is needed"
    return ConfigInvalid(key=key, value=value, reason=reason)


def known_keys() -> list[str]:
    """Every ``section.key``, in order."""
    keys = []
    for section, info in Config.model_fields.items():
        model = info.annotation
        if isinstance(model, type) and issubclass(model, BaseModel):
            keys += [f"{section}.{name}" for name in model.model_fields]
    return keys


def _anchored(config: Config, base: Path) -> Config:
    """File names in the config are relative to the config, so that it works from any folder."""

    def at(path: Path | None) -> Path | None:
        return None if path is None else base / path.expanduser()

    return config.model_copy(
        update={
            "chain": config.chain.model_copy(update={"deployment": at(config.chain.deployment)}),
            "signer": config.signer.model_copy(
                update={
                    "keystore": at(config.signer.keystore),
                    "password_file": at(config.signer.password_file),
                }
            ),
            "run": config.run.model_copy(update={"journal": at(config.run.journal)}),
        }
    )
