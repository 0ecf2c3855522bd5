"""Where each protocol lives on one chain: read from a JSON file, checked against the chain at start."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from agent.errors import AddressMalformed, ConfigInvalid
from agent.values.address import Address, parse_address


def _address(text: str) -> Address:
    try:
        return parse_address(text)
    except AddressMalformed as error:
        raise ValueError(str(error)) from error


AddressField = Annotated[str, AfterValidator(_address)]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


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


class Deployment(_Record):
    """One chain. A venue that is absent is not used."""

    chain_id: int
    executor: AddressField | None = None
    multicall: AddressField | None = None
    curie: CurieDeployment | None = None
    lyra: LyraDeployment | None = None
    uniswap: UniswapDeployment | None = None


def load(path: Path) -> Deployment:
    """The deployment in a JSON file. Raises ConfigInvalid naming the field that is wrong."""
    try:
        return Deployment.model_validate(json.loads(path.read_text()))
    except FileNotFoundError as error:
        raise ConfigInvalid(
            key="chain.deployment", value=str(path), reason="there is no such file"
        ) from error
    except json.JSONDecodeError as error:
        raise ConfigInvalid(key="chain.deployment", value=str(path), reason=f"not JSON: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ConfigInvalid(
            key=f"chain.deployment:{where}", value=first.get("input"), reason=first["msg"]
        ) from error
