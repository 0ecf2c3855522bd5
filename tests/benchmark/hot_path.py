"""Building and signing a hedge of four calls against its floor: `python -m tests.benchmark.hot_path`.

Prints ratios; fails on nothing. The floor is what nobody can leave out: one keccak of the very bytes that are
signed and one secp256k1 signature, by the same libraries. What comes after the signed bytes and before they
leave is reckoned apart: the transaction's own hash, and the check that the signature is the account's. Every
time is the least of many runs in one process, all ways in turns.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from time import perf_counter

from coincurve import PrivateKey
from eth_account import Account

from agent.tx.executor import Hedge, Intent, encode_hedge
from agent.tx.signer import confirm, sign_transaction
from agent.tx.transaction import Fee, Signed, Transaction
from agent.values.address import Address, ChainId, parse_address
from agent.values.call import Call
from agent.values.check import Check, Term
from agent.values.fixed import WAD
from agent.values.keccak import keccak
from tests.benchmark.decision import Key
from tests.property.test_wire import slow_hedge

ROUNDS, TIMES = 60, 50
ME, TOKEN, VAULT, HOUSE, BALANCE = (parse_address("0x" + f"{n:02x}" * 20) for n in range(0x11, 0x16))
CHAIN = ChainId(1)


def hedge(number: int) -> Hedge:
    """Approve and deposit, approve and trade, with the checks our venues put around such a batch. Every one
    differs from every other in its sizes, bounds, intent and deadline.
    """
    size_wad, word = 10**17 + number, (WAD + number).to_bytes(32, "big")
    owner = bytes(12) + bytes.fromhex(ME[2:])
    calls = (
        Call(TOKEN, b"\x09\x5e\xa7\xb3" + owner + word),
        Call(VAULT, b"\x47\xe7\xef\x24" + owner + word),
        Call(TOKEN, b"\x09\x5e\xa7\xb3" + owner + word),
        Call(HOUSE, b"\xb6\xb1\xb6\xc3" + owner + word * 6 + size_wad.to_bytes(32, "big")),
    )
    size = Term(BALANCE, b"\x01\x02\x03\x04" + owner + owner, is_signed=True)
    value = Term(HOUSE, b"\x05\x06\x07\x08" + owner, is_signed=True)
    needed = Term(BALANCE, b"\x09\x0a\x0b\x0c" + owner, is_signed=True, multiplier_wad=-WAD)
    held = Term(TOKEN, b"\x70\xa0\x82\x31" + owner)
    post = (
        Check("size", (size,), lower=size_wad, upper=size_wad),
        Check("margin", (value, needed), lower=0),
        Check("balance", (Term(VAULT, b"\x0d\x0e\x0f\x10" + owner, is_signed=True),), lower=number),
        Check("wallet", (held,), lower=number),
    )
    return Hedge(Intent(CHAIN, ME, 1 + number), 1_750_000_000 + number, calls, (), post)


def draft(number: int, data: bytes) -> Transaction:
    """The transaction of a hedge."""
    return Transaction(CHAIN, number, Fee(30 * 10**9 + number, 10**9), 900_000, Address(ME), 0, data)


def ours(key: Key, asked: Hedge, number: int) -> Signed:
    """Calldata, transaction, signature, hash."""
    return sign_transaction(key, draft(number, encode_hedge(asked)))


def measure() -> dict[str, float]:
    """Microseconds: ours, its floor, ours with the hash, with the check as well, and the peer."""
    key, private = Key(), PrivateKey((7).to_bytes(32, "big"))
    hedges = [hedge(number) for number in range(TIMES)]
    signed = [ours(key, asked, number) for number, asked in enumerate(hedges)]
    unsigned = [one.transaction.unsigned for one in signed]

    def floor(number: int) -> object:
        return private.sign_recoverable(keccak(unsigned[number]), hasher=None)

    def mine(number: int) -> object:
        return ours(key, hedges[number], number)

    def hashed(number: int) -> object:
        return ours(key, hedges[number], number).hash

    def checked(number: int) -> object:
        done = ours(key, hedges[number], number)
        confirm(key, done)
        return done.hash

    def peer(number: int) -> object:
        asked = {
            "type": 2,
            "chainId": 1,
            "nonce": number,
            "maxPriorityFeePerGas": 10**9,
            "maxFeePerGas": 30 * 10**9 + number,
            "gas": 900_000,
            "to": ME,
            "value": 0,
            "data": slow_hedge(hedges[number]),
        }
        return Account.sign_transaction(asked, (7).to_bytes(32, "big")).raw_transaction

    assert [bytes(peer(n)) for n in range(3)] == [one.raw for one in signed[:3]]  # type: ignore[call-overload]
    times = _least({"floor": floor, "mine": mine, "hashed": hashed, "checked": checked, "peer": peer})
    return {
        "hot_path_us": times["mine"],
        "hot_path_floor_us": times["floor"],
        "hot_path_times_floor": times["mine"] / times["floor"],
        "hot_path_hashed_us": times["hashed"],
        "hot_path_checked_us": times["checked"],
        "hot_path_peer_us": times["peer"],
        "hot_path_bytes": float(len(unsigned[0])),
    }


def _least(ways: dict[str, Callable[[int], object]]) -> dict[str, float]:
    """The least mean over a round of each, in turns, in microseconds."""
    found = dict.fromkeys(ways, float("inf"))
    for turn in range(ROUNDS):
        for name, way in ways.items():
            times = TIMES if name != "peer" else 3
            if name == "peer" and turn % 10:
                continue
            began = perf_counter()
            for number in range(times):
                way(number)
            found[name] = min(found[name], (perf_counter() - began) / times * 1e6)
    return found


def main() -> None:
    """Prints the figures."""
    print(json.dumps(measure(), indent=2))


if __name__ == "__main__":
    main()
