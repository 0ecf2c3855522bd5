"""The only place that builds objects: from a config to a desk with venues, a lane and a journal."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, cast

from agent.chain.head import Heads, latest
from agent.chain.lens import read_one
from agent.chain.pool import MAX_FUTURE_S, Pool
from agent.chain.rpc import Rpc
from agent.config import Config
from agent.errors import ConfigInvalid
from agent.market.snapshot import VenueState
from agent.planning.policy import Policy
from agent.risk.limits import Bounds
from agent.runtime.cycle import Desk
from agent.runtime.docket import ASKED, TOLD, Docket
from agent.runtime.see import Eye
from agent.runtime.supervisor import on_next_heads
from agent.tx.channel import Channel, Method
from agent.tx.errand import Route
from agent.tx.executor import identify
from agent.tx.ladder import Seal
from agent.tx.sender import Sender
from agent.tx.simulation import Simulator
from agent.values.address import Address, ChainId
from agent.values.block import Block
from agent.venues.deployments import Deployment, load
from agent.venues.venue import Venue
from agent.venues.watch import Watch

if TYPE_CHECKING:  # who only looks needs neither a key nor a journal
    from agent.proof.database import Database
    from agent.proof.journal import Journal
    from agent.proof.record import Entry, Record
    from agent.proof.store import Store

REASK_S = 5.0  # how long nodes that disagree are given to agree: about a block where blocks are fast


def deployment_of(config: Config) -> Deployment:
    """The configured deployment file. Raises ConfigInvalid when it is of another chain."""
    path = config.chain.deployment
    deployment = load(path)
    if config.chain.id is not None and deployment.chain_id != config.chain.id:
        raise ConfigInvalid(
            key="chain.deployment",
            value=str(path),
            reason=f"it is of chain {deployment.chain_id}, `chain.id` says {config.chain.id}",
        )
    return deployment


def shipped(chain_id: int) -> Path:
    """The manifest that comes with the package. Raises ConfigInvalid when the chain has none."""
    path = Path(str(files("agent.venues"))) / "manifests" / f"{chain_id}.json"
    if not path.exists():
        known = sorted(int(p.stem) for p in path.parent.glob("*.json"))
        raise ConfigInvalid(
            key="chain.deployment",
            value=None,
            reason=f"needed: none is shipped for chain {chain_id}, only {known}",
        )
    return path


def venues_of(deployment: Deployment) -> tuple[Venue[VenueState], ...]:
    """One venue per protocol of the deployment. Loads those alone: all of them take a second to import."""
    found: list[object] = []
    if deployment.curie is not None:
        from agent.venues.curie import Curie

        found.append(Curie(deployment.curie))
    if deployment.lyra is not None:
        from agent.venues.lyra import Lyra

        found.append(Lyra(deployment.lyra))
    if deployment.uniswap is not None:
        from agent.venues.uniswap import Uniswap

        found.append(Uniswap(deployment.uniswap))
    if deployment.synthetix is not None:
        from agent.venues.synthetix import Synthetix

        found.append(Synthetix(deployment.synthetix))
    if deployment.panoptic is not None:
        from agent.venues.panoptic import Panoptic

        found.append(Panoptic(deployment.panoptic))
    if deployment.gmx is not None:
        from agent.venues.gmx import Gmx

        found.append(Gmx.of(deployment.gmx))
    if deployment.gtrade is not None:
        from agent.venues.gtrade import Gtrade

        found.append(Gtrade.of(deployment.gtrade))
    if not found:
        raise ConfigInvalid(key="chain.deployment", value=None, reason="it names no venue")
    # Each venue is given back only the state it returned itself (``cycle.writers`` pairs them by name).
    return tuple(cast(list[Venue[VenueState]], found))


def asset_tokens_of(deployment: Deployment) -> dict[Address, str]:
    """The tokens that are an asset itself, so that holding them is delta."""
    tokens: dict[Address, str] = {}
    if deployment.lyra is not None:
        tokens[Address(deployment.lyra.base_token)] = deployment.lyra.asset
    if deployment.uniswap is not None:
        tokens |= {Address(pool.asset_token): pool.asset for pool in deployment.uniswap.pools}
    if deployment.panoptic is not None:
        tokens |= {Address(pool.asset_token): pool.asset for pool in deployment.panoptic.pools}
    return tokens


def bounds_of(policy: Policy) -> Bounds:
    """The policy's limits as the judge reads them."""
    delta, gamma, vega = (
        {asset: float(width) for asset, width in widths.items()}
        for widths in (policy.band, policy.gamma_band, policy.vega_band)
    )
    return Bounds(delta, float(policy.floor_distance), gamma, vega)


def pool_of(config: Config, chain_id: int | None) -> Pool:
    """The configured nodes; one whose chain is not ``chain_id`` will not be asked. Raises ConfigInvalid."""
    return Pool(
        config.rpc_urls,
        config.rpc.endpoint,
        chain_id=None if chain_id is None else ChainId(chain_id),
        timeout_s=config.rpc.timeout_s,
        max_future_s=None if config.rpc.head_age_limit_s is None else MAX_FUTURE_S,
    )


def rpc_of(config: Config, chain_id: int | None) -> Rpc:
    """The way to the configured nodes."""
    return Rpc(pool_of(config, chain_id), config.rpc.timeout_s)


def newest_block(rpc: Rpc, config: Config) -> Block:
    """The newest head. Raises HeadStale."""
    return latest(rpc, config.rpc.head_age_limit_s, time.time())


def eye_of(rpc: Rpc, deployment: Deployment, block: Block, lead_s: int = 0) -> Eye:
    """An eye whose every contract has been identified at ``block``. ``lead_s`` as in `Eye`."""
    blind = Eye(
        rpc,
        ChainId(deployment.chain_id),
        venues_of(deployment),
        asset_tokens=asset_tokens_of(deployment),
        watch=Watch.of(deployment),
        manifests=deployment.manifests,
        lead_s=lead_s,
    )
    return blind.identified(block)


def dry_desk(config: Config) -> tuple[Desk, Block]:
    """A desk that can look and simulate but has no key. Also the block it was identified at."""
    deployment = deployment_of(config)
    return _desk(config, deployment, pool_of(config, deployment.chain_id))


def _desk(config: Config, deployment: Deployment, pool: Pool) -> tuple[Desk, Block]:
    rpc = Rpc(pool, config.rpc.timeout_s)
    eye, block = _identified(rpc, config, deployment)
    executor = config.executor.address or deployment.executor
    if executor is not None:
        read_one(rpc, block, identify(Address(executor)))
    desk = Desk(
        account=config.account,
        eye=eye,
        policy=config.policy,
        bounds=bounds_of(config.policy),
        simulator=Simulator(rpc, Address(executor)) if executor is not None else None,
    )
    return desk, block


def _identified(rpc: Rpc, config: Config, deployment: Deployment) -> tuple[Eye, Block]:
    for attempt in on_next_heads():
        with attempt:
            block = newest_block(rpc, config)
            return eye_of(rpc, deployment, block, config.policy.exit_lead_s), block
    raise AssertionError("retrying returns or raises")


@contextmanager
def live_desk(config: Config) -> Iterator[tuple[Desk, Block]]:
    """A desk that signs and sends, with its journal open and locked.

    The key is opened before anything is asked of the chain. Raises KeyUnreadable, ConfigInvalid,
    JournalLocked, JournalCorrupt, and what ``dry_desk`` raises.
    """
    from agent.keyring import signer_of
    from agent.proof.database import Database
    from agent.proof.journal import Journal
    from agent.proof.record import Record

    signer = signer_of(config)
    deployment = deployment_of(config)
    pool = pool_of(config, deployment.chain_id)
    dry, block = _desk(config, deployment, pool)
    executor = config.executor.address or deployment.executor
    if executor is None:
        raise ConfigInvalid(key="executor.address", value=None, reason="a live run needs the executor")
    with Database(store_of(config), time.time) as database:
        journal = Journal(database)
        _require_own(journal, dry, database.path)
        sender = Sender(
            dry.eye.rpc,
            signer,
            journal,
            dry.eye.chain_id,
            Address(executor),
            config.tx.lane,
            channels_of(config, dry.eye.rpc),
            Seal(config.ladder_key()),
            lambda account: pool.survey(account, reask_s=REASK_S).nonce,
        )
        record = Record(database)
        desk = Desk(dry.account, dry.eye, dry.policy, dry.bounds, dry.simulator, sender, record)
        yield replace(desk, docket=docket_of(record, dry.policy)), block


def docket_of(record: Record, policy: Policy) -> Docket:
    """What the record tells of requests to keepers."""
    entries: list[Entry] = []
    while page := record.entries(entries[-1].seq if entries else 0, kinds=(ASKED, TOLD)):
        entries += page
    return Docket.restored([(entry.kind, entry.payload) for entry in entries], policy.keeper_failures)


def channels_of(config: Config, rpc: Rpc) -> tuple[Channel, ...]:
    """Everybody a transaction may be shown to."""
    method = Method.SYNC if config.tx.sync else Method.RAW
    public = [Channel(member, method=method) for member in rpc.members]
    for url in config.tx.sequencer_urls:
        public.append(Channel(Rpc(url.get_secret_value(), config.rpc.timeout_s), method=method))
    private = [
        Channel(
            Rpc(url.get_secret_value(), config.rpc.timeout_s),
            Route.PRIVATE,
            Method(config.tx.private_method),
        )
        for url in config.tx.private_urls
    ]
    return (*private, *public)


def _require_own(journal: Journal, desk: Desk, place: str) -> None:
    """One journal tells one account's story. Raises ConfigInvalid when this one tells another's."""
    for chain_id, account in journal.lanes():
        if (chain_id, account) != (desk.eye.chain_id, desk.account):
            raise ConfigInvalid(
                key="run.journal",
                value=place,
                reason=f"it is of {account} on chain {chain_id}; give this agent a journal of its own",
            )


def heads_of(config: Config, rpc: Rpc) -> Heads:
    """New heads, by the desk's own way to the nodes: their limits are for all of us together."""
    return Heads(rpc, config.ws_urls, config.rpc.poll_s)


def record_of(config: Config) -> Database:
    """The journal, read-only: an agent may be running on it. Raises ConfigInvalid when there is none yet."""
    from agent.proof.database import Database

    return Database(store_of(config), time.time, read_only=True)


def guest_of(config: Config) -> Database:
    """The journal, to leave a request in: whoever holds the lane goes on holding it."""
    from agent.proof.database import Database

    return Database(store_of(config), time.time, guest=True)


def store_of(config: Config) -> Path | Store:
    """Where the journal is kept. Raises ConfigInvalid for an address that is none, or without its driver."""
    if config.run.journal_url is None:
        return config.run.journal
    try:
        from agent.proof.postgres import Postgres
    except ImportError as error:
        reason = "psycopg is not installed; pip install 'evenkeel[postgres]'"
        raise ConfigInvalid(key="run.journal_url", value="...", reason=reason) from error
    return Postgres(config.run.journal_url.get_secret_value())
