"""The two kinds of transaction we send, as bytes: EIP-1559 (type 2) and EIP-7702 (type 4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import rlp
from eth_utils.crypto import keccak

from agent.errors import DecodeMismatch
from agent.values.address import Address, ChainId, TxHash, parse_address

TYPE_FEE = 2
TYPE_DELEGATE = 4
AUTHORIZATION_MAGIC = b"\x05"

Item = bytes | Sequence["Item"]


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
        encoded: bytes = rlp.encode(_fields(self))
        return bytes([self.type]) + encoded

    @property
    def digest(self) -> bytes:
        """The 32 bytes that are signed."""
        return keccak(self.unsigned)


@dataclass(frozen=True, slots=True)
class Signed:
    """A transaction that can be broadcast. ``hash`` is known before anybody has seen it."""

    transaction: Transaction
    raw: bytes
    hash: TxHash


def authorization_digest(chain_id: ChainId, delegate: Address, nonce: int) -> bytes:
    """The 32 bytes that an EIP-7702 authorization signs."""
    return keccak(AUTHORIZATION_MAGIC + rlp.encode([_int(chain_id), _address(delegate), _int(nonce)]))


def encode(transaction: Transaction, signature: Signature) -> Signed:
    """The raw transaction and its hash."""
    fields = [*_fields(transaction), _int(signature.parity), _int(signature.r), _int(signature.s)]
    raw = bytes([transaction.type]) + rlp.encode(fields)
    return Signed(transaction, raw, TxHash("0x" + keccak(raw).hex()))


def decode(raw: bytes) -> tuple[Transaction, Signature]:
    """What the raw bytes say. Raises DecodeMismatch unless they are a type 2 or 4 without access list."""
    try:
        kind, fields = raw[0], rlp.decode(raw[1:])
        authorizations: tuple[Authorization, ...] = ()
        if kind == TYPE_DELEGATE:
            *head, listed, parity, r, s = fields
            authorizations = tuple(_authorization(item) for item in listed)
        else:
            *head, parity, r, s = fields
        chain_id, nonce, tip, max_fee, gas, to, value, data, access = head
    except (rlp.DecodingError, ValueError, IndexError, TypeError) as error:
        raise _mismatch(str(error)) from error
    if kind not in (TYPE_FEE, TYPE_DELEGATE) or access or (kind == TYPE_DELEGATE) != bool(authorizations):
        raise _mismatch(f"type {kind} with {len(access)} access list entries")
    transaction = Transaction(
        chain_id=ChainId(_uint(chain_id)),
        nonce=_uint(nonce),
        fee=Fee(_uint(max_fee), _uint(tip)),
        gas=_uint(gas),
        to=parse_address("0x" + to.hex()),
        value_wei=_uint(value),
        data=bytes(data),
        authorizations=authorizations,
    )
    return transaction, Signature(_uint(parity), _uint(r), _uint(s))


def _fields(tx: Transaction) -> list[Item]:
    fields: list[Item] = [_int(tx.chain_id), _int(tx.nonce), _int(tx.fee.tip_wei), _int(tx.fee.max_fee_wei)]
    fields += [_int(tx.gas), _address(tx.to), _int(tx.value_wei), tx.data, []]
    if tx.authorizations:
        fields.append([_listed(a) for a in tx.authorizations])
    return fields


def _listed(a: Authorization) -> list[Item]:
    signature = [_int(a.signature.parity), _int(a.signature.r), _int(a.signature.s)]
    return [_int(a.chain_id), _address(a.delegate), _int(a.nonce), *signature]


def _authorization(item: Sequence[bytes]) -> Authorization:
    chain_id, delegate, nonce, parity, r, s = item
    return Authorization(
        ChainId(_uint(chain_id)),
        parse_address("0x" + delegate.hex()),
        _uint(nonce),
        Signature(_uint(parity), _uint(r), _uint(s)),
    )


def _int(value: int) -> bytes:
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def _uint(value: bytes) -> int:
    return int.from_bytes(value, "big")


def _address(address: Address) -> bytes:
    return bytes.fromhex(address[2:])


def _mismatch(reason: str) -> DecodeMismatch:
    return DecodeMismatch(label="raw transaction", target="ourselves", expected="type 2 or 4", reason=reason)
