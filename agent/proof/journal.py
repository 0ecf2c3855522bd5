"""The lane's memory: every errand and everything signed for it, committed before it is acted upon."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection, RowMapping, Select, func, select

from agent.errors import JournalCorrupt, LaneBusy
from agent.market.intent import Urgency
from agent.proof.database import Database
from agent.proof.schema import ATTEMPT, ERRAND, INTENT, OBSERVATION, REQUEST, RUNG
from agent.tx.attempt import Stage
from agent.tx.errand import NO_INTENT, Attempt, Errand, Fault, Purpose, Receipt, Reply, Route, State, Verdict
from agent.tx.ladder import Rung
from agent.tx.ledger import Outcome, Request, Wish
from agent.tx.transaction import Fee
from agent.values.address import Address, ChainId, IntentId, TxHash

_ENDINGS = {State.FINAL, State.CANCELLED, State.REPLACED, State.OVERTAKEN, State.ABANDONED}


@dataclass(frozen=True, slots=True)
class Line:
    """One entry of an errand's history, for people: when it was written, and what it says."""

    at_s: int
    state: State
    outcome: Outcome | None  # empty for a change of state that nobody waits for


class Journal:
    """Implements `agent.tx.ledger.Ledger` on a `Database`; every method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # --- writing -----------------------------------------------------------------------------------

    def open(self, errand: Errand) -> Errand:
        """Lease the nonce to the errand; returns it with its id. Raises LaneBusy if the nonce is leased."""
        now_s = self._database.now_s()
        with self._database.transaction() as connection:
            lane = _lane(errand.chain_id, errand.account)
            leased = connection.execute(lane.where(ERRAND.c.is_live, ERRAND.c.nonce == errand.nonce)).first()
            if leased is not None:
                raise LaneBusy(
                    address=errand.account, nonce=errand.nonce, intent_id=leased._mapping["intent_id"]
                )
            if errand.intent_id != NO_INTENT:
                _open_intent(connection, errand, now_s)
            values = _errand_values(errand) | {"opened_s": now_s, "changed_s": now_s}
            (key,) = connection.execute(ERRAND.insert().values(values)).inserted_primary_key or (0,)
            opened = replace(errand, id=int(key))
            self._observe(connection, opened, ())
        return opened

    def save(self, errand: Errand, outcomes: Sequence[Outcome] = ()) -> None:
        """The errand as it stands now, with what happened to it, in one transaction."""
        with self._database.transaction() as connection:
            values = _errand_values(errand) | {"changed_s": self._database.now_s()}
            changed = connection.execute(ERRAND.update().where(ERRAND.c.id == errand.id).values(values))
            if changed.rowcount != 1:
                raise JournalCorrupt(path=self._database.path, reason=f"errand {errand.id} is not in it")
            for position, attempt in enumerate(errand.attempts):
                row = _attempt_values(attempt)
                same = (ATTEMPT.c.errand_id == errand.id, ATTEMPT.c.tx_hash == attempt.tx_hash)
                if connection.execute(ATTEMPT.update().where(*same).values(row)).rowcount == 0:
                    row |= {"errand_id": errand.id, "position": position}
                    connection.execute(ATTEMPT.insert().values(row))
            if errand.ending is not None:
                connection.execute(RUNG.delete().where(RUNG.c.errand_id == errand.id))
            self._observe(connection, errand, outcomes)

    def acknowledge(self, outcomes: Sequence[Outcome]) -> None:
        """These were recorded; do not tell them again."""
        ids = [outcome.id for outcome in outcomes]
        with self._database.transaction() as connection:
            told = OBSERVATION.update().where(OBSERVATION.c.id.in_(ids)).values(is_reported=True)
            connection.execute(told)

    def climb(self, errand: Errand, rungs: Sequence[Rung]) -> None:
        """Keep these rungs, instead of any older ones, until the errand ends."""
        with self._database.transaction() as connection:
            connection.execute(RUNG.delete().where(RUNG.c.errand_id == errand.id))
            for rung in rungs:
                connection.execute(RUNG.insert().values({"errand_id": errand.id} | _rung_values(rung)))

    def request(self, errand_id: int, wish: Wish) -> int:
        """Write an operator's wish down for whoever holds the lane; returns its number."""
        with self._database.transaction() as connection:
            row = {"errand_id": errand_id, "wish": wish.value, "at_s": self._database.now_s()}
            (key,) = connection.execute(REQUEST.insert().values(row)).inserted_primary_key or (0,)
        return int(key)

    def close_request(self, request: Request, answer: str) -> None:
        """It was carried out, or why it was not."""
        with self._database.transaction() as connection:
            connection.execute(REQUEST.update().where(REQUEST.c.id == request.id).values(answer=answer))

    # --- reading -----------------------------------------------------------------------------------

    def live(self, chain_id: ChainId, account: Address) -> tuple[Errand, ...]:
        """Errands that have not ended, lowest nonce first."""
        rows = _lane(chain_id, account).where(ERRAND.c.is_live).order_by(ERRAND.c.nonce, ERRAND.c.id)
        return self._errands(rows)

    def last_final(self, chain_id: ChainId, account: Address) -> tuple[Errand, ...]:
        """The errand with the highest nonce that was mined for good, if there is one."""
        mined = ERRAND.c.state.in_([State.FINAL.value, State.CANCELLED.value])
        rows = _lane(chain_id, account).where(mined).order_by(ERRAND.c.nonce.desc(), ERRAND.c.id.desc())
        return self._errands(rows.limit(1))

    def history(self, chain_id: ChainId, account: Address, limit: int) -> tuple[Errand, ...]:
        """The newest errands, newest first."""
        return self._errands(_lane(chain_id, account).order_by(ERRAND.c.id.desc()).limit(limit))

    def lines(self, errand_id: int) -> tuple[Line, ...]:
        """Everything that was written about an errand, oldest first."""
        query = _observations().where(OBSERVATION.c.errand_id == errand_id)
        with self._database.transaction() as connection:
            rows = connection.execute(query).mappings().all()
        return tuple(
            Line(row["at_s"], State(row["state"]), _outcome(row) if row["stage"] is not None else None)
            for row in rows
        )

    def epoch_hint(self, chain_id: ChainId, account: Address) -> int:
        """The epoch after the highest that was executed, as far as we noticed."""
        executed = select(func.max(ERRAND.c.epoch)).where(
            ERRAND.c.chain_id == chain_id, ERRAND.c.account == account, ERRAND.c.mined_executed
        )
        with self._database.transaction() as connection:
            highest = connection.execute(executed).scalar()
        return 0 if highest is None else int(highest) + 1

    def lanes(self) -> tuple[tuple[ChainId, Address], ...]:
        """Whose errands are in here."""
        query = select(ERRAND.c.chain_id, ERRAND.c.account).distinct()
        with self._database.transaction() as connection:
            return tuple((ChainId(row[0]), Address(row[1])) for row in connection.execute(query))

    def errand(self, errand_id: int) -> tuple[Errand, ...]:
        """The errand of that number, if there is one."""
        return self._errands(select(ERRAND).where(ERRAND.c.id == errand_id))

    def rungs(self, errand: Errand) -> tuple[Rung, ...]:
        """What was kept for it, the lowest bid first."""
        with self._database.transaction() as connection:
            rows = connection.execute(select(RUNG).where(RUNG.c.errand_id == errand.id)).mappings().all()
        rungs = [
            Rung(
                TxHash(row["tx_hash"]),
                Fee(row["max_fee_wei"], row["tip_wei"]),
                row["gas"],
                row["expires_s"],
                bytes(row["sealed"]),
            )
            for row in rows
        ]
        return tuple(sorted(rungs, key=lambda rung: rung.fee.max_fee_wei))

    def requests(self, chain_id: ChainId, account: Address) -> tuple[Request, ...]:
        """Wishes nobody has carried out yet, oldest first."""
        query = select(REQUEST).join(ERRAND).order_by(REQUEST.c.id)
        query = query.where(
            REQUEST.c.answer.is_(None), ERRAND.c.chain_id == chain_id, ERRAND.c.account == account
        )
        with self._database.transaction() as connection:
            rows = connection.execute(query).mappings().all()
        return tuple(Request(row["id"], row["errand_id"], Wish(row["wish"])) for row in rows)

    def answer(self, request_id: int) -> str | None:
        """What became of a wish; None while nobody has looked at it."""
        with self._database.transaction() as connection:
            found = connection.execute(select(REQUEST.c.answer).where(REQUEST.c.id == request_id)).scalar()
        return None if found is None else str(found)

    def unreported(self, chain_id: ChainId, account: Address) -> tuple[Outcome, ...]:
        """Outcomes nobody has acknowledged, oldest first."""
        query = _observations().where(
            OBSERVATION.c.is_reported.is_(False), ERRAND.c.chain_id == chain_id, ERRAND.c.account == account
        )
        with self._database.transaction() as connection:
            return tuple(_outcome(row) for row in connection.execute(query).mappings())

    # --- inside ------------------------------------------------------------------------------------

    def _errands(self, rows: Select[tuple[object, ...]]) -> tuple[Errand, ...]:
        with self._database.transaction() as connection:
            errands = connection.execute(rows).mappings().all()
            ids = [row["id"] for row in errands]
            signed = select(ATTEMPT).where(ATTEMPT.c.errand_id.in_(ids)).order_by(ATTEMPT.c.position)
            attempts = connection.execute(signed).mappings().all()
        try:
            return tuple(
                _errand(row, [_attempt(a) for a in attempts if a["errand_id"] == row["id"]])
                for row in errands
            )
        except ValueError as error:  # a word that is in none of our enumerations
            raise JournalCorrupt(path=self._database.path, reason=str(error)) from error

    def _observe(self, connection: Connection, errand: Errand, outcomes: Sequence[Outcome]) -> None:
        common = {"errand_id": errand.id, "at_s": self._database.now_s(), "state": errand.state.value}
        if not outcomes:
            connection.execute(OBSERVATION.insert().values(common | {"is_reported": True}))
        for outcome in outcomes:
            connection.execute(OBSERVATION.insert().values(common | _outcome_values(outcome)))


def _open_intent(connection: Connection, errand: Errand, now_s: int) -> None:
    known = select(INTENT.c.id).where(INTENT.c.id == errand.intent_id)
    if connection.execute(known).first() is None:
        values = {"id": errand.intent_id, "chain_id": errand.chain_id, "account": errand.account}
        connection.execute(INTENT.insert().values(values | {"epoch": errand.epoch, "opened_s": now_s}))


def _lane(chain_id: ChainId, account: Address) -> Select[tuple[object, ...]]:
    return select(ERRAND).where(ERRAND.c.chain_id == chain_id, ERRAND.c.account == account)


def _observations() -> Select[tuple[object, ...]]:
    facts = (ERRAND.c.intent_id, ERRAND.c.epoch, ERRAND.c.purpose, ERRAND.c.nonce)
    return select(OBSERVATION, *facts).join(ERRAND).order_by(OBSERVATION.c.id)


def _errand_values(errand: Errand) -> dict[str, object]:
    mined = errand.inclusion
    return {
        "chain_id": errand.chain_id,
        "account": errand.account,
        "nonce": errand.nonce,
        "purpose": errand.purpose.value,
        "intent_id": errand.intent_id,
        "epoch": errand.epoch,
        "urgency": errand.urgency.value,
        "deadline_s": errand.deadline_s,
        "budget_wei": errand.budget_wei,
        "pressure_bps": errand.pressure_bps,
        "state": errand.state.value,
        "is_live": errand.ending is None,
        "reorged": errand.reorged,
        "foreign_since": errand.foreign_since,
        "replaced": errand.replaced,
        "mined_hash": mined.tx_hash if mined else None,
        "mined_block": mined.block_number if mined else None,
        "mined_block_hash": mined.block_hash if mined else None,
        "mined_succeeded": mined.succeeded if mined else None,
        "mined_executed": mined.executed if mined else None,
        "mined_gas_used": mined.gas_used if mined else None,
        "mined_gas_price_wei": mined.gas_price_wei if mined else None,
    }


def _errand(row: RowMapping, attempts: Sequence[Attempt]) -> Errand:
    state = State(row["state"])
    inclusion = None
    if row["mined_hash"] is not None:
        inclusion = Receipt(
            TxHash(row["mined_hash"]),
            row["mined_block"],
            row["mined_block_hash"],
            row["mined_succeeded"],
            row["mined_executed"],
            row["mined_gas_used"],
            row["mined_gas_price_wei"],
        )
    return Errand(
        chain_id=ChainId(row["chain_id"]),
        account=Address(row["account"]),
        nonce=row["nonce"],
        purpose=Purpose(row["purpose"]),
        intent_id=IntentId(row["intent_id"]),
        epoch=row["epoch"],
        urgency=Urgency(row["urgency"]),
        deadline_s=row["deadline_s"],
        budget_wei=row["budget_wei"],
        pressure_bps=row["pressure_bps"],
        id=row["id"],
        attempts=tuple(attempts),
        inclusion=inclusion,
        reorged=row["reorged"],
        foreign_since=row["foreign_since"],
        replaced=row["replaced"],
        ending=state if state in _ENDINGS and not row["is_live"] else None,
    )


def _attempt_values(attempt: Attempt) -> dict[str, object]:
    return {
        "tx_hash": attempt.tx_hash,
        "purpose": attempt.purpose.value,
        "raw": attempt.raw,
        "max_fee_wei": attempt.fee.max_fee_wei,
        "tip_wei": attempt.fee.tip_wei,
        "gas": attempt.gas,
        "signed_at": attempt.signed_at,
        "sent_at": attempt.sent_at,
        "reply": attempt.reply.value,
        "fault": attempt.fault.value,
        "reason": attempt.reason,
        "route": attempt.route.value,
    }


def _rung_values(rung: Rung) -> dict[str, object]:
    return {
        "tx_hash": rung.tx_hash,
        "max_fee_wei": rung.fee.max_fee_wei,
        "tip_wei": rung.fee.tip_wei,
        "gas": rung.gas,
        "expires_s": rung.expires_s,
        "sealed": rung.sealed,
    }


def _attempt(row: RowMapping) -> Attempt:
    return Attempt(
        TxHash(row["tx_hash"]),
        Purpose(row["purpose"]),
        bytes(row["raw"]),
        Fee(row["max_fee_wei"], row["tip_wei"]),
        row["gas"],
        row["signed_at"],
        row["sent_at"],
        Reply(row["reply"]),
        Fault(row["fault"]),
        row["reason"],
        Route(row["route"]),
    )


def _outcome_values(outcome: Outcome) -> dict[str, object]:
    return {
        "stage": outcome.stage.value,
        "verdict": outcome.verdict.value,
        "tx_hash": outcome.tx_hash,
        "head": outcome.head,
        "block_number": outcome.block_number,
        "block_hash": outcome.block_hash,
        "gas_used": outcome.gas_used,
        "fee_wei": outcome.fee_wei,
        "reason": outcome.reason,
        "is_reported": False,
    }


def _outcome(row: RowMapping) -> Outcome:
    return Outcome(
        errand_id=row["errand_id"],
        intent_id=IntentId(row["intent_id"]),
        epoch=row["epoch"],
        purpose=Purpose(row["purpose"]),
        nonce=row["nonce"],
        stage=Stage(row["stage"]),
        verdict=Verdict(row["verdict"]),
        tx_hash=TxHash(row["tx_hash"]),
        head=row["head"],
        block_number=row["block_number"],
        block_hash=row["block_hash"],
        gas_used=row["gas_used"],
        fee_wei=row["fee_wei"],
        reason=row["reason"],
        id=row["id"],
    )
