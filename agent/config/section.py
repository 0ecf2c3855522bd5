"""The sections of the config, their defaults and their limits."""

from __future__ import annotations

import os
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Literal, Self, cast

from pydantic import BaseModel, Field, SecretStr, model_validator

from agent.chain.breaker import BreakerPolicy
from agent.chain.endpoint import EndpointPolicy
from agent.chain.manner import Means
from agent.chain.transport import redacted
from agent.config.custody import Section, SignerSection, Url
from agent.config.secret import PREFIX, Environment, read_file, read_secret
from agent.errors import ConfigInvalid
from agent.planning.policy import Policy
from agent.tx.fees import FeePolicy
from agent.tx.lane import LanePolicy
from agent.values.address import Address
from agent.venues.record import AddressField


class ChainSection(Section):
    """Which chain, which contracts, whose book."""

    id: int | None = Field(default=None, ge=1, description="chain id the node must serve")
    deployment: Path = Field(description="JSON file with the venues' addresses")
    account: AddressField = Field(description="the account to watch over")


class RpcSection(Section):
    """The node."""

    url: Url = Field(description="http(s) address of the node")
    more_urls: tuple[Url, ...] = Field(default=(), description="further nodes of the same chain")
    ws_url: Url | None = Field(default=None, description="ws(s) address for new heads; polling without it")
    more_ws_urls: tuple[Url, ...] = Field(
        default=(), description="further ws(s) addresses, each for when those before it fail"
    )
    timeout_s: float = Field(default=10.0, gt=0, le=300, description="longest wait for an answer")
    max_head_age_s: int = Field(
        default=60, ge=0, description="oldest head to decide on; 0: the chain's clock is not the wall clock"
    )
    poll_s: float = Field(default=1.0, gt=0, le=600, description="seconds between looks for a new head")
    requests_per_s: float = Field(
        default=0.0, ge=0, le=100_000, description="most that each node is asked; 0: as fast as it lets us"
    )
    burst: int = Field(
        default=50, ge=1, le=100_000, description="requests at once after a pause; scans take up to a half"
    )
    batch_counts: Literal["calls", "one"] = Field(
        default="calls", description="how a batch counts: as its calls, or as one request"
    )
    lens: Literal["auto", "override", "deployless", "multicall", "plain"] = Field(
        default="auto", description="how much is read at once; auto: the best way that each node offers"
    )
    breaker_faults: int = Field(
        default=3, ge=1, le=1000, description="faults in a row after which a node is left alone"
    )
    breaker_wait_s: float = Field(
        default=0.5, gt=0, le=600, description="for how long at first; doubles while it fails"
    )
    breaker_max_wait_s: float = Field(default=10.0, gt=0, le=3600, description="and for how long at most")

    @model_validator(mode="after")
    def _is_consistent(self) -> RpcSection:
        urls = [url.get_secret_value().rstrip("/") for url in (self.url, *self.more_urls)]
        if len(set(urls)) < len(urls):  # one node would count as two that agree
            raise ValueError("rpc.url and rpc.more_urls name the same node twice")
        if self.breaker_max_wait_s < self.breaker_wait_s:
            raise ValueError("rpc.breaker_wait_s <= rpc.breaker_max_wait_s is needed")
        return self

    @property
    def endpoint(self) -> EndpointPolicy:
        """In the words of an endpoint."""
        return EndpointPolicy(
            requests_per_s=self.requests_per_s,
            burst=self.burst,
            batch_counts=self.batch_counts,
            breaker=BreakerPolicy(self.breaker_faults, self.breaker_wait_s, self.breaker_max_wait_s),
            means=None if self.lens == "auto" else Means(self.lens),
        )

    @property
    def head_age_limit_s(self) -> int | None:
        """None where the age of a head says nothing."""
        return self.max_head_age_s or None


class ExecutorSection(Section):
    """The batch contract."""

    address: AddressField | None = Field(default=None, description="instead of the deployment's executor")


class TxSection(Section):
    """How a transaction is priced and awaited. Blocks are counted, not seconds."""

    max_cost_wei: int = Field(default=50_000_000_000_000_000, gt=0, description="most that one may cost")
    max_rescue_cost_wei: int = Field(
        default=500_000_000_000_000_000,
        gt=0,
        description="the same for a rescue: delta or margin beyond limits",
    )
    min_tip_wei: int = Field(default=1_000_000, ge=0, description="tip per gas where nobody tips")
    confirm_depth: int = Field(default=2, ge=1, le=256, description="blocks until it is final; 1 is its own")
    bump_after_housekeeping: int = Field(default=6, ge=1, description="blocks before it is outbid")
    bump_after_normal: int = Field(default=3, ge=1, description="blocks before it is outbid")
    bump_after_rescue: int = Field(default=1, ge=1, description="blocks before it is outbid")
    private_urls: tuple[Url, ...] = Field(
        default=(), description="endpoints that show it to block builders only; they come first"
    )
    private_method: Literal["eth_sendPrivateTransaction", "eth_sendRawTransaction"] = Field(
        default="eth_sendPrivateTransaction", description="what the private endpoints understand"
    )
    private_for_housekeeping: int = Field(default=10, ge=0, description="blocks before everybody is shown it")
    private_for_normal: int = Field(default=5, ge=0, description="blocks before everybody is shown it")
    private_for_rescue: int = Field(default=2, ge=0, description="blocks before everybody is shown it")
    sequencer_urls: tuple[Url, ...] = Field(
        default=(), description="endpoints that only take transactions: a rollup's sequencer"
    )
    sync: bool = Field(
        default=False, description="send with eth_sendRawTransactionSync (EIP-7966) where nodes offer it"
    )
    ladder_rungs: int = Field(
        default=3, ge=0, le=8, description="replacements signed in advance, for when the signer is out"
    )

    @property
    def lane(self) -> LanePolicy:
        """In the sender's words."""
        return LanePolicy(
            fees=FeePolicy(self.max_cost_wei, self.min_tip_wei, self.max_rescue_cost_wei),
            confirm_depth=self.confirm_depth,
            bump_after_housekeeping=self.bump_after_housekeeping,
            bump_after_normal=self.bump_after_normal,
            bump_after_rescue=self.bump_after_rescue,
            private_for_housekeeping=self.private_for_housekeeping,
            private_for_normal=self.private_for_normal,
            private_for_rescue=self.private_for_rescue,
            ladder_rungs=self.ladder_rungs,
        )


class RunSection(Section):
    """The process."""

    interval_s: float = Field(default=12.0, gt=0, description="seconds of silence before a look of our own")
    journal: Path = Field(default=Path("evenkeel.sqlite"), description="journal and record")
    journal_url: Url | None = Field(
        default=None, description="postgresql://... to keep them on a server, instead of `run.journal`"
    )
    metrics_port: int | None = Field(
        default=None, ge=1, le=65535, description="port of a page for Prometheus, to this machine only; off"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="what is said on stderr: this and what is graver"
    )

    @model_validator(mode="after")
    def _one_journal(self) -> Self:
        if self.journal_url is not None and "journal" in self.model_fields_set:
            raise ValueError("`run.journal` and `run.journal_url` are both given; a journal is in one place")
        return self


class Config(Section):
    """All of it. Paths are absolute or relative to the file they stand in (``--set``: to where one is)."""

    chain: ChainSection
    rpc: RpcSection
    signer: SignerSection = SignerSection()
    executor: ExecutorSection = ExecutorSection()
    policy: Policy = Policy()
    tx: TxSection = TxSection()
    run: RunSection = RunSection()

    @property
    def account(self) -> Address:
        return Address(self.chain.account)

    @property
    def rpc_url(self) -> str:
        """In full: for `Rpc` only, never for display."""
        return self.rpc.url.get_secret_value()

    @property
    def rpc_urls(self) -> tuple[str, ...]:
        """All nodes, the same way: for `Pool` only."""
        return (self.rpc_url, *(url.get_secret_value() for url in self.rpc.more_urls))

    @property
    def ws_urls(self) -> tuple[str, ...]:
        """In full, first the one to prefer: for `Heads` only, never for display."""
        first = () if self.rpc.ws_url is None else (self.rpc.ws_url,)
        return tuple(url.get_secret_value() for url in (*first, *self.rpc.more_ws_urls))

    def effective(self) -> dict[str, object]:
        """Everything as it counts, defaults included, without secrets; for display."""
        return cast(dict[str, object], _shown(self.model_dump()))

    def ladder_key(self, environment: Environment | None = None) -> str | None:
        """What signed replacements are kept under across restarts, if the owner gave something."""
        return read_secret("LADDER_KEY", os.environ if environment is None else environment)

    def signer_secret(self, name: str, environment: Environment | None = None) -> str | None:
        """The secret ``EVENKEEL_<name>`` (or ``_FILE``), if set. Raises ConfigInvalid, KeyUnreadable."""
        return read_secret(name, os.environ if environment is None else environment)

    def key_password(self, environment: Environment | None = None) -> str:
        """The keystore's password: environment, ``*_FILE``, or ``signer.password_file``.

        Raises KeyUnreadable if a file is missing or open to others, ConfigInvalid if there is none at all.
        """
        found = read_secret("KEY_PASSWORD", os.environ if environment is None else environment)
        if found is not None:
            return found
        if self.signer.password_file is None:
            raise ConfigInvalid(
                key="signer.password_file",
                value=None,
                reason=f"no password: set it, or {PREFIX}KEY_PASSWORD, or {PREFIX}KEY_PASSWORD_FILE",
            )
        return read_file(self.signer.password_file, "signer.password_file")


def known_keys() -> tuple[str, ...]:
    """Every key, dotted. A key under ``policy.band`` is an asset's name."""
    return tuple(
        f"{section}.{name}"
        for section, field in Config.model_fields.items()
        for name in cast(type[BaseModel], field.annotation).model_fields
    )


def _shown(value: object) -> object:
    if isinstance(value, Mapping):
        return {key: _shown(inner) for key, inner in value.items()}
    if isinstance(value, tuple | list):
        return [_shown(inner) for inner in value]
    if isinstance(value, SecretStr):
        return redacted(value.get_secret_value()) + "/..."
    return str(value) if isinstance(value, Decimal | Path) else value
