"""An action as orders left with GMX's router, with the check that proves they were taken. Pure.

Every action is a request: the collateral and the keeper's fee go to the vault, the order says the worst price
it may be filled at and what must come out, and a keeper fills it later or nobody does. So the check proves
the order alone, and the docket follows what becomes of it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from agent.errors import PlanInfeasible
from agent.market.intent import Action, AddCollateral, Order, Reduce, RemoveCollateral, Trade
from agent.values.address import ZERO, Address
from agent.values.amount import Token
from agent.values.call import Call
from agent.values.check import Check, Term
from agent.values.fixed import WAD, decimal, div_up, mul_div_down, rescale_down, rescale_up
from agent.venues.deployments import GmxDeployment
from agent.venues.gmx.fragment import ERC20, GMX, MARKET_DECREASE, MARKET_INCREASE, MARKET_ORDERS
from agent.venues.gmx.key import key_of
from agent.venues.gmx.offer import GmxOffer, Leg, acceptable
from agent.venues.gmx.order import MAX_UINT, Placed, words_of
from agent.venues.gmx.state import GmxState

OUTPUT_PPM = 980_000  # of a withdrawal's worth must come out: its price may move before a keeper acts
PPM = 1_000_000
NO_REFERRAL = bytes(32)
CREATE_GAS, TRANSFER_GAS = 1_500_000, 400_000


def write(gmx: GmxDeployment, state: GmxState, action: Action, account: Address) -> Order:
    """Calls and checks of one action. Raises VenueUnknown for a market or position that is not there,
    PlanInfeasible for an action that cannot be asked for now.
    """
    desk = _Desk(gmx, state, account)
    if isinstance(action, Trade):
        desk.trade(action)
    elif isinstance(action, Reduce):
        desk.reduce(action)
    elif isinstance(action, AddCollateral):
        desk.add(action)
    else:
        desk.remove(action)
    return desk.order()


def take_back(gmx: GmxDeployment, key: bytes) -> Order:
    """The call that cancels an order; the check is that the store no longer has it."""
    call = GMX["cancelOrder"].at(Address(gmx.exchange_router), key, gas_hint=CREATE_GAS)
    gone = Term(Address(gmx.data_store), GMX["containsBytes32"].encode(key_of("ORDER_LIST"), key))
    return Order(calls=(call,), post=(Check(f"gmx order 0x{key.hex()[:8]} is gone", (gone,), upper=0),))


@dataclass(frozen=True, slots=True)
class Revision:
    """What an order is to say instead: dollars at 30 decimals, prices per smallest unit of the index token,
    ``least`` of what must come out. ``fee_wei`` goes to the keeper on top: a frozen order has lost of it.
    """

    size_usd: int
    acceptable: int
    trigger: int
    least: int = 0
    valid_from_s: int = 0
    fee_wei: int = 0


def revise(gmx: GmxDeployment, placed: Placed, revision: Revision) -> Order:
    """The call that changes an order in place and thaws it; the check is that the store still has it.

    For orders that wait for a price. GMX does not change market orders: they are taken back and asked for
    again, and this raises PlanInfeasible (``OrderHandler.updateOrder``).
    """
    name = f"gmx order 0x{placed.key.hex()[:8]}"
    if placed.kind in MARKET_ORDERS:
        raise PlanInfeasible(conflicts=f"{name} is a market order, which GMX does not change: take it back")
    values = (revision.size_usd, revision.acceptable, revision.trigger, revision.least, revision.valid_from_s)
    parts = [GMX["updateOrder"].encode(placed.key, *values, False)]
    if revision.fee_wei:
        parts.insert(0, GMX["sendWnt"].encode(Address(gmx.order_vault), revision.fee_wei))
    call = Call(
        Address(gmx.exchange_router),
        GMX["multicall"].encode(tuple(parts)),
        value_wei=revision.fee_wei,
        label="gmx.updateOrder",
        gas_hint=CREATE_GAS,
    )
    there = Term(Address(gmx.data_store), GMX["containsBytes32"].encode(key_of("ORDER_LIST"), placed.key))
    return Order(calls=(call,), post=(Check(f"{name} is there", (there,), lower=1, upper=1),))


class _Desk:
    """Gathers the orders of one action. One use."""

    def __init__(self, gmx: GmxDeployment, state: GmxState, account: Address) -> None:
        self._gmx, self._state, self._account = gmx, state, account
        self._calls: list[Call] = []
        self._placed = 0

    def order(self) -> Order:
        """All of it, and that the store then has so many orders of ours at least: in the same plan others may
        be asked for or taken back, and in the same block a keeper may fill what was asked before.
        """
        key = key_of("ACCOUNT_ORDER_LIST", self._account)
        count = Term(Address(self._gmx.data_store), GMX["getBytes32Count"].encode(key))
        return Order(
            calls=tuple(self._calls),
            post=(Check("gmx orders", (count,), lower=self._placed),),
        )

    def trade(self, action: Trade) -> None:
        offer = self._offer(action.market)
        legs = offer.legs(action.size_wad)
        if not legs:
            raise PlanInfeasible(conflicts=f"{action.market} trades {decimal(action.size_wad)}: nothing")
        for leg in legs:
            self._leg(offer, leg, action.limit_price_wad)

    def reduce(self, action: Reduce) -> None:
        margin = self._state.margin(action.key)
        offer = self._offer(margin.tokens[0].market)
        held, mark = margin.held, offer.price_wad
        size_wad = min(action.size_wad, abs(margin.size_wad(offer.market)))
        if size_wad == 0:
            raise PlanInfeasible(conflicts=f"{action.key} holds nothing to reduce")
        price = mul_div_down(action.max_cost_wad, WAD, size_wad)
        # a long is sold for no less below its mark than ``max_cost_wad`` stands above it
        limit_wad = max(1, 2 * mark - price) if held.is_long else price
        (leg,) = replace(offer, held=(margin,)).legs(-size_wad if held.is_long else size_wad)
        self._leg(offer, leg, limit_wad)

    def add(self, action: AddCollateral) -> None:
        margin = self._state.margin(action.key)
        amount = rescale_up(action.amount_wad, 18, margin.token.decimals)
        if amount <= 0:
            raise PlanInfeasible(conflicts=f"paying {decimal(action.amount_wad)} into {action.key}")
        self._ask(
            margin.market.token,
            margin.token,
            amount=amount,
            size_usd=0,
            price=MAX_UINT if margin.held.is_long else 0,
            is_long=margin.held.is_long,
            is_increase=True,
            least=amount,
            words=words_of(0, 0),
        )

    def remove(self, action: RemoveCollateral) -> None:
        margin = self._state.margin(action.key)
        amount = rescale_down(action.amount_wad, 18, margin.token.decimals)
        if amount <= 0 or action.amount_wad > margin.removable_wad:
            raise PlanInfeasible(
                conflicts=f"taking {decimal(action.amount_wad)} {margin.token.symbol} out of {action.key}, "
                f"of which {decimal(margin.removable_wad)} are free"
            )
        price = margin.collateral_price.low
        self._ask(
            margin.market.token,
            margin.token,
            amount=amount,
            size_usd=0,
            price=0 if margin.held.is_long else MAX_UINT,
            is_long=margin.held.is_long,
            is_increase=False,
            least=amount * price * OUTPUT_PPM // PPM,
            words=words_of(0, 0),
        )

    def _leg(self, offer: GmxOffer, leg: Leg, limit_wad: int) -> None:
        buys = leg.is_long is leg.is_increase
        fee = max(offer.view.fees.position)
        price = acceptable(limit_wad, fee, offer.decimals, buys=buys)
        if price <= 0:
            raise PlanInfeasible(conflicts=f"{offer.market} at {decimal(limit_wad)}: the fee alone is more")
        size_wad = rescale_down(leg.tokens, offer.decimals, 18)
        words = words_of(size_wad if buys else -size_wad, limit_wad)
        if leg.margin is not None:
            self._ask(
                offer.view.token,
                leg.margin.token,
                amount=0,
                size_usd=leg.size_usd,
                price=price,
                is_long=leg.is_long,
                is_increase=False,
                least=0,
                words=words,
            )
            return
        token, unit = self._collateral(offer, is_long=leg.is_long)
        amount = div_up(offer.collateral_usd(leg.size_usd), unit)
        self._ask(
            offer.view.token,
            token,
            amount=amount,
            size_usd=leg.size_usd,
            price=price,
            is_long=leg.is_long,
            is_increase=True,
            least=amount,
            words=words,
        )

    def _collateral(self, offer: GmxOffer, *, is_long: bool) -> tuple[Token, int]:
        """(the token that backs more of a side, its price): what is held there, or else the short token."""
        held = [margin for margin in offer.held if margin.held.is_long is is_long]
        if held:
            largest = max(held, key=lambda margin: margin.held.size_usd)
            return largest.token, largest.collateral_price.low
        return self._state.purse(offer.view.short_token).token, offer.prices.short.low

    def _offer(self, market: str) -> GmxOffer:
        view = self._state.view(market)
        for offer in self._state.offers:
            if offer.market == market:
                return offer
        raise PlanInfeasible(conflicts=f"{view.index.market} is disabled")

    def _ask(
        self,
        market: Address,
        token: Token,
        *,
        amount: int,
        size_usd: int,
        price: int,
        is_long: bool,
        is_increase: bool,
        least: int,
        words: tuple[bytes, ...],
    ) -> None:
        """One order. ``amount``: of collateral, in with an increase or out with a decrease."""
        gmx, account, vault = self._gmx, self._account, Address(self._gmx.order_vault)
        fee_wei = self._state.execution.fee_wei(is_increase=is_increase)
        parameters = (
            (account, account, ZERO, ZERO, market, token.address, ()),
            (size_usd, 0 if is_increase else amount, 0, price, fee_wei, 0, least, 0),
            MARKET_INCREASE if is_increase else MARKET_DECREASE,
            0,  # no swap of what comes out
            is_long,
            False,  # no unwrapping: the account is accounted for in tokens
            False,
            NO_REFERRAL,
            words,
        )
        parts = [GMX["sendWnt"].encode(vault, fee_wei)]
        if is_increase and amount:
            parts.append(GMX["sendTokens"].encode(token.address, vault, amount))
            if self._state.purse(token.address).allowance < MAX_UINT // 2:
                # exactly, and right before its use: orders of one batch cannot eat each other's allowance
                self._calls.append(
                    ERC20["approve"].at(token.address, Address(gmx.router), amount, gas_hint=80_000)
                )
        parts.append(GMX["createOrder"].encode(parameters))
        data = GMX["multicall"].encode(tuple(parts))
        self._calls.append(
            Call(
                Address(gmx.exchange_router),
                data,
                value_wei=fee_wei,
                label="gmx.createOrder",
                gas_hint=CREATE_GAS + TRANSFER_GAS * bool(amount and is_increase),
            )
        )
        self._placed += 1
