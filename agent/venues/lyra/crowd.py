"""All shorts of a Lyra market at once: `agent.venues.lyra.margin` over arrays.

An account is a position: each short has its own collateral. Longs owe nothing and have no requirement. The
minimum collateral is Black-Scholes at shocked price and volatility; deltas are at the market's volatility.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt

from agent.chain.column import SUBJECT, Column
from agent.chain.question import Question, Reply, Row, ask
from agent.market.instrument import OptionKind
from agent.pricing import black, plain
from agent.risk.crowd import Flags, Floats, Rows, Way
from agent.values.address import Address, MarketId
from agent.values.call import Reading
from agent.values.fixed import WAD, to_float
from agent.values.log import Filter, Log
from agent.venues.crowd import Sight, Verdict
from agent.venues.deployments import LyraDeployment
from agent.venues.lyra import identity
from agent.venues.lyra.fragment import LYRA
from agent.venues.lyra.margin import NOTIONAL_CAP, SHOCKED_PRICE, STATIC_FLOOR, CollateralTerms, OptionType

ACTIVE = 1  # OptionToken.PositionState
NOISE = 1e-10  # of price and strike: the contract's own approximations, and the floats here
ROUNDING = 1e-15
FIELDS = 6  # of an option position

_TOPICS = {
    bytes.fromhex(LYRA.events[name].topic[2:]): place
    for name, place in (("Transfer", 3), ("PositionUpdated", 1))
}


@dataclass(frozen=True, slots=True)
class Listed:
    """One strike of a live board."""

    strike_wad: int
    expiry_s: int
    vol: float


@dataclass(frozen=True, slots=True)
class Market:
    """What all positions share at one block."""

    at_s: int
    spot_wad: int
    terms: CollateralTerms
    strikes: Mapping[int, Listed]


@dataclass(frozen=True)
class Held:
    """[rows, FIELDS] as ``getOptionPosition`` says them, amounts in whole tokens; nan where it reverts."""

    subjects: tuple[int, ...]
    positions: Floats
    market: Market


@dataclass(frozen=True, slots=True)
class LyraCrowd:
    """One option market's positions, as `agent.venues.crowd.CrowdVenue`."""

    deployment: LyraDeployment
    name: str = "lyra"
    unit: str = "each position's collateral"

    @property
    def homes(self) -> tuple[Address, ...]:
        """The contract whose events tell of positions."""
        return (Address(self.deployment.option_token),)

    def identify(self) -> Reading[object]:
        """The contracts name each other as configured, or ContractMismatch is raised."""
        return identity.identify(self.deployment)

    def events(self) -> Filter:
        """Every transfer and update of a position."""
        return Filter(self.homes, (tuple(_TOPICS),))

    def introduced(self, log: Log) -> tuple[int, ...]:
        """The position, by its number."""
        return self.touched(log)

    def touched(self, log: Log) -> tuple[int, ...]:
        """The position, by its number."""
        place = _TOPICS.get(log.topics[0]) if log.topics else None
        return (int.from_bytes(log.topics[place], "big"),) if place is not None else ()

    def account(self, subject: int) -> str:
        """As its key in a book."""
        return f"lyra:{subject}"

    def take(self, sight: Sight, subjects: Sequence[int], before: Held | None, stale: Flags) -> Held:
        """See `CrowdVenue.take`."""
        known = 0 if before is None else len(before.subjects)
        rows = [int(row) for row in np.flatnonzero(stale | (np.arange(len(subjects)) >= known))]
        market = sight.read(_market(self.deployment, sight.block.timestamp_s))
        position = Column(
            Address(self.deployment.option_token), LYRA["getOptionPosition"], (SUBJECT,), FIELDS
        )
        table = sight.table([position], [subjects[row] for row in rows])
        positions = np.zeros((len(subjects), FIELDS))
        if before is not None:
            positions[:known] = before.positions
        for field in range(FIELDS):
            scale = WAD if field in (3, 4) else 1
            positions[rows, field] = table.unsigned(0, field) / scale
        return Held(tuple(subjects), positions, market)

    def differing(self, kept: Held, fresh: Held) -> Flags:
        """Rows that were changed without an event that names them."""
        unlike = kept.positions != fresh.positions[: len(kept.positions)]
        both_unknown = np.isnan(kept.positions) & np.isnan(fresh.positions[: len(kept.positions)])
        found: Flags = (unlike & ~both_unknown).any(axis=1)
        return found

    def crowd(self, held: Held) -> Shorts:
        """As functions of the price."""
        return _shorts(self.deployment, held)

    def verdicts(self, sight: Sight, subjects: Sequence[int]) -> list[Verdict | None]:
        """``getMinCollateral`` and ``canLiquidate``, which revert from expiry on."""
        return sight.read(_verdicts(self.deployment, sight.block.timestamp_s, subjects))


@dataclass(frozen=True)
class Shorts:
    """Positions as `agent.risk.crowd.Crowd`. ``is_base``: counted in units of the asset."""

    equity: Floats
    requirement: Floats
    slack: Floats
    bends: Floats
    leading: npt.NDArray[np.intp]
    prices: Floats
    sizes: Floats
    deltas: Floats
    markets: tuple[MarketId, ...]
    market_assets: tuple[str, ...]
    assets: tuple[str, ...]
    live: Flags  # short, active and not expired
    kinds: npt.NDArray[np.intp]
    strikes: Floats
    times_s: Floats
    vols: Floats
    terms: CollateralTerms
    spot: float

    def headroom(self, ratios: Floats, rows: Rows, way: Way) -> Floats:
        """See `agent.risk.crowd.Crowd`; there is but one price."""
        del way
        shocked, floor, cap = self.parts(ratios, rows)
        return self.equity[rows] - np.where(self.live[rows], np.minimum(np.maximum(shocked, floor), cap), 0.0)

    def parts(self, ratios: Floats, rows: Rows) -> tuple[Floats, Floats, Floats]:
        """Shocked premium, floor and cap: ``OptionGreekCache.getMinCollateral``."""
        kinds, amounts, strikes = self.kinds[rows], -self.sizes[rows], self.strikes[rows]
        is_put, is_base = kinds == OptionType.SHORT_PUT_QUOTE, kinds == OptionType.SHORT_CALL_BASE
        terms = self.terms
        shocks = np.where(is_put, to_float(terms.put_shock_wad), to_float(terms.call_shock_wad))
        shocked_spot = self.spot * ratios * shocks
        premiums = np.zeros(len(rows))
        for kind, chosen in ((OptionKind.PUT, is_put), (OptionKind.CALL, ~is_put)):
            at = np.flatnonzero(chosen & self.live[rows])
            if len(at):
                picked = rows[at]
                premiums[at] = black.price(
                    kind,
                    shocked_spot[at],
                    self.strikes[picked],
                    self.times_s[picked],
                    self.vols[picked],
                    to_float(terms.rate_wad),
                )
        premiums *= amounts
        with np.errstate(divide="ignore", invalid="ignore"):
            in_base = np.where(shocked_spot > 0.0, premiums / shocked_spot, 0.0)
        floor = np.where(is_base, to_float(terms.floor_base_wad), to_float(terms.floor_quote_wad))
        cap = np.where(is_put, amounts * strikes, np.where(is_base, amounts, np.inf))
        return np.where(is_base, in_base, premiums), floor, cap

    def binding(self, row: int, ratio: float) -> str:
        """Which of the three terms rules."""
        shocked, floor, cap = (float(one[0]) for one in self.parts(np.array([ratio]), np.array([row])))
        if max(shocked, floor) >= cap:
            return NOTIONAL_CAP
        return SHOCKED_PRICE if shocked > floor else STATIC_FLOOR


def _shorts(lyra: LyraDeployment, held: Held) -> Shorts:
    market, positions = held.market, held.positions
    known = np.isfinite(positions).all(axis=1)
    _, strike_ids, kinds, amounts, collateral, states = np.nan_to_num(positions).T
    listed = [market.strikes.get(int(number)) for number in strike_ids]
    strikes = np.array([1.0 if one is None else to_float(one.strike_wad) for one in listed])
    times_s = np.array([0.0 if one is None else float(one.expiry_s - market.at_s) for one in listed])
    marks = np.array([1.0 if one is None else one.vol for one in listed])
    is_short = (kinds >= OptionType.SHORT_CALL_BASE) & (states == ACTIVE) & (amounts > 0.0)
    live = known & is_short & (times_s > 0.0)
    spot, count = to_float(market.spot_wad), len(positions)
    shock_vols = {time: to_float(market.terms.shock_vol_wad(int(time))) for time in set(times_s.tolist())}
    is_base = kinds == OptionType.SHORT_CALL_BASE
    unsure = np.where(is_base, NOISE * (1.0 + strikes / max(spot, 1e-9)), NOISE * (spot + strikes))
    found = Shorts(
        equity=np.where(known, np.where(is_short, collateral, 0.0), np.nan),
        requirement=np.zeros(count),
        slack=unsure * amounts + collateral * ROUNDING + ROUNDING,
        bends=np.zeros((count, 0)),
        leading=np.where(live, 0, -1),
        prices=np.where(live, spot, np.nan),
        sizes=np.where(live, -amounts, 0.0),
        deltas=np.where(live, -amounts * _deltas(kinds, spot, strikes, times_s, marks, market), 0.0)[:, None]
        + np.where(is_base & live, collateral, 0.0)[:, None],
        markets=(MarketId(f"lyra:{lyra.option_market}"),),
        market_assets=(lyra.asset,),
        assets=(lyra.asset,),
        live=live,
        kinds=kinds.astype(np.intp),
        strikes=strikes,
        times_s=np.maximum(times_s, 1.0),
        vols=np.array([shock_vols[time] for time in times_s.tolist()]),
        terms=market.terms,
        spot=spot,
    )
    everybody = np.arange(count)
    gap = found.headroom(np.ones(count), everybody, "joint")
    found.requirement[:] = np.where(known, found.equity - gap, np.nan)
    return found


def _deltas(
    kinds: Floats, spot: float, strikes: Floats, times_s: Floats, vols: Floats, market: Market
) -> Floats:
    """Of one option's owner, at the market's volatility."""
    is_call = kinds != OptionType.SHORT_PUT_QUOTE
    delta: Floats = plain.usual(is_call, spot, strikes, times_s, vols, to_float(market.terms.rate_wad))[1]
    return delta


def _market(lyra: LyraDeployment, at_s: int) -> Reading[Market]:
    """Raises ReadReverted or DecodeMismatch."""
    market, adapter = Address(lyra.option_market), Address(lyra.synthetix_adapter)
    first = yield from ask(
        {
            "spot": Question(adapter, LYRA["getSpotPriceForMarket"], (market,)),
            "base key": Question(adapter, LYRA["baseKey"], (market,)),
            "minimum": Question(Address(lyra.greek_cache), LYRA["getMinCollatParams"]),
            "greek cache": Question(Address(lyra.greek_cache), LYRA["getGreekCacheParams"]),
            "market": Question(market, LYRA["getOptionMarketParams"]),
            "live boards": Question(market, LYRA["getLiveBoards"]),
        }
    )
    live = cast(tuple[int, ...], first["live boards"].outputs[0])
    asked: dict[object, Question] = {
        n: Question(market, LYRA["getBoardAndStrikeDetails"], (n,)) for n in live
    }
    if not first["spot"].ok:  # paused: the market's own price function refuses, the oracle's does not
        asked["spot"] = Question(adapter, LYRA["getSpotPrice"], (first["base key"].outputs[0],))
    second = yield from ask(asked)
    floor_quote, floor_base, vol_a, point_a, vol_b, point_b, call_shock, put_shock = first["minimum"].row
    terms = CollateralTerms(
        floor_quote_wad=floor_quote,
        floor_base_wad=floor_base,
        shock_vol_a_wad=vol_a,
        shock_point_a_s=point_a,
        shock_vol_b_wad=vol_b,
        shock_point_b_s=point_b,
        call_shock_wad=call_shock,
        put_shock_wad=put_shock,
        rate_wad=first["greek cache"].row[9],
        settlement_fee_wad=first["market"].row[3],
    )
    strikes: dict[int, Listed] = {}
    for n in live:
        strikes |= _board(second[n])
    spot = second["spot"] if "spot" in second else first["spot"]
    return Market(at_s, spot.integer, terms, strikes)


def _board(details: Reply) -> dict[int, Listed]:
    board, strikes = cast(tuple[Row, tuple[Row, ...]], details.outputs[:2])
    return {
        strike[0]: Listed(strike[1], board[1], to_float(board[2]) * to_float(strike[2])) for strike in strikes
    }


def _verdicts(lyra: LyraDeployment, at_s: int, subjects: Sequence[int]) -> Reading[list[Verdict | None]]:
    token, cache = Address(lyra.option_token), Address(lyra.greek_cache)
    market = yield from _market(lyra, at_s)
    held = yield from ask({key: Question(token, LYRA["getOptionPosition"], (key,)) for key in subjects})
    asked: dict[tuple[str, int], Question] = {}
    for key in subjects:
        if not held[key].ok:
            continue
        position = held[key].row
        strike = market.strikes.get(position[1])
        if strike is None or position[2] < OptionType.SHORT_CALL_BASE or position[5] != ACTIVE:
            continue
        terms = (strike.strike_wad, strike.expiry_s, market.spot_wad, position[3])
        asked["least", key] = Question(cache, LYRA["getMinCollateral"], (position[2], *terms))
        judged = (position, strike.expiry_s, strike.strike_wad, market.spot_wad)
        asked["bad", key] = Question(token, LYRA["canLiquidate"], judged)
    told = yield from ask(asked)
    return [_verdict(held[key], told, key) for key in subjects]


def _verdict(held: Reply, told: Mapping[tuple[str, int], Reply], key: int) -> Verdict | None:
    least, bad = told.get(("least", key)), told.get(("bad", key))
    if least is None or bad is None or not least.ok or not bad.ok:
        return None
    return Verdict(held.row[4], least.integer, bool(bad.integer))
