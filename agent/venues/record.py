"""The fields that deployment files are made of."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict

from agent.errors import AddressMalformed
from agent.values.address import Address, parse_address


def _address(text: str) -> Address:
    try:
        return parse_address(text)
    except AddressMalformed as error:
        raise ValueError(str(error)) from error


def _word(text: str) -> str:
    if not re.fullmatch(r"0x[0-9a-fA-F]{64}", text):
        raise ValueError(f"{text!r} is not 0x followed by 64 hex digits")
    return text.lower()


AddressField = Annotated[str, AfterValidator(_address)]
WordField = Annotated[str, AfterValidator(_word)]


class Record(BaseModel):
    """A part of a deployment file: its keys and no others."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def addresses_of(record: BaseModel, name: str = "") -> dict[str, Address]:
    """Every address in a record by where it stands ("pools[0].asset_token"), in the file's order."""
    found: dict[str, Address] = {}
    for key, value in record:
        place = f"{name}.{key}" if name else key
        for inner, item in (
            ((f"{place}[{index}]", one) for index, one in enumerate(value))
            if isinstance(value, tuple)
            else ((place, value),)
        ):
            if isinstance(item, BaseModel):
                found |= addresses_of(item, inner)
            elif isinstance(item, str) and re.fullmatch(r"0x[0-9a-fA-F]{40}", item):
                found[inner] = parse_address(item)
    return found
