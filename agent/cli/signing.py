"""``evenkeel signer``: whether the key is where the config says, and how long a signature takes."""

from __future__ import annotations

import secrets
import time

from agent.cli.command import show
from agent.cli.view import pairs_table
from agent.config import Config
from agent.keyring import signer_of
from agent.tx.signer import PreimageSigner, Signer, Typed, sign_typed, typed_preimage

# Of no contract and no chain: a signature over it moves nothing, and every kind of signer gives one.
_TYPES = {
    "EIP712Domain": [{"name": "name", "type": "string"}],
    "Probe": [{"name": "nonce", "type": "bytes32"}],
}


def probe(config: Config, *, as_json: bool) -> None:
    """Ask the signer for one signature, check it, and say what was seen. Raises what the signer raises."""
    typed = _probe()
    typed_preimage(typed)  # loads what it needs, which is no time of the signer's
    begun = time.monotonic()
    signer = signer_of(config)
    opened = time.monotonic()
    sign_typed(signer, typed)
    done = time.monotonic()
    if isinstance(signer, Signer):
        gives = "digests"
    elif isinstance(signer, PreimageSigner):
        gives = "preimages"
    else:
        gives = "transactions of type 2 and typed data"
    told: dict[str, object] = {
        "kind": config.signer.kind,
        "address": signer.address,
        "signs": gives,
        "open_ms": round((opened - begun) * 1000, 2),
        "sign_ms": round((done - opened) * 1000, 2),
    }
    show(as_json, lambda: told, lambda: pairs_table(told.items()))


def _probe() -> Typed:
    return {
        "types": _TYPES,
        "primaryType": "Probe",
        "domain": {"name": "evenkeel signer probe"},
        "message": {"nonce": "0x" + secrets.token_hex(32)},
    }
