"""What the lane does when the way out is crooked: private relays, many nodes, a dead signer, an operator."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.chain.rpc import Rpc
from agent.errors import SignerUnavailable
from agent.market.intent import Urgency
from agent.sim.node import Node
from agent.tx.attempt import Stage, replied, signed
from agent.tx.channel import Channel, Method
from agent.tx.errand import Attempt, Errand, Purpose, Reply, Route, State, Verdict
from agent.tx.errand import Fault as Refusal
from agent.tx.executor import encode_hedge
from agent.tx.fees import FeePolicy
from agent.tx.ladder import Seal
from agent.tx.ledger import Wish
from agent.tx.signer import KeystoreSigner, sign_transaction
from agent.tx.transaction import Fee, Transaction
from agent.values.address import Address
from tests.lane import CHAIN, ETHER, PASSWORD, POLICY, Agent, FaultyNode, Lane, Relay, kinds, settle

LADDER = replace(POLICY, ladder_rungs=3)
DEAD = "http://127.0.0.1:9"


class MoodySigner:
    """A real key that answers only when it likes."""

    def __init__(self, signer: KeystoreSigner) -> None:
        self._signer = signer
        self.mood = "well"
        self.asked = 0

    @property
    def address(self) -> Address:
        return self._signer.address

    def sign_digest(self, digest: bytes) -> tuple[int, int]:
        self.asked += 1
        if self.mood == "out":
            raise SignerUnavailable(signer="moody", reason="it does not answer")
        r, s = self._signer.sign_digest(digest)
        return (r, s) if self.mood == "well" else (r, s ^ 1)


def moody(lane: Lane) -> MoodySigner:
    return MoodySigner(KeystoreSigner(lane.keystore, PASSWORD))


def pooled(node: Node) -> int:
    status = node.request("txpool_status")
    assert isinstance(status, dict)
    return int(status["pending"], 16) + int(status["queued"], 16)


def privately(lane: Lane, relay: Relay, journal: str = "journal.db") -> Agent:
    channels = (
        Channel(Rpc(relay.url, 5), Route.PRIVATE, Method.PRIVATE),
        Channel(Rpc(lane.node.url, 5)),
    )
    return lane.agent(journal, channels=channels)


def stuck(lane: Lane, agent: Agent) -> None:
    """The base fee rises above what was bid, so that nothing of ours is mined."""
    newest = agent.sender.in_flight()[0].attempts[-1]
    lane.node.request("anvil_setNextBlockBaseFeePerGas", hex(newest.fee.max_fee_wei + 1))
    lane.node.mine()


# --- private, then public ----------------------------------------------------------------------------


def test_builders_are_shown_a_hedge_before_anybody_else(lane: Lane, relay: Relay) -> None:
    agent = privately(lane, relay)
    agent.sender.submit(lane.hedge(agent), Urgency.RESCUE, agent.head())
    assert relay.methods == ["eth_sendPrivateTransaction"]
    assert pooled(lane.node) == 0
    relay.deliver(lane.node)
    lane.node.mine()
    assert kinds(agent.observe()) == [(Stage.INCLUDED, Verdict.EXECUTED)]
    assert lane.effects() == 1


def test_what_builders_do_not_deliver_is_shown_to_everybody_and_happens_once(
    lane: Lane, relay: Relay
) -> None:
    agent = privately(lane, relay)
    agent.sender.submit(lane.hedge(agent), Urgency.RESCUE, agent.head())
    seen = []
    for _ in range(POLICY.private_for_rescue):
        assert pooled(lane.node) == 0
        lane.node.mine()
        seen += kinds(agent.observe())
    assert (Stage.PUBLISHED, Verdict.PENDING) in seen
    assert pooled(lane.node) == 1
    settle(lane, agent)
    assert lane.effects() == 1


def test_the_door_to_the_public_opens_one_way_even_over_a_restart(lane: Lane, relay: Relay) -> None:
    agent = privately(lane, relay)
    agent.sender.submit(lane.hedge(agent), Urgency.NORMAL, agent.head())
    for _ in range(POLICY.private_for_normal):
        lane.node.mine()
        agent.observe()
    (errand,) = agent.sender.in_flight()
    assert errand.is_public
    agent.close()
    again = privately(lane, relay)
    stuck(lane, again)
    again.observe()
    for _ in range(POLICY.bump_after_normal):
        stuck(lane, again)
        again.observe()
    (errand,) = again.sender.in_flight()
    assert errand.attempts[-1].route is Route.PUBLIC
    lane.node.request("anvil_setNextBlockBaseFeePerGas", hex(1))
    settle(lane, again)
    assert lane.effects() == 1


def test_a_dead_relay_does_not_keep_a_rescue_from_the_chain(lane: Lane) -> None:
    channels = (Channel(Rpc(DEAD, 1), Route.PRIVATE, Method.PRIVATE), Channel(Rpc(lane.node.url, 5)))
    agent = lane.agent(channels=channels)
    sent = agent.sender.submit(lane.hedge(agent), Urgency.RESCUE, agent.head())
    assert sent.reply is Reply.UNKNOWN
    for _ in range(POLICY.private_for_rescue):
        lane.node.mine()
        agent.observe()
    settle(lane, agent)
    assert lane.effects() == 1


# --- many endpoints ----------------------------------------------------------------------------------


def test_one_endpoint_of_many_is_enough(lane: Lane, faulty: FaultyNode) -> None:
    faulty.refused["eth_sendRawTransaction"] = (-32000, "transaction underpriced")
    channels = [Channel(Rpc(url, 1)) for url in (DEAD, faulty.url, lane.node.url)]
    agent = lane.agent(channels=channels)
    sent = agent.sender.submit(lane.hedge(agent), Urgency.NORMAL, agent.head())
    assert sent.reply is Reply.ACCEPTED
    settle(lane, agent)
    assert lane.effects() == 1


def test_a_refusal_counts_only_if_everybody_refused(lane: Lane, faulty: FaultyNode) -> None:
    faulty.refused["eth_sendRawTransaction"] = (-32000, "insufficient funds for gas * price + value")
    agent = lane.agent(channels=[Channel(Rpc(url, 1)) for url in (faulty.url, DEAD)])
    sent = agent.sender.submit(lane.hedge(agent), Urgency.NORMAL, agent.head())
    assert sent.reply is Reply.UNKNOWN, "the dead one may have taken it"
    assert agent.sender.in_flight()[0].may_live


def test_the_synchronous_way_is_left_where_a_node_does_not_know_it(lane: Lane, faulty: FaultyNode) -> None:
    faulty.refused["eth_sendRawTransactionSync"] = (-32601, "the method does not exist")
    agent = lane.agent(channels=[Channel(Rpc(faulty.url, 5), method=Method.SYNC)])
    sent = agent.sender.submit(lane.hedge(agent), Urgency.NORMAL, agent.head())
    assert sent.reply is Reply.ACCEPTED
    assert faulty.seen.count("eth_sendRawTransaction") == 1
    settle(lane, agent)
    assert lane.effects() == 1


def test_the_synchronous_way_answers_with_the_receipt(lane: Lane) -> None:
    agent = lane.agent(channels=[Channel(Rpc(lane.node.url, 5), method=Method.SYNC)])
    hedge, head = lane.hedge(agent), agent.head()
    lane.node.set_automine(on=True)
    try:
        sent = agent.sender.submit(hedge, Urgency.NORMAL, head)
    finally:
        lane.node.set_automine(on=False)
    assert sent.reply is Reply.ACCEPTED
    assert kinds(agent.observe()) == [(Stage.INCLUDED, Verdict.EXECUTED)]


def test_a_synchronous_answer_that_does_not_come_proves_nothing(lane: Lane) -> None:
    agent = lane.agent(channels=[Channel(Rpc(lane.node.url, 0.3), method=Method.SYNC)])
    sent = agent.sender.submit(lane.hedge(agent), Urgency.NORMAL, agent.head())  # nobody mines
    assert sent.reply is Reply.UNKNOWN
    settle(lane, agent)
    assert lane.effects() == 1


# --- the signer is out -------------------------------------------------------------------------------


def test_without_a_signer_nothing_leaves_and_the_lane_stays_free(lane: Lane) -> None:
    signer = moody(lane)
    agent = lane.agent(signer=signer)
    signer.mood = "out"
    with pytest.raises(SignerUnavailable):
        agent.sender.submit(lane.hedge(agent), Urgency.RESCUE, agent.head())
    assert pooled(lane.node) == 0
    assert agent.sender.in_flight() == ()
    signer.mood = "well"
    agent.sender.submit(lane.hedge(agent), Urgency.RESCUE, agent.head())
    settle(lane, agent)
    assert lane.effects() == 1


def test_a_wrong_signature_never_leaves(lane: Lane) -> None:
    signer = moody(lane)
    agent = lane.agent(signer=signer)
    signer.mood = "wrong"
    with pytest.raises(SignerUnavailable, match="signature"):
        agent.sender.submit(lane.hedge(agent), Urgency.RESCUE, agent.head())
    assert pooled(lane.node) == 0
    assert agent.sender.in_flight() == ()


@pytest.mark.parametrize("mood", ["out", "wrong"])
@pytest.mark.parametrize("is_restarted", [False, True])
def test_a_hedge_is_outbid_from_the_ladder_while_its_signer_is_out(
    lane: Lane, mood: str, is_restarted: bool
) -> None:
    signer = moody(lane)
    agent = lane.agent(policy=LADDER, signer=signer, seal=Seal("a secret of the owner's"))
    sent = agent.sender.submit(lane.hedge(agent), Urgency.RESCUE, agent.head())
    assert signer.asked == 1 + LADDER.ladder_rungs
    signer.mood = mood
    if is_restarted:
        agent.close()
        agent = lane.agent(policy=LADDER, signer=signer, seal=Seal("a secret of the owner's"))
    stuck(lane, agent)
    outcomes = agent.observe()
    assert kinds(outcomes) == [(Stage.BUMPED, Verdict.PENDING)]
    assert outcomes[0].reason.startswith("from the ladder")
    (errand,) = agent.sender.in_flight()
    first, rung = errand.attempts
    assert first.tx_hash == sent.tx_hash
    assert rung.fee.max_fee_wei in {first.fee.max_fee_wei * 2**step for step in (1, 2, 3)}
    assert rung.fee.max_fee_wei > agent.rpc.fee_history(1, (50,)).base_fees_wei[-1], "it can be mined now"
    settle(lane, agent)
    assert lane.effects() == 1


def test_a_ladder_of_another_key_or_past_its_deadline_is_of_no_use(lane: Lane) -> None:
    signer = moody(lane)
    agent = lane.agent(policy=LADDER, signer=signer, seal=Seal("one"))
    agent.sender.submit(lane.hedge(agent), Urgency.RESCUE, agent.head())
    agent.close()
    signer.mood = "out"
    again = lane.agent(policy=LADDER, signer=signer, seal=Seal("another"))
    stuck(lane, again)
    seen = kinds(again.observe())
    assert (Stage.UNSIGNED, Verdict.PENDING) in seen
    (errand,) = again.sender.in_flight()
    assert len(errand.attempts) == 1
    again.close()
    third = lane.agent(policy=LADDER, signer=signer, seal=Seal("one"))
    lane.node.set_next_timestamp(lane.node.now_s() + 601)
    stuck(lane, third)
    assert (Stage.UNSIGNED, Verdict.PENDING) in kinds(third.observe()), "a cancellation is not on the ladder"
    signer.mood = "well"
    settle(lane, third)
    assert lane.effects() == 0


def test_rungs_are_sealed_in_the_journal_and_gone_when_the_errand_ends(lane: Lane) -> None:
    agent = lane.agent(policy=LADDER, seal=Seal("secret"))
    agent.sender.submit(lane.hedge(agent), Urgency.RESCUE, agent.head())
    (errand,) = agent.sender.in_flight()
    rungs = agent.journal.rungs(errand)
    assert len(rungs) == LADDER.ladder_rungs
    raws = [Seal("secret").open(rung.sealed, rung.tx_hash) for rung in rungs]
    assert all(raw is not None for raw in raws)
    content = b"".join(path.read_bytes() for path in lane.folder.glob("journal.db*"))
    assert not any(raw in content for raw in raws if raw is not None)
    assert not any(raw[-64:] in content for raw in raws if raw is not None)
    settle(lane, agent)
    assert agent.journal.rungs(errand) == ()


def test_no_rung_is_above_the_cap(lane: Lane) -> None:
    fees = FeePolicy(max_cost_wei=ETHER)
    probe = lane.agent("probe.db", policy=replace(LADDER, fees=fees))
    sent = probe.sender.submit(lane.hedge(probe), Urgency.NORMAL, probe.head())
    lane.drop(sent.tx_hash)
    cap = sent.gas * sent.fee.max_fee_wei * 3
    agent = lane.agent(policy=replace(LADDER, fees=FeePolicy(max_cost_wei=cap)))
    sent = agent.sender.submit(lane.hedge(agent), Urgency.NORMAL, agent.head())
    rungs = agent.journal.rungs(agent.sender.in_flight()[0])
    assert [rung.fee.max_fee_wei for rung in rungs] == [2 * sent.fee.max_fee_wei, cap // sent.gas]


# --- budgets and balances ----------------------------------------------------------------------------


def test_what_a_plan_is_worth_bounds_every_bid_for_it(lane: Lane) -> None:
    agent = lane.agent()
    head = agent.head()
    hedge = lane.hedge(agent)
    gas = agent.sender.simulate(hedge, head).gas
    budget = gas * agent.rpc.fee_history(1, (50,)).base_fees_wei[-1] * 5 // 4
    sent = agent.sender.submit(hedge, Urgency.RESCUE, head, budget_wei=budget)
    assert sent.gas * sent.fee.max_fee_wei <= budget
    seen = []
    for _ in range(4):
        stuck(lane, agent)
        seen += kinds(agent.observe())
    assert (Stage.CAPPED, Verdict.PENDING) in seen
    (errand,) = agent.sender.in_flight()
    assert errand.max_cost_wei <= budget == errand.budget_wei


def test_the_balance_must_hold_for_everything_in_flight(lane: Lane) -> None:
    agent = lane.agent()
    for _ in range(2):
        lane.node.request("eth_sendTransaction", {"from": lane.account, "to": lane.account})
        lane.node.mine()
    sent = agent.sender.submit(lane.hedge(agent), Urgency.NORMAL, agent.head())
    lane.reorg(2)
    cost = sent.gas * sent.fee.max_fee_wei
    lane.node.set_balance(lane.account, cost * 3 // 2)  # for one of them, not for two
    seen = []
    for _ in range(4):
        seen += kinds(agent.observe())
        lane.node.mine()
    assert not any(stage is Stage.REISSUED for stage, _ in seen)
    lane.node.set_balance(lane.account, cost * 10)
    seen += kinds(agent.observe())
    assert (Stage.REISSUED, Verdict.PENDING) in seen


# --- an operator's hand ------------------------------------------------------------------------------


def test_an_operators_bump_is_carried_out_on_the_next_head(lane: Lane) -> None:
    agent = lane.agent()
    agent.sender.submit(lane.hedge(agent), Urgency.HOUSEKEEPING, agent.head())
    (errand,) = agent.sender.in_flight()
    number = agent.journal.request(errand.id, Wish.BUMP)
    assert kinds(agent.observe()) == [(Stage.BUMPED, Verdict.PENDING)]
    assert agent.journal.answer(number) == "done"
    assert agent.observe() == (), "once"
    settle(lane, agent)
    assert lane.effects() == 1


def test_an_operators_cancellation_wins_or_loses_and_the_journal_says_which(lane: Lane) -> None:
    agent = lane.agent()
    agent.sender.submit(lane.hedge(agent), Urgency.NORMAL, agent.head())
    (errand,) = agent.sender.in_flight()
    agent.journal.request(errand.id, Wish.CANCEL)
    assert kinds(agent.observe()) == [(Stage.CANCELLING, Verdict.PENDING)]
    settle(lane, agent)
    (ended,) = agent.journal.errand(errand.id)
    assert (ended.state, ended.verdict) == (State.CANCELLED, Verdict.CANCELLED)
    assert lane.effects() == 0
    # and where the original is mined after all
    agent.sender.submit(lane.hedge(agent), Urgency.NORMAL, agent.head())
    (errand,) = agent.sender.in_flight()
    agent.journal.request(errand.id, Wish.CANCEL)
    agent.observe()
    lane.drop(agent.sender.in_flight()[0].attempts[-1].tx_hash)
    lane.node.request("eth_sendRawTransaction", "0x" + errand.attempts[0].raw.hex())
    settle(lane, agent)
    (ended,) = agent.journal.errand(errand.id)
    assert (ended.state, ended.verdict) == (State.FINAL, Verdict.EXECUTED)
    assert ended.inclusion is not None
    assert ended.attempt(ended.inclusion.tx_hash).purpose is Purpose.HEDGE
    assert lane.effects() == 1


def test_a_wish_for_what_has_ended_is_answered(lane: Lane) -> None:
    agent = lane.agent()
    agent.sender.submit(lane.hedge(agent), Urgency.NORMAL, agent.head())
    (errand,) = agent.sender.in_flight()
    settle(lane, agent)
    number = agent.journal.request(errand.id, Wish.CANCEL)
    agent.observe()
    assert agent.journal.answer(number) == "it is not on its way any more"


# --- the drifts of other relayers --------------------------------------------------------------------


def booked(lane: Lane, agent: Agent, nonce: int) -> Errand:
    """A hedge that the books say was accepted at ``nonce``, and that no node has ever seen."""
    hedge, head = lane.hedge(agent), agent.head()
    transaction = Transaction(
        CHAIN, nonce, Fee(2 * head.base_fee_wei, 1), 300_000, lane.account, 0, encode_hedge(hedge)
    )
    done = sign_transaction(KeystoreSigner(lane.keystore, PASSWORD), transaction)
    errand = agent.journal.open(
        Errand(
            CHAIN,
            lane.account,
            nonce,
            Purpose.HEDGE,
            hedge.intent_id,
            hedge.intent.epoch,
            Urgency.NORMAL,
            hedge.deadline_s,
        )
    )
    attempt = Attempt(done.hash, Purpose.HEDGE, done.raw, transaction.fee, transaction.gas, head.number)
    errand = replied(signed(errand, attempt), done.hash, Reply.ACCEPTED, Refusal.NONE, "", head.number)
    agent.journal.save(errand)
    return errand


def test_a_counter_far_above_the_chain_heals_in_a_few_blocks_without_a_storm(
    lane: Lane, faulty: FaultyNode
) -> None:
    """OpenZeppelin relayer 818 and 843: 633 nonces ahead, 47 hours of retries."""
    agent = lane.agent(url=faulty.url)
    drifted = booked(lane, agent, lane.nonce() + 633)
    blocks = 0
    while lane.effects() == 0:
        agent.observe()
        lane.node.mine()
        blocks += 1
        assert blocks <= POLICY.confirm_depth + 2
    sends = faulty.seen.count("eth_sendRawTransaction")
    assert sends <= 2
    settle(lane, agent)
    (ended,) = agent.journal.errand(drifted.id)
    assert ended.state is State.OVERTAKEN
    assert faulty.seen.count("eth_sendRawTransaction") == sends
    agent.sender.submit(lane.hedge(agent), Urgency.NORMAL, agent.head())
    settle(lane, agent)
    assert lane.effects() == 2


def test_a_head_marked_sent_that_no_node_has_heals_in_a_few_blocks(lane: Lane, faulty: FaultyNode) -> None:
    """The other drift: the books wait for a transaction that never left."""
    agent = lane.agent(url=faulty.url)
    booked(lane, agent, lane.nonce())
    blocks = 0
    while lane.effects() == 0:
        agent.observe()
        lane.node.mine()
        blocks += 1
        assert blocks <= POLICY.bump_after_normal + 2
    assert faulty.seen.count("eth_sendRawTransaction") <= 2
    settle(lane, agent)
    assert lane.effects() == 1


def test_a_rescue_does_not_wait_behind_a_drifted_counter(lane: Lane) -> None:
    agent = lane.agent()
    booked(lane, agent, lane.nonce() + 40)
    for _ in range(POLICY.confirm_depth):
        lane.node.mine()
    sent = agent.sender.submit(lane.hedge(agent), Urgency.RESCUE, agent.head())
    assert sent.nonce == lane.nonce()
    settle(lane, agent)
    assert lane.effects() == 1
