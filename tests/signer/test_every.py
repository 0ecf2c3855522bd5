"""What holds for every kind of signer."""

from __future__ import annotations

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_utils.crypto import keccak

from agent.errors import SignerRefused
from agent.tx.signer import (
    GROUP_ORDER,
    PreimageSigner,
    Signer,
    TransactionSigner,
    recover,
    sign_authorization,
    sign_preimage,
    sign_transaction,
    sign_typed,
)
from agent.tx.transaction import Authorization, Fee, Signature, Transaction, authorization_preimage
from agent.values.address import Address, ChainId
from tests.signer.bench import Bench

DIGESTS = 200
DELEGATE = Address("0x000000000000000000000000000000000000dEaD")
TRANSACTION = Transaction(
    chain_id=ChainId(31337),
    nonce=7,
    fee=Fee(30_000_000_000, 1_000_000_000),
    gas=250_000,
    to=DELEGATE,
    value_wei=3,
    data=bytes(range(100)),
)
TYPED = {
    "types": {
        "EIP712Domain": [
            {"name": "name", "type": "string"},
            {"name": "chainId", "type": "uint256"},
            {"name": "verifyingContract", "type": "address"},
        ],
        "Order": [{"name": "trader", "type": "address"}, {"name": "size", "type": "uint256"}],
    },
    "primaryType": "Order",
    "domain": {"name": "venue", "chainId": 31337, "verifyingContract": DELEGATE},
    "message": {"trader": DELEGATE, "size": 5},
}


def is_low(s: int) -> bool:
    return 0 < s <= GROUP_ORDER // 2


def test_two_hundred_digests_recover_to_the_address_with_low_s_from_four_threads(any_bench: Bench) -> None:
    signer = any_bench.signer
    preimages = [b"preimage %d" % number for number in range(DIGESTS)]

    def check(number: int) -> bool:
        if isinstance(signer, TransactionSigner):
            wanted = replace(TRANSACTION, nonce=number)
            done = Account.recover_transaction(sign_transaction(signer, wanted).raw)
            return done == signer.address
        signature = sign_preimage(signer, preimages[number])
        assert is_low(signature.s)
        return recover(keccak(preimages[number]), signature) == signer.address

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(check, range(DIGESTS))) == [True] * DIGESTS


def test_a_signer_has_exactly_one_of_the_three_ports(any_bench: Bench) -> None:
    ports = [isinstance(any_bench.signer, port) for port in (Signer, PreimageSigner, TransactionSigner)]
    assert ports.count(True) == 1


def test_a_transaction_of_type_2_is_read_by_another_implementation_as_ours(any_bench: Bench) -> None:
    signed = sign_transaction(any_bench.signer, TRANSACTION)
    assert signed.raw[0] == 2
    assert Account.recover_transaction(signed.raw) == any_bench.signer.address
    assert signed.hash == "0x" + keccak(signed.raw).hex()


def test_an_authorization_and_a_transaction_of_type_4_hold_or_are_refused_by_name(any_bench: Bench) -> None:
    signer = any_bench.signer
    if isinstance(signer, TransactionSigner):
        with pytest.raises(SignerRefused, match="EIP-7702"):
            sign_authorization(signer, ChainId(31337), DELEGATE, 8)
        return
    authorization = sign_authorization(signer, ChainId(31337), DELEGATE, 8)
    digest = keccak(authorization_preimage(ChainId(31337), DELEGATE, 8))
    assert recover(digest, authorization.signature) == signer.address
    assert is_low(authorization.signature.s)
    signed = sign_transaction(signer, replace(TRANSACTION, authorizations=(authorization,)))
    assert signed.raw[0] == 4
    assert Account.recover_transaction(signed.raw) == signer.address


def test_a_transaction_with_somebody_elses_authorization_is_refused_where_it_cannot_be_said(
    any_bench: Bench,
) -> None:
    key = Account.from_key(b"\x0c" * 32)
    signed = key.sign_authorization({"chainId": 31337, "address": DELEGATE, "nonce": 0})
    foreign = Authorization(ChainId(31337), DELEGATE, 0, Signature(signed.y_parity, signed.r, signed.s))
    wanted = replace(TRANSACTION, authorizations=(foreign,))
    if isinstance(any_bench.signer, TransactionSigner):
        with pytest.raises(SignerRefused, match="type 2 only"):
            sign_transaction(any_bench.signer, wanted)
    else:
        assert sign_transaction(any_bench.signer, wanted).transaction == wanted


def test_typed_data_is_signed_as_another_implementation_recovers_it(any_bench: Bench) -> None:
    signature = sign_typed(any_bench.signer, TYPED)
    message = encode_typed_data(full_message=TYPED)
    vrs = (signature.parity + 27, signature.r, signature.s)
    assert Account.recover_message(message, vrs=vrs) == any_bench.signer.address
    assert is_low(signature.s)


def test_a_signer_shows_its_address_and_cannot_be_copied_or_stored(any_bench: Bench) -> None:
    signer = any_bench.signer
    assert repr(signer) == str(signer) == f"{type(signer).__name__}({signer.address})"
    for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="not copied or stored"):
            attempt(signer)
    assert not hasattr(signer, "__dict__")
