"""One pass: see, judge, plan, act, prove. The whole agent on one page."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from agent.chain.lens import read_one
from agent.errors import EvenkeelError, LaneBusy, PlanInfeasible, Refused
from agent.market.access import permitted, require_allowed
from agent.market.intent import Action, Order
from agent.market.snapshot import Snapshot, VenueState
from agent.planning.carry import CarryTrail
from agent.planning.pending import NOTHING, Exposure, Pending, exposures, in_calm
from agent.planning.plan import Plan, Writer, plan
from agent.planning.policy import Policy
from agent.risk.assessment import Assessment, assess
from agent.risk.limits import Bounds
from agent.risk.trail import Trail
from agent.runtime.aftermath import Aftermath, Recorder, look_back
from agent.runtime.docket import Docket, Turn
from agent.runtime.see import Eye
from agent.runtime.summary import Json, assessment_json, plan_json, snapshot_json
from agent.tx.attempt import Stage
from agent.tx.executor import Hedge, Intent, find_intent
from agent.tx.sender import Sender, Sent
from agent.tx.simulation import Simulated, Simulator
from agent.values.address import Address
from agent.values.block import Block
from agent.venues.venue import Venue

MOVING = frozenset({Stage.INCLUDED, Stage.REORGED})  # outcomes by which positions change


@dataclass(frozen=True, slots=True)
class Desk:
    """Everything one pass works with. Without a ``sender`` nothing can leave: a dry run."""

    account: Address
    eye: Eye
    policy: Policy
    bounds: Bounds
    simulator: Simulator | None = None
    sender: Sender | None = None
    recorder: Recorder | None = None
    trail: Trail = field(default_factory=Trail)
    carry: CarryTrail = field(default_factory=CarryTrail)
    docket: Docket = field(default_factory=Docket)


@dataclass(frozen=True, slots=True)
class Pass:
    """What one pass saw and did. ``refused``: plans that were dropped, with why. ``turns``: what became of
    requests to keepers since the last pass; ``pending``: what is still waited for, ``naked`` at most so much.
    """

    block: Block
    snapshot: Snapshot
    assessment: Assessment
    plans: tuple[Plan, ...] = ()
    simulated: Simulated | None = None
    sent: Sent | None = None
    refused: tuple[str, ...] = ()
    aftermath: tuple[Aftermath, ...] = ()
    turns: tuple[Turn, ...] = ()
    pending: Pending = NOTHING
    naked: tuple[Exposure, ...] = ()

    @property
    def chosen(self) -> Plan | None:
        """The plan that was simulated or sent: the first that was not dropped."""
        if self.simulated is None and self.sent is None:
            return None
        return self.plans[len(self.refused)]


def cycle(desk: Desk, block: Block) -> Pass:
    """From one head to at most one transaction.

    Raises Transient when the step should be tried again on the next head, Untrusted to halt. What the
    chain or the policy refuses is part of the answer.
    """
    aftermath = look_back(desk.eye, desk.account, desk.sender, desk.recorder, block)
    snapshot = desk.eye.see(desk.account, block)
    is_quiet = not any(after.outcome.stage in MOVING for after in aftermath)
    turns = _turns(desk, snapshot, is_quiet=is_quiet)
    pending = desk.docket.pending(desk.eye.venues, snapshot, desk.policy)
    naked = exposures(pending.requests, snapshot, desk.policy)
    assessment = assess(snapshot, desk.bounds)
    desk.trail.note(block.timestamp_s, assessment.spot)
    offers = [offer for state in snapshot.venues for offer in state.offers]
    desk.carry.note(block.timestamp_s, offers)
    carry = desk.carry.expected(int(desk.policy.holding_hours * 3600))
    intent = next_intent(desk, block)
    told = (aftermath, turns, pending, naked)
    try:
        known, moves, clock = writers(desk, snapshot), desk.trail.moves(), time.monotonic
        seen = permitted(snapshot)
        calm = in_calm(pending, seen, moves, desk.policy)
        plans = plan(seen, assessment, desk.policy, known, intent.id, moves, carry, clock, calm)
    except PlanInfeasible as error:
        _record(desk, "infeasible", {"block": block.number, "conflicts": error.fields["conflicts"]})
        return Pass(block, snapshot, assessment, (), None, None, (error.message,), *told)
    simulated, sent, refused = act(desk, snapshot, assessment, intent, plans)
    return Pass(block, snapshot, assessment, plans, simulated, sent, refused, *told)


def _turns(desk: Desk, snapshot: Snapshot, *, is_quiet: bool) -> tuple[Turn, ...]:
    """What became of what keepers were asked for. Who sends nothing has asked nobody."""
    if desk.sender is None:
        return ()
    rpc, venues = desk.eye.rpc, desk.eye.venues
    return desk.docket.look(rpc, venues, snapshot, desk.policy, desk.recorder, is_quiet=is_quiet)


def next_intent(desk: Desk, block: Block) -> Intent:
    """The first intent the chain has not consumed; without an executor, the very first."""
    if desk.simulator is None and desk.sender is None:
        return Intent(desk.eye.chain_id, desk.account, 0)
    hint = desk.sender.epoch_hint() if desk.sender is not None else 0
    return read_one(desk.eye.rpc, block, find_intent(desk.eye.chain_id, desk.account, hint))


def act(
    desk: Desk, snapshot: Snapshot, assessment: Assessment, intent: Intent, plans: tuple[Plan, ...]
) -> tuple[Simulated | None, Sent | None, tuple[str, ...]]:
    """Try the plans best first: the first that simulates is sent (or, in a dry run, only simulated)."""
    refused: list[str] = []
    for candidate in plans:
        hedge = Hedge(intent, candidate.deadline_s, candidate.calls, candidate.pre, candidate.post)
        try:
            if desk.sender is None:
                if desk.simulator is None:
                    break
                limit = snapshot.block.gas_limit
                return (
                    desk.simulator.simulate(hedge, "pending", limit, assume_delegated=True),
                    None,
                    tuple(refused),
                )
            sent = _submit(desk, desk.sender, snapshot, assessment, candidate, hedge)
        except LaneBusy as error:
            refused.append(error.message)
            break
        except Refused as error:
            refused.append(error.message)
            _record(desk, "refused", _refusal(candidate, error))
            continue
        _record(desk, "transaction", _transaction(sent))
        return None, sent, tuple(refused)
    return None, None, tuple(refused)


def _submit(
    desk: Desk, sender: Sender, snapshot: Snapshot, assessment: Assessment, chosen: Plan, hedge: Hedge
) -> Sent:
    """The decision is in the record before anything of it can be on chain, and also when nothing of it will
    be. It is written when the bytes are signed: what it tells of a large book takes longer than deciding.
    """
    told = False

    def tell() -> None:
        nonlocal told
        if not told:
            told = True
            _record(desk, "decision", _decision(snapshot, assessment, chosen))
            desk.docket.expect(chosen, snapshot, desk.recorder)

    try:
        return sender.submit(
            hedge,
            chosen.urgency,
            snapshot.block,
            budget_wei=chosen.budget_wei,
            pressure_bps=chosen.pressure_bps,
            before=tell,
        )
    finally:
        tell()


def writers(desk: Desk, snapshot: Snapshot) -> dict[str, Writer]:
    """Each venue's writer, bound to its state at the snapshot."""
    deadline_s = snapshot.block.timestamp_s + desk.policy.deadline_s
    states = {state.venue: state for state in snapshot.venues}

    def bind(venue: Venue[VenueState], state: VenueState) -> Writer:
        standing = snapshot.standing(venue.name)

        def write(action: Action) -> Order:
            require_allowed(action, state, standing)
            return venue.write(state, action, desk.account, deadline_s)

        return write

    return {venue.name: bind(venue, states[venue.name]) for venue in desk.eye.venues}


def _record(desk: Desk, kind: str, payload: Json) -> None:
    if desk.recorder is not None:
        desk.recorder.append(kind, payload)


def _decision(snapshot: Snapshot, assessment: Assessment, chosen: Plan) -> Json:
    return {
        "inputs": snapshot_json(snapshot),
        "assessment": assessment_json(assessment),
        "plan": plan_json(chosen),
    }


def _refusal(dropped: Plan, error: EvenkeelError) -> Json:
    return {"intent_id": dropped.intent_id, "error": error.code, "reason": error.message}


def _transaction(sent: Sent) -> Json:
    return {
        "intent_id": sent.intent_id,
        "nonce": sent.nonce,
        "tx_hash": sent.tx_hash,
        "reply": sent.reply.value,
        "gas": sent.gas,
        "max_fee_wei": sent.fee.max_fee_wei,
        "tip_wei": sent.fee.tip_wei,
    }
