"""Any calls, read at one endpoint by the best means that it offers: most of them in one request."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from agent.chain import multicall, packing, probe
from agent.chain.manner import Means
from agent.chain.plain import ask_batch, ask_plain
from agent.chain.rpc import answer_of, read_call
from agent.chain.wire import Part, Request, RpcCall, RpcResult
from agent.errors import RpcRejected, RpcTimeout
from agent.values.block import Block
from agent.values.call import Answer, Call, Slot

CAP_GAS = 10_000_000  # of one call
HINTED = 4  # a hint of gas may be so much too low
MOST_SENT = 400_000  # bytes of calldata in one request
RECORD = 27  # bytes before a call's data
ELEMENT = 192  # bytes of an aggregate3 around a call's data
SMALL = 32  # so few are not made fewer because they took too long


class Listing:
    """An errand: what every call answers at ``block``, as if each were asked by itself; at most ``most``
    together.
    """

    def __init__(self, calls: Sequence[Call], block: Block, most: int) -> None:
        self.calls, self.block, self.most = tuple(calls), block, most

    @property
    def label(self) -> str:
        return f"a list of {len(self.calls)} x eth_call"

    @property
    def block_hash(self) -> str:
        return self.block.hash

    def run(self, part: Part, timeout_s: float) -> list[Answer]:
        return _Run(self, part, timeout_s).answers()


class _Run:
    """One try at it: calls are named by their index."""

    def __init__(self, listing: Listing, part: Part, timeout_s: float) -> None:
        self._calls, self._block, self._most = listing.calls, listing.block, listing.most
        self._part, self._timeout_s = part, timeout_s
        self._answers: list[Answer | None] = [None] * len(self._calls)
        self._alone = [index for index, call in enumerate(self._calls) if self._is_alone(call)]
        alone = set(self._alone)
        self._open = [index for index in range(len(self._calls)) if index not in alone]

    def answers(self) -> list[Answer]:
        """All of them, or an error."""
        while self._open:
            means = probe.settled(self._part, self._block, self._timeout_s)
            if means is Means.PLAIN:
                self._alone, self._open = sorted(self._alone + self._open), []
            else:
                self._turn(means)
        self._keep(self._alone, self._plainly(self._alone))
        return cast(list[Answer], self._answers)

    def _is_alone(self, call: Call) -> bool:
        """Whether no lens can do it, or should."""
        return (
            isinstance(call, Slot)
            or call.is_direct
            or call.value_wei != 0
            or len(call.data) > packing.MOST_DATA
            or self._part.manner.is_heavy(call.target, call.data)
        )

    def _turn(self, means: Means) -> None:
        """One request for as many as it may hold, with those beside it that are asked alone."""
        taken = self._taken(means)
        try:
            packed, beside = self._asked(means, taken)
        except RpcTimeout:  # whoever waits for it cannot wait twice: less is asked the next time
            if len(taken) > SMALL:
                self._part.manner.calls.shrink(len(taken))
            raise
        self._keep(self._alone[: len(beside)], beside)
        self._alone = self._alone[len(beside) :]
        found = b"" if packed is None else probe.answer_bytes(packed, self._block)
        answers = self._unpacked(means, taken, found)
        if not answers:
            self._look_again(means, taken)
            return
        self._part.manner.calls.grow(len(taken))
        del self._open[: len(answers)]
        for index, answer in zip(taken, answers, strict=False):
            self._answers[index] = answer
            if answer is None:
                self._alone.append(index)

    def _taken(self, means: Means) -> list[int]:
        most = min(self._part.manner.calls.now, self._most)
        each, limit = RECORD, MOST_SENT
        if means is Means.DEPLOYLESS:
            limit = packing.MOST_INITCODE - len(packing.deployless("CallLens", b"", reverts=True))
        elif means is Means.MULTICALL:
            each = ELEMENT
        taken: list[int] = []
        sent = 0
        for index in self._open[:most]:
            sent += each + len(self._calls[index].data)
            if sent > limit and taken:
                break
            taken.append(index)
        return taken

    def _asked(self, means: Means, taken: Sequence[int]) -> tuple[RpcResult | None, list[RpcResult]]:
        """The packed call's result, None if all was refused, and those of what is asked beside it."""
        request = self._request(means, [self._calls[index] for index in taken])
        room = min(self._part.manner.batch.now, self._most) - 1
        beside = [read_call(self._calls[index], self._block) for index in self._alone[: max(room, 0)]]
        batch = Request((request, *beside), is_batch=bool(beside), is_hex=not beside)
        try:
            packed, *others = self._part.ask(batch, self._timeout_s)
        except RpcRejected:
            if not beside:
                return None, []
            # Whoever takes no batches may take them one after the other.
            packed, *others = ask_batch(self._part, (request, *beside), self._timeout_s, most=1)
        return packed, others

    def _request(self, means: Means, calls: Sequence[Call]) -> RpcCall:
        if means is Means.MULTICALL:
            return probe.multicall_call(multicall.list_payload(calls), self._block)
        most = min(CAP_GAS, self._part.manner.gas // 4)
        caps = [max(most, call.gas_hint * HINTED) for call in calls]
        payload = packing.call_payload(calls, caps)
        return probe.lens_call(self._part, means, "CallLens", payload, self._block)

    def _unpacked(self, means: Means, taken: Sequence[int], found: bytes) -> Sequence[Answer | None]:
        """Answers to the first of ``taken``, None for those that have to be asked alone; none if refused."""
        if means is Means.MULTICALL:
            answers = multicall.list_answers(found, len(taken))
            return [] if answers is None else self._weighed(taken, answers)
        header = packing.header(found)
        told = None if header is None else packing.call_answers(found, header, len(taken))
        for index, answer in zip(taken, told or (), strict=False):
            if answer is None:
                self._part.manner.learn_heavy(self._calls[index].target, self._calls[index].data)
        return told or []

    def _weighed(self, taken: Sequence[int], answers: Sequence[Answer]) -> list[Answer | None]:
        """Multicall3 gives no call a cap: what failed is asked alone, and if it did not just revert then,
        whatever came after it may have lacked the gas that it took.
        """
        failed = [place for place, answer in enumerate(answers) if not answer.ok]
        results = self._plainly([taken[place] for place in failed])
        kept: list[Answer | None] = list(answers)
        for place, result in zip(failed, results, strict=True):
            kept[place] = answer_of(result, self._block)
        burnt = next(
            (
                place
                for place, result in zip(failed, results, strict=True)
                if not probe.is_plain_revert(result)
            ),
            len(kept),
        )
        return [None if place > burnt and answers[place].ok else answer for place, answer in enumerate(kept)]

    def _look_again(self, means: Means, taken: Sequence[int]) -> None:
        """Nothing came: because the means is no longer there, or because it was too much."""
        self._part.manner.forget()
        if probe.settled(self._part, self._block, self._timeout_s) is not means:
            return
        if len(taken) > 1:
            self._part.manner.calls.shrink(len(taken))
        else:
            self._part.manner.calls.excuse()
            self._alone += taken
            del self._open[:1]

    def _plainly(self, indices: Sequence[int]) -> list[RpcResult]:
        return ask_plain(self._part, self._block, [self._calls[index] for index in indices], self._timeout_s)

    def _keep(self, indices: Sequence[int], results: Sequence[RpcResult]) -> None:
        for index, result in zip(indices, results, strict=True):
            self._answers[index] = answer_of(result, self._block)
