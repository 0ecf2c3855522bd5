"""A head in, one Snapshot of every venue out, all of it read at that block's hash."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from agent.chain.lens import read_all
from agent.chain.rpc import Rpc
from agent.chain.wallet import read_balances, read_tokens
from agent.errors import ChainMismatch
from agent.market.instrument import Spot
from agent.market.position import Greeks, Position
from agent.market.snapshot import Snapshot, VenueState, Wallet
from agent.values.address import Address, ChainId, MarketId
from agent.values.amount import Amount, Token
from agent.values.block import Block
from agent.values.call import Reading
from agent.values.fixed import mul_down, to_float
from agent.venues.venue import Venue


@dataclass(frozen=True, slots=True)
class Eye:
    """What is looked at: the venues, the wallet's tokens, and which tokens are the asset itself."""

    rpc: Rpc
    chain_id: ChainId
    venues: tuple[Venue[VenueState], ...]
    tokens: tuple[Token, ...] = ()
    asset_tokens: Mapping[Address, str] = field(default_factory=dict)

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
        return Eye(self.rpc, self.chain_id, self.venues, tuple(by_address.values()), self.asset_tokens)

    def see(self, account: Address, block: Block) -> Snapshot:
        """Everything at ``block``. Raises ReadUnpinned, ReadReverted or DecodeMismatch."""
        readings: list[Reading[object]] = [venue.read(account, block) for venue in self.venues]
        readings.append(read_balances(account, self.tokens))
        *states, balances = read_all(self.rpc, block, readings)
        wallet = Wallet(self.rpc.balance(account, block), tuple(_amounts(balances)))
        venues = tuple(_state(state) for state in states)
        return Snapshot(self.chain_id, account, block, wallet, venues, self._wallet_positions(wallet, venues))

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


def _amounts(value: object) -> tuple[Amount, ...]:
    if not isinstance(value, tuple):
        raise TypeError("a wallet reading returns a tuple of amounts")
    return value


def _state(value: object) -> VenueState:
    state: VenueState = value  # type: ignore[assignment]  # the reading of a venue returns its state
    return state
