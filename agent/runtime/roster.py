"""Everything there is to say about each venue of a deployment at one block: for `evenkeel venues`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from agent.chain.lens import read_one
from agent.chain.rpc import Rpc
from agent.errors import ChainMismatch, ContractMismatch, DecodeMismatch, ReadReverted, Transient
from agent.market.snapshot import Quote, VenueState
from agent.market.standing import Access, Standing
from agent.runtime.see import answerable
from agent.values.address import Address
from agent.values.block import Block
from agent.venues.ability import Ability
from agent.venues.deployments import Deployment
from agent.venues.manifest import Contract, Manifest, Stage
from agent.venues.venue import AbleVenue, Venue, told_stage
from agent.venues.watch import Gauge, Watch, places_of, standing

UNKNOWN = Ability(reads="not declared", margin="", flip_exact=False, writes=(), bytecode="")


@dataclass(frozen=True, slots=True)
class Place:
    """One address of a venue. ``met``: None where nothing is expected of it."""

    name: str
    known: Contract
    met: bool | None


@dataclass(frozen=True, slots=True)
class Entry:
    """One venue. ``refusal``: why its contracts are not the protocol's or could not be read, "" if they are;
    ``unread``: why it could not be read just now, with nothing wrong with its contracts (a price service that
    is away); ``markets``: as the contracts name them.
    """

    venue: str
    settlement: str
    standing: Standing
    ability: Ability
    manifest: Manifest
    places: tuple[Place, ...]
    markets: tuple[Quote, ...]
    refusal: str = ""
    unread: str = ""

    @property
    def is_sound(self) -> bool:
        """Whether it is what it should be: nothing drifted, every contract recognised."""
        return not (self.refusal or self.standing.drifts)

    @property
    def unexpected(self) -> int:
        """How many addresses nothing is known of."""
        return sum(place.met is None for place in self.places)


def roster(
    rpc: Rpc,
    deployment: Deployment,
    venues: Sequence[Venue[VenueState]],
    account: Address,
    block: Block,
    lead_s: int,
) -> tuple[Entry, ...]:
    """One entry for each venue, in order; one that cannot be read is an entry that says so.

    Raises ChainMismatch where the node serves another chain.
    """
    actual = rpc.chain_id()
    if actual != deployment.chain_id:
        raise ChainMismatch(endpoint=rpc.endpoint, actual=actual, expected=deployment.chain_id)
    drifts = read_one(rpc, block, answerable(rpc, Watch.of(deployment), block).look(account))
    return tuple(
        _entry(rpc, deployment, venue, account, block, lead_s, drifts.get(venue.name, ())) for venue in venues
    )


def _entry(
    rpc: Rpc,
    deployment: Deployment,
    venue: Venue[VenueState],
    account: Address,
    block: Block,
    lead_s: int,
    drifts: Sequence[str],
) -> Entry:
    name = venue.name
    manifest = deployment.manifest(name)
    gauge = Gauge(dict(manifest.words))
    stage: Stage = venue.stage
    quotes: tuple[Quote, ...] = ()
    refusal = unread = ""
    try:
        read_one(rpc, block, venue.identify())
        try:
            state = read_one(rpc, block, gauge.measured(venue.read(account, block)))
            stage, quotes = told_stage(venue, state), tuple(state.quotes)
        except Transient as error:
            unread = error.sentence
    except (ContractMismatch, DecodeMismatch, ReadReverted) as error:
        refusal = error.sentence
    how = standing(name, manifest, stage, (*drifts, *gauge.drifts), block, lead_s)
    if unread:
        how = replace(how, reasons=(*how.reasons, f"not read now: {unread}"))
    if refusal:
        how = replace(how, access=Access.WATCH, reasons=(*how.reasons, refusal))
    record = deployment.venues[name]
    places = tuple(
        Place(place, known, _met(known, drifts))
        for address, place in places_of(record).items()
        for known in (manifest.contract(address),)
    )
    ability = venue.ability if isinstance(venue, AbleVenue) else UNKNOWN
    return Entry(name, venue.settlement.value, how, ability, manifest, places, quotes, refusal, unread)


def _met(known: Contract, drifts: Sequence[str]) -> bool | None:
    if not known.is_expected:
        return None
    return not any(known.address in told for told in drifts)
