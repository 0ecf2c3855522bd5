"""A real node takes what every kind of signer signs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from agent.sim.anvil import Anvil
from agent.sim.node import Node
from agent.sim.toolchain import Toolchain
from agent.tx.signer import TransactionSigner, sign_authorization, sign_transaction
from agent.values.address import ChainId
from tests.signer.bench import Bench
from tests.signer.test_every import DELEGATE, TRANSACTION


@pytest.fixture(scope="module")
def node(toolchain: Toolchain) -> Iterator[Node]:
    with Anvil(toolchain.anvil) as node:
        yield node


def test_a_node_takes_its_transactions_and_delegates_its_account(any_bench: Bench, node: Node) -> None:
    signer = any_bench.signer
    node.set_balance(signer.address, 10**18)
    nonce = int(str(node.request("eth_getTransactionCount", signer.address, "latest")), 16)
    chain_id = ChainId(node.chain_id())
    plain = sign_transaction(signer, replace(TRANSACTION, chain_id=chain_id, nonce=nonce))
    assert node.request("eth_sendRawTransaction", "0x" + plain.raw.hex()) == plain.hash
    receipt = node.receipt(plain.hash)
    assert (receipt["status"], str(receipt["from"])) == ("0x1", signer.address.lower())
    if isinstance(signer, TransactionSigner):
        return  # it signs no authorization, as test_every shows
    authorization = sign_authorization(signer, chain_id, DELEGATE, nonce + 2)
    wanted = replace(plain.transaction, nonce=nonce + 1, authorizations=(authorization,))
    delegating = sign_transaction(signer, wanted)
    assert node.request("eth_sendRawTransaction", "0x" + delegating.raw.hex()) == delegating.hash
    assert node.receipt(delegating.hash)["status"] == "0x1"
    code = str(node.request("eth_getCode", signer.address, "latest"))
    assert code == "0xef0100" + DELEGATE[2:].lower()
