"""Secrets: from the environment, or from a file that only its owner may read."""

from __future__ import annotations

import stat
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path

from agent.errors import ConfigInvalid, KeyUnreadable

PREFIX = "EVENKEEL_"
SECRETS: Mapping[str, str] = {  # name of the secret: what it is for
    "KEY_PASSWORD": "opens signer.keystore",
    "JOURNAL_URL": "instead of run.journal_url",
    "RPC_URL": "instead of rpc.url",
    "RPC_WS_URL": "instead of rpc.ws_url",
    "RPC_MORE_URLS": "instead of rpc.more_urls, with spaces between",
    "RPC_MORE_WS_URLS": "instead of rpc.more_ws_urls, with spaces between",
    "LADDER_KEY": "keeps tx.ladder_rungs usable across restarts",
    "PKCS11_PIN": "opens signer.token",
    "AZURE_CLIENT_SECRET": "proves that we are signer.client_id",
    "SIGNER_TOKEN": "bearer token of signer.url (web3signer, jsonrpc)",
    "CUSTODIAN_API_KEY": "names us to the custodian",
}
OTHERS = stat.S_IRWXG | stat.S_IRWXO

Environment = Mapping[str, str]


def read_secret(name: str, environment: Environment) -> str | None:
    """A secret from ``EVENKEEL_<name>``, or the file named by ``EVENKEEL_<name>_FILE``; None without both.

    Raises ConfigInvalid if both are, KeyUnreadable if the file cannot be used.
    """
    direct, file = environment.get(PREFIX + name), environment.get(f"{PREFIX}{name}_FILE")
    if direct is not None and file is not None:
        raise ConfigInvalid(key=PREFIX + name, value="...", reason=f"{PREFIX}{name}_FILE is set as well")
    return read_file(Path(file), f"{PREFIX}{name}_FILE") if file is not None else direct


def refuse_unknown(environment: Environment) -> None:
    """A variable that nobody reads would be a setting that silently does nothing."""
    known = [name for secret in SECRETS for name in (PREFIX + secret, f"{PREFIX}{secret}_FILE")]
    for name in environment:
        if name.startswith(PREFIX) and name not in known:
            close = get_close_matches(name, known, n=1, cutoff=0.0)[0]
            raise ConfigInvalid(
                key=name, value="...", reason=f"only secrets come from the environment; nearest is {close}"
            )


def read_file(path: Path, key: str) -> str:
    """The one line of a file that only its owner may read; ``key`` is what named it. Raises KeyUnreadable."""
    secret = read_document(path, key).removesuffix("\n").removesuffix("\r")
    if not secret or "\n" in secret:
        raise KeyUnreadable(key=key, path=path, reason="it must hold one line, the secret")
    return secret


def read_document(path: Path, key: str) -> str:
    """The text of a file that only its owner may read; ``key`` is what named it. Raises KeyUnreadable."""
    try:
        mode = path.stat().st_mode
        text = path.read_text(encoding="utf-8") if stat.S_ISREG(mode) else ""
    except FileNotFoundError as error:
        raise KeyUnreadable(key=key, path=path, reason="it does not exist") from error
    except (OSError, UnicodeDecodeError) as error:
        raise KeyUnreadable(key=key, path=path, reason="it cannot be read") from error
    if mode & OTHERS:
        reason = f"others may use it (mode {stat.S_IMODE(mode):04o}; run chmod 600 on it)"
        raise KeyUnreadable(key=key, path=path, reason=reason)
    return text
