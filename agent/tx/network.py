"""What the lane sees of a node and says to it, in typed words. Nothing here tries twice."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import cast

from agent.chain import shape
from agent.chain.rpc import Rpc
from agent.chain.transport import Json
from agent.errors import DecodeMismatch, RpcRejected
from agent.tx.channel import Broadcast, Channel, broadcast
from agent.tx.errand import Errand, Receipt, Route, Sight
from agent.tx.executor import has_executed
from agent.tx.fees import PERCENTILES, History
from agent.tx.harvest import Harvest
from agent.tx.revert import sentence
from agent.tx.transaction import Authorization
from agent.values.address import Address, TxHash
from agent.values.block import Block
from agent.values.call import Call

HISTORY_BLOCKS = 20

Authority = Callable[[Address], int]  # who says which nonce is the account's next


class Network:
    """What is read comes from one place; what is sent goes to every channel of its route.

    Either may be wrong or slow; the state machine is built for that. ``harvest``: what lanes share.
    """

    def __init__(
        self,
        rpc: Rpc,
        channels: Sequence[Channel] = (),
        authority: Authority | None = None,
        harvest: Harvest | None = None,
    ) -> None:
        self._rpc = rpc
        self._harvest = harvest if harvest is not None else Harvest(rpc)
        self._authority = authority if authority is not None else rpc.nonce
        self._channels = tuple(channels) or (Channel(rpc),)

    @property
    def endpoint(self) -> str:
        """The node's name, without secrets."""
        return self._rpc.endpoint

    def nonce(self, account: Address) -> int:
        """The account's next nonce after the newest block."""
        return self._rpc.nonce(account)

    def agreed_nonce(self, account: Address) -> int:
        """The same, by the node with the highest head, if the others do not contradict it.

        Raises NodesDisagree.
        """
        return self._authority(account)

    def balance_wei(self, account: Address) -> int:
        """The account's native balance after the newest block."""
        return self._rpc.balance(account)

    def code(self, account: Address) -> bytes:
        """The account's code after the newest block."""
        return self._rpc.code(account)

    def history(self) -> History:
        """Fees of the last blocks; empty blocks are left out of the tips. Raises DecodeMismatch."""
        raw = self._rpc.fee_history(HISTORY_BLOCKS, PERCENTILES)
        if not raw.base_fees_wei:
            raise DecodeMismatch(
                label="eth_feeHistory", target=self.endpoint, expected="base fees", reason="there are none"
            )
        rows = zip(raw.rewards_wei, raw.gas_used_ratios, strict=False)
        return History(raw.base_fees_wei[-1], tuple(tips for tips, ratio in rows if ratio > 0))

    def sight(self, errand: Errand, head: Block) -> Sight:
        """The nonce and what was mined of everything ever signed for the errand, as ``head`` has it.

        Headers alone say that what was mined still is; else the nonce at ``head`` says whether anything was,
        and the receipts of whole blocks say what. Where they do not, every attempt is asked for, and the
        answer is of the node's newest block.
        """
        mined = errand.inclusion
        if mined is not None and self._harvest.descends(head, mined.block_hash):
            return Sight(head.number, errand.nonce + 1, (mined,))
        is_ahead = mined is not None and mined.block_number > head.number  # it was seen at a newer block
        if errand.attempts and not is_ahead and self._harvest.is_able:
            nonce = self._harvest.nonce(head, errand.account)
            if nonce <= errand.nonce:
                return Sight(head.number, nonce, ())
            raw = self._harvest.find(head, [attempt.tx_hash for attempt in errand.attempts])
            if raw is not None:
                return Sight(head.number, nonce, (_receipt(raw, errand),))
        return self._asked(errand, head.number)

    def _asked(self, errand: Errand, head: int) -> Sight:
        """In one round trip, a receipt for each attempt."""
        calls: list[tuple[str, tuple[object, ...]]] = [
            ("eth_getTransactionCount", (errand.account, "latest"))
        ]
        calls += [("eth_getTransactionReceipt", (attempt.tx_hash,)) for attempt in errand.attempts]
        nonce, *answers = (result.unwrap() for result in self._rpc.batch(calls))
        receipts = tuple(
            _receipt(shape.record(answer, "receipt"), errand) for answer in answers if answer is not None
        )
        return Sight(head, shape.quantity(nonce, "nonce"), receipts)

    def estimate_gas(self, account: Address, authorization: Authorization | None = None) -> int:
        """Gas of the account's empty call to itself, alone or with a delegation. Raises RpcRejected."""
        call: dict[str, object] = {"from": account, "to": account, "data": "0x"}
        if authorization is not None:
            signature = authorization.signature
            item = {"chainId": hex(authorization.chain_id), "address": authorization.delegate}
            item |= {"nonce": hex(authorization.nonce), "yParity": hex(signature.parity)}
            call["authorizationList"] = [item | {"r": hex(signature.r), "s": hex(signature.s)}]
        return self._rpc.estimate_gas(call, "latest")

    def why(self, account: Address, data: bytes, block_number: int) -> str:
        """Why the account's call to itself reverts on a block's state, in words; nothing rests on it."""
        try:
            answer = self._rpc.call(Call(account, data), hex(block_number), sender=account)
        except RpcRejected as error:
            return str(error.fields["reason"])
        if answer.ok:
            return "it holds on the block before: something in its own block changed the state"
        return sentence(answer.data)

    @property
    def first_route(self) -> Route:
        """Where a new transaction goes first: to private channels, if there are any."""
        private = any(channel.route is Route.PRIVATE for channel in self._channels)
        return Route.PRIVATE if private else Route.PUBLIC

    def send(self, raw: bytes, tx_hash: TxHash, route: Route, head: int) -> Broadcast:
        """Once to every channel of the route; what is public goes to the private ones as well."""
        chosen = self._channels
        if route is Route.PRIVATE:
            chosen = tuple(channel for channel in chosen if channel.route is Route.PRIVATE)
        return broadcast(chosen, raw, tx_hash, head)


def _receipt(raw: dict[str, Json], errand: Errand) -> Receipt:
    def number(name: str) -> int:
        return shape.quantity(raw.get(name), f"receipt.{name}")

    logs = cast(list[Mapping[str, object]], shape.items(raw.get("logs"), "receipt.logs"))
    return Receipt(
        tx_hash=shape.tx_hash(raw.get("transactionHash"), "receipt.transactionHash"),
        block_number=number("blockNumber"),
        block_hash=shape.hash32(raw.get("blockHash"), "receipt.blockHash"),
        succeeded=number("status") == 1,
        executed=has_executed(logs, errand.account, errand.intent_id),
        gas_used=number("gasUsed"),
        gas_price_wei=number("effectiveGasPrice"),
    )
