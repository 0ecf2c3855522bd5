"""keccak-256, the hash of everything here, by the fastest library there is.

Hashing short bytes costs eth-hash's default back-end several times what the hash itself takes; safe-pysha3 is
a thin wheel around the reference code. Where there is none the default stands in: the same hash, later.
"""

from __future__ import annotations

from collections.abc import Callable


def _fastest() -> Callable[[bytes], bytes]:
    try:
        from sha3 import keccak_256
    except ImportError:
        from eth_hash.auto import keccak as slow

        return slow

    def fast(data: bytes) -> bytes:
        digest: bytes = keccak_256(data).digest()
        return digest

    return fast


keccak: Callable[[bytes], bytes] = _fastest()
