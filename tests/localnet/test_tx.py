"""The lane against a real node: whatever goes wrong on the way, a hedge happens once. Counted on chain."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.errors import (
    BalanceTooLow,
    DeepReorg,
    DelegationMismatch,
    FeeCapExceeded,
    LaneBusy,
    PlanExpired,
    SimulationReverted,
    TransactionRejected,
)
from agent.market.intent import Urgency
from agent.tx.attempt import Stage
from agent.tx.errand import Purpose, Reply, State, Verdict
from agent.tx.executor import Hedge, delegation_code, intent_id
from agent.tx.fees import FeePolicy, market
from agent.tx.lane import LanePolicy
from agent.tx.network import Network
from agent.tx.sender import Sent
from agent.values.call import Call
from tests.lane import CHAIN, POLICY, FaultyNode, Lane, kinds, minted, settle

EXECUTED = [(Stage.INCLUDED, Verdict.EXECUTED), (Stage.FINAL, Verdict.EXECUTED)]


# --- the straight way --------------------------------------------------------------------------------


def test_a_hedge_is_included_then_final_at_its_depth_and_happens_once(lane: Lane) -> None:
    agent = lane.agent()
    sent = agent.sender.submit(lane.hedge(agent), Urgency.NORMAL, agent.head())
    assert (sent.reply, sent.nonce) == (Reply.ACCEPTED, lane.nonce())
    lane.node.mine()
    (included,) = agent.observe()
    assert (included.stage, included.verdict) == (Stage.INCLUDED, Verdict.EXECUTED)
    assert included.tx_hash == sent.tx_hash
    assert included.block_hash == lane.node.block()["hash"]
    assert included.fee_wei > 0
    lane.node.mine()
    assert agent.observe() == ()
    lane.node.mine()
    assert kinds(agent.observe()) == [(Stage.FINAL, Verdict.EXECUTED)]
    assert lane.effects() == 1
    assert agent.intent().epoch == 1


def test_an_outcome_is_told_until_it_is_acknowledged(lane: Lane) -> None:
    agent = lane.agent()
    agent.sender.submit(lane.hedge(agent), Urgency.NORMAL, agent.head())
    lane.node.mine()
    told = agent.sender.observe(agent.head())
    assert agent.sender.observe(agent.head()) == told != ()
    agent.close()
    again = lane.agent()
    assert again.sender.recover(again.head()) == told
    again.sender.acknowledge(told)
    assert again.sender.observe(again.head()) == ()


def test_the_next_hedge_may_go_out_once_the_one_before_is_in_a_block(lane: Lane) -> None:
    agent = lane.agent()
    agent.sender.submit(lane.hedge(agent), Urgency.NORMAL, agent.head())
    with pytest.raises(LaneBusy):
        agent.sender.submit(lane.hedge(agent), Urgency.NORMAL, agent.head())
    lane.node.mine()
    agent.observe()
    agent.sender.submit(lane.hedge(agent), Urgency.NORMAL, agent.head())
    assert [e.state for e in agent.sender.in_flight()] == [State.INCLUDED, State.SENT]
    settle(lane, agent)
    assert lane.effects() == 2


def test_the_gas_limit_comes_from_the_simulation_and_holds(lane: Lane) -> None:
    agent = lane.agent()
    hedge = lane.hedge(agent)
    simulated = agent.sender.simulate(hedge, agent.head())
    sent = agent.sender.submit(hedge, Urgency.NORMAL, agent.head())
    lane.node.mine()
    (included,) = agent.observe()
    assert sent.gas == simulated.gas
    assert included.gas_used == simulated.gas_used


# --- nothing is sent ---------------------------------------------------------------------------------


def test_a_hedge_that_would_revert_is_refused_with_the_name_of_the_check(lane: Lane) -> None:
    agent = lane.agent()
    hedge = replace(lane.hedge(agent), post=(minted(lane, 2, 5),))
    with pytest.raises(SimulationReverted, match=r"CheckFailed\(post=True.*value=1.*sink holds"):
        agent.sender.submit(hedge, Urgency.NORMAL, agent.head())
    assert agent.sender.in_flight() == ()
    assert lane.node.request("txpool_status") == {"pending": "0x0", "queued": "0x0"}


def test_a_hedge_whose_leg_would_revert_is_refused_with_the_legs_own_words(lane: Lane) -> None:
    agent = lane.agent()
    forbidden = Call(lane.token.address, lane.token.encode("transfer", lane.executor.address, 5), label="pay")
    hedge = replace(lane.hedge(agent), calls=(forbidden,))
    with pytest.raises(SimulationReverted, match=r"CallFailed\(index=0.*\[pay\]"):
        agent.sender.submit(hedge, Urgency.NORMAL, agent.head())


def test_without_simulate_v1_the_hedge_is_called_and_estimated_instead(
    lane: Lane, faulty: FaultyNode
) -> None:
    faulty.refused["eth_simulateV1"] = (-32601, "the method eth_simulateV1 does not exist")
    agent = lane.agent(url=faulty.url)
    bad = replace(lane.hedge(agent), pre=(minted(lane, 1, 5),))
    with pytest.raises(SimulationReverted, match=r"CheckFailed\(post=False, index=0, value=0.*sink holds"):
        agent.sender.submit(bad, Urgency.NORMAL, agent.head())
    agent.sender.submit(lane.hedge(agent), Urgency.NORMAL, agent.head())
    assert faulty.seen.count("eth_simulateV1") == 1
    assert settle(lane, agent) == EXECUTED
    assert lane.effects() == 1


def test_an_account_without_the_executor_is_never_sent_a_hedge(lane: Lane, faulty: FaultyNode) -> None:
    lane.node.set_code(lane.account, b"")
    agent = lane.agent(url=faulty.url)
    hedge = lane.hedge(agent)
    with pytest.raises(SimulationReverted, match="do nothing"):
        agent.sender.simulate(hedge, agent.head())
    assert agent.sender.simulate(hedge, agent.head(), assume_delegated=True).gas_used > 21_000
    with pytest.raises(DelegationMismatch):
        agent.sender.submit(hedge, Urgency.NORMAL, agent.head())
    faulty.refused["eth_simulateV1"] = (-32601, "unknown method")
    with pytest.raises(SimulationReverted, match="do nothing"):
        agent.sender.simulate(hedge, agent.head())
    assert agent.sender.simulate(hedge, agent.head(), assume_delegated=True).gas_used > 21_000


def test_a_plan_past_its_deadline_is_refused(lane: Lane) -> None:
    agent = lane.agent()
    hedge = lane.hedge(agent, life_s=0)
    with pytest.raises(PlanExpired):
        agent.sender.submit(hedge, Urgency.NORMAL, agent.head())


def test_a_budget_below_the_market_sends_nothing(lane: Lane) -> None:
    agent = lane.agent(policy=LanePolicy(FeePolicy(max_cost_wei=1000)))
    with pytest.raises(FeeCapExceeded):
        agent.sender.submit(lane.hedge(agent), Urgency.NORMAL, agent.head())
    assert agent.sender.in_flight() == ()


def test_an_account_that_cannot_pay_sends_nothing(lane: Lane) -> None:
    lane.node.set_balance(lane.account, 1000)
    agent = lane.agent()
    with pytest.raises(BalanceTooLow):
        agent.sender.submit(lane.hedge(agent), Urgency.NORMAL, agent.head())
    assert agent.sender.in_flight() == ()


def test_a_provable_refusal_closes_the_errand_and_frees_the_lane(lane: Lane, faulty: FaultyNode) -> None:
    faulty.refused["eth_sendRawTransaction"] = (-32000, "insufficient funds for gas * price + value")
    agent = lane.agent(url=faulty.url)
    with pytest.raises(TransactionRejected, match="insufficient funds"):
        agent.sender.submit(lane.hedge(agent), Urgency.NORMAL, agent.head())
    assert kinds(agent.observe()) == [(Stage.ABANDONED, Verdict.NOTHING)]
    faulty.heal()
    agent.sender.submit(lane.hedge(agent), Urgency.NORMAL, agent.head())
    assert settle(lane, agent) == EXECUTED
    assert lane.effects() == 1


# --- answers that do not come ------------------------------------------------------------------------


def test_an_answer_lost_after_acceptance_is_unknown_and_the_hedge_happens_once(
    lane: Lane, faulty: FaultyNode
) -> None:
    faulty.lost_after.add("eth_sendRawTransaction")
    agent = lane.agent(url=faulty.url)
    sent = agent.sender.submit(lane.hedge(agent), Urgency.NORMAL, agent.head())
    assert sent.reply is Reply.UNKNOWN
    with pytest.raises(LaneBusy):
        agent.sender.submit(lane.hedge(agent), Urgency.NORMAL, agent.head())
    faulty.heal()
    assert settle(lane, agent) == EXECUTED
    assert lane.effects() == 1
    assert lane.nonce() == sent.nonce + 1


def test_a_transaction_lost_before_the_node_is_sent_again_unchanged(lane: Lane, faulty: FaultyNode) -> None:
    faulty.lost_before.add("eth_sendRawTransaction")
    agent = lane.agent(url=faulty.url)
    sent = agent.sender.submit(lane.hedge(agent), Urgency.NORMAL, agent.head())
    faulty.heal()
    lane.node.mine()
    assert kinds(agent.observe()) == [(Stage.RESENT, Verdict.PENDING)]
    lane.node.mine()
    (included,) = agent.observe()
    assert included.tx_hash == sent.tx_hash
    assert lane.effects() == 1


def test_a_transaction_that_reaches_the_node_twice_happens_once(lane: Lane, faulty: FaultyNode) -> None:
    faulty.repeated.add("eth_sendRawTransaction")
    agent = lane.agent(url=faulty.url)
    sent = agent.sender.submit(lane.hedge(agent), Urgency.NORMAL, agent.head())
    assert sent.reply is Reply.ACCEPTED  # "already known" is a yes
    assert settle(lane, agent) == EXECUTED
    assert lane.effects() == 1


def test_a_refusal_nobody_understands_is_unknown(lane: Lane, faulty: FaultyNode) -> None:
    faulty.refused["eth_sendRawTransaction"] = (-32000, "the moon is in the seventh house")
    agent = lane.agent(url=faulty.url)
    sent = agent.sender.submit(lane.hedge(agent), Urgency.NORMAL, agent.head())
    assert sent.reply is Reply.UNKNOWN
    faulty.heal()
    settle(lane, agent)
    assert lane.effects() == 1


# --- stuck -------------------------------------------------------------------------------------------


def spike(lane: Lane, sent: Sent) -> None:
    """The next block asks twice what was bid."""
    lane.node.set_next_base_fee(2 * sent.fee.max_fee_wei)
    lane.node.mine()


def test_a_stuck_hedge_is_outbid_by_a_tenth_on_both_fees_and_happens_once(lane: Lane) -> None:
    agent = lane.agent()
    sent = agent.sender.submit(lane.hedge(agent), Urgency.RESCUE, agent.head())
    spike(lane, sent)
    assert kinds(agent.observe()) == [(Stage.BUMPED, Verdict.PENDING)]
    (errand,) = agent.sender.in_flight()
    first, second = (attempt.fee for attempt in errand.attempts)
    assert second.max_fee_wei * 10 >= first.max_fee_wei * 11
    assert second.tip_wei > first.tip_wei
    assert settle(lane, agent) == EXECUTED
    assert lane.effects() == 1


def test_the_first_attempt_is_recognised_when_it_is_mined_after_all(lane: Lane) -> None:
    agent = lane.agent()
    sent = agent.sender.submit(lane.hedge(agent), Urgency.RESCUE, agent.head())
    spike(lane, sent)
    agent.observe()
    (errand,) = agent.sender.in_flight()
    first, second = errand.attempts
    lane.drop(second.tx_hash)
    lane.node.set_next_base_fee(10**9)
    lane.node.request("eth_sendRawTransaction", "0x" + first.raw.hex())
    lane.node.mine()
    (included,) = agent.observe()
    assert included.tx_hash == sent.tx_hash
    assert lane.effects() == 1


def test_an_evicted_hedge_comes_back(lane: Lane) -> None:
    agent = lane.agent()
    sent = agent.sender.submit(lane.hedge(agent), Urgency.NORMAL, agent.head())
    lane.drop(sent.tx_hash)
    seen = settle(lane, agent)
    assert seen == [(Stage.BUMPED, Verdict.PENDING), *EXECUTED]
    assert lane.effects() == 1


def test_at_the_cap_the_last_attempt_is_kept_alive_and_said_so(lane: Lane) -> None:
    agent = lane.agent()
    gas = agent.sender.simulate(lane.hedge(agent), agent.head()).gas
    base = int(str(lane.node.block()["baseFeePerGas"]), 16)
    first = market(Network(agent.rpc).history(), Urgency.RESCUE, POLICY.fees)
    tight = LanePolicy(FeePolicy(max_cost_wei=gas * first.max_fee_wei), confirm_depth=3)
    agent.close()
    agent = lane.agent(policy=tight)
    sent = agent.sender.submit(lane.hedge(agent), Urgency.RESCUE, agent.head())
    lane.drop(sent.tx_hash)
    spike(lane, sent)
    assert kinds(agent.observe()) == [(Stage.CAPPED, Verdict.PENDING), (Stage.RESENT, Verdict.PENDING)]
    (errand,) = agent.sender.in_flight()
    assert [attempt.tx_hash for attempt in errand.attempts] == [sent.tx_hash]
    lane.node.set_next_base_fee(base)
    assert settle(lane, agent)[-1] == (Stage.FINAL, Verdict.EXECUTED)
    assert lane.effects() == 1


def test_a_hedge_past_its_deadline_gives_its_nonce_to_nothing_and_is_planned_again(lane: Lane) -> None:
    agent = lane.agent()
    hedge = lane.hedge(agent, life_s=30)
    sent = agent.sender.submit(hedge, Urgency.NORMAL, agent.head())
    lane.drop(sent.tx_hash)
    lane.node.mine()
    lane.node.mine()
    lane.node.mine()
    assert kinds(agent.observe()) == [(Stage.CANCELLING, Verdict.PENDING)]
    lane.node.mine()
    assert kinds(agent.observe()) == [(Stage.INCLUDED, Verdict.CANCELLED)]
    again = lane.hedge(agent)
    assert again.intent_id == hedge.intent_id
    agent.sender.submit(again, Urgency.NORMAL, agent.head())
    settle(lane, agent)
    assert lane.effects() == 1


def test_a_rescue_takes_the_place_of_housekeeping_at_the_same_nonce(lane: Lane) -> None:
    agent = lane.agent()
    first = agent.sender.submit(lane.hedge(agent, amount=1), Urgency.HOUSEKEEPING, agent.head())
    rescue = agent.sender.submit(lane.hedge(agent, amount=10), Urgency.RESCUE, agent.head())
    assert rescue.nonce == first.nonce
    assert rescue.intent_id == first.intent_id
    assert settle(lane, agent) == EXECUTED
    assert lane.effects() == 10


def test_a_crowded_pool_gets_the_same_bytes_again_later(lane: Lane, faulty: FaultyNode) -> None:
    refusal = (-32000, "in-flight transaction limit reached for delegated accounts")
    faulty.refused["eth_sendRawTransaction"] = refusal
    agent = lane.agent(url=faulty.url)
    sent = agent.sender.submit(lane.hedge(agent), Urgency.NORMAL, agent.head())
    assert sent.reply is Reply.REJECTED
    faulty.heal()
    assert settle(lane, agent) == [(Stage.RESENT, Verdict.PENDING), *EXECUTED]
    assert lane.effects() == 1


# --- others on our key -------------------------------------------------------------------------------


def use_nonce(lane: Lane) -> None:
    """Somebody else who holds the key sends something in the next block."""
    fees = {"maxFeePerGas": hex(10**12), "maxPriorityFeePerGas": hex(10**11)}
    to = {"from": lane.account, "to": lane.token.address, "gas": hex(100_000)}
    lane.node.request("eth_sendTransaction", {**to, **fees, "nonce": hex(lane.nonce())})


def test_a_nonce_used_by_somebody_else_is_noticed_and_the_intent_planned_again(lane: Lane) -> None:
    agent = lane.agent()
    hedge = lane.hedge(agent)
    sent = agent.sender.submit(hedge, Urgency.NORMAL, agent.head())
    lane.drop(sent.tx_hash)
    use_nonce(lane)
    lane.node.mine()
    assert agent.observe() == ()  # a node may know the nonce before the receipt: look twice
    with pytest.raises(LaneBusy):
        agent.sender.submit(lane.hedge(agent), Urgency.NORMAL, agent.head())
    lane.node.mine()
    assert kinds(agent.observe()) == [(Stage.REPLACED, Verdict.NOTHING)]
    again = lane.hedge(agent)
    assert again.intent_id == hedge.intent_id
    agent.sender.submit(again, Urgency.NORMAL, agent.head())
    settle(lane, agent)
    assert lane.effects() == 1


def test_nonces_that_a_reorganisation_took_from_somebody_else_do_not_strand_the_hedge(lane: Lane) -> None:
    agent = lane.agent()
    before = lane.nonce()
    for _ in range(2):
        use_nonce(lane)
        lane.node.mine()
    sent = agent.sender.submit(lane.hedge(agent), Urgency.NORMAL, agent.head())
    assert sent.nonce == before + 2
    lane.reorg(2)  # and nobody will ever send them again: ours waits behind a gap of two
    assert lane.nonce() == before
    seen: list[tuple[Stage, Verdict]] = []
    for _ in range(12):
        seen += kinds(agent.observe())
        lane.node.mine()
    seen += kinds(agent.observe())
    assert seen.count((Stage.REISSUED, Verdict.PENDING)) == 1
    assert seen.count((Stage.FINAL, Verdict.EXECUTED)) == 1
    assert seen.count((Stage.OVERTAKEN, Verdict.NOTHING)) == 1
    assert lane.effects() == 1
    assert lane.nonce() == before + 1, "the gap was not filled: the plan went out where the chain is"
    assert agent.sender.in_flight() == ()


def test_two_agents_with_journals_of_their_own_do_one_thing_once(lane: Lane) -> None:
    one, two = lane.agent("one.db"), lane.agent("two.db")
    plans = lane.hedge(one), lane.hedge(two)
    assert plans[0].intent_id == plans[1].intent_id
    sent = one.sender.submit(plans[0], Urgency.NORMAL, one.head())
    with pytest.raises(SimulationReverted, match="IntentAlreadyConsumed"):
        two.sender.submit(plans[1], Urgency.RESCUE, two.head())
    lane.drop(sent.tx_hash)  # the second agent's node has not heard of the first one's transaction
    two.sender.submit(plans[1], Urgency.RESCUE, two.head())
    assert settle(lane, two) == EXECUTED
    assert settle(lane, one) == [(Stage.REPLACED, Verdict.NOTHING)]
    assert lane.effects() == 1
    assert one.intent().epoch == 1


def test_a_lost_journal_doubles_nothing(lane: Lane) -> None:
    agent = lane.agent("lost.db")
    sent = agent.sender.submit(lane.hedge(agent), Urgency.NORMAL, agent.head())
    fresh = lane.agent("fresh.db")
    hedge = lane.hedge(fresh)
    assert hedge.intent_id == sent.intent_id
    with pytest.raises(SimulationReverted, match="IntentAlreadyConsumed"):
        fresh.sender.submit(hedge, Urgency.RESCUE, fresh.head())
    lane.node.mine()
    assert lane.effects() == 1
    assert fresh.intent().epoch == 1


# --- what was, is not any more -----------------------------------------------------------------------


@pytest.mark.parametrize("depth", [1, 2])
def test_a_success_that_is_reorganised_away_is_sent_again_and_happens_once(lane: Lane, depth: int) -> None:
    agent = lane.agent()
    sent = agent.sender.submit(lane.hedge(agent), Urgency.NORMAL, agent.head())
    for _ in range(depth):
        lane.node.mine()
    assert kinds(agent.observe()) == [(Stage.INCLUDED, Verdict.EXECUTED)]
    lane.reorg(depth)
    assert lane.effects() == 0
    assert kinds(agent.observe()) == [(Stage.REORGED, Verdict.PENDING), (Stage.RESENT, Verdict.PENDING)]
    seen = settle(lane, agent)
    assert seen == EXECUTED
    assert lane.effects() == 1
    assert lane.nonce() == sent.nonce + 1


def test_a_plan_is_not_changed_under_a_later_one_that_may_still_be_mined(lane: Lane) -> None:
    """The first is reorganised away and nobody mines it; the second was planned on top of it and waits."""
    agent = lane.agent()
    first = agent.sender.submit(lane.hedge(agent), Urgency.NORMAL, agent.head())
    lane.node.mine()
    agent.observe()
    second = agent.sender.submit(lane.hedge(agent), Urgency.NORMAL, agent.head())
    assert second.nonce == first.nonce + 1
    lane.reorg(1)
    for _ in range(POLICY.confirm_depth + 2):
        agent.observe()
        for errand in agent.sender.in_flight():
            for attempt in errand.attempts if errand.nonce == first.nonce else ():
                lane.drop(attempt.tx_hash)
        lane.node.mine()
    assert lane.effects() == 0
    again = lane.hedge(agent)
    assert again.intent_id == first.intent_id
    with pytest.raises(LaneBusy):  # it would be done under the first intent, and once more under the second
        agent.sender.submit(again, Urgency.RESCUE, agent.head())
    settle(lane, agent)
    assert lane.effects() == 2
    assert agent.sender.in_flight() == ()


def test_a_revert_on_chain_says_why_frees_the_intent_and_survives_a_reorganisation(lane: Lane) -> None:
    agent = lane.agent()
    hedge = replace(lane.hedge(agent), pre=(minted(lane, 0, 0),))
    agent.sender.submit(hedge, Urgency.NORMAL, agent.head())
    fill(lane, 7)  # the state changes under the hedge's feet
    lane.node.mine()
    (reverted,) = agent.observe()
    assert (reverted.stage, reverted.verdict) == (Stage.INCLUDED, Verdict.REVERTED)
    assert "CheckFailed" in reverted.reason
    lane.reorg(1)
    fill(lane, 0)
    assert kinds(agent.observe())[0] == (Stage.REORGED, Verdict.PENDING)
    assert settle(lane, agent) == EXECUTED
    assert lane.effects() == 1


def fill(lane: Lane, amount: int) -> None:
    """Set the sink's balance by hand, found by looking which storage slot moves it."""
    from eth_abi import encode
    from eth_utils.crypto import keccak

    from tests.lane import SINK

    for slot in range(8):
        key = "0x" + keccak(encode(["address", "uint256"], [SINK, slot])).hex()
        before = lane.node.request("eth_getStorageAt", lane.token.address, key, "latest")
        held = lane.effects()
        lane.node.request("anvil_setStorageAt", lane.token.address, key, "0x" + f"{held + 1:064x}")
        if lane.effects() == held + 1:
            lane.node.request("anvil_setStorageAt", lane.token.address, key, "0x" + f"{amount:064x}")
            return
        lane.node.request("anvil_setStorageAt", lane.token.address, key, before)
    raise AssertionError("no slot holds the balance")


def test_a_hedge_does_not_happen_without_the_one_it_was_planned_on(lane: Lane) -> None:
    agent = lane.agent()
    first = agent.sender.submit(lane.hedge(agent, amount=1), Urgency.NORMAL, agent.head())
    lane.node.mine()
    agent.observe()
    second = lane.hedge(agent, amount=10)
    agent.sender.submit(second, Urgency.NORMAL, agent.head())
    lane.reorg(1)
    use_nonce(lane)  # the first's nonce goes to somebody else's transaction, the second is in the pool
    lane.node.mine()
    assert lane.nonce() == first.nonce + 2
    assert lane.effects() == 0  # the second was mined and refused: its order check did not hold
    settle(lane, agent, blocks=12)
    assert agent.intent().epoch == 0


def test_what_was_final_and_is_gone_stops_everything(lane: Lane) -> None:
    agent = lane.agent()
    agent.sender.submit(lane.hedge(agent), Urgency.NORMAL, agent.head())
    settle(lane, agent)
    lane.reorg(3)
    lane.node.mine()
    with pytest.raises(DeepReorg):
        agent.sender.recover(agent.head())
    with pytest.raises(DeepReorg):
        agent.sender.submit(lane.hedge(agent), Urgency.NORMAL, agent.head())


# --- delegation --------------------------------------------------------------------------------------


def test_delegating_is_one_journalled_transaction_that_uses_two_nonces(lane: Lane) -> None:
    lane.node.set_code(lane.account, b"")
    agent = lane.agent()
    before = lane.nonce()
    (sent,) = agent.sender.delegate(agent.head())
    assert [e.purpose for e in agent.sender.in_flight()] == [Purpose.DELEGATION]
    assert settle(lane, agent) == EXECUTED
    assert lane.nonce() == before + 2
    assert lane.node.request("eth_getCode", lane.account, "latest") == (
        "0x" + delegation_code(lane.executor.address).hex()
    )
    assert agent.sender.delegate(agent.head()) == ()
    hedge = agent.sender.submit(lane.hedge(agent), Urgency.NORMAL, agent.head())
    assert hedge.nonce == sent.nonce + 2
    assert settle(lane, agent) == EXECUTED
    assert lane.effects() == 1


def test_an_account_that_runs_something_else_is_left_alone(lane: Lane) -> None:
    lane.node.set_code(lane.account, delegation_code(lane.token.address))
    agent = lane.agent()
    with pytest.raises(DelegationMismatch, match=lane.token.address):
        agent.sender.delegate(agent.head())


def test_a_delegation_lost_on_the_way_is_sent_again(lane: Lane, faulty: FaultyNode) -> None:
    lane.node.set_code(lane.account, b"")
    faulty.lost_before.add("eth_sendRawTransaction")
    agent = lane.agent(url=faulty.url)
    agent.sender.delegate(agent.head())
    faulty.heal()
    settle(lane, agent)
    assert agent.sender.is_delegated()


def test_the_executor_and_python_agree_on_what_an_intent_is_called(lane: Lane) -> None:
    agent = lane.agent()
    hedge = lane.hedge(agent)
    assert hedge.intent_id == intent_id(CHAIN, lane.account, 0)
    assert isinstance(hedge, Hedge)
    agent.sender.submit(hedge, Urgency.NORMAL, agent.head())
    settle(lane, agent)
    consumed = lane.executor.encode("isConsumed", bytes.fromhex(hedge.intent_id[2:]))
    answer = lane.node.request("eth_call", {"to": lane.account, "data": "0x" + consumed.hex()}, "latest")
    assert int(str(answer), 16) == 1
    assert POLICY.confirm_depth == 3
