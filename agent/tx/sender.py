"""The lane: how one account's hedges reach the chain, each exactly once.

Whatever is about to be done is committed to the ledger first: the intent and its nonce, then every signed
transaction (replacements and cancellations too), then what came of it. A process killed between any two
statements leaves a ledger from which `observe` goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from agent.chain.priority import Priority, priority
from agent.chain.rpc import Rpc
from agent.errors import (
    BalanceTooLow,
    FeeCapExceeded,
    LaneBusy,
    PlanExpired,
    TransactionRejected,
)
from agent.market.intent import Urgency
from agent.tx import attempt as life
from agent.tx import gap
from agent.tx.attempt import Decision, Pace, Stage
from agent.tx.channel import Channel
from agent.tx.dispatch import SIGNER_FAULTS, Dispatch, nothing
from agent.tx.errand import NO_INTENT, Errand, Purpose, Reply
from agent.tx.executor import Hedge, encode_hedge
from agent.tx.harvest import Harvest
from agent.tx.ladder import Seal
from agent.tx.lane import LanePolicy
from agent.tx.ledger import Ledger, Outcome, Request, Wish
from agent.tx.network import Authority, Network
from agent.tx.nonce import Claim, check_final, claim
from agent.tx.price import Priced, Pricer
from agent.tx.rollup import Rollup
from agent.tx.signer import AnySigner
from agent.tx.simulation import Simulated, Simulator, gas_limit
from agent.tx.transaction import Authorization, Fee, Transaction, decode
from agent.tx.witness import Witness
from agent.values.address import Address, ChainId, IntentId, TxHash
from agent.values.block import Block

PRESSING_BPS = 1_000  # by how much nearer liquidation must be for a newer plan to outbid one of its urgency
_RANK = {Urgency.HOUSEKEEPING: 0, Urgency.NORMAL: 1, Urgency.RESCUE: 2}
_PRIORITY = {
    Urgency.HOUSEKEEPING: Priority.NORMAL,
    Urgency.NORMAL: Priority.NORMAL,
    Urgency.RESCUE: Priority.RESCUE,
}


@dataclass(frozen=True, slots=True)
class Sent:
    """A transaction that left, or may have left (``reply`` says), or waits to be outbid."""

    errand_id: int
    intent_id: IntentId
    nonce: int
    tx_hash: TxHash
    reply: Reply
    fee: Fee
    gas: int


class Sender:
    """One account's lane. Not for two threads at once.

    ``rpc`` is read from; ``channels`` are sent to (``rpc`` itself without any); ``authority`` says which
    nonce a new errand gets (``rpc`` without one); lanes that share a ``harvest`` ask for each block once.
    """

    def __init__(
        self,
        rpc: Rpc,
        signer: AnySigner,
        ledger: Ledger,
        chain_id: ChainId,
        executor: Address,
        policy: LanePolicy,
        channels: Sequence[Channel] = (),
        seal: Seal | None = None,
        authority: Authority | None = None,
        harvest: Harvest | None = None,
    ) -> None:
        self._network = Network(rpc, channels, authority, harvest)
        self._pricer = Pricer(self._network, Rollup(rpc), policy.fees)
        self._simulator = Simulator(rpc, executor)
        self._witness = Witness(self._network, executor)
        rungs = policy.ladder_rungs
        self._dispatch = Dispatch(self._network, signer, ledger, self._witness, seal or Seal(), rungs)
        self._signer = signer
        self._ledger = ledger
        self._chain_id = chain_id
        self._executor = executor
        self._policy = policy

    @property
    def account(self) -> Address:
        return self._signer.address

    @property
    def executor(self) -> Address:
        return self._executor

    # --- what the cycle asks for -------------------------------------------------------------------

    def epoch_hint(self) -> int:
        """Where `find_intent` should look first."""
        return self._ledger.epoch_hint(self._chain_id, self.account)

    def in_flight(self) -> tuple[Errand, ...]:
        """Errands that hold the lane or wait for their depth."""
        return self._ledger.live(self._chain_id, self.account)

    def is_delegated(self) -> bool:
        """Whether the account runs our executor. Raises DelegationMismatch if it runs something else."""
        return self._witness.is_delegated(self.account)

    def delegate(self, head: Block) -> tuple[Sent, ...]:
        """Let the account run the executor (type 4, self-sponsored); nothing when it already does.

        Raises DelegationMismatch, LaneBusy, FeeCapExceeded, BalanceTooLow, TransactionRejected, and what
        the signer raises.
        """
        if self.is_delegated():
            return ()
        claimed = self._claim(head)
        if claimed.standing is not None:
            raise self._busy(claimed.standing)
        return (self._delegate(claimed.nonce, head),)

    def simulate(self, hedge: Hedge, head: Block, *, assume_delegated: bool = False) -> Simulated:
        """What the hedge would do, sending nothing. Raises SimulationReverted."""
        is_open = any(errand.is_open for errand in self.in_flight())
        tag = "latest" if is_open else "pending"
        return self._simulator.simulate(hedge, tag, head.gas_limit, assume_delegated=assume_delegated)

    def submit(
        self,
        hedge: Hedge,
        urgency: Urgency,
        head: Block,
        *,
        budget_wei: int | None = None,
        pressure_bps: int = 0,
        before: Callable[[], None] = nothing,
    ) -> Sent:
        """Simulate, journal, sign, journal, send, journal.

        ``before`` is called once it is signed, and before that is in the journal or anything leaves: for what
        has to be in the record by then and takes its time.

        While an errand stands at the nonce, a more urgent hedge takes its place (the same intent's also
        once it expired), so a rescue never waits. ``budget_wei``: what the plan is worth, below the policy's
        own cap; ``pressure_bps`` (0 to 10,000) grades the bid inside the urgency. Raises PlanExpired,
        SimulationReverted, DelegationMismatch, LaneBusy, FeeCapExceeded, BalanceTooLow, TransactionRejected,
        and what the signer raises: nothing has left then.
        """
        with priority(_PRIORITY[urgency]):
            return self._submit(hedge, urgency, head, budget_wei, pressure_bps, before)

    def _submit(
        self,
        hedge: Hedge,
        urgency: Urgency,
        head: Block,
        budget_wei: int | None,
        pressure_bps: int,
        before: Callable[[], None],
    ) -> Sent:
        if hedge.deadline_s <= head.timestamp_s:
            raise PlanExpired(intent_id=hedge.intent_id, deadline_s=hedge.deadline_s, now_s=head.timestamp_s)
        claimed = self._claim(head)
        standing = claimed.standing
        if standing is not None:
            self._require_precedence(standing, hedge, urgency, pressure_bps, head)
        self._require_last(hedge)
        if not self.is_delegated():
            raise self._witness.mismatch(self.account, "empty")
        gas = self.simulate(hedge, head).gas
        intent = hedge.intent
        if standing is None:
            errand = self._errand(
                claimed.nonce, Purpose.HEDGE, intent.id, intent.epoch, urgency, hedge.deadline_s
            )
        else:
            deadline_s = max(hedge.deadline_s, standing.deadline_s)
            errand = replace(standing, urgency=urgency, deadline_s=deadline_s)
        errand = replace(errand, budget_wei=budget_wei, pressure_bps=pressure_bps)
        priced = self._priced(errand, gas, encode_hedge(hedge), head)
        if standing is None:
            errand = self._ledger.open(errand)
        return _sent(self._dispatch.launch(errand, Purpose.HEDGE, priced, head, before))

    def observe(self, head: Block) -> tuple[Outcome, ...]:
        """Look at every live errand, act as the state machine says, and tell what happened.

        Outcomes are told again until they are acknowledged. Raises what the node and the journal raise.
        """
        live = self.in_flight()
        most = min((_PRIORITY[errand.urgency] for errand in live), default=Priority.NORMAL)
        with priority(most):
            self._observe(live, head)
        return self._ledger.unreported(self._chain_id, self.account)

    def _observe(self, live: Sequence[Errand], head: Block) -> None:
        seen = tuple(self._look(errand, head) for errand in live)
        waiting = tuple(errand for errand in seen if errand.is_open)
        asked = self._heed(waiting, head)
        if waiting:
            nonce = self._network.nonce(self.account)
            final = self._ledger.last_final(self._chain_id, self.account)
            spent = tuple(errand for errand in waiting if gap.is_spent(errand, final))
            fronts = tuple(e for e in waiting if e not in spent and not gap.has_twin(e, seen))
            gapped = tuple(errand for errand in waiting if self._is_gapped(errand, nonce, head))
            # Only the lowest open nonce is acted on; the others cannot be mined yet.
            for errand in fronts[:1]:
                if errand in gapped:
                    self._bridge(errand, nonce, head)
                elif errand.id not in asked:
                    self._act(errand, head)
            self._let_go([e for e in waiting if e in spent or (e in gapped and self._is_void(e, head))], head)

    def recover(self, head: Block) -> tuple[Outcome, ...]:
        """`observe` after a start: also checks that what was final still is. Raises DeepReorg."""
        final = self._ledger.last_final(self._chain_id, self.account)
        check_final(self._network.nonce(self.account), final, head.number)
        return self.observe(head)

    def acknowledge(self, outcomes: Sequence[Outcome]) -> None:
        """The outcomes are in the record."""
        self._ledger.acknowledge(outcomes)

    # --- acting ------------------------------------------------------------------------------------

    def _look(self, before: Errand, head: Block) -> Errand:
        errand, outcomes = self._witness.look(before, head, self._pace(before))
        if errand != before:
            self._ledger.save(errand, outcomes)
        return errand

    def _act(self, errand: Errand, head: Block) -> None:
        match life.decide(errand, head.number, head.timestamp_s, self._pace(errand)):
            case Decision.RESEND:
                self._dispatch.again(errand, head)
            case Decision.PUBLISH:
                self._dispatch.publish(errand, head)
            case Decision.BUMP:
                self._outbid(errand, errand.attempts[-1].purpose, head)
            case Decision.CANCEL:
                self._outbid(errand, Purpose.CANCEL, head)
            case Decision.GIVE_UP:
                reason = errand.attempts[-1].reason if errand.attempts else "it was never signed"
                self._dispatch.abandon(errand, head, reason)
            case Decision.WAIT | Decision.DONE:
                pass

    def _outbid(self, errand: Errand, purpose: Purpose, head: Block) -> str:
        """A replacement at the same nonce, within the budget; else the last attempt is kept alive.

        Says why not, or how; empty for a plain replacement.
        """
        last, _ = decode(errand.attempts[-1].raw)
        data, gas, authorizations = last.data, last.gas, last.authorizations
        if purpose is Purpose.CANCEL:
            data, authorizations = b"", ()
            gas = gas_limit(self._network.estimate_gas(self.account))
        try:
            priced = self._priced(errand, gas, data, head, authorizations)
            _, reason = self._dispatch.replace(errand, purpose, priced.transaction, head)
        except (FeeCapExceeded, BalanceTooLow, *SIGNER_FAULTS) as error:
            if not errand.may_live:
                self._dispatch.abandon(errand, head, error.message)
                return error.message
            stage = Stage.UNSIGNED if isinstance(error, SIGNER_FAULTS) else Stage.CAPPED
            self._ledger.save(errand, [self._witness.outcome(errand, stage, head, error.message)])
            self._dispatch.again(errand, head)
            return error.message
        return reason

    def _heed(self, waiting: Sequence[Errand], head: Block) -> set[int]:
        """Carry out what an operator asked for; returns the errands that were touched."""
        touched: set[int] = set()
        for request in self._ledger.requests(self._chain_id, self.account):
            errand = next((e for e in waiting if e.id == request.errand_id and e.attempts), None)
            if errand is None:
                self._ledger.close_request(request, "it is not on its way any more")
                continue
            if errand.id not in touched:
                touched.add(errand.id)
                self._ledger.close_request(request, self._grant(request, errand, head))
        return touched

    def _grant(self, request: Request, errand: Errand, head: Block) -> str:
        purpose = Purpose.CANCEL if request.wish is Wish.CANCEL else errand.attempts[-1].purpose
        return self._outbid(errand, purpose, head) or "done"

    # --- gaps --------------------------------------------------------------------------------------

    def _is_gapped(self, errand: Errand, nonce: int, head: Block) -> bool:
        return gap.is_gapped(errand, nonce, head.number, self._pace(errand))

    def _bridge(self, errand: Errand, nonce: int, head: Block) -> None:
        """Nothing of ours stands at the chain's nonce: the errand's plan goes out there as well.

        The intent keeps the two from both happening; filling the gap instead would take a block for every
        nonce of it. Should the node only be behind, the nonce is taken and nothing comes of it.
        """
        if self._is_void(errand, head):
            return
        try:
            if errand.purpose is Purpose.DELEGATION:
                sent = self._delegate(nonce, head)
            elif errand.is_expired(head.timestamp_s) or errand.is_cancelling:
                return
            else:
                last, _ = decode(errand.attempts[-1].raw)
                twin = replace(errand, id=0, nonce=nonce, attempts=(), reorged=False)
                priced = self._priced(twin, last.gas, last.data, head)
                opened = self._ledger.open(twin)
                sent = _sent(self._dispatch.launch(opened, Purpose.HEDGE, priced, head))
        except (FeeCapExceeded, BalanceTooLow, LaneBusy, TransactionRejected, *SIGNER_FAULTS):
            return  # the next head sees the gap again
        reason = f"the account's next nonce is {nonce}: {sent.tx_hash} took it"
        self._ledger.save(errand, [self._witness.outcome(errand, Stage.REISSUED, head, reason)])

    def _let_go(self, waiting: Sequence[Errand], head: Block) -> None:
        """Close what can do nothing any more, wherever a pool still keeps it."""
        for errand in waiting:
            closed = life.overtaken(errand)
            reason = "its nonce lay behind a gap, and the chain would refuse it now"
            self._ledger.save(closed, [self._witness.outcome(closed, Stage.OVERTAKEN, head, reason)])

    def _is_void(self, errand: Errand, head: Block) -> bool:
        is_delegated = errand.purpose is Purpose.DELEGATION and self.is_delegated()
        depth = self._policy.confirm_depth
        return gap.is_void(errand, head.number, head.timestamp_s, depth, is_delegated=is_delegated)

    def _delegate(self, nonce: int, head: Block) -> Sent:
        authorization = self._dispatch.authorize(self._chain_id, self._executor, nonce + 1)
        gas = gas_limit(self._network.estimate_gas(self.account, authorization))
        errand = self._errand(nonce, Purpose.DELEGATION, NO_INTENT, 0, Urgency.NORMAL, 0)
        priced = self._priced(errand, gas, b"", head, (authorization,))
        errand = self._ledger.open(errand)
        return _sent(self._dispatch.launch(errand, Purpose.DELEGATION, priced, head))

    # --- conditions --------------------------------------------------------------------------------

    def _claim(self, head: Block) -> Claim:
        nonce = self._network.agreed_nonce(self.account)
        final = self._ledger.last_final(self._chain_id, self.account)
        return claim(nonce, self.in_flight(), final, head.number, lambda e: self._is_gapped(e, nonce, head))

    def _pace(self, errand: Errand) -> Pace:
        return self._policy.pace(errand.urgency, errand.pressure_bps)

    def _require_precedence(
        self, standing: Errand, hedge: Hedge, urgency: Urgency, pressure_bps: int, head: Block
    ) -> None:
        """The new hedge may take the standing errand's nonce only as another try of the same intent."""
        same = standing.purpose is Purpose.HEDGE and standing.intent_id == hedge.intent_id
        nearer = pressure_bps >= standing.pressure_bps + PRESSING_BPS
        rank, standing_rank = _RANK[urgency], _RANK[standing.urgency]
        urgent = rank > standing_rank or (rank == standing_rank and nearer)
        if not same or not (urgent or standing.is_expired(head.timestamp_s)):
            raise self._busy(standing)

    def _require_last(self, hedge: Hedge) -> None:
        """No plan of a later intent may still be mined: it was made for a book in which the one before it had
        done something else, and would do again what this one does.
        """
        for errand in self.in_flight():
            if errand.is_open and errand.purpose is Purpose.HEDGE and errand.epoch > hedge.intent.epoch:
                raise self._busy(errand)

    def _priced(
        self,
        errand: Errand,
        gas: int,
        data: bytes,
        head: Block,
        authorizations: tuple[Authorization, ...] = (),
    ) -> Priced:
        """The errand's next transaction, paid for. Raises FeeCapExceeded, BalanceTooLow."""
        draft = Transaction(
            self._chain_id, errand.nonce, Fee(0, 0), gas, self.account, 0, data, authorizations
        )
        priced = self._pricer.price(errand, draft, head)
        self._require_balance(priced)
        return priced

    def _require_balance(self, priced: Priced) -> None:
        """For this one and for all that may be mined beside it, each at its dearest."""
        balance_wei = self._network.balance_wei(self.account)
        others = [e for e in self.in_flight() if e.is_open and e.nonce != priced.transaction.nonce]
        needed_wei = (
            priced.transaction.max_cost_wei + priced.data_fee_wei + sum(e.max_cost_wei for e in others)
        )
        if balance_wei < needed_wei:
            raise BalanceTooLow(address=self.account, balance_wei=balance_wei, needed_wei=needed_wei)

    def _busy(self, standing: Errand) -> LaneBusy:
        return LaneBusy(address=self.account, nonce=standing.nonce, intent_id=standing.intent_id)

    def _errand(
        self, nonce: int, purpose: Purpose, intent: IntentId, epoch: int, urgency: Urgency, deadline_s: int
    ) -> Errand:
        return Errand(self._chain_id, self.account, nonce, purpose, intent, epoch, urgency, deadline_s)


def _sent(errand: Errand) -> Sent:
    newest = errand.attempts[-1]
    return Sent(
        errand.id, errand.intent_id, errand.nonce, newest.tx_hash, newest.reply, newest.fee, newest.gas
    )
