"""Where each protocol lives on one chain: read from a JSON file, checked against the chain at start."""

from __future__ import annotations

import json
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import get_args

from pydantic import ValidationError, model_validator
from pydantic_core import ErrorDetails

from agent.errors import ConfigInvalid, VenueUnknown
from agent.venues.manifest import Manifest
from agent.venues.record import AddressField
from agent.venues.record import Record as _Record


class Market(_Record):
    """A market by its contract address; ``asset`` is our name for the underlying."""

    address: AddressField
    asset: str


class CurieDeployment(_Record):
    """Perpetual Protocol v2."""

    clearing_house: AddressField
    account_balance: AddressField
    vault: AddressField
    exchange: AddressField
    config: AddressField
    market_registry: AddressField
    order_book: AddressField
    settlement_token: AddressField
    markets: tuple[Market, ...]  # base tokens
    collaterals: tuple[Market, ...] = ()  # other tokens it takes as margin, and the asset each of them is


class LyraDeployment(_Record):
    """Lyra v1 (Avalon), one option market."""

    option_market: AddressField
    option_token: AddressField
    greek_cache: AddressField
    short_collateral: AddressField
    viewer: AddressField
    liquidity_pool: AddressField
    pricer: AddressField
    synthetix_adapter: AddressField
    quote_token: AddressField
    base_token: AddressField
    asset: str


class UniswapPool(_Record):
    """A v3 pool of the asset's token against the quote token (in either order)."""

    address: AddressField
    asset: str
    asset_token: AddressField
    quote_token: AddressField


class UniswapDeployment(_Record):
    """Uniswap v3."""

    factory: AddressField
    position_manager: AddressField
    swap_router: AddressField
    pools: tuple[UniswapPool, ...]


class SynthetixMarket(_Record):
    """A perps market by its number in the contract; ``asset`` is our name for the underlying."""

    id: int
    asset: str


class SynthetixCollateral(_Record):
    """A synth that margin may be posted in: its number in the spot market, and what it is a synth of; empty
    for a stable one.
    """

    id: int
    asset: str = ""


class SynthetixDeployment(_Record):
    """Synthetix V3's perps market. Every synth that accounts hold as margin must be among ``collaterals``."""

    perps_market: AddressField
    spot_market: AddressField
    core: AddressField
    oracle_manager: AddressField
    account_token: AddressField
    usd_token: AddressField
    markets: tuple[SynthetixMarket, ...]
    collaterals: tuple[SynthetixCollateral, ...] = ()


class PanopticPool(_Record):
    """A Panoptic v2 pool over a Uniswap v3 pool of the asset's token against the quote token, in either
    order. ``first_block``: before it there are no events of the pool.
    """

    address: AddressField
    collateral0: AddressField
    collateral1: AddressField
    risk_engine: AddressField
    uniswap_pool: AddressField
    asset: str
    asset_token: AddressField
    quote_token: AddressField
    first_block: int = 0


class PanopticDeployment(_Record):
    """Panoptic v2."""

    position_manager: AddressField  # SemiFungiblePositionManagerV3
    pools: tuple[PanopticPool, ...]


class GmxToken(_Record):
    """A token that GMX prices. ``decimals`` are GMX's for it (an index token need not be a contract);
    ``asset`` is our name for what it is worth, empty for a stable one. ``feed`` is a Chainlink feed of it.
    """

    address: AddressField
    decimals: int
    asset: str = ""
    feed: AddressField | None = None


class GmxMarket(_Record):
    """A market by its market token, with its three tokens; ``asset`` is our name for the underlying."""

    address: AddressField
    index_token: AddressField
    long_token: AddressField
    short_token: AddressField
    asset: str


class GmxDeployment(_Record):
    """GMX v2. Every token of every market must be among ``tokens``.

    Prices come from ``prices_url`` (the protocol's public HTTP service) where there is one, else from the
    feeds with ``feed_spread_ppm`` to each side. Older than ``max_age_s`` (a feed's own: ``max_feed_age_s``)
    they are refused; where a token has both, they may be at most ``max_deviation_ppm`` apart.

    New positions are opened with ``collateral_bps`` of their size, in the market's short token. What keepers
    are paid is reckoned at twice the base fee and ``execution_tip_wei``, and valued at the price of
    ``native_token``, one of ``tokens``; most of it comes back.
    """

    data_store: AddressField
    reader: AddressField
    exchange_router: AddressField
    router: AddressField
    order_vault: AddressField
    event_emitter: AddressField
    referral_storage: AddressField
    order_handler: AddressField
    native_token: AddressField
    tokens: tuple[GmxToken, ...]
    markets: tuple[GmxMarket, ...]
    prices_url: str = ""
    max_age_s: int = 60
    max_feed_age_s: int = 90_000
    max_deviation_ppm: int = 20_000
    feed_spread_ppm: int = 500
    expiry_s: int = 300  # REQUEST_EXPIRATION_TIME of the store: a market order binds us that long
    collateral_bps: int = 2_500
    execution_tip_wei: int = 10**7


class GtradePair(_Record):
    """A pair by its number in the contract, quoted in dollars; ``asset`` is our name for the underlying.
    ``feed`` is a Chainlink feed of it.
    """

    index: int
    asset: str
    feed: AddressField | None = None


class GtradeDeployment(_Record):
    """gTrade (Gains), one diamond and one of the collaterals it takes, which must be worth a dollar.

    Prices come from ``prices_url`` (the protocol's public HTTP service) where there is one, else from the
    feeds. Older than ``max_age_s`` (a feed's own: ``max_feed_age_s``) they are refused; where a pair has
    both, they may be at most ``max_deviation_ppm`` apart. New trades are opened with ``collateral_bps`` of
    their size. Orders can be taken back after ``timeout_blocks``, each reckoned to take ``block_ms``; where
    the contract is read, its own number counts.
    """

    diamond: AddressField
    collateral_token: AddressField
    collateral_index: int
    collateral_decimals: int
    pairs: tuple[GtradePair, ...]
    prices_url: str = ""
    max_age_s: int = 60
    max_feed_age_s: int = 90_000
    max_deviation_ppm: int = 20_000
    timeout_blocks: int = 200
    block_ms: int
    collateral_bps: int = 2_500


class Deployment(_Record):
    """One chain. A venue that is absent is not used.

    ``manifests``: by venue, what is known of its contracts.
    """

    chain_id: int
    executor: AddressField | None = None
    multicall: AddressField | None = None
    curie: CurieDeployment | None = None
    lyra: LyraDeployment | None = None
    uniswap: UniswapDeployment | None = None
    synthetix: SynthetixDeployment | None = None
    panoptic: PanopticDeployment | None = None
    gmx: GmxDeployment | None = None
    gtrade: GtradeDeployment | None = None
    manifests: Mapping[str, Manifest] = {}

    @property
    def venues(self) -> dict[str, _Record]:
        """The records of the venues there are, by name."""
        named = ((name, getattr(self, name)) for name in type(self).model_fields)
        return {name: record for name, record in named if isinstance(record, _Record)}

    def manifest(self, venue: str) -> Manifest:
        """What is known of a venue; nothing, if it is not said."""
        return self.manifests.get(venue, Manifest())

    @model_validator(mode="after")
    def _manifests_are_of_venues(self) -> Deployment:
        for name in self.manifests:
            if name not in type(self).model_fields:
                raise ValueError(f"`manifests` speaks of {name}, and there is no such venue")
        return self


def load(path: Path) -> Deployment:
    """The deployment in a JSON file. Raises VenueUnknown, or ConfigInvalid naming the field that is wrong."""
    try:
        return Deployment.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        raise _unusable(path, "there is no such file") from error
    except (OSError, UnicodeDecodeError) as error:
        raise _unusable(path, "it cannot be read") from error
    except json.JSONDecodeError as error:
        raise _unusable(path, f"not JSON: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        if not first["loc"]:
            is_ours = first["type"] == "value_error"
            reason = first["msg"].removeprefix("Value error, ") if is_ours else "it must be a JSON object"
            raise _unusable(path, reason) from error
        raise _invalid(first) from error


def _unusable(path: Path, reason: str) -> ConfigInvalid:
    return ConfigInvalid(key="chain.deployment", value=str(path), reason=reason)


def _invalid(detail: ErrorDetails) -> ConfigInvalid | VenueUnknown:
    """What is wrong with one field, named by where it stands in the file."""
    where = [str(part) for part in detail["loc"]]
    key, value = f"chain.deployment:{'.'.join(where)}", detail["input"]
    if detail["type"] == "missing":
        return ConfigInvalid(key=key, value=None, reason="it is missing in the deployment file")
    if detail["type"] == "extra_forbidden":
        known = _fields(where[:-1])
        if len(where) == 1 and isinstance(value, dict):
            venues = [name for name in known if name != "manifests" and _fields([name])]
            return VenueUnknown(name=where[0], known=", ".join(venues))
        close = get_close_matches(where[-1], known, n=1, cutoff=0.0)[0]
        return ConfigInvalid(key=key, value="...", reason=f"there is no such key; nearest is `{close}`")
    shown = "..." if isinstance(value, dict | list) else value
    return ConfigInvalid(key=key, value=shown, reason=detail["msg"].removeprefix("Value error, "))


def _fields(where: list[str]) -> list[str]:
    """The keys of the record at that place of a deployment; none where there is no record."""
    record: type[_Record] = Deployment
    for part in where:
        if part not in record.model_fields:  # an item of a list or a table, whose name has given its record
            continue
        annotation = record.model_fields[part].annotation
        candidates = [annotation, *get_args(annotation)]
        records = [kind for kind in candidates if isinstance(kind, type) and issubclass(kind, _Record)]
        if not records:
            return []
        record = records[0]
    return list(record.model_fields)
