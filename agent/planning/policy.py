"""What the owner wants: the band, the floors and what may be paid to keep them."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from agent.values.fixed import BPS, from_decimal


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

    @model_validator(mode="after")
    def _ordered(self) -> Policy:
        if not self.floor_distance < self.target_distance <= self.release_distance:
            raise ValueError("floor_distance < target_distance <= release_distance is needed")
        if any(width <= 0 for width in self.band.values()):
            raise ValueError("every band must be positive")
        return self

    def band_wad(self, asset: str) -> int:
        """The band's half width in asset units; an asset without one must not have delta at all (0)."""
        return from_decimal(self.band.get(asset, Decimal(0)))

    def trigger_wad(self, asset: str) -> int:
        """Where a hedge is due."""
        return from_decimal(self.band.get(asset, Decimal(0)) * self.trigger_share)

    @property
    def min_trade_wad(self) -> int:
        return from_decimal(self.min_trade)

    @property
    def min_top_up_wad(self) -> int:
        return from_decimal(self.min_top_up)

    @property
    def cash_reserve_wad(self) -> int:
        return from_decimal(self.cash_reserve)

    def worse_price_wad(self, price_wad: int, size_wad: int, *, is_urgent: bool = False) -> int:
        """The limit price: ``slippage_bps`` worse than ``price_wad`` for the side of ``size_wad``."""
        slippage_bps = self.urgent_slippage_bps if is_urgent else self.slippage_bps
        if size_wad > 0:
            return -((-price_wad * (BPS + slippage_bps)) // BPS)
        return price_wad * (BPS - slippage_bps) // BPS
