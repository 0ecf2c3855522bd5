"""A head in, one Snapshot of every venue out, all of it read at that block's hash."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from agent.chain.lens import read_all
from agent.chain.rpc import Rpc
from agent.chain.wallet import read_balances, read_tokens
from agent.errors import (
    ChainMismatch,
    ContractMismatch,
    DecodeMismatch,
    EvenkeelError,
    ReadReverted,
    RpcRejected,
)
from agent.market.instrument import Spot
from agent.market.position import Greeks, Position
from agent.market.snapshot import Snapshot, VenueState, Wallet
from agent.market.standing import Standing
from agent.values.address import ZERO, Address, ChainId, MarketId
from agent.values.amount import Amount, Token
from agent.values.block import Block
from agent.values.call import Reading
from agent.values.fixed import mul_down, to_float
from agent.venues.manifest import Manifest
from agent.venues.venue import Venue, told_stage
from agent.venues.watch import Drifts, Gauge, Watch, standing

NOTHING = Watch()  # nothing is expected
UNKNOWN = Manifest()  # nothing is known
UNREADABLE = (ReadReverted, DecodeMismatch, ContractMismatch)


@dataclass(frozen=True, slots=True)
class _Unread:
    """Why a venue's reading came to nothing."""

    error: EvenkeelError


@dataclass(frozen=True, slots=True)
class Eye:
    """What is looked at: the venues, the wallet's tokens, and which tokens are the asset itself.

    ``watch`` and ``manifests``: what is known of the venues' contracts; ``lead_s``: how long before a venue
    ends nothing new is begun there. ``memory``: of each venue and account the last state and its block, for
    when the venue's contracts have become others that cannot be read.
    """

    rpc: Rpc
    chain_id: ChainId
    venues: tuple[Venue[VenueState], ...]
    tokens: tuple[Token, ...] = ()
    asset_tokens: Mapping[Address, str] = field(default_factory=dict)
    watch: Watch = NOTHING
    manifests: Mapping[str, Manifest] = field(default_factory=dict)
    lead_s: int = 0
    memory: dict[tuple[str, Address], tuple[int, VenueState]] = field(default_factory=dict, compare=False)

    def identified(self, block: Block) -> Eye:
        """The same eye after every contract has proved to be its protocol's; knows the tokens then.

        Raises ChainMismatch when the node serves another chain, ContractMismatch when a contract is not
        what the deployment says.
        """
        actual = self.rpc.chain_id()
        if actual != self.chain_id:
            raise ChainMismatch(endpoint=self.rpc.endpoint, actual=actual, expected=self.chain_id)
        named = read_all(self.rpc, block, [venue.identify() for venue in self.venues])
        by_address = {token.address: token for tokens in named for token in tokens}
        missing = [address for address in self.asset_tokens if address not in by_address]
        for token in read_all(self.rpc, block, [read_tokens(missing)])[0] if missing else ():
            by_address[token.address] = token
        return replace(self, tokens=tuple(by_address.values()), watch=answerable(self.rpc, self.watch, block))

    def see(self, account: Address, block: Block) -> Snapshot:
        """Everything at ``block``. Raises ReadUnpinned, ReadReverted or DecodeMismatch."""
        gauges = {name: Gauge(dict(one.words)) for name, one in self.manifests.items() if one.words}
        readings: list[Reading[object]] = [
            _caught(
                gauges[venue.name].measured(venue.read(account, block))
                if venue.name in gauges
                else venue.read(account, block)
            )
            for venue in self.venues
        ]
        readings += [read_balances(account, self.tokens), self.watch.look(account)]
        *states, balances, found = read_all(self.rpc, block, readings)
        drifts = {name: list(told) for name, told in _drifts(found).items()}
        for name, gauge in gauges.items():
            drifts.setdefault(name, []).extend(gauge.drifts)
        venues = tuple(
            self._state(venue.name, state, drifts.get(venue.name, []), account, block)
            for venue, state in zip(self.venues, states, strict=True)
        )
        wallet = Wallet(self.rpc.balance(account, block), tuple(_amounts(balances)))
        standings = self._standings(venues, drifts, block)
        spots = self._wallet_positions(wallet, venues)
        return Snapshot(self.chain_id, account, block, wallet, venues, spots, standings)

    def _state(
        self, name: str, read: object, drifts: list[str], account: Address, block: Block
    ) -> VenueState:
        """What was read; of contracts that have become others and cannot be read, what was read last.

        Raises what the reading raised, where it says nothing about other contracts or nothing is remembered.
        """
        if not isinstance(read, _Unread):
            state = _state(read)
            self.memory[(name, account)] = (block.number, state)
            return state
        if not drifts or (name, account) not in self.memory:
            raise read.error
        number, state = self.memory[(name, account)]
        drifts.append(f"it cannot be read ({read.error.sentence}) and is as it was at block {number}")
        return state

    def _standings(
        self, states: Sequence[VenueState], drifts: Mapping[str, Sequence[str]], block: Block
    ) -> tuple[Standing, ...]:
        """How each venue stands at this block."""
        found = []
        for venue, state in zip(self.venues, states, strict=True):
            name = venue.name
            manifest = self.manifests.get(name, UNKNOWN)
            told = told_stage(venue, state)
            found.append(standing(name, manifest, told, drifts.get(name, ()), block, self.lead_s))
        return tuple(found)

    def _wallet_positions(self, wallet: Wallet, venues: Sequence[VenueState]) -> tuple[Position, ...]:
        """Tokens of the wallet that are the asset itself carry delta one."""
        index = {quote.asset: quote.index_wad for state in reversed(venues) for quote in state.quotes}
        return tuple(
            _spot(amount, self.asset_tokens[amount.token.address], index)
            for amount in wallet.balances
            if amount.token.address in self.asset_tokens and amount.raw > 0
        )


def _spot(amount: Amount, asset: str, index: Mapping[str, int]) -> Position:
    price = index.get(asset, 0)
    market = MarketId(f"wallet:{amount.token.address}")
    return Position(
        venue="wallet",
        key=market,
        instrument=Spot(market, asset),
        size_wad=amount.wad,
        value_wad=mul_down(amount.wad, price),
        greeks=Greeks(delta=to_float(amount.wad)),
        mark_wad=price,
    )


def answerable(rpc: Rpc, watch: Watch, block: Block) -> Watch:
    """The watch in the way that the node can answer it."""
    try:
        read_all(rpc, block, [watch.look(ZERO)])
    except RpcRejected:
        return replace(watch, one_by_one=True)
    return watch


def _caught(reading: Reading[object]) -> Reading[object]:
    """The same, with a refusal of the contracts as its result: one venue's is not the others'."""
    try:
        return (yield from reading)
    except UNREADABLE as error:
        return _Unread(error)


def _drifts(value: object) -> Drifts:
    if not isinstance(value, dict):
        raise TypeError("a watch returns what differs by venue")
    return value


def _amounts(value: object) -> tuple[Amount, ...]:
    if not isinstance(value, tuple):
        raise TypeError("a wallet reading returns a tuple of amounts")
    return value


def _state(value: object) -> VenueState:
    state: VenueState = value  # type: ignore[assignment]  # the reading of a venue returns its state
    return state
