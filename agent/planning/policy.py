"""What the owner wants: the band, the floors and what may be paid to keep them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import Decimal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from agent.values.fixed import BPS, from_decimal

WAITING_PCT = 40  # of the band: the rest of it is for what the market does while a keeper is waited for


class Policy(BaseModel):
    """Human numbers as Decimal; the properties give them in the house's units.

    Distances are relative price moves to the account's own flip point: 0.15 is fifteen percent.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    band: Mapping[str, Decimal] = Field(
        default={"ETH": Decimal("1.0")}, description="largest |net delta| per asset, in units of the asset"
    )
    trigger_share: Decimal = Field(
        default=Decimal("0.3"), gt=0, le=1, description="hedge when |net delta| leaves this share of the band"
    )
    floor_distance: Decimal = Field(
        default=Decimal("0.18"), gt=0, lt=1, description="act when a margin account is nearer to liquidation"
    )
    target_distance: Decimal = Field(
        default=Decimal("0.25"), gt=0, lt=1, description="bring it this far away when acting"
    )
    release_distance: Decimal = Field(
        default=Decimal("0.35"), gt=0, lt=1, description="collateral beyond this may be moved elsewhere"
    )
    rescue_hours: Decimal = Field(
        default=Decimal(4),
        gt=0,
        description="hours to liquidation at standing prices below which a plan is a rescue",
    )
    critical_share: Decimal = Field(
        default=Decimal("0.25"),
        ge=0,
        lt=1,
        description="share of `floor_distance` and `rescue_hours` from which the bid is at its highest",
    )
    rescue_probability: Decimal = Field(
        default=Decimal("0.25"),
        gt=0,
        le=1,
        description="least chance of liquidation a rescue's budget reckons with",
    )
    native_asset: str = Field(
        default="ETH", description="asset that gas is paid in; without its price the cap alone counts"
    )
    slippage_bps: int = Field(default=100, ge=1, le=2000, description="worst price against the quoted cost")
    urgent_slippage_bps: int = Field(
        default=300, ge=1, le=2000, description="the same once net delta is outside its band"
    )
    close_premium_bps: int = Field(
        default=2500, ge=1, le=20000, description="most paid above the mark to close an option in a rescue"
    )
    deadline_s: int = Field(default=120, ge=1, le=86400, description="seconds a plan stays valid on chain")
    holding_hours: Decimal = Field(
        default=Decimal(24), gt=0, description="how long a hedge is expected to be held, to weigh funding"
    )
    min_trade: Decimal = Field(default=Decimal("0.01"), gt=0, description="smallest hedge in asset units")
    min_top_up: Decimal = Field(default=Decimal(10), ge=0, description="smallest collateral move, in quote")
    cash_reserve: Decimal = Field(default=Decimal(0), ge=0, description="quote the wallet keeps")
    stress_distance: Decimal | None = Field(
        default=None,
        ge=0,
        lt=1,
        description="price move both ways that no planned trade may let liquidate; `floor_distance` if unset",
    )
    gamma_band: Mapping[str, Decimal] = Field(
        default={}, description="largest |net gamma| per asset, asset units per 1 of price; none if unnamed"
    )
    vega_band: Mapping[str, Decimal] = Field(
        default={}, description="largest |net vega| per asset, quote per 1.00 of volatility; none if unnamed"
    )
    greek_target_share: Decimal = Field(
        default=Decimal("0.8"), gt=0, le=1, description="share of those bands that a plan goes back to"
    )
    open_delta_bps: int = Field(
        default=500,
        ge=1,
        le=10_000,
        description="what delta left open inside its band counts, of its price: more is not paid to close it",
    )
    carry_deadband_bps: Decimal = Field(
        default=Decimal(5), ge=0, description="funding per day below which it does not count, of the price"
    )
    switch_margin: Decimal = Field(
        default=Decimal("0.5"), ge=0, description="what gained funding must pay beyond its cost: 0.5 is half"
    )
    naked_limit_usd_s: int = Field(
        default=2_000_000,
        ge=0,
        description="most quote x seconds that requests to keepers may leave unhedged; 0: never ask a keeper",
    )
    keeper_risk_bps: Decimal = Field(
        default=Decimal(2),
        ge=0,
        description="what waiting for a keeper is reckoned to cost, of the price, beside fee and impact",
    )
    keeper_failures: int = Field(
        default=3, ge=1, le=1000, description="requests in a row that came to nothing, until a market rests"
    )
    keeper_rest_blocks: int = Field(
        default=50, ge=1, le=1_000_000, description="blocks for which it is asked for nothing then"
    )
    trade_gas: int = Field(default=700_000, ge=0, description="gas a trade is reckoned to take")
    transfer_gas: int = Field(default=200_000, ge=0, description="gas moving collateral is reckoned to take")
    close_gas: int = Field(default=1_500_000, ge=0, description="gas closing an option is reckoned to take")
    solver_ms: int = Field(
        default=120, ge=0, le=10_000, description="longest search for the cheapest plan; then a simple one"
    )

    exit_lead_hours: Decimal = Field(
        default=Decimal(72),
        ge=0,
        le=24 * 365,
        description="how long before a venue ends nothing new is begun there, and it is warned of",
    )

    @model_validator(mode="after")
    def _ordered(self) -> Policy:
        if not self.floor_distance < self.target_distance <= self.release_distance:
            raise ValueError("floor_distance < target_distance <= release_distance is needed")
        if self.stress_distance is not None and self.stress_distance > self.target_distance:
            raise ValueError("stress_distance <= target_distance is needed")
        widths = (*self.band.values(), *self.gamma_band.values(), *self.vega_band.values())
        if any(width <= 0 for width in widths):
            raise ValueError("every band must be positive")
        return self

    def band_wad(self, asset: str) -> int:
        """The band's half width in asset units; an asset without one must not have delta at all (0)."""
        return from_decimal(self.band.get(asset, Decimal(0)))

    def trigger_wad(self, asset: str) -> int:
        """Where a hedge is due."""
        return from_decimal(self.band.get(asset, Decimal(0)) * self.trigger_share)

    def waiting_wad(self, asset: str) -> int:
        """How much may be open while a keeper is waited for, before it is hedged at once."""
        return max(self.trigger_wad(asset), self.band_wad(asset) * WAITING_PCT // 100)

    @property
    def guard_distance(self) -> float:
        """What every account a plan touches survives: the floor, or the stress where that is farther."""
        widest = max(self.floor_distance, self.stress_distance or self.floor_distance)
        return math.nextafter(float(widest), math.inf)  # a float is not to be short of the decimal

    @property
    def min_trade_wad(self) -> int:
        return from_decimal(self.min_trade)

    @property
    def min_top_up_wad(self) -> int:
        return from_decimal(self.min_top_up)

    @property
    def cash_reserve_wad(self) -> int:
        return from_decimal(self.cash_reserve)

    @property
    def exit_lead_s(self) -> int:
        return int(self.exit_lead_hours * 3600)

    def worse_price_wad(self, price_wad: int, size_wad: int, *, is_urgent: bool = False) -> int:
        """The limit price: ``slippage_bps`` worse than ``price_wad`` for the side of ``size_wad``."""
        slippage_bps = self.urgent_slippage_bps if is_urgent else self.slippage_bps
        if size_wad > 0:
            return -((-price_wad * (BPS + slippage_bps)) // BPS)
        return price_wad * (BPS - slippage_bps) // BPS
