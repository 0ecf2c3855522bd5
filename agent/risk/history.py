"""Days everybody remembers, as percent paths from where they began.

Waypoints only: the hour (to a third of it) and the price in whole percent of the first one, a straight line
between them, which the day's prices leave by five percent of the first one at most. The lowest point is the
lowest print of its hour, rounded down. ``source`` says where the prices can be looked up and what is special
in them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from agent.market.scenario import Floats, States

VOL_PER_FALL = 2.0  # an assumption, not data: at 20 % below its start the volatility is 1.4 times itself


@dataclass(frozen=True)
class Day:
    """A named stretch of hours. ``source`` says where the figures are from and what is special in them."""

    name: str
    title: str
    began: str  # UTC
    source: str
    hours: int
    waypoints: tuple[tuple[str, str], ...]  # asset, "hour:percent" at each waypoint

    @cached_property
    def ratios(self) -> dict[str, Floats]:
        """Per asset the price over the first one, at ``3 * hours + 1`` points twenty minutes apart."""
        return {asset: _path(text, self.hours) for asset, text in self.waypoints}

    def states(self, vol_per_fall: float = VOL_PER_FALL) -> States:
        """The path as one scenario; assets without a path of their own take that of ETH.

        Implied volatilities of the day are not known here: volatility is taken to rise by ``vol_per_fall``
        of itself per unit that ETH stands below its start, and not to fall.
        """
        ratios = {asset: path[np.newaxis, :] for asset, path in self.ratios.items()}
        eth = ratios["ETH"]
        return States(
            hours=np.arange(eth.shape[1])[np.newaxis, :] / 3.0,
            ratios=ratios,
            other=eth,
            vol_factor=1.0 + vol_per_fall * np.maximum(1.0 - eth, 0.0),
        )


def _path(text: str, hours: int) -> Floats:
    points = [point.split(":") for point in text.split()]
    at, percent = ([float(part) for part in parts] for parts in zip(*points, strict=True))
    thirds = np.rint(np.array(at) * 3.0)
    return np.interp(np.arange(3 * hours + 1), thirds, percent) / 100.0


_MARCH_2020_ETH = (
    "0:100 10.3:87 10.7:64 11.3:63 11.7:77 13.7:65 14.7:74 20.3:72 20.7:64 22.3:69 23.3:66 23.7:52 "
    "24.3:60 24.7:54 25.3:58 26.3:44 26.7:62 27.3:56 27.7:71 28.7:54 29.7:63 30.3:59 30.7:65 32.3:68 "
    "32.7:62 33.7:69 36:66"
)
_MARCH_2020_BTC = (
    "0:100 10.3:93 10.7:70 11.3:72 11.7:82 13.7:72 14.7:78 20.3:76 21.3:70 22.3:75 23.3:73 23.7:56 "
    "24.3:64 26.3:47 26.7:67 27.3:61 27.7:70 28.7:59 32.3:71 32.7:65 33.7:72 36:68"
)
_MAY_2021_ETH = (
    "0:100 4.3:93 4.7:85 5.3:90 7.3:85 10.3:88 11.3:85 11.7:72 12.3:82 12.7:58 13:70 13.3:55 13.7:77 "
    "14.3:68 14.7:78 15.3:75 15.7:82 16.3:77 16.7:86 18.3:83 18.7:76 20.3:81 21.3:72 22.7:80 24:72"
)
_MAY_2021_BTC = (
    "0:100 4.3:95 4.7:90 10.3:94 11.3:93 11.7:85 12.3:92 12.7:76 13:82 13.3:70 13.7:89 14.3:79 "
    "14.7:88 16.3:84 16.7:94 18.7:88 20.3:94 21.3:86 22.7:93 24:86"
)
_AUGUST_2024_ETH = (
    "0:100 5.3:97 5.7:90 12.3:93 12.7:85 13.3:87 13.7:72 14:80 16.7:82 18.7:74 19.7:81 25.3:75 "
    "25.7:81 28.7:86 36:83"
)
_AUGUST_2024_BTC = "0:100 12.3:96 13.7:86 16.3:90 18.3:87 18.7:80 20.7:87 25.3:81 28.3:91 36:89"
_OCTOBER_2025_ETH = "0:100 14.3:100 15.7:93 20.3:92 21:89 21.3:78 21.7:91 22.3:96 22.7:88 24:88"
_OCTOBER_2025_BTC = "0:100 20.3:96 21.3:95 21.7:83 22:93 24:93"

_BINANCE = "ETH/USDT and BTC/USDT on Binance, spot, UTC"

DAYS = (
    Day(
        "march-2020",
        "12 March 2020",
        "2020-03-12 00:00",
        f"{_BINANCE}; 36 hours, because the low came after 02:00 of the 13th (ETH 194.61 to 86.00, BTC "
        "7934.52 to 3782.13). Perpetuals of the same exchange went to 84.23 and 3621.81.",
        36,
        (("ETH", _MARCH_2020_ETH), ("BTC", _MARCH_2020_BTC)),
    ),
    Day(
        "may-2021",
        "19 May 2021",
        "2021-05-19 00:00",
        f"{_BINANCE}; 24 hours (ETH 3375.08 to 1888.00, BTC 42849.78 to 30000.00). Perpetuals of the same "
        "exchange went to 1400.73 and 28688.00.",
        24,
        (("ETH", _MAY_2021_ETH), ("BTC", _MAY_2021_BTC)),
    ),
    Day(
        "august-2024",
        "5 August 2024",
        "2024-08-04 12:00",
        f"{_BINANCE}; 36 hours from noon of the 4th, when the fall began (ETH 2914.22 to 2111.00, BTC "
        "60896.00 to 49000.00).",
        36,
        (("ETH", _AUGUST_2024_ETH), ("BTC", _AUGUST_2024_BTC)),
    ),
    Day(
        "october-2025",
        "10 October 2025",
        "2025-10-10 00:00",
        f"{_BINANCE}; 24 hours (ETH 4368.09 to 3435.00, BTC 121662.41 to 102000.00). In the hour of 21:00 "
        "the candle's high of ETH, 4380.00, is not taken: Bybit's perpetual shows 0.91 of the start, which "
        "is; its low was 3311.76.",
        24,
        (("ETH", _OCTOBER_2025_ETH), ("BTC", _OCTOBER_2025_BTC)),
    ),
)
