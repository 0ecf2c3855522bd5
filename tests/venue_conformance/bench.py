"""What a venue brings along to be judged: its contracts on a chain, one account, and the contracts' own word.

A venue joins by a module in `benches/` that has

    NEEDS = ""            what is missing here, in a sentence ("set GMX_DEPLOYMENTS to ..."); "" if nothing is
    def bench(street: Street) -> AbstractContextManager[Bench]: ...

The suite (`test_venue.py`) finds the module by itself and rolls the chain back after every test. Whatever a
bench says of the contracts it must have from them (views, events, storage), by arithmetic of its own: never
from the venue's code, which is what is judged.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from agent.market.intent import Action, Order, Trade
from agent.market.margin import MarginAccount, Prices
from agent.market.offer import Offer
from agent.market.position import Position
from agent.market.snapshot import Quote, VenueState
from agent.sim.localnet import Localnet
from agent.sim.node import Node
from agent.sim.toolchain import Toolchain
from agent.values.address import Address, MarketId
from agent.venues.deployments import Deployment

Log = Mapping[str, object]  # as the node words it


@dataclass(frozen=True)
class Street:
    """What a bench can be built on: the toolchain, and the seeded local chain if it asks for that."""

    toolchain: Toolchain
    find_localnet: Callable[[], Localnet]

    @property
    def localnet(self) -> Localnet:
        """Curie, Lyra and Uniswap with the book; shared, and found as it was seeded."""
        return self.find_localnet()


@dataclass(frozen=True)
class Impostor:
    """A deployment that is wrong in one thing: ``what`` in words, ``word`` is in the refusal."""

    what: str
    deployment: Deployment
    word: str


@dataclass(frozen=True)
class Done:
    """What carrying out an order left behind: the events of all its transactions, the keeper's included.
    ``by_keeper``: a keeper has filled it since, so that its own checks, of what waits, hold no longer.
    """

    logs: tuple[Log, ...] = field(default=())
    by_keeper: bool = False


class Bench(Protocol):
    """One venue on a running chain. Sizes, prices and amounts are wads of the house: asset units, quote per
    asset unit, token amounts at 18 decimals; > 0 is long, is bought, is paid.
    """

    @property
    def name(self) -> str:
        """The venue's name, as `Venue.name`."""
        ...

    @property
    def node(self) -> Node: ...

    @property
    def deployment(self) -> Deployment:
        """Of this chain, as the agent loads it. It names this venue, and may name others."""
        ...

    @property
    def account(self) -> Address:
        """Holds a position at least, is healthy, and can pay for what `actions` asks. It may have code."""
        ...

    # --- what the contracts say, at the newest block ---------------------------------------------------

    def price_of(self, quote: Quote) -> int:
        """The oracle price, wad."""
        ...

    def size_of(self, position: Position) -> int:
        """The signed size of the position (liquidity: L)."""
        ...

    def collateral_of(self, margin: MarginAccount) -> int:
        """What is posted, at 18 decimals of the collateral token."""
        ...

    def standing_of(self, margin: MarginAccount) -> tuple[int, int] | None:
        """Equity and requirement as the contracts count them, wads of the collateral token; None if no
        contract tells them. Only their difference and its sign count if the contract tells but that:
        then (difference, 0).
        """
        ...

    def judge(self, margin: MarginAccount, prices: Sequence[Prices]) -> list[bool]:
        """Whether the contracts would liquidate the account now if the markets named were at those prices and
        all others where they are: their own predicate, of the newest block's state and second.
        """
        ...

    # --- moving the world --------------------------------------------------------------------------------

    def move(self, market: MarketId, ratio_wad: int) -> None:
        """Move the venue's prices of that market to about so much of the present."""
        ...

    def wait(self, seconds: int) -> None:
        """Let so many seconds pass at the present prices; whatever has to be said again to be fresh is."""
        ...

    # --- doing ------------------------------------------------------------------------------------

    def offers(self, state: VenueState) -> Sequence[Offer]:
        """What can be traded: ``state.offers``, and what a venue of keepers quotes without offering it to the
        planner.
        """
        ...

    def actions(self, state: VenueState) -> Sequence[Action]:
        """Of each kind the venue can write, one that is possible now: a purchase and a sale if it has offers,
        collateral in and out, a reduction.
        """
        ...

    def carry_out(self, order: Order) -> Done:
        """Send the order's calls as the account. At a venue of keepers, the keeper then does its part, at the
        prices of the moment. Raises TransactionReverted.
        """
        ...

    def paid_wad(self, trade: Trade, done: Done) -> int:
        """Quote paid for it with all fees (< 0: received), from the contracts' record of it."""
        ...

    def slack_wad(self, trade: Trade) -> tuple[int, int]:
        """By how much `paid_wad` may be less, and more, than what the offer said a block before: the venue's
        stated bound (docs/venues/<name>.md). (0, 0) where it is exact.
        """
        ...

    # Two more where they are needed, and not at all elsewhere:
    #   foretold_slack_wad(trade) -> (size, money)   by how much the account may differ from what it foretells
    #   brought_wad(done) -> int                     collateral that travelled with a trade, from the wallet

    # --- what is not the venue ----------------------------------------------------------------------

    def impostors(self) -> Sequence[Impostor]:
        """Deployments wrong in one thing each, a market's identity among them: each must be refused."""
        ...
