"""What the account's own code understands: a hedge as calldata, its errors and its event as words.

Everything here is pure. The signatures mirror ``contracts/src/interfaces/IHedgeExecutor.sol``; a test holds
them against the compiled artifact.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from eth_abi import abi as codec
from eth_abi.exceptions import DecodingError

from agent.errors import ContractMismatch, DecodeMismatch
from agent.tx.revert import words
from agent.values.address import ZERO, Address, ChainId, IntentId, parse_address
from agent.values.call import Answer, Call, Reading
from agent.values.check import Check, Term
from agent.values.keccak import keccak

MODE_HEDGE = bytes.fromhex("01000000000078210001").ljust(32, b"\0")
DELEGATION_PREFIX = bytes.fromhex("ef0100")
_INTENT_DOMAIN = "evenkeel.intent.v1"

CALLS_TYPE = "(address,uint256,bytes)[]"
_TERM = "(address,bytes,uint16,bool,int256)"
_CHECK = f"({_TERM}[],int256,int256)"
RawTerm = tuple[str, bytes, int, bool, int]  # as decoded: target, data, word, is signed, multiplier
RawCheck = tuple[tuple[RawTerm, ...], int, int]
HEDGE_TYPE = f"(bytes32,uint64,{_CHECK}[],{_CHECK}[])"

EXECUTE = keccak(b"execute(bytes32,bytes)")[:4]
SUPPORTS_MODE = keccak(b"supportsExecutionMode(bytes32)")[:4]
IS_CONSUMED = keccak(b"isConsumed(bytes32)")[:4]
CANCEL_INTENT = keccak(b"cancelIntent(bytes32)")[:4]
HEDGE_EXECUTED = "0x" + keccak(b"HedgeExecuted(bytes32,address,uint256)").hex()
INTENT_CANCELLED = "0x" + keccak(b"IntentCancelled(bytes32)").hex()

_KNOWN = 2**13
_WORDS = [value.to_bytes(32, "big") for value in range(0, _KNOWN, 32)]
_ONE = (1).to_bytes(32, "big") + _WORDS[1]  # a list of one, which begins right after
_AFTER_THREE = _WORDS[3]  # where what is dynamic begins behind three words
_EXECUTE_HEAD = EXECUTE + MODE_HEDGE + (0x40).to_bytes(32, "big")

_GALLOP = tuple(2**k - 1 for k in range(11))  # offsets 0, 1, 3, 7 ... 1023


@dataclass(frozen=True, slots=True)
class Intent:
    """The next thing the account is to do, named so that everybody names it the same.

    ``epoch`` is the number of intents the account has consumed on chain before this one.
    """

    chain_id: ChainId
    account: Address
    epoch: int

    @property
    def id(self) -> IntentId:
        """keccak256(abi.encode("evenkeel.intent.v1", chain id, account, epoch))."""
        return intent_id(self.chain_id, self.account, self.epoch)

    @property
    def order(self) -> tuple[Check, ...]:
        """That the intent before this one has happened; nothing for the first.

        A hedge is planned on a state that contains the one before. If a reorganisation takes that one
        back, this one must not happen without it; and the consumed epochs stay without gaps.
        """
        return _order(self.chain_id, self.account, self.epoch)


@dataclass(frozen=True, slots=True)
class Hedge:
    """One batch for one intent. The chain refuses it at or after ``deadline_s`` (block time)."""

    intent: Intent
    deadline_s: int
    calls: tuple[Call, ...]
    pre: tuple[Check, ...]
    post: tuple[Check, ...]

    @property
    def intent_id(self) -> IntentId:
        return self.intent.id

    @property
    def all_pre(self) -> tuple[Check, ...]:
        """The checks before the first call as they are encoded: the order of intents comes first."""
        return (*self.intent.order, *self.pre)


@lru_cache(maxsize=64)
def _order(chain_id: ChainId, account: Address, epoch: int) -> tuple[Check, ...]:
    if epoch == 0:
        return ()
    term = Term(account, encode_consumed(intent_id(chain_id, account, epoch - 1)))
    return (Check("the intent before has happened", (term,), lower=1, upper=1),)


@lru_cache(maxsize=4096)
def intent_id(chain_id: ChainId, account: Address, epoch: int) -> IntentId:
    """The same for every attempt to do the account's ``epoch``-th thing on this chain, whoever makes it."""
    words = (_word(0x80), _word(chain_id), _address(account), _word(epoch), _text(_INTENT_DOMAIN.encode()))
    return IntentId("0x" + keccak(b"".join(words)).hex())


def encode_hedge(hedge: Hedge) -> bytes:
    """Calldata of ``execute`` in ERC-7821's batch mode with opData, written straight into its words.

    Terms do not change from one block to the next, so each is written once. Raises OverflowError for a
    number that its word cannot hold.
    """
    if hedge.deadline_s >= 2**64:
        raise OverflowError(f"a deadline of {hedge.deadline_s}")
    pre, post = _list(map(_check, hedge.all_pre)), _list(map(_check, hedge.post))
    op_data = b"".join(
        (
            _word(0x20),
            bytes.fromhex(hedge.intent_id[2:]),
            _word(hedge.deadline_s),
            _word(0x80),
            _word(0x80 + len(pre)),
            pre,
            post,
        )
    )
    calls = _list(map(_call, hedge.calls))
    size = 0x60 + len(calls) + len(op_data)
    batch = (_word(0x40), _word(0x40 + len(calls)), calls, _word(len(op_data)), op_data)
    return b"".join((_EXECUTE_HEAD, _word(size), *batch))


def encode_consumed(intent: IntentId) -> bytes:
    """Calldata of ``isConsumed``."""
    return IS_CONSUMED + bytes.fromhex(intent[2:])


def encode_cancel(intent: IntentId) -> bytes:
    """Calldata of ``cancelIntent``, which voids an intent for good."""
    return CANCEL_INTENT + bytes.fromhex(intent[2:])


def delegation_code(executor: Address) -> bytes:
    """The code of an account that delegates to ``executor`` (EIP-7702)."""
    return DELEGATION_PREFIX + bytes.fromhex(executor[2:])


def delegate_of(code: bytes) -> Address:
    """Whom ``code`` delegates to; the zero address if it is no delegation."""
    if len(code) != 23 or not code.startswith(DELEGATION_PREFIX):
        return ZERO
    return parse_address("0x" + code[3:].hex())


def has_executed(logs: Sequence[Mapping[str, object]], account: Address, intent: IntentId) -> bool:
    """Whether the logs of a receipt or simulation hold the account's HedgeExecuted for ``intent``.

    Its absence means that nothing happened, whatever the status says. Raises DecodeMismatch.
    """
    for log in logs:
        topics = log.get("topics")
        if not isinstance(topics, list):
            raise DecodeMismatch(
                label="logs", target=account, expected="topics", reason=f"{type(topics).__name__}"
            )
        emitter = str(log.get("address", "")).lower()
        if emitter == account.lower() and [str(t).lower() for t in topics[:2]] == [HEDGE_EXECUTED, intent]:
            return True
    return False


def identify(executor: Address) -> Reading[None]:
    """That the contract takes hedges, asked before an account is given its code. Raises ContractMismatch."""
    (answer,) = yield (Call(executor, SUPPORTS_MODE + MODE_HEDGE, label="executor.supportsExecutionMode"),)
    if not answer.ok or answer.data != (1).to_bytes(32, "big"):
        told = (
            f"it answers 0x{answer.data.hex()} to whether it takes hedges"
            if answer.data
            else "it says nothing"
        )
        raise ContractMismatch(target=executor, expected="the executor", reason=told)


def find_intent(chain_id: ChainId, account: Address, hint: int = 0) -> Reading[Intent]:
    """The first intent of the account that the chain has not consumed.

    ``hint`` is where to look first (the journal's count) and changes the cost, never the answer. An account
    without code has consumed nothing that anybody can read: its intent is that of epoch ``hint``.
    Raises DecodeMismatch when the account's code is not an executor.
    """
    lower, upper = 0, -1  # every epoch below `lower` is consumed, `upper` is not (-1: not known)
    start = max(hint, 0)
    while upper < 0 or lower < upper:
        probes = _probes(lower, upper, start)
        calls = tuple(
            Call(account, encode_consumed(intent_id(chain_id, account, epoch)), label="executor.isConsumed")
            for epoch in probes
        )
        answers = yield calls
        for epoch, answer in zip(probes, answers, strict=True):
            if answer.ok and not answer.data:
                return Intent(chain_id, account, start)
            if _is_consumed(answer, account):
                lower = max(lower, epoch + 1)
            else:
                upper = epoch if upper < 0 else min(upper, epoch)
        start = lower
    return Intent(chain_id, account, lower)


def _probes(lower: int, upper: int, start: int) -> tuple[int, ...]:
    """Where to look next: around ``start`` in doubling steps, within what is not known yet."""
    steps = {start + step for step in _GALLOP} | {start - 1 - step for step in _GALLOP}
    if upper >= 0:
        steps.add((lower + upper) // 2)
    return tuple(sorted(e for e in steps if e >= lower and (upper < 0 or e < upper)))


def _is_consumed(answer: Answer, account: Address) -> bool:
    word = int.from_bytes(answer.data, "big") if len(answer.data) == 32 else 2
    if not answer.ok or word > 1:
        raise DecodeMismatch(
            label="isConsumed", target=account, expected="a bool", reason=f"0x{answer.data.hex()[:80]}"
        )
    return word == 1


def _list(items: Iterable[bytes]) -> bytes:
    """A dynamic array of dynamic things: how many, where each begins, and they themselves."""
    parts = list(items)
    if len(parts) == 1:
        return _ONE + parts[0]
    head, at = [_word(len(parts))], 32 * len(parts)
    for part in parts:
        head.append(_word(at))
        at += len(part)
    return b"".join(head + parts)


def _call(call: Call) -> bytes:
    data, size = call.data, len(call.data)
    words = (_address(call.target), call.value_wei.to_bytes(32, "big"), _AFTER_THREE, _word(size), data)
    return b"".join((*words, bytes(-size % 32)))


def _check(check: Check) -> bytes:
    lower, upper, terms = check.lower, check.upper, check.terms
    bounds = _AFTER_THREE + lower.to_bytes(32, "big", signed=True) + upper.to_bytes(32, "big", signed=True)
    return bounds + (_ONE + _term(terms[0]) if len(terms) == 1 else _list(map(_term, terms)))


@lru_cache(maxsize=4096)
def _term(term: Term) -> bytes:
    if not 0 <= term.word < 2**16:
        raise OverflowError(f"word {term.word} of an answer")
    words = (_address(term.target), _word(0xA0), _word(term.word), _word(int(term.is_signed)))
    return b"".join((*words, term.multiplier_wad.to_bytes(32, "big", signed=True), _text(term.data)))


def _text(data: bytes) -> bytes:
    """``bytes``: how many, and they themselves, filled up to whole words."""
    return b"".join((_word(len(data)), data, bytes(-len(data) % 32)))


def _word(value: int) -> bytes:
    """An unsigned word. Most are small: offsets and lengths."""
    return _WORDS[value >> 5] if 0 <= value < _KNOWN and not value & 31 else value.to_bytes(32, "big")


@lru_cache(maxsize=4096)
def _address(address: Address) -> bytes:
    return bytes(12) + bytes.fromhex(address[2:])


def explain(data: bytes, hedge: Hedge) -> str:
    """Revert data of a hedge in words, with the names of its calls and checks."""
    name, values = words(data)
    index = values.get("index")
    if isinstance(index, int):
        if "post" in values:
            checks = hedge.post if values["post"] else hedge.all_pre
            if index < len(checks):
                return f"{_facts(name, values)} [{checks[index].name}]"
        elif index < len(hedge.calls) and hedge.calls[index].label:
            return f"{_facts(name, values)} [{hedge.calls[index].label}]"
    return _facts(name, values)


def _facts(name: str, values: Mapping[str, object]) -> str:
    inside = ", ".join(f"{key}={value}" for key, value in values.items())
    return f"{name}({inside})" if inside else name


def decode_hedge(data: bytes) -> tuple[IntentId, int]:
    """The intent id and deadline inside calldata of ``encode_hedge``. Raises DecodeMismatch."""
    intent, deadline_s, _, _ = hedge_fields(data)
    return IntentId("0x" + intent.hex()), deadline_s


def hedge_fields(data: bytes) -> tuple[bytes, int, tuple[RawCheck, ...], tuple[RawCheck, ...]]:
    """Intent, deadline and the checks before and after inside calldata of ``encode_hedge``.

    Raises DecodeMismatch.
    """
    try:
        if data[:4] != EXECUTE:
            raise DecodeMismatch(
                label="hedge", target="calldata", expected="execute", reason=f"0x{data[:4].hex()}"
            )
        _, execution = codec.decode(["bytes32", "bytes"], data[4:])
        _, op_data = codec.decode([CALLS_TYPE, "bytes"], execution)
        ((intent, deadline_s, pre, post),) = codec.decode([HEDGE_TYPE], op_data)
    except DecodingError as error:
        raise DecodeMismatch(
            label="hedge", target="calldata", expected="a hedge", reason=str(error)
        ) from error
    return intent, deadline_s, pre, post
