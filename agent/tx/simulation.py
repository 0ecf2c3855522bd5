"""What a hedge would do on the state it will meet, before anything is signed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from agent.chain import shape
from agent.chain.error_table import revert_data
from agent.chain.rpc import Rpc, revert
from agent.chain.transport import Json
from agent.errors import RpcRejected, SimulationReverted
from agent.tx.executor import Hedge, delegation_code, encode_hedge, explain, has_executed
from agent.values.address import Address
from agent.values.call import Call
from agent.values.fixed import BPS, mul_div_up

GAS_MARGIN_BPS = 13_000
GAS_MARGIN = 25_000
REFUND_BPS = 12_500  # at most a fifth of what was burnt comes back (EIP-3529), and the limit must hold it
NO_SUCH_METHOD = -32601
_UNSUPPORTED = ("not found", "not supported", "unsupported", "not available", "does not exist", "unknown")


@dataclass(frozen=True, slots=True)
class Simulated:
    """``gas`` is the limit to send with: what was used, the refund put back, times 1.3 plus a margin."""

    gas_used: int
    gas: int


class Simulator:
    """Asks one node. ``tag`` is "pending" unless a transaction of our own is in the pool: then "latest"."""

    def __init__(self, rpc: Rpc, executor: Address) -> None:
        self._rpc = rpc
        self._executor = executor
        self._has_simulate = True

    def simulate(
        self, hedge: Hedge, tag: str, block_gas_limit: int, *, assume_delegated: bool = False
    ) -> Simulated:
        """Run the hedge as the account's call to itself.

        ``assume_delegated`` gives the account the executor's code for the time of the simulation (a dry
        run). Raises SimulationReverted with the contract's own words, also when the call succeeds without
        the executor's event, and when no block could hold it; never guesses a limit.
        """
        account = hedge.intent.account
        call = {"from": account, "to": account, "data": "0x" + encode_hedge(hedge).hex()}
        overrides: dict[str, object] = {}
        if assume_delegated:
            overrides[account] = {"code": "0x" + delegation_code(self._executor).hex()}
        if self._has_simulate:
            try:
                return self._simulated(hedge, call, overrides, tag, block_gas_limit)
            except RpcRejected as error:
                if not _is_unsupported(error):
                    raise
                self._has_simulate = False
        return self._called(hedge, call, overrides, tag, block_gas_limit)

    def _simulated(
        self,
        hedge: Hedge,
        call: Mapping[str, object],
        overrides: Mapping[str, object],
        tag: str,
        block_gas_limit: int,
    ) -> Simulated:
        block = {"calls": [call], "stateOverrides": overrides}
        request = {"blockStateCalls": [block], "validation": False, "traceTransfers": False}
        label = "eth_simulateV1"
        blocks = self._rpc.simulate_v1(request, tag)
        calls = [c for b in blocks for c in shape.items(shape.record(b, label).get("calls"), label)]
        if len(calls) != 1:
            raise shape.mismatch(label, "one call", calls)
        result = shape.record(calls[0], label)
        used = shape.quantity(result.get("gasUsed"), label)
        if shape.quantity(result.get("status"), label) != 1:
            raise _reverted(hedge, result)
        logs = cast(list[Mapping[str, object]], shape.items(result.get("logs"), label))
        burnt = mul_div_up(used, REFUND_BPS, BPS)
        if "maxUsedGas" in result:
            burnt = shape.quantity(result["maxUsedGas"], label)
        if not has_executed(logs, hedge.intent.account, hedge.intent_id):
            raise SimulationReverted(
                intent_id=hedge.intent_id, reason="it would succeed and do nothing: no HedgeExecuted event"
            )
        return _limited(hedge, used, burnt, block_gas_limit)

    def _called(
        self,
        hedge: Hedge,
        call: Mapping[str, object],
        overrides: Mapping[str, object],
        tag: str,
        block_gas_limit: int,
    ) -> Simulated:
        """eth_call shows no events, so the code is looked at instead."""
        account = hedge.intent.account
        if not overrides and self._rpc.code(account, tag) != delegation_code(self._executor):
            reason = "it would do nothing: the account does not run the executor"
            raise SimulationReverted(intent_id=hedge.intent_id, reason=reason)
        try:
            answer = self._rpc.call(Call(account, encode_hedge(hedge)), tag, account, overrides or None)
            if not answer.ok:
                raise SimulationReverted(intent_id=hedge.intent_id, reason=explain(answer.data, hedge))
            used = self._rpc.estimate_gas(call, tag, overrides or None)
        except RpcRejected as error:
            data = revert(error)
            if data is None:
                raise
            raise SimulationReverted(intent_id=hedge.intent_id, reason=explain(data, hedge)) from error
        return _limited(hedge, used, used, block_gas_limit)


def gas_limit(burnt: int) -> int:
    """The limit for something that burnt ``burnt`` (refunds not taken off)."""
    return mul_div_up(burnt, GAS_MARGIN_BPS, BPS) + GAS_MARGIN


def _limited(hedge: Hedge, used: int, burnt: int, block_gas_limit: int) -> Simulated:
    if burnt > block_gas_limit:
        reason = f"it burns {burnt} gas and a block holds {block_gas_limit}"
        raise SimulationReverted(intent_id=hedge.intent_id, reason=reason)
    return Simulated(used, min(gas_limit(burnt), block_gas_limit))


def _reverted(hedge: Hedge, result: Mapping[str, Json]) -> SimulationReverted:
    """Nodes put the revert data into the call's result, its error, or both."""
    error = result.get("error")
    fields = error if isinstance(error, dict) else {}
    code, message = fields.get("code"), str(fields.get("message", ""))
    data = revert_data(code if isinstance(code, int) else 0, message, fields.get("data")) or b""
    data = data or shape.hex_bytes(result.get("returnData", "0x"), "eth_simulateV1")
    reason = explain(data, hedge) if data or not message else message
    return SimulationReverted(intent_id=hedge.intent_id, reason=reason)


def _is_unsupported(error: RpcRejected) -> bool:
    reason = str(error.fields.get("reason", "")).lower()
    return error.fields.get("rpc_code") == NO_SUCH_METHOD or any(word in reason for word in _UNSUPPORTED)
