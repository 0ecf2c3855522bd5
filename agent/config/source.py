"""From a file, settings and secrets to a Config; whatever is wrong is named."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path
from typing import cast

from pydantic import SecretStr, ValidationError
from pydantic_core import ErrorDetails

from agent.config import custody, secret
from agent.config.section import Config, known_keys
from agent.errors import ConfigInvalid

PATHS = (
    ("chain", "deployment"),
    *(("signer", name) for name in custody.PATHS),
    ("run", "journal"),
)
URLS = {"RPC_URL": ("rpc", "url"), "RPC_WS_URL": ("rpc", "ws_url"), "JOURNAL_URL": ("run", "journal_url")}
LISTS = {"RPC_MORE_URLS": "more_urls", "RPC_MORE_WS_URLS": "more_ws_urls"}

Tree = dict[str, object]


def load(
    path: Path | None,
    settings: Sequence[str] = (),
    environment: secret.Environment | None = None,
) -> Config:
    """The config in ``path`` (None: defaults alone) with ``settings`` ("key=value") over it.

    ``environment`` is the process's unless given. Raises ConfigInvalid naming the key, what it held and
    what is allowed, and KeyUnreadable for a secret's file.
    """
    environment = os.environ if environment is None else environment
    secret.refuse_unknown(environment)
    tree: Tree = {}
    if path is not None:
        tree = _anchored(_parsed(path), path.resolve().parent)
    for name, (section, key) in URLS.items():
        found = secret.read_secret(name, environment)
        if found is not None:
            _merge(tree, {section: {key: found}})
    for name, key in LISTS.items():
        more = secret.read_secret(name, environment)
        if more is not None:
            _merge(tree, {"rpc": {key: more.split()}})
    for setting in settings:
        _merge(tree, _anchored(_setting(setting), Path.cwd()))
    for key, value in _leaves(tree):
        _refuse_unknown(key, value)
    for section in ("chain", "rpc"):  # so that a missing key is named and not its section
        tree.setdefault(section, {})
    try:
        return Config.model_validate(tree)
    except ValidationError as error:
        raise _invalid(error.errors()[0]) from None  # its text may quote a secret


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


def _invalid(detail: ErrorDetails) -> ConfigInvalid:
    key = ".".join(str(part) for part in detail["loc"])
    if detail["type"] == "missing":
        example = f"give it in the file or as --set {key}=..."
        return ConfigInvalid(key=key, value=None, reason=f"it is missing; {example}")
    return ConfigInvalid(
        key=key, value=_guarded(key, detail["input"]), reason=detail["msg"].removeprefix("Value error, ")
    )


def _guarded(key: str, value: object) -> object:
    """A value for an error message: nothing that may hold a secret."""
    is_secret = "url" in key or "password" in key or isinstance(value, SecretStr | Mapping)
    return "..." if is_secret else value
