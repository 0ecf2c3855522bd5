"""What a rollup takes beside execution gas, so that a budget holds on it, too.

On the OP stack every transaction pays for its bytes on L1 and, since Isthmus, a fee to the operator; both
come out of the sender's balance and neither is bounded by the transaction's own fee fields. The chain's gas
price oracle knows them. Whether a chain is of that kind is told by the code at the oracle's address, which
is the same on every one of them (specs.optimism.io/protocol/predeploys.html), and by nothing else.

On Arbitrum the estimate of gas already holds the bytes' share (as more gas), so nothing is added there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from agent.chain.abi import load
from agent.chain.lens import read_one
from agent.chain.question import Question, ask
from agent.chain.rpc import Rpc
from agent.tx.transaction import Transaction
from agent.values.address import Address, parse_address
from agent.values.block import Block
from agent.values.call import Reading
from agent.values.fixed import BPS, mul_div_up

OPTIMISM, ARBITRUM = load("optimism"), load("arbitrum")

ORACLE = parse_address("0x42" + 36 * "0" + "0F")
NODE_INTERFACE = parse_address("0x00000000000000000000000000000000000000C8")

RISE_BLOCKS = 4  # L1 blocks a transaction may wait while L1's base fee rises by an eighth in each
RISE_BPS = mul_div_up(BPS, 9**RISE_BLOCKS, 8**RISE_BLOCKS)

Key = tuple[str, int, int]


@dataclass(frozen=True, slots=True)
class DataFee:
    """What the chain takes beside gas, as its oracle says at one block: for the bytes, and for the operator
    if all of the gas limit is used. Both 0 where there is no such thing.
    """

    l1_wei: int = 0
    operator_wei: int = 0

    @property
    def most_wei(self) -> int:
        """What to reckon with until it is mined: the L1 part may rise with L1's base fee, by 60 %. That also
        covers the few bytes by which a real signature compresses worse than the oracle assumes.
        """
        return mul_div_up(self.l1_wei, RISE_BPS, BPS) + self.operator_wei


NO_DATA_FEE = DataFee()


def max_cost_wei(transaction: Transaction, data_fee: DataFee = NO_DATA_FEE) -> int:
    """The most the transaction can take from the sender's balance, on a rollup too."""
    return transaction.max_cost_wei + data_fee.most_wei


class Rollup:
    """One chain's way to charge for bytes. Asks the node once per head, size and gas limit."""

    def __init__(self, rpc: Rpc) -> None:
        self._rpc = rpc
        self._has_oracle: bool | None = None
        self._known: dict[Key, DataFee] = {}

    def data_fee(self, transaction: Transaction, head: Block) -> DataFee:
        """Of the transaction at ``head``; its fee fields may still change. Nothing is asked where the
        chain has no oracle. Raises ReadReverted, ReadUnpinned, DecodeMismatch and what `Rpc` raises: a
        fee that cannot be known is no fee of 0.
        """
        if self._has_oracle is None:
            self._has_oracle = bool(self._rpc.code(ORACLE, head))
        if not self._has_oracle:
            return NO_DATA_FEE
        unsigned = transaction.unsigned
        key = (head.hash, len(unsigned), transaction.gas)
        if key not in self._known:
            self._known = {known: fee for known, fee in self._known.items() if known[0] == head.hash}
            self._known[key] = read_one(self._rpc, head, read_data_fee(unsigned, transaction.gas))
        return self._known[key]


def read_data_fee(unsigned: bytes, gas: int) -> Reading[DataFee]:
    """What an OP-stack chain takes for a transaction of these unsigned bytes and this gas limit.

    The bytes themselves are priced (from Fjord on compressed); where the oracle refuses that and can bound
    it by the size alone, the bound counts. Raises ReadReverted or DecodeMismatch.
    """
    replies = yield from ask(
        {
            "bytes": Question(ORACLE, OPTIMISM["getL1Fee"], (unsigned,)),
            "bound": Question(ORACLE, OPTIMISM["getL1FeeUpperBound"], (len(unsigned),)),
            "isthmus": Question(ORACLE, OPTIMISM["isIsthmus"]),
            "operator": Question(ORACLE, OPTIMISM["getOperatorFee"], (gas,)),
        }
    )
    priced, bound = replies["bytes"], replies["bound"]
    l1_wei = bound.integer if bound.ok and not priced.ok else priced.integer
    # An oracle from before Isthmus has neither function and answers both with a revert.
    charges = replies["isthmus"].ok and bool(replies["isthmus"].integer)
    return DataFee(l1_wei, replies["operator"].integer if charges else 0)


def read_l1_gas(to: Address, data: bytes) -> Reading[int]:
    """How much of Arbitrum's gas estimate for a call is for its bytes on L1; 0 on other chains.

    For display only: the estimate that a limit is made from contains it. Raises DecodeMismatch.
    """
    # Only the node itself answers at this address, no contract is there that another could call.
    asked = Question(NODE_INTERFACE, ARBITRUM["gasEstimateComponents"], (to, False, data), is_direct=True)
    replies = yield from ask({"gas": asked})
    if not replies["gas"].ok or not replies["gas"].answer.data:
        return 0
    return cast(int, replies["gas"].outputs[1])
