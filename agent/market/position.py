"""What the account holds, with its sensitivities."""

from __future__ import annotations

from dataclasses import dataclass

from agent.market.instrument import Instrument


@dataclass(frozen=True, slots=True)
class Greeks:
    """Sensitivities of a holding's value in quote currency, from the holder's side (short gamma is < 0).

    delta: units of the asset (quote per 1 of price). gamma: change of delta per 1 of price.
    vega: quote per 1.00 of volatility. theta: quote per day of time passing.
    rho: quote per 1.00 of the interest rate. vanna: delta per 1.00 of volatility.
    volga: vega per 1.00 of volatility.
    """

    delta: float = 0.0
    gamma: float = 0.0
    vega: float = 0.0
    theta: float = 0.0
    rho: float = 0.0
    vanna: float = 0.0
    volga: float = 0.0

    def __add__(self, other: Greeks) -> Greeks:
        return Greeks(
            self.delta + other.delta,
            self.gamma + other.gamma,
            self.vega + other.vega,
            self.theta + other.theta,
            self.rho + other.rho,
            self.vanna + other.vanna,
            self.volga + other.volga,
        )

    def scaled(self, size: float) -> Greeks:
        """Of a holding ``size`` times as large; below zero, of the other side."""
        return Greeks(
            self.delta * size,
            self.gamma * size,
            self.vega * size,
            self.theta * size,
            self.rho * size,
            self.vanna * size,
            self.volga * size,
        )


@dataclass(frozen=True, slots=True)
class Position:
    """One holding on one venue.

    ``key`` is unique in the book ("curie:0x...", "lyra:12", "uniswap:5").
    ``size_wad`` is signed: asset units for perpetuals and spot, contracts for options (short < 0), and
    for liquidity the raw pool liquidity L.
    ``value_wad`` is what closing at the mark would add to the account's equity, in quote currency. It
    leaves out collateral, which stands in the margin account.
    """

    venue: str
    key: str
    instrument: Instrument
    size_wad: int
    value_wad: int
    greeks: Greeks
    mark_wad: int  # the venue's own price of the instrument (perp mark, option premium, pool price)
    iv: float | None = None  # annualised volatility the venue marks an option at
