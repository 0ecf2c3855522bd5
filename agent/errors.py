"""Every refusal Evenkeel can give, split by what the caller does next.

    EvenkeelError
    |-- Transient       retry the step; the next try may work
    |   |-- RpcUnavailable      the node did not answer
    |   |-- RpcTimeout          the node did not answer in time
    |   |-- RateLimited         the node asks us to slow down
    |   |-- Throttled           our own limit left no room in time; nothing was sent
    |   |-- EndpointResting     an endpoint that failed is left alone for now; nothing was sent
    |   |-- HeadBehind          no endpoint that answers has the newest block we saw
    |   |-- HeadImplausible     every endpoint tells of a block that cannot be
    |   |-- NodesDisagree       endpoints tell different chains; none is trusted
    |   |-- JournalUnwritable   the journal cannot be written (full disk, permissions)
    |   |-- SignerUnavailable   the signer did not answer
    |   |-- PriceStale          a price that somebody tells is too old to use
    |   |-- PriceImplausible    a price that somebody tells cannot be so
    |   |-- HeadStale           the newest block is too old to decide on
    |   |-- ReadUnpinned        the block to read at is no longer known to the node
    |   |-- HistoryIncomplete   the events told do not add up to what the chain has stored
    |   `-- ReadReverted        a contract refuses to answer at this block
    |-- Refused         drop the plan; the next head decides
    |   |-- SimulationReverted  the batch would revert
    |   |-- TransactionReverted the batch did revert
    |   |-- TransactionRejected the node refused the transaction
    |   |-- SignerRefused       the signer would not sign
    |   |-- FeeCapExceeded      the market asks more than the budget allows
    |   |-- BalanceTooLow       the sender cannot pay for the transaction
    |   |-- PlanExpired         the plan's deadline has passed
    |   |-- PlanInfeasible      no plan keeps every limit; names those in conflict
    |   |-- VolQuoteInvalid     a volatility quote cannot be true
    |   |-- VolOutOfRange       no volatility is quoted near there
    |   `-- LaneBusy            the account already has a transaction in flight
    |-- Untrusted       halt and page; what we were told cannot be true
    |   |-- RpcRejected         the node answered a well-formed request with an error
    |   |-- DecodeMismatch      an answer has not the shape its ABI says
    |   |-- ChainMismatch       the node serves another chain
    |   |-- ContractMismatch    the code at an address is not the protocol's
    |   |-- DeepReorg           a final transaction disappeared
    |   |-- JournalCorrupt      the journal or record does not verify
    |   |-- RequestContradicted what is told of a request to a keeper cannot all be true
    |   |-- SignatureMismatch   a signer gave a signature that is not the account's
    |   |-- DelegationMismatch  the account's code is not our executor
    |   |-- ProcessFailed       a process we started ended before its time
    |   `-- ProofBroken         a postcondition did not hold after the fact
    `-- Misconfigured   never start; the message names the key, what it held, what is allowed
        |-- ConfigInvalid       a config key is unknown or its value not allowed
        |-- AddressMalformed    a text is not an address
        |-- KeyUnreadable       a key or password file is missing, too open, or wrong
        |-- VenueUnknown        no such venue
        |-- ScenarioUnknown     no such scenario
        |-- CorrelationInvalid  correlations that no assets can have
        |-- AccountEmpty        the account holds no position on any venue
        |-- JournalLocked       another process already runs on this journal
        |-- StateMissing        a node has no old state, which a fork needs
        |-- LibraryMissing      an optional Python package is not installed
        `-- ToolMissing         a program of the toolchain is not installed

Two levels deep. Every error carries typed fields; the message is built from them. The exit code of the
command line is the class attribute ``exit_code`` of the first level.
"""

from __future__ import annotations

from typing import ClassVar


class EvenkeelError(Exception):
    """Base of all. ``fields`` are the facts, ``__str__`` the sentence, ``fix`` what to do."""

    exit_code: ClassVar[int] = 1
    fix: ClassVar[str] = ""
    template: ClassVar[str] = ""

    def __init__(self, **fields: object) -> None:
        self.fields: dict[str, object] = fields
        super().__init__(self.message)

    def __reduce__(self) -> tuple[object, ...]:
        """Fields travel between processes, as they do between threads."""
        return _again, (type(self), self.fields)

    @property
    def message(self) -> str:
        """What happened and where, followed by the fix."""
        return f"{self.sentence} {self.fix}".strip()

    @property
    def sentence(self) -> str:
        """What happened and where, without the fix: for the reason of another error."""
        try:
            return self.template.format(**self.fields)
        except (KeyError, IndexError):
            return f"{self.template} ({', '.join(f'{k}={v}' for k, v in self.fields.items())})"

    @property
    def code(self) -> str:
        """The class name: the stable machine-readable name of the error."""
        return type(self).__name__


def _again(kind: type[EvenkeelError], fields: dict[str, object]) -> EvenkeelError:
    return kind(**fields)


# --- first level: what the caller does -------------------------------------------------------------


class Transient(EvenkeelError):
    """Retry the step."""

    exit_code = 3


class Refused(EvenkeelError):
    """Drop the plan; the next head decides."""

    exit_code = 4


class Untrusted(EvenkeelError):
    """Halt and page."""

    exit_code = 5


class Misconfigured(EvenkeelError):
    """Never start."""

    exit_code = 2


# --- transient -------------------------------------------------------------------------------------


class RpcUnavailable(Transient):
    template = "The node at {endpoint} did not answer {method}: {reason}."
    fix = "Check that the node runs and that `rpc.url` points at it."


class RpcTimeout(Transient):
    template = "The node at {endpoint} did not answer {method} within {timeout_s} s."
    fix = "Raise `rpc.timeout_s` or use a faster endpoint."


class RateLimited(Transient):
    template = "The node at {endpoint} limits our rate ({method}); it asks to wait {retry_after_s} s."
    fix = "Use an endpoint with a higher limit or a longer `run.interval_s`."


class Throttled(Transient):
    template = (
        "Our own limit for {endpoint} leaves no room for {method} within {timeout_s} s; it was not sent."
    )
    fix = "Raise `rpc.requests_per_s` or `rpc.timeout_s`, or add an endpoint to `rpc.more_urls`."


class EndpointResting(Transient):
    template = (
        "The node at {endpoint} failed {faults} times in a row; {method} was not sent to it. "
        "It is tried again in {wait_s} s."
    )
    fix = "Check that the node runs, or add another to `rpc.more_urls`."


class HeadBehind(Transient):
    template = "The node at {endpoint} is at block {number}; block {seen} was seen before at another."
    fix = "It is read again once it has caught up; check the endpoints in `rpc.more_urls` that do not answer."


class HeadImplausible(Transient):
    template = "The node at {endpoint} tells of block {number}, which cannot be: {reason}."
    fix = "Check this machine's clock; where the chain's is another one, set `rpc.max_head_age_s` to 0."


class NodesDisagree(Transient):
    template = "The nodes do not agree about {account}: {differences}."
    fix = "Nothing is sent until they agree; take an endpoint that you do not trust out of `rpc.more_urls`."


class JournalUnwritable(Transient):
    template = "The journal {path} cannot be written: {reason}."
    fix = "Free space or mend permissions; nothing is sent until it can be written again."


class SignerUnavailable(Transient):
    template = "The signer {signer} did not sign: {reason}."
    fix = "What was sent before stays alive; check the signer, or keep a ladder (`tx.ladder_rungs`)."


class PriceStale(Transient):
    template = "{venue}: the price of {token} from {source} is {age_s} s old, {limit_s} s are allowed."
    fix = "Nothing is done on it. If it stays so, look at the price service and the clock of the node."


class PriceImplausible(Transient):
    template = "{venue}: the price of {token} from {source} is not believed: {reason}."
    fix = "Nothing is done on it. If it stays so, compare the service with the feed in the deployment file."


class HeadStale(Transient):
    template = "The newest block {number} is {age_s} s old; at most {max_age_s} s are allowed."
    fix = "Check that the node is in sync, or raise `rpc.max_head_age_s`."


class ReadReverted(Transient):
    """A contract that is the protocol's own refuses to answer now: a stale oracle, a pause, an overflow
    of its averages. Nothing is decided on what was not read; the next head is tried.
    """

    template = "Reading {label} at {target} reverted: {reason}."
    fix = "If it lasts, the venue is paused or its oracle is stale; check the addresses in the deployment."


class ReadUnpinned(Transient):
    template = "The node no longer knows block {block} ({reason}), so nothing can be read at it."
    fix = "The next head will be read instead; if this repeats, use a node that keeps recent state."


class HistoryIncomplete(Transient):
    template = (
        "What {target} has stored of {account} at block {block} is not what its events add up to: {reason}."
    )
    fix = "Nothing is judged on it; let the node serve all events since the deployment file's first block."


# --- refused ---------------------------------------------------------------------------------------


class SimulationReverted(Refused):
    template = "The batch for intent {intent_id} would revert: {reason}."
    fix = "The plan was dropped; nothing was sent."


class TransactionReverted(Refused):
    template = "Transaction {tx_hash} of intent {intent_id} reverted: {reason}."
    fix = "Every leg was undone on chain; the next head plans anew."


class TransactionRejected(Refused):
    template = "The node at {endpoint} rejected the transaction: {reason}."
    fix = "Nothing was accepted; the next head plans anew."


class SignerRefused(Refused):
    template = "The signer {signer} refuses to sign: {reason}."
    fix = "Check the policy and the permissions of the key."


class FeeCapExceeded(Refused):
    template = "The transaction would cost up to {cost_wei} wei; its budget is {cap_wei}."
    fix = "What was sent before stays alive; raise `tx.max_cost_wei` or `tx.max_rescue_cost_wei` to bid more."


class BalanceTooLow(Refused):
    template = "{address} holds {balance_wei} wei and needs up to {needed_wei} wei for the transaction."
    fix = "Send it native currency for gas."


class PlanExpired(Refused):
    template = "The plan for intent {intent_id} expired at {deadline_s}; the block time is {now_s}."
    fix = "The next head plans anew."


class PlanInfeasible(Refused):
    template = "No plan keeps every limit; these conflict: {conflicts}."
    fix = "Add collateral to the account, or loosen one of the limits named."


class VolQuoteInvalid(Refused):
    template = "The volatility quote {quote} cannot be used: {reason}."
    fix = "Leave it out, or look at what the venue says there."


class VolOutOfRange(Refused):
    template = "No volatility is quoted for strike {strike} and expiry {expiry_s}: {reason}."
    fix = "Ask within what is quoted, or for what is flagged as extrapolated."


class LaneBusy(Refused):
    template = "{address} already has a transaction in flight (nonce {nonce}, intent {intent_id})."
    fix = "A delegated account sends one transaction at a time; it will be replaced or awaited."


# --- untrusted -------------------------------------------------------------------------------------


class RpcRejected(Untrusted):
    template = "The node at {endpoint} refused {method}: {reason} (code {rpc_code})."
    fix = "Check that the endpoint supports this method."


class DecodeMismatch(Untrusted):
    template = "The answer of {label} at {target} does not decode as {expected}: {reason}."
    fix = "The contract's ABI differs from ours; check the address, then file an issue."


class ChainMismatch(Untrusted):
    template = "The node at {endpoint} serves chain {actual}; `chain.id` says {expected}."
    fix = "Point `rpc.url` at the right chain or correct `chain.id`."


class ContractMismatch(Untrusted):
    template = "The contract at {target} is not {expected}: {reason}."
    fix = "Check the venue's addresses in the deployment file."


class DeepReorg(Untrusted):
    template = "Transaction {tx_hash} was final at block {number} and is gone."
    fix = "Stop, compare with a second node, then start again."


class JournalCorrupt(Untrusted):
    template = "The journal {path} does not verify: {reason}."
    fix = "Keep the file, restore a copy, and run `evenkeel journal --verify`; nothing is sent."


class SignatureMismatch(Untrusted):
    template = "The signer answered with a signature that is not of {address}: {reason}."
    fix = "Check that the key belongs to the configured account."


class DelegationMismatch(Untrusted):
    template = "The code of {address} is {actual}; it should delegate to the executor {executor}."
    fix = "Run `evenkeel run --live --delegate`, or correct `executor.address`."


class RequestContradicted(Untrusted):
    template = "What is told of request {key} at {venue} cannot be: {reason}."
    fix = "Compare with a second node; look the request up at the venue before anything is sent."


class ProcessFailed(Untrusted):
    template = "The process of {what} ended with {status}; its last words are in {log}."
    fix = "Read that file, then start again."


class ProofBroken(Untrusted):
    template = "After block {number} the postcondition {name} does not hold: {actual} against {bound}."
    fix = "See `evenkeel journal` for the record; check the account by hand."


# --- misconfigured ---------------------------------------------------------------------------------


class ConfigInvalid(Misconfigured):
    template = "Config key `{key}` is {value!r}: {reason}."


class AddressMalformed(Misconfigured):
    template = "{text!r} is not an address: {reason}."
    fix = "Give 0x and 40 hex digits, with a correct checksum if letters are mixed."


class KeyUnreadable(Misconfigured):
    template = "The file {path} (`{key}`) cannot be used: {reason}."


class VenueUnknown(Misconfigured):
    template = "There is no venue {name!r}; known are: {known}."


class ScenarioUnknown(Misconfigured):
    template = "There is no scenario {name!r} for this book; known are: {known}."
    fix = "See `evenkeel stress --list`."


class CorrelationInvalid(Misconfigured):
    template = "The correlation of {what} cannot be used: {reason}."
    fix = "Give correlations between -1 and 1 that belong to one positive semi-definite matrix."


class AccountEmpty(Misconfigured):
    template = "{address} holds no position on {venues} at block {number}."
    fix = "Check the address and the chain."


class JournalLocked(Misconfigured):
    template = "The journal {path} is in use by process {pid}."
    fix = "One agent runs on one journal: stop the other, or give this one its own `run.journal`."


class ToolMissing(Misconfigured):
    template = "{tool} is not installed ({reason})."
    fix = "Run `evenkeel setup` (needs node 20+ with npm)."


class StateMissing(Misconfigured):
    template = "The node at {endpoint} has no state of block {number}, {depth} before its newest: {reason}."
    fix = "A fork reads old state for as long as it runs: give an archive node."


class LibraryMissing(Misconfigured):
    template = "`{key}` = {value!r} needs the Python package {package}, which is not installed."
    fix = "Install it with the extra of that name: pip install 'evenkeel[pkcs11]' or 'evenkeel[aws]'."
