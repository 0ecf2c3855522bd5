"""What the owner configures: one TOML file, ``--set key=value`` over it, and secrets from the environment.

The only module that reads the environment and the config file. Unknown keys are refused with the nearest
known one. Secrets come from ``EVENKEEL_<NAME>`` or from a file named by ``EVENKEEL_<NAME>_FILE``; ``rpc.url``
may hold an API key, so it has such a name too (``EVENKEEL_RPC_URL``), and is never shown in full.
"""

from __future__ import annotations

import os
import stat
import tomllib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from decimal import Decimal
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Literal, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError
from pydantic_core import ErrorDetails

from agent.chain.transport import redacted
from agent.errors import ConfigInvalid, KeyUnreadable
from agent.planning.policy import Policy
from agent.tx.fees import FeePolicy
from agent.tx.sender import LanePolicy
from agent.values.address import Address
from agent.venues.deployments import AddressField

PREFIX = "EVENKEEL_"
SECRETS: Mapping[str, str] = {  # name of the secret: what it is for
    "KEY_PASSWORD": "opens signer.keystore",
    "RPC_URL": "instead of rpc.url",
    "RPC_WS_URL": "instead of rpc.ws_url",
}
PATHS = (("chain", "deployment"), ("signer", "keystore"), ("signer", "password_file"), ("run", "journal"))
OTHERS = stat.S_IRWXG | stat.S_IRWXO

Tree = dict[str, object]
Environment = Mapping[str, str]


def _secret(value: object) -> object:
    return SecretStr(value) if isinstance(value, str) else value


Url = Annotated[SecretStr, BeforeValidator(_secret)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ChainSection(_Section):
    """Which chain, which contracts, whose book."""

    id: int | None = Field(default=None, ge=1, description="chain id the node must serve")
    deployment: Path = Field(description="JSON file with the venues' addresses")
    account: AddressField = Field(description="the account to watch over")


class RpcSection(_Section):
    """The node."""

    url: Url = Field(description="http(s) address of the node")
    ws_url: Url | None = Field(default=None, description="ws(s) address for new heads; polling without it")
    timeout_s: float = Field(default=10.0, gt=0, le=300, description="longest wait for an answer")
    max_head_age_s: int = Field(
        default=60, ge=0, description="oldest head to decide on; 0: the chain's clock is not the wall clock"
    )
    poll_s: float = Field(default=1.0, gt=0, le=600, description="seconds between looks for a new head")

    @property
    def head_age_limit_s(self) -> int | None:
        """None where the age of a head says nothing."""
        return self.max_head_age_s or None


class SignerSection(_Section):
    """The key. Without a keystore nothing can be signed."""

    keystore: Path | None = Field(default=None, description="encrypted key file (keystore v3), mode 0600")
    password_file: Path | None = Field(default=None, description="file with its password, mode 0600")
    role: Literal["owner", "session"] = Field(
        default="owner", description="whether the key is the account's own or a session key of it"
    )


class ExecutorSection(_Section):
    """The batch contract."""

    address: AddressField | None = Field(default=None, description="instead of the deployment's executor")


class TxSection(_Section):
    """How a transaction is priced and awaited. Blocks are counted, not seconds."""

    max_cost_wei: int = Field(default=50_000_000_000_000_000, gt=0, description="most that one may cost")
    min_tip_wei: int = Field(default=1_000_000, ge=0, description="tip per gas where nobody tips")
    confirm_depth: int = Field(default=2, ge=1, le=256, description="blocks until it is final; 1 is its own")
    bump_after_housekeeping: int = Field(default=6, ge=1, description="blocks before it is outbid")
    bump_after_normal: int = Field(default=3, ge=1, description="blocks before it is outbid")
    bump_after_rescue: int = Field(default=1, ge=1, description="blocks before it is outbid")

    @property
    def lane(self) -> LanePolicy:
        """In the sender's words."""
        return LanePolicy(
            fees=FeePolicy(max_cost_wei=self.max_cost_wei, min_tip_wei=self.min_tip_wei),
            confirm_depth=self.confirm_depth,
            bump_after_housekeeping=self.bump_after_housekeeping,
            bump_after_normal=self.bump_after_normal,
            bump_after_rescue=self.bump_after_rescue,
        )


class RunSection(_Section):
    """The process."""

    interval_s: float = Field(default=12.0, gt=0, description="seconds of silence before a look of our own")
    journal: Path = Field(default=Path("evenkeel.sqlite"), description="journal and record")
    log_level: Literal["debug", "info", "warning", "error"] = "info"


class Config(_Section):
    """All of it. Paths are absolute or relative to the file they stand in (``--set``: to where one is)."""

    chain: ChainSection
    rpc: RpcSection
    signer: SignerSection = SignerSection()
    executor: ExecutorSection = ExecutorSection()
    policy: Policy = Policy()
    tx: TxSection = TxSection()
    run: RunSection = RunSection()

    @property
    def account(self) -> Address:
        return Address(self.chain.account)

    @property
    def rpc_url(self) -> str:
        """In full: for `Rpc` only, never for display."""
        return self.rpc.url.get_secret_value()

    @property
    def ws_url(self) -> str | None:
        """In full: for `Heads` only, never for display."""
        return None if self.rpc.ws_url is None else self.rpc.ws_url.get_secret_value()

    def effective(self) -> Tree:
        """Everything as it counts, defaults included, without secrets; for display."""
        return cast(Tree, _shown(self.model_dump()))

    def key_password(self, environment: Environment | None = None) -> str:
        """The keystore's password: environment, ``*_FILE``, or ``signer.password_file``.

        Raises KeyUnreadable if a file is missing or open to others, ConfigInvalid if there is none at all.
        """
        found = read_secret("KEY_PASSWORD", os.environ if environment is None else environment)
        if found is not None:
            return found
        if self.signer.password_file is None:
            raise ConfigInvalid(
                key="signer.password_file",
                value=None,
                reason=f"no password: set it, or {PREFIX}KEY_PASSWORD, or {PREFIX}KEY_PASSWORD_FILE",
            )
        return _secret_file(self.signer.password_file)


def load(
    path: Path | None,
    settings: Sequence[str] = (),
    environment: Environment | None = None,
) -> Config:
    """The config in ``path`` (None: defaults alone) with ``settings`` ("key=value") over it.

    ``environment`` is the process's unless given. Raises ConfigInvalid naming the key, what it held and
    what is allowed, and KeyUnreadable for a secret's file.
    """
    environment = os.environ if environment is None else environment
    _known_secrets(environment)
    tree: Tree = {}
    if path is not None:
        tree = _anchored(_parsed(path), path.resolve().parent)
    for name, key in (("RPC_URL", "url"), ("RPC_WS_URL", "ws_url")):
        found = read_secret(name, environment)
        if found is not None:
            _merge(tree, {"rpc": {key: found}})
    for setting in settings:
        _merge(tree, _anchored(_setting(setting), Path.cwd()))
    for key, value in _leaves(tree):
        _refuse_unknown(key, value)
    try:
        return Config.model_validate(tree)
    except ValidationError as error:
        raise _invalid(error.errors()[0]) from None  # its text may quote a secret


def read_secret(name: str, environment: Environment) -> str | None:
    """A secret from ``EVENKEEL_<name>``, or the file named by ``EVENKEEL_<name>_FILE``; None without both.

    Raises ConfigInvalid if both are, KeyUnreadable if the file cannot be used.
    """
    direct, file = environment.get(PREFIX + name), environment.get(f"{PREFIX}{name}_FILE")
    if direct is not None and file is not None:
        raise ConfigInvalid(key=PREFIX + name, value="...", reason=f"{PREFIX}{name}_FILE is set as well")
    return _secret_file(Path(file)) if file is not None else direct


def known_keys() -> tuple[str, ...]:
    """Every key, dotted. A key under ``policy.band`` is an asset's name."""
    return tuple(
        f"{section}.{name}"
        for section, field in Config.model_fields.items()
        for name in cast(type[BaseModel], field.annotation).model_fields
    )


def _parsed(path: Path) -> Tree:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigInvalid(key="--config", value=str(path), reason="there is no such file") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigInvalid(key="--config", value=str(path), reason="it cannot be read") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigInvalid(key="--config", value=str(path), reason=f"not TOML: {error}") from error


def _setting(text: str) -> Tree:
    """A tree of one leaf. The value is read as TOML, or taken as text if it is none."""
    key, equals, value = text.partition("=")
    parts = key.strip().split(".")
    if not equals or not all(parts):
        raise ConfigInvalid(
            key="--set", value=text, reason="it must be key=value, as in policy.deadline_s=60"
        )
    leaf: object = value.strip()
    if not value.strip().lower().startswith("0x"):  # TOML would make a number of an address
        with suppress(tomllib.TOMLDecodeError):
            leaf = tomllib.loads(f"value = {value}")["value"]
    for part in reversed(parts):
        leaf = {part: leaf}
    return cast(Tree, leaf)


def _merge(tree: Tree, over: Mapping[str, object]) -> None:
    for key, value in over.items():
        present = tree.get(key)
        if isinstance(value, Mapping) and isinstance(present, dict):
            _merge(present, cast(Mapping[str, object], value))
        else:
            tree[key] = value


def _anchored(tree: Tree, folder: Path) -> Tree:
    """Relative paths made absolute from ``folder``."""
    for section, name in PATHS:
        part = tree.get(section)
        if isinstance(part, dict) and isinstance(part.get(name), str):
            part[name] = str(folder / Path(part[name]).expanduser())
    return tree


def _leaves(tree: Mapping[str, object], prefix: str = "") -> list[tuple[str, object]]:
    found: list[tuple[str, object]] = []
    for key, value in tree.items():
        if isinstance(value, Mapping):
            found += _leaves(cast(Mapping[str, object], value), f"{prefix}{key}.") or [(prefix + key, value)]
        else:
            found.append((prefix + key, value))
    return found


def _refuse_unknown(key: str, value: object) -> None:
    known = known_keys()
    sections = set(Config.model_fields)
    if key in known or key in sections or key.startswith("policy.band."):
        return
    close = get_close_matches(key, known, n=1, cutoff=0.6)
    if not close:  # the right name in another section, or at the top
        close = [name for name in known if name.rpartition(".")[2] == key.rpartition(".")[2]]
    if not close:
        inside = [name for name in known if name.startswith(key.partition(".")[0] + ".")] or list(known)
        close = get_close_matches(key, inside, n=1, cutoff=0.0)
    raise ConfigInvalid(
        key=key, value=_guarded(key, value), reason=f"there is no such key; nearest is `{close[0]}`"
    )


def _known_secrets(environment: Environment) -> None:
    """A variable that nobody reads would be a setting that silently does nothing."""
    known = [name for secret in SECRETS for name in (PREFIX + secret, f"{PREFIX}{secret}_FILE")]
    for name in environment:
        if name.startswith(PREFIX) and name not in known:
            close = get_close_matches(name, known, n=1, cutoff=0.0)[0]
            raise ConfigInvalid(
                key=name, value="...", reason=f"only secrets come from the environment; nearest is {close}"
            )


def _invalid(detail: ErrorDetails) -> ConfigInvalid:
    key = ".".join(str(part) for part in detail["loc"])
    if detail["type"] == "missing":
        example = f"give it in the file or as --set {key}=..."
        return ConfigInvalid(key=key, value=None, reason=f"it is missing; {example}")
    return ConfigInvalid(key=key, value=_guarded(key, detail["input"]), reason=detail["msg"])


def _guarded(key: str, value: object) -> object:
    """A value for an error message: nothing that may hold a secret."""
    is_secret = "url" in key or "password" in key or isinstance(value, SecretStr | Mapping)
    return "..." if is_secret else value


def _shown(value: object) -> object:
    if isinstance(value, Mapping):
        return {key: _shown(inner) for key, inner in value.items()}
    if isinstance(value, SecretStr):
        return redacted(value.get_secret_value()) + "/..."
    return str(value) if isinstance(value, Decimal | Path) else value


def _secret_file(path: Path) -> str:
    """The first line of a file that only its owner may read. Raises KeyUnreadable."""
    try:
        mode = path.stat().st_mode
        text = path.read_text(encoding="utf-8") if stat.S_ISREG(mode) else ""
    except FileNotFoundError as error:
        raise KeyUnreadable(path=path, reason="it does not exist") from error
    except (OSError, UnicodeDecodeError) as error:
        raise KeyUnreadable(path=path, reason="it cannot be read") from error
    if mode & OTHERS:
        reason = f"others may use it (mode {stat.S_IMODE(mode):04o}; run chmod 600 on it)"
        raise KeyUnreadable(path=path, reason=reason)
    secret = text.removesuffix("\n").removesuffix("\r")
    if not secret or "\n" in secret:
        raise KeyUnreadable(path=path, reason="it must hold one line, the secret")
    return secret
