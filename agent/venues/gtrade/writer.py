"""An action as orders left with gTrade's diamond, with the check that proves they were taken. Pure.

Every action is a request: an order says the worst price it may be filled at, collateral goes with what opens
or grows, and an oracle's answer fills it later or nobody does. So the check proves that the orders were
taken, and the docket follows what becomes of them.
"""

from __future__ import annotations

from agent.errors import PlanInfeasible
from agent.market.intent import Action, AddCollateral, Order, Reduce, RemoveCollateral, Trade
from agent.values.address import ZERO, Address
from agent.values.call import Call
from agent.values.check import Check, Term
from agent.values.fixed import WAD, decimal, mul_div_down, mul_div_up, rescale_down, rescale_up
from agent.venues.deployments import GtradeDeployment
from agent.venues.gtrade.fragment import ERC20, GTRADE, PENDING_ORDERS, TRADE, order_of, unit_of
from agent.venues.gtrade.margin import GtradeMargin
from agent.venues.gtrade.offer import GtradeOffer, Leg
from agent.venues.gtrade.order import expected_price
from agent.venues.gtrade.state import GtradeState

ORDER_GAS = 1_800_000
TIGHT = 1  # a thousandth of a percent: the least slippage that gTrade takes
LARGEST_SLIPPAGE = 65_535
STEP = 1  # a thousandth of leverage
IS_OPEN_WORD = 17  # of ``getPendingOrder``'s answer: after the trade's fifteen, its owner and its number
SLIPPAGE = 100_000


def write(gtrade: GtradeDeployment, state: GtradeState, action: Action, account: Address) -> Order:
    """Calls and checks of one action. Raises VenueUnknown for a market or trade that is not there,
    PlanInfeasible for an action that cannot be asked for now.
    """
    desk = _Desk(gtrade, state, account)
    if state.is_paused:
        raise PlanInfeasible(conflicts="gTrade is paused: it takes no orders")
    if isinstance(action, Trade):
        desk.trade(action)
    elif isinstance(action, Reduce):
        desk.reduce(action)
    elif isinstance(action, AddCollateral):
        desk.add(action)
    else:
        desk.remove(action)
    return desk.order()


def take_back(gtrade: GtradeDeployment, key: str) -> Order:
    """The call that cancels an order that timed out; the check is that it is open no more."""
    owner, index = order_of(key)
    diamond = Address(gtrade.diamond)
    call = GTRADE["cancelOrderAfterTimeout"].at(diamond, index, gas_hint=ORDER_GAS)
    gone = Term(diamond, GTRADE["getPendingOrder"].encode((owner, index)), word=IS_OPEN_WORD)
    return Order(calls=(call,), post=(Check(f"gtrade order {index} is gone", (gone,), upper=0),))


class _Desk:
    """Gathers the orders of one action. One use."""

    def __init__(self, gtrade: GtradeDeployment, state: GtradeState, account: Address) -> None:
        self._gtrade, self._state, self._account = gtrade, state, account
        self._calls: list[Call] = []
        self._placed = 0

    def order(self) -> Order:
        """All of it, and that the diamond has then numbered as many orders of ours more: no number is given
        twice, so a fill in the same block takes none back. Other actions of the batch may have left more.
        """
        counter = GTRADE["getCounters"].encode(self._account, PENDING_ORDERS)
        term = Term(Address(self._gtrade.diamond), counter)
        last = self._state.next_order + self._placed
        return Order(calls=tuple(self._calls), post=(Check("gtrade orders", (term,), lower=last),))

    def trade(self, action: Trade) -> None:
        offer = self._state.offer(action.market)
        legs = offer.legs(action.size_wad)
        if not legs:
            raise PlanInfeasible(conflicts=f"{action.market} trades {decimal(action.size_wad)}: nothing")
        for leg in legs:
            self._leg(offer, leg, action.limit_price_wad)

    def reduce(self, action: Reduce) -> None:
        margin = self._state.margin(action.key)
        offer = self._state.offer(margin.market).only(margin)
        size_wad = min(action.size_wad, abs(margin.size_wad(margin.market)))
        if size_wad == 0:
            raise PlanInfeasible(conflicts=f"{action.key} holds nothing to reduce")
        price = mul_div_down(action.max_cost_wad, WAD, size_wad)
        # a long is sold for no less below its mark than ``max_cost_wad`` stands above it
        is_long = margin.held.is_long
        limit_wad = max(1, 2 * offer.price_wad - price) if is_long else price
        (leg,) = offer.legs(-size_wad if is_long else size_wad)
        self._leg(offer, leg, limit_wad)

    def add(self, action: AddCollateral) -> None:
        margin = self._state.margin(action.key)
        amount = rescale_up(action.amount_wad, 18, margin.token.decimals)
        if amount <= 0:
            raise PlanInfeasible(conflicts=f"paying {decimal(action.amount_wad)} into {action.key}")
        leverage, collateral = margin.stepped(amount)
        if leverage < margin.pair.min_leverage:
            raise PlanInfeasible(
                conflicts=f"{action.key} with {decimal(action.amount_wad)} more would be below the leverage "
                f"that gTrade takes"
            )
        self._update(margin, leverage, collateral - margin.held.collateral)

    def remove(self, action: RemoveCollateral) -> None:
        margin = self._state.margin(action.key)
        amount = rescale_down(action.amount_wad, 18, margin.token.decimals)
        if amount <= 0 or action.amount_wad > margin.removable_wad:
            raise PlanInfeasible(
                conflicts=f"taking {decimal(action.amount_wad)} {margin.token.symbol} out of {action.key}, "
                f"of which {decimal(margin.removable_wad)} are free"
            )
        leverage, _ = margin.stepped(-amount)
        self._update(margin, leverage, 0)

    def _update(self, margin: GtradeMargin, leverage: int, pays: int) -> None:
        if leverage == margin.held.leverage:
            raise PlanInfeasible(conflicts=f"{margin.key}: less than the smallest step of its leverage")
        self._approve(pays)
        self._ask(margin, "updateLeverage", margin.held.index, leverage)

    def _leg(self, offer: GtradeOffer, leg: Leg, limit_wad: int) -> None:
        """``limit_wad`` is an average with fees in; gTrade's bound is the price without them."""
        fee_wad = mul_div_up(offer.fee_of(leg) * offer.pair.money.delta, WAD, leg.size_wad)
        limit_wad += -fee_wad if leg.buys else fee_wad
        if unit_of(limit_wad) <= 0:
            raise PlanInfeasible(conflicts=f"{offer.market} at {decimal(limit_wad)}: the fee alone is more")
        if leg.is_close and leg.margin is not None:
            self._close(leg, leg.margin, limit_wad)
        else:
            self._open(offer, leg, limit_wad)

    def _close(self, leg: Leg, margin: GtradeMargin, limit_wad: int) -> None:
        held = margin.held
        price = expected_price(limit_wad, held.slippage, buys=leg.buys)
        if leg.collateral >= held.collateral:
            self._ask(margin, "closeTradeMarket", held.index, price)
        elif leg.collateral == 0:
            raise PlanInfeasible(conflicts=f"{margin.key}: {decimal(leg.size_wad)} is too little to close")
        else:
            self._ask(margin, "decreasePositionSize", held.index, leg.collateral, 0, price)

    def _open(self, offer: GtradeOffer, leg: Leg, limit_wad: int) -> None:
        # The price is named at what the fill is expected at, and the slippage is what is left to the limit.
        price = offer.fill_price(leg.size_wad, buys=leg.buys)
        limit = unit_of(limit_wad)
        room = limit - price if leg.buys else price - limit
        slippage = min(LARGEST_SLIPPAGE, room * SLIPPAGE // price)
        if slippage < TIGHT:
            raise PlanInfeasible(
                conflicts=f"{offer.market} at {decimal(limit_wad)}: a fill is expected at "
                f"{decimal(price, 10)} before fees"
            )
        if leg.collateral > self._state.balance:
            raise PlanInfeasible(
                conflicts=f"{offer.market} takes {decimal(leg.collateral, self._state.token.decimals)} "
                f"{self._state.token.symbol}, more than there is"
            )
        if leg.margin is not None:
            # one step more than its leverage: the contract rounds the new leverage down, to just the old
            arguments = (leg.margin.held.index, leg.collateral, leg.leverage + STEP, price, slippage)
            self._approve(leg.collateral)
            self._ask(leg.margin, "increasePositionSize", *arguments)
            return
        if leg.collateral < offer.pair.least_collateral:
            raise PlanInfeasible(
                conflicts=f"{offer.market} opens nothing with less than "
                f"{decimal(offer.pair.least_collateral, self._state.token.decimals)} of collateral"
            )
        trade = (
            *(self._account, 0, offer.pair.index, leg.leverage, leg.buys, True),
            *(self._gtrade.collateral_index, TRADE, leg.collateral, price, 0, 0, False, 0, 0),
        )
        self._approve(leg.collateral)
        self._ask(None, "openTrade", trade, slippage, ZERO)

    def _approve(self, amount: int) -> None:
        if amount and self._state.allowance < 2**255:
            # exactly, and right before its use: orders of one batch cannot eat each other's allowance
            token, diamond = self._state.token.address, Address(self._gtrade.diamond)
            self._calls.append(ERC20["approve"].at(token, diamond, amount, gas_hint=80_000))

    def _ask(self, margin: GtradeMargin | None, function: str, *arguments: object) -> None:
        if margin is not None:
            waiting = [one.index for one in self._state.orders if one.trade == margin.held.index and one.kind]
            if waiting:
                raise PlanInfeasible(
                    conflicts=f"order {waiting[0]} of {margin.key} waits: gTrade takes one at a time"
                )
        call = GTRADE[function].at(Address(self._gtrade.diamond), *arguments, gas_hint=ORDER_GAS)
        self._calls.append(call)
        self._placed += 1
