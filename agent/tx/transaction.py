"""The two kinds of transaction we send, as bytes: EIP-1559 (type 2) and EIP-7702 (type 4)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import rlp as reader

from agent.errors import AddressMalformed, DecodeMismatch
from agent.tx import rlp
from agent.values.address import Address, ChainId, TxHash, parse_address
from agent.values.keccak import keccak

TYPE_FEE = 2
TYPE_DELEGATE = 4
AUTHORIZATION_MAGIC = b"\x05"

Access = tuple[tuple[Address, tuple[bytes, ...]], ...]  # accounts with their storage keys of 32 bytes


@dataclass(frozen=True, slots=True)
class Fee:
    """What is bid per gas: at most ``max_fee_wei`` in all, of which ``tip_wei`` to the block's builder."""

    max_fee_wei: int
    tip_wei: int


@dataclass(frozen=True, slots=True)
class Signature:
    """``parity`` 0 or 1; ``s`` never above half of the group order."""

    parity: int
    r: int
    s: int


@dataclass(frozen=True, slots=True)
class Authorization:
    """The account lets its code be that of ``delegate`` while its nonce is ``nonce``."""

    chain_id: ChainId
    delegate: Address
    nonce: int
    signature: Signature


@dataclass(frozen=True, slots=True)
class Transaction:
    """Everything that is signed. With authorizations it is of type 4, without of type 2."""

    chain_id: ChainId
    nonce: int
    fee: Fee
    gas: int
    to: Address
    value_wei: int
    data: bytes
    authorizations: tuple[Authorization, ...] = ()
    access: Access = ()

    @property
    def type(self) -> int:
        return TYPE_DELEGATE if self.authorizations else TYPE_FEE

    @property
    def max_cost_wei(self) -> int:
        """The most it can take from the sender's balance."""
        return self.gas * self.fee.max_fee_wei + self.value_wei

    @property
    def unsigned(self) -> bytes:
        """Everything but the signature, as bytes."""
        return bytes((self.type,)) + rlp.listed(_fields(self))

    @property
    def digest(self) -> bytes:
        """The 32 bytes that are signed."""
        return keccak(self.unsigned)


@dataclass(frozen=True)
class Signed:
    """A transaction that can be broadcast."""

    transaction: Transaction
    raw: bytes

    @cached_property
    def hash(self) -> TxHash:
        """Known before anybody has seen it."""
        return TxHash("0x" + keccak(self.raw).hex())


def authorization_preimage(chain_id: ChainId, delegate: Address, nonce: int) -> bytes:
    """What is hashed (keccak) and then signed as an EIP-7702 authorization."""
    fields = (rlp.integer(chain_id), rlp.address(delegate), rlp.integer(nonce))
    return AUTHORIZATION_MAGIC + rlp.listed(fields)


def encode(transaction: Transaction, signature: Signature) -> Signed:
    """The raw transaction."""
    raw = bytes((transaction.type,)) + rlp.listed((*_fields(transaction), *_signature(signature)))
    return Signed(transaction, raw)


def sign(transaction: Transaction, sign_digest: Callable[[bytes], Signature]) -> Signed:
    """As `encode`, signed by ``sign_digest``; every field is written once."""
    kind, fields = bytes((transaction.type,)), b"".join(_fields(transaction))
    signature = sign_digest(keccak(kind + rlp.listed((fields,))))
    raw = kind + rlp.listed((fields, *_signature(signature)))
    return Signed(transaction, raw)


def decode(raw: bytes) -> tuple[Transaction, Signature]:
    """What the raw bytes say. Raises DecodeMismatch unless they are a type 2 or 4."""
    try:
        kind, fields = raw[0], reader.decode(raw[1:])
        authorizations: tuple[Authorization, ...] = ()
        if kind == TYPE_DELEGATE:
            *head, tuples, parity, r, s = fields
            authorizations = tuple(_authorization(item) for item in tuples)
        else:
            *head, parity, r, s = fields
        chain_id, nonce, tip, max_fee, gas, to, value, data, listed = head
        access = tuple(_accessed(item) for item in listed)
    except (reader.DecodingError, AddressMalformed, ValueError, IndexError, TypeError) as error:
        raise _mismatch(str(error)) from error
    if kind not in (TYPE_FEE, TYPE_DELEGATE) or (kind == TYPE_DELEGATE) != bool(authorizations):
        raise _mismatch(f"type {kind} with {len(authorizations)} authorizations")
    transaction = Transaction(
        chain_id=ChainId(_uint(chain_id)),
        nonce=_uint(nonce),
        fee=Fee(_uint(max_fee), _uint(tip)),
        gas=_uint(gas),
        to=parse_address("0x" + to.hex()),
        value_wei=_uint(value),
        data=bytes(data),
        authorizations=authorizations,
        access=access,
    )
    return transaction, Signature(_uint(parity), _uint(r), _uint(s))


def _fields(tx: Transaction) -> tuple[bytes, ...]:
    """Each encoded, in the order of EIP-1559 and EIP-7702."""
    fields = (
        rlp.integer(tx.chain_id),
        rlp.integer(tx.nonce),
        rlp.integer(tx.fee.tip_wei),
        rlp.integer(tx.fee.max_fee_wei),
        rlp.integer(tx.gas),
        rlp.address(tx.to),
        rlp.integer(tx.value_wei),
        rlp.string(tx.data),
        rlp.listed(_access(account, keys) for account, keys in tx.access),
    )
    return (*fields, rlp.listed(_listed(a) for a in tx.authorizations)) if tx.authorizations else fields


def _access(account: Address, keys: Sequence[bytes]) -> bytes:
    return rlp.listed((rlp.address(account), rlp.listed(map(rlp.string, keys))))


def _accessed(item: Sequence[bytes]) -> tuple[Address, tuple[bytes, ...]]:
    account, keys = item
    return parse_address("0x" + account.hex()), tuple(bytes(key) for key in keys)


def _listed(a: Authorization) -> bytes:
    fields = (rlp.integer(a.chain_id), rlp.address(a.delegate), rlp.integer(a.nonce))
    return rlp.listed((*fields, *_signature(a.signature)))


def _signature(signature: Signature) -> tuple[bytes, bytes, bytes]:
    return rlp.integer(signature.parity), rlp.integer(signature.r), rlp.integer(signature.s)


def _authorization(item: Sequence[bytes]) -> Authorization:
    chain_id, delegate, nonce, parity, r, s = item
    return Authorization(
        ChainId(_uint(chain_id)),
        parse_address("0x" + delegate.hex()),
        _uint(nonce),
        Signature(_uint(parity), _uint(r), _uint(s)),
    )


def _uint(value: bytes) -> int:
    return int.from_bytes(value, "big")


def _mismatch(reason: str) -> DecodeMismatch:
    return DecodeMismatch(label="raw transaction", target="ourselves", expected="type 2 or 4", reason=reason)
