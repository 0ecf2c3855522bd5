"""The receipts of whole blocks, of all the lanes that share it: one ``eth_getBlockReceipts`` per block.

A block is named by its hash and followed to its parents, so that what is found is on the branch of the head
that was asked about, whatever the node thinks meanwhile. Of a block only our accounts' receipts are kept.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from agent.chain import shape
from agent.chain.error_table import is_unpinned
from agent.chain.rpc import Rpc, block_param
from agent.chain.transport import Json
from agent.chain.wire import RpcCall, RpcResult
from agent.errors import DecodeMismatch, ReadUnpinned, RpcRejected
from agent.values.address import Address, BlockHash, TxHash
from agent.values.block import Block

KEPT = 256  # blocks
LATELY = 4  # blocks: whoever asked no longer ago is expected to ask again
REACH = 16  # blocks behind the head whose receipts are still asked for as blocks
_LABEL = "eth_getBlockReceipts"
NO_SUCH_METHOD, INVALID_PARAMS = -32601, -32602
TRIES = 3  # refusals of another kind, an answer that is too large for the node for one
_NO_METHOD = ("not found", "not supported", "unsupported", "not available", "does not exist", "unknown")

Raw = dict[str, Json]


@dataclass(slots=True)
class _Sheaf:
    """One block. ``receipts`` by hash, of the transactions of ``accounts``."""

    number: int
    parent: BlockHash
    accounts: set[str] = field(default_factory=set)
    receipts: dict[TxHash, Raw] = field(default_factory=dict)


class Harvest:
    """Shared by the lanes of one chain; threads may share it, too.

    Endpoints that lack the method are remembered; where all do, ``is_able`` is False and nothing is asked.
    """

    def __init__(self, rpc: Rpc) -> None:
        self._rpc = rpc
        self._lock = threading.Lock()
        self._sheaves: dict[BlockHash, _Sheaf] = {}
        self._nonces: dict[tuple[BlockHash, Address], int] = {}
        self._accounts: dict[
            Address, int
        ] = {}  # whose receipts are kept, and the block they last asked about
        self._refused: Counter[str] = Counter()  # endpoint: how often, TRIES at once if it lacks the method

    @property
    def is_able(self) -> bool:
        """Whether any endpoint may have the method."""
        with self._lock:
            return any(self._refused[member.endpoint] < TRIES for member in self._rpc.members)

    def nonce(self, head: Block, account: Address) -> int:
        """The account's next nonce at ``head``; the block's receipts come in the same round trip.

        Raises ReadUnpinned if the block is gone.
        """
        with self._lock:
            self._note(head)
            self._accounts[account] = head.number
            known = self._nonces.get((head.hash, account))
            wants = not self._is_gathered(head.hash)
        if known is None or wants:
            self._ask(head, wants=wants and self.is_able)
        with self._lock:
            return self._nonces[head.hash, account]

    def find(self, head: Block, hashes: Collection[TxHash]) -> Raw | None:
        """The receipt of the first of ``hashes`` on the way back from ``head``; None within REACH blocks."""
        for block_hash in self._branch(head):
            with self._lock:
                receipts = self._sheaves[block_hash].receipts
                found = next((receipts[one] for one in hashes if one in receipts), None)
            if found is not None:
                return found
        return None

    def descends(self, head: Block, block_hash: str) -> bool:
        """Whether it is certain from headers alone that ``block_hash`` is ``head`` or an ancestor."""
        with self._lock:
            self._note(head)
            at: BlockHash | None = head.hash
            while at is not None and at != block_hash:
                sheaf = self._sheaves.get(at)
                at = None if sheaf is None else sheaf.parent
            return at is not None

    # --- asking ----------------------------------------------------------------------------------------

    def _ask(self, head: Block, *, wants: bool) -> None:
        """The nonces of all who asked lately, and the receipts, in one round trip."""
        with self._lock:
            lately = [one for one, number in self._accounts.items() if number > head.number - LATELY]
            accounts = [one for one in lately if (head.hash, one) not in self._nonces]
        calls: list[RpcCall] = [("eth_getTransactionCount", (one, block_param(head))) for one in accounts]
        calls += [(_LABEL, (head.hash,))] if wants else []
        answers = self._rpc.batch(calls)
        for account, nonce in zip(accounts, answers, strict=False):
            if nonce.error is not None and is_unpinned(str(nonce.error.fields["reason"])):
                raise ReadUnpinned(block=f"{head.number} ({head.hash})", reason=nonce.error.fields["reason"])
            value = shape.quantity(nonce.unwrap(), "eth_getTransactionCount")
            with self._lock:
                self._nonces[head.hash, account] = value
        if wants:
            self._store(head.hash, answers[-1])

    def _branch(self, head: Block) -> Iterator[BlockHash]:
        """The hashes of gathered blocks, from ``head`` back; ends where a block cannot be had."""
        at = head.hash
        for _ in range(REACH):
            with self._lock:
                is_known, is_gathered = at in self._sheaves, self._is_gathered(at)
            if not is_gathered and not self._fetch(at, has_header=is_known):
                return
            yield at
            with self._lock:
                sheaf = self._sheaves[at]
            if sheaf.number == 0:
                return
            at = sheaf.parent

    def _fetch(self, block_hash: BlockHash, *, has_header: bool) -> bool:
        """A block's receipts, and its header if it is new to us. Whether they came."""
        if not self.is_able:
            return False
        calls: list[RpcCall] = [(_LABEL, (block_hash,))]
        if not has_header:
            calls.append(("eth_getBlockByHash", (block_hash, False)))
        answer, *headers = self._rpc.batch(calls)
        for header in headers:
            if header.value is None:
                return False
            with self._lock:
                self._note(shape.header(header.value, "eth_getBlockByHash"))
        return self._store(block_hash, answer)

    def _store(self, block_hash: BlockHash, answer: RpcResult) -> bool:
        """Keep what is ours of a block's receipts; an endpoint that has not the method is remembered."""
        if answer.error is not None:
            answer = self._elsewhere(block_hash, self._remember(answer.error))
        if answer.value is None:
            return False  # the node has not the block
        with self._lock:
            accounts = {one.lower() for one in self._accounts}
        try:
            receipts = _ours(answer.value, block_hash, accounts)
        except DecodeMismatch:
            return False  # a node that words it in its own way is asked for each receipt
        with self._lock:
            sheaf = self._sheaves[block_hash]
            sheaf.receipts, sheaf.accounts = receipts, accounts
        return True

    def _elsewhere(self, block_hash: BlockHash, asked: str) -> RpcResult:
        """From the first other endpoint that did not refuse yet."""
        with self._lock:
            others = [m for m in self._rpc.members if m.endpoint != asked and not self._refused[m.endpoint]]
        for member in others:
            (answer,) = member.batch([(_LABEL, (block_hash,))])
            if answer.error is None:
                return answer
            self._remember(answer.error)
        return RpcResult()

    def _remember(self, error: RpcRejected) -> str:
        """Which endpoint refused: for good if it has not the method, by and by if it is for another reason
        than a block that is gone.
        """
        reason, endpoint = str(error.fields["reason"]).lower(), str(error.fields["endpoint"])
        is_lacking = "method" in reason and any(word in reason for word in _NO_METHOD)
        with self._lock:
            if error.fields["rpc_code"] in {NO_SUCH_METHOD, INVALID_PARAMS} or is_lacking:
                self._refused[endpoint] += TRIES
            elif not is_unpinned(reason):
                self._refused[endpoint] += 1
        return endpoint

    # --- under the lock ------------------------------------------------------------------------------

    def _note(self, block: Block) -> None:
        if block.hash in self._sheaves:
            return
        self._sheaves[block.hash] = _Sheaf(block.number, block.parent_hash)
        if len(self._sheaves) > KEPT:
            gone = next(iter(self._sheaves))
            del self._sheaves[gone]
            self._nonces = {key: value for key, value in self._nonces.items() if key[0] != gone}

    def _is_gathered(self, block_hash: BlockHash) -> bool:
        sheaf = self._sheaves.get(block_hash)
        return (
            sheaf is not None
            and bool(sheaf.accounts)
            and all(one.lower() in sheaf.accounts for one in self._accounts)
        )


def _ours(value: Json, block_hash: BlockHash, accounts: Collection[str]) -> dict[TxHash, Raw]:
    found: dict[TxHash, Raw] = {}
    for item in shape.items(value, _LABEL):
        receipt = shape.record(item, _LABEL)
        sender = receipt.get("from")
        if shape.hash32(receipt.get("blockHash"), _LABEL) != block_hash or not isinstance(sender, str):
            raise shape.mismatch(
                _LABEL, f"a receipt of {block_hash} with its sender", receipt.get("blockHash")
            )
        if sender.lower() in accounts:
            found[shape.tx_hash(receipt.get("transactionHash"), _LABEL)] = receipt
    return found
