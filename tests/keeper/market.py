"""Two small venues on KeeperMarket: one whose orders wait for a keeper, one that fills at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from eth_abi import abi as codec
from eth_utils.crypto import keccak

from agent.errors import ReadReverted, VenueUnknown
from agent.market.instrument import Perpetual
from agent.market.intent import Action, AddCollateral, Order, Trade
from agent.market.margin import CollateralKind, MarginAccount, Prices
from agent.market.offer import Offer
from agent.market.position import Greeks, Position
from agent.market.request import Phase, Request
from agent.market.snapshot import Quote
from agent.values.address import Address, MarketId
from agent.values.amount import Token
from agent.values.block import Block
from agent.values.call import Answer, Call, Reading
from agent.values.check import Check, Term
from agent.values.fixed import WAD, mul_down, mul_up, to_float
from agent.values.log import Filter, Log
from agent.venues.venue import Settlement, Stage

FEE_WEI = 10**15
ASSET = "ETH"


def topic(signature: str) -> bytes:
    return keccak(text=signature)


REQUESTED = topic("Requested(bytes32,address,int256,uint256)")
FILLED = topic("Filled(bytes32,address,int256,uint256)")
CLOSED = topic("Closed(bytes32,address,string)")
FROZEN = topic("Frozen(bytes32,address,string)")


def call(target: Address, signature: str, *values: object, wei: int = 0, label: str = "") -> Call:
    """A call by its signature, elementary types only."""
    name, _, rest = signature.partition("(")
    types = [part for part in rest.rstrip(")").split(",") if part]
    return Call(target, topic(signature)[:4] + codec.encode(types, values), wei, label or f"market.{name}")


def words(answer: Answer, types: str) -> tuple[object, ...]:
    if not answer.ok:
        raise ReadReverted(label="market", target="market", reason="0x" + answer.data.hex())
    return tuple(codec.decode(types.split(","), answer.data))


@dataclass(frozen=True, slots=True)
class MarketOffer:
    """Any size at the market's price. ``fee_wad`` of the notional."""

    venue: str
    market: MarketId
    asset: str
    price_wad: int
    max_buy_wad: int
    max_sell_wad: int
    fee_wad: int
    carry_per_day: float = 0.0
    cash_token: Token | None = None

    def cost_wad(self, size_wad: int) -> int:
        return mul_up(mul_up(abs(size_wad), self.price_wad), self.fee_wad)

    def cash_need_wad(self, size_wad: int) -> int:
        del size_wad
        return 0

    def margin_need_wad(self, size_wad: int) -> int:
        return mul_up(abs(size_wad), self.price_wad) // 20


@dataclass(frozen=True, slots=True)
class LateOffer(MarketOffer):
    """The same, filled by a keeper."""

    wait_s: int = 0
    request_cost_wad: int = 0


@dataclass(frozen=True, slots=True)
class Margin:
    """Cash and one position; five percent of it is required."""

    venue: str
    market: MarketId
    collateral_token: Token
    cash_wad: int
    size_wad_: int
    price_wad: int
    at_s: int
    asset: str = ASSET
    collateral_kind: CollateralKind = CollateralKind.QUOTE
    price_step_wad: int = 1

    @property
    def key(self) -> str:
        return f"{self.venue}:margin"

    @property
    def collateral_wad(self) -> int:
        return self.cash_wad

    @property
    def removable_wad(self) -> int:
        spare = self.equity_wad(self.prices, self.at_s) - 2 * self.requirement_wad(self.prices, self.at_s)
        return max(0, spare)

    @property
    def prices(self) -> Prices:
        return {self.market: self.price_wad}

    def equity_wad(self, prices: Prices, at_s: int) -> int:
        del at_s
        return self.cash_wad + mul_down(self.size_wad_, prices[self.market])

    def requirement_wad(self, prices: Prices, at_s: int) -> int:
        del at_s
        return mul_up(abs(self.size_wad_), prices[self.market]) // 20

    def is_liquidatable(self, prices: Prices, at_s: int) -> bool:
        return self.equity_wad(prices, at_s) < self.requirement_wad(prices, at_s)

    def binding(self, prices: Prices, at_s: int) -> str:
        del prices, at_s
        return "maintenance"

    def traded(self, market: MarketId, size_wad: int, price_wad: int) -> Margin:
        assert market == self.market
        cash_wad = self.cash_wad - mul_up(size_wad, price_wad)
        return replace(self, cash_wad=cash_wad, size_wad_=self.size_wad_ + size_wad)


@dataclass(frozen=True, slots=True)
class State:
    """What either venue says."""

    venue: str
    quotes: tuple[Quote, ...]
    positions: tuple[Position, ...]
    margins: tuple[MarginAccount, ...]
    offers: tuple[Offer, ...]


@dataclass(frozen=True, slots=True)
class LateState(State):
    """And what waits for a keeper."""

    requests: tuple[Request, ...] = ()


@dataclass(frozen=True)
class Firm:
    """Trades at once. ``most_wad``: the largest trade."""

    address: Address
    token: Token
    most_wad: int = 1000 * WAD
    name: str = "firm"
    settlement: Settlement = Settlement.SAME_TX
    stage: Stage = Stage.OPEN

    @property
    def market(self) -> MarketId:
        return MarketId(f"{self.name}:{self.address}")

    def identify(self) -> Reading[tuple[Token, ...]]:
        yield ()
        return (self.token,)

    def read(self, account: Address, block: Block) -> Reading[State]:
        parts = yield self._questions(account)
        return self._state(parts, block)

    def _questions(self, account: Address) -> tuple[Call, ...]:
        return (
            call(self.address, "price()"),
            call(self.address, "feeWad()"),
            call(self.address, "positions(address)", account),
        )

    def _state(self, parts: Sequence[Answer], block: Block) -> State:
        (price_wad,), (fee_wad,) = words(parts[0], "uint256"), words(parts[1], "uint256")
        size_wad, cash_wad = words(parts[2], "int256,int256")
        assert isinstance(price_wad, int) and isinstance(fee_wad, int)
        assert isinstance(size_wad, int) and isinstance(cash_wad, int)
        position = Position(
            self.name,
            self.market,
            Perpetual(self.market, ASSET),
            size_wad,
            mul_down(size_wad, price_wad),
            Greeks(delta=to_float(size_wad)),
            price_wad,
        )
        return State(
            self.name,
            (Quote(self.name, self.market, ASSET, price_wad, price_wad),),
            (position,) if size_wad else (),
            (Margin(self.name, self.market, self.token, cash_wad, size_wad, price_wad, block.timestamp_s),),
            (MarketOffer(self.name, self.market, ASSET, price_wad, self.most_wad, self.most_wad, fee_wad),),
        )

    def write(self, state: State, action: Action, account: Address, deadline_s: int) -> Order:
        del deadline_s
        if isinstance(action, AddCollateral):
            return Order(
                (
                    call(self.token.address, "approve(address,uint256)", self.address, action.amount_wad),
                    call(self.address, "deposit(uint256)", action.amount_wad),
                )
            )
        if not isinstance(action, Trade):
            raise VenueUnknown(name=type(action).__name__, known="Trade")
        held = next((p.size_wad for p in state.positions), 0) + action.size_wad
        size = Term(self.address, call(self.address, "positions(address)", account).data, is_signed=True)
        order = call(self.address, "trade(int256,uint256)", action.size_wad, action.limit_price_wad)
        return Order((order,), post=(Check("size", (size,), lower=held, upper=held),))


@dataclass(frozen=True)
class Late(Firm):
    """Asks a keeper."""

    wait_s: int = 60
    name: str = "late"
    settlement: Settlement = Settlement.KEEPER

    def read(self, account: Address, block: Block) -> Reading[State]:
        first = yield (*self._questions(account), call(self.address, "openOf(address)", account))
        (keys,) = words(first[3], "bytes32[]")
        assert isinstance(keys, tuple)
        stored = yield tuple(call(self.address, "orders(bytes32)", key) for key in keys)
        state = self._state(first, block)
        (deal,) = state.offers
        late = LateOffer(
            self.name,
            self.market,
            ASSET,
            deal.price_wad,
            deal.max_buy_wad,
            deal.max_sell_wad,
            deal.fee_wad if isinstance(deal, MarketOffer) else 0,
            wait_s=self.wait_s,
            request_cost_wad=mul_up(FEE_WEI, deal.price_wad),
        )
        requests = tuple(self._stored(key, answer) for key, answer in zip(keys, stored, strict=True))
        return LateState(self.name, state.quotes, state.positions, state.margins, (late,), requests=requests)

    def _stored(self, key: bytes, answer: Answer) -> Request:
        _, size, filled, limit, at_s, frozen = words(answer, "address,int256,int256,uint256,uint64,bool")
        assert isinstance(size, int) and isinstance(filled, int) and isinstance(limit, int)
        assert isinstance(at_s, int)
        phase = Phase.FROZEN if frozen else Phase.REQUESTED
        return replace(self._request(key, size, limit, at_s), filled_wad=filled, phase=phase)

    def _request(self, key: bytes, size_wad: int, limit_wad: int, at_s: int) -> Request:
        name = "0x" + key.hex()
        return Request(self.name, name, self.market, ASSET, size_wad, limit_wad, 0, at_s, at_s + self.wait_s)

    def write(self, state: State, action: Action, account: Address, deadline_s: int) -> Order:
        if not isinstance(action, Trade):
            return super().write(state, action, account, deadline_s)
        size, limit = action.size_wad, action.limit_price_wad
        order = call(self.address, "request(int256,uint256)", size, limit, wei=FEE_WEI)
        return Order((order,))

    def events(self, account: Address) -> Filter:
        owner = bytes(12) + bytes.fromhex(account[2:])
        return Filter((self.address,), ((REQUESTED, FILLED, CLOSED, FROZEN), (), (owner,)))

    def requests(
        self, account: Address, logs: Sequence[Log], timestamps_s: Mapping[int, int]
    ) -> tuple[Request, ...]:
        born = []
        for log in logs:
            if log.topics[0] == REQUESTED and log.topics[2][12:] == bytes.fromhex(account[2:]):
                size, limit = codec.decode(["int256", "uint256"], log.data)
                request = self._request(log.topics[1], size, limit, timestamps_s[log.block_number])
                born.append(replace(request, block_number=log.block_number, tx_hash=log.tx_hash))
        return tuple(born)

    def follow(self, born: Sequence[Request], logs: Sequence[Log]) -> tuple[Request, ...]:
        return tuple(self._follow(request, logs) for request in born)

    def _follow(self, request: Request, logs: Sequence[Log]) -> Request:
        for log in logs:
            if "0x" + log.topics[1].hex() != request.key:
                continue
            if log.topics[0] == FILLED:
                size, price = codec.decode(["int256", "uint256"], log.data)
                is_all = request.filled_wad + size == request.size_wad
                request = request.executed(price) if is_all else request.filled(size, price)
            elif log.topics[0] in (CLOSED, FROZEN):
                (reason,) = codec.decode(["string"], log.data)
                request = request.ended(reason) if log.topics[0] == CLOSED else request.frozen(reason)
        return request

    def inspect(self, requests: Sequence[Request], block: Block) -> Reading[tuple[bool, ...]]:
        del block
        keys = [bytes.fromhex(request.key[2:]) for request in requests]
        answers = yield tuple(call(self.address, "orders(bytes32)", key) for key in keys)
        return tuple(bool(int.from_bytes(answer.data[:32], "big")) for answer in answers)

    def take_back(self, request: Request) -> Order:
        return Order((call(self.address, "takeBack(bytes32)", bytes.fromhex(request.key[2:])),))
