"""An account's options as columns: what is asked of all of them at once, in every block."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from agent.market.instrument import OptionKind
from agent.pricing.lean import Lean, lean
from agent.values.fixed import WAD, YEAR_S, to_float
from agent.venues.lyra.holding import Holding
from agent.venues.lyra.margin import CollateralTerms, OptionType

Floats = npt.NDArray[np.float64]

DOUBT = (
    1e-6  # of a requirement: what floats and the contract's own approximations may be off by, and far more
)
MIN_VOL = 1e-4
MIN_TIME_S = 1.0
ROOM = 0.03  # of the price, and time: how much wider is looked so that the next blocks need not
ROOM_S = 1800.0

Field = tuple[float, float, int, float]  # the lowest and highest price, from when to when


@dataclass(frozen=True)
class Table:
    """The columns of ``holdings``, made once for as long as these are held."""

    holdings: tuple[Holding, ...]

    @cached_property
    def signs(self) -> Floats:
        """1.0 for a call, -1.0 for a put."""
        return np.array([1.0 if h.option_type.kind is OptionKind.CALL else -1.0 for h in self.holdings])

    @cached_property
    def sizes(self) -> Floats:
        """Signed, contracts; a short's is below 0."""
        return np.array(
            [
                -to_float(h.amount_wad) if h.option_type.is_short else to_float(h.amount_wad)
                for h in self.holdings
            ]
        )

    @cached_property
    def strikes(self) -> Floats:
        return np.array([to_float(h.strike_wad) for h in self.holdings])

    @cached_property
    def vols(self) -> Floats:
        return np.array([to_float(h.vol_wad) for h in self.holdings])

    @cached_property
    def expiries(self) -> Floats:
        """Seconds."""
        return np.array([float(h.expiry_s) for h in self.holdings])

    @cached_property
    def unsettled(self) -> Floats:
        """0.0 for what has settled and has no Greeks any more."""
        return np.array([0.0 if h.settled_at_wad else 1.0 for h in self.holdings])

    @cached_property
    def live_sizes(self) -> Floats:
        """As ``sizes``, 0.0 for what has settled."""
        return self.sizes * self.unsettled

    @cached_property
    def posted(self) -> tuple[float, ...]:
        """The asset posted for each short that is collateralised with it: delta of its own."""
        return tuple(
            to_float(wad)
            for h in self.holdings
            if h.option_type is OptionType.SHORT_CALL_BASE and (wad := h.posted_wad)
        )

    @cached_property
    def shorts(self) -> npt.NDArray[np.bool_]:
        """Which have not settled and are short."""
        return np.array([h.option_type.is_short and h.settled_at_wad == 0 for h in self.holdings], dtype=bool)

    @cached_property
    def last_expiries(self) -> dict[OptionType, int]:
        """When the last short of each type expires that has not settled."""
        found: dict[OptionType, int] = {}
        for held in self._short:
            found[held.option_type] = max(found.get(held.option_type, 0), held.expiry_s)
        return found

    @cached_property
    def kinds(self) -> Floats:
        """Option types of the shorts, by the contract's numbers."""
        return np.array([float(h.option_type) for h in self._short])

    @cached_property
    def collaterals(self) -> Floats:
        """Of the shorts, in their own token."""
        return np.array([to_float(h.collateral_wad) for h in self._short])

    @property
    def _short(self) -> Sequence[Holding]:
        return [h for h, is_short in zip(self.holdings, self.shorts, strict=True) if is_short]

    @cached_property
    def _terms(
        self,
    ) -> tuple[Floats, Floats, Floats, Floats, Floats, npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
        """Of the shorts: signs, amounts, strikes, expiries, caps, in base, is a put."""
        rows = self.shorts
        signs, amounts, strikes = self.signs[rows], -self.sizes[rows], self.strikes[rows]
        in_base = self.kinds == OptionType.SHORT_CALL_BASE
        is_put = self.kinds == OptionType.SHORT_PUT_QUOTE
        caps = np.where(is_put, amounts * strikes, np.where(in_base, amounts, np.inf))
        return signs, amounts, strikes, self.expiries[rows], caps, in_base, is_put

    def lean(self, spot: float, at_s: int, rate: float) -> Lean:
        """What delta, gamma and vega of one unit long of each follow from; not of what has settled."""
        seconds = np.maximum(self.expiries - at_s, 0.0)
        return lean(self.signs, spot, self.strikes, seconds, self.vols, rate)

    def is_certain(
        self, terms: CollateralTerms, spot: float, at_s: int, distance: float, within_s: float
    ) -> bool:
        """Whether `suspects` has none. Once it had none in a wider field it has none in what lies inside."""
        field = (spot * (1 - distance), spot * (1 + distance), at_s, at_s + within_s)
        known = self._fields.get(terms)
        if known is not None and _lies_in(field, known):
            return True
        wide = min(distance + ROOM, (1 + distance) / 2)
        if not self.suspects(terms, spot, at_s, wide, within_s + ROOM_S):
            self._fields.clear()
            self._fields[terms] = (spot * (1 - wide), spot * (1 + wide), at_s, at_s + within_s + ROOM_S)
            return True
        return not self.suspects(terms, spot, at_s, distance, within_s)

    @cached_property
    def _fields(self) -> dict[CollateralTerms, Field]:
        return {}

    def suspects(
        self, terms: CollateralTerms, spot: float, at_s: int, distance: float, within_s: float
    ) -> list[int]:
        """The shorts, by their place among the holdings, of which it is not certain that nothing within
        ``distance`` of the price, and standing prices within ``within_s``, liquidates them.

        A call's minimum rises with the price and a put's falls, so one end of the way is enough; and no
        premium in the time to come is above that of the longest time at the highest shock volatility of it.
        An expired one cannot be liquidated, and is not sorted out here.
        """
        rows = np.flatnonzero(self.shorts)
        if not len(rows):
            return []
        from scipy.special import ndtr  # whoever has sold nothing does not load it

        signs, amounts, strikes, expiries, caps, in_base, is_put = self._terms
        shock = np.where(
            is_put, terms.put_shock_wad / WAD * (1 - distance), terms.call_shock_wad / WAD * (1 + distance)
        )
        spots = spot * shock
        left = np.maximum(expiries - at_s, 0.0)
        soonest, years = np.maximum(left - within_s, 0.0), np.maximum(left, MIN_TIME_S) / YEAR_S
        points = (float(terms.shock_point_a_s), float(terms.shock_point_b_s))
        vols = np.interp(soonest, points, (terms.shock_vol_a_wad / WAD, terms.shock_vol_b_wad / WAD))
        if terms.shock_vol_a_wad < terms.shock_vol_b_wad:
            vols = np.full_like(vols, terms.shock_vol_b_wad / WAD)
        rate = terms.rate_wad / WAD
        deviation = np.maximum(vols, MIN_VOL) * np.sqrt(years)
        # a call gains by discounting over the longest time, a put by none at all
        growth = np.where(is_put, min(rate, 0.0), max(rate, 0.0)) * years
        with np.errstate(divide="ignore"):
            d = (np.log(spots / strikes) + growth) / deviation + deviation / 2
        paid, owed = spots * ndtr(signs * d), strikes * np.exp(-growth) * ndtr(signs * (d - deviation))
        premium = signs * (paid - owed) * amounts
        in_quote = np.where(in_base, premium / np.maximum(spots, 1e-12), premium)
        floors = np.where(in_base, terms.floor_base_wad / WAD, terms.floor_quote_wad / WAD)
        needed = np.minimum(np.maximum(in_quote, floors), caps)
        scale = paid * np.where(in_base, amounts / np.maximum(spots, 1e-12), amounts)
        is_safe = self.collaterals > needed + DOUBT * (np.maximum(needed, scale) + 1e-9)
        return [int(row) for row in rows[~is_safe]]


def _lies_in(inner: Field, outer: Field) -> bool:
    lows, highs = inner[0] >= outer[0], inner[1] <= outer[1]
    return lows and highs and inner[2] >= outer[2] and inner[3] <= outer[3]
