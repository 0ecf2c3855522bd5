"""The bytes that leave: each written straight, and each the same as the slow, obvious libraries write."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import rlp as peer
from coincurve import PrivateKey
from eth_abi import abi as codec
from eth_account import Account
from eth_account.typed_transactions.set_code_transaction import Authorization as PeerAuthorization
from eth_utils.crypto import keccak as peer_keccak
from hypothesis import example, given
from hypothesis import strategies as st

from agent.errors import SignatureMismatch
from agent.tx import rlp
from agent.tx.executor import (
    CALLS_TYPE,
    EXECUTE,
    HEDGE_TYPE,
    MODE_HEDGE,
    Hedge,
    Intent,
    encode_hedge,
    hedge_fields,
    intent_id,
)
from agent.tx.signer import (
    GROUP_ORDER,
    address_of,
    confirm,
    is_local,
    recover,
    sign_authorization,
    sign_preimage,
    sign_transaction,
)
from agent.tx.transaction import Authorization, Fee, Signature, Transaction, decode, encode
from agent.values.address import Address, ChainId, parse_address
from agent.values.call import Call
from agent.values.check import INT256_MAX, INT256_MIN, Check, Term
from agent.values.keccak import keccak


class Local:
    """A key in this process."""

    def __init__(self, key: bytes) -> None:
        self._key = PrivateKey(key)
        self.address = address_of(self._key.public_key)

    def sign_digest(self, digest: bytes) -> tuple[int, int]:
        return self.sign_recoverable(digest)[1:]

    def sign_recoverable(self, digest: bytes) -> tuple[int, int, int]:
        compact = self._key.sign_recoverable(digest, hasher=None)
        return compact[64], int.from_bytes(compact[:32], "big"), int.from_bytes(compact[32:64], "big")


class Remote:
    """The same key, asked for digests only."""

    def __init__(self, local: Local) -> None:
        self._local = local
        self.address = local.address

    def sign_digest(self, digest: bytes) -> tuple[int, int]:
        return self._local.sign_digest(digest)


class Crooked(Local):
    """A key in this process whose memory went bad."""

    def sign_recoverable(self, digest: bytes) -> tuple[int, int, int]:
        parity, r, s = super().sign_recoverable(digest)
        return 1 - parity, r, s


EDGES = [0, 1, 127, 128, 255, 256, 2**55 - 1, 2**56, 2**64 - 1]
addresses = st.binary(min_size=20, max_size=20).map(lambda raw: parse_address("0x" + raw.hex()))
numbers = st.sampled_from(EDGES) | st.integers(0, 2**64 - 1)
words = st.sampled_from([0, 1, 127, 128, 2**255, 2**256 - 1]) | st.integers(0, 2**256 - 1)
sizes = st.sampled_from([0, 1, 2, 31, 32, 33, 54, 55, 56, 57, 255, 256, 257, 1023, 65535, 65536])
texts = st.binary(max_size=80) | sizes.map(bytes) | sizes.map(lambda n: b"\xff" * n)
keys = st.integers(1, GROUP_ORDER - 1).map(lambda key: key.to_bytes(32, "big"))
chains = st.sampled_from([1, 10, 127, 128, 31337, 42161, 2**32]) | st.integers(1, 2**40)
access_lists = st.lists(
    st.tuples(addresses, st.lists(st.binary(min_size=32, max_size=32), max_size=4).map(tuple)), max_size=4
).map(tuple)
scalars = st.sampled_from([1, 2**8, 2**200, 2**248 - 1, 2**255, GROUP_ORDER - 1]) | st.integers(
    1, GROUP_ORDER - 1
)
signatures = st.builds(Signature, st.sampled_from([0, 1]), scalars, scalars)
authorizations = st.builds(
    Authorization, chains.map(ChainId) | st.just(ChainId(0)), addresses, numbers, signatures
)


@st.composite
def transactions(draw: st.DrawFn, *, with_authorizations: bool | None = None) -> Transaction:
    is_delegating = draw(st.booleans()) if with_authorizations is None else with_authorizations
    max_fee = draw(numbers)
    return Transaction(
        ChainId(draw(chains)),
        draw(numbers),
        Fee(max_fee, draw(st.integers(0, max_fee))),
        draw(numbers),
        draw(addresses),
        draw(words),
        draw(texts),
        tuple(draw(st.lists(authorizations, min_size=1, max_size=12))) if is_delegating else (),
        draw(access_lists),
    )


def slow_fields(tx: Transaction) -> list[object]:
    """As the `rlp` package takes them."""
    accesses = [[bytes.fromhex(a[2:]), list(keys)] for a, keys in tx.access]
    fields: list[object] = [_int(tx.chain_id), _int(tx.nonce), _int(tx.fee.tip_wei), _int(tx.fee.max_fee_wei)]
    fields += [_int(tx.gas), bytes.fromhex(tx.to[2:]), _int(tx.value_wei), tx.data, accesses]
    if tx.authorizations:
        fields.append(
            [
                [
                    _int(a.chain_id),
                    bytes.fromhex(a.delegate[2:]),
                    _int(a.nonce),
                    *map(_int, (a.signature.parity, a.signature.r, a.signature.s)),
                ]
                for a in tx.authorizations
            ]
        )
    return fields


def _int(value: int) -> bytes:
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def slow_raw(tx: Transaction, signature: Signature) -> bytes:
    numbers = (signature.parity, signature.r, signature.s)
    return bytes([tx.type]) + bytes(peer.encode([*slow_fields(tx), *map(_int, numbers)]))


def of_eth_account(tx: Transaction, key: bytes) -> tuple[bytes, str]:
    """What eth-account makes of it, for the same key."""
    asked: dict[str, object] = {
        "type": tx.type,
        "chainId": tx.chain_id,
        "nonce": tx.nonce,
        "maxPriorityFeePerGas": tx.fee.tip_wei,
        "maxFeePerGas": tx.fee.max_fee_wei,
        "gas": tx.gas,
        "to": tx.to,
        "value": tx.value_wei,
        "data": tx.data,
        "accessList": [
            {"address": account, "storageKeys": ["0x" + k.hex() for k in keys]} for account, keys in tx.access
        ],
    }
    if tx.authorizations:
        asked["authorizationList"] = [
            {
                "chainId": a.chain_id,
                "address": a.delegate,
                "nonce": a.nonce,
                "yParity": a.signature.parity,
                "r": a.signature.r,
                "s": a.signature.s,
            }
            for a in tx.authorizations
        ]
    signed = Account.sign_transaction(asked, key)
    return bytes(signed.raw_transaction), "0x" + bytes(signed.hash).hex()


@given(transactions(), signatures)
def test_every_transaction_is_written_as_the_rlp_package_writes_it(
    tx: Transaction, signature: Signature
) -> None:
    made = encode(tx, signature)
    assert tx.unsigned == bytes([tx.type]) + peer.encode(slow_fields(tx))
    assert made.raw == slow_raw(tx, signature)
    assert made.hash == "0x" + peer_keccak(made.raw).hex()
    assert decode(made.raw) == (tx, signature)


@given(transactions(), keys)
def test_a_local_key_signs_the_bytes_that_eth_account_signs(tx: Transaction, key: bytes) -> None:
    signed = sign_transaction(Local(key), tx)
    assert (signed.raw, str(signed.hash)) == of_eth_account(tx, key)
    confirm(Local(key), signed)


@given(transactions(), keys)
def test_the_same_key_behind_a_process_makes_the_same_bytes(tx: Transaction, key: bytes) -> None:
    local = Local(key)
    assert not is_local(Remote(local))
    assert sign_transaction(Remote(local), tx) == sign_transaction(local, tx)


@given(transactions(), keys)
def test_a_local_key_that_signs_wrongly_is_found_out_before_anything_leaves(
    tx: Transaction, key: bytes
) -> None:
    crooked = Crooked(key)
    signed = sign_transaction(crooked, tx)
    with pytest.raises(SignatureMismatch):
        confirm(crooked, signed)


def test_a_signature_with_leading_zeros_is_one_byte_shorter_in_eth_account_too() -> None:
    key, found = (7).to_bytes(32, "big"), set()
    for nonce in range(2000):
        tx = Transaction(ChainId(1), nonce, Fee(2, 1), 21000, Address("0x" + "11" * 20), 0, b"")
        signed = sign_transaction(Local(key), tx)
        _, signature = decode(signed.raw)
        short = {name for name in ("r", "s") if getattr(signature, name) < 2**248}
        if short - found:
            found |= short
            assert (signed.raw, str(signed.hash)) == of_eth_account(tx, key)
        if found == {"r", "s"}:
            break
    assert found == {"r", "s"}


@given(chains, addresses, numbers, keys)
def test_an_authorization_is_the_one_that_eth_account_signs(
    chain: int, delegate: Address, nonce: int, key: bytes
) -> None:
    mine = sign_authorization(Local(key), ChainId(chain), delegate, nonce)
    theirs = Account.sign_authorization({"chainId": chain, "address": delegate, "nonce": nonce}, key)
    assert (mine.signature.parity, mine.signature.r, mine.signature.s) == (
        theirs.y_parity,
        theirs.r,
        theirs.s,
    )
    assert PeerAuthorization(chain, bytes.fromhex(delegate[2:]), nonce).hash() == keccak(
        b"\x05" + peer.encode([_int(chain), bytes.fromhex(delegate[2:]), _int(nonce)])
    )


@given(st.binary(max_size=400), keys)
def test_the_parity_a_local_key_names_is_the_one_a_search_finds(preimage: bytes, key: bytes) -> None:
    local = Local(key)
    named = Signature(*local.sign_recoverable(keccak(preimage)))
    assert named == sign_preimage(Remote(local), preimage)
    assert recover(keccak(preimage), named) == local.address


@given(st.integers(0, 2**300), st.binary(max_size=300))
@example(0, b"")
@example(127, b"\x7f")
@example(128, b"\x80")
@example(2**440 - 1, b"\x00")
def test_items_are_those_of_the_rlp_package(number: int, text: bytes) -> None:
    assert rlp.integer(number) == peer.encode(_int(number))
    assert rlp.string(text) == peer.encode(text)


@given(st.lists(texts, max_size=6))
def test_lists_are_those_of_the_rlp_package(items: Sequence[bytes]) -> None:
    assert rlp.listed(map(rlp.string, items)) == peer.encode(list(items))


@given(sizes)
def test_a_list_around_the_border_of_its_short_form_is_that_of_the_rlp_package(size: int) -> None:
    assert rlp.listed([rlp.string(bytes(size))]) == peer.encode([bytes(size)])


def test_a_number_below_nothing_is_refused() -> None:
    with pytest.raises(OverflowError):
        rlp.integer(-1)


@given(texts)
def test_the_hash_is_that_of_the_default_library(data: bytes) -> None:
    assert keccak(data) == peer_keccak(data)


# --- calldata ----------------------------------------------------------------------------------------

signed_words = st.sampled_from([0, 1, -1, INT256_MIN, INT256_MAX]) | st.integers(INT256_MIN, INT256_MAX)
terms = st.builds(Term, addresses, texts, st.integers(0, 2**16 - 1), st.booleans(), signed_words)
checks = st.builds(Check, st.just("c"), st.lists(terms, max_size=4).map(tuple), signed_words, signed_words)
calls = st.builds(Call, addresses, texts, words)
hedges = st.builds(
    Hedge,
    st.builds(
        Intent, chains.map(ChainId), addresses, st.sampled_from([0, 1, 31, 32]) | st.integers(0, 2**40)
    ),
    st.sampled_from([0, 32, 2**64 - 1]) | st.integers(0, 2**64 - 1),
    st.lists(calls, max_size=6).map(tuple),
    st.lists(checks, max_size=4).map(tuple),
    st.lists(checks, max_size=4).map(tuple),
)


def slow_check(check: Check) -> tuple[object, ...]:
    found = [(t.target, t.data, t.word, t.is_signed, t.multiplier_wad) for t in check.terms]
    return (found, check.lower, check.upper)


def slow_hedge(hedge: Hedge) -> bytes:
    """Through eth-abi, type by type."""
    intent = bytes.fromhex(hedge.intent_id[2:])
    both = ([slow_check(c) for c in hedge.all_pre], [slow_check(c) for c in hedge.post])
    op_data = codec.encode([HEDGE_TYPE], [(intent, hedge.deadline_s, *both)])
    batch = [(call.target, call.value_wei, call.data) for call in hedge.calls]
    execution = codec.encode([CALLS_TYPE, "bytes"], [batch, op_data])
    return EXECUTE + codec.encode(["bytes32", "bytes"], [MODE_HEDGE, execution])


@given(hedges)
def test_a_hedge_is_the_calldata_that_eth_abi_writes(hedge: Hedge) -> None:
    data = encode_hedge(hedge)
    assert data == slow_hedge(hedge)
    intent, deadline_s, pre, post = hedge_fields(data)
    assert (intent.hex(), deadline_s) == (hedge.intent_id[2:], hedge.deadline_s)
    assert (len(pre), len(post)) == (len(hedge.all_pre), len(hedge.post))


@given(chains, addresses, st.integers(0, 2**256 - 1))
def test_an_intent_is_named_as_eth_abi_names_it(chain: int, account: Address, epoch: int) -> None:
    types = ("string", "uint256", "address", "uint256")
    slow = peer_keccak(codec.encode(types, ("evenkeel.intent.v1", chain, account, epoch)))
    assert intent_id(ChainId(chain), account, epoch) == "0x" + slow.hex()


@pytest.mark.parametrize(
    "hedge",
    [
        Hedge(Intent(ChainId(1), Address("0x" + "11" * 20), 0), 2**64, (), (), ()),
        Hedge(Intent(ChainId(1), Address("0x" + "11" * 20), 0), -32, (), (), ()),
        Hedge(
            Intent(ChainId(1), Address("0x" + "11" * 20), 0),
            1,
            (Call(Address("0x" + "11" * 20), b"", -1),),
            (),
            (),
        ),
        Hedge(
            Intent(ChainId(1), Address("0x" + "11" * 20), 0),
            1,
            (),
            (Check("c", (), lower=INT256_MIN - 1),),
            (),
        ),
        Hedge(
            Intent(ChainId(1), Address("0x" + "11" * 20), 0),
            1,
            (),
            (),
            (Check("c", (Term(Address("0x" + "11" * 20), b"", 2**16),)),),
        ),
    ],
)
def test_a_number_that_its_word_cannot_hold_is_refused(hedge: Hedge) -> None:
    with pytest.raises(OverflowError):
        encode_hedge(hedge)
